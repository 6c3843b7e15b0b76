"""The clauses of a policy: an assertion with its arguments and placeholders, and the place that says it."""

from __future__ import annotations

import dataclasses
import glob
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import InconclusiveRecording
from .markers import ITEM_PHASES
from .sources import Origin

if TYPE_CHECKING:
    from .assertions import Assertions

__all__ = ["Clause", "Later", "Layer", "arguments", "bound", "placeholders", "several", "shown", "strings"]


@dataclass(frozen=True, slots=True)
class Clause:
    """One assertion that shall hold."""

    keyword: str
    value: Any = field(compare=False)
    origin: Origin
    number: int = 0
    """Which of several assertions that one keyword asks for."""
    is_fixed: bool = field(init=False, compare=False)
    """It means the same in every test: nothing in it stands for the value of a fixture."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_fixed", not placeholders(self.value))

    def __str__(self) -> str:
        """As in ``no_exec=True (test_api.py:7)``."""
        place = str(self.origin).removesuffix(f": {self.keyword}")
        return f"{self.keyword}={shown(self.value)} ({place})"

    def judge(self, recording: Assertions, values: Mapping[str, Any]) -> None:
        """Make the assertion, with the values of the placeholders. Raises what it raises."""
        __tracebackhide__ = True
        args, named = bound(self.keyword, self.value, values)
        getattr(recording, f"assert_{self.keyword}")(*args, **named)


@dataclass(frozen=True, slots=True)
class Layer:
    """What one place says."""

    rules: Mapping[str, Any]
    origin: Callable[[str], Origin]
    """Where a keyword stands."""
    phases: tuple[str, ...] | None = None
    """Of every rule here; None where the place doesn't say."""
    valid_phases: tuple[str, ...] = ITEM_PHASES


def several(value: Any) -> Sequence[Any]:
    """What each of the assertions says that a rule stands for: a list of lists has one for each.

    >>> several(["openat", "creat"]), several([["/etc/shadow"], ["/etc/ssl/private/*"]])
    ((['openat', 'creat'],), [['/etc/shadow'], ['/etc/ssl/private/*']])
    """
    is_list = isinstance(value, (list, tuple)) and bool(value)
    return value if is_list and all(isinstance(each, (list, tuple)) for each in value) else (value,)


def arguments(value: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and named arguments of one assertion that a rule stands for: see `several`."""
    if value is True or value is None:
        return (), {}
    if isinstance(value, Mapping):
        return (), dict(value)
    if isinstance(value, (list, tuple)):
        if value and isinstance(value[-1], Mapping):
            return tuple(value[:-1]), dict(value[-1])
        return tuple(value), {}
    return (value,), {}


def bound(keyword: str, value: Any, values: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments, with the values of the placeholders; folders are below the root folder."""
    args, named = filled(arguments(value), values)
    if keyword in ("only_reads_under", "only_writes_under"):
        root = Path(values["rootdir"])
        args = tuple(root / each if isinstance(each, (str, os.PathLike)) else each for each in args)
    return args, named


def shown(value: Any) -> str:
    """The value as it is written, cut where it is long."""
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


_LONGEST = 120
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


_BELOW = re.compile(_PLACEHOLDER.pattern + r"((?:/[^*?\[]*)?)")
"""A path that begins with a placeholder and is no glob."""


def strings(value: Any) -> Iterator[Any]:
    """Every string and path in a value, at any depth."""
    if isinstance(value, (str, os.PathLike)):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from strings(each)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for each in value:
            yield from strings(each)
    elif _has_filters(value):
        yield from strings(value.filters)


def placeholders(value: Any) -> set[str]:
    """The names of the placeholders in a value."""
    return {name for text in strings(value) if isinstance(text, str) for name in _PLACEHOLDER.findall(text)}


def filled(value: Any, values: Mapping[str, Any]) -> Any:
    """The value with what the placeholders in its strings stand for."""
    if isinstance(value, str):
        if below := _BELOW.fullmatch(value):
            return Path(_path(below[1], values) + below[2])
        # What is a glob around the placeholder makes none of the path that stands for it.
        literal = glob.escape if glob.has_magic(value) else str
        return _PLACEHOLDER.sub(lambda found: literal(_path(found[1], values)), value)
    if isinstance(value, Mapping):
        return {name: filled(each, values) for name, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return type(value)(filled(each, values) for each in value)
    if _has_filters(value):
        return dataclasses.replace(value, filters=filled(value.filters, values))
    return value


def _has_filters(value: Any) -> bool:
    """Whether it is a step of an order, ``call("write", path="{tmp_path}/x")``."""
    return dataclasses.is_dataclass(value) and not isinstance(value, type) and hasattr(value, "filters")


def _path(name: str, values: Mapping[str, Any]) -> str:
    value = values.get(name)
    if isinstance(value, Later):
        value = value.get()
    if value is None:
        raise InconclusiveRecording(
            f"{{{name}}} has no value: the fixture {name} was not set up "
            "(see why above, or restrict the rule's phases to those after it)"
        )
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"{{{name}}}: the fixture's value is no path but {type(value).__name__} (use one that is)")
    return os.fsdecode(value)


@dataclass(frozen=True, slots=True)
class Later:
    """Stands for a path that is made when it is first asked for."""

    get: Callable[[], Path]
