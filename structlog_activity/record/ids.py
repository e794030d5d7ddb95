"""
Ids: UUIDv7 that grow with time, and any value made into a UUID.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import time

from functools import lru_cache
from typing import Any, Final
from uuid import UUID, uuid5

from ..errors import InvalidRecordError
from .text import type_name


NIL: Final = UUID(int=0)
"""The all-zero UUID: "not set", in records, rows and filters alike."""

NIL_BYTES: Final = NIL.bytes

NAMESPACE: Final = UUID("0d1c7a5e-7b3c-5f43-9a55-6f0f6c1e7a10")
"""Namespace of the UUIDv5 that stand for ids which are no UUIDs themselves."""

MAX_ID_TEXT: Final = 65_536
"""Longest text that is taken as an id, in characters."""

_HYPHENATED = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_UUID_TEXT = re.compile(
    rf"(?:urn:uuid:)?{_HYPHENATED}|\{{{_HYPHENATED}\}}|[0-9a-f]{{32}}",
    re.ASCII | re.IGNORECASE,
)
_CACHED_LENGTH = 128
_LONGEST_INT = MAX_ID_TEXT // 16  # bits
_RANDOM_BITS = 62
_RANDOM_MASK = (1 << _RANDOM_BITS) - 1
_VERSION_7 = 7 << 76
_VARIANT = 2 << 62
_int_of = UUID.__dict__["int"].__get__


class IdGenerator:
    """
    Make UUIDv7 that never repeat and never go backwards within a process.

    The first 60 bits are the time (milliseconds and, in the field that RFC
    9562 section 6.2 method 3 gives to it, 1/4096 of one), the last 62 count up
    from a random start, so that ids of one tick keep their order and two
    processes don't meet. When the clock is set back, ids go on from the
    highest tick given so far. `itertools.count` makes this safe without a
    lock: threads, signal handlers and finalizers may all ask at once.
    """

    __slots__ = ("_count", "_latest")

    def __init__(self) -> None:
        self.reseed()

    def reseed(self) -> None:
        """Start from new random bits, as a forked child must."""
        start = int.from_bytes(os.urandom(8), "big") >> 3
        self._count = itertools.count(start).__next__
        self._latest = 0

    def next(self, ns: int) -> int:
        """
        Return the next id as a 128-bit int.

        Args:

            ns: Now, in nanoseconds since 1970.
        """
        if ns < self._latest:
            ns = self._latest
        else:
            self._latest = ns
        return self.at(ns)

    def at(self, ns: int) -> int:
        """
        Return an id for a moment of the past as a 128-bit int.

        Args:

            ns: That moment, in nanoseconds since 1970.
        """
        ms, rest = divmod(ns, 1_000_000)
        return (
            ((ms & 0xFFFFFFFFFFFF) << 80)
            | _VERSION_7
            | ((rest << 12) // 1_000_000) << 64
            | _VARIANT
            | (self._count() & _RANDOM_MASK)
        )


new_ids: Final = IdGenerator()
"""The generator of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=new_ids.reseed)


def uuid7(ns: int | None = None) -> UUID:
    """
    Return a new UUIDv7.

    Args:

        ns: The moment it stands for, in nanoseconds since 1970. Default: now.
    """
    return UUID(int=new_ids.next(time.time_ns()) if ns is None else new_ids.at(ns))


def derived_uuid7(ns: int, source: bytes) -> UUID:
    """
    Return the UUIDv7 that *source* always gets at the moment *ns*.

    An import that runs twice finds its own records again by it.
    """
    bits = int.from_bytes(hashlib.sha256(source).digest()[:10], "big")
    low = _VARIANT | (bits & _RANDOM_MASK)
    ms = (ns // 1_000_000) & 0xFFFFFFFFFFFF
    return UUID(int=(ms << 80) | _VERSION_7 | (bits >> 68) << 64 | low)


def to_uuid(value: Any) -> UUID:
    """
    Return the UUID that stands for *value*.

    A `uuid.UUID` stays itself. Text that is a UUID (canonical, ``urn:uuid:``,
    in braces or 32 hex digits; white space around it is dropped) is parsed.
    Any other text and any int become a UUIDv5 in this package's namespace, the
    same one every time: ``to_uuid(42) == to_uuid("42")``. `None`, ``""`` and
    the nil UUID mean "not set" and give `NIL`.

    Raises:

        InvalidRecordError: *value* is of another type, or is text of more
            than 65,536 characters.

    .. versionadded:: 0.1.0
    """
    return UUID(bytes=id_bytes(value))


def id_bytes(value: Any) -> bytes:
    """
    Return the 16 bytes of ``to_uuid(value)``.

    Raises:

        InvalidRecordError: As `to_uuid`.
    """
    kind = type(value)
    if kind is UUID:
        return _bytes_of_uuid(value)
    if value is None:
        return NIL_BYTES
    if kind is str:
        return _bytes_of_text(value)
    return _bytes_of_other(kind, value)


def field_uuid(name: str, value: Any) -> UUID:
    """
    Return ``to_uuid(value)`` for the field *name*.

    Raises:

        InvalidRecordError: As `to_uuid`, naming the field.
    """
    try:
        return to_uuid(value)
    except InvalidRecordError as error:
        raise InvalidRecordError(name, error.problem) from None


def raw_id(value: Any) -> str | None:
    """Return the text of an id of the caller's own; `None` if it is a UUID in any form."""
    kind = type(value)
    if issubclass(kind, UUID) or value is None:
        return None
    if issubclass(kind, str):
        text = str.__str__(value).strip()
        return None if not text or _UUID_TEXT.fullmatch(text) else text
    return int_text(value)


def int_text(value: int) -> str:
    """
    Return the digits of an int that stands for something.

    Raises:

        InvalidRecordError: It has more than 4,096 bits.
    """
    bits = int.bit_length(value)
    if bits > _LONGEST_INT:
        raise InvalidRecordError("id", f"an int of {bits} bits is no id")
    return int.__repr__(value)


def _bytes_of_uuid(value: UUID) -> bytes:
    try:
        found: bytes = _int_of(value).to_bytes(16, "big")
    except AttributeError:
        raise InvalidRecordError("id", "a UUID without a value is no id") from None
    return found


def _bytes_of_other(kind: type, value: Any) -> bytes:
    if kind is not bool:
        if issubclass(kind, UUID):
            return _bytes_of_uuid(value)
        if issubclass(kind, str):
            return _bytes_of_text(str.__str__(value))
        if issubclass(kind, int):
            return _bytes_of_text(int_text(value))
    raise InvalidRecordError("id", f"a UUID, text or an int is needed, not {type_name(value)}")


def _bytes_of_text(text: str) -> bytes:
    # Long text comes from mistakes or attacks; it must not fill the cache.
    return _cached_parse(text) if len(text) <= _CACHED_LENGTH else _parse_text(text)


def _parse_text(text: str) -> bytes:
    if len(text) > MAX_ID_TEXT:
        raise InvalidRecordError("id", f"text of {len(text)} characters is no id")
    text = text.strip()
    if not text:
        return NIL_BYTES
    if _UUID_TEXT.fullmatch(text):
        return UUID(text.lower().removeprefix("urn:uuid:").strip("{}")).bytes
    return uuid5(NAMESPACE, text.encode("utf-8", "replace").decode()).bytes


_cached_parse = lru_cache(maxsize=8192)(_parse_text)
