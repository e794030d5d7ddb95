"""
The command ``tail``.
"""

from __future__ import annotations

import argparse
import sys

from typing import Any

from ..log import ActivityLog
from ..record.record import ActivityRecord
from .codes import INTERRUPTED, OK
from .database import opened
from .numbers import whole
from .output import print_json, print_record
from .pages import walk
from .selection import add_query, filter_options, where_of


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add ``tail``."""
    parser = commands.add_parser(
        "tail",
        parents=[common, filter_options()],
        help="show the last records, and those to come",
        description="Show the last records, oldest first, a line each. With -f go on with what "
        "is committed from now on, in that order, until interrupted.",
    )
    parser.add_argument("-n", type=whole, default=10, metavar="N", help="how many (default 10)")
    parser.add_argument("-f", "--follow", action="store_true", help="wait for more")
    add_query(parser)
    parser.set_defaults(run=tail)


def tail(options: argparse.Namespace) -> int:
    """Run ``tail``."""
    try:
        with opened(options) as activity:
            where = where_of(options)
            if options.follow:
                _follow(activity, where, options)
            else:
                _show(_last(activity, where, options.n), options)
    except KeyboardInterrupt:  # The usual way to end it, so nothing is said.
        return INTERRUPTED
    return OK


def _follow(activity: ActivityLog, where: dict[str, Any], options: argparse.Namespace) -> None:
    # Begun first, so that no record falls between the two.
    with activity.tail(**_from_now(where)) as coming:
        last = _last(activity, where, options.n)
        shown = {record.id for record in last}
        _show(last, options)
        for record in coming:
            if record.id not in shown:
                _show([record], options)


def _from_now(where: dict[str, Any]) -> dict[str, Any]:
    # What is there already is shown by -n.
    return {name: value for name, value in where.items() if name != "since"}


def _last(activity: ActivityLog, where: dict[str, Any], count: int) -> list[ActivityRecord]:
    """Return the last records by time, oldest first."""
    return list(walk(activity, where, count))[::-1]


def _show(records: list[ActivityRecord], options: argparse.Namespace) -> None:
    for record in records:
        if options.json:
            print_json(record.to_dict())
        else:
            print_record(record)
    sys.stdout.flush()  # Whoever reads along need not wait for more.
