"""
Which keys of a log call mean which field of a record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from itertools import islice
from typing import Any, Final
from uuid import UUID

from ..record.budgets import MAX_ITEMS
from ..record.plain import SCALARS
from ..record.rowmaker import WHO
from ..record.template import EventKey
from ..record.text import type_name


LEFT_OUT: Final = frozenset(
    """
    activity_error activity_id exc_info exception level log_level logger
    positional_args stack stack_info timestamp _from_structlog _logger _name
    _record
    """.split()
)
"""
Keys of the logging machinery; they tell of the log line, not of the activity, unless one of
them is given as the key of a field.
"""

_WHO: Final = (*WHO, "ip")  # Who acts, and from where.
_SAFE_KEYS: Final = SCALARS | {UUID, date}
_OBJECT: Final = frozenset({"object", "object_type", "object_id"})
EVENT: Final = "event"
_CONTEXTS: Final = 1024
_MESSAGE: Final = "message"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityKeys:
    """
    Map keys of log calls and bound context to the fields of a record.

    Each field has one or more keys; the first one that a call has, counts. What
    is given here takes the place of a field's keys, it is not added to them; a
    key that another field has by default is that one's no more. Every key that
    means no field becomes ``data``. A key may hold dots, as ``"user.id"``; it is
    one key all the same, not a way into a mapping.

    Attributes:

        verb: What makes a log call an activity.

        object: The thing in one value; see `ActivityLog.record`.

        object_type: Its kind alone.

        object_id: Its id alone.

        actor_id: Who acts.

        user_id: Whose account it concerns.

        tenant_id: The isolation scope.

        org_id: A part of the tenant.

        channel: Module name for dashboards.

        ip: Address of the client.

        occurred_at: When it happened.

        data: A mapping whose items become ``data`` one by one; may be empty, and
            then no key is.

    Raises:

        ValueError: A key is no text, or is given for two fields, or a field but
            *data* has none.

    .. versionadded:: 0.1.0
    """

    verb: tuple[str, ...] = ("verb",)
    object: tuple[str, ...] = ("object",)
    object_type: tuple[str, ...] = ("object_type",)
    object_id: tuple[str, ...] = ("object_id",)
    actor_id: tuple[str, ...] = ("actor_id", "actor")
    user_id: tuple[str, ...] = ("user_id", "user")
    tenant_id: tuple[str, ...] = ("tenant_id", "tenant")
    org_id: tuple[str, ...] = ("org_id", "organization_id", "org")
    channel: tuple[str, ...] = ("channel",)
    ip: tuple[str, ...] = ("ip",)
    occurred_at: tuple[str, ...] = ("occurred_at",)
    data: tuple[str, ...] = ("data",)

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, _texts(field.name, getattr(self, field.name)))
        given = self._given()
        for field in fields(self):
            usual: Any = field.default
            if getattr(self, field.name) == usual:
                object.__setattr__(self, field.name, _left(field.name, usual, given))

    def _given(self) -> dict[str, str]:
        """Return of each key that is no field's by default the field it is given for."""
        found: dict[str, str] = {}
        for field in fields(self):
            keys = getattr(self, field.name)
            for key in keys if keys != field.default else ():
                other = found.setdefault(key, field.name)
                if other != field.name:
                    raise ValueError(f"ActivityKeys: {key!r} is given for {other} and {field.name}")
        return found

    def ranks(self) -> dict[str, tuple[str, int]]:
        """Return for each key its field and its place among that field's keys."""
        return {
            key: (field.name, rank)
            for field in fields(self)
            for rank, key in enumerate(getattr(self, field.name))
        }


def _texts(name: str, keys: Any) -> tuple[str, ...]:
    """Return the keys of a field; one may be given as it is."""
    found = (keys,) if isinstance(keys, str) else tuple(keys)
    if not all(isinstance(key, str) for key in found) or not (found or name == "data"):
        raise ValueError(f"ActivityKeys({name}={keys!r}): one or more texts needed")
    return found


def _left(name: str, usual: tuple[str, ...], given: Mapping[str, str]) -> tuple[str, ...]:
    """Return what is left of a field's usual keys where others are *given* some of them."""
    left = tuple(key for key in usual if key not in given)
    if not left and name != "data":
        takers = ", ".join(sorted({given[key] for key in usual}))
        raise ValueError(f"ActivityKeys: {takers} leaves {name} no key: give it one")
    return left


