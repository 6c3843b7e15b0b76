"""Command-line flags and ini keys, turned into one frozen Settings."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

__all__ = ["Settings", "add_options", "read_settings"]

CHOICES = {
    "engine": ("auto", "libbpf", "bcc"),
    "unavailable": ("fail", "skip"),
    "trace": ("failed", "all", "none"),
}
HELP = {
    "engine": "what loads the eBPF programs (default: auto)",
    "unavailable": "what a test that asks for the `ebpf` fixture does where the engine can't run (default: fail)",
    "trace": "which tests get a section with their kernel events (default: failed)",
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user chose."""

    engine: str = "auto"
    unavailable: str = "fail"
    trace: str = "failed"


def add_options(parser: pytest.Parser) -> None:
    """Declare each option as a flag and as an ini key of the same words."""
    group = parser.getgroup("ebpf", "kernel-level behavioural assertions")
    group.addoption(
        "--ebpf-doctor", action="store_true", help="run no test, but find out what this host can prove and what not"
    )
    for name, choices in CHOICES.items():
        words = "|".join(choices)
        group.addoption(f"--ebpf-{name}", dest=f"ebpf_{name}", metavar=words, default=None, help=HELP[name])
        parser.addini(f"ebpf_{name}", f"{words}: {HELP[name]}", default="")


def read_settings(config: pytest.Config) -> Settings:
    """Flags over ini keys over defaults. Raises UsageError for a value that isn't one of the choices."""
    values: dict[str, str] = {}
    for name, choices in CHOICES.items():
        flag = config.getoption(f"ebpf_{name}")
        value = flag if flag is not None else config.getini(f"ebpf_{name}")
        if value == "" and flag is None:
            continue
        if value not in choices:
            place = f"--ebpf-{name}" if flag is not None else f"{config.inipath}: ebpf_{name}"
            raise pytest.UsageError(f"{place}: {value!r} is not one of {', '.join(choices)}")
        values[name] = value
    return Settings(**values)
