"""The shortest way to the database: short, taken only where nobody can tell, and right."""

from __future__ import annotations

import gc
import sys

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest

from sqlalchemy import bindparam, event, func, select, text
from sqlalchemy.exc import DBAPIError

from structlog_activity import (
    ActivityFilter,
    ActivityLog,
    RepositoryError,
    SchemaError,
    feed,
    stats,
)
from structlog_activity.read.shortcut import Direct, for_single_reads, reader
from structlog_activity.store.engine import make_engine, parse_url
from tests.support.records import NOON, record


# Most calls of a page without its records, and of each of these.
BUDGETS = {"postgresql": (215, 4), "sqlite": (160, 26)}


@pytest.fixture
def activity(ready_url: str) -> Iterator[ActivityLog]:
    with ActivityLog(ready_url) as activity:
        for n in range(60):
            activity.log(record(object_id=str(n), occurred_at=NOON + timedelta(seconds=n)))
        assert activity.flush(timeout=20)
        yield activity


def calls(do: Callable[[], Any]) -> int:
    """How many functions of Python a call calls, once it is warm."""
    for _ in range(8):  # Psycopg prepares what comes often.
        do()
    count = 0

    def note(_: Any, what: str, __: Any) -> None:
        nonlocal count
        count += what == "call"

    gc.disable()  # Some listen to it, hypothesis for one.
    sys.setprofile(note)
    try:
        do()
    finally:
        sys.setprofile(None)
        gc.enable()
    return count


def test_a_page_takes_few_calls(activity: ActivityLog) -> None:
    of_page, of_record = BUDGETS[activity.engine.dialect.name]
    for _ in range(60):
        activity.log(record(tenant_id="new", occurred_at=datetime.now(UTC)))
    assert activity.flush(timeout=20)

    few, many = (
        calls(lambda n=n: activity.feed(tenant_id="new", limit=n, total="none"))  # type: ignore[misc]
        for n in (10, 50)
    )

    each = (many - few) / 40
    assert each <= of_record
    assert few - 10 * each <= of_page


def test_both_ways_give_the_same(activity: ActivityLog) -> None:
    def reads() -> list[Any]:
        page = activity.feed(tenant_id="acme", limit=20)
        return [
            page,
            activity.feed(tenant_id="acme", limit=20, after=page.next_cursor),
            activity.feed(tenant_id="acme", verbs=[page.records[0].verb, "none"], limit=7),
            activity.feed(tenant_id="other"),
            activity.stats(tenant_id="acme"),
            activity.stats(tenant_id="acme", since=NOON + timedelta(seconds=17)),
            activity.top(tenant_id="acme", by="object", limit=60),
            activity.timeline(tenant_id="acme", bucket="hour"),
            activity.get("acme", page.records[3].id),
        ]

    short = reads()
    event.listen(activity.engine, "before_cursor_execute", lambda *_: None)

    assert reads() == short
    assert 60 == short[4].total
    assert 43 == short[5].total


def test_values_of_one_call_are_none_of_the_next(activity: ActivityLog) -> None:
    for n in range(30):
        found = activity.feed(tenant_id="acme", object_id=str(n), limit=1 + n % 3).records
        assert [str(n)] == [one.object_id for one in found]


def test_whoever_listens_hears_of_every_read(activity: ActivityLog) -> None:
    heard: list[str] = []
    activity.stats(tenant_id="acme")

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        heard.append(statement)

    event.listen(activity.engine, "before_cursor_execute", note)
    activity.stats(tenant_id="acme")
    event.remove(activity.engine, "before_cursor_execute", note)
    activity.stats(tenant_id="acme")

    assert 1 == len(heard)


@pytest.mark.parametrize(
    "name",
    ["before_execute", "after_execute", "before_cursor_execute", "after_cursor_execute"],
)
def test_whoever_listens_to_what_an_engine_does_is_not_passed_by(
    activity: ActivityLog, name: str
) -> None:
    def note(*given: Any, **_: Any) -> Any:
        heard.append(given)
        return given[1:3] if name == "before_execute" else None

    heard: list[Any] = []
    with reader(activity._reader) as connection:
        assert isinstance(connection, Direct)
    event.listen(activity.engine, name, note)

    activity.stats(tenant_id="acme")

    assert heard


