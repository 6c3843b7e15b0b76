"""Whose doing a call is: of tasks however they were started, of work that is handed over, of wider fixtures."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Protocol

import pytest

from pytest_ebpf.recording import Recording


class Run(Protocol):
    """See the fixture run."""

    def __call__(self, *args: str, plugins: tuple[str, ...] = ()) -> pytest.RunResult: ...


NUMBERS = {"x86_64": {"clone": 56, "vfork": 58, "clone3": 435}, "aarch64": {"clone": 220, "clone3": 435}}[
    os.uname().machine
]
START = """
import ctypes, os, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
UNTRACED, NEW_USER, NEW_PID = 0x00800000, 0x10000000, 0x20000000
def act():
    fd = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
    os.write(fd, b"%d" % os.getpid())
    os.close(fd)
def clone(flags):
    return libc.syscall(NUMBERS["clone"], flags | signal.SIGCHLD, 0, 0, 0, 0)
def clone3(flags):
    args = (ctypes.c_uint64 * 11)(flags, 0, 0, 0, signal.SIGCHLD)
    return libc.syscall(NUMBERS["clone3"], args, 88)
def child(pid):
    if not pid:
        act()
        os._exit(0)
    assert pid > 0
    assert os.waitpid(pid, 0)[1] == 0
def orphan():
    ended, ending = os.pipe()
    os.set_inheritable(ending, False)
    if os.fork() == 0:
        if os.fork() == 0:
            os.close(ending)
            assert os.read(ended, 1) == b""  # the parent has ended: init, or a subreaper, is the new one
            os.setsid()
            act()
            os._exit(0)
        os._exit(0)
    os.close(ending)
    os.wait()
"""
WAYS = {
    "fork": "child(os.fork())",
    "clone": "child(clone(0))",
    "clone3": "child(clone3(0))",
    "untraced": "child(clone(UNTRACED))",
    "thread": "import threading; t = threading.Thread(target=act); t.start(); t.join()",
    "spawn": """
pid = os.posix_spawn(sys.executable, [sys.executable, "-S", "-c", f"open({sys.argv[1]!r}, 'w')"], {})
assert os.waitpid(pid, 0)[1] == 0
""",
    "vfork": """
pid = libc.syscall(NUMBERS["clone"], 0x4000 | signal.SIGCHLD, 0, 0, 0, 0)  # CLONE_VFORK
child(pid)
""",
    "exec": "os.execv('/bin/sh', ['sh', '-c', 'echo > ' + sys.argv[1]])",
    "orphan": "orphan()",
    "pid namespace": "child(clone(NEW_PID))",
    "user namespace": "child(clone3(NEW_USER | NEW_PID))",
}


@pytest.mark.parametrize("way", WAYS)
def test_task_carries_its_test(ebpf: Recording, tmp_path: Path, way: str) -> None:
    """However a task is started, what it does is the test's, and it says which test and phase that is."""
    program = f"NUMBERS = {NUMBERS}\n{START}\n{WAYS[way]}"
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    subprocess.run([sys.executable, "-S", "-c", program, tmp_path / "here"], check=True, close_fds=False)
    os.close(writer)
    assert os.read(reader, 1) == b""  # the last one that could hold the pipe has ended
    os.close(reader)
    ebpf.assert_syscall("%open", path=tmp_path / "here", process="children", ok=True, count=1)
    event = ebpf.syscalls("%open", path=tmp_path / "here").first
    assert event is not None
    assert event.process.started_by == os.environ["PYTEST_CURRENT_TEST"]
    assert [each.is_self for each in event.process.chain()][-1]
    assert ebpf.complete, ebpf.gaps
    if "namespace" in way:
        assert (tmp_path / "here").read_text() == "1"
        assert event.process.ns_pid == 1
        assert event.pid > 1


def test_phase_that_started_it(run: Run, pytester: pytest.Pytester) -> None:
    """A process tells the phase of the test in which it was started."""
    pytester.makepyfile(
        test_p="""
        import subprocess
        import pytest

        def ask(child):
            child.stdin.write(b"x")
            child.stdin.flush()
            assert child.stdout.read(1) == b"x"

        @pytest.fixture
        def child():
            with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
                yield child

        def test_setup_and_call(ebpf, child):
            with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as own:
                ask(child)
                ask(own)
                found = {each.pid: each.process.started_by for each in ebpf.syscalls("write", comm="cat")}
                assert found == {
                    child.pid: "test_p.py::test_setup_and_call (setup)",
                    own.pid: "test_p.py::test_setup_and_call (call)",
                }
                own.stdin.close()
            child.stdin.close()

        def test_window(ebpf):
            with ebpf.window() as before:
                before.assert_no_leaked_processes()
            with ebpf.window() as during:
                own = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
                with pytest.raises(AssertionError, match="1 process is still alive"):
                    during.assert_no_leaked_processes()
            with ebpf.window() as after:
                after.assert_no_leaked_processes()
            before.assert_no_leaked_processes()
            own.communicate()
            during.assert_no_leaked_processes()
        """
    )
    run().assert_outcomes(passed=2)


