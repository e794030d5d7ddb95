"""What a search means, and how links change it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from examples.dashboard.query import parse_query
from examples.dashboard.words import Word, joined, words
from structlog_activity import InvalidFilterError
from tests.dashboard.shown import NOW


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("", {}),
        ("verb:settings.*", {"verbs": ["settings.*"]}),
        ("verb:a verb:b", {"verbs": ["a", "b"]}),
        ("actor:42 user:bob org:3", {"actor_id": "42", "user_id": "bob", "org_id": "3"}),
        ("channel:a -channel:b", {"channels": ["a"], "channel_denylist": ["b"]}),
        ("object:invoice", {"object_type": "invoice"}),
        ("object:invoice:7:x", {"object_type": "invoice", "object_id": "7:x"}),
        ("outcome:failed request:r1", {"data": {"outcome": "failed", "request_id": "r1"}}),
        ("since:7d until:2h", {"since": NOW - timedelta(7), "until": NOW - timedelta(hours=2)}),
        ("since:2026-03-01", {"since": "2026-03-01"}),
        ("free words", {"keyword": "free words"}),
        ('"verb:x" "two words"', {"keyword": "verb:x two words"}),
        (r'actor:"Ana \"A\" Costa"', {"actor_id": 'Ana "A" Costa'}),
    ],
)
def test_a_search_becomes_the_arguments_of_a_filter(text: str, meant: dict[str, Any]) -> None:
    assert meant == parse_query(text, now=NOW)


@pytest.mark.parametrize(
    "text",
    ["colour:red", "-verb:x", "-word", "actor:1 actor:2", 'actor:""', "since:999999w"],
)
def test_what_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(InvalidFilterError):
        parse_query(text, now=NOW)


letters = st.characters(exclude_categories=["C", "Zl", "Zp"]) | st.sampled_from(' "\\:-.')
values = st.text(letters, min_size=1, max_size=20)


parts_ = st.tuples(st.sampled_from(["", "-"]), st.sampled_from(["verb", "object", ""]), values)


@settings(max_examples=50)
@given(st.lists(parts_, max_size=5))
def test_words_that_are_put_together_are_found_again(parts: list[tuple[str, str, str]]) -> None:
    found = [Word(sign if key else "", key, value) for sign, key, value in parts]

    assert found == words(joined(found))
