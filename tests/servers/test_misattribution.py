"""Real servers, many requests at once, each with an actor of its own: no record has another's."""

from __future__ import annotations

import random

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from structlog_activity import ALL_TENANTS, NIL, ActivityLog, to_uuid
from tests.servers.http import Request, Server, serving
from tests.support.stores import walk


UVICORN = ("-m", "tests.servers.run_uvicorn", "{fd}")
GUNICORN = ("-m", "gunicorn", "--bind", "fd://{fd}", "--log-level", "warning")
THREADS = ("--no-control-socket", "--workers", "1", "--worker-class", "gthread", "--threads", "8")

# What each path of each application records, per request: as whom, if not as its user.
BOTH = ("structlog", "stdlib")


def both(*places: str) -> list[str]:
    return [f"{way}.{place}" for place in places for way in BOTH]


CHUNKS = both("chunk0", "chunk1", "chunk2")
UNCARRIED = both("uncarried")
FASTAPI = {
    "async": [*both("endpoint", "to_thread"), "async.endpoint", "async.task"],
    "sync": both("endpoint"),
    "async-dependency": both("endpoint"),
    "sync-dependency": both("endpoint"),
    "background": [*both("background_sync"), "async.background"],
    "stream": CHUNKS,
    "sync-stream": CHUNKS,
    "error": both("endpoint", "handler"),
    "pool": [*both("carried"), *UNCARRIED],
}
FLASK = {
    "plain": both("endpoint"),
    "late": both("endpoint"),
    "stream": CHUNKS,
    "error": both("endpoint", "handler"),
    "pool": [*both("carried"), *UNCARRIED],
    "after": both("closed"),
}
DJANGO = {
    "sync": both("endpoint"),
    "async": [*both("endpoint"), "async.endpoint"],
    "late": both("before", "endpoint"),
    "stream": CHUNKS,
    "error": both("endpoint", "handler"),
    "pool": [*both("carried"), *UNCARRIED],
}
LATE = {"late", "async-dependency", "sync-dependency"}
NOBODY = {*UNCARRIED, *both("before")}

SETUPS = {
    "FastAPI under uvicorn": ((*UVICORN, "tests.servers.fastapi_app:app"), FASTAPI),
    "Flask under gunicorn": ((*GUNICORN, *THREADS, "tests.servers.flask_app:app"), FLASK),
    "Django under gunicorn": ((*GUNICORN, *THREADS, "tests.servers.django_app:wsgi"), DJANGO),
    "Django under uvicorn": (
        (*UVICORN, "tests.servers.django_app:asgi"),
        DJANGO | {"async-stream": CHUNKS},
    ),
}


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'activity.db'}"


@pytest.fixture(params=list(SETUPS.values()), ids=list(SETUPS))
def setup(
    request: pytest.FixtureRequest, url: str
) -> Iterator[tuple[Server, dict[str, list[str]]]]:
    command, paths = request.param
    with serving(*command, STRUCTLOG_ACTIVITY_TEST_FILE=url) as server:
        yield server, paths


@pytest.mark.parametrize(
    "count", [300, pytest.param(6_000, marks=[pytest.mark.soak, pytest.mark.timeout(600)])]
)
def test_no_record_has_the_actor_of_another_request(
    setup: tuple[Server, dict[str, list[str]]], url: str, count: int
) -> None:
    server, paths = setup
    asked = [(number, path) for number, path in zip(range(count), _endless(paths), strict=False)]
    requests = [_request(number, path) for number, path in asked]

    answers = server.ask(requests, connections=32)
    output = server.stop()

    wrong = [path for (_, path), a in zip(asked, answers, strict=True) if not _fits(path, a.status)]
    assert [] == wrong, output
    expected = Counter(
        (verb, str(number), NIL if verb in NOBODY else to_uuid(_user(number, path)))
        for number, path in asked
        for verb in paths[path]
    )
    assert expected == _stored(url)
    assert len({a.headers["x-request-id"] for a in answers if "x-request-id" in a.headers}) > (
        count * 0.8
    )


def _endless(paths: dict[str, list[str]]) -> Iterator[str]:
    order = random.Random(7)
    while True:
        yield from order.sample(list(paths), len(paths))


def _user(number: int, path: str) -> str | None:
    """Return who asks; `None` is somebody who is not logged in."""
    return None if number % 4 == 0 and path not in LATE else f"user-{number}"


def _request(number: int, path: str) -> Request:
    user = _user(number, path)
    header = "X-Late" if path in LATE else "X-User"
    cookie = {"Cookie": "sessionid=1"} if path.startswith("async") else {}
    return Request(f"/{path}/{number}", {header: user, **cookie} if user else cookie)


def _fits(path: str, status: int) -> bool:
    return status == (500 if path == "error" else 200)


def _stored(url: str) -> Counter[tuple[str, str, object]]:
    found: Counter[tuple[str, str, object]] = Counter()
    with ActivityLog(url) as log:
        for record in walk(log.feed, tenant_id=ALL_TENANTS, limit=200, total="none"):
            found[record.verb, record.object_id, record.actor_id] += 1
    return found
