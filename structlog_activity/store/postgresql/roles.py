"""
Roles on PostgreSQL: who may add to the log, read it, and change what it says.
"""

from __future__ import annotations

import logging

from collections.abc import Callable, Iterator
from typing import Any, Final

from sqlalchemy import Engine

from ...findings import Finding
from ..engine import POSTGRESQL
from ..reaching import reached
from ..schema import migrations_folder


_POWERS: Final = """
    SELECT current_user,
        (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),
        pg_has_role(current_user, c.relowner, 'USAGE'),
        has_table_privilege(c.oid, 'UPDATE'),
        has_table_privilege(c.oid, 'DELETE'),
        has_table_privilege(c.oid, 'TRUNCATE')
    FROM pg_class c WHERE c.oid = to_regclass('user_activity')
"""
_WHY: Final = (
    "is a superuser",
    "owns the table",
    "may UPDATE it",
    "may DELETE from it",
    "may TRUNCATE it",
)

REMEDY: Final = (
    "structlog-activity --url postgresql://OWNER@HOST/DATABASE migrate --roles --apply  "
    "# then log in as a member of activity_writer"
)


def roles_sql() -> str:
    """Return the SQL that makes the roles and says what each may do; it may be run again."""
    return (migrations_folder() / POSTGRESQL / "roles.sql").read_text(encoding="utf-8")


def apply_roles(engine: Engine) -> None:
    """
    Make the roles, and grant each what it needs and no more.

    Args:

        engine: Reaches the database, as somebody who may make roles and owns
            the tables.

    Raises:

        RepositoryError: The database can't be reached, or refuses.
    """
    with reached(engine.url), engine.begin() as connection:
        # Several statements with % in them, which only the driver itself takes as they are.
        driver: Any = connection.connection.driver_connection
        driver.execute(roles_sql())


def power_over_history(execute: Callable[[str], Any]) -> str:
    """
    Return why the role of a connection can change what was recorded; ``""`` if it can't.

    Args:

        execute: Runs SQL on an open connection and returns its cursor.
    """
    found = execute(_POWERS).fetchone()
    if found is None:
        return ""
    role, *powers = found
    why = next((why for why, has in zip(_WHY, powers, strict=True) if has), "")
    return why and f"the database role {role} can change or remove what was recorded: it {why}"


class RolePower:
    """
    Remember what the writing role may do that it should not, and warn of it.

    Attributes:

        why: That; empty while nothing is known of it.
    """

    def __init__(self) -> None:
        self.why = ""

    def note(self, why: str) -> None:
        """Say so on the logger ``structlog_activity``, where anybody listens: it is no failure."""
        self.why = why
        logger = logging.getLogger("structlog_activity")
        if logger.hasHandlers():
            logger.warning("%s; %s", why, REMEDY)


def check_role(engine: Engine) -> Iterator[Finding]:
    """Yield a note if the role can change what was recorded."""
    if engine.dialect.name != POSTGRESQL:
        return
    with reached(engine.url), engine.connect() as connection:
        why = power_over_history(connection.exec_driver_sql)
    if why:
        yield Finding("database.history", why, REMEDY, is_note=True)
