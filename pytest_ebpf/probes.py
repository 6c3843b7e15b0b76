"""A user's own BCC program around a test: attach it, read its tables and streams, and let it go with the window.

The program runs in a process of its own (engines/attacher.py); nothing of it is in pytest but a socket.
"""

from __future__ import annotations

import difflib
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, ItemsView, Iterator, Mapping, Sequence, ValuesView
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from . import features
from .engines import attacher
from .errors import EbpfError, EngineUnavailable, InconclusiveRecording, ProbeError
from .notation import escape

__all__ = ["Probe", "Table", "attach"]

START_SECONDS = 60
STOP_SECONDS = 10
LOG_LINES = 20
CLOSE_NAMES = 3
KPROBES = Path("/sys/bus/event_source/devices/kprobe")
KALLSYMS = Path("/proc/kallsyms")
BAR_COLUMNS = 40
_MESSAGE = re.compile(r"^/virtual/main\.c:(\d+):\d+: (?:fatal )?error: (.*)$", re.MULTILINE)
_VIRTUAL = re.compile(r"/virtual/main\.c(:\d+:\d+)?")
_NO_FUNCTION = re.compile(r"Failed to attach BPF program b?'[^']*' to (kprobe|kretprobe) b?'([^']+)'")
_NO_SYMBOL = re.compile(r"could not determine address of symbol b?'?([^'\s]+)")
_NO_USDT = re.compile(r"Failed to enable USDT probe '([^']*)'")
_NO_TRACEPOINT = re.compile(r"Failed to attach BPF program b?'[^']*' to (?:raw )?tracepoint b?'?([^'\s]+?)'?$")


class Silence(Protocol):
    """What keeps the plugin's own calls out of the recording."""

    def __call__(self, *, entirely: bool = False) -> AbstractContextManager[None]:
        """A stretch that isn't recorded on this thread."""


