"""
Snapshots of events: the short way of a log call, which leaves the work to the writer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from structlog.contextvars import get_contextvars

from ..record.budgets import MAX_VERB
from ..record.ids import new_ids
from ..record.row import Row
from ..record.sink import Snapshot
from ..record.text import has_control
from ..record.traces import TRACES
from .copies import IMMUTABLE, copy_containers
from .finishing import Finisher
from .keys import KeyMap
from .marks import ERROR, ID


_KNOWN_VERBS: Final = 4096
_PAIR: Final = 2

FIRST_OF_OBJECTS: Final = frozenset(map(chr, range(ord("A"), ord("z") + 1)))
"""The object that begins with one of these has a type for sure: no white space, no colon."""


class EventSnapshots:
    """
    Take snapshots of events that are sure to become rows.

    What a log call pays is here: a copy of the event, a look at the types in
    it, and an id. Nothing is made, checked or encoded that the writer's thread
    can do as well.

    Args:

        key_map: Splits events by their keys.

        finisher: Makes the rows, later.

        clock: Returns now, in nanoseconds since 1970.

    Attributes:

        has_no_special: Tells whether none of some keys is one for which it takes a
            closer look.
    """

    __slots__ = (
        "_actor_key", "_clock", "_finish", "_finish_of", "_key_map", "_object_key",
        "_special", "_tenant_key", "_type_key", "_verb_key", "has_no_special",
    )  # fmt: skip

    def __init__(self, key_map: KeyMap, finisher: Finisher, clock: Callable[[], int]) -> None:
        keys = key_map.keys
        self._key_map = key_map
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
        self.has_no_special = self._special.isdisjoint
        self._finish = finisher.finish
        # By verb, for verbs that are sure to pass: two steps for the price of one.
        self._finish_of: dict[Any, Callable[[Any], Row]] = {}

    def take(self, own: dict[str, Any]) -> Snapshot | None:
        """
        Return a snapshot, its id in second place; `None` if the event takes a closer look.

        Nothing of what this returns is refused later: verb and object are sure
        to pass. Who acts is looked up in the context where the event doesn't
        say it: otherwise a processor that stands before merge_contextvars would
        record nobody, and nothing would tell.

        Args:

            own: A copy of the event, which is kept; as long as it holds nothing but
                immutable values, nobody can change it. A SQLAlchemy session is none.
        """
        # Ten thousand calls a second come here: what takes no longer than a call of a
        # function is none. What is unusual raises something.
        try:
            for value in own.values():
                if type(value) is not str and type(value) not in IMMUTABLE:
                    copy_containers(own, self._object_key)
                    break
            finish = self._finish_of[own[self._verb_key]]
            if not (self.has_no_special(own) and own[self._object_key][0] in FIRST_OF_OBJECTS):
                self._look(own)
            if self._actor_key not in own or self._tenant_key not in own:
                self._complete(own)
            ns = self._clock()
            until, head, part = new_ids.state
            return finish, head + part() if ns < until else new_ids.next_text(ns), ns, own
        except BaseException as error:  # noqa: BLE001  A metaclass can make a look at a type raise.
            return self._once_more(own, error)

    def _once_more(self, own: dict[str, Any], error: BaseException) -> Snapshot | None:
        """Try again if all that was unusual is that the verb is new, or that ids ran out."""
        raise_of_signal(error)
        is_new = type(error) is KeyError and self._learn(own.get(self._verb_key))
        if is_new or (type(error) is StopIteration and new_ids.renew(self._clock())):
            return self.take(own)
        return None  # The closer look tells what is wrong.

    def _learn(self, verb: Any) -> bool:
        """Remember a verb that is new and sure to pass; tell whether it is."""
        if type(verb) is not str or len(verb) > MAX_VERB or verb in self._finish_of:
            return False
        if not verb.strip() or has_control(verb) or verb.strip() in TRACES:
            return False
        if len(self._finish_of) >= _KNOWN_VERBS:
            self._finish_of.clear()
        self._finish_of[verb] = self._finish
        return True

    def _look(self, event: dict[str, Any]) -> None:
        """
        Look closer at what is special, and at the object.

        Raises:

            ValueError, TypeError: It may be refused.
        """
        special = self._special.intersection(event)
        if not special:
            object_ = event[self._object_key]
        elif special == {self._type_key} and self._object_key not in event:
            object_ = str.__str__(event[self._type_key])  # A pair is no type.
        else:
            raise ValueError
        if not surely_has_type(object_):
            raise ValueError

    def _complete(self, event: dict[str, Any]) -> None:
        """Add what the context tells of who acts."""
        more = self._key_map.who_else(get_contextvars(), event)
        if not all(type(value) in IMMUTABLE for value in more.values()):
            raise ValueError
        event.update(more)


def raise_of_signal(error: BaseException) -> None:
    """Raise *error* again if it is to end the program; anything else a value has raised."""
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        raise error


def surely_has_type(object_: Any) -> bool:
    """Tell whether an object is sure to have a type, however it is said."""
    if type(object_) is tuple and len(object_) == _PAIR and type(object_[1]) in IMMUTABLE:
        object_ = object_[0]
    return type(object_) is str and object_[:1].isalnum()
