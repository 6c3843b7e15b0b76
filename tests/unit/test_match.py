"""Names, filters, the three answers of a query, and the sequence of events."""

from __future__ import annotations

import dataclasses
import doctest
import errno
import ipaddress
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from pytest_ebpf import match, syscalls
from pytest_ebpf.errors import InconclusiveRecording, UnknownSyscall
from pytest_ebpf.events import Address, Gap, NetworkEvent, Process, SyscallEvent
from pytest_ebpf.match import Events, Query, effect_query, query

from .builders import GIT, PYTHON, SH, START_NS, TABLE, event, failed, opened

LOOPBACK = Address("AF_INET", "127.0.0.1", 80)


def asked(*names: str, **filters: Any) -> Query:
    """A query on the x86_64 table."""
    return query(TABLE, *names, **filters)


def names_of(question: Query) -> set[str]:
    """The calls that a query is about."""
    assert question.names is not None
    return set(question.names)


def connected(address: Address | None, name: str = "connect", **more: Any) -> SyscallEvent:
    """A call with a socket address."""
    return event(name, args={"fd": 3, "uservaddr": address, "addrlen": 16}, address=address, **more)


class TestNames:
    """Which calls a query is about."""

    def test_exact_glob_and_class(self) -> None:
        """The three kinds of name add up."""
        assert names_of(asked("openat")) == {"openat"}
        assert names_of(asked("rename*")) == {"rename", "renameat", "renameat2"}
        calls = {"open", "openat", "openat2", "creat", "open_by_handle_at"}
        assert names_of(asked("%open")) == calls | {"IORING_OP_OPENAT", "IORING_OP_OPENAT2"}
        assert names_of(asked("IORING_OP_UNLINKAT")) == {"IORING_OP_UNLINKAT"}
        assert names_of(asked("read", "write")) == {"read", "write"}

    def test_other_calls_never_match(self) -> None:
        """A name is the first filter."""
        assert asked("openat").test(event("openat2")) is False
        assert asked("openat").test(event("openat")) is True

    def test_no_name_is_any_call(self) -> None:
        """Also one that the table doesn't know."""
        assert asked().names is None
        assert asked().test(event("syscall_0x1f4")) is True

    def test_misspelt(self) -> None:
        """An error with the nearest names, whose traceback ends with the user's line."""
        with pytest.raises(UnknownSyscall, match=r"opanat.*did you mean openat") as caught:
            asked("opanat")
        assert [entry.name for entry in caught.traceback][-1] == "query"

    def test_no_string(self) -> None:
        """A name of another type is a TypeError."""
        with pytest.raises(TypeError, match="must be a str, not int"):
            asked(257)  # type: ignore[arg-type]

    def test_of_another_architecture(self) -> None:
        """A call that this architecture hasn't got is legal and matches nothing."""
        elsewhere = query(syscalls.table("aarch64"), "open", path="/etc/passwd", flags="O_CREAT", fd=1)
        assert elsewhere.names == frozenset()
        assert elsewhere.test(event("open", path="/etc/passwd")) is False

    def test_literal(self) -> None:
        """What was named exactly is kept, for the hints on siblings."""
        assert asked("openat", "rename*", "%network").literal == ("openat",)

    def test_as_typed(self) -> None:
        """A query reads as it was typed, and no value in it can control a terminal."""
        found = str(asked("openat", path=Path("/x"), comm="a\x1b", where=str.__len__, exe=re.compile("\u202e")))
        assert found == "'openat', path='/x', comm='a\\x1b', where=str.__len__, exe=re.compile('\\u202e')"
        assert str(asked("read", ret=range(1, 5), count=3)) == "'read', ret=range(1, 5), count=3"
        assert str(asked("connect", address=ipaddress.ip_address("::1"))) == "'connect', address='::1'"