def test_whoever_listens_to_connections_being_used_is_not_passed_by(postgres_url: str) -> None:
    used: list[Any] = []
    with ActivityLog(postgres_url, migrate=True) as activity:
        activity.stats(tenant_id="acme")
        event.listen(activity.engine, "engine_connect", used.append)

        activity.stats(tenant_id="acme")

        assert 1 == len(used)


def test_an_engine_that_changes_what_is_sent_is_read_through_sqlalchemy(
    activity: ActivityLog,
) -> None:
    engine = activity.engine.execution_options(
        isolation_level="AUTOCOMMIT", schema_translate_map={None: "elsewhere"}
    )
    plain = activity.engine.execution_options(isolation_level="AUTOCOMMIT")

    with reader(engine) as connection:
        assert not isinstance(connection, Direct)
    with pytest.raises(SchemaError):
        feed(engine, ActivityFilter(tenant_id="acme"))
    assert 60 == stats(plain, ActivityFilter(tenant_id="acme")).total


LISTENERS: dict[str, Callable[..., Any]] = {
    "before_execute": lambda *given, **_: given[1:3],
    "after_execute": lambda *_, **__: None,
    "before_cursor_execute": lambda *_, **__: None,
    "after_cursor_execute": lambda *_, **__: None,
    "engine_connect": lambda *_: None,
    "do_execute": lambda *_: None,
    "do_execute_no_params": lambda *_: None,
    "do_setinputsizes": lambda *_: None,
    "handle_error": lambda *_: None,
}


@pytest.mark.parametrize("name", LISTENERS)
def test_nobody_who_listens_is_passed_by(activity: ActivityLog, name: str) -> None:
    for engine in (activity.engine, activity._reader):
        with reader(engine) as connection:
            was_short = isinstance(connection, Direct)
        assert was_short == (engine is activity._reader or engine.dialect.name == "sqlite")

    event.listen(activity.engine, name, LISTENERS[name])

    with reader(activity._reader) as connection:
        assert not isinstance(connection, Direct)
    assert 60 == activity.stats(tenant_id="acme").total


def test_an_engine_of_a_host_that_is_listened_to_is_read_through_sqlalchemy(
    activity: ActivityLog,
) -> None:
    options = {"isolation_level": "AUTOCOMMIT"} if activity.engine.name == "postgresql" else {}
    engine = activity.engine.execution_options(**options)
    with reader(engine) as connection:
        assert isinstance(connection, Direct)

    event.listen(engine, "engine_connect", lambda _: None)

    with reader(engine) as connection:
        assert not isinstance(connection, Direct)


def test_an_engine_that_logs_its_statements_is_read_through_sqlalchemy(
    activity: ActivityLog,
) -> None:
    with reader(activity._reader) as connection:
        assert isinstance(connection, Direct)

    activity._reader.echo = "debug"

    with reader(activity._reader) as connection:
        assert not isinstance(connection, Direct)


def test_a_statement_that_fails_is_told_as_sqlalchemy_tells_it(activity: ActivityLog) -> None:
    """With its text and the driver's own error, and without the values."""
    wrong = select(func.no_such_function(bindparam("secret", "")).label("n"))

    told: list[DBAPIError] = []
    for read in (reader(activity._reader), activity._reader.connect()):
        with read as connection, pytest.raises(DBAPIError) as caught:
            connection.execute(wrong, {"secret": "hunter2"})
        told.append(caught.value)

    short, long = told
    assert type(long) is type(short)
    assert long.statement == short.statement
    assert type(long.orig) is type(short.orig)
    assert isinstance(short.orig, activity.engine.dialect.loaded_dbapi.Error)
    assert not short.connection_invalidated
    assert "no_such_function" in str(short)
    assert "hunter2" not in str(short).replace(str(short.orig), "")
    with pytest.raises(RepositoryError), reader(activity._reader) as connection:
        connection.execute(wrong, {"secret": "hunter2"})


