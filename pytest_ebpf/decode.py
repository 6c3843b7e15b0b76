"""From the wire to events: the mirror of bpf_snippets/include/events.h."""

from __future__ import annotations

import enum
import functools
import os
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from . import notation
from .events import Address, Descriptor, File, Process, Socket, SyscallEvent
from .files import Files, normal, parse_address
from .syscalls import RING, Argument, Syscall, Table, errno_name, flag_names

__all__ = [
    "EVENT",
    "EVENT_BYTES",
    "Blob",
    "BlobFlag",
    "BlobKind",
    "EventFlag",
    "Note",
    "NoteKind",
    "Pattern",
    "RawCall",
    "deciding",
    "decode_call",
    "decode_note",
    "end_of_process",
    "program_of",
    "root_of",
    "specs",
]

EVENT = struct.Struct("<QQQQQq6Q5IHBBBB6x16s")
EVENT_BYTES = 144
BLOB_HEADER = struct.Struct("<QIBBBB")
SPEC = struct.Struct("<6BBB")
CALL_ARGS = 6
CALL_KIND = 1
RING_KIND = 6
EFAULT = 14
MAP_ANONYMOUS = 0x20
PATH_BYTES = 4096
EBADF = 9


class NoteKind(enum.IntEnum):
    """Events that are not calls."""

    TASK = 2
    FORK = 3
    EXEC = 4
    EXIT = 5


class EventFlag(enum.IntFlag):
    """Of an event."""

    FOREIGN = 1
    NO_ENTRY = 2
    NO_RETURN = 4
    CREATED = 8
    X32 = 16


class BlobKind(enum.IntEnum):
    """What a blob holds."""

    PATH = 1
    BASE = 2
    FD = 3
    ADDRESS = 4
    EXE = 5
    ARGV = 6
    STRUCT = 7
    FILE = 8
    ROOT = 9
    DATA = 10


class BlobFlag(enum.IntFlag):
    """How much of it."""

    CUT = 1
    FAILED = 2
    REREAD = 4
    DELETED = 8
    PSEUDO = 16


class Capture(enum.IntEnum):
    """What the BPF side reads behind an argument."""

    NONE = 0
    PATH = 1
    PATH_AT = 2
    ADDRESS = 3
    MESSAGE = 4
    STRUCT = 5
    FD = 6
    FD_MORE = 7
    MESSAGES = 8
    ARGV = 9
    STRING = 10
    ADDRESS_OUT = 16
    MESSAGE_OUT = 17
    FDS_OUT = 18
    MESSAGES_OUT = 19


class Wait(enum.IntEnum):
    """How a call waits for others, and so may be handed work."""

    NOTHING = 0
    LOCK = 1
    READY_POLL = 2
    READY_EPOLL = 3
    READY_PPOLL = 4
    READY_EPOLL2 = 5
    READY_SELECT = 6
    DATA = 7
    SLEEP = 8
    HASTY = 9
    OTHER = 10
    TURN = 11


WAIT_OF_CALL = {
    "accept": Wait.DATA,
    "accept4": Wait.DATA,
    "clock_nanosleep": Wait.SLEEP,
    "epoll_pwait": Wait.READY_EPOLL,
    "epoll_pwait2": Wait.READY_EPOLL2,
    "epoll_wait": Wait.READY_EPOLL,
    "fcntl": Wait.TURN,
    "flock": Wait.TURN,
    "futex": Wait.LOCK,
    "futex_wait": Wait.OTHER,
    "futex_waitv": Wait.OTHER,
    "io_uring_enter": Wait.TURN,
    "mq_timedreceive": Wait.DATA,
    "msgrcv": Wait.OTHER,
    "nanosleep": Wait.SLEEP,
    "poll": Wait.READY_POLL,
    "ppoll": Wait.READY_PPOLL,
    "pselect6": Wait.READY_SELECT,
    "read": Wait.DATA,
    "readv": Wait.DATA,
    "recvfrom": Wait.DATA,
    "recvmmsg": Wait.DATA,
    "recvmsg": Wait.DATA,
    "rt_sigtimedwait": Wait.OTHER,
    "select": Wait.READY_SELECT,
    "semop": Wait.OTHER,
    "semtimedop": Wait.OTHER,
    "wait4": Wait.OTHER,
    "waitid": Wait.OTHER,
}


