"""The command ``catalog``: verbs from source code, held against a registry and a database."""

from __future__ import annotations

import json
import textwrap

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import Cli, Result, jsonl, line


Write = Callable[[bytes], Path]


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    return folder


def put(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


def catalog(cli: Cli, *arguments: object) -> tuple[int, dict[str, Any]]:
    result = cli("catalog", "--json", *arguments)
    return result.code, json.loads(result.out)


def verbs_in(cli: Cli, folder: Path) -> list[str]:
    return [one["verb"] for one in catalog(cli, folder)[1]["verbs"]]


def dynamic_in(cli: Cli, folder: Path) -> list[str]:
    return [one["expression"] for one in catalog(cli, folder)[1]["dynamic"]]


# -- what is a verb ---------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        'log.info("x", verb="a.b", object="c:1")',
        'structlog.get_logger().bind(verb="a.b")',
        'logger.info("x", extra={"verb": "a.b", "object": "c"})',
        'logger.info("x", extra=dict(verb="a.b"))',
        'log.info("x", **{"verb": "a.b"})',
        'activity.record("a.b", "c:1")',
        'self.activity_log.record("a.b")',
        'get_activity().record("a.b", object_)',
        'audit.record("a.b", ("c", 1), count=2)',
        'MappingRule(verb="a.b", object="c", event="*")',
        '{"verb": "a.b", "object": "c", "logger": "x"}',
        'build_record_from_uuid(7, "a.b", "c")',
        'build_record_from_actor(actor, verb="a.b", object_type="c")',
        'f(lambda: log.info("x", verb="a.b"))',
        'log.info("x", verb="a." + "b")',
        "async def f():\n    await log.ainfo('x', verb='a.b')",
        "class C:\n    def m(self):\n        log.info('x', verb='a.b')",
    ],
)
def test_a_verb_is_found_where_it_is_used(cli: Cli, code: Path, call: str) -> None:
    put(code, "app.py", call + "\n")
    assert ["a.b"] == verbs_in(cli, code)
    assert [] == dynamic_in(cli, code)


def test_a_file_may_be_named_whatever_it_is_called(cli: Cli, code: Path) -> None:
    script = put(code, "nightly", 'log.info("x", verb="a.b")\n')
    assert ["a.b"] == verbs_in(cli, script)


def test_a_file_that_is_gone_is_told_and_hides_no_other(cli: Cli, code: Path) -> None:
    put(code, "app.py", 'log.info("x", verb="a.b")\n')
    (code / "gone.py").symlink_to(code / "nowhere")

    result = cli("catalog", code)

    assert "gone.py is left out: No such file or directory" in result.err
    assert "a.b" in result.out


def test_what_is_declared_and_used_nowhere_is_told_though_no_verb_is_found(
    cli: Cli, code: Path
) -> None:
    put(code, "app.py", "pass\n")
    registry = put(code, "verbs.toml", '[verbs]\n"a.b" = "never used"\n')

    result = cli("catalog", code, "--registry", registry)

    assert "note: a.b is declared and used nowhere" in result.err
    assert "a.b" not in result.out


@pytest.mark.parametrize(
    "call",
    [
        'log.info("x", verbs="a.b")',
        'print("verb", "a.b")',
        'metrics.record("latency", 5)',
        'recorder.record("one.two", 3, 4)',
        '{"verb": "go", "noun": "house"}',
        "parse(verb=None)",
        "parse(verb=3)",
        'logger.info("x", extra={"user": "a.b"})',
        '"verb=a.b"  # verb="c.d"',
    ],
)
def test_what_is_no_verb_is_left_alone(cli: Cli, code: Path, call: str) -> None:
    put(code, "app.py", call + "\n")
    assert ([], []) == (verbs_in(cli, code), dynamic_in(cli, code))


def test_each_use_has_its_file_and_line(cli: Cli, code: Path) -> None:
    first = put(code, "a.py", "log.info('x', verb='a.b')\n\nlog.info('x', verb='a.b')\n")
    second = put(code, "sub/b.py", "\nlog.info(\n    'x',\n    verb='a.b',\n)\n")
    _, found = catalog(cli, code)
    assert [
        {"file": str(first), "line": 1},
        {"file": str(first), "line": 3},
        {"file": str(second), "line": 4},
    ] == found["verbs"][0]["places"]


