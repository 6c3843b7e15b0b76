"""Workers of one run, and runs beside each other."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., pytest.RunResult]
MIXED = """
import os, subprocess, threading
from concurrent.futures import ThreadPoolExecutor
import pytest

POOL = ThreadPoolExecutor(1)

def read(path="/etc/hostname"):
    with open(path):
        pass

@pytest.fixture(scope="module")
def helper():
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        yield child

@pytest.mark.parametrize("number", range(7))
class TestMany:
    def test_reads(self, ebpf, number):
        for _ in range(number):
            read()
        ebpf.assert_syscall("openat", path="/etc/hostname", count=number)
        assert ebpf.complete, ebpf.gaps

    def test_pool(self, ebpf, number):
        POOL.submit(read).result()
        ebpf.assert_syscall("openat", path="/etc/hostname", count=1)

    @pytest.mark.ebpf(no_exec=True)
    def test_breaks(self, number):
        subprocess.run(["true"])

    @pytest.mark.ebpf(no_network=True)
    def test_silent(self, ebpf, number):
        pass

    def test_empty(self, ebpf, number):
        assert {event.name for event in ebpf.events} <= {"futex"}
        assert ebpf.complete, ebpf.gaps

    def test_helper(self, ebpf, helper, number):
        helper.stdin.write(b"x")
        helper.stdin.flush()
        helper.stdout.read(1)
        ebpf.assert_syscall("write", pid=helper.pid, count=1)
        ebpf.assert_no_network()
"""
XDIST = ("xdist.plugin",)


def verdicts(result: pytest.RunResult) -> dict[str, str]:
    """Of each test, from a verbose run."""
    found = re.compile(r"(?:\[gw\d+\] \[ *\d+%\] )?(?:(PASSED|FAILED|ERROR) (\S+)|(\S+::\S+) (PASSED|FAILED|ERROR))")
    pairs = [match.groups() for line in result.outlines if (match := found.match(line))]
    return {second or third: first or fourth for first, second, third, fourth in pairs}


def test_verdicts_are_those_of_a_serial_run(run: Run, pytester: pytest.Pytester) -> None:
    """For every test, whichever worker runs it."""
    pytester.makepyfile(test_m=MIXED)
    serial = verdicts(run("-v"))
    shared = verdicts(run("-v", "-n4", plugins=XDIST))
    assert Counter(serial.values()) == {"PASSED": 35, "FAILED": 7}
    assert shared == serial


def programs_of(keeper: int) -> set[int]:
    """Ids of the eBPF programs that a process holds."""
    held = "".join(each.read_text() for each in Path(f"/proc/{keeper}/fdinfo").iterdir())
    return {int(each) for each in re.findall(r"^prog_id:\t(\d+)$", held, re.MULTILINE)}


def test_one_set_of_programs(
    run: Run,
    pytester: pytest.Pytester,
    loaded_programs: Callable[[], list[int]],
    monkeypatch: pytest.MonkeyPatch,
    until: Callable[[Callable[[], bool]], None],
) -> None:
    """Asked of the kernel while four workers are in the middle of a test."""
    pytester.makepyfile(
        test_m="""
        import os, socket
        import pytest

        @pytest.mark.parametrize("number", range(4))
        def test_it(ebpf, number):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(os.environ["METER"])
                connection.send(b"%d" % ebpf._session.engine.pid)
                assert connection.recv(1) == b"x"
        """
    )
    keepers: list[bytes] = []
    counts: list[int] = []
    with socket.socket(socket.AF_UNIX) as meter:
        meter.bind(str(pytester.path / "meter"))
        meter.listen()
        monkeypatch.setenv("METER", str(pytester.path / "meter"))

        def count_when_all_are_there() -> None:
            connections = [meter.accept()[0] for _ in range(4)]
            keepers.extend(connection.recv(20) for connection in connections)
            counts.append(len(programs_of(int(keepers[0])) & {*loaded_programs()}))
            for connection in connections:
                connection.send(b"x")
                connection.close()

        thread = threading.Thread(target=count_when_all_are_there)
        thread.start()
        run("-n4", plugins=XDIST).assert_outcomes(passed=4)
        thread.join()
    assert len({*keepers}) == 1
    assert counts == [5]
    until(lambda: not Path(f"/proc/{int(keepers[0])}").exists())


def test_one_summary(run: Run, pytester: pytest.Pytester) -> None:
    """Over all workers, of every test."""
    pytester.makepyfile(test_m=MIXED)
    result = run("-n4", "--ebpf-summary", plugins=XDIST)
    assert result.stdout.str().count("most expensive tests (ebpf)") == 1


MANY = 2000
RANDOM = f"""
import os, random, subprocess
import pytest

NUMBERS = list(range({MANY}))
random.Random(23).shuffle(NUMBERS)

