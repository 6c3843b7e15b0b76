"""The table of system calls, and the names of flags and errors."""

from __future__ import annotations

import ast
import errno
import fcntl
import mmap
import os
import platform
import re
import resource
import select
import signal
import socket
import stat
import time
from pathlib import Path
from types import ModuleType

import pytest
import system_calls

from pytest_ebpf import syscalls
from pytest_ebpf.errors import EbpfError, UnknownSyscall
from pytest_ebpf.syscalls import (
    CLASSES,
    KINDS,
    RING,
    Argument,
    Syscall,
    errno_name,
    find_flags,
    flag_names,
    flags_value,
    has_flags,
    is_opaque,
    ring_model,
    table,
)

ARCHES = {"x86_64": "x86_64", "aarch64": "arm64"}
X86, ARM = table("x86_64"), table("aarch64")
RING_OPENS = {"IORING_OP_OPENAT", "IORING_OP_OPENAT2"}


def calls() -> list[tuple[str, Syscall]]:
    """Every call of every architecture."""
    return [(arch, call) for arch in ARCHES for number, call in table(arch).items() if number < RING]


def operations() -> list[Syscall]:
    """Every operation on an io_uring, and of aio."""
    return [call for number, call in X86.items() if number >= RING]


# The table


@pytest.mark.parametrize("arch", ARCHES)
def test_every_call_is_declared(arch: str) -> None:
    """Each name that the library has a number for is in the table, with its own arguments."""
    numbers = system_calls.syscalls().load_arch_table(ARCHES[arch])
    assert {number: call.name for number, call in table(arch).items() if number < RING} == {
        number: name for name, number in numbers.items()
    }
    assert [call.name for _, call in table(arch).items() if call.argument("arg0")] == []


@pytest.mark.parametrize("arch", ARCHES)
def test_every_ring_operation_is_declared(arch: str) -> None:
    """By the kernel's name and opcode, on every architecture, with numbers that no call on the wire can have."""
    found = {call.name: number - RING for number, call in table(arch).items() if number >= RING}
    ring = {name: opcode for name, opcode in found.items() if name.startswith("IORING_OP_")}
    assert ring == {name: flags_value("io_uring_op", name) for name in ring}
    assert sorted(ring.values()) == list(range(len(ring)))
    names = ["PREAD", "PWRITE", "FSYNC", "FDSYNC", None, "POLL", "NOOP", "PREADV", "PWRITEV"]  # linux/aio_abi.h
    aio = {f"IOCB_CMD_{name}": 128 + opcode for opcode, name in enumerate(names) if name}
    assert found == ring | aio
    assert RING > 0xFFFF


def test_ring_operation_is_like_its_call() -> None:
    """Its first arguments are the call's, by name and kind, and so are its classes; it has no result."""
    assert X86.by_name("IORING_OP_OPENAT").args == X86.by_name("openat").args
    for operation in operations():
        model = ring_model(operation.name)
        assert operation.returns == "int"
        if not model:
            assert (operation.args, operation.classes) == ((), frozenset())
            continue
        call = X86.by_name(model)
        assert call.args[: len(operation.args)] == operation.args
        assert operation.classes == call.classes
        assert {model, *call.siblings} - {operation.name} <= operation.siblings
    assert ring_model("openat") == ""


def test_ring_operations_on_files_and_sockets_are_in_the_classes() -> None:
    """Who asks for %file, %network or %desc asks for them too."""

    def ring(pattern: str) -> set[str]:
        return {name.removeprefix("IORING_OP_") for name in X86.resolve(pattern) if name.startswith("IORING_OP_")}

    assert ring("%open") == {"OPENAT", "OPENAT2"}
    assert ring("%file") == {
        *("OPENAT", "OPENAT2", "STATX", "RENAMEAT", "UNLINKAT", "MKDIRAT", "SYMLINKAT", "LINKAT"),
        *("SETXATTR", "GETXATTR"),
    }
    assert ring("%network") >= {"CONNECT", "BIND", "LISTEN", "ACCEPT", "SOCKET", "SEND", "SENDMSG", "RECV", "RECVMSG"}
    assert ring("%desc") >= {"READ", "WRITE", "READV", "WRITEV", "CLOSE", "FSYNC", "FTRUNCATE", "SPLICE"}
    assert ring("%memory") == set()
    assert ring("IORING_OP_*AT") >= {"OPENAT", "UNLINKAT"}


