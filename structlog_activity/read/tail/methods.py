"""
The tail as a method of whatever has a database, and its twin for coroutines.
"""

from __future__ import annotations

import math

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar, Unpack
from weakref import WeakSet

from ...errors import InvalidFilterError
from ..filter import ActivityFilter, Conditions
from .position import BEGINNING


if TYPE_CHECKING:
    from sqlalchemy import Engine

    from ..policy import AccessPolicy
    from .async_tail import AsyncTail
    from .tail import Tail

_T = TypeVar("_T")

_OF_PAGES: Final = ("limit", "offset", "after", "before", "total")


class TailMethods:
    """
    Records as they are committed.

    Arguments are looked at before a database is opened.
    """

    def _read(self, read: Callable[[Engine, bytes], _T]) -> _T:
        """Call *read* with an engine and the secret that signs positions."""
        raise NotImplementedError

    def _follow(self, read: Callable[[Engine, bytes], _T]) -> _T:
        """Do what `_read` does, where the ledger can be followed."""
        raise NotImplementedError

    @cached_property
    def _tails(self) -> WeakSet[Tail]:
        return WeakSet()

    def tail(
        self,
        *,
        position: str | None = None,
        timeout: float | None = None,
        poll: float = 0.5,
        policy: AccessPolicy | None = None,
        **where: Unpack[Conditions],
    ) -> Tail:
        """
        Return an iterator over records in the order in which they are committed.

        It begins with this call: what is committed from now on comes, each
        record once, however late its transaction commits.

        ::

            with activity.tail(tenant_id="acme") as records:
                for record in records:
                    handle(record)
                    keep(records.position)  # Another tail goes on behind this record.

        Args:

            position: Where to go on: `Tail.position` of a tail with the same
                conditions; ``"0"`` is the beginning of the log.

            timeout: Seconds without a record after which iteration ends. 0
                takes what is there and ends, `None` waits for ever.

            poll: Most seconds between two looks. On PostgreSQL what the
                writer stores is told at once; only records in transactions of
                the application's (``session=``) wait for the next look.

            policy: What the reader may see; records that it does not grant do
                not come. `None`: everything. A position belongs to its policy.

            where: The conditions of an `ActivityFilter`; *tenant_id* is required.
                With *since* and no *position*, records that are there come first.

        Raises:

            AccessDeniedError: *policy* does not grant it.

            InvalidFilterError: As for `feed`, or a condition is one of pages.

            InvalidCursorError: *position* is none of this tail.

            RepositoryError: The database can't be read.
        """
        filter_ = _filter(where, policy)
        if position is None and filter_.since is not None:
            position = BEGINNING
        _check(position, timeout, poll)

        def begin(engine: Engine, key: bytes) -> Tail:
            from .changes import Changes
            from .tail import Tail

            return Tail(
                Changes(engine, filter_),
                _waiter(engine),
                position=position,
                key=key,
                timeout=timeout,
                poll=poll,
                policy=policy,
            )

        tail = self._follow(begin)
        self._tails.add(tail)
        return tail

    def atail(
        self,
        *,
        position: str | None = None,
        timeout: float | None = None,
        poll: float = 0.5,
        policy: AccessPolicy | None = None,
        **where: Unpack[Conditions],
    ) -> AsyncTail:
        """
        Return an asynchronous iterator that does what `tail` does, in a thread of its own.

        It begins when it is first awaited. A task that is cancelled while it
        waits for a record closes it.

        Args:

            position: As for `tail`.

            timeout: As for `tail`.

            poll: As for `tail`.

            policy: As for `tail`.

            where: As for `tail`.

        Raises:

            AccessDeniedError: As for `tail`; the other errors come with the first
                record that is awaited.

            InvalidFilterError: As for `tail`.
        """
        from .async_tail import AsyncTail

        _filter(where, policy)
        _check(position, timeout, poll)

        def begin() -> Tail:
            return self.tail(position=position, timeout=timeout, poll=poll, policy=policy, **where)

        return AsyncTail(begin, position)

    def _close_tails(self) -> None:
        for tail in list(self._tails):
            tail.close()


def _filter(where: Conditions, policy: AccessPolicy | None) -> ActivityFilter:
    given: dict[str, Any] = dict(where)
    for name in _OF_PAGES:
        if name in given:
            raise InvalidFilterError(name, given[name], "is for pages, which a tail has not")
    filter_ = ActivityFilter.of(given)
    return filter_ if policy is None else policy.applied(filter_)


def _check(position: Any, timeout: Any, poll: Any) -> None:
    if position is not None and not isinstance(position, str):
        raise InvalidFilterError("position", position, "the text of a position is needed")
    if timeout is not None and not (_is_number(timeout) and timeout >= 0):
        raise InvalidFilterError("timeout", timeout, "seconds are needed, 0 or more, or None")
    if not (_is_number(poll) and 0 < poll < math.inf):
        raise InvalidFilterError("poll", poll, "seconds are needed, more than 0")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _waiter(engine: Engine) -> Any:
    from ...store.engine import POSTGRESQL

    if engine.dialect.name == POSTGRESQL:
        from ...store.postgresql.listening import Listener

        return Listener(engine)
    from .waiting import Pause

    return Pause()
