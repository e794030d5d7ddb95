"""
Data are written in one form from the first, and whatever is not is brought into it.
"""

from __future__ import annotations

import json
import math

from typing import Any

import pytest

from hypothesis import given
from hypothesis import strategies as st

from structlog_activity.record.canonical import Canonical, canonical, canonical_of, number_text
from structlog_activity.record.redact import Redactor
from structlog_activity.record.row import Row
from structlog_activity.record.rowmaker import RowMaker
from tests.support.records import record


SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=12)
FLOATS = st.floats(allow_nan=False, allow_infinity=False) | st.floats(-1e-3, 1e-3)
DATA = st.dictionaries(
    st.text(max_size=6),
    st.recursive(
        SCALARS | FLOATS,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
        ),
        max_leaves=8,
    ),
    max_size=6,
)
# What it takes to be stored at all: texts that are none, numbers beyond all bounds, keys
# that are no texts, or the same once they are.
KEYS = (
    st.text(max_size=4)
    | st.sampled_from(
        ["", "é", "\ud800", "a\0", "%s", "\\", '"', "1", "_raw", "\U0001d54f", "\uffff"]
    )
    | st.integers(0, 2)
    | st.none()
)
HOSTILE = st.dictionaries(
    KEYS,
    st.recursive(
        SCALARS
        | st.floats()
        | st.integers()
        | st.sampled_from(["\ud800", "\0", "1e-7", ": 1e-7", "[2e-9", "\x7f", "x" * 9000]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.tuples(inner, inner)
            | st.dictionaries(KEYS, inner, max_size=4)
        ),
        max_leaves=8,
    ),
    max_size=6,
)


def made(data: dict[Any, Any], **fields: Any) -> Row:
    return RowMaker().make_from(record(data=data, **fields))


def unmarked(data: str) -> str:
    """The same text, of which nobody says what form it has."""
    assert type(data) is Canonical
    return str(data)


# -- what is written ------------------------------------------------------------


@given(HOSTILE)
def test_a_row_has_its_data_as_they_are_sealed(data: dict[Any, Any]) -> None:
    rows = RowMaker(Redactor())
    fields = {"verb": "a.b", "object": "c:1", "actor_id": "ana", "ip": data, "tenant_id": 4.5}

    row = rows.make(fields, data)

    assert canonical(unmarked(row.data)) == row.data


@given(HOSTILE, HOSTILE)
def test_what_enriches_a_row_takes_its_place(data: dict[Any, Any], added: dict[Any, Any]) -> None:
    rows = RowMaker()

    row = rows.enriched(made(data), added)

    assert canonical(unmarked(row.data)) == row.data


@given(DATA)
def test_an_object_is_written_as_its_text_is_brought_into_order(data: dict[str, Any]) -> None:
    text = made(data).data
    shuffled = json.dumps(json.loads(text), ensure_ascii=True, indent=2, sort_keys=True)

    assert canonical_of(json.loads(text)) == text == canonical(shuffled)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", [lambda x: {"a": x}, lambda x: {"a": [{"b": x}], "c": 1e-7}])
def test_what_is_no_number_is_refused(number: float, where: Any) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_of(where(number))


@pytest.mark.parametrize(
    ("number", "text"),
    [(1e-7, "0.0000001"), (-2.5e-10, "-0.00000000025"), (0.0001, "0.0001"), (9e15, None)],
)
def test_a_number_has_no_exponent(number: float, text: str | None) -> None:
    text = text or "9000000000000000.0"

    assert text == number_text(number)
    assert f'{{"a": {text}}}' == canonical_of({"a": number})


def test_a_text_that_looks_like_a_number_stays_as_it_is() -> None:
    data = {"a": "x: 1e-7", "b": ["[2e-9", 1e-7]}

    assert '{"a": "x: 1e-7", "b": ["[2e-9", 0.0000001]}' == canonical_of(data)


def test_a_text_that_is_said_to_have_the_form_is_not_read() -> None:
    marked = Canonical("no JSON")

    assert canonical(marked) is marked


def test_only_who_wrote_it_says_that_a_text_has_the_form() -> None:
    assert type(canonical('{"a": 1}')) is str
    assert type(made({})._replace(data="{}").data) is str


# -- what is brought into it ----------------------------------------------------


@given(DATA)
def test_canonical_text_says_the_same_and_stays_as_it_is(data: dict[str, Any]) -> None:
    row = made(data)
    found = canonical(unmarked(row.data))

    assert json.loads(row.data) == json.loads(found)
    assert found == canonical(found)


@given(DATA, st.randoms())
def test_the_order_of_keys_does_not_matter(data: dict[str, Any], chance: Any) -> None:
    items = list(json.loads(made(data).data).items())
    chance.shuffle(items)
    shuffled = json.dumps(dict(items), ensure_ascii=False)

    assert made(data).data == canonical(shuffled)


FLAT = st.dictionaries(
    st.text('ab"\\{}[]:, é', max_size=4),
    st.text('ab"\\{}[]:, é-e0.', max_size=8) | st.integers() | st.booleans() | st.none() | FLOATS,
    max_size=6,
)


@given(FLAT)
def test_blanks_and_escapes_do_not_matter(data: dict[str, Any]) -> None:
    text_ = made(data).data
    value = json.loads(text_)
    ordered = dict(sorted(value.items(), key=lambda item: (len(item[0].encode()), item[0])))
    spaced = json.dumps(value, ensure_ascii=False, indent=1)
    escaped = json.dumps(value, ensure_ascii=True)

    assert list(ordered) == list(json.loads(text_))
    assert canonical(spaced) == text_ == canonical(escaped)


NUMBERS = st.dictionaries(
    st.text("ab", max_size=3),
    st.recursive(
        FLOATS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner),
        max_leaves=5,
    ),
)


@given(NUMBERS)
def test_no_number_has_an_exponent_however_deep_it_lies(data: dict[str, Any]) -> None:
    numbers: list[str] = []
    json.loads(made(data).data, parse_float=numbers.append)

    assert not [number for number in numbers if "e" in number]


@pytest.mark.parametrize(
    "data",
    ['{"a":1}"b":2}', '{"a":1,', '"a":1,"b":2}', '{"a":1,}', '{"a":01}', '{"a":+1}', '["a":1}'],
)
def test_what_is_no_json_has_no_canonical_form(data: str) -> None:
    with pytest.raises(ValueError, match="line 1"):
        canonical(data)


@pytest.mark.parametrize("data", ['{"a":1,"a":1}', '{"é":1,"\\u00e9":2}', '{"b":{"a":1,"a":2}}'])
def test_a_key_that_stands_twice_is_refused(data: str) -> None:
    with pytest.raises(ValueError, match="twice"):
        canonical(data)
