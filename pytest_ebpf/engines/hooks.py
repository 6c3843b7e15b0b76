"""How a program gets to a function of the kernel: by a kprobe.

The keeper process imports this while the session waits: see base.py.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct

from ..attachment import KPROBE

__all__ = ["attach_kprobe"]

PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}
SET_BPF, ENABLE = 0x40042408, 0x2400
CLOSE_ON_EXEC = 8
ATTRIBUTES = struct.Struct("<IIQQQQQIIQQ")
"""struct perf_event_attr as far as config2, with kprobe_func and probe_offset."""

_libc = ctypes.CDLL(None, use_errno=True)


def attach_kprobe(function: str, program: int) -> int:
    """The descriptor that holds a program attached to a function of the kernel. Raises OSError."""
    with open(KPROBE, encoding="ascii") as file:  # noqa: PTH123
        kind = int(file.read())
    name = ctypes.create_string_buffer(function.encode())
    size = 72
    content = ATTRIBUTES.pack(kind, size, 0, 0, 0, 0, 0, 0, 0, ctypes.addressof(name), 0)
    attributes = ctypes.create_string_buffer(content, 128)
    everyone, first, alone = (ctypes.c_long(number) for number in (-1, 0, -1))
    number = ctypes.c_long(PERF_EVENT_OPEN[platform.machine()])
    fd: int = _libc.syscall(number, attributes, everyone, first, alone, ctypes.c_long(CLOSE_ON_EXEC))
    if fd < 0:
        raise _error(function)
    for request, value in ((SET_BPF, program), (ENABLE, 0)):
        if _libc.ioctl(fd, ctypes.c_ulong(request), ctypes.c_long(value)) < 0:
            error = _error(function)
            os.close(fd)
            raise error
    return fd


def _error(function: str) -> OSError:
    code = ctypes.get_errno()
    return OSError(code, os.strerror(code), function)
