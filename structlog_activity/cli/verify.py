"""
The commands ``verify`` and ``checkpoint``.
"""

from __future__ import annotations

import argparse

from typing import TYPE_CHECKING, Any, Final

from .codes import FINDINGS, OK, UsageError
from .database import key_options, opened_with_keys
from .output import print_json, printable
from .progress import Stepwise, say


if TYPE_CHECKING:
    from ..store.seals.report import VerifyReport

_SHOWN: Final = 20


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add ``verify`` and ``checkpoint``."""
    parser = commands.add_parser(
        "verify",
        parents=[common, key_options()],
        help="check that the log is what was written",
        description="Read the whole log, compute every seal anew and compare. Exits with 1 where "
        "something was changed, added or taken away. What a checkpoint outside the database adds "
        "to that: ends that were cut off, writers that were removed, and seals that were rebuilt.",
    )
    parser.add_argument("--checkpoint", metavar="FILE", help="a file that `checkpoint` wrote")
    parser.add_argument(
        "--since-checkpoint",
        action="store_true",
        help="leave out rows that were written before the last line of that file",
    )
    parser.add_argument(
        "--in-database",
        action="store_true",
        help="have PostgreSQL compute the digests: faster, and no proof where the server may lie",
    )
    parser.set_defaults(run=verify)
    parser = commands.add_parser(
        "checkpoint",
        parents=[common, key_options()],
        help="append to a file how far the log is",
        description="Append one JSON line to a file: how far every chain of batches is. Keep the "
        "file where neither the database's keepers nor the application can change it.",
    )
    parser.add_argument("file", metavar="FILE", help="made if it is not there; - is stdout")
    parser.set_defaults(run=checkpoint)


def verify(options: argparse.Namespace) -> int:
    """Run ``verify``."""
    from ..store.engine import POSTGRESQL

    if options.since_checkpoint and not options.checkpoint:
        raise UsageError("--since-checkpoint needs --checkpoint FILE")
    with opened_with_keys(options) as activity:
        if options.in_database and activity.engine.dialect.name != POSTGRESQL:
            raise UsageError("--in-database needs PostgreSQL")
        with Stepwise("rows") as progress:
            report = activity.verify(
                checkpoint=options.checkpoint,
                since_checkpoint=options.since_checkpoint,
                in_database=options.in_database,
                progress=progress.update,
            )
    if options.json:
        print_json(report.to_dict())
    else:
        _print(report)
    return OK if report.ok else FINDINGS


def checkpoint(options: argparse.Namespace) -> int:
    """Run ``checkpoint``."""
    with opened_with_keys(options) as activity:
        line = activity.checkpoint(print if options.file == "-" else options.file)
    if options.file != "-":
        say(f"{options.file}: {len(line) + 1:,} bytes appended")
    return OK


def _print(report: VerifyReport) -> None:
    for finding in report.findings[:_SHOWN]:
        print(printable(f"{finding.kind}: {finding.problem}"))
    more = len(report.findings) + report.omitted - _SHOWN
    if more > 0:
        print(f"and {more:,} more; --json shows a thousand of them")
    for note in report.notes:
        say(f"note: {note}")
    verdict = "as it was written" if report.ok else "NOT as it was written"
    print(
        f"{report.rows:,} rows in {report.batches:,} batches of {report.chains:,} chains: {verdict}"
    )
