"""Users' own BCC programs around a test."""

from __future__ import annotations

import mmap
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_ebpf import EbpfError, EngineUnavailable, InconclusiveRecording, ProbeError, features, probes
from pytest_ebpf.recording import Recording
from pytest_ebpf.syscalls import table

COUNT_CALLS = """
BPF_ARRAY(calls, u64, 512);
RAW_TRACEPOINT_PROBE(sys_enter)
{
    u32 number = ctx->args[1];
    if (EBPF_IN_SCOPE())
        calls.atomic_increment(number);
    return 0;
}
"""
GETPPID = {"x86_64": 110, "aarch64": 173}[os.uname().machine]
MARK = "PYTEST_EBPF_TESTED_BY"
HAS_KPROBES = probes.KPROBES.exists()


@pytest.fixture(autouse=True)
def mark(monkeypatch: pytest.MonkeyPatch) -> None:
    """By which the processes of one test are known; others may run on the machine."""
    monkeypatch.setenv(MARK, f"{os.getpid()}-{time.monotonic_ns()}")


def _attachers() -> set[int]:
    """Processes of this test that run a user's program."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            is_mine = f"{MARK}={os.environ[MARK]}".encode() in (folder / "environ").read_bytes()
            if is_mine and b"attacher.py" in (folder / "cmdline").read_bytes():
                found.add(int(folder.name))
        except OSError:
            continue
    return found


@pytest.mark.heavy(reason="BCC compiles in it")
def test_scope(ebpf: Recording) -> None:
    """What the test's own tasks do is counted, threads and processes too, and what others do is not."""
    probe = ebpf.attach(COUNT_CALLS)
    other = subprocess.Popen([sys.executable, "-c", "import os; [os.getppid() for _ in range(5)]; input()"])
    for _ in range(23):
        os.getppid()
    thread = threading.Thread(target=lambda: [os.getppid() for _ in range(7)])
    thread.start()
    thread.join()
    other.terminate()
    other.wait()
    recorded = Counter(event.name for event in ebpf.events)
    calls = {table().by_number(number).name: count for number, count in dict(probe["calls"]).items()}
    assert calls["getppid"] == recorded["getppid"] >= 30
    assert {name: count for name, count in recorded.items() if count > calls.get(name, 0)} == {}


