"""What descriptors and addresses stand for, from the bytes that the BPF programs send."""

from __future__ import annotations

import socket
import stat
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_ebpf import notation
from pytest_ebpf.events import Address, File, Socket
from pytest_ebpf.files import CUT, DELETED, FILE_NOTE, PSEUDO, SOCKET_NOTE, Files, normal, parse_address
from pytest_ebpf.syscalls import Argument

SOCKADDR = Argument("uservaddr", "sockaddr")


def file_of(mode: int, rest: bytes, flags: int = 0) -> File | None:
    """What a note of inode 7 on device 8 says."""
    files = Files()
    files.learn(1, flags, FILE_NOTE.pack(7, 0, 8, mode) + rest)
    return files.get(1)


def named(path: str, flags: int = 0, mode: int = stat.S_IFREG) -> File | None:
    """A note with a path: components, leaf first."""
    return file_of(mode, b"".join(part.encode() + b"\0" for part in reversed(path.split("/")[1:]) if part), flags)


@pytest.mark.parametrize("path", ["/", "/etc", "/etc/hosts", "/tmp/ä b/\x1b"])
def test_a_path(path: str) -> None:
    """Components stand leaf first."""
    assert named(path) == File("file", path=path, inode=7, device=8)


@pytest.mark.parametrize(
    "mode, kind",
    [
        (stat.S_IFREG, "file"),
        (stat.S_IFDIR, "directory"),
        (stat.S_IFLNK, "symlink"),
        (stat.S_IFIFO, "fifo"),
        (stat.S_IFCHR, "character device"),
        (stat.S_IFBLK, "block device"),
        (0, "anonymous"),
    ],
)
def test_kinds(mode: int, kind: str) -> None:
    """By the type in the inode's mode."""
    assert named("/x", mode=mode | 0o644) == File(kind, path="/x", inode=7, device=8)


def test_a_deleted_file_keeps_its_last_name() -> None:
    """And says that it has none."""
    assert named("/tmp/x", DELETED) == File("file", path="/tmp/x", deleted=True, inode=7, device=8)


def test_a_path_that_was_cut_is_unknown() -> None:
    """Not a shorter one."""
    assert named("/tmp/x", CUT) == File("file", path_cut=True, inode=7, device=8)


@pytest.mark.parametrize(
    "mode, name, expected",
    [
        (stat.S_IFREG, "memfd:scratch", File("memfd", name="scratch", inode=7, device=8)),
        (stat.S_IFIFO, "", File("pipe", inode=7, device=8)),
        (0, "[eventfd]", File("anonymous", name="[eventfd]", inode=7, device=8)),
        (stat.S_IFREG, "[io_uring]", File("anonymous", name="[io_uring]", inode=7, device=8)),
    ],
)
def test_names_of_no_tree(mode: int, name: str, expected: File) -> None:
    """Memfds, pipes and anonymous inodes are told apart."""
    assert file_of(mode, name.encode() + b"\0", PSEUDO) == expected


def test_what_was_never_sent() -> None:
    """Is unknown; and what was not sent again is forgotten the second time."""
    files = Files()
    files.learn(1, 0, FILE_NOTE.pack(7, 0, 8, stat.S_IFREG))
    second = Files(before=files)
    assert second.get(1) is not None
    third = Files(before=second)
    assert third.get(1) is third.get(2) is None
    assert files.get(1) is not None


def _socket_note(
    family: int, kind: int, local: bytes = b"", peer: bytes = b"", *, peer_inode: int = 0, **port: int
) -> bytes:
    ports = (port.get("local_port", 0), port.get("peer_port", 0))
    return SOCKET_NOTE.pack(family, kind, 6, 0, *ports, 0, peer_inode, local.ljust(16, b"\0"), peer.ljust(16, b"\0"))


def test_a_socket_with_both_ends() -> None:
    """IPv4 and IPv6."""
    four, six = socket.inet_aton("127.0.0.1"), socket.inet_pton(socket.AF_INET6, "::1")
    found = file_of(stat.S_IFSOCK, _socket_note(2, 1, four, four, local_port=80, peer_port=81))
    assert found is not None
    ends = (Address("AF_INET", "127.0.0.1", 80), Address("AF_INET", "127.0.0.1", 81))
    assert found.socket == Socket("AF_INET", "SOCK_STREAM", 6, *ends)
    found = file_of(stat.S_IFSOCK, _socket_note(10, 2, six, local_port=80))
    assert found is not None
    assert found.socket == Socket("AF_INET6", "SOCK_DGRAM", 6, Address("AF_INET6", "::1", 80))


def test_a_unix_socket() -> None:
    """Its names stand behind the note; it is connected if the other end has an inode."""
    local = struct.pack("=H", 1) + b"/run/x\0"
    names = struct.pack("=H", len(local)) + local + struct.pack("=H", 2) + struct.pack("=H", 1)
    found = file_of(stat.S_IFSOCK, _socket_note(1, 1, peer_inode=9) + names)
    assert found is not None
    ends = (Address("AF_UNIX", path="/run/x"), Address("AF_UNIX"))
    assert found.socket == Socket("AF_UNIX", "SOCK_STREAM", 6, *ends, peer_inode=9)
    alone = file_of(stat.S_IFSOCK, _socket_note(1, 1) + names)
    assert alone is not None
    assert alone.socket is not None
    assert alone.socket.peer is None


def _inet6(host: str, flow: int = 0, scope: int = 0) -> bytes:
    packed = socket.inet_pton(socket.AF_INET6, host)
    return struct.pack("=H", 10) + struct.pack("!HI", 80, flow) + packed + struct.pack("=I", scope)


