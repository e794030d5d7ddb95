"""A record belongs to the savepoint in which it was made, and goes where that one goes."""

from __future__ import annotations

import itertools

import pytest

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tests.write.hosts import Account, Host, written


def test_a_savepoint_that_is_rolled_back_takes_its_records_with_it(host: Host) -> None:
    with host.session() as session:
        host.open(1, session)
        with pytest.raises(IntegrityError), session.begin_nested():
            session.add(Account(id=1))
            host.record(2, session)
        host.open(3, session)
        session.commit()

    assert [1, 3] == host.accounts == host.recorded
    assert 1 == host.batches
    assert written(2, rolled_back=1) == host.counts


def test_a_savepoint_that_is_released_goes_with_the_transaction(host: Host) -> None:
    with host.session() as session:
        with session.begin_nested():
            host.open(1, session)
        session.rollback()
        with session.begin_nested():
            host.open(2, session)
        session.commit()

    assert [2] == host.accounts == host.recorded
    assert written(1, rolled_back=1) == host.counts


def test_a_record_before_the_first_savepoint_is_the_transactions(host: Host) -> None:
    with host.session() as session:
        host.record(1, session)
        savepoint = session.begin_nested()
        host.open(2, session)
        savepoint.rollback()
        session.commit()

    assert [1] == host.recorded


@pytest.mark.parametrize("ends", [*itertools.product(["commit", "rollback"], repeat=3)])
def test_three_levels_keep_exactly_what_the_database_keeps(
    host: Host, ends: tuple[str, str, str]
) -> None:
    with host.session() as session:
        host.open(1, session)
        middle = session.begin_nested()
        host.open(2, session)
        inner = session.begin_nested()
        host.open(3, session)
        getattr(inner, ends[2])()
        host.open(4, session)
        getattr(middle, ends[1])()
        host.open(5, session)
        getattr(session, ends[0])()

    assert host.accounts == host.recorded
    assert written(len(host.accounts), rolled_back=5 - len(host.accounts)) == host.counts


@pytest.mark.parametrize("end", ["commit", "rollback", "close"])
def test_a_transaction_that_ends_ends_the_savepoints_left_open(host: Host, end: str) -> None:
    with host.session() as session:
        host.open(1, session)
        session.begin_nested()
        host.open(2, session)
        session.begin_nested()
        host.open(3, session)
        getattr(session, end)()

    assert host.accounts == host.recorded
    assert len(host.recorded) == (3 if end == "commit" else 0)


@pytest.mark.parametrize("depth", [1, 2])
def test_a_block_that_leaves_savepoints_open_commits_them(host: Host, depth: int) -> None:
    """Its commit can't be told from theirs by any event."""
    with host.session() as session:
        with session.begin():
            host.open(1, session)
            for number in range(depth):
                session.begin_nested()
                host.open(2 + number, session)
        host.open(9, session)
        session.rollback()

    assert [*range(1, 2 + depth)] == host.accounts == host.recorded
    assert 1 == host.batches


def test_a_savepoint_that_fails_within_the_commit_of_all_leaves_nothing_half(host: Host) -> None:
    with host.session() as session:
        root = session.begin()
        host.open(1, session)
        session.begin_nested()
        host.open(2, session)
        session.begin_nested()
        session.add(Account(id=1))
        host.record(3, session)
        with pytest.raises(IntegrityError):
            root.commit()
        session.rollback()
        session.commit()

    assert host.accounts == host.recorded


def test_a_savepoint_of_a_session_may_be_within_a_transaction_of_others(host: Host) -> None:
    with host.engine.connect() as connection:
        outer = connection.begin()
        with Session(connection, join_transaction_mode="create_savepoint") as session:
            savepoint = session.begin_nested()
            host.open(1, session)
            savepoint.rollback()
            host.open(2, session)
            session.commit()
        outer.commit()

    assert [2] == host.accounts == host.recorded
