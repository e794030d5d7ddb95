"""Retention: what is old goes, counts and seals stay right, and what is done is told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sqlalchemy import text

from structlog_activity import (
    ALL_TENANTS,
    ActivityLog,
    InvalidFilterError,
    RepositoryError,
)
from structlog_activity.record.traces import PRUNED
from structlog_activity.store.maintenance.maintain import maintain
from structlog_activity.store.partitions import months_on
from structlog_activity.store.removal import retention
from tests.support.postgres import PostgresServer
from tests.support.records import record
from tests.support.stores import KEY, store_old


NOW = datetime.now(UTC)
TODAY = NOW.date()
MONTH = NOW.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def month(back: int, *, day: int = 1, hour: int = 0) -> datetime:
    """A moment so many months ago."""
    return datetime.combine(months_on(MONTH.date(), -back), MONTH.time(), UTC) + timedelta(
        days=day - 1, hours=hour
    )


@pytest.fixture(scope="module")
def migrated_url(postgres_server: PostgresServer, template_url: str) -> str:
    """A database with tables, shared by these tests only: its months come and go."""
    return postgres_server.create_database(template_url)


@pytest.fixture
def server(tables_url: str) -> Iterator[ActivityLog]:
    """An empty log on PostgreSQL."""
    with ActivityLog(tables_url, key=KEY) as found:
        yield found


def store(activity: ActivityLog, *moments: datetime, **fields: Any) -> None:
    store_old(activity, [record(occurred_at=at, **fields) for at in moments])


def query(activity: ActivityLog, sql: str) -> list[Any]:
    with activity.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(sql))]


def moments(activity: ActivityLog, **where: Any) -> list[datetime]:
    """When what is left happened, but for the traces."""
    page = activity.feed(**{"tenant_id": ALL_TENANTS, "limit": 200, **where})
    return sorted(
        at for found in page.records if found.verb != PRUNED and (at := found.occurred_at)
    )


def check(activity: ActivityLog) -> None:
    """The counts are those of the rows, and all seals hold."""
    counted = query(activity, "SELECT count(*) FROM user_activity")[0][0]
    assert counted == activity.stats(tenant_id=ALL_TENANTS).total
    assert [] == query(activity, "SELECT 1 FROM user_activity_daily WHERE n < 1")
    for in_database in {False, activity.engine.dialect.name == "postgresql"}:
        report = activity.verify(in_database=in_database)
        assert report.ok, report.findings


def test_what_is_older_goes_and_the_rest_stays(activity: ActivityLog) -> None:
    old, young = [month(4), month(3, day=5)], [month(1, day=20), NOW]
    store(activity, *old)
    store(activity, *young)

    report = activity.prune(month(2))

    assert (2, True, False) == (report.rows, report.ok, report.is_dry_run)
    assert young == moments(activity)
    check(activity)


def test_a_second_run_finds_nothing_and_leaves_no_trace(activity: ActivityLog) -> None:
    store(activity, month(4), NOW)
    activity.prune(month(2))
    traces = query(activity, "SELECT count(*) FROM user_activity")

    assert 0 == activity.prune(month(2)).rows
    assert traces == query(activity, "SELECT count(*) FROM user_activity")
    check(activity)


def test_a_trace_says_what_went(activity: ActivityLog) -> None:
    store(activity, month(2, day=3), month(2, day=9), NOW)

    activity.prune(month(2, day=5))

    (trace,) = activity.feed(tenant_id=ALL_TENANTS, verbs=[PRUNED]).records
    micros = (month(2, day=5) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert {"before": micros, "rows": 1} == trace.data
    check(activity)


def test_a_dry_run_counts_what_would_go(activity: ActivityLog) -> None:
    store(activity, month(4), month(2, day=3, hour=5), month(2, day=3, hour=7), NOW)

    report = activity.prune(month(2, day=3, hour=6), dry_run=True)

    assert (2, True) == (report.rows, report.is_dry_run)
    assert 4 == len(moments(activity))
    assert 2 == activity.prune(month(2, day=3, hour=6)).rows


def test_a_batch_on_both_sides_of_the_moment_is_still_proved(activity: ActivityLog) -> None:
    store(activity, month(3), month(3, day=2), month(1), NOW)

    activity.prune(month(2, day=3))

    check(activity)
    with activity.engine.begin() as connection:
        connection.execute(
            text("UPDATE user_activity SET ip = 'x' WHERE verb <> 'activity.pruned'")
        )
    assert {"row.changed"} == {finding.kind for finding in activity.verify().findings}


def test_what_went_in_steps_is_still_proved(activity: ActivityLog) -> None:
    store(activity, *(month(back, day=day) for back in (5, 4, 3, 2) for day in (1, 11, 21)))

    for before in (month(5, day=5), month(4), month(4, day=15), month(2, day=15), NOW):
        activity.prune(before)
        check(activity)
    assert [] == moments(activity)


def test_rows_that_went_without_a_trace_are_found(activity: ActivityLog) -> None:
    store(activity, month(4))
    store(activity, month(1))
    activity.prune(month(3))

    with activity.engine.begin() as connection:
        connection.execute(text("DELETE FROM user_activity WHERE verb <> 'activity.pruned'"))

    assert {"batch.empty"} == {finding.kind for finding in activity.verify().findings}


def test_folded_months_lose_what_went(activity: ActivityLog) -> None:
    store(activity, month(3, day=2), month(3, day=20), month(2, day=2), NOW)
    maintain(activity.engine, today=TODAY)

    activity.prune(month(3, day=10))

    check(activity)
    assert {f"{month(2):%Y-%m-%d}"[:7], f"{month(3):%Y-%m-%d}"[:7]} <= {
        f"{day:%Y-%m}" for day in activity.stats(tenant_id="acme").by_day
    }
    assert 3 == activity.stats(tenant_id="acme").total


def test_only_one_tenant_or_channel_may_be_pruned(activity: ActivityLog) -> None:
    rows = [
        record(occurred_at=month(3), tenant_id=tenant, channel=channel)
        for tenant in (record().tenant_id, record(tenant_id=KEYED).tenant_id)
        for channel in ("", "a")
    ]
    importer = activity.importer()
    importer.store([activity._rows.make_from(row) for row in rows])
    importer.close()

    assert 1 == activity.prune(month(2), tenant_id="acme", channel="a").rows
    check(activity)
    assert 1 == activity.prune(month(2), tenant_id=KEYED).rows + -1
    check(activity)
    assert 1 == activity.prune(month(2), channel="").rows
    check(activity)
    assert [] == moments(activity)
    activity.prune(month(1))
    check(activity)


KEYED = record(tenant_id=record().org_id).id


def test_what_a_tenant_may_lose_another_may_not(activity: ActivityLog) -> None:
    store(activity, month(3))
    store(activity, month(3), tenant_id=KEYED)
    activity.prune(month(2), tenant_id=KEYED)

    with activity.engine.begin() as connection:
        connection.execute(text("DELETE FROM user_activity WHERE verb <> 'activity.pruned'"))

    assert {"batch.empty"} == {finding.kind for finding in activity.verify().findings}


def test_stubs_of_what_nobody_may_take_are_found(activity: ActivityLog) -> None:
    store(activity, month(3))
    with activity.engine.connect() as connection:
        batches = connection.scalars(text("SELECT batch_id FROM user_activity_batch WHERE n > 0"))
        scope = retention.Scope(before=month(2))
        retention.leave_stubs(connection, scope, batches.all())
        connection.execute(text("DELETE FROM user_activity"))
        connection.commit()

    assert {"retention.early"} == {finding.kind for finding in activity.verify().findings}


def test_nothing_younger_than_the_floor_goes(activity: ActivityLog) -> None:
    store(activity, NOW - timedelta(days=50), NOW - timedelta(days=20))

    report = activity.prune(timedelta(days=10), floor=timedelta(days=30))

    assert (1, True) == (report.rows, report.is_floored)
    assert not activity.prune(timedelta(days=40), floor=timedelta(days=30)).is_floored
    assert 1 == len(moments(activity))


def test_a_moment_to_come_means_now(activity: ActivityLog) -> None:
    store(activity, NOW + timedelta(hours=20), month(1))

    assert 1 == activity.prune(NOW + timedelta(days=5)).rows
    assert 1 == len(moments(activity))
    check(activity)


@pytest.mark.parametrize(
    ("older_than", "options"),
    [
        (5, {}),
        (timedelta(-1), {}),
        ("2026-01-01", {}),
        (timedelta.max, {}),
        (timedelta(1), {"floor": 3}),
        (timedelta(1), {"channel": 3}),
        (timedelta(1), {"tenant_id": None}),
    ],
)
def test_what_makes_no_sense_is_refused(
    tmp_path: Path, older_than: Any, options: dict[str, Any]
) -> None:
    with (
        ActivityLog(f"sqlite:///{tmp_path / 'x.db'}") as activity,
        pytest.raises(InvalidFilterError),
    ):
        activity.prune(older_than, **options)


def test_progress_is_told(activity: ActivityLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_MOST", 2)
    for _ in range(3):
        store(activity, month(2, day=2), month(2, day=3))
    store(activity, NOW)
    told: list[tuple[int, int]] = []

    activity.prune(month(2, day=10), progress=lambda *found: told.append(found))

    assert [(2, 6), (4, 6), (6, 6)] == told
    check(activity)


def test_what_broke_off_goes_on_at_the_next_run(
    activity: ActivityLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_MOST", 2)
    for _ in range(3):
        store(activity, month(2, day=2), month(2, day=3))

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        activity.prune(month(2, day=10), progress=stop)
    check(activity)
    assert 4 == len(moments(activity))

    assert 4 == activity.prune(month(2, day=10)).rows
    check(activity)


def test_traces_outlive_their_month(activity: ActivityLog) -> None:
    store(activity, month(4), month(3), NOW)
    store(activity, month(3, day=9), verb=PRUNED)

    activity.prune(month(1))
    activity.prune(month(1, day=2))

    assert 1 == len(activity.feed(tenant_id="acme", verbs=[PRUNED]).records)
    check(activity)


def test_tails_go_on_where_they_were(activity: ActivityLog) -> None:
    store(activity, month(3))
    store(activity, month(1))
    with activity.tail(tenant_id="acme", position="0", timeout=0) as records:
        next(records)
        position = records.position

    activity.prune(month(2))

    store(activity, NOW)
    with activity.tail(tenant_id="acme", position=position, timeout=0) as records:
        assert [month(1), NOW] == [found.occurred_at for found in records]


# -- PostgreSQL -------------------------------------------------------------


def partitions(activity: ActivityLog) -> set[str]:
    return {
        name.removeprefix("user_activity_")
        for (name,) in query(
            activity,
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
            "WHERE i.inhparent = 'user_activity'::regclass",
        )
    }


def test_whole_months_go_with_their_partitions(server: ActivityLog) -> None:
    store(server, month(4), month(3, day=15), month(2), NOW)

    report = server.prune(month(2))

    assert (month(4).date(), month(3).date()) == report.months_dropped
    assert [f"{month(4):%Y-%m}", f"{month(3):%Y-%m}"] == report.to_dict()["months_dropped"]
    assert f"y{month(3):%Ym%m}" not in partitions(server)
    assert f"y{month(2):%Ym%m}" in partitions(server)
    check(server)


def test_records_that_come_late_find_a_place_and_may_get_months_again(server: ActivityLog) -> None:
    store(server, month(4), month(2), NOW)
    server.prune(month(2))

    server.log(record(occurred_at=month(4, day=9)))
    server.flush(20)
    assert [(1,)] == query(
        server, "SELECT count(*) FROM user_activity_past WHERE verb <> 'activity.pruned'"
    )
    check(server)

    assert server.maintain(history=True).ok
    check(server)
    assert 1 == server.prune(month(2)).rows
    check(server)


def test_traces_of_old_months_are_no_finding_of_maintenance(server: ActivityLog) -> None:
    store(server, month(4), NOW)
    store(server, month(3, day=9), verb=PRUNED)
    server.prune(month(1))

    assert [(1,)] == query(server, "SELECT count(*) FROM user_activity_past")
    assert server.maintain().ok


def test_the_last_month_is_not_dropped(server: ActivityLog) -> None:
    store(server, month(2))
    with server.engine.begin() as connection:
        for name in sorted(partitions(server) - {"past", "future", f"y{month(2):%Ym%m}"}):
            connection.execute(text(f"DROP TABLE user_activity_{name}"))
        connection.execute(text("DROP TABLE user_activity_future"))
        connection.execute(
            text(
                "CREATE TABLE user_activity_future PARTITION OF user_activity "
                f"FOR VALUES FROM ('{month(1)}') TO (MAXVALUE)"
            )
        )

    assert 1 == server.prune(month(0)).rows
    assert f"y{month(2):%Ym%m}" in partitions(server)


def test_of_two_one_works_and_the_other_says_so(server: ActivityLog) -> None:
    from structlog_activity.store.locks import MAINTENANCE

    store(server, month(4))
    with server.engine.connect() as holder:
        holder.execute(text(f"SELECT pg_advisory_lock({MAINTENANCE})"))
        report = server.prune(month(2))
        holder.execute(text(f"SELECT pg_advisory_unlock({MAINTENANCE})"))

    assert (True, 0) == (report.is_busy, report.rows)
    assert 1 == server.prune(month(2)).rows


def test_a_transaction_that_holds_the_table_is_a_finding(
    server: ActivityLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    from structlog_activity.store.removal import months

    monkeypatch.setattr(months, "_PATIENCE", "50ms")
    store(server, month(4), NOW)
    with server.engine.connect() as holder:
        holder.execute(text("LOCK TABLE user_activity IN ROW EXCLUSIVE MODE"))
        report = server.prune(month(2))

    assert ["partitions.locked"] == [finding.check for finding in report.findings]
    assert (False, 0) == (report.ok, report.rows)
    assert server.prune(month(2)).ok


def test_a_role_that_does_not_own_the_tables_is_refused(server: ActivityLog) -> None:
    store(server, month(4))
    with server.engine.begin() as connection:
        connection.execute(text("CREATE ROLE retained LOGIN PASSWORD 'x'"))
        connection.execute(text("GRANT ALL ON ALL TABLES IN SCHEMA public TO retained"))
    url = server.engine.url.set(username="retained", password="x")
    try:
        with (
            ActivityLog(url.render_as_string(hide_password=False)) as other,
            pytest.raises(RepositoryError, match="owner"),
        ):
            other.prune(month(2))
    finally:
        with server.engine.begin() as connection:
            connection.execute(text("DROP OWNED BY retained"))
            connection.execute(text("DROP ROLE retained"))
