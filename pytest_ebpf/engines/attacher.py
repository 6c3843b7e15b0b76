"""The process that runs a user's own BCC program: the distribution's BCC compiles, attaches and reads it there.

In a process of its own, LLVM's 120 MB and BCC's descriptors are not in pytest, the compiler's messages can be caught,
and all that is attached goes when the process ends, however that comes. It is no child of pytest.

Run as a script (``python -I -S attacher.py SOCKET PIDFD``). Requests and answers are marshalled, each with its length
before it: ``(method, arguments)`` gets ``("ok", value)`` or ``("error", cause, messages)``.
"""

from __future__ import annotations

import contextlib
import ctypes
import marshal
import os
import re
import select
import signal
import socket
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pytest_ebpf.engines import compiler, headers, kernel
from pytest_ebpf.features import BTF, installed_headers

__all__ = ["receive", "send"]

LENGTH = struct.Struct("<I")
ATTACH_METHODS = frozenset(
    f"attach_{what}"
    for what in (
        "kprobe",
        "kretprobe",
        "perf_event",
        "raw_tracepoint",
        "tracepoint",
        "uprobe",
        "uretprobe",
    )
)
PERF_PAGES = 256
HEAD_BYTES = 12
"""Of an event in a perf buffer; one in a ring buffer has eight."""
CLONE_NEWNS = 0x00020000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
BPF_H = b"#ifndef _UAPI__LINUX_BPF_H__"
"""How that header begins."""
TRACING = Path("/sys/kernel/tracing")
PRINTED = ": bpf_trace_printk: "
LOSSES = ("overrun:", "commit overrun:", "dropped events:")
OLDEST = "oldest event ts:"


def send(channel: socket.socket, message: Any) -> None:
    """One message of plain Python values."""
    content = marshal.dumps(message)
    channel.sendall(LENGTH.pack(len(content)) + content)


def receive(channel: socket.socket) -> Any:
    """The next message. Raises EOFError when the other side is gone."""
    (length,) = LENGTH.unpack(_receive_exactly(channel, LENGTH.size))
    return marshal.loads(_receive_exactly(channel, length))


