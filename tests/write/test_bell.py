"""
A bell wakes one sleeper, and a ring that nobody heard stays.
"""

from __future__ import annotations

import threading

from structlog_activity.write.bell import Bell
from tests.write.doubles import DEADLINE


def test_nobody_rang_yet() -> None:
    assert Bell().wait(0) is False


def test_a_ring_is_heard_by_who_waits_next() -> None:
    bell = Bell()
    bell.ring()
    assert bell.wait(0) is True


def test_rings_that_meet_count_as_one() -> None:
    bell = Bell()
    bell.ring()
    bell.ring()
    assert [bell.wait(0), bell.wait(0)] == [True, False]


def test_a_hushed_ring_is_forgotten_and_the_next_one_heard() -> None:
    bell = Bell()
    bell.hush()
    bell.ring()
    bell.hush()
    assert bell.wait(0) is False
    bell.ring()
    assert bell.wait(0) is True


def test_a_sleeper_wakes() -> None:
    bell, heard = Bell(), []
    thread = threading.Thread(target=lambda: heard.append(bell.wait(DEADLINE)))
    thread.start()
    bell.ring()
    thread.join()
    assert heard == [True]


def test_threads_that_ring_at_once_don_t_break_it(busy_threads: None) -> None:
    bell = Bell()

    def ring() -> None:
        for _ in range(5_000):
            bell.ring()

    threads = [threading.Thread(target=ring) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(5_000):
        bell.hush()
    for thread in threads:
        thread.join()
    bell.ring()
    assert [bell.wait(0), bell.wait(0)] == [True, False]
