"""Whose calls are recorded: threads, children, grandchildren, and those that end badly."""

from __future__ import annotations

import ctypes
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_ebpf.recording import Recording

Until = Callable[[Callable[[], bool]], None]


@pytest.fixture(scope="module")
def early_thread() -> Iterator[queue.Queue[Callable[[], None] | None]]:
    """A thread that runs what it is given, started before any test of this module."""
    jobs: queue.Queue[Callable[[], None] | None] = queue.Queue()

    def work() -> None:
        while (job := jobs.get()) is not None:
            job()
            jobs.task_done()

    thread = threading.Thread(target=work)
    thread.start()
    yield jobs
    jobs.put(None)
    thread.join()


def test_7_children(ebpf: Recording) -> None:
    """Seven children are seven execs by seven processes, each with its program and parent."""
    for _ in range(7):
        subprocess.run(["/bin/true"], check=True)
    ebpf.assert_syscall("execve", path="/bin/true", ok=True, process="children", count=7)
    execs = ebpf.syscalls("execve", ok=True)
    assert len({event.pid for event in execs}) == 7
    exits = ebpf.syscalls("exit_group", comm="true")
    assert len(exits) == 7
    for event in exits:
        assert event.exe is not None
        assert Path(event.exe).name == "true"
        assert event.process.argv == ("/bin/true",)
        assert [process.is_self for process in event.process.chain()] == [False, True]
        assert event.process.started_by is not None
        assert "test_7_children" in event.process.started_by
        assert not event.in_flight
        assert event.ret is None
        assert str(event) == "exit_group(0) = ?"
    assert ebpf.complete, ebpf.gaps


def test_grandchild_that_daemonises(ebpf: Recording, tmp_path: Path) -> None:
    """A double fork and a session of its own don't shake us off."""
    program = f"""
import os
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
open({str(tmp_path / "daemon-was-here")!r}, "w").close()
"""
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    subprocess.run([sys.executable, "-S", "-c", program], check=True, close_fds=False)
    os.close(writer)
    assert os.read(reader, 1) == b""  # the last holder of the pipe has ended
    os.close(reader)
    ebpf.assert_syscall("%open", path=tmp_path / "daemon-was-here", process="children", count=1)


def test_thread_started_before_the_test(
    ebpf: Recording, early_thread: queue.Queue[Callable[[], None]], tmp_path: Path
) -> None:
    """Its calls count while this test runs."""
    early_thread.put((tmp_path / "by-thread").touch)
    early_thread.join()
    ebpf.assert_syscall("%open", path=tmp_path / "by-thread", process="self", count=1)
    event = ebpf.syscalls("%open", path=tmp_path / "by-thread").first
    assert event is not None
    assert event.tid != event.pid == os.getpid()


def test_call_that_blocks_while_the_assertion_looks(ebpf: Recording, until: Until) -> None:
    """A call in flight is there, without a result."""
    reader, writer = os.pipe()
    thread = threading.Thread(target=os.read, args=(reader, 1))
    thread.start()
    until(lambda: bool(ebpf.syscalls("read", fd=reader)))
    event = ebpf.syscalls("read", fd=reader).last
    assert event is not None
    assert event.in_flight
    assert event.ret is None
    assert event.duration_ns is None
    assert str(event).endswith("<unfinished ...>")
    with pytest.raises(AssertionError, match="unfinished"):
        ebpf.assert_no_syscall("read", fd=reader)
    os.write(writer, b"x")
    thread.join()
    ebpf.assert_syscall("read", fd=reader, ret=1, count=1)
    os.close(reader)
    os.close(writer)


