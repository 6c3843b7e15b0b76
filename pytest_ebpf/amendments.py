"""What plugins make of the events: the hook ``pytest_ebpf_event``, and the gaps that it leaves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from .events import Gap, SyscallEvent
from .hookspecs import Drop

__all__ = ["Amended", "Amendments"]


@dataclass(frozen=True, slots=True)
class Amended:
    """Events as plugins left them."""

    events: Sequence[SyscallEvent]
    gaps: tuple[Gap, ...] = ()
    """Of what was taken away and not said to be harmless."""
    dropped: Counter[str] = field(default_factory=Counter)
    """How many events were dropped, by reason; the harmless ones too."""


class Amendments:
    """The implementations of ``pytest_ebpf_event``, asked one after the other."""

    def __init__(self, implementations: Sequence[tuple[str, Callable[..., Any]]]) -> None:
        self._implementations = implementations

    @classmethod
    def of(cls, manager: pytest.PytestPluginManager) -> Amendments | None:
        """Those that are registered; None if there is none, so that nothing is asked of any event."""
        hook = manager.hook.pytest_ebpf_event
        plugins = {id(each.plugin): each for each in reversed(hook.get_hookimpls())}
        if not plugins:
            return None
        found = []
        for each in plugins.values():
            others = [other.plugin for other in plugins.values() if other.plugin is not each.plugin]
            found.append((each.plugin_name, manager.subset_hook_caller("pytest_ebpf_event", others)))
        return cls(found)

    def amend(self, events: Iterable[SyscallEvent]) -> Amended:
        """The events, in their order, as the plugins want them. Raises TypeError for an answer that is none."""
        kept: list[SyscallEvent] = []
        lost: Counter[tuple[str, str]] = Counter()
        dropped: Counter[str] = Counter()
        for event in events:
            now: SyscallEvent | None = event
            for plugin, ask in self._implementations:
                assert now is not None
                for answer in ask(event=now):
                    if isinstance(answer, Drop):
                        dropped[answer.reason] += 1
                        if not answer.harmless:
                            lost[event.name, f"were dropped: {answer.reason} (pytest_ebpf_event of {plugin})"] += 1
                        now = None
                        break
                    if not isinstance(answer, SyscallEvent):
                        raise TypeError(
                            f"pytest_ebpf_event of {plugin}: it returned {type(answer).__name__} "
                            "(valid are an event, a pytest_ebpf.hookspecs.Drop, or None)"
                        )
                    now = answer
                if now is None:
                    break
            if now is not None:
                kept.append(now)
                if now is not event and _takes_away(event, now):
                    lost[event.name, "were changed by pytest_ebpf_event"] += 1
        gaps = tuple(
            Gap(
                f"{count:,} {name} calls {what}",
                "let the hook only add to events, or return Drop(reason, harmless=True) for what is nobody's business",
                calls=frozenset({name}),
                count=count,
            )
            for (name, what), count in lost.items()
        )
        return Amended(kept, gaps, dropped)


_FIXED = (
    "name",
    "pid",
    "tid",
    "comm",
    "ret",
    "errno",
    "path",
    "abspath",
    "realpath",
    "address",
    "in_flight",
    "process",
)
_GROWING = ("paths", "addresses", "unread", "payloads")
_MAPPED = ("args", "abspaths", "files")


def _takes_away(before: SyscallEvent, after: SyscallEvent) -> bool:
    """Whether something could match the event before and not after."""
    for name in _FIXED:
        old = getattr(before, name)
        if old is not None and getattr(after, name) != old:
            return True
    if any(not set(getattr(before, name)) <= set(getattr(after, name)) for name in _GROWING):
        return True
    return any(
        key not in getattr(after, name) or getattr(after, name)[key] != value
        for name in _MAPPED
        for key, value in getattr(before, name).items()
    )
