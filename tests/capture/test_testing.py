"""`capture_activity`: what a block records is collected, and afterwards all is as before."""

from __future__ import annotations

import logging

from pathlib import Path

import pytest
import structlog

from structlog.processors import JSONRenderer

from structlog_activity import ActivityLog
from structlog_activity.testing import capture_activity

from .conftest import Kit
from .test_wirings import EXTRA, foreign, stdlib


def test_capture_activity_collects_from_all_doors(activity: ActivityLog) -> None:
    structlog.configure(processors=[activity.processor, structlog.testing.LogCapture()])
    logger = stdlib(activity.handler)

    with capture_activity() as seen:
        structlog.get_logger().info("paid", **EXTRA, by="processor")
        logger.info("paid", extra={**EXTRA, "by": "handler"})
        activity.record("invoice.paid", "invoice:7", by="record")

    assert ["processor", "handler", "record"] == [record.data["by"] for record in seen]
    assert 0 == activity.counters()["submitted"]


def test_capture_activity_works_where_nothing_is_set_up() -> None:
    logging.getLogger().setLevel(logging.INFO)
    structlog.configure(processors=[structlog.testing.LogCapture()])
    cached = structlog.get_logger().bind()
    root = logging.getLogger()
    before = list(root.handlers)

    with capture_activity() as seen:
        cached.info("paid", **EXTRA, by="structlog")
        logging.getLogger("app").info("paid", extra={**EXTRA, "by": "logging"})
    cached.info("paid", **EXTRA)

    assert ["structlog", "logging"] == [record.data["by"] for record in seen]
    assert before == root.handlers
    assert 1 == len(structlog.get_config()["processors"])


def test_capture_activity_undoes_itself_after_an_exception(kit: Kit) -> None:
    with pytest.raises(LookupError), capture_activity():
        raise LookupError

    kit.process(**EXTRA)

    assert 1 == len(kit.records)


def test_capture_activity_nests(kit: Kit) -> None:
    with capture_activity() as outer:
        kit.process(**EXTRA, n=1)
        with capture_activity() as inner:
            kit.process(**EXTRA, n=2)
        kit.process(**EXTRA, n=3)

    assert ([1, 3], [2]) == (
        [record.data["n"] for record in outer],
        [record.data["n"] for record in inner],
    )
    assert [] == kit.records


def test_capture_activity_collects_from_a_log_that_is_made_within(tmp_path: Path) -> None:
    """As that of an application which its test makes."""
    database = tmp_path / "activity.db"
    with capture_activity() as outer, capture_activity() as seen:
        made = ActivityLog(f"sqlite:///{database}")
        structlog.configure(processors=[made.processor, JSONRenderer()])
        structlog.get_logger().info("paid", **EXTRA)
        foreign(stdlib(made.handler))
        made.record("a.b", "c:1")
        assert made.flush(10)

    assert ["invoice.paid", "invoice.paid", "a.b"] == [record.verb for record in seen]
    assert [] == outer
    assert not database.exists()
    made.record("a.b", "c:2", tenant_id="t")
    assert made.close()
    assert 1 == made.counters()["written"]
    assert 3 == len(seen)


def test_capture_activity_survives_a_new_configuration_within() -> None:
    with capture_activity():
        structlog.configure(processors=[structlog.testing.LogCapture()])

    assert 1 == len(structlog.get_config()["processors"])


def test_capture_activity_survives_a_list_that_was_emptied_within() -> None:
    processors = structlog.get_config()["processors"]

    with capture_activity():
        processors.clear()

    assert [] == processors
