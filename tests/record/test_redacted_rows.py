"""
What a row holds where a call held secrets, in every place that a call has.
"""

from __future__ import annotations

import json

from base64 import b64encode
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any

import pytest

from structlog_activity.record.budgets import MAX_KEY, MAX_STRING
from structlog_activity.record.plain import Plainer
from structlog_activity.record.redact import Redactor, unsafe
from structlog_activity.record.row import Row
from structlog_activity.record.rowmaker import RowMaker
from tests.record.hostile import nested
from tests.record.test_secrets import AWS, GITHUB, HASH_KEY, JWT, PEM, STRIPE


TOKENS = [AWS, GITHUB, JWT, STRIPE, PEM]


def row_of(redactor: Redactor | None = None, /, **event: Any) -> Row:
    data = event.pop("data", {})
    fields = {"verb": "a.b", "object_type": "c", **event}
    return RowMaker(redactor or Redactor()).make(fields, data)


def data_of(data: dict[Any, Any], redactor: Redactor | None = None) -> Any:
    return json.loads(row_of(redactor, data=data).data)


@pytest.mark.parametrize("token", TOKENS, ids=range(len(TOKENS)))
@pytest.mark.parametrize(
    "wrap",
    [
        lambda token: {"note": token},
        lambda token: {"note": {"deep": [{"er": (token,)}]}},
        lambda token: {"note": {token}},
        lambda token: {"note": ValueError(token)},
        lambda token: {"note": token.encode()},
        lambda token: {"note": bytearray(token.encode())},
        lambda token: {"note": StrEnum("Note", {"A": token}).A},  # type: ignore[attr-defined]
        lambda token: {"note": PurePosixPath(token)},
        lambda token: {token: 1},
        lambda token: {"note": {token: 1}},
        lambda token: {"password": token},
        lambda token: {"headers": [("Authorization", token), ("x", token)]},
        lambda token: {"note": "x" * 50_000 + token},
        lambda token: {"note": f"{'x ' * (MAX_STRING // 2 - 10)}{token}"},
        lambda token: {"note": "x" * 250 + " " + token, token + "x" * 300: 2},
    ],
)
def test_no_place_in_data_keeps_a_secret(token: str, wrap: Any) -> None:
    stored = row_of(data=wrap(token)).data

    assert token[:12] not in stored.replace("-----BEGIN RSA", "")
    assert "MIIBOgIBAAJBAKj34GkxFhD9" not in stored
    assert b64encode(token.encode())[:12].decode() not in stored


@pytest.mark.parametrize("field", ["actor_id", "user_id", "tenant_id", "ip", "occurred_at"])
@pytest.mark.parametrize("token", TOKENS, ids=range(len(TOKENS)))
def test_what_is_kept_of_an_unreadable_field_has_no_secret(field: str, token: str) -> None:
    row = row_of(**{field: token})

    assert token[:12] not in row.data.replace("-----BEGIN RSA", "")
    assert "redacted" in json.loads(row.data)["_raw"][field]


def test_the_id_of_an_object_has_no_secret() -> None:
    row = row_of(object_id="https://bob:hunter2@example.org/")

    assert row.object_id == "https://bob:[redacted]@example.org/"


def test_the_id_of_an_object_that_is_a_number_is_no_card() -> None:
    assert row_of(object_id="4111111111111111").object_id == "4111111111111111"


def test_numbers_ids_and_moments_stay_as_they_are() -> None:
    data = {"n": 4111111111111111, "order_id": "4111111111111111", "at": "2026-01-02T03:04:05Z"}

    assert data_of(data) == data


def test_bytes_without_a_secret_stay() -> None:
    """Read as Latin-1, which any bytes are."""
    card = b"4111111111111111"

    assert data_of({"note": b"plain\xff", "order_id": card, "number": card}) == {
        "note": "base64:cGxhaW7/",
        "order_id": "base64:NDExMTExMTExMTExMTExMQ==",
        "number": "[redacted]",
    }


