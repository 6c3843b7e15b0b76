"""What holds, what doesn't, and what can't be told."""

from __future__ import annotations

import doctest
import os
import pickle
import subprocess
import sys
import textwrap
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_ebpf import assertions, call
from pytest_ebpf.effects import END
from pytest_ebpf.errors import InconclusiveRecording, SiblingCallWarning, UnknownSyscall
from pytest_ebpf.events import Address, File, Gap, Socket, SyscallEvent

from .builders import GIT, TABLE, Recording, event, failed, opened

HOSTS = opened("/etc/hosts")
UNREAD = event(unread={"path", "filename"}, ret=3)
ANY_GAP = Gap("the probe on_sys_exit isn't attached", "use a newer kernel")
OPENAT_GAP = Gap("openat calls were lost", calls=frozenset({"openat"}))
READ_GAP = Gap("read calls were lost", calls=frozenset({"read"}))
PARTS_GAP = Gap("the path of 1 openat call could not be read", calls=frozenset({"openat"}), count=0, exact=True)


def lost(count: int, name: str = "openat") -> Gap:
    """A gap of known size."""
    return Gap(f"{count} {name} calls were lost", calls=frozenset({name}), count=count, exact=True)


class Crashed(Recording):
    """One in which a process left a core, or not."""

    dumped = True

    def _ends(self) -> Sequence[SyscallEvent]:
        return [event(END, None, args={"exit_code": None, "signal": "SIGSEGV", "core_dumped": self.dumped})]


@pytest.mark.parametrize("pattern, is_file", [("core", True), ("/cores/%e", True), ("|/usr/bin/keep %P", False)])
def test_a_core(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pattern: str, is_file: bool) -> None:
    """It is a file somewhere, unless the kernel gives it to a program; where that isn't known, it may be one."""
    monkeypatch.setattr(assertions, "CORE_PATTERN", tmp_path / "core_pattern")
    recording = Crashed(HOSTS)
    assert len(recording.files(path="/tmp/core").undecided) == 2
    (tmp_path / "core_pattern").write_text(pattern)
    assert len(recording.files(path="/tmp/core").undecided) == 2 * is_file
    recording.dumped = False
    assert recording.files(path="/tmp/core") == []


class TestQueries:
    """``events``, ``syscalls``, ``complete``."""

    def test_everything(self) -> None:
        """In kernel order, whatever it is called."""
        unknown = event("syscall_0x1f4")
        assert Recording(HOSTS, unknown).events == [HOSTS, unknown]

    def test_matching(self) -> None:
        """Those for certain, and apart from them those that can't be told."""
        found = Recording(HOSTS, UNREAD, failed("/x"), event("close")).syscalls("openat", path="/etc/*")
        assert found.known == (HOSTS,)
        assert found.undecided == [UNREAD]
        assert Recording(HOSTS, event("close")).syscalls() == [HOSTS, event("close")]

    def test_complete(self) -> None:
        """Without a gap."""
        assert Recording().complete
        assert not Recording(gaps=[READ_GAP]).complete

    def test_errors(self) -> None:
        """Names and filters are checked though nothing was recorded."""
        with pytest.raises(UnknownSyscall):
            Recording().syscalls("opanat")
        with pytest.raises(TypeError, match="unknown filter"):
            Recording().syscalls("openat", pth="/x")

    def test_counting_by_name_decodes_nothing(self) -> None:
        """Only the number of events is asked for."""

        class Lazy(Sequence[SyscallEvent]):
            def __len__(self) -> int:
                return 100_000

            def __getitem__(self, index: object) -> Any:
                raise AssertionError("decoded")

        class Counting(Recording):
            def _events(self, names: frozenset[str] | None) -> Sequence[SyscallEvent]:
                return Lazy()

        Counting().assert_syscall("openat", count=100_000)
        assert len(Counting().syscalls("openat")) == 100_000


