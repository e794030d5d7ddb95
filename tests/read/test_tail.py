"""The tail: what is committed comes, until it is closed, whatever the database does."""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import threading

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sqlalchemy.orm import Session

from structlog_activity import ALL_TENANTS, NIL, AccessPolicy, ActivityFilter, ActivityLog
from structlog_activity.errors import (
    AccessDeniedError,
    InvalidCursorError,
    InvalidFilterError,
    RepositoryError,
    SchemaError,
)
from structlog_activity.read.tail.async_tail import AsyncTail
from structlog_activity.read.tail.changes import Change, Changes, Look
from structlog_activity.read.tail.position import START, Position, Spot, decode_position
from structlog_activity.read.tail.tail import Tail
from structlog_activity.read.tail.waiting import Pause
from structlog_activity.store.postgresql.listening import Listener
from tests.support.postgres import PostgresServer
from tests.support.records import record as make_record
from tests.support.stores import empty, empty_log
from tests.write.databases import Database
from tests.write.doubles import DEADLINE, eventually


NEVER = 3600.0
"""Seconds between two looks where a test wants none but those that something brings about."""


@pytest.fixture(params=["sqlite", "postgresql"])
def activity(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ActivityLog]:
    """A log on each database; afterwards no thread of a tail is left."""
    with empty_log(request, tmp_path, linger=0.0) as log:
        log.migrate()
        yield log
    eventually(lambda: not threads(), "the end of the threads")


@pytest.fixture
def server_log(database: Database) -> Iterator[ActivityLog]:
    """A log on a PostgreSQL database of its own."""
    with ActivityLog(database.url, linger=0.0) as log:
        yield log


def threads() -> list[str]:
    return [t.name for t in threading.enumerate() if "structlog-activity-tail" in t.name]


def record(activity: ActivityLog, *names: object, tenant: str = "acme", **fields: Any) -> None:
    for name in names:
        activity.record("file.saved", ("file", name), tenant_id=tenant, **fields)
    assert activity.flush(DEADLINE)


def names(records: Any) -> list[str]:
    return [one.object_id for one in records]


def listeners(database: Database) -> list[int]:
    """The connections that wait to be told."""
    return database.do(
        "SELECT pid FROM pg_stat_activity WHERE query LIKE '%advisory_lock_shared%' "
        "AND state = 'idle' AND datname = current_database()"
    )


class Follower:
    """A thread that follows, and what came."""

    def __init__(self, tail: Tail) -> None:
        self.tail = tail
        self.names: list[str] = []
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="structlog-activity-tail-test")
        self._thread.start()

    def _run(self) -> None:
        try:
            for one in self.tail:
                self.names.append(one.object_id)
        except BaseException as error:
            self.error = error

    def close(self) -> None:
        self.tail.close()
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive()
        assert self.error is None


@pytest.fixture
def follow() -> Iterator[Callable[[Tail], Follower]]:
    """What lets a thread follow a tail; ended afterwards."""
    made: list[Follower] = []

    def begin(tail: Tail) -> Follower:
        made.append(Follower(tail))
        return made[-1]

    yield begin
    for one in made:
        one.close()


# -- what comes -------------------------------------------------------------------


def test_it_begins_with_the_call(activity: ActivityLog) -> None:
    record(activity, "before")
    with activity.tail(tenant_id="acme", timeout=0) as records:
        record(activity, "a", "b")
        record(activity, "hers", tenant="other")
        assert ["a", "b"] == names(records)
        record(activity, "c")
        assert [] == names(records)  # It has ended.


def test_an_empty_log_can_be_followed(activity: ActivityLog) -> None:
    tail = activity.tail(tenant_id="acme", timeout=0)
    record(activity, "a")
    assert ["a"] == names(tail)


def test_records_are_those_that_a_feed_returns(activity: ActivityLog) -> None:
    tail = activity.tail(tenant_id="acme", timeout=0)
    record(activity, "a", actor_id="user-7", channel="files", ip="10.0.0.1", nested={"x": [1]})
    assert activity.feed(tenant_id="acme").records == list(tail)


