"""From wire bytes to events."""

from __future__ import annotations

import os
import pickle
import platform
import socket
import stat
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_ebpf import decode, files, syscalls
from pytest_ebpf.decode import (
    RESULT_ARG,
    Blob,
    BlobFlag,
    BlobKind,
    EventFlag,
    NoteKind,
    Payload,
    RawCall,
    SpecFlag,
    Wait,
)
from pytest_ebpf.events import Address, Descriptor, File, Process, Socket, SyscallEvent
from pytest_ebpf.files import Files

from .builders import parse_blob

TABLE = syscalls.table("x86_64")
PROCESS = Process(pid=12, comm="python", exe="/usr/bin/python3", is_self=True)
AT_FDCWD = 0xFFFF_FF9C  # as a 32-bit register leaves it
CALL = 7 << 40 | 1
MASK = (1 << 64) - 1
DEVICE = 8 << 20 | 1


def file_note(mode: int, rest: bytes, inode: int = 42) -> bytes:
    """A ``struct file_note`` and what is behind it."""
    return files.FILE_NOTE.pack(inode, 0xEF53, DEVICE, mode) + rest


def socket_note(
    family: int,
    local: bytes = b"",
    peer: bytes = b"",
    ports: tuple[int, int] = (0, 0),
    *,
    kind: int = socket.SOCK_STREAM,
    peer_inode: int = 0,
    names: tuple[bytes, ...] = (),
) -> bytes:
    """A ``struct file_note`` of a socket, with its ``struct socket_note`` and its names in the file system."""
    note = files.SOCKET_NOTE.pack(family, kind, 0, 0, *ports, 0, peer_inode, local, peer)
    ends = b"".join(len(name).to_bytes(2, "little") + name for name in names)
    return file_note(stat.S_IFSOCK | 0o777, note + ends)


# Identities, as the programs send them, and what they stand for.
HOME, SRV, ROOT, ONE, TWO = 0x11, 0x13, 0x15, 0x17, 0x19
HOSTS, GONE, CUT, FAILED = 0x21, 0x23, 0x25, 0x27
PIPE, MEMFD, EPOLL, FIFO, TTY = 0x31, 0x33, 0x35, 0x37, 0x39
TCP, TCP6, UDP, LISTENING, NETLINK, UDP_PEER, PING = 0x41, 0x43, 0x45, 0x47, 0x49, 0x4B, 0x4D
UNIX, UNIX_PAIR, UNIX_ALONE, UNIX_PACKETS, UNIX_WAITING = 0x51, 0x53, 0x55, 0x57, 0x59
NEVER_SENT = 0x99
GIT = 0x61
REGULAR, DIRECTORY = stat.S_IFREG | 0o644, stat.S_IFDIR | 0o755
HERE, THERE = bytes([10, 0, 0, 1]), bytes([192, 0, 2, 7])
HERE6, THERE6 = (socket.inet_pton(socket.AF_INET6, text) for text in ("2001:db8::1", "2001:db8::7"))
PEER = Address("AF_INET", host="192.0.2.7", port=8080)
NOTES: dict[int, tuple[int, bytes]] = {
    HOME: (0, file_note(DIRECTORY, b"user\0home\0")),
    SRV: (0, file_note(REGULAR, b"file\0srv\0")),
    ROOT: (0, file_note(DIRECTORY, b"")),
    ONE: (0, file_note(DIRECTORY, b"one\0")),
    TWO: (0, file_note(DIRECTORY, b"two\0")),
    HOSTS: (0, file_note(REGULAR, b"hosts\0etc\0")),
    GONE: (BlobFlag.DELETED, file_note(REGULAR, b"gone\0tmp\0")),
    CUT: (BlobFlag.CUT, file_note(DIRECTORY, b"user\0")),
    FAILED: (BlobFlag.FAILED, file_note(REGULAR, b"file\0")),
    PIPE: (BlobFlag.PSEUDO, file_note(stat.S_IFIFO | 0o600, b"\0")),
    MEMFD: (BlobFlag.PSEUDO, file_note(stat.S_IFREG | 0o777, b"memfd:scratch\0")),
    EPOLL: (BlobFlag.PSEUDO, file_note(0o600, b"[eventpoll]\0")),
    FIFO: (0, file_note(stat.S_IFIFO | 0o644, b"fifo\0tmp\0")),
    TTY: (0, file_note(stat.S_IFCHR | 0o620, b"0\0pts\0dev\0")),
    TCP: (0, socket_note(socket.AF_INET, HERE, THERE, (40000, 8080))),
    TCP6: (0, socket_note(socket.AF_INET6, HERE6, THERE6, (40000, 443))),
    UDP: (0, socket_note(socket.AF_INET, kind=socket.SOCK_DGRAM)),
    UDP_PEER: (0, socket_note(socket.AF_INET, HERE, THERE, (40000, 8080), kind=socket.SOCK_DGRAM)),
    PING: (0, socket_note(socket.AF_INET, HERE, THERE, kind=socket.SOCK_DGRAM)),
    LISTENING: (0, socket_note(socket.AF_INET, HERE, ports=(80, 0))),
    NETLINK: (0, socket_note(socket.AF_NETLINK, kind=socket.SOCK_RAW)),
    UNIX: (0, socket_note(socket.AF_UNIX, peer_inode=77, names=(b"", b"\1\0/run/x.sock\0"))),
    UNIX_PAIR: (0, socket_note(socket.AF_UNIX, peer_inode=78, names=(b"", b""))),
    UNIX_ALONE: (0, socket_note(socket.AF_UNIX, names=(b"\1\0\0abstract", b""))),
    UNIX_WAITING: (0, socket_note(socket.AF_UNIX, names=(b"", b"\1\0/run/x.sock\0"))),
    UNIX_PACKETS: (
        0,
        socket_note(socket.AF_UNIX, kind=socket.SOCK_SEQPACKET, peer_inode=77, names=(b"", b"\1\0/run/x.sock\0")),
    ),
    GIT: (0, file_note(REGULAR, b"git\0bin\0usr\0")),
}
KNOWN = Files()
for identity, (note_flags, note_data) in NOTES.items():
    KNOWN.learn(identity, note_flags, note_data)


def event(
    name: str | int,
    *args: int,
    blobs: tuple[Blob, ...] = (),
    file: int = 0,
    kind: int = decode.CALL_KIND,
    ret: int = 0,
    flags: int = 0,
    unread: int = 0,
    lost: int = 0,
    comm: bytes = b"python",
    in_flight: bool = False,
    times: tuple[int, int] = (1000, 3500),
) -> SyscallEvent:
    """What becomes of a call."""
    number = TABLE.number(name) if isinstance(name, str) else name
    assert number is not None
    registers = [value & MASK for value in (*args, *(0,) * 6)[:6]]
    head = (*times, CALL, 1, file, ret, *registers, 12, 13, 1, 0, 0)
    content = decode.EVENT.pack(*head, number, kind, flags, unread, lost, comm)
    raw = RawCall(decode.EVENT.unpack(content))
    return decode.decode_call(raw, blobs, KNOWN, PROCESS, TABLE, in_flight=in_flight)


def operation(name: str | int, *args: int, **more: Any) -> SyscallEvent:
    """What becomes of an operation on an io_uring."""
    number = TABLE.number(name) if isinstance(name, str) else name + syscalls.RING
    assert number is not None
    return event(number - syscalls.RING, *args, kind=decode.RING_KIND, **more)


def blob(kind: BlobKind, data: bytes, arg: int = 0, flags: int = 0, event_kind: int = 1) -> Blob:
    """Bytes of the call, as they stand in their ring."""
    packed = decode.BLOB_HEADER.pack(CALL, len(data), kind, arg, flags, event_kind) + data
    return parse_blob(memoryview(packed + bytes(-len(packed) % 8)))


def path(text: bytes, arg: int = 1, flags: int = 0) -> Blob:
    """A string argument; openat's unless told."""
    return blob(BlobKind.PATH, text, arg, flags)


def word(kind: BlobKind, value: int, arg: int = 1, event_kind: int = 1) -> Blob:
    """A blob of eight bytes."""
    return blob(kind, value.to_bytes(8, "little"), arg, event_kind=event_kind)


def base(identity: int, arg: int = 1) -> Blob:
    """The directory of a relative path."""
    return word(BlobKind.BASE, identity, arg)


