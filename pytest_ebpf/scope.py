"""Whose events count: the processes seen so far, and the rule that gives an event to a test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from .decode import Note, NoteKind
from .events import Process

__all__ = ["End", "Scope", "Segments"]

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
        return segment >= self.first and (self.end is None or segment < self.end)


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


class Scope:
    """The processes of a session, kept up to date from the recording's notes."""

    def __init__(self, label: Callable[[int], str | None]) -> None:
        self._label = label
        self.images: dict[int, Process] = {}
        """Every process image of which an event may be held."""
        self._live: dict[int, tuple[int, int]] = {}
        self.own_pid = 0
        """Of the pytest process, as the kernel counts."""
        self.refused_by_seccomp: list[tuple[int, int]] = []
        """(segment, pid) of each task that seccomp killed: the call it died for is not recorded."""
        self.ends: list[End] = []
        """Of the processes that ended, in that order."""
        self._threads: Counter[int] = Counter()

    @property
    def slots(self) -> list[int]:
        """Slots of the live tasks."""
        return [slot for slot, _ in self._live.values()]

    def forget(self) -> None:
        """Drop the processes that ended: no event of theirs is held any more."""
        alive = {image for _, image in self._live.values()}
        self.images = {image: process for image, process in self.images.items() if image in alive}
        self.refused_by_seccomp.clear()
        self.ends.clear()

    def take(self, note: Note, exe: str | None, argv: tuple[str, ...]) -> None:
        """Follow one note."""
        if note.kind is NoteKind.TASK:
            self._enrol(note, exe)
        elif note.kind is NoteKind.FORK:
            self._fork(note)
        elif note.kind is NoteKind.EXEC:
            self._exec(note, exe, argv)
        else:
            self._exit(note)

    def owns(self, whole: Segments, part: Segments, segment: int, tag: int, pid: int) -> bool:
        """Whether an event belongs to ``part`` of the window ``whole``.

        What another test started is that test's, whenever it acts.
        """
        if segment not in part:
            return False
        return pid == self.own_pid or tag == 0 or tag in whole

    def _enrol(self, note: Note, exe: str | None) -> None:
        tid, pid, _, ns_pid, parent_pid, slot = note.args
        self._live[tid] = (slot, note.image)
        self._threads[pid] += 1
        if note.is_self:
            self.own_pid = pid
        if tid == pid:
            parent = self.images.get(ENROLLED | parent_pid)
            self.images[note.image] = Process(
                pid=pid, comm=note.comm, exe=exe, parent=parent, is_self=note.is_self, ns_pid=ns_pid
            )

    def _fork(self, note: Note) -> None:
        tid, pid, _, ns_pid, flags, slot = note.args
        self._threads[pid] += 1
        if flags & CLONE_THREAD:
            self._live[tid] = (slot, note.image)
            return
        parent = self.images.get(note.image)
        self._live[tid] = (slot, note.call)
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
        self._threads[note.pid] -= 1
        if self._threads[note.pid] > 0:
            return
        del self._threads[note.pid]
        own, group = note.args[:2]  # before Linux 5.19 the group's is set only by exit_group and deadly signals
        self.ends.append(End(note, process_of(self.images, image, note.pid, note.comm), group or own))
