"""Time that nobody is to blame for is left out, and no other."""

from __future__ import annotations

import signal
import threading
import time

from tests.support.standstill import took, witness


def pause(seconds: float) -> None:
    """Let real time pass: it is what is measured here."""
    threading.Event().wait(seconds)


def test_time_in_which_the_witness_runs_counts_and_the_rest_does_not() -> None:
    took(time.monotonic())
    begun = time.monotonic()
    pause(0.3)
    stopped = time.monotonic()
    witness().send_signal(signal.SIGSTOP)
    pause(0.3)
    witness().send_signal(signal.SIGCONT)
    ended = time.monotonic()
    assert stopped - begun - took(begun, stopped) < 0.1
    assert took(stopped, ended) < 0.15
    assert took(stopped + 0.2, ended) < 0.1
    assert took(begun - 5, stopped + 0.1) > 5
