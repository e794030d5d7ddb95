"""
A process that is killed at any moment leaves each record that it accepted to the next one.
"""

from __future__ import annotations

import os
import random
import selectors
import signal
import textwrap
import time

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.write.doubles import eventually
from tests.write.scripts import TELLING, Programs, assert_quiet


RECORDING = f"""
{TELLING}
print("ready", flush=True)
first = int(sys.stdin.readline())
threading.Thread(target=telling, args=(first + 500_000,), daemon=True).start()
telling(first)
"""


class Tolls:
    """What killed processes told of their records."""

    def __init__(self) -> None:
        self.tried: set[int] = set()
        self.accepted: set[int] = set()
        self.kills = 0

    def hear(self, said: str) -> None:
        """Note down what a process said; of its last line there may be half."""
        for line in said.split("\n")[:-1]:
            word, _, number = line.partition(" ")
            if word == "ready":
                continue
            (self.tried if word == "try" else self.accepted).add(int(number))

    def assert_kept(self, stored: list[int]) -> None:
        """Each accepted record is stored, none twice, and none that was never tried."""
        twice = [number for number, count in Counter(stored).items() if count > 1]
        assert not twice, f"{len(twice)} are stored twice: {twice[:5]}"
        lost = self.accepted - set(stored)
        assert not lost, f"{len(lost)} of {len(self.accepted)} are lost: {sorted(lost)[:5]}"
        assert set(stored) <= self.tried


class Victims:
    """
    Processes that record until they are killed.

    Args:

        programs: Run them.

        dice: Say when.

        tolls: Hear what they said.
    """

    def __init__(self, programs: Programs, dice: random.Random, tolls: Tolls) -> None:
        self._programs = programs
        self._dice = dice
        self._tolls = tolls

    def kill_round(self, first: int, count: int, longest: float) -> None:
        """Let *count* processes start together, and kill each at a moment of its own."""
        with ExitStack() as stack:
            processes = [stack.enter_context(self._programs.start(RECORDING)) for _ in range(count)]
            for process in processes:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n", process.communicate()[1]
            for index, process in enumerate(processes):
                assert process.stdin is not None
                process.stdin.write(f"{first + index * 1_000_000}\n")
                process.stdin.flush()
            self._kill(processes, longest)

    def _kill(self, processes: list[Any], longest: float) -> None:
        now = time.monotonic()
        # Half of them soon: while they still recover what others left.
        spans = [longest if self._dice.random() < 0.5 else 0.05 for _ in processes]
        moments = {
            p: now + self._dice.uniform(0, span) for p, span in zip(processes, spans, strict=True)
        }
        said = dict.fromkeys(processes, b"")
        with selectors.DefaultSelector() as selector:
            for process in processes:
                selector.register(process.stdout.fileno(), selectors.EVENT_READ, process)
            while selector.get_map():
                self._strike(moments)
                due = min(moments.values(), default=time.monotonic() + 10)
                for key, _ in selector.select(max(0.0, due - time.monotonic())):
                    if part := os.read(key.fd, 1 << 16):
                        said[key.data] += part
                    else:
                        selector.unregister(key.fd)
        for process in processes:
            assert process.wait() == -signal.SIGKILL, process.stderr.read()
            assert process.stderr.read() == ""
            self._tolls.hear(said[process].decode())

    def _strike(self, moments: dict[Any, float]) -> None:
        for process, moment in list(moments.items()):
            if moment <= time.monotonic():
                process.send_signal(signal.SIGKILL)
                self._tolls.kills += 1
                del moments[process]


@pytest.fixture
def both(ready_url: str, tmp_path: Path) -> Programs:
    """Programs that write ahead of SQLite, and of PostgreSQL."""
    return Programs(tmp_path, ready_url, durability="wal")


@pytest.fixture
def programs_ahead(tmp_path: Path) -> Programs:
    """Programs that write ahead of SQLite."""
    programs = Programs(tmp_path, durability="wal")
    programs.migrate()
    return programs


def wait_for_servers(programs: Programs) -> None:
    """Wait until no server process works for a dead one: it may still commit."""
    if not programs.url.startswith("sqlite"):
        others = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        eventually(lambda: programs.ask(others) == [0], "the end of the servers")


