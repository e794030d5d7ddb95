"""
Marks say as which batch a frame was sent last.
"""

from __future__ import annotations

import errno

from pathlib import Path
from uuid import UUID

import pytest

from hypothesis import given
from hypothesis import strategies as st

from structlog_activity.write.spool.disk import Disk
from structlog_activity.write.spool.marks import SETTLED, Mark, Sidecar, identities
from tests.write.spool.spools import CountingDisk


A, B = (UUID(int=1), 1, 10), (UUID(int=1), 2, 20)


def sidecar(path: Path, seed: int = 5, disk: Disk | None = None) -> Sidecar:
    return Sidecar(disk or Disk(), path / "a.marks", seed)


def loaded(path: Path, seed: int = 5) -> list[Mark]:
    file = sidecar(path, seed)
    try:
        return file.load()
    finally:
        file.close()


def test_marks_come_back_in_their_order(tmp_path: Path) -> None:
    marks = [Mark(A, 64, 100), Mark(SETTLED, 64, 80), Mark(B, 80, 2**32 - 1)]
    file = sidecar(tmp_path)
    file.append(marks[:2], synced=True)
    file.append(marks[2:], synced=False)
    file.close()
    assert loaded(tmp_path) == marks


def test_without_a_sidecar_there_are_none(tmp_path: Path) -> None:
    assert loaded(tmp_path) == []


def test_marks_of_another_file_do_not_count(tmp_path: Path) -> None:
    file = sidecar(tmp_path)
    file.append([Mark(A, 64, 100)], synced=False)
    file.close()
    assert loaded(tmp_path, seed=6) == []


def test_a_mark_is_whole_or_not_there(tmp_path: Path) -> None:
    marks = [Mark(A, 64, 100), Mark(B, 100, 200), Mark(SETTLED, 64, 70)]
    file = sidecar(tmp_path)
    file.append(marks, synced=False)
    file.close()
    path = tmp_path / "a.marks"
    data = path.read_bytes()
    size = len(data) // 3
    for cut in range(len(data)):
        path.write_bytes(data[:cut])
        assert loaded(tmp_path) == marks[: cut // size]
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        struck = bit // 8 // size
        assert loaded(tmp_path) == [*marks[:struck], *marks[struck + 1 :]]


def test_marks_are_appended_behind_a_torn_one(tmp_path: Path) -> None:
    file = sidecar(tmp_path)
    file.append([Mark(A, 64, 100), Mark(A, 100, 110)], synced=False)
    file.close()
    path = tmp_path / "a.marks"
    path.write_bytes(path.read_bytes()[:-3])
    file = sidecar(tmp_path)
    assert file.load() == [Mark(A, 64, 100)]
    file.append([Mark(B, 64, 100)], synced=False)
    file.close()
    assert loaded(tmp_path) == [Mark(A, 64, 100), Mark(B, 64, 100)]


@pytest.mark.parametrize("failing", ["create", "write", "sync", "sync_folder"])
def test_what_failed_is_written_again_at_the_same_place(tmp_path: Path, failing: str) -> None:
    disk = CountingDisk()
    file = sidecar(tmp_path, disk=disk)
    with disk.refusing(failing), pytest.raises(OSError, match="No space"):
        file.append([Mark(A, 64, 100)], synced=True)
    file.append([Mark(B, 64, 100)], synced=True)
    file.close()
    assert loaded(tmp_path) == [Mark(B, 64, 100)]


def test_a_disk_that_fills_up_midway_leaves_nothing_that_misleads(tmp_path: Path) -> None:
    class Full(Disk):
        full = True

        def write(self, fd: int, data: bytes, at: int) -> None:
            if self.full:
                super().write(fd, data[: len(data) // 2 + 1], at)
                raise OSError(errno.ENOSPC, "full")
            super().write(fd, data, at)

    disk = Full()
    file = sidecar(tmp_path, disk=disk)
    with pytest.raises(OSError, match="full"):
        file.append([Mark(A, 64, 100), Mark(A, 110, 120)], synced=False)
    disk.full = False
    file.append([Mark(B, 64, 100)], synced=False)
    file.close()
    assert loaded(tmp_path) == [Mark(B, 64, 100)]


@given(st.lists(st.tuples(st.sampled_from([A, B, SETTLED]), st.integers(0, 9), st.integers(0, 9))))
def test_the_last_mark_that_covers_a_frame_counts(
    drawn: list[tuple[tuple[UUID, int, int], int, int]],
) -> None:
    offsets = [64 + 10 * index for index in range(9)]
    marks = [Mark(identity, 64 + 10 * start, 64 + 10 * end) for identity, start, end in drawn]
    expected = {}
    for offset in offsets:
        covering = [mark for mark in marks if mark.start <= offset < mark.end]
        if covering:
            expected[offset] = covering[-1].identity
    assert identities(marks, offsets) == expected