class TestNoSyscall:
    """``assert_no_syscall``: proven absent, violated, inconclusive."""

    @pytest.mark.parametrize(
        "events, gaps",
        [
            ([], []),
            ([event("close")], []),
            ([opened("/etc/passwd")], []),
            ([failed("/etc/hosts")], []),
            ([event(unread={"path"}, ret=-2, errno="ENOENT")], []),
            ([], [READ_GAP]),
            ([], [lost(7, "read")]),
            ([], [PARTS_GAP]),
        ],
    )
    def test_proven(self, events: list[SyscallEvent], gaps: list[Gap]) -> None:
        """No call matches, and no gap could hide one."""
        Recording(*events, gaps=gaps).assert_no_syscall("openat", path="/etc/hosts", ok=True)

    @pytest.mark.parametrize("gaps", [[], [ANY_GAP], [OPENAT_GAP], [lost(3)]])
    def test_violated(self, gaps: list[Gap]) -> None:
        """Positive evidence stands in spite of gaps."""
        with pytest.raises(AssertionError, match="1 call matched"):
            Recording(UNREAD, HOSTS, gaps=gaps).assert_no_syscall("openat", path="/etc/hosts")

    @pytest.mark.parametrize(
        "events, gaps",
        [
            ([UNREAD], []),
            ([UNREAD], [PARTS_GAP]),
            ([event(path="hosts", unread={"abspath"})], []),
            ([], [ANY_GAP]),
            ([], [OPENAT_GAP]),
            ([], [lost(1)]),
        ],
    )
    def test_inconclusive(self, events: list[SyscallEvent], gaps: list[Gap]) -> None:
        """An event or a gap could be what was asked for: not one is tolerated."""
        with pytest.raises(InconclusiveRecording):
            Recording(*events, gaps=gaps).assert_no_syscall("openat", path="/etc/hosts")

    def test_in_flight(self) -> None:
        """A call that hangs is a call; how it will end is unknown."""
        hanging = event("connect", None, in_flight=True)
        with pytest.raises(AssertionError):
            Recording(hanging).assert_no_syscall("connect")
        with pytest.raises(InconclusiveRecording):
            Recording(hanging).assert_no_syscall("connect", ok=True)

    def test_any_call(self) -> None:
        """No name means no call whatsoever."""
        Recording().assert_no_syscall()
        with pytest.raises(AssertionError):
            Recording(event("syscall_0x1f4")).assert_no_syscall()
        with pytest.raises(InconclusiveRecording):
            Recording(gaps=[READ_GAP]).assert_no_syscall()
        with pytest.raises(InconclusiveRecording):
            Recording(event("syscall_0x1f4")).assert_no_syscall(path="/etc/hosts")

    @pytest.mark.parametrize("gap", [PARTS_GAP, Gap("the path of 1 call could not be read", calls=frozenset())])
    def test_only_parts_are_missing(self, gap: Gap) -> None:
        """Then the events say themselves what they lack, and a gap about them hides no other."""
        Recording(HOSTS, gaps=[gap]).assert_no_syscall(path="/x")
        Recording(HOSTS, gaps=[gap]).assert_syscall(count=1)
        Recording(HOSTS, gaps=[gap]).assert_no_syscall("openat", path="/x")

    def test_lost_but_counted(self) -> None:
        """A count needs no record: lost calls of that name are proof enough."""
        with pytest.raises(AssertionError, match="7 calls matched"):
            Recording(gaps=[lost(7)]).assert_no_syscall("openat")


class TestSiblings:
    """The warning when another call did the same."""

    def test_warns(self) -> None:
        """It names the sibling and how often, and points to the user's line."""
        recording = Recording(event("openat2", path="/x"), event("openat2", path="/x"), event("creat", path="/x"))
        with pytest.warns(SiblingCallWarning) as caught:
            recording.assert_no_syscall("openat", path="/x")
        assert str(caught[0].message) == (
            "assert_no_syscall('openat', path='/x') holds, but its sibling matched: creat (1), openat2 (2)"
        )
        assert caught[0].filename == __file__

    def test_of_a_count(self) -> None:
        """``count=0`` is the same assertion."""
        with pytest.warns(SiblingCallWarning, match="openat2"):
            Recording(event("openat2", path="/x")).assert_syscall("openat", count=0, path="/x")

    @pytest.mark.parametrize(
        "names, other",
        [
            (["%open"], event("execve", path="/x")),
            (["rename*"], event("link", path="/x")),
            (["openat"], event("openat2", path="/y")),
            (["openat"], event("openat2", unread={"path"})),
            (["openat"], event("unlink", path="/x")),
            (["open*"], event("creat", path="/x")),
        ],
    )
    def test_silent(self, names: list[str], other: SyscallEvent) -> None:
        """If no name was exact, or the sibling doesn't match or can't be told."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            Recording(other).assert_no_syscall(*names, path="/x")

    def test_silent_where_some_are_allowed(self) -> None:
        """An upper bound other than zero says nothing about siblings."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            Recording(HOSTS, event("openat2")).assert_syscall("openat", max=2)


# With two calls that match for certain:
HOLDS, VIOLATED, OPEN = None, AssertionError, InconclusiveRecording


