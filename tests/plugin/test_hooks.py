"""The hooks that other plugins implement."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest

from pytest_ebpf import hookspecs

Run = Callable[..., pytest.RunResult]
SPECIFIED = [name for name in hookspecs.__all__ if name.startswith("pytest_")]


@pytest.mark.parametrize("name", SPECIFIED)
def test_example_in_the_docstring(pytester: pytest.Pytester, run: Run, name: str) -> None:
    """It is a whole conftest.py, and runs."""
    text = inspect.getdoc(getattr(hookspecs, name))
    assert text is not None
    example = inspect.cleandoc(text.partition("::\n")[2])
    assert f"def {name}(" in example
    pytester.makeconftest(example)
    pytester.mkdir("bpf").joinpath("page_faults.c").touch()
    pytester.makepyfile("def test_it(ebpf, fake): fake.call('openat', path='/tmp/x', ret=3)")
    run("-W", "error").assert_outcomes(passed=1)


def test_names_are_those_of_the_api() -> None:
    """Five hooks."""
    assert SPECIFIED == [
        "pytest_ebpf_configure",
        "pytest_ebpf_event",
        "pytest_ebpf_policy",
        "pytest_ebpf_report",
        "pytest_ebpf_snippets",
    ]


def test_misspelt_hook(pytester: pytest.Pytester, run: Run) -> None:
    """pluggy refuses an argument that the hook hasn't got."""
    pytester.makeconftest("def pytest_ebpf_policy(items): pass")
    pytester.makepyfile("def test_it(): pass")
    result = run()
    assert result.ret != pytest.ExitCode.OK
    assert "items" in result.stdout.str() + result.stderr.str()


def test_configure(pytester: pytest.Pytester, run: Run) -> None:
    """Settings in place of those from flags and files; what isn't any is refused."""
    pytester.makeconftest(
        """
        import dataclasses

        def pytest_ebpf_configure(settings):
            assert settings.trace == "none"
            return dataclasses.replace(settings, trace="all", no_network=False)
        """
    )
    pytester.makepyfile("def test_it(ebpf, fake): fake.call('getpid')")
    run("--ebpf-trace=none").stdout.fnmatch_lines(["*Captured kernel events call*", "*getpid()*"])
    pytester.makeconftest("def pytest_ebpf_configure(settings): return 'all'")
    result = run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: pytest_ebpf_configure: it returned str (valid are settings, and None)"])


def test_event_is_enriched_and_dropped(pytester: pytest.Pytester, run: Run) -> None:
    """Queries and assertions see what the hook gives; what it takes is told, and a gap unless it is harmless."""
    pytester.makeconftest(
        """
        import dataclasses
        from pytest_ebpf.hookspecs import Drop

        def pytest_ebpf_event(event):
            if event.name == "getppid":
                return Drop("boring", harmless=True)
            if event.path == "/secret":
                return Drop("secret")
            if event.path == "/a":
                return dataclasses.replace(event, paths=(*event.paths, "alias"))
        """
    )
    pytester.makepyfile(
        """
        import pytest
        from pytest_ebpf import InconclusiveRecording

        def test_add(ebpf, fake):
            fake.call("openat", path="/a", ret=3)
            fake.call("getppid")
            ebpf.assert_syscall("openat", path="alias", count=1)
            ebpf.assert_no_syscall("getppid")
            assert ebpf.complete
            with ebpf.window() as part:
                fake.call("openat", path="/a", ret=3)
                fake.call("getppid")
            assert [event.name for event in part.events] == ["openat"]
            assert False, "to see the section"

        def test_drop(ebpf, fake):
            fake.call("openat", path="/secret", ret=3)
            ebpf.assert_no_syscall("unlink")
            with pytest.raises(InconclusiveRecording, match="dropped: secret"):
                ebpf.assert_no_syscall("openat")
        """
    )
    result = run()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*Captured kernel events*", "*openat*", "dropped by plugins: 2 (boring)"])


