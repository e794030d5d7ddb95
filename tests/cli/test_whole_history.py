"""
A whole history goes in and comes out: counted, walked, and taken in a second time.
"""

from __future__ import annotations

import gzip
import json
import random

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from structlog_activity import ActivityLog, to_uuid
from structlog_activity.cli.pages import walk
from structlog_activity.record.times import to_datetime
from tests.cli.commands import ROOT, Cli, gzipped, jsonl


REAL = ROOT.parent / "shared" / "data" / "git_activity.jsonl.gz"
REAL_COUNT = 44_620


def generated(count: int) -> list[dict[str, Any]]:
    """Lines of seven tenants over six years, unsorted, with many ties in time."""
    choose = random.Random(20_26)
    start = datetime(2020, 1, 1, tzinfo=UTC)
    moments = [
        start + timedelta(days=choose.randrange(2_000), microseconds=choose.randrange(3))
        for _ in range(count // 3)
    ]
    return [
        {
            "tenant_id": str(to_uuid(f"tenant-{min(choose.randrange(20), 6)}")),
            "actor_id": f"actor-{choose.randrange(30)}",
            "verb": choose.choice(("file.added", "file.changed", "commit.authored")),
            "object": f"file:{choose.randrange(500)}",
            "channel": choose.choice(("", "docs", "src")),
            "nr": number,
            "timestamp": choose.choice(moments).isoformat(),
        }
        for number in range(count)
    ]


def pair(given: str | list[str]) -> tuple[str, str]:
    """Type and id of an object, which lines have in one text or as a list of two."""
    type_, id_ = given.split(":", 1) if isinstance(given, str) else given
    return type_, id_


def expected_counts(lines: list[dict[str, Any]]) -> dict[str, Counter[str]]:
    return {
        "by_verb": Counter(one["verb"] for one in lines),
        "by_channel": Counter(one.get("channel", "") for one in lines),
        "by_object_type": Counter(pair(one["object"])[0] for one in lines),
        "by_day": Counter(str(to_datetime(one["timestamp"]).date()) for one in lines),
    }


def identity(one: dict[str, Any]) -> tuple[Any, ...]:
    return (
        to_datetime(one["timestamp"]), one["tenant_id"], one["verb"], pair(one["object"]),
        one.get("nr"), one.get("commit"),
    )  # fmt: skip


def check_history(cli: Cli, url: str, file: Path, lines: list[dict[str, Any]]) -> None:
    total = len(lines)
    first = cli.ok("--url", url, "ingest", "--json", file).lines[0]
    assert {"lines": total, "no_activity": 0, "skipped": 0, "stored": total,
            "already_there": 0} == first  # fmt: skip
    check_counts(cli, url, lines)
    check_walk(url, lines)
    second = cli.ok("--url", url, "ingest", "--json", file).lines[0]
    assert {**first, "stored": 0, "already_there": total} == second
    assert total == cli.ok("--url", url, "stats", "--all-tenants", "--json").lines[0]["total"]


def check_counts(cli: Cli, url: str, lines: list[dict[str, Any]]) -> None:
    tenants = Counter(one["tenant_id"] for one in lines)
    for tenant, n in tenants.items():
        found = cli.ok("--url", url, "stats", "--tenant", tenant, "--json").lines[0]
        own = expected_counts([one for one in lines if one["tenant_id"] == tenant])
        assert {"total": n, **own} == found
    everything = cli.ok("--url", url, "stats", "--all-tenants", "--json").lines[0]
    assert {"total": len(lines), **expected_counts(lines)} == everything


def check_walk(url: str, lines: list[dict[str, Any]]) -> None:
    with ActivityLog(url, migrate=False) as activity:
        for tenant in {one["tenant_id"] for one in lines}:
            records = list(walk(activity, {"tenant_id": tenant}))
            order = [(record.occurred_at, record.id) for record in records]
            assert sorted(order, reverse=True) == order
            assert len(order) == len(set(order))
            seen = Counter(
                (r.occurred_at, str(r.tenant_id), r.verb, (r.object_type, r.object_id),
                 r.data.get("nr"), r.data.get("commit"))
                for r in records
            )  # fmt: skip
            assert Counter(identity(one) for one in lines if one["tenant_id"] == tenant) == seen


def test_a_generated_history_goes_in_and_comes_out(
    cli: Cli, url: str, write: Callable[[bytes], Path]
) -> None:
    lines = generated(2_000)
    check_history(cli, url, write(gzipped(jsonl(lines))), lines)


@pytest.mark.soak
@pytest.mark.skipif(not REAL.exists(), reason="the data set is not beside the checkout")
def test_the_history_of_real_repositories_goes_in_and_comes_out(cli: Cli, url: str) -> None:
    with gzip.open(REAL, "rt", encoding="utf-8") as file:
        lines = [json.loads(text) for text in file]
    assert REAL_COUNT == len(lines)
    check_history(cli, url, REAL, lines)
