"""The phases of a run, each held to the suite's rules under its own name."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

Run = Callable[..., pytest.RunResult]
POLICY = "[tool.pytest-ebpf]\nno_syscall = ['%open', {path = '/etc/hostname'}]\n"
READ = "open('/etc/hostname').close()"


def test_import(run: Run, pytester: pytest.Pytester) -> None:
    """What a module of tests does when it is imported; its tests don't run, others do."""
    pytester.makepyprojecttoml(POLICY)
    pytester.makepyfile(test_bad=f"{READ}\ndef test_it(): pass\n", test_good="def test_it(): pass\n")
    result = run("--continue-on-collection-errors")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["*ERROR collecting test_bad.py*", "*no_syscall=*, import test_bad.py: *1 call matched*"]
    )


def test_collection(run: Run, pytester: pytest.Pytester) -> None:
    """What hooks do while tests are collected."""
    pytester.makepyprojecttoml(POLICY)
    pytester.makeconftest(f"def pytest_collection_modifyitems(): {READ}")
    pytester.makepyfile(test_m="def test_it(): pass\n")
    result = run()
    assert result.ret not in (0, pytest.ExitCode.INTERNAL_ERROR)
    result.stdout.fnmatch_lines(["*ERROR collecting collection*", "*no_syscall=*, collection: *1 call matched*"])


def test_fixtures(run: Run, pytester: pytest.Pytester) -> None:
    """Of each scope, before and after its yield; and nobody else's phase is touched."""
    pytester.makepyprojecttoml(POLICY)
    pytester.makepyfile(
        test_m=f"""
        import pytest

        @pytest.fixture(scope="session")
        def setting_up():
            {READ}
            yield

        @pytest.fixture(scope="session")
        def tearing_down():
            yield
            {READ}

        @pytest.fixture
        def own_setup():
            {READ}

        @pytest.fixture
        def own_teardown():
            yield
            {READ}

        def test_a(setting_up): pass
        def test_b(own_setup): pass
        def test_c(own_teardown): pass
        def test_d(): {READ}
        def test_e(): pass
        @pytest.mark.ebpf(no_syscall=None)
        def test_f(own_setup, own_teardown): {READ}
        def test_g(tearing_down): pass
        """
    )
    result = run("-rA")
    told = result.stdout.str()
    for phase in (
        "session fixture setting_up (setup)",
        "session fixture tearing_down (teardown)",
        "setup",
        "teardown",
        "call",
    ):
        assert told.count(f", {phase}: assert_no_syscall") >= 1, phase
    failed = {line.split()[1] for line in result.outlines if line.startswith(("FAILED ", "ERROR "))}
    assert failed == {f"test_m.py::test_{letter}" for letter in "abcdg"}
    result.assert_outcomes(passed=4, failed=1, errors=4)


def test_phases_of_an_export(run: Run, pytester: pytest.Pytester) -> None:
    """Each event says in which phase it was."""
    pytester.makepyfile(
        test_m="""
        import os
        import pytest

        @pytest.fixture
        def around():
            os.mkdir("setup")
            yield
            os.mkdir("teardown")

        def test_it(around):
            os.mkdir("call")
        """
    )
    run("--ebpf-export=out").assert_outcomes(passed=1)
    (file,) = pytester.path.glob("out/**/*.jsonl")
    events = [json.loads(line) for line in file.read_text().splitlines()]
    made = [(each["phase"], each["path"]) for each in events if each.get("name") == "mkdir"]
    assert made == [("setup", "setup"), ("call", "call"), ("teardown", "teardown")]


EXIT = f"""
import atexit
atexit.register(lambda: {READ})
def test_it(): pass
"""


def test_exit(run: Run, pytester: pytest.Pytester) -> None:
    """What the interpreter does at its end breaks the suite's rule: the run fails, though every test passed."""
    pytester.makepyprojecttoml(POLICY)
    pytester.makepyfile(test_m=EXIT)
    result = run()
    result.assert_outcomes(passed=1)
    assert result.ret == 1
    result.stderr.fnmatch_lines(["*no_syscall=*, exit: assert_no_syscall*1 call matched*", '*openat*"/etc/hostname"*'])


def test_exit_of_a_child(run: Run, pytester: pytest.Pytester) -> None:
    """So does what a process does that is started there."""
    pytester.makepyprojecttoml(POLICY)
    pytester.makepyfile(test_m=EXIT.replace(READ, "__import__('subprocess').run(['cat', '/etc/hostname'])"))
    result = run()
    assert result.ret == 1
    result.stderr.fnmatch_lines(["*no_syscall=*, exit: assert_no_syscall*1 call matched*"])


@pytest.mark.parametrize(
    "policy", ["no_exec = true\n", POLICY.partition("\n")[2] + "phases = ['call']\n", "no_syscall = ['reboot']\n"]
)
def test_good_exit(run: Run, pytester: pytest.Pytester, policy: str) -> None:
    """A rule that isn't broken, or isn't for the exit, changes nothing."""
    pytester.makepyprojecttoml(f"[tool.pytest-ebpf]\n{policy}")
    pytester.makepyfile(test_m=EXIT)
    result = run()
    assert result.ret == 0
    assert not result.errlines


def test_exit_status_of_a_failed_run(run: Run, pytester: pytest.Pytester) -> None:
    """It stays what it was."""
    pytester.makepyprojecttoml("[tool.pytest-ebpf]\nno_exec = true\n")
    pytester.makepyfile(test_m=EXIT + "    assert False\n".replace("    ", "\ndef test_bad():\n    ", 1))
    assert run().ret == 1
