"""Our own ring of events, on memory that a test writes as the eBPF programs would."""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_ebpf.engines import ring as ring_module
from pytest_ebpf.engines.ring import Ring, RingStuck
from pytest_ebpf.engines.shapes import EVENT_STRIDE, HEADER_BYTES, WRITTEN_AT, EventRing
from pytest_ebpf.engines.spool import HELD

from .rings import Ends, made_up

PAGE = mmap.PAGESIZE
PLACES = PAGE // HEADER_BYTES
"""So that a page begins behind them."""
SHAPE = EventRing(PLACES)
LIMIT = 3 * SHAPE.size


class Writer:
    """The end of the programs."""

    def __init__(self, fd: int) -> None:
        os.ftruncate(fd, SHAPE.nbytes)
        self.memory = mmap.mmap(fd, 0)
        self._begun: dict[int, bytes] = {}

    def _number(self, at: int) -> int:
        return int.from_bytes(self.memory[SHAPE.size + at :][:8], "little")

    @property
    def read(self) -> int:
        """How many events were read."""
        return self._number(0)

    @property
    def written(self) -> int:
        """How many were begun."""
        return self._number(WRITTEN_AT)

    @property
    def room(self) -> int:
        """For so many more."""
        return PLACES - (self.written - self.read)

    def begin(self, number: int) -> int:
        """One event with this number in it, not finished; its place."""
        assert self.room, "full"
        place = self.written
        start = SHAPE.size + WRITTEN_AT
        self.memory[start : start + 8] = (place + 1).to_bytes(8, "little")
        start = place % PLACES * EVENT_STRIDE + HEADER_BYTES
        self.memory[start : start + EVENT_STRIDE - HEADER_BYTES] = content(number)
        return place

    def finish(self, place: int) -> None:
        """Say that it is whole."""
        start = place % PLACES * EVENT_STRIDE
        self.memory[start : start + 8] = (place // PLACES + 1).to_bytes(8, "little")

    def write(self, number: int) -> None:
        """One whole event."""
        self.finish(self.begin(number))


def content(number: int) -> bytes:
    """An event: the number, again and again."""
    return number.to_bytes(8, "little") * (EVENT_STRIDE // 8 - 1)


@pytest.fixture
def ends() -> Iterator[Ends[Writer]]:
    """All ends of one ring."""
    with made_up(Writer, SHAPE, LIMIT) as ends:
        yield ends


def numbers(block: bytes) -> list[int]:
    """Of the events in a block."""
    assert len(block) % EVENT_STRIDE == 0
    found = []
    for start in range(0, len(block), EVENT_STRIDE):
        event = block[start + HEADER_BYTES : start + EVENT_STRIDE]
        found.append(int.from_bytes(event[:8], "little"))
        assert event == content(found[-1]), "torn"
    return found


def each(ring: Ring) -> list[int]:
    """The numbers of all events."""
    end, found = ring.written, []
    while block := ring.take(end):
        found += numbers(block)
    return found


@pytest.mark.parametrize("moves", [True, False])
def test_many_laps(ends: Ends[Writer], moves: bool) -> None:
    """What is left from the lap before is never taken for an event of this one."""
    writer, spool, ring = ends
    count = 0
    for _ in range(41):
        first = count
        while writer.room > PLACES // 3:
            writer.write(count)
            count += 1
        if moves:
            spool.move()
            assert writer.read == writer.written
        assert each(ring) == [*range(first, count)]
        spool.move()
        assert writer.read == count
    assert writer.written > 20 * PLACES


def test_full_to_the_last_place(ends: Ends[Writer]) -> None:
    """And again in the next lap."""
    writer, spool, ring = ends
    for lap in range(3):
        for number in range(PLACES):
            writer.write(lap * PLACES + number)
        assert not writer.room
        assert each(ring) == [*range(lap * PLACES, (lap + 1) * PLACES)]
        assert not spool.move()
        assert writer.room == PLACES


@pytest.mark.parametrize("laps", [0, 1, 2])
def test_an_event_that_is_being_written(ends: Ends[Writer], monkeypatch: pytest.MonkeyPatch, laps: int) -> None:
    """What comes before it is read; then the reader gives up after a while, and nothing is lost for the next time."""
    monkeypatch.setattr(ring_module, "PATIENCE_NS", 0)
    writer, spool, ring = ends
    for number in range(laps * PLACES):
        writer.write(number)
        if not writer.room:
            assert len(each(ring)) == PLACES
            assert not spool.move()
    writer.write(1)
    place = writer.begin(2)
    writer.write(3)
    end = ring.written
    assert numbers(ring.take(end)) == [1]
    with pytest.raises(RingStuck):
        ring.take(end)
    assert spool.move()
    assert writer.read == place
    writer.finish(place)
    assert each(ring) == [2, 3]
    assert not spool.move()


def test_what_the_session_says_it_has_read(ends: Ends[Writer]) -> None:
    """Doesn't lead the keeper out of the ring."""
    words = ends.ring._spool.view.cast("Q")
    for number in range(3):
        ends.writer.write(number)
    for nonsense in (1, EVENT_STRIDE + 1, 2 * EVENT_STRIDE - 1):
        words[0] = nonsense
        assert not ends.spool.move()
        assert ends.writer.read == 3
    for nonsense in (1 << 63, 20 * EVENT_STRIDE, (1 << 64) - 1):
        words[0] = nonsense
        ends.writer.write(4)
        assert ends.spool.move(), "nothing is moved"
        assert ends.writer.read == 3
    assert each(ends.ring) == [0, 1, 2, 4, 4, 4]


def test_nonsense_in_the_ring(ends: Ends[Writer]) -> None:
    """The session could map it to write there: the keeper goes on for others, and moves no more than the limit."""
    start = SHAPE.size + WRITTEN_AT
    for written in (1 << 63, 3 * PLACES, 0, 1):
        for first in (b"\xff", b"\0", b"\1"):
            ends.writer.memory[: SHAPE.size] = first * SHAPE.size
            ends.writer.memory[start : start + 8] = written.to_bytes(8, "little")
            ends.spool.move()
    for place in range(PLACES):
        ends.writer.memory[place * EVENT_STRIDE : place * EVENT_STRIDE + 8] = (1).to_bytes(8, "little")
    ends.writer.memory[start : start + 8] = (1 << 62).to_bytes(8, "little")
    assert ends.spool.move()
    assert os.fstat(ends.spool.fd).st_blocks * 512 <= LIMIT + PAGE
    ends.writer.memory[start : start + 8] = bytes(8)
    assert not ends.spool.move()


def test_limit(ends: Ends[Writer]) -> None:
    """What is beyond it stays in the ring, and is read from there."""
    writer, spool, ring = ends
    count = 0
    while not spool.move():
        while writer.room:
            writer.write(count)
            count += 1
    assert LIMIT - SHAPE.size <= writer.read * EVENT_STRIDE <= LIMIT
    ring._spool.view.cast("Q")[HELD] = LIMIT
    assert each(ring) == [*range(count)]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sampled_from([1, 7, PLACES // 4, PLACES])),
        st.tuples(st.just("begin"), st.integers(1, 3)),
        st.tuples(st.sampled_from(["finish", "move", "read", "read one"]), st.just(0)),
    ),
    max_size=60,
)


@given(STEPS, st.sampled_from([SHAPE.size // 2, LIMIT]))
def test_whatever_comes_when(steps: list[tuple[str, int]], limit: int) -> None:
    """Each event is read once, whole, in order, and none before it was finished."""
    with pytest.MonkeyPatch.context() as patch, made_up(Writer, SHAPE, limit) as (writer, spool, ring):
        patch.setattr(ring_module, "PATIENCE_NS", 0)
        begun: list[int] = []
        found: list[int] = []
        for step, count in steps:
            if step in ("write", "begin"):
                for _ in range(min(count, writer.room)):
                    place = writer.begin(writer.written)
                    if step == "write":
                        writer.finish(place)
                    else:
                        begun.append(place)
            elif step == "finish" and begun:
                writer.finish(begun.pop(0))
            elif step == "move":
                spool.move()
            elif step.startswith("read"):
                end = ring.written
                with contextlib.suppress(RingStuck):
                    while (block := ring.take(end)) and step == "read":
                        found += numbers(block)
                    found += numbers(block) if step == "read one" else []
            assert not begun or len(found) <= begun[0]
        for place in begun:
            writer.finish(place)
        assert found + each(ring) == [*range(writer.written)]
