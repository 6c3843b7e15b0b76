"""What is recorded of files and their paths."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import re
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_ebpf import InconclusiveRecording
from pytest_ebpf.recording import Recording

LONGEST = 4095
AT_FDCWD = -100


def test_23_files_opened(ebpf: Recording, tmp_path: Path) -> None:
    """Each of 23 opens is there once, with its arguments, result and file."""
    for number in range(23):
        os.close(os.open(tmp_path / f"file-{number}", os.O_WRONLY | os.O_CREAT, 0o640))
    ebpf.assert_syscall("%open", path=f"{tmp_path}/file-*", count=23)
    ebpf.assert_syscall("openat", flags="O_WRONLY|O_CREAT", mode=0o640, ok=True, count=23)
    ebpf.assert_syscall("close", ok=True, count=23)
    assert ebpf.complete, ebpf.gaps
    first = ebpf.syscalls("openat").first
    assert first is not None
    assert first.path == first.abspath == first.realpath == f"{tmp_path}/file-0"
    assert first.process.is_self
    assert first.duration_ns is not None
    assert first.duration_ns > 0
    name = f"{tmp_path}/file-0"
    assert str(first) == f'openat(AT_FDCWD, "{name}", O_WRONLY|O_CREAT|O_CLOEXEC, 0640) = {first.ret}<{name}>'


def test_a_failed_open_is_an_attempt(ebpf: Recording, tmp_path: Path) -> None:
    """ENOENT is recorded as such, with the path that was asked for."""
    with pytest.raises(FileNotFoundError):
        os.open(tmp_path / "nothing", os.O_RDONLY)
    ebpf.assert_syscall("openat", path=tmp_path / "nothing", errno="ENOENT", ok=False, count=1)
    with pytest.raises(AssertionError, match=r"ENOENT \(No such file or directory\)"):
        ebpf.assert_no_syscall("openat", path="*/nothing")


def test_relative_paths_are_resolved(ebpf: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the working directory or the dirfd of that moment, in the kernel."""
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/file").write_text("x")
    monkeypatch.chdir(tmp_path / "a")
    with ebpf.window() as by_cwd:
        os.close(os.open("b/file", os.O_RDONLY))
    directory = os.open("b", os.O_RDONLY)
    with ebpf.window() as by_dirfd:
        os.close(os.open("../b/file", os.O_RDONLY, dir_fd=directory))
    os.chdir("/")
    os.close(directory)
    for window in (by_cwd, by_dirfd):
        window.assert_syscall("openat", path=tmp_path / "a/b/file", count=1)
        opened = window.syscalls("openat").first
        assert opened is not None
        assert opened.path in ("b/file", "../b/file")
        assert opened.abspath == opened.realpath == f"{tmp_path}/a/b/file"
        with pytest.raises(AssertionError):
            window.assert_no_syscall("%open", path=tmp_path / "a/b/file")


def test_symlinks_do_not_hide_a_file(ebpf: Recording, tmp_path: Path) -> None:
    """The file behind a symlink is found by its own path."""
    (tmp_path / "secret").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    os.close(os.open(tmp_path / "link", os.O_RDONLY))
    ebpf.assert_syscall("openat", path=tmp_path / "secret", flags="O_RDONLY", count=1)


