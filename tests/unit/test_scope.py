"""The life of processes, and whose an event is."""

from __future__ import annotations

import pytest

from pytest_ebpf.decode import Note, NoteKind
from pytest_ebpf.scope import BETWEEN, CLONE_THREAD, ENROLLED, Kind, LiveTask, Owner, Scope, Segments, process_of

SELF = 100
LABELS = {3: "test_a (call)", 5: "test_b (call)"}


def note(
    kind: NoteKind,
    tid: int,
    args: tuple[int, ...] = (),
    *,
    pid: int = SELF,
    call: int = 0,
    image: int = 0,
    comm: str = "python",
    segment: int = 3,
    tag: int = 0,
) -> Note:
    """A note as decode makes it."""
    return Note(
        kind=kind,
        timestamp_ns=1,
        call=call,
        image=image,
        args=(*args, *(0,) * 6)[:6],
        pid=pid,
        tid=tid,
        segment=segment,
        tag=tag,
        comm=comm,
        is_self=pid == SELF,
    )


class Kernel:
    """Makes the notes that a life gives."""

    def __init__(self) -> None:
        self.scope = Scope(LABELS.get)
        self.call = 1000
        self.slot = 0

    def enrol(self, pid: int, parent: int, tid: int | None = None, exe: str | None = None) -> int:
        """A task that was there before; its slot."""
        self.slot += 1
        args = (tid or pid, pid, tid or pid, pid, parent, self.slot)
        self.scope.take(note(NoteKind.TASK, tid or pid, args, pid=pid, image=ENROLLED | pid), exe, ())
        return self.slot

    def fork(
        self,
        tid: int,
        parent: int,
        image: int,
        *,
        flags: int = 0,
        tag: int = 3,
        comm: str = "python",
    ) -> int:
        """A new task; its image."""
        self.slot += 1
        self.call += 1
        args = (tid, parent if flags & CLONE_THREAD else tid, tid, tid, flags, self.slot)
        forked = note(NoteKind.FORK, parent, args, pid=parent, call=self.call, image=image, tag=tag, comm=comm)
        self.scope.take(forked, None, ())
        return image if flags & CLONE_THREAD else self.call

    def exec(self, pid: int, exe: str, argv: tuple[str, ...] = (), old_tid: int | None = None, tag: int = 3) -> int:
        """A new program; its image."""
        self.call += 1
        args = (old_tid or pid, 0, 0, 0, 0, self.slot)
        comm = exe.rpartition("/")[2]
        executed = note(NoteKind.EXEC, pid, args, pid=pid, call=self.call, image=self.call, comm=comm, tag=tag)
        self.scope.take(executed, exe, argv)
        return self.call

    def exit(
        self, tid: int, pid: int | None = None, status: int = 0, segment: int = 3, group: int | None = None
    ) -> None:
        """The end of a task; ``group`` is the status of its process, if that is another one."""
        codes = (status, status if group is None else group)
        self.scope.take(note(NoteKind.EXIT, tid, codes, pid=pid or tid, segment=segment), None, ())


@pytest.fixture
def kernel() -> Kernel:
    """A kernel in which the pytest process lives."""
    kernel = Kernel()
    kernel.enrol(SELF, 1, exe="/usr/bin/python3")
    return kernel


OWN_IMAGE = ENROLLED | SELF


def test_own_process(kernel: Kernel) -> None:
    """The pytest process is there from the start, and nobody's test started it."""
    process = process_of(kernel.scope.images, OWN_IMAGE, SELF, "python")
    assert (process.pid, process.exe, process.is_self, process.started_by) == (SELF, "/usr/bin/python3", True, None)
    assert list(process.chain()) == [process]
    assert kernel.scope.own_pid == SELF


def test_processes_that_were_there(kernel: Kernel) -> None:
    """A child from before the recorder has its parent, and is not the pytest process."""
    kernel.enrol(200, SELF, exe="/bin/cat")
    process = process_of(kernel.scope.images, ENROLLED | 200, 200, "cat")
    assert process.exe == "/bin/cat"
    assert not process.is_self
    assert [each.pid for each in process.chain()] == [200, SELF]


