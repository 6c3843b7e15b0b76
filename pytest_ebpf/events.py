"""What a user sees of a recording: frozen values, with no pytest and no ctypes behind them."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

__all__ = [
    "Address",
    "Descriptor",
    "Effect",
    "File",
    "FileEvent",
    "Gap",
    "Hook",
    "NetworkEvent",
    "Process",
    "ProcessEvent",
    "Result",
    "Socket",
    "SyscallEvent",
    "ip_address",
]

Result = Literal["done", "failed", "pending", "unknown"]
"""How an effect came out. ``pending``: it is under way, as of a call that has not returned, or a connect with
EINPROGRESS. ``unknown``: it was asked for, and the answer wasn't recorded, as of an operation on an io_uring."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process image: a pid between two execs."""

    pid: int
    """Process id as the kernel's first PID namespace counts it (its "tgid")."""
    comm: str
    """The task name, at most 15 bytes."""
    exe: str | None = None
    """Path of the program, or None where it wasn't seen."""
    argv: tuple[str, ...] = ()
    parent: Process | None = field(default=None, repr=False)
    started_by: str | None = None
    """Test and phase that started it, None for the pytest process itself."""
    is_self: bool = False
    """True for the pytest process."""
    ns_pid: int | None = field(default=None, repr=False)
    """Process id as its own PID namespace counts it, as in a container; None where that isn't known."""

    def chain(self) -> Iterator[Process]:
        """This process, its parent, and so on up to the pytest process."""
        process: Process | None = self
        while process is not None:
            yield process
            process = process.parent


