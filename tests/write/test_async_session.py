"""The same for sessions of asyncio and of scopes, on drivers of theirs."""

from __future__ import annotations

import asyncio

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from sqlalchemy.orm import Session, scoped_session, sessionmaker

from structlog_activity.capture.sessions import is_session, plain_session
from tests.write.hosts import Account, Host, written


pytest.importorskip("greenlet", reason="the extra test brings it, as SQLAlchemy's asyncio does")
pytest.importorskip("aiosqlite", reason="the extra test brings it")

from sqlalchemy.ext.asyncio import (
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)


DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg"}


@asynccontextmanager
async def sessions_of(host: Host) -> AsyncIterator[async_sessionmaker[AsyncSession]]:
    url = host.url.set(drivername=DRIVERS[host.url.get_backend_name()])
    engine = create_async_engine(url)
    try:
        yield async_sessionmaker(engine, expire_on_commit=False)
    finally:
        await engine.dispose()


def test_an_async_session_commits_both_or_neither(host: Host) -> None:
    async def work() -> None:
        async with sessions_of(host) as sessions:
            async with sessions.begin() as session:
                session.add(Account(id=1))
                host.record(1, session)
            with pytest.raises(LookupError):
                async with sessions.begin() as session:
                    session.add(Account(id=2))
                    host.record(2, session)
                    raise LookupError
            async with sessions() as session:
                session.add(Account(id=3))
                host.record(3, session)

    asyncio.run(work())

    assert [1] == host.accounts == host.recorded
    assert written(1, rolled_back=2) == host.counts


def test_many_tasks_keep_their_own(host: Host) -> None:
    async def one(sessions: async_sessionmaker[AsyncSession], number: int) -> None:
        async with sessions() as session:
            session.add(Account(id=number))
            await asyncio.sleep(0)
            host.record(number, session)
            await asyncio.sleep(0)
            await (session.rollback() if number % 2 else session.commit())

    async def work() -> None:
        async with sessions_of(host) as sessions:
            await asyncio.gather(*[one(sessions, number) for number in range(12)])

    asyncio.run(work())

    assert [*range(0, 12, 2)] == host.accounts == host.recorded
    assert written(6, rolled_back=6) == host.counts


def test_sessions_of_a_scope_are_found(host: Host) -> None:
    async def work() -> None:
        async with sessions_of(host) as sessions:
            scoped = async_scoped_session(sessions, scopefunc=asyncio.current_task)
            scoped.add(Account(id=1))
            host.record(1, scoped)
            await scoped.commit()
            await scoped.remove()

    asyncio.run(work())
    of_thread = scoped_session(sessionmaker(host.engine))
    of_thread.add(Account(id=2))
    host.record(2, of_thread)
    of_thread.commit()
    of_thread.remove()

    assert [1, 2] == host.accounts == host.recorded


@pytest.mark.parametrize(
    "make",
    [
        AsyncSession,
        async_sessionmaker(),
        lambda: async_scoped_session(async_sessionmaker(), scopefunc=lambda: 1),
    ],
)
def test_every_kind_is_a_session_and_leads_to_a_plain_one(make: Any) -> None:
    session = make()
    assert is_session(session)
    assert isinstance(plain_session(session), Session)
    assert plain_session(session) is plain_session(session)
