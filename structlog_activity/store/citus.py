"""
Whether the tables are spread over the machines of a Citus cluster.

Nearly everything is the same there. What is not asks here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import Connection, Engine

from ..errors import RepositoryError
from .engine import POSTGRESQL, shown


_HAS_CITUS: Final = "SELECT to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL"
_SPREAD: Final = (
    "EXISTS (SELECT FROM pg_catalog.pg_dist_partition "
    "WHERE logicalrelid = to_regclass('user_activity'))"
)
_IS_SPREAD: Final = f"SELECT {_SPREAD}"
# The coordinator's group is 0, and so is that of a server that is in no cluster.
_COORDINATOR: Final = (
    "SELECT (SELECT nodename || ':' || nodeport FROM pg_catalog.pg_dist_node "  # noqa: S608
    "WHERE groupid = 0 AND noderole = 'primary') "
    f"FROM pg_catalog.pg_dist_local_group WHERE groupid <> 0 AND {_SPREAD}"
)


def is_spread(connection: Connection) -> bool:
    """
    Tell whether each tenant's rows lie on a machine of their own choice.

    There statements that lock or move rows are to name the tenant: Citus refuses
    them for rows of many machines.
    """
    if connection.dialect.name != POSTGRESQL or not _has_citus(connection.exec_driver_sql):
        return False
    return bool(connection.exec_driver_sql(_IS_SPREAD).scalar())


def worker_problem(execute: Callable[[str], Any], where: str) -> str:
    """
    Return why only reads may go through this node of a cluster; ``""`` if anything may.

    The ledger lies on the coordinator, and its order is that of the coordinator's
    transactions; a worker's have numbers of their own. A snapshot that begins on a
    worker has that one's rows as they were before it comes to the ledger: what is
    written meanwhile would look like rows that were removed.

    Args:

        execute: Runs SQL on an open connection and returns its cursor.

        where: The database, for the message.
    """
    found = execute(_COORDINATOR).fetchone() if _has_citus(execute) else None
    if found is None:
        return ""
    at = f", {found[0]}," if found[0] else ""
    return (
        f"{where}: this is a worker of a Citus cluster, through which one may only read; "
        f"connect to its coordinator{at} to write, follow, check, maintain or take away"
    )


def refuse_worker(connection: Connection) -> None:
    """
    Refuse a node of a cluster that is not its coordinator.

    Raises:

        RepositoryError: It is one; the text says where to connect to.
    """
    if connection.dialect.name != POSTGRESQL:
        return
    problem = worker_problem(connection.exec_driver_sql, shown(connection.engine.url))
    if problem:
        raise RepositoryError(problem)


def at_coordinator(engine: Engine) -> Engine:
    """
    Return *engine*, which does not reach a worker of a cluster.

    Raises:

        RepositoryError: It does; the text says where to connect to.
    """
    if engine.dialect.name == POSTGRESQL:
        with engine.connect() as connection:
            refuse_worker(connection)
    return engine


def _has_citus(execute: Callable[[str], Any]) -> bool:
    return bool(execute(_HAS_CITUS).fetchone()[0])