class TestSyscall:
    """``assert_syscall`` and its bounds."""

    @pytest.mark.parametrize(
        "bounds, certain, one_more, any_more",
        [
            ({}, HOLDS, HOLDS, HOLDS),
            ({"count": 2}, HOLDS, OPEN, OPEN),
            ({"count": 3}, VIOLATED, OPEN, OPEN),
            ({"count": 4}, VIOLATED, VIOLATED, OPEN),
            ({"count": 1}, VIOLATED, VIOLATED, VIOLATED),
            ({"count": 0}, VIOLATED, VIOLATED, VIOLATED),
            ({"min": 2}, HOLDS, HOLDS, HOLDS),
            ({"min": 3}, VIOLATED, OPEN, OPEN),
            ({"min": 4}, VIOLATED, VIOLATED, OPEN),
            ({"max": 1}, VIOLATED, VIOLATED, VIOLATED),
            ({"max": 2}, HOLDS, OPEN, OPEN),
            ({"max": 3}, HOLDS, HOLDS, OPEN),
            ({"max": 0}, VIOLATED, VIOLATED, VIOLATED),
            ({"min": 1, "max": 3}, HOLDS, HOLDS, OPEN),
            ({"min": 3, "max": 4}, VIOLATED, OPEN, OPEN),
            ({"min": 0, "max": 2}, HOLDS, OPEN, OPEN),
        ],
    )
    def test_bounds(
        self,
        bounds: dict[str, int],
        certain: type[Exception] | None,
        one_more: type[Exception] | None,
        any_more: type[Exception] | None,
    ) -> None:
        """Complete; with one call undecided, or one lost; and with a gap of unknown size."""
        events = [HOSTS, HOSTS, opened("/x"), event("close")]

        def outcome(*more: SyscallEvent, gaps: Sequence[Gap] = ()) -> type[Exception] | None:
            try:
                Recording(*events, *more, gaps=gaps).assert_syscall("openat", path="/etc/hosts", **bounds)
            except (AssertionError, InconclusiveRecording) as error:
                return type(error)
            return None

        assert outcome() is certain
        assert outcome(UNREAD) is one_more
        assert outcome(gaps=[lost(1)]) is one_more
        assert outcome(gaps=[ANY_GAP]) is any_more
        assert outcome(gaps=[OPENAT_GAP]) is any_more
        assert outcome(gaps=[READ_GAP, lost(9, "read"), PARTS_GAP]) is certain

    @pytest.mark.parametrize("bounds, least", [({}, 1), ({"max": 3}, 1), ({"min": 0, "max": 3}, 0)])
    def test_at_least_one_unless_told(self, bounds: dict[str, int], least: int) -> None:
        """A maximum alone doesn't make a misspelt path pass."""
        if least:
            with pytest.raises(AssertionError):
                Recording().assert_syscall("openat", **bounds)
        else:
            Recording().assert_syscall("openat", **bounds)

    @pytest.mark.parametrize("bounds", [{"count": 102}, {"min": 102}, {"max": 102}])
    def test_exact_counters(self, bounds: dict[str, int]) -> None:
        """Without filters, lost calls of a known number count, so that the answer is still proven."""
        recording = Recording(HOSTS, HOSTS, gaps=[lost(99), lost(1), PARTS_GAP])
        recording.assert_syscall("openat", **bounds)
        with pytest.raises(AssertionError):
            recording.assert_syscall("openat", count=101)
        with pytest.raises(InconclusiveRecording):
            recording.assert_syscall("openat", count=101, ok=True)

    def test_exact_counters_of_other_calls(self) -> None:
        """Lost calls of which only some were asked for bound the number; with no name all of them count."""
        both = Gap("lost", calls=frozenset({"openat", "read"}), count=2, exact=True)
        Recording(HOSTS, gaps=[both]).assert_syscall("openat", max=3)
        with pytest.raises(InconclusiveRecording):
            Recording(HOSTS, gaps=[both]).assert_syscall("openat", count=3)
        Recording(HOSTS, gaps=[both]).assert_syscall("openat", "read", count=3)
        Recording(HOSTS, gaps=[both]).assert_syscall(count=3)

    @pytest.mark.parametrize(
        "bounds, error, text",
        [
            ({"count": -1}, ValueError, "count: -1 calls are impossible"),
            ({"min": -1}, ValueError, "min: -1 calls are impossible"),
            ({"count": True}, TypeError, "count: expected int, not bool"),
            ({"max": "3"}, TypeError, "max: expected int, not str"),
            ({"max": 3.0}, TypeError, "max: expected int, not float"),
            ({"min": 3, "max": 2}, ValueError, "min: 3 is more than max, 2"),
            ({"min": 1, "max": 0}, ValueError, "min: 1 is more than max, 0"),
            ({"count": 1, "min": 1}, TypeError, "takes neither min nor max"),
            ({"count": 1, "max": 1}, TypeError, "takes neither min nor max"),
            ({"min": 0}, ValueError, "min: 0 without max holds for anything"),
        ],
    )
    def test_bounds_without_sense(self, bounds: dict[str, Any], error: type[Exception], text: str) -> None:
        """An assertion that can't hold or can't fail is an error."""
        with pytest.raises(error, match=text):
            Recording().assert_syscall("openat", **bounds)


