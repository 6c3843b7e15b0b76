"""What this host and this user can do, as far as a look without loading anything tells."""

from __future__ import annotations

import os
import platform
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from . import attachment
from .attachment import kinds
from .errors import EngineUnavailable

__all__ = ["BCC_HINT", "LOCKDOWN_HINT", "Choice", "bcc_package", "choose", "hooks", "installed_headers", "lockdown"]

BTF = Path(attachment.BTF)
MINIMUM_KERNEL = (5, 10)
"""The oldest that is tested; ring buffers and task iterators are there since 5.8."""
NEEDS_BTF = (7, 0)
"""Since this one programs can be preempted; what keeps others away meanwhile is found by BTF."""
MODULES = Path("/lib/modules")
KHEADERS = Path("/sys/kernel/kheaders.tar.xz")
"""Headers that the kernel brings itself (CONFIG_IKHEADERS), which BCC unpacks."""
MACHINES = ("x86_64", "aarch64")
LOCKDOWN = Path("/sys/kernel/security/lockdown")
LOCKDOWN_HINT = "boot without lockdown=, or with Secure Boot off"
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
    if bcc_package() is not None:
        if not BTF.exists():
            return _choice("bcc", "auto: the kernel has no BTF")
        if not _has_libbpf():
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
    if _release() < MINIMUM_KERNEL:
        return f"the kernel is {platform.release()}", f"needs Linux {'.'.join(map(str, MINIMUM_KERNEL))} or newer"
    try:
        kinds()
    except ValueError as error:
        return str(error), ""
    if engine == "bcc" and bcc_package() is None:
        return "the Python package of BCC is not in any of the distribution's folders", BCC_HINT
    if not _may_load_programs():
        return "this user may not load eBPF programs", "run as root, or with CAP_BPF and CAP_PERFMON"
    if lockdown() == "confidentiality":
        return "the kernel is locked down (confidentiality): no program may read its memory", LOCKDOWN_HINT
    return types_trouble(engine)


def lockdown() -> str:
    """How far the kernel is locked down, "integrity" or "confidentiality"; "" if it isn't, or doesn't say."""
    try:
        mode = re.search(r"\[(\w+)\]", LOCKDOWN.read_text(encoding="utf-8"))
    except OSError:
        return ""
    return "" if mode is None or mode[1] == "none" else mode[1]


def types_trouble(engine: str) -> tuple[str, str] | None:
    """Cause and hint if nothing here tells an engine where the fields of the kernel's structs are."""
    if BTF.exists():
        return None
    cause = f"the kernel has no BTF ({BTF} is missing)"
    hint = "use a kernel built with CONFIG_DEBUG_INFO_BTF, as those of Debian and Ubuntu are"
    if _release() >= NEEDS_BTF:
        return f"{cause}, without which Linux {'.'.join(map(str, NEEDS_BTF))} and newer can't be watched", hint
    if engine != "bcc":
        return cause, f"{hint}; or --ebpf-engine=bcc with the kernel's headers"
    if installed_headers() is None and not KHEADERS.exists():
        build = MODULES / platform.release() / "build"
        install = f"install its headers, on Debian and Ubuntu: apt-get install linux-headers-{platform.release()}"
        return f"{cause}, and no headers of {platform.release()} are in {build}", f"{install}; or {hint}"
    return None


def installed_headers() -> Path | None:
    """The kernel's own headers, if they are here and are those of the running kernel."""
    build = MODULES / platform.release() / "build"
    try:
        release = (build / "include" / "generated" / "utsrelease.h").read_text(encoding="utf-8")
    except OSError:
        return None
    return build if f'"{platform.release()}"' in release else None


def _release() -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", platform.release())[:2])


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
