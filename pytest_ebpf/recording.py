"""One window: what was recorded between its opening and its closing, and the questions about it."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from . import report
from .alike import alike
from .assertions import Assertions
from .effects import FileEvents
from .errors import EbpfError
from .events import FileEvent, Gap, NetworkEvent, Process, ProcessEvent, SyscallEvent
from .notation import escape
from .scope import Owner, Segments
from .session import CALL_NUMBERS, Session
from .syscalls import Table

if TYPE_CHECKING:
    from .alike import Alike
    from .amendments import Amended
    from .probes import Probe

__all__ = ["Recording", "undescribed"]

REMEMBERED = 10_000
"""So many effects are kept from one question to the next."""
T = TypeVar("T", bound=Sequence[Any])


@functools.cache
def undescribed(table: Table) -> frozenset[str]:
    """The names of calls of which it isn't known what they do."""
    unnamed = {f"syscall_{number:#x}" for number in range(CALL_NUMBERS) if number not in table}
    return frozenset(unnamed | {call.name for _, call in table.items() if call.args and call.args[0].name == "arg0"})


class Recording(Assertions):
    """A window of a session; live while it is open, and readable after it is closed.

    Asked before it is open, or in a forked child, it raises EbpfError.
    """

    def __init__(self, session: Session, owner: Owner, parent: Recording | None = None) -> None:
        self._session = session
        self.owner = owner
        """Whose recording it is."""
        self._parent = parent
        self._segments: Segments | None = None
        self._opened_ns = 0
        self._probes: list[Probe] = []
        self._noted: set[tuple[int, int]] = set()
        self._known: dict[str, tuple[Hashable, Any]] = {}
        """What was made of the events, and of which version of them."""

    def __repr__(self) -> str:
        if self._segments is None:
            return "<recording: not begun>"
        state = "in progress" if self._segments.end is None else "ended"
        return f"<recording: {state}>"

    @contextmanager
    def window(self) -> Iterator[Recording]:
        """A part of this recording, with the same queries and assertions.

        >>> with ebpf.window() as w:
        ...     load_config("app.toml")
        >>> w.assert_syscall("openat", path="*/app.toml", count=1)
        """
        part = Recording(self._session, self.owner, self)
        part._shown_in = self._shown_in
        with self._session.unobserved():
            part.open()
        try:
            yield part
        finally:
            if self._session.started is not None:  # else a window that was never left ends with the interpreter
                with self._session.unobserved():
                    part.close()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing that begins inside is recorded, of any thread or process: neither events nor gaps.

        Raises EbpfError when the test is over: it is another one's recording that would pause.

        >>> with ebpf.paused():
        ...     warm_up_caches()
        """
        __tracebackhide__ = True
        if self.owner.ended_ns is not None:
            raise EbpfError("pause the recording: its test is over (end what the test started with it)")
        pause = object()
        try:
            self._session.pause(pause)
            yield
        finally:
            try:
                self._session.resume(pause)
            except BaseException:  # of a signal handler, before it came to that
                self._session.resume(pause)
                raise

    def include(self, pid: int) -> None:
        """Add a process that somebody else started, with what descends from it now and later, until the test ends.

        Raises EbpfError for a process that has ended or that another pytest process records, ValueError and TypeError
        for what is no pid. What it did before isn't there.

        >>> ebpf.include(server.pid)
        """
        __tracebackhide__ = True
        self._session.include(pid, self.owner)

    def _living(self) -> Sequence[Process]:
        return self._session.living(self.owner, self._part)

    def attach(
        self,
        text: str | None = None,
        src_file: str | os.PathLike[str] | None = None,
        cflags: Sequence[str] = (),
        usdt: Mapping[str, str] | None = None,
        usdt_pid: int | None = None,
    ) -> Probe:
        """Run a BCC program of your own until the window ends; by its functions' names it attaches itself.

        In it EBPF_IN_SCOPE() is true for what counts for this test, and EBPF_WINDOW() is the number of the segment.
        ``src_file`` is a path, or the name of a program that a plugin ships (`pytest_ebpf_snippets`). ``usdt`` names
        a function for each probe, as {"/usr/lib/libx.so:probe": "on_probe"}; those that a semaphore switches on need
        the ``usdt_pid`` of a running process.

        Raises EngineUnavailable, ProbeError.

        >>> probe = ebpf.attach(src_file="faults.c")
        >>> load_config("app.toml")
        >>> assert probe["faults"][0] < 100
        """
        with self._session.unobserved(entirely=True):
            from .probes import attach

            scope, maps = self._session.scope_of(self.owner, self._whole)
            mute = self._session.unobserved, self._session.childless
            probe = attach(
                *mute,
                scope,
                maps,
                text=text,
                src_file=src_file,
                cflags=cflags,
                usdt=usdt or {},
                usdt_pid=usdt_pid,
                snippets=self._session.snippets(),
            )
        self._probes.append(probe)
        return probe

    def open(self) -> None:
        """Begin to record. The last step is the store that does it."""
        self._opened_ns = time.monotonic_ns()
        self._segments = Segments(self._session.last_segment + 1)
        if self._parent is None:
            self._session.begin_recording(self)
        else:
            self._session.begin_segment()

    def close(self) -> None:
        """End the window, and go on recording for the window around it, if any. Harmless if it isn't open."""
        if self._segments is None or self._segments.end is not None:
            return
        while self._probes and self._session.started is not None:
            self._probes.pop().detach()
        end = self._session.end_recording(self) if self._parent is None else self._session.begin_segment()
        self._segments = Segments(self._segments.first, end)

    def forget(self) -> None:
        """Hold no events any longer: the next test begins, and pytest keeps the recording with its test."""
        self._known.clear()

    def note_outputs(self) -> None:
        """Remember which files pytest's output goes to now, for questions that are asked when it has closed them."""
        from .places import outputs

        with self._session.unobserved(entirely=True):
            self._noted |= outputs()

    @property
    def begun(self) -> bool:
        """Whether the window was opened."""
        return self._segments is not None

    def describe(self) -> str:
        """The recording for a report: the first and last events, and the gaps."""
        if self._segments is None:
            return "nothing: the test function did not begin"
        told = [f"dropped by plugins: {count:,} ({escape(reason)})" for reason, count in self.dropped.items()]
        return "\n".join([report.recording(self.events, self.gaps), *told])

    @property
    def dropped(self) -> Mapping[str, int]:
        """How many events plugins dropped, by the reason that they gave."""
        amended = self._amended(self._part)
        return amended.dropped if amended is not None else {}

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Why absence isn't proven; empty if it is."""
        gaps = (*self._session.gaps(self.owner, self._part), *self._unknown_calls())
        amended = self._amended(self._part)
        return gaps if amended is None else (*gaps, *amended.gaps)

    def _unknown_calls(self) -> Iterator[Gap]:
        """Calls that the table doesn't have, as of a newer kernel: what they do isn't known."""
        calls = alike(self._session.calls(self.owner, self._part, undescribed(self._table)))
        for kind, one in calls.kinds():
            if one.errno != "ENOSYS":
                count = len(calls.of([kind]))
                yield Gap(
                    f"process {one.pid} made {count:,} calls {one.name}, which this version doesn't know",
                    "update pytest-ebpf and system-calls; an assertion on other calls can still be decided",
                    calls=frozenset(),
                    count=count,
                    may_be=self._table.names,
                )

    def _events(self, names: frozenset[str] | None) -> Sequence[SyscallEvent]:
        __tracebackhide__ = True
        return self._calls(self._part, names)

    def _calls(self, part: Segments, names: frozenset[str] | None) -> Sequence[SyscallEvent]:
        amended = self._amended(part)
        if amended is None:
            return self._session.calls(self.owner, part, names)
        return [event for event in amended.events if names is None or event.name in names]

    def _amended(self, part: Segments) -> Amended | None:
        """All events as plugins want them; None if there is no such plugin."""
        if self._session.amendments is None:
            return None
        return self._session.amendments.amend(self._session.calls(self.owner, part, None))

    def _is_blank(self, *, is_proof_due: bool = False) -> bool:
        return self._session.is_blank(self._part, is_proof_due=is_proof_due)

    def _file_effects(self) -> Alike[FileEvent]:
        return self._remembered(super()._file_effects)

    def _network_effects(self) -> Sequence[NetworkEvent]:
        return self._remembered(super()._network_effects)

    def _process_effects(self) -> Sequence[ProcessEvent]:
        return self._remembered(super()._process_effects)

    def _remembered(self, make: Callable[[], T]) -> T:
        """What it makes of the events: the same again, while they are the same and it takes little memory."""
        if self._session.amendments is not None:
            return make()
        version = self._session.version(self.owner, self._part)
        known = self._known.get(make.__name__)
        if known is not None and known[0] == version:
            again: T = known[1]
            return again
        found = make()
        if isinstance(found, FileEvents) or len(found) <= REMEMBERED:
            self._known[make.__name__] = version, found
        return found

    def _file_context(self) -> Alike[FileEvent] | None:
        if self._parent is None:
            return None
        wider = self._parent._file_context()
        return self._parent._file_effects() if wider is None else wider

    def _ends(self) -> Sequence[SyscallEvent]:
        return self._session.ends(self.owner, self._part)

    def _told(self) -> Sequence[SyscallEvent]:
        return self._session.told(self.owner, self._part)

    def _outputs(self) -> Set[tuple[int, int]]:
        return self._noted if self._parent is None else self._parent._outputs()

    def _context(self, names: frozenset[str]) -> Sequence[SyscallEvent] | None:
        return None if self._parent is None else self._calls(self._whole, names)

    def _silently(self, *, entirely: bool = False) -> AbstractContextManager[None]:
        return self._session.unobserved(entirely=entirely)

    @property
    def _table(self) -> Table:
        return self._session.table

    @property
    def _start_ns(self) -> int:
        return self._opened_ns

    @property
    def _part(self) -> Segments:
        __tracebackhide__ = True
        if self._segments is None:
            raise EbpfError(
                "read the recording: it begins with the test function "
                "(assert in the test itself, or in a fixture after its yield)"
            )
        if self._parent is not None and self._segments.end is None:
            # A window that was never left ends with the one around it.
            return Segments(self._segments.first, self._parent._part.end)
        return self._segments

    @property
    def _whole(self) -> Segments:
        __tracebackhide__ = True
        return self._part if self._parent is None else self._parent._whole
