"""Which files were touched, whatever path led there; and what would be left of them after a crash."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import resource
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from pytest_ebpf import InconclusiveRecording, places
from pytest_ebpf.recording import Recording

from .conftest import SYS_BPF
from .test_assertions import python, violated

OPENAT2 = 437
RENAME_EXCHANGE = 2
MS_PRIVATE, MNT_DETACH = 1 << 18, 2
MOVE_MOUNT, FSOPEN, FSCONFIG, FSMOUNT = 429, 430, 431, 432
FSCONFIG_CMD_CREATE, MOVE_MOUNT_F_EMPTY_PATH = 6, 4
BPF_MAP_CREATE, BPF_OBJ_PIN, BPF_OBJ_GET = 0, 6, 7
AT_SYMLINK_FOLLOW = 0x400


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    """The folder that is allowed."""
    folder = tmp_path / "inside"
    folder.mkdir()
    return folder


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """One that is not, with a file."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "file").write_text("secret")
    return folder


# Only under


def test_writes_inside(ebpf: Recording, inside: Path, outside: Path) -> None:
    """Everything one does with files; reading elsewhere, devices, pipes, memory and output are no matter."""
    (inside / "file").write_text("x")
    (inside / "file").rename(inside / "moved")
    os.link(inside / "moved", inside / "link")
    (inside / "symlink").symlink_to("moved")
    (inside / "symlink").chmod(0o600)
    with tempfile.TemporaryDirectory(dir=inside) as folder:
        Path(folder, "deep").mkdir()
        Path(folder, "deep/file").touch()
        os.truncate(f"{folder}/deep/file", 7)
    (outside / "file").read_text()
    with tempfile.TemporaryFile(dir=inside) as file:
        file.write(b"x")
    Path("/dev/null").write_text("x")
    reader, writer = os.pipe()
    os.write(writer, b"x")
    os.close(reader)
    os.close(writer)
    os.write(os.memfd_create("x"), b"x")
    sys.stdout.write("x")
    sys.stdout.flush()
    os.write(2, b"x")
    subprocess.run(["echo", "x"], check=True)
    ebpf.assert_only_writes_under(inside)
    ebpf.assert_only_writes_under(outside, inside / ".." / "inside")


def _open(inside: Path, outside: Path) -> None:
    (outside / "new").touch()


def _dots(inside: Path, outside: Path) -> None:
    Path(f"{inside}/../outside/new").touch()


def _through_link(inside: Path, outside: Path) -> None:
    (inside / "link").symlink_to(outside)
    (inside / "link/new").touch()


def _through_relative_link(inside: Path, outside: Path) -> None:
    (inside / "link").symlink_to("../outside")
    os.unlink(inside / "link/file")  # noqa: PTH108 (a plain call)


def _through_link_that_is_gone(inside: Path, outside: Path) -> None:
    (inside / "link").symlink_to(outside)
    os.unlink(inside / "link/file")  # noqa: PTH108
    os.unlink(inside / "link")  # noqa: PTH108
    (inside / "link").mkdir()
    (inside / "link/file").touch()


def _dots_after_link(inside: Path, outside: Path) -> None:
    (outside / "deep").mkdir()
    (inside / "link").symlink_to(outside / "deep")
    os.mkdir(f"{inside}/link/../new")  # noqa: PTH102


def _dots_after_relative_link(inside: Path, outside: Path) -> None:
    (outside / "deep").mkdir()
    (inside / "link").symlink_to(outside / "deep")
    subprocess.run(["mkdir", "link/../new"], check=True, cwd=inside)


def _chmod_through_link(inside: Path, outside: Path) -> None:
    (inside / "link").symlink_to(outside / "file")
    os.chmod(inside / "link", 0o600)  # noqa: PTH101


def _truncate_through_link(inside: Path, outside: Path) -> None:
    (inside / "link").symlink_to(outside / "file")
    os.truncate(inside / "link", 0)


def _rename_out(inside: Path, outside: Path) -> None:
    (inside / "file").touch()
    (inside / "file").rename(outside / "file")


def _rename_in(inside: Path, outside: Path) -> None:
    (outside / "file").rename(inside / "file")


def _hard_link(inside: Path, outside: Path) -> None:
    os.link(outside / "file", inside / "link")
    (inside / "link").write_text("x")


def _directory_descriptor(inside: Path, outside: Path) -> None:
    fd = os.open(outside, os.O_RDONLY)
    os.unlink("file", dir_fd=fd)
    os.close(fd)


def _working_directory(inside: Path, outside: Path) -> None:
    subprocess.run(["sh", "-c", "echo x > new"], check=True, cwd=outside)


def _child(inside: Path, outside: Path) -> None:
    python("import os, sys; os.truncate(sys.argv[1], 3)", outside / "file")


def _mapping(inside: Path, outside: Path) -> None:
    with (outside / "file").open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[0] = 1


def _copy(inside: Path, outside: Path) -> None:
    (inside / "file").write_bytes(b"x")
    with (inside / "file").open("rb") as source, (outside / "file").open("r+b") as target:
        os.copy_file_range(source.fileno(), target.fileno(), 1)


WAYS = [
    _open,
    _dots,
    _through_link,
    _through_relative_link,
    _through_link_that_is_gone,
    _dots_after_link,
    _dots_after_relative_link,
    _chmod_through_link,
    _truncate_through_link,
    _rename_out,
    _rename_in,
    _hard_link,
    _directory_descriptor,
    _working_directory,
    _child,
    _mapping,
    _copy,
]


