"""
The activity log of an application: one object that joins all rooms.
"""

from __future__ import annotations

import os

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from .capture.event_redactor import EventRedactor
from .capture.handler import RecorderHandler, RecordingHandler
from .capture.install import Installable
from .capture.keys import ActivityKeys
from .capture.processor import ActivityProcessor
from .capture.recorder import Recorder
from .read.tail.methods import TailMethods
from .record.redact import Redactor, redactor_of
from .record.rowmaker import RowMaker
from .recording import RecordingMethods
from .removing import RemovalMethods
from .sealing import SealedReadMethods
from .store.maintenance.methods import MaintenanceMethods
from .store.seals.methods import SealMethods
from .twins import in_thread
from .write.signals import SignalMethods


if TYPE_CHECKING:
    from sqlalchemy import Engine

    from .capture.jsonlines import LineReader
    from .findings import Finding
    from .store.repository import Repository
    from .store.schema import Migration
    from .write.buffer import BufferedRepository
    from .write.hooks import AfterWrite, Enricher
    from .write.importer import Importer


_T = TypeVar("_T")

URL_VARIABLE: Final = "STRUCTLOG_ACTIVITY_URL"
SPOOL_VARIABLE: Final = "STRUCTLOG_ACTIVITY_SPOOL_DIR"
DEFAULT_URL: Final = "sqlite:///activity.db"


