"""Every kind of test that pytest and its plugins run is recorded as what it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Run = Callable[..., pytest.RunResult]
HEAD = """
import asyncio, os, subprocess, sys, unittest
import pytest

PATH = "/etc/hostname"

def read():
    with open(PATH):
        pass

def once(ebpf, count=1):
    ebpf.assert_syscall("openat", path=PATH, count=count)
    ebpf.assert_no_syscall("connect")
    assert ebpf.complete, ebpf.gaps
"""


def test_plain(run: Run, pytester: pytest.Pytester) -> None:
    """Functions, methods, parametrized ones, and those of unittest, with subtests too."""
    pytester.makepyfile(
        test_m=HEAD
        + """
def test_function(ebpf):
    read()
    once(ebpf)

class TestClass:
    def test_method(self, ebpf):
        read()
        once(ebpf)

@pytest.mark.parametrize("count", [1, 2, 3])
def test_parametrized(ebpf, count):
    for _ in range(count):
        read()
    once(ebpf, count)

class Case(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def take(self, ebpf):
        self.ebpf = ebpf

    def setUp(self):
        read()

    def tearDown(self):
        read()

    def test_method(self):
        read()
        once(self.ebpf)

    def test_subtests(self):
        for number in range(3):
            with self.subTest(number=number):
                read()
                once(self.ebpf, number + 1)

    @pytest.mark.ebpf(max={"openat": 1})
    def test_rule(self):
        read()

class AsyncCase(unittest.IsolatedAsyncioTestCase):
    @pytest.fixture(autouse=True)
    def take(self, ebpf):
        self.ebpf = ebpf

    async def asyncSetUp(self):
        read()

    async def test_method(self):
        await asyncio.sleep(0)
        read()
        once(self.ebpf)

    @pytest.mark.ebpf(max={"openat": 1})
    async def test_rule(self):
        read()
"""
    )
    run().assert_outcomes(passed=10)


@pytest.mark.parametrize("plugin, marker", [("pytest_asyncio.plugin", "asyncio"), ("anyio.pytest_plugin", "anyio")])
def test_asyncio(run: Run, pytester: pytest.Pytester, plugin: str, marker: str) -> None:
    """Coroutines, what they start and what they give to threads."""
    pytester.makeini("[pytest]\n" + "asyncio_default_fixture_loop_scope = function\n" * (marker == "asyncio"))
    pytester.makepyfile(
        test_m=HEAD
        + f"""
pytestmark = pytest.mark.{marker}

@pytest.fixture
def anyio_backend():
    return "asyncio"

async def test_it(ebpf):
    await asyncio.sleep(0)
    read()
    await asyncio.to_thread(read)
    once(ebpf, 2)

async def test_processes(ebpf):
    process = await asyncio.create_subprocess_exec("true")
    await process.wait()
    ebpf.assert_exec("true")
    ebpf.assert_no_leaked_processes()

@pytest.mark.ebpf(max={{"openat": 1}})
async def test_rule():
    await asyncio.sleep(0)
    read()

@pytest.mark.ebpf(max={{"openat": 1}})
async def test_breaks_it():
    read()
    await asyncio.sleep(0)
    read()
"""
    )
    result = run(plugins=(plugin,))
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*max=*openat*2*"])


@pytest.mark.parametrize("plugin, marker", [("pytest_trio.plugin", "trio"), ("anyio.pytest_plugin", "anyio")])
def test_trio(run: Run, pytester: pytest.Pytester, plugin: str, marker: str) -> None:
    """Trio's tests, by its own plugin and by anyio's."""
    pytester.makepyfile(
        test_m=HEAD
        + f"""
import trio

pytestmark = pytest.mark.{marker}

@pytest.fixture
def anyio_backend():
    return "trio"

@pytest.fixture
async def reader():
    read()
    yield
    read()

@pytest.fixture
def judge(ebpf, reader):
    yield
    once(ebpf, 2)

async def test_it(ebpf):
    await trio.sleep(0)
    read()
    await trio.to_thread.run_sync(read)
    once(ebpf, 2)

@pytest.mark.ebpf(max={{"openat": 2}})
async def test_fixtures(judge, ebpf):
    read()
    await trio.sleep(0)
    read()
    once(ebpf, 2)

async def test_again(ebpf):
    await trio.to_thread.run_sync(read)
    once(ebpf)

@pytest.mark.ebpf(max={{"openat": 1}})
async def test_breaks_it():
    read()
    await trio.sleep(0)
    read()
"""
    )
    result = run(plugins=(plugin,))
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*max=*openat*2*"])


def test_hypothesis(run: Run, pytester: pytest.Pytester) -> None:
    """All examples are one test."""
    pytester.makepyfile(
        test_m=HEAD
        + """
from hypothesis import HealthCheck, given, settings, strategies

@settings(max_examples=23, database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(strategies.integers())
def test_it(ebpf, number):
    ROUNDS.append(number)
    read()
    ebpf.assert_syscall("openat", path=PATH, count=len(ROUNDS))

ROUNDS = []
"""
    )
    run(plugins=("_hypothesis_pytestplugin",)).assert_outcomes(passed=1)


def test_doctest(run: Run, pytester: pytest.Pytester) -> None:
    """By the suite's rule, and with the fixture."""
    pytester.makepyprojecttoml("[tool.pytest-ebpf]\nno_syscall = ['%open', {path = '/etc/hostname'}]\n")
    pytester.makepyfile(
        m='''
def good():
    """
    >>> getfixture("ebpf").assert_no_exec()
    >>> 1 + 1
    2
    """

def bad():
    """
    >>> open("/etc/hostname").close()
    """
'''
    )
    result = run("--doctest-modules", "m.py")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*no_syscall=*1 call matched*"])


def test_reruns_and_repeats(run: Run, pytester: pytest.Pytester) -> None:
    """Each run of a test is a recording of its own; the last one's rules decide."""
    pytester.makepyfile(
        test_m=HEAD
        + """
RUNS = []

@pytest.mark.flaky(reruns=2)
@pytest.mark.ebpf(no_exec=True)
def test_flaky(ebpf):
    RUNS.append(1)
    for _ in RUNS:
        read()
    once(ebpf, len(RUNS))
    if len(RUNS) < 3:
        subprocess.run(["true"])

@pytest.mark.repeat(7)
def test_repeated(ebpf):
    read()
    once(ebpf)
"""
    )
    result = run(plugins=("pytest_rerunfailures", "pytest_repeat"))
    outcomes = result.parseoutcomes()
    assert outcomes == {"passed": 8, "rerun": 2}


@pytest.mark.parametrize("method", ["signal", "thread"])
def test_timeout(run: Run, pytester: pytest.Pytester, method: str) -> None:
    """A test that hangs is stopped, and the next one is recorded as usual."""
    pytester.makepyfile(
        test_m=HEAD
        + """
import threading

@pytest.mark.timeout(0.3)
def test_hangs(ebpf):
    threading.Event().wait()

@pytest.mark.timeout(30)
def test_next(ebpf):
    read()
    once(ebpf)
"""
    )
    result = run("-o", f"timeout_method={method}", plugins=("pytest_timeout",))
    if method == "signal":
        result.assert_outcomes(passed=1, failed=1)
    else:
        assert result.ret == 1  # it ends the whole process
    result.stdout.fnmatch_lines(["*Timeout*"])


def test_child_that_runs_on(run: Run, pytester: pytest.Pytester) -> None:
    """A test whose forked child goes on with the rest of the run, by mistake: the parent's run is as it should be."""
    pytester.makepyfile(
        test_m=HEAD
        + """
PIDS = []

def test_forks(ebpf):
    if (pid := os.fork()) == 0:
        os.close(1)
        os.open("/dev/null", os.O_WRONLY)
        os.close(2)
        os.open("/dev/null", os.O_WRONLY)
        return
    PIDS.append(pid)
    ebpf.assert_syscall("fork", "clone", "clone3", "vfork", count=1)

@pytest.mark.ebpf(no_exec=True)
def test_next(ebpf):
    if PIDS:
        read()
        ebpf.assert_syscall("openat", path=PATH, process="self", count=1)

def test_end():
    if PIDS:
        os.waitpid(PIDS[0], 0)
"""
    )
    result = run("-s", "-p", "no:cacheprovider")
    assert "3 passed" in result.stdout.str()


@pytest.mark.parametrize("way", ["in process", "subprocess"])
def test_nested(run: Run, pytester: pytest.Pytester, way: str) -> None:
    """A run inside a test has its own recordings; to the outer test it is what it does."""
    inner = "pytester.runpytest_inprocess" if way == "in process" else "pytester.runpytest_subprocess"
    pytester.makeconftest("pytest_plugins = ['pytester']")
    pytester.makepyfile(
        test_m=HEAD
        + f"""
def test_outer(ebpf, pytester):
    pytester.makepyfile('''
def test_inner(ebpf):
    with open("/etc/fstab"):
        pass
    ebpf.assert_syscall("openat", path="/etc/fstab", count=1)
    ebpf.assert_no_syscall("openat", path="/etc/hostname")
    assert ebpf.complete, ebpf.gaps

def test_bad(ebpf):
    ebpf.assert_syscall("openat", path="/etc/fstab", count=1)
''')
    read()
    result = {inner}("-p", "pytest_ebpf.plugin", "--ebpf-trace=none")
    result.assert_outcomes(passed=1, failed=1)
    ebpf.assert_syscall("openat", path="/etc/fstab", count=1)
    ebpf.assert_syscall("openat", path=PATH, count=1)

def test_next(ebpf):
    read()
    once(ebpf)
"""
    )
    run().assert_outcomes(passed=2)
