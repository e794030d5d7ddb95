"""
Numbers as the values of options.
"""

from __future__ import annotations

import argparse


def whole(text: str) -> int:
    """
    Return a whole number of 0 or more.

    Raises:

        ArgumentTypeError: It is none.
    """
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 or more")
    return int(text)


def positive(text: str) -> int:
    """
    Return a whole number of 1 or more.

    Raises:

        ArgumentTypeError: It is none.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)
