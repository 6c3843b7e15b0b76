"""What the tasks of a test did after it: the same questions as on a recording."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager

from .assertions import Assertions
from .effects import file_events, network_events, process_events
from .events import Effect, Gap, Process, SyscallEvent
from .hooks import names_of_foreign
from .match import Events
from .recording import undescribed
from .scope import Owner, Segments
from .session import Session
from .syscalls import Table, is_opaque

__all__ = ["Late"]


class Late(Assertions):
    """The late events of a test so far, without those that were looked at before."""

    def __init__(self, session: Session, owner: Owner, seen: int = 0) -> None:
        self._session = session
        self._owner = owner
        self._late = tuple(owner.late[seen:])

    @property
    def telling(self) -> Events[SyscallEvent]:
        """Those that changed something, opened a file, spoke to someone or started something."""
        found = [call for call in self._late if any(each.op in TELLING for each in self._effects_of(call))]
        return Events(found, table=self._table, start_ns=self._start_ns)

    def _effects_of(self, call: SyscallEvent) -> Iterator[Effect]:
        yield from file_events(call, self._table)
        yield from network_events(call, self._table)
        yield from process_events(call, self._table)

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Why absence isn't proven; empty if it is."""
        return (*self._missing(), *self._undecoded())

    def _missing(self) -> Iterator[Gap]:
        missing = self._owner.late_calls - len(self._owner.late)
        if missing:
            reason = f"{missing:,} calls of what the test left behind were counted and not kept"
            yield Gap(reason, "end them with the test", count=missing)

    def _undecoded(self) -> Iterator[Gap]:
        """What was done by calls of which it isn't known what they do."""
        unknown = undescribed(self._table)
        names = Counter(call.name for call in self._late if call.errno != "ENOSYS" or call.name.startswith(FOREIGN))
        for name, count in names.items():
            if not (name in unknown or is_opaque(name) or name.startswith(FOREIGN)):
                continue
            may_be = _calls_through(int(name.removeprefix(FOREIGN), 16)) if name.startswith(FOREIGN) else None
            yield Gap(
                f"what the test left behind made {count:,} calls {name}, which are not decoded",
                "end it with the test",
                calls=frozenset(),
                count=count,
                may_be=self._table.names if may_be is None else may_be,
            )

    def _events(self, names: frozenset[str] | None) -> Sequence[SyscallEvent]:
        return self._late if names is None else [event for event in self._late if event.name in names]

    def _living(self) -> Sequence[Process]:
        return self._session.living(self._owner, Segments(self._owner.first))

    def _silently(self, *, entirely: bool = False) -> AbstractContextManager[None]:
        return self._session.unobserved(entirely=entirely)

    @property
    def _table(self) -> Table:
        return self._session.table

    @property
    def _start_ns(self) -> int:
        return self._owner.closed_ns or 0


FOREIGN = "foreign_"
"""Begins the names of calls through another ABI."""


def _calls_through(number: int) -> frozenset[str] | None:
    """Our names of the calls that have a number in another ABI, whichever that is; None if that isn't known."""
    found = [names_of_foreign(number, x32=x32) for x32 in (False, True)]
    known = [names for names in found if names is not None]
    return frozenset[str]().union(*known) if len(known) == len(found) else None


TELLING = frozenset(
    {"create", "open", "remove", "rename", "truncate", "write", "metadata", "mount"}
    | {"bind", "connect", "dns", "listen", "send"}
    | {"exec", "fork", "signal"}
)
"""The effects that are worth to be told, if no rule asks for others."""
