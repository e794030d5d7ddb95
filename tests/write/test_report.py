"""
The writer says what troubles it, on one logger, and never often.
"""

from __future__ import annotations

import logging

import pytest

from structlog_activity.write.report import PERIOD, Reporter


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def reporter(clock: Clock) -> Reporter:
    return Reporter(clock)


def test_a_message_is_a_warning_on_our_logger(
    reporter: Reporter, caplog: pytest.LogCaptureFixture
) -> None:
    assert reporter.warn("trouble", "100 % lost: %s") is True
    assert caplog.record_tuples == [("structlog_activity", logging.WARNING, "100 % lost: %s")]


def test_one_kind_is_told_once_a_minute(
    reporter: Reporter, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    told = []
    for _ in range(181):
        told.append(reporter.warn("trouble", f"at {clock.now}"))
        clock.now += 1
    assert [second for second, is_told in enumerate(told) if is_told] == [0, 60, 120, 180]
    assert caplog.messages == ["at 1000.0", "at 1060.0", "at 1120.0", "at 1180.0"]
    assert PERIOD == 60


def test_kinds_don_t_silence_each_other(
    reporter: Reporter, caplog: pytest.LogCaptureFixture
) -> None:
    assert [reporter.warn(kind, kind) for kind in ("dead", "trouble", "dead")] == [
        True,
        True,
        False,
    ]
    assert caplog.messages == ["dead", "trouble"]


def test_a_handler_of_the_host_that_raises_stops_nothing(reporter: Reporter) -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError("disk full")

    handler = Broken()
    logging.getLogger("structlog_activity").addHandler(handler)
    try:
        assert reporter.warn("trouble", "text") is True
    finally:
        logging.getLogger("structlog_activity").removeHandler(handler)


class Deaf(logging.Handler):
    leaves_us_alone = True

    def emit(self, record: logging.LogRecord) -> None: ...


@pytest.mark.parametrize(("others", "printed"), [([], True), ([logging.NullHandler()], False)])
def test_what_only_a_handler_of_ours_would_hear_is_printed(
    others: list[logging.Handler],
    printed: bool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [Deaf(), *others])

    Reporter().warn("kind", "the message")

    assert printed == ("structlog_activity: the message\n" == capsys.readouterr().err)
