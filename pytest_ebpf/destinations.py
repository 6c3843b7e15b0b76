"""Whom a process may reach, and assertions on whom it did."""

from __future__ import annotations

import functools
import ipaddress
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .effects import calls_of
from .events import Address, NetworkEvent
from .match import address_class, address_test, is_host_name, split_port
from .notation import escape
from .question import Answer, Question, collection, typed
from .report import Finding
from .syscalls import Table

if TYPE_CHECKING:
    from .assertions import Assertions

__all__ = ["Destination", "connected", "destinations", "no_network", "only_connects_to"]


# Destinations


@dataclass(frozen=True, slots=True)
class Destination:
    """One entry of an allow list."""

    text: str
    test: Callable[[Address, str], bool] | None
    """Of an address and what was done there; None of a host."""
    host: str | None = None
    port: int | None = None
    broad: bool = False
    """A class or a network, not one address."""

    def admits(self, event: NetworkEvent) -> bool:
        """Whether the event's other end is meant."""
        address = event.address
        if address is None:
            return False
        if self.test is not None:
            return self.test(address, event.op)
        return event.host == self.host and (self.port is None or address.port == self.port)


def destinations(name: str, items: Iterable[object]) -> tuple[Destination, ...]:
    """Check the entries of an allow list. Raises TypeError or ValueError for one that nothing can match."""
    return tuple(_destination(f"{name}[{place}]", item) for place, item in enumerate(items))


def _destination(name: str, item: object) -> Destination:
    if isinstance(item, str) and is_host_name(item):
        host, port = split_port(item)
        if host == "localhost":
            return Destination(item, functools.partial(_is_loopback, port), broad=True)
        return Destination(item, None, host.rstrip(".").lower(), port)
    test = address_test(name, item)
    text = item if isinstance(item, str) else str(item) if not callable(item) else getattr(item, "__name__", "?")
    broad = isinstance(item, str) and (item in ("loopback", "private", "public", "unix") or "/" in item)
    return Destination(text, test, broad=broad and not text.startswith("unix:"))


def _is_loopback(port: int | None, address: Address, op: str) -> bool:
    return address_class(address, op) == "loopback" and (port is None or address.port == port)


def _reject_everything(name: str, allowed: Sequence[Destination]) -> None:
    """An allow list of all addresses makes an assertion that can't fail."""
    texts = {one.text for one in allowed}
    everything = []
    for version, probes in (("IPv4", ("8.8.8.8", "10.1.2.3", "127.0.0.1")), ("IPv6", ("2606::1", "fd00::1", "::1"))):
        networks = [ipaddress.ip_network(text) for text in texts if _is_network(text)]
        whole = any(network.prefixlen == 0 and f"IPv{network.version}" == version for network in networks)
        classes = {"public", "private", "loopback"} <= texts
        if whole or classes:
            everything.append(probes)
    if len(everything) == 2:
        raise ValueError(
            f"{name}: {', '.join(sorted(texts))} is everybody, so the assertion can't fail (leave some out)"
        )


def _is_network(text: str) -> bool:
    try:
        return "/" in text and bool(ipaddress.ip_network(text))
    except ValueError:
        return False


# What was reached


_LOCAL_FAMILIES = frozenset({"AF_NETLINK", "AF_ALG", "AF_KEY"})
"""Of sockets on which nobody but the kernel listens."""
_NOBODY = frozenset({"ENOENT", "ECONNREFUSED", "ENOTDIR", "EFAULT", "EBADF", "ENOTSOCK"})
"""Errors of a call on a unix socket that found nobody at the other end."""
_IP_FAMILIES = frozenset({"AF_INET", "AF_INET6"})
_DNS_PORT = 53
_SERVICES: Mapping[str, str] = {
    "containerd.sock": "a container engine, which does anything for those who may talk to it",
    "docker.sock": "a container engine, which does anything for those who may talk to it",
    "podman.sock": "a container engine, which does anything for those who may talk to it",
    "crio.sock": "a container engine, which does anything for those who may talk to it",
    "nscd/socket": "nscd, which looks names up in your place",
    "io.systemd.Resolve": "systemd-resolved, which looks names up in your place",
    "avahi-daemon/socket": "Avahi, which looks names up in your place",
    "system_bus_socket": "D-Bus, whose services act in your place",
    "/bus": "D-Bus, whose services act in your place",
    "/dev/log": "the system's log",
    "systemd/journal/": "the system's log",
    ".X11-unix/": "the X server",
    "gpg-agent": "an agent that signs in your place",
    "ssh-": "an agent that signs in your place",
}
"""Well-known ones among unix sockets, by a part of the path."""


