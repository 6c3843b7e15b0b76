"""The ways to do something unseen, which the doctor tries: each opens a file, sends to a peer or executes a program.

A way is a generator function: what comes before its ``yield`` is preparation, what comes after it happens while the
recorder looks. One that this host doesn't offer raises OSError.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from .syscalls import table

__all__ = ["WAYS", "Goal", "Place", "Ring", "Way"]

Goal = Literal["file", "tcp", "udp", "ip", "packet", "program", "memory"]
"""What a way does: it touches the bait, sends to the peer (by address alone, or in a frame, with "ip" and "packet"), or
executes the program (from memory alone, with "memory")."""

AT_FDCWD, AT_EMPTY_PATH = -100, 0x1000
CLONE_NEWPID, CLONE_NEWUSER, CLONE_UNTRACED = 0x20000000, 0x10000000, 0x00800000
PTRACE_TRACEME, PTRACE_CONT = 0, 7
MAP_32BIT = 0x40
PROTECTION_ALL = 7
FILE_HANDLE_BYTES = 128

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


@dataclass(slots=True)
class Place:
    """Where a way is tried: a bait that nobody else touches, a peer on loopback, and a program."""

    folder: Path
    stack: ExitStack = field(repr=False)
    """What is undone when the way has been tried."""

    @property
    def bait(self) -> Path:
        """A file."""
        path = self.folder / "bait"
        if not path.exists():
            path.write_text("bait\n")
        return path

    @property
    def program(self) -> Path:
        """A program that does nothing."""
        path = self.folder / "program"
        if not path.exists():
            shutil.copy(shutil.which("true") or "/bin/true", path)
        return path

    def listen(self, kind: socket.SocketKind = socket.SOCK_STREAM) -> tuple[str, int]:
        """The address of a peer that takes what comes."""
        peer = self.stack.enter_context(socket.socket(socket.AF_INET, kind))
        peer.bind(("127.0.0.1", 0))
        if kind is socket.SOCK_STREAM:
            peer.listen(5)
        self.peers.append(peer)
        host, port = peer.getsockname()
        self.port = port
        return host, port

    def connected(self, kind: socket.SocketKind = socket.SOCK_DGRAM) -> socket.socket:
        """A socket that is connected to a new peer."""
        sock = self.stack.enter_context(socket.socket(socket.AF_INET, kind))
        sock.connect(self.listen(kind))
        return sock

    def open(self) -> int:
        """A descriptor of the bait."""
        fd = os.open(self.bait, os.O_RDONLY)
        self.stack.callback(os.close, fd)
        return fd

    peers: list[socket.socket] = field(default_factory=list, repr=False)
    port: int = 0


Act = Callable[[Place], Iterator[None]]


@dataclass(frozen=True, slots=True)
class Way:
    """One way, with what it is about in a few words."""

    name: str
    about: str
    goal: Goal
    act: Act = field(repr=False)


WAYS: list[Way] = []


def _way(goal: Goal, about: str) -> Callable[[Act], Act]:
    def keep(act: Act) -> Act:
        WAYS.append(Way(act.__name__.strip("_").replace("_", "-"), about, goal, act))
        return act

    return keep


def _call(name: str, *args: object) -> int:
    """A system call by its number. Raises OSError, also where the machine hasn't got the call."""
    number = table().number(name)
    if number is None:
        raise OSError(38, f"{name}: no such system call on this machine")
    words = [ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in args]
    result: int = _libc.syscall(ctypes.c_long(number), *words)
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result


def _python(program: str, *args: object, pass_fds: Sequence[int] = ()) -> None:
    """Run a small program in a process of its own, to its end."""
    command = [sys.executable, "-I", "-S", "-c", program, *map(str, args)]
    done = subprocess.run(command, pass_fds=pass_fds, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        raise OSError(0, f"the child ended with status {done.returncode}: {done.stderr.decode()[-200:].strip()}")


def _wait(child: int) -> None:
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status:
        raise OSError(0, f"the child ended with status {status}")


def _in_child(work: Callable[[], object]) -> Callable[[], None]:
    """The work as a forked child does it: it never returns."""

    def do() -> None:
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)

    return do


def _clone(flags: int, work: Callable[[], object]) -> None:
    """Do the work in a child made by clone3, and wait for its end."""
    args = ctypes.create_string_buffer(struct.pack("=11Q", flags, 0, 0, 0, signal.SIGCHLD, *[0] * 6))
    child = _call("clone3", args, 88)
    if child == 0:
        _in_child(work)()
    _wait(child)


# Files


