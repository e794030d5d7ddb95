"""
The writer: takes what waits, delivers it, and says how far it has come.
"""

from __future__ import annotations

import sys
import threading
import time

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from ..record.row import Row
from ..record.rowmaker import RowMaker
from ..record.sink import Pending, finished
from ..store.repository import Repository
from .accounts import Missing, count
from .batches import batches_of
from .bell import Bell
from .deadletters import DeadLetters
from .delivery import Delivery, DeliveryAbandonedError
from .feeder import LOOK_PERIOD, Feeder
from .hooks import Hooks
from .losses import Losses, OnLoss
from .mailbox import Mailbox
from .origin import Notes
from .report import PERIOD, Reporter
from .spool.spool import Spool


_AFTER_BUG: Final = 1.0  # seconds
_AHEAD: Final = 8  # Batches that are made ready while others are under way.
_SPILL_PERIOD: Final = 0.2  # seconds between two looks at the mailbox during an outage
_STUCK_PERIOD: Final = 1.0  # seconds between two tries to read what the disk does not give


class Writer:
    """
    Deliver what waits in a mailbox and in a spool.

    One thread at a time works: the writer's own, or the caller of `flush` or
    `close` where there is none.

    Args:

        mailbox: Where records wait in memory.

        repository: Where they go.

        batch_size: Most rows of one transaction.

        linger: How long the first record of a batch waits for others, in
            seconds.

        spool: Where they wait on disk, and go when the database is away.

        missing: Counts rows without an actor or a tenant.

        dead_letters: Where refused rows go.

        rows: Makes the rows that tell of losses.

        on_loss: Told of losses.

        reporter: Told of troubles.

        hooks: The host's functions around the writing of a batch.

        clock: Returns seconds that never go back.
    """

    def __init__(
        self,
        mailbox: Mailbox,
        repository: Repository,
        *,
        batch_size: int,
        linger: float,
        spool: Spool | None,
        missing: Missing,
        dead_letters: DeadLetters | None,
        rows: RowMaker,
        on_loss: OnLoss | None,
        reporter: Reporter,
        hooks: Hooks | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._mailbox = mailbox
        self._repository = repository
        self._batch_size = batch_size
        self._linger = linger
        self.spool = spool
        self.missing = missing
        self._clock = clock
        self.feeder = Feeder(spool, clock) if spool is not None else None
        self.reporter = reporter
        self.hooks = hooks
        self.delivery = Delivery(
            repository,
            wait=self._pause,
            more=self._next,
            reporter=reporter,
            dead_letters=dead_letters,
            hooks=hooks,
            clock=clock,
            meanwhile=self._look_ahead,
        )
        self._may_look_ahead = 0  # So many more batches, before anything else has its turn.
        self._notes = Notes()
        self._rejections: dict[str, str] = {}
        self.losses = Losses(self.delivery.writer_id, rows, on_loss)
        self._spilled = 0
        self.changed = threading.Condition()  # Told of every batch's end.
        self._working = threading.Lock()  # Held by whoever works.
        self.hurry = Bell()  # Ends a wait for another try.
        self.flushing = 0
        self.deadline = self._until = float("inf")  # When to stop: for good, for this call.
        self.gave_up = False
        self._is_finished = False
        self._has_ended = False
        self._is_stuck = False  # Rows are on disk, and not one of them could be read.

    # -- the thread ---------------------------------------------------------

    def run(self) -> None:
        """Work until the mailbox is closed and nothing is left, or the time is up."""
        while self.step():
            pass

    def step(self) -> bool:
        """Wait for something to do and do it; at the end let go of all, and return `False`."""
        mailbox = self._mailbox
        if mailbox.closed and (self.gave_up or self.has_settled_all()):
            self._disconnect()
            self.end()
            return False
        mailbox.wait_for_first(self._patience(), self._must_not_sleep)
        if not (mailbox.closed or self.flushing or mailbox.has_plenty()):
            mailbox.wait(self._linger)
        with self._working:
            self._work()
        return True

    def work_here(self, deadline: float) -> None:
        """Work in the calling thread, there being no other, until *deadline* at most."""
        if not self._working.acquire(timeout=self.left(deadline)):
            return
        try:
            self._until = deadline
            self._work()
            if self._mailbox.closed:
                self._disconnect()
        finally:
            self._until = float("inf")
            self._working.release()

    def end(self) -> None:
        """Let go of spool and hooks, and tell what is lost; a second call does nothing."""
        with self.changed:
            if self._has_ended:
                return
            self._has_ended = True
        if self.spool is not None:
            self.spool.close()
        if self.hooks is not None:
            self.hooks.stop()
        dropped = self._dropped()
        self.losses.notice(dropped)
        if lost := dropped.get("shutdown", 0):
            self._tell_of_loss(lost)

    def left(self, deadline: float) -> float:
        """Return how many seconds there are until *deadline*, as locks and threads take them."""
        return max(0.0, min(deadline - self._clock(), threading.TIMEOUT_MAX))

    def _disconnect(self) -> None:
        """Close the connection; before that the chain, if nothing is missing and none need wait."""
        may_finish = not (self._is_finished or self.gave_up or self.delivery.trouble)
        if may_finish and self._time_left() > 0:
            self._is_finished = True
            if self.has_settled_all():
                with suppress(Exception):  # Of somebody else's repository; nothing is lost with it.
                    self._repository.finish()
        self._repository.close()

    def _patience(self) -> float:
        """Return how long to sleep at most: some things are to be done without a ring."""
        if self._is_stuck:
            return _STUCK_PERIOD
        if self._rejections:
            return PERIOD
        return LOOK_PERIOD if self.feeder else -1

    def _must_not_sleep(self) -> bool:
        return not self._is_stuck and self._has_backlog()

    def _has_backlog(self) -> bool:
        return self.spool is not None and self.spool.counts().waiting > 0

    # -- one round ----------------------------------------------------------

    def _work(self) -> None:
        """Deliver what waits, from the calling thread."""
        with self._mailbox.as_writer():
            try:
                self._drain()
            except DeliveryAbandonedError:
                pass
            except Exception as error:  # noqa: BLE001  A bug of ours; it must not end the writer.
                self.reporter.warn("bug", f"the writer failed and goes on: {type(error).__name__}")
                self.hurry.wait(_AFTER_BUG)
            finally:
                self._report_rejections()
        if self.deadline <= self._clock() and not self.has_settled_all():
            self.give_up()

    def _drain(self) -> None:
        if self._time_left() > 0:
            self._deliver()  # What an earlier round had no time for.
        had_backlog = self._has_backlog()
        while self._time_left() > 0 and self._deliver_next():
            had_backlog = False
        self._is_stuck = had_backlog
        self._note_losses()
        self._tell_progress()

    def _deliver_next(self) -> bool:
        """Deliver a batch from memory and one from disk; return whether to go on at once."""
        looks = 0
        if self.feeder is not None:
            looks = self.feeder.looks_done
            self.feeder.look_after()
        self._may_look_ahead = _AHEAD
        pending = self._mailbox.take(self._batch_size)
        if pending:
            self._deliver(*batches_of(self._finish(pending)))
        is_fed = self.feeder is not None and self.feeder.feed(self.delivery, self._batch_size)
        if is_fed:
            self._deliver()
        return bool(pending) or is_fed or self._may_look_on(looks)

    def _may_look_on(self, looks: int) -> bool:
        """Tell whether a look is wanted, and the last one came to its end."""
        return self.feeder is not None and self.feeder.is_wanted and self.feeder.looks_done > looks

    def _look_ahead(self) -> None:
        """Make the next batch ready while the server works on this one, if a whole one waits."""
        self._tell_progress()
        with self.changed:  # So that nobody gives up what is neither here nor there.
            is_wanted = self._may_look_ahead > 0 and not self.gave_up
            if is_wanted and self.delivery.is_on_its_last and self._has_batch():
                self._may_look_ahead -= 1
                for batch in batches_of(self._finish(self._mailbox.take(self._batch_size))):
                    self.delivery.add(batch)

    def _has_batch(self) -> bool:
        return self._mailbox.position()[1] >= self._batch_size

    def _must_look(self) -> bool:
        return self.feeder is not None and self.feeder.is_wanted

    def _deliver(self, *batches: Sequence[Row]) -> None:
        self.delivery.deliver(*batches)
        self._tell_progress()

    def _tell_progress(self) -> None:
        with self.changed:
            self.hurry.hush()
            self.changed.notify_all()

    def _note_losses(self) -> None:
        self.losses.notice(self._dropped())
        if self._time_left() > 0 and (rows := self.losses.take_rows()):
            self.delivery.deliver(rows, origin=self._notes)

    # -- rows ---------------------------------------------------------------

    def _next(self) -> list[Row]:
        """Return the row that waits longest, if any does."""
        return self._finish(self._mailbox.take(1))

    def _finish(self, pending: list[Pending]) -> list[Row]:
        rows = []
        for item in pending:
            try:
                row = finished(item)
            except Exception as error:  # noqa: BLE001  A bug of ours; it must not cost a neighbour.
                self.delivery.memory.settled += 1
                self.delivery.settled["dead"] += 1
                self.reporter.warn("unfinished", f"a record was lost to {type(error).__name__}")
                continue
            self.missing.look_at(row)
            rows.append(row)
        return rows

    # -- how far it is ------------------------------------------------------

    @property
    def settled(self) -> int:
        """How many of those records are settled, or on disk, that waited in memory."""
        return self.delivery.memory.settled + self._spilled

    def has_settled_all(self) -> bool:
        """Tell whether nothing waits and nothing is under way."""
        taken, waiting = self._mailbox.position()
        if self.settled != taken or waiting:
            return False
        return self.spool is None or (self.spool.counts().unsettled == 0 and not self._must_look())

    def counts(self) -> dict[str, int]:
        """Return how many records went where; see `accounts.count`."""
        with self.changed:
            # Settled first: what is settled by now was taken by then.
            settled, spilled = dict(self.delivery.settled), self._spilled
            return count(self._mailbox, self.spool, settled, spilled, is_over=self.gave_up)

    def _dropped(self) -> dict[str, int]:
        """Return how many records were lost, by reason."""
        prefix, counts = "dropped.", self.counts()
        return {name.removeprefix(prefix): n for name, n in counts.items() if prefix in name}

    # -- when it takes longer -----------------------------------------------

    def _pause(self, seconds: float) -> bool:
        """Wait before another try; `False` when the time is up."""
        left = self._time_left()
        if left <= 0 or self.gave_up:
            return False
        if self.spool is None:
            # In a hurry there is one try at once, then they keep their distance.
            self.hurry.wait(min(seconds, left))
        else:
            self._spill_for(self.spool, min(seconds, left))
        return self._time_left() > 0

    def _spill_for(self, spool: Spool, seconds: float) -> None:
        """Move what comes to disk meanwhile, so that an outage fills no memory."""
        until = self._clock() + seconds
        while True:
            self._spill(spool)
            left = until - self._clock()
            if left <= 0 or self.hurry.wait(min(left, _SPILL_PERIOD)):
                return

    def _spill(self, spool: Spool) -> None:
        if self.feeder is not None:
            self.feeder.look_after()
        while spool.trouble is None and (pending := self._mailbox.take(self._batch_size)):
            rows = self._finish(pending)
            kept = 0
            while kept < len(rows) and spool.append(rows[kept]):
                kept += 1
            self._spilled += kept
            if kept < len(rows):
                self.delivery.add(rows[kept:])
                return

    def _time_left(self) -> float:
        return min(self.deadline, self._until) - self._clock()

    def give_up(self) -> None:
        """Leave what is not settled to the spool; what it can't take is lost, and said so once."""
        with self.changed:
            if self.gave_up:
                return
            self.gave_up = True
            self._leave()
            self.changed.notify_all()
        self._mailbox.ring()  # A thread that waits for more has nothing to wait for.

    def _leave(self) -> None:
        if self.spool is not None:
            for batch, may_be_sent in self.delivery.surrender():
                if self.spool.keep(batch, fixed=may_be_sent):
                    self._spilled += len(batch.rows)
        # Taken in any case, so that a writer whose call returns late finds nothing to do.
        while pending := self._mailbox.take(self._batch_size):
            if self.spool is not None:
                self._spilled += sum(map(self.spool.append, self._finish(pending)))

    # -- what is told -------------------------------------------------------

    def reject(self, reason: str, detail: str) -> None:
        """Have a rejection reported within a minute."""
        self._rejections[reason] = detail
        self._mailbox.reject(reason)

    def _tell_of_loss(self, lost: int) -> None:
        """Say on stderr that records are lost, there being nobody left to tell."""
        trouble = self.delivery.trouble or "the database does not answer"
        text = f"structlog_activity: {lost} records were not written in time and are lost: "
        with suppress(Exception):  # It may be closed, or nothing at all.
            sys.stderr.write(f"{text}{trouble}\n")  # Logging may be shut down already.

    def _report_rejections(self) -> None:
        for field, detail in self._rejections.copy().items():
            total = self._mailbox.rejected.values().get(field, 0)
            if self.reporter.warn(
                f"rejected {field}", f"{total} activities were rejected so far: {detail or field}"
            ):
                self._rejections.pop(field, None)