@pytest.mark.parametrize("way", WAYS)
def test_writes_outside(ebpf: Recording, inside: Path, outside: Path, way: Callable[[Path, Path], None]) -> None:
    """Whatever path and call it is."""
    way(inside, outside)
    violated(lambda: ebpf.assert_only_writes_under(inside), str(outside), "writes elsewhere")


@pytest.mark.parametrize("end", ["/", "/.", "//./"])
@pytest.mark.parametrize("name", ["lchown", "utimensat"])
def test_a_link_that_has_to_be_a_directory(
    ebpf: Recording, libc: ctypes.CDLL, inside: Path, outside: Path, name: str, end: str
) -> None:
    """What ends in a slash or a dot is followed, also by calls that change the link itself."""
    (inside / "link").symlink_to(outside)
    with ebpf.window() as part:
        if name == "lchown":
            assert libc.lchown(os.fsencode(inside / "link") + end.encode(), os.getuid(), os.getgid()) == 0
        else:
            os.utime(f"{inside}/link{end}", (7, 7), follow_symlinks=False)
    violated(lambda: part.assert_only_writes_under(inside), str(outside))
    violated(lambda: part.assert_no_file_access(outside), "metadata")
    with ebpf.window() as part:
        os.utime(inside / "link", (7, 7), follow_symlinks=False)
    part.assert_only_writes_under(inside)
    part.assert_no_file_access(outside)


@pytest.mark.parametrize("moved", ["a mount that is there", "a new one"])
def test_a_mount_that_is_moved(
    ebpf: Recording, libc: ctypes.CDLL, inside: Path, outside: Path, tmp_path: Path, moved: str
) -> None:
    """By a descriptor of its place: what is in it has other names then."""

    def mount(folder: Path, kind: bytes | None, flags: int = 0) -> None:
        assert libc.mount(b"x", os.fsencode(folder), kind, flags, None) == 0

    mount(tmp_path, b"tmpfs")
    mount(tmp_path, None, MS_PRIVATE)  # out of a shared one, nothing is moved
    try:
        inside.mkdir()
        outside.mkdir()
        mount(outside, b"tmpfs")
        (outside / "file").write_text("secret")
        with ebpf.window() as part:
            if moved == "a new one":
                context = libc.syscall(FSOPEN, b"tmpfs", 0)
                assert libc.syscall(FSCONFIG, context, FSCONFIG_CMD_CREATE, None, None, 0) == 0
                fd = libc.syscall(FSMOUNT, context, 0, 0)
            else:
                fd = os.open(outside, os.O_PATH)
            assert libc.syscall(MOVE_MOUNT, fd, b"", -100, os.fsencode(inside), MOVE_MOUNT_F_EMPTY_PATH) == 0
            (inside / "file").touch()
    finally:
        libc.umount2(os.fsencode(tmp_path), MNT_DETACH)
    if moved == "a new one":
        part.assert_no_file_access(f"{outside}/*")
    else:
        with pytest.raises(InconclusiveRecording, match="a path may lead elsewhere"):
            part.assert_no_file_access(f"{outside}/*")


def test_a_file_without_a_name_from_before_the_window(ebpf: Recording, inside: Path, outside: Path) -> None:
    """The test opened it, so it is none of those to which pytest's output goes."""
    with (outside / "file").open("r+b", buffering=0) as file:
        (outside / "file").unlink()
        with ebpf.window() as part:
            file.write(b"x")
        violated(lambda: part.assert_only_writes_under(inside), str(outside))


def test_an_open_that_fails_when_the_file_is_made(
    ebpf: Recording, libc: ctypes.CDLL, inside: Path, outside: Path
) -> None:
    """As with O_DIRECT, where the file system has none: the file stays; also at the end of a link."""
    (inside / "link").symlink_to(outside / "new")
    assert libc.mount(b"x", os.fsencode(outside), b"ramfs", 0, None) == 0
    try:
        with ebpf.window() as part, pytest.raises(OSError, match="Invalid argument"):
            os.open(inside / "link", os.O_WRONLY | os.O_CREAT | os.O_DIRECT)
        made = (outside / "new").exists()
    finally:
        libc.umount2(os.fsencode(outside), 2)
    assert made
    with pytest.raises(InconclusiveRecording, match="perhaps creates"):
        part.assert_only_writes_under(inside)
    part.assert_only_writes_under(inside, outside)


def test_a_map_that_gets_a_name(ebpf: Recording, libc: ctypes.CDLL, inside: Path, outside: Path) -> None:
    """A file of its own file system, made by a call that takes its path in memory."""
    limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    with contextlib.suppress(ValueError):  # not allowed; only before Linux 5.11 a map counts
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert libc.mount(b"x", os.fsencode(outside), b"bpf", 0, None) == 0
    try:
        number, path = SYS_BPF[os.uname().machine], ctypes.create_string_buffer(os.fsencode(outside / "map"))
        fd = libc.syscall(number, BPF_MAP_CREATE, struct.pack("=5I", 2, 4, 8, 1, 0), 20)
        assert fd >= 0
        with ebpf.window() as part:
            assert libc.syscall(number, BPF_OBJ_PIN, struct.pack("=QII", ctypes.addressof(path), fd, 0), 16) == 0
        with ebpf.window() as other:
            again = libc.syscall(number, BPF_OBJ_GET, struct.pack("=QII", ctypes.addressof(path), 0, 0), 16)
        assert again >= 0
        os.close(again)
        os.close(fd)
    finally:
        libc.umount2(os.fsencode(outside), 2)
        resource.setrlimit(resource.RLIMIT_MEMLOCK, limit)
    with pytest.raises((AssertionError, InconclusiveRecording)):
        part.assert_only_writes_under(inside)
    with pytest.raises((AssertionError, InconclusiveRecording)):
        part.assert_no_file_access(outside / "map")
    with pytest.raises(InconclusiveRecording):
        other.assert_only_reads_under(inside)
    with pytest.raises(InconclusiveRecording):
        other.assert_no_file_access(outside / "map")
    other.assert_only_writes_under(inside)


