"""Which keys of a call mean which field."""

from __future__ import annotations

import dataclasses

from collections import OrderedDict
from datetime import UTC, datetime
from typing import Any

import pytest

from structlog.contextvars import bound_contextvars

from structlog_activity import NIL, ActivityKeys, to_uuid
from structlog_activity.capture.keys import KeyMap, plain_key


FIELDS = tuple(field.name for field in dataclasses.fields(ActivityKeys))


def split(event: dict[Any, Any], **defaults: Any) -> tuple[dict[str, Any], dict[Any, Any]]:
    return KeyMap(ActivityKeys(), defaults).split(event)


def test_a_single_key_may_be_given_as_text() -> None:
    assert ("who",) == ActivityKeys(actor_id="who").actor_id  # type: ignore[arg-type]


def test_a_list_of_keys_becomes_a_tuple() -> None:
    assert ("a", "b") == ActivityKeys(actor_id=["a", "b"]).actor_id  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [name for name in FIELDS if name != "data"])
def test_a_field_without_any_key_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        ActivityKeys(**{name: ()})


def test_only_data_may_have_no_key() -> None:
    keys = ActivityKeys(data=())

    _, data = KeyMap(keys, {}).split({"data": {"a": 1}})

    assert {"data": {"a": 1}} == data


@pytest.mark.parametrize("keys", [(1,), ("a", None), (b"a",)])
def test_a_key_that_is_no_text_is_refused(keys: Any) -> None:
    with pytest.raises(ValueError, match="actor_id"):
        ActivityKeys(actor_id=keys)


@pytest.mark.parametrize(
    ("key", "field"),
    [
        ("actor_id", "actor_id"),
        ("actor", "actor_id"),
        ("user_id", "user_id"),
        ("user", "user_id"),
        ("tenant_id", "tenant_id"),
        ("tenant", "tenant_id"),
        ("org_id", "org_id"),
        ("organization_id", "org_id"),
        ("org", "org_id"),
        ("channel", "channel"),
        ("ip", "ip"),
        ("occurred_at", "occurred_at"),
        ("object", "object"),
        ("object_type", "object_type"),
        ("object_id", "object_id"),
        ("verb", "verb"),
    ],
)
def test_each_key_means_its_field_and_never_becomes_data(key: str, field: str) -> None:
    assert ({field: "x"}, {"rest": 1}) == split({key: "x", "rest": 1})


@pytest.mark.parametrize(
    "event",
    [
        {"org": "c", "organization_id": "b", "org_id": "a"},
        {"org_id": "a", "organization_id": "b", "org": "c"},
        {"organization_id": "b", "org_id": "a", "org": "c"},
    ],
)
def test_of_several_aliases_the_first_one_configured_counts(event: dict[str, Any]) -> None:
    """Whatever the order in which the call has them; the others are not data either."""
    assert ({"org_id": "a"}, {}) == split(event)


@pytest.mark.parametrize(
    "key",
    """
    activity_id activity_error exc_info exception level log_level logger positional_args
    stack stack_info timestamp _from_structlog _logger _name _record
    """.split(),
)
def test_keys_of_the_logging_machinery_are_left_out(key: str) -> None:
    assert ({}, {"rest": 1}) == split({key: "x", "rest": 1})


@pytest.mark.parametrize("key", ["request_id", "correlation_id", "impersonator_id", "trace_id"])
def test_documented_ids_are_ordinary_data(key: str) -> None:
    assert ({}, {key: "x"}) == split({key: "x"})


def test_the_items_of_data_become_data_one_by_one() -> None:
    assert ({}, {"a": 1, "b": 2}) == split({"a": 1, "data": {"b": 2}})


def test_what_a_call_says_directly_wins_over_the_same_key_within_data() -> None:
    assert ({}, {"a": 1, "event": "text"}) == split(
        {"a": 1, "event": "text", "data": {"a": 2, "event": "other"}}
    )


