"""What hooks of the kernel told, from the wire to effects."""

from __future__ import annotations

import functools
import stat
from dataclasses import replace
from typing import Any

import pytest

from pytest_ebpf import effects, hooks
from pytest_ebpf.decode import EVENT, Blob, BlobKind, EventFlag, RawCall
from pytest_ebpf.events import Address, File, Gap, Hook, NetworkEvent, Process, Socket, SyscallEvent
from pytest_ebpf.files import FILE_NOTE, Files
from pytest_ebpf.question import gaps_in
from pytest_ebpf.syscalls import table

PROCESS = Process(7, "true")
FILES, NETWORK, PROCESSES = "files", "network", "processes"
FOREIGN = EventFlag.FOREIGN.value
TABLE = table("x86_64")


def raw(number: int, flags: int = 0, *, file: int = 0, nr: int | None = None, **more: int) -> RawCall:
    """The record of a hook, or of a call."""
    empty = bytearray(EVENT.size)
    fields = list(EVENT.unpack(empty))
    fields[4], fields[6], fields[7] = file, number, flags
    fields[17] = hooks.NO_CALL if nr is None else nr
    fields[18] = hooks.HOOK_KIND
    for name, place in (("ret", 5), ("call", 10), ("marks", 19), ("lost", 21)):
        fields[place] = more.get(name, fields[place])
    return RawCall(fields)


def known(**names: str) -> Files:
    """Files by identity: the digits behind the underscore."""
    files = Files()
    for identity, path in names.items():
        parts = b"".join(part.encode() + b"\0" for part in reversed(path.strip("/").split("/")))
        files.learn(int(identity.strip("_")), 0, FILE_NOTE.pack(1, 0, 0, stat.S_IFREG) + parts)
    return files


def blob(kind: BlobKind, arg: int, data: bytes) -> Blob:
    """What is sent beside a hook."""
    return Blob(1, kind, arg, 0, hooks.HOOK_KIND, data)


def call(name: str, **more: Any) -> SyscallEvent:
    """A finished call."""
    return SyscallEvent(name, 7, 7, "true", PROCESS, 100, 1, args=more.pop("args", {}), ret=more.pop("ret", 0), **more)


INET = functools.partial(Address, "AF_INET")


def test_open() -> None:
    """The file by its real path, with what its flags and a hint of the kernel say."""
    flags = 0o1101  # O_WRONLY|O_CREAT|O_TRUNC
    hook = hooks.decode_hook(raw(1, flags, file=9), (), known(_9="/a/b"))
    assert (hook.paths, hook.unread, hook.in_ring) == (("/a/b",), frozenset(), True)
    assert str(hook) == '[kernel] security_file_open("/a/b", O_WRONLY|O_CREAT|O_TRUNC)'
    event = hooks.stand_in(raw(1), replace(hook, created=True), PROCESS, None)
    assert [(e.op, e.path, e.result) for e in hooks.file_events(event)] == [
        ("open", "/a/b", "unknown"),
        ("create", "/a/b", "unknown"),
        ("truncate", "/a/b", "unknown"),
    ]


def test_names() -> None:
    """Joined to their directories; what found no room is unknown, not absent."""
    files = known(_1="/a", _2="/b")
    old, new = blob(BlobKind.PATH, 1, b"old"), blob(BlobKind.PATH, 3, b"new")
    folder = blob(BlobKind.FD, 3, (2).to_bytes(8, "little"))
    rename = hooks.decode_hook(raw(8, file=1), [old, folder, new], files)
    assert (rename.paths, rename.unread) == (("/a/old", "/b/new"), frozenset())
    part = hooks.decode_hook(raw(8, file=1), [old, new], files)
    assert (part.paths, part.unread) == (("/a/old", None), frozenset({"path"}))
    event = hooks.stand_in(raw(8), rename, PROCESS, raw(0, ret=-13))
    told = [(e.op, e.path, e.result, e.real) for e in hooks.file_events(event)]
    assert told == [("remove", "/a/old", "failed", "/a/old"), ("create", "/b/new", "failed", "/b/new")]


def test_real_path_of_a_call() -> None:
    """The name that the kernel removed takes the place of the one that the call passed; both are spellings."""
    hook = Hook("security_path_unlink", ("remove",), ("/secret",), text="[kernel] x")
    passed = call("unlink", args={"pathname": "/fine"}, path="/fine", abspath="/fine", paths=("/fine",))
    event = hooks.amend(replace(passed, text="unlink()"), [hook])
    (effect,) = effects.file_events(event, TABLE)
    assert (effect.path, effect.paths, effect.real) == ("/secret", ("/fine", "/secret"), "/secret")
    assert str(event) == "unlink()  [kernel] x"
    assert str(hooks.amend(replace(passed, text="unlink()"), [replace(hook, paths=("/fine",))])) == "unlink()"


