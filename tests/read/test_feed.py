"""The feed, on every store, against its meaning in plain Python."""

from __future__ import annotations

import itertools

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from structlog_activity import (
    ALL_TENANTS,
    NIL,
    ActivityFilter,
    ActivityRecord,
    InvalidCursorError,
    InvalidFilterError,
    feed,
    to_uuid,
)
from structlog_activity.read import memory
from structlog_activity.read.cursor import Place, encode_cursor
from structlog_activity.read.feeds import search, totals
from structlog_activity.testing import matches
from tests.support.records import ACTORS, NOON, ORGS, random_records, record
from tests.support.stores import Store


FILTERS: dict[str, dict[str, Any]] = {
    "org": {"org_id": ORGS[1]},
    "org as text": {"org_id": "org-2"},
    "actor": {"actor_id": "actor-1"},
    "user": {"user_id": ACTORS[2]},
    "involving": {"involving": ACTORS[3]},
    "one verb": {"verbs": "settings.updated"},
    "verbs": {"verbs": ["settings.updated", "user.created", "never.seen"]},
    "verb prefix": {"verbs": "settings.*"},
    "verb prefix and exact": {"verbs": ["export.*", "user.created"]},
    "beginnings of verbs": {"verbs": ["settings.u*", "e*"]},
    "any verb": {"verbs": "*"},
    "odd verb": {"verbs": "Odd_%*"},
    "object type": {"object_type": "user"},
    "object": {"object_type": "settings", "object_id": "1"},
    "object id": {"object_id": "50%_off"},
    "channel": {"channel": "settings"},
    "channels": {"channels": ["settings", "Über"]},
    "channels over channel": {"channel": "settings", "channels": ["exports"]},
    "denied channel": {"channel_denylist": ["settings"]},
    "channel and the same denied": {"channel": "settings", "channel_denylist": "settings"},
    "since": {"since": NOON - timedelta(days=10)},
    "until": {"until": NOON.replace(hour=0)},
    "span": {"since": NOON - timedelta(days=20), "until": NOON - timedelta(days=2)},
    "empty span": {"since": NOON, "until": NOON - timedelta(days=2)},
    "keyword": {"keyword": "SETT"},
    "keyword in the id": {"keyword": "50%_"},
    "keyword with a wildcard": {"keyword": "t%s"},
    "keyword with a backslash": {"keyword": "\\"},
    "number in data": {"data": {"count": 1}},
    "float in data": {"data": {"count": 1.5}},
    "true in data": {"data": {"ok": True}},
    "null in data": {"data": {"ok": None}},
    "text in data": {"data": {"path": "ui.theme"}},
    "odd key in data": {"data": {"we\"ird.k'ey": "x", "path": "ui.theme"}},
    "no such key in data": {"data": {"nothing": None}},
    "1 is not true": {"data": {"ok": 1}},
    "text is not a number": {"data": {"count": "1"}},
}


def expected(records: list[ActivityRecord], **where: Any) -> list[ActivityRecord]:
    filter_ = ActivityFilter(**where)
    found = [one for one in records if matches(filter_, one)]
    return sorted(found, key=lambda one: (one.occurred_at, one.id), reverse=True)


@pytest.fixture
def filled(store: Store) -> tuple[Store, list[ActivityRecord]]:
    records = store.add(*random_records(7, 120))
    return store, records


def test_every_filter_alone_selects_what_it_says(
    filled: tuple[Store, list[ActivityRecord]], subtests: pytest.Subtests
) -> None:
    store, records = filled
    for name, where in FILTERS.items():
        with subtests.test(name):
            wanted = expected(records, tenant_id="tenant-0", **where)

            assert wanted == store.walk(tenant_id="tenant-0", **where)
            assert len(wanted) == store.feed(tenant_id="tenant-0", **where).total


def test_the_filters_of_this_suite_each_select_some_records_or_are_known_to_select_none() -> None:
    records = random_records(7, 120)
    none = {
        name
        for name, where in FILTERS.items()
        if not expected(records, tenant_id="tenant-0", **where)
    }

    assert none == {
        "channel and the same denied",
        "empty span",
        "keyword with a wildcard",
        "keyword with a backslash",
        "no such key in data",
        "1 is not true",
        "text is not a number",
    }


