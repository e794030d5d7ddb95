"""
The commands ``feed``, ``stats`` and ``export``.
"""

from __future__ import annotations

import json
import shlex

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from structlog_activity import ALL_TENANTS, ActivityLog, ActivityRecord, to_uuid
from tests.cli.commands import Cli, counts, jsonl, line, run


Write = Callable[[bytes], Path]

LINES = (
    line(1, actor_id="ann", user_id="bob", org_id="north", channel="settings"),
    line(2, actor_id="bob", verb="settings.reset", channel="settings", object="settings:ui.theme"),
    line(3, actor_id="ann", verb="export.completed", object="export.job:3", channel="exports"),
    line(4, actor_id="eve", user_id="ann", verb="user.created", object="user", org_id="north"),
    line(5, tenant_id="other", object="settings:secret"),
    line(6, tenant_id=None, object="settings:nobody", verb="settings.settled"),
)


@pytest.fixture
def six(url: str, cli: Cli, write: Write) -> str:
    """The six records above, in each kind of database."""
    result = cli.ok("--url", url, "ingest", "--json", write(jsonl(LINES)))
    assert 6 == counts(result.out)["stored"]
    return url


def found(cli: Cli, url: str, *arguments: object) -> list[int]:
    """The numbers of the lines that a feed shows, oldest first."""
    records = cli.ok("--url", url, "feed", "--json", *arguments).lines
    return [int(record["data"]["event"].split()[1]) for record in records][::-1]


FILTERS: tuple[tuple[tuple[str, ...], list[int]], ...] = (
    (("--tenant", "acme"), [1, 2, 3, 4]),
    (("--tenant", str(to_uuid("acme"))), [1, 2, 3, 4]),
    (("--tenant", "other"), [5]),
    (("--no-tenant",), [6]),
    (("--all-tenants",), [1, 2, 3, 4, 5, 6]),
    (("--tenant", "acme", "--org", "north"), [1, 4]),
    (("--tenant", "acme", "--actor", "ann"), [1, 3]),
    (("--tenant", "acme", "--user", "ann"), [4]),
    (("--tenant", "acme", "--involving", "ann"), [1, 3, 4]),
    (("--tenant", "acme", "--verb", "settings.reset"), [2]),
    (("--tenant", "acme", "--verb", "settings.*"), [1, 2]),
    (("--tenant", "acme", "--verb", "settings.*", "--verb", "user.created"), [1, 2, 4]),
    (("--tenant", "acme", "--object", "settings"), [1, 2]),
    (("--tenant", "acme", "--object", "settings:ui.theme"), [2]),
    (("--tenant", "acme", "--channel", "exports"), [3]),
    (("--tenant", "acme", "--channel", "exports", "--channel", "settings"), [1, 2, 3]),
    (("--tenant", "acme", "--not-channel", "exports"), [1, 2, 4]),
    (("--tenant", "acme", "--not-channel", "exports", "--not-channel", "settings"), [4]),
    (("--tenant", "acme", "--since", "2026-03-14T12:00:02Z"), [2, 3, 4]),
    (("--tenant", "acme", "--until", "2026-03-14T12:00:02Z"), [1]),
    (("--tenant", "acme", "--since", "2026-03-14", "--until", "2026-03-15"), [1, 2, 3, 4]),
    (("--tenant", "acme", "--since", "2026-03-14T13:00:03+01:00"), [3, 4]),
    (("--tenant", "acme", "--keyword", "THEME"), [2]),
    (("--tenant", "acme", "--actor", "ann", "--channel", "exports"), [3]),
    (("--tenant", "acme", "--actor", "ann", "--channel", "none"), []),
    (("--tenant", "nobody"), []),
)


def test_each_filter_selects_its_records_and_stats_count_the_same(cli: Cli, six: str) -> None:
    def counted(*arguments: str) -> list[int]:
        return [one["total"] for one in cli.ok("--url", six, "stats", "--json", *arguments).lines]

    expected = {" ".join(arguments): numbers for arguments, numbers in FILTERS}
    assert expected == {
        " ".join(arguments): found(cli, six, *arguments) for arguments, _ in FILTERS
    }
    totals = {" ".join(arguments): counted(*arguments) for arguments, _ in FILTERS}
    assert {name: [len(numbers)] for name, numbers in expected.items()} == totals


