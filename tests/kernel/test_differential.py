"""What strace says of real programs is what we say.

Each program runs twice from the same state, once under ``strace -f`` and once under us, and the multisets of
``(task, call, arguments, result)`` of all calls of ``%file``, ``%network`` and ``%process`` must be equal. Where the
two differ without either being wrong, a rule says so: one function, which makes both sides the same and says why.
Whatever no rule explains is a bug, and the test's failure shows it as a diff.
"""

from __future__ import annotations

import difflib
import json
import os
import posixpath
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import AF_UNIX, if_nametoindex, socket
from threading import Thread

import pytest

from pytest_ebpf.events import SyscallEvent
from pytest_ebpf.recording import Recording
from pytest_ebpf.syscalls import RING, Argument, table

CLASSES = ("%file", "%network", "%process")
CREATES_A_TASK = frozenset({"clone", "clone3", "fork", "vfork"})


# Reading


@dataclass(frozen=True)
class Call:
    """One line of a trace, in parts."""

    task: int
    """Thread id."""
    name: str
    args: tuple[str, ...]
    result: str
    theirs: bool
    """From strace."""
    label: str = ""
    """Which task it is, told by how it came about: ``P`` the first, ``P.2`` the second that P created."""
    at: str = ""
    """The first path made absolute, where it is relative to a directory among the arguments."""

    def __str__(self) -> str:
        at = f"  [{self.at}]" if self.at else ""
        return f"{self.label}  {self.name}({', '.join(self.args)}) = {self.result}{at}"

    def changed(self, change: Callable[[Argument, str], str]) -> Call:
        """With that done to each argument that the table has a kind for."""
        if self.name == "clone":  # labelled instead of ordered
            return self
        known = [arg for arg in table().by_name(self.name).args if arg.kind != "unused"]
        args = [change(arg, text) for arg, text in zip(known, self.args, strict=False)]
        return replace(self, args=(*args, *self.args[len(args) :]))


def parse(line: str, task: int, theirs: bool) -> Call:
    """A line of a trace; raises ValueError for one that isn't a call.

    The number of a device, which strace -yy adds to its path, is left out.
    """
    line = re.sub(r"<(char|block) \d+:\d+>(?=>)", "", line)
    line = re.sub(r",? *<unfinished \.\.\.>(?=\) = \?$)", ", ...", line)
    head = re.match(r"(\w+)\(", line)
    if head is None:
        raise ValueError(line)
    args, end = _split(line, head.end())
    result = re.fullmatch(r"\s*= (.*)", line[end:])
    if result is None:
        raise ValueError(line)
    return Call(task, head[1], args, result[1], theirs)


def _split(line: str, start: int) -> tuple[tuple[str, ...], int]:
    """The arguments from there to the parenthesis that closes, and where the line goes on."""
    args: list[str] = []
    depth, begin = 0, start
    position = start
    while True:
        char = line[position]
        if char == '"':
            position = re.compile(r'(?:[^"\\]|\\.)*').match(line, position + 1).end()  # type: ignore[union-attr]
        elif char in "([{" or (char == "<" and (depth or re.search(r"(AT_FDCWD|\d)$", line[begin:position]))):
            depth += 1
        elif (char in ")]}" and depth) or (char == ">" and line[position - 1] not in "-="):
            depth -= 1
        elif not depth and char in ",)":
            if line[begin:position].strip():
                args.append(line[begin:position].strip())
            begin = position + 1
            if char == ")":
                return tuple(args), begin
        position += 1


def labelled(calls: Sequence[Call], root: int) -> Iterator[Call]:
    """With the tasks and the ids in arguments and results replaced by how each task came about."""
    children: Counter[int] = Counter()
    labels = {root: "P"}
    pending = [(call.task, int(call.result)) for call in calls if call.name in CREATES_A_TASK and call.result.isdigit()]
    for parent, child in pending:
        children[parent] += 1
        labels[child] = f"{{}}.{children[parent]}"
    parents = {child: parent for parent, child in pending}

    def label(task: int) -> str:
        text = labels.get(task, f"unknown task {task}")
        return text.format(label(parents[task])) if task in parents else text

    def known(text: str) -> str:
        sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
        return sign + label(int(digits)) if digits.isdigit() and int(digits) in labels else text

    in_text = re.compile(r"(nl_pid=|/proc/|/task/)(\d+)\b")  # a netlink socket's address is a process, too

    def within(text: str) -> str:
        return in_text.sub(lambda match: match[1] + known(match[2]), text)

    for call in calls:
        named = call.changed(lambda arg, text: known(text) if arg.kind == "pid" else within(text))
        is_task = table().by_name(call.name).returns == "pid"
        result = known(call.result) if is_task else within(call.result)
        yield replace(named, label=label(call.task), result=result, at=within(call.at))


