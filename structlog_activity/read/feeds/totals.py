"""
How many records a filter selects, with as little reading as may be.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Integer, Select, func, select

from ...store.table import user_activity, user_activity_daily
from ..conditions import Shape, conditions, dimensions, has_only_dimensions
from ..counts.stats import count_by
from ..page import CAP
from ..shortcut import Reader
from ..statements import Cut, bounds, literal, within
from .days import is_scattered
from .search import Search, spans_of


_C: Final = user_activity.c
_DAYS: Final = user_activity_daily.c


def total(connection: Reader, asked: Search, found: int) -> tuple[int | None, bool]:
    """
    Return how many records there are, and whether that is the exact number.

    Args:

        connection: To the database.

        asked: The search of the page.

        found: How many rows it found.
    """
    if asked.where.total == "none":
        return None, False
    is_last = found < asked.wanted and (found > 0 or asked.offset == 0)
    if is_last and asked.place is None:  # The page holds the end of the feed, so it tells.
        return asked.offset + found, True
    if asked.where.total == "exact":
        return _exact(connection, asked), True
    count = _capped(connection, asked)
    return min(count, CAP), count <= CAP


def _exact(connection: Reader, asked: Search) -> int:
    if has_only_dimensions(asked.shape):
        return _counted(connection, asked)
    statement = _rows_statement(asked.shape, Cut(), capped=False)
    count: int = connection.execute(statement, asked.values).scalar_one()
    return count


def _capped(connection: Reader, asked: Search) -> int:
    """Count up to one more than the cap at least."""
    shape = asked.shape
    timeless = not (shape.since or shape.until)
    if timeless and has_only_dimensions(shape) and not shape.verbs:
        values = asked.values | {"cap": CAP + 1}
        return int(connection.execute(_days_statement(shape), values).scalar_one())
    if is_scattered(shape):
        return _counted(connection, asked)
    count = 0
    for span in spans_of(connection, asked._replace(place=None, ascending=False)):
        statement = _rows_statement(shape, bounds(span), capped=True)
        values = {**asked.values, "low": span.low, "high": span.high, "cap": CAP + 1}
        count = connection.execute(statement, values).scalar_one()
        if count > CAP:
            break
    return count


def _counted(connection: Reader, asked: Search) -> int:
    return count_by(connection, asked.selected, ("verb",))["verb"].total()


@lru_cache(maxsize=512)
def _days_statement(shape: Shape) -> Select[Any]:
    # Each row counts one record at least, so no more rows than the cap need be read.
    days = select(_DAYS.n).where(*dimensions(shape, _DAYS)).limit(literal("cap", Integer))
    return select(func.coalesce(func.sum(days.subquery().c.n), 0))


@lru_cache(maxsize=512)
def _rows_statement(shape: Shape, cut: Cut, *, capped: bool) -> Select[Any]:
    selected = select(_C.id).where(*conditions(shape, _C), *within(cut))
    if capped:
        selected = selected.limit(literal("cap", Integer))
    return select(func.count()).select_from(selected.subquery())
