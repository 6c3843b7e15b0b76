"""What is asked of the kinds of events has the same answer as when each event is asked for itself."""

from __future__ import annotations

import contextlib
import struct
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_ebpf import InconclusiveRecording, syscalls
from pytest_ebpf.alike import Alike, alike
from pytest_ebpf.assertions import Assertions
from pytest_ebpf.decode import (
    BLOB_HEADER,
    CALL_KIND,
    EVENT,
    RING_KIND,
    SINGULAR,
    Blob,
    BlobFlag,
    BlobKind,
    RawCall,
    deciding,
    decode_call,
)
from pytest_ebpf.engines.shapes import HEADER_BYTES
from pytest_ebpf.errors import SiblingCallWarning
from pytest_ebpf.events import Address, File, Gap, SyscallEvent
from pytest_ebpf.files import FILE_NOTE, Files
from pytest_ebpf.match import Query, effect_query, query
from pytest_ebpf.recording import Recording
from pytest_ebpf.scope import process_of
from pytest_ebpf.session import Session
from pytest_ebpf.store import REMEMBERED, STRIDE, Store
from pytest_ebpf.syscalls import is_opaque
from pytest_ebpf.testing import FakeEngine

from .builders import contents, parse_blob

TABLE = syscalls.table()
CHILD, THREAD = 500_001, 500_002
PATHS = ["/etc/passwd", "passwd", "../etc/passwd", "/tmp/made", "made", "/tmp/link", "", "/nowhere/file"]
FILES = [
    "/etc/passwd",
    "/tmp/made",
    File("directory", path="/etc", inode=7),
    File("file", path="/tmp/gone", deleted=True, inode=9),
    File("file", path_cut=True, inode=5),
    File("pipe", inode=3),
    File("anonymous", name="[eventpoll]", inode=4),
    Address("AF_INET", "127.0.0.1", 80),
    Address("AF_INET", "192.0.2.1", 53),
    Address("AF_UNIX", path="/run/x"),
]
ADDRESSES = FILES[-3:]
CALLS = [
    "openat", "openat", "read", "write", "close", "renameat2", "unlinkat", "newfstatat", "symlinkat", "mkdirat", "mmap",
    "fcntl", "fsync", "ftruncate", "truncate", "fchmodat", "linkat", "connect", "sendto", "sendmmsg", "recvmsg", "dup3",
    "copy_file_range", "execve", "getppid", "kill", "io_submit", "mount", "fstat",
]  # fmt: skip
RING_CALLS = ["IORING_OP_OPENAT", "IORING_OP_UNLINKAT", "IORING_OP_SEND", "IORING_OP_READ"]
NUMBERS = [(1 << 64) - 100, 0, 1, 2, 3, 5, 0o1101, 0x241, 4096, 1 << 40]
REGISTERS = st.sampled_from(NUMBERS)
STEPS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(CALLS),
        "args": st.lists(REGISTERS, max_size=6),
        "path": st.lists(st.sampled_from(PATHS), max_size=2),
        "base": st.sampled_from(["/", "/etc", "/tmp"]),
        "file": st.lists(st.sampled_from(FILES), max_size=2),
        "address": st.lists(st.sampled_from(ADDRESSES), max_size=2),
        "ret": st.sampled_from([0, 1, 3, 3, 10, -2, -9, -14, -115]),
        "unread": st.sampled_from([0, 0, 0, 0, 1, 2, 3]),
        "lost": st.sampled_from([0, 0, 0, 0, 1, 2]),
        "flags": st.sampled_from([0] * 12 + [1, 2, 8]),
        "tid": st.sampled_from([None, None, CHILD, THREAD]),
        "times": st.sampled_from([1, 1, 2, 5]),
        "flying": st.sampled_from([False] * 9 + [True]),
        "window": st.sampled_from([False] * 9 + [True]),
        "look": st.sampled_from([False] * 5 + [True]),
        "ring": st.sampled_from([None] * 12 + RING_CALLS),
    }
)
CHANGES = st.tuples(
    STEPS, st.lists(st.sampled_from(["path", "file", "args", "ret", "tid", "unread", "name"]), max_size=2)
)


