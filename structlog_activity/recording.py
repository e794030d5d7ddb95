"""
Recording by hand, and what became of the records: the methods of whatever has a buffer.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, TypeAlias

from .capture.faults import fault_counts
from .record.record import ActivityRecord
from .twins import in_thread
from .write.accounts import Health, judge_redaction


if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session
    from sqlalchemy.orm import Session, scoped_session

    from .capture.recorder import Recorder
    from .record.redact import Redactor
    from .store.postgresql.roles import RolePower
    from .write.buffer import BufferedRepository
    from .write.deadletters import LettersInFolder
    from .write.transaction.sink import TransactionSink

    AnySession: TypeAlias = (
        "Session | AsyncSession | scoped_session[Any] | async_scoped_session[Any]"
    )


class RecordingMethods:
    """
    Record without a log line, wait until all is written, and tell how many records went where.

    Attributes:

        _recorder: Makes the records.

        _buffer: Where they wait.

        _inside: Where those wait that belong to a session.

        _redactor: Replaces what must not be stored; `None` replaces nothing.

        _power: What the role that writes could do else, if that is watched.
    """

    _recorder: Recorder
    _buffer: BufferedRepository
    _inside: TransactionSink
    _redactor: Redactor | None
    _power: RolePower | None

    def record(
        self,
        verb: str,
        object: Any = None,  # noqa: A002  The word of log calls.
        /,
        *,
        session: AnySession | None = None,
        **fields_and_data: Any,
    ) -> ActivityRecord:
        """
        Record an activity without a log line; no log level can silence it.

        Args:

            verb: What was done, dotted, past tense: ``"export.completed"``.

            object: To what: ``"type:id"``, ``"type"``, ``("type", id)``,
                ``{"type": ..., "id": ...}``, an object with
                ``__activity_object__()``, one of a class known to
                `register_object`, or a SQLAlchemy instance.

            session: A SQLAlchemy session on the log's database. The record
                becomes part of its transaction: it is stored when that
                commits, and not otherwise. `None`: it is written soon, in a
                transaction of ours.

            fields_and_data: Fields of the record under the words of log
                calls (``tenant_id=``, ``channel=``, ...), anything else is
                data. What is not given comes from structlog's context, then
                from the defaults.

        Returns:

            The record, with its id.

        Raises:

            InvalidRecordError: A field is missing or can't be read, or
                *session* is none.

            RepositoryError: The session is in the middle of its commit, and
                its database refuses the record.
        """
        keys = self._recorder.keys
        event = {**fields_and_data, keys.verb[0]: verb}
        if object is not None:
            event[keys.object[0]] = object
        return self._recorder.record(event, session)

    def log(self, record: ActivityRecord) -> ActivityRecord:
        """
        Record a record that was built by hand.

        Args:

            record: Its id is kept; a nil id and an unset time are filled.

        Returns:

            The record as it will be stored.

        Raises:

            InvalidRecordError: A field is missing or can't be read.
        """
        return self._recorder.log(record)

    def flush(self, timeout: float | None = None) -> bool:
        """
        Write everything recorded before this call; see `BufferedRepository.flush`.

        Args:

            timeout: Most seconds to wait; `None` waits as long as it takes.

        Returns:

            As `BufferedRepository.flush`.
        """
        return self._buffer.flush(timeout)

    aflush = in_thread(flush)

    def counters(self) -> dict[str, int]:
        """
        Return how many records went where; see `BufferedRepository.counters`.

        A record in a transaction of the host's is counted at its end: as
        submitted, accepted and written, or as ``rolled_back`` and nothing else.
        ``faults.<kind>`` counts, for the whole process, how often ``identify``,
        a lazy value (by its key) or a mapping rule failed; ``redaction_failed``
        how often a function of the `Redactor` did.
        """
        counts = Counter(self._buffer.counters())
        counts.update(self._inside.counters())
        if self._redactor is not None and self._redactor.failures:
            counts["redaction_failed"] = self._redactor.failures
        return {**counts, **fault_counts()}

    def health(self) -> Health:
        """Return whether records reach the database, whole, and if not, why."""
        health = self._buffer.health()
        failures = 0 if self._redactor is None else self._redactor.failures
        reasons = (*health.reasons, *judge_redaction(failures))
        why = self._power.why if self._power else ""
        return Health(not reasons, reasons, (*health.notes, why) if why else health.notes)

    @property
    def letters_on_disk(self) -> LettersInFolder | None:
        """Records that the database refused; `None` without a spool."""
        return self._buffer.letters_on_disk
