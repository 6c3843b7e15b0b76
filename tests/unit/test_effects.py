"""From calls to what they do: the table, and what is read by it."""

from __future__ import annotations

import inspect
import os
import pickle
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_ebpf import effects, syscalls
from pytest_ebpf.decode import Note, NoteKind, end_of_process
from pytest_ebpf.effects import OPS, Kind, calls_of, file_events, network_events, process_events
from pytest_ebpf.events import Address, Effect, File, Process, Socket, SyscallEvent
from pytest_ebpf.match import Events, effect_query
from pytest_ebpf.names import parse_message, with_names
from pytest_ebpf.scope import CLONE_THREAD, Scope

from .builders import GIT, PYTHON, TABLE, Recording, event

FILE = File("file", path="/data/file")
OTHER = File("file", path="/data/other")
PIPE = File("pipe")
PEER = Address("AF_INET", "192.0.2.1", 80)
RESOLVER = Address("AF_INET", "127.0.0.53", 53)


def on_socket(peer: Address | None = PEER, kind: str = "SOCK_STREAM", family: str = "AF_INET") -> File:
    """A socket, connected or not."""
    return File("socket", inode=7, socket=Socket(family, kind, peer=peer))


_OF_BUILDER = inspect.signature(event).parameters


def call(name: str, ret: int | None = 0, **more: Any) -> SyscallEvent:
    """A call with all that an event can have."""
    if name.startswith("send") and name != "sendfile":
        more["args"] = {"flags": 0, **more.get("args", {})}
    known = {key: more.pop(key) for key in list(more) if key in _OF_BUILDER}
    made = event(name, ret, **known)
    paths = {"abspaths": more.get("abspaths", {})}
    return SyscallEvent(
        **{field: getattr(made, field) for field in SyscallEvent.__slots__ if field not in more and field not in paths},
        **{**paths, **more},
    )


def ops(of: SyscallEvent) -> list[str]:
    """All that a call did."""
    found: list[Effect] = [*file_events(of, TABLE), *network_events(of, TABLE), *process_events(of, TABLE)]
    return [each.op for each in found]


# The table


@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
def test_the_table_is_sound(arch: str) -> None:
    """Every line names calls, arguments and constants that there are, and ops that are documented."""
    table = syscalls.table(arch)
    known = {op for kind in OPS.values() for op in kind}
    everywhere = syscalls.table("x86_64").names | syscalls.table("aarch64").names
    for name, targets in effects._table().items():
        assert name in everywhere | {effects.END}
        if name not in table.names:
            continue
        arguments = {argument.name: argument for argument in table.by_name(name).args}
        for target in targets:
            assert target.op in known, name
            assert target.argument in {"", "result", *arguments}, name
            for condition in target.conditions:
                argument, _, constants = condition.replace("=", "&", 1).partition("&")
                for constant in () if constants == "UNNAMED" else constants.split("|"):
                    shape, number = syscalls.find_flags(constant, table.by_name(name), arch)
                    assert shape.name == argument, (name, constant)
                    assert number, (name, constant)


@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
def test_no_path_is_forgotten(arch: str) -> None:
    """Every call that follows a path does something to a file, by each of its paths."""
    table = syscalls.table(arch)
    for syscall in map(table.by_name, sorted(table.names)):
        named = {target.argument for target in effects.targets(syscall.name)}
        for argument in syscall.args:
            if argument.kind == "path":
                assert argument.name in named, f"{syscall.name}: {argument.name}"


@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
def test_no_network_call_is_forgotten(arch: str) -> None:
    """Every call of %network does something, except those that only make, ask or set up a socket."""
    table = syscalls.table(arch)
    quiet = {"getpeername", "getsockname", "setsockopt", "socket", "socketpair"}
    network = table.resolve("%network")
    assert {name for name in network if name not in calls_of("network", table)} == quiet | (
        {"IORING_OP_SOCKET"} & network
    )