def test_any_two_filters_together_mean_and(
    filled: tuple[Store, list[ActivityRecord]], subtests: pytest.Subtests
) -> None:
    store, records = filled
    for (first, a), (second, b) in itertools.combinations(FILTERS.items(), 2):
        if a.keys() & b.keys():
            continue
        with subtests.test(f"{first} + {second}"):
            wanted = expected(records, tenant_id="tenant-1", **a, **b)

            where = {"tenant_id": "tenant-1", "limit": 200, "total": "none"}
            assert wanted[:200] == store.feed(**where, **a, **b).records


@pytest.mark.parametrize(
    ("prefix", "verb"),
    [
        pytest.param("a.b", "a.b", id="letter"),
        pytest.param("a\ud7ff", "a\ud7ff.b", id="last before the surrogates"),
        pytest.param("a\U0010ffff", "a\U0010ffff.b", id="last of all"),
        pytest.param("\U0010ffff", "\U0010ffff", id="nothing but the last of all"),
    ],
)
def test_a_beginning_of_a_verb_selects_nothing_beside_it(
    store: Store, prefix: str, verb: str
) -> None:
    verbs = ("a.b", "a.", "a.c", "a\ud7ff.b", "a\ue000.b", "a\U0010ffff.b", "b.b", "\U0010ffff")
    store.add(*(record(verb=one) for one in verbs))

    assert [verb] == [one.verb for one in store.feed(tenant_id="acme", verbs=f"{prefix}*").records]


def test_a_verb_without_a_star_selects_itself_alone(store: Store) -> None:
    store.add(*(record(verb=one) for one in ("a.b", "a.bc", "a.c", "a.", "a", "A.b")))

    for verbs in ("a.b", ["a.b", "z.*"]):
        assert ["a.b"] == [one.verb for one in store.feed(tenant_id="acme", verbs=verbs).records]


def test_a_span_holds_its_first_moment_and_not_its_last(store: Store) -> None:
    moments = [NOON, NOON + timedelta(microseconds=1), NOON + timedelta(hours=1)]
    store.add(*(record(occurred_at=moment) for moment in moments))

    for since, until, held in ((0, 2, 2), (1, 2, 1), (0, 1, 1), (1, 1, 0), (2, 1, 0)):
        span = {"since": moments[since], "until": moments[until]}
        found = store.feed(tenant_id="acme", **span).records
        assert moments[since : since + held][::-1] == [one.occurred_at for one in found]


@pytest.mark.parametrize(
    "id_",
    [
        pytest.param("a\\b", id="backslash"),
        pytest.param("a%b", id="percent"),
        pytest.param("a_b", id="underscore"),
        pytest.param("axb", id="letter"),
    ],
)
def test_a_keyword_means_each_of_its_characters(store: Store, id_: str) -> None:
    store.add(*(record(object_id=f"a{character}b") for character in "\\%_x"))

    found = store.feed(tenant_id="acme", keyword=id_).records

    assert [id_] == [one.object_id for one in found]


def test_a_tenant_sees_only_its_own_records(store: Store) -> None:
    mine, other, nobodys = store.add(
        record(), record(tenant_id=to_uuid("other")), record(tenant_id=NIL)
    )

    assert [mine] == store.feed(tenant_id="acme").records
    assert [other] == store.feed(tenant_id=to_uuid("other")).records
    assert [nobodys] == store.feed(tenant_id=NIL).records
    assert {mine.id, other.id, nobodys.id} == {
        one.id for one in store.feed(tenant_id=ALL_TENANTS).records
    }


def test_ties_in_time_are_ordered_by_id(store: Store) -> None:
    records = store.add(*(record() for _ in range(30)))

    assert sorted(records, key=lambda one: one.id, reverse=True) == store.walk(tenant_id="acme")


