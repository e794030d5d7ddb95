"""
What was taken is written, in order, in batches, by one thread, and the accounts are exact.
"""

from __future__ import annotations

import gc
import io
import logging
import sys
import threading
import time

from random import Random
from typing import Any
from uuid import UUID

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from structlog_activity.record.ids import NIL, NIL_BYTES
from structlog_activity.record.record import ActivityRecord
from structlog_activity.store.batch import Batch
from structlog_activity.store.faults import Fault, StoreError
from structlog_activity.write.buffer import BufferedRepository
from structlog_activity.write.schedule import RetrySchedule
from tests.support.standstill import took
from tests.write.conftest import MakeBuffer
from tests.write.doubles import (
    DEADLINE,
    Answers,
    Gate,
    Poison,
    Repository,
    assert_invariant,
    down,
    eventually,
    interrupted,
    numbers,
    row,
    rows,
    run_all,
    writers,
)


FOREVER = 3600.0  # longer than any test may take


def fill(buffer: BufferedRepository, count: int, start: int = 0) -> None:
    for item in rows(count, start):
        assert buffer.put(item)


class EverySoOften(RetrySchedule):
    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def failed(self, fault: Fault) -> float:
        return self.seconds


def try_again_after(buffer: BufferedRepository, seconds: float) -> None:
    buffer._delivery._schedule = EverySoOften(seconds)


@pytest.fixture
def gate(make_buffer: MakeBuffer) -> Gate:
    return Gate()


@pytest.fixture
def hung(make_buffer: MakeBuffer, gate: Gate) -> BufferedRepository:
    """A buffer whose writer waits for the database with the one record numbered 0."""
    buffer = make_buffer(gate, batch_size=4, max_records=8)
    buffer.put(row(0))
    assert gate.entered.wait(DEADLINE)
    return buffer


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """As at the end of the interpreter, or beyond the system's limit."""

    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)


# -- taking -------------------------------------------------------------------


def test_records_are_written_in_the_order_in_which_they_came(make_buffer: MakeBuffer) -> None:
    repository = Repository()
    buffer = make_buffer(repository, batch_size=7)
    fill(buffer, 100)
    assert buffer.flush(DEADLINE) is True
    assert repository.numbers == [*range(100)]
    assert max(repository.sizes) <= 7


def test_records_of_each_thread_keep_their_order(make_buffer: MakeBuffer) -> None:
    repository = Repository()
    buffer = make_buffer(repository, batch_size=50)
    run_all(*[lambda first=n * 1000: fill(buffer, 1000, first) for n in range(4)])
    assert buffer.flush(DEADLINE) is True
    for first in range(0, 4000, 1000):
        own = [number for number in repository.numbers if first <= number < first + 1000]
        assert own == [*range(first, first + 1000)]


def test_a_record_s_nil_id_and_unset_time_are_filled(make_buffer: MakeBuffer) -> None:
    repository = Repository()
    buffer = make_buffer(repository)
    assert buffer.log(ActivityRecord(verb="a.b", object_type="thing")) is True
    assert buffer.flush(DEADLINE)
    (record,) = repository.records
    assert record.id != NIL
    assert record.occurred_at is not None


def test_a_record_s_own_id_is_kept(make_buffer: MakeBuffer) -> None:
    repository = Repository()
    buffer = make_buffer(repository)
    buffer.log(ActivityRecord(id=UUID(int=5), verb="a.b", object_type="thing"))
    assert buffer.flush(DEADLINE)
    assert repository.numbers == [5]


@pytest.mark.parametrize(
    ("record", "field"),
    [
        (ActivityRecord(verb=" ", object_type="thing"), "verb"),
        (ActivityRecord(verb="a.b"), "object_type"),
    ],
)
def test_a_record_that_makes_no_sense_is_rejected_and_counted_by_its_field(
    make_buffer: MakeBuffer, record: ActivityRecord, field: str
) -> None:
    buffer = make_buffer(Repository())
    assert buffer.log(record) is False
    counts = buffer.counters()
    assert (counts["submitted"], counts["accepted"], counts["rejected"]) == (1, 0, 1)
    assert counts[f"rejected.{field}"] == 1


def test_records_without_actor_or_tenant_are_stored_and_counted(make_buffer: MakeBuffer) -> None:
    repository = Repository()
    buffer = make_buffer(repository)
    buffer.put(row(0))
    buffer.put(row(1, who=NIL_BYTES))
    assert buffer.flush(DEADLINE)
    counts = buffer.counters()
    assert (counts["missing.actor_id"], counts["missing.tenant_id"]) == (1, 1)
    assert repository.numbers == [0, 1]


