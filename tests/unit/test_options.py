"""Settings from flags and ini keys."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, cast

import pytest

from pytest_ebpf.options import CHOICES, HELP, Settings, read_settings


class Config:
    """As much of pytest's as is asked."""

    inipath = Path("/project/pytest.ini")

    def __init__(self, flags: dict[str, str], ini: dict[str, str]) -> None:
        self._flags, self._ini = flags, ini

    def getoption(self, name: str) -> str | None:
        return self._flags.get(name)

    def getini(self, name: str) -> str:
        return self._ini.get(name, "")


def read(flags: dict[str, str] | None = None, ini: dict[str, str] | None = None) -> Settings:
    """The settings of such a configuration."""
    return read_settings(cast("Any", Config(flags or {}, ini or {})))


def test_defaults() -> None:
    """A test that can't run fails, and failed tests show their events."""
    assert read() == Settings(engine="auto", unavailable="fail", trace="failed")


def test_defaults_are_choices() -> None:
    """And every setting has choices and a help text."""
    for field in dataclasses.fields(Settings):
        assert field.default in CHOICES[field.name]
        assert f"(default: {field.default})" in HELP[field.name]
    assert list(CHOICES) == list(HELP) == [field.name for field in dataclasses.fields(Settings)]


@pytest.mark.parametrize("name, value", [(name, value) for name, values in CHOICES.items() for value in values])
def test_each_choice(name: str, value: str) -> None:
    """From a flag and from a file alike."""
    expected = dataclasses.replace(Settings(), **{name: value})
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
