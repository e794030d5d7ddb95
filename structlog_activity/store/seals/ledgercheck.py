"""
The ledger's lines held against each other, link by link.
"""

from __future__ import annotations

import hmac

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from uuid import UUID

from . import seal as seals
from .report import SealFindings
from .rowcheck import plus
from .seal import ADOPTED, CLOSING, GENESIS, Seal
from .traces import Declarations


_FARTHEST: Final = 100_000  # links from one known key to the next, before signatures are given up


class Head(NamedTuple):
    """
    How far a chain was when it was last looked at.

    Attributes:

        link: Its last link.

        digest: The seal of that one.
    """

    link: int
    digest: bytes


class StoredSeal(NamedTuple):
    """
    A line of the ledger as it is stored.

    Attributes:

        seal: What was sealed.

        digest: The column ``seal``.

        mac: The column of that name.
    """

    seal: Seal
    digest: bytes
    mac: bytes

    def is_as_sealed(self) -> bool:
        """Tell whether the digest is that of what was sealed."""
        try:
            return self.seal.digest() == self.digest
        except Exception:  # noqa: BLE001  Whatever somebody has put there.
            return False


@dataclass(slots=True)
class _State:
    """A chain, as far as it was read."""

    link: int
    digest: bytes
    keys: dict[str, tuple[int, bytes]] = field(default_factory=dict)  # of which link each is
    is_closed: bool = False


class LedgerCheck:
    """
    Take the lines of the ledger by chain and link, and tell which are not as they were written.

    Args:

        findings: Where findings go.

        declared: What may lawfully be gone.

        keys: By their ids; empty checks no signature.

        exported: How far each chain was by the checkpoints that left the
            database.

        since: Batches with a lesser number are not looked at, nor are their
            rows.

    Attributes:

        batches: How many lines came.

        chains: How many chains.

        open_chains: How many of them have no clean end.

        unchecked: How many signatures there was no key for.

        heads: The last link of each chain.

        batches_sum: Tells which batches should have rows.
    """

    def __init__(
        self,
        findings: SealFindings,
        declared: Declarations,
        *,
        keys: Mapping[str, bytes],
        exported: Mapping[UUID, Head],
        since: int = 0,
    ) -> None:
        self._findings = findings
        self._declared = declared
        self._keys = keys
        self._exported = dict(exported)
        self._since = since
        self._state: _State | None = None
        self._chain_id: UUID | None = None
        self.batches = self.chains = self.open_chains = self.unchecked = 0
        self.batches_sum = 0

    def check(self, lines: Iterable[StoredSeal]) -> None:
        """Take lines, in the order of chain and link."""
        for line in lines:
            self._check(line)

    def finish(self) -> None:
        """Say that no line is left."""
        self._end_chain()
        for chain_id, head in self._exported.items():
            self._tell_of_the_lost(chain_id, head, last=0)

    def _check(self, line: StoredSeal) -> None:
        seal = line.seal
        self.batches += 1
        if seal.n and seal.last_at >= self._declared.before and seal.batch_id >= self._since:
            self.batches_sum = plus(self.batches_sum, seal.batch_id)
        if seal.chain_id != self._chain_id or self._state is None:
            self._end_chain()
            self._begin_chain(seal.chain_id)
        state = self._state
        assert state is not None  # noqa: S101  For the type checker.
        self._check_place(line, state)
        if not line.is_as_sealed():
            self._add("seal.changed", "is not as it was sealed", seal)
        self._check_mac(line, state)
        self._check_export(line)
        state.link, state.digest = seal.link, line.digest
        state.is_closed = bool(seal.flags & CLOSING)

    # -- chains -------------------------------------------------------------

    def _begin_chain(self, chain_id: UUID) -> None:
        self.chains += 1
        self._chain_id = chain_id
        self._state = _State(0, seals.genesis(chain_id))

    def _end_chain(self) -> None:
        state, chain_id = self._state, self._chain_id
        if state is None or chain_id is None:
            return
        self.open_chains += not state.is_closed
        head = self._exported.pop(chain_id, None)
        if head is not None and head.link > state.link:
            self._tell_of_the_lost(chain_id, head, last=state.link)
        self._state = None

    def _tell_of_the_lost(self, chain_id: UUID, head: Head, *, last: int) -> None:
        if last:
            kind, text = "chain.truncated", f"ends at link {last}, a checkpoint knows {head.link}"
        else:
            kind, text = "chain.removed", f"is gone, a checkpoint knows {head.link} links of it"
        self._findings.add(kind, f"chain {chain_id} {text}", chain_id=chain_id, link=head.link)

    # -- links --------------------------------------------------------------

    def _check_place(self, line: StoredSeal, state: _State) -> None:
        seal = line.seal
        if seal.link == state.link + 1:
            if seal.prev != state.digest:
                self._add("chain.broken", "is not tied to the link before it", seal)
        elif seal.link > state.link:
            first, last = state.link + 1, seal.link - 1
            which = f"link {first} is" if first == last else f"links {first} to {last} are"
            self._add("chain.gap", f"follows a gap: {which} gone", seal)
        else:
            self._add("chain.repeated", "stands twice in its chain", seal)
        if bool(seal.flags & GENESIS) != (seal.link == 1):
            self._add("seal.changed", "says that it is the first link, or should", seal)

    def _check_mac(self, line: StoredSeal, state: _State) -> None:
        seal = line.seal
        if not self._keys:
            self.unchecked += bool(seal.key_id)
        elif not seal.key_id:
            self._add("mac.missing", "is not signed", seal)
        elif seal.key_id not in self._keys:
            self._add("mac.unknown", f"is signed with the unknown key {seal.key_id}", seal)
        elif not self._is_signed(line, state):
            self._add("mac.wrong", "is not signed by who has the key", seal)

    def _is_signed(self, line: StoredSeal, state: _State) -> bool:
        key = self._key_of(line.seal, state)
        return key is not None and hmac.compare_digest(seals.mac(key, line.digest), line.mac)

    def _key_of(self, seal: Seal, state: _State) -> bytes | None:
        """Return the key of a link, which follows from the last one that was known."""
        at, known = state.keys.get(seal.key_id, (0, b""))
        if not 0 < at <= seal.link:
            at, known = 1, seals.first_key(self._keys[seal.key_id], seal.chain_id)
        if seal.link > at + _FARTHEST:  # Somebody's number, to keep us busy for ever.
            return None
        for _ in range(seal.link - at):
            known = seals.next_key(known)
        state.keys[seal.key_id] = seal.link, known
        return known

    def _check_export(self, line: StoredSeal) -> None:
        head = self._exported.get(line.seal.chain_id)
        if head is not None and head.link == line.seal.link and head.digest != line.digest:
            self._add("chain.rewritten", "is not the one that a checkpoint knows", line.seal)

    def _add(self, kind: str, problem: str, seal: Seal) -> None:
        who = "adopted batch" if seal.flags & ADOPTED else "batch"
        text = (
            f"link {seal.link} of chain {seal.chain_id} ({who} {seal.batch_id}, writer "
            f"{seal.writer_id}, seq {seal.seq}) {problem}"
        )
        self._findings.add(
            kind, text, chain_id=seal.chain_id, link=seal.link, writer_id=seal.writer_id,
            seq=seal.seq, batch_id=seal.batch_id,
        )  # fmt: skip
