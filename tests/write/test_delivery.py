"""
Rows are settled exactly once, whatever the repository answers.
"""

from __future__ import annotations

import logging

from collections.abc import Sequence
from typing import Any

import pytest

from hypothesis import given
from hypothesis import strategies as st

from structlog_activity.record.row import Row
from structlog_activity.store.batch import Batch
from structlog_activity.store.faults import Fault, StoreError
from structlog_activity.write.delivery import Delivery, DeliveryAbandonedError
from structlog_activity.write.report import Reporter
from structlog_activity.write.schedule import RetrySchedule
from tests.write.doubles import Answers, Poison, Repository, down, numbers, row, rows


class Waits:
    """Waits no time at all, keeps how long it should have been, and may run out of patience."""

    def __init__(self, most: int = 10_000) -> None:
        self.seconds: list[float] = []
        self.most = most

    def __call__(self, seconds: float) -> bool:
        self.seconds.append(seconds)
        return len(self.seconds) < self.most


def make(repository: Repository, waits: Waits | None = None, **options: Any) -> Delivery:
    options.setdefault("schedule", RetrySchedule(random=lambda: 1.0))
    return Delivery(repository, wait=waits or Waits(), **options)


def dead(delivery: Delivery) -> list[int]:
    return numbers([letter.row for letter in delivery.dead_letters])


def settled(delivery: Delivery) -> tuple[int, int, int]:
    counts = delivery.settled
    return counts["written"], counts["duplicates"], counts["dead"]


def unknown() -> StoreError:
    return StoreError(Fault.UNKNOWN, "unheard of", sqlstate="P0001")


def fixed() -> StoreError:
    return StoreError(Fault.CONFIGURATION, "no such table", sqlstate="42P01")


# -- what goes well -----------------------------------------------------------


def test_rows_are_written_as_one_batch_in_their_order() -> None:
    repository = Repository()
    delivery = make(repository)
    delivery.deliver(rows(5))
    assert repository.numbers == [0, 1, 2, 3, 4]
    assert repository.sizes == [5]
    assert settled(delivery) == (5, 0, 0)


def test_several_batches_go_one_after_another() -> None:
    repository = Repository()
    make(repository).deliver(rows(2), rows(3, 2))
    assert repository.numbers == [0, 1, 2, 3, 4]
    assert repository.sizes == [2, 3]


def test_no_rows_are_no_batch() -> None:
    repository = Repository()
    delivery = make(repository)
    delivery.deliver([])
    delivery.deliver()
    assert repository.tries == []


def test_every_batch_of_a_writer_has_a_number_of_its_own() -> None:
    repository = Repository()
    delivery = make(repository)
    for item in rows(3):
        delivery.deliver([item])
    assert [batch.seq for batch in repository.tries] == [1, 2, 3]
    assert len({batch.writer_id for batch in repository.tries}) == 1
    assert len({batch.batch_id for batch in repository.tries}) == 3
    assert all(0 < batch.batch_id < 2**63 for batch in repository.tries)


def test_two_writers_are_told_apart() -> None:
    repository = Repository()
    make(repository).deliver([row(0)])
    make(repository).deliver([row(1)])
    assert len({batch.writer_id for batch in repository.tries}) == 2


# -- trouble that passes ------------------------------------------------------


def test_a_retry_is_the_same_batch_in_the_same_order() -> None:
    repository = Repository(Answers(down(), down(), down()))
    waits = Waits()
    delivery = make(repository, waits)
    delivery.deliver(rows(3), rows(2, 3))
    first = repository.tries[0]
    assert repository.tries[:4] == [first] * 4
    assert repository.numbers == [0, 1, 2, 3, 4]
    assert waits.seconds == [0.1, 0.2, 0.4]
    assert settled(delivery) == (5, 0, 0)


def test_a_success_starts_the_delays_anew() -> None:
    waits = Waits()
    delivery = make(Repository(Answers(down(), down(), None, down())), waits)
    delivery.deliver([row(0)], [row(1)])
    assert waits.seconds == [0.1, 0.2, 0.1]


def test_a_batch_that_was_committed_without_an_answer_is_not_written_twice() -> None:
    repository = Repository()

    def lose_the_answer(batch: Batch) -> None:
        if len(repository.tries) == 1:
            repository.commit(batch)
            raise down()

    repository.answer = lose_the_answer
    delivery = make(repository)
    delivery.deliver(rows(3))
    assert repository.numbers == [0, 1, 2]
    assert repository.sizes == [3, 3]
    assert settled(delivery) == (3, 0, 0)


