"""
Shows a dashboard of an activity log in the browser.

    python -m examples.dashboard --url sqlite:///activity.db
    python examples/dashboard --demo
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import sys
import tempfile

from collections.abc import Iterator, Sequence
from pathlib import Path
from zoneinfo import ZoneInfoNotFoundError


if not __package__:  # Started as a folder, which is then where modules are looked for first.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import uvicorn

from examples.dashboard.app import Options, make_app
from examples.dashboard.demo import lively
from structlog_activity import ActivityError, ActivityLog
from structlog_activity.cli.database import read_key, require_file


_TOKEN = "STRUCTLOG_ACTIVITY_DASHBOARD_TOKEN"  # noqa: S105  The name of a variable.
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C."""
    options = _parser().parse_args(arguments)
    token = options.token or os.environ.get(_TOKEN, "")
    if options.host not in _LOOPBACK and not (token and options.tenant):
        _say("beyond loopback a --token and a --tenant are needed ('*' for all)")
        return 2
    try:
        with _log(options) as activity:
            app = make_app(
                activity,
                Options(
                    tenants=tuple(options.tenant or ("*",)),
                    token=token,
                    hosts=tuple(options.allow_host),
                    zone=options.tz,
                ),
            )
            _say(f"http://{options.host}:{options.port}/  (Ctrl-C ends it)")
            uvicorn.run(
                app,
                host=options.host,
                port=options.port,
                log_level="critical",
                # Pages that are live never end by themselves.
                timeout_graceful_shutdown=1,
            )
    except (ActivityError, OSError, ValueError, ZoneInfoNotFoundError) as error:
        _say(str(error))
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="examples.dashboard", description=__doc__)
    parser.add_argument("--url", help="of the log; default $STRUCTLOG_ACTIVITY_URL")
    parser.add_argument("--demo", action="store_true", help="show made-up activity instead")
    parser.add_argument(
        "--tenant",
        action="append",
        help="whose records, repeatable; '*' is all (default), '-' those without a tenant",
    )
    parser.add_argument("--token", help=f"needed to see anything; default ${_TOKEN}")
    parser.add_argument(
        "--key-file",
        action="append",
        default=[],
        help="the application's key, with which seals are checked; repeatable, for earlier ones",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8321)
    parser.add_argument(
        "--allow-host", action="append", default=[], help="name that browsers know this server by"
    )
    parser.add_argument("--tz", default="UTC", help="time zone, such as Europe/Berlin")
    return parser


@contextlib.contextmanager
def _log(options: argparse.Namespace) -> Iterator[ActivityLog]:
    if options.demo:
        with (
            tempfile.TemporaryDirectory() as folder,
            lively(f"sqlite:///{folder}/demo.db") as found,
        ):
            yield found
        return
    # Signs cursors, so that nobody can make one; nothing is written that it could seal.
    key, *old_keys = [*map(read_key, options.key_file), secrets.token_bytes(32)]
    with ActivityLog(options.url, migrate=False, key=key, old_keys=old_keys) as activity:
        require_file(activity)
        yield activity


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
