"""How programs get to their places, as far as files tell; the rest is tried by loading them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_ebpf import ProbeError
from pytest_ebpf.engines import hooks


@pytest.mark.parametrize(
    "kind, kprobes, ftrace, off",
    [
        ("kprobe", "1\n", "1\n", ""),
        ("kprobe", "0\n", "1\n", "kprobes"),
        ("kprobe", "1\n", "0\n", "ftrace"),
        ("kprobe", None, None, ""),
        ("fentry", "0\n", "1\n", ""),
        ("fentry", "0\n", "0\n", "ftrace"),
        ("raw_tp", "0\n", "0\n", ""),
        ("tp", "0\n", "0\n", ""),
    ],
)
def test_switches_of_the_whole_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, kprobes: str | None, ftrace: str | None, off: str
) -> None:
    """What keeps a kind of program from running is named; a switch that isn't there keeps nothing."""
    for name, content in (("kprobes", kprobes), ("ftrace", ftrace)):
        monkeypatch.setattr(hooks, name.upper(), str(tmp_path / name))
        if content is not None:
            (tmp_path / name).write_text(content)
    assert hooks.switched_off(kind) == (str(tmp_path / off) if off else "")


def test_tracepoint_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it there is no recorder, unlike without a function of the kernel."""

    def refuse(point: str) -> int:
        raise PermissionError(13, "Permission denied", point)

    monkeypatch.setattr(hooks, "_tracepoint", refuse)
    with pytest.raises(ProbeError, match=r"attach a program to tp/raw_syscalls/sys_enter: Permission denied.*tracefs"):
        hooks.attach("tp/raw_syscalls/sys_enter", 0)


def test_function_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves its area unwatched, and the others attached."""

    def attach(function: str, program: int, number: int) -> tuple[int, list[int]]:
        if function == "security_path_rename":
            raise OSError(2, "No such file or directory", function)
        return number, [number]

    monkeypatch.setattr(hooks, "_attach_kprobe", attach)
    found = hooks.attach("kprobe/hooks", 3)
    assert [name.removeprefix("kprobe/") for name in found] == [
        name for name in hooks.FUNCTIONS if name != "security_path_rename"
    ]
    assert found["kprobe/security_path_unlink"] == (2, [2])