def test_ring_operations_that_are_not_shown() -> None:
    """Of a command to a driver, and of an opcode that is newer than the table, it isn't known what it does."""
    opaque = {call.name for call in operations() if is_opaque(call.name)}
    assert opaque == {"IORING_OP_URING_CMD", "IORING_OP_URING_CMD128"}
    newer = X86.by_number(RING + 100)
    assert (newer.name, newer.args) == ("IORING_OP_100", ())
    newer_aio = X86.by_number(RING + 128 + 9)
    assert (newer_aio.name, newer_aio.args) == ("IOCB_CMD_9", ())
    assert is_opaque(newer.name)
    assert is_opaque(newer_aio.name)
    assert is_opaque(newer.name)
    assert not is_opaque("IORING_OP_NOP")
    assert not is_opaque("openat")


def test_every_declared_call_exists() -> None:
    """No line of the table, no sibling and no suggestion has a misspelt name."""
    known = X86.names | ARM.names
    assert syscalls._known() == known
    assert set(syscalls._siblings()) <= known
    assert {name for names in syscalls._wrappers().values() for name in names} <= known
    assert not set(syscalls._wrappers()) & known
    assert set(syscalls._variants()) <= known


def test_references_between_arguments_are_sound() -> None:
    """Kinds, tables of constants, conditions, and the arguments that others point to all exist."""
    for arch, call in calls():
        names = [arg.name for arg in call.args]
        assert len(set(names)) == len(names) <= 6, call
        assert call.classes <= CLASSES, call
        for arg in (shape for name in names for shape in call.shapes(name)):
            assert arg.kind in KINDS, (call.name, arg)
            assert arg.bits in (16, 32, 64)
            assert not arg.signed or arg.convert(2**64 - 1) == -1
            assert {arg.base, arg.length} <= {"", *names}, (call.name, arg)
            if arg.constants:
                assert flag_names(arg.constants, 0, arch), (call.name, arg)
            if arg.when:
                name, words = re.split("[=&]", arg.when, maxsplit=1)
                condition = call.argument(name)
                assert condition is not None, (call.name, arg)
                assert flags_value(condition.constants, words, arch) is not None
        for variant in syscalls._variants().get(call.name, ()):
            assert {arg.name for arg in variant.args} | set(variant.absent) <= set(names), call.name


def test_every_table_of_constants_is_used() -> None:
    """A table that no argument refers to is a mistake; these are of what lies in memory."""
    used = {arg.constants for _, call in calls() for name in call.args for arg in call.shapes(name.name)}
    unused = {name for name in syscalls._sections() if "@" not in name} - used
    in_addresses = {"arp_hardware", "ethernet", "packet_type", "vsock", "vsock_cid", "vsock_port"}
    assert unused == {"io_uring_op", "resolve", *in_addresses}


def test_paths_have_their_directory() -> None:
    """A path after a dirfd is relative to it: no call forgets."""
    for _, call in calls():
        kinds = [arg.kind for arg in call.args]
        if "dirfd" in kinds and "path" in kinds:
            assert all(arg.base for arg in call.args if arg.kind == "path"), call
        else:
            assert all(not arg.base for arg in call.args if call.name != "execveat"), call


def test_sockaddrs_have_their_length() -> None:
    """A socket address can't be read without its length."""
    addresses = [arg for _, call in calls() for arg in call.args if arg.kind.startswith("sockaddr")]
    assert len(addresses) == 2 * 8
    assert all(arg.length for arg in addresses)


def test_classes_follow_the_arguments() -> None:
    """Every call that follows a path is in %file, and %file has no other call but getcwd."""
    with_path = {call.name for _, call in calls() if any(arg.kind == "path" for arg in call.args)}
    with_path |= {call.name for call in operations() if any(arg.kind == "path" for arg in call.args)}
    file = X86.resolve("%file")
    assert file - with_path == {"getcwd", "fsconfig"}
    assert with_path - file == set()


