"""The query language: what it means, what it refuses, and that no mistake widens a result."""

from __future__ import annotations

import itertools

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hypothesis import given
from hypothesis import strategies as st

from structlog_activity import (
    NIL,
    ActivityFilter,
    ActivityRecord,
    InvalidFilterError,
    build_record_from_uuid,
)
from structlog_activity.read.query import parse_moment, parse_query
from structlog_activity.read.words import LONGEST_QUERY, Word, query_of, words_of
from structlog_activity.testing import matches


NOW = datetime(2026, 3, 14, 12, tzinfo=UTC)


def parsed(text: str) -> dict[str, Any]:
    return parse_query(text, now=NOW)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        (" \t\n ", {}),
        ("verb:settings.updated", {"verbs": ("settings.updated",)}),
        ("verb:settings.* verb:user.created", {"verbs": ("settings.*", "user.created")}),
        ("actor:42", {"actor_id": "42"}),
        ("actor:42 actor:42", {"actor_id": "42"}),
        ("user:bob involving:ann", {"user_id": "bob", "involving": "ann"}),
        ("org:north", {"org_id": "north"}),
        ("object:settings", {"object_type": "settings"}),
        ("object:file:a:b", {"object_type": "file", "object_id": "a:b"}),
        ("object:file object:file:1", {"object_type": "file", "object_id": "1"}),
        ('object:"file:two words"', {"object_type": "file", "object_id": "two words"}),
        ("channel:a channel:b -channel:c -channel:d",
         {"channels": ("a", "b"), "channel_denylist": ("c", "d")}),
        ("since:7d", {"since": NOW - timedelta(days=7)}),
        ("until:24h", {"until": NOW - timedelta(days=1)}),
        ("since:2026-01-01", {"since": "2026-01-01"}),
        ("since:2026-01-01T10:00:00Z", {"since": "2026-01-01T10:00:00Z"}),
        ("theme", {"keyword": "theme"}),
        ('"free words"', {"keyword": "free words"}),
        ("free verb:a words", {"keyword": "free words", "verbs": ("a",)}),
        ('"verb:x" "two words"', {"keyword": "verb:x two words"}),
        ("outcome:failed request:12 correlation:true",
         {"data": {"outcome": "failed", "request_id": "12", "correlation_id": "true"}}),
        ('"verb:settled"', {"keyword": "verb:settled"}),
        ('"-dark"', {"keyword": "-dark"}),
        (r'"a \"b\" \\ \n"', {"keyword": r'a "b" \ \n'}),
        ("data.to:dark", {"data": {"to": "dark"}}),
        ("data.http.method:GET data.n:1", {"data": {"http.method": "GET", "n": 1}}),
        ('data."my key":x', {"data": {"my key": "x"}}),
        ("data.x:true data.y:null data.z:-1.5e3", {"data": {"x": True, "y": None, "z": -1500.0}}),
        ('data.x:"true" data.y:"12"', {"data": {"x": "true", "y": "12"}}),
        ("data.x:True data.y:007 data.z:NaN", {"data": {"x": "True", "y": "007", "z": "NaN"}}),
        ('data.x: data.y:""', {"data": {"x": "", "y": ""}}),
        ("data.url:http://a/b", {"data": {"url": "http://a/b"}}),
        # What says how long ago it was says so of moments only.
        ("verb:7d channel:24h object:1m", {"verbs": ("7d",), "channels": ("24h",),
                                           "object_type": "1m"}),
        (f"data.n:{'9' * 5000}", {"data": {"n": "9" * 5000}}),
    ],
)  # fmt: skip
def test_a_query_means(text: str, expected: dict[str, Any]) -> None:
    assert expected == parsed(text)


