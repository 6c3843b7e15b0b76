"""What it costs, side by side in one run: ``sudo python benchmarks/price.py --write docs/price.md``.

Loops in C run in two workers: one that the session follows, and one that it doesn't (a daemon from before). Each round
measures them bare, under two empty eBPF programs, and under the recorder, in time of the processor; the least of all
rounds counts, as whatever else the machine does only adds. Suites are whole runs of pytest, in turn with and without.
"""

from __future__ import annotations

import argparse
import os
import platform
import pstats
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pytest_ebpf.engines import _ffi, libbpf
from pytest_ebpf.recording import Recording
from pytest_ebpf.session import Session
from pytest_ebpf.standalone import begin, running

HERE = Path(__file__).parent
ZIG = (sys.executable, "-m", "ziglang", "cc", "-O2")
ROUNDS = 9
CALLS = {"g": 100_000, "o": 20_000, "s": 50_000}
NAMES = {"g": "getppid", "o": "open and close, with the path", "s": "stat"}
PARTS_OF = {
    "nothing": "",
    "a reading of the clock": "two a call",
    "the thread, its id and its name": "two a call",
    "a load from the kernel's memory, in place": "some ten a call, and sixty more in open and close, of four names",
    "a look into an array": "some twenty a call",
    "a copy of 64 bytes of the kernel's memory": "before Linux 6.2 some eighteen in open and close",
    "an event written to a ring buffer of the kernel's": "one for a path; with engine bcc one a call, too",
    "an event written to memory of one's own": "one a call",
}
"""What is in parts.bpf.c, in its order, and how often the recorder does it."""
SLOTS_BYTES = 8 << 20
"""Of the map in least.bpf.c."""
STATS = 100_000
TESTS = 1_000
SUITES = 11
SUITE = "import pytest\n@pytest.mark.parametrize('n', range({}))\ndef test_it(n{}): pass\n"
PYTEST = ("-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest")
MODULES = ("integrity.py", "phases.py", "policy.py", "runtest.py", "session.py")
POLICY = "ebpf_policy=no_exec = true\nno_network = true"
EVENTS = 1_000_000
CHUNK = 300_000

