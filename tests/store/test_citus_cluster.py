"""
The life of a log on a real Citus cluster.

It is used where STRUCTLOG_ACTIVITY_TEST_CITUS_URL names an empty database of its coordinator,
which has the extension and two workers, for a superuser.
"""

from __future__ import annotations

import os
import threading

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sqlalchemy import Engine, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from structlog_activity import (
    ALL_TENANTS,
    ActivityFilter,
    ActivityLog,
    RepositoryError,
    feed,
    stats,
    to_uuid,
)
from structlog_activity.read.counts.timeline import timeline
from structlog_activity.read.counts.top import top
from structlog_activity.read.feeds.get import get
from structlog_activity.read.feeds.history import history
from structlog_activity.read.tail.changes import Changes
from structlog_activity.read.tail.position import START
from structlog_activity.record.rowmaker import RowMaker
from structlog_activity.record.times import to_microseconds
from structlog_activity.store.batch import Batch
from structlog_activity.store.citus import is_spread
from structlog_activity.store.engine import make_engine, parse_url
from structlog_activity.store.faults import Fault, StoreError
from structlog_activity.store.postgresql.repository import PostgresRepository
from structlog_activity.store.postgresql.roles import apply_roles
from structlog_activity.store.schema import Schema
from structlog_activity.store.seals.report import SealFindings
from structlog_activity.store.seals.rowcheck import RowCheck
from structlog_activity.store.seals.stored import snapshot
from structlog_activity.store.seals.traces import Declarations
from structlog_activity.testing import matches
from tests.cli.commands import Cli
from tests.support.citus import DISTRIBUTE, DISTRIBUTED, LOCAL, READERS, VARIABLE
from tests.support.records import NOON, random_records, record
from tests.support.sent import sent_by
from tests.write.doubles import eventually


TENANTS = ("acme", "globex", "initech", "umbrella")
ROLES = ("writer", "reader", "auditor")


@pytest.fixture(scope="module")
def url() -> str:
    found = os.environ.get(VARIABLE)
    if not found:
        pytest.skip(f"{VARIABLE} names no coordinator")
    return found


@pytest.fixture(scope="module")
def cluster(url: str) -> Iterator[Engine]:
    """The tables, spread over the workers of a cluster."""
    engine = make_engine(parse_url(url))
    Schema(engine).migrate()
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(DISTRIBUTE)
        yield engine
    finally:
        Schema(engine).downgrade(0)
        with engine.begin() as connection:  # It remembers that nothing is there, as a table.
            connection.execute(text("DROP TABLE user_activity_migration"))
        engine.dispose()


@pytest.fixture(autouse=True)
def _empty(cluster: Engine) -> None:
    with cluster.begin() as connection:
        connection.execute(text(f"TRUNCATE {', '.join(DISTRIBUTED.keys() | LOCAL)}"))
        connection.execute(text("TRUNCATE user_activity_checkpoint"))


@pytest.fixture
def repository(url: str) -> Iterator[PostgresRepository]:
    found = PostgresRepository(parse_url(url))
    yield found
    found.close()


@pytest.fixture
def log(url: str) -> Iterator[ActivityLog]:
    with ActivityLog(url, warn_role=False) as found:
        yield found


def batch_of(*numbers: int, tenants: int = 1, **fields: Any) -> Batch:
    return Batch.alone(
        [
            RowMaker().make_from(
                record(tenant_id=to_uuid(f"t{n % tenants}"), object_id=str(n), **fields)
            )
            for n in numbers
        ]
    )


# -- writing ------------------------------------------------------------------------


def test_the_cluster_is_told_from_one_server(cluster: Engine) -> None:
    with cluster.connect() as connection:
        assert is_spread(connection)


def test_a_batch_is_written_once_and_counted(
    cluster: Engine, repository: PostgresRepository
) -> None:
    batch = Batch.alone([RowMaker().make_from(one) for one in random_records(3, 300, tenants=5)])

    assert (True, False) == (repository.write(batch), repository.write(batch))

    for n in range(5):
        where = ActivityFilter(tenant_id=f"tenant-{n}", total="exact")
        found = sum(matches(where, row.to_record()) for row in batch.rows)
        assert found == stats(cluster, where).total == feed(cluster, where).total


