"""
Whatever happened to the files, what is whole is read, and the start succeeds.
"""

from __future__ import annotations

import os
import zlib

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from structlog_activity.record.ids import uuid7
from structlog_activity.write.spool.disk import Disk
from structlog_activity.write.spool.frames import scan
from structlog_activity.write.spool.header import HEADER, pack_header, seed_of
from structlog_activity.write.spool.spool import Spool
from tests.write.doubles import numbers, row, rows
from tests.write.spool.spools import SMALL, MakeSpool, Spools, assert_exact, batch, drain


COUNT = 4


class Remains:
    """A segment and its sidecar that a process left behind, to be damaged again and again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        spool = Spool(folder, writer_id=uuid7, segment_bytes=SMALL)
        for item in rows(COUNT):
            spool.append(item)
        chunk = spool.take(3)
        assert chunk is not None
        chunk.fix(batch(chunk.rows, 1))
        chunk.fix(batch(chunk.rows[:1], 2))
        chunk.set_aside(chunk.rows[2:])
        spool.close()
        (self.segment,) = folder.glob("*.seg")
        (self.sidecar,) = folder.glob("*.marks")
        self.data = self.segment.read_bytes()
        self.marks = self.sidecar.read_bytes()
        frames = scan(self.data, HEADER, seed_of(self.data[:HEADER]))
        self.ends = [end for _, end, _ in frames]

    def read(self, *, data: bytes | None = None, marks: bytes | None = None) -> dict[int, int]:
        """Write the files anew and read them; return each row's seq, 0 where it had none."""
        self.segment.write_bytes(self.data if data is None else data)
        self.sidecar.write_bytes(self.marks if marks is None else marks)
        spool = Spool(self.folder, writer_id=uuid7, segment_bytes=SMALL)
        found: dict[int, int] = {}
        while spool.adopt():
            chunk = spool.take(10)
            assert chunk is not None
            for number in numbers(chunk.rows):
                assert number not in found
                found[number] = chunk.identity[1] if chunk.identity else 0
            assert all(
                item == row(number)
                for item, number in zip(chunk.rows, numbers(chunk.rows), strict=True)
            )
            chunk.settle()
        assert_exact(spool.counts())
        self.counts = spool.counts()
        spool.close()
        left = [path for path in self.folder.iterdir() if path.suffix != ".corrupt"]
        assert not left
        for path in self.folder.iterdir():
            path.unlink()
        return found


WHOLE = {0: 2, 1: 1, 3: 0}


@pytest.fixture(scope="module")
def remains(tmp_path_factory: pytest.TempPathFactory) -> Remains:
    return Remains(tmp_path_factory.mktemp("remains"))


def test_undamaged_all_is_as_it_was_marked(remains: Remains) -> None:
    assert remains.read() == WHOLE


def test_a_segment_that_is_cut_short_keeps_what_lies_before(remains: Remains) -> None:
    for cut in range(remains.ends[-1]):
        whole = sum(end <= cut for end in remains.ends)
        found = remains.read(data=remains.data[:cut])
        assert found == {n: seq for n, seq in WHOLE.items() if n < whole}, cut
        assert remains.counts.corrupt == (0 < cut < HEADER), cut