def test_dots_that_cannot_be_followed(
    ebpf: Recording, inside: Path, outside: Path, decided_by_hooks: Callable[[str], AbstractContextManager[object]]
) -> None:
    """Up and down again, past what may be a link."""
    (outside / "deep").mkdir()
    (inside / "link").symlink_to(outside / "deep")
    (inside / "work").mkdir()
    subprocess.run(["mkdir", "../link/../new"], check=True, cwd=inside / "work")
    with decided_by_hooks("what can't be told"):
        ebpf.assert_only_writes_under(inside, outside)


def test_an_allowed_folder_that_becomes_a_link(ebpf: Recording, inside: Path, outside: Path) -> None:
    """What it was when the recording began counts."""
    inside.rmdir()
    inside.symlink_to(outside)
    (inside / "new").touch()
    violated(lambda: ebpf.assert_only_writes_under(inside), str(outside))


def test_an_allowed_folder_that_is_a_link(ebpf: Recording, inside: Path, tmp_path: Path) -> None:
    """Made before the recording, it is the folder that it leads to."""
    with ebpf.paused():
        (tmp_path / "link").symlink_to(inside)
    (tmp_path / "link/file").touch()
    (inside / "file").unlink()
    ebpf.assert_only_writes_under(tmp_path / "link")
    ebpf.assert_only_writes_under(inside)


def test_own_descriptor_by_its_name(ebpf: Recording, inside: Path, outside: Path) -> None:
    """It is what it was opened as, as the C library's fchmodat has it; not if another one took its place."""
    with ebpf.paused():
        (inside / "file").touch()

    def opened(folder: Path) -> str:
        return f"/proc/self/fd/{os.open(folder / 'file', os.O_PATH)}"

    name = opened(inside)
    os.chmod(name, 0o600)  # noqa: PTH101
    os.stat("/dev/stdin")  # noqa: PTH116
    ebpf.assert_only_writes_under(inside)
    ebpf.assert_no_file_access(outside / "file")
    with ebpf.window() as part:
        os.dup2(os.open(outside / "file", os.O_PATH), int(Path(name).name))
        os.chmod(name, 0o600)  # noqa: PTH101
    with pytest.raises((AssertionError, InconclusiveRecording), match="changes the metadata of"):  # a hook says of what
        part.assert_only_writes_under(inside)
    with ebpf.window() as part:
        os.chmod(name, 0o600)  # noqa: PTH101
    with pytest.raises((AssertionError, InconclusiveRecording), match="changes the metadata of"):
        part.assert_only_writes_under(inside)
    with ebpf.window() as part:
        os.chmod(opened(outside), 0o600)  # noqa: PTH101
    violated(lambda: part.assert_only_writes_under(inside), str(outside))


def test_what_failed_wrote_nothing(ebpf: Recording, inside: Path, outside: Path) -> None:
    """An attempt is none of the writes."""
    with pytest.raises(FileExistsError):
        outside.mkdir()
    ebpf.assert_only_writes_under(inside)


def test_hard_link_from_before(ebpf: Recording, inside: Path, outside: Path) -> None:
    """The other names of a file are nowhere to be found: that can't be decided, if they aren't inside as well."""
    with ebpf.paused():
        os.link(outside / "file", inside / "link")
        (inside / "one").touch()
        os.link(inside / "one", inside / "two")
    with ebpf.window() as part:
        (inside / "one").write_text("x")
    part.assert_only_writes_under(inside)
    part.assert_only_reads_under(inside)
    (inside / "link").write_text("x")
    with pytest.raises(InconclusiveRecording, match="has 2 names"):
        ebpf.assert_only_writes_under(inside)
    with ebpf.window() as part:
        (inside / "link").read_text()
    with pytest.raises(InconclusiveRecording, match="has 2 names"):
        part.assert_only_reads_under(inside)


def test_hard_link_that_is_gone(ebpf: Recording, inside: Path, outside: Path) -> None:
    """Removed or replaced after the write, its other names can't be counted; those of a new file are known."""
    changes: list[Callable[[], object]] = [
        (inside / "link").unlink,
        lambda: (inside / "new").rename(inside / "link"),
    ]
    for change in changes:
        with ebpf.paused():
            os.link(outside / "file", inside / "link")
            (inside / "new").touch()
        with ebpf.window() as part:
            (inside / "link").write_text("x")
            change()
        with pytest.raises(InconclusiveRecording, match="whether it had other names"):
            part.assert_only_writes_under(inside)
    with ebpf.window() as part:
        (inside / "fresh").write_text("x")
        (inside / "fresh").unlink()
    part.assert_only_writes_under(inside)