def resident() -> int:
    """Memory of this process, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


CHILDREN = 19_997


@pytest.mark.heavy(reason="thousands of processes")
def test_many_short_lived_children(ebpf: Recording) -> None:
    """Twenty thousand children pass through a table of few slots: all are seen, and none is left in memory."""
    before = resident()
    loop = f"i=0; while [ $i -lt {CHILDREN} ]; do (:); i=$((i+1)); done"
    subprocess.run(["/bin/sh", "-c", loop], check=True)
    ebpf.assert_syscall("exit_group", comm="sh", count=CHILDREN + 1)
    assert len(ebpf.processes(op="fork")) == CHILDREN + 1
    assert ebpf.complete, ebpf.gaps
    assert len(ebpf._session.scope.slots) < 50
    assert resident() - before < 200 << 20


def test_memory_of_children_is_given_back(ebpf: Recording) -> None:
    """The next test holds none of them."""
    assert len(ebpf._session.scope.images) < 50
    assert ebpf._session._store.nbytes < 1 << 20


ASLEEP = '''
WAITS = {"202": 3, "98": 3, "232": 3, "22": 3}  # the argument of futex and epoll_wait that limits the time


def asleep(thread):
    """Whether it waits without a limit of time, as nobody does for the interpreter lock."""
    with open(f"/proc/self/task/{thread.native_id}/syscall") as file:
        number, *args = file.read().split()
    return number in WAITS and int(args[WAITS[number]], 16) in (0, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
'''
HAND_OVER = '''
import asyncio, os, queue, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
import pytest
from asleep import asleep
from pytest_ebpf import InconclusiveRecording

PATH = "/etc/hostname"
POOL = ThreadPoolExecutor(2)


def read():
    with open(PATH):
        pass


def once(ebpf, count=1):
    ebpf.assert_syscall("openat", path=PATH, count=count)
    assert ebpf.complete, ebpf.gaps


def once_in_loop(ebpf, count=1):
    """The loop may find a result that is there already: whose it is, is open, but nothing else is."""
    ebpf.assert_syscall("openat", path=PATH, count=count)
    ebpf.assert_no_syscall("connect")
    assert all(gap.calls <= {"recvfrom", "epoll_wait", "epoll_pwait", "futex"} for gap in ebpf.gaps), ebpf.gaps


def none(ebpf, path=PATH):
    ebpf.assert_no_syscall("%file", path=path)
    assert ebpf.complete, ebpf.gaps


BUSY_BODIES = []


@pytest.fixture(autouse=True)
def _at_rest():
    """A thread that still is on its way from one test's work back to the queue may find the next one's there."""
    yield
    idle = {*threading.enumerate()} - {threading.main_thread(), *BUSY_BODIES}
    while not all(asleep(thread) for thread in idle if thread.is_alive()):
        pass


def test_pool_a(ebpf):
    """Creates the pool's threads."""
    list(POOL.map(lambda barrier: barrier.wait(), [threading.Barrier(2)] * 2))
    POOL.submit(read).result()
    once(ebpf)


def test_pool_b(ebpf):
    POOL.submit(read).result()
    once(ebpf)


def test_pool_c(ebpf):
    none(ebpf)


def test_pool_work_that_sleeps(ebpf):
    def work():
        time.sleep(0.01)
        read()
        time.sleep(0.01)
        read()

    for done in [POOL.submit(work) for _ in range(5)]:
        done.result()
    once(ebpf, 10)


def test_pool_work_that_waits(ebpf):
    """For a lock that its own test opens, twice."""
    gates = [threading.Event(), threading.Event()]

    def work():
        for gate in gates:
            gate.wait()
            read()

    done = POOL.submit(work)
    for gate in gates:
        gate.set()
    done.result()
    once(ebpf, 2)


def test_pool_starts_a_process(ebpf):
    import subprocess

    POOL.submit(subprocess.run, ["true"], check=True).result()
    ebpf.assert_exec("true")
    assert "test_pool_starts_a_process" in ebpf.syscalls("exit_group", comm="true").first.process.started_by


JOBS, RESULTS, SERVING = queue.Queue(), queue.SimpleQueue(), []


def serve():
    SERVING.append(threading.current_thread())
    while (job := JOBS.get()) is not None:
        RESULTS.put(job())
        JOBS.task_done()


def test_queue_a(ebpf):
    threading.Thread(target=serve, daemon=True).start()


def test_queue_b(ebpf):
    JOBS.put(read)
    JOBS.join()
    once(ebpf)


def test_queue_c(ebpf):
    none(ebpf)


TICKS, STOP = [0], threading.Event()