def test_rows_that_are_there_already_are_duplicates(repository: PostgresRepository) -> None:
    batch = batch_of(*range(20), tenants=5)
    repository.write(batch)
    more = batch_of(*range(20, 25), tenants=5)

    with pytest.raises(StoreError) as caught:
        repository.write(Batch.alone([*more.rows, *batch.rows[:3]]))

    assert Fault.DUPLICATE is caught.value.fault
    assert {5, 6, 7} == repository.stored([*more.rows, *batch.rows[:3]])
    assert repository.write(more)


def write_some(url: str, writer: int) -> dict[str, int]:
    """Write as a process of its own does."""
    with ActivityLog(url, warn_role=False, batch_size=40) as log:
        for n in range(200):
            log.record(
                "doc.opened", ("doc", f"{writer}-{n}"), tenant_id=TENANTS[n % 4],
                actor_id=f"actor-{writer}", channel="docs",
            )  # fmt: skip
        assert log.flush(60)
        return log.counters()


def test_several_processes_write_for_several_tenants(url: str, log: ActivityLog) -> None:
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        written = [found["written"] for found in pool.map(write_some, [url] * 3, range(3))]

    assert [200, 200, 200] == written
    for tenant in TENANTS:
        assert 150 == log.stats(tenant_id=tenant).total
        assert 150 == log.feed(tenant_id=tenant, total="exact").total
    assert 600 == log.stats(tenant_id=ALL_TENANTS).total
    assert log.verify().ok


def test_a_transaction_of_the_hosts_takes_its_records_along(
    cluster: Engine, log: ActivityLog
) -> None:
    for end in ("commit", "rollback"):
        with Session(cluster) as session:
            log.record("doc.opened", ("doc", end), tenant_id="acme", session=session)
            getattr(session, end)()

    assert ["commit"] == [one.object_id for one in log.feed(tenant_id="acme").records]
    assert log.verify().ok


def test_a_batch_is_committed_on_both_sides_or_on_none(
    cluster: Engine, repository: PostgresRepository
) -> None:
    """A batch of one tenant writes to one worker and, as its ledger's line, to the coordinator."""
    with cluster.connect() as connection:
        # By name, for Citus removes those of before when it comes to it.
        prepared = text("SELECT gid FROM pg_dist_transaction")
        before = set(connection.execute(prepared).scalars())

        repository.write(batch_of(*range(3)))

        connection.rollback()
        assert set(connection.execute(prepared).scalars()) - before


def test_rows_of_an_edge_move_to_their_months(
    cluster: Engine, repository: PostgresRepository
) -> None:
    old = [record(occurred_at=NOON - timedelta(days=200 + n)) for n in range(40)]
    repository.write(Batch.alone([RowMaker().make_from(one) for one in old]))
    moments = [to_microseconds(one.occurred_at) for one in old if one.occurred_at]

    repository.make_room(min(moments), max(moments))

    page = feed(cluster, ActivityFilter(tenant_id=to_uuid("acme"), limit=200))
    assert {one.id for one in old} == {one.id for one in page.records}
    with cluster.connect() as connection:
        past = connection.execute(text("SELECT count(*) FROM user_activity_past")).scalar_one()
    assert 0 == past


# -- reading ------------------------------------------------------------------------


def test_a_cluster_reads_as_one_server_does(
    cluster: Engine, repository: PostgresRepository
) -> None:
    made = [RowMaker().make_from(one) for one in random_records(7, 400, tenants=2)]
    moments = [row.created_at for row in made]
    repository.make_room(min(moments), max(moments))
    repository.write(Batch.alone(made))
    records = [row.to_record() for row in made]
    for where in (
        {}, {"actor_id": "actor-1"}, {"user_id": "actor-2"}, {"involving": "actor-3"},
        {"verbs": ["settings.updated", "user.created"]}, {"verbs": "settings.*"},
        {"channel": "exports"}, {"object_type": "user", "object_id": "1"}, {"keyword": "sett"},
        {"data": {"count": 1}}, {"since": NOON - timedelta(days=20), "until": NOON},
    ):  # fmt: skip
        for tenant in ("tenant-0", ALL_TENANTS):
            filter_ = ActivityFilter.of({"tenant_id": tenant, "limit": 200, **where})
            expected = [one for one in records if matches(filter_, one)]
            expected.sort(key=lambda one: (one.occurred_at, one.id), reverse=True)
            page = feed(cluster, filter_)
            assert expected[:200] == page.records
            assert len(expected) == stats(cluster, filter_).total
            assert len(expected) == sum(n for _, n in timeline(cluster, filter_, bucket="week"))
            assert len(expected) == sum(n for _, n in top(cluster, filter_, by="channel"))
            if expected:
                assert expected[-1] == get(cluster, expected[-1].tenant_id, expected[-1].id)
    assert history(cluster, ("user", "1"), ActivityFilter(tenant_id="tenant-1")).records


