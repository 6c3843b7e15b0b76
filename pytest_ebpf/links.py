"""Where a path led at the time of a call: symlinks followed as they were then.

Of a call that opens, the kernel says which file it was. Of others, such as rename and unlink, only the path is known.
What names stood for is told by the calls that made and removed them; where there were none, a look at the file system
says it. What neither tells is None, never a guess.
"""

from __future__ import annotations

import os
import posixpath
import re
import stat
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from operator import itemgetter
from typing import NamedTuple

from .alike import alike
from .events import FileEvent, SyscallEvent
from .files import normal
from .syscalls import ring_model

__all__ = ["Links", "identity_of", "straight_path"]

_MAX_LINKS = 40
_PASSES = 4
_OWN = frozenset({"/proc/self", "/proc/thread-self"})
"""Each process has its own."""
_MAGIC = re.compile(r"/proc/(self|thread-self|[0-9]+)/")
"""Symlinks there lead to what the process has, not to the name that they show."""
_DESCRIPTOR = re.compile(r"/proc/(self|thread-self)/fd/([0-9]+)")


class _Name(NamedTuple):
    """What a name is: none, file, directory, link or unknown."""

    kind: str
    target: str = ""


_NONE, _FILE, _DIRECTORY, _UNKNOWN = _Name("none"), _Name("file"), _Name("directory"), _Name("unknown")


_MADE_OF_HOOK = {
    "security_file_open": _FILE,
    "security_path_link": _UNKNOWN,
    "security_path_mkdir": _DIRECTORY,
    "security_path_mknod": _FILE,
    "security_path_rename": _UNKNOWN,
    "security_path_rmdir": _NONE,
    "security_path_symlink": _UNKNOWN,
    "security_path_unlink": _NONE,
}
"""What stands at a name that such a hook, in place of a call, tells was made."""


class _Change(NamedTuple):
    """A call that made a name, or took it away."""

    at_ns: int
    before: _Name
    after: _Name


class _Move(NamedTuple):
    """A rename of what is a directory, or may be one: all that is in it has other names from then on."""

    at_ns: int
    old: str | None
    """None where that isn't known."""
    new: str | None
    is_exchange: bool
    is_sure: bool

    def before(self, name: str) -> str | None:
        """What a name in a directory was called before; "" if nothing was there, None if that can't be told."""
        return self._other(name, self.new, self.old)

    def after(self, name: str) -> str | None:
        """Likewise, what it is called from then on."""
        return self._other(name, self.old, self.new)

    def _other(self, name: str, here: str | None, there: str | None) -> str | None:
        if here is None or there is None:
            return None
        is_here, is_there = name.startswith(f"{here}/"), name.startswith(f"{there}/")
        if not (is_here or is_there):
            return name
        if not self.is_sure:
            return None
        if is_here:
            return there + name[len(here) :]
        return here + name[len(there) :] if self.is_exchange else ""


class _End(NamedTuple):
    """Where a path led."""

    path: str | None
    """The real one; None if there is none, or it isn't known."""
    is_doubtful: bool = False
    descriptor: int | None = None


