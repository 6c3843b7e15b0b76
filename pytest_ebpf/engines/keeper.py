"""The process that holds an engine's programs, apart from the pytest processes that it serves.

Programs stay attached as long as some process holds their descriptors. Were that pytest, every child that a test
forks would hold them too, and they would outlive a killed session in any child left behind. So a process of its own
loads and attaches them, hands out the maps, and ends with the last pytest process that it serves, however that ends. It
is no child of pytest: a test that waits for any child must not meet it.

One keeper serves all the workers of a test run, so that a call runs the programs once however many they are. They
find it by its *address*, a name in the abstract namespace of unix sockets that is hard to guess.

Here are both sides of it: the client, and what the keeper does once it loads the programs (see run_keeper.py). The
keeper imports little, as the session waits for it: what only the client needs is imported where that needs it.
"""

from __future__ import annotations

import array
import errno
import json
import os
import select
import signal
import socket
import struct
import sys
import time

from pytest_ebpf.attachment import KINDS
from pytest_ebpf.engines import _ffi, kernel
from pytest_ebpf.engines.base import (
    BLOBS_BYTES,
    ENGINES,
    EVENTS_BYTES,
    LENT,
    LENT_TO,
    MEMORY_BYTES,
    SESSION_OFFSET,
    SESSIONS,
    TASK_BYTES,
    TASK_SLOTS,
    Probe,
    Started,
)
from pytest_ebpf.engines.hooks import switched_off
from pytest_ebpf.engines.meanwhile import Meanwhile
from pytest_ebpf.engines.spool import Spool
from pytest_ebpf.errors import EbpfError, EngineUnavailable, ProbeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from typing import Any

__all__ = ["KeptEngine", "keep"]

SCRIPT = f"{os.path.dirname(__file__)}/run_keeper.py"  # noqa: PTH120 (pathlib is slow to import)
OF_CALLS = ("on_sys_enter", "on_sys_exit")
START_SECONDS = 60
STOP_SECONDS = 10
RETRY_SECONDS = 0.002
"""Until the keeper looks again at a ring that it couldn't empty."""
PRIORITY = -15
"""What the keeper would have: it works for moments, and while it waits rings fill up."""
ORDER = struct.Struct("=IIIIQQ")
"""struct enrolment of bpf_snippets/include/events.h."""
MINOR_BITS = 20
"""Of a device's number, as the kernel itself has it."""
MAX_FDS = 64
MAX_ANSWER = 1 << 18
ERRORS: dict[str, type[EngineUnavailable] | type[ProbeError]] = {
    "EngineUnavailable": EngineUnavailable,
    "ProbeError": ProbeError,
}


