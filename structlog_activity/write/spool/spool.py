"""
The spool: rows that wait on disk, appended by any thread, read by one.
"""

from __future__ import annotations

import os

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final
from uuid import UUID

from ...record.row import Row
from ...store.batch import Batch
from ..ticks import Ticks
from .chunk import Chunk
from .counts import SpoolCounts
from .disk import HAS_LOCKS, Disk
from .frames import frame
from .line import Line
from .marks import Identity, Mark
from .reading import Reader, Span
from .rowbytes import encode
from .segment import HEADER, LONGEST, Segment


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
        self._new_line = partial(
            Line,
            disk or Disk(),
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
        self._readers: dict[Segment, Reader] = {}
        self._adopted: Reader | None = None
        self._adopted_left = 0
        self._others_first = False
        self._counts: Counter[str] = Counter()
        self._appended = Ticks()
        self._unsynced = Ticks()
        self._evicted = Ticks()
        self._damaged = Ticks()
        self._damaged_adopted = Ticks()

    # -- for everybody --------------------------------------------------------

    def append(self, row: Row) -> bool:
        """
        Put a row on disk; return whether it is there.

        It isn't where the bound is reached, the disk refuses or the spool is
        closed: then the caller keeps it elsewhere. With *synced* it may be
        there although the disk didn't confirm it; then it comes twice, and its
        key tells.
        """
        body = encode(row)
        try:
            segment = self._segments[-1]
            segment.write(frame(body, segment.seed))
        except (IndexError, ValueError):
            found = self._line.put((body,))
            if found is None:
                return False
            segment = found
        self._appended.tick()
        return not self._synced or self._is_synced(segment)

    def evict(self) -> int:
        """
        Delete the oldest segment of this process that is full and not on its way.

        It returns how many rows are lost by that; 0 if there is no such segment.
        """
        with self._line.making:
            for segment in tuple(self._segments)[:-1]:
                segment.seal()
                if segment.claim.acquire(blocking=False):
                    return self._evict(segment)
        return 0

    @property
    def trouble(self) -> str | None:
        """Why no segment could be made or read at last; `None` when all is well."""
        return self._line.trouble

    def counts(self) -> SpoolCounts:
        """Return what went through; exact when no other call is under way."""
        return SpoolCounts(
            appended=self._appended.value,
            unsynced=self._unsynced.value,
            evicted=self._evicted.value,
            damaged=self._damaged.value,
            damaged_adopted=self._damaged_adopted.value,
            corrupt=self._line.folder.corrupt,
            bytes=self._line.folder.bytes,
            **{name: self._counts[name] for name in _WRITERS_COUNTS},
        )

    def _is_synced(self, segment: Segment) -> bool:
        if segment.commit.wait():
            return True
        segment.seal()
        self._unsynced.tick()
        return False

    def _evict(self, segment: Segment) -> int:
        try:
            lost = self._reader_of(segment).rows_left()
        except OSError as error:
            self._line.note(error)
            segment.claim.release()
            return 0
        self._retire(segment)
        for _ in range(lost):
            self._evicted.tick()
        return lost

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
        line = self._line
        try:
            while self._adopted is None and not line.closed:
                segment = line.folder.orphan()
                if segment is None:
                    break
                self._welcome(segment)
        except OSError as error:
            line.note(error)
        if line.folder.trouble is not None:
            line.note(line.folder.trouble)
        return self._adopted_left if self._adopted else 0

    def take(self, most: int, most_bytes: int = 1 << 20) -> Chunk | None:
        """
        Return the next rows, own and adopted ones in turn; `None` if there are none.

        Args:

            most: How many; but rows that were one batch before stay together.

            most_bytes: How large they may be in all, unless the first one is
                larger.
        """
        if self._line.closed:
            return None
        self._others_first = not self._others_first
        lanes = [self._own(), self._others()]
        for lane in reversed(lanes) if self._others_first else lanes:
            for reader in lane:
                chunk = self._take_from(reader, most, most_bytes)
                if chunk is not None:
                    return chunk
        return None

    def keep(self, batch: Batch, *, fixed: bool) -> bool:
        """
        Put the rows of a batch on disk that waited in memory; return whether all are there.

        Args:

            batch: Its rows; none of them came from the spool.

            fixed: Whether it may have been sent: then it must be sent again
                under its identity.
        """
        bodies = [encode(row) for row in batch.rows]
        identity = (batch.writer_id, batch.seq, batch.batch_id)

        def mark(segment: Segment, end: int) -> None:
            if fixed:
                segment.mark([Mark(identity, HEADER, end)], synced=self._synced)

        if fixed or not self._line.fits(bodies):
            kept = self._line.put_apart(bodies, mark)
        else:
            segment = self._line.put(bodies)
            kept = segment is not None and (not self._synced or self._is_synced(segment))
        self._counts["kept"] += kept * len(bodies)
        return kept

    def close(self) -> None:
        """Delete what is settled, and leave the rest to whoever adopts it."""
        self._line.close(self._is_finished)

    def abandon(self) -> None:
        """
        Forget everything, in a forked child: it is all the parent's.

        Closes descriptors and memory without touching a file or a lock. The
        spool is new and empty afterwards.
        """
        self._line.abandon()
        self._reset()

    # -- reading --------------------------------------------------------------

    def _own(self) -> Iterator[Reader]:
        line = tuple(self._segments)
        for segment in line:
            if segment is not line[-1]:
                segment.seal()
            try:
                reader = self._reader_of(segment)
            except OSError as error:
                self._line.note(error)
                continue
            yield reader

    def _others(self) -> Iterator[Reader]:
        if self._adopted is not None:
            yield self._adopted

    def _reader_of(self, segment: Segment) -> Reader:
        reader = self._readers.get(segment)
        if reader is None:
            reader = Reader(segment, inherited=False, damaged=self._damaged.tick)
            if segment.is_marked:
                reader.load()
            reader = self._readers.setdefault(segment, reader)
        return reader

    def _take_from(self, reader: Reader, most: int, most_bytes: int) -> Chunk | None:
        if not reader.claim():
            return None
        identity: Identity | None = None
        spans: list[Span] = []
        try:
            identity, spans = reader.next(most, most_bytes)
            if not spans and reader.is_finished():
                self._finish(reader)
                return None
        except OSError as error:
            self._line.note(error)
        if not spans:
            reader.unclaim()
            return None
        reader.outstanding += 1
        self._counts["taken_adopted" if reader.inherited else "taken"] += len(spans)
        return Chunk(
            reader,
            identity,
            spans,
            synced=self._synced,
            settled=self._note_settled,
            done=self._note_done,
        )

    def _welcome(self, segment: Segment) -> None:
        reader = Reader(segment, inherited=True, damaged=self._damaged_adopted.tick)
        try:
            self._adopted_left = reader.load()
        except OSError:
            segment.close()
            raise
        self._counts["adopted"] += self._adopted_left
        self._adopted = reader
        if not self._adopted_left and reader.is_finished():
            self._finish(reader)

    def _note_settled(self, reader: Reader, rows: int) -> None:
        if not self._knows(reader):
            return
        self._counts["settled_adopted" if reader.inherited else "settled"] += rows
        if reader is self._adopted:
            self._adopted_left -= rows

    def _note_done(self, reader: Reader) -> None:
        reader.outstanding -= 1
        if self._knows(reader) and self._is_finished(reader.segment):
            self._finish(reader)
        else:
            reader.unclaim()

    def _knows(self, reader: Reader) -> bool:
        """Whether it isn't one of the parent process."""
        return reader is self._adopted or self._readers.get(reader.segment) is reader

    def _is_finished(self, segment: Segment) -> bool:
        if not segment.is_open:
            return False
        try:
            if self._adopted is not None and self._adopted.segment is segment:
                return self._adopted.is_finished()
            return self._reader_of(segment).is_finished()
        except OSError as error:
            self._line.note(error)
            return False

    def _finish(self, reader: Reader) -> None:
        if reader is self._adopted:
            self._adopted = None
        self._retire(reader.segment, spoiled=reader.spoiled)

    def _retire(self, segment: Segment, *, spoiled: bool = False) -> None:
        self._line.retire(segment, spoiled=spoiled)
        self._readers.pop(segment, None)


_WRITERS_COUNTS: Final = (
    "kept", "adopted", "taken", "taken_adopted", "settled", "settled_adopted",
)  # fmt: skip