MOUNTING = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
assert libc.unshare(0x20000) == 0
assert libc.mount(b"none", b"/", None, 0x44000, None) == 0
assert libc.mount(os.fsencode(sys.argv[1]), os.fsencode(sys.argv[2]), None, ctypes.c_ulong({flags}), None) == 0
{work}
"""
BIND, REMOUNT, PRIVATE, MAGIC = 0x1000, 0x20, 0x40000, 0xC0ED0000


@pytest.mark.parametrize("flags", [BIND, BIND | PRIVATE, BIND | MAGIC])
def test_a_mount_shows_another_place(ebpf: Recording, inside: Path, outside: Path, flags: int) -> None:
    """What lies under a path after a bind mount isn't known, whatever else the call says."""
    python(MOUNTING.format(flags=flags, work="open(f'{sys.argv[2]}/file', 'w').write('x')"), outside, inside)
    assert (outside / "file").read_text() == "x"
    with pytest.raises(InconclusiveRecording, match="may lead elsewhere"):
        ebpf.assert_only_writes_under(inside)


def test_a_file_by_way_of_a_mount(ebpf: Recording, inside: Path, outside: Path) -> None:
    """It has another name then; what is mounted of memory or of the kernel has none of it."""
    python(MOUNTING.format(flags=BIND, work="os.chmod(f'{sys.argv[2]}/file', 0o600)"), outside, inside)
    with pytest.raises(InconclusiveRecording, match="may lead elsewhere"):
        ebpf.assert_no_file_access(outside / "file")
    with ebpf.window() as part:
        fresh = "libc.mount(b'none', os.fsencode(sys.argv[2]), b'tmpfs', 0, None); open(f'{sys.argv[2]}/file', 'w')"
        python(MOUNTING.replace("os.fsencode(sys.argv[1])", "None").format(flags=REMOUNT | BIND, work=""), outside, "/")
        python("import ctypes, os, sys; libc = ctypes.CDLL(None); libc.unshare(0x20000); " + fresh, outside, inside)
    part.assert_no_file_access(outside / "file")


def _swap(inside: Path, _: Path) -> None:
    """The folder that the link is in is another one by now."""
    (inside / "folder").rename(inside / "before")
    (inside / "other").rename(inside / "folder")


def _exchange(inside: Path, _: Path) -> None:
    libc = ctypes.CDLL(None)
    names = (os.fsencode(inside / name) for name in ("folder", "other"))
    first, second = names
    assert libc.renameat2(-100, first, -100, second, RENAME_EXCHANGE) == 0


def _replace_link(inside: Path, _: Path) -> None:
    (inside / "folder/link").unlink()
    (inside / "folder/link").mkdir()


@pytest.mark.parametrize("change", [_swap, _exchange, _replace_link])
@pytest.mark.parametrize("act", [os.unlink, lambda path: os.truncate(path, 0), lambda path: path.chmod(0o600)])
def test_folders_that_change_names(
    ebpf: Recording, inside: Path, outside: Path, act: Callable[[Path], None], change: Callable[[Path, Path], None]
) -> None:
    """What a path led to at the call counts: not what stands there since, also where that came after the window."""
    with ebpf.paused():
        (inside / "folder").mkdir()
        (inside / "other/link").mkdir(parents=True)
        (inside / "folder/link").symlink_to(outside)
    with ebpf.window() as part:
        act(inside / "folder/link/file")
    change(inside, outside)
    for each in (part, ebpf):
        with pytest.raises((AssertionError, InconclusiveRecording)):
            each.assert_only_writes_under(inside)
        with pytest.raises((AssertionError, InconclusiveRecording)):
            each.assert_no_file_access(outside / "file")


def test_a_folder_that_changes_its_name(ebpf: Recording, inside: Path, outside: Path) -> None:
    """It is followed: what is done in it under either name is done there, and decided."""
    with ebpf.paused():
        (inside / "build/deep").mkdir(parents=True)
        (inside / "build/deep/file").touch()
        (inside / "build/deep/gone").touch()
    (inside / "build/deep/new").touch()
    (inside / "build").rename(inside / "dist")
    (inside / "dist/deep/gone").unlink()
    (inside / "dist/deep/new").chmod(0o600)
    (inside / "build").mkdir()
    (inside / "build/other").touch()
    ebpf.assert_only_writes_under(inside)
    ebpf.assert_no_file_access(outside / "file")


def test_an_allowed_folder_that_becomes_a_link_after_the_window(
    ebpf: Recording, inside: Path, outside: Path, tmp_path: Path
) -> None:
    """It was a folder when the window began."""
    with ebpf.window() as part:
        (outside / "new").touch()
    inside.rename(tmp_path / "elsewhere")
    inside.symlink_to(outside)
    with pytest.raises((AssertionError, InconclusiveRecording)):
        part.assert_only_writes_under(inside)


def test_files_of_another_process_table(ebpf: Recording, inside: Path) -> None:
    """In a PID namespace of its own a process has a number that is another process's in pytest's /proc."""
    program = """
import ctypes, os
assert ctypes.CDLL(None).unshare(0x20000000) == 0
pid = os.fork()
if not pid:
    open("/proc/1/status").read()
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
"""
    with ebpf.window() as part:
        python(program)
    violated(lambda: part.assert_only_reads_under(inside, "/usr", "/etc", "/bin", "/lib", "/lib64"), "/proc/1/status")
    Path("/proc/self/status").read_text()
    with ebpf.window() as part:
        Path("/proc/self/status").read_text()
        Path(f"/proc/{os.getpid()}/status").read_text()
    part.assert_only_reads_under(inside)


