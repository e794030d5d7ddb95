"""
Rows that the database will never take, kept for somebody to look at.
"""

from __future__ import annotations

import contextlib
import json
import os

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol

from ..record.record import ID_FIELDS
from ..record.row import Row


KEPT_IN_MEMORY: Final = 1_000
KEPT_ON_DISK: Final = 10_000
_SUFFIX: Final = ".json"
_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """
    A row that the database refused, for a reason that lies in the row.

    Attributes:

        row: The row.

        reason: Why, without any of its values.

        at: When it was set aside.
    """

    row: Row
    reason: str
    at: datetime

    @property
    def name(self) -> str:
        """What the letter is called: the id of its record."""
        return self.row.id.hex()

    def to_dict(self) -> dict[str, Any]:
        """Return the letter as JSON has it; ``data`` stays the text that it is."""
        row: dict[str, Any] = self.row._asdict()
        for field in ID_FIELDS:
            row[field] = row[field].hex()
        return {"format": _FORMAT, "at": self.at.isoformat(), "reason": self.reason, "row": row}

    @classmethod
    def from_dict(cls, letter: dict[str, Any]) -> DeadLetter:
        """
        Return the letter that `to_dict` made this of.

        Raises:

            ValueError: It is none.
        """
        try:
            fields = dict(letter["row"])
            for field in ID_FIELDS:
                fields[field] = bytes.fromhex(fields[field])
            row, reason = Row(**fields), str(letter["reason"])
            return cls(row, reason, datetime.fromisoformat(letter["at"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"no dead letter ({type(error).__name__})") from None


class DeadLetters(Protocol):
    """Where dead letters go."""

    def add(self, letter: DeadLetter) -> bool:
        """Keep *letter*; return whether it is kept. Never raises."""
        ...

    def __iter__(self) -> Iterator[DeadLetter]:
        """Return the letters that are kept, oldest first."""
        ...


class LettersInMemory(deque[DeadLetter]):
    """Keep the last thousand, as long as the process lives."""

    def __init__(self) -> None:
        super().__init__(maxlen=KEPT_IN_MEMORY)

    def add(self, letter: DeadLetter) -> bool:
        """Keep *letter* and forget the oldest."""
        self.append(letter)
        return True

    def put_instead(self, old: DeadLetter, new: DeadLetter) -> None:
        """Keep *new* in the place of *old*, unless that is forgotten by now."""
        with contextlib.suppress(ValueError):
            self[self.index(old)] = new


class LettersInFolder:
    """
    Keep each letter in a JSON file of its own, named by the record's id.

    So they can be read with any tool, several processes share one folder
    without a lock, and a record that is refused twice has one letter.

    Args:

        folder: Where; made when the first letter comes, for its owner only.

        most: How many are kept. Beyond that no letter is taken any more: those
            that are there tell what began to go wrong.
    """

    def __init__(self, folder: Path, most: int = KEPT_ON_DISK) -> None:
        self.folder = folder
        self._most = most

    def add(self, letter: DeadLetter) -> bool:
        """Write *letter*; return `False` if there are too many, or the disk refuses."""
        path = self._path(letter.name)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not path.exists() and len(self.names()) >= self._most:
                return False
            self._write(path, letter)
        except OSError:
            return False
        return True

    def __iter__(self) -> Iterator[DeadLetter]:
        for name in self.names():
            with contextlib.suppress(ValueError, OSError):  # Not ours, or gone meanwhile.
                yield self.get(name)

    def names(self) -> list[str]:
        """Return the names of all letters, oldest record first."""
        try:
            found = [path.stem for path in self.folder.iterdir() if path.suffix == _SUFFIX]
        except OSError:
            return []
        return sorted(found)

    def get(self, name: str) -> DeadLetter:
        """
        Return the letter of that name.

        Raises:

            OSError: There is none, or it can't be read.

            ValueError: The file is no dead letter.
        """
        return DeadLetter.from_dict(json.loads(self._path(name).read_text(encoding="utf-8")))

    def put_instead(self, old: DeadLetter, new: DeadLetter) -> None:
        """
        Keep *new* in the place of *old*.

        Raises:

            OSError: It can't be written.
        """
        self._write(self._path(old.name), new)

    def remove(self, name: str) -> bool:
        """Delete the letter of that name; return whether it was there."""
        try:
            self._path(name).unlink()
        except FileNotFoundError:
            return False
        return True

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}{_SUFFIX}"

    def _write(self, path: Path, letter: DeadLetter) -> None:
        text = json.dumps(letter.to_dict(), ensure_ascii=False, indent=1)
        # Under another name first: nobody may find half a letter.
        draft = path.with_suffix(f".{os.getpid()}.tmp")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
        try:
            with open(os.open(draft, flags, 0o600), "wb") as file:  # noqa: PTH123  For its mode.
                file.write(text.encode("utf-8"))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
