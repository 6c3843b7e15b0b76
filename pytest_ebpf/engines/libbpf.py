"""Engine "libbpf": the objects built with the wheel, loaded through the system's libbpf."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from pathlib import Path
from typing import Any

from ..errors import EngineUnavailable, ProbeError
from . import _ffi
from .base import Probe, Started
from .variant import of_kernel

__all__ = ["LibbpfEngine"]

LOG_LINES = 20
WARNING = 0
"""libbpf's level for errors and for the verifier's log."""
OBJECTS = Path(__file__).parent.parent / "objects"
BTF = Path("/sys/kernel/btf/vmlinux")
ITERATIONS = 3
"""Iterators handed out: enrolment repeats until a pass finds nobody new."""


class LibbpfEngine:
    """Loads and attaches CO-RE objects in this process."""

    name = "libbpf"

    def __init__(self, objects: Path | None = None) -> None:
        self._variant = of_kernel()
        self._folder = objects or OBJECTS / platform.machine() / ("old" if self._variant.old else "")
        self._objects: list[int] = []
        self._links: list[int] = []
        self._messages: list[str] = []
        self._library: Any = None

    def start(self) -> Started:
        """See base.Engine."""
        self._load_library()
        try:
            return self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """See base.Engine."""
        for link in self._links:
            self._library.bpf_link__destroy(link)
        for opened in self._objects:
            self._library.bpf_object__close(opened)
        self._links.clear()
        self._objects.clear()

    def _load_library(self) -> None:
        if not BTF.exists():
            raise EngineUnavailable(
                "start engine libbpf",
                f"the kernel has no BTF ({BTF} is missing)",
                "use a kernel built with CONFIG_DEBUG_INFO_BTF, as those of Debian and Ubuntu are",
            )
        try:
            self._library = _ffi.libbpf()
        except (OSError, AttributeError) as error:
            raise EngineUnavailable(
                "start engine libbpf",
                f"{_ffi.LIBRARY} can't be loaded: {error}",
                "install libbpf 1.0 or newer; on Debian and Ubuntu: apt-get install libbpf1",
            ) from error
        self._callback = _ffi.PRINT_CALLBACK(self._on_message)
        self._library.libbpf_set_print(self._callback)

    def _on_message(self, level: int, template: bytes, arguments: int) -> int:
        if level == WARNING:
            self._messages.append(_ffi.format_message(template, arguments))
        return 0

    def _start(self) -> Started:
        maps: dict[str, int] = {}
        probes: list[Probe] = []
        iterators: list[int] = []
        for snippet in self._variant.snippets:
            opened = self._open(snippet)
            for each in self._each("map", opened):
                name = self._library.bpf_map__name(each).decode()
                if name in maps:
                    self._check(self._library.bpf_map__reuse_fd(each, maps[name]), f"share map {name}")
            self._check(self._library.bpf_object__load(opened), f"load {snippet}.bpf.o")
            for each in self._each("map", opened):
                name = self._library.bpf_map__name(each).decode()
                maps.setdefault(name, self._library.bpf_map__fd(each))
            for each in self._each("program", opened):
                section = self._library.bpf_program__section_name(each).decode()
                probe = Probe(self._library.bpf_program__name(each).decode(), self._variant.hook(section))
                if probe.hook == section:
                    link = self._library.bpf_program__attach(each)
                else:
                    tracepoint = probe.hook.removeprefix("raw_tp/").encode()
                    link = self._library.bpf_program__attach_raw_tracepoint(each, tracepoint)
                if not link:
                    self._check(-ctypes.get_errno(), f"attach {probe.program} to {probe.hook}")
                self._links.append(link)
                probes.append(probe)
                if probe.hook.startswith("iter/"):
                    for _ in range(ITERATIONS):
                        fd = self._library.bpf_iter_create(self._library.bpf_link__fd(link))
                        self._check(min(fd, 0), f"open iterator {probe.program}")
                        iterators.append(fd)
        version = self._library.libbpf_version_string().decode().removeprefix("v")
        return Started(self.name, f"libbpf {version}", maps, tuple(iterators), tuple(probes), self._variant.missing)

    def _open(self, snippet: str) -> int:
        path = self._folder / f"{snippet}.bpf.o"
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ProbeError(
                f"read eBPF object {path}",
                os.strerror(error.errno or 0),
                "it is built with the wheel: install pytest-ebpf again, by pip",
            ) from error
        opened: int | None = self._library.bpf_object__open_mem(content, len(content), None)
        if not opened:
            self._check(-ctypes.get_errno(), f"open eBPF object {path}")
            raise AssertionError("unreachable")
        self._objects.append(opened)
        return opened

    def _each(self, kind: str, opened: int) -> list[int]:
        following = getattr(self._library, f"bpf_object__next_{kind}")
        found: list[int] = []
        each = following(opened, None)
        while each:
            found.append(each)
            each = following(opened, each)
        return found

    def _check(self, result: int, operation: str) -> None:
        if result >= 0:
            return
        log = "".join(self._messages)
        lines = [line for line in log.splitlines() if line.strip()]
        if -result in (errno.EPERM, errno.EACCES) and "END PROG LOAD LOG" not in log:
            raise EngineUnavailable(
                "start engine libbpf",
                f"{operation}: {os.strerror(-result)}",
                "loading eBPF programs needs root, or CAP_BPF and CAP_PERFMON",
            )
        hint = ""
        if "END PROG LOAD LOG" in log:
            hint = f"the verifier of kernel {platform.release()} refused it: its last lines follow"
        elif operation.startswith("open eBPF object"):
            hint = "the file is damaged: install pytest-ebpf again, by pip"
        elif -result == errno.ENOMEM:
            hint = "free some memory: the recorder needs about 120 MiB of kernel memory"
        cause = ctypes.create_string_buffer(256)
        self._library.libbpf_strerror(result, cause, len(cause))
        raise ProbeError(operation, cause.value.decode(), hint, "\n".join(lines[-LOG_LINES:]))
