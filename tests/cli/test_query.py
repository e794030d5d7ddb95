"""Queries on the command line: in every command that reads, beside options, in any order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.commands import Cli, jsonl, line


Write = Callable[[bytes], Path]

READING = {
    "feed": ("--json",),
    "stats": ("--json",),
    "tail": ("--json",),
    "export": (),
    "history": ("settings:ui", "--json"),
    "timeline": ("--json", "--bucket", "month"),
    "top": ("--json", "--by", "object"),
}
LINES = (
    line(1, object="settings:ui", actor_id="ann", channel="web", to="dark"),
    line(2, object="settings:ui", actor_id="bob", channel="system", to="dark"),
    line(3, object="settings:ui", actor_id="ann", channel="web", to=12),
    line(4, object="file:1", verb="file.saved", actor_id="ann"),
)


@pytest.fixture
def four(sqlite_url: str, cli: Cli, write: Write) -> str:
    cli.ok("--url", sqlite_url, "ingest", write(jsonl(LINES)))
    return sqlite_url


def count(command: str, out: list[dict[str, int]]) -> int:
    """How many records the output of a command tells of."""
    if command == "stats":
        return out[0]["total"]
    if command in {"timeline", "top"}:
        return sum(one["count"] for one in out)
    return len(out)


@pytest.mark.parametrize("command", READING)
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("verb:settings.*",), 3),
        (("verb:settings.* actor:ann",), 2),
        (("verb:settings.*", "actor:ann"), 2),
        (("verb:settings.*", "-channel:system"), 2),
        (("-channel:system", "verb:settings.*"), 2),
        (("actor:ann data.to:12",), 1),
        (('data.to:"12"',), 0),
        (("settings since:2026-01-01 until:2026-03-15",), 3),
    ],
)
def test_every_command_that_reads_takes_a_query(
    cli: Cli, four: str, command: str, words: tuple[str, ...], expected: int
) -> None:
    result = cli.ok("--url", four, command, "--tenant", "acme", *READING[command], *words)
    assert expected == count(command, result.lines)


@pytest.mark.parametrize("command", READING)
def test_the_words_of_a_query_may_stand_between_the_options(
    cli: Cli, four: str, command: str
) -> None:
    first, *rest = READING[command] or ("--all-tenants",)
    tenant = () if "--all-tenants" in (first, *rest) else ("--tenant", "acme")
    where = ("--url", four, command, first, "actor:ann", *rest, *tenant, "verb:settings.*")
    assert 2 == count(command, cli.ok(*where).lines)


@pytest.mark.parametrize("command", READING)
def test_query_and_options_must_both_hold(cli: Cli, four: str, command: str) -> None:
    options = ("--tenant", "acme", "--actor", "ann", "--not-channel", "nothing")
    result = cli.ok(
        "--url", four, command, *options, *READING[command], "verb:settings.*", "-channel:system"
    )
    assert 2 == count(command, result.lines)


@pytest.mark.parametrize("command", READING)
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("actr:ann",), "did you mean actor:"),
        (("--actor", "bob", "actor:ann"), "--actor says that already"),
        (("--verb", "a.b", "verb:c.d"), "--verb says that already"),
        (("tenant:other",), "beside a query, never in it"),
        (("actor:ann", "--colour", "red"), "unrecognized arguments"),
    ],
)
def test_a_query_that_makes_no_sense_is_a_usage_error(
    cli: Cli, four: str, command: str, words: tuple[str, ...], told: str
) -> None:
    result = cli("--url", four, command, "--tenant", "acme", *READING[command], *words)
    assert (2, "") == (result.code, result.out)
    assert told in result.err


def test_a_history_and_a_query_name_one_object_only(cli: Cli, four: str) -> None:
    where = ("--url", four, "history", "settings:ui", "--tenant", "acme", "object:file")
    result = cli(*where)
    assert (2, "") == (result.code, result.out)
    assert "the object tells it already" in result.err


@pytest.mark.parametrize("command", [("migrate",), ("get", "--tenant", "acme", "id")])
def test_commands_without_a_query_take_no_words(
    cli: Cli, four: str, command: tuple[str, ...]
) -> None:
    result = cli("--url", four, *command, "actor:ann")
    assert 2 == result.code
    assert "unrecognized arguments: actor:ann" in result.err


def test_an_export_since_last_takes_no_span_in_its_query(
    cli: Cli, four: str, tmp_path: Path
) -> None:
    where = ("--tenant", "acme", "--since-last", tmp_path / "position")
    result = cli("--url", four, "export", *where, "since:7d")
    assert (2, "") == (result.code, result.out)
    assert "since='since:7d': is another moment each time" in result.err
    assert 3 == len(cli.ok("--url", four, "export", *where, "verb:settings.*").lines)
