"""Recorded events as columns, so that a question about a million of them decodes the few that differ.

Each event stays the bytes that came from the ring; beside it stands the number of its *signature*: which blobs it came
with, in which order, without the number of its call. Blobs and signatures are kept once, however many events have them.
A filter that looks at nothing but the call, its blobs, its first descriptor and whether it failed has the same answer
for all events that agree in these, and is asked once for each kind.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from .decode import BLOB_HEADER, CALL_KIND, EVENT, EVENT_BYTES, RING_KIND, Blob, BlobFlag, BlobKind, RawCall

__all__ = ["Columns", "Kind"]

RECORD_HEADER = 8
STRIDE = RECORD_HEADER + EVENT_BYTES
BLOB = struct.Struct("<I4xQI4B")
"""The ring's header of a record, and the blob's behind it."""
BUSY_OR_DISCARDED = 3 << 30
REREAD = BlobFlag.REREAD.value
CALL = 24
"""Where the number of its call stands in a record of the event ring."""
KIND = struct.Struct("<40x8s4x4s48x26s22x")
"""Of a record: the first file, the sign of the result (its upper half), and from the pid on to the unread arguments."""
TAIL = struct.Struct("<IIIIIHBBBB")
"""pid, tid, segment, tag, stack, number, kind, flags, unread, lost."""

Kind = tuple[int, tuple[bytes, bytes, bytes]]
"""What events that a filter can't tell apart have in common: their signature, and those parts of their records."""

EACH = object()
"""In place of a verdict: each event is asked."""


class Columns:
    """All events of a recording, with their blobs."""

    def __init__(self) -> None:
        self._blocks: list[tuple[bytes, array[int]]] = []
        self._bodies: dict[bytes, int] = {}
        self._contents: list[bytes] = [b""]
        self._steps: dict[int, int] = {}
        """Of a signature and one more blob (signature << 32 | blob): the signature of both."""
        self._parents: list[tuple[int, int]] = [(0, 0)]
        """Of each signature: the one without its last blob, and that blob."""
        self._waiting: dict[int, int] = {}
        """Signatures of calls whose event hasn't come."""

    def __len__(self) -> int:
        return sum(len(signatures) for _, signatures in self._blocks)

    @property
    def nbytes(self) -> int:
        """Memory of the events, without what is kept once."""
        return sum(len(block) + signatures.itemsize * len(signatures) for block, signatures in self._blocks)

    def take_blobs(self, region: bytes) -> Iterator[Blob]:
        """Take over finished records of the blob ring; those that belong to no call come back."""
        unpack, bodies, steps, waiting = BLOB.unpack_from, self._bodies, self._steps, self._waiting
        position, end = 0, len(region)
        while position < end:
            length, call, size, kind, arg, flags, event_kind = unpack(region, position)
            data = position + BLOB.size
            if not length & BUSY_OR_DISCARDED:
                if kind == BlobKind.FILE.value:
                    yield Blob(call, kind, arg, flags, event_kind, region[data : data + size])
                else:
                    # From the size on, which comes after the call's number: what is the same for equal blobs.
                    body = region[position + 16 : data + size]
                    # What was read only at exit may be the kernel's answer: that hangs on the call's other arguments.
                    number = (0 if flags & REREAD else bodies.get(body)) or self._new_body(body)
                    before = waiting.get(call, 0)
                    waiting[call] = steps.get(before << 32 | number) or self._new_signature(before, number)
            position += -(-(RECORD_HEADER + (length & ~BUSY_OR_DISCARDED)) // 8) * 8

    def take_events(self, block: bytes) -> None:
        """Take over a block of the event ring, whose blobs have been taken."""
        take = self._waiting.pop
        calls = column(block, CALL, "Q")
        self._blocks.append((block, array("I", [take(call, 0) for call in calls])))

    def _new_body(self, body: bytes) -> int:
        self._bodies[body] = number = len(self._contents)
        self._contents.append(body)
        return number

    def _new_signature(self, before: int, blob: int) -> int:
        self._steps[before << 32 | blob] = number = len(self._parents)
        self._parents.append((before, blob))
        return number

    def blobs(self, raw: RawCall, signature: int) -> list[Blob]:
        """The blobs that came with an event."""
        found: list[Blob] = []
        while signature:
            signature, number = self._parents[signature]
            body = self._contents[number]
            size, kind, arg, flags, event_kind = struct.unpack_from("<I4B", body)
            found.append(Blob(raw.call, kind, arg, flags, event_kind, body[8 : 8 + size]))
        return found[::-1]

    def select(
        self,
        numbers: frozenset[int] | None,
        owns: Callable[[int, int, int], bool],
        test: Callable[[RawCall, Sequence[Blob]], bool | None],
        *,
        ring: int,
    ) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Events that match for certain, and those of which it can't be told, as (block, row).

        Good for filters on path and address alone: of a kind, one event is asked for all.
        ``owns`` says whether an event of (segment, tag, pid) belongs to the window; ``test`` gets one event of each
        kind with its blobs: True, False, or None for unknown. ``ring`` is added to the numbers of ring operations.
        """
        found: list[tuple[int, int]] = []
        unsure: list[tuple[int, int]] = []
        each: list[tuple[int, int]] = []
        verdicts: dict[Kind, object] = {}
        for index, (block, signatures) in enumerate(self._blocks):
            # One row of each kind: the last.
            rows = dict(zip(zip(signatures, KIND.iter_unpack(block), strict=True), range(len(signatures)), strict=True))
            for kind in rows.keys() - verdicts.keys():
                pid, _, segment, tag, _, number, event_kind, _, unread, lost = TAIL.unpack(kind[1][2])
                number += ring if event_kind == RING_KIND else 0
                asked = event_kind in (CALL_KIND, RING_KIND) and (numbers is None or number in numbers)
                if asked and owns(segment, tag, pid):
                    # Of what couldn't be read, the very error tells whether it matters.
                    verdicts[kind] = EACH if unread or lost else test(*self.raw(index, rows[kind]))
                else:
                    verdicts[kind] = False
            for verdict, places in ((True, found), (None, unsure), (EACH, each)):
                matching = {kind for kind in rows if verdicts[kind] is verdict}
                if matching:
                    kinds = zip(signatures, KIND.iter_unpack(block), strict=True)
                    places += [(index, row) for row, kind in enumerate(kinds) if kind in matching]
        for place in each:
            verdict = test(*self.raw(*place))
            if verdict is not False:
                (unsure if verdict is None else found).append(place)
        return sorted(found), sorted(unsure)

    def raw(self, index: int, row: int) -> tuple[RawCall, list[Blob]]:
        """One event, with its blobs."""
        block, signatures = self._blocks[index]
        raw = RawCall(EVENT.unpack_from(block, row * STRIDE + RECORD_HEADER))
        return raw, self.blobs(raw, signatures[row])


def column(block: bytes, offset: int, code: Literal["I", "Q"]) -> list[int]:
    """One field of each record; ``code`` is its size, as struct has it."""
    words = memoryview(block).cast(code)
    return words[offset // words.itemsize :: STRIDE // words.itemsize].tolist()


assert BLOB.size == RECORD_HEADER + BLOB_HEADER.size
assert KIND.size == STRIDE