class TestPath:
    """The filter ``path``."""

    @pytest.mark.parametrize(
        "value, path, matches",
        [
            ("/etc/hosts", "/etc/hosts", True),
            ("/etc/hosts", "/etc/hosts2", False),
            ("/etc/*", "/etc/ssl/certs/x.pem", True),
            ("*/app.toml", "/srv/app.toml", True),
            ("/etc/host?", "/etc/hosts", True),
            ("/etc/[a-h]*", "/etc/hosts", True),
            ("/etc/[a-h]*", "/etc/Hosts", False),
            ("/tmp/test[1]", "/tmp/test[1]", True),
            ("/tmp/test[1]", "/tmp/test1", True),
            ("/etc/*", "/etc/a\nb", True),
            ("*", "", True),
            ("", "", True),
            (re.compile(r"hosts$"), "/etc/hosts", True),
            (re.compile(r"^hosts"), "/etc/hosts", False),
            (PurePosixPath("/tmp/*"), "/tmp/*", True),
            (PurePosixPath("/tmp/*"), "/tmp/a", False),
            ("/etc//./hosts/", "/etc/hosts", True),
            ("/etc//./hosts/", "/etc//./hosts/", True),
            ("/etc/ssl/../hosts", "/etc/hosts", True),
            ("/etc/*/", "/etc/ssl", True),
            ("/etc/*/../hosts", "/etc/hosts", False),
            (PurePosixPath("/tmp/x/../*"), "/tmp/*", True),
            (PurePosixPath("/tmp/x/../*"), "/tmp/a", False),
            (lambda path: path.endswith("s"), "/etc/hosts", True),
            (lambda path: path.endswith("x"), "/etc/hosts", False),
            (lambda path: [], "/etc/hosts", False),
        ],
    )
    def test_kinds(self, value: object, path: str, matches: bool) -> None:
        """Exact, glob, regex (searched), PathLike (never a glob) and function."""
        assert asked("openat", path=value).test(opened(path)) is matches

    @pytest.mark.parametrize("spelling", ["app.toml", "/srv/app.toml", "/data/app.toml"])
    def test_any_spelling(self, spelling: str) -> None:
        """As passed, made absolute, or real."""
        call = event(path="app.toml", abspath="/srv/app.toml", realpath="/data/app.toml")
        assert asked("openat", path=spelling).test(call) is True

    def test_not_utf8(self) -> None:
        """A name in no encoding matches itself."""
        assert asked("openat", path=os.fsdecode(b"/tmp/\xff")).test(opened("/tmp/\udcff")) is True

    def test_unread_is_undecided(self) -> None:
        """An unreadable path is never "no match"."""
        assert asked("openat", path="/etc/hosts").test(event(unread={"path", "filename"})) is None

    @pytest.mark.parametrize("part", ["abspath", "realpath"])
    def test_partly_unread(self, part: str) -> None:
        """A known spelling decides if it matches; otherwise the unknown one might."""
        call = event(path="hosts", unread={part})
        assert asked("openat", path="hosts").test(call) is True
        assert asked("openat", path="/etc/hosts").test(call) is None

    def test_false_wins_over_unknown(self) -> None:
        """Another filter that says no decides, in whichever order they stand."""
        call = event(unread={"path"}, ret=3)
        assert asked("openat", path="/x", ok=False).test(call) is False
        assert asked("openat", ok=False, path="/x").test(call) is False
        assert asked("openat", ok=True, path="/x").test(call) is None

    def test_none_given(self) -> None:
        """A path that the kernel couldn't read either isn't there; other unread arguments don't matter."""
        assert asked("openat", path="*").test(event(ret=-14, errno="EFAULT")) is False
        assert asked("openat", path="*").test(event(unread={"address"})) is False

    def test_any_call(self) -> None:
        """Without names, calls that take no path don't match, and unknown ones are undecided."""
        assert asked(path="*").test(event("getpid")) is False
        assert asked(path="*").test(event("syscall_0x1f4")) is None

    @pytest.mark.parametrize(
        "value, text",
        [
            (b"/etc", r"path: bytes never match: pass os.fsdecode\(b'/etc'\)"),
            (re.compile(b"x"), "path: a bytes regex never matches"),
            (3, "path: expected str .exact or glob., a compiled regex, os.PathLike or a function, not int"),
            (None, "path: expected str .*, not NoneType"),
            (Path, "path: expected a value or a function, not the class Path"),
        ],
    )
    def test_wrong_type(self, value: object, text: str) -> None:
        """What can never match is a TypeError that says what can."""
        with pytest.raises(TypeError, match=text):
            asked("openat", path=value)

    def test_bytes_pathlike(self) -> None:
        """A PathLike of bytes is bytes too."""

        class Odd:
            def __fspath__(self) -> bytes:
                return b"x"

        with pytest.raises(TypeError, match=r"fsdecode\(b'x'\)"):
            asked("openat", path=Odd())

    @pytest.mark.parametrize("value", ["/a\0b", PurePosixPath("/a\0b")])
    def test_nul(self, value: object) -> None:
        """No path holds a NUL."""
        with pytest.raises(ValueError, match="can't match"):
            asked("openat", path=value)

    @pytest.mark.parametrize("value", ["~/.netrc", "~root/.ssh/*", PurePosixPath("~/.netrc")])
    def test_home(self, value: object) -> None:
        """No path begins with the shell's sign for it, and nothing would match."""
        text = r"can't match.*write os\.path\.expanduser\('~.*{home} in a rule"
        with pytest.raises(ValueError, match=text):
            asked("openat", path=value)
        with pytest.raises(ValueError, match=text):
            effect_query(TABLE, "files", path=value)

    def test_a_coroutine_function(self) -> None:
        """It would always be true."""

        async def yes(path: str) -> bool:
            return bool(path)

        with pytest.raises(TypeError, match="path: the function must be a plain one"):
            asked("openat", path=yes)

    def test_call_without_a_path(self) -> None:
        """A filter that can't apply to any named call is an error, to one of them it isn't."""
        with pytest.raises(TypeError, match="path: getpid has no path"):
            asked("getpid", path="/x")
        assert asked("getpid", "openat", path="/x").test(event("getpid")) is False


class TestResult:
    """The filters ``ok``, ``errno`` and ``ret``."""

    @pytest.mark.parametrize(
        "filters, on_success, on_failure, never_returned",
        [
            ({"ok": True}, True, False, False),
            ({"ok": False}, False, True, True),
            ({"ok": lambda ok: ok}, True, False, False),
            ({"errno": "ENOENT"}, False, True, False),
            ({"errno": errno.ENOENT}, False, True, False),
            ({"errno": "EACCES"}, False, False, False),
            ({"errno": None}, True, False, True),
            ({"errno": lambda name: name == "ENOENT"}, False, True, False),
            ({"ret": 3}, True, False, False),
            ({"ret": -2}, False, True, False),
            ({"ret": range(3, 5)}, True, False, False),
            ({"ret": lambda ret: ret < 0}, False, True, False),
        ],
    )
    def test_answers(self, filters: dict[str, Any], on_success: bool, on_failure: bool, never_returned: bool) -> None:
        """Of a call that succeeded, failed, never returned, or is in flight (always undecided)."""
        question = asked("openat", **filters)
        assert question.test(opened("/x")) is on_success
        assert question.test(failed("/x")) is on_failure
        assert question.test(event(ret=None)) is never_returned
        assert question.test(event(ret=None, in_flight=True)) is None

    @pytest.mark.parametrize(
        "typed, recorded",
        [
            ("EWOULDBLOCK", "EAGAIN"),
            ("ENOTSUP", "EOPNOTSUPP"),
            (errno.EDEADLK, "EDEADLK"),
            ("ERESTARTSYS", "ERESTARTSYS"),
        ],
    )
    def test_second_names(self, typed: str | int, recorded: str) -> None:
        """An error is meant by any of its names; the kernel's internal ones exist."""
        assert asked("read", errno=typed).test(event("read", -1, errno=recorded)) is True

    @pytest.mark.parametrize("recorded", ["ERESTARTSYS", "ERESTARTNOHAND", "ERESTART_RESTARTBLOCK"])
    def test_a_call_that_a_signal_broke_off(self, recorded: str) -> None:
        """The program may have been told EINTR, unless the kernel made the call again."""
        call = event("read", -512, errno=recorded)
        assert asked("read", errno="EINTR").test(call) is None
        assert asked("read", errno=recorded).test(call) is True
        assert asked("read", errno="EAGAIN").test(call) is False
        assert asked("read", ret=-4).test(call) is None
        assert asked("read", ok=False).test(call) is True
        assert asked("read", errno="EINTR").test(event("read", -513, errno="ERESTARTNOINTR")) is False

    @pytest.mark.parametrize(
        "filters, error, text",
        [
            ({"ok": 1}, TypeError, "ok: expected True, False or a function, not int"),
            ({"ok": None}, TypeError, "ok: expected True, False"),
            ({"errno": True}, TypeError, "errno: expected a name such as 'ENOENT'"),
            ({"errno": "ENOENTT"}, ValueError, "'ENOENTT' is the name or number of no error: did you mean ENOENT"),
            ({"errno": "enoent"}, ValueError, "did you mean ENOENT"),
            ({"errno": 9999}, ValueError, "9999 is the name or number of no error"),
            ({"errno": -2}, ValueError, "-2 is the name or number of no error"),
            ({"errno": 0}, ValueError, "write errno=None or ok=True"),
            ({"ret": True}, TypeError, "ret: expected int, range or a function, not bool"),
            ({"ret": "3"}, TypeError, "ret: expected int, range or a function, not str"),
            ({"ret": -1}, ValueError, "-1 would mean EPERM alone"),
            ({"ret": range(3, 3)}, ValueError, r"ret: range\(3, 3\) is empty"),
            ({"ok": True, "errno": "ENOENT"}, ValueError, "contradict"),
            ({"ok": True, "ret": -2}, ValueError, "contradict"),
            ({"ok": False, "ret": 2}, ValueError, "contradict"),
            ({"errno": "ENOENT", "ret": 2}, ValueError, "contradict"),
            ({"errno": None, "ret": -2}, ValueError, "contradict"),
            ({"ok": True, "ret": -4095}, ValueError, "contradict"),
        ],
    )
    def test_unusable(self, filters: dict[str, Any], error: type[Exception], text: str) -> None:
        """Values that can't match, or not together."""
        with pytest.raises(error, match=text):
            asked("openat", **filters)


