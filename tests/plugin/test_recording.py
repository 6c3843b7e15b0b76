"""What the fixture records, when, and for whom."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_ebpf.testing import FakeEngine

Run = Callable[..., pytest.RunResult]


def test_records_the_call_phase(pytester: pytest.Pytester, run: Run) -> None:
    """Calls of set-up and teardown are not the test's."""
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def around(ebpf, fake):
            fake.call("getuid")
            yield
            fake.call("getgid")
            assert [event.name for event in ebpf.events] == ["getpid", "getppid"]

        def test_it(around, ebpf, fake):
            fake.call("getpid")
            assert [event.name for event in ebpf.events] == ["getpid"]
            fake.call("getppid")
        """
    )
    run().assert_outcomes(passed=1)


def test_each_test_has_its_own_recording(pytester: pytest.Pytester, run: Run) -> None:
    """Nothing of an earlier test, parametrised or failed, is in a later one."""
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("fails", [False, True, False])
        def test_it(ebpf, fake, fails):
            assert not ebpf.events
            fake.call("openat", path="/etc/hosts", ret=3)
            ebpf.assert_syscall("openat", count=1)
            assert not fails
        """
    )
    run().assert_outcomes(passed=2, failed=1)


def test_asserting_before_the_test_begins(pytester: pytest.Pytester, run: Run) -> None:
    """A fixture that asks too early is told when it may."""
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def hasty(ebpf):
            ebpf.assert_no_syscall("openat")

        def test_it(hasty): pass
        """
    )
    result = run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            (
                "E *EbpfError: read the recording: it begins with the test function "
                "(assert in the test itself, or in a fixture after its yield)"
            )
        ]
    )


def test_asserting_after_the_test_ended(pytester: pytest.Pytester, run: Run) -> None:
    """A fixture's teardown may judge the test: its violation is an error there."""
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def strict(ebpf):
            yield
            ebpf.assert_syscall("openat", path="/etc/hosts", count=1)
            ebpf.assert_no_syscall("unlinkat")

        def test_good(strict, fake):
            fake.call("openat", path="/etc/hosts", ret=3)

        def test_bad(strict, fake):
            fake.call("openat", path="/etc/hosts", ret=3)
            fake.call("unlinkat", path="/etc/hosts", ret=-13)
        """
    )
    result = run()
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_bad*", "E *unlinkat*1 call matched*"])


def test_window_is_a_part(pytester: pytest.Pytester, run: Run) -> None:
    """Windows nest, the outer ones see all of the inner, and a closed one stays readable."""
    pytester.makepyfile(
        """
        def names(recording):
            return [event.name for event in recording.events]

        def test_it(ebpf, fake):
            fake.call("getpid")
            with ebpf.window() as outer:
                fake.call("getuid")
                with outer.window() as inner:
                    fake.call("getgid")
                    inner.assert_syscall("getgid", count=1)
                    inner.assert_no_syscall("getuid")
                fake.call("geteuid")
            fake.call("getegid")
            assert names(inner) == ["getgid"]
            assert names(outer) == ["getuid", "getgid", "geteuid"]
            assert names(ebpf) == ["getpid", "getuid", "getgid", "geteuid", "getegid"]
            assert inner.complete and outer.complete and ebpf.complete
        """
    )
    run().assert_outcomes(passed=1)


def test_window_closes_when_its_body_raises(pytester: pytest.Pytester, run: Run) -> None:
    """The exception goes through, and what follows is outside of the window."""
    pytester.makepyfile(
        """
        import pytest

        def test_it(ebpf, fake):
            with pytest.raises(OSError):
                with ebpf.window() as window:
                    fake.call("getuid")
                    raise OSError
            fake.call("getgid")
            window.assert_no_syscall("getgid")
            ebpf.assert_syscall("getgid", count=1)
        """
    )
    run().assert_outcomes(passed=1)


def test_paused_is_not_recorded(pytester: pytest.Pytester, run: Run) -> None:
    """Pauses nest, also with windows, and end with their block even if it raises."""
    pytester.makepyfile(
        """
        import pytest

        def test_it(ebpf, fake):
            fake.call("getpid")
            with ebpf.paused():
                fake.call("getuid")
                with ebpf.paused():
                    fake.call("getuid")
                fake.call("getuid")
                with ebpf.window() as window:
                    fake.call("getuid")
            with pytest.raises(OSError):
                with ebpf.paused():
                    fake.call("getuid")
                    raise OSError
            fake.call("getgid")
            assert [event.name for event in ebpf.events] == ["getpid", "getgid"]
            window.assert_no_syscall()
        """
    )
    run().assert_outcomes(passed=1)


def test_pause_does_not_outlive_its_test(pytester: pytest.Pytester, run: Run) -> None:
    """A pause that was never left ends with the test."""
    pytester.makepyfile(
        """
        KEPT = []

        def test_one(ebpf, fake):
            KEPT.append(ebpf.paused())
            KEPT[0].__enter__()
            fake.call("getuid")
            ebpf.assert_no_syscall()

        def test_two(ebpf, fake):
            fake.call("getuid")
            KEPT[0].__exit__(None, None, None)
            fake.call("getuid")
            with ebpf.paused():
                fake.call("getuid")
            fake.call("getuid")
            ebpf.assert_syscall("getuid", count=3)
        """
    )
    run().assert_outcomes(passed=2)


def test_pause_that_ends_after_the_test(pytester: pytest.Pytester, run: Run) -> None:
    """A fixture may pause around a test: nothing is recorded, nor is what follows the test."""
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def quiet(ebpf, fake):
            with ebpf.paused():
                yield
            fake.call("getuid")
            ebpf.assert_no_syscall()

        def test_it(quiet, fake):
            fake.call("getuid")
        """
    )
    run().assert_outcomes(passed=1)