def test_hook_of_a_deeper_conftest(pytester: pytest.Pytester, run: Run) -> None:
    """Rules of a folder hold there, closer than those of the folder above."""
    pytester.makeconftest("def pytest_ebpf_policy(item): return {'no_syscall': 'getpid'}")
    for folder, hook in [("one", "def pytest_ebpf_policy(item): return {'no_syscall': 'getppid'}"), ("two", "")]:
        package = pytester.mkpydir(folder)
        (package / "conftest.py").write_text(hook)
        (package / f"test_{folder}.py").write_text(
            "def test_pid(fake): fake.call('getpid')\ndef test_ppid(fake): fake.call('getppid')\n"
        )
    result = run("-rA")
    result.stdout.fnmatch_lines_random(
        ["PASSED one/test_one.py::test_pid", "FAILED one/test_one.py::test_ppid*", "FAILED two/test_two.py::test_pid*"]
    )
    result.stdout.fnmatch_lines(["E *no_syscall='getppid' (one/conftest.py:1: pytest_ebpf_policy), call: *"])


def test_policy_is_asked_once(pytester: pytest.Pytester, run: Run) -> None:
    """For each test, when all are collected."""
    pytester.makeconftest(
        """
        asked = []

        def pytest_ebpf_policy(item):
            asked.append(item.name)

        def pytest_unconfigure():
            print("asked:", *asked)
        """
    )
    pytester.makepyfile("def test_a(): pass\ndef test_b(ebpf): pass")
    run().stdout.fnmatch_lines(["asked: test_a test_b"])


@pytest.mark.parametrize(
    "answer",
    ["pytest.mark.ebpf(no_syscall='getpid')", "{'no_syscall': ['getpid']}", "markers.ebpf(no_syscall='getpid')"],
)
def test_forms_of_a_policy(pytester: pytest.Pytester, run: Run, answer: str) -> None:
    """A dict, or a marker."""
    pytester.makeconftest(
        f"import pytest\nfrom pytest_ebpf import markers\ndef pytest_ebpf_policy(item): return {answer}"
    )
    pytester.makepyfile("def test_it(fake): fake.call('getpid')")
    run().assert_outcomes(failed=1)


def test_report(pytester: pytest.Pytester, run: Run) -> None:
    """Its text is a section; its assertions are the test's."""
    pytester.makeconftest(
        """
        def pytest_ebpf_report(item, recording):
            recording.assert_no_syscall("unlink")
            return f"{len(recording.events)} calls in {item.name}"
        """
    )
    pytester.makepyfile(
        """
        def test_good(ebpf, fake):
            fake.call("getpid")

        def test_bad(ebpf, fake):
            fake.call("unlink", path="/x")

        def test_unrecorded():
            pass
        """
    )
    result = run("-rP")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["E *assert_no_syscall('unlink'): 1 call matched"])
    result.stdout.fnmatch_lines(["*Captured ebpf report call*", "1 calls in test_good"])


def test_no_implementation_no_call(pytester: pytest.Pytester, run: Run) -> None:
    """Without pytest_ebpf_event nothing is asked of an event: reading stays lazy."""
    pytester.makepyfile(
        """
        def test_it(ebpf):
            assert ebpf._session.amendments is None
        """
    )
    run().assert_outcomes(passed=1)


@pytest.mark.parametrize(
    "answer, message",
    [
        ('["bpf/none.c"]', "pytest_ebpf_snippets: bpf/none.c: no such file"),
        ('["a/x.c", "b/x.c"]', "pytest_ebpf_snippets: a/x.c and b/x.c: tests can't tell them apart*"),
        ('"a/x.c"', "pytest_ebpf_snippets: a/x.c (give a list of paths)"),
    ],
)
def test_snippets_that_cannot_be_asked_for(pytester: pytest.Pytester, run: Run, answer: str, message: str) -> None:
    """Told before the first test."""
    for folder in "ab":
        pytester.mkdir(folder).joinpath("x.c").touch()
    pytester.makeconftest(f"def pytest_ebpf_snippets(): return {answer}")
    pytester.makepyfile("def test_it(): pass")
    result = run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {message}"])
