"""The whole way, from a log call to a feed, on both databases."""

from __future__ import annotations

import asyncio
import json
import logging

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import structlog

from sqlalchemy import create_engine

from structlog_activity import (
    ALL_TENANTS,
    ActivityFilter,
    ActivityKeys,
    ActivityLog,
    ActivityRecord,
    InvalidCursorError,
    InvalidFilterError,
    InvalidRecordError,
    RepositoryError,
    SchemaError,
    acting_as,
    build_record_from_uuid,
    feed,
    register_object,
    stats,
    to_uuid,
)
from tests.support.postgres import PASSWORD_ROLE, PostgresServer


@pytest.fixture
def url(ready_url: str) -> str:
    """A database with tables, of each kind."""
    return ready_url


@pytest.fixture
def activity(url: str) -> Iterator[ActivityLog]:
    with ActivityLog(url, migrate=True) as activity:
        yield activity


HOUR = timedelta(hours=1)


def logger_of(activity: ActivityLog) -> tuple[Any, StringIO]:
    lines = StringIO()
    log = structlog.wrap_logger(
        structlog.PrintLogger(lines),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            activity.processor,
            structlog.processors.JSONRenderer(),
        ],
    )
    return log, lines


def test_a_log_call_becomes_a_line_and_a_record_with_one_id(activity: ActivityLog) -> None:
    log, lines = logger_of(activity)
    with acting_as("user-7", tenant_id="acme", ip="192.0.2.1", request_id="r-1"):
        log.info(
            "theme changed",
            verb="settings.updated",
            object="settings:global",
            channel="settings",
            path="ui.theme",
            to="dark",
        )
    assert activity.flush(timeout=20)

    page = activity.feed(tenant_id="acme", channel="settings", limit=20)
    (found,) = page.records
    line = json.loads(lines.getvalue())
    assert found == ActivityRecord(
        id=UUID(line["activity_id"]),
        actor_id=to_uuid("user-7"),
        tenant_id=to_uuid("acme"),
        verb="settings.updated",
        object_type="settings",
        object_id="global",
        channel="settings",
        ip="192.0.2.1",
        data={
            "event": "theme changed",
            "path": "ui.theme",
            "to": "dark",
            "request_id": "r-1",
            "_raw": {"actor_id": "user-7", "tenant_id": "acme"},
        },
        occurred_at=found.occurred_at,
    )
    assert 1 == activity.stats(tenant_id="acme").by_verb["settings.updated"]


def test_a_stdlib_call_gives_the_same_record(activity: ActivityLog) -> None:
    log, _ = logger_of(activity)
    keys: dict[str, Any] = {
        "verb": "export.completed",
        "object": ("export.job", 9),
        "actor_id": "worker",
        "tenant_id": 42,
        "count": 120,
        "nested": {"a": [1, None]},
    }
    stdlib = logging.Logger("app")
    stdlib.addHandler(activity.handler)
    log.info("export done", **keys)
    stdlib.info("export done", extra=keys)
    assert activity.flush(timeout=20)

    one, two = (record.to_dict() for record in activity.feed(tenant_id=42).records)
    for record in (one, two):
        del record["id"], record["occurred_at"]
    assert one == two
    assert one["data"]["count"] == 120


def test_a_call_without_verb_is_no_activity(activity: ActivityLog) -> None:
    log, lines = logger_of(activity)
    log.info("hello", actor_id="u", object="settings:global")

    assert activity.flush(timeout=20)
    assert 0 == activity.counters()["submitted"]
    assert "activity_id" not in lines.getvalue()


def test_record_returns_what_is_stored(activity: ActivityLog) -> None:
    with acting_as("worker:nightly", tenant_id="acme"):
        record = activity.record("export.completed", ("export.job", 5), count=120, ip="::1")

    assert activity.flush(timeout=20)
    assert [record] == activity.feed(tenant_id="acme").records
    assert record.id.version == 7


