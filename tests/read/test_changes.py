"""The feed of changes: each committed record once, however transactions interleave."""

from __future__ import annotations

import random
import re
import time

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from uuid import uuid4
from zlib import crc32

import pytest

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text

from structlog_activity import ALL_TENANTS, ActivityFilter, to_uuid
from structlog_activity.errors import InvalidCursorError, RepositoryError
from structlog_activity.read.tail import horizon, ledger
from structlog_activity.read.tail.changes import Changes
from structlog_activity.read.tail.position import (
    BEGINNING,
    START,
    WHOLE,
    Position,
    Spot,
    decode_position,
    encode_position,
)
from structlog_activity.record.rowmaker import RowMaker
from structlog_activity.store.batch import Batch
from structlog_activity.store.host_transaction import write_inside
from tests.support.records import NOON, record
from tests.support.sent import sent_by
from tests.support.stores import Store


@pytest.fixture
def engine(shared: Store) -> Engine:
    return shared.database


@pytest.fixture(params=["primary", "standby"])
def role(request: pytest.FixtureRequest, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether the server says which transactions are under way, or only the lowest of them."""
    if request.param == "standby":
        if engine.dialect.name == "sqlite":
            pytest.skip("has no standby")
        says_so = text("SELECT CAST(pg_current_snapshot() AS text), true, NULL")
        monkeypatch.setattr(horizon, "_SNAPSHOT", says_so)
    return str(request.param)


def batch_of(tenant: str, numbers: list[int], channel: str = "") -> Batch:
    """A batch of records whose object ids are these numbers."""
    return Batch.alone(
        [
            RowMaker().make_from(
                record(tenant_id=to_uuid(tenant), object_id=str(number), channel=channel)
            )
            for number in numbers
        ]
    )


def drained(changes: Changes, position: Position) -> tuple[list[int], Position]:
    """All that comes after a position, and the position then."""
    found: list[int] = []
    while True:
        look = changes.after(position)
        found += [int(change.record.object_id) for change in look.changes]
        position = look.position
        if look.is_last:
            return found, position


# -- any interleaving -----------------------------------------------------------


@dataclass
class Transaction:
    """One that is open, and the numbers that it wrote."""

    connection: Connection
    began: int
    numbers: list[int] = field(default_factory=list)


@dataclass
class World:
    """
    Connections that write in transactions, in any order, and one that follows.

    Attributes:

        spans: By record that was committed: when its transaction began to write,
            and when it committed.

        delivered: What came, in order, with the position at each.
    """

    engine: Engine
    choose: random.Random
    stack: ExitStack
    tenant: str = field(default_factory=lambda: str(uuid4()))
    open: dict[int, Transaction] = field(default_factory=dict)
    spans: dict[int, tuple[int, int]] = field(default_factory=dict)
    delivered: list[tuple[int, Position]] = field(default_factory=list)
    clock: int = 0
    last: int = 0

    def __post_init__(self) -> None:
        self.changes = Changes(self.engine, ActivityFilter(tenant_id=self.tenant))
        self.start = self.position = self.changes.now()

    def new_batch(self, channel: str) -> tuple[Batch, list[int]]:
        count = self.choose.randrange(1, 5)
        numbers = list(range(self.last, self.last + count))
        self.last += count
        return batch_of(self.tenant, numbers, channel), numbers

    def write(self, which: int) -> None:
        """Write a batch in a transaction that stays open, perhaps in a savepoint."""
        transaction = self.open.get(which)
        if transaction is None:
            if self.engine.dialect.name == "sqlite" and self.open:
                return
            connection = self.stack.enter_context(self.engine.connect())
            if self.engine.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            transaction = self.open[which] = Transaction(connection, self.clock)
        batch, numbers = self.new_batch(f"channel-{which}")
        if self.choose.random() < 0.5:
            write_inside(transaction.connection, batch)
            transaction.numbers += numbers
            return
        savepoint = transaction.connection.begin_nested()
        write_inside(transaction.connection, batch)
        if self.choose.random() < 0.5:
            savepoint.rollback()
        else:
            savepoint.commit()
            transaction.numbers += numbers

    def end(self, which: int) -> None:
        transaction = self.open.pop(which, None)
        if transaction is None:
            return
        if self.choose.random() < 0.3:
            transaction.connection.rollback()
        else:
            transaction.connection.commit()
            for number in transaction.numbers:
                self.spans[number] = (transaction.began, self.clock)
        transaction.connection.close()

    def follow(self) -> None:
        """Take some of what is new, and go on from there, as another process would."""
        look = self.changes.after(self.position)
        if look.changes and self.choose.random() < 0.5:
            taken = look.changes[: self.choose.randrange(1, len(look.changes) + 1)]
            self.position = taken[-1].position
        else:
            taken, self.position = look.changes, look.position
        self.delivered += [(int(change.record.object_id), change.position) for change in taken]
        digest = self.changes.where.digest()
        shown = encode_position(self.position, 7, digest, b"")
        assert (self.position, 7) == decode_position(shown, digest, b"")
        self.changes.check(self.position, shown)

    def step(self) -> None:
        self.clock += 1
        which = self.choose.randrange(5)
        self.choose.choice((self.write, self.write, self.end, lambda _: self.follow()))(which)

    def finish(self) -> None:
        for which in list(self.open):
            self.clock += 1
            self.end(which)
        while drained(self.changes, self.position)[0]:
            self.follow()


def lived_through(engine: Engine, steps: int, seed: str) -> World:
    """A world after so many steps, and the end of all that was under way."""
    with ExitStack() as stack:
        world = World(engine, random.Random(seed), stack)
        for _ in range(steps):
            world.step()
        world.finish()
    return world


@pytest.fixture(params=[(100, 2_000), (2, 3)], ids=["whole", "in pieces"])
def pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks that take all there is, and looks that take little."""
    monkeypatch.setattr(ledger, "MOST_BATCHES", request.param[0])
    monkeypatch.setattr(ledger, "MOST_ROWS", request.param[1])


SEEDS = [0, 1, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(2, 40))]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.usefixtures("pieces")
def test_each_committed_record_comes_once_in_an_order_of_the_commits(
    engine: Engine, role: str, seed: int
) -> None:
    world = lived_through(engine, 70, f"{seed} {role}")
    numbers = [number for number, _ in world.delivered]
    assert sorted(numbers) == sorted(world.spans)
    for place, later in enumerate(numbers):
        _, committed = world.spans[later]
        assert not [number for number in numbers[:place] if world.spans[number][0] > committed]


