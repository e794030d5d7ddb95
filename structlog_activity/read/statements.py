"""
Statements that read records in the order of a feed, each built once per shape.

Where a filter has several values of one kind, each value is read from its own
index range up to the page's length, and the short results are merged: an
``IN`` would read all records of all values and sort them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    CompoundSelect,
    GenerativeSelect,
    Integer,
    Select,
    Text,
    bindparam,
    column,
    func,
    select,
    true,
    tuple_,
    union_all,
)

from ..record.record import ActivityRecord
from ..store.table import user_activity
from .conditions import Shape, conditions
from .dates import Span


Statement: TypeAlias = "Select[Any] | CompoundSelect[Any]"
_S = TypeVar("_S", bound=GenerativeSelect)

_C: Final = user_activity.c
_FIELDS: Final = (
    "id actor_id user_id tenant_id org_id verb object_type object_id channel ip data".split()
)
COLUMNS: Final = [*(_C[name] for name in _FIELDS), _C.created_at.label("occurred_at")]
_MOMENT: Final = _C.created_at.type


class _Draft:
    """A record that is not frozen yet."""

    __slots__ = ActivityRecord.__slots__


def to_record(values: Sequence[Any]) -> ActivityRecord:
    """
    Return the record of a row of `COLUMNS`.

    By way of a class with the same slots that are not frozen: that takes a tenth
    of the time of a frozen dataclass's own ``__init__``, which would make a page's
    records cost a quarter of its query.
    """
    record: Any = _Draft()
    (
        record.id, record.actor_id, record.user_id, record.tenant_id, record.org_id, record.verb,
        record.object_type, record.object_id, record.channel, record.ip, record.data,
        record.occurred_at,
    ) = values  # fmt: skip
    record.__class__ = ActivityRecord
    found: ActivityRecord = record
    return found


class Cut(NamedTuple):
    """
    Which part of a feed a statement reads.

    Attributes:

        place: Whether it begins at a place.

        ascending: Whether it goes from old to new.

        offset: Whether it leaves out the first ones.

        low: Whether it keeps to records from the moment *low* on.

        high: Whether it keeps to records before the moment *high*.
    """

    place: bool = False
    ascending: bool = False
    offset: bool = False
    low: bool = False
    high: bool = False


def bounds(span: Span) -> Cut:
    """Return the part of a feed that a span holds."""
    return Cut(low=span.low is not None, high=span.high is not None)


def literal(name: str, type_: Any) -> Any:
    """
    Return a parameter that is put into the text of the statement.

    For limits, of which the planner should know how few rows are wanted, and
    for bounds by which it leaves out partitions whether or not the statement
    is prepared.
    """
    return bindparam(name, type_=type_, literal_execute=True)


@lru_cache(maxsize=1024)
def page_statement(shape: Shape, cut: Cut) -> Statement:
    """Return the statement of a page, for any filter."""
    if shape.involving:
        return _merged(_involving(shape, cut), cut)
    if not _is_split_by_verb(shape):
        return _cut(_matching(shape, cut), _C.created_at, _C.id, cut)
    if shape.postgresql:
        wanted = func.unnest(bindparam("verbs", type_=ARRAY(Text)))
        values: Any = wanted.table_valued(column("verb", Text), name="wanted").render_derived()
        one = _matching(shape._replace(verbs=0), cut).where(_C.verb == values.c.verb)
        return _lateral(values, one, cut)
    others = _matching(shape._replace(verbs=0), cut)
    return _merged(
        (others.where(_C.verb == bindparam(f"verb_{i}")) for i in range(shape.verbs)), cut
    )


@lru_cache(maxsize=512)
def probe_statement(shape: Shape, cut: Cut) -> Select[Any]:
    """Return the statement that looks for a page among the first *effort* records of the tenant."""
    bare = Shape(shape.tenant, since=shape.since, until=shape.until, postgresql=shape.postgresql)
    feed = _ordered(_matching(bare, cut), _C.created_at, _C.id, cut)
    near = feed.limit(literal("effort", Integer)).subquery("near")
    rest = shape._replace(tenant=False, since=False, until=False)
    found = select(*near.c).where(*conditions(rest, near.c))
    return _cut(found, near.c.occurred_at, near.c.id, cut)


@lru_cache(maxsize=512)
def days_statement(shape: Shape, cut: Cut, days: int) -> Statement:
    """
    Return the statement that reads a page from certain verbs on certain days.

    Args:

        shape: The filter's.

        cut: Which part is read.

        days: How many there are; for PostgreSQL, which takes them as arrays, 0.
    """
    others = _matching(shape._replace(verbs=0, prefixes=0), cut)
    if shape.postgresql:
        arrays = [ARRAY(Text), ARRAY(_MOMENT), ARRAY(_MOMENT)]
        names = ("verbs", "mornings", "nights")
        wanted = func.unnest(
            *(bindparam(name, type_=type_) for name, type_ in zip(names, arrays, strict=True))
        )
        values: Any = wanted.table_valued(
            column("verb", Text), column("morning", _MOMENT), column("night", _MOMENT),
            name="wanted",
        ).render_derived()  # fmt: skip
        return _lateral(
            values, _on_day(others, values.c.verb, values.c.morning, values.c.night), cut
        )
    return _merged(
        (
            _on_day(
                others,
                bindparam(f"verb_{i}"),
                bindparam(f"morning_{i}", type_=_MOMENT),
                bindparam(f"night_{i}", type_=_MOMENT),
            )
            for i in range(days)
        ),
        cut,
    )


def within(cut: Cut) -> list[ColumnElement[bool]]:
    """Return the conditions of *cut*'s place and bounds."""
    found: list[ColumnElement[bool]] = []
    if cut.place:
        key = tuple_(_C.created_at, _C.id)
        at: Any = bindparam("at", type_=_MOMENT)
        place = tuple_(at, bindparam("id", type_=_C.id.type))
        # A comparison of pairs alone does not tell PostgreSQL which partitions to leave
        # out. Bounds do; where there are none on that side the moment must, which says
        # less than the pair. Not both: of a bound and a parameter PostgreSQL takes for
        # certain that hardly a row lies between them, and sorts all of a large tenant's.
        found.append(key > place if cut.ascending else key < place)
        if cut.ascending and not cut.low:
            found.append(_C.created_at >= at)
        if not cut.ascending and not cut.high:
            found.append(_C.created_at <= at)
    if cut.low:
        found.append(_C.created_at >= literal("low", _MOMENT))
    if cut.high:
        found.append(_C.created_at < literal("high", _MOMENT))
    return found


