"""
The records of a filter in the order of its feed, some of them at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

from sqlalchemy import Select, func, select

from ...record.times import from_microseconds
from ...store.table import user_activity_daily
from ..conditions import Selection, Shape, dimensions, selection
from ..cursor import Place
from ..dates import Span
from ..filter import ActivityFilter
from ..shortcut import Reader
from ..statements import Cut, days_statement, page_statement, probe_statement
from .days import VerbDay, is_scattered, verb_days
from .spans import spans


Rows: TypeAlias = "Sequence[Any]"

_DAYS: Final = user_activity_daily.c
_EFFORT: Final = 40
_FARTHEST: Final = 400
_UNBOUNDED: Final = Span(None, None)


class Search(NamedTuple):
    """
    What is looked for, and from where on.

    Attributes:

        where: The filter.

        shape: Its shape.

        values: Its values.

        place: The place after which (*ascending*: before which) it begins.

        ascending: Whether it goes from old to new.

        wanted: Most records to be found.

        offset: How many are left out first.
    """

    where: ActivityFilter
    shape: Shape
    values: dict[str, Any]
    place: Place | None
    ascending: bool
    wanted: int
    offset: int

    @property
    def selected(self) -> Selection:
        """Which records, wherever they lie."""
        return Selection(self.where, self.shape, self.values)

    @property
    def at(self) -> datetime | None:
        """The moment of the place."""
        return from_microseconds(self.place.created_at) if self.place else None

    def cut(self, span: Span = _UNBOUNDED) -> Cut:
        """Return which part of the feed a statement reads that keeps to *span*."""
        return Cut(
            self.place is not None,
            self.ascending,
            self.offset > 0,
            span.low is not None,
            span.high is not None,
        )

    def bound(self, span: Span = _UNBOUNDED) -> dict[str, Any]:
        """Return what is to be bound to such a statement."""
        return {
            **self.values,
            "at": self.at,
            "id": self.place.id if self.place else None,
            "wanted": self.wanted,
            "offset": self.offset,
            "reach": self.wanted + self.offset,
            "low": span.low,
            "high": span.high,
        }


def search(
    connection: Reader, where: ActivityFilter, place: Place | None, *, wanted: int
) -> Search:
    """
    Return the search for a page.

    Args:

        connection: To the database.

        where: The filter.

        place: After which it begins, before which with ``where.before``; `None`
            is the end of the feed.

        wanted: Most records to be found.
    """
    return Search(
        *selection(where, connection.dialect),
        place=place,
        ascending=bool(where.before),
        wanted=wanted,
        offset=where.offset,
    )


def found_rows(connection: Reader, asked: Search) -> Rows:
    """
    Return the rows of a search, at most as many as are wanted.

    A filter by channels, by beginnings of verbs or by object type alone has no
    index of its own. Where such records are frequent, the newest of the tenant
    hold a page of them; where they are rare, the daily counts tell on which
    days, and with which verbs, to look. The newest are tried first for a keyword
    and for ``data`` too: a planner takes what these select for rare, and would
    rather read and sort whole months than walk the few records that do.
    """
    reach = asked.wanted + asked.offset
    scattered = is_scattered(asked.shape)
    if reach > _FARTHEST or not (scattered or _is_guessed(asked.shape)):
        return _walked(connection, asked)
    rows = _probed(connection, asked)
    if len(rows) >= asked.wanted:
        return rows
    return _from_days(connection, asked, reach) if scattered else _walked(connection, asked)


def _is_guessed(shape: Shape) -> bool:
    """Tell whether a planner can only guess how many of the tenant's records there are."""
    by_index = {"actor_id", "user_id", "object_id"} & set(shape.equal)
    indexed = shape.verbs or shape.involving or by_index
    return bool(shape.tenant and (shape.keyword or shape.data) and not indexed)


def _from_days(connection: Reader, asked: Search, reach: int) -> Rows:
    days = verb_days(connection, asked.selected, asked.at, reach=reach, ascending=asked.ascending)
    if len(days) > _FARTHEST:
        return _walked(connection, asked)
    return _on_days(connection, asked, days) if days else []


def spans_of(connection: Reader, asked: Search) -> Iterator[Span]:
    """Yield the spans of months in which to look, one after the other until enough is found."""
    if not asked.shape.postgresql:
        return iter((_UNBOUNDED,))
    return spans(
        asked.where,
        asked.at,
        lambda: _extremes(connection, asked),
        ascending=asked.ascending,
    )


def _walked(connection: Reader, asked: Search) -> Rows:
    rows: Rows = []
    for span in spans_of(connection, asked):
        statement = page_statement(asked.shape, asked.cut(span))
        rows = connection.execute(statement, asked.bound(span) | _verbs(asked)).all()
        if len(rows) >= asked.wanted:
            break
    return rows


def _probed(connection: Reader, asked: Search) -> Rows:
    span = next(spans_of(connection, asked))
    statement = probe_statement(asked.shape, asked.cut(span))
    effort = _EFFORT * (asked.wanted + asked.offset)
    rows: Rows = connection.execute(statement, asked.bound(span) | {"effort": effort}).all()
    return rows


def _on_days(connection: Reader, asked: Search, days: list[VerbDay]) -> Rows:
    mornings, nights = [day.morning for day in days], [day.night for day in days]
    if asked.shape.postgresql:
        span = Span(min(mornings), max(nights))
        found = days_statement(asked.shape, asked.cut(span), 0)
        verbs = [day.verb for day in days]
        values = {"verbs": verbs, "mornings": mornings, "nights": nights}
        rows: Rows = connection.execute(found, asked.bound(span) | values).all()
        return rows
    # A power of two, so that few statements serve all.
    room = 1 << (len(days) - 1).bit_length()
    values = {}
    for i in range(room):
        verb, morning, night = days[i] if i < len(days) else (None, None, None)
        values |= {f"verb_{i}": verb, f"morning_{i}": morning, f"night_{i}": night}
    statement = days_statement(asked.shape, asked.cut(), room)
    found_all: Rows = connection.execute(statement, asked.bound() | values).all()
    return found_all


def _verbs(asked: Search) -> dict[str, str]:
    if asked.shape.postgresql:
        return {}
    return {f"verb_{i}": verb for i, verb in enumerate(asked.values["verbs"])}


def _extremes(connection: Reader, asked: Search) -> tuple[date, date] | None:
    if not asked.shape.tenant:
        return date.min, date.max  # No index knows it for all tenants.
    first, last = connection.execute(_extremes_statement(), asked.values).one()
    return None if first is None else (first, last)


@lru_cache(maxsize=1)
def _extremes_statement() -> Select[Any]:
    conditions = dimensions(_TENANT, _DAYS)
    return select(func.min(_DAYS.day), func.max(_DAYS.day)).where(*conditions)


_TENANT: Final = Shape(tenant=True)
