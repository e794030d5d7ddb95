"""Folding: whatever is folded, comes late or is taken away, counts equal counting the rows."""

from __future__ import annotations

import random
import threading

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, delete, func, select, update

from structlog_activity import ActivityFilter, stats, to_uuid
from structlog_activity.read.memory import MemoryReads
from structlog_activity.record.rowmaker import RowMaker
from structlog_activity.record.times import to_microseconds
from structlog_activity.store.batch import Batch
from structlog_activity.store.counts import closed_before, fold, open_months, unfold
from structlog_activity.store.faults import StoreError
from structlog_activity.store.repository import Repository
from structlog_activity.store.table import (
    DAYS_OF_MONTH,
    user_activity,
    user_activity_daily,
    user_activity_monthly,
)
from structlog_activity.testing import MemoryRepository
from tests.support.records import CHANNELS, TYPES, VERBS, record
from tests.support.stores import Store, empty


DAILY, MONTHLY = user_activity_daily.c, user_activity_monthly.c
TODAY = date(2026, 3, 14)
MIDNIGHT = datetime(2026, 3, 14, tzinfo=UTC)
MOMENTS = [
    MIDNIGHT + timedelta(days=days, hours=hours, microseconds=micro)
    for days in (-104, -73, -72, -45, -43, -42, -15, -14, -13, -3, 0)
    for hours, micro in ((0, 0), (0, -1), (13, 5))
]
TENANT = "acme"


@pytest.fixture
def cleared(shared: Store) -> Store:
    """Each of the two databases, empty."""
    empty(shared.database)
    return shared


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection
        connection.commit()


def fold_all(store: Store, today: date = TODAY) -> int:
    folded = 0
    with writing(store.database) as connection:
        beyond = closed_before(today)
        for month in open_months(connection, beyond):
            folded += fold(connection, month, beyond)
    return folded


def take_away(store: Store, before: datetime) -> None:
    """Delete the records before a moment, and take them out of the counts."""
    engine = store.database
    with writing(engine) as connection:
        log = user_activity.c
        gone = connection.execute(
            delete(user_activity)
            .where(log.created_at < before)
            .returning(log.tenant_id, log.created_at, log.channel, log.verb, log.object_type)
        ).all()
        if not gone:
            return
        counts = Counter((row[0], row[1].date(), *row[2:]) for row in gone)
        unfold(connection, min(key[1] for key in counts), max(key[1] for key in counts))
        key = [*user_activity_daily.primary_key][:-1]
        for values, n in counts.items():
            same = [column == value for column, value in zip(key, values, strict=True)]
            less = update(user_activity_daily).where(*same, ~DAILY.folded)
            assert 1 == connection.execute(less.values(n=DAILY.n - n)).rowcount
        connection.execute(delete(user_activity_daily).where(DAILY.n == 0))


def check_tables(engine: Engine) -> None:
    """The months say what the folded days say, and no day counts less than one record."""
    with engine.connect() as connection:
        days = connection.execute(select(user_activity_daily)).all()
        months = connection.execute(select(user_activity_monthly)).mappings().all()
    from_days: Counter[Any] = Counter()
    for row in days:
        assert row.n > 0
        if row.folded:
            key = (row.tenant_id, row.channel, row.verb, row.object_type)
            from_days[(*key, row.day)] += row.n
    from_months: Counter[Any] = Counter()
    for month in months:
        key = tuple(month[name] for name in ("tenant_id", "channel", "verb", "object_type"))
        found = {
            (*key, month["month"] + timedelta(days=i)): month[name]
            for i, name in enumerate(DAYS_OF_MONTH)
            if month[name] is not None
        }
        assert month["n"] == sum(found.values())
        from_months.update(found)
    assert from_days == from_months


