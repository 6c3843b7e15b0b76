"""By which kind of program functions of this kernel can be watched; the keeper imports it, so it imports little."""

from __future__ import annotations

import os

__all__ = ["BTF", "KINDS", "KPROBE", "SWITCH", "kinds"]

KINDS = ("kprobe", "fentry")
SWITCH = "PYTEST_EBPF_HOOKS"
"""Environment variable: the one kind to use, or "none"."""
BTF = "/sys/kernel/btf/vmlinux"
"""By which a program is told of the kernel's types and functions."""
KPROBE = "/sys/bus/event_source/devices/kprobe/type"
FTRACE = "/proc/sys/kernel/ftrace_enabled"
PREEMPTION = "/sys/kernel/debug/sched/preempt"


def kinds(wanted: str | None = None) -> tuple[str, ...]:
    """The kinds to try on this kernel, best first; () if there are none. Raises ValueError for an unknown one.

    A program at fentry can be preempted by another one of the same processor, whose memory it shares: it is for
    kernels that can't be preempted, and it takes longer to load.
    """
    wanted = os.environ.get(SWITCH, "") if wanted is None else wanted
    if wanted:
        if wanted not in (*KINDS, "none"):
            raise ValueError(f"{SWITCH}={wanted}: unknown (one of: {', '.join(KINDS)}, none)")
        return (wanted,) if wanted in KINDS else ()
    found = []
    if os.path.exists(KPROBE):  # noqa: PTH110 (pathlib is slow to import)
        found.append("kprobe")
    if os.path.exists(FTRACE) and os.path.exists(BTF) and not _is_preemptible():  # noqa: PTH110
        found.append("fentry")
    return tuple(found)


def _is_preemptible() -> bool:
    """Whether the kernel may be, as far as it can be told."""
    if "PREEMPT" not in os.uname().version:
        return False
    try:
        with open(PREEMPTION, encoding="ascii") as file:  # noqa: PTH123
            modes = file.read()
    except OSError:
        return True
    return "(none)" not in modes and "(voluntary)" not in modes
