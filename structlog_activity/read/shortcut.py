"""
The shortest way to the database: the driver's own cursor, statements compiled once.

SQLAlchemy's own way costs a short read more than half of its time. It is left only
where nobody can tell the difference: on an engine whose connections run each
statement by itself, with no listeners, no log of statements and no options that
would change what is sent. Errors and broken connections are SQLAlchemy's to tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC
from functools import lru_cache
from typing import Any, Final, NamedTuple, Protocol, Self

from sqlalchemy import BindParameter, Dialect, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from ..store.engine import POSTGRESQL, reached, without_transactions
from ..store.table import UtcMoment
from .connect import Bind, reading


_AUTOCOMMIT: Final = "AUTOCOMMIT"
_OPTIONS: Final[dict[str, Mapping[str, Any]]] = {
    "psycopg": {"isolation_level": _AUTOCOMMIT},
    "pysqlite": {},  # Which begins no transaction for a SELECT.
}
# Whoever listens for one of these sees, or changes, which way a read takes.
_HEARD: Final = (
    "before_cursor_execute", "after_cursor_execute", "before_execute", "after_execute",
)  # fmt: skip
_HEARD_OF_DIALECT: Final = (
    "do_execute",
    "do_execute_no_params",
    "do_setinputsizes",
    "handle_error",
)
_MOST_TEXTS: Final = 256


class Reader(Protocol):
    """What reads need of a `sqlalchemy.Connection`."""

    @property
    def dialect(self) -> Dialect:
        """What is read."""

    def execute(self, statement: Any, parameters: Any = None, /) -> Any:
        """Run a statement that returns rows."""


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

    __slots__ = ("_engine", "_raw", "dialect")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._raw: Any = None
        self.dialect = engine.dialect

    def __enter__(self) -> Self:
        try:
            raw = self._raw = self._engine.raw_connection()
        except SQLAlchemyError:
            with reached(self._engine.url):
                raise
        try:
            self._by_statement(raw, on=True)
        except self.dialect.loaded_dbapi.Error as error:
            self._lose(error)
        return self

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
        if self.dialect.name == POSTGRESQL:
            without_transactions(raw.dbapi_connection, on=on)

    def execute(self, statement: Any, parameters: Any = None, /) -> Found:
        """Run a statement that returns rows."""
        values = parameters or {}
        form = _form(statement, self.dialect)
        if form is None or self._raw is None:
            return self._by_sqlalchemy(statement, values)
        text = form.text(values)
        bound = text.bound(values)
        try:
            cursor = self._raw.cursor()
            cursor.execute(text.sql, bound)
            rows = cursor.fetchall()
            cursor.close()
        except self.dialect.loaded_dbapi.Error as error:
            if not self.dialect.is_disconnect(error, self._raw, None):
                raise self._told(text.sql, error) from error
            self._lose(error)
            return self._by_sqlalchemy(statement, values)  # Which sees to the others, too.
        except BaseException as error:
            self._lose(error)  # Nobody knows how far it came.
            raise
        return Found(form.processed(rows))

    def _lose(self, error: BaseException) -> None:
        """Give a connection back that nobody is to have again."""
        raw, self._raw = self._raw, None
        raw.invalidate(error)

    def _by_sqlalchemy(self, statement: Any, values: Mapping[str, Any]) -> Found:
        with self._engine.connect() as connection:
            return Found(connection.execute(statement, values).all())

    def _told(self, sql: str, error: Exception) -> BaseException:
        base, dialect = self.dialect.loaded_dbapi.Error, self.dialect
        return DBAPIError.instance(sql, None, error, base, hide_parameters=True, dialect=dialect)


def _allows_shortcut(engine: Engine) -> bool:
    """Tell whether nobody can see which way a read takes."""
    dialect = engine.dialect
    options = engine.get_execution_options()
    if options != _OPTIONS.get(dialect.driver) or engine.echo:
        return False
    if _is_heard(dialect, _HEARD_OF_DIALECT) or _is_heard(engine, _HEARD):
        return False
    # An engine with options hears of its own connections, to give these the options.
    return not options or len(engine.dispatch.engine_connect) == len(options)


def _is_heard(target: Any, names: Sequence[str]) -> bool:
    # Tells also of a listener that was taken away again, but not where there never was one.
    if not getattr(target, "_has_events", True):
        return False
    dispatch = target.dispatch
    return any(map(bool, [getattr(dispatch, name) for name in names]))


class _Value(NamedTuple):
    """
    How one value of a statement is bound.

    Attributes:

        name: Its name in the statement.

        key: Its name among the values of a call.

        process: Makes what the driver takes; `None` where it takes the value itself.

        default: The value of a call that has none.
    """

    name: str
    key: str
    process: Callable[[Any], Any] | None
    default: Any


class _Text(NamedTuple):
    """
    A statement as the driver takes it.

    Attributes:

        sql: The text.

        values: What is bound to it.

        positional: Whether values are bound by position, and not by name.
    """

    sql: str
    values: tuple[_Value, ...]
    positional: bool

    def bound(self, given: Mapping[str, Any]) -> Any:
        """Return what the driver is to bind for the values of a call."""
        found = [
            process(given.get(key, default)) if process else given.get(key, default)
            for _, key, process, default in self.values
        ]
        if self.positional:
            return found
        return dict(zip([value.name for value in self.values], found, strict=True))


class _Form:
    """
    A statement that was compiled: its texts, and how its rows are read.

    Values that belong into the text of a statement are few: months, limits. For
    each there is a text of its own.
    """

    def __init__(self, statement: Any, dialect: Dialect, literals: Sequence[str]) -> None:
        self._statement = statement
        self._dialect = dialect
        self._literals = tuple(literals)
        self._texts: dict[tuple[Any, ...], _Text] = {}
        types = [column.type for column in statement.selected_columns]
        read = [kind.dialect_impl(dialect).result_processor(dialect, None) for kind in types]
        self._processors = read if any(read) else []
        # A connection gives all its moments in the same zone.
        read_by = [i for i, process in enumerate(read) if process]
        moments = [i for i in read_by if _is_moment(types[i], dialect)]
        self._only_moment = moments[0] if moments == read_by and len(read_by) == 1 else None

    def text(self, values: Mapping[str, Any]) -> _Text:
        """Return the text for the values of a call."""
        key = tuple([values[name] for name in self._literals])
        found = self._texts.get(key)
        if found is None:
            if len(self._texts) >= _MOST_TEXTS:
                self._texts.clear()
            found = self._texts[key] = self._make(values)
        return found

    def processed(self, rows: Sequence[Any]) -> Sequence[Any]:
        """Return rows of the driver with the values that reads know."""
        processors = self._processors
        if not processors or self._is_utc(rows):
            return rows
        return [
            tuple([p(value) if p else value for p, value in zip(processors, row, strict=True)])
            for row in rows
        ]

    def _is_utc(self, rows: Sequence[Any]) -> bool:
        """Tell whether nothing is to be done but to bring moments to UTC, in which they are."""
        last = self._only_moment
        return last is not None and bool(rows) and rows[0][last].tzinfo is UTC

    def _make(self, given: Mapping[str, Any]) -> _Text:
        compiled = self._statement.params(given).compile(
            dialect=self._dialect, compile_kwargs={"render_postcompile": True}
        )
        binds = {name: bind for bind, name in compiled.bind_names.items()}
        names = compiled.positiontup if compiled.positional else binds
        values = (self._value(name, binds[name], given) for name in names)
        bound = tuple(value for value in values if value.key not in self._literals)
        return _Text(compiled.string, bound, compiled.positional)

    def _value(self, name: str, bind: BindParameter[Any], given: Mapping[str, Any]) -> _Value:
        process = bind.type.dialect_impl(self._dialect).bind_processor(self._dialect)
        # What a call gives is no other's default.
        return _Value(name, bind.key, process, None if bind.key in given else bind.value)


def _is_moment(kind: Any, dialect: Dialect) -> bool:
    return isinstance(kind.dialect_impl(dialect), UtcMoment)


@lru_cache(maxsize=2048)
def _form(statement: Any, dialect: Dialect) -> _Form | None:
    """Return the form of a statement; `None` if its text has as many values as lists have."""
    binds = statement.compile(dialect=dialect).bind_names
    if any(bind.expanding for bind in binds):
        return None
    return _Form(statement, dialect, [bind.key for bind in binds if bind.literal_execute])
