"""
Which repository belongs to which database.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlalchemy import URL, Engine

from .engine import POSTGRESQL, require_psycopg


if TYPE_CHECKING:
    from .repository import Repository


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
        from .postgresql import PostgresRepository

        return PostgresRepository(url, key=key, migrate=migrate, on_power=on_power)
    from .sqlite import SqliteRepository

    return SqliteRepository(engine(), key=key, migrate=migrate)
