"""Records in the transaction of a session: stored when it commits, and only then."""

from __future__ import annotations

import pytest

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from structlog_activity import RepositoryError, SchemaError
from structlog_activity.store.table import user_activity
from tests.write.doubles import assert_invariant
from tests.write.hosts import Account, Host, host_engine, written


def test_a_commit_stores_both(host: Host) -> None:
    with host.session() as session:
        host.open(1, session)
        host.open(2, session)
        assert {} == host.counts
        session.commit()

    assert [1, 2] == host.accounts == host.recorded
    assert 1 == host.batches
    assert written(2) == host.counts
    assert_invariant(host.activity.counters())


def test_a_rollback_stores_neither(host: Host) -> None:
    with host.session() as session:
        host.open(1, session)
        session.flush()
        session.rollback()

    assert [] == host.accounts == host.recorded
    assert written(0, rolled_back=1) == host.counts
    assert_invariant(host.activity.counters())


def test_a_close_without_commit_stores_neither(host: Host) -> None:
    with host.session() as session:
        host.open(1, session)

    assert [] == host.accounts == host.recorded
    assert written(0, rolled_back=1) == host.counts


def test_a_commit_that_fails_stores_neither(host: Host) -> None:
    with host.session() as session:
        host.open(1, session, owner=99)
        with pytest.raises(IntegrityError, match=r"host_account|FOREIGN KEY"):
            session.commit()
        session.rollback()

    assert [] == host.accounts == host.recorded
    assert written(0, rolled_back=1) == host.counts


def test_a_flush_that_fails_stores_neither(host: Host) -> None:
    with host.session() as session:
        host.open(1, session)
        session.commit()
    with host.session() as session:
        host.open(1, session)
        with pytest.raises(IntegrityError):
            session.commit()
        host.record(2, session)  # Told of while the transaction is broken: it goes with it.
        session.rollback()
        host.open(3, session)
        session.commit()

    assert [1, 3] == host.accounts == host.recorded
    assert written(2, rolled_back=2) == host.counts


def test_a_transaction_with_nothing_but_activity_is_stored(host: Host) -> None:
    with host.session() as session:
        host.record(1, session)
        session.commit()

    assert [1] == host.recorded


def test_a_record_before_a_transaction_goes_with_the_next_one(host: Host) -> None:
    with host.session() as session:
        host.record(1, session)
        with session.begin():  # A log call has not begun it.
            session.add(Account(id=1))
        host.record(2, session)
        session.add(Account(id=2))
        session.rollback()

    assert [1] == host.accounts == host.recorded
    assert written(1, rolled_back=1) == host.counts


def test_a_block_that_begins_commits_at_its_end(host: Host) -> None:
    with sessionmaker(host.engine).begin() as session:
        host.open(1, session)
    with pytest.raises(LookupError), sessionmaker(host.engine).begin() as session:
        host.open(2, session)
        raise LookupError

    assert [1] == host.accounts == host.recorded


def test_a_session_is_used_again_after_each_end(host: Host) -> None:
    with host.session() as session:
        for number in range(6):
            host.open(number, session)
            session.commit() if number % 2 else session.rollback()

    assert [1, 3, 5] == host.accounts == host.recorded
    assert 3 == host.batches
    assert written(3, rolled_back=3) == host.counts


def test_a_commit_after_a_close_does_not_bring_back_what_was_closed(host: Host) -> None:
    session = host.session()
    host.open(1, session)
    session.close()
    host.open(2, session)
    session.commit()
    session.close()

    assert [2] == host.accounts == host.recorded


def test_two_sessions_in_one_thread_keep_their_own(host: Host) -> None:
    # One after the other writes: SQLite has one writer at a time.
    with host.session() as first, host.session() as second:
        host.record(1, first)
        host.open(2, second)
        host.open(3, first)
        second.commit()
        host.open(4, second)
        first.rollback()
        second.commit()

    assert [2, 4] == host.accounts == host.recorded
    assert written(2, rolled_back=2) == host.counts


def test_records_with_and_without_a_session_meet_in_the_counters(host: Host) -> None:
    with host.session() as session:
        host.open(1, session)
        session.commit()
    host.record(2, None)
    assert host.activity.flush(20)

    assert [1, 2] == host.recorded
    assert written(2) == host.counts
    assert_invariant(host.activity.counters())


def test_a_closed_log_still_writes_in_transactions(host: Host) -> None:
    """Or the application's commit would go through without its record."""
    with host.session() as session:
        host.record(1, session)
        host.activity.close(5)
        host.open(2, session)
        session.commit()

    assert [1, 2] == host.recorded


@pytest.mark.parametrize(
    "mode", ["conditional_savepoint", "rollback_only", "control_fully", "create_savepoint"]
)
@pytest.mark.parametrize("is_kept", [True, False])
def test_a_session_within_a_transaction_of_others_shares_its_fate(
    host: Host, mode: str, is_kept: bool
) -> None:
    with host.engine.connect() as connection:
        outer = connection.begin()
        with Session(connection, join_transaction_mode=mode) as session:  # type: ignore[arg-type]
            host.open(1, session)
            session.commit()
        if outer.is_active:  # With control_fully the session's COMMIT was the real one.
            outer.commit() if is_kept else outer.rollback()

    stays = is_kept or mode == "control_fully"
    assert ([1] if stays else []) == host.accounts == host.recorded


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_session_within_a_savepoint_of_others_shares_its_fate(host: Host, is_kept: bool) -> None:
    with host.engine.begin() as connection:
        outer = connection.begin_nested()
        with Session(connection) as session:
            host.open(1, session)
            session.commit()
        outer.commit() if is_kept else outer.rollback()

    assert ([1] if is_kept else []) == host.accounts == host.recorded


@pytest.mark.parametrize("host", ["postgresql"], indirect=True)  # SQLite has no such thing.
@pytest.mark.parametrize("is_kept", [True, False])
def test_a_prepared_transaction_holds_its_records(host: Host, is_kept: bool) -> None:
    with host.session(twophase=True) as session:
        host.open(1, session)
        session.prepare()
        assert [] == host.recorded
        session.commit() if is_kept else session.rollback()

    assert ([1] if is_kept else []) == host.accounts == host.recorded


def test_a_database_without_the_tables_fails_the_commit(host: Host) -> None:
    with host.session() as session:
        session.execute(text("ALTER TABLE user_activity RENAME TO elsewhere"))
        host.open(1, session)
        with pytest.raises(SchemaError, match="structlog-activity migrate") as caught:
            session.commit()
        session.rollback()

    assert "account.opened" not in str(caught.value)
    assert [] == host.accounts == host.recorded
    assert written(0, rolled_back=1) == host.counts


def test_half_of_a_write_can_not_be_committed_by_trying_again(host: Host) -> None:
    with host.session() as session:
        session.execute(text("ALTER TABLE user_activity_batch RENAME TO elsewhere"))
        host.open(1, session)
        for _ in range(2):
            with pytest.raises(RepositoryError):
                session.commit()
        session.rollback()

    assert [] == host.accounts == host.recorded


def test_a_session_that_is_bound_to_nothing_is_told_what_to_do(host: Host) -> None:
    with Session() as session:
        host.record(1, session)
        with pytest.raises(RepositoryError, match="binds="):
            session.commit()


def test_a_session_with_a_database_for_each_table_finds_the_logs(host: Host) -> None:
    other = host_engine(host.url)
    with Session(binds={Account: host.engine, user_activity: other}) as session:
        host.record(1, session)
        session.commit()
    other.dispose()

    assert [1] == host.recorded
