"""
Cursors: a place in a feed, as opaque text that fits that feed only.
"""

from __future__ import annotations

import hashlib
import hmac

from binascii import a2b_base64, b2a_base64
from functools import lru_cache
from struct import Struct
from struct import error as StructError  # noqa: N812  It is a class.
from typing import Any, Final, NamedTuple
from uuid import UUID

from ..errors import InvalidCursorError


_VERSION: Final = 1
_PLACE: Final = Struct("!Bq16s")
_MAC_SIZE: Final = 8
_BLOCK: Final = 64
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))
_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_DIGITS: Final = bytes.maketrans(b"-_+/=", b"+/!!!")


class Place(NamedTuple):
    """
    Where in a feed a record stands.

    Attributes:

        created_at: Its time, in microseconds since 1970.

        id: Its id.
    """

    created_at: int
    id: UUID


def encode_cursor(place: Place, digest: bytes, key: bytes) -> str:
    """
    Return the cursor of a place.

    Args:

        place: The place.

        digest: What `ActivityFilter.digest` says of the feed.

        key: Secret; without one the cursor is still bound to its feed, but
            whoever knows this code can make one.
    """
    body = _PLACE.pack(_VERSION, place.created_at, place.id.bytes)
    return b2a_base64(body + _mac(body, digest, key), newline=False).translate(_SAFE).decode()


def decode_cursor(name: str, text: str, digest: bytes, key: bytes) -> Place:
    """
    Return the place of a cursor.

    Args:

        name: Argument that it came in, for the error.

        text: The cursor.

        digest: What `ActivityFilter.digest` says of the feed.

        key: As for `encode_cursor`.

    Raises:

        InvalidCursorError: It is damaged, or of another filter, tenant or key.
    """
    try:
        # Of a length that leaves no digit of base64 with spare bits, and of these digits
        # only: no cursor has a second spelling.
        raw = a2b_base64(text.encode().translate(_DIGITS), strict_mode=True)
        version, created_at, id_ = _PLACE.unpack(raw[: _PLACE.size])
    except (ValueError, StructError) as error:
        raise _invalid(name, text) from error
    right = _mac(raw[: _PLACE.size], digest, key)
    if version != _VERSION or not hmac.compare_digest(right, raw[_PLACE.size :]):
        raise _invalid(name, text)
    return Place(created_at, UUID(bytes=id_))


# HMAC-SHA256 by its definition (RFC 2104), for a page makes three: the library's own
# begins anew with the key each time, which takes five times as long.


def _mac(body: bytes, digest: bytes, key: bytes) -> bytes:
    inner, outer = _begun(key)
    inner, outer = inner.copy(), outer.copy()
    inner.update(body + digest)
    outer.update(inner.digest())
    found: bytes = outer.digest()
    return found[:_MAC_SIZE]


@lru_cache(maxsize=16)
def _begun(key: bytes) -> tuple[Any, Any]:
    block = hashlib.sha256(key).digest() if len(key) > _BLOCK else key
    block = block.ljust(_BLOCK, b"\0")
    return hashlib.sha256(block.translate(_INNER)), hashlib.sha256(block.translate(_OUTER))


def _invalid(name: str, text: str) -> InvalidCursorError:
    return InvalidCursorError(name, text, "is no cursor of this feed; start from its first page")
