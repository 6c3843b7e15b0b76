"""Names of hosts, from made-up messages of DNS."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import dns.message
import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_ebpf.events import Address, File, NetworkEvent, Process, Socket, SyscallEvent
from pytest_ebpf.names import Message, parse_message, with_names

from .builders import GIT, PYTHON, SH

RESOLVER = Address("AF_INET", "127.0.0.53", 53)


def query(name: str) -> bytes:
    """A question for the IPv4 address."""
    return dns.message.make_query(name, "A").to_wire()


def answer(name: str, *records: str) -> bytes:
    """With records as in ``a.test. 60 IN A 192.0.2.1``."""
    response = dns.message.make_response(dns.message.make_query(name, "A"))
    for record in records:
        owner, seconds, class_, kind, data = record.split(None, 4)
        response.answer.append(dns.rrset.from_text(owner, int(seconds), class_, kind, data))
    return response.to_wire()


def traffic(
    op: str,
    *payloads: bytes,
    at: int,
    address: Address | None = RESOLVER,
    process: Process = PYTHON,
    kind: str = "SOCK_DGRAM",
    nbytes: int | None = None,
    **more: Any,
) -> NetworkEvent:
    """A send or receive, that takes 1 ns."""
    socket = Socket("AF_INET", kind, peer=address)
    call = SyscallEvent(
        "sendto", process.pid, process.pid, process.comm, process, at, 1, {}, 1,
        files={"fd": File("socket", inode=7, socket=socket)}, payloads=payloads,
    )  # fmt: skip
    size = sum(map(len, payloads)) if nbytes is None else nbytes
    return NetworkEvent(op=op, call=call, family="AF_INET", address=address, socket=socket, nbytes=size or None, **more)


def connect(host: str, at: int, process: Process = PYTHON) -> NetworkEvent:
    """To port 80 of an address."""
    return traffic(
        "connect", at=at, address=Address("AF_INET6" if ":" in host else "AF_INET", host, 80), process=process
    )


def told(*events: NetworkEvent) -> list[tuple[str, str | None]]:
    """Ops with the host of each."""
    return [(event.op, event.host) for event in with_names(events)]


@pytest.mark.parametrize(
    "data, expected",
    [
        (query("A.Test"), Message("a.test", None)),
        (answer("a.test."), Message("a.test", ())),
        (answer("a.test.", "a.test. 60 IN A 192.0.2.1"), Message("a.test", ("192.0.2.1",))),
        (answer("a.test.", "a.test. 60 IN AAAA ::1"), Message("a.test", ("::1",))),
        (
            answer(
                "a.test.", "a.test. 60 IN CNAME b.test.", "b.test. 60 IN CNAME c.test.", "c.test. 60 IN A 192.0.2.3"
            ),
            Message("a.test", ("192.0.2.3",)),
        ),
        (answer("a.test.", "bad.test. 60 IN A 192.0.2.9"), Message("a.test", ())),
        (query("a.test") + b"trailing", Message("a.test", None)),
        (answer("a.test.", "a.test. 60 IN A 192.0.2.1")[:-2], Message("a.test", ())),
        (b"", Message(None, None)),
        (bytes(12), Message(None, None)),
        (b"\xff" * 100, Message(None, None)),
        (bytes(4) + b"\0\1" + bytes(6) + b"\xc0\x0c\0\1\0\1", Message(None, None)),
    ],
    ids=range(12),
)
def test_a_message(data: bytes, expected: Message) -> None:
    """The name asked for, and the addresses that its chain of aliases ends with; nothing of another name's."""
    assert parse_message(data) == expected


def second_question(name: str) -> bytes:
    """A query with a question more."""
    message = dns.message.make_query(name, "A")
    message.question.append(dns.rrset.RRset(dns.name.from_text("secret.test."), dns.rdataclass.IN, dns.rdatatype.A))
    return message.to_wire()


@pytest.mark.parametrize(
    "data, host",
    [
        (query("a.test"), "a.test"),
        (dns.message.make_query("a.test", "A", use_edns=0, pad=128).to_wire(), "a.test"),
        (query("a.test") + b"secret", None),
        (second_question("a.test"), None),
        (answer("a.test.", "a.test. 60 IN A 192.0.2.1"), None),
    ],
    ids=range(5),
)
def test_what_is_sent_is_a_question_and_no_more(data: bytes, host: str | None) -> None:
    """Its name doesn't stand for what comes along with it, so that has none."""
    assert parse_message(data, sent=True) == Message(host, None)
    assert told(traffic("send", data, at=1)) == [("send", None), ("dns", host)]
    assert told(traffic("send", data, at=1, nbytes=len(data) + 1)) == [("send", None), ("dns", None)]


def test_an_answer_that_is_sent_teaches_nothing() -> None:
    """As by one who wants to be allowed an address."""
    forged = answer("a.test.", "a.test. 60 IN A 192.0.2.1")
    assert told(traffic("send", forged, at=1), connect("192.0.2.1", 9))[-1] == ("connect", None)
    assert told(traffic("receive", forged, at=1), connect("192.0.2.1", 9))[-1] == ("connect", "a.test")


def test_what_is_under_way() -> None:
    """A send that hasn't returned asks for a name that isn't known; a receive has told nothing."""
    (send, dns) = with_names([traffic("send", at=1, result="pending")])
    assert (send.op, dns.op, [*dns.unread]) == ("send", "dns", ["host"])
    assert told(traffic("receive", at=1, result="pending")) == [("receive", None)]


