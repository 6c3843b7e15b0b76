"""How a program gets to functions of the kernel, by kprobes or at fentry, and to a tracepoint as perf offers it.

The keeper process imports this while the session waits: see base.py.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct

from ..attachment import FTRACE, KINDS, KPROBE
from ..errors import ProbeError

__all__ = ["ATTACHED", "FUNCTIONS", "attach", "switched_off"]

ATTACHED = (*KINDS, "tp")
"""The kinds of section that are attached here."""

ALL = "hooks"
"""In the section of a program that is for all of them."""
FUNCTIONS = (
    "security_file_open",
    "security_path_unlink",
    "security_path_rmdir",
    "security_path_mkdir",
    "security_path_mknod",
    "security_path_symlink",
    "security_path_link",
    "security_path_rename",
    "security_path_truncate",
    "security_path_chmod",
    "security_path_chown",
    "security_bprm_check",
    "security_socket_connect",
    "security_socket_bind",
    "security_socket_sendmsg",
    "security_socket_recvmsg",
    "security_socket_accept",
    "security_socket_listen",
    "security_socket_shutdown",
)
"""That program is told their numbers, from 1."""
PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}
SYS_BPF = {"x86_64": 321, "aarch64": 280}
RAW_TRACEPOINT_OPEN, LINK_CREATE, PERF_EVENT = 17, 28, 41
FSOPEN, FSCONFIG, FSMOUNT = (dict.fromkeys(SYS_BPF, number) for number in (430, 431, 432))
CREATE = 6
"""Of fsconfig."""
PERF_TRACEPOINT = 2
"""The type of such a perf event."""
TRACEFS = "/sys/kernel/tracing"
KPROBES = "/sys/kernel/debug/kprobes/enabled"
SET_BPF, ENABLE = 0x40042408, 0x2400
CLOSE_ON_EXEC = 8
ATTRIBUTES = struct.Struct("<IIQQQQQIIQQ")
"""struct perf_event_attr as far as config2, with kprobe_func and probe_offset."""
LINK = struct.Struct("<IIIIQ")
TRACEPOINT = struct.Struct("<QII")
"""Its name, of which a program at fentry needs none, and the program."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def attach(hook: str, program: int) -> dict[str, tuple[int, list[int]]]:
    """Attach the program of a section: by hook its link, 0 if the kernel makes none, and the descriptors that hold it.

    A function that the kernel refuses isn't there, so that area stays unwatched. Raises ProbeError if it refuses a
    tracepoint.
    """
    kind, _, place = hook.partition("/")
    if kind == "tp":
        try:
            return {hook: _attach_tracepoint(place, program)}
        except OSError as error:
            hint = "it takes root, or CAP_PERFMON and the right to read tracefs"
            raise ProbeError(f"attach a program to {hook}", error.strerror or "", hint) from error
    found = {}
    for number, each in enumerate(FUNCTIONS, 1) if place == ALL else [(0, place)]:
        try:
            held = _attach_kprobe(each, program, number) if kind == "kprobe" else _attach_fentry(program)
        except OSError:
            continue
        found[f"{kind}/{each}"] = held
    return found


def switched_off(kind: str) -> str:
    """The file that keeps all programs of a kind from running, or nothing."""
    for path in {"kprobe": (KPROBES, FTRACE), "fentry": (FTRACE,)}.get(kind, ()):
        try:
            with open(path, encoding="ascii") as file:  # noqa: PTH123
                if file.read().strip() == "0":
                    return path
        except OSError:
            continue  # there is no such switch
    return ""


def _attach_tracepoint(point: str, program: int) -> tuple[int, list[int]]:
    event = _perf_event(point, ATTRIBUTES.pack(PERF_TRACEPOINT, ATTRIBUTES.size, _tracepoint(point), *[0] * 8))
    return _linked(point, program, event)


def _attach_fentry(program: int) -> tuple[int, list[int]]:
    attributes = ctypes.create_string_buffer(TRACEPOINT.pack(0, program, 0), 64)
    link = _call(SYS_BPF, "fentry", RAW_TRACEPOINT_OPEN, ctypes.addressof(attributes), TRACEPOINT.size)
    return link, [link]


def _attach_kprobe(function: str, program: int, number: int) -> tuple[int, list[int]]:
    """A program for all functions is told the number of this one."""
    with open(KPROBE, encoding="ascii") as file:  # noqa: PTH123
        kind = int(file.read())
    name = ctypes.create_string_buffer(function.encode())
    event = _perf_event(function, ATTRIBUTES.pack(kind, ATTRIBUTES.size, *[0] * 7, ctypes.addressof(name), 0))
    if number:
        return _linked(function, program, event, number)
    for request, value in ((SET_BPF, program), (ENABLE, 0)):
        if _libc.ioctl(event, ctypes.c_ulong(request), ctypes.c_long(value)) < 0:
            error = _error(function)
            os.close(event)
            raise error
    return 0, [event]


def _perf_event(name: str, content: bytes) -> int:
    """Of every process; on one processor, which stands for all."""
    attributes = ctypes.create_string_buffer(content, 128)
    return _call(PERF_EVENT_OPEN, name, ctypes.addressof(attributes), -1, 0, -1, CLOSE_ON_EXEC)


def _linked(name: str, program: int, event: int, cookie: int = 0) -> tuple[int, list[int]]:
    attributes = ctypes.create_string_buffer(LINK.pack(program, event, PERF_EVENT, 0, cookie), 64)
    try:
        link = _call(SYS_BPF, name, LINK_CREATE, ctypes.addressof(attributes), len(attributes))
    except OSError:
        os.close(event)
        raise
    return link, [link, event]


def _tracepoint(point: str) -> int:
    """The number that the kernel gave it, from tracefs: where that isn't mounted, from one that nobody else sees."""
    mounted = os.path.exists(f"{TRACEFS}/events")  # noqa: PTH110
    folder = os.open(TRACEFS, os.O_PATH) if mounted else _mount_tracefs()
    try:
        file = os.open(f"events/{point}/id", os.O_RDONLY, dir_fd=folder)
    finally:
        os.close(folder)
    with open(file, encoding="ascii") as found:  # noqa: PTH123
        return int(found.read())


def _mount_tracefs() -> int:
    """A descriptor of its root; with that it ends."""
    name = ctypes.create_string_buffer(b"tracefs")
    context = _call(FSOPEN, TRACEFS, ctypes.addressof(name), 0)
    try:
        _call(FSCONFIG, TRACEFS, context, CREATE, 0, 0, 0)
        return _call(FSMOUNT, TRACEFS, context, 0, 0)
    finally:
        os.close(context)


def _call(numbers: dict[str, int], function: str, *args: int) -> int:
    result: int = _libc.syscall(ctypes.c_long(numbers[platform.machine()]), *map(ctypes.c_long, args))
    if result < 0:
        raise _error(function)
    return result


def _error(function: str) -> OSError:
    code = ctypes.get_errno()
    return OSError(code, os.strerror(code), function)