class Payload(enum.IntEnum):
    """Where a call that sends or receives has its data."""

    NONE = 0
    BUFFER = 1
    BUFFER_TO = 2
    VECTOR = 3
    MESSAGE = 4
    MESSAGES = 5
    IOCBS = 6


PAYLOAD_OF_CALL = {
    "io_submit": Payload.IOCBS,
    "read": Payload.BUFFER,
    "readv": Payload.VECTOR,
    "recvfrom": Payload.BUFFER_TO,
    "recvmmsg": Payload.MESSAGES,
    "recvmsg": Payload.MESSAGE,
    "sendmmsg": Payload.MESSAGES,
    "sendmsg": Payload.MESSAGE,
    "sendto": Payload.BUFFER_TO,
    "write": Payload.BUFFER,
    "writev": Payload.VECTOR,
}
FIRST_AT_EXIT = Capture.ADDRESS_OUT
CAPTURE_OF_KIND = {
    "argv": Capture.ARGV,
    "clone_args": Capture.STRUCT,
    "fd": Capture.FD,
    "fds_out": Capture.FDS_OUT,
    "mmsghdr": Capture.MESSAGES,
    "mmsghdr_out": Capture.MESSAGES_OUT,
    "msghdr": Capture.MESSAGE,
    "msghdr_out": Capture.MESSAGE_OUT,
    "open_how": Capture.STRUCT,
    "sockaddr": Capture.ADDRESS,
    "sockaddr_out": Capture.ADDRESS_OUT,
    "string": Capture.STRING,
}
RESULT_ARG = 6
RING_SENDS = frozenset({"IORING_OP_SEND", "IORING_OP_SENDMSG", "IORING_OP_SENDMSG_ZC", "IORING_OP_SEND_ZC"})


class SpecFlag(enum.IntFlag):
    """Of a call as a whole."""

    CAPTURES = 1
    RETURNS_FD = 2
    QUIET = 4
    CAPTURES_AT_EXIT = 8
    FILE_IS_RESULT = 16


QUIET_CALLS = frozenset(
    {"brk", "clock_gettime", "futex", "getpid", "madvise", "mmap", "mprotect", "mremap", "munmap", "rt_sigprocmask"}
)
"""What happens while the plugin reads a recording: memory and locks of the interpreter, and the plugin's own calls."""

DECIDING = frozenset({"dirfd", "enum", "fd", "flags", "mode", "pid", "signal"})
"""Kinds of argument whose number decides what a call is about; others say where and how much."""
SINGULAR = frozenset({"clone", "clone3", "execve", "execveat", "fork", "recvmmsg", "sendmmsg", "vfork"})
"""Calls of which each is its own: it starts something, or its result says which of its messages count."""
ARGS_FIELD = 6
"""Of the first argument among the unpacked fields of an event."""

ADDRESS_KINDS = frozenset({"mmsghdr", "mmsghdr_out", "msghdr", "msghdr_out", "sockaddr", "sockaddr_out"})


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes that belong to a call."""

    call: int
    kind: int
    arg: int
    flags: int
    event_kind: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A task that appeared, executed a program or ended; ids as the kernel counts."""

    kind: NoteKind
    timestamp_ns: int
    call: int
    image: int
    args: tuple[int, ...]
    pid: int
    tid: int
    segment: int
    tag: int
    comm: str
    is_self: bool = False
    incomplete: bool = False
    """Some of what was sent beside it found no room."""


class RawCall(tuple[Any, ...]):
    """The unpacked fields of one call, with names."""

    __slots__ = ()
    entry_ns = property(lambda self: self[0])
    exit_ns = property(lambda self: self[1])
    call = property(lambda self: self[2])
    image = property(lambda self: self[3])
    file = property(lambda self: self[4])
    ret = property(lambda self: self[5])
    args = property(lambda self: self[6:12])
    pid = property(lambda self: self[12])
    tid = property(lambda self: self[13])
    segment = property(lambda self: self[14])
    tag = property(lambda self: self[15])
    since = property(lambda self: self[16])
    kind = property(lambda self: self[18])
    nr = property(lambda self: self[17] + (RING if self[18] == RING_KIND else 0))
    flags = property(lambda self: self[19])
    unread = property(lambda self: self[20])
    lost = property(lambda self: self[21])
    comm = property(lambda self: _text(self[22]))


