"""How a page is looked for: near by, on the days that the counts know, or all along."""

from __future__ import annotations

import re

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from structlog_activity import ALL_TENANTS, to_uuid
from tests.support.records import NOON, record
from tests.support.sent import sent_by
from tests.support.stores import Store, sqlite_store


VERBS = ["settings.updated", "profile.updated"]
ACTOR, USER = to_uuid("an actor"), to_uuid("a user")


def spread(n: int) -> datetime:
    """One of three moments for each of some days: its first one, or an hour or two before."""
    return NOON.replace(hour=0) - timedelta(days=100 + n // 3, hours=n % 3)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """From new to old: 78 of one channel, two of another, two of a third, and others."""
    with sqlite_store(tmp_path_factory.mktemp("ways")) as store:
        channels = [*["often"] * 78, "seldom", "seldom", "rare", "rare", *["often"] * 500]
        store.add(
            *(
                record(
                    actor_id=ACTOR,
                    user_id=USER,
                    object_type="rarity" if channel == "rare" else "settings",
                    object_id="7",
                    verb="rare.seen" if channel == "rare" else VERBS[n % 2],
                    channel=channel,
                    data={"rare": True} if channel == "rare" else {"n": n},
                    occurred_at=NOON - timedelta(hours=n),
                )
                for n, channel in enumerate(channels)
            ),
            *(
                record(channel="many", verb=f"verb.v{n:03}", occurred_at=NOON - timedelta(days=99))
                for n in range(401)
            ),
            *(record(channel="far", occurred_at=NOON - timedelta(days=50 + n)) for n in range(3)),
            *(
                record(
                    channel="spread",
                    verb=f"verb.v{n % 2}",
                    occurred_at=spread(n),
                )
                for n in range(21)
            ),
        )
        yield store


def ways(store: Store, **where: Any) -> list[str]:
    engine = store.engine
    assert engine is not None
    asked: dict[str, Any] = {"tenant_id": "acme", "limit": 1, "total": "none", **where}
    sent = sent_by(engine, lambda: store.feed(**asked))
    for text, _ in sent:
        check_limits(text, 1 + asked["limit"], asked.get("offset", 0))
    return [way(text) for text, _ in sent]


def check_limits(statement: str, wanted: int, offset: int) -> None:
    """They stand in the text: a planner is to know how few rows are wanted of each index."""
    found = [int(text) for text in re.findall(r"LIMIT (\d+)", statement)]
    kind = way(statement)
    if kind == "counts":
        assert [wanted + offset] == found
    elif kind == "near":
        assert [40 * (wanted + offset), wanted] == found
    else:
        several = 0 if kind == "along" else int(kind.split()[0])
        assert [*[wanted + offset] * several, wanted] == found


def way(statement: str) -> str:
    if "user_activity_daily" in statement:
        return "counts"
    if "AS near" in statement:
        return "near"
    days, indexes = statement.count("created_at >= ?"), 1 + statement.count("UNION ALL")
    if days:
        return f"{days} days"
    return f"{indexes} indexes" if indexes > 1 else "along"


NEAR, ALONG = ["near"], ["along"]
WAYS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "tenant": ({}, ALONG),
    "channel, and a page of it is near": ({"channel": "seldom"}, NEAR),
    "channel, and the second page of it is near": (
        {"channels": ["seldom", "rare"], "offset": 1},
        NEAR,
    ),
    "channel, and no page of it is near": ({"channel": "rare"}, ["near", "counts", "1 days"]),
    "channel, and it is on two days": ({"channel": "far"}, ["near", "counts", "2 days"]),
    "channel, and it is on three": ({"channel": "far", "limit": 2}, ["near", "counts", "4 days"]),
    "object type, and no page of it is near": (
        {"object_type": "rarity"},
        ["near", "counts", "1 days"],
    ),
    "beginning of a verb, and no page of it is near": (
        {"verbs": "rare.*"},
        ["near", "counts", "1 days"],
    ),
    "verb and beginnings, and no page of it is near": (
        {"verbs": ["rare.seen", "none.*"]},
        ["near", "counts", "1 days"],
    ),
    "denied channels, and no page of others is near": (
        {"channel_denylist": ["often", "seldom", "far", "many", "spread"]},
        ["near", "counts", "1 days"],
    ),
    "keyword, and no page with it is near": ({"keyword": "rare.s"}, ["near", "along"]),
    "data, and no page with it is near": ({"data": {"rare": True}}, ["near", "along"]),
    "keyword of people, and no page of it is near": (
        {"keyword": "rare.s", "machine_types": ["settings"]},
        ["near", "along"],
    ),
    "channel that is nowhere": ({"channel": "none"}, ["near", "counts"]),
    "channel, and a verb": ({"channel": "rare", "verbs": "settings.updated"}, ALONG),
    "channel of all tenants": ({"channel": "rare", "tenant_id": ALL_TENANTS}, ALONG),
    "verb": ({"verbs": "settings.updated"}, ALONG),
    "verbs": ({"verbs": VERBS}, ["2 indexes"]),
    "more verbs": ({"verbs": [*VERBS, "none"]}, ["3 indexes"]),
    "verbs and a channel": ({"verbs": VERBS, "channel": "rare"}, ["2 indexes"]),
    "verbs of an actor": ({"verbs": VERBS, "actor_id": ACTOR}, ALONG),
    "verbs of a user": ({"verbs": VERBS, "user_id": USER}, ALONG),
    "verbs of an object": ({"verbs": VERBS, "object_type": "settings", "object_id": "7"}, ALONG),
    "verbs of all tenants": ({"verbs": VERBS, "tenant_id": ALL_TENANTS}, ALONG),
    "verbs and beginnings": ({"verbs": [*VERBS, "settings.*"]}, NEAR),
    "who is involved": ({"involving": ACTOR}, ["2 indexes"]),
    "who is involved, and verbs": ({"involving": ACTOR, "verbs": VERBS}, ["2 indexes"]),
    "object type": ({"object_type": "none"}, ["near", "counts"]),
    "denied channels": ({"channel_denylist": ["often"]}, NEAR),
    "beginning of a verb": ({"verbs": "none.*"}, ["near", "counts"]),
    "channel with more kinds than a page may have": (
        {"channel": "many"},
        ["near", "counts", "along"],
    ),
    "channel and a keyword": ({"channel": "none", "keyword": "x"}, ["near", "along"]),
    "keyword that is near": ({"keyword": "updated"}, NEAR),
    "keyword that is nowhere": ({"keyword": "nowhere"}, ["near", "along"]),
    "data": ({"data": {"n": -1}}, ["near", "along"]),
    "keyword and data": ({"keyword": "x", "data": {"n": -1}}, ["near", "along"]),
    "keyword of an actor": ({"keyword": "x", "actor_id": ACTOR}, ALONG),
    "keyword of a user": ({"keyword": "x", "user_id": USER}, ALONG),
    "keyword of an object": ({"keyword": "x", "object_type": "settings", "object_id": "7"}, ALONG),
    "keyword of who is involved": ({"keyword": "x", "involving": ACTOR}, ["2 indexes"]),
    "keyword of a verb": ({"keyword": "x", "verbs": "settings.updated"}, ALONG),
    "keyword in an organisation": ({"keyword": "x", "org_id": to_uuid("org")}, ["near", "along"]),
    "keyword of all tenants": ({"keyword": "x", "tenant_id": ALL_TENANTS}, ALONG),
    "the last page that may be near": ({"channel": "often", "limit": 200, "offset": 199}, NEAR),
    "a page farther away": ({"channel": "often", "limit": 200, "offset": 200}, ALONG),
}