@pytest.mark.parametrize("seed", SEEDS[1:])
@pytest.mark.usefixtures("pieces")
def test_from_every_position_the_rest_comes_and_nothing_twice(
    engine: Engine, role: str, seed: int
) -> None:
    world = lived_through(engine, 40, f"rest {seed} {role}")
    assert sorted(world.spans) == sorted(drained(world.changes, world.start)[0])
    for place, (_, position) in enumerate(world.delivered):
        before = {number for number, _ in world.delivered[: place + 1]}
        rest, _ = drained(world.changes, position)
        assert sorted(rest) == sorted(set(world.spans) - before)


def test_from_the_beginning_everything_comes(engine: Engine, shared: Store) -> None:
    tenant = str(uuid4())
    for number in range(30):
        shared.repository.write(batch_of(tenant, [number]))
    found, _ = drained(Changes(engine, ActivityFilter(tenant_id=tenant)), START)
    assert [*range(30)] == found


# -- single cases ---------------------------------------------------------------


@pytest.fixture
def tenant() -> str:
    return str(uuid4())


@pytest.fixture
def changes(engine: Engine, tenant: str) -> Changes:
    return Changes(engine, ActivityFilter(tenant_id=tenant))


@pytest.fixture
def postgresql(engine: Engine) -> Engine:
    """The engine, where several may write at once."""
    if engine.dialect.name == "sqlite":
        pytest.skip("has one writer, on one machine")
    return engine


