"""`assert_recorded`, and the fixture `activities` in a pytest run of its own."""

from __future__ import annotations

import logging
import tomllib

from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from unittest.mock import ANY
from uuid import UUID

import pytest
import structlog

from structlog.contextvars import bound_contextvars, merge_contextvars
from structlog.processors import JSONRenderer

from structlog_activity import ActivityLog, ActivityRecord, build_record_from_uuid, to_uuid
from structlog_activity.testing import assert_recorded, capture_activity


pytest_plugins = ["pytester"]

PLUGIN = "structlog_activity.pytest_plugin"
INSTALLED = [entry for entry in entry_points(group="pytest11") if entry.value == PLUGIN]
NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)


def made(
    verb: str = "settings.updated", object_: str = "settings:global", **data: object
) -> ActivityRecord:
    type_, _, id_ = object_.partition(":")
    return build_record_from_uuid(
        7, verb, type_, id_, data, tenant_id="acme", channel="web", occurred_at=NOON
    )  # fmt: skip


RECORDS = [
    made(to="light"),
    made("settings.reset", to="dark"),
    made(to="dark", count=2),
    made("export.completed", "export.job:9"),
]


def failure(*arguments: Any, **expected: Any) -> str:
    with pytest.raises(AssertionError) as caught:
        assert_recorded(*arguments, **expected)
    return str(caught.value)


@pytest.mark.parametrize(
    ("expected", "indexes"),
    [
        ({}, [0, 1, 2, 3]),
        ({"verb": "settings.updated"}, [0, 2]),
        ({"verb": "settings.updated", "object": "settings:global", "to": "dark"}, [2]),
        ({"object": ("export.job", "9")}, [3]),
        ({"object": {"type": "export.job", "id": 9}}, [3]),
        ({"object_type": "settings", "to": ANY}, [0, 1, 2]),
        ({"actor_id": 7, "tenant_id": "acme", "channel": "web", "verb": "export.completed"}, [3]),
        ({"actor_id": to_uuid(7), "verb": "export.completed"}, [3]),
        ({"data": {"to": "dark", "count": 2}}, [2]),
        ({"occurred_at": "2026-03-14T12:00:00Z", "verb": "settings.reset"}, [1]),
    ],
)
def test_what_is_expected_is_found(expected: dict[str, Any], indexes: list[int]) -> None:
    assert [RECORDS[index] for index in indexes] == assert_recorded(RECORDS, **expected)


def test_details_are_compared_as_they_are_stored() -> None:
    record = made(at=NOON, key=UUID(int=5), path=Path("a/b"))
    assert_recorded([record], at=NOON, key=UUID(int=5))

    with capture_activity() as seen:
        price, tags = Decimal("1.50"), ("a", UUID(int=5))
        structlog.get_logger().info("x", verb="a.b", object="c", price=price, tags=tags, at=NOON)

    assert_recorded(seen, price=price, tags=tags, at=NOON, data={"price": price, "tags": tags})
    assert "price is '1.50', not Decimal('1.5')" in failure(seen, price=Decimal("1.5"))


def test_a_detail_that_is_none_equals_nothing_else() -> None:
    with capture_activity() as seen:
        structlog.get_logger().info("x", verb="a.b", object="c", to=None)

    assert_recorded(seen, to=None, data={"to": None})
    assert "to is None, not 'dark'" in failure(seen, to="dark")
    assert "data['to'] is None, not 0" in failure(seen, data={"to": 0})


@pytest.mark.parametrize(
    ("stored", "expected"), [(1, True), (True, 1), (0, False), (False, 0.0), (1.0, True)]
)
def test_a_number_is_no_truth(stored: object, expected: object) -> None:
    with capture_activity() as seen:
        structlog.get_logger().info("x", verb="a.b", object="c", said=stored)

    assert_recorded(seen, said=stored, data={"said": stored})
    assert_recorded(seen, said=expected, count=0)
    assert_recorded(seen, data={"said": expected}, count=0)


def test_the_nearest_misses_are_shown_with_what_differs() -> None:
    told = failure(RECORDS, verb="settings.updated", object="settings:global", to="blue")
    first, *rest = told.splitlines()
    assert (
        "expected at least 1 of verb='settings.updated', object='settings:global', to='blue', "
        "found 0 among 4 recorded"
    ) == first
    assert [
        "  settings.updated settings:global",
        "    to is 'light', not 'blue'",
        "  settings.updated settings:global",
        "    to is 'dark', not 'blue'",
        "  settings.reset settings:global",
        "    verb is 'settings.reset', not 'settings.updated'",
        "    to is 'dark', not 'blue'",
    ] == rest


@pytest.mark.parametrize(
    ("expected", "told"),
    [
        ({"too": "dark"}, "too is not there, not 'dark'"),
        ({"actor_id": 8}, f"actor_id is {to_uuid(7)}, not 8 ({to_uuid(8)})"),
        ({"actor_id": UUID(int=8)}, f"actor_id is {to_uuid(7)}, not {UUID(int=8)}"),
        ({"actor_id": 1.5}, "and can't be 1.5: "),
        ({"object": "settings"}, "object is ('settings', 'global'), not 'settings'"),
        ({"to": "x" * 500}, f"not 'x{'x' * 77}…"),
        ({"channel": "cli"}, "channel is 'web', not 'cli'"),
        ({"occurred_at": "soon"}, "can't be 'soon': "),
        ({"data": {"to": "red"}}, "data['to'] is 'light', not 'red'"),
    ],
)
def test_a_difference_says_what_is_and_what_should_be(expected: dict[str, Any], told: str) -> None:
    assert told in failure(RECORDS[:1], **expected)


