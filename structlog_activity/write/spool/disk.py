"""
What the spool asks of the operating system, in one place.
"""

from __future__ import annotations

import errno
import mmap
import os
import stat

from pathlib import Path
from typing import Final


try:
    import fcntl
except ImportError:  # Windows
    HAS_LOCKS = False
else:
    HAS_LOCKS = True

_PRIVATE_FILE: Final = 0o600
_PRIVATE_FOLDER: Final = 0o700
_FLAGS: Final = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
_PIECE: Final = 1 << 20


class Disk:
    """
    The calls themselves; each raises `OSError` when it fails.

    Tests put in one whose n-th call fails.
    """

    def make_folder(self, path: Path) -> None:
        """Make a folder that is nobody else's; what is there already stays."""
        try:
            self._make_in_its_parent(path)
        except FileExistsError:
            return
        path.chmod(_PRIVATE_FOLDER)  # The umask may have taken too much.

    def _make_in_its_parent(self, path: Path) -> None:
        try:
            path.mkdir(_PRIVATE_FOLDER)
        except FileNotFoundError:
            self.make_folder(path.parent)
            path.mkdir(_PRIVATE_FOLDER)  # Unless another process was faster.

    def listing(self, folder: Path) -> list[tuple[str, int]]:
        """Return names and sizes of the files in a folder."""
        out: list[tuple[str, int]] = []
        # Not scandir, whose iterator stays open when a signal's exception strikes.
        for name in os.listdir(folder):  # noqa: PTH208
            try:
                out.append((name, (folder / name).lstat().st_size))
            except FileNotFoundError:  # Its owner is done with it.
                continue
        return out

    def status(self, path: Path) -> os.stat_result:
        """Return what is known of the file that a name leads to."""
        return path.stat()

    def status_of(self, fd: int) -> os.stat_result:
        """Return what is known of an open file."""
        return os.fstat(fd)

    def create(self, path: Path) -> int:
        """Open a new file that only its owner may read."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS, _PRIVATE_FILE)
        try:
            os.fchmod(fd, _PRIVATE_FILE)  # The umask may have taken too much.
        except OSError:
            os.close(fd)
            raise
        return fd

    def open(self, path: Path) -> int:
        """Open a file that is there, and no link."""
        return os.open(path, os.O_RDWR | _FLAGS)

    def close(self, fd: int) -> None:
        """Close a file, and thereby give up its lock."""
        os.close(fd)

    def lock(self, fd: int) -> bool:
        """Lock a file for as long as it is open; return `False` if somebody else has it."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def allocate(self, fd: int, size: int) -> None:
        """
        Give a file its blocks.

        A full disk shows here, as an error, and not as SIGBUS when a page is
        written for which there is no block.
        """
        try:
            os.posix_fallocate(fd, 0, size)
        except AttributeError:  # macOS
            self._fill(fd, size)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
                raise
            self._fill(fd, size)

    def map(self, fd: int, size: int) -> mmap.mmap:
        """
        Return a file as memory, its pages ready to be written to.

        The first write to a page costs some microseconds, which are taken from
        the callers. (MAP_POPULATE doesn't: it makes shared pages ready to be
        read only.)
        """
        memory = mmap.mmap(fd, size)
        for at in range(0, size, mmap.PAGESIZE):
            memory[at] = memory[at]
        return memory

    def read(self, fd: int, size: int) -> bytes:
        """Return the first *size* bytes of a file, fewer where it is shorter."""
        parts: list[bytes] = []
        at = 0
        while at < size:
            part = os.pread(fd, min(size - at, _PIECE), at)
            if not part:
                break
            parts.append(part)
            at += len(part)
        return b"".join(parts)

    def write(self, fd: int, data: bytes, at: int) -> None:
        """Write all of *data* at an offset; one call, unless the disk is full."""
        written = os.pwrite(fd, data, at)
        while written < len(data):  # On a full disk the rest raises.
            written += os.pwrite(fd, data[written:], at + written)

    def sync(self, fd: int) -> None:
        """Return when a file's content is on the disk, also what was written through a map."""
        getattr(os, "fdatasync", os.fsync)(fd)

    def sync_folder(self, path: Path) -> None:
        """Return when a folder's names are on the disk."""
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | _FLAGS)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def rename(self, old: Path, new: Path) -> None:
        """Give a file another name."""
        old.rename(new)

    def remove(self, path: Path) -> None:
        """Remove a file; it may be gone already."""
        path.unlink(missing_ok=True)

    def is_ours(self, found: os.stat_result) -> bool:
        """Whether a file belongs to the user who runs this."""
        return found.st_uid == os.geteuid()

    def is_open_to_others(self, found: os.stat_result) -> bool:
        """Whether other users may change what it holds."""
        return bool(stat.S_IMODE(found.st_mode) & (stat.S_IWGRP | stat.S_IWOTH))

    def _fill(self, fd: int, size: int) -> None:
        for at in range(0, size, _PIECE):
            self.write(fd, bytes(min(_PIECE, size - at)), at)
