"""
A forked child starts with nothing of its parent's, and nothing is lost or doubled.
"""

from __future__ import annotations

import threading
import time

import pytest

from structlog_activity.store.faults import Fault, StoreError
from tests.support.standstill import took
from tests.write.conftest import MakeBuffer
from tests.write.doubles import DEADLINE, Gate, Repository, eventually, row, writers
from tests.write.scripts import Programs, assert_quiet


_FORK = """
def in_child(work):
    pid = os.fork()
    if pid == 0:
        signal.alarm(30)
        code = 1
        try:
            work()
            code = 0
        finally:
            sys.stdout.flush()
            os._exit(code)
    return pid

def ended(*pids):
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
"""


def test_a_child_starts_empty_and_its_flush_stores_its_own(both: Programs) -> None:
    done = both.run(
        """
        activity = ActivityLog(os.environ["URL"], linger=3600)
        for n in range(300): record(n, activity)

        def work():
            print("child", sum(activity.counters().values()))
            for n in range(1000, 1100): record(n, activity)
            print("child", activity.flush(20), activity.counters()["written"])

        print("child ended", ended(in_child(work)))
        for n in range(300, 400): record(n, activity)
        print("parent", activity.flush(20), activity.counters()["written"])
        """,
        before=_FORK,
    )
    assert_quiet(done)
    assert done.stdout.splitlines() == [
        "child 0",
        "child True 100",
        "child ended [0]",
        "parent True 400",
    ]
    assert both.stored == [*range(400), *range(1000, 1100)]
    assert both.writers == 2


def test_a_child_that_ends_as_a_program_does_has_stored_its_own(both: Programs) -> None:
    done = both.run(
        """
        for n in range(1000): record(n)
        pid = os.fork()
        if pid == 0:
            for n in range(2000, 2500): record(n)
            sys.exit(5)
        for n in range(1000, 1500): record(n)
        print(ended(pid))
        """,
        before=_FORK,
    )
    assert_quiet(done)
    assert done.stdout == "[5]\n"
    assert both.stored == [*range(1500), *range(2000, 2500)]


def test_a_child_of_a_child_has_a_writer_of_its_own(both: Programs) -> None:
    done = both.run(
        """
        def grandchild():
            record(2)
            assert activity.flush(20)

        def child():
            record(1)
            pid = in_child(grandchild)
            assert activity.flush(20)
            assert ended(pid) == [0]

        record(0)
        print(ended(in_child(child)))
        """,
        before=_FORK,
    )
    assert_quiet(done)
    assert done.stdout == "[0]\n"
    assert both.stored == [0, 1, 2]
    assert both.writers == 3


def test_children_of_a_busy_parent_neither_hang_nor_lose(both: Programs) -> None:
    """The forks strike while the writer works on the database, and threads record."""
    done = both.run(
        """
        activity = ActivityLog(os.environ["URL"], linger=0, batch_size=5)
        halt = threading.Event()
        counts = [0, 0, 0]

        def busy(thread):
            while not halt.is_set():
                record(1_000_000 * (thread + 1) + counts[thread], activity)
                counts[thread] += 1
                time.sleep(0.001)

        def child(number):
            for n in range(10): record(number * 10 + n, activity)
            assert activity.flush(20)

        threads = [threading.Thread(target=busy, args=(n,)) for n in range(3)]
        for thread in threads: thread.start()
        codes = []
        for batch in range(2):
            codes += ended(*[in_child(lambda: child(batch * 3 + n)) for n in range(3)])
        halt.set()
        for thread in threads: thread.join()
        print(set(codes), activity.flush(20), *counts)
        """,
        before=_FORK,
    )
    assert_quiet(done)
    codes, flushed, *counts = done.stdout.split()
    assert (codes, flushed) == ("{0}", "True")
    own = [1_000_000 * (t + 1) + n for t, count in enumerate(counts) for n in range(int(count))]
    assert both.stored == [*range(60), *own]
    assert both.writers == 7


def test_a_parent_that_ends_first_takes_nothing_from_its_child(both: Programs) -> None:
    """SQLite would throw the log away on which a child with an inherited connection writes."""
    done = both.run(
        """
        record(0)
        assert activity.flush(20)
        assert 1 == len(activity.feed(tenant_id="t").records)  # Leaves a reader's connection open.
        reader, writer = os.pipe()

        def work():
            record(1)
            assert activity.flush(20)
            os.close(writer)
            os.read(reader, 1)
            for n in range(2, 12): record(n)
            assert activity.flush(20)

        first, second = os.pipe()
        pid = in_child(work)
        os.close(reader)
        activity.flush(20)
        assert activity.close()
        os.close(writer)
        print(ended(pid))
        """,
        before=_FORK,
    )
    assert_quiet(done)
    assert done.stdout == "[0]\n"
    assert both.stored == [*range(12)]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_child_of_multiprocessing_that_just_returns_has_stored_its_own(
    programs: Programs, method: str
) -> None:
    """It ends by `os._exit`, without `atexit`."""
    programs.migrate()
    done = programs.run(
        f"""
        import multiprocessing

        def work(first):
            for n in range(first, first + 100): record(n)

        if __name__ == "__main__":
            context = multiprocessing.get_context({method!r})
            record(0)
            children = [context.Process(target=work, args=(n * 1000,)) for n in (1, 2)]
            for child in children: child.start()
            for child in children: child.join()
            print([child.exitcode for child in children])
        """
    )
    assert_quiet(done)
    assert done.stdout == "[0, 0]\n"
    assert programs.stored == [0, *range(1000, 1100), *range(2000, 2100)]


