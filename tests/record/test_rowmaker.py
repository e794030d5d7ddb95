"""
Rows hold what both databases take, whatever the fields were.
"""

from __future__ import annotations

import json

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Any
from uuid import UUID

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from structlog_activity.errors import InvalidRecordError
from structlog_activity.record.budgets import (
    MAX_CHANNEL,
    MAX_OBJECT_ID,
    MAX_OBJECT_TYPE,
    MAX_RAW,
    MAX_VERB,
)
from structlog_activity.record.builders import build_record_from_uuid
from structlog_activity.record.ids import NIL, to_uuid
from structlog_activity.record.record import FIELDS, ActivityRecord
from structlog_activity.record.redact import REDACTED, Redactor
from structlog_activity.record.row import Row
from structlog_activity.record.rowmaker import RECORD_FIELDS, RowMaker, keep_raw
from structlog_activity.record.sink import finished
from tests.record.hostile import HOSTILE, LIMIT, cost, hostile_class, leave, lying_instance, zone


NOW = datetime(2024, 5, 6, 12, 0, 0, 123456, tzinfo=UTC)
NOW_NS = 1_714_996_800_123_456_789
SOME = UUID("0199c8a2-7d3f-7b1a-9c4e-1f2a3b4c5d6e")
WHO = ("actor_id", "user_id", "tenant_id", "org_id")

ROWS = RowMaker(Redactor(), clock=lambda: NOW_NS)


def make(
    data: dict[Any, Any] | None = None, *, strict: bool = False, **fields: Any
) -> ActivityRecord:
    return make_row(data, strict=strict, **fields).to_record()


def make_row(data: dict[Any, Any] | None = None, *, strict: bool = False, **fields: Any) -> Row:
    given_ = {"verb": "a.b", "object_type": "c", **fields}
    return ROWS.make(given_, {} if data is None else data, strict=strict)


def row_with(name: str, value: Any, *, strict: bool = False) -> Row:
    fields: dict[str, Any] = {name: value}
    return make_row(strict=strict, **fields)


def with_field(name: str, value: Any, *, strict: bool = False) -> ActivityRecord:
    return row_with(name, value, strict=strict).to_record()


class Word(StrEnum):
    IT = "it"


# -- the whole -----------------------------------------------------------------


def test_a_row_holds_all_fields_in_the_order_of_the_columns() -> None:
    actual = make_row(
        {"path": "ä"},
        id=SOME,
        actor_id=UUID(int=1),
        user_id=UUID(int=2),
        tenant_id=UUID(int=3),
        org_id=UUID(int=4),
        object_id="d",
        channel="e",
        ip="192.0.2.1",
        occurred_at=datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC),
    )

    assert actual == Row(
        tenant_id=UUID(int=3).bytes,
        created_at=1_000_000,
        id=SOME.bytes,
        actor_id=UUID(int=1).bytes,
        user_id=UUID(int=2).bytes,
        org_id=UUID(int=4).bytes,
        verb="a.b",
        object_type="c",
        object_id="d",
        channel="e",
        ip="192.0.2.1",
        data='{"path": "ä"}',
    )
    assert actual.key == (UUID(int=3).bytes, 1_000_000, SOME.bytes)


def test_the_record_fields_are_those_of_a_record_and_object() -> None:
    assert {*FIELDS, "object"} - {"data"} == RECORD_FIELDS


def test_what_is_missing_is_not_set() -> None:
    actual = make()

    assert {getattr(actual, name) for name in WHO} == {NIL}
    assert (actual.object_id, actual.channel, actual.ip, actual.data) == ("", "", "", {})


@pytest.mark.parametrize("name", [*WHO, "object_id", "channel", "ip", "occurred_at", "object"])
@pytest.mark.parametrize("strict", [False, True], ids=["lenient", "strict"])
def test_none_is_not_set(name: str, strict: bool) -> None:
    actual = with_field(name, None, strict=strict)

    assert (actual.data, actual.occurred_at) == ({}, NOW)
    assert getattr(actual, name) in (NIL, "", NOW, ("c", ""))


