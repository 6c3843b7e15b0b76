"""Loss: what outruns the reader is held up to a limit; what is beyond it is counted, and hides nothing else."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_ebpf import InconclusiveRecording
from pytest_ebpf.engines.base import MEMORY_BYTES, TASK_SLOTS
from pytest_ebpf.engines.shapes import EventRing
from pytest_ebpf.recording import Recording
from pytest_ebpf.store import STRIDE

MANY = 5_000_000
MORE_THAN_A_RING = 1_000_003
SPARE_BYTES = 4 << 20
WAKE_BYTES = 128 << 10
PIDFD_GETFD = 438
Until = Callable[[Callable[[], bool]], None]

BURST = """
    import ctypes, os, pathlib, pytest, signal, threading, time
    from pytest_ebpf import InconclusiveRecording

    def burst(count, library=ctypes.CDLL(None)):
        library.lfind(b"", b"", ctypes.byref(ctypes.c_size_t(count)), ctypes.c_size_t(0), library.getppid)
"""


def burst(count: int, library: ctypes.CDLL | None = None) -> None:
    """So many getppid from a loop in C: a search in which each comparison is that call, and finds a difference."""
    library = library or ctypes.CDLL(None)
    library.lfind(b"", b"", ctypes.byref(ctypes.c_size_t(count)), ctypes.c_size_t(0), library.getppid)


def epoll_of(keeper: int) -> select.epoll:
    """The very one at which it waits to be told that rings fill up."""
    (fd,) = (fd for fd in Path(f"/proc/{keeper}/fd").iterdir() if "eventpoll" in str(fd.readlink()))
    process = os.pidfd_open(keeper)
    found = ctypes.CDLL(None, use_errno=True).syscall(PIDFD_GETFD, process, int(fd.name), 0)
    os.close(process)
    assert found >= 0, os.strerror(ctypes.get_errno())
    return select.epoll.fromfd(found)


def names(recording: Recording) -> set[str]:
    """Of all calls that were recorded."""
    return {one.name for _, one in recording._events(None).kinds()}  # type: ignore[attr-defined]


def resident() -> int:
    """Memory of this process and of the session's file, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def ring_bytes(recording: Recording) -> int:
    """Size of the ring of events."""
    return recording._session._events._shape.size


def room(recording: Recording) -> int:
    """How many calls one ring takes, at which nobody reads."""
    of_others = TASK_SLOTS if isinstance(recording._session._events._shape, EventRing) else 0
    return (ring_bytes(recording) - SPARE_BYTES) // STRIDE - of_others


def assert_accounted(recording: Recording, count: int) -> None:
    """Each of so many getppid was recorded, or counted as one that found no room.

    Where the host of a virtual machine takes a processor away, the keeper can't come in time. Without it, no more than
    a ring would be there.
    """
    lost = sum(gap.count for gap in recording.gaps if gap.calls == frozenset({"getppid"}))
    assert all(gap.exact for gap in recording.gaps), recording.gaps
    known = len(recording.syscalls("getppid").known)
    assert known + lost == count
    assert known > room(recording), recording.gaps
    recording.assert_syscall("getppid", count=count)


@pytest.mark.heavy(reason="a million calls")
def test_five_million_while_no_other_code_runs(ebpf: Recording) -> None:
    """A loop in C that keeps the interpreter's lock: no code of the plugin runs in this process meanwhile."""
    ebpf.syscalls("swapoff")
    before = resident()
    burst(MANY, ctypes.PyDLL(None))
    assert_accounted(ebpf, MANY)
    assert resident() - before < MEMORY_BYTES
    # What it was given, the test lets go of itself: by munmap, where that leaves an arena of the interpreter's empty.
    assert not names(ebpf) & {"madvise", "getpid", "mmap"}, "reading is silent"


def test_memory_is_given_back(ebpf: Recording) -> None:
    """Of the test before, nothing is held."""
    assert ebpf._session._store.nbytes < 1 << 20
    spool = [line for line in Path("/proc/self/smaps").read_text().split("VmFlags") if "pytest-ebpf-spool" in line]
    (rss,) = [line.split()[1] for line in spool[0].splitlines() if line.startswith("Rss:")]
    assert int(rss) << 10 < 4 << 20


@pytest.mark.heavy(reason="a million calls")
def test_many_processes_at_once(ebpf: Recording) -> None:
    """Each as fast as it can."""
    children = []
    for _ in range(7):
        if (child := os.fork()) == 0:
            burst(400_009)
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    assert_accounted(ebpf, 7 * 400_009)
    with contextlib.nullcontext() if ebpf.complete else pytest.raises(InconclusiveRecording):
        ebpf.assert_syscall("getppid", process="children", count=7 * 400_009)