def test_feed_with_json_prints_each_record_as_to_dict_has_it(cli: Cli, six: str) -> None:
    result = cli.ok("--url", six, "feed", "--tenant", "acme", "--json")
    with ActivityLog(six) as activity:
        records = activity.feed(tenant_id="acme").records
    assert [record.to_dict() for record in records] == result.lines
    assert records == [ActivityRecord.from_dict(record) for record in result.lines]
    assert "" == result.err


def test_feed_without_json_prints_a_table_newest_first(cli: Cli, six: str) -> None:
    result = cli.ok("--url", six, "feed", "--tenant", "acme")
    heading, *rows = result.out.splitlines()
    assert "when (UTC) who verb object channel details".split() == heading.split()
    assert ["12:00:04", "12:00:03", "12:00:02", "12:00:01"] == [row.split()[1] for row in rows]
    assert "2026-03-14 12:00:04  eve  user.created      user" in rows[0]
    assert "event=something 3" in rows[1]
    assert "structlog-activity: 4 of 4 records\n" == result.err


def test_no_records_is_said_and_is_no_failure(cli: Cli, url: str) -> None:
    table = cli.ok("--url", url, "feed", "--tenant", "acme")
    lines = cli.ok("--url", url, "feed", "--tenant", "acme", "--json")
    assert ("", "structlog-activity: no records\n") == (table.out, table.err)
    assert ("", "") == (lines.out, lines.err)


def test_pages_follow_each_other_by_the_cursor_that_is_shown(cli: Cli, filled: str) -> None:
    seen: list[str] = []
    place: tuple[str, ...] = ()
    while True:
        arguments = ("--tenant", "acme", "--limit", 97, "--json", *place)
        page = cli.ok("--url", filled, "feed", *arguments)
        seen += page.objects
        if not page.err:
            break
        assert page.err.startswith("structlog-activity: older records: --after ")
        place = tuple(page.err.split()[-2:])
    assert [str(number) for number in range(449, -1, -1)] == seen


def test_before_goes_back_to_the_page_before(cli: Cli, filled: str) -> None:
    with ActivityLog(filled) as activity:
        first = activity.feed(tenant_id="acme", limit=10)
        second = activity.feed(tenant_id="acme", limit=10, after=first.next_cursor)
    arguments = ("--tenant", "acme", "--limit", 10, "--before", second.prev_cursor, "--json")
    back = cli.ok("--url", filled, "feed", *arguments)
    assert [record.to_dict() for record in first.records] == back.lines


def test_offset_skips_records_and_a_negative_one_none(cli: Cli, filled: str) -> None:
    def objects(offset: int) -> list[str]:
        arguments = ("--tenant", "acme", "--limit", 2, "--offset", offset, "--json")
        return cli.ok("--url", filled, "feed", *arguments).objects

    assert ["439", "438"] == objects(10)
    assert ["449", "448"] == objects(-5)
    assert [] == objects(450)


@pytest.mark.parametrize(("limit", "expected"), [(200, 200), (201, 201), (450, 450), (9999, 450)])
def test_a_limit_above_a_page_is_read_in_several(
    cli: Cli, filled: str, limit: int, expected: int
) -> None:
    result = cli.ok("--url", filled, "feed", "--tenant", "acme", "--limit", limit, "--json")
    assert [str(number) for number in range(449, 449 - expected, -1)] == result.objects
    assert (expected < 450) == ("--after" in result.err)


