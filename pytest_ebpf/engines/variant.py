"""What of the snippets a kernel can run: an older one has fewer helpers and other tracepoints.

The keeper process imports this while the session waits: see base.py.
"""

from __future__ import annotations

import os

from ..attachment import BTF

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SNIPPETS", "Variant", "of_kernel"]

SNIPPETS = ("syscalls", "process", "iterator", "io_uring")
WITHOUT_BTF = ("syscalls", "process", "roll_call")
"""What needs no BTF: without iterators, and without structs that only the kernel's own files declare."""
LOOPS = (5, 18)
"""The kernel since which there is bpf_loop (5.17), and atomic steps that tell what was there, on aarch64 too."""
CASTS = (6, 2)
"""The kernel since which there is bpf_rdonly_cast."""
PREEMPTIBLE = (7, 0)
"""The kernel since which our programs can be preempted. Those for it need BTF."""
RING_SUBMIT = "raw_tp/io_uring_submit_req"
SECTIONS = {"io_uring": (RING_SUBMIT,)}
"""Where the programs of a snippet sit that not every kernel can run."""


class Variant:
    """Which snippets to load, how they were compiled, and where their programs go."""

    def __init__(
        self,
        snippets: tuple[str, ...] = SNIPPETS,
        old: bool = False,
        hooks: Mapping[str, str] | None = None,
        preemptible: bool = False,
        casts: bool = False,
    ) -> None:
        self.snippets = snippets
        self.old = old
        """Compiled with OLD_KERNEL: bounded loops in the place of bpf_loop, and no pointers into the kernel's types."""
        self.hooks: Mapping[str, str] = hooks or {}
        """Other names that a hook has on this kernel."""
        self.preemptible = preemptible
        """Compiled with PREEMPTIBLE: each program keeps others from its processor."""
        self.casts = casts
        """Compiled with CASTS: fields of the kernel's structs are loaded in place. Not by engine bcc, which knows no
        relocations."""

    @property
    def folders(self) -> tuple[str, ...]:
        """Where its objects are, below those of the machine: the first that the kernel takes."""
        if self.old:
            return ("old",)
        if self.preemptible:
            return ("preemptible",)
        return ("casts", "") if self.casts else ("",)

    @property
    def defines(self) -> tuple[str, ...]:
        """What engine bcc compiles its snippets with."""
        return ("OLD_KERNEL",) if self.old else ("PREEMPTIBLE",) if self.preemptible else ()

    @property
    def missing(self) -> tuple[str, ...]:
        """The snippets of SECTIONS that are left out."""
        return tuple(name for name in SECTIONS if name not in self.snippets)

    @property
    def absent(self) -> tuple[str, ...]:
        """The sections of their programs."""
        return tuple(section for name in self.missing for section in SECTIONS[name])

    def hook(self, section: str) -> str:
        """Where the program of this section is attached."""
        return self.hooks.get(section, section)


def of_kernel(release: str | None = None, *, btf: bool | None = None) -> Variant:
    """For the running kernel, or one of this release, with BTF or without.

    >>> of_kernel("5.10.0-32-amd64", btf=True).old
    True
    """
    numbers = _numbers(release or os.uname().release)
    if not (os.path.exists(BTF) if btf is None else btf):  # noqa: PTH110
        return Variant(WITHOUT_BTF, old=True)
    # io_uring's operations are read from struct io_kiocb, which has them since Linux 6.0.
    snippets = SNIPPETS if numbers >= (6, 0) else tuple(name for name in SNIPPETS if name != "io_uring")
    hooks = {} if numbers >= (6, 4) else {RING_SUBMIT: "raw_tp/io_uring_submit_sqe"}
    return Variant(snippets, numbers < LOOPS, hooks, numbers >= PREEMPTIBLE, numbers >= CASTS)


def _numbers(release: str) -> tuple[int, ...]:
    words = "".join(each if each.isdigit() else " " for each in release).split()
    return tuple(int(word) for word in words[:2])
