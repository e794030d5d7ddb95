"""
JSON text is what the documented encoder would write.
"""

from __future__ import annotations

import json

from json import encoder
from types import SimpleNamespace
from typing import Any

import pytest

from hypothesis import given
from hypothesis import strategies as st

from structlog_activity.record import jsontext


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)  # fmt: skip


@given(VALUES)
def test_text_is_compact_json_without_escapes_that_need_not_be(value: object) -> None:
    expected = json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    assert expected == jsontext.json_encoder()(value)


def test_a_large_value_is_written_whole() -> None:
    value = [{"n": n} for n in range(50_000)]

    assert value == json.loads(jsontext.json_encoder()(value))


@pytest.mark.skipif(not vars(encoder).get("c_make_encoder"), reason="needs the C encoder")
def test_one_encoder_serves_all_values(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []

    def make_encoder(*arguments: object) -> object:
        made.append(make(*arguments))
        return made[-1]

    make: Any = vars(encoder)["c_make_encoder"]
    monkeypatch.setattr(encoder, "c_make_encoder", make_encoder)
    encode = jsontext.json_encoder()
    before = len(made)

    assert ["[0]", "[1]"] == [encode([number]) for number in range(2)]
    assert len(made) == before


PYTHONS: dict[str, dict[str, Any]] = {
    "this one": vars(encoder),
    "one without the C encoder": {},
    "one whose encoder takes other arguments": {"c_make_encoder": lambda one: lambda *_: ("{}",)},
    "one whose encoder writes something else": {"c_make_encoder": lambda *_: lambda *_: ("{}",)},
}


@pytest.mark.parametrize("python", PYTHONS)
def test_every_python_writes_the_same(python: str, monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"encode_basestring": encoder.encode_basestring, **PYTHONS[python]}
    monkeypatch.setattr(jsontext, "encoder", SimpleNamespace(**there))
    encode = jsontext.json_encoder()

    assert encode({"ä": [1, None, True]}) == '{"ä":[1,null,true]}'
    for number in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="JSON"):
            encode([number])
    with pytest.raises(TypeError, match=r"^object is not plain|type object is not JSON"):
        encode([object()])
