"""The assertions by their keywords: arguments, the three answers, and the texts."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import dns.message
import pytest

from pytest_ebpf import call, rules
from pytest_ebpf.assertions import Assertions
from pytest_ebpf.errors import InconclusiveRecording
from pytest_ebpf.events import Address, File, Gap, Process, Socket, SyscallEvent

from .builders import GIT, PYTHON, START_NS, TABLE, Recording, event, opened

WEB = Address("AF_INET", "192.0.2.1", 80)
TCP = File("socket", inode=3, socket=Socket("AF_INET", "SOCK_STREAM"))
UNIX = File("socket", inode=4, socket=Socket("AF_UNIX", "SOCK_STREAM"))
FILE = File("file", "/usr/file", inode=7, device=1)
FOLDER = File("directory", "/usr", inode=2, device=1)


def connecting(address: Address = WEB, socket: File = TCP, ret: int | None = 0, **more: Any) -> SyscallEvent:
    """A connect."""
    host = f'{{sin_addr="{address.host}"}}' if address.host else f'{{sun_path="{address.path}"}}'
    made = event("connect", ret, address=address, text=f"connect(3, {host}) = {ret}", **more)
    return replace(made, files={"fd": socket}, args={"fd": 3, "uservaddr": address, "addrlen": 16})


def made(path: str = "/usr/file", after_ns: int = 1000, **more: Any) -> SyscallEvent:
    """An open that made a file."""
    return replace(
        opened(path, flags=0o101, after_ns=after_ns, **more), result_file=replace(FILE, path=path), created=True
    )


def on_file(name: str, ret: int | None = 0, after_ns: int = 2000, file: File = FILE, **more: Any) -> SyscallEvent:
    """A call on a descriptor."""
    text = f"{name}(3<{file.path}>) = {ret}"
    return replace(event(name, ret, after_ns=after_ns, text=text, **more), files={"fd": file})


def renaming(old: str, new: str, after_ns: int, ret: int | None = 0, **more: Any) -> SyscallEvent:
    """A rename."""
    done = event("rename", ret, path=old, after_ns=after_ns, text=f'rename("{old}", "{new}") = {ret}', **more)
    return replace(
        done, args={"oldname": old, "newname": new}, abspaths={"oldname": old, "newname": new}, paths=(old, new)
    )


def executing(path: str, ret: int | None = 0, argv: tuple[str, ...] = (), **more: Any) -> SyscallEvent:
    """An execve."""
    done = event("execve", ret, path=path, abspath=path, text=f'execve("{path}") = {ret}', **more)
    return replace(done, args={"filename": path, "argv": argv or (path,)}, abspaths={"filename": path})


# Arguments


@pytest.mark.parametrize(
    "rule, args, kwargs, error, text",
    [
        ("no_network", [], {"allow": "loopback"}, TypeError, "allow: expected a list of destinations, not str"),
        ("no_network", [], {"allow": "loopback"}, TypeError, r"\(write allow=\['loopback'\]\)"),
        ("no_network", [], {"allow": 3}, TypeError, "allow: expected a list of destinations, not int"),
        ("no_network", [], {"allow": [3]}, TypeError, r"allow\[0\]: expected str"),
        ("no_network", [], {"allow": ["loopbak"]}, ValueError, r"allow\[0\]: 'loopbak' is no address: did you mean"),
        ("no_network", [], {"allow": ["::1", "a b"]}, ValueError, r"allow\[1\]: 'a b' is no address"),
        ("no_network", [], {"allow": ["1.2.3.4:70000"]}, ValueError, "the highest port is 65535"),
        ("no_network", [], {"allow": ["10.0.0.1/8"]}, ValueError, "did you mean '10.0.0.0/8'"),
        ("no_network", [], {"allow": ["10.0.0"]}, ValueError, "'10.0.0' is no address"),
        ("no_network", [], {"allow": ["unix:"]}, ValueError, "lacks a path"),
        ("no_network", [], {"allow": ["0.0.0.0/0", "::/0"]}, ValueError, "everybody, so the assertion can't fail"),
        ("no_network", [], {"allow": ["::ffff:0:0/96", "::/0"]}, ValueError, "everybody, so the assertion can't fail"),
        (
            "no_network",
            [],
            {"allow": ["0.0.0.0/1", "128.0.0.0/1", "::/0"]},
            ValueError,
            "everybody, so the assertion can't fail",
        ),
        ("no_network", [], {"allow": ["public", "private", "loopback"]}, ValueError, "can't fail"),
        ("only_connects_to", [], {}, TypeError, "no destination"),
        ("only_connects_to", ["exa mple"], {}, ValueError, "is no address"),
        ("connected", ["1.2.3.4.5"], {}, ValueError, "is no address"),
        ("no_exec", [], {"allow": "git"}, TypeError, r"write allow=\['git'\]"),
        ("no_exec", [], {"allow": [3]}, TypeError, r"allow\[0\]: expected str"),
        ("no_exec", [], {"allow": ["*"]}, ValueError, "allows every program"),
        ("exec", [3], {}, TypeError, "exe: expected str"),
        ("exec", ["git"], {"argv": "git status"}, TypeError, "argv: expected a list of str"),
        ("only_writes_under", [], {}, TypeError, "no directory was given"),
        ("only_writes_under", ["/"], {}, ValueError, "everything is under '/'"),
        ("only_writes_under", ["/tmp/.."], {}, ValueError, "everything is under '/'"),
        ("only_writes_under", [""], {}, ValueError, "is no path"),
        ("only_writes_under", [b"/tmp"], {}, TypeError, "expected str or os.PathLike, not bytes"),
        ("only_writes_under", [["/tmp"]], {}, TypeError, "expected str or os.PathLike, not list"),
        ("only_reads_under", ["/tmp"], {"runtime": 1}, TypeError, "runtime: expected True or False"),
        ("no_file_access", ["/x"], {"ops": "reed"}, ValueError, "did you mean 'read'"),
        ("no_file_access", ["/x"], {"ops": []}, ValueError, "empty collection"),
        ("no_file_access", [3], {}, TypeError, "path: expected str"),
        ("file_opened", ["/x"], {"mode": "rw"}, ValueError, "'rw' is none of Python's"),
        ("file_opened", ["/x"], {"mode": "b"}, ValueError, "is none of Python's"),
        ("file_opened", ["/x"], {"mode": ""}, ValueError, "is none of Python's"),
        ("file_opened", ["/x"], {"mode": 7}, TypeError, "mode: expected str"),
        ("durable", [3], {}, TypeError, "expected str or os.PathLike"),
        ("durable", ["/tmp/"], {}, ValueError, "is no path of a file"),
        ("max", [], {}, TypeError, "nothing is bounded"),
        ("max", [], {"openat": -1}, ValueError, "must not be negative"),
        ("max", [], {"openat": "3"}, TypeError, "openat: expected int, not str"),
        ("max", [], {"bytes_written": "1 furlong"}, ValueError, "is no size: write as in '1MiB'"),
        ("max", [], {"opanat": 1}, ValueError, "did you mean openat.*beside calls there are bytes_read"),
        ("syscall_order", [], {}, TypeError, "two steps or more"),
        ("syscall_order", [call("write")], {}, TypeError, "two steps or more"),
        ("syscall_order", ["write", "fsync"], {}, TypeError, r"step 1: expected call\(...\), not str \(write call"),
        ("syscall_order", [call("write"), call("fsyncc")], {}, ValueError, "step 2: .*did you mean fsync"),
        ("syscall_order", [call("write", pth=1), call("fsync")], {}, TypeError, "step 1: unknown filter"),
    ],
)
def test_bad_arguments(rule: str, args: list[Any], kwargs: dict[str, Any], error: type[Exception], text: str) -> None:
    """Each is a clear error, without a recording."""
    with pytest.raises(error, match=text):
        rules.question(TABLE, rule, *args, **kwargs)
    with pytest.raises(error, match=text):
        getattr(Recording(), f"assert_{rule}")(*args, **kwargs)


@pytest.mark.parametrize(
    "keyword, value, typed",
    [
        ("no_network", True, "assert_no_network()"),
        ("no_network", {"allow": ["::1"]}, "assert_no_network(allow=['::1'])"),
        ("no_syscall", ["ptrace"], "assert_no_syscall('ptrace')"),
        ("no_syscall", "ptrace", "assert_no_syscall('ptrace')"),
        ("only_writes_under", Path("/usr"), "assert_only_writes_under('/usr')"),
        ("max", {"fsync": 2}, "assert_max(fsync=2)"),
        ("syscall", ("openat",), "assert_syscall('openat')"),
        ("syscall_order", [call("a*"), call("b*")], "assert_syscall_order(call('a*'), call('b*'))"),
    ],
)
def test_values_of_policies(keyword: str, value: object, typed: str) -> None:
    """True, lists, dicts and single values; the question says what was asked."""
    assert rules.prepare(keyword, value).typed == typed


@pytest.mark.parametrize(
    "keyword, value, error, text",
    [
        ("no_netwerk", True, TypeError, "unknown rule 'no_netwerk' .did you mean 'no_network'"),
        ("no_network", False, TypeError, "no_network: expected True, a list, a dict or None, not False"),
        ("no_network", None, TypeError, "no_network: expected"),
        ("no_network", {}, ValueError, "no_network: an empty table"),
        ("no_syscall", [], ValueError, "no_syscall: an empty list"),
        ("no_network", {"alow": []}, TypeError, r"no_network: .*alow.* \(it takes allow\)"),
        ("connected", True, TypeError, r"connected: missing .*destination"),
        ("no_network", {"allow": ["a b"]}, ValueError, r"no_network: allow\[0\]: 'a b' is no address"),
        ("no_syscall", "opanat", ValueError, "no_syscall: system call 'opanat'"),
        ("max", {"opanat": 1}, ValueError, "max: system call"),
    ],
)
def test_bad_values_of_policies(keyword: str, value: object, error: type[Exception], text: str) -> None:
    """Each says in which rule it stands."""
    with pytest.raises(error, match=text):
        rules.prepare(keyword, value)


def test_every_rule_is_an_assertion() -> None:
    """By the same name."""
    for keyword in rules.RULES:
        assert callable(getattr(Assertions, f"assert_{keyword}"))


# The three answers

DONE: list[SyscallEvent] = [made(), on_file("write", 5), on_file("fsync", after_ns=4000)]
DURABLE = [*DONE, on_file("fsync", after_ns=6000, file=FOLDER)]

NEGATIVE: list[tuple[str, list[Any], dict[str, Any], list[SyscallEvent], str, SyscallEvent]] = [
    # rule, arguments, events with which it holds, a call that a gap may hide, and one that violates it
    ("no_network", [], {}, [], "sendto", connecting()),
    (
        "no_network",
        [],
        {"allow": ["192.0.2.1"]},
        [connecting()],
        "read",
        connecting(Address("AF_INET", "192.0.2.2", 1)),
    ),
    ("only_connects_to", ["192.0.2.0/24"], {}, [connecting()], "connect", connecting(Address("AF_INET6", "::2", 1))),
    ("no_exec", [], {}, [], "execveat", executing("/bin/git")),
    ("no_exec", [], {"allow": ["git"]}, [executing("/bin/git")], "execve", executing("/bin/gi")),
    ("no_exec", [], {}, [executing("/x", -2, errno="ENOENT")], "execve", executing("/x", -13, errno="EACCES")),
    ("only_writes_under", ["/usr"], {}, DONE, "pwritev2", made("/v/file")),
    ("only_writes_under", ["/usr"], {}, DONE, "mount", made("/usrfile")),
    ("only_reads_under", ["/usr"], {"runtime": False}, DONE, "mmap", on_file("read", 3, file=replace(FILE, path="/v"))),
    ("no_file_access", ["/v/x"], {}, DONE, "newfstatat", opened("/v/x", -2, errno="ENOENT")),
    ("durable", ["/usr/file"], {}, DURABLE, "write", on_file("write", 3, after_ns=9000)),
    ("durable", ["/usr/file"], {}, DURABLE, "fsync", on_file("fsync", -5, errno="EIO", after_ns=9000)),
    ("max", [], {"opens": 1}, [opened("/x")], "open", opened("/x")),
    ("max", [], {"bytes_written": 5}, DONE, "writev", on_file("write", 1)),
    ("max", [], {"execs": 0, "connects": 0}, [], "connect", connecting()),
]


def asking(rule: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Callable[..., None]:
    """Ask a recording with some events and gaps."""

    def ask(*events: SyscallEvent, gaps: Sequence[Gap] = ()) -> None:
        rules.question(TABLE, rule, *args, **kwargs).judge(Recording(*events, gaps=gaps))

    return ask


@pytest.mark.parametrize("rule, args, kwargs, good, hidden, bad", NEGATIVE)
def test_negative(
    rule: str, args: list[Any], kwargs: dict[str, Any], good: list[SyscallEvent], hidden: str, bad: SyscallEvent
) -> None:
    """It holds; one event more and it is violated; a gap leaves it open, unless it is one of other calls."""
    ask = asking(rule, args, kwargs)
    ask(*good)
    ask(*good, gaps=[Gap("lost", calls=frozenset({"getppid"}), exact=True)])
    ask(*good, gaps=[Gap("parts", calls=frozenset())])
    with pytest.raises(AssertionError):
        ask(*good, bad)
    for gap in (Gap("any"), Gap("lost", calls=frozenset({hidden}), exact=True)):
        with pytest.raises(InconclusiveRecording, match=rf"assert_{rule}.*can't be decided"):
            ask(*good, gaps=[gap])
    if rule != "durable":  # there a hidden call may be the one that is missing
        with pytest.raises(AssertionError):
            ask(*good, bad, gaps=[Gap("any")])


POSITIVE: list[tuple[str, list[Any], SyscallEvent, SyscallEvent]] = [
    # rule, arguments, the event that fulfils it, and one that nearly does
    ("connected", ["192.0.2.1:80"], connecting(), connecting(ret=-111, errno="ECONNREFUSED")),
    ("exec", ["git"], executing("/bin/git"), executing("/bin/gitt")),
    ("exec", ["git", ["git", "x"]], executing("/bin/git", argv=("git", "x")), executing("/bin/git")),
    ("file_opened", ["/usr/file"], made(), made("/usr/fil")),
    ("file_opened", ["/x", "r"], opened("/x"), opened("/x", flags=1)),
    ("syscall_order", [call("write"), call("fsync")], DONE[2], on_file("fsync", after_ns=100)),
]


@pytest.mark.parametrize("rule, args, good, near", POSITIVE)
def test_positive(rule: str, args: list[Any], good: SyscallEvent, near: SyscallEvent) -> None:
    """Evidence stands in spite of gaps; without it a gap leaves it open; else the text has the nearest miss."""
    ask = asking(rule, args, {})
    before = [DONE[1]] if rule == "syscall_order" else []
    ask(*before, near, good, gaps=[Gap("any")])
    with pytest.raises(AssertionError) as caught:
        ask(*before, near)
    assert "nearest misses:" in str(caught.value)
    assert str(near) in str(caught.value)
    with pytest.raises(InconclusiveRecording):
        ask(*before, near, gaps=[Gap("any")])
    with pytest.raises(AssertionError):
        ask(*before, near, gaps=[Gap("lost", calls=frozenset({"getppid"}))])


RING_WRITE = event("IORING_OP_WRITE", None, unread={"fd", "path", "address"})


def unknown(known: SyscallEvent, *names: str, **more: Any) -> SyscallEvent:
    """The same call, with something of it unread."""
    return replace(known, unread=frozenset(names), paths=(), path=None, abspath=None, **more)


@pytest.mark.parametrize(
    "rule, args, kwargs, events",
    [
        ("no_network", [], {"allow": ["::1"]}, [replace(connecting(), address=None, unread=frozenset({"address"}))]),
        ("no_network", [], {}, [RING_WRITE]),
        ("no_exec", [], {"allow": ["git"]}, [unknown(executing("/x"), "path", "filename", args={}, abspaths={})]),
        ("only_writes_under", ["/usr"], {}, [unknown(event("unlink", path="/usr/x"), "path", "pathname")]),
        ("only_writes_under", ["/usr"], {}, [RING_WRITE]),
        (
            "only_writes_under",
            ["/usr"],
            {},
            [replace(made("/v"), ret=None, result_file=None, in_flight=True, created=None)],
        ),
        ("no_file_access", ["/v"], {}, [unknown(event("unlink", path="/usr/x"), "path", "pathname")]),
        ("durable", ["/usr/file"], {}, [*DONE, on_file("IORING_OP_FSYNC", None, after_ns=9000, file=FOLDER)]),
        ("durable", ["/usr/file"], {}, [*DURABLE, replace(RING_WRITE, timestamp_ns=START_NS + 3000)]),
        ("max", [], {"bytes_written": 9}, [*DONE, on_file("write", None, in_flight=True)]),
        ("max", [], {"opens": 0}, [replace(opened("/x"), ret=None, in_flight=True)]),
        ("connected", ["192.0.2.1"], {}, [connecting(ret=-115, errno="EINPROGRESS")]),
        ("file_opened", ["/x"], {}, [replace(opened("/x"), ret=None, in_flight=True)]),
    ],
)
def test_what_cannot_be_told(rule: str, args: list[Any], kwargs: dict[str, Any], events: list[SyscallEvent]) -> None:
    """An event that can't be read well enough, or has no result yet, is neither there nor not."""
    with pytest.raises(InconclusiveRecording, match="can't be told:"):
        asking(rule, args, kwargs)(*events)


