"""Engine "bcc": the same snippets, compiled on this machine by the distribution's BCC.

BCC is the compiler and no more. The programs are put together by linker.py and loaded by kernel.py, so that nothing
else of BCC is between the snippets and the kernel, and the process that holds them stays small. What was compiled
is kept in the user's cache folder; a start from there is as quick as the other engine's.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import stat
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from .. import features
from ..attachment import kinds
from ..errors import EngineUnavailable, ProbeError
from ..features import BCC_HINT, bcc_package
from . import compiler, hooks, kernel, layouts, linker
from .base import Probe, Started
from .btf import Layout, Types
from .source import Source, kernel_structs, read, translate
from .variant import of_kernel

__all__ = ["BccEngine"]

HOOKS = "hooks"
"""The snippet that watches functions of the kernel."""
LOG_LINES = 20
MEMORY_HINT = "its compiler needs 1 GB of address space: see ulimit -v"
LRU_HASH = 9


class BccEngine:
    """Compiles, loads and attaches the snippets in this process."""

    name = "bcc"

    def __init__(self, snippets: Path | None = None, cache: Path | None = None) -> None:
        self._snippets = snippets or _snippets()
        self._cache = cache or _cache()
        self._variant = of_kernel()
        self._kind = ""
        """Of the hooks: see attachment.py."""
        self._fds: list[int] = []
        self._iterator = 0
        self.links: list[tuple[Probe, int, int]] = []
        """Of each program its name, the descriptor that holds it attached, and its own."""

    def start(self) -> Started:
        """See base.Engine."""
        package = bcc_package()
        if package is None:
            raise EngineUnavailable(
                "start engine bcc", "the Python package of BCC is not in any of the distribution's folders", BCC_HINT
            )
        for self._kind in (*kinds(), ""):
            try:
                return self._start(package)
            except BaseException as error:
                self.stop()
                if not (self._kind and isinstance(error, (EngineUnavailable, ProbeError))):
                    raise  # else without these hooks
        raise AssertionError("unreachable")

    rings = ("events", "blobs")
    """The names, in shapes.RINGS, of what its programs write to."""

    def stop(self) -> None:
        """See base.Engine."""
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()
        self.links.clear()

    def iterator(self) -> int | None:
        """A descriptor that enrols whom ``enrolments`` names when it is read to its end; the caller owns it.

        None if the kernel has no iterators: then roll_call.py enrols.
        """
        if not self._iterator:
            return None
        try:
            return kernel.open_iterator(self._iterator)
        except kernel.Refused as error:
            _refuse("open the iterator over tasks", error)

    def _start(self, package: Path) -> Started:
        kernel.lift_memory_limit()
        # Only the privileged may have such a map: they hear it from here, and not from the compiler.
        self._hold("create a map", kernel.create_map, "privilege", LRU_HASH, 4, 4, 1, 0)
        types = _types()
        source = self._source(package, types)
        codes = self._compiled(package, source)
        sizes = {name: linker.stores(codes[f"size_{name}"])[0] for name in source.structs}
        btf, ids = linker.describe(source.functions, sizes)
        maps: dict[str, int] = {}
        for name in source.maps:
            maps[name] = self._hold(f"create map {name}", kernel.create_map, name, *_words(codes[f"map_{name}"]))
        described = self._hold("load the description of the programs", kernel.load_btf, btf)
        for function in source.functions:
            if not function.hook:
                continue
            program = linker.link(function.name, codes, source.functions, ids)
            code = linker.with_maps(program.code, list(maps.values()))
            if types is not None:
                code = linker.with_kernel_functions(code, types.function)
            probe = Probe(function.name, self._variant.hook(function.hook))
            self._attach(probe, code, described, program, types)
        probes = tuple(probe for probe, _, _ in self.links)
        version = f"BCC {compiler.version(package)}"
        return Started(self.name, version, maps, 0, probes, self._variant.missing)

    def _attach(self, probe: Probe, code: bytes, described: int, program: linker.Program, types: Types | None) -> None:
        """Load a program and attach it."""
        name, hook = probe.program, probe.hook
        kind, _, to = hook.partition("/")
        wanted = {"iter": f"bpf_iter_{to}", "fentry": to}.get(kind)
        target = 0 if wanted is None else types and types.function(wanted)
        if target is None:
            raise ProbeError(f"attach {name} to {hook}", f"this kernel has no {wanted} in its BTF")
        loaded = self._hold(
            f"load {name}", kernel.load_program, name, code, described, program.places, kind=kind, target=target
        )
        if kind in hooks.ATTACHED:
            for watched, (link, held) in hooks.attach(hook, loaded).items():
                self._fds += held
                self.links.append((Probe(name, watched), link, loaded))
            return
        if kind == "iter":
            link = self._iterator = self._hold(f"attach {name} to {hook}", kernel.attach_iterator, loaded)
        else:
            link = self._hold(f"attach {name} to {hook}", kernel.attach_raw_tracepoint, to, loaded)
        self.links.append((probe, link, loaded))

    def _source(self, package: Path, types: Types | None) -> Source:
        snippets = (*self._variant.snippets, HOOKS) if self._kind else self._variant.snippets
        text = read(self._snippets, snippets, platform.machine())
        wanted = kernel_structs(text)
        found = self._layouts(package, wanted) if types is None else types.layouts(wanted)
        chosen = {name: _choose(name, fields, found[name]) for name, fields in wanted.items()}
        variant = self._variant
        return translate(text, chosen, old=variant.old, preemptible=variant.preemptible, hooks=self._kind)

    def _layouts(self, package: Path, wanted: Mapping[str, Sequence[str]]) -> dict[str, list[Layout]]:
        """Those that the kernel's headers tell."""
        names, text = layouts.functions(wanted), layouts.describe(wanted, platform.release())
        return layouts.read(self._codes(package, text, names, [], headers=True), wanted)

    def _compiled(self, package: Path, source: Source) -> dict[str, bytes]:
        names = [function.name for function in source.functions]
        names += [f"map_{name}" for name in source.maps] + [f"size_{name}" for name in source.structs]
        defines = ["BCC", *self._variant.defines, *([self._kind.upper()] if self._kind else [])]
        return self._codes(package, source.text, names, defines)

    def _codes(
        self, package: Path, text: str, names: Sequence[str], defines: Sequence[str], *, headers: bool = False
    ) -> dict[str, bytes]:
        """What BCC makes of a text, or made of it before: see compiler.py."""
        key = json.dumps([text, names, defines, compiler.version(package), platform.version() if headers else ""])
        kept = self._cache / f"{hashlib.sha256(key.encode()).hexdigest()}.json"
        codes = _kept_codes(kept, names)
        if codes is None:
            try:
                codes = compiler.compile_functions(package, text, names, defines, headers=headers)
            except compiler.NoCompiler as error:
                hint = MEMORY_HINT if "map segment" in str(error) or "MemoryError" in str(error) else BCC_HINT
                raise EngineUnavailable("start engine bcc", f"{package} can't be loaded: {error}", hint) from error
            except compiler.CompilerFailed as error:
                log = "\n".join(str(error).splitlines()[:LOG_LINES])
                if headers:
                    raise ProbeError(
                        "find the kernel's structs",
                        f"the compiler refused the headers of kernel {platform.release()}",
                        "a newer BCC may take them; a kernel built with CONFIG_DEBUG_INFO_BTF needs none",
                        log,
                    ) from error
                hint = "report it, with the version of BCC: use --ebpf-engine=libbpf meanwhile"
                raise ProbeError("compile the snippets with BCC", "the compiler refused them", hint, log) from error
            _keep_codes(kept, codes)
        return codes

    def _hold(self, operation: str, command: Any, *values: Any, **options: Any) -> int:
        try:
            fd: int = command(*values, **options)
        except kernel.Refused as error:
            _refuse(operation, error)
        self._fds.append(fd)
        return fd


