"""The pytest hooks of a run, and nothing else: they wire the parts together. Those around a test are in runtest.py."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from . import hookspecs, markers, policy
from .engines.base import LENT
from .errors import InconclusiveRecording
from .fixtures import Fixtures, SessionSource
from .options import SETTINGS, Settings, add_options, read_settings
from .runtest import phases_of
from .stash import LATE, SOURCE

__all__: list[str] = []

_TASKS = Path("/proc/self/task")
HARNESS = frozenset(int(each.name) for each in _TASKS.glob("*")) - {threading.get_native_id()}
"""The threads that were there before any test code: those of xdist's workers, of an IDE, of a debugger.

Asked of the kernel, as threading doesn't know those that it did not start.
"""
SHARED = pytest.StashKey[tuple[str, str]]()
"""The engine that is lent to the run, if one is, and the address of the recorder that its workers share."""
EXIT = pytest.StashKey[Any]()
"""What watches the end of the interpreter, if rules of the suite are for it."""


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
    lent, _, address = os.environ.pop(LENT, "").partition(":")
    lent, address = getattr(config, "workerinput", {}).get("ebpf_engine", (lent, address))
    config.stash[SHARED] = (lent, address or secrets.token_hex(16))
    config.stash[SOURCE] = SessionSource(settings, config, HARNESS, address or None, lent or None)
    config.pluginmanager.register(Fixtures(config.stash[SOURCE]), "ebpf fixtures")
    config.stash[LATE] = []
    policy.suite_layers(config)
    _watch_exit(config)
    if settings.export is not None:
        from .exports import Exporter

        try:
            Exporter(settings.export).prepare()
        except OSError as problem:
            raise pytest.UsageError(f"--ebpf-export: can't write to {settings.export}: {problem.strerror}") from None


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


def pytest_itemcollected(item: pytest.Item) -> None:
    """The first test that will be recorded lets the engine begin to start, while others are collected."""
    option = item.config.option
    if option.collectonly or option.setupplan or option.keyword or option.markexpr or option.deselect:
        return  # it isn't known whether this one will run
    source = item.config.stash[SOURCE]
    if "ebpf" in getattr(item, "fixturenames", ()) or item.get_closest_marker("ebpf") or source.settings.records_all:
        source.prepare()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Check the rules and programs for the tests, before a worker of xdist tells which ones it has."""
    try:
        programs = session.config.hook.pytest_ebpf_snippets()
        if programs:
            from .snippets import shipped

            shipped(programs)
        policy.check(session.items)
        if any(phases_of(item) for item in session.items):
            session.config.stash[SOURCE].follow_tests()
    except pytest.UsageError as problem:
        if not hasattr(session.config, "workerinput"):
            raise
        # A worker that ends here takes its reason with it; as a failed collection the controller shows it, once.
        session.items.clear()
        _report_collection(session, "rules and programs for the tests", problem)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Let the workers of xdist that run on this machine share one recorder."""
    if node.gateway.spec.popen:
        node.workerinput["ebpf_engine"] = node.config.stash[SHARED]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what a worker of xdist has to tell."""
    node.config.stash[LATE].extend(getattr(node, "workeroutput", {}).get("ebpf_late", ()))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """With rules of the suite, record the collection."""
    rules = policy.suite_rules(session.config)
    source = session.config.stash[SOURCE]
    if EXIT in session.config.stash:
        source.get()
    if not rules.phases & {"import", "collection"} or _is_controller(session.config):
        return (yield)
    source.get()
    assert source.phases is not None
    try:
        with source.phases.outside(source.phases.collection, "collection"):
            return (yield)
    except (AssertionError, InconclusiveRecording) as problem:
        _report_collection(session, "collection", problem)
        return None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """With rules of the suite, record the import of each module of tests."""
    phases = collector.config.stash[SOURCE].phases
    if phases is None or not isinstance(collector, pytest.Module):
        return (yield)
    report = None
    try:
        with phases.importing(collector.nodeid):
            report = yield
    except (AssertionError, InconclusiveRecording) as problem:
        if report is None:
            raise
        return pytest.CollectReport(collector.nodeid, "failed", str(problem), [])
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Start the engine before the first fixture runs, so that what fixtures start is followed from its first call."""
    if session.config.option.collectonly or session.config.option.setupplan:
        return
    source = session.config.stash[SOURCE]
    if any(phases_of(item) for item in session.items):
        source.start()
    else:
        source.drop()  # of the tests that will run, none needs it


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """No test that is to be recorded goes unrecorded in silence, also if it wasn't there when others were collected.

    A wrapper, as a plugin that runs a test in its own way keeps all that aren't from being called.
    """
    source = item.config.stash[SOURCE]
    if not source.follows_tests and phases_of(item):
        source.follow_tests()
    return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Know which test it is that may ask for the fixture at run time."""
    item.config.stash[SOURCE].item = item


