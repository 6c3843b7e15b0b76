"""Where a rule is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_ebpf.sources import Origin, of_marker, of_setting, raise_at

SOURCE = """import pytest

strict = pytest.mark.ebpf(no_exec=True)

pytestmark = [
    pytest.mark.usefixtures("tmp_path"),
    pytest.mark.ebpf(
        no_exec=True,
        no_network=True,
    ),
]


@pytest.mark.ebpf(no_exec=None,
                  no_syscall="fork")
class TestIt:
    pytestmark = pytest.mark.ebpf(durable="x")

    @pytest.mark.ebpf(syscall="a")
    @pytest.mark.ebpf(syscall="b")
    @pytest.mark.parametrize("n", [
        pytest.param(1, marks=pytest.mark.ebpf(syscall="c")),
    ])
    def test_it(self, n): pass


@strict
def test_named(): pass
"""


@pytest.fixture
def found(pytester: pytest.Pytester) -> dict[str, list[str]]:
    """Where each keyword of each marker stands, by the node that has it."""
    places: dict[str, list[str]] = {}
    items, _ = pytester.inline_genitems(pytester.makepyfile(test_s=SOURCE), "-W", "ignore")
    for item in items:
        for node in item.listchain():
            marks = [mark for mark in node.own_markers if mark.name == "ebpf"]
            places[node.name] = [str(of_marker(node, mark, key)) for mark in marks for key in mark.kwargs]
    return places


def test_markers(found: dict[str, list[str]]) -> None:
    """Each keyword at its own line, of several markers on one thing too; else the definition."""
    assert found["test_s.py"] == ["test_s.py:8: no_exec", "test_s.py:9: no_network"]
    assert found["TestIt"] == [
        "test_s.py:17: durable",
        "test_s.py:14: no_exec",
        "test_s.py:15: no_syscall",
    ]
    assert found["test_it[1]"] == [
        "test_s.py:20: syscall",
        "test_s.py:19: syscall",
        "test_s.py:22: syscall",
    ]
    assert found["test_named"] == ["test_s.py:27: no_exec"]


PYPROJECT = """\
[tool.other]
no_exec = 1

[tool.pytest-ebpf]
phases = ["call"]
"no_exec" = true
no_network.allow = ["x"]
max = {fsync = 1}

[tool.pytest-ebpf.no_syscall]
path = "x"

[tool.after]
durable = 1
"""


@pytest.mark.parametrize(
    "keyword, line", [("no_exec", 6), ("no_network", 7), ("max", 8), ("no_syscall", 10), ("durable", 4), ("", 4)]
)
def test_setting(tmp_path: Path, keyword: str, line: int) -> None:
    """The keyword's line below the table's head, else that head."""
    path = tmp_path / "pyproject.toml"
    path.write_text(PYPROJECT)
    origin = of_setting(path, tmp_path, r"\[tool\.pytest-ebpf", keyword, "tool.pytest-ebpf")
    assert origin.line == line
    assert str(origin).startswith(f"pyproject.toml:{line}: tool.pytest-ebpf")


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b""])
def test_setting_in_a_file_that_cannot_be_read(tmp_path: Path, content: bytes | None) -> None:
    """The file is named without a line."""
    path = tmp_path / "x.ini"
    if content is not None:
        path.write_bytes(content)
    assert str(of_setting(path, tmp_path, "ebpf_policy", "max", "ebpf_policy")) == "x.ini: ebpf_policy: max"


def test_file_elsewhere() -> None:
    """Outside of the root folder a path is shown in full."""
    assert str(Origin(Path("/a/b.py"), 3, "max", Path("/r"))) == "/a/b.py:3: max"
    assert str(Origin(None, None, "--ebpf-allow", Path("/r"))) == "--ebpf-allow"


def test_raising_at_a_line() -> None:
    """The end of the traceback is the line, in whatever file; without one it is raised as it is."""
    with pytest.raises(KeyError) as raised:
        raise_at(Origin(Path("/r/pyproject.toml"), 12, "max"), KeyError("x"))
    assert (str(raised.traceback[-1].path), raised.traceback[-1].lineno) == ("/r/pyproject.toml", 11)
    with pytest.raises(KeyError):
        raise_at(Origin(None, None, "--flag"), KeyError("x"))