def _is_split_by_verb(shape: Shape) -> bool:
    """Tell whether several verbs are all that an index could serve."""
    person_or_object = {"actor_id", "user_id", "object_id"} & set(shape.equal)
    return shape.tenant and shape.verbs > 1 and not shape.prefixes and not person_or_object


def _matching(shape: Shape, cut: Cut) -> Select[Any]:
    return select(*COLUMNS).where(*conditions(shape, _C), *within(cut))


def _involving(shape: Shape, cut: Cut) -> tuple[Select[Any], ...]:
    others = _matching(shape._replace(involving=False), cut)
    who: Any = bindparam("involving", type_=_C.actor_id.type)
    return others.where(_C.actor_id == who), others.where(_C.user_id == who, _C.actor_id != who)


def _on_day(others: Select[Any], verb: Any, morning: Any, night: Any) -> Select[Any]:
    return others.where(_C.verb == verb, _C.created_at >= morning, _C.created_at < night)


def _lateral(values: Any, one: Select[Any], cut: Cut) -> Select[Any]:
    """Read *one* for each of *values*, and merge."""
    first = _ordered(one, _C.created_at, _C.id, cut).limit(literal("reach", Integer)).lateral("one")
    found = select(*first.c).select_from(values.join(first, true()))
    return _cut(found, first.c.occurred_at, first.c.id, cut)


def _merged(branches: Iterable[Select[Any]], cut: Cut) -> CompoundSelect[Any]:
    firsts = (
        _ordered(one, _C.created_at, _C.id, cut).limit(literal("reach", Integer)).subquery()
        for one in branches
    )
    found = union_all(*(select(*first.c) for first in firsts))
    return _cut(found, found.selected_columns.occurred_at, found.selected_columns.id, cut)


def _cut(found: _S, moment: Any, id_: Any, cut: Cut) -> _S:
    found = _ordered(found, moment, id_, cut).limit(literal("wanted", Integer))
    return found.offset(bindparam("offset")) if cut.offset else found


def _ordered(found: _S, moment: Any, id_: Any, cut: Cut) -> _S:
    if cut.ascending:
        return found.order_by(moment, id_)
    return found.order_by(moment.desc(), id_.desc())
