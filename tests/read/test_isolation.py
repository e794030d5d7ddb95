"""
No read of one tenant ever shows, counts or hints at a record of another.
"""

from __future__ import annotations

import ast
import base64
import inspect
import random
import re

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

import structlog_activity

from structlog_activity import (
    NIL,
    ActivityPage,
    ActivityRecord,
    ActivityStats,
    InvalidCursorError,
    InvalidFilterError,
    to_uuid,
)
from structlog_activity.read.methods import ReadMethods
from tests.support.records import ACTORS, CHANNELS, NOON, ORGS, TYPES, VERBS, random_records
from tests.support.sent import sent_to
from tests.support.stores import Store


TENANTS = [to_uuid(f"tenant-{n}") for n in range(5)]
OBJECTS = ("", "1", "50%_off", "a:b")


@pytest.fixture(scope="module")
def log(shared: Store) -> list[ActivityRecord]:
    return shared.add(*random_records(5, 600, tenants=5))


Read = Callable[[Store, dict[str, Any], random.Random], tuple[set[UUID], int]]


def _feed(store: Store, where: dict[str, Any], dice: random.Random) -> tuple[set[UUID], int]:
    page = store.feed(**where, limit=200, total="exact")
    return {one.id for one in page.records}, page.total or 0


def _history(store: Store, where: dict[str, Any], dice: random.Random) -> tuple[set[UUID], int]:
    where = {name: value for name, value in where.items() if not name.startswith("object")}
    object_ = (dice.choice(TYPES), dice.choice(OBJECTS))
    page = store.history(object_, **where, limit=200, total="exact")
    return {one.id for one in page.records}, page.total or 0


def _get(store: Store, where: dict[str, Any], dice: random.Random) -> tuple[set[UUID], int]:
    ids = [one.id for one in store.feed(tenant_id=dice.choice(TENANTS), limit=8).records]
    found = [store.get(where["tenant_id"], id_) for id_ in ids]
    return {one.id for one in found if one is not None}, 0


def _stats(store: Store, where: dict[str, Any], dice: random.Random) -> tuple[set[UUID], int]:
    found = store.stats(**where)
    assert sum(found.by_verb.values()) == sum(found.by_day.values()) == found.total
    return set(), found.total


def _timeline(store: Store, where: dict[str, Any], dice: random.Random) -> tuple[set[UUID], int]:
    bucket = dice.choice(["day", "week", "month"])
    return set(), sum(n for _, n in store.timeline(bucket=bucket, **where))


def _top(store: Store, where: dict[str, Any], dice: random.Random) -> tuple[set[UUID], int]:
    by = dice.choice(["verb", "actor_id", "object", "channel", "ip"])
    return set(), sum(n for _, n in store.top(by=by, limit=200, **where))


READS: dict[str, Read] = {
    "feed": _feed,
    "history": _history,
    "get": _get,
    "stats": _stats,
    "timeline": _timeline,
    "top": _top,
}


def random_where(dice: random.Random, tenant: UUID) -> dict[str, Any]:
    more: dict[str, Any] = {
        "org_id": dice.choice(ORGS),
        "actor_id": dice.choice(ACTORS),
        "user_id": dice.choice(ACTORS),
        "involving": dice.choice(ACTORS),
        "verbs": dice.sample([*VERBS, "settings.*", "*"], 2),
        "object_type": dice.choice(TYPES),
        "object_id": dice.choice(OBJECTS),
        "channel": dice.choice(CHANNELS),
        "channels": dice.sample(CHANNELS[1:], 2),
        "channel_denylist": [dice.choice(CHANNELS[1:])],
        "since": NOON - timedelta(days=dice.randrange(60)),
        "until": NOON + timedelta(days=dice.randrange(3)),
        "keyword": dice.choice(HOSTILE_TEXTS),
        "data": {"path": "ui.theme"},
        "machine_activity": False,
    }
    return {"tenant_id": tenant} | {name: more[name] for name in dice.sample(list(more), 2)}


HOSTILE_TEXTS = [
    "s",
    "' OR '1'='1",
    "' OR true --",
    '" OR ""="',
    "%",
    "_",
    "\\",
    "%') OR (1=1",
    "\\' OR 1=1; DROP TABLE user_activity; --",
    ".*",
    "[a-z]+",
    "$1",
    ":tenant_id",
    "%(tenant_id)s",
    "{0}",
    "\u212a",
]


