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

from .capture.handler import RecorderHandler, RecordingHandler
from .capture.keys import ActivityKeys
from .capture.processor import ActivityProcessor
from .capture.recorder import Recorder, live_recorders
from .read.cursor import Place, decode_cursor, encode_cursor
from .read.filter import ActivityFilter, AllTenants, ascii_lower
from .read.page import ActivityPage, ActivityStats
from .record.record import ActivityRecord
from .record.redact import Redactor
from .record.row import Row
from .record.rowmaker import RowMaker
from .record.sink import Pending, finished
from .record.times import to_microseconds
from .store.batch import Batch


_CAP: Final = 10_000


class MemoryRepository:
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

    def interrupt(self) -> None:
        """Do nothing; no call takes long."""

    def close(self) -> None:
        """Do nothing; the records stay."""

    def abandon(self) -> None:
        """Do nothing; a forked child has a copy of its own."""

    def feed(self, **where: Any) -> ActivityPage:
        """Return a page of the records; as `ActivityLog.feed`."""
        filter_ = ActivityFilter(**where)
        digest = filter_.digest()
        found = self._selected(filter_)
        start, stop = _bounds(found, filter_, digest)
        records = found[start:stop]
        older, newer = stop < len(found), start > 0
        return ActivityPage(
            records=records,
            has_more=bool(records) and older,
            next_cursor=_cursor(records[-1], digest) if records and older else None,
            prev_cursor=_cursor(records[0], digest) if records and newer else None,
            next_offset=filter_.offset + filter_.limit,
            total=_total(found, filter_),
            total_is_exact=filter_.total == "exact"
            or (filter_.total == "capped" and len(found) <= _CAP),
        )

    def stats(self, **where: Any) -> ActivityStats:
        """Count the records; as `ActivityLog.stats`."""
        found = self._selected(ActivityFilter(**where))
        days = Counter(r.occurred_at.date() for r in found if r.occurred_at)
        return ActivityStats(
            total=len(found),
            by_verb=_sorted(Counter(r.verb for r in found)),
            by_channel=_sorted(Counter(r.channel for r in found)),
            by_object_type=_sorted(Counter(r.object_type for r in found)),
            by_day=dict(sorted(days.items())),
        )

    def _selected(self, where: ActivityFilter) -> list[ActivityRecord]:
        found = [record for record in self.records if matches(where, record)]
        return sorted(found, key=_place, reverse=True)


def matches(where: ActivityFilter, record: ActivityRecord) -> bool:
    """
    Tell whether a filter selects a record.

    The filter's meaning in plain Python, against which the databases are tested.
    """
    return (isinstance(where.tenant_id, AllTenants) or record.tenant_id == where.tenant_id) and all(
        test(where, record) for test in _TESTS
    )


_EQUAL: Final = ("org_id", "actor_id", "user_id", "object_type", "object_id")


def _has_fields(where: ActivityFilter, record: ActivityRecord) -> bool:
    wanted = {name: getattr(where, name) for name in _EQUAL}
    return all(value is None or value == getattr(record, name) for name, value in wanted.items())


def _involves(where: ActivityFilter, record: ActivityRecord) -> bool:
    return where.involving is None or where.involving in (record.actor_id, record.user_id)


def _has_verb(where: ActivityFilter, record: ActivityRecord) -> bool:
    return not where.verbs or any(
        record.verb.startswith(verb[:-1]) if verb.endswith("*") else record.verb == verb
        for verb in where.verbs
    )


def _is_in_channel(where: ActivityFilter, record: ActivityRecord) -> bool:
    wanted = where.channels or ((where.channel,) if where.channel else ())
    return record.channel not in where.channel_denylist and (not wanted or record.channel in wanted)


def _is_in_time(where: ActivityFilter, record: ActivityRecord) -> bool:
    since: Any = where.since
    until: Any = where.until
    moment = record.occurred_at
    return moment is not None and (
        (since is None or since <= moment) and (until is None or moment < until)
    )


def _has_keyword(where: ActivityFilter, record: ActivityRecord) -> bool:
    texts = (record.verb, record.object_type, record.object_id)
    return where.keyword is None or any(where.keyword in ascii_lower(text) for text in texts)


def _has_data(where: ActivityFilter, record: ActivityRecord) -> bool:
    return all(
        key in record.data and _same(record.data[key], value)
        for key, value in (where.data or {}).items()
    )


_TESTS: Final = (
    _has_fields,
    _involves,
    _has_verb,
    _is_in_channel,
    _is_in_time,
    _has_keyword,
    _has_data,
)


def _same(stored: Any, wanted: Any) -> bool:
    # To Python True equals 1; to JSON it does not.
    return stored == wanted and isinstance(stored, bool) == isinstance(wanted, bool)


def _bounds(found: list[ActivityRecord], where: ActivityFilter, digest: bytes) -> tuple[int, int]:
    if where.after:
        place = decode_cursor("after", where.after, digest, b"")
        start = sum(_place(record) >= place for record in found)
        return start, min(start + where.limit, len(found))
    if where.before:
        place = decode_cursor("before", where.before, digest, b"")
        stop = sum(_place(record) > place for record in found)
        return max(0, stop - where.limit), stop
    return where.offset, where.offset + where.limit


def _total(found: list[ActivityRecord], where: ActivityFilter) -> int | None:
    if where.total == "none":
        return None
    return len(found) if where.total == "exact" else min(len(found), _CAP)


def _place(record: ActivityRecord) -> Place:
    assert record.occurred_at is not None  # noqa: S101  Every stored record has its time.
    return Place(to_microseconds(record.occurred_at), record.id)


def _cursor(record: ActivityRecord, digest: bytes) -> str:
    return encode_cursor(_place(record), digest, b"")


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


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