# Rules: where both are right. Each gets the calls of both sides and returns how they compare, None for not at all.


Rule = Callable[[Call], Call | None]


def environment_is_a_pointer(call: Call) -> Call:
    """Behind execve's third argument strace counts the variables."""
    return replace(call, args=tuple(re.sub(r" /\* \d+ vars? \*/$", "", text) for text in call.args))


_READ = frozenset(
    {"argv", "clone_args", "fds_out", "mmsghdr", "open_how", "path", "sockaddr", "sockaddr_out", "string"}
)
_DATA = frozenset({"buffer", "buffer_out", "envp", "iovec", "iovec_out", "mmsghdr_out", "pointer"})


def data_is_not_recorded(call: Call) -> Call:
    """We record neither the data that calls carry nor the structs that the kernel fills in: there is an address.

    strace shows what is behind it. An address itself is different in each run.
    """

    def hidden(arg: Argument, text: str) -> str:
        taken = text.startswith(("{", "[", '"')) and call.theirs
        return "..." if arg.kind in _DATA and (taken or text.startswith("0x")) else text

    return call.changed(hidden)


def addresses_differ(call: Call) -> Call:
    """Of what a call couldn't or didn't read, and of what clone takes: they are those of another run."""
    if call.name == "clone":
        return replace(call, args=tuple(re.sub(r"=0x[0-9a-f]+$", "=...", text) for text in call.args))
    return call.changed(lambda arg, text: "..." if arg.kind in _READ and re.match(r"0x[0-9a-f]+$", text) else text)


def of_a_message_the_address_is_recorded(call: Call) -> Call:
    """Of a struct msghdr we record to whom it goes or from whom it came; strace shows its data, too."""

    def name(arg: Argument, text: str) -> str:
        if arg.kind not in ("msghdr", "msghdr_out"):
            return text
        found = re.match(r"\{msg_name=(\{[^}]*\}|[^,]*), (?:msg_namelen=(\d+ => )?(\d+))?", text)
        if found is None or found[3] == "0":
            return "no name"
        return found[1]

    return call.changed(name)


def of_clone3_the_addresses_are_left_out(call: Call) -> Call:
    """strace shows the whole of struct clone_args; but for flags and signal it is addresses."""

    def meant(text: str) -> str:
        return "{" + ", ".join(re.findall(r"\b(?:flags|exit_signal)=[^,}]*", text)) + "}"

    return call.changed(lambda arg, text: meant(text) if arg.kind == "clone_args" and text[:1] == "{" else text)


def of_two_descriptors_the_numbers_are_recorded(call: Call) -> Call:
    """strace -y says what the two of a socketpair stand for as well."""
    return call.changed(lambda arg, text: re.sub(r"<.*?>(?=[],])", "", text) if arg.kind == "fds_out" else text)


def directories_are_joined(call: Call) -> Call:
    """strace -y says what a dirfd is, and of AT_FDCWD which; we say to what path they and the path make.

    So the absolute paths are compared. Of an absolute path, the directory doesn't matter.
    """
    args = list(call.args)
    at = ""
    for index, arg in enumerate(table().by_name(call.name).args[: len(args)]):
        if arg.kind not in ("dirfd", "fd") or "<" not in args[index]:
            continue
        number, _, directory = args[index].partition("<")
        following = args[index + 1] if index + 1 < len(args) else ""
        if arg.kind == "dirfd" or (call.name == "execveat" and index == 0):
            args[index] = number
            base = directory.removesuffix("(deleted)").removesuffix(">")
            if not at and following.startswith('"') and base.startswith("/"):
                at = posixpath.normpath(posixpath.join(base, following[1:-1]))
    return replace(call, args=tuple(args), at=at or call.at)


