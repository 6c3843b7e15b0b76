"""What tests cost, and the table of it."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from types import SimpleNamespace

import pytest

from pytest_ebpf.events import Descriptor, File, Gap
from pytest_ebpf.summary import Costs, gather, table

from .builders import GIT, Recording, event, failed, opened

FILE = File("file", path="/data/file", inode=1)
SOME = Costs(calls=1234, opens=5, bytes_read=2048, bytes_written=3 << 20, syncs=1, children=2, blocked_ns=1_500_000)


def on_file(name: str, ret: int) -> object:
    """A call on a descriptor of a file."""
    made = event(name, ret, args={"fd": Descriptor(3, FILE)})
    return replace(made, files={"fd": FILE})


def test_counts() -> None:
    """Of each kind, what was done and not what was tried; in any process."""
    recording = Recording(
        opened("/a"),
        opened("/b", process=GIT),
        failed("/c"),
        on_file("read", 11),  # type: ignore[arg-type]
        on_file("write", 7),  # type: ignore[arg-type]
        on_file("write", 5),  # type: ignore[arg-type]
        on_file("fsync", 0),  # type: ignore[arg-type]
        event("fork", 77),
    )
    assert Costs.of(recording) == Costs(8, 2, 11, 12, 1, 1, 8000)


def test_in_flight_calls_have_no_time() -> None:
    """Nor do those that never returned."""
    assert Costs.of(Recording(event("read", None, in_flight=True))).blocked_ns == 0


def test_gaps() -> None:
    """Calls that were counted and not recorded are counted; anything missing makes the numbers lower bounds."""
    lost = Gap("lost", calls=frozenset({"openat"}), count=13, exact=True)
    assert Costs.of(Recording(event(), gaps=[lost, Gap("more")])) == replace(
        Costs.of(Recording(event())), calls=14, complete=False
    )


def test_they_add_up() -> None:
    """The phases of a test, or all tests; one that is incomplete makes the sum so."""
    assert Costs(1, 2, 3, 4, 5, 6, 7) + Costs(10, 20, 30, 40, 50, 60, 70) == Costs(11, 22, 33, 44, 55, 66, 77)
    assert not (Costs() + Costs(complete=False)).complete


def test_they_travel() -> None:
    """As properties of a report: through JSON, as xdist sends them, and pickled."""
    for costs in (SOME, replace(SOME, complete=False)):
        assert Costs.read(json.loads(json.dumps(costs.properties))) == costs
        assert pickle.loads(pickle.dumps(costs)) == costs


@pytest.mark.parametrize(
    "properties", [[], [("ebpf_calls", 1)], [("other", 1)], [(name, "x") for name, _ in SOME.properties]]
)
def test_other_properties(properties: list[tuple[str, object]]) -> None:
    """Those of other plugins, or parts of ours, are none."""
    assert Costs.read(properties) is None


def report(nodeid: str, costs: Costs | None) -> SimpleNamespace:
    """As much of pytest's as is looked at."""
    return SimpleNamespace(nodeid=nodeid, user_properties=costs.properties if costs else [])


def test_gather() -> None:
    """One of each test, the latest; whatever else is among the reports is left alone."""
    reports = [report("a", None), report("a", SOME), report("b", Costs(1)), report("a", SOME + SOME), object()]
    assert gather(reports) == {"a": SOME + SOME, "b": Costs(1)}


def test_table() -> None:
    """Columns with units, the costliest first, and the sum of all."""
    found = table({"test_x.py::test_a": Costs(3), "test_x.py::test_b": SOME}, 100)
    assert found == [
        "calls  opens     read  written  syncs  children  in calls  test",
        "1,234      5  2.0 KiB  3.0 MiB      1         2    1.5 ms  test_x.py::test_b",
        "    3      0      0 B      0 B      0         0      0 µs  test_x.py::test_a",
        "1,237      5  2.0 KiB  3.0 MiB      1         2    1.5 ms  all 2 recorded tests",
    ]


def test_incomplete_numbers() -> None:
    """They are lower bounds and say so."""
    found = table({"a": Costs(3, complete=False), "b": Costs(2)}, 80)
    assert found[1].startswith("   3+")
    assert found[2].startswith("    2")
    assert found[3].startswith("   5+")
    assert found[-1] == "+: at least; the recording has gaps"


@pytest.mark.parametrize("width", range(1, 200, 7))
def test_table_fits(width: int) -> None:
    """Any terminal, whatever the tests are called; hostile names move no cursor."""
    costs = {f"tests/\x1b[31m/{'long' * 30}.py::test_{number}": replace(SOME, calls=number) for number in range(50)}
    found = table(costs, width)
    assert all(len(line) <= width for line in found)
    assert all(line.isprintable() for line in found)
    assert "calls"[:width] == found[0].strip()[:5][:width] or width < 20


def test_table_keeps_the_end_of_a_name() -> None:
    """There the test is."""
    assert table({"folder/" * 20 + "test_x.py::test_it": SOME}, 90)[1].endswith("test_x.py::test_it")


def test_each_column_has_its_champions() -> None:
    """Of many tests those that lead in any column are shown, and no other."""
    costs = {f"t{number}": Costs(calls=number) for number in range(100)}
    costs["syncer"] = Costs(calls=1, syncs=9)
    found = "\n".join(table(costs, 100))
    assert [name for name in ("t99", "t98", "t97", "syncer") if name in found] == ["t99", "t98", "t97", "syncer"]
    assert "t96" not in found


def test_nothing_recorded() -> None:
    """It says so."""
    assert table({}, 80) == ["no test was recorded"]
    assert len(table({"a": Costs()}, 80)) == 3


@pytest.mark.parametrize(
    "count, text", [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 << 30, "5.0 GiB"), (1 << 50, "1,024.0 TiB")]
)
def test_bytes(count: int, text: str) -> None:
    """In the unit that fits."""
    assert text in table({"a": Costs(bytes_read=count)}, 200)[1]


@pytest.mark.parametrize(
    "time, text", [(999, "0 µs"), (12_000, "12 µs"), (12_340_000, "12.3 ms"), (5_600_000_000, "5.6 s")]
)
def test_times(time: int, text: str) -> None:
    """Likewise."""
    assert text in table({"a": Costs(blocked_ns=time)}, 200)[1]
