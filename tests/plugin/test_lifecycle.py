"""When the engine starts and that it always stops."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable

import pytest

from pytest_ebpf.testing import FakeEngine

Run = Callable[..., pytest.RunResult]

USER = "def test_it(ebpf): pass\n"


def test_starts_once_and_stops_at_the_end(pytester: pytest.Pytester, run: Run, fake: FakeEngine) -> None:
    """One engine serves all tests of a session."""
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("n", range(5))
        def test_it(ebpf, fake, n):
            assert fake.running and fake.starts == 1
        """
    )
    run().assert_outcomes(passed=5)
    assert fake.starts == 1
    assert not fake.running


def test_starts_before_the_first_fixture(pytester: pytest.Pytester, run: Run) -> None:
    """What a session fixture starts is followed from its first call."""
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture(scope="session", autouse=True)
        def server(fake):
            assert fake.running

        def test_other(): pass

        def test_it(ebpf): pass
        """
    )
    run().assert_outcomes(passed=2)


def test_nobody_asks(pytester: pytest.Pytester, run: Run, fake: FakeEngine) -> None:
    """Tests without the fixture start nothing."""
    pytester.makepyfile("def test_it(): pass")
    run().assert_outcomes(passed=1)
    assert fake.starts == 0


@pytest.mark.parametrize(
    "args", [["--collect-only"], ["--fixtures"], ["--help"], ["-k", "absent"], ["--setup-plan"], ["--co", "-q"]]
)
def test_nothing_runs(pytester: pytest.Pytester, run: Run, fake: FakeEngine, args: list[str]) -> None:
    """Looking at tests, or choosing none, starts nothing."""
    pytester.makepyfile(USER)
    run(*args)
    assert fake.starts == 0


def test_deselected_test_starts_nothing(pytester: pytest.Pytester, run: Run, fake: FakeEngine) -> None:
    """Only the tests that will run count."""
    pytester.makepyfile(USER + "def test_other(): pass\n")
    run("-k", "other").assert_outcomes(passed=1, deselected=1)
    assert fake.starts == 0


@pytest.mark.parametrize(
    "body, args, code",
    [
        ("raise KeyboardInterrupt", [], pytest.ExitCode.INTERRUPTED),
        ("raise SystemExit(3)", [], pytest.ExitCode.TESTS_FAILED),
        ("assert False", ["-x"], pytest.ExitCode.TESTS_FAILED),
        ("pytest.exit('enough', 17)", [], 17),
        ("fake.problem = None", [], pytest.ExitCode.OK),
    ],
    ids=["ctrl-c", "sys.exit", "-x", "pytest.exit", "end"],
)
def test_stops_however_the_session_ends(
    pytester: pytest.Pytester, run: Run, fake: FakeEngine, body: str, args: list[str], code: int
) -> None:
    """No program stays behind."""
    pytester.makepyfile(
        f"""
        import pytest

        def test_it(ebpf, fake):
            assert fake.running
            {body}

        def test_next(ebpf): pass
        """
    )
    result = run(*args, no_reraise_ctrlc=True)
    assert result.ret == code
    assert fake.starts == 1
    assert not fake.running


@pytest.mark.parametrize("hook", ["pytest_runtest_logreport(report)", "pytest_sessionfinish(session)"])
def test_stops_after_an_internal_error(pytester: pytest.Pytester, run: Run, fake: FakeEngine, hook: str) -> None:
    """A broken hook of another plugin doesn't leave the programs behind."""
    pytester.makeconftest(f"def {hook}: raise RuntimeError('broken on purpose')")
    pytester.makepyfile(USER)
    with contextlib.suppress(RuntimeError):  # pytest lets through what pytest_sessionfinish raises
        run()
    assert fake.starts == 1
    assert not fake.running


