"""Every test as files, in numbers, and in one table; also over xdist."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_ebpf import EngineUnavailable
from pytest_ebpf.exports import file_stem
from pytest_ebpf.testing import FakeEngine

Run = Callable[..., pytest.RunResult]

TESTS = """
import pytest

@pytest.mark.parametrize("count", [3, 7])
def test_opens(fake, count):
    for number in range(count):
        fake.call("openat", path=f"/data/{number}", ret=3)

def test_hostile(fake):
    fake.call("openat", path=b'/a"\\x1b[31m\\n\\xff<&]]>', ret=3)

def test_fails(fake):
    fake.call("fsync", file="/data/x")
    assert False
"""

FAKE_HOST = """
import pytest
from types import SimpleNamespace
from pytest_ebpf import engines, features
from pytest_ebpf.testing import FakeEngine

features._may_load_programs = lambda: True
features.BTF = SimpleNamespace(exists=lambda: True)
features.platform = SimpleNamespace(system=lambda: "Linux", release=lambda: "6.18.0", machine=lambda: "x86_64")
engine = FakeEngine()
engines.create = lambda name, address, *, is_lent, memory: engine

@pytest.fixture(scope="session")
def fake():
    return engine
"""


def lines(path: Path) -> list[dict[str, Any]]:
    """A file of JSON Lines."""
    return [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]


def test_both_files_of_each_test(pytester: pytest.Pytester, run: Run) -> None:
    """Recorded without the fixture, whatever the verdict, and read back."""
    pytester.makepyfile(test_x=TESTS)
    result = run("--ebpf-export=out")
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["ebpf: exported to *out"])
    ids = ["test_opens[3]", "test_opens[7]", "test_hostile", "test_fails"]
    stems = [file_stem(f"test_x.py::{name}") for name in ids]
    out = pytester.path / "out"
    assert {path.name for path in out.iterdir()} == {
        f"{stem}{end}" for stem in stems for end in (".jsonl", ".trace.json")
    }
    for stem, count in zip(stems, [3, 7, 1, 1], strict=True):
        found = lines(out / f"{stem}.jsonl")
        assert [line["type"] for line in found].count("event") == count
        assert found[-1] == {"type": "end", "events": count, "gaps": 0, "complete": True}
        trace = json.loads((out / f"{stem}.trace.json").read_text(encoding="ascii"))
        slices = [each for each in trace["traceEvents"] if each["ph"] == "X"]
        assert len(slices) == count
        assert slices[0]["args"]["call"] == found[2]["text"]


def test_folder_by_ini_key(pytester: pytest.Pytester, run: Run) -> None:
    """Relative to the file; made with its parents."""
    pytester.makeini("[pytest]\nebpf_export = a/b")
    pytester.makepyfile("def test_it(fake): pass")
    run().assert_outcomes(passed=1)
    assert len([*(pytester.path / "a" / "b").iterdir()]) == 2


@pytest.mark.parametrize("place", ["file", "file/below", "/dev/null/x", "/proc/nowhere"])
def test_folder_that_cannot_be(pytester: pytest.Pytester, run: Run, place: str) -> None:
    """An error before the first test, with the folder and the system's reason."""
    (pytester.path / "file").touch()
    pytester.makepyfile("def test_it(fake): pass")
    result = run(f"--ebpf-export={place}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: --ebpf-export: can't write to *{place}: [FN]*"])


def test_disk_that_fills_up(pytester: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """No verdict is lost, and the summary names the tests whose files are missing."""
    from pytest_ebpf import exports

    def full(self: object, nodeid: str, parts: object) -> None:
        if "hostile" in nodeid:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(exports.Exporter, "write", full)
    pytester.makepyfile(test_x=TESTS)
    result = run("--ebpf-export=out", "-W", "error")
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["=* ebpf export *=", "test_x.py::test_hostile: not exported: *No space left*"])
    result.stdout.no_fnmatch_line("ebpf: exported to *")


def test_junit_properties(pytester: pytest.Pytester, run: Run) -> None:
    """The counts of each recorded test; the file is valid, whatever was recorded."""
    pytester.makepyfile(test_x=TESTS + "\ndef test_unrecorded(): pass\n")
    pytester.makeini("[pytest]\nebpf_policy = no_syscall = {path = '*31m*'}")
    run("--junit-xml=out.xml").assert_outcomes(passed=3, failed=2)
    cases = {case.attrib["name"]: case for case in ET.parse(pytester.path / "out.xml").iter("testcase")}

    def properties(name: str) -> dict[str, str]:
        return {each.attrib["name"]: each.attrib["value"] for each in cases[name].iter("property")}

    assert properties("test_opens[7]") == {
        "ebpf_calls": "7",
        "ebpf_opens": "7",
        "ebpf_bytes_read": "0",
        "ebpf_bytes_written": "0",
        "ebpf_syncs": "0",
        "ebpf_children": "0",
        "ebpf_blocked_ns": properties("test_opens[7]")["ebpf_blocked_ns"],
        "ebpf_complete": "True",
    }
    assert properties("test_fails")["ebpf_syncs"] == "1"
    failure = cases["test_hostile"].find("failure")
    assert failure is not None
    assert "\\33[31m" in (failure.text or "")


