"""
The goals of the design as measurements: ``python -m tests.benchmarks``.
"""
