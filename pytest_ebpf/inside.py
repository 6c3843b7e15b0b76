"""Which sockets belong to the processes of a test: those that they bound, in the recording or before.

Of a unix socket the kernel tells no more than the path that was passed. So it is followed to where it led at the call,
and compared with where the binds led at theirs.
"""

from __future__ import annotations

import functools
import math
import os
import posixpath
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from .alike import Alike
from .effects import calls_of, network_events
from .events import Address, FileEvent, NetworkEvent
from .files import normal
from .links import Links, straight_path

if TYPE_CHECKING:
    from .assertions import Assertions

__all__ = ["Inside", "inode_of"]

_REPLACING = frozenset({"create", "mount", "remove"})
"""What is done to a name after which another file may stand there, or below it."""
_UNCONNECTED = "01"
"""State, in /proc/net/unix, of a socket that others may connect or send to."""
_NOW = 1 << 63
_CONNECTING = ("SOCK_STREAM", "SOCK_SEQPACKET")
"""Types of unix sockets that connect for good, to one that accepts them."""
_DIVERTING = frozenset(
    {
        (socket.SOL_SOCKET, socket.SO_BINDTODEVICE),
        (socket.SOL_SOCKET, 62),  # SO_BINDTOIFINDEX
        (socket.IPPROTO_IP, socket.IP_OPTIONS),
        (socket.IPPROTO_IP, 50),  # IP_UNICAST_IF
        (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO),
        (socket.IPPROTO_IPV6, socket.IPV6_RTHDR),
        (socket.IPPROTO_IPV6, 76),  # IPV6_UNICAST_IF
    }
)
"""Options, by their level, that may lead what goes to an address of this host out by another device."""


