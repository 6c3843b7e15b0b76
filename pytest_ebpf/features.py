"""What this host and this user can do, as far as a look without loading anything tells."""

from __future__ import annotations

import os
import platform
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from .attachment import kinds
from .errors import EngineUnavailable

__all__ = ["BCC_HINT", "Choice", "bcc_package", "choose", "hooks"]

BTF = Path("/sys/kernel/btf/vmlinux")
MINIMUM_KERNEL = (5, 10)
"""The oldest that is tested; ring buffers and task iterators are there since 5.8."""
MACHINES = ("x86_64", "aarch64")
BCC_PLACES = ("lib/python3/dist-packages", "lib/python3*/site-packages", "lib64/python3*/site-packages")
"""Where distributions put BCC's Python part, below /usr. Never where pip installs: its "bcc" is another thing."""
BCC_HINT = "on Debian and Ubuntu: apt-get install python3-bpfcc; on Fedora: dnf install python3-bcc"
SYSTEM = Path("/usr")
LIBRARY_PLACES = ("lib/*-linux-gnu", "lib64", "lib")
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
            return f"engine {self.engine} ({self.why}), {system}, kernel hooks: {hooks() or 'none'}"
        hint = f" ({self.problem.hint})" if self.problem.hint else ""
        return f"no engine on {system}: {self.problem.cause}{hint}"


def choose(wanted: str, lent: str | None = None) -> Choice:
    """The engine for ``--ebpf-engine=wanted``. Looks for a few files, and imports nothing.

    ``lent`` is the name of one that somebody else runs for this process.
    """
    if lent and wanted in ("auto", lent):
        return Choice(lent, "lent by pytest-ebpf run", is_lent=True)
    if wanted != "auto":
        return _choice(wanted, f"as asked: --ebpf-engine={wanted}")
    if bcc_package() is not None and not _has_libbpf():
        return _choice("bcc", "auto: there is BCC here, and no libbpf.so.1")
    return _choice("libbpf", "auto: the kernel has BTF")


def hooks() -> str:
    """By which kind of program functions of this kernel are watched; "" if none are."""
    return next(iter(kinds()), "")


def bcc_package() -> Path | None:
    """The folder of the distribution's Python package `bcc`, or None."""
    for place in BCC_PLACES:
        for package in sorted(SYSTEM.glob(f"{place}/bcc/libbcc.py"), reverse=True):
            return package.parent
    return None


def _has_libbpf() -> bool:
    return any(True for place in LIBRARY_PLACES for _ in SYSTEM.glob(f"{place}/libbpf.so.1"))


def _choice(engine: str, why: str) -> Choice:
    trouble = _trouble(engine)
    if trouble is None:
        return Choice(engine, why)
    return Choice(engine, why, EngineUnavailable(f"start engine {engine}", *trouble))


def _trouble(engine: str) -> tuple[str, str] | None:
    if sys.platform != "linux":
        return f"eBPF is a part of Linux, and this is {platform.system()}", "run these tests on Linux"
    if platform.machine() not in MACHINES:
        return f"there are no programs for {platform.machine()}", f"supported: {', '.join(MACHINES)}"
    release = tuple(int(part) for part in re.findall(r"\d+", platform.release())[:2])
    if release < MINIMUM_KERNEL:
        return f"the kernel is {platform.release()}", f"needs Linux {'.'.join(map(str, MINIMUM_KERNEL))} or newer"
    try:
        kinds()
    except ValueError as error:
        return str(error), ""
    if engine == "bcc" and bcc_package() is None:
        return "the Python package of BCC is not in any of the distribution's folders", BCC_HINT
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
