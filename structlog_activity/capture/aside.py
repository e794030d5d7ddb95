"""
Events set aside: the short way of a log call, which leaves the work to the writer.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from structlog.contextvars import get_contextvars

from ..record.ids import new_ids
from ..record.plain import MAX_DEPTH, MAX_NODES, SCALARS
from ..record.row import Row
from ..record.rowmaker import RowMaker
from ..record.sink import Snapshot
from ..record.template import Template, template_for
from ..record.text import has_control
from ..record.traces import TRACES
from .exceptions import add_error
from .keys import ActivityKeys, KeyMap
from .marks import ERROR, ID


_WAITING: Final = SCALARS | {UUID, datetime}
_may_wait: Final = _WAITING.issuperset
_are_text: Final = frozenset({str}).issuperset
_KNOWN_VERBS: Final = 4096
_LONGEST_VERB: Final = 200
_TEMPLATES: Final = 1024
_PAIR: Final = 2


class Aside:
    """
    Set events aside that are sure to become rows.

    What a log call pays is here: a copy of the event, a look at the types in
    it, and an id. Nothing is made, checked or encoded that the writer's thread
    can do as well. Each step is inlined that ten thousand calls a second would
    pay a function call for.

    Args:

        keys: Which keys mean which field.

        key_map: Splits events by them.

        rows: Makes the rows, later.

        clock: Returns now, in nanoseconds since 1970.
    """

    __slots__ = (
        "_actor_key", "_clock", "_has_no_special", "_key_map", "_known_verbs", "_next_id",
        "_object_key", "_rows", "_special", "_templates", "_tenant_key", "_type_key", "_verb_key",
    )  # fmt: skip

    def __init__(
        self, keys: ActivityKeys, key_map: KeyMap, rows: RowMaker, clock: Callable[[], int]
    ) -> None:
        self._key_map = key_map
        self._rows = rows
        self._clock = clock
        self._verb_key = keys.verb[0]
        self._object_key = keys.object[0]
        self._type_key = keys.object_type[0]
        self._actor_key = keys.actor_id[0]
        self._tenant_key = keys.tenant_id[0]
        # These need a look at the call: an exception to be read, a time of which the
        # id is made, a type that may be refused, the mark of what was recorded already.
        self._special = frozenset(
            (ID, ERROR, "exc_info", *keys.occurred_at, *keys.object_type),
        )
        self._has_no_special = self._special.isdisjoint
        self._next_id = new_ids.next_text
        self._known_verbs: set[str] = set()
        self._templates: dict[tuple[str, ...], Template | None] = {}

    def take(self, event: dict[str, Any]) -> Snapshot | None:
        """
        Return *event* set aside, its id in second place; `None` if that takes a closer look.

        Nothing of what this returns is refused later: verb and object are sure
        to pass. Who acts is looked up in the context where the event doesn't
        say it: otherwise a processor that stands before merge_contextvars would
        record nobody, and nothing would tell.
        """
        try:
            # Ours, and as long as it holds nothing but the types that may wait,
            # nobody can change it. A SQLAlchemy session is none of them.
            copy = event.copy()
            object_ = copy.get(self._object_key)
            if (
                (self._has_no_special(copy) or self._is_apart(copy))
                and (_may_wait(map(type, copy.values())) or self._settle(copy))
                and (copy[self._verb_key] in self._known_verbs or self._learn(copy))
                # Between these there is a type for sure, and no white space.
                and ((type(object_) is str and "A" <= object_ < "{") or self._is_sure(copy))
                and ((self._actor_key in copy and self._tenant_key in copy) or self._complete(copy))
            ):
                ns = self._clock()
                return self._finish, self._next_id(ns), ns, copy
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001, S110  The closer look tells what is wrong.
            pass  # A metaclass can make the look at a type do anything.
        return None

    def _learn(self, event: dict[str, Any]) -> bool:
        """Tell whether the verb is sure to pass, and remember it."""
        verb = event.get(self._verb_key)
        if type(verb) is not str or len(verb) > _LONGEST_VERB:
            return False
        if not verb.strip() or has_control(verb) or verb.strip() in TRACES:
            return False
        if len(self._known_verbs) < _KNOWN_VERBS:
            self._known_verbs.add(verb)
        return True

    def _is_apart(self, event: dict[str, Any]) -> bool:
        """Tell whether all that is special is that the type of the object is said by itself."""
        special = self._special.intersection(event)
        return special == {self._type_key} and self._object_key not in event

    def _is_sure(self, event: dict[str, Any]) -> bool:
        """Tell whether the object is sure to have a type, however it is said."""
        object_ = event.get(self._object_key)
        if object_ is None:
            object_ = event.get(self._type_key)
        elif type(object_) is tuple and len(object_) == _PAIR and type(object_[1]) in _WAITING:
            object_ = object_[0]
        return type(object_) is str and object_[:1].isalnum()

    def _complete(self, event: dict[str, Any]) -> bool:
        """Add what the context tells of who acts; `False` if it takes a closer look."""
        more = self._key_map.who_else(event, get_contextvars())
        event.update(more)
        return not more or _may_wait(map(type, more.values()))

    def _settle(self, event: dict[str, Any]) -> bool:
        """Copy what *event* holds as far down as it goes; `False` if it can't be."""
        object_ = event.get(self._object_key)
        if type(object_) is tuple:  # The one container that nearly every call may have.
            event[self._object_key] = None
            is_flat = _may_wait(map(type, event.values()))
            event[self._object_key] = object_
            if is_flat:
                return len(object_) == _PAIR and _may_wait(map(type, object_))
        left = [MAX_NODES]
        for key, value in event.items():
            if type(value) not in _WAITING:
                event[key] = _own(value, 1, left)
        return True

    def _finish(self, snapshot: Any) -> Row:
        _, text, ns, event = snapshot
        id_ = bytes.fromhex(text.replace("-", ""))
        template = self._template(event)
        row = None if template is None else template.row(event, id_, ns // 1000)
        if row is not None:
            return row
        fields, data = self._key_map.split(event)
        add_error(event, data)
        return self._rows.make(fields, data, id=int.from_bytes(id_, "big"), ns=ns)

    def _template(self, event: dict[str, Any]) -> Template | None:
        """Return what is known of events with these keys; `None` if nothing is that helps."""
        keys = tuple(event)
        if not _are_text(map(type, keys)):
            return None
        try:
            return self._templates[keys]
        except KeyError:
            parts = None if "exception" in keys else self._key_map.places(keys)
            template = None if parts is None else template_for(self._rows, *parts)
        if template is not None:
            if len(self._templates) >= _TEMPLATES:
                self._templates.clear()
            self._templates[keys] = template
        return template


def _own(value: Any, depth: int, left: list[int]) -> Any:
    """
    Return a copy of a builtin container that shares nothing which can change.

    Args:

        value: The container.

        depth: How deep it lies.

        left: How many more values may be copied.

    Raises:

        ValueError: It is something else, or holds it, or too much.
    """
    kind = type(value)
    if kind is not dict and kind is not list and kind is not tuple:
        raise ValueError(depth)
    left[0] -= len(value)
    if left[0] < 0 or depth > MAX_DEPTH:
        raise ValueError(depth)
    copy: Any = list(value) if kind is tuple else value.copy()
    if kind is dict:
        if not _are_text(map(type, copy)):
            raise ValueError(depth)
        content, places = copy.values(), copy.items()
    else:
        content, places = copy, enumerate(copy)
    if not _may_wait(map(type, content)):
        for place, item in places:
            if type(item) not in _WAITING:
                copy[place] = _own(item, depth + 1, left)
    return tuple(copy) if kind is tuple else copy
