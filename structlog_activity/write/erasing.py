"""
Erasing a person from what lies on disk and in memory: spool and dead letters.
"""

from __future__ import annotations

from dataclasses import replace

from .deadletters import LettersInFolder, LettersInMemory
from .spool.blotting import Someone


def erase_letters(
    letters: LettersInFolder | LettersInMemory, someone: Someone, *, counts_only: bool
) -> int:
    """
    Leave of someone's dead letters what is left of their rows; return how many those are.

    Args:

        letters: The letters.

        someone: Whose.

        counts_only: Change nothing.

    Raises:

        OSError: A letter can't be written.
    """
    theirs = [letter for letter in list(letters) if someone.has(letter.row)]
    if not counts_only:
        for letter in theirs:
            letters.put_instead(letter, replace(letter, row=someone.without(letter.row)))
    return len(theirs)
