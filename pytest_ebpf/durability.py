"""The assertion that a file would be there, whole, after a crash: told from the order of writes, syncs and names."""

from __future__ import annotations

import mmap
import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .effects import END, calls_of
from .events import File, FileEvent, Process, SyscallEvent
from .links import Links, identity_of, straight_path
from .notation import escape
from .question import Answer, Question, gaps_in, typed
from .report import Finding
from .syscalls import Table, ring_model

if TYPE_CHECKING:
    from .assertions import Assertions

__all__ = ["durable"]

_OPS = frozenset({"create", "link", "open", "remove", "sync", "truncate", "write"})
_MORE_CALLS = frozenset({"dup", "dup2", "dup3", "fcntl"})
_SYNC_FLAGS = frozenset({"O_DSYNC", "O_SYNC"})
_RWF_SYNC = 0x2 | 0x4
_EXCHANGE = 2
_DUPLICATES = (0, 1030)
"""F_DUPFD and F_DUPFD_CLOEXEC."""
_LOSES = frozenset({"EDQUOT", "EIO", "ENOSPC"})
"""Errors of a sync after which the kernel may have thrown the data away."""
_BY_DESCRIPTOR = re.compile(r"/(?:proc/(?:self|thread-self|\d+)|dev)/fd/(\d+)")

_Identity = tuple[int, int]
_Span = tuple[int, int]
_NOTHING: _Span = (0, 0)


def durable(table: Table, /, path: Any) -> Question:
    """What was written to the file, and its name, are on the disk."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"durable: path: expected str or os.PathLike, not {type(path).__name__}")
    text = os.fspath(path)
    if isinstance(text, bytes):
        raise TypeError(f"durable: path: bytes never match: pass os.fsdecode({text!r})")
    if not text or "\0" in text or text.endswith("/"):
        raise ValueError(f"durable: path: {text!r} is no path of a file")
    return _Durable(typed("assert_durable", path), table, text)


@dataclass(slots=True)
class _Happening:
    """Something that was done to contents or names, in the terms of this rule."""

    what: str
    """write, sync, weak sync, failed sync, created, name, gone, or unknown."""
    event: SyscallEvent
    identity: _Identity | None = None
    """Of the file; None of everything (``sync``)."""
    device: int | None = None
    """Of a ``syncfs``."""
    path: str | None = None
    """The name that was made, or taken away."""
    synced: bool = False
    """The write is itself synchronous."""
    span: _Span | None = None
    """From which byte of the file up to which; None if it may be all of it."""
    unsure: bool = False

    @property
    def begin_ns(self) -> int:
        return self.event.timestamp_ns

    @property
    def end_ns(self) -> int | None:
        """None if it hasn't ended."""
        return (
            None
            if self.event.duration_ns is None or self.event.ret is None
            else self.event.timestamp_ns + self.event.duration_ns
        )


@dataclass(slots=True)
class _Story:
    """All that happened, and which file had which name."""

    happenings: list[_Happening] = field(default_factory=list)
    directories: list[tuple[str, SyscallEvent]] = field(default_factory=list)
    """Those that were made."""

    def take_size(self, path: str, identity: _Identity | None) -> None:
        """A sync of the pages from the first to the last, as far as the file reaches now, is one of the whole file."""
        try:
            status = os.lstat(path)
        except OSError:
            return
        if identity_of(status) == identity:
            for each in self.happenings:
                if each.what == "sync" and each.identity == identity and each.span is not None:
                    each.span = None if _contains([each.span], (0, status.st_size)) else each.span


