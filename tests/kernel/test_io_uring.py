"""The other door: operations on an io_uring, which make no system call of their own."""

from __future__ import annotations

import ctypes
import mmap
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_ebpf import InconclusiveRecording
from pytest_ebpf.recording import Recording

SETUP, ENTER = 425, 426
NOP, FSYNC, CONNECT, OPENAT, RENAMEAT, UNLINKAT, WRITE, URING_CMD = 0, 3, 16, 18, 35, 36, 23, 46
SENDMSG = 9
SQPOLL = 2
GETEVENTS, SQ_WAKEUP = 1, 2
AT_FDCWD = -100


class Ring:
    """A small io_uring, by its two system calls and shared memory."""

    def __init__(self, flags: int = 0) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        params = bytearray(120)
        struct.pack_into("=IIIII", params, 0, 0, 0, flags, 0, 1000)
        buffer = (ctypes.c_char * len(params)).from_buffer(params)
        self.fd = self._libc.syscall(SETUP, 8, buffer)
        assert self.fd >= 0, os.strerror(ctypes.get_errno())
        del buffer
        entries, _, self._flags = struct.unpack_from("=III", params, 0)
        sq = struct.unpack_from("=7I", params, 40)
        self._head, self._tail, self._mask, self._sq_flags, self._array = sq[0], sq[1], sq[2], sq[4], sq[6]
        cq = struct.unpack_from("=6I", params, 80)
        self._cq_head, self._cq_tail, self._cq_mask, self._cqes = cq[0], cq[1], cq[2], cq[5]
        size = max(self._array + 4 * entries, self._cqes + 16 * 2 * entries)
        self._rings = mmap.mmap(self.fd, size, offset=0)
        self._entries = mmap.mmap(self.fd, 64 * entries, offset=0x10000000)
        self._kept: list[object] = []

    def close(self) -> None:
        """Give the ring back."""
        self._rings.close()
        self._entries.close()
        os.close(self.fd)

    def text(self, data: bytes) -> int:
        """Address of a buffer that lives as long as the ring."""
        buffer = ctypes.create_string_buffer(data)
        self._kept.append(buffer)
        return ctypes.addressof(buffer)

    def run(self, opcode: int, fd: int = -1, address: int = 0, length: int = 0, offset: int = 0, flags: int = 0) -> int:
        """One operation, to its completion; its result."""
        tail = self._load(self._tail)
        index = tail & self._load(self._mask)
        entry = struct.pack("=BBHiQQII", opcode, 0, 0, fd, offset, address, length, flags)
        self._entries[64 * index : 64 * index + 64] = entry.ljust(64, b"\0")
        self._store(self._array + 4 * index, index)
        self._store(self._tail, tail + 1)
        if not self._flags & SQPOLL:
            assert self._libc.syscall(ENTER, self.fd, 1, 1, GETEVENTS, None, 0) == 1
        elif self._load(self._sq_flags) & 1:
            self._libc.syscall(ENTER, self.fd, 0, 0, SQ_WAKEUP, None, 0)
        head = self._load(self._cq_head)
        while self._load(self._cq_tail) == head:
            pass
        start = self._cqes + 16 * (head & self._load(self._cq_mask))
        result: int = struct.unpack_from("=Qi", self._rings, start)[1]
        self._store(self._cq_head, head + 1)
        return result

    def _load(self, offset: int) -> int:
        return int.from_bytes(self._rings[offset : offset + 4], "little")

    def _store(self, offset: int, value: int) -> None:
        self._rings[offset : offset + 4] = value.to_bytes(4, "little")


@pytest.fixture
def ring() -> Iterator[Ring]:
    """A ring that the test submits to by io_uring_enter."""
    ring = Ring()
    yield ring
    ring.close()


@pytest.fixture(scope="module")
def polled_ring() -> Iterator[Ring]:
    """A ring from before the test, whose operations a thread of the kernel takes up without any system call."""
    ring = Ring(SQPOLL)
    yield ring
    ring.close()


def test_open_by_ring(ebpf: Recording, ring: Ring, tmp_path: Path) -> None:
    """An open without openat is an open, with its path and flags."""
    path = tmp_path / "file"
    fd = ring.run(OPENAT, AT_FDCWD, ring.text(os.fsencode(path)), 0o600, flags=os.O_WRONLY | os.O_CREAT)
    assert fd >= 0
    assert ring.run(WRITE, fd, ring.text(b"x"), 1) == 1
    assert ring.run(FSYNC, fd) == 0
    os.close(fd)
    with pytest.raises(AssertionError, match=r"IORING_OP_OPENAT\(AT_FDCWD"):
        ebpf.assert_no_syscall("%open", path=path)
    with pytest.raises(AssertionError):
        ebpf.assert_no_syscall("%file", path=path, flags="O_WRONLY|O_CREAT")
    for name in ("IORING_OP_WRITE", "IORING_OP_FSYNC"):
        ebpf.assert_syscall(name, path=path, count=1)
    assert ebpf.complete, ebpf.gaps