@pytest.hookimpl(trylast=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Settle, when the test is over, whether its rules are those that it was checked and held to."""
    __tracebackhide__ = True
    policy.check_unchanged(item)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Look once more for what tests did late; a rule broken so fails the run."""
    config = session.config
    found = config.stash[LATE]
    phases = config.stash[SOURCE].phases
    if phases is not None:
        for owner, late in phases.late_since():
            rules = owner.rules
            entry = {"test": owner.name, "broken": False, "text": late.telling.format(LATE_SHOWN)}
            try:
                if rules is not None:
                    rules.judge(late, "late")
            except (AssertionError, InconclusiveRecording) as problem:
                entry.update(broken=True, text=str(problem))
            except Exception as problem:  # of a function that the user wrote: the other tests' results shall be shown
                from .notation import escape

                text = escape(f"{type(problem).__name__}: {problem}")
                entry.update(broken=True, text=f"a rule can't be held to late events: {text}")
            if entry["text"]:
                found.append(entry)
        # The verdicts stand on what was noticed when they were given: this is for what was done since.
        phases.session.check()
        for gap in phases.session.damage:
            found.append({"test": "the recorder", "broken": True, "text": str(gap)})
        lost = phases.lost_late()
        if lost is not None:
            # Some of them may have broken a rule.
            found.append({"test": "unknown tests", "broken": phases.holds_rules, "text": lost})
    if hasattr(config, "workeroutput"):
        config.workeroutput["ebpf_late"] = found
    elif any(each["broken"] for each in found) and session.exitstatus in (0, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    if EXIT in config.stash:
        config.stash[EXIT].status = int(session.exitstatus)


LATE_SHOWN = 5
"""Calls of each test, where no rule of it was broken."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show what was asked for, and what tests did late."""
    from . import terminal

    terminal.show(terminalreporter, config.stash[SOURCE].settings, [*config.stash[LATE]])


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Detach the programs, at once or at the end of the interpreter."""
    source = config.stash.get(SOURCE, None)
    if EXIT in config.stash:
        config.stash[EXIT].begin()
    elif source is not None:
        source.stop()


def _watch_exit(config: pytest.Config) -> None:
    """With rules of the suite for it, watch the end of the interpreter; a worker's can't fail the run."""
    if config.option.collectonly or _is_controller(config) or hasattr(config, "workerinput"):
        return
    if not policy.suite_layers(config) or not policy.suite_rules(config).of("exit"):
        return
    from .exit import Exit

    if Exit.is_free():
        config.stash[EXIT] = Exit(config.stash[SOURCE])


def _is_controller(config: pytest.Config) -> bool:
    """Whether xdist's workers do the work."""
    return bool(getattr(config.option, "tx", None)) and not hasattr(config, "workerinput")


def _report_collection(session: pytest.Session, name: str, problem: Exception) -> None:
    report = pytest.CollectReport(name, "failed", str(problem), [])
    session.config.hook.pytest_collectreport(report=report)