def test_a_count_is_exact() -> None:
    assert_recorded(RECORDS, verb="settings.updated", count=2)
    assert_recorded(RECORDS, verb="no.such", count=0)
    few = failure(RECORDS, verb="settings.updated", count=3)
    many = failure(RECORDS, verb="settings.updated", count=1)
    assert "expected 3 of verb='settings.updated', found 2 among 4 recorded" in few
    assert "    verb is 'settings.reset', not 'settings.updated'" in few
    assert 3 == len(many.splitlines())


def test_without_records_nothing_was_recorded() -> None:
    assert (
        failure([], verb="a.b")
        == "expected at least 1 of verb='a.b', found 0; nothing was recorded"
    )
    assert_recorded([], count=0)


@pytest.mark.parametrize("kind", [list, tuple])
def test_a_block_records_before_the_renderer_wherever_that_stands(
    request: pytest.FixtureRequest, kind: Any
) -> None:
    request.addfinalizer(structlog.reset_defaults)
    chain = kind([merge_contextvars, JSONRenderer(), lambda *args: args[2] + "\n"])
    structlog.configure(processors=chain)

    with bound_contextvars(tenant_id="acme"), capture_activity() as seen:
        structlog.get_logger().info("x", verb="a.b", object="c")

    assert_recorded(seen, verb="a.b", tenant_id="acme", count=1)
    assert list(chain) == list(structlog.get_config()["processors"])


def test_the_innermost_block_is_looked_at() -> None:
    with capture_activity() as outer:
        structlog.get_logger().info("x", verb="outer.done", object="o")
        with capture_activity():
            structlog.get_logger().info("x", verb="inner.done", object="o")
            assert_recorded(verb="inner.done", count=1)
            assert_recorded(verb="outer.done", count=0)
        assert_recorded(verb="outer.done")
    assert_recorded(outer, verb="outer.done")


def test_blocks_may_end_in_any_order() -> None:
    first, second = capture_activity(), capture_activity()
    with pytest.raises(RuntimeError, match="give the records"):
        assert_recorded(verb="a.b")
    first.__enter__()
    inner = second.__enter__()
    first.__exit__(None, None, None)
    logging.getLogger("t").warning("x", extra={"verb": "a.b", "object": "o"})
    assert_recorded(inner, count=len(inner))
    assert inner == assert_recorded(count=len(inner))
    second.__exit__(None, None, None)
    with pytest.raises(RuntimeError):
        assert_recorded(verb="a.b")


def test_calls_that_made_no_record_are_told() -> None:
    with ActivityLog("sqlite://") as activity, capture_activity() as seen:
        log = structlog.wrap_logger(
            structlog.testing.ReturnLogger(),
            processors=[activity.processor, structlog.processors.JSONRenderer()],
        )
        log.info("x", verb="settings.updated")
        told = failure(verb="settings.updated")
    assert {"object_type": 1} == seen.rejected
    assert "nothing was recorded" in told
    assert "a call made no record: object_type, 1 times" in told


# -- the fixture -----------------------------------------------------------------


def test_pytest_finds_the_plugin_by_an_entry_point() -> None:
    text = (Path(__file__).parent.parent / "pyproject.toml").read_text()
    groups = tomllib.loads(text)["project"]["entry-points"]
    assert {"pytest11": {"structlog_activity": PLUGIN}} == groups


TESTS = """
import structlog
from structlog_activity.testing import assert_recorded

log = structlog.get_logger()

def test_right(activities):
    log.info("theme", verb="settings.updated", object="settings:global", to="dark")
    assert_recorded(verb="settings.updated", to="dark", count=1)
    assert_recorded(activities, object="settings:global")

def test_begins_empty(activities):
    assert [] == activities
    assert_recorded(count=0)

def test_wrong(activities):
    log.info("theme", verb="settings.updated", object="settings:global", to="light")
    assert_recorded(verb="settings.updated", to="dark")
"""


def test_the_fixture_collects_what_a_test_records(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TESTS)
    plugin = () if INSTALLED else ("-p", PLUGIN)
    result = pytester.runpytest_subprocess(*plugin, "-p", "no:randomly", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            '>*assert_recorded(verb="settings.updated", to="dark")',
            "E*found 0 among 1 recorded",
            "E*settings.updated settings:global",
            "E*to is 'light', not 'dark'",
        ]
    )
    assert "assertions.py" not in result.stdout.str()


def test_the_fixture_costs_a_run_that_does_not_use_it_no_database(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        "import sys\n"
        "def test_light():\n"
        "    heavy = {'sqlalchemy', 'psycopg', 'structlog_activity.testing'}\n"
        "    assert not heavy & set(sys.modules)\n"
    )
    plugin = () if INSTALLED else ("-p", PLUGIN)
    result = pytester.runpytest_subprocess(*plugin, "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)
