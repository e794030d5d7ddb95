"""
The disk may refuse anything at any time; nothing is lost, doubled or raised.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import itertools
import os
import resource
import shutil
import signal
import subprocess
import sys

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, ParamSpec

import pytest

from structlog_activity.record.ids import uuid7
from structlog_activity.write.spool.disk import Disk
from structlog_activity.write.spool.marks import MarkError
from structlog_activity.write.spool.spool import Spool
from tests.write.doubles import numbers, row, rows
from tests.write.spool.spools import (
    SMALL,
    CountingDisk,
    MakeSpool,
    Spools,
    assert_exact,
    batch,
    drain,
)


if TYPE_CHECKING:
    from _typeshed import TraceFunction

_P = ParamSpec("_P")


def a_life(spool: Spool, ok: set[int], settled: set[int]) -> None:
    """Do a bit of everything; note what was promised to be on disk, and what was settled."""
    spool.prepare()
    for item in rows(80, 100):
        if spool.append(item):
            ok.add(numbers([item])[0])
    kept = rows(10, 300)
    if spool.keep(batch(kept, 9), fixed=True):
        ok.update(numbers(kept))
    for _ in range(6):
        spool.adopt()
        chunk = spool.take(20)
        if chunk is None:
            continue
        with contextlib.suppress(MarkError):
            chunk.fix(batch(chunk.rows))
            chunk.set_aside(chunk.rows[:1])
            settled.update(numbers(chunk.rows))
            chunk.settle()
        spool.prepare()
    spool.close()


def is_number(number: int, call: int, name: str) -> bool:
    return call == number


def is_from(number: int, call: int, name: str) -> bool:
    return call >= number


@pytest.mark.parametrize(("synced", "error"), [(False, errno.ENOSPC), (True, errno.EIO)])
def test_whichever_call_fails_no_row_is_lost(tmp_path: Path, synced: bool, error: int) -> None:
    number, calls = 0, 1
    while number < calls:
        number += 1
        spools = Spools(tmp_path / f"{number}")
        spools.leave(rows(5))
        spools.leave(rows(5, 10))
        disk = CountingDisk(partial(is_number, number))
        disk.error = error
        ok, settled = {*range(5), *range(10, 15)}, set[int]()
        a_life(spools.make(disk=disk, synced=synced), ok, settled)
        calls = disk.calls
        heir = spools.make()
        found = drain(heir)
        assert len(found) == len(set(found))
        assert ok <= settled | set(found), (number, ok - settled - set(found))
        assert settled | set(found) <= ok | set(range(100, 310)), number
        assert_exact(heir.counts())
        heir.close()
        assert not [name for name in spools.names() if not name.endswith(".corrupt")], number
        shutil.rmtree(spools.folder)
    assert number > 60


def test_from_any_call_on_a_dead_disk_is_survived(tmp_path: Path) -> None:
    for first in range(1, 90, 2):
        spools = Spools(tmp_path / f"{first}")
        spools.leave(rows(5))
        disk = CountingDisk(partial(is_from, first))
        ok, settled = {*range(5)}, set[int]()
        a_life(spools.make(disk=disk), ok, settled)
        found = drain(spools.make())
        assert ok <= settled | set(found)
        spools.close()


def in_its_own_thread(test: Callable[_P, None]) -> Callable[_P, None]:
    """
    Have a test that interrupts leave nothing to others.

    Where CPython 3.11 is interrupted by a trace function at the end of a handler, what
    was handled stays the context of whatever the thread raises afterwards.
    """

    @functools.wraps(test)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> None:
        with ThreadPoolExecutor(1) as alone:
            alone.submit(test, *args, **kwargs).result()

    return run


def interrupted(
    number: int, call: Callable[[], object], *, within: str = "/spool/", event: str = "line"
) -> bool:
    """Call something until the n-th line, or opcode, of our code; return whether it came so far."""
    count = 0

    def trace(frame: FrameType, what: str, arg: object) -> TraceFunction | None:
        nonlocal count
        if within not in frame.f_code.co_filename or "/tests/" in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes = event == "opcode"
        count += what == event
        if count == number:
            sys.settrace(None)
            raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


@in_its_own_thread
def test_an_interrupt_at_any_line_of_the_making_of_a_file_leaves_none(tmp_path: Path) -> None:
    number = 1
    spools = Spools(tmp_path / "0")
    spool = spools.make(synced=True, disk=CountingDisk())
    while interrupted(number, partial(spool.append, row(1))):
        spool.append(row(2))
        drain(spool)
        spool.close()
        assert spools.names() == [], number
        spools = Spools(tmp_path / f"{number}")
        spool = spools.make(synced=True, disk=CountingDisk())
        number += 1
    assert number > 100


@in_its_own_thread
def test_an_interrupt_at_any_step_of_an_append_leaves_exact_counts(make_spool: MakeSpool) -> None:
    number, found, spool = 1, 0, make_spool(segment_bytes=1 << 20)
    assert spool.append(row(0))
    while interrupted(
        number, partial(spool.append, row(1)), within="/structlog_activity/", event="opcode"
    ):
        found += len(drain(spool))
        assert spool.counts().appended == found, number
        number += 1
    assert number > 100


class Step:
    """
    An interrupt at one step of a call, with spools of its own.

    Attributes:

        number: Which step of the call, from 1.

        is_last: The call came to its end before that step.
    """

    def __init__(self, number: int, folder: Path) -> None:
        self.number = number
        self.spools = Spools(folder)
        self.is_last = False

    def interrupt(self, call: Callable[[], object], *, within: str = "/spool/") -> None:
        self.is_last = not interrupted(self.number, call, within=within)


def steps(tmp_path: Path, *, at_least: int) -> Iterator[Step]:
    """Go through the steps of a call one by one; it has no fewer than that."""
    for number in itertools.count(1):
        step = Step(number, tmp_path / f"{number}")
        try:
            yield step
        finally:
            step.spools.close()
            shutil.rmtree(step.spools.folder, ignore_errors=True)
        if step.is_last:
            assert number > at_least
            return


@in_its_own_thread
def test_an_interrupt_at_any_step_of_a_full_segment_s_successor_leaves_exact_counts(
    tmp_path: Path,
) -> None:
    for step in steps(tmp_path, at_least=50):
        spool = step.spools.make(disk=CountingDisk())
        assert all(spool.append(item) for item in rows(20))
        spool.prepare()
        spool._segments[-1].seal()
        step.interrupt(partial(spool.append, row(20)), within="/structlog_activity/")
        assert spool.append(row(21))
        assert spool.counts().appended == len(drain(spool)), step.number
        assert_exact(spool.counts())


@pytest.mark.parametrize("fixed", [False, True])
@in_its_own_thread
def test_an_interrupt_at_any_step_of_a_keeping_leaves_exact_counts(
    tmp_path: Path, fixed: bool
) -> None:
    for step in steps(tmp_path, at_least=20):
        spool = step.spools.make(disk=CountingDisk())
        spool.prepare()
        step.interrupt(partial(spool.keep, batch(rows(3)), fixed=fixed))
        kept = spool.counts().kept
        assert kept in (0, 3)
        left = drain(spool)
        assert (len(left) == kept) or (fixed and not left), step.number


@in_its_own_thread
def test_an_interrupt_at_any_step_of_an_eviction_leaves_exact_counts(tmp_path: Path) -> None:
    for step in steps(tmp_path, at_least=10):
        spool = step.spools.make(disk=CountingDisk())
        assert all(spool.append(item) for item in rows(40))
        step.interrupt(spool.evict, within="/spool/backlog.py")
        left = drain(spool)
        counts = spool.counts()
        assert len(left) + counts.evicted == 40, step.number
        assert_exact(counts)
        step.spools.close()
        # An interrupt before the file is removed leaves what is counted as lost to others.
        assert not set(left) & set(drain(step.spools.make()))


@in_its_own_thread
def test_an_interrupt_at_any_line_of_an_eviction_leaves_rows_counted_or_readable(
    tmp_path: Path,
) -> None:
    for step in steps(tmp_path, at_least=30):
        spool = step.spools.make(disk=CountingDisk())
        for count in range(7):  # Three of them fill a segment.
            assert spool.append(row(count, data=f'"{"x" * 1200}"'))
        step.interrupt(spool.evict)
        found = drain(spool)
        assert len(found) + spool.counts().evicted == 7, step.number
        assert found == [*range(7 - len(found), 7)], step.number
        assert_exact(spool.counts())
        step.spools.close()
        assert step.spools.names() == [], step.number


def test_a_disk_that_refuses_is_not_asked_for_every_row(make_spool: MakeSpool) -> None:
    disk = CountingDisk()
    spool = make_spool(disk=disk)
    with disk.refusing("allocate"):
        assert not spool.append(row(1))
        asked = disk.calls
        assert not any(spool.append(item) for item in rows(100))
        assert disk.calls == asked
        assert spool.trouble == "the spool can't be used: No space left on device"
    assert not spool.append(row(1))
    spool.prepare()
    assert spool.trouble is None
    assert spool.append(row(1))


def test_a_row_that_the_disk_did_not_confirm_is_counted(
    make_spool: MakeSpool,
) -> None:
    disk = CountingDisk()
    spool = make_spool(disk=disk, synced=True)
    assert spool.append(row(1))
    with disk.refusing("sync"):
        assert spool.append(row(2))
    assert spool.append(row(3))  # Into another segment: the kernel forgets what it failed to write.
    assert len(spool._segments) == 2
    assert drain(spool) == [1, 2, 3]
    assert spool.counts().unsynced == 1


def test_what_was_kept_and_the_disk_did_not_confirm_is_counted(make_spool: MakeSpool) -> None:
    disk = CountingDisk()
    spool = make_spool(disk=disk, synced=True)
    spool.prepare()
    with disk.refusing("sync"):
        assert spool.keep(batch(rows(3)), fixed=False)
    assert spool.keep(batch(rows(3, 10)), fixed=False)
    assert drain(spool) == [0, 1, 2, 10, 11, 12]
    assert spool.counts().unsynced == 3


def test_where_files_cannot_be_allocated_they_are_filled(
    make_spool: MakeSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "not on this file system")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    assert make_spool().append(row(1))
    monkeypatch.delattr(os, "posix_fallocate")
    assert make_spool().append(row(2))


def test_what_the_system_writes_in_parts_is_written_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: write(fd, data[:3], at))
    disk = Disk()
    fd = disk.create(tmp_path / "file")
    disk.write(fd, b"in some parts", 2)
    disk.close(fd)
    assert (tmp_path / "file").read_bytes() == b"\0\0in some parts"


def test_a_file_that_may_not_grow_leaves_nothing_behind(
    make_spool: MakeSpool, spools: Spools
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    spool = make_spool(segment_bytes=1 << 20, max_bytes=1 << 24)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
    try:
        assert not spool.append(row(1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert spool.trouble
    assert spools.names() == []
    spool.prepare()
    assert spool.append(row(1))


def test_when_the_folder_is_deleted_it_is_made_again(make_spool: MakeSpool, spools: Spools) -> None:
    spool = make_spool()
    spool.prepare()
    for item in rows(10):
        assert spool.append(item)
    shutil.rmtree(spools.folder)
    for item in rows(10, 10):
        assert spool.append(item)  # Nobody knows yet; the memory is still there.
    spool.prepare()
    assert spool.trouble is None
    for item in rows(10, 20):
        assert spool.append(item)
    assert spool._segments[-1].is_there()
    assert len(spools.names(".seg")) == 1
    assert drain(spool) == [*range(30)]
    assert_exact(spool.counts())


def test_a_segment_that_somebody_removed_before_it_was_used_is_not_used(
    make_spool: MakeSpool, spools: Spools
) -> None:
    spool = make_spool()
    for item in rows(40):
        assert spool.append(item)
    spool.prepare()  # Makes another one ready.
    used, spare = {one.name for one in spool._line.held}, {*spools.names(".seg")}
    for name in spare - used:
        (spools.folder / name).unlink()

    spool.prepare()
    for item in rows(200, 40):
        assert spool.append(item)

    assert drain(spool) == [*range(240)]
    assert_exact(spool.counts())


def test_the_folder_may_be_made_by_another_process_meanwhile(tmp_path: Path) -> None:
    """As two do that start together; else the later one's records would wait in memory."""
    folder = tmp_path / "spool" / "db"

    class Overtaken(Disk):
        def make_folder(self, path: Path) -> None:
            super().make_folder(path)
            folder.mkdir(0o700, exist_ok=True)

    spool = Spool(folder, writer_id=uuid7, disk=Overtaken())
    spool.prepare()
    assert spool.trouble is None
    assert spool.append(row(1))
    spool.close()


