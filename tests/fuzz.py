"""Feeds the decoder with what atheris makes up: ``tox run -e fuzz -- -max_total_time=600``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import atheris

sys.path.insert(0, str(Path(__file__).parents[1]))

with atheris.instrument_imports(include=["pytest_ebpf"]):
    from tests.unit import test_fuzz


TESTS: tuple[Any, ...] = (test_fuzz.test_a_call, test_fuzz.test_calls_of_a_recording)
LONG = ("-len_control=0", "-max_len=8192")
"""From the start: of a few bytes no call is made up."""


def take(data: bytes) -> None:
    """Once for a single call, and once for those that are held together."""
    for test in TESTS:
        test.hypothesis.fuzz_one_input(data)


def main() -> None:
    """Run until something breaks or the time is over."""
    atheris.Setup([*sys.argv, *LONG], take)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
