"""The C functions that the engines call, with their types."""

from __future__ import annotations

import ctypes
import os
import struct
from ctypes import c_char_p, c_int, c_size_t, c_uint32, c_uint64, c_void_p

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "PRINT_CALLBACK",
    "SharedMemory",
    "create_event_ring",
    "create_ring",
    "format_message",
    "interpreter_locks",
    "libbpf",
    "put_ring",
    "remove_ring",
]

LIBRARY = "libbpf.so.1"
PRINT_CALLBACK = ctypes.CFUNCTYPE(c_int, c_int, c_char_p, c_void_p)
MADV_REMOVE, MADV_DONTFORK = 9, 10
RTLD_DL_SYMENT = 1
BPF_MAP_CREATE, BPF_MAP_UPDATE_ELEM, BPF_MAP_DELETE_ELEM = 0, 2, 3
BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_RINGBUF = 2, 27
BPF_F_MMAPABLE, BPF_F_INNER_MAP = 1 << 10, 1 << 12
SYS_BPF = {"x86_64": 321, "aarch64": 280}
ATTRIBUTE_BYTES = 128
MESSAGE_BYTES = 1 << 24
"""libbpf prints a verifier's whole log as one message, and the cause stands at its end."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.argtypes = [c_void_p, c_size_t, c_int, c_int, c_int, c_uint64]
_libc.mmap.restype = c_void_p
_libc.munmap.argtypes = [c_void_p, c_size_t]
_libc.madvise.argtypes = [c_void_p, c_size_t, c_int]
_libc.dladdr1.argtypes = [c_void_p, c_void_p, c_void_p, c_int]
_libc.syscall.restype = ctypes.c_long
_libc.vsnprintf.argtypes = [c_char_p, c_size_t, c_char_p, c_void_p]

_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "bpf_iter_create": (c_int, [c_int]),
    "bpf_link_create": (c_int, [c_int, c_int, c_int, c_void_p]),
    "bpf_map__fd": (c_int, [c_void_p]),
    "bpf_map__name": (c_char_p, [c_void_p]),
    "bpf_map_create": (c_int, [c_int, c_char_p, c_uint32, c_uint32, c_uint32, c_void_p]),
    "bpf_map_update_elem": (c_int, [c_int, c_void_p, c_void_p, c_uint64]),
    "bpf_object__close": (None, [c_void_p]),
    "bpf_object__gen_loader": (c_int, [c_void_p, c_void_p]),
    "bpf_object__load": (c_int, [c_void_p]),
    "bpf_object__next_map": (c_void_p, [c_void_p, c_void_p]),
    "bpf_object__next_program": (c_void_p, [c_void_p, c_void_p]),
    "bpf_object__open_mem": (c_void_p, [c_char_p, c_size_t, c_void_p]),
    "bpf_prog_load": (c_int, [c_int, c_char_p, c_char_p, c_void_p, c_size_t, c_void_p]),
    "bpf_prog_test_run_opts": (c_int, [c_int, c_void_p]),
    "bpf_program__fd": (c_int, [c_void_p]),
    "bpf_program__name": (c_char_p, [c_void_p]),
    "bpf_program__section_name": (c_char_p, [c_void_p]),
    "bpf_program__set_autoload": (c_int, [c_void_p, ctypes.c_bool]),
    "bpf_raw_tracepoint_open": (c_int, [c_char_p, c_int]),
    "libbpf_set_print": (c_void_p, [PRINT_CALLBACK]),
    "libbpf_strerror": (c_int, [c_int, c_char_p, c_size_t]),
    "libbpf_version_string": (c_char_p, []),
}


def libbpf() -> ctypes.CDLL:
    """The system's libbpf. Raises OSError where there is none."""
    library = ctypes.CDLL(LIBRARY, use_errno=True)
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library


