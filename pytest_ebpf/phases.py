"""What of a pytest run is whose: one test after the other, their phases, and the fixtures of wider scopes.

The runner, which is the thread that pytest runs the tests in, belongs to the current phase; each call of the functions
here names the next one to the session, which costs a few stores to memory.
"""

from __future__ import annotations

import contextvars
import functools
import inspect
import sys
import time
import unittest
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from .recording import Recording
from .scope import Kind, Owner, Segments
from .session import Session
from .stash import RECORDING

if TYPE_CHECKING:
    import asyncio

__all__ = ["Phases"]

IDLE = Owner(Kind.UNRECORDED, "pytest itself")
WINDOWED = "_pytest_ebpf_windowed"
"""Marks a test function that has its window around it."""
FRAME_WORDS = 2200
"""The interpreter takes memory for frames in chunks of 16 KiB, by mmap. A frame larger than that begins a new one."""


class Phases:
    """Follows one pytest run and names its phases to the session."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._fixtures: dict[int, Owner] = {}
        """By the id of the FixtureDef: of those of a wider scope that are set up."""
        self._inner: dict[Owner, set[Owner]] = {}
        """The fixtures that were set up while another one was."""
        self._item: pytest.Item | None = None
        self.test = IDLE

    # Tests

    def begin_test(self, item: pytest.Item, *, recorded: bool) -> Recording | None:
        """The setup of a test begins. Its recording, not yet open, if it has one."""
        kind = Kind.TEST if recorded else Kind.UNRECORDED
        self._item = item
        self.test = Owner(kind, item.nodeid, functools.partial(self._used_by, item))
        self.session.begin_test(self.test)
        self.begin_phase("setup")
        return Recording(self.session, self.test) if recorded else None

    def begin_phase(self, phase: str) -> None:
        """A phase of the current test begins: setup, call or teardown."""
        if phase == "teardown" and self.test.call is not None:
            self.test.call = Segments(self.test.call.first, self.session.last_segment + 1)
        self.session.begin_phase(self.test, f"{self.test.name} ({phase})")

    def begin_late(self, item: pytest.Item) -> Recording:
        """The recording of a test whose setup is under way already; a test function that has begun isn't recorded."""
        if self._item is item:
            self.test.kind = Kind.TEST
            self.begin_phase("setup")
        else:
            self.begin_test(item, recorded=True)
        return Recording(self.session, self.test)

    def end_test(self) -> None:
        """The teardown of a test is over."""
        self.test.ended_ns = time.monotonic_ns()
        self.session.look_for_late()
        self.session.begin_phase(IDLE, IDLE.name)
        self._item, self.test = None, IDLE

    # Fixtures

    @contextmanager
    def fixture(self, fixturedef: pytest.FixtureDef[Any]) -> Iterator[None]:
        """While the function of a fixture of a wider scope is at work, up to its yield."""
        label = f"{fixturedef.scope} fixture {fixturedef.argname}"
        owner = Owner(Kind.FIXTURE, label)
        self._fixtures[id(fixturedef)] = owner
        self._inner[owner] = set()
        if self.session.current in self._inner:
            self._inner[self.session.current].add(owner)
        before: list[tuple[Owner, str]] = []

        def end_teardown() -> None:
            if before:
                self.session.begin_phase(*before.pop())
            self._fixtures.pop(id(fixturedef), None)
            self._inner.pop(owner, None)

        def begin_teardown() -> None:
            before.append((self.session.current, self.session.label))
            self.session.begin_phase(owner, f"{label} (teardown)")

        outside = (self.session.current, self.session.label)
        fixturedef.addfinalizer(end_teardown)
        self.session.begin_phase(owner, f"{label} (setup)")
        try:
            yield
        finally:
            self.session.begin_phase(*outside)
            fixturedef.addfinalizer(begin_teardown)

    def _used_by(self, item: pytest.Item) -> Iterable[Owner]:
        """The owners of the wider fixtures that a test uses, at this moment."""
        definitions = getattr(getattr(item, "_request", None), "_fixture_defs", {})
        used: set[Owner] = set()
        pending = [owner for each in definitions.values() if (owner := self._fixtures.get(id(each))) is not None]
        while pending:
            owner = pending.pop()
            if owner not in used:
                used.add(owner)
                pending.extend(self._inner.get(owner, ()))
        return used

    # Test functions

    @contextmanager
    def call(self, item: pytest.Item, recording: Recording | None) -> Iterator[None]:
        """The call phase. Coroutine functions and the methods of unittest are called by others: they are wrapped."""
        self.begin_phase("call")
        self.test.call = Segments(self.session.last_segment)
        try:
            if recording is None:
                yield
            elif not isinstance(item, pytest.Function):
                with self._opened(recording):
                    yield
            elif inspect.iscoroutinefunction(item.obj) or isinstance(item.instance, unittest.TestCase):
                with _replaced(item, self._windowed(recording, item.obj)):
                    yield
            else:
                yield
        finally:
            recording = recording or item.stash.get(RECORDING, None)
            if recording is not None:
                self._close(recording)

    @contextmanager
    def function_call(self, item: pytest.Function, recording: Recording) -> Iterator[None]:
        """The call of a test function by pytest."""
        if hasattr(item.obj, WINDOWED):
            yield
        else:
            with _replaced(item, self._windowed(recording, item.obj)):
                yield

    @contextmanager
    def _opened(self, recording: Recording) -> Iterator[None]:
        recording.open()
        try:
            yield
        finally:
            self._close(recording)

    def _close(self, recording: Recording) -> None:
        if self.test.closed_ns is None:
            self.test.closed_ns = time.monotonic_ns()
        recording.close()

    def _windowed(self, recording: Recording, function: Callable[..., Any]) -> Callable[..., object]:
        """The test function with the window around it: opened at the last moment before it and closed right after."""
        if "asyncio" in sys.modules:
            follow_asyncio()
        if inspect.iscoroutinefunction(function):

            async def call_async(*values: Any, **arguments: Any) -> object:
                __tracebackhide__ = True
                token = _cause.set((self.session, recording.owner))
                recording.open()
                try:
                    return await function(*values, **arguments)
                finally:
                    self._close(recording)
                    _cause.reset(token)

            wrapped: Callable[..., object] = functools.update_wrapper(call_async, function)
        else:

            def call(*values: Any, **arguments: Any) -> object:
                __tracebackhide__ = True
                token = _cause.set((self.session, recording.owner))
                recording.open()
                try:
                    return function(*values, **arguments)
                finally:
                    self._close(recording)
                    _cause.reset(token)

            # So the call of the test function itself can't need a new chunk.
            call.__code__ = call.__code__.replace(co_stacksize=FRAME_WORDS)
            wrapped = functools.update_wrapper(call, function)
        setattr(wrapped, WINDOWED, True)
        return wrapped


@contextmanager
def _replaced(item: pytest.Function, function: Callable[..., object]) -> Iterator[None]:
    """While the item's function is another one."""
    before = item.obj
    item.obj = function
    try:
        yield
    finally:
        item.obj = before


# Tasks of asyncio

_cause: contextvars.ContextVar[tuple[Session, Owner] | None] = contextvars.ContextVar("pytest_ebpf_cause", default=None)
"""The test that a context belongs to: asyncio's tasks and callbacks keep the one in which they were made."""
_run: Callable[[asyncio.Handle], None] | None = None
"""How asyncio itself runs a callback, once it is followed."""


def follow_asyncio() -> None:
    """From now on, what asyncio's tasks and callbacks do is their tests', also in a loop that several tests share."""
    global _run
    import asyncio

    if _run is None:
        _run = asyncio.Handle._run
        asyncio.Handle._run = _run_for_its_test  # type: ignore[method-assign]


def _run_for_its_test(self: asyncio.Handle) -> None:
    assert _run is not None
    cause = self._context.get(_cause)  # type: ignore[attr-defined]
    if cause is None or cause[0].acts_for(cause[1]):
        return _run(self)
    session, owner = cause
    with session.acting_for(owner):
        return _run(self)
