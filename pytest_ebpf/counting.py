"""Assertions on how many calls there were, and how much they moved."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any

from . import report
from .alike import alike
from .effects import calls_of
from .errors import InconclusiveRecording, SiblingCallWarning
from .events import Effect, FileEvent, Gap, SyscallEvent
from .match import Query, query
from .question import Answer, Question, gaps_in, typed
from .report import Finding
from .sizes import parse
from .syscalls import Table

if TYPE_CHECKING:
    from .assertions import Assertions

__all__ = ["Budget", "Count", "maximum", "no_syscall", "syscall"]


def no_syscall(table: Table, /, *names: str, **filters: Any) -> Question:
    """No call with one of these names (any call if none is given) matches all filters."""
    asked = query(table, *names, **filters)
    return Count(f"assert_no_syscall({asked})", asked, 0, 0)


def syscall(
    table: Table,
    /,
    *names: str,
    count: int | None = None,
    min: int | None = None,
    max: int | None = None,
    **filters: Any,
) -> Question:
    """Calls with one of these names that match all filters: at least one, unless told."""
    low, high = _bounds(count, min, max)
    asked = query(table, *names, **filters)
    shown = [str(asked)] if str(asked) else []
    given = {"count": count, "min": min, "max": max}
    shown.extend(f"{name}={value}" for name, value in given.items() if value is not None)
    return Count(f"assert_syscall({', '.join(shown)})", asked, low, high)


class Count(Question):
    """The number of calls that match is within bounds."""

    def __init__(self, typed: str, asked: Query, low: int, high: int | None) -> None:
        self.typed = typed
        self._asked = asked
        self._low = low
        self._high = high

    def judge(self, recording: Assertions) -> None:
        """Hold the calls that were asked for against the bounds."""
        __tracebackhide__ = True
        asked, low, high = self._asked, self._low, self._high
        tally = _tally(recording, asked)
        if high is not None and tally.least > high:
            problem = f"expected {_expected(low, high)}, found {tally.least}"
            if high == 0:
                problem = f"{_calls(tally.least)} matched"
            raise AssertionError(
                report.too_many(
                    f"{self.typed}: {problem}", tally.found, start_ns=recording._start_ns, counted=tally.counted
                )
            )
        if tally.most is not None and tally.most < low:
            problem = f"expected {_expected(low, high)}, found {tally.least or 'none'}"
            if low == 1 and high is None:
                problem = "no call matched"
            raise AssertionError(
                report.too_few(
                    f"{self.typed}: {problem}",
                    asked,
                    tally.found,
                    recording._events(None),
                    start_ns=recording._start_ns,
                    counted=tally.counted,
                )
            )
        if tally.least < low or (high is not None and (tally.most is None or tally.most > high)):
            raise InconclusiveRecording(
                report.inconclusive(
                    f"{self.typed}: can't be decided: expected {_expected(low, high)}, found {_range(tally)}",
                    asked,
                    tally.found,
                    tally.unsure,
                    tally.gaps,
                    start_ns=recording._start_ns,
                    counted=tally.counted,
                )
            )
        if high == 0:
            _warn_of_siblings(recording, self.typed, asked)


@dataclass(frozen=True, slots=True)
class _Tally:
    """How many calls matched, and how sure that is."""

    found: Sequence[SyscallEvent]
    unsure: Sequence[SyscallEvent]
    gaps: tuple[Gap, ...]
    """Those that could add a call."""
    counted: int
    """Calls whose records were lost but whose number is known."""
    least: int
    most: int | None
    """None where nothing bounds it."""


def _tally(recording: Assertions, asked: Query) -> _Tally:
    found, unsure = recording._select(asked)
    counted = 0
    bounded = 0
    unbounded = False
    gaps = []
    for gap in gaps_in(recording.gaps, asked.names):
        inside = asked.names is None or (gap.calls is not None and gap.calls <= asked.names)
        if gap.exact and inside and not asked.filters:
            counted += gap.count
            continue
        gaps.append(gap)
        if gap.exact or gap.at_most:
            bounded += gap.count
        else:
            unbounded = True
    least = len(found) + counted
    most = None if unbounded else least + len(unsure) + bounded
    return _Tally(found, unsure, tuple(gaps), counted, least, most)


def _warn_of_siblings(recording: Assertions, typed: str, asked: Query) -> None:
    __tracebackhide__ = True
    matched: list[str] = []
    for sibling in asked.siblings():
        found, _ = sibling.select(recording._events(sibling.names))
        number = len(found)
        if number:
            matched.extend(f"{name} ({number})" for name in sibling.patterns)
    if matched:
        names = ", ".join(matched)
        warnings.warn(
            f"{typed} holds, but its sibling matched: {names}",
            SiblingCallWarning,
            stacklevel=_stacklevel(),
        )


def _bounds(count: int | None, low: int | None, high: int | None) -> tuple[int, int | None]:
    for name, value in (("count", count), ("min", low), ("max", high)):
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{name}: expected int, not {type(value).__name__}")
        if value < 0:
            raise ValueError(f"{name}: {value} calls are impossible: it must not be negative")
    if count is not None:
        if low is not None or high is not None:
            raise TypeError("count: an exact number takes neither min nor max beside it")
        return count, count
    if low is None:
        low = 0 if high == 0 else 1
    if high is None and low == 0:
        raise ValueError("min: 0 without max holds for anything (give max, or leave min out)")
    if high is not None and low > high:
        raise ValueError(f"min: {low} is more than max, {high}")
    return low, high


def _expected(low: int, high: int | None) -> str:
    if high == 0:
        return "no call"
    if high is None:
        return f"at least {_calls(low)}"
    if low == high:
        return f"exactly {_calls(low)}"
    if low == 0:
        return f"at most {_calls(high)}"
    return f"{low} to {_calls(high)}"


def _calls(count: int) -> str:
    return "1 call" if count == 1 else f"{count} calls"


def _range(tally: _Tally) -> str:
    if tally.most is None:
        return f"{tally.least} or more"
    return str(tally.least) if tally.least == tally.most else f"{tally.least} to {tally.most}"


_PACKAGE = __file__.rpartition("/")[0] + "/"


def _stacklevel() -> int:
    """The level of the user's own line for ``warnings.warn``: the first frame outside this package."""
    level = 1
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
        level += 1
    return level


