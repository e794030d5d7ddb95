"""
PostgreSQL's advisory locks: who keeps whom from what, all in one place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from ..errors import RepositoryError
from ..findings import Finding
from .engine import shown
from .errorcodes import code_of


SCHEMA: Final = 0x75736572_61637469  # "useracti"
"""Who changes tables and partitions, to the end of that transaction."""

CHECKPOINT: Final = SCHEMA + 1
"""Who appends to a file of checkpoints, to the end of that transaction."""

COUNTS: Final = 0x75736572_666F6C64  # "userfold"
"""Who moves counts between open and folded, to the end of that transaction."""

MAINTENANCE: Final = 0x75736572_6D61696E  # "usermain"
"""The one process that does maintenance or retention, as long as its session."""

LISTENERS: Final = 7_152_904_431_718_846_226
"""Whoever listens for batches holds it, shared, as long as its session."""

_LOCKED_OUT: Final = "55P03"
_OWNER: Final = text(
    "SELECT pg_get_userbyid(relowner), pg_has_role(relowner, 'USAGE'), current_user "
    "FROM pg_class WHERE oid = to_regclass('user_activity')"
)


def lock(execute: Callable[[str], Any], key: int) -> None:
    """
    Wait for a lock, and hold it to the end of the transaction.

    Args:

        execute: Runs SQL in that transaction.

        key: One of the above.
    """
    execute(f"SELECT pg_advisory_xact_lock({key})")


@contextmanager
def alone(engine: Engine) -> Iterator[Connection | None]:
    """
    Keep others from maintenance and retention, as the owner of the tables.

    Args:

        engine: Of the database.

    Returns:

        A session of its own; `None` while somebody else has the lock.

    Raises:

        RepositoryError: The role does not own the tables.
    """
    with _own_session(engine) as session:
        _require_owner(session, shown(engine.url))
        with _locked(session) as is_alone:
            yield session if is_alone else None


@contextmanager
def unless_locked_out(what: str, findings: list[Finding]) -> Iterator[None]:
    """
    Give up the block where others hold the table for too long.

    Args:

        what: Is worked on, for the finding.

        findings: Where it is noted that others do.
    """
    try:
        yield
    except DBAPIError as error:
        if code_of(error.orig) != _LOCKED_OUT:
            raise
        findings.append(
            Finding(
                f"{what}.locked",
                f"the work on {what} was given up: somebody's transaction holds user_activity",
                "SELECT pid, xact_start, query FROM pg_stat_activity ORDER BY xact_start  "
                "-- end that one, then run maintenance again",
            )
        )


@contextmanager
def _own_session(engine: Engine) -> Iterator[Connection]:
    """Give a connection outside of the pool, whose end is the end of its settings."""
    with engine.connect() as connection:
        session = connection.execution_options(isolation_level="AUTOCOMMIT")
        session.detach()
        session.execute(text("SET statement_timeout = 0"))
        yield session


@contextmanager
def _locked(session: Connection) -> Iterator[bool]:
    """Keep others away; gives whether none is there already."""
    key = {"key": MAINTENANCE}
    is_alone = bool(session.scalar(text("SELECT pg_try_advisory_lock(:key)"), key))
    try:
        yield is_alone
    finally:
        # The server notices a closed connection a little later than its client.
        if is_alone:
            with suppress(DBAPIError):
                session.execute(text("SELECT pg_advisory_unlock(:key)"), key)


def _require_owner(session: Connection, where: str) -> None:
    owner, is_owner, role = session.execute(_OWNER).one()
    if not is_owner:
        raise RepositoryError(
            f"{where}: maintenance needs the owner of the tables, {owner}, and {role} is not: "
            "give --url, or the log, that role"
        )
