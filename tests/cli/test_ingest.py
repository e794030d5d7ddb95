"""
The command ``ingest``.
"""

from __future__ import annotations

import os
import stat

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from structlog_activity.capture.jsonlines import MAX_LINE
from structlog_activity.cli.ingest import Tally
from tests.cli.commands import Cli, Result, counts, gzipped, jsonl, line, run


Write = Callable[[bytes], Path]

THREE = jsonl([line(1), line(2), line(3)])


def stored(cli: Cli, url: str) -> list[str]:
    """The object ids in a log, oldest first."""
    return cli.ok("--url", url, "export", "--all-tenants").objects[::-1]


def ingest(cli: Cli, url: str, source: object) -> Result:
    return cli("--url", url, "ingest", source)


def test_activity_in_a_log_is_stored_and_a_second_run_adds_nothing(
    cli: Cli, url: str, write: Write
) -> None:
    file = write(THREE)
    first, second = ingest(cli, url, file), ingest(cli, url, file)
    summary = "3 lines: {}, 0 without activity, 0 skipped\n"
    assert (0, summary.format("3 records stored, 0 already there")) == (first.code, first.out)
    assert (0, summary.format("0 records stored, 3 already there")) == (second.code, second.out)
    assert ("", "") == (first.err, second.err)
    assert ["1", "2", "3"] == stored(cli, url)


def test_a_second_run_stores_only_what_came_since(cli: Cli, url: str, write: Write) -> None:
    ingest(cli, url, write(THREE))
    result = cli.ok("--url", url, "ingest", "--json", write(THREE + jsonl([line(4)])))
    assert (1, 3) == (counts(result.out)["stored"], counts(result.out)["already_there"])
    assert ["1", "2", "3", "4"] == stored(cli, url)
    stats = cli.ok("--url", url, "stats", "--all-tenants", "--json").lines
    assert 4 == stats[0]["total"] == stats[0]["by_verb"]["settings.updated"]


def test_the_numbers_come_as_one_json_object(cli: Cli, sqlite_url: str, write: Write) -> None:
    plain = {"event": "request finished", "timestamp": "2026-03-14T12:00:00Z"}
    file = write(THREE + jsonl([plain, plain, line(1)]) + b"broken\n\n")
    result = cli("--url", sqlite_url, "ingest", "--json", file)
    expected = {"lines": 7, "no_activity": 2, "skipped": 1, "stored": 3, "already_there": 1}
    assert [expected] == result.lines
    assert "structlog-activity: skipped line 7: line: is not JSON\n" == result.err


