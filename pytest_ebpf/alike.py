"""Sequences of events of which many are alike, so that a question is asked once for all that are.

Events of one *kind* differ in their times, in the numbers that say where and how much (addresses, sizes, positions) and
in a result that is no error, and in nothing else.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from typing import TypeVar, overload

__all__ = ["Alike", "alike"]

T = TypeVar("T")
A = TypeVar("A")


class Alike(Sequence[T]):
    """Events in their order, which know who is like whom."""

    @abstractmethod
    def kinds(self) -> Iterator[tuple[Hashable, T]]:
        """Every kind, with one event of it: the first. In the order of these."""

    @abstractmethod
    def of(self, kinds: Collection[Hashable]) -> Alike[T]:
        """The events of these kinds."""

    @abstractmethod
    def told(self) -> Iterator[tuple[Hashable, T]]:
        """Every event, with its kind."""

    def judged(
        self, judge: Callable[[T], A | None], steady: Callable[[T], bool] = lambda _: True
    ) -> Iterator[tuple[A, T]]:
        """The events of which ``judge`` says something, each with what it says.

        It is asked once for each kind, and for each event of the kinds that aren't ``steady``.
        """
        answers: dict[Hashable, A] = {}
        each: set[Hashable] = set()
        for kind, one in self.kinds():
            if not steady(one):
                each.add(kind)
            elif (answer := judge(one)) is not None:
                answers[kind] = answer
        for kind, event in self.of({*answers, *each}).told():
            found = judge(event) if kind in each else answers[kind]
            if found is not None:
                yield found, event


def alike(events: Sequence[T]) -> Alike[T]:
    """The events, as they are if they know their kinds; else each is a kind of its own.

    >>> [one for _, one in alike("ab").kinds()]
    ['a', 'b']
    """
    return events if isinstance(events, Alike) else _Single(events)


class _Single(Alike[T]):
    """Events of which none is like another; their kinds are numbers."""

    def __init__(self, events: Sequence[T], numbers: Sequence[int] | None = None) -> None:
        self._events = events
        self._numbers = range(len(events)) if numbers is None else numbers

    def kinds(self) -> Iterator[tuple[Hashable, T]]:
        return zip(self._numbers, self._events, strict=True)

    def of(self, kinds: Collection[Hashable]) -> Alike[T]:
        chosen = frozenset(kinds)
        kept = [place for place, number in enumerate(self._numbers) if number in chosen]
        return _Single([self._events[place] for place in kept], [self._numbers[place] for place in kept])

    def told(self) -> Iterator[tuple[Hashable, T]]:
        return self.kinds()

    def __len__(self) -> int:
        return len(self._events)

    def __iter__(self) -> Iterator[T]:
        return iter(self._events)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        return self._events[index]
