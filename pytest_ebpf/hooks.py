"""What the kernel's own functions told: the mirror of bpf_snippets/hooks.bpf.c.

A hook in a call that has the effect in question says more of that call, which file or address it really was: `amend`.
Any other stands for itself, in place of a call: `stand_in`. So it is in calls through another ABI, of which nothing
else is decoded, and in workers of an io_uring.
"""

from __future__ import annotations

import functools
import os
import platform
import posixpath
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from . import effects
from .decode import Blob, BlobKind, EventFlag, RawCall
from .events import (
    Address,
    Effect,
    File,
    FileEvent,
    Hook,
    NetworkEvent,
    Process,
    ProcessEvent,
    Result,
    SyscallEvent,
)
from .files import Files, normal, parse_address
from .notation import escape
from .syscalls import Table, flag_names, ring_model

__all__ = [
    "AREAS",
    "HOOK_KIND",
    "amend",
    "areas",
    "decode_hook",
    "file_events",
    "foreign_names",
    "is_of_call",
    "joined",
    "kind_of",
    "names_of_foreign",
    "network_events",
    "process_events",
    "stand_in",
    "told_by",
]

HOOK_KIND = 7
NO_CALL = 0xFFFF
IO_URING_ENTER = 426
DNS_PORT = 53
O_TRUNC, O_TMPFILE = 0o1000, 0o20000000
X32_NUMBERS = 512

E = TypeVar("E", bound=Effect)


class _Kind(NamedTuple):
    """One hook: the function, and the effects of what it is called for."""

    function: str
    ops: tuple[str, ...]


HOOKS: Mapping[int, _Kind] = {
    1: _Kind("security_file_open", ("open",)),
    2: _Kind("security_path_unlink", ("remove",)),
    3: _Kind("security_path_rmdir", ("remove",)),
    4: _Kind("security_path_mkdir", ("create",)),
    5: _Kind("security_path_mknod", ("create",)),
    6: _Kind("security_path_symlink", ("create",)),
    7: _Kind("security_path_link", ("link", "create")),
    8: _Kind("security_path_rename", ("remove", "create")),
    9: _Kind("security_path_truncate", ("truncate",)),
    10: _Kind("security_path_chmod", ("metadata",)),
    11: _Kind("security_path_chown", ("metadata",)),
    12: _Kind("security_bprm_check", ("execute", "exec")),
    13: _Kind("security_socket_connect", ("connect",)),
    14: _Kind("security_socket_bind", ("bind",)),
    15: _Kind("security_socket_sendmsg", ("send", "write")),
    16: _Kind("security_socket_recvmsg", ("receive", "read")),
    17: _Kind("security_socket_accept", ("accept",)),
    18: _Kind("security_socket_listen", ("listen",)),
    19: _Kind("security_socket_shutdown", ("shutdown",)),
}
EXEC, LINK, RENAME = 12, 7, 8
_BY_FUNCTION = {kind.function: kind for kind in HOOKS.values()}

AREAS: Mapping[effects.Kind, frozenset[str]] = {
    "files": frozenset(f for f in _BY_FUNCTION if f.startswith(("security_file_", "security_path_", "security_bprm_"))),
    "network": frozenset(f for f in _BY_FUNCTION if f.startswith("security_socket_")),
    "processes": frozenset({"security_bprm_check"}),
}
"""The functions that must be watched in each area: then it can be told from them what was done there."""

_TOLD_CALLS = """\
files: open openat openat2 creat open_by_handle_at execve execveat
files: unlink unlinkat rmdir mkdir mkdirat mknod mknodat symlink symlinkat link linkat rename renameat renameat2
files: truncate chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat
network: connect bind listen accept accept4 shutdown sendto sendmsg sendmmsg recvfrom recvmsg recvmmsg
network: read readv pread64 preadv preadv2 write writev pwrite64 pwritev pwritev2 mmap
processes: execve execveat
"""
"""The calls whose effects of that kind the hooks tell, whichever way the call was made.

What a socket gives by way of mmap they don't; but any program maps files, so that would leave each in doubt.
"""
_TOLD: Mapping[effects.Kind, frozenset[str]] = {
    kind: frozenset(
        name for line in _TOLD_CALLS.splitlines() if line.startswith(f"{kind}:") for name in line.split()[1:]
    )
    for kind in AREAS
}

_I386: Mapping[str, str] = {
    "chown32": "chown",
    "fchown32": "fchown",
    "fcntl64": "fcntl",
    "fstat64": "fstat",
    "fstatat64": "newfstatat",
    "ftruncate64": "ftruncate",
    "lchown32": "lchown",
    "lstat64": "lstat",
    "mmap2": "mmap",
    "oldfstat": "fstat",
    "oldlstat": "lstat",
    "oldstat": "stat",
    "send": "sendto",
    "sendfile64": "sendfile",
    "socketcall": "connect bind listen accept sendto recvfrom sendmsg recvmsg shutdown accept4 recvmmsg sendmmsg",
    "stat64": "stat",
    "statfs64": "statfs",
    "truncate64": "truncate",
    "umount": "umount2",
    "waitpid": "wait4",
}
"""Calls of 32-bit x86 that have another name on 64 bits."""


