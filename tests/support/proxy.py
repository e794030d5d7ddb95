"""
A proxy before PostgreSQL that does to the network what a test asks for.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import threading

from collections import Counter
from collections.abc import Coroutine
from ipaddress import ip_address
from typing import Any, Final, Literal, Self, TypeVar

from sqlalchemy.engine import make_url

from tests.support.frontend import Frontend


Mode = Literal["pass", "refuse", "blackhole", "freeze"]
CommitFault = Literal["drop_request", "drop_ack", "delay_ack"]

_T = TypeVar("_T")
_HOST: Final = "127.0.0.1"
_CHUNK: Final = 1 << 16
_SECONDS: Final = 20.0
_RESET: Final = struct.pack("ii", 1, 0)  # Close without waiting, which the peer sees as a reset.


class _CutError(Exception):
    """This connection is to be cut."""


class _Link:
    """One client and its connection to the server."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client = client
        self.server = server
        self.frontend = Frontend()
        self.sent = 0  # Bytes from the client to the server.
        self.fault: CommitFault | None = None  # What becomes of the answer that is due.


class FaultProxy:
    """
    Stand between clients and a server, on the loopback interface only.

    One thread does the work; what a test calls takes effect before it returns.

    Args:

        upstream: SQLAlchemy URL of the server, by TCP or by unix socket.

    Attributes:

        latency: Seconds by which each piece of traffic is late.

        bandwidth: Bytes a second and direction; `None`: as many as may be.

        ack_delay: Seconds by which ``"delay_ack"`` holds an answer back.

        did: What was done, how often: ``connected``, ``blackholed``, ``cut``,
            ``killed``, ``drop_request``, ``drop_ack``, ``delay_ack``,
            ``commits``.
    """

    def __init__(self, upstream: str) -> None:
        self._upstream = make_url(upstream)
        self.latency = 0.0
        self.bandwidth: float | None = None
        self.ack_delay = 0.2
        self.did: Counter[str] = Counter()
        self._mode: Mode = "pass"
        self._commit_faults: list[CommitFault] = []
        self._cuts: list[int] = []
        self._tasks: dict[asyncio.Task[None], _Link | None] = {}
        self._server: asyncio.Server | None = None
        self._port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy")

    def __enter__(self) -> Self:
        self._thread.start()
        self._wait(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._wait(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # -- what tests use -----------------------------------------------------

    @property
    def url(self) -> str:
        """The URL of the server as clients are to see it."""
        query = {k: v for k, v in self._upstream.query.items() if k not in {"host", "port"}}
        # The proxy must be able to read along.
        query |= {"sslmode": "disable", "gssencmode": "disable"}
        through = self._upstream.set(host=_HOST, port=self._port, query=query)
        return through.render_as_string(hide_password=False)

    @property
    def mode(self) -> Mode:
        """
        What happens to clients.

        ``"pass"``: nothing. ``"refuse"``: nobody listens. ``"blackhole"``: new
        ones are let in and never answered. ``"freeze"``: of nobody's traffic
        anything passes.
        """
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        self._wait(self._change(mode))

    def fail_commits(self, *faults: CommitFault) -> None:
        """Do this to the next commits, one after another."""
        self._wait(self._call(lambda: self._commit_faults.extend(faults)))

    def cut_after(self, *sizes: int) -> None:
        """Cut the next connection that sends so many bytes, then the next after it, and so on."""
        self._wait(self._call(lambda: self._cuts.extend(sizes)))

    def kill_all(self) -> int:
        """Cut all connections there are; return how many."""
        return self._wait(self._kill())

    # -- the thread ---------------------------------------------------------

    def _wait(self, what: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(_SECONDS)

    async def _call(self, what: Any) -> None:
        what()

    async def _start(self) -> None:
        self._flowing = asyncio.Event()
        self._flowing.set()
        await self._listen()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, _HOST, self._port)
        (listener,) = self._server.sockets
        address, self._port = listener.getsockname()[:2]
        assert ip_address(address).is_loopback, address

    async def _change(self, mode: Mode) -> None:
        self._mode = mode
        if mode == "refuse" and self._server is not None:
            self._server.close()
            self._server = None
        elif mode != "refuse" and self._server is None:
            await self._listen()
        if mode == "freeze":
            self._flowing.clear()
        else:
            self._flowing.set()

    async def _kill(self) -> int:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.did["killed"] += len(tasks)
        return len(tasks)

    async def _stop(self) -> None:
        await self._change("refuse")
        await asyncio.sleep(0)  # For those that were let in a moment ago.
        await self._kill()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks[task] = None
        try:
            if self._mode == "blackhole":
                self.did["blackholed"] += 1
                await asyncio.Event().wait()
            await self._connect(reader, writer)
        except (asyncio.CancelledError, _CutError, OSError):
            pass  # Cut, by the test or by one of both sides.
        finally:
            del self._tasks[task]
            _reset(writer)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await self._open()
        self.did["connected"] += 1
        link = _Link(writer, to_server)
        pumps = [
            asyncio.ensure_future(self._to_server(reader, link)),
            asyncio.ensure_future(self._to_client(from_server, link)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            _reset(to_server)
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        url = self._upstream
        folder = url.query.get("host")
        port = url.port or int(os.environ.get("PGPORT") or "5432")
        if not url.host and isinstance(folder, str):
            return await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.{port}")
        return await asyncio.open_connection(url.host or _HOST, port)

    async def _to_server(self, reader: asyncio.StreamReader, link: _Link) -> None:
        while data := await reader.read(_CHUNK):
            for message, commits in link.frontend.feed(data):
                if commits:
                    self._on_commit(link)
                await self._send(link, message)

    def _on_commit(self, link: _Link) -> None:
        self.did["commits"] += 1
        if not self._commit_faults:
            return
        link.fault = self._commit_faults.pop(0)
        if link.fault == "drop_request":
            self.did["drop_request"] += 1
            raise _CutError

    async def _send(self, link: _Link, message: bytes) -> None:
        if self._cuts and link.sent + len(message) >= self._cuts[0]:
            rest = self._cuts.pop(0) - link.sent
            await self._pass(link.server, message[: max(0, rest)])
            self.did["cut"] += 1
            raise _CutError
        link.sent += len(message)
        await self._pass(link.server, message)

    async def _to_client(self, reader: asyncio.StreamReader, link: _Link) -> None:
        while data := await reader.read(_CHUNK):
            if link.fault is not None:
                await self._on_answer(link)
            await self._pass(link.client, data)

    async def _on_answer(self, link: _Link) -> None:
        fault, link.fault = link.fault, None
        if fault is not None:
            self.did[fault] += 1
        if fault == "drop_ack":
            raise _CutError
        await asyncio.sleep(self.ack_delay)

    async def _pass(self, to: asyncio.StreamWriter, data: bytes) -> None:
        step = _CHUNK if self.bandwidth is None else max(1, int(self.bandwidth / 20))
        for start in range(0, len(data), step):
            piece = data[start : start + step]
            if self.latency or self.bandwidth:
                await asyncio.sleep(self.latency + len(piece) / (self.bandwidth or 1e12))
            await self._flowing.wait()
            to.write(piece)
            await to.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    given = writer.get_extra_info("socket")
    with contextlib.suppress(OSError, AttributeError):
        given.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