class _Durable(Question):
    def __init__(self, typed: str, table: Table, path: str) -> None:
        self.typed = typed
        self._path = path
        self._calls = calls_of("files", table, _OPS) | _MORE_CALLS | {"munmap"}

    def judge(self, recording: Assertions) -> None:
        """Follow the file through its writes, syncs and names, and say which step is missing."""
        __tracebackhide__ = True
        answer = Answer(self._calls, "files", doubt="what happened to it isn't known well enough")
        events = list(recording._file_effects())
        with recording._silently(entirely=True):
            here = os.getcwd()  # noqa: PTH109 (a plain call)
        links = Links(events, lambda: recording._silently(entirely=True))
        typed = posixpath.join(here, self._path)
        target = links.real(typed, _LAST, follow=True) or links.real(typed, _LAST, follow=False)
        gaps = gaps_in(recording.gaps, self._calls, "files")
        if target is None:
            answer.doubt = "which file it is isn't known"
            self.doubt(recording, answer, gaps)
        if gaps:
            self.doubt(recording, answer, gaps)
        story = _Reader(recording, events, links).story()
        self._verdict(recording, answer, story, target)

    def _verdict(self, recording: Assertions, answer: Answer, story: _Story, target: str) -> None:
        __tracebackhide__ = True
        named = [each for each in story.happenings if each.what == "name" and each.path == target]
        written = {each.identity for each in story.happenings if each.what == "write" and each.path == target}
        identities = [each.identity for each in named] or sorted(written, key=str)
        if any(each.unsure for each in named):
            answer.unsure = [Finding(each.event, "may have named it") for each in named if each.unsure]
            self.doubt(recording, answer)
        if not identities:
            near = [each for each in story.happenings if each.what == "write" and each.path]
            near.sort(key=lambda each: posixpath.basename(each.path or "") != posixpath.basename(target))
            answer.problem = "it was not written at all"
            answer.misses = [Finding(each.event, f"writes {each.path}") for each in near[-3:]]
            self.fail(recording, answer)
        unknown = [each for each in story.happenings if each.what == "unknown"]
        if unknown:
            answer.unsure = [Finding(each.event, "to which file can't be told") for each in unknown]
            self.doubt(recording, answer)
        final = named[-1] if named else None
        identity = final.identity if final is not None else identities[-1]
        self._check_presence(recording, answer, story, target)
        with recording._silently(entirely=True):
            story.take_size(target, identity)
        for name in named:
            self._check_before(recording, answer, story, name)
        self._check_contents(recording, answer, story, identity, until=None)
        if final is not None:
            self._check_directory(recording, answer, story, final.event, posixpath.dirname(target) or "/", target)
            above = posixpath.dirname(target)
            for made, event in story.directories:
                if above == made or above.startswith(made + "/"):
                    self._check_directory(recording, answer, story, event, posixpath.dirname(made) or "/", made)

    def _check_presence(self, recording: Assertions, answer: Answer, story: _Story, target: str) -> None:
        """The name, or that of a directory above it, was not taken away after all that was done there."""
        __tracebackhide__ = True
        gone = [each for each in story.happenings if each.what == "gone" and f"{target}/".startswith(f"{each.path}/")]
        there = [each for each in story.happenings if each.what in ("name", "write") and each.path == target]
        if not gone or any(each.begin_ns >= gone[-1].begin_ns for each in there):
            return
        with recording._silently(entirely=True):
            is_back = os.path.lexists(target)
        if is_back or gone[-1].unsure:
            answer.unsure = [Finding(gone[-1].event, "may have taken it away")]
            self.doubt(recording, answer)
        answer.problem = "it was taken away"
        answer.found = [Finding(gone[-1].event, f"takes away {gone[-1].path}")]
        self.fail(recording, answer)

    def _check_before(self, recording: Assertions, answer: Answer, story: _Story, name: _Happening) -> None:
        """Of a file that is renamed or linked into place: its contents come first."""
        __tracebackhide__ = True
        call = ring_model(name.event.name) or name.event.name
        if not call.startswith(("rename", "link")):
            return
        if name.identity is None:
            answer.unsure = [Finding(name.event, "of a file that was written before the recording")]
            answer.hints = ["record from before the file is written: whether it was synced isn't known"]
            self.doubt(recording, answer)
        self._check_contents(recording, answer, story, name.identity, until=name)

    def _check_contents(
        self,
        recording: Assertions,
        answer: Answer,
        story: _Story,
        identity: _Identity | None,
        until: _Happening | None,
    ) -> None:
        """Each write is followed by a sync of the file, up to a moment."""
        __tracebackhide__ = True
        limit = _LAST if until is None else until.begin_ns
        mine = [each for each in story.happenings if each.identity == identity]
        writes = [each for each in mine if each.what == "write" and each.begin_ns < limit]
        syncs = [each for each in story.happenings if _covers(each, identity)]
        if not writes and until is not None and not any(each.what == "created" for each in mine):
            whole = [each for each in syncs if each.span is None and not each.unsure]
            if any(each.end_ns is not None and each.end_ns <= limit for each in whole):
                return
            answer.unsure = [Finding(until.event, "of a file that was written before the recording")]
            answer.hints = ["record from before the file is written: whether it was synced isn't known"]
            self.doubt(recording, answer)
        failed = [each for each in mine if each.what == "failed sync" and each.begin_ns < limit]
        if failed:
            answer.problem = f"a sync of its data failed with {failed[-1].event.errno}"
            answer.found = [Finding(failed[-1].event, "after this the data may be lost, though a later sync succeeds")]
            self.fail(recording, answer)
        for write in writes:
            if write.synced:
                continue
            good = [each for each in syncs if _follows(each, write) and _is_over(each, limit) and _meet(each, write)]
            unsure = write.unsure or write.end_ns is None  # of a ring, or in flight: when it was over isn't known
            if _covered(write, [each for each in good if not each.unsure]) and not unsure:
                continue
            if good or write.unsure:
                answer.unsure = [Finding(each.event, _weakness(each)) for each in good if each.unsure or each.span]
                answer.unsure.extend([Finding(write.event, "when it was over isn't known")] * unsure)
                self.doubt(recording, answer)
            answer.found = [Finding(write.event, f"writes {_shown(write)}")]
            if until is None:
                answer.problem = "its data was not synced after the last write: fsync is missing"
            else:
                answer.problem = "its data was not synced before it was put into place: fsync is missing"
                answer.found.append(Finding(until.event, "puts it into place"))
            late = [each for each in syncs if each.end_ns is not None]
            answer.misses = [Finding(each.event, _too(each, write, limit)) for each in late[-2:]]
            weak = [each for each in mine if each.what == "weak sync"]
            answer.misses.extend(Finding(each.event, "promises nothing after a crash") for each in weak[-1:])
            self.fail(recording, answer)

    def _check_directory(
        self, recording: Assertions, answer: Answer, story: _Story, named: SyscallEvent, folder: str, target: str
    ) -> None:
        """A new name is followed by a sync of the directory that it stands in."""
        __tracebackhide__ = True
        end = None if named.duration_ns is None else named.timestamp_ns + named.duration_ns
        device = next((each.identity[0] for each in story.happenings if each.path == target and each.identity), None)
        syncs = [
            each
            for each in story.happenings
            if each.what == "sync"
            and (each.path == folder or (each.identity is None and each.device in (None, device)))
        ]
        good = [each for each in syncs if end is not None and each.begin_ns >= end and _is_over(each, _LAST)]
        if any(not each.unsure for each in good):
            return
        if good:
            answer.unsure = [Finding(each.event, "its result isn't known") for each in good]
            self.doubt(recording, answer)
        answer.problem = f"its directory was not synced after it got its name: fsync of {escape(folder)} is missing"
        answer.found = [Finding(named, f"makes the name {target}")]
        answer.misses = [Finding(each.event, "came before the name was there") for each in syncs[-2:]]
        self.fail(recording, answer)


