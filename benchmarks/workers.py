"""What a call costs with 1, 4 and 16 sessions that share the programs: ``sudo python benchmarks/workers.py``.

One process measures while the others, each a session of its own with an open window, wait. Times are nanoseconds a
call of getppid, Python's share included; the least of several rounds counts.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time

from pytest_ebpf import engines
from pytest_ebpf.recording import Recording
from pytest_ebpf.scope import Kind, Owner
from pytest_ebpf.session import Session

ROUNDS = 9
CALLS = 20_000
SESSIONS = (1, 4, 16)


def nanoseconds() -> float:
    """Of one call."""
    getppid, numbers = os.getppid, range(CALLS)
    start = time.perf_counter_ns()
    for _ in numbers:
        getppid()
    return (time.perf_counter_ns() - start) / CALLS


def recorded(address: str) -> tuple[Session, Recording]:
    """A session with an open window."""
    session = Session(engines.create("libbpf", address))
    session.start()
    owner = Owner(Kind.TEST, "benchmark")
    session.begin_test(owner, owner.name)
    recording = Recording(session, owner)
    recording.open()
    return session, recording


def measure(count: int) -> float:
    """The least time of a call with that many sessions."""
    address = secrets.token_hex(16)
    session, recording = recorded(address)
    command = [sys.executable, __file__, address]
    others = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(count - 1)]
    try:
        for other in others:
            assert other.stdout is not None
            assert other.stdout.readline() == b"ready\n"
        best = min(nanoseconds() for _ in range(ROUNDS))
        recording.close()
    finally:
        for other in others:
            other.communicate()
        session.stop()
    return best


def main() -> None:
    """Print the table; with an address, be one of the others."""
    if len(sys.argv) > 1:
        session, recording = recorded(sys.argv[1])
        print("ready", flush=True)
        sys.stdin.read()
        recording.close()
        session.stop()
        return
    bare = min(nanoseconds() for _ in range(ROUNDS))
    print(f"{'sessions':>10}{'ns a call':>12}{'added':>10}")
    print(f"{0:10}{bare:12.0f}{0:10.0f}")
    for count in SESSIONS:
        best = measure(count)
        print(f"{count:10}{best:12.0f}{best - bare:10.0f}")


if __name__ == "__main__":
    main()