@pytest.mark.parametrize(
    "check",
    [
        lambda: Recording(HOSTS).assert_no_syscall("openat"),
        lambda: Recording(UNREAD).assert_no_syscall("openat", path="/x"),
        lambda: Recording().assert_syscall("openat"),
        lambda: Recording().assert_syscall("opanat"),
        lambda: Recording().assert_syscall("openat", pth=1),
        lambda: Recording().assert_syscall("openat", min=2, max=1),
        lambda: Recording().syscalls("openat", address="publik"),
        lambda: Recording().events.where(pth=1),
    ],
)
def test_traceback_ends_at_the_users_line(check: Callable[[], object]) -> None:
    """Every frame below it is hidden, as pytest understands it."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one doesn't matter here
        check()
    frames = [frame for frame, _ in traceback.walk_tb(caught.tb)]
    below = [frame for frame in frames if "pytest_ebpf" in frame.f_code.co_filename]
    assert below
    assert [frame.f_code.co_name for frame in below if "__tracebackhide__" not in frame.f_locals] == []


def test_asking_opens_no_file() -> None:
    """Not even a module that is imported late: it would show up in the recording that is asked about."""
    program = textwrap.dedent("""
        import contextlib, sys, warnings
        from tests.unit.builders import Recording, event, failed, opened
        complete = Recording(opened("/etc/hosts"), failed("/x"), event("openat2", path="/y"))
        partial = Recording(event(unread={"path"}))
        seen, watching = [], False
        sys.addaudithook(lambda name, args: seen.append((name, args)) if watching else None)
        warnings.simplefilter("ignore")
        watching = True
        for names in (["openat"], ["%open"], ["open*"], ["opanat"], []):
            for filters in ({}, {"path": "*/y"}, {"flags": "O_CREAT"}, {"flags": "O_CRAET"}, {"pth": 1}, {"mode": 1}):
                for recording in (complete, partial):
                    for ask in (recording.assert_no_syscall, recording.assert_syscall, recording.syscalls):
                        with contextlib.suppress(Exception):
                            ask(*names, **filters)
        watching = False
        seen = [each for each in seen if each[0] in ("open", "import", "os.listdir") or each[0].startswith("socket")]
        assert not seen, seen
    """)
    folder = Path(__file__).parents[2]
    path = os.pathsep.join([*sys.path, str(folder)])  # the installed package first
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "PYTHONPATH": path})


def test_inconclusive_travels() -> None:
    """Under xdist the error is pickled."""
    with pytest.raises(InconclusiveRecording) as caught:
        Recording(gaps=[ANY_GAP]).assert_no_syscall("openat")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_documented_examples() -> None:
    """The examples in the docstrings run."""
    result = doctest.testmod(assertions, extraglobs={"recording": Recording(*_a_bit_of_all()), "call": call})
    assert result.attempted == 20
    assert result.failed == 0


def _a_bit_of_all() -> list[SyscallEvent]:
    """A file read, one written and synced, a connection and a program."""
    state, folder = File("file", "/tmp/state.json", inode=7), File("directory", "/tmp", inode=2)
    socket = File("socket", socket=Socket("AF_INET", "SOCK_STREAM"))
    path = "/bin/git"
    program = event("execve", args={"filename": path, "argv": ("git", "status")}, path=path, abspath=path)
    web = Address("AF_INET", "127.0.0.1", 8080)
    return [
        replace(HOSTS, result_file=File("file", "/etc/hosts", inode=5), realpath="/etc/hosts", created=False),
        replace(opened("/tmp/state.json", flags=0o101, after_ns=1_300_000), result_file=state, created=True),
        replace(event("write", 5, after_ns=2_000_000), files={"fd": state}),
        replace(event("fsync", after_ns=3_000_000), files={"fd": state}),
        replace(event("fsync", after_ns=3_500_000), files={"fd": folder}),
        replace(event("connect", address=web, after_ns=4_000_000), files={"fd": socket}),
        replace(program, abspaths={"filename": path}),
    ]


def test_builders_agree_with_the_table() -> None:
    """The arguments of the events used here are those of the table."""
    assert list(HOSTS.args) == [argument.name for argument in TABLE.by_name("openat").args]
    assert [process.comm for process in GIT.chain()] == ["git", "sh", "python"]
