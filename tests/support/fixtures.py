"""
Pytest fixtures around the PostgreSQL test server; ``tests/conftest.py`` imports them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from structlog_activity.store.engine import make_engine, parse_url
from structlog_activity.store.schema import Schema
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


@pytest.fixture(scope="session")
def template_url(postgres_server: PostgresServer) -> str:
    """
    A database with the tables in it, which is only there to be copied.
    """
    postgres_server.ensure_running()
    url = postgres_server.create_database()
    engine = make_engine(parse_url(url))
    Schema(engine).migrate()
    engine.dispose()
    return url


@pytest.fixture(scope="session")
def migrated_url(postgres_server: PostgresServer, template_url: str) -> str:
    """
    A database with the tables in it, shared by tests that empty them first.
    """
    postgres_server.ensure_running()
    return postgres_server.create_database(template_url)


@pytest.fixture
def tables_url(postgres_server: PostgresServer, template_url: str) -> Iterator[str]:
    """
    The URL of a fresh database with the tables in it, which is dropped after the test.
    """
    postgres_server.ensure_running()
    url = postgres_server.create_database(template_url)
    yield url
    postgres_server.ensure_running()
    postgres_server.drop_database(url)
