"""The pages of the dashboard, as an HTTP client sees them."""

from __future__ import annotations

import html
import json
import re

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from sqlalchemy import text

from structlog_activity import ActivityLog
from tests.dashboard.shown import HOSTILE, KEY, NOW, Shown, fill
from tests.support.stores import empty


def links(page: str, class_: str) -> list[str]:
    found = re.findall(rf'<a class="[^"]*\b{class_}\b[^"]*"[^>]*?href="([^"]*)"', page)
    return [html.unescape(link) for link in found]


def ids(page: str) -> list[str]:
    return re.findall(r'<article class="row[^"]*" data-id="([^"]+)"', page)


def plain(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def test_the_first_page_shows_numbers_timeline_facets_and_feed(shown: Shown) -> None:
    page = shown.page()
    said = plain(page)

    assert "Events 70" in said
    assert "Actors 4" in said
    assert "Failed 7" in said
    assert "invoice.paid" in said
    assert "Person 1 paid invoice 1" in said
    assert "+6,900 %" in said  # One record in the seven days before.
    assert 50 == len(ids(page))
    assert 'class="chart"' in page


def test_every_record_is_on_one_of_the_pages(shown: Shown) -> None:
    found, page = [], shown.page(range="30d")
    found += ids(page)
    while older := links(page, "older"):
        page = shown.page(older[0])
        found += ids(page)

    assert 71 == len(found) == len(set(found))
    assert links(page, "newer")
    assert 50 == len(ids(shown.page(links(page, "newer")[0])))


def test_pages_fit_each_other_though_time_goes_on(log: ActivityLog) -> None:
    moments = iter(NOW + timedelta(minutes=n) for n in range(10))
    with Shown(log, clock=lambda: next(moments)) as shown:
        page = shown.page(range="7d")

        assert 20 == len(ids(shown.page(links(page, "older")[0])))


def test_a_tenant_that_the_server_does_not_name_is_not_shown(log: ActivityLog) -> None:
    with Shown(log, tenants=("acme",)) as shown:
        assert "secret.seen" not in shown.page(range="all")
        assert 400 == shown.get(tenant="other").status_code
        [theirs] = log.feed(tenant_id="other").records
        assert 404 == shown.get(f"/records/{theirs.id}").status_code
        assert 404 == shown.get(f"/records/{theirs.id}/json").status_code
        assert "secret.seen" not in shown.get("/export.jsonl", range="all").text


def test_several_tenants_can_be_chosen_from(shown: Shown) -> None:
    assert "secret.seen" not in shown.page()
    assert "secret.seen" in shown.page(tenant="other")


def test_all_tenants_are_shown_where_the_server_says_so(log: ActivityLog) -> None:
    with Shown(log, tenants=("*",)) as shown:
        page = shown.page()

    assert "All tenants" in page
    assert "secret.seen" in page
    assert "invoice.paid" in page


@pytest.mark.parametrize(
    ("search", "count"),
    [
        ("verb:settings.*", 24),
        ("actor:user-1", 18),
        ("-channel:settings", 46),
        ("outcome:failed", 7),
        ("object:settings:theme", 24),
        ("request:request-3", 2),
        ("since:2h", 3),
        ("INVOICE", 46),
        ("verb:invoice.paid actor:user-2 outcome:failed", 2),
    ],
)
def test_a_search_narrows_numbers_and_feed(shown: Shown, search: str, count: int) -> None:
    page = shown.page(q=search)

    assert f"Events {count}" in plain(page)
    assert min(count, 50) == len(ids(page))


def test_a_facet_leads_to_what_it_counts(shown: Shown) -> None:
    for link in links(shown.page(), "choice"):
        page = shown.page(link)
        assert 'aria-current="true"' in page
        assert 0 < len(ids(page)) <= 50
    without = links(shown.page(), "without")

    assert ["-channel:billing", "-channel:settings"] == [
        parse_qs(urlsplit(link).query)["q"][0] for link in without
    ]


@pytest.mark.parametrize(
    ("range_", "bucket"), [("1h", "minute"), ("24h", "hour"), ("30d", "day"), ("all", "day")]
)
def test_the_bars_of_the_timeline_add_up(shown: Shown, range_: str, bucket: str) -> None:
    page = shown.page(range=range_)
    counts = [int(n) for n in re.findall(r'aria-label="[^"]*: (\d+) events?" data-since', page)]
    [total] = re.findall(r"Events <span>(\d+)", page)

    assert f"by {bucket}" in page
    assert int(total) == sum(counts)


@pytest.mark.parametrize(("count", "told"), [(2, ["2", "1"]), (3, ["3"])])
def test_the_lines_of_the_timeline_are_where_they_say(
    count: int, told: list[str], empty: ActivityLog
) -> None:
    for _ in range(count):
        empty.record("door.opened", "door:1", tenant_id="acme", occurred_at=NOW)
    empty.flush(30)
    with Shown(empty) as shown:
        page = shown.page()

    assert told == re.findall(r'class="tick over">([^<]*)<', page)


def test_a_period_of_thousands_of_years_has_few_bars(shown: Shown) -> None:
    for params in ({"since": "0001-01-01"}, {"since": "1000-01-01", "until": "9999-12-31"}):
        page = shown.page(**params)
        assert "Events 71" in plain(page)
        assert page.count('class="bucket') < 20


@pytest.mark.parametrize("range_", ["1h", "24h", "30d", "all"])
def test_what_a_clock_ahead_recorded_has_its_bar(range_: str, own: ActivityLog) -> None:
    ahead = NOW + timedelta(minutes=50)
    own.record("door.opened", "door:1", tenant_id="acme", occurred_at=ahead)
    own.flush(30)
    with Shown(own) as shown:
        page = shown.page(range=range_)
    counts = [int(n) for n in re.findall(r'aria-label="[^"]*: (\d+) events?" data-since', page)]
    [total] = re.findall(r"Events <span>(\d+)", page)

    assert int(total) == sum(counts)


def test_a_bar_leads_to_its_own_time(shown: Shown) -> None:
    page = shown.page(range="24h")
    bars = re.findall(r'<a class="bucket[^"]*" href="([^"]*)" aria-label="[^"]*: (\d+) ev', page)

    assert bars
    for link, count in bars[:3]:
        assert f"Events {count} " in plain(shown.page(html.unescape(link)))


def test_a_record_shows_all_that_belongs_to_it(shown: Shown) -> None:
    record = shown.log.feed(tenant_id="acme", verbs="settings.updated").records[0]
    page = plain(shown.page(f"/records/{record.id}"))

    assert "ui.theme light dark" in page
    assert "In the same request" in page
    assert "By Person 0" in page
    assert "To settings:theme" in page
    assert "Verified As it was written" in page
    assert "records sealed as batch" in page
    assert record.to_dict() == shown.get(f"/records/{record.id}/json").json()


def test_a_record_tells_whether_it_is_as_it_was_sealed(own: ActivityLog) -> None:
    with Shown(own) as shown:
        _check_seals(shown)


def _check_seals(shown: Shown) -> None:
    record = shown.log.feed(tenant_id="acme").records[0]

    assert "Verified" in shown.page(f"/records/{record.id}")
    with shown.log.engine.begin() as connection:
        connection.execute(
            text("UPDATE user_activity SET ip = '10.0.0.1' WHERE verb = 'invoice.paid'")
        )
    broken = shown.page(f"/records/{record.id}")
    assert "Changed" in broken
    assert "a row of the batch was changed" in broken
    with shown.log.engine.begin() as connection:
        connection.execute(text("DELETE FROM user_activity_batch"))
    assert "Not sealed" in shown.page(f"/records/{record.id}")


def test_a_seal_that_can_not_be_checked_is_not_called_verified(own: ActivityLog) -> None:
    path = f"/records/{own.feed(tenant_id='acme').records[0].id}"
    with (
        ActivityLog(str(own.engine.url), key=b"another", migrate=False) as stranger,
        Shown(stranger) as shown,
    ):
        assert "Sealed As it was sealed; the signature was not checked" in plain(shown.page(path))
    with Shown(own) as shown:
        with own.engine.begin() as connection:
            connection.execute(text("ALTER TABLE user_activity_batch RENAME TO put_away"))
        assert "Unknown The ledger can't be read" in plain(shown.page(path))


def test_a_record_that_nobody_signed_is_not_called_verified(empty: ActivityLog) -> None:
    with ActivityLog(str(empty.engine.url)) as unsigned, Shown(unsigned) as shown:
        record = unsigned.record("door.opened", "door:1", tenant_id="acme", occurred_at=NOW)
        assert unsigned.flush(30)

        page = plain(shown.page(f"/records/{record.id}"))

    assert "Sealed As it was sealed; nobody signed the seal" in page
    assert "One of 1 record sealed as batch" in page


def test_what_repeats_is_folded(empty: ActivityLog) -> None:
    for number in range(5):
        empty.record(
            "door.opened", "door:1", tenant_id="acme", actor_id="a",
            occurred_at=NOW - timedelta(minutes=number),
        )  # fmt: skip
    empty.flush(30)
    with Shown(empty) as shown:
        page = shown.page()

    assert "\N{MULTIPLICATION SIGN} 5" in page
    assert "Show the other 4" in page
    assert 5 == len(ids(page))


def test_an_empty_log_says_how_to_begin(empty: ActivityLog) -> None:
    with Shown(empty) as shown:
        assert "Nothing was recorded in this period" in shown.page()
        assert "Nothing was recorded yet" in shown.page(range="all")
        assert "Clear the search" in shown.page(q="nothing")


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"q": "colour:red"}, "there is no key"),
        ({"q": "verb:a*b"}, "a * may only stand at the end"),
        ({"q": "x" * 501}, "at most 500 characters"),
        ({"range": "3y"}, "use one of 15m"),
        ({"since": "soon"}, "can't be read as ISO 8601"),
        ({"since": "2026-03-02", "until": "2026-03-01"}, "is not after the beginning"),
        ({"after": "x", "before": "y"}, "give after or before"),
        ({"after": "nonsense"}, "Begin at the newest records"),
        ({"at": "never"}, "can't be read as ISO 8601"),
        ({"q": "a\x00b"}, "NUL"),
    ],
)
def test_what_can_not_be_understood_is_told_on_a_page(
    shown: Shown, params: dict[str, str], says: str
) -> None:
    found = shown.get(**params)

    assert 400 == found.status_code
    assert says in plain(found.text)
    assert not ids(found.text)
    if "q" in params:  # So that it can be changed.
        assert f'name="q" type="search" value="{html.escape(params["q"])}"' in found.text


