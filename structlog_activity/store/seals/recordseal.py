"""
One record held against the seal of its batch.
"""

from __future__ import annotations

import hmac

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, TypeAlias
from uuid import UUID

from sqlalchemy import Engine

from ...record.canonical import canonical
from ...record.ids import NIL_BYTES
from ...record.row import Row
from ...record.times import from_microseconds
from ..reaching import reached
from . import seal as seals
from .ledgercheck import StoredSeal
from .report import SealFindings
from .rowcheck import RowCheck
from .seal import COMMIT_BYTES, Seal, keys_by_id
from .stored import RecordPlace, StoredLog, snapshot
from .traces import Declarations


SealState: TypeAlias = Literal["intact", "unsigned", "unchecked", "changed", "unsealed", "missing"]

_FARTHEST: Final = 1_000_000  # links whose keys are computed for one record: half a second

_TEXTS: Final[dict[SealState, str]] = {
    "intact": "as it was written: sealed, and signed with a key of this log",
    "unsigned": "as it was sealed; nobody signed the seal, which a key would do",
    "unchecked": "as it was sealed; the signature was not checked",
    "changed": "not as it was sealed",
    "unsealed": "the ledger has no batch of this record",
    "missing": "there is no such record",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSeal:
    """
    Whether a record is as it was written, and how one knows.

    One digest holds for all rows of a batch, so a record is as intact as its
    batch: where another row of it was changed, none of them is proved any more.

    Attributes:

        id: The record's.

        state: ``"intact"`` (as it was sealed, and signed with a key of this log),
            ``"unsigned"`` (as it was sealed, without a key), ``"unchecked"`` (as
            it was sealed, and the signature could not be checked), ``"changed"``,
            ``"unsealed"`` (the ledger does not know it) or ``"missing"`` (there
            is no such record, or the policy does not grant it).

        text: The same, for people, with what is wrong.

        ok: Whether nothing is wrong, as `verify` judges: a log with a key takes
            nothing that none of its keys signed.

        erased: Whether its personal part was erased, and a sealed record says so.

        batch_id: The batch it was written with, as rows name it; `None`, as all
            that follows, where there is none.

        rows: How many rows were sealed with it, its own included.

        written_at: When it was sealed, by the clock of the writer.

        writer_id: Who wrote the batch.

        seq: Its how-manieth batch that was.

        chain_id: The chain of batches.

        link: The place in that chain.

        key_id: Which key signed; ``""`` is none.

    .. versionadded:: 0.1.0
    """

    id: UUID
    state: SealState
    text: str
    ok: bool = False
    erased: bool = False
    batch_id: int | None = None
    rows: int | None = None
    written_at: datetime | None = None
    writer_id: UUID | None = None
    seq: int | None = None
    chain_id: UUID | None = None
    link: int | None = None
    key_id: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as values that JSON has."""
        found = asdict(self)
        for name in ("id", "writer_id", "chain_id"):
            found[name] = None if found[name] is None else str(found[name])
        if self.written_at is not None:
            found["written_at"] = self.written_at.isoformat()
        return found


def no_record(id_: UUID) -> RecordSeal:
    """Return what is told of a record that is not there."""
    return RecordSeal(id=id_, state="missing", text=_TEXTS["missing"])


def seal_of(engine: Engine, place: RecordPlace, keys: Sequence[bytes]) -> RecordSeal:
    """
    Compute the seal of a record's batch again, and hold the ledger against it.

    Args:

        engine: Reaches the database.

        place: Where the record is.

        keys: Those with which seals may be signed.

    Raises:

        RepositoryError: The database can't be read.
    """
    with reached(engine.url), snapshot(engine) as log:
        return _Check(log, keys).of(place)


class _Verdict(NamedTuple):
    """What was found of a record, and why."""

    state: SealState
    why: str = ""


class _Check:
    """
    Look at records of one snapshot.

    Args:

        log: The snapshot.

        keys: Those with which seals may be signed.
    """

    def __init__(self, log: StoredLog, keys: Sequence[bytes]) -> None:
        self._log = log
        self._keys = keys_by_id(keys)

    def of(self, place: RecordPlace) -> RecordSeal:
        """Return what there is to say of a record."""
        found = self._log.sealed_in(place)
        if found is None:
            return no_record(place.id)
        batch_id, commitment = found
        line = self._log.seal(batch_id)
        if line is None:
            return RecordSeal(id=place.id, state="unsealed", text=_TEXTS["unsealed"])
        is_erased = len(commitment) == COMMIT_BYTES
        verdict = self._verdict(place, line, is_erased=is_erased)
        seal, state = line.seal, verdict.state
        return RecordSeal(
            id=place.id,
            state=state,
            text=": ".join(filter(None, (_TEXTS[state], verdict.why))),
            ok=self._is_ok(state, seal),
            erased=is_erased and state != "changed",
            batch_id=batch_id,
            rows=seal.n,
            written_at=_moment(seal.written_at),
            writer_id=seal.writer_id,
            seq=seal.seq,
            chain_id=seal.chain_id,
            link=seal.link,
            key_id=seal.key_id,
        )

    def _is_ok(self, state: SealState, seal: Seal) -> bool:
        if state in {"unsigned", "unchecked"}:
            return not self._keys or seal.key_id in self._keys
        return state == "intact"

    def _verdict(self, place: RecordPlace, line: StoredSeal, *, is_erased: bool) -> _Verdict:
        problems = self._of_rows(place, line.seal.batch_id, is_erased=is_erased)
        if not line.is_as_sealed():
            problems.append("its batch's line in the ledger was changed")
        signature = self._signature(line)
        if signature.state not in {"intact", "changed"}:
            # Whoever made one seal anew has left those beside it as they were.
            problems += self._of_neighbours(line)
        if problems:
            return _Verdict("changed", "; ".join(problems))
        return signature

    # -- rows ---------------------------------------------------------------

    def _of_rows(self, place: RecordPlace, batch_id: int, *, is_erased: bool) -> list[str]:
        findings, declared = SealFindings(), Declarations()
        as_sealed = str if self._log.is_canonical else canonical
        rows = RowCheck(findings, declared, as_sealed)
        rows.check(self._log.rows(only=[batch_id]))
        if is_erased:
            self._read_erasure(place, declared)
        rows.finish()
        # What is said of other rows alone is not said of this one: the batch is proved.
        own = [finding for finding in findings.kept if place.id in finding.record_ids]
        if findings.omitted and not own:
            own = findings.kept[:1]
        return [finding.problem for finding in own]

    def _read_erasure(self, place: RecordPlace, declared: Declarations) -> None:
        """Take what a record says of the erasure of another, if it is as it was sealed itself."""
        for row in self._log.erasures(place.tenant_id):
            said = Declarations()
            said.read(row)
            if (row.tenant_id, place.id.bytes) in said.erased and self._stands(row):
                declared.read(row)
                return

    def _stands(self, row: Row) -> bool:
        at = _moment(row.created_at)
        if at is None or len(row.id) != len(NIL_BYTES):
            return False
        place = RecordPlace(UUID(bytes=row.tenant_id), at, UUID(bytes=row.id))
        found = self._log.sealed_in(place)
        line = None if found is None else self._log.seal(found[0])
        return line is not None and self._verdict(place, line, is_erased=False).state != "changed"

    # -- the line in the ledger ---------------------------------------------

    def _signature(self, line: StoredSeal) -> _Verdict:
        seal = line.seal
        if not seal.key_id:
            return _Verdict("unsigned")
        key = self._keys.get(seal.key_id)
        if key is None:
            return _Verdict("unchecked", f"the key {seal.key_id} was not given")
        if seal.link > _FARTHEST:
            return _Verdict("unchecked", f"link {seal.link:,} is left to `verify`")
        made = seals.mac(seals.key_at(key, seal.chain_id, seal.link), line.digest)
        if hmac.compare_digest(made, line.mac):
            return _Verdict("intact")
        return _Verdict("changed", "the seal is not signed by who has the key")

    def _of_neighbours(self, line: StoredSeal) -> Iterator[str]:
        seal = line.seal
        if seal.link == 1 and seal.prev != seals.genesis(seal.chain_id):
            yield "the seal is not that of a first link"
        for other in self._log.beside(seal.batch_id):
            if other.seal.chain_id != seal.chain_id:
                continue
            if other.seal.link == seal.link - 1 and seal.prev != other.digest:
                yield "the seal is not tied to the one before it"
            if other.seal.link == seal.link + 1 and other.seal.prev != line.digest:
                yield "the next seal is not tied to this one"


def _moment(microseconds: int) -> datetime | None:
    try:
        return from_microseconds(microseconds)
    except (OverflowError, ValueError):  # Somebody's number.
        return None
