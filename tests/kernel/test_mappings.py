"""What calls on memory do to the files that are mapped there."""

from __future__ import annotations

import ctypes
import mmap
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_ebpf import InconclusiveRecording
from pytest_ebpf.recording import Recording

from .test_assertions import violated

PAGE = mmap.PAGESIZE
PAGES = 7
READ, READ_WRITE = mmap.PROT_READ, mmap.PROT_READ | mmap.PROT_WRITE
MAP_FIXED, MREMAP_MAYMOVE, MREMAP_FIXED, MADV_REMOVE = 0x10, 1, 2, 9
MAP_SHARED_VALIDATE = 0x3
MS_ASYNC, MS_SYNC = 1, 4


class Memory:
    """Calls on memory that Python would dress up."""

    def __init__(self) -> None:
        self._libc = libc = ctypes.CDLL(None, use_errno=True)
        word = ctypes.c_size_t
        for name, types in {
            "mmap": [word, word, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long],
            "munmap": [word, word],
            "mprotect": [word, word, ctypes.c_int],
            "mremap": [word, word, word, ctypes.c_int, word],
            "madvise": [word, word, ctypes.c_int],
            "msync": [word, word, ctypes.c_int],
        }.items():
            getattr(libc, name).argtypes = types
            getattr(libc, name).restype = word if name in ("mmap", "mremap") else ctypes.c_int

    def __getattr__(self, name: str) -> Callable[..., int]:
        def call(*args: int) -> int:
            result: int = getattr(self._libc, name)(*args)
            if result in (-1, 2 ** (8 * ctypes.sizeof(ctypes.c_size_t)) - 1):
                raise OSError(ctypes.get_errno(), name)
            return result

        return call

    def map(
        self, file: Path, flags: int = mmap.MAP_SHARED, prot: int = READ, at: int = 0, mode: int = os.O_RDWR
    ) -> int:
        """A mapping of a file; its address."""
        fd = os.open(file, mode)
        try:
            return self.mmap(at, PAGES * PAGE, prot, flags | (MAP_FIXED if at else 0), fd, 0)
        finally:
            os.close(fd)


@pytest.fixture(scope="module")
def memory() -> Memory:
    """The calls."""
    return Memory()


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    """The folder that is allowed, with a file."""
    folder = tmp_path / "inside"
    folder.mkdir()
    (folder / "file").write_bytes(bytes(PAGES * PAGE))
    return folder


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file elsewhere."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * PAGES * PAGE)
    return path


@pytest.fixture
def older(memory: Memory, file: Path) -> int:
    """The address of a mapping from before the recording."""
    return memory.map(file, prot=READ_WRITE)


# What becomes writable


def _at_once(memory: Memory, file: Path) -> None:
    address = memory.map(file)
    memory.mprotect(address + PAGE, PAGE, READ_WRITE)
    ctypes.memset(address + PAGE, 0, 1)


def _after_a_hole(memory: Memory, file: Path) -> None:
    address = memory.map(file)
    memory.munmap(address + PAGE, PAGE)
    memory.mprotect(address + 2 * PAGE, PAGE, READ_WRITE)


def _after_a_move(memory: Memory, file: Path) -> None:
    address = memory.map(file)
    moved = memory.mremap(address, PAGES * PAGE, 11 * PAGES * PAGE, MREMAP_MAYMOVE, 0)
    memory.mprotect(moved, PAGE, READ_WRITE)


def _by_its_double(memory: Memory, file: Path) -> None:
    double = memory.mremap(memory.map(file), 0, PAGE, MREMAP_MAYMOVE, 0)
    memory.mprotect(double, PAGE, READ_WRITE)


def _in_a_child(memory: Memory, file: Path) -> None:
    address = memory.map(file)
    child = os.fork()
    if not child:
        memory.mprotect(address, PAGE, READ_WRITE)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def _in_part(memory: Memory, file: Path) -> None:
    address = memory.map(file)
    memory.munmap(address + PAGE, PAGE)
    with pytest.raises(OSError, match="mprotect"):
        memory.mprotect(address, 2 * PAGE, READ_WRITE)
    ctypes.memset(address, 0, 1)


@pytest.mark.parametrize("way", [_at_once, _after_a_hole, _after_a_move, _by_its_double, _in_a_child, _in_part])
def test_a_mapping_that_becomes_writable(
    ebpf: Recording, memory: Memory, inside: Path, file: Path, way: Callable[[Memory, Path], None]
) -> None:
    """It may write from then on, wherever it lies by then; a call that failed may have been done to the first pages."""
    with ebpf.window() as part:
        way(memory, file)
    with pytest.raises(InconclusiveRecording if way is _in_part else AssertionError):
        part.assert_only_writes_under(inside)
    violated(lambda: part.assert_no_file_access(file, ops=["write"]), "was accessed: write")
    with pytest.raises(InconclusiveRecording):
        part.assert_max(bytes_written=0)
    part.assert_only_writes_under(inside, file.parent)
    assert [(event.name, event.path) for event in part.files(op="write")] == [("mprotect", str(file))]


