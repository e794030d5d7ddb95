"""
The grammar of the command line.
"""

from __future__ import annotations

import argparse

from collections.abc import Sequence
from typing import Any

from .. import __version__
from . import (
    dead,
    demo,
    doctor,
    erase,
    export,
    feed,
    get,
    ingest,
    maintain,
    migrate,
    prune,
    stats,
    tail,
    verify,
)
from .catalog import command as catalog
from .examples import add_examples
from .selection import may_be_words


_DESCRIPTION = "Look at, fill and look after an activity log."
_EPILOG = """\
The database is --url, else $STRUCTLOG_ACTIVITY_URL, else sqlite:///activity.db.

Exit codes: 0 ok, 1 findings, 2 usage, 3 database unreachable, 4 schema, 130 interrupted.

examples:
  structlog-activity --url postgresql://app@db/app migrate
  structlog-activity feed --tenant acme 'verb:settings.* since:7d'
  structlog-activity stats --tenant acme --since 2026-01-01 --json
  structlog-activity tail -f --tenant acme
  structlog-activity ingest app.log.jsonl.gz

COMMAND --help says more about a command, with examples.
"""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """
    Return what a command line says; a mistake in it ends the process with 2.

    Args:

        arguments: Its words, without the program's name.
    """
    parser = make_parser()
    options, rest = parser.parse_known_args(may_be_words(arguments))
    # Words of a query that stand behind an option, which argparse doesn't expect there.
    words = [text for text in rest if not text.startswith("-")]
    if words != rest or (words and not hasattr(options, "query")):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if words:
        options.query = [*options.query, *words]
    return options


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line; each command sets ``run``."""
    parser = argparse.ArgumentParser(
        prog="structlog-activity",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        parents=[_common(url=None, json=False)],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    # Given after the command they count; not given there, what stood before it does.
    common = _common(url=argparse.SUPPRESS, json=argparse.SUPPRESS)
    # In the order of the help.
    for module in (
        migrate, maintain, feed, stats, export, tail, get, ingest, verify, prune, erase, dead,
        doctor, catalog, demo,
    ):  # fmt: skip
        module.add_commands(commands, common)
    add_examples(parser)
    return parser


def _common(*, url: Any, json: Any) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--url", default=url, help="database, as postgresql://... or sqlite:///...")
    parser.add_argument(
        "--json", action="store_true", default=json, help="print JSON, for programs"
    )
    return parser
