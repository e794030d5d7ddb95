"""
How many columns of a terminal a text takes.
"""

from __future__ import annotations

import unicodedata

from collections.abc import Iterator
from typing import Final


_WIDE: Final = frozenset({"W", "F"})
# Marks that stand over the letter before, and signs that are never drawn.
_NOT_DRAWN: Final = frozenset({"Mn", "Me", "Cf"})
_MORE: Final = "…"


def width_of(text: str) -> int:
    """Return the columns of *text*: two for a wide character, none for a combining one."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def padded(text: str, width: int) -> str:
    """Return *text* with spaces behind it, up to *width* columns."""
    return text + " " * (width - width_of(text))


def cut(text: str, limit: int) -> str:
    """
    Return *text* in at most *limit* columns, its last one an ellipsis if some is left out.

    Args:

        text: Any text without control characters.

        limit: Columns; 0 is no limit.
    """
    if not limit or width_of(text) <= limit:
        return text
    return "".join(_first(text, limit - 1)) + _MORE


def _first(text: str, limit: int) -> Iterator[str]:
    for character in text:
        limit -= _columns(character)
        if limit < 0:
            return
        yield character


def _columns(character: str) -> int:
    if unicodedata.category(character) in _NOT_DRAWN:
        return 0
    return 2 if unicodedata.east_asian_width(character) in _WIDE else 1
