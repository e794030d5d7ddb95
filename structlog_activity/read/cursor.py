"""
Cursors: a place in a feed, as opaque text that fits that feed only.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct

from struct import Struct
from typing import Final, NamedTuple
from uuid import UUID

from ..errors import InvalidCursorError


_VERSION: Final = 1
_PLACE: Final = Struct("!Bq16s")
_MAC_SIZE: Final = 8


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
    # Together 33 bytes, which base64 does not have to pad.
    return base64.urlsafe_b64encode(body + _mac(body, digest, key)).decode()


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
        raw = base64.b64decode(text, altchars=b"-_", validate=True)
        version, created_at, id_ = _PLACE.unpack(raw[: _PLACE.size])
    except (ValueError, struct.error) as error:
        raise _invalid(name, text) from error
    place = Place(created_at, UUID(bytes=id_))
    right = encode_cursor(place, digest, key)
    if version != _VERSION or not hmac.compare_digest(right.encode(), text.encode()):
        raise _invalid(name, text)
    return place


def _mac(body: bytes, digest: bytes, key: bytes) -> bytes:
    return hmac.digest(key, body + digest, hashlib.sha256)[:_MAC_SIZE]


def _invalid(name: str, text: str) -> InvalidCursorError:
    return InvalidCursorError(name, text, "is no cursor of this feed; start from its first page")
