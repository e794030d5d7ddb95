"""Maintenance: months made, folded and rebuilt, by one process at a time."""

from __future__ import annotations

import asyncio
import threading

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from structlog_activity import ActivityLog, RepositoryError, SchemaError
from structlog_activity.store import partitions
from structlog_activity.store.engine import make_engine
from structlog_activity.store.locks import MAINTENANCE, unless_locked_out
from structlog_activity.store.maintenance import postgresql
from structlog_activity.store.maintenance.maintain import maintain
from structlog_activity.store.partitions import MONTHS_AHEAD, months_on
from tests.support.racing import at_once
from tests.support.records import record
from tests.support.stores import opened
from tests.write.doubles import eventually


TODAY = datetime.now(UTC).date()
MONTH = TODAY.replace(day=1)
LATER = months_on(MONTH, 2) + timedelta(days=4)


@pytest.fixture
def engine(ready_url: str) -> Iterator[Engine]:
    """A database with tables, of each kind."""
    with opened(ready_url) as found:
        yield found


def store(engine: Engine, *moments: datetime) -> None:
    with ActivityLog(engine.url.render_as_string(hide_password=False)) as activity:
        for moment in moments:
            activity.log(record(occurred_at=moment))
        assert activity.flush(20)


def total(engine: Engine) -> int:
    with ActivityLog(engine.url.render_as_string(hide_password=False)) as activity:
        return activity.stats(tenant_id="acme").total


def rows(engine: Engine, query: str) -> list[Any]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def execute(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))


def test_closed_months_are_folded_and_open_ones_are_not(engine: Engine) -> None:
    store(engine, datetime.now(UTC))

    assert () == maintain(engine, today=TODAY).months_folded
    report = maintain(engine, today=LATER)
    again = maintain(engine, today=LATER)

    assert ((MONTH,), 1) == (report.months_folded, report.counts_folded)
    assert ((), 0) == (again.months_folded, again.counts_folded)
    assert [(1,)] == rows(engine, "SELECT n FROM user_activity_monthly")
    assert 1 == total(engine)


def test_a_report_can_be_printed_as_json(engine: Engine) -> None:
    store(engine, datetime.now(UTC))

    found = maintain(engine, today=LATER).to_dict()

    assert [f"{MONTH:%Y-%m}"] == found["months_folded"]
    assert (True, False, []) == (found["ok"], found["is_busy"], found["findings"])


def test_long_work_is_told_before_it_begins(engine: Engine) -> None:
    store(engine, datetime.now(UTC))
    told: list[str] = []

    maintain(engine, today=LATER, on_progress=told.append)

    assert f"folding the counts of {MONTH:%Y-%m}" in told


def test_an_activity_log_maintains_itself(url: str) -> None:
    with ActivityLog(url, migrate=True) as activity:
        assert activity.maintain().ok
        assert asyncio.run(activity.amaintain()).ok


def test_without_tables_there_is_nothing_to_maintain(url: str) -> None:
    with ActivityLog(url, migrate=False) as activity, pytest.raises(SchemaError):
        activity.maintain()


def test_the_filters_of_a_small_file_use_their_indexes_after_maintenance(tmp_path: Path) -> None:
    """Figures of a few rows must not tell SQLite that no index is worth it."""
    from tests.read.test_plans import (
        test_the_filters_of_a_new_file_use_their_indexes_from_the_first_row as check,
    )

    with opened(f"sqlite:///{tmp_path / 'activity.db'}") as engine:
        store(engine, datetime.now(UTC))
        maintain(engine, today=TODAY)
    check(tmp_path)


def test_the_write_ahead_log_of_a_file_is_emptied(tmp_path: Path) -> None:
    path = tmp_path / "activity.db"
    with ActivityLog(f"sqlite:///{path}") as activity:
        activity.log(record())
        assert activity.flush(20)
        assert path.with_name("activity.db-wal").stat().st_size > 0

        activity.maintain()

        assert 0 == path.with_name("activity.db-wal").stat().st_size


# -- PostgreSQL ------------------------------------------------------------------


def test_the_coming_months_are_made_once(server: Engine) -> None:
    report = maintain(server, today=LATER)

    assert (months_on(MONTH, 4), months_on(MONTH, 5)) == report.months_made
    assert () == maintain(server, today=LATER).months_made


