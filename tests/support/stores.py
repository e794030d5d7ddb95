"""
The three stores under one face, so that one suite holds them all to the same words.
"""

from __future__ import annotations

import itertools

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from sqlalchemy import Engine, text

from structlog_activity import ActivityLog, ActivityPage, ActivityRecord, ActivityStats
from structlog_activity.read.methods import ReadMethods
from structlog_activity.record.row import Row
from structlog_activity.record.rowmaker import RowMaker
from structlog_activity.store.batch import Batch
from structlog_activity.store.engine import make_engine, parse_url
from structlog_activity.store.repository import Repository
from structlog_activity.store.schema import Schema
from structlog_activity.store.table import metadata, user_activity_migration
from structlog_activity.testing import MemoryRepository


TABLES = (
    "user_activity",
    "user_activity_batch",
    "user_activity_daily",
    "user_activity_monthly",
)


KEY = b"a key for the seals"


@dataclass
class Store:
    """One store: a repository to write, and the reads."""

    name: str
    repository: Repository
    new_repository: Callable[[], Repository]
    feed: Callable[..., ActivityPage]
    stats: Callable[..., ActivityStats]
    history: Callable[..., ActivityPage]
    timeline: Callable[..., list[tuple[datetime, int]]]
    top: Callable[..., list[tuple[Any, int]]]
    get: Callable[..., ActivityRecord | None]
    engine: Engine | None = None

    def __post_init__(self) -> None:
        self._seq = itertools.count(1)
        self._writer = uuid4()

    @property
    def database(self) -> Engine:
        """The engine, where a test wants no other store than those that have one."""
        assert self.engine is not None
        return self.engine

    def batch(self, rows: Sequence[Row]) -> Batch:
        seq = next(self._seq)
        return Batch(self._writer, seq, seq, rows)

    def add(self, *records: ActivityRecord) -> list[ActivityRecord]:
        """Store records in one batch and return them as they are stored."""
        rows = [RowMaker().make_from(record) for record in records]
        assert self.repository.write(self.batch(rows))
        return [row.to_record() for row in rows]

    def walk(self, limit: int = 7, **where: Any) -> list[ActivityRecord]:
        """Read a whole feed, page by page."""
        return walk(self.feed, limit=limit, **where)


class Reads(ReadMethods):
    """The reads of an engine, which is there already."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def _read(self, read: Callable[[Engine, bytes], Any]) -> Any:
        return read(self._engine, b"")


def walk(feed: Callable[..., ActivityPage], **where: Any) -> list[ActivityRecord]:
    """Read a whole feed, page by page."""
    found: list[ActivityRecord] = []
    cursor = None
    while True:
        page = feed(**where, after=cursor)
        found += page.records
        cursor = page.next_cursor
        if cursor is None:
            return found


def memory_store() -> Store:
    memory = MemoryRepository()
    return Store(
        "memory",
        memory,
        lambda: memory,
        memory.feed,
        memory.stats,
        memory.history,
        memory.timeline,
        memory.top,
        memory.get,
    )


@contextmanager
def opened(url: str) -> Iterator[Engine]:
    """Give an engine on a database, with nothing open after the block."""
    engine = make_engine(parse_url(url))
    try:
        yield engine
    finally:
        engine.dispose()


def empty(engine: Engine, *, anew: bool = False) -> None:
    """
    Empty all tables of the log, for whoever shares them with other tests.

    Args:

        engine: Where they are.

        anew: PostgreSQL begins their files anew, one for each index of each month,
            so that rows lie in the order in which they come.
    """
    names = [table.name for table in metadata.sorted_tables if table is not user_activity_migration]
    with engine.begin() as connection:
        if anew and engine.dialect.name == "postgresql":
            connection.execute(text(f"TRUNCATE {', '.join(names)}"))
            return
        for name in names:
            connection.execute(text(f"DELETE FROM {name}"))


@contextmanager
def empty_log(
    request: pytest.FixtureRequest, tmp_path: Path, **options: Any
) -> Iterator[ActivityLog]:
    """
    An empty log on the database that a fixture is parametrised with.

    Args:

        request: Its parameter is ``"sqlite"`` or ``"postgresql"``.

        tmp_path: Where the file is made.

        options: Of the log.
    """
    if request.param == "sqlite":
        with ActivityLog(f"sqlite:///{tmp_path / 'activity.db'}", **options) as found:
            yield found
        return
    request.getfixturevalue("postgres_server").ensure_running()
    with ActivityLog(request.getfixturevalue("migrated_url"), **options) as found:
        empty(found.engine)
        yield found


def store_old(activity: ActivityLog, records: Sequence[ActivityRecord]) -> None:
    """Store records as one batch, in months of their own, however long ago these were."""
    importer = activity.importer()
    importer.store([activity._rows.make_from(record) for record in records])
    importer.close()


@contextmanager
def sqlite_store(path: Path) -> Iterator[Store]:
    from structlog_activity.store.sqlite import SqliteRepository

    engine = make_engine(parse_url(f"sqlite:///{path / 'activity.db'}"))
    Schema(engine).migrate()
    with _sql_store("sqlite", engine, lambda: SqliteRepository(engine)) as store:
        yield store


@contextmanager
def postgresql_store(url: str) -> Iterator[Store]:
    """A store on a migrated database, emptied first."""
    from structlog_activity.store.postgresql.repository import PostgresRepository

    engine = make_engine(parse_url(url))
    empty(engine)
    with _sql_store("postgresql", engine, lambda: PostgresRepository(parse_url(url))) as store:
        yield store


@contextmanager
def _sql_store(
    name: str, engine: Engine, new_repository: Callable[[], Repository]
) -> Iterator[Store]:
    made: list[Repository] = []
    reads = Reads(engine)

    def repository() -> Repository:
        made.append(new_repository())
        return made[-1]

    try:
        yield Store(
            name,
            repository(),
            repository,
            reads.feed,
            reads.stats,
            reads.history,
            reads.timeline,
            reads.top,
            reads.get,
            engine,
        )
    finally:
        for one in made:
            one.close()
        engine.dispose()
