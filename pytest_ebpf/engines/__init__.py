"""Engines bring the eBPF programs into the kernel; see base.py for what each one gives."""

from __future__ import annotations

from .base import Engine

__all__ = ["create"]


def create(name: str) -> Engine:
    """The engine of this name, not yet started: one that is lent to this process, else one in a process of its own."""
    from .lent import LentEngine, offered

    if offered() == name:
        return LentEngine()
    from .keeper import KeptEngine

    return KeptEngine(name)
