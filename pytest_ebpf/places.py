"""Assertions on which files were touched, whichever call did it and whatever path led there."""

from __future__ import annotations

import functools
import glob
import os
import posixpath
import stat
import sys
import sysconfig
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from . import mounts
from .alike import Alike
from .effects import OPS, calls_of
from .events import File, FileEvent, Process
from .links import Links, identity_of, straight_path
from .match import Query, effect_query, text_test
from .notation import escape
from .question import Answer, Question, typed
from .report import Finding
from .syscalls import Table, ring_model

if TYPE_CHECKING:
    from .assertions import Assertions

__all__ = ["file_opened", "no_file_access", "only_reads_under", "only_writes_under", "outputs"]

_WRITES = frozenset({"create", "link", "metadata", "remove", "truncate", "write"})
_READS = frozenset({"execute", "map", "open", "read"})
_VERBS = {
    "create": "creates",
    "execute": "executes",
    "link": "links",
    "map": "maps",
    "metadata": "changes the metadata of",
    "open": "opens",
    "read": "reads",
    "remove": "removes",
    "truncate": "truncates",
    "write": "writes",
}
_DEVICES = frozenset(f"/dev/{name}" for name in ("full", "null", "ptmx", "random", "tty", "urandom", "zero"))
"""Files that keep nothing of what is written to them."""
_FOLLOWING = frozenset(
    {"access", "acct", "chdir", "chmod", "chown", "chroot", "connect", "execve", "faccessat", "futimesat", "getxattr"}
    | {"listxattr", "mount", "pivot_root", "quotactl", "removexattr", "setxattr", "stat", "statfs", "swapoff", "swapon"}
    | {"truncate", "utime", "utimes"}
)
"""Calls on a path that follow a symlink at its end."""
_AT_SYMLINK_NOFOLLOW, _AT_SYMLINK_FOLLOW = 0x100, 0x400
_WITH_AT_FLAGS = (
    {"execveat", "faccessat2", "fchmodat", "fchmodat2", "fchownat", "file_getattr", "file_setattr", "getxattrat"}
    | {"listxattrat", "mount_setattr", "newfstatat", "open_tree", "open_tree_attr", "removexattrat", "setxattrat"}
    | {"statx", "utimensat"}
)
_FOLLOWING_UNLESS = {
    **dict.fromkeys(_WITH_AT_FLAGS, _AT_SYMLINK_NOFOLLOW),
    "fanotify_mark": 0x4,  # FAN_MARK_DONT_FOLLOW
    "fspick": 0x2,  # FSPICK_SYMLINK_NOFOLLOW
    "inotify_add_watch": 0x2000000,  # IN_DONT_FOLLOW
    "umount2": 0x8,  # UMOUNT_NOFOLLOW
}
"""Those that do so without a flag."""
_FOLLOWING_IF = {"linkat": _AT_SYMLINK_FOLLOW, "name_to_handle_at": _AT_SYMLINK_FOLLOW}
"""Those that do so with it; of linkat the old name alone."""
_OPENING = frozenset({"creat", "open", "openat", "openat2"})
"""Those that make what a symlink at the end leads to."""
_FLAGS = ("flags", "flag", "at_flags")
_WALKED = 20_000
"""Names looked at in search of a file's other names."""