def test_what_is_pending_is_a_row_or_makes_one() -> None:
    row = make_row()

    assert finished(row) is row
    assert finished((lambda snapshot: snapshot[4], 1, 2, {}, row)) is row


# -- verb, object, channel -----------------------------------------------------


@pytest.mark.parametrize(
    ("problem", "verb"),
    [
        ("text is needed, not NoneType", None),
        ("text is needed, not int", 5),
        ("text is needed, not bytes", b"a.b"),
        ("must not be blank", ""),
        ("must not be blank", " \n"),
        ("control characters", "a\0b"),
        ("control characters", "a\nb"),
        ("control characters", "a\x9fb"),
    ],
    ids=["none", "int", "bytes", "empty", "blank", "NUL", "newline", "C1"],
)
@pytest.mark.parametrize("strict", [False, True], ids=["lenient", "strict"])
def test_a_record_without_a_verb_is_refused(problem: str, verb: Any, strict: bool) -> None:
    with pytest.raises(InvalidRecordError, match=problem) as info:
        make(verb=verb, strict=strict)

    assert info.value.field == "verb"


@pytest.mark.parametrize(
    ("problem", "kind"),
    [
        ("is missing: say object=", None),
        ("is missing: say object=", 5),
        ("is missing: say object=", b"c"),
        ("is missing: say object=", []),
        ("is missing: say object=", ""),
        ("must not be blank", "  "),
    ],
    ids=["none", "int", "bytes", "list", "empty", "blank"],
)
@pytest.mark.parametrize("strict", [False, True], ids=["lenient", "strict"])
def test_a_record_without_an_object_type_is_refused(problem: str, kind: Any, strict: bool) -> None:
    with pytest.raises(InvalidRecordError, match=f"^object_type: {problem}"):
        make(object_type=kind, strict=strict)


def test_a_verb_is_trimmed_text() -> None:
    actual = make_row(verb=hostile_class(str)(" a.b ")).verb

    assert (actual, type(actual)) == ("a.b", str)


@pytest.mark.parametrize(
    ("expected", "fields"),
    [
        (("settings", "global"), {"object": "settings:global"}),
        (("settings", ""), {"object": "settings"}),
        (("job", "7"), {"object": ("job", 7)}),
        (("job", "7"), {"object": {"type": "job", "id": 7}}),
        (("job", "7"), {"object_type": "job", "object_id": 7}),
        (("job", "7"), {"object": "task:7", "object_type": "job"}),
        (("task", "8"), {"object": "task:7", "object_id": 8}),
        (("task", "0"), {"object": "task:7", "object_id": 0}),
        (("task", "7"), {"object": "task:7", "object_type": "", "object_id": ""}),
        (("it", "it"), {"object_type": Word.IT, "object_id": Word.IT}),
        (("settings", "global"), {"object": " settings : global "}),
    ],
    ids=[
        "text",
        "type alone",
        "pair",
        "mapping",
        "two fields",
        "type of its own",
        "id of its own",
        "id nought",
        "empty fields",
        "enum",
        "white space",
    ],
)
@pytest.mark.parametrize("strict", [False, True], ids=["lenient", "strict"])
def test_the_object_is_told_in_one_or_two_fields(
    expected: tuple[str, str], fields: dict[str, Any], strict: bool
) -> None:
    row = ROWS.make({"verb": "a.b", **fields}, {}, strict=strict)

    assert (row.object_type, row.object_id) == expected


def test_an_object_of_no_form_is_refused() -> None:
    with pytest.raises(InvalidRecordError) as info:
        ROWS.make({"verb": "a.b", "object": 5}, {})

    assert info.value.field == "object"


