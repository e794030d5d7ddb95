"""
The verbs that source code uses, read from its syntax alone: no code of it runs.
"""

from __future__ import annotations

import ast
import os
import re
import warnings

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from .constants import Constants, Scope, scope_of


_SKIPPED: Final = frozenset(
    {"__pycache__", "node_modules", "site-packages", "venv", "build", "dist"}
)
_SUFFIX: Final = ".py"
_DOTTED: Final = re.compile(r"\w+(\.\w+)+")
_UNPARSABLE: Final = (SyntaxError, ValueError, RecursionError, MemoryError)
_LONGEST: Final = 80  # characters of an expression that is shown
_VERB, _OBJECT, _EXTRA = "verb", "object", "extra"
# Functions whose second argument is a verb.
_BUILDERS: Final = frozenset({"build_record_from_actor", "build_record_from_uuid"})
_WITH_OBJECT: Final = 2


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """
    Where something stands in the code.

    Attributes:

        file: Path, as it was found.

        line: Number of the line, from 1.
    """

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(slots=True)
class Found:
    """
    What a code base uses.

    Attributes:

        verbs: Of each verb where it stands.

        dynamic: Expressions that say a verb only when the code runs, and where.

        unread: Files that can't be read or parsed, and why.

        files: How many were read.
    """

    verbs: dict[str, list[Location]] = field(default_factory=dict)
    dynamic: list[tuple[str, Location]] = field(default_factory=list)
    unread: list[tuple[str, str]] = field(default_factory=list)
    files: int = 0


def scan(paths: Iterable[Path]) -> Found:
    """
    Return the verbs in files and folders.

    Args:

        paths: Files, and folders that are searched for ``*.py``, without hidden
            ones and those of installed packages.

    Raises:

        OSError: One of *paths* is not there.
    """
    found = Found()
    trees = dict(_trees(sorted(set(_files(paths))), found))
    constants = Constants(trees)
    for path, tree in trees.items():
        try:
            _Visitor(path, constants, found).visit(tree)
        except RecursionError:  # Made by a program, as some tables are.
            found.unread.append((str(path), "is nested too deeply to be looked at whole"))
    found.files = len(trees)
    for places in found.verbs.values():
        places.sort()
    return found


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        path.stat()
        if not path.is_dir():
            yield path
            continue
        for folder, folders, names in os.walk(path):
            folders[:] = [name for name in folders if _is_searched(name)]
            yield from (Path(folder, name) for name in names if name.endswith(_SUFFIX))


def _is_searched(name: str) -> bool:
    return not name.startswith(".") and name not in _SKIPPED and not name.endswith(".egg-info")


def _trees(files: Iterable[Path], found: Found) -> Iterator[tuple[Path, ast.Module]]:
    for path in files:
        try:
            yield path, parse(path)
        except OSError as error:
            found.unread.append((str(path), error.strerror or type(error).__name__))
        except _UNPARSABLE as error:
            found.unread.append((str(path), _problem(error)))


def parse(path: Path) -> ast.Module:
    """
    Return the syntax of a file, in the encoding that it declares.

    Raises:

        OSError: It can't be read.

        SyntaxError: It is no Python of this version; likewise `ValueError`,
            `RecursionError` and `MemoryError`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of others' code, such as invalid escapes.
        return ast.parse(path.read_bytes())


def _problem(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"{error.msg}, line {error.lineno}" if error.lineno else str(error.msg)
    return str(error) or type(error).__name__


class _Visitor(ast.NodeVisitor):
    """Finds verbs in a file, with the names that hold around each."""

    def __init__(self, path: Path, constants: Constants, found: Found) -> None:
        self._path = path
        self._constants = constants
        self._found = found
        self._scopes: list[Scope] = []
        self._seen: set[ast.expr] = set()

    def visit(self, node: ast.AST) -> None:
        """Look at a node and all within it."""
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            self._scopes.append(scope_of(node))
            self.generic_visit(node)
            self._scopes.pop()
            return
        if isinstance(node, ast.Call):
            self._look_at_call(node)
        elif isinstance(node, ast.Dict) and _value(node, _OBJECT) is not None:
            self._use(_value(node, _VERB))  # A rule of an ActivityMapper in a configuration.
        self.generic_visit(node)

    def _look_at_call(self, node: ast.Call) -> None:
        for keyword in node.keywords:
            if keyword.arg == _VERB:
                self._use(keyword.value)
            elif keyword.arg in {None, _EXTRA} and isinstance(keyword.value, ast.Dict):
                self._use(_value(keyword.value, _VERB))
        self._use(self._positional(node))

    def _positional(self, node: ast.Call) -> ast.expr | None:
        """Return the argument that is a verb by its place, if there is one."""
        name, owner = _name(node.func), None
        if name in _BUILDERS:
            return node.args[1] if len(node.args) > 1 else None
        if isinstance(node.func, ast.Attribute) and node.args:
            owner = _name(node.func.value) or ""
        if name != "record" or owner is None:
            return None
        if "activity" in owner.lower() or self._is_verb_and_object(node):
            return node.args[0]
        return None

    def _is_verb_and_object(self, node: ast.Call) -> bool:
        texts = self._constants.texts(node.args[0], self._path, self._scopes)
        return len(node.args) == _WITH_OBJECT and bool(texts) and all(map(_DOTTED.fullmatch, texts))

    def _use(self, value: ast.expr | None) -> None:
        if value is None or value in self._seen or _is_nothing(value):
            return
        self._seen.add(value)
        place = Location(str(self._path), value.lineno)
        texts = self._constants.texts(value, self._path, self._scopes)
        for text in texts:
            self._found.verbs.setdefault(text, []).append(place)
        if not texts:
            self._found.dynamic.append((_source(value), place))


def _value(node: ast.Dict, name: str) -> ast.expr | None:
    for key, value in zip(node.keys, node.values, strict=True):
        if isinstance(key, ast.Constant) and key.value == name:
            return value
    return None


def _name(node: ast.expr) -> str | None:
    """Return the last name of ``a.b.name``, ``name`` or ``name()``."""
    if isinstance(node, ast.Call):
        return _name(node.func)
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else None


def _is_nothing(value: ast.expr) -> bool:
    """Whether a verb is no text at all, which belongs to somebody else's ``verb=``."""
    return isinstance(value, ast.Constant) and not isinstance(value.value, str)


def _source(value: ast.expr) -> str:
    text = " ".join(ast.unparse(value).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
