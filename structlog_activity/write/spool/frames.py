"""
Frames: bodies one after another, each with its length and a checksum.

::

    <u32 length of the body><u32 CRC-32 of the body> body

Eight zeros are the end. Each file starts its checksums from a seed of its own:
neither a block of another file nor anything that somebody got into a record
passes for a frame of this one, which makes it safe to search behind damage.
"""

from __future__ import annotations

import mmap
import struct
import zlib

from collections.abc import Iterator
from typing import Final, TypeAlias


HEAD: Final = 8
"""Bytes before each body."""

KIND: Final = b"\x01"
"""First byte of every body: it holds a row. A body of another kind would have another."""

View: TypeAlias = "bytes | mmap.mmap"

Found: TypeAlias = "tuple[int, int, bytes | None]"
"""Offset, end and body of a frame; no body where it is damaged."""

# zlib lets go of the GIL above 5 KiB, and who lets go of it while other threads
# compute gets it back 5 ms later.
_PIECE: Final = 5 * 1024
_HEAD: Final = struct.Struct("<II")
_END: Final = bytes(HEAD)
_SEARCHED: Final = 64 << 20  # Most bytes to sum up in one search; a hostile file may ask for more.
_pack = _HEAD.pack


def frame(body: bytes, seed: int) -> bytes:
    """Return the frame around *body*, which isn't empty."""
    size = len(body)
    crc = zlib.crc32(body, seed) if size <= _PIECE else checksum(body, seed)
    return _pack(size, crc) + body


def checksum(body: bytes, seed: int) -> int:
    """Return the CRC-32 of *body*, without letting go of the GIL."""
    if len(body) <= _PIECE:
        return zlib.crc32(body, seed)
    for start in range(0, len(body), _PIECE):
        seed = zlib.crc32(body[start : start + _PIECE], seed)
    return seed


def scan(view: View, start: int, seed: int) -> Iterator[Found]:
    """
    Find the frames from *start* on, whatever *view* holds.

    Where a frame is damaged its length may be, too. Then the next whole frame
    is searched for, and what lies between counts as one damaged frame.

    Args:

        view: The file.

        start: Where a frame starts.

        seed: The file's seed.
    """
    at = start
    while at + HEAD <= len(view) and view[at : at + HEAD] != _END:
        body = _body_at(view, at, seed)
        end = _next_whole(view, at, seed) if body is None else at + HEAD + len(body)
        yield at, end, body
        at = end


def body_at(view: View, at: int, end: int) -> bytes:
    """Return the body of a frame that `scan` found whole."""
    return view[at + HEAD : end]


def _body_at(view: View, at: int, seed: int) -> bytes | None:
    length, crc = _HEAD.unpack_from(view, at)
    end = at + HEAD + length
    if length == 0 or end > len(view):
        return None
    body = view[at + HEAD : end]
    return body if checksum(body, seed) == crc else None


def _next_whole(view: View, damaged: int, seed: int) -> int:
    """Return where the next whole frame starts; the end of the file if there is none."""
    budget = _SEARCHED
    kind = view.find(KIND, damaged + 1 + HEAD)
    while kind >= 0 and budget > 0:
        at = kind - HEAD
        length, crc = _HEAD.unpack_from(view, at)
        if 0 < length <= len(view) - kind:
            budget -= length
            if checksum(view[kind : kind + length], seed) == crc:
                return at
        kind = view.find(KIND, kind + 1)
    return len(view)
