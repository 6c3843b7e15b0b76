"""The commands of the bpf system call, for programs and maps that no library brings into the kernel."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import resource
import struct
from collections.abc import Sequence

__all__ = [
    "Refused",
    "attach_iterator",
    "attach_raw_tracepoint",
    "create_map",
    "lift_memory_limit",
    "load_btf",
    "load_program",
    "map_by_number",
    "map_number",
    "missed_runs",
    "open_iterator",
    "program_number",
    "program_of_link",
    "ring_number",
]

NUMBERS = {"x86_64": 321, "aarch64": 280}
MAP_LOOKUP_ELEM = 1
MAP_CREATE, PROG_LOAD, RAW_TRACEPOINT_OPEN, BTF_LOAD, LINK_CREATE, ITER_CREATE = 0, 5, 17, 18, 28, 33
MAP_GET_FD_BY_ID, OBJ_GET_INFO_BY_FD = 14, 15
INFO_BYTES = 232
NUMBER_AT, PROGRAM_AT, MISSES_AT = 4, 8, 208
"""In struct bpf_map_info and bpf_prog_info, in bpf_link_info, and in bpf_prog_info."""
KPROBE, TRACEPOINT, RAW_TRACEPOINT, TRACING = 2, 5, 17, 26
ARRAY_OF_MAPS, RING_BUFFER = 12, 27
RING_BYTES = os.sysconf("SC_PAGESIZE")
"""The least that a ring buffer can have."""
TRACE_FENTRY, TRACE_ITER = 24, 28
ATTRIBUTE_BYTES = 152
LOG_BYTES = 1 << 24
NAME_BYTES = 15

_TYPES = {
    "fentry": (TRACING, TRACE_FENTRY),
    "iter": (TRACING, TRACE_ITER),
    "kprobe": (KPROBE, 0),
    "raw_tp": (RAW_TRACEPOINT, 0),
    "tp": (TRACEPOINT, 0),
}
_libc = ctypes.CDLL(None, use_errno=True)


class Refused(OSError):
    """The kernel said no; ``log`` is what the verifier said."""

    def __init__(self, code: int, log: str = "") -> None:
        super().__init__(code, os.strerror(code))
        self.log = log


def create_map(name: str, kind: int, key_bytes: int, value_bytes: int, entries: int, flags: int) -> int:
    """A new map's descriptor; an array of maps is one of ring buffers. Raises Refused."""
    if kind != ARRAY_OF_MAPS:
        return _create_map(name, kind, key_bytes, value_bytes, entries, flags)
    inner = _create_map("ring", RING_BUFFER, 0, 0, RING_BYTES, 0)  # it shows the kind, and may go then
    try:
        return _create_map(name, kind, key_bytes, value_bytes, entries, flags, inner)
    finally:
        os.close(inner)


def _create_map(
    name: str, kind: int, key_bytes: int, value_bytes: int, entries: int, flags: int, inner: int = 0
) -> int:
    attributes = struct.pack("<IIIIIII", kind, key_bytes, value_bytes, entries, flags, inner, 0)
    return _bpf(MAP_CREATE, attributes + _name(name))


def load_btf(content: bytes) -> int:
    """The descriptor of some BTF. Raises Refused."""
    buffer = ctypes.create_string_buffer(content, len(content))
    log = ctypes.create_string_buffer(1 << 16)
    attributes = struct.pack("<QQIII", ctypes.addressof(buffer), ctypes.addressof(log), len(content), len(log), 1)
    try:
        return _bpf(BTF_LOAD, attributes)
    except Refused as error:
        raise Refused(error.errno or 0, log.value.decode(errors="replace")) from None


