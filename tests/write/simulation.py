"""
A world in which clock, database and disk do what dice say, and nothing else moves.

One thread runs it all. The writer is stepped, and wherever it waits, for time, for
the database or for the disk, others act on top of it: callers put records, somebody
flushes, closes, or kills the process. Each seed is another world, and always the
same one::

    python -m tests.write.simulation SEED
"""

from __future__ import annotations

import errno
import io
import logging
import mmap
import os
import sys
import tempfile

from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Self
from uuid import UUID

from structlog_activity.store.batch import Batch
from structlog_activity.store.faults import Fault, StoreError
from structlog_activity.write import lifetime
from structlog_activity.write.buffer import BufferedRepository
from structlog_activity.write.deadletters import DeadLetter
from structlog_activity.write.pausable import PausableRepository
from structlog_activity.write.report import Reporter
from structlog_activity.write.schedule import RetrySchedule
from structlog_activity.write.spool.disk import Disk
from structlog_activity.write.spool.spool import Spool
from tests.write.doubles import Repository, assert_invariant, numbers, records, row


SEGMENT = 4096
KINDS = ("memory", "memory and a spool", "wal", "fsync")
_LONGEST_TRACE = 20_000


class CrashError(BaseException):
    """The process is gone; whatever it would still do on its way out touches nothing."""


class World:
    """
    Everything that a run shares.

    Args:

        seed: Which world it is.

        folder: For the spool.

    Attributes:

        trace: What happened, in words.

        tried: Numbers of the records that callers handed in, by life.

        kept: Those of which they were told that they are kept.

        soft: Those that waited in memory although a disk was promised.
    """

    def __init__(self, seed: int, folder: Path) -> None:
        self.dice = Random(seed)
        self.folder = folder
        self.now = 1_000.0
        self.trace: list[str] = []
        self.tried: list[list[int]] = []
        self.kept: set[int] = set()
        self.soft: set[int] = set()
        self.next = 0
        self.left = self.dice.randint(20, 250)  # How many things others will do.
        self.calm = False
        self.crashed = False
        self.on_top = 0
        self.life: Life | None = None
        self.kind = self.dice.choice(KINDS)
        self.overflow = self.dice.choice(["drop_newest", "drop_oldest"])
        self.bad = {number for number in range(3_000) if self.dice.random() < 0.01}
        self.unlucky = self.dice.choice([0.0, 0.05, 0.3, 0.6])
        self.disk_unlucky = self.dice.choice([0.0, 0.0, 0.02, 0.2])
        self.nth_disk_call = self.dice.choice([0, 0, self.dice.randint(1, 150)])
        self.may_crash = self.kind in ("wal", "fsync") and self.dice.random() < 0.5
        self.letters = Letters(self)
        self.store = Store(self)

    @property
    def disk_fails(self) -> bool:
        return bool(self.disk_unlucky or self.nth_disk_call)

    @property
    def has_spool(self) -> bool:
        return self.kind != "memory"

    def note(self, *words: object) -> None:
        self.trace.append(f"{self.now:.3f} " + " ".join(map(str, words)))
        assert len(self.trace) < _LONGEST_TRACE, "the world comes to no end"

    def chance(self, likelihood: float) -> bool:
        return not self.calm and self.dice.random() < likelihood

    def clock(self) -> float:
        return self.now

    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    # -- what others do meanwhile ----------------------------------------------

    def meanwhile(self, *, only_put: bool = False) -> None:
        """Let others act while the writer waits; on top of those, nobody does."""
        self.check_alive()
        if self.on_top or self.calm or self.life is None:
            return
        self.on_top += 1
        try:
            with self.life.as_another_thread():
                for _ in range(self.dice.choice([0, 0, 1, 1, 2])):
                    self.act(only_put=only_put)
        finally:
            self.on_top -= 1

    def act(self, *, only_put: bool = False) -> None:
        """Have somebody do something."""
        life = self.life
        assert life is not None
        if self.left <= 0:
            return
        self.left -= 1
        luck = self.dice.random()
        if only_put or luck < 0.7:
            life.put(self.dice.choice([1, 1, 5, 40]))
        elif luck < 0.8:
            self.pass_time(self.dice.choice([0.01, 0.3, 2.0, 40.0]))
        elif luck < 0.85:
            assert_invariant(life.buffer.counters())
        elif luck < 0.9:
            life.flush(self.dice.choice([0.0, 0.5, 5.0]))
        elif luck < 0.92:
            life.close(self.dice.choice([0.0, 0.5, 5.0]))
        elif luck < 0.95 and self.may_crash:
            self.note("killed")
            self.crashed = True
            raise CrashError

    def check_alive(self) -> None:
        if self.crashed:
            raise CrashError


