"""
What names in source code stand for, where that is plain from the syntax.
"""

from __future__ import annotations

import ast

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Final, TypeAlias


Scope: TypeAlias = "Mapping[str, ast.expr | None]"
"""Of each name that is bound there its only value; `None` for any other binding."""

_APART: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_DEEPEST: Final = 10  # names that stand for names
_MOST: Final = 50  # texts that one expression may be


class Constants:
    """
    The constants of a code base: of its modules, and of the classes in them.

    Args:

        trees: The syntax of each file.
    """

    def __init__(self, trees: Mapping[Path, ast.Module]) -> None:
        self._modules = {path: scope_of(tree) for path, tree in trees.items()}
        self._classes = {path: dict(_classes(tree)) for path, tree in trees.items()}
        self._imports = {path: dict(_imports(tree)) for path, tree in trees.items()}
        self._by_name: dict[str, list[Path]] = {}
        for path in trees:
            self._by_name.setdefault(_parts(path)[-1], []).append(path)

    def texts(
        self, node: ast.expr, path: Path, scopes: Sequence[Scope] = (), depth: int = 0
    ) -> list[str]:
        """
        Return the texts that an expression may be; none where only a run can tell.

        Args:

            node: The expression.

            path: The file it stands in.

            scopes: The functions around it, the outermost first.

            depth: How many names led here.
        """
        found: list[str] = []
        if depth > _DEEPEST:
            return found
        match node:
            case ast.Constant(value=str(text)):
                found = [text]
            case ast.FormattedValue(value=value, conversion=-1, format_spec=None):
                found = self.texts(value, path, scopes, depth + 1)
            case ast.Name(id=name):
                found = self._of_name(name, path, scopes, depth)
            case ast.Attribute():
                found = self._of_attribute(node, path, scopes, depth)
            case ast.IfExp(body=first, orelse=second):
                found = self._either([first, second], path, scopes, depth)
            case _:
                found = self._joined(_joined_parts(node), path, scopes, depth)
        return found

    def _either(
        self, nodes: Sequence[ast.expr], path: Path, scopes: Sequence[Scope], depth: int
    ) -> list[str]:
        either = [self.texts(node, path, scopes, depth + 1) for node in nodes]
        return list(chain.from_iterable(either)) if all(either) else []

    def _joined(
        self, nodes: Sequence[ast.expr], path: Path, scopes: Sequence[Scope], depth: int
    ) -> list[str]:
        texts = [""] if nodes else []
        for node in nodes:
            ends = self.texts(node, path, scopes, depth + 1)
            texts = [text + end for text in texts for end in ends][: _MOST + 1]
        return texts if len(texts) <= _MOST else []

    def _of_name(self, name: str, path: Path, scopes: Sequence[Scope], depth: int) -> list[str]:
        for index in range(len(scopes) - 1, -1, -1):
            if name in scopes[index]:
                value = scopes[index][name]
                inner = scopes[: index + 1]
                return self.texts(value, path, inner, depth + 1) if value else []
        return self._of_module(name, path, depth)

    def _of_module(self, name: str, path: Path, depth: int) -> list[str]:
        """Return what a name at the top of a module stands for, its imports included."""
        if depth > _DEEPEST:  # Modules may import from each other.
            return []
        if name in self._imports[path]:
            source, level, original = self._imports[path][name]
            for other in self._sources(source, level, path):
                if original and (found := self._of_module(original, other, depth + 1)):
                    return found
            return []
        value = self._modules[path].get(name)
        return self.texts(value, path, (), depth + 1) if value else []

    def _of_attribute(
        self, node: ast.Attribute, path: Path, scopes: Sequence[Scope], depth: int
    ) -> list[str]:
        owner, name = node.value, node.attr
        if name == "value" and isinstance(owner, ast.Attribute):  # Of an enumeration.
            return self._of_attribute(owner, path, scopes, depth + 1)
        names = list(_chain(owner))
        if not names or any(names[0] in scope for scope in scopes):
            return []
        for source, class_ in self._owners(names, path, 0):
            if class_ is None:
                return self._of_module(name, source, depth + 1)
            value = self._classes[source][class_].get(name)
            return self.texts(value, source, (), depth + 1) if value else []
        return []

    def _owners(
        self, names: Sequence[str], path: Path, depth: int
    ) -> Iterator[tuple[Path, str | None]]:
        """Yield the module, and the class in it, that ``a.b`` may be."""
        first, *rest = names
        if not rest and first in self._classes[path]:
            yield path, first
        if first not in self._imports[path] or depth > _DEEPEST:
            return
        source, level, original = self._imports[path][first]
        dotted = ".".join(filter(None, (source, original, *rest))).strip(".")
        for other in self._sources(dotted, level, path):
            yield other, None
        for other in self._sources(source, level, path):
            if original:
                yield from self._owners([original, *rest], other, depth + 1)
        module, _, class_ = dotted.rpartition(".")
        for other in self._sources(module, level, path):
            if class_ in self._classes[other]:
                yield other, class_

    def _sources(self, dotted: str, level: int, path: Path) -> list[Path]:
        """Return the files that an imported module may be, the likeliest first."""
        wanted = dotted.split(".") if dotted else []
        if level:
            wanted = [*path.parts[: len(path.parts) - level], *wanted]
        if not wanted:
            return []
        found = [
            other
            for other in self._by_name.get(wanted[-1].removesuffix(".py"), [])
            if other != path and _ends(_parts(other), wanted, whole=bool(level))
        ]
        return sorted(found, key=lambda other: len(other.parts))