def test_reads_inside(ebpf: Recording, inside: Path, outside: Path) -> None:
    """An interpreter's own files are allowed, its program and what it was told to read are not."""
    (inside / "file").write_text("x")
    (inside / "file").read_text()
    os.listdir(inside)  # noqa: PTH208
    (outside / "file").stat()
    (outside / "written").write_text("x")
    ebpf.assert_only_reads_under(inside)
    with ebpf.window() as part:
        subprocess.run([sys.executable, "-I", "-c", "import json, ssl, decimal"], check=True)
    part.assert_only_reads_under(inside)
    violated(lambda: part.assert_only_reads_under(inside, runtime=False), "reads elsewhere")
    for read in (
        (outside / "file").read_text,
        lambda: os.listdir(outside),  # noqa: PTH208
        lambda: subprocess.run(["cat", outside / "file"], check=True),
        lambda: python("print(open(__import__('sys').argv[1]).read())", outside / "file"),
    ):
        with ebpf.window() as part:
            read()
        violated(lambda part=part: part.assert_only_reads_under(inside, "/bin", "/usr/bin"), str(outside))  # type: ignore[misc]


@pytest.fixture
def installed(inside: Path, outside: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module as some installers place it: a hard link of the file in their cache."""
    (inside / "module.py").hardlink_to(outside / "file")
    monkeypatch.setattr(places, "_python_dirs", lambda: (str(inside),))
    return inside / "module.py"


def test_reads_what_any_program_needs(ebpf: Recording, installed: Path) -> None:
    """A folder that is allowed besides takes nothing away, whatever other names its files have."""
    installed.read_text()
    ebpf.assert_only_reads_under("/none")
    ebpf.assert_only_reads_under("/none", installed.parent)
    with pytest.raises(InconclusiveRecording, match="hard links"):
        ebpf.assert_only_reads_under("/none", installed.parent, runtime=False)


# One file


def _unlink_through_link(file: Path) -> None:
    (file.parent / "link").symlink_to(file.parent)
    os.unlink(file.parent / "link" / file.name)  # noqa: PTH108


def _read_through_hard_link(file: Path) -> None:
    (file.parent / "hard").read_text()


def _by_another_name_of_its_folder(file: Path) -> None:
    file.parent.rename(file.parent.with_name("renamed"))
    (file.parent.with_name("renamed") / file.name).chmod(0o600)
    file.parent.with_name("renamed").rename(file.parent)


WAYS_TO_A_FILE: list[Callable[[Path], object]] = [
    lambda file: file.read_text(),
    lambda file: file.stat(),
    lambda file: os.truncate(file, 0),
    lambda file: (file.parent / "soft").read_text(),
    lambda file: os.chmod(file.parent / "soft", 0o600),  # noqa: PTH101
    lambda file: subprocess.run(["cat", file.name], cwd=file.parent, check=True),
    lambda file: Path(f"/proc/self/root{file}").read_text(),
    _unlink_through_link,
    _read_through_hard_link,
    _by_another_name_of_its_folder,
    lambda file: os.chmod(file.parent / "hard", 0o600),  # noqa: PTH101
    lambda file: os.truncate(file.parent / "hard", 0),
    lambda file: (file.parent / "hard").stat(),
    lambda file: (file.parent / "soft").stat(),
    lambda file: os.access(file.parent / "soft", os.R_OK),
    lambda file: os.listxattr(file.parent / "soft"),
    lambda file: os.statvfs(file.parent / "soft"),
]


@pytest.mark.parametrize("way", WAYS_TO_A_FILE)
def test_file_access(ebpf: Recording, inside: Path, way: Callable[[Path], object]) -> None:
    """By any way; other files beside it don't matter."""
    file = inside / "file"
    with ebpf.paused():
        file.write_text("x")
        os.link(file, inside / "hard")
        (inside / "soft").symlink_to("file")
    (inside / "other").write_text("x")
    ebpf.assert_no_file_access(file)
    way(file)
    violated(lambda: ebpf.assert_no_file_access(file), "was accessed")


WAYS_THAT_DO_NOT_OPEN: list[Callable[[Path], object]] = [
    lambda file: file.stat(),
    lambda file: file.chmod(0o600),
    lambda file: os.truncate(file, 0),
    lambda file: os.access(file, os.R_OK),
    os.utime,
    lambda file: file.rename(file.with_name("renamed")),
    lambda file: file.unlink(),
]


@pytest.mark.parametrize("way", WAYS_THAT_DO_NOT_OPEN)
def test_file_access_by_a_name_in_a_link(
    ebpf: Recording, inside: Path, outside: Path, way: Callable[[Path], object]
) -> None:
    """The folder that is asked for may be a symlink, as /var/run is: exact, in a glob, and not quite tidy."""
    with ebpf.paused():
        (inside / "link").symlink_to(outside)
        (outside / "other").touch()
    asked = [
        inside / "link/file",
        f"{inside}//link/./file",
        f"{inside}/link/fil*",
        f"{outside}/../outside/file",
        os.path.relpath(inside / "link/file"),
    ]
    for path in asked:
        ebpf.assert_no_file_access(path)
    (outside / "other").chmod(0o600)
    for path in asked:
        ebpf.assert_no_file_access(path)
    way(outside / "file")
    for path in asked:
        violated(lambda path=path: ebpf.assert_no_file_access(path), "was accessed")  # type: ignore[misc]


def test_folder_that_is_asked_for(ebpf: Recording, inside: Path, outside: Path) -> None:
    """By its name with a slash at its end too."""
    ebpf.assert_no_file_access(f"{outside}/")
    (outside / "file").unlink()
    outside.rmdir()
    violated(lambda: ebpf.assert_no_file_access(f"{outside}/"), "was accessed: remove")


def test_socket_in_a_link(ebpf: Recording, inside: Path, outside: Path) -> None:
    """A connection to it, by way of symlinks at any place."""
    with ebpf.paused():
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(outside / "socket"))
        listener.listen()
        (inside / "link").symlink_to(outside)
        (inside / "last").symlink_to(outside / "socket")
    for path in (outside / "socket", inside / "link/socket", inside / "last"):
        with ebpf.window() as part, socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
        for asked in (outside / "socket", inside / "link/socket"):
            violated(lambda part=part, asked=asked: part.assert_no_file_access(asked), "probe")  # type: ignore[misc]
    listener.close()


