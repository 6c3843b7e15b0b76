"""The assertions' failures as pytest shows them, in each of its dresses."""

from __future__ import annotations

import re
from collections.abc import Callable
from xml.etree import ElementTree as ET

import pytest

Run = Callable[..., pytest.RunResult]

FAILING = """
import itertools
from pytest_ebpf import call
from pytest_ebpf.events import Address

WEB = Address("AF_INET", "192.0.2.1", 80)

TASKS = itertools.count(500_001)

def use(fake):
    child = next(TASKS)
    fake.call("openat", -100, 0, 0o101, path="/usr/written", ret=3)
    fake.call("write", 3, 0, 5, ret=5, file="/usr/written")
    fake.call("connect", 4, address=WEB, file=WEB)
    fake.fork(child)
    fake.exec(child, "/bin/git", ["git", "status"])
    fake.exit(child)

def test_network(ebpf, fake):
    use(fake)
    ebpf.assert_no_network(allow=["loopback"])

def test_exec(ebpf, fake):
    use(fake)
    ebpf.assert_no_exec()

def test_places(ebpf, fake):
    use(fake)
    ebpf.assert_only_writes_under("/tmp")

def test_order(ebpf, fake):
    use(fake)
    ebpf.assert_syscall_order(call("connect"), call("write"))

def test_budget(ebpf, fake):
    use(fake)
    ebpf.assert_max(execs=0, write=0)

def test_connected(ebpf, fake):
    use(fake)
    ebpf.assert_connected("192.0.2.2")

def test_plain(ebpf, fake):
    use(fake)
    assert not ebpf.network(address="public")

def test_sets(ebpf, fake):
    use(fake)
    assert ebpf.files(op="write").paths == {"/usr/other"}
"""
FIRST = {
    "test_network": "assert_no_network(allow=['loopback']): reached 192.0.2.1:80",
    "test_exec": "assert_no_exec(): executed /bin/git",
    "test_places": "assert_only_writes_under('/tmp'): writes elsewhere: /usr/written",
    "test_order": "assert_syscall_order(call('connect'), call('write')): step 2 of 2, call('write'), did not come",
    "test_budget": "assert_max(execs=0): 1 execs",
    "test_connected": "assert_connected('192.0.2.2'): no connection to it was made",
    "test_plain": "assert not <1 event: connect: connect(4<TCP:[",
    "test_sets": "assert {'/usr/written'} == {'/usr/other'}",
}


@pytest.mark.parametrize("args", [[], ["-q"], ["-vv"], ["--color=yes"]])
def test_dresses(pytester: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch, args: list[str]) -> None:
    """What was asserted comes first, in the user's own line; with any verbosity and colour, 80 columns wide."""
    monkeypatch.setenv("COLUMNS", "80")
    pytester.makepyfile(FAILING)
    result = run(*args)
    result.assert_outcomes(failed=8)
    text = re.sub(r"\x1b\[[0-9;]*m", "", result.stdout.str())
    for first in FIRST.values():
        assert f"E       AssertionError: {first}" in text or f"E       {first}" in text
    assert "pytest_ebpf/" not in text
    assert '>       ebpf.assert_only_writes_under("/tmp")' in text
    assert re.search(r"→ python\[\d+\]", text)


def test_junit(pytester: pytest.Pytester, run: Run) -> None:
    """The whole text is in the XML, which can be read."""
    pytester.makepyfile(FAILING)
    run("--junitxml=report.xml").assert_outcomes(failed=8)
    cases = ET.parse(pytester.path / "report.xml").getroot().iter("testcase")
    messages = {case.get("name"): failure.get("message", "") for case in cases for failure in case.iter("failure")}
    for name, first in FIRST.items():
        assert first in messages[name]
    assert "connects to 192.0.2.1:80" in messages["test_network"]


def test_session_fixture_is_pytests_own_error(pytester: pytest.Pytester, run: Run) -> None:
    """A recording is of one test."""
    pytester.makepyfile("""
        import pytest

        @pytest.fixture(scope="session")
        def wide(ebpf):
            pass

        def test_it(wide):
            pass
    """)
    result = run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*ScopeMismatch*function scoped fixture*ebpf*session scoped*"])


def test_after_the_window_closed(pytester: pytest.Pytester, run: Run) -> None:
    """What it held can still be asked."""
    pytester.makepyfile("""
        import pytest

        def test_it(ebpf, fake):
            with ebpf.window() as part:
                fake.call("openat", path="/etc/hosts", ret=3)
            fake.call("openat", path="/etc/passwd", ret=3)
            part.assert_no_file_access("/etc/passwd")
            with pytest.raises(AssertionError, match="was accessed"):
                part.assert_no_file_access("/etc/hosts")
            with pytest.raises(AssertionError, match="was accessed"):
                ebpf.assert_no_file_access("/etc/passwd")
    """)
    run().assert_outcomes(passed=1)