def test_relative_paths_by_ring(ebpf: Recording, ring: Ring, tmp_path: Path) -> None:
    """Both paths of a rename are resolved, against the directory that was given."""
    (tmp_path / "before").touch()
    directory = os.open(tmp_path, os.O_RDONLY)
    names = ring.text(b"before"), ring.text(b"after")
    # length is the new directory, offset the new path
    assert ring.run(RENAMEAT, directory, names[0], directory, names[1]) == 0
    assert ring.run(UNLINKAT, directory, names[1]) == 0
    os.close(directory)
    ebpf.assert_syscall("IORING_OP_RENAMEAT", path=tmp_path / "before", count=1)
    ebpf.assert_syscall("IORING_OP_RENAMEAT", path=tmp_path / "after", count=1)
    ebpf.assert_syscall("IORING_OP_UNLINKAT", path=tmp_path / "after", count=1)
    assert ebpf.complete, ebpf.gaps


def test_connect_by_ring(ebpf: Recording, ring: Ring) -> None:
    """A connect without connect has its address."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        port = server.getsockname()[1]
        address = struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", port, socket.inet_aton("127.0.0.1"))
        assert ring.run(CONNECT, client.fileno(), ring.text(address), offset=len(address)) == 0
    ebpf.assert_syscall("IORING_OP_CONNECT", address=f"127.0.0.1:{port}", count=1)
    with pytest.raises(AssertionError):
        ebpf.assert_no_syscall("%network", address=f"127.0.0.1:{port}")
    ebpf.assert_no_syscall("%network", address="public")


def test_datagram_by_ring_with_an_address_of_its_own(ebpf: Recording, ring: Ring) -> None:
    """It needn't go to whom the socket is connected to, so that isn't proven."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two,
    ):
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.2", 0))
        host, port = two.getsockname()
        name = ring.text(struct.pack("=HH4s8x", socket.AF_INET, socket.htons(port), socket.inet_aton(host)))
        data = ring.text(struct.pack("=QQ", ring.text(b"secret"), 6))
        message = ring.text(struct.pack("=QIIQQQQI4x", name, 16, 0, data, 1, 0, 0, 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client, ebpf.window() as part:
            client.connect(one.getsockname())
            assert ring.run(SENDMSG, client.fileno(), message, 1) == 6
        assert two.recv(6) == b"secret"
    with pytest.raises((AssertionError, InconclusiveRecording), match=r"127\.0\.0\.2|can't be decided"):
        part.assert_no_network(allow=["127.0.0.1"])


def test_sibling_by_ring_is_warned_of(ebpf: Recording, ring: Ring, tmp_path: Path) -> None:
    """Who forbids openat by its exact name learns of the ring."""
    path = tmp_path / "file"
    os.close(ring.run(OPENAT, AT_FDCWD, ring.text(os.fsencode(path)), 0o600, flags=os.O_WRONLY | os.O_CREAT))
    with pytest.warns(UserWarning, match="IORING_OP_OPENAT"):
        ebpf.assert_no_syscall("openat", path=path)


def test_polled_ring_from_before_the_test(ebpf: Recording, polled_ring: Ring, tmp_path: Path) -> None:
    """Without a single system call of the test a file is opened: it is seen."""
    path = tmp_path / "file"
    fd = polled_ring.run(OPENAT, AT_FDCWD, polled_ring.text(os.fsencode(path)), 0o600, flags=os.O_WRONLY | os.O_CREAT)
    assert fd >= 0
    os.close(fd)
    ebpf.assert_syscall("%open", path=path, count=1)


def test_opaque_operation_is_a_gap(ebpf: Recording, ring: Ring) -> None:
    """An operation whose meaning the kernel doesn't show makes absence unprovable, and is named."""
    with socket.socket() as client:
        ring.run(URING_CMD, client.fileno(), offset=0)  # SOCKET_URING_OP_SIOCINQ
    with pytest.raises(InconclusiveRecording, match="IORING_OP_URING_CMD"):
        ebpf.assert_no_syscall("openat")


def test_no_operation_is_no_gap(ebpf: Recording, ring: Ring) -> None:
    """Seven NOPs touch nothing."""
    for _ in range(7):
        assert ring.run(NOP) == 0
    ebpf.assert_syscall("IORING_OP_NOP", count=7)
    ebpf.assert_no_syscall("%file")
    assert ebpf.complete, ebpf.gaps


def test_kernel_aio(ebpf: Recording, tmp_path: Path) -> None:
    """A struct iocb writes without write: each is seen, with its file."""
    libc = ctypes.CDLL(None, use_errno=True)
    io_setup, io_submit, io_getevents, io_destroy = {
        "x86_64": (206, 209, 208, 207),
        "aarch64": (0, 2, 4, 1),
    }[os.uname().machine]
    context = ctypes.c_ulong(0)
    assert libc.syscall(io_setup, 32, ctypes.byref(context)) == 0
    fd = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
    data = ctypes.create_string_buffer(b"x" * 64)
    address = ctypes.addressof(data)
    iocbs = [
        ctypes.create_string_buffer(struct.pack("=QIIHhIQQq", 0, 0, 0, 1, 0, fd, address, 8, 8 * number), 64)
        for number in range(7)
    ]
    array = (ctypes.c_void_p * 7)(*[ctypes.addressof(iocb) for iocb in iocbs])
    assert libc.syscall(io_submit, context, 7, array) == 7
    events = ctypes.create_string_buffer(32 * 7)
    assert libc.syscall(io_getevents, context, 7, 7, events, None) == 7
    libc.syscall(io_destroy, context)
    os.close(fd)
    ebpf.assert_syscall("IOCB_CMD_PWRITE", path=tmp_path / "file", count=7)
    assert ebpf.complete, ebpf.gaps