def test_forked_process(kernel: Kernel) -> None:
    """It runs its parent's program, and knows the test that started it."""
    image = kernel.fork(200, SELF, OWN_IMAGE)
    process = process_of(kernel.scope.images, image, 200, "python")
    assert (process.pid, process.exe, process.is_self) == (200, "/usr/bin/python3", False)
    assert process.started_by == "test_a (call)"
    assert process.parent == process_of(kernel.scope.images, OWN_IMAGE, SELF, "python")


def test_chain_of_a_grandchild(kernel: Kernel) -> None:
    """Through fork and exec, up to the pytest process."""
    shell = kernel.fork(200, SELF, OWN_IMAGE)
    shell = kernel.exec(200, "/bin/sh", ("sh", "-c", "git status"))
    kernel.fork(201, 200, shell)
    git = kernel.exec(201, "/usr/bin/git", ("git", "status"))
    process = process_of(kernel.scope.images, git, 201, "git")
    assert [(each.comm, each.exe) for each in process.chain()] == [
        ("git", "/usr/bin/git"),
        ("sh", "/bin/sh"),
        ("python", "/usr/bin/python3"),
    ]
    assert process.argv == ("git", "status")
    assert process.started_by == "test_a (call)"


def test_images_of_one_process(kernel: Kernel) -> None:
    """What it did before its exec, it did as the program of that time."""
    before = kernel.fork(200, SELF, OWN_IMAGE)
    after = kernel.exec(200, "/bin/true", ("true",))
    assert process_of(kernel.scope.images, before, 200, "python").exe == "/usr/bin/python3"
    assert process_of(kernel.scope.images, after, 200, "true").exe == "/bin/true"


def test_exec_twice(kernel: Kernel) -> None:
    """As ``env git`` does: the parent stays the one that forked it."""
    kernel.fork(200, SELF, OWN_IMAGE)
    kernel.exec(200, "/usr/bin/env")
    image = kernel.exec(200, "/usr/bin/git")
    assert [each.pid for each in process_of(kernel.scope.images, image, 200, "git").chain()] == [200, SELF]


def test_thread_that_execs(kernel: Kernel) -> None:
    """It takes over the id of its process; the other threads end."""
    image = kernel.fork(200, SELF, OWN_IMAGE)
    kernel.fork(201, 200, image, flags=CLONE_THREAD)
    kernel.exit(200)
    executed = kernel.exec(200, "/bin/true", old_tid=201)
    process = process_of(kernel.scope.images, executed, 200, "true")
    assert [each.pid for each in process.chain()] == [200, SELF]
    assert len(kernel.scope.slots) == 2
    kernel.exit(200)
    assert len(kernel.scope.slots) == 1


def test_exec_of_a_process_that_was_not_seen(kernel: Kernel) -> None:
    """Its fork was lost: the program is known all the same."""
    image = kernel.exec(300, "/bin/true", ("true",))
    process = process_of(kernel.scope.images, image, 300, "true")
    assert (process.exe, process.argv, process.parent) == ("/bin/true", ("true",), None)


def test_process_that_was_not_seen(kernel: Kernel) -> None:
    """An event still says what it knows."""
    process = process_of(kernel.scope.images, 4711, 300, "ghost")
    assert (process.pid, process.comm, process.exe, process.is_self) == (300, "ghost", None, False)


def test_thread_shares_the_image(kernel: Kernel) -> None:
    """A thread of the pytest process is the pytest process."""
    image = kernel.fork(101, SELF, OWN_IMAGE, flags=CLONE_THREAD)
    assert process_of(kernel.scope.images, image, SELF, "python").is_self
    assert len(kernel.scope.slots) == 2


def test_slots_of_live_tasks(kernel: Kernel) -> None:
    """Those of ended tasks aren't looked at."""
    first = list(kernel.scope.slots)
    kernel.fork(200, SELF, OWN_IMAGE)
    assert len(kernel.scope.slots) == 2
    kernel.exit(200)
    assert kernel.scope.slots == first
    kernel.exit(999)
    assert kernel.scope.slots == first