class ActivityLog(
    RecordingMethods,
    SealedReadMethods,
    TailMethods,
    MaintenanceMethods,
    SealMethods,
    RemovalMethods,
    Installable,
    SignalMethods,
):
    """
    Record what log calls tell, and read it back.

    ::

        activity = ActivityLog("postgresql://app@db/app")
        structlog.configure(processors=[
            structlog.contextvars.merge_contextvars,
            activity.processor,
            structlog.processors.JSONRenderer(),
        ])

    Nothing is opened before the first record or read. As a context manager it
    closes itself.

    Args:

        url: ``postgresql://...`` or ``sqlite:///file``. Default:
            ``$STRUCTLOG_ACTIVITY_URL``, else ``sqlite:///activity.db``.

        durability: What a record survives once its call has returned:
            ``"memory"`` every end of the program that Python sees, ``"wal"``
            SIGKILL, too, ``"fsync"`` loss of power; see `BufferedRepository`.

        overflow: What happens to a record when *max_records* wait; see
            `BufferedRepository`.

        spool_dir: Folder where records wait when the database is away, or, with
            ``"wal"`` and ``"fsync"``, always. Default:
            ``$STRUCTLOG_ACTIVITY_SPOOL_DIR``, else none.

        spool_bytes: Most bytes that this process keeps there; default is 1 GiB.

        max_records: Most records that wait in memory.

        batch_size: Most rows of one transaction.

        linger: How long the first record of a batch waits for others, in
            seconds.

        block_timeout: How long ``overflow="block"`` waits, in seconds.

        close_timeout: How long `close` waits for the rest, in seconds.

        keys: Which keys of log calls mean which field.

        defaults: Values for what neither call nor context says, under the
            words of log calls, for example ``{"channel": "billing"}``.

        redact: Replace what looks like a secret; a `Redactor` says what does,
            and what becomes of it. `False`, and nothing else, stores everything.

        redact_event: Replace it also in the event that the processor passes on,
            so that the log line has no secrets either. Calls without a verb are
            not looked at.

        key: Secret that signs cursors and the seals of stored batches, so that
            nobody can make one. Keep it where the database's keepers can't
            read it.

        old_keys: Keys that signed earlier seals, and sign no more: `verify` still
            accepts what they signed.

        strict: Raise `InvalidRecordError` from log calls that make no record
            (for tests and development); otherwise they are counted. A
            *spool_dir* that can't be used is refused at once; otherwise
            records wait in memory, and `health` says so.

        on_loss: Called with a reason and a number when records are lost, by
            the writer's thread.

        enrichers: Functions that are called with each record before it is
            written, off the caller's thread, and return what to add to its
            ``data``; see `BufferedRepository`. Records in the transaction of a
            session are not enriched.

        after_write: Called with the records of each batch once it is
            committed; not with those in the transaction of a session.

        hook_timeout: How long a batch waits for either, in seconds.

        warn_role: Warn once, on the logger ``structlog_activity``, if the role
            that writes to PostgreSQL could also change what was recorded.

        migrate: Bring the schema up to date before the first use. Default:
            `True` for SQLite, `False` for PostgreSQL.

    Attributes:

        processor: The structlog processor that records into this log; it goes last
            before the renderer.

    Raises:

        RepositoryError: The URL can't be read, names another kind of database,
            the driver is missing, or *strict* and the spool can't be used.

        ValueError: An option is out of its range.

    .. versionadded:: 0.1.0
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        durability: str = "memory",
        overflow: str = "drop_newest",
        spool_dir: str | os.PathLike[str] | None = None,
        spool_bytes: int = 1 << 30,
        max_records: int = 100_000,
        batch_size: int = 500,
        linger: float = 0.05,
        block_timeout: float = 0.25,
        close_timeout: float = 5.0,
        keys: ActivityKeys | None = None,
        defaults: Mapping[str, Any] | None = None,
        redact: bool | Redactor = True,
        redact_event: bool = False,
        key: bytes | None = None,
        old_keys: Iterable[bytes] = (),
        strict: bool = False,
        migrate: bool | None = None,
        warn_role: bool = True,
        on_loss: Callable[[str, int], object] | None = None,
        enrichers: Sequence[Enricher] = (),
        after_write: AfterWrite | None = None,
        hook_timeout: float = 1.0,
    ) -> None:
        # Imported here, not at first use: a fork in the middle of an import
        # would leave the child with its lock.
        from .store.by_url import folder_for
        from .store.engine import SQLITE, parse_url
        from .store.host_transaction import write_inside
        from .store.postgresql.roles import RolePower
        from .store.table import user_activity
        from .write.buffer import BufferedRepository
        from .write.transaction.sink import TransactionSink

        self._url = parse_url(url_or_default(url))
        self._migrates = self._url.get_backend_name() == SQLITE if migrate is None else migrate
        self._key = _checked_key(key)
        self._seal_keys = tuple(filter(None, (self._key, *old_keys)))
        self._power = RolePower() if warn_role else None
        self._is_ready = False
        self._defaults = dict(defaults or {})
        self._redactor = redactor = redactor_of(redact)
        self._rows = rows = RowMaker(redactor)
        self._buffer: BufferedRepository = BufferedRepository(
            self._repository(),
            durability=durability,
            spool_dir=folder_for(self._url, _given(spool_dir, SPOOL_VARIABLE)),
            spool_bytes=spool_bytes,
            batch_size=batch_size,
            linger=linger,
            max_records=max_records,
            overflow=overflow,
            block_timeout=block_timeout,
            close_timeout=close_timeout,
            rows=rows,
            on_loss=on_loss,
            enrichers=enrichers,
            after_write=after_write,
            hook_timeout=hook_timeout,
        )
        if strict:
            self._buffer.check_spool()
        self._inside = TransactionSink(partial(write_inside, key=self._key), user_activity)
        self._recorder = Recorder(
            self._buffer,
            session_sink=self._inside,
            rows=rows,
            keys=_checked_keys(keys),
            defaults=self._defaults,
            strict=strict,
        )
        event_redactor = EventRedactor(redactor) if redactor and redact_event else None
        self.processor = ActivityProcessor(self._recorder, event_redactor)

    def __repr__(self) -> str:
        from .store.engine import shown

        return f"ActivityLog({shown(self._url)!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @cached_property
    def handler(self) -> RecordingHandler:
        """A `logging.Handler` that records into this log; the same at every access."""
        return RecorderHandler(self._recorder)

    @cached_property
    def engine(self) -> Engine:
        """The SQLAlchemy engine that reads."""
        from .store.engine import make_engine

        return make_engine(self._url)

    @cached_property
    def _reader(self) -> Engine:
        from .read.shortcut import for_single_reads

        return for_single_reads(self.engine)

    # -- setting up ---------------------------------------------------------

    def doctor(self) -> list[Finding]:
        """Look for what keeps activities from being recorded: in this process and the database."""
        from .doctor import check_setup

        return check_setup([self])

    # -- the end ------------------------------------------------------------

    def close(self, timeout: float | None = None) -> bool:
        """
        Write what waits and stop; see `BufferedRepository.close`. Tails end, too.

        Args:

            timeout: Most seconds to wait; default is *close_timeout*.

        Returns:

            As `BufferedRepository.close`.
        """
        self._close_tails()
        done = self._buffer.close(timeout)
        if "engine" in self.__dict__:
            self.engine.dispose()
        return done

    aclose = in_thread(close)

    # -- the database -------------------------------------------------------

    def migrate(self) -> list[Migration]:
        """
        Bring the schema up to date; return the steps that were taken.

        Raises:

            SchemaError: It can't be done; the text says why.

            RepositoryError: The database can't be reached.
        """
        from .store.reaching import reached
        from .store.schema import Schema

        with reached(self._url):
            return Schema(self.engine).migrate()

    # -- history ------------------------------------------------------------

    def line_reader(self) -> LineReader:
        """Return what makes rows of JSON lines by the rules of this log."""
        from .capture.jsonlines import LineReader

        return LineReader(self._rows, keys=self._recorder.keys, defaults=self._defaults)

    def importer(self) -> Importer:
        """
        Return what stores rows in bulk, on a connection of its own.

        Raises:

            SchemaError: The tables are missing or of another version.

            RepositoryError: The database can't be reached.
        """
        from .write.importer import Importer

        self._ready()
        return Importer(self._repository())

    # -----------------------------------------------------------------------

    @property
    def recorder(self) -> Recorder:
        """What makes the records of this log."""
        return self._recorder

    @property
    def migrates(self) -> bool:
        """Whether this log makes its tables by itself, at its first use."""
        return self._migrates

    def _repository(self) -> Repository:
        from .store.by_url import repository_for

        return repository_for(
            self._url,
            lambda: self.engine,
            key=self._key,
            migrate=self.migrate if self._migrates else None,
            on_power=self._power.note if self._power else None,
        )

    def _read(self, read: Callable[[Engine, bytes], _T]) -> _T:
        from .store.reaching import ConnectionLostError

        self._ready()
        engine = self._reader
        try:
            return read(engine, self._key)
        except ConnectionLostError:  # All idle ones were, by a restart; now there are none.
            return read(engine, self._key)

    def _follow(self, read: Callable[[Engine, bytes], _T]) -> _T:
        return self._read(lambda engine, key: read(self._no_worker(engine), key))

    def _at_coordinator(self) -> Engine:
        return self._no_worker(self._ready())

    def _no_worker(self, engine: Engine) -> Engine:
        from .store.citus import at_coordinator
        from .store.reaching import reached

        with reached(self._url):
            return at_coordinator(engine)

    def _ready(self) -> Engine:
        """Return the engine, after one look at the schema."""
        if not self._is_ready:
            from .store.reaching import reached
            from .store.schema import Schema

            if self._migrates:
                self.migrate()
            with reached(self._url):
                Schema(self.engine).check()
            self._is_ready = True
        return self.engine


def url_or_default(url: str | None) -> str:
    """Return the URL that is given, else that of the environment, else that of a file here."""
    return _given(url, URL_VARIABLE) or DEFAULT_URL


def _given(value: _T | None, variable: str) -> _T | str | None:
    """Return an option, or where it is not given that of the environment."""
    return value or os.environ.get(variable)


def _checked_key(key: Any) -> bytes:
    if not isinstance(key, bytes | None):
        raise ValueError(f"key: bytes are needed, not {type(key).__name__}")  # noqa: TRY004
    return key or b""


def _checked_keys(keys: Any) -> ActivityKeys:
    if not isinstance(keys, ActivityKeys | None):
        raise ValueError(f"keys: an ActivityKeys is needed, not {type(keys).__name__}")  # noqa: TRY004
    return keys or ActivityKeys()
