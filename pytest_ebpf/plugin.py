"""The pytest hooks, and nothing else: they wire the parts together."""

from __future__ import annotations

import functools
import inspect
import unittest
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from .fixtures import RECORDING, SOURCE, SessionSource, ebpf
from .options import add_options, read_settings

if TYPE_CHECKING:
    from .recording import Recording

__all__ = ["ebpf"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Check the options."""
    config.stash[SOURCE] = SessionSource(read_settings(config))


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """With --ebpf-doctor, examine the host in place of a test run."""
    if not config.option.ebpf_doctor:
        return None
    from .cli import doctor_main

    return doctor_main(read_settings(config).engine)


def pytest_report_header(config: pytest.Config) -> str:
    """Name the engine, the kernel and the reason."""
    return f"ebpf: {config.stash[SOURCE].choice}"


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Start the engine before the first fixture runs, so that what fixtures start is followed from its first call."""
    if session.config.option.collectonly or session.config.option.setupplan:
        return
    if any("ebpf" in getattr(item, "fixturenames", ()) for item in session.items):
        session.config.stash[SOURCE].start()


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Open the window at the last moment before the test function, and close it right after."""
    with _recorded(pyfuncitem):
        return (yield)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """The same for the methods of unittest's test cases, which that package calls itself."""
    if isinstance(item, pytest.Function) and isinstance(item.instance, unittest.TestCase):
        with _recorded(item):
            return (yield)
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach the kernel events to the report of the call phase."""
    recording = item.stash.get(RECORDING, None)
    if recording is not None and call.when == "call":
        trace = item.config.stash[SOURCE].settings.trace
        if trace == "all" or (trace == "failed" and call.excinfo is not None):
            item.add_report_section("call", "kernel events", recording.describe())
    return (yield)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """With --ebpf-trace=all, show the events of the tests that passed too: pytest itself shows failures only."""
    if config.stash[SOURCE].settings.trace != "all" or terminalreporter.hasopt("P"):
        return
    for test in terminalreporter.getreports("passed"):
        for name, content in test.sections:
            if test.when == "call" and name == "Captured kernel events call":
                terminalreporter.write_sep("_", f"{test.nodeid} (passed)")
                terminalreporter.write_sep("-", name)
                terminalreporter.write_line(content)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Detach the programs."""
    source = config.stash.get(SOURCE, None)
    if source is not None:
        source.stop()


@contextmanager
def _recorded(item: pytest.Function) -> Iterator[None]:
    """Put the window around the test function, if the test records."""
    recording = item.stash.get(RECORDING, None)
    if recording is None:
        yield
        return
    function = item.obj
    if inspect.iscoroutinefunction(function):
        recording.open()
    else:
        item.obj = _windowed(recording, function)
    try:
        yield
    finally:
        recording.close()
        item.obj = function


def _windowed(recording: Recording, function: Callable[..., object]) -> Callable[..., object]:
    """The function with the window around it."""

    def call(*values: Any, **arguments: Any) -> object:
        __tracebackhide__ = True
        recording.open()
        try:
            return function(*values, **arguments)
        finally:
            recording.close()

    # The interpreter takes memory for frames in chunks of 16 KiB, by mmap. A frame larger than that begins a new chunk,
    # with room behind it, before the window opens: so the call of the test function itself can't need one.
    call.__code__ = call.__code__.replace(co_stacksize=FRAME_WORDS)
    return functools.update_wrapper(call, function)


FRAME_WORDS = 2200
