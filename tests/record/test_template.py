"""
A template makes the row that `RowMaker.make` makes, or none.
"""

from __future__ import annotations

import json

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from structlog_activity.capture.keys import ActivityKeys, KeyMap
from structlog_activity.record.budgets import (
    MAX_CHANNEL,
    MAX_IP,
    MAX_ITEMS,
    MAX_KEY,
    MAX_OBJECT_ID,
    MAX_OBJECT_TYPE,
    MAX_VERB,
)
from structlog_activity.record.canonical import Canonical, canonical
from structlog_activity.record.redact import REDACTED, Redactor
from structlog_activity.record.row import Row
from structlog_activity.record.rowmaker import RowMaker
from structlog_activity.record.template import Template, template_for
from tests.record.hostile import nested
from tests.record.test_secrets import GITHUB, HASH_KEY


ID = UUID("0199c8a2-7d3f-7b1a-9c4e-1f2a3b4c5d6e")
NOW_NS = 1_714_996_800_123_456_000
ROWS = RowMaker(Redactor(), clock=lambda: NOW_NS)
USUAL: dict[str, Any] = {"verb": "a.b", "object": "c:1"}
CARD = "4111111111111111"
SHORT = "pin=1234"  # No shorter text is looked at.

TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["", " ", "\0", "a\0b", "\ud800", "ä", "\\u0000", "x" * 300, "y" * 9000, " z ", "1:2:3"]
    ),
)
NUMBERS = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([0, -0.0, 2**63, -(2**63), 2**63 - 1, 1e16, -1e16, 9e15, 1e300, True]),
)
SCALARS = st.one_of(
    st.none(), st.booleans(), NUMBERS, TEXTS, st.uuids(), st.datetimes(), st.just("[redacted]")
)
NAMES = st.one_of(
    st.sampled_from(["password", "a", "b", "event", "message", "_raw", "k" * 300, "x\0", "x�"]),
    st.text(max_size=5),
)
NESTED = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(NAMES, inner, max_size=4),
        st.tuples(st.sampled_from(["Authorization", "x"]), inner),
    ),
    max_leaves=12,
)
EVENTS = st.fixed_dictionaries(
    {
        "verb": st.one_of(st.sampled_from(["a.b", " a ", "ü", "v" * 250]), TEXTS),
        "object": st.one_of(
            st.sampled_from(["c:1", "c", " c : 1 "]), TEXTS, st.tuples(st.just("c"), SCALARS)
        ),
    },
    optional={
        "actor_id": SCALARS,
        "user_id": SCALARS,
        "tenant": SCALARS,
        "org": SCALARS,
        "channel": SCALARS,
        "ip": st.one_of(st.sampled_from(["127.0.0.1", "::1%eth0", " 10.0.0.1 ", "no"]), SCALARS),
        "level": SCALARS,
        "token": SCALARS,
        "data": NESTED,
    },
)


@dataclass
class Box:
    """No type that JSON knows."""

    inside: Any
    password: str = "hunter2"


def template(
    event: dict[str, Any], defaults: dict[str, Any] | None = None, rows: RowMaker = ROWS
) -> Template | None:
    places = KeyMap(ActivityKeys(), defaults or {}).places(tuple(event))
    return None if places is None else template_for(rows, *places)


