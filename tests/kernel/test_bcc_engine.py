"""Engine bcc: what it compiles, what it keeps, and how it fails. Its recordings are tested with `--ebpf-engine=bcc`."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from pytest_ebpf import EngineUnavailable, ProbeError, features
from pytest_ebpf.engines import bcc, compiler, layouts, variant
from pytest_ebpf.engines.bcc import BccEngine
from pytest_ebpf.engines.libbpf import LibbpfEngine
from pytest_ebpf.recording import Recording

pytestmark = pytest.mark.heavy(reason="starts a recorder of its own in each test")


@pytest.fixture
def snippets(tmp_path: Path) -> Path:
    """A copy of the sources, to be spoilt."""
    return Path(shutil.copytree(bcc._snippets(), tmp_path / "snippets"))


def test_same_maps_and_programs_as_libbpf(tmp_path: Path) -> None:
    """Both engines give the same things under the same names; but only one has a ring of events of our own."""
    ours, theirs = BccEngine(cache=tmp_path), LibbpfEngine()
    try:
        started, other = ours.start(), theirs.start()
        for iterator in (ours.iterator(), theirs.iterator()):
            assert iterator is not None
            os.close(iterator)
        assert set(other.maps) - set(started.maps) == {"event_rings"}
        assert sorted(started.probes, key=str) == sorted(other.probes, key=str)
        assert started.missing == other.missing
        assert started.library.startswith("BCC 0.")
    finally:
        ours.stop()
        theirs.stop()


def test_what_was_compiled_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second start needs no compiler; what somebody else could have written is not taken."""
    cache = tmp_path / "cache"

    def start() -> None:
        engine = BccEngine(cache=cache)
        try:
            engine.start()
        finally:
            engine.stop()

    start()
    (file,) = cache.iterdir()
    assert cache.stat().st_mode & 0o077 == 0
    monkeypatch.setattr(compiler, "compile_functions", lambda *_, **__: pytest.fail("compiled"))
    start()
    for spoil in (lambda: file.chmod(0o666), lambda: os.chown(file, 1, 1), lambda: file.write_text("{}")):
        content = file.read_bytes()
        spoil()
        with pytest.raises(pytest.fail.Exception, match="compiled"):
            start()
        file.unlink()
        file.write_bytes(content)
        file.chmod(0o600)
    start()


def test_a_cache_that_cant_be_written(tmp_path: Path) -> None:
    """Costs time and nothing else."""
    (tmp_path / "file").touch()
    engine = BccEngine(cache=tmp_path / "file" / "cache")
    try:
        assert engine.start().probes
    finally:
        engine.stop()


def test_compile_error(snippets: Path, tmp_path: Path) -> None:
    """The compiler's words, without a traceback of BCC."""
    source = snippets / "process.bpf.c"
    source.write_text(source.read_text(encoding="utf-8") + "int broken\n", encoding="utf-8")
    with pytest.raises(ProbeError, match="compile the snippets with BCC: the compiler refused them") as caught:
        BccEngine(snippets, cache=tmp_path / "cache").start()
    assert "error: expected ';'" in caught.value.log
    assert "Traceback" not in caught.value.log


def test_program_that_the_verifier_rejects(snippets: Path, tmp_path: Path) -> None:
    """The program is named, and the verifier's last words follow; nothing stays open."""
    source = snippets / "process.bpf.c"
    text = source.read_text(encoding="utf-8")
    spoilt = text.replace(
        "int on_exit(struct bpf_raw_tracepoint_args *ctx)\n{\n",
        "int on_exit(struct bpf_raw_tracepoint_args *ctx)\n{\n\t*(volatile u32 *)ctx->args[0] = 1;\n",
    )
    assert spoilt != text
    source.write_text(spoilt, encoding="utf-8")
    before = len([*Path("/proc/self/fd").iterdir()])
    with pytest.raises(ProbeError, match=r"^load on_exit: .*\(the verifier of kernel .* refused it") as caught:
        BccEngine(snippets, cache=tmp_path / "cache").start()
    assert "invalid mem access" in caught.value.log
    assert len([*Path("/proc/self/fd").iterdir()]) == before


