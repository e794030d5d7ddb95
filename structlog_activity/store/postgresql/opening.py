"""
Opening a connection to PostgreSQL in a way that another thread can break off.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import psycopg

from ..interruption import Interruption


def interruptible(interruption: Interruption) -> type[psycopg.Connection[Any]]:
    """
    Return a class of connections whose `connect` fails once it is asked to.

    While it connects, psycopg has no connection yet that could be shut down,
    but looks around ten times a second, for Ctrl-C; this looks with it. It
    hangs on a name of psycopg's own: where that is gone, `connect` takes as
    long as ``connect_timeout`` says, and a test fails.

    Args:

        interruption: Where it is asked.
    """

    class Connection(psycopg.Connection[Any]):
        @classmethod
        def _connect_gen(cls, *args: Any, **options: Any) -> Generator[Any, Any, Any]:
            opening: Generator[Any, Any, Any] = super()._connect_gen(*args, **options)
            answer: Any = None
            while True:
                try:
                    asked = opening.send(answer)
                except StopIteration as opened:
                    return opened.value
                if interruption.asked:
                    raise psycopg.OperationalError("broken off")
                answer = yield asked

    return Connection
