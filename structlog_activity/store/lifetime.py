"""
What happens to engines when their process forks or ends.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import weakref

from typing import Any

from sqlalchemy import Engine


_engines: weakref.WeakSet[Engine] = weakref.WeakSet()
_files: weakref.WeakSet[Engine] = weakref.WeakSet()
_connections: weakref.WeakSet[Any] = weakref.WeakSet()  # PostgreSQL's.


def look_after(engine: Engine, *, is_file: bool) -> None:
    """
    Let *engine* have nothing open at exit, nor what a forked child can't use.

    Args:

        engine: This.

        is_file: Whether it is one of SQLite, which has nothing open during a fork.
    """
    _engines.add(engine)
    if is_file:
        _files.add(engine)


def look_after_connection(connection: Any) -> None:
    """Have a forked child let go of its copy of a connection to PostgreSQL."""
    _connections.add(connection)


def _close_all() -> None:
    # At exit, or drivers complain of connections that nobody closed.
    for engine in list(_engines):
        engine.dispose()


def _close_files() -> None:
    # SQLite keeps what it knows of a file's locks in memory: a child with a copy of
    # that has its commits thrown away when the parent closes the file.
    for engine in list(_files):
        engine.dispose()


def _forget_connections() -> None:
    # In a forked child: they are the parent's, and closing one ends its session, while
    # one that isn't closed is complained of. So they are closed over another line.
    inherited = list(_connections)
    for engine in list(_engines):
        engine.dispose(close=False)
    if inherited:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for connection in inherited:
            with contextlib.suppress(Exception):  # It is broken, or closed.
                os.dup2(nowhere, connection.fileno(), inheritable=False)
                connection.close()
        os.close(nowhere)


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_close_files, after_in_child=_forget_connections)
