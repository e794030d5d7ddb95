"""
From a filter to SQL: the only place where a read's conditions are made.

A filter is taken apart into its shape (which conditions it has) and its values.
Statements are built once per shape and cached; only values are bound anew.
Building one per call would nearly double the cost of a page.
"""

from __future__ import annotations

import json

from datetime import datetime
from operator import attrgetter
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Dialect,
    Text,
    and_,
    any_,
    bindparam,
    case,
    cast,
    exists,
    func,
    literal_column,
    not_,
    or_,
)
from sqlalchemy.dialects.postgresql import JSONB

from ..store.engine import POSTGRESQL
from .filter import ACTOR, ACTOR_TYPES, ActivityFilter
from .tenants import AllTenants
from .values import Scalar


Columns: TypeAlias = Any
"""The ``c`` of a table."""

_EQUAL = ("org_id", "actor_id", "user_id", "object_type", "object_id")
_EQUAL_OF = attrgetter(*_EQUAL)
_PLAIN = (*_EQUAL, "tenant_id", "involving", "channel", "since", "until")
_PLAIN_OF = attrgetter(*_PLAIN)
_LISTS = ("verbs", "channels", "channel_denylist")
_SEARCHED = ("verb", "object_type", "object_id")
_LAST_CHARACTER = "\U0010ffff"
_SQLITE_TYPES = {
    "bool": ("true", "false"),
    "null": ("null",),
    "number": ("integer", "real"),
    "text": ("text",),
}


class Shape(NamedTuple):
    """
    Which conditions a filter has, by default none; filters of one shape share their statements.

    Attributes:

        tenant: Whether one tenant is read.

        equal: Names of the columns that must equal a value.

        involving: Whether actor or user must be somebody.

        verbs: How many exact verbs are given; PostgreSQL need not tell two from more.

        prefixes: How many prefixes of verbs are given.

        channels: ``"one"``, ``"any"`` or ``""``.

        denied: Whether channels are excluded.

        since: Whether there is a first moment.

        until: Whether there is a moment after the last.

        keyword: Whether a part of the text is searched.

        data: Kinds of the values that keys of ``data`` must equal.

        people: Whether machines' doings are left out.

        postgresql: Whether PostgreSQL is read, and not SQLite.
    """

    tenant: bool
    equal: tuple[str, ...] = ()
    involving: bool = False
    verbs: int = 0
    prefixes: int = 0
    channels: str = ""
    denied: bool = False
    since: bool = False
    until: bool = False
    keyword: bool = False
    data: tuple[str, ...] = ()
    people: bool = False
    postgresql: bool = False


class Selection(NamedTuple):
    """
    A filter, taken apart for one of the databases.

    Attributes:

        where: The filter.

        shape: Its shape, for which statements are made.

        values: What is to be bound to them.
    """

    where: ActivityFilter
    shape: Shape
    values: dict[str, Any]

    @property
    def since(self) -> datetime | None:
        """The filter's first moment."""
        return self.where.since if isinstance(self.where.since, datetime) else None

    @property
    def until(self) -> datetime | None:
        """The first moment after the filter's span."""
        return self.where.until if isinstance(self.where.until, datetime) else None


def selection(where: ActivityFilter, dialect: Dialect) -> Selection:
    """Take *where* apart for the database of *dialect*."""
    postgresql = dialect.name == POSTGRESQL
    shape = _shape_of(where, postgresql=postgresql)
    return Selection(where, shape, _values_of(where, postgresql=postgresql))


def _shape_of(where: ActivityFilter, *, postgresql: bool) -> Shape:
    prefixes = len([verb for verb in where.verbs if verb.endswith("*")])
    verbs = len(where.verbs) - prefixes
    given = zip(_EQUAL, _EQUAL_OF(where), strict=True)
    return Shape(
        tenant=not isinstance(where.tenant_id, AllTenants),
        equal=tuple([name for name, value in given if value is not None]),
        involving=where.involving is not None,
        verbs=min(verbs, 2) if postgresql else verbs,
        prefixes=prefixes,
        channels="any" if where.channels else "one" if where.channel else "",
        denied=bool(where.channel_denylist),
        since=where.since is not None,
        until=where.until is not None,
        keyword=where.keyword is not None,
        data=tuple([_kind(value) for value in where.data.values()]) if where.data else (),
        people=_hides_machines(where),
        postgresql=postgresql,
    )


def _hides_machines(where: ActivityFilter) -> bool:
    """Tell whether a filter leaves out what no person did."""
    return not where.machine_activity and bool(where.machine_types or where.machine_keys)


def _values_of(where: ActivityFilter, *, postgresql: bool) -> dict[str, Any]:
    values: dict[str, Any] = dict(zip(_PLAIN, _PLAIN_OF(where), strict=True))
    for name in _LISTS:
        values[name] = list(getattr(where, name))
    if where.verbs:
        values["verbs"] = [verb for verb in where.verbs if not verb.endswith("*")]
    if where.keyword:
        values["keyword"] = f"%{_escaped(where.keyword)}%"
    if where.verbs or where.data:
        values |= _numbered_values(where, postgresql=postgresql)
    if _hides_machines(where):
        values |= _machine_values(where)
    return values


def _numbered_values(where: ActivityFilter, *, postgresql: bool) -> dict[str, Any]:
    """Return the values of which a filter may have any number."""
    values: dict[str, Any] = {}
    prefixes = (verb[:-1] for verb in where.verbs if verb.endswith("*"))
    for i, prefix in enumerate(prefixes):
        values |= {f"prefix_{i}": prefix, f"beyond_{i}": _beyond(prefix)}
    for i, (key, value) in enumerate((where.data or {}).items()):
        values |= {f"key_{i}": key, f"value_{i}": _json(value) if postgresql else value}
    return values