class KeptEngine:
    """An engine that runs in a keeper process; see base.Engine.

    Those with the same ``address`` share one keeper; without an address it has its own.
    """

    records_real_calls = True

    def __init__(
        self, name: str, address: str | None = None, *, is_lent: bool = False, memory: int = MEMORY_BYTES
    ) -> None:
        if name not in ENGINES:
            raise ValueError(f"engine {name!r}: unknown (one of: {', '.join(ENGINES)})")
        self.name = name
        self._is_lent = is_lent
        self._memory = memory
        self.address = address or os.urandom(16).hex()
        """By which others can join."""
        self._session: int | None = None
        self._coming: tuple[socket.socket, subprocess.Popen[bytes]] | None = None
        self._keeper: tuple[int, int] = (0, 0)

    def prepare(self) -> None:
        """See base.Engine."""
        if not self._is_lent and self._coming is None:
            self._send_for()

    def start(self) -> Started:
        """See base.Engine."""
        found = self._begin() if self._coming is not None else None
        while found is None:  # if it can neither join nor begin, another worker was quicker
            found = self._join() or self._begin()
        answer, fds = found
        if "error" in answer:
            raise ERRORS[answer["error"]](*answer["args"])
        self._keeper = (answer["pid"], _start_time(answer["pid"]))
        self._session = answer["session"]
        return Started(
            engine=self.name,
            library=answer["library"],
            maps=dict(zip(answer["maps"], fds, strict=True)),
            session=answer["session"],
            probes=tuple(Probe(*each) for each in answer["probes"]),
            missing=tuple(answer["missing"]),
            numbers=answer["numbers"],
            memory=self._memory,
        )

    @property
    def pid(self) -> int:
        """See base.Engine."""
        return self._keeper[0]

    def enrol(self, pid: int, tag: int) -> None:
        """See base.Engine."""
        with self._connection() as channel:
            whom = [pid, tag, os.getpid(), *_pid_namespace()]
            _, iterators = _ask(channel, {"do": "enrol", "session": self._session, "whom": whom})
            if not iterators:
                from .roll_call import call

                call(pid)
            for iterator in iterators:
                try:
                    while os.read(iterator, 4096):
                        pass
                finally:
                    os.close(iterator)

    def poke(self) -> bool:
        """See base.Engine."""
        return os.getpid() > 0  # it can't fail otherwise; and the interpreter makes no other call around it

    def examine(self) -> tuple[tuple[str, ...], int]:
        """See base.Engine."""
        try:
            with self._connection() as channel:
                channel.settimeout(STOP_SECONDS)
                answer, _ = _ask(channel, {"do": "examine", "session": self._session})
        except TimeoutError:
            return (f"the keeper of the eBPF programs, process {self.pid}, gives no answer",), 0
        except EbpfError as error:
            return (f"the keeper of the eBPF programs: {error}",), 0
        except (OSError, EOFError):
            return (), 0  # it ended, which the programs' silence tells; or this process may not, or can't, reach it
        return tuple(answer["damage"]), answer["missed"]

    def stop(self) -> None:
        """Leave the keeper. The last one to leave ends it, and with it the programs, and waits until they are gone."""
        if self._coming is not None:
            self._take_back()
        if self._session is None:
            return
        pid, started = self._keeper
        try:
            keeper = os.pidfd_open(pid)
        except OSError:
            return  # it ended already
        try:
            if _start_time(pid) == started:
                self._leave(keeper)
        except (OSError, EOFError):
            pass  # it ended meanwhile, or a seccomp filter of a test refuses this: then it ends with this process
        finally:
            os.close(keeper)
            self._session = None

    def _take_back(self) -> None:
        """Join the keeper that was sent for and not needed, to leave it in order."""
        try:
            maps = self.start().maps
        except (EngineUnavailable, ProbeError):
            return
        for fd in maps.values():
            os.close(fd)

    def _leave(self, keeper: int) -> None:
        with self._connection() as channel:
            answer, _ = _ask(channel, {"do": "leave", "session": self._session})
        if answer["last"]:
            signal.pidfd_send_signal(keeper, signal.SIGTERM)
            select.select([keeper], [], [], STOP_SECONDS)

    def _connection(self) -> socket.socket:
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        channel.settimeout(START_SECONDS)
        try:
            channel.connect(_name(self.address))
        except BaseException:
            channel.close()
            raise
        return channel

    def _join(self) -> tuple[dict[str, Any], list[int]] | None:
        """Join a keeper that runs already; None if there is none."""
        owner = os.pidfd_open(os.getpid())
        try:
            with self._connection() as channel:
                return _ask(channel, {"do": "join", "memory": self._memory}, [owner])
        except (ConnectionRefusedError, EOFError, ConnectionResetError):
            return None
        finally:
            os.close(owner)

    def _begin(self) -> tuple[dict[str, Any], list[int]] | None:
        """Start a keeper, if it isn't starting, and join it; None if there is one at the address."""
        if self._is_lent:
            raise EngineUnavailable(
                f"start engine {self.name}",
                f"what {LENT} promises isn't there",
                "start the tests by: sudo pytest-ebpf run -- pytest …",
            )
        if self._coming is None:
            self._send_for()
        if self._coming is None:
            return None
        (ours, starter), self._coming = self._coming, None
        with ours, starter:
            try:
                return _receive(ours)
            except (EOFError, TimeoutError) as error:
                assert starter.stderr is not None
                raise EngineUnavailable(
                    f"start engine {self.name}",
                    f"the process that loads the programs gave no answer: {error}",
                    starter.stderr.read().decode(errors="replace").strip()[-2000:],
                ) from error

    def _send_for(self) -> None:
        import subprocess

        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            try:
                listener.bind(_name(self.address))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    return
                raise
            listener.listen(SESSIONS)
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            ours.settimeout(START_SECONDS)
            owner = os.pidfd_open(os.getpid())
            try:
                with theirs:
                    fds = (theirs.fileno(), listener.fileno(), owner)
                    starter = subprocess.Popen(
                        [sys.executable, "-I", "-S", "-B", SCRIPT, self.name, *map(str, fds), str(self._memory)],
                        pass_fds=fds,
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.PIPE,
                    )
            finally:
                os.close(owner)
        self._coming = ours, starter


