"""How a ring lies in memory: where its two positions are, and which of its records are finished.

A position counts the bytes of the ring that were written, or read, since ever; each record has a header of eight bytes.
In the file the two positions may be numbers of records instead.

The keeper process imports this while the session waits: see base.py.
"""

from __future__ import annotations

import os

from .base import BLOBS_BYTES, EVENT_PLACES, EVENTS_BYTES

__all__ = ["BUSY", "DISCARDED", "EVENT_STRIDE", "HEADER_BYTES", "RINGS", "EventRing", "KernelRing", "Shape"]

PAGE = os.sysconf("SC_PAGESIZE")
HEADER_BYTES = 8
BUSY = 1 << 31
DISCARDED = 1 << 30
EVENT_STRIDE = 152
WRITTEN_AT = 64
"""Behind the number of the events that were read: that of those that were written."""


class Shape:
    """What the shapes have in common."""

    def __init__(self, size: int, *, consumed_at: int, written_at: int, data_at: int, unit: int = 1) -> None:
        self.size = size
        """Of the data, in bytes."""
        self.consumed_at = consumed_at
        """Where in the file the reader's position is: in a page that has no data."""
        self.written_at = written_at
        """Where the programs' position is, likewise."""
        self.data_at = data_at
        self.unit = unit
        """So many bytes the two words of the file count as one."""
        self.grain = max(unit, 8)
        """Each position is a multiple of this."""

    @property
    def nbytes(self) -> int:
        """Of the whole file."""
        return max(self.data_at + self.size, self.consumed_at + PAGE)

    def reach(self, position: int, count: int) -> int:
        """How many of so many bytes can be looked at in one go."""
        raise NotImplementedError

    def finished(self, data: memoryview, position: int) -> int:
        """How many of the bytes from a position on are records that are whole and finished."""
        raise NotImplementedError

    def may_finish(self, header: bytes) -> bool:
        """Whether a record that isn't finished may be so later; else it is none."""
        raise NotImplementedError


class KernelRing(Shape):
    """A BPF ring buffer of the kernel's; ``size`` is a power of two.

    A page with the consumer's position, a page with the producer's, then the data, which is shown twice in a row; here
    it is mapped once, as each start waits for that. The header is the record's length with two flag bits, and a page
    offset; the record is padded to eight bytes.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size, consumed_at=0, written_at=PAGE, data_at=2 * PAGE)

    def reach(self, position: int, count: int) -> int:  # noqa: ARG002 (as Shape has it)
        """See Shape."""
        return count

    def finished(self, data: memoryview, position: int) -> int:  # noqa: ARG002 (as Shape has it)
        """See Shape."""
        available = len(data)
        if not available:
            return 0
        header = int.from_bytes(data[:4], "little")
        if header & BUSY:
            return 0
        stride = _stride(header)
        # Records of one size are the rule in a ring of events: their headers make a column.
        column = data.cast("I")[:: stride // 4].tolist()
        at = min(_equal(column, header), available // stride) * stride
        while at < available:
            header = int.from_bytes(data[at : at + 4], "little")
            if header & BUSY or at + _stride(header) > available:
                break
            at += _stride(header)
        return at

    def may_finish(self, header: bytes) -> bool:
        """See Shape."""
        return bool(int.from_bytes(header[:4], "little") & BUSY)


class EventRing(Shape):
    """Our own: see bpf_snippets/include/rings.h. So many places, of one event each, and a page behind them.

    The header is the lap in which the event was written: so one that is still being written has that of the lap before.
    """

    def __init__(self, places: int) -> None:
        size = places * EVENT_STRIDE
        super().__init__(size, consumed_at=size, written_at=size + WRITTEN_AT, data_at=0, unit=EVENT_STRIDE)

    def reach(self, position: int, count: int) -> int:
        """See Shape. To the end of the lap."""
        return min(count, self.size - position % self.size)

    def finished(self, data: memoryview, position: int) -> int:
        """See Shape."""
        whole = data[: len(data) // EVENT_STRIDE * EVENT_STRIDE]
        column = whole.cast("I")[:: EVENT_STRIDE // 4].tolist()
        return _equal(column, position // self.size + 1 & 0xFFFFFFFF) * EVENT_STRIDE

    def may_finish(self, header: bytes) -> bool:  # noqa: ARG002 (as Shape has it)
        """See Shape. Whatever stands there."""
        return True


def _stride(header: int) -> int:
    return HEADER_BYTES + ((header & ~DISCARDED) + 7 & ~7)


def _equal(column: list[int], header: int) -> int:
    """How many of the first are this one."""
    if column.count(header) == len(column):
        return len(column)
    return next(index for index, each in enumerate(column) if each != header)


RINGS: dict[str, Shape] = {
    "events": KernelRing(EVENTS_BYTES),
    "event_ring": EventRing(EVENT_PLACES),
    "blobs": KernelRing(BLOBS_BYTES),
}
"""By the names under which `Engine.open` gives them: one of the first two, and the last."""
