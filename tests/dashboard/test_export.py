"""Files of what is filtered."""

from __future__ import annotations

import csv
import io
import json

import pytest

from examples.dashboard.export import COLUMNS, cell
from structlog_activity import ActivityLog
from tests.dashboard.shown import HOSTILE, Shown


def test_a_file_has_all_that_is_filtered(shown: Shown) -> None:
    found = shown.get("/export.jsonl", q="verb:settings.*")
    records = [json.loads(line) for line in found.text.splitlines()]

    assert shown.log.feed(tenant_id="acme", verbs="settings.*").total == len(records)
    assert {"settings.updated"} == {record["verb"] for record in records}
    assert "attachment" in found.headers["content-disposition"]
    assert "application/x-ndjson" in found.headers["content-type"]


def test_a_table_has_a_row_for_each_record_of_all_pages(shown: Shown) -> None:
    found = shown.get("/export.csv", range="30d")
    rows = list(csv.DictReader(io.StringIO(found.text)))

    assert 71 == len(rows)
    assert list(COLUMNS) == list(rows[0])
    assert "request-0" == json.loads(rows[0]["data"])["request_id"]


def test_an_empty_file_has_its_head(empty: ActivityLog) -> None:
    with Shown(empty) as shown:
        assert 1 == len(shown.get("/export.csv").text.splitlines())
        assert "" == shown.get("/export.jsonl").text


def test_no_cell_is_a_formula_or_moves_a_terminal(hostile_log: ActivityLog) -> None:
    with Shown(hostile_log) as shown:
        rows = list(csv.reader(io.StringIO(shown.get("/export.csv").text)))

    assert len(HOSTILE) + 1 == len(rows)
    for value in (value for row in rows for value in row):
        assert not value.lstrip().startswith(tuple("=+-@＝＋－＠"))  # noqa: RUF001
        assert not {letter for letter in value if letter < " "} - {"\n", "\t"}


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plain", "plain"),
        ("=1", "'=1"),
        ("  =1", "'  =1"),
        ("\ufeff=1", "'\ufeff=1"),
        ("\t1", "'\t1"),
        ("\r1", "'\n1"),
        ("a\r\nb", "a\nb"),
        ("a\x1bb", r"a\x1bb"),
        ("a-b", "a-b"),
    ],
)
def test_a_cell_is_changed_only_where_it_must(text: str, safe: str) -> None:
    assert safe == cell(text)


def test_a_file_that_would_be_too_long_is_refused_rather_than_cut(log: ActivityLog) -> None:
    with Shown(log, most_exported=50) as shown:
        found = shown.get("/export.csv")

        assert 400 == found.status_code
        assert "50 records at most" in found.text
        assert 200 == shown.get("/export.csv", q="verb:settings.*").status_code
