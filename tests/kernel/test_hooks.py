"""What the kernel's own functions tell: decided where they can be watched, inconclusive where they can't."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from pytest_ebpf import InconclusiveRecording, features
from pytest_ebpf.hooks import AREAS, areas, kind_of
from pytest_ebpf.recording import Recording

from .test_io_uring import Ring

MAP_32BIT = 0x40
# Calls of 32-bit x86.
READ, OPEN, UNLINK, EXECVE, GETPID, RENAME, MKDIR, SOCKETCALL = 3, 5, 10, 11, 20, 38, 39, 102
CONNECT_OF_SOCKETCALL = 3
SENDMSG_OF_RING = 9
PROT_ALL = 7

Foreign = Callable[..., int]
Decided = Callable[[type[BaseException] | None], AbstractContextManager[object]]


@pytest.fixture
def hooked() -> bool:
    """Whether this host has hooks, as `features` tells."""
    return bool(features.hooks())


@pytest.fixture
def decided(hooked: bool) -> Decided:
    """Expects the error, or none, where there are hooks; where there are none, InconclusiveRecording."""

    def expect(error: type[BaseException] | None) -> AbstractContextManager[object]:
        if not hooked:
            return pytest.raises(InconclusiveRecording)
        return pytest.raises(error) if error is not None else contextlib.nullcontext()

    return expect


@pytest.fixture
def foreign() -> Iterator[Foreign]:
    """Makes a call by int 0x80; strings and bytes among the arguments go into memory that 32 bits can address."""
    if os.uname().machine != "x86_64":
        pytest.skip("int 0x80 is an instruction of x86")
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    kind = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_32BIT
    page = libc.mmap(None, 8 * mmap.PAGESIZE, PROT_ALL, kind, -1, 0)
    assert page is not None

    def call(number: int, *args: int | bytes) -> int:
        words = []
        place = page + mmap.PAGESIZE
        for arg in args:
            if isinstance(arg, bytes):
                ctypes.memmove(place, arg + b"\0", len(arg) + 1)
                words.append(place)
                place += len(arg) + 16
            else:
                words.append(arg & 0xFFFFFFFF)
        words += [0] * (4 - len(words))
        # push rbx; mov eax, number; mov ebx, ecx, edx, esi; int 0x80; pop rbx; ret
        code = b"\x53"
        for opcode, word in zip(b"\xb8\xbb\xb9\xba\xbe", [number, *words], strict=True):
            code += bytes([opcode]) + struct.pack("=I", word)
        ctypes.memmove(page, code + b"\xcd\x80\x5b\xc3", len(code) + 4)
        result: int = ctypes.CFUNCTYPE(ctypes.c_int)(page)()
        return result

    yield call
    libc.munmap(ctypes.c_void_p(page), 8 * mmap.PAGESIZE)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """On loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def packed(address: tuple[str, int]) -> bytes:
    """A struct sockaddr_in."""
    return struct.pack("=H", socket.AF_INET) + struct.pack("!H", address[1]) + socket.inet_aton(address[0]) + bytes(8)


def test_hooks_are_as_features_tell(ebpf: Recording) -> None:
    """All or none is attached, of the kind that the report's header names."""
    started = ebpf._session.started
    assert started is not None
    hooks = [probe.hook for probe in started.probes]
    assert kind_of(hooks) == features.hooks()
    assert areas(hooks) == (AREAS.keys() if features.hooks() else frozenset())


def test_open_by_int_0x80(ebpf: Recording, foreign: Foreign, decided: Decided, tmp_path: Path, hooked: bool) -> None:
    """The file that the kernel opened, by its real path; which call it was, stays open."""
    bait, link = tmp_path / "bait", tmp_path / "link"
    bait.write_text("x")
    link.symlink_to(bait)
    with ebpf.window() as part:
        fd = foreign(OPEN, os.fsencode(link))
    os.close(fd)
    with decided(AssertionError):
        part.assert_no_file_access(bait)
    with decided(None):
        part.assert_no_file_access(tmp_path / "other")
    with decided(None):
        part.assert_only_reads_under(tmp_path)
    part.assert_only_writes_under(tmp_path / "nothing") if hooked else None
    if hooked:
        (event,) = part.files(op="open", path=bait)
        assert (event.path, event.flags, event.ok) == (str(bait), "O_RDONLY", True)
        assert str(event) == f'[kernel] security_file_open("{bait}", O_RDONLY)'
    part.assert_no_network()  # an open does nothing there, by its number
    part.assert_no_exec()
    with pytest.raises(InconclusiveRecording):
        part.assert_no_syscall("openat")


def test_open_by_int_0x80_that_finds_nothing(ebpf: Recording, foreign: Foreign) -> None:
    """No hook sees the path."""
    with ebpf.window() as part:
        assert foreign(OPEN, b"/nothing/there") == -2
    with pytest.raises(InconclusiveRecording):
        part.assert_no_file_access("/etc/passwd")
    part.assert_no_network()


