"""The fake engine behaves like the programs."""

from __future__ import annotations

import doctest
import mmap
import os
import re
import threading
from pathlib import Path

import pytest

from pytest_ebpf import EbpfError, EngineUnavailable, InconclusiveRecording, UnknownSyscall, session, store, testing
from pytest_ebpf.decode import EventFlag, RawCall
from pytest_ebpf.engines.shapes import KernelRing
from pytest_ebpf.events import Address, Descriptor, File, Socket
from pytest_ebpf.recording import Recording
from pytest_ebpf.scope import Kind, Owner
from pytest_ebpf.session import Session
from pytest_ebpf.testing import FakeEngine


def names(recording: Recording) -> list[str]:
    """The recorded calls."""
    return [event.name for event in recording.events]


def test_example_runs() -> None:
    """The docstring shows what works."""
    assert doctest.testmod(testing).failed == 0
    assert doctest.testmod(testing).attempted > 0


def test_only_open_windows_record() -> None:
    """As with the programs, a call before or after is not recorded."""
    engine = FakeEngine()
    running = Session(engine)
    running.start()
    test = Owner(Kind.TEST, "test_it")
    running.begin_test(test, test.name)
    recording = Recording(running, test)
    engine.call("getpid")
    recording.open()
    engine.call("getppid")
    recording.close()
    engine.call("getuid")
    assert names(recording) == ["getppid"]
    assert recording.complete
    running.stop()
    assert not engine.running


def test_relative_address() -> None:
    """The path of a unix socket starts from the same directory as any other."""
    engine = FakeEngine()
    with engine.recording() as recording:
        engine.call("connect", 3, address=Address("AF_UNIX", path="sock"), base="/run")
        recording.assert_syscall("connect", address="unix:/run/sock", count=1)


def test_start_can_fail() -> None:
    """With whatever problem a test wants, and the session then isn't running."""
    engine = FakeEngine(EngineUnavailable("start engine fake", "no reason"))
    running = Session(engine)
    with pytest.raises(EngineUnavailable, match="no reason"):
        running.start()
    assert (engine.running, engine.starts, running.started) == (False, 1, None)


def test_starts_again() -> None:
    """After a stop it begins from nothing."""
    engine = FakeEngine()
    for _ in range(3):
        with engine.recording() as recording:
            engine.fork(500_001)
            assert names(recording) == ["clone"]
    assert engine.starts == 3


def test_no_descriptor_stays_open() -> None:
    """A test suite may make thousands of them."""
    before = set(Path("/proc/self/fd").iterdir())
    with FakeEngine().recording():
        pass
    assert set(Path("/proc/self/fd").iterdir()) == before


def test_paths() -> None:
    """Relative ones start from the base; an opened file is the one that was passed unless told."""
    engine = FakeEngine()
    with engine.recording() as recording:
        engine.call("openat", path="a/../b", base="/srv", ret=3)
        engine.call("openat", path="/link", result="/file", ret=3)
        engine.call("openat", path="/absent", ret=-2)
        engine.call("openat", path="/closed", result="", ret=3)
        engine.call("renameat2", path=["old", b"\xff"], base="/srv")
        engine.call("chdir", path="x")
        first, second, third, fourth, fifth, sixth = recording.events
    assert first.paths == ("a/../b", "/srv/b")
    assert second.paths == ("/link", "/file")
    assert (third.paths, third.realpath, third.unread) == (("/absent",), None, frozenset())
    assert fourth.unread == {"realpath"}
    assert fifth.paths == ("old", "/srv/old", "\udcff", "/srv/\udcff")
    assert sixth.abspath == str(Path.cwd() / "x")


