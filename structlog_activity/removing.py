"""
Retention and erasure: the methods of whatever has a database and waiting records.
"""

from __future__ import annotations

import asyncio

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from .errors import InvalidFilterError
from .read.filter import ALL_TENANTS, ActivityFilter


if TYPE_CHECKING:
    from sqlalchemy import URL, Engine

    from .store.removal import PruneReport


class RemovalMethods:
    """
    Take away what is too old, and what a person wants erased.

    Attributes:

        _url: The database.

        _key: Signs the seals of what is left as a trace.
    """

    _url: URL
    _key: bytes

    @property
    def engine(self) -> Engine:
        """The engine, with transactions."""
        raise NotImplementedError

    def _ready(self) -> Engine:
        """Take one look at the schema."""
        raise NotImplementedError

    # -- retention ----------------------------------------------------------

    def prune(
        self,
        older_than: timedelta | datetime,
        *,
        dry_run: bool = False,
        floor: timedelta | None = None,
        tenant_id: Any = ALL_TENANTS,
        channel: str | None = None,
        progress: Callable[[int, int], object] | None = None,
    ) -> PruneReport:
        """
        Delete records that are older than a time.

        Counts stay equal to counting the rows, `verify` stays clean, and a sealed
        record ``activity.pruned`` says what went. Such records, and
        ``activity.erased``, stay. On PostgreSQL whole months go with their
        partitions; the rest, and all of SQLite, goes in transactions of about
        10,000 rows, and writers go on meanwhile. Broken off, it goes on where it
        was at the next call. Of processes that call it at once on PostgreSQL one
        works, the others say that it does.

        Args:

            older_than: How old, or the moment before which everything goes; a
                naive one is UTC. One that is still to come means now.

            dry_run: Only count.

            floor: Nothing younger than this is deleted, whatever *older_than*
                says.

            tenant_id: Only of this tenant; `NIL` are the records without one.

            channel: Only of this channel; ``""`` are the records without one.
                With *tenant_id* or *channel* every row that goes leaves about
                150 bytes, which prove the rest of its batch.

            progress: Told how many records went, and of how many.

        Raises:

            InvalidFilterError: An argument makes no sense.

            SchemaError: The tables are missing or of another version.

            RepositoryError: The database can't be reached, or the role does not
                own the tables.
        """
        from .store.engine import reached
        from .store.retention import Scope, prune

        now = datetime.now(UTC)
        before = _before(older_than, now)
        latest = now - _age("floor", floor) if floor is not None else now
        scope = Scope(
            before=min(before, latest), tenant_id=_one_tenant(tenant_id), channel=_channel(channel)
        )
        self._ready()
        with reached(self._url):
            return prune(
                self.engine,
                scope,
                now=now,
                key=self._key,
                dry_run=dry_run,
                is_floored=floor is not None and latest < before,
                progress=progress,
            )

    async def aprune(self, older_than: timedelta | datetime, **how: Any) -> PruneReport:
        """Do what `prune` does, in a thread."""
        return await asyncio.to_thread(self.prune, older_than, **how)


def _before(older_than: Any, now: datetime) -> datetime:
    if isinstance(older_than, timedelta):
        try:
            return now - _age("older_than", older_than)
        except OverflowError:
            problem = "is before the calendar begins"
            raise InvalidFilterError("older_than", older_than, problem) from None
    if not isinstance(older_than, datetime):
        raise InvalidFilterError("older_than", older_than, "a timedelta or a datetime is needed")
    moment = ActivityFilter(tenant_id=ALL_TENANTS, until=older_than).until
    assert isinstance(moment, datetime)  # noqa: S101  For the type checker.
    return moment


def _age(name: str, age: Any) -> timedelta:
    if not isinstance(age, timedelta) or age < timedelta(0):
        raise InvalidFilterError(name, age, "a timedelta is needed, 0 or more")
    return age


def _one_tenant(tenant_id: Any) -> UUID | None:
    found = ActivityFilter(tenant_id=tenant_id).tenant_id
    return found if isinstance(found, UUID) else None


def _channel(channel: Any) -> str | None:
    if not isinstance(channel, str | None):
        raise InvalidFilterError("channel", channel, "text is needed")
    return channel
