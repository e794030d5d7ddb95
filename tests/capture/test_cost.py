"""
What a log call pays, counted in calls of functions: a guard that no busy machine upsets.

A budget that is exceeded is no bug, but a reason to look at what was added and to
run ``python -m tests.benchmarks hot``.
"""

from __future__ import annotations

import contextvars
import gc
import itertools
import logging
import sys

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from structlog_activity.record.ids import new_ids
from structlog_activity.write.mailbox import Mailbox

from .conftest import Kit


FLAT: dict[str, Any] = {
    "event": "theme changed",
    "verb": "settings.updated",
    "object": "settings:global",
    "actor_id": "ana",
    "tenant_id": "acme",
    "path": "ui.theme",
    "count": 3,
}
NESTED: dict[str, Any] = {
    **FLAT,
    "before": {"ui": {"theme": "light"}, "tags": ["a", "b"]},
    "after": {"ui": {"theme": "dark"}, "tags": ["a"]},
}


def calls(work: Callable[[], object]) -> Counter[str]:
    """Count the calls of Python functions and of C functions while *work* runs."""
    # In a context of its own: names that other tests bound are gone through, too.
    return contextvars.Context().run(_counted, work)


def _counted(work: Callable[[], object]) -> Counter[str]:
    found: Counter[str] = Counter()

    def look(_frame: Any, event: str, _argument: Any) -> None:
        found[event] += 1

    before, was_on = sys.getprofile(), gc.isenabled()
    gc.disable()  # Others may have callbacks there.
    sys.setprofile(look)
    try:
        work()
    finally:
        sys.setprofile(before)
        if was_on:
            gc.enable()
    # `work` itself, and the setprofile that ends it.
    return Counter(python=found["call"] - 1, c=found["c_call"] - 1)


@pytest.fixture
def kit() -> Kit:
    """A kit onto a real mailbox, as it is in a process that runs."""
    # A millisecond that doesn't end, and an id that is the first of many.
    kit = Kit(clock=itertools.repeat(1_750_000_000_123_456_789).__next__)
    new_ids.reseed()
    mailbox: Any = Mailbox(
        capacity=10_000,
        wake_at=9_999,
        overflow="drop_newest",
        block_timeout=0,
        start=lambda: True,
    )
    mailbox.open()
    kit.recorder.sink = mailbox
    return kit


def of_processor(kit: Kit, event: dict[str, Any]) -> Counter[str]:
    kit.processor(None, "info", dict(event))  # What is learnt once is learnt here.
    again = dict(event)
    counted = calls(lambda: kit.processor(None, "info", again))
    assert ("activity_id" in again) == ("verb" in event)
    return counted


def test_a_call_without_a_verb_makes_one_call(kit: Kit) -> None:
    event = {name: value for name, value in FLAT.items() if name != "verb"}

    assert {"python": 1, "c": 0} == dict(of_processor(kit, event))


def test_a_flat_activity_makes_few_calls(kit: Kit) -> None:
    counted = of_processor(kit, FLAT)

    assert counted["python"] <= 3
    assert counted["c"] <= 6


def test_a_nested_activity_makes_one_call_per_container_and_few_more(kit: Kit) -> None:
    containers = 6
    counted = of_processor(kit, NESTED)

    assert counted["python"] <= 4 + containers
    assert counted["c"] <= 6 + 3 * containers


def test_an_activity_by_logging_makes_few_calls(kit: Kit) -> None:
    extra = {name: value for name, value in FLAT.items() if name != "event"}

    def record() -> logging.LogRecord:
        return logging.makeLogRecord({"name": "app", "msg": "theme changed", **extra})

    kit.handler.handle(record())
    again = record()
    counted = calls(lambda: kit.handler.handle(again))

    assert "activity_id" in again.__dict__
    assert counted["python"] <= 10
    assert counted["c"] <= 9


def test_a_spooled_activity_is_made_a_row_in_few_calls(kit: Kit) -> None:
    kit.processor(None, "info", dict(FLAT))
    kit.recorder.sink = sink = type(kit.tape)()
    kit.processor(None, "info", dict(FLAT))
    assert sink.rows
    counted = calls(lambda: sink.rows)

    # Three of each look for secrets within the texts.
    assert counted["python"] <= 18
    assert counted["c"] <= 28