def decode_note(fields: tuple[Any, ...], own_pid: int) -> Note:
    """A note from the unpacked fields of its event."""
    return Note(
        kind=NoteKind(fields[18]),
        timestamp_ns=fields[0],
        call=fields[2],
        image=fields[3],
        args=fields[6:12],
        pid=fields[12],
        tid=fields[13],
        segment=fields[14],
        tag=fields[15],
        comm=_text(fields[22]),
        is_self=fields[12] == own_pid,
        incomplete=bool(fields[21]),
    )


def root_of(blobs: Iterable[Blob]) -> int | None:
    """The identity of pytest's own root directory, from the blobs of its TASK event."""
    for blob in blobs:
        if (blob.event_kind, blob.kind) == (NoteKind.TASK, BlobKind.ROOT):
            return _word(blob)
    return None


def program_of(blobs: Iterable[Blob], files: Files) -> tuple[str | None, tuple[str, ...]]:
    """Path and arguments from the blobs of an EXEC or TASK event."""
    exe: str | None = None
    argv = bytearray()
    for blob in blobs:
        if blob.kind == BlobKind.EXE:
            file = files.get(_word(blob))
            exe = file.path if file else None
        elif blob.kind == BlobKind.ARGV:
            argv += blob.data
    return exe, _strings(bytes(argv))


def _strings(joined: bytes) -> tuple[str, ...]:
    return tuple(os.fsdecode(each) for each in joined.removesuffix(b"\0").split(b"\0")) if joined else ()


def decode_call(
    raw: RawCall,
    blobs: Iterable[Blob],
    files: Files,
    process: Process,
    table: Table,
    *,
    started: Process | None = None,
    in_flight: bool = False,
    shift_ns: int = 0,
) -> SyscallEvent:
    """The event of one call; ``started`` is the process that it made, or made this process into.

    ``shift_ns`` is how far the clock of the one who reads is ahead of the kernel's.
    """
    return Pattern(raw, blobs, files, table, in_flight=in_flight).event(raw, process, started, shift_ns)


class Pattern:
    """What one call says that others may say too, so that of those only the rest is decoded.

    It holds for calls with the same number, kind, flags, task, files and blobs, the same error, and the same `deciding`
    arguments.
    """

    __slots__ = ("_arch", "_call", "_common", "_ends", "_plain", "_result", "_values", "comm")

    def __init__(
        self, raw: RawCall, blobs: Iterable[Blob], files: Files, table: Table, *, in_flight: bool = False
    ) -> None:
        call = foreign_call(raw.nr) if raw.flags & EventFlag.FOREIGN.value else table.by_number(raw.nr)
        finished = not in_flight and raw.kind == CALL_KIND and not raw.flags & EventFlag.NO_RETURN.value
        args = raw.args
        values = {argument.name: argument.convert(value) for argument, value in zip(call.args, args, strict=False)}
        reading = _Reading(call, raw, dict(values), files, finished)
        for blob in blobs:
            reading.take(blob)
        reading.finish()
        ret = raw.ret if finished else None
        self.comm: str = raw.comm
        self._call = call
        self._arch = table.arch
        self._ends = finished
        self._result = reading.result_file
        self._values: dict[str, Any] = reading.values
        self._plain = [
            (argument.name, argument, index + ARGS_FIELD)
            for index, argument in enumerate(call.args)
            if argument.kind not in DECIDING and reading.values[argument.name] is values[argument.name]
        ]
        self._common: dict[str, Any] = {
            "name": call.name,
            "pid": raw.pid,
            "tid": raw.tid,
            "comm": self.comm,
            "errno": errno_name(ret) if ret is not None and -4095 <= ret < 0 else None,
            "path": reading.path,
            "abspath": reading.abspath,
            "realpath": reading.realpath,
            "paths": tuple(dict.fromkeys(reading.paths)),
            "abspaths": reading.abspaths,
            "address": reading.addresses[0] if reading.addresses else reading.peer,
            "addresses": tuple(reading.addresses) or ((reading.peer,) if reading.peer else ()),
            "files": reading.files,
            "result_file": reading.result_file,
            "payloads": tuple(reading.payloads),
            "created": bool(raw.flags & EventFlag.CREATED.value) if reading.result_file is not None else None,
            "in_flight": in_flight,
            "unread": frozenset(reading.unread),
        }

    def event(
        self, fields: tuple[Any, ...], process: Process, started: Process | None = None, shift_ns: int = 0
    ) -> SyscallEvent:
        """That of a call of this pattern, from the unpacked fields of its record."""
        values = self._values.copy()
        for name, argument, place in self._plain:
            values[name] = argument.convert(fields[place])
        ret = fields[5] if self._ends else None
        return SyscallEvent(
            process=process,
            timestamp_ns=fields[0] + shift_ns,
            duration_ns=max(fields[1] - fields[0], 0) if self._ends else None,
            args=values,
            ret=ret,
            started=started,
            render=functools.partial(self._render, values, ret),
            **self._common,
        )

    def _render(self, values: dict[str, Any], ret: int | None) -> str:
        """The call in strace's notation, its result with what that stands for if it is a descriptor."""
        if ret is not None and ret >= 0 and self._result is not None:
            ret = Descriptor(ret, self._result)
        return notation.call(self._call, values, ret, self._arch, in_flight=self._common["in_flight"])


