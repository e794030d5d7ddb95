"""
Whatever happens to the disk, below SQLite or below the spool, no record is lost uncounted.
"""

from __future__ import annotations

import errno
import os
import subprocess
import threading

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from structlog_activity import ActivityLog
from structlog_activity.store.engine import make_engine, parse_url
from structlog_activity.store.sqlite import SqliteRepository
from structlog_activity.write import buffer
from structlog_activity.write.spool.disk import Disk as SpoolDisk
from structlog_activity.write.spool.spool import Spool
from tests.support.files import no_more_files
from tests.support.proxy import FaultProxy
from tests.write.checker import SECONDS, Trial
from tests.write.conftest import MakeTrial
from tests.write.databases import File


class Disk:
    """A file system of its own, in memory, that can be full or read-only."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def mount(self, options: str) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", options, "none", str(self.place)]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0

    def unmount(self) -> None:
        subprocess.run(["umount", "-l", str(self.place)], check=True)

    def fill(self) -> None:
        """Take all the room there is."""
        with (self.place / "ballast").open("ab", buffering=0) as file:
            for size in (1 << 16, 512, 1):
                try:
                    while file.write(bytes(size)) == size:
                        pass
                except OSError:
                    continue

    def relieve(self) -> None:
        """Make room again."""
        (self.place / "ballast").unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A small file system."""
    place = tmp_path / "disk"
    place.mkdir()
    disk = Disk(place)
    if os.geteuid() != 0 or not disk.mount("size=2m,mode=700"):
        pytest.skip("mounting needs root")
    yield disk
    disk.unmount()


def trial_on(file: File, **options: float | str) -> Trial:
    return Trial(SqliteRepository(make_engine(parse_url(file.url))), file, **options)