@_way("file", "openat by ctypes, past Python's audit hooks")
def _openat_by_ctypes(place: Place) -> Iterator[None]:
    path = os.fsencode(place.bait)
    yield
    os.close(_call("openat", AT_FDCWD, path, 0))


@_way("file", "openat2")
def _openat2(place: Place) -> Iterator[None]:
    path = os.fsencode(place.bait)
    yield
    os.close(_call("openat2", AT_FDCWD, path, struct.pack("=3Q", 0, 0, 0), 24))


@_way("file", "a path in memory that isn't there when the call begins")
def _cold_page(place: Place) -> Iterator[None]:
    text = place.folder / "text"
    text.write_bytes(os.fsencode(place.bait) + b"\0")
    fd = os.open(text, os.O_RDONLY)
    address = _libc.mmap(None, mmap.PAGESIZE, mmap.PROT_READ, mmap.MAP_PRIVATE, fd, 0)
    os.close(fd)
    yield
    os.close(_call("openat", AT_FDCWD, ctypes.c_void_p(address), 0))


@_way("file", "a symbolic link with another name")
def _symbolic_link(place: Place) -> Iterator[None]:
    link = place.folder / "link"
    link.symlink_to(place.bait)
    yield
    link.read_bytes()


@_way("file", "a name relative to a directory's descriptor")
def _relative_to_a_descriptor(place: Place) -> Iterator[None]:
    name = place.bait.name
    folder = os.open(place.folder, os.O_RDONLY)
    place.stack.callback(os.close, folder)
    yield
    os.close(os.open(name, os.O_RDONLY, dir_fd=folder))


@_way("file", "a name relative to where a child changed to")
def _relative_in_a_child(place: Place) -> Iterator[None]:
    bait = place.bait
    yield
    _python("import os, sys; os.chdir(sys.argv[1]); open(sys.argv[2]).read()", bait.parent, bait.name)


@_way("file", "open_by_handle_at, by a handle made before")
def _file_handle(place: Place) -> Iterator[None]:
    handle = ctypes.create_string_buffer(struct.pack("=Ii", FILE_HANDLE_BYTES, 0), 8 + FILE_HANDLE_BYTES)
    mount = ctypes.c_int()
    _call("name_to_handle_at", AT_FDCWD, os.fsencode(place.bait), handle, ctypes.byref(mount), 0)
    folder = os.open(place.folder, os.O_RDONLY)
    place.stack.callback(os.close, folder)
    yield
    os.close(_call("open_by_handle_at", folder, handle, 0))


@_way("file", "a read of a descriptor that a child inherited")
def _inherited_descriptor(place: Place) -> Iterator[None]:
    fd = place.open()
    yield
    _python("import os, sys; os.read(int(sys.argv[1]), 7)", fd, pass_fds=[fd])


@_way("file", "a read of a descriptor that was passed over a socket")
def _passed_descriptor(place: Place) -> Iterator[None]:
    ours, theirs = (place.stack.enter_context(each) for each in socket.socketpair())
    socket.send_fds(ours, [b"x"], [place.open()])
    program = (
        "import array, os, socket, sys; "
        "got = socket.socket(fileno=int(sys.argv[1])).recvmsg(1, socket.CMSG_SPACE(4))[1]; "
        "os.read(array.array('i', got[0][2])[0], 7)"
    )
    yield
    _python(program, theirs.fileno(), pass_fds=[theirs.fileno()])


@_way("file", "splice out of a descriptor from before")
def _splice(place: Place) -> Iterator[None]:
    fd = place.open()
    reader, writer = os.pipe()
    place.stack.callback(os.close, reader)
    place.stack.callback(os.close, writer)
    yield
    os.splice(fd, writer, 7)


@_way("file", "copy_file_range out of a descriptor from before")
def _copy_file_range(place: Place) -> Iterator[None]:
    fd = place.open()
    copy = place.stack.enter_context((place.folder / "copy").open("wb"))
    yield
    os.copy_file_range(fd, copy.fileno(), 7)


@_way("file", "a memory mapping of a descriptor from before")
def _memory_mapping(place: Place) -> Iterator[None]:
    fd = place.open()
    yield
    with mmap.mmap(fd, 0, prot=mmap.PROT_READ) as content:
        content.read()


