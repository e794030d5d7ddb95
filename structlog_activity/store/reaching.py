"""
Reaching a database: what SQLAlchemy raises, told by errors of this package.
"""

from __future__ import annotations

import contextlib
import re

from collections.abc import Iterator
from typing import Final

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from ..errors import RepositoryError, SchemaError
from .engine import shown, to_run
from .errorcodes import (
    NO_PRIVILEGE,
    code_of,
    connect_problem,
    fault_of_sqlite,
    fault_of_sqlstate,
    is_of_sqlite,
    lacks_tables,
)
from .faults import Fault


_OWN_TABLE: Final = re.compile(r"\b(user_)?activity_[a-z0-9_]+|\buser_activity\b")


class ConnectionLostError(RepositoryError):
    """
    A connection that was open had been lost; the next use opens another.

    .. versionadded:: 0.1.0
    """


@contextlib.contextmanager
def reached(url: URL) -> Iterator[None]:
    """
    Turn what SQLAlchemy raises in the block into errors of this package.

    Args:

        url: The database, for the message.

    Raises:

        SchemaError: Tables or columns are missing.

        ConnectionLostError: The connection broke, as all that the engine holds
            do when the server restarts.

        RepositoryError: The database can't be reached, or refuses.
    """
    try:
        yield
    except SQLAlchemyError as error:
        plain = _plain_error(error, shown(url))
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            raise ConnectionLostError(str(plain), sqlstate=plain.sqlstate) from None
        raise plain from None


def is_passing(error: RepositoryError) -> bool:
    """Tell whether a read that failed so may succeed later, with nobody doing anything."""
    if isinstance(error, SchemaError):
        return False
    tell = fault_of_sqlite if is_of_sqlite(error.sqlstate) else fault_of_sqlstate
    return tell(error.sqlstate) in {Fault.TRANSIENT, Fault.SLOW}


def _named(error: object) -> str:
    """Return the table of ours that an error names, for the rest of it may quote values."""
    found = _OWN_TABLE.search(str(error))
    return f" ({found[0]})" if found else ""


def _plain_error(error: SQLAlchemyError, where: str) -> RepositoryError:
    """Return the error of ours for one of SQLAlchemy's, without values and passwords."""
    original = (error.orig if isinstance(error, DBAPIError) else None) or error
    code = code_of(original)
    if lacks_tables(original):
        return SchemaError(
            f"{where}: the activity tables are missing or of another version: {to_run(where)}",
            sqlstate=code,
        )
    if code == NO_PRIVILEGE:
        return RepositoryError(
            f"{where}: the role has no privilege on the activity tables{_named(original)}: "
            "GRANT gives it",
            sqlstate=code,
        )
    if code and not is_of_sqlite(code):
        return RepositoryError(
            f"{where} refused: {type(original).__name__} ({code})", sqlstate=code
        )
    return RepositoryError(f"can't reach {where}: {connect_problem(original)[1]}", sqlstate=code)
