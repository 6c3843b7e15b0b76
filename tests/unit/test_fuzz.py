"""Arbitrary bytes from the rings: events, marks and gaps, and never an exception or a line that isn't one."""

from __future__ import annotations

import contextlib
import os
import struct
import tempfile
from collections.abc import Iterable
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from pytest_ebpf import report
from pytest_ebpf.decode import (
    BLOB_HEADER,
    CALL_KIND,
    EVENT,
    EVENT_BYTES,
    RING_KIND,
    Blob,
    BlobKind,
    NoteKind,
    RawCall,
    decode_call,
    decode_note,
    program_of,
)
from pytest_ebpf.effects import file_events, network_events, process_events
from pytest_ebpf.engines._ffi import SharedMemory
from pytest_ebpf.engines.ring import Ring, RingStuck
from pytest_ebpf.engines.shapes import BUSY, DISCARDED, HEADER_BYTES, KernelRing
from pytest_ebpf.engines.spool import spool_bytes
from pytest_ebpf.events import Process
from pytest_ebpf.files import Files
from pytest_ebpf.match import Events
from pytest_ebpf.names import parse_message, with_names
from pytest_ebpf.scope import Scope, process_of
from pytest_ebpf.store import Store
from pytest_ebpf.syscalls import table

from .builders import contents, parse_blob

TABLE = table("x86_64")
PAGE = 4096
WORDS = st.integers(0, (1 << 64) - 1)
SMALL = st.sampled_from([0, 1, 2, 3, 7, 4096, 0xFFFFFF9C, (1 << 64) - 100, 0x7FFF_FFFF_FFFF_FFFF])
NUMBERS = st.sampled_from([TABLE.number(name) or 0 for name in TABLE.names])
DATA = st.one_of(
    st.binary(max_size=80),
    st.sampled_from(
        [b"/etc/passwd", b"..", b"\xff\xfe/\x1b[2J", b"a\0b\0", struct.pack("=H", 2), bytes(28), bytes(128)]
    ),
)


@st.composite
def records(draw: st.DrawFn, kinds: Iterable[int] = (CALL_KIND, RING_KIND)) -> bytes:
    """An event of some kind with arbitrary fields."""
    words = draw(st.lists(st.one_of(SMALL, WORDS), min_size=12, max_size=12))
    words[5] = draw(st.one_of(st.integers(-(1 << 63), (1 << 63) - 1), st.integers(-200, 5)))
    halves = draw(st.lists(st.integers(0, (1 << 32) - 1), min_size=5, max_size=5))
    number = draw(st.one_of(NUMBERS, st.integers(0, (1 << 16) - 1))) & 0xFFFF
    small = draw(st.lists(st.integers(0, 255), min_size=3, max_size=3))
    kind = draw(st.sampled_from([*kinds]))
    return EVENT.pack(*words, *halves, number, kind, *small, draw(st.binary(min_size=16, max_size=16)))


@st.composite
def blobs(draw: st.DrawFn) -> bytes:
    """A blob with an arbitrary header, which may promise more than follows."""
    data = draw(DATA)
    size = draw(st.one_of(st.just(len(data)), st.integers(0, (1 << 32) - 1)))
    kind = draw(st.one_of(st.sampled_from([*map(int, BlobKind)]), st.integers(0, 255)))
    arg, flags = draw(st.one_of(st.integers(0, 7), st.integers(0, 255))), draw(st.integers(0, 255))
    return BLOB_HEADER.pack(draw(WORDS), size, kind, arg, flags, draw(st.sampled_from([1, 4, 6, 0, 255]))) + data


def check(record: bytes, sent: list[bytes]) -> None:
    """What a session does with a call and its blobs; atheris enters here too."""
    files = Files()
    raw = RawCall(EVENT.unpack(record))
    mine: list[Blob] = []
    for data in sent:
        blob = parse_blob(memoryview(data))
        if blob.kind == BlobKind.FILE:
            files.learn(blob.call, blob.flags, blob.data)
        else:
            mine.append(blob)
    files.learn(raw.file, 0, bytes(24))
    event = decode_call(raw, mine, files, Process(1, "x"), TABLE)
    in_flight = decode_call(raw, mine, files, Process(1, "x"), TABLE, in_flight=True)
    assert in_flight.ret is None
    for each in (event, in_flight):
        assert str(each).isprintable(), str(each)
        found: list[Any] = [*file_events(each, TABLE), *process_events(each, TABLE)]
        found += with_names(network_events(each, TABLE))
        for effect in found:
            assert str(effect).isprintable()
    shown = report.recording(Events([event], table=TABLE, start_ns=0), ())
    assert len(shown.splitlines()) == 1
    assert shown.isprintable()
    if event.ret is not None and event.ret >= 0:
        assert event.errno is None
    assert event.ok == (event.ret is not None and not -4095 <= event.ret < 0)


