"""The headers for users' programs: what they declare is where the kernel has it, or it doesn't compile."""

from __future__ import annotations

import os
import struct

import pytest

from pytest_ebpf import ProbeError, features
from pytest_ebpf.engines import headers
from pytest_ebpf.engines.btf import HEADER, INT, MAGIC, STRUCT, TYPE, TYPEDEF, Types
from pytest_ebpf.recording import Recording

GETPPID = {"x86_64": 110, "aarch64": 173}[os.uname().machine]
KERNEL_STRUCTS = ("sock", "sk_buff", "net_device", "tcp_sock", "inode", "request", "cred")
LAST = 5
"""Fields of each that are looked at, besides all of task_struct's."""


def _kernel(padding: int) -> bytes:
    """BTF of a kernel with one struct: two words, bytes that are nobody's, a word behind them, and a bit field."""
    strings = b"\0int\0spread\0first\0second\0bits\0last\0alone\0inside\0"

    def at(name: str) -> int:
        return strings.index(f"\0{name}\0".encode()) + 1

    def members(*fields: tuple[str, int, int]) -> bytes:
        return b"".join(struct.pack("<III", at(name), 1, bits | width << 24) for name, bits, width in fields)

    end = 64 + padding * 8
    fields = [("first", 0, 0), ("second", 32, 0), ("last", end, 0), ("bits", end + 32, 3)]
    types = TYPE.pack(at("int"), INT << 24, 4) + struct.pack("<I", 1 << 24 | 32)
    types += TYPE.pack(at("spread"), STRUCT << 24 | 1 << 31 | len(fields), 16 + padding) + members(*fields)
    types += TYPE.pack(0, STRUCT << 24 | 1, 4) + members(("inside", 0, 0))
    types += TYPE.pack(at("alone"), TYPEDEF << 24, 3)
    return HEADER.pack(MAGIC, 1, 0, HEADER.size, 0, len(types), len(types), len(strings)) + types + strings


def _offset(ebpf: Recording, text: str) -> int:
    """Where the struct's last word is for a program with this text before it."""
    probe = ebpf.attach(
        f"""
        {text}
        BPF_ARRAY(places, u64, 2);
        RAW_TRACEPOINT_PROBE(sys_enter)
        {{
            struct spread *at = (struct spread *)bpf_get_current_task();
            u64 start = (u64)at, last = (u64)&at->last;
            int first = 0, second = 1;
            if (ctx->args[1] != {GETPPID} || !EBPF_IN_SCOPE())
                return 0;
            places.update(&first, &start);
            places.update(&second, &last);
            return 0;
        }}
        """
    )
    os.getppid()
    start, last = probe["places"].values()
    return int(last - start)


@pytest.mark.heavy(reason="BCC compiles in it")
@pytest.mark.parametrize("padding", [16, 24, 56])
def test_padding(ebpf: Recording, padding: int) -> None:
    """Bytes that are nobody's, as before what is aligned to a line of the cache, move nothing, however many."""
    assert _offset(ebpf, headers.declarations({"spread"}, _kernel(padding))) == 8 + padding


def test_typedef_of_a_struct_without_a_name() -> None:
    """It is checked too."""
    text = headers.declarations({"alone"}, _kernel(8))
    assert "_Static_assert(sizeof(alone) == 4" in text
    assert "_Static_assert(__builtin_offsetof(alone, inside) == 0" in text


@pytest.mark.heavy(reason="BCC compiles in it")
@pytest.mark.parametrize(
    "before, after, message",
    [
        ("int first;", "int first; int new;", "struct spread: second is not where the running kernel has it"),
        ("int last;", "int last[2];", "struct spread: its size is not where the running kernel has it"),
    ],
)
def test_another_layout_is_refused(ebpf: Recording, before: str, after: str, message: str) -> None:
    """The compiler says which field of which struct is elsewhere."""
    text = headers.declarations({"spread"}, _kernel(24))
    assert text.count(before) == 1
    with pytest.raises(ProbeError, match=message):
        _offset(ebpf, text.replace(before, after))


