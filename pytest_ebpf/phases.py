"""What of a pytest run is whose: one test after the other, their phases, and the fixtures of wider scopes.

The runner, which is the thread that pytest runs the tests in, belongs to the current phase; each step here names the
next one to the session, which costs a few stores to memory.
"""

from __future__ import annotations

import functools
import inspect
import time
import types
import unittest
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from . import handover
from .late import Late
from .recording import Recording
from .scope import Kind, Owner, Segments
from .session import Session
from .stash import RECORDING

if TYPE_CHECKING:
    from .policy import Rules

__all__ = ["Phases"]

IDLE = Owner(Kind.UNRECORDED, "pytest itself")
WINDOWED = "_pytest_ebpf_windowed"
"""Marks a test function that has its window around it."""
FRAME_WORDS = 2200
"""The interpreter takes memory for frames in chunks of 16 KiB, by mmap. A frame larger than that begins a new one."""

OWN_FIXTURES = frozenset(
    f"_pytest.{module}" for module in ("cacheprovider", "capture", "fixtures", "junitxml", "tmpdir")
)
"""Where pytest has its own fixtures, but for those that stand for a setup_method or a setUpClass of the user's.

Nor monkeypatch, caplog and recwarn: they make no calls of their own, and putting back what the test replaced may run a
finalizer of the user's, or a `__setattr__`.
"""


