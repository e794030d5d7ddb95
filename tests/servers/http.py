"""
A client with many connections, and servers on loopback that end with their test.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple


ROOT = Path(__file__).parents[2]
LIMIT = 60.0  # seconds


class Request(NamedTuple):
    """One request: where to, and with which headers."""

    path: str
    headers: dict[str, str]


class Response(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: str


@dataclass(frozen=True)
class Server:
    """A server that listens on a port of loopback."""

    port: int
    process: subprocess.Popen[bytes]
    output: IO[bytes]

    def ask(self, requests: Sequence[Request], connections: int = 1) -> list[Response]:
        """Send *requests* over so many kept connections at once; answers are in their order."""
        return asyncio.run(_ask(self.port, requests, connections))

    def get(self, path: str, **headers: str) -> Response:
        """Send one request."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask([Request(path, named)])[0]

    def stop(self) -> str:
        """End it as a process manager does; return what it printed."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(LIMIT)
        self.output.seek(0)
        return self.output.read().decode()


@contextmanager
def serving(*command: str, **environment: str) -> Iterator[Server]:
    """
    Run a server whose command line names the socket to listen on as ``{fd}``.

    The socket listens already, so the first request waits for the server to be up.
    """
    # Not a pipe: a server that prints more than a pipe holds would wait for ever.
    output = tempfile.TemporaryFile()  # noqa: SIM115  Closed below.
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        fd = listener.fileno()
        process = subprocess.Popen(
            [sys.executable, *(part.replace("{fd}", str(fd)) for part in command)],
            pass_fds=[fd],
            env=_environment(environment),
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        port = listener.getsockname()[1]
    try:
        yield Server(port, process, output)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        output.close()


def _environment(more: dict[str, str]) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "STRUCTLOG_"))}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **more}


async def _ask(port: int, requests: Sequence[Request], connections: int) -> list[Response]:
    found: dict[int, Response] = {}
    waiting = iter(enumerate(requests))

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number, request in waiting:
            writer.write(_encoded(request))
            found[number], is_kept = await asyncio.wait_for(_response(reader), LIMIT)
            if not is_kept:
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()

    await asyncio.gather(*(connection() for _ in range(min(connections, len(requests)))))
    return [found[number] for number in range(len(requests))]


def _encoded(request: Request) -> bytes:
    lines = [f"GET {request.path} HTTP/1.1", "Host: test"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


async def _response(reader: asyncio.StreamReader) -> tuple[Response, bool]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value for line in head[1:-2] for name, value in [line.split(": ", 1)]}
    status = int(head[0].split()[1])
    # A server closes a connection whose application failed, without a word.
    body, is_kept = b"", headers.get("connection", "").lower() != "close" and status < 500
    if "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    elif headers.get("transfer-encoding") == "chunked":
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
    else:
        body, is_kept = await reader.read(), False
    return Response(status, headers, body.decode()), is_kept
