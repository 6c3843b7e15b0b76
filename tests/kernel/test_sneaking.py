"""Ways to do something unseen, each seen or a gap; found by trying."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

QUIET = ("-p", "no:cacheprovider")


def test_pid_namespace(pytester: pytest.Pytester) -> None:
    """In a container the test knows a process by another number than the kernel's first namespace."""
    pytester.makepyfile(
        """
        import os, subprocess, sys, threading
        import pytest
        from pytest_ebpf import InconclusiveRecording

        def test_it(ebpf):
            child = subprocess.Popen(["/bin/cat", "/etc/passwd"], stdout=subprocess.DEVNULL)
            child.wait()
            assert ebpf.syscalls("openat").last.pid != child.pid
            with pytest.raises(AssertionError):
                ebpf.assert_no_syscall("openat", path="/etc/passwd", pid=child.pid)
            with pytest.raises(InconclusiveRecording):
                ebpf.assert_no_syscall("openat", path="/etc/passwd", tid=child.pid)
            assert not ebpf.syscalls("openat", path="/etc/passwd", pid=os.getpid())
        """
    )
    command = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-m", "pytest", *QUIET]
    pytester.run(*command).assert_outcomes(passed=1)


def test_forked_child_goes_on_running_tests(pytester: pytest.Pytester) -> None:
    """It can't record, and leaves the parent's recorder alone."""
    pytester.makepyfile(
        """
        import os
        import pytest

        CHILD = []

        def test_forks(ebpf):
            CHILD.append(os.fork())

        def test_next(ebpf):
            os.getppid()
            ebpf.assert_syscall("getppid", count=1)
            ebpf.assert_no_syscall("connect")

        def test_waits(ebpf):
            if CHILD[0]:
                # The child has failed every test that records, and ended pytest.
                assert os.waitstatus_to_exitcode(os.waitpid(CHILD[0], 0)[1]) == 1
            ebpf.assert_no_syscall("connect")
        """
    )
    result = pytester.runpytest_subprocess(*QUIET, "-s")
    assert result.ret == 0
    assert "3 passed" in result.stdout.str()


def test_handler_raises_while_the_recording_is_read(pytester: pytest.Pytester) -> None:
    """An exception out of the plugin's own work, as pytest-timeout's, doesn't blind the tests after it."""
    pytester.makepyfile(
        """
        import contextlib, os, signal
        import pytest
        from pytest_ebpf import InconclusiveRecording

        class Late(Exception):
            pass

        def late(signum, frame):
            raise Late

        def test_interrupted(ebpf):
            signal.signal(signal.SIGALRM, late)
            for delay in range(1, 400):
                try:
                    signal.setitimer(signal.ITIMER_REAL, delay * 1e-5)
                    while True:
                        with contextlib.suppress(InconclusiveRecording):
                            len(ebpf.files())
                except Late:
                    pass

        def test_next(ebpf):
            os.close(os.open("/etc/passwd", os.O_RDONLY))
            import mmap
            mmap.mmap(-1, 4096).close()
            ebpf.assert_syscall("openat", path="/etc/passwd", count=1)
            ebpf.assert_syscall("mmap", min=1)
        """
    )
    pytester.runpytest_subprocess(*QUIET).assert_outcomes(passed=2)


def test_handler_opens_while_the_recording_is_read(
    pytester: pytest.Pytester, run: Callable[..., pytest.RunResult]
) -> None:
    """What a signal handler of the test does in the middle of the plugin's work is the test's."""
    pytester.makepyfile(
        """
        import os, signal

        opened = 0

        def handle(signum, frame):
            global opened
            os.close(os.open("/etc/passwd", os.O_RDONLY))
            opened += 1

        def test_it(ebpf):
            signal.signal(signal.SIGALRM, handle)
            signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)
            while opened < 101:
                ebpf.files(), ebpf.network(), ebpf.processes()
            signal.setitimer(signal.ITIMER_REAL, 0)
            ebpf.assert_syscall("openat", path="/etc/passwd", count=opened)
        """
    )
    # Without plugins that have threads, which would take the signals.
    run(*QUIET).assert_outcomes(passed=1)


def test_work_handed_to_an_earlier_tests_process(pytester: pytest.Pytester) -> None:
    """A pool that another test happened to start works for this one, and its work is this one's."""
    pytester.makepyfile(
        """
        import multiprocessing, os, pathlib
        from concurrent.futures import ProcessPoolExecutor
        import pytest

        pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))

        def read():
            return len(open("/etc/passwd").read())

        def test_starts_it(ebpf):
            worker = pathlib.Path("/proc", str(pool.submit(os.getpid).result()), "stat")
            while worker.read_text().rpartition(")")[2].split()[0] != "S":
                os.sched_yield()  # else the next work would come before it waits: whose that is isn't certain

        def test_uses_it(ebpf):
            pool.submit(read).result()
            with pytest.raises(AssertionError, match="1 call matched"):
                ebpf.assert_no_syscall("%open", path="/etc/passwd")
        """
    )
    pytester.runpytest_subprocess(*QUIET).assert_outcomes(passed=2)


def test_recording_kept_from_an_earlier_test(pytester: pytest.Pytester) -> None:
    """It is an error to ask it, not an empty answer; events that were taken from it stay whole."""
    pytester.makepyfile(
        """
        import os
        import pytest
        from pytest_ebpf import EbpfError

        KEPT = []

        def test_one(ebpf):
            os.close(os.open("/etc/passwd", os.O_RDONLY))
            KEPT.extend([ebpf, ebpf.events])

        def test_two(ebpf):
            pass

        def test_three(ebpf):
            for ask in (KEPT[0].assert_no_syscall, lambda: KEPT[0].events, lambda: KEPT[0].complete):
                with pytest.raises(EbpfError, match="an earlier test"):
                    ask()
            assert KEPT[1].paths == {"/etc/passwd"}
        """
    )
    pytester.runpytest_subprocess(*QUIET).assert_outcomes(passed=3)


def test_losses_of_one_test_are_not_the_next_ones(pytester: pytest.Pytester) -> None:
    """Calls and starts of processes that found no room are missing where they were made."""
    pytester.makepyfile(
        """
        import os, threading
        import pytest

        def test_floods(ebpf):
            for _ in range(500_000):
                os.getppid()
            thread = threading.Thread(target=os.getppid)
            thread.start()
            thread.join()
            assert not ebpf.complete

        def test_next(ebpf):
            ebpf.assert_no_syscall("connect")
            assert ebpf.complete, ebpf.gaps
        """
    )
    pytester.runpytest_subprocess(*QUIET, "--ebpf-memory=8MiB").assert_outcomes(passed=2)
