"""What a test does after its end is told of that test, and no other one sees it."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable

import pytest

HEAD = """
import asyncio, os, socket, subprocess, sys, tempfile, threading
import pytest

SERVER = socket.create_server(("127.0.0.1", 0))
PORT = SERVER.getsockname()[1]
FOLDER = tempfile.mkdtemp()
SENTINEL = socket.socket(socket.AF_UNIX)
SENTINEL.bind(FOLDER + "/sentinel")
SENTINEL.listen()
CHILD = '''
import socket, sys
"x".encode("idna")  # imports what it needs
sentinel = socket.socket(socket.AF_UNIX)
sentinel.connect(sys.argv[1])
sentinel.recv(1)
connection = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
sentinel.send(b"x")
sentinel.recv(1)
'''
HELD = []


def detach():
    command = ["setsid", "-f", sys.executable, "-S", "-c", CHILD, FOLDER + "/sentinel", str(PORT)]
    subprocess.run(command, check=True)
    HELD.append(SENTINEL.accept()[0])


def let_it_connect():
    HELD[-1].send(b"g")
    assert HELD[-1].recv(1) == b"x"


def no_network(ebpf):
    ebpf.assert_no_syscall("connect")
    ebpf.assert_no_network(allow=["unix"])
    assert ebpf.complete, ebpf.gaps
"""
Run = Callable[..., pytest.RunResult]


def test_detached_child(run: Run, pytester: pytest.Pytester) -> None:
    """Its connection while B runs breaks the rule of A, which is reported already: the run fails, and B doesn't."""
    pytester.makepyfile(
        test_m=HEAD
        + """
@pytest.mark.ebpf(no_network={"allow": ["unix"]})
def test_a(ebpf):
    detach()

def test_b(ebpf):
    let_it_connect()
    no_network(ebpf)
    ebpf.assert_no_leaked_processes()

def test_c(ebpf):
    HELD[-1].close()
    no_network(ebpf)
"""
    )
    result = run("-ra")
    result.assert_outcomes(passed=3)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "*late events (ebpf)*",
            "test_m.py::test_a",
            "*no_network=* (test_m.py:*), late: assert_no_network*: reached 127.0.0.1:*",
            "*connect(*",
        ]
    )
    assert "test_b" not in result.stdout.str().partition("late events (ebpf)")[2]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the code is of x86")
def test_calls_of_another_abi(run: Run, pytester: pytest.Pytester) -> None:
    """What they did isn't known, so the rule of A can't be decided: the run fails."""
    pytester.makepyfile(
        child="""
import ctypes, os, struct, sys, time
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
page = libc.mmap(None, 4096, 7, 0x62, -1, 0)  # private, anonymous, where 32 bits reach it
path = os.fsencode(sys.argv[1])
code = bytes.fromhex("53 b8 27000000 bb") + struct.pack("=I", page + 64) + bytes.fromhex("b9 c0010000 cd80 5b c3")
ctypes.memmove(page, code.ljust(64) + path + bytes(1), 65 + len(path))
while not os.path.exists(sys.argv[2]):  # not by a pipe, which would hand it over
    time.sleep(0.01)
sys.exit(ctypes.CFUNCTYPE(ctypes.c_int)(page)())  # mkdir
""",
        test_m="""
import subprocess, sys
import pytest

HELD = []

@pytest.mark.ebpf(only_writes_under=["/nowhere"])
def test_a(tmp_path):
    command = [sys.executable, "-S", "child.py", str(tmp_path / "made"), str(tmp_path / "go")]
    HELD.append((subprocess.Popen(command), tmp_path))

def test_b():
    child, folder = HELD.pop()
    (folder / "go").touch()
    assert child.wait() == 0
    assert (folder / "made").is_dir()
""",
    )
    result = run()
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        ["*only_writes_under=*late: *can't be decided*", "*gap: what the test left behind made 1 calls foreign_0x27*"]
    )
    assert result.ret == 1


def test_before_the_report(run: Run, pytester: pytest.Pytester) -> None:
    """Between A's function and the end of its teardown it is an error of A's teardown, told once."""
    pytester.makepyfile(
        test_m=HEAD
        + """
@pytest.fixture
def slow():
    yield
    let_it_connect()
    HELD[-1].close()

@pytest.mark.ebpf(no_network={"allow": ["unix"]})
def test_a(slow):
    detach()

def test_b(ebpf):
    no_network(ebpf)
"""
    )
    result = run()
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_a*", "E *no_network=*late: assert_no_network*"])
    result.stdout.no_fnmatch_line("*late events (ebpf)*")


