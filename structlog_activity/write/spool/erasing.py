"""
Erasing from a spool: rows are written over in place by what is left of them.

What is left is filled up with blanks to the same length. So no frame moves,
marks stay right, and a row that is still to be sent is sent without the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from ...record.row import Row
from .disk import Disk
from .frames import HEAD, View, frame, scan
from .header import HEADER, NotASegmentError, check_header, seed_of
from .rowbytes import UnreadableRowError, decode, encode
from .segment import CORRUPT, LONGEST, SEGMENT


class Someone(Protocol):
    """Whose rows are erased."""

    def has(self, row: Row, /) -> bool:
        """Tell whether a row is theirs."""
        ...

    def without(self, row: Row, /) -> Row:
        """Return what is left of it."""
        ...


class Erased(NamedTuple):
    """
    What was done, and what was not.

    Attributes:

        rows: How many were erased.

        held: How many are where somebody still writes or reads.

        unreadable: How many damaged records lie in files that were set apart; whose
            they are can't be told.

        troubles: Why a file could not be dealt with, each once.
    """

    rows: int = 0
    held: int = 0
    unreadable: int = 0
    troubles: tuple[str, ...] = ()

    def plus(self, other: Erased) -> Erased:
        """Return both together."""
        return Erased(
            self.rows + other.rows,
            self.held + other.held,
            self.unreadable + other.unreadable,
            self.troubles + other.troubles,
        )


def erase_rows(
    view: View,
    seed: int,
    someone: Someone,
    write: Callable[[int, bytes], object] | None,
    *,
    end: int,
) -> Erased:
    """
    Write over the rows of *someone* in a segment.

    Args:

        view: What the segment holds.

        seed: Its seed.

        someone: Whose rows.

        write: Writes bytes at an offset; `None` only counts.

        end: Rows from here on are only counted.
    """
    erased = held = unreadable = 0
    for start, row, length in _rows(view, seed):
        if row is None:
            unreadable += 1
            continue
        if not someone.has(row):
            continue
        if start >= end:
            held += 1
            continue
        if write is not None:
            write(start, frame(_padded(someone.without(row), length), seed))
        erased += 1
    return Erased(erased, held, unreadable)


def erase_in_folder(
    disk: Disk, folder: Path, someone: Someone, ours: Collection[str], *, counts_only: bool
) -> Erased:
    """
    Write over the rows of *someone* in all files of a folder that nobody has open.

    Args:

        disk: Does the work.

        folder: Of the spool.

        someone: Whose rows.

        ours: Names of segments that this process has open, which are left alone.

        counts_only: Change nothing.
    """
    found = Erased()
    for name in _names(disk, folder):
        if name.partition(".")[0] in ours:
            continue
        try:
            here = _erase_in_file(disk, folder / name, someone, counts_only=counts_only)
        except FileNotFoundError:  # Written meanwhile, and gone.
            continue
        except (OSError, NotASegmentError) as error:
            here = Erased(troubles=(f"{name}: {getattr(error, 'strerror', None) or error}",))
        found = found.plus(here)
    return found


def _names(disk: Disk, folder: Path) -> list[str]:
    try:
        found = disk.listing(folder)
    except FileNotFoundError:
        return []
    return sorted(name for name, _ in found if name.endswith((SEGMENT, SEGMENT + CORRUPT)))


def _erase_in_file(disk: Disk, path: Path, someone: Someone, *, counts_only: bool) -> Erased:
    fd = disk.open(path)
    try:
        is_free = disk.lock(fd)
        view = disk.read(fd, LONGEST)
        if not view.strip(b"\0"):
            return Erased()
        check_header(view[:HEADER])
        end = len(view) if is_free else 0
        write = None if counts_only else lambda at, data: disk.write(fd, data, at)
        found = erase_rows(view, seed_of(view[:HEADER]), someone, write, end=end)
        if found.rows and not counts_only:
            disk.sync(fd)
        # Elsewhere a damaged record is still to be met, and told, by whoever reads the file.
        return found if path.suffix == CORRUPT else found._replace(unreadable=0)
    finally:
        disk.close(fd)


def _rows(view: View, seed: int) -> Iterator[tuple[int, Row | None, int]]:
    for start, end, body in scan(view, HEADER, seed):
        try:
            yield start, None if body is None else decode(body), end - start - HEAD
        except UnreadableRowError:
            yield start, None, 0


def _padded(row: Row, length: int) -> bytes:
    short = encode(row)
    return short + b" " * (length - len(short))
