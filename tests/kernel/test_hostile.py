"""Arguments that no honest program passes: decoded, marked or a gap, and never a crash."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from pytest_ebpf import InconclusiveRecording
from pytest_ebpf.recording import Recording, undescribed

NOWHERE = 0xDEAD0000
NUMBERS = {
    "x86_64": {"connect": 42, "sendto": 44, "sendmsg": 46, "bind": 49, "execve": 59, "sendmmsg": 307, "openat2": 437},
    "aarch64": {
        "bind": 200,
        "connect": 203,
        "sendto": 206,
        "sendmsg": 211,
        "execve": 221,
        "sendmmsg": 269,
        "openat2": 437,
    },
}[os.uname().machine]

Call = Callable[..., int]


@pytest.fixture
def call(libc: ctypes.CDLL) -> Call:
    """A raw system call, by name; its result, or the negative errno."""

    def call(name: str, *args: int | bytes | ctypes.Array[ctypes.c_char]) -> int:
        words = [ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in args]
        result = libc.syscall(NUMBERS[name], *words)
        return -ctypes.get_errno() if result == -1 else int(result)

    return call


@pytest.fixture
def udp() -> Iterator[socket.socket]:
    """A datagram socket."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        yield sock


IPV4 = struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", 9, bytes([127, 0, 0, 1]))


@pytest.mark.parametrize(
    "data, length",
    [
        (b"", 0),
        (IPV4, 1),
        (IPV4, 3),
        (IPV4, 7),
        (IPV4.ljust(128, b"\0"), 128),
        (IPV4.ljust(200, b"\0"), 200),
        (IPV4, -1),
        (IPV4, 1 << 31),
        (struct.pack("=H", 0xFFFF) + bytes(14), 16),
        (struct.pack("=H", socket.AF_INET6) + bytes(14), 16),
        (struct.pack("=H", socket.AF_UNIX), 2),
        (struct.pack("=H", socket.AF_UNIX) + b"x" * 200, 202),
    ],
)
def test_sockaddr_of_wrong_length_or_family(
    ebpf: Recording, call: Call, udp: socket.socket, data: bytes, length: int
) -> None:
    """As the kernel saw it, or unknown."""
    buffer = ctypes.create_string_buffer(data, 256)
    call("connect", udp.fileno(), buffer, length)
    call("bind", udp.fileno(), buffer, length)
    for event in ebpf.syscalls("connect", "bind"):
        assert str(event).isprintable()
        assert event.address is not None or "address" in event.unread or length <= 0 or event.errno == "EINVAL"
    ebpf.assert_syscall("connect", "bind", count=2)


@pytest.mark.parametrize("name", ["connect", "bind", "sendto", "sendmsg", "sendmmsg", "execve", "openat2"])
def test_pointers_to_nowhere(ebpf: Recording, call: Call, udp: socket.socket, name: str) -> None:
    """The kernel refuses with EFAULT, so nothing is hidden: the recording is complete."""
    fd = udp.fileno()
    args = {
        "connect": (fd, NOWHERE, 16),
        "bind": (fd, NOWHERE, 16),
        "sendto": (fd, NOWHERE, 7, 0, NOWHERE, 16),
        "sendmsg": (fd, NOWHERE, 0),
        "sendmmsg": (fd, NOWHERE, 23, 0),
        "execve": (NOWHERE, NOWHERE, NOWHERE),
        "openat2": (-100, NOWHERE, NOWHERE, 24),
    }[name]
    assert call(name, *args) < 0
    ebpf.assert_syscall(name, errno="EFAULT", count=1)
    ebpf.assert_no_syscall(name, ok=True)
    ebpf.assert_no_syscall("%file", path="/etc/passwd")
    assert ebpf.complete, ebpf.gaps


def test_arguments_to_nowhere_of_a_real_program(ebpf: Recording, call: Call) -> None:
    """A good path with bad arguments is not executed."""
    path = ctypes.create_string_buffer(b"/bin/true")
    pointers = (ctypes.c_long * 3)(ctypes.addressof(path), NOWHERE, 0)
    assert call("execve", path, ctypes.addressof(pointers), 0) < 0
    ebpf.assert_syscall("execve", path="/bin/true", errno="EFAULT", count=1)


