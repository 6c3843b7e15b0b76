"""The ends of a ring at which is read and moved away, on memory that a test writes as the kernel would."""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_ebpf.engines import _ffi
from pytest_ebpf.engines import ring as ring_module
from pytest_ebpf.engines._ffi import SharedMemory
from pytest_ebpf.engines.ring import Ring, RingStuck
from pytest_ebpf.engines.shapes import BUSY, DISCARDED, KernelRing
from pytest_ebpf.engines.spool import HELD, Spool, spool_bytes

from .builders import contents
from .rings import Ends, made_up

PAGE = mmap.PAGESIZE
SIZE = PAGE
SHAPE = KernelRing(SIZE)


class Writer:
    """The kernel's end."""

    def __init__(self, fd: int) -> None:
        os.ftruncate(fd, 2 * PAGE + SIZE)
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
        """One byte."""
        self.memory[2 * PAGE + at % SIZE] = byte

    def commit(self, at: int, size: int) -> None:
        """Finish a record that was busy."""
        for offset, byte in enumerate(size.to_bytes(4, "little")):
            self.put(at + offset, byte)


LIMIT = 5 * PAGE


@pytest.fixture
def ends() -> Iterator[Ends[Writer]]:
    """All ends of one ring."""
    with made_up(Writer, SHAPE, LIMIT) as ends:
        yield ends


@pytest.fixture
def writer(ends: Ends[Writer]) -> Writer:
    """The end that a test writes to."""
    return ends.writer


@pytest.fixture
def spool(ends: Ends[Writer]) -> Spool:
    """The end that takes away."""
    return ends.spool


@pytest.fixture
def ring(ends: Ends[Writer]) -> Ring:
    """The end that reads."""
    return ends.ring


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
    end, found = ring.written, []
    while region := ring.take(end):
        found += contents(region)
    return found


def test_empty(ring: Ring, spool: Spool) -> None:
    """Nothing is nothing, twice."""
    for _ in range(2):
        assert each(ring) == []
        assert not spool.move()


def test_records_come_with_their_headers(writer: Writer, ring: Ring) -> None:
    """One block, and the space is given back by the keeper alone."""
    writer.write(b"a" * 16)
    writer.write(b"b" * 16)
    header = b"\x10\0\0\0\0\0\0\0"
    assert ring.take(ring.written) == header + b"a" * 16 + header + b"b" * 16
    assert ring.take(ring.written) == b""
    assert writer.consumed == 0


def test_what_was_read_is_not_moved(writer: Writer, ring: Ring, spool: Spool) -> None:
    """It is only let go."""
    writer.write(b"a" * 16)
    assert each(ring) == [b"a" * 16]
    assert not spool.move()
    assert writer.consumed == writer.produced
    assert os.fstat(spool.fd).st_blocks * 512 <= PAGE, "the page of numbers"