# Budgets


def maximum(table: Table, /, **budget: Any) -> Question:
    """At most so many calls, effects or bytes of each kind."""
    if not budget:
        raise TypeError(f"max: nothing is bounded, so it can't fail (give a call's name, or {', '.join(_TOTALS)})")
    parts: list[Question] = []
    for name, limit in budget.items():
        shown = typed("assert_max", **{name: limit})
        if name in _BYTES:
            parts.append(_Bytes(shown, table, name, _size(name, limit)))
        elif name in _EFFECTS:
            parts.append(_Effects(shown, table, name, _number(name, limit)))
        else:
            asked = query(table) if name == "syscalls" else _calls_named(table, name)
            parts.append(Count(shown, asked, 0, _number(name, limit)))
    return Budget(typed("assert_max", **budget), parts)


def _calls_named(table: Table, name: str) -> Query:
    try:
        return query(table, name)
    except ValueError as error:
        raise type(error)(f"max: {error}; beside calls there are {', '.join(_TOTALS)}") from None


class Budget(Question):
    """Several bounds, each of which must hold; all that are exceeded are told."""

    def __init__(self, typed: str, parts: Sequence[Question]) -> None:
        self.typed = typed
        self._parts = parts

    def judge(self, recording: Assertions) -> None:
        """Ask each, and say what is violated before what can't be decided."""
        __tracebackhide__ = True
        violated: list[str] = []
        undecided: list[str] = []
        for part in self._parts:
            try:
                part.judge(recording)
            except AssertionError as error:
                violated.append(str(error))
            except InconclusiveRecording as error:
                undecided.append(str(error))
        if violated:
            raise AssertionError("\n".join(violated))
        if undecided:
            raise InconclusiveRecording("\n".join(undecided))


_EFFECTS: Mapping[str, tuple[str, str]] = {
    "connects": ("network", "connect"),
    "execs": ("processes", "exec"),
    "forks": ("processes", "fork"),
    "opens": ("files", "open"),
    "syncs": ("files", "sync"),
}
"""Effects that are counted: the kind and the op. Attempts that failed are none."""
_BYTES = {"bytes_read": "read", "bytes_written": "write"}
_TOTALS = sorted(["syscalls", *_EFFECTS, *_BYTES])
_OF_KIND: Mapping[str, Callable[[Assertions], Sequence[Effect]]] = {
    "files": lambda recording: recording._file_effects(),
    "network": lambda recording: recording._network_effects(),
    "processes": lambda recording: recording._process_effects(),
}