@pytest.mark.parametrize(
    ("asked", "given"), [(0, 50), (-1, 50), (1, 1), (50, 50), (200, 200), (201, 200), (10**9, 200)]
)
def test_limits_are_those_of_the_seed(store: Store, asked: int, given: int) -> None:
    store.add(*random_records(3, 210, tenants=1))

    page = store.feed(tenant_id="tenant-0", limit=asked)

    assert given == len(page.records) == page.next_offset


@pytest.mark.parametrize(
    ("offset", "limit", "count", "has_more"),
    [(0, 4, 4, True), (4, 4, 4, True), (8, 4, 2, False), (6, 4, 4, False), (10, 4, 0, False),
     (99, 4, 0, False), (-5, 4, 4, True)],
)  # fmt: skip
def test_offsets_page_as_the_seed_does(
    store: Store, offset: int, limit: int, count: int, has_more: bool
) -> None:
    records = store.add(*(record() for _ in range(10)))
    newest_first = sorted(records, key=lambda one: one.id, reverse=True)

    page = store.feed(tenant_id="acme", offset=offset, limit=limit)

    start = max(offset, 0)
    assert newest_first[start : start + limit] == page.records
    assert (count, has_more, start + limit, 10) == (
        len(page.records), page.has_more, page.next_offset, page.total,
    )  # fmt: skip


def test_an_empty_feed_is_an_empty_page(store: Store) -> None:
    page = store.feed(tenant_id="nobody", limit=5)

    assert ([], False, None, None, 5, 0, True) == (
        page.records,
        page.has_more,
        page.next_cursor,
        page.prev_cursor,
        page.next_offset,
        page.total,
        page.total_is_exact,
    )


@pytest.mark.parametrize(
    ("total", "found"), [("exact", (7, True)), ("capped", (7, True)), ("none", (None, False))]
)
def test_totals_count_as_they_are_asked_to(
    store: Store, total: str, found: tuple[int | None, bool]
) -> None:
    store.add(*(record() for _ in range(7)))

    page = store.feed(tenant_id="acme", limit=2, total=total)

    assert found == (page.total, page.total_is_exact)


def test_a_capped_total_stops_at_ten_thousand(store: Store) -> None:
    for _ in range(21):
        store.add(*(record() for _ in range(500)))

    capped = store.feed(tenant_id="acme", limit=1)
    exact = store.feed(tenant_id="acme", limit=1, total="exact")

    assert (10_000, False) == (capped.total, capped.total_is_exact)
    assert (10_500, True) == (exact.total, exact.total_is_exact)


@pytest.mark.parametrize(
    "where",
    [
        pytest.param({}, id="all"),
        pytest.param({"channel": "here"}, id="channel"),
        pytest.param({"verbs": "settings.updated"}, id="verb"),
        pytest.param({"verbs": "settings.*"}, id="beginning of a verb"),
        pytest.param({"keyword": "sett"}, id="keyword"),
        pytest.param({"since": NOON, "until": NOON + timedelta(hours=1)}, id="span"),
        pytest.param({"since": NOON}, id="since"),
        pytest.param({"until": NOON + timedelta(hours=1)}, id="until"),
    ],
)
@pytest.mark.parametrize(("more", "counted"), [(0, (9, True)), (1, (9, False)), (9, (9, False))])
def test_a_capped_total_is_exact_up_to_the_cap_and_says_so(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    where: dict[str, Any],
    more: int,
    counted: tuple[int, bool],
) -> None:
    for module in (totals, memory):
        monkeypatch.setattr(module, "CAP", 9)
    # Over some months, so that they are looked for in one span of them after the other.
    store.add(*(record(channel="here") for _ in range(9 + more)))

    page = store.feed(tenant_id="acme", limit=2, **where)
    exact = store.feed(tenant_id="acme", limit=2, total="exact", **where)

    assert counted == (page.total, page.total_is_exact)
    assert (9 + more, True) == (exact.total, exact.total_is_exact)


