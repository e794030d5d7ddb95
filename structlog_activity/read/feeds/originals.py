"""
What callers themselves call somebody of whom an id is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, bindparam, select, union_all

from ...record.ids import NIL
from ...record.record import RAW
from ...store.table import user_activity
from ..connect import Bind, on_any_bind
from ..shortcut import reader


_C: Final = user_activity.c

NAMED: Final = ("actor_id", "user_id")
"""The fields of which an index leads from a tenant's id to the newest record that has it."""


@on_any_bind
def originals(bind: Bind, tenant_id: UUID, name: str, ids: Sequence[UUID]) -> dict[UUID, str]:
    """
    Return what callers gave for ids, each as the newest record that has it keeps it.

    Args:

        bind: Engine, connection or session of the database.

        tenant_id: The tenant; `NIL` for records without one.

        name: One of `NAMED`.

        ids: Ids of that field.

    Returns:

        The words by id; without an id that was given as a UUID.

    Raises:

        RepositoryError: The database can't be read.
    """
    wanted = [id_ for id_ in ids if id_ != NIL]
    if not wanted:
        return {}
    values = {"tenant_id": tenant_id, **{f"id_{n}": id_ for n, id_ in enumerate(wanted)}}
    with reader(bind) as connection:
        rows = connection.execute(_statement(name, len(wanted)), values).all()
    kept = {id_: (data or {}).get(RAW) for id_, data in rows}
    return {
        id_: str(raw[name]) for id_, raw in kept.items() if isinstance(raw, dict) and name in raw
    }


@lru_cache(maxsize=64)
def _statement(name: str, count: int) -> Select[Any]:
    """Return the statement that looks up so many ids, each by one step in its index."""
    column = _C[name]
    parameters = (bindparam(f"id_{n}", type_=column.type).label("id") for n in range(count))
    wanted = union_all(*map(select, parameters)).subquery("wanted")
    newest = (
        select(_C.data)
        .where(
            _C.tenant_id == bindparam("tenant_id", type_=_C.tenant_id.type),
            column == wanted.c.id,
        )
        .order_by(_C.created_at.desc(), _C.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    return select(wanted.c.id, newest)
