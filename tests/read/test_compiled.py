"""A statement is compiled once, and a call brings its values to it and to its rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest

from sqlalchemy import Dialect, Integer, bindparam, select
from sqlalchemy.types import Boolean

from structlog_activity.read import compiled
from structlog_activity.read.compiled import Compiled, compile_once
from structlog_activity.read.statements import literal
from structlog_activity.record.times import to_microseconds
from structlog_activity.store.engine import make_engine, parse_url
from structlog_activity.store.table import user_activity, user_activity_batch
from tests.support.records import NOON


C = user_activity.c
WHO = UUID(int=7)
EAST = timezone(timedelta(hours=9))


@pytest.fixture(params=["sqlite://", "postgresql://app@127.0.0.1/app"])
def dialect(request: pytest.FixtureRequest) -> Dialect:
    return make_engine(parse_url(request.param)).dialect


@pytest.fixture
def sqlite() -> Dialect:
    return make_engine(parse_url("sqlite://")).dialect


@pytest.fixture
def postgresql() -> Dialect:
    return make_engine(parse_url("postgresql://app@127.0.0.1/app")).dialect


def made(statement: Any, dialect: Dialect) -> Compiled:
    found = compile_once(statement, dialect)
    assert found is not None
    return found


def of_verb_since() -> Any:
    since: Any = bindparam("since")
    found = select(C.verb).where(C.created_at >= since, C.verb == bindparam("verb"))
    return found.where(C.created_at < since).limit(literal("most", Integer))


def test_sqlite_takes_text_and_values_by_their_places(sqlite: Dialect) -> None:
    values = {"verb": "a.b", "since": NOON, "most": 5, "unused": object()}

    text = made(of_verb_since(), sqlite).text(values)

    assert isinstance(text.sql, str)
    assert "LIMIT 5 OFFSET ?" in text.sql
    moment = to_microseconds(NOON)
    assert text.bound(values) == [moment, "a.b", moment, 0]


def test_psycopg_takes_bytes_and_values_by_their_names(postgresql: Dialect) -> None:
    values = {"verb": "a.b", "since": NOON, "most": 5, "unused": object()}

    text = made(of_verb_since(), postgresql).text(values)

    assert isinstance(text.sql, bytes)
    assert b"LIMIT 5" in text.sql
    assert text.bound(values) == {"verb": "a.b", "since": NOON}
    assert text.bound(values | {"verb": "c.d"}) == {"verb": "c.d", "since": NOON}


def test_values_that_stand_in_the_text_have_a_text_each(postgresql: Dialect) -> None:
    found = made(of_verb_since(), postgresql)
    values = {"verb": "a.b", "since": NOON}

    five, six = (found.text(values | {"most": most}) for most in (5, 6))

    assert [b"LIMIT 5" in five.sql, b"LIMIT 6" in six.sql] == [True, True]
    assert found.text({"verb": "c.d", "since": NOON, "most": 5}) is five


def test_no_more_texts_are_kept_than_shall_be(
    postgresql: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "_MOST_TEXTS", 3)
    found = made(of_verb_since(), postgresql)
    kept = []
    for most in range(8):
        found.text({"verb": "a.b", "since": NOON, "most": most})
        kept.append(len(found._texts))

    assert kept == [1, 2, 3, 1, 2, 3, 1, 2]


def test_what_a_call_gave_is_kept_for_no_other(dialect: Dialect) -> None:
    values = {"verb": "a.b", "since": NOON, "most": 5}

    text = made(of_verb_since(), dialect).text(values)
    without = text.bound({"since": NOON, "most": 5})

    assert "a.b" not in (without if isinstance(without, list) else without.values())
    assert "a.b" not in repr(text)


def test_a_value_of_the_statement_s_own_is_bound_as_calls_values_are(dialect: Dialect) -> None:
    statement = select(C.verb).where(C.id == WHO, C.verb == "a.b", C.channel == bindparam("in"))

    text = made(statement, dialect).text({"in": "x"})
    bound = text.bound({"in": "y"})

    if isinstance(bound, list):
        assert bound == [WHO.bytes, "a.b", "y"]
    else:
        assert {str(value) for value in bound.values()} == {str(WHO), "a.b", "y"}


def test_a_statement_with_a_list_is_not_compiled(dialect: Dialect) -> None:
    listed = select(C.verb).where(C.channel == "x", C.verb.in_(bindparam("verbs")))

    assert compile_once(listed, dialect) is None
    assert compile_once(select(C.verb), dialect) is not None


def test_rows_become_what_reads_know(sqlite: Dialect) -> None:
    found = made(select(C.id, C.verb, C.created_at, C.data), sqlite)

    rows = [(WHO.bytes, "a.b", to_microseconds(NOON), '{"a": [1]}')]

    assert found.processed(rows) == [(WHO, "a.b", NOON, {"a": [1]})]
    assert found.processed([]) == []


def test_rows_without_anything_to_do_are_left_as_they_are(dialect: Dialect) -> None:
    rows = [["a.b", "x"], ["c.d", "y"]]

    assert made(select(C.verb, C.channel), dialect).processed(rows) is rows


def test_moments_in_utc_are_left_as_they_are_and_others_brought_there(
    postgresql: Dialect,
) -> None:
    found = made(select(C.verb, C.created_at), postgresql)
    for rows in ([("a.b", NOON)], [("a.b", NOON), ("c.d", NOON)]):
        assert found.processed(rows) is rows

    there = [("a.b", NOON.astimezone(EAST)), ("c.d", NOON.astimezone(EAST))]
    moments: list[datetime] = [row[1] for row in found.processed(there)]

    assert moments == [NOON, NOON]
    assert {moment.tzinfo for moment in moments} == {UTC}


def test_moments_beside_others_that_are_to_be_read_are_brought_to_utc(
    postgresql: Dialect,
) -> None:
    """Of two moments either may be unset; and what lies beside one has to be read too."""
    lines = user_activity_batch.c
    two = made(select(lines.first_at, lines.last_at), postgresql)
    mixed = made(select(C.created_at, (C.batch_ix > 0).cast(Answer)), postgresql)

    assert two.processed([(NOON, NOON.astimezone(EAST))])[0][1].tzinfo is UTC
    assert mixed.processed([(NOON, 1)]) == [(NOON, "yes")]


class Answer(Boolean):
    """A type that reads what the driver gives in a way of its own."""

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        return lambda value: "yes" if value else "no"