@pytest.mark.parametrize("flags", [mmap.MAP_PRIVATE, mmap.MAP_SHARED, MAP_SHARED_VALIDATE])
def test_bytes_read_through_a_mapping(ebpf: Recording, memory: Memory, file: Path, flags: int) -> None:
    """Of a shared one their number isn't known; a private one, as of a library, reads none."""
    with ebpf.window() as part:
        memory.map(file, flags)
    if flags == mmap.MAP_PRIVATE:
        part.assert_max(bytes_read=0)
        return
    with pytest.raises(InconclusiveRecording, match="how many bytes isn't known"):
        part.assert_max(bytes_read=0)


def test_a_mapping_from_before_the_window(ebpf: Recording, memory: Memory, inside: Path, file: Path) -> None:
    """The recording around it has it."""
    address = memory.map(file)
    with ebpf.window() as part:
        memory.mprotect(address, PAGE, READ_WRITE)
    violated(lambda: part.assert_only_writes_under(inside), "writes elsewhere", "mprotect")


def test_a_mapping_that_becomes_writable_isnt_durable(ebpf: Recording, memory: Memory, file: Path) -> None:
    """What was synced before can be changed again."""
    fd = os.open(file, os.O_RDWR)
    os.write(fd, b"x")
    address = memory.mmap(0, PAGE, READ, mmap.MAP_SHARED, fd, 0)
    os.fsync(fd)
    os.close(fd)
    ebpf.assert_durable(file)
    memory.mprotect(address, PAGE, READ_WRITE)
    violated(lambda: ebpf.assert_durable(file), "fsync is missing", "mprotect")


def test_what_is_no_file_becomes_writable(ebpf: Recording, memory: Memory, inside: Path, file: Path) -> None:
    """Memory, private mappings, mappings that are gone or belong to another program: none of the file."""
    memory.mprotect(memory.map(file, mmap.MAP_PRIVATE), PAGE, READ_WRITE)
    memory.mprotect(memory.mmap(0, PAGE, READ, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS, -1, 0), PAGE, READ_WRITE)
    address = memory.map(file)
    subprocess.run([sys.executable, "-S", "-c", "import ctypes"], check=True)
    memory.mmap(address, PAGE, READ, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_FIXED, -1, 0)
    memory.mprotect(address, PAGE, READ_WRITE)
    memory.mremap(address, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, address + PAGE)
    memory.mprotect(address + PAGE, PAGE, READ_WRITE)
    memory.munmap(address + 2 * PAGE, (PAGES - 2) * PAGE)
    memory.map(file, mmap.MAP_PRIVATE, at=address + 2 * PAGE)
    memory.mprotect(address + 2 * PAGE, PAGE, READ_WRITE)
    with pytest.raises(PermissionError):  # the file isn't open for writing
        memory.mprotect(memory.map(file, mode=os.O_RDONLY), PAGE, READ_WRITE)
    ebpf.assert_only_writes_under(inside)
    ebpf.assert_max(bytes_written=0)
    assert ebpf.files(op="write", ok=True) == []
    assert [event.errno for event in ebpf.files(op="write")] == ["EACCES"]


def test_a_hole_that_is_punched(ebpf: Recording, memory: Memory, inside: Path) -> None:
    """MADV_REMOVE takes contents away; other advice doesn't."""
    with ebpf.paused():
        shared = Path(f"/dev/shm/pytest-ebpf-{os.getpid()}")
        shared.write_bytes(b"x" * PAGES * PAGE)
    try:
        address = memory.map(shared)
        memory.madvise(address, PAGE, mmap.MADV_DONTNEED)
        ebpf.assert_only_writes_under(inside)
        writable = memory.map(shared, prot=READ_WRITE)
        with ebpf.window() as part:
            memory.madvise(writable, PAGE, MADV_REMOVE)
        assert shared.read_bytes()[:1] == b"\0"
        violated(lambda: part.assert_only_writes_under(inside), "writes elsewhere", "madvise")
    finally:
        with ebpf.paused():
            shared.unlink()


# What is synced


