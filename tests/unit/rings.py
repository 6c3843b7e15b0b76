"""Rings on memory that a test writes."""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Callable, Iterator
from typing import Generic, NamedTuple, Protocol, TypeVar

from pytest_ebpf.engines._ffi import SharedMemory
from pytest_ebpf.engines.ring import Ring
from pytest_ebpf.engines.shapes import Shape
from pytest_ebpf.engines.spool import Spool, spool_bytes


class Writes(Protocol):
    """The end at which is written."""

    memory: mmap.mmap


W = TypeVar("W", bound=Writes)


class Ends(NamedTuple, Generic[W]):
    """Of one ring."""

    writer: W
    spool: Spool
    ring: Ring


@contextlib.contextmanager
def made_up(make: Callable[[int], W], shape: Shape, limit: int) -> Iterator[Ends[W]]:
    """The end of a ring at which a test writes, made of its descriptor; the keeper's, and the session's."""
    fd = os.memfd_create("ring")
    writer = make(fd)
    spool = Spool(limit)
    spool.empty([(fd, shape)])
    memory = SharedMemory(spool.fd, spool_bytes(limit), writable=True)
    ring = Ring(fd, shape, memory, 0)
    yield Ends(writer, spool, ring)
    ring.close()
    spool.close()
    os.close(fd)
    memory.close()
    writer.memory.close()
