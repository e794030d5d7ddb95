"""Records made by the application's own hooks, while its session flushes or commits."""

from __future__ import annotations

import gc
import weakref

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sqlalchemy import event, text
from sqlalchemy.event import registry
from sqlalchemy.orm import Session, object_session

from structlog_activity import RepositoryError
from structlog_activity.write.transaction import sink
from tests.write.hosts import Account, Host, written


Hook = Callable[[str, Callable[..., None]], None]


@pytest.fixture(params=["class", "session"])
def hooked(request: pytest.FixtureRequest, host: Host) -> Iterator[tuple[Session, Hook]]:
    """A session, and what adds hooks to it, or to its class."""

    class Own(Session):
        pass

    with Own(host.engine) as session:
        target = Own if request.param == "class" else session
        yield session, lambda name, hook: event.listen(target, name, hook)


@pytest.fixture
def telling(host: Host) -> Iterator[None]:
    """Each new account tells of itself, from within the flush."""

    def tell(mapper: Any, connection: Any, account: Account) -> None:
        host.record(account.id, object_session(account))

    event.listen(Account, "after_insert", tell)
    yield
    event.remove(Account, "after_insert", tell)


@pytest.mark.parametrize("rounds", [1, 3])
def test_what_the_flush_of_the_commit_tells_is_stored(
    host: Host, telling: None, rounds: int
) -> None:
    """Also the first record of a session, which nobody listened to when its commit began."""
    with host.session() as session:
        for start in range(0, 3 * rounds, 3):
            session.add_all([Account(id=start + n) for n in range(3)])
            session.commit()

    assert [*range(3 * rounds)] == host.accounts == host.recorded
    assert rounds == host.batches
    assert written(3 * rounds) == host.counts


def test_what_a_flush_before_the_commit_tells_is_stored_with_the_rest(
    host: Host, telling: None
) -> None:
    with host.session() as session:
        session.add(Account(id=1))
        session.flush()
        session.add(Account(id=2))
        session.commit()
        session.add(Account(id=3))
        session.flush()
        session.rollback()

    assert [1, 2] == host.accounts == host.recorded
    assert 1 == host.batches


def test_what_the_flush_of_a_savepoint_tells_goes_with_the_savepoint(
    host: Host, telling: None
) -> None:
    with host.session() as session:
        for number in range(4):
            savepoint = session.begin_nested()
            session.add(Account(id=number))
            session.flush()
            savepoint.commit() if number % 2 else savepoint.rollback()
        with session.begin_nested():
            session.add(Account(id=9))
        session.commit()

    assert [1, 3, 9] == host.accounts == host.recorded


def test_what_savepoints_left_open_tell_in_their_last_flush_is_stored(
    host: Host, telling: None
) -> None:
    with host.session() as session, session.begin():
        session.begin_nested()
        session.add(Account(id=1))
        session.begin_nested()
        session.add(Account(id=2))

    assert [1, 2] == host.accounts == host.recorded


@pytest.mark.parametrize("name", ["before_commit", "before_flush", "after_flush"])
@pytest.mark.parametrize("is_first", [True, False])
def test_what_a_hook_of_the_session_tells_is_stored(
    host: Host, hooked: tuple[Session, Hook], name: str, is_first: bool
) -> None:
    session, hook = hooked
    if not is_first:  # Ours is there already, and called before theirs.
        host.record(1, session)
    hook(name, lambda session, *_: host.record(2, session))
    session.add(Account(id=2))
    session.commit()

    assert ([2] if is_first else [1, 2]) == host.recorded


def test_what_a_hook_after_the_commit_tells_waits_for_the_next_one(
    host: Host, hooked: tuple[Session, Hook]
) -> None:
    session, hook = hooked
    hook("after_commit", lambda session: host.record(2, session))
    session.add(Account(id=1))
    session.commit()
    assert [] == host.recorded
    session.commit()

    assert [2] == host.recorded


def test_a_hook_that_stops_the_commit_keeps_the_records_for_another_try(host: Host) -> None:
    with host.session() as session:
        refusals = iter([LookupError()])

        def refuse(_: Session) -> None:
            for error in refusals:
                raise error

        host.open(1, session)
        event.listen(session, "before_commit", refuse)
        with pytest.raises(LookupError):
            session.commit()
        host.open(2, session)
        session.commit()

    assert [1, 2] == host.accounts == host.recorded


def test_a_hook_whose_record_is_refused_stops_the_commit(host: Host) -> None:
    with host.session() as session:
        host.open(1, session)
        session.flush()
        session.execute(text("ALTER TABLE user_activity RENAME TO elsewhere"))
        event.listen(session, "before_flush", lambda session, *_: host.record(2, session))
        session.add(Account(id=2))
        with pytest.raises(RepositoryError):
            session.commit()
        session.rollback()

    assert [] == host.accounts == host.recorded


def test_a_session_is_let_go_with_all_that_it_held(host: Host) -> None:
    sessions = weakref.WeakSet[Session]()
    for number in range(20):
        session = host.session()
        sessions.add(session)
        host.record(number, session)
        if number % 2:
            session.commit()
        del session
    gc.collect()

    assert not sessions
    assert not _listened_to()
    assert [*range(1, 20, 2)] == host.recorded
    assert written(10, rolled_back=10) == host.counts


def _listened_to() -> list[Any]:
    ours = id(sink._before_commit)
    return [key for key in registry._key_to_collection if ours in key]


def test_a_session_that_is_used_much_listens_once(host: Host) -> None:
    with host.session() as session:
        for number in range(5):
            host.record(number, session)
            session.commit()
            assert 1 == len(session.dispatch.before_commit.listeners)
            assert 1 == len(session.dispatch.after_commit.listeners)
    assert 5 == host.batches
