"""
The command line as a process: signals, pipes, terminals, exit codes, secrets.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys

from collections.abc import Callable
from pathlib import Path
from typing import IO

import psycopg
import pytest

from sqlalchemy.engine import make_url

import structlog_activity

from structlog_activity.cli.progress import Progress
from tests.cli.commands import (
    COMMAND,
    LIMIT,
    ROOT,
    Cli,
    counts,
    environment,
    jsonl,
    line,
    run,
    run_on_terminal,
)


Write = Callable[[bytes], Path]

PASSWORD = "hunter2"


def many(count: int) -> bytes:
    return jsonl([line(n % 3600, nr=n) for n in range(count)])


# -- where the database is named ------------------------------------------------


def test_the_url_may_stand_before_or_behind_the_command_or_in_the_environment(
    cli: Cli, filled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = ("stats", "--tenant", "acme", "--json")
    before = cli.ok("--url", filled, *where)
    behind = cli.ok(*where, "--url", filled)
    monkeypatch.setenv("STRUCTLOG_ACTIVITY_URL", filled)
    from_environment = cli.ok(*where)
    monkeypatch.setenv("STRUCTLOG_ACTIVITY_URL", f"sqlite:///{tmp_path / 'other.db'}")
    option_first = cli.ok("--url", filled, *where)
    assert 450 == before.lines[0]["total"]
    assert before == behind == from_environment == option_first


def test_json_may_stand_before_or_behind_the_command(cli: Cli, filled: str) -> None:
    before = cli.ok("--json", "--url", filled, "stats", "--all-tenants")
    behind = cli.ok("--url", filled, "stats", "--all-tenants", "--json")
    assert before == behind
    assert 450 == before.lines[0]["total"]


def test_the_url_behind_the_command_counts_more_than_that_before(cli: Cli, filled: str) -> None:
    where = ("stats", "--all-tenants", "--json")
    assert 450 == cli.ok("--url", "sqlite:////no/x.db", *where, "--url", filled).lines[0]["total"]


def test_without_a_url_the_log_is_a_file_in_the_current_folder(
    cli: Cli, write: Write, cwd: Path
) -> None:
    cli.ok("ingest", write(jsonl([line(1)])))
    assert 1 == cli.ok("stats", "--all-tenants", "--json").lines[0]["total"]
    for path in cwd.iterdir():
        assert path.name.startswith("activity.db")
        path.unlink()


_ENTRY = "import sys; from structlog_activity.cli import main; sys.exit(main())"


def test_the_module_and_the_installed_command_are_the_same(filled: str) -> None:
    """The command as `pip` writes it for the entry point of pyproject.toml."""
    scripts = (ROOT / "pyproject.toml").read_text()
    assert 'structlog-activity = "structlog_activity.cli:main"' in scripts
    arguments = ("--url", filled, "feed", "--tenant", "acme", "--limit", "3")
    done = subprocess.run(
        [sys.executable, "-c", _ENTRY, *arguments],
        capture_output=True, text=True, env=environment(), timeout=LIMIT, check=False,
    )  # fmt: skip
    module = run(*arguments)
    assert (module.code, module.out, module.err) == (done.returncode, done.stdout, done.stderr)
    assert 4 == len(module.out.splitlines())


def test_version_and_help_are_printed(cli: Cli) -> None:
    version, help_ = cli.ok("--version"), cli.ok("--help")
    assert f"{structlog_activity.__version__}\n" == version.out
    for word in ("migrate", "feed", "stats", "export", "ingest", "demo", "STRUCTLOG_ACTIVITY_URL"):
        assert word in help_.out


@pytest.mark.parametrize("arguments", [(), ("nonsense",), ("ingest",), ("--json",)])
def test_a_command_line_that_is_incomplete_is_a_usage_error(
    cli: Cli, arguments: tuple[str, ...]
) -> None:
    result = cli(*arguments)
    assert (2, "") == (result.code, result.out)
    assert "usage: structlog-activity" in result.err


# -- databases that can't be used -----------------------------------------------

BAD_URLS = (
    f"postgresql://app:{PASSWORD}@127.0.0.1:1/app",
    f"postgresql://app:{PASSWORD}@no-such-host.invalid/app",
    f"postgresql://app:{PASSWORD}%zz%@127.0.0.1:1/app",
    f"postgresql://app:{PASSWORD}@127.0.0.1:1/app?no_such_option={PASSWORD}",
    f"postgresql://app:{PASSWORD}@127.0.0.1:1/app?sslmode={PASSWORD}",
    f"postgresql://app:{PASSWORD}@127.0.0.1:99999/app",
    f"postgresql://app@127.0.0.1:1/app?password={PASSWORD}",
    f"postgresql://app:{PASSWORD}@host:port/app",
    f"postgresql://app:{PASSWORD}@[::1/app",
    f"postgresql//app:{PASSWORD}@host/app",
    f"mysql://app:{PASSWORD}@host/app",
    f"{PASSWORD}%",
    f"%{PASSWORD}%s%(x)s",
)


@pytest.mark.parametrize("bad", BAD_URLS)
@pytest.mark.parametrize(
    "command", [("feed", "--all-tenants"), ("migrate",), ("migrate", "--status"), ("demo",)]
)
def test_a_database_that_can_not_be_used_is_told_in_one_line_without_the_password(
    cli: Cli, bad: str, command: tuple[str, ...]
) -> None:
    result = cli("--url", bad, *command)
    assert (3, "") == (result.code, result.out)
    assert result.err.startswith("structlog-activity: error: ")
    assert 1 == result.err.count("\n")
    assert PASSWORD not in result.err


@pytest.mark.parametrize("bad", BAD_URLS[1:4])
def test_no_process_shows_the_password_of_a_database_it_can_not_use(bad: str, write: Write) -> None:
    result = run("ingest", write(many(1)), STRUCTLOG_ACTIVITY_URL=bad)
    assert (3, "") == (result.code, result.out)
    assert PASSWORD not in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize("command", [("feed", "--all-tenants"), ("migrate",)])
def test_a_role_that_does_not_exist_and_a_database_that_does_not(
    cli: Cli, postgres_url: str, command: tuple[str, ...]
) -> None:
    stranger = make_url(postgres_url).set(username="nobody", password=PASSWORD)
    nowhere = make_url(postgres_url).set(database="no_such_database")
    for url in (stranger, nowhere):
        result = cli("--url", url.render_as_string(hide_password=False), *command)
        assert (3, "") == (result.code, result.out)
        assert PASSWORD not in result.err


@pytest.mark.parametrize("path", [".", "no/such/folder/activity.db"])
def test_a_sqlite_file_that_can_not_be_opened_is_unreachable(
    cli: Cli, tmp_path: Path, write: Write, path: str
) -> None:
    url = f"sqlite:///{tmp_path / path}"
    assert 3 == cli("--url", url, "ingest", write(many(1))).code
    assert 3 == cli("--url", url, "feed", "--all-tenants").code


def test_a_file_that_is_no_database_is_left_as_it_is(cli: Cli, write: Write) -> None:
    file = write(many(50))
    for command in (("feed", "--all-tenants"), ("migrate",), ("ingest", file)):
        assert 3 == cli("--url", f"sqlite:///{file}", *command).code
    assert many(50) == file.read_bytes()


# -- pipes ----------------------------------------------------------------------


@pytest.mark.parametrize("command", [("export",), ("feed", "--limit", "9999", "--json")])
def test_a_reader_that_goes_away_ends_the_command_quietly(
    cli: Cli, sqlite_url: str, write: Write, command: tuple[str, ...]
) -> None:
    cli.ok("--url", sqlite_url, "ingest", write(many(1_000)))
    process = subprocess.Popen(
        [*COMMAND, "--url", sqlite_url, *command, "--all-tenants"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(),
    )  # fmt: skip
    assert process.stdout is not None
    first = process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    process.stderr.close()
    assert "id" in json.loads(first)
    assert (141, b"") == (process.wait(LIMIT), err)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux only")
@pytest.mark.parametrize("command", ["feed", "export", "stats"])
def test_an_output_that_is_full_is_told_in_one_line(filled: str, command: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*COMMAND, "--url", filled, command, "--all-tenants", "--json"],
            stdout=full, stderr=subprocess.PIPE, env=environment(), timeout=LIMIT, check=False,
        )  # fmt: skip
    last = done.stderr.decode().splitlines()[-1]
    assert 2 == done.returncode
    assert "structlog-activity: error: standard output can't be used: No space left on" in last
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr


def test_messages_come_behind_what_was_printed_before(filled: str) -> None:
    """Also where stdout and stderr are one file, and stdout is buffered."""
    done = subprocess.run(
        [*COMMAND, "--url", filled, "feed", "--all-tenants", "--limit", "2"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment(), timeout=LIMIT,
        check=True, text=True,
    )  # fmt: skip
    heading, *_, count, older = done.stdout.splitlines()
    assert heading.startswith("when (UTC)")
    assert "structlog-activity: 2 of 450 records" == count
    assert older.startswith("structlog-activity: older records: --after ")


# -- terminals ------------------------------------------------------------------

REWRITE = "\r\x1b[K"


def test_on_a_terminal_progress_is_one_line_that_is_gone_at_the_end(
    sqlite_url: str, write: Write
) -> None:
    code, text = run_on_terminal("--url", sqlite_url, "ingest", write(many(8_000)))
    *shown, last = text.split(REWRITE)
    assert 0 == code
    assert "8,000 lines: 8,000 records stored, 0 already there" in last
    assert "" == shown[0]
    assert len(shown) > 1
    for state in shown[1:]:
        assert re.fullmatch(r" *\d+ %  [\d,]+ lines, [\d,]+ a second, \d+ (min \d+ )?s left", state)


def test_in_a_pipe_there_are_no_control_characters(sqlite_url: str, write: Write) -> None:
    ingested = run("--url", sqlite_url, "ingest", write(many(8_000)))
    exported = run("--url", sqlite_url, "export", "--all-tenants")
    for result in (ingested, exported):
        assert 0 == result.code
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", result.out + result.err)
    assert 8_000 == len(exported.lines)


def test_on_a_terminal_rows_are_cut_to_its_width(cli: Cli, sqlite_url: str, write: Write) -> None:
    cli.ok("--url", sqlite_url, "ingest", write(jsonl([line(1, note="x" * 500)])))
    code, text = run_on_terminal("--url", sqlite_url, "feed", "--all-tenants", columns=60)
    heading, row, *_ = text.splitlines()
    assert (0, 60) == (code, len(row))
    assert len(heading) <= 60


class Tape:
    """A stream that is or is no terminal, and a clock that a test moves."""

    def __init__(self, *, terminal: bool) -> None:
        import io

        self.stream: IO[str] = io.StringIO()
        self.stream.isatty = lambda: terminal  # type: ignore[method-assign]
        self.now = 100.0

    def clock(self) -> float:
        return self.now

    @property
    def text(self) -> str:
        self.stream.seek(0)
        return self.stream.read()


@pytest.mark.parametrize(("terminal", "period"), [(True, 0.1), (False, 5.0)])
def test_progress_is_shown_no_more_often_than_it_should(terminal: bool, period: float) -> None:
    tape = Tape(terminal=terminal)
    progress = Progress("lines", 1_000, stream=tape.stream, clock=tape.clock)
    for step in range(1, 41):
        tape.now = 100 + step * (period / 4 + 1e-9)
        progress.update(step * 10, step * 10)
    assert 10 == tape.text.count(" left")


def test_progress_tells_what_is_done_how_fast_and_how_long_it_takes() -> None:
    tape = Tape(terminal=False)
    progress = Progress("lines", 1_000, stream=tape.stream, clock=tape.clock)
    tape.now = 110.0
    progress.update(5_000, 100)
    tape.now = 120.0
    progress.update(6_000)
    progress.finish()
    first = " 10 %  5,000 lines, 500 a second, 1 min 30 s left\n"
    assert first + "6,000 lines, 300 a second\n" == tape.text


def test_progress_of_quick_work_is_not_shown_at_all() -> None:
    tape = Tape(terminal=True)
    progress = Progress("lines", 1_000, stream=tape.stream, clock=tape.clock)
    progress.update(500, 500)
    progress.finish()
    assert "" == tape.text


# -- signals --------------------------------------------------------------------


def test_an_interrupted_ingest_keeps_what_it_stored_and_another_completes_it(
    cli: Cli, url: str, tmp_path: Path, write: Write
) -> None:
    """The lines come through a pipe that stays open, so the signal meets a running command."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    process = subprocess.Popen(
        [*COMMAND, "--url", url, "ingest", "--json", str(fifo)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(),
    )  # fmt: skip
    with fifo.open("wb") as feeder:
        feeder.write(many(2_200))
        feeder.flush()
        while cli("--url", url, "stats", "--all-tenants", "--json").lines[0]["total"] < 2_000:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=LIMIT)
    kept = cli.ok("--url", url, "stats", "--all-tenants", "--json").lines[0]["total"]
    assert (130, b"structlog-activity: interrupted\n") == (process.returncode, err)
    assert kept == counts(out.decode())["stored"] == 2_000
    again = cli.ok("--url", url, "ingest", "--json", write(many(2_500)))
    assert 500 == counts(again.out)["stored"]
    assert 2_000 == counts(again.out)["already_there"]


