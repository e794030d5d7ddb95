"""
Erasing a person from what lies on disk and in memory: spool and dead letters.
"""

from __future__ import annotations

from dataclasses import replace

from .deadletters import DeadLetters, LettersInFolder, LettersInMemory
from .spool.erasing import Erased, Someone
from .spool.spool import Spool


def erase_waiting(
    spool: Spool | None, letters: DeadLetters, someone: Someone, *, counts_only: bool
) -> Erased:
    """
    Erase someone from what lies in a spool's folder, and from dead letters.

    Args:

        spool: The spool, if there is one.

        letters: The letters; those that somebody else keeps stay as they are.

        someone: Whose rows, and what is left of each.

        counts_only: Change nothing.

    Returns:

        How many rows were erased, how many are with others, or still to be
        written, and what went wrong.
    """
    found = Erased()
    if spool is not None:
        found = spool.erase(someone, counts_only=counts_only)
    if not isinstance(letters, LettersInFolder | LettersInMemory):
        return found
    try:
        return found.plus(Erased(_erase_letters(letters, someone, counts_only=counts_only)))
    except OSError as error:
        return found.plus(Erased(troubles=(f"dead letters: {error.strerror}",)))


def _erase_letters(
    letters: LettersInFolder | LettersInMemory, someone: Someone, *, counts_only: bool
) -> int:
    """Leave of someone's dead letters what is left of their rows; return how many those are."""
    theirs = [letter for letter in list(letters) if someone.has(letter.row)]
    if not counts_only:
        for letter in theirs:
            letters.put_instead(letter, replace(letter, row=someone.without(letter.row)))
    return len(theirs)
