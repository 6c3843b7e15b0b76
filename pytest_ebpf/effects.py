"""What calls do to files, on sockets and with processes, whichever call it is: one table, and the reading of it."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, overload

from . import syscalls
from .alike import Alike
from .events import Address, Effect, File, FileEvent, NetworkEvent, ProcessEvent, Result, Socket, SyscallEvent
from .syscalls import Syscall, Table

__all__ = [
    "END",
    "FILE_KINDS",
    "OPS",
    "FileEvents",
    "Kind",
    "calls_of",
    "clone_flags",
    "core_dump",
    "file_events",
    "network_events",
    "process_events",
    "targets",
]

Kind = Literal["files", "network", "processes"]

OPS: Mapping[Kind, Mapping[str, str]] = {
    "files": {
        "chdir": "the directory became the working or root directory of a process",
        "create": "a name was made: by an open that made the file, mkdir, mknod, link, symlink, the target of rename, "
        "bind of a unix socket; or a file without a name, by O_TMPFILE or memfd_create",
        "execute": "the file was executed as a program, or to interpret a script",
        "link": "the file got one more name (that name is a create)",
        "lock": "a lock on the file was taken, changed or given back",
        "map": "the file was mapped into memory",
        "metadata": "owner, permissions, times, attributes or extended attributes were changed",
        "mount": "a file system was mounted on the directory, moved or taken away",
        "open": "a descriptor for the file was made",
        "probe": "the file was asked whether it is there and how it is: stat, access, readlink, getxattr, a watch",
        "read": "content was read; of a directory its entries",
        "remove": "a name was taken away: by unlink, rmdir, the source of rename",
        "sync": "content was forced to the disk, also of a shared mapping by msync(MS_SYNC)",
        "truncate": "the size was set, by truncate or by an open with O_TRUNC",
        "write": "content was written; also a shared mapping that is writable, or becomes so, which may write at any "
        "time",
    },
    "network": {
        "accept": "a connection was taken from a listening socket",
        "bind": "the socket got an address of its own",
        "connect": "the socket got a peer",
        "dns": "a message of DNS was sent or received, beside its send or receive",
        "listen": "the socket began to take connections",
        "receive": "data was received, by any call on a socket that reads; also a mapping, which shows what comes",
        "send": "data was sent, by any call on a socket that writes",
        "shutdown": "one or both directions were closed",
    },
    "processes": {
        "exec": "the process became another program",
        "exit": "the process ended, by itself or by a signal",
        "fork": "a new process was begun (threads are none)",
        "signal": "a signal was sent (0, which asks whether a process is there, is none)",
    },
}
"""What the events of each kind can be, and what that means."""

END = "sched_process_exit"
"""Stands for a call where a process ends: the kernel's hook."""