def load_program(
    name: str, code: bytes, btf: int, places: Sequence[tuple[int, int]], *, kind: str = "raw_tp", target: int = 0
) -> int:
    """The descriptor of a program; ``kind`` begins its section, ``target`` is the function of the kernel it is for.

    Raises Refused with the verifier's log.
    """
    program_type, attach_type = _TYPES[kind]
    instructions = ctypes.create_string_buffer(code, len(code))
    license_ = ctypes.create_string_buffer(b"GPL")
    content = b"".join(struct.pack("<II", *place) for place in places)
    functions = ctypes.create_string_buffer(content, len(content))

    def load(level: int, log: ctypes.Array[ctypes.c_char] | None) -> int:
        attributes = struct.pack(
            "<IIQQIIQII16sIIIIQIIQII",
            program_type,
            len(code) // 8,
            ctypes.addressof(instructions),
            ctypes.addressof(license_),
            level,
            len(log) if log else 0,
            ctypes.addressof(log) if log else 0,
            0,
            0,
            _name(name),
            0,
            attach_type,
            btf,
            8,
            ctypes.addressof(functions),
            len(places),
            0,
            0,
            0,
            target,
        )
        return _bpf(PROG_LOAD, attributes)

    try:
        return load(0, None)
    except Refused as error:
        log = ctypes.create_string_buffer(LOG_BYTES)
        with contextlib.suppress(Refused):
            os.close(load(1, log))
        raise Refused(error.errno or 0, log.value.decode(errors="replace")) from None


def attach_raw_tracepoint(name: str, program: int) -> int:
    """The descriptor that holds the program attached. Raises Refused."""
    buffer = ctypes.create_string_buffer(name.encode())
    return _bpf(RAW_TRACEPOINT_OPEN, struct.pack("<QII", ctypes.addressof(buffer), program, 0))


def attach_iterator(program: int) -> int:
    """A link of an iterator's program. Raises Refused."""
    return _bpf(LINK_CREATE, struct.pack("<IIII", program, 0, TRACE_ITER, 0))


def open_iterator(link: int) -> int:
    """One run of an iterator: what reads the descriptor runs the program. Raises Refused."""
    return _bpf(ITER_CREATE, struct.pack("<II", link, 0))


def map_number(fd: int) -> int:
    """The number by which the kernel knows a map. Raises Refused."""
    return _info(fd, NUMBER_AT, 4)


def program_number(fd: int) -> int:
    """The number by which the kernel knows a program. Raises Refused."""
    return _info(fd, NUMBER_AT, 4)


def program_of_link(fd: int) -> int:
    """The number of the program that a link holds attached. Raises Refused."""
    return _info(fd, PROGRAM_AT, 4)


def missed_runs(fd: int) -> int:
    """How often the kernel left a program out, as it ran already on that processor; 0 before Linux 5.12.

    Raises Refused.
    """
    return _info(fd, MISSES_AT, 8)


def ring_number(rings: int, index: int) -> int:
    """The number of the map at a place of an array of maps; 0 if there is none, or it can't be told."""
    key, value = ctypes.c_uint32(index), ctypes.c_uint32()
    addresses = ctypes.addressof(key), ctypes.addressof(value)
    try:
        _bpf(MAP_LOOKUP_ELEM, struct.pack("<IIQQQ", rings, 0, *addresses, 0))
    except Refused:
        return 0
    return value.value


def _info(fd: int, offset: int, size: int) -> int:
    info = ctypes.create_string_buffer(INFO_BYTES)
    _bpf(OBJ_GET_INFO_BY_FD, struct.pack("<IIQ", fd, len(info), ctypes.addressof(info)))
    return int.from_bytes(info.raw[offset : offset + size], "little")


def map_by_number(number: int) -> int:
    """A descriptor of the map of this number. Raises Refused."""
    return _bpf(MAP_GET_FD_BY_ID, struct.pack("<I", number))


def lift_memory_limit() -> None:
    """Let this process lock memory without limit: before Linux 5.11 maps count against it."""
    try:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except (ValueError, PermissionError):
        return  # the kernel says so where it matters


def _name(name: str) -> bytes:
    return name.encode()[:NAME_BYTES].ljust(NAME_BYTES + 1, b"\0")


def _bpf(command: int, attributes: bytes) -> int:
    buffer = ctypes.create_string_buffer(attributes, max(ATTRIBUTE_BYTES, len(attributes)))
    while True:
        result: int = _libc.syscall(NUMBERS[os.uname().machine], command, buffer, len(attributes))
        if result >= 0:
            return result
        code = ctypes.get_errno()
        if code != errno.EAGAIN:  # the verifier was interrupted
            raise Refused(code)
