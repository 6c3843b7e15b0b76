"""Somebody with root who takes programs away, or stores into their maps, in the middle of a session: it is noticed."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_ebpf import InconclusiveRecording, features, standalone
from pytest_ebpf.engines import _ffi, hooks, keeper, kernel
from pytest_ebpf.engines.base import CONTROL_BYTES, SESSION_OFFSET, SESSIONS, TASK_BYTES
from pytest_ebpf.engines.keeper import KeptEngine
from pytest_ebpf.engines.shapes import EventRing
from pytest_ebpf.engines.variant import of_kernel
from pytest_ebpf.integrity import MUTED_OFFSET
from pytest_ebpf.recording import Recording
from pytest_ebpf.session import NOW, SEGMENT, SELF_PID, SPEC_BYTES, TAG, Session

pytestmark = pytest.mark.heavy(reason="starts the recorder anew in each test")

MAP_UPDATE_ELEM, MAP_DELETE_ELEM, MAP_FREEZE = 2, 3, 22
EBUSY = 16
ARRAY_OF_MAPS = 12
ENGINE = """
import os, signal

made = make(name)

def lose(number, frame):
    with open({order!r}) as order:
        wanted = order.read()
    os.close(next(link for probe, link, program in made.links if probe.program == wanted))

signal.signal(signal.SIGUSR1, lose)

from pytest_ebpf.engines import kernel

missed_runs = kernel.missed_runs

def missed(descriptor):
    with open({missing!r}) as missing:
        wanted = missing.read()
    of_it = [program for probe, _, program in made.links if probe.program == wanted]
    return missed_runs(descriptor) + (descriptor in of_it)

kernel.missed_runs = missed
return made
"""


@pytest.fixture
def order(tmp_path: Path) -> Path:
    """Names the program that the keeper loses at SIGUSR1."""
    return tmp_path / "order"


@pytest.fixture
def missing(tmp_path: Path) -> Path:
    """Names the program of which the kernel, so the keeper believes, has left out a run."""
    file = tmp_path / "missing"
    file.touch()
    return file


@pytest.fixture
def session(engine: str, order: Path, missing: Path, keeper_with: Callable[[str], None]) -> Iterator[Session]:
    """One of this test alone, beside the one that records the run; its keeper loses what it is told to."""
    keeper_with(ENGINE.format(order=str(order), missing=str(missing)))
    session = Session(KeptEngine(engine))
    session.start()
    yield session
    session.stop()


@pytest.fixture
def recording(session: Session) -> Iterator[Recording]:
    """An open one, of which nothing is missing."""
    recording = begin(session)
    yield recording
    recording.close()


def begin(session: Session) -> Recording:
    """The next test, of which nothing is missing."""
    recording = begin_unseen(session)
    assert recording.complete, recording.gaps
    return recording


def begin_unseen(session: Session) -> Recording:
    """The next test, in which nobody has looked yet."""
    recording = standalone.begin(session, "test_tampering.py::test_it")
    recording.open()
    return recording


def lose(session: Session, program: str, order: Path, until: Callable[[Callable[[], bool]], None]) -> None:
    """The keeper loses its hold of a program."""
    order.write_text(program)
    count = len(links(session.engine.pid))
    os.kill(session.engine.pid, signal.SIGUSR1)
    # Wakes it, if the signal came just before it began to wait: Python runs no handler then.
    with session.unobserved(entirely=True):
        session.engine.examine()
    until(lambda: len(links(session.engine.pid)) == count - 1)


def links(pid: int) -> list[str]:
    """What holds programs attached, of a process."""
    found = []
    for entry in os.scandir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found.append(str(Path(entry.path).readlink()))
    return [each for each in found if each in ("anon_inode:bpf_link", "anon_inode:bpf_iter")]


CALLS = ["on_sys_enter", "on_sys_exit"]
TASKS = ["on_fork", "on_exec", "on_exit", "on_waking"]
ENROLMENT = ["on_task_iterated" if "iterator" in of_kernel().snippets else "on_task_called"]
HOOKS = []
if features.hooks():
    HOOKS = ["on_hook" if features.hooks() == "kprobe" and not of_kernel().old else "on_security_file_open"]


@pytest.mark.parametrize("program", CALLS + TASKS)
def test_runs_that_were_left_out(session: Session, missing: Path, program: str) -> None:
    """Of a program that follows tasks they break the session: whom it would have followed is not known."""
    begin(session).close()
    missing.write_text(program)
    left_out = f"left out 1 runs of the eBPF program {program}"
    with pytest.raises(
        InconclusiveRecording, match=left_out if program in TASKS else "1 runs of the eBPF programs for"
    ):
        begin_unseen(session).assert_no_syscall("connect")


@pytest.mark.parametrize("program", CALLS + HOOKS)
def test_runs_that_were_left_out_at_times(
    session: Session, missing: Path, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a kernel that may do so to programs for calls and hooks, they are a gap of the next test alone."""
    monkeypatch.setattr(session, "_is_preemptible", True)
    begin(session).close()
    missing.write_text(program)
    recording = begin_unseen(session)
    with pytest.raises(InconclusiveRecording, match="left out 1 runs of the eBPF programs for calls and hooks"):
        recording.assert_no_syscall("connect")
    recording.close()
    begin(session).close()
    session.check()
    assert not session.damage