@pytest.mark.heavy(reason="a million calls")
def test_many_blobs(ebpf: Recording, tmp_path: Path) -> None:
    """Paths are moved away like events are."""
    path = str(tmp_path / "nothing")
    library = ctypes.CDLL(None)
    count = 400_009
    # Two arguments, the key and the array's element: access(path, 0 bytes behind the start).
    compare = ctypes.cast(library.access, ctypes.c_void_p)
    text = ctypes.create_string_buffer(os.fsencode(path))
    library.lfind(text, None, ctypes.byref(ctypes.c_size_t(count)), ctypes.c_size_t(0), compare)
    assert len(ebpf.syscalls("%file", path=path, errno="ENOENT")) == count
    assert ebpf.complete, ebpf.gaps


@pytest.fixture
def keeper(ebpf: Recording) -> Iterator[int]:
    """The pid of the process that holds the programs; it runs on at the end."""
    pid = ebpf._session.engine.pid
    yield pid
    os.kill(pid, signal.SIGCONT)


@pytest.mark.heavy(reason="a million calls")
def test_keeper_that_is_stopped(ebpf: Recording, keeper: int, until: Until) -> None:
    """Counts stay exact; what needs more than them can't be decided; and it goes on when the keeper does."""
    assert ebpf.complete, ebpf.gaps
    os.kill(keeper, signal.SIGSTOP)
    with ebpf.window() as window:
        burst(MORE_THAN_A_RING)
    assert len(ebpf.syscalls("getppid").known) < ring_bytes(ebpf) // STRIDE
    os.kill(keeper, signal.SIGCONT)
    for recording in (window, ebpf):
        recording.assert_syscall("getppid", count=MORE_THAN_A_RING)
        recording.assert_max(getppid=MORE_THAN_A_RING)
        recording.assert_no_syscall("openat", path="/etc/shadow")
        recording.assert_no_network()
        with pytest.raises(AssertionError):
            recording.assert_max(getppid=MORE_THAN_A_RING - 1)
        with pytest.raises(InconclusiveRecording, match="getppid calls found no room"):
            recording.assert_no_syscall("getppid", comm="x")
        (gap,) = (gap for gap in recording.gaps if gap.calls == frozenset({"getppid"}))
        assert gap.exact
        assert all(gap.exact for gap in recording.gaps)
        assert gap.count == MORE_THAN_A_RING - len(recording.syscalls("getppid").known)
    until(lambda: max(ebpf._session._backlogs) < 0.5)
    with ebpf.window() as later:
        burst(300_007)
    later.assert_syscall("getppid", count=300_007)
    assert later.complete, later.gaps


def test_keeper_comes_first(ebpf: Recording) -> None:
    """Before others on a busy machine, also where the kernel shares it out by terminal sessions."""
    keeper = ebpf._session.engine.pid
    assert os.getpriority(os.PRIO_PROCESS, keeper) == -15
    if (group := Path(f"/proc/{keeper}/autogroup")).exists():
        assert group.read_text().split()[-2:] == ["nice", "-15"]
        assert group.read_text() != Path("/proc/self/autogroup").read_text(), "this process has its own"


@pytest.mark.heavy(reason="a million calls")
def test_keeper_that_was_not_told(ebpf: Recording, keeper: int, until: Until) -> None:
    """Two processors may pass a quarter of the ring together, so that neither sees it: those behind them do."""
    ring = ebpf._session._events
    quarter = ring_bytes(ebpf) // 4
    waking = 32 * STRIDE if isinstance(ring._shape, EventRing) else WAKE_BYTES

    def burst_until(held: int) -> None:
        while (left := held + STRIDE - (ring.written - ring._moved_to)) > 0:  # the record that begins there wakes
            burst(127 if left > 256 * STRIDE else 1)

    os.kill(keeper, signal.SIGSTOP)
    until(lambda: Path(f"/proc/{keeper}/stat").read_text().rpartition(")")[2].split()[0] == "T")
    with contextlib.closing(epoll_of(keeper)) as told:
        told.poll(0)
        burst(1009)
        assert not told.poll(0)
        for number in range(1, 4):
            burst_until(number * quarter)
            assert told.poll(0), number
            burst(3)
            assert told.poll(0), number
            burst_until(number * quarter + waking)
            told.poll(0)
            burst(1009)
            assert not told.poll(0), "not each record beyond it"
    os.kill(keeper, signal.SIGCONT)  # before the report is made, which may ask it
    until(lambda: max(ebpf._session._backlogs) < 0.5)


@pytest.mark.heavy(reason="thousands of threads")
def test_starts_that_found_no_room(ebpf: Recording, keeper: int, until: Until) -> None:
    """Are a gap with their exact number; and what such a child does later is recorded, and this test's."""

    def lost() -> int:
        return sum(gap.count for gap in ebpf.gaps if "starts and ends" in gap.reason)

    assert ebpf.complete, ebpf.gaps
    os.kill(keeper, signal.SIGSTOP)
    burst(MORE_THAN_A_RING)
    for _ in range(SPARE_BYTES // STRIDE):
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()
    before = lost()
    children = [subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) for _ in range(7)]
    assert before
    assert lost() - before == 2 * 7
    os.kill(keeper, signal.SIGCONT)
    until(lambda: max(ebpf._session._backlogs) < 0.5)
    for number, child in enumerate(children):
        child.communicate(b"x" * (100 + number))
    written = ebpf.syscalls("write", comm="cat").known
    assert sorted(event.ret or 0 for event in written) == [100 + number for number in range(7)]
    assert {event.pid for event in written} == {child.pid for child in children}


