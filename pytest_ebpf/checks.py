"""What is wrong with a policy before it is held to anything: rules that can't be meant, and rules that can't fail."""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from . import syscalls
from .assertions import Assertions
from .clauses import Layer, arguments, bound, placeholders, several, shown, strings
from .errors import InconclusiveRecording
from .events import Gap, SyscallEvent
from .syscalls import Table

__all__ = ["problems"]


def problems(layer: Layer, names: frozenset[str]) -> list[str]:
    """What is wrong with what one place says; ``names`` are those that placeholders may have."""
    found = []
    if layer.phases is not None:
        if not layer.phases:
            found.append(f"{layer.origin('phases')}: it is empty: no rule can fail (leave it out)")
        for phase in layer.phases:
            if phase not in layer.valid_phases:
                valid = ", ".join(layer.valid_phases)
                found.append(f"{layer.origin('phases')}: {phase!r} is not one of {valid}")
    if not layer.rules:
        found.append(f"{layer.origin('')}: it holds no rule (give one, as in no_exec=True)")
    for keyword, value in layer.rules.items():
        told = ((each, _problem(keyword, each, names)) for each in several(value) if each is not None)
        found += [f"{layer.origin(keyword)}={shown(each)}: {problem}" for each, problem in told if problem is not None]
    if not found:
        for keyword, opposite in (("syscall", "no_syscall"), ("exec", "no_exec")):
            wanted, forbidden = (
                [arguments(value) for value in several(layer.rules.get(name)) if value is not None]
                for name in (keyword, opposite)
            )
            if any(each in forbidden for each in wanted):
                found.append(f"{layer.origin(keyword)}: it contradicts {opposite}: no test can pass both (keep one)")
    return found


def _problem(keyword: str, value: Any, names: frozenset[str]) -> str | None:
    """What is wrong with a rule, or None."""
    if value is False:
        return "False says nothing (None takes a wider rule away, True makes one)"
    if isinstance(value, (Sequence, Mapping, set, frozenset)) and not value:
        return "it is empty: it can't fail (give what it is about, or True)"
    if not isinstance(value, (bool, str, os.PathLike, list, tuple, Mapping)) and not _is_ours(value):
        return f"expected True, None, an argument, a list or a dict, not {type(value).__name__}"
    unknown = sorted(placeholders(value) - names - {"tmp_path"})
    if unknown:
        valid = ", ".join(sorted({"tmp_path", *names}))
        return f"{{{unknown[0]}}} is no path known here (known are {valid}; a fixture has to be used by the test)"
    if _allows_all(keyword, value):
        return "it allows everything: it can't fail (name what is needed)"
    args, named = bound(keyword, value, _Anywhere())
    assertion = getattr(_Nothing(), f"assert_{keyword}", None)
    if assertion is None:
        return "this version has no such assertion"
    problem = _complaint(assertion, args, named)
    if problem is None:
        return None
    hint = ""
    if len(args) > 1 and not any(_complaint(assertion, (each,), named) for each in args):
        hint = f" (one after the other: {shown([[each] for each in args])})"
    return f"{problem.removeprefix(f'{keyword}: ')}{hint}"


def _complaint(assertion: Callable[..., None], args: tuple[Any, ...], named: Mapping[str, Any]) -> str | None:
    """What an assertion has against its arguments."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            inspect.signature(assertion).bind(*args, **named)
            assertion(*args, **named)
        except (AssertionError, InconclusiveRecording):  # of nothing it may be either
            return None
        except (TypeError, ValueError) as problem:
            return str(problem)
    return None


def _is_ours(value: object) -> bool:
    """Such as a step of an order."""
    return type(value).__module__.startswith(f"{__package__}.")


_EVERYWHERE = (
    frozenset({"0.0.0.0/0", "::/0"}),
    frozenset({"loopback", "private", "public"}),
    frozenset({"*"}),
)


def _allows_all(keyword: str, value: Any) -> bool:
    """Whether the exceptions of a rule leave nothing that it forbids."""
    args, named = arguments(value)
    texts = {str(each) for each in strings((args, named))}
    if keyword in ("no_network", "only_connects_to"):
        return any(whole <= texts for whole in _EVERYWHERE)
    if keyword == "no_exec":
        return bool(texts & {"*", "**", "/*", "/**"})
    if keyword in ("only_writes_under", "only_reads_under"):
        return any(os.path.normpath(text) in ("/", "//") for text in texts)
    return False


class _Nothing(Assertions):
    """A complete recording of nothing: an assertion on it says whether its arguments make sense."""

    gaps: tuple[Gap, ...] = ()

    def _events(self, names: frozenset[str] | None) -> Sequence[SyscallEvent]:  # noqa: ARG002 (nothing has any name)
        return ()

    @property
    def _table(self) -> Table:
        return syscalls.table()

    @property
    def _start_ns(self) -> int:
        return 0


class _Anywhere(Mapping[str, Any]):
    """Gives every placeholder a path, where only the shape of a rule is looked at."""

    def __getitem__(self, name: str) -> str:
        return f"/{name}"

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0
