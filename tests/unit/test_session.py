"""Whether nothing at all was recorded, which is told at once."""

from __future__ import annotations

import errno

import pytest

from pytest_ebpf import InconclusiveRecording
from pytest_ebpf import session as session_module
from pytest_ebpf.alike import Alike
from pytest_ebpf.effects import FileEvents
from pytest_ebpf.engines.variant import Variant
from pytest_ebpf.events import Address, SyscallEvent
from pytest_ebpf.recording import Recording
from pytest_ebpf.scope import Kind, Owner
from pytest_ebpf.syscalls import Table
from pytest_ebpf.testing import FakeEngine

CHILD = 500_001


def begin_another(recording: Recording) -> None:
    """The next test."""
    session = recording._session
    session.begin_test(session.current, "the test")
    recording.open()


def next_test(recording: Recording) -> Recording:
    """That of a test to which nothing belongs that was there before."""
    session = recording._session
    another = Recording(session, Owner(Kind.TEST, "test_next"))
    session.begin_test(another.owner, "another test")
    another.open()
    return another


def is_blank(recording: Recording) -> bool:
    """A call, as its answer changes."""
    return recording._is_blank()


def test_blank() -> None:
    """Until anything is recorded; and again in the next test."""
    engine = FakeEngine()
    with engine.recording() as recording:
        assert is_blank(recording)
        engine.call("getppid")
        assert not is_blank(recording)
        begin_another(recording)
        assert is_blank(recording)


def test_blank_beside_a_call_that_waits() -> None:
    """That of a thread of an earlier test is nothing of this one's, until it returns; one of this test's is."""
    engine = FakeEngine()
    with engine.recording() as recording:
        engine.fork(CHILD)
        engine.call("accept4", 3, tid=CHILD, in_flight=True)
        assert not is_blank(recording)
        begin_another(recording)
        assert is_blank(recording)
        engine.finish(tid=CHILD)
        assert not is_blank(recording)
        begin_another(recording)
        engine.call("accept4", 3, tid=CHILD, in_flight=True)
        assert not is_blank(recording)


def test_blank_while_a_call_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that returns between two looks is seen in flight or as an event, never missed."""
    engine = FakeEngine()
    with engine.recording() as recording:
        engine.fork(CHILD)
        begin_another(recording)
        engine.call("connect", 3, tid=CHILD, in_flight=True)
        drain = recording._session._drain

        def drain_and_end() -> None:
            drain()
            monkeypatch.undo()
            engine.finish(tid=CHILD)

        monkeypatch.setattr(recording._session, "_drain", drain_and_end)
        assert not is_blank(recording)


def test_blank_tests_ask_the_engine_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not each; one of which something was recorded does, and so does the end of the run."""
    engine = FakeEngine()
    asked: list[None] = []

    def examine() -> tuple[tuple[str, ...], int]:
        asked.append(None)
        return (), 0

    monkeypatch.setattr(engine, "examine", examine)
    with engine.recording() as recording:
        assert recording.complete
        assert len(asked) == 1
        for _ in range(7):
            begin_another(recording)
            assert is_blank(recording)
        assert len(asked) == 1
        for _ in range(2):
            engine.call("getppid")
            recording.assert_no_syscall("getpid")
        assert len(asked) == 2
        recording._session.check()
        assert len(asked) == 3
        monkeypatch.setattr(session_module, "LATELY_NS", 0)
        begin_another(recording)
        assert is_blank(recording)
        assert len(asked) == 4


def test_blank_tests_notice_that_the_programs_are_gone() -> None:
    """The call that proves their life is made in each."""
    engine = FakeEngine()
    with engine.recording() as recording:
        assert is_blank(recording)
        begin_another(recording)
        engine.alive = False
        assert not is_blank(recording)


def test_call_in_flight_that_may_be_this_tests() -> None:
    """Of a thread that an earlier test left: that it began in this test is known, and for whom isn't."""
    engine = FakeEngine()
    with engine.recording() as recording:
        engine.fork(CHILD, thread=True)
        another = next_test(recording)
        engine.call("connect", 3, tid=CHILD, in_flight=True)
        for has_ended in (False, True):
            if has_ended:
                engine.finish(tid=CHILD)
            (gap,) = another.gaps
            assert (gap.calls, gap.count) == (frozenset({"connect"}), 1)
            with pytest.raises(InconclusiveRecording, match="made 1 calls, perhaps for this test"):
                another.assert_no_network()