@pytest.fixture
def are_ending(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[int]], None]:
    """
    Say which transactions are still about to end on other machines of a cluster.

    On Citus these have the rows a moment after the line of the ledger is seen.
    """

    def say(transactions: list[int]) -> None:
        snapshot = "SELECT CAST(pg_current_snapshot() AS text), false, CAST(:ending AS bigint[])"
        ending = [number % 2**32 for number in transactions]
        monkeypatch.setattr(horizon, "_SNAPSHOT", text(snapshot).bindparams(ending=ending))

    return say


def test_a_transaction_that_commits_late_holds_nothing_back_and_is_not_missed(
    postgresql: Engine, shared: Store, changes: Changes, tenant: str
) -> None:
    position = changes.now()
    with postgresql.connect() as late:
        write_inside(late, batch_of(tenant, [1], "late"))
        shared.repository.write(batch_of(tenant, [2]))
        found, position = drained(changes, position)
        assert [2] == found
        shared.repository.write(batch_of(tenant, [3]))
        late.commit()
    assert [1, 3] == drained(changes, position)[0]


def test_a_transaction_that_was_under_way_at_the_start_comes_too(
    postgresql: Engine, changes: Changes, tenant: str, shared: Store
) -> None:
    with postgresql.connect() as late:
        write_inside(late, batch_of(tenant, [1], "late"))
        shared.repository.write(batch_of(tenant, [2]))
        position = changes.now()
        late.commit()
    assert [1] == drained(changes, position)[0]


def test_of_two_that_commit_late_the_one_begun_is_finished_first(
    postgresql: Engine, changes: Changes, tenant: str, shared: Store
) -> None:
    """Else a position within the other could not tell how far the first had come."""
    batch, after = batch_of(tenant, [4, 5, 6], "second"), batch_of(tenant, [7, 8], "second")
    while after.batch_id < batch.batch_id:  # Of one millisecond, whose numbers are in no order.
        after = batch_of(tenant, [7, 8], "second")
    with postgresql.connect() as first, postgresql.connect() as second:
        write_inside(first, batch_of(tenant, [1, 2, 3], "first"))
        write_inside(second, batch)
        write_inside(second, after)
        shared.repository.write(batch_of(tenant, [9]))
        position = changes.now()
        second.commit()
        begun = changes.after(position).changes[1]
        first.commit()
    assert "5" == begun.record.object_id
    rest = changes.after(begun.position).changes
    assert ["6", "7", "8", "1", "2", "3"] == [change.record.object_id for change in rest]
    for place, change in enumerate(rest, 1):
        following = [other.record.object_id for other in rest[place:]]
        assert [int(name) for name in following] == drained(changes, change.position)[0]


def test_one_that_is_rolled_back_is_forgotten(
    postgresql: Engine, changes: Changes, tenant: str, shared: Store
) -> None:
    with postgresql.connect() as failed:
        write_inside(failed, batch_of(tenant, [1], "failed"))
        shared.repository.write(batch_of(tenant, [2]))
        _, position = drained(changes, changes.now())
        assert 1 == len(position.open)
        failed.rollback()
    assert ([], Position(position.spot)) == drained(changes, position)


def test_one_that_is_prepared_comes_when_it_is_committed(
    postgresql: Engine, changes: Changes, tenant: str, shared: Store
) -> None:
    position = changes.now()
    name = f"tail_{uuid4().hex}"
    with postgresql.connect() as connection:
        write_inside(connection, batch_of(tenant, [1], "prepared"))
        connection.exec_driver_sql(f"PREPARE TRANSACTION '{name}'")
        connection.rollback()
    shared.repository.write(batch_of(tenant, [2]))
    found, position = drained(changes, position)
    with postgresql.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(f"COMMIT PREPARED '{name}'")
    assert ([2], [1]) == (found, drained(changes, position)[0])


