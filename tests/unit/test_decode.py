"""From wire bytes to events."""

from __future__ import annotations

import os
import platform
import socket
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_ebpf import decode, syscalls
from pytest_ebpf.decode import Blob, BlobFlag, BlobKind, EventFlag, NoteKind, RawCall
from pytest_ebpf.events import Address, Process, SyscallEvent

TABLE = syscalls.table("x86_64")
PROCESS = Process(pid=12, comm="python", exe="/usr/bin/python3", is_self=True)
AT_FDCWD = 0xFFFF_FF9C  # as a 32-bit register leaves it
CALL = 7 << 40 | 1
MASK = (1 << 64) - 1


def event(
    name: str | int,
    *args: int,
    blobs: tuple[Blob, ...] = (),
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
    head = (*times, CALL, 1, ret, *registers, 12, 13, 1, 0, 0)
    content = decode.EVENT.pack(*head, number, 1, flags, unread, lost, comm)
    raw = RawCall(decode.EVENT.unpack(content))
    return decode.decode_call(raw, blobs, PROCESS, TABLE, in_flight=in_flight)


def blob(kind: BlobKind, data: bytes, arg: int = 0, flags: int = 0, event_kind: int = 1) -> Blob:
    """Bytes of the call, as they stand in their ring."""
    packed = decode.BLOB_HEADER.pack(CALL, len(data), kind, arg, flags, event_kind) + data
    return decode.parse_blob(memoryview(packed + bytes(-len(packed) % 8)))


def path(text: bytes, arg: int = 1, flags: int = 0) -> Blob:
    """A string argument; openat's unless told."""
    return blob(BlobKind.PATH, text, arg, flags)


def base(components: bytes, arg: int = 1, flags: int = 0) -> Blob:
    """The directory of a relative path, leaf first."""
    return blob(BlobKind.BASE, components, arg, flags)


HOME = base(b"user\0home\0")


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
        text="read(3, 0x7f00, 4096) = 17",
    )
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
    assert found.text.endswith("<unfinished ...>")


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
    found = event("openat", AT_FDCWD, 0x7F00, blobs=(path(b"/etc/hosts"), blob(BlobKind.REAL, b"hosts\0etc\0")), ret=3)
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
    found = event("openat", AT_FDCWD, 0x7F00, blobs=(path(passed), HOME), ret=-2)
    assert found.path == os.fsdecode(passed)
    assert found.abspath == expected
    assert set(found.paths) == {os.fsdecode(passed), expected}


def test_root_directory_has_no_components() -> None:
    """A path relative to /."""
    assert event("openat", 3, 0x7F00, blobs=(path(b"etc"), base(b"")), ret=-2).abspath == "/etc"


def test_real_path_may_differ() -> None:
    """A symlink: each spelling can be asked for."""
    found = event("openat", 3, 0x7F00, blobs=(path(b"link"), HOME, blob(BlobKind.REAL, b"file\0srv\0")), ret=3)
    assert found.paths == ("link", "/home/user/link", "/srv/file")
    assert found.realpath == "/srv/file"


def test_opened_file_that_was_not_seen() -> None:
    """Another thread closed it at once: its real name is unknown, not absent."""
    assert event("openat", blobs=(path(b"/x"),), ret=3).unread == {"realpath"}
    assert event("openat", blobs=(path(b"/x"),), ret=-2).unread == frozenset()
    assert event("openat", blobs=(path(b"/x"),), in_flight=True).unread == {"realpath"}


@pytest.mark.parametrize("flag", [BlobFlag.CUT, BlobFlag.FAILED])
def test_real_path_that_is_incomplete(flag: BlobFlag) -> None:
    """A part of a path is no path."""
    found = event("openat", blobs=(path(b"/x"), blob(BlobKind.REAL, b"file\0", flags=flag)), ret=3)
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
        blobs=(path(b"a", 1), base(b"one\0", 1), path(b"b", 3), base(b"two\0", 3)),
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


@pytest.mark.parametrize("flag", [BlobFlag.CUT, BlobFlag.FAILED])
def test_incomplete_directory(flag: BlobFlag) -> None:
    """A part of a directory makes no path absolute."""
    found = event("openat", 3, 0x7F00, blobs=(path(b"x"), base(b"user\0", flags=flag)), ret=-2)
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


