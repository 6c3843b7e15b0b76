"""The quick way to load an object: libbpf writes a program that loads it, and the kernel runs that.

The object's accesses to the kernel's structs are then fitted by the kernel, which has its own types at hand; libbpf
would read all of them from /sys/kernel/btf/vmlinux first, which takes longer than the rest. Since Linux 5.17. It tells
no more than an error number, so whoever gets one loads the object in the ordinary way, to hear the cause.
"""

from __future__ import annotations

import ctypes
import os
import struct
from ctypes import c_int, c_size_t, c_uint32, c_void_p

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["load"]

ARRAY = 2
SYSCALL_PROGRAM = 31
SLEEPABLE = 1 << 4
CONTEXT = struct.Struct("<IIIIQ")
"""struct bpf_loader_ctx: its size with what follows, flags, log level, log size, log."""
MAP = struct.Struct("<iIQ")
"""struct bpf_map_desc: the descriptor (from the loader), the size and the first value (to it; 0 = as in the object)."""
PROGRAM = struct.Struct("<i")


class _Generated(ctypes.Structure):
    """struct gen_loader_opts of libbpf."""

    _fields_ = (
        ("sz", c_size_t),
        ("data", c_void_p),
        ("insns", c_void_p),
        ("data_sz", c_uint32),
        ("insns_sz", c_uint32),
    )


class _LoadOptions(ctypes.Structure):
    """The first members of struct bpf_prog_load_opts."""

    _fields_ = (
        ("sz", c_size_t),
        ("attempts", c_int),
        ("expected_attach_type", c_uint32),
        ("prog_btf_fd", c_uint32),
        ("prog_flags", c_uint32),
        ("prog_ifindex", c_uint32),
        ("kern_version", c_uint32),
        ("attach_btf_id", c_uint32),
        ("attach_prog_fd", c_uint32),
        ("attach_btf_obj_fd", c_uint32),
        ("fd_array", c_void_p),
    )


class _RunOptions(ctypes.Structure):
    """struct bpf_test_run_opts."""

    _fields_ = (
        ("sz", c_size_t),
        ("data_in", c_void_p),
        ("data_out", c_void_p),
        ("data_size_in", c_uint32),
        ("data_size_out", c_uint32),
        ("ctx_in", c_void_p),
        ("ctx_out", c_void_p),
        ("ctx_size_in", c_uint32),
        ("ctx_size_out", c_uint32),
        ("retval", c_uint32),
        ("repeat", c_int),
        ("duration", c_uint32),
        ("flags", c_uint32),
        ("cpu", c_uint32),
        ("batch_size", c_uint32),
    )


def load(library: Any, opened: int, maps: int, programs: int) -> tuple[list[int], list[int]] | None:
    """Load an object that was opened and has that many maps and programs: their descriptors, in its order.

    None if it can't be done this way. The object is good for nothing else afterwards.
    """
    generated = _Generated(sz=ctypes.sizeof(_Generated))
    if library.bpf_object__gen_loader(opened, ctypes.byref(generated)) or library.bpf_object__load(opened):
        return None
    data = library.bpf_map_create(ARRAY, b"__loader.map", 4, generated.data_sz, 1, None)
    if data < 0:
        return None
    try:
        key = c_uint32(0)
        if library.bpf_map_update_elem(data, ctypes.byref(key), generated.data, 0):
            return None
        known = (c_int * 1)(data)
        options = _LoadOptions(sz=ctypes.sizeof(_LoadOptions), prog_flags=SLEEPABLE, fd_array=ctypes.addressof(known))
        count = generated.insns_sz // 8
        loader = library.bpf_prog_load(
            SYSCALL_PROGRAM, b"__loader.prog", b"Dual BSD/GPL", generated.insns, count, ctypes.byref(options)
        )
        if loader < 0:
            return None
        try:
            return _run(library, loader, maps, programs)
        finally:
            os.close(loader)
    finally:
        os.close(data)


def _run(library: Any, loader: int, maps: int, programs: int) -> tuple[list[int], list[int]] | None:
    first_program = CONTEXT.size + maps * MAP.size
    size = first_program + programs * PROGRAM.size
    context = ctypes.create_string_buffer(CONTEXT.pack(size, 0, 0, 0, 0), size)
    run = _RunOptions(sz=ctypes.sizeof(_RunOptions), ctx_in=ctypes.addressof(context), ctx_size_in=size)
    if library.bpf_prog_test_run_opts(loader, ctypes.byref(run)) or run.retval:
        return None
    return (
        [fd for fd, _, _ in MAP.iter_unpack(context.raw[CONTEXT.size : first_program])],
        [fd for (fd,) in PROGRAM.iter_unpack(context.raw[first_program:])],
    )
