"""One per pytest process: owns the engine and the memory shared with the BPF programs.

Time is cut into *segments*, numbered upwards: every boundary of a window begins a new one. The current number stands in
the control page, each call is stamped with it at entry, and a window is a range of numbers. Number 0 means that nothing
is recorded. So opening and closing a window is a store to memory, and a call belongs to the window in which it began.
"""

from __future__ import annotations

import gc
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, overload

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
from .engines._ffi import SharedMemory
from .engines.base import Engine, Started
from .engines.ring import HEADER_BYTES, Ring, RingStuck
from .errors import EbpfError
from .events import Gap, SyscallEvent
from .files import Files
from .scope import Scope, Segments, process_of
from .syscalls import RING, Table, is_opaque, table

__all__ = ["Calls", "Session"]

# Sizes of the maps, as bpf_snippets/include/scope.h declares them.
EVENTS_BYTES = 64 << 20
BLOBS_BYTES = 32 << 20
CALL_NUMBERS = 512
SEGMENT_ROWS = 64
TASK_SLOTS = 16384
TASK_BYTES = 168
SPEC_BYTES = 8
CONTROL_BYTES = 48
LOSS_BYTES = SEGMENT_ROWS * CALL_NUMBERS * 4
# Fields of struct control, in words of four bytes.
SEGMENT, ENROLLED, LOST_TASKS, LOST_NOTES, SELF_PID, GENERATION = range(6)
LOST_RINGS = 10
# Fields of struct task.
CALL_OFFSET = 16
IDS_OFFSET = 152
STATE_OFFSET = 160
MUTED_OFFSET = 161
# Fields of struct event.
PID_OFFSET = 96
TAG_OFFSET = 108
KIND_OFFSET = 118
FLAGS_OFFSET = 119
UNREAD_OFFSET = 120
LOST_OFFSET = 121
NUMBER_OFFSET = 116
RECORDED = 2
RING_FILE = "anon_inode:[io_uring]"
RING_CALLS = frozenset({"io_uring_setup", "io_uring_enter"})
# Of struct task's `muted`.
QUIETLY_MUTED, ENTIRELY_MUTED = 1, 2

STRIDE = HEADER_BYTES + EVENT_BYTES


