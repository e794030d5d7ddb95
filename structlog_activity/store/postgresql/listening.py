"""
Hear at once of what is committed to PostgreSQL, without asking again and again.
"""

from __future__ import annotations

import contextlib
import selectors
import socket

from typing import Any, Final

from sqlalchemy import Engine

from ..locks import LISTENERS


_CHANNEL: Final = "structlog_activity"
_PATIENCE: Final = 20

TELL: Final = f"""
    SELECT CASE WHEN pg_try_advisory_lock({LISTENERS})
        THEN pg_advisory_unlock({LISTENERS})::text
        ELSE pg_notify('{_CHANNEL}', '')::text END
"""
"""
Tell of a batch at the COMMIT of the transaction that this runs in, if anybody listens.

Transactions that notify commit one after another on the whole server, each with
its own wait for the disk, so it is not done for nobody.
"""


class Listener:
    """
    Wait on a connection of its own for the notification of a batch.

    Where there can be none (a standby refuses to listen, and a pooler between us
    and the server may swallow what is told) only the time passes.

    Args:

        engine: On the database. The connection is not one of its pool any more.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Any = None
        self._ear, self._bell = socket.socketpair()
        self._ear.settimeout(0)
        self._bell.settimeout(0)
        self._is_closed = False
        self._patience = 0  # Waits to come before another try to connect.

    def wait(self, seconds: float) -> None:
        """
        Return after so many seconds, or earlier if something was told or somebody woke us.

        Returns at once when it has begun to listen: there may be something new
        that was told to nobody.
        """
        if self._is_closed:
            return
        if self._connection is None and self._connect():
            return
        with selectors.DefaultSelector() as selector:
            selector.register(self._ear, selectors.EVENT_READ)
            if self._connection is not None:
                selector.register(self._connection.fileno(), selectors.EVENT_READ)
            selector.select(seconds)
        self._hear()

    def wake(self) -> None:
        """Let a call of `wait` return at once, now or next, from any thread."""
        with contextlib.suppress(OSError):  # Closed, or woken often enough.
            self._bell.send(b"\0")

    def close(self) -> None:
        """Close the connection; may be called twice."""
        self._is_closed = True
        self._let_go()
        self._ear.close()
        self._bell.close()

    def _connect(self) -> bool:
        """Begin to listen, unless that was tried just now; tell whether it is so."""
        if self._patience > 0:
            self._patience -= 1
            return False
        self._patience = _PATIENCE
        try:
            pooled = self._engine.raw_connection()
            self._connection = pooled.driver_connection
            pooled.detach()
            self._connection.autocommit = True
            self._connection.execute(f"LISTEN {_CHANNEL}")
            self._connection.execute(f"SELECT pg_advisory_lock_shared({LISTENERS})")
        except Exception:  # noqa: BLE001  Whatever it is, the time passes without it.
            self._let_go()
        return self._connection is not None

    def _hear(self) -> None:
        """Take in what was told, so that it is not heard again."""
        with contextlib.suppress(BlockingIOError):
            while self._ear.recv(4096):
                pass
        if self._connection is None:
            return
        try:
            self._connection.pgconn.consume_input()
            while self._connection.pgconn.notifies():
                pass
        except Exception:  # noqa: BLE001  The server went away; a look will find out.
            self._let_go()
            self._patience = 0

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()
