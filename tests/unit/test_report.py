"""The failure texts, to the letter."""

from __future__ import annotations

import re
from collections.abc import Callable
from textwrap import dedent

import pytest

from pytest_ebpf import syscalls
from pytest_ebpf.errors import InconclusiveRecording
from pytest_ebpf.events import Gap, Process, SyscallEvent

from .builders import GIT, PYTHON, TABLE, Recording, event, failed, opened


def text_of(check: Callable[[], object]) -> str:
    """What a failing assertion says."""
    with pytest.raises((AssertionError, InconclusiveRecording)) as caught:
        check()
    return str(caught.value)


def block(text: str) -> str:
    """A literal without its indentation."""
    return dedent(text).strip("\n")


class TestTooMany:
    """Upper bounds."""

    def test_by_a_grandchild(self) -> None:
        """The call in strace's notation, with time and process, and how that process came to be."""
        config = opened("/root/.gitconfig", process=GIT)
        recording = Recording(opened("/x"), config, opened("/root/.gitignore", process=GIT, after_ns=2_000_000))
        text = text_of(lambda: recording.assert_no_syscall("openat", path="/root/*"))
        assert text == block("""
            assert_no_syscall('openat', path='/root/*'): 2 calls matched
              +0.001234s git[14]  openat(AT_FDCWD, "/root/.gitconfig", O_RDONLY) = 3
                  python[12] → sh[13] → git[14]: git config user.name
              +0.002000s git[14]  openat(AT_FDCWD, "/root/.gitignore", O_RDONLY) = 3
        """)

    def test_by_pytest_itself(self) -> None:
        """Needs no chain."""
        text = text_of(lambda: Recording(opened("/x")).assert_no_syscall("%open"))
        assert text == block("""
            assert_no_syscall('%open'): 1 call matched
              +0.001234s python[12]  openat(AT_FDCWD, "/x", O_RDONLY) = 3
        """)

    def test_ten_and_how_many_more(self) -> None:
        """The first ones are enough."""
        ten = [opened("/x")] * 10
        assert "more" not in text_of(lambda: Recording(*ten).assert_no_syscall("openat"))
        calls = [opened(f"/{number}", after_ns=number) for number in range(23)]
        text = text_of(lambda: Recording(*calls).assert_syscall("openat", max=7))
        lines = text.splitlines()
        assert lines[0] == "assert_syscall('openat', max=7): expected 1 to 7 calls, found 23"
        assert len(lines) == 12
        assert '"/9"' in lines[10]
        assert lines[11] == "  ... and 13 more"

    def test_lost_but_counted(self) -> None:
        """Calls without a record are mentioned."""
        gap = Gap("lost", calls=frozenset({"openat"}), count=5, exact=True)
        assert text_of(lambda: Recording(opened("/x"), gaps=[gap]).assert_no_syscall("openat")) == block("""
            assert_no_syscall('openat'): 6 calls matched
              +0.001234s python[12]  openat(AT_FDCWD, "/x", O_RDONLY) = 3
              5 more were counted, but not recorded
        """)
        assert text_of(lambda: Recording(gaps=[gap]).assert_no_syscall("openat")) == block("""
            assert_no_syscall('openat'): 5 calls matched
              5 calls were counted, but not recorded
        """)

    def test_one_lost_but_counted(self) -> None:
        """In the singular."""
        gap = Gap("lost", calls=frozenset({"openat"}), count=1, exact=True)
        text = text_of(lambda: Recording(opened("/x"), gaps=[gap]).assert_no_syscall("openat"))
        assert text.endswith("\n  1 more was counted, but not recorded")
        text = text_of(lambda: Recording(gaps=[gap]).assert_no_syscall("openat"))
        assert text.endswith("\n  1 call was counted, but not recorded")

    def test_long_chain_and_command(self) -> None:
        """Shortened to what fits a line."""
        process = PYTHON
        for pid in range(20, 30):
            process = Process(pid, f"p{pid}", argv=("x" * 100, "a b"), parent=process)
        text = text_of(lambda: Recording(opened("/x", process=process)).assert_no_syscall("openat"))
        chain = text.splitlines()[2].strip()
        assert chain == "python[12] → ... → p27[27] → p28[28] → p29[29]: " + "x" * 57 + "..."

    def test_unknown_program(self) -> None:
        """A process of which only the name was seen."""
        stranger = Process(99, "stranger", exe="/bin/s\n", parent=PYTHON)
        text = text_of(lambda: Recording(opened("/x", process=stranger)).assert_no_syscall("openat"))
        assert text.splitlines()[2].strip() == r"python[12] → stranger[99]: /bin/s\n"


