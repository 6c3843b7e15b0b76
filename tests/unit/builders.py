"""Events and recordings made by hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pytest_ebpf import syscalls
from pytest_ebpf.assertions import Assertions
from pytest_ebpf.decode import BLOB_HEADER, Blob
from pytest_ebpf.events import Address, Gap, Process, SyscallEvent

BUSY_OR_DISCARDED = 3 << 30
TABLE = syscalls.table("x86_64")
START_NS = 5_000_000_000

PYTHON = Process(pid=12, comm="python", exe="/usr/bin/python3", argv=("pytest",), is_self=True)
SH = Process(pid=13, comm="sh", exe="/bin/sh", argv=("sh", "-c", "git"), parent=PYTHON)
GIT = Process(pid=14, comm="git", exe="/usr/bin/git", argv=("git", "config", "user.name"), parent=SH)


def contents(region: bytes) -> list[bytes]:
    """The data of each record of a ring that the kernel didn't discard."""
    found = []
    position = 0
    while position < len(region):
        header = int.from_bytes(region[position : position + 4], "little")
        length, start = header & ~BUSY_OR_DISCARDED, position + 8
        if length == header:
            found.append(region[start : start + length])
        position = start + length + -length % 8
    return found


def parse_blob(data: memoryview) -> Blob:
    """One blob as it stands in its ring."""
    call, size, kind, arg, flags, event_kind = BLOB_HEADER.unpack_from(data)
    start = BLOB_HEADER.size
    return Blob(call, kind, arg, flags, event_kind, bytes(data[start : start + size]))


def event(
    name: str = "openat",
    ret: int | None = 0,
    *,
    process: Process = PYTHON,
    after_ns: int = 1_234_000,
    errno: str | None = None,
    args: dict[str, Any] | None = None,
    path: str | None = None,
    abspath: str | None = None,
    realpath: str | None = None,
    address: Address | None = None,
    in_flight: bool = False,
    unread: Iterable[str] = (),
    text: str | None = None,
    tid: int | None = None,
    comm: str | None = None,
) -> SyscallEvent:
    """One call, by default a finished one of the pytest process."""
    spellings = [spelling for spelling in (path, abspath, realpath) if spelling is not None]
    if text is None:
        shown = "" if path is None else f'"{path}"'
        result = "?" if ret is None else f"-1 {errno}" if errno else str(ret)
        text = f"{name}({shown}) = {result}"
    return SyscallEvent(
        name=name,
        pid=process.pid,
        tid=process.pid if tid is None else tid,
        comm=process.comm if comm is None else comm,
        process=process,
        timestamp_ns=START_NS + after_ns,
        duration_ns=None if ret is None else 1000,
        args=args or {},
        ret=ret,
        errno=errno,
        path=path,
        abspath=abspath,
        realpath=realpath,
        paths=tuple(dict.fromkeys(spellings)),
        address=address,
        in_flight=in_flight,
        unread=frozenset(unread),
        text=text,
    )


def opened(path: str, ret: int = 3, flags: int = 0, **more: Any) -> SyscallEvent:
    """An ``openat`` of an absolute path."""
    args = {"dfd": -100, "filename": path, "flags": flags, "mode": 0}
    text = f'openat(AT_FDCWD, "{path}", O_RDONLY) = {ret}'
    return event(**{"ret": ret, "path": path, "abspath": path, "args": args, "text": text, **more})


def failed(path: str, errno: str = "ENOENT", ret: int = -2, **more: Any) -> SyscallEvent:
    """An ``openat`` that failed."""
    text = f'openat(AT_FDCWD, "{path}", O_RDONLY) = -1 {errno}'
    return opened(path, **{"ret": ret, "errno": errno, "text": text, **more})


class Recording(Assertions):
    """A recording that holds what it is given."""

    def __init__(self, *events: SyscallEvent, gaps: Sequence[Gap] = ()) -> None:
        self._held = events
        self._gaps = tuple(gaps)

    def _events(self, names: frozenset[str] | None) -> Sequence[SyscallEvent]:
        return tuple(event for event in self._held if names is None or event.name in names)

    @property
    def _table(self) -> syscalls.Table:
        return TABLE

    @property
    def _start_ns(self) -> int:
        return START_NS

    @property
    def gaps(self) -> tuple[Gap, ...]:
        return self._gaps