class _Paths:
    """Real paths of what a recording did to files."""

    def __init__(self, recording: Assertions, events: Alike[FileEvent]) -> None:
        wider = recording._file_context()
        self._recording = recording
        self._events = events if wider is None else wider
        self.links = Links(self._events, lambda: recording._silently(entirely=True))
        opens = (event for _, event in self._events.kinds() if event.file is not None and event.op == "open")
        self.opened = {_identity(event) for event in opens}
        """Files opened in the whole recording."""
        ones = [event for _, event in events.kinds() if event.file is not None]
        self.fresh = {_identity(event) for event in ones if event.op == "create" and event.ok}
        """Files made in the recording: all names they have were given there."""

    def is_steady(self, event: FileEvent) -> bool:
        """Whether what is touched by calls like this one is the same, whenever they are made."""
        if event.file is not None:
            return event.file.path is None or not self.links.has_moved(event.file.path)
        if event.path is None or not event.path.startswith("/"):
            return True
        straight = straight_path(_passed(event), event.path)
        return straight is None or not (self.links.moves(straight) or self.is_own_descriptor(event))

    def of(self, event: FileEvent) -> str | None:
        """The real path of what was touched, None if it can't be told."""
        if event.real is not None:
            return event.real
        if event.file is not None:
            return event.file.path
        if event.path is None or not event.path.startswith("/"):
            return None
        straight = straight_path(_passed(event), event.path)
        if straight is None:
            return None
        follow = _follows(event)
        if follow is None:
            return None
        real = self.links.real(straight, event.timestamp_ns, follow=follow)
        if real is None and follow:
            number = self.links.descriptor(straight, event.timestamp_ns)
            return None if number is None else self._descriptors.path(event, number)
        return real

    def is_own_descriptor(self, event: FileEvent) -> bool:
        """Whether the path is that of a descriptor in /proc/self/fd, by whatever symlinks."""
        straight = straight_path(_passed(event), event.path or "")
        return straight is not None and self.links.descriptor(straight, event.timestamp_ns) is not None

    @property
    def calls(self) -> frozenset[str]:
        """Names of the calls, beside those on files, that an answer depended on."""
        return _ENDS_OF_DESCRIPTORS if "_descriptors" in self.__dict__ else frozenset()

    @functools.cached_property
    def _descriptors(self) -> _Descriptors:
        return _Descriptors(self._recording, self._events)


class _Descriptors:
    """What the descriptors that processes opened in a recording stood for."""

    def __init__(self, recording: Assertions, events: Alike[FileEvent]) -> None:
        self._opened: dict[tuple[int, int], list[FileEvent]] = {}
        for event in events.of([kind for kind, one in events.kinds() if one.op == "open" and one.ok]):
            if event.ret is not None:
                self._opened.setdefault((event.pid, event.ret), []).append(event)
        self._ends: list[tuple[int, int | None]] = []
        """When any process gave up a descriptor, and which one: they may share them. None stands for all."""
        for call in recording._whole_events(_ENDS_OF_DESCRIPTORS):
            number = call.args.get("fd" if call.name == "close" else "newfd")
            if number is not None or call.errno is None:
                self._ends.append((call.timestamp_ns, int(number) if isinstance(number, int) else None))

    def path(self, event: FileEvent, number: int) -> str | None:
        """Of the file that one of the caller's descriptors stood for; None if that isn't known."""
        now = event.timestamp_ns
        opened = [each for each in self._opened.get((event.pid, number), ()) if each.timestamp_ns < now]
        if not opened or opened[-1].file is None:
            return None
        since = opened[-1].timestamp_ns
        over = any(since < at_ns < now and known in (None, number) for at_ns, known in self._ends)
        return None if over else opened[-1].file.path


_ENDS_OF_DESCRIPTORS = frozenset({"IORING_OP_CLOSE", "close", "close_range", "dup2", "dup3", "execve", "execveat"})


def _identity(event: FileEvent) -> tuple[int, int]:
    assert event.file is not None
    return event.file.device, event.file.inode


def _passed(event: FileEvent) -> object:
    """The path of the effect as the program passed it."""
    call = event.call
    for name, absolute in call.abspaths.items():
        if absolute == event.path:
            return call.args.get(name)
    return event.paths[0] if event.paths else None


def _follows(event: FileEvent) -> bool | None:
    """Whether the call follows a symlink at the end of the path."""
    name = ring_model(event.name) or event.name
    if name in _FOLLOWING or _asks_for_directory(event):
        return True
    args = event.args
    key = "mask" if name == "inotify_add_watch" else next((each for each in _FLAGS if each in args), "")
    flags = args.get(key, 0)
    if name in _FOLLOWING_UNLESS:
        return not flags & _FOLLOWING_UNLESS[name] if isinstance(flags, int) else None
    if name in _FOLLOWING_IF and event.op != "create":
        return bool(flags & _FOLLOWING_IF[name]) if isinstance(flags, int) else None
    return event.op in ("open", "execute", "truncate") or (event.op == "create" and name in _OPENING)