@pytest.mark.parametrize(
    "address",
    [
        Address("AF_INET", host="192.0.2.7", port=8080),
        Address("AF_INET6", host="2001:db8::7", port=443),
        Address("AF_INET6", host="fe80::1%2", port=443),
        Address("AF_UNIX"),
        Address("AF_UNIX", path="/run/x.sock"),
        Address("AF_UNIX", path="@abstract"),
        Address("AF_UNSPEC"),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["connect", "bind", "sendto", "sendmsg", "sendmmsg", "accept", "recvfrom", "recvmsg"])
def test_addresses(name: str, address: Address) -> None:
    """What goes in comes out."""
    engine = FakeEngine()
    with engine.recording() as recording:
        engine.call(name, 3, address=address)
        (event,) = recording.events
        assert event.address == address


def test_address_of_raw_bytes() -> None:
    """For those that no Address can be."""
    engine = FakeEngine()
    with engine.recording() as recording:
        engine.call("connect", 3, address=b"\x02")
        (event,) = recording.events
        assert event.address == Address("AF_UNSPEC")


def test_several_addresses() -> None:
    """One for each message."""
    engine = FakeEngine()
    addresses = [Address("AF_INET", "192.0.2.7", 53), Address("AF_INET6", "2001:db8::7", 53)]
    with engine.recording() as recording:
        engine.call("sendmmsg", 3, 0, 2, address=addresses, ret=2)
        (event,) = recording.events
        assert event.addresses == tuple(addresses)


FILES = [
    File("file", path="/etc/hosts", inode=7, device=0x800001),
    File("directory", path="/", inode=2),
    File("file", path="/tmp/gone", deleted=True, inode=3),
    File("file", path_cut=True, inode=4),
    File("fifo", path="/tmp/fifo", inode=5),
    File("character device", path="/dev/null", inode=6),
    File("pipe", inode=8),
    File("memfd", name="scratch", inode=9),
    File("anonymous", name="[eventpoll]", inode=10),
    File("socket", inode=11, socket=Socket("AF_NETLINK", "SOCK_RAW")),
    File(
        "socket",
        inode=12,
        socket=Socket(
            "AF_INET", "SOCK_DGRAM", 17, Address("AF_INET", "127.0.0.1", 4000), Address("AF_INET", "192.0.2.7", 53)
        ),
    ),
    File(
        "socket",
        inode=13,
        socket=Socket("AF_INET6", "SOCK_STREAM", 6, Address("AF_INET6", "::1", 80)),
    ),
    File(
        "socket",
        inode=14,
        socket=Socket("AF_UNIX", "SOCK_STREAM", 0, Address("AF_UNIX", path="@a"), Address("AF_UNIX", path="/x"), 15),
    ),
]


@pytest.mark.parametrize("file", FILES, ids=str)
def test_files(file: File) -> None:
    """What a descriptor stands for comes out as it was put in: of an argument, the second one, and a result."""
    engine = FakeEngine()
    with engine.recording() as recording:
        engine.call("dup3", 3, 4, file=[file, "/other"], result=file, ret=4)
        engine.call("sendfile", 4, 3, file=["/other", file], ret=5)
        engine.ring("IORING_OP_READ", 3, file=file)
        dup, sendfile, read = recording.events
    assert dup.files == {"oldfd": file, "newfd": File("file", path="/other", inode=1)}
    assert isinstance(dup.args["oldfd"], Descriptor)
    assert dup.result_file == file
    assert sendfile.files["in_fd"] == file
    assert read.files == {"fd": file}


def test_files_by_path_and_by_address() -> None:
    """Shorter ways to say a regular file and a connected socket."""
    engine = FakeEngine()
    peer = Address("AF_INET", "192.0.2.7", 80)
    with engine.recording() as recording:
        engine.call("write", 1, file="/dev/../tmp/x", ret=5)
        engine.call("write", 3, file=peer, ret=5)
        engine.call("write", 4, file=Address("AF_UNIX", path="/run/x.sock"), ret=5)
        file, inet, unix = recording.events
        recording.assert_syscall("write", address="192.0.2.7", count=1)
    assert (file.realpath, file.files["fd"].kind) == ("/dev/../tmp/x", "file")
    assert (inet.address, inet.files["fd"].kind) == (peer, "socket")
    assert unix.address == Address("AF_UNIX", path="/run/x.sock")


def test_results() -> None:
    """A call that returns a descriptor returns one of the likely kind, unless told."""
    engine = FakeEngine()
    peer = Address("AF_INET", "192.0.2.7", 80)
    with engine.recording() as recording:
        engine.call("socket", 10, 2 | 0o2000000, ret=3)
        engine.call("accept4", 3, address=peer, ret=4)
        engine.call("accept4", 3, result=peer, ret=4)
        engine.call("dup", 3, file="/x", ret=4)
        engine.call("epoll_create1", ret=5)
        engine.call("openat", path="/proc/self/fd/3", result=File("pipe", inode=2), ret=6)
        engine.call("openat", path="/x", ret=7, flags=EventFlag.CREATED)
        engine.call("socket", 2, 1, ret=-24)
        made, accepted, accepted_by_result, copied, epoll, pipe, created, failed = recording.events
    assert made.result_file is not None
    assert made.result_file.socket == Socket("AF_INET6", "SOCK_DGRAM", 0, Address("AF_INET6", "::", 0))
    assert (accepted.address, accepted.args["upeer_sockaddr"]) == (peer, peer)
    for each in (accepted, accepted_by_result):
        assert each.result_file is not None
        assert each.result_file.socket is not None
        assert each.result_file.socket.peer == peer
    assert copied.result_file == copied.files["fildes"] == File("file", path="/x", inode=1)
    assert epoll.result_file is not None
    assert epoll.result_file.kind == "anonymous"
    assert (pipe.realpath, pipe.unread) == (None, frozenset())
    assert created.created
    assert (failed.result_file, failed.unread) == (None, frozenset())


def test_result_of_a_call_that_was_in_flight() -> None:
    """It is known when the call returns, if it succeeds."""
    engine = FakeEngine()
    peer = Address("AF_INET", "192.0.2.7", 80)
    with engine.recording() as recording:
        engine.call("openat", path="/x", in_flight=True)
        assert recording.events[-1].unread == {"realpath"}
        engine.finish(3)
        engine.call("accept", 3, address=peer, in_flight=True)
        assert recording.events[-1].address is None
        engine.finish(4)
        engine.call("openat", path="/x", in_flight=True)
        engine.finish(-2)
        opened, accepted, failed = recording.events
    assert (opened.realpath, opened.unread) == ("/x", frozenset())
    assert accepted.address == peer
    assert (failed.realpath, failed.unread) == (None, frozenset())


def test_files_are_described_again_for_later_tests() -> None:
    """As the programs do it: once a generation, and what a session still needs it hasn't forgotten."""
    engine = FakeEngine()
    with engine.recording() as recording:
        running = recording._session
        for _ in range(5):
            for path in ("/etc/hosts", "/etc/passwd"):
                engine.call("read", 3, file=path)
                engine.call("unlinkat", path="x", base="/srv")
                assert recording.events[-2].realpath == path
                assert recording.events[-1].abspath == "/srv/x"
            running.forget()


def test_files_are_forgotten() -> None:
    """Two tests later, if they were not sent again; a long session keeps no more than it needs."""
    engine = FakeEngine()
    with engine.recording() as recording:
        running = recording._session
        engine.call("read", 3, file="/once")
        assert recording.events[-1].realpath == "/once"
        (identity,) = engine._known
        running.forget()
        assert running._store.files.get(identity) is not None, "a call may name it that began before"
        running.forget()
        assert running._store.files.get(identity) is not None, "nothing was recorded since"
        engine.call("getppid")
        running.forget()
        assert running._store.files.get(identity) is None


def test_arguments_of_a_program() -> None:
    """Of one that was executed, however long, and of one that was not."""
    engine = FakeEngine()
    argv = ["sh", "-c", "x" * 100_000, ""]
    with engine.recording() as recording:
        engine.fork(500_001)
        engine.exec(500_001, "/bin/sh", argv)
        engine.call("execve", path="/bin/none", argv=["none"], ret=-2)
        engine.call("getpid", tid=500_001)
        executed, failed, getpid = recording.events[1:]
    assert executed.args["argv"] == tuple(argv)
    assert getpid.process.argv == tuple(argv)
    assert (failed.args["argv"], failed.errno) == (("none",), "ENOENT")
    assert executed.started == getpid.process


def test_payloads() -> None:
    """Messages of DNS."""
    engine = FakeEngine()
    with engine.recording() as recording:
        engine.call("sendto", 3, payload=b"query", ret=5)
        engine.call("recvmmsg", 3, payload=[b"one", b""], ret=2)
        engine.call("sendto", 3, payload=b"query", ret=-11)
        assert [event.payloads for event in recording.events] == [(b"query",), (b"one", b""), ()]


def test_ring_operations() -> None:
    """They are events like calls, without a result, and of no thread's turn."""
    engine = FakeEngine()
    with engine.recording() as recording:
        engine.ring("IORING_OP_OPENAT", path="x", base="/srv")
        engine.ring("IORING_OP_RENAMEAT", path=["/a", "b"], base="/srv")
        engine.ring("IORING_OP_CONNECT", 3, address=Address("AF_INET", "192.0.2.7", 80))
        engine.ring("IORING_OP_SEND", 3, file=Address("AF_INET", "192.0.2.7", 80))
        opened, renamed, connected, sent = recording.events
        assert recording.complete
        recording.assert_syscall("%network", address="192.0.2.7", count=2)
        recording.assert_no_syscall("IORING_OP_RENAMEAT", path="/etc/*")
        with pytest.raises(InconclusiveRecording):  # what a link led to isn't recorded
            recording.assert_no_syscall("%file", path="/etc/*")
    assert (opened.name, opened.path, opened.abspath, opened.args["dfd"]) == ("IORING_OP_OPENAT", "x", "/srv/x", -100)
    assert (opened.ret, opened.in_flight, opened.pid) == (None, False, os.getpid())
    assert renamed.paths == ("/a", "b", "/srv/b")
    assert connected.address == sent.address == Address("AF_INET", "192.0.2.7", 80)


def test_ring_operations_of_a_child() -> None:
    """They have its process and are recorded only while a window is open."""
    engine = FakeEngine()
    running = Session(engine)
    running.start()
    engine.ring("IORING_OP_NOP")
    test = Owner(Kind.TEST, "test_it")
    running.begin_test(test, test.name)
    recording = Recording(running, test)
    recording.open()
    engine.fork(500_001)
    engine.ring("IORING_OP_NOP", tid=500_001)
    recording.close()
    engine.ring("IORING_OP_NOP")
    assert [(event.name, event.pid) for event in recording.events][1:] == [("IORING_OP_NOP", 500_001)]
    running.stop()


@pytest.mark.parametrize("name", ["IORING_OP_URING_CMD", 100])
def test_ring_operation_that_is_not_shown(name: str | int) -> None:
    """It may have been anything: a gap that names it."""
    engine = FakeEngine()
    with engine.recording() as recording:
        engine.ring(name, 3)
        (gap,) = recording.gaps
        assert str(name) in gap.reason
        with pytest.raises(InconclusiveRecording):
            recording.assert_no_syscall("openat")


def test_registers() -> None:
    """Those given, in order; a directory that isn't given is the working directory."""
    engine = FakeEngine()
    with engine.recording() as recording:
        engine.call("read", 3, 4, 5, ret=-4)
        engine.call("unlinkat", path="/x")
        read, unlinkat = recording.events
        assert read.args == {"fd": 3, "buf": 4, "count": 5}
        assert read.errno == "EINTR"
        assert unlinkat.args["dfd"] == -100


def test_processes() -> None:
    """Fork, exec and exit leave their calls and their processes."""
    engine = FakeEngine()
    with engine.recording() as recording:
        engine.fork(500_001)
        engine.exec(500_001, "/usr/bin/a-very-long-program-name", ["program", "--flag"])
        engine.fork(500_002, parent=500_001)
        engine.exit(500_002, 3)
        engine.exit(500_001, signal=9)
        clone, execve, clone2, exit_group = recording.events
    assert (clone.name, clone.ret, clone.process.is_self) == ("clone", 500_001, True)
    assert (execve.name, execve.path, execve.exe) == ("execve", "/usr/bin/a-very-long-program-name", clone.exe)
    assert (clone2.comm, clone2.process.argv) == ("a-very-long-pro", ("program", "--flag"))
    assert (exit_group.name, exit_group.ret, exit_group.args) == ("exit_group", None, {"error_code": 3})
    assert exit_group.process.parent == clone2.process
    assert clone2.process.started_by == "test_fake.py::test_it (call)"


def test_call_that_returns_while_the_session_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is one call, and a finished one."""
    engine = FakeEngine()
    look = Session._in_flight

    def look_and_return(self: Session) -> list[RawCall]:
        found = look(self)
        monkeypatch.undo()  # it returns once
        engine.finish(5)
        return found

    with engine.recording() as recording:
        engine.call("read", 3, in_flight=True)
        monkeypatch.setattr(Session, "_in_flight", look_and_return)
        (event,) = recording.events
        assert (event.ret, event.in_flight) == (5, False)


def test_calls_come_in_the_order_of_their_entry() -> None:
    """Not of their return."""
    engine = FakeEngine()
    with engine.recording() as recording:
        engine.fork(500_001, thread=True)
        engine.call("read", 3, tid=500_001, in_flight=True)
        engine.call("getpid")
        assert names(recording) == ["clone", "read", "getpid"]
        engine.finish(5, tid=500_001)
        assert names(recording) == ["clone", "read", "getpid"]


def test_killed_inside_a_call() -> None:
    """The call happened and never returned."""
    engine = FakeEngine()
    with engine.recording() as recording:
        engine.fork(500_001)
        engine.call("read", 3, tid=500_001, in_flight=True)
        engine.exit(500_001, signal=9)
        (event,) = recording.syscalls("read")
        assert (event.ret, event.in_flight, event.duration_ns) == (None, False, None)


def test_killed_by_seccomp_is_a_gap() -> None:
    """As with the programs."""
    engine = FakeEngine()
    with engine.recording() as recording:
        engine.fork(500_001)
        engine.exit(500_001, signal=31)
        assert not recording.complete


def test_ends_of_processes() -> None:
    """A process ends with its last thread."""
    engine = FakeEngine()
    with engine.recording() as recording:
        engine.fork(500_001)
        engine.fork(500_002, parent=500_001, thread=True)
        engine.exit(500_002, 1)
        ends = recording._session.scope.ends
        assert [event.name for event in recording.events] == ["clone", "clone", "exit"]
        assert ends == []
        engine.exit(500_001, 3)
        engine.fork(500_003)
        engine.exit(500_003, signal=9)
        assert len(recording.events) == 5
        assert [(end.process.pid, end.status) for end in ends] == [(500_001, 3 << 8), (500_003, 9)]


def test_threads() -> None:
    """A thread of pytest is the pytest process."""
    engine = FakeEngine()
    with engine.recording() as recording:
        engine.fork(500_001, thread=True)
        engine.call("getpid", tid=500_001)
        (event,) = recording.syscalls("getpid")
        assert (event.pid, event.tid, event.process.is_self) == (os.getpid(), 500_001, True)


@pytest.mark.parametrize("known", [True, False])
def test_assertions_on_another_thread(known: bool) -> None:
    """A thread may ask too; one that isn't followed can't prove that the programs run."""
    engine = FakeEngine()
    found: list[bool] = []

    def ask() -> None:
        if known:
            engine.fork(threading.get_native_id(), thread=True)
        found.append(recording.complete)

    with engine.recording() as recording:
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
    assert found == [known]


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> int:
    """Makes the rings small; the number of events that find room."""
    size = 16 * mmap.PAGESIZE
    rings = {"events": KernelRing(size), "blobs": KernelRing(size)}
    monkeypatch.setattr(session, "RINGS", rings)
    monkeypatch.setattr(testing, "MADE_RINGS", rings)
    return size // store.STRIDE


def test_full_ring_loses_and_counts(room: int) -> None:
    """What finds no room is counted, and is a gap."""
    engine = FakeEngine()
    with engine.recording() as recording:
        for _ in range(room + 7):
            engine.call("getpid")
        assert len(recording.syscalls("getpid").known) == room
        recording.assert_syscall("getpid", count=room + 7)
        with pytest.raises(InconclusiveRecording):
            recording.assert_no_syscall("getpid", pid=1)


def test_full_ring_of_paths(room: int) -> None:
    """A call whose path found no room says so."""
    engine = FakeEngine()
    with engine.recording() as recording:
        for _ in range(32):
            engine.call("unlinkat", path="/" + "x" * 4000)
        events = recording.syscalls("unlinkat")
        assert {event.path is None for event in events} == {False, True}
        assert all(event.path or "path" in event.unread for event in events)
        with pytest.raises(InconclusiveRecording):
            recording.assert_no_syscall("unlinkat", path="/etc/hosts")


def test_full_ring_of_ring_operations(room: int) -> None:
    """They are counted too, all together."""
    engine = FakeEngine()
    with engine.recording() as recording:
        for _ in range(room + 7):
            engine.ring("IORING_OP_NOP")
        (gap,) = recording.gaps
        assert gap.count == 7
        with pytest.raises(InconclusiveRecording):
            recording.assert_no_syscall("openat")


def test_full_ring_of_files(room: int) -> None:
    """A file that found no room is unknown, to this call and not to the next test's."""
    engine = FakeEngine()
    with engine.recording() as recording:
        long = [f"/{number:04}{'x' * 4000}" for number in range(32)]
        for path in long:
            engine.call("read", 3, file=path)
        events = list(recording.events)
        assert {event.realpath for event in events} > {None}
        assert all(event.realpath or {"path", "fd"} <= event.unread for event in events)
        with pytest.raises(InconclusiveRecording):
            recording.assert_no_syscall("read", path="/etc/hosts")
        engine.call("read", 3, file=long[-1])
        assert recording.events[-1].realpath == long[-1]


def test_ring_wraps_round(room: int) -> None:
    """A session that reads along loses nothing, however long it goes on."""
    engine = FakeEngine()
    with engine.recording() as recording:
        for index in range(10 * room):
            engine.call("openat", path=f"/file/{index}", ret=-2)
            if index % 100 == 0:
                assert recording.complete
        assert len(recording.syscalls("openat", path="/file/*")) == 10 * room
        assert recording.complete


@pytest.mark.parametrize(
    "mistake, message",
    [
        (lambda engine: engine.call("getpid", tid=4711), "task 4711: no such task (fork it first)"),
        (lambda engine: engine.fork(os.getpid()), "it lives already"),
        (lambda engine: engine.finish(), "it is inside no call"),
        (lambda engine: engine.call("IORING_OP_NOP"), "IORING_OP_NOP: not a system call (use ring)"),
        (lambda engine: engine.ring("openat"), "openat: not an operation on an io_uring (use call)"),
        (lambda engine: engine.call("getpid", file="/x"), "getpid: no argument is left for the fd (it has 0)"),
        (lambda engine: engine.call("read", file=["/x", "/y"]), "read: no argument is left for the fd (it has 1)"),
        (lambda engine: engine.call("openat", path=["/x", "/y"]), "no argument is left for the path (it has 1)"),
        (lambda engine: engine.call("read", address=Address("AF_UNIX")), "no argument is left for the address"),
        (lambda engine: engine.call("chdir", argv=["x"]), "no argument is left for the argv"),
        (lambda engine: engine.call("openat", payload=b"x"), "payload: openat has none that is recorded"),
        (lambda engine: engine.call("bind", address=Address("AF_NETLINK", port=1)), "give the bytes of its struct"),
    ],
)
def test_mistakes(mistake: object, message: str) -> None:
    """A test that makes up the impossible is told so."""
    engine = FakeEngine()
    with engine.recording(), pytest.raises(ValueError, match=re.escape(message)):
        mistake(engine)  # type: ignore[operator]


def test_call_before_the_start() -> None:
    """There is no task yet."""
    with pytest.raises(ValueError, match="start the engine first"):
        FakeEngine().call("getpid")


def test_unknown_call() -> None:
    """A misspelt call is told as in an assertion."""
    engine = FakeEngine()
    with engine.recording(), pytest.raises(UnknownSyscall, match="openat"):
        engine.call("opneat")


def test_recording_ends_with_its_block() -> None:
    """Asking later is an error, as with any session that ended."""
    engine = FakeEngine()
    with engine.recording() as recording:
        pass
    with pytest.raises(EbpfError):
        recording.assert_no_syscall("getpid")
    assert not engine.running
