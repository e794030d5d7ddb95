"""
Text is made storable, short and printable without running anybody's code.
"""

from __future__ import annotations

import pytest

from structlog_activity.record.text import REPLACEMENT, has_control, shortened, storable, type_name
from tests.record.hostile import foreign, lying_instance


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ("plain", "plain"),
        ("", ""),
        (f"a{REPLACEMENT}b", "a\0b"),
        (f"ä{REPLACEMENT}b", "ä\0b"),
        (f"{REPLACEMENT}x", "\ud800x"),
        (f"x{REPLACEMENT}", "x\udfff"),
        ("\r\n\t\x1b[31m${jndi:x}%s\u202e", "\r\n\t\x1b[31m${jndi:x}%s\u202e"),
        ("😀", "😀"),
    ],
    ids=[
        "ascii",
        "empty",
        "NUL",
        "NUL beside others",
        "high surrogate",
        "low surrogate",
        "control and format characters stay",
        "astral characters stay",
    ],
)
def test_only_what_can_not_be_stored_is_replaced(expected: str, text: str) -> None:
    actual = storable(text)

    assert expected == actual


def test_text_within_the_limit_stays() -> None:
    assert shortened("a" * 20, 20) == "a" * 20


def test_long_text_keeps_its_beginning_and_a_digest() -> None:
    actual = shortened("a" * 21, 20)

    assert len(actual) == 20
    assert actual[:4] == "aaa~"
    assert set(actual[4:]) <= set("0123456789abcdef")


def test_long_texts_with_one_beginning_stay_different() -> None:
    assert shortened("a" * 500 + "x", 200) != shortened("a" * 500 + "y", 200)


def test_shortening_is_the_same_every_time() -> None:
    assert shortened("b" * 500, 200) == shortened("b" * 500, 200)


def test_surrogates_can_be_shortened() -> None:
    assert len(shortened("\ud800" * 500, 200)) == 200


@pytest.mark.parametrize(
    "character",
    ["\0", "\n", "\x1f", "\x7f", "\x80", "\x9f"],
    ids=["NUL", "new line", "last of C0", "DEL", "first of C1", "last of C1"],
)
def test_control_characters_are_found_anywhere(character: str) -> None:
    assert has_control(f"a{character}b")


@pytest.mark.parametrize(
    "text", ["", "a b", "é\u00a0", "\u2028"], ids=["none", "blank", "hard", "line"]
)
def test_other_characters_are_no_control_characters(text: str) -> None:
    assert not has_control(text)


class Thing:
    class Part:
        pass


@pytest.mark.parametrize(
    ("expected", "value"),
    [("int", 1), (f"{__name__}.Thing", Thing()), (f"{__name__}.Thing.Part", Thing.Part())],
    ids=["builtin", "class", "nested class"],
)
def test_a_type_is_named_with_its_module(expected: str, value: object) -> None:
    assert expected == type_name(value)


def test_a_metaclass_is_not_asked_for_the_name() -> None:
    assert type_name(lying_instance()) == "their.code.Lying"


def test_a_module_that_is_no_text_is_left_out() -> None:
    kind = type("Odd", (), {"__module__": property(foreign)})

    assert type_name(kind()) == "Odd"


def test_a_class_without_module_has_a_name() -> None:
    space: dict[str, object] = {"type": type, "__builtins__": {}}
    exec("kind = type('Homeless', (), {})", space)

    assert type_name(space["kind"]()) == "Homeless"  # type: ignore[operator]


def test_the_name_of_a_type_is_short_and_storable() -> None:
    kind = type("Kind", (), {"__module__": "m\0\ud800", "__qualname__": "Q" * 100_000})

    actual = type_name(kind())

    assert len(actual) == 200
    assert f"m{REPLACEMENT * 2}.QQ" == actual[:6]