# Of hooks on older kernels no link holds the programs.
@pytest.mark.parametrize("program", CALLS + TASKS + ENROLMENT + ([] if of_kernel().old else HOOKS))
def test_one_program_is_taken_away(
    session: Session, order: Path, until: Callable[[Callable[[], bool]], None], program: str
) -> None:
    """The next test can't prove an absence, and the run learns of it at its end."""
    begin(session).close()
    lose(session, program, order, until)
    recording = begin_unseen(session)
    os.getppid()
    with pytest.raises(InconclusiveRecording, match=f"the eBPF program {program} is attached no more"):
        recording.assert_no_syscall("connect")
    recording.close()
    session.check()
    assert any(program in gap.reason for gap in session.damage)


def test_kprobes_are_switched_off(session: Session) -> None:
    """For the whole machine: what hooks would tell is not told."""
    switch = Path(hooks.KPROBES)
    if features.hooks() != "kprobe":
        assert hooks.switched_off("kprobe") == ""
        return
    begin(session).close()
    recording = begin_unseen(session)
    os.getppid()
    switch.write_text("0")
    try:
        with pytest.raises(InconclusiveRecording, match=f"{switch} keeps"):
            recording.assert_no_network()
    finally:
        switch.write_text("1")
        recording.close()


def test_it_is_noticed_at_the_end_of_the_run_at_the_latest(
    session: Session, order: Path, until: Callable[[Callable[[], bool]], None]
) -> None:
    """Also if no test asks after it."""
    recording = begin(session)
    lose(session, "on_exit", order, until)
    recording.close()
    assert session.damage == []
    session.check()
    (gap,) = session.damage
    assert gap.reason.startswith("the eBPF program on_exit is attached no more: ")


@pytest.mark.parametrize(
    "program, told",
    [
        ("on_sys_enter", "the eBPF programs no longer run"),
        ("on_sys_exit", "the eBPF programs no longer run"),
        ("on_fork", "1 calls started a process, thread or program, and the recorder"),
        ("on_exec", "1 calls started a process, thread or program, and the recorder"),
    ],
)
def test_what_was_done_tells_it_without_the_keeper(
    session: Session,
    recording: Recording,
    order: Path,
    until: Callable[[Callable[[], bool]], None],
    monkeypatch: pytest.MonkeyPatch,
    program: str,
    told: str,
) -> None:
    """As where a test can't reach it: by the calls that were recorded, and in the middle of the test."""
    monkeypatch.setattr(session.engine, "examine", lambda: ((), 0))
    lose(session, program, order, until)
    subprocess.run(["/bin/true"], check=True)
    with pytest.raises(InconclusiveRecording, match=told):
        recording.assert_no_syscall("connect")


def test_exits_that_were_missed_are_losses(
    session: Session, recording: Recording, order: Path, until: Callable[[Callable[[], bool]], None]
) -> None:
    """Exact ones: a call that began is counted, even if its end was not seen."""
    lose(session, "on_sys_exit", order, until)
    for _ in range(7):
        os.getppid()
    os.getpid()
    found = [gap for gap in recording.gaps if gap.calls == frozenset({"getppid"})]
    assert [gap.count for gap in found] == [7]
    with pytest.raises(AssertionError, match="7 calls were counted, but not recorded"):
        recording.assert_no_syscall("getppid")


class Tampered:
    """A map of the session, as anybody with root finds it."""

    def __init__(self, session: Session, name: str) -> None:
        assert session.started is not None
        self._fd = kernel.map_by_number(session.started.numbers[name])

    def __enter__(self) -> Tampered:
        return self

    def __exit__(self, *args: object) -> None:
        os.close(self._fd)

    def read(self, key: int, size: int) -> bytearray:
        """One element."""
        value = ctypes.create_string_buffer(size)
        self._do(1, struct.pack("<IIQQQ", self._fd, 0, *self._addresses(key, value)))
        return bytearray(value.raw)

    def write(self, key: int, content: bytes | bytearray) -> None:
        """One element."""
        value = ctypes.create_string_buffer(bytes(content), len(content))
        self._do(MAP_UPDATE_ELEM, struct.pack("<IIQQQ", self._fd, 0, *self._addresses(key, value)))

    def freeze(self) -> None:
        """No more stores by system calls."""
        self._do(MAP_FREEZE, struct.pack("<I", self._fd))

    def _addresses(self, key: int, value: Any) -> tuple[int, int, int]:
        self._key = ctypes.c_uint32(key)
        return ctypes.addressof(self._key), ctypes.addressof(value), 0

    def _do(self, command: int, attributes: bytes) -> None:
        kernel._bpf(command, attributes)