class Probe:
    """A program of the user's, attached.

    >>> probe = ebpf.attach(text="BPF_HASH(calls); TRACEPOINT_PROBE(block, block_rq_issue) { ... }")
    >>> probe["calls"][0]
    7
    """

    def __init__(self, name: str, silently: Silence) -> None:
        self._name = name
        self._silently = silently
        self._lock = threading.Lock()
        self._channel: socket.socket | None = None
        self._pid = 0
        self.tables: tuple[str, ...] = ()
        """Names of the program's tables."""
        self.streams: tuple[str, ...] = ()
        """Names of its perf and ring buffers."""

    def __repr__(self) -> str:
        return f"<probe {self._name}: {'detached' if self._channel is None else 'attached'}>"

    def __getitem__(self, table: str) -> Table:
        """One table, as a mapping. Raises KeyError with the names there are."""
        if table not in self.tables or table in self.streams:
            names = ", ".join(sorted(set(self.tables) - set(self.streams))) or "none"
            raise KeyError(f"{escape(table)}: the program has no such table (tables: {names})")
        return Table(self, table)

    def events(self, stream: str) -> list[Any]:
        """All that a perf or ring buffer has given so far, in order: a dict for a struct, else bytes.

        Raises InconclusiveRecording if events may be lost.
        """
        if stream not in self.streams:
            names = ", ".join(self.streams) or "none"
            raise KeyError(f"{escape(stream)}: the program has no such perf or ring buffer (there are: {names})")
        found, lost, left_out = self._ask("events", {"stream": stream})
        self._check_runs(stream, left_out)
        if lost:
            raise InconclusiveRecording(
                f"read {stream} of {self._name}: events may be lost, as its buffer was full "
                "(ask for the events more often, or send fewer: EBPF_IN_SCOPE())"
            )
        return list(found)

    def _check_runs(self, what: str, left_out: int) -> None:
        if left_out:
            raise InconclusiveRecording(
                f"read {what} of {self._name}: the kernel left out {left_out:,} runs of the program, as another eBPF "
                "program was at work on that processor (attach it to fewer places, or let it do less in each; from "
                "Linux 7.0 on, where RAW_TRACEPOINT_PROBE can be preempted, use TRACEPOINT_PROBE)"
            )

    def printed(self) -> list[str]:
        """What bpf_trace_printk has written since the program was attached, a message each.

        The kernel has one buffer for all programs: what others print meanwhile is among it. Raises
        InconclusiveRecording if it has overflowed.
        """
        found, lost = self._ask("printed", {})
        if lost:
            raise InconclusiveRecording(
                f"read what {self._name} printed: messages may be lost, as the kernel's trace buffer was full "
                "(ask more often, print less, or use BPF_PERF_OUTPUT)"
            )
        return list(found)

    def get_syscall_fnname(self, name: str) -> str:
        """BCC's: the kernel's function for a system call, for `attach_kprobe`."""
        return str(self._ask("syscall_function", {"name": name}))

    def attach_kprobe(self, *, event: str, fn_name: str) -> None:
        """BCC's: run ``fn_name`` when the kernel enters the function ``event``."""
        self._attach("kprobe", event=event, fn_name=fn_name)

    def attach_kretprobe(self, *, event: str, fn_name: str) -> None:
        """BCC's: when the kernel leaves the function ``event``."""
        self._attach("kretprobe", event=event, fn_name=fn_name)

    def attach_tracepoint(self, *, tp: str, fn_name: str) -> None:
        """BCC's: at the tracepoint ``tp``, as "block:block_rq_issue"."""
        self._attach("tracepoint", tp=tp, fn_name=fn_name)

    def attach_raw_tracepoint(self, *, tp: str, fn_name: str) -> None:
        """BCC's: at the tracepoint ``tp``, with its bare arguments."""
        self._attach("raw_tracepoint", tp=tp, fn_name=fn_name)

    def attach_uprobe(self, *, name: str, fn_name: str, sym: str = "", addr: int | None = None, pid: int = -1) -> None:
        """BCC's: when a process enters the function ``sym`` of the library or program ``name``."""
        self._attach("uprobe", name=name, sym=sym, addr=addr, fn_name=fn_name, pid=pid)

    def attach_uretprobe(
        self, *, name: str, fn_name: str, sym: str = "", addr: int | None = None, pid: int = -1
    ) -> None:
        """BCC's: when a process leaves the function ``sym`` of ``name``."""
        self._attach("uretprobe", name=name, sym=sym, addr=addr, fn_name=fn_name, pid=pid)

    def attach_perf_event(
        self, *, ev_type: int, ev_config: int, fn_name: str, sample_period: int = 0, sample_freq: int = 0
    ) -> None:
        """BCC's: at every ``sample_period`` events of a counter, as perf_event_open numbers them."""
        self._attach(
            "perf_event",
            ev_type=ev_type,
            ev_config=ev_config,
            fn_name=fn_name,
            sample_period=sample_period,
            sample_freq=sample_freq,
        )

    def detach(self) -> None:
        """Take the program out of the kernel, with its tables. Harmless if it is detached."""
        if self._channel is None:
            return
        with self._silently(entirely=True), self._lock:
            self._end()

    # -- the other process --------------------------------------------------------------------------------------

    def _start(self, request: Mapping[str, Any], childless: Callable[[], AbstractContextManager[None]]) -> None:
        ours, theirs = socket.socketpair()
        owner = os.pidfd_open(os.getpid())
        try:
            with theirs, childless():
                subprocess.run(
                    [sys.executable, "-I", "-S", "-B", attacher.__file__, str(theirs.fileno()), str(owner)],
                    pass_fds=(theirs.fileno(), owner),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    timeout=START_SECONDS,
                    check=False,
                )
        finally:
            os.close(owner)
        ours.settimeout(START_SECONDS)
        self._channel = ours
        self._text: str = request["text"]
        self._pid = attacher.receive(ours)
        described = self._request("start", request)
        self.tables, self.streams = tuple(described["tables"]), tuple(described["streams"])

    def _attach(self, what: str, **arguments: Any) -> None:
        given = {name: value for name, value in arguments.items() if value not in (None, "")}
        self._ask("attach", {"method": f"attach_{what}", "arguments": given})

    def _ask(self, method: str, request: Mapping[str, Any]) -> Any:
        if self._channel is None:
            raise EbpfError(
                f"read {self._name}: it is detached, with its tables "
                "(ask in the test, while its window is open, or keep what dict(probe[table]) gave)"
            )
        with self._silently(entirely=True), self._lock:
            return self._request(method, request)

    def _request(self, method: str, request: Mapping[str, Any]) -> Any:
        """Ask; whatever goes wrong, nothing stays attached."""
        assert self._channel is not None
        try:
            attacher.send(self._channel, (method, dict(request)))
            status, *values = attacher.receive(self._channel)
        except (EOFError, OSError) as error:
            self._end()
            raise ProbeError(f"run {self._name}", f"BCC's process ended or hung ({type(error).__name__})") from error
        except BaseException:  # a signal's handler: what was half said can't be taken up again
            self._end()
            raise
        if status == "error":
            if method in ("start", "attach"):
                self._end()
            raise _explained(self._name, self._text, *values) from None
        return values[0]

    def _end(self) -> None:
        channel, self._channel = self._channel, None
        if channel is None:
            return
        try:
            process = os.pidfd_open(self._pid) if self._pid else -1
        except ProcessLookupError:
            process = -1
        channel.close()
        if process < 0:
            return
        try:
            if not select.select([process], [], [], STOP_SECONDS)[0]:
                signal.pidfd_send_signal(process, signal.SIGKILL)
        finally:
            os.close(process)


