"""Kernel tests ask the plugin's own fixture: what is tested is the whole way from system call to assertion."""

from __future__ import annotations

import ctypes
import os
import platform
import textwrap
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol

import pytest

from pytest_ebpf import InconclusiveRecording, features
from pytest_ebpf.engines import keeper
from pytest_ebpf.engines.variant import _numbers, of_kernel

BPF_PROG_GET_NEXT_ID, BPF_PROG_GET_FD_BY_ID, BPF_OBJ_GET_INFO_BY_FD = 11, 13, 15
SYS_BPF = {"x86_64": 321, "aarch64": 280}
KFUNCS = (6, 14)
"""The kernel since which a program can keep others from its processor, as those for Linux 7 do."""
collect_ignore = [] if _numbers(platform.release()) >= KFUNCS else ["test_preemptible.py"]
if not features.BTF.exists():  # of the engine libbpf, of what BTF is for, and of how engine bcc does without headers
    collect_ignore += [
        "test_engine.py",
        "test_canary.py",
        "test_preemptible.py",
        "test_bcc_engine.py",
        "test_headers.py",
    ]
KEEPER = """
import sys
sys.path.insert(0, {folder!r})
import run_keeper
del sys.path[0]

def engine(name, make=run_keeper._engine):
{code}

run_keeper._engine = engine
run_keeper.main(sys.argv[1], *map(int, sys.argv[2:]))
"""
CACHE = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark all; skip where the host can't, but never in CI."""
    if "io_uring" in of_kernel().missing:  # test_kernels_page.py has what these kernels do instead
        ringing = [item for item in items if {"ring", "polled_ring"} & set(getattr(item, "fixturenames", ()))]
        config.hook.pytest_deselected(items=ringing)
        items[:] = [item for item in items if item not in ringing]
    problem = features.choose(config.getoption("ebpf_engine") or "auto").problem
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("kernel")
            if "pytester" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.heavy(reason="runs a pytest of its own"))
            if problem is not None and not os.environ.get("CI"):
                item.add_marker(pytest.mark.skip(reason=str(problem)))


@pytest.fixture
def engine(pytestconfig: pytest.Config) -> str:
    """The engine that these tests run on: they are run once for each, with ``--ebpf-engine``."""
    return features.choose(pytestconfig.getoption("ebpf_engine") or "auto").engine


@pytest.fixture
def pytester(pytester: pytest.Pytester, engine: str, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Its runs use the same engine, and what BCC compiled: the plain fixture gives none, and another home."""
    monkeypatch.setenv("PYTEST_ADDOPTS", f"--ebpf-engine={engine}")
    monkeypatch.setenv("XDG_CACHE_HOME", CACHE)
    return pytester


@pytest.fixture(autouse=True)
def counted_from_here(request: pytest.FixtureRequest) -> None:
    """Where a kernel may leave out runs, those of before are no gap: tests may load programs of their own."""
    if of_kernel().preemptible and "ebpf" in request.fixturenames:
        session = request.getfixturevalue("ebpf")._session
        session.check()
        session._lapses.clear()


@pytest.fixture
def keeper_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets the keepers that start in this test get their engine from this code, in which ``make(name)`` gives it."""

    def alter(code: str) -> None:
        script = tmp_path / "keeper.py"
        script.write_text(KEEPER.format(folder=str(Path(keeper.SCRIPT).parent), code=textwrap.indent(code, "    ")))
        monkeypatch.setattr(keeper, "SCRIPT", str(script))

    return alter


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Waits for something that must come; fails after a minute."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, "waited for a minute"

    return wait


@pytest.fixture
def decided_by_hooks() -> Callable[[str], AbstractContextManager[object]]:
    """Expects nothing where the kernel's own functions are watched, else InconclusiveRecording with this text."""

    def expect(match: str) -> AbstractContextManager[object]:
        if features.hooks():
            return nullcontext()
        return pytest.raises(InconclusiveRecording, match=match)

    return expect


@pytest.fixture
def libc() -> ctypes.CDLL:
    """The C library, for calls that Python would dress up."""
    return ctypes.CDLL(None, use_errno=True)


class Run(Protocol):
    """Runs pytest with this plugin and the named ones, and no others."""

    def __call__(self, *args: str, plugins: tuple[str, ...] = ()) -> pytest.RunResult: ...


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run of pytest inside a test, in a process of its own."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(*args: str, plugins: tuple[str, ...] = ()) -> pytest.RunResult:
        named = [option for name in ("pytest_ebpf.plugin", *plugins) for option in ("-p", name)]
        return pytester.runpytest_subprocess(*named, *args)

    return run


def loaded_programs() -> list[int]:
    """Ids of our eBPF programs in the kernel, asked of the kernel and not of the plugin."""
    libc = ctypes.CDLL(None, use_errno=True)
    number = SYS_BPF[os.uname().machine]
    found: list[int] = []
    attr = (ctypes.c_uint32 * 32)()
    while libc.syscall(number, BPF_PROG_GET_NEXT_ID, attr, 12) == 0:
        program = attr[1]
        request = (ctypes.c_uint32 * 32)(program)
        fd = libc.syscall(number, BPF_PROG_GET_FD_BY_ID, request, 12)
        if fd >= 0:
            info = ctypes.create_string_buffer(256)
            query = (ctypes.c_uint64 * 16)()
            query[0] = len(info) << 32 | fd
            query[1] = ctypes.addressof(info)
            assert libc.syscall(number, BPF_OBJ_GET_INFO_BY_FD, query, 16) == 0
            os.close(fd)
            name = info.raw[64:80].split(b"\0")[0]
            if name in (b"on_sys_enter", b"on_sys_exit", b"on_fork", b"on_exec", b"on_exit"):
                found.append(program)
        attr = (ctypes.c_uint32 * 32)(program)
    return found


@pytest.fixture(name="loaded_programs")
def _loaded_programs() -> Callable[[], list[int]]:
    return loaded_programs