@_way("file", "kernel aio")
def _kernel_aio(place: Place) -> Iterator[None]:
    context = ctypes.c_ulong(0)
    _call("io_setup", 1, ctypes.byref(context))
    data = ctypes.create_string_buffer(7)
    numbers = (0, 0, 0, 0, 0, place.open(), ctypes.addressof(data), len(data), 0, 0, 0, 0)
    request = ctypes.create_string_buffer(struct.pack("=QIIHhIQQqQII", *numbers))
    pointer = (ctypes.c_void_p * 1)(ctypes.addressof(request))
    yield
    _call("io_submit", context, 1, pointer)
    _call("io_getevents", context, 1, 1, ctypes.create_string_buffer(32), None)
    _call("io_destroy", context)


@_way("file", "an open by io_uring")
def _io_uring_open(place: Place) -> Iterator[None]:
    ring = place.stack.enter_context(Ring())
    path = ctypes.create_string_buffer(os.fsencode(place.bait))
    yield
    os.close(ring.run(Ring.OPENAT, AT_FDCWD, ctypes.addressof(path)))


@_way("file", "an open by int 0x80, whose numbers are those of 32-bit programs")
def _int_0x80(place: Place) -> Iterator[None]:
    if os.uname().machine != "x86_64":
        raise OSError(38, "int 0x80 is an instruction of x86")
    page = _libc.mmap(None, mmap.PAGESIZE, PROTECTION_ALL, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_32BIT, -1, 0)
    path = os.fsencode(place.bait) + b"\0"
    # push rbx; mov eax, 5; mov ebx, path; xor ecx, ecx; xor edx, edx; int 0x80; pop rbx; ret
    code = b"\x53\xb8\x05\0\0\0\xbb" + struct.pack("=I", page + 64) + b"\x31\xc9\x31\xd2\xcd\x80\x5b\xc3"
    ctypes.memmove(page, code.ljust(64, b"\0") + path, 64 + len(path))
    function = ctypes.CFUNCTYPE(ctypes.c_int)(page)
    yield
    fd = function()
    if fd < 0:
        raise OSError(-fd, f"int 0x80: {os.strerror(-fd)}")
    os.close(fd)


# Processes and threads


@_way("file", "a thread")
def _thread(place: Place) -> Iterator[None]:
    thread = threading.Thread(target=place.bait.read_bytes)
    yield
    thread.start()
    thread.join()


@_way("file", "a shell, started by vfork")
def _shell(place: Place) -> Iterator[None]:
    command = ["/bin/sh", "-c", 'read line < "$0"', str(place.bait)]
    yield
    os.waitpid(os.posix_spawn(command[0], command, {}), 0)


@_way("file", "a child made by clone3")
def _clone3(place: Place) -> Iterator[None]:
    bait = place.bait
    yield
    _clone(0, bait.read_bytes)


@_way("file", "a child made with CLONE_UNTRACED, which no ptrace follows")
def _clone_untraced(place: Place) -> Iterator[None]:
    bait = place.bait
    yield
    _clone(CLONE_UNTRACED, bait.read_bytes)


@_way("file", "a child in a new PID namespace")
def _new_pid_namespace(place: Place) -> Iterator[None]:
    bait = place.bait
    yield
    _clone(CLONE_NEWPID, bait.read_bytes)


@_way("file", "a child in a new user namespace")
def _new_user_namespace(place: Place) -> Iterator[None]:
    bait = place.bait
    yield
    _clone(CLONE_NEWUSER, bait.read_bytes)


@_way("file", "a daemon: a child of a child that ended, in a session of its own")
def _double_fork(place: Place) -> Iterator[None]:
    bait = place.bait
    reader, writer = os.pipe()
    place.stack.callback(os.close, reader)
    yield
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork() == 0:
            _in_child(bait.read_bytes)()
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    os.read(reader, 1)  # the daemon's end closes the last writer


@_way("file", "a child from before, that acts when it is told to")
def _earlier_child(place: Place) -> Iterator[None]:
    program = "import sys; sys.stdin.read(); open(sys.argv[1]).read()"
    command = [sys.executable, "-I", "-S", "-c", program, str(place.bait)]
    child = place.stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL))
    yield
    child.communicate()


@_way("file", "a child that ptrace controls")
def _traced_child(place: Place) -> Iterator[None]:
    bait = place.bait

    def work() -> None:
        _libc.ptrace(PTRACE_TRACEME, 0, None, None)
        os.kill(os.getpid(), signal.SIGSTOP)
        bait.read_bytes()

    yield
    child = os.fork()
    if child == 0:
        _in_child(work)()
    status = os.waitpid(child, 0)[1]
    while os.WIFSTOPPED(status):
        if _libc.ptrace(PTRACE_CONT, child, None, None):
            code = ctypes.get_errno()
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise OSError(code, f"ptrace: {os.strerror(code)}")
        status = os.waitpid(child, 0)[1]


