"""Months: made ahead, made for history, and never in the way of a row."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest

from sqlalchemy import Engine, text

from structlog_activity.record.rowmaker import RowMaker
from structlog_activity.record.times import to_microseconds
from structlog_activity.store.batch import Batch
from structlog_activity.store.engine import parse_url
from structlog_activity.store.partitions import (
    FUTURE,
    OLDEST_MONTHS,
    PAST,
    make_months,
    month_of,
    months_ahead,
    months_on,
    months_there,
)
from structlog_activity.store.postgresql.repository import PostgresRepository
from tests.support.records import record


TODAY = datetime.now(UTC).date()
NAMES = (
    "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'user_activity'::regclass"
)


@pytest.fixture
def connection(server: Engine, tables_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(tables_url.replace("+psycopg", "")) as connection:
        yield connection


def homes(server: Engine) -> dict[str, int]:
    """How many rows each partition holds."""
    with server.connect() as connection:
        rows = connection.execute(
            text("SELECT tableoid::regclass::text, count(*) FROM user_activity GROUP BY 1")
        )
        return {str(name): int(count) for name, count in rows}


def batch(*moments: datetime, seq: int = 1) -> Batch:
    rows = [RowMaker().make_from(record(occurred_at=moment)) for moment in moments]
    return Batch(record().id, seq, seq, rows)


def test_the_schema_starts_with_this_month_and_three_ahead(
    connection: psycopg.Connection,
) -> None:
    first, last = months_ahead(TODAY)
    months = months_there(connection.execute)

    assert (first, last, 4) == (months[0], months[-1], len(months))


def test_rows_beyond_the_months_go_to_the_edges_and_are_found_there(
    server: Engine, tables_url: str
) -> None:
    repository = PostgresRepository(parse_url(tables_url))
    repository.write(batch(datetime(2012, 6, 1, tzinfo=UTC), datetime.now(UTC)))
    repository.close()

    assert 1 == homes(server)["user_activity_past"]
    assert 2 == sum(homes(server).values())


def test_months_of_history_take_their_rows_out_of_the_edge(server: Engine, tables_url: str) -> None:
    repository = PostgresRepository(parse_url(tables_url))
    old = [datetime(2025, 1, day, tzinfo=UTC) for day in (1, 31)]
    older = datetime(2024, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    repository.write(batch(*old, older))

    repository.make_room(to_microseconds(old[0]), to_microseconds(old[1]))
    repository.close()

    assert {"user_activity_y2025m01": 2, "user_activity_past": 1} == homes(server)


def test_making_months_twice_changes_nothing(connection: psycopg.Connection) -> None:
    first = date(2025, 3, 9)

    made = make_months(connection.execute, first, TODAY)

    assert made > 0
    assert 0 == make_months(connection.execute, first, TODAY)
    months = months_there(connection.execute)
    assert date(2025, 3, 1) == months[0]
    numbers = [month.year * 12 + month.month for month in months]
    assert list(range(numbers[0], numbers[-1] + 1)) == numbers


@pytest.mark.parametrize("edge", [PAST, FUTURE])
def test_an_edge_that_somebody_dropped_is_there_again_after_new_months(
    connection: psycopg.Connection, edge: str
) -> None:
    connection.execute(f"DROP TABLE {edge}")
    there = months_there(connection.execute)
    first, last = (
        (months_on(there[0], -1), there[-1])
        if edge == PAST
        else (there[0], months_on(there[-1], 1))
    )

    assert 1 == make_months(connection.execute, first, last)

    names = {name for (name,) in connection.execute(NAMES)}
    assert {PAST, FUTURE} <= names
    assert 5 == len(months_there(connection.execute))


def test_nobody_makes_partitions_for_a_thousand_years(connection: psycopg.Connection) -> None:
    make_months(connection.execute, date(1970, 1, 1), TODAY)

    assert len(months_there(connection.execute)) <= OLDEST_MONTHS + 5


def test_the_writer_makes_the_coming_months(tables_url: str, server: Engine) -> None:
    later = (TODAY.replace(day=1) + timedelta(days=100)).replace(day=1)
    repository = PostgresRepository(parse_url(tables_url), today=lambda: later)

    repository.write(batch(datetime.now(UTC)))
    repository.close()

    with psycopg.connect(tables_url.replace("+psycopg", "")) as connection:
        assert months_ahead(later)[1] == months_there(connection.execute)[-1]


def test_a_writer_that_may_only_insert_writes_all_the_same(tables_url: str, server: Engine) -> None:
    with server.begin() as owner:
        owner.execute(text("DROP ROLE IF EXISTS activity_writer"))
        owner.execute(text("CREATE ROLE activity_writer LOGIN"))
        owner.execute(text("GRANT INSERT ON user_activity, user_activity_batch TO activity_writer"))
        owner.execute(
            text("GRANT SELECT, INSERT, UPDATE ON user_activity_daily TO activity_writer")
        )
    later = (TODAY.replace(day=1) + timedelta(days=100)).replace(day=1)
    url = parse_url(tables_url).set(username="activity_writer")
    repository = PostgresRepository(url, today=lambda: later)

    written = batch(datetime.now(UTC))
    assert repository.write(written)
    assert not repository.write(written)
    repository.close()
    assert 1 == sum(homes(server).values())
    with server.begin() as owner:
        owner.execute(text("DROP OWNED BY activity_writer"))
        owner.execute(text("DROP ROLE activity_writer"))


def test_there_is_no_default_partition(connection: psycopg.Connection) -> None:
    """With one, pages would be read from all partitions at once."""
    (bounds,) = connection.execute(
        "SELECT array_agg(pg_get_expr(c.relpartbound, c.oid)) FROM pg_inherits i "
        "JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'user_activity'::regclass"
    ).fetchone()  # type: ignore[misc]

    assert not [bound for bound in bounds if "DEFAULT" in bound]
    assert any("MINVALUE" in bound for bound in bounds)
    assert any("MAXVALUE" in bound for bound in bounds)


@pytest.mark.parametrize(
    ("moment", "month"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), date(1970, 1, 1)),
        (datetime(2024, 2, 29, 23, 59, tzinfo=UTC), date(2024, 2, 1)),
        (datetime(2024, 12, 31, tzinfo=UTC), date(2024, 12, 1)),
    ],
)
def test_a_moment_knows_its_month(moment: datetime, month: date) -> None:
    assert month == month_of(to_microseconds(moment))


def test_three_months_ahead_cross_the_year() -> None:
    assert (date(2026, 11, 1), date(2027, 2, 1)) == months_ahead(date(2026, 11, 30))
