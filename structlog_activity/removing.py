"""
Retention and erasure: the methods of whatever has a database and waiting records.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from .errors import InvalidFilterError, InvalidRecordError
from .findings import Finding
from .read.filter import ActivityFilter
from .read.tenants import ALL_TENANTS
from .read.values import utc_moment
from .record.ids import NIL, to_uuid
from .twins import in_thread


if TYPE_CHECKING:
    from sqlalchemy import URL, Engine

    from .store.removal.erasure import Person
    from .store.removal.report import EraseReport, PruneReport
    from .write.buffer import BufferedRepository
    from .write.spool.erasing import Erased


class RemovalMethods:
    """
    Take away what is too old, and what a person wants erased.

    Attributes:

        _url: The database.

        _key: Signs the seals of what is left as a trace.

        _buffer: Where records wait.
    """

    _url: URL
    _key: bytes
    _buffer: BufferedRepository

    def _at_coordinator(self) -> Engine:
        """Return the engine, after one look at the schema; refuse a worker of a cluster."""
        raise NotImplementedError

    # -- retention ----------------------------------------------------------

    def prune(
        self,
        older_than: timedelta | datetime,
        *,
        dry_run: bool = False,
        floor: timedelta | None = None,
        tenant_id: Any = ALL_TENANTS,
        channel: str | None = None,
        progress: Callable[[int, int], object] | None = None,
    ) -> PruneReport:
        """
        Delete records that are older than a time.

        Counts stay equal to counting the rows, `verify` stays clean, and a sealed
        record ``activity.pruned`` says what went. Such records, and
        ``activity.erased``, stay. On PostgreSQL whole months go with their
        partitions; the rest, and all of SQLite, goes in transactions of about
        10,000 rows, and writers go on meanwhile. Broken off, it goes on where it
        was at the next call. Of processes that call it at once on PostgreSQL one
        works, the others say that it does.

        Args:

            older_than: How old, or the moment before which everything goes; a
                naive one is UTC. One that is still to come means now.

            dry_run: Only count.

            floor: Nothing younger than this is deleted, whatever *older_than*
                says.

            tenant_id: Only of this tenant; `NIL` are the records without one.

            channel: Only of this channel; ``""`` are the records without one.
                With *tenant_id* or *channel* every row that goes leaves about
                150 bytes, which prove the rest of its batch.

            progress: Told how many records went, and of how many.

        Returns:

            How many went, and which months as a whole. Its ``ok`` is false where
            somebody's transaction held the table and nothing went; its ``is_busy``
            true where another process was at it.

        Raises:

            InvalidFilterError: An argument makes no sense.

            SchemaError: The tables are missing or of another version.

            RepositoryError: The database can't be reached, or the role does not
                own the tables.
        """
        from .store.reaching import reached
        from .store.removal.retention import Scope, prune

        now = datetime.now(UTC)
        before = _before(older_than, now)
        latest = now - _age("floor", floor) if floor is not None else now
        scope = Scope(
            before=min(before, latest), tenant_id=_one_tenant(tenant_id), channel=_channel(channel)
        )
        engine = self._at_coordinator()
        with reached(self._url):
            report = prune(
                engine,
                scope,
                now=now,
                key=self._key,
                dry_run=dry_run,
                progress=progress,
            )
        return replace(report, is_floored=floor is not None and latest < before)

    aprune = in_thread(prune)

    # -- erasure ------------------------------------------------------------

    def erase(
        self,
        *,
        reason: str,
        actor_id: Any = None,
        user_id: Any = None,
        involving: Any = None,
        tenant_id: Any = ALL_TENANTS,
        requested_by: str = "",
        dry_run: bool = False,
        timeout: float | None = 30.0,
        progress: Callable[[int, int], object] | None = None,
    ) -> EraseReport:
        """
        Erase what records say of a person: actor, user, object id, address and data.

        Who acted on whom is gone from such a record as a whole, with data and all.
        What stays is tenant, organisation, verb, object type, channel and time, so
        counts stay as they are, and a digest from which nothing can be guessed, so
        `verify` stays clean. A sealed record ``activity.erased`` names the ids of
        the records, and the reason.

        What waits in this process is written first. What lies in the spool's
        folder and in dead letters is erased there, but for the files that
        another process has open: the report says how many records those have, and
        a second call, once they are written, takes them. Broken off, the next
        call goes on.

        Args:

            reason: Why, for the record of it. Must not identify the person.

            actor_id: Records of which the person is the actor.

            user_id: Records of which the person is the user.

            involving: Records of which the person is either. One of the three is
                needed.

            tenant_id: Only of this tenant. Where two tenants may call two people
                by the same id, give it.

            requested_by: Who asked for it, for the record of it.

            dry_run: Only count.

            timeout: Most seconds to wait for what is to be written first.

            progress: Told how many records are erased, and of how many.

        Returns:

            How many were erased, and where. Its ``ok`` is false where something of
            the person is left; its ``findings`` say what, and what to do.

        Raises:

            InvalidFilterError: An argument makes no sense.

            SchemaError: The tables are missing or of another version.

            RepositoryError: The database can't be reached, or refuses.
        """
        from .store.reaching import reached
        from .store.removal.erasure import Person, Reason, count_rows, erase_rows
        from .store.removal.report import EraseReport

        person = Person(
            **_who(actor_id=actor_id, user_id=user_id, involving=involving),
            tenant_id=_one_tenant(tenant_id),
        )
        why = Reason(_told("reason", reason), _told("requested_by", requested_by, may_lack=True))
        engine = self._at_coordinator()
        waiting = self._erase_waiting(person, dry_run=dry_run, timeout=timeout)
        with reached(self._url):
            total, tenants = count_rows(engine, person)
            if dry_run:
                return EraseReport(rows=total, tenants=tenants, is_dry_run=True, **waiting)

            def tell(done: int) -> None:
                if progress is not None:
                    progress(done, max(done, total))

            rows, tenants = erase_rows(engine, person, why, key=self._key, progress=tell)
        return EraseReport(rows=rows, tenants=tenants, **waiting)

    aerase = in_thread(erase)

    def _erase_waiting(
        self, person: Person, *, dry_run: bool, timeout: float | None
    ) -> dict[str, Any]:
        """Write what waits, erase what can't be written; return that for the report."""
        # A flush is also false where a record was dropped since the last one.
        flush = self._buffer.flush
        is_written = dry_run or flush(timeout) or flush(timeout)
        found = self._buffer.erase(person, counts_only=dry_run)
        return {
            "on_disk": found.rows,
            "held": found.held,
            "findings": _left_behind(found, is_written=is_written),
        }


