"""What the end of a run shows: traces of tests that passed, the most expensive tests, exports, late events."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest

from .options import Settings

__all__ = ["EXPORT_PROBLEM", "show"]

EXPORT_PROBLEM = "ebpf_export_problem"
"""The user property of a test whose export could not be written."""


def show(terminal: pytest.TerminalReporter, settings: Settings, late: Sequence[Mapping[str, Any]]) -> None:
    """Show what was asked for, and what tests did late."""
    if settings.trace == "all" and not terminal.hasopt("P"):  # pytest itself shows failures only
        _show_traces(terminal)
    reports = [each for kind in terminal.stats.values() for each in kind]
    if settings.summary:
        from .summary import gather, table

        terminal.section("most expensive tests (ebpf)")
        for line in table(gather(reports), shutil.get_terminal_size().columns):
            terminal.write_line(line)
    if settings.export is not None:
        _show_export(terminal, settings, reports)
    if late:
        from .notation import escape

        broken = any(each["broken"] for each in late)
        terminal.section("late events (ebpf)", red=broken, yellow=not broken)
        for each in late:
            terminal.write_line(escape(each["test"]), bold=True, red=each["broken"])
            for line in each["text"].splitlines():
                terminal.write_line(f"  {line}")


def _show_traces(terminal: pytest.TerminalReporter) -> None:
    from .notation import escape

    for test in terminal.getreports("passed"):
        for name, content in test.sections:
            if test.when == "call" and name == "Captured kernel events call":
                terminal.write_sep("_", f"{escape(test.nodeid)} (passed)")
                terminal.write_sep("-", name)
                terminal.write_line(content)


def _show_export(terminal: pytest.TerminalReporter, settings: Settings, reports: Iterable[Any]) -> None:
    from .notation import escape

    problems = {
        report.nodeid: value
        for report in reports
        for name, value in getattr(report, "user_properties", ())
        if name == EXPORT_PROBLEM
    }
    if not problems:
        terminal.write_line(f"ebpf: exported to {escape(str(settings.export))}")
        return
    terminal.section("ebpf export", red=True)
    for nodeid, problem in problems.items():
        terminal.write_line(f"{escape(nodeid)}: not exported: {escape(problem)}", red=True)