def test_without_a_rule(run: Run, pytester: pytest.Pytester) -> None:
    """It is told, and fails nothing; of a test that isn't recorded, nothing is said, and B is innocent all the same."""
    pytester.makepyfile(
        test_m=HEAD
        + """
def test_recorded(ebpf):
    detach()

def test_b(ebpf):
    let_it_connect()
    HELD[-1].close()
    no_network(ebpf)

def test_unrecorded():
    detach()

def test_c(ebpf):
    let_it_connect()
    HELD[-1].close()
    no_network(ebpf)
"""
    )
    result = run()
    result.assert_outcomes(passed=4)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*late events (ebpf)*", "test_m.py::test_recorded", "*connect(*"])
    result.stdout.no_fnmatch_line("test_m.py::test_unrecorded*")


def test_thread(run: Run, pytester: pytest.Pytester) -> None:
    """A thread that goes on by its own timer, and whose last sleep began and ended in B."""
    pytester.makepyfile(
        test_m=HEAD
        + """
BEATS, COUNT, STOP, ON = [0], [0], threading.Event(), []

def tick():
    while not STOP.wait(0.001):
        BEATS[0] += 1
        if ON:
            with open(FOLDER + "/by-a", "w"):
                pass
            COUNT[0] += 1

@pytest.mark.ebpf(only_writes_under=["/nowhere"])
def test_a():
    threading.Thread(target=tick, daemon=True).start()

def test_b(ebpf):
    beats = BEATS[0] + 2
    while BEATS[0] < beats:
        pass
    ON.append(True)
    until = COUNT[0] + 7
    while COUNT[0] < until:
        pass
    ebpf.assert_no_file_access(FOLDER + "/by-a")
    STOP.set()
"""
    )
    result = run()
    result.assert_outcomes(passed=2)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    _, _, told = result.stdout.str().partition("late events (ebpf)")
    assert "only_writes_under=['/nowhere'] (test_m.py" in told
    assert "/by-a" in told
    assert "test_b" not in told


def test_asyncio_task(run: Run, pytester: pytest.Pytester) -> None:
    """One that A leaves in the loop which all tests share acts while B awaits."""
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = session\n")
    pytester.makepyfile(
        test_m=HEAD
        + """
pytestmark = pytest.mark.asyncio(loop_scope="session")
GO, DONE, TASKS = [], [], []

@pytest.mark.ebpf(no_syscall=["%open", {"path": "/etc/fstab"}])
async def test_a():
    GO.append(asyncio.Event())
    DONE.append(asyncio.Event())
    async def later():
        await GO[0].wait()
        with open("/etc/fstab"):
            pass
        DONE[0].set()
    TASKS.append(asyncio.create_task(later()))
    asyncio.get_running_loop().call_later(0.001, DONE[0].is_set)

async def test_b(ebpf):
    await asyncio.sleep(0.002)
    GO[0].set()
    await DONE[0].wait()
    with open("/etc/hostname"):
        pass
    ebpf.assert_syscall("%open", path="/etc/hostname", count=1)
    ebpf.assert_no_syscall("%open", path="/etc/fstab")
    assert ebpf.complete, ebpf.gaps

async def test_c(ebpf):
    def work():
        with open("/etc/hostname"):
            pass
    await asyncio.gather(asyncio.to_thread(work), asyncio.to_thread(work))
    ebpf.assert_syscall("%open", path="/etc/hostname", count=2)
    assert ebpf.complete, ebpf.gaps
"""
    )
    result = run(plugins=("pytest_asyncio.plugin",))
    result.assert_outcomes(passed=3)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*late events (ebpf)*", "test_m.py::test_a", "*no_syscall=*/etc/fstab*1 call matched"])


def test_asyncio_task_before_the_report(run: Run, pytester: pytest.Pytester) -> None:
    """One that A leaves and that acts while A's fixtures, or its loop, are torn down is an error of A's teardown."""
    pytester.makepyfile(
        test_m=HEAD
        + """
import pytest_asyncio
pytestmark = [pytest.mark.asyncio, pytest.mark.ebpf(no_network={"allow": ["unix"]})]
TASKS = []

def connect():
    with socket.create_connection(("127.0.0.1", PORT)):
        pass

@pytest_asyncio.fixture
async def slow():
    go, done = asyncio.Event(), asyncio.Event()
    yield go, done
    connect()  # the fixture's own doing
    go.set()
    await done.wait()

async def later(go, done, act):
    await go.wait()
    act()
    done.set()

async def good_bye():
    try:
        await asyncio.Event().wait()
    finally:
        connect()

async def test_in_a_fixture(slow):
    TASKS.append(asyncio.create_task(later(*slow, connect)))

async def test_in_the_loop():
    TASKS.append(asyncio.create_task(good_bye()))
    await asyncio.sleep(0)

async def test_good(slow):
    TASKS.append(asyncio.create_task(later(*slow, list)))

async def test_paused(ebpf):
    with ebpf.paused():
        TASKS.append(asyncio.create_task(asyncio.sleep(0)))
        TASKS[-1].add_done_callback(lambda _: connect())
        await TASKS[-1]
        await asyncio.sleep(0)
    ebpf.assert_no_syscall()
"""
    )
    result = run(plugins=("pytest_asyncio.plugin",))
    result.assert_outcomes(passed=4, errors=2)
    for name in "test_in_a_fixture", "test_in_the_loop":
        result.stdout.fnmatch_lines([f"*ERROR at teardown of {name}*", "E *no_network=*late: assert_no_network*"])


def test_leaked_processes(run: Run, pytester: pytest.Pytester) -> None:
    """What a test starts and leaves alive; not what a fixture that it uses ends, nor what another test started."""
    pytester.makepyfile(
        """
        import subprocess, sys
        import pytest

        LEFT = []

        def start():
            return subprocess.Popen(["cat"], stdin=subprocess.PIPE)

        @pytest.fixture
        def own():
            with start() as child:
                yield child
                child.stdin.close()

        @pytest.fixture(scope="module")
        def wide():
            with start() as child:
                yield child
                child.stdin.close()

        pytestmark = pytest.mark.ebpf(no_leaked_processes=True)

        def test_clean(own, wide):
            with start() as child:
                child.stdin.close()

        def test_leaks():
            LEFT.append(start())

        def test_after(wide):
            pass

        def test_ends_the_others():
            LEFT[0].communicate()

        def test_daemon(ebpf):
            program = '''if True:
            import os
            held, ending = os.pipe()
            if os.fork(): os._exit(0)
            os.setsid()
            print("ready", flush=True)
            os.read(0, 1)
            '''
            child = subprocess.Popen(
                [sys.executable, "-S", "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            assert child.stdout.readline() == b"ready\\n"
            child.wait()
            with pytest.raises(AssertionError, match="1 process is still alive"):
                ebpf.assert_no_leaked_processes()
            child.stdin.close()
            assert child.stdout.read() == b""
            while ebpf._living():
                pass
            ebpf.assert_no_leaked_processes()
        """
    )
    result = run()
    result.assert_outcomes(passed=5, errors=1)
    result.stdout.fnmatch_lines(
        ["*ERROR at teardown of test_leaks*", "E *no_leaked_processes*1 process is still alive"]
    )


def test_late_events_of_workers(run: Run, pytester: pytest.Pytester) -> None:
    """The summary of a run with xdist tells them once, and the run fails."""
    pytester.makepyfile(
        test_m=HEAD
        + """
@pytest.mark.ebpf(no_network={"allow": ["unix"]})
def test_a():
    detach()

def test_b(ebpf):
    let_it_connect()
    HELD[-1].close()
    no_network(ebpf)
"""
    )
    result = run("-n1", plugins=("xdist.plugin",))
    result.assert_outcomes(passed=2)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    told = result.stdout.str()
    assert told.count("late: assert_no_network") == 1
    result.stdout.fnmatch_lines(["*late events (ebpf)*", "test_m.py::test_a"])


def test_control_characters(run: Run, pytester: pytest.Pytester) -> None:
    """A test's name is shown escaped."""
    pytester.makepyfile(
        test_m=HEAD
        + """
@pytest.mark.parametrize("name", ["x"], ids=[json.loads('"\\\\u009b31m"')])
def test_a(ebpf, name):
    detach()

def test_b(ebpf):
    let_it_connect()
    HELD[-1].close()
""".replace("json.loads", "__import__('json').loads")
    )
    result = run()
    assert "late events (ebpf)" in result.stdout.str()
    assert json.loads('"\\u009b"') not in result.stdout.str().partition("late events")[2]