class _Reach(Question):
    """Nobody but the allowed ones is reached."""

    def __init__(
        self, typed: str, table: Table, allowed: Sequence[Destination], ops: frozenset[str], *, streams: bool
    ) -> None:
        self.typed = typed
        self._allowed = allowed
        self._ops = ops
        self._streams = streams
        """What is sent on a connection counts too, as one from before the recording."""
        self._calls = calls_of("network", table)

    def judge(self, recording: Assertions) -> None:
        """Look at each effect on a socket, and at who stands behind unix sockets."""
        __tracebackhide__ = True
        answer = Answer(self._calls, "network")
        events = recording._network_effects()
        inside = _Inside(recording, events)
        strangers: set[str] = set()
        unresolved = False
        for event in events:
            if event.op not in self._ops or (not self._streams and _is_on_stream(event)):
                continue
            why = self._verdict(event, inside)
            if why is None:
                answer.unsure.append(Finding(event, _said(event, "whom can't be told")))
            elif why:
                answer.found.append(Finding(event, why))
                strangers.add(event.host or (str(event.address) if event.address is not None else event.family or "?"))
                unresolved |= event.host is None and event.family in _IP_FAMILIES
        who = ", ".join(escape(name) for name in sorted(strangers)[:_NAMED])
        more = f" and {len(strangers) - _NAMED} more" if len(strangers) > _NAMED else ""
        answer.problem = f"reached {who}{more}"
        answer.doubt = "whom it reached isn't known"
        if unresolved and any(one.host is not None for one in self._allowed):
            answer.hints.append(
                "a host's addresses are known from answers of DNS in this recording, not from /etc/hosts, caches or "
                "earlier look-ups: allow the address itself for those"
            )
        self.forbid(recording, answer)

    def _verdict(self, event: NetworkEvent, inside: _Inside) -> str | None:
        """Why it isn't allowed, "" if it is, None if that can't be told."""
        family = event.family or (event.address.family if event.address is not None else None)
        if family in _LOCAL_FAMILIES or event.op == "shutdown":
            return ""
        if "op" in event.unread and event.socket is None:
            return None if event.result != "failed" else ""
        if family is None:
            return None if event.result != "failed" else ""
        if family == "AF_UNIX":
            return self._verdict_on_unix(event, inside)
        if family not in _IP_FAMILIES:
            if any(one.admits(event) for one in self._allowed):
                return ""
            return _said(event, f"on a socket of {family}")
        return self._verdict_on_ip(event, inside)

    def _verdict_on_unix(self, event: NetworkEvent, inside: _Inside) -> str | None:
        if event.op not in ("connect", "send", "receive"):
            return ""
        path = event.path
        if path is None:
            return None if "address" in event.unread and event.result != "failed" else ""
        if event.result == "failed" and (event.op == "receive" or event.errno in _NOBODY):
            return ""
        if any(one.admits(event) for one in self._allowed) or inside.has_bound(path):
            return ""
        service = next((what for part, what in _SERVICES.items() if part in path), None)
        who = f", {service}" if service else ": of no process of this test"
        return _said(event, f"unix:{path}{who}")

    def _verdict_on_ip(self, event: NetworkEvent, inside: _Inside) -> str | None:
        op, address = event.op, event.address
        if op in ("receive", "accept") and event.result in ("failed", "pending"):
            return ""
        if address is None:
            local = event.socket.local if event.socket is not None else None
            if op == "receive" and local is not None and address_class(local, op) == "loopback":
                address = local  # only loopback reaches it
                if any(one.test is not None and one.test(address, op) for one in self._allowed):
                    return ""
                return _said(event, f"on {address}")
            return "" if event.result == "failed" else None
        if op in ("bind", "listen"):
            if address_class(address, op) == "loopback":
                return ""
            if any(one.admits(event) for one in self._allowed):
                return ""
            anyone = address.ip is not None and address.ip.is_unspecified
            return _said(event, f"{address}, which is open to {'everybody' if anyone else 'others'}")
        if op == "dns":
            return self._verdict_on_dns(event, inside)
        if any(one.admits(event) for one in self._allowed):
            return ""
        if address.port == _DNS_PORT and any(one.host is not None for one in self._allowed):
            return ""  # the way to a host's address; what is asked there is judged by itself
        host = f" ({event.host})" if event.host else ""
        return _said(event, f"{address}{host}")

    def _verdict_on_dns(self, event: NetworkEvent, inside: _Inside) -> str | None:
        """A question to a resolver reaches whoever answers for that name."""
        admitting = [one for one in self._allowed if one.test is not None and one.admits(event)]
        assert event.address is not None
        local = address_class(event.address, event.op) == "loopback"
        # A resolver on this host asks others: it must be meant by itself, or belong to the test.
        if admitting and (not local or inside.has_bound(event.address) or any(not one.broad for one in admitting)):
            return ""
        if "host" in event.unread or event.host is None:
            return None if not admitting and any(one.host for one in self._allowed) else _said(event, "by DNS")
        if any(one.host == event.host for one in self._allowed):
            return ""
        proxy = ", a resolver that asks others" if local else ""
        return _said(event, f"the address of {event.host} by DNS, of {event.address}{proxy}")


