"""Fixtures for the tests of the spool."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.write.spool.spools import MakeSpool, Spools, open_files


@pytest.fixture
def spools(tmp_path: Path) -> Iterator[Spools]:
    """What makes spools on one folder; after the test they are closed and nothing is left open."""
    before = open_files(tmp_path)
    made = Spools(tmp_path / "spool")
    yield made
    made.close()
    assert before == open_files(tmp_path)


@pytest.fixture
def make_spool(spools: Spools) -> MakeSpool:
    """What makes one spool on the test's folder."""
    return spools.make
