"""What is told of files, network and processes by effect, whichever call it was."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import platform
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import dns.message
import dns.rdatatype
import dns.rrset
import pytest

from pytest_ebpf import InconclusiveRecording, names
from pytest_ebpf.engines.variant import _numbers
from pytest_ebpf.recording import Recording

SOL_PACKET, PACKET_RX_RING = 263, 5
SIZE = 1009
MESSAGES = 5
SYSCALLS = {
    "x86_64": {"creat": 85, "execveat": 322, "exit": 60},
    "aarch64": {"execveat": 281, "exit": 93},
}[os.uname().machine]
AT_EMPTY_PATH = 0x1000
FIONREAD, FS_IOC_UNRESVSP64, NO_IOCTL = 0x541B, 0x4030582B, 0x4008EEEE
RESOLVER = "127.0.0.5"
UNTIL_EOF = "while os.read(0, 1): pass"
"""For a child: wait until the other end of its standard input is closed."""


def python(program: str, *args: object, **more: object) -> subprocess.CompletedProcess[bytes]:
    """Run a small program to its end."""
    return subprocess.run([sys.executable, "-S", "-c", program, *map(str, args)], check=True, **more)  # type: ignore[call-overload, no-any-return]


# Files


def _write(source: int, target: int) -> None:
    os.write(target, os.read(source, SIZE))


def _pwrite(source: int, target: int) -> None:
    os.pwrite(target, os.pread(source, SIZE, 0), 0)


def _writev(source: int, target: int) -> None:
    pieces = [bytearray(SIZE - 2), bytearray(2)]
    os.readv(source, pieces)
    os.writev(target, pieces)


def _pwritev(source: int, target: int) -> None:
    pieces = [bytearray(SIZE - 2), bytearray(2)]
    os.preadv(source, pieces, 0)
    os.pwritev(target, pieces, 0)


def _sendfile(source: int, target: int) -> None:
    os.sendfile(target, source, 0, SIZE)


def _copy_file_range(source: int, target: int) -> None:
    os.copy_file_range(source, target, SIZE)


def _splice(source: int, target: int) -> None:
    reader, writer = os.pipe()
    libc = ctypes.CDLL(None)
    assert libc.splice(source, None, writer, None, SIZE, 0) == SIZE
    assert libc.splice(reader, None, target, None, SIZE, 0) == SIZE
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("copy", [_write, _pwrite, _writev, _pwritev, _sendfile, _copy_file_range, _splice])
def test_content_is_read_and_written_by_any_call(
    ebpf: Recording, tmp_path: Path, copy: Callable[[int, int], None]
) -> None:
    """Each way reads one file and writes the other, and says how much; through descriptors from before the window."""
    (tmp_path / "source").write_bytes(bytes(SIZE))
    source = os.open(tmp_path / "source", os.O_RDONLY)
    target = os.open(tmp_path / "target", os.O_WRONLY | os.O_CREAT)
    with ebpf.window() as window:
        copy(source, target)
    os.close(source)
    os.close(target)
    read, written = window.files(op="read"), window.files(op="write")
    assert [(event.path, event.nbytes, event.result) for event in read] == [(f"{tmp_path}/source", SIZE, "done")]
    assert [(event.path, event.nbytes, event.result) for event in written] == [(f"{tmp_path}/target", SIZE, "done")]
    assert window.files(op="write", path=tmp_path / "source") == []
    assert window.files(nbytes=SIZE).nbytes == 2 * SIZE
    assert window.complete, window.gaps


def test_opens_create_and_truncate(ebpf: Recording, tmp_path: Path) -> None:
    """Only the open that made the file created it; O_TRUNC truncates each time."""
    for _ in range(7):
        (tmp_path / "file").write_text("x")
    assert len(ebpf.files(op="open", path=tmp_path / "file")) == 7
    assert len(ebpf.files(op="truncate", path=tmp_path / "file")) == 7
    assert len(ebpf.files(op="create", path=tmp_path / "file", flags="O_CREAT|O_TRUNC")) == 1
    assert ebpf.files(op="create").undecided == []


@pytest.mark.skipif("creat" not in SYSCALLS, reason="this machine has no creat")
def test_creat(ebpf: Recording, tmp_path: Path, libc: ctypes.CDLL) -> None:
    """It opens, creates and truncates, though it has no flags to say so."""
    path = os.fsencode(tmp_path / "file")
    with ebpf.window() as window:
        os.close(libc.syscall(SYSCALLS["creat"], path, 0o600))
        os.close(libc.syscall(SYSCALLS["creat"], path, 0o600))
    found = [event.op for event in window.files(path=tmp_path / "file")]
    assert found == ["open", "create", "truncate", "open", "truncate"]
    assert len(window.files(flags="O_TRUNC|O_WRONLY", op="open")) == 2


def test_attempts_are_told_apart(ebpf: Recording, tmp_path: Path) -> None:
    """What failed is there, with its error, and is not ok."""
    (tmp_path / "file").touch()
    for _ in range(3):
        with pytest.raises(FileExistsError):
            os.open(tmp_path / "file", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    with pytest.raises(NotADirectoryError):
        (tmp_path / "file/deeper").unlink()
    created = ebpf.files(op="create", path=tmp_path / "file")
    assert [(event.ok, event.errno) for event in created] == [(True, None)] + [(False, "EEXIST")] * 3
    assert [event.errno for event in ebpf.files(op="remove", ok=False)] == ["ENOTDIR"]
    assert ebpf.files(op="remove", ok=True) == []


def test_names_that_are_made_and_removed(ebpf: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rename removes one name and makes another; links, directories and nodes are names too."""
    monkeypatch.chdir(tmp_path)
    with ebpf.window() as window:
        Path("old").touch()
        Path("old").rename("new")
        os.link("new", "link")
        Path("symlink").symlink_to("/nowhere")
        Path("directory").mkdir()
        os.mkfifo("fifo")
        Path("directory").rmdir()
        Path("new").unlink()
    assert [(event.op, event.path) for event in window.files(op=["create", "remove", "link"])] == [
        ("create", f"{tmp_path}/old"),
        ("remove", f"{tmp_path}/old"),
        ("create", f"{tmp_path}/new"),
        ("link", f"{tmp_path}/new"),
        ("create", f"{tmp_path}/link"),
        ("create", f"{tmp_path}/symlink"),
        ("create", f"{tmp_path}/directory"),
        ("create", f"{tmp_path}/fifo"),
        ("remove", f"{tmp_path}/directory"),
        ("remove", f"{tmp_path}/new"),
    ]
    assert window.files(path="/nowhere") == []


