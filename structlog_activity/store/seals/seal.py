"""
The bytes that are sealed: what a row is hashed to, and what a batch.

Nothing here knows a database, a clock or a source of randomness, so that
whoever distrusts this package can write it down again from this page. Version
1, with integers big-endian, a text as its length (4 bytes) and its UTF-8, and
times as microseconds since 1970 (8 bytes, signed)::

    header   = 01 | id | created_at | tenant_id | org_id | verb | object_type | channel
    personal = actor_id | user_id | object_id | ip | data
    commit   = SHA256(03 | salt | personal)
    leaf     = SHA256(00 | header | commit)
    root     = SHA256(04 | leaf of row 0 | leaf of row 1 | ...)
    seal     = SHA256(02 | 01 | batch_id | writer_id | seq | chain_id | link | n | flags
                      | first_at | last_at | written_at | root | prev | key_id)
    mac      = HMAC-SHA256(key of the link, seal)

``data`` is what PostgreSQL prints for the ``jsonb``; ``prev`` is the seal of
the link before, and of the first link ``SHA256("genesis" | chain_id)``. A
header begins with the version of what it holds, so that another can follow.
The personal part hangs on a salt of 16 random bytes: once that is gone, the
commitment tells nothing of what it was made from, and still proves the rest.

Two others know these bytes: `in_database` makes them in SQL, and `traces` reads headers.
"""

from __future__ import annotations

import hmac

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from struct import Struct
from typing import Final
from uuid import UUID

from ...record.canonical import canonical
from ...record.row import Row


SALT_BYTES: Final = 16
"""Length of the salt in the column ``commitment`` of a row that is whole."""

COMMIT_BYTES: Final = 32
"""Length of what stands there once the personal part of the row is erased."""

GENESIS: Final = 1
"""Flag: the first link of its chain."""

CLOSING: Final = 2
"""Flag: the writer ended as it should, and nothing follows."""

ADOPTED: Final = 4
"""Flag: a batch that another process had begun to send before it died."""

SESSION: Final = 8
"""Flag: written in a transaction of the host's; a chain of one link."""

_HEADER: Final = Struct(">s16sq").pack
_SCOPE: Final = Struct(">16s16sI").pack
_PERSONAL: Final = Struct(">s16s16s16sI").pack
_LENGTH: Final = Struct(">I").pack
_SEAL: Final = Struct(">2sq16sq16sqIIqqq32s32sI").pack


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """
    What is sealed of a batch, apart from its rows.

    Attributes:

        batch_id: As of the `Batch`.

        writer_id: As of the `Batch`.

        seq: As of the `Batch`; 0 for a closing seal without rows.

        chain_id: The chain: the batches that one process wrote through one
            connection, each tied to the one before.

        link: The place in that chain: 1, 2, 3, ... without a gap.

        n: How many rows.

        flags: `GENESIS`, `CLOSING`, `ADOPTED` and `SESSION`, added up.

        first_at: Earliest ``created_at`` of the rows.

        last_at: Latest one.

        written_at: When it was sealed, by the clock of the writer.

        root: Digest of the rows.

        prev: Digest of the link before.

        key_id: Which key signed it; ``""`` is none.
    """

    batch_id: int
    writer_id: UUID
    seq: int
    chain_id: UUID
    link: int
    n: int
    flags: int
    first_at: int
    last_at: int
    written_at: int
    root: bytes
    prev: bytes
    key_id: str

    def digest(self) -> bytes:
        """Return the 32 bytes to which the next link is tied."""
        key_id = self.key_id.encode()
        return sha256(
            _SEAL(
                b"\x02\x01", self.batch_id, self.writer_id.bytes, self.seq,
                self.chain_id.bytes, self.link, self.n, self.flags,
                self.first_at, self.last_at, self.written_at, self.root, self.prev, len(key_id),
            )
            + key_id
        ).digest()  # fmt: skip


def genesis(chain_id: UUID) -> bytes:
    """Return what the first link of a chain is tied to."""
    return sha256(b"genesis" + chain_id.bytes).digest()


class UnsealableRowError(ValueError):
    """
    A row holds what can't be sealed, and so can't be stored either.

    Attributes:

        row: Index of the row in its batch.
    """

    def __init__(self, row: int, problem: str) -> None:
        self.row = row
        super().__init__(problem)


