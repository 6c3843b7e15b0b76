"""How a program gets to functions of the kernel: by kprobes, or at fentry.

The keeper process imports this while the session waits: see base.py.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct

from ..attachment import KPROBE

__all__ = ["FUNCTIONS", "attach"]

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
SET_BPF, ENABLE = 0x40042408, 0x2400
CLOSE_ON_EXEC = 8
ATTRIBUTES = struct.Struct("<IIQQQQQIIQQ")
"""struct perf_event_attr as far as config2, with kprobe_func and probe_offset."""
LINK = struct.Struct("<IIIIQ")
TRACEPOINT = struct.Struct("<QII")
"""Its name, of which a program at fentry needs none, and the program."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def attach(hook: str, program: int) -> dict[str, list[int]]:
    """Attach the program of a section: the descriptors that hold it, by hook.

    What the kernel refuses isn't there, so that area stays unwatched.
    """
    kind, _, function = hook.partition("/")
    functions = enumerate(FUNCTIONS, 1) if function == ALL else [(0, function)]
    found = {}
    for number, each in functions:
        try:
            held = _attach_kprobe(each, program, number) if kind == "kprobe" else _attach_fentry(program)
        except OSError:
            continue
        found[f"{kind}/{each}"] = held
    return found


def _attach_fentry(program: int) -> list[int]:
    attributes = ctypes.create_string_buffer(TRACEPOINT.pack(0, program, 0), 64)
    return [_call(SYS_BPF, "fentry", RAW_TRACEPOINT_OPEN, ctypes.addressof(attributes), TRACEPOINT.size)]


def _attach_kprobe(function: str, program: int, number: int) -> list[int]:
    """A program for all functions is told the number of this one."""
    with open(KPROBE, encoding="ascii") as file:  # noqa: PTH123
        kind = int(file.read())
    name = ctypes.create_string_buffer(function.encode())
    content = ATTRIBUTES.pack(kind, ATTRIBUTES.size, 0, 0, 0, 0, 0, 0, 0, ctypes.addressof(name), 0)
    attributes = ctypes.create_string_buffer(content, 128)
    # Of every process; on one processor, which stands for all.
    event = _call(PERF_EVENT_OPEN, function, ctypes.addressof(attributes), -1, 0, -1, CLOSE_ON_EXEC)
    try:
        if number:
            link = ctypes.create_string_buffer(LINK.pack(program, event, PERF_EVENT, 0, number), 64)
            return [_call(SYS_BPF, function, LINK_CREATE, ctypes.addressof(link), len(link)), event]
        for request, value in ((SET_BPF, program), (ENABLE, 0)):
            if _libc.ioctl(event, ctypes.c_ulong(request), ctypes.c_long(value)) < 0:
                raise _error(function)
    except OSError:
        os.close(event)
        raise
    return [event]


def _call(numbers: dict[str, int], function: str, *args: int) -> int:
    result: int = _libc.syscall(ctypes.c_long(numbers[platform.machine()]), *map(ctypes.c_long, args))
    if result < 0:
        raise _error(function)
    return result


def _error(function: str) -> OSError:
    code = ctypes.get_errno()
    return OSError(code, os.strerror(code), function)
