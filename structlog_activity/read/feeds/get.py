"""
One record by its id.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Integer, Select, bindparam, select

from ...record.record import ActivityRecord
from ...store.table import user_activity
from ..arguments import moment_of, record_id
from ..conditions import Shape, conditions
from ..connect import Bind, on_any_bind
from ..dates import Span
from ..filter import ActivityFilter
from ..policy import AccessPolicy
from ..shortcut import Reader, reader
from ..statements import COLUMNS, Cut, bounds, literal, to_record, within
from .search import Search, search, spans_of


_C: Final = user_activity.c
_MILLISECOND: Final = timedelta(milliseconds=1)


@on_any_bind
def get(
    bind: Bind,
    tenant_id: Any,
    id: Any,  # noqa: A002
    *,
    policy: AccessPolicy | None = None,
) -> ActivityRecord | None:
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

        policy: What the reader may see; what is not granted is not there. `None`:
            everything.

    Raises:

        AccessDeniedError: *policy* does not grant the tenant.

        InvalidFilterError: The tenant is missing or an argument can't be read.

        RepositoryError: The database can't be read.

    .. versionadded:: 0.1.0
    """
    where, id_ = ActivityFilter(tenant_id=tenant_id), record_id(id)
    where = where if policy is None else policy.applied(where)
    with reader(bind) as connection:
        for asked, span in _places(connection, where, id_):
            found = _statement(asked.shape, bounds(span))
            row = connection.execute(found, asked.bound(span) | {"id": id_}).first()
            if row is not None:
                record = to_record(row)
                return record if policy is None else policy.sanitized(record)
    return None


def _places(connection: Reader, where: ActivityFilter, id_: UUID) -> Iterator[tuple[Search, Span]]:
    """Yield where to look: in the id's own millisecond, and then everywhere."""
    at = moment_of(id_)
    if at is not None:
        then = replace(where, since=at, until=at + _MILLISECOND)
        asked = search(connection, then, None, wanted=1)
        yield asked, next(spans_of(connection, asked))
    asked = search(connection, where, None, wanted=1)
    for span in spans_of(connection, asked):
        yield asked, span


@lru_cache(maxsize=8)
def _statement(shape: Shape, cut: Cut) -> Select[Any]:
    return (
        select(*COLUMNS)
        .where(*conditions(shape, _C), *within(cut), _C.id == bindparam("id"))
        .order_by(_C.created_at.desc())
        .limit(literal("wanted", Integer))
    )
