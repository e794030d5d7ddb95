"""
A year of made-up activity, made by the server itself in the real tables.

Tenants, verbs and actors are skewed as they are in real logs: the largest tenant has
a seventh of all rows, and one row in fifty arrives up to 30 days late. The same
*rows* and *seed* give the same rows, but for the day on which they end.
"""

from __future__ import annotations

import itertools

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from structlog_activity.cli.progress import Progress
from structlog_activity.record.times import from_microseconds, to_microseconds
from structlog_activity.store.partitions import make_months


DAYS: Final = 365
TENANTS: Final = 1_000
ACTORS: Final = 20_000
VERBS: Final = 40
KINDS: Final = 12

_CHUNK: Final = 200_000
_BATCH: Final = 10_000
_DAY: Final = 86_400_000_000
_ZIPF: Final = 1.05
# Ids are a UUIDv7 of the row's moment. One record in eight comes through another
# channel than its kind's own.
_ROWS: Final = f"""
    INSERT INTO user_activity (tenant_id, created_at, id, actor_id, user_id, org_id, verb,
        object_type, object_id, channel, ip, data, batch_id, batch_ix, commitment)
    SELECT ('7e' || lpad(to_hex(tenant), 30, '0'))::uuid, moment,
        (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || '7'
            || substr(bits, 1, 3) || '8' || substr(bits, 4, 15))::uuid,
        ('ac' || lpad(to_hex(actor + 1), 30, '0'))::uuid,
        ('ac' || lpad(to_hex(guest + 1), 30, '0'))::uuid,
        ('06' || lpad(to_hex(tenant * 8 + actor %% 4 + 1), 30, '0'))::uuid,
        'kind' || verb %% {KINDS} || '.verb' || lpad(verb::text, 2, '0'),
        'kind' || verb %% {KINDS}, floor(random() * 50000)::text,
        'channel' || (verb + CASE WHEN random() < 0.125 THEN 1 ELSE 0 END) %% {KINDS},
        '10.' || n %% 251 || '.' || n %% 241 || '.' || n %% 239,
        ('{{"path": "ui.theme", "to": "dark", "request_id": "' || substr(bits, 9) || '"}}')::jsonb,
        n / {_BATCH} + 1, n %% {_BATCH}, decode(bits, 'hex')
    FROM (
        SELECT n, md5(%(seed)s::bigint || '-' || n) AS bits,
            width_bucket(random(), %(tenants)s::float8[]) AS tenant,
            width_bucket(random(), %(actors)s::float8[]) AS actor,
            width_bucket(random(), %(actors)s::float8[]) AS guest,
            width_bucket(random(), %(verbs)s::float8[]) AS verb,
            greatest(%(start)s::timestamptz, %(start)s::timestamptz
                + interval '1 day' * ({DAYS} * (n + random()) / %(rows)s::bigint)
                - CASE WHEN random() < 0.02 THEN interval '30 days' * random()
                    ELSE interval '0' END) AS moment
        FROM generate_series(%(first)s::bigint, %(last)s::bigint) n
    ) made
"""
# Not sealed: reading looks at no seal.
_LEDGER: Final = f"""
    INSERT INTO user_activity_batch (writer_id, seq, batch_id, n, written_at, chain_id, link, flags,
        first_at, last_at, root, prev, seal, key_id, mac)
    SELECT %(writer)s, number, number, least({_BATCH}, %(rows)s::bigint - (number - 1) * {_BATCH}),
        clock_timestamp(), %(writer)s, number, 0, clock_timestamp(), clock_timestamp(),
        '', '', '', '', ''
    FROM generate_series(1, (%(rows)s::bigint + {_BATCH} - 1) / {_BATCH}) number
"""
_COUNT: Final = """
    INSERT INTO user_activity_daily (tenant_id, day, channel, verb, object_type, n)
    SELECT tenant_id, (created_at AT TIME ZONE 'UTC')::date, channel, verb, object_type, count(*)
    FROM user_activity GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
"""
_VACUUM: Final = "VACUUM (ANALYZE) {}"
_LATER: Final = "rows gone through for counts, indexes and VACUUM"
_KEY: Final = "ALTER TABLE user_activity {} CONSTRAINT user_activity_pkey {}"
_INDEXES: Final = """
    SELECT c.relname, replace(pg_get_indexdef(c.oid), ' ON ONLY ', ' ON ')
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE i.indrelid = 'user_activity'::regclass AND NOT i.indisprimary
"""