records = st.builds(
    lambda moment, verb, channel, kind: record(
        occurred_at=moment, verb=verb, channel=channel, object_type=kind
    ),
    st.sampled_from(MOMENTS),
    st.sampled_from(VERBS[:3]),
    st.sampled_from(CHANNELS[:3]),
    st.sampled_from(TYPES[:2]),
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.lists(records, min_size=1, max_size=12)),
        st.tuples(st.just("fold"), st.sampled_from([TODAY, date(2026, 2, 3), date(2026, 1, 1)])),
        st.tuples(st.just("take away"), st.sampled_from(MOMENTS)),
    ),
    min_size=2,
    max_size=7,
)
spans = st.tuples(st.none() | st.sampled_from(MOMENTS), st.none() | st.sampled_from(MOMENTS))


FILTERS: tuple[dict[str, Any], ...] = (
    {},
    {},
    {"verbs": "settings.*"},
    {"channel": "settings"},
    {"object_type": TYPES[0]},
    {"channel_denylist": ["exports"], "verbs": [VERBS[0]]},
)


@given(
    steps=steps,
    spans=st.lists(spans, min_size=1, max_size=2),
    where=st.sampled_from(FILTERS),
)
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_counts_equal_the_rows_after_any_steps(
    shared: Store, steps: list[Any], spans: list[Any], where: dict[str, Any]
) -> None:
    go_through(shared, steps, spans, where)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@given(
    steps=steps,
    spans=st.lists(spans, min_size=3, max_size=6),
    where=st.sampled_from(FILTERS),
)
@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_counts_equal_the_rows_after_very_many_steps(
    shared: Store, steps: list[Any], spans: list[Any], where: dict[str, Any]
) -> None:
    go_through(shared, steps, spans, where)


def go_through(
    store: Store,
    steps: list[tuple[str, Any]],
    spans: list[tuple[datetime | None, datetime | None]],
    where: dict[str, Any],
) -> None:
    empty(store.database)
    model = MemoryRepository()
    for step, what in steps:
        if step == "add":
            store.add(*what)
            model.write(store.batch([RowMaker().make_from(one) for one in what]))
        elif step == "fold":
            fold_all(store, what)
        else:
            take_away(store, what)
            model.rows = [row for row in model.rows if row.created_at >= to_microseconds(what)]
        for since, until in [(None, None), *spans]:
            same_answers(store, model, since=since, until=until, **where)
    check_tables(store.database)


def same_answers(store: Store, model: MemoryReads, **where: Any) -> None:
    where["tenant_id"] = TENANT
    assert model.stats(**where) == store.stats(**where)
    for bucket in ("day", "month"):
        assert model.timeline(bucket=bucket, **where) == store.timeline(bucket=bucket, **where)
    assert model.top(by="verb", **where) == store.top(by="verb", **where)
    mine, theirs = store.feed(limit=3, **where), model.feed(limit=3, **where)
    assert [one.id for one in theirs.records] == [one.id for one in mine.records]
    assert theirs.total == mine.total


def test_a_fold_moves_open_counts_of_closed_days_once(cleared: Store) -> None:
    """Yesterday is open as today is: writers still add to it."""
    ago = [MIDNIGHT - timedelta(days=days) for days in (40, 2, 1, 0)]
    cleared.add(*(record(occurred_at=moment) for moment in ago))

    assert 2 == fold_all(cleared)
    assert 0 == fold_all(cleared)
    cleared.add(*(record(occurred_at=moment) for moment in ago[:2]))
    assert 2 == fold_all(cleared)

    check_tables(cleared.database)
    with cleared.database.connect() as connection:
        assert [2, 2] == list(connection.scalars(select(MONTHLY.n)))
        days = connection.execute(select(DAILY.folded, DAILY.n).order_by(DAILY.day))
        assert [(True, 2), (True, 2), (False, 1), (False, 1)] == [*map(tuple, days)]


