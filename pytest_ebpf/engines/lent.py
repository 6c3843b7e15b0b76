"""An engine that a privileged process started and lends to this one: ``sudo pytest-ebpf run -- pytest …``.

The maps come over a socket, whose number stands in the environment; they serve one session, the first that asks.
"""

from __future__ import annotations

import array
import contextlib
import marshal
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import EngineUnavailable
from .base import LENT, Probe, Started

__all__ = ["LentEngine", "lend", "offered"]

MAPPED = ("blobs", "controls", "events", "losses", "specs", "tasks")
"""The maps that a session needs; the others stay with the programs."""


def offered() -> str | None:
    """Name of the engine that is lent to this process, if one is."""
    return os.environ.get(LENT, "").partition(":")[0] or None


@contextmanager
def lend(started: Started) -> Iterator[int]:
    """A descriptor from which a child can take the engine; the engine's own descriptors are closed."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    fds = [*started.maps.values(), *started.iterators]
    try:
        names = [name for name in started.maps if name in MAPPED]
        about = (started.engine, started.library, names, [tuple(probe) for probe in started.probes])
        sent = [*(started.maps[name] for name in names), *started.iterators]
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", sent))]
        ours.sendmsg([marshal.dumps(about)], rights)
    finally:
        for fd in fds:
            os.close(fd)
    with ours, theirs:
        yield theirs.fileno()


class LentEngine:
    """See base.Engine. Its owner stops it."""

    def __init__(self) -> None:
        self.name, _, self._channel = os.environ.pop(LENT).partition(":")

    def prepare(self) -> None:
        """See base.Engine."""

    def start(self) -> Started:
        """See base.Engine."""
        from .keeper import receive

        try:
            with socket.socket(fileno=int(self._channel)) as channel:
                channel.setblocking(False)
                (engine, library, names, probes), fds = receive(channel)
        except (EOFError, OSError, ValueError) as error:
            raise EngineUnavailable(
                f"start engine {self.name}",
                f"what {LENT} promises isn't there: {error}",
                "start the tests by: sudo pytest-ebpf run -- pytest …; without xdist, and once",
            ) from error
        maps = dict(zip(names, fds, strict=False))
        return Started(engine, library, maps, tuple(fds[len(names) :]), tuple(Probe(*each) for each in probes))

    def poke(self) -> None:
        """See base.Engine."""
        with contextlib.suppress(OSError):  # see keeper.py
            os.sched_yield()

    def stop(self) -> None:
        """See base.Engine."""
