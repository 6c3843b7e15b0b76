"""The assertion that calls were made in an order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .events import SyscallEvent
from .match import Query, query
from .question import Answer, Question, gaps_in
from .report import Finding
from .step import Step
from .syscalls import Table

if TYPE_CHECKING:
    from .assertions import Assertions

__all__ = ["syscall_order"]

_NEAREST = 3


def syscall_order(table: Table, /, *steps: object) -> Question:
    """Calls that match the steps, each begun after the one before had returned."""
    asked = []
    for place, step in enumerate(steps, 1):
        if not isinstance(step, Step):
            hint = f" (write call({step!r}))" if isinstance(step, str) else ""
            raise TypeError(f"step {place}: expected call(...), not {type(step).__name__}{hint}")
        try:
            asked.append(query(table, *step.names, **step.filters))
        except (TypeError, ValueError) as error:
            raise type(error)(f"step {place}: {error}") from None
    if len(asked) < 2:
        raise TypeError("an order takes two steps or more (for a single call there is assert_syscall)")
    return _Order(asked)


class _Order(Question):
    def __init__(self, steps: Sequence[Query]) -> None:
        self._steps = steps
        self.typed = f"assert_syscall_order({', '.join(f'call({step})' for step in steps)})"

    def judge(self, recording: Assertions) -> None:
        """Take for each step the match that is over first; no other choice leaves more room for the next."""
        __tracebackhide__ = True
        names = [step.names for step in self._steps]
        known = None if None in names else frozenset[str]().union(*(name for name in names if name is not None))
        events = list(recording._events(known))
        chain = self._chain(events, unsure_too=False)
        if len(chain) == len(self._steps):
            return
        gaps = gaps_in(recording.gaps, known)
        possible = self._chain(events, unsure_too=True)
        step = self._steps[len(chain)]
        place = len(chain) + 1
        answer = Answer(known or frozenset(), found=[])
        if gaps or len(possible) == len(self._steps):
            answer.doubt = f"step {place}, call({step}), may have come or not"
            answer.unsure = [
                Finding(event, f"may be step {number}")
                for number, event in enumerate(possible, 1)
                if self._steps[number - 1].test(event) is None
            ]
            self.doubt(recording, answer, gaps)
        after = chain[-1] if chain else None
        answer.found = [Finding(event, f"step {number}") for number, event in enumerate(chain, 1)]
        where = f" after step {place - 1}" if chain else ""
        answer.problem = f"step {place} of {len(self._steps)}, call({step}), did not come{where}"
        early = [event for event in events if step.test(event)]
        if after is not None:
            answer.misses = [Finding(event, _early(event, after, place)) for event in early[-_NEAREST:]]
        if not early:
            alike = [event for event in events if step.names is None or event.name in step.names]
            alike.sort(key=lambda event: (len(step.misses(event)), step.unlikeness(event)))
            answer.misses = [Finding(event, "; ".join(step.misses(event))) for event in alike[:_NEAREST]]
            if not alike:
                answer.hints = [f"no {' or '.join(step.patterns) or 'call'} was recorded at all"]
        self.fail(recording, answer)

    def _chain(self, events: Sequence[SyscallEvent], *, unsure_too: bool) -> list[SyscallEvent]:
        """The events of the first steps, as far as it goes."""
        chain: list[SyscallEvent] = []
        after = None
        for step in self._steps:
            best = None
            for event in events:
                if after is not None and (event is chain[-1] or event.timestamp_ns < after):
                    continue
                verdict = step.test(event)
                if not verdict and not (verdict is None and unsure_too):
                    continue
                if best is None or _end(event) < _end(best):
                    best = event
            if best is None:
                break
            chain.append(best)
            after = _end(best)
        return chain


_NEVER = 1 << 63


def _end(event: SyscallEvent) -> int:
    """When the next step may begin; of a call that starts a process, when that may."""
    if event.started is not None:
        return event.timestamp_ns
    return _NEVER if event.duration_ns is None else event.timestamp_ns + event.duration_ns


def _early(event: SyscallEvent, after: SyscallEvent, place: int) -> str:
    if event is after:
        return f"was taken for step {place - 1}"
    if event.timestamp_ns < after.timestamp_ns:
        return f"came before step {place - 1}"
    return f"began before step {place - 1} had returned"