@pytest.mark.parametrize("number", NUMBERS)
def test_it(ebpf, number):
    calls, children, files = number % 11, number % 97 == 0, number % 5
    for _ in range(calls):
        os.getppid()
    for _ in range(files):
        os.close(os.open("/etc/hostname", os.O_RDONLY))
    if children:
        pid = os.posix_spawn("/bin/true", ["true"], {{}})
        os.waitpid(pid, 0)
    # Whoever wants the interpreter lock while another thread has it makes calls on it.
    events = [event for event in ebpf.events if event.name != "futex"]
    own = [event.name for event in events if event.process.is_self]
    expected = ["getppid"] * calls + ["openat", "close"] * files
    assert [name for name in own if name in ("getppid", "openat", "close")] == expected
    if not children:
        assert own == expected
        assert len(events) == len(expected)
    assert len(ebpf.syscalls("exit_group")) == children
    assert ebpf.complete, ebpf.gaps
"""


def test_many_tests_in_random_order(run: Run, pytester: pytest.Pytester) -> None:
    """Each of 2,000 tests recorded exactly what it did."""
    pytester.makepyfile(test_m=RANDOM)
    run("-n4", "-q", plugins=XDIST).assert_outcomes(passed=MANY)


def test_killed_worker(run: Run, pytester: pytest.Pytester) -> None:
    """The others, and the one in its place, record as before."""
    pytester.makepyfile(
        test_m="""
        import os, signal
        import pytest

        @pytest.mark.parametrize("number", range(40))
        def test_it(ebpf, number):
            if number == 7:
                os.kill(os.getpid(), signal.SIGKILL)
            for _ in range(number):
                os.getppid()
            ebpf.assert_syscall("getppid", count=number)
            assert len([event for event in ebpf.events if event.name != "futex"]) == number
            assert ebpf.complete, ebpf.gaps
        """
    )
    result = run("-n2", plugins=XDIST)
    result.assert_outcomes(passed=39, failed=1)


def test_two_runs_at_once(run: Run, pytester: pytest.Pytester) -> None:
    """Each has programs of its own, and neither sees the other."""
    pytester.makepyfile(test_m=RANDOM.replace(str(MANY), "200"))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "pytest_ebpf.plugin", "-p", "no:cacheprovider"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(2)]
    run("-q").assert_outcomes(passed=200)
    for each in both:
        told, _ = each.communicate()
        assert "200 passed" in told.decode()


@pytest.mark.parametrize("options", ["--pid --fork --mount-proc", "--user --map-root-user --pid --fork --mount-proc"])
def test_in_a_namespace(run: Run, pytester: pytest.Pytester, options: str) -> None:
    """In one of processes it records as outside; in one of users, whose root may load no programs, it says so."""
    keeper = """
def test_keeper(ebpf):
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        ebpf.include(child.pid)  # makes the keeper work, which is a child of an init's
    assert ebpf._session.engine.pid not in {event.process.ns_pid or event.pid for event in ebpf.events}
    assert len({event.pid for event in ebpf.events}) == 2
"""
    pytester.makepyfile(test_m=RANDOM.replace(str(MANY), "96") + keeper)
    command = ["unshare", *options.split(), sys.executable, "-m", "pytest", "-q", "-p", "pytest_ebpf.plugin"]
    result = subprocess.run([*command, "-p", "no:cacheprovider"], capture_output=True, text=True, check=False)
    if "--user" not in options:
        assert "97 passed" in result.stdout, result.stdout
    else:
        assert "97 errors" in result.stdout, result.stdout
        assert "EngineUnavailable" in result.stdout


BESIDE = """
import os, secrets, subprocess, sys
from pytest_ebpf import engines
from pytest_ebpf.recording import Recording
from pytest_ebpf.scope import Kind, Owner
from pytest_ebpf.session import Session


def recorded(engine, address):
    session = Session(engines.create(engine, address))
    session.start()
    session.begin_test(Owner(Kind.TEST, "test"), "test")
    recording = Recording(session, session.current)
    recording.open()
    return session, recording


engine, *addresses = sys.argv[1:]
for address in addresses:  # that of the one below
    session, recording = recorded(engine, address)
    print("ready", flush=True)
    sys.stdin.read()
    session.stop()
    sys.exit()
for _ in range(5):
    address = secrets.token_hex(16)
    command = [sys.executable, __file__, engine, address]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"ready\\n"
        session, recording = recorded(engine, address)
        assert session.started.session == 1
        other.stdin.close()
        children = set()
        while other.poll() is None:
            child = os.posix_spawn("/bin/true", ["true"], {})
            os.waitpid(child, 0)
            children.add(child)
    recording.close()
    ended = {event.pid for event in recording.processes(op="exit", process="children").known}
    assert children <= ended, children - ended
    session.stop()
"""


@pytest.mark.heavy(reason="starts ten sessions; no kernel makes a difference")
def test_a_session_that_ends_beside(engine: str, tmp_path: Path) -> None:
    """What another worker starts meanwhile is followed as ever."""
    script = tmp_path / "beside.py"
    script.write_text(BESIDE)
    subprocess.run([sys.executable, script, engine], check=True, timeout=120)