def deciding(nr: int, table: Table) -> tuple[int, ...] | None:
    """The arguments of a call that decide what it means, by their places; None if no two of its calls are alike.

    >>> deciding(257, table("x86_64"))  # openat(dfd, filename, flags, mode)
    (0, 2, 3)
    """
    call = table.by_number(nr)
    if call.name in SINGULAR:
        return None
    return tuple(index for index, argument in enumerate(call.args) if argument.kind in DECIDING)


def end_of_process(note: Note, process: Process, status: int, shift_ns: int = 0) -> SyscallEvent:
    """The end of a process, as an event in place of a call; ``status`` is as wait gives it."""
    number = status & 0x7F
    code = None if number else status >> 8 & 0xFF
    signal = flag_names("signal", number) if number else None
    dumped = bool(number and status & 0x80)
    killed = f"killed by {signal}" + " (core dumped)" * dumped
    return SyscallEvent(
        name="sched_process_exit",
        pid=note.pid,
        tid=note.tid,
        comm=note.comm,
        process=process,
        timestamp_ns=note.timestamp_ns + shift_ns,
        duration_ns=None,
        args={"exit_code": code, "signal": signal, "core_dumped": dumped},
        ret=None,
        text=f"+++ {killed} +++" if signal else f"+++ exited with {code} +++",
    )


def foreign_call(number: int) -> Syscall:
    """A call made through another ABI, whose numbers mean other calls."""
    return Syscall(
        name=f"foreign_0x{number:x}",
        args=tuple(Argument(f"arg{index}", "pointer") for index in range(CALL_ARGS)),
        classes=frozenset(),
        siblings=frozenset(),
    )


def _needs_file(call: Syscall, values: Mapping[str, Any]) -> bool:
    """Whether a call with a descriptor that stands for nothing must fail."""
    anonymous = call.name == "mmap" and values["flags"] & MAP_ANONYMOUS
    return not anonymous and call.name != "close_range"


