"""
Bytes that a fuzzer thinks up, as texts and as keys: guided by which code they reach.
"""

from __future__ import annotations

import subprocess
import sys

from pathlib import Path

import pytest


_PROGRAM = """
import sys, atheris
with atheris.instrument_imports(include=["structlog_activity.record"]):
    from structlog_activity.record.plain import Plainer, encode_json
    from structlog_activity.record.redact import Redactor
    from structlog_activity.record.rowmaker import RowMaker

TOKEN = "AKIACANARY7F3Q9Z2KAB"
ROWS = RowMaker(Redactor())

def once(data):
    text = atheris.FuzzedDataProvider(data).ConsumeUnicode(len(data))
    row = ROWS.make({"verb": "a.b", "object_type": "c", "object_id": text, "ip": text},
                    {"value": text, text: [text, f"{text} {TOKEN} {text}"]})
    row.data.encode("utf-8")
    assert TOKEN not in row.data
    cleaned = Redactor().cleaned("note", text)
    assert Redactor().cleaned("note", cleaned) == cleaned

atheris.Setup([sys.argv[0], "-runs=20000", "-max_len=400", "-timeout=5", "-seed=1"], once)
atheris.Fuzz()
"""


@pytest.mark.soak
def test_no_bytes_break_the_making_of_a_row(tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="pip install atheris, which has wheels for few systems")

    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr[-2000:]
