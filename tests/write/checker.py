"""
Whatever was done to a database, what must hold of the records that were sent to it.
"""

from __future__ import annotations

import logging
import threading
import time

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Self

from structlog_activity.record.rowmaker import RowMaker
from structlog_activity.store.engine import make_engine, parse_url
from structlog_activity.store.faults import Fault
from structlog_activity.store.repository import Repository
from structlog_activity.store.seals.verify import verify_log
from structlog_activity.write.buffer import BufferedRepository
from structlog_activity.write.schedule import RetrySchedule
from tests.support.records import record
from tests.support.standstill import took
from tests.write.databases import Stored
from tests.write.doubles import assert_invariant, eventually


SECRET = "hunter2-swordfish"
"""Stands in every record and every password, and in no message."""

SECONDS = 40.0
LATENCY = 1.0
"""Most seconds that a caller may be kept while the machine runs."""


class Promptly(RetrySchedule):
    """Tries again soon, so that tests don't wait for what the real schedule is tested for."""

    def failed(self, fault: Fault) -> float:
        super().failed(fault)
        return 0.02


class Trial:
    """
    Producers that note what they submit and what they are told, held against the database.

    Args:

        repository: Where records go.

        database: What is there in the end.

        options: Of the buffer.

    Attributes:

        dead: Numbers of the records that the database is right to refuse.

        duplicates: How many are expected to be there already.

        loses: Whether some are dropped, which then must be counted.

        evicts: Whether records that were kept make room for later ones.

        in_doubt: How many at most may be there though they are counted as
            dropped: those of a batch that was under way when the time was up.
    """

    def __init__(self, repository: Repository, database: Stored, **options: float | str) -> None:
        values: dict[str, float | str] = {"linger": 0.0, "batch_size": 20, **options}
        self.buffer = BufferedRepository(repository, **values)  # type: ignore[arg-type]
        self.buffer._delivery._schedule = Promptly()
        self.database = database
        self.dead: Iterable[int] = ()
        self.duplicates = 0
        self.loses = False
        self.evicts = False
        self.in_doubt = 0
        self.submitted: list[int] = []
        self.kept: list[int] = []
        self.slowest = 0.0
        self.messages: list[str] = []
        self._halt = threading.Event()

    # -- what producers do --------------------------------------------------

    def submit(self, *numbers: int, verb: str = "theme.updated") -> None:
        """Log records with these numbers."""
        for number in numbers:
            one = record(verb=verb, object_id=str(number), data={"note": SECRET})
            self._submit(number, partial(self.buffer.log, one))

    def submit_raw(self, number: int, **spoilt: Any) -> None:
        """Put a row with this number that nobody has checked, these of its fields as given."""
        row = RowMaker().make_from(record(object_id=str(number), data={"note": SECRET}))
        self._submit(number, partial(self.buffer.put, row._replace(**spoilt)))

    def _submit(self, number: int, take: Callable[[], bool]) -> None:
        self.submitted.append(number)
        started = time.monotonic()
        is_kept = take()
        seconds = time.monotonic() - started
        if seconds > LATENCY:
            seconds = took(started, started + seconds)
        self.slowest = max(self.slowest, seconds)
        if is_kept:
            self.kept.append(number)

    @contextmanager
    def callers(self, count: int = 3, *, start: int = 0) -> Iterator[None]:
        """Log all the time, from that many threads, while the block runs."""
        self._halt.clear()
        firsts = [start + n * 1_000_000 for n in range(1, count + 1)]
        threads = [threading.Thread(target=self._call, args=(first,)) for first in firsts]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._halt.set()
            for thread in threads:
                thread.join()

    def _call(self, number: int) -> None:
        while not self._halt.wait(0.001):
            self.submit(number)
            number += 1

    # -- what tests wait for ------------------------------------------------

    def written(self) -> int:
        return self.buffer.counters()["written"]

    def flush(self) -> None:
        """Have all written that was submitted by now."""
        assert self.buffer.flush(SECONDS) is True, self.buffer.health()

    def flush_more(self) -> None:
        """Wait until some more is written."""
        before = self.written()
        eventually(lambda: self.buffer.flush(0.05) or self.written() > before, "writing")

    def trouble(self, words: str = "") -> None:
        """Wait until the writer can't write, for that reason."""
        eventually(lambda: bool(self._why()) and words in self._why(), f"trouble {words!r}")

    def _why(self) -> str:
        return str(self.buffer._delivery.trouble or "")

    # -- what must hold -----------------------------------------------------

    def __enter__(self) -> Self:
        self._listener = _Listener(self.messages)
        logging.getLogger("structlog_activity").addHandler(self._listener)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._done = self.buffer.close(SECONDS if kind is None else 0.1)
        logging.getLogger("structlog_activity").removeHandler(self._listener)
        if kind is None:
            eventually(lambda: not threads_of_ours(), "the end of our threads")
            self.check()

    def check(self) -> None:
        """Hold what was told, what is there and what is counted against each other."""
        counts, stored = self.buffer.counters(), self.database.stored
        assert_invariant(counts)
        assert (counts["queued"], counts["in_flight"], counts["spooled"]) == (0, 0, 0), counts
        assert counts["submitted"] == len(self.submitted) == len(set(self.submitted)), counts
        assert counts["rejected"] == len(self.submitted) - len(self.kept) - self._refused(counts)
        self._check_stored(counts, stored)
        self._check_seals()
        assert self.slowest < LATENCY, f"a caller was kept for {self.slowest:.3f} s"
        self._check_words()

    def _check_words(self) -> None:
        letters = [letter.reason for letter in self.buffer._delivery.dead_letters]
        for text in (*self.messages, *letters, *self.buffer.health().reasons):
            assert SECRET not in text

    def _check_seals(self) -> None:
        engine = make_engine(parse_url(self.database.url))
        try:
            report = verify_log(engine)
        finally:
            engine.dispose()
        assert report.ok, report.findings

    def _refused(self, counts: dict[str, int]) -> int:
        """How many callers were told that there is no room."""
        return 0 if self.evicts else counts.get("dropped.overflow", 0)

    def _check_stored(self, counts: dict[str, int], stored: list[int]) -> None:
        there = set(stored)
        assert len(there) == len(stored), "twice there"
        assert there <= set(self.submitted), "there, and never submitted"
        assert self.database.counted == len(stored), "the daily counts are off"
        assert 0 <= len(stored) - counts["written"] <= self.in_doubt, counts
        assert counts["duplicates"] == self.duplicates, counts
        assert counts["dead"] == len(set(self.dead)), (counts, self.buffer._delivery.dead_letters)
        assert not there & set(self.dead)
        assert bool(counts["dropped"]) == self.loses, counts
        lost = set(self.kept) - there - set(self.dead)
        dropped = counts.get("dropped.shutdown", 0)
        dropped += counts.get("dropped.overflow", 0) * self.evicts
        assert dropped - self.in_doubt <= len(lost) <= dropped, (len(lost), counts)


class _Listener(logging.Handler):
    def __init__(self, messages: list[str]) -> None:
        super().__init__()
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        self._messages.append(logging.Formatter().format(record))


def threads_of_ours() -> list[str]:
    """Return the names of our threads that run."""
    return [t.name for t in threading.enumerate() if t.name.startswith("structlog-activity")]
