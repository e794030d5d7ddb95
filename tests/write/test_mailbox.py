"""
The queue keeps the order and the bound, counts what it loses, and rings when it has to.
"""

from __future__ import annotations

import asyncio
import threading
import time

from collections import deque
from typing import Any

import pytest

from structlog_activity.record.row import Row
from structlog_activity.write.mailbox import BLOCK, DROP_NEWEST, DROP_OLDEST, Mailbox
from tests.support.standstill import took
from tests.write.doubles import DEADLINE, eventually, numbers, row, rows


class Starter:
    """What a mailbox calls to start its writer; fails so many times first."""

    def __init__(self, failures: int = 0) -> None:
        self.calls = 0
        self.failures = failures

    def __call__(self) -> bool:
        self.calls += 1
        return self.calls > self.failures


def make(
    *,
    capacity: int = 100,
    wake_at: int = 10,
    overflow: str = DROP_NEWEST,
    block_timeout: float = 0.0,
    start: Any = None,
) -> Mailbox:
    return Mailbox(
        capacity=capacity,
        wake_at=wake_at,
        overflow=overflow,
        block_timeout=block_timeout,
        start=start or Starter(),
    )


def taken(mailbox: Mailbox, most: int = 1_000_000) -> list[int]:
    return numbers([item for item in mailbox.take(most) if isinstance(item, Row)])


def sleeping(mailbox: Mailbox, timeout: float = DEADLINE) -> threading.Thread:
    """Return a thread that sleeps as the writer does."""
    thread = threading.Thread(target=mailbox.wait_for_first, args=(timeout,))
    thread.start()
    eventually(lambda: mailbox._asleep, "falling asleep")
    return thread


# -- order and bound ----------------------------------------------------------


def test_what_came_first_is_taken_first() -> None:
    mailbox = make()
    assert all(mailbox.put(item) for item in rows(20))
    assert taken(mailbox, 7) == [*range(7)]
    assert mailbox.put(row(20))
    assert taken(mailbox) == [*range(7, 21)]
    assert taken(mailbox) == []


def test_the_position_says_how_many_left_and_how_many_wait() -> None:
    mailbox = make()
    for item in rows(5):
        mailbox.put(item)
    mailbox.take(2)
    assert mailbox.position() == (2, 3)


def test_a_full_mailbox_drops_the_newest_and_counts_it() -> None:
    mailbox = make(capacity=3)
    assert [mailbox.put(item) for item in rows(5)] == [True, True, True, False, False]
    assert mailbox.dropped.values() == {"overflow": 2}
    assert taken(mailbox) == [0, 1, 2]


def test_a_full_mailbox_drops_the_oldest_and_counts_it() -> None:
    mailbox = make(capacity=3, overflow=DROP_OLDEST)
    assert all(mailbox.put(item) for item in rows(5))
    assert mailbox.evicted.value == 2
    assert mailbox.dropped.values() == {}
    assert taken(mailbox) == [2, 3, 4]


def test_the_writer_may_take_the_oldest_before_it_is_evicted() -> None:
    class Emptied(deque[Any]):
        def popleft(self) -> Any:
            raise IndexError

    mailbox = make(capacity=1, overflow=DROP_OLDEST)
    mailbox.put(row(0))
    mailbox._queue = Emptied(mailbox._queue)
    assert mailbox.put(row(1)) is True
    assert mailbox.evicted.value == 0


def test_a_caller_that_blocks_goes_on_when_there_is_room() -> None:
    mailbox = make(capacity=2, overflow=BLOCK, block_timeout=DEADLINE)
    for item in rows(2):
        mailbox.put(item)
    kept: list[bool] = []
    caller = threading.Thread(target=lambda: kept.append(mailbox.put(row(2))))
    caller.start()
    assert mailbox.wait(DEADLINE), "a blocked caller wakes the writer"
    assert taken(mailbox, 1) == [0]
    caller.join()
    assert kept == [True]
    assert taken(mailbox) == [1, 2]
    assert mailbox.dropped.values() == {}


def test_a_caller_blocks_no_longer_than_it_may_and_the_record_is_counted() -> None:
    mailbox = make(capacity=1, overflow=BLOCK, block_timeout=0.05)
    mailbox.put(row(0))
    started = time.monotonic()
    assert mailbox.put(row(1)) is False
    assert 0.05 <= time.monotonic() - started < DEADLINE / 2
    assert mailbox.dropped.values() == {"overflow": 1}