_EFFECTS = """\
# calls: the effects of each, as op(argument), where the argument is a path, a descriptor or a sockaddr, "result" the
# returned descriptor, or an address: which file is mapped there, a whole recording tells (mappings.py). It is left out
# where the file isn't known, and of a sync of all. Then "?" and what an argument has to be for it, as in syscalls.py;
# UNNAMED is an ioctl without a name there that is given something, and may do that to a file or disk. Read and write
# of a socket are receive and send, its map a receive. An operation on an io_uring, or of kernel aio, has the effects of
# the call that it is like.

# Opening
open openat: open(filename) create(filename)?flags&O_CREAT|O_TMPFILE truncate(filename)?flags&O_TRUNC
openat2: open(filename) create(filename)?how&O_CREAT|O_TMPFILE truncate(filename)?how&O_TRUNC
creat: open(pathname) create(pathname) truncate(pathname)
open_by_handle_at: open(result) truncate(result)?flags&O_TRUNC
open_tree open_tree_attr: open(filename)
memfd_create memfd_secret: create(result)
fspick: open(path)
execve execveat: execute(filename) exec(filename)

# Contents
read readv pread64 preadv preadv2 getdents getdents64 readahead: read(fd)
write writev pwrite64 pwritev pwritev2 fallocate: write(fd)
sendfile: read(in_fd) write(out_fd)
copy_file_range splice: read(fd_in) write(fd_out)
truncate: truncate(path)
ftruncate: truncate(fd)
mmap: map(fd) write(fd)?prot&PROT_WRITE?flags&MAP_SHARED|MAP_SHARED_VALIDATE
mremap: write(addr)
mprotect pkey_mprotect: write(start)?prot&PROT_WRITE
madvise: write(start)?behavior=MADV_REMOVE
process_madvise: write(vec)?behavior=MADV_REMOVE
msync: sync(start)?flags&MS_SYNC
fsync fdatasync syncfs sync_file_range: sync(fd)
sync: sync()
flock: lock(fd)
fcntl: lock(fd)?cmd=F_SETLK|F_SETLKW|F_OFD_SETLK|F_OFD_SETLKW|F_SETLEASE
ioctl: write(fd)?cmd=FICLONE|FICLONERANGE|EXT4_IOC_MOVE_EXT|EXT4_IOC_SWAP_BOOT|BLKDISCARD|BLKSECDISCARD|BLKZEROOUT
    write(fd)?cmd=FS_IOC_RESVSP|FS_IOC_RESVSP64|FS_IOC_UNRESVSP|FS_IOC_UNRESVSP64|FS_IOC_ZERO_RANGE
    write()?cmd=FIDEDUPERANGE|EXT4_IOC_MOVE_EXT
    metadata(fd)?cmd=FS_IOC_SETFLAGS|FS_IOC_FSSETXATTR|FS_IOC_SETVERSION|EXT4_IOC_SETVERSION|FS_IOC_SETFSLABEL|BLKROSET
    metadata(fd)?cmd=FS_IOC_SET_ENCRYPTION_POLICY|FS_IOC_ENABLE_VERITY
    write(fd)?cmd=UNNAMED metadata(fd)?cmd=UNNAMED
acct: write(name)
bpf: create()?cmd=BPF_OBJ_PIN open()?cmd=BPF_OBJ_GET

# Names
mkdir mkdirat: create(pathname)
mknod mknodat: create(filename)
symlink symlinkat: create(newname)
link linkat: link(oldname) create(newname)
rename renameat: remove(oldname) create(newname)
renameat2: remove(oldname) create(newname) remove(newname)?flags&RENAME_EXCHANGE
    create(oldname)?flags&RENAME_EXCHANGE|RENAME_WHITEOUT
unlink unlinkat rmdir: remove(pathname)
chdir chroot: chdir(filename)
fchdir: chdir(fd)
pivot_root: chdir(new_root) mount(put_old)
mount: mount(dir_name)
umount2: mount(name)
move_mount: mount(from_pathname) mount(to_pathname)
mount_setattr: mount(path)

# Attributes
stat lstat newfstatat statx access faccessat faccessat2: probe(filename)
fstat fstatfs fgetxattr flistxattr: probe(fd)
statfs readlinkat getxattr lgetxattr getxattrat listxattr llistxattr listxattrat: probe(pathname)
readlink: probe(path)
file_getattr: probe(filename)
inotify_add_watch fanotify_mark: probe(pathname)
name_to_handle_at: probe(name)
quotactl: probe(special)
swapon: probe(specialfile) write(specialfile)
swapoff: probe(specialfile)
chmod fchmodat fchmodat2 chown lchown fchownat utime utimes futimesat utimensat file_setattr: metadata(filename)
fchmod fchown fsetxattr fremovexattr: metadata(fd)
setxattr lsetxattr setxattrat removexattr lremovexattr removexattrat: metadata(pathname)

# Network
connect: connect(fd) probe(uservaddr)
bind: bind(fd) create(umyaddr)
listen: listen(fd)
accept accept4: accept(fd)
sendto sendmsg sendmmsg: send(fd) connect(fd)?flags&MSG_FASTOPEN
recvfrom recvmsg recvmmsg: receive(fd)
getsockopt: receive(fd)?level=SOL_TCP?optname=TCP_ZEROCOPY_RECEIVE
shutdown: shutdown(fd)

# Processes
fork vfork clone clone3: fork()
kill tkill rt_sigqueueinfo: signal(pid)
tgkill rt_tgsigqueueinfo: signal(tgid)
pidfd_send_signal: signal(pidfd)
sched_process_exit: exit()
"""

