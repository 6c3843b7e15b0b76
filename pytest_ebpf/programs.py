"""Assertions on the programs that were executed."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from . import mounts
from .effects import calls_of
from .events import ProcessEvent
from .match import effect_query, text_test
from .notation import escape
from .question import Answer, Question, collection, typed
from .report import Finding
from .syscalls import Table

if TYPE_CHECKING:
    from .assertions import Assertions

__all__ = ["exec_", "no_exec"]

_NOTHING_THERE = frozenset({"ENOENT", "ENOTDIR"})
"""Errors of the look along PATH: no such program was there to be executed."""


def no_exec(table: Table, /, allow: Sequence[object] = ()) -> Question:
    """No program is executed, nor an existing one tried, but those allowed."""
    allowed = collection("allow", allow, "programs")
    tests = [_program_test(f"allow[{place}]", item) for place, item in enumerate(allowed)]
    return _NoExec(typed("assert_no_exec", **({"allow": allow} if allowed else {})), table, tests)


def _program_test(name: str, item: Any) -> Callable[[str], bool]:
    """By path, or of a name without a slash by the last part of it."""
    accepts = text_test(name, item)
    if item in ("", "*", "**", "/*"):
        raise ValueError(f"{name}: {item!r} allows every program, so the assertion can't fail")
    bare = isinstance(item, str) and "/" not in item
    return lambda path: accepts(path) or (bare and accepts(path.rpartition("/")[2]))


class _NoExec(Question):
    def __init__(self, typed: str, table: Table, allowed: Sequence[Callable[[str], bool]]) -> None:
        self.typed = typed
        self._allowed = allowed
        self._calls = calls_of("processes", table, frozenset({"exec"})) | (mounts.CALLS if allowed else frozenset())

    def judge(self, recording: Assertions) -> None:
        """Look at each exec; a path at which there was no program is none."""
        __tracebackhide__ = True
        answer = Answer(self._calls, "processes", doubt="which program was executed isn't known")
        programs: set[str] = set()
        was_allowed = False
        for event in recording._process_effects():
            found_nothing = event.result == "failed" and event.errno in _NOTHING_THERE
            if event.op != "exec" or (found_nothing and not _is_there_now(event, recording)):
                continue
            spellings = _spellings(event)
            if any(accepts(path) for accepts in self._allowed for path in spellings):
                was_allowed = True
                continue
            unknown = self._allowed and "exe" in event.unread and not _is_nameless(event)
            if "op" in event.unread or unknown:
                answer.unsure.append(Finding(event, "which program isn't known"))
                continue
            if found_nothing:
                answer.unsure.append(Finding(event, f"{event.exe} may have been there, without its interpreter"))
                continue
            failed = event.result == "failed"
            answer.found.append(Finding(event, f"tried to execute {event.exe}" if failed else ""))
            programs.add(escape(event.exe or "a file without a name"))
        answer.problem = f"executed {', '.join(sorted(programs)[:3])}{' and more' if len(programs) > 3 else ''}"
        if was_allowed and not answer.found:
            answer.unsure += [Finding(call, mounts.ELSEWHERE) for call in mounts.again(recording._events(mounts.CALLS))]
        self.forbid(recording, answer)


def _is_there_now(event: ProcessEvent, recording: Assertions) -> bool:
    """Whether there is a program after all: its interpreter or loader may have been what wasn't there."""
    with recording._silently(entirely=True):
        return any(map(os.path.exists, event.call.abspaths.values()))


def _is_nameless(event: ProcessEvent) -> bool:
    """Whether the program is a file that has no path, as one in memory."""
    files = event.call.files.values()
    return any(file.path is None and not file.path_cut for file in files)


def _spellings(event: ProcessEvent) -> list[str]:
    """The paths that say for certain what was executed: the real one, and absolute ones that go straight."""
    call = event.call
    straight = [path for name, path in call.abspaths.items() if ".." not in str(call.args.get(name, "")).split("/")]
    return [*([event.exe] if event.exe else []), *straight]


def exec_(table: Table, /, program: object, argv: object = None) -> Question:
    """The program was executed, with these arguments if given."""
    filters: dict[str, Any] = {"op": "exec", "exe": program} | ({} if argv is None else {"argv": argv})
    asked = effect_query(table, "processes", **filters)
    given = {} if argv is None else {"argv": argv}
    return _Exec(typed("assert_exec", program, **given), table, asked)


class _Exec(Question):
    def __init__(self, typed: str, table: Table, asked: Any) -> None:
        self.typed = typed
        self._asked = asked
        self._calls = calls_of("processes", table, frozenset({"exec"}))

    def judge(self, recording: Assertions) -> None:
        """Look for an exec that succeeded."""
        __tracebackhide__ = True
        answer = Answer(
            self._calls, "processes", problem="it was not executed", doubt="which program was executed isn't known"
        )
        misses: list[tuple[int, Finding]] = []
        for event in recording._process_effects():
            if event.op != "exec":
                continue
            verdict = self._asked.test(event)
            if verdict and event.ok:
                return
            if verdict is None or (verdict and event.result in ("pending", "unknown")):
                answer.unsure.append(Finding(event))
                continue
            notes = self._asked.misses(event)
            if event.result == "failed":
                notes.append(f"failed with {event.errno}")
            misses.append((len(notes), Finding(event, "; ".join(notes))))
        answer.misses = [finding for _, finding in sorted(misses, key=lambda each: each[0])[:5]]
        if not misses:
            answer.hints.append("no exec was recorded at all")
        self.require(recording, answer)
