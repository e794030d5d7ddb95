"""
Look at a database for what keeps records from being written to it and read from it.
"""

from __future__ import annotations

import os

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, text

from ..errors import RepositoryError, SchemaError
from ..findings import Finding
from .citus import worker_problem
from .engine import POSTGRESQL, file_of, shown
from .reaching import reached
from .schema import Schema


_NEEDED: Final = {
    "user_activity": ("INSERT", "SELECT"),
    "user_activity_batch": ("INSERT", "SELECT"),
    "user_activity_daily": ("INSERT", "UPDATE", "SELECT"),
    "user_activity_monthly": ("SELECT",),
    "user_activity_migration": ("SELECT",),
}
_ANOTHER_URL: Final = "STRUCTLOG_ACTIVITY_URL=..., or --url"
_PRIVILEGE: Final = text("SELECT has_table_privilege(CAST(:name AS text), :privilege)")


def check_database(engine: Engine, *, migrates: bool) -> Iterator[Finding]:
    """
    Yield what is wrong with a database.

    Args:

        engine: Reaches it.

        migrates: The log makes the tables by itself, at its first use.
    """
    where = shown(engine.url)
    file = file_of(engine.url)
    if file is not None and not file.exists():
        yield from _unmade(file, where, migrates=migrates)
        return
    try:
        with reached(engine.url):
            if not migrates:
                Schema(engine).check()
            with engine.connect() as connection:
                if file is not None:
                    yield from _writable(file, where)
                if engine.dialect.name == POSTGRESQL:
                    yield from _node(connection, where)
                    yield from _privileges(connection, where)
    except SchemaError as error:
        yield Finding("database.schema", str(error), f"structlog-activity --url {where} migrate")
    except RepositoryError as error:
        yield Finding("database.unreachable", str(error), _ANOTHER_URL)


def _unmade(file: Path, where: str, *, migrates: bool) -> Iterator[Finding]:
    folder = file.parent
    if not os.access(folder, os.W_OK):
        yield Finding(
            "database.unreachable",
            f"{where}: there is no such file, and none can be made in that folder",
            f"mkdir -p {folder}  # and let the application's user write to it",
        )
    elif not migrates:
        yield Finding(
            "database.schema",
            f"{where}: there is no such file",
            f"structlog-activity --url {where} migrate",
        )


def _node(connection: Connection, where: str) -> Iterator[Finding]:
    problem = worker_problem(connection.exec_driver_sql, where)
    if problem:
        yield Finding("database.worker", problem, _ANOTHER_URL)


def _privileges(connection: Connection, where: str) -> Iterator[Finding]:
    if connection.scalar(text("SHOW transaction_read_only")) == "on":
        yield Finding(
            "database.read_only",
            f"{where} takes no writes: it is a standby, or read-only for this role",
            "ALTER ROLE ... SET default_transaction_read_only = off  # or another host in the URL",
        )
    existing = _existing(connection)
    for name, needed in _NEEDED.items():
        missing = [p for p in needed if name in existing and not _has(connection, name, p)]
        if missing:
            role = connection.scalar(text("SELECT current_user"))
            yield Finding(
                "database.privileges",
                f"{where}: the role has no {', '.join(missing)} on {name}",
                f"GRANT {', '.join(missing)} ON {name} TO {role};",
            )


def _existing(connection: Connection) -> set[str]:
    query = text(
        "SELECT name FROM unnest(CAST(:names AS text[])) name WHERE to_regclass(name) IS NOT NULL"
    )
    return set(connection.scalars(query, {"names": list(_NEEDED)}))


def _has(connection: Connection, name: str, privilege: str) -> bool:
    return bool(connection.scalar(_PRIVILEGE, {"name": name, "privilege": privilege}))


def _writable(file: Path, where: str) -> Iterator[Finding]:
    if not all(os.access(place, os.W_OK) for place in (file, file.parent)):
        yield Finding(
            "database.read_only",
            f"{where}: the file, or its folder, where SQLite keeps its journal, can't be written",
            f"chown APPLICATION_USER {file.parent} {file}",
        )
