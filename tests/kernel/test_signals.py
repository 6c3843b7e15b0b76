"""Exceptions that signal handlers raise at any moment, also in the middle of the plugin's own work."""

from __future__ import annotations

from collections.abc import Callable

import pytest


def test_alarms_at_any_moment(pytester: pytest.Pytester, run: Callable[..., pytest.RunResult]) -> None:
    """A recording that says it is complete is so, and the tests after are judged as if nothing had been."""
    pytester.makepyfile(
        """
        import contextlib, gc, os, random, signal, subprocess, pytest
        from collections import Counter
        from pytest_ebpf import InconclusiveRecording

        told = Counter()

        class Alarm(BaseException): pass

        def ring(*_):
            raise Alarm

        def ask(ebpf):
            ebpf.syscalls("getppid").known
            with contextlib.suppress(InconclusiveRecording):
                ebpf.assert_no_syscall("connect")
            with ebpf.window() as part:
                part.complete
            with ebpf.paused():
                pass

        @pytest.mark.parametrize("seed", range(101))
        def test_rings(ebpf, seed):
            signal.signal(signal.SIGALRM, ring)
            chance = random.Random(seed)
            for _ in range(5):
                try:
                    if seed % 6:
                        signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-6, 3e-3))
                    for _ in range(200 if seed % 6 else 1):  # until it rings, however late a machine's timers are
                        ask(ebpf)
                    signal.setitimer(signal.ITIMER_REAL, 0)
                except Alarm:
                    told["alarms"] += 1
                assert gc.isenabled()
                os.getppid()
                os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
            counts = len(ebpf.syscalls("getppid").known), len(ebpf.processes(op="exit").known)
            if ebpf.complete:
                assert counts == (5, 5)
            told[ebpf.complete] += 1

        def test_after(ebpf):
            assert told["alarms"] > 400
            assert told[True] and told[False], told
            os.getppid()
            ebpf.assert_syscall("getppid", count=1)
            ebpf.assert_no_syscall("connect")
            assert ebpf.complete, ebpf.gaps
            with subprocess.Popen(["/bin/cat"], stdin=-1):
                with pytest.raises(AssertionError):
                    ebpf.assert_no_leaked_processes()
            ebpf.assert_no_leaked_processes()
        """
    )
    # Without plugins that have threads, which would take the signals, at their leisure.
    result = run("-p", "no:cacheprovider")
    result.assert_outcomes(passed=102)


def test_alarms_in_pauses(pytester: pytest.Pytester, run: Callable[..., pytest.RunResult]) -> None:
    """A pause ends, however it is left."""
    pytester.makepyfile(
        """
        import os, random, signal, pytest

        class Alarm(BaseException): pass

        def ring(*_):
            raise Alarm

        @pytest.mark.parametrize("seed", range(101))
        def test_rings(ebpf, seed):
            signal.signal(signal.SIGALRM, ring)
            chance = random.Random(seed)
            for _ in range(41):
                try:
                    signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-6, 6e-5))
                    for _ in range(23):
                        with ebpf.paused():
                            pass
                    signal.setitimer(signal.ITIMER_REAL, 0)
                except Alarm:
                    pass
                os.getppid()
            ebpf.assert_syscall("getppid", count=41)
            assert ebpf.complete, ebpf.gaps
        """
    )
    run("-p", "no:cacheprovider").assert_outcomes(passed=101)
