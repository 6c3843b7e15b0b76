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
    CONTROL_BYTES,
    ENGINES,
    IDS_OFFSET,
    LENT,
    LENT_TO,
    LOST_TASKS,
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
from pytest_ebpf.engines.shapes import RINGS, EventRing
from pytest_ebpf.engines.spool import Spool
from pytest_ebpf.errors import EbpfError, EngineUnavailable, ProbeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Sequence
    from typing import Any, NoReturn

    from pytest_ebpf.engines.shapes import Shape

__all__ = ["KeptEngine", "keep"]

SCRIPT = f"{os.path.dirname(__file__)}/run_keeper.py"  # noqa: PTH120 (pathlib is slow to import)
OF_CALLS = ("on_sys_enter", "on_sys_exit")
START_SECONDS = 60
STOP_SECONDS = 10
PUT_SECONDS = 0.0001
"""Until the keeper looks again whether programs find a ring."""
RETRY_SECONDS = 0.002
"""Until the keeper looks again at a ring that it couldn't empty."""
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
        """A keeper that was sent for."""
        self._channel: tuple[socket.socket, subprocess.Popen[bytes] | None] | None = None
        """To one that was asked for a session and hasn't told all of it."""
        self._keeper: tuple[int, int] = (0, 0)

    def prepare(self) -> None:
        """See base.Engine."""
        if not self._is_lent and self._coming is None:
            self._send_for()

    def open(self) -> dict[str, int]:
        """See base.Engine."""
        found = self._begin() if self._coming is not None else None
        while found is None:  # if it can neither join nor begin, another worker was quicker
            found = self._join() or self._begin()
        return found

    def start(self) -> Started:
        """See base.Engine."""
        maps = self.open() if self._channel is None else {}
        try:
            answer, fds = self._hear()
        except BaseException:
            for fd in maps.values():
                os.close(fd)
            raise
        self._hang_up()
        maps.update(zip(answer["maps"], fds, strict=True))
        self._keeper = (answer["pid"], _start_time(answer["pid"]))
        self._session = answer["session"]
        return Started(
            engine=self.name,
            library=answer["library"],
            maps=maps,
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
        if self._coming is not None or self._channel is not None:
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
        except (EngineUnavailable, ProbeError, OSError):
            self._hang_up()  # if it has a session for this process, that ends with it
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

    def _join(self) -> dict[str, int] | None:
        """Join a keeper that runs already; None if there is none."""
        owner = os.pidfd_open(os.getpid())
        try:
            channel = self._connection()
            try:
                answer, fds = _ask(channel, {"do": "join", "memory": self._memory}, [owner])
            except BaseException:
                channel.close()
                raise
        except (ConnectionRefusedError, EOFError, ConnectionResetError):
            return None
        finally:
            os.close(owner)
        self._channel = channel, None
        return self._memory_of(answer, fds)

    def _begin(self) -> dict[str, int] | None:
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
        self._channel, self._coming = self._coming, None
        return self._memory_of(*self._hear())

    def _memory_of(self, answer: dict[str, Any], fds: list[int]) -> dict[str, int]:
        self._check(answer)
        return dict(zip(answer["maps"], fds, strict=True))

    def _hear(self) -> tuple[dict[str, Any], list[int]]:
        """What the keeper says next of the session. Raises what it couldn't do."""
        assert self._channel is not None
        channel, starter = self._channel
        try:
            answer, fds = _receive(channel)
        except (EOFError, ConnectionResetError, TimeoutError) as error:
            said = b"" if starter is None or starter.stderr is None else starter.stderr.read()
            self._hang_up()
            raise EngineUnavailable(
                f"start engine {self.name}",
                f"the process that loads the programs gave no answer: {error}",
                said.decode(errors="replace").strip()[-2000:],
            ) from error
        self._check(answer)
        return answer, fds

    def _check(self, answer: dict[str, Any]) -> None:
        if "error" in answer:
            self._hang_up()
            raise ERRORS[answer["error"]](*answer["args"])

    def _hang_up(self) -> None:
        if self._channel is None:
            return
        (channel, starter), self._channel = self._channel, None
        channel.close()
        if starter is not None:
            with starter:
                pass

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

    def __init__(self, engine: Any, started: Started, listener: socket.socket) -> None:
        self._listener = listener
        self._engine = engine
        self._started = started
        self._owners: dict[int, int] = {}
        """The pidfd of each session's process."""
        self._rings: dict[int, list[tuple[int, int, int]]] = {}
        """Of each session's rings: the array and the place where the programs find it, and its number."""
        self._memory: dict[int, _Memory] = {}
        """Of each session."""
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
            self._is_held_up = sum(memory.spool.move() for memory in self._memory.values()) > 0
            if ready or (deadline is not None and time.monotonic() >= deadline):
                return ready

    def join(self, channel: socket.socket, owner: int, size: int) -> None:
        """Make a new session for the process ``owner``, and tell it."""
        try:
            if len(self._owners) == SESSIONS:
                cause = f"{SESSIONS} test processes share it already"
                raise EngineUnavailable("join the recorder", cause, "run fewer workers")
            memory = _Memory(size, self._engine.rings)
        except (EngineUnavailable, ProbeError) as problem:
            os.close(owner)
            _tell_problem(channel, problem)
            return
        try:
            memory.tell(channel)
        except OSError:
            os.close(owner)
            memory.close()
            raise
        self.begin(channel, owner, memory)

    def begin(self, channel: socket.socket, owner: int, memory: _Memory) -> None:
        """Answer the process ``owner``, which has this memory, with a new session and descriptors of the maps."""
        session = next(each for each in range(SESSIONS) if each not in self._owners)
        self._owners[session] = owner
        self._memory[session] = memory
        self._rings[session] = [
            (*self._place(name, session), kernel.map_number(ring)) for name, ring in memory.rings.items()
        ]
        shared = {name: fd for name, fd in self._started.maps.items() if name in SHARED_MAPS}
        answer = {
            "pid": os.getpid(),
            "session": session,
            "library": self._started.library,
            "maps": [*shared],
            "missing": self._started.missing,
            "numbers": {name: kernel.map_number(fd) for name, fd in shared.items()},
            "probes": [(probe.program, probe.hook) for probe in self._started.probes],
        }
        try:
            for (places, index, number), ring in zip(self._rings[session], memory.rings.values(), strict=True):
                self._put(places, index, ring, number)
            _send(channel, answer, [*shared.values()])
            for name, ring in memory.rings.items():
                if not isinstance(RINGS[name], EventRing):  # that has the programs wake by the other one
                    self._filling.register(ring, select.EPOLLIN | select.EPOLLET)
        except OSError:
            self._end(session)  # the asker is gone, or will be refused
            raise

    def _place(self, name: str, session: int) -> tuple[int, int]:
        """Where the programs find a ring of a session: an array's descriptor, and an index of it."""
        if name == "event_ring":
            return self._started.maps["event_rings"], session
        return self._started.maps["rings"], 2 * session + (name == "blobs")

    def _put(self, places: int, index: int, ring: int, number: int) -> None:
        """Let the programs find a ring, which the kernel knows by this number.

        The kernel puts it there and then waits until no program uses the one before; nobody here needs to.
        """
        putting = Meanwhile(lambda: _ffi.put_ring(places, index, ring))
        while not putting.is_over and kernel.ring_number(places, index) != number:
            time.sleep(PUT_SECONDS)
        if putting.is_over:
            putting.get()

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
        for places, index, number in self._rings[session]:
            if kernel.ring_number(places, index) != number:
                yield "the memory that the eBPF programs write to was replaced"

    def _end(self, session: int) -> None:
        """Follow none of its tasks any more."""
        os.close(self._owners.pop(session))
        rings, of_session = self._rings.pop(session), self._memory.pop(session)
        if not self._owners:
            of_session.close()
            return  # nor is there a program any more, in a moment
        memory = _ffi.SharedMemory(self._started.maps["tasks"], TASK_SLOTS * TASK_BYTES, writable=True)
        while self._release(memory.view, session):
            pass  # some of them may have started others meanwhile
        memory.close()
        for places, index, _ in rings:
            try:
                _ffi.remove_ring(places, index)
            except OSError:
                continue  # somebody else took it out, or froze the map: the other sessions go on
        of_session.close()

    def _release(self, tasks: memoryview, session: int) -> bool:
        """Follow those no more that live and are the session's; False if there was none.

        Another session's task may begin in a slot that is found here, as soon as whoever had it ends.
        """
        sessions = tasks[SESSION_OFFSET::TASK_BYTES]
        ids = tasks.cast("Q")[IDS_OFFSET // 8 :: TASK_BYTES // 8]
        found = [(slot, known) for slot, known in enumerate(ids.tolist()) if known and sessions[slot] == session]
        for slot, known in found:
            if ids[slot] == known and sessions[slot] == session:
                sessions[slot] = SESSIONS
                if ids[slot] != known:
                    self._tell_lost_task()
        return bool(found)

    def _tell_lost_task(self) -> None:
        """Nobody knows which session it belongs to: a gap of each."""
        controls = _ffi.SharedMemory(self._started.maps["controls"], SESSIONS * CONTROL_BYTES, writable=True)
        words = controls.view.cast("I")
        for session in self._owners:
            words[session * CONTROL_BYTES // 4 + LOST_TASKS] += 1
        controls.close()


SHARED_MAPS = ("controls", "tasks", "losses", "specs", "slots")


class _Memory:
    """What one session reads: its rings, and what is moved out of them. Raises ProbeError."""

    def __init__(self, size: int, names: Sequence[str]) -> None:
        self.rings: dict[str, int] = {}
        """Their descriptors, by their names in shapes.RINGS: of the one for events and of the one for blobs."""
        try:
            for name in names:
                self.rings[name] = _create(RINGS[name])
        except OSError as error:
            self._give_up(error, "rings", "free some memory: each test process needs about 120 MiB of kernel memory")
        try:
            self.spool = Spool(size)
            self.spool.empty([(ring, RINGS[name]) for name, ring in self.rings.items()])
        except OSError as error:
            hint = "it needs a file of twice ebpf_memory that takes no room while it is empty: see ulimit -f and -v"
            self._give_up(error, "memory", hint)

    def _give_up(self, error: OSError, what: str, hint: str) -> NoReturn:
        for ring in self.rings.values():
            os.close(ring)
        raise ProbeError(f"create the recorder's {what}", os.strerror(error.errno or 0), hint) from error

    def tell(self, channel: socket.socket) -> None:
        """Hand it out. Raises OSError."""
        _send(channel, {"maps": [*self.rings, "spool"]}, [*self.rings.values(), self.spool.fd])

    def close(self) -> None:
        """Give it back."""
        self.spool.close()
        for ring in self.rings.values():
            os.close(ring)


def _create(shape: Shape) -> int:
    """The descriptor of a new ring. Raises OSError."""
    if isinstance(shape, EventRing):
        return _ffi.create_event_ring(shape.unit, shape.nbytes)
    return _ffi.create_ring(shape.size)


def _tell_problem(channel: socket.socket, problem: EngineUnavailable | ProbeError) -> None:
    _send(channel, {"error": type(problem).__name__, "args": problem.args}, [])


def keep(engine: Any, loading: Meanwhile, channel_fd: int, listener_fd: int, owner: int, size: int) -> None:
    """The rest of the keeper's life, while its engine starts: answer, and hold on until the last owner ends."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 2)
    with socket.socket(fileno=listener_fd) as listener, socket.socket(fileno=channel_fd) as channel:
        try:
            try:
                memory = _Memory(size, engine.rings)
            except ProbeError:
                loading.get()  # which tells better what is missing for all of it, as a privilege
                raise
            memory.tell(channel)
            started = loading.get()
        except (EngineUnavailable, ProbeError) as problem:
            listener.close()  # those who wait to join begin themselves
            _tell_problem(channel, problem)
            return
        keeper = _Keeper(engine, started, listener)
        try:
            keeper.begin(channel, owner, memory)
        except OSError as error:
            _tell_problem(
                channel, ProbeError("give the programs the memory of a session", os.strerror(error.errno or 0))
            )
            return
        channel.close()
        keeper.serve()
