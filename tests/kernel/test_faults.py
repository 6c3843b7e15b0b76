"""What goes wrong around a test: no hang, no lost verdict, and nothing left in the kernel, seen from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_ebpf.recording import Recording

pytestmark = pytest.mark.heavy(reason="kills processes by the hundred")

QUIET = ("-p", "no:cacheprovider", "-p", "no:faulthandler")
PYTEST = (sys.executable, "-m", "pytest", *QUIET)
A_MINUTE = 60


@pytest.fixture(autouse=True)
def nothing_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whoever holds programs or maps ends with the session: looked for in /proc, by what it has inherited."""
    monkeypatch.setenv("EBPF_FAULTS", os.urandom(8).hex())
    yield
    deadline = time.monotonic() + A_MINUTE
    while holders(os.environ["EBPF_FAULTS"].encode()):
        assert time.monotonic() < deadline, "eBPF programs are still held"


@pytest.fixture(autouse=True)
def keyboard() -> Iterator[None]:
    """Ctrl-C reaches what is started, also where this run was started so that it passes by."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def holders(token: bytes) -> list[int]:
    """Processes with a descriptor of eBPF, of those that have inherited a variable."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            if token in (each / "environ").read_bytes() and int(each.name) != os.getpid():
                files = [str(fd.readlink()) for fd in (each / "fd").iterdir()]
                found += [int(each.name)] * any(file.startswith("anon_inode:bpf") for file in files)
        except (FileNotFoundError, PermissionError, ProcessLookupError):  # it ended or closed that, or is none of ours
            continue
    return found


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
    problems = r"(start engine \w+: |load \S+: Too many open files|create the recorder's \w+: Cannot allocate memory)"
    result.stdout.re_match_lines([rf"E .*{problems}.*ulimit -"])


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


def test_worker_that_is_killed(pytester: pytest.Pytester) -> None:
    """Its test has failed, all others are judged, by a worker in its place too."""
    pytester.makepyfile(
        """
        import os, pytest, signal

        @pytest.mark.parametrize("number", range(7))
        def test_it(ebpf, number):
            os.getppid()
            if number == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            ebpf.assert_syscall("getppid", count=1)
            ebpf.assert_no_syscall("connect")
        """
    )
    result = run(pytester, options=("-n2",))
    result.assert_outcomes(passed=6, failed=1)
    result.stdout.fnmatch_lines(["worker * crashed while running *test_it?3?*"])


def test_children_that_are_killed_at_any_moment(ebpf: Recording) -> None:
    """In the middle of calls, of forks, of the start of a program: each end is there, and nothing is missing."""
    program = """
import os, sys
rounds, way = map(int, sys.argv[1:])
while True:
    rounds -= 1
    if rounds == 0:
        os.write(1, b"now")
    if way == 0:
        open("/etc/hostname").close()
    elif os.fork():
        os.wait()
    else:
        os._exit(3)
"""
    for number in range(23):
        arguments = [str(number + 1), str(number % 2)]
        with subprocess.Popen([sys.executable, "-I", "-S", "-c", program, *arguments], stdout=-1) as child:
            assert child.stdout is not None
            assert child.stdout.read(3) == b"now"
            child.kill()
    assert len(ebpf.processes(op="exit", signal="SIGKILL")) == 23
    assert ebpf.complete, ebpf.gaps


@pytest.mark.parametrize("phase", ["import", "collection", "setup", "call", "teardown", "finish"])
def test_interrupted_in_a_phase(pytester: pytest.Pytester, phase: str) -> None:
    """By Ctrl-C: pytest ends as ever, and what was judged before is told."""
    pytester.makeconftest(
        """
        import os, signal, pytest

        def now(phase):
            if os.environ["PHASE"] == phase:
                os.kill(os.getpid(), signal.SIGINT)

        def pytest_collection_modifyitems():
            now("collection")

        def pytest_sessionfinish():
            now("finish")

        @pytest.fixture
        def interrupted():
            now("setup")
            yield
            now("teardown")
        """
    )
    pytester.makepyfile(
        """
        from conftest import now
        now("import")

        def test_first(ebpf):
            assert ebpf.complete

        def test_second(ebpf, interrupted):
            now("call")

        def test_third(ebpf):
            assert ebpf.complete
        """
    )
    os.environ["PHASE"] = phase
    try:
        result = run(pytester, options=("-v", "--ebpf-summary"))
    finally:
        del os.environ["PHASE"]
    assert result.ret in (pytest.ExitCode.INTERRUPTED, 128 + signal.SIGINT, -signal.SIGINT)
    assert "INTERNALERROR" not in result.stdout.str()
    assert ("test_first PASSED" in result.stdout.str()) is (phase not in ("import", "collection"))


