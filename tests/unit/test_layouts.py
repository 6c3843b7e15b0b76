"""What tells the offsets of the kernel's fields where BTF doesn't: a text for the compiler, and what is read back."""

from __future__ import annotations

import struct

from pytest_ebpf.engines import layouts
from pytest_ebpf.engines.btf import Layout
from pytest_ebpf.engines.linker import EXIT, MOVE, STORE

WANTED = {"path": ["mnt", "dentry"], "qstr": ["name"]}


def stored(*values: int) -> bytes:
    """The code of a function that stores these, one behind the other."""
    code = b"".join(
        struct.pack("<BBhi", MOVE, 2, 0, value) + struct.pack("<BBhi", STORE, 0x21, 8 * at, 0)
        for at, value in enumerate(values)
    )
    return code + struct.pack("<BBhi", EXIT, 0, 0, 0)


def test_one_function_for_each_struct() -> None:
    """Its size first, then the fields as they were asked for."""
    text = layouts.describe(WANTED, "6.1.0-50-amd64")
    assert layouts.functions(WANTED) == ["layout_path", "layout_qstr"]
    assert (
        "FUNCTION(layout_path) int layout_path(u64 *out)\n{\n\tout[0] = sizeof(struct path);\n"
        "\tout[1] = __builtin_offsetof(struct path, mnt);\n\tout[2] = __builtin_offsetof(struct path, dentry);\n"
    ) in text
    assert '_Static_assert(!__builtin_strcmp(UTS_RELEASE, "6.1.0-50-amd64"), ' in text


def test_read() -> None:
    """From the machine code of each."""
    codes = {"layout_path": stored(16, 0, 8), "layout_qstr": stored(24, 16)}
    assert layouts.read(codes, WANTED) == {
        "path": [Layout(16, {"mnt": 0, "dentry": 8})],
        "qstr": [Layout(24, {"name": 16})],
    }