def _left_behind(found: Erased, *, is_written: bool) -> tuple[Finding, ...]:
    """Return what an erasure could not reach."""
    again = "erase again, once they are written"
    left = [
        Finding("erase.file", f"a file is as it was: {text}", "mend it, and erase again")
        for text in found.troubles
    ]
    if found.held:
        n = found.held
        problem = f"{n} records of the person wait in files that a process writes or reads"
        left.append(Finding("erase.held", problem, again))
    if found.unreadable:
        problem = f"{found.unreadable} damaged records in files *.corrupt may be the person's"
        left.append(Finding("erase.damaged", problem, "see what they are, and delete the files"))
    if not is_written:
        problem = "records that wait in this process could not be written in time"
        left.append(Finding("erase.waiting", problem, again))
    return tuple(left)


def _who(**ids: Any) -> dict[str, UUID]:
    given = {name: value for name, value in ids.items() if value is not None}
    if len(given) != 1:
        problem = "is needed, or one of user_id and involving, and not both"
        raise InvalidFilterError("actor_id", ids["actor_id"], problem)
    ((name, value),) = given.items()
    try:
        found = to_uuid(value)
    except InvalidRecordError as error:
        raise InvalidFilterError(name, value, error.problem) from None
    if found == NIL:
        raise InvalidFilterError(name, value, "stands for nobody")
    return {"actor_id": found, "user_id": found} if name == "involving" else {name: found}


def _told(name: str, text: Any, *, may_lack: bool = False) -> str:
    if not isinstance(text, str) or not (may_lack or text.strip()):
        raise InvalidFilterError(name, text, "text is needed")
    return text


def _before(older_than: Any, now: datetime) -> datetime:
    if isinstance(older_than, timedelta):
        try:
            return now - _age("older_than", older_than)
        except OverflowError:
            problem = "is before the calendar begins"
            raise InvalidFilterError("older_than", older_than, problem) from None
    if not isinstance(older_than, datetime):
        raise InvalidFilterError("older_than", older_than, "a timedelta or a datetime is needed")
    return utc_moment("older_than", older_than)


def _age(name: str, age: Any) -> timedelta:
    if not isinstance(age, timedelta) or age < timedelta(0):
        raise InvalidFilterError(name, age, "a timedelta is needed, 0 or more")
    return age


def _one_tenant(tenant_id: Any) -> UUID | None:
    found = ActivityFilter(tenant_id=tenant_id).tenant_id
    return found if isinstance(found, UUID) else None


def _channel(channel: Any) -> str | None:
    if not isinstance(channel, str | None):
        raise InvalidFilterError("channel", channel, "text is needed")
    return channel