def test_a_snapshot_is_finished_by_the_writer(make_buffer: MakeBuffer) -> None:
    finishers: list[str] = []

    def finish(snapshot: Any) -> Any:
        finishers.append(threading.current_thread().name)
        return row(snapshot[1])

    repository = Repository()
    buffer = make_buffer(repository)
    buffer.put((finish, 3, 0, {}, None))
    assert buffer.flush(DEADLINE)
    assert repository.numbers == [3]
    assert finishers[0].startswith("structlog-activity-writer")


def test_a_snapshot_that_breaks_costs_no_neighbour(
    make_buffer: MakeBuffer, caplog: pytest.LogCaptureFixture
) -> None:
    def finish(snapshot: Any) -> Any:
        raise KeyError("secret")

    repository = Repository()
    buffer = make_buffer(repository, linger=FOREVER)
    buffer.put(row(0))
    buffer.put((finish, 1, 0, {}, None))
    buffer.put(row(2))
    assert buffer.flush(DEADLINE) is False
    assert repository.numbers == [0, 2]
    assert buffer.counters()["dead"] == 1
    assert caplog.messages == ["a record was lost to KeyError"]


# -- batches ------------------------------------------------------------------


def test_a_full_batch_is_not_kept_waiting(make_buffer: MakeBuffer) -> None:
    repository = Repository()
    buffer = make_buffer(repository, batch_size=5, linger=FOREVER)
    fill(buffer, 5)
    eventually(lambda: len(repository.rows) == 5)
    assert repository.sizes == [5]


def test_a_full_queue_is_not_kept_waiting_though_it_is_no_full_batch(
    make_buffer: MakeBuffer,
) -> None:
    repository = Repository()
    buffer = make_buffer(repository, batch_size=500, max_records=5, linger=FOREVER)
    fill(buffer, 5)
    eventually(lambda: len(repository.rows) == 5)


def test_the_first_record_waits_for_others_no_longer_than_it_lingers(
    make_buffer: MakeBuffer,
) -> None:
    repository = Repository()
    buffer = make_buffer(repository, batch_size=500, linger=0.01)
    buffer.put(row(0))
    eventually(lambda: repository.numbers == [0])


def test_records_that_linger_together_are_one_batch(make_buffer: MakeBuffer) -> None:
    repository = Repository()
    buffer = make_buffer(repository, batch_size=500, linger=FOREVER)
    fill(buffer, 100)
    assert buffer.flush(DEADLINE) is True
    assert repository.sizes == [100]


def test_what_queued_up_during_a_slow_write_goes_in_full_batches(
    hung: BufferedRepository, gate: Gate
) -> None:
    fill(hung, 8, 1)
    gate.open()
    assert hung.flush(DEADLINE) is True
    assert gate.sizes == [1, 4, 4]


def test_a_batch_holds_about_a_mebibyte_at_most(make_buffer: MakeBuffer) -> None:
    repository = Repository()
    buffer = make_buffer(repository, batch_size=10, linger=FOREVER)
    text = '{"x": "' + "x" * 300_000 + '"}'
    for number in range(10):
        buffer.put(row(number, data=text))
    assert buffer.flush(DEADLINE) is True
    assert repository.sizes == [3, 3, 3, 1]
    assert repository.numbers == [*range(10)]


def test_a_record_larger_than_that_goes_alone(make_buffer: MakeBuffer) -> None:
    repository = Repository()
    buffer = make_buffer(repository, linger=FOREVER)
    for number, size in enumerate((10, 2_000_000, 10)):
        buffer.put(row(number, data='"' + "x" * size + '"'))
    assert buffer.flush(DEADLINE) is True
    assert repository.sizes == [1, 1, 1]


def test_one_daemon_thread_writes_it_all(make_buffer: MakeBuffer) -> None:
    repository = Repository()
    buffer = make_buffer(repository)
    assert writers() == []
    fill(buffer, 10)
    (writer,) = writers()
    assert writer.daemon
    assert buffer.flush(DEADLINE)
    fill(buffer, 10, 10)
    assert buffer.flush(DEADLINE)
    assert repository.threads == {writer.ident}


def test_threads_that_bring_the_first_record_together_start_one_writer(
    make_buffer: MakeBuffer, busy_threads: None
) -> None:
    for _ in range(30):
        buffer = make_buffer(Repository())
        run_all(*[lambda n=n: buffer.put(row(n)) for n in range(6)])  # noqa: B023
        assert len(writers()) == 1
        assert buffer.close(DEADLINE) is True
        assert buffer.counters()["written"] == 6


# -- overflow -----------------------------------------------------------------


def test_while_the_database_is_slow_the_newest_are_dropped(
    hung: BufferedRepository, gate: Gate
) -> None:
    kept = [hung.put(item) for item in rows(12, 1)]
    assert kept == [True] * 8 + [False] * 4
    counts = hung.counters()
    assert (counts["queued"], counts["in_flight"]) == (8, 1)
    assert (counts["dropped"], counts["dropped.overflow"]) == (4, 4)
    gate.open()
    assert hung.flush(DEADLINE) is False
    assert gate.numbers == [*range(9)]


