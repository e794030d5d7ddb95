"""The dashboard of a real history, where it lies beside the checkout."""

from __future__ import annotations

import gzip
import json
import re

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from structlog_activity import ActivityLog
from structlog_activity.cli import main
from tests.dashboard.shown import KEY, Shown
from tests.dashboard.test_pages import ids, links, plain
from tests.test_documents import ROOT


REAL = ROOT.parent / "shared" / "data" / "git_activity.jsonl.gz"
TENANTS = ("first", "second", "third")


def lines_of(tenant: str) -> list[dict[str, Any]]:
    with gzip.open(REAL, "rt", encoding="utf-8") as file:
        return [json.loads(line) | {"tenant_id": tenant} for line in file]


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.skipif(not REAL.exists(), reason=f"there is no {REAL.name}")
def test_a_hundred_thousand_real_events_are_shown_tenant_by_tenant(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'activity.db'}"
    lines = lines_of("")
    for tenant in TENANTS:
        file = tmp_path / f"{tenant}.jsonl"
        file.write_text("".join(json.dumps(line) + "\n" for line in lines_of(tenant)))
        assert 0 == main(["--url", url, "ingest", str(file)])
    newest = datetime.fromisoformat(max(line["timestamp"] for line in lines)).astimezone(UTC)
    verbs = [line["verb"] for line in lines]

    with (
        ActivityLog(url, migrate=False, key=KEY) as log,
        Shown(log, tenants=TENANTS, clock=lambda: newest, most_exported=len(lines)) as shown,
    ):
        assert len(TENANTS) * len(lines) > 100_000
        for tenant in TENANTS:
            page = shown.page(tenant=tenant, range="all")
            assert f"Events {len(lines):,} " in plain(page)
            bars = re.findall(r'aria-label="[^"]*: ([\d,]+) events?" data-since', page)
            assert len(lines) == sum(int(n.replace(",", "")) for n in bars)
        for verb in set(verbs):
            page = shown.page(tenant="first", range="all", q=f"verb:{verb}")
            assert f"Events {verbs.count(verb):,} " in plain(page)
        page = shown.page(tenant="second", range="all")
        found = ids(page)
        for _ in range(20):
            page = shown.page(links(page, "older")[0])
            found += ids(page)
        assert 21 * 50 == len(found) == len(set(found))
        assert len(lines) == shown.get("/export.jsonl", tenant="third", range="all").text.count(
            "\n"
        )
