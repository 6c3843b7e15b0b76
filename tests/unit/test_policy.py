"""Rules from several places: which one counts in which phase, and how they are held to a recording."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_ebpf.assertions import Assertions
from pytest_ebpf.clauses import Clause, Later, Layer, arguments, bound, placeholders
from pytest_ebpf.errors import InconclusiveRecording, SiblingCallWarning
from pytest_ebpf.events import Gap
from pytest_ebpf.markers import ITEM_PHASES, KEYWORDS, Marker, ebpf, help_line
from pytest_ebpf.policy import SUITE_PHASES, Rules, merged
from pytest_ebpf.sources import Origin

from .builders import Recording, event, opened


def layer(name: str, phases: tuple[str, ...] | None = None, **rules: Any) -> Layer:
    """What a place called so says."""
    return Layer(rules, lambda keyword: Origin(None, None, name), phases)


def places(*layers: Layer) -> dict[str, str | None]:
    """Whose rule ``no_exec`` counts, by phase."""
    table = merged(layers, ITEM_PHASES)
    return {phase: next((str(each.origin) for each in table[phase]), None) for phase in ITEM_PHASES}


SUITE = layer("suite", SUITE_PHASES, no_exec=True)


@pytest.mark.parametrize(
    "layers, expected",
    [
        ([SUITE], ("suite", "suite", "suite")),
        ([layer("test", no_exec=True)], (None, "test", None)),
        ([layer("test", ("setup",), no_exec=True)], ("test", None, None)),
        # It takes the place of the wider one wherever that held,
        ([SUITE, layer("test", no_exec=True)], ("test", "test", "test")),
        ([layer("module", ("setup",), no_exec=True), layer("test", no_exec=True)], ("test", "test", None)),
        # unless it says where it holds itself.
        ([SUITE, layer("test", ("call",), no_exec=True)], ("suite", "test", "suite")),
        ([SUITE, layer("test", no_exec=None)], (None, None, None)),
        ([SUITE, layer("test", ("setup",), no_exec=None)], (None, "suite", "suite")),
        ([SUITE, layer("class", no_exec=None), layer("test", no_exec=True)], (None, "test", None)),
        ([SUITE, layer("class", no_exec=True), layer("test", durable=None)], ("class", "class", "class")),
    ],
)
def test_closest_wins(layers: list[Layer], expected: tuple[str | None, ...]) -> None:
    """By keyword and by phase."""
    assert tuple(places(*layers).values()) == expected


def test_suite_phases() -> None:
    """Every part of a run; session fixtures have names of their own."""
    rules = Rules(merged([SUITE], SUITE_PHASES))
    for phase in (*SUITE_PHASES, "session fixture database", "late"):
        assert len(rules.of(phase)) == 1
    assert rules.of("elsewhere") == ()
    assert rules.phases == set(SUITE_PHASES)
    assert [str(rule) for rule in rules] == ["no_exec=True (suite)"]


def test_late_events_are_of_the_call() -> None:
    """What a test's process does after it is held to what held in the test."""
    rules = Rules(merged([layer("test", no_exec=True)], ITEM_PHASES))
    assert (len(rules.of("late")), len(rules.of("teardown"))) == (1, 0)
    assert not Rules(merged([layer("test", ("setup",), no_exec=True)], ITEM_PHASES)).of("late")


def test_no_rules() -> None:
    """They are false, and hold for anything."""
    rules = Rules({})
    assert not rules
    rules.judge(Recording(event()), "call")


def judge(recording: Assertions, **rules: Any) -> None:
    """Hold a recording to the rules of a place at a line of this file."""
    origin = Origin(Path(__file__), 1, "")
    Rules(merged([Layer(rules, lambda keyword: origin)], ITEM_PHASES)).judge(recording, "call")


def test_violation() -> None:
    """The rule comes first, where it is written, the phase, then what the assertion says."""
    with pytest.raises(AssertionError) as raised:
        judge(Recording(opened("/a")), no_syscall="openat")
    assert str(raised.value).startswith(
        f"no_syscall='openat' ({__file__}:1), call: assert_no_syscall('openat'): 1 call"
    )
    assert raised.traceback[-1].path == Path(__file__)
    assert raised.traceback[-1].lineno == 0


def test_all_are_judged() -> None:
    """A violation weighs more than one that can't be decided, and both are told."""
    recording = Recording(opened("/a"), gaps=[Gap("lost", calls=frozenset({"fsync"}))])
    with pytest.raises(InconclusiveRecording, match="no_syscall='fsync'"):
        judge(recording, no_syscall="fsync")
    with pytest.raises(AssertionError, match=r"(?s)^syscall='unlink'.*no_syscall='fsync'.*can't be decided"):
        judge(recording, no_syscall="fsync", syscall="unlink")


