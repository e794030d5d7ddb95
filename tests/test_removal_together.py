"""Whatever is written, folded, erased and pruned, and whoever is killed: the log stays right."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from structlog_activity import ALL_TENANTS, ActivityLog
from structlog_activity.store.maintenance.maintain import maintain
from structlog_activity.store.partitions import months_on
from structlog_activity.store.removal import erasure, retention
from tests.support.postgres import PostgresServer
from tests.support.records import ACTORS, CHANNELS, VERBS, record
from tests.support.stores import KEY, store_old, walk


NOW = datetime.now(UTC)
TENANTS = [record(tenant_id=actor).tenant_id for actor in ACTORS[:3]]
SLOW = """
import os, sys
from datetime import timedelta
from structlog_activity import ActivityLog
from structlog_activity.store.removal import erasure, retention

retention._MOST = erasure._MOST = 2

def told(done, total):
    print(done, flush=True)
    sys.stdin.readline()

with ActivityLog(os.environ["URL"], key=b"a key for the seals") as activity:
    if sys.argv[1] == "prune":
        activity.prune(timedelta(days=2), progress=told)
    else:
        activity.erase(actor_id="ana", reason="r", progress=told)
"""


@pytest.fixture(scope="module")
def migrated_url(postgres_server: PostgresServer, template_url: str) -> str:
    """A database with tables, shared by these tests only: its months come and go."""
    return postgres_server.create_database(template_url)


@pytest.fixture
def url(activity: ActivityLog) -> str:
    """Where the log is."""
    return activity.engine.url.render_as_string(hide_password=False)


def check(activity: ActivityLog) -> None:
    """Counts are those of the rows, of each kind and day, and all seals hold."""
    rows = walk(activity.feed, tenant_id=ALL_TENANTS, limit=200, total="none")
    found = activity.stats(tenant_id=ALL_TENANTS)
    assert len(rows) == found.total
    assert Counter(row.verb for row in rows) == found.by_verb
    assert Counter(row.channel for row in rows) == found.by_channel
    assert Counter(row.occurred_at.date() for row in rows if row.occurred_at) == found.by_day
    for in_database in {False, activity.engine.dialect.name == "postgresql"}:
        report = activity.verify(in_database=in_database)
        assert report.ok, report.findings


@pytest.mark.parametrize("seed", range(2))
def test_after_any_steps_counts_and_seals_are_right(
    activity: ActivityLog, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_MOST", 7)
    monkeypatch.setattr(retention, "_LOOK", 5)
    monkeypatch.setattr(erasure, "_MOST", 3)
    choose = random.Random(seed)
    position = "0"

    def write() -> None:
        spread = choose.choice((1, 40, 100))
        records = [
            record(
                occurred_at=NOW - timedelta(days=choose.randrange(spread), hours=choose.random()),
                tenant_id=choose.choice(TENANTS),
                actor_id=choose.choice(ACTORS),
                user_id=choose.choice(ACTORS),
                verb=choose.choice(VERBS),
                channel=choose.choice(CHANNELS),
                data={"n": choose.random()},
            )
            for _ in range(choose.randrange(1, 12))
        ]
        store_old(activity, records)
        nonlocal position
        with activity.tail(tenant_id=ALL_TENANTS, position=position, timeout=0) as tail:
            seen = [one.id for one in tail if not one.verb.startswith("activity.")]
            position = tail.position
        assert sorted(one.id for one in records) == sorted(seen)

    def fold() -> None:
        maintain(activity.engine, today=months_on(NOW.date(), choose.randrange(2)))

    def prune() -> None:
        before = NOW - timedelta(days=choose.randrange(1, 100), hours=choose.randrange(24))
        scope = choose.choice(
            ({}, {}, {"tenant_id": TENANTS[0]}, {"channel": CHANNELS[1]}, {"channel": ""})
        )
        expected = activity.prune(before, dry_run=True, **scope).rows
        assert expected == activity.prune(before, **scope).rows

    def erase() -> None:
        tenant = choose.choice((ALL_TENANTS, TENANTS[1]))
        activity.erase(involving=choose.choice(ACTORS), tenant_id=tenant, reason="asked")

    for _ in range(4):
        write()
    for _ in range(10):
        choose.choice((write, write, fold, prune, prune, erase))()
        check(activity)


def test_writers_go_on_meanwhile(
    activity: ActivityLog, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_MOST", 20)
    store_old(
        activity, [record(occurred_at=NOW - timedelta(days=n), actor_id="ana") for n in range(90)]
    )
    enough, written = threading.Event(), [0, 0]

    def keep_writing(number: int) -> None:
        with ActivityLog(url, key=KEY, batch_size=5, linger=0) as writer:
            while not enough.is_set():
                age = timedelta(days=written[number] % 90)
                writer.log(record(occurred_at=NOW - age, actor_id=ACTORS[number]))
                written[number] += 1
                assert writer.flush(60)

    threads = [threading.Thread(target=keep_writing, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    pruned = 0
    try:
        for days in (80, 40, 1):
            pruned += activity.prune(timedelta(days=days)).rows
            activity.erase(actor_id=ACTORS[0], reason="asked")
            activity.erase(actor_id="ana", reason="asked")
    finally:
        enough.set()
        for thread in threads:
            thread.join(60)

    assert written[0] and written[1]
    left = activity.stats(tenant_id="acme", verbs=["settings.*"]).total
    assert 90 + sum(written) == pruned + left
    check(activity)


@pytest.mark.parametrize("what", ["prune", "erase"])
def test_whoever_is_killed_leaves_a_log_that_the_next_run_completes(
    activity: ActivityLog, url: str, what: str
) -> None:
    for n in range(3):
        store_old(activity, [record(occurred_at=NOW - timedelta(days=3), actor_id="ana")] * 1)
        store_old(activity, [record(occurred_at=NOW - timedelta(days=3 + n), actor_id="ana")])
    victim = subprocess.Popen(
        [sys.executable, "-c", SLOW, what],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "URL": url},
    )
    assert victim.stdin is not None
    assert victim.stdout is not None
    victim.stdout.readline()
    victim.send_signal(signal.SIGKILL)
    victim.communicate(timeout=60)

    check(activity)
    left = activity.feed(tenant_id="acme", actor_id="ana").total
    assert left is not None
    assert 0 < left < 6
    if what == "erase":
        assert left == activity.erase(actor_id="ana", reason="r").rows
    else:
        # The server notices a moment later that its lock is nobody's.
        while (report := activity.prune(timedelta(days=2))).is_busy:
            pass
        assert left == report.rows
    check(activity)


def test_killed_within_a_transaction_nothing_of_it_stays(
    activity: ActivityLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_old(activity, [record(occurred_at=NOW - timedelta(days=3), actor_id="ana")])

    def fail(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(retention, "write_inside", fail)
        patch.setattr(erasure, "write_inside", fail)
        with pytest.raises(KeyboardInterrupt):
            activity.erase(actor_id="ana", reason="r")
        with pytest.raises(KeyboardInterrupt):
            activity.prune(timedelta(days=2))
    check(activity)
    assert 1 == activity.feed(tenant_id="acme", actor_id="ana").total