def test_an_object_of_no_form_does_no_harm_beside_a_type() -> None:
    actual = make(object=5, object_type="job", object_id=7)

    assert (actual.object, actual.data) == (("job", "7"), {"_raw": {"object": "5"}})
    with pytest.raises(InvalidRecordError, match=r"^object: .* not int"):
        make(object=5, object_type="job", strict=True)


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        ("x", " x "),
        ("7", 7),
        (str(2**70), 2**70),
        ("1.5", 1.5),
        ("true", True),
        (str(SOME), SOME),
        ("1.50", Decimal("1.50")),
        ('["a",1]', ["a", 1]),
        ('{"a":1}', {"a": 1}),
        (f'{{"password":"{REDACTED}"}}', {"password": "hunter2"}),
        pytest.param("a\ufffd\ufffd", "a\0\ud800", id="unstorable"),
    ],
    ids=str,
)
def test_an_object_id_may_be_any_plain_value(expected: str, value: Any) -> None:
    assert make(object_id=value).object_id == expected


def test_an_object_id_that_has_no_text_is_named_by_its_type() -> None:
    assert make(object_id=object()).object_id == "<object>"
    with pytest.raises(InvalidRecordError, match="not object") as info:
        make(object_id=object(), strict=True)

    assert info.value.field == "object_id"
    assert make(object_id="<b>", strict=True).object_id == "<b>"


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("verb", MAX_VERB),
        ("object_type", MAX_OBJECT_TYPE),
        ("object_id", MAX_OBJECT_ID),
        ("channel", MAX_CHANNEL),
    ],
)
def test_long_names_are_shortened_and_stay_different(name: str, limit: int) -> None:
    longest, one, other = "a" * limit, "a" * limit + "x", "a" * limit + "y"

    assert getattr(with_field(name, longest), name) == longest
    assert len(getattr(with_field(name, one), name)) == limit
    assert getattr(with_field(name, one), name) != getattr(with_field(name, other), name)


@pytest.mark.parametrize(
    ("expected", "value"),
    [("e", " e "), ("E", "E"), ("", ""), ("it", Word.IT), ("a\ufffdb", "a\0b")],
    ids=["white", "upper", "empty", "enum", "NUL"],
)
def test_a_channel_is_trimmed_and_storable(expected: str, value: str) -> None:
    assert make(channel=value).channel == expected


# -- who -----------------------------------------------------------------------


@pytest.mark.parametrize("name", WHO)
@pytest.mark.parametrize("strict", [False, True], ids=["lenient", "strict"])
def test_a_raw_id_stands_for_a_uuid_and_is_kept(name: str, strict: bool) -> None:
    actual = with_field(name, 42, strict=strict)

    assert getattr(actual, name) == to_uuid(42)
    assert actual.data == {"_raw": {name: "42"}}


@pytest.mark.parametrize("value", [SOME, str(SOME), SOME.hex, SOME.urn], ids=str)
def test_a_uuid_in_any_form_is_not_kept(value: Any) -> None:
    assert (make(tenant_id=value).tenant_id, make(tenant_id=value).data) == (SOME, {})


@pytest.mark.parametrize("name", WHO)
@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("true", True),
        ("1.5", 1.5),
        ('{"password":"[redacted]"}', {"password": "hunter2"}),
        ("<object>", object()),
        ("2024-05-06T12:00:00.123456+00:00", NOW),
        ("2024-05-06T12:00:00.123456", NOW.replace(tzinfo=zone(leave))),
        ("a" * MAX_RAW, "a" * 100_000),
    ],
    ids=["bool", "float", "dict", "object", "datetime", "broken datetime", "long text"],
)
def test_an_id_that_is_none_is_not_set_and_kept(name: str, raw: str, value: Any) -> None:
    actual = with_field(name, value)

    assert getattr(actual, name) == NIL
    assert actual.data == {"_raw": {name: raw}}
    with pytest.raises(InvalidRecordError, match=f"^{name}: .* (needed, not|is no id)"):
        with_field(name, value, strict=True)


@pytest.mark.parametrize(("name", "kept"), [("ip", "[pan *1111]"), ("user_id", "4111111111111111")])
def test_a_number_is_kept_as_an_original_where_an_id_belongs(name: str, kept: str) -> None:
    card = "4111111111111111"

    assert with_field(name, [card]).data == {"_raw": {name: f'["{kept}"]'}}
    assert with_field(name, card).data == {"_raw": {name: kept}}