def test_the_indexes_of_a_closed_month_are_rebuilt_once(server: Engine) -> None:
    store(server, datetime.now(UTC))
    files = (
        "SELECT array_agg(relfilenode ORDER BY relname) FROM pg_class JOIN pg_index "
        f"ON indexrelid = oid WHERE indrelid = 'user_activity_y{MONTH:%Y}m{MONTH:%m}'::regclass"
    )
    before = rows(server, files)

    assert () == maintain(server, today=months_on(MONTH, 1)).months_rebuilt
    report = maintain(server, today=months_on(MONTH, 1) + timedelta(days=2))
    after = rows(server, files)
    again = maintain(server, today=LATER)

    assert (MONTH,) == report.months_rebuilt
    assert MONTH not in again.months_rebuilt
    assert not set(before[0][0]) & set(after[0][0])
    assert after == rows(server, files)


def test_a_comment_of_somebody_on_a_partition_is_kept(server: Engine) -> None:
    name = f"user_activity_y{MONTH:%Y}m{MONTH:%m}"
    execute(server, f"COMMENT ON TABLE {name} IS '100 % ours: it''s old'")

    maintain(server, today=LATER)

    ((comment,),) = rows(server, f"SELECT obj_description('{name}'::regclass, 'pg_class')")
    assert ["100 % ours: it's old", "structlog_activity: indexes rebuilt"] == comment.splitlines()


def test_what_a_broken_off_rebuild_left_is_dropped(server: Engine) -> None:
    name = f"user_activity_y{MONTH:%Y}m{MONTH:%m}"
    execute(server, f"CREATE INDEX {name}_ip_ccnew ON {name} (ip)")
    execute(server, f"CREATE INDEX {name}_good_ccnew ON {name} (ip)")
    execute(
        server,
        f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{name}_ip_ccnew'::regclass",
    )

    maintain(server, today=TODAY)

    left = rows(server, "SELECT relname FROM pg_class WHERE relname LIKE '%ccnew'")
    assert [(f"{name}_good_ccnew",)] == left


def test_figures_for_the_planner_are_renewed_once_a_day(server: Engine) -> None:
    told: list[str] = []

    maintain(server, today=TODAY, on_progress=told.append)
    maintain(server, today=TODAY, on_progress=told.append)

    assert 1 == told.count("analyzing")


def test_figures_of_counts_are_renewed_with_every_fold(server: Engine) -> None:
    told: list[str] = []
    for _ in range(2):
        store(server, datetime.now(UTC))
        maintain(server, today=LATER, on_progress=told.append)

    assert 2 == told.count("analyzing")


def test_old_records_without_a_month_are_reported_and_get_one_on_demand(server: Engine) -> None:
    old = datetime(MONTH.year - 1, 6, 15, tzinfo=UTC)
    store(server, old, old + timedelta(days=40), datetime.now(UTC))

    report = maintain(server, today=TODAY)
    (finding,) = report.findings
    mended = maintain(server, today=TODAY, history=True)

    assert not report.ok
    assert ("partitions.past", "2 records") == (finding.check, finding.problem[:9])
    assert "maintain --history" in finding.remedy
    assert mended.ok
    assert date(old.year, 6, 1) == mended.months_made[0]
    assert [(0,)] == rows(server, "SELECT count(*) FROM user_activity_past")
    assert 3 == total(server)