def test_every_op_can_happen() -> None:
    """No op is documented that no call has, dns apart, which messages have."""
    reached = {target.op for targets in effects._table().values() for target in targets}
    reached |= {"send", "receive", "dns"}
    assert {op for kind in OPS.values() for op in kind} == reached


def test_a_ring_operation_has_the_effects_of_its_call() -> None:
    """As far as its arguments are recorded; what comes of it isn't known."""
    args = {"dfd": -100, "filename": "/x", "flags": os.O_CREAT | os.O_TRUNC}
    opened = call("IORING_OP_OPENAT", None, args=args, path="/x", abspaths={"filename": "/x"})
    found = [*file_events(opened, TABLE)]
    assert [(each.op, each.result) for each in found] == [(op, "unknown") for op in ("open", "create", "truncate")]
    for filters in ({"ok": True}, {"ok": False}, {"errno": "ENOENT"}, {"ret": 3}):
        asked = effect_query(TABLE, "files", path="/x", **filters)
        assert [asked.test(each) for each in found] == [None] * 3
    written = call("IORING_OP_WRITE", None, args={"fd": 3}, files={"fd": FILE})
    (write,) = file_events(written, TABLE)
    assert (write.path, write.nbytes, "nbytes" in write.unread) == ("/data/file", None, True)
    spliced = call("IORING_OP_SPLICE", None, args={"out_fd": 3}, files={"out_fd": FILE})
    assert {(each.op, each.path) for each in file_events(spliced, TABLE) if "op" not in each.unread} == {
        ("write", "/data/file")
    }


# Files


@pytest.mark.parametrize(
    "flags, created, expected",
    [
        (os.O_RDONLY, False, ["open"]),
        (os.O_CREAT, True, ["open", "create"]),
        (os.O_CREAT, False, ["open"]),
        (os.O_CREAT, None, ["open", "create"]),
        (os.O_CREAT | os.O_TRUNC, False, ["open", "truncate"]),
        (os.O_TMPFILE, False, ["open", "create"]),
        (os.O_DIRECTORY, False, ["open"]),
    ],
)
@pytest.mark.parametrize("name", ["open", "openat", "openat2"])
def test_an_open(name: str, flags: int, created: bool | None, expected: list[str]) -> None:
    """By its flags, and by what the kernel says of O_CREAT; if it doesn't say, it may have."""
    args = {"dfd": -100, "filename": "/data/file", "flags": flags, "how": {"flags": flags}}
    opened = call(name, 3, args=args, path="/data/file", result_file=FILE, created=created)
    assert ops(opened) == expected


@pytest.mark.parametrize(
    "flags, errno, result",
    [
        (os.O_CREAT | os.O_DIRECT, "EINVAL", "unknown"),
        (os.O_CREAT | os.O_DIRECTORY, "ENOTDIR", "unknown"),
        (os.O_CREAT | os.O_DIRECT, "EACCES", "failed"),
        (os.O_CREAT, "EINVAL", "failed"),
    ],
)
def test_an_open_that_fails_when_the_file_is_made(flags: int, errno: str, result: str) -> None:
    """It has made a name, or not; but it opened nothing."""
    opened = call("openat", -22, errno=errno, path="/x", args={"dfd": -100, "filename": "/x", "flags": flags})
    assert [(each.op, each.result) for each in file_events(opened, TABLE)] == [("open", "failed"), ("create", result)]


def test_a_memfd_is_always_new() -> None:
    """What the kernel says of an open is no answer for a call that opens nothing."""
    made = call("memfd_create", 3, args={"uname": "x"}, result_file=File("memfd", name="x"), created=False)
    assert [(each.op, each.kind) for each in file_events(made, TABLE)] == [("create", "memfd")]


