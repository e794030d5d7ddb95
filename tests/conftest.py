"""Fixtures for all tests."""

from __future__ import annotations

import signal

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hypothesis import HealthCheck, settings

from structlog_activity import ActivityLog
from structlog_activity.capture.faults import forget_faults
from tests.support.fixtures import (
    migrated_url,
    postgres_server,
    postgres_url,
    tables_url,
    template_url,
)
from tests.support.standstill import witness
from tests.support.stores import (
    KEY,
    Store,
    empty_log,
    memory_store,
    postgresql_store,
    sqlite_store,
)


__all__ = ["migrated_url", "postgres_server", "postgres_url", "tables_url", "template_url"]

# A shell without job control has background jobs ignore it, and so would the
# programs that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says more of the machine than of the code.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def no_faults_of_others() -> None:
    """Count the faults of each test from none: they are counted for the whole process."""
    forget_faults()


@pytest.fixture(scope="session", autouse=True)
def watched_machine() -> None:
    """Have somebody look at the clock before anything is timed."""
    witness()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of its own, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'activity.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture(params=["sqlite", "postgresql"])
def ready_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of its own with the tables in it, of each kind."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("tables_url"))
    url = f"sqlite:///{tmp_path / 'activity.db'}"
    with ActivityLog(url) as activity:
        activity.migrate()
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def activity(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ActivityLog]:
    """An empty log on each of the two databases, which signs its seals."""
    with empty_log(request, tmp_path, key=KEY) as found:
        yield found


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Each of the three stores, empty."""
    with _store(request, tmp_path) as found:
        yield found


@pytest.fixture(params=["sqlite", "postgresql"])
def sql_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Each of the two databases, empty."""
    with _store(request, tmp_path) as found:
        yield found


@contextmanager
def _store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "memory":
        yield memory_store()
    elif request.param == "sqlite":
        with sqlite_store(tmp_path) as found:
            yield found
    else:
        request.getfixturevalue("postgres_server").ensure_running()
        with postgresql_store(request.getfixturevalue("migrated_url")) as found:
            yield found
