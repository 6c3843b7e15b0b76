"""The events that are held: as they came from the rings, each with the number of its kind.

What events of one kind share is kept once, however many they are, and a question about a million of them is asked of
the few kinds they are of: see alike.py. Of each event itself there are the bytes of its record, and four more.
"""

from __future__ import annotations

import functools
import itertools
import struct
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from operator import itemgetter
from typing import Any, NamedTuple, overload

from .alike import Alike
from .decode import (
    BLOB_HEADER,
    CALL_KIND,
    EVENT,
    EVENT_BYTES,
    RING_KIND,
    Blob,
    BlobFlag,
    BlobKind,
    Pattern,
    RawCall,
    deciding,
)
from .engines.shapes import DISCARDED, HEADER_BYTES
from .events import File, Process, SyscallEvent
from .files import Files
from .hooks import HOOK_KIND, amend, decode_hook, is_of_call
from .scope import process_of
from .syscalls import RING, Table

__all__ = ["Calls", "Store", "Trait"]

STRIDE = HEADER_BYTES + EVENT_BYTES
ROW = struct.Struct("<24xQ16sq48s48s")
"""Of a record: the call, image and file, the result, the arguments, and all from the pid on."""
TRAIT = struct.Struct("<IIIIIHBBBB22x")
WHICH = slice(20, 23)
"""Number and kind of event, in the bytes from the pid on."""
BLOB = struct.Struct("<I4xQI4B")
"""The ring's header of a record, and the blob's behind it."""
BODY = 16
"""Where what is the same for equal blobs begins: behind the call."""
REREAD = BlobFlag.REREAD.value
EVENTS = (CALL_KIND, RING_KIND)
_VERSIONS = itertools.count(1)
AT_ONCE = 256
"""Events that are decoded in one go."""
PATTERNS = 4096
"""Of how many kinds the decoding is remembered."""
KIND_BYTES, BLOB_BYTES = 450, 150
"""Memory of one more kind, and of one more blob or signature, about."""
REMEMBERED = 2048
"""So many events, and traits, are kept as they were made, for those who ask next: the rules of a test ask in turn."""
HOOK_BYTES = 1024
"""Of what a hook told, about."""
SHIFT, ROWS = 32, (1 << 32) - 1
"""A position is the number of a block, and that of a row in it."""


class Trait(NamedTuple):
    """Whose a kind of event is, and what."""

    pid: int
    tid: int
    segment: int
    tag: int
    since: int
    number: int
    kind: int
    flags: int
    unread: int
    lost: int

    @property
    def nr(self) -> int:
        """The number that the table has for the call or operation."""
        return self.number + (RING if self.kind == RING_KIND else 0)

    @property
    def is_marked(self) -> bool:
        """Something about it is out of the ordinary: a flag, an argument that wasn't read, an io_uring."""
        return bool(self.kind == RING_KIND or self.flags or self.unread or self.lost)


