"""The commands ``verify`` and ``checkpoint``."""

from __future__ import annotations

import json

from pathlib import Path

import pytest

from structlog_activity import ActivityLog
from tests.cli.commands import Cli
from tests.store.test_check_database import execute


def write(url: str, key: bytes | None = None) -> None:
    with ActivityLog(url, key=key) as activity:
        for number in range(3):
            activity.record("theme.updated", ("settings", number), tenant_id="acme")


def change(url: str) -> None:
    execute(url, "UPDATE user_activity SET verb = 'x.y' WHERE object_id = '1'")


def test_a_log_that_nobody_touched_is_as_it_was_written(cli: Cli, url: str) -> None:
    write(url)

    found = cli.ok("--url", url, "verify")

    assert "3 rows in 2 batches of 1 chains: as it was written\n" == found.out
    told = json.loads(cli.ok("--url", url, "verify", "--json").out)
    assert (True, [], 3) == (told["ok"], told["findings"], told["rows"])


def test_a_changed_record_is_printed_and_the_code_says_so(cli: Cli, url: str) -> None:
    write(url)
    change(url)

    found = cli("--url", url, "verify")

    assert 1 == found.code
    assert found.out.startswith("row.changed: batch ")
    assert "NOT as it was written" in found.out
    told = cli("--url", url, "verify", "--json")
    assert 1 == told.code
    assert 3 == len(json.loads(told.out)["findings"][0]["record_ids"])


def test_of_many_findings_twenty_are_printed_and_the_others_counted(
    cli: Cli, sqlite_log: str
) -> None:
    with ActivityLog(sqlite_log, batch_size=1) as activity:
        for number in range(25):
            activity.record("theme.updated", ("settings", number), tenant_id="acme")
    execute(sqlite_log, "UPDATE user_activity SET verb = 'x.y'")

    found = cli("--url", sqlite_log, "verify")

    assert 1 == found.code
    assert 20 == found.out.count("row.changed: ")
    assert "and 5 more; --json shows a thousand of them\n" in found.out
    assert 25 == len(json.loads(cli("--url", sqlite_log, "verify", "--json").out)["findings"])


def test_with_a_key_signatures_are_checked(cli: Cli, sqlite_log: str, tmp_path: Path) -> None:
    write(sqlite_log, b"secret")
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_bytes(b"secret\n")
    wrong.write_bytes(b"guess")

    assert "not checked" in cli.ok("--url", sqlite_log, "verify").err
    assert "" == cli.ok("--url", sqlite_log, "verify", "--key-file", right).err
    assert 1 == cli("--url", sqlite_log, "verify", "--key-file", wrong).code
    cli.ok("--url", sqlite_log, "verify", "--key-file", wrong, "--key-file", right)


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n"])
def test_an_empty_file_is_no_key(cli: Cli, sqlite_log: str, tmp_path: Path, content: bytes) -> None:
    write(sqlite_log, b"secret")
    empty = tmp_path / "key"
    empty.write_bytes(content)

    found = cli("--url", sqlite_log, "verify", "--key-file", empty)

    assert (2, "") == (found.code, found.out)
    assert "holds no key" in found.err


def test_a_checkpoint_is_appended_and_held_against_the_log(
    cli: Cli, url: str, tmp_path: Path
) -> None:
    path = tmp_path / "checkpoints.jsonl"
    write(url)
    assert "bytes appended" in cli.ok("--url", url, "checkpoint", path).err
    cli.ok("--url", url, "checkpoint", path)
    cli.ok("--url", url, "verify", "--checkpoint", path)
    cli.ok("--url", url, "verify", "--checkpoint", path, "--since-checkpoint")

    execute(url, "DELETE FROM user_activity", "DELETE FROM user_activity_batch")

    found = cli("--url", url, "verify", "--checkpoint", path)
    assert 1 == found.code
    assert found.out.startswith("chain.removed: chain ")


def test_a_checkpoint_can_go_to_stdout(cli: Cli, url: str) -> None:
    write(url)

    assert 1 == len(json.loads(cli.ok("--url", url, "checkpoint", "-").out)["heads"])


def test_postgresql_can_do_most_of_the_work(cli: Cli, url: str) -> None:
    write(url)
    if url.startswith("sqlite"):
        assert 2 == cli("--url", url, "verify", "--in-database").code
        with ActivityLog(url) as activity, pytest.raises(ValueError, match="PostgreSQL"):
            activity.verify(in_database=True)
        return
    assert "3 rows" in cli.ok("--url", url, "verify", "--in-database").out

    change(url)

    assert 1 == cli("--url", url, "verify", "--in-database").code


def test_what_can_not_be_checked_is_no_finding(cli: Cli, empty_url: str, tmp_path: Path) -> None:
    is_file = empty_url.startswith("sqlite")
    assert (3 if is_file else 4) == cli("--url", empty_url, "verify").code
    cli.ok("--url", empty_url, "migrate")

    assert 2 == cli("--url", empty_url, "verify", "--checkpoint", tmp_path / "none").code
    assert 2 == cli("--url", empty_url, "verify", "--since-checkpoint").code
    assert 2 == cli("--url", empty_url, "verify", "--key-file", tmp_path / "none").code
    assert 3 == cli("--url", "postgresql://x@127.0.0.1:1/x", "verify").code