# -- constants --------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "VERB = 'a.b'\nlog.info('x', verb=VERB)\n",
        "VERB: Final = 'a.b'\ndef f():\n    log.info('x', verb=VERB)\n",
        "OLD = 'a.b'\nVERB = OLD\nlog.info('x', verb=VERB)\n",
        "class Verbs(StrEnum):\n    AB = 'a.b'\nlog.info('x', verb=Verbs.AB)\n",
        "class Verbs(Enum):\n    AB = 'a.b'\nlog.info('x', verb=Verbs.AB.value)\n",
        "A = 'a'\nlog.info('x', verb=f'{A}.b')\n",
        "A = 'a.'\nlog.info('x', verb=A + 'b')\n",
        "def f():\n    verb = 'a.b'\n    log.info('x', verb=verb)\n",
        "def f():\n    verb = 'a.b'\n    def g():\n        log.info('x', verb=verb)\n",
    ],
)
def test_a_simple_constant_is_resolved(cli: Cli, code: Path, text: str) -> None:
    put(code, "app.py", text)
    assert (["a.b"], []) == (verbs_in(cli, code), dynamic_in(cli, code))


@pytest.mark.parametrize(
    "use",
    [
        "from shop.verbs import AB\nlog.info('x', verb=AB)\n",
        "from .verbs import AB as DONE\nlog.info('x', verb=DONE)\n",
        "from . import verbs\nlog.info('x', verb=verbs.AB)\n",
        "from shop import verbs as v\nlog.info('x', verb=v.AB)\n",
        "import shop.verbs\nlog.info('x', verb=shop.verbs.AB)\n",
        "import shop.verbs as v\nlog.info('x', verb=v.AB)\n",
        "from .verbs import Verbs\nlog.info('x', verb=Verbs.AB)\n",
        "from . import verbs\nlog.info('x', verb=verbs.Verbs.AB.value)\n",
        "from shop.again import AB\nlog.info('x', verb=AB)\n",
    ],
)
def test_a_constant_of_another_module_is_resolved(cli: Cli, code: Path, use: str) -> None:
    put(code, "shop/__init__.py", "")
    put(code, "shop/verbs.py", "AB = 'a.b'\nclass Verbs:\n    AB = 'a.b'\n")
    put(code, "shop/again.py", "from .verbs import AB\n")
    put(code, "shop/app.py", use)
    put(code, "other/verbs.py", "AB = 'wrong'\n")
    assert (["a.b"], []) == (verbs_in(cli, code), dynamic_in(cli, code))


@pytest.mark.parametrize(
    ("use", "expression"),
    [
        ("from shop import verbs\nlog.info('x', verb=verbs.Others.AB)\n", "verbs.Others.AB"),
        ("import shop.verbs\nlog.info('x', verb=shop.verbs.CD)\n", "shop.verbs.CD"),
        ("from shop.verbs import Others\nlog.info('x', verb=Others.AB)\n", "Others.AB"),
        ("from .. import verbs\nlog.info('x', verb=verbs.AB)\n", "verbs.AB"),
    ],
)
def test_what_another_module_has_not_is_no_constant_of_it(
    cli: Cli, code: Path, use: str, expression: str
) -> None:
    put(code, "shop/verbs.py", "AB = 'a.b'\nclass Verbs:\n    AB = 'a.b'\n")
    put(code, "shop/app.py", use)
    assert ([], [expression]) == (verbs_in(cli, code), dynamic_in(cli, code))


def test_either_of_two_verbs_is_listed(cli: Cli, code: Path) -> None:
    put(code, "app.py", "log.info('x', verb='a.on' if on else 'a.off')\n")
    assert ["a.off", "a.on"] == verbs_in(cli, code)


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("log.info('x', verb=verb)\n", "verb"),
        ("VERB = 'a.b'\ndef f(VERB):\n    log.info('x', verb=VERB)\n", "VERB"),
        ("V = 'a.b'\nV = 'c.d'\nlog.info('x', verb=V)\n", "V"),
        ("V = 'a.b'\ndef f():\n    for V in vs:\n        log.info('x', verb=V)\n", "V"),
        ("log.info('x', verb=f'order.{what}')\n", "f'order.{what}'"),
        ("log.info('x', verb=f'{a!r}.b')\n", "f'{a!r}.b'"),
        ("log.info('x', verb=VERBS[kind])\n", "VERBS[kind]"),
        ("log.info('x', verb=self.verb)\n", "self.verb"),
        ("from elsewhere import V\nlog.info('x', verb=V)\n", "V"),
        ("A = B\nB = A\nlog.info('x', verb=A)\n", "A"),
        ("activity.record(verb_of(x), x)\n", "verb_of(x)"),
        ("def f(verbs):\n    log.info('x', verb=verbs.AB)\n", "verbs.AB"),
        ("log.info('x', verb=verbs().AB)\n", "verbs().AB"),
        ("log.info('x', verb=verbs().inner.AB)\n", "verbs().inner.AB"),
        ("class V:\n    AB: str\nlog.info('x', verb=V.AB)\n", "V.AB"),
        ("V: str\nlog.info('x', verb=V)\n", "V"),
        ("self.V = 'a.b'\nlog.info('x', verb=V)\n", "V"),
        ("from . import verbs\nlog.info('x', verb=verbs.AB)\n", "verbs.AB"),
    ],
)
def test_what_only_a_run_can_tell_is_listed_as_such(
    cli: Cli, code: Path, text: str, expression: str
) -> None:
    put(code, "app.py", text)
    assert ([], [expression]) == (verbs_in(cli, code), dynamic_in(cli, code))