def _asks_for_directory(event: FileEvent) -> bool:
    """Whether a path ends in a slash or a dot, for which the kernel follows a symlink whatever the call says.

    Not where a name is made or taken away: such a call on a symlink fails.
    """
    if event.op in ("create", "remove"):
        return False
    passed = _passed(event)
    return isinstance(passed, str) and passed.endswith(("/", "/."))


# Only under


def only_writes_under(table: Table, /, *dirs: str | os.PathLike[str]) -> Question:
    """Files are made, written, changed and removed under these directories alone."""
    shown = typed("assert_only_writes_under", *dirs)
    return _Under(shown, table, _directories("only_writes_under", dirs), _WRITES, runtime=False)


def only_reads_under(table: Table, /, *dirs: str | os.PathLike[str], runtime: bool = True) -> Question:
    """Files are read, mapped and executed under these directories alone."""
    if not isinstance(runtime, bool):
        raise TypeError(f"runtime: expected True or False, not {type(runtime).__name__}")
    shown = typed("assert_only_reads_under", *dirs, **({} if runtime else {"runtime": False}))
    return _Under(shown, table, _directories("only_reads_under", dirs), _READS, runtime=runtime)


def _directories(name: str, dirs: Sequence[Any]) -> list[str]:
    if not dirs:
        raise TypeError(f"{name}: no directory was given (write assert_{name}(tmp_path))")
    found = []
    for place, each in enumerate(dirs, 1):
        if not isinstance(each, (str, os.PathLike)):
            raise TypeError(f"{name}: directory {place}: expected str or os.PathLike, not {type(each).__name__}")
        path = os.fspath(each)
        if isinstance(path, bytes):
            raise TypeError(f"{name}: directory {place}: bytes never match: pass os.fsdecode({path!r})")
        if not path or "\0" in path:
            raise ValueError(f"{name}: directory {place}: {path!r} is no path")
        if posixpath.normpath(path).strip("/") == "" and path.startswith("/"):
            raise ValueError(f"{name}: everything is under '/', so the assertion can't fail")
        found.append(path)
    return found