def test_the_original_of_an_id_is_short_and_storable() -> None:
    actual = make(actor_id="\0\ud800" + "a" * 1000).data["_raw"]["actor_id"]

    assert actual == "\ufffd\ufffd" + "a" * (MAX_RAW - 2)


def test_an_id_of_digits_is_kept_though_it_could_be_a_card() -> None:
    digits = "4111111111111111"

    assert make(actor_id=digits, user_id=f"card {digits}").data == {
        "_raw": {"actor_id": digits, "user_id": "card [pan *1111]"}
    }


def test_a_record_has_the_id_that_was_given() -> None:
    assert make(id=SOME).id == SOME
    assert make(id=str(SOME)).id == SOME


@pytest.mark.parametrize("nil", [NIL, None, "", str(NIL)], ids=["NIL", "none", "empty", "text"])
def test_a_nil_id_asks_for_a_new_one(nil: Any) -> None:
    actual = make(id=nil).id

    assert (actual.version, actual.int >> 80) == (7, NOW_NS // 1_000_000)


def test_a_new_id_is_of_the_moment_of_the_record() -> None:
    actual = make(occurred_at=datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC)).id

    assert actual.int >> 80 == 1_000_000_000_000


def test_the_id_of_the_call_is_used_where_the_fields_have_none() -> None:
    fields = {"verb": "a.b", "object_type": "c"}

    assert ROWS.make(fields, {}, id=SOME.int).id == SOME.bytes
    assert ROWS.make({**fields, "id": UUID(int=7)}, {}, id=SOME.int).id == UUID(int=7).bytes


def test_two_records_of_one_moment_have_two_ids() -> None:
    assert make().id < make().id


# -- from where ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1", " 192.0.2.1\n"),
        ("2001:db8::1", "2001:0DB8:0:0:0:0:0:1"),
        ("192.0.2.1", IPv4Address("192.0.2.1")),
        ("2001:db8::1", IPv6Address("2001:db8::1")),
        ("fe80::1", "fe80::1%eth0"),
        ("fe80::1", "fe80::1%".ljust(64, "x")),
        ("hmac:" + "0f" * 16, "hmac:" + "0f" * 16),
        ("fe80::1", IPv6Address("fe80::1%eth0")),
        ("fe80::1", "fe80::1%\0\ud800"),
        ("192.0.2.1", hostile_class(str)("192.0.2.1")),
        ("", ""),
    ],
    ids=[
        "v4",
        "white",
        "v6",
        "v4 object",
        "v6 object",
        "zone",
        "long zone",
        "hash",
        "zone of an object",
        "poisoned zone",
        "str subclass",
        "empty",
    ],
)
@pytest.mark.parametrize("strict", [False, True], ids=["lenient", "strict"])
def test_an_address_is_stored_in_its_canonical_form(
    expected: str, value: Any, strict: bool
) -> None:
    actual = make(ip=value, strict=strict)

    assert (actual.ip, actual.data) == (expected, {})


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("localhost", "localhost"),
        ("192.0.2.1:80", "192.0.2.1:80"),
        ("010.1.1.1", "010.1.1.1"),
        ("192.0.2.1%eth0", "192.0.2.1%eth0"),
        ("10.0.0.1, 10.0.0.2", "10.0.0.1, 10.0.0.2"),
        ('["192.0.2.1",80]', ("192.0.2.1", 80)),
        ("5", 5),
        ("hmac:" + "0f" * 15, "hmac:" + "0f" * 15),
        ("hmac:" + "0F" * 16, "hmac:" + "0F" * 16),
        ("fe80::1%".ljust(65, "x"), "fe80::1%".ljust(65, "x")),
        ("a" * MAX_RAW, "a" * 10_000),
        ("<their.code.Lying>", lying_instance()),
    ],
    ids=[
        "name",
        "port",
        "octal",
        "zone",
        "list",
        "pair",
        "int",
        "half a hash",
        "hash in capitals",
        "zone too long",
        "long",
        "lying",
    ],
)
def test_an_address_that_is_none_is_kept(raw: str, value: Any) -> None:
    actual = make(ip=value)

    assert (actual.ip, actual.data) == ("", {"_raw": {"ip": raw}})
    with pytest.raises(InvalidRecordError, match="is no IP address") as info:
        make(ip=value, strict=True)
    assert info.value.field == "ip"