# Destinations


@pytest.mark.parametrize(
    "call_, allow",
    [
        (connecting(Address("AF_UNIX", path="/run/x"), UNIX), ["unix:/run/x"]),
        (connecting(Address("AF_UNIX", path="/run/x"), UNIX), ["unix:/run/*"]),
        (connecting(Address("AF_UNIX", path="@x"), UNIX), ["unix:@x"]),
        (connecting(Address("AF_UNIX", path="@x"), UNIX), ["unix"]),
        (connecting(Address("AF_INET6", "::ffff:192.0.2.1", 80)), ["192.0.2.1"]),
        (connecting(Address("AF_INET6", "::ffff:192.0.2.1", 80)), ["::ffff:192.0.2.0/120"]),
        (connecting(Address("AF_INET", "0.0.0.0", 80)), ["loopback"]),
        (connecting(Address("AF_INET", "10.1.1.1", 80)), ["private"]),
        (connecting(Address("AF_INET6", "fe80::1%2", 80)), ["private"]),
        (connecting(Address("AF_INET", "127.0.0.1", 80)), ["localhost:80"]),
    ],
)
def test_spellings_of_destinations(call_: SyscallEvent, allow: list[object]) -> None:
    """Each allows what it means, and without it there is a violation."""
    asking("no_network", [], {"allow": allow})(call_)
    with pytest.raises(AssertionError):
        asking("no_network", [], {"allow": ["198.51.100.7"]})(call_)