class _Under(Question):
    """Everything that was touched lies under some directories."""

    def __init__(self, typed: str, table: Table, dirs: Sequence[str], ops: frozenset[str], *, runtime: bool) -> None:
        self.typed = typed
        self._dirs = dirs
        self._ops = ops
        self._runtime = runtime
        self._calls = calls_of("files", table, ops) | mounts.CALLS

    def judge(self, recording: Assertions) -> None:
        """Compare the real path of each effect that was not refused."""
        __tracebackhide__ = True
        answer = Answer(self._calls, "files", doubt="where it was done isn't known")
        events = recording._file_effects()
        paths = _Paths(recording, events)
        dirs = self._resolved(recording, paths, answer)
        with recording._silently(entirely=True):
            of_output = (outputs() | recording._outputs()) - paths.opened
            proc, _ = identity_of(os.stat("/proc"))  # noqa: PTH116 (plain calls are silent)
            if self._runtime:
                _python_dirs(), _python_files(), _import_dirs()  # looked up once
        strangers: dict[str, None] = {}
        checked: dict[str, Finding] = {}

        def judge(event: FileEvent) -> tuple[str, str] | None:
            """Unsure or found, and the path."""
            if event.op not in self._ops or event.result == "failed" or self._is_no_place(event, of_output, proc):
                return None
            path = paths.of(event)
            if path is None:
                return "unsure", f"{_VERBS[event.op]} what can't be told"
            if self._runtime and _is_runtime(path, event):
                return None
            if _inside(path, dirs):
                if event.file is None or (event.file.kind == "file" and _identity(event) not in paths.fresh):
                    checked.setdefault(path, Finding(event))
                return None
            pending = event.result == "pending" and event.op != "write"
            if event.unread & {"op"} or event.result == "unknown" or pending:
                return "unsure", f"perhaps {_VERBS[event.op]} {path}"
            strangers[path] = None
            return "found", f"{_VERBS[event.op]} {path}"

        for (verdict, note), event in events.judged(judge, paths.is_steady):
            (answer.found if verdict == "found" else answer.unsure).append(Finding(event, note))
        if not answer.found:
            with recording._silently(entirely=True):
                self._check_names(checked, dirs, paths, answer)
            self._check_mounts(recording, paths, dirs, answer)
        shown = ", ".join(escape(path) for path in [*strangers][:3])
        more = f" and {len(strangers) - 3} more" if len(strangers) > 3 else ""
        answer.calls |= paths.calls
        verb = "writes" if self._ops is _WRITES else "reads"
        answer.problem = f"{verb} elsewhere: {shown}{more}"
        if any("/__pycache__" in path for path in strangers) and self._ops is _WRITES:
            answer.hints.append(
                "an import in the test wrote its byte code: import before, or set sys.dont_write_bytecode"
            )
        self.forbid(recording, answer)

    def _resolved(self, recording: Assertions, paths: _Paths, answer: Answer) -> list[str]:
        """The real paths of the directories when the recording began."""
        dirs = []
        with recording._silently(entirely=True):
            here = os.getcwd()  # noqa: PTH109 (a plain call)
        for each in self._dirs:
            real = paths.links.real(posixpath.join(here, each), recording._start_ns, follow=True)
            if real is None:
                # Where it doesn't exist yet, what it stands in may not either.
                real = posixpath.normpath(posixpath.join(here, each))
                with recording._silently(entirely=True):
                    known = os.path.realpath(real) == real
                if not known:
                    answer.hints.append(f"where {each} led when the recording began isn't known: give its real path")
                    continue
            dirs.append(real)
        return dirs

    def _is_no_place(self, event: FileEvent, outputs: set[tuple[int, int]], proc: int) -> bool:
        file = event.file
        if file is None:
            return False
        if event.op == "open" and (file.kind == "directory" or _NO_READ & set((event.flags or "").split("|"))):
            return True  # what is read of it, if anything, is told apart
        if file.kind == "memfd" or (file.kind == "fifo" and event.op not in ("create", "remove", "metadata")):
            return True
        path = file.path or ""
        if file.kind == "character device" and (path in _DEVICES or path.startswith("/dev/pts/")):
            return event.op in ("open", "read", "write", "map", "create", "truncate")
        if path.startswith(f"/proc/{_own_number(event.process, file, proc)}/"):
            return True
        return _identity(event) in outputs

    def _check_names(self, checked: dict[str, Finding], dirs: Sequence[str], paths: _Paths, answer: Answer) -> None:
        """A file may have other names elsewhere: those that hard links gave it before the recording."""
        several: dict[tuple[int, int], tuple[int, Finding]] = {}
        for path, finding in checked.items():
            event = finding.event
            assert isinstance(event, FileEvent)
            if event.op in ("create", "remove") or (event.file is None and event.op not in ("metadata", "truncate")):
                continue
            names = paths.links.names(path, event.timestamp_ns)
            if names is None:
                note = "was in a folder whose name changed, so whether it had other names can't be told"
                answer.unsure.append(finding._replace(note=note))
                continue
            may_be_new = any(map(paths.links.made, names))
            if event.file is None and may_be_new:
                continue
            try:
                now = os.lstat(names[-1])
            except OSError:
                answer.unsure.append(finding._replace(note="is gone, so whether it had other names can't be told"))
                continue
            if event.file is not None and may_be_new and now.st_ino != event.file.inode:
                answer.unsure.append(finding._replace(note="was replaced, so whether it had other names can't be told"))
                continue
            if now.st_nlink > 1 and not os.path.isdir(path):  # noqa: PTH112 (plain calls are silent)
                several[now.st_dev, now.st_ino] = now.st_nlink, finding
        if several:
            here = _names_under(dirs, several.keys())
            for identity, (links, finding) in several.items():
                if here.get(identity, 0) < links:
                    note = f"has {links} names (hard links), of which only {here.get(identity, 0)} are found there"
                    answer.unsure.append(finding._replace(note=note))

    def _check_mounts(self, recording: Assertions, paths: _Paths, dirs: Sequence[str], answer: Answer) -> None:
        """A file system that was mounted in the recording may show another place under an allowed path."""

        def concerns(real: str) -> bool:
            return any(_inside(real, [each]) or _inside(each, [real]) for each in dirs)

        for call in recording._events(mounts.CALLS):
            if mounts.leads_elsewhere(call, concerns, paths.links):
                answer.unsure.append(Finding(call, mounts.ELSEWHERE))