def test_result_beyond_the_errors() -> None:
    """An address in the upper half is a result like any other."""
    assert asked("mmap", ok=True, ret=-4096).test(event("mmap", -4096)) is True


class TestFlags:
    """The filter ``flags``."""

    @pytest.mark.parametrize(
        "value, matches",
        [
            ("O_WRONLY|O_CREAT", True),
            ("O_CREAT", True),
            ("O_RDONLY", False),
            ("O_CREAT|O_EXCL", False),
            (os.O_WRONLY | os.O_CREAT, True),
            (os.O_EXCL, False),
            (lambda flags: flags == 0o101, True),
            (lambda flags: flags == 0, False),
        ],
    )
    def test_all_of_these(self, value: object, matches: bool) -> None:
        """All that are asked for, and maybe others."""
        assert asked("openat", flags=value).test(opened("/x", flags=0o101)) is matches

    def test_finds_the_argument(self) -> None:
        """By the names of the flags, whichever argument has them."""
        call = event("mmap", args={"addr": 0, "len": 1, "prot": 5, "flags": 2, "fd": 3, "off": 0})
        assert asked("mmap", flags="PROT_READ|PROT_EXEC").test(call) is True
        assert asked("mmap", flags="PROT_WRITE").test(call) is False
        assert asked("mmap", flags="MAP_PRIVATE").test(call) is True
        assert asked("mmap", flags=2).test(call) is True

    def test_creat(self) -> None:
        """It has no flags argument, and still creates: by definition."""
        call = event("creat", path="/x", args={"pathname": "/x", "mode": 0o644})
        assert asked("%open", flags="O_CREAT").test(call) is True
        assert asked("creat", flags="O_TRUNC|O_WRONLY").test(call) is True
        assert asked("creat", flags="O_EXCL").test(call) is False
        assert asked("creat", flags=os.O_CREAT).test(call) is True

    def test_behind_a_pointer(self) -> None:
        """Flags in a structure that wasn't read are unknown; once it is read they decide."""
        unread = event("openat2", args={"dfd": -100, "how": 0x7FFF_0000, "usize": 24})
        assert asked("openat2", flags="O_CREAT").test(unread) is None
        assert asked("openat2", flags=os.O_CREAT).test(unread) is None
        read = event("openat2", args={"dfd": -100, "how": {"flags": 0o100}, "usize": 24})
        assert asked("openat2", flags="O_CREAT").test(read) is True
        assert asked("openat2", flags="O_EXCL").test(read) is False
        faulty = event("openat2", -14, errno="EFAULT", args={"how": 0x1})
        assert asked("openat2", flags="O_CREAT").test(faulty) is False

    @pytest.mark.parametrize(
        "name, filters",
        [
            ("%open", {"flags": "O_WRONLY|O_RDWR"}),
            ("openat", {"flags": "O_RDONLY|O_WRONLY"}),
            ("mmap", {"prot": "PROT_NONE|PROT_EXEC"}),
            ("mmap", {"flags": "MAP_SHARED|MAP_PRIVATE"}),
            ("socket", {"type": "SOCK_STREAM|SOCK_DGRAM"}),
        ],
    )
    def test_flags_that_no_value_has(self, name: str, filters: dict[str, str]) -> None:
        """Two values of one field: nothing would match."""
        with pytest.raises(ValueError, match="no value has all of these"):
            asked(name, **filters)

    def test_a_mode_in_a_structure(self) -> None:
        """That of ``openat2`` too, where a file is made."""
        question = asked("%open", mode=0o640)
        made = event("openat2", args={"dfd": -100, "how": {"flags": 0o101, "mode": 0o640}, "usize": 24})
        other = event("openat2", args={"dfd": -100, "how": {"flags": 0o101}, "usize": 24})
        assert question.test(made) is True
        assert question.test(other) is False
        assert question.misses(other) == ["mode: 000 is not 416"]
        assert question.test(event("openat2", args={"dfd": -100, "how": 0x7FFF_0000, "usize": 24})) is None
        assert question.test(event("IORING_OP_OPENAT2", args={})) is None
        assert asked("openat2", mode=0).test(other) is True
        read = event("openat2", args={"dfd": -100, "how": {"flags": 0}, "usize": 24})
        assert asked("openat2", mode=0).test(read) is False
        assert asked("openat2", mode="0640").test(made) is True

    def test_depends_on_another_argument(self) -> None:
        """``fcntl``'s argument is flags for F_SETFL alone."""
        question = asked("fcntl", flags="O_NONBLOCK")
        assert question.test(event("fcntl", args={"fd": 0, "cmd": 4, "arg": 0o4000})) is True
        assert question.test(event("fcntl", args={"fd": 0, "cmd": 0, "arg": 0o4000})) is False

    def test_unread(self) -> None:
        """An argument that the event lacks or couldn't read is unknown."""
        assert asked("openat", flags="O_CREAT").test(event(args={})) is None
        assert asked("openat", flags="O_CREAT").test(event(args={"flags": 0}, unread={"flags"})) is None

    @pytest.mark.parametrize(
        "name, value, error, text",
        [
            ("openat", "O_CRAET", ValueError, "openat has no O_CRAET .did you mean O_CREAT"),
            ("openat", 0, ValueError, "flags: 0 is in every value .*flags='O_RDONLY'"),
            ("openat", True, TypeError, "flags: expected flags such as 'O_WRONLY|O_CREAT', int or a function"),
            ("openat", ["O_CREAT"], TypeError, "not list"),
            ("getpid", "O_CREAT", TypeError, "getpid has no argument that holds flags"),
            ("getpid", 64, TypeError, "getpid has no argument that holds flags"),
            ("*", "O_CRAET", ValueError, "did you mean O_CREAT"),
        ],
    )
    def test_unusable(self, name: str, value: object, error: type[Exception], text: str) -> None:
        """Errors name what would be right."""
        with pytest.raises(error, match=text):
            asked(name, flags=value)


