"""docs/kernels.md says what this kernel can't do, and no more."""

from __future__ import annotations

import ctypes
import os
import re
from pathlib import Path

import pytest

from pytest_ebpf import InconclusiveRecording, features
from pytest_ebpf.engines.variant import of_kernel
from pytest_ebpf.recording import Recording

PAGE = Path(__file__).parents[2] / "docs" / "kernels.md"
IO_URING_SETUP = 425
DEEP = 1100
LIKE_WITHOUT_BTF = (5, 10)


def _release(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text)[:2])


@pytest.fixture
def row() -> dict[str, str]:
    """What the table says of the running kernel."""
    release = _release(os.uname().release) if features.BTF.exists() else LIKE_WITHOUT_BTF
    text = PAGE.read_text(encoding="utf-8")
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    for cells in lines[2:]:
        first, _, last = cells[0].partition("-")
        if _release(first) <= release and (not last.strip() or release <= _release(last)):
            return dict(zip(lines[0], cells, strict=True))
    raise AssertionError(f"no row for {release}")


def test_longest_name(ebpf: Recording, row: dict[str, str], tmp_path: Path) -> None:
    """A file below 1,100 folders."""
    start = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    os.chdir(tmp_path)
    for _ in range(DEEP):
        Path("d").mkdir()
        os.chdir("d")
    Path("leaf").touch()
    Path("leaf").unlink()
    for _ in range(DEEP):  # pytest itself would recurse too deep
        os.chdir("..")
        Path("d").rmdir()
    os.fchdir(start)
    os.close(start)
    opened = ebpf.syscalls("openat", flags="O_CREAT").last
    assert opened is not None
    (limit,) = (int(number.replace(",", "")) for number in re.findall(r"[\d,]+", row["longest name of a file"]))
    assert opened.realpath == (f"{tmp_path}/{'d/' * DEEP}leaf" if limit > DEEP else None)


@pytest.mark.parametrize("count", [23, 2000])
def test_strings_of_a_failed_execve(ebpf: Recording, row: dict[str, str], tmp_path: Path, count: int) -> None:
    """They are known, each longer than a page, up to so many; with more of them it is unknown what was asked for."""
    cell = row["strings of a failed execve"]
    limit = None if cell == "no limit" else int(cell.replace(",", ""))
    long = [f"{number}".ljust(5000, "y") for number in range(count if count < 1000 else 0)]
    strings = ["/nothing", *(long or (f"{number}" for number in range(count)))]
    with pytest.raises(FileNotFoundError):
        os.execv("/nothing", strings)
    refused = ebpf.syscalls("execve").known
    assert len(refused) == 1
    if limit is None or count < limit:
        assert refused[0].args["argv"] == tuple(strings)
        assert ebpf.complete, ebpf.gaps
    else:
        assert refused[0].args["argv"] != tuple(strings)
        with pytest.raises(InconclusiveRecording):
            ebpf.assert_no_syscall("execve", argv=("/nothing", "x"))


def test_programs_that_can_be_preempted(row: dict[str, str]) -> None:
    """They are compiled so that they keep others away."""
    assert of_kernel().preemptible == (row["our programs can be preempted"] == "yes")


def test_io_uring(ebpf: Recording, row: dict[str, str]) -> None:
    """Where operations aren't shown, a use of it is a gap."""
    libc = ctypes.CDLL(None, use_errno=True)
    ebpf.assert_no_syscall("connect")
    libc.syscall(IO_URING_SETUP, 8, None)
    if row["operations on an io_uring"] == "recorded":
        ebpf.assert_no_syscall("connect")
    else:
        with pytest.raises(InconclusiveRecording, match="1 calls on an io_uring, 0 open, whose operations"):
            ebpf.assert_no_syscall("connect")
