"""Reads in surroundings that are not as the tests' own: odd servers, sessions and values."""

from __future__ import annotations

import sys

from collections.abc import Iterator
from datetime import UTC, date
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from sqlalchemy import Engine, event, text
from sqlalchemy.orm import Session

from structlog_activity import (
    ActivityFilter,
    ActivityLog,
    InvalidCursorError,
    InvalidFilterError,
    RepositoryError,
    feed,
    stats,
)
from structlog_activity.read.cursor import Place, encode_cursor
from structlog_activity.store.engine import make_engine, parse_url
from tests.support.postgres import PostgresServer
from tests.support.records import NOON, record
from tests.support.stores import Store


@pytest.fixture
def engine(postgres_url: str) -> Iterator[Engine]:
    engine = make_engine(parse_url(postgres_url))
    yield engine
    engine.dispose()


def fill(url: str) -> None:
    with ActivityLog(url, migrate=True) as activity:
        activity.log(record(object_id="x" * 500, channel="c" * 150, occurred_at=NOON))
        assert activity.flush(timeout=20)


@pytest.mark.parametrize(
    "setting",
    [
        "TimeZone TO 'America/New_York'",
        "DateStyle TO 'German, DMY'",
        "DateStyle TO 'SQL, MDY'",
        "IntervalStyle TO 'postgres_verbose'",
        "default_transaction_isolation TO 'serializable'",
        "plan_cache_mode TO 'force_generic_plan'",
        "standard_conforming_strings TO off",
        "bytea_output TO 'escape'",
    ],
)
def test_settings_of_the_database_change_nothing(
    postgres_url: str, engine: Engine, setting: str
) -> None:
    with engine.begin() as connection:
        connection.execute(text(f'ALTER DATABASE "{engine.url.database}" SET {setting}'))
    engine.dispose()
    fill(postgres_url)

    with ActivityLog(postgres_url) as activity:
        (found,) = activity.feed(tenant_id="acme").records
        counted = activity.stats(tenant_id="acme", since=NOON, until=NOON.replace(hour=13))
    assert (NOON, UTC) == (found.occurred_at, found.occurred_at and found.occurred_at.tzinfo)
    assert found.to_dict()["occurred_at"] == "2026-03-14T12:00:00.000000Z"
    assert {date(2026, 3, 14): 1} == counted.by_day


def test_a_log_reads_without_transactions_and_leaves_its_engine_as_it_was(
    postgres_url: str,
) -> None:
    """BEGIN and ROLLBACK would be two more round trips for each read."""
    fill(postgres_url)
    modes: list[bool] = []

    with ActivityLog(postgres_url) as activity:
        activity.feed(tenant_id="acme")
        event.listen(
            activity.engine,
            "before_cursor_execute",
            lambda _, cursor, *__: modes.append(cursor.connection.autocommit),
        )
        activity.feed(tenant_id="acme")
        activity.stats(tenant_id="acme")
        with activity.engine.connect() as connection:
            connection.execute(text("SELECT 1"))

    *reads, last = modes
    assert {True} == set(reads)
    assert not last


def test_a_restarted_server_costs_no_read(
    postgres_url: str, postgres_server: PostgresServer
) -> None:
    if postgres_server.external:
        pytest.skip("restarts the server")
    fill(postgres_url)
    with ActivityLog(postgres_url) as activity:
        assert 1 == activity.stats(tenant_id="acme").total
        postgres_server.stop("immediate")
        postgres_server.start_again()

        assert 1 == activity.stats(tenant_id="acme").total
        assert 1 == activity.feed(tenant_id="acme").total


def test_a_reader_of_log_and_counts_alone_can_read(postgres_url: str, engine: Engine) -> None:
    fill(postgres_url)
    with engine.begin() as owner:
        owner.execute(text("DROP ROLE IF EXISTS activity_reader"))
        owner.execute(text("CREATE ROLE activity_reader LOGIN"))
        owner.execute(
            text(
                "GRANT SELECT ON user_activity, user_activity_daily, user_activity_monthly "
                "TO activity_reader"
            )
        )

    with ActivityLog(postgres_url.replace("postgres@", "activity_reader@")) as activity:
        assert 1 == activity.feed(tenant_id="acme").total == activity.stats(tenant_id="acme").total

    with engine.begin() as owner:
        owner.execute(text("DROP OWNED BY activity_reader"))
        owner.execute(text("DROP ROLE activity_reader"))


