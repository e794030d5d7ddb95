"""
How fast reads are, as ratios: ``python -m tests.benchmarks read --rows 1000000``.

Each ratio is the median of rounds in which both sides take turns, so that whatever
else the machine does hits both alike. Within a round the quickest of a side's calls
counts, for what else the machine does only adds. What each side costs alone is told
beside its ratio.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import time

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg

from sqlalchemy.engine import make_url

from structlog_activity import ActivityFilter, ActivityLog, ActivityRecord
from structlog_activity.cli.progress import Progress
from structlog_activity.read.cursor import Place, encode_cursor
from structlog_activity.read.statements import COLUMNS
from structlog_activity.record.times import to_microseconds
from structlog_activity.store.counts import closed_before, fold_months, open_months
from structlog_activity.store.schema import Schema
from tests.benchmarks import history
from tests.benchmarks.database import DURABLE
from tests.support.postgres import PostgresServer
from tests.support.sent import sent_by


_TENANT: Final = history.tenant(0)
_PAGES: Final = 50
_NAMES: Final = [column.name for column in COLUMNS]
_MONTHS: Final = 5
# What a small production server has; the tests' own setting would measure the kernel.
_SETTINGS: Final = {"shared_buffers": "1GB", "jit": "off", "max_wal_size": "4GB"}


@dataclass(frozen=True)
class Result:
    """One figure: a ratio or a number, the goal it is held against, and what it is made of."""

    name: str
    value: float
    goal: str
    met: bool
    told: str

    @classmethod
    def at_most(cls, name: str, value: float, most: float, told: str = "") -> Result:
        return cls(name, value, f"<= {most:g}", value <= most, told)

    @classmethod
    def at_least(cls, name: str, value: float, least: float, told: str = "") -> Result:
        return cls(name, value, f">= {least:g}", value >= least, told)


class Turns:
    """Times of two or more sides that take turns; *step* is called after each round."""

    def __init__(
        self, rounds: int, calls: int, step: Callable[[], object], **sides: Callable[[], Any]
    ) -> None:
        self.seconds: dict[str, list[float]] = {name: [] for name in sides}
        for side in sides.values():
            side()
        for number in range(rounds):
            # Each goes first in turn, for the second finds what the first has warmed.
            order = list(sides.items())
            for name, side in order[number % len(order) :] + order[: number % len(order)]:
                self.seconds[name].append(min(_timed(side) for _ in range(calls)))
            step()

    def ratio(self, over: str, under: str) -> float:
        pairs = zip(self.seconds[over], self.seconds[under], strict=True)
        return statistics.median(a / b for a, b in pairs)

    def told(self) -> str:
        return ", ".join(
            f"{name} {1000 * statistics.median(found):.3f} ms"
            for name, found in self.seconds.items()
        )


def _timed(side: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    side()
    return time.perf_counter() - begun


def main(arguments: list[str]) -> int:
    """Run it; 0 if what both sides found was the same, whatever the goals."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks read", description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000, help="default 200,000")
    parser.add_argument("--rounds", type=int, default=15, help="default 15")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--grown", action="store_true", help="indexes grow row by row: slower")
    parser.add_argument("--filled", action="store_true", help="the database has its rows already")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=MEASURES,
        default=list(MEASURES),
        metavar="WHAT",
        help=f"some of {', '.join(MEASURES)}; months removes rows",
    )
    parser.add_argument(
        "--no-fsync",
        action="store_true",
        help="a server that does not wait for its disk, as that of the tests",
    )
    parser.add_argument("--url", help="an empty PostgreSQL database; default is one of its own")
    parser.add_argument("--json", action="store_true", help="one line of JSON per figure")
    options = parser.parse_args(arguments)
    results: list[Result] = []
    settings = {"fsync": "off", "full_page_writes": "off"} if options.no_fsync else DURABLE
    with _database(options.url, settings) as url, closing(Benchmark(url)) as bench:
        if not options.filled:
            begun = time.perf_counter()
            bench.fill(options.rows, options.seed, grown=options.grown)
            rate = options.rows / (time.perf_counter() - begun)
            print(f"{options.rows:,} rows made and loaded, {rate:,.0f} a second", file=sys.stderr)
        wanted = [MEASURES[name] for name in options.only]
        bench.expect(sum(turns for _, turns in wanted) * options.rounds)
        for measure, _ in wanted:
            for result in measure(bench, options.rounds):
                results.append(result)
                bench.shown.finish()
                _print(result, as_json=options.json)
    goals = [result.met for result in results if result.goal != "told"]
    print(f"{sum(goals)} of {len(goals)} goals met", file=sys.stderr)
    return 0


