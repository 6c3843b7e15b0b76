"""The two sides of the wire agree: what Python assumes is what the headers declare."""

from __future__ import annotations

import enum
import mmap
import re
import struct
from pathlib import Path

import pytest

import pytest_ebpf
from pytest_ebpf import attachment, decode, files, hooks, integrity, scope, session, store
from pytest_ebpf.engines import base, bcc, keeper, libbpf, shapes, spool, variant
from pytest_ebpf.engines import hooks as engine_hooks
from pytest_ebpf.syscalls import RING

from .builders import parse_blob

PACKAGE = Path(pytest_ebpf.__file__).parent
# In a wheel the snippets are inside of the package, in the source tree beside it.
SNIPPETS = next(
    folder
    for folder in (PACKAGE / "bpf_snippets", PACKAGE.parent / "bpf_snippets")
    if (folder / "include" / "events.h").exists()
)


def source(name: str) -> str:
    """A header without its comments."""
    text = (SNIPPETS / "include" / name).read_text(encoding="utf-8")
    return re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)


LOADER_PROGRAMS = 32
"""As many as a loader that libbpf generates can hold: it makes no more than that close."""
EVENTS_H, RINGS_H, SCOPE_H = source("events.h"), source("rings.h"), source("scope.h")
DEFINES = {name: int(value) for name, value in re.findall(r"^#define (\w+) (\d+)\s*$", EVENTS_H, re.MULTILINE)}


def enumerators(name: str) -> dict[str, int]:
    """The values of an enum, without the prefix that they share."""
    body = re.search(rf"enum {name} \{{(.*?)\}};", EVENTS_H, re.DOTALL)
    assert body is not None
    values = re.findall(r"(\w+)\s*=\s*(\d+)", body[1])
    return {each.partition("_")[2]: int(value) for each, value in values}


def number(text: str) -> int:
    """The value of an array's length or a map's size."""
    for name, value in DEFINES.items():
        text = re.sub(rf"\b{name}\b", str(value), text)
    assert re.fullmatch(r"[\d\s*+/-]+", text)
    return int(eval(text))  # of digits and operators alone


