"""What plugins make of events, and the gaps that it leaves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

from pytest_ebpf import hookspecs
from pytest_ebpf.amendments import Amended, Amendments
from pytest_ebpf.events import Address, SyscallEvent
from pytest_ebpf.hookspecs import Drop

from .builders import event, opened


def amended(*events: SyscallEvent, by: list[Callable[..., Any]]) -> Amended:
    """The events as plugins with these hooks leave them; the first one is asked first."""
    manager = pytest.PytestPluginManager()
    manager.add_hookspecs(hookspecs)
    for number, function in reversed([*enumerate(by)]):  # the last one registered is called first
        plugin = ModuleType(f"plugin{number}")
        vars(plugin)["pytest_ebpf_event"] = function
        manager.register(plugin, plugin.__name__)
    amendments = Amendments.of(manager)
    assert amendments is not None
    return amendments.amend(events)


def test_nobody_is_asked() -> None:
    """Without an implementation there is nothing to call."""
    manager = pytest.PytestPluginManager()
    manager.add_hookspecs(hookspecs)
    assert Amendments.of(manager) is None


def test_none_leaves_an_event() -> None:
    """As it is."""
    events = [opened("/a"), opened("/b")]
    found = amended(*events, by=[lambda event: None])
    assert [*found.events] == events
    assert (found.gaps, found.dropped) == ((), Counter())


def test_adding_is_no_gap() -> None:
    """A name more, an address where there was none, an argument."""

    def enrich(event: SyscallEvent) -> SyscallEvent:
        args = {**event.args, "user": "me"}
        return replace(event, paths=(*event.paths, "alias"), address=Address("AF_UNIX"), args=args)

    found = amended(opened("/a"), by=[enrich])
    assert found.events[0].paths == ("/a", "alias")
    assert found.gaps == ()


CHANGES: list[dict[str, Any]] = [
    {"name": "close"},
    {"path": "/b"},
    {"path": None},
    {"paths": ("/b",)},
    {"args": {}},
    {"args": {"dfd": -100, "filename": "/b", "flags": 0, "mode": 0}},
    {"ret": 4},
    {"pid": 99},
    {"comm": "other"},
]


@pytest.mark.parametrize("change", CHANGES)
def test_taking_away_is_a_gap(change: dict[str, Any]) -> None:
    """Of the call as it was: an assertion that could have seen it is undecided."""
    found = amended(opened("/a"), event("getpid"), by=[lambda event: replace(event, **change) if event.path else None])
    (gap,) = found.gaps
    assert (gap.calls, gap.count, gap.exact) == (frozenset({"openat"}), 1, False)
    assert gap.reason == "1 openat calls were changed by pytest_ebpf_event"
    assert len(found.events) == 2


def test_unread_stays_unread() -> None:
    """A doubt can't be talked away."""
    found = amended(event(unread=["path"]), by=[lambda event: replace(event, unread=frozenset())])
    assert len(found.gaps) == 1


def test_drop() -> None:
    """It is counted, and a gap unless it is said to be harmless."""

    def drop(event: SyscallEvent) -> Drop | None:
        if event.name == "getpid":
            return Drop("noise", harmless=True)
        return Drop("private") if event.path == "/a" else None

    found = amended(opened("/a"), opened("/b"), event("getpid"), event("getpid"), by=[drop])
    assert [each.path for each in found.events] == ["/b"]
    assert found.dropped == {"noise": 2, "private": 1}
    (gap,) = found.gaps
    assert gap.reason == "1 openat calls were dropped: private (pytest_ebpf_event of plugin0)"
    assert gap.calls == frozenset({"openat"})


def test_one_plugin_after_the_other() -> None:
    """Each gets what the one before made of it; what is dropped is shown to none."""
    seen = []

    def first(event: SyscallEvent) -> SyscallEvent | Drop:
        return Drop("x", harmless=True) if event.path == "/b" else replace(event, paths=(*event.paths, "one"))

    def second(event: SyscallEvent) -> SyscallEvent:
        seen.append(event.path)
        return replace(event, paths=(*event.paths, "two"))

    found = amended(opened("/a"), opened("/b"), by=[first, second])
    assert [each.paths for each in found.events] == [("/a", "one", "two")]
    assert seen == ["/a"]


@pytest.mark.parametrize("answer", [False, "drop", Drop, 0])
def test_wrong_answer(answer: object) -> None:
    """It is named, with what would be right."""
    with pytest.raises(TypeError, match=r"^pytest_ebpf_event of plugin0: it returned \w+ \(valid are an event, a "):
        amended(opened("/a"), by=[lambda event: answer])
