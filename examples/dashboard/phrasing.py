"""Records in words, and text that anybody may have written in a form that harms nobody."""

from __future__ import annotations

import json
import unicodedata

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, Final
from uuid import UUID
from zlib import crc32
from zoneinfo import ZoneInfo

from structlog_activity import NIL, ActivityRecord


HUES: Final = 8
"""How many colours avatars have."""

_NAMES: Final = ("display", "name", "email")
_FAILED: Final = {"failed", "failure", "error", "denied"}
_LONGEST_FOLD: Final = 200
# They change how the text after them reads: overrides, isolates, marks, and line ends.
_BIDI: Final = {*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C}
_INVISIBLE: Final = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def visible(value: Any) -> str:
    """Return text in which whatever can't be seen, or turns the rest around, is spelled out."""
    text = str(value)
    if text.isascii() and text.isprintable():
        return text
    return "".join(_seen(letter) for letter in text)


def _seen(letter: str) -> str:
    if letter in "\n\t\u200d\ufe0f":  # The latter two join emoji.
        return letter
    if ord(letter) in _BIDI or unicodedata.category(letter) in _INVISIBLE:
        return f"\\u{ord(letter):04x}"
    return letter


@dataclass(frozen=True, slots=True)
class Who:
    """
    Somebody, as the page names them.

    Attributes:

        id: Whose it is; `NIL` where nobody was known.

        name: What the record calls them, else the beginning of the id.

        term: What a search takes for them; ``""`` where there is nobody.
    """

    id: UUID
    name: str
    term: str

    @property
    def initials(self) -> str:
        """One or two letters."""
        parts = [part for part in self.name.replace("@", " ").replace("-", " ").split() if part]
        letters = [part[0] for part in parts[:2] if part[0].isalnum()]
        return "".join(letters).upper() or "?"

    @property
    def hue(self) -> int:
        """Which of the colours."""
        return crc32(self.id.bytes) % HUES


def who(record: ActivityRecord, field: str = "actor_id") -> Who:
    """Return who acted, or whose account it concerned, in the words of the record."""
    id_: UUID = getattr(record, field)
    if id_ == NIL:
        return Who(NIL, "Unknown" if field == "actor_id" else "Nobody", "")
    raw = record.data.get("_raw")
    original = raw.get(field) if isinstance(raw, Mapping) else None
    name = _named(record, field.removesuffix("_id")) or original
    return Who(id_, visible(name)[:80] if name else str(id_)[:8], str(original or id_))


def _named(record: ActivityRecord, role: str) -> str | None:
    found = (record.data.get(f"{role}_{name}") for name in _NAMES)
    return next((name for name in found if isinstance(name, str) and name.strip()), None)


@dataclass(frozen=True, slots=True)
class Line:
    """
    One line of the feed: a record, and those like it that follow at once.

    Attributes:

        records: The same actor, verb and object each; newest first.
    """

    records: list[ActivityRecord]

    @property
    def first(self) -> ActivityRecord:
        """The newest."""
        return self.records[0]


def days(records: list[ActivityRecord], zone: ZoneInfo) -> list[tuple[datetime, list[Line]]]:
    """Return records by day, with runs of what is alike folded."""
    found = []
    for _, of_day in groupby(records, lambda record: local(record, zone).date()):
        lines = [Line(list(alike)) for _, alike in groupby(of_day, _likeness)]
        found.append((local(lines[0].first, zone), lines))
    return found


def _likeness(record: ActivityRecord) -> tuple[Any, ...]:
    return record.actor_id, record.user_id, record.verb, record.object, record.data.get("outcome")


def local(record: ActivityRecord, zone: ZoneInfo) -> datetime:
    """Return when it happened, by the clocks of a zone."""
    assert record.occurred_at is not None  # noqa: S101  Every stored record has its time.
    return record.occurred_at.astimezone(zone)


def action(record: ActivityRecord) -> str:
    """Return the last part of the verb, as a word of a sentence."""
    return visible(record.verb.rpartition(".")[2].replace("_", " "))


def failed(record: ActivityRecord) -> bool:
    """Tell whether it went wrong."""
    outcome = record.data.get("outcome")
    return isinstance(outcome, str) and outcome.lower() in _FAILED


def details(record: ActivityRecord) -> list[tuple[str, str]]:
    """Return what else a line of the feed says: the text of the log call, or some data."""
    event = record.data.get("event")
    if isinstance(event, str) and event.strip():
        return [("", visible(event)[:200])]
    plain = [
        (visible(key)[:40], visible(value)[:60])
        for key, value in record.data.items()
        if not isinstance(value, dict | list) and key not in _TOLD and not key.startswith("actor_")
    ]
    return plain[:3]


_TOLD: Final = {"request_id", "correlation_id", "outcome", "_raw", "trace_id", "span_id"}


def changes(record: ActivityRecord) -> list[tuple[str, str, str]]:
    """Return what a record says was changed: of what, from, to."""
    data, found = record.data, []
    for before, after in (("from", "to"), ("old", "new"), ("before", "after")):
        if before in data or after in data:
            what = data.get("path") or data.get("field") or record.object_type
            found.append((visible(what), shown(data.get(before)), shown(data.get(after))))
    several = data.get("changes")
    if isinstance(several, Mapping):
        found += [pair for key, value in several.items() if (pair := _pair(key, value))]
    return found


def _pair(key: str, value: Any) -> tuple[str, str, str] | None:
    if isinstance(value, list) and len(value) == 2:  # noqa: PLR2004  Before and after.
        return visible(key), shown(value[0]), shown(value[1])
    if isinstance(value, Mapping) and ("to" in value or "new" in value):
        before, after = value.get("from", value.get("old")), value.get("to", value.get("new"))
        return visible(key), shown(before), shown(after)
    return None


def shown(value: Any) -> str:
    """Return a value of data for people: text as it is, all else as JSON."""
    if value is None:
        return "\N{EM DASH}"
    if isinstance(value, str):
        return visible(value)
    return visible(json.dumps(value, ensure_ascii=False, indent=2))


def ago(moment: datetime, now: datetime) -> str:
    """Return how long ago a moment is."""
    seconds = (now - moment).total_seconds()
    if seconds < 0:
        return "in the future"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return "just now"