def test_a_file_without_a_name() -> None:
    """It is not the directory that O_TMPFILE was given."""
    nameless = File("file", path="/data/#7", deleted=True)
    args = {"dfd": -100, "filename": "/data", "flags": os.O_TMPFILE}
    opened = call("openat", 3, args=args, path="/data", abspaths={"filename": "/data"}, result_file=nameless)
    assert [each.paths for each in file_events(opened, TABLE)] == [("/data/#7",)] * 2


def test_an_open_whose_flags_were_not_read() -> None:
    """It may have created and truncated: both are undecided."""
    opened = call("openat2", 3, args={"dfd": -100, "filename": "/x", "how": 0x7FFF}, path="/x", result_file=FILE)
    found = [*file_events(opened, TABLE)]
    assert [(each.op, "op" in each.unread) for each in found] == [("open", False), ("create", True), ("truncate", True)]
    asked = effect_query(TABLE, "files", op="truncate")
    assert [asked.test(each) for each in found] == [False, False, None]
    assert [effect_query(TABLE, "files").test(each) for each in found] == [True, None, None]


def test_a_file_for_swapping() -> None:
    """The kernel writes there from then on, nobody says how much."""
    swapping = call("swapon", path="/x", args={"specialfile": "/x"}, abspaths={"specialfile": "/x"})
    assert ops(swapping) == ["probe", "write"]
    ended = call("swapoff", path="/x", args={"specialfile": "/x"}, abspaths={"specialfile": "/x"})
    assert ops(ended) == ["probe"]


def test_the_path_is_the_real_one() -> None:
    """Else the absolute one, else as passed; and it is found by each of them."""
    args = {"dfd": -100, "filename": "link", "flags": 0}
    real = call("openat", 3, args=args, path="link", abspaths={"filename": "/data/link"}, result_file=FILE)
    absolute = call("openat", -2, errno="ENOENT", args=args, path="link", abspaths={"filename": "/data/link"})
    passed = call("openat", -2, errno="ENOENT", args=args, path="link", unread={"abspath"})
    for opened, path, spellings in (
        (real, "/data/file", ("link", "/data/link", "/data/file")),
        (absolute, "/data/link", ("link", "/data/link")),
        (passed, "link", ("link",)),
    ):
        (found,) = file_events(opened, TABLE)
        assert (found.path, found.paths) == (path, spellings)
        for spelling in spellings:
            assert effect_query(TABLE, "files", path=spelling).test(found) is True
    (unsure,) = file_events(passed, TABLE)
    assert effect_query(TABLE, "files", path="/data/link").test(unsure) is None


def test_a_rename() -> None:
    """Each of its two events has the paths of its own name alone."""
    args = {"oldname": "old", "newname": "new", "flags": 0}
    absolute = {"oldname": "/a/old", "newname": "/b/new"}
    removed, created = file_events(call("renameat2", args=args, abspaths=absolute, path="old"), TABLE)
    assert (removed.op, removed.paths) == ("remove", ("old", "/a/old"))
    assert (created.op, created.paths) == ("create", ("new", "/b/new"))
    exchanged = call("renameat2", args={**args, "flags": 2}, abspaths=absolute, path="old")
    assert [(each.op, each.path) for each in file_events(exchanged, TABLE)] == [
        ("remove", "/a/old"),
        ("create", "/b/new"),
        ("remove", "/b/new"),
        ("create", "/a/old"),
    ]


def test_what_is_no_file() -> None:
    """A bad descriptor, a bad pointer, a pipe: no event."""
    assert ops(call("write", -9, errno="EBADF", args={"fd": 99})) == []
    assert ops(call("openat", -14, errno="EFAULT", args={"filename": 0xDEAD, "flags": 0})) == []
    assert ops(call("write", 5, args={"fd": 3}, files={"fd": PIPE})) == []
    assert ops(call("newfstatat", args={"dfd": 3, "filename": ""}, path="")) == []


