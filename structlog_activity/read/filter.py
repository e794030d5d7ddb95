"""
What a read asks for.
"""

from __future__ import annotations

import difflib
import hashlib
import json

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, datetime
from operator import attrgetter
from typing import Any, Final, Literal, Required, Self, TypedDict
from uuid import UUID

from ..errors import InvalidFilterError, InvalidRecordError
from ..record.rowmaker import RowMaker
from .values import READ_BY, Scalar, tenant, whole


DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 200
MAX_OFFSET: Final = 2**31 - 1
TOTALS: Final = ("capped", "exact", "none")
MACHINE_TYPES: Final = ("system", "machine", "job", "task")
"""Types of actors that are no person."""

MACHINE_KEYS: Final = ("system", "machine")
"""Keys of ``data`` that are true where no person acted."""

ACTOR_TYPES: Final = ("actor_type", "actorType")
"""Keys of ``data`` that tell the type of an actor."""

ACTOR: Final = "actor"
"""Key of ``data`` that tells it within a mapping, as its ``type``."""

_DIGEST_SIZE = 16
_ROWS: Final = RowMaker()


class Conditions(TypedDict, total=False):
    """The conditions of an `ActivityFilter`, as keywords that a type checker knows."""

    tenant_id: Required[Any]
    org_id: Any
    actor_id: Any
    user_id: Any
    involving: Any
    verbs: str | Sequence[str]
    object_type: str | None
    object_id: Any
    channel: str | None
    channels: str | Sequence[str]
    channel_denylist: str | Sequence[str]
    since: datetime | date | str | None
    until: datetime | date | str | None
    keyword: str | None
    data: Mapping[str, Scalar] | None
    machine_activity: bool
    machine_types: str | Sequence[str]
    machine_keys: str | Sequence[str]