def areas(hooks: Iterable[str]) -> frozenset[effects.Kind]:
    """The areas that are watched, by the hooks that are attached, as ``kprobe/security_file_open``."""
    watched = {hook.partition("/")[2] for hook in hooks if hook.startswith(("kprobe/", "fentry/"))}
    return frozenset(kind for kind, functions in AREAS.items() if functions <= watched)


def kind_of(hooks: Iterable[str]) -> str:
    """``kprobe`` or ``fentry``; empty if there is no hook."""
    return next((hook.partition("/")[0] for hook in hooks if hook.startswith(("kprobe/", "fentry/"))), "")


def foreign_names(raw: RawCall) -> frozenset[str] | None:
    """Our names of a call through another ABI, by its number; None if that isn't known."""
    return names_of_foreign(raw.nr, x32=bool(raw.flags & EventFlag.X32.value))


def names_of_foreign(number: int, *, x32: bool) -> frozenset[str] | None:
    """Our names of the call with that number of x32, or of 32-bit code; None if that isn't known."""
    if platform.machine() != "x86_64" or (x32 and number >= X32_NUMBERS):
        return None
    name = _numbers("x86_64" if x32 else "i386").get(number)
    if name is None:
        return None
    ours = {*_numbers("x86_64").values()}
    spellings = (_I386.get(name, name), *(name.removesuffix(suffix) for suffix in ("_time64", "64", "32")))
    return next((frozenset(names.split()) for names in spellings if ours >= {*names.split()}), None)


@functools.cache
def _numbers(arch: str) -> Mapping[int, str]:
    """The names of calls by their numbers."""
    import system_calls  # here and not above: see syscalls.py

    calls: dict[str, int] = system_calls.syscalls().load_arch_table(arch)
    return {number: name for name, number in calls.items()}


def told_by(
    raw: RawCall, names: frozenset[str] | None, hooks: int, watched: Collection[effects.Kind], table: Table
) -> frozenset[effects.Kind]:
    """The areas in which nothing of a foreign call is hidden; ``hooks`` is how many told of it."""
    if names is None:
        return frozenset()
    found: set[effects.Kind] = set()
    for kind in AREAS:
        doing = names & effects.calls_of(kind, table)
        # A path on which nothing was found, no hook has seen.
        tried_in_vain = kind != "network" and raw.ret < 0 and not hooks
        if not doing or (kind in watched and doing <= _TOLD[kind] and not tried_in_vain):
            found.add(kind)
    return frozenset(found)


# From the wire


def decode_hook(raw: RawCall, blobs: Iterable[Blob], files: Files) -> Hook:
    """What one hook told."""
    number, flags = raw.args[0], raw.args[1]
    file = files.get(raw.file) if raw.file else None
    names: dict[int, str] = {}
    beside: File | None = None
    address: Address | None = None
    for blob in blobs:
        if blob.event_kind != HOOK_KIND:
            continue
        if blob.kind == BlobKind.PATH:
            names[blob.arg] = os.fsdecode(blob.data)
        elif blob.kind == BlobKind.FD:
            beside = files.get(int.from_bytes(blob.data, "little"))
        elif blob.kind == BlobKind.ADDRESS:
            address = parse_address(blob.data)
    kind = HOOKS[number]
    area = "network" if kind.function in AREAS["network"] else "files"
    unread: set[str] = set()
    paths: tuple[str | None, ...] = ()
    if area == "network":
        if raw.lost:
            unread.add("address")
    elif number in (LINK, RENAME):
        first = _path(file) if number == LINK else _in(file, names.get(1))
        paths = (first, _in(beside, names.get(3)))
    elif kind.ops in (("remove",), ("create",)):
        paths = (_in(file, names.get(1)),)
    else:
        paths = (_path(file),)
    if area == "files" and number != EXEC and None in paths and not (file is not None and file.path is None):
        unread.add("path")
    whole = number not in (LINK, RENAME) and kind.ops not in (("remove",), ("create",))
    return Hook(
        function=kind.function,
        ops=kind.ops,
        paths=paths,
        passed=names.get(1) if number == EXEC else None,
        file=file if whole or number == LINK else None,
        address=address,
        flags=flags if number == 1 else None,
        created=bool(raw.flags & EventFlag.CREATED.value),
        in_ring=raw.nr in (NO_CALL, IO_URING_ENTER) and not raw.flags & EventFlag.FOREIGN.value,
        unread=frozenset(unread),
        text=_text(number, paths, file, address, flags, names.get(1)),
    )