class TestTask:
    """The filters on who made the call."""

    @pytest.mark.parametrize(
        "filters, by_git, by_pytest",
        [
            ({"pid": 14}, True, False),
            ({"tid": 15}, True, False),
            ({"pid": lambda pid: pid > 13}, True, False),
            ({"comm": "git"}, True, False),
            ({"comm": "py*"}, False, True),
            ({"comm": "just-15-letters"}, False, False),
            ({"exe": "/usr/bin/git"}, True, False),
            ({"exe": "git"}, True, False),
            ({"exe": "python*"}, False, True),
            ({"exe": PurePosixPath("/usr/bin/git")}, True, False),
            ({"exe": "bin/git"}, False, False),
            ({"exe": re.compile("^/usr/")}, True, True),
            ({"process": "self"}, False, True),
            ({"process": "children"}, True, False),
            ({"process": GIT}, True, False),
            ({"process": lambda process: SH in process.chain()}, True, False),
        ],
    )
    def test_answers(self, filters: dict[str, Any], by_git: bool, by_pytest: bool) -> None:
        """Of a call by a thread of git, and one by pytest itself."""
        question = asked("openat", **filters)
        assert question.test(event(process=GIT, tid=15)) is by_git
        assert question.test(event()) is by_pytest

    def test_program_not_seen(self) -> None:
        """Then what it was is unknown."""
        stranger = event(process=Process(99, "x", parent=PYTHON))
        assert asked("openat", exe="git").test(stranger) is None

    @pytest.mark.parametrize(
        "filters, error, text",
        [
            ({"pid": 0}, ValueError, "pid: 0 is nobody's"),
            ({"tid": True}, TypeError, "tid: expected int or a function, not bool"),
            ({"comm": "a-name-too-long!"}, ValueError, "would be 'a-name-too-long'"),
            ({"exe": b"git"}, TypeError, "exe: bytes never match"),
            ({"process": "git"}, ValueError, "neither 'self' nor 'children' .for a program's name use comm"),
            ({"process": "childs"}, ValueError, "did you mean 'children'"),
            ({"process": 3}, TypeError, "process: expected 'self', 'children', a Process"),
        ],
    )
    def test_unusable(self, filters: dict[str, Any], error: type[Exception], text: str) -> None:
        """Errors name what would be right."""
        with pytest.raises(error, match=text):
            asked("openat", **filters)

    def test_pid_of_whom(self) -> None:
        """``kill(pid)`` has a pid of its own: the assertion must not silently ask about the caller's."""
        with pytest.raises(TypeError, match=r"ambiguous for kill.*event.args\['pid'\]"):
            asked("kill", pid=1)
        assert asked("%signal", pid=12).test(event("kill")) is True


class TestArguments:
    """Filters by an argument's kernel name, and ``fd``."""

    @pytest.mark.parametrize(
        "name, filters, args, matches",
        [
            ("lseek", {"whence": "SEEK_SET"}, {"fd": 3, "offset": 9, "whence": 0}, True),
            ("lseek", {"whence": "SEEK_END"}, {"fd": 3, "offset": 9, "whence": 0}, False),
            ("lseek", {"whence": 0}, {"fd": 3, "offset": 9, "whence": 0}, True),
            ("lseek", {"offset": lambda offset: offset > 8}, {"fd": 3, "offset": 9, "whence": 0}, True),
            ("mmap", {"prot": "PROT_EXEC"}, {"prot": 5}, True),
            ("mmap", {"prot": 4}, {"prot": 5}, True),
            ("mmap", {"prot": "PROT_NONE"}, {"prot": 0}, True),
            ("mkdir", {"mode": 0o755}, {"pathname": "/x", "mode": 0o755}, True),
            ("mkdir", {"mode": "0755"}, {"pathname": "/x", "mode": 0o755}, True),
            ("mkdir", {"mode": "0644"}, {"pathname": "/x", "mode": 0o755}, False),
            ("kill", {"sig": "SIGTERM"}, {"pid": 1, "sig": 15}, True),
            ("kill", {"sig": 9}, {"pid": 1, "sig": 15}, False),
            ("rename", {"newname": "/b*"}, {"oldname": "/a", "newname": "/bc"}, True),
            ("rename", {"oldname": PurePosixPath("/b")}, {"oldname": "/a", "newname": "/b"}, False),
            ("execve", {"argv": ["ls", "-l"]}, {"argv": ("ls", "-l")}, True),
            ("execve", {"argv": lambda argv: "-l" in argv}, {"argv": ("ls", "-l")}, True),
            ("connect", {"uservaddr": "loopback"}, {"uservaddr": LOOPBACK}, True),
            ("fcntl", {"arg": "O_NONBLOCK"}, {"fd": 0, "cmd": 4, "arg": 0o4000}, True),
            ("fcntl", {"arg": "O_NONBLOCK"}, {"fd": 0, "cmd": 0, "arg": 0o4000}, False),
            ("openat", {"fd": "AT_FDCWD"}, {"dfd": -100}, True),
            ("openat", {"dfd": "AT_FDCWD"}, {"dfd": -100}, True),
            ("read", {"fd": 3}, {"fd": 3}, True),
            ("read", {"fd": 4}, {"fd": 3}, False),
            ("dup2", {"fd": 4}, {"oldfd": 3, "newfd": 4}, True),
            ("dup2", {"fd": lambda fd: fd > 4}, {"oldfd": 3, "newfd": 4}, False),
            ("close_range", {"fd": 3}, {"fd": 3, "max_fd": 9, "flags": 0}, True),
        ],
    )
    def test_kinds(self, name: str, filters: dict[str, Any], args: dict[str, Any], matches: bool) -> None:
        """Numbers, constants by name, flags (all of them), paths, addresses, lists."""
        assert asked(name, **filters).test(event(name, args=args)) is matches

    def test_there_for_some_flags_only(self) -> None:
        """Without O_CREAT, the register of ``mode`` holds anything."""
        question = asked("openat", mode=0o644)
        args = {"dfd": -100, "filename": "/x", "mode": 0o644}
        assert question.test(event(args={**args, "flags": 0o101})) is True
        assert question.test(event(args={**args, "flags": 0})) is False

    @pytest.mark.parametrize(
        "args, unread, errno_name, answer",
        [
            ({"oldname": "/a", "newname": 0x7F00}, {"newname", "path"}, None, None),
            ({"oldname": "/a", "newname": 0x7F00}, (), None, None),
            ({"oldname": "/a", "newname": 0x7F00}, (), "EFAULT", False),
            ({"oldname": "/a", "newname": 0}, (), None, False),
            ({"oldname": "/a", "newname": None}, {"newname"}, None, None),
            ({"oldname": "/a"}, (), None, None),
        ],
    )
    def test_unread(self, args: dict[str, Any], unread: set[str], errno_name: str | None, answer: bool | None) -> None:
        """A pointer whose text wasn't read is unknown, NULL is no match."""
        assert asked("rename", newname="/b").test(event("rename", args=args, unread=unread, errno=errno_name)) is answer

    def test_only_some_calls_have_it(self) -> None:
        """The others don't match; a call unknown to the table is undecided."""
        question = asked("lseek", "read", whence="SEEK_SET")
        assert question.test(event("read", args={"fd": 3})) is False
        assert asked(whence=0).test(event("syscall_0x1f4")) is None
        assert asked("syscall_0x1f4", path="/x").test(event("syscall_0x1f4")) is None

    @pytest.mark.parametrize(
        "name, filters, error, text",
        [
            ("openat", {"pth": 1}, TypeError, r"unknown filter 'pth': did you mean 'path'\? \(filters: address, "),
            ("openat", {"pth": 1}, TypeError, r"arguments of openat: dfd, filename, flags, mode\)"),
            ("openat", {"whence": 1}, TypeError, "unknown filter 'whence'"),
            ("*", {"pth": 1}, TypeError, "any argument of the calls by its kernel name"),
            ("lseek", {"whence": "SEEK_STE"}, ValueError, "did you mean SEEK_SET"),
            ("lseek", {"offset": "SEEK_SET"}, TypeError, "offset: expected int or a function, not str"),
            ("lseek", {"offset": True}, TypeError, "offset: expected int or a function, not bool"),
            ("rename", {"newname": 3}, TypeError, "newname: expected str"),
            ("execve", {"argv": "ls"}, TypeError, "argv: expected a list of str or a function, not str"),
            ("getpid", {"fd": 3}, TypeError, "getpid has no argument that is a descriptor"),
            ("read", {"fd": True}, TypeError, "fd: expected int, 'AT_FDCWD' or a function, not bool"),
            ("read", {"fd": "3"}, TypeError, "fd: expected int, 'AT_FDCWD' or a function, not str"),
            ("read", {"where": 3}, TypeError, "where: expected a function on the event, not int"),
        ],
    )
    def test_unusable(self, name: str, filters: dict[str, Any], error: type[Exception], text: str) -> None:
        """Errors name what would be right."""
        with pytest.raises(error, match=text):
            asked(name, **filters)