def returned(identity: int) -> Blob:
    """What the descriptor that a call returned stands for."""
    return word(BlobKind.FD, identity, RESULT_ARG)


def test_plain_call() -> None:
    """Every field of an event that has no blobs."""
    found = event("read", 3, 0x7F00, 4096, ret=17)
    assert found == SyscallEvent(
        name="read",
        pid=12,
        tid=13,
        comm="python",
        process=PROCESS,
        timestamp_ns=1000,
        duration_ns=2500,
        args={"fd": 3, "buf": 0x7F00, "count": 4096},
        ret=17,
    )
    assert str(found) == "read(3, 0x7f00, 4096) = 17"
    assert found.ok


def test_failed_call() -> None:
    """The kernel's negative number is an errno with a name."""
    found = event("close", 3, ret=-9)
    assert (found.ret, found.errno, found.ok) == (-9, "EBADF", False)
    assert str(found) == "close(3) = -1 EBADF (Bad file descriptor)"


@pytest.mark.parametrize("ret", [-4096, -(1 << 63)])
def test_large_negative_result_is_no_error(ret: int) -> None:
    """Only -1 to -4095 are error numbers: an address may look negative."""
    found = event("mmap", ret=ret)
    assert found.errno is None
    assert found.ok


def test_registers_are_converted() -> None:
    """An int that fills half a register is negative all the same."""
    assert event("openat", AT_FDCWD).args["dfd"] == -100
    assert event("kill", -1, 9).args == {"pid": -1, "sig": 9}


def test_call_in_flight() -> None:
    """No result and no duration yet."""
    found = event("connect", 3, 0x7F00, 16, in_flight=True, ret=99, times=(1000, 0))
    assert (found.ret, found.errno, found.duration_ns, found.ok, found.in_flight) == (None, None, None, False, True)
    assert str(found).endswith("<unfinished ...>")


def test_call_that_never_returns() -> None:
    """The task ended inside of it: it happened, and has no result."""
    found = event("exit_group", 3, flags=EventFlag.NO_RETURN)
    assert (found.ret, found.duration_ns, found.ok, found.in_flight) == (None, None, False, False)
    assert str(found) == "exit_group(3) = ?"


def test_clock_that_went_back() -> None:
    """A duration is never negative."""
    assert event("getpid", times=(1000, 999)).duration_ns == 0


@pytest.mark.parametrize("number", [499, 511, 0xFFFF])
def test_unknown_call(number: int) -> None:
    """A number without a name is shown as strace does, with its arguments."""
    found = event(number, 1, 2, 3)
    assert found.name == f"syscall_0x{number:x}"
    assert found.unread == frozenset()


def test_foreign_call() -> None:
    """Numbers of another ABI mean other calls: neither name nor arguments are guessed."""
    found = event("unlink", 1, 2, 3, 4, 5, 6, flags=EventFlag.FOREIGN, ret=-2)
    assert found.name == "foreign_0x57"
    assert list(found.args.values()) == [1, 2, 3, 4, 5, 6]
    assert found.path is None


def test_comm_that_is_no_utf8() -> None:
    """Bytes of a task's name survive."""
    assert os.fsencode(event("getpid", comm=b"\xff\x1bx").comm) == b"\xff\x1bx"


# Paths


def test_absolute_path() -> None:
    """Needs no directory."""
    found = event("openat", AT_FDCWD, 0x7F00, blobs=(path(b"/etc/hosts"), returned(HOSTS)), ret=3)
    assert (found.path, found.abspath, found.realpath) == ("/etc/hosts",) * 3
    assert found.paths == ("/etc/hosts",)
    assert found.args["filename"] == "/etc/hosts"
    assert found.unread == frozenset()


@pytest.mark.parametrize(
    "passed, expected",
    [
        (b"x", "/home/user/x"),
        (b"./x", "/home/user/x"),
        (b"../x", "/home/x"),
        (b"../../../x", "/x"),
        (b"a//b/", "/home/user/a/b"),
        (b"a/./b/../c", "/home/user/a/c"),
        (b"", "/home/user"),
        (b".", "/home/user"),
        (b"\xff", "/home/user/\udcff"),
        (b"/a/../b", "/b"),
        (b"//a", "/a"),
        (b"/", "/"),
        (b"/..", "/"),
    ],
)
def test_path_is_made_absolute(passed: bytes, expected: str) -> None:
    """Against the directory of that moment, by its text alone; the spelling that was passed is kept."""
    found = event("openat", AT_FDCWD, 0x7F00, blobs=(path(passed), base(HOME)), ret=-2)
    assert found.path == os.fsdecode(passed)
    assert found.abspath == expected
    assert set(found.paths) == {os.fsdecode(passed), expected}


def test_root_directory_has_no_components() -> None:
    """A path relative to /."""
    assert event("openat", 3, 0x7F00, blobs=(path(b"etc"), base(ROOT)), ret=-2).abspath == "/etc"


def test_real_path_may_differ() -> None:
    """A symlink: each spelling can be asked for."""
    found = event("openat", 3, 0x7F00, blobs=(path(b"link"), base(HOME), returned(SRV)), ret=3)
    assert found.paths == ("link", "/home/user/link", "/srv/file")
    assert found.realpath == "/srv/file"


def test_opened_file_that_was_not_seen() -> None:
    """Another thread closed it at once: its real name is unknown, not absent."""
    assert event("openat", blobs=(path(b"/x"),), ret=3).unread == {"realpath"}
    assert event("openat", blobs=(path(b"/x"),), ret=-2).unread == frozenset()
    assert event("openat", blobs=(path(b"/x"),), in_flight=True).unread == {"realpath"}


@pytest.mark.parametrize("identity", [CUT, FAILED, NEVER_SENT, 0])
def test_real_path_that_is_incomplete(identity: int) -> None:
    """A part of a path is no path, nor is a file that the programs found no room to describe."""
    found = event("openat", blobs=(path(b"/x"), returned(identity)), ret=3)
    assert found.realpath is None
    assert "realpath" in found.unread


def test_two_paths() -> None:
    """Each has a directory of its own; the first is the event's path, both can be asked for."""
    found = event(
        "renameat2",
        3,
        0x7F00,
        4,
        0x7F80,
        blobs=(path(b"a", 1), base(ONE, 1), path(b"b", 3), base(TWO, 3)),
    )
    assert (found.path, found.abspath) == ("a", "/one/a")
    assert found.paths == ("a", "/one/a", "b", "/two/b")
    assert (found.args["oldname"], found.args["newname"]) == ("a", "b")


def test_second_path_is_never_taken_for_the_first() -> None:
    """Where the first couldn't be read, the event says that its path is unknown."""
    found = event("rename", 0x7F00, 0x7F80, blobs=(path(b"/b", 1),), unread=0b01)
    assert "path" in found.unread
    assert found.path in (None, "/b")
    assert "/b" in found.paths


def test_unread_path() -> None:
    """It is unknown, not absent."""
    found = event("openat", AT_FDCWD, 0x7F00, unread=0b10, ret=-2)
    assert found.path is None
    assert {"path", "filename"} <= found.unread


def test_lost_path() -> None:
    """Read, but there was no room for it."""
    assert {"path", "filename"} <= event("openat", AT_FDCWD, 0x7F00, lost=0b10, ret=-2).unread


def test_lost_directory() -> None:
    """The path is there, what it is relative to is not."""
    found = event("openat", 3, 0x7F00, blobs=(path(b"x"),), lost=0b10, ret=-2)
    assert (found.path, found.abspath) == ("x", None)
    assert {"path", "abspath"} <= found.unread


@pytest.mark.parametrize("identity", [CUT, FAILED, NEVER_SENT, 0])
def test_incomplete_directory(identity: int) -> None:
    """A part of a directory makes no path absolute, nor does one that the programs found no room to describe."""
    found = event("openat", 3, 0x7F00, blobs=(path(b"x"), base(identity)), ret=-2)
    assert found.abspath is None
    assert found.unread == {"abspath"}


def test_directory_that_is_no_descriptor() -> None:
    """The call failed with EBADF: there is no absolute path to know."""
    assert event("openat", 99, 0x7F00, blobs=(path(b"x"),), ret=-9).unread == frozenset()
    assert event("openat", 99, 0x7F00, blobs=(path(b"x"),), ret=-2).unread == {"abspath"}


def test_path_that_the_kernel_could_not_read() -> None:
    """EFAULT: there was no path, so nothing is unknown."""
    found = event("openat", AT_FDCWD, 0x1, unread=0b10, ret=-14)
    assert found.unread == frozenset()
    assert found.path is None


