"""
Counters count every event, whoever looks meanwhile.
"""

from __future__ import annotations

from functools import partial

import pytest

from structlog_activity.write.ticks import Ticks, TicksByReason
from tests.write.doubles import interrupted, run_all
from tests.write.spool.test_faults import interrupted as interrupted_at


def test_nothing_is_counted_at_first() -> None:
    assert Ticks().value == 0


def test_each_tick_counts_one() -> None:
    ticks = Ticks()
    for _ in range(5):
        ticks.tick()
    assert ticks.value == 5


def test_looking_does_not_count() -> None:
    ticks = Ticks()
    ticks.tick()
    assert [ticks.value for _ in range(100)] == [1] * 100
    ticks.tick()
    assert ticks.value == 2


def test_threads_that_count_and_look_at_once_lose_nothing(busy_threads: None) -> None:
    ticks = Ticks()

    def count() -> None:
        for _ in range(20_000):
            ticks.tick()

    def look() -> None:
        for _ in range(5_000):
            assert 0 <= ticks.value <= 80_000

    run_all(count, count, count, count, look, look)
    assert ticks.value == 80_000


def test_a_signal_handler_may_count_and_look_on_top_of_its_own_thread() -> None:
    ticks, own = Ticks(), 0

    def look() -> None:
        ticks.tick()
        assert ticks.value >= 0

    with interrupted(look) as calls:
        while len(calls) < 50:
            ticks.tick()
            own += 1
            assert ticks.value >= own
    assert ticks.value == own + len(calls)


def test_an_interrupt_at_any_step_of_a_look_does_not_count() -> None:
    number, ticks = 1, Ticks()
    ticks.tick()
    while interrupted_at(number, lambda: ticks.value, within="ticks.py", event="opcode"):
        assert ticks.value == 1, number
        number += 1
    assert number > 3


def test_an_act_is_counted_with_it_and_only_if_it_succeeds() -> None:
    ticks, acted = Ticks(), list[str]()
    ticks.tick_with(acted.append, "a")
    ticks.add_with(acted.append, "b", 5)
    with pytest.raises(ValueError, match="not in list"):
        ticks.add_with(acted.remove, "c", 7)
    with pytest.raises(ValueError, match="not in list"):
        ticks.tick_with(acted.remove, "c")
    assert (acted, ticks.value) == (["a", "b"], 6)


def test_no_interrupt_comes_between_an_act_and_its_count() -> None:
    number, ticks, acted = 1, Ticks(), list[int]()
    one = partial(ticks.tick_with, acted.append, 1)
    three = partial(ticks.add_with, acted.extend, (1, 2, 3), 3)
    for act in (one, three):
        while interrupted_at(number, act, within="ticks.py", event="opcode"):
            assert ticks.value == len(acted), number
            number += 1
        assert number > 10
        number = 1


def test_reasons_are_counted_apart_and_told_in_order() -> None:
    ticks = TicksByReason()
    for reason in ("overflow", "closed", "overflow"):
        ticks.tick(reason)
    assert list(ticks.values().items()) == [("closed", 1), ("overflow", 2)]


def test_first_ticks_that_meet_share_one_counter(busy_threads: None) -> None:
    for _ in range(200):
        ticks = TicksByReason()
        run_all(*[partial(ticks.tick, "same")] * 4)
        assert ticks.values() == {"same": 4}


@pytest.mark.parametrize("reason", ["", "a.b", "object_type"])
def test_any_text_is_a_reason(reason: str) -> None:
    ticks = TicksByReason()
    ticks.tick(reason)
    assert ticks.values() == {reason: 1}
