"""The programs that load the kernel's structs in place, and those that have them copied: both tell the same."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_ebpf.engines.keeper import KeptEngine
from pytest_ebpf.engines.variant import of_kernel
from pytest_ebpf.session import Session
from pytest_ebpf.standalone import begin

ENGINE = """
from pytest_ebpf.engines import variant

found = variant.of_kernel()
found.casts = {0}
variant.of_kernel = lambda: found
engine = make(name)
assert name == "bcc" or engine._folders[0].endswith("casts") is {0}
return engine
"""
BOTH = of_kernel().casts and not of_kernel().preemptible
"""The kernel takes the one and the other."""


@pytest.fixture
def session(casts: bool, engine: str, keeper_with: Callable[[str], None]) -> Iterator[Session]:
    """By the one or the other."""
    keeper_with(ENGINE.format(casts))
    session = Session(KeptEngine(engine))
    session.start()
    yield session
    session.stop()


@pytest.mark.heavy(reason="starts the recorder anew")
@pytest.mark.parametrize("casts", [False, True] if BOTH else [of_kernel().casts])
def test_files_are_told(session: Session, tmp_path: Path) -> None:
    """By their names: deep ones, in directories that are renamed and removed, those of no file, and sockets."""
    deep = tmp_path.joinpath(*(f"{number}" for number in range(40)), "file")
    before, after, new = tmp_path / "before", tmp_path / "after", tmp_path / "new"
    deep.parent.mkdir(parents=True)
    deep.touch()
    before.mkdir()
    recording = begin(session, "it")
    recording.open()
    os.close(os.open(deep, os.O_RDONLY))
    os.close(os.open(new, os.O_CREAT | os.O_WRONLY))
    folder = os.open(before, os.O_RDONLY)
    os.close(os.open("child", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
    before.rename(after)
    os.close(os.open("child", os.O_RDONLY, dir_fd=folder))
    os.fsync(folder)
    os.unlink("child", dir_fd=folder)
    after.rmdir()
    os.fsync(folder)
    os.close(folder)
    os.close(os.memfd_create("scratch"))
    with socket.socket() as server, socket.socket() as client:
        server.bind(("127.0.0.1", 0))
        server.listen()
        client.connect(server.getsockname())
        port = server.getsockname()[1]
        client.send(b"x")
    recording.close()
    assert recording.complete, recording.gaps
    opened = recording.syscalls("openat")
    assert [event.realpath for event in opened] == [
        *map(str, (deep, new, before)),
        f"{before}/child",
        f"{after}/child",
    ]
    assert [event.created for event in opened] == [False, True, False, True, False]
    assert [event.abspath for event in opened[3:]] == [f"{before}/child", f"{after}/child"]
    for event, name in zip(recording.syscalls("fsync"), (f"<{after}>)", f"<{after}>(deleted))"), strict=True):
        assert name in str(event)
    (memory,) = (str(event) for event in recording.syscalls("close") if "scratch" in str(event))
    assert "memfd:scratch" in memory
    (sent,) = recording.syscalls("sendto")
    assert str(sent.address) == f"127.0.0.1:{port}"
