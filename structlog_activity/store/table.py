"""
The tables, as SQLAlchemy sees them: for reading, and for hosts that compare metadata.

The schema itself is written in ``migrations/*/*.sql``; these objects must say
the same and a test holds them to it.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Dialect,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    TypeDecorator,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import JSON

from ..record.times import from_day, from_microseconds, to_day, to_microseconds


class BlobUuid(TypeDecorator[UUID]):
    """A UUID as 16 bytes, as SQLite keeps it: 36 % smaller files than text."""

    impl = LargeBinary(16)
    cache_ok = True

    def process_bind_param(self, value: UUID | None, dialect: Dialect) -> bytes | None:
        """Return the 16 bytes."""
        return None if value is None else value.bytes

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> UUID | None:
        """Return the UUID."""
        return None if value is None else UUID(bytes=value)


class UtcMoment(TypeDecorator[datetime]):
    """A moment in UTC, whatever zone the session shows its times in."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the aware UTC datetime."""
        return value if value is None or value.tzinfo is UTC else value.astimezone(UTC)


class Microseconds(TypeDecorator[datetime]):
    """A moment as an integer of microseconds since 1970, as SQLite keeps it."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Return the microseconds."""
        return None if value is None else to_microseconds(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Return the aware UTC datetime."""
        return None if value is None else from_microseconds(value)


class EpochDay(TypeDecorator[date]):
    """A day in UTC as an integer of days since 1970-01-01, as SQLite keeps it."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: date | None, dialect: Dialect) -> int | None:
        """Return the number of days."""
        return None if value is None else to_day(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> date | None:
        """Return the date."""
        return None if value is None else from_day(value)


def _id() -> Any:
    return Uuid().with_variant(BlobUuid(), "sqlite")


def _text() -> Any:
    # "C": compares bytes, and needs no re-index after an update of the system's libc.
    return Text(collation="C").with_variant(Text(), "sqlite")


def _moment() -> Any:
    return UtcMoment().with_variant(Microseconds(), "sqlite")


metadata = MetaData()
"""All tables of this package, for hosts that look at metadata."""

user_activity = Table(
    "user_activity",
    metadata,
    Column("tenant_id", _id(), primary_key=True),
    Column("created_at", _moment(), primary_key=True),
    Column("id", _id(), primary_key=True),
    Column("actor_id", _id(), nullable=False),
    Column("user_id", _id(), nullable=False),
    Column("org_id", _id(), nullable=False),
    Column("verb", _text(), nullable=False),
    Column("object_type", _text(), nullable=False),
    Column("object_id", _text(), nullable=False),
    Column("channel", _text(), nullable=False),
    Column("ip", _text(), nullable=False),
    Column("data", JSONB().with_variant(JSON(), "sqlite"), nullable=False),
    Column("batch_id", BigInteger, nullable=False),
    Column("batch_ix", Integer, nullable=False),
    Column("commitment", LargeBinary, nullable=False),
)
"""The log itself, one row a record, clustered (SQLite) and partitioned (PostgreSQL) by time."""

user_activity_batch = Table(
    "user_activity_batch",
    metadata,
    Column("writer_id", _id(), primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("batch_id", BigInteger, nullable=False),
    Column("n", Integer, nullable=False),
    Column("written_at", _moment(), nullable=False),
    Column("chain_id", _id(), nullable=False),
    Column("link", BigInteger, nullable=False),
    Column("flags", Integer, nullable=False),
    Column("first_at", _moment(), nullable=False),
    Column("last_at", _moment(), nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("prev", LargeBinary, nullable=False),
    Column("seal", LargeBinary, nullable=False),
    Column("key_id", _text(), nullable=False),
    Column("mac", LargeBinary, nullable=False),
    Column("dropped", LargeBinary, nullable=True),
    Column("ordinal", BigInteger, nullable=False),
)
"""
The ledger, one row a committed batch, which is sealed in it.

*ordinal* is the number of its transaction on PostgreSQL, and of the batch on SQLite.
"""

user_activity_checkpoint = Table(
    "user_activity_checkpoint",
    metadata,
    Column("no", BigInteger, primary_key=True, autoincrement=False),
    Column("taken_at", _moment(), nullable=False),
    Column("line", Text, nullable=False),
)
"""The checkpoints that were exported."""

user_activity_daily = Table(
    "user_activity_daily",
    metadata,
    Column("tenant_id", _id(), primary_key=True),
    Column("day", Date().with_variant(EpochDay(), "sqlite"), primary_key=True),
    Column("channel", _text(), primary_key=True),
    Column("verb", _text(), primary_key=True),
    Column("object_type", _text(), primary_key=True),
    Column("folded", Boolean().with_variant(Integer(), "sqlite"), primary_key=True),
    Column("n", BigInteger, nullable=False),
)
"""
How many records a tenant has of each kind on each day in UTC.

A day's count may be in two rows: what its month's count holds already is folded,
what came since is not.
"""

DAYS_OF_MONTH: Final = tuple(f"d{day:02}" for day in range(1, 32))
"""Names of the columns of `user_activity_monthly` that count a day each."""

user_activity_monthly = Table(
    "user_activity_monthly",
    metadata,
    Column("tenant_id", _id(), primary_key=True),
    Column("month", Date().with_variant(EpochDay(), "sqlite"), primary_key=True),
    Column("channel", _text(), primary_key=True),
    Column("verb", _text(), primary_key=True),
    Column("object_type", _text(), primary_key=True),
    Column("n", BigInteger, nullable=False),
    *(Column(name, BigInteger) for name in DAYS_OF_MONTH),
)
"""The folded rows of `user_activity_daily` once more, a month in a row."""

user_activity_migration = Table(
    "user_activity_migration",
    metadata,
    Column("version", SmallInteger, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("checksum", Text, nullable=False),
    Column("applied_at", _moment(), nullable=False),
)
"""Which migrations ran, and the SHA-256 of what ran."""

VIEWS: Final = ("activity_feed_v1", "activity_daily_v1")
"""Names of the views for dashboards."""