def test_a_first_read_does_not_wait_for_a_writer(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'activity.db'}"
    fill(url)
    import sqlite3

    writer = sqlite3.connect(tmp_path / "activity.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    try:
        with ActivityLog(url) as activity:
            assert 1 == activity.feed(tenant_id="acme").total
    finally:
        writer.execute("ROLLBACK")
        writer.close()


ODD: dict[str, dict[str, Any]] = {
    "surrogate in a channel": {"channel": "\ud800"},
    "surrogate in a prefix": {"verbs": "\udfff*"},
    "surrogate in a keyword": {"keyword": "\ud800"},
    "surrogate in a key": {"data": {"\ud800": 1}},
    "surrogate in a value": {"data": {"a": "\ud800"}},
    "NUL in a channel": {"channel": "a\0b"},
    "NUL in a verb": {"verbs": ["a\0b"]},
    "NUL in an id": {"object_id": "a\0b"},
    "NUL in a keyword": {"keyword": "a\0b"},
    "an int beyond 64 bits": {"data": {"a": 2**63}},
    "an int of many digits": {"object_id": 10**5000},
    "an actor of many digits": {"actor_id": 10**5000},
    "verbs of many digits": {"verbs": 10**5000},
    "too many keys": {"data": {str(n): n for n in range(300)}},
}


@pytest.mark.parametrize("where", ODD.values(), ids=ODD.keys())
def test_values_that_nothing_stored_can_have_are_refused(where: dict[str, Any]) -> None:
    with pytest.raises(InvalidFilterError):
        ActivityFilter(tenant_id="acme", **where)


def test_the_end_of_the_calendar_is_a_moment_like_any_other(store: Store) -> None:
    store.add(record())

    assert 0 == store.stats(tenant_id="acme", since="9999-12-31T12:00").total
    assert 1 == store.stats(tenant_id="acme", until="9999-12-31T12:00").total
    assert 1 == store.stats(tenant_id="acme", since="0001-01-01").total


def test_what_was_shortened_is_found_by_its_whole_text(store: Store) -> None:
    (stored,) = store.add(record(object_id="x" * 500, channel="c" * 150, verb="v" * 300))

    for where in ({"object_id": "x" * 500}, {"channel": "c" * 150}, {"verbs": ["v" * 300]}):
        assert [stored] == store.feed(tenant_id="acme", **where).records
    assert [] == store.feed(tenant_id="acme", object_id="x" * 501).records


def test_a_forged_cursor_beyond_all_time_is_refused(store: Store) -> None:
    if store.engine is None:
        pytest.skip("has no database to upset")
    where = ActivityFilter(tenant_id="acme")
    forged = encode_cursor(Place(2**62, record().id), where.digest(), b"")

    with pytest.raises(InvalidCursorError, match=f"^after='{forged}': is no cursor of this feed"):
        feed(store.engine, ActivityFilter(tenant_id="acme", after=forged))


def test_a_session_without_an_engine_is_told() -> None:
    with Session() as session, pytest.raises(RepositoryError, match="bound to no engine"):
        stats(session, ActivityFilter(tenant_id="acme"))


def test_classes_that_another_thread_is_just_loading_are_no_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(f"sqlite:///{tmp_path / 'activity.db'}")
    for end in ("ext.asyncio", "ext.asyncio.engine", "ext.asyncio.session", "orm", "orm.session"):
        monkeypatch.setitem(sys.modules, f"sqlalchemy.{end}", ModuleType(end))
    engine = make_engine(parse_url(f"sqlite:///{tmp_path / 'activity.db'}"))

    with engine.connect() as connection:
        for bind in (engine, connection):
            assert 1 == stats(bind, ActivityFilter(tenant_id="acme")).total
    engine.dispose()


def test_a_key_that_is_text_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="key: bytes"):
        ActivityLog("sqlite://", key="text")  # type: ignore[arg-type]
