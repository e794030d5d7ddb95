"""
Reading a segment: which of its rows are sent together, and when it is done with.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from ...record.row import Row
from ...store.batch import Identity
from .frames import View, body_at, scan
from .header import HEADER
from .marks import SETTLED, identities
from .rowbytes import UnreadableRowError, decode
from .segment import Segment


class Span(NamedTuple):
    """A row, and where its frame starts and ends."""

    start: int
    end: int
    row: Row


class Reader:
    """
    Hand out the rows of one segment, each once.

    Args:

        segment: May still be appended to.

        inherited: Whether it is somebody else's.

        damaged: Called for each frame that is damaged.
    """

    def __init__(self, segment: Segment, *, inherited: bool, damaged: Callable[[], object]) -> None:
        self.segment = segment
        self.inherited = inherited
        self._damaged = damaged
        self._at = HEADER
        self._content: bytes | None = None
        self._marked: frozenset[int] = frozenset()
        self._groups: deque[tuple[Identity, list[tuple[int, int]]]] = deque()
        self._torn = False
        self._ended = False
        self.outstanding = 0  # chunks
        self.spoiled = False

    def load(self) -> int:
        """
        Heed what was marked before, in a sealed segment; return how many rows it has to send.

        Raises:

            OSError: It can't be read.
        """
        marks = self.segment.load_marks()
        frames = [
            (start, end)
            for start, end, body in scan(self._view(), HEADER, self.segment.seed)
            if body and _row(body)
        ]
        known = identities(marks, [start for start, _ in frames])
        groups: dict[Identity, list[tuple[int, int]]] = {}
        for start, end in frames:
            if start in known:
                groups.setdefault(known[start], []).append((start, end))
        self._marked = frozenset(known)
        settled = groups.pop(SETTLED, [])
        self._groups.extend(groups.items())
        return len(frames) - len(settled)

    def next(self, most: int, most_bytes: int) -> tuple[Identity | None, list[Span]]:
        """
        Return rows for one batch, and its identity if it has one.

        Rows that were marked as one batch come together however many they are:
        under their identity they are there all or not at all.

        Raises:

            OSError: The segment can't be read.
        """
        if not self._groups:
            return None, self._unmarked(most, most_bytes)
        view = self._view()
        identity, frames = self._groups.popleft()
        rows = ((start, end, _row(body_at(view, start, end))) for start, end in frames)
        return identity, [Span(start, end, row) for start, end, row in rows if row]

    @property
    def read_to(self) -> int:
        """Where the first frame is that was not handed out; what has marks may be beyond."""
        return HEADER if self._groups else self._at

    def claim(self) -> bool:
        """Keep others from evicting the segment; return `False` if somebody does."""
        return self.outstanding > 0 or self.segment.claim.acquire(blocking=False)

    def unclaim(self) -> None:
        """Let others evict the segment, unless rows of it are on their way."""
        if not self.outstanding:
            self.segment.claim.release()

    def is_finished(self) -> bool:
        """
        Whether nothing is left to do for this segment.

        Raises:

            OSError: It can't be read.
        """
        if self.outstanding or self._groups:
            return False
        self._unmarked(0, 0)
        return self._ended

    def rows_left(self) -> int:
        """
        Return how many rows were not handed out, of a segment without marks.

        Raises:

            OSError: It can't be read.
        """
        found = scan(self._view(), self._at, self.segment.seed)
        alone = sum(1 for start, _, body in found if body and start not in self._marked)
        return alone + sum(len(frames) for _, frames in self._groups)

    def _unmarked(self, most: int, most_bytes: int) -> list[Span]:
        out: list[Span] = []
        segment = self.segment
        sealed = segment.sealed  # Asked before it is read: after that nothing comes.
        for start, end, body in scan(self._view(), self._at, segment.seed):
            if body is None and not sealed:
                # What is appended behind damage could be overlooked.
                segment.seal()
                return out
            if start not in self._marked:
                row = _row(body) if body else None
                if row is None:
                    self._note_damage(body)
                elif len(out) >= most or (out and end - out[0].start > most_bytes):
                    return out
                else:
                    out.append(Span(start, end, row))
            self._note_progress(end, body)
        self._ended = sealed
        return out

    def _note_damage(self, body: bytes | None) -> None:
        self._damaged()
        self._torn = True
        # A whole frame of a kind that we don't know isn't for us to throw away.
        self.spoiled = self.spoiled or body is not None

    def _note_progress(self, end: int, body: bytes | None) -> None:
        self._at = end
        # Damage at the very end is a frame during which the process was killed.
        self.spoiled = self.spoiled or (self._torn and body is not None)

    def _view(self) -> View:
        if self._content is not None:
            return self._content
        view = self.segment.view()
        if isinstance(view, bytes):
            self._content = view
        return view


def _row(body: bytes) -> Row | None:
    try:
        return decode(body)
    except UnreadableRowError:
        return None