def test_attributes(ebpf: Recording, tmp_path: Path) -> None:
    """Asking is a probe, changing is metadata, by path or by descriptor."""
    file = tmp_path / "file"
    file.touch()
    fd = os.open(file, os.O_RDWR)
    with ebpf.window() as window:
        file.stat()
        os.fstat(fd)
        os.access(file, os.R_OK)
        file.chmod(0o600)
        os.fchmod(fd, 0o600)
        os.chown(file, 0, 0)
        os.utime(file)
        os.utime(fd)
        os.fsync(fd)
        os.lockf(fd, os.F_LOCK, 1)
        os.truncate(file, SIZE)
        os.ftruncate(fd, 0)
        os.posix_fallocate(fd, 0, SIZE)
    os.close(fd)
    found = [event.op for event in window.files(path=file)]
    assert found == ["probe"] * 3 + ["metadata"] * 5 + ["sync", "lock", "truncate", "truncate", "write"]
    assert window.files().undecided == []
    assert len(window.files()) == len(found)


def test_a_renamed_file(ebpf: Recording, tmp_path: Path) -> None:
    """A descriptor stands for the name that its file has at the time."""
    fd = os.open(tmp_path / "before", os.O_WRONLY | os.O_CREAT)
    with ebpf.window() as window:
        for number in range(5):
            os.write(fd, b"x")
            (tmp_path / ("before" if not number else f"name-{number - 1}")).rename(tmp_path / f"name-{number}")
    os.close(fd)
    assert [event.path for event in window.files(op="write")] == [
        f"{tmp_path}/{name}" for name in ("before", "name-0", "name-1", "name-2", "name-3")
    ]


def test_an_inherited_descriptor(ebpf: Recording, tmp_path: Path) -> None:
    """A child that never opened the file is known to write it."""
    fd = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
    with ebpf.window() as window:
        python(f"import os; [os.write({fd}, b'x') for _ in range(7)]", pass_fds=[fd])
    os.close(fd)
    written = window.files(op="write", path=tmp_path / "file", process="children")
    assert len(written) == written.nbytes == 7


def test_a_descriptor_received_over_a_socket(ebpf: Recording, tmp_path: Path) -> None:
    """SCM_RIGHTS: the receiver is known to write a file that only the sender opened."""
    ours, theirs = socket.socketpair()
    fd = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
    program = """
import os, socket, sys
message, fds, *_ = socket.recv_fds(socket.socket(fileno=int(sys.argv[1])), 1, 1)
for _ in range(7): os.write(fds[0], b"x")
"""
    with ebpf.window() as window:
        socket.send_fds(ours, [b"x"], [fd])
        os.close(fd)
        python(program, theirs.fileno(), pass_fds=[theirs.fileno()])
    ours.close()
    theirs.close()
    assert len(window.files(op="write", path=tmp_path / "file", process="children")) == 7
    assert window.complete, window.gaps


def test_what_is_no_named_file_is_told_apart(ebpf: Recording, tmp_path: Path) -> None:
    """Deleted files, memfds and O_TMPFILE are files, by their kind; pipes, eventfds and sockets are none."""
    deleted = os.open(tmp_path / "deleted", os.O_RDWR | os.O_CREAT)
    (tmp_path / "deleted").unlink()
    nameless = os.open(tmp_path, os.O_RDWR | os.O_TMPFILE)
    memfd = os.memfd_create("scratch")
    reader, writer = os.pipe()
    event = os.eventfd(0)
    ours, theirs = socket.socketpair()
    named = os.open(tmp_path / "named", os.O_RDWR | os.O_CREAT)
    fds = [deleted, nameless, memfd, writer, event, ours.fileno(), named]
    with ebpf.window() as window:
        for fd in fds:
            os.write(fd, bytes(8))
    for fd in (*fds, reader):
        if fd != ours.fileno():
            os.close(fd)
    ours.close()
    theirs.close()
    kinds = [call.files["fd"].kind for call in window.syscalls("write")]
    assert kinds == ["file", "file", "memfd", "pipe", "anonymous", "socket", "file"]
    written = window.files(op="write")
    assert [(e.kind, e.file.deleted if e.file else None) for e in written] == [
        ("file", True),
        ("file", True),
        ("memfd", False),
        ("file", False),
    ]
    assert written[0].path == f"{tmp_path}/deleted"
    assert written[1].path is not None
    assert written[1].path.startswith(f"{tmp_path}/#")
    assert written[2].path is None
    assert written[2].file is not None
    assert written[2].file.name == "scratch"
    assert len(window.files(kind="memfd", op="write")) == 1
    assert [call.files["fd"].name for call in window.syscalls("write", fd=event)] == ["[eventfd]"]
    assert window.network(op="send").nbytes == 8


@pytest.mark.parametrize("flags, ops", [(mmap.MAP_SHARED, ["map", "write"]), (mmap.MAP_PRIVATE, ["map"])])
def test_a_mapping(ebpf: Recording, tmp_path: Path, flags: int, ops: list[str]) -> None:
    """One that is shared and writable may write the file; a private one can't."""
    (tmp_path / "file").write_bytes(bytes(SIZE))
    with (tmp_path / "file").open("r+b") as file, ebpf.window() as window:
        mmap.mmap(file.fileno(), SIZE, flags=flags, prot=mmap.PROT_READ | mmap.PROT_WRITE).close()
    assert [event.op for event in window.files(op=["map", "write"], path=tmp_path / "file")] == ops
    assert window.files(op="write").nbytes == 0
    shared = "MAP_SHARED" if flags == mmap.MAP_SHARED else "MAP_PRIVATE"
    assert window.files(op="map", flags=shared, path=tmp_path / "file") == [*window.files(op="map")]


