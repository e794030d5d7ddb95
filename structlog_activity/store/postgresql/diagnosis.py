"""
What an error of psycopg means for a batch.
"""

from __future__ import annotations

import re

from typing import Final

import psycopg

from ..errorcodes import NO_PRIVILEGE, fault_of_sqlstate
from ..faults import Fault, StoreError
from ..shortage import shortage


_LINE = re.compile(r"COPY user_activity\w*, line (\d+)")
# As the server names it: each partition has one of its own, and each shard of Citus.
_PRIMARY_KEY = re.compile(r"user_activity(_batch|_past|_future|_y\d+m\d+)?_pkey\d*(_\d+)?")
_SIDE_TABLES: Final = {"user_activity_batch", "user_activity_daily"}
_SHARD: Final = re.compile(r"\b(user_activity_(?:batch|daily))_\d+\b")
_INTERNAL: Final = "XX000"  # All that a worker of Citus refuses of a COPY.


def diagnosed(error: Exception, where: str) -> StoreError:
    """
    Return what *error* means, without any value of a row.

    Args:

        error: Raised while a connection was used.

        where: The database, for the message.
    """
    name = type(error).__name__
    if refused := shortage(error):
        return StoreError(Fault.TRANSIENT, f"writing to {where} failed: {refused}")
    if not isinstance(error, psycopg.Error):
        return StoreError(Fault.UNKNOWN, f"writing to {where} failed: {name}")
    sqlstate = error.sqlstate or ""
    if not sqlstate:
        fault = Fault.DATA if isinstance(error, psycopg.DataError) else Fault.TRANSIENT
        return StoreError(fault, f"the connection to {where} failed: {name}")
    if sqlstate == NO_PRIVILEGE:
        message = f"the role may not write to the activity tables of {where}: see GRANT INSERT"
        return StoreError(Fault.CONFIGURATION, message, sqlstate=sqlstate)
    if _is_without_partition(error):
        message = f"no partition of user_activity in {where} takes a row: attach the missing one"
        return StoreError(Fault.CONFIGURATION, message, sqlstate=sqlstate)
    line = _LINE.search(error.diag.context or "")
    return StoreError(
        _fault(error, sqlstate),
        f"{where} refused a batch: {name} ({sqlstate}){_named(error)}",
        sqlstate=sqlstate,
        row=int(line[1]) - 1 if line else None,
    )


def _fault(error: psycopg.Error, sqlstate: str) -> Fault:
    fault = fault_of_sqlstate(sqlstate)
    if sqlstate == _INTERNAL and is_primary_key(error):
        return Fault.DUPLICATE
    if _table(error) in _SIDE_TABLES and fault in (Fault.DATA, Fault.DUPLICATE):
        return Fault.CONFIGURATION  # A constraint that somebody added there; no row can meet it.
    if fault is Fault.DUPLICATE and not is_primary_key(error):
        return Fault.DATA
    return fault


def _is_without_partition(error: psycopg.Error) -> bool:
    """Tell a missing partition from a constraint that a row breaks: both are check violations."""
    # A constraint has a name, also one of a domain; a trigger that raises the same
    # code names no table.
    is_check = isinstance(error, psycopg.errors.CheckViolation)
    return is_check and not error.diag.constraint_name and bool(error.diag.table_name)


def is_primary_key(error: psycopg.Error) -> bool:
    """Tell whether a primary key of ours was violated, not an index that somebody added."""
    return _PRIMARY_KEY.fullmatch(_constraint(error)) is not None


# What comes from a worker of Citus has its names in its words only. Those of tables and
# keys of ours are looked for, whatever the language.


def _constraint(error: psycopg.Error) -> str:
    found = _PRIMARY_KEY.search(error.diag.message_primary or "")
    return error.diag.constraint_name or (found[0] if found else "")


def _table(error: psycopg.Error) -> str:
    found = _SHARD.search(error.diag.message_primary or "")
    return error.diag.table_name or (found[1] if found else "")


def _named(error: psycopg.Error) -> str:
    """Return the names in an error; its texts may quote values of a row."""
    names = {"constraint": _constraint(error), "column": error.diag.column_name}
    return "".join(f", {kind} {name}" for kind, name in names.items() if name)
