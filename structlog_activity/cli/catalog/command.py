"""
The command ``catalog``.
"""

from __future__ import annotations

import argparse

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from ...read.tenants import ALL_TENANTS
from ..codes import FINDINGS, OK
from ..database import opened
from ..output import print_json, print_table
from ..progress import say
from .registry import Registry, read_registry
from .scan import Found, scan


_DAYS: Final = 30
_DESCRIPTION: Final = """\
List every verb that source code uses, with file and line, from its syntax: no
code is imported or run. With --registry verbs that are not declared are told,
and those that look like a declared one misspelt; with --url verbs that no
record has, and those that have fallen silent. Exits with 1 where there is one.
"""
_DYNAMIC: Final = "said when it runs"


@dataclass(frozen=True, slots=True)
class Oddity:
    """
    What is odd about a verb.

    Attributes:

        kind: ``undeclared``, ``misspelt``, ``never seen`` or ``silent``.

        remedy: What may have been meant, or what to look at.
    """

    kind: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.remedy}"


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add ``catalog``."""
    parser = commands.add_parser(
        "catalog",
        parents=[common],
        help="list the verbs that source code uses",
        description=_DESCRIPTION,
    )
    parser.add_argument("paths", metavar="PATH", nargs="+", type=Path, help="folders and files")
    parser.add_argument(
        "--registry",
        metavar="FILE",
        help="the declared verbs: TOML with a table [verbs], or MODULE.py:NAME",
    )
    parser.add_argument(
        "--silent-after",
        metavar="DAYS",
        type=_days,
        default=_DAYS,
        help=f"with --url: a verb is silent without a record for so many days (default {_DAYS})",
    )
    parser.set_defaults(run=catalog)


def catalog(options: argparse.Namespace) -> int:
    """Run ``catalog``."""
    registry = read_registry(options.registry) if options.registry else None
    found = scan(options.paths)
    for file, problem in found.unread:
        say(f"warning: {file} is left out: {problem}")
    counts = _counts(options) if options.url else None
    oddities = {
        verb: [*_of_registry(verb, registry), *_of_database(verb, counts, options.silent_after)]
        for verb in sorted(found.verbs)
    }
    unused = registry.unused(found.verbs) if registry else []
    if options.json:
        print_json(_plain(found, oddities, unused, counts))
    else:
        _print(found, oddities, unused)
    return FINDINGS if any(oddities.values()) else OK


@dataclass(frozen=True, slots=True)
class _Counts:
    """Records by verb: all, and those of the last days."""

    all: Mapping[str, int]
    recent: Mapping[str, int]


def _counts(options: argparse.Namespace) -> _Counts:
    since = datetime.now(UTC) - timedelta(days=options.silent_after)
    with opened(options) as activity:
        return _Counts(
            activity.stats(tenant_id=ALL_TENANTS).by_verb,
            activity.stats(tenant_id=ALL_TENANTS, since=since).by_verb,
        )


def _of_registry(verb: str, registry: Registry | None) -> list[Oddity]:
    if registry is None or verb in registry:
        return []
    near = registry.nearest(verb)
    if near:
        return [Oddity("misspelt", f"is {near} meant?")]
    return [Oddity("undeclared", "declare it in the registry, or use one that is")]


def _of_database(verb: str, counts: _Counts | None, days: int) -> list[Oddity]:
    if counts is None or verb in counts.recent:
        return []
    seen = counts.all.get(verb)
    if seen:
        return [Oddity("silent", f"{seen:,} records, none of the last {days} days")]
    return [Oddity("never seen", "no record has it")]


def _print(found: Found, oddities: Mapping[str, list[Oddity]], unused: list[str]) -> None:
    rows = []
    for verb, told in oddities.items():
        for index, place in enumerate(found.verbs[verb]):
            problem = "; ".join(map(str, told)) if index == 0 else ""
            rows.append((verb, str(place), problem))
    rows += [(f"({text})", str(place), _DYNAMIC) for text, place in found.dynamic]
    if rows:
        print_table(("verb", "where", "problem"), rows, is_cut=False)  # Places are to be gone to.
    for verb in unused:
        say(f"note: {verb} is declared and used nowhere")
    odd = sum(map(bool, oddities.values()))
    say(
        f"{len(found.verbs):,} verbs and {len(found.dynamic):,} dynamic ones in {found.files:,} "
        f"files, {odd:,} verbs with a problem"
    )


def _plain(
    found: Found, oddities: Mapping[str, list[Oddity]], unused: list[str], counts: _Counts | None
) -> dict[str, Any]:
    verbs = [
        {
            "verb": verb,
            "places": [{"file": place.file, "line": place.line} for place in found.verbs[verb]],
            "findings": [{"kind": one.kind, "remedy": one.remedy} for one in told],
        }
        | ({} if counts is None else {"records": counts.all.get(verb, 0)})
        for verb, told in oddities.items()
    ]
    dynamic = [
        {"expression": text, "file": place.file, "line": place.line}
        for text, place in found.dynamic
    ]
    unread = [{"file": file, "problem": problem} for file, problem in found.unread]
    return {"verbs": verbs, "dynamic": dynamic, "unread": unread, "unused": unused}


def _days(text: str) -> int:
    if not text.isdecimal() or not int(text[:9]) > 0 or len(text) > 5:  # noqa: PLR2004
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days, 1 to 99999")
    return int(text)
