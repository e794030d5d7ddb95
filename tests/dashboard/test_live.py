"""What comes while a page is open."""

from __future__ import annotations

import json
import re

from collections.abc import Generator, Iterator
from dataclasses import replace
from html import unescape

import httpx2
import pytest

from examples.dashboard.app import make_app
from structlog_activity import ActivityLog
from tests.dashboard.shown import KEY, OPTIONS, served


LIMIT = 60.0  # seconds


@pytest.fixture
def base(own: ActivityLog) -> Iterator[str]:
    with served(make_app(own, OPTIONS)) as found:
        yield found


@pytest.fixture
def client(base: str) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=base, timeout=LIMIT) as found:
        yield found


def live_url(page: str) -> str:
    [found] = re.findall(r'data-live="([^"]*)"', page)
    return unescape(found)


def events(answer: httpx2.Response) -> Generator[tuple[str, int, list[str]], None, None]:
    """Yield position, number and ids of each event."""
    position = ""
    for line in answer.iter_lines():
        name, _, value = line.partition(": ")
        if name == "id":
            position = value
        elif name == "data":
            said = json.loads(value)
            yield position, said["n"], said["ids"]


def test_a_record_that_is_committed_after_the_page_was_made_is_told(
    own: ActivityLog, client: httpx2.Client
) -> None:
    url = live_url(client.get("/").text)
    # Before anybody listens, and yet behind what the page shows.
    first = own.record("door.opened", "door:1", tenant_id="acme")
    own.record("door.opened", "door:1", tenant_id="other")
    own.flush(30)

    with client.stream("GET", url) as answer:
        told = events(answer)
        position, n, ids = next(told)
        assert (1, [str(first.id)]) == (n, ids)

        second = own.record("door.closed", "door:1", tenant_id="acme")
        own.flush(30)
        assert (1, [str(second.id)]) == next(told)[1:]

    # A browser that comes back says where it was.
    with client.stream("GET", url, headers={"last-event-id": position}) as answer:
        assert (1, [str(second.id)]) == next(events(answer))[1:]


def test_only_what_fits_the_search_is_told(own: ActivityLog, client: httpx2.Client) -> None:
    url = live_url(client.get("/", params={"q": "verb:door.*"}).text)
    own.record("gate.opened", "gate:1", tenant_id="acme")
    found = own.record("door.opened", "door:1", tenant_id="acme")
    own.flush(30)

    with client.stream("GET", url) as answer:
        assert (1, [str(found.id)]) == next(events(answer))[1:]


def test_postgresql_tells_of_what_comes_too(migrated_url: str) -> None:
    with (
        ActivityLog(migrated_url, key=KEY, linger=0.001) as log,
        served(make_app(log, OPTIONS)) as base,
        httpx2.Client(base_url=base, timeout=LIMIT) as client,
    ):
        url = live_url(client.get("/").text)
        found = log.record("door.opened", "door:1", tenant_id="acme")
        log.flush(30)
        with client.stream("GET", url) as answer:
            assert (1, [str(found.id)]) == next(events(answer))[1:]


def test_a_page_of_the_past_is_not_live(client: httpx2.Client) -> None:
    assert not live_url(client.get("/", params={"until": "2026-03-14"}).text)


def test_a_position_that_does_not_fit_ends_the_stream_with_a_word(client: httpx2.Client) -> None:
    with client.stream("GET", "/live", params={"position": "nonsense"}) as answer:
        assert "event: gone" in "".join(answer.iter_text())


def test_so_many_pages_are_live_and_no_more(own: ActivityLog) -> None:
    with (
        served(make_app(own, replace(OPTIONS, most_live=1))) as base,
        httpx2.Client(base_url=base, timeout=LIMIT) as client,
    ):
        url = live_url(client.get("/").text)
        own.record("door.opened", "door:1", tenant_id="acme")
        own.flush(30)
        with client.stream("GET", url) as answer:
            told = events(answer)
            next(told)
            assert 503 == client.get(url).status_code
            told.close()
