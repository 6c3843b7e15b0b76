"""The table of system calls against what the running kernel says of itself."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from pytest_ebpf.syscalls import table

KERNEL_NAMES = {
    "newfstat": "fstat",
    "newlstat": "lstat",
    "newstat": "stat",
    "newuname": "uname",
    "sendfile64": "sendfile",
    "umount": "umount2",
    "sysctl": "_sysctl",
}
"""What the kernel's source calls a few of its entry points."""
LATER = {"bpf": ("uattr_common", "size_common")}
"""Arguments that a call has on the newest kernels alone."""


@pytest.fixture(scope="module")
def formats(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Argument names of each call, by the name of the call, as tracefs tells; mounted where nobody else sees it."""
    folder = tmp_path_factory.mktemp("tracefs")
    script = f"mount -t tracefs none {folder} && cd {folder}/events/syscalls && tail -n +1 sys_enter_*/format"
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, check=True)
    found: dict[str, list[str]] = {}
    for part in re.split(r"^==> sys_enter_", done.stdout, flags=re.MULTILINE)[1:]:
        name = part.split("/", 1)[0]
        fields = re.findall(r"^\tfield:[^;]*?(\w+);\toffset:(\d+);", part, re.MULTILINE)
        names = [field for field, offset in fields if int(offset) >= 16]
        # Since Linux 7.0 what an argument points to follows, as "__filename_val".
        found[KERNEL_NAMES.get(name, name)] = [each for each in names if not re.fullmatch(r"__\w+_val", each)]
    return found


def test_every_call_of_this_kernel_is_named(formats: dict[str, list[str]]) -> None:
    """None is missing from the table."""
    assert len(formats) > 300
    assert sorted(set(formats) - table().names) == []


def test_arguments_have_the_kernels_names(formats: dict[str, list[str]]) -> None:
    """So that a filter by an argument's name means what the kernel's sources say."""
    ours = {name: [argument.name for argument in table().by_name(name).args] for name in formats}
    different = {
        name: (ours[name], formats[name])
        for name in formats
        if formats[name] not in (ours[name], [*ours[name], *LATER.get(name, ())])
    }
    assert different == {}


def test_docs_are_those_of_the_table() -> None:
    """The reference page is made from the table."""
    script = Path(__file__).parents[2] / "docs/make_syscalls.py"
    names: dict[str, object] = {"__name__": "make_syscalls", "__file__": str(script)}
    exec(compile(script.read_text(), script, "exec"), names)
    page = names["page"]
    assert callable(page)
    assert script.with_name("syscalls.md").read_text() == page(), "run: python docs/make_syscalls.py"