def test_iovec_of_a_gigabyte(ebpf: Recording, call: Call, udp: socket.socket) -> None:
    """To port 53, whose messages are looked into: no more than a piece is taken."""
    udp.connect(("127.0.0.1", 53))
    data = ctypes.create_string_buffer(23)
    vectors = (ctypes.c_long * 2)(ctypes.addressof(data), 1 << 30)
    message = (ctypes.c_long * 7)(0, 0, ctypes.addressof(vectors), 1, 0, 0, 0)
    call("sendmsg", udp.fileno(), ctypes.addressof(message), 0)
    vectors[1] = 23
    message[3] = 1 << 40
    call("sendmsg", udp.fileno(), ctypes.addressof(message), 0)
    ebpf.assert_syscall("sendmsg", address="127.0.0.1:53", count=2)
    assert all(len(payload) < 8192 for event in ebpf.events for payload in event.payloads)


def test_sendmmsg_of_many(ebpf: Recording, call: Call, udp: socket.socket) -> None:
    """Every address of the messages that the kernel looks at is known, and counts."""
    udp.bind(("127.0.0.1", 0))
    port = udp.getsockname()[1]
    data, count = ctypes.create_string_buffer(b"x"), 1023
    addresses = [
        ctypes.create_string_buffer(
            struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", port, bytes([127, 0, 1, number % 251])), 16
        )
        for number in range(count)
    ]
    vector = (ctypes.c_long * 2)(ctypes.addressof(data), 1)
    words: list[int] = []
    for address in addresses:
        words += [ctypes.addressof(address), 16, ctypes.addressof(vector), 1, 0, 0, 0, 0]
    messages = (ctypes.c_long * len(words))(*words)
    call("sendmmsg", udp.fileno(), ctypes.addressof(messages), count, 0)
    for last in (0, 7, 250):
        ebpf.assert_syscall("sendmmsg", address=f"127.0.1.{last}:{port}", count=1)
    ebpf.assert_no_syscall("sendmmsg", address="127.0.1.251")
    assert ebpf.complete, ebpf.gaps


def test_memory_of_a_dying_process(ebpf: Recording) -> None:
    """Children killed at any moment in the middle of their calls leave whole events or gaps."""
    program = """
import os
print(flush=True)
while True:
    try:
        os.open("/nothing/" + "x" * 200, 0)
    except OSError:
        pass
"""
    for _ in range(7):
        child = subprocess.Popen([sys.executable, "-S", "-c", program], stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
    for event in ebpf.syscalls("openat", path="/nothing/*"):
        assert event.path == "/nothing/" + "x" * 200
    assert len({event.pid for event in ebpf.syscalls("openat", path="/nothing/*")}) <= 7
    assert ebpf.complete, ebpf.gaps


def test_call_that_has_no_name(ebpf: Recording, libc: ctypes.CDLL) -> None:
    """A number that the table doesn't know is a call by that number, and can be asked for."""
    assert libc.syscall(500, 1, 2, 3) == -1
    ebpf.assert_syscall("syscall_0x1f4", errno="ENOSYS", arg2=3, count=1)
    with pytest.raises(AssertionError):
        ebpf.assert_no_syscall("syscall_0x1f4")


@pytest.mark.parametrize("number", [-1, 0x8000_0001, 0xC000_0001])
def test_number_that_no_abi_has(ebpf: Recording, libc: ctypes.CDLL, number: int) -> None:
    """The kernel does nothing then; a seccomp filter or a debugger may put -1 there."""
    assert libc.syscall(ctypes.c_long(number)) == -1
    ebpf.assert_no_network()
    ebpf.assert_no_syscall("openat")


def test_call_that_a_newer_kernel_has(ebpf: Recording, libc: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it did isn't known; one that the kernel doesn't have did nothing."""
    table = ebpf._table
    number = table.number("getppid")
    assert number is not None
    with ebpf.window() as missing:
        libc.syscall(500)
    with ebpf.window() as part:
        os.getppid()
    missing.assert_no_network()
    part.assert_no_network()
    asks: list[Callable[[], None]] = [
        part.assert_no_network,
        part.assert_no_exec,
        lambda: part.assert_only_writes_under("/nowhere"),
    ]
    try:
        with monkeypatch.context() as patch:
            patch.delitem(table._by_number, number)
            undescribed.cache_clear()
            for ask in asks:
                with pytest.raises(InconclusiveRecording, match=f"1 calls syscall_{number:#x}, which this version"):
                    ask()
            part.assert_no_syscall("openat")
            part.assert_max(syscalls=1, connect=0)
            assert not part.complete
    finally:
        undescribed.cache_clear()
