"""An engine that can't start says why and what to do; one that dies is noticed."""

from __future__ import annotations

import os
import platform
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import pytest_ebpf
from pytest_ebpf import EngineUnavailable, InconclusiveRecording, ProbeError
from pytest_ebpf.attachment import SWITCH
from pytest_ebpf.engines import _ffi, libbpf, loader
from pytest_ebpf.engines.keeper import KeptEngine
from pytest_ebpf.engines.variant import of_kernel
from pytest_ebpf.recording import Recording

OBJECTS = Path(pytest_ebpf.__file__).parent / "objects" / platform.machine() / of_kernel().folders[0]


@pytest.fixture
def objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the eBPF objects, to be spoilt: those without hooks, as the others give way to them."""
    monkeypatch.setenv(SWITCH, "none")
    return Path(shutil.copytree(OBJECTS, tmp_path / "objects"))


def _sections(elf: bytes) -> dict[str, int]:
    """File offset of each section of a 64-bit ELF file."""
    table, size, count, names = (
        struct.unpack_from("<Q", elf, 40)[0],
        *struct.unpack_from("<HHH", elf, 58),
    )
    headers = [struct.unpack_from("<IIQQQQ", elf, table + size * index) for index in range(count)]
    strings = headers[names][4]

    def name(offset: int) -> str:
        start = strings + offset
        return elf[start : elf.index(b"\0", start)].decode()

    return {name(header[0]): header[4] for header in headers}


def test_newest_objects_are_taken() -> None:
    """Those for this kernel, not the older ones that stand behind them."""
    engine = libbpf.LibbpfEngine()
    engine.start()
    try:
        assert engine._folder.endswith(of_kernel().folders[0])
    finally:
        engine.stop()


def test_older_objects_stand_behind(objects: Path) -> None:
    """Where the kernel doesn't take the first, the next are."""
    good = shutil.copytree(objects, objects.parent / "good")
    (objects / "recorder.bpf.o").write_bytes(b"none")
    engine = libbpf.LibbpfEngine()
    engine._folders = [str(objects), str(good)]
    engine.start()
    try:
        assert engine._folder == str(good)
    finally:
        engine.stop()


def test_program_that_the_verifier_rejects(objects: Path) -> None:
    """The error names the program's file, and ends with the verifier's own words."""
    path = objects / "recorder.bpf.o"
    content = bytearray(path.read_bytes())
    start = _sections(bytes(content))["raw_tp/sched_process_exit"]
    content[start : start + 8] = bytes([0x79, 0x90, 0, 0, 0, 0, 0, 0])  # r0 = *(u64 *)(r9 + 0), and r9 is unset
    path.write_bytes(content)
    engine = libbpf.LibbpfEngine(objects)
    with pytest.raises(ProbeError) as caught:
        engine.start()
    text = str(caught.value)
    assert text.startswith("load recorder.bpf.o: ")
    assert f"the verifier of kernel {platform.release()} refused it" in text
    assert "R9 !read_ok" in text
    assert len(caught.value.log.splitlines()) <= libbpf.LOG_LINES


def test_both_ways_to_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel can't fit the programs itself, libbpf does: with the same maps and programs."""
    quick = libbpf.LibbpfEngine()
    first = quick.start()
    os.close(quick.iterator())
    quick.stop()
    monkeypatch.setattr("pytest_ebpf.engines.libbpf.loader.load", lambda *values: None)
    ordinary = libbpf.LibbpfEngine()
    second = ordinary.start()
    os.close(ordinary.iterator())
    ordinary.stop()
    assert (first.maps.keys(), first.probes) == (second.maps.keys(), second.probes)


def test_quick_way_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux 5.17 and newer fit the programs themselves: there it must not fail unnoticed."""
    done: list[object] = []
    original = loader.load

    def load(*values: Any) -> tuple[list[int], list[int]] | None:
        done.append(loaded := original(*values))
        return loaded

    monkeypatch.setattr("pytest_ebpf.engines.libbpf.loader.load", load)
    engine = libbpf.LibbpfEngine()
    engine.start()
    engine.stop()
    release = tuple(int(part) for part in platform.release().split(".")[:2])
    assert (done != [None]) == (release >= (5, 17))


def test_missing_object(objects: Path) -> None:
    """The file is named, and how to get it back."""
    (objects / "recorder.bpf.o").unlink()
    with pytest.raises(ProbeError, match=r"recorder\.bpf\.o: No such file or directory .*install pytest-ebpf again"):
        libbpf.LibbpfEngine(objects).start()


@pytest.mark.parametrize("content", [b"", b"not an object", b"\x7fELF" + bytes(60)], ids=["empty", "text", "header"])
def test_damaged_object(objects: Path, content: bytes) -> None:
    """Likewise."""
    (objects / "recorder.bpf.o").write_bytes(content)
    with pytest.raises(ProbeError, match=r"open eBPF object .*recorder\.bpf\.o: .*install pytest-ebpf again"):
        libbpf.LibbpfEngine(objects).start()


def test_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library is named, and its package."""
    monkeypatch.setattr(_ffi, "LIBRARY", "libbpf.so.0.none")
    with pytest.raises(EngineUnavailable, match=r"libbpf\.so\.0\.none can't be loaded.*apt-get install libbpf1"):
        libbpf.LibbpfEngine().start()


