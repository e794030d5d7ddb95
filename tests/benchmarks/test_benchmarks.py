"""Each benchmark works; what it finds on a busy machine is no matter of the suite."""

from __future__ import annotations

import pytest

from tests.benchmarks import database
from tests.benchmarks.measuring import TINY
from tests.benchmarks.registry import BENCHMARKS
from tests.benchmarks.results import Result, table
from tests.support.postgres import PostgresServer


@pytest.mark.parametrize("what", BENCHMARKS)
def test_a_benchmark_measures_something(
    what: str, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "given", [postgres_server])

    results = BENCHMARKS[what](TINY)

    assert results
    assert all(one.spread[0] <= one.value <= one.spread[1] for one in results)
    assert all(one.value > 0 for one in results if one.unit == "x")


def test_a_missed_goal_is_said_in_the_table() -> None:
    text = table([Result("this", 2.0, (1.0, 3.0), goal=1.5), Result("that", 1.0, (1.0, 1.0), 1.5)])

    assert ["this" in line and "(missed)" in line for line in text.splitlines()][2:] == [
        True,
        False,
    ]
