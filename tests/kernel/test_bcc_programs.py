"""BCC's own documented programs, as the distribution ships them, run unchanged through `ebpf.attach`."""

from __future__ import annotations

import errno
import os
import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pytest_ebpf import ProbeError, probes
from pytest_ebpf.engines import hooks
from pytest_ebpf.recording import Recording

EXAMPLES = Path("/usr/share/doc/bpfcc-tools/examples")
HAS_KPROBES = probes.KPROBES.exists()


class Stop(Exception):
    """The program would now wait for events for ever."""


@pytest.fixture
def run(ebpf: Recording, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], probes.Probe]:
    """Run a script up to its first look at events, with `ebpf.attach` for BCC; gives its probe."""
    attached: list[probes.Probe] = []

    class BPF:
        """What the scripts use of BCC's."""

        def __init__(self, text: str) -> None:
            attached.append(ebpf.attach(text=text))

        def __getattr__(self, name: str) -> Any:
            return getattr(attached[0], name)

        def __getitem__(self, table: str) -> Any:
            raise Stop

        def trace_fields(self) -> None:
            """Would wait for a message."""
            raise Stop

        trace_print = trace_fields

        @staticmethod
        def get_kprobe_functions(pattern: bytes) -> set[str]:
            """Those of the kernel that match."""
            names = [line.split()[2] for line in Path("/proc/kallsyms").read_text(encoding="utf-8").splitlines()]
            return {name for name in names if re.fullmatch(pattern.decode(), name)}

    package, tools = ModuleType("bcc"), ModuleType("bcc.utils")
    vars(package)["BPF"], vars(tools)["printb"] = BPF, print
    monkeypatch.setitem(sys.modules, "bcc", package)
    monkeypatch.setitem(sys.modules, "bcc.utils", tools)

    def start(script: str) -> probes.Probe:
        with pytest.raises(Stop):
            runpy.run_path(str(EXAMPLES / script))
        return attached[0]

    return start


def can_be_probed(function: str) -> bool:
    """Asked of the kernel, with a program that isn't there: it looks for that one last."""
    try:
        hooks._attach_kprobe(function, -1, 0)
    except OSError as error:
        return error.errno == errno.EBADF
    raise AssertionError("attached")


def work(folder: Path) -> None:
    """What each of the programs tells of: children, syncs, and writes that reach a disk."""
    for number in range(3):
        pid = os.fork()
        if not pid:
            os._exit(0)
        os.waitpid(pid, 0)
        (folder / f"{number}").write_bytes(os.urandom(1 << 16))
        os.sync()


@pytest.mark.parametrize(
    "script, message",
    [
        ("hello_world.py", r"Hello, World!"),
        ("tracing/sync_timing.py", r"\d+"),
        ("tracing/disksnoop.py", r"\d+ [0-9a-f]+ \d+"),
        ("tracing/hello_perf_output.py", None),
    ],
)
def test_unchanged(run: Callable[[str], probes.Probe], tmp_path: Path, script: str, message: str | None) -> None:
    """Each attaches and tells what was done; all need kprobes, and without them say so."""
    if not HAS_KPROBES:
        with pytest.raises(ProbeError, match=r"to kprobe \w+: kernel \S+ was built without kprobes"):
            run(script)
        return
    if script == "tracing/disksnoop.py" and not can_be_probed("blk_account_io_done"):
        with pytest.raises(ProbeError, match="to kprobe blk_account_io_done: "):  # inlined, or not to be traced
            run(script)
        return
    probe = run(script)
    work(tmp_path)
    if message is None:
        found = probe.events("events")
        assert len(found) >= 3
        assert {event["pid"] for event in found} >= {os.getpid()}
    else:
        assert [line for line in probe.printed() if re.fullmatch(message, line.strip())]
