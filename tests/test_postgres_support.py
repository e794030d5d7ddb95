"""
The PostgreSQL test server keeps the promises that the other tests build on.
"""

from __future__ import annotations

import time

from typing import Any

import psycopg
import pytest

from sqlalchemy.engine import make_url

from tests.support.postgres import PostgresError, PostgresServer


def connect(url: str, timeout: int = 10) -> psycopg.Connection[tuple[Any, ...]]:
    parsed = make_url(url).set(drivername="postgresql")
    dsn = parsed.render_as_string(hide_password=False)
    return psycopg.connect(dsn, autocommit=True, connect_timeout=timeout)


def tables(url: str) -> list[str]:
    with connect(url) as connection:
        query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        return [name for (name,) in connection.execute(query)]


@pytest.fixture
def own_server(postgres_server: PostgresServer) -> PostgresServer:
    if postgres_server.external:
        pytest.skip("the server is not ours to stop")
    return postgres_server


def test_a_query_answers_and_commits_are_synchronous(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    with connect(postgres_url) as connection:
        (number,) = connection.execute("SHOW server_version_num").fetchone() or ("0",)
        assert int(number) // 10000 == postgres_server.version
        assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)
        assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)


def test_fresh_databases_are_separate_and_can_be_dropped_in_use(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    other = postgres_server.create_database()
    with connect(postgres_url) as connection:
        connection.execute("CREATE TABLE only_here (n integer)")
    assert tables(postgres_url) == ["only_here"]
    assert tables(other) == []
    with connect(other) as busy:
        postgres_server.drop_database(other)
        with pytest.raises(psycopg.OperationalError):
            busy.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        connect(other)


def test_committed_rows_survive_a_crash(own_server: PostgresServer, postgres_url: str) -> None:
    with connect(postgres_url) as connection:
        connection.execute("CREATE TABLE kept (n integer)")
        connection.execute("INSERT INTO kept SELECT generate_series(1, 1000)")
        own_server.stop("immediate")
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError):
        connect(postgres_url)
    own_server.start_again()
    with connect(postgres_url) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (1000,)


def test_a_frozen_server_makes_connecting_time_out_until_it_thaws(
    own_server: PostgresServer, postgres_url: str
) -> None:
    own_server.freeze()
    started = time.monotonic()
    with pytest.raises(psycopg.errors.ConnectionTimeout):
        connect(postgres_url, timeout=2)
    assert 1.5 < time.monotonic() - started < 10
    own_server.thaw()
    assert tables(postgres_url) == []


def test_a_database_of_somebody_else_is_not_dropped(postgres_server: PostgresServer) -> None:
    with pytest.raises(PostgresError, match="postgres"):
        postgres_server.drop_database(postgres_server.url())
