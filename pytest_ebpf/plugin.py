"""The pytest hooks, and nothing else: they wire the parts together."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Generator
from typing import Any

import pytest

from .fixtures import SessionSource, ebpf
from .options import add_options, read_settings
from .stash import RECORDING, SOURCE

__all__ = ["ebpf"]

HARNESS = frozenset(thread.native_id or 0 for thread in threading.enumerate()) - {threading.get_native_id()}
"""The threads that were there before any test code: those of xdist's workers, of an IDE, of a debugger."""
ADDRESS = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Check the options."""
    address = getattr(config, "workerinput", {}).get("ebpf_address")
    config.stash[SOURCE] = SessionSource(read_settings(config), HARNESS, address)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Let the workers of xdist that run on this machine share one recorder."""
    if node.gateway.spec.popen:
        address = node.config.stash.setdefault(ADDRESS, secrets.token_hex(16))
        node.workerinput["ebpf_address"] = address


def pytest_report_header(config: pytest.Config) -> str:
    """Name the engine, the kernel and the reason."""
    return f"ebpf: {config.stash[SOURCE].choice}"


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Start the engine before the first fixture runs, so that what fixtures start is followed from its first call."""
    if session.config.option.collectonly or session.config.option.setupplan:
        return
    if any(_is_recorded(item) for item in session.items):
        session.config.stash[SOURCE].start()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    """A test begins, recorded or not: what it starts is its own."""
    __tracebackhide__ = True
    phases = item.config.stash[SOURCE].phases
    if phases is not None:
        recording = phases.begin_test(item, recorded=_is_recorded(item))
        if recording is not None:
            item.stash[RECORDING] = recording
        elif RECORDING in item.stash:  # of the same test, run again
            del item.stash[RECORDING]
    return (yield)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """What a fixture of a wider scope starts belongs to it, not to the test that happens to be the first to use it."""
    __tracebackhide__ = True
    phases = request.config.stash[SOURCE].phases
    if phases is None or fixturedef.scope == "function":
        return (yield)
    with phases.fixture(fixturedef):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Wrap the test functions that pytest doesn't call itself: coroutine functions and the methods of unittest."""
    __tracebackhide__ = True
    phases = item.config.stash[SOURCE].phases
    if phases is None:
        return (yield)
    with phases.call(item, item.stash.get(RECORDING, None)):
        return (yield)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Open the window at the last moment before the test function, and close it right after."""
    __tracebackhide__ = True
    phases = pyfuncitem.config.stash[SOURCE].phases
    recording = pyfuncitem.stash.get(RECORDING, None)
    if phases is None or recording is None:
        return (yield)
    with phases.function_call(pyfuncitem, recording):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """A test ends when its fixtures are torn down."""
    __tracebackhide__ = True
    phases = item.config.stash[SOURCE].phases
    if phases is None:
        return (yield)
    phases.begin_phase("teardown")
    try:
        return (yield)
    finally:
        phases.end_test()


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


def _is_recorded(item: pytest.Item) -> bool:
    """Whether anything asks for a recording of this test."""
    return "ebpf" in getattr(item, "fixturenames", ())
