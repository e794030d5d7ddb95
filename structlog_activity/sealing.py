"""
The reads, and whether what they show is as it was written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .read.arguments import record_id
from .read.methods import ReadMethods
from .read.policy import AccessPolicy
from .twins import in_thread


if TYPE_CHECKING:
    from .store.seals.recordseal import RecordSeal


class SealedReadMethods(ReadMethods):
    """
    Read records, and hold one against its seal.

    Attributes:

        _seal_keys: All keys that may have signed.
    """

    _seal_keys: tuple[bytes, ...]

    def seal_of(
        self,
        tenant_id: Any,
        id: Any,  # noqa: A002
        *,
        policy: AccessPolicy | None = None,
    ) -> RecordSeal:
        """
        Hold one record against the seal of the batch that it was written with.

        All rows of that batch are read, and no others; `verify` reads the whole
        log, and also finds what is no longer there.

        Args:

            tenant_id: The tenant; `NIL` for records without one, `ALL_TENANTS`
                for any.

            id: The record's, in any form that `to_uuid` reads.

            policy: What the reader may see; of what is not granted no more is told
                than of what is not there. `None`: everything.

        Returns:

            What was found; its ``ok`` says whether nothing is wrong.

        Raises:

            AccessDeniedError: *policy* does not grant the tenant.

            InvalidFilterError: The tenant is missing or an argument can't be read.

            RepositoryError: The database can't be read, or the role may not read
                the ledger.

        .. versionadded:: 0.1.0
        """
        from .store.seals.recordseal import no_record, seal_of
        from .store.seals.stored import RecordPlace

        record = self.get(tenant_id, id, policy=policy)
        if record is None or record.occurred_at is None:
            return no_record(record_id(id))
        place = RecordPlace(record.tenant_id, record.occurred_at, record.id)
        return self._read(lambda engine, _: seal_of(engine, place, self._seal_keys))

    aseal_of = in_thread(seal_of)