@pytest.mark.parametrize(
    "content",
    [
        THREE,
        gzipped(THREE),
        gzipped(THREE[:100]) + gzipped(THREE[100:]),
        b"\xef\xbb\xbf" + THREE,
        gzipped(b"\xef\xbb\xbf" + THREE),
        THREE.replace(b"\n", b"\r\n"),
        THREE.replace(b"\n", b"\n\n  \n\r\n"),
        THREE.rstrip(b"\n"),
    ],
    ids=["plain", "gzip", "gzip members", "BOM", "gzip BOM", "CRLF", "blank lines", "no last LF"],
)
def test_each_form_of_a_file_gives_the_same_records_from_disk_and_from_a_pipe(
    cli: Cli, sqlite_url: str, write: Write, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    cli.ok("--url", sqlite_url, "ingest", write(THREE))
    again = cli.ok("--url", sqlite_url, "ingest", "--json", write(content))
    with write(content).open("rb", buffering=0) as raw, os.fdopen(os.dup(raw.fileno())) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        piped = cli.ok("--url", sqlite_url, "ingest", "--json", "-")
        monkeypatch.undo()
    expected = {"lines": 3, "no_activity": 0, "skipped": 0, "stored": 0, "already_there": 3}
    assert [expected] == again.lines == piped.lines


@pytest.mark.parametrize("pack", [bytes, gzipped], ids=["plain", "gzip"])
def test_standard_input_may_be_a_pipe(
    cli: Cli, sqlite_url: str, pack: Callable[[bytes], bytes]
) -> None:
    result = run("--url", sqlite_url, "ingest", "-", stdin=pack(THREE))
    assert (0, "") == (result.code, result.err)
    assert ["1", "2", "3"] == stored(cli, sqlite_url)


def test_a_named_pipe_is_read_like_a_file(cli: Cli, sqlite_url: str, tmp_path: Path) -> None:
    import threading

    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = threading.Thread(target=fifo.write_bytes, args=(gzipped(THREE),))
    writer.start()
    result = ingest(cli, sqlite_url, fifo)
    writer.join()
    assert (0, ["1", "2", "3"]) == (result.code, stored(cli, sqlite_url))


BAD = (
    (b"{", "line: is not JSON"),
    (b"[1, 2]", "line: is not a JSON object"),
    (b'"text"', "line: is not a JSON object"),
    (b'{"verb": "a.b", "object": "x", "note": "\xff\xfe"}', "line: is not UTF-8"),
    (b"[" * 100_000, "line: is not JSON"),
    (jsonl([line(1, timestamp=None)]).strip(), "occurred_at: none of timestamp"),
    (jsonl([line(1, timestamp="noon")]).strip(), "occurred_at: a datetime"),
    (jsonl([line(1, timestamp=True)]).strip(), "occurred_at: a datetime"),
    (jsonl([line(1, timestamp="1969-12-31T23:59:59Z")]).strip(), "occurred_at: lies before 1970"),
    (jsonl([line(1, timestamp="9999-12-31T23:59:59Z")]).strip(), "occurred_at: lies before 1970"),
    (jsonl([line(1, object=None)]).strip(), "object_type: is missing"),
    (jsonl([line(1, object="")]).strip(), "object_type: "),
    (jsonl([line(1, verb="")]).strip(), "verb: "),
)


@pytest.mark.parametrize(("bad", "words"), BAD, ids=range(len(BAD)))
def test_a_bad_line_is_skipped_with_its_number_and_the_others_are_stored(
    cli: Cli, sqlite_url: str, write: Write, bad: bytes, words: str
) -> None:
    first, *others = THREE.splitlines(keepends=True)
    result = ingest(cli, sqlite_url, write(first + b"\n" + bad + b"\n" + b"".join(others)))
    assert 0 == result.code
    assert result.err.startswith(f"structlog-activity: skipped line 3: {words}")
    assert 1 == result.err.count("\n")
    assert result.out.startswith("4 lines: 3 records stored,")
    assert ["1", "2", "3"] == stored(cli, sqlite_url)


@pytest.mark.parametrize(("bad", "words"), BAD, ids=range(len(BAD)))
def test_nothing_but_bad_lines_is_a_finding(
    cli: Cli, sqlite_url: str, write: Write, bad: bytes, words: str
) -> None:
    result = ingest(cli, sqlite_url, write(bad + b"\n" + bad))
    assert 1 == result.code
    assert f"skipped line 1: {words}" in result.err
    assert f"skipped line 2: {words}" in result.err
    assert result.out.startswith("2 lines: 0 records stored,")


def test_bad_lines_beside_one_that_is_there_already_are_no_failure(
    cli: Cli, sqlite_url: str, write: Write
) -> None:
    cli.ok("--url", sqlite_url, "ingest", write(THREE))
    assert 0 == ingest(cli, sqlite_url, write(b"{\n" + jsonl([line(2)]))).code


def test_of_very_many_bad_lines_the_first_are_told_and_the_others_counted(
    cli: Cli, sqlite_url: str, write: Write
) -> None:
    result = ingest(cli, sqlite_url, write(b"nope\n" * 5_000))
    *told, rest = result.err.splitlines()
    assert 1 == result.code
    assert [f"skipped line {n}:" for n in range(1, 21)] == [
        one.removeprefix("structlog-activity: ").removesuffix(" line: is not JSON") for one in told
    ]
    assert "structlog-activity: skipped 4,980 more" == rest


def test_what_a_bad_line_says_reaches_no_terminal_as_it_is(
    cli: Cli, sqlite_url: str, write: Write
) -> None:
    nasty = "\x1b[2J\x9b\u202e\r"
    lines = [
        line(1, timestamp=nasty),
        line(2, object=None, verb=nasty),
        line(3, object=None, tenant_id=nasty),
    ]
    result = ingest(cli, sqlite_url, write(jsonl(lines)))
    assert 3 == result.err.count("\n")
    assert not set(nasty) & set(result.err + result.out) - set("[2J")


def test_a_line_of_more_than_a_mebibyte_is_skipped_one_of_just_that_is_not(
    cli: Cli, sqlite_url: str, write: Write
) -> None:
    def padded(number: int, size: int) -> bytes:
        bare = jsonl([line(number, note="")]).strip()
        return bare.replace(b'"note": "', b'"note": "' + b"x" * (size - len(bare)))

    longest, too_long = padded(1, MAX_LINE), padded(2, MAX_LINE + 1)
    assert (1_048_576, 1_048_577) == (len(longest), len(too_long))
    content = b"\n".join((longest, too_long, padded(3, 3 * MAX_LINE), jsonl([line(4)])))
    result = ingest(cli, sqlite_url, write(content))
    assert ["1", "4"] == stored(cli, sqlite_url)
    expected = [f"skipped line {n}: is longer than {MAX_LINE} bytes" for n in (2, 3)]
    assert expected == [s.partition(": ")[2] for s in result.err.splitlines()]
    assert 0 == result.code


def test_a_truncated_gzip_stores_what_it_held_and_says_so(cli: Cli, url: str, write: Write) -> None:
    packed = gzipped(jsonl([line(n % 3600, commit=os.urandom(8).hex()) for n in range(3_000)]))
    result = cli("--url", url, "ingest", "--json", write(packed[: len(packed) * 2 // 3]))
    numbers = counts(result.out)
    assert 2 == result.code
    assert f"can't be read after line {numbers['lines']}: " in result.err
    assert 1_000 < numbers["stored"] == numbers["lines"] < 3_000
    assert numbers["stored"] == len(stored(cli, url))


def test_a_gzip_of_which_only_the_head_is_there_stores_nothing(
    cli: Cli, sqlite_url: str, write: Write
) -> None:
    result = ingest(cli, sqlite_url, write(gzipped(THREE)[:12]))
    assert (2, "") == (result.code, result.out)
    assert " can't be read: " in result.err


def test_a_damaged_gzip_is_a_source_that_can_not_be_read(
    cli: Cli, sqlite_url: str, write: Write
) -> None:
    packed = bytearray(gzipped(THREE))
    packed[-8:-4] = bytes(4)  # Its checksum.
    result = ingest(cli, sqlite_url, write(bytes(packed)))
    assert 2 == result.code
    assert "can't be read after line 3: CRC check failed" in result.err
    assert ["1", "2", "3"] == stored(cli, sqlite_url)


def test_a_missing_file_is_a_usage_error(cli: Cli, sqlite_url: str, tmp_path: Path) -> None:
    result = ingest(cli, sqlite_url, tmp_path / "no.log")
    assert (2, "") == (result.code, result.out)
    assert f"{tmp_path / 'no.log'} can't be read: No such file or directory\n" in result.err
    assert not (tmp_path / "activity.db").exists()


def test_a_directory_is_a_usage_error(cli: Cli, sqlite_url: str, tmp_path: Path) -> None:
    result = ingest(cli, sqlite_url, tmp_path)
    assert (2, "") == (result.code, result.out)
    assert f"{tmp_path} can't be read: Is a directory\n" in result.err


def test_a_file_that_may_not_be_read_is_a_usage_error(
    cli: Cli, sqlite_url: str, write: Write
) -> None:
    """For root there is no such file, save those of the kernel that nobody can read."""
    file = write(THREE)
    file.chmod(0)
    source = Path("/proc/self/mem") if os.access(file, os.R_OK) else file
    result = ingest(cli, sqlite_url, source)
    file.chmod(stat.S_IRUSR)
    assert (2, "") == (result.code, result.out)
    assert f"{source} can't be read: " in result.err


@pytest.mark.parametrize("content", [b"", b"\n \r\n\n", gzipped(b"")])
def test_nothing_to_read_is_no_failure(
    cli: Cli, sqlite_url: str, write: Write, content: bytes
) -> None:
    result = ingest(cli, sqlite_url, write(content))
    assert (0, "") == (result.code, result.err)
    assert result.out.startswith("0 lines: 0 records stored,")


def test_the_activity_id_of_a_line_is_the_id_of_its_record(
    cli: Cli, url: str, write: Write
) -> None:
    own = "01a2b3c4-d5e6-7f00-8123-456789abcdef"
    file = write(jsonl([line(1, activity_id=own), line(2, activity_id=own.upper(), x=1)]))
    cli.ok("--url", url, "ingest", file)
    records = cli.ok("--url", url, "export", "--all-tenants").lines
    assert [own, own] == [record["id"] for record in records]
    assert all("activity_id" not in record["data"] for record in records)


def test_a_line_with_the_same_activity_id_and_time_is_there_already(
    cli: Cli, url: str, write: Write
) -> None:
    own = "01a2b3c4-d5e6-7f00-8123-456789abcdef"
    cli.ok("--url", url, "ingest", write(jsonl([line(1, activity_id=own)])))
    again = write(jsonl([line(1, activity_id=own, event="the same, rewritten by a log shipper")]))
    assert 1 == counts(cli.ok("--url", url, "ingest", "--json", again).out)["already_there"]


def test_a_derived_id_is_the_same_in_every_database(
    cli: Cli, sqlite_url: str, postgres_url: str, write: Write
) -> None:
    file = write(THREE)
    cli.ok("--url", postgres_url, "migrate")
    exports = []
    for url in (sqlite_url, postgres_url):
        cli.ok("--url", url, "ingest", file)
        exports.append(cli.ok("--url", url, "export", "--all-tenants").lines)
    assert exports[0] == exports[1]
    assert 3 == len({record["id"] for record in exports[0]})
    assert {"7"} == {record["id"][14] for record in exports[0]}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"timestamp": "2026-03-14T12:00:00.123456Z"}, "2026-03-14T12:00:00.123456Z"),
        ({"timestamp": "2026-03-14 12:00:00"}, "2026-03-14T12:00:00.000000Z"),
        ({"timestamp": "2026-03-14T13:00:00+01:00"}, "2026-03-14T12:00:00.000000Z"),
        ({"timestamp": 1773489600.5}, "2026-03-14T12:00:00.500000Z"),
        ({"timestamp": 1773489600}, "2026-03-14T12:00:00.000000Z"),
        ({"timestamp": None, "time": "2026-03-14T12:00:00Z"}, "2026-03-14T12:00:00.000000Z"),
        ({"timestamp": None, "ts": 1773489600}, "2026-03-14T12:00:00.000000Z"),
        ({"timestamp": None, "@timestamp": "2026-03-14T12:00Z"}, "2026-03-14T12:00:00.000000Z"),
        (
            {"timestamp": "2026-03-14T15:00:00Z", "occurred_at": "2026-03-14T12:00:00Z"},
            "2026-03-14T12:00:00.000000Z",
        ),
    ],
    ids=str,
)
def test_the_time_of_a_record_is_that_of_its_line(
    cli: Cli, sqlite_url: str, write: Write, given: dict[str, Any], expected: str
) -> None:
    cli.ok("--url", sqlite_url, "ingest", write(jsonl([line(1, **given)])))
    records = cli.ok("--url", sqlite_url, "export", "--all-tenants").lines
    assert [expected] == [record["occurred_at"] for record in records]


