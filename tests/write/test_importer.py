"""
Rows in bulk: each is stored once, an outage is waited for, but not for ever.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from structlog_activity.record.row import Row
from structlog_activity.store.faults import Fault, StoreError
from structlog_activity.write.importer import Importer
from tests.write.doubles import Answers, Poison, Repository, down, numbers, rows


class Clock:
    """A clock that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 50.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def __call__(self) -> float:
        return self.now


class Rooms(Repository):
    """A repository that remembers for which spans of time room was made."""

    def __init__(self, error: StoreError | None = None) -> None:
        super().__init__()
        self.spans: list[tuple[int, int]] = []
        self.error = error

    def make_room(self, first: int, last: int) -> None:
        self.spans.append((first, last))
        if self.error is not None:
            raise self.error


def importer(repository: Repository, clock: Clock | None = None) -> Importer:
    clock = clock or Clock()
    return Importer(repository, patience=30.0, sleep=clock.sleep, clock=clock)


def counts(of: Importer) -> tuple[int, int, int]:
    return of.counts["written"], of.counts["duplicates"], of.counts["dead"]


def configuration(sqlstate: str = "") -> StoreError:
    return StoreError(Fault.CONFIGURATION, "somebody must act", sqlstate=sqlstate)


def moments(given: Sequence[Row]) -> tuple[int, int]:
    return given[0].created_at, given[-1].created_at


def test_rows_are_written_and_counted() -> None:
    repository = Repository()
    importing = importer(repository)
    importing.store(rows(5))
    importing.store(rows(3, start=5))
    assert list(range(8)) == repository.numbers
    assert (8, 0, 0) == counts(importing)


def test_nothing_to_store_does_not_even_ask_the_database() -> None:
    repository = Rooms()
    importer(repository).store([])
    assert ([], []) == (repository.tries, repository.spans)


def test_rows_that_are_stored_already_are_only_counted() -> None:
    repository = Repository()
    importer(repository).store(rows(4, start=2))
    again = importer(repository)
    again.store(rows(10))
    assert [2, 3, 4, 5, 0, 1, 6, 7, 8, 9] == repository.numbers
    assert (6, 4, 0) == counts(again)


def test_all_there_already_writes_nothing() -> None:
    repository = Repository()
    importer(repository).store(rows(4))
    again = importer(repository)
    again.store(rows(4))
    assert (1, (0, 4, 0)) == (len(repository.tries), counts(again))


def test_a_row_that_comes_twice_at_once_is_stored_once() -> None:
    repository = Repository()
    importing = importer(repository)
    importing.store([*rows(3), *rows(2)])
    assert [0, 1, 2] == sorted(repository.numbers)
    assert (3, 2, 0) == counts(importing)


@pytest.mark.parametrize("tells", [True, False])
def test_a_row_that_the_database_refuses_is_set_aside_with_the_reason(tells: bool) -> None:
    repository = Repository(Poison(Fault.DATA, 3, tells=tells))
    importing = importer(repository)
    importing.store(rows(6))
    assert [0, 1, 2, 4, 5] == sorted(repository.numbers)
    assert (5, 0, 1) == counts(importing)
    assert [3] == numbers([letter.row for letter in importing.dead_letters])
    assert ["a bad row"] == [letter.reason for letter in importing.dead_letters]


def test_a_short_outage_is_waited_for() -> None:
    repository, clock = Repository(Answers(down(), down(), down())), Clock()
    importing = importer(repository, clock)
    importing.store(rows(3))
    assert [0, 1, 2] == repository.numbers
    assert (4, 3) == (len(repository.tries), len(clock.slept))
    assert (3, 0, 0) == counts(importing)


def test_a_long_outage_ends_it_with_the_trouble_and_nothing_is_dead() -> None:
    def always_down(_: object) -> None:
        raise down()

    repository, clock = Repository(always_down), Clock()
    importing = importer(repository, clock)
    with pytest.raises(StoreError, match="the connection is refused") as caught:
        importing.store(rows(3))
    assert Fault.TRANSIENT is caught.value.fault
    assert 30 < clock.now - 50 < 120
    assert (0, 0, 0) == counts(importing)


def test_the_patience_is_for_each_outage_anew() -> None:
    def outage() -> list[StoreError | None]:
        return [down()] * 5 + [None]

    repository, clock = Repository(Answers(*outage() * 40)), Clock()
    importing = importer(repository, clock)
    for start in range(40):
        importing.store(rows(1, start=start))
    assert list(range(40)) == repository.numbers
    assert clock.now - 50 > 30


def test_what_somebody_must_mend_is_not_waited_for() -> None:
    repository, clock = Repository(Answers(configuration())), Clock()
    with pytest.raises(StoreError, match="somebody must act"):
        importer(repository, clock).store(rows(3))
    assert (1, []) == (len(repository.tries), clock.slept)


def test_room_is_made_before_the_rows_and_again_only_where_they_go_beyond() -> None:
    repository = Rooms()
    importing = importer(repository)
    middle, within, before, after = rows(10, 50), rows(3, 54), rows(2, 10), rows(2, 90)
    for some in (middle, within, before, after, middle):
        importing.store(some)
    first, last = moments(middle)
    assert [
        (first, last),
        (before[0].created_at, last),
        (before[0].created_at, after[-1].created_at),
    ] == repository.spans


def test_room_is_made_for_rows_in_any_order() -> None:
    repository = Rooms()
    importer(repository).store(rows(9)[::-1])
    assert [moments(rows(9))] == repository.spans


def test_without_the_privilege_to_make_room_the_rows_are_stored_all_the_same() -> None:
    repository = Rooms(configuration("42501"))
    importing = importer(repository)
    importing.store(rows(3))
    assert [0, 1, 2] == repository.numbers


@pytest.mark.parametrize("error", [down(), configuration()])
def test_a_database_that_is_not_there_when_room_is_made_ends_it(error: StoreError) -> None:
    repository = Rooms(error)
    with pytest.raises(StoreError):
        importer(repository).store(rows(3))
    assert [] == repository.tries


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interruption_comes_through(kind: type[BaseException]) -> None:
    def interrupted(_: object) -> None:
        raise kind()

    repository = Repository(interrupted)
    importing = importer(repository)
    with pytest.raises(kind):
        importing.store(rows(3))
    assert (1, (0, 0, 0)) == (len(repository.tries), counts(importing))


def test_close_lets_go_of_the_connection() -> None:
    repository = Repository()
    importer(repository).close()
    assert 1 == repository.closed
