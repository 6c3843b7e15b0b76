"""The system calls of Linux: their arguments, their classes, and the names of their flags.

Everything is declared in the texts at the end of this file, in a notation made for reading and for grep:

    openat(dfd:dirfd filename:path@dfd flags|open mode?flags&O_CREAT|__O_TMPFILE) -> fd  %desc %file %open

``name:kind``     an argument of that kind (see `KINDS`); a name that is a kind needs none: ``fd``, ``path``
``name|table``    flags, from a table of constants
``name=table``    one of the constants of a table
``name*struct``   a pointer to a C type
``...@dfd``       a path relative to that argument, else to the working directory
``...[count]``    its length is in that argument, or behind it if that is a pointer
``...?flags&A|B`` there only if that argument has A or B
``-> kind``       what the call returns, ``int`` unless told
``%class``        strace's classes, and ``%open``

A line that begins with an architecture holds for that one. Calls that mean something else by an argument for
some value of another (``fcntl``, ``prctl``) have a line for each such value in ``_VARIANTS``.

Numbers of calls are the library's `system_calls`, names of arguments are the kernel's, as in
``/sys/kernel/tracing/events/syscalls``; constants are those of Linux 7.2's uapi headers.
"""

from __future__ import annotations

import errno as _errno
import functools
import platform
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from pytest_ebpf.errors import EbpfError, UnknownSyscall

__all__ = [
    "CLASSES",
    "KINDS",
    "RING",
    "Argument",
    "Syscall",
    "Table",
    "errno_name",
    "find_flags",
    "flag_names",
    "flags_value",
    "has_flags",
    "is_opaque",
    "ring_model",
    "table",
]

CLASSES = frozenset({"desc", "file", "ipc", "memory", "network", "open", "process", "signal"})
"""Names of the classes, without the ``%``: strace's, and ``open``."""

KINDS: Mapping[str, str] = {
    "argv": "pointer to the arguments of a program",
    "buffer": "pointer to data that the kernel reads",
    "buffer_out": "pointer to data that the kernel writes",
    "clone_args": "pointer to a struct clone_args; its constants are those of the member flags",
    "dev": "device number",
    "dirfd": "descriptor of a directory, or AT_FDCWD",
    "enum": "one of some constants",
    "envp": "pointer to the environment of a program",
    "fd": "file descriptor",
    "fds_out": "pointer to two file descriptors that the kernel writes",
    "flags": "constants that are or-ed together",
    "gid": "group id",
    "hex": "32 bits with no further meaning",
    "int": "signed 32-bit number",
    "iovec": "pointer to struct iovec: data that the kernel reads",
    "iovec_out": "pointer to struct iovec: data that the kernel writes",
    "key": "System V IPC key",
    "long": "signed 64-bit number",
    "mmsghdr": "pointer to struct mmsghdr: messages to send",
    "mmsghdr_out": "pointer to struct mmsghdr: messages received",
    "mode": "file type and permissions",
    "msghdr": "pointer to struct msghdr: a message to send",
    "msghdr_out": "pointer to struct msghdr: a message received",
    "offset": "signed 64-bit position in a file",
    "open_how": "pointer to a struct open_how; its constants are those of the member flags",
    "path": "pointer to a path that the kernel follows",
    "pid": "process, process group or thread",
    "pointer": "address, of the C type that `Argument.struct` names",
    "signal": "signal number",
    "size": "number of bytes",
    "sockaddr": "pointer to a socket address that the kernel reads",
    "sockaddr_out": "pointer to a socket address that the kernel writes",
    "string": "pointer to text that is no path to follow",
    "uid": "user id",
    "uint": "unsigned 32-bit number",
    "ulong": "unsigned 64-bit number",
    "unused": "the kernel ignores it",
    "word": "64 bits whose meaning depends on other arguments",
}
"""What an argument can be."""

_SIGNED_32 = frozenset({"dirfd", "fd", "int", "key", "pid", "signal"})
_UNSIGNED_32 = frozenset({"dev", "gid", "hex", "uid", "uint"})
_SIGNED_64 = frozenset({"long", "offset"})
_OWN_CONSTANTS = {
    "clone_args": "clone3",
    "dirfd": "dirfd",
    "mode": "mode",
    "open_how": "open_how",
    "signal": "signal",
}
RING = 1 << 16
"""Added to the opcode of an operation on an io_uring, to make a number of it beside those of the calls."""
_AIO = 128
"""Added to the opcode of kernel aio, likewise."""
_LIBRARY_NAME = {"x86_64": "x86_64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a system call."""

    name: str
    """The kernel's."""
    kind: str
    """A key of `KINDS`."""
    constants: str = ""
    """Of flags, an enumeration, a mode, a signal …: name of the table of constants."""
    base: str = ""
    """Of a path: name of the argument with the directory that it is relative to; "" for the cwd."""
    length: str = ""
    """Name of the argument with the length in bytes or elements, or with a pointer to it."""
    when: str = ""
    """The argument is there, or is this, only if: ``flags&O_CREAT|__O_TMPFILE`` if flags has any of these."""
    struct: str = ""
    """Of a pointer: the C type that it points to."""

    @property
    def bits(self) -> int:
        """Width of the C type."""
        if self.kind == "mode":
            return 16
        if self.kind in _SIGNED_32 or self.kind in _UNSIGNED_32:
            return 32
        return _constants(self.constants).bits if self.kind in ("enum", "flags") else 64

    @property
    def signed(self) -> bool:
        """The C type is signed."""
        if self.kind == "enum":
            return _constants(self.constants).signed
        return self.kind in _SIGNED_32 or self.kind in _SIGNED_64

    def convert(self, register: int) -> int:
        """The value of the argument's C type that the register's 64 bits hold.

        >>> Argument("dfd", "dirfd").convert(0xFFFFFF9C)
        -100
        """
        bits = self.bits
        value = register & ((1 << bits) - 1)
        return value - (1 << bits) if self.signed and value >> (bits - 1) else value


@dataclass(frozen=True, slots=True)
class Syscall:
    """One system call of one architecture."""

    name: str
    """As in strace's output and the kernel's list of numbers."""
    args: tuple[Argument, ...]
    classes: frozenset[str] = frozenset()
    """Of `CLASSES`."""
    returns: str = "int"
    """``int`` or another kind; ``flags:`` and a table of constants; ``none`` for a call without return."""
    siblings: frozenset[str] = frozenset()
    """Other calls of this architecture for the same purpose."""

    def argument(self, name: str) -> Argument | None:
        """The argument of that name."""
        return next((arg for arg in self.args if arg.name == name), None)

    def applied(self, values: Mapping[str, object], arch: str | None = None) -> Syscall:
        """The call as it is meant with these values: no absent arguments, the others with their real kind.

        >>> [arg.name for arg in table("x86_64").by_name("open").applied({"flags": 0}).args]
        ['filename', 'flags']
        >>> table("x86_64").by_name("fcntl").applied({"cmd": 4}).args[2].constants
        'open'
        """
        returns = self.returns
        changes: dict[str, Argument | None] = {}
        for arg in self.args:
            if arg.when and _holds(arg.when, self, values, arch) is False:
                changes[arg.name] = None
        for variant in _variants().get(self.name, ()):
            if _holds(variant.when, self, values, arch):
                changes.update((name, None) for name in variant.absent)
                changes.update((arg.name, arg) for arg in variant.args)
                returns = variant.returns or returns
        if not changes and returns == self.returns:
            return self
        args = (changes.get(arg.name, arg) for arg in self.args)
        return replace(self, args=tuple(arg for arg in args if arg is not None), returns=returns)

    def shapes(self, name: str) -> tuple[Argument, ...]:
        """What the argument of that name can be: as declared, then as some values of others make it."""
        mine = tuple(arg for arg in self.args if arg.name == name)
        return mine + tuple(
            arg for variant in _variants().get(self.name, ()) for arg in variant.args if arg.name == name
        )


class Table:
    """The system calls of one architecture; see `table`.

    Iterates over the numbers, as a mapping does.
    """

    def __init__(self, arch: str) -> None:
        import system_calls  # here and not above: only a session that records needs the numbers

        self.arch = arch
        calls: dict[str, int] = system_calls.syscalls().load_arch_table(_LIBRARY_NAME[arch])
        self._numbers = calls | {name: RING | ring.opcode for name, ring in _rings().items()}
        self._by_number = {number: name for name, number in self._numbers.items()}
        self._parsed: dict[str, Syscall] = {}
        self.names = frozenset(self._numbers)
        """The names of all calls."""

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._by_number))

    def __len__(self) -> int:
        return len(self._by_number)

    def __contains__(self, number: object) -> bool:
        return number in self._by_number

    def items(self) -> Iterator[tuple[int, Syscall]]:
        """Every number with its call."""
        return ((number, self.by_number(number)) for number in self)

    def by_number(self, nr: int) -> Syscall:
        """The call with that number; for an unknown one ``syscall_0x1f4`` with ``arg0`` to ``arg5``."""
        name = self._by_number.get(nr)
        if name is None:
            return _unknown_operation(nr - RING) if nr >= RING else _unknown_call(f"syscall_{nr:#x}")
        return self.by_name(name)

    def by_name(self, name: str) -> Syscall:
        """The call of that exact name; KeyError if this architecture has none."""
        call = self._parsed.get(name)
        if call is None:
            if name not in self.names:
                raise KeyError(name)
            call = self._parsed[name] = self._parse(name)
        return call

    def number(self, name: str) -> int | None:
        """The number of the call, None if this architecture has none."""
        number = self._numbers.get(name)
        if number is None and (match := re.fullmatch(_UNKNOWN_NAME, name)):
            number = int(match[1], 16)
            return None if number in self._by_number else number
        return number

    def resolve(self, *patterns: str) -> frozenset[str]:
        """The names that any of the patterns matches: exact names, globs (``*?[``), classes (``%file``).

        All names for no pattern. A call that only another architecture has is legal and adds nothing.
        Raises UnknownSyscall for a pattern that no architecture knows, TypeError for one that is no string.

        >>> sorted(table("aarch64").resolve("open", "rename*"))
        ['renameat', 'renameat2']
        """
        if not patterns:
            return self.names
        found: set[str] = set()
        for pattern in patterns:
            if not isinstance(pattern, str):
                raise TypeError(f"system call {pattern!r}: a name must be a str, not {type(pattern).__name__}")
            if pattern in self.names:
                found.add(pattern)
            elif pattern.startswith("%"):
                found |= self._members(pattern)
            elif any(char in pattern for char in "*?["):
                found |= self._matches(pattern)
            elif re.fullmatch(_UNKNOWN_NAME, pattern) and self.number(pattern) is not None:
                found.add(pattern)
            elif pattern not in _known():
                raise UnknownSyscall(_unknown_name(pattern, self.names))
        return frozenset(found)

    def _members(self, pattern: str) -> frozenset[str]:
        if pattern[1:] not in CLASSES:
            near = _nearest(pattern[1:], CLASSES)
            hint = f"did you mean %{near[0]}? " if near else ""
            valid = " ".join(f"%{name}" for name in sorted(CLASSES))
            raise UnknownSyscall(f"system call {pattern!r}: no such class ({hint}the classes are {valid})")
        return _members()[pattern[1:]] & self.names

    def _matches(self, pattern: str) -> frozenset[str]:
        from fnmatch import fnmatchcase

        known = {name for name in self.names | _known() if fnmatchcase(name, pattern)}
        if not known:
            hint = _hint(_nearest(pattern.strip("*?[]"), self.names))
            raise UnknownSyscall(f"system call {pattern!r}: matches no name{hint}")
        return self.names & known

    def _parse(self, name: str) -> Syscall:
        if name in _rings():
            return self._parse_ring(name)
        heads = _heads()
        head = heads.get(f"{self.arch} {name}") or heads.get(name)
        if head is None:  # the library is newer than the table below
            return _unknown_call(name)
        return Syscall(
            name,
            tuple(_argument(text) for text in head.args.split()),
            head.classes,
            head.returns,
            (_siblings().get(name, frozenset()) - {name}) & self.names,
        )

    def _parse_ring(self, name: str) -> Syscall:
        ring = _rings()[name]
        if not ring.like:
            return Syscall(name, ())
        like = self.by_name(ring.like)
        siblings = (_siblings()[name] - {name}) & self.names
        return Syscall(name, like.args[: ring.kept], like.classes, siblings=siblings)


@functools.cache
def _table(arch: str) -> Table:
    if arch not in _LIBRARY_NAME:
        known = ", ".join(sorted(_LIBRARY_NAME))
        raise EbpfError(f"system call table: no architecture {arch!r} (pytest-ebpf knows {known})")
    return Table(arch)


def table(arch: str | None = None) -> Table:
    """The table of an architecture, ``x86_64`` or ``aarch64``; this machine's unless told.

    Raises EbpfError for any other architecture.

    >>> table("x86_64").by_number(257).name
    'openat'
    """
    return _table(_arch(arch))


def flags_value(constants: str, text: str, arch: str | None = None) -> int:
    """The number for names joined by ``|``; numbers may be among them, octal with a leading 0.

    Raises ValueError for a name that the table doesn't have.

    >>> flags_value("open", "O_WRONLY|O_CREAT")
    65
    """
    names = _constants(constants, _arch(arch))
    value = 0
    for word in _words(text):
        value |= names.lookup(word)[0]
    return value


def has_flags(constants: str, value: int, wanted: str, arch: str | None = None) -> bool:
    """Whether ``value`` has all the flags of the text ``wanted``, or is that constant of an enumeration.

    Where bits form a field, as the access mode does, the field must be equal: ``O_RDWR`` has no ``O_RDONLY``.
    ``O_TMPFILE`` has no ``O_DIRECTORY``, though that bit is in it. ``O_SYNC`` has ``O_DSYNC``, whose promise
    it includes; not the other way round. A name for 0 is there if nothing else is.

    >>> has_flags("open", 0o2000002, "O_RDONLY"), has_flags("open", 0o2000002, "O_RDWR|O_CLOEXEC")
    (False, True)
    """
    names = _constants(constants, _arch(arch))
    value &= names.all_bits
    for word in _words(wanted):
        bits, mask = names.lookup(word)
        if value & mask != bits & names.all_bits:
            return False
    return True


def flag_names(constants: str, value: int, arch: str | None = None) -> str:
    """The names of a value joined by ``|``, what has no name in hex, as strace does.

    >>> flag_names("open", 0o2000000)
    'O_RDONLY|O_CLOEXEC'
    """
    return _constants(constants, _arch(arch)).text(value)


def find_flags(text: str, call: Syscall, arch: str | None = None) -> tuple[Argument, int]:
    """Which argument of a call the flags of ``text`` are for, and their value there.

    Looks at the arguments as declared, then at what they become for some values of others; `Argument.when` says
    for which (``cmd=F_SETFL``).
    Raises ValueError if no argument has all of these flags.

    >>> find_flags("PROT_READ|PROT_EXEC", table("x86_64").by_name("mmap"))[0].name
    'prot'
    """
    arch = _arch(arch)
    words = [word for word in _words(text) if not _is_number(word)]
    args = [shape for arg in call.args for shape in call.shapes(arg.name) if shape.constants]
    args.sort(key=lambda arg: (arg not in call.args, arg.kind not in ("flags", "open_how", "clone_args")))
    for arg in args:
        if all(word in _constants(arg.constants, arch).values for word in words):
            return arg, flags_value(arg.constants, text, arch)
    if not args:
        raise ValueError(f"flags {text!r}: {call.name} has no flags")
    known = {name for arg in args for name in _constants(arg.constants, arch).values}
    bad = next((word for word in words if word not in known), "")
    if not bad:
        raise ValueError(f"flags {text!r}: no one argument of {call.name} has all of these")
    raise ValueError(f"flags {text!r}: {call.name} has no {bad}{_hint(_nearest(bad, known))}")


def errno_name(ret: int) -> str | None:
    """The name of the error in a call's result, None for a result that is none.

    Covers the kernel's own numbers too, as of a call that a signal interrupted. A number without a name is
    ``ERRNO_999``.

    >>> errno_name(-2), errno_name(-512), errno_name(3)
    ('ENOENT', 'ERESTARTSYS', None)
    """
    if not -4095 <= ret <= -1:
        return None
    return _KERNEL_ERRNO.get(-ret) or _errno.errorcode.get(-ret) or f"ERRNO_{-ret}"


_KERNEL_ERRNO = {
    35: "EDEADLK",  # Python knows these two by their second name
    95: "EOPNOTSUPP",
    512: "ERESTARTSYS",
    513: "ERESTARTNOINTR",
    514: "ERESTARTNOHAND",
    515: "ENOIOCTLCMD",
    516: "ERESTART_RESTARTBLOCK",
    517: "EPROBE_DEFER",
    518: "EOPENSTALE",
    519: "ENOPARAM",
    521: "EBADHANDLE",
    522: "ENOTSYNC",
    523: "EBADCOOKIE",
    524: "ENOTSUPP",
    525: "ETOOSMALL",
    526: "ESERVERFAULT",
    527: "EBADTYPE",
    528: "EJUKEBOX",
    529: "EIOCBQUEUED",
    530: "ERECALLCONFLICT",
}


def _arch(arch: str | None) -> str:
    return arch or platform.machine()


# Reading the texts below. All of it is lazy: an import parses nothing.


class _Head(NamedTuple):
    """A line of the table of calls, its arguments still as text."""

    args: str
    returns: str
    classes: frozenset[str]


class _Ring(NamedTuple):
    """A line of the table of ring operations."""

    opcode: int
    like: str
    kept: int
    opaque: bool


class _Variant(NamedTuple):
    """A line of the table of variants."""

    when: str
    args: tuple[Argument, ...]
    absent: tuple[str, ...]
    returns: str


_CALL = r"((?:\w+ )?\w+)\((.*?)\)(?: +-> (\w+))?((?: +%\w+)*)"
_VARIANT = r"(\w+) (\w+[=&]\S+): *(.*?)(?: *-> (\S+))?"
_ARGUMENT = r"(\w+)(?:([:|=*])(\w+))?(?:@(\w+))?(?:\[(\w+)\])?(?:\?(\S+))?"
_UNKNOWN_NAME = r"syscall_0x([0-9a-f]{1,8})"


def _lines(text: str) -> Iterator[str]:
    """The lines of a table without comments, continuation lines joined to theirs."""
    for line in re.sub(r"\n +", " ", text).splitlines():
        if line and not line.startswith("#"):
            yield line


@functools.cache
def _heads() -> dict[str, _Head]:
    """Every line of the table of calls, by name; by "arch name" where the line is for one architecture."""
    heads = {}
    for line in _lines(_CALLS):
        match = re.fullmatch(_CALL, line)
        assert match, line
        name, args, returns, classes = match.groups()
        heads[name] = _Head(args, returns or "int", frozenset(classes.replace("%", "").split()))
    return heads


@functools.cache
def _rings() -> dict[str, _Ring]:
    """Every operation of an io_uring, by name."""
    rings = {}
    for line in _lines(_RINGS):
        opcode, name, *rest = line.split()
        like, kept = (rest[0], int(rest[1])) if len(rest) == 2 else ("", 0)
        full = name if name.startswith("IOCB_") else f"IORING_OP_{name}"
        rings[full] = _Ring(int(opcode), like, kept, rest == ["!"])
    return rings


def is_opaque(name: str) -> bool:
    """Whether a name is that of a ring operation of which the kernel doesn't show what it does."""
    ring = _rings().get(name)
    return ring.opaque if ring is not None else name.startswith(("IORING_OP_", "IOCB_CMD_"))


def ring_model(name: str) -> str:
    """The call that a ring operation is like; "" for any other name, and for an operation that is like none.

    >>> ring_model("IORING_OP_OPENAT")
    'openat'
    """
    ring = _rings().get(name)
    return ring.like if ring is not None else ""


@functools.cache
def _known() -> frozenset[str]:
    """The names of the calls of every architecture."""
    return frozenset(name.split()[-1] for name in _heads()) | _rings().keys()


@functools.cache
def _members() -> dict[str, frozenset[str]]:
    members: dict[str, set[str]] = {name: set() for name in CLASSES}
    for name, head in _heads().items():
        for class_ in head.classes:
            members[class_].add(name.split()[-1])
    for name, ring in _rings().items():
        for class_ in _heads()[ring.like].classes if ring.like else ():
            members[class_].add(name)
    return {class_: frozenset(names) for class_, names in members.items()}