class Letters:
    """
    Dead letters that outlive a crash, as those in files do.

    Attributes:

        late: Numbers of those whose writer had given up: it counts them as lost.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.numbers: set[int] = set()
        self.late: set[int] = set()

    def add(self, letter: DeadLetter) -> bool:
        found = numbers([letter.row])
        self.numbers.update(found)
        if self._world.life is not None and self._world.life.buffer._writer.gave_up:
            self.late.update(found)
        return True

    def __iter__(self) -> Iterator[DeadLetter]:
        return iter(())


class Store(Repository):
    """A database that refuses, is slow, loses answers, and won't have some rows."""

    def __init__(self, world: World) -> None:
        super().__init__(self._answer)
        self.world = world
        self._unheard: dict[tuple[UUID, int], int] = {}

    @property
    def in_doubt(self) -> int:
        """How many records at most are there without the writer's knowing."""
        return sum(self._unheard.values())

    def _answer(self, batch: Batch) -> None:
        world = self.world
        world.meanwhile()
        world.pass_time(world.dice.choice([0.0, 0.001, 0.1]))
        names = [n for n in numbers(records(batch.rows)) if n in world.bad]
        if world.chance(world.unlucky):
            self._fail(batch, poisoned=bool(names))
        if names:
            row_ = numbers(batch.rows).index(names[0])
            tells = world.dice.random() < 0.5
            world.note("write", batch.seq, len(batch.rows), "bad", row_ if tells else "?")
            raise StoreError(Fault.DATA, "a bad row", row=row_ if tells else None)
        world.note("write", batch.seq, len(batch.rows))

    def _fail(self, batch: Batch, *, poisoned: bool) -> None:
        world = self.world
        fault = world.dice.choice([Fault.TRANSIENT, Fault.TRANSIENT, Fault.SLOW, Fault.UNKNOWN,
                                   Fault.CONFIGURATION])  # fmt: skip
        # A transaction that was committed, and nobody heard of it.
        ambiguous = fault is Fault.TRANSIENT and not poisoned and world.dice.random() < 0.5
        world.note("write", batch.seq, len(batch.rows), fault.value, ambiguous)
        if ambiguous:
            self.commit(batch)
            self._unheard[batch.writer_id, batch.seq] = len(records(batch.rows))
        if world.dice.random() < 0.2:  # It hangs, until somebody breaks it off.
            world.pass_time(world.dice.choice([1.0, 10.0]))
            world.meanwhile()
        raise StoreError(fault, "no")

    def commit(self, batch: Batch) -> bool:
        life, identity = self.world.life, (batch.writer_id, batch.seq)
        is_new = super().commit(batch)
        if life is not None and life.buffer._writer.gave_up:  # The answer counts no more.
            self._unheard[identity] = len(records(batch.rows))
        else:
            self._unheard.pop(identity, None)
        return is_new


class SimulatedDisk(Disk):
    """A disk that fails as dice say, and forgets what it held open when the process is gone."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.calls = 0
        self.fds: set[int] = set()
        self.maps: list[mmap.mmap] = []
        for name in vars(Disk):
            if callable(getattr(Disk, name)) and not name.startswith("_"):
                setattr(self, name, partial(self._call, name))

    def _call(self, name: str, *args: Any) -> Any:
        world = self.world
        world.meanwhile(only_put=True)
        self.calls += 1
        fails = self.calls == world.nth_disk_call or world.chance(world.disk_unlucky)
        # A close that fails has closed all the same.
        if fails and not world.calm and name != "close":
            world.note("disk", name, "fails")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if name.startswith("sync"):
            return None
        found = getattr(Disk, name)(self, *args)
        if name in ("create", "open"):
            self.fds.add(found)
        elif name == "close":
            self.fds.discard(*args)
        elif name == "map":
            self.maps.append(found)
        return found

    def die(self) -> None:
        """Let go of everything, as the system does for a dead process."""
        for memory in self.maps:
            memory.close()
        for fd in self.fds:
            os.close(fd)


class Bell:
    """A bell whose sleepers sleep in the world's time."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rung = False

    def ring(self) -> None:
        self._rung = True

    def hush(self) -> None:
        self._rung = False

    def wait(self, timeout: float = -1) -> bool:
        if not self._rung:
            self._world.meanwhile()
        if not self._rung:
            self._world.pass_time(timeout if timeout >= 0 else 1.0)
        rung, self._rung = self._rung, False
        return rung


