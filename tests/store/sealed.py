"""
A sealed log on either database, and what somebody may do to it.
"""

from __future__ import annotations

import dataclasses

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, Row, Table, delete, func, insert, select, update

from structlog_activity import NIL, to_uuid
from structlog_activity.record.rowmaker import RowMaker
from structlog_activity.record.times import to_microseconds
from structlog_activity.store.batch import Batch
from structlog_activity.store.engine import make_engine, parse_url
from structlog_activity.store.repository import Repository
from structlog_activity.store.seals import seal as seals
from structlog_activity.store.seals.report import SealFinding, VerifyReport
from structlog_activity.store.seals.stored import snapshot
from structlog_activity.store.seals.verify import verify_log
from structlog_activity.store.table import (
    metadata,
    user_activity,
    user_activity_batch,
    user_activity_migration,
)
from tests.support.records import record
from tests.support.stores import empty


KEY = b"a key of thirty-two bytes, all of"
ROWS, BATCHES = 4, 3

rows_of = user_activity.c
lines_of = user_activity_batch.c


class SealedLog:
    """A log of one chain of three batches of four rows, signed."""

    def __init__(self, engine: Engine, folder: Path, make_repository: Any) -> None:
        self.engine = engine
        self.folder = folder
        self.make_repository = make_repository
        self._made: list[Repository] = []
        self.repository = self.new_repository()
        self.writer_id = to_uuid("writer")
        self.seq = 0
        for n in range(BATCHES):
            self.write(n)

    def new_repository(self, key: bytes = KEY) -> Repository:
        self._made.append(self.make_repository(key))
        return self._made[-1]

    def close(self) -> None:
        for repository in self._made:
            repository.close()

    def write(self, n: int, repository: Repository | None = None, **fields: Any) -> None:
        """Write the batch with that number."""
        self.seq += 1
        make = RowMaker().make_from
        records = [
            record(
                object_id=f"{n}-{ix}",
                actor_id=to_uuid("somebody"),
                channel="a",
                ip="192.0.2.1",
                data={"count": 1, "note": "as it was", "small": 1e-7, "é": [1.5, None]},
                **fields,
            )
            for ix in range(ROWS)
        ]
        batch = Batch(self.writer_id, self.seq, 1000 + self.seq, [make(one) for one in records])
        assert (repository or self.repository).write(batch)

    # -- what somebody does -------------------------------------------------

    @contextmanager
    def hands_on(self) -> Iterator[Connection]:
        with self.engine.begin() as connection:
            yield connection

    def change(self, where: Any, table: Table = user_activity, **values: Any) -> None:
        with self.hands_on() as connection:
            assert connection.execute(update(table).where(where).values(**values)).rowcount

    def remove(self, where: Any, table: Table = user_activity) -> None:
        with self.hands_on() as connection:
            assert connection.execute(delete(table).where(where)).rowcount

    def copy(self, where: Any, table: Table = user_activity, **values: Any) -> None:
        """Insert what is there once more, with other values."""
        with self.hands_on() as connection:
            if table is user_activity_batch:
                values["ordinal"] = connection.scalar(select(func.max(lines_of.ordinal) + 1))
            for found in connection.execute(select(table).where(where)).all():
                connection.execute(insert(table).values(**{**found._asdict(), **values}))

    def empty(self) -> None:
        with self.hands_on() as connection:
            for table in metadata.sorted_tables:
                if table is not user_activity_migration:
                    connection.execute(delete(table))

    def row(self, n: int, ix: int) -> Row[Any]:
        with self.engine.connect() as connection:
            return connection.execute(select(user_activity).where(at(n, ix))).one()

    def reseal(self, key: bytes | None = None) -> None:
        """Make all digests right for what is there now; with *key*, all signatures as well."""
        with snapshot(self.engine) as log:
            found = sorted(log.rows(), key=lambda one: (one.batch_id, one.batch_ix))
            lines = list(log.seals())
        prev = seals.genesis(lines[0].seal.chain_id)
        signing = seals.first_key(key or b"", lines[0].seal.chain_id)
        for line in lines:
            own = [one for one in found if one.batch_id == line.seal.batch_id]
            digests = seals.leaves([o.row for o in own], [bytes(o.commitment) for o in own])
            new = dataclasses.replace(line.seal, n=len(own), root=seals.root(digests), prev=prev)
            prev = new.digest()
            values: dict[str, Any] = {"n": new.n, "root": new.root, "prev": new.prev, "seal": prev}
            if key:
                values["mac"] = seals.mac(signing, prev)
            self.change(lines_of.link == new.link, user_activity_batch, **values)
            signing = seals.next_key(signing)

    # -- what is found ------------------------------------------------------

    def verify(self, *, key: bytes = KEY, **how: Any) -> VerifyReport:
        options = {"checkpoint": None, "since_checkpoint": False, "progress": None, **how}
        keys = [key] if key else []
        report = verify_log(self.engine, keys=keys, in_database=False, **options)
        if self.engine.dialect.name == "postgresql":
            options["progress"] = None
            there = verify_log(self.engine, keys=keys, in_database=True, **options)
            assert set(report.findings) == set(there.findings)
            assert (report.rows, report.erased) == (there.rows, there.erased)
        return report

    def found(self, **how: Any) -> SealFinding:
        """The one finding."""
        (finding,) = self.verify(**how).findings
        return finding

    def kinds(self, **how: Any) -> list[str]:
        return sorted({finding.kind for finding in self.verify(**how).findings})

    def count(self, table: Table = user_activity_batch) -> int:
        with self.engine.connect() as connection:
            return connection.scalar(select(func.count()).select_from(table)) or 0

    @property
    def chain_id(self) -> UUID:
        with self.engine.connect() as connection:
            found: UUID = connection.execute(select(lines_of.chain_id)).scalars().first() or NIL
            return found


def at(n: int, ix: int) -> Any:
    """The row at a place."""
    return rows_of.object_id == f"{n}-{ix}"


def in_batch(n: int) -> Any:
    """The rows of a batch."""
    return rows_of.batch_id == 1001 + n


def line(n: int) -> Any:
    """A batch's line in the ledger."""
    return lines_of.batch_id == 1001 + n


def micros(found: Row[Any]) -> int:
    return to_microseconds(found.created_at)


@contextmanager
def sealed_sqlite(folder: Path) -> Iterator[SealedLog]:
    from structlog_activity.store.schema import Schema
    from structlog_activity.store.sqlite import SqliteRepository

    engine = make_engine(parse_url(f"sqlite:///{folder / 'activity.db'}"))
    Schema(engine).migrate()
    log = SealedLog(engine, folder, lambda key: SqliteRepository(engine, key=key))
    yield log
    log.close()
    engine.dispose()


@contextmanager
def sealed_postgresql(url: str, folder: Path) -> Iterator[SealedLog]:
    from structlog_activity.store.postgresql.repository import PostgresRepository

    parsed = parse_url(url)
    engine = make_engine(parsed)
    empty(engine, anew=True)
    log = SealedLog(engine, folder, lambda key: PostgresRepository(parsed, key=key))
    yield log
    log.close()
    engine.dispose()