def test_records_from_before_all_months_are_let_be(
    server: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (partitions, postgresql):
        monkeypatch.setattr(module, "OLDEST_MONTHS", 6)
    store(server, datetime(1975, 6, 15, tzinfo=UTC))

    maintain(server, today=TODAY, history=True)

    assert maintain(server, today=TODAY).ok
    assert [(1,)] == rows(server, "SELECT count(*) FROM user_activity_past")


def test_records_of_a_clock_that_is_wrong_are_reported(server: Engine) -> None:
    store(server, datetime.now(UTC))
    execute(server, "UPDATE user_activity SET created_at = created_at + interval '2 years'")

    (finding,) = maintain(server, today=TODAY).findings

    assert "partitions.future" == finding.check
    assert "1 records are dated after" in finding.problem


def test_the_edge_for_the_past_may_be_missing(server: Engine) -> None:
    """Somebody who has no history dropped it."""
    execute(server, "DROP TABLE user_activity_past")
    store(server, datetime.now(UTC))

    for history in (False, True):
        report = maintain(server, history=history, today=LATER)
        assert report.ok, report.findings
    assert 1 == total(server)


def test_a_failure_that_is_no_lock_of_others_is_told(server: Engine) -> None:
    findings: list[Any] = []
    with (
        pytest.raises(DBAPIError, match="division by zero"),
        server.connect() as connection,
        unless_locked_out("indexes", findings),
    ):
        connection.execute(text("SELECT 1 / 0"))

    assert [] == findings


def test_who_comes_second_is_told_and_changes_nothing(server: Engine) -> None:
    store(server, datetime.now(UTC))
    with server.connect() as first:
        first.execute(text(f"SELECT pg_advisory_lock({MAINTENANCE})"))

        second = maintain(server, today=LATER)
        first.rollback()
        first.execute(text("SELECT pg_advisory_unlock_all()"))

    assert (True, True, ()) == (second.is_busy, second.ok, second.months_folded)
    assert (MONTH,) == maintain(server, today=LATER).months_folded


def test_the_lock_is_let_go_of_after_a_failure(
    server: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr("structlog_activity.store.maintenance.postgresql.fold_months", fail)
        with pytest.raises(RuntimeError):
            maintain(server, today=TODAY)

    assert not maintain(server, today=TODAY).is_busy


def test_any_number_may_maintain_at_once(engine: Engine) -> None:
    store(engine, *(datetime.now(UTC) for _ in range(3)))

    reports = at_once(4, engine, lambda own: maintain(own, today=LATER))

    assert 1 == sum(report.counts_folded for report in reports)
    assert 3 == total(engine)


def test_a_table_in_use_costs_partitions_and_indexes_a_finding_each_and_nothing_else(
    server: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_PATIENCE", "_LONG_PATIENCE"):
        monkeypatch.setattr(postgresql, name, "50ms")
    store(server, datetime.now(UTC))
    with server.connect() as reader:
        reader.execute(text("SELECT FROM user_activity"))
        report = maintain(server, today=LATER)

    assert ["partitions.locked", "indexes.locked"] == [found.check for found in report.findings]
    assert (MONTH,) == report.months_folded
    mended = maintain(server, today=LATER)
    assert mended.ok
    assert mended.months_made
    assert MONTH in mended.months_rebuilt


def test_folding_waits_for_a_writer_whatever_the_database_s_isolation(server: Engine) -> None:
    """The stricter levels refuse to go on where somebody else came first."""
    store(server, datetime.now(UTC))
    setting = "default_transaction_isolation = 'serializable'"
    execute(server, f'ALTER DATABASE "{server.url.database}" SET {setting}')
    server.dispose()
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    reports: list[Any] = []
    with server.connect() as writer, server.connect() as other:
        eye = other.execution_options(isolation_level="AUTOCOMMIT")
        writer.execute(text("UPDATE user_activity_daily SET n = n + 1"))
        thread = threading.Thread(target=lambda: reports.append(maintain(server, today=LATER)))
        thread.start()
        eventually(lambda: bool(eye.scalar(waiting)), "waiting for the writer")
        writer.commit()
        thread.join()

    assert [(MONTH,)] == [report.months_folded for report in reports]
    assert [(2,)] == rows(server, "SELECT n FROM user_activity_monthly")


def test_a_role_that_does_not_own_the_tables_is_told_who_does(server: Engine) -> None:
    execute(server, "DROP ROLE IF EXISTS activity_guest")
    execute(server, "CREATE ROLE activity_guest LOGIN")
    execute(server, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO activity_guest")
    guest = make_engine(server.url.set(username="activity_guest"))
    try:
        with pytest.raises(RepositoryError, match="owner of the tables, postgres"):
            maintain(guest, today=TODAY)
    finally:
        guest.dispose()
        execute(server, "DROP OWNED BY activity_guest")
        execute(server, "DROP ROLE activity_guest")


def test_three_months_are_there_after_maintenance(server: Engine) -> None:
    maintain(server, today=LATER)

    names = rows(
        server, "SELECT relname FROM pg_class WHERE relname LIKE 'user\\_activity\\_y%m__'"
    )
    last = months_on(LATER, MONTHS_AHEAD)
    assert (f"user_activity_y{last:%Y}m{last:%m}",) in names