def sockets_are_numbered_anew(call: Call) -> Call:
    """Inode numbers and ephemeral ports are those of another run.

    And of a socket strace remembers what it learnt first, so that it may show it without its addresses ever after.
    """
    number = re.compile(r"<([A-Z][\w-]*|pipe|socket):\[.*\](?=>)")
    args = tuple(number.sub(r"<\1", text) for text in call.args)
    return replace(call, args=args, result=number.sub(r"<\1", call.result))


@cache
def _name_of_unix_sockets() -> str:
    with socket(AF_UNIX) as stream:
        return os.getxattr(stream.fileno(), "system.sockprotoname").rstrip(b"\0").decode()


def sockets_are_named_by_the_kernel(call: Call) -> Call:
    """strace asks it, and before Linux 5.15 all unix sockets have one name."""
    if _name_of_unix_sockets() != "UNIX":
        return call
    name = re.compile(r"<UNIX-[A-Z]+")
    args = tuple(name.sub("<UNIX", text) for text in call.args)
    return replace(call, args=args, result=name.sub("<UNIX", call.result))


def ephemeral_ports_are_random(call: Call) -> Call:
    """Those that the kernel chose."""
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())

    def chosen(match: re.Match[str]) -> str:
        return "htons(chosen)" if first <= int(match[1]) <= last else match[0]

    return replace(call, args=tuple(re.sub(r"htons\((\d+)\)", chosen, text) for text in call.args))


def temporary_names_are_random(call: Call) -> Call:
    """Made by mkstemp and its like."""
    name = re.compile(
        r"(/tmp_(?:obj|pack|idx|rev)_)\w{6}|(\.git/t)\w{6}\b|(/cc)\w{6}\b|(\.file-\d\.)\w{6}\b|(/tmp\.)\w{8}\b|(/#)\d+\b"
    )
    found = partial(name.sub, lambda match: f"{next(filter(None, match.groups()))}XXXXXX")
    return replace(call, args=tuple(map(found, call.args)), result=found(call.result), at=found(call.at))


def signals_come_when_they_come(call: Call) -> Call | None:
    """Whether one finds a task in the middle of a call is a matter of time; the call is begun again."""
    return None if call.result.startswith("? ERESTART") else call


def of_a_call_cut_off_the_name_is_enough(call: Call) -> Call:
    """Of a call in which its task ended, strace has not yet printed the arguments behind the first."""
    ended = call.result == "?" and not call.name.startswith("exit")
    return replace(call, args=(*call.args[:1], "...")) if ended else call


def a_task_that_kills_itself_is_gone(call: Call) -> Call:
    """The kernel has the result of kill before the signal arrives, so we have it; strace comes too late for it."""
    kills_itself = call.name == "kill" and call.args == (call.label, "SIGKILL")
    return replace(call, result="...") if kills_itself else call


def interfaces_are_numbers(call: Call) -> Call:
    """strace looks up the name of an interface."""
    named = re.compile(r'if_nametoindex\("([\w.]+)"\)')
    args = tuple(named.sub(lambda match: str(if_nametoindex(match[1])), text) for text in call.args)
    return replace(call, args=args)


def padding_is_garbage(call: Call) -> Call:
    """Python leaves what was in memory between the members of a netlink address."""
    return replace(call, args=tuple(re.sub(r" nl_pad=\w+,", "", text) for text in call.args))


def ethertypes_are_numbers(call: Call) -> Call:
    """strace takes the protocol of a packet socket for one, in network order, and names it."""
    packet = call.name == "socket" and call.args[0] == "AF_PACKET"
    return replace(call, args=(*call.args[:2], "...")) if packet else call


def nobody_counts_what_was_in_vain(call: Call) -> Call | None:
    """How often one asks whether a child has ended, is a matter of time."""
    return None if call.name == "wait4" and "WNOHANG" in call.args[2] and call.result == "0" else call


RULES: tuple[Rule, ...] = (
    environment_is_a_pointer,
    data_is_not_recorded,
    addresses_differ,
    of_a_message_the_address_is_recorded,
    of_clone3_the_addresses_are_left_out,
    of_two_descriptors_the_numbers_are_recorded,
    directories_are_joined,
    sockets_are_numbered_anew,
    sockets_are_named_by_the_kernel,
    ephemeral_ports_are_random,
    temporary_names_are_random,
    signals_come_when_they_come,
    a_task_that_kills_itself_is_gone,
    of_a_call_cut_off_the_name_is_enough,
    interfaces_are_numbers,
    padding_is_garbage,
    ethertypes_are_numbers,
    nobody_counts_what_was_in_vain,
)


