"""The process that holds an engine's programs, apart from the pytest process.

Programs stay attached as long as some process holds their descriptors. Were that pytest, every child that a test
forks would hold them too, and they would outlive a killed session in any child left behind. So a process of its own
loads and attaches them, hands out the maps, and ends with the pytest process, however that ends. It is no child of
pytest: a test that waits for any child must not meet it.

Run as a script (``python -I -S keeper.py ENGINE SOCKET PIDFD``) this file is the keeper; imported it is the client. The
keeper imports little, as the session waits for it: what only the client needs is imported where it needs it.
"""

from __future__ import annotations

import array
import errno
import marshal
import os
import select
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":
    sys.path.insert(0, os.path.abspath(f"{__file__}/../../.."))  # noqa: PTH100

from pytest_ebpf.engines.base import ENGINES, Probe, Started
from pytest_ebpf.errors import EngineUnavailable, ProbeError

if TYPE_CHECKING:
    import subprocess

__all__ = ["KeptEngine", "receive"]

START_SECONDS = 60
STOP_SECONDS = 10
MAX_FDS = 64
MAX_ANSWER = 1 << 18
ERRORS: dict[str, type[EngineUnavailable] | type[ProbeError]] = {
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
        self._coming: tuple[socket.socket, subprocess.Popen[bytes]] | None = None

    def prepare(self) -> None:
        """See base.Engine."""
        import subprocess

        if self._coming is not None:
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(START_SECONDS)
        owner = os.pidfd_open(os.getpid())
        try:
            with theirs:
                command = [sys.executable, "-I", "-S", "-B", __file__, self.name]
                starter = subprocess.Popen(
                    [*command, str(theirs.fileno()), str(owner)],
                    pass_fds=(theirs.fileno(), owner),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                )
        finally:
            os.close(owner)
        self._coming = ours, starter

    def start(self) -> Started:
        """See base.Engine."""
        self.prepare()
        assert self._coming is not None
        (ours, starter), self._coming = self._coming, None
        with ours, starter:
            try:
                answer, fds = receive(ours)
            except (EOFError, TimeoutError) as error:
                raise EngineUnavailable(
                    f"start engine {self.name}",
                    f"the process that loads the programs gave no answer: {error}",
                    _last_words(starter),
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
        )

    def poke(self) -> None:
        """See base.Engine."""
        import contextlib

        with contextlib.suppress(OSError):  # if a seccomp filter of the test refuses it, the programs see that too
            os.sched_yield()

    def stop(self) -> None:
        """End the keeper, and with it the programs; waits until they are gone."""
        if self._keeper is None:
            return
        pid, started = self._keeper
        self._keeper = None
        try:
            keeper = os.pidfd_open(pid)
        except OSError:
            return  # it ended already
        try:
            if _start_time(pid) == started:
                signal.pidfd_send_signal(keeper, signal.SIGTERM)
                select.select([keeper], [], [], STOP_SECONDS)
        except OSError:
            pass  # it ended meanwhile, or a seccomp filter of a test refuses this: then it ends with this process
        finally:
            os.close(keeper)


def _start_time(pid: int) -> int:
    """With the pid, this names one process for ever. In clock ticks since boot."""
    with open(f"/proc/{pid}/stat", "rb") as stat:  # noqa: PTH123
        return int(stat.read().rsplit(b")", 1)[1].split()[19])


def _last_words(starter: subprocess.Popen[bytes]) -> str:
    """What the process that didn't answer said, to its end."""
    assert starter.stderr is not None
    return starter.stderr.read().decode(errors="replace").strip()[-2000:]


def receive(channel: socket.socket) -> tuple[Any, list[int]]:
    """What the other side of a channel sent, with its descriptors. Raises EOFError, OSError."""
    fds = array.array("i")
    data, ancillary, flags, _ = channel.recvmsg(
        MAX_ANSWER, socket.CMSG_SPACE(MAX_FDS * fds.itemsize), socket.MSG_CMSG_CLOEXEC
    )
    if not data:
        raise EOFError("it ended")
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    if flags & socket.MSG_CTRUNC:
        for fd in fds:
            os.close(fd)
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    return marshal.loads(data), fds.tolist()


def _engine(name: str) -> Any:
    if name == "libbpf":
        from pytest_ebpf.engines.libbpf import LibbpfEngine

        return LibbpfEngine()
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
        channel.sendmsg([marshal.dumps(answer)], rights)
    if fds:
        select.select([owner], [], [])


if __name__ == "__main__":
    _keep(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
