"""
A policy holds every read to what its reader may see, and the pages stay full.
"""

from __future__ import annotations

import random

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from structlog_activity import (
    ALL_TENANTS,
    NIL,
    AccessDeniedError,
    AccessPolicy,
    ActivityRecord,
    ActorContext,
    InvalidCursorError,
    InvalidFilterError,
    to_uuid,
)
from structlog_activity.read.filter import MACHINE_KEYS, MACHINE_TYPES, ActivityFilter
from structlog_activity.read.memory import matches
from structlog_activity.record.redact import Redactor
from tests.support.records import ACTORS, CHANNELS, NOON, ORGS, TYPES, VERBS, record
from tests.support.stores import Store, memory_store


TENANTS = [to_uuid(f"tenant-{n}") for n in range(3)]
MACHINE: list[dict[str, Any]] = [
    {"system": True},
    {"machine": "true"},
    {"actor_type": "job"},
    {"actorType": "task"},
    {"actor": {"name": "cron", "type": "machine"}},
]
PEOPLE: list[dict[str, Any]] = [
    {},
    {"system": False},
    {"system": "yes", "machine": 1},
    {"SYSTEM": True},
    {"meta": {"system": True}},
    {"actor_type": "person"},
    {"actor_type": ["job"]},
    {"actorXtype": "job"},
    {"actor": "job"},
    {"actor": {"type": 5}},
    {"actor": [{"type": "job"}]},
    {"printer": {"type": "job"}},
    {"note": '"actor_type":"job"'},
]


def random_log(seed: int, count: int) -> list[ActivityRecord]:
    dice = random.Random(seed)
    return [
        record(
            tenant_id=dice.choice(TENANTS),
            org_id=dice.choice(ORGS),
            actor_id=dice.choice(ACTORS),
            user_id=dice.choice((NIL, *ACTORS)),
            verb=dice.choice(VERBS),
            object_type=dice.choice(TYPES),
            channel=dice.choice(CHANNELS),
            ip="192.0.2.7",
            data=dict(dice.choice(MACHINE + PEOPLE)),
            occurred_at=NOON - timedelta(minutes=dice.randrange(60 * 24 * 40)),
        )
        for _ in range(count)
    ]


@pytest.fixture(scope="module")
def log(shared: Store) -> list[ActivityRecord]:
    return shared.add(*random_log(1, 400))


def random_policy(dice: random.Random) -> AccessPolicy:
    role = dice.choice(["user", "support", "", "tenant_admin", "org_admin", "superadmin"])
    return AccessPolicy(
        role=role,
        actor_id=dice.choice(ACTORS),
        tenant_id=dice.choice(TENANTS),
        org_id=dice.choice(ORGS[1:]) if role == "org_admin" or dice.random() < 0.2 else None,
        any_tenant=dice.random() < 0.5,
        channels=dice.choice([(), (), ("settings", "exports"), ("settings",)]),
        channel_denylist=dice.choice([(), (), ("exports",)]),
        machine_activity=dice.random() < 0.5,
    )


def random_where(dice: random.Random) -> dict[str, Any]:
    where: dict[str, Any] = {"tenant_id": dice.choice([*TENANTS, ALL_TENANTS])}
    more: dict[str, Any] = {
        "org_id": dice.choice(ORGS),
        "actor_id": dice.choice(ACTORS),
        "involving": dice.choice(ACTORS),
        "verbs": dice.sample(VERBS, 2),
        "object_type": dice.choice(TYPES),
        "channel": dice.choice(CHANNELS[1:]),
        "channels": dice.sample(CHANNELS[1:], 2),
        "channel_denylist": [dice.choice(CHANNELS[1:])],
        "since": NOON - timedelta(days=20),
        "keyword": "sett",
        "machine_activity": False,
    }
    return where | {name: more[name] for name in dice.sample(list(more), dice.choice([0, 1, 2]))}


