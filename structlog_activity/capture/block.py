"""
Blocks that may be decorators, too, also of coroutine functions.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from types import TracebackType
from typing import Any, TypeVar, cast


_F = TypeVar("_F", bound=Callable[..., Any])


class Block:
    """
    A block in which something is bound: for a ``with``, or around each call of a function.

    What `contextlib.contextmanager` makes of a block does as a decorator nothing for
    a coroutine function: its block ends before the coroutine begins.

    Args:

        make: Returns the block anew for each time that it is entered.
    """

    def __init__(self, make: Callable[[], AbstractContextManager[None]]) -> None:
        self._make = make
        self._entered: list[AbstractContextManager[None]] = []

    def __enter__(self) -> None:
        block = self._make()
        block.__enter__()
        self._entered.append(block)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        return self._entered.pop().__exit__(kind, error, traceback)

    def __call__(self, function: _F) -> _F:
        """
        Return *function* such that each call of it is such a block.

        Raises:

            TypeError: It is a generator function, asynchronous or not.
        """
        if isgeneratorfunction(function) or isasyncgenfunction(function):
            name = getattr(function, "__qualname__", "function")  # A partial one has none.
            raise TypeError(
                f"{name}: a generator runs in the context of whoever asks it for a value; use a "
                "with block inside it"
            )
        make = self._make
        if iscoroutinefunction(function):

            @wraps(function)
            async def awaited(*args: Any, **kwargs: Any) -> Any:
                with make():
                    return await function(*args, **kwargs)

            return cast("_F", awaited)

        @wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            with make():
                return function(*args, **kwargs)

        return cast("_F", called)