def test_while_the_database_is_slow_the_oldest_are_dropped(make_buffer: MakeBuffer) -> None:
    gate = Gate()
    buffer = make_buffer(gate, max_records=8, overflow="drop_oldest")
    buffer.put(row(0))
    assert gate.entered.wait(DEADLINE)
    fill(buffer, 12, 1)
    counts = buffer.counters()
    assert (counts["submitted"], counts["accepted"], counts["queued"]) == (13, 13, 8)
    assert (counts["dropped"], counts["dropped.overflow"]) == (4, 4)
    gate.open()
    assert buffer.flush(DEADLINE) is False
    assert gate.numbers == [0, *range(5, 13)]


def test_a_caller_that_blocks_loses_nothing_if_the_database_comes_back_in_time(
    make_buffer: MakeBuffer,
) -> None:
    gate = Gate()
    buffer = make_buffer(gate, max_records=2, overflow="block", block_timeout=DEADLINE)
    buffer.put(row(0))
    assert gate.entered.wait(DEADLINE)
    caller = threading.Thread(target=fill, args=(buffer, 50, 1))
    caller.start()
    eventually(lambda: buffer.counters()["queued"] == 2)
    gate.open()
    caller.join(DEADLINE)
    assert buffer.flush(DEADLINE) is True
    assert gate.numbers == [*range(51)]


def test_the_last_loss_is_told_by_one_flush_only(hung: BufferedRepository, gate: Gate) -> None:
    for item in rows(12, 1):
        hung.put(item)
    gate.open()
    assert [hung.flush(DEADLINE) for _ in range(3)] == [False, True, True]


# -- flush --------------------------------------------------------------------


def test_flush_says_true_when_all_is_committed_and_not_before(
    hung: BufferedRepository, gate: Gate
) -> None:
    done: list[tuple[bool, list[int]]] = []
    caller = threading.Thread(
        target=lambda: done.append((hung.flush(DEADLINE), list(gate.numbers)))
    )
    caller.start()
    eventually(lambda: hung._writer.flushing == 1)
    assert done == []
    gate.open()
    caller.join(DEADLINE)
    assert done == [(True, [0])]


def test_flush_says_false_when_the_time_is_up(hung: BufferedRepository) -> None:
    started = time.monotonic()
    assert hung.flush(0.05) is False
    assert 0.05 <= time.monotonic() - started < DEADLINE / 2
    assert hung.counters()["in_flight"] == 1


def test_flush_says_false_when_a_record_was_set_aside(make_buffer: MakeBuffer) -> None:
    repository = Repository(Poison(Fault.DATA, 1, tells=True))
    buffer = make_buffer(repository)
    fill(buffer, 3)
    assert buffer.flush(DEADLINE) is False
    assert buffer.counters()["dead"] == 1
    assert buffer.flush(DEADLINE) is True


def test_flush_of_nothing_starts_nothing(make_buffer: MakeBuffer) -> None:
    repository = Repository()
    buffer = make_buffer(repository)
    assert buffer.flush() is True
    assert (writers(), repository.tries) == ([], [])


def test_flush_does_not_linger(make_buffer: MakeBuffer) -> None:
    repository = Repository()
    buffer = make_buffer(repository, linger=FOREVER)
    for number in range(3):
        buffer.put(row(number))
        assert buffer.flush(DEADLINE) is True
    assert repository.numbers == [0, 1, 2]


def test_flush_hurries_a_writer_that_waits_for_another_try(make_buffer: MakeBuffer) -> None:
    """It would be tried again only after half a minute."""
    is_down = threading.Event()
    is_down.set()

    def answer(batch: Batch) -> None:
        if is_down.is_set():
            raise StoreError(Fault.CONFIGURATION, "no such table")

    repository = Repository(answer)
    buffer = make_buffer(repository)
    try_again_after(buffer, FOREVER)
    buffer.put(row(0))
    eventually(lambda: len(repository.tries) == 1)
    is_down.clear()
    assert buffer.flush(DEADLINE) is True


def flush_at_once(hung: BufferedRepository, gate: Gate) -> list[bool]:
    """What four that flush are told, who all wait before the gate is opened."""
    done: list[bool] = []

    def open_when_all_wait() -> None:
        eventually(lambda: hung._writer.flushing == 4)
        gate.open()

    run_all(*[lambda: done.append(hung.flush(DEADLINE))] * 4, open_when_all_wait)
    return done


def test_flushes_at_once_are_all_told_the_truth(hung: BufferedRepository, gate: Gate) -> None:
    assert [True] * 4 == flush_at_once(hung, gate)


def test_a_loss_is_told_to_all_that_flush_at_once(hung: BufferedRepository, gate: Gate) -> None:
    for item in rows(12, 1):
        hung.put(item)
    assert [False] * 4 == flush_at_once(hung, gate)


