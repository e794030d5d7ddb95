"""
The command ``demo``: real log calls, made from the history of the git repository around.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog

from ..capture.context import acting_as
from ..log import ActivityLog
from .codes import OK, UNREACHABLE
from .numbers import positive
from .output import print_counts, print_records
from .progress import Progress, say


_FORMAT: Final = "%x00%H%x00%ae%x00%cI%x00%s"  # No commit holds a NUL.
_VERBS: Final = {"A": "file.added", "M": "file.changed", "D": "file.removed", "R": "file.renamed"}
_TENANT: Final = "demo"
_SHOWN: Final = 12
_BUILT_IN: Final[tuple[tuple[str, str, str, dict[str, Any]], ...]] = (
    ("ana@example.org", "settings.updated", "settings:global", {"path": "ui.theme", "to": "dark"}),
    ("ana@example.org", "media.uploaded", "media.asset:7", {"format": "png", "size_bytes": 48_213}),
    ("bob@example.org", "export.requested", "export.job:1", {"format": "csv"}),
    ("worker:exports", "export.completed", "export.job:1", {"count": 120}),
    ("bob@example.org", "user.created", "user:carol", {"role": "editor"}),
    ("carol@example.org", "media.deleted", "media.asset:7", {}),
)


@dataclass(frozen=True, slots=True)
class Commit:
    """
    What git tells of a commit.

    Attributes:

        hash: Its name.

        author: E-mail of its author.

        at: When it was committed, ISO 8601.

        subject: First line of its message.

        files: Letter of the change (A, M, D, R) and path of each file.
    """

    hash: str
    author: str
    at: str
    subject: str
    files: tuple[tuple[str, str], ...]


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add ``demo``."""
    parser = commands.add_parser(
        "demo",
        parents=[common],
        help="see it work: log calls made from the git history around you",
        description="Make real log calls from the git history around the current folder, store "
        "them, and show feed and statistics. Without --url the database is a temporary file.",
    )
    parser.add_argument("--commits", type=positive, default=300, help="most commits (default 300)")
    parser.set_defaults(run=demo)


def demo(options: argparse.Namespace) -> int:
    """Run ``demo``."""
    with tempfile.TemporaryDirectory(prefix="structlog-activity-") as folder:
        url = options.url or f"sqlite:///{Path(folder) / 'demo.db'}"
        with ActivityLog(url, overflow="block", block_timeout=30.0) as activity:
            activity.stats(tenant_id=_TENANT)  # Now, not after a minute of trying to write.
            calls = _make_calls(activity, options.commits)
            if not activity.flush(timeout=60):
                say(f"error: not everything could be stored: {activity.health().reasons}")
                return UNREACHABLE
            _show(activity, calls)
    return OK


def _make_calls(activity: ActivityLog, most: int) -> int:
    commits, problem = read_history(most)
    log = _logger(activity)
    if problem:
        print(f"No git history here ({problem}); {len(_BUILT_IN)} built-in activities instead.\n")
        return _log_built_in(log)
    print(f"Logging the last {len(commits):,} commits of the git history around you ...\n")
    calls = 0
    with Progress("log calls") as progress:
        for commit in reversed(commits):
            calls += _log_commit(log, commit)
            progress.update(calls)
    return calls


def _logger(activity: ActivityLog) -> Any:
    """Return a logger as an application has it, but for its lines, which go nowhere."""
    return structlog.wrap_logger(
        structlog.testing.ReturnLogger(),
        processors=[
            structlog.contextvars.merge_contextvars,
            activity.processor,
            structlog.processors.JSONRenderer(),
        ],
    )


def _log_commit(log: Any, commit: Commit) -> int:
    with acting_as(commit.author or "unknown", tenant_id=_TENANT):
        log.info(
            commit.subject,
            verb="commit.authored",
            object=("commit", commit.hash[:12]),
            channel="commits",
            occurred_at=commit.at,
            files=len(commit.files),
        )
        for letter, path in commit.files:
            log.info(
                "file touched",
                verb=_VERBS.get(letter, "file.changed"),
                object=("file", path),
                channel="files",
                occurred_at=commit.at,
                commit=commit.hash[:12],
            )
    return 1 + len(commit.files)


def _log_built_in(log: Any) -> int:
    for author, verb, object_, data in _BUILT_IN:
        with acting_as(author, tenant_id=_TENANT):
            log.info("built-in activity", verb=verb, object=object_, channel="demo", **data)
    return len(_BUILT_IN)


def _show(activity: ActivityLog, calls: int) -> None:
    page = activity.feed(tenant_id=_TENANT, limit=_SHOWN)
    found = activity.stats(tenant_id=_TENANT)
    print_records(page.records)
    print(f"\n{calls:,} log calls made, {found.total:,} records stored")
    print_counts("by verb", found.by_verb)
    print_counts("by object type", found.by_object_type)
    busiest = sorted(found.by_day.items(), key=lambda item: -item[1])[:5]
    print_counts("busiest days (UTC)", dict(busiest))


def read_history(most: int) -> tuple[list[Commit], str]:
    """Return the newest commits, newest first, or none and why there are none."""
    command = ["git", "-c", "core.quotePath=off", "log", f"-n{most}", "--name-status"]
    command.append(f"--format={_FORMAT}")
    try:
        done = subprocess.run(  # noqa: S603  Fixed words and a number.
            command, capture_output=True, timeout=60, check=False
        )
    except FileNotFoundError:
        return [], "git is not installed"
    except subprocess.TimeoutExpired:
        return [], "git took more than a minute"
    if done.returncode:
        return [], done.stderr.decode(errors="replace").strip().partition("\n")[0]
    commits = list(_parsed(done.stdout.decode(errors="replace")))
    return commits, "" if commits else "there are no commits"


def _parsed(text: str) -> Iterator[Commit]:
    parts = text.split("\0")[1:]
    for hash_, author, at, rest in zip(*[iter(parts)] * 4, strict=True):
        subject, *lines = rest.split("\n")
        changes = [line.split("\t") for line in lines if "\t" in line]
        files = tuple((change[0][:1], change[-1]) for change in changes)
        yield Commit(hash_, author, at, subject, files)