def may_see(policy: AccessPolicy, one: ActivityRecord) -> bool:
    """Tell, in other words than the policy itself, whether a reader may see a record."""
    is_super = policy.role == "superadmin"
    is_machine = one.data in MACHINE
    return all(
        [
            (is_super and policy.any_tenant)
            or (one.tenant_id == policy.tenant_id and policy.org_id in (None, one.org_id)),
            is_super
            or policy.role.endswith("_admin")
            or policy.actor_id in (one.actor_id, one.user_id),
            not policy.channels or one.channel in policy.channels,
            one.channel not in policy.channel_denylist,
            policy.machine_activity or is_super or not is_machine,
        ]
    )


@pytest.mark.parametrize("seed", range(15))
def test_a_read_selects_what_may_be_seen_of_what_was_asked_for(
    shared: Store, log: list[ActivityRecord], seed: int
) -> None:
    dice = random.Random(seed)
    granted = 0
    while granted < 3:
        policy, where = random_policy(dice), random_where(dice)
        asked = ActivityFilter(**where)
        seen = [one for one in log if matches(asked, one) and may_see(policy, one)]
        seen.sort(key=lambda one: (one.occurred_at, one.id), reverse=True)
        options = {**where, "policy": policy}
        try:
            page = shared.feed(**options, limit=5, total="exact")
        except AccessDeniedError:
            assert not seen or "involving" in where or where["tenant_id"] is ALL_TENANTS
            continue
        granted += 1

        assert page.total == len(seen)
        assert len(page.records) == min(5, len(seen))
        assert [one.id for one in shared.walk(**options)] == [one.id for one in seen]
        assert shared.stats(**options).total == len(seen)
        assert sum(shared.stats(**options).by_channel.values()) == len(seen)
        assert sum(n for _, n in shared.timeline(bucket="day", **options)) == len(seen)
        assert sum(n for _, n in shared.top(by="verb", limit=200, **options)) == len(seen)
        for one in dice.sample(log, 5):
            try:
                found = shared.get(one.tenant_id, one.id, policy=policy)
            except AccessDeniedError:
                found = None
            assert (found is not None) == may_see(policy, one)


def test_the_memory_repository_answers_as_the_databases_do(
    shared: Store, log: list[ActivityRecord]
) -> None:
    memory = memory_store()
    memory.add(*log)
    dice = random.Random(3)
    for _ in range(20):
        policy, where = random_policy(dice), random_where(dice)

        def answer(store: Store) -> Any:
            options = {**where, "policy": policy}  # noqa: B023  Called at once.
            try:
                return (
                    store.walk(**options),
                    store.stats(**options),
                    store.top(by="object", **options),
                    store.timeline(bucket="week", **options),
                    store.history("user", **options),
                )
            except (AccessDeniedError, InvalidFilterError) as error:
                return str(error)

        assert answer(memory) == answer(shared)


@pytest.mark.parametrize("data", MACHINE, ids=str)
def test_what_a_machine_did_is_hidden_where_the_filter_says_so(
    store: Store, data: dict[str, Any]
) -> None:
    store.add(record(data=data))

    assert store.feed(tenant_id="acme").total == 1
    assert store.feed(tenant_id="acme", machine_activity=False).total == 0


@pytest.mark.parametrize("data", PEOPLE, ids=str)
def test_what_a_person_did_is_never_hidden_for_want_of_a_key(
    store: Store, data: dict[str, Any]
) -> None:
    store.add(record(data=data))

    assert store.feed(tenant_id="acme", machine_activity=False).total == 1


@pytest.mark.parametrize(
    "where", [{"data": {"n": 1}}, {"keyword": "sett"}, {"channel": "web"}], ids=list
)
def test_what_a_machine_did_is_hidden_from_a_search_too(
    store: Store, where: dict[str, Any]
) -> None:
    store.add(
        record(channel="web", data={"n": 1, "system": True}),
        record(channel="web", data={"n": 1}),
    )

    page = store.feed(tenant_id="acme", machine_activity=False, **where)

    assert [one.data for one in page.records] == [{"n": 1}]


