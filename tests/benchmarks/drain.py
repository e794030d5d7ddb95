"""
From the call to the commit: how fast, and for how much of the host's CPU time.
"""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
import time

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from sqlalchemy import insert
from sqlalchemy.orm import DeclarativeBase, Session

from structlog_activity import ActivityLog
from structlog_activity.record.row import Row
from structlog_activity.record.sink import Pending, finished
from structlog_activity.store.batch import Batch, new_batch_id
from structlog_activity.store.engine import make_engine, parse_url
from structlog_activity.store.seals.seal import SALT_BYTES
from structlog_activity.store.table import user_activity

from .auditlog import AuditlogInsert
from .calls import Nowhere, Ours, bound, flat, logger
from .database import BATCH, connect, copy_in, count, migrated, parts, ready_made, server
from .measuring import Sizes, result
from .others import opentelemetry_rate
from .results import Result


class Seconds:
    """Wall and CPU seconds of what is done within."""

    def __enter__(self) -> Self:
        self.wall, self.cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall, self.cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu


def drain(sizes: Sizes) -> list[Result]:
    """Return rates into PostgreSQL and SQLite beside those of ready-made rows, and our CPU time."""
    with bound():
        return [*_postgresql(sizes), _sqlite(sizes)]


def _postgresql(sizes: Sizes) -> list[Result]:
    rates: dict[str, list[float]] = {}
    cpu: dict[str, list[float]] = {"bare": [], "bare again": [], "ours": []}
    telemetry: dict[str, list[float]] = {"ours": []}
    with server() as started, contextlib.ExitStack() as stack:
        limit = stack.enter_context(connect(migrated(started)))
        again = stack.enter_context(connect(migrated(started)))
        url = migrated(started)
        activity = stack.enter_context(contextlib.closing(ActivityLog(url, max_records=1_000_000)))
        others: dict[str, Any] = {
            name: stack.enter_context(contextlib.closing(make(migrated(started))))
            for name, make in {"Core": CoreInsert, "ORM": OrmInsert}.items()
        }
        with contextlib.suppress(ImportError):  # Who is not installed has no column.
            auditlog = AuditlogInsert(migrated(started))
            others["django-auditlog"] = stack.enter_context(contextlib.closing(auditlog))
        log, silent = logger(activity.processor), logger()
        drained(activity, log, BATCH)  # Connected, and the months are there.
        for _ in range(sizes.runs):
            walls = {}
            with Seconds() as ours:
                drained(activity, log, sizes.records)
            walls["ours"] = ours.wall
            for name, connection in (("limit", limit), ("limit again", again)):
                ready = ready_made(some_rows(sizes.records))
                with Seconds() as copied:
                    copy_in(connection, ready)
                walls[name] = copied.wall
            for name, other in others.items():
                rows = some_rows(max(BATCH, sizes.records // 5))
                batches = [values_of(part) for part in parts(rows)]
                with Seconds() as inserted:
                    other.write(batches)
                walls[name] = inserted.wall * sizes.records / len(rows)
            for name, wall in walls.items():
                rates.setdefault(name, []).append(walls["limit"] / wall)
            spent = {name: _silently(silent, sizes.records) for name in ("bare", "bare again")}
            spent["ours"] = ours.cpu
            for name, seconds in spent.items():
                cpu[name].append(seconds / spent["bare"])
            if (rate := opentelemetry_rate(sizes.records)) is not None:
                telemetry["ours"].append(sizes.records / ours.wall / rate)
        stored = connect(url)
        assert count(stored) == BATCH + sizes.runs * sizes.records
        stored.close()
    found = {name: values for name, values in rates.items() if name != "limit"}
    results = [
        result("call to commit in PostgreSQL, of COPY of ready-made bytes", found,
               again="limit again", goal=0.55, at_least=True),
        result("CPU of the process per record, of a bare call", cpu, goal=3.5),
    ]  # fmt: skip
    if telemetry["ours"]:
        results.append(
            result("call to commit, of OpenTelemetry's batch processor to nothing", telemetry,
                   again=None, goal=1.0, at_least=True)
        )  # fmt: skip
    return results


def drained(activity: ActivityLog, log: Any, number: int) -> None:
    """Make so many activity calls, and wait until they are committed."""
    for _ in range(number):
        flat(log)
    assert activity.flush(120)


def _silently(log: Any, number: int) -> float:
    with Seconds() as spent:
        for _ in range(number):
            flat(log)
    return spent.cpu


def some_rows(number: int) -> list[Row]:
    """Return the rows of so many activity calls."""
    ours = Ours()
    kept: list[Pending] = []

    class Sink(Nowhere):
        def put(self, pending: Pending, /) -> bool:
            kept.append(pending)
            return True

        def reject(self, reason: str, detail: str = "", /) -> None:
            raise AssertionError(reason)

    with ours.recorder.diverted(Sink()):
        log = logger(ours.processor)
        for _ in range(number):
            flat(log)
    ours.close()
    return [finished(item) for item in kept]


class CoreInsert:
    """
    Insert by SQLAlchemy Core.

    Args:

        url: Where.
    """

    def __init__(self, url: str) -> None:
        self.engine = make_engine(parse_url(url))

    def write(self, batches: list[list[dict[str, Any]]]) -> None:
        """Commit each batch."""
        for values in batches:
            with self.engine.begin() as connection:
                connection.execute(insert(user_activity), values)

    def close(self) -> None:
        """Let go of the database."""
        self.engine.dispose()


class Base(DeclarativeBase):
    """The base of mapped classes."""


class Mapped(Base):
    """A row of the table, mapped."""

    __table__ = user_activity


class OrmInsert(CoreInsert):
    """Insert by SQLAlchemy's ORM."""

    def write(self, batches: list[list[dict[str, Any]]]) -> None:
        """Commit each batch."""
        for values in batches:
            with Session(self.engine) as session, session.begin():
                session.add_all([Mapped(**value) for value in values])


def values_of(rows: Any) -> list[dict[str, Any]]:
    """Return what a host that uses SQLAlchemy would insert."""
    batch_id = new_batch_id()
    return [
        {
            **vars_of(row.to_record()),
            "batch_id": batch_id,
            "batch_ix": index,
            "commitment": bytes(SALT_BYTES),
        }
        for index, row in enumerate(rows)
    ]


def vars_of(record: Any) -> dict[str, Any]:
    """Return the columns of a record."""
    names = user_activity.columns.keys()
    given = {"created_at": record.occurred_at}
    return {name: given.get(name, getattr(record, name, None)) for name in names[:12]}


# -- SQLite -------------------------------------------------------------------


def _sqlite(sizes: Sizes) -> Result:
    found: dict[str, list[float]] = {"ours": [], "limit again": []}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        path = Path(folder)
        activity = ActivityLog(f"sqlite:///{path / 'ours.db'}", max_records=1_000_000)
        stack.enter_context(contextlib.closing(activity))
        activity.migrate()
        log = logger(activity.processor)
        limits: list[Callable[[list[Row]], None]] = []
        for name in ("limit.db", "again.db"):
            other = ActivityLog(f"sqlite:///{path / name}")
            other.migrate()
            other.close()
            limits.append(stack.enter_context(Ready(path / name)).write)
        drained(activity, log, BATCH)
        for _ in range(sizes.runs):
            with Seconds() as ours:
                drained(activity, log, sizes.records)
            walls = []
            for write in limits:
                rows = some_rows(sizes.records)
                with Seconds() as written:
                    write(rows)
                walls.append(written.wall)
            found["ours"].append(walls[0] / ours.wall)
            found["limit again"].append(walls[0] / walls[1])
    what = "call to commit in SQLite, of executemany of ready-made tuples"
    return result(what, found, again="limit again", at_least=True)


class Ready:
    """
    Write ready-made tuples into a SQLite file.

    Args:

        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def write(self, rows: list[Row]) -> None:
        """Commit *rows*, batch by batch."""
        places = ", ".join("?" * 15)
        for part in parts(rows):
            batch = Batch.alone(part)
            tuples = [
                (*row, batch.batch_id, index, bytes(SALT_BYTES)) for index, row in enumerate(part)
            ]
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(f"INSERT INTO user_activity VALUES ({places})", tuples)
            self._connection.execute("COMMIT")
