"""
Spools on one folder, what reads them out, and disks that fail.
"""

from __future__ import annotations

import errno
import os

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from structlog_activity.record.ids import uuid7
from structlog_activity.record.row import Row
from structlog_activity.store.batch import Batch
from structlog_activity.write.spool.chunk import Chunk
from structlog_activity.write.spool.counts import SpoolCounts
from structlog_activity.write.spool.disk import Disk
from structlog_activity.write.spool.spool import Spool
from tests.write.doubles import numbers


MakeSpool: TypeAlias = Callable[..., Spool]

SMALL = 4096
"""Bytes of the smallest segment; some thirty of the small rows go into it."""


class Spools:
    """Makes spools on one folder, with small segments."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made: list[Spool] = []

    def make(self, **options: Any) -> Spool:
        spool = Spool(self.folder, **{"writer_id": uuid7, "segment_bytes": SMALL, **options})
        self._made.append(spool)
        return spool

    def leave(self, rows: list[Row], **options: Any) -> None:
        """Leave rows behind, as a process does that is gone."""
        spool = self.make(**options)
        assert all(spool.append(row) for row in rows)
        spool.close()

    def close(self) -> None:
        for spool in self._made:
            spool.close()

    def names(self, ending: str = "") -> list[str]:
        """Return the names of the files that are there."""
        names = (path.name for path in self.folder.iterdir())
        return sorted(name for name in names if name.endswith(ending))


def batch(rows: list[Row], seq: int = 1) -> Batch:
    return Batch(uuid7(), seq, seq * 10, rows)


def chunks(spool: Spool, most: int = 10) -> Iterator[Chunk]:
    """Yield all that is there, adopting until nothing is left; each must be settled."""
    while True:
        while chunk := spool.take(most):
            yield chunk
        if not spool.adopt():
            return
        chunk = spool.take(most)
        assert chunk is not None, "rows are left, and can't be had"
        yield chunk


def drain(spool: Spool, most: int = 10) -> list[int]:
    """Settle all that is there; return the numbers of the rows."""
    out: list[int] = []
    for chunk in chunks(spool, most):
        out += numbers(chunk.rows)
        chunk.settle()
    return out


def assert_exact(counts: SpoolCounts) -> None:
    """Hold the counts of a spool from which everything was settled against each other."""
    assert counts.waiting == 0, counts
    assert counts.unsettled == 0, counts
    assert counts.taken == counts.settled
    assert counts.adopted == counts.taken_adopted == counts.settled_adopted


def open_files(folder: Path) -> list[str]:
    """Return which files of a folder this process has open, or mapped."""
    links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    opened = [str(link.readlink()) for link in links]
    mapped = Path("/proc/self/maps").read_text().splitlines()
    return sorted(name for name in (*opened, *mapped) if str(folder) in name)


_CALLS = [
    name for name, value in vars(Disk).items() if callable(value) and not name.startswith("_")
]


class CountingDisk(Disk):
    """
    A disk that counts the calls, and lets some fail.

    Syncs are counted, but not done: they would take most of the time.
    """

    def __init__(self, fails: Callable[[int, str], bool] = lambda number, name: False) -> None:
        self.calls = 0
        self.fails = fails
        self.error = errno.ENOSPC
        for name in _CALLS:
            setattr(self, name, partial(self._call, name))

    @contextmanager
    def refusing(self, *names: str) -> Iterator[None]:
        """Let the calls of these names fail, for a while."""
        before, self.fails = self.fails, lambda _, name: name in names
        try:
            yield
        finally:
            self.fails = before

    def _call(self, name: str, *args: Any) -> Any:
        self.calls += 1
        # A close that fails has closed all the same.
        if name != "close" and self.fails(self.calls, name):
            raise OSError(self.error, os.strerror(self.error))
        return None if name.startswith("sync") else getattr(Disk, name)(self, *args)
