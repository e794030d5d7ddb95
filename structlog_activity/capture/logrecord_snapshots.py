"""
Snapshots of LogRecords: what is known of those of one log call is looked up once.
"""

from __future__ import annotations

import logging

from collections.abc import Callable
from operator import itemgetter
from typing import Any, Final

from structlog.contextvars import get_contextvars

from ..record.ids import new_ids
from ..record.row import Row
from ..record.sink import Snapshot
from .copies import IMMUTABLE, copied_items
from .finishing import Finisher
from .keys import EVENT, KeyMap
from .logrecord import is_usual, message_of, names_of, usual_event
from .snapshots import FIRST_OF_OBJECTS, EventSnapshots, raise_of_signal, surely_has_type


_VERBS: Final = 4096
_are_immutable: Final = IMMUTABLE.issuperset


class Shape:
    """
    What LogRecords with the same attributes have in common.

    Args:

        record: One of them.

        object_key: The attribute that is the object.

        key_map: Merges what is bound.

        finisher: Makes rows of their snapshots.

    Attributes:

        names: All their attributes, in their order.

        logger: The name of their logger.

        read: Returns the values of those that the call gave.

        place: Where the object is among these.

        finish: Makes a row of a snapshot ``(finish, id, ns, values, text, bound)``.
    """

    __slots__ = ("_finisher", "_given", "_key_map", "finish", "logger", "names", "place", "read")

    def __init__(
        self, record: logging.LogRecord, object_key: str, key_map: KeyMap, finisher: Finisher
    ) -> None:
        self._given = names_of(record)
        self._key_map = key_map
        self._finisher = finisher
        self.names = [*record.__dict__]
        self.logger = record.name
        self.read: Callable[[Any], tuple[Any, ...]] = itemgetter(*self._given)
        self.place = self._given.index(object_key)
        self.finish: Callable[[Any], Row] = self._finish

    def _finish(self, snapshot: Any) -> Row:
        _, text, ns, values, message, bound = snapshot
        event = dict(zip(self._given, values, strict=True))
        event[EVENT] = message
        if bound:
            event = self._key_map.within(bound, event)
        return self._finisher.finish((self.finish, text, ns, event))


class LogRecordSnapshots:
    """
    Take snapshots of LogRecords that are sure to become rows.

    A program has few log calls, and each always gives its records the same
    attributes. To hold a list of names against that of the last record with the
    same verb takes a fraction of what it takes to go through twenty names of
    logging's own for a few of the call's.

    Args:

        events: Takes the snapshots of records whose shape is not known, as events.

        key_map: Merges what is bound.

        finisher: Makes the rows, later.

        clock: Returns now, in nanoseconds since 1970.
    """

    __slots__ = (
        "_clock", "_events", "_finisher", "_has_no_special", "_key_map", "_object_key", "_shapes",
        "_verb_key",
    )  # fmt: skip

    def __init__(
        self,
        events: EventSnapshots,
        key_map: KeyMap,
        finisher: Finisher,
        clock: Callable[[], int],
    ) -> None:
        self._events = events
        self._key_map = key_map
        self._finisher = finisher
        self._clock = clock
        self._verb_key = key_map.keys.verb[0]
        self._object_key = key_map.keys.object[0]
        self._has_no_special = events.has_no_special
        self._shapes: dict[Any, Shape] = {}  # By verb.

    def take(self, record: logging.LogRecord) -> Snapshot | None:
        """Return a snapshot, its id in second place; `None` if *record* takes a closer look."""
        shape = self._shape_of(record)
        if shape is None:
            return self._of_event(record)
        try:
            values = shape.read(record.__dict__)
            if not _are_immutable(map(type, values)):
                values = copied_items(values)
            object_ = values[shape.place]
            if object_[0] not in FIRST_OF_OBJECTS and not surely_has_type(object_):
                return None
            bound = get_contextvars()
            if bound:
                self._check(bound)
            ns = self._clock()
            message = message_of(record) if record.args else record.msg
            until, head, part = new_ids.state
            text = head + part() if ns < until else new_ids.next_text(ns)
            return shape.finish, text, ns, values, message, bound or None  # noqa: TRY300
        except BaseException as error:  # noqa: BLE001  As in EventSnapshots.take.
            raise_of_signal(error)
        return self._of_event(record)  # Which can do more, and renews ids where they ran out.

    def _shape_of(self, record: logging.LogRecord) -> Shape | None:
        """Return the shape of a usual record, if it is that of the last one with its verb."""
        attributes = record.__dict__
        verb = attributes[self._verb_key]
        shape = self._shapes.get(verb) if type(verb) is str else None
        if shape is None or [*attributes] != shape.names or not is_usual(record, shape.logger):
            return None
        return shape

    def _check(self, bound: dict[str, Any]) -> None:
        if not (_are_immutable(map(type, bound.values())) and self._has_no_special(bound)):
            raise ValueError

    def _of_event(self, record: logging.LogRecord) -> Snapshot | None:
        said = usual_event(record)
        if said is None:
            return None
        bound = get_contextvars()
        event = self._key_map.within(bound, said) if bound else said
        snapshot = self._events.take(event)
        if snapshot is not None and self._object_key in said and self._has_no_special(said):
            self._remember(record)
        return snapshot

    def _remember(self, record: logging.LogRecord) -> None:
        if len(self._shapes) >= _VERBS:
            self._shapes.clear()
        shape = Shape(record, self._object_key, self._key_map, self._finisher)
        self._shapes[record.__dict__[self._verb_key]] = shape
