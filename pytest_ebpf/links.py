"""Where a path led at the time of a call: symlinks followed as they were then.

Of a call that opens, the kernel says which file it was. Of others, such as rename and unlink, only the path is known.
What names stood for is told by the calls that made and removed them; where there were none, a look at the file system
says it. What neither tells is None, never a guess.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

from .alike import alike
from .events import FileEvent, SyscallEvent
from .files import normal
from .syscalls import ring_model

__all__ = ["Links", "straight_path"]

_MAX_LINKS = 40


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


class Links:
    """The names of a recording; ``silently`` is a context in which a look at the file system isn't recorded."""

    def __init__(self, events: Sequence[FileEvent], silently: Callable[[], AbstractContextManager[None]]) -> None:
        self._silently = silently
        self._changes: dict[str, list[_Change]] = {}
        self._present: dict[str, _Name] = {}
        self._met_change = False
        seen: set[tuple[int, int]] = set()
        known = alike(events)
        changing = [kind for kind, one in known.kinds() if one.op in ("create", "remove") and one.result != "failed"]
        for event in known.of(changing):
            call = event.call
            if event.name in _MADE_OF_HOOK:
                self._take_told(event)
            elif (call.tid, call.timestamp_ns) not in seen:
                seen.add((call.tid, call.timestamp_ns))
                self._take(event, call)

    def real(self, path: str, at_ns: int, *, follow: bool) -> str | None:
        """The real path of an absolute one at a time; ``follow`` also a symlink at its end. None if unknown.

        The end need not be there; what it stands in must.
        """
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
                return child
            name = self._at(child, at_ns)
            if name.kind == "unknown" or (stack and name.kind == "none"):
                return None
            if name.kind == "link":
                links += 1
                if links > _MAX_LINKS or child.startswith("/proc/"):
                    return None
                if name.target.startswith("/"):
                    here = ""
                stack.extend(_parts(name.target)[::-1])
                continue
            here = child
        return here or "/"

    def moves(self, path: str) -> bool:
        """Whether an absolute path may have led to different places in the recording."""
        if not self._changes:
            return False
        self._met_change = False
        self.real(path, 0, follow=True)
        return self._met_change

    def made(self, path: str) -> bool:
        """Whether a name was made or removed in the recording."""
        return path in self._changes

    def _at(self, path: str, at_ns: int) -> _Name:
        changes = self._changes.get(path)
        if changes is None:
            return self._now(path)
        self._met_change = True
        before = [change for change in changes if change.at_ns < at_ns]
        return before[-1].after if before else changes[0].before

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
            moved = self._at(old, now) if old is not None and known else _UNKNOWN
            exchanged = bool(int(call.args.get("flags") or 0) & 2) if name == "renameat2" else False
            if old is not None:
                self._add(
                    old, now, _UNKNOWN if moved == _NONE else moved, _UNKNOWN if exchanged or not known else _NONE
                )
            if new is not None:
                self._add(new, now, _UNKNOWN, _UNKNOWN if moved == _NONE else moved)
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

    def _take_told(self, event: FileEvent) -> None:
        """What a hook of the kernel told that no call tells."""
        if event.real is not None and event.op in ("create", "remove") and event.result != "failed":
            after = _NONE if event.op == "remove" else _MADE_OF_HOOK[event.name]
            self._add(event.real, event.timestamp_ns, _UNKNOWN, after if event.ok else _UNKNOWN)

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
        changes = self._changes.setdefault(path, [])
        if changes and before == _UNKNOWN:
            before = changes[-1].after
        changes.append(_Change(at_ns, before, after))


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
