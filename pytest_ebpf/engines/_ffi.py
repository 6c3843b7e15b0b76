"""The C functions that the engines call, with their types."""

from __future__ import annotations

import ctypes
import os
from ctypes import c_char_p, c_int, c_size_t, c_uint64, c_void_p
from typing import Any

__all__ = ["PRINT_CALLBACK", "SharedMemory", "format_message", "libbpf"]

LIBRARY = "libbpf.so.1"
PRINT_CALLBACK = ctypes.CFUNCTYPE(c_int, c_int, c_char_p, c_void_p)
MADV_DONTFORK = 10
MESSAGE_BYTES = 1 << 24
"""libbpf prints a verifier's whole log as one message, and the cause stands at its end."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.argtypes = [c_void_p, c_size_t, c_int, c_int, c_int, c_uint64]
_libc.mmap.restype = c_void_p
_libc.munmap.argtypes = [c_void_p, c_size_t]
_libc.madvise.argtypes = [c_void_p, c_size_t, c_int]
_libc.vsnprintf.argtypes = [c_char_p, c_size_t, c_char_p, c_void_p]

_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "bpf_iter_create": (c_int, [c_int]),
    "bpf_link__destroy": (c_int, [c_void_p]),
    "bpf_link__fd": (c_int, [c_void_p]),
    "bpf_map__fd": (c_int, [c_void_p]),
    "bpf_map__name": (c_char_p, [c_void_p]),
    "bpf_map__reuse_fd": (c_int, [c_void_p, c_int]),
    "bpf_object__close": (None, [c_void_p]),
    "bpf_object__load": (c_int, [c_void_p]),
    "bpf_object__next_map": (c_void_p, [c_void_p, c_void_p]),
    "bpf_object__next_program": (c_void_p, [c_void_p, c_void_p]),
    "bpf_object__open_mem": (c_void_p, [c_char_p, c_size_t, c_void_p]),
    "bpf_program__attach": (c_void_p, [c_void_p]),
    "bpf_program__attach_raw_tracepoint": (c_void_p, [c_void_p, c_char_p]),
    "bpf_program__name": (c_char_p, [c_void_p]),
    "bpf_program__section_name": (c_char_p, [c_void_p]),
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

    def close(self) -> None:
        """Unmap; the view must not be touched afterwards."""
        if self._address is not None:
            _libc.munmap(self._address, self._size)
            self._address = None
            self.view = memoryview(b"")