class Busy(threading.Thread):
    """Records without a pause that would let the queue run empty."""

    def __init__(self, buffer: BufferedRepository, first: int) -> None:
        super().__init__()
        self.buffer = buffer
        self.number = first
        self.halt = threading.Event()

    def run(self) -> None:
        while not self.halt.is_set():
            for item in rows(5, self.number):
                self.buffer.put(item)
            self.number += 5
            self.halt.wait(0.0005)


def test_flush_returns_though_callers_never_pause(make_buffer: MakeBuffer) -> None:
    repository = Repository()
    buffer = make_buffer(repository, max_records=1_000_000)
    callers = [Busy(buffer, n * 10**9) for n in range(1, 4)]
    for caller in callers:
        caller.start()
    try:
        for item in rows(20):
            buffer.put(item)
            assert buffer.flush(DEADLINE) is True
            assert item in repository.rows
    finally:
        for caller in callers:
            caller.halt.set()
            caller.join()


def test_flush_in_the_writer_s_own_thread_does_not_wait_for_itself(
    make_buffer: MakeBuffer,
) -> None:
    said: list[bool] = []
    repository = Repository(lambda batch: said.append(buffer.flush()))
    buffer = make_buffer(repository)
    buffer.put(row(0))
    assert buffer.flush(DEADLINE) is True
    assert said == [False]


# -- close --------------------------------------------------------------------


def test_close_writes_what_waits_and_stops(make_buffer: MakeBuffer) -> None:
    repository = Repository()
    buffer = make_buffer(repository, linger=FOREVER)
    fill(buffer, 20)
    assert buffer.close() is True
    assert repository.numbers == [*range(20)]
    assert repository.closed
    assert writers() == []


def test_records_after_close_are_rejected_and_counted(make_buffer: MakeBuffer) -> None:
    repository = Repository()
    buffer = make_buffer(repository)
    fill(buffer, 2)
    buffer.close()
    assert buffer.put(row(2)) is False
    assert buffer.log(ActivityRecord(verb="a.b", object_type="thing")) is False
    counts = buffer.counters()
    assert counts["rejected.closed"] == counts["rejected"] == 2
    assert repository.numbers == [0, 1]


def test_close_twice_is_close_once(make_buffer: MakeBuffer) -> None:
    repository = Repository()
    buffer = make_buffer(repository)
    fill(buffer, 3)
    assert [buffer.close(), buffer.close(0), buffer.flush()] == [True, True, True]
    assert repository.numbers == [0, 1, 2]


def test_close_before_the_first_record_is_fine(make_buffer: MakeBuffer) -> None:
    buffer = make_buffer(Repository())
    assert buffer.close() is True
    assert buffer.put(row(0)) is False
    assert writers() == []


@pytest.mark.parametrize("timeout", [1e12, float("inf")])
def test_close_takes_any_timeout(make_buffer: MakeBuffer, timeout: float) -> None:
    buffer = make_buffer(Repository())
    buffer.put(row(0))
    assert buffer.flush(timeout) is True
    assert buffer.close(timeout) is True


def test_threads_that_close_at_once_all_wait_for_the_end(
    hung: BufferedRepository, gate: Gate
) -> None:
    fill(hung, 5, 1)
    done: list[tuple[bool, int]] = []
    callers = [
        threading.Thread(target=lambda: done.append((hung.close(DEADLINE), len(gate.rows))))
        for _ in range(4)
    ]
    for caller in callers:
        caller.start()
    eventually(lambda: hung._mailbox.closed)
    gate.open()
    for caller in callers:
        caller.join(DEADLINE)
    assert done == [(True, 6)] * 4


