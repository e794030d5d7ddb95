"""
Whether the tables are spread over the machines of a Citus cluster.

Nearly everything is the same there. What is not asks here.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, text

from .engine import POSTGRESQL


_HAS_CITUS: Final = text("SELECT to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL")
_IS_SPREAD: Final = text(
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_dist_partition "
    "WHERE logicalrelid = to_regclass('user_activity'))"
)


def is_spread(connection: Connection) -> bool:
    """
    Tell whether each tenant's rows lie on a machine of their own choice.

    There statements that lock or move rows are to name the tenant: Citus refuses
    them for rows of many machines.
    """
    if connection.dialect.name != POSTGRESQL or not connection.scalar(_HAS_CITUS):
        return False
    return bool(connection.scalar(_IS_SPREAD))