class Links:
    """The names of a recording; ``silently`` is a context in which a look at the file system isn't recorded."""

    def __init__(self, events: Sequence[FileEvent], silently: Callable[[], AbstractContextManager[None]]) -> None:
        self._silently = silently
        self._changes: dict[str, list[_Change]] = {}
        self._moves: dict[str, list[_Move]] = {}
        """By each of their names, in order; those of which one isn't known by "", as they may be about any."""
        self._found: dict[str, list[_Change]] = {}
        self._found_moves: list[_Move] = []
        self._present: dict[str, _Name] = {}
        self._met_change = False
        known = alike(events)
        changing = [kind for kind, one in known.kinds() if one.op in ("create", "remove") and one.result != "failed"]
        changes = known.of(changing)
        # Which names a call changed depends on what led there then; and that, on changes which may come later.
        for _ in range(_PASSES if changing else 0):
            before = self._changes
            self._take_all(changes)
            if self._changes == before or not (self._moves or self._present.keys() & self._changes.keys()):
                break

    def _take_all(self, events: Iterable[FileEvent]) -> None:
        """Take the changes down anew, by what is known of them so far."""
        seen: set[tuple[int, int]] = set()
        self._found, self._found_moves = {}, []
        for event in events:
            call = event.call
            if event.name in _MADE_OF_HOOK:
                self._take_told(event)
            elif (call.tid, call.timestamp_ns) not in seen:
                seen.add((call.tid, call.timestamp_ns))
                self._take(event, call)
        self._changes, self._moves = self._found, {}
        for move in sorted(self._found_moves, key=itemgetter(0)):
            is_known = move.old is not None and move.new is not None
            for name in {move.old or "", move.new or ""} if is_known else ("",):
                self._moves.setdefault(name, []).append(move)

    def real(self, path: str, at_ns: int, *, follow: bool) -> str | None:
        """The real path of an absolute one at a time; ``follow`` also a symlink at its end. None if unknown.

        The end need not be there; what it stands in must.
        """
        return self._walked(path, at_ns, follow=follow).path

    def is_doubtful(self, path: str, at_ns: int) -> bool:
        """Whether it isn't known in what a path ends; it is, if something that it leads through wasn't there."""
        return self._walked(path, at_ns, follow=False).is_doubtful

    def descriptor(self, path: str, at_ns: int) -> int | None:
        """Of a path that leads to one of the caller's own descriptors, its number."""
        return self._walked(path, at_ns, follow=True).descriptor

    def _walked(self, path: str, at_ns: int, *, follow: bool) -> _End:
        stack = _parts(path)[::-1]
        here = ""
        links = 0
        while stack:
            part = stack.pop()
            if part == "..":
                here = posixpath.dirname(here).rstrip("/")
                continue
            child = f"{here}/{part}"
            if not stack and not follow:
                return _End(child)
            name = _DIRECTORY if child in _OWN else self._at(child, at_ns)
            if name.kind == "unknown" or (stack and name.kind == "none"):
                return _End(None, is_doubtful=name.kind == "unknown")
            if name.kind == "link":
                links += 1
                if links > _MAX_LINKS or _MAGIC.match(child):
                    own = None if stack else _DESCRIPTOR.fullmatch(child)
                    return _End(None, is_doubtful=links <= _MAX_LINKS, descriptor=int(own[2]) if own else None)
                if name.target.startswith("/"):
                    here = ""
                stack.extend(_parts(name.target)[::-1])
                continue
            here = child
        return _End(here or "/")

    def moves(self, path: str) -> bool:
        """Whether an absolute path may have led to different places in the recording."""
        if not (self._changes or self._moves):
            return False
        self._met_change = False
        self.real(path, 0, follow=True)
        return self._met_change

    def made(self, path: str) -> bool:
        """Whether a name was made or removed in the recording."""
        return path in self._changes

    def has_moved(self, path: str) -> bool:
        """Whether a directory that the name is in, or was in, got another name in the recording."""
        return bool(self._moves) and next(self._moves_above(path), None) is not None

    def names(self, path: str, at_ns: int) -> list[str] | None:
        """All names that what has this one at a time had by those of its directories, the last one last.

        None if that can't be told.
        """
        if not self.has_moved(path):
            return [path]
        earlier = self._trace(path, at_ns, self._last_move, _Move.before)
        later = self._trace(path, at_ns, self._next_move, _Move.after)
        return None if earlier is None or later is None else [*earlier[::-1], path, *later]

    @staticmethod
    def _trace(
        name: str,
        at_ns: int,
        following: Callable[[str, int], _Move | None],
        other: Callable[[_Move, str], str | None],
    ) -> list[str] | None:
        found: list[str] = []
        while (move := following(name, at_ns)) is not None:
            known = other(move, name)
            if known is None:
                return None
            if not known:
                break
            name, at_ns = known, move.at_ns
            found.append(name)
        return found

    def _moves_above(self, path: str) -> Iterator[list[_Move]]:
        """Those of each directory that the name is in, in order, and those of which it isn't known what they moved."""
        if lost := self._moves.get(""):
            yield lost
        place = posixpath.dirname(path)
        while len(place) > 1:
            if moves := self._moves.get(place):
                yield moves
            place = posixpath.dirname(place)

    def _last_move(self, path: str, at_ns: int) -> _Move | None:
        """The last one before a time that concerns a name."""
        found = [moves[place - 1] for moves in self._moves_above(path) if (place := bisect_left(moves, (at_ns,)))]
        return max(found, default=None, key=itemgetter(0))

    def _next_move(self, path: str, at_ns: int) -> _Move | None:
        """The first one after it."""
        after = ((moves, bisect_left(moves, (at_ns + 1,))) for moves in self._moves_above(path))
        return min((moves[place] for moves, place in after if place < len(moves)), default=None, key=itemgetter(0))

    def _at(self, path: str, at_ns: int) -> _Name:
        if self.has_moved(path):
            self._met_change = True
            return self._followed(path, at_ns)
        changes = self._changes.get(path)
        if changes is None:
            return self._now(path)
        self._met_change = True
        before = [change for change in changes if change.at_ns < at_ns]
        return before[-1].after if before else changes[0].before

    def _followed(self, path: str, at_ns: int) -> _Name:
        """What a name was, in directories that had other names before or after."""
        name, until = path, at_ns
        while (move := self._last_move(name, until)) is not None:
            told = [change for change in self._changes.get(name, ()) if move.at_ns <= change.at_ns < until]
            if told:
                return told[-1].after
            earlier = move.before(name)
            if earlier is None:
                return _UNKNOWN
            if not earlier:
                break  # what is there came later, and nothing told of it
            name, until = earlier, move.at_ns
        else:
            told = [change for change in self._changes.get(name, ()) if change.at_ns < until]
            if told:
                return told[-1].after
        name, since = path, at_ns
        while (move := self._next_move(name, since)) is not None:
            told = [change for change in self._changes.get(name, ()) if since <= change.at_ns <= move.at_ns]
            if told:
                return told[0].before
            later = move.after(name)
            if not later:
                return _UNKNOWN
            name, since = later, move.at_ns
        told = [change for change in self._changes.get(name, ()) if change.at_ns >= since]
        return told[0].before if told else self._now(name)

    def _now(self, path: str) -> _Name:
        name = self._present.get(path)
        if name is None:
            with self._silently():
                name = self._present[path] = _look(path)
        return name

    def _take(self, event: FileEvent, call: SyscallEvent) -> None:
        known = call.ret == 0 or (call.ret is not None and call.ret > 0)
        name = ring_model(call.name) or call.name
        now = call.timestamp_ns
        if event.file is not None:
            if event.file.path is not None:
                self._add(event.file.path, now, _NONE, _FILE)
            return
        new = self._end(event, call, "newname" if "newname" in call.abspaths else None)
        if name.startswith("rename"):
            old = self._end(event, call, "oldname")
            moved = self._moved_thing(old, new, now) if known else _UNKNOWN
            exchanged = bool(int(call.args.get("flags") or 0) & 2) if name == "renameat2" else False
            if exchanged or moved.kind not in ("file", "link"):
                self._found_moves.append(_Move(now, old, new, is_exchange=exchanged, is_sure=known))
            if old is not None:
                self._add(old, now, moved, _UNKNOWN if exchanged or not known else _NONE)
            if new is not None:
                self._add(new, now, _UNKNOWN, moved)
            return
        if new is None:
            return
        if not known:
            self._add(new, now, _UNKNOWN, _UNKNOWN)
        elif name.startswith("mkdir"):
            self._add(new, now, _NONE, _DIRECTORY)
        elif name.startswith("symlink"):
            target = call.args.get("oldname")
            self._add(new, now, _NONE, _Name("link", target) if isinstance(target, str) and target else _UNKNOWN)
        elif name.startswith("link"):
            old = self._end(event, call, "oldname")
            self._add(new, now, _NONE, self._at(old, now) if old is not None else _UNKNOWN)
        elif event.op == "create":
            self._add(new, now, _NONE, _FILE)
        elif name == "rmdir" or int(call.args.get("flag") or 0) & 0x200:  # AT_REMOVEDIR
            self._add(new, now, _DIRECTORY, _NONE)
        else:
            self._add(new, now, _UNKNOWN, _NONE)

    def _moved_thing(self, old: str | None, new: str | None, at_ns: int) -> _Name:
        """What a rename moved: as it was told before, or as it is still there."""
        told = self._found.get(old or "")
        if told:
            return _UNKNOWN if told[-1].after == _NONE else told[-1].after  # else it could not have been moved
        while new is not None and not self.has_moved(new):
            later = [change for change in self._changes.get(new, ()) if change.at_ns > at_ns]
            if not later or later[0].before != _UNKNOWN:
                found = later[0].before if later else self._now(new)
                return _UNKNOWN if found == _NONE else found
            at_ns = later[0].at_ns
            new = next((move.new for move in self._moves.get(new, ()) if (move.at_ns, move.old) == (at_ns, new)), None)
        return _UNKNOWN

    def _take_told(self, event: FileEvent) -> None:
        """What a hook of the kernel told that no call tells."""
        if event.real is not None and event.op in ("create", "remove") and event.result != "failed":
            after = _NONE if event.op == "remove" else _MADE_OF_HOOK[event.name]
            self._add(event.real, event.timestamp_ns, _UNKNOWN, after if event.ok else _UNKNOWN)
            if event.name == "security_path_rename":  # the other name is in an event of its own
                self._found_moves.append(_Move(event.timestamp_ns, event.real, None, is_exchange=False, is_sure=False))

    def _end(self, event: FileEvent, call: SyscallEvent, argument: str | None) -> str | None:
        """The real path of a name that a call makes or removes."""
        for hook in call.hooks:
            if len(hook.paths) == 2:
                return hook.paths[0] if argument == "oldname" else hook.paths[1]
        if event.real is not None:
            return event.real
        path = call.abspaths.get(argument) if argument else event.path
        passed = call.args.get(argument) if argument else call.path
        if path is None or not path.startswith("/"):
            return None
        straight = straight_path(passed, path)
        return None if straight is None else self.real(straight, call.timestamp_ns, follow=False)

    def _add(self, path: str, at_ns: int, before: _Name, after: _Name) -> None:
        changes = self._found.setdefault(path, [])
        if changes and before == _UNKNOWN:
            before = changes[-1].after
        changes.append(_Change(at_ns, before, after))