# Running


def by_strace(argv: Sequence[str], output: Path, run: Callable[[Sequence[str]], int]) -> list[Call]:
    """The calls of a program as strace prints them; without those that are newer than strace."""
    output.mkdir()
    options = ["-ff", "-yy", "-s", "4096", "-e", f"trace={','.join(CLASSES)}", "-o", str(output / "task")]
    run([_installed("strace"), *options, *argv])
    lines = [
        (int(file.suffix[1:]), line)
        for file in output.iterdir()
        for line in file.read_text(errors="surrogateescape").splitlines()
    ]
    # A thread that executes a program has two ids, so what it says of the call is in two files.
    begun = re.compile(r"(.*) <pid changed to (\d+) \.\.\.>$")
    changed = {match[2]: match[1] for _, line in lines if (match := begun.match(line))}
    calls = [
        parse(line.replace("<... execve resumed>", changed.get(str(task), "")), task, theirs=True)
        for task, line in lines
        if not line.startswith(("+++", "---", "syscall_0x")) and not line.endswith("...>")
    ]
    created = {int(call.result) for call in calls if call.name in CREATES_A_TASK and call.result.isdigit()}
    (root,) = {call.task for call in calls} - created
    return list(labelled(calls, root))


def by_us(window: Recording, root: int) -> list[Call]:
    """The calls of the program whose first process is ``root``, from the execve that began it."""
    calls: list[Call] = []
    begun = False
    for event in window.syscalls(*CLASSES, process="children"):
        begun = begun or (event.pid == root and event.name == "execve" and event.ok)
        if begun:
            calls.append(_ours(event))
    return list(labelled(calls, root))


def _ours(event: SyscallEvent) -> Call:
    call = parse(str(event), event.tid, theirs=False)
    args = table().by_name(event.name).args
    relative = next((arg.base for arg in args if arg.kind == "path"), "")
    return replace(call, at=event.abspath or "" if relative else "")


def a_shell_waits_in_many_ways(call: Call) -> Call | None:
    """It reaps a child where it waits or where a signal tells it to, and asks once more than there are children."""
    if call.name != "wait4" or call.args[0] != "-1":
        return call
    if "WNOHANG" in call.args[2] and "ECHILD" in call.result:
        return None
    return replace(call, args=(call.args[0], "...", "at some time", *call.args[3:]))


Both = Callable[..., tuple[list[Call], list[Call]]]
Same = Callable[..., None]