def by_template(
    event: dict[str, Any], defaults: dict[str, Any] | None = None, rows: RowMaker = ROWS
) -> Row | None:
    found = template(event, defaults, rows)
    return None if found is None else found.row(event, ID.bytes, NOW_NS // 1000)


def by_rule(
    event: dict[str, Any], defaults: dict[str, Any] | None = None, rows: RowMaker = ROWS
) -> Row:
    fields, data = KeyMap(ActivityKeys(), defaults or {}).split(event)
    return rows.make(fields, data, id=ID.int, ns=NOW_NS)


@settings(max_examples=300, deadline=None)
@given(EVENTS, st.dictionaries(NAMES, NESTED, max_size=4))
def test_a_template_makes_the_same_row_as_the_rules(
    fields: dict[str, Any], data: dict[str, Any]
) -> None:
    event = {**data, **fields}

    row = by_template(event)

    assert row is None or row == by_rule(event)
    assert row is None or type(row) is Row
    assert row is None or canonical(str(row.data)) == row.data
    assert row is None or type(row.data) is Canonical


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"count": 3, "ratio": 0.5, "ok": True, "none": None, "text": "plain"},
        {"name": "Zoë 名前"},
        {"note": f"see {GITHUB}"},
        {"tiny": 1e-7, "least": -5e-324, "within": {"b": [2e-9], "aa": 1e-5, "é": 3e-6}},
        {
            "said": 'a "word"\n',
            "100%": "%s",
            "é": 1,
            "zz": 2,
            "_ra": 1,
            "_rax": 2,
            "actor_id": "ana",
        },
        {"actor_id": 42, "tenant_id": "acme", "org_id": ID, "user_id": None},
        {"before": {"theme": "light", "tags": ["a", "b"]}, "after": {"theme": "dark"}},
        {"password": "hunter2", "headers": [("Authorization", "secret")]},
        {"channel": "settings", "ip": "127.0.0.1"},
        {"object": ("export.job", 7)},
        {"job": ID, "at": datetime(2026, 3, 14, tzinfo=UTC)},
        {"level": "info", "timestamp": "2026-03-14T12:00:00Z", "event": "done"},
        {"channel": None, "ip": None},
        {"channel": "", "ip": ""},
        {"object": "folder:a:b"},
        {"object": ("c", ID)},
        {"verb": " a.b ", "object": (" c ", " 1 "), "channel": " d ", "actor_id": " ana "},
        {"verb": "a\ud800", "object": ("c\0", "1\0"), "channel": "\ud800", "actor_id": "\0"},
        {"actor_id": " ", "user_id": UUID(int=0), "tenant_id": str(UUID(int=0)), "org_id": ""},
    ],
)
def test_usual_events_have_a_template_that_makes_their_row(more: dict[str, Any]) -> None:
    event = {**USUAL, **more}

    assert by_template(event) == by_rule(event)


