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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
        lines = self.folder / f"{stem}.jsonl"
        slices = self.folder / f"{stem}.trace.json"
        _write(lines, (f"{line}\n" for line in json_lines(nodeid, parts)))
        _write(slices, trace(nodeid, parts))
        return lines, slices


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


def _write(path: Path, texts: Iterable[str]) -> None:
    """Write beside the place and move there, so that nobody finds a half file."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with part.open("w", encoding="ascii") as file:
            file.writelines(texts)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


# JSON Lines


def json_lines(nodeid: str, parts: Sequence[Part]) -> Iterator[str]:
    """A line for the test, for each process before its first event, each event, each gap, and one for the end."""
    yield _dump({"type": "test", "schema": SCHEMA, "nodeid": nodeid, "phases": [part.phase for part in parts]})
    ids: dict[Process, int] = {}
    number = 0
    last, last_id = None, 0
    for part in parts:
        for event in part.events:
            number += 1
            if event.process is not last:  # to look one up takes long: it is compared with all its parents
                for process in reversed([*event.process.chain()]):
                    if process not in ids:
                        ids[process] = len(ids) + 1
                        yield _dump(_process(process, ids))
                last, last_id = event.process, ids[event.process]
            yield _dump({"type": "event", "phase": part.phase, **_event(event, last_id)})
    for part in parts:
        for gap in part.gaps:
            yield _dump({"type": "gap", "phase": part.phase, **_gap(gap)})
        for reason, count in (part.dropped or {}).items():
            yield _dump({"type": "dropped", "phase": part.phase, "reason": reason, "count": count})
    gaps = sum(len(part.gaps) for part in parts)
    yield _dump({"type": "end", "events": number, "gaps": gaps, "complete": not gaps})


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
    return {"reason": gap.reason, "hint": gap.hint, "calls": calls, "count": gap.count, "exact": gap.exact}


def _dump(value: Any) -> str:
    return json.dumps(_plain(value), ensure_ascii=True, allow_nan=False, separators=(",", ":"))


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
    start_ns = min((event.timestamp_ns for part in parts for event in part.events), default=0)
    processes: dict[int, Process] = {}
    threads: dict[tuple[int, int], str] = {}
    head = {"schema": SCHEMA, "nodeid": escape(nodeid), "start_ns": str(start_ns)}
    yield f'{{"displayTimeUnit":"ns","otherData":{_dump(head)},"traceEvents":[\n'
    for part in parts:
        for event in part.events:
            processes[event.pid] = event.process
            threads[event.pid, event.tid] = event.comm
            yield f"{_dump(_slice(event, part.phase, start_ns))},\n"
        for gap in part.gaps:
            place = {"ph": "i", "s": "g", "pid": 0, "tid": 0, "ts": 0}
            yield f"{_dump({'name': escape(f'gap: {gap.reason}'), 'cat': part.phase, **place})},\n"
    for pid, process in processes.items():
        names = {"name": escape(process.comm), "labels": escape(" ".join(process.argv))}
        yield f"{_dump({'ph': 'M', 'name': 'process_name', 'pid': pid, 'args': {'name': names['name']}})},\n"
        yield f"{_dump({'ph': 'M', 'name': 'process_labels', 'pid': pid, 'args': {'labels': names['labels']}})},\n"
    for (pid, tid), comm in threads.items():
        args = {"name": escape(comm)}
        yield f"{_dump({'ph': 'M', 'name': 'thread_name', 'pid': pid, 'tid': tid, 'args': args})},\n"
    args = {"name": escape(nodeid)}
    yield f"{_dump({'ph': 'M', 'name': 'process_name', 'pid': 0, 'args': args})}\n]}}\n"


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
