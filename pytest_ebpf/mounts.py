"""What was mounted in a recording, after which a path may lead elsewhere, and a file have other names."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .events import SyscallEvent
from .files import UNREACHABLE
from .links import Links

__all__ = ["CALLS", "ELSEWHERE", "again", "leads_elsewhere"]

CALLS = frozenset({"fsmount", "fsopen", "mount", "move_mount", "open_tree", "open_tree_attr", "pivot_root", "setns"})
ELSEWHERE = "after this, a path may lead elsewhere"
"""What to say of them."""
_MS_REMOUNT, _MS_BIND, _MS_MOVE = 32, 4096, 8192
_MS_PROPAGATION = 0x1E0000
"""MS_UNBINDABLE, MS_PRIVATE, MS_SLAVE and MS_SHARED, which the kernel heeds where there is neither of the first two."""
_MS_MAGIC = 0xC0ED0000
"""What old programs set besides, in place of all flags from 65,536 on."""
_FRESH = frozenset(
    {"binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "efivarfs", "fusectl"}
    | {"hugetlbfs", "mqueue", "proc", "pstore", "ramfs", "securityfs", "sysfs", "tmpfs", "tracefs"}
)
"""File systems that show nothing of another one."""
_CLONE_NEWNS = 0x20000
_OPEN_TREE_CLONE = 1


def leads_elsewhere(call: SyscallEvent, concerns: Callable[[str], bool], links: Links) -> bool:
    """Whether a path that matters may lead elsewhere after one of `CALLS`; ``concerns`` says it of a place."""
    if call.errno is not None or call.name == "fsopen":
        return False
    if call.name == "mount":
        if _changes_another(_flags(call)):
            return False
        target = call.abspaths.get("dir_name")
        real = None if target is None else links.real(target, call.timestamp_ns, follow=True)
        return real is None or concerns(real)
    if call.name == "setns":
        return _enters(call)
    return _clones(call) if call.name.startswith("open_tree") else True


def again(calls: Sequence[SyscallEvent]) -> list[SyscallEvent]:
    """Those by which a file that is there may get another name."""
    return [call for call in calls if call.errno is None and _shows_again(call, calls)]


def _shows_again(call: SyscallEvent, calls: Sequence[SyscallEvent]) -> bool:
    match call.name:
        case "mount":
            flags = _flags(call)
            moves = flags is None or bool(flags & (_MS_BIND | _MS_MOVE))
            return not _changes_another(flags) and (moves or call.args.get("type") not in _FRESH)
        case "fsmount":
            return any(each.name == "fsopen" and each.args.get("_fs_name") not in _FRESH for each in calls)
        case "move_mount":
            made = any(each.errno is None and (each.name == "fsmount" or _is_clone(each)) for each in calls)
            return not (made and _is_detached(call))  # else it is what one of the others made
        case "setns":
            return _enters(call)
        case "open_tree" | "open_tree_attr":
            return _is_clone(call)
        case _:
            return call.name == "pivot_root"


def _is_detached(call: SyscallEvent) -> bool:
    """Whether move_mount was given, by its descriptor, a mount that was nowhere yet: that is its own root."""
    file = call.files.get("from_dfd")
    return call.args.get("from_pathname") == "" and file is not None and file.path in ("/", f"{UNREACHABLE}/")


def _flags(call: SyscallEvent) -> int | None:
    """Of mount, as the kernel takes them; None if they aren't known."""
    flags = call.args.get("flags")
    if not isinstance(flags, int):
        return None
    return flags & 0xFFFF if flags & 0xFFFF0000 == _MS_MAGIC else flags


def _changes_another(flags: int | None) -> bool:
    """Whether a mount only changes one that is there."""
    return flags is not None and bool(flags & _MS_REMOUNT or (flags & _MS_PROPAGATION and not flags & _MS_BIND))


def _enters(call: SyscallEvent) -> bool:
    """Whether setns leads into another mount namespace, as far as is known."""
    kind = call.args.get("flags", call.args.get("nstype", 0))
    return not isinstance(kind, int) or kind == 0 or bool(kind & _CLONE_NEWNS)


def _is_clone(call: SyscallEvent) -> bool:
    return call.name.startswith("open_tree") and _clones(call)


def _clones(call: SyscallEvent) -> bool:
    flags = call.args.get("flags")
    return not isinstance(flags, int) or bool(flags & _OPEN_TREE_CLONE)
