"""
What sealing and verifying cost, which ``python -m tests.benchmarks trust`` tells.

With SQLite, or with a PostgreSQL server of its own. Each figure is the median of five rounds
that take turns. Times are of this process, without the database's own, but for verifying, where
both work at the same time.
"""

from __future__ import annotations

import statistics
import tempfile
import time

from collections.abc import Callable
from contextlib import closing
from typing import Any

from structlog_activity import ActivityLog, to_uuid
from structlog_activity.record.canonical import canonical
from structlog_activity.record.ids import uuid7
from structlog_activity.record.row import Row
from structlog_activity.record.rowmaker import RowMaker
from structlog_activity.store.batch import Batch
from structlog_activity.store.postgresql.copyformat import encode
from structlog_activity.store.seals import seal as seals
from structlog_activity.store.seals.chain import Chain
from tests.support.postgres import PostgresServer
from tests.support.records import record


BATCHES, SIZE, ROUNDS = 40, 500, 5


def rows(start: int) -> list[Row]:
    make = RowMaker().make_from
    return [
        make(
            record(
                id=uuid7(),
                actor_id=to_uuid("somebody"),
                object_id=str(number),
                channel="settings",
                ip="192.0.2.1",
                data={
                    "event": "theme changed", "path": "ui.theme", "from": "light", "to": "dark",
                    "count": number, "request_id": "01961d6f-7d33-7c1b-9a43-6a35f1f3a000",
                },
            )
        )
        for number in range(start, start + SIZE)
    ]  # fmt: skip


def main(*, on_postgresql: bool = False) -> None:
    """
    Measure and print.

    Args:

        on_postgresql: Whether the log is there, and not in SQLite.
    """
    if on_postgresql:
        with closing(PostgresServer.start()) as server:
            measure(server.create_database())
    else:
        with tempfile.TemporaryDirectory() as folder:
            measure(f"sqlite:///{folder}/activity.db")


def measure(url: str) -> None:
    batches = [Batch(uuid7(), n, n, rows(n * SIZE)) for n in range(BATCHES)]
    chain = Chain(b"key")
    slab = [bytes(16)] * SIZE
    work: dict[str, Callable[[Batch], Any]] = {
        "sealing a record": chain.seal,
        "  where its data come from a spool, also: canonical": lambda b: [
            canonical(str(r.data)) for r in b.rows
        ],
        "  of which: hashes": lambda b: [
            seals.leaf(seals.header(r), seals.commit_to(r, slab[0], r.data)) for r in b.rows
        ],
        "packing it for COPY, to compare": lambda b: encode(b, slab),
    }
    taken: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(ROUNDS):
        for name, do in work.items():
            started = time.process_time()
            for batch in batches:
                do(batch)
            taken[name].append((time.process_time() - started) / (BATCHES * SIZE))
    for name, times in taken.items():
        print(f"{statistics.median(times) * 1e6:8.2f} µs  {name}")
    with ActivityLog(url, migrate=True, key=b"key") as log:
        repository = log._repository()
        written = [Batch(uuid7(), 1, n + 1, rows(n * SIZE)) for n in range(BATCHES * ROUNDS)]
        started = time.perf_counter()
        for batch in written:
            repository.write(batch)
        rate = len(written) * SIZE / (time.perf_counter() - started)
        repository.close()
        print(f"{rate:8,.0f} rows a second are written")
        ways = [False] if log.engine.dialect.name == "sqlite" else [False, True]
        rates: dict[bool, list[float]] = {way: [] for way in ways}
        for _ in range(ROUNDS):
            for way in ways:
                started = time.perf_counter()
                report = log.verify(in_database=way)
                rates[way].append(report.rows / (time.perf_counter() - started))
                report.raise_if_broken()
        for way in ways:
            rate, who = statistics.median(rates[way]), "the database" if way else "the client"
            print(f"{rate:8,.0f} rows a second are verified by {who} ({report.rows:,} rows)")
