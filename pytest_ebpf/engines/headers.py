"""Kernel headers for users' programs where none are installed: made of the running kernel's BTF."""

from __future__ import annotations

import ctypes
import itertools
import os
import platform
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..features import BTF
from . import _ffi
from .btf import Types

__all__ = ["FLAGS", "Given", "declarations", "make_tree"]

STATIC = Path(__file__).parent / "bcc_headers"
PIECE_BYTES = 1 << 12
TYPES = "pytest_ebpf_types.h"
STRUCT, UNION, ENUM, TYPEDEF, ENUM64 = 4, 5, 6, 8, 19
PRINTER = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
FLAGS = ("-fms-extensions", "-Wno-microsoft-anon-tag")
"""For the compiler: newer kernels have structs with a name as members without one."""
WIDEST = 64
"""Bits of a run of bit fields. A longer one is a single integer for clang, which BCC lets it lay out for this machine's
processor before it makes code for BPF, where an integer of that size is aligned otherwise: what follows would move.
"""
_BITFIELDS = re.compile(r"(?:^\t+[^\n{}]*: \d+;\n)+", re.MULTILINE)
_DECLARED = re.compile(r"^((?:struct|union) \w+) \{$|^\}(?: __attribute__\(\(packed\)\))? (\w+);$", re.MULTILINE)
_STRUCT = re.compile(r"^(?:struct|union) (\w+) \{\n(?:[\t}].*\n)*?\}.*;\n", re.MULTILINE)
_ENUM = re.compile(
    r"^(?:typedef )?enum(?: (\w+))? \{\n((?:\t.*\n)*)\}( __attribute__\(\(.*\)\))?(?: (\w+))?;\n", re.MULTILINE
)
_RENAMED = re.compile(r"___\d+$")
"""What libbpf adds to the name of a second type of that name."""
_INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([\w./-]+)[>"]', re.MULTILINE)
_TRACEPOINT = re.compile(r"\bTRACEPOINT_PROBE\(\s*(\w+)\s*,\s*(\w+)\s*\)|\btracepoint__(\w+?)__(\w+)")
TRACING = Path("/sys/kernel/tracing/events")
_WORD = re.compile(r"\b[A-Za-z_]\w*\b")
_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "btf__new": (ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_uint32]),
    "btf__free": (None, [ctypes.c_void_p]),
    "btf__type_cnt": (ctypes.c_uint32, [ctypes.c_void_p]),
    "btf__type_by_id": (ctypes.POINTER(ctypes.c_uint32), [ctypes.c_void_p, ctypes.c_uint32]),
    "btf__name_by_offset": (ctypes.c_char_p, [ctypes.c_void_p, ctypes.c_uint32]),
    "btf_dump__new": (ctypes.c_void_p, [ctypes.c_void_p, PRINTER, ctypes.c_void_p, ctypes.c_void_p]),
    "btf_dump__dump_type": (ctypes.c_int, [ctypes.c_void_p, ctypes.c_uint32]),
    "btf_dump__free": (None, [ctypes.c_void_p]),
}


def make_tree(folder: Path, text: str, given: str = "") -> Path:
    """Fill a folder with all the headers that BCC and this program include; ``given`` is what BCC has in itself.

    Raises OSError if the kernel has no BTF.
    """
    shutil.copytree(STATIC, folder, dirs_exist_ok=True)
    include = folder / "include"
    numbers = [int(number) for number in re.findall(r"\d+", platform.release())[:3]] + [0, 0]
    (include / "linux" / "version.h").write_text(
        "#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + ((c) > 255 ? 255 : (c)))\n"
        f"#define LINUX_VERSION_CODE KERNEL_VERSION({numbers[0]}, {numbers[1]}, {numbers[2]})\n",
        encoding="utf-8",
    )
    # BCC's own header includes this one: so every program has struct pt_regs.
    page = f"#define PAGE_SIZE {os.sysconf('SC_PAGESIZE')}\n#include <{TYPES}>\n"
    (include / "asm" / "page.h").write_text(page, encoding="utf-8")
    for name in {*_INCLUDE.findall(text), "uapi/linux/ptrace.h", "linux/ptrace.h"}:
        header = include / name
        if not name.startswith("bcc/") and not header.exists() and header.resolve().is_relative_to(include.resolve()):
            header.parent.mkdir(parents=True, exist_ok=True)
            header.write_text(f"#include <{TYPES}>\n", encoding="utf-8")
    words = {"pt_regs", *_WORD.findall(re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL))}
    for groups in _TRACEPOINT.findall(text):
        category, event = [group for group in groups if group]
        words.update(_WORD.findall(_format(category, event)))
    own = set(re.findall(r"\b(?:struct|union|enum)\s+(\w+)\s*\{", text))
    types = declarations(words - own - _declared(), BTF.read_bytes(), Given(given))
    (include / TYPES).write_text(f"#pragma once\n#include <linux/types.h>\n{types}", encoding="utf-8")
    return folder


def _format(category: str, event: str) -> str:
    """The fields of a tracepoint, from which BCC makes a struct; empty if there is no such tracepoint."""
    try:
        return (TRACING / category / event / "format").read_text(encoding="utf-8")
    except OSError:
        return ""


def _declared() -> set[str]:
    """The names of our own header: its types, and its macros, some of which newer kernels have as enumerators."""
    text = (STATIC / "include" / "linux" / "types.h").read_text(encoding="utf-8")
    types = {name for line in re.findall(r"^typedef (.*);", text, re.MULTILINE) for name in _WORD.findall(line)}
    return types | set(re.findall(r"^#define (\w+)", text, re.MULTILINE))


