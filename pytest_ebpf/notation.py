"""System calls as text, the way strace writes them.

Nothing that comes from here can end a line or move a terminal's cursor.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytest_ebpf.events import Address, Descriptor, File, Socket
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
    bytes that are no UTF-8. As in C: ``\n``, and octal for each byte of UTF-8. So are the signs by which continuous
    integration takes a line of output for a command: ``::`` at the start of a word, and ``##``.

    >>> print(escape("a\x1b[31m\n\u202e\udcff"))
    a\33[31m\n\342\200\256\377
    """
    return text if text.isprintable() and not _COMMAND.search(text) else _escaped(text, "")


def quoted(text: str, limit: int | None = None) -> str:
    r"""The text in quotes, escaped so that it could be read back; ``...`` after the quotes where it was cut.

    >>> print(quoted('say "hi"'), quoted("abcdef", 3))
    "say \"hi\"" "abc"...
    """
    kept = text[:limit]
    plain = kept.isprintable() and not any(char in kept for char in _QUOTE) and not _COMMAND.search(kept)
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
    if isinstance(value, Descriptor):
        return f"{int(value)}{_file(value.file)}"
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
    if isinstance(ret, Descriptor):
        return argument(_ELEMENT, ret, arch)
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
        text = _UNKNOWN
        if arg.name in values:
            value = values[arg.name]
            text = argument(arg, value, arch)
            if arg.kind == "mode" and isinstance(value, int):
                mode = arg.convert(value)
                text = flag_names("mode", mode) if syscall.name in _WITH_FILE_TYPE else _permissions(mode)
        parts.append(_CLONE_LABELS.get(arg.name, "") + text if syscall.name == "clone" else text)
    head = f"{escape(syscall.name)}({', '.join(parts)}"
    if in_flight:
        return f"{head} <unfinished ...>"
    return f"{head}) = {result(syscall, ret, arch)}"


# Text


_QUOTE = '"\\'
_COMMAND = re.compile(r"(?<![^\s])::(?![0-9A-Fa-f]{0,4}(?:[:.%/\s]|$))|(?<=#)#")
"""What GitHub's runners look for at the start of a line (``::error::``, which no address begins like) and anywhere in
it (``##[error]``), as others do (``##vso[``, ``##teamcity[``)."""


def _escaped(text: str, special: str, as_octal: str = "") -> str:
    out = []
    forging = {found.start() for found in _COMMAND.finditer(text)}
    for position, char in enumerate(text):
        if char in special:
            out.append("\\" + char)
        elif char.isprintable() and char not in as_octal and position not in forging:
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
    return names if names.startswith("S_IF") else _permissions(value)


def _permissions(value: int) -> str:
    return f"0{value:o}" if value > 0o77 else f"{value:03o}"


def _id(value: int) -> str:
    return "-1" if value == 0xFFFFFFFF else str(value)


def _key(value: int) -> str:
    return hex(value & 0xFFFFFFFF) if value else "IPC_PRIVATE"


def _dev(value: int) -> str:
    major, minor = value >> 8 & 0xFFF, value & 0xFF | value >> 12 & 0xFFF00
    return f"makedev({_hex(major)}, {_hex(minor)})"


_WITH_FILE_TYPE = frozenset({"mknod", "mknodat"})
"""Calls whose mode is written with the name of the type; of the others' it would be ignored."""
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


# Descriptors


def _file(file: File) -> str:
    """What a descriptor stands for, as strace's -yy has it behind the number."""
    if file.socket is not None:
        return f"<{_socket(file.socket, file.inode)}>"
    if file.kind == "memfd":
        return f"<{_annotation(f'/memfd:{file.name}')}>(deleted)"
    if file.path is not None:
        return f"<{_annotation(file.path)}>" + "(deleted)" * file.deleted
    return f"<{_annotation(str(file))}>"


def _annotation(text: str) -> str:
    """Escaped like a string, and its end escaped too."""
    return _escaped(text, _QUOTE, "<>")


