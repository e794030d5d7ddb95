"""
What somebody else does to a database meanwhile, and what is in it.
"""

from __future__ import annotations

import sqlite3

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

import psycopg

from sqlalchemy.engine import make_url

from structlog_activity.write import losses


_HOSTS = f"WHERE verb <> '{losses.VERB}'"  # All but the writer's own notes.


class Stored(Protocol):
    """What a database holds."""

    url: str

    @property
    def stored(self) -> list[int]:
        """The numbers of the records, sorted, each as often as it is there."""
        ...

    @property
    def counted(self) -> int:
        """What the daily counts say."""
        ...


class Database:
    """A PostgreSQL database, by a connection of its own for each question."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)

    @property
    def name(self) -> str:
        return make_url(self.url).database or ""

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(self._dsn, autocommit=True)

    def do(self, statement: str) -> list[Any]:
        """Execute a statement and return the first column of what it finds."""
        with self.connect() as connection:
            cursor = connection.execute(statement.encode())
            return [found[0] for found in cursor] if cursor.description else []

    def end_connections(self) -> int:
        """End our connections as an administrator does; return how many there were."""
        ended = self.do(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'structlog_activity' AND datname = current_database()"
        )
        return len(ended)

    @contextmanager
    def refusing(
        self, code: str, said: str = "no", *, when: str = "FOR EACH STATEMENT"
    ) -> Iterator[None]:
        """Have the server refuse to store records with that SQLSTATE, for a while."""
        self.do(
            f"""
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION 'no % and no {said}', '%' USING ERRCODE = '{code}'; END $$;
            CREATE TRIGGER refuse BEFORE INSERT ON user_activity {when} EXECUTE FUNCTION refuse()
            """
        )
        yield
        self.do("DROP FUNCTION refuse CASCADE")

    def backends(self) -> list[int]:
        """The processes that serve our connections."""
        return self.do(
            "SELECT pid FROM pg_stat_activity "
            "WHERE application_name = 'structlog_activity' AND datname = current_database()"
        )

    @property
    def stored(self) -> list[int]:
        return sorted(map(int, self.do(f"SELECT object_id FROM user_activity {_HOSTS}")))

    @property
    def counted(self) -> int:
        (count,) = self.do(f"SELECT coalesce(sum(n), 0)::int FROM user_activity_daily {_HOSTS}")
        return int(count)


class File:
    """A SQLite database."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"sqlite:///{path}"

    def connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, isolation_level=None)

    def do(self, statement: str) -> list[Any]:
        """Execute a statement and return the first column of what it finds."""
        with closing(self.connect()) as connection:
            return [found[0] for found in connection.execute(statement)]

    @property
    def stored(self) -> list[int]:
        return sorted(map(int, self.do(f"SELECT object_id FROM user_activity {_HOSTS}")))

    @property
    def counted(self) -> int:
        (count,) = self.do(f"SELECT coalesce(sum(n), 0) FROM user_activity_daily {_HOSTS}")
        return int(count)
