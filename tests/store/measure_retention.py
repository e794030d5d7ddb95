"""
How much faster a month goes with its partition than by deleting its rows.

::

    python -m tests.store.measure_retention postgresql://... [rows]

wants an empty database. Both go through `prune`'s own code; deleting is given the
VACUUM that it needs.
"""

from __future__ import annotations

import sys
import time

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from structlog_activity import ActivityLog
from structlog_activity.store.partitions import months_on
from structlog_activity.store.removal import retention
from structlog_activity.store.removal.retention import Scope, prune
from tests.support.records import ACTORS, record


def timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def fill(activity: ActivityLog, month: datetime, rows: int) -> None:
    importer = activity.importer()
    for first in range(0, rows, 500):
        importer.store(
            [
                activity._rows.make_from(
                    record(
                        occurred_at=month + timedelta(seconds=n * 2_400_000 / rows),
                        actor_id=ACTORS[n % 4],
                        object_id=str(n),
                        data={"count": n, "note": "some words about it" * 4},
                    )
                )
                for n in range(first, min(first + 500, rows))
            ]
        )
    importer.close()


def main(url: str, rows: int) -> None:
    now = datetime.now(UTC)
    with ActivityLog(url) as activity:
        activity.migrate()
        months = [
            datetime.combine(months_on(now.date(), -back), datetime.min.time(), UTC)
            for back in (4, 3, 2)
        ]
        for month in months[:2]:
            fill(activity, month, rows)
        with activity.engine.connect() as connection:
            auto = connection.execution_options(isolation_level="AUTOCOMMIT")
            auto.execute(text("VACUUM ANALYZE"))
        dropped = timed(lambda: prune(activity.engine, Scope(before=months[1]), now=now))
        # Ends within the month, so that it does not go as a whole.
        scope = Scope(before=months[2] - timedelta(microseconds=1))
        deleted = timed(lambda: prune(activity.engine, scope, now=now))
        with activity.engine.connect() as connection:
            auto = connection.execution_options(isolation_level="AUTOCOMMIT")
            vacuumed = timed(lambda: auto.execute(text("VACUUM user_activity")))
        assert activity.verify().ok
    print(f"{rows:,} rows: dropped {dropped:.2f} s, deleted {deleted:.2f} s + {vacuumed:.2f} s")
    print(f"{(deleted + vacuumed) / dropped:.0f} times faster ({retention.__name__})")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 200_000)