@given(records(), st.lists(blobs(), max_size=6))
def test_a_call(record: bytes, sent: list[bytes]) -> None:
    """Whatever the fields and the blobs are."""
    check(record, sent)


def framed(data: bytes) -> bytes:
    """As it stands in its ring."""
    return struct.pack("<II", len(data), 0) + data + bytes(-len(data) % 8)


@given(st.lists(records(), min_size=1, max_size=4), st.lists(st.tuples(st.integers(0, 3), blobs()), max_size=6))
def test_calls_of_a_recording(made: list[bytes], sent: list[tuple[int, bytes]]) -> None:
    """What holds them says of each the same as its own fields and blobs do, however much a blob says that it has."""
    raws = {RawCall(EVENT.unpack(record)).call: record for record in made}
    calls = [*raws]
    mine: dict[int, list[Blob]] = {}
    files, store = Files(), Store(TABLE, {})
    region = b""
    for place, data in sent:
        call = calls[place % len(calls)]
        content = call.to_bytes(8, "little") + data[8:]
        region += framed(content)
        blob = parse_blob(memoryview(content))
        if blob.kind == BlobKind.FILE:
            files.learn(blob.call, blob.flags, blob.data)
        else:
            mine.setdefault(call, []).append(blob)
    store.take_blobs(region)
    assert not store.take_events(b"".join(framed(record) for record in raws.values()))
    for position in store.rows_from(0):
        raw = store.raw(position)
        process = process_of({}, raw.image, raw.pid, raw.comm)
        event = decode_call(raw, mine.get(raw.call, ()), files, process, TABLE)
        assert str(store.event(position)) == str(event)
        assert str(event).isprintable()


@given(record=records(kinds=[*map(int, NoteKind)]), sent=st.lists(blobs(), max_size=4), own=st.integers(0, 5))
def test_a_note(record: bytes, sent: list[bytes], own: int) -> None:
    """Of tasks that don't fit what came before."""
    scope = Scope(lambda tag: None)
    note = decode_note(EVENT.unpack(record), own)
    exe, argv = program_of([parse_blob(memoryview(data)) for data in sent], Files())
    for _ in range(3):
        scope.take(note, exe, argv)
    assert all(isinstance(process, Process) for process in scope.images.values())
    scope.forget()


@given(st.binary(max_size=600))
@example(bytes(12))
def test_a_message(data: bytes) -> None:
    """Of DNS, from the network."""
    message = parse_message(data)
    assert message.answers is None or isinstance(message.answers, tuple)


class _Memory:
    """A ring's pages in a file, filled by a program gone mad."""

    def __init__(self, size: int, content: bytes, produced: int) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the ring)
        data = content.ljust(size, b"\0")[:size]
        head = bytes(PAGE) + produced.to_bytes(8, "little").ljust(PAGE, b"\0")
        self._file.write(head + data + data)
        self._file.flush()
        memory = os.memfd_create("spool")
        os.ftruncate(memory, spool_bytes(PAGE))
        self._spool = SharedMemory(memory, spool_bytes(PAGE), writable=True)
        os.close(memory)
        self.ring = Ring(self._file.fileno(), KernelRing(size), self._spool, 0)

    def close(self) -> None:
        self.ring.close()
        self._spool.close()
        self._file.close()


@given(st.lists(st.tuples(st.integers(0, 64), st.sampled_from([0, DISCARDED]), st.binary(max_size=64)), max_size=20))
def test_a_ring_of_records(records: list[tuple[int, int, bytes]]) -> None:
    """Each record comes out once and whole, and what the kernel discarded doesn't."""
    content, expected = b"", []
    for length, flag, data in records:
        body = data.ljust(length, b"x")[:length]
        content += struct.pack("<II", length | flag, 0) + body + bytes(-length % 8)
        if not flag:
            expected.append(body)
    memory = _Memory(PAGE, content, len(content))
    try:
        assert contents(memory.ring.take(memory.ring.written)) == expected
        assert memory.ring.take(memory.ring.written) == b""
    finally:
        memory.close()


@given(st.binary(max_size=200).filter(lambda data: not _busy(data)))
def test_a_ring_of_anything(content: bytes) -> None:
    """The kernel writes the headers, not the program; still none of them leads out of the ring."""
    memory = _Memory(PAGE, content, len(content) // 8 * 8)
    try:
        with contextlib.suppress(RingStuck):
            assert len(memory.ring.take(memory.ring.written)) <= len(content)
    finally:
        memory.close()


def _busy(data: bytes) -> bool:
    """Whether some word could be the header of a record that is being written, for which a reader waits."""
    return any(word & BUSY for (word,) in struct.iter_unpack("<I", data[: len(data) // 4 * 4]))


def test_sizes() -> None:
    """What the strategies pack is what the ring has."""
    assert EVENT.size == EVENT_BYTES
    assert HEADER_BYTES == 8