def test_a_moved_working_directory_keeps_its_new_name(
    ebpf: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The base of a relative path is what it is called at the time of the call."""
    (tmp_path / "before").mkdir()
    monkeypatch.chdir(tmp_path / "before")
    (tmp_path / "before").rename(tmp_path / "after")
    assert not os.access("nothing", os.R_OK)
    ebpf.assert_syscall("%file", path=tmp_path / "after/nothing", count=1)


def test_directory_nested_300_deep(ebpf: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every component counts, however many."""
    monkeypatch.chdir(tmp_path)
    for _ in range(300):
        Path("dir").mkdir()
        os.chdir("dir")
    os.close(os.open("leaf", os.O_CREAT | os.O_WRONLY))
    expected = f"{tmp_path}{'/dir' * 300}/leaf"
    ebpf.assert_syscall("openat", path=expected, count=1)
    assert ebpf.complete, ebpf.gaps


def test_path_of_4095_bytes(ebpf: Recording, tmp_path: Path) -> None:
    """The longest path that the kernel takes is whole."""
    longest = f"{tmp_path}/" + "x/" * LONGEST
    longest = longest[: LONGEST - 1] + "y"
    assert len(longest) == LONGEST
    with pytest.raises(FileNotFoundError):
        os.open(longest, os.O_RDONLY)
    ebpf.assert_syscall("openat", path=longest, errno="ENOENT", count=1)
    ebpf.assert_no_syscall("openat", path=longest[:-1])
    assert ebpf.complete, ebpf.gaps


def test_path_longer_than_the_kernel_takes(ebpf: Recording, tmp_path: Path) -> None:
    """It is cut, and says so: an assertion on it is not decided by the part that is there."""
    too_long = f"{tmp_path}/" + "x" * LONGEST
    with pytest.raises(OSError, match="File name too long"):
        os.open(too_long, os.O_RDONLY)
    with pytest.raises(InconclusiveRecording):
        ebpf.assert_no_syscall("openat", path=too_long[:-1])
    ebpf.assert_syscall("openat", errno="ENAMETOOLONG", count=1)


@pytest.mark.parametrize("name", [b"\xff\xfe-caf\xe9", b"new\nline", b"\x1b[31mred", "ünïcode".encode()])
def test_names_of_any_bytes(ebpf: Recording, tmp_path: Path, name: bytes) -> None:
    """Non-UTF-8, newlines and escapes are matched as they are, and printed harmlessly."""
    path = os.fsencode(tmp_path) + b"/" + name
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT))
    ebpf.assert_syscall("openat", path=os.fsdecode(path), count=1)
    ebpf.assert_syscall("openat", path=re.compile(re.escape(os.fsdecode(name)) + "$"), count=1)
    with pytest.raises(AssertionError) as caught:
        ebpf.assert_no_syscall("openat", path=os.fsdecode(path))
    shown = str(caught.value)
    assert "\x1b" not in shown
    assert len([line for line in shown.splitlines() if "openat(AT_FDCWD" in line]) == 1
    assert shown.isprintable() or all(part.isprintable() for part in shown.splitlines())


def _cold_path(tmp_path: Path, path: bytes) -> mmap.mmap:
    """The path in a page that is in memory but not in this process's page table."""
    holder = tmp_path / "holder"
    holder.write_bytes(path + b"\0" * mmap.PAGESIZE)
    with holder.open("rb") as file:
        return mmap.mmap(file.fileno(), mmap.PAGESIZE, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)


