"""
How a buffer may be set up, and what is wrong with a set-up.
"""

from __future__ import annotations

import os
import threading

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .mailbox import OVERFLOW, SPILL


MEMORY: Final = "memory"
WAL: Final = "wal"
FSYNC: Final = "fsync"
DURABILITY: Final = (MEMORY, WAL, FSYNC)
"""What a record survives once its call has returned."""

_LEAST_SPOOL: Final = 8 << 20  # two segments


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """
    Options of a `BufferedRepository`, checked; see there for their meaning.

    Raises:

        ValueError: One is out of its range, or two don't go together.
    """

    durability: str
    overflow: str
    spool_dir: str | os.PathLike[str] | None
    spool_bytes: int
    max_records: int
    batch_size: int
    linger: float
    block_timeout: float
    close_timeout: float
    hook_timeout: float

    def __post_init__(self) -> None:
        _check("batch_size", self.batch_size, 1, 100_000)
        _check("max_records", self.max_records, 1, 2**31)
        _check("linger", self.linger, 0, threading.TIMEOUT_MAX)
        _check("block_timeout", self.block_timeout, 0, threading.TIMEOUT_MAX)
        _check("close_timeout", self.close_timeout, 0, threading.TIMEOUT_MAX)
        _check("hook_timeout", self.hook_timeout, 0, threading.TIMEOUT_MAX)
        _check("spool_bytes", self.spool_bytes, _LEAST_SPOOL, 2**62)
        _choose("overflow", self.overflow, OVERFLOW)
        _choose("durability", self.durability, DURABILITY)
        if self.spool_dir is not None:
            return
        if self.durability != MEMORY:
            raise ValueError(f"durability={self.durability!r}: needs spool_dir=, a folder for it")
        if self.overflow == SPILL:
            raise ValueError(
                f"overflow={self.overflow!r}: needs spool_dir=, a folder to spill into"
            )

    @property
    def spool_folder(self) -> Path | None:
        """Where records wait on disk; absolute, for the process may change its folder."""
        return None if self.spool_dir is None else Path(self.spool_dir).absolute()

    @property
    def plenty(self) -> int:
        """So many records need not wait for others."""
        return min(self.batch_size, self.max_records)


def _check(name: str, value: float, least: float, most: float) -> None:
    if not isinstance(value, int | float):
        raise ValueError(f"{name}={value!r}: a number is needed")  # noqa: TRY004  As below.
    if not least <= value <= most:
        raise ValueError(f"{name}={value!r}: must be between {least} and {most}")


def _choose(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name}={value!r}: use one of {', '.join(known)}")


def check_functions(
    enrichers: Iterable[Callable[..., Any]], after_write: object
) -> tuple[Callable[..., Any], ...]:
    """
    Return *enrichers* as a tuple.

    Raises:

        ValueError: One of them, or *after_write*, can't be called.
    """
    found = () if callable(enrichers) else tuple(enrichers)
    if callable(enrichers) or not all(map(callable, found)):
        raise ValueError(f"enrichers={enrichers!r}: a list of functions is needed")
    if after_write is not None and not callable(after_write):
        raise ValueError(f"after_write={after_write!r}: a function is needed")
    return found
