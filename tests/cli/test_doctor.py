"""The command ``doctor``: on applications that it imports, and on databases alone."""

from __future__ import annotations

import json

from pathlib import Path

import pytest

from structlog_activity import ActivityLog

from .commands import Result, run


SOUND = """
import logging, structlog, structlog_activity
logging.basicConfig(level=logging.INFO)
structlog.configure(
    processors=[structlog.contextvars.merge_contextvars, structlog.processors.JSONRenderer()],
)
def set_up():
    return structlog_activity.configure()
class Namespace:
    set_up = staticmethod(set_up)
"""
BROKEN = """
import structlog
from structlog_activity import ActivityLog
activity = ActivityLog()
structlog.configure(
    processors=[structlog.processors.JSONRenderer(), activity.processor],
    wrapper_class=structlog.make_filtering_bound_logger(30),
)
"""


@pytest.fixture
def doctor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path / 'activity.db'}"
    with ActivityLog(url) as log:
        log.migrate()

    def look(code: str, name: str = "", *options: str) -> Result:
        (tmp_path / "app_under_test.py").write_text(code)
        return run("doctor", f"app_under_test{name}", *options, STRUCTLOG_ACTIVITY_URL=url)

    return look


def test_nothing_is_wrong_with_a_sound_application(doctor) -> None:  # type: ignore[no-untyped-def]
    for name in (":set_up()", ":Namespace.set_up()"):
        result = doctor(SOUND, name)
        assert (0, "nothing is wrong\n") == (result.code, result.out), result.err


def test_an_application_that_forgot_to_set_up_is_told_what_to_call(doctor) -> None:  # type: ignore[no-untyped-def]
    result = doctor(SOUND)

    assert 1 == result.code
    assert "[processor.missing]" in result.out
    assert "activity.configure()" in result.out


def test_json_has_findings_and_notes_apart(doctor) -> None:  # type: ignore[no-untyped-def]
    result = doctor(BROKEN, "", "--json")

    found = json.loads(result.out)
    assert 1 == result.code
    assert {"processor.after_renderer", "level.filtering_bound_logger"} <= {
        finding["check"] for finding in found["findings"]
    }
    assert all({"check", "problem", "remedy"} == set(f) for f in found["findings"])
    assert ["handler.missing"] == [note["check"] for note in found["notes"]]


@pytest.mark.parametrize(
    ("code", "name", "kind"),
    [
        ("", ":missing", "AttributeError"),
        ("raise LookupError('secret')", "", "LookupError"),
        ("def f(): raise LookupError('secret')", ":f()", "LookupError"),
    ],
)
def test_an_application_that_can_not_be_loaded_is_a_usage_error(doctor, code, name, kind) -> None:  # type: ignore[no-untyped-def]
    result = doctor(code, name)

    assert (2, "") == (result.code, result.out)
    assert kind in result.err
    assert "secret" not in result.err


def test_without_an_application_the_database_alone_is_looked_at(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'no' / 'activity.db'}"

    result = run("--url", url, "doctor")

    assert 1 == result.code
    assert "[database.unreachable]" in result.out
    assert "only the database" in result.err


def test_an_output_that_takes_no_utf8_gets_escapes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / '漢字' / 'activity.db'}"

    result = run("--url", url, "doctor", PYTHONIOENCODING="ascii:strict")

    assert 1 == result.code
    assert "\\u6f22\\u5b57" in result.out


def test_a_url_comes_before_the_logs_of_the_application(doctor, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    result = doctor(SOUND, ":set_up()", "--url", f"sqlite:///{tmp_path / 'no' / 'a.db'}")

    assert 1 == result.code
    assert "[database.unreachable]" in result.out
