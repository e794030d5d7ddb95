"""
The first bytes of a segment: what it is, in which version, and whose.
"""

from __future__ import annotations

import struct
import zlib

from typing import Final
from uuid import UUID

from .rowbytes import SCHEMA


HEADER: Final = 64
"""Bytes of a header; the first frame starts behind them."""

_MAGIC: Final = b"\x89SLACT\r\n"  # Like PNG's: whoever takes it for text damages it.
_FORMAT: Final = 1
_FIELDS: Final = struct.Struct("<8sHHI16sQ20x")


class NotASegmentError(Exception):
    """A file in the spool's folder is not what its name says; the text tells why."""


def pack_header(writer_id: UUID, number: int) -> bytes:
    """Return the header of a writer's segment."""
    data = _FIELDS.pack(_MAGIC, _FORMAT, SCHEMA, 0, writer_id.bytes, number)
    return data + zlib.crc32(data).to_bytes(4, "little")


def check_header(header: bytes) -> None:
    """
    Check the first bytes of a file.

    Raises:

        NotASegmentError: They are not those of a segment that we can read.
    """
    if len(header) < HEADER or header[: len(_MAGIC)] != _MAGIC:
        raise NotASegmentError("it is no segment")
    if zlib.crc32(header[:-4]) != seed_of(header):
        raise NotASegmentError("its header is damaged")
    _, version, schema, *_ = _FIELDS.unpack(header[:-4])
    if (version, schema) != (_FORMAT, SCHEMA):
        raise NotASegmentError(f"its version is {version}.{schema}, not {_FORMAT}.{SCHEMA}")


def seed_of(header: bytes) -> int:
    """
    Return from what the checksums of the frames start: the header's own.

    (Not the sum over all of the header: with its own sum behind it, the sum of
    anything is the same.)
    """
    return int.from_bytes(header[-4:], "little")
