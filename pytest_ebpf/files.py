"""What descriptors and directories stand for: decoded once for each identity that the BPF programs send."""

from __future__ import annotations

import os
import posixpath
import socket
import stat
import struct
from collections.abc import Callable, Mapping

from .events import Address, File, Socket

__all__ = ["UNREACHABLE", "Files", "below", "normal", "parse_address"]

FILE_NOTE = struct.Struct("<QQII")
SOCKET_NOTE = struct.Struct("<HHHHHHIQ16s16s")
CUT, FAILED, DELETED, PSEUDO = 1, 2, 8, 16
UNREACHABLE = "(unreachable)"
"""The kernel's mark for what isn't below the root directory of the one who asks."""
AF_UNIX, AF_INET, AF_INET6 = 1, 2, 10
KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFSOCK: "socket",
    stat.S_IFIFO: "fifo",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}


class Files:
    """The files known by identity: those learnt since the generation ``before``, and that one's own.

    Their names are those below ``root``, as a process sees them whose root directory that is.
    """

    def __init__(self, before: Files | None = None, root: str = "/") -> None:
        self.root = root
        self._notes: dict[int, tuple[int, bytes]] = {}
        self._before = before._notes if before is not None else {}
        self._parsed: dict[int, File | None] = {}
        self.changes = 0
        """How often something else was learnt of an identity than before."""

    def learn(self, identity: int, flags: int, note: bytes) -> None:
        """Keep what a FILE blob says."""
        known = self._notes.get(identity)
        if known != (flags, note):
            self._notes[identity] = (flags, note)
            self._parsed.pop(identity, None)
            self.changes += known is not None or identity in self._before

    def get(self, identity: int) -> File | None:
        """The file of that identity, None if it was never sent."""
        try:
            return self._parsed[identity]
        except KeyError:
            note = self._notes.get(identity) or self._before.get(identity)
            if note is None:
                return None
            found = self._parsed[identity] = _file(*note, self.root)
            return found

    def absolute(self, directory: str, path: str) -> str:
        """The absolute name of a path that a process passed; its directory may be outside, and lead back inside."""
        found = normal(posixpath.join(directory, path.lstrip("/")))
        return below(self.root, found.removeprefix(UNREACHABLE)) if found.startswith(UNREACHABLE) else found

    def see_from(self, root: str) -> None:
        """All names from here on are those below that directory."""
        self.root = root
        self._parsed.clear()


def below(root: str, path: str) -> str:
    """The name of a file below a root directory; one elsewhere has the kernel's mark for that.

    >>> below("/jail", "/jail/etc/passwd"), below("/jail", "/etc/passwd")
    ('/etc/passwd', '(unreachable)/etc/passwd')
    """
    if root == "/":
        return path
    if path == root:
        return "/"
    return path.removeprefix(root) if path.startswith(f"{root}/") else UNREACHABLE + path


def normal(path: str) -> str:
    """The path, absolute, without ``.``, ``..`` and doubled slashes; symlinks are not followed."""
    mark = UNREACHABLE if path.startswith(UNREACHABLE) else ""
    return mark + posixpath.normpath("/" + path.removeprefix(mark).lstrip("/"))


def _file(flags: int, note: bytes, root: str) -> File | None:
    """None for a note that is too short to tell."""
    if len(note) < FILE_NOTE.size:
        return None
    inode, _, device, mode = FILE_NOTE.unpack_from(note)
    kind = KINDS.get(stat.S_IFMT(mode), "anonymous")
    rest = note[FILE_NOTE.size :]
    if kind == "socket":
        if len(rest) < SOCKET_NOTE.size:
            return None
        return File(kind, inode=inode, device=device, socket=_socket(rest))
    cut = bool(flags & (CUT | FAILED))
    if flags & PSEUDO:
        name = os.fsdecode(rest.removesuffix(b"\0"))
        if name.startswith("memfd:"):
            return File("memfd", name=name.removeprefix("memfd:"), inode=inode, device=device)
        if kind == "fifo":
            return File("pipe", inode=inode, device=device)
        return File("anonymous" if name.startswith("[") else kind, name=name, inode=inode, device=device)
    path = None if cut else below(root, _joined(rest))
    return File(kind, path=path, path_cut=cut, deleted=bool(flags & DELETED), inode=inode, device=device)


