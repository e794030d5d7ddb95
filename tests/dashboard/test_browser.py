"""The dashboard in a browser: it works, says nothing bad to the console, and obeys its policy."""

from __future__ import annotations

import shutil

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from examples.dashboard.app import make_app
from structlog_activity import ActivityLog
from tests.dashboard.shown import KEY, OPTIONS, served


CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
LIMIT = 60_000.0  # milliseconds
QUIETLY = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage"
).split()
WATCH = """
addEventListener("securitypolicyviolation", (event) =>
  console.error("policy: " + event.violatedDirective + " " + event.blockedURI));
"""

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser for all tests of this module."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=QUIETLY)
        yield found
        found.close()


@dataclass
class Looking:
    """
    Pages in a browser, and all that they complained of.
    """

    browser: Any
    base: str
    complaints: list[str] = field(default_factory=list)
    contexts: list[Any] = field(default_factory=list)

    def open(self, path: str = "/", *, fails: bool = False, **options: Any) -> Any:
        """
        Open a page of its own.

        Args:

            path: Which.

            fails: Its status is one of failure, of which the console speaks.

            options: Of the browser's context.
        """
        context = self.browser.new_context(**options)
        self.contexts.append(context)
        context.set_default_timeout(LIMIT)
        context.add_init_script(WATCH)
        page = context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: self._said(said, fails=fails))
        page.on("request", lambda request: self._asked(request.url))
        page.goto(self.base + path)
        return page

    def _said(self, said: Any, *, fails: bool) -> None:
        if said.type in {"error", "warning"} and not (fails and "Failed to load" in said.text):
            self.complaints.append(said.text)

    def _asked(self, url: str) -> None:
        if not url.startswith(self.base):
            self.complaints.append(f"asked for {url}")

    def close(self) -> None:
        for context in self.contexts:
            context.close()
        assert [] == self.complaints


@pytest.fixture
def looking(browser: Any) -> Iterator[Callable[..., Looking]]:
    """Makes what looks at a log."""
    from contextlib import ExitStack

    with ExitStack() as ends:

        def look(log: ActivityLog, **options: Any) -> Looking:
            base = ends.enter_context(served(make_app(log, replace(OPTIONS, **options))))
            found = Looking(browser, base)
            ends.callback(found.close)
            return found

        yield look


Look = Callable[..., Looking]


def is_as_wide_as_the_window(page: Any) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def record_path(log: ActivityLog, **where: Any) -> str:
    return f"/records/{log.feed(tenant_id='acme', **where).records[0].id}"


STATES = {
    "first": ("/", "Events"),
    "second": ("", "Newest"),
    "searched": ("/?q=verb:settings.*+-channel:none", "Conditions"),
    "one hour": ("/?range=1h", "by minute"),
    "custom": ("/?since=2026-03-14&until=2026-03-15", "remove"),
    "nothing found": ("/?q=nothing", "Clear the search"),
    "nothing there": ("/?since=2020-01-01&until=2020-01-02", "Nothing was recorded"),
    "record": ("record", "Verified"),
    "bad search": ("/?q=colour:red", "there is no key"),
    "bad cursor": ("/?after=nonsense", "Begin at the newest records"),
    "no such record": ("/records/019cec37-b9e8-72c3-a10b-4c53fa1bd4b4", "There is nothing here"),
    "too much": ("too much", "Choose a shorter period"),
    "token": ("token", "Token needed"),
}


@pytest.mark.parametrize("state", STATES)
def test_every_page_fits_any_window_with_and_without_scripts_by_day_and_by_night(
    state: str, log: ActivityLog, looking: Look
) -> None:
    path, says = STATES[state]
    look = looking(
        log,
        token="x" if state == "token" else "",
        most_rows=1 if state == "too much" else 1_000_000,
    )
    if state == "second":
        page = look.open()
        path = page.locator("a.older").get_attribute("href")
    elif path.startswith("record"):
        path = record_path(log) + path.removeprefix("record")
    path = {"token": "/", "too much": "/?q=word"}.get(path, path)
    for width, scheme, scripts in ((320, "dark", True), (1280, "light", False)):
        page = look.open(
            path,
            fails=True,
            viewport={"width": width, "height": 700},
            color_scheme=scheme,
            java_script_enabled=scripts,
        )
        assert says in page.content()
        assert 1 == page.locator("h1").count()
        assert 1 == page.locator("main").count()
        if scripts:
            assert is_as_wide_as_the_window(page)
            assert [] == page.evaluate(NAMELESS)


# Controls that a screen reader could only call "link" or "button".
NAMELESS = """() =>
  [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select")]
  .filter((found) => !(found.getAttribute("aria-label") || found.textContent.trim() ||
    found.labels?.length || found.hidden))
  .map((found) => found.outerHTML)"""


@pytest.mark.parametrize("trouble", ["no tables", "away"])
def test_a_database_that_can_not_be_read_has_a_page(
    trouble: str, tmp_path: Path, looking: Look
) -> None:
    url = {"no tables": f"sqlite:///{tmp_path}/new.db", "away": "postgresql://x@127.0.0.1:1/x"}
    with ActivityLog(url[trouble], migrate=False, key=KEY) as log:
        page = looking(log).open(fails=True, viewport={"width": 320, "height": 600})

        assert "structlog-activity" in page.inner_text("main")
        assert is_as_wide_as_the_window(page)