def test_file_access_below_a_descriptor(ebpf: Recording, outside: Path, libc: ctypes.CDLL) -> None:
    """With RESOLVE_IN_ROOT an absolute path begins at the descriptor: of an attempt it can't be told where that led."""
    folder = os.open(outside, os.O_PATH)
    how = struct.pack("=3Q", os.O_DIRECTORY, 0, 0x10)
    assert libc.syscall(OPENAT2, folder, b"/file", how, len(how)) < 0
    os.close(folder)
    with pytest.raises(InconclusiveRecording):
        ebpf.assert_no_file_access(outside / "file")


def test_file_access_by_op(ebpf: Recording, inside: Path) -> None:
    """Only what is asked for counts; an attempt does."""
    (inside / "file").write_text("x")
    ebpf.assert_no_file_access(inside / "file", ops="read")
    violated(lambda: ebpf.assert_no_file_access(inside / "file", ops=["read", "write"]), "write")
    with pytest.raises(FileNotFoundError):
        (inside / "none").read_text()
    violated(lambda: ebpf.assert_no_file_access(inside / "none"), "tried: open")
    ebpf.assert_no_file_access(inside / "none", ops=["read", "write"])


@pytest.mark.parametrize("mode", ["r", "w", "a", "r+", "w+", "a+", "rb", "w+b"])
def test_file_opened(ebpf: Recording, inside: Path, mode: str) -> None:
    """In the mode, and in no other."""
    with ebpf.paused():
        (inside / "file").touch()
    with (inside / "file").open(mode):
        pass
    ebpf.assert_file_opened(inside / "file")
    ebpf.assert_file_opened(inside / "file", mode)
    for other in {"r", "w", "a", "x", "r+", "w+", "a+", "x+"} - {mode.replace("b", "")}:
        violated(lambda other=other: ebpf.assert_file_opened(inside / "file", other), "it was not opened", "mode")  # type: ignore[misc]
    violated(lambda: ebpf.assert_file_opened(inside / "fil"), "nearest misses")


def test_file_opened_anew(ebpf: Recording, inside: Path) -> None:
    """Mode x is for a new file, and an open that fails is none."""
    (inside / "new").open("x").close()
    ebpf.assert_file_opened(inside / "new", "x")
    violated(lambda: ebpf.assert_file_opened(inside / "new", "w"))
    with pytest.raises(FileNotFoundError):
        (inside / "none").open()
    violated(lambda: ebpf.assert_file_opened(inside / "none", "r"), "failed with ENOENT")


# Durable


