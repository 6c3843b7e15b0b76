"""Engine "libbpf": the object built with the wheel, loaded through the system's libbpf."""

from __future__ import annotations

import ctypes
import errno
import os

from ..attachment import BTF, kinds
from ..errors import EngineUnavailable, ProbeError
from . import _ffi, hooks, loader
from .base import Probe, Started
from .variant import of_kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

__all__ = ["LibbpfEngine"]

LOG_LINES = 20
WARNING = 0
"""libbpf's level for errors and for the verifier's log."""
OBJECTS = f"{os.path.dirname(os.path.dirname(__file__))}/objects"  # noqa: PTH120 (pathlib is slow to import)
OBJECT = "recorder.bpf.o"
ITERATOR = 28
"""BPF_TRACE_ITER."""


class LibbpfEngine:
    """Loads and attaches the CO-RE object in this process."""

    name = "libbpf"

    def __init__(self, objects: Path | None = None) -> None:
        self._variant = of_kernel()
        self._kind = ""
        """Of the hooks: see attachment.py."""
        here = f"{OBJECTS}/{os.uname().machine}"
        self._folders = [str(objects or f"{here}/{folder}").rstrip("/") for folder in self._variant.folders]
        """Where to look for objects, in this order."""
        self._folder = self._folders[0]
        self._objects: list[int] = []
        self._fds: list[int] = []
        self._messages: list[str] = []
        self._library: Any = None
        self._iterator = 0
        self.links: list[tuple[Probe, int, int]] = []
        """What is attached: the program with its place, the link, or 0 where the kernel makes none, and the program's
        own descriptor."""

    @property
    def rings(self) -> tuple[str, str]:
        """The names, in shapes.RINGS, of what its programs write to."""
        return ("events" if self._variant.old else "event_ring"), "blobs"

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
        for fd in self._fds:
            os.close(fd)
        for opened in self._objects:
            self._library.bpf_object__close(opened)
        self._fds.clear()
        self._objects.clear()
        self.links.clear()

    def _load_library(self) -> None:
        if not os.path.exists(BTF):  # noqa: PTH110
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
        maps, programs = self._load()
        for probe, program in programs:
            kind, _, hook = probe.hook.partition("/")
            if kind in hooks.ATTACHED:
                for watched, (link, held) in hooks.attach(probe.hook, program).items():
                    self._fds += held
                    self.links.append((Probe(probe.program, watched), link, program))
                continue
            if kind == "iter":
                link = self._iterator = self._library.bpf_link_create(program, 0, ITERATOR, None)
            else:
                link = self._library.bpf_raw_tracepoint_open(hook.encode(), program)
            self._check(link, f"attach {probe.program} to {probe.hook}")
            self._fds.append(link)
            self.links.append((probe, link, program))
        probes = tuple(probe for probe, _, _ in self.links)
        version = self._library.libbpf_version_string().decode().removeprefix("v")
        return Started(self.name, f"libbpf {version}", maps, 0, probes, self._variant.missing)

    def iterator(self) -> int:
        """A descriptor that enrols whom ``enrolments`` names when it is read to its end; the caller owns it."""
        fd: int = self._library.bpf_iter_create(self._iterator)
        self._check(fd, "open the iterator over tasks")
        return fd

    def _load(self) -> tuple[dict[str, int], list[tuple[Probe, int]]]:
        """Descriptors of the maps by name, and of the programs."""
        *others, last = ((kind, folder) for kind in (*kinds(), "") for folder in self._folders)
        for self._kind, self._folder in others:
            try:
                return self._load_with(self._read())
            except (EngineUnavailable, ProbeError):  # not with these hooks, or not this way
                self._messages.clear()
        self._kind, self._folder = last
        return self._load_with(self._read())

    def _load_with(self, content: bytes) -> tuple[dict[str, int], list[tuple[Probe, int]]]:
        """Load the programs, with the hooks of the chosen kind."""
        opened = self._open(content)
        maps, programs = self._maps_of(opened), self._programs(opened)
        names = [self._library.bpf_map__name(each).decode() for each in maps]
        probes = [
            Probe(self._library.bpf_program__name(each).decode(), self._variant.hook(self._section(each)))
            for each in programs
        ]
        fds = loader.load(self._library, opened, len(maps), len(programs))
        if fds is not None:
            self._fds += [*fds[0], *fds[1]]
        else:
            self._messages.clear()
            opened = self._open(content)
            programs = self._programs(opened)
            self._check(self._library.bpf_object__load(opened), f"load {OBJECT}")
            fds = (
                [self._library.bpf_map__fd(each) for each in self._maps_of(opened)],
                [self._library.bpf_program__fd(each) for each in programs],
            )
        return dict(zip(names, fds[0], strict=True)), list(zip(probes, fds[1], strict=True))

    @property
    def _path(self) -> str:
        return f"{self._folder}/{self._kind}/{OBJECT}" if self._kind else f"{self._folder}/{OBJECT}"

    def _read(self) -> bytes:
        try:
            with open(self._path, "rb") as file:  # noqa: PTH123
                return file.read()
        except OSError as error:
            raise ProbeError(
                f"read eBPF object {self._path}",
                os.strerror(error.errno or 0),
                "it is built with the wheel: install pytest-ebpf again, by pip",
            ) from error

    def _open(self, content: bytes) -> int:
        opened: int | None = self._library.bpf_object__open_mem(content, len(content), None)
        if not opened:
            self._check(-ctypes.get_errno(), f"open eBPF object {self._path}")
            raise AssertionError("unreachable")
        self._objects.append(opened)
        return opened

    def _maps_of(self, opened: int) -> list[int]:
        return self._each(self._library.bpf_object__next_map, opened)

    def _programs(self, opened: int) -> list[int]:
        """Those that this kernel can run; no others will be loaded."""
        found: list[int] = []
        for each in self._each(self._library.bpf_object__next_program, opened):
            if self._section(each) in self._variant.absent:
                self._library.bpf_program__set_autoload(each, False)
            else:
                found.append(each)
        return found

    def _section(self, program: int) -> str:
        section: bytes = self._library.bpf_program__section_name(program)
        return section.decode()

    def _each(self, following: Any, opened: int) -> list[int]:
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
        if -result == errno.EMFILE:
            hint = "it needs some 60 file descriptors: see ulimit -n"
        elif "END PROG LOAD LOG" in log:
            hint = f"the verifier of kernel {os.uname().release} refused it: its last lines follow"
        elif operation.startswith("open eBPF object"):
            hint = "the file is damaged: install pytest-ebpf again, by pip"
        elif -result == errno.ENOMEM:
            hint = "free some memory: the recorder needs about 120 MiB of kernel memory"
        cause = ctypes.create_string_buffer(256)
        self._library.libbpf_strerror(result, cause, len(cause))
        raise ProbeError(operation, cause.value.decode(), hint, "\n".join(lines[-LOG_LINES:]))