def test_one_keyword_for_several() -> None:
    """A list of lists: each of them is held, and told with its own arguments; the closest place says all of them."""
    recording = Recording(opened("/a"), opened("/b"))
    judge(recording, no_file_access=[["/c"], ["/d", {"ops": "write"}]])
    for paths in (["/a"], ["/c"]), (["/c"], ["/a"]):
        with pytest.raises(AssertionError, match=r"^no_file_access=\['/a'\] ") as raised:
            judge(recording, no_file_access=paths)
        assert "'/c'" not in str(raised.value)
    with pytest.raises(AssertionError, match=r"(?s)^no_file_access=\['/a'\] .*\nno_file_access=\['/b'\] "):
        judge(recording, no_file_access=[["/a"], ["/b"]])
    rules = Rules(merged([layer("suite", no_syscall=[["a"], ["b"]]), layer("test", no_syscall="c")], ITEM_PHASES))
    assert [rule.value for rule in rules] == ["c"]
    rules = Rules(merged([layer("suite", no_syscall=[["a"], ["b"]])], ITEM_PHASES))
    assert [rule.value for rule in rules] == [["a"], ["b"]]


def test_warning_is_given_at_the_rule() -> None:
    """Not at a line of the plugin, and only if the assertion holds."""
    with pytest.warns(SiblingCallWarning, match="^no_syscall='open' ") as told:
        judge(Recording(opened("/a")), no_syscall="open")
    assert (told[0].filename, told[0].lineno) == (__file__, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        judge(Recording(opened("/a")), no_syscall="unlink")


@pytest.mark.parametrize(
    "value, expected",
    [
        (True, ((), {})),
        ("a", (("a",), {})),
        (Path("a"), ((Path("a"),), {})),
        (["a", "b"], (("a", "b"), {})),
        (("a", {"path": "x"}), (("a",), {"path": "x"})),
        ({"allow": ["x"]}, ((), {"allow": ["x"]})),
    ],
)
def test_arguments(value: Any, expected: Any) -> None:
    """Of the assertion that a value stands for."""
    assert arguments(value) == expected


def test_placeholders() -> None:
    """In every string, at any depth; other braces are left alone."""
    value = ["{a}", {"x": ("{b}/y", Path("{no}")), "y": "{ c }{}{1}"}]
    assert placeholders(value) == {"a", "b"}


VALUES = {"tmp": Path("/tmp/a[1]"), "root": "/r", "rootdir": Path("/project"), "later": Later(lambda: Path("/later"))}


@pytest.mark.parametrize(
    "value, expected",
    [
        ("{tmp}", Path("/tmp/a[1]")),
        ("{tmp}/b/c", Path("/tmp/a[1]/b/c")),
        ("{tmp}/*.db", "/tmp/a[[]1]/*.db"),
        ("unix:{root}/socket", "unix:/r/socket"),
        ("{later}", Path("/later")),
        ("{}", "{}"),
    ],
)
def test_placeholder_values(value: str, expected: object) -> None:
    """A path that stands for itself, whatever is in it; in a glob the rest is the glob."""
    args, named = bound("no_file_access", [value, {"x": [value]}], VALUES)
    assert args == (expected,)
    assert named == {"x": [expected]}


def test_placeholders_of_steps() -> None:
    """The steps of an order have them in their filters."""

    @dataclass(frozen=True)
    class Step:
        filters: dict[str, Any]

    step = Step({"path": "{root}/x"})
    assert placeholders([step]) == {"root"}
    assert bound("syscall_order", [step], VALUES)[0] == (Step({"path": Path("/r/x")}),)


def test_folders_are_below_the_root() -> None:
    """A policy means the same from wherever pytest is started."""
    assert bound("only_writes_under", ["build", "/tmp"], VALUES)[0] == (Path("/project/build"), Path("/tmp"))
    assert bound("no_syscall", ["build"], VALUES)[0] == ("build",)


def test_placeholder_without_a_value() -> None:
    """It can't be decided, which is no pass; a value that is no path is a mistake."""
    with pytest.raises(InconclusiveRecording, match=r"^\{nothing\} has no value: the fixture nothing was not set up"):
        bound("no_syscall", {"path": "{nothing}"}, VALUES)
    with pytest.raises(TypeError, match=r"^\{n\}: the fixture's value is no path but int"):
        bound("no_syscall", {"path": "{n}"}, {"n": 3})


def test_marker() -> None:
    """What is given, and nothing else; None is given."""
    assert ebpf(no_exec=True, max=None) == Marker({"no_exec": True, "max": None})
    assert ebpf(no_exec=True, phases="call").phases == ("call",)
    assert ebpf(no_exec=True, phases=["setup", "call"]).phases == ("setup", "call")


def test_every_assertion_is_a_keyword() -> None:
    """Without ``assert_``."""
    assertions = {name.removeprefix("assert_") for name in dir(Assertions) if name.startswith("assert_")}
    assert assertions <= {*KEYWORDS}


def test_marker_help() -> None:
    """pytest shows the text before the first colon as the marker's name."""
    name, _, text = help_line().partition(":")
    assert name == f'ebpf({"=, ".join(KEYWORDS)}=, phases=("call",))'
    assert text.startswith(" Record the test and hold these rules")
    assert sorted(KEYWORDS) == [*KEYWORDS]


def test_clause_text() -> None:
    """Long values are cut, and nothing in them moves the cursor."""
    origin = Origin(Path("/r/t\x1b.py"), 3, "no_exec", Path("/r"))
    text = str(Clause("no_exec", {"allow": ["\x1b[31m" + "x" * 500]}, origin))
    assert text.isprintable()
    assert len(text) < 200
