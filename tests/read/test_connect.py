"""Reads run on whatever a host has: engines, connections and sessions, those of asyncio too."""

from __future__ import annotations

import asyncio

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from sqlalchemy import Connection, Engine, delete
from sqlalchemy.orm import Session

from structlog_activity import AccessPolicy, ActivityFilter, RepositoryError, feed, stats
from structlog_activity.read.counts.timeline import timeline
from structlog_activity.read.counts.top import top
from structlog_activity.read.feeds.get import get
from structlog_activity.read.feeds.history import history
from structlog_activity.store.table import user_activity
from tests.support.records import NOON, record
from tests.support.stores import Store


pytest.importorskip("greenlet", reason="the extra test brings it, as SQLAlchemy's asyncio does")
pytest.importorskip("aiosqlite", reason="the extra test brings it")

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine


DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg"}

RECORDS = [
    record(object_id=str(n % 2), ip="192.0.2.7", occurred_at=NOON + timedelta(hours=n))
    for n in range(4)
]
WHERE = ActivityFilter(tenant_id="acme", limit=1)
READER = AccessPolicy(role="tenant_admin", tenant_id="acme", data="none")

READS: dict[str, Callable[[Any], Any]] = {
    "feed": lambda bind: feed(bind, WHERE, key=b"secret", policy=READER),
    "history": lambda bind: history(bind, "settings:1", WHERE, key=b"secret", policy=READER),
    "get": lambda bind: get(bind, "acme", RECORDS[2].id, policy=READER),
    "stats": lambda bind: stats(bind, WHERE, policy=READER),
    "timeline": lambda bind: timeline(bind, WHERE, bucket="hour", tz="Asia/Tokyo", policy=READER),
    "top": lambda bind: top(bind, WHERE, by="object", limit=1, policy=READER),
}


@pytest.fixture(scope="module")
def filled(shared: Store) -> Engine:
    """An engine on some records."""
    shared.add(*RECORDS)
    assert shared.engine is not None
    return shared.engine


@pytest.fixture
def engine(filled: Engine) -> Iterator[Engine]:
    """The same; afterwards it has all of its connections again."""
    yield filled
    assert filled.pool.checkedout() == 0  # type: ignore[attr-defined]


def in_async_engine(engine: Engine, use: Callable[[AsyncEngine], Any]) -> Any:
    """What a coroutine returns on an asynchronous engine, which has its connections again."""

    async def main() -> Any:
        driver = DRIVERS[engine.dialect.name]
        there = create_async_engine(engine.url.set(drivername=driver))
        try:
            found = await use(there)
            pool: Any = there.pool
            assert pool.checkedout() == 0
        finally:
            await there.dispose()
        return found

    return asyncio.run(main())


@pytest.mark.parametrize("read", READS)
def test_a_read_is_the_same_on_every_bind(engine: Engine, read: str) -> None:
    do = READS[read]
    expected = do(engine)

    with engine.connect() as connection:
        assert do(connection) == expected
    with Session(engine) as session:
        assert do(session) == expected

    async def on_all(there: AsyncEngine) -> list[Any]:
        found = [await do(there)]
        async with there.connect() as connection:
            found.append(await do(connection))
        async with AsyncSession(there) as session:
            found.append(await do(session))
        return found

    assert in_async_engine(engine, on_all) == [expected] * 3


@pytest.mark.parametrize(
    "options", [{}, {"key": b"secret"}, {"policy": READER}], ids=["plain", "key", "policy"]
)
def test_a_history_is_the_feed_of_its_object(engine: Engine, options: dict[str, Any]) -> None:
    page = history(engine, ("settings", 1), WHERE, **options)

    assert page == feed(engine, WHERE.of_object("settings:1"), **options)
    assert [one.object_id for one in page.records] == ["1"]
    assert page.next_cursor


@pytest.mark.parametrize("kind", [Engine.connect, Session])
def test_a_read_is_part_of_the_transaction_of_its_bind(
    engine: Engine, kind: Callable[[Engine], Connection | Session]
) -> None:
    with kind(engine) as bind:
        assert stats(bind, WHERE).total == 4
        bind.execute(delete(user_activity))
        assert feed(bind, WHERE).records == []
        bind.rollback()
        assert len(feed(bind, WHERE).records) == 1


@pytest.mark.parametrize("kind", [AsyncEngine.connect, AsyncSession])
def test_an_awaited_read_is_part_of_the_transaction_of_its_bind(
    engine: Engine, kind: Callable[[AsyncEngine], AbstractAsyncContextManager[Any]]
) -> None:
    async def use(there: AsyncEngine) -> list[int]:
        async with kind(there) as bind:
            await bind.execute(delete(user_activity))
            within = await feed(bind, WHERE)
            await bind.rollback()
            after = await feed(bind, WHERE)
        return [len(within.records), len(after.records)]

    assert in_async_engine(engine, use) == [0, 1]


def test_an_asynchronous_engine_without_its_database_is_told() -> None:
    async def main() -> None:
        engine = create_async_engine("postgresql+psycopg://app:hunter2@127.0.0.1:1/app")
        try:
            await feed(engine, WHERE)
        finally:
            await engine.dispose()

    with pytest.raises(RepositoryError, match="can't reach") as caught:
        asyncio.run(main())
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("bind", ["sqlite://", None, object(), Session, Path("activity.db")])
def test_what_is_none_of_these_is_named_with_what_is_needed(bind: Any) -> None:
    needed = r"an Engine, a Connection or a Session \(or SQLAlchemy's asynchronous one\) is needed"
    for do in READS.values():
        with pytest.raises(TypeError, match=f"^{needed}, not {type(bind).__name__}$"):
            do(bind)


def test_the_functions_tell_their_own_names_and_what_they_do() -> None:
    reads: list[Any] = [feed, history, get, stats, timeline, top]
    for read in reads:
        module = import_module(read.__module__)
        assert getattr(module, read.__name__) is read
        assert read.__doc__.strip().startswith(("Return", "Count"))
