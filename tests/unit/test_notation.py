"""System calls as text in strace's notation."""

from __future__ import annotations

import ast
import os
import unicodedata

import pytest

from pytest_ebpf import notation
from pytest_ebpf.events import Address, Descriptor, File, Socket
from pytest_ebpf.notation import argument, call, escape, quoted, result
from pytest_ebpf.syscalls import Argument, table

X86 = table("x86_64")

NASTY = [
    "",
    "plain",
    "two words",
    "é ü 文 🦀",
    "\n\t\v\f\r",
    "\x00",
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x1b8 keeps two digits, \x1b7 needs three",
    "\x017",
    "\x7f",
    "\x80\x9b31m",
    "a\u2028b\u2029c\x85d",
    "\u202egnp.exe",
    "\u2066\u2069\u200b\u200f\ufeff\u00ad",
    "\xa0",
    "\ue000\U000e0041\uffff",
    "\udc80\udcff7",
    "caf\udce9",
    'say "hi"',
    "back\\slash \\n \\33",
    "\\",
    '"',
    "\\\n7",
    "\u202e7\x85" + "7",
]


@pytest.mark.parametrize("text", NASTY)
def test_escape_leaves_one_printable_line(text: str) -> None:
    """Whatever goes in, what comes out can't end a line, move a cursor or turn the text around."""
    for shown in (escape(text), quoted(text)):
        assert shown.isprintable()
        assert len(shown.splitlines()) <= 1
        assert not [char for char in shown if unicodedata.category(char)[0] == "C"]
        shown.encode()  # no surrogate left


@pytest.mark.parametrize("text", NASTY)
def test_quoted_can_be_read_back(text: str) -> None:
    """The quoted text is a C literal of the same bytes."""
    literal = quoted(text).encode().decode("latin-1")
    assert ast.literal_eval(literal).encode("latin-1") == os.fsencode(text)


COMMANDS = [
    "::error::forged",
    "::add-mask::x",
    "a ::set-output name=x::y",
    "\n::stop-commands::t",
    "\u3000::error::x",
    "##[error]forged",
    "x##vso[task.complete result=Succeeded]",
    "##teamcity[testFinished]",
    "###[group]",
]


@pytest.mark.parametrize("text", COMMANDS)
def test_no_command_to_continuous_integration(text: str) -> None:
    """However a line is cut before a word, none begins with ``::``, and none has ``##``; the text can be read back."""
    for shown in (
        escape(text),
        quoted(text),
        quoted("x " + text),
        str(call(X86.by_name("open"), {"filename": text}, 3)),
    ):
        assert "##" not in shown
        assert not any(word.startswith("::") for word in shown.split())
    assert ast.literal_eval("b" + quoted(text)).decode() == text


@pytest.mark.parametrize(
    "text",
    ["::", "::1", "to ::ffff:127.0.0.1", "::/0", "fe80::1", "[::1]:80", "a::b", "#1", "# #", "C#", "std::string"],
)
def test_what_is_no_command_stays(text: str) -> None:
    """Addresses above all."""
    assert escape(text) == text
    assert quoted(text) == f'"{text}"'


@pytest.mark.parametrize(
    "text, shown",
    [
        ("\x1b[0m", r"\33[0m"),
        ("\x1b1", r"\0331"),
        ("\x1b8", r"\338"),
        ("\x00", r"\0"),
        ("\x000", r"\0000"),
        ("\n\t\v\f\r", r"\n\t\v\f\r"),
        ("\x08\x07", r"\10\7"),
        ("\x7f", r"\177"),
        ("\u202e", r"\342\200\256"),
        ("\x85", r"\302\205"),
        ("\udcff", r"\377"),
        ("\ud800", r"\355\240\200"),
        ("naïve 文", "naïve 文"),
        ('"\\', '"\\'),
    ],
)
def test_escape(text: str, shown: str) -> None:
    """Short escapes where C has them, else the octal of each byte, three digits before a digit."""
    assert escape(text) == shown


@pytest.mark.parametrize(
    "text, limit, shown",
    [
        ("abc", None, '"abc"'),
        ("abc", 3, '"abc"'),
        ("abcd", 3, '"abc"...'),
        ("abc", 0, '""...'),
        ('a"b\\', None, r'"a\"b\\"'),
        ("\n" * 5, 2, r'"\n\n"...'),
        ("\x1b1", 1, r'"\33"...'),
    ],
)
def test_quoted(text: str, limit: int | None, shown: str) -> None:
    """Quotes and backslashes are escaped; what was cut is followed by dots."""
    assert quoted(text, limit) == shown


