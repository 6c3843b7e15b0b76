"""A session and recordings without a test run: for the command line, the canary and the benchmarks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from . import engines
from .recording import Recording
from .scope import Kind, Owner
from .session import Session

__all__ = ["begin", "running"]


@contextmanager
def running(engine: str) -> Iterator[Session]:
    """A session by the engine of that name. Raises EngineUnavailable or ProbeError.

    >>> with running("libbpf") as session:
    ...     recording = begin(session, "trace")
    """
    session = Session(engines.create(engine))
    session.start()
    try:
        yield session
    finally:
        session.stop()


def begin(session: Session, name: str) -> Recording:
    """A recording, not open yet; what was recorded before is dropped."""
    owner = Owner(Kind.TEST, name)
    session.begin_test(owner, owner.name)
    session.begin_phase(owner, name)
    return Recording(session, owner)
