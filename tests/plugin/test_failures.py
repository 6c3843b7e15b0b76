"""What a user reads when an assertion is violated or can't be decided."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

Run = Callable[..., pytest.RunResult]

SECTION = "*- Captured kernel events call -*"


def failure(result: pytest.RunResult) -> list[str]:
    """The lines of the failed test: its code, its error, its place."""
    lines = result.stdout.lines
    start = next(index for index, line in enumerate(lines) if " FAILURES " in line)
    ends = ("--- Captured", "=== short test summary")
    end = next(index for index, line in enumerate(lines) if index > start and any(mark in line for mark in ends))
    return lines[start + 1 : end]


VIOLATED = """
def read_hosts(fake):
    fake.call("openat", path="/etc/hosts", ret=3)

def test_it(ebpf, fake):
    read_hosts(fake)
    fake.call("openat", path="/tmp/harmless", ret=4)
    ebpf.assert_no_syscall("openat", path="/etc/*")
"""


def test_violation_shows_the_event(pytester: pytest.Pytester, run: Run) -> None:
    """The text has the question, and the offending events alone in strace's notation."""
    pytester.makepyfile(VIOLATED)
    result = run()
    result.assert_outcomes(failed=1)
    errors = [line for line in failure(result) if line.startswith("E ")]
    assert len(errors) == 3
    assert errors[2].endswith('events", or ebpf.events.format()')
    assert errors[0] == "E       AssertionError: assert_no_syscall('openat', path='/etc/*'): 1 call matched"
    assert errors[1].endswith(f'python[{os.getpid()}]  openat(AT_FDCWD, "/etc/hosts", O_RDONLY) = 3</etc/hosts>')


def test_method_of_unittest(pytester: pytest.Pytester, run: Run) -> None:
    """One that fails shows its events as a function does, one that passes none."""
    pytester.makepyfile(
        """
        import unittest
        import pytest

        class TestIt(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def take(self, ebpf, fake):
                self.fake = fake

            def test_good(self):
                self.fake.call("openat", path="/etc/hosts", ret=3)

            def test_bad(self):
                self.fake.call("openat", path="/etc/passwd", ret=3)
                self.fail("bad")
        """
    )
    result = run()
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines([SECTION, '*openat(AT_FDCWD, "/etc/passwd", O_RDONLY) = 3*'])
    result.stdout.no_fnmatch_line("*/etc/hosts*, O_RDONLY*")


@pytest.mark.parametrize("style", ["auto", "long", "short", "native", "line"])
def test_violation_ends_in_the_users_line(pytester: pytest.Pytester, run: Run, style: str) -> None:
    """The last line of the traceback is the assertion that the user wrote; no code of the plugin is shown."""
    path = pytester.makepyfile(VIOLATED)
    result = run(f"--tb={style}")
    lines = result.stdout.lines
    if style == "native":
        # Python's own traceback hides nothing; the user's line is in it.
        assert '    ebpf.assert_no_syscall("openat", path="/etc/*")' in lines
        return
    assert not [line for line in lines if "pytest_ebpf/" in line]
    places = [line for line in lines if line.startswith((f"{path.name}:", f"{path}:"))]
    assert places[-1].startswith((f"{path.name}:7: ", f"{path}:7: "))


def test_positive_violation_shows_the_nearest_miss(pytester: pytest.Pytester, run: Run) -> None:
    """What should have been there and wasn't: what came closest, and by what it failed."""
    pytester.makepyfile(
        """
        def test_it(ebpf, fake):
            fake.call("openat", path="/etc/host.conf", ret=-2)
            ebpf.assert_syscall("openat", path="/etc/hosts")
        """
    )
    text = "\n".join(failure(run()))
    assert "assert_syscall('openat', path='/etc/hosts'): no call matched" in text
    assert "nearest misses:" in text
    assert 'openat(AT_FDCWD, "/etc/host.conf", O_RDONLY) = -1 ENOENT (No such file or directory)' in text
    assert "pytest_ebpf/" not in text


