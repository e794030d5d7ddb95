"""
What waits on disk is counted in one place only, also where a batch goes in parts.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from structlog_activity.store.batch import Batch
from structlog_activity.store.faults import Fault, StoreError
from structlog_activity.write.buffer import BufferedRepository
from tests.write.doubles import (
    DEADLINE,
    Answers,
    Gate,
    Repository,
    assert_invariant,
    down,
    row,
    rows,
)


def test_a_half_that_is_written_is_no_longer_counted_as_on_disk(tmp_path: Path) -> None:
    answers = Answers(StoreError(Fault.SLOW, "too long"), None, *[down()] * 100)
    repository = Repository(answers)
    buffer = BufferedRepository(
        repository, durability="wal", spool_dir=tmp_path / "spool", linger=3600.0
    )
    assert all(buffer.put(item) for item in rows(10))
    assert buffer.close(0.5) is False
    counts = buffer.counters()
    assert_invariant(counts)
    assert (counts["written"], counts["spooled"], counts["dropped"]) == (5, 5, 0)
    assert len(repository.rows) == 5


def test_the_heir_of_a_half_finds_in_the_ledger_that_it_is_there(tmp_path: Path) -> None:
    answers = Answers(StoreError(Fault.SLOW, "too long"), None, *[down()] * 100)
    repository = Repository(answers)
    options = {"durability": "wal", "spool_dir": tmp_path / "spool", "linger": 3600.0}
    buffer = BufferedRepository(repository, **options)  # type: ignore[arg-type]
    assert all(buffer.put(item) for item in rows(10))
    buffer.close(0.5)
    repository.answer = _agree
    heir = BufferedRepository(repository, **options)  # type: ignore[arg-type]
    assert heir.flush(20) is True
    assert heir.close(20) is True
    counts = heir.counters()
    assert (counts["recovered"], counts["written"], counts["duplicates"]) == (10, 5, 5)
    assert sorted(repository.numbers) == [*range(10)]


def _agree(batch: Batch) -> None:
    pass


def test_what_finds_no_room_in_memory_goes_to_the_spool_and_is_written_later(
    tmp_path: Path,
) -> None:
    gate = Gate()
    buffer = BufferedRepository(gate, spool_dir=tmp_path / "spool", max_records=10, linger=0.0)
    assert buffer.put(row(0))
    assert gate.entered.wait(DEADLINE)
    assert all(buffer.put(item) for item in rows(100, 1))
    counts = buffer.counters()
    assert (counts["queued"], counts["spooled"], counts["dropped"]) == (10, 90, 0)
    gate.open()
    assert buffer.flush(DEADLINE) is True
    assert buffer.close(DEADLINE) is True
    assert sorted(gate.numbers) == [*range(101)]


@pytest.mark.parametrize("durability", ["memory", "wal", "fsync"])
def test_beyond_the_bounds_of_spool_and_memory_records_are_dropped_and_counted(
    tmp_path: Path, durability: str
) -> None:
    gate = Gate()
    buffer = BufferedRepository(
        gate,
        durability=durability,
        spool_dir=tmp_path / "spool",
        spool_bytes=8 << 20,
        max_records=10,
        linger=0.0,
    )
    assert buffer.put(row(0))
    assert gate.entered.wait(DEADLINE)
    large = '"' + "x" * 100_000 + '"'
    kept = sum(buffer.put(row(number, data=large)) for number in range(1, 201))
    counts = buffer.counters()
    assert_invariant(counts)
    assert 70 < kept < 100
    assert counts["dropped.overflow"] == 200 - kept
    gate.open()
    assert buffer.flush(DEADLINE) is False
    assert buffer.close(DEADLINE) is True
    assert len(gate.numbers) == kept + 1
