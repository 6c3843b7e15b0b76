"""The pytest hooks, and nothing else: they wire the parts together."""

from __future__ import annotations

import functools
import inspect
import os
import secrets
import threading
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.unittest import TestCaseFunction

from . import hookspecs, markers, policy
from .engines.base import LENT
from .errors import EbpfError, InconclusiveRecording
from .fixtures import Fixtures, SessionSource
from .options import SETTINGS, Settings, add_options, read_settings
from .stash import LATE, RECORDING, SOURCE

if TYPE_CHECKING:
    from .recording import Recording

__all__: list[str] = []

ITEM_PHASES = frozenset(markers.ITEM_PHASES)
_TASKS = Path("/proc/self/task")
HARNESS = frozenset(int(each.name) for each in _TASKS.glob("*")) - {threading.get_native_id()}
"""The threads that were there before any test code: those of xdist's workers, of an IDE, of a debugger.

Asked of the kernel, as threading doesn't know those that it did not start.
"""
SHARED = pytest.StashKey[tuple[str, str]]()
"""The engine that is lent to the run, if one is, and the address of the recorder that its workers share."""
BREAKS = (pytest.skip.Exception, pytest.xfail.Exception)
"""What ends a test early and is no failure: what was done before it is judged all the same."""
OWN_CAPTURE = frozenset({"capfd", "capfdbinary"})
"""Fixtures of pytest's that capture the output of one test into files of their own."""
NOTHING: AbstractContextManager[None] = nullcontext()
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
    if any(_phases_of(item) for item in session.items):
        source.start()
    else:
        source.drop()  # of the tests that will run, none needs it


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    """A test begins, recorded or not: what it starts is its own."""
    __tracebackhide__ = True
    wanted = _phases_of(item)
    source = item.config.stash[SOURCE]
    source.item = item
    if RECORDING in item.stash:  # of the same test, run before
        del item.stash[RECORDING]
    if wanted:
        source.start()
    if source.phases is not None:
        recording = source.phases.begin_test(item, wanted)
        if recording is not None:
            item.stash[RECORDING] = recording
    skip = None
    try:
        yield
    except BREAKS as raised:
        skip = raised
    if source.phases is not None and "setup" in source.phases.recordings:
        rules = policy.rules_of(item)
        rules.learn(item)
        source.phases.skipped = skip is not None
        _judge_around(item, "setup")
    if skip is not None:
        raise skip


@pytest.hookimpl(specname="pytest_runtest_setup", wrapper=True, trylast=True)
def pytest_record_setup(item: pytest.Item) -> Generator[None, None, None]:
    """Record the functions of fixtures, if that is asked for."""
    __tracebackhide__ = True
    source = item.config.stash[SOURCE]
    if source.phases is None:
        silent = _phases_of(item) and "ebpf" not in getattr(item, "fixturenames", ())
        # A test that wanted nothing itself isn't skipped.
        if silent and (policy.rules_of(item) or not source.is_missing):
            source.get()  # says why it can't; the fixture does so itself
        return (yield)
    with source.phases.around_fixtures("setup"):
        try:
            return (yield)
        finally:
            _note_outputs(item)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """What a fixture of a wider scope starts belongs to it, not to the test that happens to be the first to use it."""
    __tracebackhide__ = True
    phases = request.config.stash[SOURCE].phases
    if phases is None:
        return (yield)
    with phases.fixture(fixturedef):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Record what isn't called by pytest itself, such as unittest's methods; and hold the test to its rules."""
    __tracebackhide__ = True
    phases = item.config.stash[SOURCE].phases
    recording = item.stash.get(RECORDING, None)
    if phases is None:
        result = yield
        policy.check_unchanged(item)
        return result
    rules = policy.rules_of(item)
    rules.learn(item)
    result = skip = None
    verdicts: list[Exception | None] = []
    judged = NOTHING
    if recording is not None and isinstance(item, TestCaseFunction):
        judged = _judged_early(item, recording, rules, verdicts)
    try:
        with phases.call(item, recording), judged:
            result = yield
    except BREAKS as raised:
        skip = raised
    except Exception:  # the test's own error comes first
        if recording is not None:
            try:
                rules.judge(recording, "call")
            except (AssertionError, InconclusiveRecording) as problem:
                item.add_report_section("call", "ebpf rules", str(problem))
        raise
    if recording is not None:
        try:
            for phase, around in phases.around_method.items():
                rules.judge(around, phase)
            if verdicts:
                if verdicts[0] is not None:
                    raise verdicts[0]
            elif recording.begun or not vars(item).get("_excinfo"):  # else unittest skipped it, or its setUp failed
                rules.judge(recording, "call")
        except Exception:
            _forget_skip(item)
            raise
        if item.config.hook.pytest_ebpf_report.get_hookimpls():  # to find out which ones are for this test takes long
            for text in item.ihook.pytest_ebpf_report(item=item, recording=recording):
                item.add_report_section("call", "ebpf report", text)
    if skip is not None:
        raise skip
    policy.check_unchanged(item)
    return result


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Open the window at the last moment before the test function, and close it right after."""
    __tracebackhide__ = True
    phases = pyfuncitem.config.stash[SOURCE].phases
    recording = pyfuncitem.stash.get(RECORDING, None)
    if phases is None or recording is None:
        return (yield)
    try:
        with phases.function_call(pyfuncitem, recording):
            return (yield)
    finally:
        _note_outputs(pyfuncitem)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """A test ends when its fixtures are torn down; what it left behind is held to its rules too."""
    __tracebackhide__ = True
    phases = item.config.stash[SOURCE].phases
    if phases is None or phases.session.started is None:
        return (yield)
    try:
        try:
            yield
        finally:
            _judge_end(item)
    finally:
        phases.end_test()