@pytest.fixture
def both(ebpf: Recording, tmp_path: Path) -> Both:
    """Runs a command twice: strace's calls, and ours. ``prepare`` makes what its working directory has in it."""
    folder = tmp_path / "work"
    environment = {
        "HOME": str(folder),
        "LC_ALL": "C",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "TMPDIR": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_DATE": "2001-02-03T04:05:06Z",
        "GIT_COMMITTER_DATE": "2001-02-03T04:05:06Z",
    }

    def fresh(prepare: Callable[[Path], object]) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        prepare(folder)

    def start(argv: Sequence[str]) -> int:
        with (tmp_path / "output").open("w") as output:
            child = subprocess.Popen(
                argv, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        assert child.wait(timeout=60) == 0, (tmp_path / "output").read_text()
        return child.pid

    def run(*argv: str, prepare: Callable[[Path], object] = Path.iterdir) -> tuple[list[Call], list[Call]]:
        program = [_installed(argv[0]), *argv[1:]]
        with ebpf.paused():
            fresh(prepare)
            theirs = by_strace(program, tmp_path / "strace", start)
            fresh(prepare)
        with ebpf.window() as window:
            root = start(program)
        ours = by_us(window, root)
        assert window.complete, window.gaps
        return theirs, ours

    return run


@pytest.fixture
def same(both: Both) -> Same:
    """Runs a command twice, and fails where no rule says why the two differ."""

    def compare(*argv: str, rules: Iterable[Rule] = (), prepare: Callable[[Path], object] = Path.iterdir) -> None:
        if difference := diff(*both(*argv, prepare=prepare), (*RULES, *rules)):
            pytest.fail(difference, pytrace=False)

    return compare


def _installed(program: str) -> str:
    path = shutil.which(program)
    if path is not None:
        return path
    reason = f"not installed: {program} (apt-get install $(cat .ci/debian-packages))"
    return pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


def diff(theirs: Iterable[Call], ours: Iterable[Call], rules: Sequence[Rule]) -> str:
    """What the rules don't explain, "" if nothing: ``-`` is strace's, ``+`` is ours."""
    left, right = (sorted(filter(None, (_ruled(call, rules) for call in side))) for side in (theirs, ours))
    if left == right:
        return ""
    common = (Counter(left) & Counter(right)).total()
    missing, extra = Counter(left) - Counter(right), Counter(right) - Counter(left)
    head = (
        f"{missing.total()} calls that only strace shows (-), {extra.total()} that only we show (+), "
        f"{common} that both show alike:"
    )
    lines = difflib.ndiff(sorted(missing.elements()), sorted(extra.elements()))
    return "\n".join([head, *(line.rstrip() for line in lines if line[:1] != "?")])


def _ruled(call: Call, rules: Sequence[Rule]) -> str:
    for rule in rules:
        changed = rule(call)
        if changed is None:
            return ""
        call = changed
    return str(call)


# Programs


def test_sh(same: Same) -> None:
    """Redirections, a subshell, a pipeline, globs, a program that is not there."""
    same(
        "sh",
        "-c",
        "echo 1 > one; (cd /; ls -d .); printf 'b\\na\\n' | sort | uniq -c > two; cat o*; test -e none; rm one;"
        "mkdir -p a/b; ls a; none || true",
        rules=[a_shell_waits_in_many_ways],
    )


@pytest.mark.heavy(reason="a large program under strace")
def test_git(same: Same) -> None:
    """init, add, commit, log: many small programs, lock files and renames.

    Git reads a file again that is as young as the index: so this one is old.
    """
    _installed("git")
    same(
        "sh",
        "-ec",
        "git init -q . ; git config user.name n; git config user.email e@example.com; git config gc.auto 0;"
        "echo x > file; touch -d 2001-02-03 file; git add file; git commit -q -m message; git log --stat",
    )


@pytest.mark.heavy(reason="a large program under strace")
def test_cp_mv_tar(same: Same) -> None:
    """cp -a, mv, ln, chmod, tar there and back."""
    same(
        "sh",
        "-ec",
        "cp -a tree copy; mv copy moved; ln -s moved link; ln moved/file-1 hard; chmod 600 hard; tar -cf t.tar tree;"
        "mkdir out; tar -xf t.tar -C out; rm -r moved; touch -d 2001-02-03 tree; find out -name 'file*'",
        prepare=_tree,
    )


def _tree(folder: Path) -> None:
    for number in range(7):
        directory = folder / "tree" / f"dir-{number % 3}"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"file-{number}").write_text(f"{number}\n")
        (folder / "tree" / f"file-{number}").write_text(f"{number}\n")
    for path in (folder / "tree", *(folder / "tree").rglob("*")):
        os.utime(path, (1_000_000_000, 1_000_000_000))


@pytest.mark.heavy(reason="a large program under strace")
def test_rsync(same: Same) -> None:
    """Three processes that talk over sockets."""
    same("rsync", "-a", "--no-inc-recursive", "tree/", "copy/", prepare=_tree)


def test_bash(same: Same) -> None:
    """A pipeline, command substitution, a here string, globs, a job in the background."""
    same(
        "bash",
        "-c",
        "x=$(printf 'c\\na\\n' | sort | head -1); cat <<< $x > out; shopt -s nullglob; echo o* n*;"
        "(exit 3); sleep 0 & wait; . ./none || true",
        rules=[a_shell_waits_in_many_ways],
    )


