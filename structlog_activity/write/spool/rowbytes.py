"""
A row as bytes, and back.
"""

from __future__ import annotations

import struct

from typing import Final

from ...record.row import Row
from .frames import KIND


SCHEMA: Final = 1
"""Version of what the bodies hold; it grows when `Row` changes."""

_PREFIX: Final = struct.Struct("<cq")  # kind, created_at
_IDS: Final = struct.Struct("<Bq16s16s16s16s16s")
_TEXTS: Final = 6
_prefix = _PREFIX.pack


class UnreadableRowError(ValueError):
    """A body is whole but no row of this version."""


def encode(row: Row) -> bytes:
    """
    Return *row* as bytes.

    The caller of a log function pays for this, so there are no lengths: no text
    of a `Row` holds a NUL, which therefore parts them, and one ``encode`` does
    for all six.
    """
    texts = "\0".join(row[6:]).encode()
    return b"".join((_prefix(KIND, row[1]), row[0], *row[2:6], texts))


def decode(body: bytes) -> Row:
    """
    Return the row that *body* holds.

    Raises:

        UnreadableRowError: It holds none, or something of a later version.
    """
    if body[:1] != KIND or len(body) < _IDS.size:
        raise UnreadableRowError("no row of this version")
    _, created_at, tenant_id, id_, actor_id, user_id, org_id = _IDS.unpack_from(body)
    try:
        texts = body[_IDS.size :].decode().split("\0")
    except UnicodeDecodeError:
        raise UnreadableRowError("no UTF-8") from None
    if len(texts) != _TEXTS:
        raise UnreadableRowError(f"{len(texts)} texts instead of {_TEXTS}")
    return Row(tenant_id, created_at, id_, actor_id, user_id, org_id, *texts)