def sizes(bench: Benchmark, _: int) -> Iterator[Result]:
    """Bytes that a row takes, in insert order; what docs/scaling.md reckons with."""
    rows = bench.scalar("SELECT count(*) FROM user_activity")
    parts = "FROM pg_inherits WHERE inhparent = 'user_activity'::regclass"
    days = bench.scalar("SELECT count(*) FROM user_activity_daily")
    for name, size in (
        ("heap", f"SELECT sum(pg_table_size(inhrelid)) {parts}"),
        ("indexes", f"SELECT sum(pg_indexes_size(inhrelid)) {parts}"),
        ("daily counts", "SELECT pg_total_relation_size('user_activity_daily')"),
        ("monthly counts", "SELECT pg_total_relation_size('user_activity_monthly')"),
    ):
        told = f"{days:,} counts of {rows:,} rows" if name == "daily counts" else ""
        yield Result(f"bytes a row, {name}", float(bench.scalar(size)) / rows, "told", True, told)


@contextmanager
def _database(url: str | None, settings: dict[str, str]) -> Iterator[str]:
    if url is not None:
        yield url
        return
    with closing(PostgresServer.start(**_SETTINGS, **settings)) as server:
        yield server.create_database()


class Benchmark:
    """The database: through the log, and by hand."""

    def __init__(self, url: str) -> None:
        self.log = ActivityLog(url, migrate=False)
        _, arguments = make_url(url).get_dialect()().create_connect_args(make_url(url))
        self.hand = psycopg.connect(**arguments, autocommit=True, client_encoding="UTF8")
        self.expect(0)

    def expect(self, rounds: int) -> None:
        """Begin to tell how many rounds of all are done."""
        self._done, self.shown = 0, Progress("rounds of measuring", rounds)

    def step(self) -> None:
        """Tell that another round is done."""
        self._done += 1
        self.shown.update(self._done, self._done)

    def fill(self, rows: int, seed: int, *, grown: bool) -> None:
        Schema(self.log.engine).migrate()
        history.load(self.hand, rows, seed=seed, grown=grown)
        # As `maintain` does, which would rebuild the indexes of closed months, too.
        today = datetime.now(UTC).date()
        with self.log.engine.connect() as connection:
            months = len(open_months(connection, closed_before(today)))
        shown, begun = Progress("months folded", months), itertools.count()
        fold_months(self.log.engine, today, lambda _: shown.update(n := next(begun), n))
        shown.finish()
        history.vacuum(self.hand, "user_activity_daily", "user_activity_monthly")

    def close(self) -> None:
        self.hand.close()
        self.log.close()

    def scalar(self, sql: str, *values: Any) -> Any:
        found = self.hand.execute(sql.encode(), values).fetchone()
        return found[0] if found else None

    def sent(self, read: Callable[[], Any]) -> tuple[str, Any]:
        """Return the last statement for rows or counts that *read* sends, with its values."""
        sent = sent_by(self.log.engine, read)
        # Not those that ask where the tenant's days end.
        return [(statement, values) for statement, values in sent if "min(" not in statement][-1]

    def plan(self, statement: str, values: Any) -> tuple[int, Counter[str]]:
        """Return how many buffers a statement touches, and the kinds of nodes of its plan."""
        explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}"
        found = self.hand.execute(explain.encode(), values).fetchone()
        assert found is not None
        plan = found[0][0]["Plan"]
        return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"], Counter(_nodes(plan))


def _nodes(plan: dict[str, Any]) -> Iterator[str]:
    if plan.get("Actual Loops"):
        yield plan["Node Type"]
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


def _pages(bench: Benchmark) -> dict[str, dict[str, Any]]:
    """The first page of the largest tenant, and that at 90 % of its depth."""
    where = {"tenant_id": _TENANT, "limit": _PAGES, "total": "none"}
    total = bench.log.stats(tenant_id=_TENANT).total
    found = bench.hand.execute(
        "SELECT created_at, id FROM user_activity WHERE tenant_id = %s"
        " ORDER BY created_at DESC, id DESC OFFSET %s LIMIT 1", (_TENANT, total * 9 // 10),
    ).fetchone()  # fmt: skip
    assert found is not None
    place = Place(to_microseconds(found[0]), found[1])
    cursor = encode_cursor(place, ActivityFilter(tenant_id=_TENANT).digest(), b"")
    return {"first": where, "deep": where | {"after": cursor}}


def feeds(bench: Benchmark, rounds: int) -> Iterator[Result]:
    """A page at 90 % of the largest tenant's depth against its first."""
    pages = _pages(bench)
    turns = Turns(
        rounds, 20, bench.step,
        deep=lambda: bench.log.feed(**pages["deep"]),
        first=lambda: bench.log.feed(**pages["first"]),
    )  # fmt: skip
    yield Result.at_most("deep page / first page", turns.ratio("deep", "first"), 1.2, turns.told())
    for name, where in pages.items():
        buffers, nodes = bench.plan(*bench.sent(lambda where=where: bench.log.feed(**where)))  # type: ignore[misc]
        kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(nodes.items()))
        yield Result.at_most(f"buffers of the {name} page", buffers, 80, kinds)
        sorts = nodes["Sort"] + nodes["Incremental Sort"] + nodes["Seq Scan"]
        yield Result.at_most(f"sorts and full scans of the {name} page", sorts, 0)