def test_record_refuses_a_session_that_is_none(activity: ActivityLog) -> None:
    with pytest.raises(InvalidRecordError, match="session"):
        activity.record("a.b", "c:1", session=object())  # type: ignore[arg-type]
    assert 1 == activity.counters()["rejected.session"]


def test_a_record_built_by_hand_keeps_its_id(activity: ActivityLog) -> None:
    built = build_record_from_uuid(to_uuid("a"), "a.b", "c", "1", {"k": 1}, tenant_id="acme")
    own = ActivityRecord(
        id=UUID("0190f3a1-0000-7000-8000-000000000001"),
        tenant_id=to_uuid("acme"),
        verb="a.c",
        object_type="c",
    )

    logged = activity.log(built)
    assert own.id == activity.log(own).id
    assert activity.flush(timeout=20)
    assert {logged.id, own.id} == {r.id for r in activity.feed(tenant_id="acme").records}
    assert logged.id.int != 0


def test_the_same_record_logged_twice_is_stored_once(activity: ActivityLog) -> None:
    logged = activity.log(build_record_from_uuid("a", "a.b", "c", tenant_id="acme"))
    assert activity.flush(timeout=20)
    activity.log(logged)
    activity.log(logged)
    assert activity.flush(timeout=20)

    assert 1 == activity.stats(tenant_id="acme").total
    counts = activity.counters()
    assert (3, 1, 2) == (counts["accepted"], counts["written"], counts["duplicates"])


@pytest.mark.parametrize(
    ("verb", "object_", "fields", "field"),
    [
        ("", "c:1", {}, "verb"),
        ("  ", "c:1", {}, "verb"),
        ("a\nb", "c:1", {}, "verb"),
        ("a.b", None, {}, "object_type"),
        ("a.b", ":1", {}, "object_type"),
        ("a.b", object(), {}, "object"),
        ("a.b", "c:1", {"actor_id": 1.5}, "actor_id"),
        ("a.b", "c:1", {"tenant_id": {}}, "tenant_id"),
        ("a.b", "c:1", {"ip": "no address"}, "ip"),
        ("a.b", "c:1", {"occurred_at": "yesterday"}, "occurred_at"),
        ("a.b", "c:1", {"channel": 5}, "channel"),
    ],
)
def test_record_raises_on_bad_input_and_counts_it(
    activity: ActivityLog, verb: Any, object_: Any, fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRecordError) as caught:
        activity.record(verb, object_, **fields)

    assert field == caught.value.field
    counts = activity.counters()
    assert (1, 0, 1, 1) == (
        counts["submitted"],
        counts["accepted"],
        counts["rejected"],
        counts[f"rejected.{field}"],
    )


def test_an_application_may_rename_keys_and_set_defaults(url: str) -> None:
    keys = ActivityKeys(actor_id=("user.id",), tenant_id=("organisation.id", "tenant"))
    with ActivityLog(url, migrate=True, keys=keys, defaults={"channel": "web", "app": "x"}) as log:
        logger, _ = logger_of(log)
        logger.info("hi", verb="a.b", object="c:1", **{"user.id": 5, "organisation.id": 6})
        assert log.flush(timeout=20)
        (record,) = log.feed(tenant_id=6).records

    assert (to_uuid(5), "web", "x") == (record.actor_id, record.channel, record.data["app"])


def test_objects_name_themselves(activity: ActivityLog) -> None:
    class Invoice:
        number = 12

    register_object(Invoice, lambda invoice: ("invoice", invoice.number))

    assert ("invoice", "12") == activity.record("invoice.paid", Invoice(), tenant_id=1).object


def test_secrets_are_not_stored_unless_asked_for(url: str) -> None:
    for redact, shown in ((True, "[redacted]"), (False, "hunter2")):
        with ActivityLog(url, migrate=True, redact=redact) as log:
            record = log.record("a.b", "c:1", tenant_id=1, password="hunter2")
            assert shown == record.data["password"]


