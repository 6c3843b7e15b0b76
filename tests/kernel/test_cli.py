"""The command line: the doctor finds what a way does, and what a broken recorder misses; trace and run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_ebpf import doctor
from pytest_ebpf.cli import main
from pytest_ebpf.engines.variant import of_kernel
from pytest_ebpf.events import Gap
from pytest_ebpf.match import Events
from pytest_ebpf.recording import Recording
from pytest_ebpf.syscalls import table
from pytest_ebpf.ways import WAYS, Place, Way

pytestmark = pytest.mark.heavy(reason="starts a recorder of its own in each test")

RING_WAYS = {"io-uring-open", "io-uring-connect", "io-uring-send"}
INCONCLUSIVE = {"int-0x80"} | (RING_WAYS if "io_uring" in of_kernel().missing else set())
QUIET = ("-p", "no:cacheprovider")
COMMAND = [sys.executable, "-P", "-c", "from pytest_ebpf.cli import main; raise SystemExit(main())"]


def test_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    """Every way is detected or leaves a gap; none is missed."""
    assert main(["doctor", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    verdicts = {finding["way"]: finding["verdict"] for finding in told["findings"]}
    assert verdicts.keys() == {way.name for way in WAYS} | {"nothing"}
    assert told["engine"]["problem"] == ""
    assert {probe["program"] for probe in told["probes"]} >= {"on_sys_enter", "on_sys_exit", "on_fork"}
    assert told["exit_code"] == 0
    unexpected = {
        name: verdict
        for name, verdict in verdicts.items()
        if verdict not in ("detected", "unavailable") and name not in INCONCLUSIVE
    }
    assert unexpected == {}
    # What depends on the kernel's configuration or the file system may not be had everywhere; this may.
    for name in ("openat2", "thread", "shell", "double-fork", "connect-by-ctypes", "sendmmsg", "nothing"):
        assert verdicts[name] == "detected", name


def test_doctor_tells_what_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recorder that sees nothing and has no gap: what was done is missed, and the exit code says so."""
    monkeypatch.setattr(Recording, "files", lambda *_, **__: Events((), table=table()))
    monkeypatch.setattr(Recording, "events", Events(()))
    monkeypatch.setattr(Recording, "gaps", ())
    found = doctor.examine(ways=[way for way in WAYS if way.name == "openat2"])
    assert [finding.verdict for finding in found.findings] == ["missed", "detected"]
    assert found.exit_code == 1
    text = str(found)
    assert "  ! missed        openat2: openat2\n" in text
    assert doctor.REPORT_IT in text
    assert "1 detected, 0 inconclusive, 1 missed, 0 unavailable" in text


def test_doctor_tells_a_recorder_that_is_never_sure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing at all was done, and still it isn't sure."""
    monkeypatch.setattr(Recording, "gaps", (Gap("the programs don't run", "look for them"),))
    found = doctor.examine(ways=[]).findings
    assert [(finding.verdict, finding.reason) for finding in found] == [("inconclusive", "the programs don't run")]


def test_doctor_of_what_is_not_there() -> None:
    """A way that the host refuses is neither detected nor missed."""

    def refused(place: Place) -> Iterator[None]:
        yield
        (place.folder / "none" / "file").read_bytes()

    found = doctor.examine(ways=[Way("refused", "nothing to open", "file", refused)])
    assert found.findings[0].verdict == "unavailable"
    assert "No such file or directory" in found.findings[0].reason
    assert found.exit_code == 0


def test_doctor_by_pytest(pytester: pytest.Pytester) -> None:
    """--ebpf-doctor is the same, and runs no test."""
    pytester.makepyfile("def test_it(): raise SystemExit")
    result = pytester.runpytest_subprocess("--ebpf-doctor", *QUIET)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["ways to do something unseen:", "*detected*openat2*", "*0 missed*"])


def test_doctor_without_privilege() -> None:
    """It says what is missing, by exit code 2."""
    without = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    done = subprocess.run([*without, *COMMAND, "doctor"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "needs root" in done.stdout or "run as root" in done.stdout


def test_trace(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Its events in strace's notation, then assertions, which hold of the same command; its exit code is kept."""
    assert main(["trace", "--", "/bin/sh", "-c", f"echo x > {tmp_path}/file; exit 7"]) == 7
    told = capfd.readouterr().err
    assert f'openat(AT_FDCWD, "{tmp_path}/file", O_WRONLY|O_CREAT|O_TRUNC' in told
    assert "+++ exited" not in told.splitlines()[0]
    described = told.partition("assertions that describe it:\n")[2].split("\n")
    assert "    ebpf.assert_no_network()" in described
    assert f"    ebpf.assert_only_writes_under({str(tmp_path)!r})" in described


def test_trace_of_what_is_not_there(capfd: pytest.CaptureFixture[str]) -> None:
    """As a shell says it."""
    assert main(["trace", "--", "/none\x1b[31m"]) == 127
    assert capfd.readouterr().err == "pytest-ebpf trace: /none\\33[31m: No such file or directory\n"


def test_run_lends_the_engine(pytester: pytest.Pytester, engine: str) -> None:
    """Tests without any privilege record by what root loaded; nothing of it is inherited by their children."""
    pytester.makepyfile(
        """
        import os, subprocess, sys

        def test_it(ebpf):
            os.getppid()
            child = subprocess.run(["/bin/ls", "-l", "/proc/self/fd"], close_fds=False, capture_output=True, check=True)
            assert b"bpf" not in child.stdout and b"socket" not in child.stdout
            ebpf.assert_syscall("getppid", count=1)
            ebpf.assert_syscall("execve", process="children", ok=True, count=1)
            ebpf.assert_no_syscall("listen")
        """
    )
    tests = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable, "-m", "pytest", *QUIET]
    result = pytester.run(*COMMAND, "run", "--engine", engine, "--", *tests)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"ebpf: engine {engine} (lent by pytest-ebpf run)*"])
    assert pytester.run(*COMMAND, "run", "--", "/bin/sh", "-c", "exit 7").ret == 7


def test_run_as_the_user_who_called_sudo(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """With his groups and home folder."""
    monkeypatch.setenv("SUDO_UID", "65534")
    assert main(["run", "--", shutil.which("sh") or "sh", "-c", 'id -u; id -un; echo "$HOME"']) == 0
    import pwd

    user = pwd.getpwuid(65534)
    assert capfd.readouterr().out.split() == ["65534", user.pw_name, user.pw_dir]


def test_promise_that_is_not_kept(pytester: pytest.Pytester, engine: str) -> None:
    """One that comes after the end of what was lent is told so."""
    pytester.makepyfile("def test_it(ebpf): pass")
    os.environ["PYTEST_EBPF_LENT"] = f"{engine}:999"
    try:
        result = pytester.runpytest_subprocess(*QUIET)
    finally:
        del os.environ["PYTEST_EBPF_LENT"]
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [f"*EngineUnavailable: start engine {engine}: what PYTEST_EBPF_LENT promises isn't there*"]
    )
