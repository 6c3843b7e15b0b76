"""A recorder that is attached and doesn't see is noticed before the first test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytest_ebpf import EngineUnavailable, canary
from pytest_ebpf.engines.variant import of_kernel
from pytest_ebpf.session import Session
from pytest_ebpf.standalone import running

pytestmark = pytest.mark.heavy(reason="starts a recorder of its own in each test")

BY_RING = [] if "io_uring" in of_kernel().missing else ["an open by io_uring"]
"""What is unheard of on a kernel whose operations on a ring are recorded."""


@pytest.fixture
def session() -> Iterator[Session]:
    """One of this test alone, beside the one that records the run."""
    with running("libbpf") as session:
        yield session


def test_it_is_heard(session: Session) -> None:
    """Every call with its arguments; twice, as nothing of it stays."""
    canary.prove(session)
    canary.prove(session)


@pytest.mark.parametrize(
    "name, unheard",
    [
        ("ABSENT", "an open, with its path and error"),
        ("PEER", "a connect, with its address"),
        *[("ABSENT_BY_RING", what) for what in BY_RING],
        ("PROGRAM", "an exec, with its program and arguments"),
    ],
)
def test_a_wrong_argument_is_noticed(
    session: Session, monkeypatch: pytest.MonkeyPatch, name: str, unheard: str
) -> None:
    """What is looked for isn't what was done."""
    sing = canary.sing

    def sing_then_forget() -> tuple[int, bool]:
        sung = sing()
        monkeypatch.setattr(canary, name, ("127.0.0.1", 10) if name == "PEER" else "/else")
        return sung

    monkeypatch.setattr(canary, "sing", sing_then_forget)
    with pytest.raises(EngineUnavailable, match="don't see what is done") as caught:
        canary.prove(session)
    assert caught.value.cause.endswith(f": {unheard}")
    assert "pytest-ebpf doctor" in caught.value.hint


def test_silence_is_noticed(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sung, and all is missed."""
    monkeypatch.setattr(canary, "sing", lambda: (1, True))
    with pytest.raises(EngineUnavailable) as caught:
        canary.prove(session)
    for what in ("an open", "a connect", "a fork", "an exec", "the end of a process", *BY_RING):
        assert what in caught.value.cause