def layout(name: str) -> tuple[dict[str, int], int]:
    """Offset of each field and size of a struct, by the rules of the C ABI that both machines share."""
    body = re.search(rf"struct {name} \{{(.*?)\n\}};", EVENTS_H + RINGS_H, re.DOTALL)
    assert body is not None
    offsets: dict[str, int] = {}
    offset, alignment = 0, 1
    for type_, names in re.findall(r"^\s*((?:struct )?\w+) ([^;]+);", body[1], re.MULTILINE):
        if type_.startswith("struct "):
            inner, size = layout(type_.removeprefix("struct "))
            offsets.update({f"{names}.{each}": offset + at for each, at in inner.items()})
            align = 8
        else:
            size = align = 1 if type_ == "char" else int(type_[1:]) // 8
        for each in names.split(","):
            length = re.search(r"\[(.*)\]", each)
            offset = -(-offset // align) * align
            offsets[each.strip().partition("[")[0]] = offset
            offset += size * (number(length[1]) if length else 1)
        alignment = max(alignment, align)
    return offsets, -(-offset // alignment) * alignment


@pytest.mark.parametrize("name", ["event", "blob", "task", "spec", "file_note", "socket_note"])
def test_sizes_are_as_asserted(name: str) -> None:
    """This module counts like the compiler does."""
    asserted = re.search(rf"_Static_assert\(sizeof\(struct {name}\) == (\w+)", EVENTS_H)
    assert asserted is not None
    assert layout(name)[1] == number(asserted[1])


def test_every_struct_is_known_here() -> None:
    """A new one needs a mirror and a test of it."""
    structs = {"event", "blob", "task", "control", "enrolment", "spec", "file_note", "socket_note"}
    assert set(re.findall(r"^struct (\w+) \{", EVENTS_H, re.MULTILINE)) == structs
    enums = {"event_kind", "event_flag", "blob_kind", "blob_flag", "task_state", "mute", "capture", "spec_flag"}
    enums |= {"payload", "wait"}
    assert set(re.findall(r"^enum (\w+) \{", EVENTS_H, re.MULTILINE)) == enums


@pytest.mark.parametrize(
    "name, mirror, padding",
    [
        ("file_note", files.FILE_NOTE, ()),
        ("socket_note", files.SOCKET_NOTE, ()),
        ("spec", decode.SPEC, ()),
        ("blob", decode.BLOB_HEADER, ("data",)),
        ("event", decode.EVENT, ("pad",)),
    ],
)
def test_fields_in_order(name: str, mirror: struct.Struct, padding: tuple[str, ...]) -> None:
    """Python unpacks every field, each from its place."""
    offsets = {each: offset for each, offset in layout(name)[0].items() if each not in padding}
    content = bytearray(mirror.size)
    for value, offset in enumerate(offsets.values(), 1):
        content[offset] = value
    firsts = [value[0] if isinstance(value, bytes) else value for value in mirror.unpack(content)]
    array = layout(name)[0].get("args" if name == "event" else "capture", -1)
    assert [value for value in firsts if value] == list(range(1, len(offsets) + 1))
    assert len(firsts) == len(offsets) + (decode.CALL_ARGS - 1 if array >= 0 else 0)


def test_event() -> None:
    """Every field of an event is read from where it is written."""
    offsets, size = layout("event")
    assert decode.EVENT.size == decode.EVENT_BYTES == size
    content = bytearray(size)
    widths = {"nr": 2, "kind": 1, "flags": 1, "unread": 1, "lost": 1}
    widths |= dict.fromkeys(("pid", "tid", "segment", "tag", "since"), 4)
    for value, (name, offset) in enumerate(offsets.items(), 1):
        if name not in ("args", "comm", "pad"):
            content[offset : offset + widths.get(name, 8)] = value.to_bytes(widths.get(name, 8), "little")
    for arg in range(6):
        content[offsets["args"] + 8 * arg] = 100 + arg
    content[offsets["comm"] : offsets["comm"] + 16] = b"a-name-of-16-by."
    fields = decode.EVENT.unpack(content)
    raw = decode.RawCall(fields)
    names = {name: value for value, name in enumerate(offsets, 1)}
    for name in names.keys() - {"args", "comm", "pad"}:
        assert getattr(raw, name) == names[name], name
    note = decode.decode_note((*fields[:18], decode.NoteKind.EXEC, *fields[19:]), own_pid=0)
    for name in ("call", "image", "pid", "tid", "segment", "tag"):
        assert getattr(note, name) == names[name], name
    assert note.timestamp_ns == names["entry_ns"]
    assert (note.args, note.comm) == (raw.args, raw.comm)
    assert raw.args == (100, 101, 102, 103, 104, 105)
    assert raw.comm == "a-name-of-16-by."


def test_number_of_a_ring_operation() -> None:
    """Its opcode, told apart from the calls by the kind of event."""
    content = bytearray(decode.EVENT_BYTES)
    offsets = layout("event")[0]
    content[offsets["nr"]], content[offsets["kind"]] = 18, decode.RING_KIND
    assert decode.RawCall(decode.EVENT.unpack(content)).nr == RING + 18


def test_result_is_signed() -> None:
    """A negative errno is read as one."""
    content = bytearray(decode.EVENT_BYTES)
    at = layout("event")[0]["ret"]
    content[at : at + 8] = (-2).to_bytes(8, "little", signed=True)
    assert decode.RawCall(decode.EVENT.unpack(content)).ret == -2


def test_parts_of_events() -> None:
    """What the store takes of a record without unpacking the rest."""
    offsets = {name: offset + shapes.HEADER_BYTES for name, offset in layout("event")[0].items()}
    content = bytearray(store.STRIDE)
    content[offsets["call"]], content[offsets["image"]], content[offsets["file"]] = 1, 2, 3
    content[offsets["ret"] : offsets["ret"] + 8] = b"\xff" * 8
    content[offsets["args"]], content[offsets["pid"]] = 4, 5
    call, who, ret, args, trait = store.ROW.unpack(content)
    assert (call, who[0], who[8], ret, args[0], trait[0]) == (1, 2, 3, -1, 4, 5)
    assert (len(who), len(args), len(trait)) == (16, 48, offsets["comm"] + 16 - offsets["pid"])
    names = ["pid", "tid", "segment", "tag", "since", "nr", "kind", "flags", "unread", "lost"]
    for value, name in enumerate(names, 1):
        content[offsets[name]] = value
    trait = content[offsets["pid"] : offsets["pid"] + 48]
    assert store.TRAIT.unpack(trait) == (*range(1, 11),)
    assert trait[store.WHICH] == bytes([6, 0, 7])


def test_task() -> None:
    """The fields that user space reads and writes of a task."""
    offsets, size = layout("task")
    assert size == base.TASK_BYTES
    assert offsets["event.tag"] == session.TASK_TAG_OFFSET
    assert offsets["own_tag"] == session.OWN_TAG_OFFSET
    assert offsets["event.since"] == session.TASK_SINCE_OFFSET
    assert offsets["handed_by"] == session.HANDED_BY_OFFSET
    assert offsets["certain"] == session.CERTAIN_OFFSET
    assert offsets["session"] == base.SESSION_OFFSET
    assert offsets["muted"] == integrity.MUTED_OFFSET
    assert int(re.findall(r"#define TID_LIMIT (\d+)", EVENTS_H)[0]) == integrity.TID_LIMIT
    numbers = bytes(range(base.TASK_BYTES))
    known_pid, known_tid = integrity.IDS.unpack_from(numbers)
    assert known_pid == int.from_bytes(numbers[offsets["event.pid"] :][:4], "little")
    assert known_tid == int.from_bytes(numbers[offsets["event.tid"] :][:4], "little")
    image, pid, tid, comm, ns_pid, tag = session.LIVE_TASK.unpack_from(numbers)
    assert comm == numbers[offsets["event.comm"] :][:16]
    for name, value, width in (
        ("event.image", image, 8),
        ("event.pid", pid, 4),
        ("event.tid", tid, 4),
        ("ns_pid", ns_pid, 4),
        ("own_tag", tag, 4),
    ):
        assert value == int.from_bytes(numbers[offsets[name] :][:width], "little"), name
    assert offsets["event"] == 0, "a call in flight is the first bytes of its task"
    assert offsets["event.call"] == session.CALL_OFFSET
    assert offsets["ns_tid"] == base.IDS_OFFSET
    assert offsets["ns_pid"] == offsets["ns_tid"] + 4, "read as one number"
    assert base.IDS_OFFSET % 8 == 0
    assert offsets["state"] == session.STATE_OFFSET
    assert offsets["muted"] == session.MUTED_OFFSET
    assert enumerators("mute") == {
        "NOTHING": 0,
        "QUIET": session.QUIETLY_MUTED,
        "ALL": session.ENTIRELY_MUTED,
        "CHILDREN": session.CHILDREN_MUTED,
    }
    assert enumerators("task_state")["RECORDED"] == session.RECORDED


def test_control() -> None:
    """The words of the control page."""
    offsets, size = layout("control")
    assert size == base.CONTROL_BYTES
    names = ["segment", "enrolled", "lost_tasks", "lost_notes", "self_pid", "generation", "lost_calls", "refused"]
    names += ["tag", "now", "first", "paused_from", "runner"]
    constants = {name.upper(): name for name in names}
    constants |= {"LOST_RINGS": "lost_ring_operations", "BETWEEN_STAMP": "between", "LOST_HOOKS": "lost_hooks"}
    for constant, name in constants.items():
        assert getattr(session, constant) * 4 == offsets[name], name
    wide = {"LOCKS_FROM": "locks_from", "LOCKS_TO": "locks_to"}
    for constant, name in wide.items():
        assert getattr(session, constant) * 8 == offsets[name], name
    fixed = {word for name in ("self_pid", "root_mnt", "root") for word in (offsets[name] // 4,)}
    fixed |= {offsets[name] // 4 + half for name in (*wide.values(), "root_mnt", "root") for half in (0, 1)}
    assert set(integrity.FIXED) == fixed
    # The rest is the programs' own.
    assert offsets.keys() - {*constants.values(), *wide.values()} == {"root", "root_mnt", "pad"}


def test_enrolment() -> None:
    """What the keeper writes in one piece."""
    offsets, size = layout("enrolment")
    assert list(offsets.items()) == [
        ("session", 0),
        ("pid", 4),
        ("tag", 8),
        ("caller", 12),
        ("ns_dev", 16),
        ("ns_inode", 24),
    ]
    assert keeper.ORDER.size == size


def test_bits_of_segments() -> None:
    """Two bits are apart from the number."""
    bits = {name: int(value, 16) for name, value in re.findall(r"#define SEGMENT_(\w+) (0x\w+)u", EVENTS_H)}
    assert bits == {"BETWEEN": scope.BETWEEN, "SHARED": scope.SHARED, "NUMBER": scope.NUMBER}


def test_blob() -> None:
    """A blob's header, and where its data begins."""
    offsets, _ = layout("blob")
    assert decode.BLOB_HEADER.size == offsets["data"]
    blob = parse_blob(memoryview(decode.BLOB_HEADER.pack(1, 3, 4, 5, 6, 7) + b"abcd"))
    assert blob == decode.Blob(call=1, kind=4, arg=5, flags=6, event_kind=7, data=b"abc")
    assert list(offsets) == ["call", "size", "kind", "arg", "flags", "event_kind", "data"]


def test_spec() -> None:
    """One row of the capture table: a capture for each argument, then the flags and the payload."""
    offsets, size = layout("spec")
    assert decode.SPEC.size == session.SPEC_BYTES == size
    row = decode.SPEC.pack(1, 2, 3, 4, 5, 6, 7, 8)
    assert row[offsets["capture"] :][:6] == bytes([1, 2, 3, 4, 5, 6])
    assert (row[offsets["flags"]], row[offsets["kinds"]]) == (7, 8)


@pytest.mark.parametrize(
    "name, mirror",
    [
        ("event_flag", decode.EventFlag),
        ("blob_kind", decode.BlobKind),
        ("blob_flag", decode.BlobFlag),
        ("spec_flag", decode.SpecFlag),
        ("payload", decode.Payload),
        ("wait", decode.Wait),
    ],
)
def test_enum_is_mirrored(name: str, mirror: type[enum.IntEnum] | type[enum.IntFlag]) -> None:
    """Each enumerator has the same name and value on both sides."""
    assert {member.name: member.value for member in mirror} == enumerators(name)


def test_captures_are_mirrored() -> None:
    """Each, and the first of those that are taken at exit."""
    captures = enumerators("capture")
    assert captures.pop("AT_EXIT") == decode.FIRST_AT_EXIT
    assert {member.name: member.value for member in decode.Capture} == captures


def test_flags_of_files_are_those_of_their_blobs() -> None:
    """What a note says of a name."""
    flags = enumerators("blob_flag")
    assert {name: getattr(files, name) for name in ("CUT", "FAILED", "DELETED", "PSEUDO")}.items() <= flags.items()


def test_place_of_the_result() -> None:
    """Behind the arguments."""
    assert DEFINES["RESULT_ARG"] == decode.RESULT_ARG == DEFINES["CALL_ARGS"]


def test_kinds_of_events_are_mirrored() -> None:
    """A call, an operation on a ring, and the notes."""
    kinds = enumerators("event_kind")
    assert kinds.pop("CALL") == decode.CALL_KIND
    assert kinds.pop("RING") == decode.RING_KIND
    assert kinds.pop("HOOK") == hooks.HOOK_KIND
    assert {kind.name: kind.value for kind in decode.NoteKind} == kinds


def test_rings() -> None:
    """They are as large as the programs believe, quarters are powers of two, and calls leave some room.

    What wakes the keeper behind a quarter is more records than are written at one time, each by another processor.
    """
    for name in ("EVENTS_BYTES", "BLOBS_BYTES"):
        size = getattr(base, name)
        assert size == DEFINES[name]
        assert size & size - 1 == 0
    assert DEFINES["EVENT_PLACES"] == base.EVENT_PLACES
    assert base.EVENT_PLACES & base.EVENT_PLACES - 1 == 0
    assert DEFINES["SPARE_BYTES"] < base.EVENTS_BYTES // 8
    assert DEFINES["SPARE_BYTES"] // store.STRIDE + DEFINES["TASK_SLOTS"] < base.EVENT_PLACES // 8
    assert DEFINES["WAKE_BYTES"] // store.STRIDE > 512
    assert DEFINES["WAKE_BYTES"] >= 8 * DEFINES["BLOB_BYTES"]
    assert 8 + DEFINES["BLOB_BYTES"] < spool.PIECE, "a record is one piece"


@pytest.mark.parametrize("name", ["CALL_NUMBERS", "SEGMENT_ROWS", "LOSS_ROWS", "TASK_SLOTS", "SESSIONS"])
def test_number_of_rows(name: str) -> None:
    """The tables have as many rows on both sides."""
    assert getattr(base if name in ("TASK_SLOTS", "SESSIONS") else session, name) == DEFINES[name]


def test_sizes_of_maps() -> None:
    """What user space maps is what the kernel has."""
    assert re.search(r"u32 count\[LOSS_ROWS\]\[CALL_NUMBERS\];", SCOPE_H)
    assert DEFINES["LOSS_ROWS"] * DEFINES["CALL_NUMBERS"] * 4 == session.LOSS_BYTES
    assert session.LOSS_BYTES % mmap.PAGESIZE == 0, "each session maps its own rows"
    assert mmap.PAGESIZE % base.CONTROL_BYTES == 0, "a row lies on one page"
    assert DEFINES["CALL_ARGS"] == decode.CALL_ARGS


def test_ring_of_events() -> None:
    """Its places, and the two numbers behind them."""
    place, size = layout("place")
    assert (place["lap"], place["event"], size) == (0, shapes.HEADER_BYTES, shapes.EVENT_STRIDE)
    ends, size = layout("ends")
    assert (ends["read"], ends["written"]) == (0, shapes.WRITTEN_AT)
    assert size <= shapes.EVENT_STRIDE
    assert shapes.EVENT_STRIDE == store.STRIDE


def test_ring_holds_whole_strides() -> None:
    """A record's header and padding don't break the columns."""
    assert store.STRIDE == 8 + decode.EVENT_BYTES
    assert store.STRIDE % 8 == 0


def test_every_snippet_is_loaded() -> None:
    """No program is built and forgotten; one is for BCC alone."""
    recorder = SNIPPETS / libbpf.OBJECT.replace(".o", ".c")
    others = {path.name for path in SNIPPETS.glob("*.bpf.c")} - {recorder.name}
    included = set(re.findall(r'^#include "(.*\.bpf\.c)"$', recorder.read_text(), re.MULTILINE))
    assert others - included == {"roll_call.bpf.c"}
    names = {name.removesuffix(".bpf.c") for name in others}
    assert names == {*variant.SNIPPETS, *variant.WITHOUT_BTF, bcc.HOOKS}


def test_hooks_are_mirrored() -> None:
    """Each function is watched by both kinds of program, and known by its number."""
    text = re.sub(r"/\*.*?\*/", "", (SNIPPETS / "hooks.bpf.c").read_text(encoding="utf-8"), flags=re.DOTALL)
    numbers = {name: int(value) for name, value in re.findall(r"^\tHOOK_(\w+) = (\d+),", text, re.MULTILINE)}
    watched = {
        numbers[name]: function for function, name in re.findall(r"^HOOK\((\w+), HOOK_(\w+),", text, re.MULTILINE)
    }
    assert watched == {number: kind.function for number, kind in hooks.HOOKS.items()}
    assert watched == dict(enumerate(engine_hooks.FUNCTIONS, 1)), "as the program for all is told"
    assert frozenset(watched.values()) == frozenset().union(*hooks.AREAS.values())
    assert {kind for kind in attachment.KINDS if f'#define KIND "{kind}/"' in text} == {*attachment.KINDS}


@pytest.mark.parametrize("hooked", [False, True])
def test_programs_fit_a_loader(hooked: bool) -> None:
    """More can't be loaded in the quick way. Functions that aren't inlined count too."""
    skipped = {"snippet.h"} if hooked else {"snippet.h", "hooks.bpf.c"}
    text = "".join(path.read_text(encoding="utf-8") for path in SNIPPETS.rglob("*.[ch]") if path.name not in skipped)
    small = "" if hooked else "|SMALL "
    programs = re.findall(rf'^(?:SEC\("\w+/|GLOBAL |static long {small})', text, re.MULTILINE)
    assert len(programs) <= LOADER_PROGRAMS
