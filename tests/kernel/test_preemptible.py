"""The programs for Linux 7.0 and newer, where those at raw tracepoints can be preempted; Linux 6.14 takes them too."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_ebpf.engines.keeper import KeptEngine
from pytest_ebpf.session import Session
from pytest_ebpf.standalone import begin

ENGINE = """
from pytest_ebpf.engines import variant

of_kernel = variant.of_kernel
variant.of_kernel = lambda: of_kernel("7.0")
return make(name)
"""

pytestmark = pytest.mark.heavy(reason="starts the recorder anew")


@pytest.fixture
def session(engine: str, keeper_with: Callable[[str], None]) -> Iterator[Session]:
    """By those programs, with tracefs where nobody mounted it."""
    keeper_with(ENGINE)
    session = Session(KeptEngine(engine))
    session.start()
    yield session
    session.stop()


def test_calls_are_recorded(session: Session, tmp_path: Path) -> None:
    """As by the others: entries and exits, arguments, programs, and calls of several processes on one processor."""
    assert session.started is not None
    hooks = {probe.program: probe.hook for probe in session.started.probes}
    assert hooks["on_sys_enter"] == "tp/raw_syscalls/sys_enter"
    assert hooks["on_sys_exit"] == "tp/raw_syscalls/sys_exit"
    library = ctypes.CDLL(None)
    recording = begin(session, "it")
    recording.open()
    (tmp_path / "made").write_text("x")
    assert not (tmp_path / "missing").exists()
    subprocess.run(["/bin/false", "x"], check=False)
    children = []
    for _ in range(3):
        if not (child := os.fork()):
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
            count = ctypes.c_size_t(70_001)
            library.lfind(b"", b"", ctypes.byref(count), ctypes.c_size_t(0), library.getppid)
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    recording.close()
    assert recording.complete, recording.gaps
    recording.assert_syscall("openat", path=str(tmp_path / "made"), count=1)
    recording.assert_syscall("%file", path=str(tmp_path / "missing"), errno="ENOENT", count=1)
    recording.assert_syscall("execve", argv=["/bin/false", "x"], count=1)
    recording.assert_syscall("getppid", count=3 * 70_001, process="children")
    (ended,) = (event for event in recording.syscalls("exit_group") if event.comm == "false")
    assert ended.args["error_code"] == 1
    recording.assert_no_network()
