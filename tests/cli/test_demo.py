"""
The command ``demo``.
"""

from __future__ import annotations

import os
import subprocess

from pathlib import Path

import pytest

from tests.cli.commands import Cli, run


IDENTITY = {
    "GIT_AUTHOR_NAME": "Ann",
    "GIT_AUTHOR_EMAIL": "ann@example.org",
    "GIT_COMMITTER_NAME": "Ann",
    "GIT_COMMITTER_EMAIL": "ann@example.org",
    "GIT_COMMITTER_DATE": "2024-02-29T12:00:00+02:00",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}


class Checkout:
    """A git repository of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "--quiet")

    def git(self, *arguments: str, **extra: str) -> None:
        environment = os.environ | IDENTITY | extra
        subprocess.run(["git", *arguments], cwd=self.folder, env=environment, check=True)

    def commit(self, subject: str, **extra: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", subject, **extra)


@pytest.fixture
def checkout(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, cwd: Path
) -> Checkout:
    """A repository with two commits, which is the current folder; git looks no further up."""
    for name, value in IDENTITY.items():
        monkeypatch.setenv(name, value)
    made = Checkout(tmp_path_factory.mktemp("checkout"))
    (made.folder / "Übersicht.txt").write_text("a")
    (made.folder / "old.txt").write_text("b")
    made.commit("Begin")
    (made.folder / "Übersicht.txt").write_text("c")
    (made.folder / "old.txt").unlink()
    made.commit("Go on")
    monkeypatch.chdir(made.folder)
    return made


def test_the_history_around_becomes_log_calls_feed_and_statistics(
    cli: Cli, checkout: Checkout
) -> None:
    result = cli.ok("demo")
    assert "Logging the last 2 commits of the git history around you" in result.out
    assert "6 log calls made, 6 records stored\n" in result.out
    by_verb = "by verb\n  2  commit.authored\n  2  file.added\n  1  file.changed\n  1  file.removed"
    assert by_verb in result.out
    assert "file:Übersicht.txt" in result.out
    assert "2024-02-29 10:00:00  ann@example.org" in result.out
    assert "" == result.err
    assert not list(checkout.folder.glob("*.db*"))


def test_no_more_commits_are_taken_than_asked_for(cli: Cli, checkout: Checkout) -> None:
    out = cli.ok("demo", "--commits", 1).out
    assert "Logging the last 1 commits" in out
    assert "3 log calls made, 3 records stored\n" in out


@pytest.mark.parametrize("number", ["0", "-5", "all"])
def test_a_number_of_commits_that_makes_no_sense_is_a_usage_error(cli: Cli, number: str) -> None:
    result = cli("demo", "--commits", number)
    assert 2 == result.code
    assert f"{number!r} is not a whole number of 1 or more" in result.err


def test_odd_commits_do_no_harm(cli: Cli, checkout: Checkout) -> None:
    """Separators and escapes in a subject, an author without an address."""
    checkout.commit("odd \x1e\x1f\x1b[2J one", GIT_AUTHOR_EMAIL="")
    result = cli.ok("demo")
    assert "7 log calls made, 7 records stored\n" in result.out
    assert "\x1b" not in result.out


def test_with_a_url_the_records_are_kept_there(cli: Cli, url: str, checkout: Checkout) -> None:
    cli.ok("--url", url, "demo")
    stats = cli.ok("--url", url, "stats", "--tenant", "demo", "--json").lines
    assert 6 == stats[0]["total"]


def test_outside_of_any_repository_it_says_so_and_shows_built_in_activity(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(Path.cwd().parent))
    result = cli.ok("demo")
    assert result.out.startswith("No git history here (fatal: not a git repository")
    assert "6 log calls made, 6 records stored\n" in result.out
    assert "ana@example.org" in result.out
    assert "" == result.err


def test_a_repository_without_commits_counts_as_no_history(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    Checkout(empty)
    monkeypatch.chdir(empty)
    assert cli.ok("demo").out.startswith("No git history here (")


def test_without_git_it_says_so(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/no/such/folder")
    result = cli.ok("demo")
    assert result.out.startswith("No git history here (git is not installed); 6 built-in")
    assert "6 log calls made, 6 records stored\n" in result.out


def test_its_own_database_is_gone_afterwards(tmp_path: Path) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    assert 0 == run("demo", TMPDIR=str(folder), PATH="/no/such/folder").code
    assert [] == list(folder.iterdir())


def test_a_database_that_can_not_be_used_is_told_before_any_call(
    cli: Cli, postgres_url: str
) -> None:
    unreached = cli("--url", "postgresql://app:hunter2@127.0.0.1:1/app", "demo")
    no_tables = cli("--url", postgres_url, "demo")
    assert (3, "", 4, "") == (unreached.code, unreached.out, no_tables.code, no_tables.out)
    assert "hunter2" not in unreached.err
