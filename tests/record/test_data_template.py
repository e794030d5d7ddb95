"""
DataTemplate of data are written by a template as they are by the rules, or left to them.
"""

from __future__ import annotations

import json

from itertools import product
from typing import Any

import pytest

from structlog_activity.record.budgets import MAX_DEPTH, MAX_ITEMS, MAX_KEY
from structlog_activity.record.data_template import LONGEST, DataTemplate
from structlog_activity.record.plain import Plainer
from structlog_activity.record.redact import REDACTED, Redactor
from structlog_activity.record.rowmaker import RowMaker
from tests.record.hostile import nested
from tests.record.test_secrets import GITHUB
from tests.record.test_template import CARD, NOW_NS, SHORT, USUAL, by_rule, by_template


DEEPEST = MAX_DEPTH - 2  # The data and a list are two levels.


def dicts(depth: int, key: str = "k") -> Any:
    value: Any = {}
    for _ in range(depth):
        value = {key: value}
    return value


def written(data: dict[str, Any], redactor: Redactor | None = None) -> Any:
    rows = RowMaker(redactor or Redactor(), clock=lambda: NOW_NS)
    row = by_template({**USUAL, **data}, rows=rows)

    assert row == by_rule({**USUAL, **data}, rows=rows)
    assert row is not None
    return json.loads(row.data)


@pytest.mark.parametrize(
    "data",
    [
        {"no": False, "yes": True, "in": {"no": False, "yes": True}, "list": [False, True, None]},
        {"least": -(2**63), "most": 2**63 - 1},
        {"list": [-(2**63), 2**63 - 1, 0, 5], "in": {"n": -5}},
        {"list": nested(DEEPEST), "in": dicts(DEEPEST)},
        {"list": list(range(MAX_ITEMS))},
        {"in": {f"k{ix}": ix for ix in range(MAX_ITEMS)}},
        {"in": {"a longer key": 1, "k" * MAX_KEY: 2}},
        {"text": "x" * (LONGEST - len('{"text": ""}'))},
    ],
    ids=["bools", "ints", "ints within", "depth", "list", "dict", "keys", "text"],
)
def test_what_is_within_the_budgets_is_written_whole(data: dict[str, Any]) -> None:
    assert written(data) == data


def test_no_zero_is_negative() -> None:
    assert str(written({"n": -0.0, "in": {"list": [-0.0]}})) == "{'n': 0.0, 'in': {'list': [0.0]}}"


@pytest.mark.parametrize(
    "data",
    [
        {"list": [2**63]},
        {"list": [-1e16]},
        {"list": nested(DEEPEST + 1)},
        {"in": dicts(DEEPEST + 1)},
        {"mixed": [[dicts(DEEPEST - 1)]]},
        {"list": list(range(MAX_ITEMS + 1))},
        {"in": {f"k{ix}": ix for ix in range(MAX_ITEMS + 1)}},
        {"in": {"k" * (MAX_KEY + 1): 1}},
        {"in": {1: 1}},
        {"in": {f"a key with {CARD}": 1}},
        {"text": "x" * (LONGEST + 1 - len('{"text": ""}'))},
    ],
    ids=[
        "int", "float", "depth of lists", "depth of dicts", "depth of both", "list", "dict",
        "long key", "key that is no text", "key with a secret", "text",
    ],
)  # fmt: skip
def test_what_is_beyond_a_budget_is_left_to_the_rules(data: dict[str, Any]) -> None:
    assert by_template({**USUAL, **data}) is None


@pytest.mark.parametrize(
    "place",
    [
        lambda text: {"note": text},
        lambda text: {"in": {"note": text}},
        lambda text: {"list": [text, "other text"]},
        lambda text: {"in": {"list": [[text]]}},
    ],
    ids=["item", "dict", "list", "deep"],
)
@pytest.mark.parametrize(
    ("stored", "said"),
    [("a longer text", "a longer text"), (f"see {REDACTED}", f"see {GITHUB}"),
     (f"pin={REDACTED}", SHORT), ("[pan *1111]", CARD)],
    ids=["no secret", "token", "shortest", "card"],
)  # fmt: skip
def test_a_text_is_written_without_secrets_wherever_it_is(
    place: Any, stored: str, said: str
) -> None:
    assert written(place(said)) == place(stored)


@pytest.mark.parametrize(
    "data",
    [
        {"order_id": CARD},
        {"in": {"order_id": CARD}},
        {"order_ids": [CARD, 1]},
        {"order_ids": [[CARD], [[CARD]]]},
        {"in": {"order_ids": [CARD]}},
        {"list": [{"order_id": CARD}]},
    ],
    ids=["item", "dict", "list", "list of lists", "list in a dict", "dict in a list"],
)
def test_a_number_where_an_id_belongs_is_written_as_it_is(data: dict[str, Any]) -> None:
    assert written(data) == data


def test_only_what_is_not_masked_is_left_to_the_rules() -> None:
    redactor = Redactor(keys={"email": "drop"})
    data = {"in": {"pin": 1}, "h": [("Cookie", "x"), ("cookie".ljust(MAX_KEY, "x"), "y")]}

    stored = written(data, redactor)

    assert stored["in"] == {"pin": REDACTED}
    assert [value for _, value in stored["h"]] == [REDACTED] * 2
    rows = RowMaker(redactor, clock=lambda: NOW_NS)
    for more in ({"in": {"email": 1}}, {"h": [("Email", "x")]}):
        assert by_template({**USUAL, **more}, rows=rows) is None


def test_what_is_known_of_values_has_a_bound() -> None:
    """Types and keys come from users too: what grows with them is a leak."""
    names = [f"k{ix}" for ix in range(8)]
    items = DataTemplate({name: name for name in names}, Plainer(None))

    for values in product((1, "text"), repeat=8):
        event = {**dict(zip(names, values, strict=True)), "k0": {f"in {values[1:]}": values[0]}}
        assert json.loads(items.text(event, "")) == event
        assert len(items._shapes) <= 64
        assert len(items._orders) <= 64
