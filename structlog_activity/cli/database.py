"""
The log of a command: its keys, and what is asked of its database before it is used.
"""

from __future__ import annotations

import argparse
import contextlib

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import InvalidFilterError, RepositoryError
from ..log import SPOOL_VARIABLE, ActivityLog
from .codes import UsageError


def key_options() -> argparse.ArgumentParser:
    """Return the option that gives keys."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(
        "--key-file",
        metavar="FILE",
        action="append",
        default=[],
        help="holds the application's key, as it is but for a newline at its end; given again, it "
        "is one that was used before",
    )
    return parser


def spool_options() -> argparse.ArgumentParser:
    """Return the option that names the spool."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(
        "--spool-dir", metavar="FOLDER", help=f"folder of the spool; default ${SPOOL_VARIABLE}"
    )
    return parser


def require_spool(options: argparse.Namespace) -> None:
    """
    Make sure that the folder of ``--spool-dir`` is there.

    A log would make an empty one, in which nothing is to be found.

    Raises:

        UsageError: It isn't.
    """
    if options.spool_dir is not None and not Path(options.spool_dir).is_dir():
        raise UsageError(f"--spool-dir {options.spool_dir}: there is no such folder")


@contextlib.contextmanager
def without_writer(activity: ActivityLog) -> Iterator[ActivityLog]:
    """
    Give a log to a command that records nothing, and let go of its connections afterwards.

    To close it would have its writer make the spool that the environment names, of
    whoever runs the command and not of the application, and write what waits there.
    """
    try:
        yield activity
    finally:
        activity.engine.dispose()


@contextlib.contextmanager
def opened(options: argparse.Namespace) -> Iterator[ActivityLog]:
    """Give the log of ``--url``, whose tables are there already."""
    with without_writer(ActivityLog(options.url, migrate=False)) as activity:
        require_file(activity)
        yield activity


@contextlib.contextmanager
def opened_with_keys(options: argparse.Namespace, **more: Any) -> Iterator[ActivityLog]:
    """
    Give the log of a command that takes `key_options`, whose tables are there already.

    Args:

        options: Of the command.

        more: For the `ActivityLog`.

    Raises:

        OSError: The file of a key can't be read.

        InvalidFilterError: It is empty.

        RepositoryError: There is no such file of SQLite.
    """
    keys = [read_key(path) for path in options.key_file]
    first = keys[0] if keys else None
    log = ActivityLog(options.url, migrate=False, key=first, old_keys=keys[1:], **more)
    with without_writer(log) as activity:
        require_file(activity)
        yield activity


def read_key(path: str) -> bytes:
    """
    Return the key that a file holds, without a newline at its end.

    Raises:

        OSError: The file can't be read.

        InvalidFilterError: It is empty.
    """
    key = Path(path).read_bytes().removesuffix(b"\n").removesuffix(b"\r")
    if not key:  # Without one, seals are taken as they are.
        raise InvalidFilterError("key-file", path, "the file holds no key")
    return key


def require_file(activity: ActivityLog) -> None:
    """
    Make sure that the file of a SQLite log is there.

    SQLite would make an empty one, which is not what a reader wants.

    Raises:

        RepositoryError: It isn't.
    """
    from ..store.engine import file_of

    file = file_of(activity.engine.url)
    if file is not None and not file.exists():
        raise RepositoryError(
            f"there is no file {file}: is --url right, or $STRUCTLOG_ACTIVITY_URL, "
            "or the current folder?"
        )