@pytest.mark.parametrize("kind, protocol", [("SOCK_RAW", 253), ("SOCK_DGRAM", 1), ("SOCK_DGRAM", 136)])
def test_a_port_that_is_none_of_dns(kind: str, protocol: int) -> None:
    """A raw or a ping socket has none, and UDP-Lite its own."""
    event = traffic("send", query("a.test"), at=1, kind=kind)
    assert event.socket is not None
    assert told(replace(event, socket=replace(event.socket, protocol=protocol))) == [("send", None)]


def test_an_address_of_another_class() -> None:
    """It is none, and the rest of the message is read all the same."""
    data = answer("a.test.", "a.test. 60 IN A 192.0.2.1", "a.test. 60 IN A 192.0.2.2")
    one = data.rindex(b"\0\1\0\1\0\0\0\x3c")
    assert parse_message(data[:one] + b"\0\1\0\x7b" + data[one + 4 :]) == Message("a.test", ("192.0.2.1",))


def test_whatever_the_library_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message is data from the network: no error of the user's."""

    def broken(*args: object, **more: object) -> None:
        raise KeyError

    data = query("a.test")
    monkeypatch.setattr(dns.message, "from_wire", broken)
    assert parse_message(data) == Message(None, None)


def test_a_name_is_known_from_its_answer_on() -> None:
    """Not before; the answer counts when the call that got it is over, and a later one replaces it."""
    assert told(
        connect("192.0.2.1", 1),
        traffic("send", query("a.test"), at=2),
        traffic("receive", answer("a.test.", "a.test. 60 IN A 192.0.2.1"), at=3),
        connect("192.0.2.1", 3),
        connect("192.0.2.1", 4),
        traffic("receive", answer("b.test.", "b.test. 60 IN A 192.0.2.1"), at=5),
        connect("192.0.2.1", 6),
        connect("::ffff:192.0.2.1", 7),
        connect("192.0.2.2", 8),
    ) == [
        ("connect", None),
        ("send", None),
        ("dns", "a.test"),
        ("receive", None),
        ("dns", "a.test"),
        ("connect", None),
        ("connect", "a.test"),
        ("receive", None),
        ("dns", "b.test"),
        ("connect", "b.test"),
        ("connect", "b.test"),
        ("connect", None),
    ]


def test_a_name_is_first_of_all_that_of_the_process_itself() -> None:
    """Then of its parents, then of any other."""
    events = [
        traffic(
            "receive",
            answer(f"{process.comm}.test.", f"{process.comm}.test. 60 IN A 192.0.2.1"),
            at=at,
            process=process,
        )
        for at, process in enumerate((GIT, PYTHON))
    ]
    found = [
        event.host for event in with_names([*events, *(connect("192.0.2.1", 9, each) for each in (GIT, SH, PYTHON))])
    ]
    assert found[-3:] == ["git.test", "python.test", "python.test"]
    alone = [event.host for event in with_names([events[0], connect("192.0.2.1", 9, PYTHON)])]
    assert alone[-1] == "git.test"


STREAM = b"".join(len(each).to_bytes(2, "big") + each for each in (query("a.test"), query("b.test"), query("c.test")))


@given(st.lists(st.integers(1, len(STREAM) - 1), unique=True).map(sorted))
def test_messages_by_tcp(cuts: list[int]) -> None:
    """However they are cut into pieces, each is told once, in order."""
    ends = [0, *cuts, len(STREAM)]
    pieces = [STREAM[start:end] for start, end in itertools.pairwise(ends)]
    events = [traffic("send", piece, at=at, kind="SOCK_STREAM") for at, piece in enumerate(pieces)]
    assert [host for op, host in told(*events) if op == "dns"] == ["a.test", "b.test", "c.test"]


def dns_of(events: Iterable[NetworkEvent]) -> list[tuple[str | None, bool]]:
    """The messages: host, and whether it is unknown."""
    return [(event.host, "host" in event.unread) for event in with_names(events) if event.op == "dns"]


def test_what_was_not_recorded() -> None:
    """A message whose bytes are missing is a message, of an unknown name."""
    assert dns_of([traffic("send", at=1, nbytes=30)]) == [(None, True)]
    assert dns_of([traffic("send", b"", at=1, nbytes=30)]) == [(None, True)]
    assert dns_of([traffic("send", at=1, nbytes=30, kind="SOCK_STREAM")]) == [(None, True)]


def test_a_long_piece_keeps_the_stream_in_step() -> None:
    """Its end isn't recorded; the message after it is."""
    long = answer("a.test.", "a.test. 60 IN A 192.0.2.1", f"a.test. 60 IN TXT {' '.join(['x' * 99] * 50)}")
    first = (len(long).to_bytes(2, "big") + long)[:4080]
    events = [
        traffic("receive", first, at=1, kind="SOCK_STREAM", nbytes=len(long) + 2),
        traffic("receive", STREAM, at=2, kind="SOCK_STREAM"),
    ]
    assert [host for host, _ in dns_of(events)] == ["a.test", "a.test", "b.test", "c.test"]


def test_a_message_that_never_ends() -> None:
    """It is told at the end, without its name."""
    assert dns_of([traffic("send", STREAM[:9], at=1, kind="SOCK_STREAM")]) == [(None, True)]


def test_what_is_no_message() -> None:
    """Another port, a look without taking, the end of a connection, an attempt."""
    other = Address("AF_INET", "127.0.0.53", 54)
    for event in (
        traffic("send", query("a.test"), at=1, address=other),
        traffic("receive", query("a.test"), at=1, flags="MSG_PEEK"),
        traffic("send", at=1, result="failed"),
    ):
        assert dns_of([event]) == []


def test_several_messages_of_one_call() -> None:
    """All of one address, as the C library asks for both kinds at once."""
    assert dns_of([traffic("send", query("a.test"), query("b.test"), at=1)]) == [("a.test", False), ("b.test", False)]
