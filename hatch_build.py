"""Hatchling build hook: compiles the snippets into the CO-RE object that the wheel carries.

The compiler is clang as bundled by `ziglang`, so a build needs nothing but pip. One wheel holds the objects
of every architecture under `pytest_ebpf/objects/<arch>/`, and the sources under `pytest_ebpf/bpf_snippets/`.
An editable install compiles into the source tree instead, always: to find out what is newer saves nothing.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SNIPPETS = Path("bpf_snippets")
SOURCE = SNIPPETS / "recorder.bpf.c"
"""Includes all others."""
OBJECTS = Path("pytest_ebpf", "objects")

# Folder in the wheel, as `platform.machine()` spells it -> how snippets ask for it.
TARGETS = {"aarch64": "-D__TARGET_ARCH_arm64", "x86_64": "-D__TARGET_ARCH_x86"}
# Folder below that -> what the snippets are compiled with: "old" is for kernels before 5.18, "casts" since 6.2 and
# "preemptible" since 7.0; "kprobe" and "fentry" have the hooks of hooks.bpf.c too, as these kinds of program. (A loader
# that libbpf generates holds 32 programs and functions, so those that need none don't have them.)
VARIANTS: dict[str, tuple[str, ...]] = {
    "": (),
    "fentry": ("-DFENTRY",),
    "kprobe": ("-DKPROBE",),
    "casts": ("-DCASTS",),
    "casts/fentry": ("-DCASTS", "-DFENTRY"),
    "casts/kprobe": ("-DCASTS", "-DKPROBE"),
    "old": ("-DOLD_KERNEL",),
    "old/kprobe": ("-DOLD_KERNEL", "-DKPROBE"),
    "preemptible": ("-DCASTS", "-DPREEMPTIBLE"),
    "preemptible/kprobe": ("-DCASTS", "-DPREEMPTIBLE", "-DKPROBE"),
}

FLAGS = (
    "-target",
    "bpfel-freestanding-none",
    "-mcpu=v3",  # 32-bit registers and atomics; Linux knows them since 5.12, but on aarch64 only since 5.18
    "-O2",
    "-std=gnu11",
    "-Wall",
    "-Wextra",
    "-Wno-unused-parameter",  # a program's context often goes unused
    "-Werror",
    # LLVM writes .BTF and .BTF.ext when there is debug information of any format. Asked for CodeView and no
    # DWARF, it writes nothing beside them (CodeView is for Windows targets), so there is nothing to strip.
    "-g",
    "-gcolumn-info",
    "-Xclang",
    "-gcodeview",
    "-Xclang",
    "-dwarf-version=0",
    # File names in .BTF.ext are relative, so the bytes don't depend on where the project lies.
    "-fdebug-compilation-dir=.",
    "-fno-addrsig",
    "-I",
    str(SNIPPETS / "include"),
)


class SnippetBuildHook(BuildHookInterface[Any]):
    """Puts compiled snippets where the package looks for them."""

    PLUGIN_NAME = "custom"
    _scratch: Path | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile all snippets: into the tree if `version` is "editable", else for the wheel."""
        root = Path(self.root)
        self._scratch = Path(tempfile.mkdtemp(prefix="pytest-ebpf-build-"))
        objects = self._scratch / "objects"
        try:
            names = compile_snippets(root, objects, cache=self._scratch / "cache")
        except BaseException:
            self._remove_scratch()
            raise
        if version == "editable":
            shutil.rmtree(root / OBJECTS, ignore_errors=True)
            shutil.copytree(objects, root / OBJECTS)
            return
        for name in names:
            build_data["force_include"][str(objects / name)] = (OBJECTS / name).as_posix()
        for source in sorted((root / SNIPPETS).rglob("*.[ch]")):
            in_wheel = Path("pytest_ebpf") / source.relative_to(root)
            build_data["force_include"][str(source)] = in_wheel.as_posix()

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Drop the objects once the wheel holds them."""
        self._remove_scratch()

    def _remove_scratch(self) -> None:
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)


def compile_snippets(root: Path, out: Path, *, cache: Path) -> list[Path]:
    """Compile the snippets of the project at `root` for every target; returns the objects' paths in `out`.

    Exits with the compiler's own messages if a snippet doesn't compile.
    """
    if not (root / SOURCE).exists():
        raise SystemExit(f"build: {root / SOURCE} is missing (is the source tree complete?)")
    if importlib.util.find_spec("ziglang") is None:
        raise SystemExit(
            "build: the compiler is missing: no module named 'ziglang' "
            "(build without --no-isolation, or install the packages of [build-system] first)"
        )
    for arch, variant in itertools.product(TARGETS, VARIANTS):
        (out / arch / variant).mkdir(parents=True, exist_ok=True)
    # zig keeps a cache in the home folder, which a build may not be able to write to.
    environ = {"ZIG_GLOBAL_CACHE_DIR": str(cache), "ZIG_LOCAL_CACHE_DIR": str(cache), **os.environ}
    jobs = [
        ((TARGETS[arch], *VARIANTS[variant]), Path(arch, variant, f"{SOURCE.stem}.o"))
        for arch, variant in itertools.product(TARGETS, VARIANTS)
    ]

    def compile_one(job: tuple[tuple[str, ...], Path]) -> str | None:
        flags, name = job
        return _compile(root, SOURCE, flags, out / name, environ)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        messages = list(pool.map(compile_one, jobs))
    failed = [
        f"build: {SOURCE} for {name.parent}:\n{message}"
        for (_, name), message in zip(jobs, messages, strict=True)
        if message
    ]
    if failed:
        raise SystemExit("\n".join([*failed, f"build: {len(failed)} of {len(jobs)} objects failed"]))
    return [name for _, name in jobs]


def _compile(root: Path, source: Path, flags: tuple[str, ...], out: Path, environ: dict[str, str]) -> str | None:
    """Compile one snippet; returns what went wrong, or None."""
    # Paths relative to the project, which is the working folder: see -fdebug-compilation-dir.
    command = [sys.executable, "-m", "ziglang", "cc", *FLAGS, *flags, "-c", str(source), "-o", str(out)]
    done = subprocess.run(
        command, cwd=root, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        return done.stderr.strip() or f"the compiler ended with status {done.returncode}"
    if b".debug_info" in out.read_bytes():
        return "the object has DWARF in it: this ziglang takes -gcodeview in another way (see FLAGS)"
    return None