class TestTooFew:
    """Lower bounds."""

    def test_nearest_misses(self) -> None:
        """The events that fail the fewest filters, the likest first, each with the filter that it failed."""
        recording = Recording(
            opened("/usr/lib/python3/codecs.py"),
            opened("/etc/ld.so.cache"),
            opened("/srv/app.tml", after_ns=2_000_000),
            failed("/srv/app.toml", after_ns=3_000_000),
            failed("/etc/app.conf"),
            event("close", text="close(3) = 0"),
        )
        text = text_of(lambda: recording.assert_syscall("openat", path="*/app.toml", ok=True))
        assert text == block("""
            assert_syscall('openat', path='*/app.toml', ok=True): no call matched
            nearest misses:
              +0.003000s python[12]  openat(AT_FDCWD, "/srv/app.toml", O_RDONLY) = -1 ENOENT
                  ok: it failed with ENOENT
              +0.002000s python[12]  openat(AT_FDCWD, "/srv/app.tml", O_RDONLY) = 3
                  path: '/srv/app.tml' is not '*/app.toml'
              +0.001234s python[12]  openat(AT_FDCWD, "/usr/lib/python3/codecs.py", O_RDONLY) = 3
                  path: '/usr/lib/python3/codecs.py' is not '*/app.toml'
              +0.001234s python[12]  openat(AT_FDCWD, "/etc/ld.so.cache", O_RDONLY) = 3
                  path: '/etc/ld.so.cache' is not '*/app.toml'
              +0.001234s python[12]  openat(AT_FDCWD, "/etc/app.conf", O_RDONLY) = -1 ENOENT
                  path: '/etc/app.conf' is not '*/app.toml'
                  ok: it failed with ENOENT
        """)

    def test_fewer_than_expected(self) -> None:
        """How many there were, and which."""
        recording = Recording(opened("/a"), failed("/b"), failed("/b"))
        text = text_of(lambda: recording.assert_syscall("openat", ok=True, count=3))
        assert text == block("""
            assert_syscall('openat', ok=True, count=3): expected exactly 3 calls, found 1
            matched:
              +0.001234s python[12]  openat(AT_FDCWD, "/a", O_RDONLY) = 3
            nearest misses:
              +0.001234s python[12]  openat(AT_FDCWD, "/b", O_RDONLY) = -1 ENOENT
                  ok: it failed with ENOENT
                  2 times
        """)

    def test_a_sibling_matched(self) -> None:
        """Then the name was the mistake."""
        recording = Recording(opened("/etc/x"), event("openat2", 3, path="/app.toml"))
        text = text_of(lambda: recording.assert_syscall("openat", path="*app.toml"))
        assert text == block("""
            assert_syscall('openat', path='*app.toml'): no call matched
            openat2 matched: did you mean '%open'?
            nearest misses:
              +0.001234s python[12]  openat2("/app.toml") = 3
                  name: openat2 is not openat
              +0.001234s python[12]  openat(AT_FDCWD, "/etc/x", O_RDONLY) = 3
                  path: '/etc/x' is not '*app.toml'
        """)

    def test_a_sibling_without_a_class(self) -> None:
        """The names to write are given."""
        text = text_of(lambda: Recording(event("renameat2")).assert_syscall("rename"))
        assert "renameat2 matched: did you mean 'rename', 'renameat2'?" in text.splitlines()

    @pytest.mark.parametrize(
        "bounds, finding",
        [
            ({}, "no call matched"),
            ({"min": 1}, "no call matched"),
            ({"max": 3}, "expected 1 to 3 calls, found none"),
            ({"min": 2}, "expected at least 2 calls, found none"),
            ({"count": 1}, "expected exactly 1 call, found none"),
        ],
    )
    def test_headline(self, bounds: dict[str, int], finding: str) -> None:
        """What was asked for, and what was found."""
        text = text_of(lambda: Recording().assert_syscall("openat", **bounds))
        assert text.splitlines()[0].endswith(f": {finding}")

    def test_likeness(self) -> None:
        """A file of the same name elsewhere is nearer than its neighbour; a regex likes all the same."""
        calls = [opened("/srv/data/other.toml"), opened("/usr/share/misc/app.toml")]
        text = text_of(lambda: Recording(*calls).assert_syscall("openat", path="/srv/data/app.toml"))
        assert "/usr/share/misc/app.toml" in text.splitlines()[2]
        text = text_of(lambda: Recording(*calls).assert_syscall("openat", path=re.compile("^app")))
        assert "/srv/data/other.toml" in text.splitlines()[2]

    def test_own_calls_before_siblings(self) -> None:
        """Where they are equally near, and never a sibling's call that fails more."""
        calls = [event("openat2", path="/srv/x"), opened("/etc/y"), opened("/etc/z")]
        lines = text_of(lambda: Recording(*calls).assert_syscall("openat", path="/srv/app")).splitlines()
        assert [line.split()[2][:8] for line in lines[2::2][:3]] == ["openat(A", "openat(A", "openat2("]

    def test_nothing_recorded(self) -> None:
        """Says so: the window may have been the wrong one."""
        assert text_of(lambda: Recording().assert_syscall("openat")) == block("""
            assert_syscall('openat'): no call matched
            nothing was recorded
        """)

    def test_none_of_that_name(self) -> None:
        """Says what there was instead."""
        few = [event("read"), event("close")]
        text = text_of(lambda: Recording(*few).assert_syscall("connect"))
        assert text.splitlines()[1] == "no connect was recorded; what was: read 1, close 1"
        calls = [event(name) for name in ("read",) * 3 + ("close",) * 2 + ("stat", "brk", "mmap", "poll", "futex")]
        text = text_of(lambda: Recording(*calls).assert_syscall("connect", "sendto", min=2, max=3))
        assert text == block("""
            assert_syscall('connect', 'sendto', min=2, max=3): expected 2 to 3 calls, found none
            no connect or sendto was recorded; what was: read 3, close 2, stat 1, brk 1, mmap 1 and 2 more kinds
        """)

    def test_of_another_architecture(self) -> None:
        """A name that this machine's kernel hasn't got can't be found."""

        class Elsewhere(Recording):
            @property
            def _table(self) -> syscalls.Table:
                return syscalls.table("aarch64")

        text = text_of(lambda: Elsewhere(opened("/x")).assert_syscall("open"))
        assert text.splitlines()[1:] == ["this machine has no open"]

    def test_five_misses(self) -> None:
        """Of very many, the likest ones, found in reasonable time."""
        calls = [opened(f"/usr/lib/{number}.py") for number in range(5000)]
        text = text_of(lambda: Recording(*calls, opened("/srv/ap.toml")).assert_syscall("openat", path="/srv/app.toml"))
        lines = text.splitlines()
        assert len(lines) == 2 + 2 * 5
        assert "/srv/ap.toml" in lines[2]


