"""What reads take beside a filter is checked, and a bad value is told by its name."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from hypothesis import example, given
from hypothesis import strategies as st

from structlog_activity import NIL, InvalidFilterError, to_uuid
from structlog_activity.read.arguments import (
    DEFAULT_TOP,
    TOP_FIELDS,
    moment_of,
    record_id,
    top_columns,
    top_limit,
)
from structlog_activity.read.filter import MAX_LIMIT
from structlog_activity.record.ids import uuid7
from structlog_activity.record.times import EPOCH


END = 253_402_300_799_000  # The last second of the year 9999, in milliseconds.


@example(END * 1_000_000 - 1)
@given(st.integers(0, END * 1_000_000 - 1))
def test_an_id_tells_the_millisecond_that_it_was_made_in(ns: int) -> None:
    assert moment_of(uuid7(ns)) == EPOCH + timedelta(milliseconds=ns // 1_000_000)


@pytest.mark.parametrize("id_", [uuid4(), to_uuid("a name"), NIL, uuid7(END * 1_000_000)])
def test_other_ids_tell_no_moment(id_: UUID) -> None:
    assert moment_of(id_) is None


@pytest.mark.parametrize("by", TOP_FIELDS)
def test_keys_are_counted_by_a_field_or_by_the_two_of_an_object(by: str) -> None:
    assert top_columns(by) == (("object_type", "object_id") if by == "object" else (by,))


@pytest.mark.parametrize(("limit", "asked"), [(1, 1), (MAX_LIMIT, 10**9), (DEFAULT_TOP, 0)])
def test_a_number_of_keys_is_brought_within_its_bounds(limit: int, asked: int) -> None:
    assert top_limit(asked) == limit
    assert top_limit(-1) == DEFAULT_TOP


@pytest.mark.parametrize(
    ("problem", "check", "value"),
    [
        ("by=.*use one of actor_id, user_id", top_columns, "data"),
        ("by=.*use one of", top_columns, None),
        ("limit=.*: a whole number is needed$", top_limit, True),
        ("limit=.*: a whole number is needed$", top_limit, 1.0),
        ("id=.*a UUID, text or an int is needed", record_id, [1]),
        ("id=.*: is needed; no record has the nil id$", record_id, NIL),
        ("id=.*: is needed; no record has the nil id$", record_id, ""),
    ],
)
def test_a_bad_value_is_refused_by_its_name(problem: str, check: Any, value: object) -> None:
    with pytest.raises(InvalidFilterError, match=f"^{problem}") as info:
        check(value)

    assert info.value.value is value
