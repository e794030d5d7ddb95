"""
Checkpoints: how far every chain is, in a line that leaves the database.

Whoever owns the database can cut off the end of a chain, or take a whole one
away, and nothing within it tells. A line elsewhere does::

    {"v": 1, "no": 7, "taken_at": "2026-03-14T12:00:00.000000+00:00",
     "heads": [[chain_id, link, seal], ...], "prev": "...", "key_id": "", "mac": ""}

A file is a sequence of such lines: each holds the chains that went on since
the lines before it, and in ``prev`` the SHA-256 of the last of those. A line
that goes elsewhere holds all chains.
"""

from __future__ import annotations

import hmac
import json
import os

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, Final, TypeAlias
from uuid import UUID

from sqlalchemy import Connection, Engine, insert, text

from ...record.times import to_microseconds
from ..engine import SQLITE
from ..locks import CHECKPOINT, lock
from ..table import user_activity_checkpoint
from .ledgercheck import Head
from .report import SealFindings
from .seal import key_id_of, keys_by_id


CheckpointSink: TypeAlias = "str | os.PathLike[str] | Callable[[str], object]"

_HEADS: Final = text(
    "SELECT b.chain_id, b.link, b.seal FROM user_activity_batch b JOIN "
    "(SELECT chain_id, max(link) AS link FROM user_activity_batch GROUP BY chain_id) h "
    "ON h.chain_id = b.chain_id AND h.link = b.link ORDER BY b.chain_id"
)
_LAST_NO: Final = text("SELECT coalesce(max(no), 0) FROM user_activity_checkpoint")
_VERSION: Final = 1
_HOUR: Final = 3_600_000  # milliseconds


@dataclass(slots=True)
class Exported:
    """
    What the lines of one file say together.

    Attributes:

        heads: How far each chain was.

        last: SHA-256 of the last line; ``""`` where there is none.

        taken_at: When that one was taken.
    """

    heads: dict[UUID, Head] = field(default_factory=dict)
    last: str = ""
    taken_at: datetime | None = None

    @property
    def since(self) -> int:
        """The number from which on batches are certainly younger than the last line."""
        if self.taken_at is None:
            return 0
        # A clock may be off, and a transaction take its time.
        return max(0, to_microseconds(self.taken_at) // 1000 - _HOUR) << 22


def take_checkpoint(engine: Engine, sink: CheckpointSink, *, key: bytes = b"") -> str:
    """
    Write a line to *sink*, and a copy of it into the database; return it.

    Args:

        engine: Reaches the database.

        sink: A file, to which it is appended and synced, or what takes the line.

        key: Signs it; empty signs nothing.

    Raises:

        OSError: The file can't be written.
    """
    with engine.begin() as connection:
        # First the lock, so that nobody else appends to the file meanwhile.
        no = _locked(connection)
        if callable(sink):
            line = _recorded(connection, no, Exported(), key)
            sink(line)
            return line
        with Path(sink).open("a+b") as file:
            file.seek(0)
            before = read_lines(_texts(file), SealFindings())
            line = _recorded(connection, no, before, key)
            _append(file, line)
    return line


def read_checkpoints(
    path: str | os.PathLike[str], findings: SealFindings, keys: Sequence[bytes]
) -> Exported:
    """
    Return what a file of checkpoints says.

    Args:

        path: The file.

        findings: Where findings go.

        keys: Those with which lines were signed; none checks no signature.

    Raises:

        OSError: It can't be read.
    """
    with Path(path).open("rb") as file:
        found = read_lines(_texts(file), findings, keys)
    if not found.last:  # Else whoever empties the file is rid of it.
        findings.add("checkpoint.broken", "the file holds no checkpoint")
    return found


def read_lines(
    lines: Iterable[str], findings: SealFindings, keys: Sequence[bytes] = ()
) -> Exported:
    """Return what *lines* say together."""
    found = Exported()
    by_id = keys_by_id(keys)
    for number, line in enumerate(lines, 1):
        told = _parsed(line)
        if told is None:
            findings.notes.append(f"line {number} of the checkpoints is cut off or none")
            continue
        # One that names no line before it went to a callable, and holds all chains.
        if told["prev"] not in {"", found.last}:
            text_ = f"checkpoint {told['no']}: the line before it is gone or was changed"
            findings.add("checkpoint.broken", text_)
        if keys and not _is_signed(told["raw"], by_id):
            text_ = f"checkpoint {told['no']} is not signed by who has the key"
            findings.add("checkpoint.mac", text_)
        for chain_id, head in told["heads"]:
            if head.link >= found.heads.get(chain_id, head).link:
                found.heads[chain_id] = head
        found.last, found.taken_at = _digest(line), told["taken_at"]
    return found


def _recorded(connection: Connection, no: int, before: Exported, key: bytes) -> str:
    now = datetime.now(UTC)
    line = _line(no, now, _news(connection, before.heads), before.last, key)
    values = {"no": no, "taken_at": now, "line": line}
    connection.execute(insert(user_activity_checkpoint).values(values))
    return line


def _locked(connection: Connection) -> int:
    """Let nobody else take a checkpoint until the end of the transaction; return its number."""
    if connection.dialect.name == SQLITE:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        lock(connection.exec_driver_sql, CHECKPOINT)
    return int(connection.scalar(_LAST_NO) or 0) + 1


def _news(connection: Connection, known: Mapping[UUID, Head]) -> list[list[Any]]:
    heads = []
    for chain, link, digest in connection.execute(_HEADS):
        chain_id = chain if isinstance(chain, UUID) else UUID(bytes=chain)
        head = Head(link, bytes(digest))
        if known.get(chain_id) != head:
            heads.append([str(chain_id), head.link, head.digest.hex()])
    return heads


def _line(no: int, now: datetime, heads: Sequence[Any], prev: str, key: bytes) -> str:
    told: dict[str, Any] = {
        "v": _VERSION,
        "no": no,
        "taken_at": now.isoformat(timespec="microseconds"),
        "heads": heads,
        "prev": prev,
        "key_id": key_id_of(key),
    }
    return json.dumps({**told, "mac": _signature(key, told) if key else ""})


def _signature(key: bytes, told: Mapping[str, Any]) -> str:
    own = hmac.digest(key, b"checkpoint", "sha256")
    return hmac.digest(own, json.dumps(told).encode(), "sha256").hex()


def _is_signed(raw: Mapping[str, Any], keys: Mapping[str, bytes]) -> bool:
    key = keys.get(str(raw.get("key_id")))
    if key is None:
        return False
    told = {name: value for name, value in raw.items() if name != "mac"}
    return hmac.compare_digest(_signature(key, told), str(raw["mac"]))


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        raw = json.loads(line)
        heads = [
            (UUID(chain_id), Head(int(link), bytes.fromhex(digest)))
            for chain_id, link, digest in raw["heads"]
        ]
        taken_at = datetime.fromisoformat(raw["taken_at"])
        told = {name: raw[name] for name in ("no", "prev", "mac")}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return {**told, "heads": heads, "taken_at": taken_at, "raw": raw}


def _digest(line: str) -> str:
    return sha256(line.encode()).hexdigest()


def _texts(file: IO[bytes]) -> Iterable[str]:
    for line in file:
        if text_ := line.decode("utf-8", "replace").strip():
            yield text_


def _append(file: IO[bytes], line: str) -> None:
    # A line that broke off, as the machine did, must not spoil this one.
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 1))
    torn = b"\n" if file.read(1) not in {b"", b"\n"} else b""
    file.write(torn + line.encode() + b"\n")
    file.flush()
    os.fsync(file.fileno())
