"""What a filter takes, and what it refuses."""

from __future__ import annotations

import dataclasses
import pickle

from datetime import UTC, date, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any
from uuid import UUID

import pytest

from structlog_activity import ALL_TENANTS, NIL, ActivityFilter, InvalidFilterError, to_uuid
from structlog_activity.read.filter import MACHINE_TYPES
from structlog_activity.record.rowmaker import RowMaker
from tests.support.records import record


BAD: dict[str, dict[str, Any]] = {
    "tenant missing": {"tenant_id": None},
    "tenant empty": {"tenant_id": ""},
    "tenant blank": {"tenant_id": "  "},
    "tenant list": {"tenant_id": ["a"]},
    "tenant float": {"tenant_id": 1.5},
    "tenant boolean": {"tenant_id": True},
    "actor dict": {"actor_id": {}},
    "actor bytes": {"actor_id": b"x"},
    "user object": {"user_id": object()},
    "org boolean": {"org_id": False},
    "involving float": {"involving": 0.0},
    "verbs number": {"verbs": 5},
    "verbs of numbers": {"verbs": [1]},
    "verbs of nothing": {"verbs": [""]},
    "verbs mapping": {"verbs": {"a": 1}},
    "star in the middle": {"verbs": "a.*.b"},
    "star at the start": {"verbs": "*.updated"},
    "too many verbs": {"verbs": [f"v{i}" for i in range(201)]},
    "type number": {"object_type": 5},
    "id float": {"object_id": 1.5},
    "id boolean": {"object_id": True},
    "channel number": {"channel": 1},
    "channels text of None": {"channels": [None]},
    "deny number": {"channel_denylist": 3},
    "since number": {"since": 5},
    "since junk": {"since": "yesterday"},
    "since empty": {"since": ""},
    "until list": {"until": []},
    "until impossible": {"until": "2026-02-30"},
    "keyword number": {"keyword": 7},
    "keyword huge": {"keyword": "x" * 201},
    "data list": {"data": ["a"]},
    "data of a list": {"data": {"a": [1]}},
    "data of a dict": {"data": {"a": {}}},
    "data key number": {"data": {1: "a"}},
    "data NaN": {"data": {"a": float("nan")}},
    "data infinite": {"data": {"a": float("inf")}},
    "data NUL": {"data": {"a": "\0"}},
    "limit text": {"limit": "20"},
    "limit float": {"limit": 20.0},
    "limit boolean": {"limit": True},
    "limit None": {"limit": None},
    "offset text": {"offset": "0"},
    "offset float": {"offset": 1.0},
    "after number": {"after": 5},
    "before bytes": {"before": b"x"},
    "total word": {"total": "all"},
    "total None": {"total": None},
}


@pytest.mark.parametrize("where", BAD.values(), ids=BAD.keys())
def test_a_bad_value_is_refused_and_named(where: dict[str, Any]) -> None:
    with pytest.raises(InvalidFilterError) as caught:
        ActivityFilter(**({"tenant_id": "acme"} | where))

    (name,) = where
    assert name == caught.value.field.partition("[")[0]
    assert name in str(caught.value)


def test_a_filter_without_tenant_can_not_be_made() -> None:
    with pytest.raises(TypeError, match="tenant_id"):
        ActivityFilter()  # type: ignore[call-arg]


def test_an_unknown_condition_can_not_be_given() -> None:
    with pytest.raises(TypeError, match="verb"):
        ActivityFilter(tenant_id="acme", verb="a.b")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("given", "meant"),
    [("tenant", "tenant_id"), ("verb", "verbs"), ("actor", "actor_id"), ("untill", "until")],
)
def test_a_condition_that_is_misspelt_is_told_with_the_one_that_is_meant(
    given: str, meant: str
) -> None:
    with pytest.raises(InvalidFilterError, match=f"did you mean {meant}="):
        ActivityFilter.of({"tenant_id": "acme", given: "x"})


def test_a_condition_that_is_like_no_other_is_told_alone() -> None:
    with pytest.raises(InvalidFilterError, match=r"is no condition that a filter has$"):
        ActivityFilter.of({"tenant_id": "acme", "zzzz": "x"})


def test_all_conditions_that_there_are_can_be_given_at_once() -> None:
    where = ActivityFilter(tenant_id="acme", verbs="a.b", limit=7)

    assert where == ActivityFilter.of(
        {field.name: getattr(where, field.name) for field in dataclasses.fields(where)}
    )


@pytest.mark.parametrize("unset", [None, "", NIL, str(NIL)])
@pytest.mark.parametrize("name", ["org_id", "actor_id", "user_id", "involving"])
def test_unset_ids_set_no_condition(name: str, unset: Any) -> None:
    filter_ = ActivityFilter(tenant_id="acme", **{name: unset})

    assert getattr(filter_, name) is None