@pytest.mark.parametrize(("where", "expected"), WAYS.values(), ids=WAYS)
def test_a_page_is_looked_for_where_it_is_likely(
    store: Store, where: dict[str, Any], expected: list[str]
) -> None:
    assert expected == ways(store, **where)


def ways_of_total(store: Store, total: str, **where: Any) -> list[str]:
    engine = store.engine
    assert engine is not None
    asked: dict[str, Any] = {"tenant_id": "acme", "limit": 1, **where}
    page = sent_by(engine, lambda: store.feed(**asked, total="none"))
    both = sent_by(engine, lambda: store.feed(**asked, total=total))
    return [way_of_total(text) for text, _ in both[len(page) :]]


def way_of_total(statement: str) -> str:
    if "WITH counted" in statement:
        return "statistics"
    source = "counts" if "user_activity_daily" in statement else "rows"
    return source + (" up to the cap" if "LIMIT" in statement else "")


@pytest.mark.parametrize("limit", [1, 2, 5])
@pytest.mark.parametrize(
    ("bounds", "first", "beyond"),
    [
        ({}, 0, 21),
        ({"until": spread(9)}, 10, 21),
        ({"until": spread(10)}, 11, 21),
        ({"until": spread(11)}, 12, 21),
        ({"since": spread(9)}, 0, 10),
        ({"since": spread(10)}, 0, 11),
        ({"since": spread(11)}, 0, 12),
    ],
    ids=["all", "until midnight", "until 23", "until 22", "since midnight", "since 23", "since 22"],
)
def test_days_that_the_counts_know_are_walked_there_and_back(
    store: Store, bounds: dict[str, datetime], first: int, beyond: int, limit: int
) -> None:
    asked: dict[str, Any] = {"tenant_id": "acme", "channel": "spread", "limit": limit, **bounds}
    pages = [store.feed(**asked)]
    while pages[-1].next_cursor:
        pages.append(store.feed(**asked, after=pages[-1].next_cursor))
    found = [one.occurred_at for page in pages for one in page.records]

    assert found == [spread(n) for n in range(first, beyond)]
    for before, page in reversed(list(pairwise(pages))):
        back = store.feed(**asked, before=page.prev_cursor)
        assert before.records == back.records
        assert beyond - first == back.total


