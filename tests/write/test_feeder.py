"""
What waits on disk is counted in one place only, also where a batch goes in parts.
"""

from __future__ import annotations

from pathlib import Path

from structlog_activity.store.batch import Batch
from structlog_activity.store.faults import Fault, StoreError
from structlog_activity.write.buffer import BufferedRepository
from tests.write.doubles import Answers, Repository, assert_invariant, down, rows


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
