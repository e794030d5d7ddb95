"""
The command ``maintain``.
"""

from __future__ import annotations

import argparse

from collections.abc import Iterable
from datetime import date
from typing import TYPE_CHECKING, Any

from .codes import FINDINGS, OK
from .database import opened
from .output import print_findings, print_json
from .progress import say


if TYPE_CHECKING:
    from ..store.maintenance.report import MaintenanceReport


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add ``maintain``."""
    parser = commands.add_parser(
        "maintain",
        parents=[common],
        help="keep reads fast as the months go by; for a daily job",
        description="Make the coming months' partitions, fold the daily counts of closed days, "
        "rebuild the indexes of closed months once and renew the planner's figures. Run it once "
        "a day, as the owner of the tables. It may run from everywhere at once: on PostgreSQL "
        "one works, and the others say so and succeed. Exits with 1 where something wants a "
        "decision.",
    )
    parser.add_argument(
        "--history",
        action="store_true",
        help="give months of their own to records older than the first one; writers wait meanwhile",
    )
    parser.set_defaults(run=maintain)


def maintain(options: argparse.Namespace) -> int:
    """Run ``maintain``."""
    with opened(options) as activity:
        report = activity.maintain(history=options.history, on_progress=say)
    if report.is_busy:
        say("another process is at it; nothing was done")
    if options.json:
        print_json(report.to_dict())
    else:
        _print(report)
    return OK if report.ok else FINDINGS


def _print(report: MaintenanceReport) -> None:
    done = {
        "made": report.months_made,
        "folded": report.months_folded,
        "rebuilt": report.months_rebuilt,
    }
    for word, months in done.items():
        if months:
            print(f"{word}: {_months(months)}")
    print_findings(report.findings)
    if not report.is_busy and not report.findings and not any(done.values()):
        print("nothing to do")


def _months(months: Iterable[date]) -> str:
    return ", ".join(f"{month:%Y-%m}" for month in months)
