"""
What a row was before it became bytes it is afterwards.
"""

from __future__ import annotations

import contextlib

import pytest

from hypothesis import example, given
from hypothesis import strategies as st

from structlog_activity.record.row import Row
from structlog_activity.write.spool.frames import KIND
from structlog_activity.write.spool.rowbytes import UnreadableRowError, decode, encode
from tests.write.doubles import row


IDS = st.binary(min_size=16, max_size=16)
TEXTS = st.text(st.characters(exclude_characters="\0", codec="utf-8"))
ROWS = st.builds(
    Row, IDS, st.integers(-(2**63), 2**63 - 1), *[IDS] * 4, *[TEXTS] * 6
)  # fmt: skip


@given(ROWS)
@example(row(1, data='{"a": "' + "é" * 70_000 + '"}'))
def test_a_row_comes_back_as_it_was(item: Row) -> None:
    assert decode(encode(item)) == item
    assert type(decode(encode(item))) is Row


@given(ROWS, st.data())
def test_a_body_that_is_cut_short_is_no_row_or_none_but_shorter(
    item: Row, data: st.DataObject
) -> None:
    body = encode(item)
    cut = data.draw(st.integers(0, len(body)))
    try:
        found = decode(body[:cut])
    except UnreadableRowError:
        return
    assert found[:11] == item[:11]
    assert item.data.startswith(found.data)


@given(st.binary())
def test_any_bytes_are_a_row_or_refused(body: bytes) -> None:
    with contextlib.suppress(UnreadableRowError):
        assert encode(decode(body)) == body


def test_a_body_of_another_kind_is_refused() -> None:
    body = encode(row(1))
    assert body[:1] == KIND
    with pytest.raises(UnreadableRowError, match="this version"):
        decode(b"\x02" + body[1:])


def test_text_that_breaks_its_promise_is_refused_and_never_read_as_another_row() -> None:
    with pytest.raises(UnreadableRowError, match="7 texts"):
        decode(encode(row(1)._replace(verb="a\0b")))
