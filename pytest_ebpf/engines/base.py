"""What an engine is: it attaches the programs and hands out their maps, and knows nothing of tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["ENGINES", "Engine", "Probe", "Started"]

ENGINES = ("libbpf", "bcc")
"""Names that ``--ebpf-engine`` takes besides "auto"."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One program of the snippets, and the kernel hook it sits on."""

    program: str
    hook: str


@dataclass(frozen=True, slots=True)
class Started:
    """A running engine. Who receives it owns the file descriptors."""

    engine: str
    library: str
    """Name and version of what loaded the programs."""
    maps: Mapping[str, int]
    """File descriptor of every map by its name in the snippets."""
    iterators: tuple[int, ...]
    """Each read once, to its end: enrols the reading process and its descendants."""
    probes: tuple[Probe, ...]
    """All of them are attached: an engine that can't attach one fails to start."""
    missing: tuple[str, ...] = ()
    """Snippets that this kernel can't run; see docs/kernels.md."""
    numbers: Mapping[str, int] = field(default_factory=dict)
    """By which the kernel knows the maps, where the engine tells: for programs of the user's that ask them too."""


class Engine(Protocol):
    """Loads and attaches the programs."""

    name: str

    def start(self) -> Started:
        """Attach everything or nothing.

        Raises EngineUnavailable if this host can't run the engine, ProbeError if a program fails.
        """

    def poke(self) -> None:
        """Make one system call of the QUIET kind, which living programs count."""

    def stop(self) -> None:
        """Detach everything; harmless if it isn't running."""
