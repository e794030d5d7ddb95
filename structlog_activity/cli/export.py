"""
The command ``export``.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import io
import itertools
import os
import stat
import sys

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TextIO, cast

from ..errors import InvalidFilterError
from ..log import ActivityLog
from ..record.record import ActivityRecord
from .codes import OK
from .csvline import CSV_HEADING, csv_line
from .database import opened
from .output import json_line
from .pages import walk
from .progress import Progress, say
from .selection import add_query, filter_options, where_of
from .since_last import records_since, require_place


# A pipe or a terminal can't be synced.
_NO_DISK: Final = {errno.EINVAL, errno.ENOTSUP, errno.EROFS}


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add ``export``."""
    parser = commands.add_parser(
        "export",
        parents=[common, filter_options()],
        help="write all records as JSON lines or CSV, newest first",
        description="Write all records as JSON lines, newest first, with progress on stderr. With "
        "--since-last only what was committed since the last time, oldest first: nothing is "
        "left out where an export is interrupted; what was not remembered comes again. All that is "
        "stored about a person: --involving ID --all-tenants.",
    )
    parser.add_argument(
        "--format",
        choices=("jsonl", "csv"),
        default="jsonl",
        help="jsonl (the default) loses nothing; csv is safe to open in a spreadsheet",
    )
    parser.add_argument(
        "--raw", action="store_true", help="csv without the ' before what looks like a formula"
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="default is standard output")
    parser.add_argument(
        "--since-last",
        metavar="FILE",
        type=Path,
        help="only what was committed since the last time, in that order; FILE remembers how far "
        "it came, after the output was written; -o is appended to",
    )
    add_query(parser)
    parser.set_defaults(run=export)


def export(options: argparse.Namespace) -> int:
    """Run ``export``."""
    count = 0
    with opened(options) as activity:
        where = _checked_where(options)
        with _output(options.output) as output, Progress("records") as progress:
            records = _exported(activity, where, options, output)
            # Whatever is wrong shows before the file loses what it held.
            first = [*itertools.islice(records, 1)]
            if not options.since_last:
                _empty(output)
            line = _line_of(options, output)
            for record in itertools.chain(first, records):
                output.write(line(record) + "\n")
                count += 1
                progress.update(count)
    say(f"{count:,} records exported")
    return OK


def _line_of(options: argparse.Namespace, output: TextIO) -> Callable[[ActivityRecord], str]:
    """Return what makes a line of a record; where columns have names, they are written."""
    if options.format == "jsonl":
        return lambda record: json_line(record.to_dict(), output)
    if not (options.since_last and _has_content(output)):
        output.write(CSV_HEADING + "\n")
    return lambda record: csv_line(record, output, is_raw=options.raw)


def _has_content(output: TextIO) -> bool:
    """Tell whether what is written is appended to something, also where a shell opened the file."""
    try:
        status = os.fstat(output.fileno())
    except io.UnsupportedOperation:  # It has no file.
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size > 0


def _checked_where(options: argparse.Namespace) -> dict[str, Any]:
    """
    Return the conditions, if all that is asked for can be done.

    Raises:

        InvalidFilterError: A condition can't be read, or is another one each time.

        OSError: No position can be remembered in the file of ``--since-last``.
    """
    where = where_of(options)
    if options.since_last is None:
        return where
    for name in ("since", "until"):
        if isinstance(where[name], datetime):
            problem = "is another moment each time: with --since-last give a date"
            given = getattr(options, name) or " ".join(options.query)
            raise InvalidFilterError(name, given, problem)
    require_place(options.since_last)
    return where


def _exported(
    activity: ActivityLog, where: dict[str, Any], options: argparse.Namespace, output: TextIO
) -> Iterator[ActivityRecord]:
    if options.since_last is None:
        return walk(activity, where)
    return records_since(activity, where, options.since_last, lambda: _keep(output))


def _keep(output: TextIO) -> None:
    """Write what was printed out to its file, down to the disk if that is one."""
    output.flush()
    try:
        os.fsync(output.fileno())
    except io.UnsupportedOperation:  # It has no file.
        return
    except OSError as error:
        if error.errno not in _NO_DISK:
            raise


@contextlib.contextmanager
def _output(path: str | None) -> Iterator[TextIO]:
    if path is None or path == "-":
        yield sys.stdout
        return
    try:
        with Path(path).open("a", encoding="utf-8") as file:
            yield cast("TextIO", file)
    except OSError as error:
        error.filename = error.filename or path  # A disk that is full doesn't say it.
        raise


def _empty(output: TextIO) -> None:
    if output is not sys.stdout and stat.S_ISREG(os.fstat(output.fileno()).st_mode):
        output.truncate(0)
