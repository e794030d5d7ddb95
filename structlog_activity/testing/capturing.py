"""
What is recorded within a block, collected instead of written.
"""

from __future__ import annotations

import logging

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import structlog

from ..capture.diversion import all_diverted
from ..capture.handler import RecorderHandler, RecordingHandler
from ..capture.install import put_in, take_out
from ..capture.keys import ActivityKeys
from ..capture.processor import ActivityProcessor
from ..capture.processor_chain import own_index
from ..capture.recorder import Recorder
from ..record.record import ActivityRecord
from ..record.redact import Redactor
from ..record.rowmaker import RowMaker
from ..record.sink import Pending, finished


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


def innermost() -> CapturedActivities | None:
    """Return the records of the innermost block that is open; `None` if none is."""
    return _OPEN[-1] if _OPEN else None


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