_OF_SOCKETS = {"map": "receive", "read": "receive", "write": "send"}
FILE_KINDS = ("file", "directory", "symlink", "character device", "block device", "fifo", "memfd")
"""Kinds of file that are files to a user; a pipe, an eventfd and the like are not."""
_UNDER_WAY = frozenset({"EINPROGRESS", "EALREADY", "EINTR", "ERESTARTSYS"})
"""Errors of a connect that goes on."""
_CLONE_THREAD = 0x00010000


class _Target(NamedTuple):
    """One effect in the table."""

    op: str
    argument: str
    conditions: tuple[str, ...]


@functools.cache
def _table() -> Mapping[str, tuple[_Target, ...]]:
    """The effects of each call, by its name."""
    found: dict[str, tuple[_Target, ...]] = {}
    for line in re.sub(r"\n +", " ", _EFFECTS).splitlines():
        if line and not line.startswith("#"):
            calls, effects = line.split(": ", 1)
            targets = []
            for effect in effects.split():
                match = re.fullmatch(r"(\w+)\((\w*)\)((?:\?\S+)?)", effect)
                assert match, effect
                targets.append(_Target(match[1], match[2], tuple(filter(None, match[3].split("?")))))
            found.update(dict.fromkeys(calls.split(), tuple(targets)))
    return found


def targets(name: str) -> tuple[_Target, ...]:
    """The effects that a call may have."""
    return _table().get(name) or _table().get(syscalls.ring_model(name), ())


@functools.cache
def calls_of(kind: Kind, table: Table, ops: frozenset[str] | None = None) -> frozenset[str]:
    """Names of the calls, and of the operations on an io_uring, that can have effects of that kind.

    Only those with one of ``ops``, if given.
    """
    wanted = frozenset(OPS[kind]) if ops is None else ops
    if kind == "network":
        as_of_files = {of_file for of_file, of_socket in _OF_SOCKETS.items() if of_socket in wanted}
        wanted |= as_of_files | (frozenset({"send", "receive", "read", "write"}) if "dns" in wanted else frozenset())
    return frozenset(name for name in table.names if any(target.op in wanted for target in targets(name)))


def file_events(call: SyscallEvent, table: Table) -> Iterator[FileEvent]:
    """What a call did to files."""
    return (event for event in _effects(call, table, "files") if isinstance(event, FileEvent))


def core_dump(end: SyscallEvent) -> Iterator[FileEvent]:
    """What the end of a process did to files, if it left a core: to which one, nobody tells."""
    if end.args.get("core_dumped"):
        yield FileEvent(op="create", call=end, unread=frozenset({"op", "path"}))
        yield FileEvent(op="write", call=end, unread=frozenset({"nbytes", "path"}))