@pytest.mark.parametrize(
    "kind, value, shown",
    [
        ("fd", 0xFFFFFFFF, "-1"),
        ("int", 0xFFFFFFFFFFFFFFFE, "-2"),
        ("uint", 0xFFFFFFFF, "4294967295"),
        ("size", 2**64 - 1, "18446744073709551615"),
        ("offset", 2**64 - 5, "-5"),
        ("word", 0, "0"),
        ("word", 255, "0xff"),
        ("pointer", 0, "NULL"),
        ("pointer", 0x7FFD1234, "0x7ffd1234"),
        ("path", 0x7FFD1234, "0x7ffd1234"),
        ("path", 0, "NULL"),
        ("path", None, "NULL"),
        ("path", "/tmp/\x1b", r'"/tmp/\33"'),
        ("buffer", b"\xff\x00", r'"\377\0"'),
        ("mode", 0o644, "0644"),
        ("mode", 0, "000"),
        ("mode", 0o7, "007"),
        ("mode", 0o4755, "04755"),
        ("mode", 0o100644, "S_IFREG|0644"),
        ("mode", 0xFFFF0000 | 0o7777, "07777"),
        ("mode", 0o177777, "0177777"),
        ("dev", 0x103, "makedev(0x1, 0x3)"),
        ("dev", 0, "makedev(0, 0)"),
        ("uid", 0xFFFFFFFF, "-1"),
        ("gid", 1000, "1000"),
        ("key", 0, "IPC_PRIVATE"),
        ("key", 0xFFFFFFFF, "0xffffffff"),
        ("argv", ("git", "log\n"), r'["git", "log\n"]'),
        ("argv", (), "[]"),
        ("fds_out", (3, 4), "[3, 4]"),
    ],
)
def test_argument(kind: str, value: object, shown: str) -> None:
    """Each kind has its form; a number for a pointer is an address."""
    assert argument(Argument("x", kind), value, "x86_64") == shown


@pytest.mark.parametrize(
    "address, shown",
    [
        (
            Address("AF_INET", "127.0.0.1", 80),
            '{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}',
        ),
        (
            Address("AF_INET6", "::1", 443),
            (
                "{sa_family=AF_INET6, sin6_port=htons(443), sin6_flowinfo=htonl(0), "
                'inet_pton(AF_INET6, "::1", &sin6_addr), sin6_scope_id=0}'
            ),
        ),
        (
            Address("AF_INET6", "fe80::1%2", 443),
            (
                "{sa_family=AF_INET6, sin6_port=htons(443), sin6_flowinfo=htonl(0), "
                'inet_pton(AF_INET6, "fe80::1", &sin6_addr), sin6_scope_id=2}'
            ),
        ),
        (Address("AF_UNIX", path="/run/x.sock"), '{sa_family=AF_UNIX, sun_path="/run/x.sock"}'),
        (Address("AF_UNIX", path="@abs\0tract"), r'{sa_family=AF_UNIX, sun_path=@"abs\0tract"}'),
        (Address("AF_UNIX", path="/a\nb"), r'{sa_family=AF_UNIX, sun_path="/a\nb"}'),
        (Address("AF_UNIX"), "{sa_family=AF_UNIX}"),
        (Address("AF_NETLINK", port=7), "{sa_family=AF_NETLINK, nl_pid=7, nl_groups=00000000}"),
        (Address("AF_250", members=(("sa_data", b"\x1b"),)), r'{sa_family=0xfa, sa_data="\33"}'),
        (Address("AF_UNSPEC"), "{sa_family=AF_UNSPEC}"),
    ],
)
def test_address(address: Address, shown: str) -> None:
    """A socket address as the struct that the program filled."""
    assert argument(Argument("uservaddr", "sockaddr", length="addrlen"), address) == shown


def connected(family: str, kind: str, protocol: int = 0, **ends: Address) -> File:
    """A socket's file."""
    return File("socket", inode=42, socket=Socket(family, kind, protocol, **ends, peer_inode=7 * ("peer" in ends)))


HERE, THERE = Address("AF_INET", "127.0.0.1", 4000), Address("AF_INET", "192.0.2.7", 80)


