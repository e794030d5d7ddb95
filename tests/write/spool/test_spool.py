"""
What goes into a spool comes out once, in order, and is gone when it is settled.
"""

from __future__ import annotations

import os
import stat
import sys

from pathlib import Path
from uuid import UUID

import pytest

from structlog_activity.record.ids import uuid7
from structlog_activity.write.spool import disk as disk_module
from structlog_activity.write.spool import spool as spool_module
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
    chunks,
    drain,
)


# -- in and out ---------------------------------------------------------------


def test_rows_come_out_in_the_order_in_which_they_went_in(make_spool: MakeSpool) -> None:
    spool = make_spool()
    assert all(spool.append(item) for item in rows(200))
    assert drain(spool) == [*range(200)]
    assert_exact(spool.counts())


def test_an_empty_spool_gives_nothing(make_spool: MakeSpool) -> None:
    spool = make_spool()
    assert spool.take(10) is None
    spool.prepare()
    assert spool.take(10) is None
    assert spool.adopt() == 0


def test_a_chunk_holds_no_more_than_was_asked_for_and_at_least_one_row(
    make_spool: MakeSpool,
) -> None:
    spool = make_spool(segment_bytes=1 << 20, max_bytes=1 << 22)
    for number in range(6):
        spool.append(row(number, data='{"a": "' + "x" * 1000 + '"}'))
    taken = spool.take(2), spool.take(9, 2500), spool.take(9, 1)
    assert [len(chunk.rows) for chunk in taken if chunk] == [2, 2, 1]


def test_a_chunk_never_spans_two_segments(make_spool: MakeSpool) -> None:
    spool = make_spool()
    for item in rows(100):
        spool.append(item)
    sizes = []
    for chunk in chunks(spool, 1000):
        sizes.append(len(chunk.rows))
        chunk.settle()
    assert sum(sizes) == 100
    assert len(sizes) > 3


def test_rows_appended_while_others_are_on_their_way_follow_them(make_spool: MakeSpool) -> None:
    spool = make_spool()
    spool.append(row(0))
    first = spool.take(10)
    spool.append(row(1))
    second = spool.take(10)
    assert first is not None
    assert second is not None
    second.settle()
    first.settle()
    assert numbers([*first.rows, *second.rows]) == [0, 1]
    assert_exact(spool.counts())


def test_a_settled_segment_is_deleted_when_it_is_full(
    make_spool: MakeSpool, spools: Spools
) -> None:
    spool = make_spool()
    for item in rows(200):
        spool.append(item)
    assert len(spools.names(".seg")) > 4
    drain(spool)
    assert (
        len(spools.names(".seg")) == len(spools.names()) == 1
    )  # The one to which rows are appended.
    spool.close()
    assert spools.names() == []


def test_a_row_that_is_too_large_is_not_taken(make_spool: MakeSpool) -> None:
    spool = make_spool()
    assert not spool.append(row(1, data='"' + "x" * SMALL + '"'))
    assert spool.append(row(2))
    assert drain(spool) == [2]


def test_settling_twice_counts_once(make_spool: MakeSpool) -> None:
    spool = make_spool()
    spool.append(row(1))
    chunk = spool.take(10)
    assert chunk is not None
    chunk.settle()
    chunk.settle()
    assert spool.counts().settled == 1


# -- the steady state ---------------------------------------------------------


def test_append_asks_nothing_of_the_system(make_spool: MakeSpool) -> None:
    """Not even when it goes on to the next segment."""
    disk = CountingDisk()
    spool = make_spool(disk=disk)
    spool.append(row(0))
    spool.prepare()
    before = disk.calls
    assert all(spool.append(item) for item in rows(40))
    assert disk.calls == before
    assert len(spool._segments) == 2