def sync_directory(path: Path) -> None:
    """As one does it in Python."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(fd)
    os.close(fd)


def write(path: Path, *, sync: Callable[[int], object] | None = os.fsync, flags: int = 0) -> None:
    """Make a file, write and sync it."""
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | flags, 0o600)
    os.write(fd, b"content")
    if sync is not None:
        sync(fd)
    os.close(fd)


def test_the_whole_rule(ebpf: Recording, inside: Path) -> None:
    """Write, sync, rename, sync the directory."""
    write(inside / "new")
    (inside / "new").rename(inside / "file")
    sync_directory(inside)
    ebpf.assert_durable(inside / "file")
    ebpf.assert_durable(str(inside / "file"))


def test_no_sync(ebpf: Recording, inside: Path) -> None:
    """The file may be empty after a crash."""
    write(inside / "new", sync=None)
    (inside / "new").rename(inside / "file")
    sync_directory(inside)
    violated(lambda: ebpf.assert_durable(inside / "file"), "before it was put into place: fsync is missing")


def test_sync_after_the_rename(ebpf: Recording, inside: Path) -> None:
    """There is a moment when the name stands for nothing."""
    fd = os.open(inside / "new", os.O_CREAT | os.O_WRONLY)
    os.write(fd, b"x")
    (inside / "new").rename(inside / "file")
    os.fsync(fd)
    os.close(fd)
    sync_directory(inside)
    violated(lambda: ebpf.assert_durable(inside / "file"), "before it was put into place", "came too late")


def test_write_after_the_sync(ebpf: Recording, inside: Path) -> None:
    """The last write counts."""
    fd = os.open(inside / "new", os.O_CREAT | os.O_WRONLY)
    os.write(fd, b"x")
    os.fsync(fd)
    os.write(fd, b"y")
    os.close(fd)
    (inside / "new").rename(inside / "file")
    sync_directory(inside)
    violated(lambda: ebpf.assert_durable(inside / "file"), "fsync is missing", "began before the write was over")


@pytest.mark.parametrize("before", [False, True])
def test_no_sync_of_the_directory(ebpf: Recording, inside: Path, before: bool) -> None:
    """Or one that came before the name."""
    write(inside / "new")
    if before:
        sync_directory(inside)
    (inside / "new").rename(inside / "file")
    words = ["came before the name was there"] if before else []
    violated(lambda: ebpf.assert_durable(inside / "file"), "its directory was not synced", *words)


def test_another_directory(ebpf: Recording, inside: Path, outside: Path) -> None:
    """That from which the file came is the wrong one."""
    write(outside / "new")
    (outside / "new").rename(inside / "file")
    sync_directory(outside)
    violated(lambda: ebpf.assert_durable(inside / "file"), f"fsync of {inside} is missing")


def _data_sync(fd: int) -> None:
    os.fdatasync(fd)


def _file_system_sync(fd: int) -> None:
    ctypes.CDLL(None).syncfs(fd)


def _other_descriptor(fd: int) -> None:
    other = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)
    os.fsync(other)
    os.close(other)


def _other_process(fd: int) -> None:
    os.set_inheritable(fd, True)
    subprocess.run([sys.executable, "-c", f"import os; os.fsync({fd})"], check=True, close_fds=False)


@pytest.mark.parametrize("sync", [_data_sync, _file_system_sync, _other_descriptor, _other_process])
def test_ways_to_sync(ebpf: Recording, inside: Path, sync: Callable[[int], None]) -> None:
    """Each is as good as fsync."""
    write(inside / "new", sync=sync)
    os.replace(inside / "new", inside / "file")  # noqa: PTH105
    sync_directory(inside)
    ebpf.assert_durable(inside / "file")


def test_sync_of_everything(ebpf: Recording, inside: Path) -> None:
    """It does the directory's part too."""
    write(inside / "new", sync=None)
    os.sync()
    (inside / "new").rename(inside / "file")
    os.sync()
    ebpf.assert_durable(inside / "file")


def test_sync_file_range_promises_nothing(ebpf: Recording, inside: Path) -> None:
    """It says so itself."""
    write(inside / "new", sync=lambda fd: ctypes.CDLL(None).sync_file_range(fd, 0, 0, 7))
    (inside / "new").rename(inside / "file")
    sync_directory(inside)
    violated(lambda: ebpf.assert_durable(inside / "file"), "fsync is missing", "promises nothing after a crash")


@pytest.mark.parametrize("flag", [os.O_SYNC, os.O_DSYNC])
def test_synchronous_writes(ebpf: Recording, inside: Path, flag: int) -> None:
    """They wait for the disk; but the file that was made must be synced itself."""
    with ebpf.paused():
        (inside / "file").touch()
    fd = os.open(inside / "file", os.O_WRONLY | flag)
    os.write(fd, b"x")
    other = os.dup(fd)
    os.write(other, b"x")
    os.close(fd)
    os.close(other)
    ebpf.assert_durable(inside / "file")


def test_write_in_place(ebpf: Recording, inside: Path) -> None:
    """A file that was there before needs no sync of its directory; a new one does."""
    with ebpf.paused():
        (inside / "file").touch()
    with ebpf.window() as part:
        write(inside / "file")
    part.assert_durable(inside / "file")
    with ebpf.window() as part:
        write(inside / "new")
    violated(lambda: part.assert_durable(inside / "new"), "its directory was not synced")
    with ebpf.window() as part:
        (inside / "file").open("ab").close()
    violated(lambda: part.assert_durable(inside / "file"), "it was not written at all")


def test_truncate_is_a_write(ebpf: Recording, inside: Path) -> None:
    """By path or by descriptor."""
    with ebpf.paused():
        (inside / "file").write_text("x")
    os.truncate(inside / "file", 0)
    violated(lambda: ebpf.assert_durable(inside / "file"), "fsync is missing")


def test_a_new_directory(ebpf: Recording, inside: Path) -> None:
    """Its own name must be on the disk as well."""
    (inside / "deep").mkdir()
    write(inside / "deep/file")
    sync_directory(inside / "deep")
    violated(lambda: ebpf.assert_durable(inside / "deep/file"), f"fsync of {inside} is missing")
    sync_directory(inside)
    ebpf.assert_durable(inside / "deep/file")


def test_link_and_unlink(ebpf: Recording, inside: Path) -> None:
    """The old way to put a file in place without replacing another."""
    write(inside / "new")
    os.link(inside / "new", inside / "file")
    (inside / "new").unlink()
    violated(lambda: ebpf.assert_durable(inside / "file"), "its directory was not synced")
    sync_directory(inside)
    ebpf.assert_durable(inside / "file")