@pytest.mark.parametrize(
    "file, shown",
    [
        (File("file", path="/tmp/x"), "3</tmp/x>"),
        (File("file", path="/tmp/x", deleted=True), "3</tmp/x>(deleted)"),
        (File("file", path='/a>b"\n\x1b'), r"3</a\76b\"\n\33>"),
        (File("memfd", name="x"), "3</memfd:x>(deleted)"),
        (File("memfd", name="\x1b>"), r"3</memfd:\33\76>(deleted)"),
        (File("anonymous", name="[eventpoll]"), "3<anon_inode:[eventpoll]>"),
        (File("pipe", inode=42), "3<pipe:[42]>"),
        (connected("AF_INET", "SOCK_STREAM", 6, local=HERE, peer=THERE), "3<TCP:[127.0.0.1:4000->192.0.2.7:80]>"),
        (connected("AF_INET", "SOCK_DGRAM", 17, local=HERE), "3<UDP:[127.0.0.1:4000]>"),
        (connected("AF_INET", "SOCK_DGRAM", 17, local=Address("AF_INET", "0.0.0.0", 0)), "3<UDP:[42]>"),
        (connected("AF_INET", "SOCK_DGRAM", 1), "3<PING:[42]>"),
        (connected("AF_INET6", "SOCK_STREAM", local=Address("AF_INET6", "::1", 80)), "3<TCPv6:[[::1]:80]>"),
        (connected("AF_UNIX", "SOCK_STREAM"), "3<UNIX-STREAM:[42]>"),
        (connected("AF_UNIX", "SOCK_DGRAM", local=Address("AF_UNIX", path="/s>"), peer=Address("AF_UNIX")), None),
        (connected("AF_NETLINK", "SOCK_RAW"), "3<NETLINK:[42]>"),
        (connected("AF_PACKET", "SOCK_RAW"), "3<socket:[42]>"),
    ],
)
def test_descriptor(file: File, shown: str | None) -> None:
    """A descriptor with what it stands for, in which no character can end it or move a cursor."""
    shown = shown or r'3<UNIX-DGRAM:[42->7,"/s\76"]>'
    assert argument(Argument("fd", "fd"), Descriptor(3, file)) == shown
    assert result(X86.by_name("dup"), Descriptor(3, file)) == shown


def test_descriptor_in_a_call() -> None:
    """As an argument and as a result, also where it is a directory's."""
    values = {"oldfd": Descriptor(3, File("pipe", inode=5)), "newfd": 4, "flags": 0}
    shown = notation.call(X86.by_name("dup3"), values, Descriptor(4, File("pipe", inode=5)), "x86_64")
    assert shown == "dup3(3<pipe:[5]>, 4, 0) = 4<pipe:[5]>"


def test_ring_operation() -> None:
    """As the call that it is like, with the arguments that are recorded and no result."""
    values = {"dfd": -100, "filename": "x", "flags": 0o101, "mode": 0o644}
    shown = notation.call(X86.by_name("IORING_OP_OPENAT"), values, None, "x86_64")
    assert shown == 'IORING_OP_OPENAT(AT_FDCWD, "x", O_WRONLY|O_CREAT, 0644) = ?'
    values = {"fd": Descriptor(3, File("file", path="/x"))}
    assert notation.call(X86.by_name("IORING_OP_READ"), values, None, "x86_64") == "IORING_OP_READ(3</x>) = ?"


def test_address_in_a_message() -> None:
    """The destination of sendmsg is a member of the message."""
    shown = argument(Argument("msg", "msghdr"), Address("AF_UNIX", path="/x"))
    assert shown == '{msg_name={sa_family=AF_UNIX, sun_path="/x"}, ...}'