def test_all_reads_are_looked_at() -> None:
    """A new read belongs into `READS`."""
    public = {name for name, _ in inspect.getmembers(ReadMethods, inspect.isfunction)}
    twins = {f"a{name}" for name in READS}

    assert {name for name in public if name[0] != "_"} - twins == set(READS)


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("seed", range(6))
def test_no_read_leaves_its_tenant(
    shared: Store, log: list[ActivityRecord], name: str, seed: int
) -> None:
    dice = random.Random(seed)
    for _ in range(4):
        tenant = dice.choice(TENANTS)
        own = {one.id for one in log if one.tenant_id == tenant}

        found, count = READS[name](shared, random_where(dice, tenant), dice)

        assert found <= own
        assert count <= len(own)


@pytest.mark.parametrize("name", READS)
def test_each_tenant_has_answers_of_its_own(
    shared: Store, log: list[ActivityRecord], name: str
) -> None:
    """Statements are kept by the shape of their filter: never with somebody's values."""
    for tenant in TENANTS * 2:
        own = {one.id for one in log if one.tenant_id == tenant}
        found, count = READS[name](shared, {"tenant_id": tenant}, random.Random(1))

        assert found <= own
        if name in ("feed", "stats", "timeline"):
            assert count == len(own)


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_text_from_outside_is_never_sql(
    shared: Store, log: list[ActivityRecord], text: str
) -> None:
    def is_in(one: ActivityRecord) -> bool:
        fields = (one.verb, one.object_type, one.object_id)
        return any(text.lower() in field.lower() for field in fields)

    own = [one for one in log if one.tenant_id == TENANTS[0]]
    where: dict[str, Any]
    for where in (
        {"object_id": text},
        {"channel": text},
        {"verbs": [text, "x"]},
        {"verbs": f"{text.replace('*', '')}.*"},
        {"data": {text: text}},
        {"object_type": text},
        {"channel": text, "channel_denylist": [text]},
    ):
        assert shared.feed(tenant_id=TENANTS[0], **where).total == 0
        assert shared.stats(tenant_id=TENANTS[0], **where).total == 0
    assert shared.feed(tenant_id=TENANTS[0], keyword=text).total == sum(map(is_in, own))


# -- what is sent to the database --------------------------------------------


@contextmanager
def statements(store: Store) -> Iterator[list[tuple[str, Any]]]:
    with sent_to(store.database) as sent:
        yield sent


_FROM = re.compile(r"\b(?:FROM|JOIN) user_activity(?:_daily|_monthly)?\b")
_TENANT = re.compile(
    r"\buser_activity(?:_daily|_monthly)?\.tenant_id = (?:\?|%\(tenant_id(?:_\d+)?\)s)"
)


@pytest.mark.parametrize("name", READS)
def test_each_statement_binds_the_tenant_wherever_it_reads(
    shared: Store, log: list[ActivityRecord], name: str
) -> None:
    dice = random.Random(7)
    with statements(shared) as seen:
        for _ in range(10):
            READS[name](shared, random_where(dice, TENANTS[1]), dice)

    read = [(text, values) for text, values in seen if _FROM.search(text)]
    assert read
    for text, values in read:
        assert len(_TENANT.findall(text)) >= len(_FROM.findall(text)), text
        bound = list(values.values()) if isinstance(values, dict) else list(values)
        assert any(tenant in bound or tenant.bytes in bound for tenant in TENANTS), text
        assert str(TENANTS[1]) not in text


TENANTS_TABLES = {"user_activity", "user_activity_daily", "user_activity_monthly"}
READ = Path(structlog_activity.__file__).parent / "read"
SCOPED = {"conditions", "dimensions", "_matching", "_within_months"}
OF_SCOPED = {
    "_in_one_pass",
    "_lateral",
    "_merged",
    "_one_by_one",
    "probe_statement",
    "_statement",
    "_slots_statement",
    "_extremes_statement",
}
"""Functions that select from what a scoped function returned."""