def places_of_rings(pid: int) -> dict[int, int]:
    """The numbers of a keeper's arrays in which programs find the rings, by how many places they have."""
    found = {}
    for each in Path(f"/proc/{pid}/fdinfo").iterdir():
        told = dict(line.split(":", 1) for line in each.read_text().splitlines() if ":" in line)
        if int(told.get("map_type", 0)) == ARRAY_OF_MAPS:
            found[int(told["max_entries"])] = int(told["map_id"])
    return found


@pytest.mark.parametrize("ring", ["events", "blobs"])
def test_a_ring_is_taken_away(session: Session, recording: Recording, ring: str) -> None:
    """What the programs would have written to it is lost, and the recording says so."""
    assert session.started is not None
    index = session.started.session
    has_own = isinstance(session._events._shape, EventRing)
    size = SESSIONS if ring == "events" and has_own else 2 * SESSIONS
    places = kernel.map_by_number(places_of_rings(session.engine.pid)[size])
    _ffi.remove_ring(places, index if size == SESSIONS else 2 * index + (ring == "blobs"))
    os.close(places)
    with contextlib.suppress(OSError):
        Path("/nowhere").stat()
    assert not recording.complete
    with pytest.raises(InconclusiveRecording):
        recording.assert_no_file_access("/nowhere")
    session.check()
    assert "the memory that the eBPF programs write to was replaced" in [gap.reason for gap in session.damage]


@pytest.mark.parametrize("word", [SEGMENT, SELF_PID, TAG, NOW])
def test_control_page(session: Session, recording: Recording, word: int) -> None:
    """As to close the window, or to give what is done to nobody."""
    assert session.started is not None
    with Tampered(session, "controls") as controls:
        row = controls.read(session.started.session, CONTROL_BYTES)
        row[4 * word : 4 * word + 4] = bytes(4)
        controls.write(session.started.session, row)
    with pytest.raises(InconclusiveRecording, match="the recorder's control page was overwritten"):
        recording.assert_no_syscall("connect")


def test_control_page_that_nobody_asked_about(session: Session) -> None:
    """It is noticed when the window ends, and told at the end of the run."""
    assert session.started is not None
    recording = begin(session)
    with Tampered(session, "controls") as controls:
        controls.write(session.started.session, bytes(CONTROL_BYTES))
    recording.close()
    assert [gap.reason for gap in session.damage] == ["the recorder's control page was overwritten"]


def test_table_of_calls(session: Session, recording: Recording) -> None:
    """Which would have no path captured any more."""
    with Tampered(session, "specs") as specs:
        specs.write(257, bytes(SPEC_BYTES))
    with pytest.raises(InconclusiveRecording, match="table of system calls was overwritten"):
        recording.assert_no_syscall("connect")


@pytest.fixture
def child(recording: Recording) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is followed, waits for a line, and opens a file."""
    process = subprocess.Popen(["/bin/sh", "-c", "echo; read line; : < /etc/hostname"], stdin=-1, stdout=-1)
    assert process.stdout is not None
    process.stdout.readline()
    assert recording.complete, recording.gaps
    yield process
    process.communicate(b"\n")


@pytest.mark.parametrize("way", ["slots", "session", "muted"])
def test_a_task_is_followed_no_more(
    session: Session, recording: Recording, child: subprocess.Popen[bytes], way: str
) -> None:
    """A child's way to its memory, or what stands there."""
    tid, slot = next((tid, slot) for tid, slot in session.scope.slot_of.items() if tid == child.pid)
    if way == "slots":
        with Tampered(session, "slots") as slots:
            quad = slots.read(tid >> 2, 8)
            quad[2 * (tid & 3) : 2 * (tid & 3) + 2] = bytes(2)
            slots.write(tid >> 2, quad)
    else:
        with Tampered(session, "tasks") as tasks:
            task = tasks.read(slot, TASK_BYTES)
            offset, value = {"session": (SESSION_OFFSET, 64), "muted": (MUTED_OFFSET, 2)}[way]
            task[offset] = value
            tasks.write(slot, task)
    with pytest.raises(InconclusiveRecording, match=f"task {tid} is followed no more"):
        recording.assert_no_file_access("/etc/hostname")


def test_freezing_changes_nothing(session: Session, recording: Recording) -> None:
    """The maps that user space stores into refuse it, and the programs need no permission."""
    for name in ("controls", "specs", "tasks", "losses"):
        with Tampered(session, name) as each, pytest.raises(kernel.Refused) as refused:
            each.freeze()
        assert refused.value.errno == EBUSY, name
    with Tampered(session, "slots") as slots:
        slots.freeze()
    subprocess.run(["/bin/true"], check=True)
    recording.assert_exec("/bin/true")
    recording.assert_no_syscall("connect")


def test_keeper_that_is_stopped(session: Session, recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds nobody up for long, and nobody believes that all is well."""
    monkeypatch.setattr(keeper, "STOP_SECONDS", 0.1)
    session._is_examined = False
    os.kill(session.engine.pid, signal.SIGSTOP)
    try:
        with pytest.raises(InconclusiveRecording, match=f"process {session.engine.pid}, gives no answer"):
            recording.assert_no_syscall("connect")
    finally:
        os.kill(session.engine.pid, signal.SIGCONT)