class TestInconclusive:
    """What can't be told, why, and what to do."""

    def test_a_gap(self) -> None:
        """The gap and its hint, in lines of bearable length."""
        gap = Gap(
            "17 openat calls found no room in the recorder's memory",
            "look at the recording in the middle of the test, which makes room, or record a smaller part of it",
            calls=frozenset({"openat"}),
        )
        text = text_of(lambda: Recording(gaps=[gap]).assert_no_syscall("openat", path="/x"))
        assert text == block("""
            assert_no_syscall('openat', path='/x'): can't be decided: expected no call, found 0 or more
              gap: 17 openat calls found no room in the recorder's memory
                  look at the recording in the middle of the test, which makes room, or
                  record a smaller part of it
            nothing that was recorded matched for certain
        """)

    def test_unread_events(self) -> None:
        """Those that may match, each with the reason."""
        unread = event(ret=3, unread={"path"}, text="openat(AT_FDCWD, 0x7f00, O_RDONLY) = 3")
        text = text_of(lambda: Recording(opened("/x"), unread, unread).assert_syscall("openat", path="/x", count=2))
        assert text == block("""
            assert_syscall('openat', path='/x', count=2): can't be decided: expected exactly 2 calls, found 1 to 3
            may match (2 calls):
              +0.001234s python[12]  openat(AT_FDCWD, 0x7f00, O_RDONLY) = 3
                  path: could not be read
              +0.001234s python[12]  openat(AT_FDCWD, 0x7f00, O_RDONLY) = 3
                  path: could not be read
            matched:
              +0.001234s python[12]  openat(AT_FDCWD, "/x", O_RDONLY) = 3
        """)

    def test_in_flight(self) -> None:
        """A call that hasn't returned."""
        call = event("connect", None, in_flight=True, text="connect(3, ...")
        text = text_of(lambda: Recording(call).assert_no_syscall("connect", ok=True))
        assert text.splitlines()[1:4] == [
            "may match:",
            "  +0.001234s python[12]  connect(3, ...",
            "      ok: the call had not returned",
        ]


