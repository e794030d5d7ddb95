"""Whether a record is as it was sealed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Text, cast, select

from structlog_activity import ActivityLog, ActivityRecord
from structlog_activity.read.connect import reading
from structlog_activity.record.canonical import canonical
from structlog_activity.record.row import Row
from structlog_activity.record.times import to_microseconds
from structlog_activity.store.lawful import Statements
from structlog_activity.store.report import Findings
from structlog_activity.store.rowcheck import RowCheck, StoredRow
from structlog_activity.store.seal import Seal
from structlog_activity.store.table import user_activity, user_activity_batch


_ROWS: Final = user_activity.c
_BATCH: Final = user_activity_batch.c
_MOMENTS: Final = ("first_at", "last_at", "written_at")


@dataclass(frozen=True, slots=True)
class SealState:
    """
    What the ledger says of a record.

    Attributes:

        state: ``"verified"``, ``"sealed"`` (not checked yet), ``"unsealed"`` or ``"broken"``.

        text: The same, for people.

        batch: Which batch; `None` where there is none.
    """

    state: str
    text: str
    batch: int | None = None


def seal_of(activity: ActivityLog, record: ActivityRecord, *, check: bool) -> SealState:
    """
    Return the state of the batch that a record came with.

    Args:

        activity: The log.

        record: As it was read.

        check: Compute the batch's digests again. On SQLite that reads the whole time that the
            batch spans.

    Raises:

        RepositoryError: The database can't be read.
    """
    with reading(activity.engine) as connection:
        batch = _batch_of(connection, record)
        if batch is None:
            return SealState("unsealed", "The ledger has no batch of this record.")
        signed = f", signed with key {batch.key_id}" if batch.key_id else ", not signed"
        where = f"batch {batch.batch_id} of {batch.n:,}{signed}"
        if not check:
            return SealState("sealed", f"Sealed in {where}.", batch.batch_id)
        problems = _problems(connection, batch)
    if problems:
        return SealState("broken", " ".join(problems), batch.batch_id)
    text = f"Every row of {where}, has the digest that was sealed."
    return SealState("verified", text, batch.batch_id)


def _batch_of(connection: Connection, record: ActivityRecord) -> Any:
    found = select(_ROWS.batch_id).where(
        _ROWS.tenant_id == record.tenant_id,
        _ROWS.created_at == record.occurred_at,
        _ROWS.id == record.id,
    )
    batch_id = connection.execute(found).scalar()
    return connection.execute(
        select(user_activity_batch).where(_BATCH.batch_id == batch_id)
    ).first()


def _problems(connection: Connection, batch: Any) -> list[str]:
    findings = Findings()
    rows = RowCheck(findings, Statements(), canonical)
    rows.check(_rows(connection, batch))
    if findings.kept or rows.rows < batch.n:
        rows.finish()
    # What was erased or dropped lawfully is told by records elsewhere, which `verify` reads.
    problems = [one.problem for one in findings.kept if one.kind != "row.erased"]
    if _seal(batch).digest() != bytes(batch.seal):
        problems.append(f"batch {batch.batch_id}: its line in the ledger was changed")
    return problems


def _rows(connection: Connection, batch: Any) -> Iterator[StoredRow]:
    columns = [_ROWS[name] for name in Row._fields if name != "data"]
    selected = select(
        *columns, cast(_ROWS.data, Text), _ROWS.batch_id, _ROWS.batch_ix, _ROWS.commitment
    ).where(
        _ROWS.batch_id == batch.batch_id,
        # Leads PostgreSQL to the partitions.
        _ROWS.created_at >= batch.first_at,
        _ROWS.created_at <= batch.last_at,
    )
    last_at = to_microseconds(batch.last_at)
    for found in connection.execute(selected):
        values = dict(zip((column.name for column in columns), found, strict=False))
        values = {k: v.bytes if hasattr(v, "bytes") else v for k, v in values.items()}
        values["created_at"] = to_microseconds(values["created_at"])
        row = Row(**values, data=found[len(columns)])
        batch_id, batch_ix, commitment = found[len(columns) + 1 :]
        yield StoredRow(
            row, batch_id, batch_ix, commitment, batch.n, batch.root, last_at, batch.dropped
        )


def _seal(batch: Any) -> Seal:
    values = {name: getattr(batch, name) for name in Seal.__slots__}
    values |= {name: to_microseconds(values[name]) for name in _MOMENTS}
    values |= {name: bytes(values[name]) for name in ("root", "prev")}
    return Seal(**values)