def _user_of(channel: socket.socket) -> int:
    """The uid of the process at the other end."""
    return int.from_bytes(channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[4:8], sys.byteorder)


def _name(address: str) -> str:
    return f"\0pytest-ebpf-{address}"


def _start_time(pid: int) -> int:
    """With the pid, this names one process for ever. In clock ticks since boot."""
    with open(f"/proc/{pid}/stat", "rb") as stat:  # noqa: PTH123
        return int(stat.read().rsplit(b")", 1)[1].split()[19])


def _send(channel: socket.socket, message: dict[str, Any], fds: list[int]) -> None:
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    channel.sendmsg([json.dumps(message).encode()], rights)


def _receive(channel: socket.socket) -> tuple[dict[str, Any], list[int]]:
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
    return json.loads(data), fds.tolist()


def _pid_namespace() -> tuple[int, int]:
    """Of this process: device and inode, as the kernel has them; zeros, which no namespace has, without /proc."""
    try:
        found = os.stat("/proc/self/ns/pid")  # noqa: PTH116 (pathlib is slow to import)
    except OSError:
        return 0, 0
    return os.major(found.st_dev) << MINOR_BITS | os.minor(found.st_dev), found.st_ino


def _ask(
    channel: socket.socket, message: dict[str, Any], fds: list[int] | None = None
) -> tuple[dict[str, Any], list[int]]:
    _send(channel, message, fds or [])
    answer, received = _receive(channel)
    if "refused" in answer:
        raise EbpfError(answer["refused"])
    return answer, received


# The keeper's side


