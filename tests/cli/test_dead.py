"""
The commands about dead letters.
"""

from __future__ import annotations

import json

from pathlib import Path

import pytest

from sqlalchemy import text

from structlog_activity import ActivityLog
from structlog_activity.store.engine import make_engine, parse_url
from tests.cli.commands import Cli


REFUSE = {
    "sqlite": "CREATE TRIGGER refuse BEFORE INSERT ON user_activity WHEN NEW.channel = 'bad' "
    "BEGIN SELECT RAISE(ABORT, 'secret'); END",
    "postgresql": "ALTER TABLE user_activity ADD CONSTRAINT refuse CHECK (channel <> 'bad')",
}
ALLOW = {
    "sqlite": "DROP TRIGGER refuse",
    "postgresql": "ALTER TABLE user_activity DROP CONSTRAINT refuse",
}


def do(url: str, statements: dict[str, str]) -> None:
    engine = make_engine(parse_url(url))
    with engine.begin() as connection:
        connection.execute(text(statements[engine.dialect.name]))
    engine.dispose()


@pytest.fixture
def spool(url: str, tmp_path: Path) -> Path:
    """A spool with two dead letters, of three records."""
    do(url, REFUSE)
    with ActivityLog(url, spool_dir=tmp_path / "spool") as activity:
        for number, channel in enumerate(("bad", "good", "bad")):
            activity.record("theme.changed", ("theme", number), tenant_id="acme", channel=channel)
        assert activity.flush(20) is False
        counts = activity.counters()
        assert (counts["written"], counts["dead"]) == (1, 2)
    return tmp_path / "spool"


def dead(cli: Cli, url: str, spool: Path, action: str, *more: object) -> list[dict[str, object]]:
    return cli.ok("--url", url, "dead", action, *more, "--spool-dir", spool, "--json").lines


def test_they_are_listed_and_shown(cli: Cli, url: str, spool: Path) -> None:
    table = cli.ok("--url", url, "dead", "list", "--spool-dir", spool)
    assert "theme:0" in table.out
    assert "2 dead letters" in table.err
    assert "secret" not in table.out + table.err
    for letter in dead(cli, url, spool, "list"):
        row = letter["row"]
        assert isinstance(row, dict)
        (shown,) = dead(cli, url, spool, "show", letter["id"])
        assert {"id": row["id"], **shown} == letter
        assert json.loads(row["data"]) == {"_raw": {"tenant_id": "acme"}}


def test_they_are_tried_again_and_stay_while_they_are_refused(
    cli: Cli, url: str, spool: Path
) -> None:
    refused = cli("--url", url, "dead", "retry", "--spool-dir", spool)
    assert (1, "0 dead letters stored, 2 refused again") == (refused.code, last(refused.err))
    do(url, ALLOW)
    assert [{"stored": 2, "refused": 0}] == dead(cli, url, spool, "retry")
    assert [] == dead(cli, url, spool, "list")
    feed = cli.ok("--url", url, "feed", "--tenant", "acme", "--json").objects
    assert ["0", "1", "2"] == sorted(feed)


def test_one_is_tried_again_by_its_id(cli: Cli, url: str, spool: Path) -> None:
    do(url, ALLOW)
    first, second = (letter["row"]["id"] for letter in dead(cli, url, spool, "list"))  # type: ignore[index]
    assert [{"stored": 1, "refused": 0}] == dead(cli, url, spool, "retry", first)
    (left,) = dead(cli, url, spool, "list")
    assert second == left["row"]["id"]  # type: ignore[index]


def test_they_are_deleted(cli: Cli, url: str, spool: Path) -> None:
    first, _ = (letter["row"]["id"] for letter in dead(cli, url, spool, "list"))  # type: ignore[index]
    dead(cli, url, spool, "purge", first)
    assert 1 == len(dead(cli, url, spool, "list"))
    dead(cli, url, spool, "purge", "--all")
    assert [] == dead(cli, url, spool, "list")


def test_a_file_that_is_no_letter_is_told_and_keeps_nobody_from_the_others(
    cli: Cli, url: str, spool: Path
) -> None:
    first, second = dead(cli, url, spool, "list")
    (folder,) = {path.parent for path in spool.rglob(f"{first['id']}.json")}
    (folder / "torn.json").write_text('{"row": {', encoding="utf-8")
    where = ("--url", url, "dead")

    listed = cli(*where, "list", "--spool-dir", spool, "--json")
    assert (1, [first, second]) == (listed.code, listed.lines)
    assert "dead letter 'torn' can't be read" in listed.err
    assert 2 == cli(*where, "show", "torn", "--spool-dir", spool).code
    do(url, ALLOW)
    tried = cli(*where, "retry", "--spool-dir", spool, "--json")
    assert (1, [{"stored": 2, "refused": 0}]) == (tried.code, tried.lines)
    assert "dead letter 'torn' can't be read" in tried.err
    assert 0 == cli(*where, "purge", "--all", "--spool-dir", spool).code
    assert [] == dead(cli, url, spool, "list")


@pytest.mark.parametrize("action", ["show", "retry", "purge"])
def test_an_id_that_is_none_is_a_mistake(cli: Cli, url: str, spool: Path, action: str) -> None:
    result = cli("--url", url, "dead", action, "no-such", "--spool-dir", spool)
    assert 2 == result.code
    assert "error: there is no dead letter 'no-such': see `dead list`" == last(result.err)


@pytest.mark.parametrize("action", [["list"], ["show", "x"], ["retry"], ["purge", "--all"]])
def test_a_folder_that_is_not_there_is_a_mistake_and_is_not_made(
    cli: Cli, sqlite_log: str, tmp_path: Path, action: list[str]
) -> None:
    folder = tmp_path / "mistyped"
    result = cli("--url", sqlite_log, "dead", *action, "--spool-dir", folder)
    assert (2, "") == (result.code, result.out)
    assert f"error: --spool-dir {folder}: there is no such folder" == last(result.err)
    assert not folder.exists()


@pytest.mark.parametrize("action", [["list"], ["retry"], ["purge", "--all"]])
def test_the_spool_of_the_environment_may_be_still_to_come(
    cli: Cli,
    sqlite_log: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    action: list[str],
) -> None:
    folder = tmp_path / "later"
    monkeypatch.setenv("STRUCTLOG_ACTIVITY_SPOOL_DIR", str(folder))
    assert last(cli.ok("--url", sqlite_log, "dead", *action).err).startswith("0 dead letters")
    assert not folder.exists()


def test_without_a_spool_there_is_none(cli: Cli, sqlite_log: str) -> None:
    result = cli("--url", sqlite_log, "dead", "list")
    assert 2 == result.code
    assert "--spool-dir" in result.err


def last(text_: str) -> str:
    return text_.splitlines()[-1].removeprefix("structlog-activity: ")
