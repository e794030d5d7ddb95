"""
Several that do the same at once, each with an engine of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

from sqlalchemy import Engine

from structlog_activity.store.engine import make_engine


T = TypeVar("T")


def at_once(count: int, engine: Engine, work: Callable[[Engine], T]) -> list[T]:
    """Return what each of them made of it; raise what one of them raised."""
    gate = Barrier(count)

    def run(_: int) -> T:
        own = make_engine(engine.url)
        try:
            gate.wait()
            return work(own)
        finally:
            own.dispose()

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(run, range(count)))
