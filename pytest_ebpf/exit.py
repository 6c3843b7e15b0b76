"""The end of the interpreter, after the run: held to what the suite's policy says of the phase "exit".

Functions that `atexit` calls last are those that were registered first, so this one comes before there are any of
the tests. By then pytest has told its exit status, so a violation ends the process.
"""

from __future__ import annotations

import atexit
import functools
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import _pytest.pathlib

from .errors import InconclusiveRecording
from .notation import escape
from .scope import Kind, Owner

if TYPE_CHECKING:
    from .fixtures import SessionSource

__all__ = ["Exit"]


class Exit:
    """Watches from the end of pytest to that of the interpreter. One in a process: of the outermost run."""

    _watched = False

    def __init__(self, source: SessionSource) -> None:
        self._source = source
        self._pid = os.getpid()
        self._window: AbstractContextManager[None] | None = None
        self.status = 0
        """Of the run, as pytest gave it."""
        Exit._watched = True
        atexit.register(self._end)
        # pytest removes old temporary folders here: that is nobody's doing.
        vars(_pytest.pathlib)["atexit"] = self

    @classmethod
    def is_free(cls) -> bool:
        """Whether no run of this process is watched: one inside a test doesn't end with the interpreter."""
        return not cls._watched

    def register(self, function: Callable[..., Any], *args: Any, **named: Any) -> None:
        """As `atexit.register`, for what isn't to be recorded."""
        atexit.register(functools.partial(self._silently, function), *args, **named)

    def _silently(self, function: Callable[..., Any], *args: Any, **named: Any) -> None:
        phases = self._source.phases
        if phases is None or phases.session.started is None:
            function(*args, **named)
            return
        with phases.session.unobserved(entirely=True):
            function(*args, **named)

    def begin(self) -> None:
        """pytest has finished."""
        phases = self._source.phases
        if phases is not None and phases.session.started is not None:
            self._window = phases.outside(Owner(Kind.SESSION, "exit"), "exit")
            self._window.__enter__()

    def _end(self) -> None:
        if self._window is None or os.getpid() != self._pid:
            return
        try:
            self._window.__exit__(None, None, None)
        except (AssertionError, InconclusiveRecording) as problem:
            lines = [escape(line) for line in f"ebpf: {problem}".splitlines()]
            sys.stdout.flush()
            sys.stderr.write("\n".join(["", *lines, ""]))
            sys.stderr.flush()
            self._source.stop()
            os._exit(self.status or 1)
        self._source.stop()
