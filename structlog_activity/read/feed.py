"""
The feed: records newest first, a page at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Connection, Select, bindparam, func, select, tuple_

from ..errors import InvalidCursorError
from ..record.record import ActivityRecord
from ..record.times import from_microseconds, to_microseconds
from ..store.table import user_activity
from .conditions import Shape, conditions, shape_of, values_of
from .connect import Bind, reading
from .cursor import Place, decode_cursor, encode_cursor
from .filter import ActivityFilter
from .page import ActivityPage


CAP: Final = 10_000
"""How far a capped total counts."""

_LATEST: Final = 253_402_300_799_999_999  # 9999-12-31, in microseconds since 1970
_C: Final = user_activity.c
_FIELDS: Final = (
    "id actor_id user_id tenant_id org_id verb object_type object_id channel ip data".split()
)
_COLUMNS: Final = [*(_C[name] for name in _FIELDS), _C.created_at.label("occurred_at")]


def feed(bind: Bind, where: ActivityFilter, *, key: bytes = b"") -> ActivityPage:
    """
    Return a page of the records that a filter selects, newest first.

    Pages that follow each other by cursor hold every record once, however many
    arrive meanwhile; each costs the same, however deep it lies.

    Args:

        bind: Engine, connection or session of the database.

        where: What to read.

        key: Secret that signs the cursors.

    Raises:

        InvalidCursorError: ``where.after`` or ``where.before`` is no cursor of
            this feed.

        RepositoryError: The database can't be read.

    .. versionadded:: 0.1.0
    """
    digest = where.digest()
    place = _place(where, digest, key)
    with reading(bind) as connection:
        postgresql = connection.dialect.name == "postgresql"
        shape = shape_of(where, postgresql=postgresql)
        values = values_of(where, postgresql=postgresql)
        rows = _rows(connection, shape, values, where, place)
        total, exact = _total(connection, shape, values, where)
    return _page(rows, where, total, exact=exact, digest=digest, key=key)


def _place(where: ActivityFilter, digest: bytes, key: bytes) -> Place | None:
    for name in ("after", "before"):
        text = getattr(where, name)
        if text:
            place = decode_cursor(name, text, digest, key)
            if not 0 <= place.created_at <= _LATEST:  # Only a forged one.
                raise InvalidCursorError(name, text, "is no cursor of this feed")
            return place
    return None


def _rows(
    connection: Connection,
    shape: Shape,
    values: dict[str, Any],
    where: ActivityFilter,
    place: Place | None,
) -> list[Any]:
    direction = "after" if where.after else "before" if where.before else ""
    statement = _page_statement(shape, direction, where.limit, offset=bool(where.offset))
    if place is not None:
        values = {**values, "at": from_microseconds(place.created_at), "id": place.id}
    values["offset"] = where.offset
    return list(connection.execute(statement, values))


@lru_cache(maxsize=512)
def _page_statement(shape: Shape, direction: str, limit: int, *, offset: bool) -> Select[Any]:
    statement = select(*_COLUMNS).where(*conditions(shape, _C))
    key = tuple_(_C.created_at, _C.id)
    place = tuple_(bindparam("at", type_=_C.created_at.type), bindparam("id", type_=_C.id.type))
    # A comparison of pairs alone does not tell PostgreSQL which partitions to
    # leave out, hence the second condition, which says less.
    if direction == "after":
        statement = statement.where(key < place, _C.created_at <= bindparam("at"))
    if direction == "before":
        statement = statement.where(key > place, _C.created_at >= bindparam("at"))
        statement = statement.order_by(_C.created_at, _C.id)
    else:
        statement = statement.order_by(_C.created_at.desc(), _C.id.desc())
    # A literal: with a bound LIMIT the planner does not know how few rows are wanted.
    statement = statement.limit(_literal(limit + 1))
    return statement.offset(bindparam("offset")) if offset else statement


def _literal(number: int) -> Any:
    return bindparam(None, number, literal_execute=True)


def _total(
    connection: Connection, shape: Shape, values: dict[str, Any], where: ActivityFilter
) -> tuple[int | None, bool]:
    if where.total == "none":
        return None, False
    exact = where.total == "exact"
    found: int = connection.execute(_count_statement(shape, exact=exact), values).scalar_one()
    return (found, True) if exact else (min(found, CAP), found <= CAP)


@lru_cache(maxsize=512)
def _count_statement(shape: Shape, *, exact: bool) -> Select[Any]:
    selected = select(_C.id).where(*conditions(shape, _C))
    if not exact:
        selected = selected.limit(_literal(CAP + 1))
    return select(func.count()).select_from(selected.subquery())


def _page(
    rows: Sequence[Any],
    where: ActivityFilter,
    total: int | None,
    *,
    exact: bool,
    digest: bytes,
    key: bytes,
) -> ActivityPage:
    beyond = len(rows) > where.limit
    records = [ActivityRecord(**row._mapping) for row in rows[: where.limit]]  # noqa: SLF001
    older, newer = beyond, bool(where.after or where.offset)
    if where.before:  # Read upwards: what lies beyond is newer, and the cursor's own record older.
        records.reverse()
        older, newer = bool(records), beyond
    cursors = (
        [
            encode_cursor(_place_of(record), digest, key) if there else None
            for record, there in ((records[-1], older), (records[0], newer))
        ]
        if records
        else [None, None]
    )
    return ActivityPage(
        records=records,
        has_more=older,
        next_cursor=cursors[0],
        prev_cursor=cursors[1],
        next_offset=where.offset + where.limit,
        total=total,
        total_is_exact=exact,
    )


def _place_of(record: ActivityRecord) -> Place:
    assert record.occurred_at is not None  # noqa: S101  Every stored record has its time.
    return Place(to_microseconds(record.occurred_at), record.id)
