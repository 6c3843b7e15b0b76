"""What it costs, side by side in one run: ``sudo python benchmarks/price.py --write docs/price.md``.

Loops in C run in two workers: one that the session follows, and one that it doesn't (a daemon from before). Each round
measures them bare, under two empty eBPF programs, and under the recorder; the least of all rounds counts, as whatever
else the machine does only adds. Suites are whole runs of pytest, in turn with and without.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pytest_ebpf import engines
from pytest_ebpf.engines import libbpf
from pytest_ebpf.recording import Recording
from pytest_ebpf.session import Session

HERE = Path(__file__).parent
ROUNDS = 9
CALLS = {"g": 100_000, "o": 20_000, "s": 50_000}
NAMES = {"g": "getppid", "o": "open and close, with the path", "s": "stat"}
STATS = 100_000
TESTS = 1_000
SUITES = 5
EVENTS = 1_000_000
CHUNK = 300_000


@dataclass(frozen=True)
class Row:
    """One number of the table."""

    what: str
    value: float
    unit: str
    limit: float | None
    how: str

    def __str__(self) -> str:
        met = "" if self.limit is None else ("yes" if self.value <= self.limit else "**no**")
        limit = "" if self.limit is None else f"≤ {self.limit:g} {self.unit}"
        return f"| {self.what} | {self.value:.3g} {self.unit} | {limit} | {met} | {self.how} |"


class Worker:
    """The C program in a process: a child of this one, or of nobody."""

    def __init__(self, program: Path, file: Path, *, daemon: bool) -> None:
        to_it, ours = os.pipe()
        mine, from_it = os.pipe()
        if (child := os.fork()) == 0:
            if daemon and os.fork():
                os._exit(0)
            os.dup2(to_it, 0)
            os.dup2(from_it, 1)
            os.closerange(3, 64)
            os.execv(program, ["loops", str(file)])
        if daemon:
            os.waitpid(child, 0)
        os.close(to_it)
        os.close(from_it)
        self._write, self._read = os.fdopen(ours, "w"), os.fdopen(mine)

    def measure(self, what: str) -> float:
        """Nanoseconds of one round."""
        print(what, CALLS[what], file=self._write, flush=True)
        return float(self._read.readline())


@contextmanager
def recorded(session: Session) -> Iterator[Recording]:
    """A window."""
    session.begin_test("benchmark")
    recording = Recording(session)
    recording.open()
    try:
        yield recording
    finally:
        recording.close()


@contextmanager
def running() -> Iterator[Session]:
    """A session."""
    session = Session(engines.create("libbpf"))
    session.start()
    try:
        yield session
    finally:
        session.stop()


class EmptyEngine(libbpf.LibbpfEngine):
    """The two empty programs."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)


def compiled(folder: Path) -> tuple[Path, Path]:
    """The worker, and the folder with the empty programs."""
    zig = [sys.executable, "-m", "ziglang", "cc", "-O2"]
    subprocess.run([*zig, "-o", folder / "loops", HERE / "loops.c"], check=True)
    bpf = ["-target", "bpfel-freestanding-none", "-g", "-c", "-o", folder / libbpf.OBJECT, HERE / "empty.bpf.c"]
    subprocess.run([*zig, *bpf], check=True)
    return folder / "loops", folder


def calls(folder: Path) -> Iterator[Row]:
    """What one call costs."""
    program, objects = compiled(folder)
    file = folder / "file"
    file.touch()
    stranger = Worker(program, file, daemon=True)
    best: dict[tuple[str, str], float] = {}

    def note(column: str, what: str, worker: Worker) -> None:
        best[column, what] = min(best.get((column, what), 1e12), worker.measure(what))

    for _ in range(ROUNDS):
        child = Worker(program, file, daemon=False)
        for what in CALLS:
            note("bare", what, child)
            note("bare stranger", what, stranger)
        empty = EmptyEngine(objects)
        empty.start()
        for what in CALLS:
            note("empty", what, child)
            note("floor", what, stranger)
        empty.stop()
        with running() as session:
            for what in CALLS:
                with recorded(session) as recording:
                    note("traced", what, child)
                    note("stranger", what, stranger)
                assert recording.complete, recording.gaps
    for what, name in NAMES.items():
        limit = {"g": 1.5, "o": 1.3}.get(what)
        times = " / ".join(f"{best[column, what]:.0f}" for column in ("bare", "empty", "traced"))
        ratio = best["traced", what] / best["empty", what]
        yield Row(f"{name}: traced over empty programs", ratio, "x", limit, f"bare / empty / traced: {times} ns")
    bare = best["bare stranger", "g"]
    for column, name, limit in (
        ("stranger", "a process that isn't followed", 1.15),
        ("floor", "under empty programs", None),
    ):
        how = f"{bare:.0f} / {best[column, 'g']:.0f} ns"
        yield Row(f"getppid: {name}, over bare", best[column, "g"] / bare, "x", limit, how)


