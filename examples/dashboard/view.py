"""What one page is to show, as its address says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from structlog_activity import ALL_TENANTS, NIL, ActivityFilter, InvalidFilterError
from structlog_activity.read.query import parse_query
from structlog_activity.read.words import Word, query_of, words_of


RANGES: Final = {
    "15m": ("15 min", timedelta(minutes=15)),
    "1h": ("1 hour", timedelta(hours=1)),
    "24h": ("24 hours", timedelta(days=1)),
    "7d": ("7 days", timedelta(days=7)),
    "30d": ("30 days", timedelta(days=30)),
    "90d": ("90 days", timedelta(days=90)),
    "all": ("All", None),
}
DEFAULT_RANGE: Final = "7d"
_LONGEST_SEARCH: Final = 500
_PLAIN: Final = {"tenant_id", "since", "until", "verbs", "channels", "channel_denylist"}
_COUNTED: Final = {*_PLAIN, "object_type"}


@dataclass(frozen=True, slots=True)
class Tenant:
    """
    A tenant that the dashboard may show.

    Attributes:

        label: How it is called on the page.

        id: As filters take it.
    """

    label: str
    id: Any


def tenant_of(name: str) -> Tenant:
    """Return the tenant that an option of the server names; ``*`` is all, ``-`` is none."""
    if name == "*":
        return Tenant("All tenants", ALL_TENANTS)
    if name == "-":
        return Tenant("Without a tenant", NIL)
    return Tenant(name, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """
    What one page is to show.

    Attributes:

        tenant: Whose records; one of those that the server allows.

        text: The search.

        range: A key of `RANGES`, or ``"custom"``.

        since: First moment.

        until: First moment after the last one; `None` is open.

        now: The moment from which all relative times count. It is the same for all pages of
            one feed, or their cursors would not fit.

        where: Conditions of the filter.

        after: Cursor.

        before: Cursor.

        params: Those of the address that say it all again.
    """

    tenant: Tenant
    text: str
    range: str
    since: datetime | None
    until: datetime | None
    now: datetime
    where: dict[str, Any]
    after: str | None
    before: str | None
    params: dict[str, str]

    @property
    def end(self) -> datetime:
        """Where the period ends, also where it is open."""
        return self.until or self.now

    @property
    def is_cheap(self) -> bool:
        """Whether the daily counts know the answer, so that no row is read for a number."""
        return not any(value for name, value in self.where.items() if name not in _COUNTED) and (
            not self.where.get("object_id")
        )

    @property
    def cheap_where(self) -> dict[str, Any]:
        """The conditions that the daily counts know: they select more, never less."""
        return {name: value for name, value in self.where.items() if name in _COUNTED}

    @property
    def is_first(self) -> bool:
        """Whether this is the first page of the feed."""
        return not (self.after or self.before)

    @property
    def words(self) -> list[Word]:
        """The words of the search."""
        return words_of(self.text)

    def url(self, path: str = "/", **changes: str | None) -> str:
        """
        Return the address of another view.

        Args:

            path: Which page.

            changes: Parameters that are other than here; `None` takes one out. Whatever is
                changed, paging starts anew.
        """
        params = {k: v for k, v in self.params.items() if k not in {"after", "before", "at"}}
        params |= {k: v for k, v in changes.items() if v}
        gone = {k for k, v in changes.items() if not v}
        query = urlencode({k: v for k, v in params.items() if k not in gone})
        return f"{path}?{query}" if query else path

    def page(self, **cursor: str) -> str:
        """Return the address of another page of this feed."""
        return self.url(at=self.now.isoformat(), **cursor)

    def has(self, key: str, value: str) -> bool:
        """Tell whether a condition stands in the search."""
        return Word(key, value) in self.words

    def toggled(self, key: str, value: str, *, is_negated: bool = False) -> str:
        """Return the address with a condition put into the search, or taken out of it."""
        word = Word(key, value, is_negated)
        opposite = Word(key, value, not is_negated)
        rest = [one for one in self.words if one not in {word, opposite}]
        return self.url(q=query_of(rest if word in self.words else [*rest, word]))

    def without(self, word: Word) -> str:
        """Return the address with a word taken out of the search."""
        return self.url(q=query_of(one for one in self.words if one != word))

    def only(self, key: str, value: str) -> str:
        """Return the address of the search for nothing but one condition."""
        return self.url(q=str(Word(key, value)))

    def zoomed(self, since: datetime, until: datetime) -> str:
        """Return the address for another time."""
        rest = [word for word in self.words if word.key not in {"since", "until"}]
        return self.url(
            range=None, since=since.isoformat(), until=until.isoformat(), q=query_of(rest)
        )

    def ranged(self, range_: str) -> str:
        """Return the address for another range."""
        rest = [word for word in self.words if word.key not in {"since", "until"}]
        return self.url(range=range_, since=None, until=None, q=query_of(rest))

    def earlier(self) -> dict[str, Any] | None:
        """Return the conditions for the period of the same length before, if there is one."""
        if self.since is None:
            return None
        try:
            before = self.since - (self.end - self.since)
        except OverflowError:
            return None
        return {**self.where, "since": before, "until": self.since}


def view_of(
    params: Mapping[str, str], *, tenants: list[Tenant], zone: ZoneInfo, clock: datetime
) -> View:
    """
    Read the parameters of an address.

    Args:

        params: Of the address.

        tenants: Those that may be shown; the first is the default.

        zone: Of times without one.

        clock: Now.

    Raises:

        InvalidFilterError: One of them can't be understood.
    """
    now = _moment("at", params.get("at"), zone) or clock
    text = params.get("q", "").strip()
    if len(text) > _LONGEST_SEARCH:
        raise InvalidFilterError("search", text, f"at most {_LONGEST_SEARCH} characters")
    found = parse_query(text, now=now)
    range_, since, until = _period(params, now, zone)
    if found.get("since") or found.get("until"):
        range_, since, until = "custom", None, None
        since = _moment("since", found.pop("since", None), zone)
        until = _moment("until", found.pop("until", None), zone)
    if since is not None and until is not None and until <= since:
        raise InvalidFilterError("until", until.isoformat(), "is not after the beginning")
    tenant = _tenant(params.get("tenant", ""), tenants)
    where = {"tenant_id": tenant.id, **found, "since": since, "until": until}
    ActivityFilter(**where)  # Refused here already, before anything is read.
    kept = ("q", "range", "since", "until", "tenant", "at", "after", "before")
    return View(
        tenant=tenant,
        text=text,
        range=range_,
        since=since,
        until=until,
        now=now,
        where=where,
        after=params.get("after"),
        before=params.get("before"),
        params={name: params[name] for name in kept if params.get(name)},
    )


def _period(
    params: Mapping[str, str], now: datetime, zone: ZoneInfo
) -> tuple[str, datetime | None, datetime | None]:
    since = _moment("since", params.get("since"), zone)
    until = _moment("until", params.get("until"), zone)
    if since is not None or until is not None:
        return "custom", since, until
    name = params.get("range") or DEFAULT_RANGE
    if name not in RANGES:
        raise InvalidFilterError("range", name, f"use one of {', '.join(RANGES)}")
    span = RANGES[name][1]
    return name, now - span if span else None, None


def _moment(name: str, value: Any, zone: ZoneInfo) -> datetime | None:
    if not value:
        return None
    try:
        found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidFilterError(name, value, "can't be read as ISO 8601") from None


def _tenant(label: str, tenants: list[Tenant]) -> Tenant:
    for tenant in tenants:
        if tenant.label == label or not label:
            return tenant
    raise InvalidFilterError("tenant", label, "is not one that this dashboard shows")
