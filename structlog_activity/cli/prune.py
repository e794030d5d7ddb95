"""
The command ``prune``.
"""

from __future__ import annotations

import argparse

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from ..errors import InvalidFilterError
from ..read.query import duration
from ..read.tenants import ALL_TENANTS
from ..read.values import utc_moment
from .codes import FINDINGS, OK, USAGE
from .confirm import confirm_options, is_confirmed
from .database import key_options, opened_with_keys
from .output import print_findings, print_json
from .progress import Stepwise, say


if TYPE_CHECKING:
    from ..store.removal.report import PruneReport

_DESCRIPTION: Final = """\
Delete records that are older than a time. What is left is proved as before, and
a sealed record says what went. On PostgreSQL whole months go at once, with their
partitions; run it as the owner of the tables, after or before `maintain`. Broken
off, it goes on at the next run. Exits with 1 where something wants a decision.
"""


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add ``prune``."""
    parser = commands.add_parser(
        "prune",
        parents=[common, key_options(), confirm_options()],
        help="delete records that are older than a time",
        description=_DESCRIPTION,
    )
    parser.add_argument(
        "--older-than",
        metavar="AGE",
        required=True,
        help="how old, as 52w, 365d or 24h, or the moment before which they are, as ISO 8601",
    )
    parser.add_argument("--floor", metavar="AGE", help="delete nothing younger than this: 90d")
    parser.add_argument("--tenant", help="only records of this tenant")
    parser.add_argument("--channel", help="only records of this channel")
    parser.set_defaults(run=prune)


def prune(options: argparse.Namespace) -> int:
    """Run ``prune``."""
    how: dict[str, Any] = {
        "tenant_id": ALL_TENANTS if options.tenant is None else options.tenant,
        "channel": options.channel,
        "floor": None if options.floor is None else _age("floor", options.floor),
    }
    older_than = _older_than(options.older_than)
    with opened_with_keys(options) as activity:
        report = activity.prune(older_than, dry_run=True, **how)
        question = f"delete {report.rows:,} records from before {report.before:%Y-%m-%d %H:%M} UTC"
        if not options.dry_run:
            if not is_confirmed(question, options):
                return USAGE
            with Stepwise("rows") as progress:
                # The moment that was agreed on, not one that has moved on meanwhile.
                done = activity.prune(report.before, progress=progress.update, **how)
            report = replace(done, is_floored=report.is_floored)
    if options.json:
        print_json(report.to_dict())
    else:
        _print(report)
    return OK if report.ok else FINDINGS


def _older_than(text: str) -> timedelta | datetime:
    age = duration("older-than", text)
    return utc_moment("older-than", text) if age is None else age


def _age(name: str, text: str) -> timedelta:
    age = duration(name, text)
    if age is None:
        raise InvalidFilterError(name, text, "an age is needed: 30m, 24h, 7d or 4w")
    return age


def _print(report: PruneReport) -> None:
    if report.is_busy:
        say("another process prunes or maintains; nothing was done")
        return
    if report.is_floored:
        say("note: the floor keeps records that are older than was asked for")
    what = "would go" if report.is_dry_run else "deleted"
    print(f"{report.rows:,} records from before {report.before:%Y-%m-%d %H:%M} UTC {what}")
    if report.months_dropped:
        months = ", ".join(f"{month:%Y-%m}" for month in report.months_dropped)
        print(f"dropped as a whole: {months}")
    print_findings(report.findings)
