"""
From an event to a record in the sink: what processor, handler and `record` share.
"""

from __future__ import annotations

import time

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from logging import LogRecord
from typing import Any, Final, TypeAlias
from uuid import UUID

from structlog.contextvars import get_contextvars

from ..errors import InvalidRecordError
from ..record.ids import new_ids
from ..record.record import ActivityRecord
from ..record.row import Row
from ..record.rowmaker import RowMaker
from ..record.sink import SessionSink, Sink, Snapshot
from ..record.text import type_name
from ..record.traces import refuse_traces
from .diversion import take_part
from .exc_info import add_error
from .finishing import Finisher
from .keys import ActivityKeys, KeyMap
from .lazy import has_lazy, resolved
from .logrecord_snapshots import LogRecordSnapshots
from .marks import ERROR, ID, mark_record
from .sessions import is_session, plain_session, take_session
from .snapshots import EventSnapshots


NOT_KEPT: Final = "not kept: the log is closed, or too many records wait"
"""What a log line says of a record that the sink did not take."""

TakeSnapshot: TypeAlias = "Callable[[Any], Snapshot | None]"


class Recorder:
    """
    Make records of events and hand them to a sink.

    Args:

        sink: Where records go.

        session_sink: Where those go whose call names a SQLAlchemy session;
            `None`: to *sink*, like all others.

        rows: Makes rows of checked fields.

        keys: Which keys mean which field.

        defaults: Values for what an event does not have.

        strict: Raise what is otherwise only counted.

        clock: Returns now, in nanoseconds since 1970.

    Attributes:

        keys: Which keys mean which field.

        verb_key: The first of those of the verb.

        sink: Where records go at the moment.

        snapshot_of: Takes the copy of an event and returns a snapshot, to be put
            into the sink; `None` where it takes the long way, `catch`.

        snapshot_of_record: The same of a LogRecord.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        rows: RowMaker,
        keys: ActivityKeys,
        defaults: Mapping[str, Any],
        strict: bool,
        session_sink: SessionSink | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.keys = keys
        self.verb_key = keys.verb[0]
        self.sink = sink
        self._session_sink = session_sink
        self._rows = rows
        self._map = KeyMap(keys, defaults)
        self._strict = strict
        self._clock = clock
        finisher = Finisher(self._map, rows)
        events = EventSnapshots(self._map, finisher, clock)
        records = LogRecordSnapshots(events, self._map, finisher, clock)
        self.snapshot_of: TakeSnapshot = _nothing if strict else events.take
        self.snapshot_of_record: TakeSnapshot = _nothing if strict else records.take
        take_part(self)

    def catch(self, event: dict[str, Any]) -> tuple[str, str]:
        """
        Record what *event* tells.

        Args:

            event: Not changed, but a SQLAlchemy session is taken out of it:
                the record is written in that one's transaction.

        Returns:

            `ID` and the record's id, or `ERROR` and what is wrong with it.

        Raises:

            InvalidRecordError: It makes no record and the recorder is strict.

            RepositoryError: Its session is committing, and refuses it.
        """
        session = None
        try:
            session = plain_session(take_session(event))
            row = self._row(event, self._clock())
        except InvalidRecordError as error:
            return self._refused(error)
        except Exception as error:  # noqa: BLE001  Nothing a caller passes may break its log call.
            return self._refused(_unreadable(error))
        if not self._put(row, session):
            return ERROR, NOT_KEPT
        return ID, str(UUID(bytes=row.id))

    def catch_marked(self, event: dict[str, Any], record: LogRecord) -> tuple[str, str]:
        """
        Record what *event* tells, and mark the LogRecord it comes from, and with it all copies.

        Args:

            event: As for `catch`.

            record: Gets a mark; what it says is not read.

        Returns:

            As `catch`.

        Raises:

            InvalidRecordError: As `catch`; the record is marked, too.

            RepositoryError: As `catch`.
        """
        try:
            key, value = self.catch(event)
        except InvalidRecordError as error:
            mark_record(record, ERROR, str(error))
            raise
        mark_record(record, key, value)
        return key, value

    def record(self, event: dict[str, Any], session: Any = None) -> ActivityRecord:
        """
        Record what *event* tells, in the context that is bound, and return it.

        Args:

            event: What the call says.

            session: A SQLAlchemy session, in whose transaction the record is
                written; `None`: that of the context, if it has one.

        Raises:

            InvalidRecordError: A field is missing or can't be read, or
                *session* is none.

            RepositoryError: The session is committing, and refuses it.
        """
        bound = get_contextvars()
        session = session if session is not None else take_session(bound)
        layers = (bound, event)
        return self._put_made(lambda: self._made(layers, self._clock(), strict=True), session)

    def log(self, record: ActivityRecord) -> ActivityRecord:
        """
        Record *record* and return it with id and time filled.

        Raises:

            InvalidRecordError: A field is missing or can't be read.
        """
        return self._put_made(lambda: refuse_traces(self._rows.make_from(record, strict=True)))

    def with_context(self, event: dict[str, Any], *, is_call: bool = False) -> dict[str, Any]:
        """
        Return *event* with what is bound in structlog's context.

        Who acts is what the context says; anything else is what the event says.

        Args:

            event: What the call says.

            is_call: All of *event* was said by a structlog call, not by
                ``extra``; then it says who acts, too.
        """
        bound = get_contextvars()
        if not bound:
            return event
        return self._map.over(bound, event) if is_call else self._map.within(bound, event)

    @contextmanager
    def diverted(self, sink: Sink) -> Iterator[None]:
        """Send records to another sink for a while, as tests do."""
        usual = self.sink, self._session_sink
        self.sink, self._session_sink = sink, None
        try:
            yield
        finally:
            self.sink, self._session_sink = usual

    def _put_made(self, make: Callable[[], Row], session: Any = None) -> ActivityRecord:
        try:
            if session is not None:
                session = _checked(session)
            row = make()
        except InvalidRecordError as error:
            self.sink.reject(error.field, str(error))
            raise
        except Exception as error:
            refusal = _unreadable(error)
            self.sink.reject(refusal.field, str(refusal))
            raise refusal from error
        self._put(row, session)
        return row.to_record()

    def _put(self, row: Row, session: Any) -> bool:
        if session is None or self._session_sink is None:
            return self.sink.put(row)
        self._session_sink.put(session, row)
        return True

    def _refused(self, error: InvalidRecordError) -> tuple[str, str]:
        self.sink.reject(error.field, str(error))
        if self._strict:
            raise error
        return ERROR, str(error)

    # -- made a row at once -------------------------------------------------

    def _row(self, event: dict[str, Any], ns: int) -> Row:
        layers = (self._map.who_else(get_contextvars(), event), event)
        return self._made(layers, ns, strict=self._strict)

    def _made(self, layers: tuple[dict[str, Any], ...], ns: int, *, strict: bool) -> Row:
        if any(map(has_lazy, layers)):
            layers = tuple(map(resolved, layers))
        fields, data = self._map.split(*layers)
        add_error(layers[-1], data)
        # An id is made from the time that is told, so that the record is found by it.
        is_timed = fields.get("occurred_at") is not None
        id_ = 0 if is_timed else new_ids.next(ns)
        return refuse_traces(self._rows.make(fields, data, id=id_, ns=ns, strict=strict))


def _nothing(_told: Any) -> None:
    """Take no snapshot: who is strict refuses at the call what the writer would replace."""


def _checked(session: Any) -> Any:
    if not is_session(session):
        raise InvalidRecordError(
            "session", f"a SQLAlchemy Session or AsyncSession is needed, not {type_name(session)}"
        )
    return plain_session(session)


def _unreadable(error: Exception) -> InvalidRecordError:
    return InvalidRecordError("event", f"can't be read ({type(error).__name__})")
