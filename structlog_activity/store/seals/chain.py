"""
The chain of one writer: each batch is tied to the one that was committed before it.
"""

from __future__ import annotations

import os
import time

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from ...record.ids import uuid7
from ..batch import Batch, new_batch_id
from . import seal as seals
from .seal import ADOPTED, CLOSING, GENESIS, SALT_BYTES, SESSION, Seal


LEDGER_COLUMNS: Final = (
    "writer_id", "seq", "batch_id", "n", "written_at", "chain_id", "link", "flags",
    "first_at", "last_at", "root", "prev", "seal", "key_id", "mac",
)  # fmt: skip
"""What of the ledger is written with a batch, in the order of the table."""

LedgerRow = tuple[
    UUID, int, int, int, int, UUID, int, int, int, int, bytes, bytes, bytes, str, bytes
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class SealedBatch:
    """
    A batch with what is stored of it in the ledger.

    Attributes:

        batch: The batch.

        salts: One for each of its rows.

        seal: What is sealed.

        digest: The 32 bytes of the seal.

        mac: Its signature; empty without a key.
    """

    batch: Batch
    salts: list[bytes]
    seal: Seal
    digest: bytes
    mac: bytes

    def ledger_row(self) -> LedgerRow:
        """Return the values of `LEDGER_COLUMNS`, times in microseconds."""
        s = self.seal
        return (
            s.writer_id, s.seq, s.batch_id, s.n, s.written_at, s.chain_id, s.link, s.flags,
            s.first_at, s.last_at, s.root, s.prev, self.digest, s.key_id, self.mac,
        )  # fmt: skip


class Chain:
    """
    Seal batches one after another, each tied to the last one that was committed.

    One thread at a time uses it, and one batch at a time is under way: after
    `seal` comes one of `committed`, `refused` and `found`. A COMMIT whose
    answer was lost is `in_doubt` before it is sent, and stays so until the same
    batch is sent again, as sealed then, byte for byte. Where another batch comes
    first, nobody can tell what to tie it to: a new chain begins.

    Args:

        key: Signs the seals; empty signs nothing.

        flags: Of every seal.

        clock: Returns now, in nanoseconds since 1970.

        random: Returns so many random bytes.
    """

    def __init__(
        self,
        key: bytes = b"",
        *,
        flags: int = 0,
        clock: Callable[[], int] = time.time_ns,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._master = key
        self._key_id = seals.key_id_of(key)
        self._flags = flags
        self._clock = clock
        self._random = random
        self.restart()

    @classmethod
    def alone(cls, batch: Batch, key: bytes = b"") -> SealedBatch:
        """Return *batch* as a chain of its own, begun and closed with it."""
        return cls(key, flags=SESSION | CLOSING).seal(batch)

    def restart(self) -> None:
        """Begin a new chain; the old one stays as it is, without an end."""
        self._id = uuid7()
        self._link = 1
        self._head = seals.genesis(self._id)
        self._key = seals.first_key(self._master, self._id) if self._master else b""
        self._writer_id: UUID | None = None  # The last whose batch was committed.
        self._current: SealedBatch | None = None
        self._is_in_doubt = False

    @property
    def is_begun(self) -> bool:
        """Whether a batch was committed, and none is in doubt."""
        return self._link > 1 and not self._is_in_doubt

    def seal(self, batch: Batch) -> SealedBatch:
        """Return *batch* sealed; the same as before if it is sent again."""
        current = self._current
        if current is not None and current.batch == batch:
            return current
        if self._is_in_doubt:
            self.restart()
        self._current = sealed = self._sealed(batch)
        return sealed

    def seal_end(self) -> SealedBatch:
        """Return the closing seal, a batch without rows."""
        batch = Batch(self._writer_id or self._id, 0, new_batch_id(), ())
        self._current = sealed = self._sealed(batch)
        return sealed

    def in_doubt(self) -> None:
        """Note that COMMIT is about to be sent."""
        self._is_in_doubt = True

    def refused(self) -> None:
        """Note that nothing of the current batch is stored, nor will be by an earlier try."""
        self._is_in_doubt = False

    def committed(self) -> None:
        """Note that the current batch is stored."""
        assert self._current is not None  # noqa: S101  For the type checker.
        sealed, self._current = self._current, None
        if not sealed.batch.rows:  # The end of this one.
            self.restart()
            return
        self._is_in_doubt = False
        self._link += 1
        self._head = sealed.digest
        self._key = seals.next_key(self._key) if self._key else b""
        if not sealed.batch.inherited:
            self._writer_id = sealed.batch.writer_id

    def found(self, look: Callable[[], bytes]) -> None:
        """
        Note that the ledger had the current batch before.

        Args:

            look: Returns the seal that is stored; it may raise.
        """
        if not self._is_in_doubt or self._current is None:
            self._current = None  # Somebody else's, tied to a chain of theirs.
            return
        if self._is_ours(look, self._current.digest):
            self.committed()
        else:
            self.restart()

    @staticmethod
    def _is_ours(look: Callable[[], bytes], digest: bytes) -> bool:
        try:
            return bytes(look()) == digest
        except Exception:  # noqa: BLE001  A role that may not look, or a connection that broke.
            return False

    def _sealed(self, batch: Batch) -> SealedBatch:
        rows = batch.rows
        salts = seals.salts_of(self._random(SALT_BYTES * len(rows)))
        now = self._clock() // 1000
        times = [row.created_at for row in rows] or [now]
        seal = Seal(
            batch_id=batch.batch_id,
            writer_id=batch.writer_id,
            seq=batch.seq,
            chain_id=self._id,
            link=self._link,
            n=len(rows),
            flags=self._flags_of(batch),
            first_at=min(times),
            last_at=max(times),
            written_at=now,
            root=seals.root(seals.leaves(rows, salts)),
            prev=self._head,
            key_id=self._key_id,
        )
        digest = seal.digest()
        mac = seals.mac(self._key, digest) if self._key else b""
        return SealedBatch(batch, salts, seal, digest, mac)

    def _flags_of(self, batch: Batch) -> int:
        flags = self._flags
        if self._link == 1:
            flags |= GENESIS
        if batch.inherited:
            flags |= ADOPTED
        return flags if batch.rows else flags | CLOSING
