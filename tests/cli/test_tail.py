"""The commands `tail` and `export --since-last`."""

from __future__ import annotations

import json
import signal
import subprocess

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from structlog_activity import ActivityLog
from structlog_activity.cli import since_last
from tests.cli.commands import COMMAND, LIMIT, Cli, environment, jsonl, line, run
from tests.write.doubles import eventually


Write = Callable[[bytes], Path]


@pytest.fixture
def activity(url: str) -> Iterator[ActivityLog]:
    """The log of each database, to write to."""
    with ActivityLog(url, linger=0.0) as log:
        yield log


def record(activity: ActivityLog, *names: str, tenant: str = "acme") -> None:
    for name in names:
        activity.record("file.saved", ("file", name), tenant_id=tenant, channel="files")
    assert activity.flush(LIMIT)


# -- tail -----------------------------------------------------------------------


def test_the_last_records_are_shown_a_line_each_oldest_first(filled: str, cli: Cli) -> None:
    shown = cli.ok("--url", filled, "tail", "--tenant", "acme", "-n", "3")
    assert "" == shown.err
    first, *_ = lines = shown.out.splitlines()
    assert ["settings:447", "settings:448", "settings:449"] == [text.split()[3] for text in lines]
    assert first.startswith("2026-03-14 12:07:27  ")


@pytest.mark.parametrize(("given", "shown"), [([], 10), (["-n", "0"], 0), (["-n", "420"], 420)])
def test_ten_are_shown_or_as_many_as_are_asked_for(
    filled: str, cli: Cli, given: list[str], shown: int
) -> None:
    found = cli.ok("--url", filled, "tail", "--tenant", "acme", "--json", *given)
    assert [str(number) for number in range(450 - shown, 450)] == found.objects


def test_a_number_that_is_none_is_a_usage_error(filled: str, cli: Cli) -> None:
    assert 2 == cli("--url", filled, "tail", "--tenant", "acme", "-n", "-1").code


def test_conditions_choose_what_is_shown(filled: str, cli: Cli) -> None:
    where = ("--tenant", "acme", "--object", "settings:7", "--json")
    assert ["7"] == cli.ok("--url", filled, "tail", *where).objects
    assert [] == cli.ok("--url", filled, "tail", "--tenant", "other", "--json").objects