def test_a_cursor_of_another_search_is_refused(shown: Shown) -> None:
    [older] = links(shown.page(), "older")

    assert 400 == shown.get(f"{older}&q=verb:settings.*").status_code
    assert 400 == shown.get(f"{older}&tenant=other").status_code


def test_records_that_are_not_there_have_a_page_that_says_so(shown: Shown) -> None:
    assert 404 == shown.get("/records/019cec37-b9e8-72c3-a10b-4c53fa1bd4b4").status_code
    assert 404 == shown.get("/no/such/page").status_code
    assert 404 == shown.get("/export.xls").status_code


def test_a_search_that_reads_too_much_is_refused_and_numbers_are_left_out(log: ActivityLog) -> None:
    with Shown(log, most_rows=10) as shown:
        page = plain(shown.page())
        refused = shown.get(q="word")

        assert "Events 70" in page
        assert "more than 10 records: choose a shorter period" in page
        assert 422 == refused.status_code
        assert "there are 70; this dashboard reads 10 at most" in plain(refused.text)
        assert 200 == shown.get(q="actor:user-1").status_code
        assert 422 == shown.get("/export.csv", q="word").status_code


def test_missing_tables_are_told_with_the_command_that_makes_them(tmp_path: Path) -> None:
    with (
        ActivityLog(f"sqlite:///{tmp_path / 'new.db'}", migrate=False, key=KEY) as log,
        Shown(log) as shown,
    ):
        found = shown.get()

    assert 503 == found.status_code
    assert "structlog-activity migrate" in plain(found.text)