def test_types_and_keys_of_machines_can_be_told(store: Store) -> None:
    store.add(*(record(data=data) for data in ({"actor_type": "bot"}, {"auto": True}, {"n": 1})))

    def total(**where: Any) -> Any:
        return store.feed(tenant_id="acme", machine_activity=False, **where).total

    assert total(machine_types=["bot"]) == 2
    assert total(machine_keys=["auto"]) == 2
    assert total(machine_types=["bot"], machine_keys="auto") == 1
    assert total(machine_types=["bot"], machine_keys=()) == 2
    assert total(machine_types=(), machine_keys=()) == 3


def test_a_type_of_machine_is_a_text_and_none_that_looks_as_other_json_does(store: Store) -> None:
    store.add(record(data={"actor_type": ["job"]}), record(data={"actorType": {"a": 1}}))

    where = {"machine_activity": False, "machine_types": ['["job"]', '{"a":1}']}

    assert store.feed(tenant_id="acme", **where).total == 2


# -- who may ask for what ----------------------------------------------------


def admin(**more: Any) -> AccessPolicy:
    return AccessPolicy(**{"role": "tenant_admin", "tenant_id": "acme", **more})


def granted(policy: AccessPolicy, **where: Any) -> ActivityFilter:
    return policy.applied(ActivityFilter(**{"tenant_id": "acme", **where}))


@pytest.mark.parametrize("tenant_id", ["other", NIL, ALL_TENANTS])
@pytest.mark.parametrize("role", ["tenant_admin", "superadmin", "user"])
def test_another_tenant_is_refused(tenant_id: Any, role: str) -> None:
    with pytest.raises(AccessDeniedError, match=r"^tenant_id: is not the reader"):
        granted(admin(role=role, actor_id="a"), tenant_id=tenant_id)


@pytest.mark.parametrize("tenant_id", ["other", NIL, ALL_TENANTS])
def test_a_superadmin_reads_any_tenant_only_where_it_is_said_aloud(tenant_id: Any) -> None:
    policy = AccessPolicy(role=" System_Admin", any_tenant=True)

    actual = policy.applied(ActivityFilter(tenant_id=tenant_id))

    assert actual == ActivityFilter(tenant_id=tenant_id)


def test_any_tenant_means_nothing_for_other_roles() -> None:
    with pytest.raises(AccessDeniedError):
        granted(admin(any_tenant=True), tenant_id=ALL_TENANTS)
    with pytest.raises(InvalidFilterError, match="tenant_id"):
        AccessPolicy(role="admin", any_tenant=True)


@pytest.mark.parametrize("tenant_id", [None, "", ALL_TENANTS])
def test_a_reader_without_a_tenant_reads_nothing(tenant_id: Any) -> None:
    with pytest.raises(InvalidFilterError, match="tenant_id"):
        admin(tenant_id=tenant_id)


def test_an_org_admin_reads_the_own_org_only() -> None:
    policy = admin(role="org_admin", org_id="o1")

    assert granted(policy).org_id == to_uuid("o1")
    assert granted(policy, org_id="o1").org_id == to_uuid("o1")
    with pytest.raises(AccessDeniedError, match=r"^org_id: is not the reader's own"):
        granted(policy, org_id="o2")
    with pytest.raises(InvalidFilterError, match="org_id"):
        admin(role="org_admin")


@pytest.mark.parametrize("role", ["", "user", "support", "nobody knows"])
def test_who_is_no_admin_reads_only_what_concerns_him_or_her(role: str) -> None:
    policy = admin(role=role, actor_id="me")

    assert granted(policy).involving == to_uuid("me")
    assert granted(policy, actor_id="you").actor_id == to_uuid("you")
    with pytest.raises(AccessDeniedError, match=r"^involving: is not the reader"):
        granted(policy, involving="you")
    with pytest.raises(InvalidFilterError, match="actor_id"):
        admin(role=role)


def test_roles_can_be_named_otherwise() -> None:
    policy = admin(role="Chief", admin_roles=["chief "])

    assert policy.is_admin
    assert not admin(role="admin", admin_roles=[], actor_id="me").is_admin


