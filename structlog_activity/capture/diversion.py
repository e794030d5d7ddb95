"""
All recorders of the process sent elsewhere for a while, as tests of the host's want it.
"""

from __future__ import annotations

import weakref

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Final, Protocol

from ..record.sink import Sink


class Divertible(Protocol):
    """What sends records to a sink, and for a while to another one."""

    def diverted(self, sink: Sink) -> AbstractContextManager[None]:
        """Send records to *sink* within a block."""
        ...


_live: Final[weakref.WeakSet[Divertible]] = weakref.WeakSet()

# Each takes what is made while all are diverted; the innermost is last.
_joins: Final[list[Callable[[Divertible], object]]] = []


def take_part(new: Divertible) -> None:
    """Have *new* diverted whenever all are, and at once where they are."""
    _live.add(new)
    for join in _joins:
        join(new)


@contextmanager
def all_diverted(sink: Sink) -> Iterator[None]:
    """Send to another sink what all recorders make, and those that are made meanwhile."""
    with ExitStack() as stack:

        def join(one: Divertible) -> None:
            stack.enter_context(one.diverted(sink))

        for one in list(_live):
            join(one)
        _joins.append(join)
        stack.callback(_joins.remove, join)
        yield
