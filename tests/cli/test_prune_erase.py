"""The commands ``prune`` and ``erase``, and what is exported of a person."""

from __future__ import annotations

import csv
import io
import json
import subprocess

from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from structlog_activity import ActivityLog
from structlog_activity.store.locks import MAINTENANCE
from tests.cli.commands import COMMAND, Cli, environment, run_on_terminal
from tests.support.records import record
from tests.support.stores import store_old


NOW = datetime.now(UTC)


class Terminal(io.StringIO):
    """A standard input at which somebody sits."""

    def isatty(self) -> bool:
        return True


def fill(url: str, *ages: int, **fields: object) -> None:
    """Store a record for each age in days."""
    with ActivityLog(url) as activity:
        for age in ages:
            activity.log(record(occurred_at=NOW - timedelta(days=age), **fields))


def left(cli: Cli, url: str) -> int:
    found: int = json.loads(cli.ok("--url", url, "stats", "--tenant", "acme", "--json").out)[
        "total"
    ]
    return found


def test_old_records_go_when_told_so(cli: Cli, url: str) -> None:
    fill(url, 400, 300, 1)

    found = cli.ok("--url", url, "prune", "--older-than", "365d", "--yes")

    assert found.out.startswith("1 records from before ")
    assert 2 == left(cli, url)
    cli.ok("--url", url, "verify")


def test_what_is_older_than_a_day_of_the_calendar_goes(cli: Cli, sqlite_log: str) -> None:
    fill(sqlite_log, 400, 1)
    day = f"{NOW - timedelta(days=365):%Y-%m-%d}"

    found = cli.ok("--url", sqlite_log, "prune", "--older-than", day, "--yes")

    assert f"1 records from before {day} 00:00 UTC deleted\n" == found.out
    assert 1 == left(cli, sqlite_log)


def test_months_that_went_as_a_whole_are_named(cli: Cli, tables_url: str) -> None:
    cli.ok("--url", tables_url, "maintain")  # Which makes the month of the record.
    old = NOW - timedelta(days=400)
    with ActivityLog(tables_url) as activity:
        store_old(activity, [record(occurred_at=old)])

    found = cli.ok("--url", tables_url, "prune", "--older-than", "300d", "--yes")

    assert f"{old:%Y-%m}" in found.out.splitlines()[-1]
    assert "dropped as a whole: " in found.out


def test_who_comes_while_another_prunes_is_told_and_takes_nothing(
    cli: Cli, tables_url: str
) -> None:
    fill(tables_url, 400)
    with psycopg.connect(tables_url.replace("+psycopg", "")) as other:
        other.execute(f"SELECT pg_advisory_lock({MAINTENANCE})")

        found = cli("--url", tables_url, "prune", "--older-than", "365d", "--yes")

    assert (0, "") == (found.code, found.out)
    assert "another process prunes or maintains; nothing was done" in found.err
    assert 1 == left(cli, tables_url)


def test_nothing_goes_without_a_word(cli: Cli, sqlite_log: str) -> None:
    fill(sqlite_log, 400)

    found = cli("--url", sqlite_log, "prune", "--older-than", "365d")

    assert (2, "") == (found.code, found.out)
    assert "would delete 1 records from before" in found.err
    assert "--yes" in found.err
    assert 1 == left(cli, sqlite_log)


@pytest.mark.parametrize(("typed", "code", "rows"), [("yes\n", 0, 0), ("y\n", 2, 1), ("", 2, 1)])
def test_on_a_terminal_it_asks(
    cli: Cli,
    sqlite_log: str,
    monkeypatch: pytest.MonkeyPatch,
    typed: str,
    code: int,
    rows: int,
) -> None:
    fill(sqlite_log, 400)
    monkeypatch.setattr("sys.stdin", Terminal(typed))

    found = cli("--url", sqlite_log, "prune", "--older-than", "365d")

    assert code == found.code
    assert "delete 1 records" in found.err
    assert rows == left(cli, sqlite_log)


def test_a_dry_run_only_counts(cli: Cli, url: str) -> None:
    fill(url, 400, 1)

    (found,) = cli.ok("--url", url, "prune", "--older-than", "52w", "--dry-run", "--json").lines

    assert (1, True, True) == (found["rows"], found["is_dry_run"], found["ok"])
    assert 2 == left(cli, url)


def test_a_floor_and_a_scope_narrow_it(cli: Cli, sqlite_log: str) -> None:
    fill(sqlite_log, 400, 50, channel="a")
    fill(sqlite_log, 400, channel="b")
    command = ("--url", sqlite_log, "prune", "--older-than", "7d", "--yes", "--floor", "90d")

    found = cli.ok(*command, "--channel", "a")
    assert "1 records" in found.out
    assert "floor" in found.err
    assert "1 records" in cli.ok(*command, "--tenant", "acme").out
    assert 1 == left(cli, sqlite_log)
    cli.ok("--url", sqlite_log, "verify")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (("--older-than", "1x"), "error: older-than='1x': can't be read"),
        (("--older-than", ""), "error: older-than='': can't be read"),
        (("--older-than", "9d", "--floor", "x"), "error: floor='x': an age is needed"),
    ],
)
def test_an_age_that_is_none_is_refused_by_its_name(
    cli: Cli, sqlite_log: str, wrong: tuple[str, ...], words: str
) -> None:
    found = cli("--url", sqlite_log, "prune", "--yes", *wrong)

    assert (2, True) == (found.code, words in found.err), found.err