@functools.cache
def _siblings() -> dict[str, frozenset[str]]:
    groups = [set(line.split()) for line in _lines(_SIBLINGS)]
    for name, ring in _rings().items():
        if ring.like:
            group = next((each for each in groups if ring.like in each), None)
            if group is None:
                groups.append(group := {ring.like})
            group.add(name)
    return {name: frozenset(group) for group in groups for name in group}


@functools.cache
def _variants() -> dict[str, tuple[_Variant, ...]]:
    variants: dict[str, tuple[_Variant, ...]] = {}
    for line in _lines(_VARIANTS):
        match = re.fullmatch(_VARIANT, line)
        assert match, line
        name, when, words, returns = match.groups()
        args = tuple(replace(_argument(word), when=when) for word in words.split() if word[0] != "!")
        absent = tuple(word[1:] for word in words.split() if word[0] == "!")
        returns = "flags:" + returns[1:] if returns and returns[0] == "|" else returns or ""
        variants[name] = (*variants.get(name, ()), _Variant(when, args, absent, returns))
    return variants


@functools.cache
def _argument(text: str) -> Argument:
    match = re.fullmatch(_ARGUMENT, text)
    assert match, text
    name, sigil, word, base, length, when = match.groups(default="")
    kind, constants, struct = {
        "": (name, "", ""),
        ":": (word, "", ""),
        "|": ("flags", word, ""),
        "=": ("enum", word, ""),
        "*": ("pointer", "", word),
    }[sigil]
    assert kind in KINDS, text
    return Argument(name, kind, constants or _OWN_CONSTANTS.get(kind, ""), base, length, when, struct)


def _unknown_operation(opcode: int) -> Syscall:
    name = f"IORING_OP_{opcode}" if opcode < _AIO else f"IOCB_CMD_{opcode - _AIO}"
    return Syscall(name, ())


@functools.cache
def _unknown_call(name: str) -> Syscall:
    return Syscall(name, tuple(Argument(f"arg{position}", "word") for position in range(6)))


def _holds(when: str, call: Syscall, values: Mapping[str, object], arch: str | None) -> bool | None:
    """Whether a condition like ``flags&O_CREAT|__O_TMPFILE`` holds; None where the value isn't known."""
    name, wanted = re.split("[=&]", when, maxsplit=1)
    arg, value = call.argument(name), values.get(name)
    if arg is None or not isinstance(value, int):
        return None
    names = _constants(arg.constants, _arch(arch)).values
    return any(has_flags(arg.constants, value, word, arch) for word in wanted.split("|") if word in names)


def _words(text: str) -> list[str]:
    words = [word.strip() for word in text.split("|")]
    if "" in words:
        raise ValueError(f"flags {text!r}: not names joined by |")
    return words


def _is_number(word: str) -> bool:
    return word.lstrip("-")[:1].isdecimal()


class _Constants:
    """One table of constants, for one architecture."""

    def __init__(self, name: str, options: list[str], values: dict[str, tuple[int, int]]) -> None:
        self.name = name
        self.is_enum = options[0] == "enum"
        self.bits = 64 if "u64" in options else 32
        self.signed = self.is_enum and "u32" not in options
        self.decimal = "decimal" in options
        self.permissions = "permissions" in options
        self.values = values
        """Value and mask by name, in the order of strace's output."""
        self.all_bits = (1 << self.bits) - 1

    def lookup(self, word: str) -> tuple[int, int]:
        """Value and mask of a name or number: the name is there if the masked bits are equal to the value."""
        if word in self.values:
            value, mask = self.values[word]
            return value, self.all_bits if self.is_enum else mask & self.all_bits
        if _is_number(word):
            value = int(word, 8) if re.fullmatch("0[0-7]+", word) else int(word, 0)
            return value, self.all_bits if self.is_enum or not value else value & self.all_bits
        hint = _hint(_nearest(word, self.values))
        raise ValueError(f"flags {word!r}: no such name among those of {self.name!r}{hint}")

    def text(self, value: int) -> str:
        if self.is_enum:
            return self._enum_text(value)
        value &= self.all_bits
        if value == self.all_bits:  # no flags, but -1
            return hex(value)
        names, left = [], self.all_bits
        for name, (bits, mask) in self.values.items():
            unnamed = mask == -1 or (self.permissions and bits <= 0o777)
            if not unnamed and mask & left == mask and value & mask == bits:
                names.append(name)
                left &= ~mask
        if self.permissions:
            left &= ~0o777
        if value & left:
            names.append(hex(value & left))
        if self.permissions:
            names.append(_octal(value & 0o777))
        if not names:
            return next((name for name, (_, mask) in self.values.items() if mask == -1), "0")
        return "|".join(names)

    def _enum_text(self, value: int) -> str:
        for name, (number, _) in self.values.items():
            if (number ^ value) & self.all_bits == 0:
                return name
        value &= self.all_bits
        if self.signed and value >> (self.bits - 1):
            return str(value - (1 << self.bits))
        return str(value) if self.decimal or not value else hex(value)


@functools.cache
def _sections() -> dict[str, tuple[list[str], str]]:
    """Options and entries of every table of constants, still as text."""
    found = re.findall(r"^\[(\S+)(.*)\]\n((?:[^\[\n].*\n)*)", _CONSTANTS, re.MULTILINE)
    return {name: (options.split(), entries) for name, options, entries in found}


@functools.cache
def _constants(name: str, arch: str = "x86_64") -> _Constants:
    try:
        options, entries = _sections()[name]
    except KeyError:
        raise KeyError(f"constants: no table {name!r}") from None
    values: dict[str, tuple[int, int]] = {}
    for parent in (option[1:] for option in options if option[0] == "+"):
        values |= _constants(parent, arch).values
    for entry in (entries + _sections().get(f"{name}@{arch}", ([], ""))[1]).split():
        constant, number = entry.split("=")
        number, _, mask = number.partition("/")
        value = int(number, 0)
        values[constant] = (value, int(mask, 0) if mask else value or -1)
    return _Constants(name, options, values)


def _octal(value: int) -> str:
    """As C's ``%#03o``: 0644, 000."""
    return f"{value:03o}" if value < 0o100 else f"0{value:o}"


def _unknown_name(name: str, names: frozenset[str]) -> str:
    near = [call for call in _wrappers().get(name, ()) if call in names] or _nearest(name, names)
    return f"system call {name!r}: no such name{_hint(near)}"


@functools.cache
def _wrappers() -> dict[str, tuple[str, ...]]:
    pairs = (line.split(": ") for line in _lines(_WRAPPERS))
    return {wrapper: tuple(calls.split()) for wrappers, calls in pairs for wrapper in wrappers.split()}


def _nearest(word: str, known: Iterable[str]) -> list[str]:
    from difflib import get_close_matches

    return get_close_matches(word, sorted(known), n=3, cutoff=0.6)


def _hint(names: list[str]) -> str:
    return f" (did you mean {' or '.join(names)}?)" if names else ""


# The texts.