@pytest.mark.parametrize("fault", [Fault.TRANSIENT, Fault.CONFIGURATION])
def test_an_outage_sets_nothing_aside_however_long_it_lasts(fault: Fault) -> None:
    repository = Repository(Answers(*[StoreError(fault, "not now")] * 200))
    waits = Waits()
    delivery = make(repository, waits)
    delivery.deliver(rows(3))
    assert repository.sizes == [3] * 201
    assert settled(delivery) == (3, 0, 0)
    assert max(waits.seconds) == 30.0


def test_a_configuration_that_is_wrong_is_tried_slowly() -> None:
    waits = Waits()
    make(Repository(Answers(fixed(), fixed())), waits).deliver([row(0)])
    assert waits.seconds == [1.0, 2.0]


def test_what_is_wrong_is_known_until_it_passes() -> None:
    now = [100.0]
    delivery = make(Repository(Answers(down(), fixed())), Waits(most=2), clock=lambda: now[0])
    with pytest.raises(DeliveryAbandonedError):
        delivery.deliver([row(0)])
    assert str(delivery.trouble) == "no such table"
    assert delivery.trouble_since == 100.0
    delivery.deliver()
    assert delivery.trouble is None


def test_trouble_and_its_end_are_told(caplog: pytest.LogCaptureFixture) -> None:
    now = [100.0]

    def wait(_: float) -> bool:
        now[0] += 30.0
        return True

    with caplog.at_level(logging.WARNING, "structlog_activity"):
        Delivery(
            Repository(Answers(*[down()] * 4)),
            wait=wait,
            reporter=Reporter(lambda: now[0]),
            clock=lambda: now[0],
        ).deliver([row(0)])
    trouble = "records can't be written and wait: the connection is refused"
    assert caplog.messages == [trouble, trouble, "records are written again after 120.0 s"]


def test_a_connection_that_breaks_all_the_time_is_told_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = [100.0]
    delivery = Delivery(
        Repository(Answers(*[down(), None] * 20)),
        wait=lambda _: True,
        reporter=Reporter(lambda: now[0]),
    )
    for item in rows(20):
        delivery.deliver([item])
        now[0] += 1
    told = [message.partition(":")[0].partition(" after")[0] for message in caplog.messages]
    assert told == ["records can't be written and wait", "records are written again"]


# -- giving up ----------------------------------------------------------------


def test_what_is_given_up_stays_and_comes_first_as_the_same_batch() -> None:
    repository = Repository(Answers(down(), down()))
    delivery = make(repository, Waits(most=2))
    with pytest.raises(DeliveryAbandonedError):
        delivery.deliver(rows(2), rows(2, 2))
    assert settled(delivery) == (0, 0, 0)
    delivery.deliver(rows(2, 4))
    assert repository.numbers == [0, 1, 2, 3, 4, 5]
    assert [batch.seq for batch in repository.tries] == [1, 1, 1, 2, 3]
    assert settled(delivery) == (6, 0, 0)


def deliver_in_turns(delivery: Delivery, waits: Waits, parts: list[list[Row]]) -> None:
    """Deliver, and after each surrender have another call go on."""
    for _ in range(1000):
        try:
            delivery.deliver(*parts)
            return
        except DeliveryAbandonedError:
            parts = []
            waits.seconds.clear()


@given(
    most=st.integers(1, 12),
    bad=st.sets(st.integers(0, 11)),
    fault=st.sampled_from([Fault.DATA, Fault.UNKNOWN]),
    failures=st.lists(st.booleans(), max_size=20),
)
def test_giving_up_at_any_point_loses_and_doubles_nothing(
    most: int, bad: set[int], fault: Fault, failures: list[bool]
) -> None:
    """Rows of several batches, outages and bad rows; after each surrender another call goes on."""
    poison, left = Poison(fault, *bad), list(failures)

    def answer(batch: Batch) -> None:
        if left and left.pop():
            raise down()
        poison(batch)

    repository = Repository(answer)
    waits = Waits(most)
    delivery = make(repository, waits)
    parts: list[list[Row]] = [rows(5), rows(6, 5), [row(11)], [row(12)]]
    deliver_in_turns(delivery, waits, parts)
    assert repository.numbers == [number for number in range(13) if number not in bad]
    assert sorted(dead(delivery)) == sorted(bad)
    assert settled(delivery) == (13 - len(bad), 0, len(bad))


