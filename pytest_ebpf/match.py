"""Which events a query means: names, filters, and an answer that may be "can't be told"."""

from __future__ import annotations

import difflib
import errno as errnos
import fnmatch
import functools
import inspect
import ipaddress
import os
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NoReturn, TypeVar, overload

from . import syscalls
from .alike import Alike
from .decode import DECIDING
from .effects import OPS, Kind, calls_of
from .errors import InconclusiveRecording
from .events import Address, Effect, Gap, Process, SyscallEvent
from .events import ip_address as _ip
from .files import normal
from .notation import escape
from .syscalls import Argument, Syscall, Table

__all__ = [
    "Events",
    "Filter",
    "Query",
    "address_class",
    "address_test",
    "effect_query",
    "ip_network",
    "is_host_name",
    "lines",
    "query",
    "split_port",
    "text_test",
]

Verdict = bool | None
"""True, False, or None where the event doesn't say."""


E = TypeVar("E", bound=SyscallEvent | Effect)

# Events


class Events(Sequence[E]):
    """Events in kernel order: a sequence that never changes.

    It is false when empty and equal to a list or tuple of the same events. Each answer that more events could
    change (that there are none, ``len``, ``==``, ``paths``, ``addresses``, ``nbytes``, and ``first`` and ``last``
    of none) raises InconclusiveRecording while some are ``undecided``, or a gap of the recording may hide some.
    Single events, loops, ``format`` and ``known`` are always there.

    >>> Events().where(ok=False).first is None
    True
    """

    __slots__ = ("_events", "_gaps", "_kind", "_start_ns", "_table", "_undecided")

    def __init__(
        self,
        events: Iterable[E] = (),
        *,
        undecided: Iterable[E] = (),
        table: Table | None = None,
        start_ns: int | None = None,
        kind: Kind | None = None,
        gaps: Iterable[Gap] = (),
    ) -> None:
        # A sequence other than a list is taken for a snapshot, so that a lazy one isn't decoded here.
        frozen = isinstance(events, Sequence) and not isinstance(events, list)
        self._events: Sequence[E] = events if frozen else tuple(events)  # type: ignore[assignment]
        self._undecided: Sequence[E] = undecided if isinstance(undecided, Alike) else tuple(undecided)
        self._table = table
        self._start_ns = start_ns
        self._kind = kind
        self._gaps = tuple(gaps)

    def _with(self, events: Iterable[E], undecided: Iterable[E] = ()) -> Events[E]:
        """Others of the same recording."""
        return Events(
            events,
            undecided=undecided,
            table=self._table,
            start_ns=self._start_ns,
            kind=self._kind,
            gaps=self._gaps,
        )

    def _decided(self, what: str) -> None:
        """Raise InconclusiveRecording if more events may belong here."""
        __tracebackhide__ = True
        if not self._undecided and not self._gaps:
            return
        text = [f"{what}: can't be decided: {_counted(len(self._events), 'event')} or more"]
        text.extend(f"  gap: {escape(str(gap))}" for gap in self._gaps)
        if self._undecided:
            text.append("may belong here too:")
            start_ns = self._undecided[0].timestamp_ns if self._start_ns is None else self._start_ns
            text.extend(f"  {line}" for line in lines(self._undecided[:_SHOWN_IN_REPR], start_ns))
            if len(self._undecided) > _SHOWN_IN_REPR:
                text.append(f"  ... and {len(self._undecided) - _SHOWN_IN_REPR} more")
        raise InconclusiveRecording("\n".join(text))

    @property
    def known(self) -> Sequence[E]:
        """The same events as a plain sequence, which answers whatever else may be missing."""
        return self._events

    @property
    def undecided(self) -> Events[E]:
        """Events that may belong here too, but couldn't be read well enough to tell.

        All assertions mind them.
        """
        return Events(self._undecided, table=self._table, start_ns=self._start_ns, kind=self._kind)

    @property
    def first(self) -> E | None:
        """The earliest event, None if there is none."""
        __tracebackhide__ = True
        return self._events[0] if self else None

    @property
    def last(self) -> E | None:
        """The latest event, None if there is none."""
        __tracebackhide__ = True
        return self._events[-1] if self else None

    @property
    def paths(self) -> set[str]:
        """The path of each event that has one: real where known, else absolute, else as passed."""
        __tracebackhide__ = True
        self._decided("paths")
        return {path for path in map(_path_of, self._events) if path is not None}

    @property
    def addresses(self) -> set[str]:
        """The socket addresses, as in ``{"127.0.0.1:80", "unix:/run/x"}``."""
        __tracebackhide__ = True
        self._decided("addresses")
        found = (getattr(event, "address", None) for event in self._events)
        return {str(address) for address in found if address is not None}

    @property
    def nbytes(self) -> int:
        """Bytes that the successful reads, writes and copies among these moved, in bytes.

        ``sendmmsg`` and ``recvmmsg`` return a number of messages and add nothing.
        """
        __tracebackhide__ = True
        self._decided("nbytes")
        return sum(map(_nbytes_of, self._events))

    def where(self, /, **filters: Any) -> Events[E]:
        """Those of the events that all filters match.

        Raises TypeError for an unknown filter and ValueError for an unusable value. Events that can't
        be told are in ``undecided`` of the result.

        >>> Events().where(path="/etc/*", ok=True)
        <0 events>
        """
        __tracebackhide__ = True
        table = self._table or syscalls.table()
        wanted = query(table, **filters) if self._kind is None else effect_query(table, self._kind, **filters)
        found, unsure = wanted.select(self._events)
        more = [event for event in self._undecided if wanted.test(event) is not False]
        return self._with(found, sorted([*unsure, *more], key=_timestamp_ns) if more else unsure)

    def format(self, limit: int | None = None) -> str:
        """The events in strace's notation, one a line, each with its time and process.

        Times count from the start of the window. ``limit`` bounds the number of events shown.
        """
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int)):
            raise TypeError(f"limit: expected int or None, not {type(limit).__name__}")
        if limit is not None and limit < 0:
            raise ValueError("limit: must not be negative")
        shown = self._events if limit is None else self._events[:limit]
        start_ns = self._start_ns
        if start_ns is None and self._events:
            start_ns = self._events[0].timestamp_ns
        text = lines(shown, start_ns or 0)
        if len(shown) < len(self._events):
            text.append(f"... and {len(self._events) - len(shown)} more")
        return "\n".join(text)

    @overload
    def __getitem__(self, index: int) -> E: ...
    @overload
    def __getitem__(self, index: slice) -> Events[E]: ...
    def __getitem__(self, index: int | slice) -> E | Events[E]:
        if isinstance(index, slice):
            return self._with(self._events[index], self._undecided)
        return self._events[index]

    def __len__(self) -> int:
        __tracebackhide__ = True
        self._decided("len")
        return len(self._events)

    def __bool__(self) -> bool:
        __tracebackhide__ = True
        if not self._events:
            self._decided("whether there is none")
        return bool(self._events)

    def __iter__(self) -> Iterator[E]:
        return iter(self._events)

    def __eq__(self, other: object) -> bool:
        __tracebackhide__ = True
        if not isinstance(other, (Events, list, tuple)):
            return NotImplemented
        mine, theirs = self._events, other._events if isinstance(other, Events) else other
        if _is_within(mine, theirs):  # if it isn't, no further event makes them equal
            self._decided("==")
        if isinstance(other, Events) and _is_within(theirs, mine):
            other._decided("==")
        return len(mine) == len(theirs) and all(a == b for a, b in zip(mine, theirs, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = [_shortened(_call_text(event)) for event in self._events[:_SHOWN_IN_REPR]]
        if len(self._events) > len(shown):
            shown.append("...")
        head = _counted(len(self._events), "event")
        if self._undecided:
            head += f", {len(self._undecided)} undecided"
        return f"<{head}: {', '.join(shown)}>" if shown else f"<{head}>"


_SHOWN_IN_REPR = 3
_REPR_WIDTH = 60


def _shortened(text: str) -> str:
    return text if len(text) <= _REPR_WIDTH else text[: _REPR_WIDTH - 3] + "..."


def _is_within(events: Iterable[object], others: Iterable[object]) -> bool:
    """Whether the others have all the events, in this order."""
    rest = iter(others)
    return all(any(event == other for other in rest) for event in events)


def _timestamp_ns(event: SyscallEvent | Effect) -> int:
    return event.timestamp_ns


def _path_of(event: SyscallEvent | Effect) -> str | None:
    if isinstance(event, SyscallEvent):
        return event.realpath or event.abspath or event.path
    return getattr(event, "path", None)


def _nbytes_of(event: SyscallEvent | Effect) -> int:
    """Bytes moved; what a message of DNS has is counted by its send or receive."""
    if isinstance(event, Effect):
        return 0 if event.op == "dns" else getattr(event, "nbytes", None) or 0
    return event.ret if event.name in _MOVES_BYTES and event.ret is not None and event.ret > 0 else 0


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


# How an event is written


def lines(events: Iterable[SyscallEvent | Effect], start_ns: int) -> list[str]:
    """One line an event: time since ``start_ns``, process, the call. Nothing in it controls a terminal."""
    rows = [(_time_text(e.timestamp_ns - start_ns), _task_text(e), _call_text(e)) for e in events]
    # A rare long name must not push all others to the right.
    width = min(max((len(who) for _, who, _ in rows), default=0), 24)
    return [f"{when} {who:<{width}}  {call}" for when, who, call in rows]


def _time_text(delta_ns: int) -> str:
    seconds, rest = divmod(abs(delta_ns), 1_000_000_000)
    return f"{'-' if delta_ns < 0 else '+'}{seconds}.{rest // 1000:06d}s"


def _task_text(event: SyscallEvent | Effect) -> str:
    number = str(event.pid) if event.tid == event.pid else f"{event.pid}/{event.tid}"
    return f"{escape(event.comm)}[{number}]"


def _call_text(event: SyscallEvent | Effect) -> str:
    if isinstance(event, Effect):
        host = getattr(event, "host", None)
        return f"{event.op}{f' {escape(host)}' if host else ''}: {_call_text(event.call)}"
    text = str(event)
    if not text:  # an event built by hand
        args = ", ".join(f"{key}={value!r}" for key, value in event.args.items())
        result = "?" if event.ret is None else f"{event.ret} {event.errno or ''}".rstrip()
        text = f"{event.name}({args}) = {result}"
    # The decoder escapes; this holds even if the text comes from someone else.
    return text if text.isprintable() else escape(text)


def _quote(text: str) -> str:
    return f"'{escape(text)}'"


# Queries


@dataclass(frozen=True, slots=True)
class Filter:
    """One compiled filter of a query."""

    name: str
    value: object
    test: Callable[[Any], Verdict]
    """Whether the event matches; None if what it needs is unknown."""
    why: Callable[[Any], str]
    """For an event that doesn't match: in which way, as in ``'/etc/hosts' is not '*/app.toml'``."""
    unlikeness: Callable[[Any], float] | None = None
    """For ordering near misses, from 1 (nearly a match) to 2; None is 1 for any."""
    accepts: Callable[[str], bool] | None = None
    """Of a filter on the path: the same on one spelling."""
    alike: bool = False
    """Whether events that are alike have the same answer: see alike.py."""
    hosts: dict[tuple[int, int], set[str]] | None = None
    """Of a filter on a host's name: the names that calls are for, by thread and time."""


class Query:
    """Names and filters, checked and compiled by `query`; or filters on effects, by `effect_query`."""

    __slots__ = ("_first_tests", "_scope", "_steady", "_tests", "filters", "literal", "names", "patterns")

    names: frozenset[str] | None
    """The calls it asks about; None for any call, those unknown to the table included."""
    patterns: tuple[str, ...]
    """The names as the user typed them."""
    literal: tuple[str, ...]
    """Those of `patterns` that are exact names."""
    filters: tuple[Filter, ...]

    def __init__(self, scope: _Scope, patterns: tuple[str, ...], filters: tuple[Filter, ...]) -> None:
        self._scope = scope
        self.names = scope.names
        self.patterns = patterns
        self.literal = scope.literal
        self.filters = filters
        # Cheap ones first; a user's function sees only what the others let through.
        ordered = sorted(filters, key=lambda f: (callable(f.value), f.name == "where", f.name == "path"))
        self._tests = tuple(f.test for f in ordered)
        self._steady = all(f.alike for f in filters)
        self._first_tests = tuple(f.test for f in ordered if f.alike and (self._steady or not callable(f.value)))
        """Of the filters that are asked once for events that are alike."""

    @property
    def needs_hosts(self) -> bool:
        """A filter asks for a host's name: see `learn`."""
        return any(f.hosts is not None for f in self.filters)

    def learn(self, effects: Iterable[Effect]) -> None:
        """Take the names of hosts from effects on the network, for their calls."""
        for effect in effects:
            host = getattr(effect, "host", None)
            for f in self.filters:
                if f.hosts is not None and host is not None:
                    f.hosts.setdefault((effect.tid, effect.timestamp_ns), set()).add(host)

    def test(self, event: SyscallEvent | Effect) -> Verdict:
        """Whether the event matches: False wins over None (unknown), and None over True."""
        return self._verdict(event, self._tests)

    def _verdict(self, event: SyscallEvent | Effect, tests: Iterable[Callable[[Any], Verdict]]) -> Verdict:
        if self.names is not None and event.name not in self.names:
            return False
        verdict: Verdict = None if isinstance(event, Effect) and "op" in event.unread else True
        for test in tests:
            answer = test(event)
            if answer is None:
                verdict = None
            elif not answer:
                return False
        return verdict

    def select(self, events: Sequence[E]) -> tuple[Sequence[E], Sequence[E]]:
        """The events that match, and those of which it can't be told."""
        if isinstance(events, Alike):
            kinds: dict[Verdict, list[Hashable]] = {True: [], None: [], False: []}
            for kind, one in events.kinds():
                kinds[self._verdict(one, self._first_tests)].append(kind)
            if self._steady:
                return events.of(kinds[True]), events.of(kinds[None])
            events = events.of([*kinds[True], *kinds[None]])
        found: list[E] = []
        unsure: list[E] = []
        test = self.test
        for event in events:
            answer = test(event)
            if answer:
                found.append(event)
            elif answer is None:
                unsure.append(event)
        return found, unsure

    def misses(self, event: SyscallEvent | Effect) -> list[str]:
        """A note for each filter that says no."""
        return [f"{f.name}: {f.why(event)}" for f in self.filters if f.test(event) is False]

    def doubts(self, event: SyscallEvent) -> list[str]:
        """A note for each filter that can't tell."""
        return [f"{f.name}: {_doubt(f)}" for f in self.filters if f.test(event) is None]

    def unlikeness(self, event: SyscallEvent | Effect) -> float:
        """How far off the filters are that say no: 0 if none is."""
        return sum(1.0 if f.unlikeness is None else f.unlikeness(event) for f in self.filters if f.test(event) is False)

    def siblings(self) -> list[Query]:
        """The same question about the siblings of the calls named exactly, one query for each.

        A filter on an argument that the sibling hasn't got is left out; where its path or address can't
        be compared, the sibling is.
        """
        table = self._scope.table
        own = self.names or frozenset()
        names = {sibling for name in self.literal for sibling in _call(table, name).siblings} - own
        raw = {f.name: f.value for f in self.filters}
        found = []
        for name in sorted(names):
            scope = _Scope(table, frozenset({name}), (name,))
            kept = []
            for key, value in raw.items():
                try:
                    kept.append(_compile(scope, key, value))
                except (TypeError, ValueError):
                    if key in ("path", "address", "port"):
                        break
            else:
                if kept or not raw:
                    found.append(Query(scope, (name,), tuple(kept)))
        return found

    def common_class(self, names: Iterable[str]) -> str | None:
        """``%open`` if these calls and those named exactly are all in it."""
        calls = [_call(self._scope.table, name) for name in (*self.literal, *names)]
        return "'%open'" if all("open" in call.classes for call in calls) else None

    def __str__(self) -> str:
        """The arguments as the user typed them."""
        typed = [repr(pattern) for pattern in self.patterns]
        typed.extend(f"{f.name}={_typed(f.value)}" for f in self.filters)
        return ", ".join(typed)

    def __repr__(self) -> str:
        return f"<Query {self}>"


def query(table: Table, /, *names: str, **filters: Any) -> Query:
    """Check names and filters and compile them.

    Raises UnknownSyscall for a name that no call has, TypeError for an unknown filter or a value of the
    wrong type, ValueError for a value that nothing could match; each says what would be right.

    >>> str(query(syscalls.table(), "openat", path="/etc/*", ok=True))
    "'openat', path='/etc/*', ok=True"
    """
    __tracebackhide__ = True
    try:
        return _query(table, names, filters)
    except (TypeError, ValueError) as error:
        # The user's mistake: their own line is the last that the traceback shows.
        raise error.with_traceback(None) from None


def _query(table: Table, names: tuple[str, ...], filters: Mapping[str, object]) -> Query:
    # The table checks their types too. No name at all means calls that the table doesn't know as well.
    resolved = table.resolve(*names) if names else None
    literal = tuple(name for name in names if resolved is not None and name in resolved)
    scope = _Scope(table, resolved, literal)
    _reject_contradictions(filters)
    compiled = tuple(_compile(scope, name, value) for name, value in filters.items())
    return Query(scope, names, compiled)


def effect_query(table: Table, kind: Kind, /, **filters: Any) -> Query:
    """Check and compile filters on the effects of a kind.

    Raises TypeError for an unknown filter or a value of the wrong type, ValueError for a value that nothing could
    match; each says what would be right.

    >>> str(effect_query(syscalls.table(), "files", op="write", path="/etc/*"))
    "op='write', path='/etc/*'"
    """
    __tracebackhide__ = True
    try:
        _reject_contradictions(filters)
        scope = _Scope(table, calls_of(kind, table), (), kind)
        compilers = _EFFECT_COMPILERS[kind]
        for name in filters.keys() - compilers.keys():
            near = difflib.get_close_matches(name, compilers, n=1)
            hint = f": did you mean {near[0]!r}?" if near else ""
            raise TypeError(f"unknown filter {name!r}{hint} (filters of {kind}(): {', '.join(sorted(compilers))})")
        compiled = tuple(compilers[name](scope, name, value) for name, value in filters.items())
    except (TypeError, ValueError) as error:
        raise error.with_traceback(None) from None
    return Query(_Scope(table, None, ()), (), compiled)


_HOOK = "security_"
"""Begins the names of the kernel's functions that stand for a call."""


class _Scope:
    """What a query is about, while its filters are compiled."""

    def __init__(
        self, table: Table, names: frozenset[str] | None, literal: tuple[str, ...], kind: Kind | None = None
    ) -> None:
        self.table = table
        self.names = names
        self.literal = literal
        self.kind = kind
        """Of effects; None of calls."""

    @functools.cached_property
    def calls(self) -> tuple[Syscall, ...]:
        names = self.table.names if self.names is None else self.names
        return tuple(_call(self.table, name) for name in sorted(names))

    @functools.cached_property
    def described(self) -> frozenset[str]:
        """The calls whose arguments are known: of any other, an event doesn't say what it was about."""
        return frozenset(call.name for call in self.calls if not (call.args and call.args[0].name == "arg0"))

    def describes(self, event: Any) -> bool:
        """Whether the event says what it was about; an effect that a hook of the kernel told does: see hooks.py."""
        return event.name in self.described or (self.kind is not None and event.name.startswith(_HOOK))

    def require(self, filter_: str, what: str, *kinds: str) -> None:
        """Raise TypeError if none of the calls has an argument of these kinds."""
        if any(argument.kind in kinds for call in self.calls for argument in call.args):
            return
        if len(self.described) == len(self.calls) and self.calls:
            raise TypeError(f"{filter_}: {self} no {what}, so this filter could never match")

    def __str__(self) -> str:
        """The named calls and "has"."""
        names = [call.name for call in self.calls]
        shown = ", ".join(names[:_CALLS_LISTED]) + (", ..." if len(names) > _CALLS_LISTED else "")
        return f"{shown} {'has' if len(names) == 1 else 'have'}"


def _call(table: Table, name: str) -> Syscall:
    if name in table.names:
        return table.by_name(name)
    number = table.number(name)
    if number is None:
        raise KeyError(name)
    return table.by_number(number)


def _compile(scope: _Scope, name: str, value: object) -> Filter:
    compiler = _COMPILERS.get(name)
    if compiler is not None:
        return compiler(scope, name, value)
    return _argument(scope, name, value)


def _unknown_filter(scope: _Scope, name: str) -> NoReturn:
    arguments = sorted({argument.name for call in scope.calls for argument in call.args})
    near = difflib.get_close_matches(name, [*_COMPILERS, *arguments], n=1)
    text = f"unknown filter {name!r}"
    if near:
        text += f": did you mean {near[0]!r}?"
    text += f" (filters: {', '.join(sorted(_COMPILERS))}; "
    if scope.names is None or len(scope.names) > _CALLS_LISTED:
        text += "any argument of the calls by its kernel name)"
    else:
        text += f"arguments of {', '.join(sorted(scope.names))}: {', '.join(arguments) or 'none'})"
    raise TypeError(text)


_CALLS_LISTED = 8


def _reject_contradictions(filters: Mapping[str, object]) -> None:
    ok, failed, ret = filters.get("ok"), filters.get("errno"), filters.get("ret")
    port, address = filters.get("port"), filters.get("address")
    if ok is True and isinstance(failed, (str, int)):
        raise ValueError(f"ok=True and errno={failed!r} contradict each other: no call is both")
    if isinstance(ret, int) and not isinstance(ret, bool):
        error = _is_error(ret)
        if ok is True and error:
            raise ValueError(f"ok=True and ret={ret} contradict each other: {ret} is an error")
        if ok is False and not error:
            raise ValueError(f"ok=False and ret={ret} contradict each other: {ret} is no error")
        if isinstance(failed, (str, int)) and not error:
            raise ValueError(f"errno={failed!r} and ret={ret} contradict each other: {ret} is no error")
        if "errno" in filters and failed is None and error:
            raise ValueError(f"errno=None and ret={ret} contradict each other: {ret} is an error")
    if isinstance(port, int) and isinstance(address, str):
        if address == "unix" or address.startswith("unix:"):
            raise ValueError(f"address={address!r} and port={port} contradict: unix sockets have no port")
        own = split_port(address)[1]
        if own is not None and own != port:
            raise ValueError(f"address={address!r} and port={port} contradict each other")


def _doubt(filter_: Filter) -> str:
    if filter_.name == "where":
        return "the function asked for what isn't known"
    if filter_.name == "exe":
        return "the program wasn't seen"
    return "the call had not returned" if filter_.name in ("ok", "ret", "errno") else "could not be read"


# Values: what a filter accepts, and how to say that


@dataclass(frozen=True, slots=True)
class _Accept:
    """A compiled value."""

    test: Callable[[Any], bool]
    phrase: str
    """Reads after the value that isn't accepted: ``is not 3``."""
    text: str | None = None
    """An accepted value or glob, to measure likeness by."""


_GLOB = re.compile(r"[*?\[]")


def _is_glob(text: str) -> bool:
    return _GLOB.search(text) is not None


def _typed(value: object) -> str:
    """A value as the user may have typed it."""
    if isinstance(value, os.PathLike):
        return repr(os.fspath(value))
    if isinstance(value, (str, int, float, bytes, list, tuple, set, frozenset, range, re.Pattern, Process)):
        text = repr(value)
    elif isinstance(value, (Address, *_IP_TYPES)):
        text = repr(str(value))
    elif callable(value):
        text = str(getattr(value, "__qualname__", None) or repr(value)).replace("<locals>.", "")
    else:
        text = repr(value)
    return text if text.isprintable() else escape(text)


def _is_predicate(name: str, value: object) -> bool:
    """Whether a value is a function to ask; raises TypeError for callables that always say yes."""
    if not callable(value) or isinstance(value, (os.PathLike, re.Pattern)):
        return False
    if isinstance(value, type):
        raise TypeError(f"{name}: expected a value or a function, not the class {value.__name__}")
    if inspect.iscoroutinefunction(value) or inspect.isgeneratorfunction(value):
        raise TypeError(f"{name}: the function must be a plain one that returns true or false")
    return True


def _predicate(value: Callable[[Any], object]) -> _Accept:
    return _Accept(lambda found: bool(value(found)), f"does not satisfy {_typed(value)}")


def _wrong_type(name: str, expected: str, value: object) -> NoReturn:
    if isinstance(value, (bytes, bytearray)):
        raise TypeError(f"{name}: bytes never match: pass os.fsdecode({bytes(value)!r})")
    if isinstance(value, re.Pattern):
        raise TypeError(f"{name}: a bytes regex never matches: compile it from str, see os.fsdecode")
    raise TypeError(f"{name}: expected {expected}, not {type(value).__name__}")


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _text_value(name: str, value: object) -> _Accept:
    if isinstance(value, str):
        if "\0" in value:
            raise ValueError(f"{name}: {value!r} can't match: no such text holds a NUL")
        if _is_glob(value):
            match = re.compile(fnmatch.translate(value)).match
            # A file whose name has brackets is meant by its own name too.
            return _Accept(lambda t: t == value or match(t) is not None, f"is not {_typed(value)}", value)
        return _Accept(value.__eq__, f"is not {_typed(value)}", value)
    if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
        search = value.search
        return _Accept(lambda text: search(text) is not None, f"does not match {_typed(value)}")
    if isinstance(value, os.PathLike):
        path = os.fspath(value)
        if isinstance(path, str):
            if "\0" in path:
                raise ValueError(f"{name}: {path!r} can't match: no such text holds a NUL")
            return _Accept(path.__eq__, f"is not {_typed(path)}", path)
        value = path
    if _is_predicate(name, value):
        return _predicate(value)  # type: ignore[arg-type]
    _wrong_type(name, "str (exact or glob), a compiled regex, os.PathLike or a function", value)


def text_test(name: str, value: object) -> Callable[[str], bool]:
    """A test of a path or name: exact, a glob, a compiled regex, os.PathLike, or a function on it.

    Raises TypeError or ValueError for anything else; ``name`` says in the text where it stands.

    >>> text_test("path", "/etc/*")("/etc/hosts")
    True
    """
    return _text_value(name, value).test


def _int_value(name: str, value: object, expected: str = "int or a function") -> _Accept:
    if _is_int(value):
        return _Accept(value.__eq__, f"is not {_typed(value)}")
    if _is_predicate(name, value):
        return _predicate(value)  # type: ignore[arg-type]
    _wrong_type(name, expected, value)


def _unlikeness(wanted: str | None, texts: Callable[[SyscallEvent], Iterable[str]]) -> Any:
    """How unlike a wanted text an event's texts are; remembered by text."""
    if wanted is None:
        return None
    known: dict[str, float] = {}
    # The shared beginning of all paths says little: a glob's literal part and the last name say most.
    literal = _GLOB.sub("", wanted)
    last = wanted.rpartition("/")[2]

    def measure(text: str) -> float:
        ratio = known.get(text)
        if ratio is None:
            same_last = 0.5 if fnmatch.fnmatchcase(text.rpartition("/")[2], last) else 1.0
            ratio = (1 - difflib.SequenceMatcher(None, literal, text, autojunk=False).ratio()) * same_last
            known[text] = ratio
        return ratio

    # The right file with the wrong result is nearer than any other file.
    return lambda event: 1 + min(map(measure, texts(event)), default=1.0)


# Filters on the call's result


def _errnos() -> dict[str, int]:
    """Every name, the second names (EWOULDBLOCK) and the kernel's own included."""
    names = {name: number for name, number in vars(errnos).items() if re.fullmatch(r"E[A-Z0-9]+", name)}
    for number in range(1, _MAX_ERRNO):
        name = syscalls.errno_name(-number)
        if name is not None and not name.startswith("ERRNO_"):
            names[name] = number
    return names


_MAX_ERRNO = 600
_ERRNOS = _errnos()


def _is_error(ret: int) -> bool:
    """The kernel's own rule: the last page of numbers is errors (include/linux/err.h)."""
    return -4095 <= ret <= -1


def _ok(_scope: _Scope, name: str, value: object) -> Filter:
    if isinstance(value, bool):
        accept = _Accept(value.__eq__, "")
    elif _is_predicate(name, value):
        accept = _predicate(value)  # type: ignore[arg-type]
    else:
        _wrong_type(name, "True, False or a function", value)
    accepts = accept.test

    def test(event: SyscallEvent | Effect) -> Verdict:
        under_way = event.in_flight or (isinstance(event, Effect) and event.result in ("pending", "unknown"))
        return None if under_way else accepts(event.ok)

    return Filter(name, value, test, _result_text, alike=True)


def _unanswered(event: SyscallEvent | Effect) -> bool:
    """Whether the call may have a result that isn't known."""
    return event.in_flight or (isinstance(event, Effect) and event.result == "unknown")


def _result_text(event: SyscallEvent) -> str:
    if event.errno is not None:
        return f"it failed with {escape(event.errno)}"
    return "it never returned" if event.ret is None else "it succeeded"


_INTERRUPTED = frozenset({"ERESTARTNOHAND", "ERESTARTSYS", "ERESTART_RESTARTBLOCK"})
"""Results of a call that a signal broke off. Later it is made again, or the program is told EINTR."""


def _errno(_scope: _Scope, name: str, value: object) -> Filter:
    expected = "a name such as 'ENOENT', a number, None (no error) or a function"
    if value is None:
        accept = _Accept(lambda found: found is None, "is not None")
    elif isinstance(value, str) or (_is_int(value) and isinstance(value, int)):
        if value == 0:
            raise ValueError("errno: 0 is no error (write errno=None or ok=True)")
        number = _ERRNOS.get(value) if isinstance(value, str) else value
        same = frozenset(known for known, its in _ERRNOS.items() if its == number)
        if not same:
            near = difflib.get_close_matches(str(value).upper(), _ERRNOS, n=3)
            hint = f": did you mean {' or '.join(near)}?" if near else ""
            raise ValueError(f"errno: {value!r} is the name or number of no error{hint}")
        accept = _Accept(same.__contains__, f"is not {value if isinstance(value, str) else min(same)}")
    elif _is_predicate(name, value):
        accept = _predicate(value)  # type: ignore[arg-type]
    else:
        _wrong_type(name, expected, value)
    accepts = accept.test

    def test(event: SyscallEvent) -> Verdict:
        if _unanswered(event):
            return None
        return accepts(event.errno) or (None if event.errno in _INTERRUPTED and accepts("EINTR") else False)

    def why(event: SyscallEvent) -> str:
        if event.errno is None:
            return _result_text(event)
        return f"{escape(event.errno)} {accept.phrase}"

    return Filter(name, value, test, why, alike=True)


def _ret(_scope: _Scope, name: str, value: object) -> Filter:
    if isinstance(value, range):
        if not value:
            raise ValueError(f"ret: {value!r} is empty: nothing can match")
        accept = _Accept(value.__contains__, f"is not in {value!r}")
    else:
        if value == -1 and _is_int(value):
            raise ValueError(
                "ret: the kernel returns the negative error number, so -1 would mean EPERM alone "
                "(write ok=False for any error, errno='EPERM' for that one)"
            )
        accept = _int_value(name, value, "int, range or a function")
    accepts = accept.test

    def test(event: SyscallEvent) -> Verdict:
        if event.ret is None:
            return None if _unanswered(event) else False
        return accepts(event.ret) or (None if event.errno in _INTERRUPTED and accepts(-errnos.EINTR) else False)

    def why(event: SyscallEvent) -> str:
        return "it never returned" if event.ret is None else f"{event.ret} {accept.phrase}"

    return Filter(name, value, test, why)


# Filters on who made the call


def _task_id(scope: _Scope, name: str, value: object) -> Filter:
    for call in scope.literal:
        if _call(scope.table, call).argument(name) is not None:
            raise TypeError(
                f"{name}: ambiguous for {call}, which has an argument of that name (write "
                f"where=lambda event: event.args[{name!r}] == ..., or event.{name} == ... for the caller)"
            )
    if isinstance(value, int) and _is_int(value) and value <= 0:
        raise ValueError(f"{name}: {value} is nobody's: ids are positive")
    accept = _int_value(name, value)
    accepts = accept.test

    def is_process(event: SyscallEvent | Effect) -> Verdict:
        # In a PID namespace, as in a container, what the test knows is the process's own number.
        own = event.process.ns_pid
        return accepts(event.pid) or (own is not None and accepts(own))

    def is_thread(event: SyscallEvent | Effect) -> Verdict:
        own = event.process.ns_pid
        return accepts(event.tid) or (False if own in (None, event.process.pid) else None)

    if name == "pid":
        return Filter(name, value, is_process, lambda event: f"{event.pid} {accept.phrase}", alike=True)
    return Filter(name, value, is_thread, lambda event: f"{event.tid} {accept.phrase}", alike=True)


def _comm(_scope: _Scope, name: str, value: object) -> Filter:
    accept = _text_value(name, value)
    if isinstance(value, str) and not _is_glob(value) and len(os.fsencode(value)) > 15:
        short = os.fsdecode(os.fsencode(value)[:15])
        raise ValueError(f"comm: the kernel keeps 15 bytes of a name: {value!r} would be {short!r}")
    accepts = accept.test
    return Filter(
        name,
        value,
        lambda event: accepts(event.comm),
        lambda event: f"{_quote(event.comm)} {accept.phrase}",
        _unlikeness(accept.text, lambda event: (event.comm,)),
        alike=True,
    )


def _exe(_scope: _Scope, name: str, value: object) -> Filter:
    accept = _text_value(name, value)
    accepts = accept.test
    # A program's bare name means its file name, wherever it lies.
    bare = accept.text is not None and "/" not in accept.text

    def test(event: SyscallEvent) -> Verdict:
        exe = event.process.exe
        if exe is None:
            return None
        return accepts(exe) or (bare and accepts(exe.rpartition("/")[2]))

    return Filter(
        name,
        value,
        test,
        lambda event: f"{_quote(event.process.exe or '?')} {accept.phrase}",
        _unlikeness(accept.text, lambda event: (event.process.exe or "",)),
        alike=True,
    )


def _process(_scope: _Scope, name: str, value: object) -> Filter:
    if isinstance(value, str):
        if value == "self":
            return Filter(name, value, lambda event: event.process.is_self, lambda event: "it was a child", alike=True)
        if value == "children":
            return Filter(
                name, value, lambda event: not event.process.is_self, lambda event: "it was pytest itself", alike=True
            )
        near = difflib.get_close_matches(value, ("self", "children"), n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}?" if near else "for a program's name use comm or exe"
        raise ValueError(f"process: {value!r} is neither 'self' nor 'children' ({hint})")
    if isinstance(value, Process):
        accept = _Accept(value.__eq__, f"is not {escape(value.comm)}[{value.pid}]")
    elif _is_predicate(name, value):
        accept = _predicate(value)  # type: ignore[arg-type]
    else:
        _wrong_type(name, "'self', 'children', a Process or a function on one", value)
    accepts = accept.test

    def why(event: SyscallEvent) -> str:
        return f"{escape(event.process.comm)}[{event.process.pid}] {accept.phrase}"

    return Filter(name, value, lambda event: accepts(event.process), why, alike=True)


# Filters on what the call was about


def _where(_scope: _Scope, name: str, value: object) -> Filter:
    if not _is_predicate(name, value):
        _wrong_type(name, "a function on the event", value)
    function: Callable[[SyscallEvent | Effect], object] = value  # type: ignore[assignment]

    def test(event: SyscallEvent | Effect) -> Verdict:
        call = event.call if isinstance(event, Effect) else event
        unknown = event.unread or call.unread or _unanswered(event)
        if not unknown and event.process.exe is not None:
            return bool(function(event))
        partial = _PartialEvent.of(call)
        if isinstance(event, Effect):
            partial = _PartialEffect(event, partial)  # type: ignore[assignment]
        try:
            answer = bool(function(partial))
        except Exception:
            # What it did with an unknown value, None, isn't the user's mistake.
            if partial.asked_unknown:
                return None
            raise
        return None if partial.asked_unknown else answer

    return Filter(name, value, test, lambda event: f"the event does not satisfy {_typed(value)}")


class _PartialEvent(SyscallEvent):
    """Stands for an event of which something is unknown, and notes whether that was asked for.

    So a user's function that didn't look at the unknown part has decided, and any other hasn't.
    """

    __slots__ = ("_event", "_notes", "_unknown")

    @classmethod
    def of(cls, event: SyscallEvent) -> _PartialEvent:
        self = cls(**{field.name: getattr(event, field.name) for field in fields(SyscallEvent)})
        notes: list[str] = []
        unknown = set()
        if event.in_flight:
            unknown |= {"ret", "errno", "duration_ns"}
        if "path" in event.unread:
            unknown |= {"path", "abspath", "realpath", "paths"}
        if not event.unread.isdisjoint({"abspath", "realpath"}):
            unknown |= event.unread & {"abspath", "realpath"} | {"paths"}
        if "address" in event.unread:
            unknown.add("address")
        if event.process.exe is None:
            unknown.add("exe")
        if unknown - {"exe"} or event.unread:
            unknown.add("text")
        put = object.__setattr__
        put(self, "args", _PartialArguments(event, notes))
        put(self, "_event", event)
        put(self, "_notes", notes)
        put(self, "_unknown", unknown)
        return self

    @property
    def asked_unknown(self) -> bool:
        return bool(object.__getattribute__(self, "_notes"))

    def __getattribute__(self, name: str) -> Any:
        get = object.__getattribute__
        if not name.startswith("_") and name in get(self, "_unknown"):
            get(self, "_notes").append(name)
        return get(self, name)

    def __eq__(self, other: object) -> bool:
        get = object.__getattribute__
        get(self, "_notes").append("==")
        return bool(get(self, "_event") == other)

    __hash__ = None  # type: ignore[assignment]


class _PartialEffect:
    """Stands for an effect of such an event."""

    def __init__(self, effect: Effect, call: _PartialEvent) -> None:
        self._effect = effect
        self._unknown = set(effect.unread)
        if "path" in effect.unread or "abspath" in effect.unread or "realpath" in effect.unread:
            self._unknown |= {"path", "paths", "kind", "file"}
        if "address" in effect.unread:
            self._unknown |= {"port", "path", "family"}
        if _unanswered(effect):
            self._unknown |= {"ret", "errno", "duration_ns", "ok", "result"}
        if effect.process.exe is None:
            self._unknown.add("exe")
        self._noted: list[str] = []
        self.call = call

    @property
    def asked_unknown(self) -> bool:
        return bool(self._noted) or self.call.asked_unknown

    def __getattr__(self, name: str) -> Any:
        if name in self._unknown:
            self._noted.append(name)
        return self.call.args if name == "args" else getattr(self._effect, name)

    def __str__(self) -> str:
        return str(self.call)


class _PartialArguments(Mapping[str, Any]):
    """The arguments of such an event."""

    def __init__(self, event: SyscallEvent, notes: list[str]) -> None:
        self._event = event
        self._notes = notes

    def __getitem__(self, key: str) -> Any:
        value = self._event.args[key]
        if key in self._event.unread or (value is None and self._event.unread):
            self._notes.append(key)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._event.args)

    def __len__(self) -> int:
        return len(self._event.args)

    def __repr__(self) -> str:
        self._notes.extend(self._event.unread)
        return repr(self._event.args)


def _as_spelt(value: object, accepts: Callable[[str], bool]) -> Callable[[str], bool]:
    """The same, also of an absolute path without needless slashes and dots: but as passed, none has such."""
    is_literal = isinstance(value, os.PathLike)
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(text, str) or not text.startswith("/"):
        return accepts
    tidy = normal(text)
    if tidy == text or (not is_literal and _is_glob(text) and ".." in text.split("/")):
        return accepts
    short = tidy.__eq__ if is_literal else _text_value("path", tidy).test
    return lambda found: accepts(found) or short(found)


_PATH_PARTS = frozenset({"path", "abspath", "realpath"})


_HOME = re.compile(r"~[\w.-]*/")
"""What a shell takes for somebody's home folder."""


def _path(scope: _Scope, name: str, value: object) -> Filter:
    if isinstance(value, (str, os.PathLike)) and _HOME.match(os.fsdecode(value)):
        raise ValueError(
            f"{name}: {_typed(value)} can't match: the kernel knows no ~ "
            f"(write os.path.expanduser({_typed(value)}), or {{home}} in a rule)"
        )
    accept = _text_value(name, value)
    scope.require(name, "path and no descriptor", "path", "fd")
    accepts = _as_spelt(value, accept.test)

    def test(event: SyscallEvent) -> Verdict:
        for spelling in event.paths:
            if accepts(spelling):
                return True
        if event.unread and not _PATH_PARTS.isdisjoint(event.unread):
            return None
        return False if scope.describes(event) else None

    def why(event: Any) -> str:
        shown = _path_of(event)
        if shown is None:
            return "the call was given none"
        if isinstance(event, Effect):
            return f"{_quote(shown)} {accept.phrase}"
        # Of a call with two paths, such as rename, the second one too.
        others = [p for p in event.paths if p not in (event.realpath, event.abspath, event.path)]
        return " and ".join(f"{_quote(path)} {accept.phrase}" for path in (shown, *others[-1:]))

    unlikeness = _unlikeness(accept.text, lambda event: event.paths)
    return Filter(name, value, test, why, unlikeness, accepts, alike=True)


_AT_FDCWD = -100


def _fd(scope: _Scope, name: str, value: object) -> Filter:
    """On the call's arguments, directory descriptors too, never on its result."""
    if value == "AT_FDCWD":
        accept = _Accept(_AT_FDCWD.__eq__, "is not AT_FDCWD")
    else:
        accept = _int_value(name, value, "int, 'AT_FDCWD' or a function")
    parts = [
        _Part(call, argument, accept)
        for call in scope.calls
        for argument in call.args
        if argument.kind in ("fd", "dirfd") or argument.name == "fd"  # close_range's is a plain number
    ]
    if not parts:
        scope.require(name, "argument that is a descriptor (for a returned one use ret)")
    return _on_arguments(scope, name, value, parts)


def _flags(scope: _Scope, name: str, value: object) -> Filter:
    """On the argument of the call that has such flags."""
    if not isinstance(value, str):
        _mask_value(name, value)
    parts: list[_Part] = []
    problems: list[ValueError] = []
    for call in scope.calls:
        try:
            parts.extend(_flags_parts(scope, call, name, value))
        except ValueError as problem:
            problems.append(problem)
    if not parts:
        scope.require(name, "argument that holds flags", "flags", "enum", "mode", *_STRUCTS)
        if problems:
            raise max(problems, key=lambda problem: _nearness(str(value), str(problem)))
    return _on_arguments(scope, name, value, parts)


def _nearness(value: str, problem: str) -> float:
    """How near a suggestion in an error text is to the value."""
    suggestions = re.findall(r"[A-Z][A-Z0-9_]+", problem.partition("did you mean")[2])
    return max((difflib.SequenceMatcher(None, value, each).ratio() for each in suggestions), default=0.0)


def _flags_parts(scope: _Scope, call: Syscall, name: str, value: object) -> list[_Part]:
    arch = scope.table.arch
    if isinstance(value, str):
        if call.name == "creat":
            syscalls.flags_value("open", value, arch)
            return [_Part(call, _CREAT_FLAGS, _constants_value(_CREAT_FLAGS, value, arch))]
        argument, _ = syscalls.find_flags(value, call, arch)
        return [_Part(call, argument, _constants_value(argument, value, arch))]
    accept = _mask_value(name, value)
    if call.name == "creat":
        return [_Part(call, _CREAT_FLAGS, accept)]
    found = [argument for argument in call.args if argument.kind == "flags" or argument.kind in _STRUCTS]
    named = [argument for argument in found if argument.name in ("flags", "flag")]
    return [_Part(call, argument, accept) for argument in named or found]


_STRUCTS = ("open_how", "clone_args")
"""Kinds of argument that point to a structure with a member ``flags``."""
_CREAT_FLAGS = Argument("flags", "flags", "open")
"""``creat`` has none, and is by definition ``open`` with O_WRONLY|O_CREAT|O_TRUNC."""
_CREAT_VALUE = 0o1101
_HOW_MODE = Argument("mode", "mode", "mode")
"""Of ``openat2`` it is a member of a structure."""
_MAKING = os.O_CREAT | (os.O_TMPFILE & ~os.O_DIRECTORY)


def _constants_value(argument: Argument, value: str, arch: str) -> _Accept:
    """All of some named flags, or one named constant. Raises ValueError for an unknown name."""
    constants = argument.constants
    number = syscalls.flags_value(constants, value, arch)
    if argument.kind == "mode":
        return _Accept(number.__eq__, f"is not {_typed(value)}")
    _reject_contradiction(constants, argument.name, value, number, arch)
    known: dict[int, bool] = {}

    def test(found: int) -> bool:
        answer = known.get(found)
        if answer is None:
            answer = known[found] = syscalls.has_flags(constants, found, value, arch)
        return answer

    many = argument.kind == "flags" or argument.kind in _STRUCTS
    verb = "is not" if not many else "lacks some of" if "|" in value else "lacks"
    return _Accept(test, f"{verb} {escape(value)}")


def _reject_contradiction(constants: str, name: str, value: str, number: int, arch: str) -> None:
    if not syscalls.has_flags(constants, number, value, arch):
        raise ValueError(f"{name}: {value!r} can't match: no value has all of these (ask for one at a time)")


def _mask_value(name: str, value: object) -> _Accept:
    if isinstance(value, int) and _is_int(value):
        mask = value
        if not mask:
            raise ValueError(
                f"{name}: 0 is in every value "
                f"(write the constant's name, such as {name}='O_RDONLY', or {name}='0' for none at all)"
            )
        return _Accept(lambda found: found & mask == mask, f"lacks some of {mask:#x}")
    return _int_value(name, value, "flags such as 'O_WRONLY|O_CREAT', int or a function")


def _argument(scope: _Scope, name: str, value: object) -> Filter:
    """On the argument of that name, as the program passed it."""
    parts = []
    problem: Exception | None = None
    exists = False
    for call in scope.calls:
        if name == "mode" and (how := call.argument("how")) is not None:
            exists = True
            parts.append(_Part(call, how, _argument_value(scope, _HOW_MODE, value), name))
        for shape in call.shapes(name):
            exists = True
            try:
                parts.append(_Part(call, shape, _argument_value(scope, shape, value)))
            except (TypeError, ValueError) as error:
                problem = problem or error
            else:
                if not isinstance(value, str):
                    break
    if not exists and scope.calls:
        _unknown_filter(scope, name)
    if not parts and problem is not None:
        raise problem
    text = value if isinstance(value, str) else None
    return _on_arguments(scope, name, value, parts, text)


def _argument_value(scope: _Scope, argument: Argument, value: object) -> _Accept:
    name, kind = argument.name, argument.kind
    if _is_predicate(name, value):
        return _predicate(value)  # type: ignore[arg-type]
    if kind in _TEXTS:
        return _text_value(name, value)
    if kind in _LISTS:
        if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
            _wrong_type(name, "a list of str or a function", value)
        return _Accept(tuple(value).__eq__, f"is not {_typed(value)}")
    if kind in _ADDRESSES:
        accepts = address_test(name, value)
        return _Accept(lambda found: accepts(found, ""), f"is not {_typed(value)}")
    if isinstance(value, str):
        if not argument.constants:
            raise TypeError(f"{name}: expected int or a function, not str: it is a {syscalls.KINDS[kind]}")
        return _constants_value(argument, value, scope.table.arch)
    if kind == "flags" or kind in _STRUCTS:
        return _mask_value(name, value)
    return _int_value(name, value)


_TEXTS = ("path", "string")
_LISTS = ("argv", "envp")
_ADDRESSES = ("sockaddr", "sockaddr_out")
_BEHIND_POINTERS: Mapping[str, type] = {
    **dict.fromkeys(_TEXTS, str),
    **dict.fromkeys(_LISTS, tuple),
    **dict.fromkeys(_ADDRESSES, Address),
    **dict.fromkeys(_STRUCTS, Mapping),
}
"""For arguments that are pointers: what an event has in their place once it was read."""


@dataclass(frozen=True, slots=True)
class _Part:
    """What one argument of one call has to be."""

    call: Syscall
    argument: Argument
    accept: _Accept
    member: str = "flags"
    """Of a structure, what is asked for."""

    @property
    def is_deciding(self) -> bool:
        """Whether calls that are alike have the same value there, and mean the same by it."""
        plain = not self.argument.when and len(self.call.shapes(self.argument.name)) == 1
        return plain and self.argument.kind in DECIDING

    def compiled(self, arch: str) -> Callable[[SyscallEvent], Verdict]:
        call, argument, accepts = self.call, self.argument, self.accept.test
        key = argument.name
        if argument is _CREAT_FLAGS:
            implied = accepts(_CREAT_VALUE)
            return lambda event: implied
        expected = _BEHIND_POINTERS.get(argument.kind)
        # There, or of this kind, only for some values of the others.
        conditional = bool(argument.when) or len(call.shapes(key)) > 1

        def test(event: SyscallEvent) -> Verdict:
            found = event.args.get(key, _MISSING)
            if found is _MISSING or key in event.unread:
                return None
            if conditional and call.applied(event.args, arch).argument(key) != argument:
                return False
            if expected is None:
                return accepts(found)
            if isinstance(found, Mapping):
                return self._is_there(found) and accepts(found.get(self.member, 0))
            if isinstance(found, expected):
                return accepts(found)
            # Still the pointer: NULL, or to what neither we nor the kernel could read, or unread.
            return None if found and event.errno != "EFAULT" else False

        return test

    def _is_there(self, struct: Mapping[str, int]) -> bool:
        """Whether the member means something: a mode does if a file is made."""
        return self.member == "flags" or "mode" in struct or bool(struct.get("flags", 0) & _MAKING)

    def why(self, filter_: str, event: SyscallEvent, arch: str) -> str:
        argument = self.argument
        found = _CREAT_VALUE if argument is _CREAT_FLAGS else event.args.get(argument.name)
        if isinstance(found, Mapping) and argument.kind in _STRUCTS:
            found = found.get(self.member, 0)
        constants = argument.constants if self.member == "flags" else self.member
        if isinstance(found, int) and constants:
            shown = syscalls.flag_names(constants, found, arch)
        elif isinstance(found, str):
            shown = _quote(found)
        elif isinstance(found, Address):
            shown = escape(str(found))
        else:
            shown = escape(repr(found))
        prefix = "" if filter_ in (argument.name, "flags", self.member) else f"{argument.name} "
        return f"{prefix}{shown} {self.accept.phrase}"


_MISSING: Any = object()


def _on_arguments(scope: _Scope, name: str, value: object, parts: Sequence[_Part], text: str | None = None) -> Filter:
    """A filter that any one of the parts of the event's call satisfies."""
    arch = scope.table.arch
    described = scope.described
    tests: dict[str, list[Callable[[SyscallEvent], Verdict]]] = {}
    for part in parts:
        tests.setdefault(part.call.name, []).append(part.compiled(arch))

    def test(event: SyscallEvent) -> Verdict:
        wanted = tests.get(event.name)
        if wanted is None:
            return False if event.name in described else None
        verdict: Verdict = False
        for each in wanted:
            answer = each(event)
            if answer:
                return True
            if answer is None:
                verdict = None
        return verdict

    def why(event: SyscallEvent) -> str:
        notes = [part.why(name, event, arch) for part in parts if part.call.name == event.name]
        return " and ".join(dict.fromkeys(notes)) or f"{escape(event.name)} has none"

    def texts(event: SyscallEvent) -> Iterable[str]:
        found = [event.args.get(part.argument.name) for part in parts if part.call.name == event.name]
        return [item for item in found if isinstance(item, str)]

    alike = all(part.is_deciding for part in parts)
    return Filter(name, value, test, why, _unlikeness(text, texts), alike=alike)


# Addresses


_ADDRESSED = (*_ADDRESSES, "msghdr", "msghdr_out", "mmsghdr", "mmsghdr_out", "fd")
_IP_TYPES = (ipaddress.IPv4Address, ipaddress.IPv6Address, ipaddress.IPv4Network, ipaddress.IPv6Network)
_IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
_IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
_ADDRESS_CLASSES = ("loopback", "private", "public", "unix")
_SPELLINGS = (
    "valid are an IP address, IP:port, [IPv6]:port, a network such as 10.0.0.0/8, unix:/path, "
    "unix:@abstract, a host name, and the classes loopback, private, public, unix"
)
# Fixed here: what ipaddress calls private differs between Python's versions.
_PRIVATE = tuple(
    ipaddress.ip_network(text)
    for text in (
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT
        "169.254.0.0/16",  # link-local
        "172.16.0.0/12",
        "192.168.0.0/16",
        "224.0.0.0/24",  # multicast that stays on the link
        "239.0.0.0/8",  # multicast of administrative scope
        "255.255.255.255/32",
        "fc00::/7",
        "fe80::/10",
        "ff01::/16",
        "ff02::/16",
        "ff05::/16",
    )
)


def address_class(address: Address, call: str) -> str | None:
    """One of the four classes, None for other families (netlink, packet, none at all).

    It is that of the address as the call, or the op of an effect, uses it: all addresses of this host are
    ``"public"`` to bind.

    >>> address_class(Address("AF_INET", "0.0.0.0", 80), "bind")
    'public'
    """
    if address.family == "AF_UNIX" or address.path is not None:
        return "unix"
    ip = _ip(address.host)
    if ip is None:
        return None
    if ip.is_unspecified:
        # Connecting to it reaches this host; binding to it opens the port to everybody.
        return "public" if call in ("bind", "listen", "IORING_OP_BIND") else "loopback"
    if ip.is_loopback:
        return "loopback"
    return "private" if any(ip in network for network in _PRIVATE) else "public"


def is_host_name(text: str) -> bool:
    """Whether a text is the name of a host, perhaps with a port, and no address or misspelt class.

    >>> is_host_name("example.org:443"), is_host_name("10.0.0"), is_host_name("publik")
    (True, False, False)
    """
    host, port = split_port(text)
    if len(host) > 253 or not _HOST.fullmatch(host) or (port is not None and port > 65535):
        return False
    return "." in host or not difflib.get_close_matches(host, _ADDRESS_CLASSES, n=1)


_HOST = re.compile(
    r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*(?=[A-Za-z0-9-]*[A-Za-z])[A-Za-z0-9-]{1,63}\.?"
)


def split_port(text: str) -> tuple[str, int | None]:
    """Host and port of ``host``, ``host:port``, ``[v6]`` and ``[v6]:port``.

    >>> split_port("[::1]:80")
    ('::1', 80)
    """
    bracketed = re.fullmatch(r"\[([^\]]*)\](?::(\d{1,5}))?", text)
    if bracketed:
        return bracketed[1], None if bracketed[2] is None else int(bracketed[2])
    host, colon, port = text.rpartition(":")
    if colon and ":" not in host and re.fullmatch(r"\d{1,5}", port):
        return host, int(port)
    return text, None


def address_test(name: str, value: object) -> Callable[[Address, str], bool]:
    """A test of an address, and of the call it was given to; of host names it knows none.

    Raises TypeError or ValueError for a value that no address has. ``name`` says in the text where it stands.

    >>> address_test("address", "10.0.0.0/8")(Address("AF_INET", "10.1.2.3", 80), "connect")
    True
    """
    if isinstance(value, _IP_TYPES):
        value = str(value)
    if isinstance(value, Address):
        return lambda address, call: address == value
    if _is_predicate(name, value):
        function: Callable[[Address], object] = value  # type: ignore[assignment]
        return lambda address, call: bool(function(address))
    if not isinstance(value, str):
        _wrong_type(name, "str, an ipaddress object, an Address or a function on one", value)
    if value in _ADDRESS_CLASSES:
        return lambda address, call: address_class(address, call) == value
    if value.startswith("unix:"):
        if value == "unix:":
            raise ValueError(f"{name}: 'unix:' lacks a path (write 'unix' for any unix socket)")
        accepts = _text_value(name, value.removeprefix("unix:")).test
        return lambda address, call: any(path is not None and accepts(path) for path in (address.path, address.abspath))
    if "/" in value:
        network = _network(name, value)
        return lambda address, call: (ip := _ip(address.host)) is not None and ip in network
    host, port = split_port(value)
    ip = None if "%" in host else _ip(host)
    if ip is None:
        near = difflib.get_close_matches(value, _ADDRESS_CLASSES, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(f"{name}: {value!r} is no address: {hint}{_SPELLINGS}")
    if port is not None and port > 65535:
        raise ValueError(f"{name}: {value!r}: the highest port is 65535")
    return lambda address, call: (port is None or address.port == port) and _ip(address.host) == ip


def ip_network(value: str) -> _IPNetwork:
    """The network, of IPv4 also where it is mapped into IPv6, as its addresses are. Raises ValueError.

    >>> ip_network("::ffff:10.0.0.0/104")
    IPv4Network('10.0.0.0/8')
    """
    found = ipaddress.ip_network(value)
    mapped = getattr(found.network_address, "ipv4_mapped", None)
    return found if mapped is None or found.prefixlen < 96 else ipaddress.ip_network((mapped, found.prefixlen - 96))


def _network(name: str, value: str) -> _IPNetwork:
    try:
        return ip_network(value)
    except ValueError as error:
        try:
            meant = ipaddress.ip_network(value, strict=False)
        except ValueError:
            raise ValueError(f"{name}: {value!r} is no address: {_SPELLINGS}") from None
        raise ValueError(f"{name}: {error} (did you mean '{meant}'?)") from None


def _addresses_of(event: SyscallEvent | Effect) -> tuple[Address, ...]:
    """All addresses of a call, as of a sendmmsg."""
    address = getattr(event, "address", None)
    return getattr(event, "addresses", ()) or (() if address is None else (address,))


def _address(scope: _Scope, name: str, value: object) -> Filter:
    scope.require(name, "socket address", *_ADDRESSED)
    if isinstance(value, str) and value not in _ADDRESS_CLASSES and is_host_name(value):
        return _host(scope, name, value)
    accepts = address_test(name, value)

    def test(event: SyscallEvent) -> Verdict:
        for address in _addresses_of(event):
            if accepts(address, getattr(event, "op", event.name)):
                return True
        return None if "address" in event.unread or not scope.describes(event) else False

    if isinstance(value, str) and value in _ADDRESS_CLASSES:
        phrase = f"is not {value}"
    elif callable(value) and not isinstance(value, Address):
        phrase = f"does not satisfy {_typed(value)}"
    else:
        phrase = f"is not {_typed(value)}"

    def why(event: SyscallEvent) -> str:
        if event.address is None:
            return "the call was given none"
        return f"{escape(str(event.address))} {phrase}"

    return Filter(name, value, test, why, alike=True)


def _host(scope: _Scope, name: str, value: str) -> Filter:
    """On the name of the other end: of an effect its host, of a call that which `Query.learn` was told."""
    wanted, port = split_port(value)
    wanted = wanted.rstrip(".").lower()
    hosts: dict[tuple[int, int], set[str]] = {}

    def test(event: SyscallEvent | Effect) -> Verdict:
        addresses = _addresses_of(event)
        if isinstance(event, Effect):
            known = {host} if (host := getattr(event, "host", None)) is not None else set()
        else:
            known = hosts.get((event.tid, event.timestamp_ns), set())
        if wanted == "localhost":
            found = any(address_class(each, getattr(event, "op", event.name)) == "loopback" for each in addresses)
        else:
            found = wanted in known
        if found and (port is None or any(each.port == port for each in addresses)):
            return True
        if "address" in event.unread or "host" in event.unread or not scope.describes(event):
            return None
        # A name that DNS didn't tell in this recording may come from elsewhere.
        unnamed = not known and wanted != "localhost" and any(each.ip is not None for each in addresses)
        return None if unnamed and (port is None or any(each.port == port for each in addresses)) else False

    def why(event: Any) -> str:
        return f"{_quote(str(getattr(event, 'host', None) or event.address))} is not {_typed(value)}"

    return Filter(name, value, test, why, hosts=hosts)


def _port(scope: _Scope, name: str, value: object) -> Filter:
    scope.require(name, "socket address", *_ADDRESSED)
    if isinstance(value, int) and not isinstance(value, bool) and not 0 <= value <= 65535:
        raise ValueError(f"port: {value} is none: ports are 0 to 65535")
    accept = _int_value(name, value)
    accepts = accept.test

    def test(event: SyscallEvent) -> Verdict:
        for address in _addresses_of(event):
            if address.port is not None and accepts(address.port):
                return True
        return None if "address" in event.unread or not scope.describes(event) else False

    def why(event: SyscallEvent) -> str:
        if event.address is None or event.address.port is None:
            return "the call was given none"
        return f"{event.address.port} {accept.phrase}"

    return Filter(name, value, test, why, alike=True)


def _nbytes(scope: _Scope, name: str, value: object) -> Filter:
    """On the number of bytes that a call moved."""
    if scope.calls and not any(_moves_bytes(call.name) for call in scope.calls):
        if any(call.argument(name) for call in scope.calls):  # sync_file_range's own
            return _argument(scope, name, value)
        raise TypeError(f"{name}: {scope} no result in bytes, so this filter could never match")
    accept = _number_value(scope, name, value)
    accepts = accept.test
    described = scope.described

    def test(event: SyscallEvent) -> Verdict:
        if (syscalls.ring_model(event.name) or event.name) in _COUNTS_MESSAGES:
            return False if event.ret is not None and event.ret <= 0 else None
        if not _moves_bytes(event.name):
            return False if event.name in described else None
        if _unanswered(event) or syscalls.ring_model(event.name):
            return None
        return event.ret is not None and event.ret >= 0 and accepts(event.ret)

    def why(event: SyscallEvent) -> str:
        return f"{event.ret} {accept.phrase}" if event.ret is not None and event.ret >= 0 else _result_text(event)

    return Filter(name, value, test, why)


def _moves_bytes(name: str) -> bool:
    return (syscalls.ring_model(name) or name) in _MOVES_BYTES


_COMPILERS: Mapping[str, Callable[[_Scope, str, object], Filter]] = {
    "address": _address,
    "comm": _comm,
    "errno": _errno,
    "exe": _exe,
    "fd": _fd,
    "flags": _flags,
    "nbytes": _nbytes,
    "ok": _ok,
    "path": _path,
    "pid": _task_id,
    "port": _port,
    "process": _process,
    "ret": _ret,
    "tid": _task_id,
    "where": _where,
}


# Filters on effects


def _on_call(compiler: Callable[[_Scope, str, object], Filter]) -> Callable[[_Scope, str, object], Filter]:
    """The same filter, asked of the effect's call."""

    def compiled(scope: _Scope, name: str, value: object) -> Filter:
        inner = compiler(scope, name, value)
        test, why = inner.test, inner.why
        return Filter(name, value, lambda e: test(e.call), lambda e: why(e.call), alike=inner.alike)

    return compiled


def _on_field(
    accepting: Callable[[_Scope, str, object], _Accept], *, alike: bool = False
) -> Callable[[_Scope, str, object], Filter]:
    """A filter on the field of the effect that has the filter's name. None means that there is none."""

    def compiled(scope: _Scope, name: str, value: object) -> Filter:
        nothing = _Accept(lambda found: found is None, "is not None")
        accept = nothing if value is None else accepting(scope, name, value)
        accepts = accept.test

        def test(event: Effect) -> Verdict:
            if name in event.unread:
                return None
            found = getattr(event, name)
            return found is None if value is None else found is not None and accepts(found)

        def why(event: Effect) -> str:
            found = getattr(event, name)
            return "it has none" if found is None else f"{_typed(found)} {accept.phrase}"

        return Filter(name, value, test, why, alike=alike)

    return compiled


def _op(scope: _Scope, name: str, value: object) -> Filter:
    assert scope.kind is not None
    valid = OPS[scope.kind]
    if _is_predicate(name, value):
        accept = _predicate(value)  # type: ignore[arg-type]
    else:
        wanted = [value] if isinstance(value, str) else value
        if not isinstance(wanted, (list, tuple, set, frozenset)) or not all(isinstance(op, str) for op in wanted):
            _wrong_type(name, "str, a collection of str or a function", value)
        if not wanted:
            raise ValueError("op: an empty collection: nothing can match")
        for op in wanted:
            if op not in valid:
                near = _MEANT.get(op) or " or ".join(map(repr, difflib.get_close_matches(op, valid, n=2)))
                hint = f" (did you mean {near}?)" if near else ""
                raise ValueError(f"op: {scope.kind}() have no {op!r}{hint}: valid are {', '.join(valid)}")
        accept = _Accept(frozenset(wanted).__contains__, f"is not {_typed(value)}")
    accepts = accept.test
    return Filter(
        name,
        value,
        lambda event: accepts(event.op),
        lambda event: f"{_typed(event.op)} {accept.phrase}",
        alike=True,
    )


_MEANT = {
    "append": "'write'",
    "chmod": "'metadata'",
    "chown": "'metadata'",
    "clone": "'fork'",
    "copy": "'read' and 'write'",
    "delete": "'remove'",
    "execve": "'exec'",
    "fsync": "'sync'",
    "kill": "'signal'",
    "mkdir": "'create'",
    "mmap": "'map'",
    "recv": "'receive'",
    "rename": "'remove' of the old name and 'create' of the new one",
    "rmdir": "'remove'",
    "sendto": "'send'",
    "spawn": "'fork' or 'exec'",
    "stat": "'probe'",
    "symlink": "'create'",
    "unlink": "'remove'",
    "utime": "'metadata'",
    "xattr": "'metadata'",
}
"""What those want who ask for a call."""


def _number_value(_scope: _Scope, name: str, value: object) -> _Accept:
    if isinstance(value, range):
        if not value:
            raise ValueError(f"{name}: {value!r} is empty: nothing can match")
        return _Accept(value.__contains__, f"is not in {value!r}")
    if isinstance(value, int) and _is_int(value) and value < 0:
        raise ValueError(f"{name}: {value}: must not be negative")
    return _int_value(name, value, "int, range or a function")


def _exit_code_value(scope: _Scope, name: str, value: object) -> _Accept:
    if isinstance(value, int) and _is_int(value) and not 0 <= value <= 255:
        raise ValueError(f"exit_code: {value} is none: codes are 0 to 255 (of an end by signal, ask for signal)")
    return _number_value(scope, name, value)


def _signal_value(scope: _Scope, name: str, value: object) -> _Accept:
    if isinstance(value, str):
        number = _one_of("signal", name, value, scope.table.arch)
    elif isinstance(value, int) and _is_int(value):
        number = int(value)
    elif _is_predicate(name, value):
        return _predicate(value)  # type: ignore[arg-type]
    else:
        _wrong_type(name, "a name such as 'SIGTERM', a number or a function", value)
    if not 0 < number <= 64:
        raise ValueError(f"signal: {value!r} is none: they are 1 to 64")
    return _Accept(syscalls.flag_names("signal", number, scope.table.arch).__eq__, f"is not {_typed(value)}")


def _one_of(constants: str, name: str, value: str, arch: str) -> int:
    """The number of a constant. Raises ValueError for an unknown name, and for several."""
    number = syscalls.flags_value(constants, value, arch)
    _reject_contradiction(constants, name, value, number, arch)
    return number


def _argv_value(_scope: _Scope, name: str, value: object) -> _Accept:
    if _is_predicate(name, value):
        return _predicate(value)  # type: ignore[arg-type]
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
        _wrong_type(name, "a list of str or a function", value)
    return _Accept(tuple(value).__eq__, f"is not {_typed(value)}")


def _plain_text(_scope: _Scope, name: str, value: object) -> _Accept:
    return _text_value(name, value)


def _host_value(_scope: _Scope, name: str, value: object) -> _Accept:
    """Names of hosts have no case, and end with or without a dot."""
    return _text_value(name, value.rstrip(".").lower() if isinstance(value, str) else value)


def _family_value(scope: _Scope, name: str, value: object) -> _Accept:
    if not isinstance(value, str):
        return _text_value(name, value)
    known = syscalls.flag_names("domain", _one_of("domain", name, value, scope.table.arch), scope.table.arch)
    return _Accept(known.__eq__, f"is not {_typed(value)}")


def _program(_scope: _Scope, name: str, value: object) -> Filter:
    """On the program of a process event: by any spelling of its path, or its bare name."""
    accept = _text_value(name, value)
    accepts = accept.test
    bare = accept.text is not None and "/" not in accept.text

    def test(event: Any) -> Verdict:
        spellings = dict.fromkeys(each for each in (event.exe, *event.paths) if each is not None)
        if any(accepts(each) or (bare and accepts(each.rpartition("/")[2])) for each in spellings):
            return True
        return None if not spellings or "exe" in event.unread else False

    return Filter(name, value, test, lambda event: f"{_quote(event.exe or '?')} {accept.phrase}")


_COMMON: Mapping[str, Callable[[_Scope, str, object], Filter]] = {
    "comm": _comm,
    "errno": _errno,
    "exe": _exe,
    "ok": _ok,
    "op": _op,
    "pid": _task_id,
    "process": _process,
    "ret": _ret,
    "tid": _task_id,
    "where": _where,
}
_EFFECT_COMPILERS: Mapping[Kind, Mapping[str, Callable[[_Scope, str, object], Filter]]] = {
    "files": {
        **_COMMON,
        "flags": _on_call(_flags),
        "kind": _on_field(_plain_text, alike=True),
        "nbytes": _on_field(_number_value),
        "path": _path,
    },
    "network": {
        **_COMMON,
        "address": _address,
        "family": _on_field(_family_value),
        "flags": _on_call(_flags),
        "host": _on_field(_host_value),
        "nbytes": _on_field(_number_value),
        "path": _on_field(_plain_text),
        "port": _port,
    },
    "processes": {
        **_COMMON,
        "argv": _on_field(_argv_value),
        "exe": _program,
        "exit_code": _on_field(_exit_code_value),
        "signal": _on_field(_signal_value),
    },
}

_READS = {"read", "pread64", "readv", "preadv", "preadv2", "process_vm_readv", "recvfrom", "recvmsg", "mq_timedreceive"}
_WRITES = {"write", "pwrite64", "writev", "process_vm_writev", "pwritev", "pwritev2", "sendto", "sendmsg", "vmsplice"}
_COPIES = {"sendfile", "copy_file_range", "splice", "tee"}
_MOVES_BYTES = frozenset(_READS | _WRITES | _COPIES)
"""Calls whose result is a number of bytes that they moved."""
_COUNTS_MESSAGES = frozenset({"recvmmsg", "sendmmsg"})
"""Calls that move bytes, and whose result doesn't say how many."""
