"""A fake engine for tests without a kernel: it writes the same bytes as the BPF programs, when told to."""

from __future__ import annotations

import hashlib
import ipaddress
import mmap
import os
import posixpath
import socket
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import session as layout
from .decode import (
    ADDRESS_KINDS,
    BLOB_HEADER,
    CALL_ARGS,
    CALL_KIND,
    EVENT,
    EVENT_BYTES,
    PAYLOAD_OF_CALL,
    RESULT_ARG,
    RING_KIND,
    BlobFlag,
    BlobKind,
    EventFlag,
    NoteKind,
)
from .engines.base import IDS_OFFSET, MEMORY_BYTES, TASK_BYTES, TASK_SLOTS, Probe, Started
from .engines.shapes import HEADER_BYTES, RINGS, KernelRing
from .engines.spool import spool_bytes
from .events import Address, File, Socket
from .files import FILE_NOTE, KINDS, SOCKET_NOTE, parse_address
from .recording import Recording
from .scope import BETWEEN, CLONE_THREAD, ENROLLED, SHARED, Kind, Owner
from .session import Session
from .syscalls import RING, Syscall, table

__all__ = ["FakeEngine"]

SEQUENCE_BITS = 40
RING_CALLS = 1 << 62
"""The first number of an operation on an io_uring, apart from those of calls."""
AT_FDCWD = -100
UNIX = int(socket.AF_UNIX).to_bytes(2, "little")
PAGE = mmap.PAGESIZE
MADE_RINGS = {name: shape for name, shape in RINGS.items() if isinstance(shape, KernelRing)}
ARGV_PIECE_BYTES = 4096
MODES = {kind: mode for mode, kind in KINDS.items()} | {"pipe": stat.S_IFIFO, "memfd": stat.S_IFREG}

Thing = str | Address | File
"""What a descriptor stands for: the path of a file, the other end of a connected socket, or a `File` in full."""


@dataclass(slots=True)
class _Task:
    """One task that the programs would follow; the pid and tid are the kernel's tgid and pid."""

    tid: int
    pid: int
    slot: int
    image: int
    tag: int
    comm: str
    call: int
    since: int = 0
    flying: Sequence[int] | None = None
    """Fields of the call that it is inside of."""
    leaving: list[tuple[BlobKind, int, bytes]] = field(default_factory=list)
    """What the programs would find at the end of that call, if it succeeds: kind, argument, data."""