def test_unread_path_of_a_call_in_flight() -> None:
    """Not finished, so an EFAULT in the register means nothing yet."""
    assert "path" in event("openat", AT_FDCWD, 0x1, unread=0b10, ret=-14, in_flight=True).unread
    assert "path" in event("openat", AT_FDCWD, 0x1, unread=0b10, ret=-14, flags=EventFlag.NO_RETURN).unread


def test_long_path_that_was_cut() -> None:
    """What is there is shown, and no assertion takes it for the path."""
    found = event("openat", AT_FDCWD, 0x7F00, blobs=(path(b"/" + b"x" * 4095, flags=BlobFlag.CUT),), ret=-36)
    assert {"path", "filename"} <= found.unread
    assert found.path is None
    assert found.paths == ()
    assert len(found.args["filename"]) == 4096


def test_reread_path_is_a_path() -> None:
    """Read at exit, when the page was there."""
    found = event("openat", AT_FDCWD, 0x7F00, blobs=(path(b"/x", flags=BlobFlag.REREAD),), ret=-2)
    assert (found.path, found.unread) == ("/x", frozenset())


def test_reread_path_that_the_answer_may_cover() -> None:
    """The program gave one buffer for both: what stands there at exit is not what it asked for."""
    reread = (path(b"", arg=0, flags=BlobFlag.REREAD),)
    assert "path" in event("stat", 0x7F00, 0x7F00, blobs=reread).unread
    assert event("stat", 0x7F00, 0x17F00, blobs=reread).path == ""


def test_empty_path_means_the_descriptor() -> None:
    """AT_EMPTY_PATH: the path is that of the descriptor."""
    found = event("newfstatat", 3, 0x7F00, 0x7F80, 0x1000, blobs=(path(b""), base(HOME)))
    assert (found.path, found.abspath) == ("", "/home/user")
    assert "/home/user" in found.paths


def test_null_path() -> None:
    """No path at all: nothing to read, nothing unknown."""
    found = event("newfstatat", 3, 0, 0x7F80, 0x1000)
    assert found.path is None
    assert found.unread == frozenset()


def test_blobs_of_another_event_kind() -> None:
    """The program of an exec note has the same call, and is not the call's path."""
    of_the_note = [blob(kind, b"/git\0", event_kind=NoteKind.EXEC) for kind in BlobKind]
    found = event("execve", 0x7F00, blobs=tuple(of_the_note))
    assert found.path is None
    assert found.paths == ()


# Addresses


def sockaddr(family: int, rest: bytes = b"") -> bytes:
    """A ``struct sockaddr``."""
    return family.to_bytes(2, "little") + rest


INET = sockaddr(socket.AF_INET, b"\x1f\x90" + bytes([192, 0, 2, 7]) + bytes(8))
INET6 = sockaddr(socket.AF_INET6, b"\x01\xbb" + bytes(4) + socket.inet_pton(socket.AF_INET6, "2001:db8::7") + bytes(4))


@pytest.mark.parametrize(
    "data, expected, text",
    [
        (INET, Address("AF_INET", host="192.0.2.7", port=8080), "192.0.2.7:8080"),
        (INET[:8], Address("AF_INET", host="192.0.2.7", port=8080), "192.0.2.7:8080"),
        (INET[:7], Address("AF_INET", members=(("sa_data", INET[2:7]),)), "AF_INET"),
        (INET6, Address("AF_INET6", host="2001:db8::7", port=443), "[2001:db8::7]:443"),
        (INET6[:24], Address("AF_INET6", host="2001:db8::7", port=443), "[2001:db8::7]:443"),
        (INET6[:23], Address("AF_INET6", members=(("sa_data", INET6[2:23]),)), "AF_INET6"),
        (sockaddr(1, b"/run/x.sock\0junk"), Address("AF_UNIX", path="/run/x.sock"), "unix:/run/x.sock"),
        (sockaddr(1, b"/" + b"x" * 107), Address("AF_UNIX", path="/" + "x" * 107), "unix:/" + "x" * 107),
        (sockaddr(1, b"\xff\0"), Address("AF_UNIX", path="\udcff"), "unix:\udcff"),
        (sockaddr(1, b"\0name"), Address("AF_UNIX", path="@name"), "unix:@name"),
        (sockaddr(1, b"@name\0"), Address("AF_UNIX", path="./@name"), "unix:./@name"),
        (sockaddr(1, b"\0a\0b"), Address("AF_UNIX", path="@a\0b"), "unix:@a\0b"),
        (sockaddr(0), Address("AF_UNSPEC"), "AF_UNSPEC"),
        (sockaddr(16, bytes(10)), Address("AF_NETLINK", port=0), "netlink:0"),
        (sockaddr(250, b"x"), Address("AF_250", members=(("sa_data", b"x"),)), "AF_250"),
        (sockaddr(250), Address("AF_250"), "AF_250"),
        (b"", Address("AF_UNSPEC"), "AF_UNSPEC"),
        (b"\x02", Address("AF_UNSPEC"), "AF_UNSPEC"),
    ],
)
def test_address(data: bytes, expected: Address, text: str) -> None:
    """Of every family, and one too short for its family."""
    assert files.parse_address(data) == expected
    assert str(expected) == text


def test_address_of_a_call() -> None:
    """It is the event's and the argument's."""
    found = event("connect", 3, 0x7F00, 16, blobs=(blob(BlobKind.ADDRESS, INET, 1),), ret=-111)
    assert found.address == Address("AF_INET", host="192.0.2.7", port=8080)
    assert found.args["uservaddr"] == found.address
    assert "192.0.2.7" in str(found)


@pytest.mark.parametrize(
    "name, bases, expected",
    [
        (b"sock\0", (base(HOME),), "/home/user/sock"),
        (b"../x/sock\0", (base(HOME),), "/home/x/sock"),
        (b"@sock\0", (base(HOME),), "/home/user/@sock"),
        (b"/run/../sock\0", (), "/sock"),
        (b"/sock\0", (word(BlobKind.ROOT, ONE),), "/one/sock"),
        (b"sock\0", (), None),
        (b"\0sock", (), None),
    ],
)
def test_path_of_a_unix_socket(name: bytes, bases: tuple[Blob, ...], expected: str | None) -> None:
    """It is made absolute, as any other path."""
    found = event("connect", 3, 0, len(name) + 2, blobs=(blob(BlobKind.ADDRESS, b"\1\0" + name, 1), *bases))
    assert found.address is not None
    assert found.address.abspath == expected
    assert found.args["uservaddr"] is found.address


def test_address_of_a_message() -> None:
    """It is behind a pointer in the argument."""
    found = event("sendmsg", 3, 0x7F00, 0, blobs=(blob(BlobKind.ADDRESS, INET, 1),), ret=5)
    assert found.address == Address("AF_INET", host="192.0.2.7", port=8080)
    assert found.args["msg"] == found.address
    assert "{msg_name={sa_family=AF_INET, " in str(found)


def test_unread_address() -> None:
    """It is unknown, not absent; an EFAULT says that there was none."""
    assert "address" in event("connect", 3, 0x7F00, 16, unread=0b10).unread
    assert "address" in event("sendmsg", 3, 0x7F00, 0, unread=0b10).unread
    assert event("connect", 3, 0x1, 16, unread=0b10, ret=-14).unread == frozenset()


def test_address_that_the_kernel_wrote() -> None:
    """That of an accept or a receive is the event's and the argument's."""
    accepted = event("accept", 3, 0x7F00, 0x7F80, blobs=(blob(BlobKind.ADDRESS, INET, 1), returned(TCP)), ret=4)
    assert (accepted.address, accepted.args["upeer_sockaddr"]) == (PEER, PEER)
    received = event("recvfrom", 3, 1, 2, 0, 0x7F00, 0x7F80, blobs=(blob(BlobKind.ADDRESS, INET, 4),), ret=2, file=UDP)
    assert (received.address, received.args["addr"]) == (PEER, PEER)
    message = event("recvmsg", 3, 0x7F00, 0, blobs=(blob(BlobKind.ADDRESS, INET, 1),), ret=2, file=UDP)
    assert (message.address, message.args["msg"]) == (PEER, PEER)