def test_children_are_recorded(pytester: pytest.Pytester, run: Run) -> None:
    """A started process is the test's, and knows the test."""
    pytester.makepyfile(
        """
        def test_it(ebpf, fake):
            fake.fork(500_001)
            fake.exec(500_001, "/usr/bin/git", ["git", "status"])
            fake.call("openat", path="/root/.gitconfig", ret=-2, tid=500_001)
            event, = ebpf.syscalls("openat", process="children")
            assert event.process.argv == ("git", "status")
            assert event.exe == "/usr/bin/git"
            assert event.process.started_by == "test_children_are_recorded.py::test_it (call)"
            assert event.process.parent.is_self
            ebpf.assert_no_syscall("openat", process="self")
        """
    )
    run().assert_outcomes(passed=1)


def test_child_of_another_test_is_not_recorded(pytester: pytest.Pytester, run: Run) -> None:
    """What an earlier test's process does by itself is not this test's."""
    pytester.makepyfile(
        """
        def test_one(ebpf, fake):
            fake.fork(500_001)
            ebpf.assert_syscall("clone", count=1)

        def test_two(ebpf, fake):
            fake.call("unlinkat", path="/etc/hosts", tid=500_001)
            fake.fork(500_002, parent=500_001)
            fake.call("unlinkat", path="/etc/hosts", tid=500_002)
            assert not ebpf.events
            ebpf.assert_no_syscall("unlinkat")
        """
    )
    run().assert_outcomes(passed=2)


def test_thread_of_another_test(pytester: pytest.Pytester, run: Run) -> None:
    """It works for this one when it was given work; as long as that isn't known, absence isn't proven."""
    pytester.makepyfile(
        """
        import pytest
        from pytest_ebpf import InconclusiveRecording

        def test_one(ebpf, fake):
            fake.fork(500_001, thread=True)

        def test_two(ebpf, fake):
            fake.call("unlinkat", path="/etc/hosts", tid=500_001)
            assert tuple(ebpf.events.known) == ()
            with pytest.raises(InconclusiveRecording, match="test_thread_of_another_test.py::test_one"):
                ebpf.assert_no_syscall("unlinkat")
            ebpf.assert_no_syscall("connect")

        def test_three(ebpf, fake):
            fake.hand_over(500_001)
            fake.call("unlinkat", path="/etc/hosts", tid=500_001)
            event, = ebpf.syscalls("unlinkat", process="self")
            assert event.tid == 500_001 and event.process.is_self
            assert ebpf.complete
        """
    )
    run().assert_outcomes(passed=3)


