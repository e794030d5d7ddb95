"""
Records are built from an actor's context or a bare id, by the same rules.
"""

from __future__ import annotations

import json
import time

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest

from structlog_activity.errors import InvalidRecordError
from structlog_activity.record.actor import ActorContext
from structlog_activity.record.builders import build_record_from_actor, build_record_from_uuid
from structlog_activity.record.ids import NIL, to_uuid
from structlog_activity.record.record import ActivityRecord
from tests.record.hostile import hostile_class


ACTOR, TENANT, ORG, USER = (UUID(int=i) for i in range(1, 5))
NOON = datetime(2024, 5, 6, 12, tzinfo=UTC)
CONTEXT = ActorContext(actor_id=ACTOR, tenant_id=TENANT, org_id=ORG)

Build = Callable[..., ActivityRecord]
BUILDERS = pytest.mark.parametrize(
    ("build", "who"),
    [(build_record_from_actor, CONTEXT), (build_record_from_uuid, ACTOR)],
    ids=["from actor", "from uuid"],
)


class Verb(StrEnum):
    UPDATED = "settings.updated"


@BUILDERS
def test_all_options_end_up_in_the_record(build: Build, who: Any) -> None:
    actual = build(
        who,
        "settings.updated",
        "settings",
        "global",
        {"path": "ui"},
        channel="settings",
        tenant_id=TENANT,
        org_id=ORG,
        user_id=USER,
        ip="192.0.2.1",
        occurred_at=NOON,
    )

    assert actual == ActivityRecord(
        actor_id=ACTOR,
        user_id=USER,
        tenant_id=TENANT,
        org_id=ORG,
        verb="settings.updated",
        object_type="settings",
        object_id="global",
        channel="settings",
        ip="192.0.2.1",
        data={"path": "ui"},
        occurred_at=NOON,
    )


@BUILDERS
def test_options_have_their_defaults(build: Build, who: Any) -> None:
    actual = build(who, "a.b", "c")

    assert (actual.object_id, actual.channel, actual.ip, actual.data) == ("", "", "", {})
    assert (actual.id, actual.user_id) == (NIL, NIL)


@BUILDERS
def test_text_is_trimmed_and_keeps_its_case(build: Build, who: Any) -> None:
    actual = build(who, " A.b\n", "\tC ", " d ", channel=" E ", ip=" 192.0.2.1 ")

    expected = ("A.b", "C", "d", "E", "192.0.2.1")
    assert (actual.verb, *actual.object, actual.channel, actual.ip) == expected


@BUILDERS
@pytest.mark.parametrize("blank", ["", "  \n", None], ids=["empty", "white", "none"])
def test_a_blank_verb_is_refused(build: Build, who: Any, blank: Any) -> None:
    with pytest.raises(InvalidRecordError, match="verb: must not be blank") as info:
        build(who, blank, "c")

    assert info.value.field == "verb"


@BUILDERS
@pytest.mark.parametrize("blank", ["", "  \n", None], ids=["empty", "white", "none"])
def test_a_blank_object_type_is_refused(build: Build, who: Any, blank: Any) -> None:
    with pytest.raises(InvalidRecordError, match="object_type: must not be blank") as info:
        build(who, "a.b", blank)

    assert info.value.field == "object_type"


@BUILDERS
def test_the_verb_is_checked_before_the_object_type(build: Build, who: Any) -> None:
    with pytest.raises(InvalidRecordError) as info:
        build(who, " ", " ")

    assert info.value.field == "verb"


@BUILDERS
@pytest.mark.parametrize("field", ["verb", "object_type", "object_id", "channel", "ip"])
@pytest.mark.parametrize("value", [1.5, True, b"x", ["x"]], ids=["float", "bool", "bytes", "list"])
def test_text_of_another_type_is_refused(build: Build, who: Any, field: str, value: Any) -> None:
    arguments = {"verb": "a.b", "object_type": "c", field: value}
    problem = f"text is needed, not {type(value).__name__}"
    with pytest.raises(InvalidRecordError, match=problem) as info:
        build(who, **arguments)

    assert info.value.field == field


@BUILDERS
@pytest.mark.parametrize("field", ["tenant_id", "org_id", "user_id"])
def test_an_id_that_can_not_be_read_is_refused(build: Build, who: Any, field: str) -> None:
    with pytest.raises(InvalidRecordError, match="a UUID, text or an int") as info:
        build(who, "a.b", "c", **{field: 1.5})

    assert info.value.field == field


@BUILDERS
@pytest.mark.parametrize(
    ("expected", "value"),
    [("7", 7), ("0", 0), (str(ACTOR), ACTOR), ("", None), ("x", hostile_class(str)(" x "))],
    ids=["int", "nought", "UUID", "none", "str subclass"],
)
def test_an_object_id_may_be_a_number_or_a_uuid(
    build: Build, who: Any, expected: str, value: Any
) -> None:
    assert build(who, "a.b", "c", value).object_id == expected


