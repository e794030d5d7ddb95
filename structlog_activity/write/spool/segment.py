"""
A segment: one file of frames, and the memory through which they are appended.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import stat
import threading

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Final
from uuid import UUID

from .disk import Disk
from .frames import View
from .group_commit import GroupCommit
from .header import HEADER, NotASegmentError, check_header, pack_header, seed_of
from .marks import Mark, Sidecar


SEGMENT: Final = ".seg"
SIDECAR: Final = ".marks"
UNFINISHED: Final = ".tmp"
CORRUPT: Final = ".corrupt"

LONGEST: Final = 64 << 20
"""Most bytes of a segment; a larger file is none of ours."""


class Segment:
    """
    Hold one open and locked file.

    As long as it is open no other process reads it. `write` appends a frame
    from any thread, signal handler or finalizer: a single C call that copies
    and moves the position on without letting go of the GIL. It raises
    `ValueError` when the frame doesn't fit, when the segment is sealed, and
    when it is closed.

    Args:

        disk: Does the work.

        folder: Path of the folder.

        name: Name of the file, without its ending.

        fd: The open file.

        held: All open segments; this one adds itself and leaves when closed.
    """

    __slots__ = (
        "_disk", "_folder", "_held", "_map", "_marks", "_open",
        "claim", "commit", "name", "sealed", "seed", "size", "write",
    )  # fmt: skip

    def __init__(self, disk: Disk, folder: Path, name: str, fd: int, held: set[Segment]) -> None:
        self._disk = disk
        self._folder = folder
        self._open = [fd]  # So that two who close it at once close it once.
        self._held = held
        self._map: mmap.mmap | None = None
        self._marks: Sidecar | None = None
        self.name = name
        self.size = 0
        self.seed = 0
        self.sealed = False
        self.write: Callable[[bytes], int] = _refuse
        self.claim = threading.Lock()  # Held by who reads it or evicts it.
        self.commit = GroupCommit(self.sync)
        held.add(self)

    # -- making one, or opening somebody else's -------------------------------

    def lay_out(self, writer_id: UUID, number: int, size: int) -> None:
        """Give the new, empty file its blocks and its header, and make it ready for `write`."""
        self._disk.allocate(self._descriptor(), size)
        header = pack_header(writer_id, number)
        self._disk.write(self._descriptor(), header, 0)
        memory = self._disk.map(self._descriptor(), size)
        memory.seek(HEADER)
        self._map = memory
        self.write = memory.write
        self._accept(header, size)
        if not self.is_open:  # A signal handler has closed the spool.
            self.rest()
            raise OSError(errno.EBADF, "the segment is closed")

    def recognise(self) -> None:
        """
        Check that the file is a segment, one that nobody appends to any more.

        One whose maker died before the first byte was on the disk has size 0.

        Raises:

            NotASegmentError: It is none, or one of a later version.
        """
        size = self._disk.status_of(self._descriptor()).st_size
        if size > LONGEST:
            raise NotASegmentError(f"{size} bytes are too many")
        self.sealed = True
        header = self._disk.read(self._descriptor(), HEADER)
        if header.strip(b"\0") or self._disk.read(self._descriptor(), size).strip(b"\0"):
            check_header(header)
            self._accept(header, size)

    def is_there(self) -> bool:
        """Whether the file is still where its name leads to, and not deleted or replaced."""
        return self._is_at(self._path(SEGMENT))

    def is_unfinished(self) -> bool:
        """Whether the file is still where it was made."""
        return self._is_at(self._path(UNFINISHED))

    def is_regular(self) -> bool:
        """Whether this is a file, and one of the user who runs this."""
        found = self._disk.status_of(self._descriptor())
        return stat.S_ISREG(found.st_mode) and self._disk.is_ours(found)

    def lock(self) -> bool:
        """Keep others from the file; return `False` if somebody has it."""
        return self._disk.lock(self._descriptor())

    # -- reading --------------------------------------------------------------

    def seal(self) -> None:
        """Let nobody append any more."""
        memory = self._map
        if memory is not None and not self.sealed:
            with contextlib.suppress(ValueError):  # Closed meanwhile.
                memory.seek(0, os.SEEK_END)
        self.sealed = True

    def rest(self) -> None:
        """Give back the memory of a sealed segment that will be read later."""
        memory, self._map = self._map, None
        self.write = _refuse
        if memory is not None:
            memory.close()

    def view(self) -> View:
        """
        Return what the file holds.

        A map where there is one. The file of somebody else is read instead: if
        it is cut short meanwhile that is no SIGBUS.

        Raises:

            OSError: It can't be read.
        """
        memory = self._map
        return self._disk.read(self._descriptor(), self.size) if memory is None else memory

    def overwrite(self, at: int, data: bytes) -> None:
        """
        Write *data* over what is there.

        Raises:

            OSError: It can't be written.

            ValueError: The segment is closed.
        """
        memory = self._map
        if memory is None:
            self._disk.write(self._descriptor(), data, at)
        else:
            memory[at : at + len(data)] = data

    def sync(self) -> None:
        """Return when all that was written is on the disk."""
        self._disk.sync(self._descriptor())

    def mark(self, marks: Iterable[Mark], *, synced: bool) -> None:
        """
        Write marks beside the segment.

        Raises:

            OSError: They can't be written.
        """
        self._sidecar().append(marks, synced=synced)

    def load_marks(self) -> list[Mark]:
        """
        Return the marks beside the segment.

        Raises:

            OSError: They can't be read.
        """
        return self._sidecar().load()

    @property
    def is_marked(self) -> bool:
        """Whether somebody has written marks, or tried to."""
        return self._marks is not None

    # -- the end --------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether the file is still ours."""
        return bool(self._open)

    def publish(self) -> None:
        """Give a new segment the name under which others find it when we are gone."""
        self._disk.rename(self._path(UNFINISHED), self._path(SEGMENT))

    def remove(self) -> None:
        """
        Remove the file and its marks; the file first, for without marks it would be sent twice.

        Raises:

            OSError: It can't be removed; it stays ours.
        """
        self._disk.remove(self._path(SEGMENT))
        # A lone sidecar harms nobody and is swept away one day.
        with contextlib.suppress(OSError):
            self._disk.remove(self._path(SIDECAR))
        self.commit.finish()
        self.close()

    def discard(self) -> None:
        """Remove a file that wasn't finished, and close it."""
        with contextlib.suppress(OSError):
            self._disk.remove(self._path(UNFINISHED))
        self.close()

    def set_apart(self) -> None:
        """
        Rename a file that nobody should read, for somebody to look at, and close it.

        Raises:

            OSError: It can't be renamed; it stays ours.
        """
        self._disk.rename(self._path(SEGMENT), self._path(SEGMENT + CORRUPT))
        with contextlib.suppress(OSError):  # There may be none.
            self._disk.rename(self._path(SIDECAR), self._path(SIDECAR + CORRUPT))
        self.commit.finish()
        self.close()

    def close(self) -> None:
        """Give up the file and its lock, and leave it to others."""
        self.seal()
        try:
            fd = self._open.pop()
        except IndexError:
            return
        self.rest()
        for close in (self._sidecar().close, partial(self._disk.close, fd)):
            with contextlib.suppress(OSError):
                close()
        self._held.discard(self)

    def _descriptor(self) -> int:
        try:
            return self._open[0]
        except IndexError:  # A signal handler has closed it under us.
            raise OSError(errno.EBADF, "the segment is closed") from None

    def _accept(self, header: bytes, size: int) -> None:
        self.size = size
        self.seed = seed_of(header)

    def _sidecar(self) -> Sidecar:
        if self._marks is None:
            path = self._path(SIDECAR)
            self._marks = Sidecar(self._disk, path, self.seed)
        return self._marks

    def _path(self, ending: str) -> Path:
        return self._folder / (self.name + ending)

    def _is_at(self, path: Path) -> bool:
        ours = self._disk.status_of(self._descriptor())
        try:
            there = self._disk.status(path)
        except FileNotFoundError:
            return False
        return (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)


def _refuse(_frame: bytes) -> int:
    raise ValueError("closed")
