"""The snippets as one text that BCC's compiler takes.

BCC gives the machine code of one function at a time, and knows neither calls between functions nor relocations. So
in this text a call of a global function is one of a helper with a large number, and a map or a callback is an index;
engines/linker.py puts the real ones in. Structs of the kernel get the running kernel's layout.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .btf import Layout

__all__ = ["CALL_NUMBER", "Function", "Source", "kernel_structs", "read", "translate"]

CALL_NUMBER = 0x7B000000
"""Added to a function's index where it is called: no helper has such a number."""

WORD_BYTES = 8
_INCLUDE = re.compile(r'^#include "(\w+\.h)"\n', re.MULTILINE)
_ONCE = re.compile(r"^#pragma once\n", re.MULTILINE)
_LICENSE = re.compile(r'^char LICENSE\[\] SEC\("license"\) = "\w+";\n', re.MULTILINE)
_MAP = re.compile(r"^MAP_\w+\((\w+),", re.MULTILINE)
_PROGRAM = re.compile(r'^SEC\("([^"]+)"\)\nint (\w+)\(', re.MULTILINE)
_STATE = re.compile(r"^STATE_MAP\((\w+)\);", re.MULTILINE)
_STEP = re.compile(r"^STEP\((\w+), (\w+)\);", re.MULTILINE)
_LOOP_STATE = re.compile(r"= LOOP_STATE\((\w+)\)")
STEP_ALONE = """GLOBAL int {step}_alone(u64 index)
{{
	u32 zero = 0;
	BARRIER(index);
	struct {state} *at = bpf_map_lookup_elem(&{state}_states, &zero);
	return at ? {step}(index, at) : 1;
}}
"""
_AT_CALLS = re.compile(r"^AT_CALLS\((\w+)\)$", re.MULTILINE)
_HOOK = re.compile(r"^HOOK\((\w+), (\w+), (\w+)\);", re.MULTILINE)
_ALL_HOOKS = re.compile(r'^SEC\("kprobe/hooks"\)\n.*?^\}\n', re.MULTILINE | re.DOTALL)
HOOK = """SEC("{kind}/{function}")
int on_{function}(void *context)
{{
	u64 args[4];
	read_parameters(args, context);
	return {body}({hook});
}}
"""
"""What the macro of that name makes, where programs are looked for."""
_GLOBAL = re.compile(r"^(?:GLOBAL|SMALL) (\w+) (\w+)\(([^)]*)\)\n\{", re.MULTILINE)
_CALLBACK = re.compile(r"^static long (\w+)\((u64 index, [^)]*)\)\n\{", re.MULTILINE)
_STRUCT = re.compile(r"^struct (\w+) \{\n((?:(?!\}).*\n)*)\} PRESERVE;", re.MULTILINE)
_MACHINE = re.compile(
    r"^#if defined\(__TARGET_ARCH_x86\)\n(.*?)^#elif defined\(__TARGET_ARCH_arm64\)\n(.*?)^#else\n.*?^#endif\n",
    re.MULTILINE | re.DOTALL,
)
_NOT_BCC = re.compile(
    r"^#if defined\((?:CASTS|OWN_RING)\)\n.*?(?:^#else.*?\n(.*?))?^#endif\n", re.MULTILINE | re.DOTALL
)
"""What BCC doesn't take, and what stands in its place: structs that are read there alone need not be found."""
MACHINES = {"x86_64": 1, "aarch64": 2}
"""The branch of each in the snippets."""
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_FIELD = re.compile(r"\s*((?:const )?(?:struct |unsigned )*\w+)\s+([^;]+);")
_DECLARATOR = re.compile(r"(\**)(\w+)((?:\[\w*\])?)")
_POINTER = re.compile(r"struct (\w+) \*\w+$")
_INTEGER = re.compile(r"(u64|u32|u16|u8|s64|s32|bool|long|int) \w+$")
INTEGER_BYTES = {"u64": 8, "s64": 8, "long": 8, "u32": 4, "s32": 4, "int": 4, "u16": 2, "u8": 1, "bool": 1}


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the snippets that isn't inlined."""

    name: str
    """As the compiled text has it."""
    hook: str = ""
    """Of a program: its section."""
    result: int = 8
    """Size in bytes."""
    parameters: tuple[int | str, ...] = ()
    """Of each its size, or the name of the struct it points to."""
    checked_alone: bool = False
    """The verifier checks it once, whoever calls it."""


@dataclass(frozen=True, slots=True)
class Source:
    """What to compile, and what the indices in it mean."""

    text: str
    maps: tuple[str, ...]
    functions: tuple[Function, ...]

    @property
    def structs(self) -> frozenset[str]:
        """Structs whose size must be known."""
        return frozenset(each for one in self.functions for each in one.parameters if isinstance(each, str))


def read(folder: Path, names: Sequence[str], machine: str) -> str:
    """The snippets of these names in one text, every header once, with what is for this machine."""
    seen: set[str] = set()

    def paste(found: re.Match[str]) -> str:
        header = found[1]
        if header in seen:
            return ""
        seen.add(header)
        return expand(folder / "include" / header)

    def expand(path: Path) -> str:
        text = path.read_text(encoding="utf-8")
        return _ONCE.sub("", _INCLUDE.sub(paste, text))

    text = _LICENSE.sub("", "".join(expand(folder / f"{name}.bpf.c") for name in names))
    text = _NOT_BCC.sub(lambda found: found[1] or "", text)
    return _MACHINE.sub(lambda found: found[MACHINES[machine]], text)