def format_message(template: bytes, arguments: int, size: int = MESSAGE_BYTES) -> str:
    """Text of a printf-style template with its ``va_list``, which both our ABIs pass as a pointer."""
    buffer = ctypes.create_string_buffer(size)
    _libc.vsnprintf(buffer, len(buffer), template, arguments)
    return buffer.value.decode(errors="replace")


class _Symbol(ctypes.Structure):
    """``Elf64_Sym``."""

    _fields_ = (("head", c_uint64), ("value", c_uint64), ("size", c_uint64))


def interpreter_locks() -> tuple[int, int]:
    """The addresses, from and to, of the interpreter's state, where its global lock lies; equal if unknown."""
    try:
        start = ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, "_PyRuntime"))
    except ValueError:
        return 0, 0
    found = (c_void_p * 4)()
    symbol = c_void_p()
    if not _libc.dladdr1(start, found, ctypes.byref(symbol), RTLD_DL_SYMENT) or symbol.value is None:
        return 0, 0
    return start, start + int(_Symbol.from_address(symbol.value).size)


def create_ring(size: int) -> int:
    """A ring buffer of ``size`` bytes, a power of two; its descriptor. Raises OSError."""
    return _bpf(BPF_MAP_CREATE, struct.pack("<IIIII", BPF_MAP_TYPE_RINGBUF, 0, 0, size, 0))


def create_event_ring(stride: int, nbytes: int) -> int:
    """Memory for so many bytes in places of one size; its descriptor. Raises OSError."""
    flags = BPF_F_MMAPABLE | BPF_F_INNER_MAP
    return _bpf(BPF_MAP_CREATE, struct.pack("<IIIII", BPF_MAP_TYPE_ARRAY, 4, stride, -(-nbytes // stride), flags))


def put_ring(rings: int, index: int, ring: int) -> None:
    """Put a ring into an array of rings. Raises OSError."""
    key, value = ctypes.c_uint32(index), ctypes.c_uint32(ring)
    addresses = ctypes.addressof(key), ctypes.addressof(value)
    _bpf(BPF_MAP_UPDATE_ELEM, struct.pack("<IIQQQ", rings, 0, *addresses, 0))


def remove_ring(rings: int, index: int) -> None:
    """Empty a place of an array of rings. Raises OSError."""
    key = ctypes.c_uint32(index)
    _bpf(BPF_MAP_DELETE_ELEM, struct.pack("<IIQ", rings, 0, ctypes.addressof(key)))


def _bpf(command: int, attribute: bytes) -> int:
    content = ctypes.create_string_buffer(attribute, ATTRIBUTE_BYTES)
    result: int = _libc.syscall(SYS_BPF[os.uname().machine], command, content, ATTRIBUTE_BYTES)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


class SharedMemory:
    """A mapping of a map's memory that holds no file descriptor and is not inherited by fork.

    The mmap module would keep a duplicate of the descriptor, which a forked child of the test would get.
    """

    def __init__(self, fd: int, size: int, *, writable: bool, offset: int = 0) -> None:
        protection = 0x1 | (0x2 if writable else 0)
        address = _libc.mmap(None, size, protection, 0x01, fd, offset)
        if address in (None, ctypes.c_void_p(-1).value):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        self._address: int | None = address
        self._size = size
        if _libc.madvise(address, size, MADV_DONTFORK):
            code = ctypes.get_errno()
            self.close()
            raise OSError(code, os.strerror(code))
        array = (ctypes.c_ubyte * size).from_address(address)
        view = memoryview(array).cast("B")
        self.view = view if writable else view.toreadonly()

    def give_back(self, offset: int, size: int) -> None:
        """Free some pages; they read as zeros from then on. Raises OSError."""
        if self._address is not None and _libc.madvise(self._address + offset, size, MADV_REMOVE):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))

    def close(self) -> None:
        """Unmap; the view must not be touched afterwards."""
        if self._address is not None:
            _libc.munmap(self._address, self._size)
            self._address = None
            self.view = memoryview(b"")