def test_summary(pytester: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The most expensive tests, in a table that fits."""
    monkeypatch.setenv("COLUMNS", "70")
    pytester.makepyfile(test_x=TESTS)
    result = run("--ebpf-summary")
    result.stdout.fnmatch_lines(
        [
            "=* most expensive tests (ebpf) *=",
            "calls  opens * test",
            "    7      7 *opens[[]7[]]",
            "    3      3 *opens[[]3[]]",
            "   12     11 *",
        ]
    )
    start = next(index for index, line in enumerate(result.outlines) if "most expensive" in line)
    assert all(len(line) <= 70 for line in result.outlines[start : start + 6])


def test_summary_of_nothing(run: Run) -> None:
    """No test, no table."""
    run("--ebpf-summary").stdout.fnmatch_lines(["=* most expensive tests (ebpf) *=", "no test was recorded"])


@pytest.mark.parametrize("choice, passed, skipped", [("fail", 0, 0), ("skip", 1, 1)])
def test_unavailable_engine(
    pytester: pytest.Pytester, run: Run, fake: FakeEngine, choice: str, passed: int, skipped: int
) -> None:
    """A test that asks for nothing isn't skipped for the sake of a table."""
    fake.problem = EngineUnavailable("start engine libbpf", "no memory")
    pytester.makepyfile("def test_plain(): pass\n\ndef test_asks(ebpf): pass")
    result = run("--ebpf-summary", f"--ebpf-unavailable={choice}")
    outcomes = result.parseoutcomes()
    assert (outcomes.get("passed", 0), outcomes.get("skipped", 0)) == (passed, skipped)
    result.stdout.fnmatch_lines(["no test was recorded"])


@pytest.fixture
def run_xdist(pytester: pytest.Pytester) -> Run:
    """Runs pytest with two workers, each with a fake engine."""
    pytester.makepyfile(fake_host=FAKE_HOST)

    def run_pytest(*args: str) -> pytest.RunResult:
        return pytester.runpytest_subprocess("-p", "fake_host", "-p", "no:hypothesispytest", "-n2", *args)

    return run_pytest


def test_xdist(pytester: pytest.Pytester, run_xdist: Run) -> None:
    """One summary of all workers, one folder, one JUnit file; rules hold."""
    pytester.makepyfile(test_x=TESTS)
    rule = "ebpf_policy=no_syscall='fsync'"
    result = run_xdist("--ebpf-summary", "--ebpf-export=out", "--junit-xml=out.xml", "-o", rule)
    result.assert_outcomes(passed=3, failed=1)
    assert result.stdout.str().count("most expensive tests") == 1
    result.stdout.fnmatch_lines(["    7      7 *", "   12     11 *all 4 recorded tests", "ebpf: exported to *out"])
    assert len([*(pytester.path / "out").iterdir()]) == 8
    properties = [each.attrib["name"] for each in ET.parse(pytester.path / "out.xml").iter("property")]
    assert properties.count("ebpf_calls") == 4


def test_xdist_violation(pytester: pytest.Pytester, run_xdist: Run) -> None:
    """Its text comes over whole, with the rule's line."""
    pytester.makepyfile(
        test_x="import pytest\n@pytest.mark.ebpf(no_syscall='getpid')\ndef test_it(fake):\n    fake.call('getpid')\n"
    )
    result = run_xdist()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [">*@pytest.mark.ebpf(no_syscall='getpid')", "E *no_syscall='getpid' (test_x.py:2), call: *"]
    )


def test_xdist_bad_rules(pytester: pytest.Pytester, run_xdist: Run) -> None:
    """No test runs, and the error is there to read."""
    pytester.makepyfile(
        test_x="import pytest\n@pytest.mark.ebpf(no_syscall='gtpid')\ndef test_it(): open('ran', 'w')\n"
    )
    result = run_xdist()
    assert result.ret != pytest.ExitCode.OK
    assert "test_x.py:2: no_syscall='gtpid'" in result.stdout.str() + result.stderr.str()
    assert not (pytester.path / "ran").exists()