_NO_READ = frozenset({"O_PATH", "O_WRONLY"})


def _own_number(process: Process, file: File, proc: int) -> int:
    """What the procfs that a file is in calls a process; ``proc`` is the device of the one that pytest sees.

    That one has pytest's numbers, and any other one the process's own. Of a process in a PID namespace of its own
    pytest's number is known if pytest itself is in none.
    """
    is_first = any(each.is_self and each.ns_pid in (None, each.pid) for each in process.chain())
    return process.pid if process.ns_pid is None or (is_first and file.device == proc) else process.ns_pid


def _inside(path: str, dirs: Sequence[str]) -> bool:
    return any(path == each or path.startswith(each.rstrip("/") + "/") for each in dirs)


def outputs() -> set[tuple[int, int]]:
    """The files that pytest's own output goes to, as its capture does, and those it has open that have no name."""
    found = set()
    nameless = [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208 (their names are numbers)
    for stream in (0, 1, 2, sys.stdout, sys.stderr, *nameless):
        try:
            number = stream if isinstance(stream, int) else stream.fileno()
            status = os.fstat(number)
        except (OSError, ValueError, AttributeError):
            continue  # closed, or no file
        if number > 2 and stream in nameless and status.st_nlink:
            continue
        found.add(identity_of(status))
    return found


def _names_under(dirs: Sequence[str], wanted: Any) -> dict[tuple[int, int], int]:
    """How many names each of some files has under directories."""
    found: dict[tuple[int, int], int] = {}
    seen: set[str] = set()
    for top in dirs:
        for folder, _, files in os.walk(top):
            for name in files:
                path = f"{folder}/{name}"
                if path in seen:
                    continue
                seen.add(path)
                if len(seen) > _WALKED:
                    return found
                try:
                    status = os.lstat(path)
                except OSError:
                    continue
                identity = status.st_dev, status.st_ino
                if identity in wanted:
                    found[identity] = found.get(identity, 0) + 1
    return found


# What a program needs to run at all


_LIBRARIES = ("/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib", "/usr/libexec")
_RUNTIME_FILES = frozenset(
    {
        "/etc/ld.so.cache",
        "/etc/ld.so.preload",
        "/etc/localtime",
        "/etc/locale.alias",
        "/etc/timezone",
        "/proc/cpuinfo",
        "/proc/filesystems",
        "/proc/meminfo",
        "/proc/stat",
        "/proc/sys/vm/overcommit_memory",
        "/sys/devices/system/cpu/online",
        "/sys/devices/system/cpu/possible",
        "/sys/kernel/mm/transparent_hugepage/enabled",
    }
)
_RUNTIME_DIRS = (
    "/etc/ld.so.conf.d",
    "/etc/pki/tls",
    "/etc/ssl",
    "/usr/lib/locale",
    "/usr/lib/ssl",
    "/usr/share/ca-certificates",
    "/usr/share/i18n",
    "/usr/share/locale",
    "/usr/share/zoneinfo",
)


def _is_runtime(path: str, event: FileEvent) -> bool:
    """Whether a file belongs to the interpreter, the loader, or the C library's data."""
    if event.process.is_self or _is_python(event):
        folders = _python_dirs()
        if path in _python_files() or _inside(path, folders):
            return True
        listed = event.file is not None and event.file.kind == "directory"
        if listed and path in _import_dirs():  # where an import looks; what it finds there counts by itself
            return True
    if path in _RUNTIME_FILES or _inside(path, _RUNTIME_DIRS):
        return True
    name = posixpath.basename(path)
    is_library = name.endswith(".so") or ".so." in name or name.startswith("gconv-modules")
    return is_library and _inside(path, (*_LIBRARIES, f"{sys.base_prefix}/lib"))


def _is_python(event: FileEvent) -> bool:
    exe = event.process.exe or ""
    return exe in _python_files() or event.op == "execute"


_known_dirs: list[str] = []
_known_imports: list[str] = []
_known_files: list[str] = []


def _python_dirs() -> list[str]:
    """The interpreter's own folders, and those of installed packages."""
    if not _known_dirs:
        names = ("stdlib", "platstdlib", "purelib", "platlib")
        found = {sysconfig.get_path(name) for name in names}
        found |= {sysconfig.get_path(name, vars={"base": sys.base_prefix}) for name in ("stdlib", "purelib", "platlib")}
        found |= {path for path in sys.path if path.rstrip("/").endswith(("site-packages", "dist-packages"))}
        if sys.prefix != sys.base_prefix:
            found.add(sys.prefix)
        _known_dirs.extend(sorted({each for path in found for each in (path, os.path.realpath(path))}))
    return _known_dirs


def _import_dirs() -> list[str]:
    """The folders on the path of imports."""
    if not _known_imports:
        _known_imports.extend(sorted({each for path in sys.path if path for each in (path, os.path.realpath(path))}))
    return _known_imports


def _python_files() -> list[str]:
    if not _known_files:
        own = {sys.executable, getattr(sys, "_base_executable", sys.executable)}
        _known_files.extend(sorted({each for path in own for each in (path, os.path.realpath(path))}))
        _known_files.append(f"{sys.prefix}/pyvenv.cfg")
    return _known_files


# One file


def no_file_access(table: Table, /, path: object, ops: object = None) -> Question:
    """Nothing was done to the file, nor tried, by any call of any process."""
    filters = {"path": path} | ({} if ops is None else {"op": ops})
    asked = effect_query(table, "files", **filters)
    wanted = frozenset(OPS["files"])
    if isinstance(ops, (str, list, tuple, set, frozenset)):
        wanted = frozenset([ops] if isinstance(ops, str) else ops)
    given = {} if ops is None else {"ops": ops}
    return _NoAccess(typed("assert_no_file_access", path, **given), table, asked, path, wanted)


class _NoAccess(Question):
    def __init__(self, typed: str, table: Table, asked: Query, path: object, ops: frozenset[str]) -> None:
        self.typed = typed
        self._asked = asked
        self._ops = ops
        self._path = next(each for each in asked.filters if each.name == "path")
        text = os.fspath(path) if isinstance(path, os.PathLike) else path
        literal = isinstance(text, str) and (isinstance(path, os.PathLike) or not set(text) & set("*?["))
        self._literal = str(text) if literal else None
        self._glob = text if isinstance(text, str) and not literal else None
        self._calls = calls_of("files", table, ops) | mounts.CALLS

    def judge(self, recording: Assertions) -> None:
        """Compare all spellings, the real path, and of one file its identity."""
        __tracebackhide__ = True
        answer = Answer(self._calls, "files", doubt="what was touched isn't known")
        events = recording._file_effects()
        paths = _Paths(recording, events)
        wanted = _Wanted(recording, paths, self._literal, self._glob, self._path.accepts)

        def judge(event: FileEvent) -> str | None:
            if event.op not in self._ops:
                return None
            verdict = self._asked.test(event)
            if verdict is not True:
                verdict = wanted.was_touched(event, verdict)
            return "found" if verdict else "unsure" if verdict is None else None

        for verdict, event in events.judged(judge, lambda event: wanted.is_steady and paths.is_steady(event)):
            if verdict == "found":
                tried = "tried: " if event.result == "failed" else ""
                answer.found.append(Finding(event, f"{tried}{event.op}"))
            else:
                answer.unsure.append(Finding(event, f"{event.op} of what can't be told"))
        ops = dict.fromkeys(finding.note for finding in answer.found)
        answer.problem = f"was accessed: {', '.join(ops)}"
        answer.calls |= paths.calls
        if not answer.found:
            answer.unsure += [Finding(call, mounts.ELSEWHERE) for call in mounts.again(recording._events(mounts.CALLS))]
        self.forbid(recording, answer)


class _Wanted:
    """The file, or the files, that a question about access names, by whatever other name they go."""

    def __init__(
        self,
        recording: Assertions,
        paths: _Paths,
        literal: str | None,
        glob: str | None,
        accepts: Callable[[str], bool] | None,
    ) -> None:
        self._paths = paths
        self._accepts = accepts or (lambda _: False)
        self._silently = functools.partial(recording._silently, entirely=True)
        with self._silently():
            here = os.getcwd()  # noqa: PTH109 (a plain call)
        self._literal = None if literal is None else posixpath.join(here, literal)
        self._base = None if literal is None else posixpath.basename(posixpath.normpath(literal))
        self._folder, self._pattern = "", ""
        """Of a glob: up to its first component with a magic character, and the rest."""
        if glob is not None and glob.startswith("/"):
            parts = glob.split("/")
            plain = next(place for place, part in enumerate(parts) if set(part) & set("*?["))
            self._folder, self._pattern = "/".join(parts[:plain]), "/".join(parts[plain:])
        moving = self._literal or self._folder
        self.is_steady = not moving or not paths.links.moves(moving)
        """Whether the names lead to the same all the time."""
        self._real: dict[int, tuple[frozenset[str], Callable[[str], bool]] | None] = {}
        self._identity, self._is_alone = self._look()

    def _look(self) -> tuple[tuple[int, int] | None, bool]:
        """Which file it is, if it is the same one all the time, and whether it has no other name."""
        if self._literal is None:
            return None, False
        with self._silently():
            try:
                real = os.path.realpath(self._literal)
                status = os.lstat(real)
            except OSError:
                return None, False
        links = self._paths.links
        if links.made(real) or links.has_moved(real) or stat.S_ISDIR(status.st_mode):
            return None, False
        return identity_of(status), status.st_nlink == 1

    def _names(self, at_ns: int) -> tuple[frozenset[str], Callable[[str], bool]] | None:
        """The real paths that are asked for, by what the names led to at a time; None if that isn't known."""
        key = 0 if self.is_steady else at_ns
        if key not in self._real:
            self._real[key] = self._resolved(at_ns)
        return self._real[key]

    def _resolved(self, at_ns: int) -> tuple[frozenset[str], Callable[[str], bool]] | None:
        links = self._paths.links
        if self._literal is not None:
            found = [links.real(self._literal, at_ns, follow=follow) for follow in (False, True)]
            if links.is_doubtful(self._literal, at_ns):
                return None
            return frozenset(name for name in found if name is not None), self._accepts
        if self._folder:
            folder = links.real(self._folder, at_ns, follow=True)
            if folder is None:
                return None if links.is_doubtful(self._folder, at_ns) else (frozenset(), self._accepts)
            if folder != self._folder:
                return frozenset(), text_test("path", f"{glob.escape(folder.rstrip('/'))}/{self._pattern}")
        return frozenset(), self._accepts

    def was_touched(self, event: FileEvent, verdict: bool | None) -> bool | None:
        """Whether it was one of them by another way than its spelling, which said ``verdict``."""
        if event.file is not None and self._identity is not None and _identity(event) == self._identity:
            return True
        if event.file is None and (event.path is None or not event.path.startswith("/")):
            return verdict
        real = self._paths.of(event)
        if real is None:
            if event.file is not None or event.result == "failed":
                return verdict
            if event.op == "probe" and self._paths.is_own_descriptor(event):
                return verdict  # it looks at what the process has open
            # Another last name is another file, as long as that name isn't followed.
            last = posixpath.basename(event.path or "")
            other = self._base is not None and _follows(event) is False and last != self._base
            return verdict if other else None
        names = self._paths.links.names(real, event.timestamp_ns)
        wanted = self._names(event.timestamp_ns)
        if names is None or wanted is None:
            return None
        if any(name in wanted[0] or wanted[1](name) or self._accepts(name) for name in names):
            return True
        return True if event.file is None and self._is_same(real) else verdict

    def _is_same(self, real: str) -> bool:
        """Whether a name that nobody changed is one of the file's other names."""
        links = self._paths.links
        if self._identity is None or self._is_alone or links.made(real) or links.has_moved(real):
            return False
        with self._silently():
            try:
                status = os.lstat(real)
            except OSError:
                return False
        return identity_of(status) == self._identity


# Opening as Python does


_ACCESS = {"r": "O_RDONLY", "w": "O_WRONLY", "a": "O_WRONLY", "x": "O_WRONLY"}


def file_opened(table: Table, /, path: object, mode: str | None = None) -> Question:
    """The file was opened, with this mode if given."""
    asked = effect_query(table, "files", op="open", path=path)
    accepts = None if mode is None else _mode(mode)
    given = {} if mode is None else {"mode": mode}
    return _Opened(typed("assert_file_opened", path, **given), table, asked, accepts)


def _mode(mode: object) -> Callable[[frozenset[str]], str]:
    """What is wrong with an open's flags, "" if they are what Python's mode asks for."""
    if not isinstance(mode, str):
        raise TypeError(f"mode: expected str, not {type(mode).__name__}")
    letters = set(mode) - set("bt+")
    if len(letters) != 1 or not letters <= set("rwax") or len(set(mode)) != len(mode) or {"b", "t"} <= set(mode):
        raise ValueError(
            f"mode: {mode!r} is none of Python's: one of r, w, a, x, with + or without (b and t tell nothing)"
        )
    (letter,) = letters
    access = "O_RDWR" if "+" in mode else _ACCESS[letter]
    wanted = {"r": set(), "w": {"O_TRUNC"}, "a": {"O_APPEND"}, "x": {"O_CREAT", "O_EXCL"}}[letter]
    unwanted = {"r": {"O_TRUNC", "O_APPEND", "O_EXCL"}, "w": {"O_EXCL", "O_APPEND"}, "a": {"O_TRUNC"}, "x": set()}[
        letter
    ]

    def wrong(flags: frozenset[str]) -> str:
        if access not in flags:
            return f"mode {mode!r} is {access}"
        missing, extra = wanted - flags, unwanted & flags
        if missing:
            return f"mode {mode!r} has {'|'.join(sorted(missing))}"
        return f"mode {mode!r} has no {'|'.join(sorted(extra))}" if extra else ""

    return wrong


class _Opened(Question):
    def __init__(self, typed: str, table: Table, asked: Query, wrong: Callable[[frozenset[str]], str] | None) -> None:
        self.typed = typed
        self._asked = asked
        self._wrong = wrong
        self._calls = calls_of("files", table, frozenset({"open"}))

    def judge(self, recording: Assertions) -> None:
        """Look for an open that succeeded."""
        __tracebackhide__ = True
        answer = Answer(self._calls, "files", problem="it was not opened", doubt="what was opened isn't known")
        misses: list[tuple[float, Finding]] = []
        opens = recording._file_effects()
        opens = opens.of([kind for kind, one in opens.kinds() if one.op == "open"])
        for event in opens:
            verdict = self._asked.test(event)
            wrong = ""
            if self._wrong is not None and verdict is not False:
                if event.flags is None or "flags" in event.unread:
                    verdict = None
                else:
                    wrong = self._wrong(frozenset(event.flags.split("|")))
            if verdict and not wrong and event.ok:
                return
            if verdict is not False and not wrong and event.result != "failed":
                answer.unsure.append(Finding(event))
                continue
            notes = self._asked.misses(event) if verdict is False else [wrong] if wrong else []
            if event.result == "failed":
                notes.append(f"failed with {event.errno}")
            far = self._asked.unlikeness(event) if verdict is False else 0
            misses.append((far, Finding(event, "; ".join(notes))))
        nearest: dict[str, Finding] = {}
        for _, finding in sorted(misses, key=lambda each: each[0]):
            nearest.setdefault(str(finding.call), finding)
        answer.misses = [*nearest.values()][:5]
        if not misses:
            answer.hints.append("no open was recorded at all")
        self.require(recording, answer)
