"""
The ledger's lines in order, some of them at a time.
"""

from __future__ import annotations

import itertools

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Connection, Integer, Row, Select, and_, bindparam, not_, select, tuple_

from ...store.table import user_activity_batch
from ..statements import literal
from .horizon import Horizon
from .position import WHOLE, Position, Spot


MOST_BATCHES: Final = 100
"""Batches of one look at most."""

MOST_ROWS: Final = 2_000
"""Rows of the batches of one look at most, but for a single batch that has more."""

_B: Final = user_activity_batch.c
_KEY: Final = (_B.ordinal, _B.batch_id)
_NOWHERE: Final = Spot(0, 0, WHOLE)


def batches_after(
    connection: Connection, position: Position, horizon: Horizon
) -> tuple[list[Row[Any]], bool]:
    """
    Return batches that were not delivered, and whether these are all.

    Those of transactions that were under way come first, and among them the one
    that was begun; then the others in order. Those of transactions that still are
    come later, also where their lines can be seen.
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
        found = [*connection.execute(_open_statement(), values).all(), *found]
    ended = [batch for batch in found[:MOST_BATCHES] if not horizon.is_open(batch.ordinal)]
    return ended, len(found) < MOST_BATCHES or not ended


def within_reach(batches: Sequence[Row[Any]]) -> list[Row[Any]]:
    """Return as many batches, from the first, as have few enough rows, but one at least."""
    sums = itertools.accumulate(batch.n for batch in batches)
    count = sum(1 for rows in sums if rows <= MOST_ROWS)
    return list(batches[: max(count, 1)])


def last_batch(connection: Connection, horizon: Horizon) -> Spot | None:
    """Return the end of the last batch that can be seen, `None` if there is none."""
    last = connection.execute(_last_statement(), {"ceiling": horizon.ceiling}).first()
    return None if last is None else Spot(last.ordinal, last.batch_id, WHOLE)


def has_batch(connection: Connection, spot: Spot) -> bool:
    """Tell whether the batch of a spot is there."""
    values = {"ordinal": spot.ordinal, "batch_id": spot.batch_id}
    return connection.execute(_batch_statement(), values).first() is not None


@lru_cache(maxsize=1)
def _new_statement() -> Select[Any]:
    after = tuple_(*_KEY) > tuple_(bindparam("ordinal"), bindparam("batch_id"))
    found = select(*_KEY, _B.n).where(after, _B.ordinal < bindparam("ceiling"))
    return found.order_by(*_KEY).limit(literal("most", Integer))


@lru_cache(maxsize=1)
def _open_statement() -> Select[Any]:
    begun: Any = bindparam("late_ordinal")
    done = and_(_B.ordinal == begun, _B.batch_id <= bindparam("late_batch_id"))
    found = select(*_KEY, _B.n).where(_B.ordinal.in_(bindparam("open")), not_(done))
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