def test_empty_path_means_the_descriptor() -> None:
    """AT_EMPTY_PATH: the path is that of the descriptor."""
    found = event("newfstatat", 3, 0x7F00, 0x7F80, 0x1000, blobs=(path(b""), HOME))
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
        (INET[:7], Address("AF_INET"), "AF_INET"),
        (INET6, Address("AF_INET6", host="2001:db8::7", port=443), "[2001:db8::7]:443"),
        (INET6[:24], Address("AF_INET6", host="2001:db8::7", port=443), "[2001:db8::7]:443"),
        (INET6[:23], Address("AF_INET6"), "AF_INET6"),
        (sockaddr(1, b"/run/x.sock\0junk"), Address("AF_UNIX", path="/run/x.sock"), "unix:/run/x.sock"),
        (sockaddr(1, b"/" + b"x" * 107), Address("AF_UNIX", path="/" + "x" * 107), "unix:/" + "x" * 107),
        (sockaddr(1, b"\xff\0"), Address("AF_UNIX", path="\udcff"), "unix:\udcff"),
        (sockaddr(1, b"\0name"), Address("AF_UNIX", path="@name"), "unix:@name"),
        (sockaddr(1, b"\0a\0b"), Address("AF_UNIX", path="@a\0b"), "unix:@a\0b"),
        (sockaddr(0), Address("AF_UNSPEC"), "AF_UNSPEC"),
        (sockaddr(16, bytes(10)), Address("AF_NETLINK"), "AF_NETLINK"),
        (sockaddr(250, bytes(10)), Address("AF_250"), "AF_250"),
        (b"", Address("AF_UNSPEC"), "AF_UNSPEC"),
        (b"\x02", Address("AF_UNSPEC"), "AF_UNSPEC"),
    ],
)
def test_address(data: bytes, expected: Address, text: str) -> None:
    """Of every family, and one too short for its family."""
    assert decode.parse_address(data) == expected
    assert str(expected) == text


def test_address_of_a_call() -> None:
    """It is the event's and the argument's."""
    found = event("connect", 3, 0x7F00, 16, blobs=(blob(BlobKind.ADDRESS, INET, 1),), ret=-111)
    assert found.address == Address("AF_INET", host="192.0.2.7", port=8080)
    assert found.args["uservaddr"] == found.address
    assert "192.0.2.7" in str(found)


def test_address_of_a_message() -> None:
    """It is behind a pointer in the argument, which stays a pointer."""
    found = event("sendmsg", 3, 0x7F00, 0, blobs=(blob(BlobKind.ADDRESS, INET, 1),), ret=5)
    assert found.address == Address("AF_INET", host="192.0.2.7", port=8080)
    assert found.args["msg"] == 0x7F00


def test_unread_address() -> None:
    """It is unknown, not absent; an EFAULT says that there was none."""
    assert "address" in event("connect", 3, 0x7F00, 16, unread=0b10).unread
    assert "address" in event("sendmsg", 3, 0x7F00, 0, unread=0b10).unread
    assert event("connect", 3, 0x1, 16, unread=0b10, ret=-14).unread == frozenset()


def test_send_without_an_address() -> None:
    """On a connected socket there is none: nothing is unknown."""
    assert event("sendto", 3, 0x7F00, 5, 0, 0, 0, ret=5).unread == frozenset()


def test_addresses_that_are_not_captured() -> None:
    """Those of sendmmsg are said to be unknown."""
    assert "address" in event("sendmmsg", 3, 0x7F00, 2, ret=2).unread


# Words, notes and programs


def test_word() -> None:
    """The flags of an open_how."""
    found = event(
        "openat2", AT_FDCWD, 0x7F00, 0x7F80, 24, blobs=(blob(BlobKind.WORD, b"\x41\0\0\0\0\0\0\0", 2),), ret=-2
    )
    assert "O_WRONLY|O_CREAT" in str(found)


@pytest.mark.parametrize("kind", list(NoteKind))
def test_note(kind: NoteKind) -> None:
    """Every field of a note, and whether it is about the pytest process."""
    head = (1, 2, CALL, 5, 0, 10, 11, 12, 13, 14, 15, 100, 101, 6, 7, 0)
    fields = decode.EVENT.unpack(decode.EVENT.pack(*head, 0, kind, EventFlag.USER_WORKER, 0, 0, b"iou-wrk-1"))
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
        is_user_worker=True,
    )
    assert not decode.decode_note(fields, own_pid=101).is_self


@pytest.mark.parametrize(
    "blobs, expected",
    [
        ((), (None, ())),
        ((blob(BlobKind.EXE, b"git\0bin\0usr\0"),), ("/usr/bin/git", ())),
        ((blob(BlobKind.ARGV, b"git\0status\0"),), (None, ("git", "status"))),
        ((blob(BlobKind.ARGV, b"git\0\0"),), (None, ("git", ""))),
        ((blob(BlobKind.ARGV, b"\xff\0"),), (None, ("\udcff",))),
        ((blob(BlobKind.ARGV, b"", flags=BlobFlag.FAILED),), (None, ())),
    ],
)
def test_program(blobs: tuple[Blob, ...], expected: Any) -> None:
    """Path and arguments of an exec."""
    assert decode.program_of(blobs) == expected