_CALLS = """\
# Opening and creating
open(filename:path flags|open mode?flags&O_CREAT|__O_TMPFILE) -> fd  %file %desc %open
openat(dfd:dirfd filename:path@dfd flags|open mode?flags&O_CREAT|__O_TMPFILE) -> fd  %file %desc %open
openat2(dfd:dirfd filename:path@dfd how:open_how[usize] usize:size) -> fd  %file %desc %open
creat(pathname:path mode) -> fd  %file %desc %open
open_by_handle_at(mountdirfd:dirfd handle*file_handle flags|open) -> fd  %desc %open
name_to_handle_at(dfd:dirfd name:path@dfd handle*file_handle mnt_id*void flag|at_handle)  %file %desc
open_tree(dfd:dirfd filename:path@dfd flags|open_tree) -> fd  %file %desc
open_tree_attr(dfd:dirfd filename:path@dfd flags|open_tree uattr*mount_attr[usize] usize:size) -> fd
     %file %desc
memfd_create(uname:string flags|memfd) -> fd  %desc
memfd_secret(flags|memfd_secret) -> fd  %desc
close(fd)  %desc
close_range(fd:uint max_fd:uint flags|close_range)
dup(fildes:fd) -> fd  %desc
dup2(oldfd:fd newfd:fd) -> fd  %desc
dup3(oldfd:fd newfd:fd flags|dup3) -> fd  %desc
pipe(fildes:fds_out)  %desc
pipe2(fildes:fds_out flags|pipe)  %desc

# Reading and writing
read(fd buf:buffer_out[count] count:size) -> size  %desc
write(fd buf:buffer[count] count:size) -> size  %desc
pread64(fd buf:buffer_out[count] count:size pos:offset) -> size  %desc
pwrite64(fd buf:buffer[count] count:size pos:offset) -> size  %desc
readv(fd vec:iovec_out[vlen] vlen:ulong) -> size  %desc
writev(fd vec:iovec[vlen] vlen:ulong) -> size  %desc
preadv(fd vec:iovec_out[vlen] vlen:ulong pos_l:offset pos_h:unused) -> size  %desc
pwritev(fd vec:iovec[vlen] vlen:ulong pos_l:offset pos_h:unused) -> size  %desc
preadv2(fd vec:iovec_out[vlen] vlen:ulong pos_l:offset pos_h:unused flags|rwf) -> size  %desc
pwritev2(fd vec:iovec[vlen] vlen:ulong pos_l:offset pos_h:unused flags|rwf) -> size  %desc
lseek(fd offset whence=seek) -> offset  %desc
sendfile(out_fd:fd in_fd:fd offset*loff_t count:size) -> size  %desc %network
copy_file_range(fd_in:fd off_in*loff_t fd_out:fd off_out*loff_t len:size flags|none) -> size  %desc
splice(fd_in:fd off_in*loff_t fd_out:fd off_out*loff_t len:size flags|splice) -> size  %desc
tee(fdin:fd fdout:fd len:size flags|splice) -> size  %desc
vmsplice(fd uiov:iovec[nr_segs] nr_segs:ulong flags|splice) -> size  %desc
readahead(fd offset count:size)  %desc
fadvise64(fd offset len:size advice=fadvise)  %desc
fallocate(fd mode|fallocate offset len:offset)  %desc
truncate(path length:offset)  %file
ftruncate(fd length:offset)  %desc
fsync(fd)  %desc
fdatasync(fd)  %desc
sync()
syncfs(fd)  %desc
sync_file_range(fd offset nbytes:offset flags|sync_file_range)  %desc
cachestat(fd cstat_range*cachestat_range cstat*cachestat flags|none)  %desc
flock(fd cmd|flock)  %desc
fcntl(fd cmd=fcntl arg:word)  %desc
ioctl(fd cmd=ioctl arg:word)  %desc
getdents(fd dirent:buffer_out[count] count:uint) -> size  %desc
getdents64(fd dirent:buffer_out[count] count:uint) -> size  %desc

# Names and directories
access(filename:path mode|access)  %file
faccessat(dfd:dirfd filename:path@dfd mode|access)  %file %desc
faccessat2(dfd:dirfd filename:path@dfd mode|access flags|at_access)  %file %desc
chdir(filename:path)  %file
fchdir(fd)  %desc
chroot(filename:path)  %file
pivot_root(new_root:path put_old:path)  %file
getcwd(buf:buffer_out[size] size) -> size  %file
mkdir(pathname:path mode)  %file
mkdirat(dfd:dirfd pathname:path@dfd mode)  %file %desc
rmdir(pathname:path)  %file
mknod(filename:path mode dev?mode&S_IFCHR|S_IFBLK)  %file
mknodat(dfd:dirfd filename:path@dfd mode dev?mode&S_IFCHR|S_IFBLK)  %file %desc
rename(oldname:path newname:path)  %file
renameat(olddfd:dirfd oldname:path@olddfd newdfd:dirfd newname:path@newdfd)  %file %desc
renameat2(olddfd:dirfd oldname:path@olddfd newdfd:dirfd newname:path@newdfd flags|rename)  %file %desc
link(oldname:path newname:path)  %file
linkat(olddfd:dirfd oldname:path@olddfd newdfd:dirfd newname:path@newdfd flags|at_link)  %file %desc
symlink(oldname:string newname:path)  %file
symlinkat(oldname:string newdfd:dirfd newname:path@newdfd)  %file %desc
unlink(pathname:path)  %file
unlinkat(dfd:dirfd pathname:path@dfd flag|at_unlink)  %file %desc
readlink(path buf:buffer_out[bufsiz] bufsiz:int) -> size  %file
readlinkat(dfd:dirfd pathname:path@dfd buf:buffer_out[bufsiz] bufsiz:int) -> size  %file %desc

# Attributes of files
stat(filename:path statbuf*stat)  %file
lstat(filename:path statbuf*stat)  %file
fstat(fd statbuf*stat)  %desc
newfstatat(dfd:dirfd filename:path@dfd statbuf*stat flag|at_stat)  %file %desc
statx(dfd:dirfd filename:path@dfd flags|at_statx mask|statx buffer*statx)  %file %desc
statfs(pathname:path buf*statfs)  %file
fstatfs(fd buf*statfs)  %desc
ustat(dev ubuf*ustat)
chmod(filename:path mode)  %file
fchmod(fd mode)  %desc
fchmodat(dfd:dirfd filename:path@dfd mode)  %file %desc
fchmodat2(dfd:dirfd filename:path@dfd mode flags|at_chmod)  %file %desc
chown(filename:path user:uid group:gid)  %file
lchown(filename:path user:uid group:gid)  %file
fchown(fd user:uid group:gid)  %desc
fchownat(dfd:dirfd filename:path@dfd user:uid group:gid flag|at_chown)  %file %desc
umask(mask:mode) -> mode
utime(filename:path times*utimbuf)  %file
utimes(filename:path utimes*timeval)  %file
futimesat(dfd:dirfd filename:path@dfd utimes*timeval)  %file %desc
utimensat(dfd:dirfd filename:path@dfd utimes*timespec flags|at_utime)  %file %desc
file_getattr(dfd:dirfd filename:path@dfd ufattr*file_attr[usize] usize:size at_flags|at_attr)  %file %desc
file_setattr(dfd:dirfd filename:path@dfd ufattr*file_attr[usize] usize:size at_flags|at_attr)  %file %desc
setxattr(pathname:path name:string value:buffer[size] size flags|xattr)  %file
lsetxattr(pathname:path name:string value:buffer[size] size flags|xattr)  %file
fsetxattr(fd name:string value:buffer[size] size flags|xattr)  %desc
setxattrat(dfd:dirfd pathname:path@dfd at_flags|at_attr name:string uargs*xattr_args[usize] usize:size)
     %file %desc
getxattr(pathname:path name:string value:buffer_out[size] size) -> size  %file
lgetxattr(pathname:path name:string value:buffer_out[size] size) -> size  %file
fgetxattr(fd name:string value:buffer_out[size] size) -> size  %desc
getxattrat(dfd:dirfd pathname:path@dfd at_flags|at_attr name:string uargs*xattr_args[usize] usize:size)
    -> size
     %file %desc
listxattr(pathname:path list:buffer_out[size] size) -> size  %file
llistxattr(pathname:path list:buffer_out[size] size) -> size  %file
flistxattr(fd list:buffer_out[size] size) -> size  %desc
listxattrat(dfd:dirfd pathname:path@dfd at_flags|at_attr list:buffer_out[size] size) -> size  %file %desc
removexattr(pathname:path name:string)  %file
lremovexattr(pathname:path name:string)  %file
fremovexattr(fd name:string)  %desc
removexattrat(dfd:dirfd pathname:path@dfd at_flags|at_attr name:string)  %file %desc

# File systems and mounts
mount(dev_name:string dir_name:path type:string flags|mount data:string)  %file
umount2(name:path flags|umount)  %file
fsopen(_fs_name:string flags|fsopen) -> fd  %desc
fsconfig(fd cmd=fsconfig _key:string _value:word aux:int)  %file %desc
fsmount(fs_fd:fd flags|fsmount attr_flags|mount_attr) -> fd  %desc
fspick(dfd:dirfd path@dfd flags|fspick) -> fd  %file %desc
move_mount(from_dfd:dirfd from_pathname:path@from_dfd to_dfd:dirfd to_pathname:path@to_dfd flags|move_mount)
     %file %desc
mount_setattr(dfd:dirfd path@dfd flags|mount_setattr uattr*mount_attr[usize] usize:size)  %file %desc
statmount(req*mnt_id_req buf*statmount[bufsize] bufsize:size flags|statmount)
listmount(req*mnt_id_req mnt_ids*u64[nr_mnt_ids] nr_mnt_ids:size flags|listmount) -> size
listns(req*ns_id_req ns_ids*u64[nr_ns_ids] nr_ns_ids:size flags|none) -> size
quotactl(cmd|quotactl special:path id:uint addr:pointer)  %file
quotactl_fd(fd cmd|quotactl id:uint addr:pointer)  %desc
swapon(specialfile:path swap_flags|swapon)  %file
swapoff(specialfile:path)  %file
acct(name:path)  %file
sysfs(option:int arg1:word arg2:word)
lookup_dcookie(cookie64:ulong buf:buffer_out[len] len:size) -> size

# Waiting for descriptors, and watching files
poll(ufds*pollfd[nfds] nfds:uint timeout_msecs:int)  %desc
ppoll(ufds*pollfd[nfds] nfds:uint tsp*timespec sigmask*sigset[sigsetsize] sigsetsize:size)  %desc
select(n:int inp*fd_set outp*fd_set exp*fd_set tvp*timeval)  %desc
pselect6(n:int inp*fd_set outp*fd_set exp*fd_set tsp*timespec sig*sigset_argpack)  %desc
epoll_create(size:int) -> fd  %desc
epoll_create1(flags|epoll) -> fd  %desc
epoll_ctl(epfd:fd op=epoll_ctl fd event*epoll_event)  %desc
epoll_wait(epfd:fd events*epoll_event[maxevents] maxevents:int timeout:int)  %desc
epoll_pwait(epfd:fd events*epoll_event[maxevents] maxevents:int timeout:int
    sigmask*sigset[sigsetsize] sigsetsize:size)  %desc
epoll_pwait2(epfd:fd events*epoll_event[maxevents] maxevents:int timeout*timespec
    sigmask*sigset[sigsetsize] sigsetsize:size)  %desc
epoll_ctl_old(epfd:fd op=epoll_ctl fd event*epoll_event)
epoll_wait_old(epfd:fd events*epoll_event[maxevents] maxevents:int timeout:int)
eventfd(count:uint) -> fd  %desc
eventfd2(count:uint flags|eventfd) -> fd  %desc
signalfd(ufd:fd user_mask*sigset[sizemask] sizemask:size) -> fd  %desc %signal
signalfd4(ufd:fd user_mask*sigset[sizemask] sizemask:size flags|signalfd) -> fd  %desc %signal
timerfd_create(clockid=clock flags|timerfd) -> fd  %desc
timerfd_settime(ufd:fd flags|timerfd_settime utmr*itimerspec otmr*itimerspec)  %desc
timerfd_gettime(ufd:fd otmr*itimerspec)  %desc
inotify_init() -> fd  %desc
inotify_init1(flags|inotify_init) -> fd  %desc
inotify_add_watch(fd pathname:path mask|inotify)  %file %desc
inotify_rm_watch(fd wd:int)  %desc
fanotify_init(flags|fanotify_init event_f_flags|open) -> fd  %desc
fanotify_mark(fanotify_fd:fd flags|fanotify_mark mask|fanotify dfd:dirfd pathname:path@dfd)  %file %desc
userfaultfd(flags|userfaultfd) -> fd  %desc

# Asynchronous input and output
io_setup(nr_events:uint ctxp*aio_context_t)  %memory
io_destroy(ctx:pointer)  %memory
io_submit(ctx_id:pointer nr:long iocbpp*iocb[nr])
io_cancel(ctx_id:pointer iocb*iocb result*io_event)
io_getevents(ctx_id:pointer min_nr:long nr:long events*io_event[nr] timeout*timespec)
io_pgetevents(ctx_id:pointer min_nr:long nr:long events*io_event[nr] timeout*timespec usig*aio_sigset)
io_uring_setup(entries:uint params*io_uring_params) -> fd  %desc
io_uring_enter(fd to_submit:uint min_complete:uint flags|io_uring_enter argp*sigset[argsz] argsz:size)
     %desc %signal
io_uring_register(fd opcode|io_uring_register arg:pointer nr_args:uint)  %desc %memory

# Network
socket(family=domain type|socket_type protocol:int) -> fd  %network
socketpair(family=domain type|socket_type protocol:int usockvec:fds_out)  %network
bind(fd umyaddr:sockaddr[addrlen] addrlen:int)  %network
listen(fd backlog:int)  %network
accept(fd upeer_sockaddr:sockaddr_out[upeer_addrlen] upeer_addrlen*int) -> fd  %network
accept4(fd upeer_sockaddr:sockaddr_out[upeer_addrlen] upeer_addrlen*int flags|accept) -> fd  %network
connect(fd uservaddr:sockaddr[addrlen] addrlen:int)  %network
getsockname(fd usockaddr:sockaddr_out[usockaddr_len] usockaddr_len*int)  %network
getpeername(fd usockaddr:sockaddr_out[usockaddr_len] usockaddr_len*int)  %network
sendto(fd buff:buffer[len] len:size flags|msg addr:sockaddr[addr_len] addr_len:int) -> size  %network
sendmsg(fd msg:msghdr flags|msg) -> size  %network
sendmmsg(fd mmsg:mmsghdr[vlen] vlen:uint flags|msg)  %network
recvfrom(fd ubuf:buffer_out[size] size flags|msg addr:sockaddr_out[addr_len] addr_len*int) -> size  %network
recvmsg(fd msg:msghdr_out flags|msg) -> size  %network
recvmmsg(fd mmsg:mmsghdr_out[vlen] vlen:uint flags|msg timeout*timespec)  %network
setsockopt(fd level=sol optname:int optval:buffer[optlen] optlen:int)  %network
getsockopt(fd level=sol optname:int optval:buffer_out[optlen] optlen*int)  %network
shutdown(fd how=shutdown)  %network

# Processes
fork() -> pid  %process
vfork() -> pid  %process
clone(clone_flags|clone newsp:pointer parent_tidptr*int?clone_flags&CLONE_PARENT_SETTID|CLONE_PIDFD
    child_tidptr*int?clone_flags&CLONE_CHILD_SETTID|CLONE_CHILD_CLEARTID
    tls:pointer?clone_flags&CLONE_SETTLS) -> pid  %process
aarch64 clone(clone_flags|clone newsp:pointer
    parent_tidptr*int?clone_flags&CLONE_PARENT_SETTID|CLONE_PIDFD tls:pointer?clone_flags&CLONE_SETTLS
    child_tidptr*int?clone_flags&CLONE_CHILD_SETTID|CLONE_CHILD_CLEARTID) -> pid  %process
clone3(uargs:clone_args[size] size) -> pid  %process
execve(filename:path argv envp)  %file %process
execveat(fd:dirfd filename:path@fd argv envp flags|at_exec)  %file %desc %process
exit(error_code:int) -> none  %process
exit_group(error_code:int) -> none  %process
wait4(upid:pid stat_addr*int options|wait ru*rusage) -> pid  %process
waitid(which=idtype upid:pid infop*siginfo options|wait ru*rusage)  %process
unshare(unshare_flags|unshare)
setns(fd flags|setns)  %desc
pidfd_open(pid flags|pidfd) -> fd  %desc
pidfd_getfd(pidfd:fd fd flags|none) -> fd  %desc
ptrace(request=ptrace pid addr:pointer data:word)
process_vm_readv(pid lvec:iovec_out[liovcnt] liovcnt:ulong rvec*iovec[riovcnt] riovcnt:ulong
    flags|none64) -> size
process_vm_writev(pid lvec:iovec[liovcnt] liovcnt:ulong rvec*iovec[riovcnt] riovcnt:ulong
    flags|none64) -> size
process_madvise(pidfd:fd vec*iovec[vlen] vlen:size behavior=madvise flags|none) -> size  %desc
process_mrelease(pidfd:fd flags|none)  %desc
kcmp(pid1:pid pid2:pid type=kcmp idx1:ulong?type=KCMP_FILE|KCMP_EPOLL_TFD
    idx2:ulong?type=KCMP_FILE|KCMP_EPOLL_TFD)
prctl(option=prctl arg2:word arg3:word arg4:word arg5:word)
arch_prctl(option=arch_prctl arg2:word)
personality(personality|personality) -> hex
getpid() -> pid
getppid() -> pid
gettid() -> pid
getpgid(pid) -> pid
getpgrp() -> pid
getsid(pid) -> pid
setpgid(pid pgid:pid)
setsid() -> pid
set_tid_address(tidptr*int) -> pid
getrusage(who=rusage ru*rusage)
getrlimit(resource=rlimit rlim*rlimit)
setrlimit(resource=rlimit rlim*rlimit)
prlimit64(pid resource=rlimit new_rlim*rlimit64 old_rlim*rlimit64)
getpriority(which=priority who:int)
setpriority(which=priority who:int niceval:int)
ioprio_get(which=ioprio_who who:int)
ioprio_set(which=ioprio_who who:int ioprio|ioprio)
times(tbuf*tms) -> long
restart_syscall()

# Users, groups and capabilities
getuid() -> uid
geteuid() -> uid
getgid() -> gid
getegid() -> gid
getresuid(ruidp*uid_t euidp*uid_t suidp*uid_t)
getresgid(rgidp*gid_t egidp*gid_t sgidp*gid_t)
setuid(uid)
setgid(gid)
setreuid(ruid:uid euid:uid)
setregid(rgid:gid egid:gid)
setresuid(ruid:uid euid:uid suid:uid)
setresgid(rgid:gid egid:gid sgid:gid)
setfsuid(uid) -> uid
setfsgid(gid) -> gid
getgroups(gidsetsize:int grouplist*gid_t[gidsetsize])
setgroups(gidsetsize:int grouplist*gid_t[gidsetsize])
capget(header*user_cap_header dataptr*user_cap_data)
capset(header*user_cap_header data*user_cap_data)

# Memory
brk(brk:pointer) -> pointer  %memory
mmap(addr:pointer len:size prot|mmap_prot flags|mmap fd off:word) -> pointer  %desc %memory
munmap(addr:pointer len:size)  %memory
mremap(addr:pointer old_len:size new_len:size flags|mremap
    new_addr:pointer?flags&MREMAP_FIXED|MREMAP_DONTUNMAP) -> pointer  %memory
mprotect(start:pointer len:size prot|mmap_prot)  %memory
pkey_mprotect(start:pointer len:size prot|mmap_prot pkey:int)  %memory
pkey_alloc(flags|none64 init_val|pkey)
pkey_free(pkey:int)
madvise(start:pointer len_in:size behavior=madvise)  %memory
msync(start:pointer len:size flags|msync)  %memory
mincore(start:pointer len:size vec:buffer_out)  %memory
mlock(start:pointer len:size)  %memory
mlock2(start:pointer len:size flags|mlock2)  %memory
munlock(start:pointer len:size)  %memory
mlockall(flags|mlockall)  %memory
munlockall()  %memory
mseal(start:pointer len:size flags|none64)  %memory
remap_file_pages(start:pointer size prot|mmap_prot pgoff:ulong flags|mmap)  %memory
map_shadow_stack(addr:pointer size flags|shadow_stack) -> pointer  %memory
membarrier(cmd=membarrier flags|membarrier_flags cpu_id:int?flags&MEMBARRIER_CMD_FLAG_CPU)
mbind(start:pointer len:size mode|mempolicy nmask*ulong maxnode:ulong flags|mbind)  %memory
get_mempolicy(policy*int nmask*ulong maxnode:ulong addr:pointer flags|get_mempolicy)  %memory
set_mempolicy(mode|mempolicy nmask*ulong maxnode:ulong)  %memory
set_mempolicy_home_node(start:pointer len:size home_node:ulong flags|none64)  %memory
migrate_pages(pid maxnode:ulong old_nodes*ulong new_nodes*ulong)  %memory
move_pages(pid nr_pages:ulong pages*pointer[nr_pages] nodes*int[nr_pages] status*int[nr_pages] flags|mbind)
     %memory

# Signals
kill(pid sig:signal)  %process %signal
tkill(pid sig:signal)  %process %signal
tgkill(tgid:pid pid sig:signal)  %process %signal
pidfd_send_signal(pidfd:fd sig:signal info*siginfo flags|pidfd_signal)  %desc %process %signal
rt_sigaction(sig:signal act*sigaction oact*sigaction sigsetsize:size)  %signal
rt_sigprocmask(how=sigprocmask nset*sigset[sigsetsize] oset*sigset[sigsetsize] sigsetsize:size)  %signal
rt_sigpending(uset*sigset[sigsetsize] sigsetsize:size)  %signal
rt_sigsuspend(unewset*sigset[sigsetsize] sigsetsize:size)  %signal
rt_sigtimedwait(uthese*sigset[sigsetsize] uinfo*siginfo uts*timespec sigsetsize:size) -> signal  %signal
rt_sigqueueinfo(pid sig:signal uinfo*siginfo)  %process %signal
rt_tgsigqueueinfo(tgid:pid pid sig:signal uinfo*siginfo)  %process %signal
rt_sigreturn()  %signal
sigaltstack(uss*stack_t uoss*stack_t)  %signal
pause()  %signal

# System V IPC and message queues
shmget(key:key size shmflg|shmget)  %ipc
shmat(shmid:int shmaddr:pointer shmflg|shmat) -> pointer  %memory %ipc
shmdt(shmaddr:pointer)  %memory %ipc
shmctl(shmid:int cmd=shmctl buf*shmid_ds)  %ipc
semget(key:key nsems:int semflg|ipc)  %ipc
semop(semid:int tsops*sembuf[nsops] nsops:uint)  %ipc
semtimedop(semid:int tsops*sembuf[nsops] nsops:uint timeout*timespec)  %ipc
semctl(semid:int semnum:int cmd=semctl arg:word)  %ipc
msgget(key:key msgflg|ipc)  %ipc
msgsnd(msqid:int msgp*msgbuf[msgsz] msgsz:size msgflg|msgop)  %ipc
msgrcv(msqid:int msgp*msgbuf[msgsz] msgsz:size msgtyp:long msgflg|msgop) -> size  %ipc
msgctl(msqid:int cmd=msgctl buf*msqid_ds)  %ipc
mq_open(u_name:string oflag|open mode?oflag&O_CREAT u_attr*mq_attr?oflag&O_CREAT) -> fd  %desc
mq_unlink(u_name:string)
mq_timedsend(mqdes:fd u_msg_ptr:buffer[msg_len] msg_len:size msg_prio:uint u_abs_timeout*timespec)  %desc
mq_timedreceive(mqdes:fd u_msg_ptr:buffer_out[msg_len] msg_len:size u_msg_prio*uint u_abs_timeout*timespec)
    -> size  %desc
mq_notify(mqdes:fd u_notification*sigevent)  %desc
mq_getsetattr(mqdes:fd u_mqstat*mq_attr u_omqstat*mq_attr)  %desc

# Futexes, threads and restartable sequences
futex(uaddr*u32 op|futex val:uint utime*timespec uaddr2*u32 val3:hex)
futex_waitv(waiters*futex_waitv[nr_futexes] nr_futexes:uint flags|none timeout*timespec clockid=clock)
futex_wake(uaddr*void mask:word nr:int flags|futex2)
futex_wait(uaddr*void val:ulong mask:word flags|futex2 timeout*timespec clockid=clock)
futex_requeue(waiters*futex_waitv flags|none nr_wake:int nr_requeue:int)
set_robust_list(head*robust_list_head[len] len:size)
get_robust_list(pid head_ptr*pointer len_ptr*size_t)
rseq(rseq*rseq[rseq_len] rseq_len:uint flags|rseq sig:hex)
rseq_slice_yield()
get_thread_area(u_info*user_desc)
set_thread_area(u_info*user_desc)
modify_ldt(func:int ptr*user_desc[bytecount] bytecount:ulong)

# Scheduling
sched_yield()
sched_setscheduler(pid policy|sched param*sched_param)
sched_getscheduler(pid)
sched_setparam(pid param*sched_param)
sched_getparam(pid param*sched_param)
sched_setattr(pid uattr*sched_attr flags|none)
sched_getattr(pid uattr*sched_attr[usize] usize:uint flags|none)
sched_setaffinity(pid len:uint user_mask_ptr:buffer[len])
sched_getaffinity(pid len:uint user_mask_ptr:buffer_out[len])
sched_get_priority_max(policy|sched)
sched_get_priority_min(policy|sched)
sched_rr_get_interval(pid interval*timespec)
getcpu(cpup*uint nodep*uint unused:pointer)

# Time
time(tloc*time_t) -> long
gettimeofday(tv*timeval tz*timezone)
settimeofday(tv*timeval tz*timezone)
adjtimex(txc_p*timex)
clock_adjtime(which_clock=clock utx*timex)
clock_gettime(which_clock=clock tp*timespec)
clock_settime(which_clock=clock tp*timespec)
clock_getres(which_clock=clock tp*timespec)
clock_nanosleep(which_clock=clock flags|timer rqtp*timespec rmtp*timespec)
nanosleep(rqtp*timespec rmtp*timespec)
alarm(seconds:uint) -> uint
getitimer(which=itimer value*itimerval)
setitimer(which=itimer value*itimerval ovalue*itimerval)
timer_create(which_clock=clock timer_event_spec*sigevent created_timer_id*timer_t)
timer_settime(timer_id:int flags|timer new_setting*itimerspec old_setting*itimerspec)
timer_gettime(timer_id:int setting*itimerspec)
timer_getoverrun(timer_id:int)
timer_delete(timer_id:int)

# Security, keys, tracing
seccomp(op=seccomp flags|seccomp_filter uargs:pointer)
landlock_create_ruleset(attr*landlock_ruleset_attr[size] size flags|landlock_create) -> fd  %desc
landlock_add_rule(ruleset_fd:fd rule_type=landlock_rule rule_attr*void flags|landlock_add)  %desc
landlock_restrict_self(ruleset_fd:fd flags|landlock_restrict)  %desc
lsm_get_self_attr(attr=lsm_attr ctx*lsm_ctx size*u32 flags|lsm)
lsm_set_self_attr(attr=lsm_attr ctx*lsm_ctx[size] size:uint flags|none)
lsm_list_modules(ids*u64 size*u32 flags|none)
add_key(_type:string _description:string _payload:buffer[plen] plen:size ringid=keyring)
request_key(_type:string _description:string _callout_info:string destringid=keyring)
keyctl(option=keyctl arg2:word arg3:word arg4:word arg5:word)
bpf(cmd=bpf uattr*bpf_attr[size] size:uint)  %desc
perf_event_open(attr_uptr*perf_event_attr pid cpu:int group_fd:fd flags|perf_event) -> fd  %desc
uprobe()
uretprobe()

# The system
uname(name*utsname)
sysinfo(info*sysinfo)
syslog(type=syslog buf:buffer_out[len] len:int)
getrandom(ubuf:buffer_out[len] len:size flags|getrandom) -> size
sethostname(name:string[len] len:int)
setdomainname(name:string[len] len:int)
reboot(magic1=reboot_magic magic2=reboot_magic cmd=reboot arg:word)
kexec_load(entry:pointer nr_segments:ulong segments*kexec_segment[nr_segments] flags|kexec)
kexec_file_load(kernel_fd:fd initrd_fd:fd cmdline_len:ulong cmdline_ptr:string[cmdline_len]
    flags|kexec_file)
     %desc
init_module(umod:buffer[len] len:size uargs:string)
finit_module(fd uargs:string flags|finit_module)  %desc
delete_module(name_user:string flags|delete_module)
ioperm(from:word num:ulong turn_on:int)
iopl(level:uint)
vhangup()
"""
"""Every call of every architecture, by subject."""

_RINGS = """\
# opcode, name, then the call that it is like and how many of that call's arguments are recorded.
# Nothing behind the name: it touches no file, network or process. "!": the kernel doesn't show what it does.
0 NOP
1 READV preadv 1
2 WRITEV pwritev 1
3 FSYNC fsync 1
4 READ_FIXED read 1
5 WRITE_FIXED write 1
6 POLL_ADD
7 POLL_REMOVE
8 SYNC_FILE_RANGE sync_file_range 1
9 SENDMSG sendmsg 1
10 RECVMSG recvmsg 1
11 TIMEOUT
12 TIMEOUT_REMOVE
13 ACCEPT accept4 1
14 ASYNC_CANCEL
15 LINK_TIMEOUT
16 CONNECT connect 2
17 FALLOCATE fallocate 1
18 OPENAT openat 4
19 CLOSE close 1
20 FILES_UPDATE
21 STATX statx 2
22 READ read 1
23 WRITE write 1
24 FADVISE
25 MADVISE
26 SEND sendto 1
27 RECV recvfrom 1
28 OPENAT2 openat 4
29 EPOLL_CTL
30 SPLICE sendfile 1
31 PROVIDE_BUFFERS
32 REMOVE_BUFFERS
33 TEE sendfile 1
34 SHUTDOWN shutdown 1
35 RENAMEAT renameat2 4
36 UNLINKAT unlinkat 3
37 MKDIRAT mkdirat 2
38 SYMLINKAT symlinkat 3
39 LINKAT linkat 4
40 MSG_RING
41 FSETXATTR fsetxattr 1
42 SETXATTR setxattr 1
43 FGETXATTR fgetxattr 1
44 GETXATTR getxattr 1
45 SOCKET socket 0
46 URING_CMD !
47 SEND_ZC sendto 1
48 SENDMSG_ZC sendmsg 1
49 READ_MULTISHOT read 1
50 WAITID waitid 0
51 FUTEX_WAIT
52 FUTEX_WAKE
53 FUTEX_WAITV
54 FIXED_FD_INSTALL
55 FTRUNCATE ftruncate 1
56 BIND bind 2
57 LISTEN listen 1
58 RECV_ZC recvfrom 1
59 EPOLL_WAIT
60 READV_FIXED preadv 1
61 WRITEV_FIXED pwritev 1
62 PIPE pipe2 0
63 NOP128
64 URING_CMD128 !
# Kernel aio, numbered from 128: without the prefix of io_uring.
128 IOCB_CMD_PREAD pread64 1
129 IOCB_CMD_PWRITE pwrite64 1
130 IOCB_CMD_FSYNC fsync 1
131 IOCB_CMD_FDSYNC fdatasync 1
133 IOCB_CMD_POLL
134 IOCB_CMD_NOOP
135 IOCB_CMD_PREADV preadv 1
136 IOCB_CMD_PWRITEV pwritev 1
"""

