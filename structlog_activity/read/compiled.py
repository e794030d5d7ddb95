"""
Statements as the driver takes them, compiled once: their texts, values and rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from functools import lru_cache
from typing import Any, Final, NamedTuple

from sqlalchemy import BindParameter, Dialect

from ..store.engine import SQLITE
from ..store.table import UtcMoment


_MOST_TEXTS: Final = 256


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


class Text(NamedTuple):
    """
    A statement as the driver takes it.

    Attributes:

        sql: The text; for psycopg, which would encode it with each call, as bytes.

        values: What is bound to it.

        positional: Whether values are bound by position, and not by name.
    """

    sql: str | bytes
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


class Compiled:
    """
    A statement that was compiled: its texts, and how its rows are read.

    Values that belong into the text of a statement are few: months, limits. For
    each there is a text of its own.
    """

    def __init__(self, statement: Any, dialect: Dialect, literals: Sequence[str]) -> None:
        self._statement = statement
        self._dialect = dialect
        self._literals = tuple(literals)
        self._texts: dict[tuple[Any, ...], Text] = {}
        types = [column.type for column in statement.selected_columns]
        read = [kind.dialect_impl(dialect).result_processor(dialect, None) for kind in types]
        self._processors = read if any(read) else []
        # A connection gives all its moments in the same zone.
        read_by = [i for i, process in enumerate(read) if process]
        moments = [i for i in read_by if _is_moment(types[i], dialect)]
        self._only_moment = moments[0] if moments == read_by and len(read_by) == 1 else None

    def text(self, values: Mapping[str, Any]) -> Text:
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

    def _make(self, given: Mapping[str, Any]) -> Text:
        compiled = self._statement.params(given).compile(
            dialect=self._dialect, compile_kwargs={"render_postcompile": True}
        )
        binds = {name: bind for bind, name in compiled.bind_names.items()}
        names = compiled.positiontup if compiled.positional else binds
        values = (self._value(name, binds[name]) for name in names)
        bound = tuple(value for value in values if value.key not in self._literals)
        sql = compiled.string if self._dialect.name == SQLITE else compiled.string.encode()
        return Text(sql, bound, compiled.positional)

    def _value(self, name: str, bind: BindParameter[Any]) -> _Value:
        process = bind.type.dialect_impl(self._dialect).bind_processor(self._dialect)
        return _Value(name, bind.key, process, bind.value)


def _is_moment(kind: Any, dialect: Dialect) -> bool:
    return isinstance(kind.dialect_impl(dialect), UtcMoment)


@lru_cache(maxsize=2048)
def compile_once(statement: Any, dialect: Dialect) -> Compiled | None:
    """Compile a statement, once; `None` if its text has as many values as its lists have."""
    binds = statement.compile(dialect=dialect).bind_names
    if any(bind.expanding for bind in binds):
        return None
    return Compiled(statement, dialect, [bind.key for bind in binds if bind.literal_execute])