def _address(memory: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


def test_path_on_a_cold_page(ebpf: Recording, tmp_path: Path, libc: ctypes.CDLL) -> None:
    """Not readable at entry, it is read again at exit."""
    target = os.fsencode(tmp_path) + b"/cold"
    memory = _cold_path(tmp_path, target)
    address = _address(memory)
    with ebpf.window() as window:
        assert libc.open(ctypes.c_void_p(address), os.O_WRONLY | os.O_CREAT, 0o600) >= 0
    window.assert_syscall("openat", path=os.fsdecode(target), count=1)
    window.assert_no_syscall("openat", path="/etc/passwd")
    assert window.complete, window.gaps


def test_path_that_can_never_be_read_is_a_gap(
    ebpf: Recording, tmp_path: Path, libc: ctypes.CDLL, until: Callable[[Callable[[], bool]], None]
) -> None:
    """Cold at entry and unmapped before exit: no assertion on paths may pass for it."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    memory = _cold_path(tmp_path, os.fsencode(fifo))
    address = _address(memory)
    libc.open.argtypes = [ctypes.c_void_p, ctypes.c_int]
    with ebpf.window() as window:
        reader = threading.Thread(target=libc.open, args=(address, os.O_RDONLY))
        reader.start()
        until(lambda: any(event.in_flight for event in window.syscalls("openat", flags="O_RDONLY")))
        libc.munmap(ctypes.c_void_p(address), mmap.PAGESIZE)
        writer = os.open(fifo, os.O_WRONLY)
        reader.join()
        # It makes its last calls after that, which are to be this test's.
        until(lambda: not Path(f"/proc/self/task/{reader.native_id}").exists())
    os.close(writer)
    with pytest.raises(InconclusiveRecording, match="could not be read"):
        window.assert_no_syscall("openat", path="/etc/passwd")
    assert not window.complete
    window.assert_syscall("openat", flags="O_RDONLY", count=1)


def test_null_and_wild_paths(ebpf: Recording, libc: ctypes.CDLL) -> None:
    """A path that the kernel couldn't read either hides nothing."""
    libc.open.argtypes = [ctypes.c_void_p, ctypes.c_int]
    assert libc.open(None, 0) == -1
    assert libc.open(0xDEAD0000, 0) == -1
    ebpf.assert_syscall("openat", errno="EFAULT", count=2)
    ebpf.assert_no_syscall("openat", path="/etc/passwd")
    assert ebpf.complete, ebpf.gaps
    assert [str(event) for event in ebpf.syscalls("openat")] == [
        "openat(AT_FDCWD, NULL, O_RDONLY) = -1 EFAULT (Bad address)",
        "openat(AT_FDCWD, 0xdead0000, O_RDONLY) = -1 EFAULT (Bad address)",
    ]


def test_chroot(ebpf: Recording, tmp_path: Path) -> None:
    """An absolute path inside a chroot is known by its real place too."""
    (tmp_path / "jail/etc").mkdir(parents=True)
    (tmp_path / "jail/etc/passwd").write_text("x")
    if (child := os.fork()) == 0:
        os.chroot(tmp_path / "jail")
        os.close(os.open("/etc/passwd", os.O_RDONLY))
        os.access("/etc/shadow", os.R_OK)
        os._exit(0)
    os.waitpid(child, 0)
    opened = ebpf.syscalls("openat", process="children").last
    assert opened is not None
    assert (opened.path, opened.abspath) == ("/etc/passwd", f"{tmp_path}/jail/etc/passwd")
    ebpf.assert_syscall("%file", path=tmp_path / "jail/etc/shadow", errno="ENOENT", count=1)


def test_bind_mount_and_mount_namespace(ebpf: Recording, tmp_path: Path, libc: ctypes.CDLL) -> None:
    """The name of a file is the one by which its mount is reached."""
    for name in ("data", "bound"):
        (tmp_path / name).mkdir()
    (tmp_path / "data/file").write_text("x")
    if (child := os.fork()) == 0:
        private, bind = 1 << 18 | 1 << 14, 1 << 12
        ok = libc.unshare(0x20000) == 0 and libc.mount(b"none", b"/", None, private, None) == 0
        ok = ok and libc.mount(os.fsencode(tmp_path / "data"), os.fsencode(tmp_path / "bound"), None, bind, None) == 0
        os.close(os.open(tmp_path / "bound/file", os.O_RDONLY))
        os.chdir(tmp_path / "bound")
        os.close(os.open("file", os.O_RDONLY))
        os._exit(not ok)
    assert os.waitpid(child, 0)[1] == 0
    ebpf.assert_syscall("openat", path=tmp_path / "bound/file", process="children", count=2)
    assert ebpf.complete, ebpf.gaps


def test_descriptors_have_names(ebpf: Recording, tmp_path: Path) -> None:
    """Calls on a descriptor carry the file as it was called then, also after a rename and of a deleted file."""
    path = tmp_path / "before"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"1")
    (tmp_path / "before").rename(tmp_path / "after")
    os.write(fd, b"22")
    (tmp_path / "after").unlink()
    os.write(fd, b"333")
    os.close(fd)
    assert [event.realpath for event in ebpf.syscalls("write", fd=fd)] == [
        f"{tmp_path}/before",
        f"{tmp_path}/after",
        f"{tmp_path}/after",
    ]
    last = ebpf.syscalls("write", fd=fd).last
    assert last is not None
    assert last.files["fd"].deleted
    assert str(last) == f"write({fd}<{tmp_path}/after>(deleted), {last.args['buf']:#x}, 3) = 3"


def test_descriptors_of_renamed_directories(ebpf: Recording, tmp_path: Path) -> None:
    """A rename anywhere above a file gives its descriptors a new name, by whomever."""
    (tmp_path / "a/b").mkdir(parents=True)
    fd = os.open(tmp_path / "a/b/file", os.O_WRONLY | os.O_CREAT)
    for number in range(23):
        os.write(fd, b"x")
        with ebpf.paused():
            (tmp_path / "a").rename(tmp_path / "c")
            (tmp_path / "c").rename(tmp_path / "a" if number % 2 else tmp_path / "d")
            (tmp_path / ("a" if number % 2 else "d")).rename(tmp_path / "a")
            (tmp_path / "a").rename(tmp_path / f"dir-{number}")
            (tmp_path / f"dir-{number}").rename(tmp_path / "a")
    os.close(fd)
    assert [event.realpath for event in ebpf.syscalls("write", fd=fd)] == [f"{tmp_path}/a/b/file"] * 23