_VARIANTS = """\
fcntl cmd=F_DUPFD|F_DUPFD_CLOEXEC: arg:fd -> fd
fcntl cmd=F_DUPFD_QUERY: arg:fd
fcntl cmd=F_GETFD: !arg -> |fd_flags
fcntl cmd=F_SETFD: arg|fd_flags
fcntl cmd=F_GETFL: !arg -> |open
fcntl cmd=F_SETFL: arg|open
fcntl cmd=F_GETOWN: !arg -> pid
fcntl cmd=F_SETOWN: arg:pid
fcntl cmd=F_GETSIG|F_GETLEASE|F_GETPIPE_SZ|F_CREATED_QUERY: !arg
fcntl cmd=F_GET_SEALS: !arg -> |seals
fcntl cmd=F_ADD_SEALS: arg|seals
fcntl cmd=F_SETSIG: arg:signal
fcntl cmd=F_SETLEASE: arg=lease
fcntl cmd=F_NOTIFY: arg|dnotify
fcntl cmd=F_SETPIPE_SZ: arg:int
fcntl cmd=F_GETLK|F_SETLK|F_SETLKW|F_OFD_GETLK|F_OFD_SETLK|F_OFD_SETLKW|F_CANCELLK: arg*flock
fcntl cmd=F_GETOWN_EX|F_SETOWN_EX: arg*f_owner_ex
fcntl cmd=F_GETOWNER_UIDS: arg*uid_t
fcntl cmd=F_GET_RW_HINT|F_SET_RW_HINT|F_GET_FILE_RW_HINT|F_SET_FILE_RW_HINT: arg*u64
fcntl cmd=F_GETDELEG|F_SETDELEG: arg*delegation

ioctl cmd=FIOCLEX|FIONCLEX|TIOCEXCL|TIOCNXCL|TIOCNOTTY|TIOCCONS|BLKRRPART|BLKFLSBUF: !arg
ioctl cmd=FIONBIO|FIOASYNC|FIONREAD|TIOCOUTQ|TIOCGPTN: arg*int
ioctl cmd=TIOCSPTLCK|TIOCGPGRP|TIOCSPGRP|TIOCGSID|TIOCPKT: arg*int
ioctl cmd=TCGETS|TCSETS|TCSETSW|TCSETSF: arg*termios
ioctl cmd=TCGETS2|TCSETS2|TCSETSW2|TCSETSF2: arg*termios2
ioctl cmd=TIOCGWINSZ|TIOCSWINSZ: arg*winsize
ioctl cmd=TIOCSTI: arg*char
ioctl cmd=TIOCGPTPEER: arg|open -> fd
ioctl cmd=FICLONE: arg:fd
ioctl cmd=FICLONERANGE: arg*file_clone_range
ioctl cmd=FIDEDUPERANGE: arg*file_dedupe_range
ioctl cmd=FS_IOC_GETFLAGS|FS_IOC_SETFLAGS|FS_IOC_GETVERSION: arg*int
ioctl cmd=FS_IOC_FIEMAP: arg*fiemap
ioctl cmd=SIOCGIFCONF: arg*ifconf
ioctl cmd=SIOCGIFNAME|SIOCGIFINDEX|SIOCGIFFLAGS|SIOCSIFFLAGS: arg*ifreq
ioctl cmd=SIOCGIFADDR|SIOCSIFADDR|SIOCGIFMTU|SIOCSIFMTU: arg*ifreq
ioctl cmd=SIOCGIFNETMASK|SIOCSIFNETMASK|SIOCGIFBRDADDR|SIOCSIFBRDADDR: arg*ifreq
ioctl cmd=SIOCGIFHWADDR|SIOCETHTOOL|TUNSETIFF: arg*ifreq
ioctl cmd=NS_GET_USERNS|NS_GET_PARENT: !arg -> fd

fsconfig cmd=FSCONFIG_SET_FLAG|FSCONFIG_CMD_CREATE: _value:pointer
fsconfig cmd=FSCONFIG_CMD_CREATE_EXCL|FSCONFIG_CMD_RECONFIGURE: _value:pointer
fsconfig cmd=FSCONFIG_SET_STRING: _value:string
fsconfig cmd=FSCONFIG_SET_BINARY: _value:buffer[aux]
fsconfig cmd=FSCONFIG_SET_PATH|FSCONFIG_SET_PATH_EMPTY: _value:path@aux aux:dirfd
fsconfig cmd=FSCONFIG_SET_FD: _value:pointer aux:fd

socket family=AF_INET|AF_INET6: protocol=ipproto
socket family=AF_NETLINK: protocol=netlink
getsockopt level=SOL_SOCKET: optname=so
getsockopt level=SOL_IP: optname=ip
getsockopt level=SOL_IPV6: optname=ipv6
getsockopt level=SOL_TCP: optname=tcp
getsockopt level=SOL_UDP: optname=udp
getsockopt level=SOL_PACKET: optname=so_packet
getsockopt level=SOL_NETLINK: optname=so_netlink
setsockopt level=SOL_SOCKET: optname=so
setsockopt level=SOL_IP: optname=ip
setsockopt level=SOL_IPV6: optname=ipv6
setsockopt level=SOL_TCP: optname=tcp
setsockopt level=SOL_UDP: optname=udp
setsockopt level=SOL_PACKET: optname=so_packet
setsockopt level=SOL_NETLINK: optname=so_netlink

futex op=FUTEX_WAIT: !uaddr2 !val3
futex op=FUTEX_WAKE|FUTEX_FD: !utime !uaddr2 !val3
futex op=FUTEX_REQUEUE: utime:ulong !val3
futex op=FUTEX_CMP_REQUEUE|FUTEX_CMP_REQUEUE_PI: utime:ulong val3:uint
futex op=FUTEX_WAKE_OP: utime:ulong
futex op=FUTEX_LOCK_PI|FUTEX_LOCK_PI2: !val !uaddr2 !val3
futex op=FUTEX_UNLOCK_PI|FUTEX_TRYLOCK_PI: !val !utime !uaddr2 !val3
futex op=FUTEX_WAKE_BITSET: !utime !uaddr2
futex op=FUTEX_WAIT_REQUEUE_PI: !val3

ptrace request=PTRACE_TRACEME: !pid !addr !data
ptrace request=PTRACE_ATTACH|PTRACE_KILL|PTRACE_INTERRUPT: !addr !data
ptrace request=PTRACE_CONT|PTRACE_DETACH|PTRACE_SYSCALL|PTRACE_SINGLESTEP|PTRACE_LISTEN: data:signal
ptrace request=PTRACE_SETOPTIONS|PTRACE_SEIZE: data|ptrace_options
ptrace request=PTRACE_GETEVENTMSG: data*ulong
ptrace request=PTRACE_GETSIGINFO|PTRACE_SETSIGINFO: data*siginfo
ptrace request=PTRACE_GETREGSET|PTRACE_SETREGSET: data*iovec
waitid which=P_PIDFD: upid:fd

prctl option=PR_GET_DUMPABLE|PR_GET_KEEPCAPS|PR_GET_TIMERSLACK|PR_GET_SECCOMP: !arg2 !arg3 !arg4 !arg5
prctl option=PR_GET_SECUREBITS: !arg2 !arg3 !arg4 !arg5 -> |securebits
prctl option=PR_TASK_PERF_EVENTS_DISABLE|PR_TASK_PERF_EVENTS_ENABLE: !arg2 !arg3 !arg4 !arg5
prctl option=PR_SET_NAME: arg2:string !arg3 !arg4 !arg5
prctl option=PR_GET_NAME: arg2*char !arg3 !arg4 !arg5
prctl option=PR_SET_PDEATHSIG: arg2:signal !arg3 !arg4 !arg5
prctl option=PR_GET_PDEATHSIG|PR_GET_CHILD_SUBREAPER: arg2*int !arg3 !arg4 !arg5
prctl option=PR_SET_DUMPABLE: arg2=dumpable !arg3 !arg4 !arg5
prctl option=PR_SET_KEEPCAPS|PR_SET_CHILD_SUBREAPER|PR_SET_TIMERSLACK: arg2:ulong !arg3 !arg4 !arg5
prctl option=PR_SET_PTRACER: arg2:pid !arg3 !arg4 !arg5
prctl option=PR_SET_SECCOMP: arg2=seccomp_mode arg3*sock_fprog !arg4 !arg5
prctl option=PR_SET_SECUREBITS: arg2|securebits !arg3 !arg4 !arg5
prctl option=PR_SET_MDWE: arg2|mdwe
prctl option=PR_SET_NO_NEW_PRIVS|PR_GET_NO_NEW_PRIVS: arg2:ulong arg3:ulong arg4:ulong arg5:ulong
prctl option=PR_CAPBSET_READ|PR_CAPBSET_DROP: arg2=cap !arg3 !arg4 !arg5
prctl option=PR_CAP_AMBIENT: arg2=cap_ambient arg3=cap
prctl option=PR_SET_VMA: arg2=vma_name arg3:pointer arg4:size arg5:string

seccomp op=SECCOMP_SET_MODE_FILTER: uargs*sock_fprog
seccomp op=SECCOMP_GET_ACTION_AVAIL: flags|none uargs*u32
seccomp op=SECCOMP_GET_NOTIF_SIZES: flags|none uargs*seccomp_notif_sizes
io_uring_enter flags&IORING_ENTER_EXT_ARG: argp*io_uring_getevents_arg[argsz]
keyctl option=KEYCTL_GET_KEYRING_ID: arg2=keyring arg3:int !arg4 !arg5
keyctl option=KEYCTL_JOIN_SESSION_KEYRING: arg2:string !arg3 !arg4 !arg5
keyctl option=KEYCTL_UPDATE: arg2=keyring arg3:buffer[arg4] arg4:size !arg5
keyctl option=KEYCTL_REVOKE|KEYCTL_CLEAR|KEYCTL_INVALIDATE: arg2=keyring !arg3 !arg4 !arg5
keyctl option=KEYCTL_CHOWN: arg2=keyring arg3:uid arg4:gid !arg5
keyctl option=KEYCTL_DESCRIBE|KEYCTL_READ: arg2=keyring arg3:buffer_out[arg4] arg4:size !arg5
keyctl option=KEYCTL_GET_SECURITY: arg2=keyring arg3:buffer_out[arg4] arg4:size !arg5
keyctl option=KEYCTL_LINK|KEYCTL_UNLINK: arg2=keyring arg3=keyring !arg4 !arg5
keyctl option=KEYCTL_SEARCH: arg2=keyring arg3:string arg4:string arg5=keyring
keyctl option=KEYCTL_SET_TIMEOUT: arg2=keyring arg3:uint !arg4 !arg5
semctl cmd=SETVAL: arg:int
semctl cmd=GETALL|SETALL: arg*ushort
semctl cmd=IPC_STAT|IPC_SET|SEM_STAT|SEM_STAT_ANY: arg*semid_ds
semctl cmd=IPC_RMID|GETPID|GETVAL|GETNCNT|GETZCNT: !arg
arch_prctl option=ARCH_SET_FS|ARCH_SET_GS|ARCH_SHSTK_ENABLE|ARCH_SHSTK_DISABLE: arg2:pointer
arch_prctl option=ARCH_GET_FS|ARCH_GET_GS: arg2*ulong
"""
"""What arguments are for some values of others: call, condition, then arguments as above; ``!arg`` is none.

The result may change too, ``-> |table`` for flags."""

_SIBLINGS = """\
open openat openat2 creat open_by_handle_at
read readv pread64 preadv preadv2
write writev pwrite64 pwritev pwritev2
sendfile copy_file_range splice tee vmsplice
sendto sendmsg sendmmsg
recvfrom recvmsg recvmmsg
accept accept4
close close_range
dup dup2 dup3
pipe pipe2
memfd_create memfd_secret
truncate ftruncate
fsync fdatasync sync syncfs sync_file_range msync
getdents getdents64
access faccessat faccessat2
chdir fchdir
chroot pivot_root
mkdir mkdirat
mknod mknodat
rename renameat renameat2
link linkat
symlink symlinkat
unlink unlinkat rmdir
readlink readlinkat
stat lstat fstat newfstatat statx
statfs fstatfs ustat
chmod fchmod fchmodat fchmodat2
chown lchown fchown fchownat
utime utimes futimesat utimensat
setxattr lsetxattr fsetxattr setxattrat
getxattr lgetxattr fgetxattr getxattrat
listxattr llistxattr flistxattr listxattrat
removexattr lremovexattr fremovexattr removexattrat
mount fsopen fsconfig fsmount fspick move_mount mount_setattr open_tree open_tree_attr
quotactl quotactl_fd
poll ppoll select pselect6
epoll_create epoll_create1
epoll_ctl epoll_ctl_old
epoll_wait epoll_wait_old epoll_pwait epoll_pwait2
eventfd eventfd2
signalfd signalfd4
inotify_init inotify_init1
io_getevents io_pgetevents
fork vfork clone clone3
execve execveat
exit exit_group
wait4 waitid
unshare setns
ptrace process_vm_readv process_vm_writev
getpgid getpgrp
getrlimit setrlimit prlimit64
setuid setreuid setresuid setfsuid
setgid setregid setresgid setfsgid
mprotect pkey_mprotect
madvise process_madvise
mlock mlock2 mlockall
munlock munlockall
mbind set_mempolicy set_mempolicy_home_node
migrate_pages move_pages
kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal
pause rt_sigsuspend
semop semtimedop
futex futex_wait futex_wake futex_waitv futex_requeue
sched_setscheduler sched_setparam sched_setattr
sched_getscheduler sched_getparam sched_getattr
nanosleep clock_nanosleep
time gettimeofday clock_gettime
settimeofday clock_settime adjtimex clock_adjtime
alarm setitimer
init_module finit_module
kexec_load kexec_file_load
"""
"""Calls with the same purpose, a group on each line."""

_WRAPPERS = """\
_exit _Exit: exit_group
abort raise pthread_kill: tgkill
creat64 fopen open64 openat64 opendir shm_open: openat
eaccess euidaccess: faccessat2 faccessat
execl execle execlp execv execvp execvpe posix_spawn system popen: execve
fcntl64: fcntl
fexecve: execveat
fstat64 newfstat: fstat
fstatat fstatat64: newfstatat
fstatvfs fstatvfs64: fstatfs
ftruncate64: ftruncate
futimens lutimes: utimensat
lseek64 llseek _llseek: lseek
lstat64 newlstat: lstat newfstatat
mkfifo mkfifoat: mknodat mknod
mmap2 mmap64: mmap
mq_receive: mq_timedreceive
mq_send: mq_timedsend
newstat stat64: stat newfstatat
newuname: uname
posix_fadvise posix_fadvise64 fadvise: fadvise64
posix_fallocate fallocate64: fallocate
prlimit: prlimit64
pread: pread64
pselect: pselect6
pthread_create thrd_create: clone3 clone
pthread_mutex_lock sem_wait: futex
pthread_sigmask sigprocmask: rt_sigprocmask
pwrite: pwrite64
readdir readdir64: getdents64
recv: recvfrom
remove: unlink unlinkat
rewinddir seekdir: lseek
send: sendto
sendfile64: sendfile
shm_unlink: unlink unlinkat
sigaction signal bsd_signal: rt_sigaction
sigpending: rt_sigpending
sigqueue: rt_sigqueueinfo
sigsuspend: rt_sigsuspend
sigtimedwait sigwait sigwaitinfo: rt_sigtimedwait
sleep usleep: clock_nanosleep
statfs64 statvfs statvfs64: statfs
sync_file_range2: sync_file_range
tcgetattr tcsetattr isatty ttyname: ioctl
truncate64: truncate
umount: umount2
wait wait3 waitpid: wait4
"""
"""Names that people know, of a library or another kernel table, and the calls behind them, to suggest."""