def test_modules_that_import_from_each_other_end(cli: Cli, code: Path) -> None:
    put(code, "a.py", "from .b import V\nlog.info('x', verb=V)\n")
    put(code, "b.py", "from .a import V\n")
    assert ["V"] == dynamic_in(cli, code)


# -- code that is not as it should be -----------------------------------------------


def test_code_is_never_run(cli: Cli, code: Path, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    put(code, "app.py", f"open({str(witness)!r}, 'w')\nlog.info('x', verb='a.b')\n")
    assert ["a.b"] == verbs_in(cli, code)
    assert not witness.exists()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"def f(:\n", "invalid syntax"),
        (b"# coding: no-such-coding\n", "unknown encoding"),
        (b"x = '\xff\xfe'\n", "utf-8"),
        ("log.info('x', verb='c.d')\n".encode("utf-16"), ""),
        (b"x = 1\0\n", "null bytes"),
        (b"(" * 5000 + b")" * 5000, ""),
    ],
)
def test_a_file_that_can_not_be_parsed_is_a_warning(
    cli: Cli, code: Path, content: bytes, problem: str
) -> None:
    bad = code / "bad.py"
    bad.write_bytes(content)
    put(code, "good.py", "log.info('x', verb='a.b')\n")
    result = cli("catalog", "--json", code)
    found = json.loads(result.out)
    assert 0 == result.code
    assert ["a.b"] == [one["verb"] for one in found["verbs"]]
    assert [str(bad)] == [one["file"] for one in found["unread"]]
    assert problem in found["unread"][0]["problem"]
    assert f"warning: {bad} is left out: " in result.err


def test_encodings_that_a_file_declares_are_read(cli: Cli, code: Path) -> None:
    (code / "a.py").write_bytes(b"# coding: latin-1\nlog.info('x', verb='gr\xfc\xdfe.b')\n")
    (code / "b.py").write_bytes(b"\xef\xbb\xbflog.info('x', verb='bom.b')\n")
    assert ["bom.b", "grüße.b"] == verbs_in(cli, code)


def test_odd_escapes_of_others_are_no_warning_here(cli: Cli, code: Path) -> None:
    put(code, "a.py", "x = '\\d'\nlog.info('x', verb='a.b')\n")
    assert ["a.b"] == verbs_in(cli, code)


def test_a_table_that_is_nested_very_deeply_spoils_no_other_file(cli: Cli, code: Path) -> None:
    put(code, "a.py", "x = " + " + ".join(["y"] * 3_000) + "\n")
    put(code, "b.py", "log.info('x', verb='a.b')\n")
    assert ["a.b"] == verbs_in(cli, code)


def test_installed_packages_and_hidden_folders_are_not_searched(cli: Cli, code: Path) -> None:
    for folder in (".venv/lib", "venv", "x/site-packages", "__pycache__", ".git"):
        put(code, f"{folder}/a.py", "log.info('x', verb='not.ours')\n")
    put(code, "a.txt", "log.info('x', verb='not.python')\n")
    put(code, "a.py", "log.info('x', verb='a.b')\n")
    assert ["a.b"] == verbs_in(cli, code)


def test_a_path_that_is_not_there_is_a_usage_error(cli: Cli, code: Path) -> None:
    result = cli("catalog", code / "missing")
    assert (2, "") == (result.code, result.out)
    assert "missing can't be used: No such file" in result.err


# -- the registry -------------------------------------------------------------------

CODE = """
log.info("x", verb="settings.updated")
log.info("x", verb="settigns.updated")
log.info("x", verb="order.paid")
log.info("x", verb="export.completed")
"""
REGISTRIES = {
    "verbs.toml": '[verbs]\n"settings.updated" = "changed"\n"export.*" = ""\n"never.used" = ""\n',
    "dotted.toml": "[verbs]\nsettings.updated = ''\nnever.used = ''\n[verbs.export]\n'*' = ''\n",
    "verbs.py": "VERBS = {'settings.updated', 'export.*', 'never.used'}\n",
    "dictionary.py": "VERBS = {'settings.updated': 1, 'export.*': 2, 'never.used': 3}\n",
    "wrapped.py": "VERBS: Final = frozenset(['settings.updated', 'export.*', 'never.used'])\n",
    "named.py:Known": "class Known(StrEnum):\n    A = 'settings.updated'\n    B = 'export.*'\n"
    "    C = 'never.used'\n",
    "names.py:ALL": "A = 'settings.updated'\nALL = (A, 'export.*', 'never.used')\n",
}


