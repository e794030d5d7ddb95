"""Fixtures for the tests of how records wait."""

from __future__ import annotations

import sys

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from structlog_activity.testing import MemoryRepository
from structlog_activity.write.buffer import BufferedRepository
from tests.write.doubles import Gate, assert_accounts, eventually, writers
from tests.write.hosts import Host, host_on
from tests.write.scripts import Programs


MakeBuffer = Callable[..., BufferedRepository]


@pytest.fixture
def make_buffer() -> Iterator[MakeBuffer]:
    """What makes buffers; after the test they are closed and their accounts audited."""
    made: list[tuple[BufferedRepository, MemoryRepository]] = []

    def make(repository: MemoryRepository, **options: Any) -> BufferedRepository:
        buffer = BufferedRepository(repository, **{"linger": 0.0, **options})
        made.append((buffer, repository))
        return buffer

    yield make
    for buffer, repository in made:
        if isinstance(repository, Gate):
            repository.open()
        buffer.close(5)
    eventually(lambda: not writers(), "the end of the writers")
    for buffer, repository in made:
        assert_accounts(buffer, repository)


@pytest.fixture
def busy_threads() -> Iterator[None]:
    """Let threads take turns as often as can be, so that those that race do meet."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    """What runs programs that record into a file of this test's own."""
    return Programs(tmp_path)


@pytest.fixture(params=["memory", "wal", "fsync"])
def leveled(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Programs]:
    """The same in each durability; when they have ended, nothing is left on disk."""
    programs = Programs(tmp_path, durability=request.param)
    yield programs
    assert programs.spooled == []


@pytest.fixture(params=["sqlite", "postgresql"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    """An application on each of the two databases."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'app.db'}"
    else:
        request.getfixturevalue("postgres_server").ensure_running()
        url = request.getfixturevalue("migrated_url")
    with host_on(url) as found:
        yield found
