"""What this host can prove and what not, found out by trying: see docs/doctor.md.

Each way to do something unseen (ways.py) is tried in a window of a recording, and the recording is then asked as a test
would ask. The answer is *detected*, *inconclusive* (an assertion would fail with InconclusiveRecording), or *missed*.
"""

from __future__ import annotations

import os
import platform
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from . import features
from .effects import Kind, calls_of
from .errors import EngineUnavailable, ProbeError
from .hooks import areas, kind_of
from .match import Events
from .notation import escape
from .question import gaps_in
from .syscalls import table
from .ways import WAYS, Goal, Place, Way

if TYPE_CHECKING:
    from .recording import Recording
    from .session import Session

__all__ = ["SCHEMA", "Examination", "Finding", "Verdict", "examine"]

SCHEMA = 1
"""Counted up when a member of the JSON changes its meaning or goes."""
SUCCESS, MISSED, NO_ENGINE = 0, 1, 2

Verdict = Literal["detected", "inconclusive", "missed", "unavailable"]
MARKS: dict[Verdict, str] = {"detected": "+", "inconclusive": "?", "missed": "!", "unavailable": "-"}
REPORT_IT = "don't rely on an assertion that this way could go round, and report it with this output"


@dataclass(frozen=True, slots=True)
class Finding:
    """How one way came out."""

    way: str
    about: str
    verdict: Verdict
    reason: str
    """Why the verdict isn't "detected"; else what was seen, in strace's notation."""
    todo: str = ""
    """What to do about it."""


@dataclass(frozen=True, slots=True)
class Examination:
    """All that was found out."""

    host: dict[str, str]
    engine: str
    library: str
    problem: str
    """Why there is no engine; empty if there is one."""
    probes: tuple[tuple[str, str], ...]
    """Each program, and the kernel's hook it is attached to."""
    findings: tuple[Finding, ...]

    @property
    def hooks(self) -> str:
        """By which kind of program the kernel's own functions are watched; empty if they aren't."""
        return kind_of(hook for _, hook in self.probes)

    @property
    def exit_code(self) -> int:
        """0: nothing was missed. 1: something was. 2: the engine can't run."""
        if self.problem:
            return NO_ENGINE
        return MISSED if any(finding.verdict == "missed" for finding in self.findings) else SUCCESS

    def as_json(self) -> dict[str, Any]:
        """As docs/doctor.md describes it."""
        counts = Counter(finding.verdict for finding in self.findings)
        return {
            "schema": SCHEMA,
            "host": self.host,
            "engine": {"name": self.engine, "library": self.library, "problem": self.problem},
            "hooks": {"kind": self.hooks, "areas": sorted(areas(hook for _, hook in self.probes))},
            "probes": [{"program": program, "hook": hook} for program, hook in self.probes],
            "findings": [asdict(finding) for finding in self.findings],
            "counts": {verdict: counts[verdict] for verdict in MARKS},
            "exit_code": self.exit_code,
        }

    def __str__(self) -> str:
        width = max(map(len, self.host))
        text = [f"{name:{width}}  {escape(value)}" for name, value in self.host.items()]
        if self.problem:
            return "\n".join([*text, "", escape(self.problem)])
        watched = ", ".join(sorted(areas(hook for _, hook in self.probes))) or "nothing"
        hooks = f"{self.hooks}: {watched}" if self.hooks else "none"
        text += [f"{'engine':{width}}  {self.engine}, {escape(self.library)}", f"{'hooks':{width}}  {hooks}"]
        text += ["", "programs:"]
        width = max(len(program) for program, _ in self.probes) if self.probes else 0
        text += [f"  {program:{width}} {hook}" for program, hook in self.probes]
        text += ["", "ways to do something unseen:"]
        for finding in self.findings:
            text.append(f"  {MARKS[finding.verdict]} {finding.verdict:13} {finding.way}: {finding.about}")
            if finding.verdict != "detected":
                text.append(f"      {escape(finding.reason)}")
                text += [f"      {escape(finding.todo)}"] * bool(finding.todo)
        counts = Counter(finding.verdict for finding in self.findings)
        text += ["", ", ".join(f"{counts[verdict]} {verdict}" for verdict in MARKS)]
        return "\n".join(text)


