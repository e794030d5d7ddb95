"""
The backlog: what is on disk and not settled, handed out in chunks.
"""

from __future__ import annotations

import contextlib

from collections import Counter
from collections.abc import Iterator

from ...store.batch import Identity
from ..ticks import Ticks
from .chunk import Chunk
from .erasing import Erased, Someone, erase_rows
from .header import HEADER
from .line import Line
from .reading import Reader, Span
from .segment import Segment


class Backlog:
    """
    Read the segments of this process and, one after another, those of dead ones.

    Args:

        line: The segments of this process.

        synced: Whether marks must survive a power failure.

    Attributes:

        counts: Of the writer's, by the names in `SpoolCounts`.
    """

    def __init__(self, line: Line, *, synced: bool) -> None:
        self._line = line
        self._synced = synced
        self._readers: dict[Segment, Reader] = {}
        self._adopted: Reader | None = None
        self._adopted_left = 0
        self._others_first = False
        self.counts = Counter(
            adopted=0, taken=0, taken_adopted=0, settled=0, settled_adopted=0
        )  # fmt: skip
        self._evicted: dict[str, int] = {}  # Of each segment, and true once it left the line.
        self.damaged = Ticks()
        self.damaged_adopted = Ticks()

    def adopt(self) -> int:
        """Have a segment of a dead process at hand; return how many of its rows aren't settled."""
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

    def take(self, most: int, most_bytes: int) -> Chunk | None:
        """Return the next rows, own and adopted ones in turn."""
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

    def evict(self) -> int:
        """Remove the oldest segment that is full and not on its way; return how many rows go."""
        with self._line.making:
            for segment in tuple(self._line.segments)[:-1]:
                segment.seal()
                lost = self._evict(segment)
                if lost is not None:
                    return lost
        return 0

    @property
    def evicted(self) -> int:
        """How many rows were thrown away."""
        there = {segment.name for segment in tuple(self._line.segments)}
        return sum(lost for name, lost in self._evicted.copy().items() if name not in there)

    def erase(self, someone: Someone, *, counts_only: bool) -> Erased:
        """Write over someone's rows that were handed out, in the segments of this process."""
        found = Erased()
        for segment in tuple(self._line.held):
            reader = self._readers.get(segment)
            end = HEADER if reader is None else reader.read_to
            write = None if counts_only else segment.overwrite
            # Done with, and closed meanwhile.
            with contextlib.suppress(OSError, ValueError):
                found = found.plus(
                    erase_rows(segment.view(), segment.seed, someone, write, end=end)
                )
        return found

    def is_finished(self, segment: Segment) -> bool:
        """Whether a segment needs no one to read it."""
        if not segment.is_open:
            return False
        try:
            if self._adopted is not None and self._adopted.segment is segment:
                return self._adopted.is_finished()
            return self._reader_of(segment).is_finished()
        except OSError as error:
            self._line.note(error)
            return False

    # -- handing out ----------------------------------------------------------

    def _own(self) -> Iterator[Reader]:
        line = tuple(self._line.segments)
        for segment in line:
            if segment is not line[-1]:
                segment.seal()
            try:
                reader = self._reader_of(segment)
            except OSError as error:
                self._line.note(error)
            else:
                yield reader

    def _others(self) -> Iterator[Reader]:
        if self._adopted is not None:
            yield self._adopted

    def _reader_of(self, segment: Segment) -> Reader:
        reader = self._readers.get(segment)
        if reader is None:
            reader = Reader(segment, inherited=False, damaged=self.damaged.tick)
            if segment.is_marked:
                reader.load()
            reader = self._readers.setdefault(segment, reader)
        return reader

    def _take_from(self, reader: Reader, most: int, most_bytes: int) -> Chunk | None:
        if not reader.claim():
            return None
        identity, spans = self._read(reader, most, most_bytes)
        if spans:
            reader.outstanding += 1
            self.counts["taken_adopted" if reader.inherited else "taken"] += len(spans)
            return Chunk(
                reader,
                identity,
                spans,
                synced=self._synced,
                settled=self._note_settled,
                done=self._note_done,
            )
        if self.is_finished(reader.segment):
            self._finish(reader)
        else:
            reader.unclaim()
        return None

    def _read(
        self, reader: Reader, most: int, most_bytes: int
    ) -> tuple[Identity | None, list[Span]]:
        try:
            return reader.next(most, most_bytes)
        except OSError as error:
            self._line.note(error)
            return None, []

    def _note_settled(self, reader: Reader, rows: int) -> None:
        self.counts["settled_adopted" if reader.inherited else "settled"] += rows
        if reader is self._adopted:
            self._adopted_left -= rows

    def _note_done(self, reader: Reader) -> None:
        reader.outstanding -= 1
        if self.is_finished(reader.segment):
            self._finish(reader)
        else:
            reader.unclaim()

    # -- the ends of segments -------------------------------------------------

    def _welcome(self, segment: Segment) -> None:
        reader = Reader(segment, inherited=True, damaged=self.damaged_adopted.tick)
        try:
            left = reader.load()
        except OSError:
            segment.close()
            raise
        self.counts["adopted"] += left
        self._adopted = reader
        self._adopted_left = left
        if not left and self.is_finished(segment):
            self._finish(reader)

    def _evict(self, segment: Segment) -> int | None:
        """Remove a segment; return how many rows go with it, `None` if it is on its way."""
        claimed: list[bool] = []
        try:
            # Noted in the same step: an interrupt may strike right behind it.
            claimed.extend(map(segment.claim.acquire, (False,)))
            if not claimed[0]:
                return None
            self._evicted[segment.name] = lost = self._reader_of(segment).rows_left()
            self._retire(segment)
        except OSError as error:
            self._line.note(error)
            segment.claim.release()
            return 0
        except BaseException:
            if any(claimed):
                self._end_eviction(segment)
            raise
        return lost

    def _end_eviction(self, segment: Segment) -> None:
        """Undo an eviction, or finish it, into which an interrupt came."""
        if segment in tuple(self._line.segments):
            self._evicted.pop(segment.name, None)
            segment.claim.release()
        else:
            self._retire(segment)

    def _finish(self, reader: Reader) -> None:
        if reader is self._adopted:
            self._adopted = None
        self._retire(reader.segment, spoiled=reader.spoiled)

    def _retire(self, segment: Segment, *, spoiled: bool = False) -> None:
        self._line.retire(segment, spoiled=spoiled)
        self._readers.pop(segment, None)
