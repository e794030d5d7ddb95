"""
The feed of changes: what was committed since, each record once, out of the ledger.

On PostgreSQL a transaction that began earlier may commit later, so the highest
number seen says nothing about those below it. A look therefore notes which
transactions of lower numbers were under way in its snapshot; the next look asks
for these and for what is higher. Nothing waits for a long transaction, and
nothing is missed however late it commits. SQLite has one writer at a time, so
there nothing is ever under way.

A standby does not tell which transactions are under way, only the lowest of them. There
a look ends before that one.
"""

from __future__ import annotations

import itertools

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple
from zlib import crc32

from sqlalchemy import (
    Connection,
    Engine,
    Integer,
    Row,
    Select,
    and_,
    bindparam,
    func,
    not_,
    select,
    text,
    tuple_,
)
from sqlalchemy.exc import DBAPIError

from ..errors import RepositoryError
from ..record.record import ActivityRecord
from ..store.table import user_activity, user_activity_batch
from .conditions import Shape, conditions, shape_of, values_of
from .connect import reading
from .filter import ActivityFilter
from .position import START, WHOLE, Position, Spot, refused
from .statements import COLUMNS, literal, to_record


MOST_BATCHES: Final = 100
"""Batches of one look at most."""

MOST_ROWS: Final = 2_000
"""Rows of the batches of one look at most, but for a single batch that has more."""

_C: Final = user_activity.c
_B: Final = user_activity_batch.c
_KEY: Final = (_B.ordinal, _B.batch_id)
_SNAPSHOT: Final = text("SELECT CAST(pg_current_snapshot() AS text), pg_is_in_recovery()")
_SERVER: Final = text("SELECT system_identifier FROM pg_control_system()")
# No privilege, no such function.
_UNKNOWN: Final = {"42501", "42883"}
_EVERYTHING: Final = 2**63 - 1
_NOWHERE: Final = Spot(0, 0, WHOLE)


class Change(NamedTuple):
    """
    A record that was committed.

    Attributes:

        record: The record.

        position: How far one is when one has it.
    """

    record: ActivityRecord
    position: Position


@dataclass(frozen=True, slots=True)
class Look:
    """
    What one look at the ledger brought.

    Attributes:

        changes: Records, in order.

        position: How far one is after all of them.

        is_last: Whether that was all there is.
    """

    changes: list[Change]
    position: Position
    is_last: bool


class _Horizon(NamedTuple):
    """
    Which transactions a look can see.

    Attributes:

        ceiling: The first that it can't for certain, and no later one.

        beyond: The first that had not begun.

        running: Those below the ceiling that are under way, in order.
    """

    ceiling: int
    beyond: int
    running: tuple[int, ...]

    def is_open(self, ordinal: int) -> bool:
        """Tell whether a transaction may still commit, or has just done so, unseen."""
        return ordinal >= self.ceiling or ordinal in self.running

    def open_before(self, ordinal: int) -> tuple[int, ...]:
        """Return the transactions under way that have lower numbers."""
        return tuple(other for other in self.running if other < ordinal)