def assert_recovered(programs: Programs, tolls: Tolls) -> None:
    wait_for_servers(programs)
    before = programs.stored
    counts = programs.recover()
    stored = programs.stored
    tolls.assert_kept(stored)
    assert programs.spooled == []
    assert counts["written"] == len(stored) - len(before)
    assert counts["recovered"] == counts["written"] + counts["duplicates"]
    assert counts["recovered"] == counts["accepted"] == counts["submitted"]
    assert programs.ask("SELECT coalesce(sum(n), 0) FROM user_activity_daily") == [len(stored)]


def test_what_killed_processes_accepted_is_stored_once_by_the_next(both: Programs) -> None:
    seed = random.randrange(1 << 32)
    tolls = Tolls()
    victims = Victims(both, random.Random(seed), tolls)
    for number in range(5):
        victims.kill_round(number * 10_000_000, 1 + number % 2, 0.5)
    print(f"seed {seed}: {tolls.kills} kills, {len(tolls.accepted)} records")
    assert_recovered(both, tolls)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("durability", ["wal", "fsync"])
def test_two_hundred_kills_cost_nothing(both: Programs, durability: str) -> None:
    """Half of them strike while what the one before left is recovered."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    dice, tolls = random.Random(seed), Tolls()
    both.durability = durability
    victims, number = Victims(both, dice, tolls), 0
    while tolls.kills < 200:
        for _ in range(dice.randint(1, 5)):
            victims.kill_round(number * 10_000_000, dice.randint(1, 3), 1.0)
            number += 1
        assert_recovered(both, tolls)
    print(f"{number} rounds, {tolls.kills} kills, {len(tolls.accepted)} records")


# -- at one moment ------------------------------------------------------------

DYING = """
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def after(owner, name, doing=die):
    before = getattr(owner, name)

    def call(*args, **kwargs):
        done = before(*args, **kwargs)
        doing()
        return done

    setattr(owner, name, call)

def before(owner, name, doing=die):
    setattr(owner, name, doing)
"""

MOMENTS = {
    "a batch is marked": """
        from structlog_activity.write.spool.segment import Segment
        after(Segment, "mark")
    """,
    "a batch is committed": """
        from structlog_activity.store.{home} import {repository}
        after({repository}, "write")
    """,
    "a segment is deleted": """
        from structlog_activity.write.spool.segment import Segment
        before(Segment, "remove")
    """,
    "a segment is deleted and its marks are not": """
        from structlog_activity.write.spool.disk import Disk
        remove = Disk.remove
        def die_for_marks(disk, path):
            die() if path.suffix == ".marks" else remove(disk, path)
        Disk.remove = die_for_marks
    """,
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_kill_around_the_commit_neither_doubles_nor_loses(both: Programs, moment: str) -> None:
    is_sqlite = both.url.startswith("sqlite")
    home = "sqlite" if is_sqlite else "postgresql.repository"
    repository = "SqliteRepository" if is_sqlite else "PostgresRepository"
    strike = textwrap.dedent(MOMENTS[moment]).format(home=home, repository=repository)
    accepted: list[int] = []
    for number in range(3):  # The later ones strike while what the first left is recovered.
        done = both.run(
            f"""
{DYING}
{strike}
for n in range({number} * 100, {number} * 100 + 100):
    record(n)
    print(n, flush=True)