@pytest.mark.parametrize("path", [0, ""])
def test_a_call_on_the_descriptor_beside_an_empty_path(path: object) -> None:
    """It is that file, if it is one."""
    touched = call("utimensat", args={"dfd": 3, "filename": path}, files={"dfd": FILE})
    assert [(each.op, each.path) for each in file_events(touched, TABLE)] == [("metadata", "/data/file")]
    assert ops(call("newfstatat", args={"dfd": 3, "filename": path}, files={"dfd": PIPE})) == []


def test_a_descriptor_that_was_not_read() -> None:
    """It may be a file, and it may be a socket: both are in doubt."""
    written = call("write", 5, args={"fd": 3}, unread={"fd", "path", "address"})
    (file,) = file_events(written, TABLE)
    (network,) = network_events(written, TABLE)
    assert effect_query(TABLE, "files").test(file) is None
    assert effect_query(TABLE, "files", op="read").test(file) is False
    assert effect_query(TABLE, "network").test(network) is None
    assert effect_query(TABLE, "network", address="public").test(network) is None


@pytest.mark.parametrize(
    "cmd, found",
    [
        (0x5401, []),  # TCGETS: isatty, of each file that Python opens
        (0x541B, []),  # FIONREAD
        (0x80086601, []),  # FS_IOC_GETFLAGS
        (0xC020660B, []),  # FS_IOC_FIEMAP
        (0x80081272, []),  # BLKGETSIZE64
        (0x8004F50C, []),  # F2FS_IOC_GET_FEATURES, as SQLite asks: without a name, and given nothing
        (0x40049409, ["write"]),  # FICLONE
        (0x4030582A, ["write"]),  # FS_IOC_RESVSP64
        (0xC0189436, ["write"]),  # FIDEDUPERANGE, of files that aren't known
        (0xC028660F, ["write", "write"]),  # EXT4_IOC_MOVE_EXT, of one that isn't known
        (0x127F, ["write"]),  # BLKZEROOUT
        (0x401C5820, ["metadata"]),  # FS_IOC_FSSETXATTR
        (0x40087602, ["metadata"]),  # FS_IOC_SETVERSION
        (0x800C6613, ["metadata"]),  # FS_IOC_SET_ENCRYPTION_POLICY, which says it gives something back
        (0x5000940E, ["write?", "metadata?"]),  # BTRFS_IOC_SUBVOL_CREATE, without a name here
        (0x2285, ["write?", "metadata?"]),  # SG_IO
    ],
)
def test_ioctl(cmd: int, found: list[str]) -> None:
    """Those that change contents or attributes do; one without a name here may, if it is given something."""

    def told(file: File, errno: str | None = None) -> list[str]:
        made = call("ioctl", -25 if errno else 0, errno=errno, args={"fd": 3, "cmd": cmd}, files={"fd": file})
        return [each.op + "?" * ("op" in each.unread) for each in file_events(made, TABLE)]

    assert told(FILE) == told(replace(FILE, kind="block device")) == told(replace(FILE, kind="directory")) == found
    doubtful = any("?" in each for each in found)
    assert not doubtful or told(File("file", name="/")) == []  # a pidfd
    assert told(FILE, "ENOTTY") == told(replace(FILE, kind="character device")) == ([] if doubtful else found)


@pytest.mark.parametrize("cmd, op", [(5, None), (6, "create"), (7, "open")])
def test_a_program_or_map_with_a_name(cmd: int, op: str | None) -> None:
    """BPF_OBJ_PIN makes a file and BPF_OBJ_GET opens one; which, isn't recorded."""
    found = [*file_events(call("bpf", 3, args={"cmd": cmd, "uattr": 0x7FFF_0000, "size": 16}), TABLE)]
    assert [(each.op, each.path, each.unread) for each in found] == ([(op, None, frozenset({"path"}))] if op else [])


