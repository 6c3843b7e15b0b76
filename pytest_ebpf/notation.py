"""System calls as text, the way strace writes them.

Nothing that comes from here can end a line or move a terminal's cursor.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Mapping, Sequence

from pytest_ebpf.events import Address
from pytest_ebpf.syscalls import Argument, Syscall, errno_name, flag_names

__all__ = ["argument", "call", "escape", "quoted", "result"]

_SHORT = {"\n": r"\n", "\t": r"\t", "\v": r"\v", "\f": r"\f", "\r": r"\r"}
_RESTART = {
    512: "To be restarted if SA_RESTART is set",
    513: "To be restarted",
    514: "To be restarted if no handler",
    516: "Interrupted by signal",
}
_UNKNOWN = "?"
_STRING_LIMIT = 4096


def escape(text: str) -> str:
    r"""The text with everything in escapes that isn't printable: safe to show anywhere.

    That is control characters, invisible and direction-changing ones, every separator but the space, and
    bytes that are no UTF-8. As in C: ``\n``, and octal for each byte of UTF-8.

    >>> print(escape("a\x1b[31m\n\u202e\udcff"))
    a\33[31m\n\342\200\256\377
    """
    return text if text.isprintable() else _escaped(text, "")


def quoted(text: str, limit: int | None = None) -> str:
    r"""The text in quotes, escaped so that it could be read back; ``...`` after the quotes where it was cut.

    >>> print(quoted('say "hi"'), quoted("abcdef", 3))
    "say \"hi\"" "abc"...
    """
    kept = text[:limit]
    plain = kept.isprintable() and not any(char in kept for char in _QUOTE)
    return f'"{kept if plain else _escaped(kept, _QUOTE)}"' + "..." * (len(kept) < len(text))


def argument(arg: Argument, value: object, arch: str | None = None) -> str:
    """One argument: a number by its kind, a str as path or string, an Address, a tuple as argv, None as NULL.

    A number for a pointer means that what it points to wasn't captured.

    >>> argument(Argument("dfd", "dirfd", "dirfd"), 0xFFFFFF9C)
    'AT_FDCWD'
    """
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return quoted(value, _STRING_LIMIT)
    if isinstance(value, bytes):
        return quoted(os.fsdecode(value), _STRING_LIMIT)
    if isinstance(value, Address):
        text = _address(value)
        return f"{{msg_name={text}, ...}}" if "msghdr" in arg.kind else text
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{escape(str(key))}={_member(key, value[key], arg, arch)}" for key in value) + "}"
    if isinstance(value, int):
        value = arg.convert(value)
        if arg.kind in _NAMED:
            return flag_names(arg.constants, value, arch)
        return _NUMBERS.get(arg.kind, _pointer)(value)
    if isinstance(value, Sequence):
        return "[" + ", ".join(argument(_ELEMENT, item, arch) for item in value) + "]"
    return escape(str(value))


def result(syscall: Syscall, ret: int | None, arch: str | None = None) -> str:
    """What a call returned: ``3``, ``-1 ENOENT (No such file or directory)``, ``?`` if it never did."""
    if ret is None:
        return "?"
    if error := errno_name(ret):
        if -ret >= 512 and -ret in _RESTART:
            return f"? {error} ({_RESTART[-ret]})"
        return f"-1 {error} ({os.strerror(-ret)})"
    kind, _, constants = syscall.returns.partition(":")
    if kind == "flags":
        return f"{ret:#x} (flags {flag_names(constants, ret, arch)})" if ret else "0"
    if kind == "pointer":
        return _hex(ret)
    return _NUMBERS[kind](ret) if kind in ("hex", "mode") else str(ret)


def call(
    syscall: Syscall,
    values: Mapping[str, object],
    ret: int | None,
    arch: str | None = None,
    in_flight: bool = False,
) -> str:
    """A call with its arguments and result; ``values`` has them by name, ``?`` stands for a missing one.

    >>> from pytest_ebpf.syscalls import table
    >>> call(table().by_name("close"), {"fd": 3}, -9)
    'close(3) = -1 EBADF (Bad file descriptor)'
    """
    arch = arch or platform.machine()
    syscall = syscall.applied(values, arch)
    parts = []
    for arg in _ordered(syscall):
        if arg.kind == "unused":
            continue
        text = argument(arg, values[arg.name], arch) if arg.name in values else _UNKNOWN
        parts.append(_CLONE_LABELS.get(arg.name, "") + text if syscall.name == "clone" else text)
    head = f"{escape(syscall.name)}({', '.join(parts)}"
    if in_flight:
        return f"{head} <unfinished ...>"
    return f"{head}) = {result(syscall, ret, arch)}"


# Text


_QUOTE = '"\\'


def _escaped(text: str, special: str) -> str:
    out = []
    for position, char in enumerate(text):
        if char in special:
            out.append("\\" + char)
        elif char.isprintable():
            out.append(char)
        elif char in _SHORT:
            out.append(_SHORT[char])
        else:
            following = text[position + 1 : position + 2]
            # Only the last byte can have a digit after it, which would become part of a short escape.
            *first, last = _bytes(char)
            out.extend(f"\\{byte:o}" for byte in first)
            out.append(f"\\{last:03o}" if following and following in "01234567" else f"\\{last:o}")
    return "".join(out)


def _bytes(char: str) -> bytes:
    """The bytes of a character; of a surrogate the byte that it stands for."""
    try:
        return char.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate that stands for none
        return char.encode("utf-8", "surrogatepass")


# Numbers


def _hex(value: int) -> str:
    return hex(value) if value else "0"


def _pointer(value: int) -> str:
    return hex(value) if value else "NULL"


def _mode(value: int) -> str:
    names = flag_names("mode", value)
    return names if names.startswith("S_IF") else f"0{value:o}" if value > 0o77 else f"{value:03o}"


def _id(value: int) -> str:
    return "-1" if value == 0xFFFFFFFF else str(value)


def _key(value: int) -> str:
    return hex(value & 0xFFFFFFFF) if value else "IPC_PRIVATE"


def _dev(value: int) -> str:
    major, minor = value >> 8 & 0xFFF, value & 0xFF | value >> 12 & 0xFFF00
    return f"makedev({_hex(major)}, {_hex(minor)})"


_NAMED = frozenset({"dirfd", "enum", "flags", "signal"})
_NUMBERS: Mapping[str, Callable[[int], str]] = {
    **dict.fromkeys(("fd", "int", "long", "offset", "pid", "size", "uint", "ulong"), str),
    "dev": _dev,
    "gid": _id,
    "hex": _hex,
    "key": _key,
    "mode": _mode,
    "uid": _id,
    "word": _hex,
}
"""How a number of each kind is written, where it has no names; every other kind is a pointer."""


# Structs


_ELEMENT = Argument("", "long")
_CLONE_LABELS = {
    "newsp": "child_stack=",
    "clone_flags": "flags=",
    "parent_tidptr": "parent_tid=",
    "tls": "tls=",
    "child_tidptr": "child_tidptr=",
}


def _ordered(syscall: Syscall) -> list[Argument]:
    """The arguments as strace orders them: clone's, which differ by architecture, have labels instead."""
    args = list(syscall.args)
    if syscall.name == "clone":
        labels = list(_CLONE_LABELS)
        args.sort(key=lambda arg: labels.index(arg.name) if arg.name in labels else -1)
    return args


def _member(name: object, value: object, arg: Argument, arch: str | None) -> str:
    """A member of a struct whose content was captured."""
    if name == "flags" and isinstance(value, int) and arg.constants:
        return flag_names(arg.constants, value, arch)
    kind = {"mode": Argument("", "mode", "mode"), "exit_signal": Argument("", "signal", "signal")}
    if name == "resolve":
        return argument(Argument("", "flags", "resolve"), value, arch)
    return argument(kind.get(str(name), _ELEMENT), value, arch)


def _address(address: Address) -> str:
    members = [f"sa_family={escape(address.family)}"]
    if address.path is not None:
        at, path = ("@", address.path[1:]) if address.path[:1] == "@" else ("", address.path)
        members.append(f"sun_path={at}{quoted(path)}")
    elif address.host is not None:
        members += _inet(address.host, address.port or 0)
    elif address.port is not None:
        members.append(f"{'nl_pid' if address.family == 'AF_NETLINK' else 'port'}={address.port}")
    return "{" + ", ".join(members) + "}"


def _inet(host: str, port: int) -> list[str]:
    if ":" not in host:
        return [f"sin_port=htons({port})", f'sin_addr=inet_addr("{escape(host)}")']
    host, _, scope = host.partition("%")
    scope_id = scope if re.fullmatch("[0-9]*", scope) else f"if_nametoindex({quoted(scope)})"
    return [
        f"sin6_port=htons({port})",
        "sin6_flowinfo=htonl(0)",
        f'inet_pton(AF_INET6, "{escape(host)}", &sin6_addr)',
        f"sin6_scope_id={scope_id or 0}",
    ]
