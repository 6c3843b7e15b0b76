"""The marker ``@pytest.mark.ebpf(...)``: what it takes, and the text that ``pytest --markers`` has of it."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, Final

__all__ = ["ITEM_PHASES", "KEYWORDS", "Marker", "Value", "ebpf", "help_line"]

ITEM_PHASES = ("setup", "call", "teardown")
"""The phases of a test, in their order."""


class _Given(enum.Enum):
    NOT = "..."


_NOT: Final = _Given.NOT

Value = bool | str | PathLike[str] | Sequence[Any] | Mapping[str, Any] | None
"""What a rule says: True; the assertion's arguments, as one, as a list, or by name; None: the rule is taken away."""


@dataclass(frozen=True, slots=True)
class Marker:
    """What one marker says."""

    rules: Mapping[str, Any]
    """By keyword: the name of an assertion without ``assert_``."""
    phases: tuple[str, ...] | None = None
    """None where none were given."""


def ebpf(
    *,
    connected: Value | _Given = _NOT,
    durable: Value | _Given = _NOT,
    exec: Value | _Given = _NOT,
    file_opened: Value | _Given = _NOT,
    max: Mapping[str, Any] | _Given | None = _NOT,
    no_exec: Value | _Given = _NOT,
    no_file_access: Value | _Given = _NOT,
    no_leaked_processes: Value | _Given = _NOT,
    no_network: Value | _Given = _NOT,
    no_syscall: Value | _Given = _NOT,
    only_connects_to: Value | _Given = _NOT,
    only_reads_under: Value | _Given = _NOT,
    only_writes_under: Value | _Given = _NOT,
    syscall: Value | _Given = _NOT,
    syscall_order: Value | _Given = _NOT,
    phases: Sequence[str] | str | None = None,
) -> Marker:
    """Record the test and hold these rules against what the kernel saw; no fixture and no flag is needed.

    Each keyword is an assertion of the fixture `ebpf`, without `assert_`. Its value is True, one argument, a list
    of arguments, whose last may be a dict of named ones, a dict of named arguments alone, or a list of such lists
    for as many assertions:
        @pytest.mark.ebpf(no_exec=True, no_network={"allow": ["127.0.0.1"]}, only_writes_under=["{tmp_path}"],
                          no_syscall=["ptrace"], max={"fsync": 2}, phases=("setup", "call", "teardown"))
    {tmp_path}, {rootdir}, {home}, {basetemp} and the name of any fixture that the test uses stand for paths.
    Closest wins, keyword by keyword: test, class, module, hook pytest_ebpf_policy, suite; None takes a rule away.
    `phases` are of setup, call and teardown; by default the call, and where the rule takes the place of a wider
    one, the phases of that too.
    """
    given = {name: value for name, value in locals().items() if name != "phases" and value is not _NOT}
    if phases is None:
        return Marker(given)
    return Marker(given, (phases,) if isinstance(phases, str) else tuple(phases))


KEYWORDS = tuple(name for name in inspect.signature(ebpf).parameters if name != "phases")
"""The rules, each an assertion without ``assert_``."""


def help_line() -> str:
    """The marker's signature and docstring, as pytest's ini key ``markers`` takes them.

    >>> help_line().startswith("ebpf(connected=, durable=, exec=, ")
    True
    """
    rules = "=, ".join(KEYWORDS)
    return f'ebpf({rules}=, phases=("call",)): {inspect.getdoc(ebpf)}'
