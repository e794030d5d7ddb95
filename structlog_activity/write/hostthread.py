"""
Calls of the host's functions, in a thread that may hang without anybody waiting for it.
"""

from __future__ import annotations

import queue
import threading

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Final


class _Call:
    """Something to do, and whether it is done."""

    __slots__ = ("done", "work")

    def __init__(self, work: Callable[[], object]) -> None:
        self.work = work
        self.done = threading.Event()


class HostThread:
    """
    Do one thing after the other in a thread of its own, each for a while only.

    What takes longer goes on, but nobody waits for it any more, and nothing
    else is done until it is over: a function that hangs costs one thread.

    Args:

        name: Of the thread.

        within: Returns what encloses all that the thread does.
    """

    def __init__(
        self, name: str, within: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> None:
        self._name = name
        self._within = within
        self._calls: Final[queue.SimpleQueue[_Call | None]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._last: _Call | None = None

    def do(self, work: Callable[[], object], timeout: float) -> bool:
        """
        Do *work*; one thread at a time may ask for it.

        Args:

            work: What it raises is ignored.

            timeout: How long to wait for its end, in seconds.

        Returns:

            `False` if it is not done at all, because what came before it is
            not over yet, or no thread can be started. `True`: it is done, or
            will be.
        """
        if self._last is not None and not self._last.done.is_set():
            return False
        if not self._start():
            return False
        self._last = call = _Call(work)
        self._calls.put(call)
        call.done.wait(max(0.0, min(timeout, threading.TIMEOUT_MAX)))
        return True

    def stop(self) -> None:
        """End the thread once it is done, if there is one."""
        if self._thread is not None:
            self._calls.put(None)

    def _start(self) -> bool:
        if self._thread is not None:
            return self._thread.is_alive()
        thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # At the end of the interpreter there are no new ones.
            return False
        self._thread = thread
        return True

    def _run(self) -> None:
        with self._within():
            while (call := self._calls.get()) is not None:
                with suppress(BaseException):  # Also a SystemExit, which would end the thread.
                    call.work()
                call.done.set()