def test_the_functions_read_what_the_log_wrote(activity: ActivityLog) -> None:
    record = activity.record("a.b", "c:1", tenant_id="acme")
    assert activity.flush(timeout=20)
    where = ActivityFilter(tenant_id="acme")

    with activity.engine.connect() as connection:
        assert [record] == feed(connection, where).records
        assert 1 == stats(connection, where).total
    assert [record] == feed(activity.engine, where).records
    from sqlalchemy.orm import Session

    with Session(activity.engine) as session:
        assert [record] == feed(session, where).records
    with pytest.raises(TypeError, match="Engine"):
        feed("nonsense", where)  # type: ignore[call-overload]


def test_coroutines_have_the_same_methods(activity: ActivityLog) -> None:
    async def main() -> tuple[int, int | None]:
        activity.record("a.b", "c:1", tenant_id="acme")
        assert await activity.aflush(20)
        page = await activity.afeed(tenant_id="acme")
        found = await activity.astats(tenant_id="acme")
        assert await activity.aclose()
        return found.total, page.total

    assert (1, 1) == asyncio.run(main())


def test_cursors_are_signed_with_the_key(url: str) -> None:
    with ActivityLog(url, migrate=True, key=b"one") as log:
        for _ in range(3):
            log.record("a.b", "c:1", tenant_id=1)
        assert log.flush(timeout=20)
        cursor = log.feed(tenant_id=1, limit=1).next_cursor
        assert 2 == len(log.feed(tenant_id=1, after=cursor).records)
    with ActivityLog(url, key=b"two") as other, pytest.raises(InvalidCursorError):
        other.feed(tenant_id=1, after=cursor)


def test_a_read_without_a_tenant_is_refused(activity: ActivityLog) -> None:
    for read in (activity.feed, activity.stats):
        with pytest.raises(InvalidFilterError, match="tenant_id"):
            read()  # type: ignore[call-arg]
        with pytest.raises(InvalidFilterError, match="no_such_filter=2"):
            read(tenant_id=1, no_such_filter=2)  # type: ignore[call-arg]
    assert 0 == activity.stats(tenant_id=ALL_TENANTS).total


def test_unset_actors_and_tenants_are_stored_and_counted(activity: ActivityLog) -> None:
    activity.record("a.b", "c:1")
    activity.record("a.b", "c:1", tenant_id=1)
    assert activity.flush(timeout=20)

    counts = activity.counters()
    assert (2, 1) == (counts["missing.actor_id"], counts["missing.tenant_id"])


def test_nothing_is_opened_before_the_first_record_or_read(tmp_path: Path) -> None:
    path = tmp_path / "activity.db"
    activity = ActivityLog(f"sqlite:///{path}")
    _ = (activity.processor, activity.handler, activity.engine, activity.counters())
    assert activity.health().ok
    assert not path.exists()
    activity.close()

    assert not path.exists()


def test_the_url_comes_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRUCTLOG_ACTIVITY_URL", f"sqlite:///{tmp_path / 'env.db'}")
    with ActivityLog() as activity:
        activity.record("a.b", "c:1")
        assert activity.flush(timeout=20)

    assert (tmp_path / "env.db").exists()


