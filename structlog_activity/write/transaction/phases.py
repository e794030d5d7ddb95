"""
Where the transactions of a SQLAlchemy session are on their way.

No event and no public attribute tells this of a session that nobody listened to
when its commit began, and whose hooks make its first record. So two private
attributes are read, here and nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from sqlalchemy.orm import Session, SessionTransaction

PREPARES: Final = "_prepare_impl"
"""The method that calls `before_commit` and flushes."""

COMMITS: Final = "commit"
"""The method that commits and calls `after_commit`."""

CLOSES: Final = "close"
"""The method that calls `after_transaction_end`."""


def running(transaction: SessionTransaction | None) -> str:
    """Return the method that *transaction* is within; ``""`` if none."""
    return getattr(getattr(transaction, "_current_fn", None), "__name__", "")


def is_committing(session: Session) -> bool:
    """Tell whether the root transaction is on its way to COMMIT, but not there yet."""
    return running(session.get_transaction()) == PREPARES


def is_flushing(session: Session) -> bool:
    """Tell whether *session* is within a flush."""
    return session._flushing  # noqa: SLF001


def transactions(session: Session) -> tuple[SessionTransaction | None, SessionTransaction | None]:
    """Return the innermost savepoint and the root transaction."""
    return session.get_nested_transaction(), session.get_transaction()


def current(session: Session) -> SessionTransaction | None:
    """Return the innermost savepoint, or the root transaction where there is none."""
    savepoint, root = transactions(session)
    return savepoint or root


def surrounding(transaction: SessionTransaction) -> SessionTransaction | None:
    """Return the savepoint or root around *transaction*; `None` around the root."""
    outer = transaction.parent
    while outer is not None and outer.parent is not None and not outer.nested:
        outer = outer.parent  # A flush's own.
    return outer
