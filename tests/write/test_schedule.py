"""
How long to wait after a failure.
"""

from __future__ import annotations

import pytest

from hypothesis import given
from hypothesis import strategies as st

from structlog_activity.store.faults import Fault
from structlog_activity.write.schedule import (
    FIRST_DELAY,
    FIRST_HOLD,
    LONGEST_DELAY,
    RetrySchedule,
)


def longest() -> RetrySchedule:
    """Return a schedule without luck: every wait is all but the longest it can be."""
    return RetrySchedule(random=lambda: 1.0)


def test_each_failure_doubles_the_wait_up_to_half_a_minute() -> None:
    schedule = longest()
    waits = [schedule.failed(Fault.TRANSIENT) for _ in range(11)]
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0]


def test_where_somebody_must_act_the_first_wait_is_a_second() -> None:
    schedule = longest()
    assert [schedule.failed(Fault.CONFIGURATION) for _ in range(3)] == [1.0, 2.0, 4.0]


def test_a_success_starts_anew() -> None:
    schedule = longest()
    for _ in range(5):
        schedule.failed(Fault.TRANSIENT)
    schedule.succeeded()
    assert schedule.failed(Fault.TRANSIENT) == FIRST_DELAY


def test_at_least_half_of_the_wait_is_kept() -> None:
    assert RetrySchedule(random=lambda: 0.0).failed(Fault.TRANSIENT) == FIRST_DELAY / 2


def test_writers_that_fail_together_don_t_come_back_together() -> None:
    waits = {RetrySchedule().failed(Fault.TRANSIENT) for _ in range(50)}
    assert len(waits) > 25


@given(st.lists(st.sampled_from(Fault), max_size=300), st.floats(0, 1, exclude_max=True))
def test_a_wait_is_never_none_and_never_longer_than_the_longest(
    faults: list[Fault], luck: float
) -> None:
    schedule = RetrySchedule(random=lambda: luck)
    for fault in faults:
        assert FIRST_DELAY / 2 <= schedule.failed(fault) <= LONGEST_DELAY


@pytest.mark.parametrize("fault", [Fault.DATA, Fault.DUPLICATE, Fault.UNKNOWN])
def test_only_a_configuration_is_held(fault: Fault) -> None:
    assert longest().failed(fault) == FIRST_DELAY < FIRST_HOLD
