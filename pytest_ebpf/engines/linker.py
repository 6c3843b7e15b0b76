"""From the machine code of single functions, as BCC gives it, to whole programs."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..errors import ProbeError
from .btf import Builder
from .source import CALL_NUMBER, Function

__all__ = ["Program", "describe", "link", "stores", "with_kernel_functions", "with_maps"]

INSTRUCTION = struct.Struct("<BBhi")
BYTES = INSTRUCTION.size
CALL, EXIT, LOAD_WIDE = 0x85, 0x95, 0x18
MOVE, STORE = 0xB7, 0x7B
MAP_FD, CALL_FUNCTION, FUNCTION_ADDRESS = 1, 1, 4
"""Kinds in the source register's place: of a wide load, of a call, of a wide load."""
CALL_KERNEL = 2
"""Likewise, of a call."""
KERNEL_FUNCTION = 0x7C000000
"""Added to the number of one of KERNEL_FUNCTIONS where it is called: see snippet.h."""
KERNEL_FUNCTIONS = ("bpf_preempt_disable", "bpf_preempt_enable", "bpf_local_irq_save", "bpf_local_irq_restore")


@dataclass(frozen=True, slots=True)
class Program:
    """What the kernel is given to load, but for the descriptors of maps and BTF."""

    name: str
    hook: str
    code: bytes
    """A wide load of a map has its index."""
    places: tuple[tuple[int, int], ...]
    """Of each function the number of its first instruction, and its type."""


def link(main: str, codes: Mapping[str, bytes], functions: Sequence[Function], types: Mapping[str, int]) -> Program:
    """The program ``main`` with all that it calls. ``types`` are the functions' ids in the BTF."""
    by_name = {function.name: function for function in functions}
    order = [main]
    starts: dict[str, int] = {}
    length = 0
    for name in order:  # grows while it is walked
        starts[name] = length
        length += len(codes[name]) // BYTES
        for _, _, index in _references(codes[name]):
            if functions[index].name not in order:
                order.append(functions[index].name)
    linked = bytearray(b"".join(codes[name] for name in order))
    for name in order:
        for at, kind, index in _references(codes[name]):
            place = starts[name] + at
            code, registers, offset, _ = INSTRUCTION.unpack_from(linked, place * BYTES)
            target = starts[functions[index].name] - place - 1
            INSTRUCTION.pack_into(linked, place * BYTES, code, registers & 0x0F | kind << 4, offset, target)
    places = tuple((starts[name], types[name]) for name in order)
    return Program(main, by_name[main].hook, bytes(linked), places)


def describe(functions: Sequence[Function], sizes: Mapping[str, int]) -> tuple[bytes, dict[str, int]]:
    """BTF of the functions, and the id that each has in it."""
    builder = Builder()
    types: dict[str, int] = {}
    for function in functions:
        parameters = [
            builder.integer(each) if isinstance(each, int) else builder.pointer(each, sizes[each])
            for each in function.parameters
        ]
        types[function.name] = builder.function(
            function.name, builder.integer(function.result), parameters, checked_alone=function.checked_alone
        )
    return builder.content(), types


def with_maps(code: bytes, fds: Sequence[int]) -> bytes:
    """The code with the maps' descriptors in the place of their indices."""
    patched = bytearray(code)
    for at, operation, registers, offset, value in _instructions(code):
        if operation == LOAD_WIDE and registers >> 4 == MAP_FD:
            INSTRUCTION.pack_into(patched, at * BYTES, operation, registers, offset, fds[value])
    return bytes(patched)


def with_kernel_functions(code: bytes, find: Callable[[str], int | None]) -> bytes:
    """The code with the ids of the kernel's own functions, by which it calls them; ``find`` gives that of a name."""
    patched = bytearray(code)
    for at, operation, registers, offset, value in _instructions(code):
        if operation == CALL and registers >> 4 == 0 and value >= KERNEL_FUNCTION:
            name = KERNEL_FUNCTIONS[value - KERNEL_FUNCTION]
            index = find(name)
            if index is None:
                raise ProbeError("link the programs", f"this kernel has no function {name}")
            INSTRUCTION.pack_into(patched, at * BYTES, operation, registers | CALL_KERNEL << 4, offset, index)
    return bytes(patched)


def stores(code: bytes) -> dict[int, int]:
    """What a function that only stores constants through its parameter would store, by offset."""
    registers: dict[int, int] = {}
    found: dict[int, int] = {}
    wide = 0
    for _, operation, pair, offset, value in _instructions(code):
        to, source = pair & 0x0F, pair >> 4
        if operation == MOVE:
            registers[to] = value
        elif operation == LOAD_WIDE:
            registers[to] = value & 0xFFFFFFFF
            wide = to
        elif operation == 0:  # its second half
            registers[wide] |= (value & 0xFFFFFFFF) << 32
        elif operation == STORE:
            found[offset] = registers[source]
        elif operation == EXIT:
            break
        else:
            raise ValueError(f"a description has an instruction that is not understood ({operation:#x})")
    return found


def _instructions(code: bytes) -> Iterator[tuple[int, int, int, int, int]]:
    """(number, operation, registers, offset, value) of each."""
    for at, (operation, registers, offset, value) in enumerate(INSTRUCTION.iter_unpack(code)):
        yield at, operation, registers, offset, value


def _references(code: bytes) -> Iterator[tuple[int, int, int]]:
    """(number of the instruction, kind, index of the function) of each call and each address of a function."""
    for at, operation, registers, _, value in _instructions(code):
        if operation == CALL and CALL_NUMBER <= value < KERNEL_FUNCTION:
            yield at, CALL_FUNCTION, value - CALL_NUMBER
        elif operation == LOAD_WIDE and registers >> 4 == FUNCTION_ADDRESS:
            yield at, FUNCTION_ADDRESS, value
