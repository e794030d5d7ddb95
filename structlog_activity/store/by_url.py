"""
What belongs to which database: a repository, and a folder of the spool.
"""

from __future__ import annotations

import hashlib
import os
import re

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import URL, Engine

from .engine import POSTGRESQL, SQLITE, require_psycopg


if TYPE_CHECKING:
    from .repository import Repository

_NAME_LENGTH: Final = 32


def repository_for(
    url: URL,
    engine: Callable[[], Engine],
    *,
    key: bytes,
    migrate: Callable[[], object] | None,
    on_power: Callable[[str], object] | None,
) -> Repository:
    """
    Return what writes to a database; it connects when it first has to.

    Args:

        url: Where; as `parse_url` returns it.

        engine: Returns an engine on it.

        key: Signs the seals of batches; empty signs nothing.

        migrate: Called before the first connection is used; `None` leaves the
            schema as it is.

        on_power: Called with what a role of PostgreSQL may do that it should
            not; `None` doesn't look.

    Raises:

        RepositoryError: It is PostgreSQL, and psycopg or its libpq is missing.
    """
    # A driver is loaded only where its database is used.
    if url.get_backend_name() == POSTGRESQL:
        require_psycopg()
        from .postgresql.repository import PostgresRepository

        return PostgresRepository(url, key=key, migrate=migrate, on_power=on_power)
    from .sqlite import SqliteRepository

    return SqliteRepository(engine(), key=key, migrate=migrate)


def folder_for(url: URL, spool_dir: str | os.PathLike[str] | None) -> Path | None:
    """
    Return the folder within *spool_dir* that belongs to one database.

    Logs of several databases may share *spool_dir*, as they do when it comes
    from the environment, and none may write what waits for another one. Who
    logs in, and how, makes no difference.

    Args:

        url: The database.

        spool_dir: Folder for all of them; `None` or ``""``: there is no spool.
    """
    if not spool_dir:
        return None
    kind, database = url.get_backend_name(), url.database or ""
    if kind == SQLITE:
        database = os.path.realpath(database)
    text = "|".join([kind, url.host or "", str(url.port or ""), database])
    name = re.sub(r"[^A-Za-z0-9]+", "-", Path(database).stem)[:_NAME_LENGTH].strip("-")
    return Path(spool_dir, f"{name or 'db'}-{hashlib.sha256(text.encode()).hexdigest()[:12]}")