@pytest.fixture
def registered(code: Path) -> Path:
    put(code, "app.py", CODE)
    return code


@pytest.mark.parametrize("name", REGISTRIES)
def test_verbs_that_are_not_declared_are_told(
    cli: Cli, registered: Path, tmp_path: Path, name: str
) -> None:
    put(tmp_path, name.partition(":")[0], REGISTRIES[name])
    code, found = catalog(cli, registered, "--registry", tmp_path / name)
    told = {one["verb"]: [f["kind"] for f in one["findings"]] for one in found["verbs"]}
    assert 1 == code
    assert {
        "export.completed": [],
        "order.paid": ["undeclared"],
        "settigns.updated": ["misspelt"],
        "settings.updated": [],
    } == told
    assert ["never.used"] == found["unused"]


def test_findings_are_printed_beside_the_verb(cli: Cli, registered: Path, tmp_path: Path) -> None:
    registry = put(tmp_path, "verbs.toml", REGISTRIES["verbs.toml"])
    result = cli("catalog", registered, "--registry", registry)
    assert 1 == result.code
    row = next(text for text in result.out.splitlines() if text.startswith("settigns"))
    assert f"{registered / 'app.py'}:3" in row
    assert row.endswith("misspelt: is settings.updated meant?")
    assert "note: never.used is declared and used nowhere" in result.err
    assert "4 verbs and 0 dynamic ones in 1 files, 2 verbs with a problem" in result.err


def test_a_code_base_that_keeps_to_its_registry_is_clean(
    cli: Cli, registered: Path, tmp_path: Path
) -> None:
    registry = put(tmp_path, "r.toml", '[verbs]\n"settings.*"=""\n"settigns.*"=""\n"order.paid"=1\n'
                   '"export.completed"=""\n')  # fmt: skip
    assert 0 == cli("catalog", registered, "--registry", registry).code


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.toml", "[other]\n"),
        ("a.toml", "verbs = 3\n"),
        ("a.toml", "[verbs\n"),
        ("a.py", "OTHER = ['a.b']\n"),
        ("a.py", "VERBS = make()\n"),
        ("a.py", "VERBS = [\n"),
        ("a.toml", None),
    ],
)
def test_a_registry_without_verbs_is_a_usage_error(
    cli: Cli, registered: Path, tmp_path: Path, name: str, text: str | None
) -> None:
    if text is not None:
        put(tmp_path, name, text)
    result = cli("catalog", registered, "--registry", tmp_path / name)
    assert (2, "") == (result.code, result.out)
    assert name in result.err


# -- the database -------------------------------------------------------------------


def seen(cli: Cli, url: str, write: Write) -> None:
    now = datetime.now(UTC)
    ages = {"settings.updated": 1, "export.completed": 40}
    lines = [
        line(n, verb=verb, timestamp=(now - timedelta(days=days)).isoformat(), tenant_id=n)
        for n, (verb, days) in enumerate(ages.items())
    ]
    cli.ok("--url", url, "ingest", write(jsonl(lines)))


@pytest.mark.parametrize(
    ("days", "silent"), [((), "silent"), (("--silent-after", "60"), None)]
)  # fmt: skip
def test_verbs_never_seen_and_fallen_silent_are_told(
    cli: Cli, registered: Path, url: str, write: Write, days: tuple[str, ...], silent: str | None
) -> None:
    seen(cli, url, write)
    code, found = catalog(cli, registered, "--url", url, *days)
    told = {one["verb"]: [f["kind"] for f in one["findings"]] for one in found["verbs"]}
    assert 1 == code
    assert {
        "export.completed": [silent] if silent else [],
        "order.paid": ["never seen"],
        "settigns.updated": ["never seen"],
        "settings.updated": [],
    } == told
    assert 1 == next(o["records"] for o in found["verbs"] if o["verb"] == "export.completed")


def test_without_a_url_no_database_is_looked_at(
    cli: Cli, registered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRUCTLOG_ACTIVITY_URL", "postgresql://nobody@no-such-host.invalid/x")
    result: Result = cli("catalog", registered)
    assert 0 == result.code
    assert "never seen" not in result.out


def test_a_database_that_is_not_there_is_unreachable(
    cli: Cli, registered: Path, tmp_path: Path
) -> None:
    assert 3 == cli("--url", f"sqlite:///{tmp_path / 'no.db'}", "catalog", registered).code


@pytest.mark.parametrize("days", ["0", "-1", "many", "1000000"])
def test_days_are_a_number(cli: Cli, registered: Path, days: str) -> None:
    assert 2 == cli("catalog", registered, "--silent-after", days).code