def test_socket_that_a_bind_made() -> None:
    """A relative name is the same thing said; another name is not."""
    made = Hook("security_path_mknod", ("create",), ("/srv/name",), text="[kernel] x")
    for path, text in (("name", "bind()"), ("/srv/name", "bind()"), ("me", "bind()  [kernel] x")):
        bound = replace(call("bind", address=Address("AF_UNIX", path=path)), text="bind()")
        assert str(hooks.amend(bound, [made])) == text


def test_address_of_a_call() -> None:
    """The one that the kernel used; of several in one call, another one."""
    hook = Hook("security_socket_connect", ("connect",), address=INET("10.0.0.1", 80))
    args = {"fd": 3, "uservaddr": INET("127.0.0.1", 80)}
    event = hooks.amend(call("connect", args=args, address=args["uservaddr"]), [hook])
    assert (event.address, event.addresses, event.args["uservaddr"]) == (hook.address, (hook.address,), hook.address)
    unread = call("connect", args={"fd": 3, "uservaddr": 4711}, unread=frozenset({"address", "uservaddr"}))
    assert hooks.amend(unread, [hook]).unread == frozenset()
    lost = hooks.amend(call("connect", args=args), [replace(hook, address=None, unread=frozenset({"address"}))])
    assert "address" in lost.unread
    send = Hook("security_socket_sendmsg", ("send", "write"), address=INET("10.0.0.1", 80))
    several = call("sendmmsg", addresses=(INET("127.0.0.1", 1), INET("127.0.0.1", 2)))
    assert len(hooks.amend(several, [send]).addresses) == 3


def test_program_of_a_call() -> None:
    """The path that the kernel copied."""
    hook = Hook("security_bprm_check", ("execute", "exec"), ("/real",), passed="/other")
    event = hooks.amend(call("execve", args={"filename": "/fine"}, path="/fine", paths=("/fine",)), [hook])
    assert (event.path, event.paths, event.args["filename"]) == ("/other", ("/other",), "/other")


@pytest.mark.parametrize(
    "hook, name, marks, expected",
    [
        (2, "unlinkat", 0, True),
        (2, "unlinkat", FOREIGN, False),
        (2, "io_uring_enter", 0, False),
        (1, "acct", 0, False),
        (15, "write", 0, True),
    ],
)
def test_which_hooks_say_more_of_a_call(hook: int, name: str, marks: int, expected: bool) -> None:
    """Those about effects that a call of ours has; any other stands for itself."""
    assert hooks.is_of_call(raw(hook, nr=TABLE.number(name), call=7, marks=marks), TABLE) is expected
    assert not hooks.is_of_call(raw(hook, nr=TABLE.number(name), marks=marks), TABLE)


@pytest.mark.parametrize(
    "number, ret, told, kinds",
    [
        (20, 7, 0, {FILES, NETWORK, PROCESSES}),  # getpid
        (5, 3, 1, {FILES, NETWORK, PROCESSES}),  # open
        (5, -2, 0, {NETWORK, PROCESSES}),
        (4, 1, 0, {NETWORK, PROCESSES}),  # write
        (102, 0, 1, {NETWORK, PROCESSES}),  # socketcall: what it reads of a file, no hook tells
        (11, 0, 1, {FILES, NETWORK, PROCESSES}),  # execve
        (37, 0, 0, {FILES, NETWORK}),  # kill
        (4711, 0, 1, set()),
    ],
)
def test_what_hooks_tell_of_foreign_calls(number: int, ret: int, told: int, kinds: set[str]) -> None:
    """By the call's number: what its effects may be, and whether each has a hook."""
    made = raw(0, nr=number, ret=ret, marks=FOREIGN)
    names = hooks.foreign_names(made)
    assert hooks.told_by(made, names, told, {"files", "network", "processes"}, TABLE) == kinds
    if number == 5:
        assert hooks.told_by(made, names, told, set(), TABLE) == {NETWORK, PROCESSES}


