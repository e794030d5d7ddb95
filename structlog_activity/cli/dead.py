"""
The commands about dead letters: ``dead list``, ``show``, ``retry`` and ``purge``.
"""

from __future__ import annotations

import argparse
import contextlib

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from ..log import SPOOL_VARIABLE, ActivityLog
from .codes import FINDINGS, OK, UsageError
from .database import require_spool, spool_options, without_writer
from .output import object_text, print_json, print_table, printable
from .progress import Progress, say


if TYPE_CHECKING:
    from ..write.deadletters import DeadLetter, LettersInFolder


_HEADINGS: Final = ("id", "set aside (UTC)", "verb", "object", "reason")
_DESCRIPTION: Final = """\
Records that the database refused for a reason that lies in the record are set
aside, one file each, in the folder `dead` of the spool. Look at them, mend the
reason, and try them again.
"""


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add ``dead`` and what it can do."""
    dead = commands.add_parser(
        "dead", help="look at records that the database refused", description=_DESCRIPTION
    )
    actions = dead.add_subparsers(title="actions", metavar="ACTION", required=True)
    parents = [common, spool_options()]
    list__ = actions.add_parser(
        "list",
        parents=parents,
        help="list them",
        description="List the records that were set aside.",
    )
    list__.set_defaults(run=list_)
    show_ = actions.add_parser(
        "show",
        parents=parents,
        help="print one as JSON",
        description="Print a record that was set aside, as JSON.",
    )
    show_.add_argument("id", help="as `dead list` prints it")
    show_.set_defaults(run=show)
    retry_ = actions.add_parser(
        "retry",
        parents=parents,
        help="write them, now that it may work",
        description="Write records that were set aside, now that it may work. Each is removed once "
        "it is stored; an interrupted run loses none. Exits with 1 where some are refused again.",
    )
    retry_.add_argument("ids", metavar="ID", nargs="*", help="these only; default is all")
    retry_.set_defaults(run=retry)
    purge_ = actions.add_parser(
        "purge",
        parents=parents,
        help="delete them for good",
        description="Delete records that were set aside, for good.",
    )
    which = purge_.add_mutually_exclusive_group(required=True)
    which.add_argument("ids", metavar="ID", nargs="*", default=[], help="these")
    which.add_argument("--all", action="store_true", help="all of them")
    purge_.set_defaults(run=purge)


def list_(options: argparse.Namespace) -> int:
    """Run ``dead list``."""
    letters = _letters(_log(options))
    names = letters.names()
    found = list(_readable(letters, names))
    if options.json:
        for name, letter in found:
            print_json({"id": name, **letter.to_dict()})
    elif found:
        print_table(_HEADINGS, [_cells(name, letter) for name, letter in found])
    say(f"{len(found):,} dead letters")
    return OK if len(found) == len(names) else FINDINGS


def show(options: argparse.Namespace) -> int:
    """Run ``dead show``."""
    print_json(_read(_letters(_log(options)), options.id).to_dict())
    return OK


def retry(options: argparse.Namespace) -> int:
    """Run ``dead retry``."""
    activity = _log(options)
    letters = _letters(activity)
    # What is named has to be there; of all, those that can be read.
    tried = [(name, _read(letters, name)) for name in options.ids]
    names = options.ids or letters.names()
    tried = tried or list(_readable(letters, names))
    stored, refused = _retry(activity, letters, tried) if tried else (0, 0)
    if options.json:
        print_json({"stored": stored, "refused": refused})
    say(f"{stored:,} dead letters stored, {refused:,} refused again")
    return OK if stored == len(names) else FINDINGS


def purge(options: argparse.Namespace) -> int:
    """Run ``dead purge``."""
    letters = _letters(_log(options))
    for name in options.ids:
        _require(letters, name)
    count = sum(letters.remove(name) for name in options.ids or letters.names())
    say(f"{count:,} dead letters deleted")
    return OK


def _retry(
    activity: ActivityLog, letters: LettersInFolder, tried: Sequence[tuple[str, DeadLetter]]
) -> tuple[int, int]:
    stored = refused = 0
    with (
        without_writer(activity),
        contextlib.closing(activity.importer()) as importer,
        Progress("letters", len(tried)) as progress,
    ):
        for name, letter in tried:
            before = importer.counts["dead"]
            importer.store([letter.row])
            if importer.counts["dead"] > before:
                refused += 1
            else:
                stored += 1
                letters.remove(name)
            progress.update(stored + refused, stored + refused)
    return stored, refused


def _log(options: argparse.Namespace) -> ActivityLog:
    """Return the log whose spool it is; nothing of it is opened, or made, by looking at letters."""
    require_spool(options)
    return ActivityLog(options.url, spool_dir=options.spool_dir, migrate=False)


def _letters(activity: ActivityLog) -> LettersInFolder:
    letters = activity.letters_on_disk
    if letters is None:
        raise UsageError(f"--spool-dir is needed, or ${SPOOL_VARIABLE}")
    return letters


def _require(letters: LettersInFolder, name: str) -> None:
    if name not in letters.names():
        raise UsageError(f"there is no dead letter {name!r}: see `dead list`")


def _readable(letters: LettersInFolder, names: Sequence[str]) -> Iterator[tuple[str, DeadLetter]]:
    """Yield the letters of these names, and tell which can't be read."""
    for name in names:
        try:
            yield name, letters.get(name)
        except (OSError, ValueError) as error:
            say(printable(f"problem: dead letter {name!r} can't be read: {error}"))


def _read(letters: LettersInFolder, name: str) -> DeadLetter:
    _require(letters, name)
    try:
        return letters.get(name)
    except (OSError, ValueError) as error:
        raise UsageError(f"dead letter {name!r} can't be read: {error}") from None


def _cells(name: str, letter: DeadLetter) -> list[str]:
    row = letter.row
    object_ = object_text(row.object_type, row.object_id)
    cells = [name, f"{letter.at:%Y-%m-%d %H:%M:%S}", row.verb, object_, letter.reason]
    return [printable(cell) for cell in cells]
