"""
The spool's folder: new segments, those of dead processes, and what else lies about.
"""

from __future__ import annotations

import contextlib
import errno

from collections import deque
from pathlib import Path
from uuid import UUID

from .disk import Disk
from .header import NotASegmentError
from .segment import SEGMENT, SIDECAR, UNFINISHED, Segment


_TRIES = 3


class Folder:
    """
    Make segments in a folder, and find those that nobody holds.

    Several processes may share it; each file belongs to who has its lock, and
    the kernel takes that away when its process ends, however it ends.

    Args:

        disk: Does the work.

        path: Where the folder is; made when it is first needed.

        held: All segments that this process has open.

        synced: Whether names must survive a power failure.
    """

    def __init__(self, disk: Disk, path: Path, held: set[Segment], *, synced: bool) -> None:
        self._disk = disk
        self._path = path
        self._held = held
        self._synced = synced
        self._candidates: deque[str] = deque()
        self._others: dict[str, int] = {}
        self._surveyed = False
        self._begun: set[str] = set()
        self.corrupt = 0
        self.trouble: OSError | None = None

    @property
    def bytes(self) -> int:
        """Size of all segments: ours, and those of others when we looked last."""
        return sum(segment.size for segment in tuple(self._held)) + sum(self._others.values())

    def ensure(self) -> None:
        """
        Make the folder where it is missing.

        Raises:

            OSError: It can't be made, or others could put records into it.
        """
        self._disk.make_folder(self._path)
        found = self._disk.status(self._path)
        if not self._disk.is_ours(found):
            raise PermissionError(errno.EPERM, "the folder belongs to another user")
        if self._disk.is_open_to_others(found):
            raise PermissionError(errno.EPERM, "other users may write into the folder: chmod 700")

    def make(self, writer_id: UUID, number: int, size: int) -> Segment:
        """
        Return a new segment.

        It is made under another name, so that whoever looks for orphans never
        sees one that is unfinished or not locked yet.

        Raises:

            OSError: It can't be made; nothing is left of it.
        """
        name = f"{writer_id.hex}-{number:08}"
        self._begun.add(name)
        try:
            segment = self._create(name)
            self._finish(segment, writer_id, number, size)
        except OSError:
            self._begun.discard(name)
            raise
        self._begun.discard(name)
        if self._synced:
            self._sync_names(segment)
        return segment

    def sweep(self) -> None:
        """
        Remove what is left of segments that this process began and didn't finish.

        A signal's exception may strike between any two steps of `make`, also of
        its own cleaning up.
        """
        for name in sorted(self._begun):
            self._sweep_unfinished(name)
            self._begun.discard(name)

    def orphan(self) -> Segment | None:
        """
        Return a segment whose process is gone, locked; `None` if there is none.

        What can't be opened is left alone, and told by `trouble`.

        Raises:

            OSError: The folder can't be read.
        """
        self.trouble = None
        segment = self._first_orphan()  # Of those that the last look found.
        if segment is None:
            self.survey()
            segment = self._first_orphan()
        return segment

    def survey(self) -> None:
        """
        Look what is there, and remove what a crash left behind.

        Raises:

            OSError: The folder can't be read.
        """
        ours = {segment.name for segment in tuple(self._held)}
        found: dict[str, set[str]] = {SEGMENT: set(), SIDECAR: set(), UNFINISHED: set()}
        sizes: dict[str, int] = {}
        for name, size in self._disk.listing(self._path):
            stem, dot, ending = name.rpartition(".")
            ending = dot + ending
            if ending in found and stem not in ours:
                found[ending].add(stem)
                sizes[name] = size
        self._others = {stem: sizes[stem + SEGMENT] for stem in found[SEGMENT]}
        self._candidates = deque(sorted(found[SEGMENT]))
        self._surveyed = True
        for stem in sorted(found[UNFINISHED]):
            self._sweep_unfinished(stem)
        for stem in sorted(found[SIDECAR] - found[SEGMENT]):
            self._sweep_sidecar(stem)

    def survey_once(self) -> None:
        """Look what is there, unless somebody has."""
        if not self._surveyed:
            self.survey()

    def forget(self, name: str) -> None:
        """Take a segment of somebody else off the sum: it is ours, or gone."""
        self._others.pop(name, None)

    # -- making ---------------------------------------------------------------

    def _create(self, name: str) -> Segment:
        path = self._path / (name + UNFINISHED)
        for _ in range(_TRIES):
            segment = Segment(self._disk, self._path, name, self._disk.create(path), self._held)
            try:
                # Somebody who sweeps up may have taken it for a leftover in between.
                if segment.lock() and segment.is_unfinished():
                    return segment
            except BaseException:
                segment.discard()
                raise
            segment.discard()
        raise OSError(errno.EAGAIN, "somebody removes the files that are made")

    def _finish(self, segment: Segment, writer_id: UUID, number: int, size: int) -> None:
        try:
            segment.lay_out(writer_id, number, size)
            if self._synced:
                segment.sync()
            segment.publish()
        except BaseException:
            segment.discard()
            raise

    def _sync_names(self, segment: Segment) -> None:
        try:
            self._disk.sync_folder(self._path)
        except OSError:
            with contextlib.suppress(OSError):
                segment.remove()
            segment.close()
            raise

    # -- adopting -------------------------------------------------------------

    def _first_orphan(self) -> Segment | None:
        while self._candidates:
            segment = self._try_to_adopt(self._candidates.popleft())
            if segment is not None:
                return segment
        return None

    def _try_to_adopt(self, name: str) -> Segment | None:
        try:
            return self._adopt(name)
        except FileNotFoundError:
            self.forget(name)
        except OSError as error:
            self.trouble = error
        return None

    def _adopt(self, name: str) -> Segment | None:
        fd = self._disk.open(self._path / (name + SEGMENT))
        segment = Segment(self._disk, self._path, name, fd, self._held)
        try:
            kept = self._is_orphan(segment) and self._is_readable(segment)
        except BaseException:
            segment.close()
            raise
        if not kept:
            segment.close()
            return None
        self.forget(name)
        return segment

    def _is_orphan(self, segment: Segment) -> bool:
        if not segment.is_regular():
            raise PermissionError(errno.EPERM, "a file in the folder belongs to another user")
        # Who had the lock before us may have removed the file under it.
        return segment.lock() and segment.is_there()

    def _is_readable(self, segment: Segment) -> bool:
        try:
            segment.recognise()
        except NotASegmentError:
            self.set_apart(segment)
            return False
        if not segment.size:  # Its maker died before it held anything.
            segment.remove()
            self.forget(segment.name)
        return bool(segment.size)

    def set_apart(self, segment: Segment) -> None:
        """
        Rename a file that is damaged or no segment, so that nobody reads it again.

        Raises:

            OSError: It can't be renamed.
        """
        segment.set_apart()
        self.corrupt += 1
        self.forget(segment.name)

    # -- leftovers ------------------------------------------------------------

    def _sweep_unfinished(self, stem: str) -> None:
        with contextlib.suppress(OSError):
            fd = self._disk.open(self._path / (stem + UNFINISHED))
            segment = Segment(self._disk, self._path, stem, fd, self._held)
            try:
                if segment.lock() and segment.is_unfinished():
                    segment.discard()
            finally:
                segment.close()

    def _sweep_sidecar(self, stem: str) -> None:
        # Its segment may have been made while we looked; then it is there now.
        # Whoever removes a segment removes it first, so one that isn't there
        # won't come back.
        with contextlib.suppress(OSError):
            try:
                self._disk.status(self._path / (stem + SEGMENT))
            except FileNotFoundError:
                self._disk.remove(self._path / (stem + SIDECAR))