def test_calls_on_a_descriptor_are_calls_on_its_file(pytester: pytest.Pytester, run: Run) -> None:
    """Whoever opened it, and whenever; sockets are known by their other end."""
    pytester.makepyfile(
        """
        import pytest
        from pytest_ebpf.events import Address

        HOSTS = "/etc/hosts"

        def test_one(ebpf, fake):
            fake.call("read", 3, ret=5, file=HOSTS)
            fake.call("openat", path="/etc/passwd", ret=4)
            ebpf.assert_syscall("read", path="/etc/hosts", count=1)
            ebpf.assert_syscall(path="/etc/hosts", count=1)
            ebpf.assert_no_syscall(path="/etc/shadow")

        def test_two(ebpf, fake):
            fake.call("write", 3, ret=5, file=HOSTS)
            fake.call("write", 4, ret=5, file=Address("AF_INET", "192.0.2.1", 80))
            ebpf.assert_syscall("write", path="/etc/hosts", count=1)
            ebpf.assert_syscall("write", address="192.0.2.1", count=1)
            event = ebpf.syscalls("write", path="/etc/hosts").first
            assert str(event) == "write(3</etc/hosts>, NULL, 0) = 5"
            with pytest.raises(AssertionError):
                ebpf.assert_no_syscall("write", path="/etc/*")

        @pytest.mark.parametrize("again", range(5))
        def test_many(ebpf, fake, again):
            if again % 2:
                return
            fake.call("read", 3, file=HOSTS)
            ebpf.assert_syscall("read", path="/etc/hosts", count=1)
        """
    )
    run().assert_outcomes(passed=7)


def test_call_in_flight_is_seen(pytester: pytest.Pytester, run: Run) -> None:
    """A call that has not returned is a call; when it returns it is still one."""
    pytester.makepyfile(
        """
        from pytest_ebpf.events import Address

        def test_it(ebpf, fake):
            fake.call("connect", 3, address=Address("AF_INET", "192.0.2.1", 80), in_flight=True)
            event, = ebpf.syscalls("connect", address="192.0.2.1")
            assert event.in_flight and event.ret is None and not event.ok
            fake.finish(-110)
            event, = ebpf.syscalls("connect", address="192.0.2.1")
            assert event.errno == "ETIMEDOUT" and not event.in_flight
        """
    )
    run().assert_outcomes(passed=1)


