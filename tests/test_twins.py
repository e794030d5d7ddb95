"""Coroutines that do what methods do."""

from __future__ import annotations

import asyncio
import inspect
import threading

import pytest

from structlog_activity import ActivityLog
from structlog_activity.twins import in_thread


class Counter:
    """Something with a method, its twin, and somebody who derives from it."""

    def add(self, one: int, *, other: int = 1) -> tuple[int, str]:
        return one + other, threading.current_thread().name

    aadd = in_thread(add)


class Doubler(Counter):
    def add(self, one: int, *, other: int = 1) -> tuple[int, str]:
        return 2 * (one + other), ""


TWINS = [
    name
    for kind in ActivityLog.__mro__
    for name, found in vars(kind).items()
    if inspect.iscoroutinefunction(found) and not name.startswith("_")
]


def test_a_twin_does_what_the_method_does_in_a_thread() -> None:
    total, thread = asyncio.run(Counter().aadd(3, other=4))

    assert 7 == total
    assert threading.current_thread().name != thread


def test_a_twin_does_what_was_made_of_the_method() -> None:
    assert (8, "") == asyncio.run(Doubler().aadd(3))


def test_a_twin_raises_what_the_method_raises() -> None:
    with pytest.raises(TypeError, match="concatenate"):
        asyncio.run(Counter().aadd("3"))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", TWINS)
def test_each_twin_of_a_log_takes_what_its_method_takes_and_says_which_that_is(name: str) -> None:
    twin, method = getattr(ActivityLog, name), getattr(ActivityLog, name[1:])

    assert inspect.iscoroutinefunction(twin)
    assert inspect.signature(method) == inspect.signature(twin)
    assert f"Do what `{name[1:]}` does, in a thread." == twin.__doc__
    assert name == twin.__name__
