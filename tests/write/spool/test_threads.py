"""
Threads, signal handlers and finalizers append all at once.
"""

from __future__ import annotations

import gc
import itertools
import sys
import threading

from collections.abc import Callable
from functools import partial

import pytest

from structlog_activity.write.spool.disk import Disk
from structlog_activity.write.spool.group_commit import GroupCommit
from structlog_activity.write.spool.spool import Spool
from tests.write.doubles import DEADLINE, eventually, interrupted, numbers, row, rows, run_all
from tests.write.spool.spools import SMALL, CountingDisk, MakeSpool, assert_exact, drain


EACH = 1_500


def append_all(spool: Spool, start: int) -> None:
    for number in range(start, start + EACH):
        assert spool.append(row(number))


@pytest.mark.parametrize("synced", [False, True])
def test_eight_threads_lose_nothing_while_the_writer_reads(
    make_spool: MakeSpool, busy_threads: None, synced: bool
) -> None:
    spool = make_spool(segment_bytes=4 * SMALL, synced=synced, disk=CountingDisk())
    done, found = threading.Event(), list[int]()

    def read() -> None:
        while not done.is_set():
            spool.prepare()
            found.extend(drain(spool, 50))
            spool.counts()

    reader = threading.Thread(target=read)
    reader.start()
    run_all(*[partial(append_all, spool, start * EACH) for start in range(8)])
    done.set()
    reader.join()
    found += drain(spool)
    assert sorted(found) == [*range(8 * EACH)]
    for start in range(0, 8 * EACH, EACH):
        own = [number for number in found if start <= number < start + EACH]
        # A thread's rows keep their order.
        assert own == sorted(own)
    counts = spool.counts()
    assert counts.appended == counts.settled == 8 * EACH
    assert_exact(counts)


def test_threads_that_find_no_segment_make_one_together(
    make_spool: MakeSpool, busy_threads: None
) -> None:
    spool = make_spool(segment_bytes=1 << 20, max_bytes=1 << 24)
    run_all(*[partial(spool.append, row(number)) for number in range(16)])
    assert len(spool._segments) == 1
    assert sorted(drain(spool)) == [*range(16)]


def test_a_signal_handler_may_append_on_top_of_everything(make_spool: MakeSpool) -> None:
    spool = make_spool()
    handled = itertools.count(1_000_000)
    kept: list[int] = []
    own, found = 0, list[int]()

    def handle() -> None:
        number = next(handled)
        # Refused on top of two handlers that are making segments, and no row is half there.
        if spool.append(row(number)):
            kept.append(number)

    with interrupted(handle) as calls:
        while len(calls) < 150:
            assert spool.append(row(own))
            own += 1
            if own % 100 == 0:
                spool.prepare()
                found += drain(spool)
    found += drain(spool)
    assert sorted(found) == [*range(own), *sorted(kept)]
    assert len(kept) > len(calls) / 2
    assert_exact(spool.counts())


class Nesting(Disk):
    """A disk on top of whose *call* a signal handler, as it were, does something, once."""

    def __init__(self, call: str, nested: Callable[[], object]) -> None:
        self.nested: Callable[[], object] | None = nested
        ordinary = getattr(super(), call)

        def interrupted_call(*args: object) -> object:
            out = ordinary(*args)
            nested, self.nested = self.nested, None
            if nested is not None:
                nested()
            return out

        setattr(self, call, interrupted_call)


