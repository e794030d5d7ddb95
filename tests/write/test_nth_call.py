"""
Whichever call to the driver fails, and however, each record is stored once.
"""

from __future__ import annotations

import sqlite3

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import psycopg
import pytest

from structlog_activity.store.batch import Batch
from structlog_activity.store.engine import make_engine, parse_url
from structlog_activity.store.interruption import Interruption
from structlog_activity.store.postgresql import repository as postgresql
from structlog_activity.store.postgresql.opening import interruptible
from structlog_activity.store.postgresql.repository import PostgresRepository
from structlog_activity.store.repository import Repository
from structlog_activity.store.sqlite import SqliteRepository
from tests.write.checker import Trial
from tests.write.databases import Database, File
from tests.write.doubles import rows


class Strikes:
    """
    Raises at the n-th step of the driver, and so many after it.

    A step lies before and after each call, and wherever the driver waits for
    the server within one.

    Attributes:

        steps: Names of those there were.

        struck: How often it raised.
    """

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.struck = 0
        self.disarm()

    def arm(self, first: int, count: int, error: Callable[[], BaseException]) -> None:
        self._first, self._last, self._error = first, first + count - 1, error
        self.steps, self.struck = [], 0

    def disarm(self) -> None:
        self._first, self._last = 1, 0

    def step(self, name: str) -> None:
        self.steps.append(name)
        if self._first <= len(self.steps) <= self._last:
            self.struck += 1
            raise self._error()


strikes = Strikes()


def _watched(call: Any) -> Generator[Any, Any, Any]:
    """Do what psycopg does in a call, with a step at each wait."""
    answer: Any = None
    while True:
        try:
            asked = call.send(answer)
        except StopIteration as done:
            return done.value
        strikes.step(f"within {call.__name__}")
        answer = yield asked


def _breakable(interruption: Interruption) -> type[psycopg.Connection[Any]]:
    class Connection(interruptible(interruption)):  # type: ignore[misc]
        @classmethod
        def connect(cls, *args: Any, **options: Any) -> Any:
            strikes.step("before connect")
            connection = super().connect(*args, **options)
            try:
                strikes.step("after connect")
            except BaseException:
                connection.close()
                raise
            return connection

        def wait(self, gen: Any, *args: Any, **options: Any) -> Any:
            strikes.step(f"before {gen.__name__}")
            answer = super().wait(_watched(gen), *args, **options)
            strikes.step(f"after {gen.__name__}")
            return answer

    return Connection


class BreakableConnection(sqlite3.Connection):
    """A connection to SQLite with steps."""

    def execute(self, sql: str, *args: Any) -> Any:
        return self._stepping(super().execute, sql, *args)

    def executemany(self, sql: str, *args: Any) -> Any:
        return self._stepping(super().executemany, sql, *args)

    def rollback(self) -> None:
        self._stepping(super().rollback)

    def _stepping(self, call: Callable[..., Any], *args: Any) -> Any:
        name = " ".join((str(args[0]) if args else "ROLLBACK").split()[:3])
        strikes.step(f"before {name}")
        answer = call(*args)
        try:
            strikes.step(f"after {name}")
        except BaseException:
            del answer  # A cursor would keep a connection from being closed.
            raise
        return answer


Kind: TypeAlias = Callable[[], BaseException]
Stored: TypeAlias = "Database | File"


class Subject:
    """A database, and repositories on it whose driver can be made to fail."""

    def __init__(self, database: Stored, make: Callable[[], Repository]) -> None:
        self.database = database
        self.make = make


@pytest.fixture(params=["postgresql", "sqlite"])
def subject(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Subject]:
    """Each of the two databases."""
    strikes.disarm()
    if request.param == "postgresql":
        database: Database = request.getfixturevalue("database")
        monkeypatch.setattr(postgresql, "interruptible", _breakable)
        yield Subject(database, lambda: PostgresRepository(parse_url(database.url)))
    else:
        file: File = request.getfixturevalue("file")
        engine = make_engine(
            parse_url(file.url), connect_args={"factory": BreakableConnection, "timeout": 5}
        )
        yield Subject(file, lambda: SqliteRepository(engine))
        engine.dispose()
    strikes.disarm()


def lost_connection() -> BaseException:
    return psycopg.OperationalError("the connection is lost")


def disk_error() -> BaseException:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = "SQLITE_IOERR_WRITE"
    return error


def out_of_files() -> BaseException:
    return OSError(24, "Too many open files")


def kinds_of(subject: Subject) -> list[Kind]:
    lost = disk_error if isinstance(subject.database, File) else lost_connection
    return [lost, out_of_files, MemoryError]


def fail_each_step(
    subject: Subject, what: Callable[[int], tuple[Kind, int]], *, is_connected: bool = False
) -> None:
    """
    Write one batch after another, and let the first step of the first fail, and so on.

    Args:

        subject: The database.

        what: Returns with what error, and how many steps in a row, for the number of the step.

        is_connected: Whether the connection is there already.
    """
    first, strikes.struck = 0, 1
    with Trial(subject.make(), subject.database) as trial:
        while strikes.struck:
            first += 1
            if is_connected:
                trial.submit(first * 10)
                trial.flush()
            else:
                trial.buffer._repository.close()
            error, count = what(first)
            strikes.arm(first, count, error)
            trial.submit(*range(first * 10 + 1, first * 10 + 8))
            trial.flush()
            strikes.disarm()
            trial.check()
    assert first > 10, strikes.steps


def test_whichever_step_of_a_batch_fails_each_record_is_stored_once(subject: Subject) -> None:
    kinds = kinds_of(subject)
    fail_each_step(subject, lambda n: (kinds[n % 3], (1, 1, 1, 2, 2, 2, 4, 4, 4)[n % 9]))


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("is_connected", [False, True], ids=["connecting", "connected"])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("kind", range(3))
def test_whichever_steps_of_a_batch_fail_each_record_is_stored_once(
    subject: Subject, kind: int, count: int, is_connected: bool
) -> None:
    error = kinds_of(subject)[kind]
    fail_each_step(subject, lambda n: (error, count), is_connected=is_connected)


@pytest.mark.parametrize(
    "is_connected",
    [False, pytest.param(True, marks=pytest.mark.soak)],
    ids=["connecting", "connected"],
)
def test_whichever_step_of_a_batch_is_interrupted_the_next_try_tells_the_truth(
    subject: Subject, is_connected: bool
) -> None:
    """An interrupt is not for a repository to heal; but it must leave nothing half done."""
    repository, database = subject.make(), subject.database
    first, strikes.struck = 0, 1
    expected: list[int] = []
    while strikes.struck:
        first += 1
        if not is_connected:
            repository.close()
        batch = Batch.alone(rows(5, first * 5))
        strikes.arm(first, 1, KeyboardInterrupt)
        try:
            repository.write(batch)
        except KeyboardInterrupt:
            is_there = database.stored != expected
            assert repository.write(batch) is not is_there, strikes.steps
        strikes.disarm()
        assert repository.write(batch) is False
        expected += range(first * 5, first * 5 + 5)
        assert database.stored == expected, strikes.steps
        assert database.counted == len(expected)
    repository.close()
    assert first > 10, strikes.steps
