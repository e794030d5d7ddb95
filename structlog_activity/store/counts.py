"""
The counts of days and months: folded as days close, and less where records go.

The daily counts of closed days are folded: counted once more by month.
A row of the daily counts is either folded, and then its count is in its month's
row too, or open. Writers add to open rows only. So the months and the open rows
together hold every record once, at any instant, however late it came.

Days stay where they are: timelines and feeds of rare kinds of records read them
as before. The months take room of their own, and save statistics of years from
reading days.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, CursorResult, Engine, bindparam, delete, select, text, update

from .citus import is_spread
from .engine import POSTGRESQL, SQLITE
from .locks import COUNTS, lock
from .partitions import months_on
from .table import DAYS_OF_MONTH, user_activity_daily
from .transactions import begun


# Of today and yesterday: writers add to both, late or from another time zone's night,
# and should wait for no fold.
_OPEN_DAYS: Final = timedelta(days=1)
_DAILY: Final = user_activity_daily.c
_KEY: Final = "tenant_id, day, channel, verb, object_type, folded"
_SAME: Final = " AND ".join(f"d.{name} = c.{name}" for name in _KEY.split(", "))
_OWN: Final = "tenant_id = :tenant_id"
_SPAN: Final = "day >= :first AND day < :beyond"
# As the index of open rows has it, which is chosen by its words.
_OPEN: Final = {POSTGRESQL: "NOT folded", SQLITE: "folded = 0"}
_FOLDED: Final = {POSTGRESQL: "folded", SQLITE: "folded = 1"}


class Counted(NamedTuple):
    """How many records of a kind went of a day."""

    tenant_id: UUID
    day: date
    channel: str
    verb: str
    object_type: str
    n: int


def closed_before(today: date) -> date:
    """Return the first day, in UTC, to which writers are still expected to add."""
    return today - _OPEN_DAYS if today > date.min + _OPEN_DAYS else date.min


def open_months(connection: Connection, beyond: date) -> list[date]:
    """
    Return the months that have counts to fold of days before *beyond*, in order.

    Args:

        connection: To the database.

        beyond: The first day that is not closed.
    """
    days = select(_DAILY.day).where(~_DAILY.folded, _DAILY.day < beyond).distinct()
    return sorted({day.replace(day=1) for day in connection.scalars(days)})


def fold(connection: Connection, month: date, beyond: date, tenant_id: UUID | None = None) -> int:
    """
    Fold the open counts of one month, in the transaction that is open.

    Args:

        connection: To the database; on SQLite it holds the lock for writing.

        month: The month's first day.

        beyond: The first day that is not closed, in that month or after it.

        tenant_id: Only those of this tenant, on PostgreSQL; `None` is all.

    Returns:

        How many rows of the daily counts were folded.
    """
    values: dict[str, Any] = {"first": month, "beyond": min(months_on(month, 1), beyond)}
    open_ = f"{_OPEN[connection.dialect.name]} AND {_SPAN}"
    if connection.dialect.name == SQLITE:
        _run(connection, _months_from("user_activity_daily", open_), values)
        return _move(connection, open_, "1", values)
    lock(connection.exec_driver_sql, COUNTS)
    values["tenant_id"] = tenant_id
    is_all = tenant_id is None
    # One statement, so that months, folded days and open days are of one moment.
    moved = f"""
        WITH {_taken(open_, is_all=is_all)},
        days AS ({_days_from("taken", "true", folded="true")}),
        months AS ({_months_from("taken", "true")})
        SELECT count(*) FROM taken
    """  # noqa: S608
    return int(_run(connection, moved, values).scalar_one())


def fold_months(engine: Engine, today: date, say: Callable[[str], object]) -> dict[date, int]:
    """
    Fold what is open of all closed days, each month in a transaction of its own.

    Args:

        engine: Of the database.

        today: The current date in UTC.

        say: Called with a few words before each month.

    Returns:

        The months, and how many daily counts of each were folded.
    """
    beyond = closed_before(today)
    with engine.connect() as connection:
        months = open_months(connection, beyond)
        is_by_tenant = is_spread(connection)
    found = {}
    for month in months:
        say(f"folding the counts of {month:%Y-%m}")
        found[month] = 0
        for tenant_id in _tenants(engine, month, beyond) if is_by_tenant else (None,):
            with begun(engine) as connection:
                found[month] += fold(connection, month, beyond, tenant_id)
    return found


def _tenants(engine: Engine, month: date, beyond: date) -> Sequence[UUID]:
    """Return the tenants that have counts of a month to fold."""
    span = (_DAILY.day >= month, _DAILY.day < min(months_on(month, 1), beyond))
    with engine.connect() as connection:
        found = select(_DAILY.tenant_id).where(~_DAILY.folded, *span).distinct()
        return connection.scalars(found).all()


def unfold(connection: Connection, first: date, last: date, tenant_id: UUID | None = None) -> None:
    """
    Take months out of the monthly counts, in the transaction that is open.

    Their days are open then; the next `fold` brings them back.

    Args:

        connection: To the database; on SQLite it holds the lock for writing.

        first: Any day of the first month.

        last: Any day of the last month.

        tenant_id: Only of this tenant, on PostgreSQL; `None` is of all.
    """
    values: dict[str, Any] = {
        "first": first.replace(day=1),
        "beyond": months_on(last.replace(day=1), 1),
    }
    folded = f"{_FOLDED[connection.dialect.name]} AND {_SPAN}"
    months = "DELETE FROM user_activity_monthly WHERE month >= :first AND month < :beyond"
    if connection.dialect.name == SQLITE:
        _run(connection, months, values)
        _move(connection, folded, "0", values)
        return
    lock(connection.exec_driver_sql, COUNTS)
    values["tenant_id"] = tenant_id
    is_all = tenant_id is None
    _run(connection, months + ("" if is_all else f" AND {_OWN}"), values)
    days = _days_from("taken", "true", folded="false")
    _run(connection, f"WITH {_taken(folded, is_all=is_all)} {days}", values)


def take_back(connection: Connection, counts: Sequence[Counted]) -> None:
    """
    Take records out of the counts of days and months, in the transaction that is open.

    Their months are unfolded first. No count may be less than 1: what comes to
    nothing goes.

    Args:

        connection: To the database; on SQLite it holds the lock for writing.

        counts: What went.
    """
    if not counts:
        return
    days = [counted.day for counted in counts]
    first, last = min(days), max(days)
    tenants = sorted({counted.tenant_id for counted in counts}) if is_spread(connection) else [None]
    for tenant_id in tenants:
        unfold(connection, first, last, tenant_id)
    key = ("tenant_id", "day", "channel", "verb", "object_type")
    less = update(user_activity_daily).where(
        *(_DAILY[name] == bindparam(f"its_{name}") for name in key), ~_DAILY.folded
    )
    # In the order of the key, as writers lock them.
    ordered = sorted(counts, key=lambda c: (c.tenant_id.bytes, *c[1:5]))
    connection.execute(
        less.values(n=_DAILY.n - bindparam("less")), [_values(counted) for counted in ordered]
    )
    beyond = months_on(last.replace(day=1), 1)
    connection.execute(
        delete(user_activity_daily).where(
            _DAILY.day >= first, _DAILY.day < beyond, ~_DAILY.folded, _DAILY.n <= 0
        )
    )


def _move(connection: Connection, chosen: str, folded: str, values: dict[str, Any]) -> int:
    """Move days of SQLite, where nobody else writes meanwhile."""
    _run(connection, _days_from("user_activity_daily", chosen, folded=folded), values)
    gone = f"DELETE FROM user_activity_daily WHERE {chosen}"  # noqa: S608
    return _run(connection, gone, values).rowcount


@lru_cache
def _taken(chosen: str, *, is_all: bool) -> str:
    """Return SQL that deletes days, of all tenants or one, and has them as *taken*."""
    own, same = ("", _SAME) if is_all else (f" AND {_OWN}", f"{_SAME} AND d.{_OWN}")
    # Locked first, in the order in which writers lock them, and only what was locked
    # is deleted: that way nobody deadlocks. The days are those after the last change.
    return f"""
        chosen AS MATERIALIZED (
            SELECT {_KEY} FROM user_activity_daily WHERE {chosen}{own} ORDER BY {_KEY} FOR UPDATE
        ),
        taken AS (
            DELETE FROM user_activity_daily d USING chosen c WHERE {same} RETURNING d.*
        )
    """  # noqa: S608


def _run(
    connection: Connection, statement: str, values: dict[str, Any] | None = None
) -> CursorResult[Any]:
    day = _DAILY.day.type
    typed = (bindparam(name, type_=day) for name in ("first", "beyond") if f":{name}" in statement)
    return connection.execute(text(statement).bindparams(*typed), values or {})


@lru_cache
def _days_from(source: str, chosen: str, *, folded: str) -> str:
    """Return SQL that adds rows of *source* to the days, folded or open."""
    return f"""
        INSERT INTO user_activity_daily AS d ({_KEY}, n)
        SELECT tenant_id, day, channel, verb, object_type, {folded}, n
        FROM {source} WHERE {chosen} ORDER BY {_KEY}
        ON CONFLICT ({_KEY}) DO UPDATE SET n = d.n + excluded.n
    """  # noqa: S608


@lru_cache
def _months_from(source: str, chosen: str) -> str:
    """Return SQL that adds days of *source*, which are of one month, to the month."""
    days = enumerate(DAYS_OF_MONTH)
    sums = ", ".join(f"sum(n) FILTER (WHERE day - :first = {i})" for i, _ in days)
    merged = ", ".join(
        f"{day} = coalesce(m.{day} + excluded.{day}, excluded.{day}, m.{day})"
        for day in DAYS_OF_MONTH
    )
    return f"""
        INSERT INTO user_activity_monthly AS m
            (tenant_id, month, channel, verb, object_type, n, {", ".join(DAYS_OF_MONTH)})
        SELECT tenant_id, :first, channel, verb, object_type, sum(n), {sums}
        FROM {source} WHERE {chosen}
        GROUP BY tenant_id, channel, verb, object_type
        ORDER BY tenant_id, channel, verb, object_type
        ON CONFLICT (tenant_id, month, channel, verb, object_type)
            DO UPDATE SET n = m.n + excluded.n, {merged}
    """  # noqa: S608


def _values(counted: Counted) -> dict[str, Any]:
    found = counted._asdict()
    return {"less": found.pop("n")} | {f"its_{name}": value for name, value in found.items()}