class Where(Conditions, total=False):
    """All attributes of an `ActivityFilter`, likewise."""

    limit: int
    offset: int
    after: str | None
    before: str | None
    total: Literal["capped", "exact", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityFilter:
    """
    Select records. All conditions must hold.

    Ids may be anything that `to_uuid` reads, so ``tenant_id=42`` finds what was
    recorded with ``tenant_id=42``. `None`, ``""``, the nil UUID and empty
    sequences set no condition, except for *tenant_id*.

    Attributes:

        tenant_id: Required. The tenant; `NIL` for records without one,
            `ALL_TENANTS` for all of them.

        org_id: A part of the tenant.

        actor_id: Who acted.

        user_id: Whose account it concerned.

        involving: Who acted or whose account it concerned.

        verbs: Verbs, exact or by prefix (``"settings.*"``); one text or
            several.

        object_type: Kind of the thing.

        object_id: Which one.

        channel: One channel; not looked at where *channels* is given.

        channels: Any of these channels.

        channel_denylist: None of these channels.

        since: First moment: an aware datetime, a naive one (UTC), a date, or
            ISO 8601 text.

        until: First moment after the last one.

        keyword: Part of verb, object type or object id; ASCII letters of
            either case.

        data: Top-level keys of ``data`` and the scalars they must equal.

        machine_activity: `False` leaves out what no person did: records whose
            ``data`` has one of *machine_keys* true, or one of *machine_types*
            as ``actor_type``, ``actorType`` or ``type`` of ``actor``.

        machine_types: Types of actors that are no person.

        machine_keys: Keys that say so.

        limit: Records of a page, 1 to 200. 0 or less means 50, more means 200.

        offset: Records to skip; less than 0 means 0. Slow where it is large:
            prefer *after*.

        after: `ActivityPage.next_cursor` of the page before, for older records.

        before: `ActivityPage.prev_cursor` of the page after, for newer ones.

        total: ``"capped"`` counts exactly up to 10,000, ``"exact"`` counts
            all, ``"none"`` doesn't count.

    Raises:

        InvalidFilterError: A value is of a wrong type or makes no sense.

    .. versionadded:: 0.1.0
    """

    tenant_id: Any
    org_id: Any = None
    actor_id: Any = None
    user_id: Any = None
    involving: Any = None
    verbs: str | Sequence[str] = ()
    object_type: str | None = None
    object_id: Any = None
    channel: str | None = None
    channels: str | Sequence[str] = ()
    channel_denylist: str | Sequence[str] = ()
    since: datetime | date | str | None = None
    until: datetime | date | str | None = None
    keyword: str | None = None
    data: Mapping[str, Scalar] | None = None
    machine_activity: bool = True
    machine_types: str | Sequence[str] = MACHINE_TYPES
    machine_keys: str | Sequence[str] = MACHINE_KEYS
    limit: int = DEFAULT_LIMIT
    offset: int = 0
    after: str | None = None
    before: str | None = None
    total: Literal["capped", "exact", "none"] = "capped"

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "tenant_id", tenant(self.tenant_id))
        for (name, read, unset), value in zip(_READERS, _READ(self), strict=True):
            # Else nothing is to be read, as mostly.
            if value is not unset and value is not None and value != ():
                set_(self, name, read(name, value))
        limit, offset = whole("limit", self.limit), whole("offset", self.offset)
        set_(self, "limit", min(limit, MAX_LIMIT) if limit > 0 else DEFAULT_LIMIT)
        set_(self, "offset", min(max(offset, 0), MAX_OFFSET))
        self._check()

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _check(self) -> None:
        if not isinstance(self.machine_activity, bool):
            problem = "True or False is needed"
            raise InvalidFilterError("machine_activity", self.machine_activity, problem)
        if self.total not in TOTALS:
            raise InvalidFilterError("total", self.total, f"use one of {', '.join(TOTALS)}")
        if self.after and self.before:
            raise InvalidFilterError("before", self.before, "give after or before, not both")
        if self.offset and (self.after or self.before):
            raise InvalidFilterError("offset", self.offset, "give an offset or a cursor, not both")

    @classmethod
    def of(cls, where: Mapping[str, Any]) -> Self:
        """
        Return the filter of keywords.

        Raises:

            InvalidFilterError: One is unknown or missing, or a value of a wrong
                type or without sense.
        """
        if not where.keys() <= _NAMES:
            name = min(where.keys() - _NAMES)
            raise InvalidFilterError(name, where[name], _unknown(name, _NAMES))
        # A missing tenant is told as an empty one is.
        return cls(**{"tenant_id": None, **where})

    def digest(self) -> bytes:
        """
        Return 16 bytes that are the same for all pages of one feed.

        They depend on tenant and conditions, not on *limit*, *offset*, *total*
        and the cursors.
        """
        # Those that are set: there are few of them, and this is done for every page.
        conditions = [
            (name, _canonical(value))
            for (name, unset), value in zip(_CONDITIONS, _CONDITIONS_OF(self), strict=True)
            if value is not unset and value != unset
        ]
        text = repr(conditions)
        return hashlib.sha256(text.encode()).digest()[:_DIGEST_SIZE]

    def narrowed(self, **changes: Any) -> ActivityFilter:
        """Return this filter with some conditions replaced by narrower ones."""
        found = replace(self, **changes)
        found._set("object_id", self.object_id)  # noqa: SLF001  See `of_object`.
        return found

    def of_object(self, object: Any) -> ActivityFilter:  # noqa: A002  The word of log calls.
        """
        Return this filter for one object only.

        Args:

            object: In any form that log calls take; without an id it is the
                object that has none.

        Raises:

            InvalidFilterError: It can't be read, or the filter names one already.
        """
        for name in ("object_type", "object_id"):
            if getattr(self, name) is not None:
                raise InvalidFilterError(name, getattr(self, name), "the object tells it already")
        try:
            row = _ROWS.make({"verb": "read", "object": object}, {}, strict=True)
        except InvalidRecordError as error:
            raise InvalidFilterError("object", object, error.problem) from None
        found = replace(self, object_type=row.object_type)
        set_ = found._set  # noqa: SLF001  It is of this class.
        set_("object_id", row.object_id)  # Also "", which is no id, and not any.
        return found


_PAGING: Final = {"limit", "offset", "after", "before", "total"}
_UNSET: Final = {field.name: field.default for field in fields(ActivityFilter)}
_NAMES: Final = frozenset(_UNSET)
_CONDITIONS: Final = [item for item in _UNSET.items() if item[0] not in _PAGING]
_CONDITIONS_OF: Final = attrgetter(*(name for name, _ in _CONDITIONS))
_READERS: Final = [(name, read, _UNSET[name]) for name, read in READ_BY.items()]
_READ: Final = attrgetter(*READ_BY)
_ENCODER: Final = json.JSONEncoder(sort_keys=True)


def _canonical(value: Any) -> Any:
    """Return what is the same for conditions that mean the same, with a `repr` that tells."""
    if isinstance(value, UUID):
        return value.int
    if isinstance(value, tuple):
        return sorted(value)
    return _ENCODER.encode(value) if isinstance(value, dict) else value


def channels_of(where: ActivityFilter) -> Sequence[str]:
    """Return the channels of which a record must have one; none sets no condition."""
    return where.channels or ((where.channel,) if where.channel else ())


def _unknown(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    hint = f"; did you mean {near[0]}=" if near else ""
    return f"is no condition that a filter has{hint}"
