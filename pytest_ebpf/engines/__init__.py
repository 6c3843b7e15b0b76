"""Engines bring the eBPF programs into the kernel; see base.py for what each one gives."""

from __future__ import annotations

from .base import MEMORY_BYTES, Engine

__all__ = ["create"]


def create(name: str, address: str | None = None, *, is_lent: bool = False, memory: int = MEMORY_BYTES) -> Engine:
    """The engine of this name, not yet started, in a process of its own, or the one shared at that address.

    One that is lent has to run there already. ``memory`` is how many bytes the events of one test may take.
    """
    from .keeper import KeptEngine

    return KeptEngine(name, address, is_lent=is_lent, memory=memory)
