"""
For hosts whose schema is managed by Alembic; it is not imported here.

In ``env.py``, so that autogenerate leaves our tables alone::

    from structlog_activity.alembic import include_name

    context.configure(..., include_name=include_name)

In a revision, so that they are made together with the host's own::

    from structlog_activity.alembic import downgrade as activity_downgrade
    from structlog_activity.alembic import upgrade as activity_upgrade

    def upgrade():
        activity_upgrade(op.get_bind())
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .errors import SchemaError
from .store.partitions import is_partition
from .store.schema import Schema
from .store.table import VIEWS, metadata


if TYPE_CHECKING:
    from sqlalchemy import Connection

    from .store.schema import Migration


def include_name(name: str | None, type_: str, parent_names: Mapping[str, Any]) -> bool:
    """
    Tell whether autogenerate may look at something in the database.

    It may not at our tables, their partitions, indexes and views, which are no
    part of the host's metadata, and which it would propose to drop.

    Args:

        name: Its name; `None` for the default schema.

        type_: What it is, such as ``"table"`` or ``"index"``.

        parent_names: Where it belongs; under ``"table_name"`` to which table.

    Returns:

        `False` for what is ours.

    .. versionadded:: 0.1.0
    """
    table = name if type_ in {"table", "view"} else parent_names.get("table_name")
    return table is None or not _is_ours(table)


def upgrade(connection: Connection | None, to: int | None = None) -> list[Migration]:
    """
    Take the steps of our schema that are missing, in the host's transaction.

    The steps join the transaction that is open on *connection*, or begin one, and
    nothing is committed here: they are there with the host's COMMIT, or not at
    all. Until then they hold the lock of whoever migrates, on PostgreSQL an
    advisory one, on SQLite that for writing.

    Args:

        connection: ``op.get_bind()``.

        to: Stop after this version; default is the newest of this release. A
            revision that names it does the same for ever.

    Returns:

        The steps that were taken; none where they were there already.

    Raises:

        SchemaError: A step failed, the tables are of a newer release, or there is
            no connection, as in Alembic's offline mode.

    .. versionadded:: 0.1.0
    """
    return Schema(_required(connection)).migrate(to)


def downgrade(connection: Connection | None, to: int = 0) -> list[Migration]:
    """
    Undo the steps of our schema after a version, in the host's transaction.

    All records in tables that are dropped are lost.

    Args:

        connection: ``op.get_bind()``.

        to: The version to end at; 0 removes everything but the memory of which
            steps were taken.

    Returns:

        The steps that were undone, newest first.

    Raises:

        SchemaError: As for `upgrade`.

    .. versionadded:: 0.1.0
    """
    return Schema(_required(connection)).downgrade(to)


def _required(connection: Connection | None) -> Connection:
    if connection is None:
        raise SchemaError(
            "there is no connection, as in Alembic's offline mode (--sql): "
            "structlog-activity migrate --sql prints the SQL of the activity tables"
        )
    return connection


def _is_ours(name: str) -> bool:
    return name in metadata.tables or name in VIEWS or is_partition(name)