class FileEvents(Alike[FileEvent]):
    """What calls did to files, in their order; effects are alike if their calls are.

    >>> FileEvents(alike([call]), table()).kinds()
    """

    def __init__(self, calls: Alike[SyscallEvent], table: Table) -> None:
        self._models = {kind: [*enumerate(file_events(one, table))] for kind, one in calls.kinds()}
        """Of each kind of call, the effects of one, each with its place among them."""
        self._calls = calls.of([kind for kind, models in self._models.items() if models])
        self._known: tuple[FileEvent, ...] | None = None

    def kinds(self) -> Iterator[tuple[Hashable, FileEvent]]:
        """See Alike."""
        return (((kind, place), model) for kind, models in self._models.items() for place, model in models)

    def of(self, kinds: Collection[Hashable]) -> FileEvents:
        """See Alike."""
        chosen = object.__new__(FileEvents)
        chosen._models = {}
        asked = frozenset(kinds)
        for kind, models in self._models.items():
            wanted = [(place, model) for place, model in models if (kind, place) in asked]
            if wanted:
                chosen._models[kind] = wanted
        chosen._calls = self._calls.of(chosen._models)
        chosen._known = None
        return chosen

    def told(self) -> Iterator[tuple[Hashable, FileEvent]]:
        """See Alike."""
        models = self._models
        for kind, call in self._calls.told():
            for place, model in models[kind]:
                yield (kind, place), _like(model, call)

    def __iter__(self) -> Iterator[FileEvent]:
        models = self._models
        return (_like(model, call) for kind, call in self._calls.told() for _, model in models[kind])

    def __len__(self) -> int:
        by_number: dict[int, list[Hashable]] = {}
        for kind, models in self._models.items():
            by_number.setdefault(len(models), []).append(kind)
        return sum(number * len(self._calls.of(kinds)) for number, kinds in by_number.items() if number)

    @overload
    def __getitem__(self, index: int) -> FileEvent: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[FileEvent]: ...
    def __getitem__(self, index: int | slice) -> FileEvent | Sequence[FileEvent]:
        return self._all[index]

    @property
    def _all(self) -> tuple[FileEvent, ...]:
        if self._known is None:
            self._known = tuple(self)
        return self._known


def _like(model: FileEvent, call: SyscallEvent) -> FileEvent:
    """The same effect of another call of the same kind."""
    if call is model.call:
        return model
    return FileEvent(
        op=model.op,
        call=call,
        result=model.result,
        unread=model.unread,
        path=model.path,
        paths=model.paths,
        flags=model.flags,
        nbytes=None if model.nbytes is None else call.ret,
        file=model.file,
    )


def network_events(call: SyscallEvent, table: Table) -> Iterator[NetworkEvent]:
    """What a call did on sockets; without what its messages say, for which see names.py."""
    return (event for event in _effects(call, table, "network") if isinstance(event, NetworkEvent))


def process_events(call: SyscallEvent, table: Table) -> Iterator[ProcessEvent]:
    """What a call did with processes."""
    return (event for event in _effects(call, table, "processes") if isinstance(event, ProcessEvent))


def _effects(call: SyscallEvent, table: Table, kind: Kind) -> Iterator[Effect]:
    wanted = targets(call.name)
    if wanted:
        reading = _Reading(call, table)
        for target in wanted:
            doubt = reading.doubt(target)
            if doubt is not None:
                yield from _READERS[kind](reading, target, doubt)


@dataclass(slots=True)
class _Place:
    """What an argument says about a file."""

    file: File | None
    paths: tuple[str, ...]
    unread: frozenset[str]

    @property
    def path(self) -> str | None:
        if self.file is not None and self.file.path is not None:
            return self.file.path
        return self.paths[-1] if self.paths else None