def kernel_structs(text: str) -> dict[str, list[str]]:
    """The structs of the kernel that a text declares, with the fields that it reads; no second views, "x___y"."""
    found = {found[1]: [name for _, name, _ in _fields(found[2])] for found in _STRUCT.finditer(text)}
    return {name: fields for name, fields in found.items() if "___" not in name}


def translate(
    text: str, layouts: Mapping[str, Layout], *, old: bool = False, preemptible: bool = False, hooks: str = ""
) -> Source:
    """The text for BCC. ``layouts`` has each of `kernel_structs` that this kernel has.

    ``old``, ``preemptible``: see Variant; ``hooks``: what kind the programs for functions of the kernel are, if they
    are in the text.
    """
    text = _AT_CALLS.sub(rf'SEC("{"tp/raw_syscalls" if preemptible else "raw_tp"}/\1")', text)
    if hooks:
        one_each = old or hooks == "fentry"
        text = (_HOOK if not one_each else _ALL_HOOKS).sub("", text)
        text = _HOOK.sub(lambda found: HOOK.format(kind=hooks, function=found[1], hook=found[2], body=found[3]), text)
    text = _STRUCT.sub(lambda found: _laid_out(found[1], found[2], layouts.get(found[1])), text)
    text = _STATE.sub((lambda found: f"MAP_PERCPU({found[1]}_states, struct {found[1]});") if old else "", text)
    text = _STEP.sub((lambda found: STEP_ALONE.format(step=found[1], state=found[2])) if old else "", text)
    if old:
        text = _LOOP_STATE.sub(r"= LOOP_STATE_IN(\1, &\1_states)", text)
    maps = tuple(dict.fromkeys(found[1] for found in _MAP.finditer(text)))
    functions: list[Function] = []

    def number(function: Function) -> int:
        functions.append(function)
        return len(functions) - 1

    def global_function(found: re.Match[str]) -> str:
        result, name, parameters = found.groups()
        kinds = tuple(_parameter(each, old=old) for each in parameters.split(","))
        index = number(Function(f"{name}_body", "", INTEGER_BYTES[result], kinds, checked_alone=True))
        declared = f"static {result} (*const {name})({parameters}) = (void *)0x{CALL_NUMBER + index:x};"
        return f"{declared}\nFUNCTION({name}_body) {result} {name}_body({parameters})\n{{"

    def callback(found: re.Match[str]) -> str:
        index = number(Function(f"{found[1]}_body", "", 8, (8, 8)))
        return f"#define {found[1]} CALLBACK({index})\nFUNCTION({found[1]}_body) long {found[1]}_body({found[2]})\n{{"

    def program(found: re.Match[str]) -> str:
        number(Function(found[2], found[1], 4, (8,)))
        return f"FUNCTION({found[2]}) int {found[2]}("

    of_map = re.compile(rf"&({'|'.join(maps)})\b(?!->|\.|\[)")
    steps: list[tuple[re.Pattern[str], Callable[[re.Match[str]], str]]] = [
        (_GLOBAL, global_function),
        *([(_CALLBACK, callback)] if not old else []),
        (_PROGRAM, program),
        (of_map, lambda found: f"MAP_AT({maps.index(found[1])})"),
    ]
    for pattern, replacement in steps:
        text = pattern.sub(replacement, text)
    sizes = "".join(f"SIZE_OF({name})\n" for name in sorted(Source("", (), tuple(functions)).structs))
    return Source(text + sizes, maps, tuple(functions))


def _parameter(text: str, *, old: bool) -> int | str:
    text = text.strip()
    if text.startswith("task_ref "):
        return 8 if old else "task"
    pointer = _POINTER.search(text)
    if pointer is not None:
        return pointer[1]
    integer = _INTEGER.search(text)
    if integer is None:
        raise ValueError(f"parameter {text!r} of a GLOBAL function: neither an integer nor a pointer to a struct")
    return INTEGER_BYTES[integer[1]]


def _fields(body: str) -> list[tuple[str, str, str]]:
    """(type with its stars, name, brackets) of each field."""
    found = []
    for kind, declarators in _FIELD.findall(_COMMENT.sub("", body)):
        for each in declarators.split(","):
            parts = _DECLARATOR.fullmatch(each.strip())
            if parts is None:
                raise ValueError(f"field {each.strip()!r} of a kernel struct: not understood")
            found.append((f"{kind} {parts[1]}", parts[2], parts[3]))
    return found


def _laid_out(name: str, body: str, layout: Layout | None) -> str:
    """The struct with each field where the kernel has it: one way to the bytes for each, side by side in a union."""
    if layout is None:
        return f"struct {name} {{\n{body}}};"
    fields = _fields(body)
    align = min(layout.size & -layout.size, WORD_BYTES) or 1
    ways = "".join(
        f"\t\tstruct {{ char to_{field}[{layout.offsets[field]}]; {kind}{field}{brackets}; }} PACKED;\n"
        for kind, field, brackets in fields
    )
    checks = "".join(
        f'_Static_assert(OFFSET(struct {name}, {field}) == {layout.offsets[field]}, "as the kernel has it");\n'
        for _, field, _ in fields
    )
    return (
        f"struct {name} {{\n\tunion {{\n\t\tchar bytes_[{layout.size}];\n{ways}\t}};\n}} "
        f"__attribute__((aligned({align})));\n{checks}"
    )
