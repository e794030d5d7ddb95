"""
Lines of logs become rows, the same row of the same line every time.
"""

from __future__ import annotations

import io
import json

from typing import Any

import pytest

from structlog_activity import NIL, ActivityKeys, ActivityRecord, InvalidRecordError, to_uuid
from structlog_activity.capture.jsonlines import MAX_LINE, LineReader, numbered_lines
from structlog_activity.record.ids import derived_uuid7
from structlog_activity.record.rowmaker import RowMaker
from structlog_activity.record.traces import TRACES


NOON = 1_773_489_600  # 2026-03-14T12:00:00Z
LINE = {
    "event": "theme changed",
    "level": "info",
    "verb": "settings.updated",
    "object": "settings:global",
    "actor_id": "ann",
    "tenant_id": "acme",
    "path": "ui.theme",
    "timestamp": "2026-03-14T12:00:00Z",
}


def reader(**options: Any) -> LineReader:
    return LineReader(RowMaker(clock=lambda: NOON * 10**9), **options)


def read(line: bytes | dict[str, Any], **options: Any) -> ActivityRecord | None:
    content = line if isinstance(line, bytes) else json.dumps(line).encode()
    row = reader(**options).read(content)
    return None if row is None else row.to_record()


def must_read(line: bytes | dict[str, Any], **options: Any) -> ActivityRecord:
    record = read(line, **options)
    assert record is not None
    return record


def numbered(content: bytes) -> list[tuple[int, bytes | None]]:
    return list(numbered_lines(io.BytesIO(content)))


def test_lines_are_numbered_as_an_editor_does_and_blank_ones_are_left_out() -> None:
    assert [(1, b"a"), (3, b"b"), (6, b"c")] == numbered(b"a\n\nb\r\n \t\n\r\n  c  ")


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    assert [(1, b"a"), (2, b"b")] == numbered(b"\xef\xbb\xbfa\nb")
    assert [] == numbered(b"\xef\xbb\xbf\n")


@pytest.mark.parametrize("ending", [b"", b"\n", b"\nnext"])
@pytest.mark.parametrize("extra", [1, 2, 10, MAX_LINE, MAX_LINE + 1, 3 * MAX_LINE])
def test_a_line_that_is_too_long_is_none_and_the_next_one_is_whole(
    extra: int, ending: bytes
) -> None:
    found = numbered(b"x" * (MAX_LINE + extra) + ending)
    assert [(1, None), (2, b"next")][: 1 + ending.count(b"next")] == found


def test_a_line_of_just_the_limit_is_read() -> None:
    longest = b"x" * MAX_LINE
    assert [(1, longest), (2, b"y")] == numbered(longest + b"\ny")
    assert [(1, longest)] == numbered(longest)


def test_a_log_line_becomes_the_record_that_its_call_would_have_made() -> None:
    record = must_read(LINE)
    assert ("settings.updated", "settings", "global") == (
        record.verb, record.object_type, record.object_id
    )  # fmt: skip
    assert (to_uuid("ann"), to_uuid("acme")) == (record.actor_id, record.tenant_id)
    assert {
        "event": "theme changed",
        "path": "ui.theme",
        "_raw": {"actor_id": "ann", "tenant_id": "acme"},
    } == record.data


def test_a_line_whose_record_was_not_kept_brings_it_back() -> None:
    """It was dropped when too many waited; the log line is what is left of it."""
    record = read({**LINE, "activity_error": "not kept: the log is closed, or too many wait"})

    assert record is not None
    assert "activity_error" not in record.data


@pytest.mark.parametrize(
    "line",
    [
        {"event": "no verb", "timestamp": "2026-03-14T12:00:00Z"},
        {},
    ],
)
def test_a_line_that_is_no_activity_is_none(line: dict[str, Any]) -> None:
    assert None is read(line)