OWN = "\n\x1b[m\r\u202e\u2028\udcff\x9b"
"""What the test itself says is only kept on its line."""
EVIL = OWN + "\n::error:: ::debug::##[x]"


@pytest.mark.parametrize(
    "check",
    [
        lambda recording: recording.assert_no_syscall("openat"),
        lambda recording: recording.assert_no_syscall("openat", where=lambda event: event.path),
        lambda recording: recording.assert_syscall("openat", path="/app.toml", comm="x", exe="y", ok=False),
        lambda recording: recording.assert_syscall("openat", filename="/app.toml"),
        lambda recording: recording.assert_syscall("connect"),
        lambda recording: recording.assert_no_syscall("openat", path=OWN + "*", comm=OWN + "*"),
        lambda recording: recording.assert_syscall("openat", path=OWN + "?", count=7),
    ],
)
def test_hostile_text_is_never_raw(check: Callable[[Recording], object]) -> None:
    """Paths, names, programs and arguments can't end a line, move the cursor, or turn text round."""
    process = Process(66, EVIL, exe=EVIL, argv=(EVIL, EVIL), parent=Process(65, EVIL, parent=PYTHON))
    calls: list[SyscallEvent] = [
        opened(EVIL, process=process, comm=EVIL, realpath="/r" + EVIL),
        event(EVIL, process=process),
        event(path=EVIL, process=process, unread={"realpath"}),
    ]
    gap = Gap(f"of {EVIL}", EVIL, calls=frozenset({"read"}))
    text = text_of(lambda: check(Recording(*calls, gaps=[gap])))
    for line in text.split("\n"):
        assert line.isprintable(), line
        assert "##" not in line
        assert "::" not in {word[:2] for word in line.split()}
        assert re.match(r"assert_|  |matched:|may match|nearest|no |nothing", line), line


def test_table_is_the_real_one() -> None:
    """The texts above are about calls that exist."""
    assert {"openat", "openat2", "renameat2", "connect"} <= TABLE.names
