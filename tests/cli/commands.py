"""
The command line as a user has it: in this process, as a process of its own, on a terminal.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import pty
import subprocess
import sys
import threading

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from structlog_activity.cli import main


ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "structlog_activity")
LIMIT = 60.0  # seconds


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The JSON lines on stdout."""
        return [json.loads(text) for text in self.out.splitlines()]

    @property
    def objects(self) -> list[str]:
        """The object ids of the records on stdout."""
        return [record["object_id"] for record in self.lines]


class Cli:
    """Runs commands in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: object) -> Result:
        self._capsys.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        out, err = self._capsys.readouterr()
        return Result(code, out, err)

    def ok(self, *arguments: object) -> Result:
        result = self(*arguments)
        assert (0, result.out) == (result.code, result.out), result.err
        return result


def environment(**extra: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "STRUCTLOG_"))}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **extra}


def run(*arguments: object, stdin: bytes = b"", **extra: str) -> Result:
    """Run a command as a process of its own, its output in pipes."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        env=environment(**extra),
        timeout=LIMIT,
        check=False,
    )
    return Result(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode())


def run_on_terminal(*arguments: object, columns: int = 80, **extra: str) -> tuple[int, str]:
    """Run a command with stdout and stderr on a terminal; return its code and all it wrote."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=slave,
        stderr=slave,
        env=environment(COLUMNS=str(columns), **extra),
    )
    os.close(slave)
    written: list[bytes] = []
    reader = threading.Thread(target=_drain, args=(master, written))
    reader.start()
    code = process.wait(LIMIT)
    reader.join(LIMIT)
    os.close(master)
    return code, b"".join(written).decode()


def _drain(master: int, written: list[bytes]) -> None:
    while True:
        try:
            chunk = os.read(master, 65_536)
        except OSError:  # How Linux says that nobody has the other end any more.
            return
        if not chunk:
            return
        written.append(chunk)


def line(number: int = 1, **fields: Any) -> dict[str, Any]:
    """An activity as structlog logs it: number N is N seconds after noon."""
    return {
        "event": f"something {number}",
        "verb": "settings.updated",
        "object": f"settings:{number}",
        "tenant_id": "acme",
        "timestamp": f"2026-03-14T12:{number // 60:02}:{number % 60:02}Z",
    } | fields


def jsonl(lines: Sequence[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(one) + "\n" for one in lines).encode()


def gzipped(content: bytes) -> bytes:
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as file:
        file.write(content)
    return packed.getvalue()


def counts(out: str) -> dict[str, int]:
    """The numbers that `ingest --json` prints."""
    numbers: dict[str, int] = json.loads(out)
    return numbers