def test_fixture_asked_for_by_another_fixture_at_run_time(pytester: pytest.Pytester, run: Run) -> None:
    """``getfixturevalue`` in set-up is as good as an argument."""
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def late(request):
            return request.getfixturevalue("ebpf")

        def test_it(late, fake):
            fake.call("getpid")
            late.assert_syscall("getpid", count=1)
        """
    )
    run().assert_outcomes(passed=1)


def test_fixture_asked_for_by_the_running_test(pytester: pytest.Pytester, run: Run) -> None:
    """Too late to record the test from its start: an error says so, and no assertion passes."""
    pytester.makepyfile(
        """
        def test_it(request, fake):
            ebpf = request.getfixturevalue("ebpf")
            fake.call("getpid")
            ebpf.assert_no_syscall("openat")
        """
    )
    result = run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *EbpfError: read the recording: *"])


def test_autouse_fixture_of_the_user(pytester: pytest.Pytester, run: Run) -> None:
    """A conftest can put an assertion on every test, methods of classes too."""
    pytester.makeconftest(
        """
        import pytest

        @pytest.fixture(autouse=True)
        def no_unlink(ebpf):
            yield
            ebpf.assert_no_syscall("unlinkat")
        """
    )
    pytester.makepyfile(
        """
        class TestIt:
            def test_good(self, fake): fake.call("getuid")
            def test_bad(self, fake): fake.call("unlinkat", path="/tmp/x")
        """
    )
    run().assert_outcomes(passed=2, errors=1)


def test_unittest_method(pytester: pytest.Pytester, run: Run) -> None:
    """A ``unittest.TestCase`` gets the fixture by an autouse fixture, and its method is recorded."""
    pytester.makepyfile(
        """
        import unittest
        import pytest

        class TestIt(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def _fixtures(self, ebpf, fake):
                self.ebpf, self.fake = ebpf, fake

            def setUp(self):
                self.fake.call("getuid")

            def test_good(self):
                self.fake.call("getpid")
                self.ebpf.assert_syscall("getpid", count=1)

            def test_bad(self):
                self.fake.call("getpid")
                self.ebpf.assert_no_syscall("getpid")

            def test_skipped(self):
                self.skipTest("not today")

            @unittest.skip("never")
            def test_never(self):
                raise AssertionError

            @unittest.expectedFailure
            def test_expected(self):
                self.fake.call("getpid")
                self.ebpf.assert_no_syscall("getpid")
        """
    )
    result = run()
    result.assert_outcomes(passed=1, failed=1, skipped=2, xfailed=1)
    result.stdout.fnmatch_lines(["E *AssertionError: assert_no_syscall('getpid'): 1 call matched"])


def test_coroutine(pytester: pytest.Pytester, run: Run) -> None:
    """An ``async`` test is recorded by whatever plugin runs it."""
    pytester.makeconftest(
        """
        import asyncio, inspect
        import pytest

        @pytest.hookimpl(tryfirst=True)
        def pytest_pyfunc_call(pyfuncitem):
            if inspect.iscoroutinefunction(pyfuncitem.obj):
                names = pyfuncitem._fixtureinfo.argnames
                asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
                return True
        """
    )
    pytester.makepyfile(
        """
        async def test_it(ebpf, fake):
            fake.call("unlinkat", path="/tmp/x")
            ebpf.assert_syscall("unlinkat", count=1)
            with ebpf.window() as window:
                pass
            window.assert_no_syscall("unlinkat")
        """
    )
    run().assert_outcomes(passed=1)


@pytest.mark.parametrize("scope", ["class", "module", "package", "session"])
def test_wider_fixture_may_not_ask(pytester: pytest.Pytester, run: Run, scope: str) -> None:
    """A recording is one test's; pytest says which fixture asked too widely."""
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.fixture(scope="{scope}")
        def wide(ebpf): pass

        def test_it(wide): pass
        """
    )
    result = run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [f"*ScopeMismatch: You tried to access the function scoped fixture ebpf with a {scope} scoped request object*"]
    )


def test_later_tests_see_no_engine_that_is_gone(pytester: pytest.Pytester, run: Run, fake: FakeEngine) -> None:
    """Programs that died leave a gap in every test from then on."""
    pytester.makepyfile(
        """
        def test_alive(ebpf, fake):
            ebpf.assert_no_syscall("openat")
            fake.alive = False

        def test_dead(ebpf):
            ebpf.assert_no_syscall("openat")
        """
    )
    result = run()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["E *InconclusiveRecording: *", "E *the eBPF programs no longer run: *"])


def test_damage_that_is_found_in_the_next_test(pytester: pytest.Pytester, run: Run, fake: FakeEngine) -> None:
    """The engine is asked once a test."""
    pytester.makepyfile(
        """
        def test_first(ebpf, fake):
            ebpf.assert_no_syscall("openat")
            fake.damage = ("the eBPF program on_fork is attached no more",)
            ebpf.assert_no_syscall("openat")

        def test_second(ebpf):
            ebpf.assert_no_syscall("openat")
        """
    )
    result = run()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["E *InconclusiveRecording: *", "E *the eBPF program on_fork is attached no more*"])


def test_damage_that_no_test_asked_after(pytester: pytest.Pytester, run: Run, fake: FakeEngine) -> None:
    """The tests passed, and the run fails."""
    pytester.makepyfile(
        """
        def test_it(ebpf, fake):
            ebpf.assert_no_syscall("openat")
            fake.damage = ("the eBPF program on_fork is attached no more",)
        """
    )
    result = run()
    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["the recorder", "*the eBPF program on_fork is attached no more*"])


def test_forked_child_may_not_ask(pytester: pytest.Pytester, run: Run) -> None:
    """A child of ``os.fork`` has no recording, and is told so instead of getting an answer."""
    pytester.makepyfile(
        """
        import os
        from pytest_ebpf import EbpfError

        def test_it(ebpf):
            child = os.fork()
            if not child:
                try:
                    ebpf.assert_no_syscall("openat")
                except EbpfError as error:
                    os._exit(7 if "forked child" in str(error) else 1)
                except BaseException:
                    os._exit(2)
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
            ebpf.assert_no_syscall("openat")
        """
    )
    run().assert_outcomes(passed=1)


def test_events_of_earlier_tests_are_given_back(pytester: pytest.Pytester, run: Run) -> None:
    """Though pytest keeps each test with its recording, and that what was made of its events."""
    pytester.makepyfile(
        """
        import gc, pytest, weakref
        stores = []

        @pytest.mark.parametrize("n", range(3))
        @pytest.mark.ebpf(no_file_access="/etc/shadow", phases=("setup", "call", "teardown"))
        def test_it(ebpf, fake, n):
            gc.collect()
            assert [store() for store in stores] == [None] * n
            fake.call("openat", path="/x", ret=3)
            assert ebpf.files()
            stores.append(weakref.ref(ebpf._session._store))
        """
    )
    run().assert_outcomes(passed=3)
