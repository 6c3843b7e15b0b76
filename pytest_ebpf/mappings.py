"""Shared mappings of files, followed through a recording: what calls on memory do to the files behind it.

Such a call names an address. Which file lies there is told by the calls that made, moved and took away mappings before
it, in its process or in those that it was forked from. Mappings from before the recording aren't known.
"""

from __future__ import annotations

import mmap
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from .alike import Alike, alike
from .effects import FILE_KINDS, clone_flags
from .events import File, FileEvent, Process, Result, SyscallEvent

__all__ = ["ASKING", "file_events"]

ASKING = frozenset({"IORING_OP_MADVISE", "madvise", "mprotect", "msync", "pkey_mprotect", "process_madvise"})
"""The calls that may do something to a mapped file."""
_CHANGES = frozenset({"mmap", "mremap", "munmap"})
_STARTS = frozenset({"clone", "clone3", "execve", "execveat", "fork", "vfork"})
_MAP_SHARED, _MAP_ANONYMOUS, _CLONE_VM = 0x1, 0x20, 0x100
_MADV_REMOVE, _MS_SYNC = 9, 4
_ADDRESSES = (1 << 56) - 1
"""The bits of an address; those above may be tags."""
_MREMAP_DONTUNMAP = 4
_NEVER = 1 << 63

_Range = tuple[int, int]
_EVERYWHERE: _Range = (0, _ADDRESSES)


def file_events(
    asking: Alike[SyscallEvent], whole: Callable[[frozenset[str]], Sequence[SyscallEvent]]
) -> list[FileEvent]:
    """What calls of `ASKING` did to files; ``whole`` gives calls by name, of the recording that these are a part of.

    A mapping that becomes writable is a write, as one that is made so; so is a hole that is punched. An msync(MS_SYNC)
    is a sync; of which file isn't known where the mapping is from before the recording.
    """
    doing = [(kind, one) for kind, one in asking.kinds() if _op(one) is not None]
    if not doing:
        return []
    changes = alike(whole(_CHANGES))
    shared = changes.of([kind for kind, one in changes.kinds() if _maps_file(one)])
    asked = asking.of([kind for kind, one in doing if one.name == "msync" or len(shared)])
    moved = changes.of([kind for kind, one in changes.kinds() if one.name == "mremap"] if len(shared) else [])
    files = _Reach(map(_made, (*shared, *moved)))
    near = [call for call in asked if call.name == "msync" or files.meets(_about(call))]
    if not near:  # as a rule: what becomes writable is memory of malloc and of the loader
        return []
    memory = _Memory()
    changing = [*changes]
    steps = [(call.timestamp_ns, 0, memory.begin, call) for call in (*changing, *whole(_STARTS))]
    steps += [(call.timestamp_ns, 1, memory.ask, call) for call in near]
    steps += [(_end(call), 2, memory.answer, call) for call in near]
    steps += [(_end(call), 3, memory.end, call) for call in changing]
    for _, _, take, call in sorted(steps, key=lambda step: step[:2]):
        take(call)
    return sorted(memory.found, key=lambda event: event.timestamp_ns)


def _op(call: SyscallEvent) -> str | None:
    """What the call does to the file behind a mapping, if there is one."""
    if call.name.endswith("mprotect"):
        return "write" if _number(call, "prot") & mmap.PROT_WRITE else None
    if call.name == "msync":
        return "sync" if _number(call, "flags") & _MS_SYNC else None
    if call.name == "IORING_OP_MADVISE":  # which advice isn't recorded
        return "write"
    return "write" if _number(call, "behavior") == _MADV_REMOVE else None


def _maps_file(call: SyscallEvent) -> bool:
    """Whether it is a shared mapping of a file, or of something that may be one."""
    flags = _number(call, "flags")
    if call.name != "mmap" or not call.ok or not flags & _MAP_SHARED or flags & _MAP_ANONYMOUS:
        return False
    file = call.files.get("fd")
    return file is None or file.kind in FILE_KINDS


def _number(call: SyscallEvent, name: str) -> int:
    value = call.args.get(name)
    return value if isinstance(value, int) else 0


def _pages(start: int, length: int) -> _Range:
    start &= _ADDRESSES
    return start, start + -(-length // mmap.PAGESIZE) * mmap.PAGESIZE


def _about(call: SyscallEvent) -> _Range:
    """The addresses that a call is about."""
    for start, length in (("start", "len"), ("start", "len_in"), ("addr", "old_len"), ("addr", "len")):
        if start in call.args and length in call.args:
            return _pages(_number(call, start), _number(call, length))
    return _EVERYWHERE  # not recorded


def _made(call: SyscallEvent) -> _Range:
    """The addresses of the mapping that a call made."""
    if not call.ok or not call.ret:
        return 0, 0
    return _pages(call.ret, _number(call, "new_len" if call.name == "mremap" else "len"))


def _end(call: SyscallEvent) -> int:
    return _NEVER if call.duration_ns is None else call.timestamp_ns + call.duration_ns


class _Reach:
    """All addresses of some ranges."""

    def __init__(self, ranges: Iterable[_Range]) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in sorted(ranges):
            if self._ends and start <= self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], end)
            elif start < end:
                self._starts.append(start)
                self._ends.append(end)

    def meets(self, asked: _Range) -> bool:
        """Whether any address of these is in the range."""
        return bisect_right(self._ends, asked[0]) < bisect_left(self._starts, asked[1])

    def has(self, asked: _Range) -> bool:
        """Whether all addresses of the range are of these."""
        place = bisect_right(self._starts, asked[0]) - 1
        return place >= 0 and asked[1] <= self._ends[place]