def _machine_values(where: ActivityFilter) -> dict[str, Any]:
    signs: list[Any] = [{key: sign} for key in where.machine_keys for sign in (True, "true")]
    for kind in where.machine_types:
        signs += [*({key: kind} for key in ACTOR_TYPES), {ACTOR: {"type": kind}}]
    return {
        "machine_signs": [_json(sign) for sign in signs],
        # No stored text holds NUL; an empty list has no type.
        "machine_types": list(where.machine_types) or ["\0"],
        "machine_keys": list(where.machine_keys) or ["\0"],
    }


def conditions(shape: Shape, columns: Columns) -> list[ColumnElement[bool]]:
    """Return the conditions of a shape on the columns of the log."""
    found = dimensions(shape, columns)
    found += [columns[name] == bindparam(name) for name in shape.equal if name != "object_type"]
    if shape.involving:
        who: Any = bindparam("involving")
        found.append(or_(columns.actor_id == who, columns.user_id == who))
    if shape.since:
        found.append(columns.created_at >= bindparam("since"))
    if shape.until:
        found.append(columns.created_at < bindparam("until"))
    if shape.keyword:
        pattern: Any = bindparam("keyword")
        found.append(
            or_(*(func.lower(columns[name]).like(pattern, escape="\\") for name in _SEARCHED))
        )
    found += [_data_equals(i, kind, shape, columns) for i, kind in enumerate(shape.data)]
    if shape.people:
        found.append(_by_people(shape, columns))
    return found


def dimensions(shape: Shape, columns: Columns) -> list[ColumnElement[bool]]:
    """Return the conditions on tenant, verb, channel and object type, which the counts have too."""
    found: list[ColumnElement[bool]] = []
    if shape.tenant:
        found.append(columns.tenant_id == bindparam("tenant_id"))
    if "object_type" in shape.equal:
        found.append(columns.object_type == bindparam("object_type"))
    if shape.verbs or shape.prefixes:
        found.append(_verbs(shape, columns))
    if shape.channels == "one":
        found.append(columns.channel == bindparam("channel"))
    if shape.channels == "any":
        found.append(columns.channel.in_(bindparam("channels")))
    if shape.denied:
        found.append(columns.channel.not_in(bindparam("channel_denylist")))
    return found


def has_only_dimensions(shape: Shape) -> bool:
    """Tell whether the counts alone can answer, but for the edges of the time span."""
    others = set(shape.equal) - {"object_type"}
    return not (others or shape.involving or shape.keyword or shape.data or shape.people)


def _verbs(shape: Shape, columns: Columns) -> ColumnElement[bool]:
    found = [
        and_(columns.verb >= bindparam(f"prefix_{i}"), columns.verb < bindparam(f"beyond_{i}"))
        for i in range(shape.prefixes)
    ]
    if shape.verbs:
        found.append(columns.verb.in_(bindparam("verbs")))
    return or_(*found)


def _data_equals(i: int, kind: str, shape: Shape, columns: Columns) -> ColumnElement[bool]:
    key: Any = bindparam(f"key_{i}")
    value: Any = bindparam(f"value_{i}")
    if shape.postgresql:
        found = columns.data.op("->")(cast(key, Text))
        return and_(found == cast(cast(value, Text), JSONB))
    # Not a JSON path: a key may hold whatever a path gives a meaning to.
    item = _items(columns)
    found = and_(item.key == key, item.type.in_(_SQLITE_TYPES[kind]))
    return exists().where(found if kind == "null" else and_(found, item.value == value))


def _items(columns: Columns) -> Columns:
    """Return the keys of ``data`` with their values, on SQLite."""
    found = func.json_each(columns.data).table_valued("key", "value", "type")
    return found.c


def _by_people(shape: Shape, columns: Columns) -> ColumnElement[bool]:
    if shape.postgresql:
        # Containment is never unknown; ``data->>'key' IN (...)`` is, without the key.
        signs: Any = cast(bindparam("machine_signs", type_=ARRAY(Text)), ARRAY(JSONB))
        is_machine: ColumnElement[bool] = columns.data.bool_op("@>")(any_(signs))
        return not_(is_machine)
    item = _items(columns)
    types: Any = bindparam("machine_types")
    is_told = item.value == case(
        (item.type == "true", literal_column("1")), (item.type == "text", literal_column("'true'"))
    )
    kind_of_actor = case((item.type == "object", func.json_extract(item.value, "$.type")))
    signs = or_(
        and_(item.key.in_(bindparam("machine_keys")), is_told),
        and_(item.key.in_(ACTOR_TYPES), item.type == "text", item.value.in_(types)),
        and_(item.key == ACTOR, kind_of_actor.in_(types)),
    )
    return not_(exists().where(signs))


def _json(value: Any) -> str:
    # As it is stored: an escape for é is refused where the database is not UTF8.
    return json.dumps(value, ensure_ascii=False)


def _kind(value: Scalar) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    return "text" if isinstance(value, str) else "number"


def _escaped(keyword: str) -> str:
    return keyword.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _beyond(prefix: str) -> str:
    """Return the least text that is greater than every text with *prefix*."""
    head = prefix.rstrip(_LAST_CHARACTER)
    if not head:
        return _LAST_CHARACTER * 2
    following = ord(head[-1]) + 1
    # What UTF-8 can't encode is never stored either.
    return head[:-1] + chr(0xE000 if following == 0xD800 else following)  # noqa: PLR2004
