"""BTF, the kernel's own description of its types: struct layouts and type ids read from it, and a small one written."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

__all__ = ["Builder", "Layout", "Types"]

MAGIC = 0xEB9F
HEADER = struct.Struct("<HBBIIIII")
TYPE = struct.Struct("<III")
MEMBER = struct.Struct("<III")
INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF, VOLATILE, CONST, RESTRICT, FUNC, FUNC_PROTO, VAR, DATASEC = range(
    1, 16
)
DECL_TAG, TYPE_TAG, ENUM64 = 17, 18, 19
# Bytes that follow the head of a type: (fixed, for each member).
EXTRA = {
    INT: (4, 0),
    ARRAY: (12, 0),
    STRUCT: (0, 12),
    UNION: (0, 12),
    ENUM: (0, 8),
    FUNC_PROTO: (0, 8),
    VAR: (4, 0),
    DATASEC: (0, 12),
    DECL_TAG: (4, 0),
    ENUM64: (0, 12),
}
ALIASES = {TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG}
BITFIELDS = 1 << 31


@dataclass(frozen=True, slots=True)
class Layout:
    """One struct or union: its size and the offset of each of its fields, in bytes."""

    size: int
    offsets: Mapping[str, int] = field(default_factory=dict)
    """Those of anonymous members too, as C code sees them. Bit fields are left out."""


class Types:
    """The types in a piece of BTF.

    >>> types = Types(Path("/sys/kernel/btf/vmlinux").read_bytes())
    >>> types.layouts({"task_struct"})["task_struct"][0].offsets["tgid"]
    2468
    """

    def __init__(self, content: bytes) -> None:
        magic, _, _, header_bytes, types, types_bytes, strings, strings_bytes = HEADER.unpack_from(content)
        if magic != MAGIC:
            raise ValueError("no BTF of this machine's byte order")
        self._content = content
        start = header_bytes + types
        self._strings = content[header_bytes + strings : header_bytes + strings + strings_bytes]
        self._starts = [0]
        end = start + types_bytes
        starts = self._starts
        words = memoryview(content)
        while start < end:
            starts.append(start)
            info = int.from_bytes(words[start + 4 : start + 8], "little")
            kind = info >> 24 & 0x1F
            if kind in EXTRA:
                fixed, each = EXTRA[kind]
                start += 12 + fixed + each * (info & 0xFFFF)
            elif kind > ENUM64:
                raise ValueError(f"a kind of type that is not known ({kind})")
            else:
                start += 12

    def layouts(self, names: Iterable[str]) -> dict[str, list[Layout]]:
        """The structs and unions of these names, or typedefs' names; a kernel may have more than one, or none."""
        wanted = {self._name_offset(name): name for name in names}
        found: dict[str, list[Layout]] = {name: [] for name in wanted.values()}
        for index, (name_offset, info, size_or_type) in self._heads():
            if name_offset not in wanted:
                continue
            described = index
            if info >> 24 & 0x1F == TYPEDEF:  # of a struct that has no name of its own
                described = self._resolve(size_or_type)
                if not described or TYPE.unpack_from(self._content, self._starts[described])[0]:
                    continue
            _, info_of_it, size = TYPE.unpack_from(self._content, self._starts[described])
            if info_of_it >> 24 & 0x1F in (STRUCT, UNION):
                found[wanted[name_offset]].append(Layout(size, dict(self._offsets(described, 0))))
        return found

    def function(self, name: str) -> int | None:
        """The id of a kernel function, by which a program is attached to it."""
        wanted = self._name_offset(name)
        for index, (name_offset, info, _) in self._heads():
            if name_offset == wanted and info >> 24 & 0x1F == FUNC:
                return index
        return None

    def _heads(self) -> Iterator[tuple[int, tuple[int, int, int]]]:
        content, unpack = self._content, TYPE.unpack_from
        for index in range(1, len(self._starts)):
            yield index, unpack(content, self._starts[index])

    def _name_offset(self, name: str) -> int:
        """Where a name stands; each stands once. -1, which no type has, if there is none."""
        at = self._strings.find(b"\0" + name.encode() + b"\0")
        return at + 1 if at >= 0 else -1

    def _name(self, offset: int) -> str:
        return self._strings[offset : self._strings.index(b"\0", offset)].decode()

    def _offsets(self, index: int, base: int) -> Iterator[tuple[str, int]]:
        start = self._starts[index]
        _, info, _ = TYPE.unpack_from(self._content, start)
        for number in range(info & 0xFFFF):
            name_offset, member_type, bits = MEMBER.unpack_from(self._content, start + 12 + 12 * number)
            if info & BITFIELDS:
                if bits >> 24:
                    continue
                bits &= 0xFFFFFF
            if name_offset:
                yield self._name(name_offset), base + bits // 8
            else:
                inner = self._resolve(member_type)
                if TYPE.unpack_from(self._content, self._starts[inner])[1] >> 24 & 0x1F in (STRUCT, UNION):
                    yield from self._offsets(inner, base + bits // 8)

    def _resolve(self, index: int) -> int:
        while index:
            _, info, target = TYPE.unpack_from(self._content, self._starts[index])
            if info >> 24 & 0x1F not in ALIASES:
                break
            index = target
        return index


class Builder:
    """Describes the functions of a program, as the verifier wants it for those that it checks on their own."""

    def __init__(self) -> None:
        self._strings = bytearray(b"\0")
        self._types = bytearray()
        self._count = 0
        self._known: dict[tuple[str, int], int] = {}

    def integer(self, size: int) -> int:
        """An unsigned integer of ``size`` bytes."""
        return self._once(
            ("int", size), lambda: self._add(f"u{size * 8}", INT << 24, size, struct.pack("<I", size * 8))
        )

    def pointer(self, name: str, size: int) -> int:
        """A pointer to a struct of ``size`` bytes, whose fields are its own affair."""

        def make() -> int:
            return self._add("", PTR << 24, self._add(name, STRUCT << 24, size))

        return self._once((name, size), make)

    def function(self, name: str, result: int, parameters: Iterable[int], *, checked_alone: bool) -> int:
        """A function with these types."""
        types = list(parameters)
        arguments = b"".join(struct.pack("<II", self._string(f"arg{n}"), each) for n, each in enumerate(types))
        prototype = self._add("", FUNC_PROTO << 24 | len(types), result, arguments)
        return self._add(name, FUNC << 24 | checked_alone, prototype)

    def content(self) -> bytes:
        """The BTF."""
        head = HEADER.pack(MAGIC, 1, 0, HEADER.size, 0, len(self._types), len(self._types), len(self._strings))
        return head + self._types + self._strings

    def _once(self, key: tuple[str, int], make: Callable[[], int]) -> int:
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]

    def _string(self, text: str) -> int:
        if not text:
            return 0
        offset = len(self._strings)
        self._strings += text.encode() + b"\0"
        return offset

    def _add(self, name: str, info: int, size_or_type: int, extra: bytes = b"") -> int:
        self._types += TYPE.pack(self._string(name), info, size_or_type) + extra
        self._count += 1
        return self._count
