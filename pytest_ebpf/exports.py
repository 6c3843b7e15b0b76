"""What tests did, as files: JSON Lines for programs, and a trace that ui.perfetto.dev opens.

docs/exports.md describes both. Everything in them is ASCII, whatever the programs passed to the kernel.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from .events import Address, File, Gap, Process, Socket, SyscallEvent
from .notation import escape

__all__ = ["SCHEMA", "Exporter", "Part", "file_stem", "json_lines", "trace"]

SCHEMA = "pytest-ebpf/1"
"""The number goes up when a member changes its meaning or goes away, not when one is added."""


@dataclass(frozen=True, slots=True)
class Part:
    """What was recorded of one phase."""

    phase: str
    events: Sequence[SyscallEvent]
    gaps: Sequence[Gap] = ()
    dropped: Mapping[str, int] | None = None
    """How many events plugins dropped, by reason."""


class Exporter:
    """Writes the files of one run into a folder; several processes may write into the same one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self) -> None:
        """Make the folder, and prove that files can be written there. Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self.folder, prefix=".probe-"):
            pass

    def write(self, nodeid: str, parts: Sequence[Part]) -> tuple[Path, Path]:
        """Write the two files of a test, each whole or not at all. Raises OSError.

        >>> Exporter(Path("out")).write("test_api.py::test_get", [Part("call", ebpf.events, ebpf.gaps)])
        (PosixPath('out/test_api.py-test_get-….jsonl'), PosixPath('out/test_api.py-test_get-….trace.json'))
        """
        stem = file_stem(nodeid)
        places = (self.folder / f"{stem}.jsonl", self.folder / f"{stem}.trace.json")
        beside = [place.with_name(f".{place.name}.{os.getpid()}") for place in places]
        try:
            for part in beside:
                part.unlink(missing_ok=True)
            # "x" follows no symlink that somebody else has put there.
            with beside[0].open("x", encoding="ascii") as lines, beside[1].open("x", encoding="ascii") as slices:
                for line, event in _told(parts, _Lines(nodeid, parts), _Trace(nodeid)):
                    lines.write(line)
                    slices.write(event)
            for part, place in zip(beside, places, strict=True):  # nobody finds a half file
                part.replace(place)
        except BaseException:
            for part in beside:
                part.unlink(missing_ok=True)
            raise
        return places


_LONGEST = 100
"""Of the readable part of a file name, in characters; names end at 255 bytes."""


def file_stem(nodeid: str) -> str:
    """A file name for a node id: readable, of letters that every file system takes, and another for each node id.

    >>> file_stem("tests/test_api.py::test_get[a/b]")
    'tests-test_api.py-test_get-a-b-3784ed91890e'
    """
    digest = hashlib.blake2b(nodeid.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
    readable = re.sub(r"[^A-Za-z0-9._]+", "-", nodeid).strip("-.")
    return f"{readable[-_LONGEST:].strip('-.') or 'test'}-{digest}"


class _Writer(Protocol):
    """A format: the text of each thing that is told."""

    def begin(self) -> str: ...
    def event(self, event: SyscallEvent, phase: str) -> str: ...
    def gap(self, gap: Gap, phase: str) -> str: ...
    def dropped(self, reason: str, count: int, phase: str) -> str: ...
    def end(self) -> str: ...


def _told(parts: Sequence[Part], *writers: _Writer) -> Iterator[tuple[str, ...]]:
    """The texts of all writers, side by side: events are decoded when they are looked at, so that is done once."""
    yield tuple(writer.begin() for writer in writers)
    for part in parts:
        for event in part.events:
            yield tuple(writer.event(event, part.phase) for writer in writers)
        for gap in part.gaps:
            yield tuple(writer.gap(gap, part.phase) for writer in writers)
        for reason, count in (part.dropped or {}).items():
            yield tuple(writer.dropped(reason, count, part.phase) for writer in writers)
    yield tuple(writer.end() for writer in writers)


# JSON Lines


def json_lines(nodeid: str, parts: Sequence[Part]) -> Iterator[str]:
    """A line for the test, for each process before its first event, each event, each gap, and one for the end."""
    for (text,) in _told(parts, _Lines(nodeid, parts)):
        yield from text.splitlines()


class _Lines:
    def __init__(self, nodeid: str, parts: Sequence[Part]) -> None:
        self._test = {"nodeid": nodeid, "phases": [part.phase for part in parts]}
        self._ids: dict[Process, int] = {}
        self._last: tuple[Process | None, int] = (None, 0)
        self._events = self._gaps = 0

    def begin(self) -> str:
        return f"{_dump({'type': 'test', 'schema': SCHEMA, **self._test})}\n"

    def event(self, event: SyscallEvent, phase: str) -> str:
        self._events += 1
        text = ""
        if event.process is not self._last[0]:  # to look one up takes long: it is compared with all its parents
            for process in reversed([*event.process.chain()]):
                if process not in self._ids:
                    self._ids[process] = len(self._ids) + 1
                    text += f"{_dump(_process(process, self._ids))}\n"
            self._last = event.process, self._ids[event.process]
        return f"{text}{_dump({'type': 'event', 'phase': phase, **_event(event, self._last[1])})}\n"

    def gap(self, gap: Gap, phase: str) -> str:
        self._gaps += 1
        return f"{_dump({'type': 'gap', 'phase': phase, **_gap(gap)})}\n"

    def dropped(self, reason: str, count: int, phase: str) -> str:
        return f"{_dump({'type': 'dropped', 'phase': phase, 'reason': reason, 'count': count})}\n"

    def end(self) -> str:
        numbers = {"events": self._events, "gaps": self._gaps, "complete": not self._gaps}
        return f"{_dump({'type': 'end', **numbers})}\n"


def _process(process: Process, ids: Mapping[Process, int]) -> dict[str, Any]:
    return {
        "type": "process",
        "id": ids[process],
        "parent": None if process.parent is None else ids[process.parent],
        "pid": process.pid,
        "ns_pid": process.ns_pid,
        "comm": process.comm,
        "exe": process.exe,
        "argv": process.argv,
        "started_by": process.started_by,
        "is_pytest": process.is_self,
    }


def _event(event: SyscallEvent, process: int) -> dict[str, Any]:
    return {
        "name": event.name,
        "process": process,
        "pid": event.pid,
        "tid": event.tid,
        "comm": event.comm,
        "timestamp_ns": event.timestamp_ns,
        "duration_ns": event.duration_ns,
        "args": event.args,
        "ret": None if event.ret is None else int(event.ret),
        "errno": event.errno,
        "ok": event.ok,
        "in_flight": event.in_flight,
        "path": event.path,
        "abspath": event.abspath,
        "realpath": event.realpath,
        "paths": event.paths,
        "address": event.address,
        "addresses": event.addresses,
        "files": event.files,
        "result_file": event.result_file,
        "unread": sorted(event.unread),
        "text": str(event),
    }


def _gap(gap: Gap) -> dict[str, Any]:
    calls = None if gap.calls is None else sorted(gap.calls)
    numbers = {"count": gap.count, "exact": gap.exact, "at_most": gap.at_most}
    return {"reason": gap.reason, "hint": gap.hint, "calls": calls, **numbers}


def _dump(value: Any) -> str:
    text = json.dumps(_plain(value), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    # Where a build server shows the file, it is to find no command in it ("##vso["); JSON reads it as before.
    return text.replace("##", "#\\u0023")


def _plain(value: Any) -> Any:
    """The value in JSON's terms; what is no text, as ``{"base64": …}``."""
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):
        return int(value)  # a descriptor is one too
    if isinstance(value, str):
        return value if _is_text(value) else _binary(_bytes(value))
    if isinstance(value, bytes):
        return _binary(value)
    if isinstance(value, Mapping):
        return {escape(str(key)): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(each) for each in value]
    if isinstance(value, Address):
        members = {"members": dict(value.members)} if value.members else {}
        return _known(value, "family", "host", "port", "path", **members, text=str(value))
    if isinstance(value, Socket):
        return _known(value, "family", "type", "protocol", "local", "peer", "peer_inode")
    if isinstance(value, File):
        return _known(value, "kind", "path", "deleted", "path_cut", "name", "inode", "device", "socket")
    return _plain(str(value))