class FakeEngine:
    """An engine whose calls are made up, for tests of code that asserts on recordings; it needs no privileges.

    A call is recorded only while a window is open. The pytest process is there from the start; other
    processes and threads begin with ``fork``.

    >>> engine = FakeEngine()
    >>> with engine.recording() as ebpf:
    ...     engine.call("openat", path="/etc/hosts", ret=3)
    ...     engine.fork(4711)
    ...     engine.exec(4711, "/bin/cat", ["cat", "/etc/hosts"])
    ...     engine.call("openat", path="/etc/hosts", ret=-13, tid=4711)
    ...     ebpf.assert_syscall("openat", path="/etc/hosts", errno="EACCES", count=1)
    """

    name = "fake"
    records_real_calls = False
    pid = 0

    def __init__(self, problem: Exception | None = None) -> None:
        self.problem = problem
        """What the start fails with."""
        self._memory: dict[str, mmap.mmap] = {}
        self._tasks: dict[int, _Task] = {}
        self._slots = 0
        self._known: dict[int, int] = {}
        self._ring_operations = 0
        self.memory = MEMORY_BYTES
        """How many bytes the events of a test may take."""
        self.starts = 0
        """How often it was started."""
        self.running = False
        self.alive = True
        """Set to False to behave as if the programs had been detached."""
        self.damage: tuple[str, ...] = ()
        self.missed = 0
        """What `examine` tells."""

    # What a session asks of an engine

    def prepare(self) -> None:
        """Has nothing to prepare."""

    def open(self) -> dict[str, int]:
        """See engines.base.Engine."""
        rings = {name: shape.nbytes for name, shape in MADE_RINGS.items()}
        return self._make({**rings, "spool": spool_bytes(self.memory)})

    def start(self) -> Started:
        """See engines.base.Engine. Raises ``problem``."""
        self.starts += 1
        if self.problem is not None:
            raise self.problem
        tables = {"tasks": TASK_SLOTS * TASK_BYTES, "losses": layout.LOSS_BYTES}
        maps = self._make({"controls": PAGE, "specs": PAGE, **tables})
        self.running = True
        probes = (Probe("on_sys_enter", "raw_tp/sys_enter"),)
        return Started(self.name, "fake 1.0", maps, 0, probes, memory=self.memory)

    def _make(self, sizes: dict[str, int]) -> dict[str, int]:
        maps: dict[str, int] = {}
        for name, size in sizes.items():
            maps[name] = os.memfd_create(f"fake-{name}")
            os.ftruncate(maps[name], -(-size // PAGE) * PAGE)
            self._memory[name] = mmap.mmap(maps[name], PAGE if name == "spool" else 0)
        return maps

    def enrol(self, pid: int, tag: int) -> None:
        """See engines.base.Engine."""
        pid = pid or os.getpid()
        if pid in self._tasks:
            return
        if pid == os.getpid():
            self._store("controls", layout.SELF_PID * 4, pid, 4)
        task = self._follow(pid, pid, "python", ENROLLED | pid, tag)
        task.call += 1
        self._note(NoteKind.TASK, task, (pid, pid, pid, pid, os.getppid(), task.slot), tag)
        self._count(layout.ENROLLED, 1)

    def hand_over(self, tid: int) -> None:
        """What the task does from here on is work that the current test gave it."""
        task = self._task(tid)
        task.tag, task.since = self._load("controls", layout.TAG * 4, 4), self._load("controls", layout.NOW * 4, 4)

    def poke(self) -> bool:
        """See engines.base.Engine. Counts a call unless the engine is dead."""
        self._free()
        if self.alive:
            # A thread of pytest that was not made by `fork` has no slot: a session then looks at slot 0.
            flying = {task.slot for tid, task in self._tasks.items() if task.flying is not None and tid != os.getpid()}
            for slot in {*range(self._slots + 1)} - flying:
                place = slot * TASK_BYTES + layout.CALL_OFFSET
                self._store("tasks", place, self._load("tasks", place, 8) + 1, 8)
        return True

    def examine(self) -> tuple[tuple[str, ...], int]:
        """See engines.base.Engine."""
        return self.damage, self.missed

    def stop(self) -> None:
        """See engines.base.Engine."""
        for memory in self._memory.values():
            memory.close()
        self._memory.clear()
        self._tasks.clear()
        self._known.clear()
        self._slots = 0
        self.running = False

    # What a test says

    @contextmanager
    def recording(self) -> Iterator[Recording]:
        """An open recording, as the ``ebpf`` fixture gives it; at the end the engine is stopped."""
        session = Session(self)
        session.start()
        try:
            test = Owner(Kind.TEST, "test_fake.py::test_it")
            session.begin_test(test, test.name)
            session.begin_phase(test, f"{test.name} (call)")
            recording = Recording(session, test)
            recording.open()
            yield recording
            recording.close()
        finally:
            session.stop()

    def call(
        self,
        name: str,
        *args: int,
        ret: int = 0,
        path: str | bytes | Sequence[str | bytes] = (),
        base: str | None = None,
        file: Thing | Sequence[Thing] = (),
        result: Thing | None = None,
        address: Address | bytes | Sequence[Address | bytes] = (),
        argv: Sequence[str] = (),
        payload: bytes | Sequence[bytes] = (),
        tid: int | None = None,
        comm: str | None = None,
        in_flight: bool = False,
        flags: int = 0,
        unread: int = 0,
        lost: int = 0,
    ) -> None:
        """One system call of the task ``tid`` (default: pytest's own), recorded only if a window is open.

        ``args`` are the registers, of which the last may be left out: then a directory is AT_FDCWD, the
        rest is 0. ``ret`` is what the kernel returns: a negative errno for a failure. ``path`` is a string
        for each path argument; relative ones, also of unix sockets, start from ``base`` (default: the working
        directory).
        ``file`` is what each descriptor among the arguments stands for: a path, the other end of a connected
        socket, or a `File`. ``result`` is that of the descriptor that the call returns (default: the file opened,
        a new socket, the same file; empty: it was not seen). ``address`` are the socket addresses of the call, other
        families than AF_INET, AF_INET6 and AF_UNIX as bytes; ``payload`` are the DNS messages in it.
        A call ``in_flight`` has not returned: see ``finish``. Bit i of ``unread`` and of ``lost`` stands
        for argument i.

        Raises UnknownSyscall for a misspelt name, ValueError for a call that this machine lacks, for what
        a call of that name can't have, and for a task that doesn't live.
        """
        task = self._task(tid)
        number = _number(name)
        if number >= RING:
            raise ValueError(f"{name}: not a system call (use ring)")
        syscall = table().by_number(number)
        if payload and name not in PAYLOAD_OF_CALL:
            raise ValueError(f"payload: {name} has none that is recorded")
        if comm is not None:
            task.comm = comm
        task.call += 1
        segment = self._stamp(task)
        if not segment:
            return
        said = _Said(
            syscall,
            _registers(syscall, args),
            _all(path, str | bytes),
            base or str(Path.cwd()),
            _all(file, Thing),
            [_sockaddr(each) for each in _all(address, Address | bytes)],
            argv,
        )
        identity, more = self._describe(task.call, CALL_KIND, said)
        task.leaving = [(BlobKind.ADDRESS, said.place("address"), each) for each in said.addresses if said.is_out]
        if syscall.returns == "fd" and (ret >= 0 or in_flight):
            found = said.result() if result is None else result
            if found:
                task.leaving.append((BlobKind.FD, RESULT_ARG, self._identify(found).to_bytes(8, "little")))
        task.leaving.extend((BlobKind.DATA, 0, each) for each in _all(payload, bytes))
        now = time.monotonic_ns()
        ids = (task.pid, task.tid, segment, task.tag, task.since)
        head = (now, now, task.call, task.image, identity, ret, *said.registers, *ids)
        task.flying = (*head, number, CALL_KIND, flags, unread, lost | more)
        if in_flight:
            start = task.slot * TASK_BYTES
            self._memory["tasks"][start : start + EVENT_BYTES] = self._packed(task, task.flying)
            self._memory["tasks"][start + layout.STATE_OFFSET] = layout.RECORDED
        else:
            self.finish(ret, tid)

    def ring(
        self,
        name: str | int,
        *args: int,
        path: str | bytes | Sequence[str | bytes] = (),
        base: str | None = None,
        file: Thing | Sequence[Thing] = (),
        address: Address | bytes | Sequence[Address | bytes] = (),
        tid: int | None = None,
        unread: int = 0,
        lost: int = 0,
    ) -> None:
        """One operation on an io_uring, as in ``IORING_OP_OPENAT``; an int is the opcode of one that has no name.

        The rest is as for ``call``. What came of it is not recorded. Raises as ``call`` does.

        >>> engine = FakeEngine()
        >>> with engine.recording() as ebpf:
        ...     engine.ring("IORING_OP_UNLINKAT", path="/etc/hosts")
        ...     ebpf.assert_syscall("%file", path="/etc/hosts", count=1)
        """
        task = self._task(tid)
        number = RING + name if isinstance(name, int) else _number(name)
        if number < RING:
            raise ValueError(f"{name}: not an operation on an io_uring (use call)")
        segment = self._stamp(task)
        if not segment:
            return
        syscall = table().by_number(number)
        said = _Said(
            syscall,
            _registers(syscall, args),
            _all(path, str | bytes),
            base or str(Path.cwd()),
            _all(file, Thing),
            [_sockaddr(each) for each in _all(address, Address | bytes)],
        )
        self._ring_operations += 1
        call = RING_CALLS | self._ring_operations
        identity, more = self._describe(call, RING_KIND, said)
        now = time.monotonic_ns()
        ids = (task.pid, task.tid, segment, task.tag, task.since)
        head = (now, now, call, task.image, identity, 0, *said.registers, *ids)
        if not self._push("events", self._packed(task, (*head, number - RING, RING_KIND, 0, unread, lost | more))):
            self.lose(syscall.name, 1)

    def finish(self, ret: int = 0, tid: int | None = None) -> None:
        """The call in flight of the task ``tid`` returns. Raises ValueError if there is none."""
        task = self._task(tid)
        lost = 0
        for kind, arg, data in task.leaving if ret >= 0 else ():
            bit = self._blob(task.call, kind, arg, data)
            lost |= bit if kind is BlobKind.ADDRESS else 0
        self._emit(task, ret, lost=lost)

    def fork(self, tid: int, parent: int | None = None, *, thread: bool = False) -> None:
        """The task ``parent`` (default: pytest's own) starts a process, or a thread, by ``clone``."""
        above = self._task(parent)
        flags = CLONE_THREAD if thread else 0
        self.call("clone", flags, ret=tid, tid=parent)
        pid = above.pid if thread else tid
        image = above.image if thread else above.call
        task = self._follow(tid, pid, above.comm, image, above.tag)
        task.since = above.since
        self._note(NoteKind.FORK, above, (tid, pid, tid, pid, flags, task.slot), above.tag)

    def exec(self, tid: int, exe: str, argv: Sequence[str] = ()) -> None:
        """The task ``tid`` executes a program, by ``execve``; ``argv`` is ``[exe]`` unless told."""
        task = self._task(tid)
        self.call("execve", path=exe, argv=argv or [exe], tid=tid)
        task.image = task.call
        task.comm = posixpath.basename(exe)[:15]
        self._word(task.call, BlobKind.EXE, 0, self._identify(exe), NoteKind.EXEC)
        self._send_argv(task.call, 0, argv or [exe], NoteKind.EXEC)
        self._note(NoteKind.EXEC, task, (tid, 0, 0, 0, 0, task.slot), task.tag)

    def exit(self, tid: int, code: int = 0, signal: int = 0) -> None:
        """The task ends, by ``exit_group`` or a signal; a call that it is inside of never returns.

        While other threads of its process live it ends alone, by ``exit``.
        """
        task = self._task(tid)
        alone = not signal and any(other.pid == task.pid for other in self._tasks.values() if other is not task)
        if not signal and task.flying is None:
            self.call("exit" if alone else "exit_group", code, tid=tid, in_flight=True)
        if task.flying is not None:
            self._emit(task, 0, EventFlag.NO_RETURN)
        status = code << 8 | signal
        self._note(NoteKind.EXIT, task, (status, 0 if alone else status, 0, 0, 0, task.slot), task.tag)
        self._store("tasks", task.slot * TASK_BYTES + IDS_OFFSET, 0, 8)
        del self._tasks[tid]

    def lose(self, name: str, count: int) -> None:
        """Say that ``count`` calls, or operations on an io_uring, of this name found no room in the ring."""
        number = _number(name)
        if number >= RING:
            self._count(layout.LOST_RINGS, count)
        else:
            self._lose(number, self._load("controls", 0, 4), count)

    # The programs' side of the memory

    def _stamp(self, task: _Task) -> int:
        """What the call of a task is stamped with, and whose it is; 0 if it isn't recorded. As scope.h has it."""
        segment, tag, now, first, between, paused_from, runner = (
            self._load("controls", word * 4, 4)
            for word in (
                layout.SEGMENT,
                layout.TAG,
                layout.NOW,
                layout.FIRST,
                layout.BETWEEN_STAMP,
                layout.PAUSED_FROM,
                layout.RUNNER,
            )
        )
        is_runner = task.slot == runner
        if is_runner:
            task.tag, task.since = tag, now
        if segment or not task.tag:
            return segment if task.tag else 0
        unwanted = (is_runner and task.tag >= first) or task.tag & SHARED or task.tag >= paused_from
        return 0 if unwanted else between

    def _task(self, tid: int | None) -> _Task:
        task = self._tasks.get(os.getpid() if tid is None else tid)
        if task is None:
            hint = "fork it first" if self.running else "start the engine first"
            raise ValueError(f"task {tid}: no such task ({hint})")
        return task

    def _follow(self, tid: int, pid: int, comm: str, image: int, tag: int) -> _Task:
        if tid in self._tasks:
            raise ValueError(f"task {tid}: it lives already")
        self._slots += 1
        slot = self._slots
        self._tasks[tid] = _Task(tid, pid, slot, image, tag, comm, slot << SEQUENCE_BITS)
        self._store("tasks", slot * TASK_BYTES + IDS_OFFSET, pid << 32 | tid, 8)
        return self._tasks[tid]

    def _describe(self, call: int, kind: int, said: _Said) -> tuple[int, int]:
        """Write what the programs find at entry; the first file, and the bits of the arguments that found no room."""
        lost = 0
        for index, path in zip(said.places("path", len(said.paths)), said.paths, strict=False):
            lost |= self._blob(call, BlobKind.PATH, index, os.fsencode(path), kind)
            if not os.fsdecode(path).startswith("/"):
                lost |= self._word(call, BlobKind.BASE, index, self._identify(said.base), kind)
        identity = 0
        for index, place in enumerate(said.places("fd", len(said.files))[: len(said.files)]):
            found = self._identify(said.files[index])
            if not found:
                lost |= 1 << place
            elif index:
                lost |= self._word(call, BlobKind.FD, place, found, kind)
            else:
                identity = found
        if said.addresses and not said.is_out:
            for sockaddr in said.addresses:
                lost |= self._blob(call, BlobKind.ADDRESS, said.place("address"), sockaddr, kind)
                if sockaddr[:2] == UNIX and sockaddr[2:3] not in (b"", b"\0", b"/"):
                    lost |= self._word(call, BlobKind.BASE, said.place("address"), self._identify(said.base), kind)
        if said.argv:
            lost |= self._send_argv(call, said.place("argv"), said.argv, kind)
        return identity, lost

    def _send_argv(self, call: int, arg: int, argv: Sequence[str], of: int) -> int:
        """Write the arguments of a program; the bit of their argument if they found no room."""
        strings = b"".join(os.fsencode(each) + b"\0" for each in argv)
        lost = 0
        for start in range(0, len(strings), ARGV_PIECE_BYTES):
            lost |= self._blob(call, BlobKind.ARGV, arg, strings[start : start + ARGV_PIECE_BYTES], of)
        return lost

    def _emit(self, task: _Task, ret: int, flag: int = 0, lost: int = 0) -> None:
        if task.flying is None:
            raise ValueError(f"task {task.tid}: it is inside no call")
        fields = [*task.flying]
        fields[1], fields[5] = time.monotonic_ns(), ret
        fields[19] |= flag
        fields[21] |= lost
        task.flying = None
        task.leaving = []
        self._memory["tasks"][task.slot * TASK_BYTES + layout.STATE_OFFSET] = 0
        if not self._push("events", self._packed(task, fields)):
            self._lose(number=fields[17], segment=fields[14], count=1)

    def _note(self, kind: NoteKind, task: _Task, args: Sequence[int], tag: int) -> None:
        now, segment = time.monotonic_ns(), self._stamp(task)
        head = (now, now, task.call, task.image, 0, 0, *args, task.pid, task.tid, segment, tag, task.since)
        if not self._push("events", self._packed(task, (*head, 0, kind, 0, 0, 0))):
            self._count(layout.LOST_NOTES, 1)

    def _count(self, counter: int, more: int) -> None:
        """Add to a word of the control page."""
        self._store("controls", counter * 4, self._load("controls", counter * 4, 4) + more, 4)

    def _blob(self, call: int, kind: BlobKind, arg: int, data: bytes, of: int = CALL_KIND, flags: int = 0) -> int:
        """Write one blob; the bit of its argument if it found no room."""
        kept = self._push("blobs", BLOB_HEADER.pack(call, len(data), kind, arg, flags, of) + data)
        return 0 if kept else 1 << arg

    def _word(self, call: int, kind: BlobKind, arg: int, word: int, of: int = CALL_KIND) -> int:
        """Write one blob of eight bytes; the bit of its argument if it found no room."""
        return self._blob(call, kind, arg, word.to_bytes(8, "little"), of)

    def _identify(self, thing: Thing) -> int:
        """The identity of a file, which is described once a generation; 0 if the description found no room."""
        flags, note = _file_note(_file(thing))
        digest = hashlib.blake2b(bytes([flags]) + note, digest_size=8).digest()
        identity = int.from_bytes(digest, "little") | 1
        generation = self._load("controls", layout.GENERATION * 4, 4)
        if self._known.get(identity) != generation:
            if self._blob(identity, BlobKind.FILE, 0, note, 0, flags):
                return 0
            self._known[identity] = generation
        return identity

    def _packed(self, task: _Task, fields: Sequence[int]) -> bytes:
        return EVENT.pack(*fields, os.fsencode(task.comm))

    def _lose(self, number: int, segment: int, count: int) -> None:
        row = layout.SEGMENT_ROWS if segment & BETWEEN else segment % layout.SEGMENT_ROWS
        offset = (row * layout.CALL_NUMBERS + number) * 4
        self._store("losses", offset, self._load("losses", offset, 4) + count, 4)
        self._count(layout.LOST_CALLS, count)

    def _push(self, ring: str, data: bytes) -> bool:
        """Write one record; False if the ring is full."""
        record = len(data).to_bytes(4, "little") + bytes(HEADER_BYTES - 4) + data
        record += bytes(-len(record) % 8)
        size = MADE_RINGS[ring].size
        self._free()
        consumed, produced = self._load(ring, 0, 8), self._load(ring, PAGE, 8)
        if produced + len(record) - consumed > size:
            return False
        memory, first = self._memory[ring], 2 * PAGE
        start = produced % size
        kept = min(len(record), size - start)
        memory[first + start : first + start + kept] = record[:kept]
        memory[first : first + len(record) - kept] = record[kept:]
        self._store(ring, PAGE, produced + len(record), 8)
        return True

    def _free(self) -> None:
        """What was read makes room in the rings, as a keeper has it that moves nothing away."""
        for place, ring in enumerate(MADE_RINGS):
            self._store(ring, 0, self._load("spool", 8 * place, 8), 8)

    def _load(self, name: str, offset: int, size: int) -> int:
        return int.from_bytes(self._memory[name][offset : offset + size], "little")

    def _store(self, name: str, offset: int, value: int, size: int) -> None:
        self._memory[name][offset : offset + size] = value.to_bytes(size, "little")


@dataclass(frozen=True, slots=True)
class _Said:
    """What a test said of a call or ring operation."""

    syscall: Syscall
    registers: Sequence[int]
    paths: Sequence[str | bytes]
    base: str
    files: Sequence[Thing]
    addresses: Sequence[bytes]
    argv: Sequence[str] = ()

    def places(self, kind: str, count: int) -> list[int]:
        """The arguments of that kind. Raises ValueError if there are fewer than ``count``."""
        kinds = ADDRESS_KINDS if kind == "address" else {kind}
        found = [index for index, argument in enumerate(self.syscall.args) if argument.kind in kinds]
        if len(found) < count:
            raise ValueError(f"{self.syscall.name}: no argument is left for the {kind} (it has {len(found)})")
        return found

    def place(self, kind: str) -> int:
        """The first argument of that kind. Raises ValueError if there is none."""
        return self.places(kind, 1)[0]

    @property
    def is_out(self) -> bool:
        """The kernel writes the address, so that it is known at the end of the call."""
        return bool(self.addresses) and self.syscall.args[self.place("address")].kind.endswith("_out")

    def result(self) -> Thing:
        """What a descriptor that the call returned would stand for."""
        if "open" in self.syscall.classes:
            return posixpath.normpath(posixpath.join(self.base, os.fsdecode(self.paths[0]))) if self.paths else ""
        if self.syscall.name == "socket":
            family, kind = socket.AddressFamily(self.registers[0]), socket.SocketKind(self.registers[1] & 15 or 1)
            return File("socket", inode=1, socket=Socket(family.name, kind.name))
        if "network" in self.syscall.classes and self.addresses:
            return parse_address(self.addresses[0])
        return self.files[0] if self.files else File("anonymous", name="[made-up]", inode=1)


def _number(name: str) -> int:
    """The number of a call; raises UnknownSyscall for a name that no machine has, ValueError if this one hasn't."""
    table().resolve(name)
    number = table().number(name)
    if number is None:
        raise ValueError(f"system call {name!r}: this machine has none (give one exact name)")
    return number


def _all(value: Any, kinds: Any) -> list[Any]:
    """The values that were given as one or as a sequence."""
    return [value] if isinstance(value, kinds) else list(value)


def _registers(syscall: Syscall, args: Sequence[int]) -> list[int]:
    """All registers of a call whose test cares for the first ones."""
    values = [AT_FDCWD if argument.kind == "dirfd" else 0 for argument in syscall.args]
    values += [0] * (CALL_ARGS - len(values))
    return [value & (1 << 64) - 1 for value in (*args, *values[len(args) :])]


def _file(thing: Thing) -> File:
    if isinstance(thing, str):
        return File("file", path=thing, inode=1)
    if isinstance(thing, Address):
        return File("socket", inode=1, socket=Socket(thing.family, "SOCK_STREAM", peer=thing, peer_inode=2))
    return thing


def _file_note(file: File) -> tuple[int, bytes]:
    """Flags and data of the blob that describes a file."""
    head = FILE_NOTE.pack(file.inode, 0, file.device, MODES.get(file.kind, 0))
    if file.socket is not None:
        return 0, head + _socket_note(file.socket)
    if file.name is not None or file.kind in ("pipe", "memfd"):
        name = f"memfd:{file.name or ''}" if file.kind == "memfd" else file.name or ""
        return BlobFlag.PSEUDO, head + os.fsencode(name) + b"\0"
    flags = (BlobFlag.CUT if file.path_cut else 0) | (BlobFlag.DELETED if file.deleted else 0)
    return flags, head + _components(file.path or "/")


def _components(path: str) -> bytes:
    """A path as the programs walk it: leaf first, each component with its NUL."""
    return b"".join(os.fsencode(part) + b"\0" for part in reversed(path.strip("/").split("/")) if part)


def _socket_note(made: Socket) -> bytes:
    ends = [made.local, made.peer]
    is_unix = made.family == "AF_UNIX"
    ports = [end.port or 0 if end else 0 for end in ends]
    hosts = [ipaddress.ip_address(end.host.partition("%")[0]).packed if end and end.host else b"" for end in ends]
    numbers = (socket.AddressFamily[made.family], socket.SocketKind[made.type], made.protocol, 0)
    peer_inode = made.peer_inode if is_unix else 0
    note = SOCKET_NOTE.pack(*numbers, *ports, 0, peer_inode, *hosts)
    names = [_sockaddr(end) if end else b"" for end in ends if is_unix]
    return note + b"".join(len(name).to_bytes(2, "little") + name for name in names)


def _sockaddr(address: Address | bytes) -> bytes:
    """The ``struct sockaddr`` of an address. Raises ValueError for one of another family."""
    if isinstance(address, bytes):
        return address
    family = int(socket.AddressFamily[address.family]).to_bytes(2, "little")
    port = (address.port or 0).to_bytes(2, "big")
    if address.path is not None:
        name = os.fsencode(address.path)
        return family + (b"\0" + name[1:] if name.startswith(b"@") else name + b"\0")
    if address.family in ("AF_INET", "AF_INET6") and address.host is not None:
        text, _, scope = address.host.partition("%")
        host = ipaddress.ip_address(text).packed
        return family + port + (host + bytes(8) if len(host) == 4 else bytes(4) + host + _scope_id(scope))
    if (address.host, address.port, address.members) != (None, None, ()):
        raise ValueError(f"address {address}: give the bytes of its struct sockaddr")
    return family


def _scope_id(scope: str) -> bytes:
    return int(scope or 0).to_bytes(4, "little")
