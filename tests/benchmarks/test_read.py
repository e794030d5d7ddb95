"""Each benchmark runs from beginning to end on little data; what it measures is not looked at."""

from __future__ import annotations

import json

import pytest

from tests.benchmarks.__main__ import main


def test_the_benchmark_of_reads_runs(capsys: pytest.CaptureFixture[str], postgres_url: str) -> None:
    assert 0 == main(["read", "--rows", "3000", "--rounds", "1", "--url", postgres_url, "--json"])

    out, err = capsys.readouterr()
    found = {one["name"]: one for one in map(json.loads, out.splitlines())}
    for name in (
        "bytes a row, heap", "bytes a row, indexes", "bytes a row, daily counts",
        "deep page / first page", "buffers of the deep page",
        "sorts and full scans of the deep page", "feed() / the same by hand, deep page",
        "GROUP BY / stats by verb, all time", "GROUP BY / stats by verb, 30 days",
        "DELETE + VACUUM / dropping a month",
    ):  # fmt: skip
        assert 0 <= found[name]["value"] < 100_000
    assert found["buffers of the deep page"]["met"]
    assert "goals met" in err
    assert "3,000 rows made and loaded" in err


def test_the_same_seed_makes_the_same_rows() -> None:
    from tests.benchmarks.history import _chunks

    def rows(seed: int) -> list[str]:
        return [
            line for chunk in _chunks(12_000, 10**15, 10**15 + 10**12, seed) for line in chunk(1)
        ]

    assert rows(1) == rows(1)
    assert rows(1) != rows(2)
    assert 12_000 == len(rows(1))


def test_an_unknown_benchmark_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["nonsense"])
    assert 2 == ended.value.code
    assert "read" in capsys.readouterr().err


def test_the_benchmark_of_trust_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == main(["trust", "--rounds", "1", "--json"])
    assert "off" in next(iter(json.loads(capsys.readouterr().out).values()))
