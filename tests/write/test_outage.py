"""
Whatever happens to a real server, each record is stored exactly once, and only bad rows are dead.
"""

from __future__ import annotations

import re
import sqlite3
import threading
import time

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Self
from uuid import uuid4

import pytest

from sqlalchemy.engine import make_url

from structlog_activity import ActivityLog
from structlog_activity.store.batch import Batch
from structlog_activity.store.engine import parse_url
from structlog_activity.store.faults import Fault, StoreError
from structlog_activity.store.postgresql.repository import PostgresRepository
from structlog_activity.write.buffer import BufferedRepository
from tests.support.postgres import PostgresServer
from tests.support.standstill import took
from tests.write.databases import Database
from tests.write.doubles import assert_invariant, eventually, row, rows, writers


SECONDS = 40.0


@pytest.fixture
def database(postgres_url: str) -> Database:
    return Database(postgres_url)


@pytest.fixture
def activity(database: Database) -> Iterator[ActivityLog]:
    """A log with its tables made, that writes often."""
    log = ActivityLog(database.url, linger=0.0, batch_size=20)
    log.migrate()
    yield log
    log.close(SECONDS)
    eventually(lambda: not writers(), "the end of the writers")
    counts = log.counters()
    assert_invariant(counts)
    assert (counts["queued"], counts["in_flight"]) == (0, 0)


def record(activity: ActivityLog, number: int, verb: str = "theme.updated") -> None:
    activity.record(verb, ("theme", number), tenant_id="t", actor_id="a")


class Callers:
    """Three threads that record all the time, within a `with` block."""

    def __init__(self, activity: ActivityLog) -> None:
        self.activity = activity
        self.recorded = [0, 0, 0]
        self._halt = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(3)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._halt.set()
        for thread in self._threads:
            thread.join()

    @property
    def numbers(self) -> list[int]:
        """What was recorded."""
        return [n * 1_000_000 + i for n, count in enumerate(self.recorded) for i in range(count)]

    def progress(self) -> None:
        """Wait until some more is recorded."""
        before = sum(self.recorded)
        eventually(lambda: sum(self.recorded) > before + 50, "recording")

    def _run(self, number: int) -> None:
        while not self._halt.is_set():
            record(self.activity, number * 1_000_000 + self.recorded[number])
            self.recorded[number] += 1
            self._halt.wait(0.001)


def written(activity: ActivityLog) -> int:
    return activity.counters()["written"]


def wait_for_writes(activity: ActivityLog) -> None:
    before = written(activity)
    eventually(lambda: activity.flush(0.1) or written(activity) > before, "writing")


def assert_stored_once(activity: ActivityLog, database: Database, numbers: list[int]) -> None:
    assert activity.flush(SECONDS) is True
    assert database.stored == sorted(numbers)
    assert database.counted == len(numbers)
    counts = activity.counters()
    assert (counts["written"], counts["dead"], counts["dropped"]) == (len(numbers), 0, 0)


# -- outages ------------------------------------------------------------------


def test_a_server_that_crashes_and_comes_back_has_each_record_once(
    own_server: PostgresServer, database: Database, activity: ActivityLog
) -> None:
    with Callers(activity) as callers:
        for _ in range(2):
            wait_for_writes(activity)
            own_server.stop("immediate")
            eventually(lambda: not activity.health().ok, "trouble")
            callers.progress()
            own_server.start_again()
            wait_for_writes(activity)
    assert_stored_once(activity, database, callers.numbers)
    assert activity.health().ok


def test_connections_that_are_ended_again_and_again_cost_nothing(
    database: Database, activity: ActivityLog
) -> None:
    ended = 0
    with Callers(activity) as callers:
        deadline = time.monotonic() + SECONDS
        while ended < 60:
            assert time.monotonic() < deadline
            activity.flush(0.01)
            ended += database.end_connections()
    assert_stored_once(activity, database, callers.numbers)


def test_a_server_that_is_down_at_first_gets_all_in_order_later(
    own_server: PostgresServer, database: Database, activity: ActivityLog
) -> None:
    own_server.stop()
    for number in range(200):
        record(activity, number)
    eventually(lambda: not activity.health().ok, "trouble")
    own_server.start_again()
    assert_stored_once(activity, database, [*range(200)])
    in_order = database.do("SELECT object_id::int FROM user_activity ORDER BY created_at, id")
    assert in_order == [*range(200)]


