"""From the wire to events: the mirror of bpf_snippets/include/events.h."""

from __future__ import annotations

import enum
import ipaddress
import os
import posixpath
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from . import notation
from .events import Address, Process, SyscallEvent
from .syscalls import Argument, Syscall, Table, errno_name

__all__ = [
    "EVENT",
    "EVENT_BYTES",
    "Blob",
    "BlobFlag",
    "BlobKind",
    "EventFlag",
    "Note",
    "NoteKind",
    "RawCall",
    "decode_call",
    "decode_note",
    "parse_blob",
    "program_of",
    "specs",
]

EVENT = struct.Struct("<QQQQq6Q5IHBBBB6x16s")
EVENT_BYTES = 136
BLOB_HEADER = struct.Struct("<QIBBBB")
SPEC = struct.Struct("<6BBx")
CALL_ARGS = 6
CALL_KIND = 1
EFAULT = 14
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
    USER_WORKER = 8


class BlobKind(enum.IntEnum):
    """What a blob holds."""

    PATH = 1
    BASE = 2
    REAL = 3
    ADDRESS = 4
    EXE = 5
    ARGV = 6
    WORD = 7


class BlobFlag(enum.IntFlag):
    """How much of it."""

    CUT = 1
    FAILED = 2
    REREAD = 4
    DELETED = 8


class Capture(enum.IntEnum):
    """What the BPF side reads behind an argument."""

    NONE = 0
    PATH = 1
    PATH_AT = 2
    ADDRESS = 3
    MESSAGE = 4
    WORD = 5


CAPTURE_OF_KIND = {
    "clone_args": Capture.WORD,
    "msghdr": Capture.MESSAGE,
    "open_how": Capture.WORD,
    "sockaddr": Capture.ADDRESS,
}


class SpecFlag(enum.IntFlag):
    """Of a call as a whole."""

    CAPTURES = 1
    RETURNS_FD = 2
    QUIET = 4


QUIET_CALLS = frozenset({"brk", "futex", "madvise", "mmap", "mprotect", "mremap", "munmap", "sched_yield"})
"""What the interpreter itself does while the plugin reads a recording: memory and locks."""

ADDRESS_KINDS = frozenset({"msghdr", "sockaddr"})


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
    is_user_worker: bool = False


class RawCall(tuple[Any, ...]):
    """The unpacked fields of one call, with names."""

    __slots__ = ()
    entry_ns = property(lambda self: self[0])
    exit_ns = property(lambda self: self[1])
    call = property(lambda self: self[2])
    image = property(lambda self: self[3])
    ret = property(lambda self: self[4])
    args = property(lambda self: self[5:11])
    pid = property(lambda self: self[11])
    tid = property(lambda self: self[12])
    segment = property(lambda self: self[13])
    tag = property(lambda self: self[14])
    nr = property(lambda self: self[16])
    flags = property(lambda self: self[18])
    unread = property(lambda self: self[19])
    lost = property(lambda self: self[20])
    comm = property(lambda self: _text(self[21]))


def parse_blob(data: memoryview) -> Blob:
    """One blob as it stands in its ring."""
    call, size, kind, arg, flags, event_kind = BLOB_HEADER.unpack_from(data)
    start = BLOB_HEADER.size
    return Blob(call, kind, arg, flags, event_kind, bytes(data[start : start + size]))


def decode_note(fields: tuple[Any, ...], own_pid: int) -> Note:
    """A note from the unpacked fields of its event."""
    return Note(
        kind=NoteKind(fields[17]),
        timestamp_ns=fields[0],
        call=fields[2],
        image=fields[3],
        args=fields[5:11],
        pid=fields[11],
        tid=fields[12],
        segment=fields[13],
        tag=fields[14],
        comm=_text(fields[21]),
        is_self=fields[11] == own_pid,
        is_user_worker=bool(fields[18] & EventFlag.USER_WORKER),
    )


