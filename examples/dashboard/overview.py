"""The first page: numbers, facets and feed, all of them from the query helpers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from zoneinfo import ZoneInfo

from structlog_activity import (
    NIL,
    ActivityError,
    ActivityLog,
    ActivityPage,
    ActivityStats,
    InvalidFilterError,
)

from .chart import Chart, chart
from .phrasing import Who, visible, who
from .view import View


_MOST_ACTORS: Final = 200
_SHOWN: Final = 8
_PAGE: Final = 50


class TooMuchError(InvalidFilterError):
    """
    A search would read more rows than a page should.

    Attributes:

        rows: How many, at most.
    """

    def __init__(self, rows: int, most: int) -> None:
        self.rows = rows
        super().__init__(
            "search",
            rows,
            f"that search has to read every record of the period, and there are {rows:,}; this "
            f"dashboard reads {most:,} at most. Choose a shorter period",
        )


@dataclass(frozen=True, slots=True)
class Number:
    """
    One figure.

    Attributes:

        name: Of what.

        value: As it is shown.

        change: Against the period before, in words; ``""`` where it can't be compared.

        url: Leads to the records behind it, if there is such a page.

        is_bad: More of it is no good news.

        note: Why there is none.
    """

    name: str
    value: str
    change: str = ""
    url: str = ""
    is_bad: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of a facet, with what leads to it and away from it."""

    label: str
    count: int
    share: float
    url: str
    is_on: bool
    without: str = ""


@dataclass(frozen=True, slots=True)
class Facet:
    """A field, and its most frequent values."""

    title: str
    choices: list[Choice]
    more: int


@dataclass(frozen=True, slots=True)
class Overview:
    """All that the first page shows."""

    page: ActivityPage
    total: int
    numbers: list[Number]
    facets: list[Facet]
    chart: Chart | None
    position: str


def overview(activity: ActivityLog, view: View, zone: ZoneInfo, most_rows: int) -> Overview:
    """
    Read what the first page shows.

    Args:

        activity: The log.

        view: Which records.

        zone: For times.

        most_rows: Most rows that are read for numbers.

    Raises:

        TooMuchError: It would have to read more.
    """
    rows = bounded(activity, view, most_rows)
    position = _position(activity, view) if view.is_first else ""
    page = activity.feed(
        **view.where, after=view.after, before=view.before, limit=_PAGE, total="none"
    )
    stats = activity.stats(**view.where)
    earlier = view.earlier()
    before = None if earlier is None else activity.stats(**earlier)
    # What the daily counts don't know is counted from rows, where those are few enough.
    counted = rows <= most_rows
    actors = activity.top(**view.where, by="actor_id", limit=_MOST_ACTORS) if counted else None
    return Overview(
        page=page,
        total=stats.total,
        numbers=_numbers(activity, view, stats, before, actors, most_rows=most_rows),
        facets=_facets(activity, view, stats, actors),
        chart=chart(activity, view, stats, zone),
        position=position,
    )


def bounded(activity: ActivityLog, view: View, most_rows: int) -> int:
    """
    Return how many rows the period of a view has, at most.

    Raises:

        TooMuchError: More than *most_rows*, and the search can't be answered from counts.
    """
    rows = activity.stats(**view.cheap_where).total
    # An index leads to what one actor, user or object did.
    is_led = any(view.where.get(name) for name in ("actor_id", "user_id", "involving", "object_id"))
    if rows > most_rows and not view.is_cheap and not is_led:
        raise TooMuchError(rows, most_rows)
    return rows


def live_where(view: View) -> dict[str, Any]:
    """Return the conditions of what comes from now on."""
    return {k: v for k, v in view.where.items() if k not in {"since", "until"}}


def _position(activity: ActivityLog, view: View) -> str:
    """Return where a tail goes on behind this page; taken before the page is read."""
    if view.until is not None and view.until <= view.now:
        return ""  # Nothing comes any more.
    try:
        with activity.tail(**live_where(view), timeout=0) as records:
            return records.position
    except ActivityError:  # The role may not read the ledger, say: a page that is not live.
        return ""


