"""`ActivityHandler` out of configuration: dictConfig, fileConfig, strings only."""

from __future__ import annotations

import logging
import logging.config
import os
import sys
import threading

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from structlog_activity import ActivityHandler, ActivityLog, RepositoryError, shared
from structlog_activity.testing import capture_activity


EXTRA = {"verb": "invoice.paid", "object": "invoice:7", "tenant_id": "t"}
CLASS = "structlog_activity.ActivityHandler"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'activity.db'}"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No default file may land in the working tree."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STRUCTLOG_ACTIVITY_URL", raising=False)


@pytest.fixture
def made() -> Iterator[dict[str, ActivityLog]]:
    """The logs that handlers share, by URL."""
    yield shared._shared


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads take turns as often as can be, so that races show."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def configure(handler: dict[str, Any], **more: Any) -> Any:
    """Run dictConfig with one handler on the logger ``app``, and return it."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"activity": handler},
            "loggers": {"app": {"level": "INFO", "handlers": ["activity"], "propagate": False}},
            **more,
        }
    )
    (found,) = logging.getLogger("app").handlers
    return found


def stored(url: str, **where: Any) -> list[Any]:
    log = shared._shared[url]
    assert log.flush(10)
    return list(log.feed(tenant_id="t", **where).records)


def test_a_class_and_its_options_may_be_strings(url: str) -> None:
    configure({"class": CLASS, "url": url, "level": "INFO"})

    logging.getLogger("app").info("paid", extra=EXTRA)

    assert ["paid"] == [record.data["event"] for record in stored(url)]


@pytest.mark.parametrize("factory", [CLASS, ActivityHandler])
def test_a_factory_may_be_a_string_or_the_class(url: str, factory: Any) -> None:
    handler = configure({"()": factory, "url": url, "level": "WARNING"})

    assert (ActivityHandler, logging.WARNING) == (type(handler), handler.level)


@pytest.mark.parametrize("level", ["ERROR", 40, logging.ERROR])
def test_the_level_may_be_a_name_or_a_number(url: str, level: Any) -> None:
    assert logging.ERROR == ActivityHandler(url, level).level
    assert logging.ERROR == ActivityHandler(url, level=level).level


def test_a_reference_into_the_configuration_is_followed(
    url: str, made: dict[str, ActivityLog]
) -> None:
    configure({"class": CLASS, "url": "cfg://my.url"}, my={"url": url})

    assert [url] == list(made)


def test_attributes_may_be_set_by_a_dot(url: str) -> None:
    handler = configure({"class": CLASS, "url": url, ".": {"note": "set"}})

    assert "set" == handler.note


def test_filters_of_the_configuration_are_obeyed(url: str) -> None:
    configure(
        {"class": CLASS, "url": url, "filters": ["billing"]},
        filters={"billing": {"name": "app.billing"}},
    )
    with capture_activity() as seen:
        logging.getLogger("app").info("no", extra=EXTRA)
        logging.getLogger("app.billing").info("yes", extra=EXTRA)

    assert ["yes"] == [record.data["event"] for record in seen]


FILE = """
[loggers]
keys=root,app
[handlers]
keys=activity
[formatters]
keys=
[logger_root]
level=WARNING
handlers=
[logger_app]
level=INFO
handlers=activity
qualname=app
propagate=0
[handler_activity]
class=structlog_activity.ActivityHandler
level=INFO
{arguments}
"""


@pytest.mark.parametrize(
    "arguments",
    [
        "args=('{url}',)",
        "args=('{url}', 'INFO')",
        "args=()\nkwargs={{'url': '{url}', 'batch_size': '10', 'strict': 'no'}}",
    ],
)
def test_a_file_may_have_args_or_kwargs(tmp_path: Path, url: str, arguments: str) -> None:
    file = tmp_path / "logging.ini"
    file.write_text(FILE.format(arguments=arguments.format(url=url)))

    logging.config.fileConfig(file, disable_existing_loggers=False)
    logging.getLogger("app").info("paid", extra=EXTRA)

    assert ["paid"] == [record.data["event"] for record in stored(url)]


def test_nothing_is_opened_before_the_first_record(tmp_path: Path, url: str) -> None:
    """Django imports its settings often, and gunicorn forks after it."""
    threads = threading.active_count()

    handler = configure({"class": CLASS, "url": url})
    logging.getLogger("app").info("no activity")
    handler.flush()

    assert [] == list(tmp_path.iterdir())
    assert threads == threading.active_count()


def test_text_options_are_taken_for_numbers_and_booleans(
    url: str, made: dict[str, ActivityLog]
) -> None:
    """As they come from the environment."""
    configure(
        {
            "class": CLASS,
            "url": url,
            "batch_size": "10",
            "max_records": " 200 ",
            "linger": "0.5",
            "block_timeout": "0.1",
            "close_timeout": "2",
            "overflow": "block",
            "strict": "TRUE",
            "redact": "no",
            "redact_event": "no",
            "migrate": "1",
            "warn_role": "false",
            "hook_timeout": "3",
        }
    )
    log = made[url]

    options = log._buffer._options
    assert (10, 200, 0.5, 2.0, 3.0) == (
        options.batch_size,
        options.max_records,
        options.linger,
        options.close_timeout,
        options.hook_timeout,
    )
    assert (True, True) == (log._recorder._strict, log._migrates)
    assert (None, None) == (log._power, log.processor._event_redactor)


@pytest.mark.parametrize(
    ("word", "truth"),
    [("true", True), ("Yes", True), ("1", True), ("false", False), ("NO", False), ("0", False)],
)
def test_words_stand_for_true_and_false(
    url: str, made: dict[str, ActivityLog], word: str, truth: bool
) -> None:
    ActivityHandler(url, strict=word)

    assert truth is made[url]._recorder._strict


def test_a_redact_of_no_keeps_values(url: str) -> None:
    configure({"class": CLASS, "url": url, "redact": "no"})

    logging.getLogger("app").info("paid", extra={**EXTRA, "password": "visible"})

    assert ["visible"] == [record.data["password"] for record in stored(url)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_size": "ten"}, "batch_size='ten'"),
        ({"batch_size": "0"}, "batch_size=0"),
        ({"linger": "-1"}, "linger=-1"),
        ({"strict": "maybe"}, "strict='maybe'"),
        ({"redact_event": "maybe"}, "redact_event='maybe'"),
        ({"overflow": "panic"}, "overflow='panic'"),
        ({"durability": "eternal"}, "durability='eternal'"),
    ],
)
def test_a_bad_option_says_which_one(url: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match="activity") as caught:  # dictConfig names the handler
        configure({"class": CLASS, "url": url, **options})

    assert words in str(caught.value.__cause__)
    with pytest.raises(ValueError, match=words):
        ActivityHandler(url, **options)
    assert {} == shared._shared


def test_an_unknown_option_is_told_by_name(url: str) -> None:
    with pytest.raises(ValueError, match="activity") as caught:
        configure({"class": CLASS, "url": url, "batchsize": "10"})

    assert "batchsize" in str(caught.value.__cause__)
    with pytest.raises(ValueError, match="batchsize"):
        ActivityHandler(url, batchsize="10")


@pytest.mark.parametrize("bad", ["nonsense", "mysql://host/db", "sqlite", "://"])
def test_a_bad_url_is_told_at_once(bad: str) -> None:
    with pytest.raises(RepositoryError):
        ActivityHandler(bad)


def test_the_url_may_come_from_the_environment(
    url: str, made: dict[str, ActivityLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRUCTLOG_ACTIVITY_URL", url)

    configure({"class": CLASS})

    assert [url] == list(made)


def test_all_handlers_of_one_url_share_one_writer(tmp_path: Path, url: str) -> None:
    one, other = ActivityHandler(url), ActivityHandler(url, "ERROR")
    third = ActivityHandler(f"sqlite:///{tmp_path / 'other.db'}")

    assert one.recorder() is other.recorder()
    assert one.recorder() is not third.recorder()


def test_threads_that_make_handlers_at_once_share_one_writer(url: str, restless: None) -> None:
    barrier = threading.Barrier(8)
    recorders: list[Any] = []

    def make() -> None:
        barrier.wait()
        recorders.append(ActivityHandler(url).recorder())

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 8 == len(recorders)
    assert 1 == len(set(recorders))


def test_closing_a_handler_closes_nothing_of_the_log(url: str) -> None:
    handler = configure({"class": CLASS, "url": url})

    logging.getLogger("app").info("before", extra=EXTRA)
    handler.close()
    logging.getLogger("app").info("after", extra=EXTRA)

    assert ["after", "before"] == [record.data["event"] for record in stored(url)]


def test_a_second_dict_config_while_threads_log_loses_nothing(url: str) -> None:
    """It closes the old handler with logging's lock held; nobody may wait for the writer then."""
    threads, calls, rounds = 4, 150, 25
    started = threading.Barrier(threads + 1)
    configure({"class": CLASS, "url": url, "batch_size": 7, "linger": 0.001})
    kept = logging.getLogger("app").handlers[0]
    counted = []

    def work(number: int) -> None:
        started.wait()
        for call in range(calls):
            # New names need logging's lock, as SQLAlchemy's loggers do.
            logger = logging.getLogger(f"app.{number}.{call // 10}")
            logger.info("paid", extra=EXTRA)
            kept.handle(
                logging.makeLogRecord({"name": "app", "msg": "kept", "levelno": 20, **EXTRA})
            )
            counted.append(call)

    workers = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(threads)]
    for worker in workers:
        worker.start()
    started.wait()
    for _ in range(rounds):
        configure({"class": CLASS, "url": url})
    for worker in workers:
        worker.join(30)

    assert threads * calls == len(counted)
    log = shared._shared[url]
    assert log.flush(20)
    counters = log.counters()
    # While dictConfig runs, a logger has no handler for a moment: such a call
    # never reached us. Those that did are all there.
    assert threads * calls <= counters["written"] <= 2 * threads * calls
    assert counters["submitted"] == counters["accepted"] == counters["written"]


