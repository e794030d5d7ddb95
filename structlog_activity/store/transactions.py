"""
Transactions that change what is stored: how they begin, and when they are tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from .engine import SQLITE
from .errorcodes import code_of


_T = TypeVar("_T")
_DEADLOCKED: Final = {"40P01", "40001"}
_TRIES: Final = 10


@contextmanager
def begun(engine: Engine, *, erases: bool = False) -> Iterator[Connection]:
    """
    Give a connection that may write at once, and for as long as it takes.

    Args:

        engine: With transactions.

        erases: Whether what is taken away is to be gone from SQLite's file, too.
    """
    with engine.begin() as connection:
        if connection.dialect.name == SQLITE:
            if erases:
                connection.exec_driver_sql("PRAGMA secure_delete = ON").close()
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            # Others that come in between are to be waited for, and not a failure.
            connection.execute(text("SET TRANSACTION ISOLATION LEVEL READ COMMITTED"))
            connection.execute(text("SET LOCAL statement_timeout = 0"))
        yield connection


def take_away(engine: Engine, work: Callable[[Connection], _T]) -> _T:
    """
    Call *work* in a transaction, and again where it met others in the wrong order.

    Args:

        engine: With transactions.

        work: Takes something away; nothing of it stays where it raises.
    """
    for _ in range(_TRIES - 1):
        try:
            with begun(engine, erases=True) as connection:
                return work(connection)
        except DBAPIError as error:
            if code_of(error.orig) not in _DEADLOCKED:
                raise
    with begun(engine, erases=True) as connection:
        return work(connection)