@BUILDERS
def test_a_number_too_long_for_an_object_id_is_refused(build: Build, who: Any) -> None:
    """Python does not even print it."""
    with pytest.raises(InvalidRecordError, match="object_id: an int of 16610 bits is no id"):
        build(who, "a.b", "c", 10**5000)


@BUILDERS
def test_a_verb_may_be_the_member_of_an_enum(build: Build, who: Any) -> None:
    actual = build(who, Verb.UPDATED, "c").verb

    assert actual == "settings.updated"
    assert type(actual) is str


@BUILDERS
def test_data_is_copied_one_level_deep(build: Build, who: Any) -> None:
    data: dict[str, Any] = {"a": 1, "inner": []}
    actual = build(who, "a.b", "c", data=data).data
    data["a"] = 2
    actual["b"] = 3

    assert (actual["a"], "b" in data) == (1, False)
    assert actual["inner"] is data["inner"]


@BUILDERS
@pytest.mark.parametrize("empty", [None, {}, MappingProxyType({})], ids=["none", "dict", "proxy"])
def test_missing_data_is_a_fresh_dict(build: Build, who: Any, empty: Any) -> None:
    first, second = build(who, "a.b", "c", data=empty), build(who, "a.b", "c", data=empty)

    assert (first.data, type(first.data)) == ({}, dict)
    assert first.data is not second.data
    assert first.data is not empty


@BUILDERS
@pytest.mark.parametrize("value", [5, "text", ["a"]], ids=["int", "text", "list"])
def test_data_that_is_no_mapping_is_refused(build: Build, who: Any, value: Any) -> None:
    problem = f"data: a mapping is needed, not {type(value).__name__}"
    with pytest.raises(InvalidRecordError, match=problem):
        build(who, "a.b", "c", data=value)


@BUILDERS
@pytest.mark.parametrize(
    "value",
    [
        NOON.replace(tzinfo=None),
        NOON.astimezone(timezone(timedelta(hours=-5))),
        "2024-05-06T12:00:00Z",
        1_714_996_800,
    ],
    ids=["naive", "offset", "text", "seconds"],
)
def test_the_time_becomes_utc(build: Build, who: Any, value: Any) -> None:
    actual = build(who, "a.b", "c", occurred_at=value).occurred_at

    assert (actual, actual and actual.tzinfo) == (NOON, UTC)


@BUILDERS
def test_the_first_second_of_the_epoch_is_a_time(build: Build, who: Any) -> None:
    actual = build(who, "a.b", "c", occurred_at=0).occurred_at

    assert actual == datetime(1970, 1, 1, tzinfo=UTC)


@BUILDERS
def test_a_time_that_can_not_be_read_is_refused(build: Build, who: Any) -> None:
    with pytest.raises(InvalidRecordError) as info:
        build(who, "a.b", "c", occurred_at="yesterday")

    assert info.value.field == "occurred_at"


@BUILDERS
def test_raw_ids_become_uuids_and_are_kept(build: Build, who: Any) -> None:
    actual = build(who, "a.b", "c", tenant_id=42, org_id=" acme ", user_id=str(USER))

    assert (actual.tenant_id, actual.org_id) == (to_uuid("42"), to_uuid("acme"))
    assert actual.user_id == USER
    assert actual.data == {"_raw": {"tenant_id": "42", "org_id": "acme"}}


@BUILDERS
@pytest.mark.parametrize(
    ("expected", "given"),
    [
        ({"_raw": {"ip": "x", "tenant_id": "42"}}, {"ip": "x"}),
        ({"_raw": {"tenant_id": "42"}, "_raw#2": "mine"}, "mine"),
    ],
    ids=["dict", "text"],
)
def test_a_callers_own_raw_stays(
    build: Build, who: Any, expected: dict[str, Any], given: Any
) -> None:
    data = {"_raw": given}
    actual = build(who, "a.b", "c", data=data, tenant_id=42)

    assert actual.data == expected
    assert data == {"_raw": given}


# -- from a bare id ------------------------------------------------------------


@pytest.mark.parametrize("nobody", [NIL, None, ""], ids=["NIL", "none", "empty"])
def test_a_bare_id_may_be_nobodys(nobody: Any) -> None:
    assert build_record_from_uuid(nobody, "a.b", "c").actor_id == NIL


def test_a_bare_raw_id_is_kept() -> None:
    actual = build_record_from_uuid("ada", "a.b", "c")

    assert actual.actor_id == to_uuid("ada")
    assert actual.data == {"_raw": {"actor_id": "ada"}}


def test_a_bare_id_that_can_not_be_read_is_refused() -> None:
    with pytest.raises(InvalidRecordError) as info:
        build_record_from_uuid({}, "a.b", "c")

    assert info.value.field == "actor_id"


def test_a_record_of_a_bare_id_is_of_now() -> None:
    before = datetime.now(UTC)
    actual = build_record_from_uuid(ACTOR, "a.b", "c").occurred_at

    assert actual is not None
    assert before <= actual <= datetime.now(UTC)


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="needs tzset")
def test_a_record_of_a_bare_id_is_of_now_wherever_it_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "XXX-9")
        time.tzset()
        try:
            test_a_record_of_a_bare_id_is_of_now()
        finally:
            elsewhere.undo()
            time.tzset()