_CONSTANTS = """\
[open flags]
O_RDONLY=0/3 O_WRONLY=1/3 O_RDWR=2/3 O_ACCMODE=3/3 O_CREAT=0o100 O_EXCL=0o200 O_NOCTTY=0o400 O_TRUNC=0o1000
O_APPEND=0o2000 O_NONBLOCK=0o4000 O_SYNC=0o4010000 __O_SYNC=0o4000000 O_DSYNC=0o10000 FASYNC=0o20000
O_DIRECT=0o40000 O_LARGEFILE=0o100000 O_NOFOLLOW=0o400000 O_NOATIME=0o1000000 O_CLOEXEC=0o2000000
O_PATH=0o10000000 O_TMPFILE=0o20200000 __O_TMPFILE=0o20000000 O_DIRECTORY=0o200000/0o20200000
O_EMPTYPATH=0o400000000 O_NDELAY=0o4000 O_ASYNC=0o20000 O_RSYNC=0o4010000 O_FSYNC=0o4010000
[open@aarch64]
O_DIRECT=0o200000 O_LARGEFILE=0o400000 O_NOFOLLOW=0o100000 O_DIRECTORY=0o40000/0o20040000
O_TMPFILE=0o20040000

[open_how flags u64 +open]
OPENAT2_REGULAR=0o40000000000

[resolve flags u64]
RESOLVE_NO_XDEV=1 RESOLVE_NO_MAGICLINKS=2 RESOLVE_NO_SYMLINKS=4 RESOLVE_BENEATH=8 RESOLVE_IN_ROOT=0x10
RESOLVE_CACHED=0x20

[mode flags permissions]
S_IFSOCK=0o140000/0o170000 S_IFLNK=0o120000/0o170000 S_IFREG=0o100000/0o170000 S_IFBLK=0o60000/0o170000
S_IFDIR=0o40000/0o170000 S_IFCHR=0o20000/0o170000 S_IFIFO=0o10000/0o170000 S_ISUID=0o4000 S_ISGID=0o2000
S_ISVTX=0o1000 S_IRWXU=0o700 S_IRUSR=0o400 S_IWUSR=0o200 S_IXUSR=0o100 S_IRWXG=0o70 S_IRGRP=0o40
S_IWGRP=0o20 S_IXGRP=0o10 S_IRWXO=7 S_IROTH=4 S_IWOTH=2 S_IXOTH=1

[access flags]
F_OK=0 R_OK=4 W_OK=2 X_OK=1

[dup3 flags]
O_CLOEXEC=0o2000000

[pipe flags]
O_NONBLOCK=0o4000 O_DIRECT=0o40000 O_CLOEXEC=0o2000000 O_NOTIFICATION_PIPE=0o200
[pipe@aarch64]
O_DIRECT=0o200000

[close_range flags]
CLOSE_RANGE_UNSHARE=2 CLOSE_RANGE_CLOEXEC=4

[at_access flags]
AT_SYMLINK_NOFOLLOW=0x100 AT_EACCESS=0x200 AT_EMPTY_PATH=0x1000

[at_attr flags]
AT_SYMLINK_NOFOLLOW=0x100 AT_EMPTY_PATH=0x1000

[at_chmod flags]
AT_SYMLINK_NOFOLLOW=0x100 AT_EMPTY_PATH=0x1000

[at_chown flags]
AT_SYMLINK_NOFOLLOW=0x100 AT_EMPTY_PATH=0x1000

[at_exec flags]
AT_SYMLINK_NOFOLLOW=0x100 AT_EMPTY_PATH=0x1000 AT_EXECVE_CHECK=0x10000

[at_handle flags]
AT_SYMLINK_FOLLOW=0x400 AT_EMPTY_PATH=0x1000 AT_HANDLE_FID=0x200 AT_HANDLE_MNT_ID_UNIQUE=1
AT_HANDLE_CONNECTABLE=2

[at_link flags]
AT_SYMLINK_FOLLOW=0x400 AT_EMPTY_PATH=0x1000

[at_stat flags]
AT_SYMLINK_NOFOLLOW=0x100 AT_NO_AUTOMOUNT=0x800 AT_EMPTY_PATH=0x1000

[at_statx flags]
AT_STATX_SYNC_AS_STAT=0/0x6000 AT_STATX_FORCE_SYNC=0x2000/0x6000 AT_STATX_DONT_SYNC=0x4000/0x6000
AT_SYMLINK_NOFOLLOW=0x100 AT_NO_AUTOMOUNT=0x800 AT_EMPTY_PATH=0x1000

[at_unlink flags]
AT_REMOVEDIR=0x200

[at_utime flags]
AT_SYMLINK_NOFOLLOW=0x100 AT_EMPTY_PATH=0x1000

[statx flags]
STATX_ALL=0xfff STATX_BASIC_STATS=0x7ff STATX_TYPE=1 STATX_MODE=2 STATX_NLINK=4 STATX_UID=8 STATX_GID=0x10
STATX_ATIME=0x20 STATX_MTIME=0x40 STATX_CTIME=0x80 STATX_INO=0x100 STATX_SIZE=0x200 STATX_BLOCKS=0x400
STATX_BTIME=0x800 STATX_MNT_ID=0x1000 STATX_DIOALIGN=0x2000 STATX_MNT_ID_UNIQUE=0x4000 STATX_SUBVOL=0x8000
STATX_WRITE_ATOMIC=0x10000 STATX_DIO_READ_ALIGN=0x20000

[rename flags]
RENAME_NOREPLACE=1 RENAME_EXCHANGE=2 RENAME_WHITEOUT=4

[xattr flags]
XATTR_CREATE=1 XATTR_REPLACE=2

[seek enum]
SEEK_SET=0 SEEK_CUR=1 SEEK_END=2 SEEK_DATA=3 SEEK_HOLE=4

[flock flags]
LOCK_SH=1 LOCK_EX=2 LOCK_NB=4 LOCK_UN=8 LOCK_MAND=0x20 LOCK_READ=0x40 LOCK_WRITE=0x80

[fadvise enum]
POSIX_FADV_NORMAL=0 POSIX_FADV_RANDOM=1 POSIX_FADV_SEQUENTIAL=2 POSIX_FADV_WILLNEED=3 POSIX_FADV_DONTNEED=4
POSIX_FADV_NOREUSE=5

[fallocate flags]
FALLOC_FL_KEEP_SIZE=1 FALLOC_FL_PUNCH_HOLE=2 FALLOC_FL_NO_HIDE_STALE=4
FALLOC_FL_COLLAPSE_RANGE=8 FALLOC_FL_ZERO_RANGE=0x10 FALLOC_FL_INSERT_RANGE=0x20
FALLOC_FL_UNSHARE_RANGE=0x40 FALLOC_FL_WRITE_ZEROES=0x80

[sync_file_range flags]
SYNC_FILE_RANGE_WAIT_BEFORE=1 SYNC_FILE_RANGE_WRITE=2 SYNC_FILE_RANGE_WAIT_AFTER=4

[splice flags]
SPLICE_F_MOVE=1 SPLICE_F_NONBLOCK=2 SPLICE_F_MORE=4 SPLICE_F_GIFT=8

[rwf flags]
RWF_HIPRI=1 RWF_DSYNC=2 RWF_SYNC=4 RWF_NOWAIT=8 RWF_APPEND=0x10 RWF_NOAPPEND=0x20 RWF_ATOMIC=0x40
RWF_DONTCACHE=0x80 RWF_NOSIGNAL=0x100

[none flags]

[none64 flags u64]

[fcntl enum]
F_DUPFD=0 F_GETFD=1 F_SETFD=2 F_GETFL=3 F_SETFL=4 F_GETLK=5 F_SETLK=6 F_SETLKW=7 F_SETOWN=8 F_GETOWN=9
F_SETSIG=10 F_GETSIG=11 F_SETOWN_EX=15 F_GETOWN_EX=16 F_GETOWNER_UIDS=17 F_OFD_GETLK=36 F_OFD_SETLK=37
F_OFD_SETLKW=38 F_SETLEASE=1024 F_GETLEASE=1025 F_NOTIFY=1026 F_DUPFD_QUERY=1027 F_CREATED_QUERY=1028
F_CANCELLK=1029 F_DUPFD_CLOEXEC=1030 F_SETPIPE_SZ=1031 F_GETPIPE_SZ=1032 F_ADD_SEALS=1033 F_GET_SEALS=1034
F_GET_RW_HINT=1035 F_SET_RW_HINT=1036 F_GET_FILE_RW_HINT=1037 F_SET_FILE_RW_HINT=1038 F_GETDELEG=1039
F_SETDELEG=1040

[fd_flags flags]
FD_CLOEXEC=1

[lease enum]
F_RDLCK=0 F_WRLCK=1 F_UNLCK=2

[dnotify flags]
DN_ACCESS=1 DN_MODIFY=2 DN_CREATE=4 DN_DELETE=8 DN_RENAME=0x10 DN_ATTRIB=0x20 DN_MULTISHOT=0x80000000

[seals flags]
F_SEAL_SEAL=1 F_SEAL_SHRINK=2 F_SEAL_GROW=4 F_SEAL_WRITE=8 F_SEAL_FUTURE_WRITE=0x10 F_SEAL_EXEC=0x20

[ioctl enum u32]
TCGETS=0x5401 TCSETS=0x5402 TCSETSW=0x5403 TCSETSF=0x5404 TCGETA=0x5405 TCSETA=0x5406 TCSETAW=0x5407
TCSETAF=0x5408 TCSBRK=0x5409 TCXONC=0x540a TCFLSH=0x540b TIOCEXCL=0x540c TIOCNXCL=0x540d TIOCSCTTY=0x540e
TIOCGPGRP=0x540f TIOCSPGRP=0x5410 TIOCOUTQ=0x5411 TIOCSTI=0x5412 TIOCGWINSZ=0x5413 TIOCSWINSZ=0x5414
TIOCMGET=0x5415 TIOCMBIS=0x5416 TIOCMBIC=0x5417 TIOCMSET=0x5418 TIOCGSOFTCAR=0x5419 TIOCSSOFTCAR=0x541a
FIONREAD=0x541b TIOCLINUX=0x541c TIOCCONS=0x541d TIOCGSERIAL=0x541e TIOCSSERIAL=0x541f TIOCPKT=0x5420
FIONBIO=0x5421 TIOCNOTTY=0x5422 TIOCSETD=0x5423 TIOCGETD=0x5424 TCSBRKP=0x5425 TIOCSBRK=0x5427
TIOCCBRK=0x5428 TIOCGSID=0x5429 TCGETS2=0x802c542a TCSETS2=0x402c542b TCSETSW2=0x402c542c
TCSETSF2=0x402c542d TIOCGPTN=0x80045430 TIOCSPTLCK=0x40045431 TIOCGDEV=0x80045432 TIOCSIG=0x40045436
TIOCGPKT=0x80045438 TIOCGPTLCK=0x80045439 TIOCGEXCL=0x80045440 TIOCGPTPEER=0x5441 FIONCLEX=0x5450
FIOCLEX=0x5451 FIOASYNC=0x5452 FIOQSIZE=0x5460 SIOCATMARK=0x8905 SIOCGPGRP=0x8904 SIOCSPGRP=0x8902
SIOCGIFNAME=0x8910 SIOCGIFCONF=0x8912 SIOCGIFFLAGS=0x8913 SIOCSIFFLAGS=0x8914 SIOCGIFADDR=0x8915
SIOCSIFADDR=0x8916 SIOCGIFDSTADDR=0x8917 SIOCSIFDSTADDR=0x8918 SIOCGIFBRDADDR=0x8919 SIOCSIFBRDADDR=0x891a
SIOCGIFNETMASK=0x891b SIOCSIFNETMASK=0x891c SIOCGIFMTU=0x8921 SIOCSIFMTU=0x8922 SIOCGIFHWADDR=0x8927
SIOCSIFHWADDR=0x8924 SIOCGIFINDEX=0x8933 SIOCADDRT=0x890b SIOCDELRT=0x890c SIOCETHTOOL=0x8946
SIOCBRADDBR=0x89a0 SIOCBRDELBR=0x89a1 SIOCBRADDIF=0x89a2 SIOCBRDELIF=0x89a3 FIBMAP=0x1 FIGETBSZ=0x2
FIFREEZE=0xc0045877 FITHAW=0xc0045878 FITRIM=0xc0185879 FICLONE=0x40049409 FICLONERANGE=0x4020940d
FIDEDUPERANGE=0xc0189436 FS_IOC_GETFLAGS=0x80086601 FS_IOC_SETFLAGS=0x40086602 FS_IOC_FSGETXATTR=0x801c581f
FS_IOC_FSSETXATTR=0x401c5820 FS_IOC_GETVERSION=0x80087601 FS_IOC_FIEMAP=0xc020660b BLKROSET=0x125d
BLKROGET=0x125e BLKRRPART=0x125f BLKGETSIZE=0x1260 BLKFLSBUF=0x1261 BLKSSZGET=0x1268 BLKDISCARD=0x1277
BLKGETSIZE64=0x80081272 LOOP_SET_FD=0x4c00 LOOP_CLR_FD=0x4c01 LOOP_SET_STATUS64=0x4c04
LOOP_GET_STATUS64=0x4c05 LOOP_CONFIGURE=0x4c0a LOOP_CTL_GET_FREE=0x4c82 TUNSETIFF=0x400454ca
TUNGETIFF=0x800454d2 TUNSETPERSIST=0x400454cb NS_GET_USERNS=0xb701 NS_GET_PARENT=0xb702 NS_GET_NSTYPE=0xb703
NS_GET_OWNER_UID=0xb704 PERF_EVENT_IOC_ENABLE=0x2400 PERF_EVENT_IOC_DISABLE=0x2401
PERF_EVENT_IOC_SET_BPF=0x40042408 UFFDIO_API=0xc018aa3f UFFDIO_REGISTER=0xc020aa00
UFFDIO_UNREGISTER=0x8010aa01 UFFDIO_COPY=0xc028aa03 FS_IOC_RESVSP=0x40305828 FS_IOC_UNRESVSP=0x40305829
FS_IOC_RESVSP64=0x4030582a FS_IOC_UNRESVSP64=0x4030582b FS_IOC_ZERO_RANGE=0x40305839 FS_IOC_GETFSMAP=0xc0c0583b
FS_IOC_SETVERSION=0x40087602 FS_IOC_GETFSLABEL=0x81009431 FS_IOC_SETFSLABEL=0x41009432
FS_IOC_SET_ENCRYPTION_POLICY=0x800c6613 FS_IOC_GET_ENCRYPTION_POLICY=0x400c6615
FS_IOC_GET_ENCRYPTION_POLICY_EX=0xc0096616 FS_IOC_GET_ENCRYPTION_KEY_STATUS=0xc080661a
FS_IOC_ENABLE_VERITY=0x40806685 FS_IOC_MEASURE_VERITY=0xc0046686 FS_IOC_READ_VERITY_METADATA=0xc0286687
EXT4_IOC_SETVERSION=0x40086604 EXT4_IOC_MOVE_EXT=0xc028660f EXT4_IOC_SWAP_BOOT=0x6611 PAGEMAP_SCAN=0xc0606610
PROCMAP_QUERY=0xc0686611 BTRFS_IOC_TREE_SEARCH=0xd0009411 BTRFS_IOC_TREE_SEARCH_V2=0xc0709411
BTRFS_IOC_INO_LOOKUP=0xd0009412 BTRFS_IOC_SPACE_INFO=0xc0109414 BTRFS_IOC_DEV_INFO=0xd000941e
BTRFS_IOC_INO_PATHS=0xc0389423 BTRFS_IOC_LOGICAL_INO=0xc0389424 BLKBSZSET=0x40081271 BLKSECDISCARD=0x127d
BLKZEROOUT=0x127f BLKREPORTZONE=0xc0101282 KVM_GET_API_VERSION=0xae00 KVM_CREATE_VM=0xae01
KVM_CREATE_VCPU=0xae41 KVM_RUN=0xae80

[epoll flags]
EPOLL_CLOEXEC=0o2000000

[epoll_ctl enum]
EPOLL_CTL_ADD=1 EPOLL_CTL_DEL=2 EPOLL_CTL_MOD=3

[eventfd flags]
EFD_SEMAPHORE=1 EFD_NONBLOCK=0o4000 EFD_CLOEXEC=0o2000000

[signalfd flags]
SFD_NONBLOCK=0o4000 SFD_CLOEXEC=0o2000000

[timerfd flags]
TFD_NONBLOCK=0o4000 TFD_CLOEXEC=0o2000000

[timerfd_settime flags]
TFD_TIMER_ABSTIME=1 TFD_TIMER_CANCEL_ON_SET=2

[timer flags]
TIMER_ABSTIME=1

[inotify_init flags]
IN_NONBLOCK=0o4000 IN_CLOEXEC=0o2000000

[inotify flags]
IN_ACCESS=1 IN_MODIFY=2 IN_ATTRIB=4 IN_CLOSE_WRITE=8 IN_CLOSE_NOWRITE=0x10 IN_OPEN=0x20 IN_MOVED_FROM=0x40
IN_MOVED_TO=0x80 IN_CREATE=0x100 IN_DELETE=0x200 IN_DELETE_SELF=0x400 IN_MOVE_SELF=0x800 IN_UNMOUNT=0x2000
IN_Q_OVERFLOW=0x4000 IN_IGNORED=0x8000 IN_ONLYDIR=0x1000000 IN_DONT_FOLLOW=0x2000000
IN_EXCL_UNLINK=0x4000000 IN_MASK_CREATE=0x10000000 IN_MASK_ADD=0x20000000 IN_ISDIR=0x40000000
IN_ONESHOT=0x80000000 IN_ALL_EVENTS=0xfff IN_CLOSE=0x18 IN_MOVE=0xc0

[fanotify_init flags]
FAN_CLASS_NOTIF=0/0xc FAN_CLASS_CONTENT=4/0xc FAN_CLASS_PRE_CONTENT=8/0xc FAN_CLOEXEC=1 FAN_NONBLOCK=2
FAN_UNLIMITED_QUEUE=0x10 FAN_UNLIMITED_MARKS=0x20 FAN_ENABLE_AUDIT=0x40 FAN_REPORT_PIDFD=0x80
FAN_REPORT_TID=0x100 FAN_REPORT_FID=0x200 FAN_REPORT_DIR_FID=0x400 FAN_REPORT_NAME=0x800
FAN_REPORT_TARGET_FID=0x1000 FAN_REPORT_FD_ERROR=0x2000 FAN_REPORT_MNT=0x4000

[fanotify_mark flags]
FAN_MARK_ADD=1 FAN_MARK_REMOVE=2 FAN_MARK_DONT_FOLLOW=4 FAN_MARK_ONLYDIR=8 FAN_MARK_MOUNT=0x10
FAN_MARK_IGNORED_MASK=0x20 FAN_MARK_IGNORED_SURV_MODIFY=0x40 FAN_MARK_FLUSH=0x80 FAN_MARK_FILESYSTEM=0x100
FAN_MARK_EVICTABLE=0x200 FAN_MARK_IGNORE=0x400 FAN_MARK_MNTNS=0x110

[fanotify flags u64]
FAN_ACCESS=1 FAN_MODIFY=2 FAN_ATTRIB=4 FAN_CLOSE_WRITE=8 FAN_CLOSE_NOWRITE=0x10 FAN_OPEN=0x20
FAN_MOVED_FROM=0x40 FAN_MOVED_TO=0x80 FAN_CREATE=0x100 FAN_DELETE=0x200 FAN_DELETE_SELF=0x400
FAN_MOVE_SELF=0x800 FAN_OPEN_EXEC=0x1000 FAN_Q_OVERFLOW=0x4000 FAN_FS_ERROR=0x8000 FAN_OPEN_PERM=0x10000
FAN_ACCESS_PERM=0x20000 FAN_OPEN_EXEC_PERM=0x40000 FAN_PRE_ACCESS=0x100000 FAN_MNT_ATTACH=0x1000000
FAN_MNT_DETACH=0x2000000 FAN_EVENT_ON_CHILD=0x8000000 FAN_RENAME=0x10000000 FAN_ONDIR=0x40000000
FAN_CLOSE=0x18 FAN_MOVE=0xc0

[userfaultfd flags]
UFFD_USER_MODE_ONLY=1 O_NONBLOCK=0o4000 O_CLOEXEC=0o2000000

[memfd flags]
MFD_CLOEXEC=1 MFD_ALLOW_SEALING=2 MFD_HUGETLB=4 MFD_NOEXEC_SEAL=8 MFD_EXEC=0x10
MFD_HUGE_64KB=0x40000000/0xfc000000 MFD_HUGE_2MB=0x54000000/0xfc000000 MFD_HUGE_1GB=0x78000000/0xfc000000

[memfd_secret flags]
FD_CLOEXEC=1 O_CLOEXEC=0o2000000

[io_uring_enter flags]
IORING_ENTER_GETEVENTS=1 IORING_ENTER_SQ_WAKEUP=2 IORING_ENTER_SQ_WAIT=4 IORING_ENTER_EXT_ARG=8
IORING_ENTER_REGISTERED_RING=0x10 IORING_ENTER_ABS_TIMER=0x20 IORING_ENTER_EXT_ARG_REG=0x40
IORING_ENTER_NO_IOWAIT=0x80

[io_uring_register flags]
IORING_REGISTER_BUFFERS=0/0x7fffffff IORING_UNREGISTER_BUFFERS=1/0x7fffffff
IORING_REGISTER_FILES=2/0x7fffffff IORING_UNREGISTER_FILES=3/0x7fffffff IORING_REGISTER_EVENTFD=4/0x7fffffff
IORING_UNREGISTER_EVENTFD=5/0x7fffffff IORING_REGISTER_FILES_UPDATE=6/0x7fffffff
IORING_REGISTER_EVENTFD_ASYNC=7/0x7fffffff IORING_REGISTER_PROBE=8/0x7fffffff
IORING_REGISTER_PERSONALITY=9/0x7fffffff IORING_UNREGISTER_PERSONALITY=10/0x7fffffff
IORING_REGISTER_RESTRICTIONS=11/0x7fffffff IORING_REGISTER_ENABLE_RINGS=12/0x7fffffff
IORING_REGISTER_FILES2=13/0x7fffffff IORING_REGISTER_FILES_UPDATE2=14/0x7fffffff
IORING_REGISTER_BUFFERS2=15/0x7fffffff IORING_REGISTER_BUFFERS_UPDATE=16/0x7fffffff
IORING_REGISTER_IOWQ_AFF=17/0x7fffffff IORING_UNREGISTER_IOWQ_AFF=18/0x7fffffff
IORING_REGISTER_IOWQ_MAX_WORKERS=19/0x7fffffff IORING_REGISTER_RING_FDS=20/0x7fffffff
IORING_UNREGISTER_RING_FDS=21/0x7fffffff IORING_REGISTER_PBUF_RING=22/0x7fffffff
IORING_UNREGISTER_PBUF_RING=23/0x7fffffff IORING_REGISTER_SYNC_CANCEL=24/0x7fffffff
IORING_REGISTER_FILE_ALLOC_RANGE=25/0x7fffffff IORING_REGISTER_PBUF_STATUS=26/0x7fffffff
IORING_REGISTER_NAPI=27/0x7fffffff IORING_UNREGISTER_NAPI=28/0x7fffffff IORING_REGISTER_CLOCK=29/0x7fffffff
IORING_REGISTER_CLONE_BUFFERS=30/0x7fffffff IORING_REGISTER_SEND_MSG_RING=31/0x7fffffff
IORING_REGISTER_ZCRX_IFQ=32/0x7fffffff IORING_REGISTER_RESIZE_RINGS=33/0x7fffffff
IORING_REGISTER_MEM_REGION=34/0x7fffffff IORING_REGISTER_QUERY=35/0x7fffffff
IORING_REGISTER_ZCRX_CTRL=36/0x7fffffff IORING_REGISTER_BPF_FILTER=37/0x7fffffff
IORING_REGISTER_USE_REGISTERED_RING=0x80000000

[io_uring_op enum]
IORING_OP_NOP=0 IORING_OP_READV=1 IORING_OP_WRITEV=2 IORING_OP_FSYNC=3 IORING_OP_READ_FIXED=4
IORING_OP_WRITE_FIXED=5 IORING_OP_POLL_ADD=6 IORING_OP_POLL_REMOVE=7 IORING_OP_SYNC_FILE_RANGE=8
IORING_OP_SENDMSG=9 IORING_OP_RECVMSG=10 IORING_OP_TIMEOUT=11 IORING_OP_TIMEOUT_REMOVE=12
IORING_OP_ACCEPT=13 IORING_OP_ASYNC_CANCEL=14 IORING_OP_LINK_TIMEOUT=15 IORING_OP_CONNECT=16
IORING_OP_FALLOCATE=17 IORING_OP_OPENAT=18 IORING_OP_CLOSE=19 IORING_OP_FILES_UPDATE=20 IORING_OP_STATX=21
IORING_OP_READ=22 IORING_OP_WRITE=23 IORING_OP_FADVISE=24 IORING_OP_MADVISE=25 IORING_OP_SEND=26
IORING_OP_RECV=27 IORING_OP_OPENAT2=28 IORING_OP_EPOLL_CTL=29 IORING_OP_SPLICE=30
IORING_OP_PROVIDE_BUFFERS=31 IORING_OP_REMOVE_BUFFERS=32 IORING_OP_TEE=33 IORING_OP_SHUTDOWN=34
IORING_OP_RENAMEAT=35 IORING_OP_UNLINKAT=36 IORING_OP_MKDIRAT=37 IORING_OP_SYMLINKAT=38 IORING_OP_LINKAT=39
IORING_OP_MSG_RING=40 IORING_OP_FSETXATTR=41 IORING_OP_SETXATTR=42 IORING_OP_FGETXATTR=43
IORING_OP_GETXATTR=44 IORING_OP_SOCKET=45 IORING_OP_URING_CMD=46 IORING_OP_SEND_ZC=47
IORING_OP_SENDMSG_ZC=48 IORING_OP_READ_MULTISHOT=49 IORING_OP_WAITID=50 IORING_OP_FUTEX_WAIT=51
IORING_OP_FUTEX_WAKE=52 IORING_OP_FUTEX_WAITV=53 IORING_OP_FIXED_FD_INSTALL=54 IORING_OP_FTRUNCATE=55
IORING_OP_BIND=56 IORING_OP_LISTEN=57 IORING_OP_RECV_ZC=58 IORING_OP_EPOLL_WAIT=59 IORING_OP_READV_FIXED=60
IORING_OP_WRITEV_FIXED=61 IORING_OP_PIPE=62 IORING_OP_NOP128=63 IORING_OP_URING_CMD128=64

[domain enum]
AF_UNSPEC=0 AF_UNIX=1 AF_INET=2 AF_AX25=3 AF_IPX=4 AF_APPLETALK=5 AF_NETROM=6 AF_BRIDGE=7 AF_ATMPVC=8
AF_X25=9 AF_INET6=10 AF_ROSE=11 AF_DECnet=12 AF_NETBEUI=13 AF_SECURITY=14 AF_KEY=15 AF_NETLINK=16
AF_PACKET=17 AF_ASH=18 AF_ECONET=19 AF_ATMSVC=20 AF_RDS=21 AF_SNA=22 AF_IRDA=23 AF_PPPOX=24 AF_WANPIPE=25
AF_LLC=26 AF_IB=27 AF_MPLS=28 AF_CAN=29 AF_TIPC=30 AF_BLUETOOTH=31 AF_IUCV=32 AF_RXRPC=33 AF_ISDN=34
AF_PHONET=35 AF_IEEE802154=36 AF_CAIF=37 AF_ALG=38 AF_NFC=39 AF_VSOCK=40 AF_KCM=41 AF_QIPCRTR=42 AF_SMC=43
AF_XDP=44 AF_MCTP=45 AF_LOCAL=1 AF_ROUTE=16

[socket_type flags]
SOCK_STREAM=1/0xf SOCK_DGRAM=2/0xf SOCK_RAW=3/0xf SOCK_RDM=4/0xf SOCK_SEQPACKET=5/0xf SOCK_DCCP=6/0xf
SOCK_PACKET=0xa/0xf SOCK_CLOEXEC=0x80000 SOCK_NONBLOCK=0x800

[accept flags]
SOCK_CLOEXEC=0x80000 SOCK_NONBLOCK=0x800

[ipproto enum]
IPPROTO_IP=0 IPPROTO_ICMP=1 IPPROTO_IGMP=2 IPPROTO_IPIP=4 IPPROTO_TCP=6 IPPROTO_EGP=8 IPPROTO_PUP=12
IPPROTO_UDP=17 IPPROTO_IDP=22 IPPROTO_TP=29 IPPROTO_DCCP=33 IPPROTO_IPV6=41 IPPROTO_RSVP=46 IPPROTO_GRE=47
IPPROTO_ESP=50 IPPROTO_AH=51 IPPROTO_ICMPV6=58 IPPROTO_MTP=92 IPPROTO_BEETPH=94 IPPROTO_ENCAP=98
IPPROTO_PIM=103 IPPROTO_COMP=108 IPPROTO_L2TP=115 IPPROTO_SCTP=132 IPPROTO_UDPLITE=136 IPPROTO_MPLS=137
IPPROTO_ETHERNET=143 IPPROTO_RAW=255 IPPROTO_SMC=256 IPPROTO_MPTCP=262

[netlink enum]
NETLINK_ROUTE=0 NETLINK_UNUSED=1 NETLINK_USERSOCK=2 NETLINK_FIREWALL=3 NETLINK_SOCK_DIAG=4 NETLINK_NFLOG=5
NETLINK_XFRM=6 NETLINK_SELINUX=7 NETLINK_ISCSI=8 NETLINK_AUDIT=9 NETLINK_FIB_LOOKUP=10 NETLINK_CONNECTOR=11
NETLINK_NETFILTER=12 NETLINK_IP6_FW=13 NETLINK_DNRTMSG=14 NETLINK_KOBJECT_UEVENT=15 NETLINK_GENERIC=16
NETLINK_SCSITRANSPORT=18 NETLINK_ECRYPTFS=19 NETLINK_RDMA=20 NETLINK_CRYPTO=21 NETLINK_SMC=22

[msg flags]
MSG_OOB=1 MSG_PEEK=2 MSG_DONTROUTE=4 MSG_CTRUNC=8 MSG_PROBE=0x10 MSG_TRUNC=0x20 MSG_DONTWAIT=0x40
MSG_EOR=0x80 MSG_WAITALL=0x100 MSG_FIN=0x200 MSG_SYN=0x400 MSG_CONFIRM=0x800 MSG_RST=0x1000
MSG_ERRQUEUE=0x2000 MSG_NOSIGNAL=0x4000 MSG_MORE=0x8000 MSG_WAITFORONE=0x10000 MSG_BATCH=0x40000
MSG_ZEROCOPY=0x4000000 MSG_FASTOPEN=0x20000000 MSG_CMSG_CLOEXEC=0x40000000

[shutdown enum]
SHUT_RD=0 SHUT_WR=1 SHUT_RDWR=2

[sol enum]
SOL_IP=0 SOL_SOCKET=1 SOL_TCP=6 SOL_UDP=17 SOL_IPV6=41 SOL_ICMPV6=58 SOL_SCTP=132 SOL_UDPLITE=136
SOL_RAW=255 SOL_X25=262 SOL_PACKET=263 SOL_ATM=264 SOL_AAL=265 SOL_IRDA=266 SOL_NETBEUI=267 SOL_LLC=268
SOL_DCCP=269 SOL_NETLINK=270 SOL_TIPC=271 SOL_RXRPC=272 SOL_PPPOL2TP=273 SOL_BLUETOOTH=274 SOL_PNPIPE=275
SOL_RDS=276 SOL_IUCV=277 SOL_CAIF=278 SOL_ALG=279 SOL_NFC=280 SOL_KCM=281 SOL_TLS=282 SOL_XDP=283
SOL_MPTCP=284 SOL_MCTP=285 SOL_SMC=286 SOL_VSOCK=287 IPPROTO_IP=0 IPPROTO_TCP=6 IPPROTO_UDP=17
IPPROTO_IPV6=41 IPPROTO_ICMPV6=58 IPPROTO_SCTP=132 IPPROTO_RAW=255

[so enum]
SO_DEBUG=1 SO_REUSEADDR=2 SO_TYPE=3 SO_ERROR=4 SO_DONTROUTE=5 SO_BROADCAST=6 SO_SNDBUF=7 SO_RCVBUF=8
SO_KEEPALIVE=9 SO_OOBINLINE=10 SO_NO_CHECK=11 SO_PRIORITY=12 SO_LINGER=13 SO_BSDCOMPAT=14 SO_REUSEPORT=15
SO_PASSCRED=16 SO_PEERCRED=17 SO_RCVLOWAT=18 SO_SNDLOWAT=19 SO_RCVTIMEO=20 SO_SNDTIMEO=21
SO_SECURITY_AUTHENTICATION=22 SO_SECURITY_ENCRYPTION_TRANSPORT=23 SO_SECURITY_ENCRYPTION_NETWORK=24
SO_BINDTODEVICE=25 SO_ATTACH_FILTER=26 SO_DETACH_FILTER=27 SO_PEERNAME=28 SO_TIMESTAMP=29 SO_ACCEPTCONN=30
SO_PEERSEC=31 SO_SNDBUFFORCE=32 SO_RCVBUFFORCE=33 SO_PASSSEC=34 SO_TIMESTAMPNS=35 SO_MARK=36
SO_TIMESTAMPING=37 SO_PROTOCOL=38 SO_DOMAIN=39 SO_RXQ_OVFL=40 SO_WIFI_STATUS=41 SO_PEEK_OFF=42 SO_NOFCS=43
SO_LOCK_FILTER=44 SO_SELECT_ERR_QUEUE=45 SO_BUSY_POLL=46 SO_MAX_PACING_RATE=47 SO_BPF_EXTENSIONS=48
SO_INCOMING_CPU=49 SO_ATTACH_BPF=50 SO_ATTACH_REUSEPORT_CBPF=51 SO_ATTACH_REUSEPORT_EBPF=52 SO_CNX_ADVICE=53
SCM_TIMESTAMPING_OPT_STATS=54 SO_MEMINFO=55 SO_INCOMING_NAPI_ID=56 SO_COOKIE=57 SCM_TIMESTAMPING_PKTINFO=58
SO_PEERGROUPS=59 SO_ZEROCOPY=60 SO_TXTIME=61 SO_BINDTOIFINDEX=62 SO_TIMESTAMP_NEW=63 SO_TIMESTAMPNS_NEW=64
SO_TIMESTAMPING_NEW=65 SO_RCVTIMEO_NEW=66 SO_SNDTIMEO_NEW=67 SO_DETACH_REUSEPORT_BPF=68
SO_PREFER_BUSY_POLL=69 SO_BUSY_POLL_BUDGET=70 SO_NETNS_COOKIE=71 SO_BUF_LOCK=72 SO_RESERVE_MEM=73
SO_TXREHASH=74 SO_RCVMARK=75 SO_PASSPIDFD=76 SO_PEERPIDFD=77 SO_DEVMEM_LINEAR=78 SO_DEVMEM_DMABUF=79
SO_DEVMEM_DONTNEED=80 SCM_TS_OPT_ID=81 SO_RCVPRIORITY=82 SO_PASSRIGHTS=83 SO_INQ=84

[tcp enum]
TCP_NODELAY=1 TCP_MAXSEG=2 TCP_CORK=3 TCP_KEEPIDLE=4 TCP_KEEPINTVL=5 TCP_KEEPCNT=6 TCP_SYNCNT=7
TCP_LINGER2=8 TCP_DEFER_ACCEPT=9 TCP_WINDOW_CLAMP=10 TCP_INFO=11 TCP_QUICKACK=12 TCP_CONGESTION=13
TCP_MD5SIG=14 TCP_THIN_LINEAR_TIMEOUTS=16 TCP_THIN_DUPACK=17 TCP_USER_TIMEOUT=18 TCP_REPAIR=19
TCP_REPAIR_QUEUE=20 TCP_QUEUE_SEQ=21 TCP_REPAIR_OPTIONS=22 TCP_FASTOPEN=23 TCP_TIMESTAMP=24
TCP_NOTSENT_LOWAT=25 TCP_CC_INFO=26 TCP_SAVE_SYN=27 TCP_SAVED_SYN=28 TCP_REPAIR_WINDOW=29
TCP_FASTOPEN_CONNECT=30 TCP_ULP=31 TCP_MD5SIG_EXT=32 TCP_FASTOPEN_KEY=33 TCP_FASTOPEN_NO_COOKIE=34
TCP_ZEROCOPY_RECEIVE=35 TCP_INQ=36 TCP_TX_DELAY=37 TCP_AO_ADD_KEY=38 TCP_AO_DEL_KEY=39 TCP_AO_INFO=40
TCP_AO_GET_KEYS=41 TCP_AO_REPAIR=42 TCP_IS_MPTCP=43 TCP_RTO_MAX_MS=44 TCP_RTO_MIN_US=45 TCP_DELACK_MAX_US=46

[udp enum]
UDP_CORK=1 UDP_ENCAP=100 UDP_NO_CHECK6_TX=101 UDP_NO_CHECK6_RX=102 UDP_SEGMENT=103 UDP_GRO=104

[ip enum]
IP_TOS=1 IP_TTL=2 IP_HDRINCL=3 IP_OPTIONS=4 IP_ROUTER_ALERT=5 IP_RECVOPTS=6 IP_RETOPTS=7 IP_PKTINFO=8
IP_PKTOPTIONS=9 IP_MTU_DISCOVER=10 IP_RECVERR=11 IP_RECVTTL=12 IP_RECVTOS=13 IP_MTU=14 IP_FREEBIND=15
IP_IPSEC_POLICY=16 IP_XFRM_POLICY=17 IP_PASSSEC=18 IP_TRANSPARENT=19 IP_ORIGDSTADDR=20 IP_MINTTL=21
IP_NODEFRAG=22 IP_CHECKSUM=23 IP_BIND_ADDRESS_NO_PORT=24 IP_RECVFRAGSIZE=25 IP_RECVERR_RFC4884=26
IP_MULTICAST_IF=32 IP_MULTICAST_TTL=33 IP_MULTICAST_LOOP=34 IP_ADD_MEMBERSHIP=35 IP_DROP_MEMBERSHIP=36
IP_UNBLOCK_SOURCE=37 IP_BLOCK_SOURCE=38 IP_ADD_SOURCE_MEMBERSHIP=39 IP_DROP_SOURCE_MEMBERSHIP=40
IP_MSFILTER=41 MCAST_JOIN_GROUP=42 MCAST_BLOCK_SOURCE=43 MCAST_UNBLOCK_SOURCE=44 MCAST_LEAVE_GROUP=45
MCAST_JOIN_SOURCE_GROUP=46 MCAST_LEAVE_SOURCE_GROUP=47 MCAST_MSFILTER=48 IP_MULTICAST_ALL=49
IP_UNICAST_IF=50 IP_LOCAL_PORT_RANGE=51 IP_PROTOCOL=52

[ipv6 enum]
IPV6_ADDRFORM=1 IPV6_2292PKTINFO=2 IPV6_2292HOPOPTS=3 IPV6_2292DSTOPTS=4 IPV6_2292RTHDR=5
IPV6_2292PKTOPTIONS=6 IPV6_CHECKSUM=7 IPV6_2292HOPLIMIT=8 IPV6_NEXTHOP=9 IPV6_AUTHHDR=10 IPV6_FLOWINFO=11
IPV6_UNICAST_HOPS=16 IPV6_MULTICAST_IF=17 IPV6_MULTICAST_HOPS=18 IPV6_MULTICAST_LOOP=19
IPV6_ADD_MEMBERSHIP=20 IPV6_DROP_MEMBERSHIP=21 IPV6_ROUTER_ALERT=22 IPV6_MTU_DISCOVER=23 IPV6_MTU=24
IPV6_RECVERR=25 IPV6_V6ONLY=26 IPV6_JOIN_ANYCAST=27 IPV6_LEAVE_ANYCAST=28 IPV6_MULTICAST_ALL=29
IPV6_ROUTER_ALERT_ISOLATE=30 IPV6_RECVERR_RFC4884=31 IPV6_FLOWLABEL_MGR=32 IPV6_FLOWINFO_SEND=33
IPV6_IPSEC_POLICY=34 IPV6_XFRM_POLICY=35 IPV6_HDRINCL=36 IPV6_RECVPKTINFO=49 IPV6_PKTINFO=50
IPV6_RECVHOPLIMIT=51 IPV6_HOPLIMIT=52 IPV6_RECVHOPOPTS=53 IPV6_HOPOPTS=54 IPV6_RTHDRDSTOPTS=55
IPV6_RECVRTHDR=56 IPV6_RTHDR=57 IPV6_RECVDSTOPTS=58 IPV6_DSTOPTS=59 IPV6_RECVPATHMTU=60 IPV6_PATHMTU=61
IPV6_DONTFRAG=62 IPV6_RECVTCLASS=66 IPV6_TCLASS=67 IPV6_AUTOFLOWLABEL=70 IPV6_ADDR_PREFERENCES=72
IPV6_MINHOPCOUNT=73 IPV6_ORIGDSTADDR=74 IPV6_TRANSPARENT=75 IPV6_UNICAST_IF=76 IPV6_RECVFRAGSIZE=77
IPV6_FREEBIND=78
MCAST_JOIN_GROUP=42 MCAST_BLOCK_SOURCE=43 MCAST_UNBLOCK_SOURCE=44 MCAST_LEAVE_GROUP=45
MCAST_JOIN_SOURCE_GROUP=46 MCAST_LEAVE_SOURCE_GROUP=47 MCAST_MSFILTER=48

[so_packet enum]
PACKET_ADD_MEMBERSHIP=1 PACKET_DROP_MEMBERSHIP=2 PACKET_RECV_OUTPUT=3 PACKET_RX_RING=5 PACKET_STATISTICS=6
PACKET_COPY_THRESH=7 PACKET_AUXDATA=8 PACKET_ORIGDEV=9 PACKET_VERSION=10 PACKET_HDRLEN=11 PACKET_RESERVE=12
PACKET_TX_RING=13 PACKET_LOSS=14 PACKET_VNET_HDR=15 PACKET_TX_TIMESTAMP=16 PACKET_TIMESTAMP=17
PACKET_FANOUT=18

[so_netlink enum]
NETLINK_ADD_MEMBERSHIP=1 NETLINK_DROP_MEMBERSHIP=2 NETLINK_PKTINFO=3 NETLINK_BROADCAST_ERROR=4
NETLINK_NO_ENOBUFS=5 NETLINK_RX_RING=6 NETLINK_TX_RING=7 NETLINK_LISTEN_ALL_NSID=8
NETLINK_LIST_MEMBERSHIPS=9 NETLINK_CAP_ACK=10 NETLINK_EXT_ACK=11 NETLINK_GET_STRICT_CHK=12

[clone flags u64]
CLONE_VM=0x100 CLONE_FS=0x200 CLONE_FILES=0x400 CLONE_SIGHAND=0x800 CLONE_PIDFD=0x1000 CLONE_PTRACE=0x2000
CLONE_VFORK=0x4000 CLONE_PARENT=0x8000 CLONE_THREAD=0x10000 CLONE_NEWNS=0x20000 CLONE_SYSVSEM=0x40000
CLONE_SETTLS=0x80000 CLONE_PARENT_SETTID=0x100000 CLONE_CHILD_CLEARTID=0x200000 CLONE_DETACHED=0x400000
CLONE_UNTRACED=0x800000 CLONE_CHILD_SETTID=0x1000000 CLONE_NEWCGROUP=0x2000000 CLONE_NEWUTS=0x4000000
CLONE_NEWIPC=0x8000000 CLONE_NEWUSER=0x10000000 CLONE_NEWPID=0x20000000 CLONE_NEWNET=0x40000000
CLONE_IO=0x80000000 CLONE_CLEAR_SIGHAND=0x100000000 CLONE_INTO_CGROUP=0x200000000 SIGCHLD=0x11/0xff
SIGHUP=1/0xff SIGINT=2/0xff SIGKILL=9/0xff SIGUSR1=0xa/0xff SIGUSR2=0xc/0xff SIGTERM=0xf/0xff

[clone3 flags u64]
CLONE_VM=0x100 CLONE_FS=0x200 CLONE_FILES=0x400 CLONE_SIGHAND=0x800 CLONE_PIDFD=0x1000 CLONE_PTRACE=0x2000
CLONE_VFORK=0x4000 CLONE_PARENT=0x8000 CLONE_THREAD=0x10000 CLONE_NEWNS=0x20000 CLONE_SYSVSEM=0x40000
CLONE_SETTLS=0x80000 CLONE_PARENT_SETTID=0x100000 CLONE_CHILD_CLEARTID=0x200000 CLONE_DETACHED=0x400000
CLONE_UNTRACED=0x800000 CLONE_CHILD_SETTID=0x1000000 CLONE_NEWCGROUP=0x2000000 CLONE_NEWUTS=0x4000000
CLONE_NEWIPC=0x8000000 CLONE_NEWUSER=0x10000000 CLONE_NEWPID=0x20000000 CLONE_NEWNET=0x40000000
CLONE_IO=0x80000000 CLONE_NEWTIME=0x80 CLONE_CLEAR_SIGHAND=0x100000000 CLONE_INTO_CGROUP=0x200000000
CLONE_AUTOREAP=0x400000000 CLONE_NNP=0x800000000 CLONE_PIDFD_AUTOKILL=0x1000000000
CLONE_EMPTY_MNTNS=0x2000000000

[unshare flags u64]
CLONE_NEWTIME=0x80 CLONE_VM=0x100 CLONE_FS=0x200 CLONE_FILES=0x400 CLONE_SIGHAND=0x800 CLONE_THREAD=0x10000
CLONE_NEWNS=0x20000 CLONE_SYSVSEM=0x40000 CLONE_NEWCGROUP=0x2000000 CLONE_NEWUTS=0x4000000
CLONE_NEWIPC=0x8000000 CLONE_NEWUSER=0x10000000 CLONE_NEWPID=0x20000000 CLONE_NEWNET=0x40000000
UNSHARE_EMPTY_MNTNS=0x100000

[setns flags]
CLONE_NEWTIME=0x80 CLONE_NEWNS=0x20000 CLONE_NEWCGROUP=0x2000000 CLONE_NEWUTS=0x4000000
CLONE_NEWIPC=0x8000000 CLONE_NEWUSER=0x10000000 CLONE_NEWPID=0x20000000 CLONE_NEWNET=0x40000000

[wait flags]
WNOHANG=1 WEXITED=4 WSTOPPED=2 WUNTRACED=2 WCONTINUED=8 WNOWAIT=0x1000000 __WALL=0x40000000
__WCLONE=0x80000000 __WNOTHREAD=0x20000000

[idtype enum]
P_ALL=0 P_PID=1 P_PGID=2 P_PIDFD=3

[pidfd flags]
PIDFD_NONBLOCK=0o4000 PIDFD_THREAD=0o200

[pidfd_signal flags]
PIDFD_SIGNAL_THREAD=1 PIDFD_SIGNAL_THREAD_GROUP=2 PIDFD_SIGNAL_PROCESS_GROUP=4

[ptrace enum]
PTRACE_TRACEME=0 PTRACE_PEEKTEXT=1 PTRACE_PEEKDATA=2 PTRACE_PEEKUSR=3 PTRACE_POKETEXT=4 PTRACE_POKEDATA=5
PTRACE_POKEUSR=6 PTRACE_CONT=7 PTRACE_KILL=8 PTRACE_SINGLESTEP=9 PTRACE_ATTACH=16 PTRACE_DETACH=17
PTRACE_SYSCALL=24 PTRACE_SYSEMU=31 PTRACE_SYSEMU_SINGLESTEP=32 PTRACE_SETOPTIONS=0x4200
PTRACE_GETEVENTMSG=0x4201 PTRACE_GETSIGINFO=0x4202 PTRACE_SETSIGINFO=0x4203 PTRACE_GETREGSET=0x4204
PTRACE_SETREGSET=0x4205 PTRACE_SEIZE=0x4206 PTRACE_INTERRUPT=0x4207 PTRACE_LISTEN=0x4208
PTRACE_PEEKSIGINFO=0x4209 PTRACE_GETSIGMASK=0x420a PTRACE_SETSIGMASK=0x420b PTRACE_SECCOMP_GET_FILTER=0x420c
PTRACE_SECCOMP_GET_METADATA=0x420d PTRACE_GET_SYSCALL_INFO=0x420e PTRACE_GET_RSEQ_CONFIGURATION=0x420f
PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG=0x4210 PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG=0x4211
PTRACE_SET_SYSCALL_INFO=0x4212
[ptrace@x86_64]
PTRACE_GETREGS=12 PTRACE_SETREGS=13 PTRACE_GETFPREGS=14 PTRACE_SETFPREGS=15 PTRACE_ARCH_PRCTL=30
[ptrace@aarch64]
PTRACE_PEEKMTETAGS=33 PTRACE_POKEMTETAGS=34

[ptrace_options flags]
PTRACE_O_TRACESYSGOOD=1 PTRACE_O_TRACEFORK=2 PTRACE_O_TRACEVFORK=4 PTRACE_O_TRACECLONE=8
PTRACE_O_TRACEEXEC=0x10 PTRACE_O_TRACEVFORKDONE=0x20 PTRACE_O_TRACEEXIT=0x40 PTRACE_O_TRACESECCOMP=0x80
PTRACE_O_EXITKILL=0x100000 PTRACE_O_SUSPEND_SECCOMP=0x200000

[madvise enum]
MADV_NORMAL=0 MADV_RANDOM=1 MADV_SEQUENTIAL=2 MADV_WILLNEED=3 MADV_DONTNEED=4 MADV_FREE=8 MADV_REMOVE=9
MADV_DONTFORK=10 MADV_DOFORK=11 MADV_MERGEABLE=12 MADV_UNMERGEABLE=13 MADV_HUGEPAGE=14 MADV_NOHUGEPAGE=15
MADV_DONTDUMP=16 MADV_DODUMP=17 MADV_WIPEONFORK=18 MADV_KEEPONFORK=19 MADV_COLD=20 MADV_PAGEOUT=21
MADV_POPULATE_READ=22 MADV_POPULATE_WRITE=23 MADV_DONTNEED_LOCKED=24 MADV_COLLAPSE=25 MADV_HWPOISON=100
MADV_SOFT_OFFLINE=101 MADV_GUARD_INSTALL=102 MADV_GUARD_REMOVE=103

[kcmp enum]
KCMP_FILE=0 KCMP_VM=1 KCMP_FILES=2 KCMP_FS=3 KCMP_SIGHAND=4 KCMP_IO=5 KCMP_SYSVSEM=6 KCMP_EPOLL_TFD=7

[prctl enum]
PR_SET_PDEATHSIG=1 PR_GET_PDEATHSIG=2 PR_GET_DUMPABLE=3 PR_SET_DUMPABLE=4 PR_GET_UNALIGN=5 PR_SET_UNALIGN=6
PR_GET_KEEPCAPS=7 PR_SET_KEEPCAPS=8 PR_GET_FPEMU=9 PR_SET_FPEMU=10 PR_GET_FPEXC=11 PR_SET_FPEXC=12
PR_GET_TIMING=13 PR_SET_TIMING=14 PR_SET_NAME=15 PR_GET_NAME=16 PR_GET_ENDIAN=19 PR_SET_ENDIAN=20
PR_GET_SECCOMP=21 PR_SET_SECCOMP=22 PR_CAPBSET_READ=23 PR_CAPBSET_DROP=24 PR_GET_TSC=25 PR_SET_TSC=26
PR_GET_SECUREBITS=27 PR_SET_SECUREBITS=28 PR_SET_TIMERSLACK=29 PR_GET_TIMERSLACK=30
PR_TASK_PERF_EVENTS_DISABLE=31 PR_TASK_PERF_EVENTS_ENABLE=32 PR_MCE_KILL=33 PR_MCE_KILL_GET=34 PR_SET_MM=35
PR_SET_CHILD_SUBREAPER=36 PR_GET_CHILD_SUBREAPER=37 PR_SET_NO_NEW_PRIVS=38 PR_GET_NO_NEW_PRIVS=39
PR_GET_TID_ADDRESS=40 PR_SET_THP_DISABLE=41 PR_GET_THP_DISABLE=42 PR_MPX_ENABLE_MANAGEMENT=43
PR_MPX_DISABLE_MANAGEMENT=44 PR_SET_FP_MODE=45 PR_GET_FP_MODE=46 PR_CAP_AMBIENT=47 PR_SVE_SET_VL=50
PR_SVE_GET_VL=51 PR_GET_SPECULATION_CTRL=52 PR_SET_SPECULATION_CTRL=53 PR_PAC_RESET_KEYS=54
PR_SET_TAGGED_ADDR_CTRL=55 PR_GET_TAGGED_ADDR_CTRL=56 PR_SET_IO_FLUSHER=57 PR_GET_IO_FLUSHER=58
PR_SET_SYSCALL_USER_DISPATCH=59 PR_PAC_SET_ENABLED_KEYS=60 PR_PAC_GET_ENABLED_KEYS=61 PR_SCHED_CORE=62
PR_SME_SET_VL=63 PR_SME_GET_VL=64 PR_SET_MDWE=65 PR_GET_MDWE=66 PR_SET_MEMORY_MERGE=67
PR_GET_MEMORY_MERGE=68 PR_RISCV_V_SET_CONTROL=69 PR_RISCV_V_GET_CONTROL=70 PR_RISCV_SET_ICACHE_FLUSH_CTX=71
PR_PPC_GET_DEXCR=72 PR_PPC_SET_DEXCR=73 PR_GET_SHADOW_STACK_STATUS=74 PR_SET_SHADOW_STACK_STATUS=75
PR_LOCK_SHADOW_STACK_STATUS=76 PR_TIMER_CREATE_RESTORE_IDS=77 PR_FUTEX_HASH=78 PR_RSEQ_SLICE_EXTENSION=79
PR_GET_CFI=80 PR_SET_CFI=81 PR_SET_VMA=0x53564d41 PR_GET_AUXV=0x41555856 PR_SET_PTRACER=0x59616d61

[vma_name enum]
PR_SET_VMA_ANON_NAME=0

[dumpable enum]
SUID_DUMP_DISABLE=0 SUID_DUMP_USER=1 SUID_DUMP_ROOT=2

[cap enum]
CAP_CHOWN=0 CAP_DAC_OVERRIDE=1 CAP_DAC_READ_SEARCH=2 CAP_FOWNER=3 CAP_FSETID=4 CAP_KILL=5 CAP_SETGID=6
CAP_SETUID=7 CAP_SETPCAP=8 CAP_LINUX_IMMUTABLE=9 CAP_NET_BIND_SERVICE=10 CAP_NET_BROADCAST=11
CAP_NET_ADMIN=12 CAP_NET_RAW=13 CAP_IPC_LOCK=14 CAP_IPC_OWNER=15 CAP_SYS_MODULE=16 CAP_SYS_RAWIO=17
CAP_SYS_CHROOT=18 CAP_SYS_PTRACE=19 CAP_SYS_PACCT=20 CAP_SYS_ADMIN=21 CAP_SYS_BOOT=22 CAP_SYS_NICE=23
CAP_SYS_RESOURCE=24 CAP_SYS_TIME=25 CAP_SYS_TTY_CONFIG=26 CAP_MKNOD=27 CAP_LEASE=28 CAP_AUDIT_WRITE=29
CAP_AUDIT_CONTROL=30 CAP_SETFCAP=31 CAP_MAC_OVERRIDE=32 CAP_MAC_ADMIN=33 CAP_SYSLOG=34 CAP_WAKE_ALARM=35
CAP_BLOCK_SUSPEND=36 CAP_AUDIT_READ=37 CAP_PERFMON=38 CAP_BPF=39 CAP_CHECKPOINT_RESTORE=40

[cap_ambient enum]
PR_CAP_AMBIENT_IS_SET=1 PR_CAP_AMBIENT_RAISE=2 PR_CAP_AMBIENT_LOWER=3 PR_CAP_AMBIENT_CLEAR_ALL=4

[seccomp_mode enum]
SECCOMP_MODE_DISABLED=0 SECCOMP_MODE_STRICT=1 SECCOMP_MODE_FILTER=2

[securebits flags]
SECBIT_NOROOT=1 SECBIT_NOROOT_LOCKED=2 SECBIT_NO_SETUID_FIXUP=4 SECBIT_NO_SETUID_FIXUP_LOCKED=8
SECBIT_KEEP_CAPS=0x10 SECBIT_KEEP_CAPS_LOCKED=0x20 SECBIT_NO_CAP_AMBIENT_RAISE=0x40
SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED=0x80

[mdwe flags]
PR_MDWE_REFUSE_EXEC_GAIN=1 PR_MDWE_NO_INHERIT=2

[arch_prctl enum]
ARCH_SET_GS=0x1001 ARCH_SET_FS=0x1002 ARCH_GET_FS=0x1003 ARCH_GET_GS=0x1004 ARCH_GET_CPUID=0x1011
ARCH_SET_CPUID=0x1012 ARCH_GET_XCOMP_SUPP=0x1021 ARCH_GET_XCOMP_PERM=0x1022 ARCH_REQ_XCOMP_PERM=0x1023
ARCH_GET_XCOMP_GUEST_PERM=0x1024 ARCH_REQ_XCOMP_GUEST_PERM=0x1025 ARCH_MAP_VDSO_X32=0x2001
ARCH_MAP_VDSO_32=0x2002 ARCH_MAP_VDSO_64=0x2003 ARCH_GET_UNTAG_MASK=0x4001 ARCH_ENABLE_TAGGED_ADDR=0x4002
ARCH_GET_MAX_TAG_BITS=0x4003 ARCH_FORCE_TAGGED_SVA=0x4004 ARCH_SHSTK_ENABLE=0x5001 ARCH_SHSTK_DISABLE=0x5002
ARCH_SHSTK_LOCK=0x5003 ARCH_SHSTK_UNLOCK=0x5004 ARCH_SHSTK_STATUS=0x5005

[personality flags]
UNAME26=0x20000 ADDR_NO_RANDOMIZE=0x40000 FDPIC_FUNCPTRS=0x80000 MMAP_PAGE_ZERO=0x100000
ADDR_COMPAT_LAYOUT=0x200000 READ_IMPLIES_EXEC=0x400000 ADDR_LIMIT_32BIT=0x800000 SHORT_INODE=0x1000000
WHOLE_SECONDS=0x2000000 STICKY_TIMEOUTS=0x4000000 ADDR_LIMIT_3GB=0x8000000 PER_LINUX=0/0xff
PER_LINUX32=8/0xff

[rusage enum]
RUSAGE_SELF=0 RUSAGE_CHILDREN=-1 RUSAGE_BOTH=-2 RUSAGE_THREAD=1

[rlimit enum]
RLIMIT_CPU=0 RLIMIT_FSIZE=1 RLIMIT_DATA=2 RLIMIT_STACK=3 RLIMIT_CORE=4 RLIMIT_RSS=5 RLIMIT_NPROC=6
RLIMIT_NOFILE=7 RLIMIT_MEMLOCK=8 RLIMIT_AS=9 RLIMIT_LOCKS=10 RLIMIT_SIGPENDING=11 RLIMIT_MSGQUEUE=12
RLIMIT_NICE=13 RLIMIT_RTPRIO=14 RLIMIT_RTTIME=15

[priority enum]
PRIO_PROCESS=0 PRIO_PGRP=1 PRIO_USER=2

[ioprio_who enum]
IOPRIO_WHO_PROCESS=1 IOPRIO_WHO_PGRP=2 IOPRIO_WHO_USER=3

[ioprio flags]
IOPRIO_CLASS_NONE=0/0xe000 IOPRIO_CLASS_RT=0x2000/0xe000 IOPRIO_CLASS_BE=0x4000/0xe000
IOPRIO_CLASS_IDLE=0x6000/0xe000

[mmap_prot flags u64]
PROT_NONE=0 PROT_READ=1 PROT_WRITE=2 PROT_EXEC=4 PROT_SEM=8 PROT_GROWSDOWN=0x1000000 PROT_GROWSUP=0x2000000
[mmap_prot@aarch64]
PROT_BTI=0x10 PROT_MTE=0x20

[mmap flags u64]
MAP_FILE=0/0xf MAP_SHARED=1/0xf MAP_PRIVATE=2/0xf MAP_SHARED_VALIDATE=3/0xf MAP_DROPPABLE=8/0xf
MAP_FIXED=0x10 MAP_ANONYMOUS=0x20 MAP_GROWSDOWN=0x100 MAP_DENYWRITE=0x800 MAP_EXECUTABLE=0x1000
MAP_LOCKED=0x2000 MAP_NORESERVE=0x4000 MAP_POPULATE=0x8000 MAP_NONBLOCK=0x10000 MAP_STACK=0x20000
MAP_HUGETLB=0x40000 MAP_SYNC=0x80000 MAP_FIXED_NOREPLACE=0x100000 MAP_UNINITIALIZED=0x4000000
MAP_HUGE_64KB=0x40000000/0xfc000000 MAP_HUGE_2MB=0x54000000/0xfc000000 MAP_HUGE_1GB=0x78000000/0xfc000000
MAP_ANON=0x20
[mmap@x86_64]
MAP_32BIT=0x40 MAP_ABOVE4G=0x80

[mremap flags u64]
MREMAP_MAYMOVE=1 MREMAP_FIXED=2 MREMAP_DONTUNMAP=4

[msync flags]
MS_SYNC=4 MS_ASYNC=1 MS_INVALIDATE=2

[mlock2 flags]
MLOCK_ONFAULT=1

[mlockall flags]
MCL_CURRENT=1 MCL_FUTURE=2 MCL_ONFAULT=4

[pkey flags u64]
PKEY_DISABLE_ACCESS=1 PKEY_DISABLE_WRITE=2
[pkey@aarch64]
PKEY_DISABLE_EXECUTE=4 PKEY_DISABLE_READ=8

[shadow_stack flags]
SHADOW_STACK_SET_TOKEN=1 SHADOW_STACK_SET_MARKER=2

[membarrier enum]
MEMBARRIER_CMD_QUERY=0 MEMBARRIER_CMD_GLOBAL=1 MEMBARRIER_CMD_GLOBAL_EXPEDITED=2
MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED=4 MEMBARRIER_CMD_PRIVATE_EXPEDITED=8
MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED=16 MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE=32
MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE=64 MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ=128
MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ=256 MEMBARRIER_CMD_GET_REGISTRATIONS=512

[membarrier_flags flags]
MEMBARRIER_CMD_FLAG_CPU=1

[mempolicy flags]
MPOL_DEFAULT=0/0xff MPOL_PREFERRED=1/0xff MPOL_BIND=2/0xff MPOL_INTERLEAVE=3/0xff MPOL_LOCAL=4/0xff
MPOL_PREFERRED_MANY=5/0xff MPOL_WEIGHTED_INTERLEAVE=6/0xff MPOL_F_STATIC_NODES=0x8000
MPOL_F_RELATIVE_NODES=0x4000 MPOL_F_NUMA_BALANCING=0x2000

[mbind flags]
MPOL_MF_STRICT=1 MPOL_MF_MOVE=2 MPOL_MF_MOVE_ALL=4

[get_mempolicy flags u64]
MPOL_F_NODE=1 MPOL_F_ADDR=2 MPOL_F_MEMS_ALLOWED=4

[dirfd enum decimal]
AT_FDCWD=-100

[signal enum decimal]
SIGHUP=1 SIGINT=2 SIGQUIT=3 SIGILL=4 SIGTRAP=5 SIGABRT=6 SIGBUS=7 SIGFPE=8 SIGKILL=9 SIGUSR1=10 SIGSEGV=11
SIGUSR2=12 SIGPIPE=13 SIGALRM=14 SIGTERM=15 SIGSTKFLT=16 SIGCHLD=17 SIGCONT=18 SIGSTOP=19 SIGTSTP=20
SIGTTIN=21 SIGTTOU=22 SIGURG=23 SIGXCPU=24 SIGXFSZ=25 SIGVTALRM=26 SIGPROF=27 SIGWINCH=28 SIGIO=29 SIGPWR=30
SIGSYS=31 SIGRTMIN=32 SIGRT_1=33 SIGRT_2=34 SIGRT_3=35 SIGRT_4=36 SIGRT_5=37 SIGRT_6=38 SIGRT_7=39
SIGRT_8=40 SIGRT_9=41 SIGRT_10=42 SIGRT_11=43 SIGRT_12=44 SIGRT_13=45 SIGRT_14=46 SIGRT_15=47 SIGRT_16=48
SIGRT_17=49 SIGRT_18=50 SIGRT_19=51 SIGRT_20=52 SIGRT_21=53 SIGRT_22=54 SIGRT_23=55 SIGRT_24=56 SIGRT_25=57
SIGRT_26=58 SIGRT_27=59 SIGRT_28=60 SIGRT_29=61 SIGRT_30=62 SIGRT_31=63 SIGRT_32=64 SIGIOT=6 SIGCLD=17
SIGPOLL=29

[sigprocmask enum]
SIG_BLOCK=0 SIG_UNBLOCK=1 SIG_SETMASK=2

[ipc flags permissions]
IPC_CREAT=0o1000 IPC_EXCL=0o2000 IPC_NOWAIT=0o4000

[shmget flags permissions]
IPC_CREAT=0o1000 IPC_EXCL=0o2000 SHM_HUGETLB=0o4000 SHM_NORESERVE=0o10000
SHM_HUGE_64KB=0o10000000000/0xfc000000 SHM_HUGE_2MB=0o12400000000/0xfc000000
SHM_HUGE_1GB=0o17000000000/0xfc000000

[shmat flags]
SHM_RDONLY=0x1000 SHM_RND=0x2000 SHM_REMAP=0x4000 SHM_EXEC=0x8000

[shmctl enum]
IPC_RMID=0 IPC_SET=1 IPC_STAT=2 IPC_INFO=3 SHM_LOCK=11 SHM_UNLOCK=12 SHM_STAT=13 SHM_INFO=14 SHM_STAT_ANY=15

[semctl enum]
IPC_RMID=0 IPC_SET=1 IPC_STAT=2 IPC_INFO=3 GETPID=11 GETVAL=12 GETALL=13 GETNCNT=14 GETZCNT=15 SETVAL=16
SETALL=17 SEM_STAT=18 SEM_INFO=19 SEM_STAT_ANY=20

[msgctl enum]
IPC_RMID=0 IPC_SET=1 IPC_STAT=2 IPC_INFO=3 MSG_STAT=11 MSG_INFO=12 MSG_STAT_ANY=13

[msgop flags]
MSG_NOERROR=0x1000 MSG_EXCEPT=0x2000 MSG_COPY=0x4000 IPC_NOWAIT=0x800

[futex flags]
FUTEX_WAIT_PRIVATE=0x80/0xff FUTEX_WAKE_PRIVATE=0x81/0xff FUTEX_REQUEUE_PRIVATE=0x83/0xff
FUTEX_CMP_REQUEUE_PRIVATE=0x84/0xff FUTEX_WAKE_OP_PRIVATE=0x85/0xff FUTEX_LOCK_PI_PRIVATE=0x86/0xff
FUTEX_UNLOCK_PI_PRIVATE=0x87/0xff FUTEX_TRYLOCK_PI_PRIVATE=0x88/0xff FUTEX_WAIT_BITSET_PRIVATE=0x89/0xff
FUTEX_WAKE_BITSET_PRIVATE=0x8a/0xff FUTEX_WAIT_REQUEUE_PI_PRIVATE=0x8b/0xff
FUTEX_CMP_REQUEUE_PI_PRIVATE=0x8c/0xff FUTEX_LOCK_PI2_PRIVATE=0x8d/0xff FUTEX_WAIT=0/0x7f FUTEX_WAKE=1/0x7f
FUTEX_FD=2/0x7f FUTEX_REQUEUE=3/0x7f FUTEX_CMP_REQUEUE=4/0x7f FUTEX_WAKE_OP=5/0x7f FUTEX_LOCK_PI=6/0x7f
FUTEX_UNLOCK_PI=7/0x7f FUTEX_TRYLOCK_PI=8/0x7f FUTEX_WAIT_BITSET=9/0x7f FUTEX_WAKE_BITSET=0xa/0x7f
FUTEX_WAIT_REQUEUE_PI=0xb/0x7f FUTEX_CMP_REQUEUE_PI=0xc/0x7f FUTEX_LOCK_PI2=0xd/0x7f FUTEX_PRIVATE_FLAG=0x80
FUTEX_CLOCK_REALTIME=0x100 FUTEX_ROBUST_UNLOCK=0x200 FUTEX_ROBUST_LIST32=0x400

[futex2 flags]
FUTEX2_SIZE_U8=0/3 FUTEX2_SIZE_U16=1/3 FUTEX2_SIZE_U32=2/3 FUTEX2_SIZE_U64=3/3 FUTEX2_NUMA=4 FUTEX2_MPOL=8
FUTEX2_PRIVATE=0x80

[rseq flags]
RSEQ_FLAG_UNREGISTER=1 RSEQ_FLAG_SLICE_EXT_DEFAULT_ON=2

[sched flags]
SCHED_OTHER=0/0x3fffffff SCHED_FIFO=1/0x3fffffff SCHED_RR=2/0x3fffffff SCHED_BATCH=3/0x3fffffff
SCHED_ISO=4/0x3fffffff SCHED_IDLE=5/0x3fffffff SCHED_DEADLINE=6/0x3fffffff SCHED_EXT=7/0x3fffffff
SCHED_RESET_ON_FORK=0x40000000

[clock enum]
CLOCK_REALTIME=0 CLOCK_MONOTONIC=1 CLOCK_PROCESS_CPUTIME_ID=2 CLOCK_THREAD_CPUTIME_ID=3
CLOCK_MONOTONIC_RAW=4 CLOCK_REALTIME_COARSE=5 CLOCK_MONOTONIC_COARSE=6 CLOCK_BOOTTIME=7
CLOCK_REALTIME_ALARM=8 CLOCK_BOOTTIME_ALARM=9 CLOCK_SGI_CYCLE=10 CLOCK_TAI=11

[itimer enum]
ITIMER_REAL=0 ITIMER_VIRTUAL=1 ITIMER_PROF=2

[ethernet enum u32]
ETH_P_LOOP=0x60 ETH_P_IP=0x800 ETH_P_ARP=0x806 ETH_P_RARP=0x8035 ETH_P_8021Q=0x8100 ETH_P_IPV6=0x86dd
ETH_P_PPP_DISC=0x8863 ETH_P_PPP_SES=0x8864 ETH_P_PAE=0x888e ETH_P_LLDP=0x88cc ETH_P_802_3=1 ETH_P_ALL=3
ETH_P_802_2=4 ETH_P_CAN=0xc

[arp_hardware enum u32]
ARPHRD_NETROM=0 ARPHRD_ETHER=1 ARPHRD_PPP=0x200 ARPHRD_TUNNEL=0x300 ARPHRD_TUNNEL6=0x301
ARPHRD_LOOPBACK=0x304 ARPHRD_SIT=0x308 ARPHRD_IPGRE=0x30a ARPHRD_IEEE80211=0x321 ARPHRD_NETLINK=0x338
ARPHRD_VOID=0xffff ARPHRD_NONE=0xfffe

[packet_type enum]
PACKET_HOST=0 PACKET_BROADCAST=1 PACKET_MULTICAST=2 PACKET_OTHERHOST=3 PACKET_OUTGOING=4
PACKET_LOOPBACK=5 PACKET_USER=6 PACKET_KERNEL=7

[vsock_cid enum u32]
VMADDR_CID_ANY=0xffffffff VMADDR_CID_HYPERVISOR=0 VMADDR_CID_LOCAL=1 VMADDR_CID_HOST=2

[vsock_port enum u32]
VMADDR_PORT_ANY=0xffffffff

[vsock flags]
VMADDR_FLAG_TO_HOST=1

[mount flags u64]
MS_MGC_VAL=0xc0ed0000/0xffff0000 MS_RDONLY=1 MS_NOSUID=2 MS_NODEV=4 MS_NOEXEC=8 MS_SYNCHRONOUS=0x10
MS_REMOUNT=0x20 MS_MANDLOCK=0x40 MS_DIRSYNC=0x80 MS_NOSYMFOLLOW=0x100 MS_NOATIME=0x400 MS_NODIRATIME=0x800
MS_BIND=0x1000 MS_MOVE=0x2000 MS_REC=0x4000 MS_SILENT=0x8000 MS_POSIXACL=0x10000 MS_UNBINDABLE=0x20000
MS_PRIVATE=0x40000 MS_SLAVE=0x80000 MS_SHARED=0x100000 MS_RELATIME=0x200000 MS_KERNMOUNT=0x400000
MS_I_VERSION=0x800000 MS_STRICTATIME=0x1000000 MS_LAZYTIME=0x2000000

[umount flags]
MNT_FORCE=1 MNT_DETACH=2 MNT_EXPIRE=4 UMOUNT_NOFOLLOW=8

[fsopen flags]
FSOPEN_CLOEXEC=1

[fsconfig enum]
FSCONFIG_SET_FLAG=0 FSCONFIG_SET_STRING=1 FSCONFIG_SET_BINARY=2 FSCONFIG_SET_PATH=3
FSCONFIG_SET_PATH_EMPTY=4 FSCONFIG_SET_FD=5 FSCONFIG_CMD_CREATE=6 FSCONFIG_CMD_RECONFIGURE=7
FSCONFIG_CMD_CREATE_EXCL=8

[fsmount flags]
FSMOUNT_CLOEXEC=1 FSMOUNT_NAMESPACE=2

[mount_attr flags]
MOUNT_ATTR_RDONLY=1 MOUNT_ATTR_NOSUID=2 MOUNT_ATTR_NODEV=4 MOUNT_ATTR_NOEXEC=8 MOUNT_ATTR_RELATIME=0/0x70
MOUNT_ATTR_NOATIME=0x10/0x70 MOUNT_ATTR_STRICTATIME=0x20/0x70 MOUNT_ATTR_NODIRATIME=0x80
MOUNT_ATTR_IDMAP=0x100000 MOUNT_ATTR_NOSYMFOLLOW=0x200000

[fspick flags]
FSPICK_CLOEXEC=1 FSPICK_SYMLINK_NOFOLLOW=2 FSPICK_NO_AUTOMOUNT=4 FSPICK_EMPTY_PATH=8

[move_mount flags]
MOVE_MOUNT_F_SYMLINKS=1 MOVE_MOUNT_F_AUTOMOUNTS=2 MOVE_MOUNT_F_EMPTY_PATH=4 MOVE_MOUNT_T_SYMLINKS=0x10
MOVE_MOUNT_T_AUTOMOUNTS=0x20 MOVE_MOUNT_T_EMPTY_PATH=0x40 MOVE_MOUNT_SET_GROUP=0x100
MOVE_MOUNT_BENEATH=0x200

[mount_setattr flags]
AT_SYMLINK_NOFOLLOW=0x100 AT_NO_AUTOMOUNT=0x800 AT_EMPTY_PATH=0x1000 AT_RECURSIVE=0x8000

[open_tree flags]
OPEN_TREE_CLONE=1 OPEN_TREE_NAMESPACE=2 OPEN_TREE_CLOEXEC=0x80000 AT_SYMLINK_NOFOLLOW=0x100
AT_NO_AUTOMOUNT=0x800 AT_EMPTY_PATH=0x1000 AT_RECURSIVE=0x8000

[statmount flags]
STATMOUNT_BY_FD=1

[listmount flags]
LISTMOUNT_REVERSE=1

[quotactl flags]
Q_SYNC=0x80000100/0xffffff00 Q_QUOTAON=0x80000200/0xffffff00 Q_QUOTAOFF=0x80000300/0xffffff00
Q_GETFMT=0x80000400/0xffffff00 Q_GETINFO=0x80000500/0xffffff00 Q_SETINFO=0x80000600/0xffffff00
Q_GETQUOTA=0x80000700/0xffffff00 Q_SETQUOTA=0x80000800/0xffffff00 Q_GETNEXTQUOTA=0x80000900/0xffffff00
Q_XQUOTAON=0x580100/0xffffff00 Q_XQUOTAOFF=0x580200/0xffffff00 Q_XGETQUOTA=0x580300/0xffffff00
Q_XSETQLIM=0x580400/0xffffff00 Q_XGETQSTAT=0x580500/0xffffff00 Q_XQUOTARM=0x580600/0xffffff00
Q_XQUOTASYNC=0x580700/0xffffff00 Q_XGETQSTATV=0x580800/0xffffff00 Q_XGETNEXTQUOTA=0x580900/0xffffff00
USRQUOTA=0/0xff GRPQUOTA=1/0xff PRJQUOTA=2/0xff

[swapon flags]
SWAP_FLAG_PREFER=0x8000 SWAP_FLAG_DISCARD=0x10000 SWAP_FLAG_DISCARD_ONCE=0x20000
SWAP_FLAG_DISCARD_PAGES=0x40000

[seccomp enum]
SECCOMP_SET_MODE_STRICT=0 SECCOMP_SET_MODE_FILTER=1 SECCOMP_GET_ACTION_AVAIL=2 SECCOMP_GET_NOTIF_SIZES=3

[seccomp_filter flags]
SECCOMP_FILTER_FLAG_TSYNC=1 SECCOMP_FILTER_FLAG_LOG=2 SECCOMP_FILTER_FLAG_SPEC_ALLOW=4
SECCOMP_FILTER_FLAG_NEW_LISTENER=8 SECCOMP_FILTER_FLAG_TSYNC_ESRCH=0x10
SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV=0x20

[landlock_create flags]
LANDLOCK_CREATE_RULESET_VERSION=1 LANDLOCK_CREATE_RULESET_ERRATA=2

[landlock_rule enum]
LANDLOCK_RULE_PATH_BENEATH=1 LANDLOCK_RULE_NET_PORT=2

[landlock_add flags]
LANDLOCK_ADD_RULE_QUIET=1

[landlock_restrict flags]
LANDLOCK_RESTRICT_SELF_LOG_SAME_EXEC_OFF=1 LANDLOCK_RESTRICT_SELF_LOG_NEW_EXEC_ON=2
LANDLOCK_RESTRICT_SELF_LOG_SUBDOMAINS_OFF=4 LANDLOCK_RESTRICT_SELF_TSYNC=8

[lsm_attr enum]
LSM_ATTR_CURRENT=100 LSM_ATTR_EXEC=101 LSM_ATTR_FSCREATE=102 LSM_ATTR_KEYCREATE=103 LSM_ATTR_PREV=104
LSM_ATTR_SOCKCREATE=105

[lsm flags]
LSM_FLAG_SINGLE=1

[keyring enum decimal]
KEY_SPEC_THREAD_KEYRING=-1 KEY_SPEC_PROCESS_KEYRING=-2 KEY_SPEC_SESSION_KEYRING=-3 KEY_SPEC_USER_KEYRING=-4
KEY_SPEC_USER_SESSION_KEYRING=-5 KEY_SPEC_GROUP_KEYRING=-6 KEY_SPEC_REQKEY_AUTH_KEY=-7
KEY_SPEC_REQUESTOR_KEYRING=-8

[keyctl enum]
KEYCTL_GET_KEYRING_ID=0 KEYCTL_JOIN_SESSION_KEYRING=1 KEYCTL_UPDATE=2 KEYCTL_REVOKE=3 KEYCTL_CHOWN=4
KEYCTL_SETPERM=5 KEYCTL_DESCRIBE=6 KEYCTL_CLEAR=7 KEYCTL_LINK=8 KEYCTL_UNLINK=9 KEYCTL_SEARCH=10
KEYCTL_READ=11 KEYCTL_INSTANTIATE=12 KEYCTL_NEGATE=13 KEYCTL_SET_REQKEY_KEYRING=14 KEYCTL_SET_TIMEOUT=15
KEYCTL_ASSUME_AUTHORITY=16 KEYCTL_GET_SECURITY=17 KEYCTL_SESSION_TO_PARENT=18 KEYCTL_REJECT=19
KEYCTL_INSTANTIATE_IOV=20 KEYCTL_INVALIDATE=21 KEYCTL_GET_PERSISTENT=22 KEYCTL_DH_COMPUTE=23
KEYCTL_PKEY_QUERY=24 KEYCTL_PKEY_ENCRYPT=25 KEYCTL_PKEY_DECRYPT=26 KEYCTL_PKEY_SIGN=27 KEYCTL_PKEY_VERIFY=28
KEYCTL_RESTRICT_KEYRING=29 KEYCTL_MOVE=30 KEYCTL_CAPABILITIES=31 KEYCTL_WATCH_KEY=32

[bpf enum]
BPF_MAP_CREATE=0 BPF_MAP_LOOKUP_ELEM=1 BPF_MAP_UPDATE_ELEM=2 BPF_MAP_DELETE_ELEM=3 BPF_MAP_GET_NEXT_KEY=4
BPF_PROG_LOAD=5 BPF_OBJ_PIN=6 BPF_OBJ_GET=7 BPF_PROG_ATTACH=8 BPF_PROG_DETACH=9 BPF_PROG_TEST_RUN=10
BPF_PROG_GET_NEXT_ID=11 BPF_MAP_GET_NEXT_ID=12 BPF_PROG_GET_FD_BY_ID=13 BPF_MAP_GET_FD_BY_ID=14
BPF_OBJ_GET_INFO_BY_FD=15 BPF_PROG_QUERY=16 BPF_RAW_TRACEPOINT_OPEN=17 BPF_BTF_LOAD=18
BPF_BTF_GET_FD_BY_ID=19 BPF_TASK_FD_QUERY=20 BPF_MAP_LOOKUP_AND_DELETE_ELEM=21 BPF_MAP_FREEZE=22
BPF_BTF_GET_NEXT_ID=23 BPF_MAP_LOOKUP_BATCH=24 BPF_MAP_LOOKUP_AND_DELETE_BATCH=25 BPF_MAP_UPDATE_BATCH=26
BPF_MAP_DELETE_BATCH=27 BPF_LINK_CREATE=28 BPF_LINK_UPDATE=29 BPF_LINK_GET_FD_BY_ID=30
BPF_LINK_GET_NEXT_ID=31 BPF_ENABLE_STATS=32 BPF_ITER_CREATE=33 BPF_LINK_DETACH=34 BPF_PROG_BIND_MAP=35
BPF_TOKEN_CREATE=36 BPF_PROG_STREAM_READ_BY_FD=37 BPF_PROG_ASSOC_STRUCT_OPS=38

[perf_event flags u64]
PERF_FLAG_FD_NO_GROUP=1 PERF_FLAG_FD_OUTPUT=2 PERF_FLAG_PID_CGROUP=4 PERF_FLAG_FD_CLOEXEC=8

[syslog enum]
SYSLOG_ACTION_CLOSE=0 SYSLOG_ACTION_OPEN=1 SYSLOG_ACTION_READ=2 SYSLOG_ACTION_READ_ALL=3
SYSLOG_ACTION_READ_CLEAR=4 SYSLOG_ACTION_CLEAR=5 SYSLOG_ACTION_CONSOLE_OFF=6 SYSLOG_ACTION_CONSOLE_ON=7
SYSLOG_ACTION_CONSOLE_LEVEL=8 SYSLOG_ACTION_SIZE_UNREAD=9 SYSLOG_ACTION_SIZE_BUFFER=10

[getrandom flags]
GRND_NONBLOCK=1 GRND_RANDOM=2 GRND_INSECURE=4

[reboot_magic enum u32]
LINUX_REBOOT_MAGIC1=0xfee1dead LINUX_REBOOT_MAGIC2=0x28121969 LINUX_REBOOT_MAGIC2A=0x5121996
LINUX_REBOOT_MAGIC2B=0x16041998 LINUX_REBOOT_MAGIC2C=0x20112000

[reboot enum u32]
LINUX_REBOOT_CMD_RESTART=0x1234567 LINUX_REBOOT_CMD_HALT=0xcdef0123 LINUX_REBOOT_CMD_CAD_ON=0x89abcdef
LINUX_REBOOT_CMD_CAD_OFF=0x0 LINUX_REBOOT_CMD_POWER_OFF=0x4321fedc LINUX_REBOOT_CMD_RESTART2=0xa1b2c3d4
LINUX_REBOOT_CMD_SW_SUSPEND=0xd000fce2 LINUX_REBOOT_CMD_KEXEC=0x45584543

[kexec flags u64]
KEXEC_ON_CRASH=1 KEXEC_PRESERVE_CONTEXT=2 KEXEC_UPDATE_ELFCOREHDR=4 KEXEC_CRASH_HOTPLUG_SUPPORT=8
KEXEC_ARCH_X86_64=0x3e0000/0xffff0000 KEXEC_ARCH_AARCH64=0xb70000/0xffff0000

[kexec_file flags u64]
KEXEC_FILE_UNLOAD=1 KEXEC_FILE_ON_CRASH=2 KEXEC_FILE_NO_INITRAMFS=4 KEXEC_FILE_DEBUG=8
KEXEC_FILE_NO_CMA=0x10 KEXEC_FILE_FORCE_DTB=0x20

[finit_module flags]
MODULE_INIT_IGNORE_MODVERSIONS=1 MODULE_INIT_IGNORE_VERMAGIC=2 MODULE_INIT_COMPRESSED_FILE=4

[delete_module flags]
O_NONBLOCK=0o4000 O_TRUNC=0o1000
"""
"""Constants: ``[table kind options]``, then ``name=value``; ``name=value/mask`` for a field of several bits.

Flags are named in this order, so what contains others comes before them; of several names for a value the
first is used. A name for 0 without a mask stands for "none at all". Options: ``u64`` and ``u32`` for the C
type (flags are u32 and enumerations s32 unless told), ``permissions`` for tables whose low nine bits are
permissions, ``decimal`` for how numbers without a name are shown, ``+table`` to begin with another table.
``[table@arch]`` changes or adds what differs there."""
