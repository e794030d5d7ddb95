"""
What a check of the log's seals found.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from ...errors import BrokenChainError


MOST_FINDINGS: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SealFinding:
    """
    One place where the stored log is not what was written.

    Attributes:

        kind: What it is, for programs: ``"row.changed"``, ``"chain.gap"``, ...;
            `docs/tamper-evidence.md` has the list.

        problem: The same, for people.

        chain_id: The chain of batches, one a connection of a writer.

        link: The place in that chain.

        writer_id: Which writer wrote the batch.

        seq: Its how-manieth batch that was.

        batch_id: The batch, as rows name it.

        record_ids: The records that are at fault, or among which those are.

    .. versionadded:: 0.1.0
    """

    kind: str
    problem: str
    chain_id: UUID | None = None
    link: int | None = None
    writer_id: UUID | None = None
    seq: int | None = None
    batch_id: int | None = None
    record_ids: tuple[UUID, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as values that JSON has."""
        return {
            "kind": self.kind,
            "problem": self.problem,
            "chain_id": None if self.chain_id is None else str(self.chain_id),
            "link": self.link,
            "writer_id": None if self.writer_id is None else str(self.writer_id),
            "seq": self.seq,
            "batch_id": self.batch_id,
            "record_ids": [str(id_) for id_ in self.record_ids],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """
    What a check of the whole log found.

    Attributes:

        findings: What is wrong, at most a thousand of them.

        omitted: How many more there are.

        notes: What can't be wrong by itself, but is to be known.

        rows: How many rows were checked.

        batches: How many batches.

        chains: How many chains.

        erased: How many rows have no personal part any more, lawfully.

    .. versionadded:: 0.1.0
    """

    findings: tuple[SealFinding, ...] = ()
    omitted: int = 0
    notes: tuple[str, ...] = ()
    rows: int = 0
    batches: int = 0
    chains: int = 0
    erased: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def raise_if_broken(self) -> None:
        """
        Do nothing if nothing is wrong.

        Raises:

            BrokenChainError: Something is; the text names the first finding.
        """
        if self.findings:
            more = len(self.findings) + self.omitted - 1
            raise BrokenChainError(self.findings[0].problem + (f" ({more} more)" if more else ""))

    def to_dict(self) -> dict[str, Any]:
        """Return it as values that JSON has."""
        return {
            "ok": self.ok,
            "findings": [finding.to_dict() for finding in self.findings],
            "omitted": self.omitted,
            "notes": list(self.notes),
            "rows": self.rows,
            "batches": self.batches,
            "chains": self.chains,
            "erased": self.erased,
        }


@dataclass(slots=True)
class SealFindings:
    """Collect findings, the first thousand of them."""

    kept: list[SealFinding] = field(default_factory=list)
    omitted: int = 0
    notes: list[str] = field(default_factory=list)

    def add(self, kind: str, problem: str, **where: Any) -> None:
        """Add one."""
        if len(self.kept) < MOST_FINDINGS:
            self.kept.append(SealFinding(kind=kind, problem=problem, **where))
        else:
            self.omitted += 1