class _Mapping(NamedTuple):
    """A shared mapping of a file, or what is left of it."""

    start: int
    end: int
    offset: int
    """Of its first byte, in the file."""
    file: File | None
    """None if it isn't known."""
    made_ns: int
    """When it was there for certain: the call that made it was over."""

    def part(self, start: int, end: int) -> _Mapping:
        """The part of it between two addresses."""
        start, end = max(start, self.start), min(end, self.end)
        return self._replace(start=start, end=end, offset=self.offset + start - self.start)

    def without(self, gone: _Range) -> Iterator[_Mapping]:
        """What is left of it."""
        for start, end in ((self.start, gone[0]), (gone[1], self.end)):
            left = self.part(start, end)
            if left.start < left.end:
                yield left


class _Memory:
    """The mappings of each process, as calls change them and ask for them.

    Of calls at the same time it isn't known which was first: a mapping may be there from the beginning of the call that
    makes it to the end of the one that takes it away.
    """

    def __init__(self) -> None:
        self.found: list[FileEvent] = []
        self._spaces: dict[Process, list[_Mapping]] = {}
        self._others: list[_Range] = []
        """Where there were private mappings, and those of no file."""
        self._asked: dict[int, list[_Mapping]] = {}
        """What a call was about when it began, by its identity here."""

    def begin(self, call: SyscallEvent) -> None:
        """A call makes mappings, or begins a process or a program."""
        space = self._space(call)
        if call.started is not None:
            shares = call.name == "vfork" or (clone_flags(call) or 0) & _CLONE_VM
            self._spaces[call.started] = [] if call.name.startswith("exec") else space if shares else [*space]
        elif call.name == "mremap" and call.ok:
            start, end = _made(call)
            old, until = _about(call)
            moved = self._met(call, (old, max(until, old + 1)))  # none of its length is another mapping of the same
            space.extend(each._replace(start=start, end=end, made_ns=_end(call)) for each in moved)
        elif _maps_file(call):
            space.append(_Mapping(*_made(call), _number(call, "off"), call.files.get("fd"), _end(call)))
        elif call.name == "mmap":
            self._others.append(_made(call))

    def end(self, call: SyscallEvent) -> None:
        """A call has taken mappings away, perhaps for others in their place."""
        if not call.ok:
            return
        gone = [_made(call)] if call.name != "munmap" else []
        if call.name != "mmap" and not _number(call, "flags") & _MREMAP_DONTUNMAP:
            gone.append(_about(call))
        space = self._space(call)
        for where in gone:
            space[:] = [
                left for each in space for left in ([each] if each.made_ns > call.timestamp_ns else each.without(where))
            ]

    def ask(self, call: SyscallEvent) -> None:
        """A call does something to what lies at an address."""
        self._asked[id(call)] = self._met(call, _about(call))

    def answer(self, call: SyscallEvent) -> None:
        """It is over: it was what lay there when it began, or now."""
        before, now = self._asked.pop(id(call)), self._met(call, _about(call))
        for each in dict.fromkeys((*before, *now)):
            is_certain = each in before and each in now and each.made_ns <= call.timestamp_ns
            self.found.append(_effect(call, each, is_certain=is_certain))
        if call.name == "msync" and not before and not now and not _Reach(self._others).has(_about(call)):
            self.found.append(FileEvent(op="sync", call=call, result=_result(call), unread=frozenset({"op"})))

    def _space(self, call: SyscallEvent) -> list[_Mapping]:
        return self._spaces.setdefault(call.process, [])

    def _met(self, call: SyscallEvent, where: _Range) -> list[_Mapping]:
        """The mappings in a range of addresses, as far as they are in it."""
        parts = (each.part(*where) for each in self._space(call))
        return [each for each in parts if each.start < each.end]


def _effect(call: SyscallEvent, mapping: _Mapping, *, is_certain: bool) -> FileEvent:
    op, file, where = _op(call), mapping.file, _about(call)
    assert op is not None
    unread = set() if is_certain and where != _EVERYWHERE else {"op"}
    if file is None or file.path_cut:
        unread.add("path")
    path = None if file is None else file.path
    return FileEvent(
        op=op,
        call=call,
        result=_result(call, is_all=(mapping.start, mapping.end) == where),
        path=path,
        paths=() if path is None else (path,),
        file=file,
        span=(mapping.offset, mapping.offset + mapping.end - mapping.start),
        unread=frozenset(unread),
    )


def _result(call: SyscallEvent, *, is_all: bool = True) -> Result:
    """What came of it; a call that failed at one mapping, or for want of memory, may have been done to others."""
    if call.in_flight:
        return "pending"
    if call.ret is None:
        return "unknown"
    if call.errno is None:
        return "done"
    return "failed" if is_all and call.errno != "ENOMEM" else "unknown"
