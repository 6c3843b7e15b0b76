"""Host names of addresses: from the messages of DNS that passed on the wire."""

from __future__ import annotations

import functools
import heapq
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from .events import NetworkEvent, SyscallEvent, ip_address

__all__ = ["Message", "Names", "has_ports", "parse_message", "with_names"]

PORT = 53
HEADER_BYTES = 12
LENGTH_BYTES = 2
MSG_PEEK = "MSG_PEEK"
_PROTOCOLS = {"SOCK_DGRAM": (0, 17), "SOCK_STREAM": (0, 6, 262)}
"""Of a socket's type: UDP, TCP, and TCP on several paths. The kernel itself tells no 0."""


class Message(NamedTuple):
    """What a message of DNS asks or says."""

    host: str | None
    """The name asked for; None if there is none, or the message can't be read."""
    answers: tuple[str, ...] | None
    """The addresses that an answer gives for it; None of a query."""


class Names:
    """Hosts by address, as the processes of a window learn them; feed it with the events in order of time."""

    def __init__(self) -> None:
        self._streams: dict[tuple[object, ...], _Stream] = {}
        self._hosts: dict[tuple[int | None, object], str | None] = {}
        self._coming: list[tuple[int, int, int, Message]] = []
        self._order = itertools.count()
        self._call: SyscallEvent | None = None
        self._taken = 0

    def messages(self, event: NetworkEvent) -> Iterator[NetworkEvent]:
        """The messages of DNS that an event carries: those that end with it."""
        if not _is_dns(event) or event.result == "failed" or event.nbytes == 0:
            return
        if event.result == "pending":
            if event.op == "send":
                yield self._told(event, None)
            return
        socket = event.socket
        stream = socket is not None and socket.type == "SOCK_STREAM"
        for data in self._stream(event).take(event) if stream else self._datagrams(event):
            yield self._told(event, data)

    def unfinished(self) -> Iterator[NetworkEvent]:
        """For each message by TCP whose end didn't come: an event that says no more than that."""
        for stream in self._streams.values():
            if stream.last is not None and stream.held:
                yield self._told(stream.last, None)

    def host(self, event: NetworkEvent) -> str | None:
        """The name that gave this process, a parent of it or else any other process the event's address."""
        now = event.timestamp_ns
        while self._coming and self._coming[0][0] <= now:
            _, _, pid, message = heapq.heappop(self._coming)
            for answer in map(ip_address, message.answers or ()):
                # Known to the process that asked, and to others as far as they didn't ask themselves.
                self._hosts[pid, answer] = self._hosts[None, answer] = message.host
        ip = event.address.ip if event.address is not None else None
        if ip is None or not self._hosts:
            return None
        asked = [*(process.pid for process in event.process.chain()), None]
        return next((self._hosts[pid, ip] for pid in asked if (pid, ip) in self._hosts), None)

    def _datagrams(self, event: NetworkEvent) -> Sequence[bytes | None]:
        """The messages that an event carries; None for one that wasn't recorded."""
        payloads = event.call.payloads
        if len(event.call.addresses) > 1:  # of several messages, with an event for each
            self._taken = self._taken + 1 if event.call is self._call else 0
            self._call = event.call
            payloads = payloads[self._taken : self._taken + 1]
        cut = event.op == "send" and event.nbytes is not None and event.nbytes != sum(map(len, payloads))
        return [None if cut else data or None for data in payloads or (b"",)]

    def _stream(self, event: NetworkEvent) -> _Stream:
        file = next(iter(event.call.files.values()), None)
        socket = event.socket
        ends = (str(socket.local), str(socket.peer)) if socket is not None else ()
        return self._streams.setdefault((event.op, file.inode if file else 0, *ends), _Stream())

    def _told(self, event: NetworkEvent, data: bytes | None) -> NetworkEvent:
        sent = event.op == "send"
        message = Message(None, None) if data is None else parse_message(data, sent=sent)
        if message.host is not None and message.answers and not sent:
            done_ns = event.timestamp_ns + (event.duration_ns or 0)
            heapq.heappush(self._coming, (done_ns, next(self._order), event.pid, message))
        unread = event.unread | {"host"} if data is None else event.unread - {"host"}
        nbytes = len(data) if data is not None else None
        return replace(event, op="dns", host=message.host, answers=message.answers, nbytes=nbytes, unread=unread)


