"""The front door: names, what importing them costs, and what a wheel holds."""

from __future__ import annotations

import subprocess
import sys
import zipfile

from importlib import import_module
from pathlib import Path

import pytest

import structlog_activity

from structlog_activity import errors, read


ROOT = Path(structlog_activity.__file__).parent.parent


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return done.stdout.strip()


def test_every_public_name_is_there() -> None:
    for name in structlog_activity.__all__:
        assert getattr(structlog_activity, name) is not None
    assert sorted(structlog_activity.__all__) == sorted(set(structlog_activity.__all__))
    assert set(structlog_activity.__all__) == set(structlog_activity._HOME)
    assert set(structlog_activity.__all__) < set(dir(structlog_activity))


def test_the_functions_that_read_are_in_their_room_too() -> None:
    assert read.feed is structlog_activity.feed
    assert {name: getattr(read, name).__name__ for name in read.__all__} == {
        name: name for name in read.__all__
    }
    with pytest.raises(AttributeError, match="no_such_name"):
        read.no_such_name  # noqa: B018


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        structlog_activity.no_such_name  # noqa: B018


def test_every_public_name_is_documented_with_its_version() -> None:
    for name in structlog_activity.__all__:
        if name not in {"NIL", "ALL_TENANTS"}:
            assert "versionadded:: 0.1.0" in (getattr(structlog_activity, name).__doc__ or ""), name


def test_all_errors_are_activity_errors() -> None:
    found = [
        e for e in vars(errors).values() if isinstance(e, type) and e.__module__ == errors.__name__
    ]

    assert all(issubclass(error, structlog_activity.ActivityError) for error in found)
    assert issubclass(errors.InvalidRecordError, ValueError)
    assert issubclass(errors.InvalidCursorError, errors.InvalidFilterError)
    assert issubclass(errors.SchemaError, errors.RepositoryError)


@pytest.mark.parametrize(
    "names",
    [
        "",
        "from structlog_activity import ActivityProcessor, ActivityHandler, acting_as",
        "from structlog_activity import ActivityRecord, build_record_from_uuid, to_uuid",
        "from structlog_activity import BufferedRepository; import structlog_activity.testing",
    ],
)
def test_importing_loads_no_database(names: str) -> None:
    loaded = run(
        f"import sys, structlog_activity; {names or 'pass'}\n"
        "print([m for m in ('sqlalchemy', 'psycopg', 'sqlite3', 'asyncio') if m in sys.modules])"
    )

    assert "sqlalchemy" not in loaded
    assert "psycopg" not in loaded


def test_sqlite_needs_neither_psycopg_nor_the_orm() -> None:
    loaded = run(
        "import sys\nfrom structlog_activity import ActivityLog\n"
        "with ActivityLog('sqlite://') as a:\n"
        "    a.record('a.b', 'c:1', tenant_id=1); a.flush(); a.stats(tenant_id=1)\n"
        "print([m for m in ('psycopg', 'sqlalchemy.orm') if m in sys.modules])"
    )

    assert "[]" == loaded


def test_every_module_imports_alone() -> None:
    package = Path(structlog_activity.__file__).parent
    for path in package.rglob("*.py"):
        if path.stem != "__main__":
            parts = path.relative_to(package.parent).with_suffix("").parts
            import_module(".".join(parts).removesuffix(".__init__"))


def test_a_wheel_holds_the_migrations_and_the_types_marker(tmp_path: Path) -> None:
    hatchling = pytest.importorskip("hatchling.build", reason="built by CI otherwise")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        name = hatchling.build_wheel(str(tmp_path))

    names = zipfile.ZipFile(tmp_path / name).namelist()
    for dialect in ("postgresql", "sqlite"):
        for way in ("up", "down"):
            assert f"structlog_activity/migrations/{dialect}/0001_user_activity.{way}.sql" in names
    assert "structlog_activity/py.typed" in names
    assert not [name for name in names if name.startswith(("tests", "examples"))]
