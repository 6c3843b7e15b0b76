"""The reading end of a ring, on memory that a test writes as the kernel would."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator

import pytest

from pytest_ebpf.engines import ring as ring_module
from pytest_ebpf.engines.ring import BUSY, DISCARDED, Ring, RingStuck

from .builders import contents

PAGE = mmap.PAGESIZE
SIZE = PAGE


class Writer:
    """The kernel's end."""

    def __init__(self, fd: int) -> None:
        os.ftruncate(fd, 2 * PAGE + 2 * SIZE)
        self.memory = mmap.mmap(fd, 0)

    @property
    def consumed(self) -> int:
        return int.from_bytes(self.memory[:8], "little")

    @property
    def produced(self) -> int:
        return int.from_bytes(self.memory[PAGE : PAGE + 8], "little")

    def write(self, data: bytes, flags: int = 0) -> int:
        """One record; the place of its header."""
        record = (len(data) | flags).to_bytes(4, "little") + bytes(4) + data + bytes(-len(data) % 8)
        start = self.produced
        assert start + len(record) - self.consumed <= SIZE, "full"
        for at, byte in enumerate(record, start):
            self.put(at, byte)
        self.memory[PAGE : PAGE + 8] = (start + len(record)).to_bytes(8, "little")
        return start

    def put(self, at: int, byte: int) -> None:
        """One byte, in both images of the data."""
        self.memory[2 * PAGE + at % SIZE] = self.memory[2 * PAGE + SIZE + at % SIZE] = byte

    def commit(self, at: int, size: int) -> None:
        """Finish a record that was busy."""
        for offset, byte in enumerate(size.to_bytes(4, "little")):
            self.put(at + offset, byte)


@pytest.fixture
def writer_and_ring() -> Iterator[tuple[Writer, Ring]]:
    """Both ends of one ring."""
    fd = os.memfd_create("ring")
    writer = Writer(fd)
    ring = Ring(fd, SIZE)
    os.close(fd)
    yield writer, ring
    ring.close()
    writer.memory.close()


@pytest.fixture
def writer(writer_and_ring: tuple[Writer, Ring]) -> Writer:
    """The end that a test writes to."""
    return writer_and_ring[0]


@pytest.fixture
def ring(writer_and_ring: tuple[Writer, Ring]) -> Ring:
    """The end under test."""
    return writer_and_ring[1]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that gives up at once."""
    monkeypatch.setattr(ring_module, "PATIENCE_NS", 0)


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Lets something happen when the reader looks at the clock, which it does while it waits."""

    def install(action: Callable[[], None]) -> None:
        def clock() -> int:
            action()
            return 1

        monkeypatch.setattr("pytest_ebpf.engines.ring.time.monotonic_ns", clock)

    return install


def each(ring: Ring) -> list[bytes]:
    """The data of all records."""
    return contents(ring.take())


def test_empty(ring: Ring) -> None:
    """Nothing is nothing, twice."""
    for _ in range(2):
        assert ring.take_fixed(16) == b""
        assert each(ring) == []


def test_fixed_records_come_with_their_headers(writer: Writer, ring: Ring) -> None:
    """One block, and the space is given back."""
    writer.write(b"a" * 16)
    writer.write(b"b" * 16)
    header = b"\x10\0\0\0\0\0\0\0"
    assert ring.take_fixed(16) == header + b"a" * 16 + header + b"b" * 16
    assert writer.consumed == writer.produced == 48
    assert ring.take_fixed(16) == b""


def test_records_of_any_size(writer: Writer, ring: Ring) -> None:
    """Padding is not data; an empty record is one."""
    records = [b"", b"a", b"1234567", b"12345678", b"123456789"]
    for record in records:
        writer.write(record)
    assert each(ring) == records
    assert writer.consumed == writer.produced