@pytest.mark.parametrize("sync", [None, os.fsync])
def test_file_without_a_name(
    ebpf: Recording, inside: Path, libc: ctypes.CDLL, sync: Callable[[int], None] | None
) -> None:
    """O_TMPFILE, then a link of the descriptor."""
    fd = os.open(inside, os.O_TMPFILE | os.O_WRONLY)
    os.write(fd, b"x")
    if sync is not None:
        sync(fd)
    old, new = os.fsencode(f"/proc/self/fd/{fd}"), os.fsencode(inside / "file")
    assert libc.linkat(-100, old, -100, new, AT_SYMLINK_FOLLOW) == 0
    os.close(fd)
    sync_directory(inside)
    if sync is not None:
        ebpf.assert_durable(inside / "file")
    else:
        violated(lambda: ebpf.assert_durable(inside / "file"), "before it was put into place")


@pytest.mark.parametrize("flush", [True, False])
def test_mapping(ebpf: Recording, inside: Path, flush: bool) -> None:
    """msync is the mapping's fsync."""
    with ebpf.paused():
        (inside / "file").write_bytes(bytes(4096))
    with (inside / "file").open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[0] = 1
        if flush:
            mapped.flush()
    if flush:
        ebpf.assert_durable(inside / "file")
    else:
        violated(lambda: ebpf.assert_durable(inside / "file"), "fsync is missing")


def test_copy_by_another_process(ebpf: Recording, inside: Path) -> None:
    """cp writes by copy_file_range and syncs nothing; sync(1) does."""
    with ebpf.paused():
        (inside / "source").write_bytes(bytes(1009))
    subprocess.run(["cp", "source", "new"], cwd=inside, check=True)
    subprocess.run(["mv", "new", "file"], cwd=inside, check=True)
    violated(lambda: ebpf.assert_durable(inside / "file"), "before it was put into place")
    with ebpf.window() as part:
        subprocess.run(["sh", "-c", "cp source new && sync new && mv new file && sync ."], cwd=inside, check=True)
    part.assert_durable(inside / "file")


def test_rename_of_what_was_there_before(ebpf: Recording, inside: Path) -> None:
    """Whether it was ever synced isn't known, unless it is now."""
    with ebpf.paused():
        (inside / "old").write_text("x")
    with ebpf.window() as part:
        (inside / "old").rename(inside / "file")
        sync_directory(inside)
    with pytest.raises(InconclusiveRecording, match="before the recording"):
        part.assert_durable(inside / "file")


def test_exchange(ebpf: Recording, inside: Path, libc: ctypes.CDLL) -> None:
    """Both names change."""
    with ebpf.paused():
        (inside / "file").write_text("old")
    write(inside / "new", sync=None)
    old, new = os.fsencode(inside / "new"), os.fsencode(inside / "file")
    assert libc.renameat2(-100, old, -100, new, RENAME_EXCHANGE) == 0
    sync_directory(inside)
    violated(lambda: ebpf.assert_durable(inside / "file"), "before it was put into place")


def test_through_a_link(ebpf: Recording, inside: Path, tmp_path: Path) -> None:
    """The rename is told by another path than the open."""
    with ebpf.paused():
        (tmp_path / "link").symlink_to(inside)
    write(tmp_path / "link/new")
    (tmp_path / "link/new").rename(tmp_path / "link/file")
    sync_directory(inside)
    ebpf.assert_durable(inside / "file")
    ebpf.assert_durable(tmp_path / "link/file")


@pytest.mark.parametrize("in_child", [False, True])
def test_a_descriptor_that_takes_the_place_of_a_synchronous_one(
    ebpf: Recording, inside: Path, *, in_child: bool
) -> None:
    """Of the same file, and from before the recording: what is written there waits for nothing."""
    with ebpf.paused():
        (inside / "file").write_text("old")
        plain = os.open(inside / "file", os.O_WRONLY)
    with ebpf.window() as part:
        synchronous = os.open(inside / "file", os.O_WRONLY | os.O_SYNC)
        os.write(synchronous, b"x")
        child = os.fork() if in_child else 0
        if not child:
            os.dup2(plain, synchronous)
            os.write(synchronous, b"y")
        if in_child and not child:
            os._exit(0)
        if child:
            os.waitpid(child, 0)
    os.close(plain)
    os.close(synchronous)
    violated(lambda: part.assert_durable(inside / "file"), "fsync is missing")


@pytest.mark.parametrize("way", ["unlink", "rename"])
def test_taken_away(ebpf: Recording, inside: Path, outside: Path, way: str) -> None:
    """It isn't there, however well it was synced before; unless it is there again."""
    write(inside / "file")
    sync_directory(inside)
    ebpf.assert_durable(inside / "file")
    with ebpf.window() as part:
        write(inside / "file")
        if way == "unlink":
            (inside / "file").unlink()
        else:
            (inside / "file").rename(outside / "other")
    violated(lambda: ebpf.assert_durable(inside / "file"), "it was taken away", "takes away")
    violated(lambda: part.assert_durable(inside / "file"), "it was taken away")
    with ebpf.paused():
        (inside / "file").touch()
    with pytest.raises(InconclusiveRecording, match="may have taken it away"):
        part.assert_durable(inside / "file")
    (inside / "file").unlink()
    write(inside / "file")
    sync_directory(inside)
    ebpf.assert_durable(inside / "file")


def test_never_written(ebpf: Recording, inside: Path) -> None:
    """That is no durable file, and the text says what was written instead."""
    write(inside / "other")
    violated(lambda: ebpf.assert_durable(inside / "file"), "it was not written at all", "writes")
