"""
Rows held against the roots of their batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, NamedTuple
from uuid import UUID

from ...record.row import Row
from . import seal as seals
from .report import SealFindings
from .seal import COMMIT_BYTES, SALT_BYTES
from .traces import Declarations, is_erased, unpack_stubs


_ID_BYTES: Final = 16
_SUM: Final = 2**256


class StoredRow(NamedTuple):
    """
    A row as it is stored, with what the ledger says of its batch.

    Attributes:

        row: The row.

        batch_id: Its batch.

        batch_ix: Its place there.

        commitment: Salt, or what stands for the erased part.

        n: How many rows were sealed; `None` where the ledger lacks the batch.

        root: Digest of those rows.

        last_at: ``created_at`` of the latest of them.

        dropped: Stubs of those that retention took.
    """

    row: Row
    batch_id: int
    batch_ix: int
    commitment: bytes
    n: int | None
    root: bytes | None
    last_at: int | None
    dropped: bytes | None


class DroppedRows(NamedTuple):
    """
    What the ledger keeps of rows of a batch that retention took.

    Attributes:

        batch_id: The batch.

        n: How many rows were sealed.

        root: Digest of those rows.

        dropped: The stubs.
    """

    batch_id: int
    n: int
    root: bytes
    dropped: bytes


@dataclass(slots=True)
class _Open:
    """A batch of which rows are still to come."""

    n: int
    root: bytes
    leaves: dict[int, bytes] = field(default_factory=dict)
    found: dict[int, bytes] = field(default_factory=dict)

    @property
    def ids(self) -> list[bytes]:
        """Ids of the rows that are there, in the order of their places."""
        return [self.found[ix] for ix in sorted(self.found)]


def never(_batch_id: int) -> bool:
    """Tell that no batch was written meanwhile: ledger and rows are of one snapshot."""
    return False


class RowCheck:
    """
    Take rows in any order, and tell which batches are not as they were sealed.

    What is kept is one digest for each row of the batches that are not
    complete, and the ids of erased rows.

    Args:

        findings: Where findings go.

        declared: What may lawfully be gone; grows with what rows declare.

        canonical: Returns the ``data`` of a row as it is sealed.

        written_meanwhile: Tells whether a batch that the ledger lacks was written
            during the check, of which the next one takes care.

    Attributes:

        rows: How many rows came.

        erased: How many of them had no personal part.

        batches_sum: Tells, without keeping them, which batches had rows.

        gone: The batches of which every row has left a stub, and nothing else.
    """

    def __init__(
        self,
        findings: SealFindings,
        declared: Declarations,
        canonical: Callable[[str], str],
        written_meanwhile: Callable[[int], bool] = never,
    ) -> None:
        self._findings = findings
        self._written_meanwhile = written_meanwhile
        self._declared = declared
        self._canonical = canonical
        self._open: dict[int, _Open] = {}
        self._erased: dict[tuple[bytes, bytes], int] = {}
        self.rows = 0
        self.batches_sum = 0
        self.gone: set[int] = set()

    @property
    def erased(self) -> int:
        """How many rows have no personal part any more."""
        return len(self._erased)

    def check(self, rows: Iterable[StoredRow]) -> None:
        """Take rows."""
        for stored in rows:
            self._check(stored)

    def check_dropped(self, batches: Iterable[DroppedRows]) -> None:
        """Take batches of which rows were dropped; those that have rows are looked at with them."""
        for batch_id, n, root, dropped in batches:
            if batch_id in self._open or _count(dropped) != n:
                continue
            batch = self._opened(batch_id, n, root, dropped)
            self.gone.add(batch_id)
            self._close(batch_id, batch, self._declared.before)

    def finish(self) -> None:
        """Say that no row is left."""
        for batch_id, batch in self._open.items():
            # Or as many others of it were there, and these are one too many.
            text = f"only {len(batch.leaves)} of {batch.n} rows are there"
            self._add("row.missing", text, batch_id, *batch.ids)
            self.batches_sum = plus(self.batches_sum, batch_id)
        self._open = {}
        for (tenant_id, id_), batch_id in self._erased.items():
            if (tenant_id, id_) not in self._declared.erased:
                text = "a row was erased, and no sealed record says so"
                self._add("row.erased", text, batch_id, id_)

    def _check(self, stored: StoredRow) -> None:
        self.rows += 1
        row, batch_id, ix, _, n, root, last_at, dropped = stored
        if n is None or root is None:
            if self._written_meanwhile(batch_id):
                self._declared.read(row)
                return
            self._add("row.unsealed", "the ledger has no batch of that row", batch_id, row.id)
            return
        if not 0 <= ix < n:
            self._add("row.unsealed", "a row has no place in its batch", batch_id, row.id)
            return
        batch = self._open.get(batch_id)
        if batch is None:
            batch = self._open[batch_id] = self._opened(batch_id, n, root, dropped)
        if ix in batch.leaves:
            self._add("row.unsealed", "two rows have one place in their batch", batch_id, row.id)
        else:
            batch.leaves[ix] = self._leaf(stored)
            batch.found[ix] = row.id
            self._declared.read(row)
        if len(batch.leaves) == n:
            del self._open[batch_id]
            self._close(batch_id, batch, last_at or 0)

    def _opened(self, batch_id: int, n: int, root: bytes, dropped: bytes | None) -> _Open:
        batch = _Open(n, bytes(root))
        try:
            stubs = unpack_stubs(bytes(dropped or b""))
        except ValueError:
            self._add("retention.stubs", "what is left of dropped rows can't be read", batch_id)
            return batch
        for ix, found in stubs.items():
            if not self._declared.allows(found):
                self._add("retention.early", "a row went before its time", batch_id)
            batch.leaves[ix] = found.leaf
        return batch

    def _close(self, batch_id: int, batch: _Open, last_at: int) -> None:
        if last_at >= self._declared.before:
            self.batches_sum = plus(self.batches_sum, batch_id)
        root = seals.root(batch.leaves[ix] for ix in sorted(batch.leaves))
        if root != batch.root:
            text = "a row of the batch was changed"
            self._add("row.changed", text, batch_id, *batch.ids)

    def _leaf(self, stored: StoredRow) -> bytes:
        row, commitment = stored.row, bytes(stored.commitment)
        ids = (row.tenant_id, row.id, row.actor_id, row.user_id, row.org_id)
        if any(len(id_) != _ID_BYTES for id_ in ids):
            return b""  # Packed it would be, and look as if it were.
        try:
            if len(commitment) == SALT_BYTES:
                commit = seals.commit_to(row, commitment, self._canonical(row.data))
                return seals.leaf(seals.header(row), commit)
            if len(commitment) == COMMIT_BYTES:
                self._note_erased(stored)
                return seals.leaf(seals.header(row), commitment)
        except Exception:  # noqa: BLE001  Whatever somebody has put there.
            return b""
        return b""

    def _note_erased(self, stored: StoredRow) -> None:
        row = stored.row
        self._erased[row.tenant_id, row.id] = stored.batch_id
        if not is_erased(row):
            text = "something stands in a row that was erased"
            self._add("row.filled", text, stored.batch_id, row.id)

    def _add(self, kind: str, problem: str, batch_id: int, *ids: bytes) -> None:
        found = tuple(UUID(bytes=id_) for id_ in ids if len(id_) == _ID_BYTES)
        named = f" (record {found[0]})" if len(found) == 1 else ""
        text = f"batch {batch_id}: {problem}{named}"
        self._findings.add(kind, text, batch_id=batch_id, record_ids=found)


def _count(dropped: bytes) -> int:
    """Return how many rows left a stub; those that can't be read count as none."""
    try:
        return len(unpack_stubs(bytes(dropped)))
    except ValueError:
        return 0


def plus(total: int, batch_id: int) -> int:
    """Return a sum that tells of sets of batches, in any order, whether they are the same."""
    digest = sha256(batch_id.to_bytes(9, "big", signed=True)).digest()
    return (total + int.from_bytes(digest, "big")) % _SUM