class TestAddress:
    """The filters ``address`` and ``port``."""

    @pytest.mark.parametrize(
        "value, address, matches",
        [
            ("127.0.0.1", LOOPBACK, True),
            ("127.0.0.1:80", LOOPBACK, True),
            ("127.0.0.1:81", LOOPBACK, False),
            ("127.0.0.1", Address("AF_INET6", "::ffff:127.0.0.1", 80), True),
            ("127.0.0.0/8", LOOPBACK, True),
            ("10.0.0.0/8", LOOPBACK, False),
            ("10.0.0.0/8", Address("AF_INET6", "::ffff:10.1.2.3", 80), True),
            ("fe80::/10", LOOPBACK, False),
            ("::1", Address("AF_INET6", "0:0:0:0:0:0:0:1", 80), True),
            ("[::1]", Address("AF_INET6", "::1", 80), True),
            ("[::1]:80", Address("AF_INET6", "::1", 80), True),
            ("[::1]:81", Address("AF_INET6", "::1", 80), False),
            ("fe80::1", Address("AF_INET6", "fe80::1%eth0", 80), True),
            ("unix:/run/x", Address("AF_UNIX", path="/run/x"), True),
            ("unix:/run/*", Address("AF_UNIX", path="/run/x"), True),
            ("unix:/run/x", Address("AF_UNIX", path="x", abspath="/run/x"), True),
            ("unix:@x", Address("AF_UNIX", path="@x"), True),
            ("unix:@x", Address("AF_UNIX", path="/x"), False),
            ("unix", Address("AF_UNIX", path=""), True),
            ("unix", LOOPBACK, False),
            ("unix", Address("AF_UNIX"), True),
            ("127.0.0.1:65535", Address("AF_INET", "127.0.0.1", 65535), True),
            ("loopback", LOOPBACK, True),
            ("loopback", Address("AF_INET", "127.9.9.9", 1), True),
            ("loopback", Address("AF_INET6", "::1", 1), True),
            ("loopback", Address("AF_INET", "0.0.0.0", 1), True),
            ("private", Address("AF_INET", "192.168.1.1", 1), True),
            ("private", Address("AF_INET", "172.31.0.1", 1), True),
            ("private", Address("AF_INET6", "fd00::1", 1), True),
            ("private", Address("AF_INET", "169.254.169.254", 1), True),
            ("private", LOOPBACK, False),
            ("public", Address("AF_INET", "172.32.0.1", 1), True),
            ("public", Address("AF_INET", "192.0.2.1", 1), True),
            ("public", Address("AF_INET6", "2001:db8::1", 1), True),
            ("public", Address("AF_INET", "10.0.0.1", 1), False),
            ("public", Address("AF_NETLINK"), False),
            (ipaddress.ip_network("127.0.0.0/8"), LOOPBACK, True),
            (LOOPBACK, LOOPBACK, True),
            (lambda address: address.port == 80, LOOPBACK, True),
        ],
    )
    def test_spellings(self, value: object, address: Address, matches: bool) -> None:
        """Single addresses, networks, unix sockets and classes; IPv4 also where it is mapped into IPv6."""
        assert asked("connect", address=value).test(connected(address)) is matches

    def test_bound_to_everything(self) -> None:
        """Connecting to 0.0.0.0 stays at home, binding to it doesn't."""
        anywhere = Address("AF_INET", "0.0.0.0", 80)
        assert asked("bind", address="public").test(connected(anywhere, "bind")) is True
        assert asked("connect", address="public").test(connected(anywhere)) is False

    def test_port(self) -> None:
        """A number or function; a unix socket has none."""
        assert asked("connect", port=80).test(connected(LOOPBACK)) is True
        assert asked("connect", port=lambda port: port > 80).test(connected(LOOPBACK)) is False
        assert asked("connect", port=80).test(connected(Address("AF_UNIX", path="/x"))) is False
        assert asked("connect", port=0).test(connected(Address("AF_INET", "127.0.0.1", 0))) is True
        assert asked("connect", port=65535).test(connected(LOOPBACK)) is False

    @pytest.mark.parametrize("filters", [{"address": "public"}, {"port": 80}])
    def test_unread(self, filters: dict[str, Any]) -> None:
        """An address that couldn't be read is unknown; one that wasn't given is no match."""
        assert asked("connect", **filters).test(connected(None, unread={"address"})) is None
        assert asked("sendto", **filters).test(event("sendto")) is False
        assert asked(**filters).test(event("syscall_0x1f4")) is None

    @pytest.mark.parametrize(
        "filters, error, text",
        [
            ({"address": "exa mple.org"}, ValueError, "'exa mple.org' is no address: valid are an IP address, IP:port"),
            ({"address": "publik"}, ValueError, "did you mean 'public'"),
            ({"address": "10.0.0.1/8"}, ValueError, r"has host bits set \(did you mean '10.0.0.0/8'\?\)"),
            ({"address": "/run/x"}, ValueError, "'/run/x' is no address"),
            ({"address": "unix:"}, ValueError, "write 'unix' for any unix socket"),
            ({"address": "fe80::1%eth0"}, ValueError, "is no address"),
            ({"address": "127.0.0.1:99999"}, ValueError, "the highest port is 65535"),
            ({"address": "[::1"}, ValueError, "is no address"),
            ({"address": ""}, ValueError, "is no address"),
            ({"address": 80}, TypeError, "address: expected str, an ipaddress object, an Address or a function"),
            ({"port": 65536}, ValueError, "ports are 0 to 65535"),
            ({"port": "80"}, TypeError, "port: expected int or a function, not str"),
            ({"address": "unix", "port": 80}, ValueError, "unix sockets have no port"),
            ({"address": "127.0.0.1:81", "port": 80}, ValueError, "contradict"),
        ],
    )
    def test_unusable(self, filters: dict[str, Any], error: type[Exception], text: str) -> None:
        """Errors list the valid spellings."""
        with pytest.raises(error, match=text):
            asked("connect", **filters)

    def test_call_without_an_address(self) -> None:
        """It could never match."""
        with pytest.raises(TypeError, match="address: openat has no socket address"):
            asked("openat", address="public")


