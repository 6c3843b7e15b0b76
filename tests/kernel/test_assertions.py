"""Each assertion against the running kernel: it holds, it is violated, and the ways to sneak past it."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import mmap
import multiprocessing
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from pytest_ebpf import InconclusiveRecording, call
from pytest_ebpf.recording import Recording

PUBLIC = "192.0.2.1"  # of a network for documentation: nobody is there


def python(program: str, *args: object) -> None:
    """Run a small program to its end, in another process."""
    subprocess.run([sys.executable, "-S", "-c", program, *map(str, args)], check=True)


def violated(check: Callable[[], None], *words: str) -> str:
    """The text of an assertion that is certainly violated."""
    with pytest.raises(AssertionError) as caught:
        check()
    text = str(caught.value)
    for word in words:
        assert word in text, text
    return text


@pytest.fixture
def server() -> Iterator[tuple[str, int]]:
    """A listening socket on loopback, from before the recording."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()


# Order


def test_order(ebpf: Recording, tmp_path: Path) -> None:
    """Others may be in between; the other way round it is violated, and the text says what came too early."""
    file, moved = tmp_path / "file", tmp_path / "moved"
    fd = os.open(file, os.O_CREAT | os.O_WRONLY)
    os.write(fd, b"x")
    os.getppid()
    os.fsync(fd)
    os.close(fd)
    file.rename(moved)
    ebpf.assert_syscall_order(call("write", path=file), call("fsync", path=file), call("rename*", path=moved))
    violated(
        lambda: ebpf.assert_syscall_order(call("rename*", path=moved), call("fsync", path=file)),
        "step 2 of 2",
        "did not come after step 1",
        "came before step 1",
    )
    violated(lambda: ebpf.assert_syscall_order(call("write"), call("ptrace")), "no ptrace was recorded")


def test_order_of_a_child(ebpf: Recording) -> None:
    """What a new process does comes after the fork, though a vfork returns later still."""
    subprocess.run(["/bin/true"], check=True)
    ebpf.assert_syscall_order(call("%process", where=lambda e: e.started is not None), call("execve", path="/bin/true"))


def test_overlapping_calls_have_no_order(ebpf: Recording, until: Callable[[Callable[[], bool]], None]) -> None:
    """A read that waits for a write of another thread began first and ended last."""
    reader, writer = os.pipe()
    thread = threading.Thread(target=os.read, args=(reader, 1))
    thread.start()
    until(lambda: any(event.in_flight for event in ebpf.syscalls("read", fd=reader).known))
    os.write(writer, b"x")
    thread.join()
    os.close(reader)
    os.close(writer)
    violated(lambda: ebpf.assert_syscall_order(call("read", fd=reader), call("write", fd=writer)), "had returned")


# Network


def test_no_network_allows_what_is_none(ebpf: Recording, tmp_path: Path) -> None:
    """asyncio's self-pipe, a socketpair, a manager, a unix server of the test, netlink, and a socket alone."""

    async def nothing() -> None:
        await asyncio.sleep(0)

    asyncio.run(nothing())
    with socket.socket(), socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
        netlink.bind((0, 0))
    one, two = socket.socketpair()
    with one, two:
        one.send(b"x")
        two.recv(1)
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as client:
        listening.bind(str(tmp_path / "socket"))
        listening.listen()
        client.connect(str(tmp_path / "socket"))
        client.send(b"x")
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        bound.listen()
    ebpf.assert_no_network()


@pytest.fixture
def manager() -> Iterator[multiprocessing.managers.SyncManager]:
    """A manager that a fixture started: its socket was bound before the recording."""
    with multiprocessing.get_context("spawn").Manager() as manager:
        yield manager


@pytest.mark.heavy(reason="imports a large package")
def test_no_network_with_a_manager_of_a_fixture(ebpf: Recording, manager: multiprocessing.managers.SyncManager) -> None:
    """It belongs to the test's own tree."""
    assert manager.list([1]).pop() == 1
    ebpf.assert_no_network()


def _connect(address: tuple[str, int]) -> None:
    with socket.socket() as client:
        client.setblocking(False)
        client.connect_ex(address)