def test_a_connection_that_broke_within_a_read_is_replaced(tables_url: str) -> None:
    number = select(func.pg_backend_pid() + bindparam("more", 0))
    with ActivityLog(tables_url) as activity:
        with reader(activity._reader) as connection:
            assert isinstance(connection, Direct)
            before = connection.execute(number).scalar_one()
            with activity.engine.connect() as other:
                other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": before})
            for _ in range(2):
                found = connection.execute(number, {"more": 10**9}).scalar_one()
                assert found > 10**9
                assert found != before + 10**9

        assert 0 == activity.stats(tenant_id="acme").total
        assert 0 == activity.engine.pool.checkedout()  # type: ignore[attr-defined]


def test_a_connection_comes_back_as_it_was(postgres_url: str) -> None:
    with ActivityLog(postgres_url, migrate=True) as activity:
        activity.feed(tenant_id="acme")
        with activity.engine.connect() as connection:
            driver: Any = connection.connection.dbapi_connection
            assert not driver.autocommit
            assert activity.engine.pool.checkedout() == 1  # type: ignore[attr-defined]


def test_missing_tables_are_told_and_the_connection_is_kept(postgres_url: str) -> None:
    engine = make_engine(parse_url(postgres_url))
    reads = engine.execution_options(isolation_level="AUTOCOMMIT")

    for _ in range(2):
        with pytest.raises(SchemaError, match="migrate"):
            feed(reads, ActivityFilter(tenant_id="acme"))
    with engine.connect() as connection:
        before = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    with pytest.raises(SchemaError):
        stats(reads, ActivityFilter(tenant_id="acme"))
    with engine.connect() as connection:
        assert before == connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    engine.dispose()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_database_that_can_not_be_reached_any_more_is_told(kind: str, tmp_path: Path) -> None:
    urls = {
        "sqlite": f"sqlite:///{tmp_path / 'no folder' / 'activity.db'}",
        "postgresql": "postgresql://app:hunter2@127.0.0.1:1/app",
    }
    engine = for_single_reads(make_engine(parse_url(urls[kind])))
    where = ActivityFilter(tenant_id="acme")
    cause = {"sqlite": "the file can't be opened", "postgresql": "the connection is refused"}[kind]

    assert isinstance(reader(engine), Direct)
    for read in (feed, stats):
        with pytest.raises(RepositoryError, match=f"^can't reach .*: {cause}") as caught:
            read(engine, where)
        assert "hunter2" not in str(caught.value)


def test_a_pool_without_a_free_connection_is_told(ready_url: str) -> None:
    options = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.01}
    engine = for_single_reads(make_engine(parse_url(ready_url), **options))
    assert isinstance(reader(engine), Direct)
    with engine.connect(), pytest.raises(RepositoryError, match="can't reach"):
        stats(engine, ActivityFilter(tenant_id="acme"))

    assert 0 == stats(engine, ActivityFilter(tenant_id="acme")).total
    engine.dispose()


def test_an_interrupted_read_leaves_no_connection_half_way(
    activity: ActivityLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    activity.feed(tenant_id="acme")

    def interrupt(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("structlog_activity.read.compiled.Compiled.processed", interrupt)
        with pytest.raises(KeyboardInterrupt):
            activity.feed(tenant_id="acme")

    assert 60 == activity.feed(tenant_id="acme").total
    assert 0 == activity.engine.pool.checkedout()  # type: ignore[attr-defined]


class Interrupting:
    """A value on whose way to the driver somebody presses Ctrl+C."""

    def __conform__(self, _: object) -> NoReturn:
        raise KeyboardInterrupt


def test_a_connection_on_which_a_statement_was_interrupted_is_nobodys_any_more(
    tmp_path: Path,
) -> None:
    with ActivityLog(f"sqlite:///{tmp_path / 'activity.db'}", migrate=True) as activity:
        with activity.engine.connect() as connection:
            before = connection.connection.dbapi_connection

        with pytest.raises(KeyboardInterrupt), reader(activity._reader) as read:
            read.execute(select(bindparam("value")), {"value": Interrupting()})

        assert 0 == activity.engine.pool.checkedout()  # type: ignore[attr-defined]
        with activity.engine.connect() as connection:
            assert before is not connection.connection.dbapi_connection
        assert 0 == activity.stats(tenant_id="acme").total