def test_harmless_call_by_int_0x80(ebpf: Recording, foreign: Foreign) -> None:
    """A call without effects hides none, whoever asks."""
    with ebpf.window() as part:
        assert foreign(GETPID) == os.getpid()
    for ask in (part.assert_no_network, part.assert_no_exec):
        ask()
    part.assert_no_file_access("/etc/passwd")
    with pytest.raises(InconclusiveRecording):
        part.assert_no_syscall("connect")


def test_names_by_int_0x80(ebpf: Recording, foreign: Foreign, decided: Decided, tmp_path: Path, hooked: bool) -> None:
    """Made, moved and removed."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    with ebpf.window() as part:
        assert foreign(MKDIR, os.fsencode(inside / "a"), 0o700) == 0
        assert foreign(RENAME, os.fsencode(inside / "a"), os.fsencode(outside)) == 0
    outside.rmdir()
    with decided(None):
        part.assert_only_writes_under(tmp_path)
    with decided(AssertionError):
        part.assert_only_writes_under(inside)
    if hooked:
        told = [(event.op, event.path) for event in part.files()]
        a = str(inside / "a")
        assert told == [("create", a), ("remove", a), ("create", str(outside))]
    (outside.parent / "file").touch()
    with ebpf.window() as part:
        assert foreign(UNLINK, os.fsencode(tmp_path / "file")) == 0
    with decided(AssertionError):
        part.assert_no_file_access(tmp_path / "file", ops="remove")


def test_connect_by_int_0x80(
    ebpf: Recording, foreign: Foreign, decided: Decided, listener: socket.socket, hooked: bool
) -> None:
    """By socketcall, whose arguments are in memory."""
    peer = packed(listener.getsockname())
    with socket.socket() as sock, ebpf.window() as part:
        assert socketcall(foreign, sock.fileno(), peer) == 0
    with decided(AssertionError):
        part.assert_no_network()
    with decided(None):
        part.assert_no_network(allow=["127.0.0.1"])
    with decided(None):
        part.assert_connected("{}:{}".format(*listener.getsockname()))
    if hooked:
        (event,) = part.network(op="connect")
        assert str(event.address) == "{}:{}".format(*listener.getsockname())


def socketcall(foreign: Foreign, fd: int, address: bytes) -> int:
    """A connect. The array of arguments points to the address behind it, which is found by its own address."""
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    kind = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_32BIT
    page = libc.mmap(None, mmap.PAGESIZE, PROT_ALL, kind, -1, 0)
    content = struct.pack("=III", fd, page + 64, len(address)).ljust(64, b"\0") + address
    ctypes.memmove(page, content, len(content))
    result = foreign(SOCKETCALL, CONNECT_OF_SOCKETCALL, page)
    libc.munmap(ctypes.c_void_p(page), mmap.PAGESIZE)
    return result


def test_exec_by_int_0x80(ebpf: Recording, foreign: Foreign, decided: Decided, hooked: bool) -> None:
    """Of a child."""
    true = os.path.realpath("/bin/true")
    with ebpf.window() as part:
        child = os.fork()
        if child == 0:
            foreign(EXECVE, os.fsencode(true), 0, 0)
            os._exit(9)
        assert os.waitpid(child, 0)[1] == 0 or not hooked
    with decided(AssertionError):
        part.assert_no_exec()
    if hooked:
        assert part.processes(op="exec").first.exe == true  # type: ignore[union-attr]
        part.assert_no_exec(allow=["true"])


@pytest.fixture
def ring() -> Iterator[Ring]:
    """An io_uring."""
    made = Ring()
    yield made
    made.close()


def test_send_on_a_ring(ebpf: Recording, ring: Ring, decided: Decided, hooked: bool) -> None:
    """A message on a socket without a peer: its address is the operation's own, which isn't shown."""
    with socket.socket(type=socket.SOCK_DGRAM) as peer, socket.socket(type=socket.SOCK_DGRAM) as sock:
        peer.bind(("127.0.0.1", 0))
        name = ring.text(packed(peer.getsockname()))
        vector = ring.text(struct.pack("=QQ", ring.text(b"x"), 1))
        header = ring.text(struct.pack("=QQQQQQQ", name, 16, vector, 1, 0, 0, 0))
        with ebpf.window() as part:
            for _ in range(7):
                assert ring.run(SENDMSG_OF_RING, sock.fileno(), header, 1) == 1
        with decided(AssertionError):
            part.assert_no_network(allow=["127.0.0.2"])
        with decided(None):
            part.assert_no_network(allow=["127.0.0.1"])
        if hooked:
            assert len(part.network(op="send", address="{}:{}".format(*peer.getsockname()))) == 7


class Flipping:
    """A byte of memory that another process changes all the time between two values."""

    PROGRAM = """
import mmap, sys
memory = mmap.mmap(int(sys.argv[1]), 4096)
at, one, other = map(int, sys.argv[2:])
while True:
    memory[at] = one
    memory[at] = other
