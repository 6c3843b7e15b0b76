"""Every assertion by its keyword: its name without ``assert_``. Markers and policies say what they want in these."""

from __future__ import annotations

import difflib
import inspect
import os
from collections.abc import Callable, Mapping
from typing import Any

from . import counting, destinations, durability, leaks, ordering, places, programs, syscalls
from .question import Question
from .step import Step
from .syscalls import Table

__all__ = ["RULES", "prepare", "question"]

RULES: Mapping[str, Callable[..., Question]] = {
    "connected": destinations.connected,
    "durable": durability.durable,
    "exec": programs.exec_,
    "file_opened": places.file_opened,
    "max": counting.maximum,
    "no_exec": programs.no_exec,
    "no_file_access": places.no_file_access,
    "no_leaked_processes": leaks.no_leaked_processes,
    "no_network": destinations.no_network,
    "no_syscall": counting.no_syscall,
    "only_connects_to": destinations.only_connects_to,
    "only_reads_under": places.only_reads_under,
    "only_writes_under": places.only_writes_under,
    "syscall": counting.syscall,
    "syscall_order": ordering.syscall_order,
}
"""What makes the question of each assertion; it takes the table of calls and the assertion's own arguments."""


def question(table: Table, rule: str, /, *args: Any, **kwargs: Any) -> Question:
    """Check the arguments of an assertion, without a recording.

    Raises TypeError or ValueError for those that make no sense, each saying what would be right.

    >>> question(syscalls.table(), "no_network", allow=["127.0.0.1"]).typed
    "assert_no_network(allow=['127.0.0.1'])"
    """
    __tracebackhide__ = True
    try:
        return RULES[rule](table, *args, **kwargs)
    except (TypeError, ValueError) as error:
        # The user's mistake: their own line is the last that the traceback shows.
        raise error.with_traceback(None) from None


def prepare(keyword: str, value: Any, table: Table | None = None) -> Question:
    """The question of a marker's or policy's keyword: ``True``, a list of arguments, or a dict of them by name.

    A single str, path, or step is a list of one. Raises TypeError for a keyword that there is not, and as `question`.

    >>> prepare("max", {"fsync": 2}).typed
    'assert_max(fsync=2)'
    """
    __tracebackhide__ = True
    make = RULES.get(keyword)
    if make is None:
        near = difflib.get_close_matches(str(keyword), RULES, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise TypeError(f"unknown rule {keyword!r} ({hint}rules: {', '.join(RULES)})")
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    if isinstance(value, Mapping):
        kwargs = {str(key): each for key, each in value.items()}
        if not kwargs:
            raise ValueError(f"{keyword}: an empty table (write {keyword}=True for no arguments, None for no rule)")
    elif isinstance(value, (list, tuple)):
        args = tuple(value)
        if not args:
            raise ValueError(f"{keyword}: an empty list (write {keyword}=True for no arguments, None for no rule)")
    elif isinstance(value, (str, os.PathLike, Step)):
        args = (value,)
    elif value is not True:
        raise TypeError(f"{keyword}: expected True, a list, a dict or None, not {value!r}")
    table = table or syscalls.table()
    try:
        inspect.signature(make).bind(table, *args, **kwargs)
    except TypeError as error:
        takes = [str(each) for each in inspect.signature(make).parameters.values()][1:]
        shown = ", ".join(each.partition(":")[0] for each in takes if each != "/")
        raise TypeError(f"{keyword}: {error} (it takes {shown})") from None
    try:
        return question(table, keyword, *args, **kwargs)
    except (TypeError, ValueError) as error:
        text = str(error)
        if text.startswith(f"{keyword}:"):
            raise
        raise type(error)(f"{keyword}: {text}") from None