def test_program_of_whose_path_not_all_was_seen() -> None:
    """A part of a path is no path."""
    for flag in (BlobFlag.CUT, BlobFlag.FAILED):
        assert decode.program_of([blob(BlobKind.EXE, b"git\0", flags=flag)])[0] is None


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

    captures = decode.SpecFlag.CAPTURES
    assert row("openat") == (0, 2, 0, 0, 0, 0, captures | decode.SpecFlag.RETURNS_FD)
    assert row("openat2") == (0, 2, 5, 0, 0, 0, captures | decode.SpecFlag.RETURNS_FD)
    assert row("renameat2") == (0, 2, 0, 2, 0, 0, captures)
    assert row("execve") == (1, 0, 0, 0, 0, 0, captures)
    assert row("connect") == (0, 3, 0, 0, 0, 0, captures)
    assert row("sendto") == (0, 0, 0, 0, 3, 0, captures)
    assert row("sendmsg") == (0, 4, 0, 0, 0, 0, captures)
    assert row("read") == (0,) * 7
    assert row("munmap") == (0,) * 6 + (decode.SpecFlag.QUIET,)
    assert decode.SPEC.unpack_from(content, 511 * decode.SPEC.size) == (0,) * 7


def test_last_row_is_nobodys() -> None:
    """The calls with a larger number share it, so it captures nothing."""
    number = TABLE.number("openat")
    assert number is not None
    for rows, captured in ((number + 1, False), (number + 2, True)):
        row = decode.SPEC.unpack_from(decode.specs(TABLE, rows), number * decode.SPEC.size)
        assert any(row) is captured


def test_every_path_is_captured() -> None:
    """No call with a path is overlooked."""
    table = syscalls.table("x86_64")
    content = decode.specs(table, 512)
    for number, call in table.items():
        row = decode.SPEC.unpack_from(content, number * decode.SPEC.size)
        for index, argument in enumerate(call.args):
            assert (row[index] in (1, 2)) == (argument.kind == "path"), call.name


def test_quiet_calls_are_calls() -> None:
    """A misspelt one would be recorded on a muted thread."""
    assert {call.name for _, call in TABLE.items()} >= decode.QUIET_CALLS


# Any bytes


BLOBS = st.builds(
    Blob,
    call=st.just(CALL),
    kind=st.integers(0, 9),
    arg=st.integers(0, 255),
    flags=st.integers(0, 15),
    event_kind=st.sampled_from([1, 1, 1, 4]),
    data=st.binary(max_size=200),
)


@settings(deadline=None, database=None)
@given(content=st.binary(min_size=136, max_size=136), blobs=st.lists(BLOBS, max_size=6), in_flight=st.booleans())
def test_any_bytes_are_an_event(content: bytes, blobs: list[Blob], in_flight: bool) -> None:
    """Whatever stands in a ring, decoding it neither raises nor makes unprintable text."""
    raw = RawCall(decode.EVENT.unpack(content))
    for arch in ("x86_64", "aarch64"):
        found = decode.decode_call(raw, blobs, PROCESS, syscalls.table(arch), in_flight=in_flight)
        assert str(found).isprintable()
        assert found.name
        decode.program_of(blobs)


@settings(deadline=None, database=None)
@given(
    number=st.sampled_from([number for number, _ in TABLE.items()]),
    args=st.lists(st.integers(0, MASK), min_size=6, max_size=6),
    ret=st.integers(-4100, 100),
    blobs=st.lists(BLOBS, max_size=6),
)
def test_any_call_is_an_event(number: int, args: list[int], ret: int, blobs: list[Blob]) -> None:
    """Of every known call too."""
    found = event(number, *args, ret=ret, blobs=tuple(blobs))
    assert found.name == TABLE.by_number(number).name
    assert str(found).isprintable()


@settings(deadline=None, database=None)
@given(data=st.binary(max_size=200))
def test_any_bytes_are_an_address(data: bytes) -> None:
    """A program may pass anything as an address."""
    assert str(decode.parse_address(data))


def test_table_of_this_machine() -> None:
    """Where the plugin can run there is a table."""
    if platform.machine() in ("x86_64", "aarch64"):
        assert syscalls.table().number("openat")
