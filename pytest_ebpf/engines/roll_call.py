"""Who was there at the start, where the kernel has no iterators: each task is named to the programs.

What is written to a task's oom_score_adj is what stands in it already. A tracepoint is told of the task then, and the
program there follows those that this process orders: see bpf_snippets/roll_call.bpf.c.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from ..errors import ProbeError

__all__ = ["call"]

PROC = Path("/proc")
ENDED = (FileNotFoundError, ProcessLookupError)


def call(pid: int) -> None:
    """Name each thread of a process and of its descendants, also of those that begin meanwhile; 0 is this process.

    Raises ProbeError if one can't be named.
    """
    try:
        _call_all(pid)
    except OSError as error:
        hint = "without BTF in the kernel processes are followed by way of /proc, which must show them all: see hidepid"
        raise ProbeError(f"look for processes in {PROC}", str(error), hint) from error


def _call_all(pid: int) -> None:
    own = int((PROC / "self").readlink().name)
    if pid and own != os.getpid():
        hint = "mount the own one, as unshare --mount-proc does"
        raise ProbeError(f"find process {pid}", f"{PROC} is that of another PID namespace", hint)
    called: set[Path] = set()
    while fresh := {task for each in _family(pid or own) for task in _tasks(each)} - called:
        for task in fresh:
            _call(task / "oom_score_adj")
        called |= fresh


def _call(score: Path) -> None:
    try:
        with score.open("r+b", buffering=0) as file:
            file.write(file.read(32))
    except ENDED:
        return
    except OSError as error:
        hint = "without BTF in the kernel a task is followed by a write to this file: /proc has to allow it"
        raise ProbeError(f"write to {score} what it says", os.strerror(error.errno or 0), hint) from error


def _tasks(pid: int) -> list[Path]:
    try:
        return [*(PROC / str(pid) / "task").iterdir()]
    except ENDED:
        return []


def _family(pid: int) -> Iterator[int]:
    """The process and its descendants."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for place in PROC.iterdir():
        if place.name.isdecimal():
            children[_parent(place)].append(int(place.name))
    family = [pid]
    for each in family:  # grows while it is walked
        family += children[each]
        yield each


def _parent(process: Path) -> int:
    """0 if it ended."""
    try:
        return int((process / "stat").read_bytes().rpartition(b")")[2].split()[1])
    except ENDED:
        return 0
