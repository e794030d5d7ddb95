"""
The commands ``history``, ``get``, ``timeline`` and ``top``.
"""

from __future__ import annotations

import json

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sqlalchemy import Engine, event, text

from structlog_activity import ActivityLog, to_uuid
from structlog_activity.record.ids import uuid7
from tests.cli.commands import Cli, Result, counts, jsonl, line, run, run_on_terminal
from tests.cli.test_feed_stats_export import LINES, shown


Write = Callable[[bytes], Path]

# Beside the six of `LINES`, which happen within five seconds: a second day, and an
# object that is met twice.
MORE = (
    line(7, actor_id="ann", object="settings:1", timestamp="2026-03-16T23:30:00Z"),
    line(8, actor_id="bob", object="settings", timestamp="2026-03-16T23:45:00Z"),
)


@pytest.fixture
def eight(url: str, cli: Cli, write: Write) -> str:
    """Those eight records, in each kind of database."""
    result = cli.ok("--url", url, "ingest", "--json", write(jsonl(LINES + MORE)))
    assert 8 == counts(result.out)["stored"]
    return url


EVERY = (
    ("history", "settings:1", "--tenant", "acme"),
    ("get", "--tenant", "acme", "some-id"),
    ("timeline", "--tenant", "acme"),
    ("top", "--tenant", "acme", "--by", "verb"),
)


# -- history ----------------------------------------------------------------------


def events(cli: Cli, url: str, *arguments: object) -> list[int]:
    """The numbers of the lines that a history shows, newest first."""
    records = cli.ok("--url", url, "history", "--json", *arguments).lines
    return [int(record["data"]["event"].split()[1]) for record in records]


def test_history_shows_what_was_done_to_one_object_newest_first(cli: Cli, eight: str) -> None:
    assert [7, 1] == events(cli, eight, "settings:1", "--tenant", "acme")
    assert [8] == events(cli, eight, "settings", "--tenant", "acme")
    assert [5] == events(cli, eight, "settings:secret", "--all-tenants")
    assert [6] == events(cli, eight, "settings:nobody", "--no-tenant")
    assert [] == events(cli, eight, "settings:secret", "--tenant", "acme")


def test_history_takes_the_filters_of_feed_but_for_the_object(cli: Cli, eight: str) -> None:
    thing = ("settings:1", "--tenant", "acme")
    assert [7] == events(cli, eight, *thing, "--since", "2026-03-15")
    assert [1] == events(cli, eight, *thing, "--channel", "settings")
    assert [1] == events(cli, eight, *thing, "--user", "bob")
    assert [] == events(cli, eight, *thing, "--verb", "user.*")
    assert 2 == cli("--url", eight, "history", *thing, "--object", "settings:2").code


def test_history_prints_a_table_and_the_cursor_of_the_next_page(cli: Cli, eight: str) -> None:
    thing = ("--url", eight, "history", "settings:1", "--tenant", "acme", "--limit", 1)
    first = cli.ok(*thing)
    heading, row = first.out.splitlines()
    assert "when (UTC) who verb object channel details".split() == heading.split()
    assert row.startswith("2026-03-16 23:30:00  ann  settings.updated  settings:1")
    told, older = first.err.splitlines()
    assert "structlog-activity: 1 of 2 records" == told
    second = cli.ok(*thing, *older.split()[-2:])
    assert second.out.splitlines()[1].startswith("2026-03-14 12:00:01  ann")
    assert "--after" not in second.err


def test_a_cursor_of_the_feed_is_none_of_a_history(cli: Cli, eight: str) -> None:
    where = ("--tenant", "acme", "--limit", 1)
    cursor = cli.ok("--url", eight, "feed", *where).err.split()[-1]
    result = cli("--url", eight, "history", "settings:1", *where, "--after", cursor)
    assert (2, "") == (result.code, result.out)
    assert "is no cursor of this feed" in result.err


# -- get ----------------------------------------------------------------------------


def test_get_prints_one_record_as_to_dict_has_it(cli: Cli, eight: str) -> None:
    with ActivityLog(eight) as activity:
        (record,) = activity.history("settings:ui.theme", tenant_id="acme").records
    found = cli.ok("--url", eight, "get", "--tenant", "acme", "--json", record.id)
    anywhere = cli.ok("--url", eight, "get", "--all-tenants", "--json", record.id)
    assert [record.to_dict()] == found.lines == anywhere.lines