def test_without_scripts_one_can_search_page_and_look_at_a_record(
    log: ActivityLog, looking: Look
) -> None:
    page = looking(log).open(java_script_enabled=False)

    page.click("a.older")
    assert 20 == page.locator(".row").count()
    page.click("text=Newest")
    page.fill("#q", "verb:settings.*")
    page.press("#q", "Enter")
    assert "24" in page.inner_text("#feed-title")
    page.click(".choice >> nth=0")
    page.click(".open >> nth=0")
    assert "What changed" in page.inner_text("main")
    assert "Verified" in page.inner_text(".seal")
    page.click("text=All activity")
    page.click(".bucket >> nth=-1")
    assert "since=" in page.url
    page.click("summary:has-text('Custom')")
    page.fill(".custom input[name=since]", "2026-03-14T00:00:00")
    page.fill(".custom input[name=until]", "2026-03-15T00:00:00")
    page.click(".custom button")
    assert "24" in page.inner_text("#feed-title")


def test_a_drag_over_the_bars_looks_closer(log: ActivityLog, looking: Look) -> None:
    page = looking(log).open("/?range=30d")
    box = page.locator(".chart").bounding_box()
    before = page.inner_text("#feed-title")

    page.mouse.move(box["x"] + box["width"] * 0.93, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.96, box["y"] + 60)
    assert 1 == page.locator(".selection").count()
    page.mouse.move(box["x"] + box["width"] * 0.97, box["y"] + 60)
    page.mouse.up()
    page.wait_for_url("**since=**")

    assert before != page.inner_text("#feed-title")
    assert "until=" in page.url


def test_a_click_on_a_bar_shows_its_time(log: ActivityLog, looking: Look) -> None:
    page = looking(log).open("/?range=24h")
    count = page.locator("a.bucket").nth(3).get_attribute("aria-label").split(": ")[1].split()[0]

    page.locator("a.bucket").nth(3).click()
    page.wait_for_url("**since=**")

    assert count == page.inner_text("#feed-title span")


def test_a_record_opens_in_a_drawer_and_focus_comes_back(log: ActivityLog, looking: Look) -> None:
    page = looking(log).open()

    page.locator(".feed .open").nth(3).click()
    page.wait_for_selector(".drawer[open] h1")
    page.wait_for_selector(".drawer .seal.intact")
    page.keyboard.press("Escape")

    assert not page.locator(".drawer[open]").count()
    assert page.evaluate("document.activeElement.matches('.open')")


def test_older_records_are_added_below_until_all_are_there(log: ActivityLog, looking: Look) -> None:
    page = looking(log).open()

    page.click("a.older")
    page.wait_for_selector(".feed .row >> nth=69")

    assert not page.locator("a.older").count()
    days = page.locator(".day h3").all_inner_texts()
    assert len(days) == len(set(days))


def test_what_comes_is_told_and_not_pushed_in(own: ActivityLog, looking: Look) -> None:
    page = looking(own).open()
    page.wait_for_selector("main[data-following]")

    for number in range(3):
        own.record("door.opened", f"door:{number}", tenant_id="acme")
    own.record("door.opened", "door:9", tenant_id="other")
    own.flush(30)
    page.wait_for_selector(".pill:not([hidden]):text-is('3 new')")

    assert 50 == page.locator(".feed .row").count()
    page.click("[data-live-toggle]")
    assert "false" == page.get_attribute("[data-live-toggle]", "aria-pressed")
    page.click(".pill")
    page.wait_for_selector(".feed .row >> text=door >> nth=0")


def test_the_keyboard_is_enough(log: ActivityLog, looking: Look) -> None:
    page = looking(log).open()
    press = page.keyboard.press

    press("Tab")
    assert "Skip to content" == page.evaluate("document.activeElement.textContent")
    press("Enter")
    assert "main" == page.evaluate("document.activeElement.id")
    press("/")
    page.keyboard.type("verb:settings.*")
    press("Enter")
    page.wait_for_url("**q=verb**")
    press("j")
    press("j")
    press("k")
    press("Enter")
    page.wait_for_selector(".drawer[open] h1:focus")
    press("Escape")
    assert page.evaluate("document.activeElement.matches('.feed .open')")
    page.locator("a.bucket[tabindex='0']").focus()
    press("ArrowLeft")
    label = page.evaluate("document.activeElement.getAttribute('aria-label')")
    press("Enter")
    page.wait_for_url("**since=**")
    assert label.split(": ")[1].split()[0] == page.inner_text("#feed-title span")


def test_a_token_is_asked_for_once(log: ActivityLog, looking: Look) -> None:
    page = looking(log, token="let me in").open(fails=True)

    page.fill("#token", "wrong")
    page.press("#token", "Enter")
    page.wait_for_selector("[role=alert]")
    page.fill("#token", "let me in")
    page.press("#token", "Enter")
    page.wait_for_selector(".feed .row >> nth=0")
    page.reload()

    assert page.locator(".feed .row").count()


def test_a_tenant_is_chosen_from_those_that_there_are(log: ActivityLog, looking: Look) -> None:
    page = looking(log).open()

    page.select_option("#tenant", "other")
    page.wait_for_url("**tenant=other**")

    assert "secret" in page.inner_text(".feed")


@pytest.mark.parametrize("scripts", [True, False])
def test_text_that_anybody_wrote_does_nothing(
    scripts: bool, hostile_log: ActivityLog, looking: Look
) -> None:
    look = looking(hostile_log)
    page = look.open(java_script_enabled=scripts, viewport={"width": 320, "height": 800})
    rows = page.locator(".feed .open")

    assert 12 == rows.count()
    if not scripts:
        for record in hostile_log.feed(tenant_id="acme").records:
            page.goto(f"{look.base}/records/{record.id}?check=1")
            assert page.title().startswith("odd.")
        return
    assert is_as_wide_as_the_window(page)
    for index in range(rows.count()):
        rows.nth(index).click()
        page.wait_for_selector(".drawer[open] h1:focus")
        assert is_as_wide_as_the_window(page)
        page.keyboard.press("Escape")
    assert "taken" not in page.title()
    assert not page.locator("img[src=x]").count()
