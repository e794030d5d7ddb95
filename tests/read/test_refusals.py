"""Every read refuses what it can't understand, and says which argument and value that was."""

from __future__ import annotations

import asyncio

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeAlias

import pytest

from structlog_activity import (
    ALL_TENANTS,
    ActivityFilter,
    ActivityLog,
    InvalidCursorError,
    InvalidFilterError,
    feed,
    stats,
)
from structlog_activity.read.counts.timeline import timeline
from structlog_activity.read.counts.top import top
from structlog_activity.read.feeds.get import get
from structlog_activity.read.feeds.history import history
from tests.read.test_filter import BAD
from tests.support.records import NOON, record
from tests.support.stores import Store


Reader: TypeAlias = "Callable[..., Any]"

# What each read is given beside the filter, so that nothing else is wrong.
METHODS: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "feed": lambda log, where: log.feed(**where),
    "stats": lambda log, where: log.stats(**where),
    "history": lambda log, where: log.history("settings:1", **where),
    "timeline": lambda log, where: log.timeline(**where),
    "top": lambda log, where: log.top(**{"by": "verb"} | where),
    "get": lambda log, where: log.get(**{"id": record().id} | where),
    "afeed": lambda log, where: asyncio.run(log.afeed(**where)),
    "astats": lambda log, where: asyncio.run(log.astats(**where)),
    "ahistory": lambda log, where: asyncio.run(log.ahistory("settings:1", **where)),
    "atimeline": lambda log, where: asyncio.run(log.atimeline(**where)),
    "atop": lambda log, where: asyncio.run(log.atop(**{"by": "verb"} | where)),
    "aget": lambda log, where: asyncio.run(log.aget(**{"id": record().id} | where)),
}
OF_OBJECT = {"history", "ahistory"}
PAGED = {"feed", "afeed", "history", "ahistory", "stats", "astats"}
GETS = {"get", "aget"}

# Beside those of `BAD`, which are about the filter alone.
MORE: dict[str, tuple[set[str], dict[str, Any]]] = {
    "unknown condition": (METHODS.keys() - GETS, {"colour": "red"}),
    "misspelt condition": (METHODS.keys() - GETS, {"tenant": "acme"}),
    "bucket word": ({"timeline", "atimeline"}, {"bucket": "fortnight"}),
    "bucket number": ({"timeline", "atimeline"}, {"bucket": 7}),
    "bucket None": ({"timeline", "atimeline"}, {"bucket": None}),
    "zone unknown": ({"timeline", "atimeline"}, {"tz": "Mars/Olympus"}),
    "zone outside": ({"timeline", "atimeline"}, {"tz": "../../etc/passwd"}),
    "zone folder": ({"timeline", "atimeline"}, {"tz": "Europe"}),
    "zone number": ({"timeline", "atimeline"}, {"tz": 1}),
    "zone None": ({"timeline", "atimeline"}, {"tz": None}),
    "by word": ({"top", "atop"}, {"by": "mood"}),
    "by list": ({"top", "atop"}, {"by": ["verb"]}),
    "by None": ({"top", "atop"}, {"by": None}),
    "top limit text": ({"top", "atop"}, {"limit": "5"}),
    "top limit float": ({"top", "atop"}, {"limit": 5.0}),
    "top limit boolean": ({"top", "atop"}, {"limit": True}),
    "id empty": (GETS, {"id": ""}),
    "id None": (GETS, {"id": None}),
    "id nil": (GETS, {"id": "00000000-0000-0000-0000-000000000000"}),
    "id float": (GETS, {"id": 1.5}),
    "id bytes": (GETS, {"id": b"x"}),
    "id boolean": (GETS, {"id": True}),
}
PAGING = ("limit", "offset", "after", "before", "total")


def cases() -> list[Any]:
    found = []
    for read in METHODS:
        for name, where in BAD.items():
            (field,) = where
            if read in GETS and field != "tenant_id":
                continue
            if field in PAGING and read not in PAGED:
                continue  # Is no argument of these, and so an unknown one.
            if read in OF_OBJECT and field == "object_type":
                continue  # The object tells it.
            found.append(pytest.param(read, where, id=f"{read}, {name}"))
        for name, (reads, where) in MORE.items():
            if read in reads:
                found.append(pytest.param(read, where, id=f"{read}, {name}"))
    return found