@pytest.mark.parametrize(
    "where",
    [
        pytest.param({}, id="all"),
        pytest.param({"verbs": "settings.updated"}, id="verb"),
        pytest.param({"until": NOON + timedelta(hours=1)}, id="until"),
    ],
)
def test_a_capped_total_counts_what_lies_days_and_years_apart(
    store: Store, monkeypatch: pytest.MonkeyPatch, where: dict[str, Any]
) -> None:
    for module in (totals, memory):
        monkeypatch.setattr(module, "CAP", 9)
    store.add(*(record(occurred_at=NOON - timedelta(days=n)) for n in range(9)))
    nine = store.feed(tenant_id="acme", limit=2, **where)
    store.add(record(occurred_at=NOON - timedelta(days=900)))
    ten = store.feed(tenant_id="acme", limit=2, **where)

    assert (9, True) == (nine.total, nine.total_is_exact)
    assert (9, False) == (ten.total, ten.total_is_exact)


def test_a_page_beyond_the_end_of_an_empty_feed_has_a_total_of_none(store: Store) -> None:
    page = store.feed(tenant_id="nobody", offset=3)

    assert ([], 0, True) == (page.records, page.total, page.total_is_exact)


def test_pages_lead_back_in_the_order_of_time_whatever_the_ids(store: Store) -> None:
    moments = [NOON - timedelta(hours=n) for n in range(6)]
    store.add(*(record(id=UUID(int=n), occurred_at=at) for n, at in enumerate(moments, 1)))
    page = store.feed(tenant_id="acme", limit=4, offset=2)
    assert moments[2:] == [one.occurred_at for one in page.records]

    for newer in moments[1::-1]:
        page = store.feed(tenant_id="acme", limit=1, before=page.prev_cursor)
        assert [newer] == [one.occurred_at for one in page.records]


def test_what_lies_beyond_a_bound_on_its_day_is_not_taken_for_a_part_of_the_page(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "_EFFORT", 1)  # So that the counts are asked for the days.
    store.add(*(record(channel="rare", occurred_at=NOON + timedelta(hours=n)) for n in range(6)))
    store.add(*(record(occurred_at=NOON - timedelta(minutes=n)) for n in range(1, 9)))
    days = (record(channel="rare", occurred_at=NOON - timedelta(days=n)) for n in (1, 2, 3))
    older = store.add(*days)

    page = store.feed(tenant_id="acme", channel="rare", until=NOON, limit=2)

    assert older[:2] == page.records
    assert page.has_more


def test_cursors_lead_there_and_back(store: Store) -> None:
    store.add(*random_records(5, 40, tenants=1))
    pages = [store.feed(tenant_id="tenant-0", limit=6)]
    while pages[-1].next_cursor:
        pages.append(store.feed(tenant_id="tenant-0", limit=6, after=pages[-1].next_cursor))

    back = [pages[-1]]
    while back[-1].prev_cursor:
        back.append(store.feed(tenant_id="tenant-0", limit=6, before=back[-1].prev_cursor))

    assert pages[0].prev_cursor is None
    assert [page.records for page in pages] == [page.records for page in back[::-1]]
    assert back[-1].next_cursor is not None
    assert back[-1].has_more


def test_a_page_behind_a_single_record_leads_back_to_it(store: Store) -> None:
    store.add(*(record() for _ in range(3)))
    first = store.feed(tenant_id="acme", limit=1)

    for second in (
        store.feed(tenant_id="acme", limit=1, after=first.next_cursor),
        store.feed(tenant_id="acme", limit=1, offset=1),
    ):
        assert second.prev_cursor is not None
        back = store.feed(tenant_id="acme", limit=1, before=second.prev_cursor)
        assert first.records == back.records


def test_a_cursor_leads_on_from_the_first_moment_that_is_stored(store: Store) -> None:
    dawn = datetime(1970, 1, 1, tzinfo=UTC)
    records = store.add(*(record(occurred_at=dawn) for _ in range(3)))

    assert sorted(records, key=lambda one: one.id, reverse=True) == store.walk(
        limit=1, tenant_id="acme"
    )