# -- duplicates ---------------------------------------------------------------


def test_only_the_rows_that_are_not_there_yet_are_written() -> None:
    repository = Repository()
    repository.have(rows(2, 1))
    delivery = make(repository)
    delivery.deliver(rows(5))
    assert repository.numbers == [1, 2, 0, 3, 4]
    assert settled(delivery) == (3, 2, 0)
    assert repository.sizes == [5, 3]
    assert [batch.seq for batch in repository.tries] == [1, 1]


def test_a_batch_that_is_there_as_a_whole_is_done() -> None:
    repository = Repository()
    repository.have(rows(3))
    delivery = make(repository)
    delivery.deliver(rows(3))
    assert settled(delivery) == (0, 3, 0)
    assert repository.sizes == [3]


def test_twins_in_one_batch_are_written_once_in_the_place_of_the_first() -> None:
    repository = Repository()
    delivery = make(repository)
    delivery.deliver([row(0), row(1), row(0, data='{"late": 1}'), row(2), row(1)])
    assert repository.rows == rows(3)
    assert settled(delivery) == (3, 2, 0)


def test_one_row_that_comes_twice_is_written_once_and_counted_twice() -> None:
    """The very same object, not only an equal one."""
    repository = Repository()
    delivery = make(repository)
    one, other = rows(2)
    delivery.deliver([one, other, one, one])
    assert repository.rows == [one, other]
    assert settled(delivery) == (2, 2, 0)
    assert delivery.memory.settled == 4


class InsertOnly(Repository):
    """A role that may insert and not look."""

    def stored(self, rows: Sequence[Row]) -> set[int]:
        raise StoreError(Fault.CONFIGURATION, "permission denied", sqlstate="42501")

    def write(self, batch: Batch) -> bool:
        self.tries.append(batch)
        there = {item.key for item in self.rows}
        for index, item in enumerate(batch.rows):
            if item.key in there:
                raise StoreError(Fault.DUPLICATE, "there already", row=self.tells(index))
        self.rows.extend(batch.rows)
        return True

    def tells(self, index: int) -> int | None:
        return index


class Silent(InsertOnly):
    """It doesn't even say which row is there."""

    def tells(self, index: int) -> int | None:
        return None


@pytest.mark.parametrize("kind", [InsertOnly, Silent])
def test_a_role_that_may_not_look_still_writes_what_is_missing(kind: type[InsertOnly]) -> None:
    """A row that its key refuses is there, whoever may look."""
    repository = kind()
    repository.have([row(3)])
    delivery = make(repository)
    delivery.deliver(rows(8))
    assert sorted(repository.numbers) == [*range(8)]
    assert dead(delivery) == []
    assert settled(delivery) == (7, 1, 0)


def test_looking_for_duplicates_survives_an_outage_and_a_repository_of_somebody_else() -> None:
    class Shaky(Repository):
        answers: Any = Answers(down(), ZeroDivisionError(), unknown())

        def stored(self, rows: Sequence[Row]) -> set[int]:
            self.answers(None)
            return super().stored(rows)

    repository = Shaky()
    repository.have([row(1)])
    delivery = make(repository)
    delivery.deliver(rows(3))
    assert sorted(repository.numbers) == [0, 1, 2]
    assert settled(delivery) == (2, 1, 0)


def test_a_duplicate_that_is_not_in_the_table_is_the_row_s_own_fault() -> None:
    """A unique index that somebody else made."""
    repository = Repository(Poison(Fault.DUPLICATE, 1, tells=True))
    delivery = make(repository)
    delivery.deliver(rows(3))
    assert repository.numbers == [0, 2]
    assert dead(delivery) == [1]


# -- rows at fault ------------------------------------------------------------


def test_the_row_that_the_database_names_is_set_aside_and_only_that() -> None:
    repository = Repository(Poison(Fault.DATA, 3, tells=True))
    delivery = make(repository)
    delivery.deliver(rows(6))
    assert repository.numbers == [0, 1, 2, 4, 5]
    assert dead(delivery) == [3]
    assert next(iter(delivery.dead_letters)).reason == "a bad row"
    assert settled(delivery) == (5, 0, 1)
    assert repository.sizes == [6, 5]
    assert [batch.seq for batch in repository.tries] == [1, 1]


def test_every_named_row_costs_one_more_try() -> None:
    repository = Repository(Poison(Fault.DATA, 0, 3, 5, tells=True))
    delivery = make(repository)
    delivery.deliver(rows(6))
    assert repository.numbers == [1, 2, 4]
    assert repository.sizes == [6, 5, 4, 3]


