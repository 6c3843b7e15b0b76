"""The events of one command, and the assertions that describe it."""

from __future__ import annotations

import os
import posixpath
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from .notation import escape
from .recording import Recording
from .standalone import begin, running

if TYPE_CHECKING:
    from .events import FileEvent

__all__ = ["describe", "trace"]

LOOK_SECONDS = 0.1
"""Between two looks at the recording while the command runs, so that the rings don't fill up."""
WRITES = ("create", "write", "truncate", "rename", "remove", "link", "chmod", "chown")
SYNCS = ("fsync", "fdatasync", "sync_file_range", "syncfs", "sync")
NOT_FOUND = 127


def trace(engine: str, argv: Sequence[str], out: TextIO) -> int:
    """Run a command and print its events, its gaps and the assertions that describe it; the command's exit code."""
    with running(engine) as session:
        recording = begin(session, "pytest-ebpf trace")
        recording.open()
        try:
            code = _run(recording, argv)
        except OSError as error:
            print(f"pytest-ebpf trace: {escape(argv[0])}: {os.strerror(error.errno or 0)}", file=out)
            return NOT_FOUND
        finally:
            recording.close()
        print(recording.syscalls(process="children").format(), file=out)
        for gap in recording.gaps:
            print(f"gap: {escape(str(gap))}", file=out)
        print("\nassertions that describe it:", file=out)
        for line in describe(recording):
            print(f"    {line}", file=out)
        return code


def _run(recording: Recording, argv: Sequence[str]) -> int:
    with subprocess.Popen(argv) as child:
        while True:
            try:
                code = child.wait(LOOK_SECONDS)
            except subprocess.TimeoutExpired:
                recording.syscalls("swapoff")  # takes over what the rings hold; a rare call costs least
            else:
                return code if code >= 0 else 128 - code


def describe(recording: Recording) -> Iterator[str]:
    """Assertions on a test that does what the children of the recording's process did.

    >>> list(describe(recording))[0]
    'ebpf.assert_no_network()'
    """
    traffic = recording.network(process="children", op=lambda op: op in ("connect", "send", "receive")).known
    peers = sorted({str(event.address) for event in traffic if event.address is not None and event.family != "AF_UNIX"})
    yield f"ebpf.assert_only_connects_to({_listed(peers)})" if peers else "ebpf.assert_no_network()"
    programs = recording.processes(op="exec", ok=True, process="children").known
    for event in list(programs)[:1]:
        yield f"ebpf.assert_exec({(event.exe or '')!a})"
    rest = sorted({event.exe for event in list(programs)[1:] if event.exe})
    if rest:
        first = programs[0]
        yield f"ebpf.assert_no_exec(allow={sorted({*rest, *([first.exe] if first.exe else [])})!a})"
    written = _written(recording)
    yield f"ebpf.assert_only_writes_under({_listed(_folders(written))})"
    yield from _budget(recording)


def _written(recording: Recording) -> set[str]:
    changes: Iterable[FileEvent] = recording.files(process="children", ok=True, op=lambda op: op in WRITES).known
    return {event.path for event in changes if event.path and event.kind not in ("memfd", "character device")}


def _folders(paths: set[str]) -> list[str]:
    """The folders of the paths, without those inside of others."""
    found = sorted({posixpath.dirname(path) for path in paths})
    return [folder for folder in found if not any(_within(folder, other) for other in found if other != folder)]


def _within(folder: str, other: str) -> bool:
    return Path(other) in Path(folder).parents


def _budget(recording: Recording) -> Iterator[str]:
    calls = Counter(event.name for event in recording.syscalls("%open", *SYNCS, process="children").known)
    if calls:
        yield f"ebpf.assert_max({', '.join(f'{name}={count}' for name, count in sorted(calls.items()))})"


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(ascii(text) for text in texts)
