"""
What may lawfully be gone from a sealed log, and the records that say so.

Two things take something away, each in one transaction with a record of its
own, which is sealed as any other; `verify` accepts what such a record covers.

An **erasure** takes the personal part of rows. For each it computes
`erased_commitment` and writes `erased` in its place: ``actor_id`` and
``user_id`` nil, ``object_id`` and ``ip`` empty, ``data`` ``{}``, and the 32
bytes of the commitment over the salt. The salt is gone then, so the bytes
allow no guess. `erasure_rows` names the rows by id, as records
``activity.erased`` of the same tenant::

    {"ids": ["0195...", ...], "reason": "...", "requested_by": "..."}

A **retention** takes rows that are older than a moment. Batches of which every
row is older need nothing. Of a batch that straddles the moment, the rows that
go leave a `stub` each in the column ``dropped`` of the ledger (`pack_stubs`):
what is left of an erased row, enough to prove the batch, and that the row was
old. `pruned_row` tells of the moment, as a record ``activity.pruned`` of no
tenant::

    {"before": 1767225600000000, "rows": 123}

``before`` is in microseconds since 1970. Where only rows of one tenant or one
channel went, the record says which (``tenant_id``, ``channel``), and every row
that went leaves a stub, also where all of a batch did. Lines of the ledger stay for
ever: none of them may lawfully be gone.
"""

from __future__ import annotations

import json

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from struct import Struct
from typing import Any, Final
from uuid import UUID

from ...record.ids import NIL_BYTES
from ...record.row import Row
from ...record.rowmaker import RowMaker
from ...record.traces import ERASED, PRUNED
from .seal import COMMIT_BYTES, commit, header, leaf


OBJECT_TYPE: Final = "activity"

_MOST_IDS: Final = 200  # of one record, within what a record may hold
_ITEM: Final = Struct(">II")
_FIRST_FIELDS: Final = Struct(">q16s").unpack_from
_CREATED_AT_PLACE: Final = 17  # in a header, after version and id
_TEXTS_PLACE: Final = _CREATED_AT_PLACE + 8 + 16 + 16  # after tenant and organisation
_TEXTS: Final = 3  # verb, object type, channel
_LENGTH: Final = Struct(">I")
_rows: Final = RowMaker()


# -- erasure ----------------------------------------------------------------


def erased_commitment(row: Row, salt: bytes) -> bytes:
    """Return the 32 bytes that stand for what an erasure takes from *row*."""
    return commit(row, salt)


def erased(row: Row) -> Row:
    """Return what is left of *row*."""
    return row._replace(actor_id=NIL_BYTES, user_id=NIL_BYTES, object_id="", ip="", data="{}")


def is_erased(row: Row) -> bool:
    """Tell whether nothing personal is in *row*."""
    return row == erased(row)


def erasure_rows(
    tenant_id: bytes, ids: Sequence[bytes], *, reason: str, requested_by: str
) -> list[Row]:
    """
    Return the records that cover the erasure of rows of one tenant.

    Args:

        tenant_id: The tenant.

        ids: The ids of the rows.

        reason: Why, in the operator's words.

        requested_by: Who asked for it; must not identify the person erased.
    """
    fields = {"tenant_id": UUID(bytes=tenant_id), "verb": ERASED, "object_type": OBJECT_TYPE}
    texts = [str(UUID(bytes=id_)) for id_ in ids]
    parts = (texts[at : at + _MOST_IDS] for at in range(0, len(texts), _MOST_IDS))
    return [
        _rows.make(fields, {"ids": part, "reason": reason, "requested_by": requested_by})
        for part in parts
    ]


# -- retention --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stub:
    """
    What is left of a row in the ledger.

    Attributes:

        leaf: Digest of the row.

        created_at: When it happened, in microseconds since 1970.

        tenant_id: Whose it was.

        channel: Of which channel.
    """

    leaf: bytes
    created_at: int
    tenant_id: bytes
    channel: str


def stub(row: Row, commitment: bytes) -> bytes:
    """
    Return what the ledger keeps of a row that goes before others of its batch.

    Args:

        row: As it is stored.

        commitment: The column of that name.
    """
    is_whole = len(commitment) != COMMIT_BYTES
    return header(row) + (commit(row, commitment) if is_whole else commitment)


def pack_stubs(stubs: Mapping[int, bytes]) -> bytes:
    """Return *stubs*, by their place in the batch, as one value for the column ``dropped``."""
    return b"".join(_ITEM.pack(ix, len(found)) + found for ix, found in sorted(stubs.items()))


