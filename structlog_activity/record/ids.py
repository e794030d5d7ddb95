"""
Ids: UUIDv7 that grow with time, and any value made into a UUID.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import struct
import time

from collections.abc import Callable
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

MAX_ID_BITS: Final = MAX_ID_TEXT // 16
"""Longest int that is taken as an id, in bits."""

_HYPHENATED = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_UUID_TEXT = re.compile(
    rf"(?:urn:uuid:)?{_HYPHENATED}|\{{{_HYPHENATED}\}}|[0-9a-f]{{32}}",
    re.ASCII | re.IGNORECASE,
)
_CACHED_LENGTH = 128
_RANDOM_BITS = 62
_RANDOM_MASK = (1 << _RANDOM_BITS) - 1
_VERSION_7 = 7 << 76
_VARIANT = 2 << 62
_MILLISECOND = 1_000_000  # nanoseconds
_PARTS = tuple(f"{part:03x}" for part in range(4096))
_RANDOM = struct.Struct("!HIQ")
_TIME = 18  # characters of an id's text that tell its time
_int_of = UUID.__dict__["int"].__get__


class IdGenerator:
    """
    Make UUIDv7 that never repeat and never go backwards within a process.

    The first 60 bits are the time (milliseconds and, in the field that RFC
    9562 section 6.2 method 3 gives to it, 1/4096 of one), the last 62 begin
    with random ones, so that two processes don't meet, and count up, so that
    ids of one tick keep their order. When the clock is set back, ids go on from
    the highest tick given so far. `itertools.count` makes this safe without a
    lock: threads, signal handlers and finalizers may all ask at once.

    Attributes:

        state: ``(until, head, part)``. Before *until*, in nanoseconds since 1970, an id
            is ``head + part()``, until that raises `StopIteration`. It is what
            `next_text` does, for those who can't afford a call.
    """

    __slots__ = ("_count", "_group", "_high", "_past", "state")

    def __init__(self) -> None:
        self.reseed()

    def reseed(self) -> None:
        """Start from new random bits, as a forked child must."""
        group, high, start = _RANDOM.unpack(os.urandom(_RANDOM.size))
        # Ids of now and of the past count apart, and differ in one bit.
        group = (0x8000 | (group & 0x3FFF)) & ~1
        self._past: int = (group | 1) << 48
        self._count: Callable[[], int] = itertools.count(start >> 17).__next__
        self._group = f"-{group:04x}-"
        self._high = map("%09x".__mod__, itertools.count(high)).__next__
        self.state: tuple[int, str, Callable[[], str]] = (-1 << 63, " " * _TIME, iter(()).__next__)

    def next_text(self, ns: int) -> str:
        """
        Return the next id as text.

        A log call needs no other form of it, so none is made. All of it but the
        last three digits is the same for the ids of one millisecond.

        Args:

            ns: Now, in nanoseconds since 1970.
        """
        until, head, part = self.state
        if ns < until:
            try:
                return head + part()
            except StopIteration:
                pass
        return self._next_head(ns)

    def _next_head(self, ns: int) -> str:
        # The state changes in one step, and what another thread still has of the
        # one before stays right: each part is given once, each high part, too.
        until, head, part = self.state
        if ns < until:
            head = head[:_TIME] + self._group + self._high()
            part = iter(_PARTS).__next__
        else:
            ms, rest = divmod(ns, _MILLISECOND)
            until = ns - rest + _MILLISECOND
            head = _time_text(ms, rest) + head[_TIME:]
        self.state = (until, head, part)
        return self.next_text(ns)

    def renew(self, ns: int) -> bool:
        """
        Renew `state` if it holds no more ids; return whether it was so.

        Args:

            ns: Now, in nanoseconds since 1970.
        """
        try:
            self.state[2]()
        except StopIteration:
            self._next_head(ns)
            return True
        return False

    def next(self, ns: int) -> int:
        """
        Return the next id as a 128-bit int.

        Args:

            ns: Now, in nanoseconds since 1970.
        """
        return int(self.next_text(ns).replace("-", ""), 16)

    def at(self, ns: int) -> int:
        """
        Return an id for a moment of the past as a 128-bit int.

        Args:

            ns: That moment, in nanoseconds since 1970.
        """
        ms, rest = divmod(ns, _MILLISECOND)
        return (
            ((ms & 0xFFFFFFFFFFFF) << 80)
            | _VERSION_7
            | ((rest << 12) // _MILLISECOND) << 64
            | self._past
            | self._count()
        )


def _time_text(ms: int, rest: int) -> str:
    # Where a program makes less than one call in a millisecond, each comes here.
    # Bytes in hex and a table take half of the time of formats.
    digits = (ms & 0xFFFFFFFFFFFF).to_bytes(6, "big").hex()
    return f"{digits[:8]}-{digits[8:]}-7{_PARTS[(rest << 12) // _MILLISECOND]}"


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

    Args:

        value: A UUID, text, an int, or `None`.

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
    if bits > MAX_ID_BITS:
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
        return UUID(text.lower()).bytes
    return uuid5(NAMESPACE, text.encode("utf-8", "replace").decode()).bytes


_cached_parse = lru_cache(maxsize=8192)(_parse_text)
