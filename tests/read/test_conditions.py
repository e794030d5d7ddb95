"""Each condition of a filter counts in every read: none is taken and then passed over."""

from __future__ import annotations

import dataclasses

from datetime import timedelta
from typing import Any

import pytest

from sqlalchemy import Dialect
from sqlalchemy.dialects import postgresql, sqlite

from structlog_activity import NIL, ActivityFilter, InvalidFilterError, to_uuid
from structlog_activity.errors import AccessDeniedError
from structlog_activity.read.conditions import (
    Selection,
    Shape,
    conditions,
    has_only_dimensions,
    selection,
)
from structlog_activity.read.filter import Conditions, Where
from structlog_activity.read.memory import matches
from structlog_activity.read.policy import AccessPolicy
from structlog_activity.record.ids import uuid7
from structlog_activity.store.table import user_activity
from tests.support.records import NOON, record
from tests.support.stores import Store


WANTED = record(
    actor_id=to_uuid("ana"),
    user_id=to_uuid("ben"),
    org_id=to_uuid("org-1"),
    verb="invoice.paid",
    object_type="invoice",
    object_id="7",
    channel="billing",
    data={"to": "dark"},
)
OTHER = record(
    actor_id=to_uuid("job"),
    user_id=to_uuid("eve"),
    org_id=to_uuid("org-2"),
    verb="export.completed",
    object_type="export.job",
    object_id="8",
    channel="exports",
    data={"to": "light", "system": True, "actor_type": "robot", "is_robot": True},
    occurred_at=NOON - timedelta(hours=1),
)
LATER = dataclasses.replace(OTHER, id=uuid7(), occurred_at=NOON + timedelta(hours=1))
RECORDS = (WANTED, OTHER, LATER)
# As the first, but for what a policy may hide; by the usual signs no machine did it either.
ALIKE = dataclasses.replace(
    WANTED, ip="10.0.0.2", data={**OTHER.data, "system": False, "outcome": "denied"}
)
# Of each condition what selects the first record, and not all of the others.
ASKED: dict[str, dict[str, Any]] = {
    "org_id": {"org_id": "org-1"},
    "actor_id": {"actor_id": "ana"},
    "user_id": {"user_id": "ben"},
    "involving": {"involving": "ben"},
    "verbs": {"verbs": "invoice.*"},
    "object_type": {"object_type": "invoice"},
    "object_id": {"object_id": 7},
    "channel": {"channel": "billing"},
    "channels": {"channels": ("billing", "none")},
    "channel_denylist": {"channel_denylist": "exports"},
    "since": {"since": NOON},
    "until": {"until": NOON + timedelta(hours=1)},
    "keyword": {"keyword": "INVO"},
    "data": {"data": {"to": "dark"}},
    "machine_activity": {"machine_activity": False},
    "machine_types": {
        "machine_activity": False,
        "machine_types": "robot",
        "machine_keys": "none",
    },
    "machine_keys": {"machine_activity": False, "machine_types": (), "machine_keys": "is_robot"},
}


@pytest.fixture(scope="module")
def store(shared: Store) -> Store:
    shared.add(*RECORDS)
    return shared


@pytest.fixture(params=ASKED)
def asked(request: pytest.FixtureRequest) -> dict[str, Any]:
    return ASKED[request.param]


def test_each_condition_is_asked_here_and_is_known_as_a_keyword() -> None:
    names = {field.name for field in dataclasses.fields(ActivityFilter)}

    assert names == Where.__annotations__.keys()
    assert Conditions.__annotations__.keys() == {"tenant_id", *ASKED}


@pytest.mark.parametrize("name", ASKED)
def test_each_condition_refuses_what_it_can_t_read(name: str) -> None:
    with pytest.raises(InvalidFilterError) as caught:
        ActivityFilter.of({"tenant_id": NIL, name: object()})

    assert caught.value.field == name


def test_each_condition_selects_in_plain_python(asked: dict[str, Any]) -> None:
    where = ActivityFilter(tenant_id="acme", **asked)

    assert matches(where, WANTED)
    assert not all(matches(where, record) for record in RECORDS)