def by_hand(bench: Benchmark, rounds: int) -> Iterator[Result]:
    """``feed()`` against the statement that it sends, by hand in psycopg."""
    for name, where in _pages(bench).items():
        statement, values = bench.sent(lambda where=where: bench.log.feed(**where))  # type: ignore[misc]
        sql = statement.encode()

        def hand(sql: bytes = sql, values: Any = values) -> Any:
            return bench.hand.execute(sql, values, prepare=True).fetchall()

        assert len(hand()) >= len(bench.log.feed(**where).records)

        def records(hand: Callable[[], Any] = hand) -> list[ActivityRecord]:
            return [ActivityRecord(**dict(zip(_NAMES, row, strict=True))) for row in hand()]

        turns = Turns(
            rounds, 20, bench.step,
            feed=lambda where=where: bench.log.feed(**where), hand=hand, records=records,  # type: ignore[misc]
        )  # fmt: skip
        yield Result.at_most(
            f"feed() / the same by hand, {name} page", turns.ratio("feed", "hand"), 1.3,
            turns.told(),
        )  # fmt: skip
        yield Result(
            f"feed() / the same by hand with records of the rows, {name} page",
            turns.ratio("feed", "records"), "told", True, "",
        )  # fmt: skip


def counts(bench: Benchmark, rounds: int) -> Iterator[Result]:
    """Statistics by verb against ``GROUP BY`` over the indexed rows."""
    since = history.day_before(history.span(datetime.now(UTC))[1], 30)
    n = bench.scalar("SELECT count(*) FROM user_activity WHERE tenant_id = %s", _TENANT)
    grouped = "SELECT verb, count(*) FROM user_activity WHERE tenant_id = %s{} GROUP BY verb"
    for name, span, least in (
        ("all time", {}, 100.0),
        ("30 days", {"since": since}, 40.0),
        ("30 days, from within one", {"since": since + timedelta(hours=9, minutes=41)}, 40.0),
    ):
        sql = grouped.format(" AND created_at >= %s" if span else "").encode()
        values = (_TENANT, *span.values())

        def group(sql: bytes = sql, values: Any = values) -> dict[str, int]:
            return dict(bench.hand.execute(sql, values).fetchall())

        def stats(span: Any = span) -> dict[str, int]:
            return bench.log.stats(tenant_id=_TENANT, **span).by_verb

        def top(span: Any = span) -> dict[Any, int]:
            return dict(bench.log.top(tenant_id=_TENANT, by="verb", limit=200, **span))

        if not group() == stats() == top():
            raise AssertionError(f"{name}: the statistics are not what the rows say")
        turns = Turns(rounds, 5, bench.step, group=group, stats=stats, top=top)
        yield Result.at_least(
            f"GROUP BY / stats by verb, {name}", turns.ratio("group", "stats"), least,
            f"{turns.told()}, {n:,} rows",
        )  # fmt: skip
        # Which counts by verb and nothing else, as the statement by hand does.
        alone = turns.ratio("group", "top")
        yield Result(f"GROUP BY / top verbs, {name}", alone, "told", True, "")


def months(bench: Benchmark, _: int) -> Iterator[Result]:
    """Dropping a month against ``DELETE`` and ``VACUUM`` of the one before, month after month."""
    found = bench.hand.execute(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = 'user_activity'::regclass AND c.relname LIKE 'user_activity_y%'"
        " AND c.reltuples > 0 ORDER BY 1"
    ).fetchall()
    names = [name for (name,) in found][1:-1]  # The first and the last month are not whole.
    pairs = list(zip(names[::2], names[1::2], strict=False))[:_MONTHS]
    ratios, told = [], []
    for deleted, dropped in pairs:
        rows = {name: bench.scalar(f"SELECT count(*) FROM {name}") for name in (deleted, dropped)}
        delete = _seconds(bench, f"DELETE FROM {deleted}", f"VACUUM {deleted}") / rows[deleted]
        drop = _seconds(bench, f"DROP TABLE {dropped}") / rows[dropped]
        ratios.append(delete / drop)
        told.append(f"{delete * rows[deleted]:.3f} s / {drop * rows[dropped]:.3f} s")
    yield Result.at_least(
        "DELETE + VACUUM / dropping a month", statistics.median(ratios), 20, "; ".join(told)
    )


MEASURES: Final[dict[str, tuple[Callable[[Benchmark, int], Iterator[Result]], int]]] = {
    "sizes": (sizes, 0),
    "feeds": (feeds, 1),
    "by-hand": (by_hand, 2),
    "counts": (counts, 3),
    "months": (months, 0),
}
"""What is measured, and how often sides take turns in it."""


def _seconds(bench: Benchmark, *statements: str) -> float:
    begun = time.perf_counter()
    for statement in statements:
        bench.hand.execute(statement.encode())
    return time.perf_counter() - begun


def _print(result: Result, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(asdict(result)), flush=True)
        return
    mark = "met   " if result.met else "MISSED"
    print(f"{mark} {result.name}: {result.value:.4g} ({result.goal})  {result.told}", flush=True)
