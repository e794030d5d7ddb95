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


class DeliveryAbandonedError(Exception):
    """The time for retrying is up; what is not settled waits for another call."""


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
    is tried again until it passes or *wait* says that the time is up. What is
    not settled by then is kept, with its ``(writer_id, seq)``, and comes first
    in the next call.

    Args:

        repository: Where to.

        wait: Waits so many seconds; returns `False` when it is time to
            give up.

        more: Returns rows that came since, if any. Where rows fail for
            reasons that nobody knows and no other row came through, these show
            whether the rows are at fault or the database.

        reporter: Told of troubles.

        schedule: Says how long to wait.

        clock: Returns seconds that never go back.
    """

    def __init__(
        self,
        repository: Repository,
        *,
        wait: Callable[[float], bool],
        more: Callable[[], Sequence[Row]] = tuple,
        reporter: Reporter | None = None,
        schedule: RetrySchedule | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._repository = repository
        self._wait = wait
        self._more = more
        self._reporter = reporter or Reporter()
        self._schedule = schedule or RetrySchedule()
        self._clock = clock
        self._writer_id: UUID = uuid7()
        self._seq = 0
        self._todo: deque[Batch] = deque()
        self._unknown = 0  # How often the first of them failed for reasons nobody knows.
        self._suspects: list[DeadLetter] = []
        self._written_before = 0
        self.settled: Counter[str] = Counter(written=0, duplicates=0, dead=0)
        self.dead_letters: deque[DeadLetter] = deque(maxlen=_DEAD_KEPT)
        self.trouble: StoreError | None = None
        self.trouble_since = 0.0

    def deliver(self, *batches: Sequence[Row]) -> None:
        """
        Settle all rows, each of *batches* in one transaction, as far as it goes.

        Raises:

            DeliveryAbandonedError: *wait* said to give up.
        """
        for rows in batches:
            self._add(self._without_twins(rows))
        while self._todo:
            self._try(self._todo[0])
            if not self._todo:
                self._judge()

    def _try(self, batch: Batch) -> None:
        """Write a batch once, and go by the answer."""
        error = self._write(batch)
        if error is None:
            self._replace_first()
        elif error.fault in (Fault.DATA, Fault.DUPLICATE):
            self._settle_guilty(batch, error)
        elif error.fault is Fault.SLOW:
            if len(batch.rows) > 1:  # The server said no, so nothing of it is in doubt.
                self._halve(batch)
            self._pause(error)
        elif error.fault is Fault.UNKNOWN and self._unknown + 1 >= _UNKNOWN_TRIES:
            self._note_trouble(error)
            self._suspect(batch, error)
        else:
            self._unknown += error.fault is Fault.UNKNOWN
            self._pause(error)

    def _write(self, batch: Batch) -> StoreError | None:
        try:
            self._repository.write(batch)
        except Exception as error:  # noqa: BLE001  A repository of somebody else's.
            return _store_error(error)
        self._succeeded(len(batch.rows))
        return None

    def _settle_guilty(self, batch: Batch, error: StoreError) -> None:
        """Settle the rows at fault, and leave the rest of *batch* for another try."""
        guilty = self._guilty(batch.rows, error)
        if not guilty:
            self._halve(batch)
            return
        rows = [row for index, row in enumerate(batch.rows) if index not in guilty]
        # The same seq: of this batch nothing was committed.
        rest = Batch(batch.writer_id, batch.seq, batch.batch_id, rows)
        self._replace_first(*([rest] if rows else []))

    def _guilty(self, rows: Sequence[Row], error: StoreError) -> set[int]:
        """Settle the rows at fault; return their indexes, none where nobody knows which."""
        index = 0 if len(rows) == 1 else error.row
        named = {index} if index is not None and 0 <= index < len(rows) else set()
        there = self._stored(rows, named) if error.fault is Fault.DUPLICATE else set()
        if there:
            self.settled["duplicates"] += len(there)
            return there
        for guilty in named:
            self._set_aside(DeadLetter(rows[guilty], str(error)))
        return named

    def _stored(self, rows: Sequence[Row], named: set[int]) -> set[int]:
        """Return the rows that are there, as far as we may look; *named* is said to be."""
        while True:
            try:
                return self._repository.stored(rows)
            except Exception as raised:  # noqa: BLE001  A repository of somebody else's.
                error = _store_error(raised)
                if error.fault is Fault.CONFIGURATION:  # An insert-only role may not look.
                    return named
                self._pause(error)

    def _suspect(self, batch: Batch, error: StoreError) -> None:
        if len(batch.rows) > 1:
            self._halve(batch)
            return
        self._suspects.append(DeadLetter(batch.rows[0], str(error)))
        self._replace_first()

    def _judge(self) -> None:
        """Set suspects aside if another row came through, else try them again with others."""
        suspects, self._suspects = self._suspects, []
        if self.settled["written"] > self._written_before:
            for letter in suspects:
                self._set_aside(letter)
        elif suspects:
            # Not one row came through: more likely an odd outage than as many odd rows.
            rows = [letter.row for letter in suspects]
            self._add(rows)
            self._pause(self.trouble)
            self._replace_first(self._batch(self._without_twins([*rows, *self._more()])))
        self._written_before = self.settled["written"]

    # -- batches that wait --------------------------------------------------

    def _add(self, rows: Sequence[Row]) -> None:
        if rows:
            self._todo.append(self._batch(rows))

    def _halve(self, batch: Batch) -> None:
        middle = len(batch.rows) // 2
        halves = batch.rows[:middle], batch.rows[middle:]
        self._replace_first(*[self._batch(rows) for rows in halves])

    def _replace_first(self, *batches: Batch) -> None:
        self._todo.popleft()
        self._todo.extendleft(reversed(batches))
        self._unknown = 0

    def _batch(self, rows: Sequence[Row]) -> Batch:
        self._seq += 1
        batch_id = (time.time_ns() // 1_000_000) << 22 | secrets.randbits(22)
        return Batch(self._writer_id, self._seq, batch_id & (2**63 - 1), rows)

    def _without_twins(self, rows: Sequence[Row]) -> Sequence[Row]:
        unique: dict[tuple[bytes, int, bytes], Row] = {}
        for row in rows:
            unique.setdefault(row.key, row)
        self.settled["duplicates"] += len(rows) - len(unique)
        return list(unique.values())

    # -- what is told -------------------------------------------------------

    def _set_aside(self, letter: DeadLetter) -> None:
        self.dead_letters.append(letter)
        self.settled["dead"] += 1
        self._reporter.warn("dead", f"a record was set aside as a dead letter: {letter.reason}")

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
        self._reporter.warn("trouble", f"records can't be written and wait: {error}")

    def _succeeded(self, rows: int) -> None:
        self.settled["written"] += rows
        self._schedule.succeeded()
        if self.trouble is not None:
            seconds = self._clock() - self.trouble_since
            self.trouble = None
            self._reporter.warn("recovered", f"records are written again after {seconds:.1f} s")


def _store_error(error: Exception) -> StoreError:
    if isinstance(error, StoreError):
        return error
    return StoreError(Fault.UNKNOWN, f"the repository raised {type(error).__name__}")