def _known(value: object, *names: str, **more: Any) -> dict[str, Any]:
    """The members that aren't empty."""
    found = {name: _plain(getattr(value, name)) for name in names if getattr(value, name) not in (None, "", False)}
    return {**found, **{name: _plain(each) for name, each in more.items()}}


def _is_text(text: str) -> bool:
    """Whether it has no surrogates, which stand for bytes that are no UTF-8, and which strict readers refuse."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _bytes(text: str) -> bytes:
    try:
        return os.fsencode(text)
    except UnicodeEncodeError:  # a surrogate that stands for no byte
        return text.encode("utf-8", "surrogatepass")


def _binary(data: bytes) -> dict[str, str]:
    return {"base64": base64.b64encode(data).decode("ascii")}


# Trace


def trace(nodeid: str, parts: Sequence[Part]) -> Iterator[str]:
    """The calls in the Trace Event Format: processes and threads as tracks, calls as slices with arguments.

    Times are microseconds since the first call.
    """
    for (text,) in _told(parts, _Trace(nodeid)):
        yield text


class _Trace:
    def __init__(self, nodeid: str) -> None:
        self._nodeid = escape(nodeid)
        self._start_ns: int | None = None
        self._processes: dict[int, Process] = {}
        self._threads: dict[tuple[int, int], str] = {}

    def begin(self) -> str:
        return '{"displayTimeUnit":"ns","traceEvents":[\n'

    def event(self, event: SyscallEvent, phase: str) -> str:
        if self._start_ns is None:  # they are in the order of their entries
            self._start_ns = event.timestamp_ns
        self._processes[event.pid] = event.process
        self._threads[event.pid, event.tid] = event.comm
        return f"{_dump(_slice(event, phase, self._start_ns))},\n"

    def gap(self, gap: Gap, phase: str) -> str:
        return self._mark(f"gap: {gap.reason}", phase)

    def dropped(self, reason: str, count: int, phase: str) -> str:
        return self._mark(f"dropped by plugins: {count:,} ({reason})", phase)

    def end(self) -> str:
        texts = [self._meta("process_name", 0, name=self._nodeid)]
        for pid, process in self._processes.items():
            texts.append(self._meta("process_name", pid, name=escape(process.comm)))
            texts.append(self._meta("process_labels", pid, labels=escape(" ".join(process.argv))))
        for (pid, tid), comm in self._threads.items():
            texts.append(self._meta("thread_name", pid, tid, name=escape(comm)))
        other = {"schema": SCHEMA, "nodeid": self._nodeid, "start_ns": str(self._start_ns or 0)}
        return ",\n".join(texts) + f'\n],"otherData":{_dump(other)}}}\n'

    def _mark(self, text: str, phase: str) -> str:
        """Across all tracks, so that an empty stretch isn't taken for silence."""
        place = {"ph": "i", "s": "g", "pid": 0, "tid": 0, "ts": 0}
        return f"{_dump({'name': escape(text), 'cat': phase, **place})},\n"

    def _meta(self, what: str, pid: int, tid: int | None = None, /, **args: str) -> str:
        thread = {} if tid is None else {"tid": tid}
        return _dump({"ph": "M", "name": what, "pid": pid, **thread, "args": args})


def _slice(event: SyscallEvent, phase: str, start_ns: int) -> dict[str, Any]:
    args = {
        "call": escape(str(event)),
        **{escape(name): _text(value) for name, value in event.args.items()},
        **({} if event.ret is None else {"ret": str(int(event.ret))}),
        **({} if event.errno is None else {"errno": event.errno}),
        **({} if event.abspath is None else {"abspath": escape(event.abspath)}),
        **({} if event.realpath is None else {"realpath": escape(event.realpath)}),
        **({} if event.address is None else {"address": escape(str(event.address))}),
        "phase": phase,
    }
    where = {"pid": event.pid, "tid": event.tid, "ts": (event.timestamp_ns - start_ns) / 1000}
    common = {"name": escape(event.name), "cat": phase, **where, "args": args}
    if event.in_flight:
        return {"ph": "B", **common}  # with no end: the viewer shows it as one that didn't
    if event.duration_ns is None:
        return {"ph": "i", "s": "t", **common}
    return {"ph": "X", "dur": event.duration_ns / 1000, **common}


def _text(value: object) -> str:
    return escape(value if isinstance(value, str) else str(value))