def test_close_returns_in_time_when_the_database_hangs(
    hung: BufferedRepository, gate: Gate, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(hung, 5, 1)
    started = time.monotonic()
    assert hung.close(0.1) is False
    assert 0.1 <= time.monotonic() - started < 2
    assert capsys.readouterr().err == (
        "structlog_activity: 6 records were not written in time and are lost: "
        "the database does not answer\n"
    )
    counts = hung.counters()
    assert (counts["dropped.shutdown"], counts["dropped"]) == (6, 6)
    assert (counts["queued"], counts["in_flight"], counts["written"]) == (0, 0, 0)


def test_closing_again_after_a_loss_costs_no_time_and_tells_no_more(
    hung: BufferedRepository, capsys: pytest.CaptureFixture[str]
) -> None:
    hung.close(0.05)
    started = time.monotonic()
    assert [hung.close(FOREVER), hung.flush(FOREVER)] == [False, False]
    assert took(started) < 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_batch_whose_answer_comes_after_the_close_is_counted_as_written(
    hung: BufferedRepository, gate: Gate
) -> None:
    fill(hung, 3, 1)
    hung.close(0.05)
    gate.open()
    eventually(lambda: writers() == [])
    counts = hung.counters()
    assert (counts["written"], counts["dropped"]) == (1, 3)
    assert gate.numbers == [0]
    assert gate.closed


def test_close_returns_in_time_when_the_database_is_down(
    make_buffer: MakeBuffer, capsys: pytest.CaptureFixture[str]
) -> None:
    repository = Repository(Answers(*[down()] * 1000))
    buffer = make_buffer(repository, batch_size=3)
    fill(buffer, 10)
    started = time.monotonic()
    assert buffer.close(0.3) is False
    assert took(started) < 2
    eventually(lambda: writers() == [])
    assert capsys.readouterr().err == (
        "structlog_activity: 10 records were not written in time and are lost: "
        "the connection is refused\n"
    )
    counts = buffer.counters()
    assert (counts["dropped.shutdown"], counts["in_flight"], counts["queued"]) == (10, 0, 0)


def test_threads_that_close_at_once_tell_of_a_loss_once(
    make_buffer: MakeBuffer, capsys: pytest.CaptureFixture[str]
) -> None:
    buffer = make_buffer(Repository(Answers(*[down()] * 1000)))
    fill(buffer, 10)
    done: list[bool] = []
    run_all(*[lambda: done.append(buffer.close(0.2))] * 3)
    assert done == [False] * 3
    assert capsys.readouterr().err.count("\n") == 1


def test_close_writes_on_while_the_database_is_slow_but_no_longer_than_it_may(
    make_buffer: MakeBuffer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every write succeeds, so nobody would ask whether the time is up."""
    repository = Repository(lambda batch: threading.Event().wait(0.02))
    buffer = make_buffer(repository, batch_size=1)
    fill(buffer, 1000)
    assert buffer.close(0.2) is False
    eventually(lambda: writers() == [])
    written = buffer.counters()["written"]
    assert 0 < written < 1000
    assert len(repository.rows) == written
    assert buffer.counters()["dropped.shutdown"] == 1000 - written


def test_close_hurries_a_writer_that_waits_for_another_try(make_buffer: MakeBuffer) -> None:
    repository = Repository(Answers(StoreError(Fault.CONFIGURATION, "no such table")))
    buffer = make_buffer(repository)
    try_again_after(buffer, FOREVER)
    buffer.put(row(0))
    eventually(lambda: len(repository.tries) == 1)
    assert buffer.close(DEADLINE) is True
    assert repository.numbers == [0]


def test_close_in_the_writer_s_own_thread_loses_nothing(
    make_buffer: MakeBuffer, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[bool] = []
    repository = Repository(lambda batch: said.append(buffer.close()))
    buffer = make_buffer(repository, batch_size=2, linger=FOREVER)
    fill(buffer, 2)
    eventually(lambda: writers() == [])
    assert set(said) == {False}
    assert repository.numbers == [0, 1]
    assert capsys.readouterr().err == ""
    assert buffer.close() is True


def test_a_repository_that_can_t_be_closed_is_no_trouble(make_buffer: MakeBuffer) -> None:
    class Sticky(Repository):
        def close(self) -> None:
            raise OSError

    repository = Sticky()
    buffer = make_buffer(repository)
    buffer.put(row(0))
    assert buffer.close() is True


@pytest.mark.parametrize("stderr", [None, io.StringIO()])
def test_a_loss_without_a_stderr_is_still_counted(
    hung: BufferedRepository, monkeypatch: pytest.MonkeyPatch, stderr: io.StringIO | None
) -> None:
    if stderr is not None:
        stderr.close()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stderr)
        assert hung.close(0.01) is False
    assert hung.counters()["dropped.shutdown"] == 1


@pytest.mark.parametrize("turn", range(10))
def test_what_was_kept_while_another_thread_closed_is_written(
    make_buffer: MakeBuffer, turn: int, busy_threads: None
) -> None:
    repository = Repository()
    buffer = make_buffer(repository, batch_size=3, max_records=1_000_000)
    kept: list[int] = []
    started = threading.Event()

    def record(first: int) -> None:
        number = first
        while buffer.put(row(number)):
            kept.append(number)
            number += 1
            started.set()

    callers = [threading.Thread(target=record, args=(n * 10**9,)) for n in range(1, 4)]
    for caller in callers:
        caller.start()
    assert started.wait(DEADLINE)
    assert buffer.close(DEADLINE) is True
    for caller in callers:
        caller.join(DEADLINE)
    assert sorted(repository.numbers) == sorted(kept)
    assert buffer.counters()["rejected.closed"] == 3


# -- where no thread can be ---------------------------------------------------


@pytest.mark.usefixtures("no_threads")
class TestWithoutThreads:
    def test_flush_writes_from_the_calling_thread(self, make_buffer: MakeBuffer) -> None:
        repository = Repository()
        buffer = make_buffer(repository, batch_size=3)
        fill(buffer, 10)
        assert repository.tries == []
        assert buffer.flush() is True
        assert repository.numbers == [*range(10)]
        assert repository.threads == {threading.get_ident()}
        assert buffer.put(row(10)) is True

    def test_close_writes_from_the_calling_thread_and_lets_go(
        self, make_buffer: MakeBuffer
    ) -> None:
        repository = Repository()
        buffer = make_buffer(repository)
        fill(buffer, 10)
        assert buffer.close() is True
        assert repository.numbers == [*range(10)]
        assert repository.closed

    def test_a_flush_that_runs_out_of_time_drops_nothing(self, make_buffer: MakeBuffer) -> None:
        repository = Repository(Answers(*[down()] * 3))
        buffer = make_buffer(repository, batch_size=4)
        fill(buffer, 10)
        assert buffer.flush(0.05) is False
        counts = buffer.counters()
        assert (counts["dropped"], counts["in_flight"], counts["queued"]) == (0, 4, 6)
        assert buffer.flush(DEADLINE) is True
        assert repository.numbers == [*range(10)]
        assert len({batch.seq for batch in repository.tries}) == 3

    def test_the_records_of_the_writer_s_work_are_refused_here_too(
        self, make_buffer: MakeBuffer
    ) -> None:
        repository = Repository(lambda batch: buffer.put(row(10**6 + batch.seq)))
        buffer = make_buffer(repository)
        buffer.put(row(0))
        assert buffer.flush(DEADLINE) is True
        assert repository.numbers == [0]
        assert buffer.counters()["rejected.recursion"] == 1

    def test_flush_and_close_within_the_work_don_t_wait_for_it(
        self, make_buffer: MakeBuffer
    ) -> None:
        said: list[bool] = []
        repository = Repository(lambda batch: said.extend((buffer.flush(), buffer.close())))
        buffer = make_buffer(repository)
        buffer.put(row(0))
        assert buffer.flush(DEADLINE) is True
        assert said == [False, False]

    def test_close_returns_in_time_when_the_database_is_down(
        self, make_buffer: MakeBuffer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        buffer = make_buffer(Repository(Answers(*[down()] * 100)))
        fill(buffer, 3)
        assert buffer.close(0.1) is False
        assert buffer.counters()["dropped.shutdown"] == 3
        assert capsys.readouterr().err.count("3 records") == 1


def test_a_writer_is_started_as_soon_as_one_can_be(
    make_buffer: MakeBuffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    repository = Repository()
    buffer = make_buffer(repository)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        buffer.put(row(0))
    buffer.put(row(1))
    eventually(lambda: repository.numbers == [0, 1])


# -- trouble ------------------------------------------------------------------


def test_the_writer_survives_a_repository_that_raises_anything(make_buffer: MakeBuffer) -> None:
    repository = Repository(Answers(ZeroDivisionError(), OSError()))
    buffer = make_buffer(repository)
    fill(buffer, 3)
    assert buffer.flush(DEADLINE) is True
    assert sorted(repository.numbers) == [0, 1, 2]


def test_the_writer_survives_a_bug_of_ours(
    make_buffer: MakeBuffer, caplog: pytest.LogCaptureFixture
) -> None:
    repository = Repository()
    buffer = make_buffer(repository)
    deliver, calls = buffer._delivery.deliver, []

    def broken(*batches: Any) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise LookupError("secret")
        deliver(*batches)

    buffer._delivery.deliver = broken  # type: ignore[method-assign, assignment]
    buffer.put(row(0))
    assert buffer.flush(DEADLINE) is True
    assert repository.numbers == [0]
    assert caplog.messages == ["the writer failed and goes on: LookupError"]


def test_a_lonely_row_at_fault_does_not_block_those_behind_it(make_buffer: MakeBuffer) -> None:
    """Nobody knows its fault, so it is judged by the next row."""
    repository = Repository(Poison(Fault.UNKNOWN, 0))
    buffer = make_buffer(repository, batch_size=1)
    try_again_after(buffer, 0.001)
    fill(buffer, 5)
    assert buffer.flush(DEADLINE) is False
    assert repository.numbers == [1, 2, 3, 4]
    counts = buffer.counters()
    assert (counts["dead"], counts["written"]) == (1, 4)


def test_records_of_the_writer_s_own_work_are_refused(make_buffer: MakeBuffer) -> None:
    repository = Repository(lambda batch: buffer.put(row(10**6 + batch.seq)))
    buffer = make_buffer(repository)
    fill(buffer, 3)
    assert buffer.flush(DEADLINE) is True
    assert buffer.close() is True
    assert sorted(repository.numbers) == [0, 1, 2]
    assert buffer.counters()["rejected.recursion"] == len(repository.tries)


def test_a_configuration_that_is_wrong_holds_records_until_it_is_right(
    make_buffer: MakeBuffer,
) -> None:
    repository = Repository(Answers(*[StoreError(Fault.CONFIGURATION, "no such table")] * 50))
    buffer = make_buffer(repository, batch_size=10)
    try_again_after(buffer, 0.001)
    fill(buffer, 30)
    assert buffer.flush(DEADLINE) is True
    assert repository.numbers == [*range(30)]
    assert buffer.counters()["dead"] == 0


def test_duplicates_are_counted_and_are_no_loss(make_buffer: MakeBuffer) -> None:
    repository = Repository()
    buffer = make_buffer(repository, linger=FOREVER)
    fill(buffer, 5)
    fill(buffer, 5)
    assert buffer.flush(DEADLINE) is True
    fill(buffer, 6)
    assert buffer.flush(DEADLINE) is True
    assert repository.numbers == [*range(6)]
    assert buffer.counters()["duplicates"] == 10


def test_a_row_that_is_put_twice_is_written_once_and_no_flush_waits_for_its_twin(
    make_buffer: MakeBuffer,
) -> None:
    repository = Repository()
    buffer = make_buffer(repository, linger=FOREVER)
    twin = row(0)
    assert buffer.put(twin)
    assert buffer.put(twin)
    assert buffer.flush(DEADLINE) is True
    assert repository.numbers == [0]
    counts = buffer.counters()
    assert (counts["written"], counts["duplicates"], counts["in_flight"]) == (1, 1, 0)


# -- what is told -------------------------------------------------------------


def test_counters_of_a_fresh_buffer_are_all_there_and_zero(make_buffer: MakeBuffer) -> None:
    assert make_buffer(Repository()).counters() == dict.fromkeys(
        (
            "submitted",
            "accepted",
            "rejected",
            "written",
            "duplicates",
            "dead",
            "queued",
            "in_flight",
            "spooled",
            "dropped",
        ),
        0,
    )


def test_all_is_well_while_all_is_well(make_buffer: MakeBuffer) -> None:
    buffer = make_buffer(Repository())
    fill(buffer, 3)
    assert buffer.flush(DEADLINE)
    health = buffer.health()
    assert (health.ok, health.reasons) == (True, ())


def test_health_says_why_nothing_can_be_written_and_since_when(make_buffer: MakeBuffer) -> None:
    is_down = threading.Event()
    is_down.set()

    def answer(batch: Batch) -> None:
        if is_down.is_set():
            raise down()

    buffer = make_buffer(Repository(answer))
    buffer.put(row(0))
    eventually(lambda: not buffer.health().ok)
    (reason,) = buffer.health().reasons
    assert reason == "nothing can be written since 0 s: the connection is refused"
    is_down.clear()
    assert buffer.flush(DEADLINE) is True
    assert buffer.health().ok


def test_health_tells_of_losses_and_of_a_queue_that_is_nearly_full(
    hung: BufferedRepository, gate: Gate
) -> None:
    for item in rows(10, 1):
        hung.put(item)
    assert hung.health().reasons == ("2 records were dropped", "8 records wait, 8 may")
    gate.open()
    hung.flush(DEADLINE)
    assert hung.health().reasons == ("2 records were dropped",)


def test_health_tells_of_dead_letters(make_buffer: MakeBuffer) -> None:
    buffer = make_buffer(Repository(Poison(Fault.DATA, 0, 2, tells=True)))
    fill(buffer, 3)
    buffer.flush(DEADLINE)
    assert buffer.health().reasons == ("2 records are dead letters",)


def test_the_writer_reports_rejections_by_field_and_not_each(
    make_buffer: MakeBuffer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "structlog_activity"):
        buffer = make_buffer(Repository())
        buffer.reject("verb", "verb: is blank")
        eventually(lambda: len(caplog.records) == 1)
        for _ in range(5):
            buffer.reject("verb", "verb: is blank")
        buffer.reject("object_type", "object_type: is missing")
        eventually(lambda: len(caplog.records) == 2)
        buffer.close()
    assert caplog.messages == [
        "1 activities were rejected so far: verb: is blank",
        "1 activities were rejected so far: object_type: is missing",
    ]
    assert buffer.counters()["rejected.verb"] == 6
    assert {record.name for record in caplog.records} == {"structlog_activity"}


def test_a_handler_of_the_host_that_records_what_we_say_gets_no_loop(
    make_buffer: MakeBuffer,
) -> None:
    class Eager(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            buffer.put(row(99))
            buffer.reject("verb")

    repository = Repository(Answers(down()))
    buffer = make_buffer(repository)
    logger, handler = logging.getLogger("structlog_activity"), Eager()
    logger.addHandler(handler)
    try:
        buffer.put(row(0))
        assert buffer.flush(DEADLINE) is True
        buffer.close()
    finally:
        logger.removeHandler(handler)
    assert repository.numbers == [0]
    assert buffer.counters()["rejected.recursion"] >= 1


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("batch_size", 0),
        ("batch_size", 100_001),
        ("max_records", 0),
        ("linger", -0.1),
        ("linger", "soon"),
        ("linger", float("nan")),
        ("block_timeout", -1),
        ("close_timeout", float("inf")),
        ("overflow", "spill"),
    ],
)
def test_an_option_out_of_its_range_is_refused_by_name(option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{option}="):
        BufferedRepository(Repository(), **{option: value})


# -- called from within itself ------------------------------------------------


def test_a_signal_handler_may_record_while_its_thread_records(make_buffer: MakeBuffer) -> None:
    repository = Repository()
    buffer = make_buffer(repository, max_records=10_000_000)
    own = 0
    inner: list[int] = []

    def handle() -> None:
        inner.append(len(inner))
        assert buffer.put(row(10**9 + len(inner)))

    with interrupted(handle) as calls:
        while len(calls) < 100:
            assert buffer.put(row(own))
            own += 1
            if own % 1000 == 0:
                buffer.counters()
    assert buffer.flush(DEADLINE) is True
    counts = buffer.counters()
    assert counts["submitted"] == counts["written"] == own + len(calls)


def test_a_finalizer_may_record_while_its_thread_records(make_buffer: MakeBuffer) -> None:
    """Collected in the writer's thread, its record counts as the writer's own."""
    repository = Repository()
    buffer = make_buffer(repository)
    said: list[bool] = []

    class Garbage:
        def __init__(self) -> None:
            self.cycle = self

        def __del__(self) -> None:
            said.append(buffer.put(row(10**9 + len(said))))

    threshold = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for item in rows(2000):
            Garbage()
            assert buffer.put(item)
    finally:
        gc.set_threshold(*threshold)
    gc.collect()
    assert len(said) == 2000
    assert buffer.flush(DEADLINE) is True
    counts = buffer.counters()
    assert counts["submitted"] == 4000
    assert counts["written"] == 2000 + sum(said)
    assert counts["rejected"] == counts.get("rejected.recursion", 0) == 2000 - sum(said)


# -- everything at once -------------------------------------------------------


class Chaos:
    """Answers at random: outages, wrong configuration, bad rows, answers that get lost."""

    def __init__(self, seed: int, bad: set[int]) -> None:
        self.random = Random(seed)
        self.poison = Poison(Fault.DATA, *bad, tells=self.random.random() < 0.5)
        self.repository: Repository | None = None

    def __call__(self, batch: Batch) -> None:
        luck = self.random.random()
        if luck < 0.1:
            raise StoreError(self.random.choice([Fault.TRANSIENT, Fault.CONFIGURATION]), "no")
        if luck < 0.15:
            raise ValueError("somebody else's")
        self.poison(batch)
        if luck < 0.25 and self.repository is not None:
            self.repository.commit(batch)
            raise down()


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    bad=st.sets(st.integers(0, 1199), max_size=5),
    overflow=st.sampled_from(["drop_newest", "drop_oldest", "block"]),
    capacity=st.sampled_from([5, 100, 10_000]),
    batch_size=st.sampled_from([1, 7, 100]),
    is_flushed=st.booleans(),
)
def test_whatever_happens_the_accounts_are_exact(
    seed: int,
    bad: set[int],
    overflow: str,
    capacity: int,
    batch_size: int,
    is_flushed: bool,
) -> None:
    chaos = Chaos(seed, bad)
    chaos.repository = repository = Repository(chaos)
    buffer = BufferedRepository(
        repository,
        batch_size=batch_size,
        max_records=capacity,
        overflow=overflow,
        block_timeout=0.001,
        linger=0.0,
    )
    try_again_after(buffer, 0.0)
    kept: list[int] = []

    def record(first: int) -> None:
        kept.extend(numbers([item for item in rows(300, first) if buffer.put(item)]))

    def flush() -> None:
        for _ in range(20 if is_flushed else 0):
            buffer.flush(0.01)

    run_all(*[lambda first=n * 300: record(first) for n in range(4)], flush)
    buffer.close(DEADLINE)
    counts = buffer.counters()
    assert_invariant(counts)
    dead = set(numbers([letter.row for letter in buffer._delivery.dead_letters]))
    evicted = counts["dropped"] if overflow == "drop_oldest" else 0
    assert counts["submitted"] == 1200
    assert (counts["queued"], counts["in_flight"], counts["rejected"]) == (0, 0, 0)
    assert counts["dropped"] == counts.get("dropped.overflow", 0)
    assert len(set(repository.numbers)) == len(repository.numbers)
    # Where the answer to a commit got lost and nobody knows the next faults, the
    # writer finds its own rows there already.
    assert counts["written"] + counts["duplicates"] == len(repository.numbers)
    assert set(repository.numbers) | dead <= set(kept)
    assert dead <= bad
    assert len(kept) == len(repository.numbers) + len(dead) + evicted
    if overflow != "drop_oldest":
        assert counts["dropped"] == 1200 - len(kept)
