"""
How far ``export --since-last`` came, in a file of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from ..errors import InvalidCursorError, InvalidFilterError
from ..log import ActivityLog
from ..read.tail.position import BEGINNING
from ..read.tail.tail import Tail
from ..record.record import ActivityRecord


_KEY: Final = "position"
_OFTEN: Final = 10_000


def require_place(file: Path) -> None:
    """
    Make sure that a position can be remembered, before what it is for is done.

    Raises:

        OSError: The file can't be put where it is to be.
    """
    handle, name = _draft(file)
    os.close(handle)
    Path(name).unlink()


def records_since(
    activity: ActivityLog, where: dict[str, Any], file: Path, keep: Callable[[], None]
) -> Iterator[ActivityRecord]:
    """
    Yield the records that were committed since the last time, and remember how far that was.

    What was yielded is remembered only after it was kept: where something fails in
    between, it comes again the next time.

    Args:

        activity: The log.

        where: Which records.

        file: Where the position is remembered; without it all records come.

        keep: Puts what was yielded out of harm's way.

    Raises:

        InvalidFilterError: The file holds no position, or one of another filter.
    """
    with _begun(activity, where, file) as records:
        for count, record in enumerate(records, 1):
            yield record
            if count % _OFTEN == 0:
                keep()
                _remember(file, records.position)
        keep()
        _remember(file, records.position)


def _begun(activity: ActivityLog, where: dict[str, Any], file: Path) -> Tail:
    try:
        return activity.tail(**where, position=_remembered(file), timeout=0)
    except InvalidCursorError as error:
        problem = str(error).partition(": ")[2]
        raise InvalidFilterError("since-last", str(file), f"its position {problem}") from None


def _remembered(file: Path) -> str:
    """Return the position in a file, the beginning where there is no file."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return BEGINNING
    except UnicodeDecodeError:
        text = ""
    with contextlib.suppress(ValueError):
        found = json.loads(text)
        if isinstance(found, dict) and isinstance(found.get(_KEY), str):
            return str(found[_KEY])
    raise InvalidFilterError(
        "since-last", str(file), "the file holds no position: remove it to export everything"
    )


def _remember(file: Path, position: str) -> None:
    """Put a position into a file: the new one or the old one is there, whatever happens."""
    handle, name = _draft(file)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as new:
            new.write(json.dumps({_KEY: position}) + "\n")
            new.flush()
            os.fsync(new.fileno())
        Path(name).replace(file)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
    _sync(file.parent)


def _draft(file: Path) -> tuple[int, str]:
    """Make an empty file beside another one; return its descriptor and its name."""
    try:
        return tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    except OSError as error:
        error.filename = str(file)  # The draft's name says nothing to anybody.
        raise


def _sync(folder: Path) -> None:
    with contextlib.suppress(OSError):  # Where folders can't be opened, as on Windows.
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