def test_a_class_that_only_says_it_is_an_address_is_not_asked() -> None:
    kind = hostile_class(object, __module__="ipaddress", __qualname__="IPv4Address")

    assert make(ip=kind()).data == {"_raw": {"ip": "<ipaddress.IPv4Address>"}}


# -- when ----------------------------------------------------------------------


def test_an_unset_time_is_now() -> None:
    assert make().occurred_at == NOW


def test_the_time_of_the_call_is_used_where_the_fields_have_none() -> None:
    fields = {"verb": "a.b", "object_type": "c"}

    assert ROWS.make(fields, {}, ns=7_000).created_at == 7
    assert ROWS.make({**fields, "occurred_at": 1}, {}, ns=7_000).created_at == 1_000_000


@pytest.mark.parametrize(
    "value",
    [
        datetime(1970, 1, 1, tzinfo=UTC),
        NOW + timedelta(hours=24),
        NOW.astimezone(timezone(timedelta(hours=-14))),
    ],
    ids=["epoch", "in a day", "other offset"],
)
def test_a_time_within_reason_is_kept(value: datetime) -> None:
    actual = make(occurred_at=value, strict=True)

    assert (actual.occurred_at, actual.data) == (value, {})


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (
            "1969-12-31T23:59:59.999999+00:00",
            datetime(1970, 1, 1, tzinfo=UTC) - timedelta.resolution,
        ),
        ("2024-05-07T12:00:00.123457+00:00", NOW + timedelta(hours=24, microseconds=1)),
        ("9999-12-31T23:59:59", datetime(9999, 12, 31, 23, 59, 59)),
        ("9999-01-01", "9999-01-01"),
        ("-1", -1),
    ],
    ids=["before the epoch", "in more than a day", "the end of time", "text", "seconds"],
)
@pytest.mark.parametrize("strict", [False, True], ids=["lenient", "strict"])
def test_a_time_out_of_reason_is_now_and_kept(raw: str, value: Any, strict: bool) -> None:
    """A row of the year 9999 would stay first in every feed and break a page of psycopg's."""
    actual = make(occurred_at=value, strict=strict)

    assert (actual.occurred_at, actual.data) == (NOW, {"_raw": {"occurred_at": raw}})


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("yesterday", "yesterday"),
        ("true", True),
        ("NaN", float("nan")),
        ("", ""),
        (
            "9999-12-31T23:59:59.999999-14:00",
            datetime.max.replace(tzinfo=timezone(timedelta(hours=-14))),
        ),
        ("2024-05-06T12:00:00.123456", NOW.replace(tzinfo=zone(leave))),
        ("<object>", object()),
    ],
    ids=["words", "bool", "nan", "empty", "after the end of time", "broken zone", "object"],
)
def test_a_time_that_is_none_is_now_and_kept(raw: str, value: Any) -> None:
    actual = make(occurred_at=value)

    assert (actual.occurred_at, actual.data) == (NOW, {"_raw": {"occurred_at": raw}})
    with pytest.raises(InvalidRecordError, match=r"^occurred_at: .* is needed, not"):
        make(occurred_at=value, strict=True)


# -- data ----------------------------------------------------------------------


def test_a_channel_that_is_no_text_is_kept() -> None:
    actual = make(channel=5)

    assert (actual.channel, actual.data) == ("", {"_raw": {"channel": "5"}})
    with pytest.raises(InvalidRecordError, match="channel: text is needed"):
        make(channel=5, strict=True)


