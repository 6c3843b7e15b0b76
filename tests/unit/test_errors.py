"""The exception tree and its texts."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest

import pytest_ebpf
from pytest_ebpf import (
    EbpfError,
    EngineUnavailable,
    InconclusiveRecording,
    ProbeError,
    SiblingCallWarning,
    UnknownSyscall,
    errors,
)

PUBLIC = [getattr(errors, name) for name in errors.__all__]
EXAMPLES = [
    EbpfError("read the recording: it is closed"),
    EngineUnavailable("start engine libbpf", "no BTF", "use another kernel"),
    EngineUnavailable("start engine libbpf", "no BTF"),
    ProbeError("load x.bpf.o", "Permission denied", "look below", "line 1\nline 2"),
    ProbeError("load x.bpf.o", "Permission denied"),
    InconclusiveRecording("assert_no_syscall('openat'): can't be decided\n  gap: 7 calls were lost"),
    UnknownSyscall("opneat: no such call"),
    SiblingCallWarning("openat2 matched"),
]


def test_every_error_has_an_example() -> None:
    """What is tested below is all that is public."""
    assert {type(example) for example in EXAMPLES} == set(PUBLIC)


def test_tree() -> None:
    """One base catches all; the picture at the top of the module is true."""
    assert EbpfError.__bases__ == (Exception,)
    for error in (EngineUnavailable, ProbeError, InconclusiveRecording):
        assert error.__bases__ == (EbpfError,)
    assert UnknownSyscall.__bases__ == (EbpfError, ValueError)
    assert errors.__doc__ is not None
    drawn = re.findall(r"^[├└]── (\w+)", errors.__doc__, re.MULTILINE)
    assert sorted(["EbpfError", "SiblingCallWarning", *drawn]) == sorted(errors.__all__)


def test_no_error_is_an_assertion_error() -> None:
    """A test that expects a violation doesn't take a gap for one."""
    assert not [error for error in PUBLIC if issubclass(error, AssertionError)]


def test_all_are_exported() -> None:
    """From the package itself."""
    for name in errors.__all__:
        assert getattr(pytest_ebpf, name) is getattr(errors, name)
        assert name in pytest_ebpf.__all__
    assert [name for name, _ in inspect.getmembers(errors, inspect.isclass)] == sorted(errors.__all__)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_pickles(error: EbpfError, protocol: int) -> None:
    """xdist sends errors between processes."""
    copy = pickle.loads(pickle.dumps(error, protocol))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)
    assert copy.args == error.args


@pytest.mark.parametrize(
    "error, text",
    [
        (EXAMPLES[1], "start engine libbpf: no BTF (use another kernel)"),
        (EXAMPLES[2], "start engine libbpf: no BTF"),
        (EXAMPLES[3], "load x.bpf.o: Permission denied (look below)\n    line 1\n    line 2"),
        (EXAMPLES[4], "load x.bpf.o: Permission denied"),
    ],
)
def test_text(error: EbpfError, text: str) -> None:
    """Operation, cause, and what to do where that is certain."""
    assert str(error) == text


def test_parts() -> None:
    """A program can read them one by one."""
    error = ProbeError("load x.bpf.o", "Permission denied", "look below", "line 1")
    parts = (error.operation, error.cause, error.hint, error.log)
    assert parts == error.args == ("load x.bpf.o", "Permission denied", "look below", "line 1")