def test_a_batch_of_more_rows_than_a_look_should_have_comes_whole(
    changes: Changes, tenant: str, shared: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "MOST_ROWS", 5)
    position = changes.now()
    shared.repository.write(batch_of(tenant, [*range(20)]))
    shared.repository.write(batch_of(tenant, [*range(20, 40)]))
    first = changes.after(position)
    assert (20, False) == (len(first.changes), first.is_last)
    assert [*range(40)] == drained(changes, position)[0]


@pytest.mark.parametrize(
    ("sizes", "taken"),
    [([], 0), ([2, 3], 2), ([2, 3, 1], 2), ([2, 4, 1], 1), ([5, 1], 1), ([6, 1], 1), ([9], 1)],
    ids=str,
)
def test_a_look_takes_batches_up_to_its_most_rows_but_one_at_least(
    sizes: list[int], taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "MOST_ROWS", 5)
    batches: list[Any] = [SimpleNamespace(n=size) for size in sizes]

    assert batches[:taken] == ledger.within_reach(batches)


def test_a_transaction_is_open_while_it_runs_or_begins_later() -> None:
    there = horizon.Horizon(10, 12, (3, 7))

    assert [3, 7, 10, 11, 12] == [number for number in range(13) if there.is_open(number)]
    assert [(), (3,), (3,), (3, 7)] == [there.open_before(number) for number in (3, 4, 7, 8)]


def test_the_rows_of_a_batch_come_in_its_order_whatever_their_times(
    changes: Changes, tenant: str, shared: Store
) -> None:
    position = changes.now()
    hours = [1, 0, 2]
    moments = [NOON.replace(hour=hour) for hour in hours]
    rows = [
        RowMaker().make_from(
            record(tenant_id=to_uuid(tenant), object_id=str(at.hour), occurred_at=at)
        )
        for at in moments
    ]
    shared.repository.write(Batch.alone(rows))
    assert hours == drained(changes, position)[0]


def test_records_of_other_tenants_and_conditions_move_the_position_only(
    engine: Engine, shared: Store, tenant: str
) -> None:
    mine = Changes(engine, ActivityFilter(tenant_id=tenant, channel="mine"))
    position = mine.now()
    shared.repository.write(batch_of(str(uuid4()), [1], "mine"))
    shared.repository.write(batch_of(tenant, [2], "yours"))
    found, after = drained(mine, position)
    assert [] == found
    assert after.spot > position.spot
    every = Changes(engine, ActivityFilter(tenant_id=ALL_TENANTS))
    assert [1, 2] == drained(every, position)[0]


def test_on_sqlite_no_number_is_used_again_where_the_end_of_the_ledger_was_removed(
    engine: Engine, shared: Store, changes: Changes, tenant: str
) -> None:
    if engine.dialect.name != "sqlite":
        pytest.skip("its transactions are numbered by the server")
    for number in (1, 2):
        shared.repository.write(batch_of(tenant, [number]))
        position = changes.now()
        with engine.begin() as connection:
            connection.execute(text("DELETE FROM user_activity_batch"))
        # A number begins with the millisecond that it is drawn in.
        then = time.time_ns() // 1_000_000
        while time.time_ns() // 1_000_000 == then:
            pass
    shared.repository.write(batch_of(tenant, [3]))
    assert [3] == drained(changes, position)[0]


# -- positions that fit no more --------------------------------------------------


def test_a_position_whose_batch_is_gone_is_refused(
    engine: Engine, shared: Store, changes: Changes, tenant: str
) -> None:
    shared.repository.write(batch_of(tenant, [1]))
    position = changes.now()
    changes.check(position, "it")
    with engine.begin() as connection:
        connection.execute(
            text("DELETE FROM user_activity_batch WHERE ordinal = :ordinal"),
            {"ordinal": position.spot.ordinal},
        )
    with pytest.raises(InvalidCursorError, match=r"position='it': the batch .* not in the ledger"):
        changes.check(position, "it")