_INET = {"SOCK_STREAM": "TCP", "SOCK_DGRAM": "UDP", "SOCK_RAW": "RAW"}
_INET_BY_NUMBER = {
    ("SOCK_DGRAM", 1): "PING",
    ("SOCK_DGRAM", 58): "PING",
    ("SOCK_DGRAM", 136): "UDPLITE",
    ("SOCK_STREAM", 132): "SCTP",
    ("SOCK_STREAM", 262): "MPTCP",
}


def _socket(socket: Socket, inode: int) -> str:
    family = socket.family.removeprefix("AF_")
    if family == "UNIX":
        peer = f"->{socket.peer_inode}" if socket.peer_inode else ""
        path = f',"{_annotation(socket.local.path)}"' if socket.local is not None and socket.local.path else ""
        return f"UNIX-{escape(socket.type.removeprefix('SOCK_'))}:[{inode}{peer}{path}]"
    if family in ("INET", "INET6"):
        name = _INET_BY_NUMBER.get((socket.type, socket.protocol)) or _INET.get(socket.type, family)
        ends = [str(end) for end in (socket.local, socket.peer) if end is not None]
        bound = socket.peer is not None or (socket.local is not None and socket.local.port)
        return f"{name}{'v6' * (family == 'INET6')}:[{escape('->'.join(ends)) if bound else inode}]"
    return f"NETLINK:[{inode}]" if family == "NETLINK" else f"socket:[{inode}]"


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
    number = re.fullmatch("AF_([0-9]+)", address.family)
    members = [f"sa_family={hex(int(number[1])) if number else escape(address.family)}"]
    more = dict(address.members)
    if address.path is not None:
        at, path = ("@", address.path[1:]) if address.path[:1] == "@" else ("", address.path)
        members.append(f"sun_path={at}{quoted(path)}")
    elif address.family == "AF_VSOCK" and address.host is not None:
        members += _vsock(address.host, address.port or 0, more)
    elif address.family == "AF_NETLINK" and address.port is not None:
        members += _netlink(address.port, more)
    elif address.host is not None:
        members += _inet(address.host, address.port or 0, more)
    else:
        members += [f"{escape(name)}={_ADDRESS_MEMBERS.get(name, str)(more[name])}" for name in more]
    return "{" + ", ".join(members) + "}"


def _inet(host: str, port: int, more: Mapping[str, Any]) -> list[str]:
    if ":" not in host:
        return [f"sin_port=htons({port})", f'sin_addr=inet_addr("{escape(host)}")']
    host, _, scope = host.partition("%")
    scope_id = scope if re.fullmatch("[0-9]*", scope) else f"if_nametoindex({quoted(scope)})"
    return [
        f"sin6_port=htons({port})",
        f"sin6_flowinfo=htonl({more.get('sin6_flowinfo', 0)})",
        f'inet_pton(AF_INET6, "{escape(host)}", &sin6_addr)',
        f"sin6_scope_id={scope_id or 0}",
    ]


def _netlink(port: int, more: Mapping[str, Any]) -> list[str]:
    pad, groups = more.get("nl_pad"), more.get("nl_groups")
    return [
        *([f"nl_pad={pad:#x}"] if pad else []),
        f"nl_pid={port}",
        f"nl_groups={groups:#08x}" if groups else "nl_groups=00000000",
    ]


def _vsock(context: str, port: int, more: Mapping[str, Any]) -> list[str]:
    reserved = more.get("svm_reserved1")
    return [
        *([f"svm_reserved1={reserved:#x}"] if reserved else []),
        f"svm_cid={flag_names('vsock_cid', int(context))}",
        f"svm_port={flag_names('vsock_port', port)}",
        f"svm_flags={flag_names('vsock', int(more.get('svm_flags', 0)))}",
    ]


_ADDRESS_MEMBERS: Mapping[str, Callable[[Any], str]] = {
    "sa_data": lambda value: quoted(os.fsdecode(value)),
    "sll_addr": lambda value: "[" + ", ".join(hex(byte) for byte in value) + "]",
    "sll_hatype": lambda value: flag_names("arp_hardware", value),
    "sll_pkttype": lambda value: flag_names("packet_type", value),
    "sll_protocol": lambda value: f"htons({flag_names('ethernet', value)})",
}
"""How members are written that are no plain numbers."""