def test_nothing_blocks_in_an_event_loop() -> None:
    mailbox = make(capacity=1, overflow=BLOCK, block_timeout=600.0)
    mailbox.put(row(0))

    async def record() -> bool:
        return mailbox.put(row(1))

    assert asyncio.run(record()) is False
    assert mailbox.dropped.values() == {"overflow": 1}


def test_a_thread_beside_an_event_loop_may_block() -> None:
    mailbox = make(capacity=1, overflow=BLOCK, block_timeout=DEADLINE)
    mailbox.put(row(0))

    async def record() -> bool:
        blocked = asyncio.create_task(asyncio.to_thread(mailbox.put, row(1)))
        await asyncio.to_thread(mailbox.wait, DEADLINE)
        mailbox.take(1)
        return await blocked

    assert asyncio.run(record()) is True


def test_a_blocked_caller_gives_up_when_the_mailbox_closes() -> None:
    mailbox = make(capacity=1, overflow=BLOCK, block_timeout=600.0)
    mailbox.put(row(0))
    kept: list[bool] = []
    caller = threading.Thread(target=lambda: kept.append(mailbox.put(row(1))))
    caller.start()
    assert mailbox.wait(DEADLINE)
    mailbox.close()
    caller.join(DEADLINE)
    assert kept == [False]
    assert taken(mailbox) == [0]