def _numbers(
    activity: ActivityLog,
    view: View,
    stats: ActivityStats,
    before: ActivityStats | None,
    actors: list[tuple[Any, int]] | None,
    *,
    most_rows: int,
) -> list[Number]:
    events = Number(
        "Events", f"{stats.total:,}", _change(stats.total, before.total if before else None)
    )
    if actors is None:
        note = f"more than {most_rows:,} records: choose a shorter period"
        return [
            events,
            *(
                Number(name, "\N{EN DASH}", note=note)
                for name in ("Actors", "Failed", "Without actor")
            ),
        ]
    earlier = view.earlier()
    older = (
        activity.top(**earlier, by="actor_id", limit=_MOST_ACTORS)
        if earlier is not None and before is not None and before.total <= most_rows
        else None
    )
    return [
        events,
        _actors(actors, older),
        _failures(activity, view, earlier if older is not None else None),
        _nobody(actors, older),
    ]


def _actors(now: list[tuple[Any, int]], before: list[tuple[Any, int]] | None) -> Number:
    n = sum(key != NIL for key, _ in now)
    if len(now) == _MOST_ACTORS:
        return Number("Actors", f"{n:,}+", note="only so many are counted")
    old = None if before is None else sum(key != NIL for key, _ in before)
    return Number("Actors", f"{n:,}", _change(n, old))


def _failures(activity: ActivityLog, view: View, earlier: dict[str, Any] | None) -> Number:
    now = _failed(activity, view.where)
    before = None if earlier is None else _failed(activity, earlier)
    url = view.toggled("outcome", "failed")
    return Number("Failed", f"{now:,}", _change(now, before), url, is_bad=True)


def _failed(activity: ActivityLog, where: dict[str, Any]) -> int:
    data = where.get("data") or {}
    if data.get("outcome", "failed") != "failed":
        return 0
    return activity.stats(**{**where, "data": {**data, "outcome": "failed"}}).total


def _nobody(now: list[tuple[Any, int]], before: list[tuple[Any, int]] | None) -> Number:
    n = dict(now).get(NIL, 0)
    if not n and len(now) == _MOST_ACTORS:
        return Number("Without actor", f"under {now[-1][1] + 1:,}", is_bad=True)
    old = None if before is None else dict(before).get(NIL, 0)
    return Number("Without actor", f"{n:,}", _change(n, old), is_bad=True)


def _change(now: int, before: int | None) -> str:
    if before is None:
        return ""
    if before == now:
        return "no change"
    if not before:
        return f"+{now:,} from none"
    percent = (now - before) / before * 100
    return f"{percent:+,.0f} %" if abs(percent) >= 1 else f"{now - before:+,}"


def _facets(
    activity: ActivityLog,
    view: View,
    stats: ActivityStats,
    actors: list[tuple[Any, int]] | None,
) -> list[Facet]:
    found = [
        _facet(view, "Verbs", "verb", stats.by_verb.items()),
        _facet(view, "Channels", "channel", stats.by_channel.items(), excludes=True),
        _facet(view, "Object types", "object", stats.by_object_type.items()),
    ]
    if actors is not None:
        named = [(_name(activity, view, key), n) for key, n in actors[:_SHOWN] if key != NIL]
        largest = max((n for _, n in named), default=1)
        choices = [
            Choice(
                one.name,
                n,
                100 * n / largest,
                view.toggled("actor", one.term),
                view.has("actor", one.term),
            )
            for one, n in named
        ]
        known = sum(key != NIL for key, _ in actors)
        found.insert(2, Facet("Actors", choices, known - len(choices)))
    return [facet for facet in found if facet.choices]


def _facet(
    view: View,
    title: str,
    key: str,
    counts: Iterable[tuple[str, int]],
    *,
    excludes: bool = False,
) -> Facet:
    named = [(value, n) for value, n in counts if value]
    largest = max((n for _, n in named), default=1)
    choices = [
        Choice(
            visible(value),
            n,
            100 * n / largest,
            view.toggled(key, value),
            view.has(key, value),
            view.toggled(key, value, is_negated=True) if excludes else "",
        )
        for value, n in named[:_SHOWN]
    ]
    return Facet(title, choices, max(len(named) - _SHOWN, 0))


def _name(activity: ActivityLog, view: View, id_: Any) -> Who:
    """Return an actor as their newest record calls them."""
    where = {**view.where, "actor_id": id_}
    records = activity.feed(**where, limit=1, total="none").records
    return who(records[0]) if records else Who(id_, str(id_)[:8], str(id_))
