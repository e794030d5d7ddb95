"""
Real processes: killed ones leave everything, living ones share, children start anew.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import warnings

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.write.doubles import numbers, row, rows
from tests.write.scripts import ROOT
from tests.write.spool.spools import MakeSpool, Spools, assert_exact, batch, drain, open_files


PROLOGUE = """
import os, sys
from pathlib import Path
from structlog_activity.record.ids import uuid7
from structlog_activity.write.spool.spool import Spool
from tests.write.doubles import row, numbers
from tests.write.spool.spools import batch, chunks, drain
spool = Spool(sys.argv[1], writer_id=uuid7, segment_bytes=1 << 14, max_bytes=1 << 26)
"""


def command(code: str, folder: Path) -> list[str]:
    return [sys.executable, "-W", "error", "-c", PROLOGUE + code, str(folder)]


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


@contextmanager
def running(code: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        command(code, folder),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def killed(code: str, folder: Path) -> list[int]:
    """Run a program until it kills itself; return the numbers that it printed."""
    done = subprocess.run(
        command(code + "\nos.kill(os.getpid(), 9)", folder),
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRONMENT,
        timeout=60,
    )
    assert (done.stderr, done.returncode) == ("", -signal.SIGKILL)
    return [int(number) for number in done.stdout.split()]


def test_a_killed_process_leaves_all_that_it_appended(
    make_spool: MakeSpool, spools: Spools
) -> None:
    killed("for n in range(3000): assert spool.append(row(n))", spools.folder)
    spool = make_spool()
    assert drain(spool, 500) == [*range(3000)]
    assert_exact(spool.counts())
    spool.close()
    assert spools.names() == []


def test_a_process_killed_amid_appending_leaves_all_that_it_was_told(
    make_spool: MakeSpool, spools: Spools
) -> None:
    code = """
n = 0
while True:
    assert spool.append(row(n))
    os.write(1, b"%d\\n" % n)
    n += 1
"""
    for round_ in range(3):
        with running(code, spools.folder) as process:
            for _ in range(200 * (round_ + 1)):
                told = line_of(process)
            process.kill()
            assert process.stdout is not None
            said = [
                int(told),
                *map(int, filter(str.isdigit, process.stdout.read().split("\n")[:-1])),
            ]
        found = drain(make_spool())
        assert found == [*range(len(found))]
        assert said[-1] <= found[-1]


def test_a_process_killed_while_it_delivers_leaves_the_identities_of_what_was_sent(
    make_spool: MakeSpool, spools: Spools
) -> None:
    code = """
for n in range(100): assert spool.append(row(n))
sent = spool.take(30); sent.fix(batch(sent.rows, 1)); print(*numbers(sent.rows)); sent.settle()
sent = spool.take(20); sent.fix(batch(sent.rows, 2))
sys.stdout.flush()
"""
    settled = killed(code, spools.folder)
    spool = make_spool()
    spool.adopt()
    groups = {}
    while chunk := spool.take(1000):
        groups[chunk.identity and chunk.identity[1]] = numbers(chunk.rows)
        chunk.settle()
    # The first is still there, for nobody notes down what the ledger knows.
    assert groups == {1: settled, 2: [*range(30, 50)], None: [*range(50, 100)]}


def test_five_deaths_in_a_row_and_one_during_recovery_leave_each_row_once(
    make_spool: MakeSpool, spools: Spools
) -> None:
    code = """
start = {start}
for n in range(start, start + 300): assert spool.append(row(n))
for chunk in chunks(spool, 40):
    if chunk.identity is None:
        chunk.fix(batch(chunk.rows))
    print(*numbers(chunk.rows), flush=True)
    chunk.settle()
    if numbers(chunk.rows)[-1] % 300 > 200: break
"""
    for start in range(0, 1500, 300):
        killed(code.format(start=start), spools.folder)
    left = drain(make_spool())
    assert set(left) >= {n for n in range(1500) if n % 300 > 240}
    assert len(left) == len(set(left))
    assert spools.names(".marks") == []


def test_three_processes_adopt_each_row_once(make_spool: MakeSpool, spools: Spools) -> None:
    for start in range(0, 2000, 100):
        spools.leave(rows(100, start))
    code = """
