"""
Pages of a feed: the options that say which, printed, and walked through.
"""

from __future__ import annotations

import argparse
import sys

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from ..log import ActivityLog
from ..read.filter import MAX_LIMIT
from ..read.page import ActivityPage
from ..record.record import ActivityRecord
from .output import print_json, print_records
from .progress import say


def walk(
    activity: ActivityLog, where: dict[str, Any], most: int = sys.maxsize
) -> Iterator[ActivityRecord]:
    """
    Yield the records that a filter selects, newest first, a page at a time.

    Args:

        activity: The log.

        where: The conditions.

        most: How many; the default is all.
    """
    cursor, left = None, most
    while left > 0:
        limit = min(left, MAX_LIMIT)
        page = activity.feed(**where, after=cursor, limit=limit, total="none")
        yield from page.records
        cursor, left = page.next_cursor, left - limit
        if cursor is None:
            return


def show_pages(
    read: Callable[..., ActivityPage], where: dict[str, Any], options: argparse.Namespace
) -> None:
    """
    Print as many records as were asked for, which may take several pages.

    Args:

        read: Reads a page.

        where: Its conditions.

        options: Those of `add_paging`, and ``json``.
    """
    records, page = _first(read, where, options)
    if options.json:
        for record in records:
            print_json(record.to_dict())
    elif records:
        print_records(records)
        more = "" if page.total_is_exact else " or more"
        say(f"{len(records)} of {page.total:,}{more} records")
    else:
        say("no records")
    if page.next_cursor:
        say(f"older records: --after {page.next_cursor}")


def _first(
    read: Callable[..., ActivityPage], where: dict[str, Any], options: argparse.Namespace
) -> tuple[list[ActivityRecord], ActivityPage]:
    place = {"after": options.after, "before": options.before, "offset": options.offset}
    limit = min(options.limit, MAX_LIMIT)
    page = first = read(**where, **place, limit=limit)
    records = list(page.records)
    while len(records) < options.limit and page.next_cursor and not options.before:
        limit = min(options.limit - len(records), MAX_LIMIT)
        page = read(**where, after=page.next_cursor, limit=limit, total="none")
        records += page.records
    return records, _joined(first, page)


def _joined(first: ActivityPage, last: ActivityPage) -> ActivityPage:
    return replace(
        last,
        prev_cursor=first.prev_cursor,
        total=first.total,
        total_is_exact=first.total_is_exact,
    )


def add_paging(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which part of a feed is shown."""
    parser.add_argument("--limit", type=positive, default=50, help="most records (default 50)")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--after", metavar="CURSOR", help="go on where the last page ended")
    place.add_argument("--before", metavar="CURSOR", help="go back to newer records")
    place.add_argument("--offset", type=int, default=0, help="skip so many records")


def positive(text: str) -> int:
    """Read the value of an option that is a whole number of 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)