def test_process_chain_of_a_child(pytester: pytest.Pytester, run: Run) -> None:
    """An event of a grandchild says how it came to be."""
    pytester.makepyfile(
        """
        def test_it(ebpf, fake):
            fake.fork(500_001)
            fake.exec(500_001, "/bin/sh", ["sh", "-c", "git status"])
            fake.fork(500_002, parent=500_001)
            fake.exec(500_002, "/usr/bin/git", ["git", "status"])
            fake.call("unlinkat", path="/root/x", tid=500_002)
            ebpf.assert_no_syscall("unlinkat")
        """
    )
    text = "\n".join(failure(run()))
    assert 'git[500002]  unlinkat(AT_FDCWD, "/root/x", 0) = 0' in text
    assert f"python[{os.getpid()}] → sh[500001] → git[500002]: git status" in text


INCONCLUSIVE = """
def test_it(ebpf, fake):
    fake.call("openat", path="/etc/hosts", ret=3)
    fake.lose("openat", 7919)
    ebpf.assert_no_syscall("openat", path="/etc/passwd")
"""


def test_inconclusive_says_which_gap_and_what_to_do(pytester: pytest.Pytester, run: Run) -> None:
    """A loss that may hide the answer: the test fails, with an error that is no AssertionError."""
    path = pytester.makepyfile(INCONCLUSIVE)
    result = run()
    result.assert_outcomes(failed=1)
    lines = failure(result)
    text = "\n".join(lines)
    assert "InconclusiveRecording: assert_no_syscall('openat', path='/etc/passwd'): can't be decided" in text
    assert "gap: 7,919 openat calls found no room in the recorder's memory" in text
    assert "raise the option ebpf_memory" in text
    assert "pytest_ebpf/" not in text
    assert lines[-1] == f"{path.name}:4: InconclusiveRecording"


def test_positive_evidence_stands_in_spite_of_gaps(pytester: pytest.Pytester, run: Run) -> None:
    """What was seen was seen, and a violation is one however much was lost."""
    pytester.makepyfile(
        """
        import pytest

        def test_it(ebpf, fake):
            fake.call("openat", path="/etc/hosts", ret=3)
            fake.lose("openat", 5)
            ebpf.assert_syscall("openat", path="/etc/hosts")
            with pytest.raises(AssertionError):
                ebpf.assert_no_syscall("openat", path="/etc/hosts")
            assert not ebpf.complete
        """
    )
    run().assert_outcomes(passed=1)


def test_lost_calls_are_counted_exactly(pytester: pytest.Pytester, run: Run) -> None:
    """A count that asks for names alone is still decided, and calls of other names are not in doubt."""
    pytester.makepyfile(
        """
        import pytest
        from pytest_ebpf import InconclusiveRecording

        def test_it(ebpf, fake):
            for _ in range(23):
                fake.call("openat", path="/etc/hosts", ret=3)
            fake.lose("openat", 7)
            ebpf.assert_syscall("openat", count=30)
            ebpf.assert_syscall("openat", max=30)
            ebpf.assert_no_syscall("unlinkat")
            ebpf.assert_syscall("openat", path="/etc/hosts", min=23, max=30)
            for count in (29, 31):
                with pytest.raises(AssertionError):
                    ebpf.assert_syscall("openat", count=count)
            with pytest.raises(AssertionError):
                ebpf.assert_syscall("openat", path="/etc/hosts", max=22)
            for bounds in ({"count": 23}, {"count": 30}, {"min": 24}, {"max": 29}):
                with pytest.raises(InconclusiveRecording):
                    ebpf.assert_syscall("openat", path="/etc/hosts", **bounds)
            with pytest.raises(InconclusiveRecording):
                ebpf.assert_no_syscall(path="/etc/passwd")
        """
    )
    run().assert_outcomes(passed=1)


