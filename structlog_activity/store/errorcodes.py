"""
What a database's error code asks for.
"""

from __future__ import annotations

from typing import Final

from .faults import Fault
from .shortage import is_out_of_files


NO_PRIVILEGE: Final = "42501"
NO_TABLE: Final = "42P01"
TABLE_EXISTS: Final = "42P07"
_SCHEMA_CODES: Final = frozenset({NO_TABLE, "42703", "3F000"})  # table, column, schema

_CLASSES: Final = {
    "08": Fault.TRANSIENT,  # connection
    "53": Fault.TRANSIENT,  # out of disk, memory, connections
    "57": Fault.TRANSIENT,  # shutdown, cancelled, starting up
    "58": Fault.TRANSIENT,  # I/O error
    "40": Fault.TRANSIENT,  # deadlock, serialisation
    "55": Fault.TRANSIENT,  # lock not available, object in use
    "25": Fault.TRANSIENT,  # read-only after a failover, idle in transaction
    "0A": Fault.CONFIGURATION,  # feature not supported
    "28": Fault.CONFIGURATION,  # password, role
    "3D": Fault.CONFIGURATION,  # no such database
    "3F": Fault.CONFIGURATION,  # no such schema
    "42": Fault.CONFIGURATION,  # no such table or column, no privilege
    "22": Fault.DATA,
    "23": Fault.DATA,
    "54": Fault.DATA,  # a value beyond a limit, e.g. of an index
}
_CODES: Final = {
    "23505": Fault.DUPLICATE,
    # The rows always fill the columns that 0001 declares: somebody added one.
    "23502": Fault.CONFIGURATION,
    "57014": Fault.SLOW,  # statement_timeout, or somebody who cancelled it
    "57P04": Fault.CONFIGURATION,  # the database was dropped
}

_SQLITE: Final = {
    "SQLITE_CONSTRAINT_PRIMARYKEY": Fault.DUPLICATE,
    "SQLITE_CONSTRAINT_NOTNULL": Fault.CONFIGURATION,
    "SQLITE_CORRUPT": Fault.CONFIGURATION,
    "SQLITE_NOTADB": Fault.CONFIGURATION,
    "SQLITE_READONLY": Fault.CONFIGURATION,
    "SQLITE_CANTOPEN": Fault.CONFIGURATION,
    "SQLITE_PERM": Fault.CONFIGURATION,
    "SQLITE_ERROR": Fault.CONFIGURATION,  # no such table or column
    "SQLITE_CONSTRAINT": Fault.DATA,
    "SQLITE_TOOBIG": Fault.DATA,
    "SQLITE_MISMATCH": Fault.DATA,
    "SQLITE_BUSY": Fault.TRANSIENT,
    "SQLITE_LOCKED": Fault.TRANSIENT,
    "SQLITE_FULL": Fault.TRANSIENT,
    "SQLITE_IOERR": Fault.TRANSIENT,
    "SQLITE_NOMEM": Fault.TRANSIENT,
    "SQLITE_INTERRUPT": Fault.TRANSIENT,
    "SQLITE_PROTOCOL": Fault.TRANSIENT,
}

# What the server says while connecting has no SQLSTATE, only words.
_CONNECT_WORDS: Final = (
    ("password authentication failed", Fault.CONFIGURATION, "the password or the role is wrong"),
    (
        "no password supplied",
        Fault.CONFIGURATION,
        "a password is needed: ~/.pgpass or $PGPASSWORD can hold it",
    ),
    ("no pg_hba.conf entry", Fault.CONFIGURATION, "pg_hba.conf does not let us in"),
    (
        "does not exist",
        Fault.CONFIGURATION,
        "the database or the role does not exist: is the URL right?",
    ),
    (
        "invalid connection option",
        Fault.CONFIGURATION,
        "the URL has an option that libpq does not know",
    ),
    ("does not support SSL", Fault.CONFIGURATION, "it has no TLS, which sslmode= asks for"),
    ("is not permitted to log in", Fault.CONFIGURATION, "the role may not log in"),
    ("too many", Fault.TRANSIENT, "it has too many connections"),
    ("connection slots are reserved", Fault.TRANSIENT, "it has too many connections"),
    ("the database system is", Fault.TRANSIENT, "it is starting up or shutting down"),
    (
        "refused",
        Fault.TRANSIENT,
        "the connection is refused: is the server running, and the port right?",
    ),
    ("timeout", Fault.TRANSIENT, "it does not answer in time"),
    ("No such file", Fault.TRANSIENT, "there is no such socket: is the server running?"),
    ("resolve host", Fault.TRANSIENT, "the host's name is unknown: is it spelt right?"),
    ("not translate host name", Fault.TRANSIENT, "the host's name is unknown: is it spelt right?"),
)

_SQLITE_PROBLEMS: Final = {
    "SQLITE_CANTOPEN": "the file can't be opened: is its folder there, and may we write to it?",
    "SQLITE_NOTADB": "the file is no SQLite database",
    "SQLITE_CORRUPT": "the file is damaged",
    "SQLITE_READONLY": "the file may not be written",
    "SQLITE_BUSY": "the file is locked by somebody else",
}


def code_of(error: BaseException | None) -> str:
    """Return the SQLSTATE of an error of any driver, or SQLite's name of it; ``""`` for neither."""
    for name in ("sqlstate", "pgcode", "sqlite_errorname"):
        code = getattr(error, name, None)
        if isinstance(code, str):
            return code
    return ""


def lacks_tables(error: BaseException) -> bool:
    """Tell whether a driver's error says that tables or columns are missing."""
    text = str(error)  # All that SQLite tells it by.
    return code_of(error) in _SCHEMA_CODES or "no such" in text or "has no column" in text


def is_of_sqlite(code: str) -> bool:
    """Tell whether a code is one of SQLite's names."""
    return code.startswith("SQLITE")


def fault_of_sqlstate(sqlstate: str) -> Fault:
    """Return what an error of PostgreSQL asks for; ``""`` is a lost connection."""
    if not sqlstate:
        return Fault.TRANSIENT
    return _CODES.get(sqlstate) or _CLASSES.get(sqlstate[:2], Fault.UNKNOWN)


def fault_of_sqlite(name: str) -> Fault:
    """Return what an error of SQLite asks for, by its (extended) name."""
    while name not in _SQLITE and "_" in name:
        name = name.rpartition("_")[0]  # SQLITE_IOERR_WRITE is an SQLITE_IOERR.
    return _SQLITE.get(name, Fault.UNKNOWN)


def connect_problem(error: BaseException) -> tuple[Fault, str]:
    """Return what an error that came up while connecting asks for, and means in words."""
    code = code_of(error)
    if is_of_sqlite(code):
        return fault_of_sqlite(code), _SQLITE_PROBLEMS.get(code, code)
    text = str(error)  # Only looked into: libpq may quote a password in it.
    for words, fault, problem in _CONNECT_WORDS:
        if words in text:
            return fault, problem
    if is_out_of_files(1):
        return Fault.TRANSIENT, "too many files are open"
    return Fault.TRANSIENT, f"connecting failed ({type(error).__name__})"