def test_what_is_added_to_data_takes_nothing_s_place() -> None:
    row = make_row({"path": "ä", "to": 1})

    actual = ROWS.enriched(row, {"to": 2, "place": "ö", "password": "hunter2"})

    assert json.loads(actual.data) == {"path": "ä", "to": 1, "place": "ö", "password": REDACTED}
    assert actual._replace(data=row.data) == row


def test_what_is_added_is_held_against_what_the_verb_may_have() -> None:
    rows = RowMaker(Redactor(allow={"a.*": ["place"]}))
    row = rows.make({"verb": "a.b", "object_type": "c"}, {})

    assert rows.enriched(row, {"place": 1, "other": 2}).data == '{"place": 1}'


def test_data_is_json_of_plain_values_in_the_order_of_jsonb() -> None:
    actual = make_row({"a": {1}, "when": NOW, "ä": "ö"}).data

    assert actual == '{"a": [1], "ä": "ö", "when": "2024-05-06T12:00:00.123456Z"}'


def test_secrets_are_hidden() -> None:
    assert make({"user": {"password": "hunter2"}}).data == {"user": {"password": REDACTED}}


def test_without_a_redactor_nothing_is_hidden() -> None:
    row = RowMaker().make({"verb": "a.b", "object_type": "c"}, {"password": "hunter2"})

    assert row.to_record().data == {"password": "hunter2"}


@pytest.mark.parametrize(
    ("expected", "given_"),
    [
        ({"_raw": {"mine": 1, "ip": "x"}}, {"_raw": {"mine": 1}}),
        ({"_raw": {"ip": "x"}}, {"_raw": {"ip": "forged"}}),
        ({"_raw#2": "mine", "_raw": {"ip": "x"}}, {"_raw": "mine"}),
    ],
    ids=["added", "ours counts", "makes room"],
)
def test_originals_join_what_the_caller_keeps_there(
    expected: dict[str, Any], given_: dict[str, Any]
) -> None:
    assert make(given_, ip="x").data == expected


def test_a_callers_own_raw_stays_where_nothing_was_changed() -> None:
    assert make({"_raw": 5}).data == {"_raw": 5}


def test_no_originals_leave_no_trace() -> None:
    data: dict[str, Any] = {}
    keep_raw(data, {})

    assert data == {}


# -- from records --------------------------------------------------------------


def test_a_record_of_a_builder_keeps_its_originals() -> None:
    record = build_record_from_uuid(
        "ada", "a.b", "c", tenant_id=42, occurred_at=datetime(9999, 1, 1, tzinfo=UTC)
    )

    actual = ROWS.make_from(record, strict=True).to_record()

    raw = {"actor_id": "ada", "tenant_id": "42", "occurred_at": "9999-01-01T00:00:00+00:00"}
    assert actual.data == {"_raw": raw}
    assert (actual.actor_id, actual.tenant_id) == (to_uuid("ada"), to_uuid(42))


def test_the_nil_id_and_the_unset_time_of_a_record_are_filled() -> None:
    actual = ROWS.make_from(ActivityRecord(verb="a.b", object_type="c")).to_record()

    assert (actual.id.version, actual.occurred_at) == (7, NOW)


def test_a_field_of_a_record_that_can_not_be_stored_is_kept_or_refused() -> None:
    record = ActivityRecord(verb="a.b", object_type="c", ip="nowhere")

    assert ROWS.make_from(record).to_record().data == {"_raw": {"ip": "nowhere"}}
    with pytest.raises(InvalidRecordError, match="ip"):
        ROWS.make_from(record, strict=True)


def test_missing_data_of_a_record_is_empty() -> None:
    record = ActivityRecord(verb="a.b", object_type="c", data=None)  # type: ignore[arg-type]

    assert ROWS.make_from(record, strict=True).data == "{}"


