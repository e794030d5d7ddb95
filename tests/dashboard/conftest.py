"""A log of a handful of records, and the dashboard that shows it."""

from __future__ import annotations

import shutil

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from structlog_activity import ActivityLog
from tests.dashboard.shown import KEY, Shown, fill, fill_hostile


@contextmanager
def opened(file: Path) -> Iterator[ActivityLog]:
    with ActivityLog(f"sqlite:///{file}", key=KEY, linger=0.001) as found:
        found.migrate()
        yield found


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[ActivityLog]:
    """A log without a record."""
    with opened(tmp_path / "activity.db") as found:
        yield found


@pytest.fixture(scope="session")
def days_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a few days of activity, which nobody may write to."""
    file = tmp_path_factory.mktemp("days") / "activity.db"
    with opened(file) as found:
        fill(found)
    return file


@pytest.fixture(scope="session")
def log(days_file: Path) -> Iterator[ActivityLog]:
    """A log with a few days of activity, of all tests, which only read it."""
    with opened(days_file) as found:
        yield found


@pytest.fixture
def own(days_file: Path, tmp_path: Path) -> Iterator[ActivityLog]:
    """A log with a few days of activity, of one test, which may write."""
    shutil.copy(days_file, tmp_path / "own.db")
    with opened(tmp_path / "own.db") as found:
        yield found


@pytest.fixture(scope="session")
def hostile_log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ActivityLog]:
    """A log of what somebody wrote who wants to do harm; tests only read it."""
    file = tmp_path_factory.mktemp("hostile") / "activity.db"
    with opened(file) as found:
        fill_hostile(found)
    # One that only reads has no thread, whose end other tests would wait for.
    with opened(file) as found:
        yield found


@pytest.fixture
def shown(log: ActivityLog) -> Iterator[Shown]:
    """The dashboard of the log that is only read."""
    with Shown(log) as found:
        yield found