class TestWhere:
    """The filter ``where``: a function on the event."""

    def test_answers(self) -> None:
        """It sees the event, and any true value is a yes."""
        assert asked("openat", where=lambda event: event.args["flags"]).test(opened("/x", flags=1)) is True
        assert asked("openat", where=lambda event: event.args["flags"]).test(opened("/x")) is False

    @pytest.mark.parametrize(
        "function",
        [
            lambda event: event.path == "/x",
            lambda event: "/x" in event.paths,
            lambda event: event.abspath is None,
            lambda event: event.args["filename"] == "/x",
            lambda event: list(event.args.values()) == [],
            lambda event: event.path.startswith("/"),
            lambda event: "x" in str(event),
            lambda event: "x" in repr(event),
            lambda event: event in [opened("/x")],
            lambda event: event.address is None,
            lambda event: event.text == "",
            lambda event: event.exe == "x",
        ],
    )
    def test_asks_for_an_unread_part(self, function: Callable[[SyscallEvent], object]) -> None:
        """Then its answer says nothing, nor does its failure."""
        unread = event(
            args={"filename": 0x7F00, "flags": 0},
            unread={"path", "filename", "address"},
            process=Process(9, "x", parent=PYTHON),
        )
        assert asked("openat", where=function).test(unread) is None

    def test_asks_for_the_program(self) -> None:
        """Which may be all that is unknown."""
        stranger = event(process=Process(9, "x", parent=PYTHON))
        assert asked("openat", where=lambda event: event.exe == "git").test(stranger) is None
        assert asked("openat", where=lambda event: event.comm == "x").test(stranger) is True

    def test_asks_for_the_text(self) -> None:
        """In which any unread argument stands, but not the program."""
        question = asked("openat", where=lambda event: "x" in str(event))
        assert question.test(event(unread={"flags"})) is None
        assert question.test(event(process=Process(9, "x", parent=PYTHON))) is False

    def test_asks_for_a_known_part(self) -> None:
        """Then it has decided, whatever else is unknown."""
        unread = event(args={"filename": 0x7F00, "flags": 1}, unread={"path", "filename"}, ret=3)
        for function in (
            lambda event: event.args["flags"] == 1,
            lambda event: event.ret == 3 and event.ok,
            lambda event: event.pid == 12 and event.exe is not None,
            lambda event: isinstance(event, SyscallEvent),
        ):
            assert asked("openat", where=function).test(unread) is True

    def test_in_flight(self) -> None:
        """The result is unknown yet, the rest isn't."""
        call = event(path="/x", ret=None, in_flight=True)
        assert asked("openat", where=lambda event: event.ok).test(call) is None
        assert asked("openat", where=lambda event: event.ret > 3).test(call) is None
        assert asked("openat", where=lambda event: event.errno is None).test(call) is None
        assert asked("openat", where=lambda event: event.path == "/x").test(call) is True

    def test_own_mistakes_show(self) -> None:
        """An exception that has nothing to do with unknown parts is the user's to see."""
        with pytest.raises(ZeroDivisionError):
            asked("openat", where=lambda event: 1 / 0).test(event())
        with pytest.raises(ZeroDivisionError):
            asked("openat", where=lambda event: 1 / 0).test(event(unread={"path"}))

    def test_asked_last(self) -> None:
        """So it sees only what the other filters let through."""
        question = asked("openat", where=lambda event: event.path.startswith("/"), path="/*")
        assert question.test(event(ret=-14, errno="EFAULT")) is False


class TestSiblings:
    """The same question about other calls for the same purpose."""

    def test_of_exact_names(self) -> None:
        """Not of those that were asked about already, nor of globs and classes."""
        names = {name for sibling in asked("openat", path="/x").siblings() for name in sibling.names or ()}
        assert {"open", "openat2", "creat"} <= names
        assert "openat" not in names
        assert asked("%open").siblings() == []
        assert asked("open*").siblings() == []
        assert asked().siblings() == []

    def test_filters_that_do_not_apply(self) -> None:
        """An argument that the sibling hasn't got is left out, the path never is."""
        by_name = {sibling.patterns[0]: sibling for sibling in asked("openat", path="/x", dfd=3).siblings()}
        assert [f.name for f in by_name["open"].filters] == ["path"]
        assert [f.name for f in by_name["openat2"].filters] == ["path", "dfd"]
        assert "open_by_handle_at" not in by_name
        assert all(sibling.filters for sibling in asked("openat", dfd=3).siblings())