@pytest.mark.parametrize(
    "pages, decided",
    [([(0, PAGES)], True), ([(1, PAGES - 1), (0, 1)], True), ([(0, 1)], False), ([(0, 1), (2, PAGES - 2)], False)],
)
def test_msync_is_of_its_pages(
    ebpf: Recording, memory: Memory, file: Path, pages: list[tuple[int, int]], decided: bool
) -> None:
    """Only all of them are the mapping; which were stored to isn't known."""
    address = memory.map(file, prot=READ_WRITE)
    ctypes.memset(address + PAGE, 0, 1)
    for first, count in pages:
        memory.msync(address + first * PAGE, count * PAGE, MS_SYNC)
    if decided:
        ebpf.assert_durable(file)
    else:
        with pytest.raises(InconclusiveRecording, match="syncs a part of the file"):
            ebpf.assert_durable(file)


@pytest.mark.parametrize("whole", [True, False])
def test_msync_of_what_was_written_otherwise(ebpf: Recording, memory: Memory, file: Path, whole: bool) -> None:
    """Of a mapping of the whole file it is a sync of the file; of a part it may be another part that was written."""
    fd = os.open(file, os.O_RDWR)
    os.pwrite(fd, b"x", (PAGES - 1) * PAGE)
    address = memory.mmap(0, (PAGES if whole else 1) * PAGE, READ_WRITE, mmap.MAP_SHARED, fd, 0)
    os.close(fd)
    memory.msync(address, (PAGES if whole else 1) * PAGE, MS_SYNC)
    if whole:
        ebpf.assert_durable(file)
    else:
        with pytest.raises(InconclusiveRecording, match="syncs a part of the file"):
            ebpf.assert_durable(file)


def test_msync_of_a_new_file(ebpf: Recording, memory: Memory, inside: Path) -> None:
    """As programs make one: it is given its size, mapped, filled, synced and put into place."""
    new = inside / "new"
    fd = os.open(new, os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, PAGES * PAGE - 5)
    os.close(fd)
    address = memory.map(new, prot=READ_WRITE)
    ctypes.memset(address, 1, 1)
    memory.msync(address, PAGES * PAGE, MS_SYNC)
    memory.munmap(address, PAGES * PAGE)
    new.rename(inside / "named")
    folder = os.open(inside, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)
    ebpf.assert_durable(inside / "named")


def _another_file(memory: Memory, address: int, other: Path) -> None:
    memory.map(other, at=address)


def _a_private_mapping(memory: Memory, address: int, other: Path) -> None:
    memory.map(other, mmap.MAP_PRIVATE, at=address)


def _memory(memory: Memory, address: int, other: Path) -> None:
    memory.mmap(address, PAGES * PAGE, READ, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_FIXED, -1, 0)


def _after_munmap(memory: Memory, address: int, other: Path) -> None:
    memory.munmap(address, PAGES * PAGE)
    _another_file(memory, address, other)


@pytest.mark.parametrize("cover", [_another_file, _a_private_mapping, _memory, _after_munmap])
def test_msync_of_what_lies_there_now(
    ebpf: Recording, memory: Memory, inside: Path, file: Path, cover: Callable[[Memory, int, Path], None]
) -> None:
    """It is none of a mapping that was there before."""
    address = memory.map(file, prot=READ_WRITE)
    ctypes.memset(address, 0, 1)
    cover(memory, address, inside / "file")
    memory.msync(address, PAGES * PAGE, MS_SYNC)
    violated(lambda: ebpf.assert_durable(file), "fsync is missing")


def test_msync_is_a_sync(ebpf: Recording, memory: Memory, inside: Path, file: Path) -> None:
    """Of shared mappings of files: not of memory, of private ones, or without MS_SYNC; nor are synchronous writes."""
    before = memory.map(inside / "file", prot=READ_WRITE)
    size = PAGES * PAGE
    with ebpf.window() as none:
        memory.msync(memory.mmap(0, size, READ_WRITE, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS, -1, 0), size, MS_SYNC)
        memory.msync(memory.map(file, mmap.MAP_PRIVATE), size, MS_SYNC)
        memory.msync(before, size, MS_ASYNC)
        fd = os.open(file, os.O_WRONLY | os.O_SYNC)
        os.write(fd, b"x")
        os.close(fd)
    none.assert_max(syncs=0)
    assert none.files(op="sync") == []
    with ebpf.window() as part:
        for _ in range(7):
            memory.msync(before + PAGE, PAGE, MS_SYNC)
    part.assert_max(syncs=7)
    violated(lambda: part.assert_max(syncs=6), "7 syncs")
    assert part.files(op="sync").paths == {str(inside / "file")}


def test_msync_of_a_mapping_from_before(ebpf: Recording, memory: Memory, older: int, file: Path) -> None:
    """It is a sync of a file, perhaps; of which isn't known, and that is no access to a file that a rule names."""
    memory.msync(older, PAGES * PAGE, MS_SYNC)
    with pytest.raises(InconclusiveRecording):
        ebpf.assert_max(syncs=0)
    ebpf.assert_no_file_access("/etc/hostname")
    ebpf.assert_only_writes_under(file.parent)
