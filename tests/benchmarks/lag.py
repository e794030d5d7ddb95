"""
How long an event loop waits for its turn while the writer drains.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

from structlog_activity import ActivityLog

from .calls import bound, flat, logger
from .database import migrated, server
from .measuring import Sizes, result
from .results import Result


_TICK = 0.001
_CALLS = 5  # per tick: about 4,000 a second


def lag(sizes: Sizes) -> list[Result]:
    """Return the 99th percentile of the loop's lag, with us and without."""
    found: dict[str, list[float]] = {"bare": [], "ours": []}
    with bound(), server() as started:
        activity = ActivityLog(migrated(started))
        with contextlib.closing(activity):
            logs = {"bare": logger(), "ours": logger(activity.processor)}
            flat(logs["ours"])
            assert activity.flush(60)
            for _ in range(sizes.runs):
                for name, log in logs.items():
                    lags = asyncio.run(_watch(log, sizes.seconds))
                    found[name].append(1000 * lags[int(len(lags) * 0.99)])
            assert activity.flush(60)
            assert activity.counters()["dropped"] == 0
    found["without us"] = found.pop("bare")
    what = "event loop's lag while draining, 99th percentile"
    return [result(what, found, again=None, goal=5, unit="ms")]


async def _watch(log: object, seconds: float) -> list[float]:
    """Return how late each tick of a loop was that makes calls meanwhile, least first."""
    lags = []
    end = time.perf_counter() + seconds
    while (before := time.perf_counter()) < end:
        await asyncio.sleep(_TICK)
        lags.append(time.perf_counter() - before - _TICK)
        for _ in range(_CALLS):
            flat(log)
    return sorted(lags)
