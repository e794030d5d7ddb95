"""Time that nobody is to blame for is left out, and no other."""

from __future__ import annotations

import signal
import threading
import time

from tests.support.standstill import took, witness


def pause(seconds: float) -> None:
    """Let real time pass: it is what is measured here."""
    threading.Event().wait(seconds)


def told() -> tuple[float, ...]:
    """
    What is told of a span in which the witness runs, of one in which it is stopped, of the
    end of this, and of both with five seconds before them.
    """
    took(time.monotonic())
    begun = time.monotonic()
    pause(0.3)
    stopped = time.monotonic()
    witness().send_signal(signal.SIGSTOP)
    pause(0.3)
    witness().send_signal(signal.SIGCONT)
    ended = time.monotonic()
    return (
        stopped - begun - took(begun, stopped),
        took(stopped, ended),
        took(stopped + 0.2, ended),
        took(begun - 5, stopped + 0.1),
    )


def test_time_in_which_the_witness_runs_counts_and_the_rest_does_not() -> None:
    # A machine that stands still meanwhile makes it right to tell something else.
    for _ in range(30):
        left_out, stopped, end_of_it, all_of_it = told()
        if left_out < 0.1 and stopped < 0.15 and end_of_it < 0.1 and all_of_it > 5:
            return
    raise AssertionError((left_out, stopped, end_of_it, all_of_it))
