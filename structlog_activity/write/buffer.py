"""
The buffer: takes records at once, writes them later, in batches, from one thread.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import weakref

from dataclasses import dataclass
from typing import Final

from ..errors import InvalidRecordError
from ..record.ids import NIL_BYTES
from ..record.record import ActivityRecord
from ..record.redact import Redactor
from ..record.row import Row
from ..record.rowmaker import RowMaker
from ..record.sink import Pending, finished
from ..store.repository import Repository
from .delivery import Delivery, DeliveryAbandonedError
from .mailbox import DROP_NEWEST, OVERFLOW, Mailbox
from .report import Reporter
from .ticks import TicksByReason


BATCH_BYTES: Final = 1 << 20
"""A batch holds no more than this, roughly, whatever its number of rows."""

_ROW_BYTES = 200  # a row without its data, roughly
_NEARLY_FULL = 0.8


@dataclass(frozen=True, slots=True)
class Health:
    """
    Whether records reach the database.

    Attributes:

        ok: Nothing is wrong.

        reasons: What is, in words; empty where nothing is.

    .. versionadded:: 0.1.0
    """

    ok: bool
    reasons: tuple[str, ...]


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
        for name, seconds in (
            ("linger", linger),
            ("block_timeout", block_timeout),
            ("close_timeout", close_timeout),
        ):
            _check(name, seconds, 0, threading.TIMEOUT_MAX)
        if overflow not in OVERFLOW:
            raise ValueError(f"overflow={overflow!r}: use one of {', '.join(OVERFLOW)}")
        self._repository = repository
        self._batch_size = batch_size
        self._linger = linger
        self._close_timeout = close_timeout
        self._max_records = max_records
        self._rows = rows or RowMaker(Redactor())
        self._mailbox = Mailbox(
            capacity=max_records,
            wake_at=batch_size - 1,
            overflow=overflow,
            block_timeout=block_timeout,
            start=self._start,
        )
        self.put = self._mailbox.put
        self._reset()
        _live.add(self)

    def _reset(self) -> None:
        self._reporter = Reporter()
        self._delivery = Delivery(self._repository, wait=self._pause, reporter=self._reporter)
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()  # Guards _settled; told of every batch's end.
        self._hurry = threading.Event()
        self._working = threading.Lock()  # Held by whoever drains the queue.
        self._deadline = float("inf")
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
        if threading.current_thread() is self._thread:
            return False
        deadline = _deadline(timeout)
        taken, waiting = self._mailbox.position()
        target = taken + waiting
        if self._settled < target and not self._running():
            self._drain_here(deadline)
        return self._await(target, deadline) and self._nothing_lost()

    def close(self, timeout: float | None = None) -> bool:
        """
        Accept no more records, write those that wait, and stop.

        Args:

            timeout: Most seconds to wait; default is *close_timeout*.

        Returns:

            As `flush`. What could not be written in time is lost and counted
            as dropped, and one line on stderr says how many.
        """
        timeout = self._close_timeout if timeout is None else timeout
        self._deadline = _deadline(timeout)
        self._mailbox.close()
        self._hurry.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(0.0, self._deadline - time.monotonic()))
        if not self._running():
            self._drain_here(self._deadline)
        elif lost := self._unsettled():  # The thread hangs in a call that doesn't return.
            self._tell_of_loss(lost)
        atexit.unregister(self.close)
        return self._nothing_left() and self._nothing_lost()

    def counters(self) -> dict[str, int]:
        """
        Return how many records went where since the start of the process.

        Whenever no call is under way, ``submitted = accepted + rejected`` and
        ``accepted = written + duplicates + queued + in_flight + spooled + dead +
        dropped``. ``rejected.<field>`` and ``dropped.<reason>`` say why;
        ``missing.actor_id`` and ``missing.tenant_id`` count records that were
        stored without one.
        """
        mailbox, settled = self._mailbox, self._delivery.settled
        with self._changed:
            taken, queued = mailbox.position()
            evicted = mailbox.evicted.value
            dropped = mailbox.dropped.values()
            out = {name: settled[name] for name in ("written", "duplicates", "dead")}
            refused = dropped.get("overflow", 0)
            shut = dropped.get("shutdown", 0)
        if evicted:
            dropped["overflow"] = refused + evicted
        rejected = mailbox.rejected.values()
        accepted = taken + queued + evicted + refused
        return {
            "submitted": accepted + sum(rejected.values()),
            "accepted": accepted,
            "rejected": sum(rejected.values()),
            **out,
            "queued": queued,
            "in_flight": taken - shut - sum(out.values()),
            "spooled": 0,
            "dropped": sum(dropped.values()),
            **{f"rejected.{reason}": n for reason, n in rejected.items()},
            **{f"dropped.{reason}": n for reason, n in dropped.items()},
            **{f"missing.{name}": n for name, n in self._missing.values().items()},
        }

    def health(self) -> Health:
        """Judge the counters and the last answer of the database."""
        counts = self.counters()
        reasons = [
            f"{counts[name]} records {what}"
            for name, what in (("dropped", "were dropped"), ("dead", "are dead letters"))
            if counts[name]
        ]
        if counts["queued"] > self._max_records * _NEARLY_FULL:
            reasons.append(f"{counts['queued']} records wait, {self._max_records} may")
        trouble = self._delivery.trouble
        if trouble is not None:
            seconds = time.monotonic() - self._delivery.trouble_since
            reasons.insert(0, f"nothing can be written since {seconds:.0f} s: {trouble}")
        return Health(not reasons, tuple(reasons))

    def _nothing_left(self) -> bool:
        taken, waiting = self._mailbox.position()
        return self._settled == taken and not waiting

    def _nothing_lost(self) -> bool:
        lost = self._delivery.settled["dead"] + self._mailbox.evicted.value
        lost += sum(self._mailbox.dropped.values().values())
        before, self._reported_losses = self._reported_losses, lost
        return lost == before

    def _await(self, target: int, deadline: float) -> bool:
        with self._changed:
            self._flushing += 1
            try:
                while self._settled < target:
                    left = deadline - time.monotonic()
                    if left <= 0 or (self._mailbox.closed and not self._running()):
                        return False
                    self._hurry.set()
                    self._mailbox.ring()
                    self._changed.wait(min(left, 1.0))
            finally:
                self._flushing -= 1
        return True

    # -- the writer ---------------------------------------------------------

    def _start(self) -> None:
        """Start the thread; where none can be (at exit), `close` and `flush` write."""
        thread = threading.Thread(
            target=self._run, name=f"structlog-activity-writer-{os.getpid()}", daemon=True
        )
        self._thread = thread
        atexit.register(self.close)
        try:
            thread.start()
        except RuntimeError:
            self._thread = None

    def _running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _run(self) -> None:
        mailbox = self._mailbox
        mailbox.claim()
        while True:
            mailbox.wait_for_first()
            if not (mailbox.closed or self._flushing or self._enough()):
                mailbox.wait(self._linger)
            with self._working:
                self._drain()
            self._report_rejections()
            if mailbox.closed and self._nothing_left():
                break
        mailbox.unclaim()
        self._repository.close()

    def _enough(self) -> bool:
        return self._mailbox.position()[1] >= self._batch_size

    def _drain_here(self, deadline: float) -> None:
        """Write from the calling thread, there being no other."""
        if self._working.acquire(timeout=max(0.0, min(deadline - time.monotonic(), 3600))):
            try:
                self._deadline = min(self._deadline, deadline)
                self._drain()
            finally:
                self._working.release()

    def _drain(self) -> None:
        while pending := self._mailbox.take(self._batch_size):
            rows = self._finish(pending)
            try:
                for part in _parts(rows):
                    self._delivery.deliver(part)
            except DeliveryAbandonedError:
                self._drop_rest()
                return
            with self._changed:
                self._settled += len(pending)
                self._hurry.clear()
                self._changed.notify_all()

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
        """Wait before another try; `False` when the time to close is up."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            return False
        # In a hurry there is one try at once, then they keep their distance.
        self._hurry.wait(min(seconds, left))
        self._hurry.clear()
        return True

    def _drop_rest(self) -> None:
        while self._mailbox.take(self._batch_size):
            pass
        for _ in range(lost := self._unsettled()):
            self._mailbox.dropped.tick("shutdown")
        with self._changed:
            self._settled, _ = self._mailbox.position()
            self._changed.notify_all()
        self._tell_of_loss(lost)

    def _unsettled(self) -> int:
        counts = self.counters()
        return counts["queued"] + counts["in_flight"]

    def _tell_of_loss(self, lost: int) -> None:
        trouble = self._delivery.trouble or "the database does not answer"
        print(  # noqa: T201  Logging may be shut down already.
            f"structlog_activity: {lost} records were not written in time and are lost: {trouble}",
            file=sys.stderr,
        )

    def _report_rejections(self) -> None:
        for field, detail in list(self._rejections.items()):
            total = self._mailbox.rejected.values().get(field, 0)
            if self._reporter.warn(
                f"rejected {field}", f"{total} activities were rejected so far: {detail or field}"
            ):
                self._rejections.pop(field, None)

    def _after_fork(self) -> None:
        # The records, the thread and the connection are the parent's.
        self._repository.abandon()
        self._mailbox.reset()
        self._reset()


def _check(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise ValueError(f"{name}={value!r}: must be between {least} and {most}")


def _deadline(timeout: float | None) -> float:
    return float("inf") if timeout is None else time.monotonic() + timeout


def _parts(rows: list[Row]) -> list[list[Row]]:
    """Cut rows into batches of at most 1 MiB, nearly always one."""
    if sum(len(row.data) for row in rows) + len(rows) * _ROW_BYTES <= BATCH_BYTES:
        return [rows]
    parts: list[list[Row]] = [[]]
    size = 0
    for row in rows:
        size += len(row.data) + _ROW_BYTES
        if size > BATCH_BYTES and parts[-1]:
            parts.append([])
            size = len(row.data) + _ROW_BYTES
        parts[-1].append(row)
    return parts


_live: weakref.WeakSet[BufferedRepository] = weakref.WeakSet()


def _reset_after_fork() -> None:
    for buffer in list(_live):
        buffer._after_fork()  # noqa: SLF001  This module's own.


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
