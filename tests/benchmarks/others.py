"""
Other libraries' ways of taking a log call, as far as they are installed.
"""

from __future__ import annotations

import importlib
import logging
import queue
import time
import warnings

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from logging.handlers import QueueHandler, QueueListener
from typing import Any

from .calls import EXTRA, by_logging, stdlib
from .measuring import Case, nothing


def _load(name: str) -> Any:
    return importlib.import_module(name)


@contextmanager
def queue_handler() -> Iterator[Case]:
    """Offer the standard library's QueueHandler, whose listener throws all away."""
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    listener = QueueListener(waiting, logging.NullHandler())
    listener.start()
    log = stdlib("queue", QueueHandler(waiting))
    try:
        yield Case(lambda: by_logging(log), lambda: _until(waiting.empty))
    finally:
        listener.stop()


def _until(is_so: Callable[[], bool]) -> None:
    while not is_so():
        time.sleep(0.0005)


def _telemetry(size: int) -> tuple[logging.Logger, Callable[[], object], Callable[[], object]]:
    sdk = _load("opentelemetry.sdk._logs")
    export = _load("opentelemetry.sdk._logs.export")

    names = vars(export)
    base = names.get("LogRecordExporter") or names["LogExporter"]
    answer = names.get("LogRecordExportResult") or names["LogExportResult"]
    methods = {
        "export": lambda _self, _batch: answer.SUCCESS,
        "shutdown": lambda _self: None,
        "force_flush": lambda _self, _timeout=0: True,
    }
    exporter = type("ToNothing", (base,), methods)()
    provider = sdk.LoggerProvider()
    provider.add_log_record_processor(
        export.BatchLogRecordProcessor(exporter, max_queue_size=size, max_export_batch_size=512)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Its handler moves to another package.
        handler = sdk.LoggingHandler(logger_provider=provider)
    log = stdlib("telemetry", handler)
    return log, provider.force_flush, provider.shutdown


@contextmanager
def opentelemetry() -> Iterator[Case]:
    """Offer OpenTelemetry's batch processor, with an exporter to nothing."""
    log, flush, shutdown = _telemetry(1 << 20)
    try:
        yield Case(lambda: by_logging(log), flush)
    finally:
        shutdown()


def opentelemetry_rate(number: int) -> float | None:
    """Return how many records a second OpenTelemetry hands to nothing; `None` without it."""
    try:
        log, flush, shutdown = _telemetry(1 << 20)
    except (ImportError, AttributeError):
        return None
    start = time.perf_counter()
    for _ in range(number):
        by_logging(log)
    flush()
    seconds = time.perf_counter() - start
    shutdown()
    return number / seconds


@contextmanager
def loguru() -> Iterator[Case]:
    """Offer loguru with enqueue=True, whose sink throws all away."""
    log = _load("loguru").logger
    log.remove()
    log.add(lambda _message: None, enqueue=True)
    bound = log.bind(**EXTRA)
    try:
        yield Case(lambda: bound.info("theme changed"), log.complete)
    finally:
        log.remove()


@contextmanager
def sentry() -> Iterator[Case]:
    """Offer sentry's logs, with a transport to nothing."""
    sdk = _load("sentry_sdk")
    transport = _load("sentry_sdk.transport").Transport

    nowhere = type("Nowhere", (transport,), {"capture_envelope": lambda _self, _envelope: None})
    sdk.init(
        dsn="http://key@127.0.0.1:1/1",
        transport=nowhere,
        enable_logs=True,
        default_integrations=False,
        auto_enabling_integrations=False,
    )
    log = _load("sentry_sdk.logger")
    try:
        yield Case(lambda: log.info("theme changed", attributes=EXTRA), nothing)
    finally:
        sdk.get_client().close(0)


@contextmanager
def logstash() -> Iterator[Case]:
    """Offer python-logstash-async, which sends to a port where nobody listens."""
    made = _load("logstash_async.handler").AsynchronousLogstashHandler(
        "127.0.0.1", 1, database_path=None, enable=True
    )
    log = stdlib("logstash", made)
    # It says so, once a second.
    logging.getLogger("LogProcessingWorker").disabled = True
    try:
        yield Case(lambda: by_logging(log))
    finally:
        log.handlers = []


OTHERS: dict[str, Callable[[], Any]] = {
    "QueueHandler": queue_handler,
    "OpenTelemetry": opentelemetry,
    "loguru enqueue": loguru,
    "sentry": sentry,
    "logstash-async": logstash,
}
"""By name; each is a context manager that gives the case, or fails where it is not there."""
