"""The plugin's own tests, with pytest's fixture `pytester`: they run small suites that use it."""

import shutil
from pathlib import Path

import pytest

SUITE = """
import os
import time

def test_careless(tmp_path):
    (tmp_path / "keep").touch()
    try:
        os.remove(tmp_path / "keep")
    except OSError:
        pass

def test_careful(tmp_path):
    (tmp_path / "other").touch()
    os.remove(tmp_path / "other")

def test_curious(ebpf):
    open("/proc/self/status").close()
    time.sleep(0.001)
    assert ebpf.complete
    ebpf.assert_syscall("%open", path="/proc/me/status", count=1)
    ebpf.assert_no_syscall("clock_nanosleep")
    assert False, "to see the sections"
"""


@pytest.fixture
def run(pytester):
    shutil.copy(Path(__file__).parent / "pytest_tidy.py", pytester.path)  # others install it
    pytester.makepyfile(test_suite=SUITE)
    return lambda *args: pytester.runpytest_subprocess("-p", "pytest_tidy", *args)


def test_rules_of_the_plugin(run):
    result = run("--tidy")
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(
        ["E *no_syscall=*pytest_tidy.py:*: pytest_ebpf_policy), call: *1 call matched", "E *unlink*keep*"]
    )


def test_events_and_report_of_the_plugin(run):
    result = run()
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["E *to see the sections"])
    result.stdout.fnmatch_lines(["dropped by plugins: 1 (waiting)"])
