"""Whom a process may reach, and assertions on whom it did."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .effects import calls_of
from .events import Address, NetworkEvent
from .inside import Inside, inode_of
from .match import address_class, address_test, ip_network, is_host_name, split_port
from .names import has_ports
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
        networks = [ip_network(text) for text in texts if _is_network(text)]
        whole = any(network.prefixlen == 0 and f"IPv{network.version}" == version for network in _joined(networks))
        classes = {"public", "private", "loopback"} <= texts
        if whole or classes:
            everything.append(probes)
    if len(everything) == 2:
        raise ValueError(
            f"{name}: {', '.join(sorted(texts))} is everybody, so the assertion can't fail (leave some out)"
        )


def _joined(
    networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network],
) -> Iterator[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """The same addresses in the fewest networks: two halves are a whole."""
    each = [*networks]
    yield from ipaddress.collapse_addresses(one for one in each if isinstance(one, ipaddress.IPv4Network))
    yield from ipaddress.collapse_addresses(one for one in each if isinstance(one, ipaddress.IPv6Network))


def _is_network(text: str) -> bool:
    try:
        return "/" in text and bool(ip_network(text))
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
        inside = Inside(recording, events)
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
        answer.calls |= inside.calls
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

    def _verdict(self, event: NetworkEvent, inside: Inside) -> str | None:
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
            if self._admits(event):
                return ""
            return _said(event, f"on a socket of {family}")
        return self._verdict_on_ip(event, inside)

    def _admits(self, event: NetworkEvent) -> bool:
        return any(one.admits(event) for one in self._allowed)

    def _verdict_on_unix(self, event: NetworkEvent, inside: Inside) -> str | None:
        if event.op not in ("connect", "send", "receive"):
            return ""
        path = event.path
        if path is None:
            return None if "address" in event.unread and event.result != "failed" else ""
        if event.result == "failed" and (event.op == "receive" or event.errno in _NOBODY):
            return ""
        if any(one.text == "unix" for one in self._allowed):
            return ""
        admitted = inside.admits(event, self._admits)
        if admitted is not False:
            return None if admitted is None else ""
        service = next((what for part, what in _SERVICES.items() if part in path), None)
        who = f", {service}" if service else ": of no process of this test"
        return _said(event, f"unix:{path}{who}")

    def _verdict_on_ip(self, event: NetworkEvent, inside: Inside) -> str | None:
        op, address = event.op, event.address
        if op in ("receive", "accept") and event.result in ("failed", "pending"):
            return ""
        if address is None:
            local = event.socket.local if event.socket is not None else None
            if op == "receive" and local is not None and address_class(local, op) == "loopback":
                address = local  # only loopback reaches it
                admitting = [one for one in self._allowed if one.test is not None and one.test(address, op)]
                if not admitting:
                    return _said(event, f"on {address}")
                unread = "address" in event.call.unread and not any(one.broad for one in admitting)
                return None if unread else ""
            return "" if event.result == "failed" else None
        if op in ("bind", "listen"):
            if address_class(address, op) == "loopback":
                return ""
            if self._admits(event):
                return ""
            anyone = address.ip is not None and address.ip.is_unspecified
            return _said(event, f"{address}, which is open to {'everybody' if anyone else 'others'}")
        if op == "dns":
            return self._verdict_on_dns(event, inside)
        if self._admits(event):
            stays = address_class(address, op) != "loopback" or not inside.is_diverted(event)
            return "" if stays else None
        if self._is_way_to_names(event, inside):
            return ""
        host = f" ({event.host})" if event.host else ""
        return _said(event, f"{address}{host}")

    def _is_way_to_names(self, event: NetworkEvent, inside: Inside) -> bool:
        """Whether it is how one comes to a host's address; what is asked there is judged by itself."""
        if event.port != _DNS_PORT or not has_ports(event) or all(one.host is None for one in self._allowed):
            return False
        return inside.has_asked(event) or (event.socket is not None and event.socket.type == "SOCK_DGRAM")

    def _verdict_on_dns(self, event: NetworkEvent, inside: Inside) -> str | None:
        """A question to a resolver reaches whoever answers for that name."""
        admitting = [one for one in self._allowed if one.test is not None and one.admits(event)]
        assert event.address is not None
        local = address_class(event.address, event.op) == "loopback"
        # A resolver on this host asks others: it must be meant by itself, or belong to the test.
        if admitting and (not local or inside.has_bound(event) or any(not one.broad for one in admitting)):
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
        begun: set[tuple[int, str]] = set()
        events = recording._network_effects()
        inside = Inside(recording, events)
        for event in events:
            admitted = any(map(self._wanted.admits, inside.spellings(event)))
            if event.op == "connect":
                if admitted and (event.ok or _is_connected_already(event)):
                    return
                if admitted and event.result in ("pending", "unknown"):
                    answer.unsure.append(Finding(event, "had not been completed, as far as the call says"))
                    begun.add((inode_of(event), str(event.address)))
                elif event.address is None and event.unread & {"address", "op"}:
                    answer.unsure.append(Finding(event, "to whom isn't known"))
                else:
                    note = f"failed with {event.errno}" if admitted else "is another destination"
                    others.setdefault(f"{event.address} {event.errno}", Finding(event, note))
            elif event.ok and event.nbytes and (inode_of(event), str(event.address)) in begun:
                return
        answer.problem = "no connection to it was made"
        failed = [finding for finding in others.values() if finding.note != "is another destination"]
        answer.misses = [*failed, *(finding for finding in others.values() if finding not in failed)][:5]
        if not others and not answer.unsure:
            answer.hints.append("no connect was recorded at all")
        if self._wanted.host is not None and any(not _host_of(finding) for finding in others.values()):
            answer.hints.append("a host's addresses are known from answers of DNS in this recording only")
        self.require(recording, answer)


def _is_connected_already(event: NetworkEvent) -> bool:
    """Whether a connect failed because an earlier one, to the same address, has been completed."""
    peer = event.socket.peer if event.socket is not None else None
    address = event.address
    if event.errno != "EISCONN" or peer is None or address is None:
        return False
    return peer == address or (peer.ip is not None and (peer.ip, peer.port) == (address.ip, address.port))


def _host_of(finding: Finding) -> str | None:
    return getattr(finding.event, "host", None)