@pytest.mark.parametrize("bad", [[0], [7], [3], [2, 3], [0, 7], [*range(8)]])
def test_bad_rows_that_nobody_names_are_found_by_halving(bad: list[int]) -> None:
    repository = Repository(Poison(Fault.DATA, *bad))
    delivery = make(repository)
    delivery.deliver(rows(8))
    assert repository.numbers == [number for number in range(8) if number not in bad]
    assert dead(delivery) == bad
    assert settled(delivery) == (8 - len(bad), 0, len(bad))


def test_halving_costs_few_tries() -> None:
    repository = Repository(Poison(Fault.DATA, 617))
    make(repository).deliver(rows(1000))
    assert len(repository.tries) <= 21


def test_no_wait_is_spent_on_bad_rows() -> None:
    waits = Waits()
    make(Repository(Poison(Fault.DATA, 1, 6)), waits).deliver(rows(8))
    assert waits.seconds == []


@pytest.mark.parametrize("index", [-1, 3, 10**9])
def test_a_named_row_that_does_not_exist_is_looked_for(index: int) -> None:
    def answer(batch: Batch) -> None:
        if 1 in numbers(batch.rows):
            raise StoreError(Fault.DATA, "a bad row", row=index)

    repository = Repository(answer)
    delivery = make(repository)
    delivery.deliver(rows(3))
    assert repository.numbers == [0, 2]
    assert dead(delivery) == [1]


@given(
    count=st.integers(1, 40),
    bad=st.sets(st.integers(0, 39)),
    there=st.sets(st.integers(0, 39)),
    tells=st.booleans(),
    outages=st.lists(st.booleans(), max_size=15),
)
def test_exactly_the_bad_rows_are_dead_and_exactly_the_missing_ones_written(
    count: int, bad: set[int], there: set[int], tells: bool, outages: list[bool]
) -> None:
    good_there = {n for n in there if n < count and n not in bad}
    bad = {n for n in bad if n < count}
    poison = Poison(Fault.DATA, *bad, tells=tells)

    def answer(batch: Batch) -> None:
        if outages and outages.pop():
            raise down()
        poison(batch)

    repository = Repository(answer)
    repository.have([row(number) for number in sorted(good_there)])
    delivery = make(repository)
    delivery.deliver(rows(count))
    written = [n for n in range(count) if n not in bad and n not in good_there]
    assert repository.numbers == sorted(good_there) + written
    assert dead(delivery) == sorted(bad)
    assert settled(delivery) == (len(written), len(good_there), len(bad))


def test_a_thousand_dead_letters_are_kept_and_all_are_counted() -> None:
    repository = Repository(Poison(Fault.DATA, *range(1200), tells=True))
    delivery = make(repository)
    for first in range(0, 1200, 100):
        delivery.deliver(rows(100, first))
    assert dead(delivery) == [*range(200, 1200)]
    assert delivery.settled["dead"] == 1200


# -- batches that are too slow -------------------------------------------------


class Sluggish:
    """A server that has no time for more than so many rows at once."""

    def __init__(self, most: int) -> None:
        self.most = most

    def __call__(self, batch: Batch) -> None:
        if len(batch.rows) > self.most:
            raise StoreError(Fault.SLOW, "the statement took too long", sqlstate="57014")


def test_a_batch_that_takes_too_long_is_halved_until_it_passes() -> None:
    repository = Repository(Sluggish(3))
    waits = Waits()
    delivery = make(repository, waits)
    delivery.deliver(rows(20))
    assert repository.numbers == [*range(20)]
    assert repository.sizes[:4] == [20, 10, 5, 2]
    assert max(repository.sizes[4:]) <= 10
    assert settled(delivery) == (20, 0, 0)
    assert waits.seconds[:3] == [0.1, 0.2, 0.4]


def test_every_half_is_a_batch_of_its_own() -> None:
    repository = Repository(Sluggish(3))
    make(repository).deliver(rows(20))
    assert len({batch.seq for batch in repository.tries}) == len(repository.tries)


def test_a_row_alone_that_takes_too_long_is_waited_for() -> None:
    repository = Repository(Sluggish(0))
    delivery = make(repository, Waits(most=5))
    with pytest.raises(DeliveryAbandonedError):
        delivery.deliver([row(0)])
    assert repository.sizes == [1] * 5
    repository.answer = Sluggish(1)
    delivery.deliver()
    assert settled(delivery) == (1, 0, 0)


