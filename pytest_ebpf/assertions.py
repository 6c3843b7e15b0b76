"""Queries and assertions: what a test asks of a recording. What each assertion means is in the module of its rule."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence, Set
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

from . import hooks, mappings, rules
from .alike import Alike, alike
from .effects import FileEvents, Kind, calls_of, core_dump, network_events, process_events
from .errors import InconclusiveRecording
from .events import FileEvent, Gap, NetworkEvent, Process, ProcessEvent, SyscallEvent
from .match import E, Events, Query, effect_query, query
from .names import load, with_names
from .question import Question, gaps_in
from .step import Step
from .syscalls import Table

__all__ = ["Assertions"]

CORE_PATTERN = Path("/proc/sys/kernel/core_pattern")
"""What is made of a process that leaves a core."""


class Assertions(ABC):
    """Queries and assertions on a recording, which the subclass supplies."""

    _shown_in = ""
    """Where a user finds the whole recording, for the end of a failure's text."""

    @abstractmethod
    def _events(self, names: frozenset[str] | None) -> Sequence[SyscallEvent]:
        """The events so far of these calls (None: of any call), in kernel order, those in flight too."""

    def _ends(self) -> Sequence[SyscallEvent]:
        """What the kernel told of the ends of processes, in order."""
        return ()

    def _told(self) -> Sequence[SyscallEvent]:
        """What the kernel's hooks told that no call tells of itself, in order."""
        return ()

    def _living(self) -> Sequence[Process]:
        """The processes that the test started and that have not ended."""
        return ()

    def _outputs(self) -> Set[tuple[int, int]]:
        """The files that pytest's own output went to, by device and inode: those that may be closed by now."""
        return frozenset()

    def _context(self, names: frozenset[str]) -> Sequence[SyscallEvent] | None:  # noqa: ARG002 (a part needs it)
        """The events of these calls in the recording that this is a part of, in kernel order; None if it is whole."""
        return None

    def _silently(self, *, entirely: bool = False) -> AbstractContextManager[None]:  # noqa: ARG002 (a part needs it)
        """While the plugin is at work: memory and lock calls of this thread are not recorded, or ``entirely`` none."""
        return nullcontext()

    @property
    @abstractmethod
    def _table(self) -> Table:
        """The table of the machine's calls."""

    @property
    @abstractmethod
    def _start_ns(self) -> int:
        """When the window opened, on CLOCK_MONOTONIC."""

    @property
    @abstractmethod
    def gaps(self) -> tuple[Gap, ...]:
        """Why absence isn't proven; empty if it is."""

    @property
    def complete(self) -> bool:
        """Whether the recording proves absence: no event was lost and none is unreadable."""
        return not self.gaps

    @property
    def events(self) -> Events[SyscallEvent]:
        """Everything recorded so far, in kernel order.

        >>> recording.events.first.name
        'openat'
        """
        return self._shown(self._events(None), (), None)

    def syscalls(self, /, *names: str, **filters: Any) -> Events[SyscallEvent]:
        """The calls with one of these names (any call if none is given) that all filters match.

        Calls of which that can't be told are in ``undecided`` of the result, not in it. Raises
        UnknownSyscall, TypeError or ValueError for a name, filter or value that nothing can match.

        >>> recording.syscalls("openat", path="/etc/*").paths
        {'/etc/hosts'}
        """
        __tracebackhide__ = True
        asked = query(self._table, *names, **filters)
        found, unsure = self._select(asked)
        return self._shown(found, unsure, asked.names)

    def files(self, /, **filters: Any) -> Events[FileEvent]:
        """What was done to files, by whatever call: those effects that all filters match.

        ``effects.OPS`` has the values of ``op``. Attempts that failed are there too: see ``ok``. Effects of which
        it can't be told are in ``undecided`` of the result. Raises TypeError or ValueError for a filter or value
        that nothing can match.

        >>> recording.files(op="open", path="/etc/*").paths
        {'/etc/hosts'}
        """
        __tracebackhide__ = True
        asked = effect_query(self._table, "files", **filters)
        return self._matching("files", asked, self._file_effects())

    def network(self, /, **filters: Any) -> Events[NetworkEvent]:
        """What was done on sockets, by whatever call: those effects that all filters match.

        As `files`. Names that were asked for in DNS, in this window or in the test before it, are the ``host`` of
        what follows.

        >>> recording.network(op="connect", address="public")
        <0 events>
        """
        __tracebackhide__ = True
        asked = effect_query(self._table, "network", **filters)
        return self._matching("network", asked, self._network_effects())

    def processes(self, /, **filters: Any) -> Events[ProcessEvent]:
        """What was done with processes: those effects that all filters match. As `files`.

        >>> recording.processes(op="exec").first.exe
        '/bin/git'
        """
        __tracebackhide__ = True
        asked = effect_query(self._table, "processes", **filters)
        return self._matching("processes", asked, self._process_effects())

    # Assertions

    def assert_no_syscall(self, /, *names: str, **filters: Any) -> None:
        """No call with one of these names (any call if none is given) matches all filters.

        Raises AssertionError if one did, and InconclusiveRecording if none did for certain but a gap, or
        a call that couldn't be read, may hide one. Warns with SiblingCallWarning if it holds for the
        calls named exactly while a sibling of theirs matched (openat2 for openat).

        >>> recording.assert_no_syscall("openat", path="/etc/passwd")
        """
        __tracebackhide__ = True
        self._assert("no_syscall", *names, **filters)

    def assert_syscall(
        self,
        /,
        *names: str,
        count: int | None = None,
        min: int | None = None,
        max: int | None = None,
        **filters: Any,
    ) -> None:
        """Calls with one of these names that match all filters: at least one, unless told.

        ``count`` is their exact number, ``min`` and ``max`` are bounds. ``max`` alone still asks for one
        (add ``min=0`` where none is fine), ``count=0`` and ``max=0`` are assert_no_syscall. So a call's
        own argument ``count`` can't be filtered by here: use ``where``.

        Raises AssertionError if the number is certainly another, and InconclusiveRecording if a gap, or
        a call that couldn't be read, may make it so. TypeError or ValueError for bounds that make no sense.

        >>> recording.assert_syscall("openat", path="/etc/hosts", count=1)
        """
        __tracebackhide__ = True
        self._assert("syscall", *names, count=count, min=min, max=max, **filters)

    def assert_syscall_order(self, /, *steps: Step) -> None:
        """Calls that match the steps were made in this order; others may be in between.

        Each step is a ``call(name, **filters)`` from ``pytest_ebpf``, with the filters of `syscalls`. A call counts
        for a step if it began after that of the step before had returned: two that overlap, in two threads, have no
        order. Of a fork, the next step may be what the new process does before the fork returns.

        >>> recording.assert_syscall_order(call("openat", path="/etc/hosts"), call("connect"))
        """
        __tracebackhide__ = True
        self._assert("syscall_order", *steps)

    def assert_no_file_access(self, /, path: object, ops: object = None) -> None:
        """Nothing was done to the file, nor tried: by any call, through any path, descriptor or hard link.

        ``path`` is that of `files`: exact, a glob, a compiled regex, a path or a function. ``ops`` are those of
        `files`, one or several; unless told, any, also a stat that found nothing. Other hard links of the file count
        if ``path`` is exact and absolute, and the file is still there.

        >>> recording.assert_no_file_access("/etc/shadow")
        """
        __tracebackhide__ = True
        self._assert("no_file_access", path, ops)

    def assert_file_opened(self, /, path: object, mode: str | None = None) -> None:
        """The file was opened, and that succeeded; in this mode of Python's ``open``, if one is given.

        ``mode`` is judged by the flags of the call, so of any program: ``"r"`` is O_RDONLY, ``"w"`` O_WRONLY with
        O_TRUNC, ``"a"`` with O_APPEND, ``"x"`` with O_CREAT and O_EXCL, and ``"+"`` makes each O_RDWR. ``"b"`` and
        ``"t"`` are Python's own and say nothing.

        >>> recording.assert_file_opened("/etc/hosts")
        """
        __tracebackhide__ = True
        self._assert("file_opened", path, mode)

    def assert_only_writes_under(self, /, *dirs: str | os.PathLike[str]) -> None:
        """Files are made, written, truncated, renamed, removed, linked and changed under these directories alone.

        Judged by the real path, with all symlinks followed as they were at the call. What failed wrote nothing.
        Devices that keep nothing (/dev/null, terminals), pipes, sockets, memfds, the process's own /proc entries, and
        the files that pytest's output goes to, are no places. A file with more hard links than are found under the
        directories, and a file system mounted over them in the recording, make it inconclusive.

        >>> recording.assert_only_writes_under("/tmp")
        """
        __tracebackhide__ = True
        self._assert("only_writes_under", *dirs)

    def assert_only_reads_under(self, /, *dirs: str | os.PathLike[str], runtime: bool = True) -> None:
        """Files are opened for reading, read, listed, mapped and executed under these directories alone.

        As `assert_only_writes_under`. A stat is no read. With ``runtime`` what any program needs is allowed too: the
        interpreter with its standard library and installed packages, shared libraries, the loader's cache, locales,
        time zones, certificates. docs/assertions.md has the list.

        >>> recording.assert_only_reads_under("/etc", "/bin")
        """
        __tracebackhide__ = True
        self._assert("only_reads_under", *dirs, runtime=runtime)

    def assert_durable(self, /, path: str | os.PathLike[str]) -> None:
        """What was written to the file, and its name, would be there after a crash.

        After the last write to the file came an fsync, fdatasync, msync(MS_SYNC), syncfs or sync, or the writes were
        O_SYNC or O_DSYNC; of a file that was renamed or linked into place, before that. After it got its name, its
        directory was synced. A file that was written where it lay needs no sync of the directory. The text says
        which step is missing.

        >>> recording.assert_durable("/tmp/state.json")
        """
        __tracebackhide__ = True
        self._assert("durable", path)

    def assert_no_network(self, /, allow: Sequence[object] = ()) -> None:
        """Nobody was reached, nor tried, but those in ``allow``.

        That is each connect, send, receive and accept, each question of DNS, and each bind or listen on an address
        that others reach, on any kind of socket; netlink is none. Unix sockets of processes outside this test count;
        those inside, socketpairs, and ``socket()`` alone don't. ``allow`` has addresses as the filter ``address``:
        ``"127.0.0.1"``, ``"10.0.0.1:80"``, ``"[::1]:80"``, ``"10.0.0.0/8"``, ``"unix:/run/x"``, ``"example.org"``,
        ``"loopback"``, ``"private"``, ``"public"``, ``"unix"``. A host's name allows its look-up and the addresses
        that DNS gave for it in the recording.

        >>> recording.assert_no_network(allow=["loopback"])
        """
        __tracebackhide__ = True
        self._assert("no_network", **({"allow": allow} if allow != () else {}))

    def assert_connected(self, /, destination: object) -> None:
        """A connection to the destination was made.

        A connect that was still under way when it returned (EINPROGRESS) counts once data went through it.

        >>> recording.assert_connected("127.0.0.1:8080")
        """
        __tracebackhide__ = True
        self._assert("connected", destination)

    def assert_only_connects_to(self, /, *destinations: object) -> None:
        """Connections, datagrams and questions of DNS go to these destinations alone, or nowhere.

        As `assert_no_network` with these allowed, but neither what others send here matters, nor who may, nor what is
        sent on connections that are there already.

        >>> recording.assert_only_connects_to("127.0.0.1:8080")
        """
        __tracebackhide__ = True
        self._assert("only_connects_to", *destinations)

    def assert_no_exec(self, /, allow: Sequence[object] = ()) -> None:
        """No program was executed but those in ``allow``, nor an existing one tried.

        ``allow`` has paths, globs, or bare names that stand for a program wherever it lies. A look along PATH that
        found nothing is no attempt.

        >>> recording.assert_no_exec(allow=["git", "/usr/bin/ssh"])
        """
        __tracebackhide__ = True
        self._assert("no_exec", **({"allow": allow} if allow != () else {}))

    def assert_exec(self, /, program: object, argv: object = None) -> None:
        """The program was executed: by path, glob or bare name; with these arguments, a list or a function, if given.

        >>> recording.assert_exec("git", argv=["git", "status"])
        """
        __tracebackhide__ = True
        self._assert("exec", program, argv)

    def assert_no_leaked_processes(self) -> None:
        """No process that the test function started is still alive, nor a descendant of one, also a daemon.

        As a rule of a marker it is asked at the end of the teardown, of what the test's own fixtures started too.

        >>> recording.assert_no_leaked_processes()
        """
        __tracebackhide__ = True
        self._assert("no_leaked_processes")

    def assert_max(self, /, **budget: int | str) -> None:
        """At most so many of each: of calls by name, or ``syscalls``, ``opens``, ``connects``, ``execs``, ``forks``,
        ``syncs``, ``bytes_read`` and ``bytes_written``.

        Names of calls count every call, also those that failed; the others what was done, by whichever call. Bytes
        are those of files, and may be a text such as ``"1MiB"`` or ``"20 kB"``.

        >>> recording.assert_max(openat=5, fsync=2, bytes_written="1MiB")
        """
        __tracebackhide__ = True
        self._assert("max", **budget)

    # What they are made of

    def _assert(self, rule: str, /, *args: Any, **kwargs: Any) -> None:
        __tracebackhide__ = True
        self._ask(rules.question(self._table, rule, *args, **kwargs))

    def _ask(self, question: Question) -> None:
        """Ask a question that `rules` prepared."""
        __tracebackhide__ = True
        try:
            with self._silently():
                question.judge(self)
        except (AssertionError, InconclusiveRecording) as error:
            if self._shown_in:
                error.add_note(f"whole recording: {self._shown_in}")
            raise

    def _is_blank(self, *, is_proof_due: bool = False) -> bool:  # noqa: ARG002 (for those who can tell)
        """Whether it is certain, and quickly told, that nothing happened; but for what a later question will prove."""
        return False

    def _file_effects(self) -> Alike[FileEvent]:
        """Everything done to files, in order."""
        with self._silently():
            found = FileEvents(alike(self._events(calls_of("files", self._table))), self._table)
            more = mappings.file_events(alike(self._events(mappings.ASKING)), self._whole_events)
            more.extend(self._core_dumps())
            told = [event for told in self._told() for event in hooks.file_events(told)]
            if not more and not told:
                return found
            return alike(hooks.joined(sorted([*found, *more], key=lambda event: event.timestamp_ns), told))

    def _core_dumps(self) -> list[FileEvent]:
        """Those that processes wrote themselves: not such as the kernel gives to a program of its own."""
        dumps = [event for end in self._ends() for event in core_dump(end)]
        if dumps:
            with self._silently(entirely=True), suppress(OSError):  # where there is no /proc it isn't known
                return [] if CORE_PATTERN.read_text().startswith("|") else dumps
        return dumps

    def _whole_events(self, names: frozenset[str]) -> Sequence[SyscallEvent]:
        """The events of these calls in the whole recording, of which this may be a part."""
        whole = self._context(names)
        return self._events(names) if whole is None else whole

    def _file_context(self) -> Alike[FileEvent] | None:
        """Of a window, all that was done to files in the recording around it: it tells what names led to."""
        return None

    def _network_effects(self) -> Sequence[NetworkEvent]:
        """Everything done on sockets, in order, with the hosts that are known."""
        with self._silently():
            names = calls_of("network", self._table)
            calls = self._events(names)
            whole = self._context(names)
            if any(call.payloads for call in whole or calls):
                with self._silently(entirely=True):
                    load()
            events = [event for call in whole or calls for event in network_events(call, self._table)]
            told = [event for told in self._told() for event in hooks.network_events(told)]
            found = [*with_names(hooks.joined(events, told))]
            if whole is not None:
                here = {(call.tid, call.timestamp_ns) for call in (*calls, *self._told())}
                found = [event for event in found if (event.tid, event.timestamp_ns) in here]
            return found

    def _process_effects(self) -> Sequence[ProcessEvent]:
        """Everything done with processes, in order."""
        with self._silently():
            calls = (*self._events(calls_of("processes", self._table)), *self._ends())
            found = [event for call in calls for event in process_events(call, self._table)]
            return hooks.joined(found, [event for told in self._told() for event in hooks.process_events(told)])

    def _select(self, asked: Query) -> tuple[Sequence[SyscallEvent], Sequence[SyscallEvent]]:
        """The calls that match, and those of which it can't be told."""
        if asked.needs_hosts:
            asked.learn(self._network_effects())
        events = self._events(asked.names)
        # Counting calls by name alone mustn't decode them.
        return asked.select(events) if asked.filters else (events, ())

    def _matching(self, kind: Kind, asked: Query, events: Iterable[E]) -> Events[E]:
        with self._silently():
            in_order = events if isinstance(events, Alike) else sorted(events, key=lambda event: event.timestamp_ns)
            found, unsure = asked.select(in_order)
        ops = next((each.value for each in asked.filters if each.name == "op"), None)
        if isinstance(ops, str):
            ops = [ops]
        wanted = frozenset(ops) if isinstance(ops, (list, tuple, set, frozenset)) else None
        return self._shown(found, unsure, calls_of(kind, self._table, wanted), kind)

    def _shown(
        self, found: Sequence[E], unsure: Sequence[E], names: frozenset[str] | None, kind: Kind | None = None
    ) -> Events[E]:
        """Events for the user, with the gaps that may hide more of them."""
        return Events(
            found,
            undecided=unsure,
            table=self._table,
            start_ns=self._start_ns,
            kind=kind,
            gaps=gaps_in(self.gaps, names, kind),
        )