def test_runs_that_are_left_out_at_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a kernel that may do so they are a gap of the test that asks next, and of no other."""
    monkeypatch.setattr(session_module, "of_kernel", lambda **_: Variant(preemptible=True))
    engine = FakeEngine()
    engine.missed = 3  # before this session
    with engine.recording() as recording:
        assert is_blank(recording)
        engine.call("getppid")
        recording.assert_no_syscall("getpid")
        engine.missed = 5
        with pytest.raises(InconclusiveRecording, match="left out 2 runs of the eBPF programs for calls and hooks"):
            recording.assert_no_syscall("getpid")
        begin_another(recording)
        assert recording.complete
        engine.missed = 6
        assert not is_blank(recording)
        begin_another(recording)
        assert is_blank(recording)
        recording._session.check()
        assert not recording._session.damage


def test_runs_that_are_left_out() -> None:
    """On other kernels it is not known when: all that comes after is in doubt, and the run too."""
    engine = FakeEngine()
    with engine.recording() as recording:
        engine.missed = 1
        assert not recording.complete
        begin_another(recording)
        assert not recording.complete
        assert len(recording._session.damage) == 1


def test_thread_on_its_way_out() -> None:
    """That one of an earlier test ends is nobody's work."""
    engine = FakeEngine()
    with engine.recording() as recording:
        engine.fork(CHILD, thread=True)
        another = next_test(recording)
        engine.call("exit", tid=CHILD, in_flight=True)
        assert another.complete, another.gaps


def test_effects_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """For all questions between two events."""
    made: list[Alike[SyscallEvent]] = []
    make = FileEvents.__init__

    def note(self: FileEvents, calls: Alike[SyscallEvent], table: Table) -> None:
        made.append(calls)
        make(self, calls, table)

    monkeypatch.setattr(FileEvents, "__init__", note)
    engine = FakeEngine()
    with engine.recording() as recording:
        for number in range(1, 4):
            engine.call("openat", path=f"/etc/{number}", ret=3)
            recording.assert_file_opened("/etc/1")
            recording.assert_no_file_access("/etc/shadow")
            recording.assert_max(syncs=0)
            assert [event.path for event in recording.files(op="open")] == [
                f"/etc/{each + 1}" for each in range(number)
            ]
            assert len(made) == number


def test_effects_of_what_changes_without_an_event() -> None:
    """A call begins; and what comes of it is known when it returned."""
    engine = FakeEngine()
    with engine.recording() as recording:
        engine.fork(CHILD)
        assert not recording.files()
        assert not recording.network()
        engine.call("openat", path="/etc/x", tid=CHILD, in_flight=True)
        (opened,) = recording.files()
        assert opened.result == "pending"
        engine.finish(-errno.ENOENT, tid=CHILD)
        (opened,) = recording.files()
        assert opened.result == "failed"
        engine.call("fsync", 3, file="/etc/y", tid=CHILD)
        assert len(recording.files(op="sync")) == 1
        engine.call("fsync", 3, file="/etc/y", tid=CHILD, in_flight=True)
        assert len(recording.files(op="sync")) == 2
        engine.finish(tid=CHILD)
        engine.call("connect", 3, address=Address("AF_INET", "192.0.2.1", 80), tid=CHILD, in_flight=True)
        (connected,) = recording.network()
        assert connected.result == "pending"
        engine.finish(-errno.ECONNREFUSED, tid=CHILD)
        (connected,) = recording.network()
        assert connected.result == "failed"


def test_effects_of_more_than_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are made anew where others count for it than before."""
    engine = FakeEngine()
    with engine.recording() as recording:
        fixture = Owner(Kind.FIXTURE, "database")
        session = recording._session
        session.begin_phase(fixture, "database (setup)")
        engine.fork(CHILD)
        session.begin_phase(recording.owner, "call")
        engine.call("openat", path="/etc/x", ret=3, tid=CHILD)
        assert not recording.files()
        monkeypatch.setattr(recording.owner, "uses", lambda: {fixture})
        assert [event.path for event in recording.files()] == ["/etc/x"]
