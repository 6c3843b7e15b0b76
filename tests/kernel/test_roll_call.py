"""The engine bcc on a kernel without BTF: who was there at the start is followed without an iterator.

`tox -e kernels` runs them on one whose BTF is hidden; here the programs for such a kernel run on any.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_ebpf import ProbeError, features
from pytest_ebpf.engines import roll_call
from pytest_ebpf.engines.keeper import KeptEngine
from pytest_ebpf.session import Session
from pytest_ebpf.standalone import begin

ENGINE = """
from pytest_ebpf.engines import variant

of_kernel = variant.of_kernel
variant.of_kernel = lambda: of_kernel(btf=False)
return make(name)
"""
BUSY = """
import os, sys, threading
halt = threading.Event()
for _ in range(3):
    threading.Thread(target=halt.wait).start()
if child := os.fork():
    print(os.getpid(), child, flush=True)
for order in iter(sys.stdin.readline, ""):
    if order == "score\\n":
        with open("/proc/self/oom_score_adj", "r+") as score:
            score.write(score.read())
    os.getppid()
    print(os.getpid(), flush=True)
halt.set()
"""


class Busy:
    """A process with three more threads, and its child with one. Either takes orders from one pipe."""

    def __init__(self, *before: str) -> None:
        self._starter = subprocess.Popen(
            [*before, sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._starter.stdin is not None
        assert self._starter.stdout is not None
        self._orders, self._answers = self._starter.stdin, self._starter.stdout
        self.pid, self.child = map(int, self._answers.readline().split())

    def order(self, word: str) -> int:
        """Let one of the two do it, and then call getppid; its pid."""
        self._orders.write(f"{word}\n")
        self._orders.flush()
        return int(self._answers.readline())

    def end(self) -> None:
        """Of both."""
        self._orders.close()
        if not self._answers.closed:
            self._answers.read()
            self._answers.close()
        self._starter.wait()


pytestmark = [
    *([pytest.mark.heavy(reason="starts the recorder anew")] if features.BTF.exists() else []),
    pytest.mark.skipif(
        features.bcc_package() is None and not os.environ.get("CI"), reason="there is no BCC on this machine"
    ),
]


@pytest.fixture
def busy() -> Iterator[Busy]:
    """A child of this process."""
    process = Busy()
    yield process
    process.end()


@pytest.fixture
def stranger() -> Iterator[Busy]:
    """A process that nobody here has started, as far as the kernel knows."""
    process = Busy("setsid", "--fork")
    yield process
    process.end()


@pytest.fixture
def session(keeper_with: Callable[[str], None]) -> Iterator[Session]:
    """By the programs for such a kernel, as far as they are others."""
    keeper_with(ENGINE)
    session = Session(KeptEngine("bcc"))
    session.start()
    yield session
    session.stop()


def test_programs(session: Session) -> None:
    """No iterator, and nothing that the kernel finds by its BTF."""
    assert session.started is not None
    hooks = {probe.program: probe.hook for probe in session.started.probes}
    assert hooks["on_task_called"] == "raw_tp/oom_score_adj_update"
    assert {hook.partition("/")[0] for hook in hooks.values()} <= {"raw_tp", "kprobe"}
    assert session.started.missing == ("io_uring",)


def test_who_was_there(busy: Busy, session: Session) -> None:
    """Threads and children of this process, and their children."""
    tasks = session._live_tasks()
    assert {os.getpid(), busy.pid, busy.child} <= {task.pid for task in tasks}
    threads = {task.tid for task in tasks if task.pid == busy.pid}
    assert threads == {int(each.name) for each in Path(f"/proc/{busy.pid}/task").iterdir()}
    assert len(threads) == 4


def test_calls_are_recorded(session: Session, tmp_path: Path) -> None:
    """As by the other programs."""
    recording = begin(session, "it")
    recording.open()
    (tmp_path / "made").write_text("x")
    assert not (tmp_path / "missing").exists()
    subprocess.run(["/bin/false", "x"], check=False)
    thread = threading.Thread(target=os.getppid)
    thread.start()
    thread.join()
    recording.close()
    assert recording.complete, recording.gaps
    recording.assert_syscall("openat", path=str(tmp_path / "made"), count=1)
    recording.assert_syscall("%file", path=str(tmp_path / "missing"), errno="ENOENT", count=1)
    recording.assert_syscall("execve", argv=["/bin/false", "x"], count=1)
    recording.assert_syscall("getppid", count=1)
    recording.assert_no_network()


def test_include(stranger: Busy, session: Session) -> None:
    """A process of somebody else, with its child; what asks for them is no part of the recording."""
    recording = begin(session, "it")
    recording.open()
    recording.include(stranger.pid)
    callers = {stranger.order("call") for _ in range(23)}
    recording.close()
    assert recording.complete, recording.gaps
    assert {event.pid for event in recording.syscalls("getppid")} == callers <= {stranger.pid, stranger.child}
    recording.assert_no_syscall("%file", path=re.compile("oom_score_adj"))


def test_scores_that_others_set(stranger: Busy, session: Session) -> None:
    """A process that writes to its own score is followed by nobody, whatever was asked for last."""
    recording = begin(session, "it")
    recording.open()
    stranger.order("score")
    recording.close()
    assert recording.complete, recording.gaps
    assert not {stranger.pid, stranger.child} & {task.pid for task in session._live_tasks()}
    recording.assert_no_syscall("getppid")


def test_score_is_left_as_it_was(busy: Busy) -> None:
    """And what ended is no error."""
    score = Path(f"/proc/{busy.pid}/oom_score_adj")
    score.write_text("321")
    roll_call.call(busy.pid)
    assert score.read_text() == "321\n"
    busy.end()
    roll_call.call(busy.pid)


def test_score_that_may_not_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Names the file, and what follows from it."""
    task = tmp_path / "7" / "task" / "7"
    (task / "oom_score_adj").mkdir(parents=True)
    (tmp_path / "7" / "stat").write_text("7 (a) b) S 1 7")
    (tmp_path / "self").symlink_to(str(os.getpid()))
    monkeypatch.setattr(roll_call, "PROC", tmp_path)
    with pytest.raises(ProbeError, match=r"7/task/7/oom_score_adj what it says: Is a directory \(without BTF"):
        roll_call.call(7)


def test_proc_of_another_namespace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """This process is known by its number there; another one's is not."""
    task = tmp_path / "7" / "task" / "7"
    task.mkdir(parents=True)
    (task / "oom_score_adj").write_text("0\n")
    (tmp_path / "7" / "stat").write_text("7 (a) S 1 7")
    (tmp_path / "self").symlink_to("7")
    monkeypatch.setattr(roll_call, "PROC", tmp_path)
    roll_call.call(0)
    assert (task / "oom_score_adj").read_text() == "0\n0\n"  # a real one has no end to append to
    with pytest.raises(ProbeError, match=r"find process 5: .* is that of another PID namespace \(mount the own one"):
        roll_call.call(5)