class TestNotes:
    """How a filter says that it doesn't match."""

    @pytest.mark.parametrize(
        "filters, call, notes",
        [
            ({"path": "*/app.toml"}, opened("/etc/hosts"), ["path: '/etc/hosts' is not '*/app.toml'"]),
            (
                {"path": re.compile("toml$")},
                opened("/etc/a\nb"),
                [r"path: '/etc/a\nb' does not match re.compile('toml$')"],
            ),
            ({"path": "/x"}, event(path="x", realpath="/y"), ["path: '/y' is not '/x'"]),
            ({"errno": 13}, failed("/x"), ["errno: ENOENT is not EACCES"]),
            ({"path": "/x"}, event(), ["path: the call was given none"]),
            ({"ok": False}, opened("/x"), ["ok: it succeeded"]),
            ({"ok": True}, failed("/x"), ["ok: it failed with ENOENT"]),
            ({"ok": True}, event(ret=None), ["ok: it never returned"]),
            ({"errno": "EACCES"}, failed("/x"), ["errno: ENOENT is not EACCES"]),
            ({"errno": "EACCES"}, opened("/x"), ["errno: it succeeded"]),
            ({"ret": 4}, opened("/x"), ["ret: 3 is not 4"]),
            ({"ret": range(5, 7)}, opened("/x"), ["ret: 3 is not in range(5, 7)"]),
            ({"flags": "O_CREAT"}, opened("/x", flags=0o2000000), ["flags: O_RDONLY|O_CLOEXEC lacks O_CREAT"]),
            ({"flags": "O_CREAT|O_EXCL"}, opened("/x"), ["flags: O_RDONLY lacks some of O_CREAT|O_EXCL"]),
            ({"fd": 3}, opened("/x"), ["fd: dfd AT_FDCWD is not 3"]),
            ({"dfd": 3}, opened("/x"), ["dfd: AT_FDCWD is not 3"]),
            ({"comm": "git"}, opened("/x", comm="\x1b[2J"), [r"comm: '\33[2J' is not 'git'"]),
            ({"exe": "git"}, opened("/x"), ["exe: '/usr/bin/python3' is not 'git'"]),
            ({"pid": 4}, opened("/x"), ["pid: 12 is not 4"]),
            ({"process": "children"}, opened("/x"), ["process: it was pytest itself"]),
            ({"process": "self"}, opened("/x", process=GIT), ["process: it was a child"]),
            ({"process": SH}, opened("/x", process=GIT), ["process: git[14] is not sh[13]"]),
            ({"ok": False, "path": "/y"}, opened("/x"), ["ok: it succeeded", "path: '/x' is not '/y'"]),
            ({"path": "/x"}, opened("/x"), []),
        ],
    )
    def test_misses(self, filters: dict[str, Any], call: SyscallEvent, notes: list[str]) -> None:
        """One note a filter, in the order that they were typed; what the target chose is escaped."""
        assert asked("openat", **filters).misses(call) == notes

    def test_several_calls(self) -> None:
        """The note is about the event's own arguments."""
        question = asked("openat", "read", "openat2", fd=9)
        assert question.misses(event("read", args={"fd": 3})) == ["fd: 3 is not 9"]
        how = event("openat2", args={"dfd": 9, "how": {"flags": 0}})
        assert asked("openat2", flags="O_CREAT").misses(how) == ["flags: O_RDONLY lacks O_CREAT"]

    def test_two_paths(self) -> None:
        """Of a call like rename, both are told."""
        call = dataclasses.replace(event("rename", path="/a"), paths=("/a", "/b"))
        assert asked("rename", path="/c").misses(call) == ["path: '/a' is not '/c' and '/b' is not '/c'"]

    def test_functions(self) -> None:
        """They are called by their name."""
        notes = asked("openat", path=str.isdigit, where=is_odd).misses(opened("/x"))
        assert notes == ["path: '/x' does not satisfy str.isdigit", "where: the event does not satisfy is_odd"]

    def test_address(self) -> None:
        """Of another class, or another port."""
        notes = asked("connect", address="public", port=81).misses(connected(LOOPBACK))
        assert notes == ["address: 127.0.0.1:80 is not public", "port: 80 is not 81"]
        unix = connected(Address("AF_UNIX", path="/x\n"))
        notes = asked("connect", address="127.0.0.1", port=lambda port: True).misses(unix)
        assert notes == [r"address: unix:/x\n is not '127.0.0.1'", "port: the call was given none"]
        assert asked("connect", address=is_local).misses(unix) == [r"address: unix:/x\n does not satisfy is_local"]

    def test_doubts(self) -> None:
        """Why a filter can't tell."""
        call = event(ret=None, in_flight=True, unread={"path"}, process=Process(9, "x"))
        question = asked("openat", ok=True, path="/x", exe="git", where=lambda event: event.path)
        assert question.doubts(call) == [
            "ok: the call had not returned",
            "path: could not be read",
            "exe: the program wasn't seen",
            "where: the function asked for what isn't known",
        ]


def is_odd(call: SyscallEvent) -> bool:
    """A named function for `TestNotes`."""
    return bool(call.ret and call.ret % 2 == 0)


def is_local(address: Address) -> bool:
    """A named function for `TestNotes`."""
    return address.host == "127.0.0.1"