RENUMBER = (
    "UPDATE user_activity_batch SET ordinal = pg_current_xact_id()::text::bigint "
    "WHERE ordinal >= pg_current_xact_id()::text::bigint"
)


@pytest.fixture
def brought_here(postgresql: Engine, shared: Store, tenant: str) -> Iterator[Callable[[], None]]:
    """A ledger from a server with higher numbers; the call does what the message says."""
    ahead = 1_000_000_000_000
    shared.repository.write(batch_of(tenant, [1]))
    with postgresql.begin() as connection:
        connection.exec_driver_sql(
            f"UPDATE user_activity_batch SET ordinal = ordinal + {ahead} WHERE ordinal = "
            "(SELECT max(ordinal) FROM user_activity_batch)"
        )

    def renumber() -> None:
        with postgresql.begin() as connection:
            connection.exec_driver_sql(RENUMBER)

    yield renumber
    renumber()


def test_a_ledger_of_another_server_is_refused_until_it_is_numbered_anew(
    brought_here: Callable[[], None], changes: Changes, tenant: str, shared: Store
) -> None:
    for refuses in (changes.now, lambda: changes.check(START, BEGINNING)):
        with pytest.raises(RepositoryError) as caught:
            refuses()
        assert str(caught.value) == (
            "the ledger was brought here from another server, whose transactions had higher "
            f"numbers than those here have yet; give it numbers of this one: {RENUMBER}"
        )
    brought_here()
    shared.repository.write(batch_of(tenant, [2]))
    assert [1, 2] == drained(changes, START)[0]


def test_a_ledger_is_foreign_from_the_first_number_on_that_did_not_begin_here(
    engine: Engine, shared: Store, tenant: str
) -> None:
    shared.repository.write(batch_of(tenant, [1]))
    with engine.connect() as connection:
        query = text("SELECT max(ordinal) FROM user_activity_batch")
        last = connection.execute(query).scalar_one()

        horizon.refuse_foreign(connection, horizon.Horizon(last + 1, last + 1, ()))
        with pytest.raises(RepositoryError, match="brought here"):
            horizon.refuse_foreign(connection, horizon.Horizon(last, last, ()))


@pytest.mark.parametrize(
    ("said", "there"),
    [
        ("'9:9:', false, NULL::bigint[]", (9, 9, ())),
        ("'5:9:5,7', false, NULL::bigint[]", (9, 9, (5, 7))),
        ("'5:9:5,7', true, NULL::bigint[]", (5, 9, ())),
        ("'5:9:5', false, ARRAY[8, 7, 5]", (9, 9, (5, 7, 8))),
        ("'4294967301:4294967301:', false, ARRAY[3, 7]", (2**32 + 5, 2**32 + 5, (7, 2**32 + 3))),
    ],
    ids=["nothing runs", "two run", "a standby", "some end", "a number beyond 32 bits"],
)
def test_a_snapshot_says_what_can_be_seen(
    postgresql: Engine, monkeypatch: pytest.MonkeyPatch, said: str, there: tuple[object, ...]
) -> None:
    monkeypatch.setattr(horizon, "_SNAPSHOT", text(f"SELECT {said}".replace("::b", "\\:\\:b")))

    with horizon.snapshot(postgresql) as (_, seen):
        assert there == seen


def test_a_server_has_a_number_of_its_own(engine: Engine) -> None:
    expected = 0
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            query = text("SELECT system_identifier FROM pg_control_system()")
            expected = crc32(str(connection.execute(query).scalar_one()).encode())

    assert expected == horizon.server_number(engine)