PACKET = struct.pack("=H", 17) + struct.pack("!H", 0x800) + struct.pack("=iHBB8s", 99, 772, 4, 6, b"\1\2\3\4\5\6")


@pytest.mark.parametrize(
    "data, text, written",
    [
        (b"", "AF_UNSPEC", "{sa_family=AF_UNSPEC}"),
        (bytes(8), "AF_UNSPEC", r'{sa_family=AF_UNSPEC, sa_data="\0\0\0\0\0\0"}'),
        (
            b"\2\0\0\x50\x7f\0\0\1",
            "127.0.0.1:80",
            '{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}',
        ),
        (b"\2\0\0\x50\x7f", "AF_INET", r'{sa_family=AF_INET, sa_data="\0P\177"}'),
        (
            _inet6("::ffff:127.0.0.1"),
            "[::ffff:127.0.0.1]:80",
            (
                "{sa_family=AF_INET6, sin6_port=htons(80), sin6_flowinfo=htonl(0), "
                'inet_pton(AF_INET6, "::ffff:127.0.0.1", &sin6_addr), sin6_scope_id=0}'
            ),
        ),
        (
            _inet6("fe80::1", 5, 77),
            "[fe80::1%77]:80",
            (
                "{sa_family=AF_INET6, sin6_port=htons(80), sin6_flowinfo=htonl(5), "
                'inet_pton(AF_INET6, "fe80::1", &sin6_addr), sin6_scope_id=77}'
            ),
        ),
        (b"\1\0", "AF_UNIX", "{sa_family=AF_UNIX}"),
        (b"\1\0/run/x\0rest", "unix:/run/x", '{sa_family=AF_UNIX, sun_path="/run/x"}'),
        (b"\1\0\0x\0y", "unix:@x\0y", r'{sa_family=AF_UNIX, sun_path=@"x\0y"}'),
        (struct.pack("=HHII", 16, 0, 11, 0), "netlink:11", "{sa_family=AF_NETLINK, nl_pid=11, nl_groups=00000000}"),
        (
            struct.pack("=HHII", 16, 7, 11, 5),
            "netlink:11",
            "{sa_family=AF_NETLINK, nl_pad=0x7, nl_pid=11, nl_groups=0x000005}",
        ),
        (
            PACKET,
            "packet:99",
            (
                "{sa_family=AF_PACKET, sll_protocol=htons(ETH_P_IP), sll_ifindex=99, sll_hatype=ARPHRD_LOOPBACK, "
                "sll_pkttype=PACKET_OUTGOING, sll_halen=6, sll_addr=[0x1, 0x2, 0x3, 0x4, 0x5, 0x6]}"
            ),
        ),
        (
            struct.pack("=HHIIB3x", 40, 5, 0xFFFFFFFF, 77, 1),
            "vsock:77:4294967295",
            (
                "{sa_family=AF_VSOCK, svm_reserved1=0x5, svm_cid=0x4d, svm_port=VMADDR_PORT_ANY, "
                "svm_flags=VMADDR_FLAG_TO_HOST}"
            ),
        ),
        (struct.pack("=H", 99) + b"x", "AF_99", '{sa_family=0x63, sa_data="x"}'),
    ],
)
def test_an_address(data: bytes, text: str, written: str) -> None:
    """As it is matched, and as strace 6.1 writes it."""
    address = parse_address(data)
    assert str(address) == text
    assert notation.argument(SOCKADDR, address) == written


@pytest.mark.parametrize(
    "data, ip",
    [
        (_inet6("::ffff:127.0.0.1", scope=3), "127.0.0.1"),
        (_inet6("fe80::1", scope=3), "fe80::1"),
        (b"\2\0\0\x50\x7f\0\0\1", "127.0.0.1"),
        (struct.pack("=HHIIB3x", 40, 0, 80, 2, 0), "None"),
        (b"\1\0/127.0.0.1", "None"),
    ],
)
def test_an_address_as_a_number(data: bytes, ip: str) -> None:
    """IPv4 also where it is mapped into IPv6; none of another family."""
    assert str(parse_address(data).ip) == ip


FAMILIES = st.sampled_from([0, 1, 2, 10, 16, 17, 38, 40, 99, 0xFFFF])


@given(FAMILIES, st.binary(max_size=128))
def test_any_bytes_are_an_address(family: int, rest: bytes) -> None:
    """It is named, matched and written, whatever it is."""
    for data in (rest, family.to_bytes(2, "little") + rest):
        address = parse_address(data)
        assert hash(address) == hash(parse_address(data))
        assert str(address)
        assert address.ip is None or address.family in ("AF_INET", "AF_INET6")
        assert notation.argument(SOCKADDR, address).isprintable()


MODES = st.sampled_from([0, 0xFFFF, stat.S_IFREG, stat.S_IFDIR, stat.S_IFSOCK, stat.S_IFIFO, stat.S_IFCHR])


@given(st.integers(0, 31), MODES, st.binary(max_size=200))
def test_any_bytes_are_a_file_or_none(flags: int, mode: int, rest: bytes) -> None:
    """A note that is too short is one that was never sent."""
    files = Files()
    files.learn(1, flags, rest)
    files.learn(2, flags, FILE_NOTE.pack(1, 2, 3, mode) + rest)
    for identity in (1, 2):
        found = files.get(identity)
        assert found is None or str(found)


@given(st.text(st.characters(exclude_characters="\0"), max_size=50))
def test_a_normal_path(path: str) -> None:
    """It is absolute, and normal already."""
    found = normal(path)
    assert found.startswith("/")
    assert normal(found) == found
    assert not {".", ".."} & set(found.split("/"))
    assert "//" not in found