@pytest.mark.parametrize(
    "more",
    [
        {"verb": "v" * MAX_VERB},
        {"object": ("t" * MAX_OBJECT_TYPE, "i" * MAX_OBJECT_ID)},
        {"object": ("c", -(2**63))},
        {"object": ("c", 2**63 - 1)},
        {"channel": "c" * MAX_CHANNEL},
        {"ip": "::1%".ljust(MAX_IP, "e")},
        {"actor_id": "u" * 128},
        {"actor_id": -(2**63), "user_id": 2**63 - 1},
        {"k" * MAX_KEY: 1},
        {f"k{ix}": ix for ix in range(MAX_ITEMS // 2)},
    ],
)
def test_a_template_takes_what_is_as_long_as_it_may_be(more: dict[str, Any]) -> None:
    event = {**USUAL, **more}

    assert by_template(event) == by_rule(event)


def test_an_object_said_in_two_parts_has_a_template() -> None:
    for event in (
        {"verb": "a.b", "object_type": "c", "object_id": 1},
        {"verb": "a.b", "object_type": "c"},
    ):
        assert by_template(event) == by_rule(event)


def test_defaults_are_part_of_a_template() -> None:
    defaults = {
        "channel": "billing",
        "tenant": "acme",
        "region": "eu",
        "box": Box([1]),
        "deep": Box(nested(100)),
    }
    for event in (USUAL, {**USUAL, "channel": "other", "region": "us"}):
        row = by_template(event, defaults)

        assert row == by_rule(event, defaults)
        assert row is not None


@pytest.mark.parametrize(
    "more",
    [
        {"x": "y" * 5000},
        {"x": "\0"},
        {"x": "\ud800"},
        {"x": float("nan")},
        {"x": 1e16},
        {"x": 2**63},
        {"ip": "no address"},
        {"actor_id": 1.5},
        {"channel": 5},
        {"object": "o" * 500},
        {"deep": nested(7)},  # The data themselves are a level, too.
        {"data": {"a": 1}},
        {"occurred_at": "2026-03-14T12:00:00Z"},
        {"_raw": 1},
        {"verb": "v" * (MAX_VERB + 1)},
        {"verb": "a\nb"},
        {"verb": " "},
        {"verb": 5},
        {"object": " :1"},
        {"object": ("t" * (MAX_OBJECT_TYPE + 1), 1)},
        {"object": ("c", "i" * (MAX_OBJECT_ID + 1))},
        {"object": ("c", 2**63)},
        {"channel": "c" * (MAX_CHANNEL + 1)},
        {"ip": "::1%".ljust(MAX_IP + 1, "e")},
        {"actor_id": "u" * 129},
        {"actor_id": 2**63},
        {"k" * (MAX_KEY + 1): 1},
        {f"k{ix}": ix for ix in range(MAX_ITEMS // 2 + 1)},
        {f"a key with {CARD}": 1},
    ],
)
def test_what_is_unusual_is_left_to_the_rules(more: dict[str, Any]) -> None:
    assert by_template({**USUAL, **more}) is None


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        (f"see {REDACTED}", f"see {GITHUB}"),
        (f"pin={REDACTED}", SHORT),
        (CARD, CARD),  # A number where an id belongs is no card's.
    ],
)
def test_an_id_of_a_template_has_no_secret(stored: str, said: str) -> None:
    event = {"verb": "a.b", "object": ("c", said), "actor_id": said}

    row = by_template(event)

    assert row == by_rule(event)
    assert row is not None
    assert row.object_id == stored
    assert json.loads(row.data) == {"_raw": {"actor_id": stored}}


@pytest.mark.parametrize(
    "redactor",
    [
        Redactor(mode="drop"),
        Redactor(mode="hash", hash_key=HASH_KEY),
        Redactor(keys={"password": "drop"}),
        Redactor(keys={"password": lambda key, value: f"{key}={value}"}),
    ],
    ids=["drop", "hash", "one key", "function"],
)
def test_a_secret_that_is_not_masked_is_left_to_the_rules(redactor: Redactor) -> None:
    rows = RowMaker(redactor, clock=lambda: NOW_NS)
    other = {**USUAL, "name": "plain"}

    assert by_template({**USUAL, "password": "x"}, rows=rows) is None
    assert by_template(other, rows=rows) == by_rule(other, rows=rows)


def test_where_verbs_have_allowed_keys_all_is_left_to_the_rules() -> None:
    rows = RowMaker(Redactor(allow={"a.b": ["name"]}), clock=lambda: NOW_NS)

    assert by_template({**USUAL, "name": "plain"}, rows=rows) is None


def test_without_a_redactor_a_template_stores_what_was_said() -> None:
    rows = RowMaker(clock=lambda: NOW_NS)
    event = {"verb": "a.b", "object": ("c", GITHUB), "note": f"pin=1 {GITHUB}", "password": "x"}

    row = by_template(event, rows=rows)

    assert row == by_rule(event, rows=rows)
    assert row is not None
    assert row.object_id == GITHUB
    assert json.loads(row.data) == {"note": f"pin=1 {GITHUB}", "password": "x"}


def test_a_value_of_a_class_of_a_foreign_class_is_left_to_the_rules() -> None:
    """Its type would be looked up by a hash of its own."""
    kind = type("Meta", (type,), {"__hash__": lambda _: 1})("Kind", (), {})

    assert by_template(USUAL, {"kind": kind()}) is None


def test_a_secret_is_hidden_by_a_template() -> None:
    row = by_template({**USUAL, "api_key": "abc", "deep": {"token": "abc", "none": None}})

    assert row is not None
    assert {"api_key": REDACTED, "deep": {"token": REDACTED, "none": None}} == json.loads(row.data)