def test_several_addresses() -> None:
    """Each message of a sendmmsg has its own; the first is the event's address, all can be asked for."""
    both = (blob(BlobKind.ADDRESS, INET6, 1), blob(BlobKind.ADDRESS, INET, 1))
    found = event("sendmmsg", 3, 0x7F00, 2, 0, blobs=both, ret=2, file=UDP)
    assert found.addresses == (Address("AF_INET6", host="2001:db8::7", port=443), PEER)
    assert found.address == found.addresses[0]
    assert found.args["mmsg"] == 0x7F00
    assert found.unread == frozenset()


def test_addresses_of_which_one_is_unread() -> None:
    """Then it is not known to whom it went, though some are."""
    found = event("sendmmsg", 3, 0x7F00, 2, 0, blobs=(blob(BlobKind.ADDRESS, INET, 1),), unread=0b10, ret=2, file=UDP)
    assert found.addresses == (PEER,)
    assert "address" in found.unread


@pytest.mark.parametrize(
    "name", ["sendto", "send_on_ring", "sendmsg", "sendmmsg", "write", "read", "shutdown", "close"]
)
def test_address_of_a_connected_socket(name: str) -> None:
    """A call without an address has that of the socket's other end."""
    found = operation("IORING_OP_SEND", 3, file=TCP) if name == "send_on_ring" else event(name, 3, 0x7F00, 5, file=TCP)
    assert found.address == PEER
    assert found.addresses == (PEER,)
    assert found.unread == frozenset()


def test_address_of_the_call_comes_first() -> None:
    """A connected datagram socket can still send elsewhere; a stream can't, whatever address it is given."""
    elsewhere = (blob(BlobKind.ADDRESS, INET6, 4),)
    found = event("sendto", 3, 1, 2, 0, 4, 16, blobs=elsewhere, file=UDP_PEER, ret=2)
    assert found.addresses == (Address("AF_INET6", host="2001:db8::7", port=443),)
    found = event("sendto", 3, 1, 2, 0, 4, 16, blobs=elsewhere, file=TCP, ret=2)
    assert found.addresses == (PEER,)


def test_packets_of_a_unix_socket_go_to_its_peer() -> None:
    """The kernel passes over the address that stands beside them."""
    elsewhere = (blob(BlobKind.ADDRESS, b"\1\0/run/fine.sock\0", 4),)
    found = event("sendto", 3, 1, 2, 0, 4, 17, blobs=elsewhere, file=UNIX_PACKETS, ret=2)
    assert found.addresses == (Address("AF_UNIX", path="/run/x.sock"),)


@pytest.mark.parametrize("name, args", [("sendto", (3, 1, 2, 0, 4, 16)), ("sendmsg", (3, 4))])
def test_address_that_may_stand_beside_a_message(name: str, args: tuple[int, ...]) -> None:
    """Where it couldn't be read, a datagram needn't have gone to the socket's other end; a stream goes there."""
    unread = 1 << args.index(4)
    found = event(name, *args, file=UDP_PEER, unread=unread, ret=2)
    assert found.addresses == ()
    assert "address" in found.unread
    assert event(name, *args, file=TCP, unread=unread, ret=2).addresses == (PEER,)


def test_messages_without_a_name_go_to_the_peer() -> None:
    """Of several, each that has a name goes there, the others to the socket's other end."""
    named = (blob(BlobKind.ADDRESS, INET, 1),)
    found = event("sendmmsg", 3, 1, 2, 0, blobs=named, file=UDP_PEER, ret=2)
    assert found.addresses == (files.parse_address(INET), PEER)
    assert event("sendmmsg", 3, 1, 1, 0, blobs=named, file=UDP_PEER, ret=1).addresses == (files.parse_address(INET),)


def test_address_without_a_family() -> None:
    """A datagram socket of AF_INET sends to what stands there; one of AF_INET6 to its other end."""
    unspecified = (blob(BlobKind.ADDRESS, b"\0\0" + INET[2:], 4),)
    found = event("sendto", 3, 1, 2, 0, 4, 16, blobs=unspecified, file=UDP, ret=2)
    assert found.addresses == (files.parse_address(INET),)
    found = event("sendto", 3, 1, 2, 0, 4, 16, blobs=unspecified, file=TCP6, ret=2)
    assert [address.host for address in found.addresses] == ["2001:db8::7"]


def test_other_end_without_a_port() -> None:
    """Raw and ping sockets have one."""
    assert event("write", 3, 1, 2, file=PING, ret=2).addresses == (Address("AF_INET", host="192.0.2.7", port=0),)


@pytest.mark.parametrize("file", [UDP, LISTENING, NETLINK, UNIX_ALONE, HOSTS, PIPE])
def test_send_without_an_address(file: int) -> None:
    """On a socket that isn't connected, or on none, there is none: nothing is unknown."""
    found = event("sendto", 3, 0x7F00, 5, 0, 0, 0, ret=-107, file=file)
    assert (found.address, found.addresses, found.unread) == (None, (), frozenset())


# What descriptors stand for


def test_file_of_a_descriptor() -> None:
    """A call on a descriptor is a call on that file, by name, in its arguments and in the text."""
    found = event("read", 3, 0x7F00, 4096, ret=17, file=HOSTS)
    file = File("file", path="/etc/hosts", inode=42, device=DEVICE)
    assert found.files == {"fd": file}
    assert (found.path, found.abspath, found.realpath, found.paths) == (None, None, "/etc/hosts", ("/etc/hosts",))
    assert found.args["fd"] == 3
    assert isinstance(found.args["fd"], Descriptor)
    assert found.args["fd"].file == file
    assert str(found) == "read(3</etc/hosts>, 0x7f00, 4096) = 17"
    assert found.unread == frozenset()


def test_descriptor_survives_pickling() -> None:
    """As on the way from an xdist worker."""
    number = pickle.loads(pickle.dumps(event("close", 3, file=HOSTS))).args["fd"]
    assert (number, number.file.path) == (3, "/etc/hosts")


def test_two_descriptors() -> None:
    """Each has its file; the first one's is the event's."""
    found = event("sendfile", 4, 3, 0, 17, ret=17, file=TCP, blobs=(word(BlobKind.FD, HOSTS, 1),))
    assert {name: file.kind for name, file in found.files.items()} == {"out_fd": "socket", "in_fd": "file"}
    assert (found.realpath, found.address) == ("/etc/hosts", PEER)
    assert str(found) == "sendfile(4<TCP:[10.0.0.1:40000->192.0.2.7:8080]>, 3</etc/hosts>, NULL, 17) = 17"
    copied = event("copy_file_range", 3, 0, 4, 0, 17, 0, ret=17, file=HOSTS, blobs=(word(BlobKind.FD, SRV, 2),))
    assert (copied.realpath, copied.paths) == ("/etc/hosts", ("/etc/hosts", "/srv/file"))


@pytest.mark.parametrize(
    "identity, expected, text",
    [
        (HOSTS, File("file", path="/etc/hosts"), "</etc/hosts>"),
        (HOME, File("directory", path="/home/user"), "</home/user>"),
        (ROOT, File("directory", path="/"), "</>"),
        (GONE, File("file", path="/tmp/gone", deleted=True), "</tmp/gone>(deleted)"),
        (FIFO, File("fifo", path="/tmp/fifo"), "</tmp/fifo>"),
        (TTY, File("character device", path="/dev/pts/0"), "</dev/pts/0>"),
        (PIPE, File("pipe"), "<pipe:[42]>"),
        (MEMFD, File("memfd", name="scratch"), "</memfd:scratch>(deleted)"),
        (EPOLL, File("anonymous", name="[eventpoll]"), "<anon_inode:[eventpoll]>"),
        (CUT, File("directory", path_cut=True), "<directory:[42]>"),
    ],
)
def test_kinds_of_files(identity: int, expected: File, text: str) -> None:
    """Of each kind, by its mode and its name; only what has a name in a tree has a path."""
    found = event("close", 3, file=identity)
    file = found.files["fd"]
    assert (file.kind, file.path, file.name) == (expected.kind, expected.path, expected.name)
    assert (file.deleted, file.path_cut) == (expected.deleted, expected.path_cut)
    assert (file.inode, file.device) == (42, DEVICE)
    assert found.paths == ((file.path,) if file.path else ())
    assert str(found) == f"close(3{text}) = 0"