STEPS = ["make_folder", "listing", "create", "lock", "allocate", "write", "map", "rename", "sync"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("begin", ["append", "prepare"])
def test_a_row_appended_while_its_own_thread_makes_a_segment_is_kept(
    make_spool: MakeSpool, step: str, begin: str
) -> None:
    appended: list[bool] = []
    spool = make_spool(
        disk=Nesting(step, lambda: appended.append(spool.append(row(1)))), synced=True
    )
    if begin == "prepare":
        spool.prepare()
    assert spool.append(row(2))
    assert spool.append(row(3))
    assert appended == [True]
    assert sorted(drain(spool)) == [1, 2, 3]
    assert_exact(spool.counts())
    assert len(spool._segments) == 1  # Also the one that got in between is done with.


@pytest.mark.parametrize("step", STEPS)
def test_a_spool_closed_while_its_own_thread_makes_a_segment_leaves_nothing_open(
    make_spool: MakeSpool, step: str
) -> None:
    spool = make_spool(disk=Nesting(step, lambda: spool.close()), synced=True)
    kept = spool.append(row(1))
    assert not spool.append(row(2))
    assert not spool._line.held
    assert drain(make_spool()) == ([1] if kept else [])


def test_a_spool_closed_on_top_of_a_sync_has_the_row_on_the_disk_all_the_same(
    make_spool: MakeSpool,
) -> None:
    class Closing(Disk):
        armed = False
        synced = 0

        def sync(self, fd: int) -> None:
            if self.armed:
                self.armed = False
                spool.close()
            super().sync(fd)
            self.synced += 1

    disk = Closing()
    spool = make_spool(disk=disk, synced=True)
    spool.prepare()
    disk.armed, disk.synced = True, 0
    spool._line.segments.append(spool._line._spares.popleft())
    assert spool.append(row(1))
    assert disk.synced == 1
    assert drain(make_spool()) == [1]


def test_a_finalizer_may_append_at_any_allocation(make_spool: MakeSpool) -> None:
    spool = make_spool()
    finalized = itertools.count(1_000_000)

    class Cycle:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            assert spool.append(row(next(finalized)))

    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for number in range(300):
            Cycle()
            assert spool.append(row(number))
    finally:
        gc.set_threshold(*before)
    gc.collect()
    assert sorted(drain(spool)) == [*range(300), *range(1_000_000, next(finalized))]


def test_rows_are_evicted_while_others_are_read(make_spool: MakeSpool, busy_threads: None) -> None:
    spool = make_spool(max_bytes=6 * SMALL)
    found: list[int] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            spool.prepare()
            found.extend(drain(spool))

    def append() -> None:
        for number in range(3_000):
            while not spool.append(row(number)):
                spool.evict()

    reader = threading.Thread(target=read)
    reader.start()
    append()
    done.set()
    reader.join()
    found += drain(spool)
    counts = spool.counts()
    assert len(found) == len(set(found))
    assert len(found) + counts.evicted == 3_000
    assert_exact(counts)


# -- group commit -------------------------------------------------------------


def test_one_sync_does_for_all_who_wait(busy_threads: None) -> None:
    """The first leads alone; those who came meanwhile need one more sync among them."""
    entered, release = threading.Event(), threading.Event()
    syncs = itertools.count()

    def sync() -> None:
        next(syncs)
        entered.set()
        assert release.wait(DEADLINE)

    commit = GroupCommit(sync)
    draw, drawn = commit._ticket, list[int]()

    def draw_and_note() -> int:
        drawn.append(draw())
        return drawn[-1]

    commit._ticket = draw_and_note

    leader = threading.Thread(target=commit.wait)
    leader.start()
    assert entered.wait(DEADLINE)
    followers = [threading.Thread(target=commit.wait) for _ in range(10)]
    for thread in followers:
        thread.start()
    eventually(lambda: len(drawn) == 12, "the wait of all")  # The leader draws two.
    release.set()
    for thread in (leader, *followers):
        thread.join()
    assert next(syncs) == 2


def test_a_nested_wait_on_top_of_the_leader_syncs_once_more() -> None:
    syncs: list[bool] = []

    def sync() -> None:
        syncs.append(True)
        if len(syncs) == 1:
            assert commit.wait()

    commit = GroupCommit(sync)
    assert commit.wait()
    assert len(syncs) == 2


def test_after_a_failure_nothing_is_confirmed_any_more() -> None:
    answers: list[OSError | None] = [None, OSError("lost"), None]

    def sync() -> None:
        answer = answers.pop(0)
        if answer:
            raise answer

    commit = GroupCommit(sync)
    assert commit.wait()
    assert not commit.wait()
    assert not commit.wait()
    assert len(answers) == 1
    commit.finish()
    assert not commit.wait()


def test_who_waits_for_a_segment_that_is_settled_waits_no_more(make_spool: MakeSpool) -> None:
    spool = make_spool(synced=True, disk=CountingDisk())
    spool.append(row(0))
    segment = spool._segments[-1]
    for item in rows(60, 1):
        spool.append(item)
    drain(spool)
    assert not segment.is_open
    assert segment.commit.wait()


def test_what_is_safe_otherwise_needs_no_sync() -> None:
    commit = GroupCommit(lambda: pytest.fail("synced"))
    commit.finish()
    assert commit.wait()


def test_the_interpreter_is_not_let_go_of_while_a_frame_is_written(
    make_spool: MakeSpool, busy_threads: None
) -> None:
    """Rows of a hundred pages, side by side: a torn one would be damage."""
    spool = make_spool(segment_bytes=1 << 22, max_bytes=1 << 25)
    large = [row(number, data='"' + "x" * 50_000 + '"') for number in range(64)]
    run_all(*[partial(list, map(spool.append, large[start::8])) for start in range(8)])
    assert sorted(drain(spool)) == [*range(64)]
    assert spool.counts().damaged == 0
    assert sys.getswitchinterval() < 1e-4
    assert numbers(rows(1)) == [0]
