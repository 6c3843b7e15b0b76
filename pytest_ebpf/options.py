"""Command-line flags and ini keys, turned into one frozen Settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .engines.base import MEMORY_BYTES
from .sizes import parse

__all__ = ["SETTINGS", "Settings", "add_options", "read_settings"]

CHOICES = {
    "engine": ("auto", "libbpf", "bcc"),
    "unavailable": ("fail", "skip"),
    "trace": ("failed", "all", "none"),
}
HELP = {
    "engine": "what loads the eBPF programs (default: auto)",
    "unavailable": "what a test that is to be recorded does where the engine can't run (default: fail)",
    "trace": "which tests get a section with their kernel events (default: failed)",
    "memory": "how much memory the events of one test may take, such as 512MiB; what is beyond is counted, not held "
    "(default: 1GiB)",
    "summary": "show the most expensive tests by calls, opens, bytes, syncs, children and time in calls; records every "
    "test",
    "export": "write what each test did into this folder, as JSON Lines and as a trace for ui.perfetto.dev; records "
    "every test",
    "no_network": "the suite's policy: no test uses the network (as no_network in ebpf_policy)",
    "allow": "destinations that the suite's no_network allows, with commas between them: IP, IP:port, CIDR, host name, "
    "unix:/path, loopback, private, public",
    "policy": "rules for the whole suite, in TOML, one a line: no_exec = true (keywords: see `pytest --markers`)",
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user chose."""

    engine: str = "auto"
    unavailable: str = "fail"
    trace: str = "failed"
    memory: int = MEMORY_BYTES
    """Bytes."""
    summary: bool = False
    export: Path | None = None
    no_network: bool = False
    allow: tuple[str, ...] = ()

    @property
    def records_all(self) -> bool:
        """Whether tests are recorded that ask for nothing."""
        return self.summary or self.export is not None


SETTINGS = pytest.StashKey[Settings]()
"""The settings of a run, in the stash of its config."""


def add_options(parser: pytest.Parser) -> None:
    """Declare each option as a flag and as an ini key of the same words; the policy as an ini key."""
    group = parser.getgroup("ebpf", "kernel-level behavioural assertions")
    group.addoption(
        "--ebpf-doctor", action="store_true", help="run no test, but find out what this host can prove and what not"
    )
    for name, choices in CHOICES.items():
        words = "|".join(choices)
        group.addoption(f"--ebpf-{name}", dest=f"ebpf_{name}", metavar=words, default=None, help=HELP[name])
        parser.addini(f"ebpf_{name}", f"{words}: {HELP[name]}", default="")
    for name in ("summary", "no_network"):
        flag = f"--ebpf-{name.replace('_', '-')}"
        group.addoption(flag, dest=f"ebpf_{name}", action="store_true", default=None, help=HELP[name])
        parser.addini(f"ebpf_{name}", f"true|false: {HELP[name]}", default="")
    group.addoption("--ebpf-memory", dest="ebpf_memory", metavar="SIZE", default=None, help=HELP["memory"])
    parser.addini("ebpf_memory", f"SIZE: {HELP['memory']}", default="")
    group.addoption("--ebpf-export", dest="ebpf_export", metavar="DIR", default=None, help=HELP["export"])
    parser.addini("ebpf_export", f"DIR: {HELP['export']}", default="")
    group.addoption(
        "--ebpf-allow", dest="ebpf_allow", metavar="DEST,…", action="append", default=None, help=HELP["allow"]
    )
    parser.addini("ebpf_allow", f"DEST,…: {HELP['allow']}", default="")
    parser.addini("ebpf_policy", HELP["policy"], default=None)


def read_settings(config: pytest.Config) -> Settings:
    """Flags over ini keys over defaults. Raises UsageError for a value that can't be meant."""
    values: dict[str, Any] = {}
    for name, choices in CHOICES.items():
        value, place = _given(config, name)
        if value is None:
            continue
        if value not in choices:
            raise pytest.UsageError(f"{place}: {value!r} is not one of {', '.join(choices)}")
        values[name] = value
    for name in ("summary", "no_network"):
        value, place = _given(config, name)
        if value is not None:
            values[name] = value is True or _truth(str(value), place)
    size, place = _given(config, "memory")
    if size is not None:
        values["memory"] = _memory(str(size), place)
    folder, place = _given(config, "export")
    if folder is not None:
        values["export"] = _folder(config, str(folder), place)
    allowed, place = _given(config, "allow")
    if allowed is not None:
        values["allow"] = _destinations([allowed] if isinstance(allowed, str) else allowed, place)
    return Settings(**values)


def _given(config: pytest.Config, name: str) -> tuple[Any, str]:
    """The value of the flag, else of the ini key, else None; and where it stands."""
    flag = config.getoption(f"ebpf_{name}")
    if flag is not None:
        return flag, f"--ebpf-{name.replace('_', '-')}"
    value = config.getini(f"ebpf_{name}")
    return (value if value != "" else None), f"{config.inipath}: ebpf_{name}"


TRUTHS: Mapping[str, bool] = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}


def _truth(word: str, place: str) -> bool:
    if word.strip().lower() not in TRUTHS:
        raise pytest.UsageError(f"{place}: {word!r} is not one of true, false")
    return TRUTHS[word.strip().lower()]


LEAST_MEMORY = 1 << 20
MOST_MEMORY = 1 << 40


def _memory(text: str, place: str) -> int:
    try:
        size = parse(text)
    except ValueError as error:
        raise pytest.UsageError(f"{place}: {error}") from None
    if not LEAST_MEMORY <= size <= MOST_MEMORY:
        raise pytest.UsageError(f"{place}: {text!r} is not between 1MiB and 1024GiB")
    return size


def _folder(config: pytest.Config, text: str, place: str) -> Path:
    """Of a flag from where pytest was started, of an ini key from its file."""
    if not text.strip() or "\0" in text:
        raise pytest.UsageError(f"{place}: {text!r} is no folder (give one, such as {place}=ebpf-export)")
    base = config.invocation_params.dir
    if not place.startswith("--") and config.inipath is not None:
        base = config.inipath.parent
    return base / Path(text.strip()).expanduser()


def _destinations(texts: Sequence[str], place: str) -> tuple[str, ...]:
    found = [word.strip() for text in texts for line in text.splitlines() or [""] for word in line.split(",")]
    if not all(found):
        raise pytest.UsageError(f"{place}: {','.join(texts)!r} has an empty destination (give one, such as 127.0.0.1)")
    return tuple(dict.fromkeys(found))
