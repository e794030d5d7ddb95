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

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Engine, Row, Select, bindparam, select

from ...record.record import ActivityRecord
from ...store.table import user_activity
from ..conditions import Shape, conditions, selection
from ..filter import ActivityFilter
from ..statements import COLUMNS, to_record
from .horizon import Horizon, refuse_foreign, server_number, snapshot
from .ledger import batches_after, has_batch, last_batch, within_reach
from .position import START, WHOLE, Position, Spot, refused


_C: Final = user_activity.c


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
        """Return a number that tells this database's server from others, 0 if it can't be told."""
        return server_number(self.engine)

    def now(self) -> Position:
        """
        Return the position after all that is committed.

        Raises:

            RepositoryError: The database can't be read, or its ledger can't be
                followed.
        """
        with snapshot(self.engine) as (connection, horizon):
            refuse_foreign(connection, horizon)
            spot = last_batch(connection, horizon)
        return Position(spot, horizon.open_before(spot.ordinal)) if spot else START

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
        with snapshot(self.engine) as (connection, horizon):
            refuse_foreign(connection, horizon)
            if position == START or has_batch(connection, position.spot):
                return
        raise refused(
            shown,
            "the batch that it stands at is not in the ledger: it was removed, the database was "
            "restored to an earlier state, or a standby lags behind; start anew, with since= if "
            "records of a certain time will do",
        )

    def after(self, position: Position) -> Look:
        """
        Return what comes after a position, as far as one look goes.

        Raises:

            RepositoryError: The database can't be read.
        """
        with snapshot(self.engine) as (connection, horizon):
            batches, is_all = batches_after(connection, position, horizon)
            taken = within_reach(batches)
            rows = self._rows(connection, taken) if taken else {}
        is_last = is_all and len(taken) == len(batches)
        walk = _Walk(position, horizon)
        changes = [change for batch in taken for change in walk.through(batch, rows)]
        return Look(changes, walk.end(is_last=is_last), is_last)

    def _rows(
        self, connection: Connection, batches: Sequence[Row[Any]]
    ) -> dict[int, list[Row[Any]]]:
        """Return the rows that the filter selects, by batch and in order."""
        asked = selection(self.where, connection.dialect)
        wanted = {"batches": sorted({batch.batch_id for batch in batches})}
        found: dict[int, list[Row[Any]]] = {}
        for row in connection.execute(_rows_statement(asked.shape), asked.values | wanted):
            found.setdefault(row.batch_id, []).append(row)
        for rows in found.values():
            rows.sort(key=lambda row: row.batch_ix)
        return found


class _Walk:
    """Go through batches in order and note how far one is."""

    def __init__(self, position: Position, horizon: Horizon) -> None:
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


@lru_cache(maxsize=512)
def _rows_statement(shape: Shape) -> Select[Any]:
    return select(*COLUMNS, _C.batch_id, _C.batch_ix).where(
        _C.batch_id.in_(bindparam("batches")), *conditions(shape, _C)
    )