@pytest.mark.parametrize(
    "options",
    [
        {"durability": "perhaps"},
        {"durability": "wal"},
        {"overflow": "spill"},
        {"overflow": "explode"},
        {"batch_size": 0},
        {"max_records": 0},
        {"spool_bytes": 4096},
        {"linger": -1},
        {"close_timeout": float("nan")},
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        ActivityLog("sqlite://", **options)


def test_a_missing_schema_is_told_to_readers_and_holds_the_writer(postgres_url: str) -> None:
    with ActivityLog(postgres_url, close_timeout=0.2) as activity:
        with pytest.raises(SchemaError, match="run structlog-activity migrate"):
            activity.feed(tenant_id=1)
        activity.record("a.b", "c:1", tenant_id=1)
        assert not activity.flush(timeout=0.5)
        assert not activity.health().ok
        assert "run structlog-activity migrate" in activity.health().reasons[0]
        assert 0 == activity.counters()["dead"]

        activity.migrate()
        assert activity.flush(timeout=20)
        assert activity.health().ok
        assert 1 == activity.stats(tenant_id=1).total


def test_keys_that_are_no_keys_are_refused() -> None:
    with pytest.raises(ValueError, match="keys: an ActivityKeys is needed, not dict"):
        ActivityLog("sqlite://", keys={"actor_id": "who"})  # type: ignore[arg-type]


def test_an_unreachable_database_is_told_without_the_password() -> None:
    with ActivityLog("postgresql://app:hunter2@127.0.0.1:1/app", close_timeout=0.1) as activity:
        for read in (lambda: activity.feed(tenant_id=1), activity.migrate):
            with pytest.raises(RepositoryError) as caught:
                read()
            assert "hunter2" not in str(caught.value)
            assert "can't reach postgresql://app@127.0.0.1:1/app: the connection is refused" in str(
                caught.value
            )
            assert "is the server running" in str(caught.value)


def test_a_reader_without_privileges_is_told(
    postgres_url: str, postgres_server: PostgresServer
) -> None:
    owner = create_engine(postgres_url)
    with ActivityLog(postgres_url, migrate=True) as activity:
        activity.migrate()
    with owner.begin() as connection:
        connection.exec_driver_sql("DROP ROLE IF EXISTS activity_nobody")
        connection.exec_driver_sql("CREATE ROLE activity_nobody LOGIN")

    reader = postgres_url.replace("postgres@", "activity_nobody@")
    with ActivityLog(reader) as activity, pytest.raises(RepositoryError, match="privilege"):
        activity.feed(tenant_id=1)

    with owner.begin() as connection:
        connection.exec_driver_sql("DROP ROLE activity_nobody")
    owner.dispose()


def test_a_wrong_password_is_told_and_never_shown(
    postgres_url: str, postgres_server: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    if postgres_server.external:
        pytest.skip("needs a server that asks for passwords")
    owner = create_engine(postgres_url)
    with owner.begin() as connection:
        connection.exec_driver_sql(f"DROP ROLE IF EXISTS {PASSWORD_ROLE}")
        connection.exec_driver_sql(f"CREATE ROLE {PASSWORD_ROLE} LOGIN PASSWORD 'right'")
    url = postgres_url.replace("postgres@", f"{PASSWORD_ROLE}:hunter2@")

    with ActivityLog(url, close_timeout=0.1) as activity:
        with pytest.raises(RepositoryError, match="the password or the role is wrong") as caught:
            activity.feed(tenant_id=1)
        activity.record("a.b", "c:1")
        assert not activity.flush(timeout=0.5)
        reasons = activity.health().reasons
    with owner.begin() as connection:
        connection.exec_driver_sql(f"DROP ROLE {PASSWORD_ROLE}")
    owner.dispose()

    assert "the password or the role is wrong" in reasons[0]
    assert "hunter2" not in f"{caught.value}{reasons}{caplog.text}"


def test_the_history_of_an_object_is_its_feed(activity: ActivityLog) -> None:
    for verb, object_ in (("a.made", "c:1"), ("a.made", "c:2"), ("a.changed", "c:1"), ("x.y", "c")):
        activity.record(verb, object_, tenant_id="acme")
    activity.record("a.made", "c:1", tenant_id="other")
    assert activity.flush(timeout=20)

    verbs = [found.verb for found in activity.history(("c", 1), tenant_id="acme").records]
    assert ["a.changed", "a.made"] == verbs
    first = activity.history("c:1", tenant_id="acme", limit=1)
    assert first.next_cursor is not None
    older = asyncio.run(activity.ahistory("c:1", tenant_id="acme", after=first.next_cursor))
    assert ["a.made"] == [found.verb for found in older.records]
    assert ["x.y"] == [found.verb for found in activity.history("c", tenant_id="acme").records]
    with pytest.raises(InvalidFilterError, match="object_type"):
        activity.history("c:1", tenant_id="acme", object_type="d")
    with pytest.raises(InvalidFilterError, match="object"):
        activity.history(object(), tenant_id="acme")


def test_logs_of_several_databases_share_a_spool_folder_and_no_record(tmp_path: Path) -> None:
    logs = [
        ActivityLog(f"sqlite:///{tmp_path / name}", durability="wal", spool_dir=tmp_path / "spool")
        for name in ("one.db", "two.db")
    ]
    for number, log in enumerate(logs):
        log.record("a.b", ("c", number), tenant_id="t")
    for number, log in enumerate(logs):
        with log:
            assert log.flush(20)
            (found,) = log.feed(tenant_id="t").records
            assert str(number) == found.object_id
    assert 2 == len(list((tmp_path / "spool").iterdir()))


def test_a_spool_takes_no_more_bytes_than_it_may(tmp_path: Path) -> None:
    url = "postgresql://app@127.0.0.1:1/app"
    options: dict[str, Any] = {"max_records": 1, "spool_dir": tmp_path, "spool_bytes": 8 << 20}
    with ActivityLog(url, close_timeout=0.1, **options) as activity:
        for number in range(3000):
            activity.record("a.b", ("c", number), tenant_id="t", text="x" * 5000)
        counts = activity.counters()
    assert 0 < counts["spooled"]
    assert counts["dropped.overflow"] > 3000 - (8 << 20) / 5000
    assert sum(f.stat().st_size for f in tmp_path.rglob("*") if f.is_file()) <= 9 << 20


def test_a_spool_that_can_not_be_used_is_told_and_refused_where_it_matters(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    url = f"sqlite:///{tmp_path / 'a.db'}"
    with pytest.raises(RepositoryError, match="spool"):
        ActivityLog(url, durability="wal", spool_dir=tmp_path / "file", strict=True)
    with ActivityLog(url, durability="wal", spool_dir=tmp_path / "file") as activity:
        activity.record("a.b", "c:1", tenant_id="t")
        assert activity.flush(20)
        health = activity.health()
        assert not health.ok
        assert "spool" in health.reasons[0]
        assert 1 == activity.feed(tenant_id="t").total


def test_records_are_counted_over_time_and_by_who_did_most(activity: ActivityLog) -> None:
    noon = datetime(2026, 3, 14, 12, tzinfo=UTC)
    made = [
        activity.record(
            "a.b", ("c", n % 2), tenant_id="acme", actor_id="me", occurred_at=noon + n * HOUR
        )
        for n in range(30)
    ]
    activity.record("a.b", "c:1", tenant_id="other", occurred_at=noon)
    assert activity.flush(timeout=20)

    days = activity.timeline(tenant_id="acme", bucket="day", since=noon - 24 * HOUR)
    assert [0, 12, 18] == [count for _, count in days]
    hours = activity.timeline(
        tenant_id="acme", bucket="hour", tz="Asia/Kolkata", since=noon, until=noon + 3 * HOUR
    )
    assert 3 == sum(count for _, count in hours)
    assert [15, 15] == [count for _, count in activity.top(tenant_id="acme", by="object")]
    assert made[7] == activity.get("acme", made[7].id)
    assert activity.get("other", made[7].id) is None
    assert made[7] == asyncio.run(activity.aget("acme", made[7].id))
    with pytest.raises(InvalidFilterError, match="bucket"):
        activity.timeline(tenant_id="acme", bucket="fortnight")
    with pytest.raises(InvalidFilterError, match="by"):
        activity.top(tenant_id="acme", by="mood")