class _Reading:
    """One call, while its effects are told."""

    def __init__(self, call: SyscallEvent, table: Table) -> None:
        self.call = call
        self.table = table
        self.syscall = _syscall(table, call.name)

    def doubt(self, target: _Target) -> frozenset[str] | None:
        """{"op"} if what the effect depends on isn't known; None if there is no such effect."""
        doubt: frozenset[str] = frozenset()
        for condition in target.conditions:
            holds = self._holds(condition)
            if holds is False:
                return None
            if holds is None:
                doubt = frozenset({"op"})
        return doubt

    def _holds(self, condition: str) -> bool | None:
        name, wanted = re.split("[=&]", condition, maxsplit=1)
        argument = self.syscall.argument(name)
        value = self.call.args.get(name)
        if argument is None or name in self.call.unread:
            return None  # not recorded, of an operation on a ring; or not read
        if argument.kind == "int":  # whose meaning another one decides
            argument = self.syscall.applied(self.call.args, self.table.arch).argument(name) or argument
        if argument.kind == "open_how":
            value = value.get("flags") if isinstance(value, Mapping) else None
        if not isinstance(value, int):
            return None
        if wanted == "UNNAMED":
            return None if _is_unnamed(argument.constants, value) else False
        return _has_any(argument.constants, value, wanted, self.table.arch)

    @property
    def result(self) -> Result:
        call = self.call
        if call.name == END or call.started is not None:
            return "done"
        if call.in_flight:
            return "pending"
        if call.ret is None:
            return "unknown"
        return "done" if call.errno is None else "failed"

    @property
    def flags(self) -> str | None:
        """The call's flags, by name."""
        if self.call.name == "creat":
            return "O_WRONLY|O_CREAT|O_TRUNC"
        for argument in self.syscall.args:
            value = self.call.args.get(argument.name)
            if isinstance(value, Mapping):
                value = value.get("flags")
            elif argument.kind != "flags" or argument.name in _NO_FLAGS:
                continue
            if isinstance(value, int) and argument.constants:
                return syscalls.flag_names(argument.constants, value, self.table.arch)
        return None

    @property
    def flags_unread(self) -> frozenset[str]:
        names = [a.name for a in self.syscall.args if a.kind in ("flags", "open_how", "clone_args")]
        missing = [name for name in names if name in self.call.unread]
        return frozenset({"flags"}) if missing or syscalls.ring_model(self.call.name) else frozenset()

    def nbytes(self, result: Result) -> tuple[int | None, frozenset[str]]:
        """How many bytes the call moved, and whether that is unknown."""
        model = syscalls.ring_model(self.call.name) or self.call.name
        moves = _syscall(self.table, model).returns == "size"
        if moves and result == "done":
            return self.call.ret, frozenset()
        unknown = result in ("pending", "unknown") and moves
        return None, frozenset({"nbytes"}) if unknown or model in _COUNTS else frozenset()

    def place(self, target: _Target) -> _Place | None:
        """The file that an argument stands for; None if it stands for none."""
        name, call = target.argument, self.call
        if not name:
            return _Place(None, (), frozenset() if target.op == "sync" else frozenset({"path"}))
        if name == "result":
            if call.result_file is None and call.ret is not None and call.ret >= 0:
                return _Place(None, (), frozenset({"path"}))
            return _place_of(call.result_file) if call.result_file else _Place(None, (), frozenset())
        argument = self.syscall.argument(name)
        if argument is None:  # not recorded, of an operation on a ring
            return _Place(None, (), frozenset({"path", "op"}))
        if argument.kind == "path":
            beside = call.files.get(argument.base)
            if beside is not None and not call.args.get(name):
                return _place_of(beside)  # the path is empty or NULL: the call is on the descriptor
            return self._place_of_path(name)
        if argument.kind == "sockaddr":
            return self._place_of_address(name)
        file = call.files.get(name)
        if file is not None:
            return _place_of(file)
        return _Place(None, (), frozenset({"path", "op"})) if name in call.unread else None

    def _place_of_path(self, name: str) -> _Place | None:
        call = self.call
        passed = call.args.get(name)
        unread = set(call.unread & {"path"}) if name in call.unread else set()
        if not isinstance(passed, str):
            if call.errno == "EFAULT":
                return None
            return _Place(None, (), frozenset({"path"}))
        absolute = call.abspaths.get(name) or (call.abspath if passed == call.path else None)
        file = call.result_file if self.syscall.returns == "fd" else None
        if file is not None and _is_tmpfile(self):
            return _place_of(file)  # what was passed is the directory
        if not passed and absolute is None and not call.unread:
            return None  # the descriptor beside it, which is no file
        if absolute is None:
            unread |= call.unread & {"abspath"}
        if self.syscall.returns == "fd" and file is None:
            unread |= call.unread & {"realpath"}
        real = file.path if file is not None else call.realpath if self.syscall.returns == "fd" else None
        spellings = dict.fromkeys(each for each in (passed, absolute, real) if each is not None)
        return _Place(file, tuple(spellings), frozenset(unread))

    def _place_of_address(self, name: str) -> _Place | None:
        """The file of a unix socket."""
        address = self.call.args.get(name)
        if isinstance(address, Address):
            if address.path and not address.path.startswith("@"):
                spellings = dict.fromkeys(filter(None, (address.path, address.abspath)))
                known = address.abspath is not None or address.path.startswith("/")
                return _Place(None, tuple(spellings), frozenset() if known else frozenset({"abspath"}))
            return None
        return _Place(None, (), frozenset({"path", "op"})) if "address" in self.call.unread else None


