"""
A record is a value, and goes to JSON and back unchanged.
"""

from __future__ import annotations

import dataclasses
import json
import pickle

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from structlog_activity.errors import ActivityError, InvalidRecordError
from structlog_activity.record.ids import NIL, to_uuid
from structlog_activity.record.record import FIELDS, ID_FIELDS, ActivityRecord
from structlog_activity.record.times import iso


TEXT = st.text(max_size=30)
DATA = st.dictionaries(
    TEXT,
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=5,
    ),
    max_size=4,
)
RECORDS = st.builds(
    ActivityRecord,
    **dict.fromkeys(ID_FIELDS, st.uuids() | st.just(NIL)),
    **dict.fromkeys(("verb", "object_type", "object_id", "channel", "ip"), TEXT),
    data=DATA,
    occurred_at=st.none() | st.datetimes(timezones=st.just(UTC)),
)
FULL = ActivityRecord(
    id=UUID(int=1),
    actor_id=UUID(int=2),
    user_id=UUID(int=3),
    tenant_id=UUID(int=4),
    org_id=UUID(int=5),
    verb="settings.updated",
    object_type="settings",
    object_id="global",
    channel="settings",
    ip="192.0.2.1",
    data={"path": "ui.theme"},
    occurred_at=datetime(2024, 5, 6, 12, tzinfo=UTC),
)


def test_a_record_has_the_twelve_fields() -> None:
    expected = (
        *("id", "actor_id", "user_id", "tenant_id", "org_id"),
        *("verb", "object_type", "object_id", "channel", "ip", "data", "occurred_at"),
    )
    assert expected == FIELDS


def test_nothing_is_set_by_default() -> None:
    actual = ActivityRecord()

    assert {getattr(actual, name) for name in ID_FIELDS} == {NIL}
    assert {actual.verb, *actual.object, actual.channel, actual.ip} == {""}
    assert (actual.data, actual.occurred_at) == ({}, None)


def test_records_do_not_share_their_data() -> None:
    assert ActivityRecord().data is not ActivityRecord().data


def test_a_record_can_not_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        FULL.verb = "other"  # type: ignore[misc]


def test_a_record_has_no_room_for_other_fields() -> None:
    assert not hasattr(FULL, "__dict__")


def test_fields_are_given_by_name() -> None:
    with pytest.raises(TypeError):
        ActivityRecord(NIL)  # type: ignore[call-arg]


def test_records_with_equal_fields_are_equal() -> None:
    assert dataclasses.replace(FULL) == FULL
    assert dataclasses.replace(FULL, verb="other") != FULL


def test_a_record_can_be_pickled() -> None:
    assert pickle.loads(pickle.dumps(FULL)) == FULL


def test_the_object_is_type_and_id() -> None:
    assert FULL.object == ("settings", "global")


def test_a_dict_holds_what_json_knows() -> None:
    assert FULL.to_dict() == {
        "id": "00000000-0000-0000-0000-000000000001",
        "actor_id": "00000000-0000-0000-0000-000000000002",
        "user_id": "00000000-0000-0000-0000-000000000003",
        "tenant_id": "00000000-0000-0000-0000-000000000004",
        "org_id": "00000000-0000-0000-0000-000000000005",
        "verb": "settings.updated",
        "object_type": "settings",
        "object_id": "global",
        "channel": "settings",
        "ip": "192.0.2.1",
        "data": {"path": "ui.theme"},
        "occurred_at": "2024-05-06T12:00:00.000000Z",
    }


def test_an_unset_time_is_null() -> None:
    assert ActivityRecord().to_dict()["occurred_at"] is None


def test_json_is_one_line_of_text_as_it_is() -> None:
    actual = dataclasses.replace(FULL, data={"name": "Ådä\n"}).to_json()

    assert "Ådä" in actual
    assert "\n" not in actual


def test_a_moment_always_shows_its_microseconds() -> None:
    assert iso(datetime(2024, 5, 6, tzinfo=UTC)) == "2024-05-06T00:00:00.000000Z"
    assert iso(datetime(2024, 5, 6, 0, 0, 0, 7, tzinfo=UTC)) == "2024-05-06T00:00:00.000007Z"


@settings(max_examples=30)
@given(RECORDS)
def test_a_record_comes_back_from_its_dict(record: ActivityRecord) -> None:
    assert ActivityRecord.from_dict(record.to_dict()) == record


@settings(max_examples=30)
@given(RECORDS)
def test_a_record_comes_back_from_its_json(record: ActivityRecord) -> None:
    assert ActivityRecord.from_dict(json.loads(record.to_json())) == record


def test_missing_fields_are_not_set() -> None:
    assert ActivityRecord.from_dict({}) == ActivityRecord()


def test_null_is_not_set() -> None:
    assert ActivityRecord.from_dict(dict.fromkeys(FIELDS)) == ActivityRecord()


def test_ids_and_time_may_have_other_forms() -> None:
    actual = ActivityRecord.from_dict({"tenant_id": 42, "id": "{" + str(FULL.id) + "}"})

    assert (actual.tenant_id, actual.id) == (to_uuid("42"), FULL.id)
    assert ActivityRecord.from_dict({"occurred_at": 0}).occurred_at == datetime(
        1970, 1, 1, tzinfo=UTC
    )


def test_data_is_copied() -> None:
    data = {"a": 1}
    actual = ActivityRecord.from_dict({"data": data}).data
    data["a"] = 2

    assert actual == {"a": 1}


@pytest.mark.parametrize(
    ("problem", "values"),
    [
        ("actor: no such field", {"actor": 1, "verb": "a"}),
        ("a: no such field", {"b": 1, "a": 1}),
        ("1: no such field", {1: 1, "verb": "a", "x": 2}),
        ("tenant_id: a UUID, text or an int is needed, not list", {"tenant_id": []}),
        ("id: a UUID, text or an int is needed, not float", {"id": 1.5}),
        ("occurred_at: a datetime, ISO 8601 text or", {"occurred_at": "yesterday"}),
        ("data: a mapping is needed, not str", {"data": "text"}),
        ("data: a mapping is needed, not list", {"data": [1]}),
    ],
    ids=[
        "unknown",
        "two unknown",
        "names of two types",
        "id",
        "own id",
        "time",
        "data as text",
        "data as list",
    ],
)
def test_what_can_not_be_read_is_refused_by_name(problem: str, values: dict[Any, Any]) -> None:
    with pytest.raises(InvalidRecordError) as info:
        ActivityRecord.from_dict(values)

    assert info.value.field == problem.partition(":")[0]
    assert str(info.value).startswith(problem)


def test_an_invalid_record_is_a_value_error_of_ours() -> None:
    assert issubclass(InvalidRecordError, ActivityError)
    assert issubclass(InvalidRecordError, ValueError)