def test_a_fork_does_not_wait_for_a_database_that_does_not_answer(programs: Programs) -> None:
    programs.migrate()
    with programs.locked():
        done = programs.run(
            """
            activity = ActivityLog(os.environ["URL"], close_timeout=0.1, linger=0)
            record(0, activity)
            while not activity.counters()["in_flight"]: time.sleep(0.001)
            started = time.monotonic()
            print(ended(in_child(lambda: None)), time.monotonic() - started < 5)
            """,
            before=_FORK,
        )
    assert done.stdout == "[0] True\n"


# -- what the hooks do --------------------------------------------------------


def test_a_fork_waits_for_one_call_only_however_much_there_is_to_write(
    make_buffer: MakeBuffer,
) -> None:
    """A writer that never comes to the end of its queue would keep the connection open."""
    calls: list[int] = []

    def answer(batch: object) -> None:
        calls.append(1)
        if len(calls) == 1:
            asked.set()
            assert resting.wait(DEADLINE)

    asked, resting = threading.Event(), threading.Event()
    repository = Repository(answer)
    buffer = make_buffer(repository, batch_size=1)
    for number in range(1000):
        buffer.put(row(number))
    assert asked.wait(DEADLINE)
    rested: list[bool] = []
    fork = threading.Thread(target=lambda: rested.append(buffer.rest(DEADLINE)))
    fork.start()
    eventually(buffer._repository._turnstile.locked)
    resting.set()
    fork.join(DEADLINE)
    assert rested == [True]
    assert len(calls) == 1
    buffer.go_on()
    assert buffer.flush(DEADLINE) is True
    assert repository.numbers == [*range(1000)]


def test_a_buffer_at_rest_lets_go_of_its_connection_and_writes_later(
    make_buffer: MakeBuffer,
) -> None:
    repository = Repository()
    buffer = make_buffer(repository)
    buffer.put(row(0))
    assert buffer.flush(DEADLINE)
    assert buffer.rest(DEADLINE) is True
    assert repository.closed == 1
    buffer.put(row(1))
    assert buffer.flush(0.05) is False
    assert repository.numbers == [0]
    buffer.go_on()
    assert buffer.flush(DEADLINE) is True
    assert repository.numbers == [0, 1]


def test_a_buffer_whose_database_hangs_is_not_waited_for(make_buffer: MakeBuffer) -> None:
    gate = Gate()
    buffer = make_buffer(gate)
    buffer.put(row(0))
    assert gate.entered.wait(DEADLINE)
    started = time.monotonic()
    assert buffer.rest(0.01) is False
    assert took(started) < DEADLINE / 2
    assert gate.closed == 0


def test_a_buffer_that_waits_for_another_try_is_at_rest_at_once(make_buffer: MakeBuffer) -> None:
    is_down = threading.Event()
    is_down.set()

    def answer(batch: object) -> None:
        if is_down.is_set():
            raise StoreError(Fault.CONFIGURATION, "no such table")

    buffer = make_buffer(Repository(answer))
    buffer.put(row(0))
    eventually(lambda: not buffer.health().ok)
    started = time.monotonic()
    assert buffer.rest(DEADLINE) is True
    assert took(started) < 0.4
    is_down.clear()
    buffer.go_on()
    assert buffer.flush(DEADLINE) is True


def test_the_writer_itself_may_fork(make_buffer: MakeBuffer) -> None:
    said: list[bool] = []
    repository = Repository(lambda batch: said.append(buffer.rest(DEADLINE)))
    buffer = make_buffer(repository)
    buffer.put(row(0))
    assert buffer.flush(DEADLINE) is True
    assert said == [False]


def test_what_starts_afresh_is_empty_and_another_writer(make_buffer: MakeBuffer) -> None:
    repository = Repository()
    buffer = make_buffer(repository)
    buffer.put(row(0))
    assert buffer.close() is True
    eventually(lambda: not writers())
    closed = repository.closed
    buffer.start_afresh()
    assert (repository.abandoned, repository.closed) == (1, closed)
    assert sum(buffer.counters().values()) == 0
    repository.rows.clear()
    buffer.put(row(1))
    assert buffer.flush(DEADLINE) is True
    assert repository.numbers == [1]
    assert len({batch.writer_id for batch in repository.tries}) == 2
