"""
Hours, days, weeks and months as the clocks of a time zone show them.

Between two changes of its offset a zone's clock runs evenly, so there the
beginnings of buckets follow from arithmetic. What such a stretch holds of a
bucket is a piece; most buckets are one, those of a change two or more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from itertools import pairwise
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from ...errors import InvalidFilterError
from ..filter import ActivityFilter


BUCKETS: Final = ("hour", "day", "week", "month")
MAX_BUCKETS: Final = 100_000
"""Most buckets of one timeline: more than eleven years by hour."""

_SHORTEST: Final = {
    "hour": timedelta(hours=1),
    "day": timedelta(hours=23),
    "week": timedelta(days=6, hours=23),
    "month": timedelta(days=27, hours=23),
}
_LONGEST: Final = {
    "hour": timedelta(hours=3),
    "day": timedelta(days=3),
    "week": timedelta(days=9),
    "month": timedelta(days=33),
}
_STRIDE: Final = timedelta(hours=12)  # No zone changed its offset twice in less.
_SECOND: Final = timedelta(seconds=1)
_EVER: Final = timedelta(days=40)
_FIRST: Final = datetime.min.replace(tzinfo=UTC) + _EVER
_LAST: Final = datetime.max.replace(tzinfo=UTC) - _EVER


class Piece(NamedTuple):
    """
    A span of time within one bucket.

    Attributes:

        start: Its first moment.

        end: The first moment after it.

        bucket: Which bucket, counted from 0.
    """

    start: datetime
    end: datetime
    bucket: int


@dataclass(frozen=True, slots=True)
class Calendar:
    """
    Time cut into buckets.

    Attributes:

        bucket: ``"hour"``, ``"day"``, ``"week"`` (from Monday) or ``"month"``.

        zone: Whose clocks tell.
    """

    bucket: str
    zone: tzinfo

    def pieces(self, first: datetime, last: datetime) -> list[Piece]:
        """
        Return all pieces of the buckets from that of *first* to that of *last*.

        Raises:

            InvalidFilterError: There are too many.
        """
        if (last - first) // _SHORTEST[self.bucket] > MAX_BUCKETS:
            raise InvalidFilterError(
                "bucket", self.bucket, f"makes more than {MAX_BUCKETS:,} of {first} to {last}"
            )
        longest = _LONGEST[self.bucket]
        first, last = _clamped(first), _clamped(last)
        numbers: dict[tuple[datetime, timedelta], int] = {}
        ends: dict[int, datetime] = {}
        found = []
        for start, end, label in self._labelled(_second(first - longest), _second(last + longest)):
            number = numbers.setdefault(label, len(numbers))
            ends[number] = end
            found.append(Piece(start, end, number))
        begins = {piece.bucket: piece.start for piece in reversed(found)}
        wanted = [n for n in ends if ends[n] > first and begins[n] <= last]
        order = {n: i for i, n in enumerate(wanted)}
        return [p._replace(bucket=order[p.bucket]) for p in found if p.bucket in order]

    def _labelled(
        self, first: datetime, last: datetime
    ) -> Iterator[tuple[datetime, datetime, tuple[datetime, timedelta]]]:
        """Yield start, end and label of each piece; pieces of one bucket have the same label."""
        for start, end, offset in self._even(first, last):
            # A repeated hour is another hour, but its day is the same day.
            kind = offset if self.bucket == "hour" else timedelta(0)
            clock, stop = _clock(start, offset), _clock(end, offset)
            label = self._floor(clock)
            while clock < stop:
                following = self._next(label)
                until = min(following, stop)
                yield _moment(clock, offset), _moment(until, offset), (label, kind)
                clock = label = following

    def _even(
        self, first: datetime, last: datetime
    ) -> Iterator[tuple[datetime, datetime, timedelta]]:
        """Yield the stretches of time in which the zone's offset does not change."""
        start, offset = first, self._offset(first)
        for moment in self._changes(first, last):
            yield start, moment, offset
            start, offset = moment, self._offset(moment)
        yield start, last, offset

    def _changes(self, first: datetime, last: datetime) -> Iterator[datetime]:
        if isinstance(self.zone, timezone):
            return
        strides = [first + n * _STRIDE for n in range((last - first) // _STRIDE + 1)]
        for before, after in pairwise([*strides, last]):
            if self._offset(before) != self._offset(after):
                yield self._change(before, after)

    def _change(self, before: datetime, after: datetime) -> datetime:
        """Return the first second that has the offset of *after*."""
        old = self._offset(before)
        while after - before > _SECOND:
            middle = _second(before + (after - before) / 2)
            if self._offset(middle) == old:
                before = middle
            else:
                after = middle
        return after

    def _offset(self, moment: datetime) -> timedelta:
        return moment.astimezone(self.zone).utcoffset() or timedelta(0)

    def _floor(self, clock: datetime) -> datetime:
        if self.bucket == "hour":
            return clock.replace(minute=0, second=0, microsecond=0)
        day = clock.replace(hour=0, minute=0, second=0, microsecond=0)
        if self.bucket == "week":
            return day - timedelta(days=day.weekday())
        return day.replace(day=1) if self.bucket == "month" else day

    def _next(self, label: datetime) -> datetime:
        if self.bucket == "month":
            return (label + timedelta(days=31)).replace(day=1)
        return label + {"hour": 1, "day": 24, "week": 168}[self.bucket] * timedelta(hours=1)


def calendar(bucket: Any, tz: Any) -> Calendar:
    """
    Return the calendar of a timeline's arguments.

    Args:

        bucket: One of `BUCKETS`.

        tz: Name of a time zone, or a `zoneinfo.ZoneInfo` or `datetime.timezone`.

    Raises:

        InvalidFilterError: One of them is unknown.
    """
    if not isinstance(bucket, str) or bucket not in BUCKETS:
        raise InvalidFilterError("bucket", bucket, f"use one of {', '.join(BUCKETS)}")
    return Calendar(bucket, _zone(tz))


def filled(
    pieces: Iterable[Piece], counts: Mapping[int, int], where: ActivityFilter, zone: tzinfo
) -> list[tuple[datetime, int]]:
    """
    Return the beginning and count of each bucket.

    Empty ones at either end are left out where the filter has no bound there.

    Args:

        pieces: All pieces of all buckets.

        counts: How many records each bucket has, by its number.

        where: The filter.

        zone: In which the beginnings are told.
    """
    starts: dict[int, datetime] = {}
    for piece in pieces:
        starts.setdefault(piece.bucket, piece.start)
    line = [(start.astimezone(zone), counts.get(n, 0)) for n, start in sorted(starts.items())]
    taken = [i for i, (_, count) in enumerate(line) if count]
    if not taken and (where.since is None or where.until is None):
        return []
    first = 0 if where.since is not None else taken[0]
    last = len(line) if where.until is not None else taken[-1] + 1
    return line[first:last]


def _zone(tz: Any) -> tzinfo:
    if isinstance(tz, ZoneInfo | timezone):
        return tz
    if tz == "UTC":  # Known also where the system has no time zones.
        return UTC
    try:
        return ZoneInfo(tz)
    except Exception:  # noqa: BLE001  For a name that is a folder, is no text, or leads outside.
        problem = "is no time zone that this system knows; one is Europe/Berlin"
        raise InvalidFilterError("tz", tz, problem) from None


def _clock(moment: datetime, offset: timedelta) -> datetime:
    return moment.replace(tzinfo=None) + offset


def _moment(clock: datetime, offset: timedelta) -> datetime:
    return (clock - offset).replace(tzinfo=UTC)


def _second(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)


def _clamped(moment: datetime) -> datetime:
    return min(max(moment, _FIRST), _LAST)