class KeyMap:
    """
    Split events into the fields of a record and its data.

    Args:

        keys: What means what.

        defaults: Values for what an event does not have.

    Attributes:

        keys: What means what.
    """

    __slots__ = ("_default", "_hidden_by", "_left_out", "_ranks", "_spread_keys", "_who", "keys")

    def __init__(self, keys: ActivityKeys, defaults: Mapping[str, Any]) -> None:
        self.keys = keys
        self._ranks = keys.ranks()
        self._left_out = LEFT_OUT - self._ranks.keys()
        self._spread_keys = frozenset(keys.data)
        # For each set of bound names, the keys of an event that don't count beside them.
        self._hidden_by: dict[tuple[str, ...], list[str]] = {}
        self._who = {key: name for name in _WHO for key in getattr(keys, name)}
        self._default = self._split_one(dict(defaults))

    def split(self, *layers: dict[Any, Any]) -> tuple[dict[str, Any], dict[Any, Any]]:
        """
        Return the fields and the data of an event, defaults filled in.

        Args:

            layers: Parts of the event; where several tell the same, the last
                one counts.
        """
        fields, data = self._default
        for layer in layers:
            found, rest = self._split_one(layer)
            fields, data = _laid_over(fields, found), {**data, **rest}
        return fields, data

    def places(self, keys: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """
        Return where an event with these *keys* has the fields and the data of its record.

        Args:

            keys: All keys of the event, in its order.

        Returns:

            As `split`, with an `EventKey` for each value of the event itself, and
            the defaults as they are; `None` where it takes the values to tell.
        """
        if not self._spread_keys.isdisjoint(keys):
            return None
        return self.split({key: EventKey(key) for key in keys})

    def who_else(self, bound: Mapping[str, Any], event: Mapping[str, Any]) -> dict[str, Any]:
        """Return what *bound* tells of who acts and *event* does not."""
        told = self._told(event)
        return {
            key: value
            for key, value in bound.items()
            if key in self._who and self._who[key] not in told
        }

    def within(self, bound: dict[str, Any], event: dict[str, Any]) -> dict[str, Any]:
        """Return *event* with what *bound* says; who acts is what *bound* says."""
        names = tuple(bound)
        hidden = self._hidden_by.get(names)
        if hidden is None:
            told = self._told(bound)
            hidden = [key for key, field in self._who.items() if field in told]
            if len(self._hidden_by) < _CONTEXTS:
                self._hidden_by[names] = hidden
        merged = {**bound, **event}
        for key in hidden:
            if key in bound:
                merged[key] = bound[key]
            else:
                merged.pop(key, None)
        return merged

    def over(self, bound: Mapping[str, Any], event: dict[str, Any]) -> dict[str, Any]:
        """Return what *bound* says with *event* over it, also in what it says of who acts."""
        told = self._told(event)
        left = {key: value for key, value in bound.items() if self._who.get(key) not in told}
        return {**left, **event}

    def _told(self, values: Mapping[str, Any]) -> set[str]:
        return {self._who[key] for key in self._who.keys() & values.keys()}

    def _split_one(self, event: dict[Any, Any]) -> tuple[dict[str, Any], dict[Any, Any]]:
        found: dict[str, Any] = {}
        ranks: dict[str, int] = {}
        data: dict[Any, Any] = {}
        for key, value in event.items():
            if type(key) is not str or (key not in self._ranks and key not in self._left_out):
                data[plain_key(key)] = value
            elif key not in self._left_out:
                name, rank = self._ranks[key]
                if rank < ranks.get(name, len(self._ranks)):
                    found[name], ranks[name] = value, rank
        _spread(found, data)
        if EVENT not in data and _MESSAGE in data:
            data[EVENT] = data.pop(_MESSAGE)  # As structlog's EventRenamer leaves it.
        return found, data


def _spread(found: dict[str, Any], data: dict[Any, Any]) -> None:
    """Turn the items of a key ``data`` into data; what is no dict stays one value."""
    given = found.pop("data", None)
    if issubclass(type(given), dict):
        # A list of no more than a record may hold: another thread may change
        # the dict meanwhile, and it may be of any size.
        for key, value in list(islice(dict.items(given), MAX_ITEMS + 1)):
            data.setdefault(plain_key(key), value)
    elif given is not None:
        data["data"] = given


def _laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of both; an object above hides all of the one below."""
    if below and not above.keys().isdisjoint(("object", "object_type")):
        below = {name: value for name, value in below.items() if name not in _OBJECT}
    return {**below, **above}


def plain_key(key: Any) -> Any:
    """Return *key* if it can be hashed without running foreign code, else a text for it."""
    kind = type(key)
    if kind in _SAFE_KEYS:
        return key
    if issubclass(kind, str):
        return str.__str__(key)
    return int.__int__(key) if issubclass(kind, int) else f"<{type_name(key)}>"
