"""
Repositories that answer as a test wants, and rows to give them.
"""

from __future__ import annotations

import signal
import threading
import time

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from structlog_activity.record.ids import NIL_BYTES
from structlog_activity.record.row import Row
from structlog_activity.store.batch import Batch
from structlog_activity.store.faults import Fault, StoreError
from structlog_activity.testing import MemoryRepository
from structlog_activity.write import losses
from structlog_activity.write.buffer import BufferedRepository


DEADLINE = 20.0
"""Seconds after which a test that waits for a thread has failed; never waited in full."""

START = 1_700_000_000_000_000
WHO = UUID(int=7).bytes


def row(number: int, *, data: str = "{}", who: bytes = WHO) -> Row:
    """Return the row with that number; its id says which."""
    id_ = UUID(int=number).bytes
    return Row(
        who, START + number, id_, who, NIL_BYTES, NIL_BYTES,
        "settings.updated", "settings", str(number), "", "", data,
    )  # fmt: skip


def rows(count: int, start: int = 0) -> list[Row]:
    return [row(number) for number in range(start, start + count)]


def records(of: Sequence[Row]) -> list[Row]:
    """Return the rows without the writer's own notes."""
    return [item for item in of if item.verb != losses.VERB]


def numbers(of: Sequence[Row]) -> list[int]:
    return [UUID(bytes=item.id).int for item in of]


def eventually(is_so: Callable[[], bool], what: str = "it") -> None:
    """Wait until a thread has brought something about."""
    deadline, pause = time.monotonic() + DEADLINE, threading.Event()
    while not is_so():
        assert time.monotonic() < deadline, f"{what} did not happen"
        pause.wait(0.001)


def run_all(*work: Callable[[], object]) -> None:
    """Run each in a thread of its own, all at once."""
    barrier = threading.Barrier(len(work))

    def run(one: Callable[[], object]) -> None:
        barrier.wait()
        one()

    threads = [threading.Thread(target=run, args=(one,)) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@contextmanager
def interrupted(handler: Callable[[], object]) -> Iterator[list[int]]:
    """Call *handler* as a signal handler, often, while the block uses the processor."""
    calls: list[int] = []

    def handle(*_: object) -> None:
        calls.append(1)
        handler()

    # Not SIGALRM: that one is pytest-timeout's.
    before = signal.signal(signal.SIGPROF, handle)
    signal.setitimer(signal.ITIMER_PROF, 0.001, 0.001)
    try:
        yield calls
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def down() -> StoreError:
    return StoreError(Fault.TRANSIENT, "the connection is refused")


class Repository(MemoryRepository):
    """
    A repository that asks *answer* before it keeps a batch.

    Args:

        answer: Gets the batch; it may raise, or wait. What it returns is ignored.
    """

    def __init__(self, answer: Callable[[Batch], object] = lambda batch: None) -> None:
        super().__init__()
        self.answer = answer
        self.tries: list[Batch] = []
        self.closed = 0
        self.abandoned = 0
        self.threads: set[int] = set()
        self._keys: set[tuple[bytes, int, bytes]] = set()
        self._identities: set[tuple[UUID, int]] = set()

    @property
    def numbers(self) -> list[int]:
        """The numbers of the stored rows, in the order in which they came."""
        return numbers(records(self.rows))

    @property
    def notes(self) -> list[Row]:
        """What the writer wrote of itself: that records were lost."""
        return [item for item in self.rows if item.verb == losses.VERB]

    @property
    def sizes(self) -> list[int]:
        """How many rows each try brought."""
        return [len(batch.rows) for batch in self.tries if records(batch.rows)]

    def write(self, batch: Batch) -> bool:
        self.tries.append(batch)
        self.threads.add(threading.get_ident())
        self.answer(batch)
        return self.commit(batch)

    def commit(self, batch: Batch) -> bool:
        """Do what `MemoryRepository.write` does, in less time for many rows."""
        identity = (batch.writer_id, batch.seq)
        if identity in self._identities:
            return False
        keys = {item.key for item in batch.rows}
        if not keys.isdisjoint(self._keys):
            raise StoreError(Fault.DUPLICATE, "there already")
        self._identities.add(identity)
        self._keep(batch.rows)
        return True

    def have(self, rows: Sequence[Row]) -> None:
        """Hold rows that somebody else wrote."""
        self._keep(rows)

    def stored(self, rows: Sequence[Row]) -> set[int]:
        return {index for index, item in enumerate(rows) if item.key in self._keys}

    def _keep(self, rows: Sequence[Row]) -> None:
        self._keys.update(item.key for item in rows)
        self.rows.extend(rows)

    def close(self) -> None:
        self.closed += 1

    def abandon(self) -> None:
        self.abandoned += 1


class Gate(Repository):
    """A repository whose `write` waits until the gate is open."""

    def __init__(self) -> None:
        super().__init__(self._wait)
        self.entered = threading.Event()
        self.opened = threading.Event()

    def open(self) -> None:
        self.opened.set()

    def _wait(self, batch: Batch) -> None:
        self.entered.set()
        assert self.opened.wait(DEADLINE), "nobody opened the gate"


class Answers:
    """Raise the given errors one after another, then nothing more; `None` is a success."""

    def __init__(self, *errors: Exception | None) -> None:
        self.left = list(errors)

    def __call__(self, batch: Batch) -> None:
        error = self.left.pop(0) if self.left else None
        if error is not None:
            raise error


class Poison:
    """Refuse every batch that holds one of the given rows, as a database does."""

    def __init__(self, fault: Fault, *bad: int, tells: bool = False) -> None:
        self.fault = fault
        self.bad = set(bad)
        self.tells = tells

    def __call__(self, batch: Batch) -> None:
        for index, number in enumerate(numbers(batch.rows)):
            if number in self.bad:
                raise StoreError(self.fault, "a bad row", row=index if self.tells else None)


def assert_invariant(counts: dict[str, int]) -> None:
    """Hold the counters of a buffer that rests against each other."""
    assert counts["submitted"] == counts["accepted"] + counts["rejected"], counts
    went = ("written", "duplicates", "queued", "in_flight", "spooled", "dead", "dropped")
    assert counts["accepted"] == sum(counts[name] for name in went), counts
    assert all(count >= 0 for count in counts.values()), counts
    for total in ("rejected", "dropped"):
        parts = [n for name, n in counts.items() if name.startswith(f"{total}.")]
        assert counts[total] == sum(parts), counts


def assert_accounts(buffer: BufferedRepository, repository: MemoryRepository) -> None:
    """Hold the counters of a closed buffer against what its repository has."""
    counts = buffer.counters()
    assert_invariant(counts)
    assert (counts["queued"], counts["in_flight"]) == (0, 0), counts
    assert counts["written"] == len(records(repository.rows)), counts


def writers() -> list[threading.Thread]:
    """Return the writers' threads that run."""
    return [t for t in threading.enumerate() if t.name.startswith("structlog-activity-writer")]
