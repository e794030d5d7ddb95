"""
The command ``ingest``.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import os
import sys
import zlib

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, cast

from ..capture.jsonlines import MAX_LINE, LineReader, numbered_lines
from ..errors import InvalidRecordError, RepositoryError
from ..log import ActivityLog
from ..record.row import Row
from .codes import FINDINGS, OK, USAGE
from .database import without_writer
from .output import print_json
from .progress import Progress, say


_BATCH: Final = 500
_SHOWN: Final = 20
_GZIP: Final = b"\x1f\x8b"
_UNREADABLE: Final = (OSError, EOFError, zlib.error)


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add ``ingest``."""
    parser = commands.add_parser(
        "ingest",
        parents=[common],
        help="store the activity that is in JSON-lines logs",
        description="Store the activity in existing logs: JSON lines, as structlog's JSONRenderer "
        "writes them. Lines without a verb are passed over. A line's activity_id is its id; one "
        "without gets an id made of the line, so that a second run adds nothing.",
    )
    parser.add_argument("source", metavar="FILE", help="plain or gzip; - is standard input")
    parser.set_defaults(run=ingest)


@dataclass(slots=True)
class Tally:
    """
    What became of the lines.

    Attributes:

        lines: Lines that were read, blank ones aside.

        no_activity: Lines without a verb.

        skipped: Lines that make no record, or that the database refused.

        stored: Records that were written.

        already_there: Records that were stored before.

        problems: What was wrong, of the first few skipped lines.
    """

    lines: int = 0
    no_activity: int = 0
    skipped: int = 0
    stored: int = 0
    already_there: int = 0
    problems: list[str] = field(default_factory=list)

    def skip(self, what: str, problem: str) -> None:
        """Count a line that is of no use."""
        self.skipped += 1
        if len(self.problems) < _SHOWN:
            self.problems.append(f"{what}: {problem}")

    def settle(self, counts: Mapping[str, int], reasons: Sequence[str]) -> None:
        """Take over what an importer counted, and why it set records aside (the last of them)."""
        self.stored = counts["written"]
        self.already_there = counts["duplicates"]
        for reason in reasons:
            self.skip("a record", reason)
        self.skipped += counts["dead"] - len(reasons)

    def to_dict(self) -> dict[str, int]:
        """Return the numbers."""
        names = ("lines", "no_activity", "skipped", "stored", "already_there")
        return {name: getattr(self, name) for name in names}


def ingest(options: argparse.Namespace) -> int:
    """Run ``ingest``."""
    tally = Tally()
    try:
        with (
            _opened(options.source) as source,
            without_writer(ActivityLog(options.url)) as activity,
        ):
            _ingest(activity, source, tally)
    except (KeyboardInterrupt, RepositoryError):
        if tally.lines:
            _report(tally, options)
        raise
    except _UNREADABLE as error:
        where = f" after line {tally.lines}" if tally.lines else ""
        say(f"error: {options.source} can't be read{where}: {_problem(error)}")
        if tally.lines:
            _report(tally, options)
        return USAGE
    _report(tally, options)
    return FINDINGS if tally.skipped and tally.skipped == tally.lines else OK


def _problem(error: BaseException) -> str:
    strerror = error.strerror if isinstance(error, OSError) else None
    return strerror or str(error) or type(error).__name__


def _ingest(activity: ActivityLog, source: Source, tally: Tally) -> None:
    reader = activity.line_reader()
    importer = activity.importer()
    batch: list[Row] = []
    try:
        with Progress("lines", source.size) as progress:
            for row in _rows(reader, source.stream, tally):
                batch.append(row)
                if len(batch) >= _BATCH:
                    importer.store(batch)
                    batch = []
                    progress.update(tally.lines, source.done())
        importer.store(batch)
    except _UNREADABLE:
        # What was read before the source broke off.
        importer.store(batch)
        raise
    finally:
        importer.close()
        tally.settle(importer.counts, [letter.reason for letter in importer.dead_letters])


def _rows(reader: LineReader, stream: IO[bytes], tally: Tally) -> Iterator[Row]:
    for number, line in numbered_lines(stream):
        tally.lines += 1
        if line is None:
            tally.skip(f"line {number}", f"is longer than {MAX_LINE} bytes")
            continue
        try:
            row = reader.read(line)
        except InvalidRecordError as error:
            tally.skip(f"line {number}", str(error))
            continue
        if row is None:
            tally.no_activity += 1
        else:
            yield row


def _report(tally: Tally, options: argparse.Namespace) -> None:
    for problem in tally.problems:
        say(f"skipped {problem}")
    if tally.skipped > len(tally.problems):
        say(f"skipped {tally.skipped - len(tally.problems):,} more")
    if options.json:
        print_json(tally.to_dict())
        return
    print(
        f"{tally.lines:,} lines: {tally.stored:,} records stored, "
        f"{tally.already_there:,} already there, {tally.no_activity:,} without activity, "
        f"{tally.skipped:,} skipped"
    )


@dataclass(frozen=True, slots=True)
class Source:
    """
    Where the lines come from.

    Attributes:

        raw: As it is.

        stream: The same, unpacked.

        size: Bytes of *raw*; 0 if nobody knows.
    """

    raw: IO[bytes]
    stream: IO[bytes]
    size: int

    def done(self) -> int:
        """Return how many bytes of *raw* were read; 0 if its size is unknown."""
        return self.raw.tell() if self.size else 0


@contextlib.contextmanager
def _opened(path: str) -> Iterator[Source]:
    if path == "-":
        yield _source(sys.stdin.buffer, 0)
        return
    with Path(path).open("rb") as raw:
        yield _source(raw, os.fstat(raw.fileno()).st_size)


def _source(raw: IO[bytes], size: int) -> Source:
    peekable = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(cast(Any, raw))
    if peekable.peek(2)[:2] == _GZIP:
        return Source(raw, cast("IO[bytes]", gzip.GzipFile(fileobj=peekable)), size)
    return Source(raw, peekable, size)
