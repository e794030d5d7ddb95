"""
Signals that end a program, turned into an end that Python sees.
"""

from __future__ import annotations

import signal

from collections.abc import Callable
from types import FrameType
from typing import Any, Final


_SHELL_CONVENTION: Final = 128  # A program that ends by signal n has the status 128 + n.


class SignalMethods:
    """Have exit hooks run when a signal ends the program."""

    def install_signal_flush(self, *signals: int) -> None:
        """
        Let signals end the program as `sys.exit` does, so that what waits is written.

        Python ends a program at once on SIGTERM, without its exit hooks. A
        handler that is there already is called instead, and if it returns, the
        program goes on, as it would have. A signal that is ignored stays ignored.
        The exit status is 128 + the signal. Nothing is written within the handler
        itself: it may have interrupted anything.

        Args:

            signals: Which; default is SIGTERM.

        Raises:

            ValueError: This is not the main thread, or the handler that is there was
                not set by Python.
        """
        for number in signals or (signal.SIGTERM,):
            before = signal.getsignal(number)
            if before is signal.SIG_IGN or getattr(before, "exits_for_activity", False):
                continue
            if before is None:
                raise ValueError(f"signal {number}: its handler was not set by Python")
            signal.signal(number, _handler(before))


def _handler(before: Any) -> Callable[[int, FrameType | None], None]:
    def handle(number: int, frame: FrameType | None) -> None:
        if callable(before):
            before(number, frame)
        else:
            raise SystemExit(_SHELL_CONVENTION + number)

    handle.exits_for_activity = True  # type: ignore[attr-defined]
    return handle