@st.composite
def made_up(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Calls of which many are like the one before but for a thing or two."""
    found: list[dict[str, Any]] = []
    for step, changed in draw(st.lists(CHANGES, min_size=1, max_size=20)):
        same = bool(found) and draw(st.integers(0, 3))
        found.append({**found[-1], **{key: step[key] for key in changed}} if same else step)
    return found


QUERIES: list[tuple[tuple[str, ...], dict[str, Any]]] = [
    (("openat",), {"path": "/etc/passwd"}),
    ((), {"path": "*/passwd"}),
    ((), {"path": lambda path: path.endswith("made"), "ret": 3}),
    (("%file",), {"ok": True, "path": "/tmp/*"}),
    (("%desc",), {"fd": 3}),
    (("openat",), {"flags": "O_CREAT"}),
    (("openat",), {"dfd": -100, "mode": lambda mode: mode}),
    ((), {"address": "loopback"}),
    ((), {"port": 53, "process": "children"}),
    ((), {"errno": "ENOENT", "comm": "python"}),
    (("read", "write"), {"nbytes": range(2, 20)}),
    ((), {"where": lambda event: event.ret == 3 and event.path is not None}),
    ((), {"where": lambda event: event.result_file is not None, "path": "/etc/*"}),
    (("getppid",), {}),
    (("newfstatat",), {"filename": "passwd"}),
    ((), {"tid": THREAD}),
    ((), {"exe": "cat"}),
]
EFFECT_QUERIES: list[dict[str, Any]] = [
    {},
    {"op": "write", "path": "/etc/*"},
    {"op": ["open", "create"], "ok": True},
    {"path": "/tmp/made"},
    {"nbytes": range(1, 5)},
    {"flags": "O_CREAT"},
    {"kind": "directory"},
    {"where": lambda event: event.nbytes == 3},
]
ASSERTIONS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("assert_no_syscall", ("openat",), {"path": "/etc/passwd"}),
    ("assert_no_syscall", (), {"path": "/tmp/gone"}),
    ("assert_no_syscall", ("kill",), {}),
    ("assert_syscall", ("openat",), {"path": "*/passwd"}),
    ("assert_syscall", ("%file",), {"ok": False, "count": 2}),
    ("assert_no_file_access", ("/etc/passwd",), {}),
    ("assert_no_file_access", ("/tmp/made",), {"ops": "write"}),
    ("assert_no_file_access", (lambda path: "nowhere" in path,), {}),
    ("assert_only_writes_under", ("/tmp",), {}),
    ("assert_only_writes_under", ("/etc",), {}),
    ("assert_only_reads_under", ("/etc", "/tmp"), {}),
    ("assert_file_opened", ("/etc/passwd",), {"mode": "r"}),
    ("assert_max", (), {"bytes_read": 5, "opens": 2, "openat": 3, "syscalls": 40, "bytes_written": 0}),
    ("assert_durable", ("/tmp/made",), {}),
    ("assert_no_network", (), {"allow": ["loopback"]}),
    ("assert_no_exec", (), {}),
]


class Witness(Store):
    """Keeps beside what the store takes what one needs to decode each event for itself, as it came."""

    last: Witness

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        Witness.last = self
        self.came: list[RawCall] = []
        self.sent: dict[int, list[Blob]] = {}
        self.known = Files()

    def take_blobs(self, region: bytes, *, only_of_notes: bool = False) -> None:
        """Both ways."""
        super().take_blobs(region, only_of_notes=only_of_notes)
        for data in contents(region):
            blob = parse_blob(memoryview(data))
            if blob.kind == BlobKind.FILE:
                self.known.learn(blob.call, blob.flags, blob.data)
            else:
                self.sent.setdefault(blob.call, []).append(blob)

    def take_events(self, block: bytes) -> list[tuple[RawCall, list[Blob]]]:
        """Both ways."""
        rows = range(0, len(block), STRIDE)
        self.came += [RawCall(EVENT.unpack_from(block, row + HEADER_BYTES)) for row in rows]
        return super().take_events(block)


class Slow(Assertions):
    """The same recording, in which each event is decoded and asked for itself."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        recording.syscalls("swapoff")  # takes over what the rings hold
        self.events_of = self._decoded()

    def _decoded(self) -> list[SyscallEvent]:
        session, store = self._recording._session, Witness.last
        flying = session._in_flight()
        raws = [(raw, False) for raw in store.came if raw.kind in (CALL_KIND, RING_KIND)]
        raws += [(raw, True) for raw in flying]
        images = session.scope.images
        return [
            decode_call(
                raw,
                store.sent.get(raw.call, ()),
                store.known,
                process_of(images, raw.image, raw.pid, raw.comm),
                TABLE,
                started=images.get(raw.call),
                in_flight=in_flight,
            )
            for raw, in_flight in sorted(raws, key=lambda each: each[0].entry_ns)
            if raw.segment in self._recording._part
        ]

    def _events(self, names: frozenset[str] | None) -> Sequence[SyscallEvent]:
        return [event for event in self.events_of if names is None or event.name in names]

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Those of the recording, as `test_gaps` has them."""
        return self._recording.gaps

    @property
    def _table(self) -> syscalls.Table:
        return TABLE

    @property
    def _start_ns(self) -> int:
        return self._recording._start_ns


@pytest.fixture(scope="module", autouse=True)
def _witnessed() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pytest_ebpf.session.Store", Witness)
        yield


@contextlib.contextmanager
def recorded(steps: list[dict[str, Any]]) -> Iterator[list[Recording]]:
    """The recording of made-up calls, and of a window in it."""
    engine = FakeEngine()
    with engine.recording() as recording, contextlib.ExitStack() as stack:
        engine.fork(CHILD)
        engine.exec(CHILD, "/bin/cat", ["cat"])
        engine.fork(THREAD, thread=True)
        found = [recording]
        for step in steps:
            make(engine, **step)
            if step["window"] and len(found) == 1:
                found.append(stack.enter_context(recording.window()))
            if step["look"]:
                recording.syscalls("swapoff")
        yield found


def make(
    engine: FakeEngine,
    *,
    name: str,
    args: list[int],
    tid: int | None,
    times: int,
    flying: bool,
    ring: str | None,
    **said: Any,
) -> None:
    """One call, perhaps several times; what can't be isn't made."""
    said = {key: value for key, value in said.items() if key not in ("window", "look")}
    if ring is not None:
        said = {key: said[key] for key in ("path", "base", "file", "address", "unread", "lost")}
        with contextlib.suppress(ValueError):
            engine.ring(ring, *args, **said, tid=tid)
        return
    kinds = [argument.kind for argument in TABLE.by_number(TABLE.number(name) or 0).args]
    said["path"] = said["path"][: kinds.count("path")]
    said["file"] = said["file"][: kinds.count("fd")]
    if not {"sockaddr", "sockaddr_out", "mmsghdr", "msghdr", "msghdr_out"} & set(kinds):
        said["address"] = []
    if engine._tasks[tid or engine_pid(engine)].flying is not None:
        engine.finish(said["ret"], tid)
    for last in range(times - 1, -1, -1):
        in_flight = flying and not last and tid is not None  # who asks is inside of no call
        engine.call(name, *args[: len(kinds)], **said, tid=tid, in_flight=in_flight)


def engine_pid(engine: FakeEngine) -> int:
    """The pytest process."""
    return min(engine._tasks)


def same(fast: Sequence[SyscallEvent], slow: Sequence[SyscallEvent]) -> None:
    """In every field, and as text."""
    assert list(fast) == list(slow)
    assert [str(event) for event in fast] == [str(event) for event in slow]


@settings(max_examples=50)
@given(made_up())
def test_queries(steps: list[dict[str, Any]]) -> None:
    """Each finds the same events, and can't tell of the same."""
    with recorded(steps) as recordings:
        for recording in recordings:
            fast = recording._events(None)
            slow = Slow(recording)
            assert isinstance(fast, Alike)
            same(fast, slow._events(None))
            assert len(fast) == len(slow._events(None))
            for names, filters in QUERIES:
                asked = query(TABLE, *names, **filters)
                expected: list[list[SyscallEvent]] = [[], []]
                for event in slow._events(asked.names):
                    answer = asked.test(event)
                    if answer is not False:
                        expected[answer is None].append(event)
                found, unsure = asked.select(recording._events(asked.names))
                same(found, expected[0])
                same(unsure, expected[1])


@settings(max_examples=50)
@given(made_up())
def test_effects(steps: list[dict[str, Any]]) -> None:
    """Of files: the same, in the same order, and the same of them match."""
    with recorded(steps) as recordings:
        for recording in recordings:
            fast, slow = recording._file_effects(), Slow(recording)._file_effects()
            assert list(fast) == list(slow)
            assert len(fast) == len(list(slow))
            for filters in EFFECT_QUERIES:
                asked = effect_query(TABLE, "files", **filters)
                found, unsure = asked.select(fast)
                assert list(found) == [event for event in slow if asked.test(event)]
                assert list(unsure) == [event for event in slow if asked.test(event) is None]


def differences(name: str) -> Iterator[dict[str, Any]]:
    """Calls of one name: one, and each that differs from it in one thing, alone and with no path or an empty one."""
    plain: dict[str, Any] = {
        "name": name,
        "args": [3] * 6,
        "path": ["passwd", "made"],
        "base": "/etc",
        "file": FILES[:2],
        "address": ADDRESSES[:1],
        "ret": 3,
        "unread": 0,
        "lost": 0,
        "flags": 0,
        "tid": None,
        "times": 1,
        "flying": False,
        "window": False,
        "look": False,
        "ring": None,
    }
    for paths in [["passwd", "made"], []] if name != "sendmmsg" else [[]]:
        base = {**plain, "path": paths}
        yield base
        for place in range(6):
            yield from ({**base, "args": [*[3] * place, number, *[3] * (5 - place)]} for number in NUMBERS)
        varied: dict[str, list[Any]] = {
            "path": [[path, "made"] for path in PATHS],
            "base": ["/", "/tmp"],
            "file": [[each, FILES[1]] for each in FILES] + [[FILES[0], each] for each in FILES] + [[]],
            "address": [[each] for each in ADDRESSES] + [ADDRESSES, []],
            "ret": [0, 1, 2, 10, -2, -9, -14, -115],
            "unread": [1, 2, 4],
            "lost": [1, 2, 4],
            "flags": [1, 2, 8],
            "tid": [CHILD, THREAD],
        }
        for key, values in varied.items():
            yield from ({**base, key: value} for value in values)


@pytest.mark.parametrize("name", sorted({*CALLS}))
def test_each_difference(name: str) -> None:
    """No two calls are taken for alike that differ in what a question may ask."""
    with recorded([*differences(name)]) as (recording,):
        slow = Slow(recording)
        same(recording._events(None), slow._events(None))
        assert list(recording._file_effects()) == list(slow._file_effects())
        for names, filters in QUERIES:
            asked = query(TABLE, *names, **filters)
            found, unsure = asked.select(recording._events(asked.names))
            answers = [(event, asked.test(event)) for event in slow._events(asked.names)]
            assert list(found) == [event for event, answer in answers if answer]
            assert list(unsure) == [event for event, answer in answers if answer is None]
        for filters in EFFECT_QUERIES:
            asked = effect_query(TABLE, "files", **filters)
            effects, doubtful = asked.select(recording._file_effects())
            verdicts = [(event, asked.test(event)) for event in slow._file_effects()]
            assert list(effects) == [event for event, answer in verdicts if answer]
            assert list(doubtful) == [event for event, answer in verdicts if answer is None]
        if name in ("openat", "read", "write", "renameat2", "sendmmsg", "unlinkat"):
            for assertion, args, kwargs in ASSERTIONS:
                assert verdict(recording, assertion, args, kwargs) == verdict(slow, assertion, args, kwargs)


def test_names_that_move(tmp_path: Path) -> None:
    """The same call on the same path leads elsewhere once a name on the way was taken away."""
    engine = FakeEngine()
    folder = f"{tmp_path}/folder"
    with engine.recording() as recording:
        engine.call("mkdir", path=folder)
        for _ in range(2):
            engine.call("chmod", path=f"{folder}/file")
        engine.call("rmdir", path=folder)
        engine.call("chmod", path=f"{folder}/file")
        slow = Slow(recording)
        with pytest.raises(InconclusiveRecording):
            slow.assert_only_writes_under(tmp_path)
        for assertion, args in (
            ("assert_only_writes_under", (folder,)),
            ("assert_only_writes_under", (tmp_path,)),
            ("assert_no_file_access", (f"{folder}/other",)),
        ):
            assert verdict(recording, assertion, args, {}) == verdict(slow, assertion, args, {})


def verdict(recording: Assertions, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, list[str]]:
    """What came of an assertion; the lines of its text in any order, as those of one kind are judged together."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", SiblingCallWarning)
        try:
            getattr(recording, name)(*args, **kwargs)
        except (AssertionError, InconclusiveRecording) as error:
            return type(error).__name__, sorted(str(error).splitlines())
    return "holds", [str(warning.message) for warning in warned]


@settings(max_examples=50)
@given(made_up())
def test_assertions(steps: list[dict[str, Any]]) -> None:
    """Each has the same verdict and names the same events."""
    with recorded(steps) as recordings:
        for recording in recordings:
            slow = Slow(recording)
            for name, args, kwargs in ASSERTIONS:
                assert verdict(recording, name, args, kwargs) == verdict(slow, name, args, kwargs), (name, args)


@settings(max_examples=50)
@given(made_up())
def test_gaps(steps: list[dict[str, Any]]) -> None:
    """As many unread arguments, foreign calls and opaque operations as there are events that have them."""
    with recorded(steps) as recordings:
        for recording in recordings:
            told = Counter[str]()
            slow = Slow(recording)
            for raw in [*Witness.last.came, *recording._session._in_flight()]:
                if raw.kind not in (CALL_KIND, RING_KIND) or raw.segment not in recording._part:
                    continue
                if raw.flags & 1:
                    told["another ABI"] += 1
                    continue
                name = TABLE.by_number(raw.nr).name
                if name == "io_submit" and raw.unread and raw.ret > 0:
                    told["kernel aio"] += raw.ret
                if raw.kind == RING_KIND and is_opaque(name):
                    told["doesn't show"] += 1
            for event in slow._events(None):
                marked = any(
                    (raw.unread or raw.lost) and not raw.flags & 1
                    for raw in Witness.last.came
                    if (raw.tid, raw.entry_ns) == (event.tid, event.timestamp_ns) and not event.in_flight
                )
                for what in event.unread & {"path", "address"} if marked else ():
                    told[f"the {what} of"] += 1
            found = Counter[str]()
            for gap in recording.gaps:
                if "the recorder didn't see it" in gap.reason:
                    continue  # of an execve that was made up without what comes of it
                found[next(words for words in (*told, "?") if words in gap.reason or words == "?")] += gap.count
            assert found == told


def record(data: bytes) -> bytes:
    """As it stands in its ring."""
    return struct.pack("<II", len(data), 0) + data + bytes(-len(data) % 8)


def test_a_path_that_was_read_at_the_end() -> None:
    """The kernel may have written its answer there: that hangs on where the buffer is, so no two calls are alike."""
    store = Store(TABLE, {})
    flags = BlobFlag.REREAD
    for call, buffer in ((1, 4096), (2, 1 << 40), (3, 1 << 40)):
        blob = BLOB_HEADER.pack(call, 11, BlobKind.PATH, 1, flags, CALL_KIND) + b"/etc/passwd"
        head = (call, call, call, 0, 0, 11, (1 << 64) - 100, 4096, buffer, 64, 0, 0)
        store.take_blobs(record(blob))
        number = TABLE.number("readlinkat")
        store.take_events(record(EVENT.pack(*head, 7, 7, 1, 0, 0, number, CALL_KIND, 0, 0, 0, b"x")))
    assert [store.event(place).path for place in store.rows(store.choose(lambda _: True))] == [
        None,
        "/etc/passwd",
        "/etc/passwd",
    ]


def test_events_are_made_once_and_anew() -> None:
    """Who asks again gets the same, until more is known: here the name of the file that a call is on; few are kept."""
    store, identity = Store(TABLE, {}), 64 << 8 | 1
    number = TABLE.number("close")
    count = REMEMBERED + 3
    head = (identity, 0, 11, 0, 0, 0, 0, 0, 7, 7, 1, 0, 0, number, CALL_KIND, 0, 0, 0, b"x")
    store.take_events(b"".join(record(EVENT.pack(call, call, call, 0, *head)) for call in range(count)))
    before = store.event(1)
    assert "it" not in str(before)
    assert store.event(1) is before
    name = FILE_NOTE.pack(5, 1, 2, 0o100644) + b"it\0"
    store.take_blobs(record(BLOB_HEADER.pack(identity, len(name), BlobKind.FILE, 0, 0, 0) + name))
    after = store.event(1)
    assert "</it>" in str(after)
    made = [store.event(place) for place in range(count)]
    assert [event.timestamp_ns for event in made] == list(range(count))
    assert len(store._made) <= REMEMBERED


def test_unasked_events_are_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A question about the path looks at one event of each kind."""
    engine = FakeEngine()
    with engine.recording() as recording:
        for number in range(211):
            engine.call("openat", (1 << 64) - 100, 4096 * number, path="/etc/hosts", ret=3)
            engine.call("read", 3, 8192 * number, 17, file="/etc/hosts", ret=number)
        looked: list[int] = []
        event = Store.event

        def look(store: Store, place: int) -> SyscallEvent:
            looked.append(place)
            return event(store, place)

        monkeypatch.setattr(Store, "event", look)
        recording.assert_no_syscall("openat", path="/etc/passwd")
        recording.assert_no_file_access("/etc/passwd")
        recording.assert_max(opens=211, openat=211)
        assert len(looked) < 20


def test_what_was_taken_before_stays() -> None:
    """Neither later events nor the end of the test change a sequence of events; nor those of another generation."""
    engine = FakeEngine()
    with engine.recording() as recording:
        engine.call("openat", path="/etc/hosts", ret=3)
        events = recording._events(None)
        engine.call("openat", path="/etc/hosts", ret=3)
        assert len(events) == 1
        assert len(recording._events(None)) == 2
        recording._session.forget()
        engine.call("openat", path="/etc/passwd", ret=3)
        recording._session.forget()
        assert [event.path for event in events] == ["/etc/hosts"]


def test_call_that_ends_after_its_test() -> None:
    """What it said when it began is still known when its test was forgotten."""
    engine = FakeEngine()
    with engine.recording() as recording:
        session = recording._session
        engine.fork(CHILD)
        engine.call("unlink", path="/tmp/x", tid=CHILD, in_flight=True)
        engine.call("getppid")
        recording.syscalls("swapoff")
        session.forget()
        engine.finish(tid=CHILD)
        recording.syscalls("swapoff")
        (event,) = recording._events(frozenset({"unlink"}))
        assert event.path == "/tmp/x"
        assert not session._store._waiting


def test_memory_is_given_back() -> None:
    """Of a test that was forgotten nothing is held."""
    engine = FakeEngine()
    with engine.recording() as recording:
        for _ in range(1009):
            engine.call("getppid")
        recording.syscalls("swapoff")
        store = recording._session._store
        held = sum(store.count(kind) for kind in store.choose(lambda trait: True)) * (STRIDE + 4)
        assert held <= store.nbytes < held + 10_000
        assert recording._session._held[0] == store.nbytes
        recording._session.forget()
        assert recording._session._store.nbytes < 1000
        assert recording._session._held[0] < 1000


def test_more_than_may_be_held() -> None:
    """It is counted by name and window; starts and ends of processes are still heard of; the next test has its own."""
    engine = FakeEngine()
    engine.memory = 1 << 20
    with engine.recording() as recording:
        session = recording._session
        with recording.window() as first:
            for number in range(20_011):
                engine.call("getppid")
                if number % 1009 == 0:
                    recording.syscalls("swapoff")
        with recording.window() as second:
            engine.call("getppid")
            engine.ring("IORING_OP_NOP")
            engine.fork(CHILD)
            engine.exec(CHILD, "/bin/cat", ["cat"])
            engine.exit(CHILD, code=7)
        assert session._store.nbytes < (1 << 20) + 1009 * STRIDE * 2
        first.assert_syscall("getppid", count=20_011)
        second.assert_syscall("getppid", count=1)
        second.assert_syscall("clone", count=1)
        first.assert_no_syscall("openat", path="/etc/passwd")
        with pytest.raises(InconclusiveRecording, match="getppid calls found no room"):
            first.assert_no_syscall("getppid", comm="x")
        assert {gap.reason.split(" ", 1)[1] for gap in second.gaps} >= {
            "getppid calls found no room in the recorder's memory",
            "IORING_OP_NOP calls found no room in the recorder's memory",
        }
        assert [(end.exe, end.args["exit_code"]) for end in second._ends()] == [("/bin/cat", 7)]
        session.begin_test(session.current, "the test")
        recording.open()
        engine.call("getppid")
        recording.assert_syscall("getppid", count=1)
        assert recording.complete, recording.gaps


@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
def test_conditions_hang_on_deciding_arguments(arch: str) -> None:
    """What makes another argument mean something else is the same for calls that are alike."""
    table = syscalls.table(arch)
    for number, call in table.items():
        places = deciding(number, table)
        assert (places is None) == (call.name in SINGULAR)
        for argument in call.args:
            if argument.when and places is not None:
                name = argument.when.replace("=", "&").split("&")[0]
                assert [each.name for each in call.args].index(name) in places, (call.name, argument.when)


def test_plain_sequences_are_asked_one_by_one() -> None:
    """Events that don't know their kinds are each their own."""
    numbers = alike([3, 5, 3])
    assert [*numbers.kinds()] == [(0, 3), (1, 5), (2, 3)]
    assert [*numbers.of([0, 2])] == [3, 3]
    assert [*numbers.of([1, 2]).of([2]).kinds()] == [(2, 3)]
    assert alike(numbers) is numbers
    assert [*numbers.judged(lambda number: None if number == 3 else "other")] == [("other", 5)]


def test_filters_that_are_asked_once() -> None:
    """Only with other filters beside it a user's function sees no more than they let through."""
    seen: list[str] = []

    def path(path: str) -> bool:
        seen.append(path)
        return True

    engine = FakeEngine()
    with engine.recording() as recording:
        for ret in (3, 4, 5):
            engine.call("openat", path=f"/{ret}", ret=ret)
        asked: Query = query(TABLE, path=path, ret=4)
        assert [event.path for event in asked.select(recording._events(None))[0]] == ["/4"]
    assert seen == ["/4"]
    assert isinstance(recording._session, Session)