def test_losses_belong_to_their_window(pytester: pytest.Pytester, run: Run) -> None:
    """What was lost in one part of a test, or in another test, puts no other in doubt."""
    pytester.makepyfile(
        """
        def test_one(ebpf, fake):
            with ebpf.window() as before:
                pass
            with ebpf.window() as lossy:
                fake.lose("openat", 7)
            with ebpf.window() as after:
                pass
            assert before.complete and after.complete
            assert not lossy.complete and not ebpf.complete
            lossy.assert_syscall("openat", count=7)

        def test_two(ebpf):
            assert ebpf.complete
        """
    )
    run().assert_outcomes(passed=2)


def test_losses_of_more_windows_than_the_table_has_rows(pytester: pytest.Pytester, run: Run) -> None:
    """The rows of the loss table are used again; what they held is kept."""
    pytester.makepyfile(
        """
        def test_it(ebpf, fake):
            windows = []
            for number in range(101):
                with ebpf.window() as window:
                    fake.lose("openat", number + 1)
                windows.append(window)
            for number, window in enumerate(windows):
                window.assert_syscall("openat", count=number + 1)
            ebpf.assert_syscall("openat", count=5151)

        def test_next(ebpf, fake):
            assert ebpf.complete
        """
    )
    run().assert_outcomes(passed=2)


def test_dead_programs_prove_nothing(pytester: pytest.Pytester, run: Run) -> None:
    """Programs that were detached in the middle of a test: absence is not proven, what was seen is."""
    pytester.makepyfile(
        """
        import pytest
        from pytest_ebpf import InconclusiveRecording

        def test_it(ebpf, fake):
            fake.call("openat", path="/etc/hosts", ret=3)
            ebpf.assert_no_syscall("unlinkat")
            fake.alive = False
            ebpf.assert_syscall("openat", path="/etc/hosts")
            with pytest.raises(InconclusiveRecording, match="eBPF programs no longer run"):
                ebpf.assert_no_syscall("unlinkat")
            with pytest.raises(InconclusiveRecording):
                ebpf.assert_syscall("openat", count=1)
        """
    )
    run().assert_outcomes(passed=1)


@pytest.mark.parametrize(
    "phases, outcomes",
    [
        (("call",), {"failed": 1}),
        (("setup", "call"), {"failed": 1}),
        (("setup", "call", "teardown"), {"passed": 1, "errors": 1}),
    ],
)
def test_dead_programs_prove_no_rule(
    pytester: pytest.Pytester, run: Run, phases: tuple[str, ...], outcomes: dict[str, int]
) -> None:
    """Where the teardown is held to rules too, it is asked at the end whether the programs lived."""
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.mark.ebpf(no_exec=True, phases={phases!r})
        def test_it(fake):
            fake.alive = False
        """
    )
    result = run()
    result.assert_outcomes(**outcomes)
    result.stdout.fnmatch_lines(["E *InconclusiveRecording: *no_exec=True*", "E *the eBPF programs no longer run: *"])


@pytest.mark.parametrize(
    "call",
    [
        'fake.call("openat", ret=3, unread=0b10)',
        'fake.call("openat", ret=3, lost=0b10)',
        'fake.ring("IORING_OP_URING_CMD", 3)',
        "fake.ring(100)",
        'fake.lose("IORING_OP_OPENAT", 7919)',
        "fake.call('read', 3, flags=EventFlag.FOREIGN)",
    ],
    ids=["unread", "lost", "opaque ring", "unknown ring", "lost ring", "foreign"],
)
def test_what_is_not_decoded_is_a_gap(pytester: pytest.Pytester, run: Run, call: str) -> None:
    """An unreadable path never means "no match", nor does a door that isn't watched."""
    pytester.makepyfile(
        f"""
        import pytest
        from pytest_ebpf import InconclusiveRecording
        from pytest_ebpf.decode import EventFlag

        def test_it(ebpf, fake):
            ebpf.assert_no_syscall("openat", path="/etc/passwd")
            {call}
            with pytest.raises(InconclusiveRecording):
                ebpf.assert_no_syscall("openat", path="/etc/passwd")
            assert not ebpf.complete
        """
    )
    run().assert_outcomes(passed=1)


