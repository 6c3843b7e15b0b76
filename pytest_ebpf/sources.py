"""Where a rule is written: the file and line of a keyword in a marker, a hook or a configuration."""

from __future__ import annotations

import ast
import functools
import inspect
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, NoReturn

import pytest

__all__ = ["Origin", "in_hook", "of_function", "of_item", "of_marker", "of_setting", "raise_at"]


@dataclass(frozen=True, slots=True)
class Origin:
    """A place where something is written."""

    path: Path | None
    line: int | None
    key: str
    """What is written there."""
    root: Path | None = field(default=None, compare=False, repr=False)
    """Paths are shown from here."""

    def __str__(self) -> str:
        """As in ``tests/test_api.py:12: no_network``."""
        if self.path is None:
            return self.key
        path = os.path.relpath(self.path, self.root) if self.root is not None else str(self.path)
        place = str(self.path) if path.startswith("..") else path
        place = place if place.isprintable() else repr(place)
        if self.line is not None:
            place = f"{place}:{self.line}"
        return f"{place}: {self.key}" if self.key else place


def of_marker(node: Any, mark: pytest.Mark, keyword: str) -> Origin:
    """Where a marker of a test, class or module (``node``) says something: its keyword, the marker, or its owner."""
    root = node.config.rootpath
    thing = getattr(node, "obj", None)
    path, line = _place(thing)
    if path is None:
        path, line = node.path, None
    call = _call(path, thing, line, mark)
    if call is not None:
        line = call.lineno
        line = next((each.value.lineno for each in call.keywords if each.arg == keyword), line)
    return Origin(path, line, keyword, root)


def of_item(item: pytest.Item) -> Origin:
    """The line where a test is defined."""
    _, line, name = item.location
    return Origin(item.path, None if line is None else line + 1, name, item.config.rootpath)


def of_function(function: Callable[..., Any], root: Path) -> Origin:
    """The line of a hook."""
    path, line = _place(function)
    return Origin(path, line, function.__name__, root)


def in_hook(place: Origin, keyword: str) -> Origin:
    """A keyword in what a hook returned."""
    key = f"{place.key}: {keyword}" if keyword else place.key
    return Origin(place.path, place.line, key, place.root)


def of_setting(path: Path | None, root: Path, start: str, keyword: str, table: str) -> Origin:
    """The line of a keyword in a configuration file, below the line that begins with ``start``; else that line."""
    key = table if keyword in ("", table) else f"{table}.{keyword}" if "." in table else f"{table}: {keyword}"
    found = None
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path is not None else []
    except (OSError, UnicodeDecodeError):
        lines = []
    inside = False
    for number, line in enumerate(lines, 1):
        if re.match(rf"\s*{start}", line):
            inside, found = True, found or number
        elif inside and re.match(r"\S.*\]\s*$", line) and line.startswith("["):
            inside = False
        if inside and keyword and re.search(rf"(^|[\s=.\"'\[]){re.escape(keyword)}[\"']?\s*[=.\]]", line):
            return Origin(path, number, key, root)
    return Origin(path, found, key, root)


def raise_at(origin: Origin, problem: BaseException) -> NoReturn:
    """Raise, with the line of the origin as the traceback's end: pytest shows it as the line that failed."""
    __tracebackhide__ = True
    if origin.path is None or origin.line is None:
        raise problem
    FunctionType(_raising(str(origin.path), origin.line), {"problem": problem})()
    raise AssertionError("unreachable")


@functools.lru_cache(maxsize=1024)
def _raising(path: str, line: int) -> CodeType:
    """A function that stands in that line alone, so that no line before it is shown."""
    tree = ast.parse("def rule(): raise problem")
    for node in ast.walk(tree):
        if isinstance(node, (ast.expr, ast.stmt)):
            node.lineno, node.end_lineno = line, line
            node.col_offset = node.end_col_offset = -1  # unknown: no column is underlined
    module = compile(tree, path, "exec")
    return next(each for each in module.co_consts if isinstance(each, CodeType))


def _place(thing: object) -> tuple[Path | None, int | None]:
    """The file of a function, class or module, and the first line of its definition with its decorators."""
    if inspect.ismodule(thing):
        return (Path(thing.__file__) if thing.__file__ else None), None
    if inspect.isclass(thing):
        try:
            return Path(inspect.getfile(thing)), None
        except (OSError, TypeError):
            return None, None
    code = getattr(inspect.unwrap(thing) if callable(thing) else thing, "__code__", None)
    return (Path(code.co_filename), code.co_firstlineno) if isinstance(code, CodeType) else (None, None)


def _call(path: Path, thing: object, line: int | None, mark: pytest.Mark) -> ast.Call | None:
    """The marker's call in the source, as far as it can be told."""
    calls = [call for value in _written(_parsed(path), thing, line) for call in _markers(value)]
    # A keyword whose value is written out is the best witness; several markers may stand on one thing.
    likely = [call for call in calls if {each.arg for each in call.keywords} == set(mark.kwargs)]
    same = [call for call in likely if all(_same(each, mark.kwargs) for each in call.keywords)]
    return next(iter([*same, *likely]), None)


def _same(keyword: ast.keyword, kwargs: Any) -> bool:
    try:
        return bool(ast.literal_eval(keyword.value) == kwargs.get(keyword.arg))
    except ValueError:
        return False


def _markers(value: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(value):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "ebpf":
            yield node


def _written(tree: ast.Module, thing: object, line: int | None) -> Iterator[ast.AST]:
    """What may hold the markers of a thing: decorators, and values given to ``pytestmark``."""
    if inspect.ismodule(thing):
        yield from _pytestmarks(tree.body)
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and inspect.isclass(thing) and node.name == thing.__name__:
            yield from node.decorator_list
            yield from _pytestmarks(node.body)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            if first == line:
                yield from node.decorator_list


def _pytestmarks(body: list[ast.stmt]) -> Iterator[ast.AST]:
    for node in body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "pytestmark" for t in node.targets):
            yield node.value


@functools.lru_cache(maxsize=64)
def _parsed(path: Path) -> ast.Module:
    """The file's syntax; empty if it isn't Python that can be read."""
    try:
        return ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return ast.Module([], [])