class Changed:
    """A condition whose waiters let the writer work."""

    def __init__(self, world: World, let_work: Callable[[float], None]) -> None:
        self._world = world
        self._let_work = let_work

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def notify_all(self) -> None:
        pass

    def wait(self, timeout: float) -> None:
        self._let_work(timeout)


class Simulated(BufferedRepository):
    """A buffer whose thread is stepped, and whose bells and clock are the world's."""

    def __init__(self, life: Life, **options: Any) -> None:
        self._life = life
        self._is_made = False
        super().__init__(life.world.store, clock=life.world.clock, **options)
        lifetime._live.discard(self)
        self._repository = PausableRepository(life.world.store)
        self._is_made = True
        self._reset()

    def _reset(self) -> None:
        if not self._is_made:
            super()._reset()
            return
        world = self._life.world
        super()._reset()
        writer = self._writer
        writer.hurry = Bell(world)  # type: ignore[assignment]
        self._mailbox._bell = Bell(world)  # type: ignore[assignment]
        writer.changed = Changed(world, self._life.let_work)  # type: ignore[assignment]
        writer.reporter = writer.delivery._reporter = Reporter(world.clock)
        writer.reporter.mute()
        writer.delivery._schedule = RetrySchedule(world.dice.random)
        writer.delivery.dead_letters = world.letters

    def _new_spool(self, folder: Path) -> Spool:
        return Spool(
            folder,
            writer_id=lambda: self._delivery.writer_id,
            segment_bytes=SEGMENT,
            max_bytes=8 * SEGMENT,
            synced=self._options.durability == "fsync",
            disk=self._life.disk,
        )

    def _start(self) -> bool:
        if self._spool is not None:
            self._spool.prepare()
        self._thread = self._life  # type: ignore[assignment]
        return True


@dataclass
class Told:
    """What a life counted at its end."""

    counts: dict[str, int]
    tried: int


