"""
The reads as methods of whatever has a database, and their twins for coroutines.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from ..record.record import ActivityRecord
from ..twins import in_thread
from .arguments import Key, record_id, top_columns, top_limit
from .counts.buckets import calendar
from .filter import ActivityFilter, Conditions, Where
from .page import ActivityPage, ActivityStats
from .policy import AccessPolicy


if TYPE_CHECKING:
    from sqlalchemy import Engine

_T = TypeVar("_T")


class ReadMethods:
    """
    Feed, statistics and the like.

    Arguments are looked at before a database is opened.
    """

    def _read(self, read: Callable[[Engine, bytes], _T]) -> _T:
        """Call *read* with an engine and the secret that signs cursors."""
        raise NotImplementedError

    def feed(self, *, policy: AccessPolicy | None = None, **where: Unpack[Where]) -> ActivityPage:
        """
        Return a page of records, newest first; see `structlog_activity.feed`.

        Args:

            policy: What the reader may see; `None`: everything.

            where: The attributes of an `ActivityFilter`; *tenant_id* is required.

        Raises:

            AccessDeniedError: *policy* does not grant it.

            InvalidFilterError: A name is unknown, or a value of a wrong type or
                without sense.

            InvalidCursorError: A cursor is not one of this feed.

            RepositoryError: The database can't be read.
        """
        from .feeds.feed import feed

        filter_ = ActivityFilter.of(where)
        return self._read(lambda engine, key: feed(engine, filter_, key=key, policy=policy))

    def history(
        self,
        object: Any,  # noqa: A002  The word of log calls.
        *,
        policy: AccessPolicy | None = None,
        **where: Unpack[Where],
    ) -> ActivityPage:
        """
        Return a page of what was done to an object, newest first.

        Args:

            object: In any form that log calls take: ``"type:id"``,
                ``("type", id)``, an instance of a registered class. Without an
                id it is the object that has none, not all of its type.

            policy: What the reader may see; `None`: everything.

            where: As for `feed`, but for the object's type and id.

        Raises:

            AccessDeniedError: *policy* does not grant it.

            InvalidFilterError: The object can't be read, or as for `feed`.

            InvalidCursorError: A cursor is not one of this history.

            RepositoryError: The database can't be read.
        """
        from .feeds.feed import feed

        filter_ = ActivityFilter.of(where).of_object(object)
        return self._read(lambda engine, key: feed(engine, filter_, key=key, policy=policy))

    def get(
        self,
        tenant_id: Any,
        id: Any,  # noqa: A002
        *,
        policy: AccessPolicy | None = None,
    ) -> ActivityRecord | None:
        """
        Return the record that has an id, `None` if there is none.

        The time in an id of this package leads to the record at once; for
        another one all records of the tenant are looked through.

        Args:

            tenant_id: The tenant; `NIL` for records without one, `ALL_TENANTS`
                for any.

            id: The record's, in any form that `to_uuid` reads.

            policy: What the reader may see; what is not granted is not there.
                `None`: everything.

        Raises:

            AccessDeniedError: *policy* does not grant it.

            InvalidFilterError: The tenant is missing or an argument can't be read.

            RepositoryError: The database can't be read.
        """
        from .feeds.get import get

        tenant, id_ = ActivityFilter(tenant_id=tenant_id).tenant_id, record_id(id)
        return self._read(lambda engine, _: get(engine, tenant, id_, policy=policy))

    def stats(self, *, policy: AccessPolicy | None = None, **where: Unpack[Where]) -> ActivityStats:
        """
        Count records; see `structlog_activity.stats`.

        Args:

            policy: What the reader may see; `None`: everything.

            where: The attributes of an `ActivityFilter`; *tenant_id* is required.

        Raises:

            AccessDeniedError: *policy* does not grant it.

            InvalidFilterError: As for `feed`.

            RepositoryError: The database can't be read.
        """
        from .counts.stats import stats

        filter_ = ActivityFilter.of(where)
        return self._read(lambda engine, _: stats(engine, filter_, policy=policy))

    def timeline(
        self,
        *,
        bucket: str = "day",
        tz: Any = "UTC",
        policy: AccessPolicy | None = None,
        **where: Unpack[Conditions],
    ) -> list[tuple[datetime, int]]:
        """
        Count records per hour, day, week or month.

        Buckets without a record are there too, with 0. The first is that of
        *since*, or of the first record; the last is that of the moment before
        *until*, or of the last record. On the day on which clocks are set back
        an hour comes twice.

        Args:

            bucket: ``"hour"``, ``"day"``, ``"week"`` (from Monday) or ``"month"``.

            tz: Time zone whose clocks tell where a bucket begins, such as
                ``"Europe/Berlin"``.

            policy: What the reader may see; `None`: everything.

            where: The conditions of an `ActivityFilter`; *tenant_id* is required.

        Returns:

            Pairs of the bucket's first moment, in that zone, and its count, in
            order.

        Raises:

            AccessDeniedError: *policy* does not grant it.

            InvalidFilterError: Bucket or zone is unknown, there would be more
                than 100,000 buckets, or as for `feed`.

            RepositoryError: The database can't be read.
        """
        from .counts.timeline import timeline

        filter_ = ActivityFilter.of(where)
        calendar(bucket, tz)
        return self._read(
            lambda engine, _: timeline(engine, filter_, bucket=bucket, tz=tz, policy=policy)
        )

    def top(
        self,
        *,
        by: str,
        limit: int = 10,
        policy: AccessPolicy | None = None,
        **where: Unpack[Conditions],
    ) -> list[tuple[Key, int]]:
        """
        Return what most records have in one field.

        Args:

            by: ``"actor_id"``, ``"user_id"``, ``"org_id"``, ``"object"``,
                ``"object_type"``, ``"verb"``, ``"channel"`` or ``"ip"``.

            limit: Most keys, 1 to 200. 0 or less means 10, more means 200.

            policy: What the reader may see; `None`: everything.

            where: The conditions of an `ActivityFilter`; *tenant_id* is required.

        Returns:

            Pairs of key and count, the largest count first, then by key. A key
            is a UUID, text, or for objects the pair of type and id. What is not
            set is a key too (`NIL`, ``""``).

        Raises:

            AccessDeniedError: *policy* does not grant it.

            InvalidFilterError: *by* names no such field, *limit* is no whole
                number, or as for `feed`.

            RepositoryError: The database can't be read.
        """
        from .counts.top import top

        filter_ = ActivityFilter.of(where)
        top_columns(by)
        most = top_limit(limit)
        return self._read(lambda engine, _: top(engine, filter_, by=by, limit=most, policy=policy))

    # -- the same, for coroutines -------------------------------------------

    afeed = in_thread(feed)

    ahistory = in_thread(history)

    aget = in_thread(get)

    astats = in_thread(stats)

    atimeline = in_thread(timeline)

    atop = in_thread(top)