def _receive_exactly(channel: socket.socket, length: int) -> bytes:
    parts = []
    while length:
        part = channel.recv(min(length, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


class Stream:
    """What a perf or ring buffer of a program has given."""

    def __init__(self, table: Any, capacity: int) -> None:
        self._table = table
        self._capacity = capacity
        self.events: list[Any] = []
        self.lost = False
        self.used: Counter[int] = Counter()
        """Bytes taken from each processor's buffer in one go."""
        self._largest = 0

    def take(self, cpu: Any, data: Any, size: int) -> None:
        """One event, from BCC."""
        self.used[cpu or 0] += -(-(size + HEAD_BYTES) // 8) * 8
        self._largest = max(self._largest, size + HEAD_BYTES + 8)
        try:
            self.events.append(_plain(self._table.event(data)))
        except Exception:  # BCC finds no struct in the source that this stream is written from
            self.events.append(ctypes.string_at(data, size))

    def lose(self, _: int) -> None:
        """The kernel tells of a loss, with the next event that finds room again."""
        self.lost = True

    def note_overflow(self) -> None:
        """What was lost last of all is told by nobody: but then there was no room for one more."""
        if any(used + self._largest > self._capacity for used in self.used.values()):
            self.lost = True


class Program:
    """One BCC program with its tables and streams."""

    def __init__(self) -> None:
        self._bpf: Any = None
        self._streams: dict[str, Stream] = {}
        self._rings = False
        self._contexts: list[Any] = []
        """Of USDT: BCC switches the probes off when it forgets them."""
        self._mark = ""
        self._buffers: list[tuple[list[str], float]] = []

    def start(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Compile and attach what BCC attaches by itself."""
        bcc = compiler.load_package(Path(request["package"]))
        _show_tracing()
        flags = [*request["cflags"], *self._scope_flags(request)]
        with tempfile.TemporaryDirectory(prefix="pytest-ebpf-") as folder:
            if installed_headers() is None and BTF.exists():
                os.environ["BCC_KERNEL_SOURCE"] = str(headers.make_tree(Path(folder), request["text"], _bpf_h()))
                flags += headers.FLAGS
            for where, function in request["usdt"].items():
                path, _, name = where.partition(":")
                context = bcc.USDT(path=path, pid=request["usdt_pid"])
                context.enable_probe(name, function)
                self._contexts.append(context)
            self._mark_printed()
            self._bpf = bcc.BPF(text=request["text"], cflags=flags, usdt_contexts=self._contexts)
            self._open_streams(bcc)
        return {"streams": list(self._streams), "tables": self._tables()}

    def attach(self, request: Mapping[str, Any]) -> None:
        """One of BCC's attach functions, by its name."""
        if request["method"] not in ATTACH_METHODS:
            raise ValueError(request["method"])
        getattr(self._bpf, request["method"])(**request["arguments"])

    def items(self, request: Mapping[str, Any]) -> tuple[list[tuple[Any, Any]], int]:
        """All of a table, and how many runs of the program were left out."""
        table = self._bpf[request["table"]]
        return [(_plain(key), _plain(value)) for key, value in table.items()], self._left_out()

    def events(self, request: Mapping[str, Any]) -> tuple[list[Any], bool, int]:
        """What a stream has given since it began, whether some of it may be lost, and how many runs were left out."""
        stream = self._streams[request["stream"]]
        for each in self._streams.values():
            each.used.clear()
        if self._bpf.perf_buffers:
            self._bpf.perf_buffer_poll(timeout=0)
        if self._rings:
            self._bpf.ring_buffer_consume()
        for each in self._streams.values():
            each.note_overflow()
        return stream.events, stream.lost, self._left_out()

    def printed(self, _: Mapping[str, Any]) -> tuple[list[str], bool]:
        """What bpf_trace_printk has written since the start, and whether some of it may be lost."""
        text = (TRACING / "trace").read_text(encoding="utf-8", errors="replace")
        before, mark, since = text.partition(f"{self._mark}\n")
        began = re.search(r"([\d.]+): tracing_mark_write: $", before)
        lost = (
            not mark
            or began is None
            or any(
                now[0] != then[0] and now[1] >= float(began[1])
                for now, then in zip(_trace_buffers(), self._buffers, strict=True)
            )
        )
        return [line.partition(PRINTED)[2] for line in since.splitlines() if PRINTED in line], lost

    def _left_out(self) -> int:
        """How often the kernel didn't run a function of the program, as others ran there; it counts since Linux 6.7."""
        return sum(kernel.missed_runs(function.fd) for function in self._bpf.funcs.values())

    def syscall_function(self, request: Mapping[str, Any]) -> str:
        """The kernel's function for a system call, as BCC finds it."""
        name: bytes = self._bpf.get_syscall_fnname(request["name"].encode())
        return name.decode()

    def _mark_printed(self) -> None:
        """The kernel has one buffer for all that programs print: say in it where this program's begins."""
        self._buffers = _trace_buffers()
        self._mark = f"pytest-ebpf {os.getpid()} {time.monotonic_ns()}"
        if (TRACING / "trace_marker").exists():
            (TRACING / "trace_marker").write_text(self._mark, encoding="ascii")

    def _tables(self) -> list[str]:
        library = sys.modules["bcc"].libbcc.lib
        library.bpf_num_tables.argtypes = [ctypes.c_void_p]
        library.bpf_table_name.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
        library.bpf_table_name.restype = ctypes.c_char_p
        count = library.bpf_num_tables(self._bpf.module)
        return [library.bpf_table_name(self._bpf.module, number).decode() for number in range(count)]

    def _open_streams(self, bcc: Any) -> None:
        for name in self._tables():
            table = self._bpf[name]
            if isinstance(table, bcc.table.PerfEventArray):
                stream = self._streams[name] = Stream(table, PERF_PAGES * os.sysconf("SC_PAGESIZE"))
                table.open_perf_buffer(stream.take, page_cnt=PERF_PAGES, lost_cb=stream.lose)
            elif isinstance(table, bcc.table.RingBuf):
                stream = self._streams[name] = Stream(table, table.max_entries)
                table.open_ring_buffer(stream.take)
                self._rings = True

    def _scope_flags(self, request: Mapping[str, Any]) -> list[str]:
        self._held = {name: kernel.map_by_number(number) for name, number in request["maps"].items()}
        return [f"-D{name}={body}" for name, body in scope_macros(request["scope"], self._held).items()]


def scope_macros(scope: Mapping[str, Any], fds: Mapping[str, int]) -> dict[str, str]:
    """EBPF_IN_SCOPE() and EBPF_WINDOW(): the maps of the recorder, asked the way its own programs ask them."""

    def look(name: str, key: str) -> str:
        return f"((char *(*)(void *, void *))1)((void *)bpf_pseudo_fd(1, {fds[name]}), &{key})"

    def word(pointer: str, offset: int, kind: str = "unsigned int") -> str:
        return f"*({kind} *)({pointer} + {offset})"

    window = (
        f"({{ unsigned int row_ = {scope['session']}, window_ = 0; char *control_ = {look('controls', 'row_')};"
        f" if (control_) window_ = {word('control_', scope['segment'])};"
        f" if (window_ < {scope['first']}) window_ = 0; window_; }})"
    )
    mine = " || ".join(f"(tag_ >= {first} && tag_ < {end})" for first, end in scope["tags"])
    in_scope = (
        "({ int in_scope_ = 0;"
        f" unsigned int tid_ = bpf_get_current_pid_tgid(), key_ = (tid_ & 0x3fffff) >> 2, row_ = {scope['session']},"
        " slot_ = 0;"
        f" char *quad_ = {look('slots', 'key_')};"
        " if (quad_) slot_ = *(unsigned short *)(quad_ + 2 * (tid_ & 3));"
        " if (slot_) {"
        f" char *task_ = {look('tasks', 'slot_')}, *control_ = {look('controls', 'row_')};"
        f" if (task_ && control_ && {word('task_', scope['muted'], 'unsigned char')} == 0"
        f" && {word('task_', scope['owner'], 'unsigned char')} == row_"
        f" && {word('control_', scope['segment'])} >= {scope['first']}) {{"
        f" unsigned int tag_ = {word('task_', scope['tag'])};"
        f" if ({word('control_', scope['runner'])} == slot_) tag_ = {word('control_', scope['now'])};"
        f" tag_ &= {scope['number']};"
        f" in_scope_ = {mine};"
        " } } in_scope_; })"
    )
    return {"EBPF_WINDOW()": window, "EBPF_IN_SCOPE()": in_scope}


def _plain(value: Any) -> Any:
    """A value of a BPF table as plain Python: integers, bytes, lists, and dicts for structs."""
    if isinstance(value, ctypes.Array):
        if value._type_ is ctypes.c_char:
            return value.value
        return [_plain(each) for each in value]
    if isinstance(value, ctypes.Structure | ctypes.Union):
        names = [field[0] for field in value._fields_]
        return {name: _plain(getattr(value, name)) for name in names if not name.startswith("__pad_")}
    if isinstance(value, ctypes._SimpleCData):
        return value.value
    if isinstance(value, list | tuple):  # a table with a value for each processor
        return [_plain(each) for each in value]
    return value


def _show_tracing() -> None:
    """BCC reads tracepoints from tracefs; where it isn't mounted, mount it for this process alone."""
    if (TRACING / "events").exists():
        return
    libc = ctypes.CDLL(None, use_errno=True)
    # Of /, which in a chroot is no mount, nothing is changed.
    if libc.unshare(CLONE_NEWNS) == 0 and libc.mount(b"none", b"/sys", None, MS_REC | MS_PRIVATE, None) == 0:
        libc.mount(b"tracefs", str(TRACING).encode(), b"tracefs", 0, None)


def _bpf_h() -> str:
    """The header linux/bpf.h that BCC's library holds and puts in front of each program; empty if it can't be found."""
    maps = Path("/proc/self/maps").read_text().splitlines()
    for path in sorted({line.split(maxsplit=5)[5] for line in maps if "/libbcc" in line}):
        with contextlib.suppress(OSError):  # it was replaced meanwhile
            content = Path(path).read_bytes()
            start = content.find(BPF_H)
            if start >= 0:
                return content[start : content.index(b"\0", start)].decode(errors="replace")
    return ""


def _trace_buffers() -> list[tuple[list[str], float]]:
    """Of each processor's part of the trace buffer, what it has lost so far, and when the oldest that it holds was."""
    found = []
    for stats in sorted(TRACING.glob("per_cpu/cpu*/stats")):
        lines = stats.read_text(encoding="ascii").splitlines()
        lost = [line for line in lines if line.startswith(LOSSES)]
        found.append((lost, max((float(line.split()[-1]) for line in lines if line.startswith(OLDEST)), default=0.0)))
    return found


def _serve(channel_fd: int, owner: int) -> None:
    if os.fork():
        os._exit(0)
    os.setsid()
    os.chdir("/")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    messages = tempfile.TemporaryFile("w+b")  # noqa: SIM115 - lives as long as the process
    os.dup2(messages.fileno(), 2)
    program = Program()
    channel = socket.socket(fileno=channel_fd)
    send(channel, os.getpid())
    while True:
        waiting: list[Any] = [channel, owner]
        if owner in select.select(waiting, [], [])[0]:
            break
        try:
            method, arguments = receive(channel)
        except EOFError:
            break
        messages.seek(0)
        messages.truncate()
        try:
            answer: tuple[object, ...] = ("ok", getattr(program, method)(arguments))
        except Exception as error:
            messages.seek(0)
            answer = ("error", f"{type(error).__name__}: {error}", messages.read().decode(errors="replace"))
        send(channel, answer)
    os._exit(0)  # BCC's own clean-up detaches one by one, and what it holds goes anyway


if __name__ == "__main__":
    _serve(int(sys.argv[1]), int(sys.argv[2]))
