"""
Getting rows into a repository, whatever it answers.
"""

from __future__ import annotations

import threading
import time

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from typing import Final
from uuid import UUID

from ..record.ids import uuid7
from ..record.row import Row
from ..store.batch import Batch, new_batch_id
from ..store.faults import Fault, StoreError
from ..store.repository import Repository
from .deadletters import DeadLetter, DeadLetters, LettersInMemory
from .hooks import Hooks
from .origin import Origin
from .report import Reporter
from .schedule import RetrySchedule


_UNKNOWN_TRIES: Final = 3
_key: Final = itemgetter(slice(3))  # As Row.key, in C.


def _nothing() -> None:
    pass


class DeliveryAbandonedError(Exception):
    """The time for retrying is up; what is not settled waits for another call."""


@dataclass(slots=True)
class _Sending:
    """
    A batch on its way.

    Attributes:

        batch: The batch.

        origin: Where its rows come from.

        sent: The batch as it is written, enriched; `None` before the first try.

        is_fixed: Whether the origin knows the identity of the batch.

        is_accused: Its row failed where others came through; one more failure
            for a reason that nobody knows, and it is dead.
    """

    batch: Batch
    origin: Origin
    sent: Batch | None = None
    is_fixed: bool = False
    is_accused: bool = False


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

        dead_letters: Where rows go that the database will never take.

        hooks: The host's functions around the writing of a batch.

        meanwhile: What there is to do while a server works on a batch; it may
            `add` others.
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
        dead_letters: DeadLetters | None = None,
        hooks: Hooks | None = None,
        meanwhile: Callable[[], object] = _nothing,
    ) -> None:
        self._repository = repository
        self._hooks = hooks
        self._meanwhile = meanwhile
        self._wait = wait
        self._more = more
        self._reporter = reporter or Reporter()
        self._schedule = schedule or RetrySchedule()
        self._clock = clock
        self.writer_id: Final[UUID] = uuid7()
        self._seq = 0
        self._todo: deque[_Sending] = deque()
        self._unknown = 0  # How often the first of them failed for reasons nobody knows.
        self._suspects: list[tuple[Origin, Row]] = []
        self._written_before = 0
        self._accounts = threading.Lock()  # Against a surrender, which another thread may ask for.
        self._is_over = False
        self.memory = Origin()
        self.settled: Counter[str] = Counter(written=0, duplicates=0, dead=0, unkept=0)
        self.dead_letters: DeadLetters = LettersInMemory() if dead_letters is None else dead_letters
        self.trouble: StoreError | None = None
        self.trouble_since = 0.0

    def deliver(self, *batches: Sequence[Row], origin: Origin | None = None) -> None:
        """
        Settle all rows, each of *batches* in one transaction, as far as it goes.

        Args:

            batches: The rows.

            origin: Where they come from; default is memory.

        Raises:

            DeliveryAbandonedError: *wait* said to give up.
        """
        for rows in batches:
            self.add(rows, origin)
        while self._todo:
            self._try(self._todo[0])
            if not self._todo:
                self._judge()

    @property
    def is_on_its_last(self) -> bool:
        """Whether no batch waits behind the one under way."""
        return len(self._todo) <= 1

    def add(self, rows: Sequence[Row], origin: Origin | None = None) -> None:
        """Have *rows* sent by the next `deliver`, in one transaction."""
        origin = origin or self.memory
        if unique := self._without_twins(rows, origin):
            self._todo.append(_Sending(self._batch(unique), origin))

    def add_fixed(self, batch: Batch, origin: Origin) -> None:
        """Have a batch sent, by the next `deliver`, that may have been sent before."""
        self._todo.append(_Sending(batch, origin, is_fixed=True))

    def surrender(self) -> list[tuple[Batch, bool]]:
        """
        Give up what is not settled; whatever the call under way brings counts no more.

        Any thread may call this.

        Returns:

            The batches whose rows are in memory only, and whether each may
            have been sent already.
        """
        with self._accounts:
            self._is_over = True
            left = [(s.batch, s.is_fixed) for s in self._todo if not _is_safe(s.origin)]
            rows = [row for origin, row in self._suspects if not _is_safe(origin)]
        return left + ([(self._batch(rows), False)] if rows else [])

    def _try(self, sending: _Sending) -> None:
        """Write a batch once, and go by the answer."""
        sent = sending.sent or self._enriched(sending)
        try:
            self._fix(sending)
            is_new = self._repository.write(sent)
        except Exception as raised:  # noqa: BLE001  A repository of somebody else's.
            self._failed(sending, _store_error(raised))
            return
        outcome = "written" if is_new or not sending.origin.inherited else "duplicates"
        self._settle(outcome, sending.batch.rows, sending.origin)
        self._succeeded()
        self._replace_first()
        if outcome == "written" and sending.origin.counted and self._hooks is not None:
            self._hooks.tell(sent.rows)

    def _enriched(self, sending: _Sending) -> Batch:
        # A batch beside the first one: the spool knows rows by their identity.
        batch = sending.batch
        if self._hooks is not None and sending.origin.counted:
            batch = replace(batch, rows=self._hooks.enriched(batch.rows))
        sending.sent = batch
        return batch

    def _fix(self, sending: _Sending) -> None:
        if not sending.is_fixed:
            sending.origin.fix(sending.batch)
            sending.is_fixed = True

    def _failed(self, sending: _Sending, error: StoreError) -> None:
        if error.fault in (Fault.DATA, Fault.DUPLICATE):
            self._settle_guilty(sending, error)
        elif error.fault is Fault.UNKNOWN and sending.is_accused:
            self._set_aside(sending.batch.rows[0], str(error), sending.origin)
            self._replace_first()
        elif error.fault is Fault.SLOW:
            if len(sending.batch.rows) > 1:  # The server said no, so nothing of it is in doubt.
                self._halve(sending)
            self._pause(error)
        elif error.fault is Fault.UNKNOWN and self._unknown + 1 >= _UNKNOWN_TRIES:
            self._note_trouble(error)
            self._suspect(sending)
        else:
            self._unknown += error.fault is Fault.UNKNOWN
            self._pause(error)

    def _settle_guilty(self, sending: _Sending, error: StoreError) -> None:
        """Settle the rows at fault, and leave the rest of the batch for another try."""
        batch = sending.batch
        guilty = self._guilty(sending, error)
        if not guilty:
            self._halve(sending)
            return
        rows = [row for index, row in enumerate(batch.rows) if index not in guilty]
        # The same seq: of this batch nothing was committed.
        rest = replace(batch, rows=rows)
        self._replace_first(*([_Sending(rest, sending.origin)] if rows else []))

    def _guilty(self, sending: _Sending, error: StoreError) -> set[int]:
        """Settle the rows at fault; return their indexes, none where nobody knows which."""
        rows = sending.batch.rows
        index = 0 if len(rows) == 1 else error.row
        named = {index} if index is not None and 0 <= index < len(rows) else set()
        there = self._stored(rows, named) if error.fault is Fault.DUPLICATE else set()
        if there:
            self._settle("duplicates", [rows[ix] for ix in there], sending.origin, alone=True)
            return there
        for guilty in named:
            self._set_aside(rows[guilty], str(error), sending.origin)
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

    def _suspect(self, sending: _Sending) -> None:
        rows = sending.batch.rows
        if len(rows) > 1:
            self._halve(sending)
            return
        self._suspects.append((sending.origin, rows[0]))
        self._replace_first()

    def _judge(self) -> None:
        """Accuse suspects if another row came through, else try them again with others."""
        suspects, self._suspects = self._suspects, []
        if self.settled["written"] > self._written_before:
            for origin, row in suspects:
                self._todo.append(_Sending(self._batch([row]), origin, is_accused=True))
        elif suspects:
            # Not one row came through: more likely an odd outage than as many odd rows.
            for origin, those in groupby(suspects, key=itemgetter(0)):
                self.add([row for _, row in those], origin)
            self._pause(self.trouble)
            self.add(self._more())
        self._written_before = self.settled["written"]

    # -- batches that wait --------------------------------------------------

    def _halve(self, sending: _Sending) -> None:
        rows = sending.batch.rows
        middle = len(rows) // 2
        halves = [self._batch(half) for half in (rows[:middle], rows[middle:])]
        self._replace_first(*[_Sending(half, sending.origin) for half in halves])

    def _replace_first(self, *sendings: _Sending) -> None:
        self._todo.popleft()
        self._todo.extendleft(reversed(sendings))
        self._unknown = 0

    def _batch(self, rows: Sequence[Row]) -> Batch:
        self._seq += 1
        return Batch(self.writer_id, self._seq, new_batch_id(), rows, meanwhile=self._meanwhile)

    def _without_twins(self, rows: Sequence[Row], origin: Origin) -> Sequence[Row]:
        if len(set(map(_key, rows))) == len(rows):
            return rows
        unique: dict[tuple[bytes, int, bytes], Row] = {}
        for row in rows:
            unique.setdefault(row.key, row)
        self._settle("duplicates", list(_twins(rows)), origin, alone=True)
        return list(unique.values())

    # -- what is told -------------------------------------------------------

    def _settle(
        self, outcome: str, rows: Sequence[Row], origin: Origin, *, alone: bool = False
    ) -> None:
        with self._accounts:
            if self._is_over:
                return  # They are accounted for elsewhere, or come again from disk.
            if origin.counted:
                self.settled[outcome] += len(rows)
            origin.settle(rows, alone=alone)

    def _set_aside(self, row: Row, reason: str, origin: Origin) -> None:
        letter = DeadLetter(row, reason, datetime.now(UTC))
        outcome = "dead" if self.dead_letters.add(letter) else "unkept"
        self._settle(outcome, [row], origin, alone=True)
        if outcome == "dead":
            self._reporter.warn("dead", f"a record was set aside as a dead letter: {reason}")
        else:
            self._reporter.warn("unkept", f"a dead letter could not be kept and is lost: {reason}")

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

    def _succeeded(self) -> None:
        self._schedule.succeeded()
        if self.trouble is not None:
            seconds = self._clock() - self.trouble_since
            self.trouble = None
            self._reporter.warn("recovered", f"records are written again after {seconds:.1f} s")


def _twins(rows: Sequence[Row]) -> Iterator[Row]:
    """Yield those rows whose like came before, be it the very same object."""
    seen: set[tuple[bytes, int, bytes]] = set()
    for row in rows:
        if row.key in seen:
            yield row
        seen.add(row.key)


def _is_safe(origin: Origin) -> bool:
    """Tell whether nothing is lost when nobody cares for rows of *origin* any more."""
    return origin.on_disk or not origin.counted


def _store_error(error: Exception) -> StoreError:
    if isinstance(error, StoreError):
        return error
    return StoreError(Fault.UNKNOWN, f"the repository raised {type(error).__name__}")