def test_each_condition_of_a_feed_selects(activity: ActivityLog) -> None:
    record(activity, "a", actor_id="ana", channel="files", size=1, note="é")
    record(activity, "b", actor_id="bob", channel="other", size=2)
    record(activity, "nobody's", tenant="")
    conditions: list[tuple[dict[str, Any], list[str]]] = [
        ({"actor_id": "ana"}, ["a"]),
        ({"involving": "bob"}, ["b"]),
        ({"channel_denylist": "files"}, ["b"]),
        ({"verbs": "file.*", "data": {"size": 2}}, ["b"]),
        ({"keyword": "FILE", "object_type": "file", "object_id": "a"}, ["a"]),
        ({"data": {"note": "é"}}, ["a"]),
        ({"until": "2020-01-01"}, []),
        ({"tenant_id": NIL}, ["nobody's"]),
        ({"tenant_id": ALL_TENANTS}, ["a", "b", "nobody's"]),
    ]
    for where, expected in conditions:
        all_of_it: dict[str, Any] = {"tenant_id": "acme", "position": "0", "timeout": 0, **where}
        assert expected == names(activity.tail(**all_of_it)), where


def test_since_brings_what_is_there_already(activity: ActivityLog) -> None:
    record(activity, "old", occurred_at="2020-01-01T00:00:00Z")
    record(activity, "new", occurred_at="2024-01-01T00:00:00Z")
    assert ["new"] == names(activity.tail(tenant_id="acme", since="2023-01-01", timeout=0))


def test_another_tail_goes_on_from_any_position(activity: ActivityLog) -> None:
    with activity.tail(tenant_id="acme", timeout=0) as records:
        positions = [records.position]
        record(activity, *range(4))
        record(activity, *range(4, 6))
        positions += [records.position for _ in records]
        assert 7 == len(positions)
    for done, position in enumerate(positions):
        rest = activity.tail(tenant_id="acme", position=position, timeout=0)
        assert [str(number) for number in range(done, 6)] == names(rest)


def test_a_record_in_the_applications_transaction_comes_when_that_commits(
    activity: ActivityLog,
) -> None:
    with activity.tail(tenant_id="acme", timeout=0) as records, Session(activity.engine) as session:
        activity.record("file.saved", "file:both", tenant_id="acme", session=session)
        activity.record("file.saved", "file:neither", tenant_id="acme", session=session)
        session.commit()
        activity.record("file.saved", "file:undone", tenant_id="acme", session=session)
        session.rollback()
        assert ["both", "neither"] == names(records)


def test_two_tails_each_have_everything(
    activity: ActivityLog, follow: Callable[[Tail], Follower]
) -> None:
    both = [follow(activity.tail(tenant_id="acme", poll=0.01)) for _ in range(2)]
    record(activity, *range(20))
    expected = [str(number) for number in range(20)]
    for one in both:
        eventually(lambda one=one: one.names == expected, "the records")  # type: ignore[misc]


def test_a_follower_of_one_tenant_never_sees_another_s_beside_three_writers(
    activity: ActivityLog, follow: Callable[[Tail], Follower]
) -> None:
    hers = follow(activity.tail(tenant_id="hers", poll=0.01))

    def write(writer: int) -> None:
        url = activity.engine.url.render_as_string(hide_password=False)
        with ActivityLog(url, linger=0.0) as own:
            for number in range(40):
                tenant = "hers" if number % 2 else "his"
                own.record("file.saved", ("file", f"{tenant}-{writer}-{number}"), tenant_id=tenant)
            assert own.flush(DEADLINE)  # Longer than a close may take while two others write.

    writers = [threading.Thread(target=write, args=(writer,)) for writer in range(3)]
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join(DEADLINE)
    eventually(lambda: len(hers.names) >= 60, "the records")
    assert {f"hers-{writer}-{n}" for writer in range(3) for n in range(1, 40, 2)} == {*hers.names}
    assert 60 == len(hers.names)


# -- arguments --------------------------------------------------------------------

