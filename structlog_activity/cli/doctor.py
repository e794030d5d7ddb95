"""
The command ``doctor``.
"""

from __future__ import annotations

import argparse
import sys

from collections.abc import Iterable
from importlib import import_module
from typing import Any

from ..capture.instances import instances_of
from ..doctor import check_log, check_setup
from ..findings import Finding
from ..log import ActivityLog
from .codes import FINDINGS, OK, UsageError
from .database import without_writer
from .output import print_findings, print_json
from .progress import say


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add ``doctor``."""
    parser = commands.add_parser(
        "doctor",
        parents=[common],
        help="look for what keeps activities from being recorded",
        description="Look for what keeps activities from being recorded: the order of processors, "
        "levels, handlers, the database and its privileges. Each finding says the line to change. "
        "Exits with 1 where there is one; notes don't count.",
    )
    parser.add_argument(
        "application",
        nargs="?",
        metavar="IMPORTPATH",
        help="what sets logging up, as package.module, package.module:name or "
        "package.module:function(); it is imported, so that its live configuration can be seen. "
        "Without it only the database is looked at",
    )
    parser.set_defaults(run=doctor)


def doctor(options: argparse.Namespace) -> int:
    """Run ``doctor``."""
    if options.application:
        _load(options.application)
        found = check_setup(_logs(options.url))
    else:
        say("no IMPORTPATH is given: only the database is looked at")
        with without_writer(ActivityLog(options.url)) as log:
            found = list(check_log(log))
    _print(found, as_json=options.json)
    return FINDINGS if any(not finding.is_note for finding in found) else OK


def _logs(url: str | None) -> Iterable[ActivityLog]:
    """Return the log of a URL, else those that the application made, else the default one."""
    made = instances_of(ActivityLog)
    return [ActivityLog(url)] if url or not made else made


def _load(path: str) -> None:
    sys.path.insert(0, "")  # As `python -m` does.
    module, _, name = path.partition(":")
    try:
        found: Any = import_module(module)
        for part in name.removesuffix("()").split(".") if name else ():
            found = getattr(found, part)
        if name.endswith("()"):
            found()
    except Exception as error:  # noqa: BLE001  Whatever an application raises.
        # Without its text: anybody's error may hold anything.
        kind = type(error).__name__
        raise UsageError(
            f"{path} can't be loaded: {kind}; python -c 'import {module}' shows where"
        ) from None


def _print(found: list[Finding], *, as_json: bool) -> None:
    if as_json:
        print_json({"findings": _plain(found, is_note=False), "notes": _plain(found, is_note=True)})
        return
    print_findings(found)
    if all(finding.is_note for finding in found):
        print("nothing is wrong")


def _plain(found: list[Finding], *, is_note: bool) -> list[dict[str, str]]:
    names = ("check", "problem", "remedy")
    return [
        {name: getattr(finding, name) for name in names}
        for finding in found
        if finding.is_note is is_note
    ]