def test_a_long_feed_with_an_offset_goes_on_behind_it(cli: Cli, filled: str) -> None:
    arguments = ("--tenant", "acme", "--limit", 300, "--offset", 100, "--json")
    result = cli.ok("--url", filled, "feed", *arguments)
    assert [str(number) for number in range(349, 49, -1)] == result.objects


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        ("90s", [1]),
        ("30m", [1, 2]),
        ("24h", [1, 2, 3]),
        ("7d", [1, 2, 3, 4]),
        ("4w", [1, 2, 3, 4, 5]),
    ],
)
def test_since_and_until_may_say_how_long_ago(
    cli: Cli, sqlite_url: str, write: Write, since: str, expected: list[int]
) -> None:
    ages = (
        timedelta(seconds=30), timedelta(minutes=20), timedelta(hours=20), timedelta(days=6),
        timedelta(days=20), timedelta(days=99),
    )  # fmt: skip
    now = datetime.now(UTC)
    lines = [line(n, timestamp=(now - age).isoformat()) for n, age in enumerate(ages, 1)]
    cli.ok("--url", sqlite_url, "ingest", write(jsonl(lines)))
    newer = found(cli, sqlite_url, "--tenant", "acme", "--since", since)
    older = found(cli, sqlite_url, "--tenant", "acme", "--until", since)
    assert (expected, [1, 2, 3, 4, 5, 6]) == (newer[::-1], sorted(newer + older))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--all-tenants", "--since", "yesterday"), "since='yesterday'"),
        (("--all-tenants", "--until", "2026-13-01"), "until='2026-13-01'"),
        (("--all-tenants", "--since", "9999999999w"), "before the calendar begins"),
        (("--all-tenants", "--verb", "*.updated"), "may only stand at the end"),
        (("--all-tenants", "--keyword", "x" * 1000), "keyword="),
        (("--tenant", ""), "tenant_id=''"),
        (("--tenant", "  "), "tenant_id="),
        ((), "--tenant --no-tenant --all-tenants is required"),
        (("--all-tenants", "--tenant", "acme"), "not allowed with"),
        (("--all-tenants", "--colour", "red"), "unrecognized arguments"),
    ],
)
@pytest.mark.parametrize("command", ["feed", "stats", "export"])
def test_a_bad_value_is_a_usage_error_that_names_it(
    cli: Cli, sqlite_log: str, command: str, arguments: tuple[str, ...], words: str
) -> None:
    result = cli("--url", sqlite_log, command, *arguments)
    assert (2, "") == (result.code, result.out)
    assert words in result.err


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--actor", ""),
        ("--actor", "00000000-0000-0000-0000-000000000000"),
        ("--user", " "),
        ("--involving", ""),
        ("--org", ""),
        ("--object", ""),
        ("--object", "settings:"),
        ("--object", ":1"),
        ("--verb", ""),
        ("--channel", ""),
        ("--not-channel", ""),
        ("--since", ""),
        ("--until", ""),
        ("--keyword", " "),
    ],
)
def test_an_option_with_a_blank_value_does_not_select_everything(
    cli: Cli, six: str, option: str, value: str
) -> None:
    done = cli("--url", six, "export", "--all-tenants", option, value)

    assert (2, "") == (done.code, done.out)
    assert option.removeprefix("--not-").removeprefix("--") in done.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--limit", "0"), "'0' is not a whole number of 1 or more"),
        (("--limit", "-1"), "'-1' is not a whole number of 1 or more"),
        (("--limit", "many"), "'many' is not a whole number of 1 or more"),
        (("--offset", "some"), "invalid int value: 'some'"),
        (("--after", "nonsense"), "is no cursor of this feed"),
        (("--before", "nonsense"), "is no cursor of this feed"),
        (("--after", "a", "--before", "b"), "not allowed with"),
        (("--after", "a", "--offset", "3"), "not allowed with"),
    ],
)
def test_a_bad_place_or_limit_is_a_usage_error(
    cli: Cli, sqlite_log: str, arguments: tuple[str, ...], words: str
) -> None:
    result = cli("--url", sqlite_log, "feed", "--all-tenants", *arguments)
    assert (2, "") == (result.code, result.out)
    assert words in result.err


def test_a_cursor_of_another_tenant_is_refused(cli: Cli, six: str) -> None:
    page = cli.ok("--url", six, "feed", "--tenant", "acme", "--limit", 1)
    cursor = page.err.split()[-1]
    assert 2 == cli("--url", six, "feed", "--tenant", "other", "--after", cursor).code


