"""Every example runs, and so does every block of code in the documents."""

from __future__ import annotations

import re
import subprocess
import sys

from pathlib import Path

import pytest

from tests.named import exists


ROOT = Path(__file__).parent.parent
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
# Who did what, as the examples print it at their end.
TOLD = {
    "asyncio_workers.py": [
        f"{user} export.{what} of {user}"
        for user in ("ana", "bob", "eve", "max")
        for what in ("rendered", "started")
    ],
    "celery_app.py": [
        "ana export.announced orders",
        "ana export.completed broken",
        "ana export.completed orders",
        "bob export.announced invoices",
        "bob export.completed invoices",
        "nobody export.announced last",
        "nobody export.announced nightly",
        "nobody export.completed nightly",
    ],
    "django_app.py": ["ana settings.updated theme", "nobody access.denied /settings/theme"],
    "fastapi_app.py": [
        "ana followers.notified 127.0.0.1",
        "ana settings.updated 127.0.0.1",
        "bob export.completed 127.0.0.1",
    ],
    "flask_app.py": ["ana order.paid 203.0.113.0", "bob export.completed 203.0.113.0"],
}


def run(arguments: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
        env={"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
    )


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_the_code_in_a_document_runs_from_top_to_bottom(path: Path, tmp_path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE)
    if not blocks:
        pytest.skip("has no code")

    done = run(["-c", "\n\n".join(blocks)], tmp_path)

    assert (0, "") == (
        done.returncode,
        done.stderr.replace("INFO:exports:export done\n", "").replace("paid\n", ""),
    )


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_runs_and_prints_something(path: Path, tmp_path: Path) -> None:
    done = run([str(path)], tmp_path)

    assert 0 == done.returncode, done.stderr
    assert done.stdout.strip()
    assert "lost" not in done.stderr
    told = TOLD.get(path.name, [])
    assert told == sorted(done.stdout.splitlines()[-len(told) :] if told else [])


def test_every_example_says_first_what_it_shows() -> None:
    for path in EXAMPLES:
        assert path.read_text().splitlines()[1].startswith("Shows "), path.name


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", path.read_text()):
        if not link.startswith("http"):
            assert (path.parent / link.partition("#")[0]).exists(), link


def test_the_readme_names_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text()

    assert ".venv/bin/pip install . && .venv/bin/python -m structlog_activity demo" in text
    assert ".venv/bin/pip install '.[test]' && .venv/bin/python -m pytest" in text


def test_every_promise_of_what_survives_what_is_held_by_a_test_that_is_there() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text()
    held = dict(re.findall(r"^(\d+)\. `([^`]+)`", text, re.MULTILINE))
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    event, levels = "power fails", ["memory", "memory and a spool", "wal", "fsync"]

    assert levels == rows[0][1:]
    assert len(rows) > 10
    used = set[str]()
    for row in rows[1:]:
        assert 5 == len(row), row
        for cell in row[1:]:
            numbers = re.findall(r"\[(\d+)\]", cell)
            assert numbers or cell == "\N{EN DASH}" or event == row[0], (row[0], cell)
            used.update(numbers)
    assert used == set(held)
    assert not [name for name in held.values() if not exists(name)]
