"""Which files were touched, whatever path led there; and what would be left of them after a crash."""

from __future__ import annotations

import ctypes
import mmap
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from pytest_ebpf import InconclusiveRecording
from pytest_ebpf.recording import Recording

from .test_assertions import python, violated

RENAME_EXCHANGE = 2
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


def test_a_mount_shows_another_place(ebpf: Recording, inside: Path, outside: Path, libc: ctypes.CDLL) -> None:
    """What lies under a path after a bind mount isn't known."""
    program = f"""
import ctypes
libc = ctypes.CDLL(None)
assert libc.unshare(0x20000) == 0
assert libc.mount(b"none", b"/", None, 0x44000, None) == 0
assert libc.mount({os.fsencode(outside)!r}, {os.fsencode(inside)!r}, None, 0x1000, None) == 0
open({str(inside / "file")!r}, "w").write("x")
"""
    python(program)
    assert (outside / "file").read_text() == "x"
    with pytest.raises(InconclusiveRecording, match="may lead elsewhere"):
        ebpf.assert_only_writes_under(inside)


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


# One file


def _unlink_through_link(file: Path) -> None:
    (file.parent / "link").symlink_to(file.parent)
    os.unlink(file.parent / "link" / file.name)  # noqa: PTH108


def _read_through_hard_link(file: Path) -> None:
    (file.parent / "hard").read_text()


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


def test_never_written(ebpf: Recording, inside: Path) -> None:
    """That is no durable file, and the text says what was written instead."""
    write(inside / "other")
    violated(lambda: ebpf.assert_durable(inside / "file"), "it was not written at all", "writes")