@pytest.fixture(scope="module")
def log() -> ActivityLog:
    """A log whose database can't be reached, which no bad argument may be the first to notice."""
    return ActivityLog("sqlite:////no/such/folder/activity.db", migrate=False)


@pytest.mark.parametrize(("read", "where"), cases())
def test_a_bad_argument_is_named_with_its_value_before_anything_is_read(
    log: ActivityLog, read: str, where: dict[str, Any]
) -> None:
    with pytest.raises(InvalidFilterError) as caught:
        METHODS[read](log, {"tenant_id": "acme"} | where)

    ((name, value),) = where.items()
    assert name in caught.value.field
    assert f"{caught.value.field}=" in str(caught.value)
    shown = caught.value.value
    assert shown == value or shown is value or value_within(value, shown)
    assert len(str(caught.value)) < 500


def value_within(given: Any, told: Any) -> bool:
    """Tell whether *told* is the part of *given* that is wrong, or its size."""
    parts = given.values() if isinstance(given, dict) else given
    same = (part is told or part == told or part != part for part in parts)  # noqa: PLR0124  NaN.
    return any(same) or told == len(given)


@pytest.mark.parametrize("read", METHODS)
def test_no_read_goes_without_a_tenant(log: ActivityLog, read: str) -> None:
    if read in GETS:
        with pytest.raises(TypeError, match="tenant_id"):
            METHODS[read](log, {})
        return
    with pytest.raises(InvalidFilterError, match="tenant_id"):
        METHODS[read](log, {})


@pytest.mark.parametrize("read", ["timeline", "top", "atimeline", "atop"])
@pytest.mark.parametrize("name", ["offset", "after", "before"])
def test_what_has_no_pages_takes_no_paging_beyond_a_filter_s(
    store: Store, read: str, name: str
) -> None:
    """They count all that the filter selects, whatever page of it was asked for."""
    store.add(*(record(occurred_at=NOON + timedelta(minutes=n)) for n in range(4)))
    if name == "offset":
        value: Any = 2
    else:
        page = store.feed(tenant_id="acme", limit=2)
        value = page.next_cursor
    counted = {"timeline": store.timeline, "top": lambda **where: store.top(by="verb", **where)}

    found = counted[read.removeprefix("a")](tenant_id="acme", **{name: value})

    assert [4] == [n for _, n in found]


@pytest.mark.parametrize(
    "object_", ["", "  ", ":1", None, 5, object(), [], ("a",), ("", 1), b"a:b"]
)
def test_an_object_that_can_not_be_read_is_told(log: ActivityLog, object_: Any) -> None:
    for read in (log.history, lambda *args, **where: asyncio.run(log.ahistory(*args, **where))):
        with pytest.raises(InvalidFilterError) as caught:
            read(object_, tenant_id="acme")
        assert "object" == caught.value.field
        assert caught.value.value is object_


@pytest.mark.parametrize("field", ["object_type", "object_id"])
def test_a_history_takes_no_second_object(log: ActivityLog, field: str) -> None:
    where: dict[str, Any] = {field: "other"}
    with pytest.raises(InvalidFilterError, match=f"{field}='other'"):
        log.history("settings:1", tenant_id="acme", **where)