def test_half_a_secret_at_the_edge_of_what_is_kept_goes_with_its_other_half() -> None:
    before = "word " * ((MAX_STRING - 10) // 5)
    text = f"{before}{AWS} {'after ' * 100}"

    actual = data_of({"note": text})["note"]

    assert actual == f"{before}<cut: {len(text) - len(before)} characters>"


def test_a_word_that_ends_where_a_text_is_cut_is_whole() -> None:
    text = f"{'word ' * ((MAX_STRING - 2) // 5)}no"

    assert data_of({"note": f"{text} more"}) == {"note": f"{text}<cut: 5 characters>"}


def test_a_text_whose_last_word_is_too_long_to_be_a_secret_is_cut_within_it() -> None:
    text = "a " + "x" * MAX_STRING

    assert data_of({"note": text}) == {"note": f"{text[:MAX_STRING]}<cut: 2 characters>"}


def test_a_marked_value_is_stored_as_it_is() -> None:
    data = {"token": unsafe("page-2"), "note": unsafe(f"see {AWS}"), "deep": {"pin": unsafe([1])}}

    assert data_of(data) == {"token": "page-2", "note": f"see {AWS}", "deep": {"pin": [1]}}


def test_a_marked_value_nests_as_deep_as_others() -> None:
    deep = nested(100)

    marked = data_of({"a": unsafe(deep), "pin": unsafe(deep), "h": [("Cookie", unsafe(deep))]})

    assert marked == Plainer(None).mapping({"a": deep, "pin": deep, "h": [("Cookie", deep)]})


def test_what_lies_beside_a_marked_value_is_still_redacted() -> None:
    assert data_of({"list": [unsafe(AWS), AWS], "pin": 1}) == {
        "list": [AWS, "[redacted]"],
        "pin": "[redacted]",
    }


def test_dropped_values_leave_no_key() -> None:
    redactor = Redactor(mode="drop", keys={"note": "drop"})

    assert data_of({"password": "x", "note": 1, "n": 2, "d": {"pin": 3}}, redactor) == {
        "n": 2,
        "d": {},
    }


def test_where_secrets_are_kept_only_names_of_another_mode_are_hidden() -> None:
    data = {"password": "x", "note": "pin=1234", "headers": [["Cookie", "y"]]}
    redactor = Redactor(mode="keep", keys={"email": "mask"})

    assert data_of({**data, "email": "bob"}, redactor) == {**data, "email": "[redacted]"}


def test_hashed_values_can_be_searched_for() -> None:
    redactor = Redactor(keys={"email": "hash"}, hash_key=HASH_KEY)

    actual = data_of({"email": "bob@example.org", "x": {"e-mail": ["a", 1]}}, redactor)

    assert actual["email"] == redactor.hashed("bob@example.org")
    assert actual["x"]["e-mail"] == redactor.hashed(["a", 1])


@pytest.mark.parametrize(
    ("answer", "stored"),
    [(5, 5), (float("nan"), "NaN"), ({"a": (1,)}, {"a": [1]}), (None, None), ("\0", "\ufffd")],
)
def test_what_a_function_returns_is_made_plain(answer: Any, stored: Any) -> None:
    redactor = Redactor(keys={"email": lambda key, value: answer})

    assert data_of({"email": "bob"}, redactor) == {"email": stored}


def test_what_a_function_sees_and_returns_nests_as_deep_as_others() -> None:
    seen = []
    deep = nested(100)

    def note(_key: str, value: Any) -> Any:
        seen.append(value)
        return deep

    redactor = Redactor(keys={"x": note})
    stored = data_of({"x": deep}, redactor)

    assert [stored, {"x": seen[0]}] == [Plainer(None).mapping({"x": deep})] * 2


@pytest.mark.parametrize(
    ("options", "stored"),
    [
        ({"mode": "drop"}, "[redacted]"),  # A pair without its second is none.
        ({"keys": {"cookie": lambda key, value: f"{key}={value}"}}, "Cookie=a"),
    ],
    ids=["drop", "function"],
)
def test_of_a_header_is_stored_what_its_mode_says(options: Any, stored: str) -> None:
    data = {"h": [("Cookie", "a")]}

    assert data_of(data, Redactor(**options)) == {"h": [["Cookie", stored]]}


@pytest.mark.parametrize("inner", [{"note": "x"}, ["Cookie", "[redacted]"], [["x"]]], ids=str)
def test_what_lies_before_a_number_in_a_list_of_ids_makes_it_no_card(inner: Any) -> None:
    data = {"order_ids": [inner, "4111111111111111"]}

    assert data_of(data) == data


def test_a_header_may_have_as_long_a_name_as_any_key() -> None:
    longest, too_long = ["cookie".ljust(length, "x") for length in (MAX_KEY, MAX_KEY + 1)]

    assert data_of({"h": [(longest, "a"), (too_long, "a")]}) == {
        "h": [[longest, "[redacted]"], [too_long, "a"]]
    }


def test_a_function_sees_plain_values_only() -> None:
    seen = []
    redactor = Redactor(keys={"x": lambda key, value: seen.append((key, value))})

    data_of({"x": {1: (2, object())}}, redactor)

    assert seen == [("x", {"1": [2, "<object>"]})]


def test_only_allowed_keys_are_stored_and_they_are_redacted_too() -> None:
    redactor = Redactor(allow={"a.b": ["n", "password"]})

    actual = data_of({"n": f"x {AWS}", "password": "y", "more": 1, "event": "text"}, redactor)

    assert actual == {"n": "x [redacted]", "password": "[redacted]"}


def test_of_a_verb_that_is_not_listed_nothing_is_stored() -> None:
    assert data_of({"n": 1}, Redactor(allow={"other": ["n"]})) == {}


def test_the_original_of_a_field_is_kept_whatever_is_allowed() -> None:
    row = row_of(Redactor(allow={}), actor_id="worker:nightly", data={"n": 1})

    assert json.loads(row.data) == {"_raw": {"actor_id": "worker:nightly"}}


def test_hashing_huge_values_costs_no_more_than_storing_them() -> None:
    redactor = Redactor(mode="hash", hash_key=HASH_KEY)
    wide = {f"pin{'-' * i}": {str(n): list(range(200)) for n in range(200)} for i in range(200)}

    actual = Plainer(redactor).mapping(wide)

    assert len(actual) == 200
