"""Settings from flags and ini keys."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_ebpf.options import CHOICES, HELP, Settings, read_settings


class Config:
    """As much of pytest's as is asked."""

    inipath = Path("/project/pytest.ini")

    invocation_params = SimpleNamespace(dir=Path("/started/here"))

    def __init__(self, flags: dict[str, Any], ini: dict[str, str]) -> None:
        self._flags, self._ini = flags, ini

    def getoption(self, name: str) -> Any:
        return self._flags.get(name)

    def getini(self, name: str) -> str:
        return self._ini.get(name, "")


def read(flags: dict[str, Any] | None = None, ini: dict[str, str] | None = None) -> Settings:
    """The settings of such a configuration."""
    return read_settings(cast("Any", Config(flags or {}, ini or {})))


def test_defaults() -> None:
    """A test that can't run fails, and failed tests show their events."""
    assert read() == Settings(engine="auto", unavailable="fail", trace="failed")


def test_defaults_are_choices() -> None:
    """And every setting has a help text."""
    names = [field.name for field in dataclasses.fields(Settings)]
    for field in dataclasses.fields(Settings):
        if field.name in CHOICES:
            assert field.default in CHOICES[field.name]
            assert f"(default: {field.default})" in HELP[field.name]
    assert list(HELP) == [*names, "policy"]
    assert [name for name in names if name in CHOICES] == list(CHOICES)


@pytest.mark.parametrize("name", ["summary", "no_network"])
@pytest.mark.parametrize("word, value", [("true", True), ("Yes", True), ("1", True), ("off", False), ("false", False)])
def test_switches(name: str, word: str, value: bool) -> None:
    """By flag, or by a word of an ini key."""
    assert getattr(read(ini={f"ebpf_{name}": word}), name) is value
    assert getattr(read({f"ebpf_{name}": True}, {f"ebpf_{name}": word}), name) is True


@pytest.mark.parametrize("name", ["summary", "no_network"])
def test_bad_switch(name: str) -> None:
    """File, key, value and choices."""
    with pytest.raises(pytest.UsageError, match=f"^/project/pytest.ini: ebpf_{name}: 'x' is not one of true, false$"):
        read(ini={f"ebpf_{name}": "x"})


def test_memory() -> None:
    """A size as elsewhere; of a flag before the file's."""
    assert read().memory == 1 << 30
    assert read({"ebpf_memory": "8MiB"}, {"ebpf_memory": "2 GiB"}).memory == 8 << 20
    assert read(ini={"ebpf_memory": "2 GiB"}).memory == 2 << 30


@pytest.mark.parametrize(
    "value, cause",
    [
        ("much", "'much' is no size: write as in '1MiB' (units: B, kB, KB, MB, GB, KiB, MiB, GiB)"),
        ("-1MiB", "'-1MiB' is no size: write as in '1MiB' (units: B, kB, KB, MB, GB, KiB, MiB, GiB)"),
        ("1000", "'1000' is not between 1MiB and 1024GiB"),
        ("1025GiB", "'1025GiB' is not between 1MiB and 1024GiB"),
    ],
)
def test_bad_memory(value: str, cause: str) -> None:
    """Where it stands, and what would do."""
    with pytest.raises(pytest.UsageError) as caught:
        read({"ebpf_memory": value})
    assert str(caught.value) == f"--ebpf-memory: {cause}"
    with pytest.raises(pytest.UsageError) as caught:
        read(ini={"ebpf_memory": value})
    assert str(caught.value) == f"/project/pytest.ini: ebpf_memory: {cause}"


def test_export_folder() -> None:
    """A flag's is relative to where pytest was started, a file's to the file."""
    assert read({"ebpf_export": "out"}).export == Path("/started/here/out")
    assert read(ini={"ebpf_export": "out"}).export == Path("/project/out")
    assert read({"ebpf_export": "/tmp/x"}, {"ebpf_export": "out"}).export == Path("/tmp/x")
    assert read({"ebpf_export": "~/x"}).export == Path.home() / "x"


@pytest.mark.parametrize("value", ["", " ", "a\0b"])
def test_bad_export_folder(value: str) -> None:
    """What a shell makes of an unset variable isn't the working folder."""
    with pytest.raises(pytest.UsageError, match=r"^--ebpf-export: '.*' is no folder \(give one"):
        read({"ebpf_export": value})


def test_destinations() -> None:
    """By several flags, commas and lines; each once."""
    assert read({"ebpf_allow": ["127.0.0.1, ::1", "loopback", "::1"]}).allow == ("127.0.0.1", "::1", "loopback")
    assert read(ini={"ebpf_allow": "127.0.0.1\n::1, loopback"}).allow == ("127.0.0.1", "::1", "loopback")


@pytest.mark.parametrize("values", [[""], ["a,"], [",a"], ["a", ""]])
def test_empty_destination(values: list[str]) -> None:
    """An unset variable of the shell allows nothing, and not by accident."""
    with pytest.raises(pytest.UsageError, match=r"^--ebpf-allow: '.*' has an empty destination"):
        read({"ebpf_allow": values})


@pytest.mark.parametrize("settings, expected", [({}, False), ({"summary": True}, True), ({"export": Path("x")}, True)])
def test_records_all(settings: dict[str, Any], expected: bool) -> None:
    """What looks at every test records every test."""
    assert Settings(**settings).records_all is expected


@pytest.mark.parametrize("name, value", [(name, value) for name, values in CHOICES.items() for value in values])
def test_each_choice(name: str, value: str) -> None:
    """From a flag and from a file alike."""
    changes: dict[str, Any] = {name: value}
    expected = dataclasses.replace(Settings(), **changes)
    assert read({f"ebpf_{name}": value}) == expected
    assert read(ini={f"ebpf_{name}": value}) == expected


def test_flag_wins() -> None:
    """Over the file, for that setting alone."""
    settings = read({"ebpf_trace": "all"}, {"ebpf_trace": "none", "ebpf_unavailable": "skip"})
    assert settings == Settings(trace="all", unavailable="skip")


def test_empty_flag_is_no_missing_flag() -> None:
    """What a shell makes of an unset variable doesn't fall back to the file."""
    with pytest.raises(pytest.UsageError, match=r"^--ebpf-unavailable: '' is not one of fail, skip$"):
        read({"ebpf_unavailable": ""}, {"ebpf_unavailable": "skip"})


@pytest.mark.parametrize("name", list(CHOICES))
def test_bad_value_names_its_place(name: str) -> None:
    """The flag, or the file and its key."""
    with pytest.raises(pytest.UsageError, match=f"^--ebpf-{name}: 'x' is not one of {', '.join(CHOICES[name])}$"):
        read({f"ebpf_{name}": "x"})
    with pytest.raises(pytest.UsageError, match=f"^/project/pytest.ini: ebpf_{name}: 'x' is not one of "):
        read(ini={f"ebpf_{name}": "x"})


def test_settings_are_frozen() -> None:
    """Nobody changes them behind another's back."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        read().engine = "bcc"  # type: ignore[misc]
