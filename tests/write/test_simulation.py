"""
Whatever clock, database, disk and callers do, no record is lost uncounted, and none is doubled.
"""

from __future__ import annotations

import random
import subprocess
import sys

import pytest

from tests.write.scripts import ROOT
from tests.write.simulation import run


@pytest.mark.parametrize("tens", range(7))
def test_a_simulated_world_keeps_its_accounts(tens: int) -> None:
    for seed in range(tens * 10, tens * 10 + 10):
        try:
            run(seed)
        except Exception as error:
            error.add_note(f"python -m tests.write.simulation {seed}")
            raise


def test_a_seed_is_the_same_world_each_time() -> None:
    for seed in (3, 5, 8, 13):
        assert run(seed) == run(seed)


def test_a_seed_is_the_same_world_in_another_process() -> None:
    """Where sets come in another order."""
    command = [sys.executable, "-m", "tests.write.simulation", "21"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.splitlines() == run(21)
    assert len(run(21)) > 10


def test_worlds_differ_and_all_kinds_of_things_happen() -> None:
    told = "\n".join("\n".join(run(seed)) for seed in range(16))
    for event in ("killed", "close True", "close False", "flush True", "bad", "transient True",
                  "slow", "unknown", "configuration", "disk", "recovered"):  # fmt: skip
        assert event in told, event


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_thousands_of_simulated_worlds_keep_their_accounts() -> None:
    first = random.randrange(1 << 32)
    for seed in range(first, first + 3000):
        try:
            run(seed)
        except Exception as error:
            error.add_note(f"python -m tests.write.simulation {seed}")
            raise