def test_ioctls_that_write(ebpf: Recording, tmp_path: Path) -> None:
    """A hole that one punches is a write; what asks, as Python does of each file that it opens, is none."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 2 * mmap.PAGESIZE)
    fd = os.open(path, os.O_RDWR)
    with ebpf.window() as asking:
        assert not os.isatty(fd)
        fcntl.ioctl(fd, FIONREAD, bytes(4))
        with pytest.raises(OSError, match="ioctl"):
            fcntl.ioctl(fd, NO_IOCTL, bytes(8))
        path.read_text()
    with ebpf.window() as punching:
        fcntl.ioctl(fd, FS_IOC_UNRESVSP64, struct.pack("=hh4xqqiI16x", 0, 0, 0, mmap.PAGESIZE, 0, 0))
    assert os.read(fd, 1) == b"\0"
    os.close(fd)
    asking.assert_only_writes_under("/nowhere")
    assert asking.files(op=["write", "metadata"]) == []
    assert [(event.op, event.path, event.result) for event in punching.files()] == [("write", str(path), "done")]
    with pytest.raises(InconclusiveRecording, match="how many bytes isn't known"):
        punching.assert_max(bytes_written=mmap.PAGESIZE)


def test_core_dump(ebpf: Recording, tmp_path: Path) -> None:
    """A process that leaves a core may have written any file, unless the kernel gives it to a program."""
    with ebpf.paused():
        piped = Path("/proc/sys/kernel/core_pattern").read_text().startswith("|")
    limit = "import os, resource; resource.setrlimit(resource.RLIMIT_CORE, ({0}, resource.RLIM_INFINITY)); os.abort()"
    with ebpf.window() as without:
        subprocess.run([sys.executable, "-S", "-c", limit.format(0)], cwd=tmp_path, check=False)
    assert "core dumped" not in str(without.processes(op="exit").last)
    without.assert_only_writes_under("/nowhere")
    with ebpf.window() as window:
        subprocess.run([sys.executable, "-S", "-c", limit.format(-1)], cwd=tmp_path, check=False)
    assert "core dumped" in str(window.processes(op="exit").last)
    with nullcontext() if piped else pytest.raises(InconclusiveRecording, match="core dumped"):
        window.assert_only_writes_under("/nowhere")
    told = (AssertionError, InconclusiveRecording)  # a hook says which file it is
    with nullcontext() if piped else pytest.raises(told, match=r"core dumped|was accessed"):
        window.assert_no_file_access(tmp_path / "core")
    with nullcontext() if piped else pytest.raises(InconclusiveRecording, match="core dumped"):
        window.assert_max(bytes_written=0)
    assert ebpf.files(op="read", path="/proc/sys/kernel/core_pattern") == []


@pytest.mark.parametrize("line", ["#!{0}/interpreter", "#!{0}/interpreter -x"])
@pytest.mark.parametrize("by_descriptor", [False, True])
def test_interpreter_of_a_script(
    ebpf: Recording, tmp_path: Path, libc: ctypes.CDLL, line: str, by_descriptor: bool
) -> None:
    """The kernel opens and executes it; a program that is named by a symlink is executed once."""
    with ebpf.paused():
        for name in ("inside", "outside"):
            (tmp_path / name).mkdir()
        shutil.copy("/bin/true", tmp_path / "outside/interpreter")
        script, link = tmp_path / "inside/script", tmp_path / "inside/link"
        script.write_text(line.format(tmp_path / "outside") + "\n")
        script.chmod(0o700)
        link.symlink_to("/bin/true")
        fd = os.open(script, os.O_RDONLY)
        os.set_inheritable(fd, True)
    with ebpf.window() as window:
        child = os.fork()
        if not child:
            if by_descriptor:
                arguments = (ctypes.c_char_p * 2)(b"script", None)
                libc.syscall(SYSCALLS["execveat"], fd, b"", arguments, (ctypes.c_char_p * 1)(None), AT_EMPTY_PATH)
            else:
                os.execv(script, ["script"])
            os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
    os.close(fd)
    interpreter = f"{tmp_path}/outside/interpreter"
    assert [event.path for event in window.files(op="execute", ok=True)] == [str(script), interpreter]
    with pytest.raises(AssertionError, match="was accessed: execute"):
        window.assert_no_file_access(interpreter)
    with pytest.raises(AssertionError, match="reads elsewhere"):
        window.assert_only_reads_under(tmp_path / "inside")
    window.assert_only_reads_under(tmp_path)
    if not by_descriptor:
        window.assert_no_exec(allow=[script])
    with ebpf.window() as window:
        subprocess.run([link, link.name], check=True)
    assert [event.path for event in window.files(op="execute", ok=True)] == [str(link)]


def test_misspelt_ops_and_filters(ebpf: Recording) -> None:
    """They are errors that say what there is."""
    with pytest.raises(ValueError, match=r"have no 'rename'.*'remove' of the old name and 'create' of the new one"):
        ebpf.files(op="rename")
    with pytest.raises(ValueError, match=r"have no 'wriet'.*did you mean 'write'.*valid are chdir, create"):
        ebpf.files(op="wriet")
    with pytest.raises(TypeError, match=r"unknown filter 'hots': did you mean 'host'.*filters of network\(\)"):
        ebpf.network(hots="x")
    with pytest.raises(ValueError, match="SIGTREM"):
        ebpf.processes(signal="SIGTREM")
    with pytest.raises(ValueError, match="codes are 0 to 255"):
        ebpf.processes(exit_code=-9)


# Network


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A server's socket on the loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_a_connection(ebpf: Recording, listener: socket.socket) -> None:
    """Each end knows the other, from connect and accept on, whichever call sends."""
    host, port = listener.getsockname()
    with ebpf.window() as window:
        client = socket.create_connection((host, port))
        server, client_address = listener.accept()
        client.send(bytes(SIZE))
        os.write(client.fileno(), bytes(SIZE))
        os.writev(client.fileno(), [bytes(SIZE)])
        client.sendmsg([bytes(SIZE)])
        received = 0
        while received < 4 * SIZE:
            received += len(os.read(server.fileno(), SIZE))
        client.shutdown(socket.SHUT_WR)
        assert server.recv(1) == b""
    client.close()
    server.close()
    there, here = f"{host}:{port}", f"127.0.0.1:{client_address[1]}"
    assert window.network(op="connect", address=there).addresses == {there}
    assert window.network(op="accept").addresses == {here}
    (accepted,) = window.network(op="accept")
    assert accepted.socket is not None
    assert (str(accepted.socket.local), str(accepted.socket.peer)) == (there, here)
    sent = window.network(op="send", address=there)
    assert [event.name for event in sent] == ["sendto", "write", "writev", "sendmsg"]
    assert sent.nbytes == 4 * SIZE
    assert window.network(op="receive", address=here, port=client_address[1]).nbytes == 4 * SIZE
    assert [event.op for event in window.network(op="shutdown", address="loopback")] == ["shutdown"]
    assert window.network(address="public") == window.network(address="public").undecided == []
    assert window.files(path="*") == []


def test_sendfile_to_a_socket(ebpf: Recording, tmp_path: Path) -> None:
    """It reads the file and sends to the peer."""
    (tmp_path / "file").write_bytes(bytes(SIZE))
    ours, theirs = socket.socketpair()
    with (tmp_path / "file").open("rb") as file, ebpf.window() as window:
        os.sendfile(ours.fileno(), file.fileno(), 0, SIZE)
    ours.close()
    theirs.close()
    assert [event.op for event in window.files(path=tmp_path / "file", nbytes=SIZE)] == ["read"]
    assert [(event.op, event.family, event.nbytes) for event in window.network()] == [("send", "AF_UNIX", SIZE)]


@pytest.mark.parametrize("name", ["recvfrom", "recvmsg", "recvmmsg", "accept"])
@pytest.mark.parametrize("room", [0, 15, 16, 128])
def test_an_address_that_found_no_room(ebpf: Recording, libc: ctypes.CDLL, name: str, room: int) -> None:
    """The kernel writes as much as fits, and the length of the whole: what stands behind is no sender."""
    kind = socket.SOCK_STREAM if name == "accept" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as server, socket.socket(socket.AF_INET, kind) as client:
        server.bind(("127.0.0.1", 0))
        client.bind(("127.0.0.2", 0))
        with ebpf.paused():
            if kind == socket.SOCK_STREAM:
                server.listen()
            client.connect(server.getsockname())
            client.send(b"x")
        address = ctypes.create_string_buffer(_sockaddr("127.0.0.1", 9), 128)
        size, data = ctypes.c_uint32(room), ctypes.create_string_buffer(8)
        piece = ctypes.create_string_buffer(struct.pack("=QQ", ctypes.addressof(data), 1))
        message = struct.pack("=QIIQQQQI4x", ctypes.addressof(address), room, 0, ctypes.addressof(piece), 1, 0, 0, 0)
        messages = ctypes.create_string_buffer(message + bytes(8), 64)
        if name == "accept":
            os.close(libc.accept(server.fileno(), address, ctypes.byref(size)))
        elif name == "recvfrom":
            assert libc.recvfrom(server.fileno(), data, 1, 0, address, ctypes.byref(size)) == 1
        elif name == "recvmsg":
            assert libc.recvmsg(server.fileno(), messages, 0) == 1
        else:
            assert libc.recvmmsg(server.fileno(), messages, 1, 0, None) == 1
    ebpf.assert_no_network(allow=["127.0.0.0/8"])
    with pytest.raises((AssertionError, InconclusiveRecording), match=r"accepts from|receives from"):
        ebpf.assert_no_network(allow=["127.0.0.1"])
    if room >= 16 or name == "accept":
        ebpf.assert_no_network(allow=["127.0.0.2"])


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_a_receive_that_fails_half_way(
    ebpf: Recording, libc: ctypes.CDLL, tmp_path: Path, family: socket.AddressFamily
) -> None:
    """The first piece has got its part of the message, though the second one made the call fail."""
    with socket.socket(family, socket.SOCK_DGRAM) as server, socket.socket(family, socket.SOCK_DGRAM) as client:
        server.bind(("127.0.0.1", 0) if family == socket.AF_INET else str(tmp_path / "socket"))
        with ebpf.paused():
            client.sendto(b"a message", server.getsockname())
        buffer = ctypes.create_string_buffer(4)
        pieces = ctypes.create_string_buffer(struct.pack("=QQQQ", ctypes.addressof(buffer), 4, 8, 4))
        message = struct.pack("=QIIQQQQI4x", 0, 0, 0, ctypes.addressof(pieces), 2, 0, 0, 0)
        assert libc.recvmsg(server.fileno(), message, 0) == -1
        assert (ctypes.get_errno(), buffer.raw) == (errno.EFAULT, b"a me")
    assert [event.result for event in ebpf.network(op="receive").known] == ["unknown"]
    with pytest.raises((AssertionError, InconclusiveRecording), match="receives from"):
        ebpf.assert_no_network()


@pytest.fixture
def connection(listener: socket.socket) -> Iterator[socket.socket]:
    """A connection from before the recording, on which an answer waits."""
    with socket.create_connection(listener.getsockname()) as client, listener.accept()[0] as server:
        server.send(b"answer")
        yield client


def test_receiving_without_a_copy(ebpf: Recording, connection: socket.socket) -> None:
    """What getsockopt gives is received; other options of a socket are none of its data."""
    buffer = ctypes.create_string_buffer(SIZE)
    zerocopy = struct.pack("=QIIIiQiIQQII", 0, 0, 0, 0, 0, ctypes.addressof(buffer), SIZE, 0, 0, 0, 0, 0)
    with ebpf.window() as options:
        connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        connection.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16)
    with ebpf.window() as window:
        packed = ctypes.create_string_buffer(zerocopy, len(zerocopy))
        size = ctypes.c_uint32(len(zerocopy))
        result = ctypes.CDLL(None).getsockopt(connection.fileno(), 6, 35, packed, ctypes.byref(size))
        copies = _numbers(platform.release()) >= (5, 12)
        assert (result, buffer.raw[:6]) == ((0, b"answer") if copies else (-1, bytes(6)))
    options.assert_no_network()
    (received,) = window.network(op="receive", address="loopback")
    assert (received.name, received.result) == ("getsockopt", "done" if copies else "failed")
    with pytest.raises(AssertionError, match="receives from") if copies else nullcontext():
        window.assert_no_network()


def test_reading_packets_by_a_mapping(ebpf: Recording) -> None:
    """The ring of a packet socket needs no bind and no receive."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as packets:
        packets.setsockopt(SOL_PACKET, PACKET_RX_RING, struct.pack("=IIII", 4096, 1, 2048, 2))
        mmap.mmap(packets.fileno(), 4096, prot=mmap.PROT_READ).close()
    with pytest.raises(AssertionError, match="receives from on a socket of AF_PACKET"):
        ebpf.assert_no_network()