@pytest.mark.parametrize(
    "name, classes",
    [
        ("openat", "open file desc"),
        ("open_by_handle_at", "open desc"),
        ("connect", "network"),
        ("sendfile", "network desc"),
        ("mmap", "memory desc"),
        ("execveat", "process file desc"),
        ("kill", "signal process"),
        ("shmat", "ipc memory"),
        ("getpid", ""),
    ],
)
def test_classes_are_strace_s(name: str, classes: str) -> None:
    """A call is in the classes that strace 6 puts it into."""
    assert X86.by_name(name).classes == set(classes.split())


def test_openat_as_the_kernel_has_it() -> None:
    """A call in full: the kernel's names, the kinds, the directory and the condition."""
    call = X86.by_number(257)
    assert (call.name, call.returns) == ("openat", "fd")
    assert call.args == (
        Argument("dfd", "dirfd", "dirfd"),
        Argument("filename", "path", base="dfd"),
        Argument("flags", "flags", "open"),
        Argument("mode", "mode", "mode", when="flags&O_CREAT|__O_TMPFILE"),
    )
    assert call.siblings >= {"open", "openat2", "creat", "open_by_handle_at"}
    assert ARM.by_name("openat").siblings - RING_OPENS == {"openat2", "open_by_handle_at"}


def test_clone_differs_by_architecture() -> None:
    """On aarch64 tls comes before child_tidptr."""
    assert [arg.name for arg in X86.by_name("clone").args][3:] == ["child_tidptr", "tls"]
    assert [arg.name for arg in ARM.by_name("clone").args][3:] == ["tls", "child_tidptr"]


def test_unknown_number() -> None:
    """A number that nobody knows still makes a call, under the name that strace gives it."""
    call = X86.by_number(500)
    assert call.name == "syscall_0x1f4"
    assert [arg.name for arg in call.args] == ["arg0", "arg1", "arg2", "arg3", "arg4", "arg5"]
    assert X86.number("syscall_0x1f4") == 500
    assert X86.number("syscall_0x0") is None


def test_library_newer_than_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that only the library knows has its name, and arguments without names."""
    monkeypatch.setattr(syscalls, "_CALLS", "close(fd)\n")
    syscalls._heads.cache_clear()
    try:
        fresh = syscalls.Table("x86_64")
        assert [arg.name for arg in fresh.by_name("openat").args][:2] == ["arg0", "arg1"]
        assert fresh.by_number(257).name == "openat"
        assert fresh.resolve("openat") == {"openat"}
    finally:
        syscalls._heads.cache_clear()


def test_table_is_a_mapping_of_numbers() -> None:
    """Iteration gives numbers; names and numbers lead to each other."""
    assert X86 is table("x86_64")
    assert len(X86) == len(list(X86)) == len(X86.names)
    assert 0 in X86
    assert 4999 not in X86
    assert all(X86.number(call.name) == number for number, call in X86.items())
    assert X86.number("nothing") is None
    with pytest.raises(KeyError):
        X86.by_name("nothing")


def test_other_architecture() -> None:
    """An architecture without a table is refused with the list of those that have one."""
    with pytest.raises(EbpfError, match=r"no architecture 'riscv64'.*aarch64, x86_64"):
        table("riscv64")


@pytest.mark.parametrize(
    "kind, register, value",
    [
        ("fd", 0xFFFFFFFF, -1),
        ("fd", 0xDEAD_0000_0003, 3),
        ("uint", 0xFFFFFFFFFFFFFFFF, 0xFFFFFFFF),
        ("offset", 0xFFFFFFFFFFFFFFFB, -5),
        ("size", 0xFFFFFFFFFFFFFFFF, 2**64 - 1),
        ("path", 0x7FFD00000000, 0x7FFD00000000),
        ("mode", 0xFF_0000_01A4, 0o644),
    ],
)
def test_register_to_value(kind: str, register: int, value: int) -> None:
    """A register is cut to the C type; what the upper half holds doesn't count."""
    assert Argument("x", kind).convert(register) == value


