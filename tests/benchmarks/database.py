"""
Databases to write to.
"""

from __future__ import annotations

import contextlib

from collections.abc import Iterator, Sequence
from typing import Final

import psycopg

from structlog_activity.record.row import Row
from structlog_activity.store.batch import Batch
from structlog_activity.store.engine import make_engine, parse_url
from structlog_activity.store.postgresql.copyformat import COLUMNS, encode
from structlog_activity.store.schema import Schema
from structlog_activity.store.seals.seal import SALT_BYTES
from tests.support.postgres import PostgresServer


COPY = f"COPY user_activity ({', '.join(COLUMNS)}) FROM STDIN (FORMAT BINARY)"
BATCH = 500
DURABLE: Final = {"fsync": "on", "full_page_writes": "on"}
"""Settings of a server that loses nothing."""


given: list[PostgresServer] = []
"""A server that runs already, if any."""


@contextlib.contextmanager
def server() -> Iterator[PostgresServer]:
    """Have a PostgreSQL server for the time of the block."""
    if given:
        yield given[0]
        return
    # The tests' server does without; a commit that costs nothing is none.
    with contextlib.closing(PostgresServer.start(**DURABLE)) as started:
        yield started


def migrated(started: PostgresServer) -> str:
    """Return the URL of a new database with our tables."""
    url = started.create_database()
    engine = make_engine(parse_url(url))
    Schema(engine).migrate()
    engine.dispose()
    return url


def connect(url: str) -> psycopg.Connection[tuple[object, ...]]:
    """Return a connection that commits each statement."""
    return psycopg.connect(url.replace("+psycopg", ""), autocommit=True)


def parts(rows: Sequence[Row]) -> list[Sequence[Row]]:
    """Return *rows* in pieces of a batch's size."""
    return [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]


def ready_made(rows: Sequence[Row]) -> list[bytes]:
    """Return what COPY takes, batch by batch."""
    salt = bytes(SALT_BYTES)
    return [encode(Batch.alone(part), [salt] * len(part)) for part in parts(rows)]


def copy_in(connection: psycopg.Connection[tuple[object, ...]], batches: list[bytes]) -> None:
    """Commit ready-made batches, one transaction each: as fast as the server takes rows."""
    for data in batches:
        connection.execute("BEGIN")
        with connection.cursor() as cursor, cursor.copy(COPY) as copy:
            copy.write(data)
        connection.execute("COMMIT")


def count(connection: psycopg.Connection[tuple[object, ...]]) -> int:
    """Return how many rows there are."""
    found = connection.execute("SELECT count(DISTINCT id) FROM user_activity").fetchone()
    assert found is not None
    return int(str(found[0]))
