"""Calls that know nothing of verbs, and the rules that give them one."""

from __future__ import annotations

import logging
import logging.config

from pathlib import Path
from typing import Any

import pytest
import structlog

from structlog_activity import (
    ActivityKeys,
    ActivityLog,
    ActivityMapper,
    MappingRule,
    shared,
    to_uuid,
)
from structlog_activity.capture.faults import fault_counts

from .conftest import Kit


LOGIN = MappingRule(
    verb="login.failed",
    object="session",
    logger="auth.*",
    event="Login failed*",
    fields={"actor_id": "{username}", "channel": "auth"},
)


def stdlib(kit: Kit, *rules: MappingRule, name: str = "auth.views") -> logging.Logger:
    kit.handler.addFilter(ActivityMapper(rules))
    return kit.stdlib(name)


def mapped(kit: Kit, *rules: MappingRule) -> Any:
    return kit.logger(ActivityMapper(rules))


def test_a_stdlib_call_that_fits_is_recorded(kit: Kit) -> None:
    stdlib(kit, LOGIN).warning("Login failed for %(username)s", {"username": "ana"})

    record = kit.only
    assert ("login.failed", ("session", ""), "auth") == (record.verb, record.object, record.channel)
    assert (to_uuid("ana"), "Login failed for ana") == (record.actor_id, record.data["event"])


@pytest.mark.parametrize("args", [5, {1, 2}, object()])
def test_a_call_with_arguments_of_another_kind_is_recorded_too(kit: Kit, args: Any) -> None:
    """As of records that a host makes by itself."""
    fields = {"name": "auth.views", "levelno": 20, "msg": "Login failed for %s", "args": args}

    stdlib(kit, LOGIN).handle(logging.makeLogRecord(fields))

    assert "login.failed" == kit.only.verb


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("auth.views", "Login worked"),
        ("shop.views", "Login failed"),
        ("auth.views", "login failed"),
    ],
)
def test_a_call_that_does_not_fit_is_not(kit: Kit, name: str, message: str) -> None:
    stdlib(kit, LOGIN, name=name).warning(message)

    assert [] == kit.records


def test_a_structlog_call_that_fits_is_recorded(kit: Kit) -> None:
    rule = MappingRule(verb="task.done", object="task:{task_id}", event="task finished")

    mapped(kit, rule).info("task finished", task_id=7, seconds=1.5)
    mapped(kit, rule).info("task started", task_id=7)

    assert ("task.done", ("task", "7"), 1.5) == (
        kit.only.verb,
        kit.only.object,
        kit.only.data["seconds"],
    )


def test_structlogs_logger_may_be_named_by_a_processor(kit: Kit) -> None:
    rule = MappingRule(verb="a.b", object="a", logger="shop.*")

    mapped(kit, rule).info("x", logger="shop.cart")
    mapped(kit, rule).info("x", logger="other")

    assert 1 == len(kit.records)


def test_values_of_keys_may_decide(kit: Kit) -> None:
    rule = MappingRule(verb="request.denied", object="path:{path}", keys={"status": "40?"})

    log = mapped(kit, rule)
    for status in (200, 401, "403", 4031, 40.3, None):
        log.info("request", path="/admin", status=status)

    assert [401, "403"] == [record.data["status"] for record in kit.records]
    assert {("path", "/admin")} == {record.object for record in kit.records}


def test_all_patterns_of_a_rule_must_fit_and_the_first_rule_counts(kit: Kit) -> None:
    narrow = MappingRule(verb="narrow.hit", object="a", event="x*", keys={"n": "1"})
    wide = MappingRule(verb="wide.hit", object="a", event="x*")

    for n in (1, 2):
        mapped(kit, narrow, wide).info("xy", n=n)

    assert ["narrow.hit", "wide.hit"] == [record.verb for record in kit.records]


def test_a_rule_whose_key_is_missing_does_not_fit(kit: Kit) -> None:
    rule = MappingRule(verb="a.b", object="task:{task_id}", event="x")

    mapped(kit, rule).info("x")
    mapped(kit, rule).info("x", task_id=object())

    assert [] == kit.records


def test_positional_arguments_have_numbers(kit: Kit) -> None:
    rule = MappingRule(verb="file.sent", object="file:{1}", event="ana sent *")

    stdlib(kit, rule).info("%s sent %s", "ana", "report.pdf")

    assert ("file", "report.pdf") == kit.only.object


def test_a_call_with_a_verb_is_its_own(kit: Kit) -> None:
    rule = MappingRule(verb="rule.won", object="a", event="*")

    mapped(kit, rule).info("x", verb="call.won", object="b")
    stdlib(kit, rule).info("x", extra={"verb": "call.won", "object": "b"})

    assert ["call.won"] * 2 == [record.verb for record in kit.records]


def test_fields_of_a_rule_stand_back_behind_those_of_the_call(kit: Kit) -> None:
    mapped(kit, LOGIN).info("Login failed", logger="auth.x", actor_id="call", username="rule")

    assert to_uuid("call") == kit.only.actor_id


