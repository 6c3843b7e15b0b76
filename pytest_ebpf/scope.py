"""Whose events count: the processes seen so far, and the rule that gives an event to a test."""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from .decode import Note, NoteKind
from .events import Process, SyscallEvent

__all__ = ["End", "Kind", "LiveTask", "Owner", "Scope", "Segments"]

CLONE_THREAD = 0x00010000
SIGSYS = 31
ENROLLED = 1 << 63
"""Set in the image of a process that was there before the recorder; the rest is its pid."""


@dataclass(frozen=True, slots=True)
class Segments:
    """A half-open range of segments: the stretch between two boundaries of windows."""

    first: int
    end: int | None = None
    """None while the window is open."""

    def __contains__(self, segment: int) -> bool:
        return self.first <= segment < (BETWEEN if self.end is None else self.end)


class Kind(enum.Enum):
    """What an owner is."""

    TEST = "test"
    """A test that is recorded."""
    UNRECORDED = "unrecorded"
    """A test that isn't, or pytest itself between the tests."""
    FIXTURE = "fixture"
    """A fixture of a wider scope than one test: its processes and threads count for the tests that use it."""
    INCLUDED = "included"
    """A process that somebody else started and a test added."""
    SESSION = "session"
    """What was there before the first test: imports, collection. It counts for every test."""


@dataclass(eq=False, slots=True)
class Owner:
    """Whose doing it is: every segment has one, and so has every task that was created in it."""

    kind: Kind
    name: str
    """Node id of a test, or the fixture's scope and name."""
    uses: Callable[[], Iterable[Owner]] = tuple
    """Of a test: the owners whose processes and threads count for it too."""
    first: int = 0
    """Number of its first segment."""
    call: Segments | None = None
    """Of a test: its call phase."""
    closed_ns: int | None = None
    """When the test function was over, on CLOCK_MONOTONIC."""
    ended_ns: int | None = None
    """When the teardown was over."""
    late: list[SyscallEvent] = field(default_factory=list)
    """What its tasks did after that, and outside its windows; the first `LATE_KEPT`."""
    rules: Any = None
    """What it is held to, also after its end."""
    seen: int = 0
    """How many of them were reported."""
    late_calls: int = 0
    """How many calls that were."""

    def __repr__(self) -> str:
        return f"<{self.kind.value} {self.name}>"

    def over_ns(self, tag: int) -> int | None:
        """When what a task with this tag does began to be late; None if it isn't yet.

        What a fixture of the test started may go on until the teardown is over.
        """
        in_call = self.call is not None and tag & NUMBER in self.call
        return self.closed_ns if in_call else self.ended_ns


LATE_KEPT = 1000
BETWEEN = 1 << 31
"""Set in the stamp of what happens while no window is open."""
SHARED = 1 << 30
"""Set in the tag of a task whose doings between windows are of no interest."""
NUMBER = SHARED - 1


def process_of(images: Mapping[int, Process], image: int, pid: int, comm: str) -> Process:
    """The process of an image; if its start wasn't seen, what an event says of it."""
    return images.get(image) or Process(pid=pid, comm=comm)


@dataclass(frozen=True, slots=True)
class End:
    """The end of a process: of its last thread."""

    note: Note
    process: Process
    status: int
    """As wait gives it: the exit code in the second byte, or the signal in the low seven bits."""


class LiveTask(NamedTuple):
    """What a task's own memory says of it."""

    slot: int
    image: int
    pid: int
    tid: int
    comm: str
    ns_pid: int
    tag: int