class TestEvents:
    """The sequence that a query gives."""

    calls = (opened("/etc/hosts"), failed("/etc/passwd"), event("close", text="close(3) = 0"))

    def test_sequence(self) -> None:
        """Length, truth, iteration, index, slice, membership."""
        events = Events(self.calls)
        assert len(events) == 3
        assert events
        assert not Events()
        assert list(events) == list(self.calls)
        assert events[0] is self.calls[0]
        assert events[-1] is events.last
        assert events[1:] == self.calls[1:]
        assert isinstance(events[1:], Events)
        assert self.calls[2] in events
        assert events.first is self.calls[0]
        assert Events().first is None
        assert Events().last is None
        with pytest.raises(IndexError):
            events[3]

    def test_equality(self) -> None:
        """With Events, lists and tuples of the same events in the same order."""
        assert Events(self.calls) == Events(self.calls)
        assert Events(self.calls) == list(self.calls)
        assert Events() == []
        assert Events(self.calls) != self.calls[:2]
        assert Events(self.calls) != Events(self.calls[::-1])
        assert Events(self.calls) != 3
        with pytest.raises(TypeError, match="unhashable"):
            hash(Events())

    def test_never_changes(self) -> None:
        """A list that goes on growing isn't followed."""
        source = list(self.calls)
        events = Events(source)
        source.clear()
        assert len(events) == 3

    def test_where(self) -> None:
        """Filters again; what can't be told is kept apart."""
        unread = event(unread={"path"})
        events = Events([*self.calls, unread], table=TABLE)
        found = events.where(path="/etc/*")
        assert found.known == tuple(self.calls[:2])
        assert found.undecided == [unread]
        assert found.where(ok=True).known == tuple(self.calls[:1])
        assert found.where(ok=True).undecided == [unread]
        assert found.where(ok=False).undecided == []
        with pytest.raises(TypeError, match="unknown filter 'pth'"):
            events.where(pth=1)

    @pytest.mark.parametrize("more", [{"undecided": [event(unread={"path"})]}, {"gaps": [Gap("lost")]}])
    def test_what_more_events_could_change(self, more: dict[str, Any]) -> None:
        """A plain assert on an incomplete recording is no false pass; what is certain is answered."""
        none, some = Events[SyscallEvent]([], **more), Events(self.calls, **more)
        asked: list[Callable[[], object]] = [
            lambda: not none,
            lambda: none == [],
            lambda: none != [],
            lambda: none.first,
            lambda: none.last,
            lambda: len(none),
            lambda: none.paths,
            lambda: none.addresses,
            lambda: none.nbytes,
            lambda: none[:3] == [],
            lambda: none.where(path="/x") == [],
            lambda: some == self.calls,
            lambda: some == [*self.calls, event("close")],
            lambda: Events() == none,
            lambda: len(some),
            lambda: some.paths == {"/etc/hosts"},
        ]
        for number, ask in enumerate(asked):
            with pytest.raises(InconclusiveRecording, match="can't be decided"):
                assert ask(), number
        assert some
        assert some != []
        assert some != [event("close")]
        assert some != self.calls[1:]
        assert some.first == self.calls[0]
        assert some[0] == self.calls[0]
        assert [each.name for each in some] == [each.name for each in self.calls]
        assert some.known == tuple(self.calls)
        assert none.format() == ""

    def test_summaries(self) -> None:
        """Paths as real as they are known, addresses as text, bytes that were moved."""
        events = Events(
            [
                event(path="a", abspath="/w/a", realpath="/r/a"),
                event(path="b", abspath="/w/b"),
                event(path="c"),
                connected(LOOPBACK),
                connected(Address("AF_INET6", "::1", 9)),
                event("read", 100),
                event("write", 20),
                event("write", -11, errno="EAGAIN"),
                event("write", None, in_flight=True),
                event("sendmmsg", 3),
                event("getpid", 12),
            ]
        )
        assert events.paths == {"/r/a", "/w/b", "c"}
        assert events.addresses == {"127.0.0.1:80", "[::1]:9"}
        assert events.nbytes == 120

    def test_repr(self) -> None:
        """Short, and escaped: pytest prints it."""
        evil = event(text="openat(\x1b[2J\n) = 3")
        assert repr(Events()) == "<0 events>"
        assert repr(Events([evil])) == r"<1 event: openat(\33[2J\n) = 3>"
        assert repr(Events(self.calls * 2)) == (
            '<6 events: openat(AT_FDCWD, "/etc/hosts", O_RDONLY) = 3, '
            'openat(AT_FDCWD, "/etc/passwd", O_RDONLY) = -1 ENOENT, close(3) = 0, ...>'
        )
        assert repr(Events([evil], undecided=[evil])) == r"<1 event, 1 undecided: openat(\33[2J\n) = 3>"

    def test_format(self) -> None:
        """One line an event, with time and process."""
        events = Events([opened("/x"), event("close", after_ns=-2_000, tid=19, text="close(3) = 0")], start_ns=START_NS)
        assert events.format().splitlines() == [
            '+0.001234s python[12]     openat(AT_FDCWD, "/x", O_RDONLY) = 3',
            "-0.000002s python[12/19]  close(3) = 0",
        ]
        assert events.format(limit=1).splitlines()[1:] == ["... and 1 more"]
        assert events.format(limit=0) == "... and 2 more"
        later = Events([opened("/x", after_ns=65_432_100_000)], start_ns=START_NS)
        assert later.format().startswith("+65.432100s ")
        assert Events().format() == ""
        assert Events(events[:1]).format().startswith("+0.000000s ")

    @pytest.mark.parametrize("limit, error", [(-1, ValueError), (True, TypeError), ("3", TypeError)])
    def test_format_limit(self, limit: Any, error: type[Exception]) -> None:
        """A limit is a number of events."""
        with pytest.raises(error, match="limit"):
            Events().format(limit=limit)

    def test_hostile_task_name(self) -> None:
        """A task may call itself anything."""
        (line,) = match.lines([opened("/x", comm="a\n\x1b]0;\u202e\udcff")], START_NS)
        assert line.isprintable()
        assert r"a\n\33]0;\342\200\256\377[12]" in line

    def test_built_by_hand(self) -> None:
        """An event without a text is shown by its fields."""
        call = event("close", -9, errno="EBADF", args={"fd": 3}, text="")
        assert match.lines([call], START_NS)[0].endswith("close(fd=3) = -9 EBADF")


def test_documented_examples() -> None:
    """The examples in the docstrings run."""
    result = doctest.testmod(match)
    assert result.attempted >= 3
    assert result.failed == 0


def test_imports() -> None:
    """Matching needs neither pytest nor ctypes, and makes no import at work: that would be a system call."""
    program = textwrap.dedent("""
        import sys
        from pytest_ebpf import assertions, match, report, syscalls
        foreign = {"pytest", "_pytest", "ctypes"} & set(sys.modules)
        assert not foreign, foreign
    """)
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "PYTHONPATH": ":".join(sys.path)})


class TestBytes:
    """The filter ``nbytes`` of calls."""

    def test_bytes_that_a_call_moved(self) -> None:
        """Of a call that moves some, its result; of one that hasn't returned it can't be told."""
        wanted = asked("%desc", nbytes=range(5, 9))
        assert wanted.test(event("write", 7)) is True
        assert wanted.test(event("write", 9)) is False
        assert wanted.test(event("write", -9, errno="EBADF")) is False
        assert wanted.test(event("dup", 7)) is False
        assert wanted.test(event("write", None, in_flight=True)) is None
        assert wanted.test(event("IORING_OP_WRITE", 0)) is None
        assert asked("%network", nbytes=7).test(event("sendmmsg", 2)) is None
        assert asked("%network", nbytes=7).test(event("sendmmsg", -32, errno="EPIPE")) is False
        assert asked(nbytes=7).test(event("process_vm_writev", 7)) is True
        assert wanted.misses(event("write", 9)) == ["nbytes: 9 is not in range(5, 9)"]
        with pytest.raises(TypeError, match="dup has no result in bytes"):
            asked("dup", nbytes=7)


class TestHosts:
    """Names of hosts as addresses."""

    def test_a_call_knows_what_it_was_told(self) -> None:
        """By `learn`; an address of which no name is known may be anybody's."""
        wanted = asked("connect", address="Example.org:80")
        assert wanted.needs_hosts
        assert wanted.test(connected(LOOPBACK)) is None
        assert wanted.test(connected(Address("AF_INET", "127.0.0.1", 81))) is False
        assert wanted.test(connected(Address("AF_UNIX", path="/x"))) is False
        effect = NetworkEvent(op="connect", call=connected(LOOPBACK), address=LOOPBACK, host="example.org")
        wanted.learn([effect])
        assert wanted.test(connected(LOOPBACK)) is True
        assert asked("connect", address="localhost").test(connected(LOOPBACK)) is True

    @pytest.mark.parametrize(
        "text", ["example.org", "a-b.c:80", "db", "xn--bcher-kva.example.", "localhost", "1.2.3.a4"]
    )
    def test_names(self, text: str) -> None:
        """Those that are one."""
        assert match.is_host_name(text)

    @pytest.mark.parametrize(
        "text", ["", ".", "a b", "10.0.0", "1.2.3.4", "loopbak", "a..b", "-a.b", "/x", "a:70000", "::1"]
    )
    def test_no_names(self, text: str) -> None:
        """Those that are none, or more likely a misspelt class."""
        assert not match.is_host_name(text)