@pytest.mark.parametrize("method", ["signal", "thread"])
def test_pytest_timeout(pytester: pytest.Pytester, method: str) -> None:
    """It ends tests that hang, in the middle of the plugin's work and outside of it; with "thread" the run, too."""
    pytester.makepyfile(
        """
        import os, pytest

        @pytest.mark.timeout(0.3)
        def test_asks(ebpf):
            while True:
                ebpf.events.known, ebpf.gaps
                os.getppid()

        @pytest.mark.timeout(0.3)
        def test_hangs(ebpf):
            os.read(os.pipe()[0], 1)

        def test_next(ebpf):
            os.getppid()
            ebpf.assert_syscall("getppid", count=1)
            ebpf.assert_no_syscall("connect")
        """
    )
    result = run(pytester, options=(f"--timeout-method={method}",))
    if method == "signal":
        result.assert_outcomes(passed=1, failed=2)
    else:
        assert result.ret == 1
        assert "Timeout" in result.stdout.str() + result.stderr.str()


def test_full_disk(pytester: pytest.Pytester) -> None:
    """An export that finds no room costs no verdict, is named, and leaves no half of a file."""
    pytester.makepyfile(
        """
        import os

        def test_small(ebpf):
            os.getppid()

        def test_large(ebpf):
            for _ in range(2003): os.getppid()

        def test_violates(ebpf):
            for _ in range(2003): os.getppid()
            ebpf.assert_no_syscall("getppid")

        def test_last(ebpf):
            os.getppid()
        """
    )
    mount = "mkdir out && mount -t tmpfs -o size=64k none out && "
    command = " ".join([*PYTEST, "--ebpf-export=out", "--ebpf-trace=none"])
    result = run_shell(pytester, f"{mount}{command}; code=$?; ls -A out; exit $code")
    result.assert_outcomes(passed=3, failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    out = result.stdout.str()
    for name in ("large", "violates"):
        assert f"::test_{name}: not exported: [Errno 28] No space left on device" in out
    left = [line for line in result.outlines if line.endswith((".json", ".jsonl")) or line[:1] == "."]
    assert len([line for line in left if "test_small" in line or "test_last" in line]) == len(left) == 4, left


def test_control_group_with_little_memory(pytester: pytest.Pytester) -> None:
    """The kernel counts the recorder's memory for the group, and refuses it: others run, the reason is told."""
    pytester.makepyfile("def test_plain(): pass\ndef test_it(ebpf): ebpf.assert_no_syscall('connect')")
    enter = """
        mkdir group && mount -t cgroup2 none group && limit=memory.max
        if grep -qw memory group/cgroup.controllers; then
            echo +memory > group/cgroup.subtree_control
        else
            umount group && mount -t cgroup -o memory none group && limit=memory.limit_in_bytes
        fi
        """
    inside = f"""
        mkdir group/pytest-ebpf && echo 136314880 > group/pytest-ebpf/$limit
        (echo 0 > group/pytest-ebpf/cgroup.procs && exec {" ".join(PYTEST)})
        code=$?
        until rmdir group/pytest-ebpf 2> /dev/null; do :; done
        exit $code
        """
    result = run_shell(pytester, enter + inside)
    if result.ret == 128 + signal.SIGKILL:  # the out-of-memory killer was quicker: no verdict, so no wrong one
        assert "passed" not in result.stdout.str()
    elif result.ret:
        result.assert_outcomes(passed=1, errors=1)
        result.stdout.fnmatch_lines(["E *Cannot allocate memory (free some memory: *"])
    else:  # before Linux 5.11 it isn't counted so
        result.assert_outcomes(passed=2)


def test_little_locked_memory(pytester: pytest.Pytester) -> None:
    """Against which maps counted before Linux 5.11: root lifts the limit."""
    pytester.makepyfile("def test_it(ebpf): ebpf.assert_no_syscall('connect')")
    run(pytester, "prlimit", "--memlock=65536:65536").assert_outcomes(passed=1)


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


@pytest.mark.parametrize("ahead_s", ["1000003", "-7"])
def test_clock_of_a_time_namespace(pytester: pytest.Pytester, ahead_s: str) -> None:
    """Times are those that the test's own clock would tell, wherever that stands; and late is what comes later."""
    pytester.makepyfile(
        """
        import os, threading, time

        def test_it(ebpf):
            before = time.monotonic_ns()
            os.getppid()
            after = time.monotonic_ns()
            event = ebpf.syscalls("getppid").first
            assert before <= event.timestamp_ns <= after
            assert ebpf.syscalls("getppid").format().startswith("+0.0")
            pid = os.fork()
            if not pid:
                os._exit(7)
            os.waitpid(pid, 0)
            assert after <= ebpf.processes(op="exit").first.timestamp_ns <= time.monotonic_ns()

        go, threads = [], []

        def work():
            while not go:
                time.sleep(0.001)
            open("/etc/hostname").close()

        def test_leaves_a_thread(ebpf):
            threads.append(threading.Thread(target=work))
            threads[0].start()
            open("/etc/hostname").close()

        def test_goes_on():
            go.append(1)
            threads[0].join()
        """
    )
    result = run(pytester, "unshare", "--time", "--monotonic", ahead_s, "--fork")
    result.assert_outcomes(passed=3)
    late = result.stdout.str().partition("late events (ebpf)")[2]
    assert late.count('openat(AT_FDCWD, "/etc/hostname"') == 1


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


def test_no_child_has_the_memory_of_ours(pytester: pytest.Pytester) -> None:
    """However it comes to be, and whatever it opens of its parent: no descriptor, and no mapping to write to."""
    pytester.makepyfile(
        """
        import contextlib, multiprocessing, os

        def links(pid):
            found = []
            for fd in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                    found.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
            return found

        def held(pid):
            files = links(pid)
            with open(f"/proc/{pid}/maps") as maps:
                files += [line.split(maxsplit=5)[-1].strip() for line in maps]
            return [file for file in files if file.startswith("anon_inode:bpf")]

        def look(pipe):
            pipe.send(held("self"))

        def test_it(ebpf):
            assert held("self"), "pytest itself has the memory mapped"
            assert not [link for link in links("self") if link.startswith("anon_inode:bpf")]
            for way in ("fork", "forkserver", "spawn"):
                context = multiprocessing.get_context(way)
                here, there = context.Pipe()
                child = context.Process(target=look, args=(there,))
                child.start()
                assert here.poll(60)
                assert here.recv() == [], way
                child.join()
            # What it can open of its parent are descriptors, of which none is ours.
            reader, writer = os.pipe()
            pid = os.fork()
            if not pid:
                os.write(writer, repr([link for link in links(os.getppid()) if "bpf" in link]).encode())
                os._exit(0)
            os.waitpid(pid, 0)
            os.close(writer)
            assert os.read(reader, 1000) == b"[]"
        """
    )
    run(pytester).assert_outcomes(passed=1)


@pytest.mark.usefixtures("ebpf")
def test_this_file_looks_at_the_kernel(loaded_programs: Callable[[], list[int]], pytester: pytest.Pytester) -> None:
    """Programs that are there are seen, and so is who holds them."""
    assert loaded_programs()
    pytester.makepyfile("def test_it(ebpf):\n    import os; print('now', flush=True); os.read(0, 1)")
    with subprocess.Popen([*PYTEST, "-s"], stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout is not None
        while not process.stdout.readline().endswith("now\n"):
            assert process.poll() is None
        assert holders(os.environ["EBPF_FAULTS"].encode())
        process.kill()