@pytest.mark.parametrize(
    "identity, local, peer",
    [
        (TCP, Address("AF_INET", "10.0.0.1", 40000), PEER),
        (TCP6, Address("AF_INET6", "2001:db8::1", 40000), Address("AF_INET6", "2001:db8::7", 443)),
        (UDP, Address("AF_INET", "0.0.0.0", 0), None),
        (LISTENING, Address("AF_INET", "10.0.0.1", 80), None),
        (NETLINK, None, None),
        (UNIX, Address("AF_UNIX"), Address("AF_UNIX", path="/run/x.sock")),
        (UNIX_WAITING, Address("AF_UNIX"), Address("AF_UNIX", path="/run/x.sock")),
        (UNIX_PAIR, Address("AF_UNIX"), Address("AF_UNIX")),
        (UNIX_ALONE, Address("AF_UNIX", path="@abstract"), None),
    ],
)
def test_sockets(identity: int, local: Address | None, peer: Address | None) -> None:
    """Both ends, as far as there are any; only a connected socket has another end."""
    found = event("shutdown", 3, 2, file=identity)
    made = found.files["fd"].socket
    assert made is not None
    assert (made.local, made.peer) == (local, peer)
    assert found.address == peer
    assert (found.path, found.paths, found.unread) == (None, (), frozenset())


def test_socket_in_full() -> None:
    """Family, type, protocol and the inode of the other end of a unix socket."""
    assert event("close", 3, file=UNIX).files["fd"].socket == Socket(
        family="AF_UNIX",
        type="SOCK_STREAM",
        protocol=0,
        local=Address("AF_UNIX"),
        peer=Address("AF_UNIX", path="/run/x.sock"),
        peer_inode=77,
    )


def test_descriptor_whose_file_is_unknown() -> None:
    """The programs found no room to describe it: neither its path nor its other end is known to be absent."""
    for found in (event("write", 3, file=NEVER_SENT), event("write", 3, lost=1)):
        assert found.unread == {"path", "address", "fd"}
        assert (found.files, found.paths, found.address) == ({}, (), None)
        assert str(found) == "write(3, NULL, 0) = 0"


def test_second_descriptor_whose_file_is_unknown() -> None:
    """As with the first."""
    for found in (
        event("sendfile", 4, 3, file=HOSTS, blobs=(word(BlobKind.FD, NEVER_SENT, 1),)),
        event("sendfile", 4, 3, file=HOSTS, lost=0b10),
    ):
        assert found.unread == {"path", "address", "in_fd"}
        assert found.paths == ("/etc/hosts",)


def test_descriptor_whose_path_was_cut() -> None:
    """A part of a path is no path; that it is no socket is known."""
    found = event("write", 3, file=CUT)
    assert found.unread == {"path"}
    assert found.paths == ()


def test_descriptor_that_is_closed() -> None:
    """It stands for nothing, so nothing is unknown."""
    found = event("close", 99, ret=-9)
    assert (found.files, found.unread) == ({}, frozenset())


def test_file_that_a_call_returned() -> None:
    """What the new descriptor stands for."""
    opened = event("openat", blobs=(path(b"/link"), returned(HOSTS)), ret=3)
    assert opened.result_file == File("file", path="/etc/hosts", inode=42, device=DEVICE)
    assert str(opened).endswith(" = 3</etc/hosts>")
    accepted = event("accept4", 3, file=LISTENING, blobs=(returned(TCP),), ret=4)
    assert accepted.result_file is not None
    assert accepted.result_file.socket is not None
    assert accepted.result_file.socket.peer == PEER
    assert accepted.address == PEER
    assert str(accepted).startswith("accept4(3<TCP:[10.0.0.1:80]>, ")
    assert str(accepted).endswith(" = 4<TCP:[10.0.0.1:40000->192.0.2.7:8080]>")
    made = event("socket", 2, 2, 0, blobs=(returned(UDP),), ret=3)
    assert made.result_file is not None
    assert (made.result_file.kind, made.address, made.unread) == ("socket", None, frozenset())
    copied = event("dup", 3, file=HOSTS, blobs=(returned(HOSTS),), ret=4)
    assert (copied.realpath, copied.paths) == ("/etc/hosts", ("/etc/hosts",))
    watched = event("epoll_create1", 0, blobs=(returned(EPOLL),), ret=3)
    assert str(watched) == "epoll_create1(0) = 3<anon_inode:[eventpoll]>"
    assert (watched.realpath, watched.unread) == (None, frozenset())


def test_opened_files_that_have_no_path() -> None:
    """A pipe by way of /proc has none; a deleted one has its last."""
    found = event("openat", blobs=(path(b"/proc/self/fd/3"), returned(PIPE)), ret=4)
    assert (found.realpath, found.unread) == (None, frozenset())
    gone = event("openat", blobs=(path(b"/proc/self/fd/3"), returned(GONE)), ret=4)
    assert gone.realpath == "/tmp/gone"
    assert gone.result_file is not None
    assert gone.result_file.deleted


@pytest.mark.parametrize("name", ["accept", "socket", "openat"])
def test_result_of_a_call_that_failed(name: str) -> None:
    """There is none, and nothing to know of it."""
    found = event(name, ret=-24)
    assert (found.result_file, found.unread) == (None, frozenset())


@pytest.mark.parametrize("name", ["accept", "socket", "dup"])
@pytest.mark.parametrize("ending", [{"in_flight": True}, {"flags": EventFlag.NO_RETURN}])
def test_result_of_a_call_that_has_none(name: str, ending: dict[str, Any]) -> None:
    """The register still holds the result of an earlier call: it doesn't put a path in doubt."""
    found = event(name, 3, ret=5, file=LISTENING, **ending)
    assert (found.ret, found.result_file, found.unread) == (None, None, frozenset())


@pytest.mark.parametrize("name", ["socket", "openat", "epoll_create1"])
def test_result_that_stands_in_the_record(name: str) -> None:
    """Of a call without a descriptor, the record's file is what the returned one stands for."""
    found = event(name, ret=5, file=LISTENING)
    assert found.result_file is not None
    assert found.result_file.kind == "socket"
    assert found.files == {}
    assert str(found).endswith(">")


def test_created_file() -> None:
    """Whether the open made the file: of opens that succeeded alone."""
    assert event("openat", blobs=(path(b"/x"), returned(HOSTS)), ret=3, flags=EventFlag.CREATED).created is True
    assert not event("openat", blobs=(path(b"/x"), returned(HOSTS)), ret=3).created
    assert event("openat", blobs=(path(b"/x"),), ret=-2).created is None
    assert event("openat", blobs=(path(b"/x"),), in_flight=True).created is None
    assert event("mkdir", blobs=(path(b"/x", 0),)).created is None


# Directories


@pytest.mark.parametrize("passed, expected", [(b"/etc/x", "/one/etc/x"), (b"/", "/one"), (b"//a/../b", "/one/b")])
def test_absolute_path_in_another_root(passed: bytes, expected: str) -> None:
    """After a chroot an absolute path starts from there."""
    found = event("openat", AT_FDCWD, 0x7F00, blobs=(path(passed), word(BlobKind.ROOT, ONE)), ret=-2)
    assert (found.path, found.abspath) == (os.fsdecode(passed), expected)
    assert found.paths == (os.fsdecode(passed), expected)


def test_relative_path_in_another_root() -> None:
    """It starts from its directory, whose name is already that from outside."""
    both = (word(BlobKind.ROOT, ONE), base(TWO))
    assert event("openat", 3, 0x7F00, blobs=(path(b"x"), *both), ret=-2).abspath == "/two/x"
    assert event("openat", 3, 0x7F00, blobs=(path(b"/x"), *both), ret=-2).abspath == "/one/x"


@pytest.mark.parametrize("identity", [CUT, NEVER_SENT, 0])
def test_root_that_is_unknown(identity: int) -> None:
    """Then no absolute path is."""
    found = event("openat", AT_FDCWD, 0x7F00, blobs=(path(b"/x"), word(BlobKind.ROOT, identity)), ret=-2)
    assert (found.path, found.abspath, found.unread) == ("/x", None, frozenset({"abspath"}))


@pytest.mark.parametrize("identity", [TCP, PIPE, EPOLL])
def test_path_relative_to_what_is_no_directory(identity: int) -> None:
    """It has no absolute form: the call fails with ENOTDIR, and nothing is unknown."""
    found = event("openat", 3, 0x7F00, blobs=(path(b"x"), base(identity)), ret=-20)
    assert (found.path, found.abspath, found.unread) == ("x", None, frozenset())