def _is_on_stream(event: NetworkEvent) -> bool:
    return event.op == "send" and event.socket is not None and event.socket.type in ("SOCK_STREAM", "SOCK_SEQPACKET")


_NAMED = 3
_VERBS = {
    "accept": "accepts from",
    "bind": "binds to",
    "connect": "connects to",
    "dns": "asks for",
    "listen": "listens on",
    "receive": "receives from",
    "send": "sends to",
}


def _said(event: NetworkEvent, whom: str) -> str:
    verb = "is told" if event.op == "dns" and event.answers is not None else _VERBS[event.op]
    tried = "tried: " if event.result == "failed" else ""
    return f"{tried}{verb} {whom}"


class _Inside:
    """Which sockets with a name belong to processes of the test."""

    def __init__(self, recording: Assertions, events: Iterable[NetworkEvent]) -> None:
        self._recording = recording
        self._bound = {_name(event.address) for event in events if event.op == "bind" and event.ok}
        self._asked: dict[str, bool] = {}

    def has_bound(self, name: str | Address) -> bool:
        """Whether a process of the test gave a socket of its own this name, in the recording or before."""
        if isinstance(name, Address):
            return _name(name) in self._bound
        if name in self._bound:
            return True
        if name not in self._asked:
            with self._recording._silently(entirely=True):
                self._asked[name] = _held_by_descendants(name)
        return self._asked[name]


def _name(address: Address | None) -> str | None:
    return None if address is None else address.path or str(address)


def _held_by_descendants(path: str) -> bool:
    """Whether this process, or one that descends from it, holds a unix socket of that name."""
    try:
        with open("/proc/net/unix", encoding="utf-8", errors="surrogateescape") as table:  # noqa: PTH123 (few calls)
            rows = [line.rstrip("\n").split(" ", 7) for line in table]
    except OSError:
        return False
    inodes = set()
    for row in rows:
        words = " ".join(row).split(maxsplit=7)
        if len(words) == 8 and words[7] == path:
            inodes.add(f"socket:[{words[6]}]")
    if not inodes:
        return False
    return any(not inodes.isdisjoint(_links(pid)) for pid in _descendants(os.getpid()))