def test_forget_keeps_the_living(kernel: Kernel) -> None:
    """A process that runs on keeps its program and its parents, even those that ended."""
    shell = kernel.fork(200, SELF, OWN_IMAGE)
    shell = kernel.exec(200, "/bin/sh")
    daemon = kernel.fork(201, 200, shell, comm="sh")
    kernel.exit(200)
    kernel.scope.forget()
    assert process_of(kernel.scope.images, shell, 200, "sh").exe is None
    process = process_of(kernel.scope.images, daemon, 201, "sh")
    assert [each.comm for each in process.chain()] == ["sh", "sh", "python"]
    assert process_of(kernel.scope.images, OWN_IMAGE, SELF, "python").is_self


def test_id_used_again(kernel: Kernel) -> None:
    """A pid that the kernel gives out a second time is another process."""
    first = kernel.fork(200, SELF, OWN_IMAGE)
    kernel.exec(200, "/bin/true")
    kernel.exit(200)
    second = kernel.fork(200, SELF, OWN_IMAGE)
    assert process_of(kernel.scope.images, second, 200, "python").exe == "/usr/bin/python3"
    assert first != second


@pytest.mark.parametrize("status, killed", [(31, True), (31 | 0x80, True), (9, False), (31 << 8, False), (0, False)])
def test_killed_by_seccomp(kernel: Kernel, status: int, killed: bool) -> None:
    """SIGSYS, with a core dump or without; an exit code of 31 is none."""
    kernel.fork(200, SELF, OWN_IMAGE)
    kernel.exit(200, status=status, segment=5)
    assert kernel.scope.refused_by_seccomp == ([(5, 200)] if killed else [])
    kernel.scope.forget()
    assert kernel.scope.refused_by_seccomp == []


def ends(kernel: Kernel) -> list[tuple[int, int, str | None]]:
    """The processes that ended: pid, status and program."""
    return [(end.process.pid, end.status, end.process.exe) for end in kernel.scope.ends]


def test_end_of_a_process(kernel: Kernel) -> None:
    """With the program that it was then; forgotten with the test."""
    kernel.fork(200, SELF, OWN_IMAGE)
    kernel.exec(200, "/bin/true")
    assert ends(kernel) == []
    kernel.exit(200, status=3 << 8, group=3 << 8)
    assert ends(kernel) == [(200, 3 << 8, "/bin/true")]
    (end,) = kernel.scope.ends
    assert (end.note.tid, end.process.comm, end.process.started_by) == (200, "true", "test_a (call)")
    kernel.scope.forget()
    assert ends(kernel) == []


def test_process_ends_with_its_last_thread(kernel: Kernel) -> None:
    """Whichever that is; a thread's end is none of a process."""
    image = kernel.fork(200, SELF, OWN_IMAGE)
    kernel.fork(201, 200, image, flags=CLONE_THREAD)
    kernel.fork(202, 200, image, flags=CLONE_THREAD)
    kernel.exit(201, 200)
    kernel.exit(200)
    assert ends(kernel) == []
    kernel.exit(202, 200, status=1 << 8, group=9)
    assert ends(kernel) == [(200, 9, "/usr/bin/python3")]
    assert kernel.scope.ends[0].note.tid == 202


def test_end_after_a_thread_executed(kernel: Kernel) -> None:
    """The thread took over the leader's place: one task is left, and the program is the new one."""
    image = kernel.fork(200, SELF, OWN_IMAGE)
    kernel.fork(201, 200, image, flags=CLONE_THREAD)
    kernel.exit(200, status=9)
    kernel.exec(200, "/bin/true", old_tid=201)
    kernel.exit(200, status=5 << 8)
    assert ends(kernel) == [(200, 5 << 8, "/bin/true")]


def test_ends_of_processes_that_were_there(kernel: Kernel) -> None:
    """Those from before the recorder end too, with all their threads."""
    kernel.enrol(200, SELF, exe="/bin/cat")
    kernel.enrol(200, SELF, tid=201)
    kernel.exit(201, 200)
    assert ends(kernel) == []
    kernel.exit(200)
    assert ends(kernel) == [(200, 0, "/bin/cat")]


def test_end_of_a_process_that_was_not_seen(kernel: Kernel) -> None:
    """Its fork was lost: its end is known all the same."""
    kernel.exit(300, status=9)
    assert ends(kernel) == [(300, 9, None)]


def test_id_used_again_ends_again(kernel: Kernel) -> None:
    """Each process once."""
    for status in (1 << 8, 2 << 8):
        kernel.fork(200, SELF, OWN_IMAGE)
        kernel.exit(200, status=status, group=status)
    assert [status for _, status, _ in ends(kernel)] == [1 << 8, 2 << 8]