def test_a_segment_that_cannot_be_removed_stays_until_it_can(
    make_spool: MakeSpool, spools: Spools
) -> None:
    disk = CountingDisk()
    spool = make_spool(disk=disk)
    for item in rows(40):
        spool.append(item)
    spool.prepare()
    with disk.refusing("remove"):
        assert drain(spool) == [*range(40)]
    left = len(spools.names(".seg"))
    assert make_spool().adopt() == 0  # It is locked as before.
    spool.prepare()
    assert len(spools.names(".seg")) == left - 1
    assert_exact(spool.counts())


def test_an_orphan_that_cannot_be_opened_does_not_hide_others(
    make_spool: MakeSpool, spools: Spools
) -> None:
    spools.leave(rows(3))
    spools.leave(rows(3, 3))
    first, _ = spools.names(".seg")

    class Refusing(Disk):
        def open(self, path: Path) -> int:
            if path.name == first:
                raise PermissionError(errno.EACCES, "no")
            return super().open(path)

    spool = make_spool(disk=Refusing())
    assert drain(spool) == [3, 4, 5]
    assert spool.trouble == "the spool can't be used: no"
    assert drain(make_spool()) == [0, 1, 2]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounting needs root")
def test_a_full_file_system_is_survived_and_used_again(tmp_path: Path) -> None:
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={16 * SMALL},mode=700", "none", str(place)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        spools = Spools(place / "spool")
        spool = spools.make()
        kept = 0
        while spool.append(row(kept)):
            kept += 1
        assert kept > 200
        assert "No space left" in (spool.trouble or "")
        chunk = spool.take(5)
        assert chunk is not None
        with contextlib.suppress(MarkError):
            chunk.fix(batch(chunk.rows))
        chunk.settle()
        assert drain(spool) == [*range(5, kept)]
        spool.prepare()
        assert spool.trouble is None
        assert spool.append(row(kept))
        assert drain(spool) == [kept]
        assert_exact(spool.counts())
        spools.close()
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