def test_a_socket_alone_is_no_traffic(ebpf: Recording) -> None:
    """Neither made nor asked."""
    with socket.socket() as one, ebpf.window() as window:
        one.getsockname()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        socket.socket().close()
    assert window.network() == []


def test_a_connect_under_way(ebpf: Recording, listener: socket.socket) -> None:
    """EINPROGRESS is neither success nor failure: it is pending."""
    with socket.socket() as client:
        client.setblocking(False)
        client.connect_ex(listener.getsockname())
    (event,) = ebpf.network(op="connect")
    assert (event.result, event.errno, event.ok) == ("pending", "EINPROGRESS", False)
    assert ebpf.network(op="connect", errno="EINPROGRESS") == [event]
    for ok in (True, False):
        assert ebpf.network(op="connect", ok=ok).known == ()
        assert ebpf.network(op="connect", ok=ok).undecided == [event]


def test_a_refused_connect(ebpf: Recording, listener: socket.socket) -> None:
    """It is an attempt that failed."""
    address = listener.getsockname()
    listener.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
    (event,) = ebpf.network(op="connect", ok=False)
    assert (event.result, event.errno) == ("failed", "ECONNREFUSED")


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))


class _Header(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_size", ctypes.c_uint32),
        ("vectors", ctypes.POINTER(_Iovec)),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_size", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    _fields_ = (("header", _Header), ("size", ctypes.c_uint32))


def _messages(names: list[bytes], content: list[bytes]) -> ctypes.Array[_Message]:
    messages = (_Message * len(names))()
    for message, name, data in zip(messages, names, content, strict=True):
        buffer = ctypes.create_string_buffer(data, len(data))
        vector = _Iovec(ctypes.addressof(buffer), len(data))
        place = ctypes.create_string_buffer(name, len(name))
        message.header = _Header(ctypes.addressof(place), len(name), ctypes.pointer(vector), 1)
        _KEPT.append((buffer, vector, place))
    return messages


_KEPT: list[object] = []
"""What the messages point to."""


def _sockaddr(host: str, port: int) -> bytes:
    return struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton(host) + bytes(8)


def test_sendmmsg_to_several_addresses(ebpf: Recording, libc: ctypes.CDLL) -> None:
    """One event for each of them."""
    receivers = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(MESSAGES)]
    for number, receiver in enumerate(receivers, 1):
        receiver.bind((f"127.0.1.{number}", 0))
    ends = [receiver.getsockname() for receiver in receivers]
    messages = _messages([_sockaddr(*end) for end in ends], [b"x"] * MESSAGES)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender, ebpf.window() as window:
        assert libc.sendmmsg(sender.fileno(), messages, MESSAGES, 0) == MESSAGES
    for receiver in receivers:
        receiver.close()
    sent = window.network(op="send")
    assert [str(event.address) for event in sent] == [f"{host}:{port}" for host, port in ends]
    assert {event.result for event in sent} == {"done"}
    assert len(window.network(op="send", address="127.0.1.3")) == 1