def test_a_bare_id_has_no_scope() -> None:
    actual = build_record_from_uuid(ACTOR, "a.b", "c")

    assert (actual.tenant_id, actual.org_id) == (NIL, NIL)


# -- from a context ------------------------------------------------------------


def test_the_context_gives_actor_and_scope() -> None:
    actual = build_record_from_actor(CONTEXT, "a.b", "c")

    assert (actual.actor_id, actual.tenant_id, actual.org_id) == (ACTOR, TENANT, ORG)


def test_a_record_of_a_context_gets_its_time_when_it_is_logged() -> None:
    assert build_record_from_actor(CONTEXT, "a.b", "c").occurred_at is None


def test_options_override_the_context() -> None:
    actual = build_record_from_actor(CONTEXT, "a.b", "c", tenant_id=USER, org_id="acme")

    assert (actual.tenant_id, actual.org_id) == (USER, to_uuid("acme"))


def test_nil_takes_the_scope_away() -> None:
    actual = build_record_from_actor(CONTEXT, "a.b", "c", tenant_id=NIL, org_id=NIL)

    assert (actual.tenant_id, actual.org_id) == (NIL, NIL)


def test_a_mapping_is_read_as_claims() -> None:
    claims = {"sub": "ada", "metadata": {"tenant": str(TENANT)}, "role": "admin"}

    actual = build_record_from_actor(claims, "a.b", "c")

    assert (actual.actor_id, actual.tenant_id) == (to_uuid("ada"), TENANT)
    assert actual.data == {"role": "admin", "_raw": {"actor_id": "ada"}}


@pytest.mark.parametrize(
    "actor", [None, "ada", ACTOR, 5, object()], ids=["none", "text", "UUID", "int", "object"]
)
def test_a_missing_context_is_refused(actor: Any) -> None:
    with pytest.raises(InvalidRecordError, match="ActorContext") as info:
        build_record_from_actor(actor, "a.b", "c")

    assert info.value.field == "actor"


@pytest.mark.parametrize(
    "actor",
    [{}, ActorContext(), ActorContext(actor_id=" "), ActorContext(actor_id=NIL), {"role": "x"}],
    ids=["no claims", "empty", "blank", "NIL", "other claims"],
)
def test_a_context_without_an_actor_is_refused(actor: Any) -> None:
    with pytest.raises(InvalidRecordError, match="has none") as info:
        build_record_from_actor(actor, "a.b", "c")

    assert info.value.field == "actor_id"


def test_the_actor_is_checked_first() -> None:
    with pytest.raises(InvalidRecordError) as info:
        build_record_from_actor(None, "", "")

    assert info.value.field == "actor"


@pytest.mark.parametrize("field", ["actor_id", "tenant_id", "org_id", "impersonator_id"])
def test_an_id_of_the_context_that_can_not_be_read_is_refused(field: str) -> None:
    """The seed took a broken tenant for none, and the record vanished from its feed."""
    ids: dict[str, Any] = {"actor_id": ACTOR, field: [1]}
    context = ActorContext(**ids)
    with pytest.raises(InvalidRecordError) as info:
        build_record_from_actor(context, "a.b", "c")

    assert info.value.field == field


def test_role_and_impersonator_are_kept() -> None:
    context = ActorContext(actor_id=ACTOR, role="support", impersonator_id=USER)

    actual = build_record_from_actor(context, "a.b", "c", data={"a": 1})

    expected = {"a": 1, "role": "support", "impersonator_id": str(USER)}
    assert actual.data == expected
    assert json.loads(actual.to_json())["data"] == expected


def test_the_number_of_an_impersonator_stays_a_number() -> None:
    context = ActorContext(actor_id=ACTOR, impersonator_id=7)

    assert build_record_from_actor(context, "a.b", "c").data == {"impersonator_id": 7}


def test_an_unknown_impersonator_leaves_a_mark() -> None:
    context = ActorContext(actor_id=ACTOR, is_impersonated=True)

    assert build_record_from_actor(context, "a.b", "c").data == {"is_impersonated": True}


@pytest.mark.parametrize("nobody", [None, "", " ", NIL], ids=["none", "empty", "blank", "NIL"])
def test_no_impersonator_leaves_no_mark(nobody: Any) -> None:
    context = ActorContext(actor_id=ACTOR, impersonator_id=nobody)

    assert build_record_from_actor(context, "a.b", "c").data == {}


def test_data_of_the_call_goes_before_the_context() -> None:
    context = ActorContext(actor_id=ACTOR, role="support", impersonator_id="eve")
    data = {"role": "owner", "impersonator_id": "bob"}

    assert build_record_from_actor(context, "a.b", "c", data=data).data == data


def test_subject_roles_and_metadata_are_not_kept() -> None:
    context = ActorContext(
        actor_id=ACTOR, subject="x", resource_roles={"a": "b"}, metadata={"plan": "pro"}
    )

    assert build_record_from_actor(context, "a.b", "c").data == {}
