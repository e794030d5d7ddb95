"""
The command ``erase``.
"""

from __future__ import annotations

import argparse

from typing import TYPE_CHECKING, Any, Final

from .codes import FINDINGS, OK, USAGE
from .confirm import confirm_options, is_confirmed
from .database import key_options, opened_with_keys, require_spool, spool_options
from .output import print_findings, print_json
from .progress import Stepwise
from .selection import tenant_of, tenant_options


if TYPE_CHECKING:
    from ..store.removal.report import EraseReport

_DESCRIPTION: Final = """\
Erase what records say of a person: actor, user, object id, address and data. What
stays is tenant, organisation, verb, object type, channel and time, and a digest
from which nothing can be guessed; a sealed record names the ids and the reason.
Give the spool's folder of the application, to erase there and in dead letters,
too. Exits with 1 where something could not be reached.
"""


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add ``erase``."""
    parser = commands.add_parser(
        "erase",
        parents=[common, tenant_options(), key_options(), spool_options(), confirm_options()],
        help="erase what records say of a person",
        description=_DESCRIPTION,
    )
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--actor", help="where the person acted")
    who.add_argument("--user", help="where it was about the person's account")
    who.add_argument("--involving", metavar="ID", help="where the person is either")
    parser.add_argument("--reason", required=True, help="for the record of it; name nobody")
    parser.add_argument("--requested-by", default="", help="for the record of it; name nobody")
    parser.set_defaults(run=erase)


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
    # Closed at the end, for it writes what waits in the spool, as far as it is not erased.
    with opened_with_keys(options, spool_dir=options.spool_dir) as activity, activity:
        report = activity.erase(dry_run=True, **how)
        if not options.dry_run:
            n, on_disk = report.rows, report.on_disk + report.held
            if not is_confirmed(f"erase {n:,} records, and {on_disk:,} on disk", options):
                return USAGE
            with Stepwise("rows") as progress:
                report = activity.erase(progress=progress.update, **how)
    if options.json:
        print_json(report.to_dict())
    else:
        _print(report)
    return OK if report.ok else FINDINGS


def _print(report: EraseReport) -> None:
    what = "would be erased" if report.is_dry_run else "erased"
    print(
        f"{report.rows:,} records of {report.tenants:,} tenants {what}, {report.on_disk:,} on disk"
    )
    print_findings(report.findings)