@pytest.mark.parametrize(
    "name, values, ret, shown",
    [
        (
            "openat",
            (-100, "/etc/passwd", 0o2000000, 0),
            3,
            'openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC) = 3',
        ),
        (
            "openat",
            (0xFFFFFF9C, "/x", 0o101, 0o600),
            -2,
            'openat(AT_FDCWD, "/x", O_WRONLY|O_CREAT, 0600) = -1 ENOENT (No such file or directory)',
        ),
        ("openat", (5, "", 0o20200002, 0o600), 3, 'openat(5, "", O_RDWR|O_TMPFILE, 0600) = 3'),
        ("open", (0, 0, 0), -14, "open(NULL, O_RDONLY) = -1 EFAULT (Bad address)"),
        (
            "openat2",
            (-100, "x", {"flags": 0o101, "mode": 0o644, "resolve": 8}, 24),
            3,
            'openat2(AT_FDCWD, "x", {flags=O_WRONLY|O_CREAT, mode=0644, resolve=RESOLVE_BENEATH}, 24) = 3',
        ),
        ("getpid", (), 7, "getpid() = 7"),
        ("read", (0, 0x7FFD, 77), 77, "read(0, 0x7ffd, 77) = 77"),
        ("preadv", (3, 0x7FFD, 2, 77, 0), 5, "preadv(3, 0x7ffd, 2, 77) = 5"),
        ("lseek", (3, 2**64 - 1, 1), 0, "lseek(3, -1, SEEK_CUR) = 0"),
        (
            "mmap",
            (0, 8192, 3, 0x22, 2**64 - 1, 0),
            0x7F0000000000,
            "mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000000000",
        ),
        ("brk", (0,), 0x5555, "brk(NULL) = 0x5555"),
        ("umask", (0o22,), 0o77, "umask(022) = 077"),
        ("exit_group", (0,), None, "exit_group(0) = ?"),
        (
            "execve",
            ("/bin/git", ("git", "status"), 0x7F),
            0,
            'execve("/bin/git", ["git", "status"], 0x7f) = 0',
        ),
        ("fcntl", (3, 3, 0), 0x8002, "fcntl(3, F_GETFL) = 0x8002 (flags O_RDWR|O_LARGEFILE)"),
        ("fcntl", (3, 1, 0), 0, "fcntl(3, F_GETFD) = 0"),
        ("fcntl", (3, 4, 0x800), 0, "fcntl(3, F_SETFL, O_RDONLY|O_NONBLOCK) = 0"),
        ("kill", (7, 15), 0, "kill(7, SIGTERM) = 0"),
        ("kill", (0xFFFFFFFF, 0), 0, "kill(-1, 0) = 0"),
        ("chown", ("/x", 0xFFFFFFFF, 0), 0, 'chown("/x", -1, 0) = 0'),
        ("mknod", ("/x", 0o100644, 0), 0, 'mknod("/x", S_IFREG|0644) = 0'),
        ("mknod", ("/x", 0o20644, 0x103), 0, 'mknod("/x", S_IFCHR|0644, makedev(0x1, 0x3)) = 0'),
        ("socket", (2, 0x80001, 6), 3, "socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_TCP) = 3"),
        ("accept4", (3, None, None, 0), 4, "accept4(3, NULL, NULL, 0) = 4"),
        ("setsockopt", (3, 6, 1, 0x7F, 4), 0, "setsockopt(3, SOL_TCP, TCP_NODELAY, 0x7f, 4) = 0"),
        ("prctl", (15, "worker", 0, 0, 0), 0, 'prctl(PR_SET_NAME, "worker") = 0'),
        (
            "clone",
            (0x1200011, 0, 0, 0x7F10, 0),
            9,
            ("clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD, child_tidptr=0x7f10) = 9"),
        ),
        (
            "futex",
            (0x7F10, 128, 2, 0, 0, 0),
            -512,
            ("futex(0x7f10, FUTEX_WAIT_PRIVATE, 2, NULL) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)"),
        ),
    ],
)
def test_call(name: str, values: tuple[object, ...], ret: int | None, shown: str) -> None:
    """Whole calls read as strace writes them."""
    syscall = X86.by_name(name)
    named = dict(zip([arg.name for arg in syscall.args], values, strict=False))
    assert notation.call(syscall, named, ret, "x86_64") == shown


def test_call_in_flight() -> None:
    """A call that hasn't returned ends where strace's line would stop."""
    syscall = X86.by_name("connect")
    values = {"fd": 3, "uservaddr": Address("AF_UNIX", path="/x"), "addrlen": 5}
    shown = notation.call(syscall, values, None, "x86_64", in_flight=True)
    assert shown == 'connect(3, {sa_family=AF_UNIX, sun_path="/x"}, 5 <unfinished ...>'


def test_call_with_missing_arguments() -> None:
    """What wasn't recorded is a question mark, so that nothing moves into its place."""
    assert notation.call(X86.by_name("openat"), {"filename": "x"}, 3, "x86_64") == 'openat(?, "x", ?, ?) = 3'


def test_call_with_unknown_number() -> None:
    """A call without a name shows its six registers."""
    values = {f"arg{position}": position for position in range(6)}
    shown = notation.call(X86.by_number(500), values, -38, "x86_64")
    assert shown == "syscall_0x1f4(0, 0x1, 0x2, 0x3, 0x4, 0x5) = -1 ENOSYS (Function not implemented)"


def test_call_depends_on_the_architecture() -> None:
    """The same bits are another flag on aarch64."""
    syscall = table("aarch64").by_name("openat")
    values = {"dfd": -100, "filename": "/", "flags": 0o40000}
    assert notation.call(syscall, values, 3, "aarch64") == 'openat(AT_FDCWD, "/", O_RDONLY|O_DIRECTORY) = 3'


@pytest.mark.parametrize(
    "ret, shown",
    [
        (None, "?"),
        (-1, "-1 EPERM (Operation not permitted)"),
        (-516, "? ERESTART_RESTARTBLOCK (Interrupted by signal)"),
        (-4095, "-1 ERRNO_4095 (Unknown error 4095)"),
        (-4096, "-4096"),
    ],
)
def test_result(ret: int | None, shown: str) -> None:
    """Errors have name and text; nothing is known of a call that never returned."""
    assert result(X86.by_name("close"), ret) == shown