class _Reading:
    """What the blobs of one call add up to."""

    def __init__(self, call: Syscall, raw: RawCall, values: dict[str, Any], known: Files, finished: bool) -> None:
        self._call = call
        self._raw = raw
        self.values = values
        self._known = known
        self._finished = finished
        self._passed: dict[int, str] = {}
        self._bases: dict[int, int] = {}
        self._roots: dict[int, int] = {}
        self._argv = bytearray()
        self._argv_done = False
        self._executed = bytearray()
        self._executed_cut = False
        self.path: str | None = None
        self.abspath: str | None = None
        self.realpath: str | None = None
        self.paths: list[str] = []
        self.abspaths: dict[str, str] = {}
        self.addresses: list[Address] = []
        self.peer: Address | None = None
        self.files: dict[str, File] = {}
        self.result_file: File | None = None
        self.payloads: list[bytes] = []
        self.unread: set[str] = set()
        first = next((argument for argument in call.args if argument.kind == "fd"), None)
        if first is not None and raw.file:
            self._take_file(first.name, raw.file)
        elif raw.file and call.returns == "fd" and finished and raw.ret >= 0:
            self.result_file = known.get(raw.file)

    def take(self, blob: Blob) -> None:
        if blob.kind == BlobKind.ARGV:
            self._take_argv(blob)
        if blob.event_kind not in (CALL_KIND, RING_KIND):
            return
        if blob.kind == BlobKind.BASE:
            self._bases[blob.arg] = _word(blob)
        elif blob.kind == BlobKind.ROOT:
            self._roots[blob.arg] = _word(blob)
        elif blob.kind == BlobKind.DATA:
            self.payloads.append(blob.data)
        elif blob.kind == BlobKind.FD and blob.arg == RESULT_ARG:
            self.result_file = self._known.get(_word(blob))
        elif blob.arg < len(self._call.args):
            self._take_argument(blob, self._call.args[blob.arg])

    def _take_argument(self, blob: Blob, argument: Argument) -> None:
        name = argument.name
        if blob.kind == BlobKind.PATH:
            self.values[name] = os.fsdecode(blob.data)
            if blob.flags & BlobFlag.CUT.value:
                self.unread |= {"path", name} if argument.kind == "path" else {name}
            elif blob.flags & BlobFlag.REREAD.value and self._overwritten(blob.arg):
                self.unread |= {"path", name}
            elif argument.kind == "path":
                self._passed[blob.arg] = self.values[name]
        elif blob.kind == BlobKind.FD:
            self._take_file(name, _word(blob))
        elif blob.kind == BlobKind.ADDRESS:
            address = parse_address(blob.data)
            self.addresses.append(address)
            if argument.kind in ADDRESS_KINDS and not argument.kind.startswith("mmsghdr"):
                self.values[name] = address
        elif blob.kind == BlobKind.STRUCT:
            self.values[name] = _members(argument.kind, blob.data)

    def _take_argv(self, blob: Blob) -> None:
        """The arguments as the kernel took them over, if the program was executed; else as the caller passed them."""
        if blob.event_kind == CALL_KIND and blob.arg < len(self._call.args):
            if self._argv_done:  # at exit they are sent once more
                self._argv.clear()
            self._argv += blob.data
            self._argv_done = bool(blob.flags & BlobFlag.CUT.value)
        elif blob.event_kind == NoteKind.EXEC:
            self._executed += blob.data
            self._executed_cut |= bool(blob.flags & BlobFlag.CUT.value)

    def _take_file(self, name: str, identity: int) -> None:
        file = self._known.get(identity)
        if file is None:
            self.unread |= {"path", "address", name}
        else:
            self.files[name] = file
            self._annotate(name, file)

    def _overwritten(self, index: int) -> bool:
        """Whether the kernel may have written its answer over a string that was read only at exit."""
        start = self._raw.args[index]
        written = (
            address
            for argument, address in zip(self._call.args, self._raw.args, strict=False)
            if argument.kind in ("buffer_out", "pointer")
        )
        return any(address and abs(address - start) < PATH_BYTES for address in written)

    def _annotate(self, name: str, file: File) -> None:
        """Say of the descriptor in an argument what it stands for."""
        number = self.values.get(name)
        if isinstance(number, int):
            self.values[name] = Descriptor(number, file)

    def finish(self) -> None:
        if argv := bytes(self._executed or self._argv):
            self.values["argv"] = _strings(argv)
        failed_to_read = self._raw.ret == -EFAULT and self._finished
        for index, argument in enumerate(self._call.args):
            missing = (self._raw.unread | self._raw.lost) >> index & 1
            if argument.kind == "argv" and self._executed:
                if self._executed_cut:
                    self.unread.add(argument.name)
                continue
            if argument.kind == "fd" and not self._raw.lost >> index & 1:
                # Of a call that failed, there was none to stand for.
                failed = self._finished and self._raw.ret < 0
                missing = missing and not failed and _needs_file(self._call, self.values)
            if missing and not failed_to_read:
                self.unread.add(argument.name)
                if argument.kind == "path":
                    self.unread.add("path")
                    if index in self._passed:
                        self.unread.add("abspath")
                elif argument.kind == "fd":
                    self.unread |= {"path", "address"}
                elif argument.kind in ADDRESS_KINDS:
                    self.unread.add("address")
            passed = self._passed.get(index)
            if passed is not None:
                self._resolve(index, passed)
            if argument.base:
                self._take_directory(argument.base, index, passed)
            if argument.kind in ADDRESS_KINDS and not argument.kind.endswith("_out"):
                self.addresses = [self._located(index, address) for address in self.addresses]
                if isinstance(self.values[argument.name], Address):
                    self.values[argument.name] = self.addresses[0]
        self._take_descriptors()
        self._take_true_ends()

    def _take_true_ends(self) -> None:
        """Whom a send went to, where that is not the address it was given."""
        socket = next((file.socket for file in self.files.values() if file.socket is not None), None)
        if not self._call.name.startswith("send") and self._call.name not in RING_SENDS:
            return
        hidden = self._call.name in RING_SENDS or "address" in self.unread
        if hidden and not self.addresses and not (self.peer and socket and _keeps_to_its_peer(socket)):
            self.peer = None
            self.unread.add("address")  # the call may have one of its own, which isn't known
        if socket is None or not self.addresses:
            return
        if socket.family == "AF_INET" and socket.type != "SOCK_STREAM":  # takes AF_UNSPEC for AF_INET
            self.addresses = [_as_inet(address) for address in self.addresses]
        unspecified = any(address.family == "AF_UNSPEC" for address in self.addresses)
        fewer = self._call.name == "sendmmsg" and len(self.addresses) < self.values["vlen"]
        if self.peer is not None and _keeps_to_its_peer(socket):
            self.addresses = [self.peer]
        elif self.peer is not None and (unspecified or fewer):
            self.addresses.append(self.peer)

    def _take_descriptors(self) -> None:
        if "open" in self._call.classes and not self._finished:
            self.unread.add("realpath")
        elif self._call.returns == "fd" and self._finished and self._raw.ret >= 0:
            if self.result_file is None or self.result_file.path_cut:
                self.unread.add("realpath")
            elif "open" in self._call.classes:
                self.realpath = self.result_file.path
        for file in (*self.files.values(), *([self.result_file] if self.result_file else [])):
            if file.path is not None:
                self.paths.append(file.path)
                if self.path is None and self.realpath is None:
                    self.realpath = file.path
            elif file.path_cut:
                self.unread.add("path")
            if file.socket is not None and self.peer is None:
                self.peer = file.socket.peer

    def _take_directory(self, name: str, index: int, passed: str | None) -> None:
        """What the descriptor stands for that a path is relative to; the call is on it if the path is empty or NULL."""
        if index not in self._bases:
            return
        directory = self._known.get(self._bases[index])
        number = self.values[name]
        if directory is None:
            if not passed:
                self.unread |= {"path", name}
        elif isinstance(number, int) and number >= 0:
            self.values[name] = Descriptor(number, directory)
            if not passed:
                self.files[name] = directory

    def _takes_descriptor_for_root(self) -> bool:
        how = self.values.get("how")
        return isinstance(how, dict) and bool(how.get("resolve", 0) & RESOLVE_IN_ROOT)

    def _absolute(self, index: int, passed: str) -> str | None:
        """A path from the root; None if where it starts isn't known."""
        if passed.startswith("/") and self._takes_descriptor_for_root():
            return None
        start = self._start(index, passed)
        if start is None:
            return normal(passed) if passed.startswith("/") else None
        base = self._known.get(start)
        return None if base is None or base.path is None else self._known.absolute(base.path, passed)

    def _start(self, index: int, passed: str) -> int | None:
        return self._roots.get(index) if passed.startswith("/") else self._bases.get(index)

    def _located(self, index: int, address: Address) -> Address:
        """The address of a unix socket, with its path made absolute."""
        if address.path is None or address.path.startswith("@"):
            return address
        return replace(address, abspath=self._absolute(index, address.path))

    def _resolve(self, index: int, passed: str) -> None:
        absolute = self._absolute(index, passed)
        if absolute is None:
            start = self._start(index, passed)
            base = None if start is None else self._known.get(start)
            # A path relative to a socket or the like has no absolute form: the call fails with ENOTDIR.
            if self._raw.ret != -EBADF if start is None else base is None or base.path_cut:
                self.unread.add("abspath")
        self.paths.append(passed)
        if absolute is not None:
            self.paths.append(absolute)
            self.abspaths[self._call.args[index].name] = absolute
        if self.path is None:
            self.path, self.abspath = passed, absolute


