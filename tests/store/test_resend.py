"""Chains on a real database, when answers to COMMIT are lost and batches come from elsewhere."""

from __future__ import annotations

import dataclasses

from typing import Any

import pytest

from sqlalchemy import select

from structlog_activity.record.ids import uuid7
from structlog_activity.record.rowmaker import RowMaker
from structlog_activity.store.batch import Batch
from structlog_activity.store.faults import StoreError
from structlog_activity.store.seals.seal import ADOPTED, CLOSING, GENESIS
from structlog_activity.store.table import user_activity_batch
from tests.store.sealed import SealedLog, lines_of
from tests.support.records import record


def batch(log: SealedLog, **fields: Any) -> Batch:
    log.seq += 1
    made = [RowMaker().make_from(record()) for _ in range(2)]
    return dataclasses.replace(Batch(log.writer_id, log.seq, 1000 + log.seq, made), **fields)


class Lossy:
    """A connection whose COMMIT fails, after it was done or instead of it."""

    def __init__(self, connection: Any, *, done: bool) -> None:
        self._connection = connection
        self._done = done

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: Any, *values: Any, **options: Any) -> Any:
        if statement != "COMMIT":
            return self._connection.execute(statement, *values, **options)
        self._connection.execute("COMMIT" if self._done else "ROLLBACK")
        raise RuntimeError("the answer is lost")


def lose(log: SealedLog, sent: Batch, *, done: bool) -> None:
    """Send a batch whose COMMIT gets no answer."""
    log.repository.write(batch(log))
    repository: Any = log.repository
    connection = repository._connection
    repository._connection = Lossy(connection, done=done)
    with pytest.raises(StoreError):
        log.repository.write(sent)
    repository._connection = connection


def lines(log: SealedLog) -> list[Any]:
    with log.engine.connect() as connection:
        return list(
            connection.execute(
                select(user_activity_batch).order_by(lines_of.chain_id, lines_of.link)
            )
        )


@pytest.mark.parametrize("done", [True, False])
def test_a_batch_whose_commit_got_no_answer_is_one_link(log: SealedLog, done: bool) -> None:
    sent = batch(log)
    lose(log, sent, done=done)

    assert (not done) == log.repository.write(sent)
    log.write(9)
    log.repository.finish()

    report = log.verify()
    assert (True, 1) == (report.ok, report.chains), report
    assert CLOSING == lines(log)[-1].flags


@pytest.mark.parametrize("done", [True, False])
def test_what_comes_before_an_answer_begins_a_new_chain(log: SealedLog, done: bool) -> None:
    sent = batch(log)
    lose(log, sent, done=done)
    log.write(9)

    assert (not done) == log.repository.write(sent)
    log.write(8)

    report = log.verify()
    assert (True, 2) == (report.ok, report.chains), report


def test_a_batch_that_is_refused_when_it_is_sent_again_is_in_doubt_no_more(log: SealedLog) -> None:
    sent = batch(log)
    lose(log, sent, done=False)
    assert log.new_repository().write(batch(log, rows=sent.rows[:1], writer_id=uuid7()))

    with pytest.raises(StoreError):
        log.repository.write(sent)
    log.write(9)

    report = log.verify()
    assert (True, 2) == (report.ok, report.chains), report


def test_a_batch_that_fails_before_its_commit_is_not_in_doubt(log: SealedLog) -> None:
    log.write(5)
    with log.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE user_activity_daily RENAME TO elsewhere")
    with pytest.raises(StoreError):
        log.repository.write(batch(log))
    with log.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO user_activity_daily")
    log.write(9)
    log.repository.finish()

    report = log.verify()
    assert (True, 1) == (report.ok, report.chains), report


def test_no_end_is_written_while_a_commit_is_in_doubt(log: SealedLog) -> None:
    lose(log, batch(log), done=True)
    log.repository.finish()

    assert not [line for line in lines(log) if line.flags & CLOSING]
    assert log.verify().ok


def test_an_end_is_written_once_and_not_without_a_beginning(log: SealedLog) -> None:
    other = log.new_repository()
    other.finish()
    other.write(batch(log, writer_id=uuid7()))
    other.finish()
    other.finish()

    assert 1 == len([line for line in lines(log) if line.flags & CLOSING])
    assert log.verify().ok


def test_an_adopted_batch_is_a_link_of_who_adopts_it(log: SealedLog) -> None:
    left = batch(log)
    log.write(5)
    other = log.new_repository()
    other.write(batch(log, writer_id=uuid7()))

    assert other.write(dataclasses.replace(left, inherited=True))
    other.write(batch(log, writer_id=uuid7()))

    (adopted,) = [line for line in lines(log) if line.flags & ADOPTED]
    assert (left.writer_id, left.seq, 2) == (adopted.writer_id, adopted.seq, adopted.link)
    report = log.verify()
    assert (True, 2) == (report.ok, report.chains), report


def test_an_adopted_batch_that_was_there_is_no_link(log: SealedLog) -> None:
    left = batch(log)
    log.repository.write(left)
    other = log.new_repository()
    other.write(batch(log, writer_id=uuid7()))

    assert not other.write(dataclasses.replace(left, inherited=True))
    other.write(batch(log, writer_id=uuid7()))

    assert log.verify().ok
    assert not [line for line in lines(log) if line.flags & ADOPTED]


def test_a_refused_batch_leaves_no_gap(log: SealedLog) -> None:
    good = batch(log)
    log.repository.write(good)
    with pytest.raises(StoreError):
        log.repository.write(batch(log, rows=[*batch(log).rows, *good.rows]))
    with pytest.raises(StoreError) as caught:
        log.repository.write(batch(log, rows=[good.rows[0]._replace(data="[}")]))
    log.write(7)

    assert 0 == caught.value.row
    report = log.verify()
    assert (True, 1) == (report.ok, report.chains), report


def test_a_forked_child_begins_a_chain_of_its_own(log: SealedLog) -> None:
    parent = lines(log)[0].chain_id
    repository: Any = log.repository
    connection = repository._connection

    log.repository.abandon()
    log.write(6)
    connection.close()  # There is no parent here who would.

    genesis = [line for line in lines(log) if line.flags & GENESIS]
    assert 2 == len(genesis)
    assert parent in {line.chain_id for line in genesis}
    assert log.verify().ok


def test_a_batch_whose_number_another_writer_drew_is_stored_under_another_one(
    log: SealedLog,
) -> None:
    before = log.verify().rows
    first = batch(log)
    assert log.repository.write(first)

    assert log.new_repository().write(
        batch(log, writer_id=uuid7(), seq=first.seq, batch_id=first.batch_id)
    )

    assert 5 == len({line.batch_id for line in lines(log)})
    report = log.verify()
    assert (True, 2, before + 4) == (report.ok, report.chains, report.rows), report


def test_a_batch_that_is_stored_already_is_told_by_its_writer_not_by_its_number(
    log: SealedLog,
) -> None:
    sent = batch(log)
    assert log.repository.write(sent)
    before = lines(log)

    assert not log.repository.write(sent)
    assert not log.repository.write(sent.renumbered())

    assert before == lines(log)
