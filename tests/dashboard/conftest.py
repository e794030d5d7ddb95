"""A log of a handful of records, and the dashboard that shows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from structlog_activity import ActivityLog
from tests.dashboard.shown import KEY, Shown, fill


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[ActivityLog]:
    """A log without a record."""
    url = f"sqlite:///{tmp_path / 'activity.db'}"
    with ActivityLog(url, key=KEY, linger=0.001) as found:
        found.migrate()
        yield found


@pytest.fixture
def log(empty: ActivityLog) -> ActivityLog:
    """A log with a few days of activity."""
    fill(empty)
    return empty


@pytest.fixture
def shown(log: ActivityLog) -> Iterator[Shown]:
    """The dashboard of that log."""
    with Shown(log) as found:
        yield found
