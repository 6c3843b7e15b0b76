"""The stack of the programs: kernels before 6.12 refuse a chain of calls that may take more than 512 bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import pytest_ebpf

OBJECTS = Path(pytest_ebpf.__file__).parent / "objects"
FRAME_BYTES = 32
"""The kernel counts each function's stack in pieces of so many."""
MOST_BYTES = 512
SYMBOLS, RELOCATIONS = 2, 9
MOVE, ADD, CALL, LOAD_WIDE = 0xBF, 0x07, 0x85, 0x18
STACK = 10
"""The register that points to it."""
FUNCTION, SECTION = 2, 3


class Section(NamedTuple):
    """What of a section's header is needed."""

    kind: int
    offset: int
    size: int
    link: int
    info: int


class Symbol(NamedTuple):
    """A function, or a section."""

    kind: int
    section: int
    value: int
    size: int
    name: str


def sections(elf: bytes) -> list[Section]:
    """Of a 64-bit ELF file."""
    table, size, count = struct.unpack_from("<Q", elf, 40)[0], *struct.unpack_from("<HH", elf, 58)
    headers = (struct.unpack_from("<IIQQQQII", elf, table + size * index) for index in range(count))
    return [Section(kind, offset, length, link, info) for _, kind, _, _, offset, length, link, info in headers]


def symbols(elf: bytes, found: list[Section]) -> list[Symbol]:
    """All of them, in order."""
    (table,) = (each for each in found if each.kind == SYMBOLS)
    names = found[table.link].offset
    entries = struct.iter_unpack("<IBxHQQ", elf[table.offset : table.offset + table.size])
    return [
        Symbol(info & 15, section, value, size, elf[names + name : elf.index(b"\0", names + name)].decode())
        for name, info, section, value, size in entries
    ]


def functions(elf: bytes) -> Iterator[tuple[str, int, set[str]]]:
    """Of each function its name, the bytes of stack that it takes itself, and whom it calls or gives to a loop."""
    found = sections(elf)
    all_symbols = symbols(elf, found)
    named = {(each.section, each.value): each.name for each in all_symbols if each.kind == FUNCTION}
    moved = {
        (each.info, at): all_symbols[info >> 32]
        for each in found
        if each.kind == RELOCATIONS
        for at, info in struct.iter_unpack("<QQ", elf[each.offset : each.offset + each.size])
    }
    for function in all_symbols:
        if function.kind != FUNCTION:
            continue
        depth, called, copied = 0, set(), {}
        for at in range(function.value, function.value + function.size, 8):
            code, registers, offset, value = struct.unpack_from("<BBhi", elf, found[function.section].offset + at)
            to, source = registers & 15, registers >> 4
            if (code & 7 == 1 and source == STACK) or (code & 7 in (2, 3) and to == STACK):
                depth = max(depth, -offset)
            if code == MOVE and source == STACK:
                copied[to] = at
            if code == ADD and copied.get(to) == at - 8:
                depth = max(depth, -value)
            target = moved.get((function.section, at))
            if code == CALL and source == 1 and target is None:
                called.add(named[function.section, at + 8 + value * 8])
            elif code == CALL and source == 1 and target is not None and target.section:  # 0: the kernel's own function
                start = 0 if target.kind == FUNCTION else (value + 1) * 8
                called.add(named[target.section, target.value + start])
            elif code == LOAD_WIDE and target is not None and target.kind in (FUNCTION, SECTION):
                called.update(name for place, name in named.items() if place == (target.section, target.value + value))
        yield function.name, depth, called


@pytest.mark.parametrize(
    "path", sorted(OBJECTS.rglob("recorder.bpf.o")), ids=lambda path: str(path.parent.relative_to(OBJECTS))
)
def test_chains_of_calls_fit(path: Path) -> None:
    """The deepest one of each program."""
    found = {name: (depth, called) for name, depth, called in functions(path.read_bytes())}

    def deepest(name: str) -> int:
        depth, called = found[name]
        own = -(-max(depth, 1) // FRAME_BYTES) * FRAME_BYTES
        return own + max((deepest(each) for each in called), default=0)

    depths = {name: deepest(name) for name in found}
    assert {name: depth for name, depth in depths.items() if depth > MOST_BYTES} == {}
    assert depths["on_sys_exit"] > depths["identify"] > depths["identify_path"] > FRAME_BYTES