def test_channels_are_those_asked_for_that_are_granted() -> None:
    policy = admin(channels=["a", "b", "c"], channel_denylist=["c", "d"])

    assert granted(policy).channels == ("a", "b")
    assert granted(policy, channels=["b", "c", "x"]).channels == ("b",)
    assert granted(policy, channel="a").channels == ("a",)
    assert granted(policy, channel_denylist="a").channel_denylist == ("a", "c", "d")
    for refused in ("c", "d", "x", "A"):
        with pytest.raises(AccessDeniedError, match=r"^channel: may not be read"):
            granted(policy, channel=refused)
    with pytest.raises(AccessDeniedError, match="channel"):
        granted(admin(channels="a", channel_denylist="a"))


def test_a_request_for_more_machines_changes_nothing() -> None:
    policy = admin(machine_activity=False)

    actual = granted(policy, machine_activity=True, machine_types="x", machine_keys="y")

    assert not actual.machine_activity
    assert (actual.machine_types, actual.machine_keys) == (MACHINE_TYPES, MACHINE_KEYS)
    assert granted(policy, machine_activity=False, machine_types="x").machine_types[-1] == "x"
    assert granted(admin(role="superadmin", machine_activity=False)).machine_activity


def test_a_narrowed_history_stays_that_of_its_object(store: Store) -> None:
    store.add(record(object_id=""), record(object_id="global"))

    actual = store.history("settings", tenant_id="acme", policy=admin())

    assert [one.object_id for one in actual.records] == [""]


# -- what is shown -----------------------------------------------------------

SEEN = {
    "n": 1,
    "password": "x",
    "note": "Bearer abc123def456",
    "X-Forwarded-For": "192.0.2.9",
    "_raw": {"ip": "192.0.2.9", "actor_id": "bob"},
}


def test_secrets_and_addresses_are_not_shown() -> None:
    actual = admin().sanitized(record(ip="192.0.2.7", data=SEEN))

    assert actual.ip == ""
    assert actual.data == {
        "n": 1,
        "password": "[redacted]",
        "note": "Bearer [redacted]",
        "_raw": {"actor_id": "bob"},
    }


def test_of_a_verb_only_the_keys_are_shown_that_the_redactor_allows_it() -> None:
    policy = admin(redactor=Redactor(allow={"settings.*": ["path"]}))

    assert policy.sanitized(record(data={"path": "ui", "to": 1})).data == {"path": "ui"}
    assert policy.sanitized(record(verb="a.b", data={"path": "ui"})).data == {}


def test_a_superadmin_sees_addresses_but_no_secrets() -> None:
    actual = admin(role="superadmin").sanitized(record(ip="192.0.2.7", data=SEEN))

    assert actual.ip == "192.0.2.7"
    assert actual.data["X-Forwarded-For"] == "192.0.2.9"
    assert actual.data["password"] == "[redacted]"


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ({"data": "none"}, {}),
        ({"data": "all", "show_ip": True}, SEEN),
        ({"role": "support", "actor_id": "me"}, {}),
        ({"role": "support", "actor_id": "me", "data": "all", "show_ip": True}, SEEN),
        ({"sanitizer": lambda one: {"n": one.data["n"] + 1}}, {"n": 2}),
        ({"sanitizer": lambda one: 1 / 0}, {}),
        ({"sanitizer": lambda one: 5}, {}),
        ({"sanitizer": lambda one: one.data.clear()}, {}),
    ],
)
def test_data_is_shown_as_the_policy_says(options: dict[str, Any], shown: Any) -> None:
    one = record(data=dict(SEEN))

    assert admin(**options).sanitized(one).data == shown
    assert one.data == SEEN


def test_pages_and_single_records_show_the_same(store: Store) -> None:
    (one,) = store.add(record(ip="192.0.2.7", data={"pin": 1, "n": 2}))
    expected = replace(one, ip="", data={"pin": "[redacted]", "n": 2})

    assert store.feed(tenant_id="acme", policy=admin()).records == [expected]
    of_object = store.history("settings:global", tenant_id="acme", policy=admin())
    assert of_object.records == [expected]
    assert store.get("acme", one.id, policy=admin()) == expected


