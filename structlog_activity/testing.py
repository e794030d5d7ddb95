"""
For tests of your own: see what was recorded, without a database.
"""

from __future__ import annotations

import logging

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from uuid import UUID

import structlog

from .capture.handler import RecorderHandler, RecordingHandler
from .capture.keys import ActivityKeys
from .capture.processor import ActivityProcessor
from .capture.recorder import Recorder, live_recorders
from .read.memory import MemoryReads, matches
from .record.record import ActivityRecord
from .record.redact import Redactor
from .record.row import Row
from .record.rowmaker import RowMaker
from .record.sink import Pending, finished
from .store.batch import Batch


__all__ = ["MemoryRepository", "capture_activity", "matches"]


class MemoryRepository(MemoryReads):
    """
    A repository that keeps its records in a list, and reads them back.

    It answers as the databases do, so it stands for them in tests::

        memory = MemoryRepository()
        buffered = BufferedRepository(memory)

    Attributes:

        rows: What was written, in the order in which it came.

        batches: The identity of every batch, in that order.

    .. versionadded:: 0.1.0
    """

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.batches: list[tuple[UUID, int]] = []

    @property
    def records(self) -> list[ActivityRecord]:
        """What was written, in the order in which it came."""
        return [row.to_record() for row in self.rows]

    def write(self, batch: Batch) -> bool:
        """Keep *batch*; return `False` if it was written before."""
        identity = (batch.writer_id, batch.seq)
        if identity in self.batches:
            return False
        if self.stored(batch.rows):
            from .store.faults import Fault, StoreError

            raise StoreError(Fault.DUPLICATE, "a record of the batch is stored already")
        self.batches.append(identity)
        self.rows.extend(batch.rows)
        return True

    def stored(self, rows: Sequence[Row]) -> set[int]:
        """Return the indexes of those *rows* that were written."""
        keys = {row.key for row in self.rows}
        return {index for index, row in enumerate(rows) if row.key in keys}

    def make_room(self, first: int, last: int) -> None:
        """Do nothing."""

    def finish(self) -> None:
        """Do nothing; a list has no end that could be cut off."""

    def interrupt(self) -> None:
        """Do nothing; no call takes long."""

    def close(self) -> None:
        """Do nothing; the records stay."""

    def abandon(self) -> None:
        """Do nothing; a forked child has a copy of its own."""


class _Collector:
    """A sink that keeps records in a list."""

    def __init__(self) -> None:
        self.seen: list[ActivityRecord] = []
        self.rejected: Counter[str] = Counter()

    def put(self, pending: Pending, /) -> bool:
        self.seen.append(finished(pending).to_record())
        return True

    def reject(self, reason: str, detail: str = "", /) -> None:
        self.rejected[reason] += 1


@contextmanager
def capture_activity() -> Iterator[list[ActivityRecord]]:
    """
    Collect what is recorded within the block, and keep it from any database.

    Whatever is set up already (processors, handlers, `ActivityLog.record`)
    records into the list; where nothing is, structlog's configuration and the
    root logger record for the time of the block::

        with capture_activity() as seen:
            change_theme()

        assert [("settings.updated", "settings:global")] == [...]

    A record in the transaction of a SQLAlchemy session is there at the call,
    whatever becomes of the transaction.

    Yields:

        The list, which fills while the block runs.

    .. versionadded:: 0.1.0
    """
    collector = _Collector()
    with ExitStack() as stack:
        for recorder in live_recorders():
            stack.enter_context(recorder.diverted(collector))
        recorder = Recorder(
            collector, rows=RowMaker(Redactor()), keys=ActivityKeys(), defaults={}, strict=False
        )
        stack.enter_context(_processing(recorder))
        stack.enter_context(_handling(recorder))
        yield collector.seen


@contextmanager
def _processing(recorder: Recorder) -> Iterator[None]:
    # In place: loggers that are cached hold on to this very list.
    processors: list[Any] = structlog.get_config()["processors"]
    if any(isinstance(processor, ActivityProcessor) for processor in processors):
        yield
        return
    processor = ActivityProcessor(recorder)
    processors.insert(max(0, len(processors) - 1), processor)
    try:
        yield
    finally:
        if processor in processors:  # Whoever configured anew meanwhile may have emptied it.
            processors.remove(processor)


@contextmanager
def _handling(recorder: Recorder) -> Iterator[None]:
    root = logging.getLogger()
    if any(isinstance(handler, RecordingHandler) for handler in root.handlers):
        yield
        return
    handler = RecorderHandler(recorder)
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
