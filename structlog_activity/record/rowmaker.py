"""
Checked fields become a row: the one place where a record's rules are applied.
"""

from __future__ import annotations

import json
import time

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final, TypeVar

from ..errors import InvalidRecordError
from .budgets import MAX_CHANNEL, MAX_IP, MAX_OBJECT_ID, MAX_OBJECT_TYPE, MAX_RAW, MAX_VERB
from .canonical import canonical_of
from .ids import NIL_BYTES, id_bytes, new_ids, raw_id
from .objects import ObjectPair, split_object
from .plain import Plainer, encode_json
from .record import FIELDS, RAW, ActivityRecord
from .redact import Redactor
from .row import Row
from .text import has_control, is_hashed_ip, shortened, storable, type_name
from .times import DAY, as_given, to_datetime, to_microseconds


RECORD_FIELDS: Final = frozenset(FIELDS) - {"data"} | {"object"}
"""The names under which a `RowMaker` takes what is not ``data``."""

WHO: Final = ("actor_id", "user_id", "tenant_id", "org_id")
"""The fields that are ids of somebody."""

_LONGEST_TEXT = 8_192
_T = TypeVar("_T")


class RowMaker:
    """
    Make rows out of fields that nobody has checked yet.

    A row is refused only where nothing useful would be left of it: without a
    verb or an object type. Anything else that can't be stored as it is (an IP
    address that is none, a time in the year 9999, an id that is a dict) is
    replaced by its nearest meaning and kept in ``data["_raw"]``.

    Args:

        redactor: Replaces what must not be stored in ``data``, in the id of the
            object and in what is kept of unreadable fields; `None` replaces nothing.

        clock: Returns now, in nanoseconds since 1970.

    Attributes:

        plainer: Makes values plain, and redacts them.
    """

    __slots__ = ("_clock", "plainer")

    def __init__(
        self, redactor: Redactor | None = None, *, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self.plainer = Plainer(redactor)
        self._clock = clock

    def make(
        self,
        fields: Mapping[str, Any],
        data: dict[Any, Any],
        *,
        id: int = 0,  # noqa: A002  Named as the field is.
        ns: int = 0,
        strict: bool = False,
    ) -> Row:
        """
        Return the row of *fields* and *data*.

        Args:

            fields: Any of `RECORD_FIELDS`; missing ones are not set.

            data: Everything else.

            id: The record's id where *fields* have none, as a 128-bit int; 0
                asks for a new one, made from the time.

            ns: The record's time where *fields* have none, in nanoseconds since
                1970; 0 is now.

            strict: Refuse what would otherwise be replaced.

        Raises:

            InvalidRecordError: Verb or object type are missing or can't be
                read; with *strict*, also any other field that can't be.
        """
        return _Making(self.plainer, fields, self._clock(), strict=strict).row(data, id, ns)

    def make_from(self, record: ActivityRecord, *, strict: bool = False) -> Row:
        """
        Return the row of a record whose nil id and unset time are filled.

        Raises:

            InvalidRecordError: As `make`.
        """
        fields = {name: getattr(record, name) for name in FIELDS if name != "data"}
        data = {} if record.data is None else record.data
        if not issubclass(type(data), dict):
            raise InvalidRecordError("data", f"a dict is needed, not {type_name(data)}")
        return self.make(fields, data, strict=strict)

    def enriched(self, row: Row, added: dict[Any, Any]) -> Row:
        """Return *row* with what is *added* to its data; what is there already stays."""
        data: dict[str, Any] = json.loads(row.data)
        more = self.plainer.mapping(added, row.verb)
        return row._replace(data=canonical_of({**more, **data}))


class _Making:
    """One row in the making, with the originals of what had to be changed."""

    __slots__ = ("_fields", "_now", "_raw", "_strict", "plainer")

    def __init__(
        self, plainer: Plainer, fields: Mapping[str, Any], now: int, *, strict: bool
    ) -> None:
        self.plainer = plainer
        self._fields = fields
        self._now = now
        self._strict = strict
        self._raw: dict[str, Any] = {}

    def row(self, data: dict[Any, Any], id_: int, ns: int) -> Row:
        fields = self._fields
        verb = self._verb()
        object_type, object_id = self._object()
        created_at = self._occurred_at(ns)
        ids = {name: self._id(name) if name in fields else NIL_BYTES for name in WHO}
        return Row(
            ids["tenant_id"],
            created_at,
            self._own_id(id_, created_at),
            ids["actor_id"],
            ids["user_id"],
            ids["org_id"],
            verb,
            object_type,
            object_id,
            self._text("channel", MAX_CHANNEL) if "channel" in fields else "",
            self._ip() if "ip" in fields else "",
            self._json(data, verb),
        )

    def _verb(self) -> str:
        verb = self._fields.get("verb")
        if not issubclass(type(verb), str):
            raise InvalidRecordError("verb", f"text is needed, not {type_name(verb)}")
        verb = str.__str__(verb)[:_LONGEST_TEXT].strip()
        if not verb:
            raise InvalidRecordError("verb", "must not be blank")
        if has_control(verb):
            raise InvalidRecordError("verb", "must not hold control characters")
        return shortened(storable(verb), MAX_VERB)

    def _object(self) -> tuple[str, str]:
        type_, id_ = self._pair()
        given_type, given_id = self._fields.get("object_type"), self._fields.get("object_id")
        type_ = type_ if _is_unset(given_type) else given_type
        id_ = id_ if _is_unset(given_id) else given_id
        if type_ is None or not issubclass(type(type_), str):
            raise InvalidRecordError(
                "object_type", 'is missing: say object="type:id" or object=("type", id)'
            )
        text = str.__str__(type_)[:_LONGEST_TEXT].strip()
        if not text:
            raise InvalidRecordError("object_type", "must not be blank")
        return shortened(storable(text), MAX_OBJECT_TYPE), self._plain("object_id", id_)

    def _pair(self) -> ObjectPair:
        value = self._fields.get("object")
        if value is None:
            return None, None
        try:
            return split_object(value)
        except InvalidRecordError as error:
            if _is_unset(self._fields.get("object_type")):
                raise
            return self._replaced("object", value, error.problem, (None, None))

    def _plain(self, name: str, value: Any) -> str:
        """Return *value* as short text, as the id of an object may be of any plain type."""
        if value is None:
            return ""
        plain = self.plainer.value(value, name)
        if type(plain) is not str:
            plain = encode_json(plain)
        text: str = plain.strip()
        if self._strict and text.startswith("<") and type(value) is not str:
            raise InvalidRecordError(name, f"text, an int or a UUID is needed, not {text[1:-1]}")
        return shortened(text, MAX_OBJECT_ID)

    def _text(self, name: str, limit: int) -> str:
        value = self._fields[name]
        if value is None:
            return ""
        if not issubclass(type(value), str):
            return self._replaced(name, value, "text is needed", "")
        return shortened(storable(str.__str__(value)[:_LONGEST_TEXT].strip()), limit)

    def _id(self, name: str) -> bytes:
        value = self._fields[name]
        try:
            found = id_bytes(value)
        except InvalidRecordError as error:
            return self._replaced(name, value, error.problem, NIL_BYTES)
        if found != NIL_BYTES and (raw := raw_id(value)):
            self._raw[name] = self.plainer.value(raw, name)[:MAX_RAW]
        return found

    def _own_id(self, id_: int, created_at: int) -> bytes:
        own = self._id("id") if "id" in self._fields else NIL_BYTES
        if own != NIL_BYTES:
            return own
        return (id_ or new_ids.at(created_at * 1000)).to_bytes(16, "big")

    def _ip(self) -> str:
        value = self._fields["ip"]
        if _is_unset(value):
            return ""
        text = _address_text(value)
        found = None if text is None or len(text) > MAX_IP else ip_text(text.strip())
        return self._replaced("ip", value, "is no IP address", "") if found is None else found

    def _occurred_at(self, ns: int) -> int:
        value = self._fields.get("occurred_at")
        if value is None:
            return (ns or self._now) // 1000
        try:
            us = to_microseconds(to_datetime(value))
        except InvalidRecordError as error:
            return self._replaced("occurred_at", value, error.problem, (ns or self._now) // 1000)
        if 0 <= us <= self._now // 1000 + DAY:
            return us
        # Not an error: a clock may be wrong, and the record is no less true.
        self._raw["occurred_at"] = _raw_text(self.plainer, "occurred_at", value)
        return (ns or self._now) // 1000

    def _replaced(self, name: str, value: Any, problem: str, instead: _T) -> _T:
        if self._strict:
            raise InvalidRecordError(name, problem)
        self._raw[name] = _raw_text(self.plainer, name, value)
        return instead

    def _json(self, data: dict[Any, Any], verb: str) -> str:
        plain = self.plainer.mapping(data, verb)
        keep_raw(plain, self._raw)
        return canonical_of(plain)


def keep_raw(data: dict[str, Any], raw: dict[str, Any]) -> None:
    """Add originals to ``data["_raw"]``; anything but a dict there makes room for them."""
    if not raw:
        return
    kept = data.get(RAW, {})
    if type(kept) is not dict:
        data[f"{RAW}#2"] = kept
        kept = {}
    data[RAW] = {**kept, **raw}


def _is_unset(value: Any) -> bool:
    return value is None or (issubclass(type(value), str) and str.__len__(value) == 0)


def _raw_text(plainer: Plainer, name: str, value: Any) -> str:
    if issubclass(type(value), datetime):
        return as_given(value)
    plain = plainer.value(value, name)
    text = plain if type(plain) is str else encode_json(plain)
    return text[:MAX_RAW]


def _address_text(value: Any) -> str | None:
    kind = type(value)
    if issubclass(kind, str):
        return str.__str__(value)
    return str(value) if kind is IPv4Address or kind is IPv6Address else None


@lru_cache(maxsize=1024)
def ip_text(text: str) -> str | None:
    """Return an IP address, or the keyed hash of one, as it is stored; `None` if it is none."""
    try:
        # Without the zone: it may be any text, and means nothing on another machine.
        return str(ip_address(text)).partition("%")[0]
    except ValueError:
        return text if is_hashed_ip(text) else None