def test_no_btf(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The kernel option is named."""
    monkeypatch.setattr(libbpf, "BTF", tmp_path / "vmlinux")
    with pytest.raises(EngineUnavailable, match=r"no BTF .*CONFIG_DEBUG_INFO_BTF"):
        libbpf.LibbpfEngine().start()


def test_no_privilege() -> None:
    """Root without capabilities is told what is missing, by the kernel's own refusal."""
    program = "from pytest_ebpf.engines.keeper import KeptEngine; KeptEngine('libbpf').start()"
    without = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    # -P: the installed package, not the source folder that this may be run in.
    result = subprocess.run(
        [*without, sys.executable, "-P", "-c", program], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert "EngineUnavailable: start engine libbpf: " in result.stderr
    assert "needs root, or CAP_BPF and CAP_PERFMON" in result.stderr


def test_unprivileged_run(pytester: pytest.Pytester) -> None:
    """Tests that don't ask for the fixture run as ever; the others fail at set-up, or skip if told to."""
    pytester.makepyfile("def test_plain(): pass\ndef test_ebpf(ebpf): pass")
    command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable, "-m", "pytest"]
    failing = pytester.run(*command)
    failing.assert_outcomes(passed=1, errors=1)
    failing.stdout.fnmatch_lines(
        [
            "ebpf: no engine on Linux *: this user may not load eBPF programs (run as root, *",
            "E * pytest_ebpf.errors.EngineUnavailable: start engine *: this user may not load *",
        ]
    )
    pytester.run(*command, "--ebpf-unavailable=skip").assert_outcomes(passed=1, skipped=1)


def _keepers_of(pid: int) -> set[int]:
    """Processes that hold a pidfd of this process and run the keeper."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            if b"keeper.py" in command:
                infos = [info.read_text() for info in (folder / "fdinfo").iterdir()]
                if any(f"Pid:\t{pid}\n" in info for info in infos):
                    found.add(int(folder.name))
        except OSError:
            continue
    return found


def test_killed_keeper_is_noticed(pytester: pytest.Pytester) -> None:
    """When the programs are gone in mid-session, no absence is proven any more; events from before stand."""
    pytester.makepyfile(
        f"""
        import os, signal, sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_engine import _keepers_of
        from conftest import loaded_programs
        import pytest
        from pytest_ebpf import InconclusiveRecording

        def test_it(ebpf):
            os.getppid()
            (keeper,) = _keepers_of(os.getpid())
            os.kill(keeper, signal.SIGKILL)
            while os.path.exists(f"/proc/{{keeper}}/cwd"):
                pass
            before = None
            while ebpf.syscalls("getppid").last.timestamp_ns != before:
                before = ebpf.syscalls("getppid").last.timestamp_ns
                os.getppid()
            ebpf.assert_syscall("getppid", min=1)
            with pytest.raises(InconclusiveRecording, match="no longer run"):
                ebpf.assert_no_syscall("connect")

        def test_next(ebpf):
            with pytest.raises(InconclusiveRecording, match="no longer run"):
                ebpf.assert_no_syscall("connect")
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=2)


def test_two_sessions_at_once(ebpf: Recording, pytester: pytest.Pytester) -> None:
    """A second pytest beside, or inside, this one sees its own events, and this one sees them too."""
    pytester.makepyfile(
        """
        import os
        def test_it(ebpf):
            for _ in range(23): os.getppid()
            ebpf.assert_syscall("getppid", count=23)
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)
    ebpf.assert_syscall("getppid", process="children", min=23)
    pytester.runpytest_inprocess().assert_outcomes(passed=1)
    ebpf.assert_syscall("getppid", process="self", min=23)


def test_stop_is_harmless_twice() -> None:
    """Also for an engine that never started."""
    engine = KeptEngine("libbpf")
    engine.stop()
    before = _keepers_of(os.getpid())
    started = engine.start()
    for fd in started.maps.values():
        os.close(fd)
    (keeper,) = _keepers_of(os.getpid()) - before
    engine.stop()
    engine.stop()
    assert keeper not in _keepers_of(os.getpid())


def test_nothing_stays_of_what_was_prepared(pytester: pytest.Pytester) -> None:
    """The programs are loaded while tests are collected; where those that need them are left out, they go."""
    pytester.makepyfile(
        f"""
        import os, sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import test_engine

        def keepers(): return test_engine._keepers_of(os.getpid())

        def test_recorded(ebpf): pass
        def test_left(): assert not keepers()
        """
    )
    pytester.makeconftest(
        """
        import time

        def pytest_collection_modifyitems(items):
            deadline = time.monotonic() + 60
            while not items[0].module.keepers():
                assert time.monotonic() < deadline
            del items[0]
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_inconclusive_is_no_assertion_error() -> None:
    """So that nobody takes "can't be told" for "violated"."""
    assert not issubclass(InconclusiveRecording, AssertionError)
