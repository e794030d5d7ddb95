"""
Retention: records that are older than a moment go, and leave a sealed trace.

Each transaction takes whole batches, takes their numbers out of the counts, and
writes the record ``activity.pruned`` that says so; what of a batch went before
others leaves stubs in the ledger (see `store.seals.traces`). So whatever breaks off in
between, statistics and `verify` are right, and the next run goes on. Lines of
the ledger stay: positions of tails and of exports point at them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    Date,
    Engine,
    and_,
    cast,
    delete,
    func,
    literal_column,
    not_,
    select,
    text,
    type_coerce,
    update,
)

from ...errors import RepositoryError
from ...record.row import Row
from ...record.times import DAY, to_microseconds
from ...record.traces import TRACES
from ..batch import Batch
from ..counts import Counted, fold_months, take_back
from ..engine import SQLITE, shown
from ..host_transaction import write_inside
from ..locks import alone
from ..seals.stored import columns
from ..seals.traces import pack_stubs, pruned_row, stub
from ..table import user_activity, user_activity_batch, user_activity_daily
from ..transactions import take_away
from .months import drop_months
from .report import PruneReport


_ROW: Final = user_activity.c
_LINE: Final = user_activity_batch.c
_DAILY: Final = user_activity_daily.c
_LOOK: Final = 2_000  # rows that tell which batches are next
_MOST: Final = 10_000  # rows of one transaction, unless one batch has more


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """
    Which records retention takes.

    Attributes:

        before: Older than this.

        tenant_id: Only of this tenant; `None` is all.

        channel: Only of this channel; `None` is all.
    """

    before: datetime
    tenant_id: UUID | None = None
    channel: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it is all records before the moment."""
        return self.tenant_id is None and self.channel is None

    def rows(self) -> list[ColumnElement[bool]]:
        """Return the conditions on the table."""
        return [_ROW.created_at < self.before, *self._kinds(_ROW)]

    def days(self) -> list[ColumnElement[bool]]:
        """Return the conditions on the daily counts, but for the time."""
        return self._kinds(_DAILY)

    def trace(self, rows: int) -> Row:
        """Return the record that tells of so many rows."""
        return pruned_row(
            to_microseconds(self.before),
            rows,
            tenant_id=None if self.tenant_id is None else self.tenant_id.bytes,
            channel=self.channel,
        )

    def _kinds(self, table: Any) -> list[ColumnElement[bool]]:
        found: list[ColumnElement[bool]] = [table.verb.not_in(TRACES)]
        if self.tenant_id is not None:
            found.append(table.tenant_id == self.tenant_id)
        if self.channel is not None:
            found.append(table.channel == self.channel)
        return found


def prune(
    engine: Engine,
    scope: Scope,
    *,
    now: datetime,
    key: bytes = b"",
    dry_run: bool = False,
    progress: Callable[[int, int], object] | None = None,
) -> PruneReport:
    """
    Take away what is older.

    Args:

        engine: Of a database with the tables of this version, with transactions.

        scope: What goes.

        now: The current time.

        key: Signs the seals of the traces.

        dry_run: Only count.

        progress: Told how many records went, and of how many.

    Raises:

        RepositoryError: The role does not own the tables, or somebody else
            deletes rows at the same time.
    """
    report = PruneReport(before=scope.before)
    if dry_run:
        with engine.connect() as connection:
            return replace(report, rows=count(connection, scope), is_dry_run=True)
    run = _Run(engine, scope, key, progress)
    if engine.dialect.name == SQLITE:
        return run.work(report, now)
    with alone(engine) as session:
        return run.work(report, now) if session else replace(report, is_busy=True)


def count(connection: Connection, scope: Scope) -> int:
    """Return how many records go: whole days from the counts, the last one from the rows."""
    day = scope.before.date()
    midnight = scope.before.replace(hour=0, minute=0, second=0, microsecond=0)
    whole = select(func.coalesce(func.sum(_DAILY.n), 0)).where(_DAILY.day < day, *scope.days())
    edge = select(func.count()).where(_ROW.created_at >= midnight, *scope.rows())
    return int(connection.scalar(whole) or 0) + int(connection.scalar(edge) or 0)


