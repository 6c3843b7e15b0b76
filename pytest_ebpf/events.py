"""What a user sees of a recording: frozen values, with no pytest and no ctypes behind them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Address", "Gap", "Process", "SyscallEvent"]


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
    """Numeric IPv4 or IPv6 address."""
    port: int | None = None
    path: str | None = None
    """Of a unix socket; an abstract name starts with ``@``."""

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix:{self.path}"
        if self.host is None:
            return self.family
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"


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
    address: Address | None = None
    in_flight: bool = False
    """The call had not returned when the recording was read."""
    unread: frozenset[str] = frozenset()
    """Names of the arguments that couldn't be read: "path" or "address" is then unknown, not absent."""
    text: str = field(default="", repr=False)
    """The event in strace's notation."""

    @property
    def exe(self) -> str | None:
        """Path of the program that made the call."""
        return self.process.exe

    @property
    def ok(self) -> bool:
        """The call returned, and not with an error."""
        return self.ret is not None and self.errno is None

    def __str__(self) -> str:
        return self.text


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

    def __str__(self) -> str:
        return f"{self.reason} ({self.hint})" if self.hint else self.reason