def test_logging_shutdown_closes_nothing_of_the_log(url: str) -> None:
    handler = configure({"class": CLASS, "url": url})

    handler.flush()
    handler.close()
    logging.getLogger("app").info("late", extra=EXTRA)

    assert ["late"] == [record.data["event"] for record in stored(url)]


def test_options_may_come_from_the_environment(
    url: str, made: dict[str, ActivityLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As twelve-factor settings interpolate them."""
    monkeypatch.setenv("AUDIT_BATCH", "25")
    monkeypatch.setenv("AUDIT_STRICT", "false")

    configure(
        {
            "class": CLASS,
            "url": url,
            "level": os.environ.get("AUDIT_LEVEL", "INFO"),
            "batch_size": os.environ["AUDIT_BATCH"],
            "strict": os.environ["AUDIT_STRICT"],
        }
    )

    assert 25 == made[url]._buffer._options.batch_size
    assert made[url]._recorder._strict is False


def test_a_reference_to_an_object_outside_is_followed(
    url: str, made: dict[str, ActivityLog]
) -> None:
    configure({"class": CLASS, "url": url, "level": "ext://logging.ERROR"})

    assert logging.ERROR == logging.getLogger("app").handlers[0].level
    assert [url] == list(made)


def test_a_configuration_applied_twice_records_once(url: str) -> None:
    for _ in range(2):
        configure({"class": CLASS, "url": url})
    logging.getLogger("app").info("paid", extra=EXTRA)

    assert ["paid"] == [record.data["event"] for record in stored(url)]


def test_a_file_applied_twice_records_once(tmp_path: Path, url: str) -> None:
    file = tmp_path / "logging.ini"
    file.write_text(FILE.format(arguments=f"args=('{url}',)"))
    for _ in range(2):
        logging.config.fileConfig(file, disable_existing_loggers=False)
    logging.getLogger("app").info("paid", extra=EXTRA)

    assert ["paid"] == [record.data["event"] for record in stored(url)]


def test_an_incremental_configuration_changes_the_level_alone(url: str) -> None:
    handler = configure({"class": CLASS, "url": url})
    handler.set_name("activity")
    logging.config.dictConfig(
        {"version": 1, "incremental": True, "handlers": {"activity": {"level": "ERROR"}}}
    )
    logging.getLogger("app").info("paid", extra=EXTRA)

    assert logging.ERROR == handler.level
    assert 0 == shared._shared[url].counters()["submitted"]


def test_loggers_that_a_configuration_disables_record_nothing(url: str) -> None:
    """Python's default, and a trap that the doctor names."""
    early = logging.getLogger("early")
    configure({"class": CLASS, "url": url}, disable_existing_loggers=True)

    assert early.disabled
    assert any(f.check == "loggers.disabled" for f in shared._shared[url].doctor())


def test_handlers_on_root_and_on_a_logger_of_one_configuration_record_once(url: str) -> None:
    configure(
        {"class": CLASS, "url": url},
        root={"level": "INFO", "handlers": ["activity"]},
        loggers={"app": {"level": "INFO", "handlers": ["activity"], "propagate": True}},
    )
    logging.getLogger("app").info("paid", extra=EXTRA)

    assert ["paid"] == [record.data["event"] for record in stored(url)]