def test_what_was_moved_is_read(writer: Writer, ring: Ring, spool: Spool) -> None:
    """From the spool, whose memory is given back."""
    written = []
    for number in range(LIMIT // SIZE - 1):
        written += [bytes([number]) * 500 for _ in range(8)]
        for record in written[-8:]:
            writer.write(record)
        assert not spool.move()
        assert writer.consumed == writer.produced
    writer.write(b"last")
    held = os.fstat(spool.fd).st_blocks * 512
    assert held > writer.consumed
    assert each(ring) == [*written, b"last"]
    assert os.fstat(spool.fd).st_blocks * 512 <= 2 * PAGE


def test_records_of_any_size(writer: Writer, ring: Ring) -> None:
    """Padding is not data; an empty record is one."""
    records = [b"", b"a", b"1234567", b"12345678", b"123456789"]
    for record in records:
        writer.write(record)
    assert each(ring) == records


@pytest.mark.parametrize("moves", [True, False])
def test_wraps_round(writer: Writer, ring: Ring, spool: Spool, moves: bool) -> None:
    """A record over the end of the ring, or of its area of the spool, is in one piece, for many rounds."""
    for index in range(1009):
        writer.write(index.to_bytes(2, "little") * 500)
        writer.write(index.to_bytes(2, "little") * 3)
        if moves:
            spool.move()
        assert each(ring) == [index.to_bytes(2, "little") * 500, index.to_bytes(2, "little") * 3]
        spool.move()
    assert writer.produced > 100 * SIZE


def test_fixed_records_wrap_round(writer: Writer, ring: Ring, spool: Spool) -> None:
    """Also a block of them, up to a ring that is full to the last byte."""
    assert SIZE % 24
    count = SIZE // 24
    for index in range(211):
        for _ in range(count):
            writer.write(index.to_bytes(2, "little") * 8)
        assert each(ring) == [index.to_bytes(2, "little") * 8] * count
        spool.move()


def test_discarded_record_is_passed_over(writer: Writer, ring: Ring) -> None:
    """What a program gave up is no data."""
    writer.write(b"first")
    writer.write(b"given up", DISCARDED)
    writer.write(b"last")
    assert each(ring) == [b"first", b"last"]


def test_limit(writer: Writer, ring: Ring, spool: Spool) -> None:
    """What is beyond it stays in the ring, until something was read."""
    size = 1000
    count = 0
    while not spool.move():
        while writer.produced + size + 8 - writer.consumed <= SIZE:
            writer.write(count.to_bytes(4, "little") * (size // 4))
            count += 1
    assert LIMIT - SIZE <= writer.consumed <= LIMIT
    assert [data[:4] for data in each(ring)] == [number.to_bytes(4, "little") for number in range(count)]
    assert not spool.move()
    assert writer.consumed == writer.produced


def test_what_the_session_holds_counts(ends: Ends[Writer]) -> None:
    """The more it holds, the less is moved."""
    writer, spool, ring = ends
    words = ring._spool.view.cast("Q")
    words[HELD] = LIMIT
    writer.write(b"a" * 16)
    assert spool.move()
    assert writer.consumed == 0
    words[HELD] = LIMIT - 24
    assert not spool.move()
    assert writer.consumed == 24
    assert each(ring) == [b"a" * 16]


def test_machine_without_memory(writer: Writer, ring: Ring, spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can't be moved stays where it is."""

    def fail(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no space")

    writer.write(b"a" * 16)
    with monkeypatch.context() as patch:
        patch.setattr("pytest_ebpf.engines.spool.os.pwrite", fail)
        assert spool.move()
        assert writer.consumed == 0
    assert not spool.move()
    assert each(ring) == [b"a" * 16]


def test_nonsense_from_the_session(ends: Ends[Writer]) -> None:
    """What it says it has read doesn't lead the keeper out of the ring."""
    words = ends.ring._spool.view.cast("Q")
    ends.writer.write(b"a" * 16)
    for nonsense in (1 << 63, 25, 1 << 20):
        words[0] = nonsense
        assert ends.spool.move()
        assert ends.writer.consumed == 0
    words[0] = 1
    assert not ends.spool.move()
    assert ends.writer.consumed == 24


@pytest.mark.usefixtures("impatient")
def test_record_that_stays_busy(writer: Writer, ring: Ring, spool: Spool) -> None:
    """What comes before it is read; then the reader gives up, and nothing is lost for the next time."""
    writer.write(b"first")
    place = writer.write(b"second", BUSY)
    writer.write(b"third")
    end = ring.written
    assert contents(ring.take(end)) == [b"first"]
    with pytest.raises(RingStuck):
        ring.take(end)
    assert spool.move()
    assert writer.consumed == place
    writer.commit(place, 6)
    assert each(ring) == [b"second", b"third"]
    assert not spool.move()


@pytest.mark.parametrize("length", [4, 4 | DISCARDED])
def test_busy_record_is_waited_for(
    writer: Writer, ring: Ring, meanwhile: Callable[[Callable[[], None]], None], length: int
) -> None:
    """A program that is still writing has finished a moment later, or given up."""
    place = writer.write(b"slow", BUSY)
    writer.write(b"next")
    meanwhile(lambda: writer.commit(place, length))
    assert each(ring) == ([b"slow", b"next"] if length == 4 else [b"next"])


def test_moved_while_it_is_read(ends: Ends[Writer], monkeypatch: pytest.MonkeyPatch) -> None:
    """What the keeper took away in the middle, and a program wrote over, is read from where it was brought."""
    writer, spool, ring = ends
    for _ in range(SIZE // 24):
        writer.write(b"a" * 16)
    end = ring.written
    copy = bytes

    def overtaken(view: memoryview) -> bytes:
        if writer.consumed == 0:
            assert not spool.move()
            for _ in range(SIZE // 24):
                writer.write(b"b" * 16)
        return copy(view)

    monkeypatch.setattr(ring_module, "bytes", overtaken, raising=False)
    assert contents(ring.take(end)) == [b"a" * 16] * (SIZE // 24)
    assert each(ring) == [b"b" * 16] * (SIZE // 24)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sampled_from([0, 1, 8, 16, 16, 16, 16, 100, 900])),
        st.tuples(st.sampled_from(["move", "read", "read one"]), st.just(0)),
    ),
    max_size=120,
)


@given(STEPS, st.sampled_from([PAGE, 2 * PAGE, LIMIT]))
def test_whatever_comes_when(steps: list[tuple[str, int]], limit: int) -> None:
    """Each record is read once, whole, in order; and no more is held than may be."""
    with made_up(Writer, SHAPE, limit) as (writer, spool, ring):
        written: list[bytes] = []
        found: list[bytes] = []
        for step, size in steps:
            if step == "write" and writer.produced + size + 16 - writer.consumed <= SIZE:
                written.append(len(written).to_bytes(4, "little").ljust(size, b"x")[:size])
                writer.write(written[-1])
            elif step == "move":
                spool.move()
                assert os.fstat(spool.fd).st_blocks * 512 <= limit + 3 * PAGE
            elif step == "read":
                found += each(ring)
            elif step == "read one":
                found += contents(ring.take(ring.written))
        assert found + each(ring) == written


def test_begins_where_the_last_reader_stopped() -> None:
    """A ring that was read before is read on from there."""
    fd = os.memfd_create("ring")
    writer = Writer(fd)
    writer.write(b"old")
    first = Spool(LIMIT)
    first.empty([(fd, SHAPE)])
    assert not first.move()
    writer.write(b"new")
    memory = SharedMemory(first.fd, spool_bytes(LIMIT), writable=True)
    second = Ring(fd, SHAPE, memory, 0)
    assert each(second) == [b"new"]
    second.close()
    first.close()
    memory.close()
    os.close(fd)
    writer.memory.close()


def test_keeper_without_memory(ends: Ends[Writer], monkeypatch: pytest.MonkeyPatch) -> None:
    """It can't map the records now: they stay where they are, and are moved when it can."""

    def refuse(*args: object, **options: object) -> NoReturn:
        raise OSError(errno.ENOMEM, "no memory")

    ends.writer.write(b"a" * 16)
    with monkeypatch.context() as patch:
        patch.setattr(_ffi, "SharedMemory", refuse)
        assert ends.spool.move(), "it is to be tried again"
    assert ends.writer.consumed == 0
    assert not ends.spool.move()
    assert ends.writer.consumed == ends.writer.produced
    assert each(ends.ring) == [b"a" * 16]


def test_closed_ring_is_empty(writer: Writer, ring: Ring) -> None:
    """Reading it doesn't touch memory that is gone; closing it twice is harmless."""
    writer.write(b"a" * 16)
    ring.take(ring.written)
    ring.close()
    ring.close()
    assert each(ring) == []
