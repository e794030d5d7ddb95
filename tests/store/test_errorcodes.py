"""What codes of databases mean for what was to be written."""

from __future__ import annotations

import pytest

from structlog_activity.store.errorcodes import fault_of_sqlite, fault_of_sqlstate
from structlog_activity.store.faults import Fault


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("", Fault.TRANSIENT),
        ("08006", Fault.TRANSIENT),
        ("57P01", Fault.TRANSIENT),
        ("57014", Fault.SLOW),
        ("53300", Fault.TRANSIENT),
        ("40P01", Fault.TRANSIENT),
        ("25006", Fault.TRANSIENT),
        ("42P01", Fault.CONFIGURATION),
        ("28P01", Fault.CONFIGURATION),
        ("3D000", Fault.CONFIGURATION),
        ("23502", Fault.CONFIGURATION),
        ("22P05", Fault.DATA),
        ("23514", Fault.DATA),
        ("54000", Fault.DATA),
        ("23505", Fault.DUPLICATE),
        ("P0001", Fault.UNKNOWN),
        ("XX000", Fault.UNKNOWN),
    ],
)
def test_a_code_of_postgresql_says_whose_fault_it_is(code: str, fault: Fault) -> None:
    assert fault is fault_of_sqlstate(code)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("SQLITE_BUSY_SNAPSHOT", Fault.TRANSIENT),
        ("SQLITE_IOERR_WRITE", Fault.TRANSIENT),
        ("SQLITE_READONLY_DBMOVED", Fault.CONFIGURATION),
        ("SQLITE_CONSTRAINT_CHECK", Fault.DATA),
        ("SQLITE_CONSTRAINT_PRIMARYKEY", Fault.DUPLICATE),
        ("SQLITE_CONSTRAINT_UNIQUE", Fault.DATA),
        ("SQLITE_CORRUPT_INDEX", Fault.CONFIGURATION),
        ("SQLITE_FULL", Fault.TRANSIENT),
        ("SQLITE_INTERRUPT", Fault.TRANSIENT),
        ("SQLITE_SOMETHING_NEW", Fault.UNKNOWN),
        ("", Fault.UNKNOWN),
    ],
)
def test_a_name_of_sqlite_says_whose_fault_it_is(name: str, fault: Fault) -> None:
    assert fault is fault_of_sqlite(name)