def test_pages_follow_each_other_by_cursor(cluster: Engine, repository: PostgresRepository) -> None:
    made = [RowMaker().make_from(one) for one in random_records(8, 150, tenants=1)]
    repository.write(Batch.alone(made))
    where = ActivityFilter(tenant_id="tenant-0", limit=40)

    found = []
    page = feed(cluster, where)
    while True:
        found += [one.id for one in page.records]
        if page.next_cursor is None:
            break
        page = feed(cluster, ActivityFilter(tenant_id="tenant-0", limit=40, after=page.next_cursor))

    expected = sorted((row.to_record() for row in made), key=lambda r: (r.occurred_at, r.id))
    assert [one.id for one in expected][::-1] == found


def test_a_statement_that_was_prepared_reads_the_right_tenant(
    repository: PostgresRepository, log: ActivityLog
) -> None:
    """After some rounds the driver prepares it, and then the server plans it once for all."""
    repository.write(batch_of(*range(60), tenants=3))
    for n in range(30):
        where: dict[str, Any] = {"tenant_id": f"t{n % 3}"}
        page = log.feed(**where, verbs="settings.updated", limit=30, total="exact")
        assert {n % 3} == {int(one.object_id) % 3 for one in page.records}
        assert 20 == page.total == log.stats(**where).total == log.feed(**where).total
        assert [20] == [count for _, count in log.top(by="object_type", **where)]
        assert 20 == sum(count for _, count in log.timeline(bucket="day", **where))
        assert page.records[0] == log.get(where["tenant_id"], page.records[0].id)


@pytest.mark.parametrize(
    "where",
    [
        {},
        {"actor_id": "actor-1"},
        {"user_id": "actor-2"},
        {"involving": "actor-3"},
        {"verbs": "settings.updated"},
        {"verbs": ["settings.updated", "user.created"]},
        {"verbs": "settings.*"},
        {"channel": "exports"},
        {"object_type": "user", "object_id": "1"},
        {"object_type": "user"},
        {"keyword": "sett"},
        {"data": {"count": 1}},
        {"since": NOON - timedelta(days=20, hours=1), "until": NOON},
    ],
    ids=str,
)
def test_a_read_of_one_tenant_is_one_task_of_one_worker(
    cluster: Engine, repository: PostgresRepository, where: dict[str, Any]
) -> None:
    made = [RowMaker().make_from(one) for one in random_records(9, 300, tenants=3)]
    repository.write(Batch.alone(made))
    filter_ = ActivityFilter.of({"tenant_id": "tenant-0", "limit": 5, "total": "exact", **where})
    page = feed(cluster, filter_)
    cursor = {"limit": 5, "after": page.next_cursor} if page.next_cursor else {}
    deep = ActivityFilter.of({"tenant_id": "tenant-0", **where, **cursor})
    id_ = made[0].to_record().id

    sent = sent_by(cluster, lambda: (
        feed(cluster, filter_), feed(cluster, deep), stats(cluster, filter_),
        timeline(cluster, filter_, bucket="hour"), timeline(cluster, filter_, bucket="month"),
        top(cluster, filter_, by="actor_id"), top(cluster, filter_, by="channel"),
        get(cluster, "tenant-0", id_),
    ))  # fmt: skip

    assert len(sent) > 7
    assert_one_task_each(cluster, sent)


def assert_one_task_each(cluster: Engine, sent: list[tuple[str, Any]]) -> None:
    with cluster.connect() as connection:
        for statement, values in sent:
            plan = connection.exec_driver_sql(f"EXPLAIN (COSTS OFF) {statement}", values).scalars()
            lines = [line.strip() for line in plan]
            assert ["Task Count: 1"] == [line for line in lines if "Task Count" in line], statement
            assert not [line for line in lines if "Subplan" in line], statement


def test_a_tail_of_one_tenant_is_one_task_of_one_worker(
    cluster: Engine, repository: PostgresRepository
) -> None:
    changes = Changes(cluster, ActivityFilter(tenant_id="t0"))
    for n in range(3):
        repository.write(batch_of(n))

    sent = sent_by(cluster, lambda: changes.after(START))

    rows = [one for one in sent if "FROM user_activity " in one[0].replace("\n", " ")]
    assert rows
    assert_one_task_each(cluster, rows)


