"""Every error that pytest-ebpf raises.

EbpfError
├── EngineUnavailable       this host, or this user, can't run the engine
├── ProbeError              an eBPF program did not compile, load or attach
├── InconclusiveRecording   a gap in the recording could change the answer
└── UnknownSyscall          a name that no system call has (also a ValueError)

SiblingCallWarning          (a UserWarning) an assertion held for one call and not for a sibling of it

A violated assertion is a plain ``AssertionError``, an unknown filter a ``TypeError``.
Texts read "operation: cause (what to do)".
"""

from __future__ import annotations

__all__ = [
    "EbpfError",
    "EngineUnavailable",
    "InconclusiveRecording",
    "ProbeError",
    "SiblingCallWarning",
    "UnknownSyscall",
]


class EbpfError(Exception):
    """Base of all errors of pytest-ebpf."""


class EngineUnavailable(EbpfError):
    """The engine can't run here: not Linux, no privilege, no BTF, no library."""

    def __init__(self, operation: str, cause: str, hint: str = "") -> None:
        super().__init__(operation, cause, hint)
        self.operation = operation
        self.cause = cause
        self.hint = hint

    def __str__(self) -> str:
        return _sentence(self.operation, self.cause, self.hint)


class ProbeError(EbpfError):
    """An eBPF program did not compile, load or attach.

    ``log`` holds the last lines of the compiler's or verifier's log.
    """

    def __init__(self, operation: str, cause: str, hint: str = "", log: str = "") -> None:
        super().__init__(operation, cause, hint, log)
        self.operation = operation
        self.cause = cause
        self.hint = hint
        self.log = log

    def __str__(self) -> str:
        text = _sentence(self.operation, self.cause, self.hint)
        if not self.log:
            return text
        return text + "\n" + "\n".join(f"    {line}" for line in self.log.splitlines())


class InconclusiveRecording(EbpfError):
    """The recording has a gap that could hide what the assertion asks about."""


class UnknownSyscall(EbpfError, ValueError):
    """A name, glob or class that matches no system call of this kernel."""


class SiblingCallWarning(UserWarning):
    """A negative assertion on one call passed while a sibling of that call did the same."""


def _sentence(operation: str, cause: str, hint: str) -> str:
    return f"{operation}: {cause} ({hint})" if hint else f"{operation}: {cause}"
