"""Every command there is: its help, through a pipe, on a terminal, and interrupted."""

from __future__ import annotations

import json
import re
import shlex
import shutil

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from structlog_activity.cli import main
from structlog_activity.cli.arguments import make_parser, parse
from structlog_activity.cli.examples import commands_of
from structlog_activity.cli.width import width_of
from tests.cli.commands import Cli, Result, jsonl, line, run, run_on_terminal


Write = Callable[[bytes], Path]

PARSERS = dict(commands_of(make_parser()))
ID = "019cec37-b9e8-72c3-a10b-4c53fa1bd4b4"
# Of each command a line that can be run in the fixture `place`, and its exit code there.
LINES = {
    "migrate": ("migrate --status", 0),
    "maintain": ("maintain", 0),
    "feed": ("feed --all-tenants --limit 5", 0),
    "stats": ("stats --tenant acme", 0),
    "export": ("export --tenant acme", 0),
    "tail": ("tail --tenant acme -n 3", 0),
    "history": ("history settings:1 --tenant acme", 0),
    "get": (f"get --tenant acme {ID} --seal", 0),
    "timeline": ("timeline --tenant acme --bucket hour", 0),
    "top": ("top --tenant acme --by object", 0),
    "ingest": ("ingest {place}/app.log.jsonl", 0),
    "verify": ("verify", 0),
    "checkpoint": ("checkpoint {place}/checkpoints.jsonl", 0),
    "prune": ("prune --older-than 52w --yes", 0),
    "erase": ("erase --actor nobody --all-tenants --reason none --dry-run", 0),
    "dead list": ("dead list --spool-dir {place}/spool", 0),
    "dead show": ("dead show no-such-letter --spool-dir {place}/spool", 2),
    "dead retry": ("dead retry --spool-dir {place}/spool", 0),
    "dead purge": ("dead purge --all --spool-dir {place}/spool", 0),
    "doctor": ("doctor", 0),
    "catalog": ("catalog {place}/code", 1),
    "demo": ("demo --commits 3", 0),
}
# What the name of a command is not, in lines that show how it is used.
REDIRECTED = re.compile(r"\s+(\||>>|>|<)\s.*")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a filled log, a log file, an empty spool and some code."""
    folder = tmp_path_factory.mktemp("every") / "place"
    (folder / "spool").mkdir(parents=True)
    (folder / "code").mkdir()
    (folder / "code" / "app.py").write_text("log.info('x', verb='a.b', object='c')\n")
    path = folder / "app.log.jsonl"
    lines = [line(n, actor_id="漢字" * 30, note="x" * 300) for n in range(30)]
    path.write_bytes(jsonl([line(30, activity_id=ID), *lines]))
    assert 0 == main(["--url", f"sqlite:///{folder / 'activity.db'}", "ingest", str(path)])
    return folder


@pytest.fixture
def place(template: Path, tmp_path: Path) -> Path:
    """A copy of that folder."""
    return Path(shutil.copytree(template, tmp_path / "place"))


@dataclass(frozen=True)
class Line:
    """A command line of `LINES`, ready to be run."""

    words: list[str]
    code: int


def line_of(name: str, place: Path) -> Line:
    text, code = LINES[name]
    url = f"sqlite:///{place / 'activity.db'}"
    return Line(["--url", url, *shlex.split(text.format(place=place))], code)


def test_every_command_is_tested_here() -> None:
    assert set(PARSERS) == set(LINES)


@pytest.mark.parametrize("name", PARSERS)
def test_a_command_works_through_a_pipe(name: str, place: Path, cwd: Path) -> None:
    wanted = line_of(name, place)
    result = run(*wanted.words, COLUMNS="20")
    assert wanted.code == result.code, result.err
    assert result.out or result.err
    assert "Traceback" not in result.err
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", result.out + result.err)
    assert "…" not in result.out
    assert all(text.startswith("structlog-activity: ") for text in result.err.splitlines())


@pytest.mark.parametrize("name", sorted(PARSERS.keys() - {"demo", "erase"}))
def test_a_command_that_records_nothing_leaves_the_spool_to_the_application(
    name: str, place: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that it made, the application might not be allowed to use."""
    wanted = line_of(name, place)
    monkeypatch.setenv("STRUCTLOG_ACTIVITY_SPOOL_DIR", str(place / "its"))

    assert wanted.code == cli(*wanted.words).code
    assert not (place / "its").exists()


@pytest.mark.parametrize("name", PARSERS)
def test_a_command_works_on_a_terminal(name: str, place: Path, cwd: Path) -> None:
    wanted = line_of(name, place)
    code, text = run_on_terminal(*wanted.words, columns=90, PYTHONIOENCODING="utf-8")
    assert wanted.code == code, text
    assert text
    assert "Traceback" not in text
    # Nothing but a line of progress that is taken back: no colours, no other sequence.
    plain = text.replace("\r\x1b[K", "").replace("\r\n", "\n")
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", plain)
    rows = [row for row in plain.splitlines() if row.startswith(("2026-", "when (UTC)"))]
    assert all(width_of(row) <= 90 for row in rows)


@pytest.mark.parametrize("name", PARSERS)
def test_json_is_all_that_stdout_has_where_it_is_asked_for(
    name: str, place: Path, cli: Cli
) -> None:
    if name == "demo":
        pytest.skip("shows itself to people only")
    wanted = line_of(name, place)
    result: Result = cli(*wanted.words, "--json")
    assert wanted.code == result.code, result.err
    for text in result.out.splitlines():
        json.loads(text)


@pytest.mark.parametrize("name", PARSERS)
def test_the_help_of_a_command_says_what_it_does_and_shows_examples(name: str, cli: Cli) -> None:
    out = cli.ok(*name.split(), "--help").out
    parser = PARSERS[name]
    assert parser.description
    assert parser.description in out
    assert "\nexamples:\n  structlog-activity " in out
    for action in vars(parser)["_actions"]:
        assert action.help, (name, action.dest)


@pytest.mark.parametrize("name", PARSERS)
def test_the_examples_of_a_command_are_lines_that_it_takes(name: str) -> None:
    epilog = PARSERS[name].epilog or ""
    lines = [text for text in epilog.splitlines() if text.startswith("  ")]
    assert lines
    for text in lines:
        program, *words = shlex.split(REDIRECTED.sub("", text))
        options = parse(words)
        assert "structlog-activity" == program
        assert name.split() == [word for word in words if word in name.split()][: len(name.split())]
        if getattr(options, "query", None):
            from structlog_activity.read.query import parse_query

            parse_query(" ".join(options.query), now=datetime.now(UTC))


def test_the_help_of_the_program_names_every_command(cli: Cli) -> None:
    out = cli.ok("--help").out
    for name in PARSERS:
        assert re.search(rf"^    {name.partition(' ')[0]}\b", out, re.MULTILINE)