def test_the_views_for_dashboards_hold_everything(
    cluster: Engine, repository: PostgresRepository
) -> None:
    repository.write(batch_of(*range(30), tenants=4))

    with cluster.connect() as connection:
        for count in ("count(*) FROM activity_feed_v1", "sum(n) FROM activity_daily_v1"):
            assert 30 == connection.execute(text(f"SELECT {count}")).scalar_one()
        mine = text("SELECT count(*) FROM activity_feed_v1 WHERE tenant_id = :tenant")
        assert 8 == connection.execute(mine, {"tenant": to_uuid("t1")}).scalar_one()


# -- following ----------------------------------------------------------------------


def test_a_tail_brings_each_record_once(cluster: Engine, log: ActivityLog) -> None:
    own, everybodys = (
        log.tail(tenant_id=tenant, timeout=0) for tenant in ("acme", ALL_TENANTS)
    )  # fmt: skip
    for n in range(40):
        log.record("doc.opened", ("doc", n), tenant_id=TENANTS[n % 4])
        if n % 7 == 0:
            assert log.flush(20)
    assert log.flush(20)

    assert [f"{n}" for n in range(0, 40, 4)] == [one.object_id for one in own]
    assert [f"{n}" for n in range(40)] == [one.object_id for one in everybodys]
    again = log.tail(tenant_id="acme", position="0", timeout=0)
    assert 10 == len(list(again))


