"""Proof of life: known calls, made at the start of a session, which the recorder must show with the right arguments.

A program that is attached but sees nothing, or the wrong thing (a hook that the host swallows, kernel structs that are
not what the kernel's types say) is worse than none: every absence would be proven. Costs two to four milliseconds.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import EngineUnavailable
from .standalone import begin
from .ways import Ring

if TYPE_CHECKING:
    from .recording import Recording
    from .session import Session

__all__ = ["prove", "sing"]

ABSENT = "/pytest-ebpf-canary/no-such-file"
ABSENT_BY_RING = "/pytest-ebpf-canary/no-such-file-either"
PROGRAM = next((path for path in ("/usr/bin/true", "/bin/true") if Path(path).exists()), None)
PEER = ("127.0.0.1", 9)
AT_FDCWD = -100
RING_PROGRAM = "on_ring_submit"
HINT = "look for what keeps eBPF programs from running here, or choose another engine; pytest-ebpf doctor tells more"


def prove(session: Session) -> None:
    """Make the calls and look for them. Raises EngineUnavailable with what wasn't seen.

    >>> prove(session)
    """
    recording = begin(session, "canary")
    recording.open()
    try:
        child, has_ring = sing()
    finally:
        recording.close()
    assert session.started is not None
    has_ring = has_ring and any(probe.program == RING_PROGRAM for probe in session.started.probes)
    unseen = [what for what, seen in _expected(recording, child, has_ring) if not seen]
    if unseen:
        raise EngineUnavailable(
            f"start engine {session.engine.name}",
            f"its programs are attached, but don't see what is done: {', '.join(unseen)}",
            HINT,
        )


def sing() -> tuple[int, bool]:
    """Make the calls; the pid of the child that was started (0 for none), and whether an io_uring could be used."""
    with contextlib.suppress(OSError):
        os.close(os.open(ABSENT, os.O_RDONLY))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, contextlib.suppress(OSError):
        sock.connect(PEER)
    child = 0
    if PROGRAM is not None:
        child = os.posix_spawn(PROGRAM, [PROGRAM, "canary"], {})
        os.waitpid(child, 0)
    return child, _sing_by_ring()


def _sing_by_ring() -> bool:
    path = ctypes.create_string_buffer(os.fsencode(ABSENT_BY_RING))
    try:
        ring = Ring()
    except OSError:
        return False  # switched off, or not in this kernel
    with ring, contextlib.suppress(OSError):
        os.close(ring.run(Ring.OPENAT, AT_FDCWD, ctypes.addressof(path)))
    return True


def _expected(recording: Recording, child: int, has_ring: bool) -> Iterator[tuple[str, bool]]:
    """What must be there, each with whether it is."""
    opened = recording.syscalls("%open", path=ABSENT, errno="ENOENT", process="self").known
    yield "an open, with its path and error", len(opened) == 1
    connected = recording.syscalls("connect", address=":".join(map(str, PEER))).known
    yield "a connect, with its address", len(connected) == 1 and bool(connected[0].files)
    if child:
        forks = recording.syscalls("clone", "clone3", "vfork", "fork").known
        mine = [event for event in forks if event.ret == child]
        yield "a fork, with the child's id", len(mine) == 1 and mine[0].started is not None
        programs = recording.processes(op="exec", process="children").known
        executed = [event for event in programs if event.ok and event.argv == (PROGRAM, "canary")]
        yield "an exec, with its program and arguments", len(executed) == 1
        ends = {event.pid for event in recording.processes(op="exit", process="children", exit_code=0).known}
        yield "the end of a process", bool(ends) and all(event.pid in ends for event in executed)
    if has_ring:
        by_ring = recording.syscalls("IORING_OP_OPENAT", path=ABSENT_BY_RING).known
        yield "an open by io_uring", len(by_ring) == 1