def test_get_prints_a_line_for_each_field_that_is_set(cli: Cli, eight: str) -> None:
    with ActivityLog(eight) as activity:
        record = activity.history("settings:1", tenant_id="acme").records[-1]
    lines = cli.ok("--url", eight, "get", "--tenant", "acme", record.id).out.splitlines()
    fields = dict(field.split(maxsplit=1) for field in lines)
    assert {
        "id": str(record.id),
        "actor_id": f"{to_uuid('ann')} (ann)",
        "user_id": f"{to_uuid('bob')} (bob)",
        "tenant_id": f"{to_uuid('acme')} (acme)",
        "org_id": f"{to_uuid('north')} (north)",
        "verb": "settings.updated",
        "object_type": "settings",
        "object_id": "1",
        "channel": "settings",
        "occurred_at": "2026-03-14T12:00:01.000000Z",
        "data.event": "something 1",
    } == fields


@pytest.mark.parametrize(
    ("tenant", "whose"),
    [
        (("--tenant", "other"), "of tenant other"),
        (("--no-tenant",), "without a tenant"),
    ],
)
def test_a_record_that_the_tenant_has_not_is_a_finding(
    cli: Cli, eight: str, tenant: tuple[str, ...], whose: str
) -> None:
    with ActivityLog(eight) as activity:
        (record,) = activity.history("settings:ui.theme", tenant_id="acme").records
    for form in ((), ("--json",)):
        result = cli("--url", eight, "get", *tenant, *form, record.id)
        assert (1, "") == (result.code, result.out)
        assert f"structlog-activity: there is no record {record.id} {whose}\n" == result.err


def test_a_record_that_nobody_has_is_a_finding(cli: Cli, eight: str) -> None:
    id_ = uuid7()
    result = cli("--url", eight, "get", "--all-tenants", id_)
    assert (1, "") == (result.code, result.out)
    assert f"structlog-activity: there is no record {id_} of any tenant\n" == result.err


def test_get_says_with_a_seal_whether_the_record_is_as_it_was_written(
    cli: Cli, eight: str, tmp_path: Path
) -> None:
    with ActivityLog(eight) as activity:
        record = activity.history("settings:1", tenant_id="acme").records[-1]
        seal = activity.seal_of("acme", record.id)
    command = ("--url", eight, "get", "--tenant", "acme", record.id, "--seal")

    lines = cli.ok(*command).out.splitlines()
    assert "unsigned" == seal.state
    fields = dict(field.split(maxsplit=1) for field in lines)
    assert f"unsigned: {seal.text}" == fields["seal"]
    assert (str(seal.batch_id), str(seal.rows)) == (fields["seal.batch_id"], fields["seal.rows"])
    assert [record.to_dict() | {"seal": seal.to_dict()}] == cli.ok(*command, "--json").lines

    (tmp_path / "key").write_bytes(b"a key that signed nothing")
    signed = cli(*command, "--key-file", tmp_path / "key")
    assert 1 == signed.code
    assert "unsigned" in signed.out


def test_get_exits_with_1_where_the_record_was_changed(cli: Cli, eight: str) -> None:
    with ActivityLog(eight) as activity:
        record = activity.history("settings:1", tenant_id="acme").records[-1]
        with activity.engine.begin() as connection:
            connection.execute(text("UPDATE user_activity SET ip = '192.0.2.77'"))

    result = cli("--url", eight, "get", "--tenant", "acme", record.id, "--seal")

    assert 1 == result.code
    assert "changed: not as it was sealed" in result.out


def test_get_takes_a_key_for_the_seal_only(cli: Cli, eight: str, tmp_path: Path) -> None:
    command = ("--url", eight, "get", "--tenant", "acme", "some-id", "--key-file")

    assert (2, True) == _refused(cli(*command, tmp_path / "key"), "--key-file is for --seal")
    missing = tmp_path / "no-such-key"
    assert (2, True) == _refused(cli(*command, missing, "--seal"), str(missing))


def _refused(result: Result, words: str) -> tuple[int, bool]:
    return result.code, words in result.err


# -- timeline -----------------------------------------------------------------------


def starts(cli: Cli, url: str, *arguments: object) -> dict[str, int]:
    found = cli.ok("--url", url, "timeline", "--json", "--tenant", "acme", *arguments).lines
    return {one["start"]: one["count"] for one in found}


def test_timeline_counts_each_bucket_and_the_empty_ones_between(cli: Cli, eight: str) -> None:
    assert {
        "2026-03-14T00:00:00+00:00": 4,
        "2026-03-15T00:00:00+00:00": 0,
        "2026-03-16T00:00:00+00:00": 2,
    } == starts(cli, eight)
    assert {"2026-03-01T00:00:00+00:00": 6} == starts(cli, eight, "--bucket", "month")
    assert [4, 2] == list(starts(cli, eight, "--bucket", "week").values())