def test_tables_that_are_made_later_get_all_and_nothing_is_dead(database: Database) -> None:
    with ActivityLog(database.url, linger=0.0, batch_size=100) as activity:
        for number in range(500):
            record(activity, number)
        eventually(lambda: not activity.health().ok, "trouble")
        (reason,) = activity.health().reasons
        assert "migrate" in reason
        assert activity.flush(0.05) is False
        assert activity.counters()["dead"] == 0
        activity.migrate()
        assert_stored_once(activity, database, [*range(500)])


def test_a_failover_to_a_server_that_is_read_only_is_waited_out(
    database: Database, activity: ActivityLog
) -> None:
    record(activity, 0)
    assert activity.flush(SECONDS)
    (name,) = database.do("SELECT current_database()")
    database.do(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    database.end_connections()
    for number in range(1, 50):
        record(activity, number)
    eventually(lambda: "25006" in "".join(activity.health().reasons), "trouble")
    with database.connect() as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only".encode())
    database.end_connections()
    assert_stored_once(activity, database, [*range(50)])


def test_a_lock_of_somebody_else_is_waited_for(database: Database, activity: ActivityLog) -> None:
    record(activity, 0)
    assert activity.flush(SECONDS)
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    with database.connect() as connection, connection.transaction():
        connection.execute("LOCK TABLE user_activity IN ACCESS EXCLUSIVE MODE")
        for number in range(1, 50):
            record(activity, number)
        eventually(lambda: database.do(waiting) == [1], "waiting for the lock")
        assert activity.flush(0.05) is False
    assert_stored_once(activity, database, [*range(50)])


def test_a_close_is_in_time_though_the_server_lets_nobody_in(
    own_server: PostgresServer,
    database: Database,
    activity: ActivityLog,
    capsys: pytest.CaptureFixture[str],
) -> None:
    own_server.freeze()
    record(activity, 0)
    eventually(lambda: activity.counters()["in_flight"] == 1)
    started = time.monotonic()
    assert activity.close(0.2) is False
    assert took(started) < 2
    # Why depends on how far the connecting had come.
    assert re.fullmatch(
        "structlog_activity: 1 records were not written in time and are lost: .+\n",
        capsys.readouterr().err,
    )
    assert activity.counters()["dropped.shutdown"] == 1
    own_server.thaw()


# -- the ledger ---------------------------------------------------------------


class Forgetful(PostgresRepository):
    """Its connection breaks after COMMIT, before the answer, at every other try."""

    tries = 0

    def write(self, batch: Batch) -> bool:
        done = super().write(batch)
        self.tries += 1
        if self.tries % 2:
            self.close()
            raise StoreError(Fault.TRANSIENT, "the connection broke")
        return done


def test_a_commit_whose_answer_got_lost_is_not_made_again(database: Database) -> None:
    with ActivityLog(database.url, migrate=True) as activity:
        activity.migrate()
    repository = Forgetful(parse_url(database.url))
    buffer = BufferedRepository(repository, batch_size=10, linger=0.0)
    for item in rows(50):
        buffer.put(item)
    assert buffer.flush(SECONDS) is True
    assert buffer.close() is True
    assert database.stored == [*range(50)]
    assert database.counted == 50
    assert repository.tries >= 10
    assert buffer.counters()["written"] == 50


def test_rows_that_are_there_already_are_counted_and_the_others_written(
    database: Database, activity: ActivityLog
) -> None:
    for start, count in ((0, 30), (20, 30)):
        buffer = BufferedRepository(PostgresRepository(parse_url(database.url)))
        for item in rows(count, start):
            buffer.put(item)
        assert buffer.close() is True
    counts = buffer.counters()
    assert (counts["written"], counts["duplicates"]) == (20, 10)
    assert database.stored == [*range(50)]
    assert database.counted == 50


def test_a_role_that_may_only_insert_writes_what_is_missing(
    postgres_server: PostgresServer, database: Database, activity: ActivityLog
) -> None:
    """It may not look which rows are there, but a row that its key refuses is one."""
    role = f"activity_writer_{uuid4().hex[:8]}"
    database.do(f"CREATE ROLE {role} LOGIN")
    try:
        database.do(
            f"GRANT INSERT ON user_activity, user_activity_batch TO {role};"
            f"GRANT SELECT, INSERT, UPDATE ON user_activity_daily TO {role};"
            f"GRANT SELECT ON user_activity_migration TO {role}"
        )
        url = postgres_server.url(make_url(database.url).database or "", role)
        buffer = BufferedRepository(PostgresRepository(parse_url(url)))
        for item in rows(10):
            buffer.put(item)
        assert buffer.flush(SECONDS) is True
        for item in rows(10, 7):
            buffer.put(item)
        assert buffer.close() is True
        counts = buffer.counters()
        assert (counts["written"], counts["duplicates"], counts["dead"]) == (17, 3, 0)
        assert database.stored == [*range(17)]
    finally:
        database.do(f"DROP OWNED BY {role}; DROP ROLE {role}")


# -- rows at fault ------------------------------------------------------------


BAD = (3, 41, 42)
GOOD = [number for number in range(60) if number not in BAD]


def test_rows_that_break_a_constraint_are_dead_and_no_others(
    database: Database, activity: ActivityLog
) -> None:
    database.do("ALTER TABLE user_activity ADD CONSTRAINT no_bad CHECK (verb <> 'bad.verb')")
    for number in range(60):
        record(activity, number, "bad.verb" if number in BAD else "theme.updated")
    assert activity.flush(SECONDS) is False
    assert database.stored == GOOD
    assert database.counted == len(GOOD)
    counts = activity.counters()
    assert (counts["written"], counts["dead"]) == (len(GOOD), 3)


def test_rows_that_a_trigger_of_the_host_refuses_are_dead_and_no_others(
    database: Database, activity: ActivityLog
) -> None:
    """It raises P0001, of which nobody knows whether it concerns the row or all."""
    with database.refusing("P0001", when="FOR EACH ROW WHEN (NEW.verb = 'bad.verb')"):
        for number in range(8):
            record(activity, number, "bad.verb" if number == 3 else "theme.updated")
        eventually(lambda: activity.flush(0.1) or activity.counters()["dead"] == 1, "judging")
    assert database.stored == [0, 1, 2, 4, 5, 6, 7]
    assert activity.counters()["dead"] == 1


def test_while_a_trigger_of_the_host_refuses_all_nothing_is_dead(
    database: Database, activity: ActivityLog
) -> None:
    with database.refusing("P0001", when="FOR EACH ROW"):
        for number in range(4):
            record(activity, number)
        assert activity.flush(1) is False
        assert activity.counters()["dead"] == 0
        assert not activity.health().ok
    assert_stored_once(activity, database, [*range(4)])


# -- SQLite -------------------------------------------------------------------


def test_a_file_that_somebody_else_locks_gets_all_later(tmp_path: Path) -> None:
    file = tmp_path / "activity.db"
    with ActivityLog(f"sqlite:///{file}", linger=0.0, batch_size=10) as activity:
        record(activity, 0)
        assert activity.flush(SECONDS)
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            for number in range(1, 100):
                record(activity, number)
            eventually(lambda: activity.counters()["in_flight"] > 0)
            assert activity.flush(0.05) is False
            other.execute("ROLLBACK")
        assert activity.flush(SECONDS) is True
        with closing(sqlite3.connect(file)) as other:
            found = other.execute("SELECT object_id FROM user_activity").fetchall()
        assert sorted(int(number) for (number,) in found) == [*range(100)]
        assert activity.counters()["written"] == 100


def test_one_row_is_stored_once_by_whoever_brings_it(database: Database) -> None:
    """Two writers of two processes that import the same history at the same time."""
    with ActivityLog(database.url, migrate=True) as activity:
        activity.migrate()
    buffers = [
        BufferedRepository(PostgresRepository(parse_url(database.url)), batch_size=7, linger=0.0)
        for _ in range(2)
    ]
    for number in range(100):
        for buffer in buffers:
            buffer.put(row(number))
    assert [buffer.close(SECONDS) for buffer in buffers] == [True, True]
    assert database.stored == [*range(100)]
    assert database.counted == 100
    counts = [buffer.counters() for buffer in buffers]
    assert sum(count["written"] for count in counts) == 100
    assert sum(count["duplicates"] for count in counts) == 100