def test_an_interrupt_within_a_batch_leaves_nothing_of_it(
    cli: Cli, postgres_url: str, write: Write
) -> None:
    """Somebody else's lock holds the batch up; the half-done one is not touched again."""
    cli.ok("--url", postgres_url, "migrate")
    dsn = make_url(postgres_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(dsn) as locker, psycopg.connect(dsn, autocommit=True) as watcher:
        locker.execute("LOCK TABLE user_activity_daily IN EXCLUSIVE MODE")
        process = subprocess.Popen(
            [*COMMAND, "--url", postgres_url, "ingest", "--json", str(write(many(1_200)))],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(),
        )  # fmt: skip
        while not watcher.execute(
            "SELECT 1 FROM pg_locks WHERE NOT granted AND database ="
            " (SELECT oid FROM pg_database WHERE datname = current_database())"
        ).fetchone():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=LIMIT)
    assert (130, b"structlog-activity: interrupted\n") == (process.returncode, err)
    assert 0 == counts(out.decode())["stored"]
    assert "" == cli.ok("--url", postgres_url, "export", "--all-tenants").out
    again = cli.ok("--url", postgres_url, "ingest", "--json", write(many(1_200)))
    assert (1_200, 0) == (counts(again.out)["stored"], counts(again.out)["already_there"])