def test_the_types_of_literals_are_those_of_json() -> None:
    values = parsed("data.a:1 data.b:1.0 data.c:true")["data"].values()
    assert [int, float, bool] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("text", "word", "hint"),
    [
        ("verb:a.b actr:42", "actr:42", "did you mean actor:"),
        ("vreb:a.b", "vreb:a.b", "did you mean verb:"),
        ("actor_id:42", "actor_id:42", "did you mean actor:"),
        ("Verb:a.b", "Verb:a.b", "did you mean verb:"),
        ("chanel:x", "chanel:x", "did you mean channel:"),
        ("zzzzzz:x", "zzzzzz:x", "there are verb, actor, user"),
        (":x", ":x", "in quotes it is a text to look for"),
        ("http://host", "http://host", "in quotes it is a text to look for"),
        ("tenant:acme", "tenant:acme", "beside a query, never in it"),
        ("tenant_id:acme", "tenant_id:acme", "beside a query, never in it"),
        ("data:x", "data:x", "data.KEY:VALUE"),
        ("data.:x", "data.:x", "data.KEY:VALUE"),
        ("-actor:42", "-actor:42", "only a channel can be left out"),
        ("-theme", "-theme", "only a channel can be left out"),
        ("-", "-", "only a channel can be left out"),
        ("actor:", "actor:", "sets no condition"),
        ('actor:" "', 'actor:" "', "sets no condition"),
        (f"actor:{NIL}", f"actor:{NIL}", "sets no condition"),
        ("verb:", "verb:", "sets no condition"),
        ("verb:*", "verb:*", "sets no condition"),
        ("channel:", "channel:", "sets no condition"),
        ("-channel:", "-channel:", "sets no condition"),
        ('""', '""', "sets no condition"),
        ('"  "', '"  "', "sets no condition"),
        ("object:", "object:", "object:TYPE:ID is needed"),
        ("object::5", "object::5", "object:TYPE:ID is needed"),
        ("object:file:", "object:file:", "object:TYPE:ID is needed"),
        ("verb:*.updated", "verb:*.updated", "may only stand at the end"),
        ("since:yesterday", "since:yesterday", "can't be read as ISO 8601"),
        ("until:99999999w", "99999999w", "before the calendar begins"),
        (f"since:{'9' * 5000}d", "999", "before the calendar begins"),
        ("actor:1 actor:2", "actor:2", "another value already"),
        ("since:7d since:8d", "since:8d", "another value already"),
        ("object:a:1 object:a:2", "object:a:2", "another value already"),
        ("data.x:1 data.x:true", "data.x:true", "another value already"),
        ("outcome:", "outcome:", "sets no condition"),
        ("-request:r1", "-request:r1", "only a channel can be left out"),
        ("outcome:a data.outcome:b", "data.outcome:b", "another value already"),
        ('verb:a "free words', '"free words', "a quote is not closed"),
        ("data.x:1e999", "data.x:1e999", "is stored as text"),
        ("x" * 300, "xxx", "at most 200 characters"),
        ("theme\0", "theme\\x00", "are never stored"),
    ],
)
def test_a_word_that_makes_no_sense_is_named_with_what_to_do(
    text: str, word: str, hint: str
) -> None:
    with pytest.raises(InvalidFilterError) as caught:
        parsed(text)
    assert caught.value.field == "query"
    assert word in str(caught.value)
    assert hint in str(caught.value)


@pytest.mark.parametrize("text", ["99999999w", f"{'9' * 5000}d", f"{400 * 3660}d"])
def test_a_moment_before_the_calendar_is_refused_under_the_name_that_it_was_given(
    text: str,
) -> None:
    with pytest.raises(InvalidFilterError, match="is before the calendar begins") as caught:
        parse_moment("--since", text, NOW)

    assert caught.value.field == "--since"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "query=None: text is needed"),
        (5, "query=5: text is needed"),
        (b"verb:a", "query=b'verb:a': text is needed"),
        (["verb:a"], r"query=\['verb:a'\]: text is needed"),
        ("x " * LONGEST_QUERY, f"query='x x .*: at most {LONGEST_QUERY:,} characters"),
    ],
    ids=["None", "number", "bytes", "list", "long"],
)
def test_what_is_no_text_or_far_too_long_is_refused(text: Any, problem: str) -> None:
    with pytest.raises(InvalidFilterError, match=f"^{problem}"):
        parse_query(text, now=NOW)