def test_gap_names_the_ring_operation(pytester: pytest.Pytester, run: Run) -> None:
    """Which door it was that isn't watched, and how to close it."""
    pytester.makepyfile(
        """
        def test_opaque(ebpf, fake):
            fake.ring("IORING_OP_URING_CMD", 3)
            fake.ring("IORING_OP_URING_CMD", 3)
            ebpf.assert_no_syscall("unlinkat")

        def test_unknown(ebpf, fake):
            fake.ring(100)
            ebpf.assert_no_syscall("unlinkat")

        def test_lost(ebpf, fake):
            fake.lose("IORING_OP_READ", 7919)
            ebpf.assert_no_syscall("unlinkat")
        """
    )
    result = run()
    result.assert_outcomes(failed=3)
    text = " ".join(line.removeprefix("E").strip() for line in result.stdout.lines)
    assert "gap: 2 operations IORING_OP_URING_CMD, which the kernel doesn't show" in text
    assert "gap: 1 operations IORING_OP_100, which the kernel doesn't show" in text
    assert "UV_USE_IO_URING=0" in text
    assert "gap: 7,919 operations on an io_uring found no room in the recorder's memory" in text


def test_ring_operations_are_decided(pytester: pytest.Pytester, run: Run) -> None:
    """Those that are decoded are calls like others, and no gap; nor is making a ring."""
    pytester.makepyfile(
        """
        import pytest
        from pytest_ebpf import InconclusiveRecording

        def test_it(ebpf, fake):
            fake.call("io_uring_enter", 3)
            fake.ring("IORING_OP_NOP")
            fake.ring("IORING_OP_UNLINKAT", path="/etc/hosts")
            assert ebpf.complete
            ebpf.assert_no_syscall("%file", path="/etc/passwd")
            ebpf.assert_syscall("%file", path="/etc/hosts", count=1)
            ebpf.assert_syscall("IORING_OP_UNLINKAT", count=1)
            with pytest.raises(AssertionError, match="IORING_OP_UNLINKAT"):
                ebpf.assert_no_syscall("%file", path="/etc/hosts")

        def test_unread(ebpf, fake):
            fake.ring("IORING_OP_READ", 3, file="/etc/hosts")
            fake.ring("IORING_OP_OPENAT", unread=0b10)
            ebpf.assert_no_syscall("%network")
            assert not ebpf.complete
            for path in ("/etc/passwd", "/etc/hosts"):
                with pytest.raises(InconclusiveRecording):
                    ebpf.assert_no_syscall("%open", path=path)
        """
    )
    run().assert_outcomes(passed=2)


def test_misspelt_call_is_no_pass(pytester: pytest.Pytester, run: Run) -> None:
    """A name that no call has is an error with the nearest ones, shown at the user's line."""
    path = pytester.makepyfile("def test_it(ebpf):\n    ebpf.assert_no_syscall('opneat')\n")
    lines = failure(run())
    assert any("UnknownSyscall" in line and "openat" in line for line in lines if line.startswith("E "))
    assert lines[-1] == f"{path.name}:2: UnknownSyscall"
    assert not [line for line in lines if "pytest_ebpf/" in line]


def test_misspelt_filter_is_no_pass(pytester: pytest.Pytester, run: Run) -> None:
    """Nor is a filter that doesn't exist."""
    path = pytester.makepyfile("def test_it(ebpf):\n    ebpf.assert_no_syscall('openat', pth='x')\n")
    lines = failure(run())
    assert any("TypeError" in line and "path" in line for line in lines if line.startswith("E "))
    assert lines[-1] == f"{path.name}:2: TypeError"


TWO = """
def test_good(ebpf, fake):
    fake.call("openat", path="/etc/good", ret=3)

def test_bad(ebpf, fake):
    fake.call("openat", path="/etc/bad", ret=3)
    assert False

def test_other():
    assert False
"""