def test_a_field_name_within_data_stays_data() -> None:
    assert ({"actor_id": "u"}, {"actor_id": "v"}) == split(
        {"actor_id": "u", "data": {"actor_id": "v"}}
    )


def test_subclasses_of_dict_are_spread_too() -> None:
    assert ({}, {"a": 1, "b": 2}) == split({"data": OrderedDict(a=1, b=2)})


@pytest.mark.parametrize("value", ["text", 5, ["a"], False, 0, ""])
def test_data_that_is_no_dict_stays_one_value(value: Any) -> None:
    assert ({}, {"data": value}) == split({"data": value})


def test_data_of_none_says_nothing() -> None:
    assert ({}, {}) == split({"data": None})


def test_the_callers_data_is_not_changed() -> None:
    given = {"b": 2}

    split({"a": 1, "data": given})

    assert {"b": 2} == given


def test_a_huge_data_dict_is_read_only_as_far_as_a_record_goes() -> None:
    _, data = split({"data": dict.fromkeys(map(str, range(10_000)), 0)})

    assert len(data) < 1_000


def test_event_text_under_message_is_found_as_after_an_event_renamer() -> None:
    assert ({}, {"event": "text"}) == split({"message": "text"})


def test_message_is_data_of_its_own_where_there_is_an_event() -> None:
    assert ({}, {"event": "a", "message": "b"}) == split({"event": "a", "message": "b"})


def test_defaults_fill_what_the_event_does_not_say() -> None:
    found = split({"channel": "own"}, channel="default", tenant="t", region="eu")

    assert ({"channel": "own", "tenant_id": "t"}, {"region": "eu"}) == found


def test_a_default_under_one_alias_yields_to_the_call_under_another() -> None:
    assert ({"tenant_id": "call"}, {}) == split({"tenant": "call"}, tenant_id="default")


@pytest.mark.parametrize(
    ("event", "fields"),
    [
        ({"object": "invoice:7"}, {"object": "invoice:7"}),
        ({"object_type": "invoice"}, {"object_type": "invoice"}),
        ({"object_id": "7"}, {"object_type": "misc", "object_id": "7"}),
        ({}, {"object_type": "misc", "object_id": "1"}),
    ],
)
def test_the_object_of_a_call_hides_all_of_the_default_one(
    event: dict[str, Any], fields: dict[str, Any]
) -> None:
    assert (fields, {}) == split(event, object_type="misc", object_id="1")


def test_data_of_defaults_and_of_the_call_are_merged() -> None:
    assert ({}, {"a": 2, "b": 1}) == split({"data": {"a": 2}}, data={"a": 1, "b": 1})


def test_of_several_layers_the_last_one_counts() -> None:
    found = KeyMap(ActivityKeys(), {"channel": "d"}).split(
        {"actor": "below", "a": 1, "b": 1}, {"actor_id": "above", "a": 2}
    )

    assert ({"channel": "d", "actor_id": "above"}, {"a": 2, "b": 1}) == found


def test_the_event_is_not_changed_by_being_split() -> None:
    event = {"verb": "a.b", "message": "m", "data": {"a": 1}, "level": "info"}
    before = dict(event)

    split(event)

    assert before == event


@pytest.mark.parametrize(
    ("key", "plain"), [("a", "a"), (1, 1), (None, None), (True, True), ((1, 2), "<tuple>")]
)
def test_keys_that_could_run_foreign_code_become_text(key: Any, plain: Any) -> None:
    assert plain == plain_key(key)


