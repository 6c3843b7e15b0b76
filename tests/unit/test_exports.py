"""What is written of a test for other programs, read back."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_ebpf.events import Address, Descriptor, File, Gap, Process, Socket, SyscallEvent
from pytest_ebpf.exports import SCHEMA, Exporter, Part, file_stem, json_lines, trace

from .builders import GIT, PYTHON, SH, START_NS, event, failed, opened

HOSTILE = 'a"b\\c\x1b[31m\n\x00\u2028\u202e\ufffe</script>]]>\udcff\ud800\U0001f600'


def read(parts: Sequence[Part], nodeid: str = "test_x.py::test_it") -> list[dict[str, Any]]:
    """The lines, as a strict reader takes them."""
    lines = [*json_lines(nodeid, parts)]
    for line in lines:
        assert line.isascii()
        assert line.isprintable()
    return [strict(line) for line in lines]


def strict(text: str) -> Any:
    """JSON without Python's liberties: no NaN, no duplicate member, no lone surrogate."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({name for name, _ in pairs}) == len(pairs)
        return dict(pairs)

    def refuse(word: str) -> None:
        raise AssertionError(word)

    value = json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
    json.dumps(value, ensure_ascii=False).encode()
    return value


def slices(parts: Sequence[Part], nodeid: str = "test_x.py::test_it") -> dict[str, Any]:
    """The trace, read as the Trace Event Format says it has to be."""
    text = "".join(trace(nodeid, parts))
    assert text.isascii()
    found: dict[str, Any] = strict(text)
    assert found["displayTimeUnit"] == "ns"
    for each in found["traceEvents"]:
        assert isinstance(each["name"], str)
        assert each["ph"] in {"X", "B", "i", "M"}
        assert isinstance(each["pid"], int)
        if each["ph"] != "M":
            assert isinstance(each["tid"], int)
            assert each["ts"] >= 0
            assert isinstance(each["cat"], str)
        assert ("dur" in each) == (each["ph"] == "X")
        assert all(isinstance(value, str) for value in each.get("args", {}).values())
    return found


