"""The hooks of pytest-ebpf, for plugins and conftest.py files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .events import SyscallEvent
    from .markers import Marker
    from .options import Settings
    from .recording import Recording

__all__ = [
    "Drop",
    "pytest_ebpf_configure",
    "pytest_ebpf_event",
    "pytest_ebpf_policy",
    "pytest_ebpf_report",
    "pytest_ebpf_snippets",
]


@dataclass(frozen=True, slots=True)
class Drop:
    """What `pytest_ebpf_event` returns to leave an event out.

    The number of them, with the reason, is always told. An assertion that such an event could have changed is
    undecided, unless ``harmless`` says that it is nobody's business.
    """

    reason: str
    """In a few words: "the health check"."""
    harmless: bool = False


@pytest.hookspec(firstresult=True)
def pytest_ebpf_configure(settings: Settings) -> Settings | None:
    """Look at the settings when pytest starts, and give others in their place, or None to leave them.

    ``settings`` is a frozen dataclass with the fields engine, unavailable, trace, summary, export, no_network and
    allow, from flags and ini keys. The first answer that isn't None counts.

    In a conftest.py of the root folder, to export whatever runs in CI::

        import dataclasses, os, pathlib

        def pytest_ebpf_configure(settings):
            if os.environ.get("CI"):
                return dataclasses.replace(settings, export=pathlib.Path("artifacts/ebpf"))
    """


@pytest.hookspec
def pytest_ebpf_snippets() -> Iterable[str | PathLike[str]]:  # type: ignore[empty-body]  # a specification has none
    """Give paths of BCC programs, for tests to attach by their files' names.

    A test says ``ebpf.attach(src_file="page_faults.c")``; a file that the test itself can see by that name goes first.
    Called when the tests are collected. A path that isn't there, and two files of one name, are usage errors.

    In a conftest.py::

        from pathlib import Path

        def pytest_ebpf_snippets():
            return [Path(__file__).parent / "bpf" / "page_faults.c"]
    """


@pytest.hookspec
def pytest_ebpf_event(event: SyscallEvent) -> SyscallEvent | Drop | None:
    """Rename, enrich or drop an event: give one in its place, a `Drop`, or None to leave it.

    Called whenever a recording is read, so it has to answer the same each time. Several plugins are asked one after
    the other, each with what the one before made of it. What takes something away from an event, its name, a path,
    an address, is like a drop: the recording then has a gap there. Adding is none.

    In a conftest.py, to give a file one more name and to leave a daemon's heartbeat out::

        import dataclasses
        from pytest_ebpf.hookspecs import Drop

        def pytest_ebpf_event(event):
            if event.comm == "heartbeat":
                return Drop("the heartbeat", harmless=True)
            if event.path == "/proc/self/exe":
                return dataclasses.replace(event, paths=(*event.paths, "the program itself"))
    """


@pytest.hookspec
def pytest_ebpf_policy(item: pytest.Item) -> Mapping[str, Any] | Marker | None:
    """Give rules for a test: a dict with the keywords of ``@pytest.mark.ebpf``, such a marker, or None.

    Called once for each test, when all are collected. The rules are closer to the test than the suite's policy, and
    wider than a module's, class's or test's markers; those of a conftest.py hold in its folder.

    In a conftest.py::

        def pytest_ebpf_policy(item):
            if "unit" in item.path.parts:
                return {"no_network": True, "no_exec": True, "phases": ("setup", "call", "teardown")}
    """


@pytest.hookspec
def pytest_ebpf_report(item: pytest.Item, recording: Recording) -> str | None:
    """Look at the recording of a test that ended; text that it returns becomes a section of the test's report.

    It may also make assertions: they count as the test's own. Called for each test that is recorded, after its own
    assertions and its rules.

    In a conftest.py::

        def pytest_ebpf_report(item, recording):
            temporary = recording.syscalls("%open", path="/tmp/*")
            return f"{len(temporary)} opens in /tmp" if temporary else None
    """