def _path(file: File | None) -> str | None:
    return None if file is None else file.path


def _in(directory: File | None, name: str | None) -> str | None:
    if directory is None or directory.path is None or name is None:
        return None
    return normal(posixpath.join(directory.path, name))


def _text(
    number: int,
    paths: Sequence[str | None],
    file: File | None,
    address: Address | None,
    flags: int,
    passed: str | None,
) -> str:
    """In the manner of strace."""
    shown = ["?" if path is None else f'"{escape(path)}"' for path in paths]
    if not paths or paths == (None,):
        shown = [escape(str(file))] if file is not None else ["?"]
    if address is not None:
        shown.append(escape(str(address)))
    if number == 1:
        shown.append(flag_names("open", flags & ~0o100000))
    if number == EXEC and passed is not None:
        shown.append(f'"{escape(passed)}"')
    return f"[kernel] {HOOKS[number].function}({', '.join(shown)})"


# What it says of a call


@functools.lru_cache(maxsize=1024)
def _has_effect(name: str, ops: tuple[str, ...]) -> bool:
    return any(target.op in ops for target in effects.targets(name))


def is_of_call(raw: RawCall, table: Table) -> bool:
    """Whether a hook is about the effects of the call that it was in: one of ours that tells them."""
    if not raw.args[4] or raw.flags & EventFlag.FOREIGN.value:
        return False
    return _has_effect(table.by_number(raw.nr).name, HOOKS[raw.args[0]].ops)


def amend(call: SyscallEvent, hooks: Sequence[Hook]) -> SyscallEvent:
    """The call, with what the kernel's hooks told of it."""
    for hook in hooks:
        if hook.function in AREAS["network"]:
            call = _amend_address(call, hook)
        elif hook.passed is not None and call.name == "execve" and hook is hooks[0]:
            call = _amend_program(call, hook.passed)
    return replace(call, hooks=tuple(hooks))


def _amend_address(call: SyscallEvent, hook: Hook) -> SyscallEvent:
    unread = call.unread | hook.unread
    files = call.files
    descriptor = next((name for name in ("fd", "sockfd") if name in call.args), None)
    known = call.files.get(descriptor or "")
    if hook.file is not None and descriptor is not None and (known is None or known.socket is not None):
        files = {**files, descriptor: hook.file}
        unread -= {descriptor}
    if hook.unread:
        return replace(call, unread=unread, files=files)
    if hook.address is None:
        return replace(call, files=files)
    if call.name == "sendmmsg":
        addresses = (*call.addresses, *([] if hook.address in call.addresses else [hook.address]))
        return replace(call, addresses=addresses, address=addresses[0], files=files)
    names = [name for name, value in call.args.items() if isinstance(value, Address)]
    names = names or [name for name in ("uservaddr", "umyaddr", "addr", "msg") if name in call.args]
    return replace(
        call,
        address=hook.address,
        addresses=(hook.address,),
        args={**call.args, **dict.fromkeys(names, hook.address)},
        unread=unread - {"address", *names},
        files=files,
    )


def _amend_program(call: SyscallEvent, passed: str) -> SyscallEvent:
    """With the path as the kernel took it over."""
    if call.path == passed:
        return call
    absolute = normal(passed) if passed.startswith("/") else None
    return replace(
        call,
        args={**call.args, "filename": passed},
        path=passed,
        abspath=absolute,
        abspaths={} if absolute is None else {"filename": absolute},
        paths=tuple(dict.fromkeys(each for each in (passed, absolute) if each is not None)),
        unread=call.unread - {"path", "filename", "abspath"} | (frozenset() if absolute else frozenset({"abspath"})),
    )


# What it says by itself


def stand_in(raw: RawCall, hook: Hook, process: Process, within: RawCall | None, shift_ns: int = 0) -> SyscallEvent:
    """An event in place of a call, for effects that no call of ours tells; ``within`` is the foreign call, if any."""
    return SyscallEvent(
        name=hook.function,
        pid=raw.pid,
        tid=raw.tid,
        comm=raw.comm,
        process=process,
        timestamp_ns=raw.entry_ns + shift_ns,
        duration_ns=None,
        args={},
        ret=within.ret if within is not None else None,
        path=hook.paths[0] if hook.paths else None,
        paths=tuple(path for path in hook.paths if path is not None),
        address=hook.address,
        addresses=() if hook.address is None else (hook.address,),
        hooks=(hook,),
        unread=hook.unread,
        text=hook.text,
    )


def _result(event: SyscallEvent) -> Result:
    if event.ret is None:
        return "unknown"
    return "failed" if -4095 <= event.ret < 0 else "done"


