"""One per pytest process: owns the engine and the memory shared with the BPF programs.

Time is cut into *segments*, numbered upwards: every boundary of a window or a phase begins a new one, and each has an
owner. The current number stands in the control page; each call is stamped with it at entry if a window is open, and a
window is a range of numbers. So opening and closing a window is a store to memory, and a call belongs to the window in
which it began. Whose doing the call is says its *tag*, the number of the segment in which its cause lies: see scope.py.
"""

from __future__ import annotations

import gc
import os
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from . import effects
from .decode import (
    CALL_KIND,
    EVENT,
    EVENT_BYTES,
    RING_KIND,
    Blob,
    BlobKind,
    EventFlag,
    RawCall,
    decode_call,
    decode_note,
    end_of_process,
    parse_blob,
    program_of,
    specs,
)
from .engines._ffi import SharedMemory, interpreter_locks
from .engines.base import BLOBS_BYTES, EVENTS_BYTES, SESSION_OFFSET, TASK_BYTES, TASK_SLOTS, Engine, Started
from .engines.ring import HEADER_BYTES, Ring, RingStuck
from .errors import EbpfError
from .events import Gap, Process, SyscallEvent
from .files import Files
from .hooks import HOOK_KIND, amend, areas, decode_hook, foreign_names, is_of_call, stand_in, told_by
from .scope import BETWEEN, LATE_KEPT, NUMBER, SHARED, Kind, Owner, Scope, Segments, process_of
from .syscalls import RING, Table, is_opaque, table

if TYPE_CHECKING:
    from .amendments import Amendments

__all__ = ["Calls", "Session"]

# Sizes of the maps, as bpf_snippets/include/scope.h declares them.
CALL_NUMBERS = 512
SEGMENT_ROWS = 64
LOSS_ROWS = 72
SPEC_BYTES = 8
CONTROL_BYTES = 128
LOSS_BYTES = LOSS_ROWS * CALL_NUMBERS * 4
# Fields of struct control, in words of four bytes.
SEGMENT, ENROLLED, LOST_TASKS, LOST_NOTES, SELF_PID, GENERATION = range(6)
LOST_RINGS, LOST_CALLS, TAG, NOW, FIRST, BETWEEN_STAMP, PAUSED_FROM, RUNNER = range(10, 18)
LOCKS_FROM, LOCKS_TO = 9, 10
"""In words of eight bytes."""
REFUSED, LOST_HOOKS = 22, 23
NEVER = (1 << 32) - 1
# Fields of struct task.
CALL_OFFSET = 16
TASK_TAG_OFFSET = 108
TASK_SINCE_OFFSET = 112
IDS_OFFSET = 152
STATE_OFFSET = 160
MUTED_OFFSET = 161
OWN_TAG_OFFSET = 164
CERTAIN_OFFSET = 180
# Fields of struct event.
SEGMENT_OFFSET = 104
TAG_OFFSET = 108
SINCE_OFFSET = 112
KIND_OFFSET = 118
FLAGS_OFFSET = 119
UNREAD_OFFSET = 120
LOST_OFFSET = 121
NUMBER_OFFSET = 116
RECORDED = 2
RING_FILE = "anon_inode:[io_uring]"
RING_CALLS = frozenset({"io_uring_setup", "io_uring_enter"})
# Of struct task's `muted`.
QUIETLY_MUTED, ENTIRELY_MUTED, CHILDREN_MUTED = 1, 2, 3
CHUNK_SLOTS = 1024
FLAGS_FIELD = 5
"""Of /proc/PID/stat, counted from behind the state."""
PF_KTHREAD = 0x00200000
ENROLMENTS = 3
"""How often the processes that are there are looked for: until no new one is found."""

STRIDE = HEADER_BYTES + EVENT_BYTES


