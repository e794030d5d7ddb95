"""
The line of this process's segments: where rows are appended.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import threading

from collections import deque
from collections.abc import Callable, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Final
from uuid import UUID

from ..ticks import Ticks
from .disk import Disk
from .folder import Folder
from .frames import HEAD, frame
from .header import HEADER
from .segment import LONGEST, Segment


_PAGE: Final = 4096
_MAKERS: Final = 2  # At once, in one thread.
_MAPPED: Final = 2  # So many sealed segments keep their memory, the next ones to be read.


class Line:
    """
    Append frames to the last segment, and put another behind it when it is full.

    Args:

        disk: Does the work.

        path: Of the folder.

        writer_id: Returns the id that segments bear; asked when the first one
            is made.

        max_bytes: Most bytes of segments in the folder.

        segment_bytes: Size of a segment.

        synced: Whether names must survive a power failure.

    Attributes:

        segments: Those of this process, in the order in which they are read.
            Frames go into the last one, and it alone decides: it changes in one
            step, so that whoever is interrupted anywhere leaves something sound.

        held: All segments that are open.

        trouble: Why no segment could be made or read at last.
    """

    def __init__(
        self,
        disk: Disk,
        path: Path,
        *,
        writer_id: Callable[[], UUID],
        max_bytes: int,
        segment_bytes: int,
        synced: bool,
    ) -> None:
        self._new_writer_id = writer_id
        self._max_bytes = max_bytes
        self._segment_bytes = segment_bytes
        self._synced = synced
        self._writer_id: UUID | None = None
        self._numbers = itertools.count()
        self._spares: deque[Segment] = deque()
        self._settled: dict[Segment, bool] = {}  # They couldn't be removed, or set apart.
        self._barred = False
        # Keeps threads from making a segment each; a signal handler on top of
        # one that does may make another, for no step depends on the one before.
        # One on top of that gets none: signals may come faster than segments are
        # made, and such a pile would never come to an end.
        self.making = threading.RLock()
        self._makers = 0
        self.segments: deque[Segment] = deque()
        self.held: set[Segment] = set()
        self.folder = Folder(disk, path, self.held, synced=synced)
        self.closed = False
        self.trouble: str | None = None

    # -- appending ------------------------------------------------------------

    def put(self, bodies: Sequence[bytes], ticks: Ticks) -> Segment | None:
        """Append and count frames, all or none, making room for them; return where they are."""
        if not self.fits(bodies):
            return None
        while True:
            last = None
            try:
                last = self.segments[-1]
                ticks.add_with(last.write, _frames(bodies, last.seed), len(bodies))
            except (IndexError, ValueError):
                if not self._rotate(last):
                    return None
            else:
                return last

    def fits(self, bodies: Sequence[bytes]) -> bool:
        """Whether so much goes into a segment."""
        return _size_of(bodies) <= self._segment_bytes - HEADER

    def put_apart(
        self, bodies: Sequence[bytes], mark: Callable[[Segment, int], None], ticks: Ticks
    ) -> bool:
        """
        Put frames into a segment of their own, to be read next; return whether they are there.

        Args:

            bodies: What they hold.

            mark: Called with the segment and the end of the frames before they
                are written, so that nobody ever finds them without a mark.

            ticks: Counts the frames.
        """
        size = HEADER + _size_of(bodies)
        if self.closed or size > LONGEST:
            return False
        try:
            with self.making:
                segment = self._make(-(-size // _PAGE) * _PAGE)
            try:
                mark(segment, size)
                segment.write(_frames(bodies, segment.seed))
                segment.seal()
                if self._synced:
                    segment.sync()
            except BaseException:
                self.retire(segment)
                raise
        except OSError as error:
            self.note(error)
            return False
        ticks.add_with(self.segments.appendleft, segment, len(bodies))
        if self.closed:  # In between; others will find it.
            segment.close()
        return True

    def prepare(self) -> None:
        """Have a spare segment ready; tell by `trouble` if it can't be."""
        with self.making:
            if self.closed:
                return
            self._barred = False
            try:
                self._tidy()
                if not self._spares:
                    self._spares.append(self._make(self._segment_bytes))
            except OSError as error:
                self._bar(error)
            else:
                self.trouble = None

    def _rotate(self, full: Segment | None) -> bool:
        """Put a segment behind the one that is full; return whether there is one."""
        with self.making:
            if full is not None:
                full.seal()  # Also where none follows: read to its end it makes room.
            if self.closed or self._barred:
                return False
            if self.segments and self.segments[-1] is not full:  # Somebody was faster.
                return True
            if self._makers >= _MAKERS:
                return False
            try:
                segment = self._spare() or self._make(self._segment_bytes)
            except OSError as error:
                self._bar(error)
                return False
            self.segments.append(segment)
            if self.closed:  # By a signal handler, in between.
                segment.close()
            return not self.closed

    def _spare(self) -> Segment | None:
        try:
            return self._spares.popleft()
        except IndexError:
            return None

    def _make(self, size: int) -> Segment:
        self.folder.ensure()
        self.folder.survey_once()
        if self.folder.bytes + size > self._max_bytes:
            raise OSError(errno.ENOSPC, f"the bound of {self._max_bytes} bytes is reached")
        if self._writer_id is None:
            self._writer_id = self._new_writer_id()
        makers = self._makers
        try:
            self._makers = makers + 1
            return self.folder.make(self._writer_id, next(self._numbers), size)
        finally:
            self._makers = makers  # Right wherever an exception strikes.

    def _bar(self, error: OSError) -> None:
        # Else every record would try again, at the price of some system calls.
        self._barred = True
        self.note(error)

    def note(self, error: OSError) -> None:
        """Remember what went wrong."""
        self.trouble = f"the spool can't be used: {error.strerror or type(error).__name__}"

    # -- the end of segments --------------------------------------------------

    def retire(self, segment: Segment, *, spoiled: bool = False) -> None:
        """Remove a segment that is done with; set it apart if somebody should look at it."""
        with contextlib.suppress(ValueError):  # Not of the line.
            self.segments.remove(segment)
        self._settled[segment] = spoiled
        try:
            self._end(segment)
        except OSError as error:
            self.note(error)
        else:
            self._barred = False  # There is room again.

    def close(self, is_finished: Callable[[Segment], bool]) -> None:
        """Remove what is done with, and leave the rest to others."""
        self.closed = True
        with self.making:
            for segment in sorted(self.held, key=attrgetter("name")):
                segment.seal()
                if is_finished(segment):
                    self.retire(segment)
                if self._synced and segment.is_open:
                    segment.commit.wait()
                segment.commit.finish()
                segment.close()
            self.segments.clear()
            self._spares.clear()
            self.folder.sweep()

    def abandon(self) -> None:
        """Close what the parent process has open, too, in a forked child."""
        self.closed = True
        for segment in tuple(self.held):
            segment.close()

    def _tidy(self) -> None:
        for segment in tuple(self._settled):
            self._end(segment)
        for segment in tuple(self._spares):
            if not segment.is_there():  # Somebody has removed files, or the folder.
                self._spares.remove(segment)
                segment.close()
        line = tuple(self.segments)
        if line and not line[-1].is_there():
            line[-1].seal()
        for segment in line[_MAPPED:-1]:
            if segment.sealed and segment.claim.acquire(blocking=False):
                segment.rest()
                segment.claim.release()

    def _end(self, segment: Segment) -> None:
        if self._settled.get(segment):
            self.folder.set_apart(segment)
        else:
            segment.remove()
        self._settled.pop(segment, None)


def _size_of(bodies: Sequence[bytes]) -> int:
    return sum(map(len, bodies)) + len(bodies) * HEAD


def _frames(bodies: Sequence[bytes], seed: int) -> bytes:
    return b"".join([frame(body, seed) for body in bodies])
