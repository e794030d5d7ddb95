"""
The grammar of the command line.
"""

from __future__ import annotations

import argparse

from .. import __version__
from . import demo, ingest, reading, schema


_DESCRIPTION = "Look at, fill and look after an activity log."
_EPILOG = """\
The database is --url, else $STRUCTLOG_ACTIVITY_URL, else sqlite:///activity.db.

Exit codes: 0 ok, 1 findings, 2 usage, 3 database unreachable, 4 schema, 130 interrupted.

examples:
  structlog-activity --url postgresql://app@db/app migrate
  structlog-activity feed --tenant acme --verb 'settings.*' --since 7d
  structlog-activity stats --tenant acme --since 2026-01-01 --json
  structlog-activity ingest app.log.jsonl.gz
"""


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line; each command sets ``run``."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--url", default=argparse.SUPPRESS, help="database, as postgresql://... or sqlite:///..."
    )
    common.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="print JSON, for programs"
    )
    parser = argparse.ArgumentParser(
        prog="structlog-activity",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        parents=[common],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.set_defaults(url=None, json=False)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for room in (schema, reading, ingest, demo):
        room.add_commands(commands, common)
    return parser
