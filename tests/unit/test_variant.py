"""What of the snippets runs on which kernel."""

from __future__ import annotations

import pytest

from pytest_ebpf.engines.variant import of_kernel


@pytest.mark.parametrize(
    "release, folders, defines",
    [
        ("5.17.15", ("old",), ("OLD_KERNEL",)),
        ("5.18.0", ("",), ()),
        ("6.1.0-50-amd64", ("",), ()),
        ("6.2.0", ("casts", ""), ()),
        ("6.19.11", ("casts", ""), ()),
        ("7.0.0-rc1", ("preemptible",), ("PREEMPTIBLE",)),
    ],
)
def test_how_it_is_compiled(release: str, folders: tuple[str, ...], defines: tuple[str, ...]) -> None:
    """One of four ways; engine bcc, which gets the defines, knows three."""
    found = of_kernel(release, btf=True)
    assert (found.folders, found.defines) == (folders, defines)


@pytest.mark.parametrize(
    "release, old, missing, hook",
    [
        ("5.10.0-32-amd64", True, ("io_uring",), "raw_tp/io_uring_submit_sqe"),
        ("5.17.15", True, ("io_uring",), "raw_tp/io_uring_submit_sqe"),
        ("5.18.0-rc1", False, ("io_uring",), "raw_tp/io_uring_submit_sqe"),
        ("5.19.17", False, ("io_uring",), "raw_tp/io_uring_submit_sqe"),
        ("6.0.0", False, (), "raw_tp/io_uring_submit_sqe"),
        ("6.3.13", False, (), "raw_tp/io_uring_submit_sqe"),
        ("6.4", False, (), "raw_tp/io_uring_submit_req"),
        ("7.2.13+deb14-amd64", False, (), "raw_tp/io_uring_submit_req"),
        ("10.1", False, (), "raw_tp/io_uring_submit_req"),
    ],
)
def test_of_kernel(release: str, old: bool, missing: tuple[str, ...], hook: str) -> None:
    """By its numbers."""
    found = of_kernel(release, btf=True)
    assert (found.old, found.missing) == (old, missing)
    assert found.hook("raw_tp/io_uring_submit_req") == hook
    assert found.hook("raw_tp/sys_enter") == "raw_tp/sys_enter"
