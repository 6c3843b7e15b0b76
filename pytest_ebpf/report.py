"""What a user reads: the text of a violated or undecided assertion."""

from __future__ import annotations

import shlex
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .events import Effect, Gap, Process, SyscallEvent
from .match import Events, Query, lines
from .notation import escape

__all__ = ["Finding", "findings", "inconclusive", "recording", "too_few", "too_many"]

_SHOWN = 10
"""Events of a violation."""
_SHOWN_MISSES = 5
_SHOWN_CALLS = 5
"""Kinds of call in the summary of what was recorded."""
_COMPARED = 20_000
"""Events whose likeness to the wanted one is measured."""
_SHOWN_FIRST, _SHOWN_LAST = 10, 30
"""Events of a whole recording."""
_NOTE = "      "
_WIDTH = 76
"""Leaves room for the ``E   `` that pytest puts before each line."""


class Finding(NamedTuple):
    """An event that an assertion is about, and what it has to do with it."""

    event: SyscallEvent | Effect
    note: str = ""

    @property
    def call(self) -> SyscallEvent:
        """The call, of an effect too."""
        return self.event.call if isinstance(self.event, Effect) else self.event


def findings(
    headline: str,
    found: Sequence[Finding],
    *,
    start_ns: int,
    unsure: Sequence[Finding] = (),
    gaps: Sequence[Gap] = (),
    hints: Iterable[str] = (),
    misses: Sequence[Finding] = (),
) -> str:
    """Of any assertion: the calls it is about, each with why, those in doubt, the gaps, and what to do.

    ``misses`` are calls that come near to what was wanted.
    """
    text = [headline]
    for gap in gaps:
        text.extend(_wrapped(gap.reason, "  gap: "))
        text.extend(_wrapped(gap.hint, _NOTE))
    text.extend(_found(found, start_ns))
    for title, others in (("can't be told:", unsure), ("nearest misses:", misses)):
        if others:
            text.append(title)
            text.extend(_found(others, start_ns))
    for hint in dict.fromkeys(hints):
        text.extend(_wrapped(hint, "  hint: "))
    return "\n".join(text)


def _found(found: Sequence[Finding], start_ns: int) -> Iterable[str]:
    """The lines of findings, those of one call together, by process."""
    notes: dict[tuple[int, int, str], list[str]] = {}
    calls: list[SyscallEvent] = []
    for finding in found:
        call = finding.call
        key = (call.tid, call.timestamp_ns, call.name)
        if key not in notes:
            calls.append(call)
        notes.setdefault(key, []).extend([finding.note] if finding.note else [])
    shown = _by_process(calls[:_SHOWN])
    seen: list[Process] = []
    for call, line in zip(shown, lines(shown, start_ns), strict=True):
        yield f"  {line}"
        yield from _chain_once(call.process, seen)
        for note in dict.fromkeys(notes[call.tid, call.timestamp_ns, call.name]):
            yield from _wrapped(note, _NOTE)
    yield from _more(len(calls) - _SHOWN)


def _by_process(events: Sequence[SyscallEvent]) -> list[SyscallEvent]:
    """The events of one process together, the processes in the order in which they come first."""
    order = {pid: place for place, pid in enumerate(dict.fromkeys(event.pid for event in events))}
    return sorted(events, key=lambda event: order[event.pid])


def too_many(headline: str, found: Sequence[SyscallEvent], *, start_ns: int, counted: int = 0) -> str:
    """Of an upper bound: the calls that shouldn't have been.

    ``counted`` is the number of calls that are known to have been though their records were lost.
    """
    text = [headline]
    text.extend(_events(found[:_SHOWN], start_ns))
    text.extend(_more(len(found) - _SHOWN))
    if counted:
        text.append(f"  {_also(counted, bool(found))} counted, but not recorded")
    return "\n".join(text)


def too_few(
    headline: str,
    query: Query,
    found: Sequence[SyscallEvent],
    events: Sequence[SyscallEvent],
    *,
    start_ns: int,
    counted: int = 0,
) -> str:
    """Of a lower bound: the calls that matched, and those that nearly did.

    ``events`` is everything recorded.
    """
    text = [headline]
    if found:
        text.append("matched:")
        text.extend(_events(found[:_SHOWN], start_ns))
        text.extend(_more(len(found) - _SHOWN))
    if counted:
        text.append(f"  {_also(counted, bool(found))} counted, but not recorded")
    siblings = {name: sibling for sibling in query.siblings() for name in sibling.names or ()}
    text.extend(_sibling_hints(query, siblings, events))
    misses = _near_misses(query, siblings, events)
    if misses:
        text.append("nearest misses:")
        for times, event, notes in misses:
            text.extend(f"  {line}" for line in lines([event], start_ns))
            text.extend(f"{_NOTE}{note}" for note in notes)
            if times > 1:
                text.append(f"{_NOTE}{times} times")
    text.extend(_recorded(query, events))
    return "\n".join(text)


def inconclusive(
    headline: str,
    query: Query,
    found: Sequence[SyscallEvent],
    unsure: Sequence[SyscallEvent],
    gaps: Sequence[Gap],
    *,
    start_ns: int,
    counted: int = 0,
) -> str:
    """Of an assertion that the recording can't decide: why, what to do, and what is known nevertheless."""
    text = [headline]
    for gap in gaps:
        text.extend(_wrapped(gap.reason, "  gap: "))
        text.extend(_wrapped(gap.hint, _NOTE))
    if unsure:
        text.append("may match:" if len(unsure) == 1 else f"may match ({len(unsure)} calls):")
        shown = unsure[:_SHOWN]
        for event, line in zip(shown, lines(shown, start_ns), strict=True):
            text.append(f"  {line}")
            text.extend(f"{_NOTE}{note}" for note in query.doubts(event))
        text.extend(_more(len(unsure) - _SHOWN))
    if found:
        text.append("matched:")
        text.extend(_events(found[:_SHOWN], start_ns))
        text.extend(_more(len(found) - _SHOWN))
    else:
        text.append("nothing that was recorded matched for certain")
    if counted:
        text.append(f"  {_also(counted, bool(found))} counted, but not recorded")
    return "\n".join(text)