@pytest.mark.parametrize("name", ["sendfile", "copy_file_range", "splice"])
def test_a_copy(name: str) -> None:
    """It reads one and writes the other; an end that is a socket receives or sends; a pipe is neither."""
    source, target = ("in_fd", "out_fd") if name == "sendfile" else ("fd_in", "fd_out")
    files = call(name, 5, files={source: FILE, target: OTHER})
    assert [(each.op, each.path, each.nbytes) for each in file_events(files, TABLE)] == [
        ("read", "/data/file", 5),
        ("write", "/data/other", 5),
    ]
    assert ops(call(name, 5, files={source: FILE, target: on_socket()})) == ["read", "send"]
    assert ops(call(name, 5, files={source: on_socket(), target: PIPE})) == ["receive"]


# Network


def test_a_send_knows_its_peer() -> None:
    """By the socket, or by the address it was given."""
    for name, argument in (("write", "fd"), ("sendto", "fd"), ("sendfile", "out_fd")):
        (sent,) = network_events(call(name, 5, files={argument: on_socket()}), TABLE)
        assert (sent.op, sent.address, sent.port, sent.nbytes, sent.family) == ("send", PEER, 80, 5, "AF_INET")
    (sent,) = network_events(call("sendto", 5, address=RESOLVER, files={"fd": on_socket(None, "SOCK_DGRAM")}), TABLE)
    assert sent.address == RESOLVER


def test_fast_open_connects() -> None:
    """A send can open the connection that it sends on."""
    fast = call("sendto", 5, address=PEER, args={"flags": 0x20000000}, files={"fd": on_socket(None)})
    assert [(each.op, each.address) for each in network_events(fast, TABLE)] == [("send", PEER), ("connect", PEER)]


def test_several_messages() -> None:
    """Each has an event with its own address; of those to be sent the last one may have been refused."""
    three = {"addresses": (PEER, RESOLVER, PEER), "address": PEER, "files": {"fd": on_socket(None, "SOCK_DGRAM")}}
    sent = call("sendmmsg", 1, args={"vlen": 3}, **three)
    assert [(each.address, each.result) for each in network_events(sent, TABLE)] == [
        (PEER, "done"),
        (RESOLVER, "failed"),
    ]
    received = call("recvmmsg", 3, args={"vlen": 9}, **three)
    assert [(each.op, each.address) for each in network_events(received, TABLE)] == [
        ("receive", PEER),
        ("receive", RESOLVER),
        ("receive", PEER),
    ]


@pytest.mark.parametrize(
    "errno, ret, result",
    [(None, 0, "done"), ("EINPROGRESS", -115, "pending"), ("EINTR", -4, "pending"), ("ECONNREFUSED", -111, "failed")],
)
def test_what_came_of_a_connect(errno: str | None, ret: int, result: str) -> None:
    """One that is under way is none that failed."""
    connect = call("connect", ret, errno=errno, address=PEER, files={"fd": on_socket(None)})
    (found,) = network_events(connect, TABLE)
    assert (found.result, found.ok) == (result, result == "done")
    verdict = {"done": False, "pending": None, "failed": True}[result]
    assert effect_query(TABLE, "network", ok=False).test(found) is verdict


@pytest.mark.parametrize("family, verdict", [("AF_INET", None), ("AF_UNIX", False), ("AF_NETLINK", False)])
def test_a_datagram_from_nobody_known(family: str, verdict: bool | None) -> None:
    """It may have come from anywhere, in those families that reach beyond this host."""
    received = call("recvfrom", 5, files={"fd": on_socket(None, "SOCK_DGRAM", family)})
    (found,) = network_events(received, TABLE)
    assert effect_query(TABLE, "network", address="public").test(found) is verdict


def test_a_connect_that_lets_go() -> None:
    """AF_UNSPEC takes the peer away: no traffic."""
    assert ops(call("connect", address=Address("AF_UNSPEC"), files={"fd": on_socket()})) == []


