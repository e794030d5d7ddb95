"""
Who and what occurs most.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Integer, Select, func, select

from ...store.table import user_activity
from ..arguments import Key, top_columns, top_limit
from ..conditions import Shape, conditions, has_only_dimensions, selection
from ..connect import Bind, on_any_bind
from ..filter import ActivityFilter
from ..policy import AccessPolicy
from ..shortcut import reader
from ..statements import literal
from .stats import count_by


_C: Final = user_activity.c
_COUNTED: Final = ("verb", "channel", "object_type")


@on_any_bind
def top(
    bind: Bind,
    where: ActivityFilter,
    *,
    by: str,
    limit: int = 10,
    policy: AccessPolicy | None = None,
) -> list[tuple[Key, int]]:
    """
    Return what most of the records that a filter selects have in one field.

    By verb, channel or object type it is read from the counts, where the
    filter names nothing else but tenant and time; otherwise the rows are counted.

    Args:

        bind: Engine, connection or session of the database.

        where: Which records; its paging is not looked at.

        by: ``"actor_id"``, ``"user_id"``, ``"org_id"``, ``"object"``,
            ``"object_type"``, ``"verb"``, ``"channel"`` or ``"ip"``.

        limit: Most keys, 1 to 200. 0 or less means 10, more means 200.

        policy: What the reader may see; `None`: everything.

    Returns:

        Pairs of key and count, the largest count first, then by key. A key is a
        UUID, text, or for objects the pair of type and id. What is not set is a
        key too (`NIL`, ``""``).

    Raises:

        AccessDeniedError: *policy* does not grant it, or hides the field.

        InvalidFilterError: *by* names no such field, or *limit* is no whole number.

        RepositoryError: The database can't be read.

    .. versionadded:: 0.1.0
    """
    columns, most = top_columns(by), top_limit(limit)
    if policy is not None:
        policy.check_counted(by)
        where = policy.applied(where)
    with reader(bind) as connection:
        asked = selection(where, connection.dialect)
        if by in _COUNTED and has_only_dimensions(asked.shape):
            counts = count_by(connection, asked, (by,))[by].items()
            return sorted(counts, key=lambda item: (-item[1], item[0]))[:most]
        statement = _statement(asked.shape, columns)
        rows = connection.execute(statement, asked.values | {"most": most}).all()
    return [(tuple(key) if len(key) > 1 else key[0], n) for *key, n in rows]


@lru_cache(maxsize=512)
def _statement(shape: Shape, names: tuple[str, ...]) -> Select[Any]:
    columns, n = [_C[name] for name in names], func.count().label("n")
    return (
        select(*columns, n)
        .where(*conditions(shape, _C))
        .group_by(*columns)
        .order_by(n.desc(), *columns)
        .limit(literal("most", Integer))
    )
