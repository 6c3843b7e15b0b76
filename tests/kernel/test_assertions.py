"""Each assertion against the running kernel: it holds, it is violated, and the ways to sneak past it."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import mmap
import multiprocessing
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

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
        server = socket.socket(socket.AF_UNIX)
        server.bind(sys.argv[1])
        server.listen()
        sys.stdout.write("ready")
        sys.stdout.close(); os.close(1)
        os.read(0, 1)
    os._exit(0)
os.wait()
"""


@pytest.fixture(params=["docker.sock", "@abstract-of-a-stranger"])
def stranger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A unix socket of a process that is nobody's child."""
    name = request.param if request.param.startswith("@") else str(tmp_path / request.param)
    name = f"{name}{os.getpid()}" if name.startswith("@") else name
    program = OUTSIDER.replace("sys.argv[1]", "sys.argv[1].replace('@', chr(0), 1)")
    command = [sys.executable, "-c", program, name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        assert starter.stdout.read() == b"ready"
        yield name


def test_unix_sockets_of_others(ebpf: Recording, stranger: str) -> None:
    """A process outside the test may act for it."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(stranger.replace("@", "\0", 1) if stranger.startswith("@") else stranger)
        client.send(b"x")
    violated(ebpf.assert_no_network, "connects to", f"unix:{stranger}")
    violated(lambda: ebpf.assert_no_network(allow=["loopback"]), "a container engine" if "docker" in stranger else "")
    ebpf.assert_no_network(allow=["unix"])
    ebpf.assert_no_network(allow=[f"unix:{stranger}"])


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