@pytest.hookimpl(specname="pytest_runtest_teardown", wrapper=True, trylast=True)
def pytest_record_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """Record the functions of fixtures, if that is asked for."""
    __tracebackhide__ = True
    phases = item.config.stash[SOURCE].phases
    if phases is None:
        return (yield)
    with phases.around_fixtures("teardown"):
        _note_outputs(item)  # before capfd itself is torn down
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach the kernel events and the numbers to the report of the call phase."""
    recording = item.stash.get(RECORDING, None)
    if recording is not None and call.when == "call":
        settings = item.config.stash[SOURCE].settings
        if settings.trace == "all" or (settings.trace == "failed" and call.excinfo is not None):
            item.add_report_section("call", "kernel events", recording.describe())
        if settings.summary or getattr(item.config.option, "xmlpath", None):
            from .summary import Costs

            item.user_properties.extend(Costs.of(recording).properties)
    return (yield)


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


def _phases_of(item: pytest.Item) -> frozenset[str]:
    """The phases of a test that are recorded."""
    if item.config.option.setupplan:
        return frozenset()
    wanted: frozenset[str] = policy.rules_of(item).phases & ITEM_PHASES
    settings = item.config.stash[SOURCE].settings
    if settings.export is not None:
        return ITEM_PHASES
    if wanted or "ebpf" in getattr(item, "fixturenames", ()) or settings.records_all:
        return wanted | {"call"}
    return wanted


def _is_controller(config: pytest.Config) -> bool:
    """Whether xdist's workers do the work."""
    return bool(getattr(config.option, "tx", None)) and not hasattr(config, "workerinput")


def _report_collection(session: pytest.Session, name: str, problem: Exception) -> None:
    report = pytest.CollectReport(name, "failed", str(problem), [])
    session.config.hook.pytest_collectreport(report=report)


@contextmanager
def _judged_early(
    item: TestCaseFunction, recording: Recording, rules: policy.Rules, verdicts: list[Exception | None]
) -> Iterator[None]:
    """Let a method of unittest be judged before its tearDown, which may end what names and sockets are told by.

    A coroutine is judged when all of the call is over.
    """
    before = item.obj
    if inspect.iscoroutinefunction(before):
        yield
        return

    def call(*values: Any, **arguments: Any) -> object:
        __tracebackhide__ = True
        result = before(*values, **arguments)
        _note_outputs(item)
        try:
            rules.judge(recording, "call")
        except (AssertionError, InconclusiveRecording) as problem:
            verdicts.append(problem)
        else:
            verdicts.append(None)
        return result

    item.obj = functools.update_wrapper(call, before)
    try:
        yield
    finally:
        item.obj = before


def _note_outputs(item: pytest.Item) -> None:
    """Look where the output of a test with a capture of its own goes, before that closes its files."""
    if OWN_CAPTURE.isdisjoint(getattr(getattr(item, "_request", None), "_fixture_defs", ())):
        return
    phases = item.config.stash[SOURCE].phases
    if phases is None or phases.session.started is None:
        return
    for recording in (*phases.recordings.values(), *phases.around_method.values()):
        recording.note_outputs()


def _judge_around(item: pytest.Item, phase: str) -> None:
    """Hold setup or teardown to the rules; where a skip leaves them undecided, the skip stands."""
    __tracebackhide__ = True
    phases = item.config.stash[SOURCE].phases
    assert phases is not None
    try:
        policy.rules_of(item).judge(phases.recordings[phase], phase)
    except InconclusiveRecording:
        if not phases.skipped:
            raise


def _judge_end(item: pytest.Item) -> None:
    """Hold the teardown, and what the test's tasks did after its call, to the rules; then export it all."""
    __tracebackhide__ = True
    phases = item.config.stash[SOURCE].phases
    assert phases is not None
    rules = policy.rules_of(item)
    recordings = phases.recordings
    late = phases.late()
    if item.config.stash[SOURCE].settings.export is not None:
        _export(item)
    if recordings:
        phases.test.rules = rules
        phases.holds_rules |= bool(rules)
        if "teardown" in recordings:
            _judge_around(item, "teardown")
        if phases.test.late or rules.mind_leaks:
            rules.judge(late, "late")


def _export(item: pytest.Item) -> None:
    from .exports import Exporter, Part
    from .terminal import EXPORT_PROBLEM

    source = item.config.stash[SOURCE]
    assert source.phases is not None
    assert source.settings.export is not None
    try:
        parts = [
            Part(phase, recording.events, recording.gaps, recording.dropped)
            for phase in markers.ITEM_PHASES
            if (recording := source.phases.recordings.get(phase)) is not None and recording.begun
        ]
        Exporter(source.settings.export).write(item.nodeid, parts)
    except (OSError, EbpfError) as problem:
        item.user_properties.append((EXPORT_PROBLEM, str(problem)))


def _forget_skip(item: pytest.Item) -> None:
    """Let no skip of a unittest method stand before the violation of a rule."""
    noted: Any = vars(item).get("_excinfo")
    if noted and isinstance(noted[0].value, BREAKS):
        del vars(item)["_excinfo"]
