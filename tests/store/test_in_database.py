"""Which batches PostgreSQL itself finds as they were sealed: those that nobody touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from structlog_activity.store.seals.in_database import Suspects
from structlog_activity.store.seals.stored import snapshot
from structlog_activity.store.table import user_activity_batch
from tests.store.sealed import (
    BATCHES,
    ROWS,
    SealedLog,
    at,
    in_batch,
    line,
    sealed_postgresql,
)
from tests.store.test_traces import erase
from tests.store.test_verify import CHANGES


@pytest.fixture
def log(migrated_url: str, tmp_path: Path) -> Iterator[SealedLog]:
    """A sealed log on PostgreSQL."""
    with sealed_postgresql(migrated_url, tmp_path) as found:
        yield found


def suspects(log: SealedLog, since: int = 0) -> Suspects:
    with snapshot(log.engine) as reading:
        rows, batches = reading.suspects(since)
    return Suspects(rows, sorted(batches))


def test_a_log_that_nobody_touched_has_none(log: SealedLog) -> None:
    assert Suspects(ROWS * BATCHES, []) == suspects(log)
    assert Suspects(ROWS * (BATCHES - 1), []) == suspects(log, since=1002)


@pytest.mark.parametrize("what", CHANGES)
def test_a_batch_with_a_changed_row_is_one(log: SealedLog, what: str) -> None:
    log.change(at(1, 2), **CHANGES[what])

    assert Suspects(ROWS * BATCHES, [1002]) == suspects(log)


def missing(log: SealedLog) -> None:
    log.remove(at(1, ROWS - 1))


def no_line(log: SealedLog) -> None:
    log.remove(line(1), user_activity_batch)


def stubs(log: SealedLog) -> None:
    log.change(line(1), user_activity_batch, dropped=b"")


def other_places(log: SealedLog) -> None:
    for ix in reversed(range(ROWS)):
        log.change(at(1, ix), batch_ix=ix + 1)


def a_wider_place(log: SealedLog) -> None:
    log.change(at(1, ROWS - 1), batch_ix=ROWS)


def one_place_twice(log: SealedLog) -> None:
    log.change(at(1, 1), batch_ix=2)


def the_last_place_twice(log: SealedLog) -> None:
    log.change(at(1, ROWS - 2), batch_ix=ROWS - 1)


def before_the_first(log: SealedLog) -> None:
    log.change(at(1, 0), batch_ix=-1)


def exchanged_places(log: SealedLog) -> None:
    for ix, place in ((0, 9), (1, 0), (0, 1)):
        log.change(at(1, ix), batch_ix=place)


def no_moment(log: SealedLog) -> None:
    with log.hands_on() as connection:
        connection.exec_driver_sql(
            "UPDATE user_activity SET created_at = 'infinity' WHERE object_id = '1-1'"
        )


def an_erasure(log: SealedLog) -> None:
    erase(log, 1, 2, told=False)


def fewer_sealed(log: SealedLog) -> None:
    log.change(line(1), user_activity_batch, n=ROWS + 1)


@pytest.mark.parametrize(
    "attack",
    [
        missing,
        no_line,
        stubs,
        other_places,
        a_wider_place,
        one_place_twice,
        the_last_place_twice,
        before_the_first,
        exchanged_places,
        no_moment,
        an_erasure,
        fewer_sealed,
    ],
)
def test_a_batch_of_which_something_is_for_the_client_to_judge_is_one(
    log: SealedLog, attack: Callable[[SealedLog], None]
) -> None:
    attack(log)

    assert [1002] == suspects(log).batches


def test_a_record_of_an_erasure_is_for_the_client_to_read(log: SealedLog) -> None:
    erase(log, 1, 2)

    assert [1002, 1004] == suspects(log).batches


def test_a_batch_without_rows_is_none_of_them(log: SealedLog) -> None:
    log.remove(in_batch(1))

    assert Suspects(ROWS * (BATCHES - 1), []) == suspects(log)