def test_giving_up_on_slow_batches_loses_and_doubles_nothing() -> None:
    repository = Repository(Sluggish(1))
    waits = Waits(most=1)
    delivery = make(repository, waits)
    parts: list[list[Row]] = [rows(9)]
    deliver_in_turns(delivery, waits, parts)
    assert repository.numbers == [*range(9)]
    assert settled(delivery) == (9, 0, 0)


# -- faults that nobody knows -------------------------------------------------


def test_an_unknown_fault_is_tried_three_times_before_rows_are_suspected() -> None:
    repository = Repository(Answers(unknown(), unknown()))
    waits = Waits()
    make(repository, waits).deliver(rows(4))
    assert repository.sizes == [4, 4, 4]
    assert waits.seconds == [0.1, 0.2]


def test_outages_in_between_are_not_counted_as_such_tries() -> None:
    repository = Repository(Answers(down(), down(), unknown(), down(), unknown()))
    make(repository).deliver(rows(4))
    assert repository.sizes == [4] * 6


def test_a_row_is_dead_if_a_neighbour_passed() -> None:
    repository = Repository(Poison(Fault.UNKNOWN, 2))
    delivery = make(repository)
    delivery.deliver(rows(4))
    assert repository.numbers == [0, 1, 3]
    assert dead(delivery) == [2]
    assert next(iter(delivery.dead_letters)).reason == "a bad row"


def test_the_reason_of_a_dead_letter_is_its_own_though_others_passed_since() -> None:
    repository = Repository(Poison(Fault.UNKNOWN, 0))
    delivery = make(repository)
    delivery.deliver(rows(2))
    assert [letter.reason for letter in delivery.dead_letters] == ["a bad row"]


def test_rows_are_kept_while_not_one_passes() -> None:
    repository = Repository(Poison(Fault.UNKNOWN, *range(4)))
    delivery = make(repository, Waits(most=500))
    with pytest.raises(DeliveryAbandonedError):
        delivery.deliver(rows(4))
    assert settled(delivery) == (0, 0, 0)
    repository.answer = lambda batch: None
    delivery.deliver()
    assert repository.numbers == [0, 1, 2, 3]
    assert settled(delivery) == (4, 0, 0)


def test_a_row_alone_is_judged_by_those_that_come_after_it() -> None:
    """Otherwise one bad row would block all others for ever."""
    repository = Repository(Poison(Fault.UNKNOWN, 0))
    later = rows(3, 1)
    delivery = make(repository, Waits(most=100), more=lambda: [later.pop(0)] if later else [])
    delivery.deliver([row(0)])
    assert repository.numbers == [1]
    assert dead(delivery) == [0]
    assert numbers(later) == [2, 3]


def test_a_row_alone_is_kept_while_those_that_come_after_it_fail_as_well() -> None:
    repository = Repository(Poison(Fault.UNKNOWN, *range(4)))
    later = rows(3, 1)
    delivery = make(repository, Waits(most=100), more=lambda: [later.pop(0)] if later else [])
    with pytest.raises(DeliveryAbandonedError):
        delivery.deliver([row(0)])
    assert settled(delivery) == (0, 0, 0)
    repository.answer = lambda batch: None
    delivery.deliver()
    assert sorted(repository.numbers) == [0, 1, 2, 3]


def test_a_neighbour_that_passed_long_ago_proves_nothing() -> None:
    repository = Repository()
    delivery = make(repository, Waits(most=50))
    delivery.deliver(rows(10))
    repository.answer = Poison(Fault.UNKNOWN, 10)
    with pytest.raises(DeliveryAbandonedError):
        delivery.deliver([row(10)])
    assert dead(delivery) == []


@pytest.mark.parametrize("error", [ZeroDivisionError("secret"), MemoryError(), OSError("secret")])
def test_whatever_a_repository_raises_is_a_fault_that_nobody_knows(error: Exception) -> None:
    repository = Repository(Answers(error, error))
    waits = Waits()
    delivery = make(repository, waits)
    delivery.deliver(rows(2))
    assert repository.numbers == [0, 1]
    assert waits.seconds == [0.1, 0.2]


def test_the_text_of_a_foreign_error_is_not_passed_on() -> None:
    delivery = make(Repository(Answers(OSError("secret"))), Waits(most=1))
    with pytest.raises(DeliveryAbandonedError):
        delivery.deliver([row(0)])
    assert str(delivery.trouble) == "the repository raised OSError"
