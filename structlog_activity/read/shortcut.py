"""
The shortest way to the database: the driver's own cursor, statements compiled once.

SQLAlchemy's own way costs a short read more than half of its time. It is left only
where nobody can tell the difference: on an engine whose connections run each
statement by itself, with no listeners, no log of statements and no options that
would change what is sent. Errors and broken connections are SQLAlchemy's to tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol, Self

from sqlalchemy import Dialect, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from ..store.engine import POSTGRESQL
from ..store.reaching import reached
from .compiled import compile_once
from .connect import Bind, reading


_AUTOCOMMIT: Final = "AUTOCOMMIT"
# Option of an engine for single reads: the one that it was made of.
_PLAIN: Final = "structlog_activity_engine"
_OPTIONS: Final[dict[str, Mapping[str, Any]]] = {
    "psycopg": {"isolation_level": _AUTOCOMMIT},
    "pysqlite": {},  # Which begins no transaction for a SELECT.
}
# Ids and moments, of which a record has six, are quicker to write and to read than text.
_BINARY: Final = {"binary": True}
# Whoever listens for one of these sees, or changes, which way a read takes.
_HEARD: Final = (
    "before_cursor_execute", "after_cursor_execute", "before_execute", "after_execute",
)  # fmt: skip
_HEARD_OF_PLAIN: Final = (*_HEARD, "engine_connect")
_HEARD_OF_DIALECT: Final = (
    "do_execute",
    "do_execute_no_params",
    "do_setinputsizes",
    "handle_error",
)


class Reader(Protocol):
    """What reads need of a `sqlalchemy.Connection`."""

    @property
    def dialect(self) -> Dialect:
        """What is read."""

    def execute(self, statement: Any, parameters: Any = None, /) -> Any:
        """Run a statement that returns rows."""


def for_single_reads(engine: Engine) -> Engine:
    """
    Return *engine* for single reads: on PostgreSQL a transaction costs two round trips more.

    Whoever wants to hear of its reads listens to *engine*, of which it is made.
    """
    if engine.dialect.name != POSTGRESQL:
        return engine
    return engine.execution_options(isolation_level=_AUTOCOMMIT, **{_PLAIN: engine})


def reader(bind: Bind) -> AbstractContextManager[Reader]:
    """
    Return the shortest way to read through *bind* that it allows, for a ``with`` block.

    Args:

        bind: As for `reading`, whose errors these are.
    """
    if isinstance(bind, Engine) and _allows_shortcut(bind):
        return Direct(bind)
    return reading(bind)


class Found:
    """The rows of a read, with the methods of a result that reads use."""

    __slots__ = ("_rows",)

    def __init__(self, rows: Sequence[Any]) -> None:
        self._rows = rows

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)

    def all(self) -> Sequence[Any]:
        """Return all rows."""
        return self._rows

    def first(self) -> Any:
        """Return the first row, `None` if there is none."""
        return self._rows[0] if self._rows else None

    def one(self) -> Any:
        """Return the only row."""
        (row,) = self._rows
        return row

    def scalar_one(self) -> Any:
        """Return the first column of the only row."""
        return self.one()[0]


class Direct:
    """
    Runs statements on a connection of the driver, in a ``with`` block.

    Args:

        engine: Whose connection it is.

    Attributes:

        dialect: What is read.
    """

    __slots__ = ("_engine", "_how", "_is_postgresql", "_raw", "dialect")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._raw: Any = None
        self.dialect = engine.dialect
        self._is_postgresql = self.dialect.name == POSTGRESQL
        self._how = _BINARY if self._is_postgresql else {}

    def __enter__(self) -> Self:
        raw = self._raw = self._connected()
        try:
            self._by_statement(raw, on=True)
        except self.dialect.loaded_dbapi.Error as error:
            self._lose(error)
        return self

    def _connected(self) -> Any:
        try:
            return self._engine.raw_connection()
        except self.dialect.loaded_dbapi.Error as error:
            # Only what a Connection does is told by SQLAlchemy's own errors.
            failure = self._told("", error)
        except SQLAlchemyError as error:
            failure = error
        with reached(self._engine.url):
            raise failure

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        raw = self._raw
        if raw is not None:
            try:
                self._by_statement(raw, on=False)
                raw.close()
            except self.dialect.loaded_dbapi.Error as broken:
                self._lose(broken)
        if isinstance(error, SQLAlchemyError):
            with reached(self._engine.url):
                raise error

    def _by_statement(self, raw: Any, *, on: bool) -> None:
        if self._is_postgresql:
            raw.dbapi_connection.autocommit = on

    def execute(self, statement: Any, parameters: Any = None, /) -> Found:
        """Run a statement that returns rows."""
        values = parameters or {}
        compiled = compile_once(statement, self.dialect)
        if compiled is None or self._raw is None:
            return self._by_sqlalchemy(statement, values)
        text = compiled.text(values)
        bound = text.bound(values)
        try:
            # Not closed, for what is read to its end is held by nobody.
            rows = self._raw.cursor(**self._how).execute(text.sql, bound).fetchall()
        except self.dialect.loaded_dbapi.Error as error:
            if not self.dialect.is_disconnect(error, self._raw, None):
                raise self._told(text.sql, error) from error
            self._lose(error)
            return self._by_sqlalchemy(statement, values)  # Which sees to the others, too.
        except BaseException as error:
            self._lose(error)  # Nobody knows how far it came.
            raise
        return Found(compiled.processed(rows))

    def _lose(self, error: BaseException) -> None:
        """Give a connection back that nobody is to have again."""
        raw, self._raw = self._raw, None
        raw.invalidate(error)

    def _by_sqlalchemy(self, statement: Any, values: Mapping[str, Any]) -> Found:
        with self._engine.connect() as connection:
            return Found(connection.execute(statement, values).all())

    def _told(self, text: str | bytes, error: Exception) -> BaseException:
        base, dialect = self.dialect.loaded_dbapi.Error, self.dialect
        sql = text.decode() if isinstance(text, bytes) else text
        return DBAPIError.instance(sql, None, error, base, hide_parameters=True, dialect=dialect)


def _allows_shortcut(engine: Engine) -> bool:
    """Tell whether nobody can see which way a read takes."""
    dialect = engine.dialect
    if engine.echo or _is_heard(dialect, _HEARD_OF_DIALECT):
        return False
    options = engine.get_execution_options()
    plain = options.get(_PLAIN)
    if plain is not None:  # Made for reads: whoever listens to these, listens to that one.
        return not _is_heard(plain, _HEARD_OF_PLAIN)
    if options != _OPTIONS.get(dialect.driver) or _is_heard(engine, _HEARD):
        return False
    # An engine with options hears of its own connections, to give these the options.
    return len(engine.dispatch.engine_connect) == len(options)


def _is_heard(target: Any, names: Sequence[str]) -> bool:
    # Tells also of a listener that was taken away again, but not where there never was one.
    if not getattr(target, "_has_events", True):
        return False
    dispatch = target.dispatch
    return any(map(bool, [getattr(dispatch, name) for name in names]))