def recording(events: Events[SyscallEvent], gaps: Sequence[Gap]) -> str:
    """All of a window, for a section of the report: its first and last events, and its gaps."""
    first, last = _SHOWN_FIRST, _SHOWN_LAST
    left_out = len(events.known) - first - last
    if left_out > 0:
        text = [events[:first].format(), f"... {left_out:,} more ...", events[-last:].format()]
    else:
        text = [events.format() or "no system call"]
    text.extend(f"gap: {escape(str(gap))}" for gap in gaps)
    return "\n".join(text)


def _also(counted: int, after_others: bool) -> str:
    return (
        f"{counted} more {'was' if counted == 1 else 'were'}"
        if after_others
        else (f"{counted} {'call was' if counted == 1 else 'calls were'}")
    )


def _wrapped(sentence: str, indent: str) -> list[str]:
    return textwrap.wrap(
        escape(sentence),
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=_NOTE,
        break_long_words=False,  # a path is to be found, and copied, as a whole
        break_on_hyphens=False,
    )


def _more(count: int) -> list[str]:
    return [f"  ... and {count} more"] if count > 0 else []


def _events(events: Sequence[SyscallEvent], start_ns: int) -> Iterable[str]:
    """The lines of events, and under the first of each child process how it came to be."""
    seen: list[Process] = []
    grouped = _by_process(events)
    for event, line in zip(grouped, lines(grouped, start_ns), strict=True):
        yield f"  {line}"
        yield from _chain_once(event.process, seen)


def _chain_once(process: Process, seen: list[Process]) -> Iterable[str]:
    """How a child process came to be, where it is seen first."""
    if not process.is_self and not any(process is known or process == known for known in seen):
        seen.append(process)
        yield f"{_NOTE}{_chain_text(process)}"


_CHAIN = 5
_ARGV_WIDTH = 60


def _chain_text(process: Process) -> str:
    """As in ``python[12] → sh[13] → git[14]: git config user.name``."""
    chain = [f"{escape(one.comm)}[{one.pid}]" for one in process.chain()][::-1]
    if len(chain) > _CHAIN:
        chain = [chain[0], "...", *chain[2 - _CHAIN :]]
    text = " → ".join(chain)
    command = escape(shlex.join(process.argv)) if process.argv else escape(process.exe or "")
    if len(command) > _ARGV_WIDTH:
        command = command[: _ARGV_WIDTH - 3] + "..."
    return f"{text}: {command}" if command else text


def _sibling_hints(query: Query, siblings: dict[str, Query], events: Sequence[SyscallEvent]) -> list[str]:
    matched = sorted({e.name for e in events if e.name in siblings and siblings[e.name].test(e)})
    if not matched:
        return []
    meant = query.common_class(matched) or ", ".join(repr(name) for name in (*query.patterns, *matched))
    return [f"{', '.join(matched)} matched: did you mean {meant}?"]


def _near_misses(
    query: Query, siblings: dict[str, Query], events: Sequence[SyscallEvent]
) -> list[tuple[int, SyscallEvent, list[str]]]:
    """The events that fail the fewest filters: how often, the first of its kind, and why it failed."""
    alike: dict[tuple[str, str], list[SyscallEvent]] = {}
    ranked: dict[tuple[str, str], tuple[int, list[str], Query]] = {}
    for event in events:
        mine = query.names is None or event.name in query.names
        asked = query if mine else siblings.get(event.name)
        if asked is None:
            continue
        key = (event.name, str(event))
        if key in alike and key[1]:
            alike[key].append(event)
            continue
        notes = asked.misses(event)
        if not notes and mine:
            continue
        if not mine:
            notes.insert(0, f"name: {event.name} is not {' or '.join(query.literal)}")
        alike[key] = [event]
        ranked[key] = (len(notes), notes, asked)
    # Sorting is stable: where nothing else tells events apart, the earlier one comes first.
    fewest = sorted(ranked, key=lambda key: (ranked[key][0], key[0] in siblings))[:_COMPARED]

    def order(key: tuple[str, str]) -> tuple[int, float, bool]:
        number, _, asked = ranked[key]
        return number, asked.unlikeness(alike[key][0]), key[0] in siblings

    nearest = sorted(fewest, key=order)
    return [(len(alike[key]), alike[key][0], ranked[key][1]) for key in nearest[:_SHOWN_MISSES]]


def _recorded(query: Query, events: Sequence[SyscallEvent]) -> list[str]:
    """What there was, where nothing had one of the wanted names."""
    if query.names is not None and not query.names:
        return [f"this machine has no {' or '.join(query.patterns)}"]
    if not events:
        return ["nothing was recorded"]
    if query.names is None or any(event.name in query.names for event in events):
        return []
    counts = Counter(event.name for event in events)
    shown = ", ".join(f"{escape(name)} {count}" for name, count in counts.most_common(_SHOWN_CALLS))
    rest = len(counts) - _SHOWN_CALLS
    more = f" and {rest} more kinds" if rest > 0 else ""
    wanted = " or ".join(query.patterns)
    return [f"no {wanted} was recorded; what was: {shown}{more}"]