_NO_FLAGS = frozenset({"prot", "mask", "type", "attr_flags", "event_f_flags"})
"""Arguments of or-ed constants beside the call's flags."""
_COUNTS = frozenset({"sendmmsg", "recvmmsg"})
"""Calls that move bytes and return a number of messages."""


def _place_of(file: File) -> _Place:
    return _Place(file, (file.path,) if file.path is not None else (), frozenset({"path"} if file.path_cut else ()))


def _files(reading: _Reading, target: _Target, doubt: frozenset[str]) -> Iterator[FileEvent]:
    op, call = target.op, reading.call
    if op not in OPS["files"]:
        return
    place = reading.place(target)
    if place is None or (place.file is not None and place.file.kind not in FILE_KINDS):
        return
    if call.name == "ioctl" and doubt and (call.errno == "ENOTTY" or _keeps_nothing(place)):
        return
    if op == "create" and "open" in reading.syscall.classes and call.created is False and not _is_tmpfile(reading):
        return
    result = reading.result
    if op == "probe" and call.name == "connect" and call.errno in _UNDER_WAY:
        result = "done"
    if op == "create" and result == "failed" and _may_be_made(reading):
        result = "unknown"
    nbytes, uncounted = reading.nbytes(result) if op in _OF_SOCKETS else (None, frozenset())
    real = _told_path(call, target)
    if real is not None:
        paths = tuple(dict.fromkeys([*place.paths, real]))
        place = _Place(place.file, paths, place.unread - {"path", "abspath"})
    yield FileEvent(
        op=op,
        call=call,
        result=result,
        path=place.path if real is None else real,
        paths=place.paths,
        real=real,
        flags=reading.flags,
        nbytes=nbytes,
        file=place.file,
        unread=place.unread | doubt | uncounted | reading.flags_unread,
    )
    for path in _interpreters(call, place.paths) if op == "execute" else ():
        paths = () if path is None else (path,)
        unread = frozenset({"path"} if path is None else ())
        yield FileEvent(op=op, call=call, result=result, path=path, paths=paths, real=path, unread=unread)


def _interpreters(call: SyscallEvent, known: Collection[str]) -> Iterator[str | None]:
    """What the kernel executed in place of a script, None where that has no path; without hooks the last of several."""
    told = [hook.paths[0] for hook in call.hooks if "execute" in hook.ops][1:]
    if call.started is not None:
        named = call.args.get("filename")
        # The kernel gives the script's path to its interpreter, as it was passed or by its descriptor.
        given = any(each == named or each.startswith("/dev/fd/") for each in call.started.argv[1:])
        if given or "argv" in call.unread:
            told.append(call.started.exe)
    return (path for path in dict.fromkeys(told) if path not in known)


def _keeps_nothing(place: _Place) -> bool:
    """Whether it is no file, directory or disk, on which an ioctl may change what is kept; a pidfd is none."""
    file = place.file
    return file is None or file.name is not None or file.kind not in ("file", "directory", "block device")


