"""``maintain``: for a daily job, from everywhere at once."""

from __future__ import annotations

import json
import subprocess

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from tests.cli.commands import COMMAND, LIMIT, Cli, environment, jsonl, line, run
from tests.write.doubles import eventually


OLD = {"timestamp": "2026-03-14T12:00:00Z"}
WAITING = (
    "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
)


def plain(url: str) -> str:
    return url.replace("+psycopg", "")


def fill(cli: Cli, url: str, write: Callable[[bytes], Path]) -> None:
    cli.ok("--url", url, "ingest", write(jsonl([line(n) | OLD for n in range(3)])))


def test_closed_months_are_folded_once(cli: Cli, url: str, write: Callable[[bytes], Path]) -> None:
    fill(cli, url, write)

    first = cli.ok("--url", url, "maintain")
    second = cli.ok("--url", url, "maintain")

    assert "folded: 2026-03\n" in first.out
    assert "structlog-activity: folding the counts of 2026-03\n" in first.err
    assert ("nothing to do\n", "") == (second.out, second.err)
    assert '"total": 3' in cli.ok("--url", url, "stats", "--tenant", "acme", "--json").out


def test_json_says_the_same(cli: Cli, url: str, write: Callable[[bytes], Path]) -> None:
    fill(cli, url, write)

    (found,) = cli.ok("--url", url, "maintain", "--json").lines

    assert (["2026-03"], 1) == (found["months_folded"], found["counts_folded"])
    assert (True, False) == (found["ok"], found["is_busy"])


def test_findings_are_printed_and_told_by_the_exit_code(
    cli: Cli, postgres_url: str, write: Callable[[bytes], Path]
) -> None:
    cli.ok("--url", postgres_url, "migrate")
    with psycopg.connect(plain(postgres_url)) as connection:
        connection.execute(
            "INSERT INTO user_activity SELECT i, now() - interval '70 days', i, i, i, i, "
            "'a.b', 'c', '', '', '', '{}', 1, 1, sha256('of a test') FROM gen_random_uuid() i"
        )

    found = cli("--url", postgres_url, "maintain")
    mended = cli("--url", postgres_url, "maintain", "--history")

    assert 1 == found.code
    assert "problem: 1 records are older than the first month" in found.out
    assert "[partitions.past]\n    structlog-activity maintain --history" in found.out
    assert 0 == mended.code
    assert mended.out.startswith("made: ")


def test_without_tables_it_is_a_matter_of_the_schema(cli: Cli, postgres_url: str) -> None:
    assert 4 == cli("--url", postgres_url, "maintain").code


def test_a_file_that_is_not_there_is_not_made(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "none.db"

    assert 3 == cli("--url", f"sqlite:///{path}", "maintain").code
    assert not path.exists()


def test_it_runs_as_a_process(sqlite_log: str) -> None:
    done = run("--url", sqlite_log, "maintain", "--json")

    assert (0, "") == (done.code, done.err)
    assert {"is_busy", "months_made", "months_folded", "findings"} < set(json.loads(done.out))


def test_of_two_processes_one_works_and_the_other_says_so(
    cli: Cli, postgres_url: str, write: Callable[[bytes], Path]
) -> None:
    cli.ok("--url", postgres_url, "migrate")
    fill(cli, postgres_url, write)
    with (
        psycopg.connect(plain(postgres_url)) as holder,
        psycopg.connect(plain(postgres_url)) as eye,
    ):
        eye.autocommit = True
        holder.execute("LOCK TABLE user_activity_daily IN EXCLUSIVE MODE")
        first = subprocess.Popen(
            [*COMMAND, "--url", postgres_url, "maintain", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        )
        eventually(lambda: bool(eye.execute(WAITING).fetchall()), "waiting for the lock")
        second = run("--url", postgres_url, "maintain", "--json")
        holder.rollback()
    out, _ = first.communicate(timeout=LIMIT)

    assert 0 == second.code
    assert "another process is at it" in second.err
    assert (True, []) == picked(second.out.encode())
    assert (False, ["2026-03"]) == picked(out)
    assert 0 == first.returncode


def picked(out: bytes) -> tuple[Any, Any]:
    found = json.loads(out)
    return found["is_busy"], found["months_folded"]
