"""
What both repositories do alike: one connection, one sealed transaction for each batch.
"""

from __future__ import annotations

import contextlib

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, Generic, Protocol, TypeVar

from ..errors import RepositoryError
from .batch import Batch
from .faults import StoreError
from .interruption import Interruption
from .seals.chain import Chain, SealedBatch


# A forked child's copies of its parent's connections, kept so that nothing
# closes them.
abandoned: Final[list[Any]] = []


class _Connected(Protocol):
    """A driver's connection."""

    def execute(self, sql: str, /) -> Any:
        """Run one statement."""
        ...

    def close(self) -> None:
        """End the session."""
        ...


_Connection = TypeVar("_Connection", bound=_Connected)
_Rows = TypeVar("_Rows")


class ConnectedRepository(Generic[_Connection, _Rows]):
    """
    Do what `Repository` promises, on a connection that is opened when it is first needed.

    The ledger's row of a batch goes first: where the batch was committed already it is
    refused there, so no batch is ever written twice. What a database's driver is
    asked for that, and what its errors mean, says who derives from this.

    Args:

        where: The database, for messages.

        key: Signs the seals of batches; empty signs nothing.

        migrate: Called with nothing before the first connection is opened, to bring
            the schema up to date; `None` leaves it as it is.
    """

    def __init__(self, where: str, *, key: bytes, migrate: Callable[[], object] | None) -> None:
        self._where = where
        self._chain = Chain(key)
        self._migrate = migrate
        self._interruption = Interruption()
        self._connection: _Connection | None = None

    def write(self, batch: Batch) -> bool:
        """Commit *batch*; return `False` if the ledger held it already."""
        with self._connected() as connection:
            rows = self._enter(connection, batch)
            if rows is None:
                self._chain.found(partial(self._stored_seal, connection, batch))
                return False
            self._chain.refused()
            self._send(connection, batch, rows)
            self._commit(connection)
            return True

    def finish(self) -> None:
        """Write into the ledger that the writer ended as it should."""
        if not self._chain.is_begun or self._connection is None:
            return
        with contextlib.suppress(StoreError), self._connected() as connection:
            self._enter_end(connection, self._chain.seal_end())
            self._commit(connection)

    def interrupt(self) -> None:
        """Break off the call under way, from another thread."""
        self._interruption.ask()

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        self._interruption.use(None)
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):  # It is broken, and so closed.
                connection.close()

    def abandon(self) -> None:
        """Forget the connection without closing it."""
        self._chain.restart()
        self._interruption = Interruption()  # A thread of the parent may hold the old one's lock.
        abandoned.append(self._connection)
        self._connection = None

    @contextlib.contextmanager
    def _connected(self) -> Iterator[_Connection]:
        """Give a connection within no transaction; raise nothing of a driver's."""
        with self._interruption.call():
            try:
                self._leave_unfinished()  # What an interrupt left in the middle.
                if self._connection is None:
                    self._connection = self._opened()
                yield self._connection
            except RepositoryError as error:
                self.close()
                raise StoreError.of(error) from None
            except Exception as error:  # noqa: BLE001  Drivers raise more than their own classes.
                raise self._failure(error) from None
            except BaseException:  # Nobody else may find rows or a file locked meanwhile.
                self._leave_unfinished()
                raise

    def _opened(self) -> _Connection:
        if self._migrate is not None:
            self._migrate()
            self._migrate = None
        return self._connect()

    def _commit(self, connection: _Connection) -> None:
        self._chain.in_doubt()
        connection.execute("COMMIT")
        self._chain.committed()

    # -- what differs from one database to the other ------------------------

    def _connect(self) -> _Connection:
        """Open a connection to tables of this version, one that `interrupt` breaks off."""
        raise NotImplementedError

    def _enter(self, connection: _Connection, batch: Batch) -> _Rows | None:
        """
        Begin a transaction with the ledger's row of *batch*, sealed.

        Returns:

            The rows as `_send` takes them; `None`, and no transaction, if the ledger
            has the batch already.
        """
        raise NotImplementedError

    def _send(self, connection: _Connection, batch: Batch, rows: _Rows) -> None:
        """Write the rows of *batch* and its daily counts."""
        raise NotImplementedError

    def _enter_end(self, connection: _Connection, sealed: SealedBatch) -> None:
        """Begin a transaction with the ledger's row of a closing seal."""
        raise NotImplementedError

    def _stored_seal(self, connection: _Connection, batch: Batch) -> bytes:
        """Return the seal that the ledger has of *batch*; it may raise."""
        raise NotImplementedError

    def _leave_unfinished(self) -> None:
        """Let go of a transaction that is in the middle of something, or of the connection."""
        raise NotImplementedError

    def _failure(self, error: Exception) -> StoreError:
        """Translate *error*, and leave the connection usable or none at all."""
        raise NotImplementedError
