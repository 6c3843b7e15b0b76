"""Mappings followed through calls made by hand."""

from __future__ import annotations

import mmap
from dataclasses import replace
from typing import Any

import pytest

from pytest_ebpf.events import File, Process, SyscallEvent

from .builders import GIT, PYTHON, Recording, event

PAGE = mmap.PAGESIZE
AT = 0x7F0000000000
FILE = File("file", "/data/file", inode=7, device=1)


def call(name: str, ret: int | None = 0, at: int = AT, length: int = PAGE, **more: Any) -> SyscallEvent:
    """A call on memory."""
    given: dict[str, Any] = {
        key: more.pop(key) for key in ("prot", "flags", "behavior", "new_len", "off") if key in more
    }
    names = {"mremap": ("addr", "old_len"), "munmap": ("addr", "len"), "madvise": ("start", "len_in")}
    start, size = names.get(name, ("start", "len"))
    return event(name, ret, args={start: at, size: length, **given}, **more)


def mapped(at: int = AT, pages: int = 5, file: File | None = FILE, flags: int = 1, **more: Any) -> SyscallEvent:
    """A mapping for reading, from the eleventh page of the file on."""
    args = {"addr": 0, "len": pages * PAGE, "prot": 1, "flags": flags, "fd": 3, "off": 11 * PAGE}
    made = event("mmap", at, args=args, **more)
    return replace(made, files={} if file is None else {"fd": file})


def later(*calls: SyscallEvent) -> list[SyscallEvent]:
    """Each after the one before."""
    return [replace(each, timestamp_ns=each.timestamp_ns + place * 10_000) for place, each in enumerate(calls)]


def writes(*calls: SyscallEvent) -> list[tuple[str | None, object, bool]]:
    """What the recording of these calls tells of writes: path, pages of the file, and whether it is certain."""
    found = Recording(*calls)._file_effects()
    return [
        (each.path, each.span and tuple(end // PAGE for end in each.span), "op" not in each.unread)
        for each in found
        if each.op == "write"
    ]


WRITABLE = {"prot": 3}


@pytest.mark.parametrize(
    "calls, found",
    [
        ([mapped(), call("mprotect", at=AT + PAGE, **WRITABLE)], [(12, 13)]),
        ([mapped(), call("mprotect", at=AT + PAGE | 0xAB << 56, **WRITABLE)], [(12, 13)]),
        ([mapped(), call("mprotect", length=1, **WRITABLE)], [(11, 12)]),
        ([mapped(), call("mprotect", length=99 * PAGE, **WRITABLE)], [(11, 16)]),
        ([mapped(), call("mprotect", length=0, **WRITABLE)], []),
        ([mapped(), call("mprotect", at=AT + 5 * PAGE, **WRITABLE)], []),
        ([mapped(), call("mprotect", prot=1)], []),
        ([mapped(), call("pkey_mprotect", **WRITABLE)], [(11, 12)]),
        ([mapped(), call("madvise", behavior=9)], [(11, 12)]),
        ([mapped(), call("madvise", behavior=4)], []),
        ([mapped(flags=3), call("mprotect", **WRITABLE)], [(11, 12)]),
        ([mapped(flags=2), call("mprotect", **WRITABLE)], []),
        ([mapped(file=File("anonymous")), call("mprotect", **WRITABLE)], []),
        ([mapped(), call("munmap"), call("mprotect", length=2 * PAGE, **WRITABLE)], [(12, 13)]),
        ([mapped(), call("munmap", at=AT + PAGE), call("mprotect", length=3 * PAGE, **WRITABLE)], [(11, 12), (13, 14)]),
        ([mapped(), call("munmap", -22, errno="EINVAL"), call("mprotect", **WRITABLE)], [(11, 12)]),
        ([mapped(), mapped(flags=2), call("mprotect", **WRITABLE)], []),
        ([mapped(), call("mremap", 2 * AT, length=5 * PAGE, new_len=PAGE), call("mprotect", **WRITABLE)], []),
        (
            [mapped(), call("mremap", 2 * AT, length=5 * PAGE, new_len=PAGE), call("mprotect", at=2 * AT, **WRITABLE)],
            [(11, 12)],
        ),
        (
            [mapped(), call("mremap", 2 * AT, at=AT + PAGE, length=0, new_len=PAGE), call("mprotect", **WRITABLE)],
            [(11, 12)],
        ),
    ],
)
def test_which_pages(calls: list[SyscallEvent], found: list[object]) -> None:
    """Those of the file that lie at the addresses at that time."""
    assert writes(*later(*calls)) == [("/data/file", pages, True) for pages in found]


def test_what_is_not_certain() -> None:
    """A mapping that comes or goes meanwhile, a range that isn't recorded, a file that isn't known."""
    short, long = mapped(), call("mprotect", **WRITABLE)
    long = replace(long, timestamp_ns=short.timestamp_ns - 500, duration_ns=10_000)
    assert writes(short, long) == [("/data/file", (11, 12), False)]
    first, gone, asked = later(mapped(), call("munmap"), call("mprotect", **WRITABLE))
    gone = replace(gone, duration_ns=asked.timestamp_ns)
    assert writes(first, gone, asked) == [("/data/file", (11, 12), True)]
    for name in ("IORING_OP_MADVISE", "process_madvise"):
        assert writes(*later(mapped(), event(name, 0, args={"behavior": 9}))) == [("/data/file", (11, 16), False)]
    assert writes(*later(mapped(file=None), call("mprotect", **WRITABLE)))[-1] == (None, (11, 12), True)


@pytest.mark.parametrize(
    "errno, pages, result",
    [("EACCES", 1, "failed"), ("EACCES", 9, "unknown"), ("ENOMEM", 1, "unknown"), (None, 9, "done")],
)
def test_a_call_that_failed(errno: str | None, pages: int, result: str) -> None:
    """It failed at one mapping, and may have changed those before."""
    asked = call("mprotect", -1 if errno else 0, length=pages * PAGE, errno=errno, **WRITABLE)
    found = Recording(*later(mapped(), asked)).files(op="write")
    assert [each.result for each in [*found.known, *found.undecided]] == [result]


def test_of_which_process() -> None:
    """A child has the mappings of its parent, as they were; a program has none."""
    child = Process(pid=77, comm="python", parent=PYTHON)
    program = replace(child, exe="/bin/other")
    asked = call("mprotect", process=child, **WRITABLE)
    fork = replace(event("fork", 77), started=child)
    assert writes(*later(mapped(), fork, call("munmap", length=5 * PAGE), asked)) == [("/data/file", (11, 12), True)]
    assert writes(*later(fork, mapped(), asked)) == []
    vfork = replace(event("vfork", 77), started=child)
    assert writes(*later(vfork, mapped(process=child), call("mprotect", **WRITABLE))) != []
    execed = replace(event("execve", 0, process=child), started=program)
    assert writes(*later(mapped(), fork, execed, call("mprotect", process=program, **WRITABLE))) == []
    assert writes(*later(mapped(), call("mprotect", process=GIT, **WRITABLE))) == []