NOTES = """
## What stands behind the numbers

- The tables are made on a machine that also does other work; the ratios change less than the times. Where another
  recorder runs at the same time, its programs run in each call too, in the bare loops as well.
- **Machines differ**, above all in what it costs to get into a program at all and back: where this table was made,
  two empty ones take as long as a whole getppid. Each return from a function is slow there, as the kernel guards the
  processor against its own guesses (Safe RET): so what counts is how often programs call, more than what they do. On
  another machine with the same kernel, on which an older version was measured, two empty programs took 18 of 102 ns,
  and the programs were loaded in 25 ms: getppid 2.0 x, open and close 1.96 x, a process that isn't followed 1.06 x
  over empty programs, 100,000 os.stat 1.34 x, a session start 78 ms, 44 when the engine began during a long
  collection. The calls of the version before this one, with its events in a ring buffer of the kernel's, were measured
  on this machine: getppid 1.7 x, open and close 1.59 x, stat 1.45 x, 100,000 os.stat 1.49 x.
- **A process that isn't followed** pays for any program on `sys_enter` and `sys_exit` what the empty ones cost: the
  kernel takes the slow way into each call, for every process of the machine. So its limit is held against the loop
  under empty programs, as those of the other calls are; over a bare loop these alone are beyond it. What is added is
  the id of the thread and a look into an array, at both ends: a row has programs that do this and no more.
- **A traced call**: the rows "part" say what its programs are made of. The rows "the least record" have programs that
  do no more than take both times, the arguments, the result and the thread's name, and write them: no windows, owners
  and paths. Two readings of the clock are half of what a getppid costs beyond the empty programs. A ring buffer of the
  kernel's takes a lock with interrupts off for each event; so events go to memory of our own, to a place that one
  atomic addition gives, and a getppid costs less than the least record does in the kernel's. Of several tables made one
  after the other it stood at the limit, or below, down to 1.45 x; on another day from 1.45 to
  1.54 x. With engine bcc, and before Linux 5.18, it is still the kernel's ring. Tried, and not taken: the ring's two
  positions in an array that the kernel looks into without a call, by programs that nobody read from and that didn't
  look for room, three times in turn with this: 1.51, 1.49 and 1.52 x, where this took 1.53, 1.53 and 1.54. So at most
  some 2 % of a getppid, and nothing to be seen in open, close and stat; it would have taken another piece of shared
  memory, and a second moment at which a session learns where its ring is.
- **open and close** are two such calls, and a third record for the path. The path is copied from the program's
  memory, by a helper that goes through three functions, and what an open file is told by is read from the kernel's,
  name by name up to the root, at the end of the open and at the start of the close: the counts of renames and mounts
  that the kernel keeps for itself are variables that its BTF doesn't list, so a remembered answer could be an old
  one. Least records of the two calls, without a path, leave a tenth of the limit for all of that.
- **100,000 os.stat**: each is a traced call with a path. A program that only counts the calls, bpftrace's, is beyond
  the limit here by itself.
- **A test**: what is recorded of it is judged at once if it is certainly nothing: no event, no gap, and the programs
  proven alive. A run that doesn't use the plugin has none of its hooks around tests, but for the look whether it is
  to have them: some 15 µs a test, its collection included, and some 20 ms for the run, of which the import is 8. The
  rows "part of a test" say where the rest goes: some hundred short calls that cut time into the phases of the test,
  give each an owner, and drop what the test before recorded. No one of them is a tenth of it. Under a policy the
  rings are looked into after each of three phases; at the end a call proves that the programs live, and the memory
  that they share with pytest is compared with what was written.
- **Session start**: a process of its own loads the programs, while the session imports its modules. When this table
  was made, that process began 10 ms after it was asked for, had imported what it loads with after 20, and the
  programs and their maps were there after 100: some 70 ms of the kernel's, in one thread, as libbpf does it. Another
  thread makes the memory of the rings meanwhile, 20 ms; the session imports its modules, 30, makes the table of what
  to capture, 6, maps the rings, 7, and has what waits for the programs done in 8. So it is their loading that a start
  waits for, and that alone takes longer than the limit. A profile of it: half is the verifier's walk through the
  programs, 36,000 instructions, two thirds of them in the two for both ends of a call; a fifth the search for this
  kernel's types by their names, to fit the accesses to them; a tenth the patching and the machine code; the rest is
  memory. To load two halves side by side, both would have to be given their maps, which the loader that libbpf 1.1
  generates refuses (a count of maps must match); libbpf's ordinary way takes maps, but reads all types of the kernel
  first, and takes 107 ms. The loading begins when the first test that is recorded is collected, so what is left of
  the collection hides it.
"""


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
        self.pid = child
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
    recording = begin(session, "benchmark")
    recording.open()
    try:
        yield recording
    finally:
        recording.close()


def compiled(folder: Path) -> Path:
    """The worker."""
    subprocess.run([*ZIG, "-o", folder / "loops", HERE / "loops.c"], check=True)
    return folder / "loops"


def programs(folder: Path, name: str, *defines: str) -> libbpf.LibbpfEngine:
    """An engine that attaches the programs of a file here."""
    objects = folder / "-".join((name, *defines))
    objects.mkdir()
    include = HERE.parent / "bpf_snippets" / "include"
    target = ["-target", "bpfel-freestanding-none", "-mcpu=v3", "-g", "-I", include, "-D__TARGET_ARCH_x86", "-DCASTS"]
    target += [f"-D{name}" for name in defines]
    source = HERE / f"{name}.bpf.c"
    subprocess.run([*ZIG, *target, "-c", "-o", objects / libbpf.OBJECT, source], check=True)
    return libbpf.LibbpfEngine(objects)


def runs(pid: int) -> list[tuple[int, int]]:
    """Of each program that a process holds, as they were loaded: how long it ran, in nanoseconds, and how often."""
    found: dict[int, tuple[int, int]] = {}
    for each in os.listdir(f"/proc/{pid}/fdinfo"):
        try:
            text = Path(f"/proc/{pid}/fdinfo/{each}").read_text()
        except FileNotFoundError:  # that of the folder itself
            continue
        lines = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        if "run_cnt" in lines:
            found[int(lines["prog_id"])] = (int(lines["run_time_ns"]), int(lines["run_cnt"]))
    return [found[number] for number in sorted(found)]


