"""
Rows in bulk, written from the calling thread: for history, not for log calls.
"""

from __future__ import annotations

import time

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from ..record.row import Row
from ..store.faults import Fault, StoreError
from ..store.repository import Repository
from .deadletters import DeadLetters
from .delivery import Delivery, DeliveryAbandonedError


_PATIENCE: Final = 30.0  # seconds


class Importer:
    """
    Store rows that may be stored already.

    Args:

        repository: Where to.

        patience: How long an outage may last, in seconds.

        sleep: Waits so many seconds.

        clock: Returns seconds that never go back.
    """

    def __init__(
        self,
        repository: Repository,
        *,
        patience: float = _PATIENCE,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._repository = repository
        self._patience = patience
        self._sleep = sleep
        self._clock = clock
        self._delivery = Delivery(repository, wait=self._wait, clock=clock)
        self._room: tuple[int, int] | None = None

    @property
    def counts(self) -> Counter[str]:
        """How many rows were ``written``, were there already (``duplicates``), are ``dead``."""
        return self._delivery.settled

    @property
    def dead_letters(self) -> DeadLetters:
        """The rows that the database refused, the last thousand of them."""
        return self._delivery.dead_letters

    def store(self, rows: Sequence[Row]) -> None:
        """
        Write those of *rows* that are not stored yet.

        Raises:

            StoreError: The database can't be used, or was away for too long.
        """
        if not rows:
            return
        self._make_room(rows)
        there = self._repository.stored(rows)
        self.counts["duplicates"] += len(there)
        try:
            self._delivery.deliver([row for ix, row in enumerate(rows) if ix not in there])
        except DeliveryAbandonedError:
            raise self._delivery.trouble or StoreError(Fault.UNKNOWN, "gave up") from None

    def close(self) -> None:
        """Let go of the connection."""
        self._repository.finish()
        self._repository.close()

    def _make_room(self, rows: Sequence[Row]) -> None:
        times = [row.created_at for row in rows]
        first, last = min(times), max(times)
        if self._room is not None and self._room[0] <= first and last <= self._room[1]:
            return
        if self._room is not None:
            first, last = min(first, self._room[0]), max(last, self._room[1])
        self._room = first, last
        try:
            self._repository.make_room(first, last)
        except StoreError as error:
            # Without the privilege the rows go where they can; that is no loss.
            if error.fault is not Fault.CONFIGURATION or not error.sqlstate:
                raise

    def _wait(self, seconds: float) -> bool:
        trouble = self._delivery.trouble
        if trouble is None or trouble.fault is Fault.CONFIGURATION:
            return False
        if self._clock() - self._delivery.trouble_since > self._patience:
            return False
        self._sleep(seconds)
        return True