# -- rows -------------------------------------------------------------------


def header(row: Row) -> bytes:
    """Return the part of *row* that outlives an erasure."""
    tenant_id, created_at, id_, _, _, org_id, verb, object_type, _, channel, _, _ = row
    return _HEADER(b"\x01", id_, created_at) + _often(tenant_id, org_id, verb, object_type, channel)


@lru_cache(maxsize=4096)
def _often(tenant_id: bytes, org_id: bytes, verb: str, object_type: str, channel: str) -> bytes:
    """Return the rest of a header, which comes again and again."""
    verb_, type_, channel_ = verb.encode(), object_type.encode(), channel.encode()
    return b"".join(
        (
            _SCOPE(tenant_id, org_id, len(verb_)), verb_,
            _LENGTH(len(type_)), type_, _LENGTH(len(channel_)), channel_,
        )
    )  # fmt: skip


def commit(row: Row, salt: bytes) -> bytes:
    """
    Return the 32 bytes that stand for the personal part of *row*.

    Args:

        row: Its ``data`` is made canonical here.

        salt: 16 bytes.
    """
    return commit_to(row, salt, canonical(row.data))


def commit_to(row: Row, salt: bytes, data: str) -> bytes:
    """Return `commit` of a row whose ``data`` are canonical already."""
    _, _, _, actor_id, user_id, _, _, _, object_id, _, ip, _ = row
    object_, ip_, data_ = object_id.encode(), ip.encode(), data.encode()
    return sha256(
        b"".join(
            (
                _PERSONAL(b"\x03", salt, actor_id, user_id, len(object_)), object_,
                _LENGTH(len(ip_)), ip_, _LENGTH(len(data_)), data_,
            )
        )
    ).digest()  # fmt: skip


def leaf(header: bytes, commit: bytes) -> bytes:
    """Return the digest of a row, of its two parts."""
    return sha256(b"\x00" + header + commit).digest()


def leaves(rows: Sequence[Row], salts: Sequence[bytes]) -> list[bytes]:
    """
    Return the digest of each row.

    Raises:

        UnsealableRowError: A text is no UTF-8, a number out of range, ``data`` no JSON.
    """
    found = []
    for index, (row, salt) in enumerate(zip(rows, salts, strict=True)):
        try:
            found.append(leaf(header(row), commit(row, salt)))
        except Exception as error:  # noqa: BLE001  Whatever it is, it is this row's.
            raise UnsealableRowError(index, type(error).__name__) from None
    return found


def root(leaves: Iterable[bytes]) -> bytes:
    """Return the digest of a batch from those of its rows, in their order."""
    return sha256(b"\x04" + b"".join(leaves)).digest()


def salts_of(slab: bytes) -> list[bytes]:
    """Cut random bytes into salts."""
    return [slab[at : at + SALT_BYTES] for at in range(0, len(slab), SALT_BYTES)]


# -- keys -------------------------------------------------------------------


def key_id_of(key: bytes) -> str:
    """Return the name of a key, which tells nothing about it; ``""`` for no key."""
    return sha256(b"key id" + key).hexdigest()[:16] if key else ""


def keys_by_id(keys: Iterable[bytes]) -> dict[str, bytes]:
    """Return keys by their names; an empty one is none."""
    return {key_id_of(key): key for key in keys if key}


def first_key(key: bytes, chain_id: UUID) -> bytes:
    """Return the key of the first link of a chain."""
    return hmac.digest(key, b"writer" + chain_id.bytes, "sha256")


def next_key(key: bytes) -> bytes:
    """Return the key of the link that follows; there is no way back."""
    return sha256(b"evolve" + key).digest()


def key_at(key: bytes, chain_id: UUID, link: int) -> bytes:
    """Return the key of any link of a chain, in as many steps as there are before it."""
    found = first_key(key, chain_id)
    for _ in range(link - 1):
        found = next_key(found)
    return found


def mac(key: bytes, digest: bytes) -> bytes:
    """Return what signs the digest of a seal with the key of its link."""
    return hmac.digest(key, digest, "sha256")
