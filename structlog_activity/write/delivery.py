"""
Getting rows into a repository, whatever it answers.
"""

from __future__ import annotations

import secrets
import time

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from ..record.ids import uuid7
from ..record.row import Row
from ..store.batch import Batch
from ..store.faults import Fault, StoreError
from ..store.repository import Repository
from .report import Reporter
from .schedule import RetrySchedule


_UNKNOWN_TRIES: Final = 3
_DEAD_KEPT: Final = 1_000
_TROUBLE: Final = "trouble"


class DeliveryAbandonedError(Exception):
    """The time for retrying is up; what is not settled stays unwritten."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """
    A row that the database will never take.

    Attributes:

        row: The row.

        reason: Why, without any of its values.
    """

    row: Row
    reason: str


class Delivery:
    """
    Write rows until each is settled: written, there already, or dead.

    One thread at a time uses it. Only a row's own fault makes it a dead
    letter; an outage, a missing table or a wrong password never do: the batch
    is tried again until it passes or *wait* says that the time is up.

    Args:

        repository: Where to.

        wait: Waits so many seconds; returns `False` when it is time to
            give up.

        reporter: Told of troubles.

        schedule: Says how long to wait.

        clock: Returns seconds that never go back.
    """

    def __init__(
        self,
        repository: Repository,
        *,
        wait: Callable[[float], bool],
        reporter: Reporter | None = None,
        schedule: RetrySchedule | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._repository = repository
        self._wait = wait
        self._reporter = reporter or Reporter()
        self._schedule = schedule or RetrySchedule()
        self._clock = clock
        self._writer_id: UUID = uuid7()
        self._seq = 0
        self.settled: Counter[str] = Counter(written=0, duplicates=0, dead=0)
        self.dead_letters: deque[DeadLetter] = deque(maxlen=_DEAD_KEPT)
        self.trouble: StoreError | None = None
        self.trouble_since = 0.0

    def deliver(self, rows: Sequence[Row]) -> None:
        """
        Settle all *rows*.

        Raises:

            DeliveryAbandonedError: *wait* said to give up.
        """
        rows = self._without_twins(rows)
        while rows:
            written = self.settled["written"]
            suspects = self._settle(rows)
            if suspects and self.settled["written"] == written:
                # Not one row came through: more likely an odd outage than as
                # many odd rows.
                self._pause(self.trouble)
                rows = suspects
                continue
            for row in suspects:
                self._set_aside(row, self.trouble)
            rows = []

    def _settle(self, rows: Sequence[Row]) -> list[Row]:
        """Settle rows; return those that fail for reasons nobody knows."""
        batch = self._batch(rows)
        tries = 0
        while batch.rows:
            error = self._write(batch)
            if error is None:
                return []
            tries += 1
            if error.fault is Fault.UNKNOWN and tries >= _UNKNOWN_TRIES:
                self._note_trouble(error)
                return self._halves(batch.rows) if len(batch.rows) > 1 else list(batch.rows)
            if error.fault in (Fault.DATA, Fault.DUPLICATE):
                guilty = self._settle_guilty(batch.rows, error)
                if not guilty:
                    return self._halves(batch.rows)
                batch = self._rest(batch, guilty)
            else:
                self._pause(error)
        return []

    def _write(self, batch: Batch) -> StoreError | None:
        try:
            self._repository.write(batch)
        except StoreError as error:
            return error
        except Exception as error:  # noqa: BLE001  A repository of somebody else's.
            return StoreError(Fault.UNKNOWN, f"the repository raised {type(error).__name__}")
        self._succeeded(len(batch.rows))
        return None

    def _settle_guilty(self, rows: Sequence[Row], error: StoreError) -> set[int]:
        """Settle the rows at fault; return their indexes, none where nobody knows which."""
        if error.fault is Fault.DUPLICATE:
            there = self._stored(rows)
            if there:
                self.settled["duplicates"] += len(there)
                return there
        index = 0 if len(rows) == 1 else error.row
        if index is None or index >= len(rows):
            return set()
        self._set_aside(rows[index], error)
        return {index}

    def _halves(self, rows: Sequence[Row]) -> list[Row]:
        middle = len(rows) // 2
        return self._settle(rows[:middle]) + self._settle(rows[middle:])

    def _stored(self, rows: Sequence[Row]) -> set[int]:
        while True:
            try:
                return self._repository.stored(rows)
            except StoreError as error:
                if error.fault is Fault.CONFIGURATION:  # An insert-only role may not look.
                    return set()
                self._pause(error)

    def _batch(self, rows: Sequence[Row]) -> Batch:
        self._seq += 1
        batch_id = (time.time_ns() // 1_000_000) << 22 | secrets.randbits(22)
        return Batch(self._writer_id, self._seq, batch_id & (2**63 - 1), rows)

    def _rest(self, batch: Batch, without: set[int]) -> Batch:
        # The same seq: of this batch nothing was committed.
        rows = [row for index, row in enumerate(batch.rows) if index not in without]
        return Batch(batch.writer_id, batch.seq, batch.batch_id, rows)

    def _without_twins(self, rows: Sequence[Row]) -> Sequence[Row]:
        unique = {row.key: row for row in reversed(rows)}
        if len(unique) == len(rows):
            return rows
        self.settled["duplicates"] += len(rows) - len(unique)
        return list(unique.values())[::-1]

    def _set_aside(self, row: Row, error: StoreError | None) -> None:
        reason = str(error) if error else "unknown"
        self.dead_letters.append(DeadLetter(row, reason))
        self.settled["dead"] += 1
        self._reporter.warn("dead", f"a record was set aside as a dead letter: {reason}")

    def _pause(self, error: StoreError | None) -> None:
        fault = error.fault if error else Fault.UNKNOWN
        if error:
            self._note_trouble(error)
        if not self._wait(self._schedule.failed(fault)):
            raise DeliveryAbandonedError

    def _note_trouble(self, error: StoreError) -> None:
        if self.trouble is None:
            self.trouble_since = self._clock()
        self.trouble = error
        self._reporter.warn(_TROUBLE, f"records can't be written and wait: {error}")

    def _succeeded(self, rows: int) -> None:
        self.settled["written"] += rows
        self._schedule.succeeded()
        if self.trouble is not None:
            seconds = self._clock() - self.trouble_since
            self.trouble = None
            self._reporter.forget(_TROUBLE)
            self._reporter.warn("recovered", f"records are written again after {seconds:.1f} s")
