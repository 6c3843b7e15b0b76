"""The reading end of a BPF ring buffer, in shared memory alone: no system call, no thread.

Layout, from the kernel's ring buffer: a page with the consumer's position, a page with the producer's,
then the data twice in a row, so that a record that wraps round is still in one piece. A record is a header
of eight bytes (length with two flag bits, page offset) and its data, padded to eight bytes.
"""

from __future__ import annotations

import mmap
import threading
import time

from ._ffi import SharedMemory

__all__ = ["HEADER_BYTES", "Ring", "RingStuck"]

HEADER_BYTES = 8
BUSY = 1 << 31
DISCARDED = 1 << 30
PATIENCE_NS = 2_000_000_000
"""How long a reader waits for a record that a program is writing: it takes nanoseconds unless the host sleeps."""


class RingStuck(Exception):
    """A record stayed unfinished, or is none; what follows it can't be read."""


class Ring:
    """One ring, read in order."""

    def __init__(self, fd: int, size: int) -> None:
        page = mmap.PAGESIZE
        self._size = size
        self._consumer = SharedMemory(fd, page, writable=True)
        self._producer = SharedMemory(fd, page + 2 * size, writable=False, offset=page)
        self._read = self._consumer.view[:8].cast("Q")
        self._written = self._producer.view[:8].cast("Q")
        self._data = self._producer.view[page:]
        self._position = self._read[0]
        self._barrier = threading.Lock()

    def close(self) -> None:
        """Unmap the ring."""
        self._read = self._written = memoryview(bytearray(8)).cast("Q")
        self._data = memoryview(b"")
        self._consumer.close()
        self._producer.close()

    def take_fixed(self, size: int) -> bytes:
        """All finished records, each of ``size`` bytes, headers included. Raises RingStuck."""
        stride = HEADER_BYTES + size
        deadline = 0
        while True:
            with self._barrier:  # orders the reads on processors that would not
                available = self._written[0] - self._position
            if not available:
                return b""
            start = self._position % self._size
            block = bytes(self._data[start : start + available])
            lengths = memoryview(block).cast("I")[:: stride // 4].tolist()
            if lengths.count(size) == len(lengths):
                self._advance(available)
                return block
            now = time.monotonic_ns()
            deadline = deadline or now + PATIENCE_NS
            if now > deadline:
                raise RingStuck

    def take(self) -> bytes:
        """All finished records, headers included. Raises RingStuck."""
        with self._barrier:
            end = self._written[0]
        start = self._position % self._size
        available = end - self._position
        position = 0
        while position < available:
            position += HEADER_BYTES + ((self._length_at(start + position) & ~DISCARDED) + 7 & ~7)
        if position != available:
            raise RingStuck  # no record of the kernel's: it would lead out of what was written
        region = bytes(self._data[start : start + available])
        self._advance(available)
        return region

    def _length_at(self, start: int) -> int:
        header = self._data[start : start + 4].cast("I")
        deadline = 0
        while header[0] & BUSY:
            now = time.monotonic_ns()
            deadline = deadline or now + PATIENCE_NS
            if now > deadline:
                raise RingStuck
        with self._barrier:
            return header[0]

    def _advance(self, count: int) -> None:
        self._position += count
        self._read[0] = self._position
