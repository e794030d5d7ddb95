"""
Which tests there are, by name: for tables that say which of them show what.
"""

from __future__ import annotations

import ast

from functools import cache
from pathlib import Path


TESTS = Path(__file__).parent


@cache
def tests_in(path: str) -> frozenset[str]:
    """
    Return the names of the tests that pytest collects from a file.

    Args:

        path: Of the file, below ``tests/``.
    """
    tree = ast.parse((TESTS / path).read_text())
    blocks = [tree.body, *(node.body for node in tree.body if isinstance(node, ast.ClassDef))]
    return frozenset(
        node.name
        for block in blocks
        for node in block
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    )


def exists(name: str) -> bool:
    """Tell whether there is the test ``path::name``, or any in ``path``."""
    path, _, test = name.partition("::")
    if not Path(path).name.startswith("test_") or not (TESTS / path).is_file():
        return False
    return test in tests_in(path) if test else bool(tests_in(path))