def test_absolute_paths_by_argument() -> None:
    """Of calls with several."""
    both = (path(b"a", 1), base(ONE, 1), path(b"/b", 3))
    assert event("renameat2", 3, 1, 4, 2, blobs=both).abspaths == {"oldname": "/one/a", "newname": "/b"}
    assert event("renameat2", 3, 1, 4, 2, blobs=both[::2]).abspaths == {"newname": "/b"}


# Ring operations


def test_ring_operation() -> None:
    """It is like the call, without a result; the number is that of no call."""
    found = operation("IORING_OP_OPENAT", AT_FDCWD, 0, 0o101, 0o644, blobs=(path(b"x"), base(HOME)))
    assert found.name == "IORING_OP_OPENAT"
    assert (found.path, found.abspath) == ("x", "/home/user/x")
    assert found.args == {"dfd": -100, "filename": "x", "flags": 0o101, "mode": 0o644}
    assert (found.ret, found.errno, found.ok, found.duration_ns, found.in_flight) == (None, None, False, None, False)
    assert (found.result_file, found.created) == (None, None)
    assert str(found) == 'IORING_OP_OPENAT(AT_FDCWD, "x", O_WRONLY|O_CREAT, 0644) = ?'


def test_ring_operation_blobs() -> None:
    """They carry the ring's kind of event."""
    ring = decode.RING_KIND
    found = operation(
        "IORING_OP_RENAMEAT",
        3,
        0,
        4,
        0,
        blobs=(
            blob(BlobKind.PATH, b"a", 1, event_kind=ring),
            word(BlobKind.BASE, ONE, 1, ring),
            blob(BlobKind.PATH, b"/b", 3, event_kind=ring),
            word(BlobKind.ROOT, TWO, 3, ring),
        ),
    )
    assert found.paths == ("a", "/one/a", "/b", "/two/b")


def test_ring_open_has_an_unknown_result() -> None:
    """The file is opened later: what it was is unknown."""
    assert operation("IORING_OP_OPENAT", blobs=(path(b"/x"),)).unread == {"realpath"}
    assert operation("IORING_OP_UNLINKAT", blobs=(path(b"/x"),)).unread == frozenset()


def test_ring_operation_on_a_descriptor() -> None:
    """It has the file of the descriptor."""
    found = operation("IORING_OP_READ", 3, file=HOSTS)
    assert (found.realpath, found.files["fd"].path) == ("/etc/hosts", "/etc/hosts")
    assert found.unread == frozenset()


def test_ring_operation_on_a_number_of_the_ring() -> None:
    """Not a descriptor: what it stands for is unknown."""
    assert operation("IORING_OP_READ", 3, unread=1).unread == {"path", "address", "fd"}


def test_ring_address() -> None:
    """Of a connect its own; of a send it is not recorded, unless the socket is connected and takes no other."""
    connect = operation("IORING_OP_CONNECT", 3, 0, file=UDP, blobs=(blob(BlobKind.ADDRESS, INET, 1),))
    assert (connect.address, connect.args["uservaddr"], connect.unread) == (PEER, PEER, frozenset())
    assert "address" in operation("IORING_OP_CONNECT", 3, 0, file=UDP, unread=0b10).unread
    for name in ("IORING_OP_SEND", "IORING_OP_SENDMSG", "IORING_OP_SEND_ZC", "IORING_OP_SENDMSG_ZC"):
        assert "address" in operation(name, 3, file=UDP).unread
        elsewhere = operation(name, 3, file=UDP_PEER)
        assert "address" in elsewhere.unread
        assert elsewhere.addresses == ()
        assert operation(name, 3, file=TCP).unread == frozenset()
        assert operation(name, 3, file=UNIX_PACKETS).unread == frozenset()


@pytest.mark.parametrize("opcode", [65, 100, 127])
def test_unknown_ring_operation(opcode: int) -> None:
    """An opcode without a name is shown as one, and never as a call."""
    found = operation(opcode, 3)
    assert found.name == f"IORING_OP_{opcode}"
    assert (found.args, found.unread) == ({}, frozenset())


# DNS messages


def test_payload() -> None:
    """Every message that was taken, in order, as it is."""
    messages = (blob(BlobKind.DATA, b"\x12\x34\1\0"), blob(BlobKind.DATA, b""), blob(BlobKind.DATA, b"\0"))
    found = event("sendmmsg", 3, 0x7F00, 3, file=UDP, ret=3, blobs=messages)
    assert found.payloads == (b"\x12\x34\1\0", b"", b"\0")
    assert found.path is None
    assert event("read", 3, ret=5).payloads == ()


# Structs, strings, directories; notes and programs


@pytest.mark.parametrize(
    "name, words, arg, members, text",
    [
        ("openat2", (0o101, 0o644, 8), 2, {"flags": 0o101, "mode": 0o644, "resolve": 8}, "flags=O_WRONLY|O_CREAT"),
        ("openat2", (0o101,), 2, {"flags": 0o101}, "flags=O_WRONLY|O_CREAT"),
        ("openat2", (0, 0, 8), 2, {"flags": 0, "resolve": 8}, "{flags=O_RDONLY, resolve=RESOLVE_BENEATH}"),
        ("clone3", (0x100, 1, 2, 3, 17, 0, 0, 0), 0, {"flags": 0x100, "exit_signal": 17}, "flags=CLONE_VM"),
    ],
)
def test_structs(name: str, words: tuple[int, ...], arg: int, members: dict[str, int], text: str) -> None:
    """The members that mean something by themselves, as far as the program passed them."""
    data = b"".join(value.to_bytes(8, "little") for value in words)
    found = event(name, 0x7F00, 0x7F00, 0x7F80, len(data), blobs=(blob(BlobKind.STRUCT, data, arg),), ret=-2)
    value = found.args[TABLE.by_name(name).args[arg].name]
    assert members.items() <= value.items()
    assert value.keys().isdisjoint({"pidfd", "mode"} - members.keys()), "a mode of 0 isn't shown, as strace does it"
    assert text in str(found)


def test_descriptors_that_the_kernel_wrote() -> None:
    """Both ends of a pipe or a pair of sockets."""
    both = (blob(BlobKind.STRUCT, b"\3\0\0\0\4\0\0\0"),)
    assert event("pipe2", 0x7F00, 0, blobs=both).args["fildes"] == (3, 4)
    assert str(event("pipe2", 0x7F00, 0, blobs=both)) == "pipe2([3, 4], 0) = 0"


def test_string_is_no_path() -> None:
    """Text that is no path to follow is an argument only."""
    found = event("symlink", 0x7F00, 0x7F80, blobs=(path(b"../target", 0), path(b"/link", 1)))
    assert (found.args["oldname"], found.path, found.paths) == ("../target", "/link", ("/link",))
    assert event("symlink", 0x7F00, 0x7F80, blobs=(path(b"/link", 1),), unread=1).unread == {"oldname"}
    cut = event("symlink", 0x7F00, 0x7F80, blobs=(path(b"x", 0, BlobFlag.CUT), path(b"/link", 1)))
    assert cut.unread == {"oldname"}


def test_directory_of_a_path() -> None:
    """It is shown with its number, and is not what the call is on."""
    found = event("openat", 3, 0x7F00, blobs=(path(b"x"), base(HOME)), ret=-2)
    assert (found.args["dfd"], found.files) == (3, {})
    assert str(found).startswith('openat(3</home/user>, "x", ')
    assert str(event("openat", AT_FDCWD, 0x7F00, blobs=(path(b"x"), base(HOME)), ret=-2)).startswith("openat(AT_FDCWD,")


@pytest.mark.parametrize("passed", [(), (path(b""),)])
def test_call_on_the_directory_itself(passed: tuple[Blob, ...]) -> None:
    """An empty path, or none, means what the descriptor stands for, of whatever kind."""
    found = event("utimensat", 3, 0x7F00 if passed else 0, 0, 0, blobs=(*passed, base(HOSTS)))
    assert found.files["dfd"].path == "/etc/hosts"
    assert "/etc/hosts" in found.paths
    assert found.unread == frozenset()
    pipe = event("newfstatat", 3, 0x7F00 if passed else 0, 0, 0x1000, blobs=(*passed, base(PIPE)))
    assert (pipe.files["dfd"].kind, pipe.unread) == ("pipe", frozenset())


