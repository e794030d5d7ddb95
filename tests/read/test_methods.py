"""The reads as methods of a log, and their twins for coroutines, hand over all they are given."""

from __future__ import annotations

import asyncio
import inspect

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sqlalchemy import Engine

from structlog_activity import AccessPolicy, ActivityFilter, ActivityLog, feed, stats
from structlog_activity.read.counts.timeline import timeline
from structlog_activity.read.counts.top import top
from structlog_activity.read.feeds.get import get
from structlog_activity.read.feeds.history import history
from tests.support.records import NOON, record
from tests.write.doubles import DEADLINE


KEY = b"secret"
RECORDS = [
    record(
        object_id=str(n % 12),
        channel="seen" if n % 2 else "hidden",
        ip="192.0.2.7",
        occurred_at=NOON + timedelta(hours=n),
    )
    for n in range(24)
]
WHERE = ActivityFilter(tenant_id="acme", limit=2)
OF_ACME: dict[str, Any] = {"tenant_id": "acme"}
READER = AccessPolicy(role="tenant_admin", tenant_id="acme", channels="seen")


class Read(NamedTuple):
    """A read: its method, what that is given, and the same by its function."""

    name: str
    given: tuple[Any, ...]
    options: dict[str, Any]
    same: Callable[[Engine, AccessPolicy | None], Any]


READS = [
    Read("feed", (), {"limit": 2}, lambda on, policy: feed(on, WHERE, key=KEY, policy=policy)),
    Read(
        "history",
        ("settings:1",),
        {"limit": 1},
        lambda on, policy: history(
            on, "settings:1", ActivityFilter(tenant_id="acme", limit=1), key=KEY, policy=policy
        ),
    ),
    Read(
        "get",
        ("acme", RECORDS[3].id),
        {},
        lambda on, policy: get(on, "acme", RECORDS[3].id, policy=policy),
    ),
    Read("stats", (), {}, lambda on, policy: stats(on, WHERE, policy=policy)),
    Read(
        "timeline",
        (),
        {},
        lambda on, policy: timeline(on, WHERE, bucket="day", tz="UTC", policy=policy),
    ),
    Read(
        "timeline",
        (),
        {"bucket": "week", "tz": "Asia/Tokyo"},
        lambda on, policy: timeline(on, WHERE, bucket="week", tz="Asia/Tokyo", policy=policy),
    ),
    Read(
        "top",
        (),
        {"by": "object"},
        lambda on, policy: top(on, WHERE, by="object", limit=10, policy=policy),
    ),
    Read(
        "top",
        (),
        {"by": "object", "limit": 3},
        lambda on, policy: top(on, WHERE, by="object", limit=3, policy=policy),
    ),
]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ActivityLog]:
    file: Path = tmp_path_factory.mktemp("methods") / "activity.db"
    with ActivityLog(f"sqlite:///{file}", key=KEY) as activity:
        for one in RECORDS:
            activity.log(one)
        assert activity.flush(DEADLINE)
        yield activity


@pytest.mark.parametrize("read", READS, ids=lambda read: f"{read.name} {read.options}")
@pytest.mark.parametrize("policy", [None, READER], ids=["everything", "a policy"])
def test_a_method_and_its_twin_do_what_the_function_does(
    log: ActivityLog, read: Read, policy: AccessPolicy | None
) -> None:
    where: dict[str, Any] = {} if read.name == "get" else OF_ACME
    expected = read.same(log.engine, policy)

    ways: list[dict[str, Any]] = [{}, {"policy": None}] if policy is None else [{"policy": policy}]
    for given in ways:
        options = read.options | where | given
        assert getattr(log, read.name)(*read.given, **options) == expected
        twin = getattr(log, f"a{read.name}")
        assert asyncio.run(twin(*read.given, **options)) == expected
    if policy is not None:
        assert read.same(log.engine, None) != expected


@pytest.mark.parametrize("name", dict.fromkeys(read.name for read in READS))
def test_a_twin_takes_what_its_method_takes(name: str) -> None:
    here, there = (
        [(p.name, p.kind, p.default) for p in inspect.signature(method).parameters.values()]
        for method in (getattr(ActivityLog, name), getattr(ActivityLog, f"a{name}"))
    )

    assert here == there