def test_child_killed_inside_a_call(ebpf: Recording, tmp_path: Path, until: Until) -> None:
    """The call it never came back from is recorded, with its path."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    child = subprocess.Popen(["/bin/cat", fifo])
    until(lambda: bool(ebpf.syscalls("openat", path=fifo).known))
    assert [event.in_flight for event in ebpf.syscalls("openat", path=fifo)] == [True]
    child.send_signal(signal.SIGKILL)
    child.wait()
    ebpf.assert_syscall("openat", path=fifo, ok=False, count=1)
    event = ebpf.syscalls("openat", path=fifo).first
    assert event is not None
    assert not event.in_flight
    assert event.errno == "ERESTARTSYS"  # on its way out the kernel leaves the call as if to restart it
    assert event.comm == "cat"


def test_thread_that_execs(ebpf: Recording, tmp_path: Path) -> None:
    """The thread takes its leader's id; what the new program does is still recorded."""
    program = f"""
import os, threading
threading.Thread(target=lambda: os.execv("/bin/sh", ["sh", "-c", "echo x > {tmp_path}/by-exec"])).start()
threading.Event().wait()
"""
    subprocess.run([sys.executable, "-S", "-c", program], check=True)
    ebpf.assert_syscall("%open", path=tmp_path / "by-exec", comm="sh", ok=True, count=1)
    assert ebpf.complete, ebpf.gaps


def test_forked_child_holds_nothing_of_ours(ebpf: Recording) -> None:
    """A child of a test inherits no descriptor and no memory of the recorder, and can't ask it."""
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        try:
            fds = [str(fd.readlink()) for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink()]
        except OSError:
            fds = []
        maps = Path("/proc/self/maps").read_text()
        ours = [name for name in fds if "bpf" in name and not Path(name).exists()]
        ours += [line for line in maps.splitlines() if "anon_inode" in line]
        try:
            len(ebpf.events)
        except Exception as error:
            ours.append(type(error).__name__)
        os.write(writer, "\n".join(ours).encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    answer = os.read(reader, 65536).decode()
    os.close(reader)
    assert answer == "EbpfError"


def test_counts_are_exact(ebpf: Recording) -> None:
    """100,000 calls are 100,000 events."""
    for _ in range(100_000):
        os.getppid()
    ebpf.assert_syscall("getppid", count=100_000)
    assert ebpf.complete, ebpf.gaps


def test_call_refused_by_seccomp(ebpf: Recording) -> None:
    """It never reaches sys_enter, and is an attempt all the same."""
    program = """
import ctypes, os, struct
libc = ctypes.CDLL(None)
number = {"x86_64": 165, "aarch64": 40}[os.uname().machine]  # mount
refuse, allow = (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7FFF0000)
code = struct.pack("=HBBIHBBIHBBIHBBI", 0x20, 0, 0, 0, 0x15, 0, 1, number, *refuse, *allow)
buffer = ctypes.create_string_buffer(code)
program = ctypes.create_string_buffer(struct.pack("=HxxxxxxQ", 4, ctypes.addressof(buffer)))
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program, 0, 0) == 0
assert libc.mount(b"/secret", b"/mnt", b"none", 0, None) == -1
"""
    subprocess.run([sys.executable, "-S", "-c", program], check=True)
    ebpf.assert_syscall("mount", errno="EPERM", count=1)
    with pytest.raises(AssertionError):
        ebpf.assert_no_syscall("mount")


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="int 0x80 is an instruction of x86")
def test_foreign_call_is_a_gap(ebpf: Recording, libc: ctypes.CDLL) -> None:
    """int 0x80 number 20 is getpid; in our numbering it is writev. It is neither: the recording is incomplete."""
    from pytest_ebpf import InconclusiveRecording

    libc.mmap.restype = ctypes.c_void_p
    page = libc.mmap(None, 4096, 7, 0x22, -1, 0)
    code = b"\x53\xb8\x14\x00\x00\x00\xcd\x80\x5b\xc3"
    ctypes.memmove(page, code, len(code))
    function = ctypes.CFUNCTYPE(ctypes.c_int)(page)
    with ebpf.window() as window:
        assert function() == os.getpid()
    with pytest.raises(InconclusiveRecording, match="another ABI"):
        window.assert_no_syscall("openat")
    assert len(window.syscalls("writev").known) == 0
    ebpf.assert_syscall("mmap", min=1)
