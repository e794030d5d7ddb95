"""The one-way flow: which room may import which."""

from __future__ import annotations

import ast
import sys

from collections.abc import Iterator
from pathlib import Path

import pytest

import structlog_activity


PACKAGE = Path(structlog_activity.__file__).parent
NAME = "structlog_activity"

# A room may import these rooms, or single modules of them. `front` is the door:
# the names of the package, the log and the command line.
ROOMS: dict[str, set[str]] = {
    "errors": set(),
    "findings": set(),
    "twins": set(),
    "record": {"errors"},
    "capture": {"errors", "findings", "record"},
    "store": {"errors", "findings", "record", "twins"},
    "write": {"errors", "record", "store.batch", "store.faults", "store.repository"},
    # Of store what a database is reached by, and what tells of new rows; nothing that writes.
    "read": {
        "errors",
        "record",
        "twins",
        "store.table",
        "store.engine",
        "store.reaching",
        "store.postgresql.listening",
    },
    "recording": {"record", "capture", "store.postgresql.roles", "twins", "write"},
    # What is removed lies in the table, in the spool and in dead letters.
    "removing": {"errors", "findings", "record", "store", "twins", "write", "read"},
    "sealing": {"read", "store", "twins"},
    "log": {
        "errors",
        "record",
        "capture",
        "store",
        "write",
        "read",
        "recording",
        "removing",
        "sealing",
        "findings",
        "twins",
        "doctor",
    },
    "doctor": {"capture", "findings", "store.check_database", "store.postgresql.roles", "log"},
    "testing": {"errors", "record", "capture", "read", "store.batch", "store.faults"},
    "pytest_plugin": {"testing"},
    "cli": {
        "errors",
        "record",
        "capture",
        "store",
        "write.deadletters",  # The types of what ``dead`` looks at; the log hands it out.
        "read",
        "log",
        "doctor",
        "findings",
        NAME,
    },
    "shared": {"capture", "log"},
    "django": {"capture"},
    "alembic": {"errors", "store.partitions", "store.schema", "store.table"},
    "__main__": {"cli"},
    "__init__": {
        "errors",
        "record",
        "capture",
        "store",
        "write",
        "read",
        "log",
        "shared",
        "findings",
    },
}
FOREIGN: dict[str, set[str]] = {
    "structlog": {"capture", "testing", "cli.demo"},
    "sqlalchemy": {
        "store",
        "read",
        "write.transaction",
        "recording",
        "removing",
        "log",
        "alembic",
    },
    "psycopg": {"store.postgresql", "store.engine"},
    "django": {"django"},
    "asgiref": {"django"},
    "pytest": {"pytest_plugin"},
}

# Which inner rooms the inner rooms and the modules of a room may import; who is not named, none.
INNER: dict[str, dict[str, set[str]]] = {
    "read": {
        "feeds": {"counts"},
        "methods": {"counts", "feeds"},
        "memory": {"counts"},
        "__init__": {"counts", "feeds"},
    },
    "store": {
        "postgresql": {"seals"},
        "removal": {"seals"},
        "by_url": {"postgresql"},
        "connected": {"seals"},
        "host_transaction": {"seals"},
        "sqlite": {"seals"},
    },
}

MODULES = sorted(PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def imports(path: Path) -> Iterator[str]:
    """Absolute names of all modules that a file imports, anywhere in it."""
    here = [NAME, *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            stem = here[: len(here) - node.level + 1] if node.level else []
            base = ".".join([*stem, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = PACKAGE.parent.joinpath(*base.split("."), f"{alias.name}.py")
                package = PACKAGE.parent.joinpath(*base.split("."), alias.name)
                is_module = inner.exists() or (package / "__init__.py").exists()
                yield f"{base}.{alias.name}" if is_module else base


def allowed(name: str, rooms: set[str]) -> bool:
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_a_room_imports_only_what_lies_before_it(path: Path) -> None:
    name = module_name(path)
    room = name.partition(".")[0]
    for target in imports(path):
        first, _, inner = target.partition(".")
        if first == NAME and inner.partition(".")[0] != room:
            assert allowed(inner or NAME, ROOMS[room]), f"{name} imports {target}"


@pytest.mark.parametrize("room", INNER)
def test_an_inner_room_imports_only_what_lies_before_it(room: str) -> None:
    inner_rooms = {path.parent.name for path in (PACKAGE / room).glob("*/__init__.py")}
    for path in (PACKAGE / room).rglob("*.py"):
        place = path.relative_to(PACKAGE / room).with_suffix("").parts[0]
        for target in imports(path):
            if target.startswith(f"{NAME}.{room}."):
                other = target.split(".")[2]
                may = {place, *INNER[room].get(place, set())}
                assert other in may or other not in inner_rooms, f"{path} imports {target}"


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_each_package_is_known_to_the_rooms_that_need_it_only(path: Path) -> None:
    name = module_name(path)
    for target in imports(path):
        first = target.partition(".")[0]
        if first in FOREIGN:
            assert allowed(name, FOREIGN[first]), f"{name} imports {target}"
        elif first != NAME:
            assert first in sys.stdlib_module_names, f"{name} imports {target}"


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_nobody_imports_contextvars(path: Path) -> None:
    assert not [name for name in imports(path) if name.partition(".")[0] == "contextvars"]


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_no_file_is_a_drawer_for_odds_and_ends(path: Path) -> None:
    assert path.stem not in {"utils", "util", "common", "helpers", "base", "misc", "types"}


def test_write_never_meets_a_database() -> None:
    for path in (PACKAGE / "write").rglob("*.py"):
        assert not [name for name in imports(path) if {"postgresql", "sqlite"} & {*name.split(".")}]