def stats(folder: Path) -> Iterator[Row]:
    """100,000 os.stat in Python, by what watches them."""
    file = folder / "file"
    file.touch()
    program = (
        f"import os, time; start = time.perf_counter()\nfor _ in range({STATS}): os.stat({str(file)!r})\n"
        "print(time.perf_counter() - start)"
    )
    command = [sys.executable, "-I", "-S", "-c", program]

    def seconds(*wrapper: str) -> float:
        done = subprocess.run([*wrapper, *command], stdout=subprocess.PIPE, check=True, text=True)
        return float(done.stdout.split()[-1])

    bare, traced = 1e9, 1e9
    for _ in range(ROUNDS):
        bare = min(bare, seconds())
        with running() as session, recorded(session):
            traced = min(traced, seconds())
    how = f"{bare:.3f} s bare, {traced:.3f} s traced"
    yield Row(f"{STATS:,} os.stat in Python: pytest-ebpf over bare", traced / bare, "x", 1.3, how)
    if shutil.which("strace"):
        time_s = seconds("strace", "-f", "-o", os.devnull)
        yield Row("the same by strace -f", time_s / bare, "x", None, f"{time_s:.3f} s")
        time_s = seconds("strace", "-f", "--seccomp-bpf", "-e", "trace=connect", "-o", os.devnull)
        yield Row("the same by strace --seccomp-bpf -e trace=connect", time_s / bare, "x", None, f"{time_s:.3f} s")
    if shutil.which("bpftrace"):
        script = (
            'BEGIN { printf("on\\n"); } tracepoint:raw_syscalls:sys_enter { @[args.id] = count(); } '
            "tracepoint:raw_syscalls:sys_exit { @n = count(); }"
        )
        with subprocess.Popen(["bpftrace", "-q", "-e", script], stdout=subprocess.PIPE) as tracer:
            assert tracer.stdout is not None
            tracer.stdout.readline()
            time_s = min(seconds() for _ in range(3))
            tracer.terminate()
            tracer.stdout.read()
        yield Row("the same by bpftrace, which only counts", time_s / bare, "x", None, f"{time_s:.3f} s")


def suites(folder: Path) -> Iterator[Row]:
    """What one test costs, in time of the processor: runs of pytest differ too much by the clock."""
    plain = "import pytest\n@pytest.mark.parametrize('n', range({}))\ndef test_it(n{}): pass\n"
    kinds: dict[str, tuple[str, tuple[str, ...]]] = {
        "without the plugin": (plain.format(TESTS, ""), ("-p", "no:ebpf")),
        "with the plugin, unused": (plain.format(TESTS, ""), ()),
        "fixture": (plain.format(TESTS, ", ebpf"), ()),
        "one test with the fixture": (plain.format(1, ", ebpf"), ()),
        "one test": (plain.format(1, ""), ()),
        "another fixture": ("import pytest\n@pytest.fixture\ndef f(): yield\n" + plain.format(TESTS, ", f"), ()),
    }
    best = dict.fromkeys(kinds, 1e9)
    for _ in range(SUITES):
        for kind, (text, options) in kinds.items():
            (folder / "test_it.py").write_text(text)
            command = [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-p",
                "no:cacheprovider",
                "-p",
                "no:hypothesispytest",
                *options,
            ]
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([*command, "test_it.py"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            best[kind] = min(best[kind], after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    unused, bare = best["with the plugin, unused"], best["without the plugin"]
    start_s = best["one test with the fixture"] - best["one test"]
    a_test = (best["fixture"] - unused - start_s) / TESTS * 1e3
    other = (best["another fixture"] - unused) / TESTS * 1e3
    how = f"{TESTS:,} tests: {best['fixture']:.2f} s with it, {unused:.2f} s without, less the start"
    yield Row("one test with the fixture", a_test, "ms", 0.2, f"{how}; an empty fixture of one's own: {other:.2f} ms")
    yield Row("a run that doesn't use it", (unused - bare) * 1e3, "ms", None, f"over {bare:.2f} s with -p no:ebpf")
    yield Row(
        "the first test with the fixture",
        start_s * 1e3,
        "ms",
        None,
        "a run of one test, with and without; without the keeper",
    )


def starts() -> Iterator[Row]:
    """How long a session takes to start."""
    program = (
        "import time, pytest, pytest_ebpf.plugin as _; from pytest_ebpf import fixtures, options; "
        "source = fixtures.SessionSource(options.Settings()); start = time.perf_counter(); source.start(); "
        "print(time.perf_counter() - start); source.stop()"
    )
    command = [sys.executable, "-c", program]
    times = sorted(float(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(2 * ROUNDS))
    how = f"least of {len(times)}, its modules' import included; median {times[len(times) // 2] * 1e3:.0f} ms"
    yield Row("session start with libbpf", times[0] * 1e3, "ms", 60, how)


def assertions(folder: Path) -> Iterator[Row]:
    """An assertion on a long recording."""
    path = str(folder / "file")
    (folder / "file").touch()
    with running() as session, recorded(session) as recording:
        tracemalloc.start()
        held = tracemalloc.get_traced_memory()[0]
        for made in range(0, EVENTS // 2, CHUNK // 2):
            for _ in range(min(CHUNK // 2, EVENTS // 2 - made)):
                os.close(os.open(path, os.O_RDONLY))
            recording.syscalls("swapoff")  # takes over what the rings hold
        held = tracemalloc.get_traced_memory()[0] - held
        tracemalloc.stop()
        assert recording.complete, recording.gaps
        start = time.perf_counter()
        recording.assert_no_syscall("openat", path="/etc/passwd")
        took = time.perf_counter() - start
    what = f'assert_no_syscall("openat", path=…) over {EVENTS:,} events'
    yield Row(what, took, "s", 0.5, "half of them openat, of one path")
    yield Row("memory of an event", held / EVENTS, "bytes", 160, "by tracemalloc; the path's bytes included")


PARTS: dict[str, Callable[[Path], Iterator[Row]]] = {
    "calls": calls,
    "stats": stats,
    "suites": suites,
    "starts": lambda _: starts(),
    "assertions": assertions,
}


def main() -> None:
    """Print the table, or write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="the page to write")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="only these")
    given = parser.parse_args()
    lines = [
        "# What it costs",
        "",
        "Made by `sudo python benchmarks/price.py --write docs/price.md`, which says how each number is reached.",
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}.",
        "",
        "| | measured | limit | met | how |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name in given.parts or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            for row in PARTS[name](Path(folder)):
                lines.append(str(row))
                print(row, flush=True)
    if given.write:
        given.write.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