def of(lines: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """The lines of one type."""
    return [line for line in lines if line["type"] == kind]


def test_lines_in_order() -> None:
    """The test, each process before its first event, the events as they came, and an end that counts them."""
    lines = read([Part("call", [opened("/a"), event("getpid", process=GIT), opened("/b")])])
    assert [line["type"] for line in lines] == [
        "test",
        "process",
        "event",
        "process",
        "process",
        "event",
        "event",
        "end",
    ]
    assert lines[0] == {"type": "test", "schema": SCHEMA, "nodeid": "test_x.py::test_it", "phases": ["call"]}
    assert lines[-1] == {"type": "end", "events": 3, "gaps": 0, "complete": True}
    assert [line["name"] for line in of(lines, "event")] == ["openat", "getpid", "openat"]


def test_process_chain() -> None:
    """By number, parents first; a process of two phases is there once."""
    lines = read([Part("setup", [event(process=GIT)]), Part("call", [event(process=PYTHON), event(process=SH)])])
    found = of(lines, "process")
    assert [(each["id"], each["parent"], each["pid"], each["comm"]) for each in found] == [
        (1, None, 12, "python"),
        (2, 1, 13, "sh"),
        (3, 2, 14, "git"),
    ]
    assert found[2]["argv"] == ["git", "config", "user.name"]
    assert [each["is_pytest"] for each in found] == [True, False, False]
    assert [(each["phase"], each["process"]) for each in of(lines, "event")] == [("setup", 3), ("call", 1), ("call", 2)]


def test_event_members() -> None:
    """All that an event has, as docs/exports.md lists it."""
    (line,) = of(read([Part("call", [failed("/etc/x", realpath="/y", after_ns=5)])]), "event")
    assert line == {
        "type": "event",
        "phase": "call",
        "name": "openat",
        "process": 1,
        "pid": 12,
        "tid": 12,
        "comm": "python",
        "timestamp_ns": START_NS + 5,
        "duration_ns": 1000,
        "args": {"dfd": -100, "filename": "/etc/x", "flags": 0, "mode": 0},
        "ret": -2,
        "errno": "ENOENT",
        "ok": False,
        "in_flight": False,
        "path": "/etc/x",
        "abspath": "/etc/x",
        "realpath": "/y",
        "paths": ["/etc/x", "/y"],
        "address": None,
        "addresses": [],
        "files": {},
        "result_file": None,
        "unread": [],
        "text": 'openat(AT_FDCWD, "/etc/x", O_RDONLY) = -1 ENOENT',
    }


def test_members_are_documented() -> None:
    """Every member of every line has its row on the page."""
    page = Path(__file__).parents[2] / "docs" / "exports.md"
    documented = set(re.findall(r"^\| `(\w+)`", page.read_text(encoding="utf-8"), re.MULTILINE))
    parts = [Part("call", [opened("/a")], [Gap("lost")], {"noise": 2})]
    assert {name for line in read(parts) for name in line} <= documented
    assert SCHEMA in page.read_text(encoding="utf-8")


def test_values_of_all_kinds() -> None:
    """Descriptors with their files, addresses, structs, bytes, and what couldn't be read."""
    peer = Address("AF_INET", "10.0.0.1", 80)
    socket = File("socket", inode=7, socket=Socket("AF_INET", "SOCK_STREAM", peer=peer))
    args = {
        "fd": Descriptor(3, socket),
        "how": {"flags": 1, "name": b"\xff"},
        "argv": ("a", "b"),
        "addr": peer,
        "p": None,
    }
    made = event("connect", args=args, address=peer, unread=["path", "argv"])
    (line,) = of(read([Part("call", [made])]), "event")
    address = {"family": "AF_INET", "host": "10.0.0.1", "port": 80, "text": "10.0.0.1:80"}
    assert line["args"] == {
        "fd": 3,
        "how": {"flags": 1, "name": {"base64": "/w=="}},
        "argv": ["a", "b"],
        "addr": address,
        "p": None,
    }
    assert line["address"] == address
    assert line["unread"] == ["argv", "path"]


def test_gaps_and_drops() -> None:
    """Whether the recording is complete can be told from the file."""
    gap = Gap("lost", "do less", calls=frozenset({"openat", "close"}), count=3, exact=True)
    lines = read([Part("call", [], [gap, Gap("any")], {"noise": 2})])
    told = {
        "reason": "lost",
        "hint": "do less",
        "calls": ["close", "openat"],
        "count": 3,
        "exact": True,
        "at_most": False,
    }
    assert of(lines, "gap")[0] == {"type": "gap", "phase": "call", **told}
    assert of(lines, "gap")[1]["calls"] is None
    assert of(lines, "dropped") == [{"type": "dropped", "phase": "call", "reason": "noise", "count": 2}]
    assert lines[-1] == {"type": "end", "events": 0, "gaps": 2, "complete": False}


def hostile_event() -> SyscallEvent:
    """Every text in it is one that breaks things."""
    process = Process(pid=9, comm=HOSTILE, exe=HOSTILE, argv=(HOSTILE,), started_by=HOSTILE)
    return event(
        HOSTILE,
        process=process,
        args={HOSTILE: HOSTILE},
        path=HOSTILE,
        abspath=HOSTILE,
        realpath=HOSTILE,
        address=Address("AF_UNIX", path=HOSTILE),
        text=HOSTILE,
    )


def test_hostile_text() -> None:
    """It comes back byte by byte, from valid JSON."""
    lines = read([Part("call", [hostile_event()], [Gap(HOSTILE, HOSTILE)], {HOSTILE: 1})], HOSTILE)
    whole = base64.b64decode(of(lines, "event")[0]["path"]["base64"]).decode("utf-8", "surrogatepass")
    assert whole == HOSTILE
    (name,) = of(read([Part("call", [opened("/caf\udce9")])]), "event")
    assert base64.b64decode(name["path"]["base64"]) == b"/caf\xe9"
    slices([Part("call", [hostile_event()], [Gap(HOSTILE)])], HOSTILE)


@given(st.text(st.characters(), max_size=30))
def test_any_text(text: str) -> None:
    """Whatever a program passes: text as text, the rest as bytes."""
    (line,) = of(read([Part("call", [event(path=text, text=text)])]), "event")
    if isinstance(line["path"], str):
        assert line["path"] == text
    else:
        data = base64.b64decode(line["path"]["base64"])
        assert data in (text.encode("utf-8", "surrogatepass"), _as_file_name(text))


def _as_file_name(text: str) -> bytes | None:
    try:
        return os.fsencode(text)
    except UnicodeEncodeError:
        return None


def test_trace_tracks_and_slices() -> None:
    """Processes and threads by name; a call is a slice with its arguments, at microseconds since the first."""
    parts = [Part("call", [opened("/a", after_ns=1_000), event("getpid", process=GIT, tid=15, after_ns=4_500)])]
    found = slices(parts)
    first, second = [each for each in found["traceEvents"] if each["ph"] == "X"]
    assert (first["name"], first["pid"], first["tid"], first["ts"], first["dur"]) == ("openat", 12, 12, 0, 1)
    assert first["args"]["filename"] == "/a"
    assert first["args"]["call"] == 'openat(AT_FDCWD, "/a", O_RDONLY) = 3'
    assert first["args"]["ret"] == "3"
    assert (second["pid"], second["tid"], second["ts"]) == (14, 15, 3.5)
    assert found["otherData"] == {"schema": SCHEMA, "nodeid": "test_x.py::test_it", "start_ns": str(START_NS + 1000)}
    meta = {
        (each["name"], each["pid"], each.get("tid")): each["args"] for each in found["traceEvents"] if each["ph"] == "M"
    }
    assert meta["process_name", 14, None] == {"name": "git"}
    assert meta["process_labels", 14, None] == {"labels": "git config user.name"}
    assert meta["thread_name", 14, 15] == {"name": "git"}
    assert meta["process_name", 0, None] == {"name": "test_x.py::test_it"}


def test_trace_of_unfinished_calls() -> None:
    """A call in flight begins and doesn't end; one that never returns, such as exit, is a moment."""
    events = [event("read", None, in_flight=True), event("exit_group", None)]
    parts = [Part("call", events, [Gap("lost")], {"noise": 3})]
    kinds = [(each["name"], each["ph"]) for each in slices(parts)["traceEvents"] if each["ph"] != "M"]
    assert kinds == [("read", "B"), ("exit_group", "i"), ("gap: lost", "i"), ("dropped by plugins: 3 (noise)", "i")]


def test_times_keep_their_nanoseconds() -> None:
    """Also where the machine has been up for years."""
    start = 10**17
    events = [event("getpid", after_ns=start), event("getpid", after_ns=start + 1_234_567_891)]
    _, second = [each for each in slices([Part("call", events)])["traceEvents"] if each["ph"] == "X"]
    assert round(second["ts"] * 1000) == 1_234_567_891


def test_empty_recording() -> None:
    """A test that did nothing has both files."""
    assert [line["type"] for line in read([Part("call", [])])] == ["test", "end"]
    assert [each["ph"] for each in slices([])["traceEvents"]] == ["M"]


NAMES = [
    "tests/test_api.py::TestGet::test_it[a/b-c]",
    "../../etc/passwd::test",
    ".hidden",
    "",
    "a" * 5000,
    "ä/ö::ü[\x00\n\udcff\ud800]",
    "con",
    "x::test[A]",
    "x::test[a]",
]


@pytest.mark.parametrize("nodeid", NAMES)
def test_file_name(nodeid: str) -> None:
    """Short, of harmless letters, in the folder."""
    stem = file_stem(nodeid)
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*-[0-9a-f]{12}", stem)
    assert len(stem) <= 113


def test_file_names_differ() -> None:
    """Of each node id, also where letters are replaced, cut, or told apart by case alone."""
    ids = [*NAMES, "a" * 5001, "x::test[a ]", "x::test[a\t]"]
    assert len({file_stem(nodeid).lower() for nodeid in ids}) == len(ids)


def test_writes_both_files(tmp_path: Path) -> None:
    """And nothing else; a second run replaces them."""
    exporter = Exporter(tmp_path / "a" / "b")
    exporter.prepare()
    exporter.prepare()
    exporter.write("test_x.py::test_it", [])
    lines, slices_ = exporter.write("test_x.py::test_it", [Part("call", [opened("/a")])])
    assert sorted((tmp_path / "a" / "b").iterdir()) == sorted([lines, slices_])
    assert [strict(line)["type"] for line in lines.read_text().splitlines()] == ["test", "process", "event", "end"]
    assert strict(slices_.read_text())["traceEvents"]


def test_failed_write_leaves_nothing(tmp_path: Path) -> None:
    """What was there stays, and no part is left behind."""
    exporter = Exporter(tmp_path)
    lines, _ = exporter.write("x", [Part("call", [opened("/a")])])
    before = lines.read_text()

    class Torn(tuple[SyscallEvent, ...]):
        __slots__ = ()

        def __iter__(self) -> Iterator[SyscallEvent]:
            yield opened("/b")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        exporter.write("x", [Part("call", Torn())])
    assert lines.read_text() == before
    assert len([*tmp_path.iterdir()]) == 2


def test_full_disk(tmp_path: Path) -> None:
    """The error is the system's own."""
    with pytest.raises(OSError, match=r"."):
        Exporter(Path("/dev/null/x")).prepare()
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        Exporter(tmp_path / "file").prepare()
