"""The pytest hooks around one test: what of it is recorded, and its verdicts.

They are registered when the collection has found a test that wants one, or the recorder starts: other runs pay nothing
for them.
"""

from __future__ import annotations

import functools
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest
from _pytest import python

from . import markers, policy
from .errors import EbpfError, InconclusiveRecording
from .stash import RECORDING, SOURCE

if TYPE_CHECKING:
    from .recording import Recording

__all__ = ["phases_of"]

ITEM_PHASES = frozenset(markers.ITEM_PHASES)
BREAKS = (pytest.skip.Exception, pytest.xfail.Exception)
"""What ends a test early and is no failure: what was done before it is judged all the same."""
OWN_CAPTURE = frozenset({"capfd", "capfdbinary"})
"""Fixtures of pytest's that capture the output of one test into files of their own."""
PARAMETER = getattr(python, "get_direct_param_fixture_func", None)
"""Pytest's own function for a parameter of a test, which stands among its fixtures: nothing is at work there."""
_VERDICT = pytest.StashKey[Exception | None]()
"""On a method of unittest that was judged already."""
_OF_ONE_RUN: tuple[pytest.StashKey[Any], ...] = (RECORDING, _VERDICT)


def phases_of(item: pytest.Item) -> frozenset[str]:
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


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    """A test begins, recorded or not: what it starts is its own."""
    __tracebackhide__ = True
    wanted = phases_of(item)
    source = item.config.stash[SOURCE]
    for key in _OF_ONE_RUN:
        if key in item.stash:  # of the same test, run before
            del item.stash[key]
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
        silent = phases_of(item) and "ebpf" not in getattr(item, "fixturenames", ())
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
    if phases is None or fixturedef.func is PARAMETER:
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
        return (yield)
    rules = policy.rules_of(item)
    rules.learn(item)
    result = skip = None
    try:
        with phases.call(item, recording, functools.partial(_judge_early, item, recording)):
            result = yield
    except BREAKS as raised:
        skip = raised
    except Exception:  # the test's own error comes first
        if recording is not None and recording.begun:
            try:
                rules.judge(recording, "call")
            except (AssertionError, InconclusiveRecording) as problem:
                item.add_report_section("call", "ebpf rules", str(problem))
        raise
    if recording is not None:
        try:
            for phase, around in phases.around_method.items():
                rules.judge(around, phase)
            if _VERDICT in item.stash:
                if (verdict := item.stash[_VERDICT]) is not None:
                    raise verdict
            elif recording.begun or not (skip or vars(item).get("_excinfo")):  # else it was skipped, or setUp failed
                rules.judge(recording, "call")
        except Exception:
            _forget_skip(item)
            raise
        if item.config.hook.pytest_ebpf_report.get_hookimpls():  # to find out which ones are for this test takes long
            for text in item.ihook.pytest_ebpf_report(item=item, recording=recording):
                item.add_report_section("call", "ebpf report", text)
    if skip is not None:
        raise skip
    return result


@pytest.hookimpl(specname="pytest_runtest_call", tryfirst=True)
def pytest_begin_call(item: pytest.Item) -> None:
    """What unittest does around a method begins, within what other plugins do around it."""
    phases = item.config.stash[SOURCE].phases
    if phases is not None:
        phases.begin_around_method()


@pytest.hookimpl(specname="pytest_runtest_call", trylast=True)
def pytest_end_call(item: pytest.Item) -> None:
    """And ends."""
    phases = item.config.stash[SOURCE].phases
    if phases is not None:
        phases.end_around_method()


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Open the window at the last moment before the test function, and close it right after."""
    __tracebackhide__ = True
    phases = pyfuncitem.config.stash[SOURCE].phases
    recording = pyfuncitem.stash.get(RECORDING, None)
    if phases is None or recording is None:
        return (yield)
    function = pyfuncitem.obj
    try:
        pyfuncitem.obj = phases.windowed(recording, function)
        return (yield)
    finally:
        pyfuncitem.obj = function
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


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Give the report of the call phase, which is made next, the kernel events and the numbers.

    After those who come first: one of pytest's own puts in what a method of unittest raised.
    """
    if call.when != "call" or (recording := item.stash.get(RECORDING, None)) is None:
        return
    settings = item.config.stash[SOURCE].settings
    if settings.trace == "all" or (settings.trace == "failed" and call.excinfo is not None):
        item.add_report_section("call", "kernel events", recording.describe())
    if settings.summary or getattr(item.config.option, "xmlpath", None):
        from .summary import Costs

        item.user_properties.extend(Costs.of(recording).properties)


def _judge_early(item: pytest.Item, recording: Recording | None) -> None:
    """Before the tearDown of a method of unittest, which may end what names and sockets are told by.

    One that runs more than once is judged each time; what is found stays found.
    """
    __tracebackhide__ = True
    if recording is None or item.stash.get(_VERDICT, None) is not None:
        return
    _note_outputs(item)
    try:
        policy.rules_of(item).judge(recording, "call")
    except (AssertionError, InconclusiveRecording) as problem:
        item.stash[_VERDICT] = problem
    else:
        item.stash[_VERDICT] = None


def _note_outputs(item: pytest.Item) -> None:
    """Look where the output of a test with a capture of its own goes, before that closes its files."""
    if OWN_CAPTURE.isdisjoint(getattr(getattr(item, "_request", None), "_fixture_defs", ())):
        return
    phases = item.config.stash[SOURCE].phases
    if phases is None or phases.session.started is None:
        return
    for recording in phases.all_recordings:
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
