"""
How much memory a process takes through which very many records go.
"""

from __future__ import annotations

import json
import subprocess
import sys

from .database import migrated, server
from .measuring import Sizes, result
from .results import Result


_PROGRAM = """
import json, re, sys
from pathlib import Path
from structlog_activity import ActivityLog
from tests.benchmarks.calls import bound, flat, logger

url, number, is_up = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "up"
activity = ActivityLog(url, close_timeout=0)
log = logger(activity.processor)
# Of this program alone: what getrusage tells begins with the peak of the parent.
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
with bound():
    for _ in range(500):
        flat(log)
    activity.flush(60 if is_up else 0)
    start = peak()
    for _ in range(number):
        flat(log)
    if is_up:
        activity.flush(120)
    print(json.dumps(activity.counters() | {"grown": peak() - start}))
sys.stderr = None  # Where it would say that records are lost.
activity.close(0)
"""


def memory(sizes: Sizes) -> list[Result]:
    """Return by how much the peak grew with the database there, and with it away."""
    with server() as started:
        up = _grown(migrated(started), sizes.many, "up")
        away = _grown("postgresql://nobody@127.0.0.1:1/nowhere", sizes.many, "away")
    name = f"peak memory beyond the start, {sizes.many:,} records"
    return [
        result(name, {"ours": [up]}, again=None, goal=150, unit="MiB"),
        result(f"{name}, database away", {"ours": [away]}, again=None, goal=150, unit="MiB"),
    ]


def _grown(url: str, number: int, state: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, url, str(number), state],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found["submitted"] == number + 500
    return float(found["grown"])
