"""
Where reads run: on a host's engine, connection or session, with errors made plain.
"""

from __future__ import annotations

import functools
import sys

from collections.abc import Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    ParamSpec,
    Protocol,
    TypeAlias,
    TypeVar,
    overload,
)

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import UnboundExecutionError

from ..errors import RepositoryError
from ..store.reaching import reached


if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
    from sqlalchemy.orm import Session

    AsyncBind: TypeAlias = "AsyncEngine | AsyncConnection | AsyncSession"

Bind: TypeAlias = "Engine | Connection | Session"
"""What the read functions take; none of them commits anything."""

_SESSION = (("sqlalchemy.orm.session", "Session"),)
_ASYNC = (
    ("sqlalchemy.ext.asyncio.engine", "AsyncEngine"),
    ("sqlalchemy.ext.asyncio.engine", "AsyncConnection"),
    ("sqlalchemy.ext.asyncio.session", "AsyncSession"),
)

_P = ParamSpec("_P")
_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)


class Read(Protocol[_P, _T_co]):
    """A read of this package: called at once, or awaited where its bind is asynchronous."""

    @overload
    def __call__(self, bind: Bind, /, *args: _P.args, **kwargs: _P.kwargs) -> _T_co: ...

    @overload
    def __call__(
        self, bind: AsyncBind, /, *args: _P.args, **kwargs: _P.kwargs
    ) -> Coroutine[Any, Any, _T_co]: ...


def on_any_bind(read: Callable[Concatenate[Bind, _P], _T]) -> Read[_P, _T]:
    """
    Let *read* take an ``AsyncEngine``, ``AsyncConnection`` or ``AsyncSession`` too.

    It then returns a coroutine, which does the same through SQLAlchemy's
    ``run_sync``.
    """

    @functools.wraps(read)
    def call(bind: Any, /, *args: _P.args, **kwargs: _P.kwargs) -> Any:
        if not isinstance(bind, Engine) and _is_one_of(_ASYNC, bind):
            return _awaited(bind, read, *args, **kwargs)
        return read(bind, *args, **kwargs)

    return call


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
    if not (isinstance(bind, Engine | Connection) or _is_one_of(_SESSION, bind)):
        raise TypeError(
            "an Engine, a Connection or a Session (or SQLAlchemy's asynchronous one) is needed, "
            f"not {type(bind).__name__}"
        )
    with reached(_engine_of(bind).url):
        if isinstance(bind, Engine):
            with bind.connect() as connection:
                yield connection
        else:
            yield bind if isinstance(bind, Connection) else bind.connection()


def _engine_of(bind: Bind) -> Engine:
    try:
        return bind.engine if isinstance(bind, Engine | Connection) else bind.get_bind().engine
    except UnboundExecutionError:
        raise RepositoryError("the Session is bound to no engine") from None


def _is_one_of(kinds: tuple[tuple[str, str], ...], bind: Any) -> bool:
    # Whoever has one has loaded its module: the ORM takes long to load, and the asynchronous
    # ones need greenlet. Another thread may be in the midst of loading it.
    found = (getattr(sys.modules.get(module), name, None) for module, name in kinds)
    return isinstance(bind, tuple(kind for kind in found if kind is not None))


async def _awaited(
    bind: Any, read: Callable[Concatenate[Bind, _P], _T], *args: _P.args, **kwargs: _P.kwargs
) -> _T:
    async with _reading_async(bind) as connection:
        found: _T = await connection.run_sync(read, *args, **kwargs)
    return found


@asynccontextmanager
async def _reading_async(bind: Any) -> AsyncIterator[Any]:
    """Give what has ``run_sync``: a connection of the engine's, or *bind* itself."""
    if not hasattr(bind, "connect"):
        yield bind
        return
    with reached(bind.url):
        async with bind.connect() as connection:
            yield connection