def test_a_time_some_hours_ahead_is_taken_one_of_two_days_ahead_is_not(
    cli: Cli, sqlite_url: str, write: Write
) -> None:
    now = datetime.now(UTC)
    ahead = [timedelta(hours=20), timedelta(days=2)]
    lines = [line(n, timestamp=(now + delta).isoformat()) for n, delta in enumerate(ahead, 1)]
    result = ingest(cli, sqlite_url, write(jsonl(lines)))
    assert ["1"] == stored(cli, sqlite_url)
    assert "skipped line 2: occurred_at: lies before 1970 or after tomorrow" in result.err


def test_secrets_in_old_logs_are_redacted(cli: Cli, url: str, write: Write) -> None:
    cli.ok("--url", url, "ingest", write(jsonl([line(1, password="hunter2", note="kept")])))
    out = cli.ok("--url", url, "export", "--all-tenants").out
    assert "hunter2" not in out
    assert "kept" in out


def test_sqlite_makes_its_tables_and_postgresql_says_what_to_run(
    cli: Cli, sqlite_url: str, postgres_url: str, write: Write
) -> None:
    file = write(THREE)
    missing = ingest(cli, postgres_url, file)
    assert 0 == ingest(cli, sqlite_url, file).code
    assert (4, "") == (missing.code, missing.out)
    assert "run structlog-activity migrate" in missing.err