def test_timeline_takes_filters_and_the_clocks_of_a_zone(cli: Cli, eight: str) -> None:
    zone = ("--tz", "Europe/Berlin", "--since", "2026-03-16T12:00:00Z")
    assert {
        "2026-03-16T00:00:00+01:00": 0,
        "2026-03-17T00:00:00+01:00": 2,
    } == starts(cli, eight, *zone)
    assert [1] == list(starts(cli, eight, "--verb", "export.*").values())
    assert [1, 0, 1] == list(starts(cli, eight, "--object", "settings:1").values())


def test_timeline_prints_a_table_with_bars(cli: Cli, eight: str) -> None:
    table = cli.ok("--url", eight, "timeline", "--tenant", "acme")
    assert [
        "day (UTC)   records",
        f"2026-03-14        4  {'#' * 30}",
        "2026-03-15        0",
        f"2026-03-16        2  {'#' * 15}",
    ] == table.out.splitlines()
    assert "structlog-activity: 6 records\n" == table.err
    hours = cli.ok("--url", eight, "timeline", "--tenant", "acme", "--bucket", "hour", "--tz",
                   "Asia/Kolkata", "--since", "2026-03-16T23:00Z")  # fmt: skip
    assert hours.out.splitlines()[-1].startswith("2026-03-17 05:00 +0530        2")


# -- top ----------------------------------------------------------------------------


def test_top_shows_the_largest_first(cli: Cli, eight: str) -> None:
    def found(*arguments: object) -> list[tuple[Any, int]]:
        lines = cli.ok("--url", eight, "top", "--json", "--tenant", "acme", *arguments).lines
        return [(one["key"], one["count"]) for one in lines]

    ann, bob, eve = (str(to_uuid(name)) for name in ("ann", "bob", "eve"))
    assert {ann: 3, bob: 2, eve: 1} == dict(found("--by", "actor_id"))
    assert [("settings.updated", 3)] == found("--by", "verb", "--limit", 1)
    assert [("settings", 4), ("export.job", 1), ("user", 1)] == found("--by", "object_type")
    assert [(["settings", "1"], 2)] == found("--by", "object", "--limit", 1)
    assert [(ann, 1)] == found("--by", "actor_id", "--channel", "exports")


def test_top_prints_a_table_and_a_name_for_what_is_not_set(cli: Cli, eight: str) -> None:
    where = ("--url", eight, "top", "--tenant", "acme")
    objects = cli.ok(*where, "--by", "object", "--limit", 2).out.splitlines()
    assert ["records  object", "      2  settings:1", "      1  export.job:3"] == objects
    channels = cli.ok(*where, "--by", "channel").out.splitlines()
    assert ["records  channel", "      3  (none)"] == channels[:2]
    orgs = cli.ok(*where, "--by", "org_id").out.splitlines()
    assert ["      4  (none)", f"      2  {to_uuid('north')}"] == orgs[1:]


def test_top_names_actors_and_users_as_they_were_recorded(cli: Cli, eight: str) -> None:
    where = ("--url", eight, "top", "--by")
    actors = cli.ok(*where, "actor_id", "--tenant", "acme").out.splitlines()
    assert f"      3  {to_uuid('ann')} (ann)" in actors
    users = cli.ok(*where, "user_id", "--tenant", "acme").out.splitlines()
    assert f"      1  {to_uuid('bob')} (bob)" in users
    # No index leads from an id alone to a record.
    everybody = cli.ok(*where, "actor_id", "--all-tenants").out
    assert "(ann)" not in everybody
    assert str(to_uuid("ann")) in everybody


def test_top_looks_all_names_up_at_once(cli: Cli, eight: str) -> None:
    sent: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        names = cli.ok("--url", eight, "top", "--by", "actor_id", "--tenant", "acme").out
    finally:
        event.remove(Engine, "before_cursor_execute", note)

    assert all(f"({name})" in names for name in ("ann", "bob", "eve"))
    assert 1 == len([statement for statement in sent if "data" in statement.partition("FROM")[0]])


# -- all of them --------------------------------------------------------------------


