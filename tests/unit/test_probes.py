"""Tables of users' programs, without a program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from pytest_ebpf.probes import Probe, Table


class FakeProbe:
    """Counts how often a table is read."""

    def __init__(self, content: dict[Any, Any]) -> None:
        self.content = content
        self.readings = 0

    def _ask(self, method: str, request: dict[str, str]) -> tuple[list[tuple[Any, Any]], int]:
        assert (method, request) == ("items", {"table": "calls"})
        self.readings += 1
        return [*self.content.items()], 0

    def _check_runs(self, name: str, left_out: int) -> None:
        assert (name, left_out) == ("calls", 0)


def test_a_table_is_read_once() -> None:
    """For all that is asked at one time, however large it is; and anew for the next question."""
    probe = FakeProbe({number: number * number for number in range(1000)})
    table = Table(cast("Probe", probe), "calls")
    squares = {number: number * number for number in range(1000)}
    questions: list[Callable[[], bool]] = [
        lambda: dict(table.items()) == squares,
        lambda: [*table.values()] == [*squares.values()],
        lambda: table == squares,
        lambda: len(table) == 1000,
        lambda: table[31] == 961,
        lambda: table.get(1001) is None,
        lambda: 1001 not in table,
    ]
    for readings, ask in enumerate(questions, 1):
        assert ask()
        assert probe.readings == readings
    probe.content = {1: 2}
    assert dict(table.items()) == {1: 2}