def unpack_stubs(packed: bytes) -> dict[int, Stub]:
    """
    Return what `pack_stubs` packed.

    Raises:

        ValueError: It is something else.
    """
    found: dict[int, Stub] = {}
    at = 0
    while at < len(packed):
        if len(packed) < at + _ITEM.size:
            raise ValueError("a stub is cut off")
        ix, length = _ITEM.unpack_from(packed, at)
        body = packed[at + _ITEM.size : at + _ITEM.size + length]
        at += _ITEM.size + length
        if len(body) != length or length < COMMIT_BYTES + _TEXTS_PLACE or ix in found:
            raise ValueError("a stub is damaged")
        found[ix] = _stub_of(body[:-COMMIT_BYTES], body[-COMMIT_BYTES:])
    return found


def _stub_of(head: bytes, commitment: bytes) -> Stub:
    created_at, tenant_id = _FIRST_FIELDS(head, _CREATED_AT_PLACE)
    at, channel = _TEXTS_PLACE, b""
    for _ in range(_TEXTS):
        if len(head) < at + _LENGTH.size:
            raise ValueError("a stub is damaged")
        (length,) = _LENGTH.unpack_from(head, at)
        channel = head[at + _LENGTH.size : at + _LENGTH.size + length]
        at += _LENGTH.size + length
    if at != len(head):
        raise ValueError("a stub is damaged")
    return Stub(leaf(head, commitment), created_at, tenant_id, channel.decode())


def pruned_row(
    before: int, rows: int, *, tenant_id: bytes | None = None, channel: str | None = None
) -> Row:
    """
    Return the record that covers a retention.

    Args:

        before: Rows older than this went, in microseconds since 1970.

        rows: How many.

        tenant_id: Only rows of that tenant went.

        channel: Only rows of that channel went.
    """
    fields = {"verb": PRUNED, "object_type": OBJECT_TYPE}
    scope: dict[str, Any] = {}
    if tenant_id is not None:
        scope["tenant_id"] = str(UUID(bytes=tenant_id))
    if channel is not None:
        scope["channel"] = channel
    return _rows.make(fields, {"before": before, "rows": rows, **scope})


# -- what they say ----------------------------------------------------------


@dataclass(slots=True)
class Declarations:
    """
    What the sealed records of a log declare to be lawfully gone.

    Attributes:

        erased: ``(tenant_id, id)`` of rows whose personal part was erased.

        before: Rows older than this may be gone, in microseconds since 1970.

        scopes: Rows of one tenant or channel that may be gone: ``(tenant_id,
            channel)``, `None` for any, and the moment before which they may.
    """

    erased: set[tuple[bytes, bytes]] = field(default_factory=set)
    before: int = -(2**63)
    scopes: dict[tuple[bytes | None, str | None], int] = field(default_factory=dict)

    def read(self, row: Row) -> None:
        """Take what *row* declares, if it does; one that can't be read declares nothing."""
        if row.verb == ERASED:
            self.erased.update((row.tenant_id, id_) for id_ in _ids(row.data))
        elif row.verb == PRUNED and row.tenant_id == NIL_BYTES:
            self._read_pruned(row.data)

    def allows(self, gone: Stub) -> bool:
        """Tell whether retention may have taken a row."""
        if gone.created_at < self.before:
            return True
        tenants, channels = (None, gone.tenant_id), (None, gone.channel)
        return any(
            gone.created_at < self.scopes.get((tenant_id, channel), self.before)
            for tenant_id in tenants
            for channel in channels
        )

    def _read_pruned(self, data: str) -> None:
        told = _object(data)
        before = told.get("before")
        if type(before) is int:
            self._note_pruned(before, _scope(told))

    def _note_pruned(self, before: int, scope: tuple[bytes | None, str | None] | None) -> None:
        if scope == (None, None):
            self.before = max(self.before, before)
        elif scope is not None:
            self.scopes[scope] = max(self.scopes.get(scope, before), before)


def _scope(told: dict[str, Any]) -> tuple[bytes | None, str | None] | None:
    """Return of which tenant and channel rows went; `None` if that can't be read."""
    tenant_id, channel = told.get("tenant_id"), told.get("channel")
    if not isinstance(channel, str | None):
        return None
    try:
        return (None if tenant_id is None else UUID(tenant_id).bytes), channel
    except (ValueError, AttributeError, TypeError):
        return None


def _ids(data: str) -> Iterator[bytes]:
    ids = _object(data).get("ids")
    for text in ids if type(ids) is list else []:
        try:
            yield UUID(text).bytes
        except (ValueError, AttributeError, TypeError):
            continue


def _object(data: str) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:
        return {}
    return found if type(found) is dict else {}