def test_no_select_is_built_beside_the_conditions_of_a_filter() -> None:
    builders = 0
    for path in READ.rglob("*.py"):
        tree = ast.parse(path.read_text())
        named = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        if named & {"user_activity_batch"} and not named & TENANTS_TABLES:
            continue  # The ledger belongs to writers; what it leads to is selected elsewhere.
        for function in ast.walk(tree):
            if not isinstance(function, ast.FunctionDef):
                continue
            calls = {
                node.func.id
                for node in ast.walk(function)
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            }
            if "select" in calls:
                builders += 1
                assert calls & SCOPED or function.name in OF_SCOPED, (path.name, function.name)
    assert builders > 5


def test_no_other_room_reads_the_log() -> None:
    """The tables are known to what writes them, makes them and checks them, and to reads."""
    known = {"store", "read", "write/transaction.py", "log.py", "alembic.py"}
    for path in READ.parent.rglob("*.py"):
        name = path.relative_to(READ.parent).as_posix()
        if name.partition("/")[0] in known or name in known:
            continue
        text = path.read_text()
        assert not re.search(r"\bFROM\s+user_activity|store\.table", text), name


# -- cursors and ids ---------------------------------------------------------


def test_a_cursor_of_one_tenant_is_none_of_another(
    shared: Store, log: list[ActivityRecord]
) -> None:
    cursor = shared.feed(tenant_id=TENANTS[0], limit=3).next_cursor
    messages = set()
    for tenant in (TENANTS[1], NIL, structlog_activity.ALL_TENANTS):
        with pytest.raises(InvalidCursorError) as caught:
            shared.feed(tenant_id=tenant, after=cursor)
        messages.add(str(caught.value))
    assert len(messages) == 1


def test_a_cursor_that_was_changed_anywhere_is_refused(
    shared: Store, log: list[ActivityRecord]
) -> None:
    cursor = shared.feed(tenant_id=TENANTS[0], limit=3).next_cursor
    assert cursor is not None
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    for place in range(len(raw)):
        changed = bytearray(raw)
        changed[place] ^= 1
        text = base64.urlsafe_b64encode(changed).rstrip(b"=").decode()
        with pytest.raises(InvalidCursorError):
            shared.feed(tenant_id=TENANTS[0], after=text)


def test_the_id_of_another_tenants_record_is_as_unknown_as_any(
    shared: Store, log: list[ActivityRecord]
) -> None:
    theirs = next(one for one in log if one.tenant_id == TENANTS[1])
    with statements(shared) as seen_theirs:
        assert shared.get(TENANTS[0], theirs.id) is None
    with statements(shared) as seen_nobodys:
        assert shared.get(TENANTS[0], UUID(int=theirs.id.int ^ 1)) is None

    # The same statements: whether it exists shows in no effort either.
    assert [text for text, _ in seen_theirs] == [text for text, _ in seen_nobodys]
    assert shared.get(TENANTS[1], theirs.id) == theirs


@pytest.mark.parametrize("tenant", [None, "", "  ", [], {}, 0.5, object()])
@pytest.mark.parametrize("name", ["feed", "stats", "timeline", "top"])
def test_a_tenant_that_says_nothing_is_refused(shared: Store, name: str, tenant: Any) -> None:
    options = {"by": "verb"} if name == "top" else {}
    with pytest.raises(InvalidFilterError, match="tenant_id"):
        getattr(shared, name)(tenant_id=tenant, **options)


def test_a_connection_that_comes_back_from_a_failure_has_no_tenant_on_it(
    shared: Store, log: list[ActivityRecord]
) -> None:
    own = sum(one.tenant_id == TENANTS[0] for one in log)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), shared.database.connect() as connection:
            structlog_activity.feed(
                connection, structlog_activity.ActivityFilter(tenant_id=TENANTS[1])
            )
            raise ZeroDivisionError
        assert shared.stats(tenant_id=TENANTS[0]).total == own


def test_what_reads_return_is_all_that_was_looked_at_here() -> None:
    """So that a new kind of answer is not forgotten."""
    kinds = {inspect.signature(getattr(ReadMethods, name)).return_annotation for name in READS}

    assert kinds == {
        ActivityPage.__name__,
        ActivityStats.__name__,
        f"{ActivityRecord.__name__} | None",
        f"list[tuple[{datetime.__name__}, int]]",
        "list[tuple[Key, int]]",
    }
