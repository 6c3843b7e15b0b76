"""What a recorded call costs: ``sudo python benchmarks/calls.py``.

Each loop runs in this process in turn without the programs, with them attached and no window open, and recorded; the
least of several rounds counts. Times are nanoseconds a round of the loop, Python's share included.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable

from pytest_ebpf.standalone import begin, running

ROUNDS = 7
CALLS = 20_000
COLUMNS = ("bare", "attached", "recorded")


def loops(folder: str) -> dict[str, Callable[[], object]]:
    """What is measured, by name."""
    path = f"{folder}/file"
    written = os.open(path, os.O_WRONLY | os.O_CREAT)
    return {
        "getppid": os.getppid,
        "write": lambda: os.pwrite(written, b"x", 0),
        "open+close": lambda: os.close(os.open(path, os.O_RDONLY)),
        "stat": lambda: os.stat(path),
    }


def nanoseconds(loop: Callable[[], object]) -> float:
    """Of one round of the loop."""
    start = time.perf_counter_ns()
    for _ in range(CALLS):
        loop()
    return (time.perf_counter_ns() - start) / CALLS


def measure(measured: dict[str, Callable[[], object]]) -> dict[str, dict[str, float]]:
    """The least time of each loop, by column."""
    best = {name: dict.fromkeys(COLUMNS, float("inf")) for name in measured}

    def note(name: str, column: str) -> None:
        best[name][column] = min(best[name][column], nanoseconds(measured[name]))

    for _ in range(ROUNDS):
        for name in measured:
            note(name, "bare")
        with running("libbpf") as session:
            for name in measured:
                note(name, "attached")
                recording = begin(session, "benchmark")
                recording.open()
                note(name, "recorded")
                recording.close()
                assert recording.complete, recording.gaps
    return best


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        best = measure(loops(folder))
    print(f"{'':12}{'bare':>10}{'attached':>10}{'recorded':>10}{'added':>10}{'recorded/bare':>16}{'/attached':>12}")
    for name, times in best.items():
        bare, attached, recorded = (times[column] for column in COLUMNS)
        ratios = f"{recorded / bare:16.2f}{recorded / attached:12.2f}"
        print(f"{name:12}{bare:10.0f}{attached:10.0f}{recorded:10.0f}{recorded - bare:10.0f}{ratios}")


if __name__ == "__main__":
    main()
