"""
What a store says when a write fails: the kind of trouble, not the driver's class.
"""

from __future__ import annotations

import enum

from ..errors import RepositoryError, SchemaError


class Fault(enum.Enum):
    """
    What to do about a failed write.

    The classes of the drivers can't tell (psycopg's `OperationalError` covers a
    lost connection as well as a value too long for an index), so each store
    sorts its errors by SQLSTATE or SQLite error name into these.
    """

    TRANSIENT = "transient"
    """It will pass: back off, keep the order, try the same batch again."""

    SLOW = "slow"
    """It took longer than the server allows: back off, and try again in halves."""

    CONFIGURATION = "configuration"
    """Somebody must act (schema, permission, password): hold, say so, try slowly."""

    DUPLICATE = "duplicate"
    """A row of the batch is in the table already: take those out, send the rest."""

    DATA = "data"
    """One row is at fault: set it aside with the reason, send the rest."""

    UNKNOWN = "unknown"
    """Unheard of: treat as transient a few times, then look for a row at fault."""


class StoreError(RepositoryError):
    """
    A write that failed, nothing of it committed as far as the store knows.

    When the connection broke during COMMIT nobody knows; sending the same
    batch again settles it, because the ledger takes each
    ``(writer_id, seq)`` once.

    Attributes:

        fault: What to do about it.

        row: Index of the row at fault in the batch, where the database named it.
    """

    def __init__(
        self, fault: Fault, message: str, *, sqlstate: str = "", row: int | None = None
    ) -> None:
        super().__init__(message, sqlstate=sqlstate)
        self.fault = fault
        self.row = row

    @classmethod
    def of(cls, error: RepositoryError) -> StoreError:
        """Return what *error*, raised while connecting, means for a write."""
        if isinstance(error, cls):
            return error
        fault = Fault.CONFIGURATION if isinstance(error, SchemaError) else Fault.TRANSIENT
        return cls(fault, str(error), sqlstate=error.sqlstate)