class Session:
    """A running engine and all that it has recorded and not yet dropped."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.table: Table = table()
        self.started: Started | None = None
        self.last_segment = 0
        self._labels: dict[int, str] = {}
        self._kept_from = 0
        """The first segment of which anything is held."""
        self._lost_before = {LOST_NOTES: 0, LOST_RINGS: 0}
        self._owner = os.getpid()
        self._label = ""
        self._recording = False
        self._pauses: set[object] = set()
        self._losses: dict[int, Counter[int]] = {}
        self._blocks: list[bytes] = []
        self._blobs: dict[int, list[Blob]] = {}
        self._files = Files()
        self._broken: list[Gap] = []
        self._local = threading.local()
        self._lock = threading.RLock()
        self._memory: list[SharedMemory | Ring] = []
        self.scope = Scope(self._labels.get)

    # -- life ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the engine and follow this process, its threads and its descendants.

        Raises EngineUnavailable or ProbeError, and is then as if never started.
        """
        started = self.engine.start()
        fds = [*started.maps.values(), *started.iterators]
        try:
            maps = started.maps
            self._events = self._keep(Ring(maps["events"], EVENTS_BYTES))
            self._blob_ring = self._keep(Ring(maps["blobs"], BLOBS_BYTES))
            self._control = self._share(maps["controls"], CONTROL_BYTES).cast("I")
            self._tasks = self._share(maps["tasks"], TASK_SLOTS * TASK_BYTES)
            self._loss_rows = self._share(maps["losses"], LOSS_BYTES)
            self._share(maps["specs"], CALL_NUMBERS * SPEC_BYTES)[:] = specs(self.table, CALL_NUMBERS)
            self._enrol(started.iterators)
        except BaseException:
            self.stop()
            raise
        finally:
            for fd in fds:
                os.close(fd)
        self.started = started
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

    def _share(self, fd: int, size: int) -> memoryview:
        page = os.sysconf("SC_PAGESIZE")
        memory = SharedMemory(fd, -(-size // page) * page, writable=True)
        self._memory.append(memory)
        return memory.view[:size]

    def _enrol(self, iterators: Sequence[int]) -> None:
        for iterator in iterators:
            enrolled = self._control[ENROLLED]
            while os.read(iterator, 4096):
                pass
            if self._control[ENROLLED] == enrolled:
                break
        else:
            if iterators:
                self._break(
                    "processes were started faster than they could be enrolled when the recorder started",
                    "start the test session when no other process of it is busy",
                )
        self._drain()

    def _break(self, reason: str, hint: str) -> None:
        gap = Gap(reason, hint)
        if gap not in self._broken:
            self._broken.append(gap)

    # -- windows ------------------------------------------------------------------------------------------------

    def begin_recording(self) -> None:
        """Begin a segment and record it, unless paused."""
        self._recording = True
        self.begin_segment()

    def begin_segment(self) -> int:
        """Begin the next segment. Its number."""
        self.last_segment += 1
        segment = self.last_segment
        if self.started is None:
            return segment
        row = self._loss_row(segment)
        if any(row):
            self._save_losses(segment - SEGMENT_ROWS)
            row[:] = bytes(len(row))
        self._labels[segment] = self._label
        self._record()
        return segment

    def end_recording(self) -> int:
        """End the current segment and record nothing. The number of the segment that would be next."""
        self._recording = False
        self._record()
        return self.last_segment + 1

    def begin_test(self, label: str) -> None:
        """Drop what an earlier test recorded and the pauses it left; ``label`` is the new test and its phase."""
        if self.started is None:
            raise EbpfError("record a test: a forked child can't (run it in the pytest process)")
        self._label = label
        self._pauses.clear()
        # An exception of a signal handler may have left this behind.
        self._tasks[self._own_slot() * TASK_BYTES + MUTED_OFFSET] = 0
        self.forget()
        self._kept_from = self.last_segment + 1
        self._lost_before = {word: self._control[word] for word in (LOST_NOTES, LOST_RINGS)}

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

    def _record(self) -> None:
        """The store that opens and closes windows."""
        self._control[SEGMENT] = self.last_segment if self._recording and not self._pauses else 0

    def forget(self) -> None:
        """Drop what is recorded so far: no window needs it."""
        with self._lock:
            self._control[GENERATION] += 1
            self._drain()
            self._files = Files(before=self._files)
            self._blocks.clear()
            self._blobs = {}  # a recording that somebody kept has the old one
            self._losses.clear()
            self._labels.clear()
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
        during = ENTIRELY_MUTED if entirely else max(before, QUIETLY_MUTED)
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

    def scope_of(self, whole: Segments) -> tuple[dict[str, int], dict[str, int]]:
        """What a BPF program needs to tell whether a task is in this window: where things stand, and in which maps."""
        assert self.started is not None
        places = {
            "segment": SEGMENT * 4,
            "self_pid": SELF_PID * 4,
            "first": whole.first,
            "muted": MUTED_OFFSET,
            "tag": TAG_OFFSET,
            "pid": PID_OFFSET,
        }
        return places, {name: self.started.numbers[name] for name in ("slots", "tasks", "controls")}

    def _own_slot(self) -> int:
        """The task slot of this thread. Makes no system call."""
        slot: int | None = getattr(self._local, "slot", None)
        if slot is None:
            ids = _own_pid << 32 | (threading.current_thread().native_id or 0)
            column = self._tasks.cast("Q")[IDS_OFFSET // 8 :: TASK_BYTES // 8].tolist()
            slot = column.index(ids) if ids in column else 0
            if slot:
                self._local.slot = slot
        return slot

    # -- reading ------------------------------------------------------------------------------------------------

    def calls(self, whole: Segments, part: Segments, names: frozenset[str] | None = None) -> Calls:
        """Events of the calls of ``part`` of a window, in order of entry. ``names`` None means all."""
        with self._lock, self.unobserved():
            self._check_kept(whole)
            self._drain()
            flying = self._in_flight()
            self._drain()
            numbers = None if names is None else self._numbers(names)
            found = [(raw.entry_ns, raw, False) for raw in self._select(whole, part, numbers)]
            finished = {raw.call for _, raw, _ in found}
            found += [
                (raw.entry_ns, raw, True)
                for raw in flying
                if raw.call not in finished
                and self._wanted(raw, numbers)
                and self.scope.owns(whole, part, raw.segment, raw.tag, raw.pid)
            ]
            found.sort(key=_entry_ns)
            return Calls(self, self._decoder(), [(raw, in_flight) for _, raw, in_flight in found])

    def ends(self, whole: Segments, part: Segments) -> list[SyscallEvent]:
        """The ends of processes in ``part`` of a window, each in place of a call."""
        with self._lock, self.unobserved():
            self._check_kept(whole)
            self._drain()
            return [
                end_of_process(end.note, end.process, end.status)
                for end in self.scope.ends
                if self.scope.owns(whole, part, end.note.segment, end.note.tag, end.note.pid)
            ]

    def gaps(self, whole: Segments, part: Segments) -> tuple[Gap, ...]:
        """Why the recording of ``part`` of a window is not complete; empty if it is."""
        with self._lock, self.unobserved():
            self._check_kept(whole)
            self._drain()
            self._check_alive()
            return (
                *self._broken,
                *self._left_behind(whole, part),
                *self._lost_calls(part),
                *self._lost_tasks(),
                *self._hidden_rings(whole, part),
                *self._undecoded(whole, part),
            )

    def _check_kept(self, whole: Segments) -> None:
        """Raise EbpfError for a recording whose events are held no more."""
        if whole.first < self._kept_from:
            raise EbpfError(
                "read the recording of an earlier test: it was dropped when the next one began "
                "(ask in the test itself, or keep what .events gave)"
            )

    def _left_behind(self, whole: Segments, part: Segments) -> Iterator[Gap]:
        """Calls in the window by processes that another test started: their own, or work that was handed to them."""
        calls: Counter[str] = Counter()
        pids: set[int] = set()
        foreign = 0
        for block in self._blocks:
            tags, kinds = _column(block, TAG_OFFSET, "I"), _column(block, KIND_OFFSET)
            for index, tag in enumerate(tags):
                if tag and tag not in whole and kinds[index] in (CALL_KIND, RING_KIND):
                    raw = RawCall(EVENT.unpack_from(block, index * STRIDE + HEADER_BYTES))
                    if raw.segment in part and raw.pid != self.scope.own_pid:
                        calls[self.table.by_number(raw.nr).name] += 1
                        foreign += raw.flags & EventFlag.FOREIGN.value
                        pids.add(raw.pid)
        if calls:
            who = ", ".join(map(str, sorted(pids)[:5]))
            yield Gap(
                f"processes that an earlier test started ({who}) made {calls.total():,} calls, perhaps for this test",
                "start them in a fixture, or end them with the test that starts them",
                calls=None if foreign else frozenset(calls),
                count=calls.total(),
            )

    def _decoder(self) -> Decoder:
        """Decodes what is recorded now; good also when a later test has begun."""
        blobs, files, images, table = self._blobs, self._files, self.scope.images, self.table

        def decode(raw: RawCall, in_flight: bool = False) -> SyscallEvent:
            process = process_of(images, raw.image, raw.pid, raw.comm)
            started = images.get(raw.call)
            return decode_call(
                raw, blobs.get(raw.call, ()), files, process, table, started=started, in_flight=in_flight
            )

        return decode

    def _numbers(self, names: frozenset[str]) -> frozenset[int]:
        numbers = (self.table.number(name) for name in names)
        return frozenset(number for number in numbers if number is not None)

    def _wanted(self, raw: RawCall, numbers: frozenset[int] | None) -> bool:
        return numbers is None or (raw.nr in numbers and not raw.flags & EventFlag.FOREIGN.value)

    def _select(self, whole: Segments, part: Segments, numbers: frozenset[int] | None) -> Iterator[RawCall]:
        for block in self._blocks:
            rows = [
                index
                for index, (kind, number) in enumerate(
                    zip(_column(block, KIND_OFFSET), _column(block, NUMBER_OFFSET, "H"), strict=True)
                )
                if (kind == CALL_KIND and (numbers is None or number in numbers))
                or (kind == RING_KIND and (numbers is None or number + RING in numbers))
            ]
            for raw in self._rows(block, rows, whole, part):
                if self._wanted(raw, numbers):
                    yield raw

    def _marked(self, whole: Segments, part: Segments) -> Iterator[RawCall]:
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
            yield from self._rows(block, rows, whole, part)

    def _rows(self, block: bytes, rows: list[int], whole: Segments, part: Segments) -> Iterator[RawCall]:
        for index in rows:
            raw = RawCall(EVENT.unpack_from(block, index * STRIDE + HEADER_BYTES))
            if self.scope.owns(whole, part, raw.segment, raw.tag, raw.pid):
                yield raw

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
        kinds = _column(block, KIND_OFFSET)
        if kinds.count(CALL_KIND) != len(kinds):
            for index, kind in enumerate(kinds):
                if kind not in (CALL_KIND, RING_KIND):
                    self._take_note(EVENT.unpack_from(block, index * STRIDE + HEADER_BYTES))

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
        if notes:
            yield Gap(
                f"{notes:,} starts and ends of processes found no room in the recorder's memory",
                "look at the recording in the middle of the test, which makes room",
                count=notes,
            )

    def _hidden_rings(self, whole: Segments, part: Segments) -> Iterator[Gap]:
        """Use of io_uring on a kernel that doesn't show what is done by it: see docs/kernels.md."""
        if self.started is None or "io_uring" not in self.started.missing:
            return
        numbers = self._numbers(RING_CALLS)
        count = sum(1 for _ in self._select(whole, part, numbers))
        count += sum(1 for raw in self._in_flight() if raw.nr in numbers and raw.segment in part)
        with self.unobserved(entirely=True):
            rings = open_rings(process.pid for process in self.scope.images.values())
        if count or rings:
            yield Gap(
                f"{count:,} calls on an io_uring, {rings:,} open, whose operations this kernel doesn't show",
                "use Linux 6.0 or newer, or switch io_uring off for the test: with libuv UV_USE_IO_URING=0",
            )

    def _undecoded(self, whole: Segments, part: Segments) -> Iterator[Gap]:
        decode = self._decoder()
        unread: Counter[tuple[str, str]] = Counter()
        foreign: Counter[tuple[int, int]] = Counter()
        opaque: Counter[str] = Counter()
        unread_aio = 0
        for raw in self._marked(whole, part):
            if raw.flags & EventFlag.FOREIGN.value:
                foreign[raw.pid, raw.nr] += 1
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
        for (pid, number), count in foreign.items():
            yield Gap(
                f"process {pid} made {count:,} calls numbered {number} through another ABI (int 0x80, 32-bit or x32 "
                "code), which are not decoded",
                "run a 64-bit program",
                count=count,
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