def scope_of(node: ast.AST) -> Scope:
    """Return what names are bound to in a function or at the top of a module."""
    found: dict[str, ast.expr | None] = {}
    arguments = getattr(node, "args", None)
    if isinstance(arguments, ast.arguments):
        every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
        for one in (*every, arguments.vararg, arguments.kwarg):
            if one is not None:
                found[one.arg] = None
    for name, value in _bindings(node):
        found[name] = None if name in found else value
    return found


def class_scope(node: ast.Module, name: str) -> Scope | None:
    """Return what the attributes of a class are bound to; `None` if there is no such class."""
    return dict(_classes(node)).get(name)


def _bindings(node: ast.AST) -> Iterator[tuple[str, ast.expr | None]]:
    """Yield each binding of a name within a node, but for those of functions in it."""
    plain = set[int]()
    for child in _inside(node):
        match child:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    if isinstance(target, ast.Name):
                        plain.add(id(target))
                        yield target.id, value
            case ast.AnnAssign(target=ast.Name(id=name) as target, value=value):
                plain.add(id(target))
                if value is not None:
                    yield name, value
            case ast.Name(id=name, ctx=ast.Store()) if id(child) not in plain:
                yield name, None
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name, None
            case _:
                pass


def _inside(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes within a function or module, those that hold others before these."""
    waiting = [node.body] if isinstance(node, ast.Lambda) else list(getattr(node, "body", ()))
    while waiting:
        child = waiting.pop()
        yield child
        if not isinstance(child, _APART):
            waiting.extend(ast.iter_child_nodes(child))


def _classes(tree: ast.Module) -> Iterator[tuple[str, Scope]]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield node.name, scope_of(node)


def _imports(tree: ast.Module) -> Iterator[tuple[str, tuple[str, int, str | None]]]:
    """Yield each imported name with its module, the number of dots before, and its name there."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield alias.asname or alias.name, (node.module or "", node.level, alias.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname:
                    yield alias.asname, (alias.name, 0, None)
                else:
                    first = alias.name.partition(".")[0]
                    yield first, (first, 0, None)


def _joined_parts(node: ast.expr) -> Sequence[ast.expr]:
    """Return the expressions whose texts are put together to a node's; none where it is another."""
    match node:
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            return [left, right]
        case ast.JoinedStr(values=values):
            return values or [ast.Constant(value="")]
        case _:
            return []


def _chain(node: ast.expr) -> Iterator[str]:
    """Yield the names of ``a.b.c``; nothing where it is another expression."""
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute):
        before = list(_chain(node.value))
        if before:
            yield from (*before, node.attr)


def _parts(path: Path) -> tuple[str, ...]:
    """Return the names of a module, its folders first."""
    parts = path.with_suffix("").parts
    return parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts


def _ends(parts: Sequence[str], wanted: Sequence[str], *, whole: bool) -> bool:
    """Whether a file is the wanted module, as far as its folders are known."""
    if whole:
        return list(parts) == list(wanted)
    size = min(len(parts), len(wanted))
    return list(parts[-size:]) == list(wanted[-size:])