def test_a_person_is_erased_when_told_so(cli: Cli, url: str) -> None:
    fill(url, 2, 1, actor_id="ana")
    fill(url, 1, actor_id="bob")
    command = ("--url", url, "erase", "--tenant", "acme", "--involving", "ana", "--reason", "asked")

    (dry,) = cli.ok(*command, "--dry-run", "--json").lines
    refused = cli(*command)
    done = cli.ok(*command, "--yes")
    (again,) = cli.ok(*command, "--yes", "--json").lines

    assert (2, 1, 0) == (dry["rows"], dry["tenants"], again["rows"])
    assert 2 == refused.code
    assert "would erase 2 records" in refused.err
    assert "2 records of 1 tenants erased, 0 on disk\n" == done.out
    assert (
        "1 of 1 records" in cli.ok("--url", url, "feed", "--tenant", "acme", "--actor", "bob").err
    )
    cli.ok("--url", url, "verify")


def test_what_another_process_holds_is_told_by_the_code(
    cli: Cli, sqlite_log: str, tmp_path: Path
) -> None:
    spool = tmp_path / "spool"
    with ActivityLog(sqlite_log, durability="wal", spool_dir=spool) as running:
        running.log(record(actor_id="ana"))
        assert running.flush(20)
        found = cli(
            "--url", sqlite_log, "erase", "--all-tenants", "--actor", "ana", "--reason", "asked",
            "--spool-dir", spool, "--yes",
        )  # fmt: skip

    assert 1 == found.code
    assert "problem: 1 records of the person wait in files" in found.out


def test_a_mistyped_spool_is_not_taken_for_one_without_records(
    cli: Cli, sqlite_log: str, tmp_path: Path
) -> None:
    fill(sqlite_log, 2, actor_id="ana")
    found = cli(
        "--url", sqlite_log, "erase", "--all-tenants", "--actor", "ana", "--reason", "asked",
        "--spool-dir", tmp_path / "mistyped", "--yes",
    )  # fmt: skip

    assert 2 == found.code
    assert "mistyped: there is no such folder" in found.err
    assert not (tmp_path / "mistyped").exists()
    assert "1 of 1 records" in cli.ok(*f"--url {sqlite_log} feed --all-tenants".split()).err


def test_erasing_wants_a_tenant_or_all_of_them(cli: Cli, sqlite_log: str) -> None:
    assert 2 == cli("--url", sqlite_log, "erase", "--actor", "ana", "--reason", "r").code


# -- export -----------------------------------------------------------------


def test_all_of_a_person_is_exported_across_tenants(cli: Cli, sqlite_log: str) -> None:
    fill(sqlite_log, 2, actor_id="ana")
    fill(sqlite_log, 1, user_id="ana", tenant_id="other")
    fill(sqlite_log, 1, actor_id="bob")

    found = cli.ok("--url", sqlite_log, "export", "--involving", "ana", "--all-tenants")

    assert 2 == len(found.lines)


HARMFUL = ["=1+1", "+1", "-1", "@sum", "\t=x", "\rx", " =x", "\ufeff=x", "＝x", "\n@x", "\tx"]  # noqa: RUF001
HARMLESS = ["x=1", "a-b", "'=x", '"', "a\nb", "", "1.5"]


@pytest.mark.parametrize(
    ("text", "prefix"), [(t, "'") for t in HARMFUL] + [(t, "") for t in HARMLESS]
)
def test_csv_holds_no_formula(text: str, prefix: str) -> None:
    from structlog_activity.cli.csvline import CSV_HEADING, csv_line

    one = record(object_id=text, data={"said": 'he said "x"\r\n'})
    for is_raw in (False, True):
        lines = f"{CSV_HEADING}\n{csv_line(one, io.StringIO(), is_raw=is_raw)}\n"
        (found,) = csv.DictReader(io.StringIO(lines, newline=""))
        assert found["object_id"] == ("" if is_raw else prefix) + text
        assert {"said": 'he said "x"\r\n'} == json.loads(found["data"])


def test_line_ends_within_a_field_are_single_ones() -> None:
    from structlog_activity.cli.csvline import csv_line

    assert "a\r\nb" not in csv_line(record(object_id="a\r\nb"), io.StringIO())


def test_csv_is_written_with_its_heading_once(cli: Cli, sqlite_log: str, tmp_path: Path) -> None:
    path, state = tmp_path / "out.csv", tmp_path / "state"
    command = ("--url", sqlite_log, "export", "--tenant", "acme", "--format", "csv", "-o", path)
    for _ in range(2):
        fill(sqlite_log, 1, object_id="=1")
        cli.ok(*command, "--since-last", state)

    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert ["'=1", "'=1"] == [row["object_id"] for row in rows]
    cli.ok(*command, "--raw")
    assert '"=1"' in path.read_text()


def test_csv_that_a_shell_appends_has_its_heading_once_too(sqlite_log: str, tmp_path: Path) -> None:
    path, state = tmp_path / "out.csv", tmp_path / "state"
    command = ("--url", sqlite_log, "export", "--tenant", "acme", "--format", "csv")

    for number in range(2):
        fill(sqlite_log, 1, object_id=str(number))
        with path.open("ab") as file:
            subprocess.run(
                [*COMMAND, *command, "--since-last", str(state)],
                stdout=file,
                env=environment(),
                check=True,
            )

    with path.open(newline="") as written:
        assert ["0", "1"] == [row["object_id"] for row in csv.DictReader(written)]


def test_a_terminal_gets_no_control_characters(sqlite_log: str) -> None:
    fill(sqlite_log, 1, object_id="\x1b[2J\u202ex")

    for how in ("csv", "jsonl"):
        code, out = run_on_terminal(
            "--url", sqlite_log, "export", "--tenant", "acme", "--format", how
        )
        assert 0 == code
        assert "[2J" in out
        assert "\x1b[2J" not in out
        assert "\u202e" not in out