def _words(code: bytes) -> tuple[int, int, int, int, int]:
    """Kind, size of key and value, entries and flags of a map."""
    found = linker.stores(code)
    return found[0], found[8], found[16], found[24], found[32]


def _refuse(operation: str, error: kernel.Refused) -> NoReturn:
    lines = [line for line in error.log.splitlines() if line.strip()]
    if error.errno in (errno.EPERM, errno.EACCES) and not lines:
        raise EngineUnavailable(
            "start engine bcc",
            f"{operation}: {error.strerror}",
            "loading eBPF programs needs root, or CAP_BPF and CAP_PERFMON",
        ) from None
    hint = ""
    if error.errno == errno.EMFILE:
        hint, lines = "it needs some 50 file descriptors: see ulimit -n", []
    elif lines:
        hint = f"the verifier of kernel {platform.release()} refused it: its last lines follow"
    elif error.errno == errno.ENOMEM:
        hint = "free some memory: the recorder needs about 120 MiB of kernel memory"
    raise ProbeError(operation, error.strerror or "", hint, "\n".join(lines[-LOG_LINES:])) from None


def _types() -> Types | None:
    """The kernel's types; None if it has no BTF, and headers in its place."""
    trouble = features.types_trouble("bcc")
    if trouble is not None:
        raise EngineUnavailable("start engine bcc", *trouble)
    try:
        return Types(features.BTF.read_bytes()) if features.BTF.exists() else None
    except ValueError as error:
        raise EngineUnavailable("start engine bcc", f"{features.BTF} can't be read: {error}") from error


def _choose(name: str, fields: Sequence[str], layouts: Sequence[Layout]) -> Layout:
    """The struct of this name that has the fields."""
    for layout in layouts:
        if all(field in layout.offsets for field in fields):
            return layout
    missing = sorted(field for field in fields if not any(field in layout.offsets for layout in layouts))
    raise ProbeError(
        f"find struct {name} of the kernel",
        f"kernel {platform.release()} has no field {', '.join(missing)} in it" if layouts else "there is none",
    )


def _snippets() -> Path:
    """In the package; in an editable install beside it."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "bpf_snippets"
    return inside if inside.exists() else package.parent / "bpf_snippets"


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(home, "pytest-ebpf", "bcc")


def _kept_codes(path: Path, names: Sequence[str]) -> dict[str, bytes] | None:
    """What was compiled before; None if it isn't there, or if somebody else could have written it."""
    try:
        for place in (path, path.parent):
            status = place.stat()
            if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & (stat.S_IWGRP | stat.S_IWOTH):
                return None
        codes = {name: bytes.fromhex(code) for name, code in json.loads(path.read_bytes()).items()}
    except (OSError, ValueError):
        return None
    return codes if set(codes) == set(names) else None


def _keep_codes(path: Path, codes: Mapping[str, bytes]) -> None:
    """Keep what was compiled, if there is a place for it: without, the next start takes longer and that is all."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
            json.dump({name: code.hex() for name, code in codes.items()}, file)
        Path(file.name).replace(path)
    except OSError:
        return