def test_wraps_round(writer: Writer, ring: Ring) -> None:
    """A record over the end of the ring is in one piece, for many rounds."""
    for index in range(1009):
        writer.write(index.to_bytes(2, "little") * 500)
        writer.write(index.to_bytes(2, "little") * 3)
        assert each(ring) == [index.to_bytes(2, "little") * 500, index.to_bytes(2, "little") * 3]
    assert writer.produced > 100 * SIZE


def test_fixed_records_wrap_round(writer: Writer, ring: Ring) -> None:
    """Also a block of them, up to a ring that is full to the last byte."""
    assert SIZE % 24
    count = SIZE // 24
    for index in range(211):
        for _ in range(count):
            writer.write(index.to_bytes(2, "little") * 8)
        block = ring.take_fixed(16)
        assert len(block) == count * 24
        assert block.count(index.to_bytes(2, "little") * 8) >= count


def test_discarded_record_is_passed_over(writer: Writer, ring: Ring) -> None:
    """What a program gave up is no data."""
    writer.write(b"first")
    writer.write(b"given up", DISCARDED)
    writer.write(b"last")
    assert each(ring) == [b"first", b"last"]
    assert writer.consumed == writer.produced


@pytest.mark.usefixtures("impatient")
def test_record_that_stays_busy(writer: Writer, ring: Ring) -> None:
    """The reader gives up, and nothing is lost for the next time."""
    writer.write(b"first")
    place = writer.write(b"second", BUSY)
    writer.write(b"third")
    with pytest.raises(RingStuck):
        ring.take()
    assert writer.consumed == 0
    writer.commit(place, 6)
    assert each(ring) == [b"first", b"second", b"third"]


@pytest.mark.usefixtures("impatient")
def test_fixed_record_that_stays_busy(writer: Writer, ring: Ring) -> None:
    """A block with an unfinished record isn't taken at all."""
    writer.write(b"a" * 16)
    place = writer.write(b"b" * 16, BUSY)
    with pytest.raises(RingStuck):
        ring.take_fixed(16)
    assert writer.consumed == 0
    writer.commit(place, 16)
    assert len(ring.take_fixed(16)) == 48


def test_busy_record_is_waited_for(writer: Writer, ring: Ring, meanwhile: Callable[[Callable[[], None]], None]) -> None:
    """A program that is still writing has finished a moment later."""
    place = writer.write(b"slow", BUSY)
    meanwhile(lambda: writer.commit(place, 4))
    assert each(ring) == [b"slow"]


def test_busy_fixed_record_is_waited_for(
    writer: Writer, ring: Ring, meanwhile: Callable[[Callable[[], None]], None]
) -> None:
    """The same for a block."""
    place = writer.write(b"b" * 16, BUSY)
    meanwhile(lambda: writer.commit(place, 16))
    assert len(ring.take_fixed(16)) == 24


def test_busy_record_that_is_discarded(
    writer: Writer, ring: Ring, meanwhile: Callable[[Callable[[], None]], None]
) -> None:
    """A program may also give up what the reader waits for."""
    place = writer.write(b"slow", BUSY)
    writer.write(b"next")
    meanwhile(lambda: writer.commit(place, 4 | DISCARDED))
    assert each(ring) == [b"next"]


def test_begins_where_the_last_reader_stopped() -> None:
    """A ring that was read before is read on from there."""
    fd = os.memfd_create("ring")
    writer = Writer(fd)
    writer.write(b"old")
    first = Ring(fd, SIZE)
    assert each(first) == [b"old"]
    first.close()
    writer.write(b"new")
    second = Ring(fd, SIZE)
    assert each(second) == [b"new"]
    second.close()
    os.close(fd)
    writer.memory.close()


def test_closed_ring_is_empty(writer: Writer, ring: Ring) -> None:
    """Reading it doesn't touch memory that is gone; closing it twice is harmless."""
    writer.write(b"a" * 16)
    ring.take_fixed(16)
    ring.close()
    ring.close()