def examine(engine: str = "auto", ways: Sequence[Way] | None = None) -> Examination:
    """Look at the host, start the engine and try the ways, or only these.

    >>> examine().exit_code
    0
    """
    choice = features.choose(engine)
    host = _host()
    if choice.problem is not None:
        return Examination(host, choice.engine, "", str(choice.problem), (), ())
    try:
        from .standalone import running

        with running(choice.engine) as session:
            assert session.started is not None
            findings = tuple(_try(session, way) for way in [*(WAYS if ways is None else ways), NOTHING])
            probes = tuple((probe.program, probe.hook) for probe in session.started.probes)
            return Examination(host, choice.engine, session.started.library, "", probes, findings)
    except (EngineUnavailable, ProbeError) as problem:
        return Examination(host, choice.engine, "", str(problem), (), ())


def _host() -> dict[str, str]:
    return {
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "user": "root" if os.geteuid() == 0 else f"uid {os.geteuid()}",
        "types": _types(),
    }


def _types() -> str:
    if features.BTF.exists():
        return f"BTF in {features.BTF}"
    headers = features.installed_headers() or (features.KHEADERS if features.KHEADERS.exists() else None)
    return f"no BTF: {features.BTF} is missing, {f'headers in {headers}' if headers else 'and so are headers'}"


def _try(session: Session, way: Way) -> Finding:
    """Go one way in a window, and ask the recording of it."""
    from .standalone import begin

    with tempfile.TemporaryDirectory(prefix="pytest-ebpf-doctor-") as folder, ExitStack() as stack:
        place = Place(Path(folder).resolve(), stack)
        recording = begin(session, f"doctor: {way.name}")
        steps = way.act(place)
        try:
            next(steps)
            recording.open()
            try:
                next(steps, None)
            finally:
                recording.close()
        except OSError as error:
            # What couldn't be done says nothing, unless it was noticed all the same.
            reason = f"it can't be done here: {error.strerror or error}"
            return Finding(way.name, way.about, "unavailable", reason)
        return _judge(recording, way, place)


def _judge(recording: Recording, way: Way, place: Place) -> Finding:
    kind, events = _asked(recording, way.goal, place)
    if way is NOTHING:
        return _nothing(recording, len(events.known))
    if events.known:
        return Finding(way.name, way.about, "detected", str(events.known[0]))
    if events.undecided:
        unsure = events.undecided[0]
        unread = ", ".join(sorted(unsure.unread)) or "the result"
        return Finding(way.name, way.about, "inconclusive", f"{unsure}: {unread} couldn't be read")
    for gap in gaps_in(recording.gaps, calls_of(kind, table()), kind):
        return Finding(way.name, way.about, "inconclusive", gap.reason, gap.hint)
    return Finding(way.name, way.about, "missed", "nothing was recorded, and no gap says so", REPORT_IT)


def _asked(recording: Recording, goal: Goal, place: Place) -> tuple[Kind, Events[Any]]:
    """What a test would ask."""
    answers: dict[Goal, tuple[Kind, Iterable[tuple[str, Any]]]] = {
        "file": ("files", [("path", place.bait)]),
        "tcp": ("network", [("address", f"127.0.0.1:{place.port}")]),
        "udp": ("network", [("address", f"127.0.0.1:{place.port}")]),
        "ip": ("network", [("address", "127.0.0.1"), ("op", "send")]),
        "packet": ("network", [("family", "AF_PACKET"), ("op", "send")]),
        "program": ("processes", [("op", "exec"), ("exe", place.program)]),
        "memory": ("processes", [("op", "exec")]),
    }
    kind, filters = answers[goal]
    events: Events[Any] = getattr(recording, kind)(**dict(filters))
    return kind, events


def _do_nothing(_: Place) -> Iterator[None]:
    yield


NOTHING = Way("nothing", "nothing at all, of which the recording must be empty and whole", "file", _do_nothing)
"""Tells the others from a recorder that is never sure, or that sees itself."""


def _nothing(recording: Recording, count: int) -> Finding:
    way = NOTHING
    if gaps := recording.gaps:
        return Finding(way.name, way.about, "inconclusive", gaps[0].reason, gaps[0].hint)
    if count or recording.events.known:
        return Finding(way.name, way.about, "missed", "the recorder recorded itself", REPORT_IT)
    return Finding(way.name, way.about, "detected", "no event, no gap")