def asked(server: Address, host: str, kind: str = "SOCK_DGRAM") -> SyscallEvent:
    """A question of DNS."""
    data = dns.message.make_query(host, "A").to_wire()
    size = len(data).to_bytes(2, "big") if kind == "SOCK_STREAM" else b""
    socket = File("socket", inode=5, socket=Socket("AF_INET", kind, peer=server))
    sent = event("write", len(size + data), address=server, text=f"write({host})")
    return replace(sent, files={"fd": socket}, payloads=(size + data,), args={"fd": 3})


def test_the_way_to_a_resolver() -> None:
    """By TCP it is no way to a host's address unless something is asked there."""
    server = Address("AF_INET", "192.0.2.53", 53)
    ask = asking("no_network", [], {"allow": ["example.org:443"]})
    with pytest.raises(AssertionError, match="connects to"):
        ask(connecting(server))
    ask(connecting(server), asked(server, "example.org", "SOCK_STREAM"))
    ask(asked(server, "example.org"), connecting(server, ret=-111, errno="ECONNREFUSED"))
    ask(connecting(server, File("socket", inode=3, socket=Socket("AF_INET", "SOCK_DGRAM", protocol=17))))
    with pytest.raises(AssertionError, match=r"the address of example\.com by DNS"):
        ask(connecting(server), asked(server, "example.com", "SOCK_STREAM"))
    with pytest.raises(AssertionError, match="connects to"):
        ask(connecting(server, File("socket", inode=3, socket=Socket("AF_INET", "SOCK_RAW", protocol=253))))


