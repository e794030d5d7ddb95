"""
Where reads run: on a host's engine, connection or session, with errors made plain.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import UnboundExecutionError
from sqlalchemy.orm import Session

from ..errors import RepositoryError
from ..store.engine import reached


Bind: TypeAlias = "Engine | Connection | Session"
"""What the read functions take; none of them commits anything."""


@contextmanager
def reading(bind: Bind) -> Iterator[Connection]:
    """
    Give a connection to read through.

    Args:

        bind: An engine, whose connection is given back afterwards, or a
            connection or session, whose transaction the reads join.

    Raises:

        SchemaError: Tables or columns are missing.

        RepositoryError: The database can't be reached, or refuses.

        TypeError: *bind* is none of these.
    """
    if not isinstance(bind, Engine | Connection | Session):
        raise TypeError(
            f"an Engine, a Connection or a Session is needed, not {type(bind).__name__}"
        )
    try:
        engine = bind.get_bind().engine if isinstance(bind, Session) else bind.engine
    except UnboundExecutionError:
        raise RepositoryError("the Session is bound to no engine") from None
    with reached(engine.url):
        if isinstance(bind, Engine):
            with bind.connect() as connection:
                yield connection
        else:
            yield bind.connection() if isinstance(bind, Session) else bind
