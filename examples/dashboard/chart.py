"""The timeline, as an SVG that needs no script."""

from __future__ import annotations

import math

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from structlog_activity import ActivityLog, ActivityStats

from .view import View


MOST_SERIES: Final = 4
"""How many channels have a colour of their own."""

_FINE: Final = timedelta(hours=3)
_STEPS: Final = tuple(timedelta(minutes=n) for n in (1, 2, 5, 10, 15))
_MOST_FINE: Final = 18
_BUCKETS: Final = (
    (timedelta(days=8), "hour"),
    (timedelta(days=93), "day"),
    (timedelta(days=730), "week"),
)
_FORMATS: Final = {"minute": "%H:%M", "hour": "%d %b %H:%M", "month": "%b %Y"}
_LABELS: Final = 5
_PLOT: Final = 84.0  # per cent of the height; the rest is the axis's


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a bar: in which colour, and where, in per cent."""

    colour: int
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    """
    One bucket.

    Attributes:

        since: Where it begins.

        until: Where it ends.

        count: Records.

        label: Time and count in words.

        url: Leads to its time alone.

        x: Where, in per cent.

        width: How wide, in per cent.

        parts: By series, from the bottom.

        is_open: It has not ended yet.
    """

    since: datetime
    until: datetime
    count: int
    label: str
    url: str
    x: float
    width: float
    parts: list[Part]
    is_open: bool


@dataclass(frozen=True, slots=True)
class Chart:
    """
    All of it.

    Attributes:

        bars: In order, without a gap.

        ticks: Where the axis has a label: place in per cent, and text.

        lines: Where there is a line to compare with: place in per cent, and count.

        series: Names of the channels, their counts and their colours.

        bucket: What a bar is.
    """

    bars: list[Bar]
    ticks: list[tuple[float, str]]
    lines: list[tuple[float, str]]
    series: list[tuple[str, int, int]]
    bucket: str


def chart(activity: ActivityLog, view: View, stats: ActivityStats, zone: ZoneInfo) -> Chart | None:
    """
    Return the timeline of a view, `None` if nothing is there.

    Args:

        activity: The log.

        view: Which records.

        stats: Theirs.

        zone: Whose clocks tell where a day begins.
    """
    if not stats.total:
        return None
    series = _series(stats)
    names = [name for name, _, colour in series if colour < MOST_SERIES]
    first, last = _span(activity, view, stats)
    where = {**view.where, "since": first, "until": last}
    if last - first <= _FINE:
        bucket, starts, counts = "minute", *_fine(activity, where, names)
    else:
        bucket = next((name for span, name in _BUCKETS if last - first <= span), "month")
        starts, counts = _coarse(activity, where, names, bucket, str(zone))
    if len(starts) < 2:  # noqa: PLR2004  One bar has no neighbour to end it.
        return None
    return _drawn(view, starts, counts, bucket=bucket, series=series, zone=zone)


def _series(stats: ActivityStats) -> list[tuple[str, int, int]]:
    """Return the largest channels and all others as one, their counts and their colours."""
    named = [(name, n) for name, n in stats.by_channel.items() if name][:MOST_SERIES]
    rest = stats.total - sum(n for _, n in named)
    series = [(name, n, colour) for colour, (name, n) in enumerate(named)]
    return [*series, ("other", rest, MOST_SERIES)] if rest > 0 else series


def _span(activity: ActivityLog, view: View, stats: ActivityStats) -> tuple[datetime, datetime]:
    """Return the first and the last moment that there are bars for."""
    oldest = datetime.combine(min(stats.by_day), datetime.min.time(), UTC)
    first, last = view.since or oldest, _after_the_newest(activity, view)
    if view.until is not None:
        last = min(view.until, last)
    # Years without a record have no bars.
    return max(first, oldest) if last - first > _BUCKETS[-1][0] else first, last


def _after_the_newest(activity: ActivityLog, view: View) -> datetime:
    """Return the end of a time that is open: now, or later where clocks were ahead."""
    records = activity.feed(**view.where, limit=1, total="none").records
    moments = [record.occurred_at for record in records if record.occurred_at is not None]
    return max([view.now, *moments]) + timedelta(microseconds=1)


def _fine(
    activity: ActivityLog, where: dict[str, Any], names: list[str]
) -> tuple[list[datetime], list[list[int]]]:
    """Count by minutes, which `timeline` does not know; a short time has few records."""
    since, until = where["since"], where["until"]
    step = next((s for s in _STEPS if (until - since) / s <= _MOST_FINE), _STEPS[-1])
    start = (
        datetime.min.replace(tzinfo=UTC) + (since - datetime.min.replace(tzinfo=UTC)) // step * step
    )
    starts, counts = [], []
    while start < until:
        span = {"since": max(start, since), "until": min(start + step, until)}
        found = activity.stats(**{**where, **span})
        of_named = [found.by_channel.get(name, 0) for name in names]
        starts.append(start)
        counts.append([*of_named, found.total - sum(of_named)])
        start += step
    return [*starts, start], counts


def _coarse(
    activity: ActivityLog, where: dict[str, Any], names: list[str], bucket: str, zone: str
) -> tuple[list[datetime], list[list[int]]]:
    whole = activity.timeline(bucket=bucket, tz=zone, **where)
    columns = []
    others = {k: v for k, v in where.items() if k not in {"channel", "channels"}}
    for name in names:
        found = activity.timeline(bucket=bucket, tz=zone, channels=[name], **others)
        columns.append([n for _, n in found])
    starts = [start for start, _ in whole]
    if not starts:
        return [], []
    counts = []
    for index, (_, total) in enumerate(whole):
        of_named = [column[index] if index < len(column) else 0 for column in columns]
        counts.append([*of_named, max(total - sum(of_named), 0)])
    return [*starts, _following(starts[-1], bucket)], counts


def _following(start: datetime, bucket: str) -> datetime:
    if bucket == "hour":
        return (start.astimezone(UTC) + timedelta(hours=1)).astimezone(start.tzinfo)
    if bucket == "month":
        return start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
    return start + timedelta(days=7 if bucket == "week" else 1)


def _drawn(
    view: View,
    starts: list[datetime],
    counts: list[list[int]],
    *,
    bucket: str,
    series: list[tuple[str, int, int]],
    zone: ZoneInfo,
) -> Chart:
    top = _round_up(max(map(sum, counts)))
    width = 100 / len(counts)
    bars = []
    for index, column in enumerate(counts):
        since, until = starts[index], starts[index + 1]
        low, high = max(since, view.since or since), min(until, view.until or until)
        n = sum(column)
        said = since.astimezone(zone).strftime(_FORMATS.get(bucket, "%a %d %b %Y"))
        bars.append(
            Bar(
                since=low.astimezone(UTC),
                until=high.astimezone(UTC),
                count=n,
                label=f"{said}: {n:,} {'event' if n == 1 else 'events'}",
                url=view.zoomed(low.astimezone(UTC), high.astimezone(UTC)),
                x=round(index * width, 4),
                width=round(width, 4),
                parts=_parts(column, top),
                is_open=until > view.now,
            )
        )
    # Half of an odd number is no count.
    shares = (1, 0.5) if top % 2 == 0 else (1,)
    lines = [(round((1 - share) * _PLOT, 3), f"{round(top * share):,}") for share in shares]
    return Chart(bars, _ticks(starts[:-1], bucket, zone), lines, series, bucket)


def _parts(column: list[int], top: int) -> list[Part]:
    parts, at = [], _PLOT
    for index, n in enumerate(column):
        height = n / top * _PLOT
        if n:
            at -= height
            # The last one is what has no colour of its own.
            colour = index if index < len(column) - 1 else MOST_SERIES
            parts.append(Part(colour, round(at, 3), round(height, 3)))
    return parts


def _ticks(starts: list[datetime], bucket: str, zone: ZoneInfo) -> list[tuple[float, str]]:
    step = max(1, math.ceil(len(starts) / _LABELS))
    form = _FORMATS.get(bucket, "%d %b")
    return [
        (round(index * 100 / len(starts), 3), starts[index].astimezone(zone).strftime(form))
        for index in range(0, len(starts), step)
    ]


def _round_up(n: int) -> int:
    """Return the next number that is easily read."""
    size = 10 ** max(len(str(n)) - 1, 0)
    for factor in (1, 1.2, 1.6, 2, 3, 4, 5, 6, 8, 10):
        if n <= factor * size:
            return max(math.ceil(factor * size), 2)
    return n