@contextmanager
def counted() -> Iterator[None]:
    """While the kernel takes the time of each run of a program."""
    switch = Path("/proc/sys/kernel/bpf_stats_enabled")
    before = switch.read_text()
    switch.write_text("1")
    try:
        yield
    finally:
        switch.write_text(before)


def calls(folder: Path) -> Iterator[Row]:
    """What one call costs."""
    program = compiled(folder)
    empty = programs(folder, "empty")
    leasts = {"least": programs(folder, "least"), "own": programs(folder, "least", "OWN")}
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
        empty.start()
        for what in CALLS:
            note("empty", what, child)
            note("floor", what, stranger)
        empty.stop()
        for column, least in leasts.items():
            started = least.start()
            slots = _ffi.SharedMemory(started.maps["slots"], SLOTS_BYTES, writable=True)
            slots.view[2 * child.pid] = 1
            for what in CALLS:
                note(column, what, child)
                note("look", what, stranger)
            slots.close()
            least.stop()
        with running("libbpf") as session:
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
        for column, where in (("least", ""), ("own", ", in memory of one's own")):
            ratio, how = best[column, what] / best["empty", what], f"{best[column, what]:.0f} ns"
            yield Row(f"{name}: the least record{where}, over empty programs", ratio, "x", None, how)
    bare, floor, spent = (best[column, "g"] for column in ("bare stranger", "floor", "stranger"))
    times = f"bare / empty / not followed: {bare:.0f} / {floor:.0f} / {spent:.0f} ns"
    yield Row("getppid: a process that isn't followed, over empty programs", spent / floor, "x", 1.15, times)
    for column, name in (
        ("stranger", "a process that isn't followed"),
        ("look", "under programs that only look whether it is followed"),
        ("floor", "under empty programs"),
    ):
        how = f"{bare:.0f} / {best[column, 'g']:.0f} ns"
        yield Row(f"getppid: {name}, over bare", best[column, "g"] / bare, "x", None, how)


def inside(folder: Path) -> Iterator[Row]:
    """How long the programs run, and what they are made of, by the kernel's own count."""
    program = compiled(folder)
    file = folder / "file"
    file.touch()
    alone: dict[str, float] = {}
    with counted():
        worker = Worker(program, file, daemon=False)
        engine = programs(folder, "parts")
        for _ in range(ROUNDS):
            engine.start()
            before = runs(os.getpid())
            worker.measure("g")
            for name, (time_ns, count), (old_ns, old) in zip(PARTS_OF, runs(os.getpid()), before, strict=True):
                alone[name] = min(alone.get(name, 1e9), (time_ns - old_ns) / (count - old))
            engine.stop()
        least: dict[str, float] = {}
        for _ in range(ROUNDS):
            worker = Worker(program, file, daemon=False)
            with running("libbpf") as session, recorded(session):
                for what, count in CALLS.items():
                    before = runs(session.engine.pid)
                    worker.measure(what)
                    spent = sum(new - old for (new, _), (old, _) in zip(runs(session.engine.pid), before, strict=True))
                    least[what] = min(least.get(what, 1e9), spent / count)
    nothing = alone["nothing"]
    for what, name in NAMES.items():
        pairs = 2 if what == "o" else 1
        value = least[what] - 2 * pairs * nothing
        yield Row(f"{name}: in the programs", value, "ns", None, "by bpf_stats, less what empty ones take")
    for name, value in alone.items():
        if name != "nothing":
            yield Row(f"part: {name}", value - nothing, "ns", None, f"a program that does this alone; {PARTS_OF[name]}")


