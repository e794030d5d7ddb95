"""
Where a log is told so, its log lines have no secrets either.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from structlog_activity import ActivityLog, Redactor, unsafe
from structlog_activity.capture.event_redactor import EventRedactor
from tests.record.hostile import HOSTILE
from tests.record.test_secrets import AWS


def cleaned(event: dict[Any, Any], redactor: Redactor | None = None) -> dict[Any, Any]:
    EventRedactor(redactor or Redactor()).redact(event)
    return event


@pytest.fixture
def event() -> dict[str, Any]:
    return {"verb": "a.b", "object": "c:1", "event": f"key {AWS}", "password": "x", "n": 4}


def test_the_event_is_passed_on_without_secrets(event: dict[str, Any], tmp_path: Path) -> None:
    with ActivityLog(f"sqlite:///{tmp_path}/a.db", redact_event=True) as activity:
        activity.processor(None, "info", event)

    event.pop("activity_id")
    assert event == {
        "verb": "a.b", "object": "c:1", "event": "key [redacted]", "password": "[redacted]", "n": 4,
    }  # fmt: skip


def test_the_event_is_passed_on_as_it_is_unless_told_otherwise(
    event: dict[str, Any], tmp_path: Path
) -> None:
    with ActivityLog(f"sqlite:///{tmp_path}/a.db") as activity:
        activity.processor(None, "info", event)

    assert (event["event"], event["password"]) == (f"key {AWS}", "x")


def test_a_call_without_a_verb_is_not_looked_at(tmp_path: Path) -> None:
    event = {"password": "x"}
    with ActivityLog(f"sqlite:///{tmp_path}/a.db", redact_event=True) as activity:
        activity.processor(None, "info", event)

    assert event == {"password": "x"}


def test_only_what_holds_a_secret_is_replaced() -> None:
    moment, inner = datetime(2026, 1, 2, tzinfo=UTC), {"at": datetime(2026, 1, 2, tzinfo=UTC)}

    actual = cleaned({"at": moment, "in": inner, "exc_info": ValueError(AWS), 5: "five"})

    assert actual["at"] is moment
    assert actual["in"] is inner
    assert isinstance(actual["exc_info"], ValueError)
    assert actual[5] == "five"


def test_secrets_are_found_at_any_depth() -> None:
    actual = cleaned({"in": {"list": [{"pin": 1, "n": 2}]}, "error": ValueError(AWS)})

    assert actual["in"] == {"list": [{"pin": "[redacted]", "n": 2}]}
    assert actual["error"] == {"type": "ValueError", "message": "[redacted]"}


def test_what_may_be_stored_with_a_verb_is_no_matter_of_the_log_line() -> None:
    redactor = Redactor(allow={"a.b": ["in"]})
    event = {"verb": "a.b", "in": {"n": 1}, "more": [2], "text": "three", 4: "four"}

    assert cleaned({**event, "pin": 5}, redactor) == {**event, "pin": "[redacted]"}


def test_dropped_values_leave_the_event_and_marked_ones_are_unwrapped() -> None:
    redactor = Redactor(mode="drop")

    assert cleaned({"pin": 1, "token": unsafe("x"), "n": 2}, redactor) == {"token": "x", "n": 2}


@pytest.mark.parametrize("name", list(HOSTILE))
def test_no_value_breaks_it(name: str) -> None:
    event = {"value": HOSTILE[name](), "pin": 1}

    assert cleaned(event)["pin"] == "[redacted]"


@pytest.mark.parametrize("setting", [None, "", 0, "no"])
def test_nothing_but_the_word_false_switches_redaction_off(setting: Any) -> None:
    with pytest.raises(ValueError, match="redact="):
        ActivityLog("sqlite://", redact=setting)


def test_a_redaction_function_that_fails_is_told_by_counters_and_health(tmp_path: Path) -> None:
    def fail(key: str, value: Any) -> Any:
        raise ValueError(value)

    redactor = Redactor(keys={"email": fail})
    with ActivityLog(f"sqlite:///{tmp_path}/a.db", redact=redactor) as activity:
        assert activity.health().ok
        record = activity.record("a.b", "c:1", email="bob@example.org")

        assert record.data == {"email": "[redaction failed]"}
        assert activity.counters()["redaction_failed"] == 1
        assert "1 values were lost to a redaction function" in activity.health().reasons[0]
