"""
Coroutines that do what methods do, for callers that must not wait.
"""

from __future__ import annotations

import asyncio

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar


_S = TypeVar("_S")
_P = ParamSpec("_P")
_T = TypeVar("_T")


def in_thread(
    method: Callable[Concatenate[_S, _P], _T],
) -> Callable[Concatenate[_S, _P], Coroutine[Any, Any, _T]]:
    """
    Return the twin of *method* that is awaited; a thread does the work.

    It takes what *method* takes, and does what whoever derives has made of it.

    Args:

        method: As it is defined in the body of a class.
    """
    name = method.__name__

    @wraps(method)
    async def twin(self: _S, /, *args: _P.args, **how: _P.kwargs) -> _T:
        work: Callable[_P, _T] = getattr(self, name)
        return await asyncio.to_thread(work, *args, **how)

    twin.__name__ = f"a{name}"
    twin.__qualname__ = f"{method.__qualname__.removesuffix(name)}a{name}"
    twin.__doc__ = f"Do what `{name}` does, in a thread."
    return twin