def _socket(note: bytes) -> Socket:
    family, kind, protocol, _, local_port, peer_port, _, peer_inode, local, peer = SOCKET_NOTE.unpack_from(note)
    names = {"family": _family(family), "type": _type(kind), "protocol": protocol}
    if family == AF_UNIX:
        ends = _unix_ends(note[SOCKET_NOTE.size :])
        connected = bool(peer_inode) or ends[1].path is not None  # one that isn't accepted yet has a name alone
        return Socket(**names, local=ends[0], peer=ends[1] if connected else None, peer_inode=peer_inode)
    if family in (AF_INET, AF_INET6):
        size = 4 if family == AF_INET else 16
        ours = _ip_address(names["family"], local[:size], local_port)
        connected = peer_port or any(peer[:size])  # raw and ping sockets have a peer without a port
        theirs = _ip_address(names["family"], peer[:size], peer_port) if connected else None
        return Socket(**names, local=ours, peer=theirs)
    return Socket(**names)


def _unix_ends(rest: bytes) -> list[Address]:
    ends: list[Address] = []
    while len(ends) < 2:
        size = int.from_bytes(rest[:2], "little")
        name = rest[2 : 2 + size]
        ends.append(parse_address(name) if size > 2 else Address("AF_UNIX"))
        rest = rest[2 + size :]
    return ends


def _ip_address(family: str, packed: bytes, port: int) -> Address:
    return Address(family, socket.inet_ntop(AF_INET if len(packed) == 4 else AF_INET6, packed), port)


def _family(number: int) -> str:
    try:
        return socket.AddressFamily(number).name
    except ValueError:
        return f"AF_{number}"


def _type(number: int) -> str:
    try:
        return socket.SocketKind(number).name
    except ValueError:
        return f"SOCK_{number}"


def parse_address(data: bytes) -> Address:
    """A ``struct sockaddr``, as long as it was passed; one too short for its family keeps its bytes as ``sa_data``."""
    if len(data) < 2:
        return Address("AF_UNSPEC")
    family = _family(int.from_bytes(data[:2], "little"))
    parse = _PARSERS.get(family)
    found = parse(data) if parse is not None else None
    if found is not None:
        return found
    return Address(family, members=_known(sa_data=data[2:]))


def _parse_inet(data: bytes) -> Address | None:
    if len(data) < 8:
        return None
    return _ip_address("AF_INET", data[4:8], int.from_bytes(data[2:4], "big"))


def _parse_inet6(data: bytes) -> Address | None:
    if len(data) < 24:  # the kernel takes one without scope
        return None
    port, flow = struct.unpack_from(">HI", data, 2)
    scope = int.from_bytes(data[24:28], "little") if len(data) >= 28 else 0
    found = _ip_address("AF_INET6", data[8:24], port)
    host = f"{found.host}%{scope}" if scope else found.host
    return Address("AF_INET6", host, port, members=_known(sin6_flowinfo=flow))


def _parse_unix(data: bytes) -> Address:
    name = data[2:]
    if not name:
        return Address("AF_UNIX")
    if name.startswith(b"\0"):
        return Address("AF_UNIX", path="@" + os.fsdecode(name[1:]))
    path = os.fsdecode(name.split(b"\0", 1)[0])
    return Address("AF_UNIX", path=f"./{path}" if path.startswith("@") else path)


def _parse_netlink(data: bytes) -> Address | None:
    if len(data) < 12:
        return None
    pad, port, groups = struct.unpack_from("<HII", data, 2)
    return Address("AF_NETLINK", port=port, members=_known(nl_pad=pad, nl_groups=groups))


def _parse_packet(data: bytes) -> Address | None:
    if len(data) < 12:
        return None
    protocol = int.from_bytes(data[2:4], "big")
    interface, hardware, kind, size = struct.unpack_from("<iHBB", data, 4)
    members = {"sll_ifindex": interface, "sll_hatype": hardware, "sll_pkttype": kind, "sll_halen": size}
    address = _known(sll_addr=data[12 : 12 + size]) if size else ()
    return Address("AF_PACKET", members=(("sll_protocol", protocol), *members.items(), *address))


def _parse_vsock(data: bytes) -> Address | None:
    if len(data) < 16:
        return None
    reserved, port, context, flags = struct.unpack_from("<HIIB", data, 2)
    return Address("AF_VSOCK", str(context), port, members=_known(svm_reserved1=reserved, svm_flags=flags))


_PARSERS: Mapping[str, Callable[[bytes], Address | None]] = {
    "AF_INET": _parse_inet,
    "AF_INET6": _parse_inet6,
    "AF_NETLINK": _parse_netlink,
    "AF_PACKET": _parse_packet,
    "AF_UNIX": _parse_unix,
    "AF_VSOCK": _parse_vsock,
}


def _known(**members: int | bytes) -> tuple[tuple[str, int | bytes], ...]:
    """Those that aren't empty."""
    return tuple((name, value) for name, value in members.items() if value)


def _joined(components: bytes) -> str:
    """An absolute path from components that stand leaf first."""
    parts = components.removesuffix(b"\0").split(b"\0") if components else []
    return "/" + "/".join(os.fsdecode(part) for part in reversed(parts))