def file_events(event: SyscallEvent) -> Iterator[FileEvent]:
    """What a stand-in did to files."""
    (hook,) = event.hooks
    first, *others = hook.paths or (None,)
    file = hook.file
    reached = hook.address.path if hook.address is not None and "connect" in hook.ops else None
    if file is not None and file.kind not in effects.FILE_KINDS and not reached:
        return
    given: dict[str, Any] = {"call": event, "result": _result(event), "unread": hook.unread}

    def at(op: str, path: str | None, file: File | None = None, **more: Any) -> FileEvent:
        paths = () if path is None else (path,)
        return FileEvent(op=op, path=path, real=path, paths=paths, file=file, **{**given, **more})

    if hook.flags is not None:
        flags = flag_names("open", hook.flags)
        yield at("open", first, file, flags=flags)
        if hook.created or hook.flags & O_TMPFILE == O_TMPFILE:
            yield at("create", first, file, flags=flags)
        if hook.flags & O_TRUNC:
            yield at("truncate", first, file, flags=flags)
    elif reached:
        if not reached.startswith("@"):
            relative = frozenset() if reached.startswith("/") else frozenset({"abspath"})
            yield at("probe", reached, unread=hook.unread | relative)
    elif len(hook.paths) == 2:
        yield at(hook.ops[0], first, file)
        yield at(hook.ops[1], others[0])
    elif hook.paths and hook.ops[0] in effects.OPS["files"]:
        yield at(hook.ops[0], first, file)


def network_events(event: SyscallEvent) -> Iterator[NetworkEvent]:
    """What a stand-in did on sockets."""
    (hook,) = event.hooks
    op = hook.ops[0]
    if hook.function not in AREAS["network"]:
        return
    socket = hook.file.socket if hook.file is not None else None
    address = hook.address
    if op == "connect" and address is not None and address.family == "AF_UNSPEC":
        return  # the socket is let go of its peer
    if address is None and socket is not None:
        address = socket.local if op == "listen" else socket.peer if op != "accept" else None
    unread = set(hook.unread)
    if address is None and (socket is None or socket.family in ("AF_INET", "AF_INET6", "AF_VSOCK", "AF_UNIX")):
        unread |= {"address", "host"}
    event_of = functools.partial(
        NetworkEvent,
        call=event,
        result=_result(event),
        family=socket.family if socket is not None else address.family if address is not None else None,
        address=address,
        socket=socket,
    )
    yield event_of(op=op, unread=frozenset(unread))
    if op in ("send", "receive") and address is not None and address.port == DNS_PORT:
        yield event_of(op="dns", unread=frozenset(unread | {"host"}))


def process_events(event: SyscallEvent) -> Iterator[ProcessEvent]:
    """What a stand-in did with processes."""
    (hook,) = event.hooks
    if "exec" not in hook.ops:
        return
    paths = tuple(dict.fromkeys(path for path in (hook.passed, *hook.paths) if path is not None))
    unread = {"argv"} | ({"exe"} if hook.file is None else set())
    yield ProcessEvent(
        op="exec", call=event, result=_result(event), exe=hook.paths[0], paths=paths, unread=frozenset(unread)
    )


def joined(found: Sequence[E], told: Sequence[E]) -> list[E]:
    """The effects of calls with those that hooks told, in order; each operation on an io_uring is told of once.

    Of operations that couldn't be read the hooks tell whom they were about, if they told of as many as there are.
    """
    rings = [effect for effect in found if ring_model(effect.call.name)]
    if not told:
        return [*found]
    known = Counter((each.pid, each.op, _about(each)) for each in rings if _about(each) is not None)
    begun = Counter((each.pid, each.op) for each in rings if not _by_sending(each))
    seen = Counter((each.pid, each.op) for each in told if each.call.hooks[0].in_ring)
    more = [each for each in told if not (each.call.hooks[0].in_ring and (each.pid, each.op, _about(each)) in known)]
    kept = [
        each
        for each in found
        if not (ring_model(each.call.name) and _about(each) is None and _is_told(each, begun, seen))
    ]
    return sorted([*kept, *more], key=lambda effect: effect.timestamp_ns)


def _is_told(effect: Effect, begun: Counter[tuple[int, str]], seen: Counter[tuple[int, str]]) -> bool:
    key = effect.pid, "send" if _by_sending(effect) else effect.op
    return seen[key] >= begun[key]


def _by_sending(effect: Effect) -> bool:
    """Whether it is a connect by a send, perhaps: TCP's fast open."""
    return effect.op == "connect" and "op" in effect.unread


def _about(effect: Effect) -> object:
    """Whom or what an effect was about; None if that isn't known."""
    if isinstance(effect, NetworkEvent):
        return None if effect.address is None else str(effect.address)
    return getattr(effect, "path", None)
