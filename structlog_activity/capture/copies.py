"""
Values that the caller can't change any more: immutable ones, and copies of containers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from ..record.budgets import MAX_DEPTH, MAX_NODES
from ..record.plain import SCALARS


IMMUTABLE: Final = SCALARS | {UUID, datetime}
"""Types whose values may wait for the writer as they are."""

_PAIR: Final = 2


def copy_containers(event: dict[Any, Any], pair: str) -> None:
    """
    Put copies in the place of the builtin containers in *event*, as far down as they go.

    Args:

        event: The event.

        pair: The key under which a tuple has to have two items.

    Raises:

        Exception: It has not, or there is something else in the event, or too much. A
            metaclass can make the look at a type raise anything.
    """
    left = [MAX_NODES]
    for key, value in event.items():
        kind = type(value)
        if kind is not str and kind not in IMMUTABLE:
            event[key] = _COPIES[kind](value, 1, left)
    found = event.get(pair)
    if type(found) is tuple and len(found) != _PAIR:
        raise ValueError(pair)


def copied_items(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """
    Return *values* with copies in the place of the builtin containers among them.

    Raises:

        Exception: As `copy_containers`, but for pairs.
    """
    return _copied_tuple(values, 0, [MAX_NODES])


# Each takes a container, how deep it lies, and how many more values may be copied. Most
# containers hold few values: for these a loop costs less than to call C for a look first.


def _copied_dict(value: dict[Any, Any], depth: int, left: list[int]) -> dict[str, Any]:
    copy = value.copy()
    left[0] -= len(copy)
    if left[0] < 0 or depth > MAX_DEPTH:
        raise ValueError(depth)
    for key, item in copy.items():
        kind = type(item)
        if type(key) is not str:
            raise TypeError(depth)
        if kind is not str and kind not in IMMUTABLE:
            copy[key] = _COPIES[kind](item, depth + 1, left)
    return copy


def _copied_list(value: list[Any], depth: int, left: list[int]) -> list[Any]:
    copy = value.copy()
    left[0] -= len(copy)
    if left[0] < 0 or depth > MAX_DEPTH:
        raise ValueError(depth)
    for item in copy:
        if type(item) is not str and type(item) not in IMMUTABLE:
            return _each_copied(copy, depth + 1, left)
    return copy


def _copied_tuple(value: tuple[Any, ...], depth: int, left: list[int]) -> tuple[Any, ...]:
    left[0] -= len(value)
    if left[0] < 0 or depth > MAX_DEPTH:
        raise ValueError(depth)
    for item in value:
        if type(item) is not str and type(item) not in IMMUTABLE:
            return tuple(_each_copied(value, depth + 1, left))
    return value


def _each_copied(items: Iterable[Any], depth: int, left: list[int]) -> list[Any]:
    return [
        item if type(item) in IMMUTABLE else _COPIES[type(item)](item, depth, left)
        for item in items
    ]


_COPIES: Final[dict[type, Callable[[Any, int, list[int]], Any]]] = {
    dict: _copied_dict,
    list: _copied_list,
    tuple: _copied_tuple,
}