def test_register_to_value_of_constants() -> None:
    """The width of flags and enumerations is their table's."""
    assert Argument("flags", "flags", "open").convert(0xF_0000_0041) == 0x41
    assert Argument("clone_flags", "flags", "clone3").convert(1 << 33) == 1 << 33
    assert Argument("who", "enum", "rusage").convert(0xFFFFFFFF) == -1
    assert Argument("cmd", "enum", "ioctl").convert(0xFFFFFFFF_80045430) == 0x80045430


def test_no_import_of_pytest_or_ctypes() -> None:
    """The modules stay usable by the decoder, the docs and the BPF side alone."""
    for name in ("syscalls", "notation"):
        tree = ast.parse(Path(syscalls.__file__).with_name(f"{name}.py").read_text(encoding="utf-8"))
        imported = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        imported |= {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
        ours = {name for name in imported if name.startswith("pytest_ebpf")}
        assert ours <= {"pytest_ebpf.errors", "pytest_ebpf.events", "pytest_ebpf.syscalls"}
        assert not imported & {"pytest", "ctypes"}


# Names, globs, classes


def test_resolve_union() -> None:
    """Exact names, globs and classes add up; no pattern stands for every call."""
    assert X86.resolve("read") == {"read"}
    assert X86.resolve("rename*", "read") == {"rename", "renameat", "renameat2", "read"}
    assert X86.resolve("dup[23]", "pipe?") == {"dup2", "dup3", "pipe2"}
    assert X86.resolve("%open") == {"open", "openat", "openat2", "creat", "open_by_handle_at", *RING_OPENS}
    assert X86.resolve() == X86.resolve("*") == X86.names
    assert X86.resolve("syscall_0x1f4") == {"syscall_0x1f4"}


def test_resolve_call_of_the_other_architecture() -> None:
    """A test that names open runs on aarch64 too, where there is none."""
    assert ARM.resolve("open") == frozenset()
    assert ARM.resolve("open", "openat") == {"openat"}
    assert ARM.resolve("vfor*") == frozenset()
    assert ARM.resolve("%open") == {"openat", "openat2", "open_by_handle_at", *RING_OPENS}


@pytest.mark.parametrize(
    "pattern, text",
    [
        ("opennat", "system call 'opennat': no such name (did you mean openat"),
        ("pread", "did you mean pread64?"),
        ("fstatat", "did you mean newfstatat?"),
        ("sendfile64", "did you mean sendfile?"),
        ("umount", "did you mean umount2?"),
        ("waitpid", "did you mean wait4?"),
        ("send", "did you mean sendto?"),
        ("OPENAT", "system call 'OPENAT': no such name"),
        ("", "system call '': no such name"),
        ("openet*", "system call 'openet*': matches no name (did you mean openat"),
        ("qqq?", "system call 'qqq?': matches no name"),
        ("%files", "no such class (did you mean %file? the classes are %desc %file %ipc"),
        ("%", "no such class (the classes are %desc"),
        ("syscall_0x0", "no such name"),
    ],
)
def test_resolve_unknown(pattern: str, text: str) -> None:
    """What nobody knows is an error with the nearest names, though other patterns match."""
    with pytest.raises(UnknownSyscall, match=re.escape(text)) as caught:
        X86.resolve("read", pattern)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("pattern", [None, 3, b"open", re.compile("open")])
def test_resolve_no_string(pattern: object) -> None:
    """Anything but a str is a TypeError."""
    with pytest.raises(TypeError, match="a name must be a str"):
        X86.resolve(pattern)  # type: ignore[arg-type]


# Arguments that depend on others


def test_argument_that_is_not_there() -> None:
    """The mode of an open exists if the call can create a file."""
    call = X86.by_name("openat")
    assert [arg.name for arg in call.applied({"flags": os.O_CLOEXEC}, "x86_64").args] == [
        "dfd",
        "filename",
        "flags",
    ]
    for creating in (os.O_CREAT, os.O_TMPFILE):
        assert call.applied({"flags": creating}) is call
    assert call.applied({"flags": os.O_DIRECTORY}).argument("mode") is None
    assert call.applied({}) is call


@pytest.mark.parametrize(
    "name, values, kinds, returns",
    [
        ("fcntl", {"cmd": fcntl.F_DUPFD}, "fd enum fd", "fd"),
        ("fcntl", {"cmd": fcntl.F_GETFL}, "fd enum", "flags:open"),
        ("fcntl", {"cmd": fcntl.F_SETFD}, "fd enum flags", "int"),
        ("fcntl", {"cmd": 77}, "fd enum word", "int"),
        ("prctl", {"option": 15}, "enum string", "int"),
        ("fsconfig", {"cmd": 3}, "fd enum string path dirfd", "int"),
        ("futex", {"op": 128}, "pointer flags uint pointer", "int"),
        ("socket", {"family": 2}, "enum flags enum", "fd"),
        ("socket", {"family": 1}, "enum flags int", "fd"),
        ("setsockopt", {"level": 1}, "fd enum enum buffer int", "int"),
    ],
)
def test_argument_that_is_something_else(name: str, values: dict[str, int], kinds: str, returns: str) -> None:
    """Commands and options decide what the arguments after them are."""
    call = X86.by_name(name).applied(values, "x86_64")
    assert " ".join(arg.kind for arg in call.args) == kinds
    assert call.returns == returns


# Constants


@pytest.mark.parametrize(
    "constants, modules, prefix",
    [
        ("access", [os], ""),
        ("clock", [time], "CLOCK_"),
        ("clone3", [os], "CLONE_"),
        ("dnotify", [fcntl], "DN_"),
        ("domain", [socket], "AF_"),
        ("epoll", [select], "EPOLL_"),
        ("eventfd", [os], "EFD_"),
        ("fadvise", [os], "POSIX_FADV_"),
        ("fcntl", [fcntl], "F_"),
        ("fd_flags", [fcntl], "FD_"),
        ("flock", [fcntl], "LOCK_"),
        ("getrandom", [os], "GRND_"),
        ("idtype", [os], "P_"),
        ("ip", [socket], "IP_"),
        ("ipproto", [socket], "IPPROTO_"),
        ("ipv6", [socket], "IPV6_"),
        ("itimer", [signal], "ITIMER_"),
        ("lease", [fcntl], "F_"),
        ("madvise", [mmap], "MADV_"),
        ("memfd", [os], "MFD_"),
        ("mmap", [mmap], "MAP_"),
        ("mmap_prot", [mmap], "PROT_"),
        ("mode", [stat], "S_I"),
        ("msg", [socket], "MSG_"),
        ("open", [os], "O_"),
        ("pidfd", [os], "PIDFD_"),
        ("pipe", [os], "O_"),
        ("priority", [os], "PRIO_"),
        ("rlimit", [resource], "RLIMIT_"),
        ("rusage", [resource], "RUSAGE_"),
        ("rwf", [os], "RWF_"),
        ("sched", [os], "SCHED_"),
        ("seals", [fcntl], "F_SEAL"),
        ("seek", [os], "SEEK_"),
        ("shutdown", [socket], "SHUT_"),
        ("signal", [signal], "SIG"),
        ("sigprocmask", [signal], "SIG_"),
        ("so", [socket], "SO_"),
        ("socket_type", [socket], "SOCK_"),
        ("sol", [socket], ""),
        ("splice", [os], "SPLICE_F_"),
        ("tcp", [socket], "TCP_"),
        ("timerfd", [os], "TFD_"),
        ("unshare", [os], "CLONE_"),
        ("wait", [os], "W"),
        ("xattr", [os], "XATTR_"),
    ],
)
def test_constants_agree_with_python(constants: str, modules: list[ModuleType], prefix: str) -> None:
    """What Python's modules know of this machine's C headers is the same here."""
    arch = platform.machine()
    foreign = {"O_LARGEFILE", "SIGRTMIN", "SIGRTMAX"}  # the C library's idea differs from the kernel's
    for name, (value, _) in syscalls._constants(constants, arch).values.items():
        for module in modules:
            theirs = getattr(module, name, None)
            if name.startswith(prefix) and name not in foreign and theirs is not None:
                assert value == int(theirs), name


@pytest.mark.parametrize("module, prefix, constants", [(os, "O_", "open"), (signal, "SIG", "signal")])
def test_python_knows_no_more(module: ModuleType, prefix: str, constants: str) -> None:
    """The flags of open and the signals are complete."""
    elsewhere = {"SIG_BLOCK", "SIG_UNBLOCK", "SIG_SETMASK", "SIG_DFL", "SIG_IGN", "SIGRTMAX"}
    theirs = {name for name in dir(module) if re.fullmatch(prefix + "[A-Z0-9_]+", name)} - elsewhere
    assert theirs <= syscalls._constants(constants, platform.machine()).values.keys()


@pytest.mark.parametrize("arch", ARCHES)
def test_flags_round_trip(arch: str) -> None:
    """Each constant's text leads back to its value, and the value to a name that is equal to it."""
    for section in syscalls._sections():
        constants = section.partition("@")[0]
        for name, (value, _) in syscalls._constants(constants, arch).values.items():
            assert flags_value(constants, name, arch) == value
            text = flag_names(constants, value, arch)
            assert flags_value(constants, text, arch) == value, (constants, name, text)
            assert has_flags(constants, value, name, arch), (constants, name)


@pytest.mark.parametrize(
    "constants, value, text",
    [
        ("open", 0, "O_RDONLY"),
        ("open", 0o2000000, "O_RDONLY|O_CLOEXEC"),
        ("open", 0o1101, "O_WRONLY|O_CREAT|O_TRUNC"),
        ("open", 3, "O_ACCMODE"),
        ("open", 0x80000000, "O_RDONLY|0x80000000"),
        ("open", 0o4010001, "O_WRONLY|O_SYNC"),
        ("open", 0o10001, "O_WRONLY|O_DSYNC"),
        ("open", 0o4000001, "O_WRONLY|__O_SYNC"),
        ("open", 0o20200002, "O_RDWR|O_TMPFILE"),
        ("open", 0o200000, "O_RDONLY|O_DIRECTORY"),
        ("open", 0o20000000, "O_RDONLY|__O_TMPFILE"),
        ("mmap_prot", 0, "PROT_NONE"),
        ("mmap_prot", 5, "PROT_READ|PROT_EXEC"),
        ("mmap", 0x22, "MAP_PRIVATE|MAP_ANONYMOUS"),
        ("mmap", 0, "MAP_FILE"),
        ("access", 0, "F_OK"),
        ("at_stat", 0, "0"),
        ("none", 0, "0"),
        ("none", 1 << 40, "0"),
        ("none64", 1 << 40, "0x10000000000"),
        ("mode", 0o100644, "S_IFREG|0644"),
        ("mode", 0o4755, "S_ISUID|0755"),
        ("ipc", 0o1600, "IPC_CREAT|0600"),
        ("ipc", 0, "000"),
        ("ipc", 0x100000 | 0o600, "0x100000|0600"),
        ("inotify", 0x18, "IN_CLOSE_WRITE|IN_CLOSE_NOWRITE"),
        ("personality", 0xFFFFFFFF, "0xffffffff"),
        ("seek", 77, "0x4d"),
        ("epoll_ctl", 0, "0"),
        ("futex", 128, "FUTEX_WAIT_PRIVATE"),
        ("futex", 129, "FUTEX_WAKE_PRIVATE"),
        ("futex", 9 | 256, "FUTEX_WAIT_BITSET|FUTEX_CLOCK_REALTIME"),
        ("clone", 0x1200011, "CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD"),
        ("socket_type", 0x80002, "SOCK_DGRAM|SOCK_CLOEXEC"),
        ("seek", 1, "SEEK_CUR"),
        ("seek", 9, "0x9"),
        ("signal", 0, "0"),
        ("signal", 6, "SIGABRT"),
        ("signal", 34, "SIGRT_2"),
        ("dirfd", -100, "AT_FDCWD"),
        ("dirfd", 7, "7"),
        ("keyring", -3, "KEY_SPEC_SESSION_KEYRING"),
        ("keyring", -77, "-77"),
        ("ioctl", 0x80045430, "TIOCGPTN"),
        ("ioctl", 0xFFFFFFFF, "0xffffffff"),
    ],
)
def test_flag_names(constants: str, value: int, text: str) -> None:
    """Names in strace's order, composite ones whole, the rest in hex."""
    assert flag_names(constants, value, "x86_64") == text


def test_open_flags_differ_by_architecture() -> None:
    """Four flags and what contains them have other bits on aarch64."""
    assert flags_value("open", "O_DIRECTORY", "aarch64") == 0o40000 == flags_value("open", "O_DIRECT", "x86_64")
    assert flags_value("open", "O_NOFOLLOW", "aarch64") == 0o100000
    assert flag_names("open", 0o40000 | 0o100000, "aarch64") == "O_RDONLY|O_NOFOLLOW|O_DIRECTORY"
    assert flag_names("open", 0o20040002, "aarch64") == "O_RDWR|O_TMPFILE"
    assert flag_names("open_how", 0o400000, "aarch64") == "O_RDONLY|O_LARGEFILE"
    assert has_flags("open", 0o40000, "O_DIRECTORY", "aarch64")
    assert not has_flags("open", 0o20040000, "O_DIRECTORY", "aarch64")
    assert flag_names("mmap", 0x42, "aarch64") == "MAP_PRIVATE|0x40"


@pytest.mark.parametrize(
    "constants, value, wanted, has",
    [
        ("open", 0, "O_RDONLY", True),
        ("open", 1, "O_RDONLY", False),
        ("open", 2, "O_RDONLY", False),
        ("open", 2, "O_WRONLY", False),
        ("open", 2, "O_RDWR", True),
        ("open", 3, "O_RDWR", False),
        ("open", 3, "O_ACCMODE", True),
        ("open", 0, "O_WRONLY|O_RDWR", False),
        ("open", 0o2000000, "O_RDONLY|O_CLOEXEC", True),
        ("open", 0o2000001, "O_RDONLY|O_CLOEXEC", False),
        ("open", 0o101, "O_WRONLY|O_CREAT", True),
        ("open", 0o100, "O_CREAT", True),
        ("open", 0o101, "O_CREAT|O_EXCL", False),
        ("open", 0o4010000, "O_SYNC", True),
        ("open", 0o10000, "O_SYNC", False),
        ("open", 0o4010000, "O_DSYNC", True),
        ("open", 0o10000, "O_DSYNC", True),
        ("open", 0o20200002, "O_TMPFILE", True),
        ("open", 0o200000, "O_TMPFILE", False),
        ("open", 0o20200002, "O_DIRECTORY", False),
        ("open", 0o200000, "O_DIRECTORY", True),
        ("open", 0x80000041, "0x80000000", True),
        ("open", 0x41, "0x80000000", False),
        ("mmap_prot", 0, "PROT_NONE", True),
        ("mmap_prot", 1, "PROT_NONE", False),
        ("mmap", 0x22, "MAP_SHARED", False),
        ("mmap", 0x03, "MAP_SHARED", False),
        ("mmap", 0x22, "MAP_PRIVATE|MAP_ANON", True),
        ("access", 0, "F_OK", True),
        ("access", 4, "F_OK", False),
        ("at_stat", 0x100, "0", False),
        ("at_stat", 0, "0", True),
        ("futex", 128, "FUTEX_WAIT", True),
        ("futex", 128, "FUTEX_WAIT_PRIVATE", True),
        ("futex", 0, "FUTEX_WAIT_PRIVATE", False),
        ("futex", 128, "FUTEX_WAKE", False),
        ("socket_type", 0x80001, "SOCK_STREAM", True),
        ("socket_type", 3, "SOCK_STREAM", False),
        ("seek", 3, "SEEK_CUR", False),
        ("seek", 1, "SEEK_CUR", True),
        ("signal", 6, "SIGIOT", True),
        ("dirfd", 0xFFFFFF9C, "AT_FDCWD", True),
        ("mode", 0o100644, "0644", True),
        ("mode", 0o100644, "S_IFREG|S_IRUSR", True),
        ("mode", 0o040755, "S_IFREG", False),
    ],
)
def test_has_flags(constants: str, value: int, wanted: str, has: bool) -> None:
    """All of the wanted flags are there; fields are compared whole."""
    assert has_flags(constants, value, wanted, "x86_64") is has


def test_flags_value_spelling() -> None:
    """Spaces around the bar and numbers are fine."""
    assert flags_value("open", "O_WRONLY | O_CREAT") == 0o101
    assert flags_value("open", "O_WRONLY|0x80000000") == 0x80000001
    assert flags_value("mode", "0644") == 0o644
    assert flags_value("rusage", "RUSAGE_CHILDREN") == flags_value("rusage", "-1") == -1


@pytest.mark.parametrize(
    "text, message",
    [
        ("O_CREATE", "flags 'O_CREATE': no such name among those of 'open' (did you mean O_CREAT"),
        ("o_creat", "no such name"),
        ("O_WRONLY|", "not names joined by |"),
        ("", "not names joined by |"),
    ],
)
def test_flags_value_unknown(text: str, message: str) -> None:
    """A name that isn't there is a ValueError with the nearest ones."""
    with pytest.raises(ValueError, match=re.escape(message)):
        flags_value("open", text)


@pytest.mark.parametrize(
    "name, text, argument, value",
    [
        ("openat", "O_WRONLY|O_CREAT", "flags", 0o101),
        ("openat", "0x80000", "flags", 0x80000),
        ("openat2", "O_CLOEXEC", "how", 0o2000000),
        ("clone3", "CLONE_VM", "uargs", 0x100),
        ("mmap", "PROT_EXEC", "prot", 4),
        ("mmap", "MAP_PRIVATE|MAP_ANONYMOUS", "flags", 0x22),
        ("socket", "AF_INET6", "family", 10),
        ("socket", "SOCK_NONBLOCK", "type", 0x800),
        ("fcntl", "O_NONBLOCK", "arg", 0x800),
        ("kill", "SIGKILL", "sig", 9),
        ("unlinkat", "AT_REMOVEDIR", "flag", 0x200),
    ],
)
def test_find_flags(name: str, text: str, argument: str, value: int) -> None:
    """The flags themselves tell which argument they are for."""
    arg, number = find_flags(text, X86.by_name(name), "x86_64")
    assert (arg.name, number) == (argument, value)
    assert flags_value(arg.constants, text, "x86_64") == value


def test_find_flags_tells_the_condition() -> None:
    """Flags of an argument that is something else for other commands come with the command."""
    arg, _ = find_flags("O_NONBLOCK", X86.by_name("fcntl"), "x86_64")
    assert arg.when == "cmd=F_SETFL"


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("openat", "O_CREATT", "openat has no O_CREATT (did you mean O_CREAT"),
        ("mmap", "PROT_READ|MAP_SHARED", "no one argument of mmap has all of these"),
        ("getpid", "O_CREAT", "getpid has no flags"),
    ],
)
def test_find_flags_unknown(name: str, text: str, message: str) -> None:
    """Flags that no argument of the call has are a ValueError."""
    with pytest.raises(ValueError, match=re.escape(message)):
        find_flags(text, X86.by_name(name), "x86_64")


# Errors


@pytest.mark.parametrize(
    "ret, name",
    [
        (0, None),
        (3, None),
        (-1, "EPERM"),
        (-2, "ENOENT"),
        (-11, "EAGAIN"),
        (-35, "EDEADLK"),
        (-95, "EOPNOTSUPP"),
        (-512, "ERESTARTSYS"),
        (-513, "ERESTARTNOINTR"),
        (-514, "ERESTARTNOHAND"),
        (-516, "ERESTART_RESTARTBLOCK"),
        (-4095, "ERRNO_4095"),
        (-4096, None),
        (0x7F0000000000, None),
    ],
)
def test_errno_name(ret: int, name: str | None) -> None:
    """Results from -4095 to -1 are errors, whether or not they have a name."""
    assert errno_name(ret) == name


def test_errno_names_are_python_s() -> None:
    """Every name is one that the errno module has for that number."""
    for number in errno.errorcode:
        assert getattr(errno, errno_name(-number) or "") == number
