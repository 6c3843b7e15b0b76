"""Rules, exports and numbers of tests whose calls are real."""

from __future__ import annotations

import json
from collections import Counter

import pytest


def test_rule_sees_what_was_swallowed(pytester: pytest.Pytester) -> None:
    """Of a child too, whose error nobody looked at."""
    pytester.makepyfile(
        test_r="""
        import subprocess
        import pytest

        @pytest.mark.ebpf(no_syscall=["%file", {"path": "/nowhere/*"}])
        def test_child():
            subprocess.run(["cat", "/nowhere/secret"], stderr=subprocess.DEVNULL)

        @pytest.mark.ebpf(no_syscall=["%file", {"path": "/nowhere/*"}])
        def test_none():
            subprocess.run(["true"])
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(
        ["E *no_syscall=* (test_r.py:4), call: *: 1 call matched", 'E *cat*openat*"/nowhere/secret"*ENOENT*']
    )


def test_suite_rule_with_an_exception(pytester: pytest.Pytester) -> None:
    """The temporary directory is the test's own, also of a test that didn't ask for it."""
    pytester.makepyprojecttoml("[tool.pytest-ebpf]\nno_syscall = ['mkdir*', {path = '{tmp_path}/*'}]\n")
    pytester.makepyfile(
        """
        import pytest

        def test_bad(tmp_path):
            (tmp_path / "x").mkdir()

        def test_elsewhere(tmp_path_factory):
            tmp_path_factory.mktemp("y")

        @pytest.mark.ebpf(no_syscall=None)
        def test_allowed(tmp_path):
            (tmp_path / "x").mkdir()
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=1, passed=2)


def test_what_capfd_captured(pytester: pytest.Pytester) -> None:
    """It goes to files of pytest's own, which are closed when the rules are judged; what the test writes counts."""
    pytester.makepyprojecttoml(
        "[tool.pytest-ebpf]\nonly_writes_under = ['allowed']\nphases = ['setup', 'call', 'teardown']\n"
    )
    pytester.makepyfile(
        """
        import os
        import subprocess
        import unittest
        import pytest

        @pytest.fixture
        def around(capfd):
            os.write(1, b"x")
            yield
            os.write(1, b"x")

        def test_bytes(capfdbinary):
            os.write(1, b"x")
            print("x", flush=True)
            subprocess.run(["echo", "x"], check=True)
            assert capfdbinary.readouterr().out.count(b"x") == 3

        def test_fixture(around):
            os.write(2, b"x")

        def test_asked_for_late(request):
            request.getfixturevalue("capfd")
            os.write(2, b"x")

        class TestCase(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def captured(self, capfd):
                self.capfd = capfd

            def setUp(self):
                os.write(1, b"x")

            def test_method(self):
                os.write(1, b"x")
                assert self.capfd.readouterr().out == "xx"

        def test_file_of_its_own(capfd, tmp_path):
            (tmp_path / "x").write_text("x")
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=1, passed=4)
    result.stdout.fnmatch_lines(["FAILED *::test_file_of_its_own *"])


def test_what_teardown_takes_away(pytester: pytest.Pytester) -> None:
    """A method of unittest is judged before its tearDown, as a function is before its fixtures are torn down."""
    pytester.makepyprojecttoml(
        "[tool.pytest-ebpf]\nno_network = true\nno_file_access = '/etc/shadow'\nonly_writes_under = ['/tmp']\n"
        "phases = ['call']\n"
    )
    pytester.makepyfile(
        """
        import os
        import shutil
        import socket
        import tempfile
        import unittest

        class TestIt(unittest.TestCase):
            def setUp(self):
                self.folder = tempfile.mkdtemp(dir="/tmp")
                self.file = f"{self.folder}/file"
                open(self.file, "w").close()
                self.server = socket.socket(socket.AF_UNIX)
                self.server.bind(f"{self.folder}/sock")
                self.server.listen()

            def tearDown(self):
                self.server.close()
                shutil.rmtree(self.folder)

            def test_file(self):
                os.stat(self.file)
                os.chmod(self.file, 0o600)
                os.truncate(self.file, 7)
                os.rename(self.file, self.file + "2")

            def test_socket(self):
                with socket.socket(socket.AF_UNIX) as client:
                    client.connect(f"{self.folder}/sock")

            def test_bad(self):
                os.access("/etc/shadow", os.R_OK)
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=1, passed=2)
    result.stdout.fnmatch_lines(["FAILED *::test_bad *"])


def test_export_and_numbers(pytester: pytest.Pytester) -> None:
    """What the files and the table say is what was done."""
    pytester.makepyfile(
        """
        import os

        def test_it(tmp_path):
            for number in range(23):
                fd = os.open(tmp_path / str(number), os.O_CREAT | os.O_WRONLY)
                os.write(fd, b"x" * 100)
                os.close(fd)
            fd = os.open(b"%s/name\\xff\\x1b" % os.fsencode(tmp_path), os.O_CREAT | os.O_WRONLY)
            os.fsync(fd)
            os.close(fd)
            for number in range(7):
                os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
        """
    )
    result = pytester.runpytest_subprocess("--ebpf-summary", "--ebpf-export=out", "--junit-xml=out.xml")
    result.assert_outcomes(passed=1)
    (path,) = (pytester.path / "out").glob("*.jsonl")
    lines = [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]
    assert lines[-1]["complete"], [line for line in lines if line["type"] == "gap"]
    events = [line for line in lines if line["type"] == "event"]
    assert lines[-1]["events"] == len(events)
    assert {line["phase"] for line in events} == {"call"}  # what tmp_path does in the setup is pytest's
    own = Counter(line["name"] for line in events if line["tid"] == line["pid"] and line["comm"].startswith("py"))
    assert own["write"] == 23
    assert own["fsync"] == 1
    assert sum(line["name"] == "execve" and line["ok"] for line in events) == 7
    assert len([line for line in lines if line["type"] == "process" and line["comm"] == "true"]) == 7
    assert len([line for line in events if isinstance(line["path"], dict)]) == 1
    (path,) = (pytester.path / "out").glob("*.trace.json")
    trace = json.loads(path.read_text(encoding="ascii"))["traceEvents"]
    names = Counter(each["args"]["name"] for each in trace if each["name"] == "process_name")
    assert names["true"] == 7
    assert sum(each["name"] == "write" and each["args"]["phase"] == "call" for each in trace) == 23
    (row,) = [line.split() for line in result.outlines if line.endswith("::test_it")]
    assert row[0] == f"{len(events):,}"
    text = (pytester.path / "out.xml").read_text()
    assert 'name="ebpf_bytes_written" value="2300"' in text
    assert 'name="ebpf_syncs" value="1"' in text
    assert 'name="ebpf_children" value="7"' in text


def test_xdist(pytester: pytest.Pytester) -> None:
    """Each worker records its own tests; there is one table."""
    pytester.makepyfile(
        """
        import os
        import pytest

        @pytest.mark.parametrize("count", [3, 5, 7, 11])
        def test_it(count, tmp_path):
            for _ in range(count):
                os.close(os.open(tmp_path, os.O_RDONLY))
        """
    )
    result = pytester.runpytest_subprocess("-n2", "--ebpf-summary", "--ebpf-export=out")
    result.assert_outcomes(passed=4)
    assert result.stdout.str().count("most expensive tests") == 1
    rows = {line.rpartition("[")[2][:-1]: line.split() for line in result.outlines if "::test_it[" in line}
    assert {"11": "11", "7": "7", "5": "5"}.items() <= {count: row[1] for count, row in rows.items()}.items()
    assert len([*(pytester.path / "out").iterdir()]) == 8
