"""A plugin that others install: tests stay in their temporary folder, and say how often they look at /proc."""

import dataclasses

import pytest

from pytest_ebpf.hookspecs import Drop


def pytest_addoption(parser):
    parser.addoption("--tidy", action="store_true", help="record every test")


@pytest.hookimpl(optionalhook=True)
def pytest_ebpf_configure(settings):
    """Whatever else is asked for: no test may skip because it can't be recorded."""
    return dataclasses.replace(settings, unavailable="fail")


@pytest.hookimpl(optionalhook=True)
def pytest_ebpf_policy(item):
    """Unless the test says so itself, it leaves no file outside of its folder."""
    if item.config.option.tidy:
        return {"no_syscall": ["unlink", "unlinkat", "rmdir", {"path": lambda path: "keep" in path}]}
    return None


@pytest.hookimpl(optionalhook=True)
def pytest_ebpf_event(event):
    """A second name for the files of a process, and no word about the clock."""
    if event.name == "clock_nanosleep":
        return Drop("waiting", harmless=True)
    if event.path is not None and event.path.startswith("/proc/self/"):
        return dataclasses.replace(event, paths=(*event.paths, event.path.replace("/proc/self", "/proc/me")))
    return None


@pytest.hookimpl(optionalhook=True)
def pytest_ebpf_report(item, recording):
    """A section of its own, if there is something to say."""
    looks = sum(1 for event in recording.syscalls("%file", path="/proc/me/*"))
    return f"{looks} looks at /proc/me" if looks else None
