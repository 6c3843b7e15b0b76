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

__all__ = ["HELD", "PIECE", "Spool", "area_bytes", "finished", "piece", "spool_bytes"]

PAGE = os.sysconf("SC_PAGESIZE")
HEADER_BYTES = 8
BUSY = 1 << 31
DISCARDED = 1 << 30
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


def finished(data: memoryview) -> int:
    """How many of the bytes are records that are whole and finished."""
    available = len(data)
    if not available:
        return 0
    header = int.from_bytes(data[:4], "little")
    if header & BUSY:
        return 0
    stride = _stride(header)
    # Records of one size are the rule in one of the rings: their headers make a column.
    column = data.cast("I")[:: stride // 4].tolist()
    same = len(column) if column.count(header) == len(column) else _equal(column)
    position = min(same, available // stride) * stride
    while position < available:
        header = int.from_bytes(data[position : position + 4], "little")
        if header & BUSY or position + _stride(header) > available:
            break
        position += _stride(header)
    return position


def _stride(header: int) -> int:
    return HEADER_BYTES + ((header & ~DISCARDED) + 7 & ~7)


def _equal(column: list[int]) -> int:
    """How many of the first are equal."""
    return next(index for index, each in enumerate(column) if each != column[0])


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

    def empty(self, rings: Sequence[tuple[int, int]]) -> None:
        """Begin with these, by their descriptors, to be closed by the caller after this, and sizes. Raises OSError."""
        self._rings.extend(_Outlet(ring, size) for ring, size in rings)

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
        for place, ring in enumerate(self._rings):
            ring.pass_over(self._words[place])
            while ring.position != ring.written and ring.map():
                count = ring.finished()
                if not count or count > self._room():
                    break
                if not self._write(place, ring.position, ring.content(count)):
                    break
                ring.advance(count)
            stays |= ring.position != ring.written
        return stays

    def _room(self) -> int:
        """How much more may be kept."""
        unread = sum(max(ring.position - self._words[place], 0) for place, ring in enumerate(self._rings))
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

    def __init__(self, fd: int, size: int) -> None:
        self._fd = fd
        self._size = size
        self._consumer = _ffi.SharedMemory(fd, PAGE, writable=True)
        try:
            self._producer = _ffi.SharedMemory(fd, PAGE, writable=False, offset=PAGE)
        except BaseException:
            self._consumer.close()
            raise
        self._consumed = self._consumer.view[:8].cast("Q")
        self._written = self._producer.view[:8].cast("Q")
        self._records: _ffi.SharedMemory | None = None
        self.position: int = self._consumed[0]

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
                self._records = _ffi.SharedMemory(self._fd, self._size, writable=False, offset=2 * PAGE)
            except OSError:
                return False
        return True

    @property
    def written(self) -> int:
        found: int = self._written[0]
        return found

    def pass_over(self, seen: int) -> None:
        """What the session has read in place needs not to be moved."""
        if self.position < seen <= self.written:
            self.advance(seen - self.position)

    def finished(self) -> int:
        """Bytes of the next finished records."""
        return finished(self.content(min(self.written - self.position, PIECE)))

    def content(self, count: int) -> memoryview:
        assert self._records is not None
        return piece(self._records.view, self.position % self._size, count)

    def advance(self, count: int) -> None:
        self.position += count
        self._consumed[0] = self.position