"""

    def __init__(self, content: bytes, at: int, other: int) -> None:
        fd = os.memfd_create("flipping")
        os.ftruncate(fd, mmap.PAGESIZE)
        self._memory = mmap.mmap(fd, mmap.PAGESIZE)
        self._memory[: len(content)] = content
        self._view = (ctypes.c_char * mmap.PAGESIZE).from_buffer(self._memory)
        self.address = ctypes.addressof(self._view)
        numbers = [str(number) for number in (fd, at, content[at], other)]
        self._child = subprocess.Popen([sys.executable, "-I", "-S", "-c", self.PROGRAM, *numbers], pass_fds=[fd])
        os.close(fd)

    def __enter__(self) -> Flipping:
        first = self._view.raw[:200]
        while self._view.raw[:200] == first:
            pass
        return self

    def __exit__(self, *_: object) -> None:
        self._child.send_signal(signal.SIGKILL)
        self._child.wait()


def test_address_that_another_process_changes(ebpf: Recording, libc: ctypes.CDLL, hooked: bool) -> None:
    """Recorded is the one that the kernel used, each time."""
    one = packed(("127.0.0.1", 7))
    used: list[str] = []
    with Flipping(one, 7, 2) as name, socket.socket(type=socket.SOCK_DGRAM) as sock, ebpf.window() as part:
        while len(used) < 1009 or (len(set(used)) < 2 and len(used) < 50_000):  # until both had their turn
            assert libc.connect(sock.fileno(), ctypes.c_void_p(name.address), 16) == 0
            used.append(sock.getpeername()[0])
    seen = [event.address.host for event in part.network(op="connect") if event.address is not None]
    assert len(seen) == len(used)
    assert set(used) == {"127.0.0.1", "127.0.0.2"}
    if hooked:
        assert seen == used
        assert [event.address.host for event in part.syscalls("connect") if event.address is not None] == used
    else:
        assert set(seen) <= {"127.0.0.1", "127.0.0.2"}


def test_path_that_another_process_changes(ebpf: Recording, libc: ctypes.CDLL, tmp_path: Path, hooked: bool) -> None:
    """Made was the one that is there."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    path = os.fsencode(tmp_path / "a" / "new") + b"\0"
    made: list[str] = []
    with Flipping(path, len(os.fsencode(tmp_path)) + 1, ord("b")) as text, ebpf.window() as part:
        while len(made) < 1009 or (len(set(made)) < 2 and len(made) < 50_000):
            assert libc.mkdir(ctypes.c_void_p(text.address), 0o700) == 0
            there = tmp_path / "a" / "new"
            if not there.exists():
                there = tmp_path / "b" / "new"
            there.rmdir()
            made.append(str(there))
    seen = [event.path for event in part.files(op="create")]
    assert len(seen) == len(made)
    if hooked:
        assert seen == made
        assert [event.path for event in part.files(op="remove")] == made


def test_nothing_is_told_twice(ebpf: Recording, ring: Ring, tmp_path: Path, listener: socket.socket) -> None:
    """What a call of ours tells of itself counts once, with hooks and without."""
    one, two = tmp_path / "one", tmp_path / "two"
    folder, script = tmp_path / "folder", tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o700)
    with ebpf.window() as part:
        one.write_text("x")
        one.chmod(0o600)
        os.truncate(one, 0)
        one.rename(two)
        one.hardlink_to(two)
        one.unlink()
        folder.mkdir()
        (folder / "link").symlink_to(two)
        (folder / "link").unlink()
        os.mkfifo(folder / "fifo")
        (folder / "fifo").unlink()
        folder.rmdir()
        subprocess.run([script], check=True)
        with socket.create_connection(listener.getsockname()) as sock:
            sock.sendall(b"x")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.bind(str(tmp_path / "socket"))
            sock.sendto(b"x", str(tmp_path / "socket"))
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.sendto(b"x", ("127.0.0.1", 9))
        fd = ring.run(18, -100, ring.text(os.fsencode(two)))
        assert fd > 0
        os.close(fd)
    told = [
        event.op for event in part.files(path=f"{tmp_path}/*") if event.op not in ("open", "probe", "read", "write")
    ]
    assert told == [
        *["create", "truncate", "metadata", "truncate", "remove", "create", "link", "create", "remove"],
        *["create", "create", "remove", "create", "remove", "remove", "execute", "create"],
    ]
    assert len(part.files(op="open", path=two)) == 1
    assert len(part.processes(op="exec")) == 1
    assert [len(part.network(op=op)) for op in ("connect", "bind", "send")] == [1, 1, 3]
    assert [str(event) for event in part.events if "[kernel]" in str(event)] == []
    assert part.complete, part.gaps


def test_foreign_call_that_has_not_returned(
    ebpf: Recording, foreign: Foreign, until: Callable[[Callable[[], bool]], None]
) -> None:
    """What it may still do nobody knows."""
    reader, writer = os.pipe()
    with ebpf.window() as part:
        thread = threading.Thread(target=foreign, args=(READ, reader, bytes(7), 7))
        thread.start()
        until(lambda: any(event.in_flight and event.name == f"foreign_0x{READ:x}" for event in part.events))
        with pytest.raises(InconclusiveRecording, match="another ABI"):
            part.assert_no_network()
        part.assert_no_exec()  # a read executes nothing, however long it takes
        os.write(writer, b"x")
        thread.join()
    os.close(reader)
    os.close(writer)