@dataclass(frozen=True, slots=True)
class Changes:
    """
    Look for records of a filter in the ledger.

    Args:

        engine: On the database.

        where: Which records; its paging is not looked at.
    """

    engine: Engine
    where: ActivityFilter

    def server(self) -> int:
        """
        Return a number that tells this database's server from others.

        0 where it can't be told: on SQLite, and for roles that may not ask.
        """
        with reading(self.engine) as connection:
            if not _is_postgresql(connection):
                return 0
            try:
                return crc32(str(connection.execute(_SERVER).scalar_one()).encode()) or 1
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", "") not in _UNKNOWN:
                    raise
                return 0

    def now(self) -> Position:
        """
        Return the position after all that is committed.

        Raises:

            RepositoryError: The database can't be read, or its ledger can't be
                followed.
        """
        with _snapshot(self.engine) as (connection, horizon):
            _refuse_foreign(connection, horizon)
            last = connection.execute(_last_statement(), {"ceiling": horizon.ceiling}).first()
            if last is None:
                return START
            spot = Spot(last.ordinal, last.batch_id, WHOLE)
            return Position(spot, horizon.open_before(last.ordinal))

    def check(self, position: Position, shown: str) -> None:
        """
        Make sure that a position is one in this ledger.

        Args:

            position: The position.

            shown: Its text, for the message.

        Raises:

            InvalidCursorError: It is not.

            RepositoryError: As `now`.
        """
        with _snapshot(self.engine) as (connection, horizon):
            _refuse_foreign(connection, horizon)
            if position == START:
                return
            values = {"ordinal": position.spot.ordinal, "batch_id": position.spot.batch_id}
            if connection.execute(_batch_statement(), values).first() is None:
                raise refused(
                    shown,
                    "the batch that it stands at is not in the ledger: it was removed, the "
                    "database was restored to an earlier state, or a standby lags behind; "
                    "start anew, with since= if records of a certain time will do",
                )

    def after(self, position: Position) -> Look:
        """
        Return what comes after a position, as far as one look goes.

        Raises:

            RepositoryError: The database can't be read.
        """
        with _snapshot(self.engine) as (connection, horizon):
            batches = _batches(connection, position, horizon)
            taken = _within_reach(batches)
            rows = self._rows(connection, taken) if taken else {}
        is_last = len(taken) == len(batches) < MOST_BATCHES
        walk = _Walk(position, horizon)
        changes = [change for batch in taken for change in walk.through(batch, rows)]
        return Look(changes, walk.end(is_last=is_last), is_last)

    def _rows(
        self, connection: Connection, batches: Sequence[Row[Any]]
    ) -> dict[int, list[Row[Any]]]:
        """Return the rows that the filter selects, by batch and in order."""
        postgresql = _is_postgresql(connection)
        shape = shape_of(self.where, postgresql=postgresql)
        values = values_of(self.where, postgresql=postgresql)
        wanted = {"batches": sorted({batch.batch_id for batch in batches})}
        found: dict[int, list[Row[Any]]] = {}
        for row in connection.execute(_rows_statement(shape), values | wanted):
            found.setdefault(row.batch_id, []).append(row)
        for rows in found.values():
            rows.sort(key=lambda row: row.batch_ix)
        return found


@contextmanager
def _snapshot(engine: Engine) -> Iterator[tuple[Connection, _Horizon]]:
    """Give one snapshot for all that is read in the block, and what it can see."""
    with reading(engine) as connection:
        if _is_postgresql(connection):
            connection.execution_options(isolation_level="REPEATABLE READ")
        yield connection, _horizon(connection)


def _horizon(connection: Connection) -> _Horizon:
    if not _is_postgresql(connection):
        return _Horizon(_EVERYTHING, _EVERYTHING, ())
    snapshot, is_standby = connection.execute(_SNAPSHOT).one()
    first, beyond, running = snapshot.split(":")
    if is_standby:
        return _Horizon(int(first), int(beyond), ())
    numbers = tuple(sorted(int(number) for number in running.split(",") if number))
    return _Horizon(int(beyond), int(beyond), numbers)


class _Walk:
    """Go through batches in order and note how far one is."""

    def __init__(self, position: Position, horizon: _Horizon) -> None:
        self._given = position
        self._horizon = horizon
        self._position = position

    def through(self, batch: Row[Any], rows: dict[int, list[Row[Any]]]) -> Iterator[Change]:
        """Yield what of a batch was not delivered before."""
        key = (batch.ordinal, batch.batch_id)
        done = self._done_of(key)
        self._enter(key, done)
        for row in rows.get(batch.batch_id, ()):
            if row.batch_ix > done:
                yield Change(to_record(row[: len(COLUMNS)]), self._at(key, row.batch_ix))
        self._position = self._at(key, WHOLE)

    def end(self, *, is_last: bool) -> Position:
        """Return how far one is behind all batches."""
        if not is_last:
            return self._position
        still = tuple(number for number in self._position.open if self._horizon.is_open(number))
        return Position(self._position.spot, still)

    def _done_of(self, key: tuple[int, int]) -> int:
        """Return up to which index a batch was delivered before; -1 if nothing of it was."""
        for spot in (self._given.spot, self._given.late):
            if spot is not None and spot.batch == key:
                return spot.ix
        return -1

    def _enter(self, key: tuple[int, int], done: int) -> None:
        at, open_, late = self._position
        if key > at.batch:
            # All before it that could be seen have had their turn.
            self._position = Position(Spot(*key, done), self._open_before(key[0]))
        elif late is not None and late.ordinal != key[0]:
            rest = tuple(number for number in open_ if number != late.ordinal)
            self._position = Position(at, rest)

    def _open_before(self, ordinal: int) -> tuple[int, ...]:
        still = {number for number in self._position.open if self._horizon.is_open(number)}
        return tuple(sorted(still.union(self._horizon.open_before(ordinal))))

    def _at(self, key: tuple[int, int], index: int) -> Position:
        if key == self._position.spot.batch:
            return self._position._replace(spot=Spot(*key, index))
        return self._position._replace(late=Spot(*key, index))


