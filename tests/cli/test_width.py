"""Columns: what a terminal makes of wide, combining and invisible characters."""

from __future__ import annotations

import unicodedata

from collections.abc import Callable
from pathlib import Path

import pytest

from hypothesis import given
from hypothesis import strategies as st

from structlog_activity.cli.progress import Progress
from structlog_activity.cli.width import cut, padded, width_of
from tests.cli.commands import Cli, jsonl, line, run_on_terminal
from tests.cli.test_process import Tape


Write = Callable[[bytes], Path]


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("", 0),
        ("abc", 3),
        ("Grüße", 5),
        (unicodedata.normalize("NFD", "Grüße"), 5),
        ("漢字", 4),
        ("ﾊﾝ", 2),
        ("\uff21", 2),
        ("🙂", 2),
        ("a\u200db", 2),
        ("e\u0301\u0302", 1),
    ],
)
def test_a_text_is_as_wide_as_a_terminal_draws_it(text: str, width: int) -> None:
    assert width == width_of(text)


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("abcdef", 0, "abcdef"),
        ("abcdef", 6, "abcdef"),
        ("abcdef", 5, "abcd…"),
        ("漢字漢字", 8, "漢字漢字"),
        ("漢字漢字", 7, "漢字漢…"),
        ("漢字漢字", 6, "漢字…"),
        ("e\u0301e\u0301e\u0301", 2, "e\u0301…"),
    ],
)
def test_what_is_too_wide_ends_with_an_ellipsis(text: str, limit: int, expected: str) -> None:
    assert expected == cut(text, limit)


@given(st.text(), st.integers(1, 30))
def test_a_cut_text_fits_and_begins_as_the_whole(text: str, limit: int) -> None:
    short = cut(text, limit)
    assert width_of(short) <= limit
    assert short == text or text.startswith(short[:-1])


@given(st.text(), st.integers(0, 30))
def test_a_padded_text_is_as_wide_as_wanted(text: str, width: int) -> None:
    assert max(width, width_of(text)) == width_of(padded(text, width))


NAMES = ("plain", "漢字", unicodedata.normalize("NFD", "Grüße"), "🙂🙂")


def test_the_columns_of_a_table_stand_below_each_other(
    cli: Cli, sqlite_url: str, write: Write
) -> None:
    lines = [line(n, actor_id=name, channel="web") for n, name in enumerate(NAMES)]
    cli.ok("--url", sqlite_url, "ingest", write(jsonl(lines)))
    table = cli.ok("--url", sqlite_url, "feed", "--all-tenants").out.splitlines()
    places = {width_of(row[: row.index("settings.updated")]) for row in table[1:]}
    assert 1 == len(places)
    assert {table[0].index("verb")} == places


@pytest.mark.parametrize("command", ["feed", "tail"])
def test_no_row_is_wider_than_the_terminal(
    cli: Cli, sqlite_url: str, write: Write, command: str
) -> None:
    lines = [line(n, actor_id=name * 9, note="字" * 200) for n, name in enumerate(NAMES)]
    cli.ok("--url", sqlite_url, "ingest", write(jsonl(lines)))
    code, text = run_on_terminal(
        "--url", sqlite_url, command, "--all-tenants", columns=100, PYTHONIOENCODING="utf-8"
    )
    rows = [row for row in text.splitlines() if row.startswith("2026-")]
    assert (0, 4) == (code, len(rows))
    for row in rows:
        assert 99 <= width_of(row) <= 100


def test_a_dumb_terminal_gets_whole_lines_of_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    tape = Tape(terminal=True)
    progress = Progress("lines", 100, stream=tape.stream, clock=tape.clock)
    for count in (25, 50):
        tape.now += 5
        progress.update(count, count)
    progress.finish()
    assert [
        " 25 %  25 lines, 5 a second, 15 s left",
        " 50 %  50 lines, 5 a second, 10 s left",
    ] == tape.text.splitlines()