class _Run:
    """One run of retention."""

    def __init__(
        self,
        engine: Engine,
        scope: Scope,
        key: bytes,
        progress: Callable[[int, int], object] | None,
    ) -> None:
        self._engine = engine
        self._scope = scope
        self._key = key
        self._progress = progress
        self._done = self._total = 0

    def work(self, report: PruneReport, now: datetime) -> PruneReport:
        with self._engine.connect() as connection:
            self._total = count(connection, self._scope)
        months, findings = self._drop_months()
        if not findings:
            before = self._done
            for tenant_id in self._tenants():
                self._prune_tenant(tenant_id)
            if self._done > before:  # Whose months were unfolded.
                fold_months(self._engine, now.date(), lambda _: None)
        return replace(
            report,
            rows=self._done,
            months_dropped=tuple(months),
            findings=tuple(findings),
        )

    # -- months -------------------------------------------------------------

    def _drop_months(self) -> tuple[list[Any], list[Any]]:
        if self._engine.dialect.name == SQLITE or not self._scope.is_whole:
            return [], []
        dropped = drop_months(self._engine, self._scope.before, self._stub_and_tell)
        self._tell(dropped.rows)
        return dropped.months, dropped.findings

    def _stub_and_tell(
        self, connection: Connection, before: datetime, batches: Sequence[int], rows: int
    ) -> None:
        """Leave what `verify` needs, in the transaction in which months are dropped."""
        scope = Scope(before=before)
        leave_stubs(connection, scope, batches)
        self._write_trace(connection, scope, rows)

    # -- rows ---------------------------------------------------------------

    def _tenants(self) -> Sequence[UUID]:
        last = self._scope.before.date() + timedelta(days=1)
        days = select(_DAILY.tenant_id).where(_DAILY.day < last, *self._scope.days())
        with self._engine.connect() as connection:
            return connection.scalars(days.distinct()).all()

    def _prune_tenant(self, tenant_id: UUID) -> None:
        start: datetime | None = None

        def take(connection: Connection) -> tuple[datetime | None, int]:
            batches, following = self._next(connection, tenant_id, start)
            return following, self._take(connection, batches) if batches else 0

        while True:
            following, rows = take_away(self._engine, take)
            self._tell(rows)
            if following is None:
                return
            start = following

    def _next(
        self, connection: Connection, tenant_id: UUID, start: datetime | None
    ) -> tuple[list[int], datetime | None]:
        """Return the batches that are next, and where to go on; `None` is the end."""
        rows = select(_ROW.batch_id, _ROW.created_at).where(
            _ROW.tenant_id == tenant_id, *self._scope.rows()
        )
        if start is not None:
            rows = rows.where(_ROW.created_at >= start)
        found = connection.execute(rows.order_by(_ROW.created_at, _ROW.id).limit(_LOOK)).all()
        sizes = _sizes(connection, {batch_id for batch_id, _ in found})
        chosen: dict[int, int] = {}
        for batch_id, created_at in found:
            if batch_id in chosen:
                continue
            size = sizes.get(batch_id, 1)
            if chosen and sum(chosen.values()) + size > _MOST:
                return list(chosen), created_at
            chosen[batch_id] = size
        return list(chosen), found[-1][1] if len(found) == _LOOK else None

    def _take(self, connection: Connection, batches: Sequence[int]) -> int:
        scope = self._scope
        these = [_ROW.batch_id.in_(batches), *scope.rows()]
        leave_stubs(connection, scope, _unfinished(connection, scope, batches))
        counts = _counts(connection, these)
        gone = connection.execute(delete(user_activity).where(*these)).rowcount
        if gone != sum(counted.n for counted in counts):
            where = shown(self._engine.url)
            raise RepositoryError(f"{where}: somebody else deletes records: run it again")
        take_back(connection, counts)
        self._write_trace(connection, scope, gone)
        return gone

    # -----------------------------------------------------------------------

    def _write_trace(self, connection: Connection, scope: Scope, rows: int) -> None:
        write_inside(connection, Batch.alone([scope.trace(rows)]), key=self._key)

    def _tell(self, rows: int) -> None:
        self._done += rows
        if self._progress is not None and rows:
            self._progress(self._done, max(self._done, self._total))


def leave_stubs(connection: Connection, scope: Scope, batches: Iterable[int]) -> None:
    """
    Put into the ledger what is left of the rows of *scope* in some batches.

    Args:

        connection: In whose transaction these rows are about to go.

        scope: Which of the rows go.

        batches: The batches.
    """
    is_sqlite = connection.dialect.name == SQLITE
    taken = columns("user_activity", Row._fields, is_sqlite=is_sqlite)
    for batch_id in batches:
        rows = (
            select(text(f"{taken}, batch_ix, commitment"))
            .select_from(user_activity)
            .where(_ROW.batch_id == batch_id, *scope.rows())
        )
        stubs = {
            values[12]: stub(Row._make(values[:12]), bytes(values[13]))
            for values in connection.execute(rows)
        }
        if not stubs:
            continue
        line = _LINE.batch_id == batch_id
        there = connection.scalar(select(_LINE.dropped).where(line)) or b""
        packed = bytes(there) + pack_stubs(stubs)
        connection.execute(update(user_activity_batch).where(line).values(dropped=packed))


def _sizes(connection: Connection, batches: set[int]) -> dict[int, int]:
    sizes = select(_LINE.batch_id, _LINE.n).where(_LINE.batch_id.in_(batches))
    return {row.batch_id: row.n for row in connection.execute(sizes)}


def _unfinished(connection: Connection, scope: Scope, batches: Sequence[int]) -> Sequence[int]:
    """Return those of *batches* that are to be proved when their rows of *scope* are gone."""
    if not scope.is_whole:
        return batches
    kept = select(_ROW.batch_id).where(_ROW.batch_id.in_(batches), not_(and_(*scope.rows())))
    late = select(_LINE.batch_id).where(_LINE.batch_id.in_(batches), _LINE.last_at >= scope.before)
    return connection.scalars(kept.union(late)).all()


def _counts(connection: Connection, these: list[ColumnElement[bool]]) -> list[Counted]:
    """Return how many rows of each kind there are of each day."""
    day: ColumnElement[Any]
    if connection.dialect.name == SQLITE:
        day = type_coerce(literal_column(f"created_at / {DAY}"), _DAILY.day.type)
    else:
        day = cast(func.timezone("UTC", _ROW.created_at), Date)
    kind = (_ROW.tenant_id, day, _ROW.channel, _ROW.verb, _ROW.object_type)
    found = select(*kind, func.count()).where(*these).group_by(*kind)
    return [Counted._make(values) for values in connection.execute(found)]