# -- outputs that are closed ----------------------------------------------------


def closing(redirection: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", f'exec "$0" "$@" {redirection}', *COMMAND, *arguments],
        capture_output=True, env=environment(), timeout=LIMIT, check=False, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("command", ["feed", "export", "stats"])
def test_an_output_that_is_closed_is_told_in_one_line(filled: str, command: str) -> None:
    done = closing(">&-", "--url", filled, command, "--all-tenants")

    assert (2, "") == (done.returncode, done.stdout)
    assert "error: standard output can't be used: Bad file descriptor" in done.stderr
    assert "Traceback" not in done.stderr


def test_who_prints_nothing_needs_no_output(filled: str, tmp_path: Path) -> None:
    target = tmp_path / "checkpoints"

    done = closing("<&- >&- 2>&-", "--url", filled, "checkpoint", str(target))

    assert 0 == done.returncode
    assert 1 == len(target.read_text().splitlines())


def test_what_is_said_for_people_never_gets_into_data(filled: str) -> None:
    done = closing("2>&-", "--url", filled, "feed", "--all-tenants", "--json", "--limit", "3")

    assert 0 == done.returncode
    assert ["id"] * 3 == [next(iter(json.loads(line))) for line in done.stdout.splitlines()]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux only")
def test_a_file_that_is_full_is_named(cli: Cli, filled: str) -> None:
    done = cli("--url", filled, "export", "--all-tenants", "-o", "/dev/full")

    assert 2 == done.code
    assert "error: /dev/full can't be used: No space left on device" in done.err