def program_of(blobs: Iterable[Blob]) -> tuple[str | None, tuple[str, ...]]:
    """Path and arguments from the blobs of an EXEC or TASK event."""
    exe: str | None = None
    argv: tuple[str, ...] = ()
    for blob in blobs:
        if blob.kind == BlobKind.EXE and not blob.flags & (BlobFlag.CUT | BlobFlag.FAILED):
            exe = _joined(blob)
        elif blob.kind == BlobKind.ARGV and not blob.flags & BlobFlag.FAILED:
            argv = tuple(os.fsdecode(each) for each in blob.data.removesuffix(b"\0").split(b"\0"))
    return exe, argv


def decode_call(
    raw: RawCall, blobs: Iterable[Blob], process: Process, table: Table, *, in_flight: bool = False
) -> SyscallEvent:
    """The event of one call."""
    call = foreign_call(raw.nr) if raw.flags & EventFlag.FOREIGN else table.by_number(raw.nr)
    finished = not in_flight and not raw.flags & EventFlag.NO_RETURN
    ret = raw.ret if finished else None
    values: dict[str, Any] = {
        argument.name: argument.convert(value) for argument, value in zip(call.args, raw.args, strict=False)
    }
    reading = _Reading(call, raw, values, finished)
    for blob in blobs:
        reading.take(blob)
    reading.finish()
    errno = errno_name(ret) if ret is not None and -4095 <= ret < 0 else None
    return SyscallEvent(
        name=call.name,
        pid=raw.pid,
        tid=raw.tid,
        comm=raw.comm,
        process=process,
        timestamp_ns=raw.entry_ns,
        duration_ns=max(raw.exit_ns - raw.entry_ns, 0) if finished else None,
        args=values,
        ret=ret,
        errno=errno,
        path=reading.path,
        abspath=reading.abspath,
        realpath=reading.realpath,
        paths=tuple(dict.fromkeys(reading.paths)),
        address=reading.address,
        in_flight=in_flight,
        unread=frozenset(reading.unread),
        text=notation.call(call, values, ret, table.arch, in_flight=in_flight),
    )


def foreign_call(number: int) -> Syscall:
    """A call made through another ABI, whose numbers mean other calls."""
    return Syscall(
        name=f"foreign_0x{number:x}",
        args=tuple(Argument(f"arg{index}", "pointer") for index in range(CALL_ARGS)),
        classes=frozenset(),
        siblings=frozenset(),
    )


class _Reading:
    """What the blobs of one call add up to."""

    def __init__(self, call: Syscall, raw: RawCall, values: dict[str, Any], finished: bool) -> None:
        self._call = call
        self._raw = raw
        self._values = values
        self._finished = finished
        self._passed: dict[int, str] = {}
        self._bases: dict[int, Blob] = {}
        self.path: str | None = None
        self.abspath: str | None = None
        self.realpath: str | None = None
        self.paths: list[str] = []
        self.address: Address | None = None
        self.unread: set[str] = set()

    def take(self, blob: Blob) -> None:
        if blob.event_kind != CALL_KIND:
            return
        if blob.kind == BlobKind.BASE:
            self._bases[blob.arg] = blob
        elif blob.kind == BlobKind.REAL:
            if blob.flags & (BlobFlag.CUT | BlobFlag.FAILED):
                return
            self.realpath = _joined(blob)
        elif blob.arg < len(self._call.args):
            name = self._call.args[blob.arg].name
            if blob.kind == BlobKind.PATH:
                self._values[name] = os.fsdecode(blob.data)
                if blob.flags & BlobFlag.CUT:
                    self.unread |= {"path", name}
                else:
                    self._passed[blob.arg] = self._values[name]
            elif blob.kind == BlobKind.ADDRESS:
                self.address = parse_address(blob.data)
                if self._call.args[blob.arg].kind == "sockaddr":
                    self._values[name] = self.address
            elif blob.kind == BlobKind.WORD:
                self._values[name] = {"flags": int.from_bytes(blob.data, "little")}

    def finish(self) -> None:
        failed_to_read = self._raw.ret == -EFAULT and self._finished
        for index, argument in enumerate(self._call.args):
            missing = (self._raw.unread | self._raw.lost) >> index & 1
            if missing and not failed_to_read:
                self.unread.add(argument.name)
                if argument.kind == "path":
                    self.unread.add("path")
                    if index in self._passed:
                        self.unread.add("abspath")
                elif argument.kind in ADDRESS_KINDS:
                    self.unread.add("address")
            passed = self._passed.get(index)
            if passed is not None:
                self._resolve(index, passed)
            elif argument.kind == "mmsghdr":  # its addresses are not captured
                self.unread.add("address")
        if "open" in self._call.classes and not self._finished:
            self.unread.add("realpath")
        elif "open" in self._call.classes and self._raw.ret >= 0:
            if self.realpath is None:
                self.unread.add("realpath")
            else:
                self.paths.append(self.realpath)

    def _resolve(self, index: int, passed: str) -> None:
        absolute: str | None = None
        if passed.startswith("/"):
            absolute = _normal(passed)
        else:
            base = self._bases.get(index)
            if base is None or base.flags & (BlobFlag.CUT | BlobFlag.FAILED):
                if self._raw.ret != -EBADF:
                    self.unread.add("abspath")
            else:
                absolute = _normal(posixpath.join(_joined(base), passed))
        self.paths.append(passed)
        if absolute is not None:
            self.paths.append(absolute)
        if self.path is None:
            self.path, self.abspath = passed, absolute