_LAST = 1 << 63


def _span(event: FileEvent) -> _Span | None:
    """Which bytes a write may have been to, as far as the call says it."""
    if event.op == "truncate":
        return _NOTHING  # the size goes with any sync
    start, length = event.args.get("off"), event.args.get("len")
    if event.name == "mmap" and isinstance(start, int) and isinstance(length, int):
        return start, start + -(-length // mmap.PAGESIZE) * mmap.PAGESIZE
    return event.span


def _covers(sync: _Happening, identity: _Identity | None) -> bool:
    if sync.what != "sync":
        return False
    if sync.identity is not None:
        return sync.identity == identity
    return sync.device is None or (identity is not None and sync.device == identity[0])


def _follows(sync: _Happening, write: _Happening) -> bool:
    return sync.begin_ns >= (write.begin_ns if write.end_ns is None else write.end_ns)


def _meet(sync: _Happening, write: _Happening) -> bool:
    """Whether something of what was written was synced, or may have been."""
    if sync.span is None or write.span in (None, _NOTHING):
        return True
    return sync.span[0] < write.span[1] and write.span[0] < sync.span[1]


def _covered(write: _Happening, syncs: Sequence[_Happening]) -> bool:
    """Whether all of what was written was synced, by one or by several."""
    spans = [each.span for each in syncs if each.span is not None]
    return len(spans) < len(syncs) or (write.span is not None and bool(spans) and _contains(spans, write.span))


def _contains(spans: Sequence[_Span], asked: _Span) -> bool:
    here, end = asked
    for start, until in sorted(spans):
        if start <= here:
            here = max(here, until)
    return here >= end


def _weakness(sync: _Happening) -> str:
    return "its result isn't known" if sync.unsure else "syncs a part of the file"


def _is_over(sync: _Happening, limit: int) -> bool:
    """Whether a sync had ended by then, or may have."""
    return sync.begin_ns < limit if sync.end_ns is None else sync.end_ns <= limit


def _shown(write: _Happening) -> str:
    return write.path or "it"


def _too(sync: _Happening, write: _Happening, limit: int) -> str:
    if write.end_ns is None or sync.begin_ns < write.end_ns:
        return "began before the write was over"
    return "came too late" if sync.begin_ns >= limit else "was not over yet"


class _Reader:
    """Reads the story out of a recording."""

    def __init__(self, recording: Assertions, events: Sequence[FileEvent], links: Links) -> None:
        self._recording = recording
        self._events = events
        self._links = links
        self._names: dict[str, _Identity] = {}
        self._descriptors: dict[tuple[int, int], tuple[_Identity | None, bool]] = {}
        """Of a process: which file, and whether writes are synchronous."""
        self._story = _Story()

    def story(self) -> _Story:
        by_call: dict[tuple[int, int, str], list[FileEvent]] = {}
        calls: dict[tuple[int, int, str], SyscallEvent] = {}
        for event in self._events:
            if event.op in _OPS and event.name != END:  # a core is a file of its own
                key = event.tid, event.timestamp_ns, event.name
                by_call.setdefault(key, []).append(event)
                calls[key] = event.call
        for call in self._recording._events(_MORE_CALLS):
            calls.setdefault((call.tid, call.timestamp_ns, call.name), call)
        for key in sorted(calls, key=lambda key: key[1]):
            self._take(calls[key], by_call.get(key, []))
        return self._story

    def _take(self, call: SyscallEvent, events: Sequence[FileEvent]) -> None:
        name = ring_model(call.name) or call.name
        if name in ("dup", "dup2", "dup3", "fcntl"):
            self._take_dup(call)
        elif name.startswith("rename"):
            self._take_rename(call)
        elif name.startswith("link"):
            self._take_link(call)
        elif name.startswith(("unlink", "rmdir")):
            self._take_removed(call, events)
        elif name.startswith("mkdir"):
            path = self._real(call, "pathname")
            if path is not None and call.ok:
                self._story.directories.append((path, call))
        else:
            for event in events:
                self._take_effect(event)

    def _take_effect(self, event: FileEvent) -> None:
        call, file = event.call, event.file
        if event.result == "failed":
            if event.op == "sync" and call.errno in _LOSES and file is not None:
                self._add("failed sync", call, file)
            return
        unsure = event.result != "done" or (event.span is not None and "op" in event.unread)
        if event.op == "sync":
            name = ring_model(call.name) or call.name
            if name == "sync":
                self._story.happenings.append(_Happening("sync", call, unsure=unsure))
            elif file is None:
                return  # proves nothing
            elif name == "syncfs":
                self._story.happenings.append(_Happening("sync", call, device=file.device, unsure=unsure))
            else:
                what = "weak sync" if name == "sync_file_range" else "sync"
                self._add(what, call, file, unsure=unsure, span=event.span)
        elif event.op == "open":
            self._take_open(event)
        elif event.op == "create" and file is not None:
            self._add("created", call, file)
            if file.path is not None and not file.deleted and "O_TMPFILE" not in (event.flags or "").split("|"):
                self._add("name", call, file)
                self._add("write", call, file, span=_NOTHING)
        elif event.op in ("truncate", "write"):
            self._take_write(event, unsure=unsure)

    def _take_open(self, event: FileEvent) -> None:
        call, file = event.call, event.file
        if file is None or call.ret is None:
            return
        identity = file.device, file.inode
        if file.path is not None:
            self._names[file.path] = identity
        flags = set((event.flags or "").split("|"))
        self._descriptors[call.pid, int(call.ret)] = identity, bool(flags & _SYNC_FLAGS)

    def _take_write(self, event: FileEvent, *, unsure: bool) -> None:
        call, file = event.call, event.file
        if event.op == "truncate" and file is None:
            path = self._links.real(event.path, call.timestamp_ns, follow=True) if event.path else None
            identity = self._names.get(path) if path is not None else None
            if identity is None:
                identity = self._now(path) if path is not None else None
            if identity is None:
                self._story.happenings.append(_Happening("unknown", call))
            else:
                self._story.happenings.append(_Happening("write", call, identity, path=path))
            return
        if file is None:
            if event.unread:
                self._story.happenings.append(_Happening("unknown", call))
            return
        if "op" in event.unread and call.name == "mmap":
            return
        name = ring_model(call.name) or call.name
        synced, known = self._is_synchronous(call, file, name)
        doubt = not known or "op" in event.unread or (unsure and event.span is not None)
        self._add("write", call, file, synced=synced and not unsure, unsure=doubt, span=_span(event))

    def _is_synchronous(self, call: SyscallEvent, file: File, name: str) -> tuple[bool, bool]:
        """Whether the write waits for the disk, and whether that is known for certain."""
        flags = call.args.get("flags")
        if name in ("pwritev2",) and isinstance(flags, int) and flags & _RWF_SYNC:
            return True, True
        if name in ("mmap", "fallocate", "truncate", "ftruncate", "ioctl"):
            return False, True
        number = next((value for key, value in call.args.items() if key in ("fd", "out_fd", "fd_out")), None)
        if not isinstance(number, int):
            return False, True
        for process in _ancestors(call.process):
            found = self._descriptors.get((process.pid, int(number)))
            if found is not None:  # a process has its own from there on, whatever it inherited
                return found[0] == (file.device, file.inode) and found[1], True
        return False, True

    def _take_dup(self, call: SyscallEvent) -> None:
        old = next((call.args[key] for key in ("fildes", "oldfd", "fd") if key in call.args), None)
        duplicates = call.name != "fcntl" or call.args.get("cmd") in _DUPLICATES
        if not call.ok or not duplicates or not isinstance(old, int) or call.ret is None:
            return
        for process in _ancestors(call.process):
            found = self._descriptors.get((process.pid, int(old)))
            if found is not None:
                self._descriptors[call.pid, int(call.ret)] = found
                return
        self._descriptors[call.pid, int(call.ret)] = None, False  # of a file from before the recording

    def _take_rename(self, call: SyscallEvent) -> None:
        if call.ret not in (0, None):
            return
        old, new = self._real(call, "oldname"), self._real(call, "newname")
        flags = call.args.get("flags", 0)
        if new is None:
            self._story.happenings.append(_Happening("unknown", call))
            return
        if old is not None and not (isinstance(flags, int) and flags & _EXCHANGE):
            self._story.happenings.append(_Happening("gone", call, path=old, unsure=call.ret is None))
        identity = self._names.pop(old, None) if old is not None else None
        replaced = self._names.pop(new, None)
        if identity is not None:
            self._names[new] = identity
        self._story.happenings.append(_Happening("name", call, identity, path=new, unsure=call.ret is None))
        if isinstance(flags, int) and flags & _EXCHANGE and old is not None:
            if replaced is not None:
                self._names[old] = replaced
            self._story.happenings.append(_Happening("name", call, replaced, path=old, unsure=call.ret is None))

    def _take_link(self, call: SyscallEvent) -> None:
        if call.ret not in (0, None):
            return
        new, passed = self._real(call, "newname"), call.args.get("oldname")
        identity: _Identity | None = None
        beside = next((file for key, file in call.files.items()), None)
        if isinstance(passed, str) and (match := _BY_DESCRIPTOR.fullmatch(passed)):
            identity = next(
                (
                    found[0]
                    for process in _ancestors(call.process)
                    if (found := self._descriptors.get((process.pid, int(match[1])))) is not None
                ),
                None,
            )
        elif not passed and beside is not None:
            identity = beside.device, beside.inode
        elif (old := self._real(call, "oldname")) is not None:
            identity = self._names.get(old)
        if new is None:
            self._story.happenings.append(_Happening("unknown", call))
            return
        if identity is not None:
            self._names[new] = identity
        self._story.happenings.append(_Happening("name", call, identity, path=new, unsure=call.ret is None))

    def _take_removed(self, call: SyscallEvent, events: Sequence[FileEvent]) -> None:
        for event in events:
            path = self._real(call, "pathname")
            if path is None or event.result == "failed":
                continue
            self._story.happenings.append(_Happening("gone", call, path=path, unsure=not event.ok))
            if event.ok:
                self._names.pop(path, None)

    def _now(self, path: str) -> _Identity | None:
        """The file's identity, where its name was neither made nor removed in the recording."""
        if self._links.made(path):
            return None
        with self._recording._silently(entirely=True):
            try:
                status = os.lstat(path)
            except OSError:
                return None
        return identity_of(status)

    def _real(self, call: SyscallEvent, argument: str) -> str | None:
        absolute = call.abspaths.get(argument)
        straight = straight_path(call.args.get(argument), absolute) if absolute is not None else None
        return None if straight is None else self._links.real(straight, call.timestamp_ns, follow=False)

    def _add(self, what: str, call: SyscallEvent, file: File, **more: Any) -> None:
        identity = file.device, file.inode
        self._story.happenings.append(_Happening(what, call, identity, path=file.path, **more))


def _ancestors(process: Process) -> Iterator[Process]:
    return process.chain()
