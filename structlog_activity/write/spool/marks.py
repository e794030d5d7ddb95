"""
Marks: which frames of a segment make up a batch that may have been sent.

A crash may come between the COMMIT of a batch and the moment we hear of it. So
before it is sent its identity is written beside the segment, in a *sidecar*.
Who reads the segment afterwards sends the same rows under the same identity,
and the ledger in the database says whether they are there.
"""

from __future__ import annotations

import struct
import zlib

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID

from ...store.batch import Identity
from .disk import Disk


SETTLED: Final[Identity] = (UUID(int=0), 0, 0)
"""Stands where frames are done with and no batch holds them."""

_ENTRY: Final = struct.Struct("<16sQQIII")
_SUMMED: Final = _ENTRY.size - 4
_LONGEST: Final = 64 << 20


class MarkError(Exception):
    """
    A batch can't be marked at present: the disk is full, say.

    It may be sent all the same. If the process dies before it hears of the
    COMMIT, its rows come again under another identity, and it is their primary
    key that keeps them from doubling.
    """


class Mark(NamedTuple):
    """
    The frames from *start* to *end* belong to a batch.

    A batch whose frames don't follow one another has several marks. Of two
    marks that cover a frame the later one counts.
    """

    identity: Identity
    start: int
    end: int


class Sidecar:
    """
    The file of the marks of one segment.

    It is made when the first mark is written.
    """

    __slots__ = ("_disk", "_end", "_fd", "_path", "_seed")

    def __init__(self, disk: Disk, path: Path, seed: int) -> None:
        self._disk = disk
        self._path = path
        self._seed = seed
        self._fd = -1
        self._end = 0  # A write that failed midway is written over.

    def append(self, marks: Iterable[Mark], *, synced: bool) -> None:
        """
        Write marks, all in one go.

        Raises:

            OSError: They are not written, and a reader sees nothing of them or
                only some of them.
        """
        data = b"".join(_pack(mark, self._seed) for mark in marks)
        fd = self._opened(synced=synced)
        self._disk.write(fd, data, self._end)
        if synced:
            self._disk.sync(fd)
        self._end += len(data)

    def load(self) -> list[Mark]:
        """
        Return the marks that are there, oldest first; damaged ones are left out.

        Raises:

            OSError: The file is there but can't be read.
        """
        try:
            self._fd = self._fd if self._fd >= 0 else self._disk.open(self._path)
        except FileNotFoundError:
            return []
        data = self._disk.read(self._fd, _LONGEST)
        whole = len(data) - len(data) % _ENTRY.size
        self._end = whole
        entries = (data[at : at + _ENTRY.size] for at in range(0, whole, _ENTRY.size))
        return [mark for entry in entries if (mark := _unpack(entry, self._seed))]

    def close(self) -> None:
        """Close the file."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self._disk.close(fd)

    def _opened(self, *, synced: bool) -> int:
        if self._fd < 0:
            try:
                self._fd = self._disk.create(self._path)
            except FileExistsError:  # Made by a try that failed afterwards.
                self._fd = self._disk.open(self._path)
            if synced:
                self._disk.sync_folder(self._path.parent)
        return self._fd


def identities(marks: Iterable[Mark], offsets: Iterable[int]) -> Mapping[int, Identity]:
    """
    Return the identity of each marked frame.

    Args:

        marks: Oldest first.

        offsets: Where the frames start, in ascending order.
    """
    ordered = list(offsets)
    out: dict[int, Identity] = {}
    for mark in marks:
        first = bisect_left(ordered, mark.start)
        for offset in ordered[first : bisect_left(ordered, mark.end)]:
            out[offset] = mark.identity
    return out


def _pack(mark: Mark, seed: int) -> bytes:
    (writer_id, seq, batch_id), start, end = mark
    data = _ENTRY.pack(writer_id.bytes, seq, batch_id, start, end, 0)[:_SUMMED]
    return data + zlib.crc32(data, seed).to_bytes(4, "little")


def _unpack(entry: bytes, seed: int) -> Mark | None:
    writer_id, seq, batch_id, start, end, crc = _ENTRY.unpack(entry)
    if zlib.crc32(entry[:_SUMMED], seed) != crc:
        return None
    return Mark((UUID(bytes=writer_id), seq, batch_id), start, end)