@pytest.mark.parametrize("passed", [(), (path(b""),)])
@pytest.mark.parametrize("identity", [CUT, NEVER_SENT, 0])
def test_call_on_a_directory_that_is_unknown(passed: tuple[Blob, ...], identity: int) -> None:
    """Then its path is unknown, not absent."""
    found = event("utimensat", 3, 0x7F00 if passed else 0, 0, 0, blobs=(*passed, base(identity)))
    assert {"path", "abspath"} & found.unread


@pytest.mark.parametrize("kind", list(NoteKind))
def test_note(kind: NoteKind) -> None:
    """Every field of a note, and whether it is about the pytest process."""
    head = (1, 2, CALL, 5, 0, 0, 10, 11, 12, 13, 14, 15, 100, 101, 6, 7, 0)
    fields = decode.EVENT.unpack(decode.EVENT.pack(*head, 0, kind, 0, 0, 1, b"iou-wrk-1"))
    note = decode.decode_note(fields, own_pid=100)
    assert note == decode.Note(
        kind=kind,
        timestamp_ns=1,
        call=CALL,
        image=5,
        args=(10, 11, 12, 13, 14, 15),
        pid=100,
        tid=101,
        segment=6,
        tag=7,
        comm="iou-wrk-1",
        is_self=True,
        incomplete=True,
    )
    assert not decode.decode_note(fields, own_pid=101).is_self


def program(*blobs: Blob) -> tuple[str | None, tuple[str, ...]]:
    """Path and arguments of an exec."""
    return decode.program_of(blobs, KNOWN)


def exe(identity: int) -> Blob:
    """The program's file."""
    return word(BlobKind.EXE, identity, 0, NoteKind.EXEC)


@pytest.mark.parametrize(
    "blobs, expected",
    [
        ((), (None, ())),
        ((exe(GIT),), ("/usr/bin/git", ())),
        ((blob(BlobKind.ARGV, b"git\0status\0"),), (None, ("git", "status"))),
        ((blob(BlobKind.ARGV, b"git\0sta"), blob(BlobKind.ARGV, b"tus\0")), (None, ("git", "status"))),
        ((blob(BlobKind.ARGV, b"git\0\0"),), (None, ("git", ""))),
        ((blob(BlobKind.ARGV, b"\0"),), (None, ("",))),
        ((blob(BlobKind.ARGV, b"\xff\0"),), (None, ("\udcff",))),
        ((blob(BlobKind.ARGV, b"", flags=BlobFlag.CUT),), (None, ())),
    ],
)
def test_program(blobs: tuple[Blob, ...], expected: Any) -> None:
    """Path and arguments of an exec."""
    assert program(*blobs) == expected


@pytest.mark.parametrize("identity", [CUT, FAILED, NEVER_SENT, 0])
def test_program_of_whose_path_not_all_was_seen(identity: int) -> None:
    """A part of a path is no path."""
    assert program(exe(identity))[0] is None


def test_program_of_a_memfd() -> None:
    """It was executed from memory: it has no path."""
    assert program(exe(MEMFD))[0] is None


# Arguments of programs


def argv(data: bytes, *, arg: int = 1, cut: bool = False, event_kind: int = 1) -> Blob:
    """A piece of the arguments; execve's unless told."""
    return blob(BlobKind.ARGV, data, arg, BlobFlag.CUT if cut else 0, event_kind)


def executed(*blobs: Blob, ret: int = -2, **more: Any) -> SyscallEvent:
    """An execve."""
    return event("execve", 0x7F00, 0x7F80, blobs=(path(b"/bin/git", 0), *blobs), ret=ret, **more)


def test_arguments_of_an_execve_that_failed() -> None:
    """As the program passed them."""
    found = executed(argv(b"git\0status\0"))
    assert found.args["argv"] == ("git", "status")
    assert str(found).startswith('execve("/bin/git", ["git", "status"], NULL) = -1 ENOENT')
    assert found.unread == frozenset()


def test_arguments_in_pieces() -> None:
    """However long: a piece may end in the middle of a string."""
    first, rest = b"git\0" + b"x" * 4092, b"y" * 4096
    found = executed(argv(first), argv(rest), argv(b"z\0last\0"))
    assert found.args["argv"] == ("git", "x" * 4092 + "y" * 4096 + "z", "last")


def test_arguments_that_were_cut() -> None:
    """What is there is shown, and no assertion takes it for all."""
    found = executed(argv(b"git\0sta", cut=True), unread=0b10, ret=-2)
    assert found.args["argv"] == ("git", "sta")
    assert found.unread == {"argv"}


def test_arguments_sent_again_at_exit() -> None:
    """What was unreadable at entry comes again, whole."""
    found = executed(argv(b"git\0"), argv(b"sta", cut=True), argv(b"git\0sta"), argv(b"tus\0"))
    assert found.args["argv"] == ("git", "status")
    assert found.unread == frozenset()


def test_arguments_that_were_lost() -> None:
    """There was no room for a piece."""
    assert executed(argv(b"git\0"), lost=0b10).unread == {"argv"}


def test_arguments_that_the_kernel_could_not_read() -> None:
    """EFAULT: nothing is unknown."""
    assert executed(argv(b"", cut=True), unread=0b10, ret=-14).unread == frozenset()


def test_arguments_of_the_program() -> None:
    """Those that the kernel took over count, whatever was readable before."""
    note = (
        argv(b"git\0sta", arg=0, event_kind=NoteKind.EXEC),
        argv(b"tus\0", arg=0, event_kind=NoteKind.EXEC),
    )
    found = executed(argv(b"git\0", cut=True), *note, unread=0b10, ret=0)
    assert found.args["argv"] == ("git", "status")
    assert found.unread == frozenset()


def test_arguments_of_the_program_that_were_cut() -> None:
    """What the caller passed was whole, but it isn't known to be all that the program got."""
    found = executed(argv(b"git\0status\0"), argv(b"git\0sta", arg=0, cut=True, event_kind=NoteKind.EXEC), ret=0)
    assert found.unread == {"argv"}


def test_arguments_of_an_execveat() -> None:
    """They stand in its third argument."""
    found = event("execveat", 3, 1, 2, 0, 0, blobs=(path(b"git"), base(HOME), argv(b"git\0", arg=2)), ret=-2)
    assert (found.abspath, found.args["argv"]) == ("/home/user/git", ("git",))


# Ends of processes


@pytest.mark.parametrize(
    "status, code, signal, text",
    [
        (0, 0, None, "+++ exited with 0 +++"),
        (3 << 8, 3, None, "+++ exited with 3 +++"),
        (9, None, "SIGKILL", "+++ killed by SIGKILL +++"),
        (11 | 0x80, None, "SIGSEGV", "+++ killed by SIGSEGV (core dumped) +++"),
    ],
)
def test_end_of_a_process(status: int, code: int | None, signal: str | None, text: str) -> None:
    """How it ended, in strace's words, as an event of its last thread."""
    head = (1, 2, CALL, 5, 0, 0, status, status, 0, 0, 0, 9, 12, 13, 6, 7, 0)
    fields = decode.EVENT.unpack(decode.EVENT.pack(*head, 0, NoteKind.EXIT, 0, 0, 0, b"python"))
    found = decode.end_of_process(decode.decode_note(fields, own_pid=12), PROCESS, status)
    assert (found.name, found.pid, found.tid, found.comm) == ("sched_process_exit", 12, 13, "python")
    assert (found.process, found.timestamp_ns) == (PROCESS, 1)
    assert found.args == {"exit_code": code, "signal": signal, "core_dumped": "core" in text}
    assert (found.ret, found.errno, found.duration_ns, found.in_flight) == (None, None, None, False)
    assert str(found) == text


def test_process_that_a_call_began() -> None:
    """A fork has its child, an exec what became of its process."""
    raw = RawCall(decode.EVENT.unpack(bytes(decode.EVENT_BYTES)))
    assert decode.decode_call(raw, (), KNOWN, PROCESS, TABLE, started=PROCESS).started is PROCESS
    assert decode.decode_call(raw, (), KNOWN, PROCESS, TABLE).started is None


# The capture table