@pytest.fixture
def file_there(disk: Disk) -> File:
    """A SQLite file on that file system."""
    file = File(disk.place / "activity.db")
    with ActivityLog(file.url) as activity:
        activity.migrate()
    return file


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have SQLite wait for a lock for a moment only."""
    monkeypatch.setattr("structlog_activity.store.engine._BUSY_TIMEOUT", 20)


@contextmanager
def let_go_of(trial: Trial) -> Iterator[None]:
    """Have the writer keep its hands off the file while the block changes it."""
    repository = trial.buffer._repository
    assert repository.pause(SECONDS)
    try:
        yield
    finally:
        repository.resume()


# -- below SQLite --------------------------------------------------------------


@pytest.mark.parametrize("is_connected", [True, False])
def test_a_full_disk_below_sqlite_is_waited_out(
    disk: Disk, file_there: File, is_connected: bool
) -> None:
    with trial_on(file_there, batch_size=200) as trial:
        trial.submit(*range(50))
        trial.flush()
        if not is_connected:
            trial.buffer._repository.close()
        disk.fill()
        trial.submit(*range(50, 1000))
        trial.trouble("SQLITE_")
        assert not trial.buffer.health().ok
        disk.relieve()
        trial.flush()
        assert file_there.do("PRAGMA integrity_check") == ["ok"]


def test_a_disk_that_becomes_read_only_below_sqlite_is_waited_out(
    disk: Disk, file_there: File
) -> None:
    with trial_on(file_there) as trial:
        trial.submit(*range(50))
        trial.flush()
        with let_go_of(trial):  # With a file open for writing it can't be.
            assert disk.mount("remount,ro")
        trial.submit(*range(50, 100))
        trial.trouble("SQLITE_")
        assert trial.buffer.counters()["dead"] == 0
        assert disk.mount("remount,rw")
        trial.flush()


@pytest.mark.parametrize("damage", [b"", b"\0" * 4096, b"this is no database" * 999])
def test_a_damaged_file_of_sqlite_holds_records_and_is_told(
    make_file_trial: MakeTrial, file: File, damage: bytes
) -> None:
    with make_file_trial() as trial:
        trial.submit(*range(50))
        trial.flush()
        with let_go_of(trial):
            whole = file.path.read_bytes()
            file.path.write_bytes(damage or whole[:100] + b"\xff" * (len(whole) - 100))
        trial.submit(*range(50, 100))
        trial.trouble()
        assert not trial.buffer.health().ok
        assert trial.buffer.counters()["dead"] == 0
        with let_go_of(trial):
            for path in file.path.parent.glob(f"{file.path.name}-*"):
                path.unlink()
            file.path.write_bytes(whole)
        trial.flush()


def test_a_file_of_sqlite_that_is_gone_is_written_to_when_it_is_back(
    make_file_trial: MakeTrial, file: File
) -> None:
    with make_file_trial() as trial:
        trial.submit(*range(50))
        trial.flush()
        with let_go_of(trial):
            away = file.path.rename(file.path.with_suffix(".away"))
        trial.submit(*range(50, 100))
        trial.trouble("run structlog-activity migrate")
        with let_go_of(trial):
            for path in file.path.parent.glob(f"{file.path.name}-*"):
                path.unlink()
            away.replace(file.path)
        trial.flush()


def test_a_lock_on_a_file_of_sqlite_is_waited_out(
    make_file_trial: MakeTrial, file: File, impatient: None
) -> None:
    with make_file_trial() as trial, trial.callers(1):
        trial.flush_more()
        other = file.connect()
        other.execute("BEGIN IMMEDIATE")
        trial.trouble("SQLITE_BUSY")
        other.execute("ROLLBACK")
        other.close()
        trial.flush_more()


# -- below the spool -----------------------------------------------------------


@pytest.mark.parametrize("durability", ["memory", "wal", "fsync"])
def test_a_full_disk_below_the_spool_costs_what_finds_no_room_in_memory(
    make_trial: MakeTrial, proxy: FaultProxy, disk: Disk, durability: str
) -> None:
    options: dict[str, float | str] = {"durability": durability, "max_records": 200}
    spool_dir = str(disk.place / "spool")
    proxy.mode = "refuse"
    with make_trial(spool_dir=spool_dir, **options) as trial:
        disk.fill()
        trial.submit(*range(150))
        assert trial.kept == [*range(150)]
        trial.loses = True
        trial.submit(*range(150, 600))
        assert trial.buffer.counters()["dropped.overflow"] > 0
        assert "the spool takes nothing" in "".join(trial.buffer.health().reasons)
        proxy.mode = "pass"
        assert trial.buffer.flush(40) is False
        disk.relieve()
        trial.submit(*range(600, 700))
        trial.flush()


@pytest.mark.parametrize("durability", ["wal", "fsync"])
def test_a_disk_that_becomes_full_while_records_are_on_it_costs_none_of_them(
    make_trial: MakeTrial, proxy: FaultProxy, disk: Disk, durability: str
) -> None:
    proxy.mode = "refuse"
    spool_dir = str(disk.place / "spool")
    disk.mount("remount,size=10m")
    with make_trial(spool_dir=spool_dir, durability=durability) as trial:
        trial.submit(*range(300))
        disk.fill()
        trial.submit(*range(300, 600))
        proxy.mode = "pass"
        proxy.fail_commits("drop_ack", "drop_request", "drop_ack")
        trial.flush()
        disk.relieve()


@pytest.mark.parametrize("durability", ["memory", "wal", "fsync"])
def test_while_too_many_files_are_open_the_spool_and_memory_lose_nothing(
    make_file_trial: MakeTrial, tmp_path: Path, durability: str
) -> None:
    with make_file_trial(durability=durability, spool_dir=str(tmp_path / "spool")) as trial:
        trial.submit(*range(10))
        trial.flush()
        trial.buffer._repository.close()
        with no_more_files():
            trial.submit(*range(10, 200))
            trial.trouble("CANTOPEN")
        trial.flush()
        assert trial.kept == [*range(200)]


def test_what_can_not_be_read_is_looked_at_again_without_hurry(
    make_file_trial: MakeTrial,
    file: File,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    impatient: None,
) -> None:
    reads: list[int] = []
    can_read = threading.Event()
    read = SpoolDisk.read

    def refuse(disk: SpoolDisk, fd: int, size: int) -> bytes:
        reads.append(fd)
        if can_read.is_set():
            return read(disk, fd, size)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(buffer, "Spool", partial(Spool, segment_bytes=4096))
    other = file.connect()
    other.execute("BEGIN IMMEDIATE")  # Meanwhile the spool grows beyond what is kept in memory.
    with make_file_trial(durability="wal", spool_dir=str(tmp_path / "spool")) as trial:
        trial.submit(*range(300))
        trial.trouble("SQLITE_BUSY")
        monkeypatch.setattr(SpoolDisk, "read", refuse)
        other.close()
        assert trial.buffer.flush(1.5) is False
        assert "Input/output error" in "".join(trial.buffer.health().reasons)
        assert 0 < len(reads) < 200, "it spins"
        can_read.set()
        trial.flush()