@dataclass(slots=True)
class _Stream:
    """One direction of a connection: messages, each with its length in two bytes before it."""

    held: bytearray = field(default_factory=bytearray)
    last: NetworkEvent | None = None

    def take(self, event: NetworkEvent) -> Iterator[bytes | None]:
        self.last = event
        piece = b"".join(event.call.payloads)
        missing = (event.nbytes or 0) - len(piece)
        if not piece:
            self.held.clear()
            yield None
            return
        # The end of a long piece isn't recorded. In its place zeros keep what follows in step.
        self.held += piece + bytes(max(missing, 0))
        while len(self.held) >= LENGTH_BYTES:
            size = int.from_bytes(self.held[:LENGTH_BYTES], "big")
            if len(self.held) < LENGTH_BYTES + size:
                return
            yield bytes(self.held[LENGTH_BYTES : LENGTH_BYTES + size])
            del self.held[: LENGTH_BYTES + size]


def with_names(events: Iterable[NetworkEvent]) -> Iterator[NetworkEvent]:
    """The events with the hosts of their addresses, and one more for each message of DNS.

    In order of the calls, except for messages that never ended: those come last.
    """
    names = Names()
    for event in events:
        host = names.host(event)
        yield event if host is None else replace(event, host=host)
        yield from names.messages(event)
    yield from names.unfinished()


def _is_dns(event: NetworkEvent) -> bool:
    to_server = event.port == PORT or (event.address is None and bool(event.call.payloads))
    return (
        event.op in ("receive", "send")
        and has_ports(event)
        and to_server
        and MSG_PEEK not in (event.flags or "").split("|")  # it comes once more
    )


def has_ports(event: NetworkEvent) -> bool:
    """Whether a port in the event's address is one, of UDP or TCP; on a raw socket it means nothing."""
    socket = event.socket
    return (
        event.family in ("AF_INET", "AF_INET6")
        and socket is not None
        and socket.protocol in _PROTOCOLS.get(socket.type, ())
    )


@functools.cache
def load() -> None:
    """Load the library and all its kinds of record, which it would else load when one comes along."""
    import dns.message
    import dns.rdata

    dns.rdata.load_all_types()  # type: ignore[no-untyped-call]


def parse_message(data: bytes, *, sent: bool = False) -> Message:
    """A message of DNS without the length that stands before it by TCP. Whatever can't be read is left out.

    Of one that was ``sent`` the name stands for all that it says: one with more than a question has none.

    >>> parse_message(b"not a message")
    Message(host=None, answers=None)
    """
    if len(data) < HEADER_BYTES:
        return Message(None, None)
    load()
    import dns.message
    import dns.rdataclass
    import dns.rdatatype

    try:
        message = dns.message.from_wire(data, keyring=False, ignore_trailing=not sent, continue_on_error=True)
        more = message.errors or len(message.question) > 1 or any(message.sections[1:])
        if not message.question or (sent and more):
            return Message(None, None)
        asked = message.question[0].name
        host = asked.to_text(omit_final_dot=True).lower()
        if not data[2] & 0x80:
            return Message(host, None)
        called = {asked}
        known = [records for records in message.answer if records.rdclass == dns.rdataclass.IN]
        for records in known:
            if records.rdtype == dns.rdatatype.CNAME and records.name in called:
                called.update(record.target for record in records)
        found = [
            record.address
            for records in known
            if records.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA) and records.name in called
            for record in records
        ]
    except Exception:
        # It came from the network, and may be anything.
        return Message(None, None)
    return Message(host, tuple(dict.fromkeys(found)))