PAGED = "is for pages, which a tail has not"
TEXT = "the text of a position is needed"
SECONDS = "seconds are needed, 0 or more, or None"
MORE = "seconds are needed, more than 0"
NAN = float("nan")
BAD: list[tuple[str, Any, str]] = [
    *((name, 1, PAGED) for name in ("limit", "offset", "after", "before", "total")),
    *(("position", value, TEXT) for value in (7, b"0")),
    *(("timeout", value, SECONDS) for value in (-1, "1", True, NAN)),
    *(("poll", value, MORE) for value in (0, -1, float("inf"), None, "1", True, NAN)),
    ("nonsense", 1, "is no condition that a filter has"),
    ("verbs", 7, "text or a list of texts is needed"),
]


@pytest.mark.parametrize(("name", "value", "problem"), BAD)
def test_an_argument_without_sense_is_refused_before_a_database_is_opened(
    name: str, value: Any, problem: str
) -> None:
    with ActivityLog("postgresql://app@127.0.0.1:1/nowhere") as activity:
        for tail in (activity.tail, activity.atail):
            with pytest.raises(InvalidFilterError) as refusal:
                tail(tenant_id="acme", **{name: value})
            assert (name, problem) == (refusal.value.field, refusal.value.problem)
            assert refusal.value.value is value


def test_the_twin_for_coroutines_takes_the_same() -> None:
    here, there = (
        {name: (p.kind, p.default) for name, p in inspect.signature(tail).parameters.items()}
        for tail in (ActivityLog.tail, ActivityLog.atail)
    )

    assert here == there


