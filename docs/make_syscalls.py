"""Writes docs/syscalls.md from the table of system calls: ``python docs/make_syscalls.py``."""

from __future__ import annotations

from pathlib import Path

from pytest_ebpf.syscalls import CLASSES, KINDS, RING, Argument, Syscall, table

PAGE = Path(__file__).with_name("syscalls.md")
ARCHITECTURES = ("x86_64", "aarch64")
HEAD = """# System calls

Made from the table in `pytest_ebpf/syscalls.py` by `python docs/make_syscalls.py`; don't edit it here.

Each line names a call as assertions take it, its arguments with the kernel's names, which are filters, and their kinds,
what it returns, its classes, and where it exists if not on both x86_64 and aarch64. A path that is relative to a
descriptor has it behind `@`; arguments with symbolic constants have the name of their table behind `|` (several or-ed
together) or `=` (one of them). Calls newer than this table appear as `syscall_0x1f4`, with `arg0` to `arg5`.
"""


def page() -> str:
    """The whole page."""
    tables = [table(arch) for arch in ARCHITECTURES]
    calls: dict[str, Syscall] = {}
    for each in reversed(tables):
        calls.update((call.name, call) for number, call in each.items() if number < RING)
    rings = [call for number, call in tables[0].items() if number >= RING]
    where = {name: [each.arch for each in tables if name in each.names] for name in calls}
    parts = [HEAD, "## Classes\n"]
    for name in sorted(CLASSES):
        members = sorted(call.name for call in (*calls.values(), *rings) if name in call.classes)
        parts.append(f"`%{name}` ({len(members)}): {', '.join(members)}.\n")
    parts.append("## Kinds of arguments\n")
    parts.extend(f"- `{kind}`: {meaning}" for kind, meaning in sorted(KINDS.items()))
    parts.append("\n## Calls\n\n| call | returns | classes | only on |\n| --- | --- | --- | --- |")
    for name in sorted(calls):
        only = "" if len(where[name]) == len(tables) else where[name][0]
        parts.append(_row(calls[name], only))
    parts.append("\n## Operations on an io_uring\n\n| operation | classes |\n| --- | --- |")
    parts.extend(f"| `{_head(call)}` | {_classes(call)} |" for call in rings)
    return "\n".join(parts) + "\n"


def _row(call: Syscall, only: str) -> str:
    returns = call.returns.replace("flags:", "").replace("|", "\\|")
    return f"| `{_head(call)}` | {returns} | {_classes(call)} | {only} |"


def _head(call: Syscall) -> str:
    return f"{call.name}({', '.join(_argument(arg) for arg in call.args)})".replace("|", "\\|")


def _argument(arg: Argument) -> str:
    if arg.kind == "flags":
        text = f"{arg.name}|{arg.constants}"
    elif arg.kind == "enum":
        text = f"{arg.name}={arg.constants}"
    else:
        text = f"{arg.name}: {arg.kind}"
    return f"{text}@{arg.base}" if arg.base else text


def _classes(call: Syscall) -> str:
    return " ".join(f"%{name}" for name in sorted(call.classes))


if __name__ == "__main__":
    PAGE.write_text(page())