def test_a_database_that_is_away_is_told(tmp_path: Path) -> None:
    url = "postgresql://nobody:hidden@127.0.0.1:1/none"
    with ActivityLog(url, key=KEY) as log, Shown(log) as shown:
        found = shown.get()

    assert 503 == found.status_code
    assert "The database can" in plain(found.text)
    assert "hidden" not in found.text


def test_health_says_whether_records_arrive_and_whether_any_were_lost(own: ActivityLog) -> None:
    with Shown(own) as shown:
        assert "good" == shown.get("/health").json()["state"]

        at = NOW - timedelta(hours=1)
        own.record("activity.records_lost", "activity.writer", occurred_at=at, count=3)
        own.flush(30)
        found = shown.get("/health")

    assert (503, "bad") == (found.status_code, found.json()["state"])


@pytest.fixture
def hostile(hostile_log: ActivityLog) -> Iterator[Shown]:
    with Shown(hostile_log) as shown:
        yield shown


def test_text_that_anybody_wrote_stays_text(hostile: Shown) -> None:
    records = hostile.log.feed(tenant_id="acme").records
    pages = [hostile.page(), *(hostile.page(f"/records/{one.id}", check="1") for one in records)]

    for page in pages:
        assert 1 == len(re.findall("<script", page))
        assert "<img src=x" not in page
        assert not re.findall("[\u202a-\u202e\u2066-\u2069\x00-\x08\x0b-\x1f\u2028]", page)
    assert "{{ 7 * 7 }}" in html.unescape(pages[0])


