"""
What this machine may run out of, which is no fault of a row or of a database.
"""

from __future__ import annotations

import contextlib
import errno
import os


_OUT_OF_FILES = (errno.EMFILE, errno.ENFILE)


def shortage(error: BaseException) -> str:
    """
    Return what the system refused, in words; ``""`` where *error* is no matter of the system.

    No name of a file and no value is in it.
    """
    if isinstance(error, MemoryError):
        return "no memory is left"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return ""


def is_out_of_files(needed: int) -> bool:
    """
    Tell whether the system refuses files at present, for too many are open.

    Args:

        needed: How many are to be open at once.
    """
    with contextlib.ExitStack() as opened:
        try:
            for _ in range(needed):
                opened.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        except OSError as error:
            return error.errno in _OUT_OF_FILES
    return False