@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
def test_specs(arch: str) -> None:
    """Each call's row says what to capture of it; what has no name has none."""
    table = syscalls.table(arch)
    content = decode.specs(table, 512)
    assert len(content) == 512 * decode.SPEC.size

    def row(name: str) -> tuple[int, ...]:
        number = table.number(name)
        assert number is not None
        return decode.SPEC.unpack_from(content, number * decode.SPEC.size)

    captures, fd, at_exit, quiet = SpecFlag.CAPTURES, SpecFlag.RETURNS_FD, SpecFlag.CAPTURES_AT_EXIT, SpecFlag.QUIET
    waits = Wait.DATA << 4
    opens = captures | fd | SpecFlag.FILE_IS_RESULT
    assert row("openat") == (0, 2, 0, 0, 0, 0, opens, 0)
    assert row("openat2") == (0, 2, 5, 0, 0, 0, opens, 0)
    assert row("renameat2") == (0, 2, 0, 2, 0, 0, captures, 0)
    assert row("execve") == (1, 9, 0, 0, 0, 0, captures, 0)
    assert row("execveat") == (0, 2, 9, 0, 0, 0, captures, 0)
    assert row("connect") == (6, 3, 0, 0, 0, 0, captures, 0)
    assert row("sendto") == (6, 0, 0, 0, 3, 0, captures, Payload.BUFFER_TO)
    assert row("sendmsg") == (6, 4, 0, 0, 0, 0, captures, Payload.MESSAGE)
    assert row("sendmmsg") == (6, 8, 0, 0, 0, 0, captures, Payload.MESSAGES)
    assert row("recvfrom") == (6, 0, 0, 0, 16, 0, captures | at_exit, Payload.BUFFER_TO | waits)
    assert row("recvmsg") == (6, 17, 0, 0, 0, 0, captures | at_exit, Payload.MESSAGE | waits)
    assert row("accept4") == (6, 16, 0, 0, 0, 0, captures | at_exit | fd, waits)
    assert row("read") == (6, 0, 0, 0, 0, 0, captures, Payload.BUFFER | waits)
    assert row("futex") == (0, 0, 0, 0, 0, 0, quiet, Wait.LOCK << 4)
    assert row("ppoll") == (0, 0, 0, 0, 0, 0, 0, Wait.READY_PPOLL << 4)
    assert row("writev") == (6, 0, 0, 0, 0, 0, captures, Payload.VECTOR)
    assert row("sendfile") == (6, 7, 0, 0, 0, 0, captures, 0)
    assert row("socket") == (0, 0, 0, 0, 0, 0, fd | SpecFlag.FILE_IS_RESULT, 0)
    assert row("symlinkat") == (10, 0, 2, 0, 0, 0, captures, 0)
    assert row("clone3") == (5, 0, 0, 0, 0, 0, captures, 0)
    assert row("pipe2") == (18, 0, 0, 0, 0, 0, at_exit, 0)
    assert row("munmap") == (0, 0, 0, 0, 0, 0, quiet, 0)
    assert row("getpid") == (0, 0, 0, 0, 0, 0, quiet, 0)
    assert row("getuid") == (0,) * 8
    assert decode.SPEC.unpack_from(content, 511 * decode.SPEC.size) == (0,) * 8


def test_ring_operations_are_no_calls() -> None:
    """Their numbers lie beyond those that a call can have on the wire, so no row is theirs."""
    assert syscalls.RING > 0xFFFF
    assert event(0x400 + 18).name == "syscall_0x412"
    operations = {name for name in TABLE.names if name.startswith(("IORING_OP_", "IOCB_CMD_"))}
    assert {call.name for number, call in TABLE.items() if number >= syscalls.RING} == operations


def test_every_payload_is_of_a_call() -> None:
    """A misspelt one would never be taken; each of them has its data where its kind says."""
    for name, payload in decode.PAYLOAD_OF_CALL.items():
        if payload is Payload.IOCBS:
            assert name == "io_submit"
            continue
        kinds = [argument.kind.removesuffix("_out") for argument in TABLE.by_name(name).args]
        second = {Payload.VECTOR: "iovec", Payload.MESSAGE: "msghdr", Payload.MESSAGES: "mmsghdr"}
        assert kinds[:2] == ["fd", second.get(payload, "buffer")], name
        assert (kinds[4:5] == ["sockaddr"]) == (payload is Payload.BUFFER_TO), name


def test_every_wait_is_of_a_call() -> None:
    """A misspelt one would never be noticed."""
    table = syscalls.table("x86_64")
    assert decode.WAIT_OF_CALL.keys() <= set(table.names)


def test_last_row_is_nobodys() -> None:
    """The calls with a larger number share it, so it captures nothing."""
    number = TABLE.number("openat")
    assert number is not None
    for rows, captured in ((number + 1, False), (number + 2, True)):
        row = decode.SPEC.unpack_from(decode.specs(TABLE, rows), number * decode.SPEC.size)
        assert any(row) is captured


def test_everything_is_captured() -> None:
    """No call with a path, a descriptor, an address or arguments is overlooked; one descriptor is the first."""
    table = syscalls.table("x86_64")
    content = decode.specs(table, 512)
    for number, call in table.items():
        if number < 512:
            row = decode.SPEC.unpack_from(content, number * decode.SPEC.size)
            for index, argument in enumerate(call.args):
                assert (row[index] in (1, 2)) == (argument.kind == "path"), call.name
                assert (row[index] in (6, 7)) == (argument.kind == "fd"), call.name
                assert (row[index] in (3, 16)) == argument.kind.startswith("sockaddr"), call.name
                assert (row[index] == 5) == (argument.kind in ("open_how", "clone_args")), call.name
                assert (row[index] == 9) == (argument.kind == "argv"), call.name
                assert (row[index] == 10) == (argument.kind == "string"), call.name
                assert (row[index] == 18) == (argument.kind == "fds_out"), call.name
            assert list(row[:6]).count(6) <= 1, call.name


def test_quiet_calls_are_calls() -> None:
    """A misspelt one would be recorded on a muted thread."""
    assert {call.name for _, call in TABLE.items()} >= decode.QUIET_CALLS


# Any bytes


BLOBS = st.builds(
    Blob,
    call=st.just(CALL),
    kind=st.integers(0, 11),
    arg=st.integers(0, 7) | st.integers(0, 255),
    flags=st.integers(0, 31),
    event_kind=st.sampled_from([1, 1, 1, 4, 6]),
    data=st.binary(max_size=200) | st.sampled_from([number.to_bytes(8, "little") for number in NOTES]),
)


@given(content=st.binary(min_size=144, max_size=144), blobs=st.lists(BLOBS, max_size=6), in_flight=st.booleans())
def test_any_bytes_are_an_event(content: bytes, blobs: list[Blob], in_flight: bool) -> None:
    """Whatever stands in a ring, decoding it neither raises nor makes unprintable text."""
    raw = RawCall(decode.EVENT.unpack(content))
    for arch in ("x86_64", "aarch64"):
        found = decode.decode_call(raw, blobs, KNOWN, PROCESS, syscalls.table(arch), in_flight=in_flight)
        assert str(found).isprintable()
        assert found.name
        decode.program_of(blobs, KNOWN)


@given(
    number=st.sampled_from([number for number, _ in TABLE.items()]),
    args=st.lists(st.integers(0, MASK), min_size=6, max_size=6),
    file=st.sampled_from([0, NEVER_SENT, *NOTES]),
    ret=st.integers(-4100, 100),
    blobs=st.lists(BLOBS, max_size=6),
)
def test_any_call_is_an_event(number: int, args: list[int], file: int, ret: int, blobs: list[Blob]) -> None:
    """Of every known call and ring operation too."""
    make = event if number < syscalls.RING else operation
    found = make(number % syscalls.RING, *args, file=file, ret=ret, blobs=tuple(blobs))
    assert found.name == TABLE.by_number(number).name
    assert str(found).isprintable()


@given(flags=st.integers(0, 31), mode=st.integers(0, (1 << 32) - 1), rest=st.binary(min_size=0, max_size=300))
def test_any_bytes_are_a_file(flags: int, mode: int, rest: bytes) -> None:
    """Whatever is behind the note, an event that names the file can be shown."""
    known = Files()
    known.learn(1, flags, file_note(mode, rest + bytes(files.SOCKET_NOTE.size)))
    found = known.get(1)
    assert found is not None
    assert str(found)


@given(data=st.binary(max_size=200))
def test_any_bytes_are_an_address(data: bytes) -> None:
    """A program may pass anything as an address."""
    assert str(files.parse_address(data))


def test_table_of_this_machine() -> None:
    """Where the plugin can run there is a table."""
    if platform.machine() in ("x86_64", "aarch64"):
        assert syscalls.table().number("openat")
