"""The assertions: questions on a recording, answered with true, false or can't be told."""

from __future__ import annotations

import sys
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import FrameType
from typing import Any

from . import report
from .effects import Kind, calls_of, file_events, network_events, process_events
from .errors import InconclusiveRecording, SiblingCallWarning
from .events import FileEvent, Gap, NetworkEvent, ProcessEvent, SyscallEvent
from .match import E, Events, Query, effect_query, query
from .names import load, with_names
from .syscalls import Table

__all__ = ["Assertions"]


class Assertions(ABC):
    """Queries and assertions on a recording, which the subclass supplies."""

    @abstractmethod
    def _events(self, names: frozenset[str] | None) -> Sequence[SyscallEvent]:
        """The events so far of these calls (None: of any call), in kernel order, those in flight too."""

    def _ends(self) -> Sequence[SyscallEvent]:
        """What the kernel told of the ends of processes, in order."""
        return ()

    def _context(self, names: frozenset[str]) -> Sequence[SyscallEvent] | None:  # noqa: ARG002 (a part needs it)
        """The events of these calls in the recording that this is a part of, in kernel order; None if it is whole."""
        return None

    def _silently(self, *, entirely: bool = False) -> AbstractContextManager[None]:  # noqa: ARG002 (a part needs it)
        """While the plugin is at work: memory and lock calls of this thread are not recorded, or ``entirely`` none."""
        return nullcontext()

    @property
    @abstractmethod
    def _table(self) -> Table:
        """The table of the machine's calls."""

    @property
    @abstractmethod
    def _start_ns(self) -> int:
        """When the window opened, on CLOCK_MONOTONIC."""

    @property
    @abstractmethod
    def gaps(self) -> tuple[Gap, ...]:
        """Why absence isn't proven; empty if it is."""

    @property
    def complete(self) -> bool:
        """Whether the recording proves absence: no event was lost and none is unreadable."""
        return not self.gaps

    @property
    def events(self) -> Events[SyscallEvent]:
        """Everything recorded so far, in kernel order.

        >>> recording.events.first.name
        'openat'
        """
        return Events(self._events(None), table=self._table, start_ns=self._start_ns)

    def syscalls(self, /, *names: str, **filters: Any) -> Events[SyscallEvent]:
        """The calls with one of these names (any call if none is given) that all filters match.

        Calls of which that can't be told are in ``undecided`` of the result, not in it. Raises
        UnknownSyscall, TypeError or ValueError for a name, filter or value that nothing can match.

        >>> recording.syscalls("openat", path="/etc/*").paths
        {'/etc/hosts'}
        """
        __tracebackhide__ = True
        asked = query(self._table, *names, **filters)
        found, unsure = self._select(asked)
        return Events(found, undecided=unsure, table=self._table, start_ns=self._start_ns)

    def files(self, /, **filters: Any) -> Events[FileEvent]:
        """What was done to files, by whatever call: those effects that all filters match.

        ``effects.OPS`` has the values of ``op``. Attempts that failed are there too: see ``ok``. Effects of which
        it can't be told are in ``undecided`` of the result. Raises TypeError or ValueError for a filter or value
        that nothing can match.

        >>> recording.files(op="open", path="/etc/*").paths
        {'/etc/hosts'}
        """
        __tracebackhide__ = True
        asked = effect_query(self._table, "files", **filters)
        with self._silently():
            calls = self._events(calls_of("files", self._table))
            found = [event for call in calls for event in file_events(call, self._table)]
        return self._effects("files", asked, found)

    def network(self, /, **filters: Any) -> Events[NetworkEvent]:
        """What was done on sockets, by whatever call: those effects that all filters match.

        As `files`. Names that were asked for in DNS, in this window or in the test before it, are the ``host`` of
        what follows.

        >>> recording.network(op="connect", address="public")
        <0 events>
        """
        __tracebackhide__ = True
        asked = effect_query(self._table, "network", **filters)
        with self._silently():
            names = calls_of("network", self._table)
            calls = self._events(names)
            whole = self._context(names)
            if any(call.payloads for call in whole or calls):
                with self._silently(entirely=True):
                    load()
            told = (event for call in whole or calls for event in network_events(call, self._table))
            found = [*with_names(told)]
            if whole is not None:
                here = {(call.tid, call.timestamp_ns) for call in calls}
                found = [event for event in found if (event.tid, event.timestamp_ns) in here]
        return self._effects("network", asked, found)

    def processes(self, /, **filters: Any) -> Events[ProcessEvent]:
        """What was done with processes: those effects that all filters match. As `files`.

        >>> recording.processes(op="exec").first
        """
        __tracebackhide__ = True
        asked = effect_query(self._table, "processes", **filters)
        with self._silently():
            calls = (*self._events(calls_of("processes", self._table)), *self._ends())
            found = [event for call in calls for event in process_events(call, self._table)]
        return self._effects("processes", asked, found)

    def _effects(self, kind: Kind, asked: Query, events: Iterable[E]) -> Events[E]:
        found, unsure = asked.select(sorted(events, key=lambda event: event.timestamp_ns))
        return Events(found, undecided=unsure, table=self._table, start_ns=self._start_ns, kind=kind)

    def assert_no_syscall(self, /, *names: str, **filters: Any) -> None:
        """No call with one of these names (any call if none is given) matches all filters.

        Raises AssertionError if one did, and InconclusiveRecording if none did for certain but a gap, or
        a call that couldn't be read, may hide one. Warns with SiblingCallWarning if it holds for the
        calls named exactly while a sibling of theirs matched (openat2 for openat).

        >>> recording.assert_no_syscall("openat", path="/etc/passwd")
        """
        __tracebackhide__ = True
        asked = query(self._table, *names, **filters)
        self._judge(f"assert_no_syscall({asked})", asked, 0, 0)

    def assert_syscall(
        self,
        /,
        *names: str,
        count: int | None = None,
        min: int | None = None,
        max: int | None = None,
        **filters: Any,
    ) -> None:
        """Calls with one of these names that match all filters: at least one, unless told.

        ``count`` is their exact number, ``min`` and ``max`` are bounds. ``max`` alone still asks for one
        (add ``min=0`` where none is fine), ``count=0`` and ``max=0`` are assert_no_syscall. So a call's
        own argument ``count`` can't be filtered by here: use ``where``.

        Raises AssertionError if the number is certainly another, and InconclusiveRecording if a gap, or
        a call that couldn't be read, may make it so. TypeError or ValueError for bounds that make no sense.

        >>> recording.assert_syscall("openat", path="/etc/hosts", count=1)
        """
        __tracebackhide__ = True
        low, high = _bounds(count, min, max)
        asked = query(self._table, *names, **filters)
        typed = [str(asked)] if str(asked) else []
        given = {"count": count, "min": min, "max": max}
        typed.extend(f"{name}={value}" for name, value in given.items() if value is not None)
        self._judge(f"assert_syscall({', '.join(typed)})", asked, low, high)

    def _judge(self, typed: str, asked: Query, low: int, high: int | None) -> None:
        """Hold the calls that were asked for against the bounds."""
        __tracebackhide__ = True
        tally = self._tally(asked)
        if high is not None and tally.least > high:
            problem = f"expected {_expected(low, high)}, found {tally.least}"
            if high == 0:
                problem = f"{_calls(tally.least)} matched"
            raise AssertionError(
                report.too_many(f"{typed}: {problem}", tally.found, start_ns=self._start_ns, counted=tally.counted)
            )
        if tally.most is not None and tally.most < low:
            problem = f"expected {_expected(low, high)}, found {tally.least or 'none'}"
            if low == 1 and high is None:
                problem = "no call matched"
            raise AssertionError(
                report.too_few(
                    f"{typed}: {problem}",
                    asked,
                    tally.found,
                    self._events(None),
                    start_ns=self._start_ns,
                    counted=tally.counted,
                )
            )
        if tally.least < low or (high is not None and (tally.most is None or tally.most > high)):
            raise InconclusiveRecording(
                report.inconclusive(
                    f"{typed}: can't be decided: expected {_expected(low, high)}, found {_range(tally)}",
                    asked,
                    tally.found,
                    tally.unsure,
                    tally.gaps,
                    start_ns=self._start_ns,
                    counted=tally.counted,
                )
            )
        if high == 0:
            self._warn_of_siblings(typed, asked)

    def _select(self, asked: Query) -> tuple[Sequence[SyscallEvent], Sequence[SyscallEvent]]:
        events = self._events(asked.names)
        # Counting calls by name alone mustn't decode them.
        return asked.select(events) if asked.filters else (events, ())

    def _tally(self, asked: Query) -> _Tally:
        found, unsure = self._select(asked)
        counted = 0
        bounded = 0
        unbounded = False
        gaps = []
        for gap in self.gaps:
            if gap.calls is not None and gap.calls.isdisjoint(gap.calls if asked.names is None else asked.names):
                continue  # of other calls; or of none, where only parts are missing
            inside = asked.names is None or (gap.calls is not None and gap.calls <= asked.names)
            if gap.exact and inside and not asked.filters:
                counted += gap.count
                continue
            gaps.append(gap)
            if gap.exact:
                bounded += gap.count
            else:
                unbounded = True
        least = len(found) + counted
        most = None if unbounded else least + len(unsure) + bounded
        return _Tally(found, unsure, tuple(gaps), counted, least, most)

    def _warn_of_siblings(self, typed: str, asked: Query) -> None:
        __tracebackhide__ = True
        matched: list[str] = []
        for sibling in asked.siblings():
            events = self._events(sibling.names)
            number = sum(1 for event in events if sibling.test(event))
            if number:
                matched.extend(f"{name} ({number})" for name in sibling.patterns)
        if matched:
            names = ", ".join(matched)
            warnings.warn(
                f"{typed} holds, but its sibling matched: {names}",
                SiblingCallWarning,
                stacklevel=_stacklevel(),
            )


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


def _bounds(count: int | None, low: int | None, high: int | None) -> tuple[int, int | None]:
    __tracebackhide__ = True
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