@pytest.mark.parametrize(
    ("kind", "make_data"),
    [("list", list), ("str", str), ("their.code.Lying", lying_instance)],
    ids=["list", "text", "lying metaclass"],
)
def test_data_of_a_record_that_is_no_dict_is_refused(kind: str, make_data: Any) -> None:
    data = make_data()
    with pytest.raises(InvalidRecordError, match=f"a dict is needed, not {kind}") as info:
        ROWS.make_from(ActivityRecord(verb="a.b", object_type="c", data=data))

    assert info.value.field == "data"


def test_a_record_is_not_changed() -> None:
    record = ActivityRecord(verb=" a.b ", object_type="c", data={"password": "x", "s": {1}})
    ROWS.make_from(record)

    assert record == ActivityRecord(verb=" a.b ", object_type="c", data={"password": "x", "s": {1}})


NAMES = st.text(
    alphabet=st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=50
).filter(lambda text: text == text.strip())
TEXT = st.text(
    alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30
)
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**63), max_value=2**63 - 1)
    | st.floats(min_value=-9e15, max_value=9e15).map(lambda number: number + 0.0)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
RECORDS = st.builds(
    ActivityRecord,
    id=st.uuids(),
    **dict.fromkeys(WHO, st.uuids() | st.just(NIL)),
    verb=NAMES,
    object_type=NAMES,
    object_id=NAMES | st.just(""),
    channel=NAMES | st.just(""),
    ip=st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map(str) | st.just(""),
    data=st.dictionaries(TEXT.filter(lambda key: key != "_raw"), PLAIN, max_size=4),
    occurred_at=st.datetimes(
        min_value=datetime(1970, 1, 1), max_value=datetime(2024, 5, 7), timezones=st.just(UTC)
    ),
)


@settings(max_examples=30)
@given(RECORDS)
def test_a_record_comes_back_from_its_row(record: ActivityRecord) -> None:
    plain_rows = RowMaker(clock=lambda: NOW_NS)

    assert plain_rows.make_from(record, strict=True).to_record() == record


@settings(max_examples=30)
@given(RECORDS)
def test_a_row_comes_back_from_its_record(record: ActivityRecord) -> None:
    row = ROWS.make_from(record)

    assert ROWS.make_from(row.to_record()) == row


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(alphabet=st.characters(codec=None, exclude_categories=())),
    st.binary(),
    st.datetimes(timezones=st.sampled_from([None, UTC, timezone(timedelta(hours=14))])),
    st.lists(st.integers()),
    st.dictionaries(st.text(), st.text()),
)


def check(row: Row) -> None:
    """Hold a row against what `Row` promises."""
    ids = (row.tenant_id, row.id, row.actor_id, row.user_id, row.org_id)
    assert [(type(id_), len(id_)) for id_ in ids] == [(bytes, 16)] * 5
    assert 0 <= row.created_at <= NOW_NS // 1000 + 86_400_000_000
    texts = (row.verb, row.object_type, row.object_id, row.channel, row.ip)
    for text, limit in zip(texts, (200, 200, 400, 100, 64), strict=True):
        assert type(text) is str
        assert len(text.encode()) <= 4 * limit
        assert len(text) <= limit
        assert "\0" not in text
    assert row.verb.strip()
    assert row.object_type.strip()
    assert type(json.loads(row.data)) is dict
    assert "\\u0000" not in row.data
    row.data.encode()


@settings(max_examples=30)
@given(st.dictionaries(st.sampled_from(sorted(RECORD_FIELDS - {"verb", "object_type"})), ANYTHING))
def test_no_field_but_verb_and_object_type_can_lose_a_record(fields: dict[str, Any]) -> None:
    check(make_row(**fields))


@pytest.mark.parametrize("name", list(HOSTILE))
@pytest.mark.parametrize("strict", [False, True], ids=["lenient", "strict"])
def test_no_value_of_a_field_runs_or_costs_much(name: str, strict: bool) -> None:
    value = HOSTILE[name]()

    def read(field: str) -> None:
        try:
            check(row_with(field, value, strict=strict))
        except InvalidRecordError:
            return

    slow = [field for field in sorted(RECORD_FIELDS) if cost(lambda: read(field)) > LIMIT]  # noqa: B023
    assert slow == []