def tenant(rank: int) -> UUID:
    """Return the id of the tenant that has the most rows but *rank* others."""
    return UUID(int=(0x7E << 120) + rank)


def span(today: datetime) -> tuple[int, int]:
    """Return the first moment of the year and the first after it, in microseconds since 1970."""
    end = to_microseconds(today.replace(hour=0, minute=0, second=0, microsecond=0))
    return end - DAYS * _DAY, end


def load(
    connection: Any, rows: int, *, seed: int, grown: bool = False, progress: bool = True
) -> None:
    """
    Fill the tables, which are there and empty, and bring their statistics up to date.

    Args:

        connection: A psycopg connection in autocommit mode, of the tables' owner.

        rows: How many rows.

        seed: Of the random choices.

        grown: Whether indexes grow row by row, as in a log that is written, and
            are not made at the end, which takes less time and room.

        progress: Whether to tell rate and remaining time on stderr.
    """
    start, end = map(from_microseconds, span(datetime.now(UTC)))
    with connection.transaction():
        make_months(connection.execute, start.date(), end.date())
    for setting in ("work_mem = '512MB'", "maintenance_work_mem = '1GB'"):
        connection.execute(f"SET {setting}")
    indexes = [] if grown else _drop_indexes(connection)
    _insert(connection, rows, seed, start, Progress("rows", rows) if progress else None)
    steps = [_COUNT, *indexes, *map(_VACUUM.format, ("user_activity", "user_activity_daily"))]
    _take(connection, steps, rows, Progress(_LATER, rows * len(steps)) if progress else None)
    for setting in ("work_mem", "maintenance_work_mem"):
        connection.execute(f"RESET {setting}")


def vacuum(connection: Any, *tables: str) -> None:
    """Do for some tables what autovacuum does for them in time."""
    for table in tables:
        connection.execute(_VACUUM.format(table))


def _insert(connection: Any, rows: int, seed: int, start: datetime, shown: Progress | None) -> None:
    values = {
        "rows": rows, "seed": seed, "start": start,
        "tenants": _zipf(TENANTS), "actors": _zipf(ACTORS), "verbs": _zipf(VERBS),
        "writer": uuid4(),
    }  # fmt: skip
    connection.execute("SELECT setseed(%s)", (1 / (1 + seed),))
    for first in range(0, rows, _CHUNK):
        last = min(first + _CHUNK, rows) - 1
        connection.execute(_ROWS, values | {"first": first, "last": last})
        if shown:
            shown.update(last + 1, last + 1)
    connection.execute(_LEDGER, values)
    if shown:
        shown.finish()


def _drop_indexes(connection: Any) -> list[str]:
    """Drop the log's indexes; return the statements that make them again."""
    found = connection.execute(_INDEXES).fetchall()
    for name, _ in found:
        connection.execute(f"DROP INDEX {name}")
    connection.execute(_KEY.format("DROP", ""))
    key = _KEY.format("ADD", "PRIMARY KEY (tenant_id, created_at, id)")
    return [key, *(statement for _, statement in found)]


def _take(connection: Any, steps: list[str], rows: int, shown: Progress | None) -> None:
    for done, step in enumerate(steps, 1):
        connection.execute(step)
        if shown:
            shown.update(done * rows, done * rows)
    if shown:
        shown.finish()


def _zipf(count: int) -> list[float]:
    """Return where in [0, 1) the choice changes to the next of *count* ranks."""
    sums = list(itertools.accumulate(1 / (rank + 1) ** _ZIPF for rank in range(count)))
    return [found / sums[-1] for found in sums[:-1]]


def day_before(end: int, days: int) -> datetime:
    """Return the midnight some days before *end*."""
    return from_microseconds(end) - timedelta(days=days)