@pytest.mark.parametrize("command", EVERY, ids=lambda command: command[0])
def test_nothing_found_is_said(cli: Cli, url: str, command: tuple[str, ...]) -> None:
    result = cli("--url", url, *command)
    assert (int(command[0] == "get"), "") == (result.code, result.out)
    assert result.err.startswith("structlog-activity: ")
    assert "no record" in result.err
    assert ("", 1) == (cli("--url", url, *command, "--json").out, result.err.count("\n"))


@pytest.mark.parametrize("command", EVERY, ids=lambda command: command[0])
def test_a_database_that_can_not_answer_is_told(
    cli: Cli, empty_url: str, command: tuple[str, ...]
) -> None:
    result = cli("--url", empty_url, *command)
    assert (3 if empty_url.startswith("sqlite") else 4, "") == (result.code, result.out)
    assert result.err.startswith("structlog-activity: error: ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("history", "--tenant", "acme"), "OBJECT"),
        (("history", "a:b"), "--tenant --no-tenant --all-tenants is required"),
        (("history", "a:b", "--tenant", ""), "tenant_id=''"),
        (("history", " ", "--tenant", "acme"), "object=' '"),
        (("history", "a:b", "--tenant", "acme", "--since", "soon"), "since='soon'"),
        (("history", "a:b", "--tenant", "acme", "--after", "x"), "after='x'"),
        (("get", "--tenant", "acme"), "ID"),
        (("get", "x"), "--tenant --no-tenant --all-tenants is required"),
        (("get", "--tenant", "acme", ""), "id=''"),
        (("get", "--tenant", "acme", "0" * 32), "no record has the nil id"),
        (("timeline", "--tenant", "acme", "--bucket", "year"), "invalid choice: 'year'"),
        (("timeline", "--tenant", "acme", "--tz", "Mars/Olympus"), "tz='Mars/Olympus'"),
        (("timeline", "--tenant", " "), "tenant_id=' '"),
        (("top", "--tenant", "acme"), "--by"),
        (("top", "--tenant", "acme", "--by", "mood"), "invalid choice: 'mood'"),
        (("top", "--tenant", "acme", "--by", "verb", "--limit", "0"), "'0' is not a whole number"),
        (("top", "--tenant", "acme", "--by", "verb", "--until", "never"), "until='never'"),
    ],
)
def test_a_mistake_is_a_usage_error_that_names_it(
    cli: Cli, sqlite_log: str, arguments: tuple[str, ...], words: str
) -> None:
    result = cli("--url", sqlite_log, *arguments)
    assert (2, "") == (result.code, result.out)
    assert words in result.err


def test_control_characters_reach_no_terminal(cli: Cli, url: str, write: Write) -> None:
    nasty = line(1, object=["note", "1\x1b[2J\x9b"], channel="c\x1b", actor_id="who\x07", k="\x1b")
    cli.ok("--url", url, "ingest", write(jsonl([nasty])))
    id_ = cli.ok("--url", url, "feed", "--tenant", "acme", "--json").lines[0]["id"]
    for command in (
        ("history", "note:1\x1b[2J\x9b"), ("get", id_), ("top", "--by", "object"),
        ("top", "--by", "channel"),
    ):  # fmt: skip
        for form in ((), ("--json",)):
            result = cli.ok("--url", url, *command, "--tenant", "acme", *form)
            assert "" == shown(result.out + result.err)
            assert result.out


def test_each_command_is_a_process_of_its_own_too(eight: str) -> None:
    with ActivityLog(eight) as activity:
        (record,) = activity.history("settings:ui.theme", tenant_id="acme").records
    where = ("--url", eight, "--json")
    history = run(*where, "history", "settings:1", "--tenant", "acme")
    get = run(*where, "get", "--tenant", "acme", record.id)
    missing = run(*where, "get", "--tenant", "other", record.id)
    timeline = run(*where, "timeline", "--tenant", "acme")
    top = run(*where, "top", "--tenant", "acme", "--by", "verb", "--limit", 1)
    assert [0, 0, 1, 0, 0] == [one.code for one in (history, get, missing, timeline, top)]
    assert ["1", "1"] == history.objects
    assert record.to_dict() == json.loads(get.out)
    assert "there is no record" in missing.err
    assert [4, 0, 2] == [one["count"] for one in timeline.lines]
    assert [{"key": "settings.updated", "count": 3}] == top.lines


def test_on_a_terminal_a_timeline_keeps_to_its_width(filled: str) -> None:
    code, text = run_on_terminal("--url", filled, "timeline", "--tenant", "acme", columns=40)
    assert (0, 40) == (code, len(text.splitlines()[1]))
    assert text.splitlines()[1].startswith("2026-03-14      450  ####")