sys.stdin.readline()
print(*drain(spool))
spool.close()
"""
    with (
        running(code, spools.folder) as one,
        running(code, spools.folder) as two,
        running(code, spools.folder) as three,
    ):
        processes = (one, two, three)
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        parts = [[int(number) for number in line_of(process).split()] for process in processes]
        codes = [process.wait() for process in processes]
    assert codes == [0, 0, 0]
    assert sorted(number for part in parts for number in part) == [*range(2000)]
    assert spools.names() == []


def test_a_living_process_keeps_its_segments_and_a_dead_one_does_not(
    make_spool: MakeSpool, spools: Spools
) -> None:
    code = """
for n in range(100): assert spool.append(row(n))
print("ready", flush=True)
sys.stdin.readline()
"""
    spool = make_spool()
    with running(code, spools.folder) as process:
        assert line_of(process) == "ready"
        assert spool.adopt() == 0
        process.kill()
        process.wait()
        assert drain(spool) == [*range(100)]


# -- forks --------------------------------------------------------------------


def in_child(work: Callable[[], object]) -> tuple[int, str]:
    """Run *work* in a forked child; return its exit status and what it returned, as text."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # This process has threads.
        pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.write(writing, str(work()).encode())
            status = 0
        except BaseException as error:
            os.write(writing, repr(error).encode())
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    return os.waitpid(pid, 0)[1], text


def test_a_forked_child_starts_with_nothing_and_leaves_its_parent_alone(
    make_spool: MakeSpool, spools: Spools
) -> None:
    spool = make_spool()
    for item in rows(60):
        spool.append(item)
    chunk = spool.take(10)
    assert chunk is not None
    names = spools.names()

    def work() -> int:
        spool.abandon()
        opened = open_files(spools.folder)
        chunk.settle()
        assert spool.take(10) is None
        assert spool.counts().appended == 0
        assert spool.adopt() == 0  # They are locked by the parent.
        assert spool.append(row(100))
        spool.close()
        return len(opened)

    assert in_child(work) == (0, "0")
    assert set(names) <= set(spools.names())
    chunk.fix(batch(chunk.rows))
    chunk.settle()
    assert sorted(drain(spool)) == [*range(10, 60), 100]
    assert_exact(spool.counts())


def test_a_child_that_dies_leaves_its_rows_to_its_parent(make_spool: MakeSpool) -> None:
    spool = make_spool()
    spool.append(row(0))

    def work() -> bool:
        spool.abandon()
        return spool.append(row(1))

    assert in_child(work) == (0, "True")
    assert drain(spool) == [0, 1]
    assert_exact(spool.counts())


def test_a_child_outlives_its_parent_without_keeping_what_the_parent_had(
    make_spool: MakeSpool, spools: Spools
) -> None:
    code = """
assert spool.append(row(1))
if os.fork() == 0:
    spool.abandon()
    print("child", flush=True)
    sys.stdin.readline()
    os._exit(0)
sys.stdin.close()
os._exit(0)
"""
    with running(code, spools.folder) as process:
        assert line_of(process) == "child"
        process.wait()
        assert drain(make_spool()) == [1]
        assert process.stdin is not None
        process.stdin.close()


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not here")
def test_the_kernel_sees_nothing_of_an_append(spools: Spools, tmp_path: Path) -> None:
    code = """
import gc
spool.append(row(0)); spool.prepare()
items = [row(n) for n in range(150)]
gc.disable()
os.write(1, b"BEGIN")
for item in items: spool.append(item)
os.write(1, b"END")
assert len(spool._segments) == 2
"""
    trace = tmp_path / "trace"
    done = subprocess.run(
        ["strace", "-o", str(trace), *command(code, spools.folder)],
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRONMENT,
        timeout=60,
    )
    if "ptrace" in done.stderr:
        pytest.skip("strace may not trace here")
    assert (done.stderr, done.returncode) == ("", 0)
    lines = trace.read_text().splitlines()
    begin = next(index for index, line in enumerate(lines) if '"BEGIN"' in line)
    end = next(index for index, line in enumerate(lines) if '"END"' in line)
    between = [
        line for line in lines[begin + 1 : end] if not line.startswith(("brk", "mmap", "munmap"))
    ]
    assert between == []
