"""
``python -m tests.benchmarks NAME [OPTIONS]``: measure, and hold the figures against the goals.
"""

from __future__ import annotations

import sys

from importlib import import_module
from typing import Final


BENCHMARKS: Final = {"read": "tests.benchmarks.read"}


def main(arguments: list[str]) -> int:
    """Run the benchmark that the first argument names with the others."""
    if not arguments or arguments[0] not in BENCHMARKS:
        print(f"usage: python -m tests.benchmarks {{{','.join(BENCHMARKS)}}} [--help]")
        return 2
    code: int = import_module(BENCHMARKS[arguments[0]]).main(arguments[1:])
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
