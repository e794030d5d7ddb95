"""
What the host has done with records around their writing: enriched before, told of after.
"""

from __future__ import annotations

import time

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from ..record.record import ActivityRecord
from ..record.row import Row
from ..record.rowmaker import RowMaker
from .hostthread import HostThread
from .report import Reporter
from .ticks import TicksByReason


Enricher: TypeAlias = Callable[[ActivityRecord], "Mapping[str, Any] | None"]
"""Returns what is to be added to the ``data`` of a record."""

AfterWrite: TypeAlias = Callable[[list[ActivityRecord]], object]
"""Called with the records of a batch that was committed."""

ENRICHED_AT: Final = "enriched_at"
VERSION: Final = "enricher_version"
_DEFAULT_VERSION: Final = "v1"


class Hooks:
    """
    Call the host's functions around the writing of a batch.

    They run in threads of their own. The writer waits for one *timeout*
    seconds per batch; then the batch is written without what is missing. A
    function that fails, hangs or returns nonsense is counted and reported, and
    costs no record.

    Args:

        enrichers: Called in order with each record, as the ones before left it.

        after_write: Called with the records of each batch after its commit.

        timeout: How long the writer waits for either, in seconds.

        rows: Adds to rows what enrichers return.

        reporter: Told of failures.

        within: As for `HostThread`.

        clock: Returns now, in nanoseconds since 1970.
    """

    def __init__(
        self,
        enrichers: Sequence[Enricher] = (),
        after_write: AfterWrite | None = None,
        *,
        timeout: float,
        rows: RowMaker,
        reporter: Reporter,
        within: Callable[[], AbstractContextManager[None]] = nullcontext,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._enrichers = tuple(enrichers)
        self._after_write = after_write
        self._timeout = timeout
        self._rows = rows
        self._reporter = reporter
        self._clock = clock
        self._counts = TicksByReason()
        self._enriching = HostThread("structlog-activity-enrichers", within)
        self._telling = HostThread("structlog-activity-after-write", within)

    def counts(self) -> dict[str, int]:
        """Return how often what went wrong, by name; nothing where nothing did."""
        return self._counts.values()

    def stop(self) -> None:
        """End the threads."""
        self._enriching.stop()
        self._telling.stop()

    # -- before -------------------------------------------------------------

    def enriched(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Return *rows* in their order, enriched as far as time allows."""
        if not self._enrichers:
            return rows
        found: list[Row] = []

        def enrich() -> None:
            # Whatever comes after the deadline goes nowhere.
            for row in rows:  # One by one: at the deadline those are taken that are there.
                found.append(self._enrich(row))  # noqa: PERF401

        self._enriching.do(enrich, self._timeout)
        done = found[:]
        if len(done) < len(rows):
            self._miss("enrichment_skipped", len(rows) - len(done), "records are not enriched")
        return [*done, *rows[len(done) :]]

    def _enrich(self, row: Row) -> Row:
        enriched = row
        for enricher in self._enrichers:
            try:
                added = _checked(enricher(enriched.to_record()))
                if added:
                    enriched = self._rows.enriched(enriched, added)
            except BaseException as error:  # noqa: BLE001  Of the host's; also a SystemExit.
                self._fail("enrichment_failed", "an enricher", error)
        if enriched is row:
            return row
        stamp = {ENRICHED_AT: self._now(), VERSION: _DEFAULT_VERSION}
        return self._rows.enriched(enriched, stamp)

    def _now(self) -> str:
        seconds, rest = divmod(self._clock(), 1_000_000_000)
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09}Z"

    # -- after --------------------------------------------------------------

    def tell(self, rows: Sequence[Row]) -> None:
        """Call *after_write* with the records of rows that were committed."""
        after_write = self._after_write
        if after_write is None:
            return

        def tell() -> None:
            try:
                after_write([row.to_record() for row in rows])
            except BaseException as error:  # noqa: BLE001  As above.
                self._fail("after_write_failed", "after_write", error)

        if not self._telling.do(tell, self._timeout):
            self._miss("after_write_skipped", 1, "after_write was not called for a batch")

    # -----------------------------------------------------------------------

    def _fail(self, name: str, what: str, error: BaseException) -> None:
        self._counts.tick(name)
        self._reporter.warn(name, f"{what} raised {type(error).__name__}; see counters()")

    def _miss(self, name: str, count: int, what: str) -> None:
        for _ in range(count):
            self._counts.tick(name)
        self._reporter.warn(name, f"{what}: the function takes more than {self._timeout} s")


def _checked(added: Any) -> dict[Any, Any]:
    if added is None:
        return {}
    if not isinstance(added, Mapping):
        raise TypeError
    return dict(added)
