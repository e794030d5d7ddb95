"""
What of the ledger can be seen at one moment, and what is still under way.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple
from zlib import crc32

from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.exc import DBAPIError

from ...errors import RepositoryError
from ...store.engine import POSTGRESQL
from ...store.table import user_activity_batch
from ..connect import reading


# On Citus a transaction can be seen before the machines have all of its rows; whose rows
# they are is told by its lock on its own number (the lower half of it), the last it gives back.
_SNAPSHOT: Final = text(
    "SELECT CAST(pg_current_snapshot() AS text), pg_is_in_recovery(), "
    "CASE WHEN to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL THEN "
    "ARRAY(SELECT CAST(CAST(transactionid AS text) AS bigint) FROM pg_catalog.pg_locks "
    "WHERE locktype = 'transactionid' AND mode = 'ExclusiveLock') END"
)
_SERVER: Final = text("SELECT system_identifier FROM pg_control_system()")
# No privilege, no such function.
_UNKNOWN: Final = {"42501", "42883"}
_EVERYTHING: Final = 2**63 - 1


class Horizon(NamedTuple):
    """
    Which transactions a look can see.

    Attributes:

        ceiling: The first that it can't for certain, and no later one.

        beyond: The first that had not begun.

        running: Those below the ceiling that are under way, in order.
    """

    ceiling: int
    beyond: int
    running: tuple[int, ...]

    def is_open(self, ordinal: int) -> bool:
        """Tell whether a transaction may still commit, or has just done so, unseen."""
        return ordinal >= self.ceiling or ordinal in self.running

    def open_before(self, ordinal: int) -> tuple[int, ...]:
        """Return the transactions under way that have lower numbers."""
        return tuple(other for other in self.running if other < ordinal)


@contextmanager
def snapshot(engine: Engine) -> Iterator[tuple[Connection, Horizon]]:
    """Give one snapshot for all that is read in the block, and what it can see."""
    with reading(engine) as connection:
        if _is_postgresql(connection):
            connection.execution_options(isolation_level="REPEATABLE READ")
        yield connection, _horizon(connection)


def refuse_foreign(connection: Connection, horizon: Horizon) -> None:
    """
    Refuse a ledger with numbers that this server has not come to yet.

    Raises:

        RepositoryError: It is one.
    """
    last = connection.execute(select(func.max(user_activity_batch.c.ordinal))).scalar_one()
    if last is not None and last >= horizon.beyond:
        raise RepositoryError(
            "the ledger was brought here from another server, whose transactions had higher "
            "numbers than those here have yet; give it numbers of this one: "
            "UPDATE user_activity_batch SET ordinal = pg_current_xact_id()::text::bigint "
            "WHERE ordinal >= pg_current_xact_id()::text::bigint"
        )


def server_number(engine: Engine) -> int:
    """
    Return a number of 32 bits that tells a database's server from others.

    0 where it can't be told: on SQLite, and for roles that may not ask.
    """
    with reading(engine) as connection:
        if not _is_postgresql(connection):
            return 0
        try:
            return crc32(str(connection.execute(_SERVER).scalar_one()).encode()) or 1
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", "") not in _UNKNOWN:
                raise
            return 0


def _is_postgresql(connection: Connection) -> bool:
    """Tell whether PostgreSQL is read, and not SQLite."""
    return connection.dialect.name == POSTGRESQL


def _horizon(connection: Connection) -> Horizon:
    if not _is_postgresql(connection):
        return Horizon(_EVERYTHING, _EVERYTHING, ())
    snapshot, is_standby, ending = connection.execute(_SNAPSHOT).one()
    first, beyond, running = snapshot.split(":")
    if is_standby:
        return Horizon(int(first), int(beyond), ())
    numbers = {int(number) for number in running.split(",") if number}
    numbers.update(_whole(half, int(beyond)) for half in ending or ())
    below = sorted(number for number in numbers if 0 < number < int(beyond))
    return Horizon(int(beyond), int(beyond), tuple(below))


def _whole(half: int, beyond: int) -> int:
    """Return the last number up to *beyond* that has this lower half."""
    return beyond - ((beyond - half) & 0xFFFFFFFF)