def test_x32() -> None:
    """Its numbers are ours, up to a point."""
    x32 = FOREIGN | EventFlag.X32.value
    assert hooks.foreign_names(raw(0, nr=2, marks=x32)) == frozenset({"open"})
    assert hooks.foreign_names(raw(0, nr=520, marks=x32)) is None
    assert hooks.foreign_names(raw(0, nr=412, marks=FOREIGN)) == frozenset({"utimensat"})
    assert hooks.foreign_names(raw(0, nr=89, marks=FOREIGN)) is None  # readdir, which is no call of ours
    assert hooks.foreign_names(raw(0, nr=2, marks=FOREIGN)) == frozenset({"fork"})


def test_gaps_of_effects() -> None:
    """A gap that the hooks fill stays one for questions by name."""
    gap = Gap("x", calls=None, may_be=frozenset({"open", "write"}), told=frozenset({"network"}))
    assert gaps_in([gap], frozenset({"openat"})) == (gap,)
    assert gaps_in([gap], frozenset({"openat"}), FILES) == ()
    assert gaps_in([gap], frozenset({"open"}), FILES) == (gap,)
    assert gaps_in([gap], frozenset({"write"}), NETWORK) == ()
    assert gaps_in([Gap("y")], frozenset({"write"}), NETWORK) == (Gap("y"),)


def sent(name: str, address: Address | None, at: int, *, in_ring: bool = True, **more: Any) -> NetworkEvent:
    """A send on a ring, as the operation or a hook tells."""
    hook = Hook("security_socket_sendmsg", ("send", "write"), in_ring=in_ring)
    made = replace(call(name, hooks=(hook,) if name.startswith("security") else ()), timestamp_ns=at)
    unread = frozenset() if address is not None else frozenset({"address"})
    return NetworkEvent(
        op=more.pop("op", "send"), call=made, address=address, unread=unread | more.pop("unread", set())
    )


def test_operations_on_a_ring() -> None:
    """Each counts once; one that couldn't be read is told by hooks, as soon as there is one for each."""
    hook, ring = "security_socket_sendmsg", "IORING_OP_SENDMSG"
    one, two = INET("127.0.0.1", 1), INET("127.0.0.1", 2)
    assert hooks.joined([sent(ring, one, 1)], [sent(hook, one, 2)]) == [sent(ring, one, 1)]
    assert hooks.joined([sent(ring, None, 1)], [sent(hook, one, 2)]) == [sent(hook, one, 2)]
    both = [sent(ring, None, 1), sent(ring, None, 3)]
    assert hooks.joined(both, [sent(hook, one, 2)]) == [both[0], sent(hook, one, 2), both[1]]
    assert hooks.joined(both, [sent(hook, one, 2), sent(hook, two, 4)]) == [sent(hook, one, 2), sent(hook, two, 4)]
    fast = sent(ring, None, 1, op="connect", unread={"op"})
    assert hooks.joined([fast, sent(ring, None, 1)], [sent(hook, one, 2)]) == [sent(hook, one, 2)]
    elsewhere = sent(hook, one, 2, in_ring=False)
    assert hooks.joined([sent(ring, one, 1)], [elsewhere]) == [sent(ring, one, 1), elsewhere]


def test_sends_that_hooks_tell() -> None:
    """To the message's address or the socket's peer; a question of DNS may be in it."""
    peer = Socket("AF_INET", "SOCK_DGRAM", peer=INET("10.0.0.1", 53))
    hook = Hook("security_socket_sendmsg", ("send", "write"), file=File("socket", socket=peer))
    told = list(hooks.network_events(hooks.stand_in(raw(15), hook, PROCESS, raw(0, ret=1))))
    assert [(e.op, str(e.address), e.result) for e in told] == [
        ("send", "10.0.0.1:53", "done"),
        ("dns", "10.0.0.1:53", "done"),
    ]
    assert "host" in told[1].unread
    nobody = hooks.network_events(hooks.stand_in(raw(15), replace(hook, file=None), PROCESS, None))
    assert "address" in next(iter(nobody)).unread


def test_areas() -> None:
    """One counts only if all its functions are watched."""
    everything = [f"kprobe/{kind.function}" for kind in hooks.HOOKS.values()]
    assert hooks.areas(everything) == {FILES, NETWORK, PROCESSES}
    for missing in everything:
        kind = "network" if "socket" in missing else "files"
        assert kind not in hooks.areas(each for each in everything if each != missing)
    assert hooks.areas(["raw_tp/sys_enter"]) == frozenset()
    assert [hooks.kind_of(each) for each in (everything, ["raw_tp/sys_enter"])] == ["kprobe", ""]
