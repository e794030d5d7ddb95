"""One record by its id, on every store: that whose time the id tells, else the newest."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from structlog_activity import ALL_TENANTS, AccessDeniedError, AccessPolicy, to_uuid
from structlog_activity.record.ids import uuid7
from structlog_activity.record.times import to_microseconds
from tests.support.records import NOON, record
from tests.support.stores import Store


MADE = NOON + timedelta(milliseconds=5)
TIMED = uuid7(to_microseconds(MADE) * 1000)
"""An id that was made at that moment."""

OTHER = to_uuid("tells no time")

MICROSECOND = timedelta(microseconds=1)


def at(store: Store, id_: UUID, *after: timedelta) -> None:
    """Store records with one id, so much after that moment."""
    store.add(*(record(id=id_, occurred_at=MADE + span) for span in after))


@pytest.mark.parametrize(
    ("there", "found"),
    [
        pytest.param([-1, 0, 1000], 0, id="its first microsecond"),
        pytest.param([-1, 999, 1000], 999, id="its last microsecond"),
        pytest.param([-1, 3, 7, 1000], 7, id="the newest of its millisecond"),
        pytest.param([-1, 1000], 1000, id="the newest, beside its millisecond"),
        pytest.param([-2, -1], -1, id="the newest, before it"),
        pytest.param([10**9, 10**12, 2], 2, id="before newer ones"),
    ],
)
def test_of_records_with_one_id_it_is_that_of_the_id_s_own_millisecond(
    store: Store, there: list[int], found: int
) -> None:
    at(store, TIMED, *(n * MICROSECOND for n in there))

    one = store.get("acme", TIMED)

    assert one is not None
    assert one.occurred_at == MADE + found * MICROSECOND


def test_of_records_with_an_id_that_tells_no_time_it_is_the_newest(store: Store) -> None:
    """Over years, so that they are looked for in one span of months after the other."""
    at(store, OTHER, *(timedelta(days=days) for days in (-400, -3, -900, -2000)))

    one = store.get("acme", OTHER)

    assert one is not None
    assert one.occurred_at == MADE - timedelta(days=3)


def test_an_old_record_is_found_beside_newer_ones_of_other_ids(store: Store) -> None:
    at(store, OTHER, timedelta(days=-1500))
    store.add(*(record(occurred_at=NOON + timedelta(days=n)) for n in range(3)))

    one = store.get("acme", OTHER)

    assert one is not None
    assert one.occurred_at == MADE - timedelta(days=1500)
    assert store.get(ALL_TENANTS, OTHER) == one
    assert store.get("other", OTHER) is None


def test_a_policy_hides_what_it_does_not_grant_and_refuses_another_tenant(store: Store) -> None:
    ann = AccessPolicy(actor_id="ann", tenant_id="acme", machine_activity=False)
    own, hers, machine = store.add(
        record(actor_id=to_uuid("ann"), ip="192.0.2.7"),
        record(actor_id=to_uuid("bea")),
        record(actor_id=to_uuid("ann"), data={"system": True}),
    )

    shown = store.get("acme", own.id, policy=ann)

    assert shown is not None
    assert (own.id, "") == (shown.id, shown.ip)
    assert store.get("acme", hers.id, policy=ann) is None
    assert store.get("acme", machine.id, policy=ann) is None
    with pytest.raises(AccessDeniedError):
        store.get("other", own.id, policy=ann)