@pytest.mark.heavy(reason="a million calls")
def test_processes_that_start_while_the_ring_is_full(ebpf: Recording, keeper: int, until: Until) -> None:
    """Room is kept for their starts and ends."""
    assert ebpf.complete, ebpf.gaps
    os.kill(keeper, signal.SIGSTOP)
    burst(MORE_THAN_A_RING)
    for _ in range(23):
        child = os.fork()
        if child == 0:
            os._exit(7)
        os.waitpid(child, 0)
    os.kill(keeper, signal.SIGCONT)
    assert not [gap for gap in ebpf.gaps if "starts and ends" in gap.reason]
    assert [end.args["exit_code"] for end in ebpf._ends()] == [7] * 23
    until(lambda: max(ebpf._session._backlogs) < 0.5)


@pytest.mark.parametrize("option", ["--ebpf-memory=8MiB", "-oebpf_memory=8MiB"])
def test_a_small_limit(pytester: pytest.Pytester, option: str) -> None:
    """What is beyond it is counted, window by window; the next test has all of it again."""
    pytester.makepyfile(
        BURST
        + """
    def test_burst(ebpf):
        with ebpf.window() as first:
            burst(1_000_003)
        with ebpf.window() as second:
            burst(7919)
            pathlib.Path("made").touch()
        with ebpf.window() as third:
            pass
        assert ebpf._session._store.nbytes < 10 << 20
        first.assert_syscall("getppid", count=1_000_003)
        second.assert_syscall("getppid", count=7919)
        ebpf.assert_syscall("getppid", count=1_007_922)
        third.assert_no_syscall("getppid", comm="x")
        assert third.complete
        for recording in (first, ebpf):
            with pytest.raises(InconclusiveRecording, match="ebpf_memory"):
                recording.assert_no_syscall("getppid", comm="x")
        with pytest.raises(InconclusiveRecording):
            second.assert_no_file_access("/etc/passwd")
        first.assert_no_file_access("/etc/passwd")
        for _ in range(3):  # looks make no more room than there is
            burst(99_991)
        ebpf.assert_syscall("getppid", count=1_007_922 + 3 * 99_991)
        assert ebpf._session._store.nbytes < 10 << 20

    def test_after(ebpf):
        burst(30_011)
        ebpf.assert_syscall("getppid", count=30_011)
        assert ebpf.complete, ebpf.gaps
    """
    )
    pytester.runpytest_subprocess(option).assert_outcomes(passed=2)


def test_keeper_that_is_killed(pytester: pytest.Pytester) -> None:
    """In the middle of a burst: a gap, and nothing waits."""
    pytester.makepyfile(
        BURST
        + """
    def test_it(ebpf):
        ebpf.syscalls("swapoff")
        thread = threading.Thread(target=burst, args=(3_000_017,))
        thread.start()
        session = ebpf._session
        while session._events.written < 40 << 20:
            os.sched_yield()
        os.kill(session.engine.pid, signal.SIGKILL)
        thread.join()
        assert any("no longer run" in gap.reason for gap in ebpf.gaps)
        assert ebpf.syscalls("getppid").first.ret == os.getppid()
        with pytest.raises(InconclusiveRecording):
            ebpf.assert_no_syscall("openat", path="/etc/shadow")

    def test_after(ebpf):
        assert not ebpf.complete
    """
    )
    result = pytester.runpytest_subprocess()
    assert result.duration < 60
    assert result.parseoutcomes()["passed"] == 2


def test_a_child_has_no_part_of_it(ebpf: Recording) -> None:
    """Neither the memory nor a descriptor is passed on."""
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        fds = " ".join(str(each.readlink()) for each in Path("/proc/self/fd").iterdir() if each.is_symlink())
        maps = Path("/proc/self/maps").read_text()
        os.write(writer, b"yes" if "pytest-ebpf-spool" in maps + fds or "bpf-map" in maps + fds else b"no")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 3) == b"no"
    os.close(reader)
    os.close(writer)
    assert "pytest-ebpf-spool" in Path("/proc/self/maps").read_text()
    assert ebpf.complete


@pytest.mark.heavy(reason="a million calls")
def test_looks_while_others_are_at_work(ebpf: Recording) -> None:
    """What the keeper moves away while it is read comes once, and in order."""
    threads = [threading.Thread(target=burst, args=(300_007,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    found = 0
    while any(thread.is_alive() for thread in threads):
        now = len(ebpf.syscalls("getppid").known)
        assert now >= found
        found = now
    for thread in threads:
        thread.join()
    assert_accounted(ebpf, 3 * 300_007)