def test_a_server_that_does_not_tell_its_number_is_no_other(
    postgresql: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(horizon, "_SERVER", text("SELECT no_such_function()"))
    assert 0 == horizon.server_number(postgresql)

    monkeypatch.setattr(horizon, "_SERVER", text("SELECT 1 / 0"))
    with pytest.raises(RepositoryError, match="22012"):
        horizon.server_number(postgresql)


def test_a_position_is_that_of_one_batch(shared: Store, changes: Changes, tenant: str) -> None:
    shared.repository.write(batch_of(tenant, [1]))
    position = changes.now()
    at = position.spot
    for other in (at._replace(ordinal=at.ordinal - 1), at._replace(batch_id=at.batch_id - 1)):
        with pytest.raises(InvalidCursorError):
            changes.check(Position(other), "it")


def test_now_is_behind_all_that_is_committed(
    engine: Engine, shared: Store, changes: Changes, tenant: str
) -> None:
    for number in range(8):
        shared.repository.write(batch_of(tenant, [number]))
        assert [] == drained(changes, changes.now())[0]
    with engine.begin() as connection:
        for number in range(8):
            write_inside(connection, batch_of(tenant, [number]))
    assert [] == drained(changes, changes.now())[0]


def test_the_text_of_a_position_fits_its_tail_and_key_only() -> None:
    where = ActivityFilter(tenant_id="acme", verbs="settings.*")
    position = Position(Spot(2**40, 2**62, 499), (2**40 - 5, 2**40 - 1), Spot(2**40 - 5, 9, 0))
    shown = encode_position(position, 2**32 - 1, where.digest(), b"key")
    assert (position, 2**32 - 1) == decode_position(shown, where.digest(), b"key")
    others = [
        (shown, ActivityFilter(tenant_id="other", verbs="settings.*").digest(), b"key"),
        (shown, ActivityFilter(tenant_id="acme").digest(), b"key"),
        (shown, where.digest(), b""),
        *((bad, where.digest(), b"key") for bad in ("", "x", "é", shown[:-1], shown[:40])),
        *((shown[:at] + "A" + shown[at + 1 :], where.digest(), b"key") for at in range(9, 90, 9)),
        # What is no digit of base64 is not passed over.
        *((f"{shown[:at]}{more}{shown[at:]}", where.digest(), b"key")
          for at in (0, 8, len(shown)) for more in ("!!!!", "\n\n\n\n", "====")),
    ]  # fmt: skip
    for text_, digest, key in others:
        if (text_, digest, key) != (shown, where.digest(), b"key"):
            with pytest.raises(InvalidCursorError, match="is no position of a tail") as caught:
                decode_position(text_, digest, key)
            assert ("position", text_) == (caught.value.field, caught.value.value)


KEPT: list[tuple[str, Position, int]] = [
    ("0", START, 0),
    (
        "AQAAAAEAAAAAAAAABQAAAAAAAAACAAAAAwAAAAAAAAAAAAAAAAAAAAAAAAAAAACYEvcfxx7wFg",
        Position(Spot(5, 2, 3)),
        1,
    ),
    (
        "AQAAAAEAAAAAAAAApAAAAAAAAAACAAAAAwAAAAAAAAAAAAAAAAAAAAAAAAAAAAEAAAAAAAAAAf3Aedcyu3oX",
        Position(Spot(164, 2, 3), (1,)),
        1,
    ),
    (
        "Af____8AAAEAAAAAAEAAAAAAAAAAAAAB8wAAAAAAAAAHAAAAAAAAAAkAAAAAAAIAAAAAAAAABwAAAP______1kvgyl3qdgs",
        Position(Spot(2**40, 2**62, 499), (7, 2**40 - 1), Spot(7, 9, 0)),
        2**32 - 1,
    ),
]


@pytest.mark.parametrize(("kept", "position", "server"), KEPT)
def test_a_position_that_somebody_kept_is_read_and_written_by_every_release(
    kept: str, position: Position, server: int
) -> None:
    digest = bytes(16)

    assert (position, server) == decode_position(kept, digest, b"key")
    if kept != BEGINNING:
        assert kept == encode_position(position, server, digest, b"key")


spots = st.builds(
    Spot, st.integers(1, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(-1, WHOLE)
)


@given(
    position=st.builds(Position, spots, st.lists(st.integers(1, 2**64 - 1)).map(tuple), spots),
    server=st.integers(0, 2**32 - 1),
    key=st.binary(max_size=40),
)
def test_the_text_of_a_position_leads_back_to_it(
    position: Position, server: int, key: bytes
) -> None:
    for one in (position, position._replace(late=None)):
        text_ = encode_position(one, server, b"d" * 16, key)

        assert (one, server) == decode_position(text_, b"d" * 16, key)
        assert re.fullmatch(r"[\w-]+", text_, re.ASCII)  # Needs no quotes in an address.


# -- how it is read --------------------------------------------------------------


def test_rows_are_found_by_their_batch_and_the_ledger_from_the_position_on(
    engine: Engine, shared: Store, changes: Changes, tenant: str
) -> None:
    from tests.read.test_plans import plan_of

    position = changes.now()
    for number in range(0, 6_000, 300):
        shared.repository.write(batch_of(tenant, [*range(number, number + 300)]))
    if engine.dialect.name == "postgresql":
        with engine.begin() as connection:
            # Far behind the position.
            connection.exec_driver_sql(
                "INSERT INTO user_activity_batch (writer_id, seq, batch_id, n, written_at, "
                "chain_id, link, flags, first_at, last_at, root, prev, seal, key_id, mac, ordinal) "
                "SELECT gen_random_uuid(), 0, -n, 1, now(), gen_random_uuid(), 1, 0, now(), now(), "
                "'', '', '', '', '', n / 9 FROM generate_series(1, 5000) n"
            )
            connection.exec_driver_sql("ANALYZE user_activity, user_activity_batch")
    sent = sent_by(engine, lambda: changes.after(position))
    batches, rows = sent[-2:]
    rows_plan, ledger_plan = plan_of(engine, *rows), plan_of(engine, *batches)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM user_activity_batch WHERE seq = 0"))
    assert "batch_id" in rows_plan
    assert "SCAN user_activity" not in rows_plan
    scanned = re.findall(r'"Seq Scan".*?"Relation Name": "(\w+)"', rows_plan)
    assert "user_activity_past" not in scanned  # Where they are; the other partitions are empty.
    assert "user_activity_batch_ordinal_idx" in ledger_plan
    assert "Seq Scan" not in ledger_plan


def test_what_is_visible_but_not_over_comes_when_it_is(
    postgresql: Engine, changes: Changes, tenant: str, are_ending: Callable[[list[int]], None]
) -> None:
    begin = changes.now()
    for numbers in ([1], [2], [3]):
        with postgresql.begin() as connection:
            write_inside(connection, batch_of(tenant, numbers))
    with postgresql.connect() as connection:
        query = "SELECT ordinal FROM user_activity_batch ORDER BY ordinal DESC LIMIT 3"
        third, second, _ = connection.execute(text(query)).scalars()

    found = []
    position = begin
    for ending in ([second], [second, third], [third], []):
        are_ending(ending)
        numbers, position = drained(changes, position)
        found.append(numbers)

    assert [[1, 3], [], [2], []] == found


def test_all_of_a_look_that_is_not_over_is_waited_for(
    postgresql: Engine, changes: Changes, tenant: str, monkeypatch: pytest.MonkeyPatch,
    are_ending: Callable[[list[int]], None],
) -> None:  # fmt: skip
    monkeypatch.setattr(ledger, "MOST_BATCHES", 2)
    position = changes.now()
    ending = []
    for number in range(3):
        with postgresql.begin() as connection:
            write_inside(connection, batch_of(tenant, [number]))
            ending.append(connection.execute(text("SELECT txid_current()")).scalar_one())
    are_ending(ending)

    look = changes.after(position)

    assert ([], position, True) == (look.changes, look.position, look.is_last)
    are_ending([])
    assert [0, 1, 2] == drained(changes, position)[0]