def _send(address: tuple[str, int]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client, contextlib.suppress(OSError):
        client.sendto(b"x", address)


def _send_message(address: tuple[str, int]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client, contextlib.suppress(OSError):
        client.sendmsg([b"x"], [], 0, address)


def _child(address: tuple[str, int]) -> None:
    program = (
        "import socket, sys; s = socket.socket(); s.setblocking(False); s.connect_ex((sys.argv[1], int(sys.argv[2])))"
    )
    python(program, *address)


def _shell(address: tuple[str, int]) -> None:
    command = f"timeout 30 bash -c 'echo x > /dev/udp/{address[0]}/{address[1]}'"
    subprocess.run(["bash", "-c", command], check=False, stderr=subprocess.DEVNULL)


def _ctypes(address: tuple[str, int]) -> None:
    libc = ctypes.CDLL(None)
    packed = b"\2\0" + address[1].to_bytes(2, "big") + socket.inet_aton(address[0]) + bytes(8)
    fd = libc.socket(2, 2, 0)
    libc.sendto(fd, b"x", 1, 0, packed, 16)
    os.close(fd)


def _mapped(address: tuple[str, int]) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
        client.connect_ex((f"::ffff:{address[0]}", address[1]))


def _fast_open(address: tuple[str, int]) -> None:
    with socket.socket() as client:
        client.setblocking(False)
        with contextlib.suppress(OSError):
            client.sendto(b"x", socket.MSG_FASTOPEN, address)


WAYS = [_connect, _send, _send_message, _child, _shell, _ctypes, _mapped, _fast_open]


@pytest.mark.parametrize("way", WAYS)
def test_ways_out(ebpf: Recording, way: Callable[[tuple[str, int]], None]) -> None:
    """Each is seen whatever makes it, whether it works or not, and passes if it is allowed."""
    way((PUBLIC, 9))
    violated(ebpf.assert_no_network, "reached ", "192.0.2.1")
    violated(lambda: ebpf.assert_no_network(allow=["loopback", "private", "10.0.0.0/8", "unix"]), PUBLIC)
    violated(lambda: ebpf.assert_no_network(allow=["192.0.2.1:10"]), PUBLIC)
    violated(lambda: ebpf.assert_only_connects_to("192.0.2.2"), PUBLIC)
    for allowed in ("192.0.2.1", "192.0.2.1:9", "192.0.2.0/24", "public"):
        ebpf.assert_no_network(allow=[allowed])
        ebpf.assert_only_connects_to(allowed)


@pytest.mark.parametrize("to", ["127.0.0.1", "::1"])
def test_loopback_is_network_unless_allowed(ebpf: Recording, to: str) -> None:
    """A server and its client in one test."""
    family = socket.AF_INET6 if ":" in to else socket.AF_INET
    with socket.create_server((to, 0), family=family) as listening:
        address = listening.getsockname()[:2]
        with socket.create_connection(address) as client, listening.accept()[0] as accepted:
            client.send(b"x")
            accepted.recv(1)
    violated(ebpf.assert_no_network, "connects to", "accepts from")
    shown = f"[{to}]:{address[1]}" if ":" in to else f"{to}:{address[1]}"
    ebpf.assert_no_network(allow=["loopback"])
    ebpf.assert_no_network(allow=[to])
    ebpf.assert_no_network(allow=["localhost"])
    ebpf.assert_only_connects_to(shown)
    ebpf.assert_connected(shown)
    violated(lambda: ebpf.assert_connected("192.0.2.1"), "no connection to it was made", "another destination")


def test_a_socket_from_before(ebpf: Recording, server: tuple[str, int]) -> None:
    """What is sent on it is seen, though no connect is."""
    with ebpf.paused():
        client = socket.create_connection(server)
    with client:
        os.write(client.fileno(), b"x")
    violated(ebpf.assert_no_network, "sends to 127.0.0.1")


@pytest.mark.parametrize("address", ["0.0.0.0", "::"])
def test_a_port_that_is_open_to_everybody(ebpf: Recording, address: str) -> None:
    """Loopback doesn't allow it."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as bound:
        bound.bind((address, 0))
    violated(lambda: ebpf.assert_no_network(allow=["loopback"]), "open to everybody")
    ebpf.assert_only_connects_to("127.0.0.1")


def test_listening_without_a_bind(ebpf: Recording) -> None:
    """The kernel gives it all addresses."""
    with socket.socket() as listening:
        listening.listen()
    violated(lambda: ebpf.assert_no_network(allow=["loopback"]), "listens on")


@pytest.mark.parametrize(
    "level, option, value",
    [
        (socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo"),
        (socket.SOL_SOCKET, 62, struct.pack("=i", 1)),
        (socket.IPPROTO_IP, socket.IP_OPTIONS, b"\1\1\1\1"),
        (socket.IPPROTO_IP, 50, struct.pack("!i", 1)),
    ],
)
def test_loopback_by_a_device(ebpf: Recording, level: int, option: int, value: bytes) -> None:
    """A socket may be told to send by another, or by way of another host: then its address alone proves nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        with ebpf.window() as plain, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            client.sendto(b"x", server.getsockname())
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setsockopt(level, option, value)
            client.sendto(b"x", server.getsockname())
    plain.assert_no_network(allow=["loopback"])
    with pytest.raises(InconclusiveRecording, match="sends to"):
        ebpf.assert_no_network(allow=["loopback"])


def test_packet_socket(ebpf: Recording) -> None:
    """Beneath all addresses."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as raw:
        raw.bind(("lo", 0))
    violated(lambda: ebpf.assert_no_network(allow=["loopback", "private"]), "AF_PACKET")


OUTSIDER = """\
import socket, sys, os
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        server = socket.socket(socket.AF_UNIX, int(sys.argv[2]))
        server.bind(sys.argv[1].replace("@", chr(0), 1))
        if server.type == socket.SOCK_STREAM:
            server.listen()
        sys.stdout.write("ready")
        sys.stdout.close(); os.close(1)
        os.read(0, 1)
    os._exit(0)
os.wait()
"""


class Strange(Protocol):
    """Starts a process that is nobody's child, with a unix socket of that name."""

    def __call__(self, name: str, kind: int = socket.SOCK_STREAM, cwd: Path | None = None) -> None: ...


@pytest.fixture
def strange() -> Iterator[Strange]:
    """The processes live as long as the test."""
    with contextlib.ExitStack() as started:

        def start(name: str, kind: int = socket.SOCK_STREAM, cwd: Path | None = None) -> None:
            command = [sys.executable, "-c", OUTSIDER, name, str(int(kind))]
            starting = subprocess.Popen(command, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            starter = started.enter_context(starting)
            assert starter.stdout is not None
            assert starter.stdout.read() == b"ready"

        yield start


@pytest.fixture(params=["docker.sock", "@abstract-of-a-stranger"])
def stranger(request: pytest.FixtureRequest, strange: Strange, tmp_path: Path) -> str:
    """A unix socket of a process that is nobody's child."""
    name = f"{request.param}{os.getpid()}" if request.param.startswith("@") else str(tmp_path / request.param)
    strange(name)
    return name


def test_unix_sockets_of_others(ebpf: Recording, stranger: str) -> None:
    """A process outside the test may act for it."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(stranger.replace("@", "\0", 1) if stranger.startswith("@") else stranger)
        client.send(b"x")
    violated(ebpf.assert_no_network, "connects to", f"unix:{stranger}")
    violated(lambda: ebpf.assert_no_network(allow=["loopback"]), "a container engine" if "docker" in stranger else "")
    ebpf.assert_no_network(allow=["unix"])
    ebpf.assert_no_network(allow=[f"unix:{stranger}"])


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """The test's own folder, and that of a stranger."""
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    mine.mkdir()
    theirs.mkdir()
    return mine, theirs


@contextlib.contextmanager
def bound(name: object) -> Iterator[None]:
    """A unix socket of the test's own."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(name))
        listening.listen()
        yield


def connect(name: object, cwd: Path = Path("/")) -> None:
    """To a unix socket, and say something."""
    with contextlib.chdir(cwd), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(name))
        client.send(b"x")


def test_a_relative_name_is_not_everywhere_the_same(
    ebpf: Recording, strange: Strange, folders: tuple[Path, Path]
) -> None:
    """That of a stranger's socket isn't that of the test's own in another folder."""
    mine, theirs = folders
    with ebpf.paused():
        strange("sock", cwd=theirs)
    with contextlib.chdir(mine), bound("sock"):
        with ebpf.window() as part:
            connect(mine / "sock")
        connect("sock", cwd=theirs)
    part.assert_no_network()
    violated(ebpf.assert_no_network, "connects to unix:sock")
    violated(lambda: ebpf.assert_no_network(allow=[f"unix:{mine}/*"]))
    ebpf.assert_no_network(allow=[f"unix:{theirs}/*"])


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_paths_out_of_an_allowed_folder(
    ebpf: Recording, strange: Strange, folders: tuple[Path, Path], kind: socket.SocketKind
) -> None:
    """They are followed, by dots and by links that the test made; a link from before is as good as where it leads."""
    mine, theirs = folders
    with ebpf.paused():
        strange(str(theirs / "sock"), kind)
        (mine / "before").symlink_to(theirs / "sock")
    (mine / "link").symlink_to(theirs / "sock")
    for path in (f"{mine}/../theirs/sock", f"{mine}/link"):
        with ebpf.window() as part, socket.socket(socket.AF_UNIX, kind) as client:
            if kind == socket.SOCK_DGRAM:
                client.sendto(b"x", path)
            else:
                client.connect(path)
        violated(lambda part=part: part.assert_no_network(allow=[f"unix:{mine}/*"]), "unix:")  # type: ignore[misc]
        part.assert_no_network(allow=[f"unix:{theirs}/*"])
    with ebpf.window() as part, socket.socket(socket.AF_UNIX, kind) as client:
        client.connect(str(mine / "before"))
        client.send(b"x")
    part.assert_no_network(allow=[f"unix:{mine}/before"])
    part.assert_no_network(allow=[f"unix:{theirs}/sock"])


@pytest.mark.parametrize("kind", ["path", "link", "abstract"])
def test_a_name_that_was_the_tests_own(
    ebpf: Recording, strange: Strange, folders: tuple[Path, Path], kind: str
) -> None:
    """It isn't for ever: a stranger may take it, or a link may stand there."""
    mine, theirs = (str(folder / "sock") for folder in folders)
    name = f"\0pytest-ebpf-{os.getpid()}" if kind == "abstract" else mine
    with bound(name):
        connect(name)
    ebpf.assert_no_network()
    if kind != "abstract":
        Path(name).unlink()
    with ebpf.paused():
        strange(theirs if kind == "link" else name.replace("\0", "@"))
    if kind == "link":
        Path(name).symlink_to(theirs)
    connect(name)
    violated(ebpf.assert_no_network, "unix:", "of no process of this test")


def test_own_unix_sockets_by_other_spellings(ebpf: Recording, folders: tuple[Path, Path]) -> None:
    """Relative or absolute, through a link or not: the test's own is no network, also one of a child."""
    mine, theirs = folders
    (theirs / "link").symlink_to(mine)
    program = """
import os, socket, sys
os.chdir(sys.argv[1])
server = socket.socket(socket.AF_UNIX)
server.bind("sock")
server.listen()
print("ready", flush=True)
server.accept()[0].recv(1)
"""
    with subprocess.Popen([sys.executable, "-S", "-c", program, mine], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        connect(theirs / "link" / ".." / "mine" / "sock")
    with contextlib.chdir(mine), bound("other"):
        connect(mine / "other")
        connect(theirs / "link" / "other")
        connect("link/other", cwd=theirs)
    ebpf.assert_no_network()


@pytest.fixture
def relative_server(tmp_path: Path) -> Iterator[Path]:
    """A listening unix socket of pytest's own from before the recording, bound by a relative path."""
    with contextlib.chdir(tmp_path), bound("sock"):
        yield tmp_path


def test_own_unix_socket_from_before(ebpf: Recording, relative_server: Path) -> None:
    """By the path that it was bound by."""
    connect("sock", cwd=relative_server)
    ebpf.assert_no_network()


@pytest.fixture(params=[socket.SOCK_STREAM, socket.SOCK_SEQPACKET])
def listening(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    """A unix socket of pytest's own from before the recording."""
    with socket.socket(socket.AF_UNIX, request.param) as found:
        found.bind(f"\0pytest-ebpf-{os.getpid()}-listening")
        found.listen()
        yield found


def test_own_unix_socket_that_was_closed(ebpf: Recording, listening: socket.socket) -> None:
    """As a server of setUp, which tearDown ends before a rule is judged: the test has taken the connection itself."""
    with ebpf.window() as part, socket.socket(socket.AF_UNIX, listening.type) as client:
        client.connect(listening.getsockname())
        client.send(b"x")
        with listening.accept()[0] as taken:
            taken.send(taken.recv(1))
        client.recv(1)
    listening.close()
    ebpf.assert_no_network()
    part.assert_no_network()


def test_a_stranger_that_was_tried_before(
    ebpf: Recording, listening: socket.socket, strange: Strange, tmp_path: Path
) -> None:
    """The socket that the test took a connection from has failed to connect to somebody else."""
    name = str(tmp_path / "sock")
    with ebpf.paused():
        strange(name, socket.SOCK_DGRAM)
    with socket.socket(socket.AF_UNIX, listening.type) as client:
        with pytest.raises(OSError, match="wrong type"):
            client.connect(name)
        client.connect(listening.getsockname())
        listening.accept()[0].close()
    listening.close()
    violated(ebpf.assert_no_network, "tried: connects to", f"unix:{name}")


def test_a_unix_socket_where_nobody_listens(ebpf: Recording, tmp_path: Path) -> None:
    """As the C library looks for nscd wherever it runs."""
    with socket.socket(socket.AF_UNIX) as client, pytest.raises(FileNotFoundError):
        client.connect(str(tmp_path / "nscd"))
    ebpf.assert_no_network()


def test_connect_that_is_under_way(ebpf: Recording, server: tuple[str, int]) -> None:
    """It is a connection once data went through it."""
    with ebpf.window() as before, socket.socket() as client:
        client.setblocking(False)
        client.connect_ex(server)
    with pytest.raises(InconclusiveRecording):
        before.assert_connected(f"127.0.0.1:{server[1]}")

    async def talk() -> None:
        _, writer = await asyncio.open_connection(*server)
        writer.write(b"x")
        await writer.drain()
        writer.close()

    with ebpf.window() as part:
        asyncio.run(talk())
    part.assert_connected(f"127.0.0.1:{server[1]}")


def test_connect_on_a_connected_socket(ebpf: Recording, server: tuple[str, int]) -> None:
    """It tells of a connection to the other end alone."""
    with socket.create_connection(server) as client:
        with ebpf.window() as elsewhere:
            assert client.connect_ex((PUBLIC, 9)) == errno.EISCONN
        with ebpf.window() as there:
            assert client.connect_ex(server) == errno.EISCONN
    violated(lambda: elsewhere.assert_connected(PUBLIC), "failed with EISCONN")
    there.assert_connected(f"127.0.0.1:{server[1]}")


def test_data_on_another_socket(ebpf: Recording) -> None:
    """A datagram to the same address doesn't complete a connect that is under way."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as clients:
        address = full.getsockname()
        with ebpf.paused():  # who fills its queue, so that the next one isn't answered
            clients.enter_context(socket.create_connection(address))
        client = clients.enter_context(socket.socket())
        client.setblocking(False)
        assert client.connect_ex(address) == errno.EINPROGRESS
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            datagrams.sendto(b"x", address)
    with pytest.raises(InconclusiveRecording, match="had not been completed"):
        ebpf.assert_connected(f"127.0.0.1:{address[1]}")


# Programs


def test_no_exec(ebpf: Recording) -> None:
    """By whatever call, in whichever process; a look along PATH that finds nothing is none."""
    subprocess.run(["true"], check=True, env={"PATH": "/nowhere:/bin"})
    violated(ebpf.assert_no_exec, "/true")
    ebpf.assert_no_exec(allow=["true"])
    violated(lambda: ebpf.assert_no_exec(allow=["false", "/bin/tr"]))
    ebpf.assert_exec("true")
    ebpf.assert_exec("true", argv=["true"])
    violated(lambda: ebpf.assert_exec("true", argv=["true", "x"]), "argv:")
    violated(lambda: ebpf.assert_exec("git"), "it was not executed")


def test_no_exec_without_an_interpreter(ebpf: Recording, tmp_path: Path) -> None:
    """The kernel then says that the program isn't there, which it is."""
    script, dangling = tmp_path / "script", tmp_path / "dangling"
    script.write_text("#!/nowhere/interpreter\n")
    script.chmod(0o700)
    dangling.symlink_to("nothing")
    with ebpf.window() as part, pytest.raises(FileNotFoundError):
        subprocess.run([dangling], check=True)
    part.assert_no_exec()
    with ebpf.window() as part, pytest.raises(FileNotFoundError):
        subprocess.run([script], check=True)
    with pytest.raises(InconclusiveRecording, match="may have been there"):
        part.assert_no_exec()
    part.assert_no_exec(allow=[script])


def test_no_exec_of_what_is_mounted(ebpf: Recording, tmp_path: Path) -> None:
    """A bind mount puts another program where the allowed one is."""
    for name in ("allowed", "other"):
        shutil.copy("/bin/true", tmp_path / name)
    with ebpf.window() as part:
        subprocess.run([tmp_path / "allowed"], check=True)
    part.assert_no_exec(allow=[tmp_path / "allowed"])
    code = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
other, allowed = map(os.fsencode, sys.argv[1:])
assert libc.unshare(0x20000) == 0
assert libc.mount(b"none", b"/", None, 0x44000, None) == 0
assert libc.mount(other, allowed, None, 0x1000, None) == 0
os.execv(allowed, ["allowed"])
"""
    python(code, tmp_path / "other", tmp_path / "allowed")
    with pytest.raises(InconclusiveRecording, match="may lead elsewhere"):
        ebpf.assert_no_exec(allow=[tmp_path / "allowed", "python*"])


def test_no_exec_by_descriptor(ebpf: Recording) -> None:
    """execveat of a file that has no name is told as well."""
    source = Path("/bin/true").resolve().read_bytes()
    fd = os.memfd_create("program", 0)
    os.write(fd, source)
    pid = os.fork()
    if pid == 0:
        os.execve(fd, ["program"], {})
    os.waitpid(pid, 0)
    os.close(fd)
    violated(lambda: ebpf.assert_no_exec(allow=["true"]))


# Budgets


def test_max(ebpf: Recording, tmp_path: Path) -> None:
    """Of calls by name and of effects whichever call they are of."""
    for number in range(7):
        (tmp_path / str(number)).write_bytes(bytes(1009))
    subprocess.run(["/bin/true"], check=True)
    ebpf.assert_max(fsync=0, bytes_written=7063, execs=1, forks=1, connects=0, syncs=0)
    violated(lambda: ebpf.assert_max(bytes_written="7 kB"), "7,063 bytes were written, 63 too many")
    violated(lambda: ebpf.assert_max(execs=0, forks=0), "1 execs", "1 forks")
    violated(lambda: ebpf.assert_max(syscalls=7), "syscalls=7")
    violated(lambda: ebpf.assert_max(opens=6), "opens")


def test_bytes_through_a_mapping_are_not_known(ebpf: Recording, tmp_path: Path) -> None:
    """So no bound on them is proven."""
    (tmp_path / "file").write_bytes(bytes(4096))
    with ebpf.window() as part, (tmp_path / "file").open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[0] = 1
    with pytest.raises(InconclusiveRecording, match="how many bytes isn't known"):
        part.assert_max(bytes_written="1GiB")


def test_a_script_counts_by_its_own_path(ebpf: Recording, tmp_path: Path) -> None:
    """And its interpreter as well."""
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n:\n")
    script.chmod(0o700)
    subprocess.run([script], check=True)
    ebpf.assert_exec(script)
    ebpf.assert_no_exec(allow=[script])
    violated(lambda: ebpf.assert_no_exec(allow=["cat"]), "executed")


def test_assertions_leave_no_trace(ebpf: Recording, tmp_path: Path) -> None:
    """Looking at the file system, at mounts and at processes is not recorded."""
    (tmp_path / "file").write_text("x")
    os.unlink(tmp_path / "file")  # noqa: PTH108
    with socket.socket(socket.AF_UNIX) as client:
        client.connect_ex("\0nobody")
    before = len(ebpf.events)
    ebpf.assert_only_writes_under(tmp_path)
    ebpf.assert_only_reads_under(tmp_path)
    ebpf.assert_no_file_access("/etc/shadow")
    ebpf.assert_no_network()
    ebpf.assert_no_exec()
    ebpf.assert_max(syscalls=before)
    violated(lambda: ebpf.assert_durable(tmp_path / "file"))
    violated(lambda: ebpf.assert_connected("unix:/nobody"))
    assert len(ebpf.events) == before, ebpf.events[before:].format()
