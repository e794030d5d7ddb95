"""
What a PostgreSQL client says, message by message, as far as a proxy must know it.
"""

from __future__ import annotations

import re

from collections.abc import Iterator
from struct import Struct
from typing import Final


_LENGTH = Struct("!I").unpack_from
_REQUESTS: Final = {80877103, 80877104}  # For TLS and GSSAPI, before the startup message.
_COMMIT = re.compile(rb"\s*(commit|end)\b", re.IGNORECASE)


class Frontend:
    """
    Cut what a client sends into messages, and tell which one commits.

    It follows the simple protocol (Query) and the extended one (Parse, Bind,
    Execute). COPY's data travel in messages of their own, which are never
    looked into.
    """

    def __init__(self) -> None:
        self._pending = b""
        self._is_started = False
        self._statements: dict[bytes, bool] = {}
        self._portals: dict[bytes, bool] = {}

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bool]]:
        """Yield each message that is complete by now, and whether it commits."""
        self._pending += data
        start = 0
        while (end := self._end(start)) is not None:
            message = self._pending[start:end]
            start = end
            yield message, self._commits(message)
        self._pending = self._pending[start:]

    def _end(self, start: int) -> int | None:
        kind = 1 if self._is_started else 0  # The very first ones have no kind.
        if len(self._pending) < start + kind + 4:
            return None
        (length,) = _LENGTH(self._pending, start + kind)
        end: int = start + kind + length
        return end if end <= len(self._pending) else None

    def _commits(self, message: bytes) -> bool:
        if not self._is_started:
            self._is_started = _LENGTH(message, 4)[0] not in _REQUESTS
            return False
        kind, body = message[:1], message[5:]
        if kind == b"Q":
            return _COMMIT.match(body) is not None
        if kind == b"P":
            name, query = body.split(b"\0", 2)[:2]
            self._statements[name] = _COMMIT.match(query) is not None
        elif kind == b"B":
            portal, name = body.split(b"\0", 2)[:2]
            self._portals[portal] = self._statements.get(name, False)
        return kind == b"E" and self._portals.get(body.split(b"\0", 1)[0], False)
