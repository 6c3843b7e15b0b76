"""The BCC programs that plugins ship: the hook ``pytest_ebpf_snippets``."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from .notation import escape

__all__ = ["shipped"]

Answer = Iterable[str | os.PathLike[str]]


def shipped(answers: Iterable[Answer]) -> dict[str, Path]:
    """By their files' names, as tests ask for them; from what the plugins answered.

    Raises UsageError for one that is no file, or whose name another one has.
    """
    found: dict[str, Path] = {}
    for answer in answers:
        if isinstance(answer, str | os.PathLike):
            raise pytest.UsageError(f"pytest_ebpf_snippets: {escape(os.fspath(answer))} (give a list of paths)")
        for path in map(Path, answer):
            if not path.is_file():
                raise pytest.UsageError(f"pytest_ebpf_snippets: {escape(str(path))}: no such file")
            other = found.setdefault(path.name, path)
            if other != path:
                raise pytest.UsageError(
                    f"pytest_ebpf_snippets: {escape(str(other))} and {escape(str(path))}: "
                    "tests can't tell them apart (give one another name)"
                )
    return found
