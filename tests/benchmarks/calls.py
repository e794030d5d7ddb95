"""
The log calls that are measured, with and without us.
"""

from __future__ import annotations

import logging

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog

from structlog_activity.capture.handler import RecorderHandler
from structlog_activity.capture.keys import ActivityKeys
from structlog_activity.capture.processor import ActivityProcessor
from structlog_activity.capture.recorder import Recorder
from structlog_activity.record.redact import Redactor
from structlog_activity.record.row import Row
from structlog_activity.record.rowmaker import RowMaker
from structlog_activity.store.batch import Batch
from structlog_activity.write.buffer import BufferedRepository

from .measuring import Case


WHO = {
    "actor_id": "0197e1c2-3f4a-7abc-8def-0123456789ab",
    "tenant_id": "0197e1c2-3f4a-7abc-8def-0123456789ac",
    "request_id": "req-1234567",
}


class Nowhere:
    """A logger whose lines go nowhere, and a repository whose rows do."""

    def msg(self, line: str) -> None:
        """Take a line."""

    info = warning = error = debug = msg

    def write(self, batch: Batch) -> bool:
        """Take a batch."""
        return True

    def stored(self, rows: Sequence[Row]) -> set[int]:
        """Know nothing."""
        return set()

    def make_room(self, first: int, last: int) -> None:
        """Do nothing."""

    def interrupt(self) -> None:
        """Do nothing."""

    def finish(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    def abandon(self) -> None:
        """Do nothing."""


def logger(*before_renderer: Any) -> Any:
    """Return a structlog logger with a typical chain that ends in JSON, going nowhere."""
    return structlog.wrap_logger(
        Nowhere(),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            *before_renderer,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    ).bind()


@contextmanager
def bound() -> Iterator[None]:
    """Have actor, tenant and request bound, as within a request."""
    with structlog.contextvars.bound_contextvars(**WHO):
        yield


def plain(log: Any) -> None:
    """Make a call without a verb."""
    log.info("request done", path="/settings/theme", status=200, seconds=0.0125)


def flat(log: Any) -> None:
    """Make an activity call with flat data."""
    log.info(
        "theme changed",
        verb="settings.updated",
        object="settings:global",
        path="ui.theme",
        to="dark",
        count=3,
    )


def nested(log: Any) -> None:
    """Make an activity call with nested data."""
    log.info(
        "theme changed",
        verb="settings.updated",
        object="settings:global",
        before={"ui": {"theme": "light", "size": 12}, "tags": ["a", "b"]},
        after={"ui": {"theme": "dark", "size": 13}, "tags": ["a", "b", "c"]},
    )


EXTRA = {
    "verb": "settings.updated",
    "object": "settings:global",
    "actor_id": WHO["actor_id"],
    "tenant_id": WHO["tenant_id"],
    "path": "ui.theme",
    "count": 3,
}


def by_logging(log: logging.Logger) -> None:
    """Make an activity call by the standard library."""
    log.info("theme changed", extra=EXTRA)


class Ours:
    """
    A recorder with all that stands behind it but the database.

    Args:

        folder: Where records wait on disk; `None`: in memory.
    """

    def __init__(self, folder: Path | None = None) -> None:
        durability = "memory" if folder is None else "wal"
        self.buffer = BufferedRepository(
            Nowhere(), durability=durability, spool_dir=folder, max_records=1_000_000
        )
        self.recorder = Recorder(
            self.buffer, rows=RowMaker(Redactor()), keys=ActivityKeys(), defaults={}, strict=False
        )
        self.processor = ActivityProcessor(self.recorder)
        self.handler = RecorderHandler(self.recorder)

    def close(self) -> None:
        """Check that nothing was refused, and stop."""
        assert self.buffer.close(60)
        counters = self.buffer.counters()
        assert counters["written"] == counters["submitted"]

    def case(self, call: Callable[[Any], None]) -> Case:
        """Return the case of *call* made with us in the chain."""
        log = logger(self.processor)
        return Case(lambda: call(log), self.buffer.flush)


def bare(call: Callable[[Any], None]) -> Case:
    """Return the case of *call* made without us."""
    log = logger()
    return Case(lambda: call(log))


def stdlib(name: str, handler: logging.Handler) -> logging.Logger:
    """Return a stdlib logger that only *handler* listens to."""
    log = logging.getLogger(f"benchmark.{name}")
    log.setLevel(logging.INFO)
    log.propagate = False
    log.handlers = [handler]
    return log
