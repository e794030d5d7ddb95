"""
What PostgreSQL really does for a read: every statement that it sends, explained and run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, text

from tests.support.sent import sent_by


_INDEXES = text(
    "SELECT c.relname, pg_get_indexdef(i.indexrelid) FROM pg_index i"
    " JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relname LIKE 'user_activity%'"
)
_KINDS = {
    "tenant_id, created_at, id": "key",
    "tenant_id, actor_id, created_at, id": "actor",
    "tenant_id, user_id, created_at, id": "user",
    "tenant_id, object_type, object_id, created_at, id": "object",
    "tenant_id, verb, created_at, id": "verb",
    "tenant_id, day, channel, verb, object_type, folded": "counts",
    "tenant_id, day) WHERE (NOT folded": "counts",
    "tenant_id, day": "counts",  # Of folded days.
    "tenant_id, month, channel, verb, object_type": "counts",
}


@dataclass
class Work:
    """
    What all statements of a read did together.

    Attributes:

        indexes: Names of the indexes that were read: ``"key"``, ``"actor"``, ..., ``"counts"``.

        filled: The partitions of the log that were read and have rows.

        read: Rows that scans of the log gave or removed.

        scanned: Tables that were read without an index, empty ones aside.

        sorted: Most rows that went into one sort.

        removed: Rows that were read and did not match.

        buffers: Pages of the database that were touched.

        statements: How many statements there were.
    """

    indexes: set[str] = field(default_factory=set)
    filled: set[str] = field(default_factory=set)
    read: int = 0
    scanned: set[str] = field(default_factory=set)
    sorted: int = 0
    removed: int = 0
    buffers: int = 0
    statements: int = 0


def work_of(engine: Engine, read: Callable[[], Any]) -> Work:
    """Do a read once, then explain and run again what it sent."""
    sent = sent_by(engine, read)
    done = Work(statements=len(sent))
    with engine.connect() as connection:
        kinds = {name: _kind(definition) for name, definition in connection.execute(_INDEXES)}
        for statement, values in sent:
            explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}"
            plan = connection.exec_driver_sql(explain, values).scalar_one()[0]["Plan"]
            done.buffers += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
            for node in _nodes(plan):
                _add(done, node, kinds)
    return done


def _kind(definition: str) -> str:
    columns = definition.partition("(")[2].rpartition(")")[0]
    return _KINDS.get(columns.replace(' COLLATE "C"', ""), columns)


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if plan["Actual Loops"]:  # What was planned and not needed costs nothing.
        yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


def _add(done: Work, node: dict[str, Any], kinds: dict[str, str]) -> None:
    relation = node.get("Relation Name", "")
    if "Index Name" in node:
        done.indexes.add(kinds[node["Index Name"]])
    rows = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    read = int(rows * node["Actual Loops"])
    if relation.startswith(("user_activity_y", "user_activity_past", "user_activity_future")):
        done.read += read
        if read:
            done.filled.add(relation)
    if node["Node Type"] == "Seq Scan" and relation.startswith("user_activity") and read:
        done.scanned.add(relation)
    if node["Node Type"] in {"Sort", "Incremental Sort"}:
        rows = sum(child["Actual Rows"] * child["Actual Loops"] for child in node["Plans"])
        done.sorted = max(done.sorted, int(rows))
    done.removed += int(node.get("Rows Removed by Filter", 0) * node["Actual Loops"])
