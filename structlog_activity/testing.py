"""
For tests of your own: see what was recorded, without a database.
"""

from __future__ import annotations

import logging

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final
from uuid import UUID

import structlog

from .capture.diversion import all_diverted
from .capture.handler import RecorderHandler, RecordingHandler
from .capture.install import put_in, take_out
from .capture.keys import ActivityKeys
from .capture.processor import ActivityProcessor
from .capture.processor_chain import own_index
from .capture.recorder import Recorder
from .expected import find_expected, tell_misses
from .read.memory import MemoryReads, matches
from .record.record import ActivityRecord
from .record.redact import Redactor
from .record.row import Row
from .record.rowmaker import RowMaker
from .record.sink import Pending, finished
from .store.batch import Batch


__all__ = [
    "CapturedActivities",
    "MemoryRepository",
    "assert_recorded",
    "capture_activity",
    "matches",
]


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


class CapturedActivities(list[ActivityRecord]):
    """
    The records of a `capture_activity` block, in the order in which they were made.

    Attributes:

        rejected: How many calls made no record, by reason.

    .. versionadded:: 0.1.0
    """

    def __init__(self) -> None:
        super().__init__()
        self.rejected: Counter[str] = Counter()


class _Collector:
    """A sink that keeps records in a list."""

    def __init__(self) -> None:
        self.seen = CapturedActivities()

    def put(self, pending: Pending, /) -> bool:
        self.seen.append(finished(pending).to_record())
        return True

    def reject(self, reason: str, detail: str = "", /) -> None:
        self.seen.rejected[reason] += 1


# The blocks of `capture_activity` that are open, the innermost last.
_OPEN: Final[list[CapturedActivities]] = []


@contextmanager
def capture_activity() -> Iterator[CapturedActivities]:
    """
    Collect what is recorded within the block, and keep it from any database.

    Whatever is set up already, or within the block (processors, handlers,
    `ActivityLog.record`), records into the list; where nothing is, structlog's
    configuration and the root logger record for the time of the block::

        with capture_activity() as seen:
            change_theme()

        assert_recorded(seen, verb="settings.updated", object="settings:global")

    A record in the transaction of a SQLAlchemy session is there at the call,
    whatever becomes of the transaction.

    Yields:

        The list, which fills while the block runs.

    .. versionadded:: 0.1.0
    """
    collector = _Collector()
    recorder = Recorder(
        collector, rows=RowMaker(Redactor()), keys=ActivityKeys(), defaults={}, strict=False
    )
    with ExitStack() as stack:
        stack.enter_context(all_diverted(collector))
        stack.enter_context(_processing(recorder))
        stack.enter_context(_handling(recorder))
        _OPEN.append(collector.seen)
        # By identity: two empty lists are equal.
        stack.callback(lambda: _OPEN.pop(_place(collector.seen)))
        yield collector.seen


def assert_recorded(
    records: Sequence[ActivityRecord] | None = None,
    /,
    *,
    count: int | None = None,
    **expected: Any,
) -> list[ActivityRecord]:
    """
    Fail unless something was recorded; the failure shows what comes nearest, and what differs.

    Values are compared as records have them: ids as `to_uuid` reads them,
    ``object`` in any form that log calls take, details as they are stored::

        assert_recorded(verb="settings.updated", object="settings:global", actor_id=7, to="dark")

    Args:

        records: Where to look; default is the innermost block of
            `capture_activity` that is open, which the fixture `activities` is.

        count: How many there must be, 0 for none; default is at least one.

        expected: Values of fields, of ``object``, and of keys of ``data``, which
            ``data={...}`` takes, too: those it names must be there.

    Returns:

        The records that have all of it, in order.

    Raises:

        AssertionError: There are more or fewer of them.

        RuntimeError: No records were given, and no block is open.

    .. versionadded:: 0.1.0
    """
    __tracebackhide__ = True  # pytest shows the test's own line.
    if records is None:
        if not _OPEN:
            raise RuntimeError("no capture_activity() block is open: give the records")
        records = _OPEN[-1]
    found = find_expected(records, expected)
    if bool(found) if count is None else len(found) == count:
        return found
    rejected = records.rejected if isinstance(records, CapturedActivities) else {}
    lines = [f"  a call made no record: {why}, {n} times" for why, n in rejected.items()]
    raise AssertionError("\n".join((tell_misses(records, expected, len(found), count), *lines)))


def _place(seen: CapturedActivities) -> int:
    return next(index for index, one in enumerate(_OPEN) if one is seen)


@contextmanager
def _processing(recorder: Recorder) -> Iterator[None]:
    if own_index(structlog.get_config()["processors"]) is not None:
        yield
        return
    ours = [ActivityProcessor(recorder)]
    put_in(ours)
    try:
        yield
    finally:
        take_out(ours)


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
