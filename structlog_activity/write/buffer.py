"""
The buffer: takes records at once, writes them later, in batches, from one thread.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time

from ..errors import InvalidRecordError
from ..record.ids import NIL_BYTES
from ..record.record import ActivityRecord
from ..record.redact import Redactor
from ..record.row import Row
from ..record.rowmaker import RowMaker
from ..record.sink import Pending, finished
from ..store.repository import Repository
from . import lifetime
from .accounts import Health, count, judge, named
from .bell import Bell
from .delivery import Delivery, DeliveryAbandonedError
from .mailbox import DROP_NEWEST, OVERFLOW, Mailbox
from .parts import parts_of
from .pausable import PausableRepository
from .report import PERIOD, Reporter
from .ticks import TicksByReason
from .watchdog import WatchedRepository


_FLUSH_PERIOD = 1.0  # seconds between two tries while somebody waits for a flush
_AFTER_BUG = 1.0  # seconds
_GRACE = 0.25  # seconds that a call may take to end once it was broken off


class BufferedRepository:
    """
    Put a queue and a writer's thread before a repository.

    The thread is a daemon, started with the first record. Whatever is still
    queued when the interpreter exits is written then, before `logging` shuts
    down.

    Args:

        repository: Where records go; used by the writer's thread only.

        batch_size: Most rows of one transaction.

        linger: How long the first record of a batch waits for others, in
            seconds.

        max_records: Most records that wait.

        overflow: What happens to a record when so many wait: ``"drop_newest"``
            drops it, ``"drop_oldest"`` drops the one that waited longest,
            ``"block"`` waits for room. Every loss is counted.

        block_timeout: How long ``"block"`` waits, in seconds; then the record
            is dropped.

        close_timeout: How long `close` and the exit of the interpreter wait
            for the rest to be written, in seconds.

        rows: Makes rows of records; the default redacts by key.

    Raises:

        ValueError: An option is out of its range.

    .. versionadded:: 0.1.0
    """

    def __init__(
        self,
        repository: Repository,
        *,
        batch_size: int = 500,
        linger: float = 0.05,
        max_records: int = 100_000,
        overflow: str = DROP_NEWEST,
        block_timeout: float = 0.25,
        close_timeout: float = 5.0,
        rows: RowMaker | None = None,
    ) -> None:
        _check("batch_size", batch_size, 1, 100_000)
        _check("max_records", max_records, 1, 2**31)
        _check("linger", linger, 0, threading.TIMEOUT_MAX)
        _check("block_timeout", block_timeout, 0, threading.TIMEOUT_MAX)
        _check("close_timeout", close_timeout, 0, threading.TIMEOUT_MAX)
        if overflow not in OVERFLOW:
            raise ValueError(f"overflow={overflow!r}: use one of {', '.join(OVERFLOW)}")
        self._repository = PausableRepository(WatchedRepository(repository))
        self._batch_size = batch_size
        self._plenty = min(batch_size, max_records)
        self._linger = linger
        self._close_timeout = close_timeout
        self._max_records = max_records
        self._rows = rows or RowMaker(Redactor())
        self._mailbox = Mailbox(
            capacity=max_records,
            wake_at=self._plenty - 1,
            overflow=overflow,
            block_timeout=block_timeout,
            start=self._start,
        )
        self.put = self._mailbox.put
        self._reset()
        lifetime.look_after(self)

    def _reset(self) -> None:
        self._reporter = Reporter()
        self._delivery = Delivery(
            self._repository, wait=self._pause, more=self._next, reporter=self._reporter
        )
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()  # Guards _settled; told of every batch's end.
        self._hurry = Bell()
        self._working = threading.Lock()  # Held by whoever drains the queue.
        self._deadline = self._until = float("inf")  # When to stop: for good, for this call.
        self._gave_up = False
        self._settled = 0
        self._flushing = 0
        self._reported_losses = 0
        self._missing = TicksByReason()
        self._rejections: dict[str, str] = {}

    # -- taking records -----------------------------------------------------

    def log(self, record: ActivityRecord) -> bool:
        """
        Take a record; return whether it was kept.

        A nil id and an unset time are filled. A record without a verb or an
        object type is rejected and counted.
        """
        try:
            row = self._rows.make_from(record)
        except InvalidRecordError as error:
            self.reject(error.field, str(error))
            return False
        return self.put(row)

    def reject(self, reason: str, detail: str = "", /) -> None:
        """Count an activity that can't become a record, and report it within a minute."""
        self._rejections[reason] = detail
        self._mailbox.reject(reason)

    # -- settling them ------------------------------------------------------

    def flush(self, timeout: float | None = None) -> bool:
        """
        Write everything that was taken before this call.

        Args:

            timeout: Most seconds to wait; `None` waits as long as it takes.

        Returns:

            `True` means committed. `False`: the time was up, or a record was
            dropped or set aside since the last flush; `counters` says how many.
        """
        if self._mailbox.is_writer():
            return False
        deadline, before = _deadline(timeout), self._reported_losses
        target = sum(self._mailbox.position())
        if self._settled < target and not self._running():
            self._drain_here(deadline)
        return self._await(target, deadline) and self._nothing_lost_since(before)

    def close(self, timeout: float | None = None) -> bool:
        """
        Accept no more records, write those that wait, and stop.

        Args:

            timeout: Most seconds to wait; default is *close_timeout*.

        Returns:

            As `flush`. What could not be written in time is lost and counted
            as dropped, and one line on stderr says how many.
        """
        if self._gave_up:
            return False
        before = self._reported_losses
        self._deadline = _deadline(self._close_timeout if timeout is None else timeout)
        self._mailbox.close()
        self._hurry.ring()
        if self._mailbox.is_writer():
            return False  # It finishes after this call.
        if self._thread is not None and self._running():
            self._thread.join(_left(self._deadline))
            self._break_off(self._thread)
        if not self._running():
            self._drain_here(self._deadline)
        if not self._nothing_left():
            self._give_up()
        return not self._gave_up and self._nothing_lost_since(before)

    def counters(self) -> dict[str, int]:
        """
        Return how many records went where since the start of the process.

        Whenever no call is under way, ``submitted = accepted + rejected`` and
        ``accepted = written + duplicates + queued + in_flight + spooled + dead +
        dropped``. ``rejected.<field>`` and ``dropped.<reason>`` say why;
        ``missing.actor_id`` and ``missing.tenant_id`` count records that were
        stored without one.
        """
        with self._changed:
            # Settled first: what is settled by now was taken by then.
            settled = dict(self._delivery.settled)
            position, gave_up = self._mailbox.position(), self._gave_up
        counts = count(self._mailbox, settled, position, gave_up=gave_up)
        return counts | named("missing", self._missing.values())

    def health(self) -> Health:
        """Judge the counters and the last answer of the database."""
        delivery = self._delivery
        seconds = time.monotonic() - delivery.trouble_since
        return judge(self.counters(), self._max_records, delivery.trouble, seconds)

    def _break_off(self, thread: threading.Thread) -> None:
        """Break off what the writer is doing, its time being up."""
        deadline = time.monotonic() + _GRACE
        while thread.is_alive() and time.monotonic() < deadline:
            self._repository.interrupt()  # Again: a call may have begun just now.
            thread.join(0.01)

    def _nothing_left(self) -> bool:
        taken, waiting = self._mailbox.position()
        return self._settled == taken and not waiting

    def _nothing_lost_since(self, before: int) -> bool:
        counts = self.counters()
        self._reported_losses = lost = counts["dead"] + counts["dropped"]
        return lost == before

    def _await(self, target: int, deadline: float) -> bool:
        with self._changed:
            self._flushing += 1
            try:
                while self._settled < target:
                    left = deadline - time.monotonic()
                    over = self._gave_up or (self._mailbox.closed and not self._running())
                    if left <= 0 or over:
                        return False
                    self._hurry.ring()
                    self._mailbox.ring()
                    self._changed.wait(min(left, _FLUSH_PERIOD))
            finally:
                self._flushing -= 1
        return True

    # -- the writer ---------------------------------------------------------

    def _start(self) -> bool:
        """Start the thread; where none can be (at exit), `close` and `flush` write."""
        if self._running():
            return True
        self._thread = threading.Thread(
            target=self._run, name=f"structlog-activity-writer-{os.getpid()}", daemon=True
        )
        try:
            self._thread.start()
        except RuntimeError:
            self._thread = None
            return False
        lifetime.close_with_child()
        return True

    def _running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _run(self) -> None:
        mailbox = self._mailbox
        while not (mailbox.closed and (self._gave_up or self._nothing_left())):
            mailbox.wait_for_first(PERIOD if self._rejections else -1)
            if not (mailbox.closed or self._flushing or self._enough()):
                mailbox.wait(self._linger)
            with self._working:
                self._work()
        self._repository.close()

    def _enough(self) -> bool:
        return self._mailbox.position()[1] >= self._plenty

    def _drain_here(self, deadline: float) -> None:
        """Write from the calling thread, there being no other."""
        if not self._working.acquire(timeout=_left(deadline)):
            return
        try:
            self._until = deadline
            self._work()
            if self._mailbox.closed:
                self._repository.close()
        finally:
            self._until = float("inf")
            self._working.release()

    def _work(self) -> None:
        self._mailbox.claim()
        try:
            self._drain()
        except DeliveryAbandonedError:
            pass
        except Exception as error:  # noqa: BLE001  A bug of ours; it must not end the writer.
            self._reporter.warn("bug", f"the writer failed and goes on: {type(error).__name__}")
            self._hurry.wait(_AFTER_BUG)
        finally:
            self._report_rejections()
            self._mailbox.unclaim()
        if self._deadline <= time.monotonic() and not self._nothing_left():
            self._give_up()

    def _drain(self) -> None:
        if self._time_left() > 0:
            self._delivery.deliver()  # What an earlier call had no time for.
        self._settle()
        while self._time_left() > 0 and (pending := self._mailbox.take(self._batch_size)):
            self._delivery.deliver(*parts_of(self._finish(pending)))
            self._settle()

    def _settle(self) -> None:
        with self._changed:
            self._settled = sum(self._delivery.settled.values())
            self._hurry.hush()
            self._changed.notify_all()

    def _next(self) -> list[Row]:
        """Return the row that waits longest, if any does."""
        return self._finish(self._mailbox.take(1))

    def _finish(self, pending: list[Pending]) -> list[Row]:
        rows = []
        for item in pending:
            try:
                row = finished(item)
            except Exception as error:  # noqa: BLE001  A bug of ours; it must not cost a neighbour.
                self._delivery.settled["dead"] += 1
                self._reporter.warn("unfinished", f"a record was lost to {type(error).__name__}")
                continue
            if row.actor_id == NIL_BYTES:
                self._missing.tick("actor_id")
            if row.tenant_id == NIL_BYTES:
                self._missing.tick("tenant_id")
            rows.append(row)
        return rows

    def _pause(self, seconds: float) -> bool:
        """Wait before another try; `False` when the time is up."""
        left = self._time_left()
        if left <= 0 or self._gave_up:
            return False
        # In a hurry there is one try at once, then they keep their distance.
        self._hurry.wait(min(seconds, left))
        return self._time_left() > 0

    def _time_left(self) -> float:
        return min(self._deadline, self._until) - time.monotonic()

    def _give_up(self) -> None:
        """Count what is not settled as dropped, and say so once."""
        with self._changed:
            if self._gave_up:
                return
            self._gave_up = True
            while self._mailbox.take(self._batch_size):
                pass  # So that a writer whose call returns late finds nothing more to do.
            lost = self.counters().get("dropped.shutdown", 0)
            self._changed.notify_all()
        if lost:
            self._tell_of_loss(lost)

    def _tell_of_loss(self, lost: int) -> None:
        trouble = self._delivery.trouble or "the database does not answer"
        text = f"structlog_activity: {lost} records were not written in time and are lost: "
        with contextlib.suppress(Exception):  # It may be closed, or nothing at all.
            sys.stderr.write(f"{text}{trouble}\n")  # Logging may be shut down already.

    def _report_rejections(self) -> None:
        for field, detail in self._rejections.copy().items():
            total = self._mailbox.rejected.values().get(field, 0)
            if self._reporter.warn(
                f"rejected {field}", f"{total} activities were rejected so far: {detail or field}"
            ):
                self._rejections.pop(field, None)

    # -- around a fork ------------------------------------------------------

    def rest(self, timeout: float) -> bool:
        """Keep the writer from the database and let go of the connection, for a fork."""
        return not self._mailbox.is_writer() and self._repository.pause(timeout)

    def go_on(self) -> None:
        """Let the writer use the database again."""
        self._repository.resume()

    def start_afresh(self) -> None:
        """Become new and empty: the records, the thread and the connection are the parent's."""
        self._repository.abandon()
        self._mailbox.reset()
        self._reset()


def _check(name: str, value: float, least: float, most: float) -> None:
    if not isinstance(value, int | float):
        raise ValueError(f"{name}={value!r}: a number is needed")  # noqa: TRY004  As below.
    if not least <= value <= most:
        raise ValueError(f"{name}={value!r}: must be between {least} and {most}")


def _deadline(timeout: float | None) -> float:
    return float("inf") if timeout is None else time.monotonic() + timeout


def _left(deadline: float) -> float:
    return max(0.0, min(deadline - time.monotonic(), threading.TIMEOUT_MAX))
