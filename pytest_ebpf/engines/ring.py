"""The reading end of a ring, in shared memory alone: no system call, no thread. How it lies there: see shapes.py.

The session reads and takes nothing away: that is the keeper's, which may have moved what comes next to the spool.
"""

from __future__ import annotations

import mmap
import threading
import time

from ._ffi import SharedMemory
from .shapes import HEADER_BYTES
from .spool import PIECE, piece

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .shapes import Shape

__all__ = ["Ring", "RingStuck"]

PATIENCE_NS = 2_000_000_000
"""How long a reader waits for a record that a program is writing: it takes nanoseconds unless the host sleeps."""


class RingStuck(Exception):
    """A record stayed unfinished, or is none; what follows it can't be read."""


class Ring:
    """One ring, read in order; ``place`` is its number in the spool."""

    def __init__(self, fd: int, shape: Shape, spool: SharedMemory, place: int) -> None:
        page = mmap.PAGESIZE
        self._shape = shape
        self._memory = SharedMemory(fd, shape.nbytes, writable=False)
        view = self._memory.view
        self._consumed = view[shape.consumed_at :][:8].cast("Q")
        self._written = view[shape.written_at :][:8].cast("Q")
        self._data = view[shape.data_at :][: shape.size]
        self._spool = spool
        self._area = (len(spool.view) - page) // 2
        self._start = page + place * self._area
        self._seen = spool.view[8 * place : 8 * place + 8].cast("Q")
        self.position: int = self._moved_to
        """Up to which all was read."""
        self._seen[0] = self.position
        self._released = self.position // page * page
        self._barrier = threading.Lock()

    def close(self) -> None:
        """Unmap the ring."""
        self._consumed = self._written = memoryview(bytearray(8)).cast("Q")
        self.position = 0
        self._seen = self._data = memoryview(b"")
        self._memory.close()

    @property
    def written(self) -> int:
        """The position up to which there are records."""
        with self._barrier:  # orders the reads on processors that would not
            found: int = self._written[0]
            return found * self._shape.unit

    @property
    def backlog(self) -> float:
        """Which part of the ring isn't free yet, though all was read."""
        return (self.position - self._moved_to) / self._shape.size

    @property
    def _moved_to(self) -> int:
        """The keeper's position."""
        found: int = self._consumed[0]
        return found * self._shape.unit

    def take(self, end: int) -> bytes:
        """Finished records up to a position, or a piece of them, headers included. Raises RingStuck."""
        deadline = 0
        while self.position < end:
            block, header = self._read(self._shape.reach(self.position, min(end - self.position, PIECE)))
            if block:
                self._advance(len(block))
                return block
            if not self._shape.may_finish(header):
                raise RingStuck  # it would lead out of what was written
            now = time.monotonic_ns()
            deadline = deadline or now + PATIENCE_NS
            if now > deadline:
                raise RingStuck
        return b""

    def _read(self, count: int) -> tuple[bytes, bytes]:
        """The finished ones of so many bytes, and the first header."""
        while True:
            with self._barrier:
                moved = self._moved_to - self.position
            if moved > 0:
                block = self._spooled(min(count, moved))
                ready = self._shape.finished(memoryview(block), self.position)
                return block[:ready], block[:HEADER_BYTES]
            start = self.position % self._shape.size
            with self._barrier:  # first which are finished, then what is in them
                view = piece(self._data, start, count)
                header = bytes(view[:HEADER_BYTES])
                ready = self._shape.finished(view, self.position)
            with self._barrier:
                block = bytes(piece(self._data, start, ready))
            with self._barrier:
                if self._moved_to <= self.position:
                    return block, header
            # The keeper moved it meanwhile, and a program may have written over it.

    def _spooled(self, count: int) -> bytes:
        start = self.position % self._area
        first = min(count, self._area - start)
        view = self._spool.view[self._start :]
        return bytes(view[start : start + first]) + bytes(view[: count - first])

    def _advance(self, count: int) -> None:
        page = mmap.PAGESIZE
        moved = self._moved_to > self.position
        self.position += count
        end = self.position // page * page
        while moved and self._released < end:  # first give it back, then let the keeper write there
            start = self._released % self._area
            size = min(end - self._released, self._area - start)
            self._spool.give_back(self._start + start, size)
            self._released += size
        self._released = end
        self._seen[0] = self.position