def test_collection_error_starts_nothing(pytester: pytest.Pytester, run: Run, fake: FakeEngine) -> None:
    """A file that can't be imported ends the session before any test."""
    pytester.makepyfile(test_good=USER, test_bad="import does_not_exist")
    assert run().ret == pytest.ExitCode.INTERRUPTED
    assert not fake.running


def test_session_in_a_session(pytester: pytest.Pytester, run: Run, engines: list[FakeEngine]) -> None:
    """A plugin's own tests run pytest in process: the inner session is another, and the outer goes on."""
    pytester.makeconftest("pytest_plugins = ['pytester']")
    pytester.makepyfile(
        """
        def test_outer(ebpf, fake, pytester):
            fake.call("getpid")
            pytester.makepyfile("def test_inner(ebpf): ebpf.assert_no_syscall()")
            result = pytester.runpytest_inprocess("-p", "no:hypothesispytest")
            result.assert_outcomes(passed=1)
            fake.call("getppid")
            assert [event.name for event in ebpf.events] == ["getpid", "getppid"]
            assert ebpf.complete

        def test_after(ebpf, fake):
            fake.call("getuid")
            ebpf.assert_syscall("getuid", count=1)
        """
    )
    run().assert_outcomes(passed=2)
    assert [engine.starts for engine in engines] == [1, 1]
    assert not any(engine.running for engine in engines)


KEEPER = """
import pytest
from pytest_ebpf import EbpfError, engines, features
from pytest_ebpf.testing import FakeEngine

kept = []

class Plugin:
    @pytest.fixture
    def keep(self):
        return kept.append

engines.create = lambda name, address, *, is_lent, memory: FakeEngine()
features.choose = lambda wanted, lent: features.Choice("libbpf", "made up")
assert pytest.main(["-q", "-p", "no:hypothesispytest"], plugins=[Plugin()]) == 0
ebpf, *managers = kept
for ask in (lambda: ebpf.events, lambda: ebpf.complete, lambda: ebpf.assert_no_syscall("openat")):
    try:
        ask()
    except EbpfError:
        continue
    raise SystemExit("no error")
for manager in managers:
    try:
        manager.__exit__(None, None, None)
    except EbpfError:
        pass
print("alive")
"""