class Life:
    """
    One process: a buffer, and the thread that writes.

    Args:

        world: The world.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.disk = SimulatedDisk(world)
        self.ended = False
        self._stepping = False
        world.tried.append([])
        world.life = None  # Nobody acts while it is made.
        levels = {"memory and a spool": "memory"}
        self.buffer = Simulated(
            self,
            durability=levels.get(world.kind, world.kind),
            spool_dir=world.folder if world.has_spool else None,
            overflow=world.overflow,
            batch_size=world.dice.choice([1, 7, 50]),
            max_records=world.dice.choice([5, 60, 1_000]),
            linger=world.dice.choice([0.0, 0.05]),
        )
        world.life = self

    # -- the thread ---------------------------------------------------------

    def is_alive(self) -> bool:
        return not self.ended

    def join(self, timeout: float) -> None:
        """Let the writer work until it ends or the time is up."""
        until = self.world.now + timeout
        while not self.ended and self.world.now < until:
            self.let_work(until - self.world.now)

    def let_work(self, timeout: float) -> None:
        """Let the writer do one step, unless it is held up in one: then time passes."""
        if self._stepping or self.ended:
            self.world.pass_time(timeout)
        else:
            self.step()

    def step(self) -> None:
        self._stepping = True
        on_top, self.world.on_top = self.world.on_top, 0
        try:
            before = self.world.now
            self.ended = not self.buffer._writer.step()
            self.world.pass_time(0.0 if self.world.now > before else 0.001)
        finally:
            self._stepping = False
            self.world.on_top = on_top

    @contextmanager
    def as_another_thread(self) -> Iterator[None]:
        mailbox = self.buffer._mailbox
        workers, mailbox._workers = mailbox._workers, set()
        try:
            yield
        finally:
            mailbox._workers = workers

    # -- what callers do ----------------------------------------------------

    def put(self, count: int) -> None:
        world, buffer = self.world, self.buffer
        for _ in range(count):
            number = world.next
            world.next += 1
            world.tried[-1].append(number)
            in_memory = self._in_memory()
            is_kept = buffer.put(row(number))
            if is_kept:
                world.kept.add(number)
            if self._in_memory() != in_memory:
                world.soft.add(number)
        world.note("put", count)

    def _in_memory(self) -> int:
        journal = self.buffer._journal
        return journal.in_memory.value if journal is not None else 0

    def flush(self, timeout: float) -> None:
        started = self.world.now
        told = self.buffer.flush(timeout)
        self.world.note("flush", told)
        # Beyond its time only as long as one step of the writer took.
        assert self.world.now - started >= 0

    def close(self, timeout: float) -> None:
        self.world.note("close", self.buffer.close(timeout))

    def end(self, timeout: float) -> Told:
        """Close, let a thread that is late come to its end, and tell what was counted."""
        self.close(timeout)
        if self.buffer._thread is not None:
            for _ in range(100):
                if self.ended:
                    break
                self.step()
            assert self.ended, "the thread goes on"
        counts = self.buffer.counters()
        assert_invariant(counts)
        assert (counts["queued"], counts["in_flight"]) == (0, 0), counts
        return Told(counts, len(self.world.tried[-1]))


# -- a run ------------------------------------------------------------------------


def run(seed: int) -> list[str]:
    """
    Run a world to its end and hold all accounts to each other.

    Returns:

        What happened.

    Raises:

        AssertionError: A record is lost without being counted, or there twice.
    """
    with tempfile.TemporaryDirectory(prefix="simulation-") as folder, _silence():
        world = World(seed, Path(folder, "spool"))
        lives: list[Told] = []
        try:
            first = Life(world)
            while world.left > 0:
                if world.dice.random() < 0.5:
                    world.act()
                elif first.buffer._thread is not None and not first.ended:
                    first.step()
            lives.append(first.end(world.dice.choice([0.0, 1.0, 30.0])))
        except CrashError:
            first.disk.die()
        was_killed, world.crashed = world.crashed, False
        world.calm, world.on_top = True, 0
        if world.has_spool:
            heir = Life(world)
            if not heir.buffer.flush(10_000):
                world.note("losses were told")
            lives.append(heir.end(10_000))
            _check_folder(world)
        _check(world, lives, was_killed=was_killed)
        world.note(sorted(world.store.numbers), *[sorted(life.counts.items()) for life in lives])
        return world.trace


@contextmanager
def _silence() -> Iterator[None]:
    """Keep the one line on stderr that tells of a loss, and our logger, from the output."""
    logger = logging.getLogger("structlog_activity")
    logger.disabled = True
    try:
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        logger.disabled = False


def _check_folder(world: World) -> None:
    left = [path.name for path in world.folder.glob("*.seg")]
    assert not left, f"the heir left {left}"


def _check(world: World, lives: list[Told], *, was_killed: bool) -> None:
    stored, dead = world.store.numbers, world.letters.numbers
    there = set(stored)
    assert len(there) == len(stored), "a record is there twice"
    tried = {number for life in world.tried for number in life}
    assert there | dead <= tried
    assert dead <= world.bad or world.unlucky, "a good record was set aside"
    missing = world.kept - there - dead
    if was_killed:
        assert missing <= world.soft | _evicted(world), f"lost: {sorted(missing)[:10]}"
        return
    _check_counts(world, lives, missing)


def _evicted(world: World) -> set[int]:
    """Those that drop_oldest may have dropped: in a killed process nobody can tell."""
    return world.kept if world.overflow == "drop_oldest" else set()


def _check_counts(world: World, lives: list[Told], missing: set[int]) -> None:
    stored = world.store.numbers
    for life in lives:
        recovered = life.counts.get("recovered", 0)
        assert life.counts["submitted"] == life.tried + recovered, life.counts
    dropped = sum(life.counts["dropped"] for life in lives)
    rejected = sum(life.counts["rejected"] for life in lives)
    refused = sum(map(len, world.tried)) - len(world.kept) - rejected
    assert refused >= 0
    doubt = dropped - refused - len(missing)
    assert doubt >= 0, f"{len(missing)} are missing, {dropped - refused} counted as lost"
    settled = sum(life.counts["written"] + life.counts["duplicates"] for life in lives)
    written = sum(life.counts["written"] for life in lives)
    # What is left in the spool of a batch that went in parts is a duplicate to the heir.
    assert written <= len(stored) <= settled + world.store.in_doubt, (written, settled)
    if not world.disk_fails:  # Else a segment that was thrown away may not have been removed.
        # Only a COMMIT that came late, or whose answer did, or a refusal that did.
        most = world.store.in_doubt + len(world.letters.late)
        assert doubt <= most, f"{doubt} are counted as lost, and at most {most} may be there"


def main() -> None:
    """Run the world of the seed that the command line says, and print what happened."""
    (seed,) = sys.argv[1:]
    print("\n".join(run(int(seed))))


if __name__ == "__main__":
    main()
