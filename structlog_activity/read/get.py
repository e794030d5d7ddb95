"""
One record by its id.
"""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Integer, Select, bindparam, select

from ..record.record import ActivityRecord
from ..store.table import user_activity
from .arguments import moment_of, record_id
from .conditions import Shape, conditions
from .connect import Bind, on_any_bind, reading
from .filter import ActivityFilter
from .rows import Search, bounds, search, spans_of
from .spans import Span
from .statements import COLUMNS, Cut, literal, to_record, within


_C: Final = user_activity.c
_MILLISECOND: Final = timedelta(milliseconds=1)


@on_any_bind
def get(bind: Bind, tenant_id: Any, id: Any) -> ActivityRecord | None:  # noqa: A002
    """
    Return the record of a tenant that has an id, `None` if there is none.

    The time in an id of this package (a UUIDv7) leads to the record at once. For
    another one all records of the tenant are looked through, newest first. Of
    several records with the same id it is the newest, or that whose time the id
    tells.

    Args:

        bind: Engine, connection or session of the database.

        tenant_id: The tenant; `NIL` for records without one, `ALL_TENANTS` for any.

        id: The record's, in any form that `to_uuid` reads.

    Raises:

        InvalidFilterError: The tenant is missing or an argument can't be read.

        RepositoryError: The database can't be read.

    .. versionadded:: 0.1.0
    """
    where = ActivityFilter(tenant_id=tenant_id)
    id_ = record_id(id)
    with reading(bind) as connection:
        asked = search(where, None, wanted=1, postgresql=connection.dialect.name == "postgresql")
        at = moment_of(id_)
        if at is not None:
            row = _found(connection, asked, id_, Span(at, at + _MILLISECOND))
            if row is not None:
                return row
        for span in spans_of(connection, asked):
            row = _found(connection, asked, id_, span)
            if row is not None:
                return row
    return None


def _found(connection: Connection, asked: Search, id_: UUID, span: Span) -> ActivityRecord | None:
    statement = _statement(asked.shape, bounds(span))
    row = connection.execute(statement, asked.bound(span) | {"id": id_}).first()
    return None if row is None else to_record(row)


@lru_cache(maxsize=8)
def _statement(shape: Shape, cut: Cut) -> Select[Any]:
    return (
        select(*COLUMNS)
        .where(*conditions(shape, _C), *within(cut), _C.id == bindparam("id", type_=_C.id.type))
        .order_by(_C.created_at.desc(), _C.id.desc())
        .limit(literal("wanted", Integer))
    )
