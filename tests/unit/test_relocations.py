"""Accesses that the loader fits to the kernel: an offset has room for 15 bits in a load, and for 31 in a constant."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

import pytest_ebpf
from pytest_ebpf.engines.btf import TYPE, Types

OBJECTS = Path(pytest_ebpf.__file__).parent / "objects"
CLASS, LOAD = 7, 1
RELOCATIONS_AT = 24
"""In the header of .BTF.ext: where the relocations begin, behind that header, and their bytes."""
PAGES_APART = {"bpf_ringbuf"}
"""Structs with a page between two fields, which has 64 KiB on some machines of aarch64."""


def sections(elf: bytes) -> dict[str, bytes]:
    """Of a 64-bit ELF file, by name."""
    table, size, count, names = struct.unpack_from("<Q", elf, 40)[0], *struct.unpack_from("<HHH", elf, 58)
    headers = [struct.unpack_from("<IIQQQQ", elf, table + size * index) for index in range(count)]
    start = headers[names][4]
    return {
        elf[start + name : elf.index(b"\0", start + name)].decode(): elf[offset : offset + length]
        for name, _, _, _, offset, length in headers
    }


def relocations(elf: bytes) -> Iterator[tuple[str, int]]:
    """Of each the struct whose field it is, and the code of the instruction."""
    found = sections(elf)
    types, ext = Types(found[".BTF"]), found[".BTF.ext"]
    header, place, length = struct.unpack_from("<I", ext, 4)[0], *struct.unpack_from("<II", ext, RELOCATIONS_AT)
    at, end = header + place + 4, header + place + length
    (record,) = struct.unpack_from("<I", ext, at - 4)
    while at < end:
        section, count = struct.unpack_from("<II", ext, at)
        code = found[types._name(section)]
        for each in range(count):
            instruction, number = struct.unpack_from("<II", ext, at + 8 + record * each)
            name, _, _ = TYPE.unpack_from(types._content, types._starts[number])
            yield types._name(name), code[instruction]
        at += 8 + record * count


@pytest.mark.parametrize(
    "path", sorted(OBJECTS.rglob("recorder.bpf.o")), ids=lambda path: str(path.parent.relative_to(OBJECTS))
)
def test_offsets_have_room(path: Path) -> None:
    """Wherever a page is larger than here."""
    found = list(relocations(path.read_bytes()))
    names = {name for name, _ in found}
    assert "dentry" in names
    assert any(code & CLASS == LOAD for _, code in found)
    assert not [name for name, code in found if name in PAGES_APART and code & CLASS == LOAD]
    if path.parent.name == "casts":
        assert names >= PAGES_APART