RECENTLY = NOON - timedelta(days=9)
TOTALS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "none": ({"total": "none"}, []),
    "exact": ({"total": "exact"}, ["statistics"]),
    "exact of an actor": ({"total": "exact", "actor_id": ACTOR}, ["rows"]),
    "tenant": ({}, ["counts up to the cap"]),
    "channel": ({"channel": "often"}, ["counts up to the cap"]),
    "beginning of a verb": ({"verbs": "settings.*"}, ["counts up to the cap"]),
    "verb": ({"verbs": "settings.updated"}, ["rows up to the cap"]),
    "actor": ({"actor_id": ACTOR}, ["rows up to the cap"]),
    "since": ({"since": RECENTLY}, ["rows up to the cap"]),
    "until": ({"until": RECENTLY}, ["rows up to the cap"]),
    "channel since": ({"channel": "often", "since": RECENTLY}, ["statistics"]),
    "channel until": ({"channel": "often", "until": RECENTLY}, ["statistics"]),
    "a page with the end": ({"channel": "far", "limit": 4}, []),
    "a second page with the end": ({"channel": "far", "limit": 2, "offset": 2}, []),
    "a page without it": ({"channel": "far", "limit": 2}, ["counts up to the cap"]),
    "a page beyond it": ({"channel": "far", "limit": 2, "offset": 3}, ["counts up to the cap"]),
    "no page at all": ({"channel": "none"}, []),
}


@pytest.mark.parametrize(("where", "expected"), TOTALS.values(), ids=TOTALS)
def test_a_total_is_counted_where_that_is_least_work(
    store: Store, where: dict[str, Any], expected: list[str]
) -> None:
    asked = {"total": "capped"} | where
    told = asked.pop("total")

    assert expected == ways_of_total(store, told, **asked)


def way_of_line(statement: str) -> str:
    if "user_activity_daily" in statement:
        return "counts"
    return "parts" if "json_each" in statement else "rows"


RECENT = {"since": NOON - timedelta(days=20), "until": NOON}
DAYS = {"since": spread(0), "until": spread(-9)}
LINES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "days, and the counts know the ends": ({}, ["counts", "counts"]),
    "days of a channel": ({"channel": "spread"}, ["counts", "counts"]),
    "days of an actor": ({"actor_id": ACTOR}, ["rows", "rows"]),
    "days with both ends": (DAYS, ["counts"]),
    "days of all tenants": ({"tenant_id": ALL_TENANTS, **DAYS}, ["counts"]),
    "as many whole days as parts": (
        {"since": spread(1), "until": spread(-3)},
        ["counts", "parts"],
    ),
    "weeks elsewhere": ({"bucket": "week", "tz": "Europe/Berlin", **RECENT}, ["counts", "parts"]),
    "weeks elsewhere, of all tenants": (
        {"bucket": "week", "tz": "Europe/Berlin", "tenant_id": ALL_TENANTS, **RECENT},
        ["rows"],
    ),
    "days elsewhere": ({"tz": "Europe/Berlin", **RECENT}, ["rows"]),
    "hours": ({"bucket": "hour", **RECENT}, ["rows"]),
}


@pytest.mark.parametrize(("where", "expected"), LINES.values(), ids=LINES)
def test_a_line_is_counted_where_that_is_least_work(
    store: Store, where: dict[str, Any], expected: list[str]
) -> None:
    engine = store.engine
    assert engine is not None
    asked = {"tenant_id": "acme", **where}

    sent = sent_by(engine, lambda: store.timeline(**asked))

    assert expected == [way_of_line(text) for text, _ in sent]
