"""What a log says of the seal of one record, and to whom."""

from __future__ import annotations

import asyncio

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from structlog_activity import (
    ALL_TENANTS,
    AccessDeniedError,
    AccessPolicy,
    ActivityLog,
    ActivityRecord,
    InvalidFilterError,
    RecordSeal,
    RepositoryError,
    SchemaError,
)
from structlog_activity.store.table import user_activity


KEY = b"a key of thirty-two bytes, all of"


@pytest.fixture
def url(ready_url: str) -> str:
    """A database with tables, of each kind."""
    return ready_url


@pytest.fixture
def activity(url: str) -> Iterator[ActivityLog]:
    with ActivityLog(url, migrate=True, key=KEY) as activity:
        yield activity


def written(activity: ActivityLog, **fields: Any) -> ActivityRecord:
    found = activity.record("theme.updated", "settings:1", tenant_id="acme", **fields)
    assert activity.flush(20)
    return found


def test_a_record_is_as_it_was_written(activity: ActivityLog) -> None:
    mine = written(activity)

    for tenant_id in ("acme", ALL_TENANTS):
        seal = activity.seal_of(tenant_id, mine.id)
        assert ("intact", True, mine.id, 1) == (seal.state, seal.ok, seal.id, seal.rows)


def test_a_record_that_was_changed_is_told_from_one_that_was_not(activity: ActivityLog) -> None:
    mine, other = written(activity), written(activity)
    with activity.engine.begin() as connection:
        connection.execute(
            update(user_activity).where(user_activity.c.id == mine.id).values(verb="x.y")
        )

    assert ("changed", False) == (
        activity.seal_of("acme", mine.id).state,
        activity.seal_of("acme", mine.id).ok,
    )
    assert activity.seal_of("acme", other.id).ok


def test_a_record_in_a_transaction_of_the_hosts_has_a_seal_too(activity: ActivityLog) -> None:
    activity.migrate()
    with Session(activity.engine) as session, session.begin():
        mine = activity.record("theme.updated", "settings:1", tenant_id="acme", session=session)

    assert "intact" == activity.seal_of("acme", mine.id).state


def test_a_log_without_the_key_can_not_tell_who_signed(url: str, activity: ActivityLog) -> None:
    mine = written(activity)

    with ActivityLog(url) as other:
        assert "unchecked" == other.seal_of("acme", mine.id).state
    with ActivityLog(url, key=b"new", old_keys=[KEY]) as other:
        assert "intact" == other.seal_of("acme", mine.id).state


def test_coroutines_have_the_same(activity: ActivityLog) -> None:
    mine = written(activity)

    assert activity.seal_of("acme", mine.id) == asyncio.run(activity.aseal_of("acme", mine.id))


def test_an_id_that_is_not_there_is_missing(activity: ActivityLog) -> None:
    mine = written(activity)

    for found in (activity.seal_of("acme", "no-such"), activity.seal_of("other", mine.id)):
        assert ("missing", False, None) == (found.state, found.ok, found.batch_id)
    assert mine.id == activity.seal_of("other", mine.id).id


def test_a_policy_is_told_no_more_of_what_it_hides_than_of_what_is_not_there(
    activity: ActivityLog,
) -> None:
    mine, theirs = written(activity, actor_id="ana"), written(activity, actor_id="bob")
    ana = AccessPolicy(actor_id="ana", tenant_id="acme", data="none")

    assert "intact" == activity.seal_of("acme", mine.id, policy=ana).state
    assert _nothing(theirs) == activity.seal_of("acme", theirs.id, policy=ana)
    assert "missing" == asyncio.run(activity.aseal_of("acme", theirs.id, policy=ana)).state
    with pytest.raises(AccessDeniedError):
        activity.seal_of("other", mine.id, policy=ana)


def _nothing(record: ActivityRecord) -> RecordSeal:
    return RecordSeal(id=record.id, state="missing", text="there is no such record")


def test_what_makes_no_sense_is_refused(activity: ActivityLog) -> None:
    with pytest.raises(InvalidFilterError):
        activity.seal_of(None, "x")
    with pytest.raises(InvalidFilterError):
        activity.seal_of("acme", None)


def test_a_database_without_tables_says_which_command_makes_them(
    postgres_url: str, tmp_path: Path
) -> None:
    for url in (postgres_url, f"sqlite:///{tmp_path / 'other.db'}"):
        with (
            ActivityLog(url, migrate=False) as activity,
            pytest.raises(SchemaError, match="migrate"),
        ):
            activity.seal_of("acme", "x")


def test_a_record_stays_proved_where_a_person_was_erased(activity: ActivityLog) -> None:
    mine, other = written(activity, actor_id="ana"), written(activity, actor_id="bob")

    activity.erase(actor_id="ana", reason="asked for it")

    gone = activity.seal_of("acme", mine.id)
    assert ("intact", True, True) == (gone.state, gone.ok, gone.erased)
    assert not activity.seal_of("acme", other.id).erased


def test_a_record_stays_proved_where_retention_took_others_of_its_batch(
    activity: ActivityLog,
) -> None:
    old = datetime.now(UTC) - timedelta(days=90)
    activity.record("theme.updated", "settings:0", tenant_id="acme", occurred_at=old)
    mine = written(activity)
    with activity.engine.connect() as connection:
        assert 1 == len(set(connection.execute(select(user_activity.c.batch_id))))

    assert 1 == activity.prune(timedelta(days=30)).rows

    assert ("intact", 2) == (
        activity.seal_of("acme", mine.id).state,
        activity.seal_of("acme", mine.id).rows,
    )


def test_a_reader_who_may_not_see_the_ledger_is_told_so(postgres_url: str) -> None:
    with ActivityLog(postgres_url, migrate=True) as activity:
        mine = written(activity)
        with activity.engine.begin() as connection:
            connection.execute(text("DROP ROLE IF EXISTS seal_reader"))
            connection.execute(text("CREATE ROLE seal_reader LOGIN"))
            connection.execute(
                text("GRANT SELECT ON user_activity, user_activity_migration TO seal_reader")
            )
        reader = activity.engine.url.set(username="seal_reader")
        with (
            ActivityLog(reader.render_as_string(hide_password=False)) as reading,
            pytest.raises(RepositoryError, match=r"no privilege .*\(user_activity_batch\)"),
        ):
            reading.seal_of("acme", mine.id)
        with activity.engine.begin() as connection:
            connection.execute(text("DROP OWNED BY seal_reader"))
            connection.execute(text("DROP ROLE seal_reader"))