def test_a_resolver_of_the_tests_own() -> None:
    """It is one by the protocol that the question came by."""
    server = Address("AF_INET", "127.0.0.1", 53)
    ask = asking("no_network", [], {"allow": ["loopback"]})
    for kind in ("SOCK_DGRAM", "SOCK_STREAM"):
        bind = replace(event("bind", address=server), args={"umyaddr": server})
        bind = replace(bind, files={"fd": File("socket", inode=3, socket=Socket("AF_INET", kind))})
        ask(bind, asked(server, "example.com", kind))
        with pytest.raises(AssertionError, match=r"of 127\.0\.0\.1:53, a"):
            ask(bind, asked(server, "example.com", "SOCK_DGRAM" if kind == "SOCK_STREAM" else "SOCK_STREAM"))


@pytest.mark.parametrize("family", ["AF_VSOCK", "AF_PACKET", "AF_BLUETOOTH"])
def test_other_families_are_network(family: str) -> None:
    """No list of addresses allows them."""
    away = connecting(Address(family), File("socket", socket=Socket(family, "SOCK_STREAM")))
    with pytest.raises(AssertionError, match=family):
        asking("no_network", [], {"allow": ["loopback", "private"]})(away)


def test_a_socket_bound_in_the_test_is_inside() -> None:
    """And nobody else's."""
    address = Address("AF_UNIX", path="/run/x")
    bind = replace(event("bind", address=address), files={"fd": UNIX}, args={"umyaddr": address})
    asking("no_network", [], {})(bind, connecting(address, UNIX))
    with pytest.raises(AssertionError, match="of no process of this test"):
        asking("no_network", [], {})(bind, connecting(Address("AF_UNIX", path="/run/y"), UNIX))
    with pytest.raises(AssertionError):
        asking("no_network", [], {})(replace(bind, ret=-98, errno="EADDRINUSE"), connecting(address, UNIX))