def stats(folder: Path) -> Iterator[Row]:
    """100,000 os.stat in Python, by what watches them."""
    file = folder / "file"
    file.touch()
    program = (
        f"import os, time; clock, start = time.perf_counter(), time.process_time()\n"
        f"for _ in range({STATS}): os.stat({str(file)!r})\n"
        "print(time.perf_counter() - clock, time.process_time() - start)"
    )

    def seconds(*wrapper: str) -> tuple[float, float]:
        """By the clock, and of the processor."""
        command = [*wrapper, sys.executable, "-I", "-S", "-c", program]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
        clock, processor = map(float, done.stdout.split())
        return clock, processor

    bare: list[tuple[float, float]] = []
    traced: list[tuple[float, float]] = []
    for _ in range(ROUNDS):
        bare.append(seconds())
        with running("libbpf") as session, recorded(session):
            traced.append(seconds())
    clock, processor = (min(column) for column in zip(*bare, strict=True))
    time_s = min(each for _, each in traced)
    how = f"of the processor: {processor:.3f} s bare, {time_s:.3f} s traced"
    yield Row(f"{STATS:,} os.stat in Python: pytest-ebpf over bare", time_s / processor, "x", 1.3, how)
    if shutil.which("strace"):
        others = {"strace -f": ["-f"], "strace -f --seccomp-bpf -e connect": ["-f", "--seccomp-bpf", "-e", "connect"]}
        for name, options in others.items():
            time_s = min(seconds("strace", *options, "-o", os.devnull)[0] for _ in range(3))
            yield Row(f"the same by {name}", time_s / clock, "x", None, f"by the clock: {clock:.3f} s, {time_s:.3f} s")
    if shutil.which("bpftrace"):
        script = (
            'BEGIN { printf("on\\n"); } tracepoint:raw_syscalls:sys_enter { @[args->id] = count(); } '
            "tracepoint:raw_syscalls:sys_exit { @ends = count(); }"
        )
        command = [
            "unshare",
            "--mount",
            "sh",
            "-c",
            'mount -t tracefs none /sys/kernel/tracing; exec bpftrace -q -e "$0"',
        ]
        with subprocess.Popen([*command, script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as tracer:
            assert tracer.stdout is not None
            attached = tracer.stdout.readline().strip() == b"on"
            time_s = min(seconds()[1] for _ in range(3))
            tracer.terminate()
            tracer.stdout.read()
        if attached:
            how = f"of the processor: {processor:.3f} s, {time_s:.3f} s"
            yield Row("the same by bpftrace, which only counts", time_s / processor, "x", None, how)


def suites(folder: Path) -> Iterator[Row]:
    """What one test costs, in time of the processor: runs of pytest differ too much by the clock."""
    kinds: dict[str, tuple[str, tuple[str, ...]]] = {
        "without the plugin": (SUITE.format(TESTS, ""), ("-p", "no:ebpf")),
        "with the plugin, unused": (SUITE.format(TESTS, ""), ()),
        "fixture": (SUITE.format(TESTS, ", ebpf"), ()),
        "one test with the fixture": (SUITE.format(1, ", ebpf"), ()),
        "one test": (SUITE.format(1, ""), ()),
        "policy": (SUITE.format(TESTS, ""), ("-o", POLICY)),
        "one test with the policy": (SUITE.format(1, ""), ("-o", POLICY)),
        "another fixture": ("import pytest\n@pytest.fixture\ndef f(): yield\n" + SUITE.format(TESTS, ", f"), ()),
    }
    best = dict.fromkeys(kinds, 1e9)
    for _ in range(SUITES):
        for kind, (text, options) in kinds.items():
            (folder / "test_it.py").write_text(text)
            command = [sys.executable, "-m", "pytest", *PYTEST, *options]
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            subprocess.run([*command, "test_it.py"], cwd=folder, check=True, **silent)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            best[kind] = min(best[kind], after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    unused, bare = best["with the plugin, unused"], best["without the plugin"]
    start_s = best["one test with the fixture"] - best["one test"]
    a_test = (best["fixture"] - unused - start_s) / TESTS * 1e3
    other = (best["another fixture"] - unused) / TESTS * 1e3
    how = f"{TESTS:,} tests: {best['fixture']:.2f} s with it, {unused:.2f} s without, less the start"
    yield Row("one test with the fixture", a_test, "ms", 0.2, f"{how}; an empty fixture of one's own: {other:.2f} ms")
    policy_s = best["policy"] - unused - (best["one test with the policy"] - best["one test"])
    how = f"no_exec and no_network, in setup, call and teardown; {best['policy']:.2f} s, less the start"
    yield Row("one test under a policy of the suite", policy_s / TESTS * 1e3, "ms", 0.2, how)
    yield Row("a run that doesn't use it", (unused - bare) * 1e3, "ms", None, f"over {bare:.2f} s with -p no:ebpf")
    yield Row(
        "the first test with the fixture",
        start_s * 1e3,
        "ms",
        None,
        "a run of one test, with and without; without the keeper",
    )


def profile(folder: Path) -> Iterator[Row]:
    """Where the time of a test goes: the plugin's own functions, by module, once the session runs."""
    kinds: dict[str, tuple[str, tuple[str, ...]]] = {
        "with the fixture": (", ebpf", ()),
        "under a policy of the suite": ("", ("-o", POLICY)),
    }
    for kind, (fixture, options) in kinds.items():
        (folder / "test_it.py").write_text(SUITE.format(TESTS, fixture))
        program = (
            "import cProfile, sys, pytest; profile = cProfile.Profile(); "
            f"profile.runcall(pytest.main, {[*PYTEST, *options, 'test_it.py']!r}); profile.dump_stats('profile')"
        )
        subprocess.run([sys.executable, "-c", program], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        stats = pstats.Stats(str(folder / "profile"))
        times: Counter[str] = Counter()
        calls: Counter[str] = Counter()
        for (file, _, name), (_, count, own_s, _, _) in stats.stats.items():  # type: ignore[attr-defined]
            path = Path(file)
            if "pytest_ebpf" in path.parts and name != "<module>" and count >= TESTS:
                module = path.name if path.name in MODULES else "the others"
                times[module] += own_s / TESTS * 1e3
                calls[module] += round(count / TESTS)
        for module, own_ms in times.most_common():
            how = f"{calls[module]} calls, by cProfile, under which they are slower"
            yield Row(f"part of a test {kind}: {module}", own_ms, "ms", None, how)


def starts() -> Iterator[Row]:
    """How long a session takes to start."""
    program = (
        "import time, pytest, pytest_ebpf.plugin; from pytest_ebpf import engines; start = time.perf_counter(); "
        "engine = engines.create({!r}); engine.prepare(); {} from pytest_ebpf import policy, phases, session; "
        "session = session.Session(engine); session.start(); print(time.perf_counter() - start); "
        "start = time.perf_counter(); session.stop(); print(time.perf_counter() - start)"
    )
    collecting = "time.sleep(1); start = time.perf_counter();"
    kinds = {
        "session start with libbpf": (program.format("libbpf", ""), 60.0, "its modules' import included"),
        "the same, when the engine began during a long collection": (program.format("libbpf", collecting), None, ""),
        "session start with bcc": (program.format("bcc", ""), None, "compiled before"),
    }
    ends: list[float] = []
    for name, (text, limit, note) in kinds.items():
        command = [sys.executable, "-c", text]
        times = []
        for _ in range(2 * ROUNDS):
            done = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            times.append(float(done[0]))
            ends.append(float(done[1]))
        times.sort()
        how = f"least of {len(times)}, {note + '; ' if note else ''}median {times[len(times) // 2] * 1e3:.0f} ms"
        yield Row(name, times[0] * 1e3, "ms", limit, how)
    yield Row("session end", min(ends) * 1e3, "ms", None, "until the programs are gone")


def assertions(folder: Path) -> Iterator[Row]:
    """An assertion on a long recording."""
    path = str(folder / "file")
    (folder / "file").touch()
    with running("libbpf") as session, recorded(session) as recording:
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
    "inside": inside,
    "stats": stats,
    "suites": suites,
    "profile": profile,
    "starts": lambda _: starts(),
    "assertions": assertions,
}


def main() -> None:
    """Print the table, or write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="the page to write")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="only these")
    given = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what is measured is what is installed: compiled
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
    load = os.getloadavg()[1]
    lines += [
        "",
        f"Meanwhile {load:.0f} tasks were at work at a time: what is more than the processors makes times longer.",
    ]
    if given.write:
        given.write.write_text("\n".join(lines) + "\n" + NOTES, encoding="utf-8")


if __name__ == "__main__":
    main()
