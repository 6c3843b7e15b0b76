"""What the doctor says of what it found, and that its documentation says the same."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from pytest_ebpf.doctor import MARKS, SCHEMA, Examination, Finding, Verdict
from pytest_ebpf.ways import WAYS

PAGE = Path(__file__).parents[2] / "docs" / "doctor.md"


def examination(*verdicts: Verdict, problem: str = "") -> Examination:
    """What was found, if it had come out like this."""
    findings = tuple(Finding(f"way-{i}", "about", verdict, "why\x1b[31m") for i, verdict in enumerate(verdicts))
    return Examination({"kernel": "Linux"}, "libbpf", "libbpf 1.1", problem, (("on_exit", "raw_tp/exit"),), findings)


def test_exit_code() -> None:
    """Only what was missed fails."""
    assert examination("detected", "inconclusive", "unavailable").exit_code == 0
    assert examination("detected", "missed").exit_code == 1
    assert examination(problem="start engine libbpf: no").exit_code == 2


def test_text_is_safe_to_show() -> None:
    """Nothing that a file or a kernel is named can move the cursor."""
    text = str(examination("missed", "inconclusive"))
    assert "\x1b" not in text
    assert r"why\33[31m" in text
    assert str(examination(problem="no\x1b[31m")).endswith(r"no\33[31m")


def test_json_is_as_documented() -> None:
    """Every member has a row in the table, and every row a member."""
    told = examination("detected", "missed").as_json()
    flat = {
        f"{name}.{inner}" if name in ("engine", "hooks") else name
        for name, value in told.items()
        for inner in (value if name in ("engine", "hooks") else [""])
    }
    page = PAGE.read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([a-z_.]+)` \| [a-z]", page.partition("## JSON")[2], re.MULTILINE)) == flat
    assert told["schema"] == SCHEMA
    assert told["counts"] == {"detected": 1, "inconclusive": 0, "missed": 1, "unavailable": 0}
    row = re.search(r"^\| `findings` .*", page, re.MULTILINE)
    assert row is not None
    assert re.findall(r"`(\w+)`", row[0])[1:] == list(told["findings"][0])
    for verdict in MARKS:
        assert f"| `{verdict}` |" in page


def test_ways_are_told_apart() -> None:
    """By name and by description."""
    assert len({way.name for way in WAYS}) == len(WAYS) > 40
    assert len({way.about for way in WAYS}) == len(WAYS)


def test_hooks_are_told() -> None:
    """By which kind of program, and which areas they watch."""
    assert "\nhooks   none\n" in str(examination("detected"))
    probe = ("on_security_bprm_check", "kprobe/security_bprm_check")
    found = replace(examination("detected"), probes=(probe,))
    assert "\nhooks   kprobe: processes\n" in str(found)
    assert found.as_json()["hooks"] == {"kind": "kprobe", "areas": ["processes"]}
