"""
Whole programs in odd circumstances: nothing of theirs is lost, and nothing comes back to them.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import socket
import sys
import time
import tracemalloc

from pathlib import Path

import pytest

from structlog_activity import ActivityLog
from structlog_activity.store.faults import Fault
from structlog_activity.write.buffer import BufferedRepository
from tests.support.standstill import took
from tests.write.conftest import MakeBuffer
from tests.write.doubles import (
    DEADLINE,
    Answers,
    Poison,
    Repository,
    assert_invariant,
    down,
    eventually,
    row,
    rows,
)
from tests.write.scripts import Programs, assert_quiet


def test_what_a_sigterm_leaves_that_nobody_handles_is_stored_by_the_next(
    tmp_path: Path,
) -> None:
    programs = Programs(tmp_path, durability="wal")
    programs.migrate()
    with programs.locked():
        done = programs.run(
            """
            for n in range(500): record(n)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
            """
        )
    assert (done.returncode, done.stderr) == (-signal.SIGTERM, "")
    counts = programs.recover()
    assert (counts["recovered"], counts["written"]) == (500, 500)
    assert programs.stored == [*range(500)]


def test_a_postgresql_that_lets_everybody_in_and_answers_nobody_delays_no_end(
    programs: Programs,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        where = f"127.0.0.1:{server.getsockname()[1]}"
        started = time.monotonic()
        done = programs.run(
            f"""
            activity = ActivityLog("postgresql://a:hunter2@{where}/b", close_timeout=0.3)
            for n in range(7): record(n, activity)
            sys.exit(4)
            """
        )
        seconds = took(started)
    assert done.returncode == 4
    assert re.fullmatch(
        r"structlog_activity: 7 records were not written in time and are lost: .*\n", done.stderr
    )
    assert "hunter2" not in done.stderr
    assert seconds < 8  # Without an end of ours: as long as connecting may take, which is ten.


def test_what_drivers_say_at_debug_is_never_recorded(both: Programs) -> None:
    """With our handler on the root logger, and an engine of the host's that echoes."""
    done = both.run(
        """
        import logging
        from sqlalchemy import create_engine, text
        from sqlalchemy.orm import Session

        logging.getLogger().setLevel(logging.DEBUG)
        logging.getLogger().addHandler(activity.handler)
        for name in ("sqlalchemy", "sqlalchemy.engine", "sqlalchemy.pool", "psycopg"):
            logging.getLogger(name).setLevel(logging.DEBUG)
        sys.stdout = open(os.devnull, "w")
        engine = create_engine(os.environ["URL"], echo="debug")
        with Session(engine) as session:
            for n in range(50):
                logging.info("done", extra={"verb": "a.b", "object": ("t", n), "session": session})
            session.commit()
        engine.dispose()
        for n in range(50, 100):
            logging.info("done", extra={"verb": "a.b", "object": ("theme", n)})
        activity.flush()
        activity.feed(tenant_id="t")
        logging.getLogger("sqlalchemy.engine").info("x", extra={"verb": "a.b", "object": "c:1"})
        activity.flush()
        print(activity.counters()["submitted"], file=sys.__stdout__)
        """
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "100"
    assert both.stored == [*range(100)]


def test_a_dead_letter_that_finds_no_place_is_counted_and_costs_no_other(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    folder.mkdir(0o700)
    (folder / "dead").write_text("no folder")
    repository = Repository(Poison(Fault.DATA, 3, tells=True))
    buffer = BufferedRepository(repository, durability="wal", spool_dir=folder, linger=0.0)
    assert all(buffer.put(item) for item in rows(10))
    assert buffer.flush(DEADLINE) is False
    counts = buffer.counters()
    assert (counts["written"], counts["dropped.dead_letters"], counts["dead"]) == (9, 1, 0)
    assert buffer.put(row(10))
    assert buffer.flush(DEADLINE) is True
    assert buffer.close(DEADLINE) is True
    assert sorted(repository.numbers) == [n for n in range(11) if n != 3]


def test_one_bad_row_among_those_of_many_tenants_costs_no_other_tenant(
    make_buffer: MakeBuffer,
) -> None:
    repository = Repository(Poison(Fault.DATA, 42))
    buffer = make_buffer(repository)
    for number in range(100):
        buffer.put(row(number, who=number.to_bytes(16, "big")))
    buffer.flush(DEADLINE)
    assert sorted(repository.numbers) == [n for n in range(100) if n != 42]
    assert buffer.counters()["dead"] == 1


def test_a_storm_of_records_while_the_database_is_away_takes_no_more_memory(
    make_buffer: MakeBuffer,
) -> None:
    repository = Repository(Answers(*[down()] * 1000))
    buffer = make_buffer(repository, max_records=1000)
    some = rows(100)
    eventually(lambda: buffer.put(some[0]) and buffer.counters()["in_flight"] > 0)
    for _ in range(20):
        for item in some:
            buffer.put(item)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(1000):
            for item in some:
                buffer.put(item)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 1 << 20
    counts = buffer.counters()
    assert counts["submitted"] == counts["accepted"] >= 102_000
    assert_invariant(counts)
    assert counts["dropped"] >= 100_000
    repository.answer = lambda batch: None


def test_where_no_file_can_be_opened_any_more_records_wait_until_one_can(
    programs: Programs,
) -> None:
    programs.migrate()
    done = programs.run(
        """
        import resource
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        record(0)
        activity.flush()
        activity.close()
        other = ActivityLog(os.environ["URL"], linger=0)
        free = max(map(int, os.listdir("/proc/self/fd"))) + 1
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        for n in range(1, 100): record(n, other)
        print(other.flush(0.3))
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        print(other.flush(30), other.counters()["written"], other.counters()["dropped"])
        """
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "False\nTrue 99 0\n"
    assert programs.stored == [*range(100)]


# -- coroutines ---------------------------------------------------------------


def test_a_close_that_waits_for_the_database_keeps_no_coroutine_waiting(
    programs: Programs,
) -> None:
    programs.migrate()
    activity = ActivityLog(programs.url, linger=0.0)
    turns = 0

    async def serve() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def main() -> None:
        serving = asyncio.create_task(serve())
        activity.record("a.b", ("t", 1))
        assert await activity.aclose(0.5) is False
        serving.cancel()

    with programs.locked():
        asyncio.run(main())
    assert turns > 100
    assert activity.counters()["dropped.shutdown"] == 1


def test_a_call_whose_coroutine_is_cancelled_is_recorded_once_or_not_at_all(
    programs: Programs,
) -> None:
    done = programs.run(
        """
        import asyncio, structlog
        structlog.configure(
            processors=[activity.processor, structlog.processors.JSONRenderer()],
            logger_factory=structlog.ReturnLoggerFactory(),
        )
        log = structlog.get_logger()

        async def call(number):
            await log.ainfo("done", verb="a.b", object=("t", number))

        async def main():
            finished = 0
            for number in range(200):
                task = asyncio.create_task(call(number))
                await asyncio.sleep(0)
                task.cancel()
                try:
                    await task
                    finished += 1
                except asyncio.CancelledError:
                    pass
            return finished

        asyncio.base_events.logger.disabled = True  # In development mode it tells of slow turns.
        finished = asyncio.run(main())
        activity.flush()
        counts = activity.counters()
        print(counts["submitted"] == counts["written"] >= finished)
        """
    )
    assert_quiet(done)
    assert done.stdout == "True\n"
    assert len(set(programs.stored)) == len(programs.stored) <= 200


# -- what the kernel sees -----------------------------------------------------

_CALLS = """
def turns():
    own = str(threading.get_native_id())
    others = [pathlib.Path("/proc/self/task", task) for task in os.listdir("/proc/self/task")
              if task != own]
    return [re.findall("switches:.*", (task / "status").read_text()) for task in others]

activity = ActivityLog(os.environ["URL"], linger=3600, batch_size=100_000)
for n in range(100): record(n, activity)
# The writer sleeps until so many wait, or for an hour: from then on no other thread has a turn.
before, now = None, turns()
while now != before:
    time.sleep(0.05)
    before, now = now, turns()
sys.setswitchinterval(1000)
os.write(9, b"begin")
for n in range(1000): record(n, activity)
os.write(9, b"end")
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("durability", ["memory", "wal"])
def test_a_thousand_records_make_no_system_call(tmp_path: Path, durability: str) -> None:
    programs = Programs(tmp_path, durability=durability)
    programs.migrate()
    traced = tmp_path / "trace"
    done = programs.run(
        f"""
        import pathlib, re, subprocess
        os.dup2(os.open(os.devnull, os.O_WRONLY), 9)
        tracer = subprocess.Popen(
            ["strace", "-p", str(os.getpid()), "-o", {str(traced)!r}],
            stderr=subprocess.PIPE,
        )
        said = tracer.stderr.readline()
        if b"attached" not in said:
            print("no strace:", said.decode())
            tracer.wait()
            sys.exit()
        exec({_CALLS!r})
        tracer.terminate()
        tracer.communicate()
        """
    )
    assert done.returncode == 0, done.stderr
    if "no strace" in done.stdout:
        pytest.skip(done.stdout)
    lines = traced.read_text().splitlines()
    begin = next(i for i, line in enumerate(lines) if '"begin"' in line)
    end = next(i for i, line in enumerate(lines) if '"end"' in line)
    # Python's memory grows now and then: that is no call of ours.
    between = [re.sub(r"\(.*", "", line) for line in lines[begin + 1 : end]]
    assert set(between) <= {"mmap", "munmap", "brk", "madvise"}, lines[begin + 1 : end][:10]
    assert len(between) < 20


# -- the interpreter shared ---------------------------------------------------

_LATENCY = """

def burn():
    while not halt.is_set(): sum(range(500))

halt = threading.Event()
record(0)
activity.flush()
threads = [threading.Thread(target=burn, daemon=True) for _ in range(3)]
for thread in threads: thread.start()

def p99(act):
    times = []
    for n in range(100):
        time.sleep(0.001)
        started = time.perf_counter()
        act(n)
        times.append(time.perf_counter() - started)
    return sorted(times)[98] * 1000

best = 1e9
end = time.monotonic() + 15
while best >= 2 and time.monotonic() < end: best = min(best, p99(record))
halt.set()
print(best, 0 if best < 2 else p99(lambda n: sum(range(1000))))
"""


@pytest.mark.parametrize("durability", [pytest.param("memory", marks=pytest.mark.soak), "wal"])
def test_the_p99_of_a_record_beside_threads_that_compute_is_below_two_ms(
    tmp_path: Path, durability: str
) -> None:
    """
    Each call follows a short wait, as in a request handler: it has the interpreter anew.

    A call that lets go of the interpreter gets it back after five milliseconds for each of
    the threads. The p99 of 100 calls, the second slowest, is held to the bound, in the best
    window of 15 seconds: on a busy machine the system, too, takes the processor away. Where
    even some arithmetic, alone, takes longer, nothing can be measured.
    """
    programs = Programs(tmp_path, durability=durability)
    programs.migrate()
    done = programs.run(_LATENCY)
    assert done.returncode == 0, done.stderr
    best, arithmetic = map(float, done.stdout.split())
    if best >= 2.0 and arithmetic >= 1.0:
        pytest.skip(f"the machine is too busy: arithmetic takes {arithmetic:.1f} ms")
    assert best < 2.0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_closed_log_leaves_no_file_and_no_thread(programs: Programs) -> None:
    done = programs.run(
        """
        before = set(os.listdir("/proc/self/fd"))
        for _ in range(3):
            with ActivityLog(os.environ["URL"], spool_dir="spool", durability="wal") as other:
                record(1, other)
                other.flush()
                other.feed(tenant_id="t")
            other.engine.dispose()
        print(set(os.listdir("/proc/self/fd")) - before, threading.active_count())
        """
    )
    assert_quiet(done)
    assert done.stdout == "set() 1\n"
