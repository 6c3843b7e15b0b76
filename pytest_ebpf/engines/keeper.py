"""The process that holds an engine's programs, apart from the pytest process.

Programs stay attached as long as some process holds their descriptors. Were that pytest, every child that a test
forks would hold them too, and they would outlive a killed session in any child left behind. So a process of its own
loads and attaches them, hands out the maps, and ends with the pytest process, however that ends. It is no child of
pytest: a test that waits for any child must not meet it.

Run as a script (``python -I -S keeper.py SOCKET PIDFD``) this file is the keeper; imported it is the client.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pytest_ebpf.engines import kernel
from pytest_ebpf.engines.base import ENGINES, Probe, Started
from pytest_ebpf.errors import EngineUnavailable, ProbeError

__all__ = ["KeptEngine"]

START_SECONDS = 60
STOP_SECONDS = 10
MAX_FDS = 64
MAX_ANSWER = 1 << 18
ERRORS: Mapping[str, type[EngineUnavailable] | type[ProbeError]] = {
    "EngineUnavailable": EngineUnavailable,
    "ProbeError": ProbeError,
}


class KeptEngine:
    """An engine that runs in a keeper process; see base.Engine."""

    def __init__(self, name: str) -> None:
        if name not in ENGINES:
            raise ValueError(f"engine {name!r}: unknown (one of: {', '.join(ENGINES)})")
        self.name = name
        self._keeper: tuple[int, int] | None = None

    def start(self) -> Started:
        """See base.Engine."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        owner = os.pidfd_open(os.getpid())
        with ours:
            try:
                with theirs:
                    command = [sys.executable, "-I", "-S", "-B", __file__, self.name]
                    starter = subprocess.run(
                        [*command, str(theirs.fileno()), str(owner)],
                        pass_fds=(theirs.fileno(), owner),
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.PIPE,
                        timeout=START_SECONDS,
                        check=False,
                    )
            finally:
                os.close(owner)
            ours.settimeout(START_SECONDS)
            try:
                answer, fds = _receive(ours)
            except (EOFError, TimeoutError) as error:
                raise EngineUnavailable(
                    f"start engine {self.name}",
                    f"the process that loads the programs gave no answer: {error}",
                    starter.stderr.decode(errors="replace").strip()[-2000:],
                ) from error
        if "error" in answer:
            raise ERRORS[answer["error"]](*answer["args"])
        self._keeper = (answer["pid"], _start_time(answer["pid"]))
        names: list[str] = answer["maps"]
        return Started(
            engine=self.name,
            library=answer["library"],
            maps=dict(zip(names, fds, strict=False)),
            iterators=tuple(fds[len(names) :]),
            probes=tuple(Probe(*each) for each in answer["probes"]),
            missing=tuple(answer["missing"]),
            numbers=answer["numbers"],
        )

    def poke(self) -> None:
        """See base.Engine."""
        os.sched_yield()

    def stop(self) -> None:
        """End the keeper, and with it the programs; waits until they are gone."""
        if self._keeper is None:
            return
        pid, started = self._keeper
        self._keeper = None
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            keeper = os.pidfd_open(pid)
            try:
                if _start_time(pid) == started:
                    signal.pidfd_send_signal(keeper, signal.SIGTERM)
                    select.select([keeper], [], [], STOP_SECONDS)
            finally:
                os.close(keeper)


def _start_time(pid: int) -> int:
    """With the pid, this names one process for ever. In clock ticks since boot."""
    return int(Path(f"/proc/{pid}/stat").read_bytes().rsplit(b")", 1)[1].split()[19])


def _receive(channel: socket.socket) -> tuple[dict[str, Any], list[int]]:
    fds = array.array("i")
    data, ancillary, _, _ = channel.recvmsg(
        MAX_ANSWER, socket.CMSG_SPACE(MAX_FDS * fds.itemsize), socket.MSG_CMSG_CLOEXEC
    )
    if not data:
        raise EOFError("it ended")
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    return json.loads(data), fds.tolist()


def _engine(name: str) -> Any:
    if name == "libbpf":
        from pytest_ebpf.engines.libbpf import LibbpfEngine

        return LibbpfEngine()
    if name == "bcc":
        from pytest_ebpf.engines.bcc import BccEngine

        return BccEngine()
    raise ValueError(name)


def _start(name: str) -> tuple[dict[str, Any], list[int]]:
    try:
        started: Started = _engine(name).start()
    except (EngineUnavailable, ProbeError) as error:
        return {"error": type(error).__name__, "args": error.args}, []
    answer = {
        "pid": os.getpid(),
        "library": started.library,
        "maps": list(started.maps),
        "missing": started.missing,
        "numbers": {name: kernel.map_number(fd) for name, fd in started.maps.items()},
        "probes": [(probe.program, probe.hook) for probe in started.probes],
    }
    return answer, [*started.maps.values(), *started.iterators]


def _keep(name: str, channel_fd: int, owner: int) -> None:
    """The life of the keeper: start, answer, and hold on until the owner ends or asks."""
    if os.fork():
        os._exit(0)
    os.setsid()
    os.chdir("/")
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 2)
    with socket.socket(fileno=channel_fd) as channel:
        answer, fds = _start(name)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        channel.sendmsg([json.dumps(answer).encode()], rights)
    if fds:
        select.select([owner], [], [])


if __name__ == "__main__":
    _keep(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
