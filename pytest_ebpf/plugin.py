"""The pytest hooks, and nothing else: they wire the parts together."""

from __future__ import annotations

import functools
import inspect
import shutil
import unittest
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from . import hookspecs, markers, policy
from .errors import EbpfError, InconclusiveRecording
from .fixtures import RECORDING, SOURCE, SessionSource, ebpf
from .options import SETTINGS, Settings, add_options, read_settings

if TYPE_CHECKING:
    from .recording import Recording

__all__ = ["ebpf"]


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the hooks."""
    pluginmanager.add_hookspecs(hookspecs)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Check the options and the suite's policy."""
    config.addinivalue_line("markers", markers.help_line())
    settings = read_settings(config)
    changed = config.hook.pytest_ebpf_configure(settings=settings)
    if changed is not None and not isinstance(changed, Settings):
        raise pytest.UsageError(
            f"pytest_ebpf_configure: it returned {type(changed).__name__} (valid are settings, and None)"
        )
    settings = changed or settings
    config.stash[SETTINGS] = settings
    config.stash[SOURCE] = SessionSource(settings, config.pluginmanager)
    policy.suite_layers(config)
    if settings.export is not None:
        from .exports import Exporter

        try:
            Exporter(settings.export).prepare()
        except OSError as problem:
            raise pytest.UsageError(f"--ebpf-export: can't write to {settings.export}: {problem.strerror}") from None


def pytest_report_header(config: pytest.Config) -> str:
    """Name the engine, the kernel and the reason."""
    return f"ebpf: {config.stash[SOURCE].choice}"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Check the rules of the tests, before a worker of xdist tells which ones it has."""
    try:
        policy.check(session.items)
    except pytest.UsageError as problem:
        if not hasattr(session.config, "workerinput"):
            raise
        # A worker that ends here takes its reason with it; as a failed collection the controller shows it, once.
        session.items.clear()
        report = pytest.CollectReport("rules of @pytest.mark.ebpf", "failed", str(problem), [])
        session.config.hook.pytest_collectreport(report=report)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Start the engine before the first fixture runs, so that what fixtures start is followed from its first call."""
    if session.config.option.collectonly or session.config.option.setupplan:
        return
    if any(_is_recorded(item) for item in session.items):
        session.config.stash[SOURCE].start()


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Open the window at the last moment before the test function, and close it right after."""
    with _recorded(pyfuncitem):
        return (yield)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """The same for items that aren't called that way, such as unittest's methods; and hold the test to its rules."""
    __tracebackhide__ = True
    recording = _recording(item)
    if recording is None:
        return (yield)
    policy.rules_of(item).learn(item)
    skip = None
    try:
        if isinstance(item, pytest.Function) and not isinstance(item.instance, unittest.TestCase):
            result = yield
        else:
            with _recorded(item):
                result = yield
    except pytest.skip.Exception as raised:  # what was done before it is judged all the same
        result, skip = None, raised
    except Exception:  # the test's own error comes first
        try:
            policy.rules_of(item).judge(recording, "call")
        except (AssertionError, InconclusiveRecording) as problem:
            item.add_report_section("call", "ebpf rules", str(problem))
        raise
    try:
        policy.rules_of(item).judge(recording, "call")
    except Exception:
        _forget_skip(item)
        raise
    for text in item.ihook.pytest_ebpf_report(item=item, recording=recording):
        item.add_report_section("call", "ebpf report", text)
    if skip is not None:
        raise skip
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach the kernel events, the numbers and the export to the report of the call phase."""
    recording = item.stash.get(RECORDING, None)
    if recording is not None and call.when == "call":
        settings = item.config.stash[SOURCE].settings
        if settings.trace == "all" or (settings.trace == "failed" and call.excinfo is not None):
            item.add_report_section("call", "kernel events", recording.describe())
        if settings.summary or item.config.getoption("xmlpath", None):
            from .summary import Costs

            item.user_properties.extend(Costs.of(recording).properties)
        if settings.export is not None:
            from .exports import Exporter, Part

            try:
                part = Part("call", recording.events, recording.gaps, recording.dropped)
                Exporter(settings.export).write(item.nodeid, [part])
            except (OSError, EbpfError) as problem:
                item.user_properties.append((EXPORT_PROBLEM, str(problem)))
    return (yield)


EXPORT_PROBLEM = "ebpf_export_problem"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show what was asked for: the events of the tests that passed, the most expensive tests, where the export is."""
    settings = config.stash[SOURCE].settings
    if settings.trace == "all" and not terminalreporter.hasopt("P"):  # pytest itself shows failures only
        for test in terminalreporter.getreports("passed"):
            for name, content in test.sections:
                if test.when == "call" and name == "Captured kernel events call":
                    terminalreporter.write_sep("_", f"{test.nodeid} (passed)")
                    terminalreporter.write_sep("-", name)
                    terminalreporter.write_line(content)
    reports = [each for kind in terminalreporter.stats.values() for each in kind]
    if settings.summary:
        from .summary import gather, table

        terminalreporter.section("most expensive tests (ebpf)")
        for line in table(gather(reports), shutil.get_terminal_size().columns):
            terminalreporter.write_line(line)
    if settings.export is not None:
        from .notation import escape

        problems = {
            report.nodeid: value
            for report in reports
            for name, value in getattr(report, "user_properties", ())
            if name == EXPORT_PROBLEM
        }
        if problems:
            terminalreporter.section("ebpf export", red=True)
            for nodeid, problem in problems.items():
                terminalreporter.write_line(f"{escape(nodeid)}: not exported: {escape(problem)}", red=True)
        else:
            terminalreporter.write_line(f"ebpf: exported to {escape(str(settings.export))}")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Detach the programs."""
    source = config.stash.get(SOURCE, None)
    if source is not None:
        source.stop()


def _is_recorded(item: pytest.Item) -> bool:
    """Whether it asks for it, or all tests are recorded."""
    return _asks(item) or item.config.stash[SOURCE].settings.records_all


def _asks(item: pytest.Item) -> bool:
    """Whether it uses the fixture or has rules."""
    return "ebpf" in getattr(item, "fixturenames", ()) or bool(policy.rules_of(item))


def _recording(item: pytest.Item) -> Recording | None:
    """That of the fixture, or one of its own for an item that is recorded without it."""
    __tracebackhide__ = True
    source = item.config.stash[SOURCE]
    if RECORDING not in item.stash and _is_recorded(item):
        if source.is_missing and not _asks(item):
            return None  # no reason to skip a test that wanted nothing
        session = source.get()
        from .recording import Recording

        session.begin_test(f"{item.nodeid} (call)")
        item.stash[RECORDING] = Recording(session)
    return item.stash.get(RECORDING, None)


def _forget_skip(item: pytest.Item) -> None:
    """Let no skip of a unittest method stand before the violation of a rule."""
    noted: Any = vars(item).get("_excinfo")
    if noted and isinstance(noted[0].value, pytest.skip.Exception):
        del vars(item)["_excinfo"]


@contextmanager
def _recorded(item: pytest.Item) -> Iterator[None]:
    """Put the window around the test function, if the test records."""
    recording = item.stash.get(RECORDING, None)
    if recording is None:
        yield
        return
    if not isinstance(item, pytest.Function):
        recording.open()
        try:
            yield
        finally:
            recording.close()
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