def specs(table: Table, rows: int) -> bytes:
    """The capture table of the BPF side: one row a call number."""
    content = bytearray(SPEC.size * rows)
    for number, call in table.items():
        if number < rows - 1:
            captures = _captures(call)
            flags = SpecFlag(0)
            if any(Capture.NONE < capture < FIRST_AT_EXIT for capture in captures):
                flags |= SpecFlag.CAPTURES
            if any(capture >= FIRST_AT_EXIT for capture in captures):
                flags |= SpecFlag.CAPTURES_AT_EXIT
            if call.returns == "fd":
                flags |= SpecFlag.RETURNS_FD
                if Capture.FD not in captures:
                    flags |= SpecFlag.FILE_IS_RESULT
            if call.name in QUIET_CALLS:
                flags |= SpecFlag.QUIET
            captures += [Capture.NONE] * (CALL_ARGS - len(captures))
            kinds = PAYLOAD_OF_CALL.get(call.name, 0) | WAIT_OF_CALL.get(call.name, 0) << 4
            SPEC.pack_into(content, number * SPEC.size, *captures, flags, kinds)
    return bytes(content)


def _captures(call: Syscall) -> list[Capture]:
    captures = [_capture(call, index) for index in range(len(call.args))]
    for index in [index for index, capture in enumerate(captures) if capture is Capture.FD][1:]:
        captures[index] = Capture.FD_MORE
    return captures