def tick():
    while not STOP.wait(0.001):
        os.stat("/etc/fstab")
        TICKS[0] += 1


def ticked(times):
    until = TICKS[0] + times
    while TICKS[0] < until:
        pass


def test_timer_a(ebpf):
    BUSY_BODIES.append(threading.Thread(target=tick, daemon=True))
    BUSY_BODIES[0].start()
    ticked(3)
    ebpf.assert_syscall("%file", path="/etc/fstab", min=3)


def test_timer_b(ebpf):
    """A timer of A's fires while B is busy, and is not B's."""
    with ebpf.paused():
        ticked(2)  # one that fired before is over
    ticked(17)
    none(ebpf, "/etc/fstab")


def test_timer_c(ebpf):
    """Nor while B sleeps."""
    with ebpf.paused():
        ticked(2)
    before = TICKS[0]
    while TICKS[0] < before + 17:
        time.sleep(0.001)
    none(ebpf, "/etc/fstab")


def test_timer_work(ebpf):
    """A pool that another one's timer runs beside is B's all the same."""
    with ebpf.paused():
        ticked(2)
    before = TICKS[0]
    rounds = 0
    while TICKS[0] < before + 7:
        POOL.submit(read).result()
        rounds += 1
    once(ebpf, rounds)


def test_timer_end():
    STOP.set()
    BUSY_BODIES[0].join()


HALT, ROUNDS = threading.Event(), [0]


def fight():
    while not HALT.is_set():
        for _ in range(100_000):
            pass
        os.stat("/etc/fstab")
        ROUNDS[0] += 1


def test_lock_a(ebpf):
    sys.setswitchinterval(5e-4)
    for _ in range(2):
        BUSY_BODIES.append(threading.Thread(target=fight))
        BUSY_BODIES[-1].start()


@pytest.mark.parametrize("time", range(5))
def test_lock_b(ebpf, time):
    """Who hands over the interpreter lock hands over no work; but a thread that never waits may find some."""
    until = ROUNDS[0] + 17
    reads = 0
    while ROUNDS[0] < until:
        read()
        reads += 1
    ebpf.assert_syscall("openat", path=PATH, count=reads)
    assert "/etc/fstab" not in [event.path for event in ebpf.events]
    (gap,) = ebpf.gaps
    assert "test_lock_a" in gap.reason
    with pytest.raises(InconclusiveRecording):
        ebpf.assert_no_syscall("%file", path="/etc/fstab")
    ebpf.assert_no_syscall("connect")


def test_lock_end():
    HALT.set()
    for thread in BUSY_BODIES[1:]:
        thread.join()
    sys.setswitchinterval(0.005)


LOOPS = []


def loop_in_a_thread(ready):
    loop = asyncio.new_event_loop()
    LOOPS.append(loop)
    loop.call_soon(ready.set)
    loop.run_forever()


def test_loop_a(ebpf):
    ready = threading.Event()
    threading.Thread(target=loop_in_a_thread, args=(ready,), daemon=True).start()
    ready.wait()


def test_loop_b(ebpf):
    done = threading.Event()

    def work():
        read()
        done.set()

    LOOPS[0].call_soon_threadsafe(work)
    done.wait()
    once_in_loop(ebpf)


def test_loop_c(ebpf):
    async def job():
        await asyncio.sleep(0.01)
        return await asyncio.to_thread(read)

    asyncio.run_coroutine_threadsafe(job(), LOOPS[0]).result()
    once_in_loop(ebpf)


def test_loop_d(ebpf):
    """The executor of the loop has a thread by now."""

    async def job():
        await asyncio.to_thread(read)
        await asyncio.sleep(0.001)
        read()

    asyncio.run_coroutine_threadsafe(job(), LOOPS[0]).result()
    once_in_loop(ebpf, 2)


def test_loop_e(ebpf):
    ebpf.assert_no_syscall("%file", path=PATH)


BUSY = threading.Event()


def test_busy_a(ebpf):
    """Leaves the thread of the queue busy, and so without a wait that could tell for whom it goes on."""

    def busy():
        while not BUSY.is_set():
            pass

    while not RESULTS.empty():
        RESULTS.get()
    BUSY_BODIES.append(SERVING[0])
    JOBS.put(busy)


def test_busy_b(ebpf):
    JOBS.put(read)
    BUSY.set()
    RESULTS.get()
    RESULTS.get()
    with pytest.raises(InconclusiveRecording, match="threads or processes"):
        ebpf.assert_no_syscall("openat", path=PATH)
    with pytest.raises(InconclusiveRecording, match="threads or processes"):
        ebpf.assert_max(syscalls=len(ebpf.syscalls()))
    ebpf.assert_max(syscalls=10_000)
    ebpf.assert_max(opens=100)
    ebpf.assert_no_syscall("connect")
