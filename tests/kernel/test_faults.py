"""What goes wrong around a test: no hang, no lost verdict, and nothing left in the kernel, seen from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from pytest_ebpf.recording import Recording

QUIET = ("-p", "no:cacheprovider", "-p", "no:faulthandler")
PYTEST = (sys.executable, "-m", "pytest", *QUIET)
A_MINUTE = 60


@pytest.fixture(autouse=True)
def nothing_left(loaded_programs: Callable[[], list[int]]) -> Iterator[None]:
    """The programs go with the session; the kernel frees them a moment after their last holder ends."""
    before = set(loaded_programs())
    yield
    deadline = time.monotonic() + A_MINUTE
    while set(loaded_programs()) - before:
        assert time.monotonic() < deadline, "eBPF programs are still loaded"


def run(pytester: pytest.Pytester, *wrapper: str, options: tuple[str, ...] = ()) -> pytest.RunResult:
    """Run the tests by way of another program."""
    return pytester.run(*wrapper, *PYTEST, *options, timeout=A_MINUTE)


@pytest.mark.parametrize("delay_ms", [2, 53, 101, 151, 211, 307, 401])
def test_killed_at_any_moment(pytester: pytest.Pytester, delay_ms: int) -> None:
    """While it starts, loads the programs, or records: nothing stays."""
    pytester.makepyfile("def test_it(ebpf):\n    while True: len(ebpf.events)")
    with subprocess.Popen(PYTEST, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(delay_ms / 1000)
        process.kill()


def test_interrupted_from_the_keyboard(pytester: pytest.Pytester) -> None:
    """Ctrl-C in the middle of a call, in the whole foreground group: pytest ends as ever."""
    pytester.makepyfile("def test_it(ebpf):\n    import os; print('now', flush=True); os.read(os.pipe()[0], 1)")
    with subprocess.Popen([*PYTEST, "-s"], stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.endswith("now\n"):
                break
        os.killpg(process.pid, signal.SIGINT)
        said = process.stdout.read()
        assert process.wait(A_MINUTE) == pytest.ExitCode.INTERRUPTED
    assert "KeyboardInterrupt" in said


def test_timeout_that_ends_the_process(pytester: pytest.Pytester) -> None:
    """As pytest-timeout does by its method "thread", from another thread, in the middle of the plugin's work."""
    pytester.makepyfile(
        """
        import os, threading

        def test_it(ebpf):
            threading.Timer(0.1, os._exit, [7]).start()
            while True:
                len(ebpf.files())
        """
    )
    assert run(pytester).ret == 7


def test_timeout_by_signal(pytester: pytest.Pytester) -> None:
    """As pytest-timeout does by its method "signal": the test fails, the next one is judged."""
    pytester.makepyfile(
        """
        import os, pytest, signal

        def test_slow(ebpf):
            signal.signal(signal.SIGALRM, lambda *_: pytest.fail("timeout"))
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            os.read(os.pipe()[0], 1)

        def test_next(ebpf):
            os.getppid()
            ebpf.assert_syscall("getppid", count=1)
            ebpf.assert_no_syscall("connect")
        """
    )
    run(pytester).assert_outcomes(passed=1, failed=1)


def test_few_descriptors(pytester: pytest.Pytester) -> None:
    """64 are enough for a session, and a test that uses up the rest is judged."""
    pytester.makepyfile(
        """
        import os

        def test_it(ebpf):
            fds = []
            try:
                while True:
                    fds.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                pass
            ebpf.assert_syscall("openat", path="/dev/null", ok=True, count=len(fds))
            ebpf.assert_syscall("openat", path="/dev/null", errno="EMFILE", count=1)
            assert ebpf.complete, ebpf.gaps
            assert len(ebpf.files(op="open", path="/dev/null", ok=True)) == len(fds) > 31
            for fd in fds:
                os.close(fd)
        """
    )
    run(pytester, "prlimit", "--nofile=64:64").assert_outcomes(passed=1)


@pytest.mark.parametrize("limit", ["--nofile=17:17", "--nofile=19:19", "--nofile=23:23", "--as=200000000"])
def test_too_little_of_something(pytester: pytest.Pytester, limit: str) -> None:
    """Too few descriptors or too little memory for the recorder: the test that needs it fails, others run."""
    pytester.makepyfile("def test_plain(): pass\ndef test_it(ebpf): pass")
    result = run(pytester, "prlimit", limit)
    result.assert_outcomes(passed=1, errors=1)
    assert "INTERNALERROR" not in result.stdout.str()
    result.stdout.re_match_lines([r"E .*(start engine \w+: |load \S+: Too many open files).*ulimit -"])


def test_read_only_file_system(pytester: pytest.Pytester) -> None:
    """The recorder writes nowhere."""
    pytester.makepyfile("import os\ndef test_it(ebpf):\n    os.getppid()\n    ebpf.assert_syscall('getppid', count=1)")
    command = " ".join(["mount -o remount,ro,bind / && ! touch x 2>/dev/null && exec", *PYTEST, "-s"])
    result = run_shell(pytester, "mount --bind / / ; " + command)
    result.assert_outcomes(passed=1)


def run_shell(pytester: pytest.Pytester, script: str) -> pytest.RunResult:
    """A script in a mount namespace of its own."""
    return pytester.run("unshare", "--mount", "/bin/sh", "-c", script, timeout=A_MINUTE)