PYTHON = """
import os, pathlib, shutil, subprocess, tempfile
here = pathlib.Path("here")
here.mkdir()
(here / "a").write_text("a")
(here / "a").rename(here / "b")
(here / "b").chmod(0o4751)
shutil.copytree(here, "there")
with tempfile.NamedTemporaryFile(dir=here, prefix="tmp.") as file:
    file.write(b"x")
os.symlink("b", here / "link")
print(os.readlink(here / "link"), os.path.realpath(here / "link"), os.getcwd(), sorted(os.walk(".")))
os.mkfifo("fifo", 0o600)
os.link(here / "b", "hard")
os.truncate("hard", 100)
os.utime("hard", (1, 2))
os.chown("hard", -1, 0)
os.lchown("hard", 0, -1)
directory = os.open(here, os.O_PATH | os.O_DIRECTORY)
os.stat("b", dir_fd=directory), os.access("b", os.W_OK, dir_fd=directory)
os.rename("b", "c", src_dir_fd=directory, dst_dir_fd=directory)
os.close(os.open("c", os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_SYNC | os.O_NOATIME, dir_fd=directory))
os.close(os.open(".", os.O_TMPFILE | os.O_RDWR, 0o640))
os.fchdir(directory)
os.chdir("..")
subprocess.run(["/bin/true", "one two", "three\\n"], check=True)
subprocess.run("exit 0", shell=True, check=True)
os.posix_spawn("/bin/true", ["spawned"], {})
os.wait()
shutil.rmtree("there")
"""


@pytest.mark.heavy(reason="a large program under strace")
def test_python(same: Same) -> None:
    """The calls of os, shutil, tempfile and subprocess."""
    same(sys.executable, "-I", "-S", "-B", "-c", PYTHON)


def test_perl(same: Same) -> None:
    """open, a pipe from a child, fork and wait, stat, unlink."""
    same(
        "perl",
        "-e",
        'open(F, ">", "f"); print F "x"; close F; print `cat f`; if (!fork) { exit 0 } wait; stat "f"; chmod 0600, "f";'
        'opendir(D, "."); @e = readdir D; unlink "f"; mkdir "d", 0711; system("true", "x")',
    )


def test_sqlite3(same: Same) -> None:
    """A journal and a write-ahead log."""
    same(
        "sqlite3",
        "data.db",
        "create table t (x); insert into t values (1), (2); pragma journal_mode=wal; begin; update t set x = x + 1;"
        "commit; select sum(x) from t; vacuum",
    )


@pytest.mark.heavy(reason="a large program under strace")
def test_gcc(same: Same) -> None:
    """A driver that runs the compiler, the assembler and the linker."""
    same("gcc", "-o", "hello", "hello.c", prepare=_hello)


def _hello(folder: Path) -> None:
    (folder / "hello.c").write_text('#include <stdio.h>\nint main(void) { return puts("hello") < 0; }\n')


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self) -> None:
        body = b"hello\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Silence."""


@pytest.fixture
def server() -> Iterator[str]:
    """Address of an HTTP server in this process."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as http:
        thread = Thread(target=http.serve_forever)
        thread.start()
        yield f"127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def test_curl(same: Same, server: str) -> None:
    """A client that connects without blocking and polls."""
    same("curl", "-s", "-o", "page", f"http://{server}/")


THREADED = """
import os, socket, threading
def wait_for_the_end_of(thread):
    thread.join()  # its function has returned
    try:
        while True:
            os.sched_getaffinity(thread.native_id)
    except ProcessLookupError:
        pass
server = socket.create_server(("127.0.0.1", 0), backlog=7)
server.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
clients = [socket.socket() for _ in range(5)]
def answer(connection):
    with connection:
        connection.sendall(connection.recv(5, socket.MSG_WAITALL).upper())
        connection.recv(1)
def serve():
    for _ in clients:
        connection, _ = server.accept()
        thread = threading.Thread(target=answer, args=(connection,))
        thread.start()
        wait_for_the_end_of(thread)
serving = threading.Thread(target=serve)
serving.start()
for client in clients:
    client.connect(server.getsockname())
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.sendall(b"hello")
    assert client.recv(5, socket.MSG_WAITALL) == b"HELLO"
    client.getpeername()
    client.shutdown(socket.SHUT_WR)
    client.recv(1)
