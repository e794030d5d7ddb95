"""
What is said on stderr while a command works.
"""

from __future__ import annotations

import os
import sys
import time

from collections.abc import Callable
from typing import IO, Final, Self

from .output import printable


_TERMINAL_PERIOD: Final = 0.1  # seconds between two updates
_PLAIN_PERIOD: Final = 5.0
_MINUTE: Final = 60


_unwritten: Final[list[OSError]] = []


def say(message: str) -> None:
    """Print a line for the person at the keyboard."""
    try:
        sys.stdout.flush()  # What was printed before is to be seen before.
    except OSError as error:
        _unwritten.append(error)  # For `flush_output`, which may find nothing left to write.
    print(f"structlog-activity: {printable(message)}", file=sys.stderr)


def flush_output() -> None:
    """
    Write out what was printed.

    Raises:

        OSError: That fails, or failed before a line for people.
    """
    if _unwritten:
        error = _unwritten[0]
        _unwritten.clear()
        raise error
    sys.stdout.flush()


class Progress:
    """
    Show how far long work has come: one line on a terminal, else a line every 5 seconds.

    A context, whose end takes the line on the terminal away again.

    Args:

        unit: What is counted, for example ``"lines"``.

        total: Size of the whole work; 0 if nobody knows.

        stream: Where to; default stderr.

        clock: Returns seconds that never go back.
    """

    def __init__(
        self,
        unit: str,
        total: int = 0,
        *,
        stream: IO[str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._unit = unit
        self._total = total
        self._stream = stream or sys.stderr
        self._clock = clock
        self._started = self._last = clock()
        # A dumb one can't take a line back.
        self._on_terminal = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._shown = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def update(self, count: int, done: int = 0) -> None:
        """
        Show the state, if the last time is long enough ago.

        Args:

            count: How many units were worked on.

            done: How much of *total* that is.
        """
        now = self._clock()
        if now - self._last < (_TERMINAL_PERIOD if self._on_terminal else _PLAIN_PERIOD):
            return
        self._last = now
        self._shown = True
        line = self._line(count, done, max(now - self._started, 1e-9))
        self._write(f"\r\x1b[K{line}" if self._on_terminal else f"{line}\n")

    def finish(self) -> None:
        """Take the line away again."""
        if self._shown and self._on_terminal:
            self._write("\r\x1b[K")

    def _line(self, count: int, done: int, seconds: float) -> str:
        line = f"{count:,} {self._unit}, {count / seconds:,.0f} a second"
        if self._total and 0 < done <= self._total:
            left = seconds * (self._total - done) / done
            line = f"{100 * done // self._total:3d} %  {line}, {_duration(left)} left"
        return line

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


class Stepwise:
    """
    Progress whose total is known with the first report; a context that ends it.

    Args:

        unit: As for `Progress`.
    """

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._progress: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.finish()

    def update(self, done: int, total: int) -> None:
        """Show that *done* of *total* are done."""
        if self._progress is None:
            self._progress = Progress(self._unit, total)
        self._progress.update(done, done)


def _duration(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole} s" if whole < _MINUTE else f"{whole // _MINUTE} min {whole % _MINUTE} s"