def _told_path(call: SyscallEvent, target: _Target) -> str | None:
    """The real path of what the effect was on, if a hook of the kernel told it."""
    for hook in call.hooks:
        # A program's own path goes through symlinks as that of any other call does: `amend` has minded what was passed.
        if target.op in hook.ops and target.op != "execute" and hook.paths and target.argument != "result":
            return hook.paths[0] if len(hook.paths) == 1 or target.argument.startswith("old") else hook.paths[1]
    return None


def _may_be_made(reading: _Reading) -> bool:
    """Whether an open that failed may have made the file: the file system can't do without the page cache, or, before
    Linux 6.4, it was to be a directory.
    """
    flags = set((reading.flags or "").split("|"))
    return reading.call.errno in ("EINVAL", "ENOTDIR") and bool(flags & {"O_DIRECT", "O_DIRECTORY"})


def _is_tmpfile(reading: _Reading) -> bool:
    flags = reading.flags
    return flags is not None and "O_TMPFILE" in flags.split("|")


def _network(reading: _Reading, target: _Target, doubt: frozenset[str]) -> Iterator[NetworkEvent]:
    call = reading.call
    op = _OF_SOCKETS.get(target.op, target.op)
    if op not in OPS["network"]:
        return
    file = call.files.get(target.argument)
    if file is None:
        unknown = target.argument in call.unread or reading.syscall.argument(target.argument) is None
        if op != target.op:
            if not unknown:
                return
            doubt |= {"op", "address"}
    elif file.socket is None:
        return
    socket = file.socket if file is not None else None
    if op == "accept" and call.result_file is not None:
        socket = call.result_file.socket
    if op == "connect" and call.address is not None and call.address.family == "AF_UNSPEC":
        return  # the socket is let go of its peer
    for address, result in _ends(reading, target, socket):
        nbytes, uncounted = reading.nbytes(result) if op in ("receive", "send") else (None, frozenset())
        unread = doubt | uncounted | reading.flags_unread
        if address is None and ("address" in call.unread or _may_have_come_from_anyone(op, socket, result)):
            unread |= {"address", "host"}
        yield NetworkEvent(
            op=op,
            call=call,
            result=result,
            family=socket.family if socket is not None else address.family if address is not None else None,
            address=address,
            flags=reading.flags,
            nbytes=nbytes,
            socket=socket,
            unread=unread,
        )


def _ends(reading: _Reading, target: _Target, socket: Socket | None) -> list[tuple[Address | None, Result]]:
    """The other end of a call, or of each of its messages, with what became of it."""
    call, result = reading.call, reading.result
    if target.op == "listen":
        return [(socket.local if socket is not None else None, result)]
    if target.op == "connect" and call.errno in _UNDER_WAY:
        result = "pending"
    elif target.op in ("read", "receive") and call.errno == "EFAULT":
        result = "unknown"  # a part may have arrived, at those addresses that were good
    # Only in these families there are several whom it could be.
    anyone = socket is None or socket.family in ("AF_INET", "AF_INET6", "AF_VSOCK")
    peer = socket.peer if socket is not None else None
    if peer is None and socket is not None and not anyone and result == "done":
        peer = Address(socket.family)
    if call.name in _COUNTS and len(call.addresses) > 1:
        # If each has an address, the result says of which ones: the kernel stops at the first message that fails.
        count = call.ret if call.name == "sendmmsg" and len(call.addresses) == call.args.get("vlen") else None
        if count is None or count < 0:
            return [(address, result) for address in call.addresses]
        sent: list[tuple[Address | None, Result]] = [(address, "done") for address in call.addresses[:count]]
        return [*sent, *[(address, "failed") for address in call.addresses[count : count + 1]]]
    if target.op in _OF_SOCKETS:  # a read or write of one of perhaps two descriptors
        return [(peer, result)]
    if target.op == "send" and "address" in call.unread and not call.addresses:
        return [(None, result)]  # the peer needn't be whom it went to
    if target.op == "send" and call.addresses:
        return [(address, result) for address in call.addresses]
    return [(call.address or peer, result)]


