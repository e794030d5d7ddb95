"""
Where a caught activity is handed over: the seam between capture and write.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from .row import Row


Snapshot: TypeAlias = "tuple[Callable[[Any], Row], *tuple[Any, ...]]"
"""
A log call as it was, of which a row is still to be made: ``(finish, id, ...)``.

``finish(snapshot)`` makes the `Row`, later and in the writer's thread. Only
calls whose values are immutable scalars, or builtin containers of them that
were copied, may wait like this; everything else is made a `Row` at the call,
before the caller can change it.
"""

Pending: TypeAlias = "Row | Snapshot"
"""What waits in the buffer."""


def finished(pending: Pending) -> Row:
    """Return the `Row` of what was pending."""
    return pending if type(pending) is Row else pending[0](pending)  # type: ignore[operator]


class Sink(Protocol):
    """
    Take one activity at a time, from any thread, and return at once.

    A sink

    * never raises, never waits for I/O and never takes a lock that a writer
      holds while it works (`put` with the overflow policy ``"block"`` is the
      one exception, and its wait is bounded);
    * counts what it was given: each record is accepted or rejected, never both;
    * may be called again from within itself (signal handlers, finalizers).
    """

    def put(self, pending: Pending, /) -> bool:
        """Take a snapshot or a ready row; return whether it was kept."""
        ...

    def reject(self, reason: str, detail: str = "", /) -> None:
        """
        Count an activity that can't become a record.

        Args:

            reason: The field at fault, for example ``"object_type"``.

            detail: What is wrong with it, for the report.
        """
        ...


class SessionSink(Protocol):
    """Take activities that belong to the transaction of a SQLAlchemy session."""

    def put(self, session: Any, row: Row, /) -> None:
        """
        Take a row that is stored if *session* commits, and only then.

        Raises:

            RepositoryError: The session is committing already, and refuses it.
        """
        ...