def test_statistics_read_no_folded_days(cleared: Store) -> None:
    """They would be wrong here, which only who reads them can see."""
    cleared.add(*(record(occurred_at=MIDNIGHT - timedelta(days=days)) for days in (70, 40, 0)))
    fold_all(cleared)
    with cleared.database.begin() as connection:
        connection.execute(update(user_activity_daily).where(DAILY.folded).values(n=1000))

    assert 3 == cleared.stats(tenant_id=TENANT).total
    assert 2 == cleared.stats(tenant_id=TENANT, until=datetime(2026, 3, 1, tzinfo=UTC)).total
    for since, until, n in (
        (date(2026, 2, 1), None, 2),
        (date(2026, 2, 2), None, 2),
        (date(2026, 2, 3), None, 1),
        (date(2026, 1, 3), date(2026, 2, 3), 2),
        (date(2026, 2, 2), date(2026, 2, 28), 1),
        (date(2026, 2, 3), date(2026, 2, 28), 0),
    ):
        found = cleared.stats(tenant_id=TENANT, since=since, until=until)
        assert (n, n) == (found.total, sum(found.by_day.values()))


def test_a_month_can_be_unfolded_and_folded_again(cleared: Store) -> None:
    cleared.add(*(record(occurred_at=moment) for moment in MOMENTS))
    fold_all(cleared)
    before = cleared.stats(tenant_id=TENANT)

    with writing(cleared.database) as connection:
        unfold(connection, MOMENTS[0].date(), TODAY)

    with cleared.database.connect() as connection:
        assert 0 == connection.scalar(select(func.count()).select_from(user_activity_monthly))
        assert [False] == list(connection.scalars(select(DAILY.folded).distinct()))
    assert before == cleared.stats(tenant_id=TENANT)
    assert fold_all(cleared) > 0
    assert before == cleared.stats(tenant_id=TENANT)


class Crew:
    """Threads that work until the writers among them are done."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.failures: list[BaseException] = []

    def start(self, work: Callable[[], object], *, again: bool = False) -> threading.Thread:
        def run() -> None:
            try:
                work()
                while again and not self.done.is_set():
                    work()
            except BaseException as error:
                self.failures.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        return thread


def write_late(store: Store, number: int, batches: int) -> None:
    repository, choose = store.new_repository(), random.Random(number)
    for seq in range(1, batches + 1):
        late = [
            record(occurred_at=choose.choice(MOMENTS), verb=choose.choice(VERBS)) for _ in range(20)
        ]
        rows = [RowMaker().make_from(one) for one in late]
        batch = Batch(to_uuid(f"writer-{number}"), seq, 1000 * number + seq, rows)
        while not wrote(repository, batch):
            pass


def wrote(repository: Repository, batch: Batch) -> bool:
    try:
        return repository.write(batch)
    except StoreError as error:  # A file that is locked; nothing else may be.
        assert error.sqlstate.startswith("SQLITE_BUSY"), error
        return False


def check_instant(engine: Engine, readings: list[int]) -> None:
    """Hold statistics to the rows that were there at the same moment."""
    options = {} if engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
    with engine.connect().execution_options(**options) as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN")
        rows = connection.scalar(select(func.count()).select_from(user_activity))
        counted = stats(connection, ActivityFilter(tenant_id=TENANT))
    assert rows == counted.total == sum(counted.by_day.values())
    assert rows == sum(counted.by_channel.values())
    readings.append(counted.total)


@pytest.mark.parametrize(
    "batches", [10, pytest.param(400, marks=[pytest.mark.soak, pytest.mark.timeout(900)])]
)
def test_statistics_are_right_at_every_instant_while_writers_and_folds_go_on(
    cleared: Store, batches: int
) -> None:
    engine = cleared.database
    crew, readings = Crew(), list[int]()

    others = [
        crew.start(partial(fold_all, cleared), again=True),
        crew.start(partial(check_instant, engine, readings), again=True),
    ]
    writers = [crew.start(partial(write_late, cleared, n, batches)) for n in range(3)]
    for thread in writers:
        thread.join()
    crew.done.set()
    for thread in others:
        thread.join()

    assert [] == crew.failures
    assert readings == sorted(readings)
    fold_all(cleared)
    check_tables(engine)
    assert 3 * batches * 20 == cleared.stats(tenant_id=TENANT).total