@pytest.mark.parametrize(
    "args, good, bad",
    [
        ([], False, True),
        (["--ebpf-trace=failed"], False, True),
        (["--ebpf-trace=all"], True, True),
        (["--ebpf-trace=all", "-rP"], True, True),
        (["--ebpf-trace=none"], False, False),
        (["--ebpf-trace=none", "-rP"], False, False),
    ],
)
def test_trace_section(pytester: pytest.Pytester, run: Run, args: list[str], good: bool, bad: bool) -> None:
    """Events of failed tests by default, of all or none if asked; each once; a test without the fixture has none."""
    pytester.makepyfile(TWO)
    result = run(*args)
    result.assert_outcomes(passed=1, failed=2)
    lines = result.stdout.lines
    assert len([line for line in lines if "Captured kernel events" in line]) == good + bad
    assert (
        len([line for line in lines if line.endswith('openat(AT_FDCWD, "/etc/good", O_RDONLY) = 3</etc/good>')]) == good
    )
    assert len([line for line in lines if line.endswith('openat(AT_FDCWD, "/etc/bad", O_RDONLY) = 3</etc/bad>')]) == bad


def test_trace_by_ini_key(pytester: pytest.Pytester, run: Run) -> None:
    """The file may say so too."""
    pytester.makeini("[pytest]\nebpf_trace = none")
    pytester.makepyfile(TWO)
    run().stdout.no_fnmatch_line(SECTION)


def test_trace_section_says_that_nothing_was_recorded(pytester: pytest.Pytester, run: Run) -> None:
    """An empty recording is told from a missing one."""
    pytester.makepyfile("def test_it(ebpf): assert False")
    run().stdout.fnmatch_lines([SECTION, "no system call"])


def test_trace_section_names_gaps(pytester: pytest.Pytester, run: Run) -> None:
    """Who reads the events must know that some are missing."""
    pytester.makepyfile(
        """
        def test_it(ebpf, fake):
            fake.lose("openat", 7919)
            assert False
        """
    )
    run().stdout.fnmatch_lines([SECTION, "*7,919 openat calls found no room*"])


def test_trace_section_of_many_events_is_short(pytester: pytest.Pytester, run: Run) -> None:
    """A failed test with thousands of calls doesn't fill the screen; the first and the last are shown."""
    pytester.makepyfile(
        """
        def test_it(ebpf, fake):
            fake.call("openat", path="/first", ret=3)
            for _ in range(1999):
                fake.call("getppid", ret=1)
            fake.call("openat", path="/last", ret=3)
            assert False
        """
    )
    result = run()
    result.stdout.fnmatch_lines([SECTION, '*openat(AT_FDCWD, "/first", *', '*openat(AT_FDCWD, "/last", *'])
    assert 10 < len([line for line in result.stdout.lines if "getppid() = 1" in line]) < 200


def test_control_characters_are_escaped(pytester: pytest.Pytester, run: Run) -> None:
    """A file name or a process name can't end a line, forge one or move the terminal's cursor."""
    pytester.makepyfile(
        r"""
        def test_it(ebpf, fake):
            fake.call("openat", path=b"/tmp/\x1b[31mred\n\r\xff\x9b", ret=3, comm="\x1b[2Jevil")
            ebpf.assert_no_syscall("openat")
        """
    )
    result = run("--color=no")
    result.assert_outcomes(failed=1)
    shown = [line for line in result.stdout.lines if "openat(" in line and "evil" in line]
    assert len(shown) == 2, "in the assertion's text and in the section"
    for line in shown:
        assert line.isprintable()
        assert r'"/tmp/\33[31mred\n\r\377\233"' in line
        assert r"\33[2Jevil[" in line
    text = result.stdout.str()
    assert "\x1b" not in text
    assert "\x9b" not in text


def test_sibling_warning_points_at_the_users_line(pytester: pytest.Pytester, run: Run) -> None:
    """A pass that hangs on the spelling is warned of, where it was written."""
    path = pytester.makepyfile(
        """
        import warnings

        def test_it(ebpf, fake):
            fake.call("openat2", path="/etc/hosts", ret=3)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                ebpf.assert_no_syscall("openat", path="/etc/hosts")
            warning, = caught
            assert warning.filename == __file__
            assert warning.lineno == 7
            assert "openat2" in str(warning.message)
        """
    )
    assert path.exists()
    run().assert_outcomes(passed=1)
