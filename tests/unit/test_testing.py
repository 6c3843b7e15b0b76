"""The fake engine behaves like the programs."""

from __future__ import annotations

import doctest
import mmap
import os
import threading
from pathlib import Path

import pytest

from pytest_ebpf import EbpfError, EngineUnavailable, InconclusiveRecording, UnknownSyscall, session, testing
from pytest_ebpf.decode import RawCall
from pytest_ebpf.events import Address
from pytest_ebpf.recording import Recording
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
    recording = Recording(running)
    engine.call("getpid")
    recording.open()
    engine.call("getppid")
    recording.close()
    engine.call("getuid")
    assert names(recording) == ["getppid"]
    assert recording.complete
    running.stop()
    assert not engine.running


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
        engine.call("openat", path="/link", realpath="/file", ret=3)
        engine.call("openat", path="/absent", ret=-2)
        engine.call("openat", path="/closed", realpath="", ret=3)
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
        Address("AF_UNIX", path="/run/x.sock"),
        Address("AF_UNIX", path="@abstract"),
        Address("AF_UNSPEC"),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["connect", "bind", "sendto", "sendmsg"])
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


def test_threads() -> None:
    """A thread of pytest is the pytest process."""
    engine = FakeEngine()
    with engine.recording() as recording:
        engine.fork(500_001, thread=True)
        engine.call("getpid", tid=500_001)
        (event,) = recording.syscalls("getpid")
        assert (event.pid, event.tid, event.process.is_self) == (os.getpid(), 500_001, True)


def test_assertions_on_another_thread() -> None:
    """A thread that the fake doesn't know may ask too."""
    engine = FakeEngine()
    found: list[bool] = []
    with engine.recording() as recording:
        thread = threading.Thread(target=lambda: found.append(recording.complete))
        thread.start()
        thread.join()
    assert found == [True]


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> int:
    """Makes the rings small; the number of events that find room."""
    size = 16 * mmap.PAGESIZE
    monkeypatch.setattr(session, "EVENTS_BYTES", size)
    monkeypatch.setattr(session, "BLOBS_BYTES", size)
    monkeypatch.setattr(testing, "RINGS", {"events": size, "blobs": size})
    return size // session.STRIDE


def test_full_ring_loses_and_counts(room: int) -> None:
    """What finds no room is counted, and is a gap."""
    engine = FakeEngine()
    with engine.recording() as recording:
        for _ in range(room + 7):
            engine.call("getpid")
        assert len(recording.syscalls("getpid")) == room
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
    ],
)
def test_mistakes(mistake: object, message: str) -> None:
    """A test that makes up the impossible is told so."""
    engine = FakeEngine()
    with engine.recording(), pytest.raises(ValueError, match="task") as caught:
        mistake(engine)  # type: ignore[operator]
    assert message in str(caught.value)


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
