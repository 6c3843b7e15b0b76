"""Functions compiled one by one become programs: with calls, callbacks, maps, and BTF that describes them."""

from __future__ import annotations

import struct

import pytest

from pytest_ebpf import ProbeError
from pytest_ebpf.engines import btf, linker
from pytest_ebpf.engines.source import CALL_NUMBER, Function

EXIT = struct.pack("<BBhi", 0x95, 0, 0, 0)
MAIN = Function("main", "raw_tp/sys_enter", 4, (8,))
LEAF = Function("leaf", result=4, parameters=("task", 4), checked_alone=True)
STEP = Function("step", parameters=(8, 8))
FUNCTIONS = (LEAF, STEP, MAIN)


def call(value: int) -> bytes:
    """A call of a helper, or of a function by its index."""
    return struct.pack("<BBhi", 0x85, 0, 0, value)


def load_wide(kind: int, value: int) -> bytes:
    """A load of a map or of a function's address into r1."""
    return struct.pack("<BBhiBBhi", 0x18, 1 | kind << 4, 0, value, 0, 0, 0, 0)


def unpacked(code: bytes) -> list[tuple[int, int, int, int]]:
    """(operation, registers, offset, value) of each instruction."""
    return list(struct.iter_unpack("<BBhi", code))


CODES = {
    "main": load_wide(1, 2) + call(1) + call(CALL_NUMBER) + load_wide(4, 1) + call(181) + EXIT,
    "leaf": call(CALL_NUMBER + 1) + EXIT,
    "step": EXIT,
}
TYPES = {"leaf": 11, "step": 12, "main": 13}


def test_calls_and_callbacks_are_relative() -> None:
    """Each function once, behind the program; a reference counts from the instruction after it."""
    program = linker.link("main", CODES, FUNCTIONS, TYPES)
    assert (program.name, program.hook) == ("main", "raw_tp/sys_enter")
    assert program.places == ((0, 13), (8, 11), (10, 12))
    code = unpacked(program.code)
    assert len(code) == 11
    assert code[3] == (0x85, 1 << 4, 0, 4)  # from 3 to 8
    assert code[4] == (0x18, 1 | 4 << 4, 0, 5)  # from 4 to 10
    assert code[8] == (0x85, 1 << 4, 0, 1)  # from 8 to 10


def test_helpers_and_maps_stay() -> None:
    """Until the maps' descriptors are put in."""
    program = linker.link("main", CODES, FUNCTIONS, TYPES)
    assert unpacked(program.code)[2] == (0x85, 0, 0, 1)
    assert unpacked(program.code)[0] == (0x18, 1 | 1 << 4, 0, 2)
    patched = unpacked(linker.with_maps(program.code, [101, 103, 107]))
    assert patched[0] == (0x18, 1 | 1 << 4, 0, 107)
    assert patched[4] == (0x18, 1 | 4 << 4, 0, 5)


def test_functions_of_the_kernel() -> None:
    """By their ids in the kernel's BTF; one that it hasn't got is named."""
    code = call(0x7C000000) + call(1) + call(0x7C000001) + EXIT
    assert linker.link("main", {"main": code}, (MAIN,), TYPES).code == code
    ids = {"bpf_preempt_disable": 1001, "bpf_preempt_enable": 1002}
    linked = unpacked(linker.with_kernel_functions(code, ids.get))
    assert linked[:3] == [(0x85, 2 << 4, 0, 1001), (0x85, 0, 0, 1), (0x85, 2 << 4, 0, 1002)]
    with pytest.raises(ProbeError, match="this kernel has no function bpf_preempt_enable"):
        linker.with_kernel_functions(code, {"bpf_preempt_disable": 1001}.get)


def test_only_what_is_called() -> None:
    """The kernel refuses instructions that nothing leads to."""
    assert linker.link("step", CODES, (*FUNCTIONS,), TYPES).code == EXIT


def test_stores() -> None:
    """What a description would store: small and wide constants."""
    code = struct.pack("<BBhi", 0xB7, 2, 0, 27) + struct.pack("<BBhi", 0x7B, 1 | 2 << 4, 8, 0)
    code += struct.pack("<BBhiBBhi", 0x18, 2, 0, -2, 0, 0, 0, 3) + struct.pack("<BBhi", 0x7B, 1 | 2 << 4, 0, 0) + EXIT
    assert linker.stores(code) == {8: 27, 0: 0x3_FFFF_FFFE}
    with pytest.raises(ValueError, match="not understood"):
        linker.stores(call(1) + EXIT)


def test_description() -> None:
    """BTF that our own reader understands: the functions, and the struct that a parameter points to."""
    content, types = linker.describe(FUNCTIONS, {"task": 168})
    read = btf.Types(content)
    assert {name: read.function(name) for name in ("leaf", "step", "main")} == types
    assert read.layouts({"task"}) == {"task": [btf.Layout(168)]}
    assert read.function("none") is None
