"""What this host and this user can do, as far as a look without loading anything tells."""

from __future__ import annotations

import os
import platform
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from .errors import EngineUnavailable

__all__ = ["Choice", "choose"]

BTF = Path("/sys/kernel/btf/vmlinux")
MINIMUM_KERNEL = (5, 17)
"""bpf_loop, by which the programs walk paths of any depth."""
MACHINES = ("x86_64", "aarch64")
CAP_SYS_ADMIN, CAP_PERFMON, CAP_BPF = 21, 38, 39


@dataclass(frozen=True, slots=True)
class Choice:
    """The engine for this session, or why there is none."""

    engine: str
    why: str
    problem: EngineUnavailable | None = None
    is_lent: bool = False

    def __str__(self) -> str:
        system = f"{platform.system()} {platform.release()} {platform.machine()}"
        if self.problem is None:
            return f"engine {self.engine} ({self.why}), {system}"
        hint = f" ({self.problem.hint})" if self.problem.hint else ""
        return f"no engine on {system}: {self.problem.cause}{hint}"


def choose(wanted: str, lent: str | None = None) -> Choice:
    """The engine for ``--ebpf-engine=wanted``. Opens one small file at most, and imports nothing.

    ``lent`` is the name of one that somebody else runs for this process.
    """
    if lent and wanted in ("auto", lent):
        return Choice(lent, "lent by pytest-ebpf run", is_lent=True)
    engine = "libbpf" if wanted == "auto" else wanted
    why = "auto: the kernel has BTF" if wanted == "auto" else f"as asked: --ebpf-engine={wanted}"
    trouble = _trouble(engine)
    if trouble is None:
        return Choice(engine, why)
    return Choice(engine, why, EngineUnavailable(f"start engine {engine}", *trouble))


def _trouble(engine: str) -> tuple[str, str] | None:
    if sys.platform != "linux":
        return f"eBPF is a part of Linux, and this is {platform.system()}", "run these tests on Linux"
    if platform.machine() not in MACHINES:
        return f"there are no programs for {platform.machine()}", f"supported: {', '.join(MACHINES)}"
    if engine == "bcc":
        return "this version has no bcc engine", "use --ebpf-engine=libbpf"
    release = tuple(int(part) for part in re.findall(r"\d+", platform.release())[:2])
    if release < MINIMUM_KERNEL:
        return f"the kernel is {platform.release()}", f"needs Linux {'.'.join(map(str, MINIMUM_KERNEL))} or newer"
    if not _may_load_programs():
        return "this user may not load eBPF programs", "run as root, or with CAP_BPF and CAP_PERFMON"
    if not BTF.exists():
        hint = "use a kernel built with CONFIG_DEBUG_INFO_BTF, as those of Debian and Ubuntu are"
        return f"the kernel has no BTF ({BTF} is missing)", hint
    return None


def _may_load_programs() -> bool:
    try:
        status = Path("/proc/self/status").read_text(errors="replace")
    except OSError:
        return os.geteuid() == 0
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    if found is None:
        return os.geteuid() == 0
    effective = int(found[1], 16)
    if effective >> CAP_SYS_ADMIN & 1:
        return True
    return bool(effective >> CAP_BPF & 1 and effective >> CAP_PERFMON & 1)
