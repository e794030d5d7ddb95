"""
The verbs that a project declares: in a TOML file, or in a Python module that is not imported.
"""

from __future__ import annotations

import ast
import difflib
import tomllib

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from ...errors import InvalidFilterError
from .constants import Constants, class_scope
from .scan import parse


_TABLE: Final = "verbs"
_NAME: Final = "VERBS"
_WRAPPERS: Final = frozenset({"frozenset", "set", "tuple", "list"})


class Registry:
    """
    Declared verbs.

    Args:

        verbs: Each of them, or its beginning and ``*``.
    """

    def __init__(self, verbs: Iterable[str]) -> None:
        self.verbs = sorted(set(verbs))
        self._exact = {verb for verb in self.verbs if not verb.endswith("*")}
        self._beginnings = tuple(verb[:-1] for verb in self.verbs if verb.endswith("*"))

    def __contains__(self, verb: str) -> bool:
        return verb in self._exact or verb.startswith(self._beginnings)

    def nearest(self, verb: str) -> str | None:
        """Return the declared verb that *verb* may be a misspelling of."""
        near = difflib.get_close_matches(verb, sorted(self._exact), n=1, cutoff=0.8)
        return near[0] if near else None

    def unused(self, used: Iterable[str]) -> list[str]:
        """Return what is declared and not *used*."""
        found = set(used)
        begun = (b for b in self._beginnings if not any(verb.startswith(b) for verb in found))
        return sorted((self._exact - found) | {f"{beginning}*" for beginning in begun})


def read_registry(source: str) -> Registry:
    """
    Return the verbs that a file declares.

    Args:

        source: A TOML file with a table ``[verbs]``, whose keys are verbs; or
            ``FILE.py:NAME``, where NAME (default ``VERBS``) is a list, tuple, set
            or dictionary of texts, or a class with texts as attributes.

    Raises:

        InvalidFilterError: It declares no verbs, or can't be read as such.

        OSError: There is no such file.
    """
    file, _, name = source.rpartition(":") if ".py:" in source else (source, "", "")
    path = Path(file)
    try:
        verbs = _of_python(path, name or _NAME) if path.suffix == ".py" else _of_toml(path)
    except (tomllib.TOMLDecodeError, SyntaxError, ValueError) as error:
        problem = f"can't be read: {' '.join(str(error).split())}"
        raise InvalidFilterError("registry", source, problem) from None
    if not verbs:
        raise InvalidFilterError(
            "registry",
            source,
            f"declares no verbs: a TOML file has a table [{_TABLE}] with a key for each, "
            f"a module a list, set, dictionary or class {name or _NAME} of texts",
        )
    return Registry(verbs)


def _of_toml(path: Path) -> list[str]:
    table = tomllib.loads(path.read_text(encoding="utf-8")).get(_TABLE)
    return list(_keys(table)) if isinstance(table, Mapping) else []


def _keys(table: Mapping[str, Any], before: str = "") -> Iterator[str]:
    """Yield the keys of a table; without quotes ``settings.updated`` is a table in a table."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _keys(value, f"{before}{key}.")
        else:
            yield f"{before}{key}"


def _of_python(path: Path, name: str) -> list[str]:
    tree = parse(path)
    constants = Constants({path: tree})
    scope = class_scope(tree, name)
    nodes: Iterable[ast.expr | None]
    nodes = _elements(tree, name) if scope is None else scope.values()
    return [text for node in nodes if node is not None for text in constants.texts(node, path)]


def _elements(tree: ast.Module, name: str) -> list[ast.expr | None]:
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return _members(getattr(node, "value", None))
    return []


def _members(node: ast.expr | None) -> list[ast.expr | None]:
    if isinstance(node, ast.Call) and getattr(node.func, "id", None) in _WRAPPERS and node.args:
        node = node.args[0]
    if isinstance(node, ast.Dict):
        return list(node.keys)
    return [*node.elts] if isinstance(node, ast.Tuple | ast.List | ast.Set) else []