@_way("program", "execveat of a descriptor, with no path")
def _execveat(place: Place) -> Iterator[None]:
    fd = os.open(place.program, os.O_RDONLY)
    place.stack.callback(os.close, fd)
    argv = (ctypes.c_char_p * 2)(b"true", None)
    yield
    _clone(0, lambda: _call("execveat", fd, b"", argv, None, AT_EMPTY_PATH))


@_way("program", "a script, whose first line names the program")
def _script(place: Place) -> Iterator[None]:
    script = place.folder / "script"
    script.write_text(f"#!{place.program}\n")
    script.chmod(0o700)
    yield
    subprocess.run([script], check=True)


@_way("program", "an exec by a thread, which takes its process over")
def _thread_that_execs(place: Place) -> Iterator[None]:
    code = (
        "import os, sys, threading; "
        "threading.Thread(target=os.execv, args=(sys.argv[1], ['true'])).start(); threading.Event().wait()"
    )
    program = place.program
    yield
    _python(code, program)


@_way("memory", "a program that is in memory alone")
def _memfd(place: Place) -> Iterator[None]:
    fd = os.memfd_create("program")
    place.stack.callback(os.close, fd)
    os.write(fd, place.program.read_bytes())
    yield
    _clone(0, lambda: os.execve(fd, ["true"], {}))


# Sockets


@_way("tcp", "connect by ctypes, past Python's audit hooks")
def _connect_by_ctypes(place: Place) -> Iterator[None]:
    host, port = place.listen()
    sock = place.stack.enter_context(socket.socket())
    address = struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton(host) + bytes(8)
    yield
    _call("connect", sock.fileno(), address, len(address))


@_way("tcp", "a connect whose error is swallowed")
def _swallowed_error(place: Place) -> Iterator[None]:
    peer = place.listen()
    sock = place.stack.enter_context(socket.socket())
    sock.setblocking(False)
    yield
    with contextlib.suppress(OSError):
        sock.connect(peer)


@_way("udp", "a datagram without a connection")
def _sendto(place: Place) -> Iterator[None]:
    peer = place.listen(socket.SOCK_DGRAM)
    sock = place.stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    yield
    sock.sendto(b"x", peer)


@_way("udp", "sendmsg")
def _sendmsg(place: Place) -> Iterator[None]:
    peer = place.listen(socket.SOCK_DGRAM)
    sock = place.stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    yield
    sock.sendmsg([b"x"], [], 0, peer)


@_way("udp", "sendmmsg, which sends to many at once")
def _sendmmsg(place: Place) -> Iterator[None]:
    host, port = place.listen(socket.SOCK_DGRAM)
    sock = place.stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    name = ctypes.create_string_buffer(
        struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton(host) + bytes(8), 16
    )
    data = ctypes.create_string_buffer(b"x")
    vector = ctypes.create_string_buffer(struct.pack("=QQ", ctypes.addressof(data), 1))
    header = struct.pack("=QQQQQQQQ", ctypes.addressof(name), 16, ctypes.addressof(vector), 1, 0, 0, 0, 0)
    yield
    _call("sendmmsg", sock.fileno(), ctypes.create_string_buffer(header), 1, 0)


@_way("udp", "a write on a copy of a socket connected before")
def _duplicated_socket(place: Place) -> Iterator[None]:
    sock = place.connected()
    yield
    with socket.socket(fileno=os.dup(sock.fileno())) as copy:
        os.write(copy.fileno(), b"x")


@_way("udp", "a write on a socket that a child inherited")
def _inherited_socket(place: Place) -> Iterator[None]:
    sock = place.connected()
    yield
    _python("import os, sys; os.write(int(sys.argv[1]), b'x')", sock.fileno(), pass_fds=[sock.fileno()])


@_way("udp", "a write on a socket that was passed over another")
def _passed_socket(place: Place) -> Iterator[None]:
    ours, theirs = (place.stack.enter_context(each) for each in socket.socketpair())
    socket.send_fds(ours, [b"x"], [place.connected().fileno()])
    yield
    with socket.socket(fileno=socket.recv_fds(theirs, 1, 1)[1][0]) as sock:
        os.write(sock.fileno(), b"x")


@_way("udp", "a write on a socket taken out of another process, by pidfd_getfd")
def _taken_socket(place: Place) -> Iterator[None]:
    sock = place.connected()
    child = os.fork()
    if child == 0:
        signal.pause()
    place.stack.callback(os.waitpid, child, 0)
    place.stack.callback(os.kill, child, signal.SIGKILL)
    number = sock.fileno()
    process = os.pidfd_open(child)
    place.stack.callback(os.close, process)
    yield
    with socket.socket(fileno=_call("pidfd_getfd", process, number, 0)) as taken:
        os.write(taken.fileno(), b"x")


