"""Whose events count: the processes seen so far, and the rule that gives an event to a test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from .decode import Note, NoteKind
from .events import Process

__all__ = ["Scope", "Segments"]

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


class Scope:
    """The processes of a session, kept up to date from the recording's notes."""

    def __init__(self, label: Callable[[int], str | None]) -> None:
        self._label = label
        self._images: dict[int, Process] = {}
        self._live: dict[int, tuple[int, int]] = {}
        self.own_pid = 0
        """Of the pytest process, as the kernel counts."""
        self.kernel_workers: dict[int, str] = {}
        """Live kernel threads that act for a followed process, by tid: their work makes no system call."""
        self.refused_by_seccomp: list[tuple[int, int]] = []
        """(segment, pid) of each task that seccomp killed: the call it died for is not recorded."""

    @property
    def slots(self) -> list[int]:
        """Slots of the live tasks."""
        return [slot for slot, _ in self._live.values()]

    def forget(self) -> None:
        """Drop the processes that ended: no event of theirs is held any more."""
        alive = {image for _, image in self._live.values()}
        self._images = {image: process for image, process in self._images.items() if image in alive}
        self.refused_by_seccomp.clear()

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

    def process(self, image: int, pid: int, comm: str) -> Process:
        """The process behind an event."""
        known = self._images.get(image)
        if known is None:
            return Process(pid=pid, comm=comm, exe=None)
        return known

    def owns(self, whole: Segments, part: Segments, segment: int, tag: int, pid: int) -> bool:
        """Whether an event belongs to ``part`` of the window ``whole``.

        What another test started is that test's, whenever it acts.
        """
        if segment not in part:
            return False
        return pid == self.own_pid or tag == 0 or tag in whole

    def _enrol(self, note: Note, exe: str | None) -> None:
        tid, pid, _, _, parent_pid, slot = note.args
        self._live[tid] = (slot, note.image)
        if note.is_self:
            self.own_pid = pid
        if tid == pid:
            parent = self._images.get(ENROLLED | parent_pid)
            self._images[note.image] = Process(pid=pid, comm=note.comm, exe=exe, parent=parent, is_self=note.is_self)

    def _fork(self, note: Note) -> None:
        tid, pid, _, _, flags, slot = note.args
        if note.is_user_worker:
            self.kernel_workers[tid] = note.comm
        if flags & CLONE_THREAD:
            self._live[tid] = (slot, note.image)
            return
        parent = self._images.get(note.image)
        self._live[tid] = (slot, note.call)
        self._images[note.call] = Process(
            pid=pid,
            comm=note.comm,
            exe=parent.exe if parent else None,
            argv=parent.argv if parent else (),
            parent=parent,
            started_by=self._label(note.tag),
        )

    def _exec(self, note: Note, exe: str | None, argv: tuple[str, ...]) -> None:
        old_tid, slot = note.args[0], note.args[5]
        _, image = self._live.pop(old_tid, (0, 0))
        self._live[note.tid] = (slot, note.image)
        before = self._images.get(image)
        start = before or Process(pid=note.pid, comm=note.comm, started_by=self._label(note.tag))
        self._images[note.image] = replace(start, comm=note.comm, exe=exe, argv=argv)

    def _exit(self, note: Note) -> None:
        self._live.pop(note.tid, None)
        self.kernel_workers.pop(note.tid, None)
        if note.args[0] & 0x7F == SIGSYS:
            self.refused_by_seccomp.append((note.segment, note.pid))