def test_a_flipped_bit_in_a_frame_costs_its_row_only(remains: Remains) -> None:
    for bit in range(HEADER * 8, remains.ends[-1] * 8, 3):
        struck = sum(end <= bit // 8 for end in remains.ends)
        found = remains.read(data=flipped(remains.data, bit))
        assert found == {n: seq for n, seq in WHOLE.items() if n != struck}, bit
        assert remains.counts.damaged_adopted == 1


def test_a_flipped_bit_in_the_header_sets_the_file_apart(remains: Remains) -> None:
    for bit in range(HEADER * 8):
        assert remains.read(data=flipped(remains.data, bit)) == {}
        assert remains.counts.corrupt == 1


def test_a_sidecar_that_is_cut_short_or_flipped_costs_identities_but_no_row(
    remains: Remains,
) -> None:
    for cut in range(len(remains.marks)):
        assert {0, 1, 3} <= set(remains.read(marks=remains.marks[:cut]))
    for bit in range(0, len(remains.marks) * 8, 3):
        assert {0, 1, 3} <= set(remains.read(marks=flipped(remains.marks, bit)))


def test_damage_amid_whole_frames_is_kept_for_somebody_to_look_at(
    make_spool: MakeSpool, spools: Spools
) -> None:
    spools.leave(rows(10))
    (path,) = spools.folder.glob("*.seg")
    path.write_bytes(flipped(path.read_bytes(), (HEADER + 20) * 8))
    spool = make_spool()
    assert drain(spool) == [*range(1, 10)]
    assert spools.names() == [f"{path.name}.corrupt"]
    assert spool.counts().corrupt == 1
    assert spool.adopt() == 0


def test_a_frame_during_which_the_process_died_is_counted_and_gone(
    make_spool: MakeSpool, spools: Spools
) -> None:
    spools.leave(rows(10))
    (path,) = spools.folder.glob("*.seg")
    data = path.read_bytes()
    end = len(data.rstrip(b"\0"))
    path.write_bytes(data[: end - 20] + bytes(len(data) - end + 20))
    spool = make_spool()
    assert drain(spool) == [*range(9)]
    assert spools.names() == []
    assert spool.counts().damaged_adopted == 1


def test_damage_in_the_own_live_segment_costs_one_row_and_nothing_that_follows(
    make_spool: MakeSpool,
) -> None:
    spool = make_spool()
    for item in rows(3):
        spool.append(item)
    memory = spool._segments[-1]._map
    assert memory is not None
    end = memory.tell()
    memory[end - 30] ^= 1  # In the last frame, behind which rows may follow at any time.
    assert spool.append(row(3))
    found = drain(spool)
    assert spool.append(row(4))
    assert found + drain(spool) == [0, 1, 3, 4]
    assert spool.counts().damaged == 1
    assert_exact(spool.counts())


# -- files that are no segments -----------------------------------------------


def strangers() -> Iterator[tuple[str, bytes, bool]]:
    """Names, contents, and whether they are set apart instead of removed."""
    good = pack_header(UUID(int=1), 0)
    yield "empty.seg", b"", False
    yield "zeros.seg", bytes(SMALL), False
    yield "nothing-in-it.seg", good + bytes(SMALL), False
    yield "garbage.seg", os.urandom(SMALL), True
    yield "late-garbage.seg", bytes(2000) + b"x" * 100, True
    yield "magic.seg", b"X" + good[1:] + bytes(100), True
    yield "short.seg", good[:40], True
    yield "flipped.seg", flipped(good, 100) + bytes(100), True
    yield "future.seg", versioned(good, 8, 2), True
    yield "schema.seg", versioned(good, 10, 2), True
    yield "unfinished.tmp", good, False
    yield "lone.marks", b"x" * 100, False


def versioned(header: bytes, at: int, version: int) -> bytes:
    data = bytearray(header[:-4])
    data[at] = version
    return bytes(data) + zlib.crc32(data).to_bytes(4, "little")


def test_what_is_no_segment_is_removed_or_set_apart_and_the_rest_is_read(
    make_spool: MakeSpool, spools: Spools
) -> None:
    spools.leave(rows(3))
    (spools.folder / "operator's notes.txt").write_text("keep")
    (spools.folder / "old.seg.corrupt").write_text("keep")
    for name, data, _ in strangers():
        (spools.folder / name).write_bytes(data)
    (spools.folder / "future.marks").write_bytes(b"marks")
    spool = make_spool()
    assert drain(spool) == [0, 1, 2]
    apart = [f"{name}.corrupt" for name, _, kept in strangers() if kept]
    notes = ["operator's notes.txt", "old.seg.corrupt", "future.marks.corrupt"]
    assert spools.names() == sorted([*apart, *notes])
    assert spool.counts().corrupt == len(apart)
    assert spool.append(row(4))


def test_what_is_not_even_a_file_is_left_alone(make_spool: MakeSpool, spools: Spools) -> None:
    spools.leave(rows(3))
    (spools.folder / "0.seg").mkdir()
    os.mkfifo(spools.folder / "1.seg")
    spool = make_spool()
    assert drain(spool) == [0, 1, 2]
    assert spools.names() == ["0.seg", "1.seg"]


def test_a_file_that_is_absurdly_large_is_set_apart_unread(
    make_spool: MakeSpool, spools: Spools
) -> None:
    spools.leave(rows(3))
    path = spools.folder / "large.seg"
    path.touch()
    os.truncate(path, 1 << 40)
    spool = make_spool()
    assert drain(spool) == [0, 1, 2]
    assert spools.names() == ["large.seg.corrupt"]


def test_what_a_living_process_is_making_is_not_swept_away(
    make_spool: MakeSpool, spools: Spools
) -> None:
    spool = make_spool()
    spool.prepare()
    segment = spool._line.folder._create("unfinished")
    other = make_spool()
    assert other.adopt() == 0
    assert "unfinished.tmp" in spools.names()
    segment.close()
    assert other.adopt() == 0
    assert "unfinished.tmp" not in spools.names()


def test_a_file_that_is_swept_away_while_it_is_made_is_made_again(
    make_spool: MakeSpool, spools: Spools
) -> None:
    class Swept(Disk):
        """A disk on which somebody takes the first new files for leftovers."""

        sweeps = 2

        def create(self, path: Path) -> int:
            fd = super().create(path)
            if self.sweeps:
                self.sweeps -= 1
                path.unlink()
            return fd

    spool = make_spool(disk=Swept())
    assert spool.append(row(1))
    assert len(spools.names(".seg")) == 1
    Swept.sweeps = 100
    other = make_spool(disk=Swept())
    assert not other.append(row(2))
    assert "somebody removes" in (other.trouble or "")


def flipped(data: bytes, bit: int) -> bytes:
    out = bytearray(data)
    out[bit // 8] ^= 1 << bit % 8
    return bytes(out)
