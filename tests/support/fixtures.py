"""
Pytest fixtures around the PostgreSQL test server; ``tests/conftest.py`` imports them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.support.postgres import PostgresServer


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """
    One PostgreSQL server for the whole session; fails, and does not skip, where there is none.
    """
    with closing(PostgresServer.start()) as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """
    The URL of a fresh, empty database that is dropped after the test.
    """
    postgres_server.ensure_running()
    url = postgres_server.create_database()
    yield url
    postgres_server.ensure_running()
    postgres_server.drop_database(url)
