"""Each benchmark runs from beginning to end on little data; what it measures is not looked at."""

from __future__ import annotations

import json

from typing import Any

import psycopg
import pytest

from sqlalchemy.engine import make_url

from tests.benchmarks.__main__ import main
from tests.benchmarks.history import load


_EMPTY = "TRUNCATE user_activity, user_activity_batch, user_activity_daily, user_activity_monthly"


def test_the_benchmark_of_reads_runs(capsys: pytest.CaptureFixture[str], postgres_url: str) -> None:
    assert 0 == main(["read", "--rows", "3000", "--rounds", "1", "--url", postgres_url, "--json"])

    out, err = capsys.readouterr()
    found = {one["name"]: one for one in map(json.loads, out.splitlines())}
    for name in (
        "bytes a row, heap", "bytes a row, indexes", "bytes a row, daily counts",
        "bytes a row, monthly counts",
        "deep page / first page", "buffers of the deep page",
        "sorts and full scans of the deep page", "feed() / the same by hand, deep page",
        "GROUP BY / stats by verb, all time", "GROUP BY / stats by verb, 30 days",
        "DELETE + VACUUM / dropping a month",
    ):  # fmt: skip
        assert 0 <= found[name]["value"] < 100_000
    assert found["buffers of the deep page"]["met"]
    assert "goals met" in err
    assert "3,000 rows made and loaded" in err


def test_the_same_seed_makes_the_same_rows(migrated_url: str) -> None:
    _, arguments = (
        make_url(migrated_url).get_dialect()().create_connect_args(make_url(migrated_url))
    )
    with psycopg.connect(**arguments, autocommit=True) as connection:

        def made(seed: int, *, grown: bool = False) -> list[tuple[Any, ...]]:
            connection.execute(_EMPTY)
            load(connection, 2_000, seed=seed, grown=grown, progress=False)
            return connection.execute("SELECT * FROM user_activity ORDER BY id").fetchall()

        rows = made(1)
        assert 2_000 == len(rows)
        assert rows == made(1, grown=True)
        assert rows != made(2)


def test_indexes_are_the_same_whether_they_grew_or_not(migrated_url: str) -> None:
    _, arguments = (
        make_url(migrated_url).get_dialect()().create_connect_args(make_url(migrated_url))
    )
    with psycopg.connect(**arguments, autocommit=True) as connection:

        def indexes() -> list[tuple[Any, ...]]:
            asked = (
                "SELECT indexdef FROM pg_indexes WHERE tablename LIKE 'user_activity%' ORDER BY 1"
            )
            return connection.execute(asked).fetchall()

        def made(*, grown: bool) -> list[tuple[Any, ...]]:
            connection.execute(_EMPTY)
            load(connection, 10, seed=1, grown=grown, progress=False)
            return indexes()

        assert made(grown=True) == made(grown=False)


def test_an_unknown_benchmark_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["nonsense"])
    assert 2 == ended.value.code
    assert "read" in capsys.readouterr().err


def test_the_benchmark_of_trust_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == main(["trust", "--rounds", "1", "--json"])
    assert "off" in next(iter(json.loads(capsys.readouterr().out).values()))
