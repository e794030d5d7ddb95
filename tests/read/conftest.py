"""Fixtures for reads: stores that a whole module shares."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.stores import Store, postgresql_store, sqlite_store
from tests.write.conftest import both, database, own_server


__all__ = ["both", "database", "own_server"]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Store]:
    """Each of the two databases, empty before the first test of the module only."""
    if request.param == "sqlite":
        with sqlite_store(tmp_path_factory.mktemp("shared")) as store:
            yield store
        return
    server = request.getfixturevalue("postgres_server")
    server.ensure_running()
    url = server.create_database(request.getfixturevalue("template_url"))
    with postgresql_store(url) as store:
        yield store
    server.drop_database(url)