def test_a_bound_name_that_may_be_anothers_by_now() -> None:
    """Where it isn't known what was removed, nor whether anything was, it isn't known whose the socket is."""
    address = Address("AF_UNIX", path="/run/x")
    bind = replace(event("bind", address=address, after_ns=1000), files={"fd": UNIX}, args={"umyaddr": address})
    later = connecting(address, UNIX, after_ns=9000)
    ask = asking("no_network", [], {})
    ask(bind, event("unlink", path="/run/y", abspath="/run/y", args={"pathname": "/run/y"}, after_ns=5000), later)
    gone = event("unlink", path="/run/x", abspath="/run/x", args={"pathname": "/run/x"}, after_ns=5000)
    with pytest.raises(AssertionError, match="of no process of this test"):
        ask(bind, gone, later)
    with pytest.raises(InconclusiveRecording, match="can't be told:"):
        ask(bind, unknown(gone, "path", "pathname", args={}), later)
    with pytest.raises(InconclusiveRecording, match="can't be decided"):
        ask(bind, later, gaps=[Gap("lost", calls=frozenset({"unlink"}))])
    ask(
        connecting(replace(address, path="@x"), UNIX, -111, errno="ECONNREFUSED"),
        gaps=[Gap("lost", calls=frozenset({"unlink"}))],
    )


