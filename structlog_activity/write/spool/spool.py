"""
The spool: rows that wait on disk, appended by any thread, read by one.
"""

from __future__ import annotations

import os

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final
from uuid import UUID

from ...record.row import Row
from ...store.batch import Batch
from ..batches import BATCH_BYTES
from ..ticks import Ticks
from .backlog import Backlog
from .chunk import Chunk
from .counts import SpoolCounts
from .disk import HAS_LOCKS, Disk
from .erasing import Erased, Someone, erase_in_folder
from .frames import frame
from .header import HEADER
from .line import Line
from .marks import Mark
from .rowbytes import encode
from .segment import LONGEST, Segment


_SMALLEST: Final = 4096


class Spool:
    """
    Hold rows in memory-mapped files, which the kernel keeps when the process is killed.

    `append` is for everybody: threads, signal handlers, finalizers. In the
    steady state it makes no system call and takes no lock. `evict` and the
    counts are for any thread, too; all else is for the writer, one call at a
    time.

    Args:

        folder: Where the files are, on a local file system; several processes
            may share it. It is made with mode 0700, the files with 0600.

        writer_id: Returns an id that no other process has; asked again after
            `abandon`.

        max_bytes: Most bytes of segments in the folder, others' included.

        segment_bytes: Size of a segment. A row that is larger doesn't fit.

        synced: Whether `append` returns only when the row survives a power
            failure.

        disk: Does the system calls.

    Raises:

        RuntimeError: This platform has no ``flock``.

        ValueError: The sizes make no sense.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        writer_id: Callable[[], UUID],
        max_bytes: int = 1 << 30,
        segment_bytes: int = 4 << 20,
        synced: bool = False,
        disk: Disk | None = None,
    ) -> None:
        if not HAS_LOCKS:
            raise RuntimeError("a spool needs flock, which this platform doesn't have")
        if not _SMALLEST <= segment_bytes <= LONGEST:
            raise ValueError(f"segment_bytes={segment_bytes}: it must be {_SMALLEST} to {LONGEST}")
        if max_bytes < 2 * segment_bytes:
            raise ValueError(f"max_bytes={max_bytes}: two segments are {2 * segment_bytes} bytes")
        path = Path(folder).absolute()  # Whoever appends may have changed the directory.
        self._synced = synced
        self._path = path
        self._disk = disk or Disk()
        self._new_line = partial(
            Line,
            self._disk,
            path,
            writer_id=writer_id,
            max_bytes=max_bytes,
            segment_bytes=segment_bytes,
            synced=synced,
        )
        self._reset()

    def _reset(self) -> None:
        self._line = self._new_line()
        self._segments = self._line.segments
        self._backlog = Backlog(self._line, synced=self._synced)
        self._kept = Ticks()
        self._appended = Ticks()
        self._unsynced = Ticks()

    # -- for everybody --------------------------------------------------------

    def append(self, row: Row) -> bool:
        """
        Put a row on disk; return whether it is there.

        It isn't where the bound is reached, the disk refuses, the spool is
        closed, or the caller is a signal handler on top of another that makes a
        segment: then the caller keeps it elsewhere. With *synced* it may be
        there although the disk didn't confirm it: then it survives all but a
        power failure, and ``unsynced`` counts it.
        """
        body = encode(row)
        try:
            segment = self._segments[-1]
            # In one step: a frame that an interrupt leaves uncounted is never settled.
            self._appended.tick_with(segment.write, frame(body, segment.seed))
        except (IndexError, ValueError):
            found = self._line.put((body,), self._appended)
            if found is None:
                return False
            segment = found
        if self._synced:
            self._sync(segment)
        return True

    def evict(self) -> int:
        """
        Delete the oldest segment of this process that is full and not on its way.

        It returns how many rows are lost by that; 0 if there is no such segment.
        """
        return self._backlog.evict()

    def erase(self, someone: Someone, *, counts_only: bool = False) -> Erased:
        """
        Write over someone's rows in the folder, by what is left of them.

        Rows that are not handed out yet, and those in files that another process
        has open, are only counted.

        Args:

            someone: Whose rows.

            counts_only: Change nothing.
        """
        ours = {segment.name for segment in tuple(self._line.held)}
        own = self._backlog.erase(someone, counts_only=counts_only)
        return own.plus(
            erase_in_folder(self._disk, self._path, someone, ours, counts_only=counts_only)
        )

    @property
    def trouble(self) -> str | None:
        """Why no segment could be made or read at last; `None` when all is well."""
        return self._line.trouble

    def counts(self) -> SpoolCounts:
        """Return what went through; exact when no other call is under way."""
        backlog, folder = self._backlog, self._line.folder
        return SpoolCounts(
            appended=self._appended.value,
            unsynced=self._unsynced.value,
            kept=self._kept.value,
            evicted=backlog.evicted,
            damaged=backlog.damaged.value,
            damaged_adopted=backlog.damaged_adopted.value,
            corrupt=folder.corrupt,
            bytes=folder.bytes,
            **backlog.counts,
        )

    def _sync(self, segment: Segment, rows: int = 1) -> None:
        if segment.commit.wait():
            return
        segment.seal()
        for _ in range(rows):
            self._unsynced.tick()

    # -- for the writer -------------------------------------------------------

    def prepare(self) -> None:
        """
        Have a spare segment ready, so that no caller waits for one.

        It never raises; `trouble` tells what it could not do, and until it is
        called again, or something was settled, callers don't try either.
        """
        self._line.prepare()

    def adopt(self) -> int:
        """
        Take over a segment that a dead process left behind, if there is one.

        One at a time: while one is at hand there is nothing to do. Returns how
        many of its rows are not settled; 0 if there is none to be had.
        """
        return self._backlog.adopt()

    def take(self, most: int, most_bytes: int = BATCH_BYTES) -> Chunk | None:
        """
        Return the next rows, own and adopted ones in turn; `None` if there are none.

        Args:

            most: How many; but rows that were one batch before stay together.

            most_bytes: How large they may be in all, unless the first one is
                larger.
        """
        return self._backlog.take(most, most_bytes)

    def keep(self, batch: Batch, *, fixed: bool) -> bool:
        """
        Put the rows of a batch on disk that waited in memory; return whether all are there.

        Args:

            batch: Its rows; none of them came from the spool.

            fixed: Whether it may have been sent: then it must be sent again
                under its identity.
        """
        bodies = [encode(row) for row in batch.rows]

        def mark(segment: Segment, end: int) -> None:
            if fixed:
                segment.mark([Mark(batch.identity, HEADER, end)], synced=self._synced)

        if fixed or not self._line.fits(bodies):
            return self._line.put_apart(bodies, mark, self._kept)
        segment = self._line.put(bodies, self._kept)
        if segment is not None and self._synced:
            self._sync(segment, len(bodies))
        return segment is not None

    def close(self) -> None:
        """Delete what is settled, and leave the rest to whoever adopts it."""
        self._line.close(self._backlog.is_finished)

    def abandon(self) -> None:
        """
        Forget everything, in a forked child: it is all the parent's.

        Closes descriptors and memory without touching a file or a lock. The
        spool is new and empty afterwards.
        """
        self._line.abandon()
        self._reset()
