"""
The schema's versions: numbered SQL files, applied once each and remembered.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, delete, insert, inspect, select
from sqlalchemy.exc import DBAPIError

from ..errors import SchemaError
from .engine import SQLITE, shown, to_run
from .errorcodes import NO_PRIVILEGE, NO_TABLE, TABLE_EXISTS, code_of
from .faults import Fault, StoreError
from .locks import SCHEMA, lock
from .table import user_activity_migration


@dataclass(frozen=True, slots=True)
class Migration:
    """
    One step of the schema, there and back.

    Attributes:

        version: 1, 2, 3, ...

        name: File name without version and ending.

        up: SQL that takes the step.

        down: SQL that undoes it.

        checksum: SHA-256 of *up*, so that an edited file is noticed.
    """

    version: int
    name: str
    up: str
    down: str
    checksum: str


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """
    Where one step stands.

    Attributes:

        version: 1, 2, 3, ...

        name: Name of the step.

        state: ``"applied"``, ``"pending"``, ``"changed"`` (the file is not
            the one that was applied) or ``"unknown"`` (of a newer release).

        applied_at: When it was applied, UTC; `None` where it was not.
    """

    version: int
    name: str
    state: str
    applied_at: datetime | None


@lru_cache
def migrations(dialect: str) -> tuple[Migration, ...]:
    """Return the steps for ``"postgresql"`` or ``"sqlite"``, in order."""
    folder = migrations_folder() / dialect
    found = []
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        stem, up, _ = file.name.partition(".up.sql")
        if up:
            text = file.read_text(encoding="utf-8")
            found.append(
                Migration(
                    version=int(stem.partition("_")[0]),
                    name=stem.partition("_")[2],
                    up=text,
                    down=(folder / f"{stem}.down.sql").read_text(encoding="utf-8"),
                    checksum=hashlib.sha256(text.encode()).hexdigest(),
                )
            )
    return tuple(found)


def migrations_folder() -> Traversable:
    """Return the folder that holds one of SQL files for each dialect."""
    # In a wheel the files lie within the package, in a checkout beside it.
    inside = files(__package__.partition(".")[0]) / "migrations"
    return inside if inside.is_dir() else Path(__file__).parents[2] / "migrations"


def check_version(execute: Callable[[str], Any], dialect: str, where: str) -> None:
    """
    Make sure that the tables are those that this release writes.

    Args:

        execute: Runs SQL on an open connection and returns its cursor.

        dialect: ``"postgresql"`` or ``"sqlite"``.

        where: The database, for the message.

    Raises:

        StoreError: With the fault "configuration": tables are missing or of
            another version.
    """
    try:
        cursor = execute("SELECT max(version) FROM user_activity_migration")
        found = cursor.fetchone()[0] or 0
    except Exception as error:
        if code_of(error) == NO_PRIVILEGE:  # A writer needn't see this table.
            return
        if code_of(error) != NO_TABLE and not _no_table(error):
            raise
        found = 0
    problem = version_problem(found, migrations(dialect)[-1].version, where)
    if problem:
        raise StoreError(Fault.CONFIGURATION, f"{where}: {problem}")


def version_problem(found: int, needed: int, where: str) -> str:
    """Return what is wrong with version *found* where *needed* is; ``""`` if nothing."""
    if found == 0:
        return f"the activity tables are missing: {to_run(where)}"
    if found < needed:
        return f"the activity tables are of version {found}, {needed} is needed: {to_run(where)}"
    if found > needed:
        return (
            f"the activity tables are of version {found}, this release knows {needed}: "
            "upgrade structlog-activity"
        )
    return ""


def _no_table(error: Exception) -> bool:
    return isinstance(error, sqlite3.OperationalError) and "no such table" in str(error)


class Schema:
    """
    Bring the tables of one database up to date, or take them back.

    Whoever migrates holds a lock, so that any number of processes may start at
    once. All steps of a call are one transaction: they happen together or not at
    all.

    Args:

        bind: An engine, or a connection whose transaction the steps join.

    .. versionadded:: 0.1.0
    """

    def __init__(self, bind: Engine | Connection) -> None:
        self._bind = bind
        self._steps = migrations(bind.dialect.name)

    @property
    def _where(self) -> str:
        return shown(self._bind.engine.url)

    def status(self) -> list[MigrationStatus]:
        """Return where each step stands, in order, those of newer releases last."""
        with self._connection() as connection:
            applied = _applied(connection)
        known = [_status(step, applied.pop(step.version, None)) for step in self._steps]
        newer = [
            MigrationStatus(row.version, row.name, "unknown", row.applied_at)
            for row in applied.values()
        ]
        return known + newer

    def migrate(self, to: int | None = None) -> list[Migration]:
        """
        Take the steps that are missing.

        Args:

            to: Stop after this version; default is the newest.

        Returns:

            The steps that were taken.

        Raises:

            SchemaError: A step that was taken differs from its file, the
                tables are of a newer release, or a step failed.
        """
        with self._connection() as connection:
            if not self._missing(connection, to):  # Usually, and then nobody waits for a lock.
                return []
        with self._locked() as connection:
            taken = self._missing(connection, to)
            for step in taken:
                _run(connection, step.up, step)
                _remember(connection, step)
            return taken

    def downgrade(self, to: int) -> list[Migration]:
        """
        Undo the steps after version *to*. All records in dropped tables are lost.

        Args:

            to: The version to end at; 0 removes everything.

        Returns:

            The steps that were undone, newest first.

        Raises:

            SchemaError: The tables are of a newer release, or a step failed.
        """
        with self._locked() as connection:
            applied = _applied(connection)
            self._refuse_surprises(applied)
            undone = [s for s in self._steps if s.version > to and s.version in applied][::-1]
            for step in undone:
                _run(connection, step.down, step)
                table = user_activity_migration
                connection.execute(delete(table).where(table.c.version == step.version))
            return undone

    def check(self) -> None:
        """
        Make sure that the tables are those that this release reads.

        Raises:

            SchemaError: They are missing or of another version; the text says
                what to run.
        """
        try:
            with self._connection() as connection:
                applied = _applied(connection)
        except DBAPIError as error:
            if code_of(error.orig) == NO_PRIVILEGE:  # A reader needn't see this table.
                return
            raise
        problem = version_problem(max(applied, default=0), self._steps[-1].version, self._where)
        if problem:
            raise SchemaError(problem)

    def _missing(self, connection: Connection, to: int | None) -> list[Migration]:
        """Return the steps up to version *to* that are not taken yet."""
        applied = _applied(connection)
        self._refuse_surprises(applied)
        last = self._steps[-1].version if to is None else to
        return [s for s in self._steps if s.version <= last and s.version not in applied]

    def _refuse_surprises(self, applied: dict[int, Any]) -> None:
        for step in self._steps:
            row = applied.get(step.version)
            if row is not None and row.checksum != step.checksum:
                raise SchemaError(
                    f"migration {step.version} ({step.name}) is not the one that was applied "
                    f"on {row.applied_at:%Y-%m-%d}; restore the file, or migrate a new database"
                )
        if max(applied, default=0) > self._steps[-1].version:
            raise SchemaError(version_problem(max(applied), self._steps[-1].version, self._where))

    @contextlib.contextmanager
    def _connection(self) -> Iterator[Connection]:
        if isinstance(self._bind, Connection):
            yield self._bind
            return
        with self._bind.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def _locked(self) -> Iterator[Connection]:
        with self._connection() as connection:
            if connection.dialect.name == SQLITE:
                _use_wal(connection)
                if not _driver(connection).in_transaction:
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                lock(connection.exec_driver_sql, SCHEMA)
            user_activity_migration.create(connection, checkfirst=True)
            yield connection
            if connection is not self._bind:
                connection.commit()


def _applied(connection: Connection) -> dict[int, Any]:
    if not inspect(connection).has_table(user_activity_migration.name):
        return {}
    table = user_activity_migration
    rows = connection.execute(select(table).order_by(table.c.version))
    return {row.version: row for row in rows}


def _status(step: Migration, row: Any) -> MigrationStatus:
    if row is None:
        return MigrationStatus(step.version, step.name, "pending", None)
    state = "applied" if row.checksum == step.checksum else "changed"
    return MigrationStatus(step.version, step.name, state, row.applied_at)


def _run(connection: Connection, sql: str, step: Migration) -> None:
    driver = _driver(connection)
    try:
        if connection.dialect.name == SQLITE:
            for statement in _statements(sql):
                driver.execute(statement)
        else:
            driver.execute(sql)
    except Exception as error:
        raise SchemaError(_failure(error, step), sqlstate=code_of(error)) from error


def _failure(error: Exception, step: Migration) -> str:
    what = f"migration {step.version} ({step.name}) failed"
    if code_of(error) == TABLE_EXISTS or "already exists" in str(error):
        return f"{what}: a table of that name exists which this package did not make; rename it"
    if code_of(error) == NO_PRIVILEGE:
        return f"{what}: the role has no privilege to create tables here"
    said = "; ".join(" ".join(line.split()) for line in str(error).splitlines())
    return f"{what}: {said}"


def _remember(connection: Connection, step: Migration) -> None:
    connection.execute(
        insert(user_activity_migration).values(
            version=step.version,
            name=step.name,
            checksum=step.checksum,
            applied_at=datetime.now(UTC),
        )
    )


def _statements(sql: str) -> Iterator[str]:
    # executescript() would commit first, and with that give up the lock.
    pending = ""
    for line in sql.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""


def _use_wal(connection: Connection) -> None:
    # A switch while others have the file open is refused; they are switching.
    with contextlib.suppress(DBAPIError):
        connection.exec_driver_sql("PRAGMA journal_mode = WAL")


def _driver(connection: Connection) -> Any:
    return connection.connection.driver_connection