def test_each_condition_selects_in_a_feed_what_it_does_in_plain_python(
    store: Store, asked: dict[str, Any]
) -> None:
    where = ActivityFilter(tenant_id="acme", **asked)
    page = store.feed(tenant_id="acme", **asked)

    assert {one.id for one in page.records} == {r.id for r in RECORDS if matches(where, r)}


def test_each_condition_selects_among_what_is_counted(store: Store, asked: dict[str, Any]) -> None:
    where = ActivityFilter(tenant_id="acme", **asked)
    n = sum(matches(where, record) for record in RECORDS)

    assert store.stats(tenant_id="acme", **asked).total == n
    assert sum(n for _, n in store.timeline(tenant_id="acme", bucket="hour", **asked)) == n
    assert sum(n for _, n in store.top(tenant_id="acme", by="verb", **asked)) == n


def test_each_condition_makes_another_feed_whose_cursors_fit_no_other(
    asked: dict[str, Any],
) -> None:
    everything = ActivityFilter(tenant_id="acme")

    assert ActivityFilter(tenant_id="acme", **asked).digest() != everything.digest()


def test_no_condition_tells_apart_what_a_policy_shows_alike(asked: dict[str, Any]) -> None:
    policy = AccessPolicy(role="admin", tenant_id="acme", data="none", show_ip=False)
    assert policy.sanitized(WANTED) == policy.sanitized(ALIKE)

    try:
        where = policy.applied(ActivityFilter(tenant_id="acme", **asked))
    except AccessDeniedError:
        return
    assert matches(where, WANTED) == matches(where, ALIKE)


# -- taken apart ------------------------------------------------------------------

DIALECTS: list[Dialect] = [
    sqlite.dialect(),
    postgresql.dialect(),  # type: ignore[no-untyped-call]
]
# What the counts can answer without a record being read.
COUNTED = {"verbs", "object_type", "channel", "channels", "channel_denylist", "since", "until"}


def taken_apart(dialect: Dialect, **where: Any) -> Selection:
    return selection(ActivityFilter(tenant_id="acme", **where), dialect)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_tenant_alone_is_the_only_condition(dialect: Dialect) -> None:
    is_postgresql = dialect.name == "postgresql"

    assert Shape(tenant=True, postgresql=is_postgresql) == taken_apart(dialect).shape


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("name", ASKED)
def test_each_condition_is_asked_once_and_it_is_known_whether_counts_are_enough(
    dialect: Dialect, name: str
) -> None:
    shape = taken_apart(dialect, **ASKED[name]).shape

    asked = [str(condition) for condition in conditions(shape, user_activity.c)]
    assert 2 == len(asked) == len({*asked})
    assert (name in COUNTED) == has_only_dimensions(shape)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_the_beginning_of_a_verb_is_not_looked_for_as_a_verb(dialect: Dialect) -> None:
    both = taken_apart(dialect, verbs=["a.*", "b"])

    assert (1, 1, ["b"]) == (both.shape.verbs, both.shape.prefixes, both.values["verbs"])
    assert 0 == taken_apart(dialect, verbs="a.*").shape.verbs


def test_a_text_in_data_is_looked_for_as_it_is_stored_and_with_no_escape() -> None:
    there = {d.name: taken_apart(d, data={"note": "é"}).values["value_0"] for d in DIALECTS}

    # A database that is not UTF8 refuses an escape.
    assert {"sqlite": "é", "postgresql": '"é"'} == there


def test_statements_for_two_verbs_serve_any_more_of_them_on_postgresql_alone() -> None:
    for dialect in DIALECTS:
        two, three = (
            taken_apart(dialect, verbs=verbs).shape for verbs in (["a", "b"], list("abc"))
        )

        assert (two == three) == (dialect.name == "postgresql")
        assert two != taken_apart(dialect, verbs="a").shape


def test_each_of_many_verbs_selects(store: Store) -> None:
    store.add(*(record(tenant_id=to_uuid("many"), verb=verb) for verb in "abcd"))

    page = store.feed(tenant_id="many", verbs=["a", "b", "c"])

    assert ["a", "b", "c"] == sorted(one.verb for one in page.records)