def test_an_export_goes_on_where_the_last_one_ended(
    url: str, log: ActivityLog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli, position = Cli(capsys), str(tmp_path / "position")
    command = ("--url", url, "export", "--tenant", "acme", "--since-last", position)
    found = []
    for n in range(3):
        log.record("doc.opened", ("doc", n), tenant_id="acme")
        assert log.flush(20)
        found.append(cli.ok(*command).objects)

    assert [["0"], ["1"], ["2"]] == found


@contextmanager
def stalled_commits(url: str, node: tuple[str, int] | None = None) -> Iterator[None]:
    """Have each commit on a node wait for a standby that there is not."""
    at = make_url(url).set(drivername="postgresql")
    if node is not None:
        at = at.set(host=node[0], port=node[1])
    with psycopg.connect(at.render_as_string(hide_password=False), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        connection.execute("SELECT pg_reload_conf()")
        eventually(
            lambda: connection.execute("SHOW synchronous_standby_names").fetchone() == ("nobody",)
        )
        try:
            yield
        finally:
            connection.execute("ALTER SYSTEM RESET synchronous_standby_names")
            connection.execute("SELECT pg_reload_conf()")


def workers(cluster: Engine) -> list[tuple[str, int]]:
    with cluster.connect() as connection:
        found = connection.execute(
            text("SELECT node_name, node_port FROM citus_get_active_worker_nodes()")
        )
        return [(host, port) for host, port in found]


def test_a_tail_waits_for_rows_that_a_worker_has_not_shown_yet(
    cluster: Engine, url: str, log: ActivityLog, repository: PostgresRepository
) -> None:
    """The ledger's line is committed first, and the workers' rows a moment, or longer, after it."""
    tail = log.tail(tenant_id="t0", timeout=0.2, poll=0.05)
    repository.write(batch_of(1))
    late = threading.Thread(target=repository.write, args=(batch_of(2),))
    with ExitStack() as stalled:
        with stalled_commits(url):
            late.start()
            eventually(lambda: is_waiting(cluster))
            for node in workers(cluster):
                stalled.enter_context(stalled_commits(url, node))
        eventually(lambda: lines(cluster) == 2)
        assert ["1"] == [one.object_id for one in tail]
        assert 1 == feed(cluster, ActivityFilter(tenant_id="t0", total="exact")).total
    late.join()

    rest = log.tail(tenant_id="t0", position=tail.position, timeout=0)
    assert ["2"] == [one.object_id for one in rest]


def is_waiting(cluster: Engine) -> bool:
    with cluster.connect() as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        return bool(connection.execute(text(query)).scalar_one())


def lines(cluster: Engine) -> int:
    with cluster.connect() as connection:
        return int(
            connection.execute(text("SELECT count(*) FROM user_activity_batch")).scalar_one()
        )


# -- upkeep -------------------------------------------------------------------------


def fill(log: ActivityLog) -> None:
    now = datetime.now(UTC)
    for days in (0, 1, 40, 45, 75, 100):
        for n in range(40):
            log.record(
                ("doc.opened", "settings.updated")[n % 2], ("doc", n), tenant_id=TENANTS[n % 4],
                actor_id=f"actor-{n % 3}", channel="docs", number=n,
                occurred_at=now - timedelta(days=days, minutes=n),
            )  # fmt: skip
    assert log.flush(30)


def totals(log: ActivityLog) -> list[int]:
    return [log.stats(tenant_id=tenant).total for tenant in TENANTS]


def counted(log: ActivityLog) -> list[int | None]:
    return [log.feed(tenant_id=tenant, keyword=".", total="exact").total for tenant in TENANTS]


def test_maintenance_makes_months_folds_counts_and_rebuilds_indexes(log: ActivityLog) -> None:
    fill(log)

    reports = [log.maintain(history=True), log.maintain()]

    assert reports[0].months_folded
    assert reports[0].counts_folded
    assert reports[0].months_rebuilt
    assert ((), 0, ()) == (
        reports[1].months_folded, reports[1].counts_folded, reports[1].months_rebuilt,
    )  # fmt: skip
    assert [60, 60, 60, 60] == totals(log) == counted(log)
    assert 240 == log.stats(tenant_id=ALL_TENANTS).total


def test_retention_of_one_tenant_leaves_the_others(log: ActivityLog) -> None:
    fill(log)
    log.maintain()

    report = log.prune(timedelta(days=42), tenant_id="globex")

    assert 30 == report.rows
    assert [60, 30, 60, 60] == totals(log) == counted(log)
    assert log.verify().ok
    assert log.verify(in_database=True).ok


def test_retention_drops_months_and_then_rows(log: ActivityLog) -> None:
    fill(log)
    log.maintain(history=True)

    report = log.prune(timedelta(days=42))

    assert 120 == report.rows
    assert report.months_dropped
    assert [30, 30, 30, 30] == totals(log) == counted(log)
    assert log.verify().ok


def test_a_large_tenant_gets_a_shard_of_its_own(cluster: Engine, log: ActivityLog) -> None:
    fill(log)

    with cluster.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(
            f"SELECT isolate_tenant_to_new_shard('user_activity', '{to_uuid('acme')}', 'CASCADE', "
            "shard_transfer_mode => 'block_writes')"
        )

    fill(log)
    assert [120, 120, 120, 120] == totals(log) == counted(log)
    assert log.verify().ok


def test_erasure_is_lawful_and_what_is_changed_is_not(
    cluster: Engine, log: ActivityLog, tmp_path: Path
) -> None:
    fill(log)
    log.checkpoint(str(tmp_path / "heads.jsonl"))
    rows = [log.erase(actor_id="actor-1", tenant_id="acme", reason="asked").rows]
    rows += [log.erase(actor_id="actor-2", reason="asked").rows]

    assert all(rows)
    assert 0 == log.feed(tenant_id="acme", actor_id="actor-1", total="exact").total
    assert log.verify(checkpoint=str(tmp_path / "heads.jsonl")).ok

    with cluster.begin() as connection:
        changed = text("UPDATE user_activity SET channel = 'x' WHERE tenant_id = :tenant")
        connection.execute(changed, {"tenant": to_uuid("initech")})
    for in_database in (False, True):
        assert not log.verify(in_database=in_database).ok


def test_what_is_written_during_a_check_is_left_to_the_next(
    cluster: Engine, log: ActivityLog, repository: PostgresRepository
) -> None:
    """Each machine has a snapshot of its own, and the coordinator's is the first."""
    repository.write(batch_of(1, actor_id=to_uuid("actor-1")))
    with snapshot(cluster) as found:
        assert 1 == found.count()
        repository.write(batch_of(2, 3))
        assert 1 == log.erase(actor_id="actor-1", reason="asked").rows

        findings = SealFindings()
        declared = Declarations()
        rows = RowCheck(findings, declared, str, found.written_meanwhile)
        rows.check(found.rows())
        rows.finish()
        assert ([], 1) == (findings.kept, len(declared.erased))

    with cluster.begin() as connection:
        connection.execute(text("DELETE FROM user_activity_batch WHERE n = 2"))
    assert ["row.unsealed"] * 2 == [one.kind for one in log.verify().findings][:2]


def test_batches_whose_rows_are_gone_are_named(cluster: Engine, log: ActivityLog) -> None:
    for n in range(3):
        log.record("doc.opened", ("doc", n), tenant_id="acme")
        assert log.flush(20)
    with cluster.begin() as connection:
        connection.execute(text("DELETE FROM user_activity WHERE object_id = '1'"))

    for in_database in (False, True):
        findings = log.verify(in_database=in_database).findings
        assert ["batch.empty"] == [finding.kind for finding in findings]


SPANS = [
    (timedelta(days=100, hours=5), timedelta(days=3, hours=7)),
    (timedelta(days=90, hours=20), timedelta(days=20, hours=1)),
    (timedelta(days=46, hours=2), timedelta(days=44, hours=22)),
    (timedelta(days=45, hours=6), timedelta(days=45, hours=1)),
    (timedelta(days=76), None),
    (None, timedelta(days=40, hours=3)),
]
"""Beginnings and ends before now: they cut months, days, or both."""


def assert_counts_are_those_of_rows(cluster: Engine) -> None:
    """Statistics, timelines and tops of cut spans, against the rows counted by hand."""
    now = datetime.now(UTC)
    for back, until in SPANS:
        span = {
            "since": None if back is None else now - back,
            "until": None if until is None else now - until,
        }
        for tenant in (*TENANTS[:2], ALL_TENANTS):
            for kind in ({}, {"verbs": "settings.updated"}, {"channel": "docs"}):
                where = ActivityFilter.of({"tenant_id": tenant, "total": "exact", **span, **kind})
                expected = by_hand(cluster, where)
                found = stats(cluster, where)
                assert expected == (found.by_verb, found.by_day), (tenant, span, kind)
                total = sum(expected[0].values())
                assert total == found.total == feed(cluster, where).total
                assert expected[0] == dict(top(cluster, where, by="verb"))
                if span["since"] is not None:
                    slots = timeline(cluster, where, bucket="month")
                    assert total == sum(n for _, n in slots)


def by_hand(cluster: Engine, where: ActivityFilter) -> tuple[dict[str, int], dict[date, int]]:
    conditions = ["created_at >= :since", "created_at < :until"]
    values: dict[str, Any] = {
        "since": where.since or datetime(1970, 1, 1, tzinfo=UTC),
        "until": where.until or datetime(9000, 1, 1, tzinfo=UTC),
    }
    if where.tenant_id is not ALL_TENANTS:
        conditions.append("tenant_id = :tenant")
        values["tenant"] = where.tenant_id
    if where.verbs:
        conditions.append("verb = 'settings.updated'")
    if where.channel:
        conditions.append("channel = 'docs'")
    counted = (
        "SELECT {0}, count(*) FROM user_activity WHERE " + " AND ".join(conditions) + " GROUP BY 1"
    )
    verbs: dict[str, int] = {}
    days: dict[date, int] = {}
    found: tuple[tuple[str, dict[Any, int]], ...] = (
        ("verb", verbs),
        ("(created_at AT TIME ZONE 'UTC')::date", days),
    )
    with cluster.connect() as connection:
        for key, counts in found:
            for name, n in connection.execute(text(counted.format(key)), values):
                counts[name] = n
    return verbs, days


def test_statistics_of_cut_months_and_days_equal_the_rows(
    cluster: Engine, log: ActivityLog
) -> None:
    fill(log)
    assert_counts_are_those_of_rows(cluster)

    assert log.maintain(history=True).counts_folded
    assert_counts_are_those_of_rows(cluster)

    # Late ones are open beside the folded ones of the same days.
    fill(log)
    assert_counts_are_those_of_rows(cluster)

    assert log.erase(actor_id="actor-1", reason="asked").rows
    assert log.prune(timedelta(days=80), tenant_id="globex").rows
    assert_counts_are_those_of_rows(cluster)

    assert log.prune(timedelta(days=70)).rows
    assert_counts_are_those_of_rows(cluster)
    log.maintain()
    assert_counts_are_those_of_rows(cluster)
    assert log.verify().ok


@pytest.mark.parametrize(
    "where",
    [{}, {"verbs": "settings.*"}, {"channel": "docs"}, {"object_type": "doc"}],
    ids=str,
)
@pytest.mark.parametrize("span", range(len(SPANS)))
def test_statistics_of_a_cut_span_are_one_task_of_one_worker(
    cluster: Engine, log: ActivityLog, span: int, where: dict[str, Any]
) -> None:
    fill(log)
    log.maintain()
    now, (back, until) = datetime.now(UTC), SPANS[span]
    since = {} if back is None else {"since": now - back}
    end = {} if until is None else {"until": now - until}
    filter_ = ActivityFilter.of({"tenant_id": "acme", **since, **end, **where})

    sent = sent_by(cluster, lambda: stats(cluster, filter_))

    assert sent
    assert_one_task_each(cluster, sent)


@pytest.mark.parametrize("key", [b"", b"k" * 32], ids=["unsigned", "signed"])
def test_one_record_is_held_against_its_seal(
    cluster: Engine, url: str, log: ActivityLog, key: bytes
) -> None:
    with ActivityLog(url, warn_role=False, key=key) as signed:
        made = [
            signed.record("doc.opened", ("doc", n), tenant_id=TENANTS[n % 4], number=n)
            for n in range(8)
        ]
        assert signed.flush(20)
        for one in made:
            found = signed.seal_of(one.tenant_id, one.id)
            assert ("intact" if key else "unsigned", 8) == (found.state, found.rows)
        erased = signed.record("doc.opened", "doc:9", tenant_id="acme", actor_id="actor-1")
        assert signed.flush(20)
        assert signed.erase(actor_id="actor-1", reason="asked").rows
        assert signed.seal_of("acme", erased.id).erased

        with cluster.begin() as connection:
            where = {"tenant": to_uuid(TENANTS[1]), "id": made[1].id}
            changed = (
                "UPDATE user_activity SET channel = 'x' WHERE tenant_id = :tenant AND id = :id"
            )
            connection.execute(text(changed), where)
        assert {"changed"} == {signed.seal_of(one.tenant_id, one.id).state for one in made}

        with cluster.begin() as connection:
            connection.execute(text("DELETE FROM user_activity_batch WHERE n = 8"))
        assert "unsealed" == signed.seal_of(made[0].tenant_id, made[0].id).state
        assert "missing" == signed.seal_of("globex", made[0].id).state


# -- roles --------------------------------------------------------------------------


@pytest.fixture
def logins(cluster: Engine) -> Iterator[None]:
    """A login for each role of the recipe."""
    apply_roles(cluster)
    with cluster.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for role in ROLES:
            connection.exec_driver_sql(f"CREATE ROLE test_{role} LOGIN IN ROLE activity_{role}")
        try:
            yield
        finally:
            for kind in ("own", "all"):
                for name in DISTRIBUTED:
                    connection.exec_driver_sql(f"DROP POLICY IF EXISTS activity_{kind} ON {name}")
            for name in DISTRIBUTED:
                connection.exec_driver_sql(f"ALTER TABLE {name} DISABLE ROW LEVEL SECURITY")
            connection.exec_driver_sql("DROP SCHEMA activity_scoped CASCADE")
            for role in (*(f"test_{role}" for role in ROLES), *(f"activity_{r}" for r in ROLES)):
                connection.exec_driver_sql(f"DROP OWNED BY {role}")
                connection.exec_driver_sql(f"DROP ROLE {role}")


def as_role(url: str, role: str) -> str:
    changed = make_url(url).set(username=f"test_{role}", password=None)
    return str(changed.render_as_string(hide_password=False))


@pytest.mark.usefixtures("logins")
def test_writer_and_auditor_do_their_work(url: str, log: ActivityLog) -> None:
    with ActivityLog(as_role(url, "writer")) as writer:
        writer.record("doc.opened", "doc:1", tenant_id="acme")
        assert writer.flush(20)
        with pytest.raises(RepositoryError, match="privilege"):
            writer.feed(tenant_id="acme")

    with ActivityLog(as_role(url, "auditor")) as auditor:
        assert 1 == auditor.feed(tenant_id="acme", total="exact").total
        assert auditor.verify().ok
        assert 1 == len(list(auditor.tail(tenant_id="acme", position="0", timeout=0)))


@pytest.mark.usefixtures("logins")
def test_a_reader_finds_one_tenant_by_row_level_security(
    cluster: Engine, url: str, log: ActivityLog
) -> None:
    for tenant in ("acme", "globex", "globex"):
        log.record("doc.opened", "doc:1", tenant_id=tenant)
    assert log.flush(20)
    reader = make_engine(parse_url(as_role(url, "reader")))
    say = f"SET LOCAL activity.tenant_id = '{to_uuid('acme')}'"
    passed_on = "SET LOCAL citus.propagate_set_commands = 'local'"

    # A view's owner counts for nothing on the workers.
    with reader.connect() as connection, pytest.raises(DBAPIError, match="permission denied"):
        connection.execute(text(say))
        connection.execute(text("SELECT count(*) FROM activity_scoped.user_activity"))

    with cluster.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in READERS.split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement)
        connection.exec_driver_sql("ALTER ROLE test_writer BYPASSRLS")

    found = {}
    for name, settings in {"both": (passed_on, say), "one": (say,), "none": ()}.items():
        with reader.connect() as connection:
            for setting in settings:
                connection.execute(text(setting))
            found[name] = [
                stats(connection, ActivityFilter(tenant_id=tenant)).total
                for tenant in ("acme", "globex", ALL_TENANTS)
            ]
    assert {"both": [1, 0, 1], "one": [0, 0, 0], "none": [0, 0, 0]} == found
    with ActivityLog(as_role(url, "writer")) as writer:
        writer.record("doc.opened", "doc:1", tenant_id="acme")
        assert writer.flush(20)
    with ActivityLog(as_role(url, "auditor")) as auditor:
        assert 4 == auditor.stats(tenant_id=ALL_TENANTS).total
    reader.dispose()


# -- through a worker ---------------------------------------------------------------


@pytest.fixture
def through_worker(cluster: Engine, url: str) -> str:
    """The URL of the same tables on a worker."""
    host, port = workers(cluster)[0]
    found = make_url(url).set(host=host, port=port)
    return str(found.render_as_string(hide_password=False))


def test_any_node_reads(cluster: Engine, log: ActivityLog, through_worker: str) -> None:
    fill(log)
    with ActivityLog(through_worker, warn_role=False) as reader:
        for tenant in (*TENANTS, ALL_TENANTS):
            for ask in ({}, {"actor_id": "actor-1"}, {"keyword": "doc"}):
                where: dict[str, Any] = {"tenant_id": tenant, **ask}
                page = log.feed(total="exact", **where)
                assert page == reader.feed(total="exact", **where)
                assert page.total == reader.stats(**where).total
                assert log.top(by="verb", **where) == reader.top(by="verb", **where)
        found = page.records[0]
        assert found == reader.get(found.tenant_id, found.id)
        assert reader.seal_of(found.tenant_id, found.id).ok


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda log, _: log.tail(tenant_id="acme"), id="tail"),
        pytest.param(lambda log, _: log.tail(tenant_id="acme", position="0"), id="tail-again"),
        pytest.param(lambda log, _: log.maintain(), id="maintain"),
        pytest.param(lambda log, _: log.prune(timedelta(days=42)), id="prune"),
        pytest.param(lambda log, _: log.prune(timedelta(days=42), dry_run=True), id="dry-run"),
        pytest.param(lambda log, _: log.erase(actor_id="actor-1", reason="asked"), id="erase"),
        pytest.param(lambda log, _: log.verify(), id="verify"),
        pytest.param(lambda log, _: log.verify(in_database=True), id="verify-in-database"),
        pytest.param(lambda log, at: log.checkpoint(str(at / "heads")), id="checkpoint"),
    ],
)
def test_only_the_coordinator_does_what_is_not_reading(
    cluster: Engine, log: ActivityLog, through_worker: str, tmp_path: Path, ask: Any
) -> None:
    fill(log)
    at = f"worker.*connect to its coordinator, {cluster.url.host}:{cluster.url.port}"

    with (
        ActivityLog(through_worker, warn_role=False) as other,
        pytest.raises(RepositoryError, match=at),
    ):
        ask(other, tmp_path)

    assert [60, 60, 60, 60] == totals(log)
    assert log.verify().ok


def test_a_log_on_a_worker_holds_its_records_and_says_where_to_go(
    log: ActivityLog, through_worker: str
) -> None:
    with ActivityLog(through_worker, warn_role=False, close_timeout=0.1) as other:
        other.record("doc.opened", "doc:1", tenant_id="acme")
        eventually(lambda: any("to its coordinator" in why for why in other.health().reasons))
        counts = other.counters()

    assert (0, 0) == (counts["written"], counts["dead"])
    assert 0 == log.stats(tenant_id="acme").total


def test_a_writer_on_a_worker_writes_nothing(
    cluster: Engine, log: ActivityLog, through_worker: str
) -> None:
    writer = PostgresRepository(parse_url(through_worker))

    with pytest.raises(StoreError, match="connect to its coordinator") as caught:
        writer.write(batch_of(1))
    writer.close()

    assert Fault.CONFIGURATION is caught.value.fault
    engine = make_engine(parse_url(through_worker))
    with Session(engine) as session:
        log.record("doc.opened", "doc:1", tenant_id="acme", session=session)
        with pytest.raises(RepositoryError, match="connect to its coordinator"):
            session.commit()
    engine.dispose()
    assert (0, 0) == (lines(cluster), log.stats(tenant_id=ALL_TENANTS).total)
