"""
What commands ask before they take records away.
"""

from __future__ import annotations

import argparse
import sys

from .output import printable
from .progress import say


def confirm_options() -> argparse.ArgumentParser:
    """Return the options that only count, and that answer the question."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--dry-run", action="store_true", help="only count")
    parser.add_argument("--yes", action="store_true", help="don't ask")
    return parser


def is_confirmed(question: str, options: argparse.Namespace) -> bool:
    """Ask on a terminal; elsewhere only ``--yes`` means yes."""
    if options.yes:
        return True
    if not sys.stdin.isatty():
        say(f"would {question}: give --yes to do it, or --dry-run to count only")
        return False
    print(printable(f"{question}? Type yes: "), end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip() == "yes":
        return True
    say("nothing was done")
    return False