def test_every_hostile_facet_and_search_leads_somewhere(hostile: Shown) -> None:
    for link in [*links(hostile.page(), "choice"), *links(hostile.page(), "without")]:
        assert 200 == hostile.get(link).status_code, link
    for word in HOSTILE:
        said = hostile.get(q=json.dumps(word))
        assert 1 == len(re.findall("<script", said.text))


@pytest.fixture
def reader_url(migrated_url: str) -> Iterator[str]:
    """A database with a few days of activity, by a role that may look at tables."""
    with ActivityLog(migrated_url, key=KEY, linger=0.001) as log:
        empty(log.engine)
        with log.engine.begin() as connection:
            connection.execute(text("CREATE ROLE looks_only"))
            connection.execute(text("GRANT SELECT ON ALL TABLES IN SCHEMA public TO looks_only"))
        fill(log)
        yield f"{migrated_url}{'&' if '?' in migrated_url else '?'}options=-crole%3Dlooks_only"
        with log.engine.begin() as connection:
            connection.execute(text("DROP OWNED BY looks_only"))
            connection.execute(text("DROP ROLE looks_only"))


def test_the_same_pages_come_from_postgresql_by_a_role_that_may_only_look(reader_url: str) -> None:
    with ActivityLog(reader_url, key=KEY) as log, Shown(log) as shown:
        page = shown.page()
        record = log.feed(tenant_id="acme").records[0]

        assert "Events 70" in plain(page)
        assert re.findall('data-live="/live[^"]+"', page)
        assert "Verified" in shown.page(f"/records/{record.id}", check="1")
        assert 20 == len(ids(shown.page(links(page, "older")[0])))
        assert 71 == len(shown.get("/export.jsonl", range="all").text.splitlines())
        assert "good" == shown.get("/health").json()["state"]