def _capture(call: Syscall, index: int) -> Capture:
    argument = call.args[index]
    if argument.kind == "path":
        if not argument.base:
            return Capture.PATH
        if index and call.args[index - 1].name == argument.base:
            return Capture.PATH_AT
        raise ValueError(f"{call.name}: the base of {argument.name} must be the argument before it")
    return CAPTURE_OF_KIND.get(argument.kind, Capture.NONE)


RESOLVE_IN_ROOT = 0x10
"""Of openat2: an absolute path begins at the descriptor."""
STRUCT_MEMBERS = {
    "clone_args": ("flags", "pidfd", "child_tid", "parent_tid", "exit_signal"),
    "open_how": ("flags", "mode", "resolve"),
}
SHOWN_MEMBERS = frozenset({"exit_signal", "flags", "mode", "resolve"})


def _members(kind: str, data: bytes) -> Any:
    """The members of a struct that mean something by themselves; of two descriptors, the numbers."""
    if kind == "fds_out":
        return tuple(int.from_bytes(data[start : start + 4], "little", signed=True) for start in (0, 4))
    words = [int.from_bytes(data[start : start + 8], "little") for start in range(0, len(data) - 7, 8)]
    members = dict(zip(STRUCT_MEMBERS.get(kind, ()), words, strict=False))
    return {name: value for name, value in members.items() if name in SHOWN_MEMBERS and (value or name != "mode")}


def _keeps_to_its_peer(socket: Socket) -> bool:
    """Whether what is sent on the socket, once connected, goes there whatever address is given beside it."""
    return socket.type == "SOCK_STREAM" or (socket.family, socket.type) == ("AF_UNIX", "SOCK_SEQPACKET")


def _as_inet(address: Address) -> Address:
    """An address without a family as the kernel takes it on a socket of AF_INET."""
    data = dict(address.members).get("sa_data")
    if address.family != "AF_UNSPEC" or not isinstance(data, bytes):
        return address
    return parse_address(b"\2\0" + data)


def _word(blob: Blob) -> int:
    return int.from_bytes(blob.data, "little")


def _text(raw: bytes) -> str:
    return os.fsdecode(raw.split(b"\0", 1)[0])