def test_the_functions_refuse_what_the_methods_do(store: Store) -> None:
    if store.engine is None:
        pytest.skip("has no engine")
    where, engine = ActivityFilter(tenant_id="acme"), store.engine
    with pytest.raises(InvalidFilterError, match="bucket='fortnight'"):
        timeline(engine, where, bucket="fortnight")
    with pytest.raises(InvalidFilterError, match="tz='Mars'"):
        timeline(engine, where, tz="Mars")
    with pytest.raises(InvalidFilterError, match="by='mood'"):
        top(engine, where, by="mood")
    with pytest.raises(InvalidFilterError, match="limit='5'"):
        top(engine, where, by="verb", limit="5")  # type: ignore[call-overload]
    with pytest.raises(InvalidFilterError, match="tenant_id=None"):
        get(engine, None, record().id)
    with pytest.raises(InvalidFilterError, match="id=''"):
        get(engine, "acme", "")
    with pytest.raises(InvalidFilterError, match="object=5"):
        history(engine, 5, where)
    for read in (feed, stats, timeline):
        with pytest.raises(TypeError, match="an Engine, a Connection or a Session"):
            read("postgresql://db/app", where)  # type: ignore[call-overload]


def test_too_many_buckets_are_refused(store: Store) -> None:
    with pytest.raises(InvalidFilterError, match="bucket='hour'"):
        store.timeline(tenant_id="acme", bucket="hour", since="1990-01-01", until="2026-01-01")


# -- cursors ------------------------------------------------------------------------


def cursors(store: Store) -> tuple[str, str]:
    """A cursor of a feed, and one of a history."""
    store.add(*(record(object_id=str(n % 2)) for n in range(6)))
    of_feed = store.feed(tenant_id="acme", limit=2).next_cursor
    of_history = store.history("settings:1", tenant_id="acme", limit=2).next_cursor
    assert of_feed
    assert of_history
    return of_feed, of_history


def test_a_cursor_fits_the_read_that_it_came_from_only(store: Store) -> None:
    of_feed, of_history = cursors(store)
    wrong: list[tuple[Any, dict[str, Any]]] = [
        (store.feed, {"tenant_id": "acme", "after": of_history}),
        (store.feed, {"tenant_id": "other", "after": of_feed}),
        (store.feed, {"tenant_id": ALL_TENANTS, "before": of_feed}),
        (store.feed, {"tenant_id": "acme", "actor_id": "ann", "after": of_feed}),
        (store.feed, {"tenant_id": "acme", "until": NOON, "before": of_feed}),
        (store.feed, {"tenant_id": "acme", "keyword": "x", "before": of_feed}),
    ]
    for read, where in wrong:
        with pytest.raises(InvalidCursorError):
            read(**where)
    for object_, where in (
        ("settings:0", {"tenant_id": "acme", "after": of_history}),
        ("settings", {"tenant_id": "acme", "after": of_history}),
        ("settings:1", {"tenant_id": "acme", "after": of_feed}),
        ("settings:1", {"tenant_id": "other", "before": of_history}),
    ):
        with pytest.raises(InvalidCursorError):
            store.history(object_, **where)
    assert 1 == len(store.history("settings:1", tenant_id="acme", after=of_history).records)


def test_a_cursor_with_any_byte_changed_is_refused_by_feed_and_history(store: Store) -> None:
    import base64

    of_feed, of_history = cursors(store)
    reads: list[tuple[str, Any]] = [
        (of_feed, lambda **place: store.feed(tenant_id="acme", **place)),
        (of_history, lambda **place: store.history("settings:1", tenant_id="acme", **place)),
    ]
    for text, read in reads:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        for place in range(len(raw)):
            for change in (1, 0x80, 0xFF):
                changed = bytearray(raw)
                changed[place] ^= change
                damaged = base64.urlsafe_b64encode(changed).rstrip(b"=").decode()
                for name in ("after", "before"):
                    with pytest.raises(InvalidCursorError) as caught:
                        read(**{name: damaged})
                    assert (name, damaged) == (caught.value.field, caught.value.value)


def test_a_cursor_signed_with_another_key_is_refused(store: Store) -> None:
    if store.engine is None:
        pytest.skip("takes no key")
    cursors(store)
    where = ActivityFilter(tenant_id="acme", limit=2)
    signed = feed(store.engine, where, key=b"one").next_cursor
    for key in (b"", b"two"):
        with pytest.raises(InvalidCursorError):
            feed(store.engine, ActivityFilter(tenant_id="acme", after=signed), key=key)
    assert feed(store.engine, ActivityFilter(tenant_id="acme", after=signed), key=b"one").records