@pytest.mark.parametrize("options", [{"channels": "seen"}, {"channel_denylist": "hidden"}], ids=str)
def test_every_read_leaves_out_what_a_policy_does_not_grant(
    store: Store, options: dict[str, Any]
) -> None:
    seen, hidden = store.add(record(channel="seen"), record(channel="hidden"))
    policy = admin(**options)
    where: dict[str, Any] = {"tenant_id": "acme", "policy": policy}

    assert store.feed(**where).total == 1
    assert store.history("settings:global", **where).total == 1
    assert store.stats(**where).total == 1
    assert [n for _, n in store.timeline(**where)] == [1]
    assert [n for _, n in store.top(by="verb", **where)] == [1]
    assert store.get("acme", seen.id, policy=policy) is not None
    assert store.get("acme", hidden.id, policy=policy) is None


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({}, "password"),
        ({}, "remote_addr"),
        ({"data": "none"}, "n"),
        ({"sanitizer": lambda one: {}}, "n"),
        ({"data": "all"}, "ip"),
    ],
)
def test_what_is_hidden_can_not_be_guessed_by_searching(options: dict[str, Any], key: str) -> None:
    with pytest.raises(AccessDeniedError, match=r"^data: is hidden by the access policy"):
        granted(admin(**options), data={key: "x"})
    assert granted(admin(), data={"n": 1}).data == {"n": 1}


def test_hidden_addresses_are_not_counted_either(store: Store) -> None:
    store.add(record(ip="192.0.2.7"))

    with pytest.raises(AccessDeniedError, match=r"^by: addresses are hidden"):
        store.top(by="ip", tenant_id="acme", policy=admin())
    assert store.top(by="ip", tenant_id="acme", policy=admin(show_ip=True)) == [("192.0.2.7", 1)]


def test_a_cursor_is_of_one_policy(store: Store) -> None:
    store.add(*(record(occurred_at=NOON - timedelta(hours=n)) for n in range(4)))
    policy = admin(role="tenant_admin")
    cursor = store.feed(tenant_id="acme", limit=2, policy=policy).next_cursor

    assert len(store.feed(tenant_id="acme", after=cursor, policy=policy).records) == 2
    for other in (None, admin(role="superadmin"), admin(data="all"), admin(actor_id="me")):
        with pytest.raises(InvalidCursorError):
            store.feed(tenant_id="acme", after=cursor, policy=other)


def test_the_policy_of_an_actor_is_that_of_the_claims() -> None:
    actor = ActorContext.from_claims(
        {"sub": "u1", "role": "Support", "metadata": {"tenant_id": "acme", "org": "o1"}}
    )
    assert actor is not None
    policy = AccessPolicy.of(actor, channels="a")

    assert (policy.role, policy.data, policy.is_admin) == ("support", "none", False)
    assert policy.actor_id == to_uuid("u1")
    assert (policy.tenant_id, policy.org_id) == (to_uuid("acme"), to_uuid("o1"))
    assert policy.channels == ("a",)
    assert AccessPolicy.of(ActorContext(actor_id="u1", tenant_id="acme")).org_id is None


@pytest.mark.parametrize(
    ("problem", "options"),
    [
        ("role=5: text is needed", {"role": 5}),
        ("data='some': use one of none, masked, all", {"data": "some"}),
        ("channels=5: text or a list of texts", {"channels": 5}),
        ("machine_activity=None: True or False", {"machine_activity": None}),
        ("actor_id=None: is needed for the role 'user'", {"role": "User"}),
        ("org_id=None: is needed for the role 'org_admin'", {"role": "org_admin"}),
        ("tenant_id=ALL_TENANTS: only a superadmin", {"tenant_id": ALL_TENANTS}),
    ],
)
def test_a_policy_without_sense_is_refused_by_what_has_none(
    problem: str, options: dict[str, Any]
) -> None:
    with pytest.raises(InvalidFilterError, match=f"^{problem}"):
        admin(**options)