@contextmanager
def following(url: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A process that follows, ended afterwards whatever happens."""
    process = subprocess.Popen(
        [*COMMAND, "--url", url, "tail", "-f", "--tenant", "acme", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def object_of(process: subprocess.Popen[str]) -> str:
    """The object id of the next record that a process prints as JSON."""
    assert process.stdout is not None
    return str(json.loads(process.stdout.readline())["object_id"])


def test_it_goes_on_with_what_comes_until_it_is_interrupted(
    url: str, activity: ActivityLog
) -> None:
    record(activity, "a", "b", "c")
    with following(url, "-n", "2", "--json", "--since", "24h") as process:
        assert ["b", "c"] == [object_of(process), object_of(process)]
        record(activity, "hers", tenant="other")
        record(activity, "d")
        assert "d" == object_of(process)
        process.send_signal(signal.SIGINT)
        assert ("", "") == process.communicate(timeout=LIMIT)
    assert 130 == process.returncode


def test_lines_are_shown_as_they_come(url: str, activity: ActivityLog) -> None:
    record(activity, "a")
    with following(url) as process:
        assert process.stdout is not None
        assert "file.saved" in process.stdout.readline()
        record(activity, "b\x1b[2J")
        shown = process.stdout.readline()
    assert "file:b\\x1b[2J" in shown
    assert "files" in shown


def test_a_reader_that_goes_away_ends_it_quietly(url: str, activity: ActivityLog) -> None:
    record(activity, "a")
    with following(url, "--json") as process:
        assert "a" == object_of(process)
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()

        def has_ended() -> bool:
            record(activity, "b")
            return process.poll() is not None

        eventually(has_ended, "the end")
        assert (141, "") == (process.returncode, process.stderr.read())
        process.stdout = None


# -- export --since-last ----------------------------------------------------------


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state" / "acme.json"


@pytest.fixture
def export(url: str, cli: Cli, state: Path) -> Callable[..., list[str]]:
    """Export what is new; return the object ids."""
    state.parent.mkdir()

    def export_(*arguments: object) -> list[str]:
        where = ("--tenant", "acme", "--since-last", state, *arguments)
        return cli.ok("--url", url, "export", *where).objects

    return export_


def test_each_export_has_what_was_committed_since_the_last(
    activity: ActivityLog, export: Callable[..., list[str]], state: Path
) -> None:
    record(activity, "a", "b")
    record(activity, "hers", tenant="other")
    assert ["a", "b"] == export()
    assert [] == export()
    record(activity, "c")
    record(activity, "hers again", tenant="other")
    assert ["c"] == export()
    assert [] == export()
    assert [state] == [*state.parent.iterdir()]


def test_a_file_is_appended_to(
    activity: ActivityLog, export: Callable[..., list[str]], tmp_path: Path
) -> None:
    output = tmp_path / "out.jsonl"
    for name in ("a", "b"):
        record(activity, name)
        assert [] == export("-o", output)
    assert ["a", "b"] == [json.loads(text)["object_id"] for text in output.read_text().splitlines()]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux only")
def test_what_could_not_be_written_comes_again(
    url: str, activity: ActivityLog, export: Callable[..., list[str]], state: Path
) -> None:
    record(activity, "a")
    where = ("--tenant", "acme", "--since-last", state)
    failed = run("--url", url, "export", *where, "-o", "/dev/full")
    assert (2, "") == (failed.code, failed.out)
    assert "No space left" in failed.err
    assert not state.exists()
    assert ["a"] == export()


def test_a_long_export_remembers_on_the_way(
    activity: ActivityLog,
    export: Callable[..., list[str]],
    state: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(since_last, "_OFTEN", 2)
    record(activity, *"abcde")
    kept: list[str] = []
    remember = since_last._remember

    def interrupted(file: Path, position: str) -> None:
        remember(file, position)
        kept.append(position)
        if len(kept) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(since_last, "_remember", interrupted)
        with pytest.raises(AssertionError, match="interrupted"):
            export()
    assert kept[-1] == json.loads(state.read_text())["position"]
    assert ["e"] == export()


def test_a_state_of_another_filter_or_none_is_told(
    url: str, cli: Cli, activity: ActivityLog, export: Callable[..., list[str]], state: Path
) -> None:
    record(activity, "a")
    export()
    common = ("--url", url, "export", "--since-last", state, "--tenant")
    other = cli(*common, "other")
    assert (2, "") == (other.code, other.out)
    assert f"since-last='{state}': its position is no position of a tail with this" in other.err
    for content in (b"", b"[]", b'{"position": 7}', b"\xff\xfe"):
        state.write_bytes(content)
        broken = cli(*common, "acme")
        assert (2, "") == (broken.code, broken.out)
        assert "holds no position: remove it to export everything" in broken.err


def test_a_place_where_nothing_can_be_remembered_is_told_before_anything_is_read(
    url: str, cli: Cli, activity: ActivityLog, tmp_path: Path
) -> None:
    record(activity, "a")
    (tmp_path / "a file").write_bytes(b"")
    output = tmp_path / "out.jsonl"
    for place in ("no such folder/acme.json", "a file/acme.json"):
        common = ("--url", url, "export", "--tenant", "acme", "--since-last", tmp_path / place)
        for more in ((), ("-o", output)):
            failed = cli(*common, *more)
            assert (2, "") == (failed.code, failed.out)
            assert f"error: {tmp_path / place} can't be used: " in failed.err
    assert not output.exists()


def test_a_moment_that_moves_is_refused(url: str, cli: Cli, state: Path) -> None:
    common = ("--url", url, "export", "--tenant", "acme", "--since-last", state)
    result = cli(*common, "--since", "24h")
    assert (2, "") == (result.code, result.out)
    assert "since='24h': is another moment each time" in result.err


def test_it_is_the_same_as_a_process(url: str, activity: ActivityLog, state: Path) -> None:
    state.parent.mkdir()
    command = [*COMMAND, "--url", url, "export", "--tenant", "acme", "--since-last", str(state)]
    for name in ("a", "b"):
        record(activity, name)
        done = subprocess.run(
            command, capture_output=True, env=environment(), timeout=LIMIT, check=True
        )
        assert name == json.loads(done.stdout)["object_id"]


def test_lines_of_an_ingest_come_in_the_next_export(
    url: str, cli: Cli, write: Write, export: Callable[..., list[str]]
) -> None:
    assert [] == export()
    cli.ok("--url", url, "ingest", write(jsonl([line(n) for n in range(3)])))
    assert ["0", "1", "2"] == export()