class Inside:
    """The sockets of a recording, of whose network effects these are the ``events``; of a part, those of the whole."""

    def __init__(self, recording: Assertions, events: Sequence[NetworkEvent]) -> None:
        self._recording = recording
        self._events = events
        self._connections: dict[int, bool | None] = {}

    @property
    def calls(self) -> frozenset[str]:
        """Names of the calls, beside those that have effects on sockets, that an answer depended on."""
        options = {"setsockopt"} if "_diverted" in self.__dict__ else set()
        if "_files" not in self.__dict__:
            return frozenset(options)
        table = self._recording._table
        links = {name for name in table.names if "symlink" in name.lower()}
        return calls_of("files", table, frozenset({"mount", "remove"})) | links | options

    def has_bound(self, event: NetworkEvent) -> bool:
        """Whether a process of the test gave a socket of its own the address of this event, for the same protocol."""
        kind = event.socket.type if event.socket is not None else None
        binds = (bind for bind in self._binds if bind.socket is not None and bind.socket.type == kind)
        return any(str(bind.address) == str(event.address) for bind in binds)

    def has_asked(self, event: NetworkEvent) -> bool:
        """Whether a message of DNS was exchanged with this event's address."""
        return str(event.address) in self._servers

    @functools.cached_property
    def _servers(self) -> frozenset[str]:
        return frozenset(str(event.address) for event in self._events if event.op == "dns")

    def is_diverted(self, event: NetworkEvent) -> bool:
        """Whether what the event's socket sends to this host may have left it."""
        return inode_of(event) in self._diverted

    @functools.cached_property
    def _diverted(self) -> frozenset[int]:
        names = frozenset({"setsockopt"})
        calls = self._recording._context(names) or self._recording._events(names)
        setting = (call for call in calls if call.ok and (call.args["level"], call.args["optname"]) in _DIVERTING)
        return frozenset(file.inode for call in setting for file in call.files.values())

    def admits(self, event: NetworkEvent, test: Callable[[NetworkEvent], bool]) -> bool | None:
        """Whether a unix socket with a name is the test's own, or one that passes the test; None if that isn't known.

        Ask in the order of the events: what is sent on a connection goes where its connect led.
        """
        inode, passed = inode_of(event), _is_passed(event)
        if not passed and inode in self._connections:
            return self._connections[inode]
        found: bool | None = any(map(test, self.spellings(event))) or self._has_accepted(event)
        if not found:
            found = self._holds_passed(event) if passed else self._holds_told(event)
        if inode and event.op == "connect" and event.result != "failed":
            self._connections[inode] = found
        return found

    def _has_accepted(self, event: NetworkEvent) -> bool:
        """Whether it is a connection that the test took at its other end, though none may listen there any more.

        Such a socket connects but once. What it tried before that, and failed, may have been somebody else.
        """
        if (
            event.socket is None
            or event.socket.type not in _CONNECTING
            or (_is_passed(event) and event.op != "connect")
        ):
            return False
        return event.result == "done" and inode_of(event) in self._accepted

    def _holds_passed(self, event: NetworkEvent) -> bool | None:
        """Whether the test's own is where an address led that the program gave."""
        address = _address(event)
        real = self._real(address, event.timestamp_ns, follow=True)
        if real is None:
            return None
        until_ns = math.inf if event.duration_ns is None else event.timestamp_ns + event.duration_ns
        binds = [bind for bind in self._binds if bind.timestamp_ns <= until_ns and self._place(bind) == real]
        if not binds:
            return self._holds(address, real)
        there = all(self._is_ours(inode) for inode, name in self._named(address, real) if name[:1] in ("/", "@"))
        return there and self._is_kept(real, binds[-1].timestamp_ns, event.timestamp_ns)

    def _holds_told(self, event: NetworkEvent) -> bool:
        """Whether the test's own has a name that the kernel told: as the other end was bound, whenever that was."""
        address = _address(event)
        real = self._real(address, event.timestamp_ns, follow=False)
        if any(_path(_address(bind)) == address.path or (real and self._place(bind) == real) for bind in self._binds):
            return True
        return self._holds(address, real)

    def spellings(self, event: NetworkEvent) -> Iterator[NetworkEvent]:
        """The event as it is; of a unix socket by its real path, and by that passed if it led there all the time."""
        address = event.address
        if address is None or address.path is None or address.path.startswith("@"):
            yield event
            return
        if not _is_passed(event):
            yield from () if ".." in address.path.split("/") else (event,)
            return
        real = self._real(address, event.timestamp_ns, follow=True)
        paths = [] if real is None else [real]
        straight = _straight(address)
        if straight is not None and ".." not in straight.split("/") and not self._links.moves(straight):
            paths.append(normal(straight))
            if ".." not in address.path.split("/"):
                paths.append(address.path)
        yield from (replace(event, address=replace(address, path=path, abspath=None)) for path in paths)

    def _place(self, bind: NetworkEvent) -> str | None:
        return self._real(_address(bind), bind.timestamp_ns, follow=False)

    def _real(self, address: Address, at_ns: int, *, follow: bool) -> str | None:
        """Where a path led at that time; an abstract name, as it is."""
        path = address.path
        if path is None or path.startswith("@"):
            return path
        straight = _straight(address)
        return None if straight is None else self._links.real(straight, at_ns, follow=follow)

    @functools.cached_property
    def _binds(self) -> list[NetworkEvent]:
        return [event for event in self._whole("bind") if event.ok and event.address is not None]

    @functools.cached_property
    def _accepted(self) -> frozenset[int]:
        """The inodes of those that connected to the test."""
        ends = (event.socket for event in self._whole("accept") if event.result == "done")
        return frozenset(end.peer_inode for end in ends if end is not None and end.family == "AF_UNIX") - {0}

    def _whole(self, op: str) -> Iterator[NetworkEvent]:
        """Such events of the whole recording, of which this may be a part."""
        table = self._recording._table
        whole = self._recording._context(calls_of("network", table, frozenset({op})))
        events = self._events if whole is None else (one for call in whole for one in network_events(call, table))
        return (event for event in events if event.op == op)

    @functools.cached_property
    def _files(self) -> Alike[FileEvent]:
        wider = self._recording._file_context()
        return self._recording._file_effects() if wider is None else wider

    @functools.cached_property
    def _links(self) -> Links:
        return Links(self._files, lambda: self._recording._silently(entirely=True))

    @functools.cached_property
    def _replacing(self) -> Mapping[str, Sequence[FileEvent]]:
        """What may have put something else in the place of a file, by the last part of the path; mounts under ""."""
        kinds = [kind for kind, one in self._files.kinds() if one.op in _REPLACING and one.result != "failed"]
        found: dict[str, list[FileEvent]] = {}
        for event in self._files.of(kinds):
            path = event.real or event.path or ""
            found.setdefault("" if event.op == "mount" else posixpath.basename(path), []).append(event)
        return found

    def _is_kept(self, real: str, since_ns: int, until_ns: int) -> bool | None:
        """Whether the file at a real path was the same all the time; None if that isn't known."""
        events = (event for part in real.split("/") for event in self._replacing.get(part, ()))
        for event in events:
            if not since_ns < event.timestamp_ns < until_ns:
                continue
            place = event.real or event.path
            if place is None:
                return None
            straight = straight_path(event.paths[0], place) if event.real is None else None
            if straight is not None:
                place = self._links.real(straight, event.timestamp_ns, follow=event.op == "mount") or place
            if f"{real}/".startswith(f"{place}/"):
                return False
        return True

    # What there is now

    def _holds(self, address: Address, real: str | None) -> bool:
        """Whether all sockets of that name are held by this process or those that descend from it, and there is one."""
        inodes = [inode for inode, _ in self._named(address, real)]
        return bool(inodes) and all(map(self._is_ours, inodes))

    def _named(self, address: Address, real: str | None) -> Iterator[tuple[int, str]]:
        """Those sockets, by inode, that have this name, with it as they were given it."""
        passed = _path(address).replace("\0", "@")
        last = None if real is None else posixpath.basename(real)
        for inode, name in self._sockets:
            if last is None or not name.startswith("/"):
                is_named = name == passed
            else:
                is_named = posixpath.basename(name) == last and self._links.real(name, _NOW, follow=False) == real
            if is_named:
                yield inode, name

    def _is_ours(self, inode: int) -> bool:
        return any(inode_of(bind) == inode for bind in self._binds) or f"socket:[{inode}]" in self._held

    @functools.cached_property
    def _sockets(self) -> list[tuple[int, str]]:
        """Inode and name of the unix sockets that take connections or datagrams from others."""
        with self._recording._silently(entirely=True):
            try:
                with open("/proc/net/unix", encoding="utf-8", errors="surrogateescape") as table:  # noqa: PTH123 (few calls)
                    rows = [line.rstrip("\n").split(maxsplit=7) for line in table]
            except OSError:
                return []
        return [(int(row[6]), row[7]) for row in rows if len(row) == 8 and row[5] == _UNCONNECTED]

    @functools.cached_property
    def _held(self) -> frozenset[str]:
        """What the descriptors of this process, and of those that descend from it, stand for."""
        with self._recording._silently(entirely=True):
            return frozenset(link for pid in _descendants(os.getpid()) for link in _links(pid))