def test_a_query_may_be_as_long_as_it_is_said() -> None:
    assert parsed("verb:a".ljust(LONGEST_QUERY)) == {"verbs": ("a",)}


def test_a_query_with_more_verbs_than_a_filter_takes_is_refused() -> None:
    with pytest.raises(InvalidFilterError, match="at most 200 values"):
        parsed(" ".join(f"verb:v.{n}" for n in range(201)))


@pytest.mark.parametrize("text", ["2026-01-01", "", "d", "7", "-7d", "7 d", "1.5h", "7D"])
def test_what_is_no_span_is_left_as_it_is(text: str) -> None:
    assert text == parse_moment("since", text, NOW)


# -- for every query -------------------------------------------------------------

ALPHABET = st.sampled_from('abvc.:*-" \\\n1é漢\0')
PIECES = st.sampled_from(
    ["verb:", "actor:", "user:", "involving:", "org:", "object:", "channel:", "-channel:", "since:",
     "until:", "data.", "tenant:", '"', "settings.*", "7d", "2026-01-01", "theme", " ", " ", ":"]
)  # fmt: skip
ANY_TEXT = st.one_of(
    st.text(), st.text(ALPHABET), st.lists(PIECES | st.text(ALPHABET, max_size=3)).map("".join)
)


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(ANY_TEXT)
def test_any_text_is_a_filter_or_a_filter_error(text: str) -> None:
    try:
        found = parsed(text)
    except InvalidFilterError:
        return
    where = ActivityFilter.of({"tenant_id": "acme", **found})
    assert (not text.strip()) == (where == ActivityFilter(tenant_id="acme"))


TEXTS = st.text(min_size=1, max_size=20).filter(
    lambda text: text.strip() and "\0" not in text and text.isprintable()
)
SCALARS = st.one_of(
    TEXTS, st.booleans(), st.none(), st.integers(-(2**53), 2**53), st.floats(-1e9, 1e9)
)


@given(
    keyword=TEXTS,
    verbs=st.lists(TEXTS.filter(lambda text: "*" not in text), min_size=1, max_size=3),
    denied=st.lists(TEXTS, min_size=1, max_size=3),
    data=st.dictionaries(TEXTS, SCALARS, min_size=1, max_size=3),
)
def test_every_value_can_be_said_in_quotes(
    keyword: str, verbs: list[str], denied: list[str], data: dict[str, Any]
) -> None:
    import json

    words = [quoted(keyword)]
    words += [f"verb:{quoted(verb)}" for verb in verbs]
    words += [f"-channel:{quoted(channel)}" for channel in denied]
    for key, value in data.items():
        text = quoted(value) if isinstance(value, str) else json.dumps(value)
        words.append(f"data.{quoted(key)}:{text}")
    expected = {
        "keyword": keyword,
        "verbs": tuple(verbs),
        "channel_denylist": tuple(denied),
        "data": data,
    }
    assert expected == parsed(" ".join(words))


def outcome(text: str) -> dict[str, Any] | None:
    try:
        return parsed(text)
    except InvalidFilterError:
        return None


@given(ANY_TEXT)
def test_words_that_are_put_together_again_say_the_same(text: str) -> None:
    try:
        words = words_of(text)
    except InvalidFilterError:
        return
    assert words == words_of(query_of(words))
    assert repr(outcome(text)) == repr(outcome(query_of(words)))


PARTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(' "\\:-.'), max_size=9)


@given(st.lists(st.builds(Word, st.none() | PARTS, PARTS, st.booleans(), st.booleans())))
def test_any_words_can_be_typed(words: list[Word]) -> None:
    assert words == words_of(query_of(words))


