"""A fake engine for tests without a kernel: it writes the same bytes as the BPF programs, when told to."""

from __future__ import annotations

import ipaddress
import mmap
import os
import posixpath
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import session as layout
from .decode import BLOB_HEADER, CALL_ARGS, EVENT, EVENT_BYTES, BlobKind, EventFlag, NoteKind
from .engines.base import Probe, Started
from .engines.ring import HEADER_BYTES
from .events import Address
from .recording import Recording
from .scope import CLONE_THREAD, ENROLLED
from .session import Session
from .syscalls import Syscall, table

__all__ = ["FakeEngine"]

CALL = 1
SEQUENCE_BITS = 40
LOST_NOTES_OFFSET, SELF_PID_OFFSET = 12, 16
AT_FDCWD = -100
PAGE = mmap.PAGESIZE
RINGS = {"events": layout.EVENTS_BYTES, "blobs": layout.BLOBS_BYTES}


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
    flying: Sequence[int] | None = None
    """Fields of the call that it is inside of."""


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

    def __init__(self, problem: Exception | None = None) -> None:
        self.problem = problem
        """What the start fails with."""
        self._memory: dict[str, mmap.mmap] = {}
        self._tasks: dict[int, _Task] = {}
        self._slots = 0
        self.starts = 0
        """How often it was started."""
        self.running = False
        self.alive = True
        """Set to False to behave as if the programs had been detached."""

    # What a session asks of an engine

    def start(self) -> Started:
        """See engines.base.Engine. Raises ``problem``."""
        self.starts += 1
        if self.problem is not None:
            raise self.problem
        sizes = {
            **{name: 2 * PAGE + 2 * size for name, size in RINGS.items()},
            "controls": PAGE,
            "tasks": layout.TASK_SLOTS * layout.TASK_BYTES,
            "losses": layout.LOSS_BYTES,
            "specs": PAGE,
        }
        maps: dict[str, int] = {}
        for name, size in sizes.items():
            maps[name] = os.memfd_create(f"fake-{name}")
            os.ftruncate(maps[name], -(-size // PAGE) * PAGE)
            self._memory[name] = mmap.mmap(maps[name], 0)
        self.running = True
        pid = os.getpid()
        self._store("controls", SELF_PID_OFFSET, pid, 4)
        task = self._follow(pid, pid, "python", ENROLLED | pid, 0)
        task.call += 1
        self._note(NoteKind.TASK, task, (pid, pid, pid, pid, os.getppid(), task.slot), 0)
        return Started(self.name, "fake 1.0", maps, (), (Probe("on_sys_enter", "raw_tp/sys_enter"),))

    def poke(self) -> None:
        """See engines.base.Engine. Counts a call unless the engine is dead."""
        if self.alive:
            # A thread of pytest that was not made by `fork` has no slot: a session then looks at slot 0.
            for slot in range(self._slots + 1):
                self._memory["tasks"][slot * layout.TASK_BYTES + layout.CALL_OFFSET] ^= 1

    def stop(self) -> None:
        """See engines.base.Engine."""
        for memory in self._memory.values():
            memory.close()
        self._memory.clear()
        self._tasks.clear()
        self._slots = 0
        self.running = False

    # What a test says

    @contextmanager
    def recording(self) -> Iterator[Recording]:
        """An open recording, as the ``ebpf`` fixture gives it; at the end the engine is stopped."""
        session = Session(self)
        session.start()
        try:
            session.begin_test("test_fake.py::test_it (call)")
            recording = Recording(session)
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
        realpath: str | None = None,
        address: Address | bytes | None = None,
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
        for each path argument; relative ones start from ``base`` (default: the working directory).
        ``realpath`` is the file that was opened (default: the path made absolute; empty: it was not seen).
        A call ``in_flight`` has not returned: see ``finish``. Bit i of ``unread`` and of ``lost`` stands
        for argument i.

        Raises UnknownSyscall for a misspelt name, ValueError for a call that this machine lacks and for a task
        that doesn't live.
        """
        task = self._task(tid)
        number = _number(name)
        syscall = table().by_number(number)
        if comm is not None:
            task.comm = comm
        task.call += 1
        segment = self._load("controls", 0, 4)
        if not segment:
            return
        given = (path,) if isinstance(path, str | bytes) else tuple(path)
        opened = "open" in syscall.classes and ret >= 0 and not in_flight
        lost |= self._describe(task.call, syscall, given, base or str(Path.cwd()), realpath if opened else "", address)
        registers = (*args, *_defaults(syscall)[len(args) :])
        values = [value & (1 << 64) - 1 for value in registers]
        now = time.monotonic_ns()
        head = (now, now, task.call, task.image, ret, *values, task.pid, task.tid, segment, task.tag)
        task.flying = (*head, 0, number, CALL, flags, unread, lost)
        if in_flight:
            start = task.slot * layout.TASK_BYTES
            self._memory["tasks"][start : start + EVENT_BYTES] = self._packed(task, task.flying)
            self._memory["tasks"][start + layout.STATE_OFFSET] = layout.RECORDED
        else:
            self.finish(ret, tid)

    def finish(self, ret: int = 0, tid: int | None = None) -> None:
        """The call in flight of the task ``tid`` returns. Raises ValueError if there is none."""
        self._emit(self._task(tid), ret)

    def fork(self, tid: int, parent: int | None = None, *, thread: bool = False) -> None:
        """The task ``parent`` (default: pytest's own) starts a process, or a thread, by ``clone``."""
        above = self._task(parent)
        flags = CLONE_THREAD if thread else 0
        self.call("clone", flags, ret=tid, tid=parent)
        pid = above.pid if thread else tid
        image = above.image if thread else above.call
        tag = self._load("controls", 0, 4) if above.pid == os.getpid() else above.tag
        task = self._follow(tid, pid, above.comm, image, tag)
        self._note(NoteKind.FORK, above, (tid, pid, tid, pid, flags, task.slot), tag)

    def exec(self, tid: int, exe: str, argv: Sequence[str] = ()) -> None:
        """The task ``tid`` executes a program, by ``execve``; ``argv`` is ``[exe]`` unless told."""
        task = self._task(tid)
        self.call("execve", path=exe, tid=tid)
        task.image = task.call
        task.comm = posixpath.basename(exe)[:15]
        arguments = b"".join(os.fsencode(each) + b"\0" for each in argv or [exe])
        self._blob(task.call, BlobKind.EXE, 0, _components(exe), NoteKind.EXEC)
        self._blob(task.call, BlobKind.ARGV, 0, arguments, NoteKind.EXEC)
        self._note(NoteKind.EXEC, task, (tid, 0, 0, 0, 0, task.slot), task.tag)

    def exit(self, tid: int, code: int = 0, signal: int = 0) -> None:
        """The task ends, by ``exit_group`` or a signal; a call that it is inside of never returns."""
        task = self._task(tid)
        if not signal and task.flying is None:
            self.call("exit_group", code, tid=tid, in_flight=True)
        if task.flying is not None:
            self._emit(task, 0, EventFlag.NO_RETURN)
        status = code << 8 | signal
        self._note(NoteKind.EXIT, task, (status, status, 0, 0, 0, task.slot), task.tag)
        del self._tasks[tid]

    def lose(self, name: str, count: int) -> None:
        """Say that ``count`` calls of this name found no room in the ring."""
        self._lose(_number(name), self._load("controls", 0, 4), count)

    # The programs' side of the memory

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
        self._store("tasks", slot * layout.TASK_BYTES + layout.IDS_OFFSET, pid << 32 | tid, 8)
        return self._tasks[tid]

    def _describe(
        self,
        call: int,
        syscall: Syscall,
        paths: Sequence[str | bytes],
        base: str,
        realpath: str | None,
        address: Address | bytes | None,
    ) -> int:
        """Write the blobs of a call; the bits of the arguments whose blob found no room."""
        lost = 0
        places = [index for index, argument in enumerate(syscall.args) if argument.kind == "path"]
        for index, path in zip(places, paths, strict=False):
            passed = os.fsdecode(path)
            lost |= self._blob(call, BlobKind.PATH, index, os.fsencode(path))
            if not passed.startswith("/"):
                lost |= self._blob(call, BlobKind.BASE, index, _components(base))
            if realpath is None:
                realpath = posixpath.normpath(posixpath.join(base, passed))
        if realpath:
            self._blob(call, BlobKind.REAL, 0, _components(realpath))
        if address is not None:
            sockaddr = address if isinstance(address, bytes) else _sockaddr(address)
            kinds = [argument.kind for argument in syscall.args]
            place = kinds.index("sockaddr" if "sockaddr" in kinds else "msghdr")
            lost |= self._blob(call, BlobKind.ADDRESS, place, sockaddr)
        return lost

    def _emit(self, task: _Task, ret: int, flag: int = 0) -> None:
        if task.flying is None:
            raise ValueError(f"task {task.tid}: it is inside no call")
        fields = [*task.flying]
        fields[1], fields[4] = time.monotonic_ns(), ret
        fields[18] |= flag
        task.flying = None
        self._memory["tasks"][task.slot * layout.TASK_BYTES + layout.STATE_OFFSET] = 0
        if not self._push("events", self._packed(task, fields)):
            self._lose(number=fields[16], segment=fields[13], count=1)

    def _note(self, kind: NoteKind, task: _Task, args: Sequence[int], tag: int) -> None:
        now, segment = time.monotonic_ns(), self._load("controls", 0, 4)
        head = (now, now, task.call, task.image, 0, *args, task.pid, task.tid, segment, tag)
        if not self._push("events", self._packed(task, (*head, 0, 0, kind, 0, 0, 0))):
            self._store("controls", LOST_NOTES_OFFSET, self._load("controls", LOST_NOTES_OFFSET, 4) + 1, 4)

    def _blob(self, call: int, kind: BlobKind, arg: int, data: bytes, of: int = CALL) -> int:
        """Write one blob; the bit of its argument if it found no room."""
        kept = self._push("blobs", BLOB_HEADER.pack(call, len(data), kind, arg, 0, of) + data)
        return 0 if kept else 1 << arg

    def _packed(self, task: _Task, fields: Sequence[int]) -> bytes:
        return EVENT.pack(*fields, os.fsencode(task.comm))

    def _lose(self, number: int, segment: int, count: int) -> None:
        offset = (segment % layout.SEGMENT_ROWS * layout.CALL_NUMBERS + number) * 4
        self._store("losses", offset, self._load("losses", offset, 4) + count, 4)

    def _push(self, ring: str, data: bytes) -> bool:
        """Write one record, twice, since the kernel maps a ring twice in a row; False if it is full."""
        record = len(data).to_bytes(4, "little") + bytes(HEADER_BYTES - 4) + data
        record += bytes(-len(record) % 8)
        size = RINGS[ring]
        consumed, produced = self._load(ring, 0, 8), self._load(ring, PAGE, 8)
        if produced + len(record) - consumed > size:
            return False
        memory, first = self._memory[ring], 2 * PAGE
        start = produced % size
        memory[first + start : first + start + len(record)] = record
        wrapped = max(start + len(record) - size, 0)
        memory[first : first + wrapped] = record[len(record) - wrapped :]
        kept = len(record) - wrapped
        memory[first + size + start : first + size + start + kept] = record[:kept]
        self._store(ring, PAGE, produced + len(record), 8)
        return True

    def _load(self, name: str, offset: int, size: int) -> int:
        return int.from_bytes(self._memory[name][offset : offset + size], "little")

    def _store(self, name: str, offset: int, value: int, size: int) -> None:
        self._memory[name][offset : offset + size] = value.to_bytes(size, "little")


def _number(name: str) -> int:
    """The number of a call; raises UnknownSyscall for a name that no machine has, ValueError if this one hasn't."""
    table().resolve(name)
    number = table().number(name)
    if number is None:
        raise ValueError(f"system call {name!r}: this machine has none (give one exact name)")
    return number


def _defaults(syscall: Syscall) -> list[int]:
    """Registers of a call whose test doesn't care."""
    values = [AT_FDCWD if argument.kind == "dirfd" else 0 for argument in syscall.args]
    return values + [0] * (CALL_ARGS - len(values))


def _components(path: str) -> bytes:
    """A path as the programs walk it: leaf first, each component with its NUL."""
    return b"".join(os.fsencode(part) + b"\0" for part in reversed(path.strip("/").split("/")) if part)


def _sockaddr(address: Address) -> bytes:
    """The ``struct sockaddr`` of an address."""
    family = int(socket.AddressFamily[address.family]).to_bytes(2, "little")
    port = (address.port or 0).to_bytes(2, "big")
    if address.path is not None:
        name = os.fsencode(address.path)
        return family + (b"\0" + name[1:] if name.startswith(b"@") else name + b"\0")
    if address.host is None:
        return family
    host = ipaddress.ip_address(address.host).packed
    return family + port + (host + bytes(8) if len(host) == 4 else bytes(4) + host + bytes(4))
