"""Fixtures for the tests of how records wait."""

from __future__ import annotations

import sys

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sqlalchemy.engine import make_url

from structlog_activity import ActivityLog
from structlog_activity.store.engine import make_engine, parse_url
from structlog_activity.store.postgresql.repository import PostgresRepository
from structlog_activity.store.sqlite import SqliteRepository
from structlog_activity.testing import MemoryRepository
from structlog_activity.write.buffer import BufferedRepository
from structlog_activity.write.watchdog import WatchedRepository
from tests.support.postgres import PostgresServer
from tests.support.proxy import FaultProxy
from tests.write.checker import SECRET, Trial
from tests.write.databases import Database, File
from tests.write.doubles import Gate, assert_accounts, eventually, writers
from tests.write.hosts import Host, host_on
from tests.write.scripts import Programs


MakeBuffer = Callable[..., BufferedRepository]
MakeTrial = Callable[..., Trial]


@pytest.fixture
def make_buffer() -> Iterator[MakeBuffer]:
    """What makes buffers; after the test they are closed and their accounts audited."""
    made: list[tuple[BufferedRepository, MemoryRepository]] = []

    def make(repository: MemoryRepository, **options: Any) -> BufferedRepository:
        buffer = BufferedRepository(repository, **{"linger": 0.0, **options})
        made.append((buffer, repository))
        return buffer

    yield make
    for buffer, repository in made:
        if isinstance(repository, Gate):
            repository.open()
        buffer.close(5)
    eventually(lambda: not writers(), "the end of the writers")
    for buffer, repository in made:
        assert_accounts(buffer, repository)


@pytest.fixture
def busy_threads() -> Iterator[None]:
    """Let threads take turns as often as can be, so that those that race do meet."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    """What runs programs that record into a file of this test's own."""
    return Programs(tmp_path)


@pytest.fixture
def both(ready_url: str, tmp_path: Path) -> Programs:
    """The same that record into SQLite, and into PostgreSQL."""
    return Programs(tmp_path, ready_url)


@pytest.fixture(params=["memory", "wal", "fsync"])
def leveled(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Programs]:
    """The same in each durability; when they have ended, nothing is left on disk."""
    programs = Programs(tmp_path, durability=request.param)
    yield programs
    assert programs.spooled == []


@pytest.fixture(params=["sqlite", "postgresql"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    """An application on each of the two databases."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'app.db'}"
    else:
        request.getfixturevalue("postgres_server").ensure_running()
        url = request.getfixturevalue("migrated_url")
    with host_on(url) as found:
        yield found


@pytest.fixture
def own_server(postgres_server: PostgresServer) -> Iterator[PostgresServer]:
    """The server, where it is ours to stop; afterwards it runs."""
    if postgres_server.external:
        pytest.skip("the server is not ours to stop")
    yield postgres_server
    postgres_server.ensure_running()


@pytest.fixture
def database(tables_url: str) -> Database:
    """A PostgreSQL database with the tables in it."""
    return Database(tables_url)


@pytest.fixture
def proxy(database: Database) -> Iterator[FaultProxy]:
    """A proxy before that database."""
    with FaultProxy(database.url) as proxy:
        yield proxy


@pytest.fixture
def file(tmp_path: Path) -> File:
    """A SQLite file with the tables in it."""
    file = File(tmp_path / "activity.db")
    with ActivityLog(file.url) as activity:
        activity.migrate()
    return file


@pytest.fixture
def make_trial(
    request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> Iterator[MakeTrial]:
    """
    What makes trials on the database behind the proxy.

    The arguments of the call: settings of the server for the session, then options of
    the buffer; *limit* is the watchdog's, *url* another way to the database.
    """

    def make(
        *settings: str, limit: float | None = None, url: str = "", **options: float | str
    ) -> Trial:
        database: Database = request.getfixturevalue("database")
        given = url or request.getfixturevalue("proxy").url
        there = make_url(given).set(password=SECRET).update_query_dict({"connect_timeout": "2"})
        if settings:
            words = " ".join(f"-c {setting}" for setting in settings)
            there = there.update_query_dict({"options": words})
        repository = PostgresRepository(parse_url(there))
        if limit is None:
            return Trial(repository, database, **options)
        return Trial(WatchedRepository(repository, limit), database, **options)

    yield make
    assert SECRET not in capsys.readouterr().err


@pytest.fixture
def make_file_trial(file: File, capsys: pytest.CaptureFixture[str]) -> Iterator[MakeTrial]:
    """What makes trials on a SQLite file."""

    def make(url: str = "", **options: float | str) -> Trial:
        engine = make_engine(parse_url(url or file.url))
        return Trial(SqliteRepository(engine), file, **options)

    yield make
    assert SECRET not in capsys.readouterr().err