@pytest.mark.parametrize("name", ["object_type", "object_id", "channel", "keyword"])
def test_empty_text_sets_no_condition(name: str) -> None:
    empty: dict[str, Any] = {name: ""}
    filter_ = ActivityFilter(tenant_id="acme", **empty)

    assert getattr(filter_, name) is None


def test_ids_are_read_as_records_read_them() -> None:
    filter_ = ActivityFilter(tenant_id=42, actor_id="user-7", org_id=f"{{{to_uuid('o')}}}")

    assert (to_uuid("42"), to_uuid("user-7"), to_uuid("o")) == (
        filter_.tenant_id,
        filter_.actor_id,
        filter_.org_id,
    )


def test_the_nil_tenant_stays_a_tenant() -> None:
    assert ActivityFilter(tenant_id=NIL).tenant_id == NIL
    assert ActivityFilter(tenant_id=ALL_TENANTS).tenant_id is ALL_TENANTS


def test_moments_are_read_in_utc() -> None:
    noon = datetime(2026, 3, 14, 12, tzinfo=UTC)
    forms: list[Any] = [
        noon,
        noon.replace(tzinfo=None),
        noon.astimezone(timezone(timedelta(hours=5))),
        "2026-03-14T12:00:00Z",
        "2026-03-14 14:00+02:00",
        " 2026-03-14T12:00 ",
    ]

    assert {noon} == {ActivityFilter(tenant_id=1, since=form).since for form in forms}
    assert noon.replace(hour=0) == ActivityFilter(tenant_id=1, until=date(2026, 3, 14)).until


def test_filters_are_frozen_values() -> None:
    filter_ = ActivityFilter(tenant_id="acme", verbs=["b", "a", "b"])

    with pytest.raises(dataclasses.FrozenInstanceError):
        filter_.limit = 3  # type: ignore[misc]
    assert ("b", "a") == filter_.verbs


def test_the_digest_tells_feeds_apart_but_not_their_pages() -> None:
    def digest(**where: Any) -> bytes:
        return ActivityFilter(**({"tenant_id": "acme"} | where)).digest()

    same = [
        digest(limit=3),
        digest(offset=9),
        digest(total="none"),
        digest(after="x"),
        digest(verbs=()),
        digest(machine_types=list(MACHINE_TYPES)),
    ]
    others = [
        digest(tenant_id="other"), digest(tenant_id=ALL_TENANTS), digest(verbs="a"),
        digest(channel="a"), digest(channels="a"), digest(channel_denylist="a"),
        digest(keyword="a"), digest(data={"a": 1}), digest(data={"a": "1"}),
        digest(data={"a": True}), digest(since="2026-01-01"), digest(until="2026-01-01"),
        digest(actor_id="a"), digest(user_id="a"), digest(involving="a"), digest(org_id="a"),
        digest(object_type="a"), digest(object_id="a"), digest(machine_activity=False),
        digest(machine_types="a"), digest(machine_keys="a"),
    ]  # fmt: skip

    assert {digest()} == set(same)
    assert len(others) == len({digest(), *others}) - 1
    assert digest(verbs=["a", "b"]) == digest(verbs=["b", "a"])
    assert digest(data={"a": 1, "b": 2}) == digest(data={"b": 2, "a": 1})


def test_a_word_of_an_enum_means_what_its_text_means() -> None:
    class Word(StrEnum):
        VERB = "a.b"

    words, texts = (
        ActivityFilter(tenant_id=1, verbs=verb, object_type=verb, object_id=verb, channel=verb)
        for verb in (Word.VERB, "a.b")
    )

    assert words.digest() == texts.digest()
    assert repr(words) == repr(texts)


def test_an_id_without_a_value_is_refused() -> None:
    with pytest.raises(InvalidFilterError, match="actor_id"):
        ActivityFilter(tenant_id=1, actor_id=UUID.__new__(UUID))