def test_the_id_is_made_of_the_time_and_the_text_of_the_line() -> None:
    text = json.dumps(LINE).encode()
    assert derived_uuid7(NOON * 10**9, text) == must_read(text).id == must_read(text).id
    assert must_read(text).id != must_read(text + b" ").id


def test_two_lines_that_differ_have_two_ids() -> None:
    ids = {must_read({**LINE, "nr": nr}).id for nr in range(1_000)}
    assert 1_000 == len(ids)


@pytest.mark.parametrize("given", ["", None, str(NIL), 7])
def test_an_activity_id_that_says_nothing_is_as_none(given: object) -> None:
    text = json.dumps({**LINE, "activity_id": given}).encode()
    assert derived_uuid7(NOON * 10**9, text) == must_read(text).id


def test_the_activity_id_of_the_line_is_kept() -> None:
    own = "01a2b3c4-d5e6-7f00-8123-456789abcdef"
    assert own == str(must_read({**LINE, "activity_id": own}).id)


def test_an_object_may_be_a_pair() -> None:
    record = must_read({**LINE, "object": ["export.job", 7]})
    assert ("export.job", "7") == (record.object_type, record.object_id)


def test_keys_and_defaults_are_those_of_the_log() -> None:
    keys = ActivityKeys(verb=("action",), tenant_id=("customer",))
    line = {"action": "a.b", "object": "x", "customer": "acme", "timestamp": NOON}
    record = must_read(line, keys=keys, defaults={"channel": "billing"})
    assert ("a.b", to_uuid("acme"), "billing") == (record.verb, record.tenant_id, record.channel)
    assert None is read(LINE, keys=keys)


@pytest.mark.parametrize(
    ("line", "field"),
    [
        (b"", "line"),
        (b"not json", "line"),
        (b"{}{}", "line"),
        (b"null", "line"),
        (b"[]", "line"),
        (b'{"verb": "\xff"}', "line"),
        (b"[" * 200_000, "line"),
        (b'{"n": ' + b"9" * 5_000 + b"}", "line"),
        ({**LINE, "timestamp": None}, "occurred_at"),
        ({**LINE, "timestamp": "noon"}, "occurred_at"),
        ({**LINE, "timestamp": [2026]}, "occurred_at"),
        ({**LINE, "timestamp": 1e300}, "occurred_at"),
        ({**LINE, "timestamp": -1}, "occurred_at"),
        ({**LINE, "timestamp": NOON + 86_401}, "occurred_at"),
        ({**LINE, "occurred_at": "1969-12-31"}, "occurred_at"),
        ({**LINE, "object": None}, "object_type"),
        ({**LINE, "verb": None}, "verb"),
        ({**LINE, "verb": " "}, "verb"),
    ],
    ids=lambda value: str(value)[-40:],
)
def test_what_makes_no_record_is_refused_and_the_field_named(
    line: bytes | dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRecordError) as caught:
        read(line)
    assert field == caught.value.field


@pytest.mark.parametrize("verb", TRACES)
def test_what_a_check_of_the_seals_believes_is_no_line_s_to_say(verb: str) -> None:
    """Neither of a log line, whose call was refused, nor of a record that somebody wrote."""
    for line in (
        {**LINE, "verb": f" {verb}", "activity_error": "verb: is for what erase and prune write"},
        must_read(LINE).to_dict() | {"verb": verb},
    ):
        with pytest.raises(InvalidRecordError, match="erase and prune"):
            read(line)


@pytest.mark.parametrize("seconds", [0, NOON, NOON + 86_400])
def test_times_from_1970_to_a_day_ahead_are_kept(seconds: int) -> None:
    record = must_read({**LINE, "timestamp": seconds})
    assert record.occurred_at is not None
    assert seconds == record.occurred_at.timestamp()
    assert "occurred_at" not in record.data["_raw"]


def test_a_time_of_the_activity_counts_more_than_that_of_the_line() -> None:
    record = must_read({**LINE, "occurred_at": NOON - 5})
    assert record.occurred_at is not None
    assert NOON - 5 == record.occurred_at.timestamp()