'''


def test_hand_over(run: Run, pytester: pytest.Pytester) -> None:
    """Work that a test gives to another one's thread is its own; what that thread does by itself is not."""
    pytester.makepyfile(asleep=ASLEEP, test_hand_over=HAND_OVER)
    result = run("--ebpf-trace=none")
    result.assert_outcomes(passed=28)
    late = {line.partition("::")[2] for line in result.outlines if line.startswith("test_hand_over.py::")}
    assert late == {"test_busy_a"}


BY_THE_CLOCK = '''
import os, queue, socket, threading, time
import pytest
from asleep import asleep
from pytest_ebpf import InconclusiveRecording

PATH = "/etc/hostname"
JOBS, DONE = queue.Queue(), queue.Queue()
LINE, OTHER_LINE = socket.socketpair(), socket.socketpair()


def serve():
    while (job := JOBS.get()) is not None:
        job()
        DONE.put(None)


def serve_when_quiet(line, limit):
    while True:
        line.settimeout(limit)
        line.recv(1)
        line.settimeout(0.001)
        with pytest.raises(TimeoutError):
            line.recv(1)
        read()
        DONE.put(None)


WORKER = threading.Thread(target=serve, daemon=True)


def read():
    with open(PATH):
        pass


def at_rest():
    while not asleep(WORKER):
        pass


def undecided(ebpf):
    with pytest.raises(InconclusiveRecording, match="threads or processes"):
        ebpf.assert_no_syscall("openat", path=PATH)
    ebpf.assert_no_syscall("connect")


def test_starts(ebpf):
    WORKER.start()
    threading.Thread(target=serve_when_quiet, args=(LINE[0], None), daemon=True).start()
    threading.Thread(target=serve_when_quiet, args=(OTHER_LINE[0], 1000), daemon=True).start()
    for line in LINE, OTHER_LINE:
        line[1].send(b"x")
        DONE.get()
    at_rest()


def wait():
    threading.Event().wait(0.001)
    read()


def wait_often():
    for _ in range(3):
        threading.Event().wait(0.001)
    read()


def wait_and_sleep():
    threading.Event().wait(0.001)
    time.sleep(0.001)
    read()


def wait_for_a_lock():
    """Which may be where that of the queue was before."""
    lock = threading.Lock()
    lock.acquire()
    lock.acquire(timeout=0.001)
    read()


def receive_and_sleep():
    line, other_end = socket.socketpair()
    line.settimeout(0.001)
    with other_end, line, pytest.raises(TimeoutError):
        line.recv(1)
    time.sleep(0.001)
    read()


def in_a_thread():
    """That was started after a wait, and waits itself."""
    threading.Event().wait(0.001)
    thread = threading.Thread(target=wait)
    thread.start()
    thread.join()


@pytest.mark.parametrize("job", [wait, wait_often, wait_and_sleep, wait_for_a_lock, receive_and_sleep, in_a_thread])
def test_in_the_middle(ebpf, job):
    JOBS.put(job)
    DONE.get()
    undecided(ebpf)
    at_rest()


def test_decided_again(ebpf):
    JOBS.put(read)
    DONE.get()
    ebpf.assert_syscall("openat", path=PATH, count=1)
    assert ebpf.complete, ebpf.gaps
    at_rest()


def test_nothing_given(ebpf):
    ebpf.assert_no_syscall("openat", path=PATH)
    assert ebpf.complete, ebpf.gaps


@pytest.mark.parametrize("line", [LINE, OTHER_LINE])
def test_quiet(ebpf, line):
    """What it was given is at its end when no more comes on the same line."""
    line[1].send(b"x")
    DONE.get()
    undecided(ebpf)