def parse_address(data: bytes) -> Address:
    """A ``struct sockaddr``; one too short for its family keeps the family alone."""
    if len(data) < 2:
        return Address(family="AF_UNSPEC")
    number = int.from_bytes(data[:2], "little")
    try:
        family = socket.AddressFamily(number).name
    except ValueError:
        return Address(family=f"AF_{number}")
    if family == "AF_INET" and len(data) >= 8:
        return Address(family, host=str(ipaddress.IPv4Address(data[4:8])), port=int.from_bytes(data[2:4], "big"))
    if family == "AF_INET6" and len(data) >= 24:
        return Address(family, host=str(ipaddress.IPv6Address(data[8:24])), port=int.from_bytes(data[2:4], "big"))
    if family == "AF_UNIX":
        name = data[2:]
        if name[:1] == b"\0":
            return Address(family, path="@" + os.fsdecode(name[1:]))
        return Address(family, path=os.fsdecode(name.split(b"\0", 1)[0]))
    return Address(family)


def specs(table: Table, rows: int) -> bytes:
    """The capture table of the BPF side: one row a call number."""
    content = bytearray(SPEC.size * rows)
    for number, call in table.items():
        if number < rows - 1:
            captures = [_capture(call, index) for index in range(len(call.args))]
            flags = SpecFlag(0)
            if any(captures):
                flags |= SpecFlag.CAPTURES
            if "open" in call.classes:
                flags |= SpecFlag.CAPTURES | SpecFlag.RETURNS_FD
            if call.name in QUIET_CALLS:
                flags |= SpecFlag.QUIET
            captures += [Capture.NONE] * (CALL_ARGS - len(captures))
            SPEC.pack_into(content, number * SPEC.size, *captures, flags)
    return bytes(content)


def _capture(call: Syscall, index: int) -> Capture:
    argument = call.args[index]
    if argument.kind == "path":
        if not argument.base:
            return Capture.PATH
        if index and call.args[index - 1].name == argument.base:
            return Capture.PATH_AT
        raise ValueError(f"{call.name}: the base of {argument.name} must be the argument before it")
    return CAPTURE_OF_KIND.get(argument.kind, Capture.NONE)


def _joined(blob: Blob) -> str:
    """An absolute path from components that stand leaf first."""
    parts = blob.data.removesuffix(b"\0").split(b"\0") if blob.data else []
    return "/" + "/".join(os.fsdecode(part) for part in reversed(parts))


def _normal(path: str) -> str:
    return posixpath.normpath("/" + path.lstrip("/"))


def _text(raw: bytes) -> str:
    return os.fsdecode(raw.split(b"\0", 1)[0])