def test_scope_is_the_recorders(pytester: pytest.Pytester) -> None:
    """A process of an earlier test is not this test's, unless this one gave it the work; one of a shared fixture is."""
    pytester.makepyfile(
        f"""
        import os, socket, subprocess, sys
        import pytest
        CODE = "import os; os.read(0, 1); [os.getppid() for _ in range(NUMBER)]; os.write(1, b'.'); os.read(0, 1)"
        COUNT_CALLS = {COUNT_CALLS!r}

        class Started:
            def __init__(self, number, ours, theirs):
                self.ours, theirs = ours, theirs
                code = CODE.replace("NUMBER", str(number))
                self.process = subprocess.Popen([sys.executable, "-c", code], stdin=theirs, stdout=-1)
                os.close(theirs)

            def run(self):
                os.write(self.ours, b".")
                assert self.process.stdout.read(1) == b"."

            def end(self):
                os.close(self.ours)
                self.process.communicate()

        def by_socket(number):
            return Started(number, *(each.detach() for each in socket.socketpair()))

        def by_pipe(number):
            theirs, ours = os.pipe()
            return Started(number, ours, theirs)

        keep = []

        @pytest.fixture(scope="module")
        def server():
            started = by_socket(7)
            yield started
            started.end()

        def test_first(ebpf, server):
            keep.extend([by_socket(31), by_pipe(13)])

        @pytest.mark.parametrize("number, count", [(0, 1), (1, 14)])
        def test_later(ebpf, number, count):
            probe = ebpf.attach(COUNT_CALLS)
            keep[number].run()
            os.getppid()
            assert probe["calls"][{GETPPID}] == count == len(ebpf.syscalls("getppid"))
            probe.detach()
            keep[number].end()

        def test_shared(ebpf, server):
            probe = ebpf.attach(COUNT_CALLS)
            server.run()
            assert probe["calls"][{GETPPID}] == 7 == len(ebpf.syscalls("getppid"))
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=4)


def test_scope_leaves_out_other_workers(pytester: pytest.Pytester) -> None:
    """Workers share the recorder, and what the one does is not in the scope of the other's program."""
    for name in ("there", "back"):
        os.mkfifo(pytester.path / name)
    pytester.makepyfile(
        test_asks=f"""
        import os
        from pathlib import Path
        COUNT_CALLS = {COUNT_CALLS!r}

        def test_asks(ebpf):
            probe = ebpf.attach(COUNT_CALLS)
            Path("there").write_text("go")
            assert Path("back").read_text() == "done"
            os.getppid()
            assert probe["calls"][{GETPPID}] == 1
        """,
        test_works="""
        import os
        from pathlib import Path

        def test_works(ebpf):
            assert Path("there").read_text() == "go"
            for _ in range(11):
                os.getppid()
            Path("back").write_text("done")
            ebpf.assert_syscall("getppid", count=11)
        """,
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-n2", "--dist=loadfile", timeout=60)
    result.assert_outcomes(passed=2)


@pytest.mark.heavy(reason="BCC compiles a program in it")
def test_window(ebpf: Recording) -> None:
    """The number of the segment changes with each window, and is 0 where nothing is recorded."""
    probe = ebpf.attach(
        f"""
        BPF_HASH(calls, u32, u64);
        RAW_TRACEPOINT_PROBE(sys_enter)
        {{
            u32 window = EBPF_WINDOW();
            if (ctx->args[1] == {GETPPID} && bpf_get_current_pid_tgid() >> 32 == {os.getpid()})
                calls.increment(window);
            return 0;
        }}
        """
    )
    os.getppid()
    with ebpf.window():
        for _ in range(3):
            os.getppid()
    with ebpf.paused():
        for _ in range(5):
            os.getppid()
    counts = dict(probe["calls"])
    assert counts.pop(0) == 5
    assert [counts[number] for number in sorted(counts)] == [1, 3]


@pytest.mark.heavy(reason="BCC compiles a program in it")
def test_nothing_of_it_is_recorded(ebpf: Recording) -> None:
    """Neither the compiler, nor the reading, nor the detaching; and no child is left to wait for."""
    with ebpf.paused():
        before = children()
    os.getppid()
    probe = ebpf.attach(COUNT_CALLS)
    assert probe["calls"][GETPPID] == 0
    with pytest.raises(ProbeError):
        ebpf.attach("nonsense")
    probe.detach()
    os.getuid()
    assert [event.name for event in ebpf.events] == ["getppid", "getuid"]
    assert ebpf.complete
    assert children() == before


def children() -> set[str]:
    """The processes that this one can wait for."""
    lists = Path("/proc/self/task").glob("*/children")
    return {pid for each in lists for pid in each.read_text(encoding="ascii").split()}


@pytest.mark.heavy(reason="BCC compiles in it")
def test_tables_and_streams(ebpf: Recording) -> None:
    """Structs, arrays, tables by processor, a perf buffer and a ring buffer; with a uprobe to fill them."""
    probe = ebpf.attach(
        """
        struct key { u32 number; char comm[16]; };
        struct event { u64 when; u32 pid; char comm[16]; u16 each[3]; };
        BPF_HASH(by_key, struct key, struct event);
        BPF_PERCPU_ARRAY(each, u64, 2);
        BPF_HISTOGRAM(sizes);
        BPF_PERF_OUTPUT(perf);
        BPF_RINGBUF_OUTPUT(ring, 8);
        int on_call(struct pt_regs *ctx)
        {
            if (!EBPF_IN_SCOPE())
                return 0;
            struct key key = {.number = NUMBER};
            struct event event = {.pid = bpf_get_current_pid_tgid() >> 32, .each = {2, 3, 5}};
            bpf_get_current_comm(key.comm, 16);
            bpf_get_current_comm(event.comm, 16);
            by_key.update(&key, &event);
            each.increment(1);
            sizes.increment(bpf_log2l(1000));
            perf.perf_submit(ctx, &event, sizeof(event));
            ring.ringbuf_output(&event, sizeof(event), 0);
            return 0;
        }
        """,
        cflags=["-DNUMBER=7"],
    )
    probe.attach_uprobe(name="c", sym="getppid", fn_name="on_call")
    for _ in range(23):
        os.getppid()
    comm = Path("/proc/self/comm").read_bytes().strip()
    event = {"when": 0, "pid": os.getpid(), "comm": comm, "each": [2, 3, 5]}
    assert probe.streams == ("perf", "ring")
    assert probe.events("perf") == [event] * 23
    assert probe.events("ring") == [event] * 23
    assert dict(probe["by_key"]) == {(7, comm): event}
    assert sum(probe["each"][1]) == 23
    assert "      512 - 1023               23 |****" in probe["sizes"].histogram()
    with pytest.raises(KeyError, match=r"colour: the program has no such table \(tables: by_key, each, sizes\)"):
        probe["colour"]
    with pytest.raises(KeyError, match=r"each: the program has no such perf or ring buffer \(there are: perf, ring\)"):
        probe.events("each")


@pytest.mark.heavy(reason="BCC compiles a program in it")
def test_lost_events_are_no_stream(ebpf: Recording) -> None:
    """A perf buffer that overflowed gives no list that looks whole."""
    probe = ebpf.attach(
        f"""
        struct event {{ char fill[400]; }};
        BPF_PERF_OUTPUT(perf);
        RAW_TRACEPOINT_PROBE(sys_enter)
        {{
            struct event event = {{}};
            if (ctx->args[1] == {GETPPID} && EBPF_IN_SCOPE())
                perf.perf_submit(ctx, &event, sizeof(event));
            return 0;
        }}
        """
    )
    for _ in range(9973):
        os.getppid()
    with pytest.raises(InconclusiveRecording, match=r"read perf of the program: events may be lost"):
        probe.events("perf")
    with pytest.raises(InconclusiveRecording):
        probe.events("perf")


def test_classic_tracepoint(ebpf: Recording) -> None:
    """With its arguments by name."""
    probe = ebpf.attach(
        """
        BPF_HASH(children, u32, u32);
        TRACEPOINT_PROBE(sched, sched_process_fork)
        {
            u32 child = args->child_pid, parent = args->parent_pid;
            if (EBPF_IN_SCOPE())
                children.update(&child, &parent);
            return 0;
        }
        """
    )
    pids = []
    for _ in range(7):
        pids.append(os.fork())
        if not pids[-1]:
            os._exit(0)
        os.waitpid(pids[-1], 0)
    assert dict(probe["children"]) == dict.fromkeys(pids, threading.get_native_id())


def test_kernel_struct_without_headers(ebpf: Recording) -> None:
    """The layout is the running kernel's, whether headers are installed or not."""
    probe = ebpf.attach(
        f"""
        #include <linux/sched.h>
        #include <linux/nsproxy.h>
        BPF_HASH(parents, u32, u32);
        TRACEPOINT_PROBE(raw_syscalls, sys_enter)
        {{
            struct task_struct *task = (struct task_struct *)bpf_get_current_task();
            u32 pid = task->tgid, parent = task->real_parent->tgid;
            if (args->id == {GETPPID} && EBPF_IN_SCOPE())
                parents.update(&pid, &parent);
            return 0;
        }}
        """
    )
    os.getppid()
    assert dict(probe["parents"]) == {os.getpid(): os.getppid()}


@pytest.mark.heavy(reason="BCC compiles a program in it")
def test_printed(ebpf: Recording) -> None:
    """What bpf_trace_printk writes, from where this program began."""
    text = f"""
    RAW_TRACEPOINT_PROBE(sys_enter)
    {{
        u32 number = ctx->args[1];
        if (number == {GETPPID} && EBPF_IN_SCOPE())
            bpf_trace_printk("%d: MESSAGE\\n", number);
        return 0;
    }}
    """
    first = ebpf.attach(text.replace("MESSAGE", "first"))
    os.getppid()
    second = ebpf.attach(text.replace("MESSAGE", "second"))
    os.getppid()
    assert Counter(first.printed()) == {f"{GETPPID}: first": 2, f"{GETPPID}: second": 1}
    assert Counter(second.printed()) == {f"{GETPPID}: first": 1, f"{GETPPID}: second": 1}


@pytest.mark.heavy(reason="BCC compiles in it")
def test_lost_messages_are_no_list(ebpf: Recording) -> None:
    """Each processor has a buffer of its own: one that overflowed tells, whichever the program was attached on."""
    text = f"""
    RAW_TRACEPOINT_PROBE(sys_enter)
    {{
        if (ctx->args[1] == {GETPPID} && EBPF_IN_SCOPE())
            bpf_trace_printk("a message that fills the buffer, as there are so many of it\\n");
        return 0;
    }}
    """
    everywhere = os.sched_getaffinity(0)
    for processor in everywhere:
        probe = ebpf.attach(text)
        os.sched_setaffinity(0, {processor})
        try:
            for _ in range(50_021):
                os.getppid()
        finally:
            os.sched_setaffinity(0, everywhere)
        with pytest.raises(InconclusiveRecording, match="messages may be lost"):
            probe.printed()
        probe.detach()


@pytest.mark.heavy(reason="BCC compiles in it")
def test_runs_that_were_left_out(ebpf: Recording) -> None:
    """While one program is at work an interrupt's can't be: what that would have counted isn't known."""
    text = """
        BPF_ARRAY(called, u64, 1);
        BPF_ARRAY(expired, u64, 1);
        TRACEPOINT_PROBE(raw_syscalls, sys_enter) {
            if (args->id == NR && EBPF_IN_SCOPE()) {
                u64 sum = 0;
                for (int i = 0; i < 4096; i++)
                    sum += bpf_ktime_get_ns();
                if (sum)
                    called.increment(0);
            }
            return 0;
        }
        TRACEPOINT_PROBE(timer, hrtimer_expire_entry) {
            expired.increment(0);
            return 0;
        }
    """.replace("NR", {"x86_64": "121", "aarch64": "155"}[os.uname().machine])
    probe = ebpf.attach(text=text)
    assert probe["called"][0] == 0
    for _ in range(1000):
        os.getpgid(0)
    for name in ("called", "expired"):
        with pytest.raises(InconclusiveRecording, match=f"read {name} of the program: the kernel left out .* runs"):
            probe[name][0]


def test_perf_event(ebpf: Recording) -> None:
    """Page faults, which the kernel counts in software."""
    probe = ebpf.attach(
        "BPF_HASH(faults); int on_fault(void *ctx) { if (EBPF_IN_SCOPE()) faults.increment(0); return 0; }"
    )
    probe.attach_perf_event(ev_type=1, ev_config=2, fn_name="on_fault", sample_period=1)
    with mmap.mmap(-1, 97 * mmap.PAGESIZE) as memory:
        memory.madvise(mmap.MADV_NOHUGEPAGE)
        for page in range(97):
            memory[page * mmap.PAGESIZE] = 1
        assert probe["faults"][0] >= 97


def test_uretprobe(ebpf: Recording) -> None:
    """With the result."""
    probe = ebpf.attach(
        """
        #include <uapi/linux/ptrace.h>
        BPF_HASH(results, u64);
        int on_return(struct pt_regs *ctx)
        {
            if (EBPF_IN_SCOPE())
                results.increment(PT_REGS_RC(ctx));
            return 0;
        }
        """
    )
    probe.attach_uretprobe(name="c", sym="getppid", fn_name="on_return")
    for _ in range(7):
        os.getppid()
    assert dict(probe["results"]) == {os.getppid(): 7}


SDT = r"""
#include <unistd.h>

unsigned short step_semaphore __attribute__((section(".probes")));

/* As <sys/sdt.h> has it: a place in the code, and a note that tells of it; the argument is in a register. */
#define PROBE(NAME, SEMAPHORE, VALUE) \
    asm volatile("990: nop\n" \
        ".pushsection .note.stapsdt, \"\", \"note\"\n.balign 4\n.4byte 992f-991f, 994f-993f, 3\n" \
        "991: .asciz \"stapsdt\"\n992: .balign 4\n993: .8byte 990b, _.stapsdt.base, " SEMAPHORE "\n" \
        ".asciz \"example\"\n.asciz \"" NAME "\"\n.asciz \"4@%%eax\"\n994: .balign 4\n.popsection\n" \
        : : "a"(VALUE))

asm(".pushsection .stapsdt.base, \"aG\", \"progbits\", .stapsdt.base, comdat\n"
    ".weak _.stapsdt.base\n.hidden _.stapsdt.base\n"
    "_.stapsdt.base: .space 1\n.size _.stapsdt.base, 1\n.popsection\n");

int main(void)
{
    char go;
    write(1, "r", 1);
    read(0, &go, 1);
    for (int number = 1; number <= 7; number++) {
        PROBE("step", "0", number);
        if (step_semaphore)
            PROBE("dear", "step_semaphore", number);
    }
    return 0;
}
"""
ON_STEP = """
BPF_HASH(steps, u32, u64);
int on_step(struct pt_regs *ctx)
{
    u32 number = 0;
    bpf_usdt_readarg(1, ctx, &number);
    if (EBPF_IN_SCOPE())
        steps.increment(number);
    return 0;
}
"""


@pytest.mark.heavy(reason="BCC compiles a program in it")
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the example is in that processor's assembler")
def test_usdt(ebpf: Recording, tmp_path: Path) -> None:
    """Of a program that the test starts; with a semaphore in a process that runs, or an error that says so."""
    program = tmp_path / "example"
    subprocess.run(["gcc", "-x", "c", "-", "-o", program], input=SDT, text=True, check=True)

    def start() -> subprocess.Popen[bytes]:
        process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.read(1) == b"r"
        return process

    plain = ebpf.attach(ON_STEP, usdt={f"{program}:step": "on_step"})
    start().communicate(b"g")
    assert dict(plain["steps"]) == dict.fromkeys(range(1, 8), 1)
    with pytest.raises(ProbeError, match=r"USDT probe dear: it can't be switched on in that file .*usdt_pid=PID"):
        ebpf.attach(ON_STEP, usdt={f"{program}:dear": "on_step"})
    process = start()
    dear = ebpf.attach(ON_STEP, usdt={f"{program}:dear": "on_step"}, usdt_pid=process.pid)
    process.communicate(b"g")
    assert dict(dear["steps"]) == dict.fromkeys(range(1, 8), 1)


@pytest.mark.heavy(reason="BCC compiles a program in it")
def test_goes_with_the_window(ebpf: Recording) -> None:
    """A window's program is detached at its end, and says so."""
    before = _attachers()
    with ebpf.window() as window:
        probe = window.attach(COUNT_CALLS)
        os.getppid()
        assert probe["calls"][GETPPID] == 1
        assert len(_attachers() - before) == 1
    assert _attachers() == before
    assert repr(probe) == "<probe the program: detached>"
    with pytest.raises(EbpfError, match=r"it is detached, with its tables \(ask in the test"):
        len(probe["calls"])
    probe.detach()


def test_goes_with_a_test_that_fails(pytester: pytest.Pytester) -> None:
    """Also with one that ends by an exception."""
    before = _attachers()
    pytester.makepyfile(
        f"""
        probes = []

        def test_it(ebpf):
            probes.append(ebpf.attach({COUNT_CALLS!r}))
            assert "attached" in repr(probes[0])
            raise SystemError

        def test_next():
            assert "detached" in repr(probes[0])
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(failed=1, passed=1)
    assert _attachers() == before


def test_goes_with_a_killed_session(pytester: pytest.Pytester, until: Callable[[Callable[[], bool]], None]) -> None:
    """Though a forked child of the test lives on, which inherited what pytest had open."""
    before = _attachers()
    pytester.makepyfile(
        f"""
        import os, signal

        def test_it(ebpf):
            ebpf.attach({COUNT_CALLS!r})
            child = os.fork()
            if child == 0:
                signal.pause()
            with open("child", "w") as file:
                file.write(str(child))
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    child = int((pytester.path / "child").read_text())
    try:
        assert result.ret == -9
        until(lambda: _attachers() == before)
    finally:
        os.kill(child, signal.SIGKILL)


@pytest.mark.heavy(reason="BCC compiles a program in it")
@pytest.mark.parametrize(
    "text, message",
    [
        (
            "int x;\nint raw_tracepoint__sys_enter(void *ctx) { return colour; }",
            r"compile the program: line 2: use of undeclared identifier 'colour' \(the line is: int raw_tracepoint",
        ),
        (
            "TRACEPOINT_PROBE(sched, sched_switch)\n{\n\treturn 0;\n}\nint f(void *ctx)\n{\n\treturn colour;\n}\n",
            r"compile the program: line 7: use of undeclared identifier 'colour' \(the line is: return colour;\)",
        ),
        ("int raw_tracepoint__no_such(void *ctx) { return 0; }", r"has no tracepoint no_such|raw tracepoint"),
        ("TRACEPOINT_PROBE(sched, no_such) { return 0; }", r"compile the program|no tracepoint"),
        (
            "RAW_TRACEPOINT_PROBE(sys_enter) { return *(int *)ctx->args[0]++ + *(volatile int *)0; }",
            r"compile the program|the verifier of kernel .* refused it",
        ),
    ],
)
def test_errors(ebpf: Recording, text: str, message: str) -> None:
    """Each names its cause, and leaves nothing attached."""
    before = _attachers()
    with pytest.raises(ProbeError, match=message):
        ebpf.attach(text)
    assert _attachers() == before


@pytest.mark.heavy(reason="BCC compiles a program in it")
def test_function_that_is_not_there(ebpf: Recording) -> None:
    """In a library; what was attached before goes too: half a program is no program."""
    probe = ebpf.attach(COUNT_CALLS)
    with pytest.raises(
        ProbeError, match=r"there is no function no_such_function in the file \(it was inlined or renamed"
    ):
        probe.attach_uprobe(name="c", sym="no_such_function", fn_name="raw_tracepoint__sys_enter")
    assert repr(probe) == "<probe the program: detached>"


def test_no_bcc(ebpf: Recording, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its package is named."""
    monkeypatch.setattr(features, "SYSTEM", tmp_path)
    with pytest.raises(EngineUnavailable, match=r"attach a BCC program: the Python package of BCC .*python3-bpfcc"):
        ebpf.attach(COUNT_CALLS)


def test_headers_of_another_kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """They are left alone, as their layouts would be wrong."""
    build = tmp_path / os.uname().release / "build"
    (build / "include" / "generated").mkdir(parents=True)
    monkeypatch.setattr(features, "MODULES", tmp_path)
    assert features.installed_headers() is None
    file = build / "include" / "generated" / "utsrelease.h"
    file.write_text(f'#define UTS_RELEASE "{os.uname().release}"\n', encoding="utf-8")
    assert features.installed_headers() == build
    file.write_text(f'#define UTS_RELEASE "{os.uname().release}-other"\n', encoding="utf-8")
    assert features.installed_headers() is None


@pytest.mark.heavy(reason="BCC compiles a program in it")
def test_source_file(ebpf: Recording, tmp_path: Path) -> None:
    """Named in its errors."""
    file = tmp_path / "calls.c"
    file.write_text(COUNT_CALLS, encoding="utf-8")
    probe = ebpf.attach(src_file=file)
    os.getppid()
    assert probe["calls"][GETPPID] == 1
    with pytest.raises(ProbeError, match=r"read .*other\.c: No such file or directory"):
        ebpf.attach(src_file=tmp_path / "other.c")
    file.write_text("int broken", encoding="utf-8")
    with pytest.raises(ProbeError, match=r"compile .*calls\.c: line 1: expected"):
        ebpf.attach(src_file=file)


def test_program_of_a_plugin(pytester: pytest.Pytester) -> None:
    """By its file's name, from any folder; a file of the test's own by that name goes first."""
    shipped = pytester.mkdir("shipped") / "calls.c"
    shipped.write_text(COUNT_CALLS, encoding="utf-8")
    pytester.makeconftest(f"def pytest_ebpf_snippets(): return [{str(shipped)!r}]")
    pytester.makepyfile(
        f"""
        import os
        from pathlib import Path
        import pytest
        from pytest_ebpf import ProbeError

        def test_it(ebpf, tmp_path, monkeypatch):
            monkeypatch.chdir(tmp_path)
            probe = ebpf.attach(src_file="calls.c")
            os.getppid()
            assert probe["calls"][{GETPPID}] == 1
            with pytest.raises(ProbeError, match=r"read other\\.c: No such file .*plugins ship calls\\.c"):
                ebpf.attach(src_file="other.c")
            Path("calls.c").write_text("BPF_HASH(mine);")
            assert ebpf.attach(src_file="calls.c").tables == ("mine",)
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_arguments(ebpf: Recording) -> None:
    """One source, and flags that are no single string."""
    with pytest.raises(TypeError, match=r"text=\.\.\. or as src_file=\.\.\., and one of the two"):
        ebpf.attach()
    with pytest.raises(TypeError, match=r"cflags is a sequence of strings, as \['-DX'\]"):
        ebpf.attach(COUNT_CALLS, cflags="-DX")


KPROBE = """
BPF_HASH(connects, u32, u64);
int kprobe__tcp_v4_connect(struct pt_regs *ctx)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    if (EBPF_IN_SCOPE())
        connects.increment(pid);
    return 0;
}
"""


def test_kprobe(ebpf: Recording) -> None:
    """By the function's name; or the kernel was built without, and the error says that."""
    if not HAS_KPROBES:
        with pytest.raises(ProbeError, match=r"to kprobe tcp_v4_connect: kernel \S+ was built without kprobes"):
            ebpf.attach(KPROBE)
        return
    probe = ebpf.attach(KPROBE)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass
    assert dict(probe["connects"]) == {os.getpid(): 1}


@pytest.mark.heavy(reason="BCC compiles a program in it")
def test_one_of_forty_is_missing(ebpf: Recording) -> None:
    """Nothing of the other thirty-nine stays."""
    functions = [f"int kprobe__vfs_{name}(void *ctx) {{ return 0; }}" for name in ("read", "write", "open", "fsync")]
    functions += [f"int kprobe__pytest_ebpf_no_such_{number}(void *ctx) {{ return 0; }}" for number in range(36)]
    before = _attachers()
    with pytest.raises(ProbeError, match=r"has no such function: it was inlined or renamed|without kprobes"):
        ebpf.attach("\n".join(functions))
    assert _attachers() == before
