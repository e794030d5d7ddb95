"""
An application with tables of its own, in the database that the log is in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import (
    URL,
    Engine,
    ForeignKey,
    create_engine,
    event,
    func,
    select,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from structlog_activity import ActivityLog
from structlog_activity.store.engine import parse_url
from structlog_activity.store.table import user_activity, user_activity_batch, user_activity_daily
from tests.support.stores import empty


TENANT = "acme"


class Tables(DeclarativeBase):
    pass


class Account(Tables):
    __tablename__ = "host_account"

    id: Mapped[int] = mapped_column(primary_key=True)
    # Checked by COMMIT, so that COMMIT itself can fail.
    owner: Mapped[int | None] = mapped_column(
        ForeignKey("host_account.id", deferrable=True, initially="DEFERRED")
    )


_account = Tables.metadata.tables["host_account"]


class Host:
    """
    The application, and what there is in its database.

    Args:

        url: The database, which has the log's tables.
    """

    def __init__(self, url: str) -> None:
        self.url: URL = parse_url(url)
        self.engine = host_engine(self.url)
        self.activity = ActivityLog(url, defaults={"actor_id": "clerk"})

    def session(self, **options: Any) -> Session:
        return Session(self.engine, **options)

    def record(self, number: int, session: Any) -> None:
        self.activity.record(
            "account.opened", ("account", number), session=session, tenant_id=TENANT
        )

    def open(self, number: int, session: Session, owner: int | None = None) -> None:
        """Do business, and tell of it."""
        session.add(Account(id=number, owner=owner))
        self.record(number, session)

    # -- what is stored -----------------------------------------------------

    @property
    def accounts(self) -> list[int]:
        with self.session() as session:
            return list(session.scalars(select(Account.id).order_by(Account.id)))

    @property
    def recorded(self) -> list[int]:
        """The numbers of the accounts in the feed, after holding all tables to each other."""
        page = self.activity.feed(tenant_id=TENANT, limit=200)
        with self.engine.connect() as connection:
            daily = connection.execute(select(user_activity_daily)).all()
            sizes = list(connection.scalars(select(user_activity_batch.c.n)))
            found = connection.execute(
                select(user_activity.c.batch_id, func.count()).group_by(user_activity.c.batch_id)
            ).all()
        counted = Counter(
            (r.tenant_id, r.occurred_at.date(), r.channel, r.verb, r.object_type)
            for r in page.records
            if r.occurred_at
        )
        assert counted == {tuple(row[:5]): row.n for row in daily}
        assert sorted(sizes) == sorted(n for _, n in found)
        assert len(page.records) == self.activity.stats(tenant_id=TENANT).total
        return sorted(int(record.object_id) for record in page.records)

    @property
    def batches(self) -> int:
        """How many lines the ledger has."""
        with self.engine.connect() as connection:
            return connection.scalar(select(func.count()).select_from(user_activity_batch)) or 0

    @property
    def counts(self) -> dict[str, int]:
        """The counters that are not zero."""
        return {name: n for name, n in self.activity.counters().items() if n}

    def empty(self) -> None:
        empty(self.engine)
        with self.engine.begin() as connection:
            connection.execute(_account.delete())


def written(n: int, rolled_back: int = 0) -> dict[str, int]:
    """Return the counters of a log that took nothing but records in transactions."""
    counts = dict.fromkeys(("submitted", "accepted", "written"), n) | {"rolled_back": rolled_back}
    return {name: n for name, n in counts.items() if n}


def host_engine(url: URL, **options: Any) -> Engine:
    """Return an engine as an application should have it."""
    engine = create_engine(url, **options)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return engine


def _prepare_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None  # Or savepoints begin without a transaction around them.
    connection.execute("PRAGMA foreign_keys = ON")


@contextmanager
def host_on(url: str) -> Iterator[Host]:
    """Give a host whose tables are there, and empty, for a while."""
    host = Host(url)
    host.activity.migrate()
    Tables.metadata.create_all(host.engine)
    host.empty()
    try:
        yield host
    finally:
        host.activity.close(5)
        host.engine.dispose()