def test_text_of_a_call_is_never_a_template(kit: Kit) -> None:
    rule = MappingRule(verb="a.b", object="page:{path}", event="x")

    mapped(kit, rule).info("x", path="{secret} {0.__class__}", secret="s")

    assert ("page", "{secret} {0.__class__}") == kit.only.object


def test_structlogs_own_dict_in_a_log_record_is_read(kit: Kit) -> None:
    rule = MappingRule(verb="a.b", object="task:{task_id}", event="done")
    logger = stdlib(kit, rule, name="app")
    structlog.wrap_logger(
        logger,
        processors=[structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
    ).info("done", task_id=3)

    assert ("task", "3") == kit.only.object


def test_processor_and_filter_together_record_once(kit: Kit) -> None:
    mapper = ActivityMapper([MappingRule(verb="a.b", object="a", event="x")])
    kit.handler.addFilter(mapper)
    structlog.wrap_logger(
        kit.stdlib(),
        processors=[mapper, kit.processor, structlog.stdlib.render_to_log_kwargs],
        wrapper_class=structlog.stdlib.BoundLogger,
    ).info("x")

    assert "a.b" == kit.only.verb


def test_hostile_values_break_no_call(kit: Kit) -> None:
    class Hostile:
        def __str__(self) -> str:
            raise LookupError

        __eq__ = __hash__ = __repr__ = __str__  # type: ignore[assignment]

    rule = MappingRule(verb="a.b", object="a:{x}", keys={"x": "*"})
    mapped(kit, rule).info("x", x=Hostile())
    stdlib(kit, rule).info("x %s", Hostile(), extra={"x": Hostile()})
    kit.handler.filters.clear()
    wide = MappingRule(verb="a.b", object="a", event="y*")
    stdlib(kit, wide).info("x %s", Hostile())

    assert [] == kit.records


def test_a_fault_is_counted(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    mapper = ActivityMapper([LOGIN])
    monkeypatch.setattr(mapper, "_rules_of", None)

    assert {"event": "x"} == mapper(None, "info", {"event": "x"})
    assert mapper.filter(logging.makeLogRecord({"msg": "x"}))

    assert {"faults.mapping": 2} == fault_counts()


def test_rendered_events_pass(kit: Kit) -> None:
    assert "text" == ActivityMapper([LOGIN])(None, "info", "text")


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"verb": "a.b", "object": "a"}, "say logger="),
        ({"verb": "", "object": "a", "event": "x"}, "text is needed"),
        ({"verb": "a.b", "object": "a", "event": 5}, "text is needed"),
        ({"verb": "a.b", "object": "a", "keys": {"x": 5}}, "text is needed"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(rule: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ActivityMapper([rule])


def test_names_of_loggers_are_not_kept_without_end() -> None:
    mapper = ActivityMapper([LOGIN])
    for n in range(5_000):
        mapper(None, "info", {"event": "x", "logger": f"auth.{n}"})

    assert 4_096 == len(mapper._by_logger)


def test_rules_may_come_out_of_a_configuration(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'activity.db'}"
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {
                "rules": {
                    "()": "structlog_activity.ActivityMapper",
                    "rules": [{"verb": "a.b", "object": "a", "logger": "auth"}],
                }
            },
            "handlers": {
                "activity": {
                    "class": "structlog_activity.ActivityHandler",
                    "url": url,
                    "filters": ["rules"],
                }
            },
            "loggers": {"auth": {"level": "INFO", "handlers": ["activity"], "propagate": False}},
        }
    )

    logging.getLogger("auth").info("x", extra={"tenant_id": "t"})

    assert shared._shared[url].flush(10)
    assert ["a.b"] == [r.verb for r in shared._shared[url].feed(tenant_id="t").records]


def test_rules_use_the_keys_of_the_log(tmp_path: Path) -> None:
    structlog.configure(processors=[structlog.testing.LogCapture()])
    logging.getLogger().setLevel(logging.INFO)
    keys = ActivityKeys(verb=("action", "act"), object=("target",))
    with ActivityLog(f"sqlite:///{tmp_path / 'activity.db'}", keys=keys) as activity:
        activity.configure(rules=[{"verb": "a.b", "object": "a:{n}", "event": "x"}])

        structlog.get_logger().info("x", n=1, tenant_id="t")
        structlog.get_logger().info("x", n=2, tenant_id="t", act="c.d", target="c:2")
        logging.getLogger("app").info("x", extra={"n": 3, "tenant_id": "t"})

        assert activity.flush(10)
        records = activity.feed(tenant_id="t").records
        activity.unconfigure()

    told = [(r.verb, r.object) for r in records]
    assert [("a.b", ("a", "1")), ("c.d", ("c", "2")), ("a.b", ("a", "3"))] == told[::-1]


def test_configure_puts_rules_in_both_places(activity: ActivityLog) -> None:
    structlog.configure(processors=[structlog.testing.LogCapture()])
    logging.getLogger().setLevel(logging.INFO)
    activity.configure(rules=[{"verb": "a.b", "object": "a", "event": "x"}])

    structlog.get_logger().info("x")
    logging.getLogger("app").info("x")

    assert 2 == activity.counters()["accepted"]