class Scope:
    """The processes of a session, kept up to date from the recording's notes."""

    def __init__(self, label: Callable[[int], str | None]) -> None:
        self._label = label
        self.images: dict[int, Process] = {}
        """Every process image of which an event may be held."""
        self.begun: set[int] = set()
        """The calls that started a process, a thread or a program, of those that may be held."""
        self._live: dict[int, tuple[int, int]] = {}
        self.own_pid = 0
        """Of the pytest process, as the kernel counts."""
        self.refused_by_seccomp: list[tuple[int, int]] = []
        """(segment, pid) of each task that seccomp killed: the call it died for is not recorded."""
        self.ends: list[End] = []
        """Of the processes that ended, in that order."""
        self._threads: defaultdict[int, set[int]] = defaultdict(set)
        self._processes: dict[int, tuple[int, int]] = {}
        """Tag and image of each live process, by its pid."""

    @property
    def slots(self) -> list[int]:
        """Slots of the live tasks."""
        return [slot for slot, _ in self._live.values()]

    @property
    def slot_of(self) -> dict[int, int]:
        """Slots of the live tasks, by tid."""
        return {tid: slot for tid, (slot, _) in self._live.items()}

    def forget(self) -> None:
        """Drop the processes that ended: no event of theirs is held any more."""
        alive = {image for _, image in self._live.values()}
        self.images = {image: process for image, process in self.images.items() if image in alive}
        self.begun.clear()
        self.refused_by_seccomp.clear()
        self.ends.clear()

    def restart(self, tasks: Iterable[LiveTask]) -> None:
        """Know these tasks as the live ones, whatever was heard of them."""
        self._live.clear()
        self._threads.clear()
        self._processes.clear()
        for task in tasks:
            self._live[task.tid] = (task.slot, task.image)
            self._threads[task.pid].add(task.tid)
            self._processes[task.pid] = (task.tag, task.image)
            if task.image not in self.images:
                own = task.pid == self.own_pid
                self.images[task.image] = Process(pid=task.pid, comm=task.comm, is_self=own, ns_pid=task.ns_pid)

    def take(self, note: Note, exe: str | None, argv: tuple[str, ...]) -> None:
        """Follow one note."""
        if note.kind in (NoteKind.FORK, NoteKind.EXEC):
            self.begun.add(note.call)
        if note.kind is NoteKind.TASK:
            self._enrol(note, exe)
        elif note.kind is NoteKind.FORK:
            self._fork(note)
        elif note.kind is NoteKind.EXEC:
            self._exec(note, exe, argv)
        else:
            self._exit(note)

    def living(self, is_owned: Callable[[int], bool]) -> list[Process]:
        """The live processes, other than pytest, whose tag is owned so."""
        return [
            process_of(self.images, image, pid, "?")
            for pid, (tag, image) in self._processes.items()
            if pid != self.own_pid and is_owned(tag)
        ]

    def _enrol(self, note: Note, exe: str | None) -> None:
        tid, pid, _, ns_pid, parent_pid, slot = note.args
        self._live[tid] = (slot, note.image)
        self._threads[pid].add(tid)
        if note.is_self:
            self.own_pid = pid
        self._processes[pid] = (note.tag, note.image)
        if tid == pid:
            parent = self.images.get(ENROLLED | parent_pid)
            self.images[note.image] = Process(
                pid=pid, comm=note.comm, exe=exe, parent=parent, is_self=note.is_self, ns_pid=ns_pid
            )

    def _fork(self, note: Note) -> None:
        tid, pid, _, ns_pid, flags, slot = note.args
        self._threads[pid].add(tid)
        if flags & CLONE_THREAD:
            self._live[tid] = (slot, note.image)
            return
        parent = self.images.get(note.image)
        self._live[tid] = (slot, note.call)
        self._processes[pid] = (note.tag, note.call)
        self.images[note.call] = Process(
            pid=pid,
            comm=note.comm,
            exe=parent.exe if parent else None,
            argv=parent.argv if parent else (),
            parent=parent,
            started_by=self._label(note.tag),
            ns_pid=ns_pid,
        )

    def _exec(self, note: Note, exe: str | None, argv: tuple[str, ...]) -> None:
        old_tid, slot = note.args[0], note.args[5]
        _, image = self._live.pop(old_tid, (0, 0))
        self._live[note.tid] = (slot, note.image)
        self._threads[note.pid].discard(old_tid)
        self._threads[note.pid].add(note.tid)
        if note.pid in self._processes:
            self._processes[note.pid] = (self._processes[note.pid][0], note.image)
        before = self.images.get(image)
        start = before or Process(pid=note.pid, comm=note.comm, started_by=self._label(note.tag))
        self.images[note.image] = replace(start, comm=note.comm, exe=exe, argv=argv)

    def _exit(self, note: Note) -> None:
        _, image = self._live.pop(note.tid, (0, note.image))
        self._end_of_thread(note, image)
        if note.args[0] & 0x7F == SIGSYS:
            self.refused_by_seccomp.append((note.segment, note.pid))

    def _end_of_thread(self, note: Note, image: int) -> None:
        """Keep the end of the process, if this was its last thread."""
        self._threads[note.pid].discard(note.tid)
        if self._threads[note.pid]:
            return
        del self._threads[note.pid]
        self._processes.pop(note.pid, None)
        self.ends.append(End(note, process_of(self.images, image, note.pid, note.comm), note.args[1]))