def test_recording_kept_beyond_the_session(pytester: pytest.Pytester) -> None:
    """Who asks when the memory is gone gets an error, and what is left open doesn't crash the interpreter."""
    pytester.makepyfile(
        """
        def test_it(ebpf, keep):
            keep(ebpf)
            for manager in (ebpf.paused(), ebpf.window()):
                manager.__enter__()
                keep(manager)
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", KEEPER], cwd=pytester.path, capture_output=True, text=True, check=False
    )
    assert done.stdout.endswith("alive\n"), (done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    "test, followed",
    [
        ("def test_it(): pass", []),
        ("def test_it(ebpf): pass", [1, 2, 3]),
        ("def test_it(request): request.getfixturevalue('ebpf')", [3]),
        ("@pytest.mark.ebpf(no_exec=True)\ndef test_it(): pass", [1, 2, 3]),
    ],
)
def test_hooks_around_tests(run: Run, pytester: pytest.Pytester, test: str, followed: list[int]) -> None:
    """They are there from the first test on that is recorded, or earlier; without one, there are none."""
    pytester.makeconftest(
        """
        import pytest

        @pytest.fixture(autouse=True)
        def tell(request):
            plugins = request.config.pluginmanager
            print("followed" if plugins.has_plugin("ebpf tests") else "not")
        """
    )
    pytester.makepyfile(f"import pytest\ndef test_before(): pass\n{test}\ndef test_after(): pass")
    result = run("-rP")
    result.assert_outcomes(passed=3)
    told = [line for line in result.outlines if line in ("followed", "not")]
    assert [number for number, line in enumerate(told, 1) if line == "followed"] == followed


@pytest.mark.parametrize(
    "hook",
    [
        (
            "def pytest_runtestloop(session):\n"
            "    for item in session.items:\n"
            "        item.ihook.pytest_runtest_protocol(item=item, nextitem=None)\n"
            "    return True"
        ),
        (
            "def pytest_runtestloop(session):\n"
            "    for item in session.items:\n"
            "        runtestprotocol(item, nextitem=None)\n"
            "    return True"
        ),
        "def pytest_runtest_protocol(item, nextitem):\n    runtestprotocol(item, nextitem=nextitem)\n    return True",
        (
            "def pytest_runtest_protocol(item, nextitem):\n"
            "    if 'test_it' in item.name:\n"
            "        runtestprotocol(item, nextitem=nextitem)\n"
            "        return True"
        ),
        (
            "def pytest_collection_finish(session):\n"
            "    late.extend(session.items)\n"
            "    session.items.clear()\n"
            "late = []\n"
            "def pytest_runtestloop(session):\n"
            "    for item in late:\n"
            "        item.ihook.pytest_runtest_protocol(item=item, nextitem=None)\n"
            "    return True"
        ),
    ],
)
@pytest.mark.parametrize(
    "test",
    [
        "@pytest.mark.ebpf(no_syscall='openat')\ndef test_it(fake):\n    work(fake)",
        "def test_it(ebpf, fake):\n    work(fake)\n    ebpf.assert_no_syscall('openat')",
        (
            "@pytest.fixture\ndef late(request):\n    return request.getfixturevalue('ebpf')\n"
            "def test_it(late, fake):\n    work(fake)\n    late.assert_no_syscall('openat')"
        ),
    ],
)
def test_a_loop_of_another_plugin(run: Run, fake: FakeEngine, pytester: pytest.Pytester, hook: str, test: str) -> None:
    """It may run tests without a word to this one: they are recorded, and held to their rules."""
    hooks = hook.replace("def pytest", "@pytest.hookimpl(tryfirst=True)\ndef pytest")
    pytester.makeconftest(f"import pytest\nfrom _pytest.runner import runtestprotocol\n{hooks}")
    work = "import pytest\ndef work(fake):\n    fake.call('openat', path='/x', ret=3)\ndef test_other(): pass\n"
    pytester.makepyfile(work + test)
    result = run()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["E *'openat'*: * call* matched*"])
    assert fake.starts == 1


LAZY = """
import sys
import pytest
code = pytest.main(sys.argv[1:])
print("loaded:", *sorted(name for name in sys.modules if name == "ctypes" or name.startswith("pytest_ebpf")))
raise SystemExit(code)
"""


@pytest.mark.parametrize("args", [[], ["--collect-only"], ["-k", "test_plain"]])
def test_no_engine_is_imported(pytester: pytest.Pytester, args: list[str]) -> None:
    """Collecting and running tests that don't ask loads no engine, no table of calls and no ctypes."""
    pytester.makepyfile("def test_plain(): pass\n" + ("def test_it(ebpf): pass\n" if args else ""))
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            LAZY,
            "-p",
            "no:hypothesispytest",
            "-p",
            "no:asyncio",
            "-p",
            "no:anyio",
            "-p",
            "no:xdist",
            "-p",
            "no:trio",
            *args,
        ],
        cwd=pytester.path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("loaded:")]
    assert line.split()[1:] == [
        "pytest_ebpf",
        "pytest_ebpf.attachment",
        "pytest_ebpf.clauses",
        "pytest_ebpf.engines",
        "pytest_ebpf.engines.base",
        "pytest_ebpf.errors",
        "pytest_ebpf.features",
        "pytest_ebpf.fixtures",
        "pytest_ebpf.hookspecs",
        "pytest_ebpf.markers",
        "pytest_ebpf.options",
        "pytest_ebpf.plugin",
        "pytest_ebpf.policy",
        "pytest_ebpf.runtest",
        "pytest_ebpf.sizes",
        "pytest_ebpf.sources",
        "pytest_ebpf.stash",
        "pytest_ebpf.step",
        "pytest_ebpf.terminal",
    ]
