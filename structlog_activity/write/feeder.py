"""
The spool as the writer sees it: what waits on disk, its own and what others left.
"""

from __future__ import annotations

import contextlib
import time

from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from ..record.row import Row
from ..store.batch import Batch
from .delivery import Delivery
from .origin import Origin
from .spool.chunk import Chunk
from .spool.marks import MarkError
from .spool.spool import Spool


LOOK_PERIOD: Final = 30.0
"""Seconds between two looks for what a process left that died meanwhile."""

_PREPARE_PERIOD: Final = 1.0  # seconds between two tries where the disk refuses


class ChunkOrigin(Origin):
    """
    Rows of one chunk of the spool.

    Args:

        chunk: The chunk.
    """

    on_disk: ClassVar[bool] = True

    def __init__(self, chunk: Chunk) -> None:
        super().__init__(inherited=chunk.inherited)
        self._chunk = chunk
        self._left = len(chunk.rows)

    def fix(self, batch: Batch) -> None:
        """Write down which rows *batch* has."""
        # Sent in any case: after a crash the primary key still keeps rows from
        # doubling, while to wait for a full disk would keep it full.
        with contextlib.suppress(MarkError):
            self._chunk.fix(batch)

    def settle(self, rows: Sequence[Row], *, alone: bool = False) -> None:
        """Let go of the chunk with its last row."""
        super().settle(rows, alone=alone)
        self._left -= len(rows)
        if self._left <= 0:
            self._chunk.settle()
        elif alone:
            self._chunk.set_aside(rows)
        else:
            self._chunk.let_go(rows)


class Feeder:
    """
    Feed a delivery from a spool, and look after the spool.

    Args:

        spool: The spool.

        clock: Returns seconds that never go back.

    Attributes:

        looks_done: How many looks for what others left came to an end: nothing
            was left, and what there was is settled.
    """

    def __init__(self, spool: Spool, clock: Callable[[], float] = time.monotonic) -> None:
        self._spool = spool
        self._clock = clock
        self._next_look = self._next_prepare = float("-inf")
        self._looks_wanted = 1
        self.looks_done = 0

    def want_look(self) -> int:
        """Ask for a look now; return what `looks_done` will then have reached."""
        # The one that is under way may be past what the caller means.
        self._looks_wanted = self.looks_done + 2
        return self._looks_wanted

    @property
    def is_wanted(self) -> bool:
        """Whether a look is wanted that is not done."""
        return self.looks_done < self._looks_wanted

    def look_after(self) -> None:
        """Have room for records to come, and take over what dead processes left."""
        now = self._clock()
        if self._spool.trouble is None or now >= self._next_prepare:
            self._spool.prepare()
            self._next_prepare = now + _PREPARE_PERIOD
        is_due = self.is_wanted or now >= self._next_look
        # One at a time: processes that share a folder share the work as well.
        if is_due and self._spool.adopt() == 0:
            self.looks_done += 1
            self._next_look = now + LOOK_PERIOD

    def feed(self, delivery: Delivery, most: int) -> bool:
        """Give *delivery* what waits longest, at most that many rows; return whether any does."""
        chunk = self._spool.take(most)
        if chunk is None:
            return False
        origin = ChunkOrigin(chunk)
        if chunk.identity is None:
            delivery.add(chunk.rows, origin)
        else:
            batch = Batch(*chunk.identity, chunk.rows, inherited=chunk.inherited)
            delivery.add_fixed(batch, origin)
        return True