def test_it_looks_as_often_as_it_is_told(
    activity: ActivityLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    def wait(_: object, seconds: float) -> None:
        waits.append(seconds)
        record(activity, len(waits))

    async def following(**options: Any) -> str:
        async with activity.atail(tenant_id="acme", **options) as records:
            assert records.position is None
            return await first(records)

    for kind in (Pause, Listener):
        monkeypatch.setattr(kind, "wait", wait)
    with activity.tail(tenant_id="acme", poll=0.75) as records:
        assert "1" == next(records).object_id
    assert "2" == asyncio.run(following(poll=0.25))
    with activity.tail(tenant_id="acme") as records:
        assert "3" == next(records).object_id
    assert "4" == asyncio.run(following())
    assert [0.75, 0.25, 0.5, 0.5] == waits
    assert "0" == activity.atail(tenant_id="acme", position="0").position


def test_a_position_fits_logs_with_the_same_key_only(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'activity.db'}"
    with ActivityLog(url, key=b"one") as one, ActivityLog(url, key=b"two") as two:
        position = one.tail(tenant_id="acme", timeout=0).position
        record(one, "a")

        assert ["a"] == names(one.tail(tenant_id="acme", position=position, timeout=0))
        with pytest.raises(InvalidCursorError):
            two.tail(tenant_id="acme", position=position)


def test_the_tenant_is_needed(activity: ActivityLog) -> None:
    with pytest.raises(InvalidFilterError, match="tenant_id"):
        activity.tail()  # type: ignore[call-arg]


def test_a_position_fits_its_tenant_and_conditions_only(activity: ActivityLog) -> None:
    record(activity, "a")
    position = activity.tail(tenant_id="acme", timeout=0).position
    others: list[dict[str, Any]] = [{"tenant_id": "other"}, {"tenant_id": "acme", "channel": "x"}]
    for where in others:
        with pytest.raises(InvalidCursorError, match="is no position of a tail"):
            activity.tail(**where, position=position)
    with pytest.raises(InvalidCursorError):
        activity.tail(tenant_id="acme", position="nonsense")


def test_a_position_whose_batch_was_removed_is_told_by_its_text(activity: ActivityLog) -> None:
    record(activity, "a")
    position = activity.tail(tenant_id="acme", timeout=0).position
    empty(activity.engine)

    with pytest.raises(InvalidCursorError, match="is not in the ledger: it was removed") as caught:
        activity.tail(tenant_id="acme", position=position)
    assert position == caught.value.value


def test_a_position_of_another_server_is_refused(
    server_log: ActivityLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(server_log, "a")
    position = server_log.tail(tenant_id="acme", timeout=0).position
    server = Changes(server_log.engine, ActivityFilter(tenant_id="acme")).server()
    monkeypatch.setattr(Changes, "server", lambda _: server + 1)
    with pytest.raises(InvalidCursorError, match="is of another server"):
        server_log.tail(tenant_id="acme", position=position)
    # A role that may not ask gets on without.
    monkeypatch.setattr(Changes, "server", lambda _: 0)
    assert [] == names(server_log.tail(tenant_id="acme", position=position, timeout=0))


def test_a_database_that_can_not_be_reached_is_told_at_once() -> None:
    with (
        ActivityLog("postgresql://app@127.0.0.1:1/nowhere") as activity,
        pytest.raises(RepositoryError, match="refused"),
    ):
        activity.tail(tenant_id="acme")


def test_a_log_without_tables_is_told_at_once(postgres_url: str) -> None:
    with ActivityLog(postgres_url) as activity, pytest.raises(SchemaError, match="migrate"):
        activity.tail(tenant_id="acme")


# -- waiting ----------------------------------------------------------------------


class Ledger:
    """Answers looks one after another as told: with names, a look, an error, or nothing."""

    def __init__(self, *answers: list[str] | Look | Exception, server: int = 0) -> None:
        self.where = ActivityFilter(tenant_id="acme")
        self.answers = list(answers)
        self.number = server

    def server(self) -> int:
        return self.number

    def now(self) -> Position:
        return START

    def check(self, position: Position, text: str) -> None:
        """Every position is there."""

    def after(self, position: Position) -> Look:
        answer = self.answers.pop(0) if self.answers else []
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Look):
            return answer
        changes = []
        for name in answer:
            position = Position(Spot(position.spot.ordinal + 1, 1, 0))
            changes.append(Change(make_record(object_id=name), position))
        return Look(changes, position, is_last=True)


BEYOND = Position(Spot(9, 1, 0))
"""Where a look ends in which all records were others'."""


class Watch:
    """A clock that moves by what is waited."""

    def __init__(self) -> None:
        self.now = 100.0
        self.waits: list[float] = []
        self.closed = 0

    def clock(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.waits.append(round(seconds, 6))
        self.now += seconds

    def wake(self) -> None:
        """Nobody waits."""

    def close(self) -> None:
        self.closed += 1


def tail_of(ledger: Ledger, watch: Watch, **options: Any) -> Tail:
    changes: Any = ledger
    return Tail(changes, watch, clock=watch.clock, **{"poll": 1.0, **options})


def down() -> RepositoryError:
    return RepositoryError("can't reach it: the connection is refused")


@pytest.mark.parametrize(("made", "read"), [(5, 5), (0, 0), (0, 6), (5, 0)], ids=str)
def test_a_position_fits_where_no_server_says_that_it_is_another(made: int, read: int) -> None:
    position = tail_of(Ledger(server=made), Watch()).position

    tail = tail_of(Ledger(["a"], server=read), Watch(), position=position, timeout=0)

    assert ["a"] == names(tail)


def test_without_options_it_looks_twice_a_second_and_signs_with_no_secret() -> None:
    ledger, watch = Ledger([], ["a"]), Watch()
    changes: Any = ledger
    tail = Tail(changes, watch)

    assert (START, 0) == decode_position(tail.position, ledger.where.digest(), b"")
    assert "a" == next(tail).object_id
    assert [0.5] == watch.waits


def test_a_position_of_another_server_is_refused_with_what_to_do() -> None:
    watch = Watch()
    position = tail_of(Ledger(server=5), Watch()).position

    to_do = "start anew, with since= if records of a certain time will do$"
    with pytest.raises(InvalidCursorError, match=f"is of another server.*; {to_do}") as caught:
        tail_of(Ledger(server=6), watch, position=position)

    assert position in str(caught.value)
    assert watch.closed


def test_it_looks_again_when_poll_has_passed_and_ends_at_its_timeout() -> None:
    watch = Watch()
    tail = tail_of(Ledger([], ["a", "b"], [], ["c"]), watch, timeout=2.5)
    assert ["a", "b", "c"] == names(tail)
    # No wait between records of one look; the time is counted from the last record.
    assert [1.0, 1.0, 1.0, 1.0, 0.5] == watch.waits
    assert watch.closed


def test_a_timeout_of_zero_never_waits() -> None:
    watch = Watch()
    assert ["a"] == names(tail_of(Ledger(["a"]), watch, timeout=0))
    assert [] == watch.waits


def test_it_looks_again_at_once_where_a_look_did_not_bring_all_that_is_there() -> None:
    watch = Watch()
    others = Look([], BEYOND, is_last=False)
    assert ["a", "b"] == names(tail_of(Ledger(others, ["a"], others, ["b"]), watch, timeout=0))
    assert [] == watch.waits


def test_another_tail_need_not_look_again_where_nothing_was_for_this_one() -> None:
    ledger = Ledger(["a"], Look([], BEYOND, is_last=True))
    tail = tail_of(ledger, Watch(), timeout=0)
    assert "a" == next(tail).object_id
    before, _ = decode_position(tail.position, ledger.where.digest(), b"")
    assert [] == names(tail)
    after, _ = decode_position(tail.position, ledger.where.digest(), b"")
    assert before != BEYOND
    assert after == BEYOND


def test_a_database_that_goes_away_is_waited_for_longer_and_longer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    watch = Watch()
    ledger = Ledger(["a"], *[down() for _ in range(9)], ["b"], down(), ["c"])
    with caplog.at_level(logging.WARNING, "structlog_activity"):
        assert ["a", "b", "c"] == names(tail_of(ledger, watch, timeout=100))
    assert [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0, 0.1] == watch.waits[:10]
    told = "a tail waits for the database: can't reach it: the connection is refused"
    assert [told, told] == [entry.getMessage() for entry in caplog.records]


def test_a_handler_of_the_host_that_raises_costs_no_record() -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError("disk full")

    handler, logger = Broken(), logging.getLogger("structlog_activity")
    logger.addHandler(handler)
    try:
        assert ["a"] == names(tail_of(Ledger(down(), ["a"]), Watch(), timeout=1))
    finally:
        logger.removeHandler(handler)


def test_one_that_is_away_from_the_first_look_on_is_waited_for_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    watch = Watch()
    with caplog.at_level(logging.WARNING, "structlog_activity"):
        assert ["a"] == names(tail_of(Ledger(down(), down(), ["a"]), watch, timeout=1))
    assert [0.1, 0.2] == watch.waits[:2]
    assert 1 == len(caplog.records)


def test_one_that_is_away_at_the_timeout_is_told() -> None:
    watch = Watch()
    with pytest.raises(RepositoryError, match="refused"):
        names(tail_of(Ledger([], *[down() for _ in range(99)]), watch, timeout=3))
    assert watch.closed


@pytest.mark.parametrize(
    "error",
    [
        SchemaError("the tables are missing"),
        RepositoryError("no privilege", sqlstate="42501"),
        RepositoryError("damaged", sqlstate="SQLITE_CORRUPT"),
        RuntimeError("a bug"),
    ],
)
def test_what_does_not_pass_by_itself_ends_it(error: Exception) -> None:
    watch = Watch()
    tail = tail_of(Ledger(error, ["a"]), watch)
    with pytest.raises(type(error), match=str(error)):
        next(tail)
    assert watch.closed
    assert [] == names(tail)


def test_an_interrupt_while_it_waits_ends_it() -> None:
    watch = Watch()
    tail = tail_of(Ledger(["a"]), watch)
    assert "a" == next(tail).object_id

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    watch.wait = interrupt  # type: ignore[assignment,method-assign]
    with pytest.raises(KeyboardInterrupt):
        next(tail)
    assert watch.closed


def test_a_signal_handler_may_close_it_while_it_waits() -> None:
    watch = Watch()
    tail = tail_of(Ledger(["a"]), watch)

    def handler(_: float) -> None:
        tail.close()
        assert not watch.closed  # Not beneath the one that waits.

    watch.wait = handler  # type: ignore[assignment,method-assign]
    assert ["a"] == names(tail)
    assert watch.closed


# -- being told -------------------------------------------------------------------


def test_the_writer_tells_of_a_batch_and_nobody_asks(
    server_log: ActivityLog, database: Database, follow: Callable[[Tail], Follower]
) -> None:
    one = follow(server_log.tail(tenant_id="acme", poll=NEVER))
    eventually(lambda: len(listeners(database)) == 1, "listening")
    for number in range(3):
        record(server_log, number)
        eventually(lambda: len(one.names) == number + 1, "the record")  # noqa: B023


def test_the_writer_tells_nobody_where_nobody_follows(
    server_log: ActivityLog, database: Database, follow: Callable[[Tail], Follower]
) -> None:
    with database.connect() as stranger:
        stranger.execute("LISTEN structlog_activity")
        record(server_log, "unheard")
        assert [] == list(stranger.notifies(timeout=0))
        one = follow(server_log.tail(tenant_id="acme", poll=NEVER))
        eventually(lambda: len(listeners(database)) == 1, "listening")
        record(server_log, "heard")
        assert 1 == len(list(stranger.notifies(timeout=DEADLINE, stop_after=1)))
        one.close()
        eventually(lambda: not listeners(database), "the end of the connection")
        record(server_log, "unheard again")
        assert [] == list(stranger.notifies(timeout=0))


def test_a_record_in_the_applications_transaction_is_found_by_looking(
    server_log: ActivityLog, follow: Callable[[Tail], Follower]
) -> None:
    one = follow(server_log.tail(tenant_id="acme", poll=0.01))
    with Session(server_log.engine) as session:
        server_log.record("file.saved", "file:a", tenant_id="acme", session=session)
        session.commit()
    eventually(lambda: one.names == ["a"], "the record")


def test_where_nobody_may_listen_looking_is_enough(
    server_log: ActivityLog,
    follow: Callable[[Tail], Follower],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: Listener) -> bool:
        return False

    monkeypatch.setattr(Listener, "_connect", refuse)
    one = follow(server_log.tail(tenant_id="acme", poll=0.01))
    record(server_log, "a")
    eventually(lambda: one.names == ["a"], "the record")


def test_a_listener_that_can_not_connect_tries_again_but_not_at_every_wait(
    server_log: ActivityLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    server_log.tail(tenant_id="acme").close()
    connect, tries = server_log.engine.raw_connection, []

    def raw_connection() -> Any:
        tries.append(1)
        if len(tries) < 3:
            raise RuntimeError("no connection")
        return connect()

    monkeypatch.setattr(server_log.engine, "raw_connection", raw_connection)
    listener = Listener(server_log.engine)
    waits = 0
    while len(tries) < 3:
        listener.wait(0)
        waits += 1
    listener.close()
    assert waits > 20


def test_a_listener_that_was_closed_neither_waits_nor_connects(
    server_log: ActivityLog, database: Database
) -> None:
    listener = Listener(server_log.engine)
    listener.close()

    listener.wait(NEVER)

    assert [] == listeners(database)


def test_connections_that_are_ended_cost_no_record(
    server_log: ActivityLog, database: Database, follow: Callable[[Tail], Follower]
) -> None:
    one = follow(server_log.tail(tenant_id="acme", poll=0.05))
    for number in range(5):
        record(server_log, number)
        database.end_connections()
    record(server_log, 5)
    eventually(lambda: len(one.names) >= 6, "the records")
    assert [str(number) for number in range(6)] == one.names
    eventually(lambda: len(listeners(database)) == 1, "listening again")


def test_a_server_that_crashes_and_comes_back_costs_no_record_and_doubles_none(
    own_server: PostgresServer,
    server_log: ActivityLog,
    database: Database,
    follow: Callable[[Tail], Follower],
) -> None:
    one = follow(server_log.tail(tenant_id="acme", poll=0.05))
    record(server_log, 0, 1)
    eventually(lambda: len(one.names) == 2, "the first records")
    own_server.stop("immediate")
    server_log.record("file.saved", "file:2", tenant_id="acme")
    own_server.start_again()
    record(server_log, 3)
    eventually(lambda: len(one.names) >= 4, "the other records")
    assert ["0", "1", "2", "3"] == one.names
    eventually(lambda: len(listeners(database)) == 1, "listening again")


# -- closing ----------------------------------------------------------------------


def test_closing_from_another_thread_ends_the_wait_and_leaves_no_connection(
    server_log: ActivityLog, database: Database, follow: Callable[[Tail], Follower]
) -> None:
    one = follow(server_log.tail(tenant_id="acme", poll=NEVER))
    eventually(lambda: len(listeners(database)) == 1, "listening")
    one.close()
    eventually(lambda: not listeners(database), "the end of the connection")
    one.tail.close()


def test_a_wait_without_a_listener_ends_too(
    activity: ActivityLog, follow: Callable[[Tail], Follower]
) -> None:
    changes = Changes(activity.engine, ActivityFilter(tenant_id="acme"))
    activity.feed(tenant_id="acme")
    one = follow(Tail(changes, Pause(), poll=NEVER))
    one.close()


def test_closing_the_log_ends_its_tails(
    server_log: ActivityLog, database: Database, follow: Callable[[Tail], Follower]
) -> None:
    one = follow(server_log.tail(tenant_id="acme", poll=NEVER))
    eventually(lambda: len(listeners(database)) == 1, "listening")
    server_log.close()
    one.close()
    eventually(lambda: not database.backends(), "the end of all connections")


def test_one_that_is_dropped_leaves_no_connection(
    server_log: ActivityLog, database: Database
) -> None:
    tail = server_log.tail(tenant_id="acme", timeout=0.05, poll=0.01)
    record(server_log, "a")
    assert "a" == next(tail).object_id
    del tail
    gc.collect()
    eventually(lambda: not listeners(database), "the end of the connection")


def test_one_that_could_not_be_made_says_so_and_no_more() -> None:
    making: Any = Tail
    with pytest.raises(TypeError):
        making()
    gc.collect()  # Else what it says at its end would come in another test.


# -- for coroutines ---------------------------------------------------------------


async def first(records: AsyncIterator[Any]) -> str:
    return str((await anext(records)).object_id)


def test_a_coroutine_follows(activity: ActivityLog) -> None:
    async def main() -> list[str]:
        async with activity.atail(tenant_id="acme", position="0", timeout=5) as records:
            record(activity, "a")
            found = [await first(records)]
            record(activity, "b")
            found.append(await first(records))
            position = records.position
            assert position is not None
        record(activity, "c")
        rest = activity.atail(tenant_id="acme", position=position, timeout=0)
        return found + [one.object_id async for one in rest]

    assert ["a", "b", "c"] == asyncio.run(main())
    eventually(lambda: not threads(), "the end of the thread")


def test_a_coroutine_that_is_cancelled_leaves_neither_thread_nor_connection(
    server_log: ActivityLog, database: Database
) -> None:
    async def main() -> str | None:
        records = server_log.atail(tenant_id="acme", poll=NEVER)
        waiting = asyncio.ensure_future(first(records))
        await asyncio.to_thread(eventually, lambda: len(listeners(database)) == 1, "listening")
        await asyncio.to_thread(eventually, lambda: records.position is not None, "its beginning")
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert [] == [one async for one in records]  # It has ended.
        return records.position

    assert asyncio.run(main()) is not None
    eventually(lambda: not threads(), "the end of the thread")
    eventually(lambda: not listeners(database), "the end of the connection")


def test_more_may_follow_than_asyncio_has_threads(activity: ActivityLog) -> None:
    async def main() -> list[str]:
        tails = [activity.atail(tenant_id="acme", position="0", poll=0.01) for _ in range(40)]
        waiting = [asyncio.ensure_future(first(tail)) for tail in tails]
        page = await activity.afeed(tenant_id="acme")
        assert [] == page.records
        record(activity, "a")
        found = await asyncio.gather(*waiting)
        await asyncio.gather(*(tail.aclose() for tail in tails))
        return found

    if activity.engine.dialect.name == "postgresql":
        pytest.skip("would want a connection each")
    assert ["a"] * 40 == asyncio.run(main())


def test_an_error_reaches_the_coroutine(activity: ActivityLog) -> None:
    async def main() -> None:
        await first(activity.atail(tenant_id="acme", position="nonsense"))

    with pytest.raises(InvalidCursorError):
        asyncio.run(main())


def test_a_coroutine_s_tail_takes_one_thread_however_many_tasks_await_it() -> None:
    asked = threading.Event()

    def begin() -> Tail:
        assert asked.wait(DEADLINE)
        return tail_of(Ledger(["a", "b"]), Watch())

    async def main() -> tuple[list[str], list[str]]:
        records = AsyncTail(begin, None)
        waiting = [asyncio.ensure_future(first(records)) for _ in range(2)]
        await asyncio.sleep(0)  # Both ask.
        taken = threads()
        asked.set()
        found = await asyncio.gather(*waiting)
        await records.aclose()
        return taken, found

    assert (["structlog-activity-tail_0"], ["a", "b"]) == asyncio.run(main())


def test_a_coroutine_that_is_cancelled_while_its_tail_begins_closes_that() -> None:
    begins, goes_on = threading.Event(), threading.Event()
    watch, made = Watch(), []

    def begin() -> Tail:
        begins.set()
        assert goes_on.wait(DEADLINE)
        made.append(tail_of(Ledger(["a"]), watch))
        return made[-1]

    async def main() -> None:
        waiting = asyncio.ensure_future(first(AsyncTail(begin, None)))
        assert await asyncio.to_thread(begins.wait, DEADLINE)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):  # At once, and not when it has begun.
            await waiting
        goes_on.set()

    asyncio.run(main())
    eventually(lambda: not threads(), "the end of the thread")
    assert made
    assert watch.closed


def test_closing_a_coroutine_s_tail_closes_the_one_that_it_follows() -> None:
    watch = Watch()

    async def main() -> tuple[str | None, str | None]:
        records = AsyncTail(lambda: tail_of(Ledger(["a"]), watch), "0")
        positions = [records.position]
        assert "a" == await first(records)
        positions.append(records.position)
        assert not watch.closed
        await records.aclose()
        assert watch.closed
        return positions[0], positions[1]

    before, after = asyncio.run(main())
    assert "0" == before
    assert after not in (before, None)


def test_a_coroutine_s_tail_that_was_never_awaited_can_be_closed() -> None:
    def begin() -> Tail:
        raise AssertionError("it begins when it is awaited")

    records = AsyncTail(begin, None)
    asyncio.run(records.aclose())
    assert records.position is None
    assert [] == asyncio.run(all_of(records))


async def all_of(records: AsyncIterator[Any]) -> list[str]:
    return [one.object_id async for one in records]


def test_a_policy_lets_through_what_its_reader_may_see_and_shows_no_more_of_it(
    activity: ActivityLog,
) -> None:
    ana = AccessPolicy(role="user", actor_id="ana", tenant_id="acme")
    with activity.tail(tenant_id="acme", policy=ana, poll=0.01, timeout=DEADLINE) as tail:
        record(activity, "other", actor_id="bob", ip="192.0.2.7")
        record(activity, "own", actor_id="ana", ip="192.0.2.7", password="hunter2", size=3)
        shown = next(tail)
        position = tail.position

    assert ("own", "", "[redacted]", 3) == (
        shown.object_id, shown.ip, shown.data["password"], shown.data["size"],
    )  # fmt: skip
    assert [] == list(activity.tail(tenant_id="acme", policy=ana, position=position, timeout=0))
    bob = AccessPolicy(role="user", actor_id="bob", tenant_id="acme")
    more = AccessPolicy(role="user", actor_id="ana", tenant_id="acme", data="all")
    for other in (bob, more, None):
        with pytest.raises(InvalidCursorError):
            activity.tail(tenant_id="acme", policy=other, position=position)


def test_a_policy_refuses_a_tail_of_what_it_does_not_grant(activity: ActivityLog) -> None:
    reader = AccessPolicy(role="tenant_admin", tenant_id="other", channels=["billing"])

    beyond: list[Any] = [{"tenant_id": "acme"}, {"tenant_id": "other", "channel": "secret"}]
    for where in beyond:
        with pytest.raises(AccessDeniedError):
            activity.tail(policy=reader, **where)
        with pytest.raises(AccessDeniedError):
            activity.atail(policy=reader, **where)


def test_a_tail_of_a_task_shows_what_its_policy_grants(activity: ActivityLog) -> None:
    reader = AccessPolicy(role="tenant_admin", tenant_id="acme", channels=["billing"], data="none")
    record(activity, 1, channel="billing", size=3)
    record(activity, 2, channel="secret")

    async def follow() -> list[tuple[str, Any]]:
        async with activity.atail(
            tenant_id="acme", policy=reader, position="0", timeout=0
        ) as records:
            return [(one.object_id, dict(one.data)) async for one in records]

    assert [("1", {})] == asyncio.run(follow())