def test_sendmmsg_after_a_message_came(ebpf: Recording, libc: ctypes.CDLL) -> None:
    """What is kept for a call that waits for messages is nothing of the next one's, on the same processor."""
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(everywhere)})
    try:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
        ):
            receiver.bind(("127.0.1.1", 0))
            messages = _messages([_sockaddr(*receiver.getsockname())], [b"x"])
            for _ in range(2):
                assert libc.sendmmsg(sender.fileno(), messages, 1, 0) == 1
                receiver.recvmsg(1)
            ends = [str(event.address) for event in ebpf.network(op="send")]
            assert ends == ["{}:{}".format(*receiver.getsockname())] * 2
    finally:
        os.sched_setaffinity(0, everywhere)


def test_sendmmsg_that_stops_in_the_middle(ebpf: Recording, libc: ctypes.CDLL) -> None:
    """What was sent is told from what was refused; what came behind that was never tried."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind(("127.0.1.1", 0))
        good, bad = _sockaddr(*receiver.getsockname()), _sockaddr("127.0.1.2", 0)
        messages = _messages([good, good, bad, good, good], [b"x"] * 5)
        with ebpf.window() as window:
            assert libc.sendmmsg(sender.fileno(), messages, 5, 0) == 2
    assert [event.result for event in window.network(op="send")] == ["done", "done", "failed"]


def test_the_sender_of_a_datagram(ebpf: Recording) -> None:
    """Known where the call asked for it; where it didn't, anyone may have sent it, and that is undecided."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two,
    ):
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        for _ in range(3):
            two.sendto(b"x", one.getsockname())
        one.recvfrom(1)
        one.recvmsg(1)
        one.recv(1)
        sender = f"127.0.0.1:{two.getsockname()[1]}"
    received = ebpf.network(op="receive")
    assert [str(event.address) for event in received] == [sender, sender, "None"]
    public = ebpf.network(op="receive", address="public")
    assert (len(public.known), [event.name for event in public.undecided]) == (0, ["recvfrom"])


def test_unix_sockets(ebpf: Recording, tmp_path: Path) -> None:
    """By path and by abstract name; the bind of one with a path makes a file."""
    path, abstract = str(tmp_path / "socket"), "\0pytest-ebpf-effects"
    for name in (path, abstract):
        with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
            server.bind(name)
            server.listen()
            client.connect(name)
            accepted, _ = server.accept()
            client.send(b"x")
            assert accepted.recv(1) == b"x"
            accepted.close()
    for address in (f"unix:{path}", "unix:@pytest-ebpf-effects"):
        found = [event.op for event in ebpf.network(address=address)]
        assert found == ["bind", "listen", "connect", "send"]
    assert ebpf.network(path=path).paths == {path}
    assert len(ebpf.network(op="accept", address="unix")) == 2
    assert [event.op for event in ebpf.files(path=path)] == ["create", "probe"]


@pytest.mark.parametrize("address", ["127.0.0.1", "loopback", "127.0.0.0/8", "::ffff:127.0.0.1"])
def test_a_mapped_address(ebpf: Recording, listener: socket.socket, address: str) -> None:
    """IPv4 inside IPv6 is the same host."""
    with socket.socket(socket.AF_INET6) as client:
        client.connect(("::ffff:127.0.0.1", listener.getsockname()[1]))
        client.send(b"x")
    found = ebpf.network(address=address, family="AF_INET6")
    assert [event.op for event in found] == ["connect", "send"]