activity.close()
"""
        )
        assert done.returncode == -signal.SIGKILL, done.stderr
        accepted += map(int, done.stdout.split())
    counts = both.recover()
    stored = both.stored
    assert set(accepted) <= set(stored) <= set(range(300))
    assert both.ask("SELECT sum(n) FROM user_activity_daily") == [len(stored)] == [len(set(stored))]
    assert both.spooled == []
    assert counts["recovered"] == counts["written"] + counts["duplicates"]


def test_a_frame_that_is_torn_is_counted_and_costs_no_other(programs_ahead: Programs) -> None:
    programs = programs_ahead
    with programs.locked():
        done = programs.run(
            "for n in range(50): record(n)\nos.kill(os.getpid(), signal.SIGKILL)",
        )
    assert done.returncode == -signal.SIGKILL
    segments = programs.spool_dir.rglob("*.seg")
    torn = next(path for path in segments if path.read_bytes().rstrip(b"\0")[64:])
    size = len(torn.read_bytes().rstrip(b"\0"))
    with torn.open("r+b") as file:
        file.seek(size - 20)
        file.write(bytes(20))
    counts = programs.recover()
    assert programs.stored == [*range(49)]
    assert (counts["recovered"], counts["written"], counts["damaged"]) == (49, 49, 1)
    assert programs.spooled == []


def test_what_a_child_leaves_that_ends_at_once_is_stored_by_its_parent(both: Programs) -> None:
    done = both.run(
        """
        from structlog_activity.write import feeder
        feeder.LOOK_PERIOD = 0.1  # 30 s are too long for a test.
        from structlog_activity.write import writer
        writer.LOOK_PERIOD = 0.1

        record(0)
        pid = os.fork()
        if pid == 0:
            for n in range(100, 200): record(n)
            os._exit(0)
        os.waitpid(pid, 0)
        end = time.monotonic() + 20
        while time.monotonic() < end and activity.counters()["written"] < 101: time.sleep(0.01)
        counts = activity.counters()
        print(counts["written"] + counts["duplicates"] - counts["recovered"], counts["spooled"])
        """
    )
    assert_quiet(done)
    assert done.stdout == "1 0\n"
    assert both.stored == [0, *range(100, 200)]


@contextmanager
def between_commits(programs: Programs) -> Iterator[None]:
    """Have no other program be in the middle of a transaction for the time of the block."""
    if not programs.url.startswith("postgresql"):
        with programs.locked():
            yield
        return
    with psycopg.connect(programs.url.replace("+psycopg", "")) as connection:
        # The ledger comes first: whoever waits for it holds nothing that others need.
        connection.execute("LOCK TABLE user_activity_batch IN EXCLUSIVE MODE")
        yield
        connection.rollback()


def test_a_living_process_takes_over_what_a_killed_one_left(both: Programs) -> None:
    with both.start(RECORDING) as living, both.start(RECORDING) as dying:
        tolls = Tolls()
        for process, first in ((living, 0), (dying, 1_000_000)):
            process.stdout.readline()
            process.stdin.write(f"{first}\n")
            process.stdin.flush()
            for _ in range(200):
                tolls.hear(process.stdout.readline())
        with between_commits(both):  # Else it would keep everybody from the database.
            for _ in range(10_000):  # More than a pipe holds: the last ones can't be stored yet.
                tolls.hear(dying.stdout.readline())
            dying.kill()
            tolls.hear(dying.stdout.read())
            os.kill(living.pid, signal.SIGSTOP)  # It keeps its segments, which are locked.
        counts = both.recover()
        assert 0 < counts["recovered"] <= len(tolls.tried)
        assert any(both.spooled)
        living.kill()
        tolls.hear(living.stdout.read())
    assert_recovered(both, tolls)


# -- levels that promise less -------------------------------------------------


@pytest.mark.parametrize("spool", [False, True])
def test_in_memory_a_kill_costs_what_was_not_written_and_no_more(
    tmp_path: Path, spool: bool
) -> None:
    programs = Programs(tmp_path, spool=spool)
    programs.migrate()
    done = programs.run(
        """
        activity = ActivityLog(os.environ["URL"], linger=3600)
        for n in range(100): record(n, activity)
        assert activity.flush()
        for n in range(100, 150): record(n, activity)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    assert (done.returncode, done.stderr) == (-signal.SIGKILL, "")
    programs.recover()
    assert programs.stored == [*range(100)]


def test_what_an_outage_moved_into_the_spool_survives_a_kill(tmp_path: Path) -> None:
    programs = Programs(tmp_path, spool=True)
    programs.migrate()
    with programs.locked():
        done = programs.run(
            """
            activity = ActivityLog(os.environ["URL"], linger=0)

            def wait_for(name, count):
                end = time.monotonic() + 30
                while activity.counters()[name] != count and time.monotonic() < end:
                    time.sleep(0.01)

            record(0, activity)
            wait_for("in_flight", 1)
            for n in range(1, 51): record(n, activity)
            wait_for("spooled", 50)
            os.kill(os.getpid(), signal.SIGKILL)
            """
        )
    assert done.returncode == -signal.SIGKILL
    assert programs.recover()["recovered"] == 50
    assert programs.stored == [*range(1, 51)]