class Session:
    """A running engine and all that it has recorded and not yet dropped."""

    def __init__(self, engine: Engine, harness: frozenset[int] = frozenset()) -> None:
        self.engine = engine
        self.table: Table = table()
        self.started: Started | None = None
        self.watched: frozenset[effects.Kind] = frozenset()
        """The areas that hooks of the kernel watch: see hooks.py."""
        self.amendments: Amendments | None = None
        """What plugins make of the events."""
        self.last_segment = 0
        self._owner_of = [Owner(Kind.UNRECORDED, "?")]
        """Of each segment; what serves the test runner has number 0."""
        self._labels = ["?"]
        self.current = Owner(Kind.SESSION, "before the tests")
        """Whose segment it is now."""
        self._kept_from = 0
        """The first segment of which anything is held."""
        self._lost_before = {LOST_NOTES: 0, LOST_RINGS: 0, LOST_HOOKS: 0}
        self._owner = os.getpid()
        self.label = ""
        self.runner = 0
        """The thread that runs the tests."""
        self._open = 0
        """How many recordings are open that are no part of another."""
        self._betweens = 0
        self._included: list[Owner] = []
        """By the current test."""
        self._pauses: set[object] = set()
        self._losses: dict[int, Counter[int]] = {}
        self._blocks: list[bytes] = []
        self._unsearched: list[bytes] = []
        """Those in which no late events were looked for yet."""
        self.late: list[Owner] = []
        """The tests that have late events."""
        self._blobs: dict[int, list[Blob]] = {}
        self._hooks: dict[int, list[RawCall]] = {}
        """What hooks told, by the call that it was in; 0 = none."""
        self._files = Files()
        self._broken: list[Gap] = []
        self._harness: frozenset[int] = harness
        self._local = threading.local()
        self._lock = threading.RLock()
        self._memory: list[SharedMemory | Ring] = []
        self.scope = Scope(self._label_of)

    # -- life ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the engine and follow this process, its threads and its descendants.

        Raises EngineUnavailable or ProbeError, and is then as if never started.
        """
        started = self.engine.start()
        maps = started.maps
        try:
            self._events = self._keep(Ring(maps["events"], EVENTS_BYTES))
            self._blob_ring = self._keep(Ring(maps["blobs"], BLOBS_BYTES))
            row = self._share(maps["controls"], CONTROL_BYTES, started.session)
            row[:] = bytes(CONTROL_BYTES)
            self._control = row.cast("I")
            # Another generation than that of any session that had this row before.
            self._control[GENERATION] = time.monotonic_ns() & NEVER
            self._control[PAUSED_FROM] = NEVER
            row.cast("Q")[LOCKS_FROM : LOCKS_TO + 1] = memoryview(struct.pack("QQ", *interpreter_locks())).cast("Q")
            self._tasks = self._share(maps["tasks"], TASK_SLOTS * TASK_BYTES)
            self._loss_rows = self._share(maps["losses"], LOSS_BYTES, started.session)
            self._loss_rows[:] = bytes(LOSS_BYTES)
            self._share(maps["specs"], CALL_NUMBERS * SPEC_BYTES)[:] = specs(self.table, CALL_NUMBERS)
            self.started = started
            self.watched = areas(probe.hook for probe in started.probes)
            self.begin_segment()
            self._enrol()
            self._control[RUNNER] = self._own_slot()
            self.runner = threading.get_ident()
        except BaseException:
            self.stop()
            raise
        finally:
            for fd in maps.values():
                os.close(fd)
        _sessions.add(self)

    def stop(self) -> None:
        """Stop the engine and give the memory back. Recordings read before stay good."""
        _sessions.discard(self)
        self.abandon()
        if os.getpid() != self._owner:
            return  # a forked child: neither the engine nor the memory is its own
        self.engine.stop()
        for memory in self._memory:
            memory.close()
        self._memory.clear()

    def abandon(self) -> None:
        """Touch the shared memory no more, as a forked child doesn't have it. Makes no system call."""
        self.started = None
        self._control = memoryview(bytearray(CONTROL_BYTES)).cast("I")

    def _check_alive(self) -> None:
        """Prove that the programs still run, by a call that is not recorded on a muted thread; else leave a gap."""
        slot = self._own_slot()
        if not slot:
            self._break(
                "the thread that asks is not followed: it began when too many tasks lived at one time",
                "start fewer processes and threads at one time, or assert in another thread",
            )
            return
        call = slot * TASK_BYTES + CALL_OFFSET
        before = bytes(self._tasks[call : call + 8])
        self.engine.poke()
        if bytes(self._tasks[call : call + 8]) == before:
            self._break(
                "the eBPF programs no longer run: they were detached, or their keeper process was killed",
                "look for another tool that removes eBPF programs, or for the out-of-memory killer",
            )

    def _keep(self, ring: Ring) -> Ring:
        self._memory.append(ring)
        return ring

    def _share(self, fd: int, size: int, row: int = 0) -> memoryview:
        """The memory of a map, or one row of it."""
        page = os.sysconf("SC_PAGESIZE")
        start, inside = divmod(row * size, page)
        memory = SharedMemory(fd, -(-(inside + size) // page) * page, writable=True, offset=start * page)
        self._memory.append(memory)
        return memory.view[inside : inside + size]

    def _enrol(self) -> None:
        """Follow this process, and what it has started."""
        if not self._enrol_all(0, self._tag):
            self._break(
                "processes were started faster than they could be enrolled when the recorder started",
                "start the test session when no other process of it is busy",
            )
        self._drain()
        words = self._tasks.cast("I")
        for slot in self.scope.slots:
            start = slot * TASK_BYTES
            ids = int.from_bytes(self._tasks[start + IDS_OFFSET : start + IDS_OFFSET + 8], "little")
            # The keeper is a child of pytest's where that is the init of its PID namespace.
            if ids >> 32 == self.engine.pid or (ids >> 32 == _own_pid and ids & NEVER in self._harness):
                words[(start + OWN_TAG_OFFSET) // 4] = words[(start + TASK_TAG_OFFSET) // 4] = 0

    def _enrol_all(self, pid: int, tag: int) -> bool:
        """Look for a process and its descendants until nobody new is found; False if there was always someone."""
        for _ in range(ENROLMENTS):
            before = self._control[ENROLLED]
            self.engine.enrol(pid, tag)
            if self._control[ENROLLED] == before:
                return True
        return False

    def include(self, pid: int, owner: Owner) -> None:
        """Follow a process that somebody else started, and its descendants, for a test."""
        if isinstance(pid, bool) or not isinstance(pid, int):
            raise TypeError(f"include: expected the pid of a process, an int, not {type(pid).__name__}")
        if pid <= 0:
            raise ValueError(f"include({pid}): no process has that pid (give one above 0)")
        with self._lock, self.unobserved(entirely=True):
            self._drain()
            self._check_included(pid)
            before, refused = self._control[ENROLLED], self._control[REFUSED]
            number = self._add_segment(Owner(Kind.INCLUDED, f"process {pid}"), f"included in {owner.name}")
            self._included.append(self._owner_of[number])
            settled = self._enrol_all(pid, number | SHARED)
            self._drain()
        if self._control[REFUSED] != refused:
            raise EbpfError(f"include({pid}): another pytest process records it (include it in one worker alone)")
        if self._control[ENROLLED] == before:
            raise EbpfError(f"include({pid}): it ended meanwhile (it must be running when it is included)")
        if not settled:
            self._break(
                f"process {pid} started others faster than they could be included",
                "include it when it is idle",
            )

    def _check_included(self, pid: int) -> None:
        try:
            status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
            leader = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            raise EbpfError(f"include({pid}): no such process (it must be running when it is included)") from None
        state, *fields = status.rpartition(")")[2].split()
        if state in "ZX":
            raise EbpfError(f"include({pid}): the process has ended (it must be running when it is included)")
        if int(fields[FLAGS_FIELD]) & PF_KTHREAD:
            raise EbpfError(f"include({pid}): it is a thread of the kernel (give a running program)")
        if f"\nTgid:\t{pid}\n" not in leader:
            raise EbpfError(f"include({pid}): that is a thread of a process (give the pid of the process)")
        if pid == _own_pid:
            raise EbpfError(f"include({pid}): that is pytest itself, which is recorded already")

    def _release_included(self) -> None:
        """Record no more what a test included."""
        if not self._included:
            return
        mine = {number for number, owner in enumerate(self._owner_of) if owner in self._included}
        words = self._tasks.cast("I")
        for slot in self.scope.slots:
            for offset in (OWN_TAG_OFFSET, TASK_TAG_OFFSET):
                place = (slot * TASK_BYTES + offset) // 4
                if words[place] & NUMBER in mine:
                    words[place] = 0
        self._included.clear()

    def _break(self, reason: str, hint: str) -> None:
        gap = Gap(reason, hint)
        if gap not in self._broken:
            self._broken.append(gap)

    # -- windows ------------------------------------------------------------------------------------------------

    def begin_recording(self) -> int:
        """Begin a segment and record it, unless paused. Its number."""
        self._open += 1
        return self.begin_segment()

    def end_recording(self) -> int:
        """End the current segment; record nothing unless another recording is open. The number of the next segment."""
        self._open -= 1
        return self.begin_segment()

    def begin_segment(self) -> int:
        """Begin the next segment, of the current owner. Its number."""
        segment = self._add_segment(self.current, self.label)
        if self.started is None:
            return segment
        if self._control[LOST_CALLS]:
            self._save_losses(segment - SEGMENT_ROWS)
            row = self._loss_row(segment)
            row[:] = bytes(len(row))
        self._record()
        return segment

    def _add_segment(self, owner: Owner, label: str) -> int:
        self.last_segment += 1
        self._owner_of.append(owner)
        self._labels.append(label)
        return self.last_segment

    def begin_test(self, owner: Owner) -> None:
        """Drop what an earlier test recorded, and the pauses it left: a new test is current."""
        if self.started is None:
            return  # a forked child that runs on: it can't record
        self._pauses.clear()
        self._open = 0
        self._release_included()
        self._control[RUNNER] = self._own_slot()
        self.runner = threading.get_ident()
        # An exception of a signal handler may have left this behind.
        self._tasks[self._own_slot() * TASK_BYTES + MUTED_OFFSET] = 0
        self.forget()
        owner.first = self._kept_from = self.last_segment + 1
        self._control[FIRST] = owner.first
        self._lost_before = {word: self._control[word] for word in (LOST_NOTES, LOST_RINGS, LOST_HOOKS)}
        self.begin_phase(owner, owner.name)

    def begin_phase(self, owner: Owner, label: str) -> None:
        """Name what follows; ``label`` is the test with its phase, or the fixture."""
        self.current = owner
        self.label = label
        self.begin_segment()

    def acts_for(self, owner: Owner) -> bool:
        """Whether what this thread does is certainly this owner's."""
        return self.current is owner and threading.get_ident() == self.runner

    @contextmanager
    def acting_for(self, owner: Owner) -> Iterator[None]:
        """While this thread does what a callback of a test says, which need not be the current one."""
        if self.started is None:
            yield
            return
        tag = owner.first if owner.call is None else owner.call.first
        if threading.get_ident() == self.runner:
            self._control[TAG] = tag
            try:
                yield
            finally:
                self._control[TAG] = self._tag
            return
        task = self._tasks[self._own_slot() * TASK_BYTES :][:TASK_BYTES]
        words = task.cast("I")
        before = task[CERTAIN_OFFSET], words[TASK_TAG_OFFSET // 4], words[TASK_SINCE_OFFSET // 4]
        task[CERTAIN_OFFSET] = 1
        words[TASK_TAG_OFFSET // 4], words[TASK_SINCE_OFFSET // 4] = tag, self.last_segment
        try:
            yield
        finally:
            task[CERTAIN_OFFSET], words[TASK_TAG_OFFSET // 4], words[TASK_SINCE_OFFSET // 4] = before

    def pause(self) -> object:
        """Record nothing until this pause is over: give `resume` what this returns."""
        pause = object()
        self._pauses.add(pause)
        self._record()
        return pause

    def resume(self, pause: object) -> None:
        """End one pause."""
        self._pauses.discard(pause)
        self._record()

    @property
    def _tag(self) -> int:
        """Of what the runner does now."""
        return self.last_segment | (0 if self.current.kind is Kind.TEST else SHARED)

    def _record(self) -> None:
        """The stores that open and close windows. Made so that none in between records too little."""
        control = self._control
        control[PAUSED_FROM] = self._control[FIRST] if self._pauses else NEVER
        if self._open and not self._pauses:
            control[TAG], control[NOW] = self._tag, self.last_segment
            control[SEGMENT] = self.last_segment
        else:
            self._betweens += 1
            control[BETWEEN_STAMP] = BETWEEN | self._betweens
            control[SEGMENT] = 0
            control[TAG], control[NOW] = self._tag, self.last_segment

    def _label_of(self, tag: int) -> str | None:
        """Of the test and phase, or the fixture, that a tag names; None if it is before all of them."""
        number = tag & NUMBER
        owner = self._owner_of[number] if number < len(self._owner_of) else None
        return self._labels[number] if owner is not None and owner.kind is not Kind.SESSION else None

    def owner_of(self, tag: int) -> Owner:
        """Whose doing a tag stands for."""
        number = tag & NUMBER
        return self._owner_of[number if number < len(self._owner_of) else 0]

    def forget(self) -> None:
        """Drop what is recorded so far: no window needs it."""
        with self._lock:
            self._control[GENERATION] = self._control[GENERATION] + 1 & NEVER
            self._drain()
            self.find_late()
            self._files = Files(before=self._files)
            self._blocks.clear()
            self._blobs = {}  # a recording that somebody kept has the old one
            self._hooks = {}
            self._losses.clear()
            self.scope.forget()

    @contextmanager
    def unobserved(self, *, entirely: bool = False) -> Iterator[None]:
        """The plugin's own work on this thread: its memory and lock calls are not recorded, others are.

        No call at all is recorded ``entirely``, as where a library is loaded; nothing of the user's may run then.
        The garbage collector waits, lest it runs the test's finalisers here.
        """
        if self.started is None:
            raise EbpfError(
                "read the recording: the session is over (ask while pytest runs)"
                if os.getpid() == _own_pid
                else "read the recording: a forked child can't (assert in the pytest process)"
            )
        muted = self._own_slot() * TASK_BYTES + MUTED_OFFSET
        before = self._tasks[muted]
        during = max(before, ENTIRELY_MUTED if entirely else QUIETLY_MUTED)
        collecting = gc.isenabled()
        try:
            # A signal handler may raise after any call: none stands between a store and the try, or the finally.
            self._tasks[muted] = during
            gc.disable()
            yield
        finally:
            self._tasks[muted] = before
            if collecting:
                gc.enable()

    def scope_of(self, owner: Owner, whole: Segments) -> tuple[dict[str, Any], dict[str, int]]:
        """What a BPF program needs to tell whether a task is in this window: where things stand, and in which maps.

        ``tags`` are the segments in which what counts for the owner was created, as far as they have begun: what comes
        is the owner's.
        """
        assert self.started is not None
        mine = self._circle(owner)
        tags: list[tuple[int, int]] = []
        for number, each in enumerate(self._owner_of):
            if not number or not (each in mine or each.kind is Kind.SESSION):
                continue
            first = tags.pop()[0] if tags and tags[-1][1] == number else number
            tags.append((first, number + 1))
        tags.append((self.last_segment + 1, SHARED))
        places = {
            "session": self.started.session,
            "segment": SEGMENT * 4,
            "now": TAG * 4,
            "runner": RUNNER * 4,
            "first": whole.first,
            "number": NUMBER,
            "tags": tags,
            "muted": MUTED_OFFSET,
            "owner": SESSION_OFFSET,
            "tag": TASK_TAG_OFFSET,
        }
        return places, {name: self.started.numbers[name] for name in ("slots", "tasks", "controls")}

    @property
    def muted(self) -> bool:
        """Whether this thread's memory and lock calls aren't recorded: the runner, while pytest is at its own work.

        All others are: finalizers, hooks and classes of the user's run between the functions of fixtures.
        """
        if self.started is None:
            return False
        return self._tasks[self._own_slot() * TASK_BYTES + MUTED_OFFSET] == QUIETLY_MUTED

    @muted.setter
    def muted(self, muted: bool) -> None:
        if self.started is not None:
            self._tasks[self._own_slot() * TASK_BYTES + MUTED_OFFSET] = QUIETLY_MUTED if muted else 0

    @contextmanager
    def childless(self) -> Iterator[None]:
        """Inside `unobserved`, entirely: what this thread starts is the plugin's own, and not followed."""
        muted = self._own_slot() * TASK_BYTES + MUTED_OFFSET
        before = self._tasks[muted]
        try:
            self._tasks[muted] = CHILDREN_MUTED
            yield
        finally:
            self._tasks[muted] = before

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """While pytest is at work on this thread, with no code of the user's: no call of it is recorded, if any is."""
        if self.started is None:
            yield
            return
        with self.unobserved(entirely=True):
            yield

    def _own_slot(self) -> int:
        """The task slot of this thread. Makes no system call."""
        slot: int | None = getattr(self._local, "slot", None)
        if slot is None:
            ids = _own_pid << 32 | (threading.current_thread().native_id or 0)
            words = self._tasks.cast("Q")
            slot, chunk = 0, CHUNK_SLOTS * TASK_BYTES // 8
            # In pieces, as the interpreter would take memory from the system for a list of all.
            for start in range(0, len(words), chunk):
                column = words[start + IDS_OFFSET // 8 : start + chunk : TASK_BYTES // 8].tolist()
                if ids in column:
                    slot = start * 8 // TASK_BYTES + column.index(ids)
                    break
            if slot:
                self._local.slot = slot
        return slot

    # -- reading ------------------------------------------------------------------------------------------------

    def calls(self, owner: Owner, part: Segments, names: frozenset[str] | None = None) -> Calls:
        """Events of the calls in a window of ``owner``, in order of entry. ``names`` None means all."""
        with self._lock, self.unobserved():
            self._check_kept(part)
            self._drain()
            flying = self._in_flight()
            self._drain()
            numbers = None if names is None else self._numbers(names)
            mine = self._circle(owner)
            found = [(raw.entry_ns, raw, False) for raw in self._select(owner, mine, part, numbers)]
            finished = {raw.call for _, raw, _ in found}
            found += [
                (raw.entry_ns, raw, True)
                for raw in flying
                if raw.call not in finished
                and self._wanted(raw, numbers)
                and raw.segment in part
                and self._belongs(raw.tag, raw.segment, mine, owner)
            ]
            found.sort(key=_entry_ns)
            return Calls(self, self._decoder(), [(raw, in_flight) for _, raw, in_flight in found])

    def ends(self, owner: Owner, part: Segments) -> list[SyscallEvent]:
        """The ends of processes in a window of ``owner``, each in place of a call."""
        with self._lock, self.unobserved():
            self._check_kept(part)
            self._drain()
            mine = self._circle(owner)
            return [
                end_of_process(end.note, end.process, end.status)
                for end in self.scope.ends
                if end.note.segment in part and self._belongs(end.note.tag, end.note.segment, mine, owner)
            ]

    def told(self, owner: Owner, part: Segments) -> list[SyscallEvent]:
        """What hooks told in a window of ``owner`` that no call tells of itself; each in place of a call."""
        with self._lock, self.unobserved():
            self._check_kept(part)
            self._drain()
            if not self._hooks:
                return []
            mine = self._circle(owner)
            foreign = {raw.call: raw for raw in self._marked(owner, mine, part) if raw.flags & EventFlag.FOREIGN.value}
            found = []
            for call, raws in self._hooks.items():
                for raw in raws:
                    if raw.segment not in part or not self._belongs(raw.tag, raw.segment, mine, owner):
                        continue
                    if is_of_call(raw, self.table):
                        continue
                    hook = decode_hook(raw, self._blobs.get(raw.call, ()), self._files)
                    process = process_of(self.scope.images, raw.image, raw.pid, raw.comm)
                    found.append(stand_in(raw, hook, process, foreign.get(call)))
            return sorted(found, key=lambda event: event.timestamp_ns)

    def gaps(self, owner: Owner, part: Segments) -> tuple[Gap, ...]:
        """Why the recording of a window of ``owner`` is not complete; empty if it is."""
        with self._lock, self.unobserved():
            self._check_kept(part)
            flying = self._in_flight()  # before those that have returned are taken over
            self._drain()
            self._check_alive()
            mine = self._circle(owner)
            return (
                *self._broken,
                *self._ambiguous(owner, mine, part),
                *self._lost_calls(part),
                *self._lost_tasks(),
                *self._hidden_rings(owner, mine, part),
                *self._undecoded(owner, mine, part, flying),
            )

    def living(self, owner: Owner, part: Segments) -> list[Process]:
        """The processes that were started in a part of a test and have not ended."""
        with self._lock, self.unobserved():
            self._drain()
            return self.scope.living(lambda tag: self.owner_of(tag) is owner and tag & NUMBER in part)

    def _circle(self, owner: Owner) -> set[Owner]:
        """All whose doings count for an owner."""
        return {owner, *self._included, *owner.uses()}

    def _belongs(self, tag: int, segment: int, mine: set[Owner], owner: Owner) -> bool:
        """Whether an event of a window counts: not what a fixture of a wider scope does in its own setup."""
        cause = self.owner_of(tag)
        if cause is owner:
            return True
        return self._counts(cause, mine) and self.owner_of(segment) is owner

    def _counts(self, cause: Owner, mine: set[Owner]) -> bool:
        """Whether what this owner's tasks do counts: what was there before the tests does for all of them."""
        return cause in mine or cause.kind is Kind.SESSION

    def _check_kept(self, part: Segments) -> None:
        """Raise EbpfError for a recording whose events are held no more."""
        if part.first < self._kept_from:
            raise EbpfError(
                "read the recording of an earlier test: it was dropped when the next one began "
                "(ask in the test itself, or keep what .events gave)"
            )

    def _ambiguous(self, owner: Owner, mine: set[Owner], part: Segments) -> Iterator[Gap]:
        """Calls in the window by tasks of others, of which it can't be told whether they were this test's work."""
        calls: Counter[str] = Counter()
        who: Counter[tuple[int, str]] = Counter()
        foreign = 0
        for raw in self._of_others(mine, part):
            certain = raw.since >= owner.first if raw.pid == self.scope.own_pid else raw.since
            if not certain:
                calls[self.table.by_number(raw.nr).name] += 1
                foreign += raw.flags & EventFlag.FOREIGN.value
                who[raw.pid, self.owner_of(raw.tag).name] += 1
        if calls:
            names = ", ".join(f"{pid} of {name}" for pid, name in sorted(who)[:3])
            yield Gap(
                f"threads or processes that something else started ({names}) made {calls.total():,} calls, perhaps for "
                "this test",
                "start them in a fixture that the test uses, or end them with the test that starts them",
                calls=None if foreign else frozenset(calls),
                count=calls.total(),
            )

    def _of_others(self, mine: set[Owner], part: Segments) -> Iterator[RawCall]:
        """The calls in a window that are somebody else's."""
        for block in self._blocks:
            tags = _column(block, TAG_OFFSET, "I")
            others = {tag for tag in set(tags) if not self._counts(self.owner_of(tag), mine)}
            if not others:
                continue
            kinds, segments = _column(block, KIND_OFFSET), _column(block, SEGMENT_OFFSET, "I")
            for index, tag in enumerate(tags):
                if tag in others and kinds[index] in (CALL_KIND, RING_KIND) and segments[index] in part:
                    yield RawCall(EVENT.unpack_from(block, index * STRIDE + HEADER_BYTES))

    def find_late(self) -> None:
        """Hand each test whose function is over what its tasks did since, outside its windows."""
        decode = self._decoder()
        while self._unsearched:
            block = self._unsearched.pop(0)
            tags = _column(block, TAG_OFFSET, "I")
            over = {tag: over_ns for tag in set(tags) if (over_ns := self.owner_of(tag).over_ns(tag)) is not None}
            if not over:
                continue
            kinds, segments = _column(block, KIND_OFFSET), _column(block, SEGMENT_OFFSET, "I")
            for index, tag in enumerate(tags):
                if tag not in over or kinds[index] not in (CALL_KIND, RING_KIND):
                    continue
                owner, segment = self.owner_of(tag), segments[index]
                raw = RawCall(EVENT.unpack_from(block, index * STRIDE + HEADER_BYTES))
                if raw.entry_ns < over[tag] or (segment < BETWEEN and self.owner_of(segment) is owner):
                    continue
                owner.late_calls += 1
                if len(owner.late) < LATE_KEPT:
                    owner.late.append(decode(raw))
                if owner.late_calls == 1:
                    self.late.append(owner)

    @property
    def lost_late(self) -> int:
        """How many calls between windows found no room."""
        if self.started is None:
            return 0
        row = SEGMENT_ROWS * CALL_NUMBERS * 4
        return sum(self._loss_rows[row : row + CALL_NUMBERS * 4].cast("I"))

    def look_for_late(self) -> None:
        """Find late events now."""
        if self.started is None:
            return  # a forked child that runs on
        with self._lock:
            self._drain()
            self.find_late()

    def _decoder(self) -> Decoder:
        """Decodes what is recorded now; good also when a later test has begun."""
        blobs, files, images, table = self._blobs, self._files, self.scope.images, self.table
        hooks = self._hooks

        def decode(raw: RawCall, in_flight: bool = False) -> SyscallEvent:
            process = process_of(images, raw.image, raw.pid, raw.comm)
            started = images.get(raw.call)
            call = decode_call(
                raw, blobs.get(raw.call, ()), files, process, table, started=started, in_flight=in_flight
            )
            if raw.call not in hooks:
                return call
            of_call = [each for each in hooks[raw.call] if is_of_call(each, table)]
            return amend(call, [decode_hook(each, blobs.get(each.call, ()), files) for each in of_call])

        return decode

    def _numbers(self, names: frozenset[str]) -> frozenset[int]:
        numbers = (self.table.number(name) for name in names)
        return frozenset(number for number in numbers if number is not None)

    def _wanted(self, raw: RawCall, numbers: frozenset[int] | None) -> bool:
        return numbers is None or (raw.nr in numbers and not raw.flags & EventFlag.FOREIGN.value)

    def _select(
        self, owner: Owner, mine: set[Owner], part: Segments, numbers: frozenset[int] | None
    ) -> Iterator[RawCall]:
        for block in self._blocks:
            rows = [
                index
                for index, (kind, number) in enumerate(
                    zip(_column(block, KIND_OFFSET), _column(block, NUMBER_OFFSET, "H"), strict=True)
                )
                if (kind == CALL_KIND and (numbers is None or number in numbers))
                or (kind == RING_KIND and (numbers is None or number + RING in numbers))
            ]
            for raw in self._rows(block, rows, owner, mine, part):
                if self._wanted(raw, numbers):
                    yield raw

    def _marked(self, owner: Owner, mine: set[Owner], part: Segments) -> Iterator[RawCall]:
        """The calls with a flag or an unread argument, and all ring operations."""
        for block in self._blocks:
            columns = zip(
                _column(block, KIND_OFFSET),
                _column(block, FLAGS_OFFSET),
                _column(block, UNREAD_OFFSET),
                _column(block, LOST_OFFSET),
                strict=True,
            )
            rows = [
                index
                for index, (kind, flags, unread, lost) in enumerate(columns)
                if kind == RING_KIND or (kind == CALL_KIND and (flags or unread or lost))
            ]
            yield from self._rows(block, rows, owner, mine, part)

    def _rows(self, block: bytes, rows: list[int], owner: Owner, mine: set[Owner], part: Segments) -> Iterator[RawCall]:
        tags, segments = _column(block, TAG_OFFSET, "I"), _column(block, SEGMENT_OFFSET, "I")
        counted = {
            (tag, segment)
            for tag, segment in set(zip(tags, segments, strict=True))
            if segment in part and self._belongs(tag, segment, mine, owner)
        }
        for index in rows:
            if (tags[index], segments[index]) in counted:
                yield RawCall(EVENT.unpack_from(block, index * STRIDE + HEADER_BYTES))

    def _in_flight(self) -> list[RawCall]:
        found: list[RawCall] = []
        slots = self.scope.slots
        if self._control[LOST_NOTES]:  # there may be tasks that we have not heard of
            states = bytes(self._tasks[STATE_OFFSET::TASK_BYTES])
            slots = [slot for slot, state in enumerate(states) if state == RECORDED]
        for slot in slots:
            start = slot * TASK_BYTES
            if self._tasks[start + STATE_OFFSET] != RECORDED:
                continue
            content = bytes(self._tasks[start : start + EVENT_BYTES])
            again = bytes(self._tasks[start : start + EVENT_BYTES])
            if content == again and self._tasks[start + STATE_OFFSET] == RECORDED:
                found.append(RawCall(EVENT.unpack(content)))
        return found

    def _drain(self) -> None:
        """Take over what the rings hold. Events first: their blobs are then there already."""
        try:
            block = self._events.take_fixed(EVENT_BYTES)
            for data in self._blob_ring.take_each():
                blob = parse_blob(data)
                if blob.kind == BlobKind.FILE:
                    self._files.learn(blob.call, blob.flags, blob.data)
                    continue
                self._blobs.setdefault(blob.call, []).append(blob)
        except RingStuck:
            self._break("a record stayed half-written", "run the test again: the host was too busy")
            return
        if not block:
            return
        self._blocks.append(block)
        self._unsearched.append(block)
        kinds = _column(block, KIND_OFFSET)
        if kinds.count(CALL_KIND) != len(kinds):
            for index, kind in enumerate(kinds):
                if kind not in (CALL_KIND, RING_KIND):
                    fields = EVENT.unpack_from(block, index * STRIDE + HEADER_BYTES)
                    if kind == HOOK_KIND:
                        raw = RawCall(fields)
                        self._hooks.setdefault(raw.args[4], []).append(raw)
                    else:
                        self._take_note(fields)

    def _take_note(self, fields: tuple[Any, ...]) -> None:
        note = decode_note(fields, self._control[SELF_PID])
        blobs = [blob for blob in self._blobs.get(note.call, ()) if blob.event_kind == note.kind]
        exe, argv = program_of(blobs, self._files)
        if note.incomplete:
            exe, argv = None, ()
        self.scope.take(note, exe, argv)

    # -- gaps ---------------------------------------------------------------------------------------------------

    def _loss_row(self, segment: int) -> memoryview:
        size = CALL_NUMBERS * 4
        start = segment % SEGMENT_ROWS * size
        return self._loss_rows[start : start + size]

    def _save_losses(self, segment: int) -> None:
        counts = self._loss_row(segment).cast("I").tolist()
        self._losses[segment] = Counter({number: count for number, count in enumerate(counts) if count})

    def _lost_calls(self, part: Segments) -> Iterator[Gap]:
        end = self.last_segment + 1 if part.end is None else part.end
        lost: Counter[int] = Counter()
        for segment in range(part.first, end):
            if segment > self.last_segment - SEGMENT_ROWS:
                self._save_losses(segment)
            lost += self._losses.get(segment, Counter())
        for number, count in sorted(lost.items()):
            name = self.table.by_number(number).name
            last = number == CALL_NUMBERS - 1
            yield Gap(
                f"{count:,} {name if not last else 'unnamed'} calls found no room in the recorder's memory",
                "look at the recording in the middle of the test, which makes room, or record a smaller part "
                "of it with ebpf.window() or ebpf.paused()",
                calls=None if last else frozenset({name}),
                count=count,
                exact=not last,
            )

    def _lost_tasks(self) -> Iterator[Gap]:
        tasks = self._control[LOST_TASKS]  # of the session: such a task may live on
        notes = self._control[LOST_NOTES] - self._lost_before[LOST_NOTES]
        if tasks:
            yield Gap(
                f"{tasks:,} tasks were not followed: more than {TASK_SLOTS - 1:,} lived at one time",
                "start fewer processes and threads at one time",
                count=tasks,
            )
        rings = self._control[LOST_RINGS] - self._lost_before[LOST_RINGS]
        if rings:
            yield Gap(
                f"{rings:,} operations on an io_uring found no room in the recorder's memory",
                "look at the recording in the middle of the test, which makes room",
                count=rings,
            )
        hooks = self._control[LOST_HOOKS] - self._lost_before[LOST_HOOKS]
        if hooks:
            yield Gap(
                f"what {hooks:,} hooks of the kernel told found no room in the recorder's memory",
                "look at the recording in the middle of the test, which makes room",
                count=hooks,
            )
        if notes:
            yield Gap(
                f"{notes:,} starts and ends of processes found no room in the recorder's memory",
                "look at the recording in the middle of the test, which makes room",
                count=notes,
            )

    def _hidden_rings(self, owner: Owner, mine: set[Owner], part: Segments) -> Iterator[Gap]:
        """Use of io_uring on a kernel that doesn't show what is done by it: see docs/kernels.md."""
        if self.started is None or "io_uring" not in self.started.missing:
            return
        numbers = self._numbers(RING_CALLS)
        count = sum(1 for _ in self._select(owner, mine, part, numbers))
        count += sum(1 for raw in self._in_flight() if raw.nr in numbers and raw.segment in part)
        with self.unobserved(entirely=True):
            rings = open_rings(process.pid for process in self.scope.images.values())
        if count or rings:
            yield Gap(
                f"{count:,} calls on an io_uring, {rings:,} open, whose operations this kernel doesn't show",
                "use Linux 6.0 or newer, or switch io_uring off for the test: with libuv UV_USE_IO_URING=0",
            )

    def _undecoded(self, owner: Owner, mine: set[Owner], part: Segments, flying: Iterable[RawCall]) -> Iterator[Gap]:
        decode = self._decoder()
        unread: Counter[tuple[str, str]] = Counter()
        foreign: dict[tuple[int, int, int], list[RawCall]] = {}
        opaque: Counter[str] = Counter()
        unread_aio = 0
        marked = [*self._marked(owner, mine, part)]
        finished = {raw.call for raw in marked if raw.flags & EventFlag.FOREIGN.value}
        # Of calls through another ABI, those too that have not returned: what they may still do, no hook has told.
        flying = [
            raw
            for raw in flying
            if raw.flags & EventFlag.FOREIGN.value
            and raw.call not in finished
            and raw.segment in part
            and self._belongs(raw.tag, raw.segment, mine, owner)
        ]
        for raw in (*marked, *flying):
            if raw.flags & EventFlag.FOREIGN.value:
                foreign.setdefault((raw.pid, raw.nr, raw.flags & EventFlag.X32.value), []).append(raw)
                continue
            if raw.unread or raw.lost:
                event = decode(raw)
                for what in event.unread & {"path", "address"}:
                    unread[event.name, what] += 1
            name = self.table.by_number(raw.nr).name
            if name == "io_submit" and raw.unread:
                unread_aio += max(raw.ret, 0)
            if raw.kind == RING_KIND and is_opaque(name):
                opaque[name] += 1
        for (pid, number, _), raws in foreign.items():
            names = foreign_names(raws[0])
            told = [
                told_by(
                    raw, names, len(self._hooks.get(raw.call, ())), () if raw in flying else self.watched, self.table
                )
                for raw in raws
            ]
            count = len(raws)
            yield Gap(
                f"process {pid} made {count:,} calls numbered {number} through another ABI (int 0x80, 32-bit or x32 "
                "code), which are not decoded",
                "run a 64-bit program",
                count=count,
                may_be=names,
                told=frozenset.intersection(*told),
            )
        for name, count in opaque.items():
            yield Gap(
                f"{count:,} operations {name}, which the kernel doesn't show",
                "switch io_uring off for the test: with libuv UV_USE_IO_URING=0, or sysctl kernel.io_uring_disabled=2",
                count=count,
            )
        if unread_aio:
            yield Gap(
                f"not all of {unread_aio:,} operations of kernel aio could be read from their io_submit",
                "submit at most 256 at a time",
                calls=frozenset(name for name in self.table.names if name.startswith("IOCB_CMD_")),
                count=unread_aio,
            )
        for (name, what), count in unread.items():
            yield Gap(
                f"the {what} of {count:,} {name} calls could not be read",
                "an assertion that doesn't ask for it can still be decided",
                calls=frozenset(),
                count=count,
            )
        for segment, pid in self.scope.refused_by_seccomp:
            if segment in part:
                yield Gap(
                    f"seccomp killed a task of process {pid}: the call it died for is not known",
                    "let the filter refuse with an errno instead",
                )


def open_rings(pids: Iterable[int]) -> int:
    """How many descriptors of an io_uring these processes hold; one with a polling thread needs no call any more."""
    count = 0
    for pid in set(pids):
        try:
            with os.scandir(f"/proc/{pid}/fd") as entries:
                for entry in entries:
                    try:
                        count += str(Path(entry.path).readlink()) == RING_FILE
                    except FileNotFoundError:  # closed meanwhile
                        continue
        except (FileNotFoundError, PermissionError, ProcessLookupError):  # it ended, or is another user's
            continue
    return count


class Calls(Sequence[SyscallEvent]):
    """Events that are decoded when they are looked at, each time anew."""

    __slots__ = ("_decode", "_raws", "_session")

    def __init__(self, session: Session, decode: Decoder, raws: Sequence[tuple[RawCall, bool]]) -> None:
        self._session = session
        self._decode = decode
        self._raws = raws

    def __len__(self) -> int:
        return len(self._raws)

    @overload
    def __getitem__(self, index: int) -> SyscallEvent: ...
    @overload
    def __getitem__(self, index: slice) -> Calls: ...
    def __getitem__(self, index: int | slice) -> SyscallEvent | Calls:
        if isinstance(index, slice):
            return Calls(self._session, self._decode, self._raws[index])
        return self._one(*self._raws[index])

    def __iter__(self) -> Iterator[SyscallEvent]:
        return (self._one(raw, in_flight) for raw, in_flight in self._raws)

    def _one(self, raw: RawCall, in_flight: bool) -> SyscallEvent:
        if self._session.started is None:
            return self._decode(raw, in_flight)
        with self._session.unobserved():
            return self._decode(raw, in_flight)


def _entry_ns(found: tuple[int, RawCall, bool]) -> int:
    return found[0]


Decoder = Callable[..., SyscallEvent]
"""Takes a RawCall, and whether it is in flight."""


def _column(block: bytes, offset: int, code: Literal["B", "H", "I"] = "B") -> list[int]:
    """One field of each event of a block; ``code`` is its size, as struct has it."""
    words = memoryview(block).cast(code)
    return words[(HEADER_BYTES + offset) // words.itemsize :: STRIDE // words.itemsize].tolist()


_sessions: set[Session] = set()
_own_pid = os.getpid()


def _after_fork_in_child() -> None:
    """A forked child has not inherited the shared memory: to it no session is alive. Makes no system call."""
    for session in list(_sessions):
        session.abandon()
    _sessions.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)
