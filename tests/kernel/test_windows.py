"""What belongs to a window, and that watching leaves no trace."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_ebpf.errors import EbpfError
from pytest_ebpf.recording import Recording


@pytest.fixture
def silent(ebpf: Recording) -> Iterator[None]:
    """Looks at what was recorded after the test's body is over."""
    yield
    assert [str(event) for event in ebpf.events] == []
    assert ebpf.complete, ebpf.gaps


@pytest.mark.parametrize("time", range(50))
def test_pass_records_nothing(silent: None, time: int) -> None:
    """Contract C3: the observer is silent."""


def test_looking_records_nothing(ebpf: Recording) -> None:
    """Nor do assertions, windows and pauses in the middle of a test."""
    ebpf.assert_no_syscall("openat")
    with ebpf.window() as window, ebpf.paused():
        pass
    window.assert_no_syscall()
    for _ in range(20):
        assert not ebpf.events
        assert ebpf.complete


def test_windows_are_parts(ebpf: Recording) -> None:
    """A window has its own events; the test has all of them."""
    os.getppid()
    with ebpf.window() as outer:
        os.getppid()
        with ebpf.window() as inner:
            os.getppid()
            inner.assert_syscall("getppid", count=1)
        os.getppid()
    os.getppid()
    inner.assert_syscall("getppid", count=1)
    outer.assert_syscall("getppid", count=3)
    ebpf.assert_syscall("getppid", count=5)


def test_windows_may_overlap(ebpf: Recording) -> None:
    """Two windows need not be nested."""
    one, two = ebpf.window(), ebpf.window()
    first = one.__enter__()
    os.getppid()
    second = two.__enter__()
    os.getppid()
    one.__exit__(None, None, None)
    os.getppid()
    two.__exit__(None, None, None)
    first.assert_syscall("getppid", count=2)
    second.assert_syscall("getppid", count=2)
    ebpf.assert_syscall("getppid", count=3)


def test_paused(ebpf: Recording) -> None:
    """What happens inside is not recorded, nested or not, by a child or not."""
    os.getppid()
    with ebpf.paused():
        os.getppid()
        with ebpf.paused():
            os.getppid()
        subprocess.run(["/bin/true"], check=True)
        with ebpf.window() as window:
            os.getppid()
    os.getppid()
    ebpf.assert_syscall("getppid", count=2)
    ebpf.assert_no_syscall("execve")
    window.assert_no_syscall()


OF_EARLIER_TEST: list[Recording] = []


@pytest.fixture
def pausing(ebpf: Recording) -> Iterator[None]:
    """Pauses before the test's function and after it, within the test."""
    with ebpf.paused():
        pass
    yield
    with ebpf.paused():
        os.getppid()
    ebpf.assert_no_syscall("getppid")


def test_keeps_its_recording(pausing: None, ebpf: Recording) -> None:
    """First half of the next test."""
    OF_EARLIER_TEST.append(ebpf)


def test_pauses_for_itself_alone(ebpf: Recording) -> None:
    """The recording of an earlier test, which a thread may have kept, can't pause this one's."""
    kept = OF_EARLIER_TEST.pop()
    with pytest.raises(EbpfError, match="its test is over"), kept.paused():
        pass
    os.getppid()
    ebpf.assert_syscall("getppid", count=1)


LEFT_BEHIND: list[subprocess.Popen[bytes]] = []


def test_leaves_a_child_behind(ebpf: Recording) -> None:
    """First half of the next test."""
    LEFT_BEHIND.append(subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE))
    ebpf.assert_syscall("%process", process="children", min=1)


def test_is_charged_for_work_that_it_gave_to_another_tests_child(ebpf: Recording) -> None:
    """Contract C2: it is the cause, by the pipe that it writes to."""
    child = LEFT_BEHIND.pop()
    child.communicate(b"work")
    ebpf.assert_syscall("write", pid=child.pid, nbytes=4, count=1)
    ebpf.assert_no_syscall("connect")


def test_programs_go_with_the_session(pytester: pytest.Pytester, loaded_programs: Callable[[], list[int]]) -> None:
    """Checked from outside: nothing of a finished session is left in the kernel."""
    before = set(loaded_programs())
    pytester.makepyfile("def test_it(ebpf): pass")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1)
    _gone(loaded_programs, before)


@pytest.mark.parametrize("heir", ["", "import os, signal\n    if os.fork() == 0: signal.pause()\n    "])
def test_programs_go_when_pytest_is_killed(
    pytester: pytest.Pytester, loaded_programs: Callable[[], list[int]], heir: str, tmp_path: Path
) -> None:
    """SIGKILL, with and without a forked child that lives on."""
    before = set(loaded_programs())
    pytester.makepyfile(f"""
def test_it(ebpf):
    {heir}
    import os, signal
    print("pid", os.getpid(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
""")
    group = subprocess.Popen([sys.executable, "-m", "pytest", "-s", "-p", "no:cacheprovider"], process_group=0)
    assert group.wait() == -9
    try:
        _gone(loaded_programs, before)
    finally:
        if heir:
            os.killpg(group.pid, 9)


def _gone(loaded_programs: Callable[[], list[int]], before: set[int]) -> None:
    """The kernel frees programs a moment after their last holder ends."""
    import time

    deadline = time.monotonic() + 30
    while set(loaded_programs()) - before:
        assert time.monotonic() < deadline, "eBPF programs are still loaded"