class _Effects(Question):
    """At most so many effects of one kind, whichever calls they are of."""

    def __init__(self, typed: str, table: Table, name: str, limit: int) -> None:
        self.typed = typed
        self._kind, self._op = _EFFECTS[name]
        self._name = name
        self._limit = limit
        self._calls = calls_of(self._kind, table, frozenset({self._op}))

    def judge(self, recording: Assertions) -> None:
        """Count what was done, and mind what may have been."""
        __tracebackhide__ = True
        answer = Answer(self._calls)
        effects = alike(_OF_KIND[self._kind](recording))
        kinds: dict[bool | None, list[Hashable]] = {True: [], False: [], None: []}
        for kind, one in effects.kinds():
            kinds[self._counts(one)].append(kind)
        counted = effects.of(kinds[True])
        count = len(counted)
        if count > self._limit:
            answer.found = [Finding(effect) for effect in counted]
            answer.problem = f"{count:,} {self._name}"
            self.fail(recording, answer)
        answer.unsure = [Finding(effect) for effect in effects.of(kinds[None])]
        gaps = gaps_in(recording.gaps, self._calls, self._kind)
        possible = count + len(answer.unsure) + sum(gap.count for gap in gaps)
        if possible > self._limit or not all(gap.exact or gap.at_most for gap in gaps):
            answer.doubt = f"{count:,} {self._name} are certain"
            if answer.unsure or gaps:
                self.doubt(recording, answer, gaps)

    def _counts(self, effect: Effect) -> bool | None:
        """Whether it counts; None if that isn't known."""
        if effect.op != self._op or effect.result == "failed":
            return False
        sure = "op" not in effect.unread and (effect.result == "done" or self._op in ("connect", "sync"))
        return True if sure else None


class _Bytes(Question):
    """At most so many bytes of the contents of files, not of pipes and sockets."""

    def __init__(self, typed: str, table: Table, name: str, limit: int) -> None:
        self.typed = typed
        self._name = name
        self._op = _BYTES[name]
        self._limit = limit
        self._calls = calls_of("files", table, frozenset({self._op}))

    def judge(self, recording: Assertions) -> None:
        """Add up what was moved. How much goes through a mapping, the kernel doesn't say."""
        __tracebackhide__ = True
        answer = Answer(self._calls)
        total = 0
        by_size: list[tuple[int, Finding]] = []
        for what, effect in recording._file_effects().judged(self._counts):
            if what == "counted":
                assert effect.nbytes is not None
                total += effect.nbytes
                by_size.append((effect.nbytes, Finding(effect)))
            else:
                answer.unsure.append(Finding(effect, "how many bytes isn't known"))
        answer.found = [finding for _, finding in sorted(by_size, key=lambda each: -each[0])]
        verb = self._name.removeprefix("bytes_")
        if total > self._limit:
            answer.problem = f"{total:,} bytes were {verb}, {total - self._limit:,} too many; the largest:"
            self.fail(recording, answer)
        gaps = gaps_in(recording.gaps, self._calls, "files")
        if answer.unsure or gaps:
            answer.doubt = f"{total:,} bytes or more were {verb}"
            self.doubt(recording, answer, gaps)

    def _counts(self, effect: FileEvent) -> str | None:
        """Whether its bytes are ``counted``, are ``unknown``, or don't count."""
        mapped = effect.op == "map" and self._op == "read"
        if (effect.op != self._op and not mapped) or effect.result == "failed":
            return None
        if mapped and _loads_program(effect):
            return None
        if effect.nbytes is not None and "op" not in effect.unread:
            return "counted"
        unknown = mapped or effect.unread & {"nbytes", "op"} or effect.call.name in _UNCOUNTED
        return "unknown" if unknown else None


_UNCOUNTED = frozenset({"ioctl", "madvise", "mmap", "mprotect", "pkey_mprotect", "swapon"})
"""Calls that write, or make it possible, and don't say how many bytes."""


_MAP_PRIVATE, _MAP_TYPE = 0x02, 0x0F


def _loads_program(effect: FileEvent) -> bool:
    """Whether a mapping is private: of a program or library, or a copy; what is read through it isn't counted."""
    flags = effect.call.args.get("flags")
    return isinstance(flags, int) and flags & _MAP_TYPE == _MAP_PRIVATE


def _number(name: str, limit: object) -> int:
    if isinstance(limit, bool) or not isinstance(limit, int):
        raise TypeError(f"max: {name}: expected int, not {type(limit).__name__}")
    if limit < 0:
        raise ValueError(f"max: {name}: {limit} is impossible: it must not be negative")
    return limit


def _size(name: str, limit: object) -> int:
    """Bytes, also as a text such as ``"1.5 MiB"``."""
    if not isinstance(limit, str):
        return _number(name, limit)
    try:
        return parse(limit)
    except ValueError as error:
        raise ValueError(f"max: {name}: {error}") from None
