"""
Positions: how far a tail has come, as opaque text that fits that tail only.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct

from struct import Struct
from typing import Final, NamedTuple

from ...errors import InvalidCursorError


BEGINNING: Final = "0"
"""The position before the first record of a log."""

WHOLE: Final = 2**31 - 1
"""The place in a batch behind all of its rows."""

_VERSION: Final = 1
_FIXED: Final = Struct("!BIQQiQQiH")
_MAC_SIZE: Final = 8
_NAME: Final = "position"


class Spot(NamedTuple):
    """
    A row in the ledger's order.

    Attributes:

        ordinal: That of its batch's transaction.

        batch_id: Its batch.

        ix: Its place in the batch.
    """

    ordinal: int
    batch_id: int
    ix: int

    @property
    def batch(self) -> tuple[int, int]:
        """What places its batch in the order."""
        return self.ordinal, self.batch_id


class Position(NamedTuple):
    """
    What of the ledger was delivered: everything up to a spot, with exceptions.

    Attributes:

        spot: The last row in order.

        open: Transactions before it that had not ended when their turn was, in
            order; nothing of theirs was delivered.

        late: But for what lies up to this row, within one of them.
    """

    spot: Spot
    open: tuple[int, ...] = ()
    late: Spot | None = None


START: Final = Position(Spot(0, 0, WHOLE))
"""Nothing was delivered."""


def encode_position(position: Position, server: int, digest: bytes, key: bytes) -> str:
    """
    Return the text of a position.

    Args:

        position: The position.

        server: A number of 32 bits that tells servers apart.

        digest: What `ActivityFilter.digest` says of the tail.

        key: Secret; without one the text is still bound to its tail, but
            whoever knows this code can make one.
    """
    late = position.late or Spot(0, 0, 0)
    count = len(position.open)
    body = _FIXED.pack(_VERSION, server, *position.spot, *late, count)
    body += struct.pack(f"!{count}Q", *position.open)
    return base64.urlsafe_b64encode(body + _mac(body, digest, key)).rstrip(b"=").decode()


def decode_position(text: str, digest: bytes, key: bytes) -> tuple[Position, int]:
    """
    Return the position and the server of a text.

    Args:

        text: As `encode_position` returns it, or `BEGINNING`, which fits any
            server; that is told by 0.

        digest: As there.

        key: As there.

    Raises:

        InvalidCursorError: It is damaged, or of another filter, tenant or key.
    """
    if text == BEGINNING:
        return START, 0
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        body, mac = raw[:-_MAC_SIZE], raw[-_MAC_SIZE:]
        version, server, *numbers, count = _FIXED.unpack(body[: _FIXED.size])
        open_ = struct.unpack(f"!{count}Q", body[_FIXED.size :])
    except (ValueError, TypeError, struct.error):
        raise _invalid(text) from None
    if version != _VERSION or not hmac.compare_digest(mac, _mac(body, digest, key)):
        raise _invalid(text)
    late = Spot(*numbers[3:])
    return Position(Spot(*numbers[:3]), open_, late if late.ordinal else None), server


def refused(text: str, problem: str) -> InvalidCursorError:
    """Return the error for a position that can't be used."""
    return InvalidCursorError(_NAME, text, problem)


def _invalid(text: str) -> InvalidCursorError:
    return refused(
        text,
        f"is no position of a tail with this tenant and filter; {BEGINNING!r} is the beginning",
    )


def _mac(body: bytes, digest: bytes, key: bytes) -> bytes:
    return hmac.digest(key, b"tail" + body + digest, hashlib.sha256)[:_MAC_SIZE]