def test_stats_with_json_is_one_object_that_counts_the_records(cli: Cli, six: str) -> None:
    result = cli.ok("--url", six, "stats", "--tenant", "acme", "--json")
    expected = {
        "total": 4,
        "by_verb": {
            "export.completed": 1, "settings.reset": 1, "settings.updated": 1, "user.created": 1,
        },
        "by_channel": {"settings": 2, "": 1, "exports": 1},
        "by_object_type": {"settings": 2, "export.job": 1, "user": 1},
        "by_day": {"2026-03-14": 4},
    }  # fmt: skip
    assert [expected] == result.lines
    assert "" == result.err


def test_stats_without_json_are_tables(cli: Cli, six: str) -> None:
    out = cli.ok("--url", six, "stats", "--tenant", "acme").out
    assert out.startswith("4 records\n\nby verb\n  1  export.completed\n")
    assert "\nby channel\n  2  settings\n  1  (none)\n  1  exports\n" in out
    assert out.endswith("\nby day (UTC)\n  4  2026-03-14\n")


def test_export_writes_every_record_once_newest_first(
    cli: Cli, filled: str, tmp_path: Path
) -> None:
    printed = cli.ok("--url", filled, "export", "--tenant", "acme")
    file = tmp_path / "out.jsonl"
    saved = cli.ok("--url", filled, "export", "--tenant", "acme", "-o", file)
    dashed = cli.ok("--url", filled, "export", "--tenant", "acme", "-o", "-")
    assert [str(number) for number in range(449, -1, -1)] == printed.objects
    assert ("", printed.out) == (saved.out, file.read_text(encoding="utf-8"))
    assert printed.out == dashed.out
    assert "structlog-activity: 450 records exported\n" == saved.err == printed.err