def test_append_calls_nothing_that_waits_or_lets_go_of_the_interpreter(
    make_spool: MakeSpool,
) -> None:
    spool = make_spool(segment_bytes=1 << 20, max_bytes=1 << 22)
    small, large = row(1), row(2, data='"' + "x" * 60_000 + '"')
    spool.append(row(0))
    called: set[str] = set()

    def note(frame: object, event: str, called_object: object) -> None:
        if event == "c_call":
            called.add(getattr(called_object, "__qualname__", repr(called_object)))

    sys.setprofile(note)
    try:
        spool.append(small)
        spool.append(large)
    finally:
        sys.setprofile(None)
    harmless = {
        "str.join", "str.encode", "bytes.join", "Struct.pack", "crc32", "len", "next",
        "setprofile",
    }  # fmt: skip
    assert called == harmless
    # What `next` calls is not told: it writes and counts.
    assert spool._segments[-1].write.__qualname__ == "mmap.write"
    assert spool.counts().appended == 3


# -- what is refused ----------------------------------------------------------


def test_without_locks_there_is_no_spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert disk_module.HAS_LOCKS
    monkeypatch.setattr(spool_module, "HAS_LOCKS", False)
    with pytest.raises(RuntimeError, match="flock"):
        Spool(tmp_path, writer_id=uuid7)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"segment_bytes": 4095}, "segment_bytes=4095"),
        ({"segment_bytes": (64 << 20) + 1, "max_bytes": 1 << 40}, "segment_bytes"),
        ({"segment_bytes": 4096, "max_bytes": 8191}, "max_bytes=8191"),
    ],
)
def test_sizes_that_make_no_sense_are_refused(
    make_spool: MakeSpool, options: dict[str, int], text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        make_spool(**options)


def test_others_can_read_nothing_whatever_the_umask(make_spool: MakeSpool, spools: Spools) -> None:
    for umask in (0o000, 0o777):
        before = os.umask(umask)
        try:
            spool = make_spool()
            spool.append(row(1))
            chunk = spool.take(1)
            assert chunk is not None
            chunk.fix(batch(chunk.rows))
        finally:
            os.umask(before)
        assert spool.trouble is None
        assert stat.S_IMODE(spools.folder.stat().st_mode) == 0o700
        for name in spools.names():
            assert stat.S_IMODE((spools.folder / name).stat().st_mode) == 0o600
        assert len(spools.names()) == 2
        chunk.settle()
        spool.close()
        spools.folder.rmdir()


def test_a_folder_into_which_others_may_write_is_refused(
    make_spool: MakeSpool, spools: Spools
) -> None:
    spools.folder.mkdir()
    spools.folder.chmod(0o777)
    spool = make_spool()
    spool.prepare()
    assert "chmod 700" in (spool.trouble or "")
    assert not spool.append(row(1))
    spools.folder.chmod(0o700)
    spool.prepare()
    assert spool.trouble is None
    assert spool.append(row(1))


def test_a_folder_of_somebody_else_is_refused(make_spool: MakeSpool) -> None:
    class Foreign(disk_module.Disk):
        def is_ours(self, found: os.stat_result) -> bool:
            return False

    spool = make_spool(disk=Foreign())
    assert not spool.append(row(1))
    assert "another user" in (spool.trouble or "")


def test_a_file_of_somebody_else_is_left_alone(make_spool: MakeSpool, spools: Spools) -> None:
    spools.leave(rows(3))

    class Foreign(disk_module.Disk):
        def is_ours(self, found: os.stat_result) -> bool:
            return stat.S_ISDIR(found.st_mode)

    spool = make_spool(disk=Foreign())
    assert spool.adopt() == 0
    assert "another user" in (spool.trouble or "")
    assert drain(make_spool()) == [0, 1, 2]


def test_a_link_is_not_followed(make_spool: MakeSpool, spools: Spools, tmp_path: Path) -> None:
    spools.leave(rows(3))
    (name,) = spools.names(".seg")
    target = tmp_path / "elsewhere"
    (spools.folder / name).rename(target)
    (spools.folder / name).symlink_to(target)
    assert make_spool().adopt() == 0
    assert target.stat().st_size == SMALL


# -- the bound ----------------------------------------------------------------


def test_at_the_bound_rows_are_refused_until_some_are_settled(make_spool: MakeSpool) -> None:
    spool = make_spool(max_bytes=3 * SMALL)
    kept = 0
    while spool.append(row(kept)):
        kept += 1
    assert "bound" in (spool.trouble or "")
    assert spool.counts().bytes == 3 * SMALL
    assert not spool.append(row(0))
    assert drain(spool) == [*range(kept)]
    assert spool.append(row(kept))
    spool.prepare()
    assert spool.trouble is None
    assert drain(spool) == [kept]
    assert spool.counts().appended == kept + 1


def test_what_others_left_counts_toward_the_bound(make_spool: MakeSpool, spools: Spools) -> None:
    spools.leave(rows(100))
    left = len(spools.names(".seg"))
    spool = make_spool(max_bytes=left * SMALL)
    assert not spool.append(row(1000))
    assert drain(spool) == [*range(100)]
    assert spool.append(row(1000))


def test_evicting_throws_away_the_oldest_rows_and_counts_them(make_spool: MakeSpool) -> None:
    spool = make_spool(max_bytes=3 * SMALL)
    kept = 0
    while spool.append(row(kept)):
        kept += 1
    lost = spool.evict()
    assert lost > 0
    assert spool.append(row(kept))
    assert drain(spool) == [*range(lost, kept + 1)]
    counts = spool.counts()
    assert counts.evicted == lost
    assert_exact(counts)


def test_what_is_on_its_way_is_not_evicted(make_spool: MakeSpool) -> None:
    spool = make_spool()
    for item in rows(70):
        spool.append(item)
    first = spool.take(5)
    assert first is not None
    second = spool.evict()
    assert second > 0
    assert spool.evict() == 0  # The first is on its way, the last is not full.
    first.settle()
    assert spool.evict() > 0
    assert spool.counts().evicted + 5 + len(drain(spool)) == 70


def test_nothing_is_evicted_where_nothing_is(make_spool: MakeSpool) -> None:
    assert make_spool().evict() == 0


# -- batches ------------------------------------------------------------------


def test_rows_that_may_have_been_sent_come_back_under_their_identity(
    make_spool: MakeSpool,
) -> None:
    disk = CountingDisk()
    spool = make_spool(disk=disk)
    for item in rows(10):
        spool.append(item)
    chunk = spool.take(4)
    assert chunk is not None
    sent = batch(chunk.rows, seq=7)
    chunk.fix(sent)
    asked = disk.calls
    chunk.fix(sent)
    assert disk.calls == asked
    spool.close()
    heir = make_spool()
    assert heir.adopt() == 10
    first = heir.take(2)
    assert first is not None
    assert first.identity == (sent.writer_id, 7, 70)
    assert numbers(first.rows) == [0, 1, 2, 3]  # All of them, whatever was asked for.
    assert first.inherited
    first.settle()
    assert drain(heir) == [4, 5, 6, 7, 8, 9]
    assert_exact(heir.counts())


def test_halves_and_rows_without_a_batch_come_back_as_what_they_were_last(
    make_spool: MakeSpool,
) -> None:
    spool = make_spool()
    for item in rows(8):
        spool.append(item)
    chunk = spool.take(8)
    assert chunk is not None
    taken = chunk.rows
    chunk.fix(batch(taken, 1))
    chunk.set_aside([taken[2]])
    one, two = batch([*taken[:2], taken[3]], 2), batch(taken[4:7], 3)
    chunk.fix(one)
    chunk.fix(two)
    spool.close()
    heir = make_spool()
    assert heir.adopt() == 7
    found = {}
    for part in chunks(heir):
        assert part.identity
        found[part.identity[1]] = numbers(part.rows)
        part.settle()
    assert found == {1: [7], 2: [0, 1, 3], 3: [4, 5, 6]}
    assert_exact(heir.counts())


def test_a_row_that_was_set_aside_stays_so_when_an_heir_marks_those_around_it(
    make_spool: MakeSpool,
) -> None:
    spool = make_spool()
    for item in rows(5):
        spool.append(item)
    chunk = spool.take(5)
    assert chunk is not None
    chunk.set_aside([chunk.rows[2]])
    spool.close()
    heir = make_spool()
    heir.adopt()
    rest = heir.take(5)
    assert rest is not None
    rest.fix(batch(rest.rows))
    heir.close()
    assert drain(make_spool()) == [0, 1, 3, 4]


def test_set_aside_rows_count_as_settled_once(make_spool: MakeSpool) -> None:
    spool = make_spool()
    for item in rows(5):
        spool.append(item)
    chunk = spool.take(5)
    assert chunk is not None
    chunk.set_aside(chunk.rows[:2])
    chunk.set_aside(chunk.rows[1:3])
    assert spool.counts().settled == 3
    chunk.settle()
    assert_exact(spool.counts())


def test_a_row_of_another_chunk_is_refused(make_spool: MakeSpool) -> None:
    spool = make_spool()
    spool.append(row(1))
    chunk = spool.take(1)
    assert chunk is not None
    with pytest.raises(ValueError, match="not of this chunk"):
        chunk.fix(batch([row(1)]))


def test_twins_are_told_apart_by_where_they_lie(make_spool: MakeSpool) -> None:
    spool = make_spool()
    spool.append(row(1))
    spool.append(row(1))
    chunk = spool.take(2)
    assert chunk is not None
    chunk.set_aside(chunk.rows[1:])
    chunk.fix(batch(chunk.rows[:1], 5))
    spool.close()
    heir = make_spool()
    assert heir.adopt() == 1
    assert drain(heir) == [1]


def test_a_batch_that_cannot_be_marked_is_not_sent_but_later(make_spool: MakeSpool) -> None:
    disk = CountingDisk()
    spool = make_spool(disk=disk)
    spool.append(row(1))
    chunk = spool.take(1)
    assert chunk is not None
    with disk.refusing("write"):
        with pytest.raises(MarkError, match="No space"):
            chunk.fix(batch(chunk.rows))
        chunk.set_aside([])  # Never fails.
    chunk.fix(batch(chunk.rows))
    chunk.settle()
    assert_exact(spool.counts())


# -- what waited in memory ----------------------------------------------------


def test_a_kept_batch_that_was_sent_comes_back_first_and_whole(make_spool: MakeSpool) -> None:
    spool = make_spool()
    for item in rows(5):
        spool.append(item)
    sent = batch(rows(100, 1000), 9)  # More than a segment holds.
    assert spool.keep(sent, fixed=True)
    chunk = spool.take(3)
    assert chunk is not None
    assert chunk.identity == (sent.writer_id, 9, 90)
    assert chunk.rows == sent.rows
    assert not chunk.inherited
    chunk.settle()
    assert drain(spool) == [*range(5)]
    assert spool.counts().kept == 100
    assert_exact(spool.counts())


@pytest.mark.parametrize("count", [3, 100])
def test_a_kept_batch_that_was_not_sent_is_like_any_rows(make_spool: MakeSpool, count: int) -> None:
    spool = make_spool()
    assert spool.keep(batch(rows(count)), fixed=False)
    chunk = spool.take(2)
    assert chunk is not None
    assert chunk.identity is None
    chunk.settle()
    assert drain(spool) == [*range(2, count)]
    assert_exact(spool.counts())


@pytest.mark.parametrize("fixed", [True, False])
def test_of_a_batch_that_does_not_fit_nothing_is_kept(
    make_spool: MakeSpool, spools: Spools, fixed: bool
) -> None:
    spool = make_spool(max_bytes=2 * SMALL)
    assert not spool.keep(batch(rows(100)), fixed=fixed)
    assert spool.counts().kept == 0
    assert drain(spool) == []


def test_a_kept_batch_outlives_its_process_under_its_identity(make_spool: MakeSpool) -> None:
    spool = make_spool()
    sent = batch(rows(20), 4)
    assert spool.keep(sent, fixed=True)
    spool.close()
    heir = make_spool()
    heir.adopt()
    chunk = heir.take(1)
    assert chunk is not None
    assert chunk.identity == (sent.writer_id, 4, 40)
    assert chunk.rows == sent.rows
    chunk.settle()


# -- adopting, closing --------------------------------------------------------


def test_own_rows_and_those_of_others_come_in_turn(make_spool: MakeSpool, spools: Spools) -> None:
    spools.leave(rows(20))
    spool = make_spool()
    for item in rows(20, 100):
        spool.append(item)
    spool.adopt()
    inherited = []
    for _ in range(4):
        chunk = spool.take(5)
        assert chunk is not None
        inherited.append(chunk.inherited)
        chunk.settle()
    assert inherited.count(True) == 2
    assert inherited[0] != inherited[1]


def test_one_orphan_is_open_at_a_time_however_many_there_are(
    make_spool: MakeSpool, spools: Spools
) -> None:
    for number in range(30):
        spools.leave([row(number)])
    spool = make_spool()
    seen = []
    while spool.adopt():
        assert len(spool._line.held) == 1
        chunk = spool.take(10)
        assert chunk is not None
        assert spool.adopt() == 1  # Nothing more as long as it isn't settled.
        assert spool.take(10) is None
        seen += numbers(chunk.rows)
        chunk.settle()
    assert seen == [*range(30)]
    assert spools.names() == []
    assert spool.counts().bytes == 0


def test_what_is_not_settled_at_the_end_is_there_for_others(
    make_spool: MakeSpool, spools: Spools
) -> None:
    spool = make_spool()
    for item in rows(10):
        spool.append(item)
    chunk = spool.take(5)
    assert chunk is not None
    spool.close()
    spool.close()
    chunk.settle()  # Too late: the file isn't ours any more.
    with pytest.raises(MarkError, match="closed"):
        chunk.fix(batch(chunk.rows))
    assert drain(make_spool()) == [*range(10)]


def test_a_closed_spool_takes_nothing_and_gives_nothing(make_spool: MakeSpool) -> None:
    spool = make_spool()
    spool.append(row(1))
    spool.close()
    assert not spool.append(row(2))
    assert not spool.keep(batch(rows(2)), fixed=True)
    assert not spool.keep(batch(rows(2)), fixed=False)
    assert spool.take(1) is None
    assert spool.adopt() == 0
    assert spool.evict() == 0
    spool.prepare()
    assert spool.trouble is None
    assert spool.counts().appended == 1


def test_segments_of_a_living_process_are_not_adopted(make_spool: MakeSpool) -> None:
    one, other = make_spool(), make_spool()
    for item in rows(100):
        one.append(item)
    assert other.adopt() == 0
    one.close()
    assert drain(other) == [*range(100)]


def test_the_folder_may_be_named_before_it_is_there_and_the_directory_may_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spool = Spool("a/b/c", writer_id=lambda: UUID(int=5))
    monkeypatch.chdir("/")
    assert spool.append(row(1))
    (path,) = (tmp_path / "a/b/c").iterdir()
    assert path.name == f"{UUID(int=5).hex}-00000000.seg"
    spool.close()


def test_a_backlog_keeps_no_memory_but_for_what_is_read_next(make_spool: MakeSpool) -> None:
    spool = make_spool()
    for item in rows(300):
        spool.append(item)
    spool.prepare()
    mapped = [segment for segment in spool._segments if segment._map is not None]
    assert len(spool._segments) > 8
    assert len(mapped) == 3
    assert drain(spool) == [*range(300)]
