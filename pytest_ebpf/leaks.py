"""The assertion on processes that a test leaves behind."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from .errors import InconclusiveRecording
from .events import Process
from .notation import escape
from .question import Question, counted, gaps_in, typed
from .syscalls import Table

if TYPE_CHECKING:
    from .assertions import Assertions

__all__ = ["no_leaked_processes"]

SHOWN = 10


def no_leaked_processes(table: Table) -> Question:
    """No process that the test started, or a descendant of one, is still alive."""
    return _NoLeakedProcesses(table)


class _NoLeakedProcesses(Question):
    def __init__(self, table: Table) -> None:
        self.typed = typed("assert_no_leaked_processes")
        self._starts = table.resolve("clone") | table.resolve("clone3") | table.resolve("*fork")

    def judge(self, recording: Assertions) -> None:
        __tracebackhide__ = True
        living = recording._living()
        if living:
            shown = [f"  {_described(process)}" for process in living[:SHOWN]]
            if len(living) > SHOWN:
                shown.append(f"  ... and {len(living) - SHOWN} more")
            number = counted(len(living), "process").replace("processs", "processes")
            text = f"{self.typed}: {number} {'is' if len(living) == 1 else 'are'} still alive"
            hint = "hint: wait for what you start, or end it: terminate() and then wait()"
            raise AssertionError("\n".join([text, *shown, hint]))
        gaps = gaps_in(recording.gaps, frozenset(self._starts), "processes")
        if gaps:
            raise InconclusiveRecording(
                "\n".join(
                    [f"{self.typed}: can't be decided: a start may be missing", *(f"  gap: {gap}" for gap in gaps)]
                )
            )


def _described(process: Process) -> str:
    chain = " → ".join(f"{escape(each.comm)}[{each.pid}]" for each in reversed([*process.chain()]))
    command = shlex.join(process.argv) if process.argv else process.exe or ""
    return f"{chain}: {escape(command)}" if command else chain
