"""What a session had no time to read: the keeper moves it out of the rings before they are full, up to a limit.

Each session has a file in memory: a page of numbers, and an area for each ring. A byte of a ring has a *position*,
which counts up for ever; in its area it stands at the position modulo the area's size. The file is sparse, and the
session gives the memory of what it has read back.

Each number has one writer, so that nobody waits for a lock that a killed process holds. The keeper's are the consumer
positions of the rings: what stands before them was moved, or read. The session's are in the page: the position up to
which it has read each ring, and how much it holds.
"""

from __future__ import annotations

import fcntl
import os

from . import _ffi

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .shapes import Shape

__all__ = ["HELD", "PIECE", "Spool", "area_bytes", "piece", "spool_bytes"]

PAGE = os.sysconf("SC_PAGESIZE")
HELD = 2
"""The word of the page that says how many bytes the session holds, behind those with its positions in the two rings."""
PIECE = 1 << 20
"""Bytes that are moved or read at one time."""
SEALS = 1033, 0x2 | 0x4
"""F_ADD_SEALS; F_SEAL_SHRINK and F_SEAL_GROW."""


def area_bytes(limit: int) -> int:
    """Size of an area that takes ``limit`` bytes; one page of it may hold both the newest and the oldest."""
    return (-(-limit // PAGE) + 1) * PAGE


def spool_bytes(limit: int) -> int:
    """Size of the whole file."""
    return PAGE + 2 * area_bytes(limit)


def piece(data: memoryview, start: int, count: int) -> memoryview:
    """Some bytes of a ring, which may go on at its beginning."""
    found = data[start : start + count]
    return found if len(found) == count else memoryview(b"".join((found, data[: count - len(found)])))


class Spool:
    """The keeper's side of one session's rings. Raises OSError."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rings: list[_Outlet] = []
        self.fd = os.memfd_create("pytest-ebpf-spool", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(self.fd, spool_bytes(limit))
            fcntl.fcntl(self.fd, *SEALS)
            self._page = _ffi.SharedMemory(self.fd, PAGE, writable=False)
            self._words = self._page.view.cast("Q")
        except BaseException:
            os.close(self.fd)
            raise

    def empty(self, rings: Sequence[tuple[int, Shape]]) -> None:
        """Begin with these, by their descriptors, to be closed by the caller after this, and shapes. Raises OSError."""
        self._rings.extend(_Outlet(ring, shape) for ring, shape in rings)

    def close(self) -> None:
        """Unmap all; what the session has mapped stays."""
        for ring in self._rings:
            ring.close()
        self._words = memoryview(b"")
        self._page.close()
        os.close(self.fd)

    def move(self) -> bool:
        """Make room in the rings. Whether something stays in them, so that it is to be tried again in a moment."""
        stays = False
        # That of blobs first: a program that finds the other one fuller meanwhile tells it by a record there.
        for place, ring in reversed([*enumerate(self._rings)]):
            ring.pass_over(self._words[place])
            end = min(ring.written, ring.position + ring.size)  # not for ever, whatever comes or is claimed
            while ring.position < end and ring.map():
                count = ring.finished()
                if not count or count > self._room():
                    break
                if not self._write(place, ring.position, ring.content(count)):
                    break
                ring.advance(count)
            stays |= ring.position < ring.written
        return stays

    def _room(self) -> int:
        """How much more may be kept. Nothing, if the session says it has read what wasn't written."""
        unread = 0
        for place, ring in enumerate(self._rings):
            seen = self._words[place]
            unread += max(ring.position - seen, 0) if seen <= ring.written else self._limit
        return self._limit - self._words[HELD] - unread

    def _write(self, place: int, position: int, content: memoryview) -> bool:
        """False if the machine has no memory left: then it stays where it is."""
        area = area_bytes(self._limit)
        while content:
            start = position % area
            try:
                count = os.pwrite(self.fd, content[: area - start], PAGE + place * area + start)
            except OSError:
                return False
            content, position = content[count:], position + count
        return True


class _Outlet:
    """The end of a ring at which the keeper takes away.

    Most sessions never fill a quarter of a ring, so its records are mapped when there are some to move: that takes
    milliseconds.
    """

    def __init__(self, fd: int, shape: Shape) -> None:
        self._fd = fd
        self._shape = shape
        consumed, written = shape.consumed_at % PAGE, shape.written_at % PAGE
        self._consumer = _ffi.SharedMemory(fd, PAGE, writable=True, offset=shape.consumed_at - consumed)
        try:
            self._producer = _ffi.SharedMemory(fd, PAGE, writable=False, offset=shape.written_at - written)
        except BaseException:
            self._consumer.close()
            raise
        self._consumed = self._consumer.view[consumed : consumed + 8].cast("Q")
        self._written = self._producer.view[written : written + 8].cast("Q")
        self._records: _ffi.SharedMemory | None = None
        self.position: int = self._consumed[0] * shape.unit

    def close(self) -> None:
        self._consumed = self._written = memoryview(b"")
        self._consumer.close()
        self._producer.close()
        if self._records is not None:
            self._records.close()

    def map(self) -> bool:
        """Whether its records can be read; False if the machine has no memory left for their mapping."""
        if self._records is None:
            try:
                shape = self._shape
                self._records = _ffi.SharedMemory(self._fd, shape.size, writable=False, offset=shape.data_at)
            except OSError:
                return False
        return True

    @property
    def size(self) -> int:
        """In bytes."""
        return self._shape.size

    @property
    def written(self) -> int:
        found: int = self._written[0]
        return found * self._shape.unit

    def pass_over(self, seen: int) -> None:
        """What the session has read in place needs not to be moved."""
        if self.position < seen <= self.written and seen % self._shape.grain == 0:
            self.advance(seen - self.position)

    def finished(self) -> int:
        """Bytes of the next finished records. What isn't the kernel's memory may say anything of how much there is."""
        count = self._shape.reach(self.position, max(0, min(self.written - self.position, PIECE)))
        return self._shape.finished(self.content(count), self.position)

    def content(self, count: int) -> memoryview:
        assert self._records is not None
        return piece(self._records.view, self.position % self._shape.size, count)

    def advance(self, count: int) -> None:
        self.position += count
        self._consumed[0] = self.position // self._shape.unit