def test_a_walk_sees_every_old_record_once_while_new_ones_arrive(store: Store) -> None:
    old = store.add(*random_records(11, 60, tenants=1))
    arriving = iter(random_records(12, 60, tenants=1))
    seen: list[ActivityRecord] = []
    cursor = None
    while True:
        page = store.feed(tenant_id="tenant-0", limit=5, after=cursor)
        seen += page.records
        store.add(*itertools.islice(arriving, 3))
        cursor = page.next_cursor
        if cursor is None:
            break

    old_ids = {one.id for one in old}
    assert len(seen) == len({one.id for one in seen})
    assert old_ids == {one.id for one in seen} & old_ids


def test_a_cursor_of_another_tenant_or_filter_is_refused(store: Store) -> None:
    store.add(*(record(verb=verb) for verb in ("a.b", "a.b", "c.d")))
    cursor = store.feed(tenant_id="acme", limit=1).next_cursor

    for where in (
        {"tenant_id": "other"},
        {"tenant_id": ALL_TENANTS},
        {"tenant_id": "acme", "verbs": "a.b"},
        {"tenant_id": "acme", "since": NOON},
        {"tenant_id": "acme", "data": {"k": 1}},
    ):
        with pytest.raises(InvalidCursorError):
            store.feed(**where, after=cursor)
    assert 2 == len(store.feed(tenant_id="acme", after=cursor, limit=9, total="none").records)


def test_a_cursor_with_any_character_changed_is_refused(store: Store) -> None:
    store.add(record(), record())
    cursor = store.feed(tenant_id="acme", limit=1).next_cursor
    assert cursor is not None

    for place, old in enumerate(cursor):
        for new in "Aw-_=. \u00e9":
            if new != old:
                with pytest.raises(InvalidCursorError):
                    store.feed(tenant_id="acme", after=cursor[:place] + new + cursor[place + 1 :])
    for damaged in (
        cursor[:-1], cursor + "A", cursor + "=", f" {cursor}", cursor + "\0", "x", "é", "\ud800",
        "A" * 5000,
    ):  # fmt: skip
        with pytest.raises(InvalidCursorError):
            store.feed(tenant_id="acme", before=damaged)


@pytest.mark.parametrize("name", ["after", "before"])
def test_a_cursor_may_be_at_either_end_of_the_calendar_but_not_beyond(
    sql_store: Store, name: str
) -> None:
    assert sql_store.engine is not None
    stored = sql_store.add(record())
    first, last = 0, 253_402_300_799_999_999
    digest = ActivityFilter(tenant_id="acme").digest()

    found = {}
    for moment in (first - 1, first, last, last + 1):
        place: dict[str, Any] = {name: encode_cursor(Place(moment, stored[0].id), digest, b"")}
        where = ActivityFilter(tenant_id="acme", **place)
        if first <= moment <= last:
            found[moment] = feed(sql_store.engine, where).records
        else:
            with pytest.raises(InvalidCursorError, match=f"^{name}=.*: is no cursor") as caught:
                feed(sql_store.engine, where)
            told = (caught.value.field, caught.value.value, caught.value.problem)
            assert (name, place[name], "is no cursor of this feed") == told

    beyond = {"after": {first: [], last: stored}, "before": {first: stored, last: []}}
    assert beyond[name] == found


@pytest.mark.parametrize("name", ["after", "before"])
def test_a_damaged_cursor_is_told_by_the_argument_that_it_came_in(store: Store, name: str) -> None:
    where: dict[str, Any] = {name: "damaged"}

    with pytest.raises(InvalidCursorError, match=f"^{name}='damaged': is no cursor of this feed"):
        store.feed(tenant_id="acme", **where)


def test_after_and_before_and_offset_exclude_each_other(store: Store) -> None:
    store.add(record(), record())
    cursor = store.feed(tenant_id="acme", limit=1).next_cursor

    for where in ({"after": cursor, "before": cursor}, {"after": cursor, "offset": 1}):
        with pytest.raises(InvalidFilterError):
            store.feed(tenant_id="acme", **where)


def test_pages_and_records_have_dicts_for_json(store: Store) -> None:
    (stored,) = store.add(record(data={"a": 1}))

    page = store.feed(tenant_id="acme").to_dict()

    assert [stored.to_dict()] == page["records"]
    assert {"has_more", "next_cursor", "prev_cursor", "next_offset", "total", "total_is_exact"} < (
        page.keys()
    )