def _may_have_come_from_anyone(op: str, socket: Socket | None, result: Result) -> bool:
    """Whether data was received on a socket without a peer, by a call that doesn't ask for the sender."""
    return (
        op == "receive"
        and result in ("done", "unknown")
        and socket is not None
        and socket.type in ("SOCK_DGRAM", "SOCK_RAW")
    )


def _processes(reading: _Reading, target: _Target, doubt: frozenset[str]) -> Iterator[ProcessEvent]:
    call, op = reading.call, target.op
    if op not in OPS["processes"]:
        return
    process, result = call.process, reading.result
    if op == "exec":
        yield _exec(reading, target, result, doubt)
    elif op == "fork":
        flags = clone_flags(call)
        if call.started is None and (flags is None or flags & _CLONE_THREAD):
            if flags is not None:
                return
            doubt |= {"op"}
        yield ProcessEvent(
            op=op, call=call, result=result, exe=process.exe, argv=process.argv, child=call.started, unread=doubt
        )
    elif op == "signal":
        number, to = call.args.get("sig"), call.args.get(target.argument)
        if number != 0:
            yield ProcessEvent(
                op=op,
                call=call,
                result=result,
                exe=process.exe,
                argv=process.argv,
                target=int(to) if isinstance(to, int) and target.argument != "pidfd" else None,
                signal=syscalls.flag_names("signal", number) if isinstance(number, int) else None,
            )
    else:
        yield ProcessEvent(
            op=op,
            call=call,
            exe=process.exe,
            argv=process.argv,
            exit_code=call.args.get("exit_code"),
            signal=call.args.get("signal"),
        )


def clone_flags(call: SyscallEvent) -> int | None:
    """The flags of a call that forks; None if they aren't known."""
    flags = call.args.get("clone_flags", 0)
    if call.name == "clone3":
        struct = call.args.get("uargs")
        flags = struct.get("flags") if isinstance(struct, Mapping) else None
    return flags if isinstance(flags, int) else None


def _exec(reading: _Reading, target: _Target, result: Result, doubt: frozenset[str]) -> ProcessEvent:
    call = reading.call
    place = reading.place(target)
    paths = place.paths if place is not None else ()
    unread = set(doubt)
    if place is not None and place.unread:
        unread.add("exe")
    argv = call.args.get("argv")
    if call.started is not None:
        exe, argv = call.started.exe, call.started.argv or argv
    else:
        exe = place.path if place is not None else None
    if not isinstance(argv, tuple) or "argv" in call.unread:
        unread.add("argv")
    return ProcessEvent(
        op="exec",
        call=call,
        result=result,
        exe=exe or (place.path if place is not None else None),
        paths=tuple(dict.fromkeys([*paths, *([exe] if exe else [])])),
        argv=argv if isinstance(argv, tuple) else (),
        unread=frozenset(unread),
    )


_READERS: Mapping[Kind, Any] = {"files": _files, "network": _network, "processes": _processes}


@functools.lru_cache(maxsize=1024)
def _syscall(table: Table, name: str) -> Syscall:
    return table.by_name(name) if name in table.names else Syscall(name, ())


_IOC_WRITE, _SG_IO = 0x40000000, 0x2285


def _is_unnamed(constants: str, value: int) -> bool:
    """Whether an ioctl has no name here and is given something, as the bit for that says, or a command to a disk."""
    is_given = bool(value & _IOC_WRITE) or value == _SG_IO
    return is_given and syscalls.flag_names(constants, value).startswith("0x")


@functools.lru_cache(maxsize=4096)
def _has_any(constants: str, value: int, wanted: str, arch: str) -> bool:
    return any(syscalls.has_flags(constants, value, word, arch) for word in wanted.split("|"))
