"""Fixtures for the tests of the spool."""

from __future__ import annotations

import os

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.write.spool.spools import MakeSpool, Spools


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


def open_files(folder: Path) -> list[str]:
    """Return which files of a folder this process has open, or mapped."""
    links = [Path("/proc/self/fd", fd) for fd in os.listdir("/proc/self/fd")]
    opened = [os.readlink(link) for link in links if link.is_symlink()]
    mapped = Path("/proc/self/maps").read_text().splitlines()
    return sorted(name for name in (*opened, *mapped) if str(folder) in name)
