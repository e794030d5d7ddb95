"""
The commands ``prune`` and ``erase``.
"""

from __future__ import annotations

import argparse
import sys

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from ..errors import InvalidFilterError
from ..read.query import duration
from ..read.tenants import ALL_TENANTS
from ..read.values import utc_moment
from .codes import FINDINGS, OK, USAGE
from .database import key_options, keyed_log, require_spool, spool_options
from .output import print_findings, print_json, printable
from .progress import Stepwise, say
from .selection import tenant_of, tenant_options


if TYPE_CHECKING:
    from ..store.removalreport import EraseReport, PruneReport

_PRUNE: Final = """\
Delete records that are older than a time. What is left is proved as before, and
a sealed record says what went. On PostgreSQL whole months go at once, with their
partitions; run it as the owner of the tables, after or before `maintain`. Broken
off, it goes on at the next run. Exits with 1 where something wants a decision.
"""
_ERASE: Final = """\
Erase what records say of a person: actor, user, object id, address and data. What
stays is tenant, organisation, verb, object type, channel and time, and a digest
from which nothing can be guessed; a sealed record names the ids and the reason.
Give the spool's folder of the application, to erase there and in dead letters,
too. Exits with 1 where something could not be reached.
"""


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add ``prune`` and ``erase``."""
    prune_ = commands.add_parser(
        "prune",
        parents=[common, key_options(), _careful()],
        help="delete records that are older than a time",
        description=_PRUNE,
    )
    prune_.add_argument(
        "--older-than",
        metavar="AGE",
        required=True,
        help="how old, as 52w, 365d or 24h, or the moment before which they are, as ISO 8601",
    )
    prune_.add_argument("--floor", metavar="AGE", help="delete nothing younger than this: 90d")
    prune_.add_argument("--tenant", help="only records of this tenant")
    prune_.add_argument("--channel", help="only records of this channel")
    prune_.set_defaults(run=prune)
    erase_ = commands.add_parser(
        "erase",
        parents=[common, tenant_options(), key_options(), spool_options(), _careful()],
        help="erase what records say of a person",
        description=_ERASE,
    )
    who = erase_.add_mutually_exclusive_group(required=True)
    who.add_argument("--actor", help="where the person acted")
    who.add_argument("--user", help="where it was about the person's account")
    who.add_argument("--involving", metavar="ID", help="where the person is either")
    erase_.add_argument("--reason", required=True, help="for the record of it; name nobody")
    erase_.add_argument("--requested-by", default="", help="for the record of it; name nobody")
    erase_.set_defaults(run=erase)


def _careful() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--dry-run", action="store_true", help="only count")
    parser.add_argument("--yes", action="store_true", help="don't ask")
    return parser


def prune(options: argparse.Namespace) -> int:
    """Run ``prune``."""
    how: dict[str, Any] = {
        "tenant_id": ALL_TENANTS if options.tenant is None else options.tenant,
        "channel": options.channel,
        "floor": None if options.floor is None else _age("floor", options.floor),
    }
    older_than = _older_than(options.older_than)
    with keyed_log(options) as activity:
        report = activity.prune(older_than, dry_run=True, **how)
        question = f"delete {report.rows:,} records from before {report.before:%Y-%m-%d %H:%M} UTC"
        if not options.dry_run:
            if not _confirmed(question, options):
                return USAGE
            with Stepwise("rows") as progress:
                # The moment that was agreed on, not one that has moved on meanwhile.
                done = activity.prune(report.before, progress=progress.update, **how)
            report = replace(done, is_floored=report.is_floored)
    if options.json:
        print_json(report.to_dict())
    else:
        _print_pruned(report)
    return OK if report.ok else FINDINGS


def erase(options: argparse.Namespace) -> int:
    """Run ``erase``."""
    how: dict[str, Any] = {
        "actor_id": options.actor,
        "user_id": options.user,
        "involving": options.involving,
        "tenant_id": tenant_of(options),
        "reason": options.reason,
        "requested_by": options.requested_by,
    }
    require_spool(options)
    with keyed_log(options, spool_dir=options.spool_dir) as activity:
        report = activity.erase(dry_run=True, **how)
        if not options.dry_run:
            n, on_disk = report.rows, report.on_disk + report.held
            if not _confirmed(f"erase {n:,} records, and {on_disk:,} on disk", options):
                return USAGE
            with Stepwise("rows") as progress:
                report = activity.erase(progress=progress.update, **how)
    if options.json:
        print_json(report.to_dict())
    else:
        _print_erased(report)
    return OK if report.ok else FINDINGS


def _confirmed(question: str, options: argparse.Namespace) -> bool:
    """Ask on a terminal; elsewhere only ``--yes`` means yes."""
    if options.yes:
        return True
    if not sys.stdin.isatty():
        say(f"would {question}: give --yes to do it, or --dry-run to count only")
        return False
    print(printable(f"{question}? Type yes: "), end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip() == "yes":
        return True
    say("nothing was done")
    return False


def _older_than(text: str) -> timedelta | datetime:
    age = duration("older-than", text)
    return utc_moment("older-than", text) if age is None else age


def _age(name: str, text: str) -> timedelta:
    age = duration(name, text)
    if age is None:
        raise InvalidFilterError(name, text, "an age is needed: 30m, 24h, 7d or 4w")
    return age


def _print_pruned(report: PruneReport) -> None:
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


def _print_erased(report: EraseReport) -> None:
    what = "would be erased" if report.is_dry_run else "erased"
    print(
        f"{report.rows:,} records of {report.tenants:,} tenants {what}, {report.on_disk:,} on disk"
    )
    print_findings(report.findings)