def test_classes_of_addresses() -> None:
    """What is bound to, or listens on, every address is open to the public; connecting to it stays here."""
    anywhere = Address("AF_INET", "0.0.0.0", 80)
    listening = File("socket", socket=Socket("AF_INET", "SOCK_STREAM", local=anywhere))
    for name, more in (("bind", {"address": anywhere}), ("listen", {"files": {"fd": listening}})):
        (found,) = network_events(call(name, **more), TABLE)
        assert effect_query(TABLE, "network", address="public").test(found) is True
    (found,) = network_events(call("connect", address=anywhere), TABLE)
    assert effect_query(TABLE, "network", address="loopback").test(found) is True


# Processes


def test_forks_and_threads() -> None:
    """A thread is no process, by any of the calls that start one; unread flags leave it open."""
    child = Process(14, "child", parent=PYTHON)
    thread = 0x00010000
    assert ops(call("fork", 14)) == ops(call("vfork", 14)) == ["fork"]
    assert ops(call("clone", 14, args={"clone_flags": thread})) == []
    assert ops(call("clone3", 14, args={"uargs": {"flags": thread}})) == []
    (found,) = process_events(call("clone3", 14, args={"uargs": 0x7FFF}, started=child), TABLE)
    assert (found.child, found.unread) == (child, frozenset())
    (unsure,) = process_events(call("clone3", 14, args={"uargs": 0x7FFF}), TABLE)
    assert effect_query(TABLE, "processes", op="fork").test(unsure) is None


def test_a_program_is_found_by_any_of_its_names() -> None:
    """As passed, made absolute, as the kernel names it, and by its bare name."""
    executed = call(
        "execve",
        args={"filename": "./run", "argv": ("run", "-x")},
        path="./run",
        abspaths={"filename": "/data/run"},
        started=Process(12, "sh", "/usr/bin/dash", ("/bin/sh", "./run", "-x")),
    )
    (found,) = process_events(executed, TABLE)
    assert (found.exe, found.argv) == ("/usr/bin/dash", ("/bin/sh", "./run", "-x"))
    for name in ("./run", "/data/run", "run", "dash", "/usr/bin/*"):
        assert effect_query(TABLE, "processes", exe=name).test(found) is True
    assert effect_query(TABLE, "processes", exe="bash").test(found) is False
    assert [each.path for each in file_events(executed, TABLE)] == ["/data/run", "/usr/bin/dash"]


@pytest.mark.parametrize(
    "own, group, code, ending",
    [
        (3 << 8, 3 << 8, 3, None),
        (3 << 8, 0, 0, None),
        (0, 7 << 8, 7, None),
        (9, 9, None, "SIGKILL"),
        (0, 11 | 0x80, None, "SIGSEGV"),
    ],
)
def test_the_end_of_a_process(own: int, group: int, code: int | None, ending: str | None) -> None:
    """By what the parent is told of the group of threads, whatever its last thread ended with."""
    scope = Scope(lambda segment: None)
    note = Note(NoteKind.EXIT, 5, 1, 1, (own, group, 0, 0, 0, 1), 7, 7, 1, 0, "sh")
    scope.take(replace(note, kind=NoteKind.TASK, args=(7, 7, 7, 7, 1, 1)), "/bin/sh", ())
    scope.take(replace(note, kind=NoteKind.FORK, args=(8, 7, 8, 7, CLONE_THREAD, 2)), None, ())
    scope.take(replace(note, tid=7), None, ())
    assert scope.ends == []
    scope.take(replace(note, tid=8), None, ())
    (end,) = scope.ends
    (found,) = process_events(end_of_process(end.note, end.process, end.status), TABLE)
    assert (found.op, found.pid, found.exe, found.exit_code, found.signal) == ("exit", 7, "/bin/sh", code, ending)
    assert effect_query(TABLE, "processes", ok=True, exit_code=code, signal=ending).test(found) is True


