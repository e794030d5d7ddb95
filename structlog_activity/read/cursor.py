"""
Cursors: a place in a feed, as opaque text that fits that feed only.
"""

from __future__ import annotations

import hmac
import struct

from binascii import a2b_base64, b2a_base64
from functools import lru_cache
from struct import Struct
from typing import Final, NamedTuple
from uuid import UUID

from ..errors import InvalidCursorError
from ..record.record import ActivityRecord
from ..record.times import to_microseconds


_VERSION: Final = 1
_PLACE: Final = Struct("!Bq16s")
_MAC_SIZE: Final = 8
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


def place_of(record: ActivityRecord) -> Place:
    """Return where a record that is stored stands."""
    assert record.occurred_at is not None  # noqa: S101  Every stored record has its time.
    return Place(to_microseconds(record.occurred_at), record.id)


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
    except (ValueError, struct.error) as error:
        raise _invalid(name, text) from error
    right = _mac(raw[: _PLACE.size], digest, key)
    if version != _VERSION or not hmac.compare_digest(right, raw[_PLACE.size :]):
        raise _invalid(name, text)
    return Place(created_at, UUID(bytes=id_))


def _mac(body: bytes, digest: bytes, key: bytes) -> bytes:
    found = _begun(key).copy()
    found.update(body + digest)
    return found.digest()[:_MAC_SIZE]


# A page makes three, and to begin anew with the key takes half of the time of each.
@lru_cache(maxsize=16)
def _begun(key: bytes) -> hmac.HMAC:
    return hmac.new(key, digestmod="sha256")


def _invalid(name: str, text: str) -> InvalidCursorError:
    return InvalidCursorError(name, text, "is no cursor of this feed; start from its first page")