def made(number: int) -> ActivityRecord:
    return build_record_from_uuid(
        ("ann", "bob")[number % 2],
        ("settings.updated", "settings.reset", "user.created")[number % 3],
        ("settings", "user")[number % 5 % 2],
        str(number % 4),
        {"to": ("dark", 1, None)[number % 3]},
        channel=("a", "b", "")[number % 7 % 3],
        tenant_id="acme",
        occurred_at=NOW - timedelta(hours=number),
    )


RECORDS = [made(number) for number in range(60)]
WORDS = [
    "actor:ann", "actor:bob", "user:ann", "involving:ann", "object:settings", "object:user:1",
    "-channel:a", "-channel:b", "since:24h", "until:24h", "data.to:dark", "data.to:1",
    "data.to:null", "settings", "reset",
]  # fmt: skip
JUNK = ["", "actr:ann", "verb:", "actor:", "object:", '""', "channel:", "-settings", "since:now"]


def selected(text: str) -> set[int]:
    where = ActivityFilter.of({"tenant_id": "acme", **parsed(text)})
    return {index for index, record in enumerate(RECORDS) if matches(where, record)}


@given(st.lists(st.sampled_from(WORDS), max_size=3), st.sampled_from(WORDS))
def test_a_word_more_never_widens_a_result(words: list[str], word: str) -> None:
    before = " ".join(words)
    try:
        narrow = selected(f"{before} {word}")
        assert narrow <= selected(before)
        assert narrow <= selected(word)
    except InvalidFilterError:
        return  # Contradictions are refused.


@given(st.lists(st.sampled_from(WORDS), max_size=2), st.sampled_from(JUNK[1:]))
def test_a_word_without_sense_is_never_passed_over(words: list[str], junk: str) -> None:
    for order in ([*words, junk], [junk, *words]):
        with pytest.raises(InvalidFilterError):
            selected(" ".join(order))


def test_the_records_of_these_tests_can_be_told_apart_by_every_word() -> None:
    for word in WORDS:
        if word != "user:ann":
            assert 0 < len(selected(word)) < len(RECORDS), word


@pytest.mark.parametrize(
    ("word", "text"),
    [
        (Word(None, "plain"), "plain"),
        (Word(None, "two words"), '"two words"'),
        (Word(None, "a:b"), '"a:b"'),
        (Word(None, "-a"), '"-a"'),
        (Word(None, "a-b"), "a-b"),
        (Word(None, ""), '""'),
        (Word(None, r'say "a\b"'), r'"say \"a\\b\""'),
        (Word(None, "7", is_quoted=True), '"7"'),
        (Word(None, "a", is_negated=True), "-a"),
        (Word(None, "-a", is_negated=True), '-"-a"'),
        (Word("verb", "a.b"), "verb:a.b"),
        (Word("verb", "a.b", is_negated=True), "-verb:a.b"),
        (Word("n", "7", is_quoted=True), 'n:"7"'),
        (Word("n", "-7"), "n:-7"),
        (Word("since", "2026-03-14T12:00"), "since:2026-03-14T12:00"),
        (Word("verb", ""), 'verb:""'),
        (Word("a:b", "c"), '"a:b":c'),
        (Word("-a", "c"), '"-a":c'),
        (Word("a-b", "c"), "a-b:c"),
        (Word("two words", "c"), '"two words":c'),
    ],
    ids=itertools.count(),
)
def test_a_word_is_written_with_no_more_quotes_than_it_needs(word: Word, text: str) -> None:
    assert text == str(word)
    (read,) = words_of(text)
    assert word == read
    assert (text, text) == (read.typed, str(read))


def test_a_word_that_is_refused_is_told_as_it_was_typed() -> None:
    (typed,) = words_of(' "ve"rb:"a b" ')

    with pytest.raises(InvalidFilterError, match=r"""^query='"ve"rb:"a b"': is odd$"""):
        typed.refuse("is odd")
    with pytest.raises(InvalidFilterError, match=r"""^query='verb:"a b"': is odd$"""):
        Word("verb", "a b").refuse("is odd")