def test_other_families(ebpf: Recording, libc: ctypes.CDLL) -> None:
    """Netlink, packet, vsock and addresses of one interface are decoded, and written as strace does."""
    addresses = {
        "netlink:4711": (
            struct.pack("=HHII", socket.AF_NETLINK, 0, 4711, 5),
            "{sa_family=AF_NETLINK, nl_pid=4711, nl_groups=0x000005}",
        ),
        "packet:1": (
            struct.pack("=H", socket.AF_PACKET) + b"\0\3" + struct.pack("=iHBB8s", 1, 772, 4, 6, b"\1\2\3\4\5\6"),
            (
                "{sa_family=AF_PACKET, sll_protocol=htons(ETH_P_ALL), sll_ifindex=1, sll_hatype=ARPHRD_LOOPBACK, "
                "sll_pkttype=PACKET_OUTGOING, sll_halen=6, sll_addr=[0x1, 0x2, 0x3, 0x4, 0x5, 0x6]}"
            ),
        ),
        "vsock:2:1234": (
            struct.pack("=HHIIB3x", socket.AF_VSOCK, 0, 1234, 2, 0),
            "{sa_family=AF_VSOCK, svm_cid=VMADDR_CID_HOST, svm_port=0x4d2, svm_flags=0}",
        ),
        "[fe80::1%7]:80": (
            struct.pack("=H", socket.AF_INET6)
            + struct.pack("!HI", 80, 5)
            + socket.inet_pton(socket.AF_INET6, "fe80::1")
            + struct.pack("=I", 7),
            (
                "{sa_family=AF_INET6, sin6_port=htons(80), sin6_flowinfo=htonl(5), "
                'inet_pton(AF_INET6, "fe80::1", &sin6_addr), sin6_scope_id=7}'
            ),
        ),
    }
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wrong, ebpf.window() as window:
        for raw, _ in addresses.values():
            libc.connect(wrong.fileno(), raw, len(raw))
    connects = window.network(op="connect", ok=False)
    assert [str(event.address) for event in connects] == list(addresses)
    for event, (raw, text) in zip(connects, addresses.values(), strict=True):
        assert str(event).endswith(f", {text}, {len(raw)}) = -1 EINVAL (Invalid argument)")
    assert window.network(address="fe80::1").first == connects[3]


# Names


def _answer(data: bytes) -> bytes:
    """Of host-N.test: by way of an alias, the address 127.0.7.N; nothing of any other type."""
    query = dns.message.from_wire(data)
    asked = query.question[0]
    response = dns.message.make_response(query)
    number = asked.name.labels[0].decode().rpartition("-")[2]
    if asked.rdtype == dns.rdatatype.A:
        alias = f"alias-{number}.test."
        response.answer = [
            dns.rrset.from_text(asked.name, 60, "IN", "CNAME", alias),
            dns.rrset.from_text(alias, 60, "IN", "A", f"127.0.7.{number}"),
        ]
    return response.to_wire()


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (piece := connection.recv(size - len(data))):
        data += piece
    return data


def _serve_datagrams(server: socket.socket) -> None:
    while True:
        data, client = server.recvfrom(65535)
        if not data:
            return
        server.sendto(_answer(data), client)


def _serve_connections(server: socket.socket) -> None:
    while True:
        connection, _ = server.accept()
        with connection:
            if not (size := _exactly(connection, 2)):
                return
            while size:
                answer = _answer(_exactly(connection, int.from_bytes(size, "big")))
                connection.sendall(len(answer).to_bytes(2, "big") + answer)
                size = _exactly(connection, 2)


@pytest.fixture
def resolver() -> Iterator[str]:
    """A server for names, by UDP and TCP, on a loopback address of its own."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
        socket.create_server((RESOLVER, 53)) as connections,
    ):
        datagrams.bind((RESOLVER, 53))
        threads = [
            threading.Thread(target=_serve_datagrams, args=[datagrams]),
            threading.Thread(target=_serve_connections, args=[connections]),
        ]
        for thread in threads:
            thread.start()
        yield RESOLVER
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", (RESOLVER, 53))
        socket.create_connection((RESOLVER, 53)).close()
        for thread in threads:
            thread.join()


@pytest.mark.heavy(reason="imports a large package")
@pytest.mark.parametrize("options", ["", "options use-vc"], ids=["udp", "tcp"])
def test_names_that_the_c_library_resolves(ebpf: Recording, resolver: str, tmp_path: Path, options: str) -> None:
    """Queries and answers are events, and the names are those of the addresses that follow; by UDP and TCP."""
    config, switch = tmp_path / "resolv.conf", tmp_path / "nsswitch.conf"
    config.write_text(f"nameserver {resolver}\n{options}\n")
    switch.write_text("hosts: dns\n")
    program = """
import socket
for number in range(1, 8):
    try:
        socket.create_connection((f"Host-{number}.test", 9))
    except ConnectionRefusedError:
        pass
