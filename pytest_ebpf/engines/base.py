"""What an engine is: it attaches the programs and hands out their maps, and knows nothing of tests.

The keeper process imports this while the session waits: so no `typing` and no `dataclasses`, which take longer than all
else that is imported before the programs are loaded.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol
else:
    Protocol = object

__all__ = [
    "BLOBS_BYTES",
    "CONTROL_BYTES",
    "ENGINES",
    "EVENTS_BYTES",
    "EVENT_PLACES",
    "IDS_OFFSET",
    "LENT",
    "LENT_TO",
    "LOST_TASKS",
    "MEMORY_BYTES",
    "SESSIONS",
    "SESSION_OFFSET",
    "TASK_BYTES",
    "TASK_SLOTS",
    "Engine",
    "Probe",
    "Started",
]

ENGINES = ("libbpf", "bcc")
"""Names that ``--ebpf-engine`` takes besides "auto"."""

LENT_TO = "PYTEST_EBPF_LENT_TO"
"""Environment variable of the keeper: the uid of another user whose processes it serves."""

# Sizes of the maps, as bpf_snippets/include/events.h has them.
SESSIONS = 64
TASK_SLOTS = 32768
TASK_BYTES = 192
IDS_OFFSET = 152
SESSION_OFFSET = 163
"""In struct task: its ids as its own PID namespace has them, 0 in a slot that nobody has; and its session."""
CONTROL_BYTES = 128
LOST_TASKS = 2
"""Of struct control: the word, of four bytes, that counts the tasks which aren't followed."""
EVENTS_BYTES = 64 << 20
EVENT_PLACES = 1 << 19
BLOBS_BYTES = 32 << 20
MEMORY_BYTES = 1 << 30
"""What the events of one test may take, unless told."""


LENT = "PYTEST_EBPF_LENT"
"""Environment variable of a process to which ``pytest-ebpf run`` lends an engine: its name, a colon, and the address of
its keeper."""


class Probe:
    """One program of the snippets, and the kernel hook it sits on."""

    __slots__ = ("hook", "program")

    def __init__(self, program: str, hook: str) -> None:
        self.program = program
        self.hook = hook

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Probe) and (self.program, self.hook) == (other.program, other.hook)

    def __hash__(self) -> int:
        return hash((self.program, self.hook))

    def __repr__(self) -> str:
        return f"Probe({self.program!r}, {self.hook!r})"


class Started:
    """A running engine. Who receives it owns the file descriptors."""

    def __init__(
        self,
        engine: str,
        library: str,
        maps: Mapping[str, int],
        session: int,
        probes: tuple[Probe, ...],
        missing: tuple[str, ...] = (),
        numbers: Mapping[str, int] | None = None,
        memory: int = MEMORY_BYTES,
    ) -> None:
        self.engine = engine
        self.library = library
        """Name and version of what loaded the programs."""
        self.maps = maps
        """File descriptor of every map by its name in the snippets, and what `Engine.open` gives, if nobody asked."""
        self.session = session
        """Which one it is of those that share the programs: its row of ``controls`` and ``losses``."""
        self.probes = probes
        """All of them are attached: an engine that can't attach one fails to start."""
        self.missing = missing
        """Snippets that this kernel can't run; see docs/kernels.md."""
        self.numbers: Mapping[str, int] = numbers or {}
        """By which the kernel knows the maps, where the engine tells: for programs of the user's that ask them too."""
        self.memory = memory
        """How many bytes the events of one test may take: see spool.py."""


class Engine(Protocol):
    """Loads and attaches the programs."""

    name: str
    records_real_calls: bool
    """Whether what this process really does is seen: then known calls prove it."""

    def prepare(self) -> None:
        """Begin what takes time and needs nobody to wait; `start` goes on with it, or `stop` ends it. May be left out.

        Raises OSError.
        """

    @property
    def pid(self) -> int:
        """The process that holds the programs, which no recording is to show; 0 if there is none."""

    def open(self) -> dict[str, int]:
        """Begin a session: descriptors of what it reads, which are there before the programs: its rings, by their names
        in shapes.RINGS, and "spool".

        The caller owns them, and goes on with `start` or `stop`. May be left out: then they are among what is started.
        Raises what `start` raises.
        """

    def start(self) -> Started:
        """Attach everything or nothing.

        Raises EngineUnavailable if this host can't run the engine, ProbeError if a program fails.
        """

    def enrol(self, pid: int, tag: int) -> None:
        """Follow a process, as this one counts processes, and its descendants, tagged so; 0 is this process itself."""

    def poke(self) -> bool:
        """Make one system call, which living programs count; False if a seccomp filter refuses it before its entry."""

    def examine(self) -> tuple[tuple[str, ...], int]:
        """What of the programs isn't as it was at the start; how often those of calls or hooks were left out.

        Nothing too where that can't be asked.
        """

    def stop(self) -> None:
        """Detach everything; harmless if it isn't running."""
