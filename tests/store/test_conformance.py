"""What every repository promises; `Repository` lists it."""

from __future__ import annotations

import threading

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from structlog_activity import ALL_TENANTS, ActivityRecord, to_uuid
from structlog_activity.record.rowmaker import RowMaker
from structlog_activity.store.connected import abandoned
from structlog_activity.store.faults import Fault, StoreError
from tests.support.records import NOON, random_records, record
from tests.support.stores import Store


make = RowMaker().make_from

ODD_TEXTS = [
    "",
    "plain",
    "Zoë Straße 東京 🎉",
    "tab\there, line\nfeed, return\rhere",
    "back\\slash \\. \\N \\x00 %s {0} $1 :name",
    "quote ' and \" and `",
    "x" * 390,
    "\ufeff\u202e\u0007",
]


def test_what_is_written_reads_back_the_same(store: Store) -> None:
    written = store.add(
        record(
            actor_id=to_uuid(1),
            user_id=to_uuid(2),
            org_id=to_uuid(3),
            channel="settings",
            ip="2001:db8::1",
            data={"a": [1, 2.5, None, True, {"b": "c"}], "": "empty key", "ü": "ß"},
            occurred_at=NOON + timedelta(microseconds=123456),
        )
    )

    assert written == store.feed(tenant_id="acme").records


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_any_text_survives(store: Store, text: str) -> None:
    written = store.add(
        record(object_id=text, channel=text[:90], data={"text": text, text or "k": [text]})
    )

    assert written == store.feed(tenant_id="acme").records


@pytest.mark.parametrize(
    "moment",
    [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(2011, 2, 28, tzinfo=UTC),
        datetime.now(UTC) + timedelta(hours=23),
    ],
)
def test_any_moment_from_1970_to_tomorrow_survives(store: Store, moment: datetime) -> None:
    written = store.add(record(occurred_at=moment))

    assert written == store.feed(tenant_id="acme").records
    assert {moment.date(): 1} == store.stats(tenant_id="acme").by_day


@given(
    data=st.dictionaries(
        st.text(max_size=20),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
            lambda inner: (
                st.lists(inner, max_size=4)
                | st.dictionaries(st.text(max_size=8), inner, max_size=4)
            ),
            max_leaves=12,
        ),
        max_size=8,
    )
)
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_json_like_data_survives(store: Store, data: dict[str, object]) -> None:
    tenant = str(id(data)) + repr(len(data)) + str(record().id)
    written = store.add(record(tenant_id=to_uuid(tenant), data=data))

    assert written == store.feed(tenant_id=tenant).records


def test_a_batch_is_written_once_however_often_it_is_sent(store: Store) -> None:
    batch = store.batch([make(record()), make(record(verb="settings.reset"))])

    assert [True, False, False] == [store.repository.write(batch) for _ in range(3)]
    assert 2 == store.stats(tenant_id="acme").total == len(store.feed(tenant_id="acme").records)


def test_a_batch_sent_again_on_another_connection_is_recognised(store: Store) -> None:
    batch = store.batch([make(record())])
    store.repository.write(batch)

    assert not store.new_repository().write(batch)


def test_a_row_that_is_there_already_refuses_its_whole_batch(store: Store) -> None:
    old, new = make(record()), make(record(verb="settings.reset"))
    store.repository.write(store.batch([old]))

    with pytest.raises(StoreError) as caught:
        store.repository.write(store.batch([new, old]))

    assert Fault.DUPLICATE is caught.value.fault
    assert 1 == store.stats(tenant_id="acme").total == len(store.feed(tenant_id="acme").records)


def test_after_a_refusal_the_same_batch_number_can_carry_the_rest(store: Store) -> None:
    old, new = make(record()), make(record(verb="settings.reset"))
    store.repository.write(store.batch([old]))
    refused = store.batch([new, old])
    with pytest.raises(StoreError):
        store.repository.write(refused)

    rest = type(refused)(refused.writer_id, refused.seq, refused.batch_id, [new])

    assert store.repository.write(rest)
    assert {"settings.reset": 1, "settings.updated": 1} == store.stats(tenant_id="acme").by_verb


def test_stored_tells_which_rows_are_there(store: Store) -> None:
    rows = [make(r) for r in random_records(1, 20)]
    store.repository.write(store.batch(rows[::2]))

    assert set(range(0, 20, 2)) == store.repository.stored(rows)
    assert set() == store.repository.stored([])


def test_the_same_id_at_another_moment_or_tenant_is_another_record(store: Store) -> None:
    first = record()
    later = record(id=first.id, occurred_at=NOON + timedelta(seconds=1))
    elsewhere = record(id=first.id, tenant_id=to_uuid("other"))

    store.add(first)
    store.add(later, elsewhere)

    assert 3 == store.stats(tenant_id=ALL_TENANTS).total


def test_a_closed_repository_opens_again(store: Store) -> None:
    store.add(record())
    store.repository.close()
    store.repository.close()
    store.add(record(verb="settings.reset"))

    assert 2 == store.stats(tenant_id="acme").total


def test_an_abandoned_connection_is_replaced_by_a_new_one(store: Store) -> None:
    store.add(record())
    store.repository.abandon()
    store.add(record(verb="settings.reset"))

    assert 2 == store.stats(tenant_id="acme").total
    for connection in abandoned:
        connection.close()  # Not in a child here, so this one is ours.


def test_make_room_leaves_what_is_there(store: Store) -> None:
    written = store.add(record(occurred_at=datetime(2015, 5, 5, tzinfo=UTC)))
    row = make(written[0])

    store.repository.make_room(row.created_at, row.created_at)
    store.repository.make_room(row.created_at, row.created_at)

    assert written == store.feed(tenant_id="acme").records
    assert {0} == store.repository.stored([row])


def test_writers_at_the_same_time_neither_lose_nor_double(store: Store) -> None:
    if store.name == "memory":
        pytest.skip("a list is not for several writers")
    failures: list[BaseException] = []

    def write(seed: int) -> None:
        repository = store.new_repository()
        try:
            rows = [make(r) for r in random_records(seed, 60)]
            for start in range(0, 60, 10):
                _write_patiently(repository, store, rows[start : start + 10])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [] == failures
    assert 240 == store.stats(tenant_id=ALL_TENANTS).total
    assert 240 == store.feed(tenant_id=ALL_TENANTS, total="exact").total


def _write_patiently(repository: Any, store: Store, rows: list[Any]) -> None:
    batch = store.batch(rows)
    while True:
        try:
            repository.write(batch)
        except StoreError as error:
            if error.fault is not Fault.TRANSIENT:
                raise
        else:
            return


def test_no_message_holds_a_value_of_a_row(store: Store) -> None:
    secret = "s3cr3t-value"
    row = make(record(object_id=secret, data={"note": secret}))
    store.repository.write(store.batch([row]))

    with pytest.raises(StoreError) as caught:
        store.repository.write(store.batch([row]))

    assert secret not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_records_are_plain_values(store: Store) -> None:
    (stored,) = store.add(record(actor_id=to_uuid("u1")))

    assert isinstance(stored, ActivityRecord)
    assert [stored] == store.feed(tenant_id="acme", actor_id="u1").records