# Durable


def test_order_of_times_not_of_records() -> None:
    """A sync that began before the write was over proves nothing."""
    long_write = replace(on_file("write", 5, after_ns=2000), duration_ns=5000)
    with pytest.raises(AssertionError, match="began before the write was over"):
        asking("durable", ["/usr/file"], {})(made(), long_write, *DURABLE[2:])


def test_failed_sync_is_none() -> None:
    """A later one that succeeds proves nothing after an error of the disk; one that a signal ended may be repeated."""
    for errno, holds in (("EINTR", True), ("EIO", False)):
        failed_sync = on_file("fsync", -5, errno=errno, after_ns=3000)
        ask = asking("durable", ["/usr/file"], {})
        if holds:
            ask(*DONE[:2], failed_sync, *DURABLE[2:])
        else:
            with pytest.raises(AssertionError, match="failed with EIO"):
                ask(*DONE[:2], failed_sync, *DURABLE[2:])


# Texts


def text_of(check: Callable[[], object]) -> str:
    """What a failing assertion says."""
    with pytest.raises((AssertionError, InconclusiveRecording)) as caught:
        check()
    return str(caught.value)


def block(text: str) -> str:
    """A literal without its indentation."""
    return dedent(text).strip("\n")


def test_text_of_a_violation() -> None:
    """What was asserted, the calls by process with its parents, and why each; then how many more."""
    away = Address("AF_INET", "192.0.2.9", 53)
    recording = Recording(
        connecting(after_ns=1_000_000),
        connecting(away, process=GIT, after_ns=2_000_000),
        connecting(after_ns=3_000_000),
    )
    assert text_of(lambda: recording.assert_no_network(allow=["loopback"])) == block("""
        assert_no_network(allow=['loopback']): reached 192.0.2.1:80, 192.0.2.9:53
          +0.001000s python[12]  connect(3, {sin_addr="192.0.2.1"}) = 0
              connects to 192.0.2.1:80
          +0.003000s python[12]  connect(3, {sin_addr="192.0.2.1"}) = 0
              connects to 192.0.2.1:80
          +0.002000s git[14]     connect(3, {sin_addr="192.0.2.9"}) = 0
              python[12] → sh[13] → git[14]: git config user.name
              connects to 192.0.2.9:53
    """)
    many = Recording(*(connecting(after_ns=number) for number in range(23)))
    assert text_of(many.assert_no_network).splitlines()[-1] == "  ... and 13 more"