class Given:
    """What a header declares that is there already: to declare it again would be an error.

    >>> Given("enum color { RED, GREEN = 2 };").leave_out("enum color {\\n\\tRED = 0,\\n\\tGREEN = 2,\\n};\\n")
    ''
    """

    def __init__(self, header: str = "") -> None:
        text = re.sub(r"/\*.*?\*/|//[^\n]*", "", header, flags=re.DOTALL)
        enums = re.findall(r"\benum\b\s*(\w*)[^{};]*\{([^}]*)\}", text)
        self._types = set(re.findall(r"\b(?:struct|union|enum)\s+(\w+)\s*\{", text))
        self._values = {name for _, body in enums for name in re.findall(r"(?:^|,)\s*(\w+)", body)}
        self._made = {tag for tag, body in enums if tag and re.search(r"\w\(", body)}
        """Enums of which a macro makes the values, as those of helper functions: they are left out whole."""
        self._values.update(re.findall(r"^[ \t]*#[ \t]*define[ \t]+(\w+)", text, re.MULTILINE))

    def leave_out(self, text: str) -> str:
        """The declarations without those. Of an enum, what a newer kernel has more stays."""
        text = _STRUCT.sub(lambda found: "" if found[1] in self._types else found[0], text)
        return _ENUM.sub(self._rest_of_enum, text)

    def _rest_of_enum(self, found: re.Match[str]) -> str:
        tag, body, attribute, name = found[1], found[2], found[3] or "", found[4]
        if tag in self._made:
            return ""
        rest = [line for line in body.splitlines(keepends=True) if line.split()[0] not in self._values]
        if not rest:
            if name:
                return f"typedef unsigned int {name};\n"
            return "" if tag is None or tag in self._types else f"enum {tag} {{\n\t{tag}_given,\n}};\n"
        start = "typedef enum" if name else "enum" if tag is None or tag in self._types else f"enum {tag}"
        return f"{start} {{\n{''.join(rest)}}}{attribute}{f' {name}' if name else ''};\n"


def declarations(names: Iterable[str], content: bytes, given: Given | None = None) -> str:
    """C declarations of a kernel's types of these names, from its BTF, and of all that they are made of.

    A program that another layout would be compiled into is refused by the compiler, but for types that are ``given``.
    Raises OSError.
    """
    text = _shorten(_dump(names, content))
    if given is not None:
        text = given.leave_out(text)
    return text + _checks(text, Types(content))


def _dump(names: Iterable[str], content: bytes) -> str:
    library = _ffi.libbpf()
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    btf = library.btf__new(content, len(content))
    if not btf:
        raise OSError(ctypes.get_errno(), "the kernel's BTF can't be read")
    pieces: list[str] = []
    printer = PRINTER(
        lambda _, template, arguments: pieces.append(_ffi.format_message(template, arguments, PIECE_BYTES))
    )
    dump = library.btf_dump__new(btf, printer, None, None)
    wanted = {name.encode() for name in names}
    seen: set[tuple[int, bytes]] = set()
    for index in range(1, library.btf__type_cnt(btf)):
        record = library.btf__type_by_id(btf, index)
        kind, count = record[1] >> 24 & 0x1F, record[1] & 0xFFFF
        if kind not in (STRUCT, UNION, ENUM, TYPEDEF, ENUM64):
            continue
        name = library.btf__name_by_offset(btf, record[0])
        is_wanted = name in wanted
        if kind in (ENUM, ENUM64) and not is_wanted:
            words = 2 if kind == ENUM else 3
            is_wanted = any(library.btf__name_by_offset(btf, record[3 + words * n]) in wanted for n in range(count))
        if is_wanted and (not name or (kind, name) not in seen):
            seen.add((kind, name))
            library.btf_dump__dump_type(dump, index)
    library.btf_dump__free(dump)
    library.btf__free(btf)
    return "".join(pieces)


def _shorten(text: str) -> str:
    """The same layout, in which no run of bit fields is longer than WIDEST: most are padding."""
    breaks = itertools.count(1)

    def shorten(run: re.Match[str]) -> str:
        lines = []
        bits = 0
        for line in run[0].splitlines(keepends=True):
            width = int(line.rpartition(": ")[2].rstrip(";\n"))
            if bits + width > WIDEST:
                lines.append(f"\tchar __pad_{next(breaks)}[0];\n")
                bits = 0
            lines.append(line)
            bits += width
        return "".join(lines)

    return _BITFIELDS.sub(shorten, text)


def _checks(text: str, types: Types) -> str:
    """Assertions in C that the types declared in a text are laid out as the kernel's are."""
    declared = {found[1] or found[2]: "" for found in _DECLARED.finditer(text)}
    kernels = {name: name.rpartition(" ")[2] for name in declared}
    found = types.layouts({*kernels.values(), *(_RENAMED.sub("", name) for name in kernels.values())})
    checks = []
    for name, known in kernels.items():
        layouts = found[known] or found[_RENAMED.sub("", known)]
        fields = set.intersection(*(set(layout.offsets) for layout in layouts)) if layouts else set()
        sizes = {layout.size for layout in layouts}
        checks.append(_check(name, "its size", f"sizeof({name})", sizes))
        for each in sorted(fields):
            offsets = {layout.offsets[each] for layout in layouts}
            checks.append(_check(name, each, f"__builtin_offsetof({name}, {each})", offsets))
    return "".join(checks)


def _check(name: str, what: str, expression: str, values: Iterable[int]) -> str:
    """One of the values; none if the kernel's BTF has no such type."""
    condition = " || ".join(f"{expression} == {value}" for value in sorted(values)) or "0"
    return f'_Static_assert({condition}, "{name}: {what} is not where the running kernel has it");\n'
