"""What an engine is: it attaches the programs and hands out their maps, and knows nothing of tests.

The keeper process imports this while the session waits: named tuples, as dataclasses take long to import.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

__all__ = [
    "BLOBS_BYTES",
    "ENGINES",
    "EVENTS_BYTES",
    "LENT",
    "LENT_TO",
    "SESSIONS",
    "SESSION_OFFSET",
    "TASK_BYTES",
    "TASK_SLOTS",
    "Engine",
    "Probe",
    "Started",
]

ENGINES = ("libbpf", "bcc")
"""Names that ``--ebpf-engine`` takes besides "auto"."""

LENT_TO = "PYTEST_EBPF_LENT_TO"
"""Environment variable of the keeper: the uid of another user whose processes it serves."""

# Sizes of the maps, as bpf_snippets/include/events.h has them; the rings are as large as one likes.
SESSIONS = 64
TASK_SLOTS = 32768
TASK_BYTES = 192
SESSION_OFFSET = 163
"""Of the session in struct task."""
EVENTS_BYTES = 64 << 20
BLOBS_BYTES = 32 << 20


LENT = "PYTEST_EBPF_LENT"
"""Environment variable of a process to which ``pytest-ebpf run`` lends an engine: its name, a colon, and the address of
its keeper."""


class Probe(NamedTuple):
    """One program of the snippets, and the kernel hook it sits on."""

    program: str
    hook: str


class Started(NamedTuple):
    """A running engine. Who receives it owns the file descriptors."""

    engine: str
    library: str
    """Name and version of what loaded the programs."""
    maps: Mapping[str, int]
    """File descriptor of every map by its name in the snippets, and of the session's rings: events, blobs."""
    session: int
    """Which one it is of those that share the programs: its row of ``controls`` and ``losses``."""
    probes: tuple[Probe, ...]
    """All of them are attached: an engine that can't attach one fails to start."""
    missing: tuple[str, ...] = ()
    """Snippets that this kernel can't run; see docs/kernels.md."""
    numbers: Mapping[str, int] = MappingProxyType({})
    """By which the kernel knows the maps, where the engine tells: for programs of the user's that ask them too."""


class Engine(Protocol):
    """Loads and attaches the programs."""

    name: str
    records_real_calls: bool
    """Whether what this process really does is seen: then known calls prove it."""

    def prepare(self) -> None:
        """Begin what takes time and needs nobody to wait; `start` goes on with it. May be left out."""

    @property
    def pid(self) -> int:
        """The process that holds the programs, which no recording is to show; 0 if there is none."""

    def start(self) -> Started:
        """Attach everything or nothing.

        Raises EngineUnavailable if this host can't run the engine, ProbeError if a program fails.
        """

    def enrol(self, pid: int, tag: int) -> None:
        """Follow a process, as this one counts processes, and its descendants, tagged so; 0 is this process itself."""

    def poke(self) -> bool:
        """Make one system call, which living programs count; False if a seccomp filter refuses it before its entry."""

    def examine(self) -> tuple[str, ...]:
        """What of the programs isn't as it was when they were attached; empty too where that can't be asked."""

    def stop(self) -> None:
        """Detach everything; harmless if it isn't running."""