"""
    script = f'mount --bind {config} /etc/resolv.conf; mount --bind {switch} /etc/nsswitch.conf; exec "$@"'
    command = ["unshare", "-m", "sh", "-ec", script, "sh", sys.executable, "-S", "-c", program]
    subprocess.run(command, check=True)
    connects = ebpf.network(op="connect", port=9)
    assert {(event.host, str(event.address)) for event in connects} == {
        (f"host-{number}.test", f"127.0.7.{number}:9") for number in range(1, 8)
    }
    messages = ebpf.network(op="dns", process="children")
    assert {event.host for event in messages} == {f"host-{number}.test" for number in range(1, 8)}
    for number in range(1, 8):
        mine = messages.where(host=f"HOST-{number}.test.")
        assert (f"127.0.7.{number}",) in [event.answers for event in mine]
        assert None in [event.answers for event in mine]
        assert {str(event.address) for event in mine} == {f"{resolver}:53"}
    assert {event.socket.type for event in messages if event.socket} == {"SOCK_STREAM" if options else "SOCK_DGRAM"}
    assert ebpf.network(op="dns", process="self") == []
    assert ebpf.complete, ebpf.gaps
    hosts = [f"host-{number}.test" for number in range(1, 8)]
    ebpf.assert_no_network(allow=["loopback", *hosts])
    ebpf.assert_no_network(allow=["loopback", resolver])
    ebpf.assert_only_connects_to(*(f"{host.upper()}." for host in hosts), "127.0.0.0/24")
    for allowed in (["loopback"], ["loopback", *hosts[1:]], ["127.0.0.0/8", "example.org"]):
        with pytest.raises(AssertionError, match=r"asks for the address of host-1\.test by DNS"):
            ebpf.assert_no_network(allow=allowed)
    with pytest.raises(AssertionError, match=r"connects to 127\.0\.7\.1:9 \(host-1\.test\)"):
        ebpf.assert_only_connects_to("127.0.0.0/24", *(f"{host}:10" for host in hosts))
    with pytest.raises(AssertionError, match="failed with ECONNREFUSED"):
        ebpf.assert_connected("host-3.test:9")
    for events in (ebpf.network(op="connect", address="host-3.test"), ebpf.syscalls("connect", address="host-3.test")):
        assert [str(event.address) for event in events] == ["127.0.7.3:9"]


def _query(name: str) -> bytes:
    return dns.message.make_query(name, "A").to_wire()


def test_a_name_learnt_before_the_window(ebpf: Recording, resolver: str) -> None:
    """A part of the test knows the names of the whole."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.sendto(_query("host-3.test"), (resolver, 53))
        asking.recvfrom(4096)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender, ebpf.window() as window:
        sender.sendto(b"x", ("127.0.7.3", 9))
        sender.sendto(b"x", ("127.0.7.5", 9))
    assert [event.host for event in window.network(op="send")] == ["host-3.test", None]
    assert len(window.network(host="*.test")) == 1


def test_messages_by_tcp_in_pieces(ebpf: Recording, resolver: str) -> None:
    """A message may come in any pieces, and a piece may have several messages."""
    queries = [_query(f"host-{number}.test") for number in range(1, 6)]
    stream = b"".join(len(query).to_bytes(2, "big") + query for query in queries)
    with socket.create_connection((resolver, 53)) as connection:
        for start in range(0, len(stream), 13):
            connection.send(stream[start : start + 13])
        for _ in queries:
            _exactly(connection, int.from_bytes(_exactly(connection, 2), "big"))
    asked = [event.host for event in ebpf.network(op="dns") if event.answers is None]
    answered = [(event.host, event.answers) for event in ebpf.network(op="dns") if event.answers is not None]
    assert asked == [f"host-{number}.test" for number in range(1, 6)]
    assert answered == [(f"host-{number}.test", (f"127.0.7.{number}",)) for number in range(1, 6)]


def test_messages_that_are_none(ebpf: Recording) -> None:
    """Whatever goes to port 53 is an event of op dns; what it says may be nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for data in (b"x", bytes(12), b"\xff" * 400, _query("host-1.test")[:-3]):
            sender.sendto(data, ("127.0.0.6", 53))
    assert [event.host for event in ebpf.network(op="dns")] == [None] * 4


def test_names_by_sendmmsg(ebpf: Recording, libc: ctypes.CDLL) -> None:
    """Each message goes with its own address; one that goes elsewhere is none of DNS."""
    ends = [("127.0.0.6", 53), ("127.0.0.6", 54), ("127.0.0.7", 53)]
    messages = _messages([_sockaddr(*end) for end in ends], [_query("one.test"), b"x", _query("two.test")])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender, ebpf.window() as window:
        libc.sendmmsg(sender.fileno(), messages, 3, 0)
    found = [(event.host, str(event.address)) for event in window.network(op="dns")]
    assert found == [("one.test", "127.0.0.6:53"), ("two.test", "127.0.0.7:53")]


def test_reading_names_is_silent(ebpf: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library that reads the messages may be loaded for it: that is not the test's doing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(_query("host-1.test"), ("127.0.0.6", 53))
    with ebpf.window() as window:
        for name in [name for name in sys.modules if name.partition(".")[0] == "dns"]:
            monkeypatch.delitem(sys.modules, name)
        names.load.cache_clear()
        assert ebpf.network(op="dns").where(host="host-1.test")
        assert "dns.message" in sys.modules
    assert window.files(path="*/dns/*") == []


# Processes


def test_7_children(ebpf: Recording) -> None:
    """Each is forked, executes and ends with its code."""
    for code in range(7):
        subprocess.run(["/bin/sh", "-c", f"exit {code}"], check=False)
    forks = ebpf.processes(op="fork")
    children = [event.child.pid for event in forks if event.child is not None]
    assert len(children) == 7
    executed = ebpf.processes(op="exec", exe="sh", ok=True)
    assert [event.pid for event in executed] == children
    assert [event.argv for event in executed] == [("/bin/sh", "-c", f"exit {code}") for code in range(7)]
    ended = ebpf.processes(op="exit")
    assert [(event.pid, event.exit_code, event.signal) for event in ended] == [
        (pid, code, None) for code, pid in enumerate(children)
    ]
    assert str(ended[5]) == "+++ exited with 5 +++"
    assert ended[5].exe == executed[5].exe
    assert len(ebpf.processes(exit_code=range(1, 7))) == 6
    assert len(ebpf.processes(argv=["/bin/sh", "-c", "exit 3"], op="exec")) == 1
    assert [event.path for event in ebpf.files(op="execute", path="/bin/sh")] == ["/bin/sh"] * 7


def test_a_program_that_is_not_there(ebpf: Recording) -> None:
    """An attempt, with the program that was meant and its arguments."""
    with pytest.raises(FileNotFoundError):
        subprocess.run(["/nowhere/program", "one"], check=True)
    (event,) = ebpf.processes(op="exec")
    assert (event.exe, event.argv, event.result) == ("/nowhere/program", ("/nowhere/program", "one"), "failed")
    assert [ended.op for ended in ebpf.processes(op="exit")] == ["exit"]


def test_a_script(ebpf: Recording, tmp_path: Path) -> None:
    """It is found by its own name and by that of its interpreter."""
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\nexit 3\n")
    script.chmod(0o700)
    subprocess.run([script], check=False)
    assert len(ebpf.processes(op="exec", exe=script)) == 1
    assert len(ebpf.processes(op="exec", exe="script")) == 1
    assert len(ebpf.processes(op="exec", exe=Path("/bin/sh").resolve())) == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_death_by_signal(ebpf: Recording, number: signal.Signals) -> None:
    """The end says which; and who sent it is an event too."""
    child = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE)
    child.send_signal(number)
    child.communicate()
    (ended,) = ebpf.processes(op="exit")
    assert (ended.pid, ended.exit_code, ended.signal) == (child.pid, None, number.name)
    assert str(ended).startswith(f"+++ killed by {number.name}")
    (sent,) = ebpf.processes(op="signal", signal=number)
    assert (sent.target, sent.signal, sent.ok) == (child.pid, number.name, True)
    assert ebpf.processes(signal=number.name, exit_code=None, op="exit") == [ended]


def test_signal_0_is_a_question(ebpf: Recording) -> None:
    """Nothing is sent."""
    os.kill(os.getpid(), 0)
    assert ebpf.processes(op="signal") == []


def test_threads_are_no_processes(ebpf: Recording) -> None:
    """They are neither forked nor do they exit."""
    threads = [threading.Thread(target=os.getppid) for _ in range(7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ebpf.processes() == ebpf.processes().undecided == []


def test_a_leader_that_exits_first(ebpf: Recording) -> None:
    """The process ends once, with its last thread, and by its code."""
    program = f"""