def test_custom_keys_replace_the_usual_ones(make_kit: Any) -> None:
    """Dotted ones too, as OpenTelemetry and warehouse have them."""
    kit = make_kit(
        keys=ActivityKeys(
            verb=("action", "activity.verb"),
            object=("target",),
            actor_id=("enduser.id", "user.id"),
            tenant_id=("organisation.id",),
            ip=("client.address",),
        )
    )
    kit.process(
        **{
            "event": "done",
            "action": "page.read",
            "target": "page:1",
            "user.id": "u1",
            "organisation.id": 42,
            "client.address": "10.0.0.1",
            "actor_id": "now mere data",
        }
    )

    record = kit.only
    assert (to_uuid("u1"), to_uuid(42)) == (record.actor_id, record.tenant_id)
    assert ("page.read", "page", "1", "10.0.0.1") == (
        record.verb,
        record.object_type,
        record.object_id,
        record.ip,
    )
    assert "now mere data" == record.data["actor_id"]


def test_a_key_that_is_given_means_no_other_field_any_more(make_kit: Any) -> None:
    """By default ``user`` is whose account it concerns."""
    keys = ActivityKeys(actor_id=("user",))
    assert (("user",), ("user_id",)) == (keys.actor_id, keys.user_id)
    kit = make_kit(keys=keys)

    kit.process(event="x", verb="page.read", object="page:1", user="ann")
    kit.stdlib().info("x", extra={"verb": "page.read", "object": "page:1", "user": "ann"})
    with bound_contextvars(user="ann"):
        kit.process(event="x", verb="page.read", object="page:1")

    assert [(to_uuid("ann"), NIL)] * 3 == [(r.actor_id, r.user_id) for r in kit.records]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"actor_id": ("who",), "user_id": ("whose", "who")},
            "'who' is given for actor_id and user_id",
        ),
        ({"tenant_id": ("channel",)}, "tenant_id leaves channel no key: give it one"),
    ],
)
def test_a_key_that_can_not_mean_one_field_is_refused(given: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ActivityKeys(**given)


def test_keys_of_the_logging_machinery_mean_a_field_where_they_are_given(make_kit: Any) -> None:
    kit = make_kit(keys=ActivityKeys(occurred_at=("timestamp",), channel=("logger",)))
    call = {"event": "x", "verb": "page.read", "object": "page:1", "level": "info"}

    kit.process(**call, timestamp="2026-03-14T12:00:00Z", logger="shop.cart")
    kit.process(**call, logger="shop.cart", nested={"a": [1]})

    first, second = kit.records
    assert ("shop.cart", datetime(2026, 3, 14, 12, tzinfo=UTC)) == (
        first.channel,
        first.occurred_at,
    )
    assert ("shop.cart", {"event": "x", "nested": {"a": [1]}}) == (second.channel, second.data)


@pytest.mark.parametrize("key", ["action", "activity.verb", "verb"])
def test_any_of_several_verb_keys_makes_an_activity(make_kit: Any, key: str) -> None:
    kit = make_kit(keys=ActivityKeys(verb=("action", "activity.verb", "verb")))

    out = kit.process(**{"event": "x", key: "page.read", "object": "page:1"})

    assert "page.read" == kit.only.verb
    assert str(kit.only.id) == out["activity_id"]


def test_a_verb_under_a_key_that_was_not_configured_is_no_activity(make_kit: Any) -> None:
    kit = make_kit(keys=ActivityKeys(verb=("action",)))

    out = kit.process(event="x", verb="page.read", object="page:1")

    assert {"event": "x", "verb": "page.read", "object": "page:1"} == out
    assert [] == kit.records


@pytest.mark.parametrize("key", ["action", "verb"])
def test_the_handler_knows_all_verb_keys_too(make_kit: Any, key: str) -> None:
    kit = make_kit(keys=ActivityKeys(verb=("action", "verb")))

    kit.stdlib().info("x", extra={key: "page.read", "object": "page:1"})

    assert "page.read" == kit.only.verb


def test_an_alias_of_the_object_type_is_checked_at_the_call(make_kit: Any) -> None:
    """Nothing may be left for the writer to refuse."""
    kit = make_kit(keys=ActivityKeys(object_type=("kind",)))

    out = kit.process(event="x", verb="page.read", object="page:1", kind=5)

    assert {"object_type": 1} == kit.tape.rejected
    assert "object_type" in out["activity_error"]