@pytest.mark.parametrize("value", ["SIGKILL", 9])
def test_a_signal(value: object) -> None:
    """By name or number; signal 0 is none."""
    (sent,) = process_events(call("tgkill", args={"tgid": 7, "pid": 8, "sig": 9}), TABLE)
    assert (sent.signal, sent.target) == ("SIGKILL", 7)
    assert effect_query(TABLE, "processes", signal=value).test(sent) is True
    assert ops(call("kill", args={"pid": 7, "sig": 0})) == []


# Queries

BAD = [
    ("files", {"op": "unlink"}, ValueError, "did you mean 'remove'"),
    ("files", {"op": []}, ValueError, "nothing can match"),
    ("files", {"op": 3}, TypeError, "a collection of str"),
    ("files", {"pth": "x"}, TypeError, r"did you mean 'path'\? \(filters of files\(\): comm, errno"),
    ("files", {"address": "public"}, TypeError, "unknown filter 'address'"),
    ("files", {"nbytes": -1}, ValueError, "must not be negative"),
    ("files", {"nbytes": range(0)}, ValueError, "is empty"),
    ("files", {"flags": "O_CRAET"}, ValueError, "O_CREAT"),
    ("files", {"path": b"x"}, TypeError, "bytes never match"),
    ("files", {"ok": True, "errno": "ENOENT"}, ValueError, "contradict"),
    ("network", {"op": "socket"}, ValueError, "network.. have no 'socket'"),
    ("network", {"address": "pubilc"}, ValueError, "did you mean 'public'"),
    ("network", {"family": "AF_INTE"}, ValueError, "AF_INET"),
    ("network", {"family": "AF_INET|AF_INET6"}, ValueError, "no value has all of these"),
    ("network", {"port": 70000}, ValueError, "0 to 65535"),
    ("processes", {"signal": "SIGKIL"}, ValueError, "SIGKILL"),
    ("processes", {"signal": "SIGTERM|SIGKILL"}, ValueError, "no value has all of these"),
    ("processes", {"signal": 0}, ValueError, "1 to 64"),
    ("processes", {"exit_code": 256}, ValueError, "0 to 255"),
    ("processes", {"argv": "git"}, TypeError, "a list of str"),
]


@pytest.mark.parametrize("kind, filters, error, text", BAD)
def test_what_nothing_can_match(kind: Kind, filters: dict[str, Any], error: type[Exception], text: str) -> None:
    """An error, whose traceback ends with the user's line."""
    with pytest.raises(error, match=text) as caught:
        effect_query(TABLE, kind, **filters)
    assert [entry.name for entry in caught.traceback][-1] == "effect_query"


CALLS = [
    call(
        "openat",
        3,
        args={"filename": "/data/file", "flags": os.O_CREAT},
        path="/data/file",
        result_file=FILE,
        created=True,
    ),
    call("write", 5, args={"fd": 3}, files={"fd": FILE}, process=GIT, after_ns=2_000_000),
    call("write", 7, args={"fd": 3}, files={"fd": on_socket()}, after_ns=3_000_000),
    call("kill", args={"pid": 7, "sig": 15}, after_ns=4_000_000),
]


def test_queries_of_a_recording() -> None:
    """Each kind has its own events, with the filters that all have in common."""
    recording = Recording(*CALLS)
    assert [each.op for each in recording.files()] == ["open", "create", "write"]
    assert [each.op for each in recording.network()] == ["send"]
    assert [each.op for each in recording.processes(signal="SIGTERM")] == ["signal"]
    assert recording.files(op={"create", "write"}, kind="file").paths == {"/data/file"}
    assert [each.comm for each in recording.files(exe="git", process="children")] == ["git"]
    assert recording.files(nbytes=lambda count: count > 3).nbytes == 5
    assert recording.files(where=lambda each: each.nbytes == 5 and each.call.args["fd"] == 3) == recording.files(
        op="write"
    )
    assert recording.network(address=PEER).addresses == {"192.0.2.1:80"}
    assert recording.files(flags="O_CREAT").where(op="open").first == recording.files().first
    assert [*recording.files(path="/data/*")[1:]] == [*recording.files()][1:]