import ctypes, os, sys, threading, time
leader = f"/proc/self/task/{{os.getpid()}}/stat"
def last():
    while open(leader).read().rpartition(")")[2].split()[0] != "Z": pass
    os._exit(5)
threading.Thread(target=last).start()
ctypes.CDLL(None).syscall({SYSCALLS["exit"]}, 0)
"""
    child = subprocess.run([sys.executable, "-S", "-c", program], check=False)
    assert child.returncode == 5
    (ended,) = ebpf.processes(op="exit")
    assert (ended.exit_code, ended.tid != ended.pid) == (5, True)


CODE_OF_LAST = (5, 19)
"""The kernel since which a process that ends thread by thread has the code of the last one."""
ENDING = f"""
import ctypes, os, threading
libc = ctypes.CDLL(None)
leader = f"/proc/self/task/{{{{os.getpid()}}}}/stat"
def last():
    while open(leader).read().rpartition(")")[2].split()[0] != "Z": pass
    libc.syscall({SYSCALLS["exit"]}, {{last}})
threading.Thread(target=last).start()
libc.syscall({SYSCALLS["exit"]}, 3)
"""


def test_threads_that_end_one_by_one(ebpf: Recording) -> None:
    """Where no thread ends the whole process, the code is what the parent is told: of the last thread, or the first."""
    codes: dict[int, int] = {}
    for last in (7, 0):
        child = subprocess.run([sys.executable, "-S", "-c", ENDING.format(last=last)], check=False)
        assert [event.exit_code for event in ebpf.processes(op="exit")][len(codes) :] == [child.returncode]
        codes[last] = child.returncode
    assert codes == ({7: 7, 0: 0} if _numbers(os.uname().release) >= CODE_OF_LAST else {7: 3, 0: 3})


def test_a_thread_that_executes(ebpf: Recording) -> None:
    """The process becomes the new program and ends once, as that."""
    program = """
import os, threading
threading.Thread(target=lambda: os.execv("/bin/sh", ["sh", "-c", "exit 3"])).start()
threading.Event().wait()
"""
    subprocess.run([sys.executable, "-S", "-c", program], check=False)
    (ended,) = ebpf.processes(op="exit")
    assert (ended.exit_code, ended.argv) == (3, ("sh", "-c", "exit 3"))
    assert [event.argv[0] for event in ebpf.processes(op="exec")] == [sys.executable, "sh"]


def test_ends_belong_to_their_window(ebpf: Recording) -> None:
    """A process that ends after a window is not among its ends."""
    with ebpf.window() as first:
        child = subprocess.Popen([sys.executable, "-S", "-c", f"import os\n{UNTIL_EOF}"], stdin=subprocess.PIPE)
    with ebpf.window() as second:
        child.communicate()
    assert [event.op for event in first.processes(op="exit")] == []
    assert [event.pid for event in second.processes(op="exit")] == [child.pid]


def _submit(ebpf: Recording, path: Path, count: int) -> Recording:
    """Write a file by kernel aio, as many times; the window in which it was submitted."""
    setup, destroy, submit, collect = {"x86_64": (206, 207, 209, 208), "aarch64": (0, 1, 2, 4)}[os.uname().machine]
    libc = ctypes.CDLL(None, use_errno=True)
    context = ctypes.c_ulong(0)
    assert libc.syscall(setup, count, ctypes.byref(context)) == 0, "the kernel has no aio"
    data = ctypes.create_string_buffer(bytes(SIZE), SIZE)
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    numbers = (0, 0, 0, 1, 0, fd, ctypes.addressof(data), SIZE, 0, 0, 0, 0)
    request = ctypes.create_string_buffer(struct.pack("=QIIHhIQQqQII", *numbers))
    pointers = (ctypes.c_void_p * count)(*[ctypes.addressof(request)] * count)
    with ebpf.window() as window:
        assert libc.syscall(submit, context, count, pointers) == count
    libc.syscall(collect, context, count, count, ctypes.create_string_buffer(32 * count), None)
    libc.syscall(destroy, context)
    os.close(fd)
    return window


def test_kernel_aio(ebpf: Recording, tmp_path: Path) -> None:
    """What is submitted is an attempt on the file; what came of it isn't known."""
    window = _submit(ebpf, tmp_path / "file", 7)
    written = window.files(op="write", path=tmp_path / "file")
    assert [(event.name, event.result, event.nbytes) for event in written] == [("IOCB_CMD_PWRITE", "unknown", None)] * 7
    assert window.files(op="write", ok=True).undecided == written
    assert window.complete, window.gaps


def test_more_kernel_aio_than_is_read(ebpf: Recording, tmp_path: Path) -> None:
    """The rest is a gap that names it."""
    window = _submit(ebpf, tmp_path / "file", 257)
    assert "kernel aio" in str(window.gaps[0])
    window.assert_no_syscall("openat")
    with pytest.raises(InconclusiveRecording, match="kernel aio"):
        window.assert_no_syscall("IOCB_CMD_PREAD")
