"""What comes while a page is open, as server-sent events."""

from __future__ import annotations

import asyncio
import contextlib
import json

from collections.abc import AsyncIterator
from typing import Any, Final

from structlog_activity import ActivityError, ActivityLog


_GATHERED: Final = 0.5
"""Seconds for which records are gathered into one event."""

_BEAT: Final = 15.0
"""Seconds after which a silent stream says that it is there."""

_MOST_IDS: Final = 200


class Arrivals:
    """
    Records that came since the last event.

    Args:

        activity: The log.

        where: Conditions.

        position: Behind which they come.
    """

    def __init__(self, activity: ActivityLog, where: dict[str, Any], position: str | None) -> None:
        self._tail = activity.atail(**where, position=position)
        self._came = asyncio.Event()
        self._ids: list[str] = []
        self._count = 0
        self._error: ActivityError | None = None
        self._is_over = False

    async def events(self) -> AsyncIterator[str]:
        """Yield the text of one event after the other, until the tail ends."""
        reader = asyncio.create_task(self._read())
        try:
            yield "retry: 2000\n\n"
            while not self._is_over or self._count:
                yield await self._event()
            if self._error is not None:
                yield "event: gone\ndata: {}\n\n"
        finally:
            reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reader
            await self._tail.aclose()

    async def _event(self) -> str:
        try:
            await asyncio.wait_for(self._came.wait(), _BEAT)
        except TimeoutError:
            return ": still here\n\n"
        if not self._is_over:
            await asyncio.sleep(_GATHERED)
        self._came.clear()
        said, self._ids = {"n": self._count, "ids": self._ids}, []
        self._count = 0
        # A browser that comes back names the last id, and nothing is missed or told twice.
        return f"id: {self._tail.position}\nevent: activity\ndata: {json.dumps(said)}\n\n"

    async def _read(self) -> None:
        try:
            async for record in self._tail:
                self._count += 1
                if len(self._ids) < _MOST_IDS:
                    self._ids.append(str(record.id))
                self._came.set()
        except ActivityError as error:  # A position of a server's earlier life, say.
            self._error = error
        finally:
            self._is_over = True
            self._came.set()
