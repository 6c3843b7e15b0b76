"""pytest-ebpf: kernel-level behavioural assertions for pytest."""

from __future__ import annotations

from .errors import (
    EbpfError,
    EngineUnavailable,
    InconclusiveRecording,
    ProbeError,
    SiblingCallWarning,
    UnknownSyscall,
)
from .step import call

__all__ = [
    "EbpfError",
    "EngineUnavailable",
    "InconclusiveRecording",
    "ProbeError",
    "SiblingCallWarning",
    "UnknownSyscall",
    "call",
]
