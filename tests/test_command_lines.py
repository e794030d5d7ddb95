"""Every command line in the documents is run, or known to be run elsewhere."""

from __future__ import annotations

import gzip
import re
import shlex

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

import structlog_activity

from structlog_activity.cli import codes
from structlog_activity.cli.arguments import make_parser
from structlog_activity.cli.catalog.registry import read_registry
from structlog_activity.cli.examples import commands_of
from structlog_activity.read.query import parse_query
from tests.cli.commands import jsonl, line, run


ROOT = Path(__file__).parent.parent
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
INDENTED = re.compile(r"(?:\A|\n\n)((?:    .+\n)+)")
# What is run in another place, and where.
ELSEWHERE = {
    "python3 -m venv": ".ci/run",
    "pip install": ".ci/run",
    ".venv/bin/pip install": ".ci/mutate",
    ".ci/mutate": ".ci/mutate",
    "python -m tests.benchmarks": "tests/benchmarks",
    "psql": "tests/store/test_citus_cluster.py",
    ".venv/bin/python -m examples.dashboard": "tests/dashboard",
    "SELECT set_config": "tests/store/test_roles.py",
}
# Commands that only a PostgreSQL server takes.
OF_A_SERVER = {"--roles": "tests/store/test_roles.py"}
# Of each kind of fence whether, and where, it is executed.
FENCES = {
    "python": "tests/test_documents.py",
    "py": "tests/test_alembic.py",
    "sql": "tests/store",
    "sqlite": "tests/store/test_views.py",
    "toml": "here",
    "text": "it is output",
}
REDIRECTION = re.compile(r"\s+(\||>>|>|<)\s.*")


def lines_of(path: Path) -> Iterator[str]:
    """The lines of indented blocks of a document."""
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    for block in INDENTED.findall(text):
        yield from (row.strip() for row in block.splitlines())


COMMANDS = [
    (path, text)
    for path in DOCUMENTS
    for text in lines_of(path)
    if text.startswith("structlog-activity ") and not OF_A_SERVER.keys() & set(text.split())
]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all that the documents speak of."""
    log = jsonl([line(n) for n in range(3)])
    (tmp_path / "app.log.jsonl.gz").write_bytes(gzip.compress(log))
    for folder in ("src", "shop", "spool"):
        (tmp_path / folder).mkdir()
    (tmp_path / "src" / "app.py").write_text("log.info('x', verb='settings.updated')\n")
    (tmp_path / "verbs.toml").write_text('[verbs]\n"settings.updated" = ""\n')
    (tmp_path / "key").write_bytes(b"k" * 32)
    (tmp_path / "shop" / "verbs.py").write_text("class Verbs:\n    A = 'settings.updated'\n")
    (tmp_path / "shop" / "settings.py").write_text("")
    (tmp_path / "shop" / "main.py").write_text("def create_app(): pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STRUCTLOG_ACTIVITY_URL", f"sqlite:///{tmp_path / 'activity.db'}")
    assert 0 == structlog_activity.cli.main(["ingest", "app.log.jsonl.gz"])
    return tmp_path


def words_of(text: str) -> list[str]:
    """The words of a command line, for the database of these tests and without a wait."""
    words = shlex.split(REDIRECTION.sub("", text))
    assert "structlog-activity" == words.pop(0)
    return [
        re.sub(r"^postgresql://\S+", "sqlite:///activity.db", word)
        for word in words
        if word != "-f"
    ]


@pytest.mark.parametrize(
    ("path", "text"), COMMANDS, ids=[f"{path.name}: {text}" for path, text in COMMANDS]
)
def test_a_command_line_in_a_document_does_what_it_should(
    path: Path, text: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = words_of(text)
    if "doctor" in words:  # It imports an application, which belongs into a process of its own.
        done = run(*words, STRUCTLOG_ACTIVITY_URL="sqlite:///activity.db")
        assert done.code in {0, 1}, done.err
        return
    code = structlog_activity.cli.main(words)
    error = capsys.readouterr().err
    # `get` finds none with the id of the document. ID stands for what is not there, and
    # what deletes asks first, which it can't here.
    expected = {0, 1} if "ID" not in words else {2} if "dead" in words else {0, 2}
    assert code in expected, error
    assert "usage: " not in error


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_no_block_in_a_document_is_left_unexecuted(path: Path) -> None:
    for kind, _ in FENCE.findall(path.read_text(encoding="utf-8")):
        assert kind in FENCES
    for text in lines_of(path):
        if not text.startswith(("structlog-activity ", *ELSEWHERE)):
            assert parse_query(text, now=datetime.now(UTC)), text


def test_registries_in_the_documents_declare_verbs(tmp_path: Path) -> None:
    found = 0
    for path in DOCUMENTS:
        for kind, text in FENCE.findall(path.read_text(encoding="utf-8")):
            if kind == "toml":
                file = tmp_path / f"{found}.toml"
                file.write_text(text, encoding="utf-8")
                assert read_registry(str(file)).verbs
                found += 1
    assert found


def test_the_page_about_the_command_line_names_all_commands_and_exit_codes() -> None:
    text = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    table = text.partition("\n## ")[0]
    named = set(
        re.findall(r"`([a-z ]+)`", "".join(re.findall(r"^\|([^|]*)\|", table, re.MULTILINE)))
    )
    assert {name for name, _ in commands_of(make_parser())} == named
    numbers = {code for name, code in vars(codes).items() if name.isupper()}
    assert {str(number) for number in numbers} == set(
        re.findall(r"^\| (\d+) \|", text, re.MULTILINE)
    )


def test_the_page_about_the_architecture_names_every_room() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    package = Path(structlog_activity.__file__).parent
    rooms = [path.name for path in package.iterdir() if (path / "__init__.py").exists()]
    assert [f"`{room}/`" for room in rooms if f"| `{room}/` |" not in text] == []
    for path in (*re.findall(r"`(tests/[\w/]+\.py)`", text), *ELSEWHERE.values()):
        assert (ROOT / path).exists()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_to_a_part_of_a_document_lead_to_a_heading(path: Path) -> None:
    for file, part in re.findall(r"\]\(([\w/.-]*)#([\w-]+)\)", path.read_text(encoding="utf-8")):
        text = (path.parent / file if file else path).read_text(encoding="utf-8")
        headings = [
            re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
            for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        ]
        assert part in headings
