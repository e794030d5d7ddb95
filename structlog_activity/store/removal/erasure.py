"""
Erasure: the personal part of a person's records goes, and the log still proves the rest.

Each transaction takes some hundred rows, puts the commitment of each in the
place of its salt, and writes the record ``activity.erased`` that names them (see
`store.seals.traces`). A row that is erased has no actor and no user any more, so
whatever breaks off, the next run finds what is left, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    bindparam,
    func,
    or_,
    select,
    text,
    update,
)

from ...record.ids import NIL
from ...record.row import Row
from ...record.times import from_microseconds
from ...record.traces import TRACES
from ..batch import Batch
from ..engine import SQLITE
from ..host_transaction import write_inside
from ..seals.seal import COMMIT_BYTES
from ..seals.stored import columns
from ..seals.traces import erased as erased_row
from ..seals.traces import erased_commitment, erasure_rows
from ..table import user_activity, user_activity_daily
from ..transactions import take_away


_ROW: Final = user_activity.c
_DAILY: Final = user_activity_daily.c
_MOST: Final = 500  # rows of one transaction
_ERASE: Final = (
    update(user_activity)
    .where(
        _ROW.tenant_id == bindparam("its_tenant_id"),
        _ROW.created_at == bindparam("its_created_at"),
        _ROW.id == bindparam("its_id"),
    )
    .values(actor_id=NIL, user_id=NIL, object_id="", ip="", data={}, commitment=bindparam("proof"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """
    Whose records are erased.

    Attributes:

        actor_id: Who acted; `None` is not asked for.

        user_id: Whose account it concerned; `None` is not asked for. With both
            either is enough.

        tenant_id: Only of this tenant; `None` is all.
    """

    actor_id: UUID | None = None
    user_id: UUID | None = None
    tenant_id: UUID | None = None

    def has(self, row: Row) -> bool:
        """Tell whether *row* is about that person."""
        if self.tenant_id is not None and row.tenant_id != self.tenant_id.bytes:
            return False
        if row.verb in TRACES:
            return False
        is_actor = self.actor_id is not None and row.actor_id == self.actor_id.bytes
        return is_actor or (self.user_id is not None and row.user_id == self.user_id.bytes)

    @staticmethod
    def without(row: Row) -> Row:
        """Return what is left of *row*."""
        return erased_row(row)

    def rows(self, tenant_id: UUID) -> ColumnElement[bool]:
        """Return the condition on the table, within one tenant."""
        either = []
        if self.actor_id is not None:
            either.append(_ROW.actor_id == self.actor_id)
        if self.user_id is not None:
            either.append(_ROW.user_id == self.user_id)
        return (_ROW.tenant_id == tenant_id) & or_(*either) & _ROW.verb.not_in(TRACES)


@dataclass(frozen=True, slots=True)
class Reason:
    """
    What is told of an erasure.

    Attributes:

        text: Why.

        requested_by: Who asked for it; must not identify the person erased.
    """

    text: str
    requested_by: str


def count_rows(engine: Engine, person: Person) -> tuple[int, int]:
    """Return how many rows there are of a person, and in how many tenants."""
    rows = tenants = 0
    with engine.connect() as connection:
        for tenant_id in _tenants(connection, person):
            mine = select(func.count()).select_from(user_activity).where(person.rows(tenant_id))
            n = int(connection.scalar(mine) or 0)
            rows, tenants = rows + n, tenants + (n > 0)
    return rows, tenants


def erase_rows(
    engine: Engine,
    person: Person,
    reason: Reason,
    *,
    key: bytes = b"",
    progress: Callable[[int], object],
) -> tuple[int, int]:
    """
    Erase a person's rows.

    Args:

        engine: Of a database with the tables of this version, with transactions.

        person: Whose.

        reason: What the records of it say.

        key: Signs the seals of those.

        progress: Told how many rows are done.

    Returns:

        How many rows, and of how many tenants.
    """
    with engine.connect() as connection:
        found = _tenants(connection, person)
    rows = tenants = 0
    for tenant_id in found:
        before = rows
        some = partial(_some, person=person, tenant_id=tenant_id, reason=reason, key=key)
        while n := take_away(engine, some):
            rows += n
            progress(rows)
        tenants += rows > before
    if rows and engine.dialect.name == SQLITE:
        _empty_journal(engine)
    return rows, tenants


def _tenants(connection: Connection, person: Person) -> Sequence[UUID]:
    if person.tenant_id is not None:
        return [person.tenant_id]
    # There is no index on actors alone, so each tenant is asked through its own.
    return connection.scalars(select(_DAILY.tenant_id).distinct()).all()


def _some(
    connection: Connection, person: Person, tenant_id: UUID, reason: Reason, key: bytes
) -> int:
    """Erase the next rows of a tenant; return how many."""
    names = columns("user_activity", Row._fields, is_sqlite=connection.dialect.name == SQLITE)
    chosen = (
        select(text(f"{names}, commitment"))
        .select_from(user_activity)
        .where(person.rows(tenant_id))
        .order_by(_ROW.created_at, _ROW.id)
        .limit(_MOST)
        .with_for_update()
    )
    found = [(Row._make(values[:-1]), bytes(values[-1])) for values in connection.execute(chosen)]
    if not found:
        return 0
    changed = connection.execute(_ERASE, [_values(row, salt) for row, salt in found]).rowcount
    told = erasure_rows(
        tenant_id.bytes,
        [row.id for row, _ in found],
        reason=reason.text,
        requested_by=reason.requested_by,
    )
    write_inside(connection, Batch.alone(told), key=key)
    return int(changed)


def _values(row: Row, salt: bytes) -> dict[str, Any]:
    return {
        "its_tenant_id": UUID(bytes=row.tenant_id),
        "its_created_at": from_microseconds(row.created_at),
        "its_id": UUID(bytes=row.id),
        "proof": _commitment(row, salt),
    }


def _commitment(row: Row, salt: bytes) -> bytes:
    if len(salt) == COMMIT_BYTES:  # Erased before, and filled by somebody.
        return salt
    try:
        return erased_commitment(row, salt)
    except ValueError:  # Somebody has put there what can't be sealed: no proof is left to keep.
        return bytes(COMMIT_BYTES)


def _empty_journal(engine: Engine) -> None:
    """Take what is gone out of SQLite's write-ahead log, unless a reader needs it still."""
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").close()
