"""
From an event to a record in the sink: what processor, handler and `record` share.
"""

from __future__ import annotations

import time
import weakref

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from structlog.contextvars import get_contextvars

from ..errors import InvalidRecordError
from ..record.ids import new_ids
from ..record.plain import SCALARS
from ..record.record import ActivityRecord
from ..record.row import Row
from ..record.rowmaker import RowMaker
from ..record.sink import Pending, SessionSink, Sink, finished
from ..record.text import has_control, type_name
from .exceptions import add_error
from .keys import ActivityKeys, KeyMap
from .lazy import has_lazy, resolved
from .marks import ERROR, ID
from .sessions import KEY as SESSION
from .sessions import is_session, plain_session, take_session


_WAITING_TYPES: Final = SCALARS | {UUID, datetime}
_KNOWN_VERBS: Final = 4096
_LONGEST_VERB: Final = 200


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
        self._sink = sink
        self._session_sink = session_sink
        self._rows = rows
        self._map = KeyMap(keys, defaults)
        self._strict = strict
        self._clock = clock
        self._verb_key = keys.verb[0]
        self._object_key = keys.object[0]
        # These need a look at the call: a type or a time that may be refused, an
        # exception that has to be read, a transaction to go with.
        self._late = frozenset(
            (*keys.object_type, *keys.occurred_at, SESSION, "exc_info", "exception"),
        )
        self._actor_key = keys.actor_id[0]
        self._tenant_key = keys.tenant_id[0]
        self._known_verbs: set[str] = set()
        _live.add(self)

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
            ns = self._clock()
            id_ = new_ids.next(ns)
            pending = self._snapshot(event, id_, ns)
            if pending is None:
                session = plain_session(take_session(event))
                pending = self._row(event, id_, ns)
        except InvalidRecordError as error:
            return self._refused(error)
        except Exception as error:  # noqa: BLE001  Nothing a caller passes may break its log call.
            return self._refused(_unreadable(error))
        if not (self._sink.put(pending) if session is None else self._put(pending, session)):
            return ERROR, "not kept: the log is closed, or too many records wait"
        if type(pending) is Row:
            id_ = int.from_bytes(pending.id)
        text = f"{id_:032x}"
        return ID, f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

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
        return self._put_made(lambda: self._rows.make_from(record, strict=True))

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
        if is_call:
            return {**self._map.without_who_of(event, bound), **event}
        return {**bound, **self._map.without_who_of(bound, event)}

    @contextmanager
    def diverted(self, sink: Sink) -> Iterator[None]:
        """Send records to another sink for a while, as tests do."""
        usual = self._sink, self._session_sink
        self._sink, self._session_sink = sink, None
        try:
            yield
        finally:
            self._sink, self._session_sink = usual

    def _put_made(self, make: Callable[[], Row], session: Any = None) -> ActivityRecord:
        try:
            if session is not None:
                session = _checked(session)
            row = make()
        except InvalidRecordError as error:
            self._sink.reject(error.field, str(error))
            raise
        except Exception as error:
            refusal = _unreadable(error)
            self._sink.reject(refusal.field, str(refusal))
            raise refusal from error
        self._put(row, session)
        return row.to_record()

    def _put(self, pending: Pending, session: Any) -> bool:
        if session is None or self._session_sink is None:
            return self._sink.put(pending)
        self._session_sink.put(session, finished(pending))
        return True

    def _refused(self, error: InvalidRecordError) -> tuple[str, str]:
        self._sink.reject(error.field, str(error))
        if self._strict:
            raise error
        return ERROR, str(error)

    # -- the short way: set aside, made a row by the writer ------------------

    def _snapshot(self, event: dict[str, Any], id_: int, ns: int) -> Pending | None:
        """
        Set *event* aside if nothing in it can change or fail later; else `None`.

        Who acts is looked up in the context where the event doesn't say it:
        otherwise a processor that stands before merge_contextvars would record
        nobody, and nothing would tell.
        """
        if self._strict or not self._late.isdisjoint(event):
            return None
        copy = event.copy()
        object_ = copy.pop(self._object_key, None)
        if not self._is_sure(copy, object_):
            return None
        if self._actor_key not in copy or self._tenant_key not in copy:
            copy.update(self._map.who_else(event, get_contextvars()))
        if not _may_wait(copy):
            return None
        return self._finish, id_, ns, copy, object_

    def _is_sure(self, event: dict[str, Any], object_: Any) -> bool:
        """Tell whether verb and object are sure to pass, so that nothing is left to refuse."""
        verb = event.get(self._verb_key)
        if type(verb) is not str or len(verb) > _LONGEST_VERB:
            return False
        if verb not in self._known_verbs and not self._learn(verb):
            return False
        if type(object_) is tuple and len(object_) == 2:  # noqa: PLR2004
            if type(object_[1]) not in _WAITING_TYPES:
                return False
            object_ = object_[0]
        return type(object_) is str and object_[:1].isalnum()

    def _learn(self, verb: str) -> bool:
        if not verb.strip() or has_control(verb):
            return False
        if len(self._known_verbs) < _KNOWN_VERBS:
            self._known_verbs.add(verb)
        return True

    def _finish(self, snapshot: Any) -> Row:
        _, id_, ns, event, object_ = snapshot
        fields, data = self._map.split({**event, self._object_key: object_})
        return self._rows.make(fields, data, id=id_, ns=ns)

    # -- the long way: made a row at once -----------------------------------

    def _row(self, event: dict[str, Any], id_: int, ns: int) -> Row:
        layers = (self._map.who_else(event, get_contextvars()), event)
        return self._made(layers, ns, id_, strict=self._strict)

    def _made(
        self, layers: tuple[dict[str, Any], ...], ns: int, id_: int = 0, *, strict: bool
    ) -> Row:
        if any(map(has_lazy, layers)):
            layers = tuple(map(resolved, layers))
        fields, data = self._map.split(*layers)
        add_error(layers[-1], data)
        # An id is made from the time that is told, so that the record is found by it.
        is_timed = fields.get("occurred_at") is not None
        id_ = 0 if is_timed else id_ or new_ids.next(ns)
        return self._rows.make(fields, data, id=id_, ns=ns, strict=strict)


def _may_wait(event: dict[str, Any]) -> bool:
    try:
        return _WAITING_TYPES.issuperset(map(type, event.values()))
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001  A metaclass can make a lookup of its class do anything.
        return False


def _checked(session: Any) -> Any:
    if not is_session(session):
        raise InvalidRecordError(
            "session", f"a SQLAlchemy Session or AsyncSession is needed, not {type_name(session)}"
        )
    return plain_session(session)


def _unreadable(error: Exception) -> InvalidRecordError:
    return InvalidRecordError("event", f"can't be read ({type(error).__name__})")


_live: weakref.WeakSet[Recorder] = weakref.WeakSet()


def live_recorders() -> list[Recorder]:
    """Return all recorders of this process."""
    return list(_live)
