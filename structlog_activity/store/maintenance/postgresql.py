"""
Maintenance of PostgreSQL: partitions, indexes and figures for the planner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Final

from sqlalchemy import Connection, Engine, text

from ...findings import Finding
from ...record.traces import TRACES
from ..citus import is_spread
from ..counts import fold_months
from ..locks import alone, unless_locked_out
from ..partitions import (
    FUTURE,
    OLDEST_MONTHS,
    PAST,
    make_months,
    month_of_partition,
    months_ahead,
    months_on,
    months_there,
)
from .report import MaintenanceReport


Say = Callable[[str], object]

_SETTLED: Final = timedelta(days=2)  # By then hardly a record of a closed month comes.
# How long others' locks are waited for: writers wait for partitions meanwhile, and
# nobody waits for a rebuild.
_PATIENCE = "5s"
_LONG_PATIENCE = "60s"
_REBUILT: Final = "structlog_activity: indexes rebuilt"
_MANY: Final = 10_000
_PARTITIONS: Final = text(
    "SELECT c.oid::regclass::text, c.relname, obj_description(c.oid, 'pg_class') "
    "FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
    "WHERE i.inhparent = to_regclass('user_activity') ORDER BY c.relname"
)
# What is left of a rebuild that was broken off.
_LEFTOVERS: Final = text(
    "SELECT x.indexrelid::regclass::text FROM pg_inherits i "
    "JOIN pg_index x ON x.indrelid = i.inhrelid JOIN pg_class c ON c.oid = x.indexrelid "
    "WHERE i.inhparent = to_regclass('user_activity') AND NOT x.indisvalid "
    "AND c.relname ~ '_cc(new|old)[0-9]*$'"
)
_ANALYZED: Final = text(
    "SELECT coalesce(last_analyze > now() - interval '1 day', false) FROM pg_stat_user_tables "
    "WHERE relid = to_regclass('user_activity')"
)
_COUNTS: Final = ("user_activity_daily", "user_activity_monthly")
# What tells of retention and erasure outlives the month that it is of.
_NO_TRACE: Final = f"verb NOT IN ({', '.join(repr(verb) for verb in TRACES)})"


def maintain_postgresql(
    engine: Engine, today: date, say: Say, *, history: bool
) -> MaintenanceReport:
    """
    Do what is due.

    Args:

        engine: As for `maintain`.

        today: As for `maintain`.

        say: As its *on_progress*.

        history: As for `maintain`.

    Raises:

        RepositoryError: The role does not own the tables.
    """
    with alone(engine) as session:
        if session is None:
            return MaintenanceReport(is_busy=True)
        return _work(engine, session, today, say, history=history)


def _work(
    engine: Engine, session: Connection, today: date, say: Say, *, history: bool
) -> MaintenanceReport:
    findings: list[Finding] = []
    made = _make_months(engine, today, findings, say, history=history)
    folded = fold_months(engine, today, say)
    rebuilt = _rebuild_indexes(session, today, findings, say)
    findings += _look_at_edges(session)
    _analyze(session, say, log=bool(made or rebuilt), counts=bool(folded))
    return MaintenanceReport(
        months_made=made,
        months_folded=tuple(folded),
        counts_folded=sum(folded.values()),
        months_rebuilt=rebuilt,
        findings=tuple(findings),
    )


def _make_months(
    engine: Engine, today: date, findings: list[Finding], say: Say, *, history: bool
) -> tuple[date, ...]:
    """Make the months ahead and, where asked for, those of old records."""
    first, last = months_ahead(today)
    with unless_locked_out("partitions", findings), engine.begin() as connection:
        execute = connection.exec_driver_sql
        there = set(months_there(execute))
        if history:
            first = _oldest(connection) or first
        if there and (last not in there or first < min(there)):
            say("making partitions")
            connection.execute(text(f"SET LOCAL lock_timeout = '{_PATIENCE}'"))
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            make_months(execute, first, last)
        return tuple(month for month in months_there(execute) if month not in there)
    return ()


def _oldest(connection: Connection) -> date | None:
    """Return the month of the oldest record that has no month of its own."""
    if connection.scalar(text(f"SELECT to_regclass('{PAST}')")) is None:
        return None
    query = text(
        f"SELECT (min(created_at) AT TIME ZONE 'UTC')::date FROM {PAST} WHERE {_NO_TRACE}"  # noqa: S608
    )
    oldest: date | None = connection.scalar(query)
    return oldest and oldest.replace(day=1)


def _rebuild_indexes(
    session: Connection, today: date, findings: list[Finding], say: Say
) -> tuple[date, ...]:
    """Rebuild, once, the indexes of months that are closed: in order of arrival they grow wide."""
    rebuilt: list[date] = []
    with unless_locked_out("indexes", findings):
        session.execute(text(f"SET lock_timeout = '{_LONG_PATIENCE}'"))
        if is_spread(session):
            # Of a name that is cut to its length several at once would be made.
            session.execute(text("SET citus.multi_shard_modify_mode = 'sequential'"))
        for name in session.scalars(_LEFTOVERS).all():
            session.exec_driver_sql(f"DROP INDEX CONCURRENTLY {name}")
        for name, month, comment in _closed_months(session, today):
            say(f"rebuilding the indexes of {month:%Y-%m}")
            session.exec_driver_sql(f"REINDEX TABLE CONCURRENTLY {name}")
            told = f"{comment}\n{_REBUILT}" if comment else _REBUILT
            quoted = session.scalar(text("SELECT quote_literal(:told)"), {"told": told})
            session.exec_driver_sql(f"COMMENT ON TABLE {name} IS {quoted}".replace("%", "%%"))
            rebuilt.append(month)
    return tuple(rebuilt)


def _closed_months(session: Connection, today: date) -> Iterator[tuple[str, date, str | None]]:
    """Yield name, month and comment of partitions that wait to be rebuilt."""
    for name, relname, comment in session.execute(_PARTITIONS).all():
        month = month_of_partition(relname)
        if month and months_on(month, 1) + _SETTLED <= today and _REBUILT not in (comment or ""):
            yield name, month, comment


def _look_at_edges(session: Connection) -> Iterator[Finding]:
    """Yield what lies in the partitions that should be empty."""
    months = months_there(session.exec_driver_sql)
    if not months:
        return
    oldest = months_on(months[-1], -OLDEST_MONTHS)
    where = f"created_at >= '{oldest} 00:00+00' AND {_NO_TRACE}"
    past = _count(session, PAST, where)
    if past:
        yield Finding(
            "partitions.past",
            f"{past} records are older than the first month, {months[0]:%Y-%m}, and share one "
            "partition: reading them is slow, and they can't be dropped by the month",
            "structlog-activity maintain --history  # makes their months; writers wait meanwhile",
        )
    future = _count(session, FUTURE, "true")
    if future:
        yield Finding(
            "partitions.future",
            f"{future} records are dated after the last month, {months[-1]:%Y-%m}",
            f"SELECT * FROM {FUTURE}  -- whose clock is wrong? They move to their "  # noqa: S608
            "month when it is made",
        )


def _count(session: Connection, name: str, where: str) -> str:
    """Return how many rows there are, as text; ``""`` is none."""
    if session.scalar(text("SELECT to_regclass(:name)"), {"name": name}) is None:
        return ""
    # Not `SELECT FROM`, of which Citus makes no subquery.
    rows = f"SELECT 1 FROM {name} WHERE {where} LIMIT {_MANY}"  # noqa: S608
    n = session.exec_driver_sql(f"SELECT count(*) FROM ({rows}) found").scalar_one()  # noqa: S608
    return "" if n == 0 else f"{n:,}{'+' if n == _MANY else ''}"


def _analyze(session: Connection, say: Say, *, log: bool, counts: bool) -> None:
    """Renew the planner's figures, at least once a day: autovacuum passes over parents."""
    tables: tuple[str, ...] = _COUNTS if counts else ()
    if log or not session.scalar(_ANALYZED):
        tables = ("user_activity", *_COUNTS)
    if tables:
        say("analyzing")
        session.exec_driver_sql(f"ANALYZE {', '.join(tables)}")
