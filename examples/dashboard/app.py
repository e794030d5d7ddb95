"""The application: which address shows what, and what goes wrong in a page of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from sqlalchemy import select
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from structlog_activity import (
    NIL,
    ActivityError,
    ActivityLog,
    ActivityRecord,
    InvalidCursorError,
    InvalidFilterError,
    RepositoryError,
    SchemaError,
)
from structlog_activity.read.connect import reading
from structlog_activity.store.table import user_activity_batch

from . import phrasing
from .detail import detail
from .export import export
from .guard import LOOPBACK, App, Guard
from .live import Arrivals
from .overview import TooMuchError, live_where, overview
from .view import RANGES, Tenant, View, tenant_of, view_of


HERE: Final = Path(__file__).parent
_ERRORS: Final[list[tuple[type[Exception], int, str, str]]] = [
    # The more special ones first.
    (
        InvalidCursorError,
        400,
        "This page has no place any more",
        (
            "The address names a place in the feed that does not fit it: it was changed, or the "
            "dashboard was restarted since. Begin at the newest records."
        ),
    ),
    (TooMuchError, 422, "That would read too much", ""),
    (
        InvalidFilterError,
        400,
        "That can't be understood",
        "Nothing was guessed, so nothing is shown. Change the search or the period.",
    ),
    (
        SchemaError,
        503,
        "The tables are not there yet",
        (
            "Run structlog-activity migrate with the same --url, by a role that may create "
            "tables, then load this page again."
        ),
    ),
    (
        RepositoryError,
        503,
        "The database can't be read",
        (
            "Nothing is lost by that: applications keep their records until it is back. Load this "
            "page again when it is; if it stays away, structlog-activity doctor says more."
        ),
    ),
]


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """
    How the dashboard is set up.

    Attributes:

        tenants: Names of tenants that may be shown, the first at first; ``"*"`` is all, ``"-"``
            are records without one.

        token: Whoever asks needs it; ``""`` asks nobody.

        hosts: Names of the server, beside those of loopback.

        zone: Of times.

        most_rows: Most rows that are read for the numbers of a page.

        most_exported: Most records of a file.

        most_live: Most pages that are live at once; each holds a connection to the database.

        clock: Returns now.
    """

    tenants: tuple[str, ...] = ("*",)
    token: str = ""
    hosts: tuple[str, ...] = ()
    zone: str = "UTC"
    most_rows: int = 1_000_000
    most_exported: int = 100_000
    most_live: int = 20
    clock: Callable[[], datetime] = _utc_now


@dataclass(frozen=True, slots=True)
class Health:
    """Whether records arrive: ``"good"``, ``"quiet"``, ``"bad"``, and in words."""

    state: str
    text: str


def make_app(activity: ActivityLog, options: Options | None = None) -> App:
    """
    Return the dashboard of a log as an ASGI application.

    Args:

        activity: The log; it is only read.

        options: How it is set up.
    """
    return Dashboard(activity, options or Options()).app()


@dataclass
class Dashboard:
    """The pages."""

    activity: ActivityLog
    options: Options
    _live: int = 0
    _given: dict[str, Any] = field(init=False)
    _zone: ZoneInfo = field(init=False)
    _tenants: list[Tenant] = field(init=False)

    def __post_init__(self) -> None:
        self._zone = ZoneInfo(self.options.zone)
        self._tenants = [tenant_of(name) for name in self.options.tenants]
        self._given = {
            "local": partial(phrasing.local, zone=self._zone),
            "tz": self._zone,
            "zone": self.options.zone,
            "tenants": self._tenants,
        }

    def app(self) -> App:
        """Return the application."""
        routes = [
            Route("/", self.home),
            Route("/records/{id}", self.record),
            Route("/records/{id}/json", self.record_json),
            Route("/export.{kind}", self.export),
            Route("/live", self.live),
            Route("/health", self.health),
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ]
        handlers: dict[Any, Any] = {kind: self._failed for kind, *_ in _ERRORS}
        handlers[HTTPException] = self._refused
        inner = Starlette(routes=routes, exception_handlers=handlers)
        return Guard(
            inner,
            hosts=(*LOOPBACK, *self.options.hosts),
            token=self.options.token,
            refuse=self._refuse,
            ask=self._ask,
        )

    # -- pages --------------------------------------------------------------

    def home(self, request: Request) -> Response:
        """Show numbers, timeline, facets and feed."""
        view = self._view(request)
        found = overview(self.activity, view, self._zone, self.options.most_rows)
        return self._page(
            "home.html",
            view=view,
            found=found,
            days=phrasing.days(found.page.records, self._zone),
            health=self._health(),
        )

    def record(self, request: Request) -> Response:
        """Show one record and all that belongs to it."""
        view, record = self._found(request)
        found = detail(self.activity, view, record)
        return self._page("record.html", view=view, found=found, health=self._health())

    def record_json(self, request: Request) -> Response:
        """Give one record as it is."""
        return JSONResponse(self._found(request)[1].to_dict())

    def export(self, request: Request) -> Response:
        """Give all that is filtered as a file."""
        kind = request.path_params["kind"]
        if kind not in {"csv", "jsonl"}:
            raise HTTPException(404, "There are export.csv and export.jsonl.")
        view = self._view(request)
        most_rows, most = self.options.most_rows, self.options.most_exported
        pieces = export(self.activity, view, kind, most_rows=most_rows, most=most)
        name = f"activity-{view.now:%Y%m%dT%H%M%SZ}.{kind}"
        return StreamingResponse(
            _begun(pieces),
            media_type="text/csv" if kind == "csv" else "application/x-ndjson",
            headers={"content-disposition": f'attachment; filename="{name}"'},
        )

    async def live(self, request: Request) -> Response:
        """Tell of what comes, for as long as the page is open."""
        view = await run_in_threadpool(self._view, request)
        if self._live >= self.options.most_live:
            return Response("too many live pages\n", 503, media_type="text/plain")
        position = request.headers.get("last-event-id") or request.query_params.get("position")
        arrivals = Arrivals(self.activity, live_where(view), position or None)
        return StreamingResponse(
            self._counted(arrivals),
            media_type="text/event-stream",
            headers={"x-accel-buffering": "no"},
        )

    def health(self, _: Request) -> Response:
        """Say whether records arrive."""
        found = self._health()
        status = 503 if found.state == "bad" else 200
        return JSONResponse({"state": found.state, "text": found.text}, status)

    # -- what they share ----------------------------------------------------

    def _view(self, request: Request) -> View:
        return view_of(
            request.query_params, tenants=self._tenants, zone=self._zone, clock=self.options.clock()
        )

    def _found(self, request: Request) -> tuple[View, ActivityRecord]:
        view = self._view(request)
        record = self.activity.get(view.tenant.id, request.path_params["id"])
        if record is None:
            raise HTTPException(404, "There is no such record, or not for this tenant.")
        return view, record

    async def _counted(self, arrivals: Arrivals) -> AsyncIterator[str]:
        self._live += 1
        try:
            async for text in arrivals.events():
                yield text
        finally:
            self._live -= 1

    def _health(self) -> Health:
        now = self.options.clock()
        day = now - timedelta(days=1)
        try:
            lost = self.activity.stats(tenant_id=NIL, verbs="activity.records_lost", since=day)
            with reading(self.activity.engine) as connection:
                columns = user_activity_batch.c
                newest = select(columns.written_at).order_by(columns.batch_id.desc()).limit(1)
                written = connection.execute(newest).scalar()
        except ActivityError:
            return Health("bad", "The ledger can't be read")
        if lost.total:
            return Health("bad", f"Records were lost {lost.total:,} times within a day")
        if written is None:
            return Health("quiet", "Nothing was written yet")
        state = "good" if written >= day else "quiet"
        return Health(state, f"Last write {phrasing.ago(written, now)}")

    # -- what goes wrong ----------------------------------------------------

    def _failed(self, request: Request, error: Exception) -> Response:
        for kind, status, title, advice in _ERRORS:
            if isinstance(error, kind):
                return self._error(
                    status,
                    title,
                    phrasing.visible(error),
                    advice,
                    request.query_params.get("q", ""),
                )
        raise error

    def _refused(self, _: Request, error: HTTPException) -> Response:
        titles = {404: "There is nothing here", 405: "That is not done here"}
        title = titles.get(error.status_code, "That did not work")
        return self._error(error.status_code, title, error.detail, "")

    def _refuse(self, _: Request, status: int, text: str) -> Response:
        advice = (
            "Open the dashboard by the address that it printed, or start it with --allow-host."
            if status == 403  # noqa: PLR2004
            else ""
        )
        return self._error(status, "That was refused", phrasing.visible(text), advice)

    def _ask(self, _: Request, *, was_wrong: bool) -> Response:
        return self._page("enter.html", 401, was_wrong=was_wrong)

    def _error(
        self, status: int, title: str, problem: str, advice: str, search: str = ""
    ) -> Response:
        return self._page(
            "error.html", status, title=title, problem=problem, advice=advice, search=search
        )

    def _page(self, name: str, status: int = 200, **values: Any) -> Response:
        return HTMLResponse(_templates().get_template(name).render(self._given | values), status)


@cache
def _templates() -> Environment:
    """Return the templates, which are compiled once."""
    found = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals.update(
        who=phrasing.who,
        visible=phrasing.visible,
        action=phrasing.action,
        failed=phrasing.failed,
        details=phrasing.details,
        changes=phrasing.changes,
        ago=phrasing.ago,
        record_url=_record_url,
        NIL=NIL,
        RANGES=RANGES,
    )
    return found


def _record_url(view: View, record: ActivityRecord, **changes: str) -> str:
    kept: Mapping[str, str] = {k: v for k, v in view.params.items() if k == "tenant"}
    gone = dict.fromkeys(view.params.keys() - kept.keys())
    return view.url(f"/records/{quote(str(record.id))}", **{**gone, **changes})


def _begun(pieces: Iterator[str]) -> Iterator[str]:
    """Have the first piece made before the answer begins, so that its failure has a page."""
    first = next(pieces, "")

    def all_of_it() -> Iterator[str]:
        yield first
        yield from pieces

    return all_of_it()