class _Keeper:
    """Serves the sessions of one engine, one request at a time."""

    def __init__(self, engine: Any, loading: Meanwhile, listener: socket.socket) -> None:
        self._listener = listener
        self._engine = engine
        self._spare: Meanwhile | None = Meanwhile(_create_rings)
        """Those of the first session, made while the programs are loaded."""
        self._started: Started = loading.get()
        self._owners: dict[int, int] = {}
        """The pidfd of each session's process."""
        self._rings: dict[int, list[int]] = {}
        """Numbers of each session's rings."""
        self._spools: dict[int, tuple[Spool, list[int]]] = {}
        """What was moved out of each session's rings, and their descriptors."""
        self._filling = select.epoll()
        """Is told when a ring has passed another quarter."""
        self._is_held_up = False
        """Something stays in a ring that is to be moved."""
        # Any user of the machine can read the address in /proc/net/unix.
        self._users = {os.geteuid(), int(os.environ.get(LENT_TO, os.geteuid()))}
        self._links = [(*each, kernel.program_number(each[2])) for each in self._engine.links]
        self._programs = {program: probe for probe, _, program in self._engine.links}
        """By their descriptors."""
        self._missed = 0
        """How many runs of the programs for calls and hooks the kernel had left out when somebody asked last."""
        self._order = _ffi.SharedMemory(self._started.maps["enrolments"], os.sysconf("SC_PAGESIZE"), writable=True)

    def serve(self) -> None:
        """Until the last session ended."""
        while self._owners:
            ready = self._wait([self._listener, *self._owners.values()])
            for session, owner in [*self._owners.items()]:
                if owner in ready:
                    self._end(session)
            if self._listener in ready:
                channel, _ = self._listener.accept()
                with channel:
                    if _user_of(channel) not in self._users:
                        continue
                    channel.settimeout(START_SECONDS)
                    try:
                        self._answer(channel)
                    except (OSError, EOFError, ValueError, TypeError, KeyError, IndexError, struct.error):
                        continue  # who asked is gone, or none of ours

    def _wait(self, fds: list[Any], seconds: float | None = None) -> list[Any]:
        """Which of them are ready, or none after a time. The rings are emptied meanwhile."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while True:
            limits = [RETRY_SECONDS] if self._is_held_up else []
            limits += [] if deadline is None else [max(deadline - time.monotonic(), 0)]
            ready, _, _ = select.select([*fds, self._filling], [], [], min(limits, default=None))
            if self._filling in ready:
                self._filling.poll(0)
                ready.remove(self._filling)
            # One that was told of may be only one of those that are filling up.
            self._is_held_up = sum(spool.move() for spool, _ in self._spools.values()) > 0
            if ready or (deadline is not None and time.monotonic() >= deadline):
                return ready

    def join(self, channel: socket.socket, owner: int, memory: int) -> None:
        """Answer with a new session of the process ``owner``, and descriptors of its maps.

        The kernel takes long to put the rings where programs find them. That goes on while the asker maps them: it
        follows nobody before it can ask for that.
        """
        session = next((each for each in range(SESSIONS) if each not in self._owners), None)
        if session is None:
            os.close(owner)
            args = ("join the recorder", f"{SESSIONS} test processes share it already", "run fewer workers")
            return _send(channel, {"error": "EngineUnavailable", "args": args}, [])
        try:
            rings: list[int] = _create_rings() if self._spare is None else self._spare.get()
            self._spare = None
            spool = _create_spool(memory, rings)
        except ProbeError as problem:
            os.close(owner)
            return _send(channel, {"error": "ProbeError", "args": problem.args}, [])
        self._owners[session] = owner
        self._spools[session] = spool, rings
        self._rings[session] = [kernel.map_number(ring) for ring in rings]
        shared = {name: fd for name, fd in self._started.maps.items() if name in SHARED_MAPS}
        answer = {
            "pid": os.getpid(),
            "session": session,
            "library": self._started.library,
            "maps": [*shared, "events", "blobs", "spool"],
            "missing": self._started.missing,
            "numbers": {name: kernel.map_number(fd) for name, fd in shared.items()},
            "probes": [(probe.program, probe.hook) for probe in self._started.probes],
        }
        try:
            _send(channel, answer, [*shared.values(), *rings, spool.fd])
            self._put(session, rings)
            spool.empty([*zip(rings, (EVENTS_BYTES, BLOBS_BYTES), strict=True)])
            for ring in rings:
                self._filling.register(ring, select.EPOLLIN | select.EPOLLET)
        except OSError:
            self._end(session)  # the asker is gone, or will be refused
            raise

    def _put(self, session: int, rings: list[int]) -> None:
        """Let the programs write to these rings. The kernel waits each time until no program uses the one before."""
        places = self._started.maps["rings"]
        other = Meanwhile(lambda: _ffi.put_ring(places, 2 * session + 1, rings[1]))
        _ffi.put_ring(places, 2 * session, rings[0])
        other.get()

    def _answer(self, channel: socket.socket) -> None:
        self._wait([channel], START_SECONDS)
        request, fds = _receive(channel)
        if request["do"] == "join":
            self.join(channel, fds[0], request["memory"])
        elif request["session"] not in self._owners:
            _send(channel, {"refused": f"session {request['session']}: it isn't running"}, [])
        elif request["do"] == "leave":
            self._end(request["session"])
            _send(channel, {"last": not self._owners}, [])
        elif request["do"] == "examine":
            damage = [*self._damage(request["session"])]
            _send(channel, {"damage": damage, "missed": self._missed}, [])
        else:
            self._enrol(channel, request)

    def _enrol(self, channel: socket.socket, request: dict[str, Any]) -> None:
        """Let the asker enrol; nobody else does meanwhile."""
        ORDER.pack_into(self._order.view, 0, request["session"], *request["whom"])
        iterator = self._engine.iterator()
        _send(channel, {}, [] if iterator is None else [iterator])
        if iterator is not None:
            os.close(iterator)
        owner = self._owners[request["session"]]
        self._wait([channel, owner], START_SECONDS)  # until the asker hangs up, or ends

    def _damage(self, session: int) -> Iterator[str]:
        """What isn't as it was when the session began.

        How many runs were left out is counted beside, of the programs for calls and hooks: others break by one.
        """
        self._missed = 0
        for kind in {probe.hook.partition("/")[0] for probe, *_ in self._links}:
            if path := switched_off(kind):
                yield f"{path} keeps the eBPF programs of kind {kind} from running"
        for probe, link, _, number in self._links:
            if not link:
                continue  # held by a perf event: it is closed or it is there
            try:
                attached = kernel.program_of_link(link)
            except kernel.Refused as error:
                yield f"the eBPF program {probe.program} is attached no more: {error.strerror}"
                continue
            if attached != number:
                yield f"the eBPF program {probe.program} was replaced by another one"
        for program, probe in self._programs.items():
            missed = kernel.missed_runs(program)
            if probe.program in OF_CALLS or probe.hook.partition("/")[0] in KINDS:
                self._missed += missed
            elif missed:
                yield f"the kernel left out {missed:,} runs of the eBPF program {probe.program}"
        for place, number in enumerate(self._rings[session]):
            try:
                found = kernel.ring_number(self._started.maps["rings"], 2 * session + place)
            except kernel.Refused:
                found = 0
            if found != number:
                yield "the memory that the eBPF programs write to was replaced"

    def _end(self, session: int) -> None:
        """Follow none of its tasks any more."""
        os.close(self._owners.pop(session))
        del self._rings[session]
        spool, rings = self._spools.pop(session)
        spool.close()
        for ring in rings:
            os.close(ring)
        if not self._owners:
            return  # nor is there a program any more, in a moment
        memory = _ffi.SharedMemory(self._started.maps["tasks"], TASK_SLOTS * TASK_BYTES, writable=True)
        for slot, owner in enumerate(bytes(memory.view[SESSION_OFFSET::TASK_BYTES])):
            if owner == session:
                memory.view[slot * TASK_BYTES + SESSION_OFFSET] = SESSIONS
        memory.close()
        for place in range(2):
            try:
                _ffi.remove_ring(self._started.maps["rings"], 2 * session + place)
            except OSError:
                continue  # somebody else took it out, or froze the map: the other sessions go on


SHARED_MAPS = ("controls", "tasks", "losses", "specs", "slots")


def _create_rings() -> list[int]:
    """The two of a session: for events and for blobs. Raises ProbeError."""
    rings: list[int] = []
    try:
        rings.extend(_ffi.create_ring(size) for size in (EVENTS_BYTES, BLOBS_BYTES))
    except OSError as error:
        for ring in rings:
            os.close(ring)
        hint = "free some memory: each test process needs about 100 MiB of kernel memory"
        raise ProbeError("create the recorder's rings", os.strerror(error.errno or 0), hint) from error
    return rings


def _create_spool(memory: int, rings: list[int]) -> Spool:
    """For what is moved out of these rings, which are closed if there can be none. Raises ProbeError."""
    try:
        return Spool(memory)
    except OSError as error:
        for ring in rings:
            os.close(ring)
        hint = "it needs a file of twice ebpf_memory that takes no room while it is empty: see ulimit -f and -v"
        raise ProbeError("create the recorder's memory", os.strerror(error.errno or 0), hint) from error


def keep(engine: Any, loading: Meanwhile, channel_fd: int, listener_fd: int, owner: int, memory: int) -> None:
    """The rest of the keeper's life, while its engine starts: answer, and hold on until the last owner ends."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 2)
    with socket.socket(fileno=listener_fd) as listener, socket.socket(fileno=channel_fd) as channel:
        try:
            keeper = _Keeper(engine, loading, listener)
        except (EngineUnavailable, ProbeError) as error:
            listener.close()  # those who wait to join begin themselves
            _send(channel, {"error": type(error).__name__, "args": error.args}, [])
            return
        keeper.join(channel, owner, memory)
        channel.close()
        try:  # noqa: SIM105 (contextlib is slow to import)
            os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
        except PermissionError:
            pass  # a busy machine may then let it wait, and rings fill up meanwhile
        keeper.serve()