def test_text_of_a_doubt() -> None:
    """The gap, what to do, and the calls that can't be told."""
    recording = Recording(RING_WRITE, gaps=[Gap("9 sendto calls were lost", "look sooner")])
    assert text_of(recording.assert_no_network) == block("""
        assert_no_network(): can't be decided: whom it reached isn't known
          gap: 9 sendto calls were lost
              look sooner
        can't be told:
          +0.001234s python[12]  IORING_OP_WRITE() = ?
              sends to whom can't be told
    """)


def test_text_of_an_order() -> None:
    """How far it got, and what came too early."""
    events = [on_file("fsync", after_ns=1000), on_file("write", 5, after_ns=5000)]
    assert text_of(lambda: Recording(*events).assert_syscall_order(call("write"), call("fsync"))) == block("""
        assert_syscall_order(call('write'), call('fsync')): step 2 of 2, call('fsync'), did not come after step 1
          +0.000005s python[12]  write(3</usr/file>) = 5
              step 1
        nearest misses:
          +0.000001s python[12]  fsync(3</usr/file>) = 0
              came before step 1
    """)


@pytest.mark.parametrize("rule, args, kwargs, good, hidden, bad", NEGATIVE)
def test_texts_fit_a_terminal_and_control_none(
    rule: str, args: list[Any], kwargs: dict[str, Any], good: list[SyscallEvent], hidden: str, bad: SyscallEvent
) -> None:
    """Whatever a program calls its files and itself; lines of prose are short."""
    evil = "\x1b[2J\n\u202e"
    process = Process(99, f"sh{evil}", f"/bin/{evil}", (evil,), PYTHON)
    bad = replace(bad, process=process, comm=process.comm, paths=(*bad.paths, evil))
    if bad.result_file is not None:
        bad = replace(bad, result_file=replace(bad.result_file, path=f"/v/{evil}"))
    text = text_of(lambda: asking(rule, args, kwargs)(*good, bad))
    assert all(line.isprintable() for line in text.splitlines())
    prose = [line for line in text.splitlines()[1:] if not re.match(r"  \+|      \S+ → ", line)]
    assert [line for line in prose if len(line) > 76] == []


def test_nothing_is_looked_up_when_it_is_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy is checked when the session begins, wherever its folders are then."""

    def refuse(*args: object) -> None:
        raise AssertionError("looked")

    for name in ("getcwd", "stat", "lstat", "readlink"):
        monkeypatch.setattr(os, name, refuse)
    for rule, args, kwargs, *_ in NEGATIVE:
        rules.question(TABLE, rule, *args, **kwargs)