def test_how_they_are_written() -> None:
    """By what was done, and the call that did it."""
    found = Recording(*CALLS).files(op=["create", "write"])
    assert [line.split(None, 1)[1] for line in found.format().splitlines()] == [
        'python[12]  create: openat("/data/file") = 3',
        "git[14]     write: write() = 5",
    ]
    assert [str(each) for each in found] == ['openat("/data/file") = 3', "write() = 5"]


def test_the_function_asks_what_is_not_known() -> None:
    """Then it hasn't decided; if it doesn't ask, it has."""
    written = call("write", None, in_flight=True, args={"fd": 3}, files={"fd": FILE})
    (found,) = file_events(written, TABLE)
    for function, verdict in (
        (lambda each: each.nbytes == 5, None),
        (lambda each: each.ok, None),
        (lambda each: each.call.ret == 5, None),
        (lambda each: each.path == "/data/file", True),
        (lambda each: each.op == "read", False),
    ):
        assert effect_query(TABLE, "files", where=function).test(found) is verdict


def test_events_travel() -> None:
    """Under xdist they are pickled."""
    for each in (*Recording(*CALLS).files(), *Recording(*CALLS).network(), *Recording(*CALLS).processes()):
        assert pickle.loads(pickle.dumps(each)) == each


NAMES = sorted(TABLE.names | {effects.END, "syscall_0x1f4", "foreign_0x4"})
ANY_FILE = st.sampled_from(
    [FILE, PIPE, on_socket(), on_socket(None, "SOCK_DGRAM"), File("file", path_cut=True), File("memfd")]
)
ANY_VALUE = st.one_of(
    st.none(), st.integers(-(2**63), 2**64), st.text(max_size=5), st.just({"flags": 1}), st.just(PEER), st.just(("x",))
)


@given(st.sampled_from(NAMES), st.data())
def test_any_call_has_effects_or_none(name: str, data: st.DataObject) -> None:
    """Whatever its arguments are, and whatever is missing of it."""
    syscall = TABLE.by_name(name) if name in TABLE.names else None
    arguments = [argument.name for argument in syscall.args] if syscall else []
    given_: Iterable[str] = data.draw(st.lists(st.sampled_from(arguments), unique=True)) if arguments else ()
    made = call(
        name,
        data.draw(st.sampled_from([None, 0, 5, -2, -115])),
        args={each: data.draw(ANY_VALUE) for each in given_},
        files={each: data.draw(ANY_FILE) for each in given_},
        result_file=data.draw(st.none() | ANY_FILE),
        unread=data.draw(st.sets(st.sampled_from([*arguments, "path", "address", "abspath", "realpath"]))),
        address=data.draw(st.none() | st.just(PEER)),
        addresses=data.draw(st.sampled_from([(), (PEER, RESOLVER)])),
        payloads=data.draw(st.lists(st.binary(max_size=30)).map(tuple)),
        created=data.draw(st.none() | st.booleans()),
    )
    for kind, found in (
        ("files", [*file_events(made, TABLE)]),
        ("network", [*with_names(network_events(made, TABLE))]),
        ("processes", [*process_events(made, TABLE)]),
    ):
        assert all(each.op in OPS[kind] for each in found)  # type: ignore[index]
        assert bool(found) <= (name in calls_of(kind, TABLE) or name == effects.END)
        assert Events(found, kind=kind).format() or not found  # type: ignore[arg-type]
        for each in found:
            effect_query(TABLE, kind, ok=True, where=lambda each: each.ret == 0).test(each)  # type: ignore[arg-type]


@given(st.binary(max_size=600))
def test_any_bytes_are_a_message_or_none(data: bytes) -> None:
    """Nothing that comes from the network is an error."""
    message = parse_message(data)
    assert message.host is None or message.host.isprintable()