def test_seccomp_filter_in_the_test(pytester: pytest.Pytester) -> None:
    """One that refuses most of what the plugin could want: it is judged, by memory alone, and stays silent."""
    pytester.makepyfile(
        """
        import ctypes, os, struct

        REFUSED = {"x86_64": (24, 110, 434, 321), "aarch64": (124, 173, 434, 280)}[os.uname().machine]
        # sched_yield, getppid, pidfd_open, bpf

        def test_it(ebpf):
            libc = ctypes.CDLL(None)
            code = struct.pack("=HBBI", 0x20, 0, 0, 0)
            for left, number in enumerate(REFUSED):
                code += struct.pack("=HBBI", 0x15, len(REFUSED) - left, 0, number)
            code += struct.pack("=HBBIHBBI", 0x06, 0, 0, 0x7FFF0000, 0x06, 0, 0, 0x00050001)
            buffer = ctypes.create_string_buffer(code)
            program = ctypes.create_string_buffer(struct.pack("=HxxxxxxQ", len(code) // 8, ctypes.addressof(buffer)))
            assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program, 0, 0) == 0
            assert libc.getppid() == -1
            ebpf.assert_syscall("getppid", errno="EPERM", count=1)
            ebpf.assert_no_syscall("connect")
            assert ebpf.complete, ebpf.gaps
            ebpf.assert_no_syscall("sched_yield")
        """
    )
    # In a test process of its own: a filter can't be taken away.
    run(pytester, options=("-s",)).assert_outcomes(passed=1)


def test_2003_processes_at_one_time(ebpf: Recording) -> None:
    """Each is followed, from its first call. Of a small program: two thousand of this process would fill the memory."""
    program = """
import os
reader, writer = os.pipe()
children = []
for _ in range(2003):
    child = os.fork()
    if child == 0:
        os.close(writer)
        os.read(reader, 1)
        os.getppid()
        os._exit(7)
    children.append(child)
os.close(writer)
assert {os.waitpid(child, 0)[1] for child in children} == {7 << 8}
"""
    subprocess.run([sys.executable, "-I", "-S", "-c", program], check=True)
    assert len(ebpf.processes(op="fork")) == 2004
    assert len(ebpf.processes(op="exit", exit_code=7)) == 2003
    ebpf.assert_syscall("getppid", process="children", count=2003)
    ebpf.assert_no_syscall("connect")
    assert ebpf.complete, ebpf.gaps


def test_503_threads(ebpf: Recording) -> None:
    """In a child: so that this process keeps its own."""
    program = """
import os, threading
barrier = threading.Barrier(503)
def work():
    barrier.wait()
    os.getppid()
threads = [threading.Thread(target=work) for _ in range(503)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    subprocess.run([sys.executable, "-I", "-S", "-c", program], check=True)
    calls = ebpf.syscalls("getppid", process="children")
    assert len(calls) == 503
    assert len({event.tid for event in calls}) == 503
    assert ebpf.complete, ebpf.gaps


def test_stopped_child(ebpf: Recording) -> None:
    """A child that is stopped in the middle of a call holds nobody up, and its call is there."""
    child = subprocess.Popen(["/bin/sh", "-c", "echo; read line; echo; kill -STOP $$"], stdin=-1, stdout=-1)
    assert child.stdout is not None
    assert child.stdin is not None
    child.stdout.readline()
    child.stdin.write(b"\n")
    child.stdin.flush()
    child.stdout.readline()
    os.waitid(os.P_PID, child.pid, os.WSTOPPED)
    ebpf.assert_syscall("kill", comm="sh", count=1)
    ebpf.assert_no_syscall("connect")
    assert ebpf.complete, ebpf.gaps
    child.kill()
    child.communicate()


@pytest.mark.xfail(strict=True, reason="the kernel stamps events by the clock of the first time namespace")
def test_clock_of_a_time_namespace(pytester: pytest.Pytester) -> None:
    """Times are those that the test's own clock would tell, wherever that stands."""
    pytester.makepyfile(
        """
        import os, time

        def test_it(ebpf):
            before = time.monotonic_ns()
            os.getppid()
            after = time.monotonic_ns()
            event = ebpf.syscalls("getppid").first
            assert before <= event.timestamp_ns <= after
            assert ebpf.syscalls("getppid").format().startswith("+0.0")
        """
    )
    run(pytester, "unshare", "--time", "--monotonic", "1000003", "--fork").assert_outcomes(passed=1)


def test_the_code_under_test_gets_no_descriptor_of_ours(pytester: pytest.Pytester) -> None:
    """No child, however it is started, can write to the control page or the rings."""
    pytester.makepyfile(
        """
        import os, subprocess, sys

        LOOK = (
            "import os; print([os.readlink(f'/proc/self/fd/{fd}') for fd in os.listdir('/proc/self/fd')"
            " if os.path.exists(f'/proc/self/fd/{fd}')], open('/proc/self/maps').read())"
        )

        def test_it(ebpf):
            for command in (["unshare", "--fork", "--pid", "--mount-proc"], ["setsid", "--wait"], []):
                argv = [*command, sys.executable, "-S", "-c", LOOK]
                told = subprocess.run(argv, close_fds=False, capture_output=True, check=True).stdout
                assert b"bpf" not in told.replace(b"pytest_ebpf", b"").replace(b"pytest-ebpf", b""), told
            argv = [sys.executable, "-S", "-c", LOOK]
            reader, writer = os.pipe()
            os.set_inheritable(writer, True)
            child = os.posix_spawn(sys.executable, argv, {}, file_actions=[(os.POSIX_SPAWN_DUP2, writer, 1)])
            os.close(writer)
            told = open(reader, "rb").read()
            os.waitpid(child, 0)
            assert b"anon_inode:bpf" not in told
        """
    )
    run(pytester).assert_outcomes(passed=1)


def test_this_file_looks_at_the_kernel(loaded_programs: Callable[[], list[int]], ebpf: Recording) -> None:
    """Programs that are there are seen."""
    assert loaded_programs()