class Store:
    """All events of a recording, with their blobs and files. What was taken never changes.

    ``before`` is the store that this one follows: of it are kept the files, and the blobs of ``flying`` calls.
    """

    def __init__(
        self,
        table: Table,
        images: Mapping[int, Process],
        shift_ns: int = 0,
        before: Store | None = None,
        flying: Iterable[int] = (),
        root: str = "/",
    ) -> None:
        self._table = table
        self._images = images
        self._shift_ns = shift_ns
        self.files: Files = Files(before.files if before is not None else None, root)
        self._blocks: list[tuple[bytes, array[int]]] = []
        self._kinds: dict[Hashable, int] = {}
        self._interned: dict[bytes, bytes] = {}
        self._traits: list[bytes] = []
        """Of each kind, the bytes from the pid on."""
        self._signatures = array("I")
        self._firsts = array("q")
        """Of each kind, the position of one event."""
        self._counts: list[int] = []
        self._decisive: dict[bytes, Callable[[bytes], Any] | None] = {}
        self._bodies: dict[bytes, int] = {}
        self._contents: list[bytes] = [b""]
        self._steps: dict[int, int] = {}
        """Of a signature and one more blob (signature << 32 | blob): the signature of both."""
        self._parents: list[tuple[int, int]] = [(0, 0)]
        """Of each signature, the blobs of a call in their order: the one without its last blob, and that blob."""
        self._waiting: dict[int, int] = {}
        """Signatures of calls whose event hasn't come."""
        self._hooks: dict[int, list[tuple[RawCall, list[Blob]]]] = {}
        """What hooks of the kernel told, by the call that it was in; 0 = none."""
        self._nbytes = 0
        self._patterns: dict[int, Pattern] = {}
        self._made: dict[int, SyscallEvent] = {}
        """Events by their positions, as they are in this version."""
        self._made_in = 0
        self._changes = 0
        self.version = next(_VERSIONS)
        """Another one for each store, and whenever something was taken."""
        for call in flying if before is not None else ():
            for blob in before.waiting(call) if before is not None else ():
                self._take_blob(call, blob)
            if before is not None and call in before._hooks:
                self._hooks[call] = before._hooks[call]

    # -- taking -------------------------------------------------------------------------------------------------

    def take_blobs(self, region: bytes, *, only_of_notes: bool = False) -> None:
        """Take over records of the blob ring, headers included; ``only_of_notes`` leaves out those of calls."""
        unpack, bodies, steps, waiting = BLOB.unpack_from, self._bodies, self._steps, self._waiting
        position, end = 0, len(region)
        while position < end:
            length, call, size, kind, _, flags, event_kind = unpack(region, position)
            is_discarded = length & DISCARDED
            length &= ~DISCARDED
            over = position + HEADER_BYTES + length
            if is_discarded:
                pass
            elif kind == BlobKind.FILE.value:
                self.files.learn(call, flags, region[position + BLOB.size : over][:size])
            elif not (only_of_notes and event_kind in EVENTS):
                body = region[position + BODY : over]
                # What was read only at exit may be the kernel's answer: that hangs on the call's other arguments.
                number = (0 if flags & REREAD else bodies.get(body)) or self._new_body(body)
                before = waiting.get(call, 0)
                waiting[call] = steps.get(before << 32 | number) or self._new_signature(before, number)
            position += HEADER_BYTES + (length + 7 & ~7)
        if self.files.changes != self._changes:
            self._changes = self.files.changes
            self._patterns.clear()
        self.change()

    def change(self) -> None:
        """Say that the events may be others from now on."""
        self.version = next(_VERSIONS)

    def _take_blob(self, call: int, blob: Blob) -> None:
        head = struct.pack("<I4B", len(blob.data), blob.kind, blob.arg, blob.flags, blob.event_kind)
        before = self._waiting.get(call, 0)
        self._waiting[call] = self._new_signature(before, self._new_body(head + blob.data))

    def _new_body(self, body: bytes) -> int:
        self._bodies[body] = number = len(self._contents)
        self._nbytes += len(body)
        self._contents.append(body)
        return number

    def _new_signature(self, before: int, blob: int) -> int:
        self._steps[before << 32 | blob] = number = len(self._parents)
        self._parents.append((before, blob))
        return number

    def take_events(self, block: bytes) -> list[tuple[RawCall, list[Blob]]]:
        """Take over a block of the event ring, whose blobs were taken; what is no call comes back, with its blobs."""
        kinds, decisive, waiting = self._kinds, self._decisive, self._waiting
        numbers: list[int] = []
        notes: list[tuple[RawCall, list[Blob]]] = []
        ended: list[int] = []
        start = len(self._blocks) << SHIFT
        for row, (call, who, ret, args, trait) in enumerate(ROW.iter_unpack(block)):
            which = trait[WHICH]
            if which not in decisive:
                decisive[which] = self._picker(trait)
            pick = decisive[which]
            signature = waiting.get(call, 0)
            if which[2] not in EVENTS:
                raw = self._unpacked(block, row)
                notes.append((raw, self._blobs_of(signature)))  # the call that it happens in ends later
            elif signature:
                ended.append(call)
            if which[2] == HOOK_KIND:
                self._keep_hook(*notes[-1])
                ended.append(call)
            # A call of which hooks told more is a kind of its own.
            chosen = call if pick is None or call in self._hooks else pick(args)
            key = (signature, who, ret if ret < 0 else 0, chosen, trait)
            number = kinds.get(key)
            if number is None:
                key = (*key[:-1], self._interned.setdefault(trait, trait))
                kinds[key] = number = len(self._traits)
                self._traits.append(key[-1])
                self._signatures.append(signature)
                self._firsts.append(start | row)
                self._counts.append(0)
            numbers.append(number)
        for call in ended:
            waiting.pop(call, None)
        for number, count in Counter(numbers).items():
            self._counts[number] += count
        self._blocks.append((block, array("I", numbers)))
        self._nbytes += len(block) + 4 * len(numbers)
        self.change()
        return notes

    def _picker(self, trait: bytes) -> Callable[[bytes], Any] | None:
        """Takes from the bytes of the arguments those that make a kind of their own; None if each call is one."""
        nr = Trait._make(TRAIT.unpack(trait)).nr
        places = deciding(nr, self._table)
        if places is None:
            return None
        if not places:
            return _nothing
        return itemgetter(*(slice(8 * place, 8 * place + 8) for place in places))

    def pass_over(self, block: bytes) -> tuple[list[tuple[RawCall, list[Blob]]], Counter[Trait]]:
        """As `take_events`, but hold nothing of the calls: only tell how many there are of each trait."""
        notes: list[tuple[RawCall, list[Blob]]] = []
        traits: list[bytes] = []
        ended: list[int] = []
        for row, (call, _, _, _, trait) in enumerate(ROW.iter_unpack(block)):
            if trait[WHICH][2] in EVENTS:
                ended.append(call)
                traits.append(trait)
            else:
                notes.append((self._unpacked(block, row), self.waiting(call)))
                if trait[WHICH][2] == HOOK_KIND:
                    self._keep_hook(*notes[-1])
                    ended.append(call)
        for call in ended:
            self._waiting.pop(call, None)
        self.change()
        return notes, Counter({self._trait(trait): count for trait, count in Counter(traits).items()})

    def _keep_hook(self, raw: RawCall, blobs: list[Blob]) -> None:
        self._hooks.setdefault(raw.args[4], []).append((raw, blobs))
        self._nbytes += HOOK_BYTES

    # -- reading ------------------------------------------------------------------------------------------------

    @property
    def blocks(self) -> int:
        """How many blocks were taken."""
        return len(self._blocks)

    @property
    def nbytes(self) -> int:
        """Memory of all that is held; an estimate of what is kept once."""
        return self._nbytes + len(self._traits) * KIND_BYTES + (len(self._contents) + len(self._parents)) * BLOB_BYTES

    def choose(self, wanted: Callable[[Trait], bool]) -> list[int]:
        """The kinds of calls, and of operations on an io_uring, that are wanted."""
        answers: dict[bytes, bool] = {}
        for trait in self._traits:
            if trait not in answers:
                answers[trait] = trait[WHICH][2] in EVENTS and wanted(self._trait(trait))
        return [number for number, trait in enumerate(self._traits) if answers[trait]]

    def trait(self, kind: int) -> Trait:
        """Whose a kind is, and what."""
        return self._trait(self._traits[kind])

    @staticmethod
    @functools.lru_cache(REMEMBERED)
    def _trait(content: bytes) -> Trait:
        return Trait._make(TRAIT.unpack(content))

    def count(self, kind: int) -> int:
        """How many events of that kind there are."""
        return self._counts[kind]

    def rows(self, kinds: Collection[int], first: int = 0, end: int | None = None) -> Iterator[int]:
        """Positions of the events of these kinds in a range of blocks, in the order of their ends."""
        wanted = frozenset(kinds)
        if not wanted:
            return
        for index, (_, numbers) in enumerate(itertools.islice(self._blocks, first, end), first):
            start = index << SHIFT
            yield from (start | row for row, number in enumerate(numbers) if number in wanted)

    def rows_from(self, first: int) -> Iterator[int]:
        """Positions of all events from a block on."""
        for index, (_, numbers) in enumerate(self._blocks[first:], first):
            yield from range(index << SHIFT, (index << SHIFT) + len(numbers))

    def count_rows(self, kinds: Collection[int], end: int) -> int:
        """How many those are up to a block."""
        if end == len(self._blocks):
            return sum(self._counts[kind] for kind in kinds)
        wanted = frozenset(kinds)
        return sum(sum(number in wanted for number in numbers) for _, numbers in self._blocks[:end])

    def begun(self, position: int) -> int:
        """When the call at a position began, in nanoseconds."""
        block, _ = self._blocks[position >> SHIFT]
        return int.from_bytes(block[(start := (position & ROWS) * STRIDE + HEADER_BYTES) : start + 8], "little")

    def kind(self, position: int) -> int:
        """The kind of the event at a position."""
        return self._blocks[position >> SHIFT][1][position & ROWS]

    def first(self, kind: int) -> int:
        """The position of one event of a kind."""
        return self._firsts[kind]

    def raw(self, position: int) -> RawCall:
        """The fields of the event at a position."""
        return self._unpacked(self._blocks[position >> SHIFT][0], position & ROWS)

    @staticmethod
    def _unpacked(block: bytes, row: int) -> RawCall:
        return RawCall(EVENT.unpack_from(block, row * STRIDE + HEADER_BYTES))

    def waiting(self, call: int) -> list[Blob]:
        """The blobs of a call whose event hasn't come."""
        return self._blobs_of(self._waiting.get(call, 0))

    def _blobs_of(self, signature: int) -> list[Blob]:
        found: list[Blob] = []
        while signature:
            signature, number = self._parents[signature]
            body = self._contents[number]
            size, kind, arg, flags, event_kind = struct.unpack_from("<I4B", body)
            # Whose it is, its call says.
            found.append(Blob(0, kind, arg, flags, event_kind, body[8 : 8 + size]))
        return found[::-1]

    def event(self, position: int) -> SyscallEvent:
        """The event at a position."""
        version = self.version
        if self._made_in != version:
            self._made, self._made_in = {}, version
        made = self._made
        found = made.get(position)
        if found is None:
            if len(made) >= REMEMBERED:
                made.clear()
            found = made[position] = self._make(position)
        return found

    def _make(self, position: int) -> SyscallEvent:
        block, numbers = self._blocks[position >> SHIFT]
        row = position & ROWS
        kind = numbers[row]
        fields = EVENT.unpack_from(block, row * STRIDE + HEADER_BYTES)
        pattern = self._patterns.get(kind)
        if pattern is None:
            files = _Sought(self.files)
            pattern = Pattern(RawCall(fields), self._blobs_of(self._signatures[kind]), files, self._table)
            if files.has_all:
                if len(self._patterns) == PATTERNS:
                    self._patterns.clear()
                self._patterns[kind] = pattern
        return self._told(fields, pattern)

    def hooks(self) -> Iterator[tuple[RawCall, list[Blob]]]:
        """All that hooks of the kernel told, with what was sent beside it."""
        return (told for each in self._hooks.values() for told in each)

    def has_hooks(self, call: int) -> bool:
        """Whether they told of that call."""
        return call in self._hooks

    def event_in_flight(self, raw: RawCall, blobs: Sequence[Blob]) -> SyscallEvent:
        """That of a call which had not returned."""
        return self._told(raw, Pattern(raw, blobs, self.files, self._table, in_flight=True))

    def _told(self, fields: tuple[Any, ...], pattern: Pattern) -> SyscallEvent:
        images = self._images
        process = process_of(images, fields[3], fields[12], pattern.comm)
        event = pattern.event(fields, process, images.get(fields[2]), self._shift_ns)
        if fields[2] not in self._hooks:
            return event
        told = [each for each in self._hooks[fields[2]] if is_of_call(each[0], self._table)]
        return amend(event, [decode_hook(raw, blobs, self.files) for raw, blobs in told])


