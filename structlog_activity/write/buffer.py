"""
The buffer: takes records at once, writes them later, in batches, from one thread.
"""

from __future__ import annotations

import os
import threading
import time

from collections.abc import Callable, Sequence
from pathlib import Path

from ..errors import InvalidRecordError, RepositoryError
from ..record.record import ActivityRecord
from ..record.redact import Redactor
from ..record.rowmaker import RowMaker
from ..store.repository import Repository
from . import lifetime
from .accounts import Health, Missing, judge, judge_disk, named
from .deadletters import LettersInFolder
from .erasing import erase_waiting
from .goal import Goal
from .hooks import AfterWrite, Enricher, Hooks
from .journal import Journal
from .losses import OnLoss
from .mailbox import DROP_NEWEST, DROP_OLDEST, Mailbox
from .options import FSYNC, MEMORY, Options, check_functions
from .pausable import PausableRepository
from .report import Reporter
from .spool.erasing import Erased, Someone
from .spool.spool import Spool
from .watchdog import WatchedRepository
from .writer import Writer


_GRACE = 0.25  # seconds that a call may take to end once it was broken off
DEAD_FOLDER = "dead"


class BufferedRepository:
    """
    Put a queue and a writer's thread before a repository.

    The thread is a daemon, started with the first record. Whatever is still
    queued when the interpreter exits is written then, before `logging` shuts
    down.

    Args:

        repository: Where records go; used by the writer's thread only.

        durability: What a record survives once its call has returned.
            ``"memory"``: every end of the program that Python sees.
            ``"wal"``: SIGKILL and crashes of the process, too; the record is in
            a file, though maybe not on the platter. ``"fsync"``: loss of power;
            the call waits for the disk.

        spool_dir: Folder for records that wait on disk, made for its owner
            only; needed for ``"wal"`` and ``"fsync"``. With ``"memory"``
            records go there during an outage, when too many wait in memory,
            and at the end if they can't be written. Processes may share it:
            what one left is written by the next that starts or runs.

        spool_bytes: Most bytes that this process keeps there.

        batch_size: Most rows of one transaction.

        linger: How long the first record of a batch waits for others, in
            seconds.

        max_records: Most records that wait in memory.

        overflow: What happens to a record when so many wait, and the spool, if
            any, takes no more: ``"drop_newest"`` drops it, ``"drop_oldest"``
            drops the one that waited longest, ``"block"`` waits for room.
            ``"spill"`` is ``"drop_newest"`` and insists on a spool. Every loss
            is counted, and told by a record ``activity.records_lost`` once the
            database is back.

        block_timeout: How long ``"block"`` waits, in seconds; then the record
            is dropped.

        close_timeout: How long `close` and the exit of the interpreter wait
            for the rest to be written, in seconds.

        rows: Makes rows of records; the default redacts by key.

        on_loss: Called with a reason and a number when records are lost, by
            the writer's thread; what it raises is ignored and counted.

        clock: Returns seconds that never go back.

        enrichers: Functions that are called with each record before it is
            written, off the caller's thread, and return what to add to its
            ``data``: a mapping, or `None`. What is there already stays, what is
            added is redacted, and ``enriched_at`` and ``enricher_version`` say
            that it was.

        after_write: Called with the records of each batch once it is committed.
            It is not called for records that were in the database before.
            `close` waits for it, `flush` does not.

        hook_timeout: How long a batch waits for all its enrichers, and the next
            one for *after_write*, in seconds. What fails or takes longer is
            counted and reported, and costs no record: it is written as it is.

    Raises:

        ValueError: An option is out of its range.

    .. versionadded:: 0.1.0
    """

    def __init__(
        self,
        repository: Repository,
        *,
        durability: str = MEMORY,
        spool_dir: str | os.PathLike[str] | None = None,
        spool_bytes: int = 1 << 30,
        batch_size: int = 500,
        linger: float = 0.05,
        max_records: int = 100_000,
        overflow: str = DROP_NEWEST,
        block_timeout: float = 0.25,
        close_timeout: float = 5.0,
        rows: RowMaker | None = None,
        on_loss: OnLoss | None = None,
        clock: Callable[[], float] = time.monotonic,
        enrichers: Sequence[Enricher] = (),
        after_write: AfterWrite | None = None,
        hook_timeout: float = 1.0,
    ) -> None:
        self._options = options = Options(
            durability=durability,
            spool_dir=spool_dir,
            spool_bytes=spool_bytes,
            batch_size=batch_size,
            linger=linger,
            max_records=max_records,
            overflow=overflow,
            block_timeout=block_timeout,
            close_timeout=close_timeout,
            hook_timeout=hook_timeout,
        )
        self._repository = PausableRepository(WatchedRepository(repository))
        self._rows = rows or RowMaker(Redactor())
        self._on_loss = on_loss
        self._clock = clock
        self._enrichers = check_functions(enrichers, after_write)
        self._after_write = after_write
        self._mailbox = Mailbox(
            capacity=max_records,
            wake_at=options.plenty - 1,
            overflow=overflow,
            block_timeout=block_timeout,
            start=self._start,
            spill=lambda pending: self._journal is not None and self._journal.spill(pending),
        )
        self._reset()
        lifetime.look_after(self)

    def _reset(self) -> None:
        options, missing = self._options, Missing()
        folder = options.spool_folder
        self.letters_on_disk: LettersInFolder | None = None
        self._spool: Spool | None = None
        self._journal: Journal | None = None
        # Not a method, which would be one more call for each log call.
        self.put = self._mailbox.put
        if folder is not None:
            self.letters_on_disk = LettersInFolder(folder / DEAD_FOLDER)
            self._spool = self._new_spool(folder)
            is_oldest = options.overflow == DROP_OLDEST
            self._journal = Journal(self._mailbox, self._spool, missing, drops_oldest=is_oldest)
            if options.durability != MEMORY:
                self.put = self._journal.put
        reporter = Reporter()
        self._writer = Writer(
            self._mailbox,
            self._repository,
            batch_size=options.batch_size,
            linger=options.linger,
            spool=self._spool,
            missing=missing,
            dead_letters=self.letters_on_disk,
            rows=self._rows,
            on_loss=self._on_loss,
            reporter=reporter,
            hooks=self._new_hooks(reporter),
            clock=self._clock,
        )
        self._delivery = self._writer.delivery
        self._thread: threading.Thread | None = None
        self._reported_losses = 0

    def _new_hooks(self, reporter: Reporter) -> Hooks | None:
        if not (self._enrichers or self._after_write):
            return None
        return Hooks(
            self._enrichers,
            self._after_write,
            timeout=self._options.hook_timeout,
            rows=self._rows,
            reporter=reporter,
            within=self._mailbox.as_writer,
        )

    def _new_spool(self, folder: Path) -> Spool:
        options = self._options
        return Spool(
            folder,
            writer_id=lambda: self._delivery.writer_id,
            max_bytes=options.spool_bytes,
            synced=options.durability == FSYNC,
        )

    def check_spool(self) -> None:
        """
        See whether the spool, if there is to be one, can be used.

        Raises:

            RepositoryError: It can't; the text says why.
        """
        if self._spool is not None:
            self._spool.prepare()
            if self._spool.trouble is not None:
                raise RepositoryError(f"spool_dir: {self._spool.trouble}")

    # -- taking records -----------------------------------------------------

    def log(self, record: ActivityRecord) -> bool:
        """
        Take a record; return whether it was kept.

        Args:

            record: Its id is kept; a nil id and an unset time are filled. Without a
                verb or an object type it is rejected and counted, and nothing is
                raised.
        """
        try:
            row = self._rows.make_from(record)
        except InvalidRecordError as error:
            self.reject(error.field, str(error))
            return False
        return self.put(row)

    def reject(self, reason: str, detail: str = "", /) -> None:
        """
        Count an activity that can't become a record, and report it within a minute.

        Args:

            reason: The field at fault, for example ``"object_type"``.

            detail: What is wrong with it, for the report.
        """
        self._writer.reject(reason, detail)

    # -- settling them ------------------------------------------------------

    def flush(self, timeout: float | None = None) -> bool:
        """
        Write everything that was taken before this call.

        That includes what other processes left in the spool.

        Args:

            timeout: Most seconds to wait; `None` waits as long as it takes.

        Returns:

            `True` means committed. `False`: the time was up, or a record was
            dropped or set aside since the last flush; `counters` says how many.
        """
        if self._mailbox.is_writer():
            return False
        deadline, before = self._deadline(timeout), self._reported_losses
        if self._spool is not None:
            self._mailbox.open()  # There may be something that others left.
        goal = Goal(self._writer, self._mailbox, self._clock)
        if not goal.is_reached() and not self._running():
            self._writer.work_here(deadline)
        return goal.wait(deadline, self._running) and self._nothing_lost_since(before)

    def erase(self, someone: Someone, *, counts_only: bool = False) -> Erased:
        """
        Erase someone from what lies in the spool's folder, and from dead letters.

        Args:

            someone: Whose rows, and what is left of each.

            counts_only: Change nothing.

        Returns:

            How many rows were erased, and how many are with others, or still to
            be written.
        """
        letters = self._delivery.dead_letters
        return erase_waiting(self._spool, letters, someone, counts_only=counts_only)

    def close(self, timeout: float | None = None) -> bool:
        """
        Accept no more records, write those that wait, and stop.

        Args:

            timeout: Most seconds to wait; default is *close_timeout*.

        Returns:

            As `flush`. What could not be written in time stays in the spool;
            without one it is lost and counted as dropped, and one line on
            stderr says how many.
        """
        writer = self._writer
        if writer.gave_up:
            return False
        before = self._reported_losses
        seconds = self._options.close_timeout if timeout is None else timeout
        writer.deadline = self._deadline(seconds)
        if self._options.durability != MEMORY:
            self._mailbox.open()  # There may be something that a dead process left.
        self._mailbox.close()
        writer.hurry.ring()
        if self._mailbox.is_writer():
            return False  # It finishes after this call.
        if self._thread is not None and self._running():
            self._thread.join(writer.left(writer.deadline))
            self._break_off(self._thread)
        if not self._running():
            self._writer.work_here(writer.deadline)
        if not writer.has_settled_all():
            writer.give_up()
        writer.end()
        return not writer.gave_up and self._nothing_lost_since(before)

    def end(self) -> None:
        """Do what `close` does, at the end of the process, if there was a record at all."""
        if not self._mailbox.is_untouched:
            self.close()

    def counters(self) -> dict[str, int]:
        """
        Return how many records went where since the start of the process.

        Whenever no call is under way, ``submitted = accepted + rejected`` and
        ``accepted = written + duplicates + queued + in_flight + spooled + dead +
        dropped``. ``rejected.<field>`` (or ``rejected.closed``,
        ``rejected.recursion``) and ``dropped.<reason>`` say why;
        ``missing.actor_id`` and ``missing.tenant_id`` count records that were
        stored without one. ``recovered`` of those accepted were accepted by
        another process, which left them in the spool.
        """
        counts = self._writer.counts() | named("missing", self._writer.missing.values())
        if self._spool is not None:
            on_disk = self._spool.counts()
            counts["recovered"] = on_disk.adopted
            counts["damaged"] = on_disk.damaged + on_disk.damaged_adopted
        if failures := self._writer.losses.callback_failures:
            counts["on_loss_failed"] = failures
        if self._writer.hooks is not None:
            counts |= self._writer.hooks.counts()
        return counts

    def health(self) -> Health:
        """Judge the counters, the spool and the last answer of the database."""
        trouble, since = self._delivery.trouble, self._delivery.trouble_since
        seconds = self._clock() - since
        reasons = judge(self.counters(), self._options.max_records, trouble, seconds)
        if self._spool is not None and self._journal is not None:
            reasons += judge_disk(self._spool, self._journal.in_memory.value)
        return Health(not reasons, tuple(reasons))

    def _break_off(self, thread: threading.Thread) -> None:
        """Break off what the writer is doing, its time being up."""
        self._writer.reporter.mute()  # That a call fails now is our doing.
        deadline = self._clock() + _GRACE
        while thread.is_alive() and self._clock() < deadline:
            self._repository.interrupt()  # Again: a call may have begun just now.
            thread.join(0.01)

    def _nothing_lost_since(self, before: int) -> bool:
        counts = self._writer.counts()
        self._reported_losses = lost = counts["dead"] + counts["dropped"]
        return lost == before

    # -- the writer ---------------------------------------------------------

    def _start(self) -> bool:
        """Start the thread; where none can be (at exit), `close` and `flush` write."""
        if self._running():
            return True
        if self._spool is not None:
            self._spool.prepare()
        self._thread = threading.Thread(
            target=self._writer.run, name=f"structlog-activity-writer-{os.getpid()}", daemon=True
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

    def _deadline(self, timeout: float | None) -> float:
        return float("inf") if timeout is None else self._clock() + timeout

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
        if self._spool is not None:
            self._spool.abandon()
        self._mailbox.reset()
        self._reset()
