"""
A year of made-up activity, straight into the real tables by COPY.

Tenants, verbs and actors are skewed as they are in real logs: the largest tenant has
a seventh of all rows, and one row in fifty arrives up to 30 days late. The same
*rows* and *seed* give the same rows, but for the day on which they end.
"""

from __future__ import annotations

import itertools
import random

from collections.abc import Iterator
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

_CHUNK: Final = 10_000
_LATE: Final = 0.02
_LATEST: Final = 30 * 86_400_000_000
_DAY: Final = 86_400_000_000
_ZIPF: Final = 1.05
_COPY: Final = (
    "COPY user_activity (tenant_id, created_at, id, actor_id, user_id, org_id, verb, object_type,"
    " object_id, channel, ip, data, batch_id, batch_ix, commitment) FROM STDIN"
)
# Not sealed: reading looks at no seal.
_LEDGER: Final = """
    INSERT INTO user_activity_batch (writer_id, seq, batch_id, n, written_at, chain_id, link, flags,
        first_at, last_at, root, prev, seal, key_id, mac)
    VALUES (%(writer)s, %(number)s, %(number)s, %(n)s, clock_timestamp(), %(writer)s, %(number)s, 0,
        clock_timestamp(), clock_timestamp(), '', '', '', '', '')
"""
_COUNT: Final = """
    INSERT INTO user_activity_daily (tenant_id, day, channel, verb, object_type, n)
    SELECT tenant_id, (created_at AT TIME ZONE 'UTC')::date, channel, verb, object_type, count(*)
    FROM user_activity GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
"""


def tenant(rank: int) -> UUID:
    """Return the id of the tenant that has the most rows but *rank* others."""
    return UUID(int=(0x7E << 120) + rank)


def span(today: datetime) -> tuple[int, int]:
    """Return the first moment of the year and the first after it, in microseconds since 1970."""
    end = to_microseconds(today.replace(hour=0, minute=0, second=0, microsecond=0))
    return end - DAYS * _DAY, end


def load(connection: Any, rows: int, *, seed: int, progress: bool = True) -> None:
    """
    Fill the tables, which are there and empty, and bring their statistics up to date.

    Args:

        connection: A psycopg connection in autocommit mode, of the tables' owner.

        rows: How many rows.

        seed: Of the random choices.

        progress: Whether to tell rate and remaining time on stderr.
    """
    start, end = span(datetime.now(UTC))
    with connection.transaction():
        make_months(connection, from_microseconds(start).date(), from_microseconds(end).date())
    shown = Progress("rows", rows) if progress else None
    writer, done = uuid4(), 0
    for number, chunk in enumerate(_chunks(rows, start, end, seed), 1):
        lines = chunk(number)
        with connection.transaction(), connection.cursor() as cursor:
            with cursor.copy(_COPY) as copy:
                copy.write("".join(lines))
            cursor.execute(_LEDGER, {"writer": writer, "number": number, "n": len(lines)})
        done += len(lines)
        if shown:
            shown.update(done, done)
    connection.execute(_COUNT)
    connection.execute("VACUUM (ANALYZE) user_activity")
    connection.execute("VACUUM (ANALYZE) user_activity_daily")
    if shown:
        shown.finish()


def _chunks(rows: int, start: int, end: int, seed: int) -> Iterator[Any]:
    """Yield makers of rows in the order in which they arrive."""
    choose = random.Random(seed)
    weights = _Weights()
    for first in range(0, rows, _CHUNK):
        count = min(_CHUNK, rows - first)
        low = start + (end - start) * first // rows
        high = start + (end - start) * (first + count) // rows
        yield lambda number, count=count, low=low, high=high: _lines(
            choose, weights, number, count, (start, low, high)
        )


class _Weights:
    """How often each tenant, actor and verb is chosen, added up."""

    def __init__(self) -> None:
        self.tenants = _zipf(TENANTS)
        self.actors = _zipf(ACTORS)
        self.verbs = _zipf(VERBS)


def _zipf(count: int) -> list[float]:
    return list(itertools.accumulate(1 / (rank + 1) ** _ZIPF for rank in range(count)))


def _lines(
    choose: random.Random, weights: _Weights, number: int, count: int, times: tuple[int, int, int]
) -> list[str]:
    first, low, high = times
    moments = sorted(choose.randrange(low, high) for _ in range(count))
    for i in choose.sample(range(count), int(count * _LATE)):
        moments[i] = max(first, moments[i] - choose.randrange(_LATEST))
    tenants = choose.choices(range(TENANTS), cum_weights=weights.tenants, k=count)
    actors = choose.choices(range(ACTORS), cum_weights=weights.actors, k=count)
    users = choose.choices(range(ACTORS), cum_weights=weights.actors, k=count)
    verbs = choose.choices(range(VERBS), cum_weights=weights.verbs, k=count)
    bits = choose.getrandbits
    return [
        _line(number, ix, row, bits(96))
        for ix, row in enumerate(zip(moments, tenants, actors, users, verbs, strict=True))
    ]


def _line(number: int, ix: int, row: tuple[int, int, int, int, int], bits: int) -> str:
    """Return a row in COPY's text format, its id a UUIDv7 of its moment."""
    moment, owner, actor, user, verb = row
    id_ = (moment // 1000 << 80) | (7 << 76) | ((bits & 0xFFF) << 64) | (2 << 62)
    id_ |= (bits >> 12) & ((1 << 62) - 1)
    kind = verb % KINDS
    # One record in eight comes through another channel than its kind's own.
    channel = (kind + 1) % KINDS if bits >> 93 == 0 else kind
    at = f"{from_microseconds(moment):%Y-%m-%d %H:%M:%S.%f+00}"
    return (
        f"{(0x7E << 120) + owner:032x}\t{at}\t{id_:032x}\t{(0xAC << 120) + actor + 1:032x}\t"
        f"{(0xAC << 120) + user + 1:032x}\t{(0x06 << 120) + owner * 8 + actor % 4 + 1:032x}\t"
        f"kind{kind}.verb{verb:02}\tkind{kind}\t{bits % 50_000}\tchannel{channel}\t"
        f"10.{bits & 0xFF}.{(bits >> 8) & 0xFF}.{(bits >> 16) & 0xFF}\t"
        f'{{"path": "ui.theme", "to": "dark", "request_id": "{bits:024x}"}}'
        f"\t{number}\t{ix}\t\\\\x{bits:032x}\n"
    )


def day_before(end: int, days: int) -> datetime:
    """Return the midnight some days before *end*."""
    return from_microseconds(end) - timedelta(days=days)
