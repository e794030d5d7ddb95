"""Fixtures for the tests of how records rest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sqlalchemy import Engine

from tests.store.sealed import SealedLog, sealed_postgresql, sealed_sqlite
from tests.support.stores import opened


@pytest.fixture
def server(tables_url: str) -> Iterator[Engine]:
    """A database of PostgreSQL with tables."""
    with opened(tables_url) as engine:
        yield engine


@pytest.fixture(params=["sqlite", "postgresql"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SealedLog]:
    """A sealed log on each of the two databases."""
    if request.param == "sqlite":
        with sealed_sqlite(tmp_path) as found:
            yield found
    else:
        request.getfixturevalue("postgres_server").ensure_running()
        with sealed_postgresql(request.getfixturevalue("migrated_url"), tmp_path) as found:
            yield found