def test_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its packages are named."""
    monkeypatch.setattr(features, "SYSTEM", tmp_path)
    with pytest.raises(
        EngineUnavailable, match=r"start engine bcc: the Python package of BCC .* apt-get install python3"
    ):
        BccEngine().start()


def test_package_without_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where an upgrade went half-way."""
    package = tmp_path / "lib/python3/dist-packages/bcc"
    package.mkdir(parents=True)
    (package / "libbcc.py").touch()
    (package / "version.py").write_text("__version__ = '9.9'", encoding="utf-8")
    (package / "__init__.py").write_text("raise OSError('libbcc.so.0: cannot open')", encoding="utf-8")
    monkeypatch.setattr(features, "SYSTEM", tmp_path)
    with pytest.raises(EngineUnavailable, match=r"bcc can't be loaded: OSError: libbcc\.so\.0: cannot open"):
        BccEngine(cache=tmp_path / "cache").start()


OLD = "class BPF: dump_func = get_syscall_fnname = perf_buffer_poll = None"


def old_package(folder: Path) -> None:
    """A BCC from before it knew ring buffers."""
    package = folder / "lib/python3/dist-packages/bcc"
    package.mkdir(parents=True)
    (package / "libbcc.py").touch()
    (package / "version.py").write_text("__version__ = '0.12'", encoding="utf-8")
    (package / "__init__.py").write_text(OLD, encoding="utf-8")


def test_package_of_another_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its version, and what it lacks, are named."""
    old_package(tmp_path)
    monkeypatch.setattr(features, "SYSTEM", tmp_path)
    with pytest.raises(EngineUnavailable, match=r"BCC 0\.12 has no BPF\.ring_buffer_consume, so it is too old"):
        BccEngine(cache=tmp_path / "cache").start()


def test_probe_with_a_package_of_another_time(ebpf: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for a program of one's own."""
    old_package(tmp_path)
    monkeypatch.setattr(features, "SYSTEM", tmp_path)
    with pytest.raises(EngineUnavailable, match=r"attach the program: BCC 0\.12 has no BPF\.ring_buffer_consume"):
        ebpf.attach("BPF_HASH(nothing);")


@pytest.fixture
def without_btf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As on a kernel that has none; the folder of the modules, in which headers are looked for."""
    monkeypatch.setattr(features, "BTF", tmp_path / "vmlinux")
    monkeypatch.setattr(variant, "BTF", str(tmp_path / "vmlinux"))
    monkeypatch.setattr(features, "KHEADERS", tmp_path / "kheaders")
    monkeypatch.setattr(features, "MODULES", tmp_path / "modules")
    return tmp_path / "modules"


@pytest.mark.usefixtures("without_btf")
def test_no_btf_and_no_headers() -> None:
    """The kernel option is named, and the package with the headers."""
    with pytest.raises(
        EngineUnavailable, match=r"no BTF .*apt-get install linux-headers-[^ ]+; .*CONFIG_DEBUG_INFO_BTF"
    ):
        BccEngine().start()


def test_headers_that_the_compiler_refuses(without_btf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what it says of them."""
    monkeypatch.setattr(layouts, "INCLUDES", ("no/such.h",))
    generated = without_btf / os.uname().release / "build" / "include" / "generated"
    generated.mkdir(parents=True)
    (generated / "utsrelease.h").write_text(f'#define UTS_RELEASE "{os.uname().release}"\n', encoding="utf-8")
    with pytest.raises(ProbeError, match=r"find the kernel's structs: the compiler refused the headers") as caught:
        BccEngine(cache=tmp_path / "cache").start()
    assert "Traceback" not in caught.value.log


def test_struct_that_this_kernel_lacks(snippets: Path, tmp_path: Path) -> None:
    """A kernel whose structs changed is an error that names field and struct, and no wrong offset."""
    header = snippets / "include" / "task.h"
    text = header.read_text(encoding="utf-8")
    header.write_text(text.replace("\tint exit_code;\n", "\tint exit_colour;\n"), encoding="utf-8")
    with pytest.raises(ProbeError, match=r"find struct task_struct of the kernel: kernel \S+ has no field exit_colour"):
        BccEngine(snippets, cache=tmp_path / "cache").start()


def test_kept_codes_hold_what_they_say(tmp_path: Path) -> None:
    """A file with other functions in it is not taken."""
    file = tmp_path / "x.json"
    tmp_path.chmod(0o700)
    file.write_text(json.dumps({"a": "00"}), encoding="utf-8")
    file.chmod(0o600)
    assert bcc._kept_codes(file, ["a"]) == {"a": b"\0"}
    assert bcc._kept_codes(file, ["b"]) is None