wait_for_the_end_of(serving)
"""


@pytest.mark.heavy(reason="a large program under strace")
def test_threaded_server(same: Same) -> None:
    """A thread for each connection, and the client in the same process."""
    same(sys.executable, "-I", "-S", "-B", "-c", THREADED)


FORKING = """
import os, socket
server = socket.create_server(("::1", 0), family=socket.AF_INET6)
if os.fork() == 0:
    for _ in range(5):
        with socket.create_connection(server.getsockname()[:2]) as client:
            client.sendall(b"hello")
            assert client.recv(5, socket.MSG_WAITALL) == b"HELLO"
    os._exit(0)
for number in range(5):
    connection, _ = server.accept()
    child = os.fork()
    if child == 0:
        connection.sendall(connection.recv(5, socket.MSG_WAITALL).upper())
        os._exit(number)
    connection.close()
    os.waitpid(child, 0)
os.wait()
"""


@pytest.mark.heavy(reason="a large program under strace")
def test_forking_server(same: Same) -> None:
    """A child for each connection."""
    same(sys.executable, "-I", "-S", "-B", "-c", FORKING)


SOCKETS = """
import os, socket
here, there = socket.socketpair()
here.sendmsg([b"two", b" parts"])
there.recvmsg(100, 100)
socket.send_fds(here, [b"x"], [0])
os.close(socket.recv_fds(there, 10, 1)[1][0])
there.close()
for name in ("name", "\\0abstract"):
    server = socket.socket(socket.AF_UNIX)
    server.bind(name)
    server.listen(3)
    client = socket.socket(socket.AF_UNIX)
    client.connect(name)
    accepted, _ = server.accept()
    accepted.getsockname(), accepted.getpeername(), client.getsockname(), client.getpeername()
    client.close(), accepted.close(), server.close()
for address in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    one = socket.socket(family, socket.SOCK_DGRAM)
    other = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    one.bind((address, 0))
    other.sendto(b"datagram", one.getsockname())
    one.recvfrom(100)
    other.sendmsg([b"data", b"gram"], [], socket.MSG_DONTWAIT, one.getsockname())
    one.recvmsg(100)
    other.connect(one.getsockname())
    other.send(b"x", socket.MSG_NOSIGNAL)
    one.recv(100, socket.MSG_PEEK | socket.MSG_TRUNC)
    other.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF), other.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    one.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 3), one.close(), other.close()
refused = socket.socket()
refused.connect_ex(("127.0.0.1", 1))
refused.setblocking(False)
for address in ("nowhere", "\\0nobody", ""):
    try:
        socket.socket(socket.AF_UNIX).connect(address)
    except OSError:
        pass
try:
    socket.socket(socket.AF_INET, socket.SOCK_SEQPACKET)
except OSError:
    pass
netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
netlink.bind((0, 0x10))
packet = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x800))
packet.bind(("lo", 0x800)), packet.close()
"""


def test_sockets(same: Same) -> None:
    """Each family, each way to send, names of every kind."""
    same(sys.executable, "-I", "-S", "-B", "-c", SOCKETS)


THREAD_EXECUTES = """
import os, threading
threading.Thread(target=os.execv, args=("/bin/echo", ["echo", "from", "a", "thread"])).start()
threading.Event().wait()
"""


def test_a_thread_executes_a_program(same: Same) -> None:
    """It becomes the leader; the others end in the middle of what they do."""
    same(sys.executable, "-I", "-S", "-B", "-c", THREAD_EXECUTES)


LEADER_ENDS = """
import ctypes, os, threading
state = os.open(f"/proc/self/task/{os.getpid()}/stat", os.O_RDONLY)
def work():
    while b") Z " not in os.pread(state, 4096, 0):
        pass
    os.mkdir("by-a-thread")
    os._exit(0)
threading.Thread(target=work).start()
ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[os.uname().machine], 7)
"""


def test_the_leader_ends_first(same: Same) -> None:
    """What its threads do then is the process's all the same."""
    same(sys.executable, "-I", "-S", "-B", "-c", LEADER_ENDS)


KILLED = """
import os, signal
for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV):
    child = os.fork()
    if child == 0:
        os.kill(os.getpid(), number)
        os.mkdir("never")
    os.waitpid(child, 0)
child = os.fork()
if child == 0:
    signal.raise_signal(signal.SIGSTOP)
    os._exit(3)
os.waitpid(child, os.WUNTRACED)
os.kill(child, signal.SIGCONT)
os.waitid(os.P_PID, child, os.WEXITED)
"""


