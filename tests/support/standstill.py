"""
How long something took, less the time for which the machine itself stood still.

A virtual machine is paused by its host, and a busy one lets a process wait for a processor:
now and then for longer than a test allows our code. A process of its own, which shares no
lock with the one that is tested, looks at the clock all the time. When it, too, got no turn,
the time is nobody's fault.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time

from functools import cache


_ASKING = threading.Lock()
_WITNESS = """
import select, sys, time

pauses, last = [], time.monotonic()
while True:
    asked, _, _ = select.select([sys.stdin], [], [], 0.01)
    now = time.monotonic()
    if now - last > 0.05:
        pauses = [*pauses[-999:], (last, now)]
    last = now
    if asked:
        question = sys.stdin.readline()
        if not question:
            break
        begin, end = map(float, question.split())
        print(sum(max(0, min(end, b) - max(begin, a)) for a, b in pauses), flush=True)
"""


@cache
def witness() -> subprocess.Popen[str]:
    """Return the process that looks at the clock; it ends with the one that asks for it."""
    command = [sys.executable, "-I", "-c", _WITNESS]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def took(started: float, ended: float | None = None) -> float:
    """
    Return the seconds from one moment of `time.monotonic` to another, or to now.

    Those in which the witness got no turn are left out.
    """
    ended = time.monotonic() if ended is None else ended
    asked = witness()
    assert asked.stdin is not None
    assert asked.stdout is not None
    with _ASKING:
        asked.stdin.write(f"{started!r} {ended!r}\n")
        asked.stdin.flush()
        return ended - started - float(asked.stdout.readline())