def test_a_database_that_can_not_be_reached_is_told_apart(cli: Cli, write: Write) -> None:
    result = ingest(cli, "postgresql://app@127.0.0.1:1/app", write(THREE))
    assert (3, "") == (result.code, result.out)
    assert "can't reach postgresql://app@127.0.0.1:1/app: the connection is refused" in result.err


def test_history_of_many_years_gets_its_months_on_postgresql(
    cli: Cli, postgres_url: str, write: Write
) -> None:
    years = range(1971, 2026, 6)
    lines = [line(year, timestamp=f"{year}-02-03T00:00:00Z") for year in years]
    cli.ok("--url", postgres_url, "migrate")
    cli.ok("--url", postgres_url, "ingest", write(jsonl(lines)))
    assert [str(year) for year in years] == stored(cli, postgres_url)


def test_records_that_the_database_refused_are_skipped_lines_with_their_reason() -> None:
    """More may be refused than are remembered."""
    tally = Tally(lines=10)
    tally.settle({"written": 4, "duplicates": 1, "dead": 5}, ["too large", "too odd"])
    expected = {"lines": 10, "no_activity": 0, "skipped": 5, "stored": 4, "already_there": 1}
    assert expected == tally.to_dict()
    assert ["a record: too large", "a record: too odd"] == tally.problems


def test_what_was_exported_comes_back_as_the_same_records(
    cli: Cli, sqlite_url: str, tmp_path: Path, write: Write
) -> None:
    lines = jsonl([line(n) for n in range(30)])
    cli.ok("--url", sqlite_url, "ingest", write(lines))
    exported = cli.ok("--url", sqlite_url, "export", "--all-tenants").out

    again = cli.ok("--url", sqlite_url, "ingest", "--json", write(exported.encode()))
    elsewhere = f"sqlite:///{tmp_path / 'copy.db'}"
    copied = cli.ok("--url", elsewhere, "ingest", "--json", write(exported.encode()))

    assert (0, 30) == (counts(again.out)["stored"], counts(again.out)["already_there"])
    assert 30 == counts(copied.out)["stored"]
    assert exported == cli.ok("--url", elsewhere, "export", "--all-tenants").out
