"""What SQLite's errors mean, caused on real files."""

from __future__ import annotations

import os
import sqlite3

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from structlog_activity.record.row import Row
from structlog_activity.record.rowmaker import RowMaker
from structlog_activity.store.batch import Batch
from structlog_activity.store.engine import make_engine, parse_url
from structlog_activity.store.faults import Fault, StoreError
from structlog_activity.store.schema import Schema
from structlog_activity.store.sqlite import SqliteRepository
from tests.support.files import no_more_files
from tests.support.records import record


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "activity.db"
    engine = make_engine(parse_url(f"sqlite:///{path}"))
    Schema(engine).migrate()
    engine.dispose()
    return path


@pytest.fixture
def repository(path: Path) -> Iterator[SqliteRepository]:
    repository = SqliteRepository(make_engine(parse_url(f"sqlite:///{path}?timeout=0.05")))
    yield repository
    repository.close()


def rows(count: int) -> list[Row]:
    return [RowMaker().make_from(record(data={"n": n})) for n in range(count)]


def failure(repository: SqliteRepository, batch_rows: list[Row]) -> StoreError:
    with pytest.raises(StoreError) as caught:
        repository.write(Batch(record().id, 1, 1, batch_rows))
    return caught.value


def count(path: Path) -> int:
    connection = sqlite3.connect(path)
    (found,) = connection.execute("SELECT count(*) FROM user_activity").fetchone()
    connection.close()
    return int(found)


def test_the_file_is_in_wal_mode_and_synced(repository: SqliteRepository, path: Path) -> None:
    repository.write(Batch(record().id, 1, 1, rows(1)))
    connection = repository._connection
    assert connection is not None

    assert ("wal",) == connection.execute("PRAGMA journal_mode").fetchone()
    assert (2,) == connection.execute("PRAGMA synchronous").fetchone()


def test_a_locked_file_is_transient(
    repository: SqliteRepository, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("structlog_activity.store.engine._BUSY_TIMEOUT", 20)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    error = failure(repository, rows(1))
    other.execute("ROLLBACK")
    other.close()

    assert (Fault.TRANSIENT, "SQLITE_BUSY") == (error.fault, error.sqlstate)
    assert repository.write(Batch(record().id, 1, 1, rows(1)))


def test_a_missing_table_is_a_matter_of_configuration(tmp_path: Path) -> None:
    repository = SqliteRepository(make_engine(parse_url(f"sqlite:///{tmp_path / 'empty.db'}")))

    error = failure(repository, rows(1))

    assert Fault.CONFIGURATION is error.fault
    assert "run structlog-activity migrate" in str(error)
    repository.close()


def test_a_folder_that_is_missing_is_a_matter_of_configuration(tmp_path: Path) -> None:
    repository = SqliteRepository(make_engine(parse_url(f"sqlite:///{tmp_path / 'no' / 'a.db'}")))

    error = failure(repository, rows(1))

    assert (Fault.CONFIGURATION, "SQLITE_CANTOPEN") == (error.fault, error.sqlstate)


def test_too_many_open_files_are_transient(repository: SqliteRepository, path: Path) -> None:
    """SQLite says that it can't open its file, as it says of a folder that is missing."""
    for files in range(4):  # The file, its log, the shared memory: any of them may be refused.
        with no_more_files(but=files):
            try:
                repository.write(Batch(record().id, 1, 1, rows(1)))
            except StoreError as error:
                assert Fault.TRANSIENT is error.fault, (files, str(error))
        repository.close()

    with no_more_files():
        assert Fault.TRANSIENT is failure(repository, rows(1)).fault
    assert repository.write(Batch(record().id, 2, 2, rows(1)))


def test_a_shortage_of_memory_is_transient(
    repository: SqliteRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("structlog_activity.store.sqlite.check_version", refuse)
        error = failure(repository, rows(1))

    assert (Fault.TRANSIENT, "no memory is left") == (error.fault, error.sqlstate)
    assert repository.write(Batch(record().id, 2, 2, rows(1)))


def test_a_file_that_is_no_database_is_a_matter_of_configuration(tmp_path: Path) -> None:
    path = tmp_path / "text.db"
    path.write_text("this is no database, but long enough to be looked at as if it were one" * 20)
    repository = SqliteRepository(make_engine(parse_url(f"sqlite:///{path}")))

    error = failure(repository, rows(1))

    assert (Fault.CONFIGURATION, "SQLITE_NOTADB") == (error.fault, error.sqlstate)


def test_a_row_that_can_not_be_bound_is_the_rows_own_fault(repository: SqliteRepository) -> None:
    batch = rows(3)
    batch[1] = batch[1]._replace(object_id="\ud800")

    assert Fault.DATA is failure(repository, batch).fault


def test_a_connection_that_is_closed_in_the_middle_is_no_rows_fault(
    repository: SqliteRepository, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = repository._send

    def closed_before(connection: sqlite3.Connection, *what: Any) -> None:
        connection.close()
        send(connection, *what)

    monkeypatch.setattr(repository, "_send", closed_before)
    assert Fault.TRANSIENT is failure(repository, rows(2)).fault
    monkeypatch.undo()

    assert repository.write(Batch(record().id, 1, 1, rows(2)))
    assert 2 == count(path)


def test_a_full_disk_is_transient_and_keeps_what_was_committed(
    repository: SqliteRepository, path: Path
) -> None:
    repository.write(Batch(record().id, 1, 1, rows(5)))
    assert repository._connection is not None
    (pages,) = repository._connection.execute("PRAGMA page_count").fetchone()
    repository._connection.execute(f"PRAGMA max_page_count = {pages}")

    big = [row._replace(data='{"x": "' + "y" * 9000 + '"}') for row in rows(40)]
    error = failure(repository, big)

    assert (Fault.TRANSIENT, "SQLITE_FULL") == (error.fault, error.sqlstate)
    assert 5 == count(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_that_may_not_be_written_is_a_matter_of_configuration(
    repository: SqliteRepository, path: Path
) -> None:
    path.chmod(0o400)

    assert Fault.CONFIGURATION is failure(repository, rows(1)).fault


def test_a_trigger_of_somebody_else_on_the_ledger_refuses_the_batch_and_nothing_of_it_stays(
    repository: SqliteRepository, path: Path
) -> None:
    """Neither is the batch there already, nor would another number help."""
    connection = sqlite3.connect(path)
    connection.execute(
        "CREATE TRIGGER somebody BEFORE INSERT ON user_activity_batch WHEN new.n = 2 "
        "BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    connection.close()

    error = failure(repository, rows(2))

    assert "SQLITE_CONSTRAINT_TRIGGER" == error.sqlstate
    assert 0 == count(path)
    assert repository.write(Batch(record().id, 2, 2, rows(3)))