class _Sought(Files):
    """Files, and whether all that were asked for are known: one that isn't may be learnt later."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self.root = files.root
        self.has_all = True

    def get(self, identity: int) -> File | None:
        found = self._files.get(identity)
        self.has_all &= found is not None
        return found


class Calls(Alike[SyscallEvent]):
    """The calls of some kinds up to a block, and some in flight, in the order of their entries.

    They are decoded when they are looked at, all but a few each time anew, while ``silently`` hides that.
    """

    __slots__ = ("_chosen", "_end", "_flying", "_ordered", "_silently", "_store")

    def __init__(
        self,
        store: Store,
        silently: Callable[[], AbstractContextManager[None]],
        kinds: Iterable[int],
        end: int,
        flying: Mapping[int, tuple[RawCall, Sequence[Blob]]],
    ) -> None:
        self._store = store
        self._silently = silently
        self._chosen = sorted(kinds)
        self._end = end
        self._flying = flying
        """By numbers below 0, which are their kinds and positions too."""
        self._ordered: array[int] | None = None

    def kinds(self) -> Iterator[tuple[int, SyscallEvent]]:
        """See Alike."""
        with self._silently():
            firsts = {self._store.first(kind): kind for kind in self._chosen} | {kind: kind for kind in self._flying}
            order = sorted(firsts, key=self._begun)
        yield from zip((firsts[position] for position in order), self._told(order), strict=True)

    def of(self, kinds: Collection[Hashable]) -> Calls:
        """See Alike."""
        asked = frozenset(kinds)
        chosen = [kind for kind in self._chosen if kind in asked]
        flying = {kind: each for kind, each in self._flying.items() if kind in asked}
        return Calls(self._store, self._silently, chosen, self._end, flying)

    def told(self) -> Iterator[tuple[int, SyscallEvent]]:
        """See Alike."""
        kinds = (place if place < 0 else self._store.kind(place) for place in self._positions)
        return zip(kinds, self, strict=True)

    @property
    def _positions(self) -> array[int]:
        if self._ordered is None:
            with self._silently():
                found = [*self._store.rows(self._chosen, end=self._end), *self._flying]
                found.sort(key=self._begun)
                self._ordered = array("q", found)
        return self._ordered

    def _begun(self, position: int) -> int:
        if position < 0:
            begun: int = self._flying[position][0].entry_ns
            return begun
        return self._store.begun(position)

    def __len__(self) -> int:
        if self._ordered is not None:
            return len(self._ordered)
        return self._store.count_rows(self._chosen, self._end) + len(self._flying)

    def __iter__(self) -> Iterator[SyscallEvent]:
        return self._told(self._positions)

    @overload
    def __getitem__(self, index: int) -> SyscallEvent: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[SyscallEvent]: ...
    def __getitem__(self, index: int | slice) -> SyscallEvent | Sequence[SyscallEvent]:
        if isinstance(index, slice):
            return tuple(self._told(self._positions[index]))
        return next(self._told([self._positions[index]]))

    def _told(self, positions: Sequence[int]) -> Iterator[SyscallEvent]:
        for start in range(0, len(positions), AT_ONCE):
            with self._silently():
                events = [self._one(position) for position in positions[start : start + AT_ONCE]]
            yield from events

    def _one(self, position: int) -> SyscallEvent:
        if position < 0:
            return self._store.event_in_flight(*self._flying[position])
        return self._store.event(position)


def _nothing(_: bytes) -> None:
    """What a call has to say whose arguments decide nothing."""


assert BLOB.size == HEADER_BYTES + BLOB_HEADER.size
assert ROW.size == STRIDE
assert TRAIT.size == ROW.size - 24 - 8 - 16 - 8 - 48