def test_killed(same: Same) -> None:
    """Children that end by a signal, in the middle of the call that sends it; one that is stopped and goes on."""
    same(sys.executable, "-I", "-S", "-B", "-c", KILLED)


CONSTANTS = """
import ctypes, json
libc = ctypes.CDLL(None)
path = ctypes.create_string_buffer(b"nowhere/at/all")
for number, args in json.load(open("calls")):
    libc.syscall(*(ctypes.c_ulong(arg if arg >= 0 else ctypes.addressof(path)) for arg in (number, *args)))
"""
NO_TASK = 0x7FFFFFF0
NO_FD = 977
HARMLESS = {"path": -1, "pid": NO_TASK, "fd": NO_FD, "dirfd": NO_FD}
LEVELS = (0, 1, 6, 17, 41, 270)


def _calls_with_constants(folder: Path) -> None:
    """Every call, on a file, descriptor or process that isn't there, with each bit and each number up to 70."""
    calls: list[tuple[int, list[int]]] = []
    values = [*range(71), *(1 << bit for bit in range(7, 32)), 0o104755, 0o20600]
    for name in table().resolve(*CLASSES) - CREATES_A_TASK - {"exit", "exit_group"}:
        number, call = table().number(name), table().by_name(name)
        if number is None or number >= RING:
            continue
        default = [HARMLESS.get(arg.kind, 0) for arg in call.args]
        for index, arg in enumerate(call.args):
            if arg.kind in ("enum", "flags", "mode", "signal"):
                calls += [(number, [*default[:index], value, *default[index + 1 :]]) for value in values]
        if name in ("getsockopt", "setsockopt"):
            calls += [(number, [NO_FD, level, value, *default[3:]]) for level in LEVELS for value in range(71)]
    (folder / "calls").write_text(json.dumps(calls))


def strace_is_older(theirs: str, ours: str) -> bool:
    """A comment says that strace has no name, or it lacks one that we have."""
    name = re.compile(r"[A-Z]\w+")
    return "/*" in theirs or set(name.findall(theirs)) < set(name.findall(ours))


def strace_names_more(theirs: str, ours: str) -> bool:
    """What is the kernel's own, obsolete or of netfilter; AT_ flags that a call doesn't take; rare families' protocols.

    _OLD it calls the options of 64-bit programs that libc knows without. quotactl's command it prints in two parts, and
    of fsconfig's last argument the file. swapon's priority is a number without 0x.
    """
    if theirs.startswith(("fsconfig", "quotactl", "swapon")):
        return True
    if theirs.startswith("socket("):
        return theirs.rpartition(", ")[0] == ours.rpartition(", ")[0] and ours.endswith(", 0)")
    more = (
        r"\b(AT_|MS_|IPT_|IP6T_|EBT_|FAN_DIR_MODIFY|TCP_COOKIE_TRANSACTIONS|IPV6_USE_MIN_MTU|AF_VSOCK|SO_GET_FILTER"
        r"|MSG_(SENDPAGE_NOTLAST|NO_SHARED_FRAGS|CMSG_COMPAT))"
    )
    return re.sub(r"_OLD\b", "", theirs) == ours or bool(re.search(more, theirs))


@pytest.mark.heavy(reason="a large program under strace")
def test_constants(both: Both) -> None:
    """Each flag, enumeration, mode and signal has the name that strace gives it."""
    theirs, ours = both(sys.executable, "-I", "-S", "-B", "-c", CONSTANTS, prepare=_calls_with_constants)
    by_name: dict[str, tuple[list[str], list[str]]] = {}
    for side, calls in enumerate((theirs, ours)):
        begin = next(index for index, call in enumerate(calls) if call.args[1:2] == ('"calls"',))
        for call in calls[begin + 1 :]:
            by_name.setdefault(call.name, ([], []))[side].append(f"{call.name}({', '.join(call.args)})")
    pairs = [pair for left, right in by_name.values() if left for pair in zip(left, right, strict=True)]
    known = [pair for pair in pairs if not strace_is_older(*pair)]
    assert len(known) > 1000
    different = [pair for pair in known if len(set(pair)) == 2 and not strace_names_more(*pair)]
    assert not different, "\n".join(f"- {left}\n+ {right}" for left, right in different)