def _address(event: NetworkEvent) -> Address:
    assert event.address is not None
    return event.address


def _path(address: Address) -> str:
    return address.path or ""


def _straight(address: Address) -> str | None:
    """The path, absolute, with such ``..`` as are to be followed."""
    path = _path(address)
    absolute = address.abspath or (normal(path) if path.startswith("/") else None)
    return None if absolute is None else straight_path(path, absolute)


def inode_of(event: NetworkEvent) -> int:
    """That of the call's socket; 0 if it isn't known."""
    hooks = (hook.file for hook in event.call.hooks)
    return next((file.inode for file in (*event.call.files.values(), *hooks) if file is not None), 0)


def _is_passed(event: NetworkEvent) -> bool:
    """Whether the program gave the address; else the kernel told it, of the other end."""
    if event.op == "connect" or _address(event).abspath is not None:
        return True
    return event.op == "send" and (event.socket is None or event.address != event.socket.peer)


def _descendants(root: int) -> set[int]:
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 (few calls)
        if name.isdecimal():
            try:
                with open(f"/proc/{name}/stat", "rb") as stat:  # noqa: PTH123 (few calls)
                    parents[int(name)] = int(stat.read().rpartition(b")")[2].split()[1])
            except (OSError, IndexError, ValueError):
                continue  # it has ended
    found = {root}
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        found |= more
        grown = bool(more)
    return found


def _links(pid: int) -> Iterable[str]:
    folder = f"/proc/{pid}/fd"
    try:
        names = os.listdir(folder)  # noqa: PTH208 (few calls)
    except OSError:
        return
    for name in names:
        try:
            yield os.readlink(f"{folder}/{name}")  # noqa: PTH115 (few calls)
        except OSError:
            continue  # it was closed