def test_an_interrupted_export_ends_with_a_whole_line(
    cli: Cli, filled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "out.jsonl"
    read, pages = ActivityLog.feed, []

    def feed(self: ActivityLog, **where: Any) -> Any:
        pages.append(where)
        if len(pages) == 3:
            raise KeyboardInterrupt
        return read(self, **where)

    monkeypatch.setattr(ActivityLog, "feed", feed)
    result = cli("--url", filled, "export", "--tenant", "acme", "-o", file)
    assert (130, "structlog-activity: interrupted\n") == (result.code, result.err)
    lines = file.read_text(encoding="utf-8")
    assert lines.endswith("\n")
    numbers = [json.loads(text)["object_id"] for text in lines.splitlines()]
    assert [str(number) for number in range(449, 49, -1)] == numbers


def test_export_takes_the_filters_of_feed(cli: Cli, six: str) -> None:
    result = cli.ok("--url", six, "export", "--tenant", "acme", "--actor", "ann")
    assert ["3", "1"] == result.objects


def test_an_export_can_be_read_back_into_equal_records(cli: Cli, six: str) -> None:
    result = cli.ok("--url", six, "export", "--all-tenants")
    with ActivityLog(six) as activity:
        records = activity.feed(tenant_id=ALL_TENANTS).records
    assert records == [ActivityRecord.from_dict(one) for one in result.lines]


@pytest.mark.parametrize("target", ["no/such/folder/out.jsonl", "."])
def test_a_file_that_can_not_be_written_is_a_usage_error(
    cli: Cli, sqlite_log: str, tmp_path: Path, target: str
) -> None:
    path = tmp_path / target
    result = cli("--url", sqlite_log, "export", "--all-tenants", "-o", path)
    assert (2, "") == (result.code, result.out)
    assert f"structlog-activity: error: {path} can't be used: " in result.err


@pytest.mark.parametrize(
    "mistake", ["--since=nonsense", "--actor=", "--url=postgresql://u@127.0.0.1:1/x"]
)
def test_a_mistake_leaves_the_last_export_as_it_was(
    cli: Cli, six: str, tmp_path: Path, mistake: str
) -> None:
    target = tmp_path / "out.jsonl"
    where = ("--url", six, "export", "--tenant", "acme", "-o", target)
    cli.ok(*where)
    before = target.read_bytes()

    assert cli(*where, mistake).code in {2, 3}

    assert before == target.read_bytes()


def test_an_export_takes_the_place_of_the_last_one(cli: Cli, six: str, tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    target.write_text("what was there before\n" * 1000)

    cli.ok("--url", six, "export", "--tenant", "nobody", "-o", target)

    assert "" == target.read_text()


@pytest.mark.parametrize("command", ["feed", "stats", "export"])
def test_a_missing_file_is_not_made_by_reading(cli: Cli, tmp_path: Path, command: str) -> None:
    missing = tmp_path / "missing.db"
    result = cli("--url", f"sqlite:///{missing}", command, "--all-tenants")
    assert (3, "") == (result.code, result.out)
    assert f"there is no file {missing}" in result.err
    assert not missing.exists()


@pytest.mark.parametrize("command", ["feed", "stats", "export"])
def test_a_database_without_the_tables_says_what_to_run(
    cli: Cli, postgres_url: str, command: str
) -> None:
    result = cli("--url", postgres_url, command, "--all-tenants")
    assert (4, "") == (result.code, result.out)
    assert "run structlog-activity migrate" in result.err


def test_what_it_says_to_run_mends_that_database(cli: Cli, postgres_url: str) -> None:
    told = cli("--url", postgres_url, "feed", "--all-tenants").err
    _, command = told.strip().split("run structlog-activity ")

    assert "applied 0001" in cli.ok(*shlex.split(command)).out
    assert "no records" in cli.ok("--url", postgres_url, "feed", "--all-tenants").err


@pytest.mark.parametrize("option", ["--since", "--until"])
def test_a_moment_that_can_not_be_read_says_what_can(
    cli: Cli, sqlite_log: str, option: str
) -> None:
    result = cli("--url", sqlite_log, "feed", "--all-tenants", option, "yesterday")

    assert 2 == result.code
    assert "'yesterday': can't be read as ISO 8601, such as 2026-01-31" in result.err
    assert "such as 7d" in result.err


HOSTILE = "".join(map(chr, (*range(1, 32), *range(127, 160))))
BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c\u2028\u2029"


def hostile_lines() -> list[dict[str, Any]]:
    nasty = HOSTILE + BIDI
    return [
        line(1, object=["note", f"1{nasty}2"], actor_id=f"who{nasty}", channel="c", note=nasty),
        line(2, nested={"key": [nasty]}, **{f"key{nasty}": nasty}),
    ]


def shown(text: str) -> str:
    """What a terminal obeys in an output, the line feeds at the ends of lines aside."""
    return "".join(c for c in text.replace("\n", "") if c in HOSTILE + BIDI)


@pytest.mark.parametrize(
    "arguments", [("feed",), ("feed", "--json"), ("stats",), ("stats", "--json"), ("export",)]
)
def test_control_characters_in_records_reach_no_terminal(
    cli: Cli, url: str, write: Write, arguments: tuple[str, ...]
) -> None:
    cli.ok("--url", url, "ingest", write(jsonl(hostile_lines())))
    result = cli.ok("--url", url, *arguments, "--all-tenants")
    assert "" == shown(result.out + result.err)


def test_control_characters_spoil_neither_the_rows_of_the_table_nor_the_json(
    cli: Cli, url: str, write: Write
) -> None:
    cli.ok("--url", url, "ingest", write(jsonl(hostile_lines())))
    table = cli.ok("--url", url, "feed", "--all-tenants").out
    records = cli.ok("--url", url, "feed", "--all-tenants", "--json").lines
    assert 3 == len(table.splitlines())
    assert "\\x1b" in table
    assert HOSTILE + BIDI == records[1]["data"]["note"]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_an_output_that_takes_no_utf8_gets_escapes(
    cli: Cli, sqlite_url: str, write: Write, encoding: str
) -> None:
    cli.ok("--url", sqlite_url, "ingest", write(jsonl([line(1, object="file:Grüße 漢字")])))
    where = ("--url", sqlite_url, "feed", "--all-tenants")
    table = run(*where, PYTHONIOENCODING=f"{encoding}:strict")
    records = run(*where, "--json", PYTHONIOENCODING=f"{encoding}:strict")
    assert (0, 0) == (table.code, records.code)
    assert "Grüße 漢字" == json.loads(records.out)["object_id"]
    assert "\\u6f22\\u5b57" in table.out