class Table(Mapping[Any, Any]):
    """A table of a user's program, read anew each time it is asked.

    Keys and values are integers, bytes (of a char array), lists (of another array, or one for each processor), or, for
    a struct, a tuple of its fields as a key and a dict as a value.

    Reading raises InconclusiveRecording if the kernel left out runs of the program.
    """

    def __init__(self, probe: Probe, name: str) -> None:
        self._probe = probe
        self._name = name

    def __repr__(self) -> str:
        return f"<table {self._name}: {self._read()!r}>"

    def __getitem__(self, key: Any) -> Any:
        return self._read()[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def items(self) -> ItemsView[Any, Any]:
        """Keys with their values, of one reading of the table; what they would be one by one takes a reading each."""
        return self._read().items()

    def values(self) -> ValuesView[Any]:
        """The values, of one reading of the table."""
        return self._read().values()

    def histogram(self, unit: str = "") -> str:
        """A drawing of a BPF_HISTOGRAM that counts by bpf_log2l: a row for each power of two.

        >>> print(probe["latency"].histogram("µs"))
                 µs          count
             0 - 1               0 |                                        |
             2 - 3               7 |****************************************|
        """
        counts = {slot: count for slot, count in self._read().items() if isinstance(slot, int) and count}
        rows = [f"{unit:>20} {'count':>12}"]
        top = max(counts.values(), default=0)
        for slot in range(1, max(counts, default=0) + 1):
            low, high = (1 << slot) >> 1, (1 << slot) - 1
            bar = "*" * (BAR_COLUMNS * counts.get(slot, 0) // top)
            rows.append(f"{0 if slot == 1 else low:>9} - {high:<8} {counts.get(slot, 0):>12} |{bar:<{BAR_COLUMNS}}|")
        return "\n".join(rows) if counts else f"{rows[0]}\n{'nothing was counted':>33}"

    def _read(self) -> dict[Any, Any]:
        found, left_out = self._probe._ask("items", {"table": self._name})
        self._probe._check_runs(self._name, left_out)
        return {_hashable(key): value for key, value in found}


def attach(
    silently: Silence,
    childless: Callable[[], AbstractContextManager[None]],
    scope: Mapping[str, Any],
    maps: Mapping[str, int],
    *,
    text: str | None,
    src_file: str | os.PathLike[str] | None,
    cflags: Sequence[str],
    usdt: Mapping[str, str],
    usdt_pid: int | None,
    snippets: Mapping[str, Path],
) -> Probe:
    """Compile and attach a program; ``scope`` and ``maps`` are what EBPF_IN_SCOPE() asks.

    A ``src_file`` that is not there is looked for among the ``snippets`` of plugins, by its name.

    While ``childless``, what this thread starts is not recorded.

    Raises EngineUnavailable without BCC, ProbeError if it doesn't compile or attach; then nothing is attached.
    """
    if (text is None) == (src_file is None):
        raise TypeError("attach() takes the program as text=... or as src_file=..., and one of the two")
    if isinstance(cflags, str):
        raise TypeError(f"attach(): cflags is a sequence of strings, as [{cflags!r}]")
    name = "the program"
    if src_file is not None:
        name = escape(os.fspath(src_file))
        path = Path(src_file)
        if not path.exists():
            path = snippets.get(os.fspath(src_file), path)
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            shipped = f"plugins ship {', '.join(map(escape, sorted(snippets)))}" if snippets else ""
            raise ProbeError(f"read {name}", os.strerror(error.errno or 0), shipped) from error
    package = features.bcc_package()
    if package is None:
        raise EngineUnavailable(
            "attach a BCC program",
            "the Python package of BCC is not in any of the distribution's folders",
            features.BCC_HINT,
        )
    probe = Probe(name, silently)
    probe._start(
        {
            "package": str(package),
            "text": text,
            "cflags": [*cflags],
            "usdt": dict(usdt),
            "scope": dict(scope),
            "maps": dict(maps),
            "usdt_pid": usdt_pid,
        },
        childless,
    )
    return probe


def _hashable(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple(_hashable(each) for each in value.values())
    return tuple(_hashable(each) for each in value) if isinstance(value, list) else value


def _explained(name: str, text: str, cause: str, messages: str) -> ProbeError | EngineUnavailable:
    """What BCC said, in the user's terms."""
    found = _MESSAGE.search(messages)
    if found is not None:
        lines = text.splitlines()
        number = _line_number(lines, int(found[1]), messages[found.end() :].lstrip("\n").partition("\n")[0])
        line = lines[number - 1].strip() if 0 < number <= len(lines) else ""
        log = _VIRTUAL.sub(name.replace("the program", "text"), messages)
        return ProbeError(f"compile {name}", f"line {number}: {found[2]}", f"the line is: {line}", _first(log))
    if cause.startswith("ImportError: "):
        return EngineUnavailable(f"attach {name}", escape(cause.removeprefix("ImportError: ")), features.BCC_HINT)
    function = _NO_FUNCTION.search(cause)
    if function is not None:
        return ProbeError(f"attach {name} to {function[1]} {function[2]}", *_no_function(function[2]))
    probe = _NO_USDT.search(cause)
    if probe is not None:
        hint = "see `readelf -n` of it; one with a semaphore is switched on in one running process: give usdt_pid=PID"
        return ProbeError(f"attach {name} to USDT probe {probe[1]}", "it can't be switched on in that file", hint)
    symbol = _NO_SYMBOL.search(cause)
    if symbol is not None:
        hint = "it was inlined or renamed, or the file is another one: see `nm -D` of it"
        return ProbeError(f"attach {name}", f"there is no function {symbol[1]} in the file", hint)
    if "processed" in messages and "insns" in messages:
        lines = [line for line in messages.splitlines() if line.strip()]
        hint = f"the verifier of kernel {os.uname().release} refused it: its last lines follow"
        return ProbeError(f"load {name}", escape(cause), hint, "\n".join(lines[-LOG_LINES:]))
    if "Operation not permitted" in messages or "Permission denied" in messages:
        return _not_permitted(name, messages)
    tracepoint = _NO_TRACEPOINT.search(cause)
    if tracepoint is not None:
        return ProbeError(f"attach {name}", f"kernel {os.uname().release} has no tracepoint {tracepoint[1]}")
    return ProbeError(f"attach {name}", escape(cause), "", _first(messages))


def _line_number(lines: Sequence[str], number: int, quoted: str) -> int:
    """Where the quoted line stands in the user's text: BCC puts a struct before each TRACEPOINT_PROBE."""
    found = [at for at, line in enumerate(lines, 1) if line.strip() == quoted.strip() and at <= number]
    return found[-1] if found else number


def _no_function(function: str) -> tuple[str, str]:
    """Why a kprobe on this function fails, and what to do."""
    release = os.uname().release
    if not KPROBES.exists():
        return f"kernel {release} was built without kprobes", "use a tracepoint, or another kernel"
    names = {line.split()[2] for line in KALLSYMS.read_text(encoding="utf-8", errors="replace").splitlines()}
    if function in names:
        return f"kernel {release} doesn't let this function be traced", "take one that it calls, or that calls it"
    copies = sorted(name for name in names if name.startswith(f"{function}."))
    close = copies or difflib.get_close_matches(function, names, CLOSE_NAMES)
    hint = f"perhaps {', '.join(close)}" if close else "ask `grep NAME /proc/kallsyms`"
    return f"kernel {release} has no such function: it was inlined or renamed", hint


def _not_permitted(name: str, messages: str) -> ProbeError | EngineUnavailable:
    if mode := features.lockdown():
        return EngineUnavailable(f"attach {name}", f"the kernel is locked down ({mode})", features.LOCKDOWN_HINT)
    return EngineUnavailable(f"attach {name}", "the kernel doesn't permit it", f"run as root. {_first(messages)}")


def _first(messages: str) -> str:
    return "\n".join(line for line in messages.splitlines()[:LOG_LINES] if line.strip())
