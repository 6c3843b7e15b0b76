"""One assertion: checked when it is made, without a recording, and asked of a recording later."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from . import report
from .errors import InconclusiveRecording
from .events import Gap
from .notation import escape
from .report import Finding

if TYPE_CHECKING:
    from .assertions import Assertions

__all__ = ["Answer", "Question", "collection", "counted", "gaps_in", "typed"]


class Question(ABC):
    """What an assertion asks, with its arguments checked.

    >>> question = rules.question(syscalls.table(), "no_exec")
    >>> question.judge(ebpf)
    """

    typed: str
    """The assertion as the user typed it."""

    @abstractmethod
    def judge(self, recording: Assertions) -> None:
        """Ask it of a recording.

        Raises AssertionError if it is certainly violated, InconclusiveRecording if that can't be decided.
        """

    def forbid(self, recording: Assertions, answer: Answer) -> None:
        """Nothing may have been found."""
        __tracebackhide__ = True
        if answer.found:
            self.fail(recording, answer)
        gaps = gaps_in(recording.gaps, answer.calls, answer.kind)
        if answer.unsure or gaps:
            self.doubt(recording, answer, gaps)

    def require(self, recording: Assertions, answer: Answer) -> None:
        """Something must have been found."""
        __tracebackhide__ = True
        if answer.found:
            return
        gaps = gaps_in(recording.gaps, answer.calls, answer.kind)
        if answer.unsure or gaps:
            self.doubt(recording, answer, gaps)
        self.fail(recording, answer)

    def fail(self, recording: Assertions, answer: Answer) -> NoReturn:
        """It is violated."""
        __tracebackhide__ = True
        raise AssertionError(
            report.findings(
                f"{self.typed}: {answer.problem}",
                answer.found,
                start_ns=recording._start_ns,
                hints=answer.hints,
                misses=answer.misses,
            )
        )

    def doubt(self, recording: Assertions, answer: Answer, gaps: Sequence[Gap] = ()) -> NoReturn:
        """It can't be decided."""
        __tracebackhide__ = True
        raise InconclusiveRecording(
            report.findings(
                f"{self.typed}: can't be decided: {answer.doubt}",
                (),
                start_ns=recording._start_ns,
                unsure=answer.unsure,
                gaps=gaps,
                hints=answer.hints,
            )
        )


@dataclass(slots=True)
class Answer:
    """What a recording says to a question."""

    calls: frozenset[str]
    """Names of the calls that it depends on: a gap in these leaves it open."""
    kind: str | None = None
    """If it is about effects, of which kind: what the kernel's hooks tell of those is no gap."""
    problem: str = ""
    """What is wrong, if it is violated."""
    doubt: str = "something that was done isn't known well enough"
    found: list[Finding] = field(default_factory=list)
    unsure: list[Finding] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
    misses: list[Finding] = field(default_factory=list)


def gaps_in(gaps: Iterable[Gap], calls: frozenset[str] | None, kind: str | None = None) -> tuple[Gap, ...]:
    """The gaps that may hide one of these calls (None: any call), or an effect of that ``kind`` which they have."""
    found = []
    for gap in gaps:
        names = gap.calls if kind is None or gap.may_be is None else gap.may_be
        if kind in gap.told or (names is not None and names.isdisjoint(names if calls is None else calls)):
            continue
        found.append(gap)
    return tuple(found)


def counted(count: int, noun: str) -> str:
    """As in ``1 call``, ``2 calls``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def typed(assertion: str, *args: object, **kwargs: object) -> str:
    """An assertion as the user typed it, as far as that can be known.

    >>> typed("assert_max", fsync=1)
    'assert_max(fsync=1)'
    """
    shown = [_typed(arg) for arg in args]
    shown.extend(f"{name}={_typed(value)}" for name, value in kwargs.items())
    return f"{assertion}({', '.join(shown)})"


def _typed(value: object) -> str:
    if hasattr(value, "__fspath__"):
        value = value.__fspath__()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_typed, value))}]"
    if callable(value):
        value = getattr(value, "__qualname__", value)
        return escape(str(value)).replace("<locals>.", "")
    text = repr(value)
    return text if text.isprintable() else escape(text)


def collection(name: str, value: Any, what: str) -> tuple[Any, ...]:
    """The items of a list, tuple or set; a str, whose items are its letters, is none. Raises TypeError."""
    if isinstance(value, (list, tuple)):
        return tuple(value)
    if isinstance(value, (set, frozenset)):
        return tuple(sorted(value, key=str))
    hint = f" (write {name}=[{_typed(value)}])" if isinstance(value, str) or hasattr(value, "__fspath__") else ""
    raise TypeError(f"{name}: expected a list of {what}, not {type(value).__name__}{hint}")
