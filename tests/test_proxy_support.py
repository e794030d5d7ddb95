"""
The fault proxy does what it says, to a real server.
"""

from __future__ import annotations

import threading

from collections.abc import Callable, Iterator
from struct import pack
from typing import Any

import psycopg
import pytest

from sqlalchemy.engine import make_url

from tests.support.frontend import Frontend
from tests.support.proxy import CommitFault, FaultProxy
from tests.write.doubles import eventually


@pytest.fixture
def proxy(postgres_url: str) -> Iterator[FaultProxy]:
    with FaultProxy(postgres_url) as proxy:
        yield proxy


def connect(url: str) -> psycopg.Connection[Any]:
    dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(dsn, autocommit=True, connect_timeout=2)


@pytest.fixture
def direct(postgres_url: str) -> Iterator[psycopg.Connection[Any]]:
    with connect(postgres_url) as connection:
        connection.execute("CREATE TABLE seen (n text)")
        yield connection


def seen(direct: psycopg.Connection[Any]) -> list[str]:
    return [n for (n,) in direct.execute("SELECT n FROM seen ORDER BY n")]


def test_the_url_leads_through_the_loopback_and_nowhere_else(proxy: FaultProxy) -> None:
    url = make_url(proxy.url)
    assert (url.host, url.query["sslmode"]) == ("127.0.0.1", "disable")
    with connect(proxy.url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert proxy.did["connected"] == 1


def commit_simply(connection: psycopg.Connection[Any]) -> None:
    connection.execute("commit")


def commit_extended(connection: psycopg.Connection[Any]) -> None:
    connection.execute("COMMIT", prepare=True)


COMMITS = [commit_simply, commit_extended]


@pytest.mark.parametrize("commit", COMMITS)
@pytest.mark.parametrize(("fault", "stored"), [("drop_request", []), ("drop_ack", ["a"])])
def test_a_commit_is_lost_on_its_way_or_on_its_way_back(
    proxy: FaultProxy,
    direct: psycopg.Connection[Any],
    commit: Callable[[psycopg.Connection[Any]], None],
    fault: CommitFault,
    stored: list[str],
) -> None:
    proxy.fail_commits(fault)
    connection = connect(proxy.url)
    connection.execute("BEGIN")
    connection.execute("INSERT INTO seen VALUES ('a')")
    with pytest.raises(psycopg.OperationalError):
        commit(connection)
    connection.close()
    assert seen(direct) == stored
    assert (proxy.did[fault], proxy.did["commits"]) == (1, 1)
    with connect(proxy.url) as another:
        another.execute("BEGIN; INSERT INTO seen VALUES ('b')")
        commit(another)
    assert seen(direct) == [*stored, "b"]


def test_an_answer_comes_late(proxy: FaultProxy, direct: psycopg.Connection[Any]) -> None:
    proxy.fail_commits("delay_ack")
    proxy.ack_delay = 0.05
    with connect(proxy.url) as connection:
        connection.execute("BEGIN; INSERT INTO seen VALUES ('a')")
        connection.execute("COMMIT")
    assert seen(direct) == ["a"]
    assert proxy.did["delay_ack"] == 1


def test_data_that_look_like_a_commit_are_none(
    proxy: FaultProxy, direct: psycopg.Connection[Any]
) -> None:
    odd = "Q" + pack("!I", 11).decode("latin-1").replace("\0", "0") + "COMMIT"
    proxy.fail_commits("drop_request")
    with connect(proxy.url) as connection:
        with connection.cursor().copy("COPY seen FROM STDIN") as copy:
            copy.write_row([odd])
            copy.write_row(["COMMIT"])
        connection.execute("INSERT INTO seen VALUES (%s)", ["COMMIT"])
        connection.execute("SELECT 'COMMIT'")
    assert len(seen(direct)) == 3
    assert proxy.did["commits"] == 0


@pytest.mark.parametrize("size", [1, 3, 7, 4096])
def test_messages_are_told_apart_however_they_arrive_in_pieces(size: int) -> None:
    startup = pack("!II", 16, 196608) + b"user\0a\0\0"
    data = b"d" + pack("!I", 4 + 12) + b"Q\0\0\0\x0bCOMMIT\0"
    commit = b"Q" + pack("!I", 4 + 7) + b"COMMIT\0"
    other = b"Q" + pack("!I", 4 + 9) + b"COMMITS?\0"
    whole = pack("!II", 8, 80877103) + startup + data + commit + other
    frontend = Frontend()
    found = [
        message
        for start in range(0, len(whole), size)
        for message in frontend.feed(whole[start : start + size])
    ]
    assert b"".join(message for message, _ in found) == whole
    assert [commits for _, commits in found] == [False, False, False, True, False]


def test_a_connection_is_cut_in_the_middle_of_its_data(
    proxy: FaultProxy, direct: psycopg.Connection[Any]
) -> None:
    proxy.cut_after(100_000)
    connection = connect(proxy.url)
    with (
        pytest.raises(psycopg.OperationalError),
        connection.cursor().copy("COPY seen FROM STDIN") as copy,
    ):
        for _ in range(1000):
            copy.write_row(["x" * 1000])
    connection.close()
    assert seen(direct) == []
    assert proxy.did["cut"] == 1


def test_refused_clients_are_let_in_again_under_the_same_url(proxy: FaultProxy) -> None:
    url = proxy.url
    with connect(url) as there:
        proxy.mode = "refuse"
        with pytest.raises(psycopg.OperationalError, match="refused"):
            connect(url)
        assert there.execute("SELECT 1").fetchone() == (1,)
    proxy.mode = "pass"
    assert proxy.url == url
    connect(url).close()


def test_a_black_hole_lets_everybody_in_and_answers_nobody(proxy: FaultProxy) -> None:
    proxy.mode = "blackhole"
    with pytest.raises(psycopg.errors.ConnectionTimeout):
        connect(proxy.url)
    assert proxy.did["blackholed"] == 1


def test_frozen_traffic_goes_on_where_it_stopped(proxy: FaultProxy) -> None:
    found: list[Any] = []
    with connect(proxy.url) as connection:
        proxy.mode = "freeze"
        asking = threading.Thread(
            target=lambda: found.append(connection.execute("SELECT 1").fetchone())
        )
        asking.start()
        asking.join(0.1)
        assert found == []
        proxy.mode = "pass"
        asking.join()
    assert found == [(1,)]


def test_all_connections_are_killed_at_once(proxy: FaultProxy) -> None:
    connections = [connect(proxy.url) for _ in range(3)]
    assert proxy.kill_all() == 3
    for connection in connections:
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
        connection.close()
    assert proxy.kill_all() == 0
    assert proxy.did["killed"] == 3


def test_a_narrow_line_is_slow(proxy: FaultProxy) -> None:
    proxy.bandwidth = 20_000
    with connect(proxy.url) as connection:
        loop = proxy._loop
        started = loop.time()
        connection.execute("SELECT %s", ["x" * 8_000])
        assert loop.time() - started > 0.3


def test_nothing_is_left_of_it(postgres_url: str) -> None:
    before = threading.active_count()
    with FaultProxy(postgres_url) as proxy:
        connection = connect(proxy.url)
    eventually(lambda: threading.active_count() == before)
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
    connection.close()