@dataclass(frozen=True, slots=True)
class Address:
    """A socket address as the program passed it."""

    family: str
    """As in ``AF_INET``."""
    host: str | None = None
    """Numeric IPv4 or IPv6 address, with ``%2`` behind it if it is of interface 2 alone; a vsock's context id."""
    port: int | None = None
    """Of a netlink socket its port id, ``nl_pid``."""
    path: str | None = None
    """Of a unix socket; an abstract name starts with ``@``, and a file's that does with ``./@``."""
    members: tuple[tuple[str, Any], ...] = ()
    """What else the structure holds, numbers and bytes, by the names in C: ``sll_ifindex``, ``nl_groups``."""
    abspath: str | None = field(default=None, repr=False, compare=False)
    """``path`` made absolute against cwd as of the call that passed it; None of an abstract name and of what the kernel
    tells, as of the other end."""

    @property
    def ip(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
        """As a number; IPv4 also where it is mapped into IPv6. None in any other family."""
        return ip_address(self.host) if self.family in ("AF_INET", "AF_INET6") else None

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix:{self.path}"
        if self.family == "AF_VSOCK" and self.host is not None:
            return f"vsock:{self.host}:{self.port}"
        if self.family == "AF_NETLINK" and self.port is not None:
            return f"netlink:{self.port}"
        if "sll_ifindex" in (members := dict(self.members)):
            return f"packet:{members['sll_ifindex']}"
        if self.host is None:
            return self.family
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"


def ip_address(text: str | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address, IPv4 also where it is mapped into IPv6, of no interface in particular; None for anything else.

    >>> ip_address("::ffff:127.0.0.1")
    IPv4Address('127.0.0.1')
    """
    if text is None:
        return None
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


@dataclass(frozen=True, slots=True)
class Socket:
    """A socket, as it was at the call."""

    family: str
    """As in ``AF_INET``."""
    type: str
    """As in ``SOCK_STREAM``."""
    protocol: int = 0
    local: Address | None = None
    peer: Address | None = None
    """None if it isn't connected."""
    peer_inode: int = 0
    """Of a connected unix socket: the inode number of the other end."""


@dataclass(frozen=True, slots=True)
class File:
    """What a descriptor stood for at the call."""

    kind: str
    """file, directory, symlink, socket, pipe, fifo, character device, block device, memfd or anonymous."""
    path: str | None = None
    """Of the file itself, from the root of its mount namespace; of a deleted file its last one."""
    deleted: bool = False
    """The file had no name any more (or never had one: O_TMPFILE)."""
    path_cut: bool = False
    """The path was too long to take: it is unknown."""
    name: str | None = None
    """Of a memfd or an anonymous inode, as in ``[eventpoll]``."""
    inode: int = 0
    device: int = 0
    """As the kernel numbers it: major << 20 | minor."""
    socket: Socket | None = None

    def __str__(self) -> str:
        """As strace's -yy shows it."""
        if self.path is not None:
            return self.path + (" (deleted)" if self.deleted else "")
        if self.socket is not None:
            ends = "->".join(str(end) for end in (self.socket.local, self.socket.peer) if end is not None)
            return f"{self.socket.family}:{self.socket.type}:[{ends or self.inode}]"
        if self.name is not None:
            return f"memfd:{self.name}" if self.kind == "memfd" else f"anon_inode:{self.name}"
        return f"{self.kind}:[{self.inode}]"


class Descriptor(int):
    """A file descriptor, as a number, with what it stood for at the call."""

    file: File

    def __new__(cls, number: int, file: File) -> Self:
        """The descriptor ``number``."""
        self = super().__new__(cls, number)
        self.file = file
        return self

    def __getnewargs__(self) -> tuple[int, File]:  # type: ignore[override]
        return int(self), self.file


@dataclass(frozen=True, slots=True)
class Hook:
    """What one of the kernel's own functions was called for, in a call or beside all calls: see docs/kernels.md."""

    function: str
    """As in ``security_file_open``."""
    ops: tuple[str, ...]
    """The effects that it may be about: keys of ``effects.OPS``."""
    paths: tuple[str | None, ...] = ()
    """Real ones: of a link and a rename the old and the new, of anything else on files one."""
    passed: str | None = None
    """Of a program: its path as the kernel took it over."""
    file: File | None = None
    """The file, or the socket."""
    address: Address | None = None
    """Of a socket's address, the one that the kernel used."""
    flags: int | None = None
    """Of an open."""
    created: bool = False
    in_ring: bool = False
    """In no call, or in one on an io_uring."""
    unread: frozenset[str] = frozenset()
    text: str = field(default="", repr=False)

    def __str__(self) -> str:
        """In the manner of strace."""
        return self.text


@dataclass(frozen=True, slots=True)
class SyscallEvent:
    """One system call, or the part of it seen so far."""

    name: str
    """Of the call; ``syscall_0x1f4`` for a number that the table doesn't know."""
    pid: int
    tid: int
    comm: str
    process: Process
    timestamp_ns: int
    """Entry, on CLOCK_MONOTONIC (``time.monotonic_ns``)."""
    duration_ns: int | None
    """None while the call is in flight, or if it never returned."""
    args: Mapping[str, Any]
    """By the kernel's argument name: int, str (a path), Address, or None where unread."""
    ret: int | None
    """Result as the kernel returned it: negative errno for a failure; None if unfinished."""
    errno: str | None = None
    """As in ``ENOENT``, for a failed call."""
    path: str | None = None
    """The call's (first) path as passed."""
    abspath: str | None = None
    """``path`` made absolute against cwd or dirfd as of the call."""
    realpath: str | None = None
    """The file that was opened, symlinks followed."""
    paths: tuple[str, ...] = ()
    """Every spelling of every path of the call: passed, absolute and real."""
    abspaths: Mapping[str, str] = field(default_factory=dict)
    """Each path among the arguments, made absolute, by the argument's name."""
    address: Address | None = None
    """The (first) socket address of the call, else the peer of the connected socket it is made on."""
    addresses: tuple[Address, ...] = ()
    """All addresses of the call, as of a sendmmsg; else the peer alone."""
    files: Mapping[str, File] = field(default_factory=dict)
    """What each descriptor among the arguments stood for, by the argument's name."""
    result_file: File | None = None
    """What the descriptor that the call returned stands for."""
    payloads: tuple[bytes, ...] = ()
    """The DNS messages that the call sent or received; by TCP each may lack its start or end. Not other data."""
    started: Process | None = None
    """What the call brought about: the child of a fork, or this process as it is from an exec on."""
    created: bool | None = None
    """Whether an open that succeeded made the file; None of other calls, and where the kernel doesn't say."""
    in_flight: bool = False
    """The call had not returned when the recording was read."""
    unread: frozenset[str] = frozenset()
    """Names of the arguments that couldn't be read: "path" or "address" is then unknown, not absent."""
    hooks: tuple[Hook, ...] = ()
    """What the kernel's own functions told of the call, where it has such hooks and they told something."""
    text: str = field(default="", repr=False)
    """The event in strace's notation, if it is not to be made by ``render``."""
    render: Callable[[], str] | None = field(default=None, repr=False, compare=False)
    """Makes the text when somebody looks."""

    @property
    def exe(self) -> str | None:
        """Path of the program that made the call."""
        return self.process.exe

    @property
    def ok(self) -> bool:
        """The call returned, and not with an error."""
        return self.ret is not None and self.errno is None

    def __str__(self) -> str:
        """The event in strace's notation."""
        text = self.text or ("" if self.render is None else self.render())
        more = [hook.text for hook in self.hooks if hook.text != text and not self._says(hook)]
        return "  ".join([text, *more])

    def _says(self, hook: Hook) -> bool:
        """Whether the call itself says what the hook does."""
        named = self.address.path if self.address is not None else None
        known = {*self.paths, named, self.started and self.started.exe, None}
        if named is not None and not named.startswith(("/", "@")):
            known.update(path for path in hook.paths if path is not None and path.endswith(f"/{named}"))
        return hook.address is None and known.issuperset(hook.paths)


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One thing that a call did, or tried to do, to a file, on a socket or with a process: see effects.py."""

    op: str
    """What was done: a key of ``effects.OPS``."""
    call: SyscallEvent = field(repr=False)
    """The system call. Of the end of a process it is what the kernel's hook ``sched_process_exit`` told."""
    result: Result = "done"
    unread: frozenset[str] = frozenset()
    """Names of the fields here that aren't known, rather than absent; "op" if the effect itself is in doubt."""

    @property
    def name(self) -> str:
        """Of the call."""
        return self.call.name

    @property
    def pid(self) -> int:
        """Process that made the call."""
        return self.call.pid

    @property
    def tid(self) -> int:
        """Thread that made the call."""
        return self.call.tid

    @property
    def comm(self) -> str:
        """Task name."""
        return self.call.comm

    @property
    def process(self) -> Process:
        """Process that made the call, with its parents."""
        return self.call.process

    @property
    def timestamp_ns(self) -> int:
        """Entry of the call, on CLOCK_MONOTONIC."""
        return self.call.timestamp_ns

    @property
    def duration_ns(self) -> int | None:
        """Of the call; None while it is in flight, or if it never returned."""
        return self.call.duration_ns

    @property
    def args(self) -> Mapping[str, Any]:
        """Of the call, by the kernel's argument name."""
        return self.call.args

    @property
    def ret(self) -> int | None:
        """Result of the call."""
        return self.call.ret

    @property
    def errno(self) -> str | None:
        """Error of the call, as in ``ENOENT``; a connect under way has ``EINPROGRESS``."""
        return self.call.errno

    @property
    def in_flight(self) -> bool:
        """The call had not returned when the recording was read."""
        return self.call.in_flight

    @property
    def ok(self) -> bool:
        """It was done, as far as the call's result says."""
        return self.result == "done"

    def __str__(self) -> str:
        """The call in strace's notation."""
        return str(self.call)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEvent(Effect):
    """Something done to a file: one with a name in a directory, that had one, or a memfd. No pipes, no sockets."""

    path: str | None = None
    """The file's real path where it is known, else the absolute one, else as passed."""
    paths: tuple[str, ...] = ()
    """Every spelling of it: passed, absolute and real."""
    flags: str | None = None
    """Of the call, by name, as in ``O_WRONLY|O_CREAT``."""
    nbytes: int | None = None
    """Bytes that were read or written; None where none were or their number isn't known."""
    real: str | None = None
    """The real path, where a hook of the kernel told it."""
    file: File | None = None
    """What is known of the file itself; None where the call only named it."""
    span: tuple[int, int] | None = None
    """Of a call on mapped memory: from which byte of the file up to which."""

    @property
    def kind(self) -> str | None:
        """As `File.kind`."""
        return self.file.kind if self.file is not None else None

    @property
    def exe(self) -> str | None:
        """Path of the program that made the call."""
        return self.process.exe


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkEvent(Effect):
    """Something done on a socket of any family."""

    family: str | None = None
    """As in ``AF_INET``."""
    address: Address | None = None
    """The other end; of bind and listen this end."""
    host: str | None = None
    """The name that was asked for in DNS: of op "dns" by this message, else by the query that gave this address."""
    answers: tuple[str, ...] | None = None
    """Of an answer in DNS: the addresses in it. None of a query, and of every other op."""
    flags: str | None = None
    """Of the call, by name, as in ``MSG_DONTWAIT``."""
    nbytes: int | None = None
    """Bytes that were sent or received; None where none were or their number isn't known."""
    socket: Socket | None = None
    """As it was at the call; of accept the new one."""

    @property
    def port(self) -> int | None:
        """Of the address."""
        return self.address.port if self.address is not None else None

    @property
    def path(self) -> str | None:
        """Of the address of a unix socket; an abstract name starts with ``@``."""
        return self.address.path if self.address is not None else None

    @property
    def exe(self) -> str | None:
        """Path of the program that made the call."""
        return self.process.exe


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessEvent(Effect):
    """Something done with a process: it was begun, became another program, ended, or got a signal."""

    exe: str | None = None
    """Path of the program: the one executed, or that of the process that forked, ended or sent the signal."""
    paths: tuple[str, ...] = ()
    """Of exec: every spelling of the program's path."""
    argv: tuple[str, ...] = ()
    """Of exec those of the new program, else those of the process."""
    child: Process | None = None
    """Of fork: the new process."""
    target: int | None = None
    """Of signal: the process as the sender numbers it, or as a negative number the group."""
    exit_code: int | None = None
    """Of an end that the process chose; None of an end by signal."""
    signal: str | None = None
    """The one sent, or that the process ended by, as in ``SIGKILL``."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Why a recording can't prove an absence."""

    reason: str
    """What is missing, in a sentence."""
    hint: str = ""
    """What to do about it."""
    calls: frozenset[str] | None = None
    """Names of the calls that may be missing; None if it may be any."""
    count: int = 1
    """How many events are missing, as far as is known."""
    exact: bool = False
    """True if exactly ``count`` events are missing, all of them of ``calls``.

    Then a count that asks for nothing but names is still right. ``count=0`` says that no event is
    missing, only parts of recorded ones, which name those parts in ``unread``.
    """
    may_be: frozenset[str] | None = None
    """What calls are missing as far as their effects are asked for, where that is known better than by ``calls``."""
    at_most: bool = False
    """True if no more than ``count`` events are missing, all of them of ``calls``: an upper bound can still hold."""
    told: frozenset[str] = frozenset()
    """Kinds of effects ("files", "network", "processes") of which the kernel's hooks told all the same."""

    def __str__(self) -> str:
        return f"{self.reason} ({self.hint})" if self.hint else self.reason
