"""
Secrets are known by the names of their keys, in every spelling.
"""

from __future__ import annotations

import re

import pytest

from structlog_activity.record.redact import (
    DROPPED,
    REDACTED,
    STEMS,
    WORDS,
    Redactor,
    redactor_of,
    unsafe,
)
from tests.record.hostile import LIMIT, cost


@pytest.fixture
def redactor() -> Redactor:
    return Redactor()


@pytest.mark.parametrize("stem", sorted(STEMS))
def test_a_key_with_a_secret_stem_is_hidden(redactor: Redactor, stem: str) -> None:
    assert redactor.hides(stem)
    assert redactor.hides(f"user_{stem}_2")


@pytest.mark.parametrize("word", sorted(WORDS))
def test_a_key_that_is_a_secret_word_is_hidden(redactor: Redactor, word: str) -> None:
    assert redactor.hides(word)
    assert redactor.hides(word.upper())


@pytest.mark.parametrize(
    "key",
    [
        "X-Api-Key",
        "xApiKey",
        "x_api_key",
        "X.API.KEY",
        "PASSWORD",
        "ｐａｓｓｗｏｒｄ",  # noqa: RUF001
        "pass\u200bword",
        "pass word",
        " Password ",
        "db[password]",
        "ſecret",  # noqa: RUF001
        "Proxy-Authorization",
        "Set-Cookie",
        "AWS_SECRET_ACCESS_KEY",
        "PHPSESSID",
        "connect.sid",
        "user_ssn",
        "userSSN",
        "userssn",
        "ssn_last4",
        "empSsnHash",
        "S.S.N.",
    ],
)
def test_the_spelling_of_a_secret_key_does_not_matter(redactor: Redactor, key: str) -> None:
    assert redactor.hides(key)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "author",
        "compass",
        "keyboard",
        "token_count",
        "tokenizer",
        "passenger",
        "pinned",
        "opinion",
        "span",
        "panel",
        "design",
        "authentic",
        "sessions_open",
        "process_name",
        "className",
        "business-number",
        "address_number",
        "actor_id",
        "path",
        "from",
        "to",
        "email",
        "パスワード",
    ],
)
def test_an_ordinary_key_is_not_hidden(redactor: Redactor, key: str) -> None:
    assert not redactor.hides(key)


def test_the_answer_stays_the_same(redactor: Redactor) -> None:
    """The second answer comes out of a cache."""
    assert [redactor.hides("password") for _ in range(2)] == [True, True]
    assert [redactor.hides("path") for _ in range(2)] == [False, False]


def test_a_key_too_long_to_be_read_hides_its_value(redactor: Redactor) -> None:
    assert redactor.hides("a" * 257)
    assert not redactor.hides("a" * 256)


@pytest.mark.parametrize("option", [None, "", 0, 1, "yes"])
def test_an_option_that_names_no_redactor_is_refused(option: object) -> None:
    with pytest.raises(ValueError, match=re.escape(f"redact={option!r}")):
        redactor_of(option)  # type: ignore[arg-type]


def test_an_option_names_a_redactor(redactor: Redactor) -> None:
    assert redactor_of(redactor) is redactor
    assert redactor_of(False) is None
    assert isinstance(redactor_of(True), Redactor)


def test_a_marked_value_is_shown_as_it_is() -> None:
    assert (repr(unsafe("page-2")), str(unsafe("page-2"))) == ("'page-2'", "page-2")


def test_what_is_remembered_of_keys_that_were_cleaned_has_a_bound(redactor: Redactor) -> None:
    for number in range(5_000):
        redactor.cleaned_key(f"a key with the number {number}")
    assert len(redactor._names) == 4096

    another = Redactor()
    another.cleaned_key("k" * 257)
    assert not another._names


def test_a_key_too_long_to_be_read_has_no_mode_of_its_own() -> None:
    longest, too_long = "k" * 256, "k" * 257
    redactor = Redactor(keys={longest: "drop", too_long: "drop"})

    assert redactor.hides(longest)
    assert redactor.hidden(longest, 1) is DROPPED
    assert redactor.hidden(too_long, 1) == REDACTED


def test_own_stems_words_and_parts_replace_ours() -> None:
    redactor = Redactor(stems=["Sala-Ry"], words=["Grade"], parts=["iq"])

    hidden = ["base_salary_eur", "GRADE", "user_iq"]
    shown = ["grade_book", "basi_quality", "password", "pin", "ssn"]

    assert [redactor.hides(key) for key in hidden] == [True] * 3
    assert [redactor.hides(key) for key in shown] == [False] * 5


def test_the_cache_has_a_bound(redactor: Redactor) -> None:
    """Keys may come from users; a cache that grows with them is a leak."""
    for i in range(5000):
        redactor.hides(f"key{i}")

    assert len(redactor._known) == 4096
    assert redactor.hides("password")
    assert not redactor.hides("key4999")


@pytest.mark.parametrize(
    "key",
    ["\ufdfa" * 256, "a" * 10_000_000, "\u0300" * 256, "aA" * 128, "_" * 256],
    ids=["ligatures", "long", "marks", "humps", "gaps"],
)
def test_no_key_costs_much(key: str) -> None:
    assert cost(lambda: Redactor().hides(key)) < LIMIT