def test_structs_of_this_kernel(ebpf: Recording) -> None:
    """What is in the compiled program is what the kernel's BTF says."""
    if features.installed_headers() is not None:
        return  # the kernel's own headers are used
    found = Types(features.BTF.read_bytes()).layouts({"task_struct", *KERNEL_STRUCTS})
    fields = {}
    for name, (layout, *_) in found.items():
        # Words of the program that are the name of a type bring it along: what is called bpf_... is BCC's too.
        known = [(offset, field) for field, offset in layout.offsets.items() if not field.startswith("bpf")]
        for offset, field in known if name == "task_struct" else sorted(known)[-LAST:]:
            fields[name, field] = offset
    stores = "".join(
        f"key = {number}; place = (u64)&((struct {name} *)at)->{field}; places.update(&key, &place);\n"
        for number, (name, field) in enumerate(fields, 1)
    )
    probe = ebpf.attach(
        f"""
        #include <linux/sched.h>
        BPF_ARRAY(places, u64, {len(fields) + 1});
        TRACEPOINT_PROBE(raw_syscalls, sys_enter)
        {{
            if (args->id != {GETPPID} || !EBPF_IN_SCOPE())
                return 0;
            u64 at = bpf_get_current_task(), place = at;
            int key = 0;
            places.update(&key, &place);
            {stores}
            return 0;
        }}
        """
    )
    os.getppid()
    start, *places = probe["places"].values()
    compiled = {field: place - start for field, place in zip(fields, places, strict=True)}
    assert compiled == fields


@pytest.mark.heavy(reason="BCC compiles in it")
def test_struct_that_cannot_be_declared(ebpf: Recording) -> None:
    """A type that the kernel doesn't have is the compiler's to refuse."""
    with pytest.raises(ProbeError, match="nothing_of_this_name"):
        ebpf.attach("int kprobe__x(void *ctx) { return sizeof(struct nothing_of_this_name); }")


GIVEN = """
#define DRAWN 7 /* enum { HIDDEN } */
enum { RED, GREEN = 1 << 1, /* ENUM_IN_COMMENT, */ BLUE };
struct known { int x; };
enum kind { OLD };
enum made { BY_MACRO(each) LAST, };
"""


@pytest.mark.parametrize(
    "text, left",
    [
        ("enum {\n\tRED = 0,\n\tBLUE = 3,\n};\n", ""),
        ("enum {\n\tRED = 0,\n\tNEWER = 4,\n};\n", "enum {\n\tNEWER = 4,\n};\n"),
        ("enum kind {\n\tOLD = 0,\n\tNEWER = 1,\n};\n", "enum {\n\tNEWER = 1,\n};\n"),
        ("enum other {\n\tOLD = 0,\n\tNEWER = 1,\n};\n", "enum other {\n\tNEWER = 1,\n};\n"),
        ("enum other {\n\tDRAWN = 7,\n};\n", "enum other {\n\tother_given,\n};\n"),
        ("enum made {\n\tANY = 0,\n\tLAST = 1,\n};\n", ""),
        (
            "enum other {\n\tRED = 0,\n\tNEWER = 4,\n} __attribute__((mode(word)));\n",
            "enum other {\n\tNEWER = 4,\n} __attribute__((mode(word)));\n",
        ),
        ("typedef enum {\n\tRED = 0,\n} color;\n", "typedef unsigned int color;\n"),
        ("typedef enum {\n\tRED = 0,\n\tPINK = 9,\n} color;\n", "typedef enum {\n\tPINK = 9,\n} color;\n"),
        ("struct known {\n\tstruct {\n\t\tint y;\n\t};\n\tint x;\n};\nint z;\n", "int z;\n"),
        ("struct known {\n\tint x;\n} __attribute__((packed));\nstruct a {\n};\n", "struct a {\n};\n"),
        ("enum {\n\tHIDDEN = 0,\n\tENUM_IN_COMMENT = 1,\n};\n", None),
        ("struct other {\n\tstruct known x;\n};\n", None),
        ("typedef struct {\n\tint RED;\n} known_t;\n", None),
    ],
)
def test_what_is_there_already(text: str, left: str | None) -> None:
    """Is not declared again; of an enum, what is not there is."""
    assert headers.Given(GIVEN).leave_out(text) == (text if left is None else left)