class Phases:
    """Follows one pytest run and names its phases to the session."""

    def __init__(self, session: Session, suite: Rules) -> None:
        self.session = session
        self.suite = suite
        """What holds outside of tests."""
        self.recordings: dict[str, Recording] = {}
        """Of the current test, by phase."""
        self.holds_rules = False
        """Whether any test so far had rules."""
        self.around_method: dict[str, Recording] = {}
        """Likewise, of what unittest calls around a method: its setup and teardown, within pytest's call."""
        self.skipped = False
        """The current test was skipped in its setup: fixtures that its rules name may be missing."""
        self.test = IDLE
        self.collection = Owner(Kind.SESSION, "collection")
        self._wanted: frozenset[str] = frozenset()
        self._item: pytest.Item | None = None
        self._fixtures: dict[int, Owner] = {}
        """By the id of the FixtureDef: of those of a wider scope that are set up."""
        self._inner: dict[Owner, set[Owner]] = {}
        """The fixtures that were set up while another one was."""

    # Tests

    def begin_test(self, item: pytest.Item, wanted: frozenset[str]) -> Recording | None:
        """The setup of a test begins, of which these phases are recorded. The recording of its call, not yet open."""
        kind = Kind.TEST if wanted else Kind.UNRECORDED
        self._item, self._wanted = item, wanted
        for each in self.all_recordings:
            each.forget()
        self.recordings.clear()
        self.around_method.clear()
        self.skipped = False
        self.test = Owner(kind, item.nodeid, functools.partial(self._used_by, item))
        self.session.begin_test(self.test, self._label("setup"))
        if wanted:
            handover.follow(self.session)
        if "call" not in wanted:
            return None
        return self.recordings.setdefault("call", Recording(self.session, self.test))

    @property
    def all_recordings(self) -> tuple[Recording, ...]:
        """Of the current test, also those within its call."""
        return (*self.recordings.values(), *self.around_method.values())

    def begin_late(self, item: pytest.Item) -> Recording:
        """The recording of a test whose setup is under way already; a test function that has begun isn't recorded."""
        if self._item is item:
            self.test.kind = Kind.TEST
            self._wanted |= {"call"}
            self._begin("setup")
        else:
            self.begin_test(item, frozenset({"call"}))
        return self.recordings.setdefault("call", Recording(self.session, self.test))

    @contextmanager
    def around_fixtures(self, phase: str) -> Iterator[None]:
        """The setup or teardown of a test: recorded, if it is to be, while functions of its fixtures are at work."""
        if phase == "teardown":
            if self.test.call is not None:
                self.test.call = Segments(self.test.call.first, self.session.last_segment + 1)
            self.session.name_phase(self.test, self._label(phase))
            if phase not in self._wanted:
                self.session.begin_segment()
        if phase not in self._wanted:
            yield
            return
        recording = self.recordings[phase] = Recording(self.session, self.test)
        self.session.muted = True
        recording.open()
        try:
            yield
        finally:
            recording.close()
            self.session.muted = False

    def end_test(self) -> None:
        """The teardown of a test is over."""
        if self.test.ended_ns is None:
            self.test.ended_ns = time.monotonic_ns()
        self.session.begin_phase(IDLE, IDLE.name)
        self._item, self.test = None, IDLE

    def late(self) -> Late:
        """What the current test's tasks did after it so far, at the end of its teardown."""
        self.test.ended_ns = time.monotonic_ns()
        self.session.look_for_late()
        late = Late(self.session, self.test)
        self.test.seen = len(self.test.late)
        return late

    def lost_late(self) -> str | None:
        """What to say of late events that were lost; None if none was."""
        lost = self.session.lost_late
        if not lost:
            return None
        return f"{lost:,} calls of what tests left behind found no room in the recorder's memory (end it with the test)"

    def late_since(self) -> Iterator[tuple[Owner, Late]]:
        """What tests did after they were reported, at the end of the run."""
        self.session.look_for_late()
        for owner in self.session.late:
            if len(owner.late) > owner.seen:
                yield owner, Late(self.session, owner, owner.seen)

    def _begin(self, phase: str) -> None:
        self.session.begin_phase(self.test, self._label(phase))

    def _label(self, phase: str) -> str:
        return f"{self.test.name} ({phase})"

    # Fixtures, and what is outside of tests

    @contextmanager
    def fixture(self, fixturedef: pytest.FixtureDef[Any]) -> Iterator[None]:
        """While the function of a fixture is at work, up to its yield; what follows that is seen to at its end.

        What pytest's own fixtures do, as tmp_path, which makes the test's folder, is none of the test's doing.
        """
        __tracebackhide__ = True
        if fixturedef.func.__module__ in OWN_FIXTURES:
            setup, teardown = self.session.hidden(), self.session.hidden()
        elif fixturedef.scope != "function":
            owner = self._begin_wider(fixturedef)
            setup, teardown = self.outside(owner, f"{owner.name} (setup)"), self._end_wider(fixturedef, owner)
        elif self._wanted & {"setup", "teardown"}:
            setup, teardown = self._unmuted(), self._unmuted()
        else:
            yield
            return

        def end() -> None:
            __tracebackhide__ = True
            teardown.__exit__(None, None, None)

        # Finalizers run last first: that of the fixture's own function is added between these two.
        fixturedef.addfinalizer(end)
        try:
            with setup:
                yield
        finally:
            fixturedef.addfinalizer(teardown.__enter__)

    @contextmanager
    def _unmuted(self) -> Iterator[None]:
        """While a function of the user's is at work in the middle of pytest's setup or teardown."""
        before = self.session.muted
        self.session.muted = False
        try:
            yield
        finally:
            self.session.muted = before

    def _begin_wider(self, fixturedef: pytest.FixtureDef[Any]) -> Owner:
        owner = Owner(Kind.FIXTURE, f"{fixturedef.scope} fixture {fixturedef.argname}")
        self._fixtures[id(fixturedef)] = owner
        self._inner[owner] = set()
        if self.session.current in self._inner:
            self._inner[self.session.current].add(owner)
        return owner

    @contextmanager
    def _end_wider(self, fixturedef: pytest.FixtureDef[Any], owner: Owner) -> Iterator[None]:
        __tracebackhide__ = True
        try:
            with self.outside(owner, f"{owner.name} (teardown)"):
                yield
        finally:
            self._fixtures.pop(id(fixturedef), None)
            self._inner.pop(owner, None)

    def importing(self, nodeid: str) -> AbstractContextManager[None]:
        """The import of a module of tests. An owner of its own: it happens within the collection and is no part."""
        return self.outside(Owner(Kind.SESSION, "import"), f"import {nodeid}")

    @contextmanager
    def outside(self, owner: Owner, label: str) -> Iterator[None]:
        """Something that belongs to no test: held to the suite's rules, if there are any for it."""
        __tracebackhide__ = True
        session = self.session
        before = (session.current, session.label, session.muted)
        session.begin_phase(owner, label)
        session.muted = False
        recording = Recording(session, owner) if self.suite.of(label) else None
        if recording is not None:
            owner.first = session.last_segment
            recording.open()
        try:
            yield
        finally:
            if recording is not None:
                recording.close()
            session.begin_phase(*before[:2])
            session.muted = before[2]
        if recording is not None:
            self.suite.judge(recording, label)

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
    def call(self, item: pytest.Item, recording: Recording | None, settle: Callable[[], None]) -> Iterator[None]:
        """The call phase. Coroutine functions and the methods of unittest are called by others: they are wrapped.

        ``settle`` is called where such a method has returned, before its tearDown; not for one that is a coroutine.
        """
        self._begin("call")
        self.test.call = Segments(self.session.last_segment)
        try:
            if recording is None:
                yield
            elif not isinstance(item, pytest.Function):
                with self._opened(recording):
                    yield
            elif isinstance(item.instance, unittest.TestCase):
                with self._method(item, recording, settle):
                    yield
            elif inspect.iscoroutinefunction(item.obj):
                with _replaced(item, self._windowed(recording, item.obj)):
                    yield
            else:
                yield
        finally:
            recording = recording or item.stash.get(RECORDING, None)
            if recording is not None:
                self._close(recording)

    def windowed(self, recording: Recording, function: Callable[..., Any]) -> Callable[..., object]:
        """A test function with its window around it, if it hasn't one yet."""
        return function if hasattr(function, WINDOWED) else self._windowed(recording, function)

    @contextmanager
    def _method(self, item: pytest.Function, recording: Recording, settle: Callable[[], None]) -> Iterator[None]:
        """The call of a method by unittest, between setUp, tearDown and the cleanups, which are setup and teardown."""
        function = self._windowed(recording, item.obj)
        if not inspect.iscoroutinefunction(item.obj):
            function = _followed_by(settle, function)
        self.around_method = {
            phase: Recording(self.session, self.test) for phase in ("setup", "teardown") if phase in self._wanted
        }
        # A coroutine function unittest finds by its name, not by what pytest takes for the item's.
        vars(item.instance)[item.name] = function
        try:
            with _replaced(item, function):
                yield
        finally:
            vars(item.instance).pop(item.name, None)
            self._close(recording)
            self.end_around_method()

    def begin_around_method(self) -> None:
        """Unittest begins: setUp comes first."""
        if "setup" in self.around_method:
            self.around_method["setup"].open()

    def end_around_method(self) -> None:
        """Unittest has done all that it does."""
        for each in self.around_method.values():
            each.close()

    @contextmanager
    def _opened(self, recording: Recording) -> Iterator[None]:
        recording.open()
        try:
            yield
        finally:
            self._close(recording)

    def _open(self, recording: Recording) -> None:
        if "setup" in self.around_method:
            self.around_method["setup"].close()
        recording.open()

    def _close(self, recording: Recording) -> None:
        if self.test.closed_ns is None:
            self.test.closed_ns = time.monotonic_ns()
        recording.close()
        after = self.around_method.get("teardown")
        if after is not None and not after.begun:
            after.open()

    def _windowed(self, recording: Recording, function: Callable[..., Any]) -> Callable[..., object]:
        """The test function with the window around it: opened at the last moment before it and closed right after."""
        handover.follow(self.session)
        if inspect.iscoroutinefunction(function):

            async def call_async(*values: Any, **arguments: Any) -> object:
                __tracebackhide__ = True
                token = handover.CAUSE.set((self.session, recording.owner))
                self._open(recording)
                try:
                    return await function(*values, **arguments)
                finally:
                    self._close(recording)
                    handover.CAUSE.reset(token)

            wrapped: Callable[..., object] = functools.update_wrapper(call_async, function)
        else:

            def call(*values: Any, **arguments: Any) -> object:
                __tracebackhide__ = True
                token = handover.CAUSE.set((self.session, recording.owner))
                self._open(recording)
                try:
                    return function(*values, **arguments)
                finally:
                    self._close(recording)
                    handover.CAUSE.reset(token)

            call.__code__ = _roomy(call.__code__)
            wrapped = functools.update_wrapper(call, function)
        setattr(wrapped, WINDOWED, True)
        return wrapped


@functools.cache
def _roomy(code: types.CodeType) -> types.CodeType:
    """With so large a frame that the next call, which is that of the test function, can't need a new chunk."""
    return code.replace(co_stacksize=FRAME_WORDS)


def _followed_by(settle: Callable[[], None], function: Callable[..., object]) -> Callable[..., object]:
    """The function, and then the other one, unless it raises."""

    def call(*values: Any, **arguments: Any) -> object:
        __tracebackhide__ = True
        result = function(*values, **arguments)
        settle()
        return result

    return functools.update_wrapper(call, function)


@contextmanager
def _replaced(item: pytest.Function, function: Callable[..., object]) -> Iterator[None]:
    """While the item's function is another one."""
    before = item.obj
    item.obj = function
    try:
        yield
    finally:
        item.obj = before
