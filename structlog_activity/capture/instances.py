"""
Objects that this process holds, for a look at a set-up that nobody handed to us.
"""

from __future__ import annotations

import gc

from typing import TypeVar


_T = TypeVar("_T")


def instances_of(kind: type[_T]) -> list[_T]:
    """Return all instances of a class that are alive."""
    # Not isinstance: it asks the object, and a proxy, such as Flask's request, answers
    # for another one, or raises where there is none.
    return [found for found in gc.get_objects() if issubclass(type(found), kind)]
