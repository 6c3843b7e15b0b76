"""Work that is handed over inside of the interpreter: what asyncio calls back, and what is submitted to a thread pool.

The kernel shows a hand-over where a thread was waiting for work. One that finds the next piece there, or waits by the
clock in the middle of one, shows nothing; what it works for is told to the session here.
"""

from __future__ import annotations

import contextvars
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from .scope import Owner
from .session import Session

if TYPE_CHECKING:
    import asyncio

__all__ = ["CAUSE", "follow"]

SUBMITTED_BY = "_pytest_ebpf_submitted_by"
"""Attribute of a piece of work: whose it is, for each session."""

CAUSE: contextvars.ContextVar[tuple[Session, Owner] | None] = contextvars.ContextVar("pytest_ebpf_cause", default=None)
"""The test that a context belongs to: asyncio's tasks and callbacks keep the one in which they were made."""
_run: Callable[[asyncio.Handle], None] | None = None
"""How asyncio itself runs a callback, once it is followed."""
_work_item: Any = None
"""The class of what is submitted to a thread pool, once it is followed."""
_sessions: tuple[Session, ...] = ()
"""More than one where a run of pytest is inside of another."""


def follow(session: Session) -> None:
    """From now on, what asyncio and thread pools do is whose who gave it to them, once they are imported."""
    global _run, _sessions, _work_item
    if session not in _sessions:
        _sessions = (*(each for each in _sessions if each.started is not None), session)
    if _run is None and "asyncio" in sys.modules:
        import asyncio

        _run = asyncio.Handle._run
        asyncio.Handle._run = _run_for_its_test  # type: ignore[method-assign]
    if _work_item is None and "concurrent.futures.thread" in sys.modules:
        from concurrent.futures import thread

        _work_item = thread._WorkItem
        _mark_and_run(_work_item)


def _run_for_its_test(self: asyncio.Handle) -> None:
    assert _run is not None
    cause = self._context.get(CAUSE)  # type: ignore[attr-defined]
    if cause is None or cause[0].acts_for(cause[1]):
        return _run(self)
    session, owner = cause
    with session.acting_for(owner):
        return _run(self)


def _mark_and_run(submitted: Any) -> None:
    begin, run = submitted.__init__, submitted.run

    def mark(self: Any, *values: Any, **arguments: Any) -> None:
        begin(self, *values, **arguments)
        setattr(self, SUBMITTED_BY, [(each, each.cause()) for each in _sessions])

    def run_for_who_submitted_it(self: Any, *values: Any) -> Any:
        with ExitStack() as stack:
            for session, cause in vars(self).pop(SUBMITTED_BY, ()):
                stack.enter_context(session.working_for(cause))
            return run(self, *values)

    submitted.__init__, submitted.run = mark, run_for_who_submitted_it
