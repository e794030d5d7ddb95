"""
The check of a whole log: is what is stored what was written?
"""

from __future__ import annotations

import os

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from sqlalchemy import Engine

from ...record.canonical import canonical
from .checkpoint import Exported, read_checkpoints
from .in_database import Suspects
from .ledgercheck import LedgerCheck
from .report import SealFindings, VerifyReport
from .rowcheck import RowCheck
from .seal import keys_by_id
from .stored import StoredLog, snapshot
from .traces import Declarations


_T = TypeVar("_T")
_PERIOD = 1_000  # rows between two reports of how far it is


def _ignore(done: int, total: int) -> None:
    pass


def verify_log(
    engine: Engine,
    *,
    keys: Sequence[bytes] = (),
    checkpoint: str | os.PathLike[str] | None = None,
    since_checkpoint: bool = False,
    in_database: bool = False,
    progress: Callable[[int, int], object] | None = None,
) -> VerifyReport:
    """
    Recompute every digest of the log and hold it against what is stored.

    The database is trusted with nothing but handing out what it has. Rows come
    in a stream; what is kept is a digest for each row of the batches that are
    not complete yet.

    Args:

        engine: Reaches the database.

        keys: Those with which seals were signed; none checks no signature.

        checkpoint: A file of checkpoints, which say how far the chains were.

        since_checkpoint: Leave out batches that were written before its last
            line, and their rows; the chains are checked from their beginning all
            the same.

        in_database: Have PostgreSQL compute the digests of rows: faster, and
            no proof where the server itself may lie.

        progress: Told how many rows are checked, and of how many.

    Raises:

        OSError: The file can't be read.
    """
    findings, declared, exported = SealFindings(), Declarations(), Exported()
    if checkpoint is not None:
        exported = read_checkpoints(checkpoint, findings, keys)
    since = exported.since if since_checkpoint else 0
    with snapshot(engine) as log:
        for row in log.pruned():
            declared.read(row)
        as_sealed = _as_it_is if log.is_canonical else canonical
        rows = RowCheck(findings, declared, as_sealed, log.written_meanwhile)
        suspects = log.suspects(since) if in_database else None
        only = None if suspects is None else suspects.batches
        rows.check(_told(log.rows(since, only), progress or _ignore, log.count()))
        rows.finish()
        rows.check_dropped(log.dropped(declared.before, since))
        ledger = LedgerCheck(
            findings,
            declared,
            keys=keys_by_id(keys),
            exported=exported.heads,
            since=since,
        )
        ledger.check(log.seals())
        ledger.finish()
        if suspects is not None or ledger.batches_sum != rows.batches_sum:
            _name_empty_batches(
                log, findings, declared.before, since, rows.gone, trusts=suspects is not None
            )
    findings.notes += _notes(ledger, declared, signed=bool(keys))
    return _report(findings, rows, ledger, suspects)


def _report(
    findings: SealFindings, rows: RowCheck, ledger: LedgerCheck, suspects: Suspects | None
) -> VerifyReport:
    return VerifyReport(
        findings=tuple(findings.kept),
        omitted=findings.omitted,
        notes=tuple(findings.notes),
        rows=rows.rows if suspects is None else suspects.rows,
        batches=ledger.batches,
        chains=ledger.chains,
        erased=rows.erased,
    )


def _as_it_is(data: str) -> str:
    return data


def _told(items: Iterable[_T], progress: Callable[[int, int], object], total: int) -> Iterator[_T]:
    done = 0
    for done, item in enumerate(items, 1):
        yield item
        if done % _PERIOD == 0:
            progress(done, total)
    progress(done, total)


def _name_empty_batches(
    log: StoredLog, findings: SealFindings, before: int, since: int, gone: set[int], *, trusts: bool
) -> None:
    for writer_id, seq, batch_id, chain_id, link in log.empty_batches(before, since):
        if batch_id in gone:
            continue
        findings.add(
            "batch.empty",
            f"batch {batch_id} (writer {writer_id}, seq {seq}): all its rows are gone",
            writer_id=writer_id, seq=seq, batch_id=batch_id, chain_id=chain_id, link=link,
        )  # fmt: skip
    if not (findings.kept or trusts):
        findings.add("batch.empty", "a batch has no rows, and the database does not say which")


def _notes(ledger: LedgerCheck, declared: Declarations, *, signed: bool) -> list[str]:
    notes = []
    if ledger.open_chains:
        notes.append(
            f"{ledger.open_chains} of {ledger.chains} chains have no clean end: their writers run, "
            "or were killed, or the end was cut off; only a checkpoint tells which"
        )
    if ledger.unchecked:
        notes.append(f"{ledger.unchecked} signatures were not checked: no key was given")
    if not signed and not ledger.unchecked and ledger.batches:
        notes.append("no key: whoever can write to the database can also rebuild the seals")
    if declared.scopes or declared.before > -(2**63):
        notes.append("old rows were dropped, as sealed records activity.pruned say")
    if declared.erased:
        notes.append(f"{len(declared.erased)} rows are named by records activity.erased")
    return notes
