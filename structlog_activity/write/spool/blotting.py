"""
Blotting out: rows of a spool are written over in place by what is left of them.

What is left is filled up with blanks to the same length. So no frame moves,
marks stay right, and a row that is still to be sent is sent without the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from ...record.row import Row
from .disk import Disk
from .frames import View, frame, scan
from .header import HEADER, NotASegmentError, check_header, seed_of
from .rowbytes import UnreadableRowError, decode, encode
from .segment import CORRUPT, LONGEST, SEGMENT


class Someone(Protocol):
    """Whose rows are blotted out."""

    def has(self, row: Row, /) -> bool:
        """Tell whether a row is theirs."""
        ...

    def without(self, row: Row, /) -> Row:
        """Return what is left of it."""
        ...


class Blotted(NamedTuple):
    """
    What was done, and what was not.

    Attributes:

        erased: How many rows were written over.

        held: How many are where somebody still writes or reads.

        troubles: Why a file could not be dealt with, each once.
    """

    erased: int
    held: int
    troubles: tuple[str, ...] = ()


def blot(
    view: View, seed: int, someone: Someone, write: Callable[[int, bytes], object], *, end: int
) -> Blotted:
    """
    Write over the rows of *someone* in a segment.

    Args:

        view: What the segment holds.

        seed: Its seed.

        someone: Whose rows.

        write: Writes bytes at an offset.

        end: Rows from here on are only counted.
    """
    erased = held = 0
    for start, row, length in _rows(view, seed):
        if not someone.has(row):
            continue
        if start >= end:
            held += 1
            continue
        write(start, frame(_padded(someone.without(row), length), seed))
        erased += 1
    return Blotted(erased, held)


def blot_folder(
    disk: Disk, folder: Path, someone: Someone, ours: Collection[str], *, counts_only: bool
) -> Blotted:
    """
    Write over the rows of *someone* in all files of a folder that nobody has open.

    Args:

        disk: Does the work.

        folder: Of the spool.

        someone: Whose rows.

        ours: Names of segments that this process has open, which are left alone.

        counts_only: Change nothing.
    """
    erased = held = 0
    troubles: list[str] = []
    for name in _names(disk, folder):
        if name.partition(".")[0] in ours:
            continue
        try:
            found = _blot_file(disk, folder / name, someone, counts_only=counts_only)
        except FileNotFoundError:  # Written meanwhile, and gone.
            continue
        except (OSError, NotASegmentError) as error:
            troubles.append(f"{name}: {getattr(error, 'strerror', None) or error}")
            continue
        erased, held = erased + found.erased, held + found.held
    return Blotted(erased, held, tuple(troubles))


def _names(disk: Disk, folder: Path) -> list[str]:
    try:
        found = disk.listing(folder)
    except FileNotFoundError:
        return []
    return sorted(name for name, _ in found if name.endswith((SEGMENT, SEGMENT + CORRUPT)))


def _blot_file(disk: Disk, path: Path, someone: Someone, *, counts_only: bool) -> Blotted:
    fd = disk.open(path)
    try:
        is_free = disk.lock(fd)
        view = disk.read(fd, LONGEST)
        if not view.strip(b"\0"):
            return Blotted(0, 0)
        check_header(view[:HEADER])
        end = len(view) if is_free else 0

        def write(at: int, data: bytes) -> None:
            if not counts_only:
                disk.write(fd, data, at)

        found = blot(view, seed_of(view[:HEADER]), someone, write, end=end)
        if found.erased and not counts_only:
            disk.sync(fd)
        return found
    finally:
        disk.close(fd)


def _rows(view: View, seed: int) -> Iterator[tuple[int, Row, int]]:
    for start, _, body in scan(view, HEADER, seed):
        if body is None:
            continue
        try:
            yield start, decode(body), len(body)
        except UnreadableRowError:
            continue


def _padded(row: Row, length: int) -> bytes:
    short = encode(row)
    return short + b" " * (length - len(short))