'''


def test_clock_in_the_middle(run: Run, pytester: pytest.Pytester) -> None:
    """An earlier test's thread that waits by the clock within work which this test gave it isn't certainly idle."""
    pytester.makepyfile(asleep=ASLEEP, test_by_the_clock=BY_THE_CLOCK)
    run("--ebpf-trace=none").assert_outcomes(passed=11)


POOLED = """
import os, queue, threading, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from asleep import asleep

PATH = "/etc/hostname"
POOL, SERVING = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
BEGUN, JOBS, DONE = queue.Queue(), queue.Queue(), queue.Queue()
WORKERS = []


def read():
    with open(PATH):
        pass


def sleep_for_long():
    BEGUN.put(threading.current_thread())
    time.sleep(0.2)
    time.sleep(0.1)
    os.close(os.open("/etc/group", os.O_RDONLY))


def serve():
    BEGUN.put(threading.current_thread())
    while (job := JOBS.get()) is not None:
        job()
        DONE.put(None)


def once(ebpf):
    ebpf.assert_syscall("openat", path=PATH, count=1)
    assert ebpf.complete, ebpf.gaps
    while not all(map(asleep, WORKERS)):  # else they may be on their way to their queues in the next test
        pass


def test_begins(ebpf):
    POOL.submit(sleep_for_long)
    WORKERS.append(BEGUN.get())
    state = Path(f"/proc/self/task/{WORKERS[0].native_id}/syscall")
    while state.read_text().split()[0] not in ("115", "230"):  # clock_nanosleep
        pass
    SERVING.submit(serve)
    WORKERS.append(BEGUN.get())
    while not asleep(WORKERS[1]):
        pass


def test_next(ebpf):
    \"\"\"The thread finds it there when it is done with the work of the test before, and waits for nothing.\"\"\"
    POOL.submit(read).result()
    once(ebpf)
    ebpf.assert_no_syscall("%file", path="/etc/group")


def test_by_the_clock(ebpf):
    \"\"\"It waits by the clock in the middle of this one's work.\"\"\"
    def work():
        threading.Event().wait(0.001)
        read()

    POOL.submit(work).result()
    once(ebpf)


def test_passed_on(ebpf):
    \"\"\"From one thread of an earlier test's pool to another's.\"\"\"
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: POOL.submit(read).result()).result()
    once(ebpf)


def test_within(ebpf):
    \"\"\"What an earlier test submitted has a queue of its own, which shows whose work it takes.\"\"\"
    JOBS.put(read)
    DONE.get()
    once(ebpf)


def test_nothing(ebpf):
    ebpf.assert_no_syscall("openat", path=PATH)
    assert ebpf.complete, ebpf.gaps


def test_ends(ebpf):
    JOBS.put(None)
    POOL.submit(time.sleep, 0.3)
"""


def test_thread_pools(run: Run, pytester: pytest.Pytester) -> None:
    """What is submitted is whose who submitted it, whatever the thread does; also past the end of the session."""
    pytester.makepyfile(asleep=ASLEEP, test_pooled=POOLED)
    result = run("--ebpf-trace=none")
    result.assert_outcomes(passed=7)
    assert result.ret == 0
    late = {line.partition("::")[2] for line in result.outlines if line.startswith("test_pooled.py::")}
    assert late == {"test_begins"}


WOKEN_BY_OTHERS = """
import ctypes, os, pty, queue, subprocess, threading, tty
from pathlib import Path
import pytest
from pytest_ebpf import InconclusiveRecording

PATH, DONE = "/etc/hostname", queue.Queue()
MASTER, SLAVE = pty.openpty()
tty.setraw(SLAVE)
ENDED, ENDING = os.pipe()
TIMER = ctypes.CDLL(None, use_errno=True).timerfd_create(1, 0)
TICKS, THREADS = queue.SimpleQueue(), {}


def serve(fd):
    while os.read(fd, 1):
        with open(PATH):
            pass
        DONE.put(None)
    os.stat(PATH)
    DONE.put(None)


def tick():
    with open("/dev/zero", "rb", buffering=0) as zero:
        while os.read(TIMER, 8):
            zero.read(1)
            os.stat("/etc/fstab")
            TICKS.put(None)


def ticked(times):
    \"\"\"From now on. It waits, as the timer would overtake a thread that has to fight for the interpreter.\"\"\"
    while not TICKS.empty():
        TICKS.get()
    for _ in range(times):
        TICKS.get()


def at_rest(fd):
    file = Path(f"/proc/self/task/{THREADS[fd].native_id}/syscall")
    while file.read_text().split()[:2] not in (["0", hex(fd)], ["63", hex(fd)]):  # read
        pass


def undecided(ebpf):
    with pytest.raises(InconclusiveRecording, match="threads or processes"):
        ebpf.assert_no_syscall("%file", path=PATH)
    ebpf.assert_no_syscall("connect")


def test_starts(ebpf):
    for fd in SLAVE, ENDED:
        THREADS[fd] = threading.Thread(target=serve, args=(fd,), daemon=True)
        THREADS[fd].start()
        at_rest(fd)
    threading.Thread(target=tick, daemon=True).start()
    every = (ctypes.c_long * 4)(0, 30_000_000, 0, 30_000_000)  # so long that it sleeps in between
    assert ctypes.CDLL(None, use_errno=True).timerfd_settime(TIMER, 0, every, None) == 0


def test_timer(ebpf):
    with ebpf.paused():
        ticked(2)  # one that fired before is over
    ticked(3)
    ebpf.assert_no_syscall("%file", path="/etc/fstab")
    assert ebpf.complete, ebpf.gaps


def test_terminal(ebpf):
    os.write(MASTER, b"x")
    DONE.get()
    undecided(ebpf)
    at_rest(SLAVE)


def test_end_of_a_child(ebpf):
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[ENDING]) as child:
        os.close(ENDING)
        child.stdin.close()
        DONE.get()
    ebpf.assert_syscall("%file", path=PATH, count=1)
    assert ebpf.complete, ebpf.gaps
"""


def test_woken_by_others(run: Run, pytester: pytest.Pytester) -> None:
    """A terminal's input comes by a thread of the kernel: it may be B's doing; the end of B's process is."""
    pytester.makepyfile(WOKEN_BY_OTHERS)
    run("--ebpf-trace=none").assert_outcomes(passed=4)


OTHER_WAITS = """
import fcntl, os, queue, signal, struct, subprocess, threading
from pathlib import Path
import pytest
from pytest_ebpf import InconclusiveRecording

PATH, DONE = "/etc/hostname", queue.Queue()
SETLK, SETLKW = 37, 38  # F_OFD_...: another open file of the same process has to wait, too
LOCK, UNLOCK = (struct.pack("hh4xqqi4x", kind, 0, 0, 0, 0) for kind in (fcntl.F_WRLCK, fcntl.F_UNLCK))
FILES = [Path(__file__).with_name(name).open("w") for name in "aabb"]
CHILD, THREADS = [], {}


def for_signal():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    signal.sigwaitinfo({signal.SIGUSR2})


def for_child():
    os.waitpid(CHILD[0].pid, 0)


def for_victim():
    os.waitpid(CHILD[1].pid, 0)


def for_lock():
    fcntl.flock(FILES[1], fcntl.LOCK_EX)


def for_record():
    fcntl.fcntl(FILES[3], SETLKW, LOCK)


WAYS = {
    for_signal: (("128", "137"), lambda: signal.pthread_kill(THREADS[for_signal].ident, signal.SIGUSR2)),
    for_child: (("61", "260"), lambda: CHILD[0].stdin.close()),
    for_victim: (("61", "260"), lambda: CHILD[1].kill()),
    for_lock: (("73", "32"), lambda: fcntl.flock(FILES[0], fcntl.LOCK_UN)),
    for_record: (("72", "25"), lambda: fcntl.fcntl(FILES[2], SETLK, UNLOCK)),
}


def serve(wait):
    wait()
    with open(PATH):
        pass
    DONE.put(None)


def test_starts(ebpf):
    fcntl.flock(FILES[0], fcntl.LOCK_EX)
    fcntl.fcntl(FILES[2], SETLK, LOCK)
    CHILD.extend(subprocess.Popen(["cat"], stdin=subprocess.PIPE) for _ in range(2))
    for wait, (numbers, _) in WAYS.items():
        THREADS[wait] = threading.Thread(target=serve, args=(wait,))
        THREADS[wait].start()
        file = Path(f"/proc/self/task/{THREADS[wait].native_id}/syscall")
        while file.read_text().split()[0] not in numbers:
            pass


@pytest.mark.parametrize("wait", WAYS)
def test_goes_on(ebpf, wait):
    WAYS[wait][1]()
    DONE.get()
    THREADS[wait].join()
    if wait is for_victim:  # it may have been killed by its own test
        with pytest.raises(InconclusiveRecording):
            ebpf.assert_no_syscall("openat", path=PATH)
    else:
        ebpf.assert_syscall("openat", path=PATH, count=1)
        assert ebpf.complete, ebpf.gaps


def test_ends():
    for child in CHILD:
        child.returncode = 0  # the thread has waited for it
"""


def test_other_waits(run: Run, pytester: pytest.Pytester) -> None:
    """A thread that waits for a signal, a child, or a lock on a file does the work of the test that ends that."""
    pytester.makepyfile(OTHER_WAITS)
    run("--ebpf-trace=none").assert_outcomes(passed=7)


def test_server_that_looks_by_the_clock(run: Run, pytester: pytest.Pytester) -> None:
    """One of an earlier test that has served this one makes nothing undecided but its own waits."""
    pytester.makepyfile(
        test_server="""
        import socket, socketserver, threading
        from pathlib import Path

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                with open("/etc/hostname"):
                    self.request.sendall(self.request.recv(1))

        class Server(socketserver.TCPServer):
            looks = 0

            def service_actions(self):
                self.looks += 1

        server = Server(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)

        def at_rest():
            file = Path(f"/proc/self/task/{thread.native_id}/syscall")
            while file.read_text().split()[0] not in ("7", "73"):  # poll, ppoll
                pass

        def looks(times):
            until = server.looks + times
            while server.looks < until:
                pass

        def test_starts(ebpf):
            thread.start()
            looks(1)

        def test_idle(ebpf):
            with ebpf.paused():
                looks(2)  # one that began before is over
            looks(3)
            ebpf.assert_no_network()
            assert ebpf.complete, ebpf.gaps

        def test_serves(ebpf):
            at_rest()
            with socket.create_connection(server.server_address) as connection:
                connection.sendall(b"x")
                assert connection.recv(1) == b"x"
            looks(3)
            ebpf.assert_syscall("openat", path="/etc/hostname", count=1)
            ebpf.assert_no_network(allow=["127.0.0.1"])
            ebpf.assert_only_writes_under("/nowhere")
            assert all(gap.calls <= {"poll", "futex"} for gap in ebpf.gaps), ebpf.gaps

        def test_idle_again(ebpf):
            with ebpf.paused():
                looks(2)
            looks(3)
            ebpf.assert_no_network()
            assert ebpf.complete, ebpf.gaps

        def test_ends():
            server.shutdown()
            server.server_close()
        """
    )
    run("--ebpf-trace=none").assert_outcomes(passed=5)


FIXTURES = """
import os, subprocess, threading
import pytest

def ask(child):
    child.stdin.write(b"x")
    child.stdin.flush()
    assert child.stdout.read(1) == b"x"

@pytest.fixture(scope="session")
def helper():
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        yield child

@pytest.fixture(scope="session")
def server(helper):
    return helper

@pytest.fixture(scope="module")
def ticker():
    ticks, stop = [0], threading.Event()
    def tick():
        while not stop.wait(0.001):
            os.stat("/etc/fstab")
            ticks[0] += 1
    thread = threading.Thread(target=tick)
    thread.start()
    def ticked(times):
        until = ticks[0] + times
        while ticks[0] < until:
            pass
    ALL.append(ticked)
    yield ticked
    stop.set()
    thread.join()

ALL = []
"""


def test_wider_fixtures(run: Run, pytester: pytest.Pytester) -> None:
    """What they start counts for the tests that use them, directly or not, and for no other."""
    pytester.makeconftest(FIXTURES)
    pytester.makepyfile(
        """
        import os, sys
        from conftest import ALL, ask
        import pytest

        def test_uses(ebpf, server):
            ask(server)
            ebpf.assert_syscall("write", pid=server.pid, count=1)
            ebpf.assert_no_leaked_processes()
            ebpf.assert_no_exec()  # the fixture's own setup is not the test's
            assert ebpf.complete, ebpf.gaps
            started_by = ebpf.syscalls("write", pid=server.pid).first.process.started_by
            assert started_by == "session fixture helper (setup)", started_by
            sys.server = server

        def test_does_not_use(ebpf):
            os.write(sys.server.stdin.fileno(), b"y")
            while os.read(sys.server.stdout.fileno(), 1) != b"y":
                pass
            ebpf.assert_no_syscall("connect")
            events = [each for each in ebpf.events if each.pid == sys.server.pid]
            assert [each.name for each in events if each.name == "write"] == ["write"]  # it was the cause

        def test_asks_late(ebpf, request):
            server = request.getfixturevalue("server")
            ask(server)
            ebpf.assert_syscall("write", pid=server.pid, count=1)

        def test_ticks(ebpf, ticker):
            ticker(7)
            ebpf.assert_syscall("%file", path="/etc/fstab", min=7)

        def test_does_not_tick(ebpf):
            with ebpf.paused():
                ALL[0](2)
            ALL[0](7)
            ebpf.assert_no_syscall("%file", path="/etc/fstab")
            assert ebpf.complete, ebpf.gaps
        """
    )
    result = run()
    result.assert_outcomes(passed=5)
    result.stdout.no_fnmatch_line("*late events*")


INCLUDED = """
import os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
print("ready", flush=True)
while True:
    connection, _ = server.accept()
    order = connection.recv(100).decode()
    if order == "fork":
        if pid := os.fork():
            os.waitpid(pid, 0)
        else:
            os.close(os.open("/etc/fstab", os.O_RDONLY))
            os._exit(0)
    elif order == "open":
        os.close(os.open("/etc/hostname", os.O_RDONLY))
    else:
        break
    connection.send(b"done")
    connection.close()
"""


def test_include(run: Run, pytester: pytest.Pytester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that somebody else started counts for the test that includes it, and for no other."""
    path = tmp_path / "socket"
    monkeypatch.setenv("SERVER", str(path))
    pytester.makepyfile(
        """
        import os, socket, subprocess, threading
        import pytest
        from pytest_ebpf import EbpfError

        PID = int(os.environ["SERVER_PID"])

        def order(what):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(os.environ["SERVER"])
                connection.send(what)
                connection.recv(100)

        def test_without(ebpf):
            order(b"open")
            ebpf.assert_no_syscall("openat", path="/etc/hostname")

        def test_with(ebpf):
            order(b"open")
            ebpf.include(PID)
            order(b"open")
            ebpf.assert_syscall("openat", path="/etc/hostname", pid=PID, count=1)
            order(b"fork")
            ebpf.assert_syscall("openat", path="/etc/fstab", count=1)
            assert ebpf.syscalls("openat", path="/etc/fstab").first.process.parent.pid == PID
            ebpf.include(PID)
            order(b"open")
            ebpf.assert_syscall("openat", path="/etc/hostname", pid=PID, count=2)
            ebpf.assert_no_leaked_processes()
            assert ebpf.complete, ebpf.gaps

        def test_without_again(ebpf):
            order(b"open")
            ebpf.assert_no_syscall("openat", path="/etc/hostname")
            assert ebpf.complete, ebpf.gaps

        def test_with_again(ebpf):
            ebpf.include(PID)
            order(b"open")
            ebpf.assert_syscall("openat", path="/etc/hostname", count=1)

        def test_errors(ebpf):
            ended = subprocess.Popen(["true"])
            os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
            with pytest.raises(EbpfError, match="has ended"):
                ebpf.include(ended.pid)
            ended.wait()
            with pytest.raises(EbpfError, match="no such process"):
                ebpf.include(ended.pid)
            with pytest.raises(EbpfError, match="pytest itself"):
                ebpf.include(os.getpid())
            with pytest.raises(EbpfError, match="thread of the kernel"):
                ebpf.include(2)
            with pytest.raises(ValueError, match="above 0"):
                ebpf.include(-1)
            with pytest.raises(TypeError, match="not str"):
                ebpf.include(str(PID))
            barrier = threading.Barrier(2)
            thread = threading.Thread(target=lambda: (barrier.wait(), barrier.wait()))
            thread.start()
            barrier.wait()
            with pytest.raises(EbpfError, match="a thread of a process"):
                ebpf.include(thread.native_id)
            barrier.wait()
            thread.join()
        """
    )
    with subprocess.Popen([sys.executable, "-c", INCLUDED, path], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        monkeypatch.setenv("SERVER_PID", str(server.pid))
        try:
            run().assert_outcomes(passed=5)
        finally:
            server.terminate()


BROKEN_OFF = """
import os, signal, socket, threading, time
from pathlib import Path
import pytest
from pytest_ebpf import InconclusiveRecording

KINDS = {{"x86_64": ("288", "230", "219"), "aarch64": ("242", "115", "128")}}[os.uname().machine]
# accept4, clock_nanosleep, restart_syscall
NAMES = ("accept4", "clock_nanosleep", "restart_syscall")
server = socket.create_server(("127.0.0.1", 0))

def start():
    global thread
    thread = threading.Thread(target={function}, args={args}, daemon=True)
    thread.start()
    wait()

def wait():
    file = Path(f"/proc/self/task/{{thread.native_id}}/syscall")
    while file.read_text().split()[0] not in KINDS:
        pass

def break_off():
    \"\"\"As subprocess does: a child ends while this thread holds its signals back.\"\"\"
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGCHLD}})
    os.kill(os.getpid(), signal.SIGCHLD)
    while signal.SIGCHLD in signal.sigpending():
        pass
    wait()
    signal.pthread_sigmask(signal.SIG_SETMASK, held)

if {early}:
    start()

def test_starts(ebpf):
    if not {early}:
        start()
    break_off()
    calls = len(ebpf.syscalls(*NAMES, tid=thread.native_id).known)
    assert calls == (0 if {early} else 2), "the signal reaches the thread"

def test_nothing_of_this(ebpf):
    for _ in range(23):
        break_off()
    ebpf.assert_no_network()
    ebpf.assert_no_syscall(*NAMES)
    assert ebpf.complete, ebpf.gaps

def test_made_by_the_program(ebpf):
    signal.signal(signal.SIGCHLD, lambda *_: None)  # which breaks the call off: Python makes another
    break_off()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if {function} is time.sleep:
        return  # it goes on by its own clock, so what it does is not this test's
    with pytest.raises(AssertionError if {early} else InconclusiveRecording):
        ebpf.assert_no_syscall(*NAMES)

def test_next_calls(ebpf):
    if {function} is server.accept:
        with socket.create_connection(server.getsockname()):
            thread.join()
        assert ebpf.syscalls("close", tid=thread.native_id)
"""


@pytest.mark.parametrize(
    "function, args, early",
    [("server.accept", "()", True), ("server.accept", "()", False), ("time.sleep", "(10_000,)", False)],
)
def test_calls_that_the_kernel_makes_again(
    run: Run, pytester: pytest.Pytester, function: str, args: str, early: bool
) -> None:
    """They are those that an earlier test began; not so the calls that a program makes again itself."""
    pytester.makepyfile(BROKEN_OFF.format(function=function, args=args, early=early))
    # Without plugins that have threads, which the signals could reach instead.
    run("-p", "no:rerunfailures").assert_outcomes(passed=4)


def test_threads_of_this_test(ebpf: Recording) -> None:
    """Many threads at one time are told apart."""
    barrier = threading.Barrier(8)

    def work(number: int) -> None:
        barrier.wait()
        for _ in range(number):
            os.getppid()

    threads = [threading.Thread(target=work, args=(100 + number,)) for number in range(7)]
    for thread in threads:
        thread.start()
    barrier.wait()
    for thread in threads:
        thread.join()
    counts = {thread.native_id: len(ebpf.syscalls("getppid", tid=thread.native_id)) for thread in threads}
    assert sorted(counts.values()) == [100 + number for number in range(7)]
    assert ebpf.complete, ebpf.gaps
