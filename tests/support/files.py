"""
What keeps a process from opening files.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import resource

from collections.abc import Iterator


@contextlib.contextmanager
def no_more_files(but: int = 0) -> Iterator[None]:
    """
    Let this process open *but* more files, and then none, within a `with` block.

    Args:

        but: How many.
    """
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = (number for number in itertools.count() if not _is_open(number))
    # Descriptors above the limit, which others have opened, stay open.
    resource.setrlimit(resource.RLIMIT_NOFILE, (next(itertools.islice(free, but, None)), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