def test_kinds_of_descriptors(ebpf: Recording, tmp_path: Path) -> None:
    """What has no path says what it is."""
    import select
    import tempfile

    reader, writer = os.pipe()
    memfd = os.memfd_create("notes")
    event = os.eventfd(0)
    poll = select.epoll()
    with tempfile.TemporaryFile(dir=tmp_path) as unnamed:
        for fd in (writer, memfd, event):
            os.write(fd, bytes(8))
        unnamed.write(b"x")
        unnamed.flush()
        poll.poll(0)
        kinds = [str(each.files["fd"]) for each in ebpf.syscalls("write")]
    poll.close()
    for fd in (reader, writer, memfd, event):
        os.close(fd)
    assert kinds[0].startswith("pipe:[")
    assert kinds[1:3] == ["memfd:notes", "anon_inode:[eventfd]"]
    assert kinds[3].startswith(f"{tmp_path}/#")
    assert kinds[3].endswith(" (deleted)")
    assert [str(each.files["epfd"]) for each in ebpf.syscalls("epoll_wait")] == ["anon_inode:[eventpoll]"]


def test_in_the_memory_of_earlier_ones(ebpf: Recording) -> None:
    """Files and sockets that the kernel keeps where it kept others of the same name, or alike, are told apart."""
    sockets: list[int] = []
    for _ in range(40):
        with contextlib.ExitStack() as stack:
            for _ in range(300):
                one = stack.enter_context(socket.socket())
                sockets.append(os.fstat(one.fileno()).st_ino)
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    assert [call.files["fd"].inode for call in ebpf.syscalls("setsockopt")] == sockets
    files: list[int] = []
    name = Path(f"/dev/shm/pytest-ebpf-{os.getpid()}")
    for _ in range(3000):
        fd = os.open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR)
        name.unlink()
        files.append(os.fstat(fd).st_ino)
        os.ftruncate(fd, 1)
        os.close(fd)
    opened = [call.result_file for call in ebpf.syscalls("openat", path=str(name))]
    assert [file.inode for file in opened if file is not None] == files


def test_long_and_unreadable_arguments_of_programs(ebpf: Recording, libc: ctypes.CDLL) -> None:
    """The arguments of a program are whole however long; of one that was not executed they are as it was asked for."""
    import subprocess

    long = ["x" * 100_000] * 19
    subprocess.run(["/bin/true", *long, ""], check=True)
    with pytest.raises(FileNotFoundError):
        subprocess.run(["/nothing", "y" * 5000], check=True)
    executed = ebpf.syscalls("execve", ok=True).first
    assert executed is not None
    assert executed.args["argv"] == ("/bin/true", *long, "")
    assert ebpf.syscalls("exit_group", comm="true").where(exe="true").first is not None
    refused = ebpf.syscalls("execve", path="/nothing").first
    assert refused is not None
    assert refused.args["argv"] == ("/nothing", "y" * 5000)
    assert libc.execve(b"/nothing", None, None) == -1
    assert ebpf.complete, ebpf.gaps


