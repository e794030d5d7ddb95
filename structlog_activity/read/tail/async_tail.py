"""
The tail for coroutines.
"""

from __future__ import annotations

import asyncio

from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from ...record.record import ActivityRecord
from .tail import Tail


class AsyncTail(AsyncIterator[ActivityRecord]):
    """
    Iterate over records as they are committed, as `Tail` does, in a thread of its own.

    A thread of asyncio's own pool would be taken from others for as long as nothing
    happens. A task that is cancelled while it waits closes the tail, as it
    would an asynchronous generator; a record that came at that very moment is not
    counted in `position`.

    Args:

        begin: Makes the tail; called in the thread.

        position: Where that begins; `None` is told once it has begun.

    .. versionadded:: 0.1.0
    """

    def __init__(self, begin: Callable[[], Tail], position: str | None) -> None:
        self._begin = begin
        self._position = position
        self._tail: Tail | None = None
        self._is_stopped = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="structlog-activity-tail")

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ActivityRecord:
        if self._is_stopped:
            raise StopAsyncIteration
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._thread, self._next)
        except BaseException:
            self._stop()
            raise
        if found is None:
            await self.aclose()
            raise StopAsyncIteration
        record, self._position = found
        return record

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __del__(self) -> None:
        self._stop()

    @property
    def position(self) -> str | None:
        """`Tail.position` after the last record that came; `None` before it began."""
        return self._position

    async def aclose(self) -> None:
        """End the iteration, wait for the thread and give back the connection."""
        self._stop()
        await asyncio.to_thread(self._close)

    def _next(self) -> tuple[ActivityRecord, str] | None:
        try:
            if self._tail is None:
                self._tail = self._begin()
                self._position = self._tail.position
            if self._is_stopped:
                return None
            record = next(self._tail, None)
            return None if record is None else (record, self._tail.position)
        finally:
            if self._is_stopped and self._tail is not None:
                self._tail.close()

    def _stop(self) -> None:
        self._is_stopped = True
        if self._tail is not None:
            self._tail.stop()
        self._thread.shutdown(wait=False)

    def _close(self) -> None:
        self._thread.shutdown()
        if self._tail is not None:
            self._tail.close()
