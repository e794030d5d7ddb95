"""
From a URL to an engine: which database is meant, and is everything there to reach it.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import tempfile
import weakref

from functools import lru_cache
from json import JSONDecoder
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from ..errors import RepositoryError
from .lifetime import look_after, look_after_connection


POSTGRESQL: Final = "postgresql"
SQLITE: Final = "sqlite"

_POSTGRESQL_DRIVERS = {"postgresql", "postgresql+psycopg", "postgres"}
_SQLITE_DRIVERS = {"sqlite", "sqlite+pysqlite"}
_CONNECT_TIMEOUT = 10  # seconds
_BUSY_TIMEOUT = 5_000  # milliseconds
_scan_json: Final = JSONDecoder().scan_once  # type: ignore[attr-defined]


def parse_url(url: str | URL) -> URL:
    """
    Return *url* with the driver that this package uses.

    Raises:

        RepositoryError: It can't be read, or names a database other than
            SQLite and PostgreSQL.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Not the error's own text: it quotes the URL, password and all.
        raise RepositoryError(
            "the database URL can't be read; it looks like "
            "postgresql://user:password@host/database or sqlite:///activity.db; "
            "in a password @ is written %40, and / %2F"
        ) from None
    if parsed.drivername in _POSTGRESQL_DRIVERS:
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername in _SQLITE_DRIVERS:
        if parsed.host:
            raise RepositoryError(
                f"sqlite://{parsed.host} names a host; a file has three slashes: "
                f"sqlite:///{parsed.host} (four before an absolute path)"
            )
        return parsed.set(drivername="sqlite")
    raise RepositoryError(
        f"unknown URL scheme {parsed.drivername!r}: use postgresql:// (psycopg 3) or sqlite:///"
    )


def make_engine(url: URL, **options: Any) -> Engine:
    """
    Return an engine on *url* that nothing was read through yet.

    Args:

        url: As `parse_url` returns it.

        options: Passed to `sqlalchemy.create_engine`.

    Raises:

        RepositoryError: The driver is not installed or can't be loaded.
    """
    is_file = url.get_backend_name() == SQLITE
    engine = _sqlite_engine(url, options) if is_file else _postgresql_engine(url, options)
    look_after(engine, is_file=is_file)
    return engine


def shown(url: URL) -> str:
    """Return *url* for a message: without password and options, which may hold one too."""
    socket = url.query.get("host") if not url.host else None
    return URL.create(
        url.get_backend_name(),
        username=url.username,
        host=url.host,
        port=url.port,
        database=url.database,
        query={"host": socket} if socket else {},
    ).render_as_string()


def to_run(where: str) -> str:
    """
    Return what to do about missing tables.

    Args:

        where: The database, as `shown` has it.
    """
    # Without the URL it would be the file in the current folder that gets the tables.
    return f"run structlog-activity migrate --url {shlex.quote(where)}"


def require_psycopg() -> None:
    """
    Load psycopg.

    Raises:

        RepositoryError: It is not installed, or finds no libpq.
    """
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        raise RepositoryError(
            f"psycopg can't be loaded ({type(error).__name__}): install libpq, "
            "or structlog-activity[binary], which brings its own"
        ) from None


def _postgresql_engine(url: URL, options: dict[str, Any]) -> Engine:
    require_psycopg()
    defaults = {"application_name": "structlog_activity", "connect_timeout": _CONNECT_TIMEOUT}
    arguments = {name: value for name, value in defaults.items() if name not in url.query}
    # UTF8 also where the database says SQL_ASCII: there text would come back as bytes.
    arguments["client_encoding"] = "UTF8"
    engine = create_engine(url, hide_parameters=True, connect_args=arguments, **options)
    event.listen(engine, "connect", _prepare_postgresql)
    return engine


@lru_cache(maxsize=1)
def _json_loaders() -> tuple[type[Any], type[Any]]:
    from psycopg.adapt import Loader
    from psycopg.pq import Format

    class JsonLoader(Loader):
        """Reads ``jsonb`` in a third of the time of `json.loads`, which knows more forms."""

        def load(self, data: Any) -> Any:
            return _scan_json(str(data, "utf-8"), 0)[0]

    class JsonBinaryLoader(Loader):
        """Does the same for the binary form: the text behind the number of the form."""

        format = Format.BINARY

        def load(self, data: Any) -> Any:
            return _scan_json(str(data, "utf-8"), 1)[0]

    return JsonLoader, JsonBinaryLoader


def file_of(url: URL) -> Path | None:
    """
    Return the file that a SQLite URL names.

    Args:

        url: Of an engine.

    Returns:

        `None` for another database, and for one that only SQLite can tell the file of: a
        ``file:`` URI.
    """
    name = url.database
    if url.get_backend_name() != SQLITE or not name or name.startswith("file:"):
        return None
    return Path(name)


def _prepare_postgresql(connection: Any, _: object) -> None:
    look_after_connection(connection)
    for loader in _json_loaders():
        connection.adapters.register_loader("jsonb", loader)
    # The server said so while connecting; psycopg reads no dates in another style.
    if not connection.info.parameter_status("DateStyle").startswith("ISO"):
        connection.execute("SET DateStyle = ISO")
        connection.commit()


def _sqlite_engine(url: URL, options: dict[str, Any]) -> Engine:
    if url.database in (None, "", ":memory:"):
        # The writer and the readers have a connection each, and memory belongs
        # to one connection. A file that goes with the engine serves them all.
        return _temporary_engine(url, options)
    engine = create_engine(url, hide_parameters=True, **options)
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: object) -> None:
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT}")


def _temporary_engine(url: URL, options: dict[str, Any]) -> Engine:
    handle, path = tempfile.mkstemp(prefix="structlog_activity-", suffix=".db")
    os.close(handle)
    engine = _sqlite_engine(url.set(database=path), options)
    weakref.finalize(engine, _remove, path, os.getpid())
    return engine


def _remove(path: str, maker: int) -> None:
    if os.getpid() != maker:  # A forked child, whose parent still uses the file.
        return
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(OSError):
            Path(path + suffix).unlink()
