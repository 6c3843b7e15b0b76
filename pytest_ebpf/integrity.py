"""Whether the memory shared with the BPF programs says what was written there.

Whoever has root can find the maps by their numbers and store into them: the programs then follow fewer tasks, or record
less of them. A comparison makes no system call. docs/completeness.md says what it can't notice.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from .engines.base import SESSION_OFFSET, TASK_BYTES

__all__ = ["Integrity"]

IDS = struct.Struct("<96xII")
"""Of struct task: pid and tid."""
MUTED_OFFSET = 161
"""Likewise."""
TID_LIMIT = 4194304
FIXED = (4, *range(6, 10), *range(18, 22))
"""Words of struct control that stay as they are: pytest's pid and root directory, the interpreter's locks."""


class Integrity:
    """What the programs of one session go by, to be looked at again."""

    def __init__(
        self, session: int, control: memoryview, specs: memoryview, tasks: memoryview, slots: memoryview | None
    ) -> None:
        self._session = session
        self._control = control
        self._fixed = [(word, control[word]) for word in FIXED]
        self._specs = specs
        self._captures = bytes(specs)
        self._tasks = tasks
        self._slots = slots
        """The way from thread ids to slots; None for an engine that has none."""

    def damage(self, words: Mapping[int, int], slots: Mapping[int, int], own_pid: int) -> str:
        """What isn't as it was written, or nothing; a task may be on its way to its end, so look a second time.

        ``words`` are those of struct control that change, ``slots`` those of the live tasks, by tid. The tasks of
        ``own_pid``, which is pytest, may be muted.
        """
        control = self._control
        for word, value in (*words.items(), *self._fixed):
            if control[word] != value:
                return "the recorder's control page was overwritten"
        if bytes(self._specs) != self._captures:
            return "the recorder's table of system calls was overwritten"
        if self._slots is not None:
            for tid, slot in slots.items():
                if not self._is_followed(tid, slot, own_pid):
                    return f"task {tid} is followed no more"
        return ""

    def _is_followed(self, tid: int, slot: int, own_pid: int) -> bool:
        assert self._slots is not None
        start = slot * TASK_BYTES
        pid, found = IDS.unpack_from(self._tasks, start)
        return (
            self._slots[tid % TID_LIMIT] == slot
            and found == tid
            and self._tasks[start + SESSION_OFFSET] == self._session
            and (pid == own_pid or not self._tasks[start + MUTED_OFFSET])
        )
