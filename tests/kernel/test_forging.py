"""What programs pass to the kernel can't forge a line, a colour, a command or an entry, in any form of output."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from xml.etree import ElementTree as ET

import pytest

pytestmark = pytest.mark.heavy(reason="starts a recorder of its own in each test")

EVIL = [
    "::error file=x::forged",
    "::add-mask::forged",
    "##vso[task.complete result=Succeeded;]",
    "##teamcity[testFailed name='forged']",
    "##[error]forged",
    "section_start:1:forged\r\x1b[0K",
    "\x1b[2J\x1b]0;forged\x07",
    "\x9b31mforged",
    "\u202eforged\u2066",
    "\u200bforged\ufeff",
    "\u2028forged\u2029",
    "\x85forged",
    "]]><failure>forged</failure>",
    "</system-out>&forged;",
    "\x01\x08\x0b\x0c\x7f",
    '"}\n{"kind": "forged"}',
    "\nE   forged",
    "\n=== 99 passed in 0.01s ===",
    "\ufffe\uffff\udcff",
]
TESTS = f"""
import os, socket, subprocess

EVIL = [each.encode("utf-8", "surrogateescape").replace(b"/", b"_") for each in {EVIL!r}]

def test_paths(ebpf):
    for each in EVIL:
        try:
            os.stat(b"/none/" + each)
        except OSError:
            pass
    ebpf.assert_no_file_access("/none/*")

def test_files(ebpf, tmp_path):
    for each in EVIL:
        os.close(os.open(os.fsencode(tmp_path) + b"/" + each, os.O_CREAT | os.O_WRONLY))
    ebpf.assert_only_writes_under("/none")

def test_programs(ebpf):
    for each in EVIL:
        subprocess.run([b"/bin/true", each], check=True)
    ebpf.assert_no_exec()

def test_names(ebpf):
    for each in EVIL:
        pid = os.fork()
        if not pid:
            with open("/proc/self/comm", "wb") as comm:
                comm.write(each[:15])
            os.getppid()
            os._exit(0)
        os.waitpid(pid, 0)
    ebpf.assert_no_syscall("getppid")

def test_addresses(ebpf):
    for each in EVIL:
        with socket.socket(socket.AF_UNIX) as sock:
            try:
                sock.connect(b"\\0" + each)
            except OSError:
                pass
    ebpf.assert_no_syscall("connect")

def test_no_match(ebpf):
    for each in EVIL:
        try:
            os.stat(b"/none/" + each)
        except OSError:
            pass
    ebpf.assert_syscall("%file", path="/none/other")

def test_late(ebpf):
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        os.close(writer)
        os.read(reader, 1)
        for each in EVIL:
            os.close(os.open(b"/proc/self/comm", os.O_WRONLY))
            try:
                os.open(b"/none/" + each, os.O_WRONLY | os.O_CREAT)
            except OSError:
                pass
        os._exit(0)
    os.close(reader)
    globals()["go"] = writer

def test_after():
    os.close(go)
    try:
        os.wait()
    except ChildProcessError:
        pass
"""
COMMAND = re.compile(r"(^|\s)::[a-z]|##")
LINE = re.compile(r"^(E\s+forged|=+ 99 passed|\{\"kind\": \"forged)")


def check(lines: Iterable[str]) -> None:
    """No line has a character that a terminal obeys, a command of a build server, or is one that was passed."""
    for line in lines:
        assert line.isprintable() or line.replace("\t", "").isprintable(), ascii(line)
        assert not COMMAND.search(line), line
        assert not LINE.search(line), line


@pytest.mark.parametrize("form", [("-q",), ("-vv", "--ebpf-trace=all", "--ebpf-summary", "-rA"), ("--tb=line",)])
def test_of_pytest(pytester: pytest.Pytester, run: Callable[..., pytest.RunResult], form: tuple[str, ...]) -> None:
    """The terminal, JUnit's file and the exports."""
    pytester.makepyfile(TESTS)
    result = run(*form, "-p", "no:cacheprovider", "--show-capture=all", "--junitxml=out.xml", "--ebpf-export=out")
    result.assert_outcomes(passed=2, failed=6)
    shown = result.stdout.str().split("\n")
    source = {line.strip() for line in TESTS.splitlines()}
    check(line for line in shown if line.lstrip("> ").strip() not in source)
    assert any("forged" in line for line in shown) or form == ("--tb=line",)
    tree = ET.parse(pytester.path / "out.xml")
    cases = list(tree.iter("testcase"))
    assert len(cases) == 8
    assert [len(list(case.iter("failure"))) for case in cases] == [1] * 6 + [0] * 2
    files = list((pytester.path / "out").iterdir())
    assert len(files) == 16
    for file in files:
        text = file.read_bytes().decode("ascii")
        told = [json.loads(text)["traceEvents"]] if file.name.endswith(".trace.json") else text.splitlines()
        check(text.split("\n"))
        assert told
        for line in text.splitlines() if file.suffix == ".jsonl" else ():
            assert json.loads(line).get("kind") != "forged"


def test_test_ids(pytester: pytest.Pytester, run: Callable[..., pytest.RunResult]) -> None:
    """Where the plugin shows them; pytest's own lines are pytest's."""
    names = [each for each in EVIL if each.isascii()]
    pytester.makepyfile(
        f"""
        import os, pytest

        @pytest.mark.parametrize("name", {names!r}, ids={names!r})
        def test_it(ebpf, name):
            os.getppid()
        """
    )
    result = run("-q", "-p", "no:cacheprovider", "--ebpf-trace=all", "--ebpf-summary", "--ebpf-export=out")
    result.assert_outcomes(passed=len(names))
    check(result.stdout.str().split("\n"))


def test_of_trace() -> None:
    """What ``pytest-ebpf trace`` prints of a command, its name and its arguments."""
    paths = [b"/none/" + each.encode("utf-8", "surrogateescape") for each in EVIL]
    command = [sys.executable, "-P", "-c", "from pytest_ebpf.cli import main; raise SystemExit(main())", "trace", "--"]
    for argv, code in (["/bin/cat", *paths], 1), ([b"".join(paths)], 127):
        done = subprocess.run([*command, *argv], capture_output=True, check=False)
        assert done.returncode == code
        own = [line for line in done.stderr.split(b"\n") if not line.startswith(b"/bin/cat: ")]
        check(line.decode("utf-8", "surrogateescape") for line in own if b"/none/" in line)
        assert any(b"/none/" in line for line in own)


def test_of_doctor() -> None:
    """Its report as JSON is ASCII, wherever it is run."""
    command = [sys.executable, "-P", "-c", "from pytest_ebpf.cli import main; raise SystemExit(main())", "doctor"]
    done = subprocess.run([*command, "--json"], capture_output=True, check=False)
    assert json.loads(done.stdout.decode("ascii"))["exit_code"] == done.returncode
