"""Fixtures for the tests of the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.commands import Cli, jsonl, line


@pytest.fixture(autouse=True)
def cwd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current folder, in which nothing may be left; no URL in the environment."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("STRUCTLOG_ACTIVITY_URL", raising=False)
    yield folder
    assert [] == sorted(folder.iterdir())


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capsys)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'activity.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest) -> str:
    """A database without tables, and a file of SQLite that is not there yet."""
    name = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    url: str = request.getfixturevalue(name)
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """A database with tables and no records, of each kind."""
    name = "sqlite_log" if request.param == "sqlite" else "tables_url"
    url: str = request.getfixturevalue(name)
    return url


@pytest.fixture
def sqlite_log(sqlite_url: str, cli: Cli) -> str:
    """A SQLite file with tables and no records."""
    cli.ok("--url", sqlite_url, "migrate")
    return sqlite_url


@pytest.fixture
def write(tmp_path: Path) -> Callable[[bytes], Path]:
    """Put bytes into a file."""

    def put(content: bytes) -> Path:
        path = tmp_path / "app.log.jsonl"
        path.write_bytes(content)
        return path

    return put


@pytest.fixture
def filled(sqlite_url: str, cli: Cli, write: Callable[[bytes], Path]) -> str:
    """A SQLite log of 450 records of "acme", object ids 0 to 449 by time."""
    cli.ok("--url", sqlite_url, "ingest", write(jsonl([line(n) for n in range(450)])))
    return sqlite_url