def identity_of(status: os.stat_result) -> tuple[int, int]:
    """Device and inode, as the kernel itself has them, and events."""
    return os.major(status.st_dev) << 20 | os.minor(status.st_dev), status.st_ino


def straight_path(passed: object, absolute: str) -> str | None:
    """An absolute path whose ``..`` may be taken by a walk; None if it was shortened past what may be a symlink."""
    if not isinstance(passed, str):
        return absolute
    if passed.startswith("/"):
        return passed if normal(passed) == absolute else None  # of a process with another root directory
    parts = _parts(passed)
    while parts and parts[0] == "..":  # of a directory, whose own path is real
        parts.pop(0)
    if ".." not in parts:
        return absolute
    short = posixpath.normpath(passed)
    if short.startswith("..") or not absolute.endswith(f"/{short}"):
        return None
    return f"{absolute.removesuffix(f'/{short}')}/{passed}"


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _look(path: str) -> _Name:
    try:
        mode = os.lstat(path).st_mode
        if stat.S_ISLNK(mode):
            return _Name("link", os.readlink(path))  # noqa: PTH115 (as the kernel has it)
    except (FileNotFoundError, NotADirectoryError):
        return _NONE
    except OSError:
        return _UNKNOWN
    return _DIRECTORY if stat.S_ISDIR(mode) else _FILE
