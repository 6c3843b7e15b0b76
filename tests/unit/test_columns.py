"""The answer for a kind of event is that for each of them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_ebpf.columns import STRIDE, Columns
from pytest_ebpf.decode import (
    BLOB_HEADER,
    CALL_KIND,
    EVENT,
    EVENT_BYTES,
    RING_KIND,
    Blob,
    BlobFlag,
    BlobKind,
    RawCall,
    decode_call,
)
from pytest_ebpf.events import Process
from pytest_ebpf.files import FILE_NOTE, Files
from pytest_ebpf.match import query
from pytest_ebpf.syscalls import RING, table

TABLE = table("x86_64")
NUMBERS = {name: TABLE.number(name) or 0 for name in ("openat", "readlinkat", "close")}
PATHS = [b"/etc/passwd", b"passwd", b"/etc/hosts", b"../etc/passwd"]
ETC = 9


class Made(NamedTuple):
    """One call."""

    name: str
    paths: list[int]
    cold: bool
    ret: int
    pid: int
    segment: int
    tag: int
    unread: int
    kind: int
    buffer: int


CALLS = st.builds(
    Made,
    st.sampled_from(sorted(NUMBERS)),
    st.lists(st.integers(0, len(PATHS) - 1), max_size=1),
    st.booleans(),
    st.sampled_from([3, 0, -2, -14]),
    st.sampled_from([7, 8]),
    st.sampled_from([1, 1, 1, 2]),
    st.sampled_from([0, 0, 1]),
    st.sampled_from([0, 2]),
    st.sampled_from([CALL_KIND] * 5 + [RING_KIND, 3]),
    st.sampled_from([4096, 1 << 40]),
)


def record(data: bytes) -> bytes:
    """As it stands in its ring."""
    return struct.pack("<II", len(data), 0) + data + bytes(-len(data) % 8)


def blob(call: int, kind: BlobKind, arg: int, data: bytes, flags: int = 0) -> bytes:
    """One of a call."""
    return record(BLOB_HEADER.pack(call, len(data), kind, arg, flags, CALL_KIND) + data)


def files() -> Files:
    """Knows one directory."""
    known = Files()
    known.learn(ETC, 0, FILE_NOTE.pack(1, 0, 0, 0o40755) + b"etc\0")
    return known


def test(raw: RawCall, blobs: Sequence[Blob]) -> bool | None:
    """By the path, as an assertion does."""
    event = decode_call(raw, blobs, files(), Process(raw.pid, "x"), TABLE)
    found, unsure = query(TABLE, path="/etc/passwd").select([event])
    return True if found else None if unsure else False


test.__test__ = False  # type: ignore[attr-defined]


def owns(segment: int, tag: int, pid: int) -> bool:
    """A window of segment 1 of a process that nobody else started."""
    return segment == 1 and (tag == 0 or pid == 7)


@settings(max_examples=300)
@given(st.lists(st.lists(CALLS, max_size=40), max_size=2), st.sampled_from([None, *sorted(NUMBERS)]))
def test_one_answers_for_all(blocks: list[list[Made]], name: str | None) -> None:
    """Whatever stands beside what: the events that are selected are those that match each for itself."""
    columns = Columns()
    numbers = None if name is None else frozenset({NUMBERS[name]})
    expected: dict[bool | None, list[tuple[int, int]]] = {True: [], None: [], False: []}
    call = 0
    for index, block in enumerate(blocks):
        events, sent = b"", b""
        for row, made in enumerate(block):
            call += 1
            mine = b""
            for place, path in enumerate(made.paths):
                flags = BlobFlag.REREAD if made.cold else 0
                mine += blob(call, BlobKind.PATH, 1 + 2 * place, PATHS[path], flags)
                mine += blob(call, BlobKind.BASE, 1 + 2 * place, ETC.to_bytes(8, "little"))
            head = (call, call + 1, call, 1, 0, made.ret, (1 << 64) - 100, 4096, made.buffer, 64, 0, 0)
            tail = (made.pid, made.pid, made.segment, made.tag, 0, NUMBERS[made.name], made.kind, 0, made.unread, 0)
            event = EVENT.pack(*head, *tail, b"x")
            events += record(event)
            sent += mine
            raw = RawCall(EVENT.unpack(event))
            alone = Columns()
            assert [*alone.take_blobs(mine)] == []
            alone.take_events(record(event))
            if made.kind != 3 and (numbers is None or raw.nr in numbers) and owns(*made[5:7], made.pid):
                expected[test(*alone.raw(0, 0))].append((index, row))
        assert [*columns.take_blobs(sent)] == []
        columns.take_events(events)
    assert columns.select(numbers, owns, test, ring=RING) == (expected[True], expected[None])
    assert len(columns) == call


def test_blobs_come_back_as_they_were() -> None:
    """In their order; those that describe a file are nobody's."""
    columns = Columns()
    sent = blob(5, BlobKind.PATH, 1, b"/a") + record(BLOB_HEADER.pack(ETC, 3, BlobKind.FILE, 0, 0, 0) + b"abc")
    sent += blob(6, BlobKind.PATH, 1, b"/a") + blob(5, BlobKind.BASE, 1, bytes(8), 2)
    assert [each.data for each in columns.take_blobs(sent)] == [b"abc"]
    for call in (5, 6):
        columns.take_events(record(EVENT.pack(*[0, 0, call], *[0] * 19, b"x")))
    first, blobs = columns.raw(0, 0)
    assert (first.call, [(each.kind, each.arg, each.flags, each.data) for each in blobs]) == (
        5,
        [(BlobKind.PATH, 1, 0, b"/a"), (BlobKind.BASE, 1, 2, bytes(8))],
    )
    assert [each.data for each in columns.raw(1, 0)[1]] == [b"/a"]
    assert columns.nbytes == 2 * (STRIDE + 4)
    assert STRIDE == EVENT_BYTES + 8


def test_a_path_read_at_exit() -> None:
    """Whether the kernel's answer covers it hangs on the other arguments: each such call is a kind of its own."""
    columns = Columns()
    for call, buffer in ((1, 4096), (2, 1 << 40)):
        assert [*columns.take_blobs(blob(call, BlobKind.PATH, 1, b"/etc/passwd", BlobFlag.REREAD))] == []
        head = (call, call, call, 1, 0, 0, (1 << 64) - 100, 4096, buffer, 64, 0, 0)
        columns.take_events(record(EVENT.pack(*head, 7, 7, 1, 0, 0, NUMBERS["readlinkat"], CALL_KIND, 0, 0, 0, b"x")))
    assert columns.select(None, owns, test, ring=RING) == ([(1, 0)], [(0, 0)])
