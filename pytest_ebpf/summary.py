"""What tests cost, counted from their recordings, and the table of the most expensive ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Self

from .effects import file_events, process_events
from .notation import escape

if TYPE_CHECKING:
    from .assertions import Assertions

__all__ = ["Costs", "gather", "table"]

PREFIX = "ebpf_"


@dataclass(frozen=True, slots=True)
class Costs:
    """What a test did, in numbers. They add up: ``of(setup) + of(call)``."""

    calls: int = 0
    opens: int = 0
    """Files that were opened."""
    bytes_read: int = 0
    """From files."""
    bytes_written: int = 0
    """To files."""
    syncs: int = 0
    """Of files: fsync, fdatasync, sync and the like."""
    children: int = 0
    """Processes that were started."""
    blocked_ns: int = 0
    """Time inside of calls, of all threads and processes together, those that have not returned left out."""
    complete: bool = True
    """Whether these are all; else there may be more."""

    @classmethod
    def of(cls, recording: Assertions) -> Self:
        """Count what a recording holds.

        >>> Costs.of(ebpf).opens
        3
        """
        table = recording._table
        gaps = recording.gaps
        calls, blocked = sum(gap.count for gap in gaps if gap.exact), 0
        opens = bytes_read = bytes_written = syncs = children = 0
        for call in recording.events:
            calls += 1
            blocked += call.duration_ns or 0
            for effect in file_events(call, table):
                if effect.result != "done":
                    continue
                opens += effect.op == "open"
                syncs += effect.op == "sync"
                bytes_read += (effect.nbytes or 0) * (effect.op == "read")
                bytes_written += (effect.nbytes or 0) * (effect.op == "write")
            children += sum(each.op == "fork" and each.result == "done" for each in process_events(call, table))
        return cls(calls, opens, bytes_read, bytes_written, syncs, children, blocked, not gaps)

    def __add__(self, other: Costs) -> Costs:
        numbers = {each: getattr(self, each) + getattr(other, each) for each in NUMBERS}
        return Costs(**numbers, complete=self.complete and other.complete)

    @property
    def properties(self) -> list[tuple[str, object]]:
        """As pairs for ``item.user_properties``, from where they travel to the JUnit file and over xdist."""
        return [(f"{PREFIX}{each.name}", getattr(self, each.name)) for each in fields(self)]

    @classmethod
    def read(cls, properties: Iterable[tuple[str, object]]) -> Self | None:
        """From the properties of a report; None if they hold none."""
        found = dict(properties)
        values = {each.name: found.get(f"{PREFIX}{each.name}") for each in fields(cls)}
        numbers = {name: values[name] for name in NUMBERS}
        if not all(isinstance(number, int) for number in numbers.values()):
            return None
        return cls(**numbers, complete=values["complete"] is True)  # type: ignore[arg-type]


NUMBERS = tuple(each.name for each in fields(Costs) if each.name != "complete")

_TITLES = {
    "calls": "calls",
    "opens": "opens",
    "bytes_read": "read",
    "bytes_written": "written",
    "syncs": "syncs",
    "children": "children",
    "blocked_ns": "in calls",
}
_SHOWN = 3
"""Tests that are the most expensive in each column; together they are the table."""
_SPACE = "  "
_LEAST_NAME = 12


def gather(reports: Iterable[object]) -> dict[str, Costs]:
    """The costs of each test by its node id, from the reports of all phases and of all workers."""
    found: dict[str, Costs] = {}
    for report in reports:
        costs = Costs.read(getattr(report, "user_properties", None) or ())
        nodeid = getattr(report, "nodeid", None)
        if costs is not None and isinstance(nodeid, str):
            before = found.get(nodeid)
            # The properties of a later phase's report are those of the earlier ones and more.
            found[nodeid] = costs if before is None or costs.calls >= before.calls else before
    return found


def table(costs: Mapping[str, Costs], width: int) -> list[str]:
    """The most expensive tests, a line each, none wider than ``width``; the costliest in the most columns first.

    What doesn't fit is left out from the right: a column rather than the end of a number.
    """
    if not costs:
        return ["no test was recorded"]
    chosen = _chosen(costs)
    rows = [[*(_number(name, costs[each]) for name in NUMBERS), _name(each)] for each in chosen]
    total = sum(costs.values(), Costs())
    rows.append([*(_number(name, total) for name in NUMBERS), f"all {len(costs):,} recorded tests"])
    titles = [_TITLES[name] for name in NUMBERS]
    columns = list(zip(titles, *rows, strict=False))
    widths = [max(len(cell) for cell in column) for column in columns]
    while len(widths) > 1 and sum(widths) + len(_SPACE) * len(widths) + _LEAST_NAME > width:
        widths.pop()
    room = max(width - sum(widths) - len(_SPACE) * len(widths), 0)
    lines = []
    for cells in ([*titles, "test"], *rows):
        numbers = _SPACE.join(cell.rjust(size) for cell, size in zip(cells, widths, strict=False))
        lines.append(f"{numbers}{_SPACE}{_cut(cells[-1], room)}".rstrip()[: max(width, 1)])
    if not total.complete:
        lines.extend(_note("+: at least; the recording has gaps", width))
    return lines


def _note(text: str, width: int) -> list[str]:
    return [text] if len(text) <= width else []


def _chosen(costs: Mapping[str, Costs]) -> list[str]:
    """The tests that are among the most expensive of any column; those that are so in more of them first."""
    votes: dict[str, int] = {}
    for name in NUMBERS:
        ranked = sorted(costs, key=lambda each: -getattr(costs[each], name))
        for place, each in enumerate(ranked[:_SHOWN]):
            if getattr(costs[each], name):
                votes[each] = votes.get(each, 0) + _SHOWN - place
    chosen = sorted(votes, key=lambda each: (-votes[each], -costs[each].calls))
    return chosen or list(costs)[:1]


def _number(name: str, costs: Costs) -> str:
    value = getattr(costs, name)
    text = _time(value) if name.endswith("_ns") else _bytes(value) if name.startswith("bytes") else f"{value:,}"
    return text if costs.complete else f"{text}+"


def _bytes(count: int) -> str:
    if count < 1024:
        return f"{count} B"
    size = float(count)
    for unit in ("KiB", "MiB", "GiB"):
        size /= 1024
        if size < 1024:
            return f"{size:.1f} {unit}"
    return f"{size / 1024:,.1f} TiB"


def _time(duration_ns: int) -> str:
    for unit, size in (("s", 10**9), ("ms", 10**6)):
        if duration_ns >= size:
            return f"{duration_ns / size:,.1f} {unit}"
    return f"{duration_ns // 1000} µs"


def _name(nodeid: str) -> str:
    return escape(nodeid)


def _cut(text: str, room: int) -> str:
    """The end of a node id says more than its beginning."""
    if len(text) <= room:
        return text
    return f"…{text[len(text) - room + 1 :]}" if room > 1 else text[:room]
