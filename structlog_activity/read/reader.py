"""
All reads of one log, as methods.
"""

from __future__ import annotations

import asyncio

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, Unpack


if TYPE_CHECKING:
    from sqlalchemy import Engine

    from .filter import ActivityFilter, Where
    from .page import ActivityPage, ActivityStats

_T = TypeVar("_T")


class ActivityReader(ABC):
    """
    Read one log.

    Each method has a twin for coroutines that does the same in a thread.
    """

    _key: bytes
    """Secret that signs cursors."""

    @abstractmethod
    def _ready(self) -> Engine:
        """Return the engine, of a database that has the tables."""

    def feed(self, **where: Unpack[Where]) -> ActivityPage:
        """
        Return a page of records, newest first; see `structlog_activity.feed`.

        Args:

            where: The attributes of an `ActivityFilter`; *tenant_id* is required.

        Raises:

            InvalidFilterError: A value is of a wrong type or makes no sense.

            InvalidCursorError: A cursor is not one of this feed.

            RepositoryError: The database can't be read.
        """
        from .feed import feed

        where_ = _filter(where)
        return self._read(lambda engine: feed(engine, where_, key=self._key))

    def stats(self, **where: Unpack[Where]) -> ActivityStats:
        """
        Count records; see `structlog_activity.stats`.

        Args:

            where: The attributes of an `ActivityFilter`; *tenant_id* is required.

        Raises:

            InvalidFilterError: A value is of a wrong type or makes no sense.

            RepositoryError: The database can't be read.
        """
        from .stats import stats

        where_ = _filter(where)
        return self._read(lambda engine: stats(engine, where_))

    def history(self, object: Any, /, **where: Unpack[Where]) -> ActivityPage:  # noqa: A002
        """
        Return a page of what was done to an object, newest first.

        Args:

            object: In any form that log calls take: ``"type:id"``, ``("type", id)``,
                an instance of a registered class. Without an id it is the object
                that has none, not all of its type.

            where: The attributes of an `ActivityFilter`; *tenant_id* is required.

        Raises:

            InvalidFilterError: *object* or a value is of a wrong type or makes no
                sense.

            InvalidCursorError: A cursor is not one of this feed.

            RepositoryError: The database can't be read.
        """
        from .history import history

        where_ = _filter(where)
        return self._read(lambda engine: history(engine, object, where_, key=self._key))

    async def afeed(self, **where: Unpack[Where]) -> ActivityPage:
        """Do what `feed` does, in a thread."""
        return await asyncio.to_thread(self.feed, **where)

    async def astats(self, **where: Unpack[Where]) -> ActivityStats:
        """Do what `stats` does, in a thread."""
        return await asyncio.to_thread(self.stats, **where)

    async def ahistory(self, object: Any, /, **where: Unpack[Where]) -> ActivityPage:  # noqa: A002
        """Do what `history` does, in a thread."""
        return await asyncio.to_thread(self.history, object, **where)

    def _read(self, read: Callable[[Engine], _T]) -> _T:
        from ..store.engine import ConnectionLostError

        engine = self._ready()
        try:
            return read(engine)
        except ConnectionLostError:  # All idle ones were, by a restart; now there are none.
            return read(engine)


def _filter(where: Where) -> ActivityFilter:
    from .filter import ActivityFilter

    # A missing tenant is told as an empty one is.
    values: dict[str, Any] = {"tenant_id": None, **where}
    return ActivityFilter(**values)
