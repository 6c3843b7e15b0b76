"""One call of an order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Step", "call"]


@dataclass(frozen=True, slots=True)
class Step:
    """One call of an order, as `call` makes it."""

    names: tuple[str, ...]
    filters: Mapping[str, Any]


def call(*names: str, **filters: Any) -> Step:
    """A step of ``assert_syscall_order``: a call with one of these names that matches all filters.

    Names and filters are those of ``ebpf.syscalls``; the assertion checks them.

    >>> call("fsync", path="/tmp/file").names
    ('fsync',)
    """
    return Step(names, filters)