def _batches(connection: Connection, position: Position, horizon: _Horizon) -> list[Row[Any]]:
    """
    Return the batches that were not delivered.

    Those of transactions that were under way come first, and among them the one
    that was begun; then the others in order.
    """
    spot, late = position.spot, position.late or _NOWHERE
    values = {
        "ordinal": spot.ordinal,
        # One begun before comes again, for the rest of it.
        "batch_id": spot.batch_id - (spot.ix != WHOLE),
        "late_ordinal": late.ordinal,
        "late_batch_id": late.batch_id - (late.ix != WHOLE),
        "ceiling": horizon.ceiling,
        "most": MOST_BATCHES,
        "open": [number for number in position.open if not horizon.is_open(number)],
    }
    found = connection.execute(_new_statement(), values).all()
    if values["open"]:
        found = [*connection.execute(_open_statement(), values).all(), *found][:MOST_BATCHES]
    return list(found)


def _within_reach(batches: Sequence[Row[Any]]) -> list[Row[Any]]:
    """Return as many batches, from the first, as have few enough rows, but one at least."""
    sums = itertools.accumulate(batch.n for batch in batches)
    count = sum(1 for rows in sums if rows <= MOST_ROWS)
    return list(batches[: max(count, 1)])


def _refuse_foreign(connection: Connection, horizon: _Horizon) -> None:
    """Refuse a ledger with numbers that this server has not come to yet."""
    last = connection.execute(select(func.max(_B.ordinal))).scalar_one()
    if last is not None and last >= horizon.beyond:
        raise RepositoryError(
            "the ledger was brought here from another server, whose transactions had higher "
            "numbers than those here have yet; give it numbers of this one: "
            "UPDATE user_activity_batch SET ordinal = pg_current_xact_id()::text::bigint "
            "WHERE ordinal >= pg_current_xact_id()::text::bigint"
        )


def _is_postgresql(connection: Connection) -> bool:
    return connection.dialect.name == "postgresql"


@lru_cache(maxsize=1)
def _new_statement() -> Select[Any]:
    after = tuple_(*_KEY) > tuple_(bindparam("ordinal"), bindparam("batch_id"))
    found = select(*_KEY, _B.n).where(after, _B.ordinal < bindparam("ceiling"))
    return found.order_by(*_KEY).limit(literal("most", Integer))


@lru_cache(maxsize=1)
def _open_statement() -> Select[Any]:
    begun: Any = bindparam("late_ordinal")
    done = and_(_B.ordinal == begun, _B.batch_id <= bindparam("late_batch_id"))
    found = select(*_KEY, _B.n).where(_B.ordinal.in_(bindparam("open", expanding=True)), not_(done))
    return found.order_by(_B.ordinal != begun, *_KEY).limit(literal("most", Integer))


@lru_cache(maxsize=1)
def _last_statement() -> Select[Any]:
    found = select(*_KEY).where(_B.ordinal < bindparam("ceiling"))
    return found.order_by(_B.ordinal.desc(), _B.batch_id.desc()).limit(1)


@lru_cache(maxsize=1)
def _batch_statement() -> Select[Any]:
    return select(_B.n).where(
        _B.ordinal == bindparam("ordinal"), _B.batch_id == bindparam("batch_id")
    )


@lru_cache(maxsize=512)
def _rows_statement(shape: Shape) -> Select[Any]:
    return select(*COLUMNS, _C.batch_id, _C.batch_ix).where(
        _C.batch_id.in_(bindparam("batches", expanding=True)), *conditions(shape, _C)
    )