def _descendants(root: int) -> set[int]:
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 (few calls)
        if name.isdecimal():
            try:
                with open(f"/proc/{name}/stat", "rb") as stat:  # noqa: PTH123 (few calls)
                    parents[int(name)] = int(stat.read().rpartition(b")")[2].split()[1])
            except (OSError, IndexError, ValueError):
                continue  # it has ended
    found = {root}
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        found |= more
        grown = bool(more)
    return found


def _links(pid: int) -> Iterable[str]:
    folder = f"/proc/{pid}/fd"
    try:
        names = os.listdir(folder)  # noqa: PTH208 (few calls)
    except OSError:
        return
    for name in names:
        try:
            yield os.readlink(f"{folder}/{name}")  # noqa: PTH115 (few calls)
        except OSError:
            continue  # it was closed


def no_network(table: Table, /, allow: Sequence[object] = ()) -> Question:
    """No traffic with anyone who isn't allowed, and no attempt at it."""
    allowed = destinations("allow", collection("allow", allow, "destinations"))
    _reject_everything("allow", allowed)
    shown = typed("assert_no_network", **({"allow": allow} if allowed else {}))
    return _Reach(shown, table, allowed, frozenset(_VERBS), streams=True)


def only_connects_to(table: Table, /, *destinations_: object) -> Question:
    """Connections, datagrams and questions of DNS go to these alone."""
    if not destinations_:
        raise TypeError("only_connects_to: no destination (to allow none, there is assert_no_network)")
    allowed = destinations("destination", destinations_)
    _reject_everything("destination", allowed)
    shown = typed("assert_only_connects_to", *destinations_)
    return _Reach(shown, table, allowed, frozenset({"connect", "dns", "send"}), streams=False)


def connected(table: Table, /, destination: object) -> Question:
    """A connection to the destination was made."""
    (wanted,) = destinations("destination", [destination])
    return _Connected(typed("assert_connected", destination), table, wanted)


class _Connected(Question):
    def __init__(self, typed: str, table: Table, wanted: Destination) -> None:
        self.typed = typed
        self._wanted = wanted
        self._calls = calls_of("network", table, frozenset({"connect", "send", "receive"}))

    def judge(self, recording: Assertions) -> None:
        """Look for a connect that succeeded, or one that was under way and carried data later."""
        __tracebackhide__ = True
        answer = Answer(self._calls, "network", doubt="whether the connection was made isn't known")
        others: dict[str, Finding] = {}
        begun: set[str] = set()
        events = recording._network_effects()
        for event in events:
            admitted = self._wanted.admits(event)
            if event.op == "connect":
                if admitted and (event.ok or event.errno == "EISCONN"):
                    return
                if admitted and event.result in ("pending", "unknown"):
                    answer.unsure.append(Finding(event, "had not been completed, as far as the call says"))
                    begun.add(str(event.address))
                elif event.address is None and event.unread & {"address", "op"}:
                    answer.unsure.append(Finding(event, "to whom isn't known"))
                else:
                    note = f"failed with {event.errno}" if admitted else "is another destination"
                    others.setdefault(f"{event.address} {event.errno}", Finding(event, note))
            elif event.op in ("send", "receive") and event.ok and str(event.address) in begun and event.nbytes:
                return
        answer.problem = "no connection to it was made"
        failed = [finding for finding in others.values() if finding.note != "is another destination"]
        answer.misses = [*failed, *(finding for finding in others.values() if finding not in failed)][:5]
        if not others:
            answer.hints.append("no connect was recorded at all")
        if self._wanted.host is not None and any(not _host_of(finding) for finding in others.values()):
            answer.hints.append("a host's addresses are known from answers of DNS in this recording only")
        self.require(recording, answer)


def _host_of(finding: Finding) -> str | None:
    return getattr(finding.event, "host", None)
