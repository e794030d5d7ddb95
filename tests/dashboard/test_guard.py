"""Who is answered, and with which headers."""

from __future__ import annotations

import subprocess
import sys

import pytest

from examples.dashboard.__main__ import main
from structlog_activity import ActivityLog
from tests.dashboard.shown import Shown
from tests.test_documents import ROOT


TOKEN = "let me in"


@pytest.mark.parametrize(
    "path", ["/", "/nothing", "/static/dashboard.js", "/?q=colour:red", "/health"]
)
def test_every_answer_forbids_what_the_page_does_not_need(shown: Shown, path: str) -> None:
    headers = shown.get(path).headers

    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in headers["content-security-policy"]
    assert "nosniff" == headers["x-content-type-options"]
    assert "same-origin" == headers["cross-origin-resource-policy"]
    assert headers["cache-control"] in {"no-store", "no-cache"}


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::2]:80"])
def test_a_host_that_is_not_known_is_refused(shown: Shown, host: str) -> None:
    found = shown.client.get("/", headers={"host": host})

    assert 403 == found.status_code
    assert "invoice" not in found.text


@pytest.mark.parametrize("host", ["127.0.0.1", "LOCALHOST:8321", "[::1]:8321", "log.example:443"])
def test_known_hosts_are_answered(log: ActivityLog, host: str) -> None:
    with Shown(log, hosts=("log.example",)) as shown:
        assert 200 == shown.client.get("/", headers={"host": host}).status_code


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/", "/records/1", "/enter"])
def test_nothing_can_be_changed(shown: Shown, method: str, path: str) -> None:
    assert 405 == shown.client.request(method, path).status_code


def test_without_the_token_there_is_nothing_to_see(log: ActivityLog) -> None:
    with Shown(log, token=TOKEN) as shown:
        for path in ("/", "/export.csv", "/live", "/health", "/records/1"):
            found = shown.get(path)
            assert 401 == found.status_code
            assert "invoice" not in found.text
        wrong = shown.client.post("/enter", data={"token": "wrong"})
        assert (401, None) == (wrong.status_code, wrong.headers.get("set-cookie"))
        assert "That is not the token" in wrong.text


def test_the_token_opens_by_form_and_by_header(log: ActivityLog) -> None:
    with Shown(log, token=TOKEN) as shown:
        header = {"authorization": f"Bearer {TOKEN}"}
        assert 200 == shown.client.get("/", headers=header).status_code
        assert 401 == shown.get().status_code

        entered = shown.client.post("/enter", data={"token": TOKEN})

        assert 303 == entered.status_code
        cookie = entered.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert TOKEN not in cookie
        assert 200 == shown.get().status_code


def test_another_site_can_not_send_the_form(log: ActivityLog) -> None:
    with Shown(log, token=TOKEN) as shown:
        header = {"origin": "http://evil.example"}
        found = shown.client.post("/enter", data={"token": TOKEN}, headers=header)
        assert 403 == found.status_code
        assert 413 == shown.client.post("/enter", data={"token": "x" * 5_000}).status_code


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--host", "0.0.0.0"], "beyond loopback"),
        (["--host", "0.0.0.0", "--token", "x"], "beyond loopback"),
        (["--url", "sqlite:///nowhere/activity.db"], "is --url right"),
        (["--url", "mysql://x"], "mysql"),
        (["--url", "sqlite://", "--tz", "Nowhere/Land"], "Nowhere/Land"),
    ],
)
def test_a_start_that_would_be_unsafe_or_in_vain_is_refused(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) in {1, 2}
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("program", [["-m", "examples.dashboard"], ["examples/dashboard"]])
def test_it_starts_as_a_module_and_as_a_folder(program: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", *program, "--url", "sqlite:///nowhere.db"],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip

    problem = "is --url right, or $STRUCTLOG_ACTIVITY_URL, or the current folder?"
    assert (1, f"there is no file nowhere.db: {problem}\n") == (done.returncode, done.stderr)