@_way("udp", "splice into a socket")
def _splice_to_a_socket(place: Place) -> Iterator[None]:
    sock = place.connected()
    reader, writer = os.pipe()
    place.stack.callback(os.close, reader)
    os.write(writer, b"x")
    os.close(writer)
    yield
    os.splice(reader, sock.fileno(), 1)


@_way("udp", "sendfile into a socket")
def _sendfile_to_a_socket(place: Place) -> Iterator[None]:
    sock, fd = place.connected(), place.open()
    yield
    os.sendfile(sock.fileno(), fd, 0, 1)


@_way("tcp", "a connect by io_uring")
def _io_uring_connect(place: Place) -> Iterator[None]:
    host, port = place.listen()
    sock = place.stack.enter_context(socket.socket())
    ring = place.stack.enter_context(Ring())
    name = ctypes.create_string_buffer(
        struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton(host) + bytes(8), 16
    )
    yield
    ring.run(Ring.CONNECT, sock.fileno(), ctypes.addressof(name), offset=16)


@_way("tcp", "a send by io_uring")
def _io_uring_send(place: Place) -> Iterator[None]:
    sock = place.connected(socket.SOCK_STREAM)
    ring = place.stack.enter_context(Ring())
    data = ctypes.create_string_buffer(b"x")
    yield
    ring.run(Ring.SEND, sock.fileno(), ctypes.addressof(data), length=1)


@_way("ip", "a raw socket")
def _raw_socket(place: Place) -> Iterator[None]:
    _, port = place.listen(socket.SOCK_DGRAM)
    sock = place.stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP))
    yield
    sock.sendto(struct.pack("!HHHH", port, port, 9, 0) + b"x", ("127.0.0.1", 0))


@_way("packet", "a frame past the network's protocols")
def _packet_socket(place: Place) -> Iterator[None]:
    sock = place.stack.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
    yield
    sock.sendto(bytes(12) + b"\x88\xb5" + bytes(46), ("lo", 0))


@_way("tcp", "a child that connects")
def _child_that_connects(place: Place) -> Iterator[None]:
    host, port = place.listen()
    yield
    _python("import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])))", host, port)


class Ring:
    """A small io_uring, by its two system calls and shared memory."""

    OPENAT, CONNECT, SEND = 18, 16, 26
    GETEVENTS = 1
    ENTRIES_OFFSET = 0x10000000

    def __init__(self) -> None:
        params = ctypes.create_string_buffer(120)
        self._fd = _call("io_uring_setup", 1, params)
        entries = struct.unpack_from("=I", params)[0]
        self._sq = struct.unpack_from("=7I", params, 40)  # head, tail, mask, entries, flags, dropped, array
        self._cq = struct.unpack_from("=6I", params, 80)  # head, tail, mask, entries, overflow, cqes
        size = max(self._sq[6] + 4 * entries, self._cq[5] + 32 * entries)
        self._rings = mmap.mmap(self._fd, size)
        self._entries = mmap.mmap(self._fd, 64 * entries, offset=self.ENTRIES_OFFSET)

    def __enter__(self) -> Ring:
        return self

    def __exit__(self, *_: object) -> None:
        self._rings.close()
        self._entries.close()
        os.close(self._fd)

    def run(self, opcode: int, fd: int, address: int, *, length: int = 0, offset: int = 0) -> int:
        """One operation, to its completion; its result. Raises OSError."""
        self._entries[:64] = struct.pack("=BBHiQQII", opcode, 0, 0, fd, offset, address, length, 0).ljust(64, b"\0")
        self._store(self._sq[6], 0)
        self._store(self._sq[1], self._load(self._sq[1]) + 1)
        _call("io_uring_enter", self._fd, 1, 1, self.GETEVENTS, None, 0)
        head = self._load(self._cq[0])
        start = self._cq[5] + 16 * (head & self._load(self._cq[2]))
        result: int = struct.unpack_from("=Qi", self._rings, start)[1]
        self._store(self._cq[0], head + 1)
        if result < 0:
            raise OSError(-result, f"io_uring: {os.strerror(-result)}")
        return result

    def _load(self, offset: int) -> int:
        return int.from_bytes(self._rings[offset : offset + 4], sys.byteorder)

    def _store(self, offset: int, value: int) -> None:
        self._rings[offset : offset + 4] = value.to_bytes(4, sys.byteorder)