def test_the_bound_is_exceeded_by_no_more_than_the_threads_that_append(busy_threads: None) -> None:
    mailbox = make(capacity=500)
    barrier = threading.Barrier(8)
    kept = [0] * 8

    def record(number: int) -> None:
        barrier.wait()
        kept[number] = sum(mailbox.put(row(number)) for _ in range(1000))

    threads = [threading.Thread(target=record, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 500 <= sum(kept) <= 508
    assert mailbox.position() == (0, sum(kept))
    assert mailbox.dropped.values() == {"overflow": 8000 - sum(kept)}


def test_every_record_is_taken_or_evicted_while_threads_race(busy_threads: None) -> None:
    mailbox = make(capacity=50, overflow=DROP_OLDEST)
    running = threading.Event()
    seen: list[int] = []

    def record(first: int) -> None:
        for item in rows(3000, first):
            assert mailbox.put(item)

    def write() -> None:
        while not running.is_set():
            seen.extend(taken(mailbox, 7))

    writer = threading.Thread(target=write)
    callers = [threading.Thread(target=record, args=(n * 3000,)) for n in range(4)]
    for thread in (writer, *callers):
        thread.start()
    for thread in callers:
        thread.join()
    running.set()
    writer.join()
    seen += taken(mailbox)
    assert len(set(seen)) == len(seen) == mailbox.position()[0]
    assert len(seen) + mailbox.evicted.value == 12_000


# -- ringing ------------------------------------------------------------------


def test_a_record_wakes_a_sleeping_writer() -> None:
    mailbox = make()
    mailbox.put(row(0))
    mailbox.take(1)
    mailbox.wait(0)
    writer = sleeping(mailbox)
    mailbox.put(row(1))
    writer.join(DEADLINE)
    assert not writer.is_alive()


def test_the_writer_does_not_sleep_while_a_record_waits() -> None:
    mailbox = make()
    mailbox.put(row(0))
    mailbox.wait(0)
    mailbox.wait_for_first()


def test_an_awake_writer_is_left_alone_until_a_batch_waits() -> None:
    mailbox = make(wake_at=4)
    mailbox.put(row(0))
    mailbox.wait_for_first()
    rung = []
    for item in rows(6, 1):
        mailbox.put(item)
        rung.append(mailbox.wait(0))
    assert rung == [False, False, False, True, True, True]


def test_the_rings_of_a_record_that_was_seen_are_not_heard_twice() -> None:
    mailbox = make()
    mailbox.put(row(0))
    mailbox.ring()
    mailbox.wait_for_first()
    assert mailbox.wait(0) is False


def test_a_sleeping_writer_wakes_after_a_while_if_it_wants_to() -> None:
    make().wait_for_first(0.001)


def test_no_wake_up_is_lost_however_threads_meet(busy_threads: None) -> None:
    """The writer would sleep for ever over a record that nobody rang for."""
    mailbox = make(capacity=10_000, wake_at=10_000)
    seen: list[int] = []

    def write() -> None:
        while len(seen) < 8_000 and time.monotonic() < started + DEADLINE:
            mailbox.wait_for_first(DEADLINE)
            seen.extend(taken(mailbox, 3))

    def record(first: int) -> None:
        for item in rows(2000, first):
            mailbox.put(item)

    threads = [threading.Thread(target=record, args=(n * 2000,)) for n in range(4)]
    writer = threading.Thread(target=write)
    started = time.monotonic()
    for thread in (writer, *threads):
        thread.start()
    for thread in (*threads, writer):
        thread.join(DEADLINE)
    assert sorted(seen) == [*range(8_000)]
    assert took(started) < DEADLINE


# -- the writer's start -------------------------------------------------------


def test_the_first_record_starts_the_writer_once() -> None:
    start = Starter()
    mailbox = make(start=start)
    assert start.calls == 0
    for item in rows(3):
        mailbox.put(item)
    assert start.calls == 1


def test_a_rejection_starts_the_writer_to_be_reported() -> None:
    start = Starter()
    mailbox = make(start=start)
    mailbox.reject("verb")
    assert start.calls == 1
    assert mailbox.rejected.values() == {"verb": 1}
    assert mailbox.wait(0) is True


def test_where_the_writer_can_t_start_the_record_waits_and_the_next_one_tries_again() -> None:
    start = Starter(failures=2)
    mailbox = make(start=start)
    assert all(mailbox.put(item) for item in rows(5))
    assert start.calls == 3
    assert taken(mailbox) == [*range(5)]


def test_callers_that_come_while_the_writer_starts_don_t_start_another() -> None:
    entered, go_on, calls = threading.Event(), threading.Event(), []

    def start() -> bool:
        calls.append(1)
        entered.set()
        return go_on.wait(DEADLINE)

    mailbox = make(start=start)
    first = threading.Thread(target=mailbox.put, args=(row(0),))
    first.start()
    assert entered.wait(DEADLINE)
    assert mailbox.put(row(1)) is True
    go_on.set()
    first.join()
    assert mailbox.put(row(2)) is True
    assert len(calls) == 1
    assert sorted(taken(mailbox)) == [0, 1, 2]


def test_a_record_within_the_start_of_the_writer_is_kept() -> None:
    """As a signal handler's is, that comes while its own thread starts the writer."""
    kept: list[bool] = []

    def start() -> bool:
        kept.append(mailbox.put(row(1)))
        return True

    mailbox = make(start=start)
    assert mailbox.put(row(0)) is True
    assert kept == [True]
    assert taken(mailbox) == [1, 0]


def test_a_start_that_is_interrupted_is_made_up_for() -> None:
    calls: list[int] = []

    def start() -> bool:
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return True

    mailbox = make(start=start)
    with pytest.raises(KeyboardInterrupt):
        mailbox.put(row(0))
    assert mailbox.put(row(1)) is True
    assert taken(mailbox) == [1]
    assert len(calls) == 2


# -- the writer's own records, and the end ------------------------------------


def test_the_writer_s_own_records_are_refused_and_counted() -> None:
    mailbox = make()
    mailbox.put(row(0))
    with mailbox.as_writer():
        assert mailbox.is_writer()
        assert mailbox.put(row(1)) is False
    assert mailbox.rejected.values() == {"recursion": 1}
    assert mailbox.put(row(2)) is True
    assert taken(mailbox) == [0, 2]


def test_the_writer_s_own_records_never_block() -> None:
    mailbox = make(capacity=1, overflow=BLOCK, block_timeout=600.0)
    mailbox.put(row(0))
    with mailbox.as_writer():
        assert mailbox.put(row(1)) is False
    assert mailbox.rejected.values() == {"recursion": 1}


def test_records_of_other_threads_are_not_the_writer_s() -> None:
    mailbox = make()
    kept: list[bool] = []
    caller = threading.Thread(target=lambda: kept.append(mailbox.put(row(0))))
    with mailbox.as_writer():
        caller.start()
        caller.join()
    assert kept == [True]


def test_a_closed_mailbox_refuses_records_and_keeps_those_it_has() -> None:
    mailbox = make()
    mailbox.put(row(0))
    mailbox.close()
    assert mailbox.closed
    assert mailbox.put(row(1)) is False
    assert mailbox.rejected.values() == {"closed": 1}
    assert taken(mailbox) == [0]


def test_a_mailbox_that_is_closed_before_its_first_record_starts_no_writer() -> None:
    start = Starter()
    mailbox = make(start=start)
    mailbox.close()
    assert mailbox.put(row(0)) is False
    assert mailbox.rejected.values() == {"closed": 1}
    assert start.calls == 0


def test_closing_wakes_a_sleeping_writer() -> None:
    mailbox = make()
    writer = sleeping(mailbox)
    mailbox.close()
    writer.join(DEADLINE)
    assert not writer.is_alive()


class Interleaved(deque[Any]):
    """Does something else at the very moment in which a record is appended."""

    before: Any = staticmethod(lambda: None)
    after: Any = staticmethod(lambda: None)

    def append(self, item: Any) -> None:
        self.before()
        super().append(item)
        self.after()


def interleaved(mailbox: Mailbox) -> Interleaved:
    mailbox.put(row(0))
    mailbox.take(1)
    mailbox._queue = queue = Interleaved()
    return queue


def test_a_record_that_came_while_the_mailbox_closed_is_taken_back() -> None:
    """Nobody would write it: its caller saw an open mailbox, but the writer is gone by now."""
    mailbox = make()
    interleaved(mailbox).before = mailbox.close
    assert mailbox.put(row(1)) is False
    assert mailbox.rejected.values() == {"closed": 1}
    assert mailbox.position() == (1, 0)


def test_a_record_that_the_writer_took_while_the_mailbox_closed_is_kept() -> None:
    mailbox = make()
    queue = interleaved(mailbox)
    seen: list[int] = []

    def close_and_take() -> None:
        mailbox.close()
        seen.extend(taken(mailbox))

    queue.after = close_and_take
    assert mailbox.put(row(1)) is True
    assert seen == [1]
    assert mailbox.rejected.values() == {}


def test_only_the_late_record_is_taken_back() -> None:
    mailbox = make()
    queue = interleaved(mailbox)
    mailbox.put(row(1))
    queue.before = mailbox.close
    assert mailbox.put(row(2)) is False
    assert taken(mailbox) == [1]


def test_a_mailbox_that_closes_while_its_writer_starts_stays_closed() -> None:
    def start() -> bool:
        mailbox.close()
        return True

    mailbox = make(start=start)
    assert mailbox.put(row(0)) is False
    assert mailbox.put(row(1)) is False
    assert mailbox.closed
    assert mailbox.rejected.values() == {"closed": 2}
    assert taken(mailbox) == []


class Caller(threading.Thread):
    """Records until it is told to stop; each counts its own."""

    def __init__(self, mailbox: Mailbox) -> None:
        super().__init__()
        self.mailbox = mailbox
        self.halt = threading.Event()
        self.submitted = 0
        self.kept = 0

    def run(self) -> None:
        while not self.halt.is_set():
            self.submitted += 1
            self.kept += self.mailbox.put(row(self.submitted))


@pytest.mark.parametrize("turn", range(20))
@pytest.mark.parametrize("overflow", [DROP_NEWEST, DROP_OLDEST, BLOCK])
def test_closing_among_busy_callers_leaves_no_record_behind(
    overflow: str, turn: int, busy_threads: None
) -> None:
    """What `put` kept is taken by whoever takes until nothing is left after the close."""
    mailbox = make(capacity=30, overflow=overflow, block_timeout=0.001)
    callers = [Caller(mailbox) for _ in range(4)]
    for caller in callers:
        caller.start()
    for _ in range(20):
        mailbox.take(5)
    mailbox.close()
    while mailbox.take(5):
        pass
    for caller in callers:
        caller.halt.set()
        caller.join()
    left, waiting = mailbox.position()
    kept = sum(caller.kept for caller in callers)
    assert waiting == 0
    assert kept == left + mailbox.evicted.value
    lost = sum(mailbox.dropped.values().values()) + sum(mailbox.rejected.values().values())
    assert sum(caller.submitted for caller in callers) == kept + lost


def test_a_reset_mailbox_is_open_and_empty() -> None:
    start = Starter()
    mailbox = make(capacity=2, overflow=DROP_OLDEST, start=start)
    for item in rows(3):
        mailbox.put(item)
    mailbox.take(1)
    with mailbox.as_writer():
        mailbox.close()
        mailbox.reset()
        assert (mailbox.position(), mailbox.evicted.value) == ((0, 0), 0)
        assert (mailbox.closed, mailbox.is_writer()) == (False, False)
    assert mailbox.put(row(9)) is True
    assert start.calls == 2
    assert taken(mailbox) == [9]