def test_process_that_a_call_began(kernel: Kernel) -> None:
    """By the number of the call: the child of a fork, the new program of an exec, nothing of a thread."""
    child = kernel.fork(200, SELF, OWN_IMAGE)
    started = kernel.scope.images.get(child)
    assert started is not None
    assert (started.pid, started.exe) == (200, "/usr/bin/python3")
    program = kernel.scope.images.get(kernel.exec(200, "/bin/true"))
    assert program is not None
    assert (program.pid, program.exe) == (200, "/bin/true")
    kernel.fork(201, 200, child, flags=CLONE_THREAD)
    assert kernel.scope.images.get(kernel.call) is None


def test_segments() -> None:
    """A half-open range; without an end while it goes on."""
    assert [segment in Segments(3, 5) for segment in (2, 3, 4, 5)] == [False, True, True, False]
    assert 10**9 in Segments(3)
    assert 2 not in Segments(3)


def test_stamps_between_windows_are_in_none() -> None:
    """Not even in a window that is still open."""
    assert BETWEEN | 4 not in Segments(3)


def test_live_processes(kernel: Kernel) -> None:
    """With the tag that they were created with, until the last thread of each ends; never pytest."""
    child = kernel.fork(200, SELF, OWN_IMAGE, tag=3)
    kernel.fork(201, SELF, OWN_IMAGE, tag=5)
    kernel.fork(300, SELF, OWN_IMAGE, flags=CLONE_THREAD, tag=3)
    kernel.fork(202, 200, child, flags=CLONE_THREAD, tag=3)
    kernel.exec(201, "/bin/cat", tag=5)

    def living(tag: int) -> list[tuple[int, str | None]]:
        return [(each.pid, each.exe) for each in kernel.scope.living(lambda found: found == tag)]

    assert living(3) == [(200, "/usr/bin/python3")]
    assert living(5) == [(201, "/bin/cat")]
    kernel.exit(200)
    assert living(3) == [(200, "/usr/bin/python3")]
    kernel.exit(202, 200)
    assert living(3) == []


def test_when_a_test_is_over() -> None:
    """For what its function started when that returned, for what its fixtures started after the teardown."""
    owner = Owner(Kind.TEST, "test_it", first=3)
    assert owner.over_ns(4) is None
    owner.call = Segments(4, 6)
    owner.closed_ns = 100
    assert (owner.over_ns(3), owner.over_ns(4), owner.over_ns(6)) == (None, 100, None)
    owner.ended_ns = 200
    assert (owner.over_ns(3), owner.over_ns(4), owner.over_ns(6)) == (200, 100, 200)


def test_restart() -> None:
    """Of tasks whose starts and ends were lost it knows what their memory says, and goes on from there."""
    kernel = Kernel()
    kernel.enrol(SELF, 1)
    gone = kernel.fork(101, SELF, ENROLLED | SELF)
    kernel.scope.restart(
        [
            LiveTask(1, ENROLLED | SELF, SELF, SELF, "python", SELF, 0),
            LiveTask(7, 77, 201, 201, "cat", 21, 3),
            LiveTask(8, 77, 201, 202, "cat", 21, 3),
        ]
    )
    assert kernel.scope.slot_of == {SELF: 1, 201: 7, 202: 8}
    assert [(process.pid, process.comm, process.ns_pid) for process in kernel.scope.living(bool)] == [(201, "cat", 21)]
    assert gone in kernel.scope.images
    # What was on its way to the ring meanwhile is heard a second time.
    kernel.scope.take(note(NoteKind.FORK, 201, (202, 201, 22, 21, CLONE_THREAD, 8), pid=201, image=77), None, ())
    kernel.scope.take(note(NoteKind.EXIT, 202, (0, 0), pid=201, image=77), None, ())
    assert kernel.scope.ends == []
    kernel.scope.take(note(NoteKind.EXIT, 201, (7 << 8, 7 << 8), pid=201, image=77), None, ())
    assert [(end.process.pid, end.status) for end in kernel.scope.ends] == [(201, 7 << 8)]
    assert kernel.scope.living(bool) == []