def test_name_that_is_longer_than_a_path(ebpf: Recording, tmp_path: Path) -> None:
    """Of a file far down, by way of descriptors: what doesn't fit is unknown, and what follows is as it was."""
    at = os.open(tmp_path, os.O_RDONLY)
    for _ in range(67):
        os.mkdir("n" * 251, dir_fd=at)
        below = os.open("n" * 251, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(os.open("leaf", os.O_CREAT | os.O_WRONLY, dir_fd=at))
    os.close(at)
    os.close(os.open(tmp_path, os.O_RDONLY))
    event = ebpf.syscalls("openat", flags="O_CREAT").first
    assert event is not None
    assert event.realpath is None
    with pytest.raises(InconclusiveRecording):
        ebpf.assert_no_file_access("/etc/shadow")
    last = ebpf.syscalls("openat").last
    assert last is not None
    assert last.realpath == str(tmp_path)


def test_the_root_is_a_directory(ebpf: Recording) -> None:
    """It has no parent, and stands in a tree all the same."""
    fd = os.open("/", os.O_RDONLY)
    os.close(os.open("etc/hosts", os.O_RDONLY, dir_fd=fd))
    os.close(fd)
    assert [event.realpath for event in ebpf.syscalls("openat")] == ["/", "/etc/hosts"]
    assert [event.realpath for event in ebpf.syscalls("close")] == ["/etc/hosts", "/"]


@pytest.mark.parametrize("name", ["execve", "execveat"])
def test_program_on_a_cold_page(ebpf: Recording, tmp_path: Path, libc: ctypes.CDLL, name: str) -> None:
    """Its path is that which was asked for; where the kernel kept only another spelling, it is unknown."""
    number = {"x86_64": {"execve": 59, "execveat": 322}, "aarch64": {"execve": 221, "execveat": 281}}[
        os.uname().machine
    ]
    directory = os.open("/bin", os.O_RDONLY)
    memory = _cold_path(tmp_path, b"/bin/true" if name == "execve" else b"true")
    argv = (ctypes.c_char_p * 2)(b"true", None)
    path = ctypes.c_void_p(_address(memory))
    before = () if name == "execve" else (directory,)
    if os.fork() == 0:
        libc.syscall(number[name], *before, path, argv, None, 0)
        os._exit(1)
    assert os.wait()[1] == 0
    os.close(directory)
    event = ebpf.syscalls(name, ok=True).first
    assert event is not None
    assert event.args["argv"] == ("true",)
    if name == "execve":
        assert event.path == "/bin/true"
        assert ebpf.complete, ebpf.gaps
    else:
        assert event.path is None
        with pytest.raises(InconclusiveRecording):
            ebpf.assert_no_syscall("execveat", path="/etc/passwd")


CHROOTED = """
import os
import pytest

def test_it(ebpf, tmp_path):
    (tmp_path / "file").write_text("x")
    etc = os.open("/etc", os.O_RDONLY)
    for folder in (etc, OUTSIDE):
        os.close(os.open("passwd", os.O_RDONLY, dir_fd=folder))
    ebpf.assert_only_writes_under(tmp_path)
    inside, outside = ebpf.syscalls("openat", dfd=lambda fd: fd in (etc, OUTSIDE))
    assert (inside.abspath, inside.realpath) == ("/etc/passwd", "/etc/passwd")
    assert (outside.abspath, outside.realpath) == ("(unreachable)/etc/passwd", "(unreachable)/etc/passwd")
    ebpf.assert_syscall("openat", path="/etc/passwd", count=1)
    with pytest.raises(AssertionError, match="/etc/passwd"):
        ebpf.assert_no_file_access("/etc/passwd")
    assert ebpf.processes().first is None
    assert inside.process.exe == os.path.realpath("/proc/self/exe")
    made = tmp_path / "made"
    made.touch()
    os.stat(f"{JAIL}{made}".lstrip("/"), dir_fd=OUTSIDE_ROOT)
    os.unlink(f"{JAIL}{made}".lstrip("/"), dir_fd=OUTSIDE_ROOT)
    ebpf.assert_syscall("newfstatat", path=made, dfd=OUTSIDE_ROOT, count=1)
    with pytest.raises(AssertionError, match="remove"):
        ebpf.assert_no_file_access(made, ops={"remove"})

def test_other(ebpf):
    os.stat("/")
    os.close(os.open("/etc/passwd", os.O_RDONLY))
    assert ebpf.syscalls("openat").last.realpath == "/etc/passwd"
"""


def test_pytest_in_a_chroot(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What it calls / is the root of all names, also of those that the kernel tells; what is outside is marked."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    jail = tmp_path / "jail"
    test = pytester.makepyfile(f"OUTSIDE, OUTSIDE_ROOT, JAIL = 9, 8, {str(jail)!r}\n{CHROOTED}")
    jail.mkdir()
    enter = 'exec 9</etc 8</; mount --rbind / "$0" && exec chroot "$0" "$@"'
    pytest_ = (sys.executable, "-m", "pytest", "-p", "pytest_ebpf.plugin", "-p", "no:cacheprovider", test)
    result = pytester.run("unshare", "--mount", "sh", "-c", enter, jail, *pytest_)
    result.assert_outcomes(passed=2)


def test_a_child_in_a_chroot_is_not_where_it_seems(ebpf: Recording, tmp_path: Path) -> None:
    """What it removes or executes by an absolute path is in its own root directory."""
    for name in ("srv/file", "bin/true"):
        (tmp_path / "jail" / name).parent.mkdir(parents=True)
        (tmp_path / "jail" / name).touch()
    if (child := os.fork()) == 0:
        os.chroot(tmp_path / "jail")
        Path("/srv/file").unlink()
        try:
            os.execv("/bin/true", ["true"])
        except PermissionError:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    with pytest.raises((AssertionError, InconclusiveRecording)):
        ebpf.assert_only_writes_under("/srv")
    with pytest.raises(AssertionError, match=f"{tmp_path}/jail/bin/true"):
        ebpf.assert_no_exec(allow=["/bin/true"])
