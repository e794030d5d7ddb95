"""
What reads mean, in plain Python: for records that are kept in a list.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from datetime import datetime, timedelta
from typing import Any, Final

from ..record.record import ActivityRecord
from .arguments import moment_of, record_id, top_columns, top_limit
from .counts.buckets import calendar, filled
from .cursor import decode_cursor, encode_cursor, place_of
from .filter import ActivityFilter, channels_of
from .page import CAP, ActivityPage, ActivityStats
from .policy import AccessPolicy
from .tenants import AllTenants
from .values import ascii_lower


class MemoryReads:
    """The reads of whoever has *records*."""

    @property
    def records(self) -> list[ActivityRecord]:
        """All records, in any order."""
        raise NotImplementedError

    def feed(self, *, policy: AccessPolicy | None = None, **where: Any) -> ActivityPage:
        """Return a page of the records; as `ActivityLog.feed`."""
        return self._page(ActivityFilter.of(where), policy)

    def _page(self, filter_: ActivityFilter, policy: AccessPolicy | None) -> ActivityPage:
        if policy is None:
            return self._bound_page(filter_, filter_.digest())
        filter_ = policy.applied(filter_)
        return policy.sanitized_page(self._bound_page(filter_, policy.digest(filter_.digest())))

    def _bound_page(self, filter_: ActivityFilter, digest: bytes) -> ActivityPage:
        found = self._selected(filter_)
        start, stop = _bounds(found, filter_, digest)
        records = found[start:stop]
        older, newer = stop < len(found), start > 0
        return ActivityPage(
            records=records,
            has_more=bool(records) and older,
            next_cursor=_cursor(records[-1], digest) if records and older else None,
            prev_cursor=_cursor(records[0], digest) if records and newer else None,
            next_offset=filter_.offset + filter_.limit,
            total=_total(found, filter_),
            total_is_exact=filter_.total == "exact"
            or (filter_.total == "capped" and len(found) <= CAP),
        )

    def stats(self, *, policy: AccessPolicy | None = None, **where: Any) -> ActivityStats:
        """Count the records; as `ActivityLog.stats`."""
        found = self._selected(_granted(where, policy))
        days = Counter(r.occurred_at.date() for r in found if r.occurred_at)
        return ActivityStats(
            total=len(found),
            by_verb=_sorted(Counter(r.verb for r in found)),
            by_channel=_sorted(Counter(r.channel for r in found)),
            by_object_type=_sorted(Counter(r.object_type for r in found)),
            by_day=dict(sorted(days.items())),
        )

    def history(
        self,
        object: Any,  # noqa: A002
        *,
        policy: AccessPolicy | None = None,
        **where: Any,
    ) -> ActivityPage:
        """Return a page of what was done to an object; as `ActivityLog.history`."""
        return self._page(ActivityFilter.of(where).of_object(object), policy)

    def get(
        self,
        tenant_id: Any,
        id: Any,  # noqa: A002
        *,
        policy: AccessPolicy | None = None,
    ) -> ActivityRecord | None:
        """Return the record that has an id; as `ActivityLog.get`."""
        id_ = record_id(id)
        at = moment_of(id_)
        where = _granted({"tenant_id": tenant_id}, policy)
        found = [r for r in self._selected(where) if r.id == id_]
        timed = [r for r in found if r.occurred_at and at == _millisecond(r.occurred_at)]
        record = next(iter(timed or found), None)
        return record if policy is None or record is None else policy.sanitized(record)

    def timeline(
        self,
        *,
        bucket: str = "day",
        tz: Any = "UTC",
        policy: AccessPolicy | None = None,
        **where: Any,
    ) -> list[tuple[datetime, int]]:
        """Count the records per piece of time; as `ActivityLog.timeline`."""
        filter_, wanted = _granted(where, policy), calendar(bucket, tz)
        moments = [r.occurred_at for r in self._selected(filter_) if r.occurred_at]
        ends = _ends(moments, filter_)
        if ends is None:
            return []
        pieces = wanted.pieces(*ends)
        starts = [piece.start for piece in pieces]
        counts = Counter(pieces[bisect_right(starts, at) - 1].bucket for at in moments)
        return filled(pieces, counts, filter_, wanted.zone)

    def top(
        self,
        *,
        by: str,
        limit: int = 10,
        policy: AccessPolicy | None = None,
        **where: Any,
    ) -> list[tuple[Any, int]]:
        """Return what most records have in one field; as `ActivityLog.top`."""
        top_columns(by)
        if policy is not None:
            policy.check_counted(by)
        counts = Counter(getattr(r, by) for r in self._selected(_granted(where, policy)))
        return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[: top_limit(limit)]

    def _selected(self, where: ActivityFilter) -> list[ActivityRecord]:
        found = [record for record in self.records if matches(where, record)]
        return sorted(found, key=place_of, reverse=True)


def _ends(moments: list[datetime], where: ActivityFilter) -> tuple[datetime, datetime] | None:
    """Return the first and the last moment of a timeline; `None` if there is none between."""
    first: Any = where.since or min(moments, default=None)
    last: Any = max(moments, default=None)
    if isinstance(where.until, datetime):
        last = where.until - timedelta(microseconds=1)
    return None if first is None or last is None or first > last else (first, last)


def _granted(where: dict[str, Any], policy: AccessPolicy | None) -> ActivityFilter:
    filter_ = ActivityFilter.of(where)
    return filter_ if policy is None else policy.applied(filter_)


def matches(where: ActivityFilter, record: ActivityRecord) -> bool:
    """
    Tell whether a filter selects a record.

    The filter's meaning in plain Python, against which the databases are tested.
    """
    return (isinstance(where.tenant_id, AllTenants) or record.tenant_id == where.tenant_id) and all(
        test(where, record) for test in _TESTS
    )


_EQUAL: Final = ("org_id", "actor_id", "user_id", "object_type", "object_id")


def _has_fields(where: ActivityFilter, record: ActivityRecord) -> bool:
    wanted = {name: getattr(where, name) for name in _EQUAL}
    return all(value is None or value == getattr(record, name) for name, value in wanted.items())


def _involves(where: ActivityFilter, record: ActivityRecord) -> bool:
    return where.involving is None or where.involving in (record.actor_id, record.user_id)


def _has_verb(where: ActivityFilter, record: ActivityRecord) -> bool:
    return not where.verbs or any(
        record.verb.startswith(verb[:-1]) if verb.endswith("*") else record.verb == verb
        for verb in where.verbs
    )


def _is_in_channel(where: ActivityFilter, record: ActivityRecord) -> bool:
    wanted = channels_of(where)
    return record.channel not in where.channel_denylist and (not wanted or record.channel in wanted)


def _is_in_time(where: ActivityFilter, record: ActivityRecord) -> bool:
    since: Any = where.since
    until: Any = where.until
    moment = record.occurred_at
    return moment is not None and (
        (since is None or since <= moment) and (until is None or moment < until)
    )


def _has_keyword(where: ActivityFilter, record: ActivityRecord) -> bool:
    texts = (record.verb, record.object_type, record.object_id)
    return where.keyword is None or any(where.keyword in ascii_lower(text) for text in texts)


def _has_data(where: ActivityFilter, record: ActivityRecord) -> bool:
    return all(
        key in record.data and _same(record.data[key], value)
        for key, value in (where.data or {}).items()
    )


def _is_by_people(where: ActivityFilter, record: ActivityRecord) -> bool:
    if where.machine_activity:
        return True
    data = record.data
    actor = data.get("actor")
    types = [data.get("actor_type"), data.get("actorType")]
    types.append(actor.get("type") if isinstance(actor, dict) else None)
    is_machine = any(_same(data.get(key), sign) for key in where.machine_keys for sign in _TRUE)
    return not is_machine and not any(kind in where.machine_types for kind in types)


_TRUE: Final = (True, "true")
_TESTS: Final = (
    _has_fields,
    _involves,
    _has_verb,
    _is_in_channel,
    _is_in_time,
    _has_keyword,
    _has_data,
    _is_by_people,
)


def _same(stored: Any, wanted: Any) -> bool:
    # To Python True equals 1; to JSON it does not.
    return stored == wanted and isinstance(stored, bool) == isinstance(wanted, bool)


def _bounds(found: list[ActivityRecord], where: ActivityFilter, digest: bytes) -> tuple[int, int]:
    if where.after:
        place = decode_cursor("after", where.after, digest, b"")
        start = sum(place_of(record) >= place for record in found)
        return start, min(start + where.limit, len(found))
    if where.before:
        place = decode_cursor("before", where.before, digest, b"")
        stop = sum(place_of(record) > place for record in found)
        return max(0, stop - where.limit), stop
    return where.offset, where.offset + where.limit


def _total(found: list[ActivityRecord], where: ActivityFilter) -> int | None:
    if where.total == "none":
        return None
    return len(found) if where.total == "exact" else min(len(found), CAP)


def _cursor(record: ActivityRecord, digest: bytes) -> str:
    return encode_cursor(place_of(record), digest, b"")


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _millisecond(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