# -- edges ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("problem", "where"),
    [
        ("before='y': give after or before", {"after": "x", "before": "y"}),
        ("offset=1: give an offset or a cursor", {"offset": 1, "after": "x"}),
        ("offset=1: give an offset or a cursor", {"offset": 1, "before": "x"}),
        ("total='all': use one of capped, exact, none$", {"total": "all"}),
        ("machine_activity=1: True or False", {"machine_activity": 1}),
        (r"verbs='a\.\*\*': a \* may only stand at the end", {"verbs": "a.**"}),
        ("keyword='x+.*: at most 200 characters", {"keyword": "x" * 201}),
        ("data=201: at most 200 keys", {"data": dict.fromkeys(map(str, range(201)), 1)}),
        (r"data\['a.*'\]=1: NUL", {"data": {"a\0": 1}}),
        (r"data=\[1\]: a mapping with text keys", {"data": [1]}),
        ("object_id=True: text is needed", {"object_id": True}),
        ("since=5: a datetime, a date or ISO 8601 text", {"since": 5}),
        ("until='soon': can't be read as ISO 8601", {"until": "soon"}),
        ("tenant_id=' ': is required: NIL reads records without a tenant", {"tenant_id": " "}),
        ("actor_id=1.5: a UUID, text or an int is needed", {"actor_id": 1.5}),
        (r"channel='a.*': NUL and lone surrogates", {"channel": "a\0"}),
        (r"verbs=\[''\]: holds nothing but empty texts", {"verbs": [""]}),
        (r"data\['a'\]=.*: is stored as text", {"data": {"a": 2**63}}),
        (r"data\['a'\]=\[1\]: a scalar is needed", {"data": {"a": [1]}}),
        ("limit=None: a whole number is needed", {"limit": None}),
    ],
    ids=lambda given: next(iter(given)) if isinstance(given, dict) else "",
)
def test_what_makes_no_sense_is_refused_by_name_and_value(
    problem: str, where: dict[str, Any]
) -> None:
    with pytest.raises(InvalidFilterError, match=f"^{problem}"):
        ActivityFilter(**({"tenant_id": "acme"} | where))


def test_the_most_that_a_filter_may_hold_is_taken() -> None:
    data = dict.fromkeys(map(str, range(200)), 1)
    where = ActivityFilter(tenant_id="acme", keyword="x" * 200, data=data)

    assert (where.keyword, where.data) == ("x" * 200, data)


def test_numbers_in_data_are_searched_as_far_as_they_are_stored_as_numbers() -> None:
    def stored(number: int) -> Any:
        return RowMaker().make_from(record(data={"n": number})).to_record().data["n"]

    for number in (-(2**63), 2**63 - 1):
        assert ActivityFilter(tenant_id="acme", data={"n": number}).data == {"n": stored(number)}
    for number in (-(2**63) - 1, 2**63):
        assert isinstance(stored(number), str)
        with pytest.raises(InvalidFilterError):
            ActivityFilter(tenant_id="acme", data={"n": number})


@pytest.mark.parametrize(
    ("condition", "field"),
    [
        ("verbs", "verb"),
        ("object_type", "object_type"),
        ("object_id", "object_id"),
        ("channel", "channel"),
        ("channels", "channel"),
        ("channel_denylist", "channel"),
    ],
)
def test_what_is_too_long_to_be_stored_is_looked_for_as_it_is_stored(
    condition: str, field: str
) -> None:
    long: dict[str, Any] = {field: "x" * 900}
    stored = getattr(RowMaker().make_from(record(**long)), field)

    asked = getattr(ActivityFilter(**{"tenant_id": "acme", condition: long[field]}), condition)

    assert asked in (stored, (stored,))


def test_any_verb_is_no_condition() -> None:
    assert ActivityFilter(tenant_id="acme", verbs=["a.b", "*"]).verbs == ()


def test_an_object_id_that_is_a_number_or_a_uuid_is_the_one_that_is_stored() -> None:
    for id_ in (7, 2**4096 - 1, to_uuid("it")):
        where = ActivityFilter(tenant_id="acme", object_id=id_)

        assert where.object_id == RowMaker().make_from(record(object_id=str(id_))).object_id


def test_the_filter_of_an_object_selects_it_alone() -> None:
    where = ActivityFilter(tenant_id="acme", channel="a")
    found = where.of_object(("invoice", 7))

    assert found == dataclasses.replace(where, object_type="invoice", object_id="7")
    assert where.of_object("settings").object_id == ""


@pytest.mark.parametrize(
    ("problem", "where", "object_"),
    [
        ("object=5: ", {}, 5),
        ("object=.*: text, an int or a UUID is needed", {}, ("invoice", object())),
        ("object_type='a': the object tells it already", {"object_type": "a"}, "a:1"),
        ("object_id='1': the object tells it already", {"object_id": "1"}, "a:1"),
    ],
)
def test_an_object_that_can_not_be_read_or_is_told_twice_is_refused(
    problem: str, where: dict[str, Any], object_: Any
) -> None:
    with pytest.raises(InvalidFilterError, match=f"^{problem}"):
        ActivityFilter(tenant_id="acme", **where).of_object(object_)


def test_all_tenants_are_the_same_in_every_process() -> None:
    assert pickle.loads(pickle.dumps(ALL_TENANTS)) is ALL_TENANTS
    assert repr(ALL_TENANTS) == "ALL_TENANTS"
